/* sens: how much the network's answer suffers from quantizing one layer.  For
 * every minibatch the network walks forward once; then, layer by layer, only
 * what lies behind that layer runs again with the layer changed.  The table
 * of results feeds the allocators and the sensitivity column.  Which bits to
 * give is bitalloc's business; files of results and their cache are the
 * session's. */
#ifndef BD_SENS_H
#define BD_SENS_H

#include "metrics/metrics.h"

enum bd_sens_what { BD_SENS_W = 1, BD_SENS_A = 2, BD_SENS_WA = 3 };
enum bd_sens_mode {
    BD_SENS_ALONE_ON,  /* this layer quantized, the others float */
    BD_SENS_ALONE_OFF, /* this layer float, the others quantized */
    BD_SENS_CUMULATIVE /* all layers up to and including this one */
};
enum bd_sens_metric { /* all: larger is worse, 0 = as float */
    BD_SENS_KL,      /* mean KL divergence from float's answer, nats */
    BD_SENS_TOP1,    /* top-1 of float minus top-1, as a fraction */
    BD_SENS_LOSS,    /* mean cross-entropy minus float's, nats */
    BD_SENS_OUT_MSE, /* mean squared difference of the logits */
    BD_SENS_FISHER,  /* sum of mean squared gradient times squared error */
    BD_SENS_METRICS
};
extern const char *const bd_sens_metric_names[]; /* "kl", ..., NULL-ended */
extern const char *const bd_sens_mode_names[];   /* "alone-on", ... */
extern const char *const bd_sens_what_names[];   /* by enum: "w", "a", "wa" */

struct bd_sens_point { /* one layer under one choice */
    int layer; /* -1: all layers, of a table's `base` */
    enum bd_sens_what what;
    int column; /* which of the choices asked for; the same in all layers */
    struct bd_tensorcfg w, a; /* the choice; bits 32 where left in float.
                                 No widths per channel. */
    int64_t images;           /* seen */
    bool settled;             /* stopped early: its place is clear */
    double value[BD_SENS_METRICS]; /* NaN = not asked */
    double half[BD_SENS_METRICS];  /* half width of its 95 % interval; may be
                                      infinite */
};

/* What the images so far added up to; the results follow from it, and a
 * sweep goes on from it. */
struct bd_sens_sums {
    int64_t n, labelled;   /* images forked; of those with a label */
    int64_t scored;        /* images of the squared-gradient score */
    int64_t worse, better; /* top-1: right in float only; right here only */
    double sum[BD_SENS_METRICS], square[BD_SENS_METRICS];
};

struct bd_sens_table { /* results in order of layer, what, method, bits */
    size_t n;
    struct bd_sens_point *point; /* [n]; owned */
    size_t nbase;                /* alone-off: one per column, everything */
    struct bd_sens_point *base;  /* quantized; owned */
    struct bd_sens_sums *sums;   /* [n + nbase + 1] of the points, the bases
                                    and float (loss, right1 in worse, right5
                                    in better); owned, or NULL: of a file */
    enum bd_sens_mode mode;
    unsigned metrics;            /* 1 << enum bd_sens_metric, those present */
    enum bd_sens_metric lead;    /* the one asked for first: decides the early
                                    stop, and is shown */
    int64_t images;              /* of a complete point */
    int64_t evaluations;         /* forks run: layers times images each */
    double seconds;
    struct bd_net_eval baseline; /* float on the same images */
    bool complete;               /* else cancelled or under way */
};
void bd_sens_done(struct bd_sens_table *t);
bd_status bd_sens_copy(struct bd_sens_table *to,
                       const struct bd_sens_table *from);
/* The point of a layer under exactly this choice of one side, or NULL. */
const struct bd_sens_point *bd_sens_find(const struct bd_sens_table *t,
                                         int layer, enum bd_sens_what what,
                                         const struct bd_tensorcfg *cfg);

/* ---------------------------------------------------------------- the sweep
 * Images go in minibatches of a size the network decides, in order; sums are
 * kept per minibatch and added in image order, so the results have the same
 * bytes for any number of threads, and for any interruption.
 *
 * Early stop: after 64, 128, 256, ... images a point is settled, and takes no
 * further ones, when by the leading metric (intervals of 95 %)
 *   - it is apart from all other layers in its column, and known to a quarter:
 *     which layer hurts more is then as clear as how much; or
 *   - it is known to a tenth; or
 *   - even its upper end is below a thousandth of the largest loss of the
 *     table: nobody's choice turns on it.
 */
struct bd_sens_ask {
    const struct bd_model *m;
    struct bd_source src;  /* images in order, preprocessed */
    const int *label;      /* [src.images], -1 = none; NULL = none at all */
    struct bd_pool *pool;  /* borrowed; used in slices of some 50 ms; NULL =
                              the caller's thread */
    int64_t batch;         /* images per run, as the network allows */
    size_t memory;         /* bytes of quantized weights held at a time */
    bool no_early_stop;
    /* Quantizes p's layer as p says, until *held is given back; caller's
     * thread. */
    bd_status (*take)(struct bd_qlayer *out, void **held, void *arg,
                      const struct bd_sens_point *p, struct bd_err *err);
    void (*give)(void *arg, void *held);
    /* The table has grown; caller's thread, at most ten times a second. */
    void (*step)(void *arg, const struct bd_sens_table *t);
    void *arg;
};
/* All that forking gives at once; whoever asks for one gets all. */
enum {
    BD_SENS_SAMPLED = 1 << BD_SENS_KL | 1 << BD_SENS_TOP1 |
                      1 << BD_SENS_LOSS | 1 << BD_SENS_OUT_MSE
};
/* Fills t, whose points name layers and choices, from wherever its sums
 * stand; t->sums may be NULL at the beginning.  Cancelled: what is there is
 * right for the images each point says it has seen.  BD_EUNSUPPORTED where
 * the squared-gradient score meets an operator without gradient. */
bd_status bd_sens_run(struct bd_sens_table *t, const struct bd_sens_ask *ask,
                      struct bd_ctl *ctl, struct bd_err *err);
/* Values and intervals from the sums. */
void bd_sens_refresh(struct bd_sens_table *t);

#endif
