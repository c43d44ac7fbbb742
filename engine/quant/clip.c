/* Clip rules by name: what they are called, and the number some take. */
#include <float.h>

#include "quant_priv.h"

const char *const bd_clip_names[] = {"max",    "percentile", "mse",
                                     "manual", "learned",    "kl",
                                     "aciq",   "ema",        NULL};

const char *const bd_clip_titles[] = {
    "the largest magnitude",
    "leaves this share of magnitudes inside; percentile99.9 is usual",
    "least squared error of 100 clips",
    "by hand, as manual0.173",
    "what came with the checkpoint",
    "least divergence of histograms (TensorRT's calibration)",
    "least error under a Laplace or Gauss distribution, by formula",
    "moving average over batches of 16 images, inputs only; or ema0.1",
    NULL};

bool bd_clip_numbered(int rule)
{
    return rule == BD_CLIP_PERCENTILE || rule == BD_CLIP_MANUAL ||
           rule == BD_CLIP_EMA;
}

/* Values a rule takes: any clip above 0, up to 100 %, up to the newest batch
 * alone. */
static bool number_fits(int rule, double v)
{
    double most = rule == BD_CLIP_PERCENTILE ? 100
                  : rule == BD_CLIP_EMA      ? 1
                                             : (double)FLT_MAX;

    return (float)v > 0 && v <= most;
}

/* The name a word begins with, and what stands behind it. */
static int rule_of(const char **rest, const char *word)
{
    static const char other[] = "moving-average";
    size_t n = sizeof(other) - 1;

    if (strncmp(word, other, n) == 0) {
        *rest = word + n;
        return BD_CLIP_EMA;
    }
    for (int i = 0; bd_clip_names[i]; i++) {
        n = strlen(bd_clip_names[i]);
        if (strncmp(word, bd_clip_names[i], n) == 0) {
            *rest = word + n;
            return i;
        }
    }
    return -1;
}

bool bd_clip_parse(enum bd_clip_rule *rule, float *value, const char *word)
{
    const char *rest = "";
    int i = rule_of(&rest, word);
    double v = 0;

    if (i < 0 || (*rest == '\0' && i == BD_CLIP_MANUAL))
        return false;
    if (*rest != '\0' && !(bd_clip_numbered(i) && bd_parse_double(&v, rest) &&
                           number_fits(i, v)))
        return false;
    *rule = (enum bd_clip_rule)i;
    *value = (float)v;
    return true;
}
