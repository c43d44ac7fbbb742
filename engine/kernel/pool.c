/* Max and average pooling of one image, forward and backward. */
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

/* The part of one window inside the picture, along one axis. */
struct span {
    int64_t first, end; /* taps whose pixel exists */
    int64_t start;      /* pixel under tap 0 */
    int64_t padded;     /* taps inside the picture with its padding */
};

struct axis {
    int64_t in, k, stride, dil, before, after;
};

static struct span span_of(struct axis a, int64_t o)
{
    struct span s = {0, 0, o * a.stride - a.before, 0};
    s.first = a.k;
    for (int64_t t = 0; t < a.k; t++) {
        int64_t i = s.start + t * a.dil;
        if (i >= -a.before && i < a.in + a.after)
            s.padded++;
        if (i < 0 || i >= a.in)
            continue;
        s.first = s.first < t ? s.first : t;
        s.end = t + 1;
    }
    return s;
}

static struct axis rows_of(const struct bd_pool2d *p)
{
    return (struct axis){p->h, p->kh, p->sh, p->dh, p->pt, p->pb};
}

static struct axis cols_of(const struct bd_pool2d *p)
{
    return (struct axis){p->w, p->kw, p->sw, p->dw, p->pl, p->pr};
}

/* What an average divides by; a window wholly outside gives 0, not NaN. */
static double divisor(struct span r, struct span c, bool count_pad)
{
    double rows = (double)(r.first < r.end ? r.end - r.first : 0);
    double cols = (double)(c.first < c.end ? c.end - c.first : 0);
    double n = count_pad ? (double)r.padded * (double)c.padded : rows * cols;
    return n > 0 ? n : 1;
}

static float average(const float *x, const struct bd_pool2d *p, struct span r,
                     struct span c)
{
    double s = 0;
    for (int64_t ky = r.first; ky < r.end; ky++)
        for (int64_t kx = c.first; kx < c.end; kx++)
            s +=
                (double)x[(r.start + ky * p->dh) * p->w + c.start + kx * p->dw];
    return (float)(s / divisor(r, c, p->count_pad));
}

/* Index of the first largest pixel, -1 if none; NaN wins, as in frameworks. */
static int64_t largest(const float *x, const struct bd_pool2d *p, struct span r,
                       struct span c)
{
    int64_t best = -1;
    for (int64_t ky = r.first; ky < r.end; ky++)
        for (int64_t kx = c.first; kx < c.end; kx++) {
            int64_t i = (r.start + ky * p->dh) * p->w + c.start + kx * p->dw;
            if (best < 0 || x[i] > x[best] || (isnan(x[i]) && !isnan(x[best])))
                best = i;
        }
    return best;
}

void bd_pool2d_forward(float *y, const float *x, const struct bd_pool2d *p)
{
    for (int64_t c = 0; c < p->c; c++, x += p->h * p->w)
        for (int64_t oy = 0; oy < p->oh; oy++) {
            struct span r = span_of(rows_of(p), oy);
            for (int64_t ox = 0; ox < p->ow; ox++) {
                struct span s = span_of(cols_of(p), ox);
                if (p->average) {
                    *y++ = average(x, p, r, s);
                    continue;
                }
                int64_t at = largest(x, p, r, s);
                *y++ = at < 0 ? -INFINITY : x[at];
            }
        }
}

static void spread(float *dx, float dy, const struct bd_pool2d *p,
                   struct span r, struct span c)
{
    float each = (float)((double)dy / divisor(r, c, p->count_pad));
    for (int64_t ky = r.first; ky < r.end; ky++)
        for (int64_t kx = c.first; kx < c.end; kx++)
            dx[(r.start + ky * p->dh) * p->w + c.start + kx * p->dw] += each;
}

void bd_pool2d_backward(float *dx, const float *dy, const float *x,
                        const struct bd_pool2d *p)
{
    const int64_t plane = p->h * p->w;
    memset(dx, 0, (size_t)(p->c * plane) * sizeof *dx);
    for (int64_t c = 0; c < p->c; c++, dx += plane, x += plane)
        for (int64_t oy = 0; oy < p->oh; oy++) {
            struct span r = span_of(rows_of(p), oy);
            for (int64_t ox = 0; ox < p->ow; ox++, dy++) {
                struct span s = span_of(cols_of(p), ox);
                if (p->average) {
                    spread(dx, *dy, p, r, s);
                    continue;
                }
                int64_t at = largest(x, p, r, s);
                if (at >= 0)
                    dx[at] += *dy;
            }
        }
}
