/* How fast a budget slider is answered: 54 layers (ResNet-50) of 7 widths.
 * The convex front, which is all answers a price can give; the exact answer
 * for one budget; and exact answers along a whole frontier of 100 budgets.
 * Losses fall by four per bit, times a layer's own factor, as quantization
 * noise does; costs are the layers' sizes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bitalloc/bitalloc.h"

enum { LAYERS = 54, WIDTHS = 7, BUDGETS = 100, REPEATS = 21 };

struct net {
    struct bd_alloc_option o[LAYERS][WIDTHS];
    struct bd_alloc_layer l[LAYERS];
    struct bd_alloc_problem p;
    double least, most;
};

static void make(struct net *n, uint64_t seed)
{
    struct bd_rng r = {seed};

    *n = (struct net){.p = {LAYERS, n->l, 0}};
    for (int i = 0; i < LAYERS; i++) {
        double weights = floor(exp(8 + 6 * bd_rng_unit(&r)));
        double rate = exp(3 * bd_rng_normal(&r));

        for (int k = 0; k < WIDTHS; k++)
            n->o[i][k] = (struct bd_alloc_option){
                k + 2, weights * (k + 2) + 32,
                rate * pow(4, -k) * exp(0.2 * bd_rng_normal(&r))};
        n->l[i] = (struct bd_alloc_layer){"", WIDTHS, n->o[i], -1, -1};
        n->least += n->o[i][0].cost;
        n->most += n->o[i][WIDTHS - 1].cost;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static double ms_since(int64_t t)
{
    return (double)(bd_now_ns() - t) * 1e-6;
}

int main(void)
{
    static struct net n;
    static struct bd_alloc_point front[LAYERS * WIDTHS + 1];
    double t_front[REPEATS], t_one[REPEATS], t_all[REPEATS], worst = 0;
    int pick[LAYERS], proven = 0;
    size_t points = 0;
    const struct bd_allocator *dp = bd_allocator_find("dp");

    for (int k = 0; k < REPEATS; k++) {
        struct bd_alloc_result r = {.pick = pick};
        int64_t t;

        make(&n, (uint64_t)k + 1);
        t = bd_now_ns();
        points = bd_alloc_front(front, LAYERS * WIDTHS + 1, &n.p);
        t_front[k] = ms_since(t);
        n.p.budget = n.least + 0.37 * (n.most - n.least);
        t = bd_now_ns();
        dp->solve(&r, &n.p, NULL);
        t_one[k] = ms_since(t);
        t = bd_now_ns();
        for (int b = 0; b < BUDGETS; b++) {
            int64_t each = bd_now_ns();

            n.p.budget = n.least + (n.most - n.least) * b / (BUDGETS - 1);
            if (dp->solve(&r, &n.p, NULL) == BD_OK)
                proven += r.optimal;
            worst = fmax(worst, ms_since(each));
        }
        t_all[k] = ms_since(t);
    }
    printf("54 layers x 7 widths, median of %d problems\n", REPEATS);
    printf("convex front, %zu points      %8.3f ms\n", points,
           median(t_front, REPEATS));
    printf("exact answer, one budget      %8.3f ms\n", median(t_one, REPEATS));
    printf("exact answers, %d budgets    %8.3f ms (slowest one %.3f, proven "
           "%d of %d)\n", BUDGETS, median(t_all, REPEATS), worst, proven,
           BUDGETS * REPEATS);
    return 0;
}
