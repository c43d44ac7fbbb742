/* The distortion index: building it, asking it, a whole table of answers.
 * Weights have the shapes of ResNet-50 and a normal distribution with a few
 * outliers, as trained ones do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/calib.h"

enum {
    LAYERS = 54,
    CLIPS = 64,
    REPEATS = 5 /* the best counts: the rest is the machine's other work */
};

/* Elements of the 53 convolutions and the classifier of ResNet-50. */
static size_t layer_sizes(size_t size[LAYERS])
{
    const int blocks[] = {3, 4, 6, 3};
    size_t n = 0, in = 64, total = 0;

    size[n++] = 64 * 3 * 7 * 7;
    for (int s = 0; s < 4; s++) {
        size_t mid = (size_t)64 << s, out = 4 * mid;

        for (int b = 0; b < blocks[s]; b++) {
            size[n++] = in * mid;
            size[n++] = mid * mid * 9;
            size[n++] = mid * out;
            if (b == 0)
                size[n++] = in * out;
            in = out;
        }
    }
    size[n++] = 2048 * 1000;
    for (size_t i = 0; i < n; i++)
        total += size[i];
    return total;
}

static void fill(float *x, size_t n, uint64_t seed)
{
    struct bd_rng r = {seed};

    for (size_t i = 0; i < n; i++) {
        double v = 0;

        for (int k = 0; k < 6; k++)
            v += bd_rng_unit(&r) - 0.5;
        x[i] = (float)(0.02 * v * (i % 1000 == 0 ? 6 : 1));
    }
}

static double ms_since(int64_t t)
{
    return (double)(bd_now_ns() - t) * 1e-6;
}

static struct bd_qparam param(const char *name, int bits)
{
    return (struct bd_qparam){.q = bd_quantizer_at(bd_quantizer_find(name)),
                              .bits = bits,
                              .is_signed = true,
                              .weights = true,
                              .sigma = 1,
                              .map_back = true};
}

/* 7 widths x 64 clips of one layer; returns the grids priced. */
static int table_of(const struct bd_index *ix, double *lev, double *cut)
{
    int grids = 0;

    for (int bits = 2; bits <= 8; bits++)
        for (int c = 1; c <= CLIPS; c++) {
            struct bd_qparam p = param("uniform", bits);
            size_t n;

            p.clip = bd_index_absmax(ix) * c / CLIPS;
            n = p.q->levels(lev, 256, &p);
            p.q->cuts(cut, 256, &p);
            if (bd_index_error(ix, lev, cut, n, NULL) < 0)
                abort();
            grids++;
        }
    return grids;
}

static void whole_table(void)
{
    size_t size[LAYERS], total = layer_sizes(size);
    double build = 0, ask = 0, lev[256], cut[256];
    float *x = bd_alloc(2359296, sizeof(*x));
    int grids = 0;

    for (int i = 0; i < LAYERS; i++) {
        struct bd_index *ix = NULL;
        int64_t t;

        fill(x, size[i], (uint64_t)i);
        t = bd_now_ns();
        if (bd_index_new(&ix, x, size[i], NULL) != BD_OK)
            abort();
        build += ms_since(t);
        t = bd_now_ns();
        grids += table_of(ix, lev, cut);
        ask += ms_since(t);
        bd_index_free(ix);
    }
    printf("index of all %d layers, %.1f M weights: %.0f ms\n", LAYERS,
           (double)total * 1e-6, build);
    printf("%d layers x 7 widths x %d clips: %.0f ms (%.1f us a grid)\n",
           LAYERS, CLIPS, ask, ask * 1e3 / grids);
    bd_free(x);
}

/* From keypress to exact PSNR on the largest layer: cold includes building
 * the index; warm is what the next key costs. */
static struct bd_index *cold(const float *x, size_t n)
{
    struct bd_index *ix = NULL;
    double best = INFINITY;

    for (int i = 0; i < REPEATS; i++) {
        int64_t t = bd_now_ns();

        bd_index_free(ix);
        if (bd_index_new(&ix, x, n, NULL) != BD_OK)
            abort();
        best = fmin(best, ms_since(t));
    }
    printf("index of %.1f M weights (cold): %.1f ms\n", (double)n * 1e-6, best);
    return ix;
}

static void warm(const struct bd_weights *w, const char *choice)
{
    struct bd_tensorcfg cfg = {.bits = 8};
    double psnr = INFINITY, all = INFINITY, e = 0, clip;

    if (bd_tensorcfg_parse(&cfg, choice, NULL) != BD_OK)
        abort();
    for (int i = 0; i < REPEATS; i++) {
        struct bd_qset set;
        int64_t t = bd_now_ns();

        if (!bd_calib_index_error(&e, &clip, w, &cfg))
            abort();
        psnr = fmin(psnr, ms_since(t));
        t = bd_now_ns();
        if (bd_calib_weights(&set, w, &cfg, NULL, NULL) != BD_OK)
            abort();
        all = fmin(all, ms_since(t));
        bd_qset_done(&set);
    }
    printf("%-24s warm: PSNR %6.0f us, fit %6.0f us   MSE %.3g\n", choice,
           psnr * 1e3, all * 1e3, e / (double)bd_index_count(w->index));
}

/* Grains finer than the tensor: all sets, and applying them. */
static void many_sets(const struct bd_weights *w, float *y, const char *choice)
{
    struct bd_tensorcfg cfg = {.bits = 8};
    double fit = INFINITY, apply = INFINITY;

    if (bd_tensorcfg_parse(&cfg, choice, NULL) != BD_OK)
        abort();
    for (int i = 0; i < 2; i++) {
        struct bd_qset set;
        int64_t t = bd_now_ns();

        if (bd_calib_weights(&set, w, &cfg, NULL, NULL) != BD_OK)
            abort();
        fit = fmin(fit, ms_since(t));
        t = bd_now_ns();
        bd_qset_apply(y, w, &set);
        apply = fmin(apply, ms_since(t));
        bd_qset_done(&set);
    }
    printf("%-25s fit %6.1f ms, apply %5.1f ms\n", choice, fit, apply);
}

static void one_layer(void)
{
    const char *choice[] = {"uniform:4:tensor:max", "uniform:8:tensor:max",
                            "apot:4:tensor:max",    "uniform:4:tensor:mse",
                            "apot:4:tensor:mse",    "uniform:8:tensor:mse",
                            "kmeans:2:tensor:max",  "kmeans:4:tensor:max",
                            "kmeans:8:tensor:max",  "fp8-e4m3:8:tensor:max",
                            "fp8-e4m3:8:tensor:mse", "fp4-e2m1:4:tensor:mse"};
    const char *sets[] = {"uniform:4:channel:max",  "uniform:4:group128:max",
                          "kmeans:4:channel:max",   "kmeans:4:group128:max",
                          "nf4:4:group64:max",      "mxfp4-e2m1:4:group32:max",
                          "mxfp8-e4m3:8:group32:max", "mxint8:8:group32:max"};
    size_t n = 2359296;
    float *x = bd_alloc(2 * n, sizeof(*x)); /* and what they become */
    struct bd_weights w = {x, {1, 512, 4608}, NAN, NULL};
    struct bd_index *ix;

    if (!x)
        abort();
    fill(x, n, 1);
    w.index = ix = cold(x, n);
    for (size_t i = 0; i < sizeof(choice) / sizeof(choice[0]); i++)
        warm(&w, choice[i]);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        many_sets(&w, x + n, sets[i]);
    bd_index_free(ix);
    bd_free(x);
}

static void throughput(void)
{
    const char *rows[] = {"uniform", "affine",   "apot",     "pact",
                          "log",     "fp4-e2m1", "fp8-e4m3", "fp8-e5m2"};
    size_t n = 1 << 20;
    float *x = bd_alloc(n, sizeof(*x)), *y = bd_alloc(n, sizeof(*y));

    fill(x, n, 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int bits = 4; bits <= 8; bits += 4) {
            struct bd_qparam p = param(rows[i], bits);
            double best = INFINITY;

            if (bits < p.q->min_bits || bits > p.q->max_bits)
                continue;

            p.is_signed = false;
            p.weights = false;
            p.clip = 0.03;
            if (p.q->fit(&p, x, n, NULL) != BD_OK)
                abort();
            for (int k = 0; k < REPEATS; k++) {
                int64_t t = bd_now_ns();

                p.q->apply(y, x, n, &p);
                best = fmin(best, ms_since(t));
            }
            printf("apply %-8s %d bits: %.2f ns a value\n", rows[i], bits,
                   best * 1e6 / (double)n);
        }
    bd_free(x);
    bd_free(y);
}

int main(void)
{
    one_layer();
    whole_table();
    throughput();
    return 0;
}
