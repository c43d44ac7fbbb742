/* Training of 1-bit weights with hysteresis (binary_pact.md section 2).  Two
 * copies exist: latent w, which SGD moves, and visible p, which the network
 * uses.  Decay is computed on the visible value. */
#include "quant_priv.h"

/* The loop of the picture: beyond the threshold the state follows, inside
 * the band it keeps. */
static double hold(double state, double w, double t)
{
    if (w >= t)
        return 1;
    return w <= -t ? -1 : state;
}

/* What the seed's code does: a small crossing shows the raw latent value for
 * one step, then flips. */
static double seed_code(double old, double w, double t)
{
    if (old > 0 && w > 0)
        return 1;
    if (old < 0 && w < 0)
        return -1;
    if (old < 0 && w > 0)
        return w >= t ? 1 : w;
    if (old > 0 && w < 0)
        return w <= -t ? -1 : w;
    return w;
}

double bd_hysteresis_step(double *w, double *v, double *state, double *p,
                          const double *g, size_t n,
                          const struct bd_hysteresis *h, bool first)
{
    double scale = 0;

    for (size_t i = 0; i < n; i++) {
        double d = g[i] + h->decay * p[i], old = w[i];

        if (first)
            state[i] = old >= 0 ? 1 : -1;
        v[i] = first ? d : h->momentum * v[i] + d;
        w[i] -= h->lr * v[i];
        scale += fabs(w[i]);
        state[i] = h->seed_code ? seed_code(old, w[i], h->threshold)
                                : hold(state[i], w[i], h->threshold);
    }
    scale = n ? scale / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        p[i] = scale * state[i];
    return scale;
}
