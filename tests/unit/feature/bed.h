/* Features and back ends made by hand, in double, as the generator of the
 * reference makes them. */
#ifndef TEST_FEATURE_BED_H
#define TEST_FEATURE_BED_H

#include "ref.h"

#include "feature/feature.h"

/* Two fully connected layers with ReLU between, weights from splitmix64. */
struct two_layers {
    int nin, mid, nout;
    double *w1, *w2;
};

static inline double grid17(struct bd_rng *r, double by)
{
    return ((double)bd_rng_below(r, 17) - 8) / by;
}

static inline bd_status two_layers_run(void *arg, int worker, double *out,
                                       const double *x, struct bd_err *err)
{
    const struct two_layers *b = arg;
    double h[64] = {0};

    (void)worker;
    (void)err;
    for (int i = 0; i < b->nin; i++)
        for (int k = 0; k < b->mid; k++)
            h[k] += x[i] * b->w1[i * b->mid + k];
    for (int o = 0; o < b->nout; o++)
        out[o] = 0;
    for (int k = 0; k < b->mid; k++)
        for (int o = 0; o < b->nout; o++)
            out[o] += fmax(h[k], 0) * b->w2[k * b->nout + o];
    return BD_OK;
}

static inline void two_layers_done(void *arg)
{
    struct two_layers *b = arg;

    bd_free(b->w1);
    bd_free(b->w2);
    bd_free(b);
}

static inline struct bd_backend two_layers(int nin, int mid, int nout,
                                           uint64_t seed)
{
    struct two_layers *b = bd_calloc(1, sizeof *b);
    struct bd_rng r = {seed};

    *b = (struct two_layers){nin, mid, nout, NULL, NULL};
    b->w1 = bd_alloc((size_t)(nin * mid), sizeof *b->w1);
    b->w2 = bd_alloc((size_t)(mid * nout), sizeof *b->w2);
    for (int i = 0; i < nin * mid; i++)
        b->w1[i] = grid17(&r, 64);
    for (int i = 0; i < mid * nout; i++)
        b->w2[i] = grid17(&r, 16);
    return (struct bd_backend){nout, 1, two_layers_run, two_layers_done, b};
}

#endif
