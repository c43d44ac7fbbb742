/* Bit planes: one pass over a tensor, one exact solve of its table, a
 * thousand thresholds; and the published Lasso beside them.  The goal is 250
 * solves within 10 ms. */
#include <stdio.h>
#include <stdlib.h>

#include "quant/quant.h"

enum { VALUES = 1 << 20, SOLVES = 250, REPEATS = 20 };

static double ms_since(int64_t t)
{
    return (double)(bd_now_ns() - t) * 1e-6;
}

static double best_of(double best, double now)
{
    return best == 0 || now < best ? now : best;
}

int main(void)
{
    struct bd_codetable *t = calloc(1, sizeof(*t));
    float *x = malloc(VALUES * sizeof(*x));
    struct bd_plane_table rows;
    struct bd_plane_row row;
    struct bd_rng r = {1};
    double pass = 0, solve = 0, choose = 0, lasso;
    long kept = 0;
    int64_t at;

    if (!t || !x)
        return 1;
    for (int i = 0; i < VALUES; i++)
        x[i] = (float)bd_rng_normal(&r);
    for (int n = 0; n < REPEATS; n++) {
        bd_codetable_init(t, 8, 5);
        at = bd_now_ns();
        bd_codetable_add(t, x, VALUES);
        pass = best_of(pass, ms_since(at));
        at = bd_now_ns();
        for (int i = 0; i < SOLVES; i++)
            bd_planes_solve(&rows, t);
        solve = best_of(solve, ms_since(at));
        at = bd_now_ns();
        for (int i = 0; i < 1000; i++)
            kept += bd_planes_choose(&rows, 20 + i * 0.04, 1)->k;
        choose = best_of(choose, ms_since(at));
    }
    at = bd_now_ns();
    bd_planes_lasso(&row, NULL, t, rows.full_db - 24, false);
    lasso = ms_since(at);
    printf("table of %d values   %8.3f ms\n", VALUES, pass);
    printf("%d exact solves      %8.3f ms (goal 10)\n", SOLVES, solve);
    printf("1000 thresholds       %8.3f ms, %ld planes\n", choose,
           kept / REPEATS);
    printf("published search      %8.3f ms, %d planes\n", lasso, row.k);
    free(t);
    free(x);
    return 0;
}
