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
    BD_BUDGET_AVG_BITS,  /* stored bits per weight, scales included; of a
                            search of inputs alone their mean width */
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
    BD_SEARCH_CHANNEL, BD_SEARCH_MEASURED,
    BD_SEARCH_BOTTLENECK, /* bit planes of the layers' inputs, avg-bits of
                             them per value */
    BD_SEARCHES
};
extern const char *const bd_search_names[]; /* "dp", ..., NULL-ended */

struct bd_search_opts { /* zero-initialised: defaults */
    enum bd_search_method method;
    enum bd_budget budget;
    enum bd_sens_what what; /* what is chosen; 0 = weights, and inputs too
                               where bit operations are the budget and there
                               are images to calibrate them.  Inputs that
                               share a grid (bd_session_ties) take the same
                               choice; those in float take 'uniform'. */
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
    char source[160];        /* where the losses come from, in words */
    enum bd_sens_what what;  /* was chosen; the rest is as it was */
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
/* Refuses what does not go together, before anything is measured. */
bd_status bd_search_check(const struct bd_search_opts *o, struct bd_err *err);
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
 * bd_session_search_front answers for this request.  BD_EUNSUPPORTED: nothing
 * fits the budget; the sentence names the smallest possible. */
bd_status bd_session_now_search(struct bd_search_result *out,
                                struct bd_session *s,
                                const struct bd_search_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err);

#endif
