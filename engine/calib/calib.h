/* calib: from a chosen configuration to fitted parameters.  Clip rules (max,
 * percentile, mse, manual, learned), per tensor, channel or group; the
 * streaming statistics of activations they need.  Quantizers themselves are
 * in quant/. */
#ifndef BD_CALIB_H
#define BD_CALIB_H

#include "job/job.h"
#include "quant/quant.h"

/* ------------------------------------------------------------- activations
 * What one pass over the calibration set leaves of one layer's input, or of
 * one channel of it: counts per bucket of the upper bits of the float, with
 * exact sums.  Bounded memory; the same for any order of images and any
 * thread count.  Not-a-number and infinite values are counted apart and left
 * out of everything else.  Reading: any thread, once nobody adds. */
struct bd_actstat;
struct bd_actstat *bd_actstat_new(void);
void bd_actstat_free(struct bd_actstat *s);
void bd_actstat_add(struct bd_actstat *s, const float *x, size_t n);
void bd_actstat_merge(struct bd_actstat *s, const struct bd_actstat *o);
int64_t bd_actstat_count(const struct bd_actstat *s); /* finite values */
int64_t bd_actstat_nonfinite(const struct bd_actstat *s);
double bd_actstat_min(const struct bd_actstat *s); /* all 0 when empty */
double bd_actstat_max(const struct bd_actstat *s);
double bd_actstat_absmax(const struct bd_actstat *s);
double bd_actstat_mean(const struct bd_actstat *s);
double bd_actstat_absmean(const struct bd_actstat *s); /* of |x| */
double bd_actstat_std(const struct bd_actstat *s);     /* unbiased (n - 1) */
double bd_actstat_sumsq(const struct bd_actstat *s);
double bd_actstat_quantile_abs(const struct bd_actstat *s, double q);
/* Sum of squared error of a grid; exact but for buckets that a cut runs
 * through. */
double bd_actstat_error(const struct bd_actstat *s, const double *levels,
                        const double *cuts, size_t nlev);
/* The answer to struct bd_quant_data: count and sums between cuts. */
bool bd_actstat_cells(struct bd_quant_cell *out, const void *stat,
                      const double *cuts, size_t ncuts);
void bd_actstat_histogram(const struct bd_actstat *s, double lo, double hi,
                          int64_t *bins, int nbins);

/* Batches of images (fixed, in image order), whose smallest and largest
 * values are kept for the moving average.  n slots, emptied; false: no
 * memory.  Values added to a batch count for the whole as well. */
bool bd_actstat_batches(struct bd_actstat *s, int n);
void bd_actstat_add_batch(struct bd_actstat *s, const float *x, size_t n,
                          int batch);
/* v <- v + c (x - v) over the largest (or smallest) value of each batch,
 * beginning with the first batch's (Krishnamoorthi 2018, section 3.1.1). */
double bd_actstat_average(const struct bd_actstat *s, bool largest, double c);

/* The same per channel of a layer's input; every channel is a bd_actstat with
 * coarser buckets (12 % of their values; sums to 2e-6).  Memory: at most 15 KB
 * a channel, shared by the channels; a layer that needs more gives up all of
 * them (bd_chanstat_at: NULL). */
struct bd_chanstat;
struct bd_chanstat *bd_chanstat_new(int64_t channels, int batches);
void bd_chanstat_free(struct bd_chanstat *s);
/* Adds all of x[outer][channels][inner], of one batch (-1: none). */
void bd_chanstat_add(struct bd_chanstat *s, const float *x,
                     struct bd_slices sl, int batch);
int64_t bd_chanstat_channels(const struct bd_chanstat *s);
/* Borrowed; NULL when given up or there is no such channel. */
const struct bd_actstat *bd_chanstat_at(const struct bd_chanstat *s,
                                        int64_t channel);

/* ---------------------------------------------------------------- fitting */
struct bd_qset { /* fitted parameters of a whole tensor */
    struct bd_tensorcfg cfg;
    size_t n;             /* 1, channels, or channels * groups */
    struct bd_qparam *p;  /* [n]; owned */
    double *books;        /* learned levels, one set's after the other's,
                             which p borrows; owned, NULL if none learns */
    size_t groups;        /* per channel; 1 unless grain is group */
    int64_t stored_bits;  /* codes plus side information */
};
void bd_qset_done(struct bd_qset *s);
/* Bits cfg takes to store a tensor of that shape: codes, scales, zero points
 * and widths per channel; float is 32 each. */
int64_t bd_calib_stored_bits(const struct bd_tensorcfg *cfg,
                             struct bd_slices slices);

struct bd_weights { /* a weight tensor as calib sees it; borrowed */
    const float *x;
    struct bd_slices slices;
    float learned_clip;         /* NaN if none */
    const struct bd_index *index; /* of the whole tensor, or NULL */
};

/* Fits cfg (not float) to the weights.  The mse rule tries alpha = i/100 of
 * the largest magnitude, i = 1..100, first minimum (apot.md section 9).
 * `learned` takes the checkpoint's clip in its own, unmapped domain.  Stale
 * ctl: BD_ECANCELLED.  `manual` and the clips shown are in the domain of the
 * weights; p->clip is in units of z.  A learned clip came with normalised
 * weights, so 'uniform' normalises too under that rule, and nothing is mapped
 * back. */
bd_status bd_calib_weights(struct bd_qset *out, const struct bd_weights *w,
                           const struct bd_tensorcfg *cfg, struct bd_ctl *ctl,
                           struct bd_err *err);
/* Quantizes the tensor into y, laid out alike (may be w->x itself). */
void bd_qset_apply(float *y, const struct bd_weights *w,
                   const struct bd_qset *s);
/* Calls fn with every run of values that share one parameter set, x[n] in the
 * tensor's order within its channel, borrowed during the call.  p->bits 0 is
 * a channel sent as zero, 32 one left in float. */
typedef void bd_qset_fn(void *arg, const struct bd_qparam *p, const float *x,
                        size_t n);
void bd_qset_visit(const struct bd_weights *w, const struct bd_qset *s,
                   bd_qset_fn *fn, void *arg);
/* Fits one quantizer to activations.  learned NaN if none.  Signed when the
 * data has negative values and the method allows. */
bd_status bd_calib_acts(struct bd_qparam *out, const struct bd_actstat *s,
                        float learned, const struct bd_tensorcfg *cfg,
                        struct bd_err *err);
/* Clip of least squared error for 2^bits levels over [-clip, clip] and a
 * distribution of scale 1 (Laplace b = 1, Gauss sigma = 1); half: the levels
 * cover [0, clip] and the distribution its upper half.  bits 1..16. */
double bd_aciq(int bits, bool laplace, bool half);
/* A layer's input as calib sees it; borrowed. */
struct bd_calib_input {
    const struct bd_actstat *all;
    const struct bd_chanstat *channels; /* NULL: not kept */
    float learned;                      /* NaN if none */
    struct bd_ctl *ctl;                 /* stale: BD_ECANCELLED; may be NULL */
};
struct bd_actset { /* the quantizers of a layer's input */
    size_t n;            /* 1, or input channels */
    struct bd_qparam *p; /* [n]; owned.  bits 0: sent as zeros, 32: float */
};
void bd_actset_done(struct bd_actset *s);
/* Fits cfg to an input: one grid, or one per channel of grain 'channel'.
 * A channel without negative values gets an unsigned grid. */
bd_status bd_calib_actset(struct bd_actset *out,
                          const struct bd_calib_input *in,
                          const struct bd_tensorcfg *cfg, struct bd_err *err);
/* Exact squared error of cfg from the index alone, when the method is one
 * scalar grid per tensor; false otherwise.  *clip gets the clip chosen. */
bool bd_calib_index_error(double *err2, double *clip,
                          const struct bd_weights *w,
                          const struct bd_tensorcfg *cfg);

#endif
