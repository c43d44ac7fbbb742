/* Walking a tensor in runs that share one parameter set, and applying the
 * set.  Channels along an inner axis (a Gemm's [in,out]) are strided: their
 * values pass through a small buffer on the stack. */
#include "calib_priv.h"

enum {
    RUN = 1024 /* values gathered at a time */
};

/* One run: channel c, elements first .. first+n of it, one parameter set. */
struct run {
    const struct bd_qparam *p;
    int64_t c, first;
    size_t n;
};

/* Where element e of a channel lies in the tensor. */
static int64_t place(struct bd_slices s, int64_t c, int64_t e)
{
    return ((e / s.inner) * s.channels + c) * s.inner + e % s.inner;
}

static void gather(float *dst, const float *x, struct bd_slices s,
                   const struct run *r)
{
    for (size_t i = 0; i < r->n; i++)
        dst[i] = x[place(s, r->c, r->first + (int64_t)i)];
}

static void scatter(float *x, const float *src, struct bd_slices s,
                    const struct run *r)
{
    for (size_t i = 0; i < r->n; i++)
        x[place(s, r->c, r->first + (int64_t)i)] = src[i];
}

/* The run after *r, or the first one when r->p is NULL; false at the end.
 * Runs stay within a group, and within RUN values unless contiguous. */
static bool next_run(struct run *r, struct bd_slices s, const struct bd_qset *q)
{
    int64_t len = s.outer * s.inner, group = len, left, g;

    if (q->groups > 1)
        group = q->cfg.group;
    if (r->p)
        r->first += (int64_t)r->n;
    if (r->first >= len) {
        r->first = 0;
        r->c++;
    }
    if (r->c >= s.channels || len == 0)
        return false;
    g = r->first / group;
    r->p = &q->p[(size_t)r->c * q->groups + (size_t)g];
    left = (g + 1) * group < len ? (g + 1) * group : len;
    left -= r->first;
    r->n = (size_t)(s.outer > 1 && left > RUN ? RUN : left);
    return true;
}

/* One set for all is one channel to the walk. */
static struct bd_slices shape_of(const struct bd_weights *w,
                                 const struct bd_qset *s)
{
    struct bd_slices one = {
        1, 1, w->slices.outer * w->slices.channels * w->slices.inner};

    return s->n == 1 ? one : w->slices;
}

void bd_qset_visit(const struct bd_weights *w, const struct bd_qset *s,
                   bd_qset_fn *fn, void *arg)
{
    struct bd_slices sl = shape_of(w, s);
    struct run r = {0};
    float x[RUN];

    while (next_run(&r, sl, s)) {
        if (sl.outer > 1) {
            gather(x, w->x, sl, &r);
            fn(arg, r.p, x, r.n);
        } else {
            fn(arg, r.p, w->x + r.c * sl.inner + r.first, r.n);
        }
    }
}

/* Widths 0 and 32 are not quantizers: nothing is sent, or everything. */
static void apply_run(float *y, const float *x, size_t n,
                      const struct bd_qparam *p)
{
    if (p->bits == 0)
        memset(y, 0, n * sizeof(*y));
    else if (p->bits == 32)
        memmove(y, x, n * sizeof(*y));
    else
        p->q->apply(y, x, n, p);
}

void bd_qset_apply(float *y, const struct bd_weights *w,
                   const struct bd_qset *s)
{
    struct bd_slices sl = shape_of(w, s);
    struct run r = {0};
    float v[RUN];

    while (next_run(&r, sl, s)) {
        int64_t at = r.c * sl.inner + r.first;

        if (sl.outer > 1) {
            gather(v, w->x, sl, &r);
            apply_run(v, v, r.n, r.p);
            scatter(y, v, sl, &r);
        } else {
            apply_run(y + at, w->x + at, r.n, r.p);
        }
    }
}
