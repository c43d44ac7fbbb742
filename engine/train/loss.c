/* Softmax cross-entropy, the loss of classifiers, in double throughout. */
#include "train_priv.h"

#include <math.h>

int64_t bd_train_argmax(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* Shifting by the largest logit keeps exp() within range and changes
 * nothing: -log softmax = log(sum exp(x - max)) - (x[label] - max). */
double bd_train_loss(float *grad, const float *logits, int64_t n, int label,
                     double scale)
{
    const double top = (double)logits[bd_train_argmax(logits, n)];
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - top);
    for (int64_t i = 0; grad && i < n; i++) {
        double p = exp((double)logits[i] - top) / sum;
        grad[i] = (float)((p - (i == label ? 1.0 : 0.0)) * scale);
    }
    return log(sum) - ((double)logits[label] - top);
}
