/* The additive rule (Li et al. 2020; apot.md section 2) and the two methods
 * built on it, pot and apot, which differ by one number.
 *
 * A magnitude is a sum of one element from each of n term sets.  All terms of
 * one sum have distinct exponents, so the 2^B sums are all different and the
 * set can be grown term by term: merging the shifted copies of a sorted list
 * keeps it sorted, without a sort.  Values are sums of powers of two of
 * nearby exponents, exact in double; only the division by the maximum
 * rounds. */
#include "quant_priv.h"

/* Merges out[0..n) with base[0..nb), each plus `add`; both ascend. */
static size_t merge_shifted(double *out, size_t n, const double *base,
                            size_t nb, double add)
{
    double tmp[BD_QUANT_SMALL];
    size_t i = 0, j = 0, k = 0;

    while (i < n || j < nb)
        tmp[k++] = j == nb || (i < n && out[i] <= base[j] + add)
                       ? out[i++]
                       : base[j++] + add;
    memcpy(out, tmp, k * sizeof(*out));
    return k;
}

/* One more term set {0} and `count` elements; list grows by 1 + count. */
static size_t add_term(double *list, size_t n, const double *term, size_t count)
{
    double base[BD_QUANT_SMALL];
    size_t total = n;

    memcpy(base, list, n * sizeof(*list));
    for (size_t e = 0; e < count; e++)
        total = merge_shifted(list, total, base, n, term[e]);
    return total;
}

/* Term sets of B = k*n; for k = 2 also odd B, where the third element moves
 * one place and a 1-bit term joins.  list needs room for 2^B. */
static size_t all_sums(double *list, int B, int k)
{
    int n = B / k;
    bool odd = B % k != 0;
    double term[BD_QUANT_SMALL];
    size_t total = 1, count = ((size_t)1 << k) - 1;

    list[0] = 0; /* the empty sum */
    for (int i = 0; i < n; i++) {
        for (size_t j = 0; j < count; j++)
            term[j] = ldexp(1, -(i + (int)j * n));
        if (odd)
            term[2] = ldexp(1, -(i + 2 * n + 1));
        total = add_term(list, total, term, count);
    }
    if (odd) {
        term[0] = ldexp(1, -2 * n);
        total = add_term(list, total, term, 1);
    }
    return total;
}

size_t bd_additive_levels(double *out, size_t cap, int B, int k)
{
    double list[BD_QUANT_SMALL];
    size_t n;

    if (B < 1 || B > 8 || k < 1 || k > B + (k == 2) || (k != 2 && B % k != 0))
        return 0;
    n = all_sums(list, B, k);
    for (size_t i = 0; i < n; i++)
        bd_quant_emit(out, cap, i, list[i] / list[n - 1]);
    return n;
}

/* ------------------------------------------------------ pot and apot */
/* Largest z with z / clip <= d, as division rounds: then comparing with the
 * threshold is the same as projecting z / clip. */
static double threshold(double d, double clip)
{
    double t = d * clip;

    while (t / clip > d)
        t = nextafter(t, 0);
    for (;;) {
        double up = nextafter(t, INFINITY);

        if (!(up / clip <= d))
            return t;
        t = up;
    }
}

void bd_quant_additive_mags(struct bd_quant_mags *g, const struct bd_qparam *p,
                            int k)
{
    int B = p->is_signed ? p->bits - 1 : p->bits;
    double unit[BD_QUANT_SMALL];

    if (p->nbook > 0 && p->nbook <= BD_QUANT_SMALL) {
        g->n = p->nbook;
        memcpy(unit, p->book, g->n * sizeof(*unit));
    } else {
        g->n = bd_additive_levels(unit, BD_QUANT_SMALL, B, k ? k : B);
    }
    for (size_t i = 0; i < g->n; i++)
        g->m[i] = unit[i] * p->clip;
    for (size_t i = 0; i + 1 < g->n; i++)
        g->t[i] = threshold((unit[i] + unit[i + 1]) / 2, p->clip);
}
