/* Error of quantized weights, exact: from the index where one grid serves
 * the whole tensor, which takes microseconds, else in one pass over blocks.
 *
 * Errors are taken between the weights and the grid's levels in double, in
 * the domain of the weights: also for networks trained with quantization,
 * which use Q(z) itself (apot.md section 4).  Block sums are added with
 * Neumaier's correction; the order is that of the tensor, so the same bits
 * come out every time. */
#include <math.h>
#include <string.h>

#include "metrics/metrics.h"

enum {
    BLOCK = 256,
    /* 16 bits of any kind; edge8 goes down to -32768 */
    CODE_LOW = -65536,
    CODES = 131073
};

/* What accumulates over the runs of one tensor. */
struct pass {
    struct bd_sum err2, xx, qq, xq;
    double max_err, peak;
    double lo, hi, zero; /* the present set's end levels, and its 0 */
    int64_t n, zeros, clipped;
    int64_t *count;            /* [CODES] */
    const struct bd_qparam *p; /* whose lo and hi these are */
};

/* End levels of a grid, without listing it: what the ends of the line
 * quantize to. */
static void ends_of(double *lo, double *hi, const struct bd_qparam *p)
{
    double v[2] = {-1e30, 1e30};

    *lo = -INFINITY;
    *hi = INFINITY;
    if (p->bits == 0 || p->bits == 32 || (p->q->traits & BD_Q_NO_CLIP))
        return;
    bd_quant_project(v, v, 2, p);
    *lo = v[0];
    *hi = v[1];
}

/* A network that uses Q(z) itself has its zeros where z is 0. */
static double zero_of(const struct bd_qparam *p)
{
    return p->map_back ? 0 : p->mu;
}

/* Sums over one block of finite values x and what they became, q. */
static void add_block(struct pass *a, const double *x, const double *q,
                      size_t n)
{
    double e2 = 0, xx = 0, qq = 0, xq = 0;

    for (size_t i = 0; i < n; i++) {
        double d = x[i] - q[i], e = fabs(d);

        e2 += d * d;
        xx += x[i] * x[i];
        qq += q[i] * q[i];
        xq += x[i] * q[i];
        a->max_err = e > a->max_err ? e : a->max_err;
        a->peak = fabs(x[i]) > a->peak ? fabs(x[i]) : a->peak;
        a->zeros += q[i] == a->zero;
        a->clipped += x[i] < a->lo || x[i] > a->hi;
    }
    bd_sum_add(&a->err2, e2);
    bd_sum_add(&a->xx, xx);
    bd_sum_add(&a->qq, qq);
    bd_sum_add(&a->xq, xq);
    a->n += (int64_t)n;
}

/* Codes of different channels are pooled: the entropy is that of one coder
 * for the whole tensor. */
static void add_codes(struct pass *a, const float *x, size_t n,
                      const struct bd_qparam *p)
{
    int32_t code[BLOCK];

    if (p->bits == 0 || p->bits == 32)
        return; /* nothing is coded */
    p->q->codes(code, x, n, p);
    for (size_t i = 0; i < n; i++) {
        int64_t at = (int64_t)code[i] - CODE_LOW;

        if (at >= 0 && at < CODES)
            a->count[at]++;
    }
}

/* In double and mapped back, unlike apply: errors are about the weights. */
static void quantize(double *q, const double *x, size_t n,
                     const struct bd_qparam *p)
{
    if (p->bits == 0)
        memset(q, 0, n * sizeof(*q));
    else if (p->bits == 32)
        memcpy(q, x, n * sizeof(*q));
    else
        bd_quant_project(q, x, n, p);
}

/* One run of the tensor; values that are not finite are left out. */
static void add_run(void *arg, const struct bd_qparam *p, const float *x,
                    size_t n)
{
    struct pass *a = arg;
    double v[BLOCK], q[BLOCK];
    float f[BLOCK];

    if (a->p != p)
        ends_of(&a->lo, &a->hi, p);
    a->zero = zero_of(p);
    a->p = p;
    while (n > 0) {
        size_t take = n < BLOCK ? n : BLOCK, m = 0;

        for (size_t i = 0; i < take; i++) {
            f[m] = x[i];
            v[m] = (double)x[i];
            m += isfinite(x[i]) ? 1 : 0;
        }
        quantize(q, v, m, p);
        add_block(a, v, q, m);
        add_codes(a, f, m, p);
        x += take;
        n -= take;
    }
}

/* Shannon entropy of the codes, and how many are in use. */
static double entropy_of(const int64_t *count, size_t n, int64_t *used)
{
    double total = 0, h = 0;

    *used = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)count[i];
    for (size_t i = 0; i < n; i++)
        if (count[i] > 0) {
            double p = (double)count[i] / total;

            h -= p * log2(p);
            ++*used;
        }
    return fmax(h, 0); /* a single code would give -0 */
}

struct totals { /* what both ways arrive at */
    double err2, xx, qq, xq, max_err, peak;
    int64_t n, zeros, clipped;
};

/* Ratios of the sums; an empty tensor divides by 1 and has no error. */
static void finish(struct bd_error_stats *out, const struct totals *a)
{
    double n = a->n > 0 ? (double)a->n : 1;
    double norm = sqrt(a->xx) * sqrt(a->qq);

    out->n = a->n;
    out->mse = a->err2 / n;
    out->peak = a->peak;
    out->psnr_db = bd_psnr_db(a->peak, out->mse);
    out->sqnr_db = bd_sqnr_db(a->xx / n, out->mse);
    out->max_err = a->max_err;
    out->zeros = a->zeros;
    out->clipped = a->clipped;
    /* Two zero tensors point the same way; one zero has no direction. */
    if (norm > 0)
        out->cosine = fmin(1, a->xq / norm);
    else
        out->cosine = out->mse == 0 ? 1 : 0;
}

static bd_status by_pass(struct bd_error_stats *out, const struct bd_weights *w,
                         const struct bd_qset *q, struct bd_err *err)
{
    struct pass a = {.count = bd_calloc(CODES, sizeof(*a.count))};
    struct totals t;

    if (!a.count)
        return bd_fail(err, BD_ENOMEM, "no memory to count the codes in use");
    bd_qset_visit(w, q, add_run, &a);
    t = (struct totals){bd_sum_get(&a.err2),
                        bd_sum_get(&a.xx),
                        bd_sum_get(&a.qq),
                        bd_sum_get(&a.xq),
                        a.max_err,
                        a.peak,
                        a.n,
                        a.zeros,
                        a.clipped};
    finish(out, &t);
    out->entropy_bits = entropy_of(a.count, CODES, &out->levels_used);
    bd_free(a.count);
    return BD_OK;
}

/* A level's share of every sum follows from how many values sit on it and
 * their sum: the weights are not read again. */
static bd_status by_index(struct bd_error_stats *out, const struct bd_index *ix,
                          const struct bd_qparam *p, struct bd_err *err)
{
    size_t n = p->q->levels(NULL, 0, p);
    double *lev = bd_alloc(n, sizeof(*lev)), *cut = bd_alloc(n, sizeof(*cut));
    struct bd_index_price pr = {.occupancy = bd_calloc(n, sizeof(int64_t))};
    bd_status st = BD_ENOMEM;

    if (lev && cut && pr.occupancy) {
        struct totals t;

        p->q->levels(lev, n, p);
        p->q->cuts(cut, n, p);
        bd_index_price(&pr, ix, lev, cut, n);
        t = (struct totals){pr.err2,
                            bd_index_sumsq(ix),
                            pr.qq,
                            pr.xq,
                            pr.max_err,
                            bd_index_absmax(ix),
                            (int64_t)bd_index_count(ix),
                            0,
                            pr.clipped};
        if (p->q->traits & BD_Q_NO_CLIP)
            t.clipped = 0;
        for (size_t i = 0; i < n; i++)
            if (lev[i] == zero_of(p))
                t.zeros += pr.occupancy[i];
        finish(out, &t);
        out->entropy_bits = entropy_of(pr.occupancy, n, &out->levels_used);
        st = BD_OK;
    }
    bd_free(lev);
    bd_free(cut);
    bd_free(pr.occupancy);
    return st == BD_OK
               ? st
               : bd_fail(err, st, "no memory for a grid of %zu levels", n);
}

/* Beyond this many levels the pass is the quicker way. */
enum { MANY = 4096 };

bd_status bd_error_of(struct bd_error_stats *out, const struct bd_weights *w,
                      const struct bd_qset *q, struct bd_err *err)
{
    const struct bd_qparam *p = q->n ? &q->p[0] : NULL;
    struct bd_error_stats s = {0};
    bd_status st;

    if (w->index && q->n == 1 && p->bits > 0 && p->bits < 32 &&
        !(p->q->traits & BD_Q_CELLS) && /* cells are not codes */
        p->q->levels(NULL, 0, p) <= MANY)
        st = by_index(&s, w->index, p, err);
    else
        st = by_pass(&s, w, q, err);
    if (st != BD_OK)
        return st;
    s.stored_bits = q->stored_bits;
    if (p)
        s.clip = p->clip * (p->sigma > 0 ? p->sigma : 1);
    *out = s;
    return BD_OK;
}
