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

double bd_hysteresis_step(struct bd_hysteresis_net *net, const double *g,
                          const struct bd_hysteresis *h, bool first)
{
    double *w = net->w, *v = net->v, *state = net->state, scale = 0;

    for (size_t i = 0; i < net->n; i++) {
        double d = g[i] + h->decay * net->p[i], old = w[i];

        if (first)
            state[i] = old >= 0 ? 1 : -1;
        v[i] = first ? d : h->momentum * v[i] + d;
        w[i] -= h->lr * v[i];
        scale += fabs(w[i]);
        state[i] = h->seed_code ? seed_code(old, w[i], h->threshold)
                                : hold(state[i], w[i], h->threshold);
    }
    scale = net->n ? scale / (double)net->n : 0;
    for (size_t i = 0; i < net->n; i++)
        net->p[i] = scale * state[i];
    return scale;
}
