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

struct bd_sens_point { /* one layer under one choice */
    int layer;
    enum bd_sens_what what;
    struct bd_tensorcfg w, a; /* the choice; bits 32 where left in float.
                                 No widths per channel. */
    int64_t images;           /* seen */
    bool settled;             /* stopped early: its place is clear */
    double value[BD_SENS_METRICS]; /* NaN = not asked */
    double half[BD_SENS_METRICS];  /* half width of its 95 % interval */
};

struct bd_sens_table { /* results in order of layer, what, method, bits */
    size_t n;
    struct bd_sens_point *point; /* [n]; owned */
    enum bd_sens_mode mode;
    unsigned metrics;            /* 1 << enum bd_sens_metric, those present */
    int64_t images;              /* of a complete point */
    int64_t evaluations;         /* forks run: layers times images each */
    double seconds;
    struct bd_net_eval baseline; /* float on the same images (alone-off:
                                    everything quantized) */
    bool complete;               /* else cancelled or under way */
};
void bd_sens_done(struct bd_sens_table *t);
bd_status bd_sens_copy(struct bd_sens_table *to,
                       const struct bd_sens_table *from);
/* The point of a layer under exactly this choice of one side, or NULL. */
const struct bd_sens_point *bd_sens_find(const struct bd_sens_table *t,
                                         int layer, enum bd_sens_what what,
                                         const struct bd_tensorcfg *cfg);

#endif
