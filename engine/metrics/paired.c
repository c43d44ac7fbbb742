/* Two networks judged on the same images.
 *
 * Only images on which exactly one of them is right say anything about which
 * is better; if both are equally good each such image is a toss of a fair
 * coin, so the count of one side is binomial with p = 1/2.  The sum of its
 * tail is taken from the largest term outwards, each term from its neighbour
 * by a ratio, after one logarithm: no factorial overflows at any count. */
#include "metrics/metrics.h"

#include <math.h>
#include <stdio.h>

/* log of C(n, k) / 2^n. */
static double log_term(int64_t n, int64_t k)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) -
           lgamma((double)(n - k) + 1) - (double)n * log(2.0);
}

double bd_mcnemar(double *mid, int64_t only_a, int64_t only_b)
{
    int64_t n = only_a + only_b, k = only_a < only_b ? only_a : only_b;
    double last = exp(log_term(n, k)), tail = 0, term = 1, exact;

    /* Terms shrink on the way down to 0; what no longer changes the sum is
     * not added. */
    for (int64_t i = k; i >= 0 && term > 1e-18; i--) {
        tail += term;
        term *= (double)i / (double)(n - i + 1);
    }
    tail *= last;
    exact = 2 * tail < 1 ? 2 * tail : 1;
    if (n == 0)
        exact = last = 1;
    if (mid) /* half of each of the two outermost terms */
        *mid = n == 0 ? 1 : 2 * tail - last < 1 ? 2 * tail - last : 1;
    return exact;
}

void bd_paired_of(struct bd_paired *out, const int32_t *a, const int32_t *b,
                  const int *labels, int64_t n)
{
    struct bd_paired p = {.total = n};

    for (int64_t i = 0; i < n; i++) {
        p.same += a[i] == b[i];
        if (!labels || labels[i] < 0)
            continue;
        bool ra = a[i] == labels[i], rb = b[i] == labels[i];
        p.images++;
        p.both += ra && rb;
        p.only_a += ra && !rb;
        p.only_b += rb && !ra;
        p.neither += !ra && !rb;
    }
    p.p_exact = bd_mcnemar(&p.p_mid, p.only_a, p.only_b);
    *out = p;
}

char *bd_paired_words(char *out, size_t cap, const struct bd_paired *p)
{
    char chance[40];

    if (p->images == 0)
        snprintf(out, cap, "no labelled images: nobody knows who is right");
    else if (p->only_a + p->only_b == 0)
        snprintf(out, cap, "right and wrong on the same images, all %lld",
                 (long long)p->images);
    else {
        if (p->p_mid < 0.0001)
            snprintf(chance, sizeof chance, "p < 0.0001");
        else
            snprintf(chance, sizeof chance, "p = %.2g", p->p_mid);
        snprintf(out, cap, "B better on %lld, worse on %lld of %lld images: "
                 "%s%s", (long long)p->only_b, (long long)p->only_a,
                 (long long)p->images, chance,
                 p->p_mid > 0.05 ? ", may be chance" : "");
    }
    return out;
}
