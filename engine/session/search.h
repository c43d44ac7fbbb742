/* search: the part of session.h about bits under a budget, and about whole
 * configurations as points.  Included by session.h alone. */
#ifndef BD_SESSION_SEARCH_H
#define BD_SESSION_SEARCH_H

#include "metrics/metrics.h"
#include "sens/sens.h"

struct bd_session;

/* ---------------------------------------------------------------- search
 * Which layer gets how many bits, under a budget?  What every choice of
 * every layer would cost and lose is gathered once on the long lane; after
 * that each change of method or budget is answered at once. */
enum bd_budget {
    BD_BUDGET_AVG_BITS,  /* stored bits per weight, scales included */
    BD_BUDGET_SIZE,      /* bytes of all parameters */
    BD_BUDGET_BOPS,      /* macs * weight bits * activation bits */
    BD_BUDGET_PSNR_MIN,  /* dB every layer must reach, as cheap as can be */
    BD_BUDGET_PSNR_LOSS, /* dB every layer may stay below its widest choice */
    BD_BUDGET_MAX_DROP,  /* points of top-1 below float, measured */
    BD_BUDGETS
};
extern const char *const bd_budget_names[]; /* "avg-bits", ..., NULL-ended */
enum bd_search_method {
    BD_SEARCH_DP, BD_SEARCH_UNIFORM, BD_SEARCH_GREEDY, BD_SEARCH_LAGRANGE,
    BD_SEARCH_CHANNEL, BD_SEARCH_MEASURED, BD_SEARCHES
};
extern const char *const bd_search_names[]; /* "dp", ..., NULL-ended */

struct bd_search_opts { /* zero-initialised: defaults */
    enum bd_search_method method;
    enum bd_budget budget;
    double target;       /* of the budget; 0 = what the configuration has */
    int nbits, bits[16]; /* widths; nbits 0 = 2 to 8 */
    const char *methods; /* "uniform,apot:channel:mse": what layers may take;
                            NULL = each layer's own method, uniform where it
                            is in float, with its clip as it is and by mse,
                            one grid per tensor or per channel */
    const char *const *lock; /* NULL-ended globs, beside locked layers */
    const char *const *tie;  /* NULL-ended "A=B" */
    bool tie_outputs;        /* layers whose outputs meet in one Add or
                                Concat take the same width */
    const struct bd_sens_table *sens; /* NULL = the newest sweep, if any */
    int evaluations;     /* `measured` stops after these; 0 = 200 */
};
struct bd_search_result {
    struct bd_bitcfg cfg;    /* owned */
    char name[48];           /* "dp 4.50 b" */
    char source[96];         /* where the losses come from, in words */
    struct bd_cost size;     /* of cfg, exactly bd_cost_of */
    double loss;             /* sum over unlocked layers */
    double cost, budget;     /* in the budget's own unit */
    double bound;            /* no choice within the budget loses less */
    bool optimal;            /* proven */
    struct bd_net_eval acc;  /* measured; images 0 = not */
    int evaluations;
    double seconds;
};
void bd_search_result_done(struct bd_search_result *r);
bd_status bd_search_result_copy(struct bd_search_result *to,
                                const struct bd_search_result *from);
enum bd_search_phase {
    BD_SEARCH_GATHERING, /* losses are not known yet */
    BD_SEARCH_DONE,
    BD_SEARCH_IMPROVING, /* best so far of a run that measures */
    BD_SEARCH_REFUSED    /* `why` holds the sentence */
};
struct bd_search_view { /* borrowed until the next call about searching */
    enum bd_search_phase phase;
    struct bd_search_opts opts;
    const struct bd_search_result *best; /* NULL = none */
    const char *why;
    bool refining; /* more choices are being gathered */
};
/* Asks for a search; strings are copied.  Returns at once. */
bd_status bd_session_search(struct bd_session *s,
                            const struct bd_search_opts *o,
                            struct bd_err *err);
/* The answer so far; solves when something changed (milliseconds). */
void bd_session_search_view(struct bd_search_view *out,
                            struct bd_session *s);
/* Makes the best so far the present configuration, as one undo step; ends a
 * run that measures. */
bd_status bd_session_search_take(struct bd_session *s, struct bd_err *err);
/* Ends a run that measures; its best stays.  false: none was on. */
bool bd_session_search_stop(struct bd_session *s);
/* Convex front of cost (of the budget's kind, where it is a cost) and loss
 * of the present request; returns the count needed, 0 = not known yet. */
struct bd_front_point {
    double cost, loss;
};
size_t bd_session_search_front(struct bd_session *s,
                               struct bd_front_point *out, size_t cap);
/* Layers whose inputs must share one grid in deployment: those that read the
 * same tensor, or tensors that meet in one Add or Concat, where values are
 * only moved between; and with `outputs`, layers whose outputs meet there.
 * tie: [nlayers], equal numbers >= 0 are tied, -1 = free. */
bd_status bd_session_ties(int *tie, const struct bd_model *m, bool outputs,
                          struct bd_err *err);

/* -------------------------------------------------------------- bit planes
 * Bitwise Bottleneck of layers' inputs, and of weights: which planes of an
 * 8-bit code to keep (bitwise_bottleneck.md).  Codes are counted exactly, in
 * one more pass over the calibration images when first asked for; after that
 * any threshold is answered at once. */
struct bd_planes_opts { /* zero-initialised: defaults */
    int of;          /* planes of the code, 1..8; 0 = 8 */
    uint64_t dither; /* seed, 0 = none */
    int largest;     /* range = k-th largest magnitude, 1..64; 0 = by the
                        layer's clip rule */
    bool outlier;    /* range = the second largest where the largest is more
                        than 10 code units above it (the published rule) */
};
struct bd_threshold {
    bool loss; /* db is below what the plain code was measured at, else the
                  PSNR itself */
    double db;
};
/* The PSNR a tensor needs; INFINITY - loss is INFINITY. */
double bd_threshold_need(const struct bd_plane_table *t,
                         const struct bd_threshold *th);
/* "39 dB", "16 dB loss" */
char *bd_threshold_text(char *out, size_t cap, const struct bd_threshold *t);

struct bd_planes_view { /* borrowed until the next collect */
    enum bd_fresh fresh; /* BD_STALE: of another clip rule or network */
    const struct bd_plane_table *table; /* NULL = not counted */
    const struct bd_codetable *codes;
    float clip;          /* range chosen by hand, 0 = by the rule */
};
void bd_session_planes(struct bd_planes_view *out, const struct bd_session *s,
                       int layer, enum bd_part part);
/* Counts again where needed: on a lane, or on the caller's thread. */
bd_status bd_session_planes_ask(struct bd_session *s, enum bd_part part,
                                struct bd_err *err);
bd_status bd_session_now_planes(struct bd_session *s, enum bd_part part,
                                const struct bd_planes_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err);
/* Method 'bottleneck' with the fewest planes that reach the threshold, as one
 * undo step; steps of a held slider join.  Where codes are not counted yet
 * this happens as soon as they are. */
bd_status bd_session_set_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_threshold *t,
                                struct bd_err *err);
/* The same for an average of `rate` planes per value: exactly the allocation
 * of least squared error (in code units, each layer weighed by its number of
 * values, or by measured sensitivities where a sweep knows all of them). */
bd_status bd_session_spend_planes(struct bd_session *s, struct bd_sel sel,
                                  enum bd_part part, double rate,
                                  struct bd_err *err);
/* The same with rows chosen by the caller, one per selected layer; codes must
 * have been counted. */
bd_status bd_session_put_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_plane_row *const *row,
                                struct bd_err *err);
struct bd_planes_net { /* of the layers that have method 'bottleneck' now */
    size_t layers;
    double mean;      /* planes kept, each layer once: "average code rate" */
    double weighted;  /* each layer by its number of values */
    double with_sign; /* ... and one bit more where a tensor is signed */
    double entropy;   /* bits per value a lossless coder needs at least, by
                         number of values; NaN: not all counted */
    bool waiting;     /* a threshold is to be set when codes are counted */
    struct bd_threshold now; /* set last; db 0: none yet */
    double rate;      /* spent last, after any threshold; 0: none */
};
/* What was set last: "39 dB", "rate 4.5", "" for neither. */
char *bd_planes_net_goal(char *out, size_t cap,
                         const struct bd_planes_net *n);
void bd_session_planes_net(struct bd_planes_net *out,
                           const struct bd_session *s, enum bd_part part);
/* "4.64 planes on average, 4.5 by number of values" */
char *bd_planes_net_text(char *out, size_t cap,
                         const struct bd_planes_net *n);
/* The input channels of a layer, each over a range of its own; counted on a
 * lane.  NULL until then; borrowed until the next collect. */
const struct bd_plane_table *bd_session_plane_channels(struct bd_session *s,
                                                       int layer, int *n);

/* ----------------------------------------------------------------- repairs
 * bd_repairs() lists them.  Each is one undo step ("equalize: 19 pairs");
 * what changes the network also changes bd_session_model. */
struct bd_repair_ask {
    const char *name;   /* "equalize" */
    struct bd_sel sel;  /* chosen layers; n 0 = all */
    bool clip_safe;     /* ReLU6 between layers never reaches its bound */
    int64_t iterations; /* adaround: 0 = 1000 */
};
/* On the long lane; the outcome comes as news, with accuracy before and after
 * once that is known.  One at a time. */
bd_status bd_session_repair(struct bd_session *s,
                            const struct bd_repair_ask *ask,
                            struct bd_err *err);
/* The same on the caller's thread; `what` gets the step's name. */
bd_status bd_session_now_repair(char what[112], struct bd_session *s,
                                const struct bd_repair_ask *ask,
                                struct bd_ctl *ctl, struct bd_err *err);
/* Names of the repairs the present network went through, oldest first;
 * returns the count, which may exceed cap. */
size_t bd_session_repairs(const struct bd_session *s, const char **name,
                          size_t cap);

/* --------------------------------------------------------------- trade-off
 * Whole configurations as points: what they cost and what they reach. */
enum bd_trade_kind {
    BD_TRADE_ESTIMATED, /* of the front; accuracy not measured */
    BD_TRADE_EVALUATED, /* measured here at some time of the session */
    BD_TRADE_BASELINE,  /* the same width everywhere */
    BD_TRADE_HERE       /* the present configuration */
};
struct bd_trade_point {
    enum bd_trade_kind kind;
    double avg_bits, size_bytes, bops;
    double loss;               /* of the sensitivities; NaN = none */
    double top1, ci_lo, ci_hi; /* NaN = not measured */
    double guess;              /* of top1, from the loss and what was
                                  measured; NaN = none */
    bool dominated;            /* another measured one is no larger and
                                  better */
    char name[48];             /* "dp 4.50", "uniform 4", "here" */
    int id;                    /* for bd_session_trade_take */
};
/* Ascending avg_bits; returns the count needed, which may exceed cap.  Never
 * waits: what is not known yet is missing and follows. */
size_t bd_session_trade(struct bd_session *s, struct bd_trade_point *out,
                        size_t cap);
/* Makes a point's configuration the present one, as one undo step. */
bd_status bd_session_trade_take(struct bd_session *s, int id,
                                struct bd_err *err);
/* Measures a point's accuracy on the eval lane. */
bd_status bd_session_trade_measure(struct bd_session *s, int id,
                                   struct bd_err *err);

/* On the caller's thread, also the kinds that measure.  Afterwards
 * bd_session_search_front answers for this request. */
bd_status bd_session_now_search(struct bd_search_result *out,
                                struct bd_session *s,
                                const struct bd_search_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err);

#endif
