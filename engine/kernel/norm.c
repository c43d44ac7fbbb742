/* Batch normalization with batch statistics, forward and backward.  Sums run
 * in eight fixed lanes of double: quick to add up, and always in the same
 * order. */
#include "kernel/kernel.h"

#include <math.h>

enum { LANES = 8 };

static double fold(const double s[LANES])
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* Channel c of image i of x[n, c, s]. */
static int64_t at(const struct bd_bn *b, int64_t i, int64_t c)
{
    return i * (b->stride ? b->stride : b->c * b->s) + c * b->s;
}

static double mean_of(const float *x, const struct bd_bn *b, int64_t c)
{
    double s[LANES] = {0};
    for (int64_t i = 0; i < b->n; i++) {
        const float *p = x + at(b, i, c);
        int64_t e = 0;
        for (; e + LANES <= b->s; e += LANES)
            for (int l = 0; l < LANES; l++)
                s[l] += (double)p[e + l];
        for (; e < b->s; e++)
            s[0] += (double)p[e];
    }
    return fold(s) / (double)(b->n * b->s);
}

/* Population variance, in a second pass: no cancellation. */
static double var_of(const float *x, const struct bd_bn *b, int64_t c,
                     double mean)
{
    double s[LANES] = {0};
    for (int64_t i = 0; i < b->n; i++) {
        const float *p = x + at(b, i, c);
        int64_t e = 0;
        for (; e + LANES <= b->s; e += LANES)
            for (int l = 0; l < LANES; l++) {
                double d = (double)p[e + l] - mean;
                s[l] += d * d;
            }
        for (; e < b->s; e++)
            s[0] += ((double)p[e] - mean) * ((double)p[e] - mean);
    }
    return fold(s) / (double)(b->n * b->s);
}

void bd_bn_forward(float *y, const float *x, const float *gamma,
                   const float *beta, const struct bd_bn *b,
                   struct bd_bn_state st)
{
    for (int64_t c = 0; c < b->c; c++) {
        double mean = mean_of(x, b, c), var = var_of(x, b, c, mean);
        double inv = 1.0 / sqrt(var + (double)b->eps);
        st.mean[c] = (float)mean;
        st.inv[c] = (float)inv;
        if (st.var)
            st.var[c] = (float)var;
        float k = (float)((double)gamma[c] * inv), m = (float)mean;
        for (int64_t i = 0; i < b->n; i++) {
            const float *p = x + at(b, i, c);
            float *q = y + at(b, i, c);
            for (int64_t e = 0; e < b->s; e++)
                q[e] = k * (p[e] - m) + beta[c];
        }
    }
}

struct sums { /* of dy, and of dy times the normalized x */
    double dy, dyx;
};

static struct sums sums_of(const float *dy, const float *x,
                           const struct bd_bn *b, int64_t c, const float mi[2])
{
    double s[LANES] = {0}, t[LANES] = {0};
    for (int64_t i = 0; i < b->n; i++) {
        const float *p = x + at(b, i, c), *d = dy + at(b, i, c);
        int64_t e = 0;
        for (; e + LANES <= b->s; e += LANES)
            for (int l = 0; l < LANES; l++) {
                s[l] += (double)d[e + l];
                t[l] += (double)d[e + l] * (double)((p[e + l] - mi[0]) * mi[1]);
            }
        for (; e < b->s; e++) {
            s[0] += (double)d[e];
            t[0] += (double)d[e] * (double)((p[e] - mi[0]) * mi[1]);
        }
    }
    return (struct sums){fold(s), fold(t)};
}

/* dx = gamma * inv * (dy - mean(dy) - xhat * mean(dy * xhat)). */
static void dx_of(float *dx, const float *dy, const float *x, int64_t n,
                  const float k[5])
{
    for (int64_t e = 0; e < n; e++) {
        float xhat = (x[e] - k[0]) * k[1];
        dx[e] = k[2] * (dy[e] - k[3] - xhat * k[4]);
    }
}

void bd_bn_backward(struct bd_bn_grad g, const float *dy, const float *x,
                    const float *gamma, const struct bd_bn *b,
                    struct bd_bn_state st)
{
    const double n = (double)(b->n * b->s);
    for (int64_t c = 0; c < b->c; c++) {
        const float mi[2] = {st.mean[c], st.inv[c]};
        struct sums s = sums_of(dy, x, b, c, mi);
        const float k[5] = {mi[0], mi[1], gamma[c] * mi[1], (float)(s.dy / n),
                            (float)(s.dyx / n)};
        if (g.dbeta)
            g.dbeta[c] += (float)s.dy;
        if (g.dgamma)
            g.dgamma[c] += (float)s.dyx;
        if (!g.dx)
            continue;
        for (int64_t i = 0; i < b->n; i++)
            dx_of(g.dx + at(b, i, c), dy + at(b, i, c), x + at(b, i, c), b->s,
                  k);
    }
}
