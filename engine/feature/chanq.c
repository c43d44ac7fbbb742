/* One channel under its quantizer, and the two ways without a table: one
 * interval for all channels, and each channel's own without clipping. */
#include "feature/feature.h"

#include <math.h>
#include <string.h>

const char *const bd_feature_kind_names[] = {"uniform", "dorefa", "log", NULL};

int bd_feature_kind_find(const char *name)
{
    for (int k = 0; bd_feature_kind_names[k]; k++)
        if (strcmp(bd_feature_kind_names[k], name) == 0)
            return k;
    return -1;
}

void bd_chanq_apply(double *y, const float *x, size_t n,
                    const struct bd_chanq *q)
{
    if (q->bits > 16) { /* as it is */
        for (size_t i = 0; i < n; i++)
            y[i] = (double)x[i];
        return;
    }
    if (!(q->interval > 0)) { /* the table's word for an all-zero channel */
        memset(y, 0, n * sizeof *y);
        return;
    }
    switch (q->kind) {
    case BD_FEATURE_UNIFORM:
        bd_feature_uniform(y, x, n,
                           &(struct bd_feature_uniform){
                               q->interval, q->bits, q->is_signed});
        return;
    case BD_FEATURE_DOREFA:
        bd_feature_dorefa(y, x, n, q->interval, q->bits);
        return;
    case BD_FEATURE_LOG:
        bd_feature_log(y, x, n,
                       &(struct bd_feature_log){q->range, q->interval, q->bits,
                                                q->is_signed});
        return;
    case BD_FEATURE_KINDS:
        return;
    }
}

/* Sum of squared errors of n values, block by block on the stack. */
static double squares(const float *x, size_t n, const struct bd_chanq *q)
{
    double y[512], s = 0;

    for (size_t i = 0; i < n; i += 512) {
        size_t m = n - i < 512 ? n - i : 512;

        bd_chanq_apply(y, x + i, m, q);
        for (size_t k = 0; k < m; k++) {
            double e = (double)x[i + k] - y[k];

            s += e * e;
        }
    }
    return s;
}

double bd_feature_error(const struct bd_feature *f, const struct bd_chanq *q)
{
    size_t n = (size_t)(f->images * f->size);
    double s = 0;

    for (int64_t c = 0; c < f->channels; c++)
        s += squares(f->x + (size_t)c * n, n, &q[c]);
    return n ? s / (double)n / (double)f->channels : 0;
}

static bool any_negative(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] < 0) /* -0.0 is not */
            return true;
    return false;
}

void bd_feature_one_interval(struct bd_chanq *q, const struct bd_feature *f,
                             int bits)
{
    size_t n = (size_t)(f->channels * f->images * f->size);
    struct bd_chanq all = {.kind = BD_FEATURE_UNIFORM, .bits = bits};

    all.interval = bd_feature_full_interval(f->x, n, bits);
    all.is_signed = any_negative(f->x, n);
    for (int64_t c = 0; c < f->channels; c++)
        q[c] = all;
}

void bd_feature_no_clip(struct bd_chanq *q, const struct bd_feature *f,
                        int bits)
{
    size_t n = (size_t)(f->images * f->size);

    for (int64_t c = 0; c < f->channels; c++) {
        const float *x = f->x + (size_t)c * n;

        q[c] = (struct bd_chanq){.kind = BD_FEATURE_UNIFORM, .bits = bits};
        q[c].interval = bd_feature_full_interval(x, n, bits);
        q[c].is_signed = any_negative(x, n);
    }
}
