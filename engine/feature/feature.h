/* feature: channel-wise bit allocation for the activation between the two
 * halves of a split network (channel_bit_allocation.md).  The front end gives
 * a feature [C,H,W] per image; each channel is quantized with widths of its
 * own and handed to the back end; what counts is the mean squared error of
 * the back end's outputs.  Here: finding the split, collecting the feature,
 * interval tables and their files, the priority rule, refinement.  The
 * allocators for any table of losses are in bitalloc/, the quantizers of one
 * channel in quant/.
 *
 *   split.c   where a network can be cut, and the back end as a function
 *   collect.c the feature over some images
 *   table.c   interval tables; table_csv.c their files
 *   alloc.c   priority, water-filling
 *   judge.c   output errors, sensitivities
 *   refine.c  single-bit exchanges with the back end in the loop */
#ifndef BD_FEATURE_H
#define BD_FEATURE_H

#include "graph/graph.h"

enum {
    BD_FEATURE_MOST = 8,    /* bits a channel may have */
    BD_FEATURE_WIDTHS = 9,  /* 0..8; 0 = the channel is sent as zero */
    BD_FEATURE_CHANNELS = 4096 /* most channels of a feature */
};
enum bd_feature_kind {
    BD_FEATURE_UNIFORM, BD_FEATURE_DOREFA, BD_FEATURE_LOG, BD_FEATURE_KINDS
};
extern const char *const bd_feature_kind_names[]; /* by enum, NULL-ended */
int bd_feature_kind_find(const char *name);       /* or -1 */

/* Who computes, and how it is stopped; both may be NULL. */
struct bd_feature_work {
    struct bd_pool *pool;
    struct bd_ctl *ctl;
};

/* ------------------------------------------------------------- the split */
struct bd_split {
    const struct bd_plan *plan; /* borrowed: batch 1 */
    const struct bd_model *m;   /* borrowed */
    char name[160];             /* as asked for */
    int value;                  /* the feature */
    int output;      /* what is compared: the model's first output, before a
                        last Softmax (logits) */
    size_t from, to; /* nodes of the back end: [from, to) */
    int64_t channels, size; /* of one image: C, and values per channel */
    int64_t macs, params;   /* of the back end, one image */
};
/* name: a layer (its input is the feature, before any flattening),
 * "LAYER.out" (its output), or a value of the graph.  Refused when some path
 * to the output goes round it, naming the nearest layers whose input cuts.
 * Any thread. */
bd_status bd_split_find(struct bd_split *out, const struct bd_model *m,
                        const struct bd_plan *plan, const char *name,
                        struct bd_err *err);

/* The back end as a function; a test may bring its own. */
struct bd_backend {
    int64_t outputs; /* numbers per image */
    int64_t batch;   /* images per call */
    /* out[batch][outputs] from x[batch][channels][size].  Calls of different
     * workers may run at once. */
    bd_status (*run)(void *arg, int worker, double *out, const double *x,
                     struct bd_err *err);
    void (*done)(void *arg);
    void *arg;
};
/* The network behind the split, for `workers` threads.  images: how many
 * there will be; with the network it decides the batch. */
bd_status bd_backend_open(struct bd_backend *out, const struct bd_split *s,
                          int64_t images, int workers, struct bd_err *err);
void bd_backend_done(struct bd_backend *b);

/* ----------------------------------------------------------- the feature */
struct bd_feature {
    int64_t channels, images, size;
    float *x; /* [channels][images][size]; owned */
};
bd_status bd_feature_collect(struct bd_feature *out, const struct bd_split *s,
                             const struct bd_source *src,
                             struct bd_feature_work w, struct bd_err *err);
void bd_feature_done(struct bd_feature *f);

/* How one channel is quantized. */
struct bd_chanq {
    enum bd_feature_kind kind;
    int bits;        /* 0..8; 32 = as it is */
    bool is_signed;
    double interval; /* uniform: step; dorefa: clip; log: e0 */
    double range;    /* log: A = max|x| */
};
void bd_chanq_apply(double *y, const float *x, size_t n,
                    const struct bd_chanq *q);
/* Mean squared error of the feature itself under q[channels]. */
double bd_feature_error(const struct bd_feature *f, const struct bd_chanq *q);
/* Section 2's baseline: one interval for all channels, max(x) / (2^b - 1);
 * features with negative values use the two's complement range. */
void bd_feature_one_interval(struct bd_chanq *q, const struct bd_feature *f,
                             int bits);
/* Each channel's own interval, nothing clipped. */
void bd_feature_no_clip(struct bd_chanq *q, const struct bd_feature *f,
                        int bits);

/* ------------------------------------------------- interval table (flag 0) */
struct bd_qchannel {
    double range; /* max|x| */
    bool is_signed;
    double interval[BD_FEATURE_WIDTHS], mse[BD_FEATURE_WIDTHS]; /* by bits */
};
struct bd_qtable {
    enum bd_feature_kind kind;
    int64_t channels;
    int64_t count;         /* values per channel it was made from, 0 = not
                              known */
    struct bd_qchannel *c; /* [channels]; owned */
};
#define BD_FEATURE_DOREFA_CLIP 0.9
/* Searches all intervals (section 3).  Same bytes for any thread count. */
bd_status bd_qtable_make(struct bd_qtable *out, const struct bd_feature *f,
                         enum bd_feature_kind kind, struct bd_feature_work w,
                         struct bd_err *err);
void bd_qtable_done(struct bd_qtable *t);
/* q[channels] for bits[channels]. */
void bd_qtable_use(struct bd_chanq *q, const struct bd_qtable *t,
                   const int8_t *bits);
/* Mean squared error of the feature by the table. */
double bd_qtable_error(const struct bd_qtable *t, const int8_t *bits);

/* The file of section 3 ("# qtable 1").  layer is written in the first
 * column. */
bd_status bd_qtable_write(struct bd_str *out, const struct bd_qtable *t,
                          const char *layer, struct bd_err *err);
/* Reads such a file, or a folder of <bits>.csv with `channel,interval`, for
 * this feature and quantizer.  Strict: another quantizer, NaN, doubled or
 * missing rows are refused with the line.  What the file does not tell (the
 * error of 0 bits; all errors in a folder) is computed from the feature. */
struct bd_qtable_want {
    enum bd_feature_kind kind;
    const struct bd_feature *f;
};
bd_status bd_qtable_read(struct bd_qtable *out, const char *path,
                         struct bd_qtable_want want, struct bd_err *err);

/* ------------------------------------------- priority and water (section 4) */
struct bd_priority {
    double alpha, beta; /* weights of mean |x| and of the deviation */
};
/* mean[C], dev[C] may be NULL. */
void bd_feature_priority(double *score, double *mean, double *dev,
                         const struct bd_feature *f, struct bd_priority p);
/* Integer water-filling on the model score^2 4^-b: one bit at a time to the
 * largest gain per value, lowest index on ties, each channel up to 8 and, where
 * the budget allows, at least 1 if its score is above 0.  size: values per
 * channel, NULL = equal.  budget in bits times values (in bits when sizes are
 * NULL).  Returns what was spent; less than the budget when all are full.
 * -1: no memory. */
double bd_feature_fill(int8_t *bits, const double *score, const double *size,
                       int64_t n, double budget);
/* Reverse water-filling, the continuous optimum of that model, for
 * orientation: max(0, log2(s^2/theta) / 2) with sum n*avg. */
void bd_feature_water(double *bits, const double *s, int64_t n, double avg);

/* ------------------------------------------------------------- the judge */
struct bd_judge; /* one user at a time */
/* Runs the original feature once.  Borrows all. */
bd_status bd_judge_new(struct bd_judge **out, const struct bd_feature *f,
                       const struct bd_backend *b, struct bd_feature_work w,
                       struct bd_err *err);
void bd_judge_free(struct bd_judge *j);
/* Whoever works next; results do not depend on it. */
void bd_judge_work(struct bd_judge *j, struct bd_feature_work w);
/* Mean over images and outputs of the squared difference to the original. */
bd_status bd_judge_run(double *mse, struct bd_judge *j,
                       const struct bd_chanq *q, struct bd_err *err);
int64_t bd_judge_runs(const struct bd_judge *j); /* so far, whole ones */
/* s[C][9]: output error when only that channel is quantized. */
bd_status bd_judge_sensitivity(double *s, struct bd_judge *j,
                               const struct bd_qtable *t, struct bd_err *err);

/* ------------------------------------------------- refinement (section 5) */
struct bd_refine_step {
    int receiver, donor;
    bool kept;
    double mse; /* in force after it */
};
struct bd_refine {
    int64_t runs; /* K: back-end runs at most */
    /* After each run; may be NULL. */
    void (*step)(void *arg, const struct bd_refine_step *s,
                 const int8_t *bits);
    void *arg;
};
struct bd_allocated {
    int8_t *bits; /* [C], the caller's */
    double mse;   /* of the output */
};
/* a->bits in and out, a->mse out; both are those in force also when
 * cancelled.  The error never increases. */
bd_status bd_judge_refine(struct bd_allocated *a, struct bd_judge *j,
                          const struct bd_qtable *t, const struct bd_refine *r,
                          struct bd_err *err);

#endif
