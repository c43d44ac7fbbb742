/* Losses over squared errors: what a sweep measured at a few widths prices
 * every other choice of the same layer.  Between measured errors the loss is
 * interpolated on logarithmic axes, beyond them it grows in proportion. */
#include "session/search_priv.h"

#include <math.h>
#include <stdlib.h>

static int by_err(const void *a, const void *b)
{
    const struct bd_loss_pair *x = a, *y = b;
    if (x->err2 != y->err2)
        return x->err2 < y->err2 ? -1 : 1;
    return x->loss < y->loss ? -1 : x->loss > y->loss;
}

size_t bd_loss_tidy(struct bd_loss_pair *p, size_t n)
{
    size_t kept = 0;
    qsort(p, n, sizeof *p, by_err);
    for (size_t i = 0; i < n; i++) {
        if (!(p[i].err2 > 0) || !isfinite(p[i].loss))
            continue;
        p[kept] = p[i];
        if (kept > 0 && p[kept].err2 == p[kept - 1].err2)
            kept--;
        p[kept].loss = fmax(p[i].loss, kept > 0 ? p[kept - 1].loss : 1e-12);
        kept++;
    }
    return kept;
}

double bd_loss_at(const struct bd_loss_pair *p, size_t n, double err2)
{
    size_t k = 1;
    if (!(err2 > 0))
        return 0;
    if (err2 <= p[0].err2)
        return p[0].loss * err2 / p[0].err2;
    while (k < n && p[k].err2 < err2)
        k++;
    if (k == n)
        return p[n - 1].loss * err2 / p[n - 1].err2;
    double f = log(err2 / p[k - 1].err2) / log(p[k].err2 / p[k - 1].err2);
    return exp(log(p[k - 1].loss) + f * log(p[k].loss / p[k - 1].loss));
}

int bd_loss_metric(const struct bd_sens_table *t)
{
    static const enum bd_sens_metric order[] = {
        BD_SENS_KL, BD_SENS_LOSS, BD_SENS_OUT_MSE, BD_SENS_FISHER,
        BD_SENS_TOP1};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (t->metrics & 1u << order[i])
            return order[i];
    return -1;
}
