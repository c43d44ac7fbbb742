/* Pairs of doubles whose sum stands for one number of about 106 bits.
 *
 * The squared error of a grid is S2 - 2*q*S1 + n*q^2, where the three terms
 * are thousands to billions of times larger than the result; in plain double
 * the answer for 8 bits would keep some ten digits and for 16 bits almost
 * none.  Classical error-free transformations (Knuth, Dekker) need no fused
 * multiply-add, so every processor gives the same bits. */
#ifndef BD_QUANT_EXACT_H
#define BD_QUANT_EXACT_H

struct bd_pair {
    double hi, lo;
};

/* hi + lo equals a + b exactly. */
static inline struct bd_pair bd_pair_sum(double a, double b)
{
    double s = a + b, t = s - a;
    struct bd_pair r = {s, (a - (s - t)) + (b - t)};

    return r;
}

/* The same when |a| >= |b|. */
static inline struct bd_pair bd_pair_norm(double a, double b)
{
    double s = a + b;
    struct bd_pair r = {s, b - (s - a)};

    return r;
}

/* hi + lo equals a * b exactly (Dekker): halves of 26 bits multiply without
 * rounding. */
static inline struct bd_pair bd_pair_mul(double a, double b)
{
    const double split = 134217729.0; /* 2^27 + 1 */
    double ca = split * a, ah = ca - (ca - a), al = a - ah;
    double cb = split * b, bh = cb - (cb - b), bl = b - bh;
    double p = a * b;
    struct bd_pair r = {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};

    return r;
}

static inline struct bd_pair bd_pair_add(struct bd_pair a, struct bd_pair b)
{
    struct bd_pair s = bd_pair_sum(a.hi, b.hi);

    return bd_pair_norm(s.hi, s.lo + (a.lo + b.lo));
}

static inline struct bd_pair bd_pair_sub(struct bd_pair a, struct bd_pair b)
{
    struct bd_pair m = {-b.hi, -b.lo};

    return bd_pair_add(a, m);
}

static inline struct bd_pair bd_pair_scale(struct bd_pair a, double b)
{
    struct bd_pair p = bd_pair_mul(a.hi, b);

    return bd_pair_norm(p.hi, p.lo + a.lo * b);
}

static inline struct bd_pair bd_pair_plus(struct bd_pair a, double b)
{
    struct bd_pair s = bd_pair_sum(a.hi, b);

    return bd_pair_norm(s.hi, s.lo + a.lo);
}

#endif
