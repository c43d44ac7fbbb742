/* What one pass over the calibration set leaves of a layer's input, or of one
 * channel of it.
 *
 * A bucket is the upper bits of the float: sign, exponent and a few bits of
 * mantissa (7 for a layer, so that its width is below 1 % of its values; 3
 * for a channel).  Within a bucket a value is base + unit * low, where `low`
 * is the rest of the mantissa as a whole number; we keep the count and the
 * sums of low and low^2.  Whole numbers add without rounding: any order of
 * images, any number of threads give the same bits, and sums of x and x^2 are
 * as good as if all values had been kept.  (Of a coarse `low` the lowest four
 * bits are left out of the square, which must not overflow.)
 *
 * Buckets live in blocks of eight octaves of one sign, made when first
 * needed: real activations touch some five of the 64.  The bound is 64 blocks
 * of 24 KB a layer; channels share a purse (chanstat.c). */
#include "actstat_priv.h"
#include "calib_priv.h"

#include <assert.h>

enum {
    SQUARE = 16 /* bits of `low` whose square is summed */
};

void bd_actstat_init(struct bd_actstat *s, int mantissa)
{
    *s = (struct bd_actstat){
        .mantissa = mantissa, .min = INFINITY, .max = -INFINITY};
}

struct bd_actstat *bd_actstat_new(void)
{
    struct bd_actstat *s = bd_alloc(1, sizeof(*s));

    if (s)
        bd_actstat_init(s, BD_ACT_FINE);
    return s;
}

void bd_actstat_done(struct bd_actstat *s)
{
    for (int i = 0; i < BD_ACT_BLOCKS && !s->purse; i++)
        bd_free(s->block[i]);
    if (!s->purse)
        bd_free(s->batch);
    bd_actstat_init(s, s->mantissa);
}

static void *get_room(struct bd_actstat *s, size_t n, size_t size)
{
    if (s->purse)
        return bd_arena_alloc(&s->purse->arena, n, size);
    return bd_calloc(n, size);
}

void bd_actstat_free(struct bd_actstat *s)
{
    if (!s)
        return;
    bd_actstat_done(s);
    bd_free(s);
}

bool bd_actstat_batches(struct bd_actstat *s, int n)
{
    float *b = n > 0 ? get_room(s, (size_t)n, 2 * sizeof(*b)) : NULL;

    if (!b)
        return n == 0;
    for (int i = 0; i < n; i++) {
        b[2 * i] = INFINITY;
        b[2 * i + 1] = -INFINITY;
    }
    if (!s->purse)
        bd_free(s->batch);
    s->batch = b;
    s->nbatch = n;
    return true;
}

/* ------------------------------------------------------------- counting */
static struct bd_actbucket *block_of(struct bd_actstat *s, uint32_t i)
{
    if (s->block[i])
        return s->block[i];
    if (s->failed)
        return NULL; /* asking again would spend what others may have */
    if (s->purse && s->purse->spent++ >= s->purse->most)
        return NULL; /* its owner gives up all statistics of the group */
    s->block[i] = get_room(s, (size_t)8 << s->mantissa, sizeof(**s->block));
    if (!s->block[i])
        s->failed = true;
    return s->block[i];
}

struct span {
    float lo, hi;
};

/* The hot loop of calibration: three whole-number additions a value.  m is a
 * constant at both calls, so that shifts and masks are. */
static inline struct span count(struct bd_actstat *s, const float *x, size_t n,
                                const unsigned m)
{
    const unsigned rest = 23 - m, drop = rest > SQUARE ? rest - SQUARE : 0;
    struct span span = {INFINITY, -INFINITY};

    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        uint64_t low;
        struct bd_actbucket *b;

        memcpy(&u, &x[i], sizeof(u));
        if ((u & 0x7f800000u) == 0x7f800000u) {
            s->odd++; /* not a number, or infinite */
            continue;
        }
        b = block_of(s, u >> 26);
        if (!b)
            return span;
        low = u & ((1u << rest) - 1);
        b += (u >> rest) & ((8u << m) - 1);
        b->n++;
        b->low += low;
        b->low2 += (low >> drop) * (low >> drop);
        s->n++;
        span.lo = x[i] < span.lo ? x[i] : span.lo;
        span.hi = x[i] > span.hi ? x[i] : span.hi;
    }
    return span;
}

static void widen(float *lo, float *hi, struct span by)
{
    *lo = by.lo < *lo ? by.lo : *lo;
    *hi = by.hi > *hi ? by.hi : *hi;
}

static struct span take(struct bd_actstat *s, const float *x, size_t n)
{
    struct span span = s->mantissa == BD_ACT_FINE
                           ? count(s, x, n, BD_ACT_FINE)
                           : count(s, x, n, BD_ACT_COARSE);

    widen(&s->min, &s->max, span);
    return span;
}

void bd_actstat_add(struct bd_actstat *s, const float *x, size_t n)
{
    take(s, x, n);
}

void bd_actstat_add_batch(struct bd_actstat *s, const float *x, size_t n,
                          int batch)
{
    struct span span = take(s, x, n);

    if (batch >= 0 && batch < s->nbatch)
        widen(&s->batch[2 * batch], &s->batch[2 * batch + 1], span);
}

/* Adds counts and whole-number sums: exact, so order does not matter. */
static void merge_block(struct bd_actbucket *to, const struct bd_actbucket *b,
                        int n)
{
    for (int k = 0; k < n; k++) {
        to[k].n += b[k].n;
        to[k].low += b[k].low;
        to[k].low2 += b[k].low2;
    }
}

void bd_actstat_merge(struct bd_actstat *s, const struct bd_actstat *o)
{
    assert(s->mantissa == o->mantissa);
    for (uint32_t i = 0; i < BD_ACT_BLOCKS; i++) {
        struct bd_actbucket *b = o->block[i] ? block_of(s, i) : NULL;

        if (b)
            merge_block(b, o->block[i], 8 << s->mantissa);
    }
    for (int i = 0; i < s->nbatch && i < o->nbatch; i++)
        widen(&s->batch[2 * i], &s->batch[2 * i + 1],
              (struct span){o->batch[2 * i], o->batch[2 * i + 1]});
    s->n += o->n;
    s->odd += o->odd;
    widen(&s->min, &s->max, (struct span){o->min, o->max});
    s->failed = s->failed || o->failed;
}

/* ------------------------------------------------------- bucket by bucket */
int bd_actstat_half(const struct bd_actstat *s)
{
    return BD_ACT_BLOCKS / 2 * (8 << s->mantissa);
}

/* Bucket by its number, which is the upper bits of its values. */
static bool view_of(struct bd_actview *v, const struct bd_actstat *s,
                    uint32_t id)
{
    unsigned rest = (unsigned)(23 - s->mantissa);
    unsigned drop = rest > SQUARE ? rest - SQUARE : 0;
    uint32_t per = 8u << s->mantissa, u = id << rest;
    const struct bd_actbucket *b = s->block[id / per];
    float base, next;
    double unit, unit2;

    if (!b || b[id % per].n == 0)
        return false;
    b += id % per;
    memcpy(&base, &u, sizeof(base));
    u |= 1;
    memcpy(&next, &u, sizeof(next));
    unit = (double)next - (double)base;
    unit2 = ldexp(unit, (int)drop);
    v->n = b->n;
    v->base = (double)base;
    v->end = v->base + ldexp(unit, (int)rest);
    v->d1 = unit * (double)b->low;
    v->d2 = unit2 * unit2 * (double)b->low2;
    return true;
}

bool bd_actstat_magnitude(struct bd_actview *v, const struct bd_actstat *s,
                          int i, bool negative)
{
    return view_of(v, s, (uint32_t)(i + (negative ? bd_actstat_half(s) : 0)));
}

/* The negative half runs backwards; blocks without values are skipped
 * whole. */
int bd_actstat_next(struct bd_actview *v, const struct bd_actstat *s, int i)
{
    int half = bd_actstat_half(s), all = 2 * half, per = 8 << s->mantissa;

    while (i < all) {
        int id = i < half ? all - 1 - i : i - half;

        if (!s->block[id / per])
            i += per - i % per;
        else if (view_of(v, s, (uint32_t)id))
            return i + 1;
        else
            i++;
    }
    return -1;
}
