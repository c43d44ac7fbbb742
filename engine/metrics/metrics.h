/* metrics: numbers about a quantized tensor and a quantized network.  Error
 * of a layer (MSE, PSNR, SQNR, ...), sizes and bit operations, accuracy with
 * its interval. */
#ifndef BD_METRICS_H
#define BD_METRICS_H

#include "calib/calib.h"
#include "config/config.h"
#include "graph/graph.h"

struct bd_error_stats {
    double mse, psnr_db, sqnr_db, cosine, max_err; /* dB is INFINITY at 0 */
    double peak;          /* max|x| of the original */
    double entropy_bits;  /* of the codes, per element */
    int64_t n, levels_used, zeros, clipped;
    double clip;          /* of the first parameter set, original domain */
    int64_t stored_bits;
};
double bd_psnr_db(double peak, double mse);
double bd_sqnr_db(double power, double mse);
/* Exact: through w->index where q is one grid for the tensor (microseconds),
 * else in one blocked pass; q as fitted. */
bd_status bd_error_of(struct bd_error_stats *out, const struct bd_weights *w,
                      const struct bd_qset *q, struct bd_err *err);

/* mse, psnr, sqnr, peak, clip and n alone, of weights without an index, in
 * one plain pass over what will run (float32).  BD_EUNSUPPORTED where more
 * than a pass is needed (clip searches, widths per channel). */
bd_status bd_error_quick(struct bd_error_stats *out,
                         const struct bd_weights *w,
                         const struct bd_tensorcfg *cfg, struct bd_ctl *ctl,
                         struct bd_err *err);

/* ---------------------------------------------------------------- sizes */
struct bd_cost {
    int64_t size_bits;   /* codes, scales, zero points, codebooks, masks, and
                            the float parameters that stay float */
    int64_t float_bits;  /* the same network in float32 */
    double avg_bits_w;   /* stored bits per quantizable weight */
    double avg_bits_a;   /* mean width of layer inputs, weighted by elements */
    double bops;         /* sum of macs * bits_w * bits_a */
};
int64_t bd_stored_bits(const struct bd_model *m, int layer,
                       const struct bd_tensorcfg *w);
/* Mean width of one weight's code, without side information. */
double bd_code_bits(const struct bd_tensorcfg *w);
/* Elements of a layer's input, which weigh its width; 1 when no plan knows
 * them. */
double bd_input_size(const struct bd_model *m, const struct bd_plan *plan,
                     int layer);
void bd_cost_of(struct bd_cost *out, const struct bd_model *m,
                const struct bd_plan *plan /* NULL: bops 0 */,
                const struct bd_bitcfg *c);

/* ---------------------------------------------------------------- accuracy */
struct bd_net_eval {
    int64_t images, total; /* evaluated of all: partial when fewer */
    int64_t right1, right5;
    double top1, top5, loss; /* fractions; mean cross-entropy in nats */
    double ci_lo, ci_hi;   /* 95 % Wilson interval of top1 */
    double kl, agreement;  /* against float; NaN when float is unknown */
};
/* A network that ends in Softmax gives probabilities.  Their logarithm is
 * what loss and KL take for logits: softmax(log p) = p.  z[n] in place, where
 * m is such a network; else nothing happens. */
bool bd_ends_in_softmax(const struct bd_model *m);
void bd_logits_of(float *z, size_t n, const struct bd_model *m);
void bd_wilson(double *lo, double *hi, int64_t right, int64_t n);
/* logits, float_logits (NULL ok): [n, classes]; labels[n], -1 = none, or
 * NULL.  images counts the labelled ones, total is n.  Among equal logits the
 * lower class index wins. */
void bd_eval_logits(struct bd_net_eval *out, const float *logits,
                    const float *float_logits, const int *labels, int64_t n,
                    int64_t classes); /* six: all pure inputs */

/* Two networks on the same images, so that what both find easy or hard
 * cancels out: far fewer images tell them apart than two separate accuracies
 * would need. */
struct bd_paired {
    int64_t images;                      /* labelled: the four add up to it */
    int64_t both, only_a, only_b, neither; /* who was right */
    int64_t same, total;                 /* equal answers, of all images */
    double p_exact, p_mid;               /* see bd_mcnemar */
};
/* a, b: [n] classes answered; labels[n], -1 = none, or NULL. */
void bd_paired_of(struct bd_paired *out, const int32_t *a, const int32_t *b,
                  const int *labels, int64_t n);
/* McNemar's test, two-sided: how likely are the two counts, or counts further
 * apart, if both networks are equally good?  Exact binomial (returned) and
 * its mid-p form, which is less timid on few images and hardly ever too bold
 * (Fagerland, Lydersen, Laake 2013).  1 when both counts are 0. */
double bd_mcnemar(double *mid, int64_t only_a, int64_t only_b);
/* In words: "B better on 31, worse on 12 of 1024 images: p = 0.0038".  Says
 * when the difference may be chance (mid-p above 0.05). */
char *bd_paired_words(char *out, size_t cap, const struct bd_paired *p);
/* The class of each row of logits [n, classes]; ties go to the lower index,
 * as in bd_eval_logits. */
void bd_answers(int32_t *out, const float *logits, int64_t n,
                int64_t classes);

#endif
