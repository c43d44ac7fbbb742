/* Accuracy, loss and distance to the float network, from logits.  Sums run
 * in image order in double, so every thread count gives the same bits. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "metrics/metrics.h"

bool bd_ends_in_softmax(const struct bd_model *m)
{
    int node = m->value[m->output[0]].producer;

    return node >= 0 && strcmp(m->node[node].op, "Softmax") == 0;
}

void bd_logits_of(float *z, size_t n, const struct bd_model *m)
{
    bool probabilities = bd_ends_in_softmax(m);

    for (size_t i = 0; probabilities && i < n; i++)
        z[i] = logf(fmaxf(z[i], FLT_MIN));
}

/* How many classes beat class c; among equal logits the lower index wins.  A
 * logit that is not a number loses against everything. */
static int64_t rank_of(const float *z, int64_t classes, int64_t c)
{
    int64_t r = 0;

    for (int64_t k = 0; k < classes; k++) {
        if (k == c)
            continue;
        if (isnan(z[c]))
            r += !isnan(z[k]) || k < c;
        else
            r += z[k] > z[c] || (z[k] == z[c] && k < c);
    }
    return r;
}

/* The class predicted, by the same rule as rank_of: rank 0. */
static int64_t best_of(const float *z, int64_t classes)
{
    int64_t best = 0;

    for (int64_t k = 1; k < classes; k++)
        if (z[k] > z[best] || (isnan(z[best]) && !isnan(z[k])))
            best = k;
    return best;
}

/* log(sum(exp(z))), shifted by the maximum so that nothing overflows. */
static double log_sum_exp(const float *z, int64_t classes)
{
    double top = (double)z[best_of(z, classes)], sum = 0;

    if (!isfinite(top))
        return top;
    for (int64_t k = 0; k < classes; k++)
        sum += exp((double)z[k] - top);
    return top + log(sum);
}

/* KL(float || quantized) in nats; NaN where an answer holds one: that is no
 * agreement. */
static double divergence(const float *f, const float *z, int64_t classes)
{
    double lf = log_sum_exp(f, classes), lz = log_sum_exp(z, classes);
    double kl = 0;

    for (int64_t k = 0; k < classes; k++) {
        double a = (double)f[k] - lf, p = exp(a);

        if (!(p <= 0))
            kl += p * (a - ((double)z[k] - lz));
    }
    return kl;
}

/* Images without a label count for agreement and divergence only. */
static void add_labelled(struct bd_net_eval *out, const float *z, int label,
                         int64_t classes)
{
    int64_t r;

    if (label < 0 || label >= classes)
        return;
    r = rank_of(z, classes, label);
    out->right1 += r < 1;
    out->right5 += r < 5;
    out->loss += log_sum_exp(z, classes) - (double)z[label];
    out->images++;
}

void bd_eval_logits(struct bd_net_eval *out, const float *logits,
                    const float *float_logits, const int *labels, int64_t n,
                    int64_t classes)
{
    double kl = 0, agree = 0;

    *out = (struct bd_net_eval){.total = n};
    for (int64_t i = 0; classes > 0 && i < n; i++) {
        const float *z = logits + i * classes;

        add_labelled(out, z, labels ? labels[i] : -1, classes);
        if (float_logits) {
            const float *f = float_logits + i * classes;

            kl += divergence(f, z, classes);
            agree += best_of(f, classes) == best_of(z, classes);
        }
    }
    out->top1 = out->images ? (double)out->right1 / (double)out->images : 0;
    out->top5 = out->images ? (double)out->right5 / (double)out->images : 0;
    out->loss = out->images ? out->loss / (double)out->images : 0;
    out->kl = float_logits && n > 0 ? kl / (double)n : NAN;
    out->agreement = float_logits && n > 0 ? agree / (double)n : NAN;
    bd_wilson(&out->ci_lo, &out->ci_hi, out->right1, out->images);
}

void bd_answers(int32_t *out, const float *logits, int64_t n, int64_t classes)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (int32_t)best_of(logits + i * classes, classes);
}
