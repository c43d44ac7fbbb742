/* Moments of a tensor, in two passes so that the deviation does not suffer
 * from cancellation.  Each block of values is summed on its own and the block
 * sums added with Neumaier's correction: the result is the same bits for the
 * same input, whoever asks (the index and the direct path must agree). */
#include "quant_priv.h"

enum {
    LANES = 8,
    CHUNK = 4096 /* values summed plainly before the correction */
};

struct part { /* of one chunk, eight lanes each */
    bd_quant_d8 sum, abs, sq, min, max;
    bd_quant_l8 n;
};

static double across(const bd_quant_d8 *v)
{
    const double *l = (const double *)v;

    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

/* Eight floats as doubles; what is not finite becomes 0 and leaves its mask
 * lane 0 (x - x is not a number for those). */
#define LOAD_FINITE(v, ok, x)                                                  \
    do {                                                                       \
        bd_quant_f8 f8;                                                        \
        memcpy(&f8, x, sizeof(f8));                                            \
        v = __builtin_convertvector(f8, bd_quant_d8);                          \
        ok = (v - v) == 0;                                                     \
        v = (bd_quant_d8)((bd_quant_l8)v & ok);                                \
    } while (0)

BD_QUANT_CLONES
static void first_chunk(struct part *out, const float *x, size_t n)
{
    struct part p = {.min = (bd_quant_d8){0} + INFINITY,
                     .max = (bd_quant_d8){0} - INFINITY};
    const int64_t no_sign = INT64_MAX;

    for (size_t i = 0; i < n; i += LANES) {
        bd_quant_d8 v;
        bd_quant_l8 ok, less, more;

        LOAD_FINITE(v, ok, x + i);
        less = (v < p.min) & ok;
        more = (v > p.max) & ok;
        p.sum += v;
        p.abs += (bd_quant_d8)((bd_quant_l8)v & no_sign);
        p.sq += v * v;
        p.min = (bd_quant_d8)(((bd_quant_l8)v & less) |
                              ((bd_quant_l8)p.min & ~less));
        p.max = (bd_quant_d8)(((bd_quant_l8)v & more) |
                              ((bd_quant_l8)p.max & ~more));
        p.n -= ok;
    }
    *out = p;
}

BD_QUANT_CLONES
static double variance_chunk(const float *x, size_t n, double mean)
{
    bd_quant_d8 sum = {0};

    for (size_t i = 0; i < n; i += LANES) {
        bd_quant_d8 v;
        bd_quant_l8 ok;

        LOAD_FINITE(v, ok, x + i);
        v = (bd_quant_d8)((bd_quant_l8)(v - mean) & ok);
        sum += v * v;
    }
    return across(&sum);
}

struct first { /* of the first pass */
    struct bd_sum sum, abs, sq;
    double min, max;
    size_t n;
};

static void add_chunk(struct first *f, const float *x, size_t n)
{
    struct part p;

    first_chunk(&p, x, n);
    bd_sum_add(&f->sum, across(&p.sum));
    bd_sum_add(&f->abs, across(&p.abs));
    bd_sum_add(&f->sq, across(&p.sq));
    for (int k = 0; k < LANES; k++) {
        f->min = fmin(f->min, p.min[k]);
        f->max = fmax(f->max, p.max[k]);
        f->n += (size_t)p.n[k];
    }
}

/* The last, incomplete eight of x[0..n), filled up with what nobody counts. */
static void tail_of(float pad[LANES], const float *x, size_t n)
{
    for (size_t k = 0; k < LANES; k++)
        pad[k] = k < n % LANES ? x[n - n % LANES + k] : NAN;
}

static double variance_sum(const float *x, size_t n, double mean)
{
    struct bd_sum total = {0, 0};
    size_t whole = n - n % LANES;
    float pad[LANES];

    for (size_t i = 0; i < whole; i += CHUNK)
        bd_sum_add(
            &total,
            variance_chunk(x + i, whole - i < CHUNK ? whole - i : CHUNK, mean));
    tail_of(pad, x, n);
    bd_sum_add(&total, variance_chunk(pad, LANES, mean));
    return bd_sum_get(&total);
}

void bd_moments_of(struct bd_moments *out, const float *x, size_t n)
{
    struct first f = {.min = INFINITY, .max = -INFINITY};

    size_t whole = n - n % LANES;
    float pad[LANES];

    *out = (struct bd_moments){0};
    for (size_t i = 0; i < whole; i += CHUNK)
        add_chunk(&f, x + i, whole - i < CHUNK ? whole - i : CHUNK);
    tail_of(pad, x, n);
    add_chunk(&f, pad, LANES);
    if (f.n == 0)
        return;
    out->n = f.n;
    out->min = f.min;
    out->max = f.max;
    out->absmax = fmax(-f.min, f.max);
    out->mean = bd_sum_get(&f.sum) / (double)f.n;
    out->absmean = bd_sum_get(&f.abs) / (double)f.n;
    out->sumsq = bd_sum_get(&f.sq);
    if (f.n > 1 && f.min < f.max)
        out->std = sqrt(variance_sum(x, n, out->mean) / (double)(f.n - 1));
    if (f.min == f.max)
        out->mean = f.min; /* exact, so that a constant maps to itself */
}
