/* search_priv: between the files of the search.
 *
 *   ties.c            ties that the graph asks for
 *   cands.c           what each layer may take, its cost and its loss
 *   search.c          one request answered from candidates: microseconds to
 *                     milliseconds, no images
 *   search_channel.c  widths per channel
 *   search_planes.c   bit planes of inputs
 *   search_run.c      answers that measure accuracy: max-drop, measured
 *   search_tool.c     the session's side: jobs, the present request
 *   trade.c           whole configurations as points */
#ifndef BD_SEARCH_PRIV_H
#define BD_SEARCH_PRIV_H

#include "bitalloc/bitalloc.h"
#include "session/session_priv.h"

enum { BD_CAND_FORMS = 16, BD_CAND_WIDTHS = 16 };

struct bd_cand { /* one choice for the weights of one layer */
    struct bd_tensorcfg t; /* no widths per channel */
    int key;               /* form and width: the same for every layer */
    int64_t stored;        /* bits */
    double err2, psnr_db;  /* of the weights */
    double loss;
};
struct bd_cands { /* immutable once built, shared, counted */
    atomic_int refs;
    size_t n;              /* layers */
    size_t *first;         /* [n+1] into c */
    struct bd_cand *c;     /* per layer by rising cost */
    double *power;         /* [n] sum of squared weights */
    bool partial;          /* more are being gathered */
    bool measured;         /* losses come from a sweep */
    char source[96];
};
struct bd_cands *bd_cands_ref(struct bd_cands *c);
void bd_cands_unref(struct bd_cands *c); /* NULL is fine */

struct bd_cands_ask {
    const struct bd_model *m;
    struct bd_fits *fits;
    struct bd_pool *pool;
    struct bd_bitcfg cfg;           /* owned: the present one */
    int nbits, bits[16];
    char methods[256];              /* "" = each layer's own */
    struct bd_sens_table sens;      /* owned; n 0 = none */
};
void bd_cands_ask_done(struct bd_cands_ask *a);
/* Posts what is there after the quick part through ctl, where it can be
 * heard: a counted struct bd_cands. */
bd_status bd_cands_build(struct bd_cands **out, const struct bd_cands_ask *a,
                         struct bd_ctl *ctl, struct bd_err *err);
/* The loss of a squared error of a layer's weights, by its candidates. */
double bd_cands_loss(const struct bd_cands *c, size_t layer, double err2);

/* ------------------------------------------------------------- one answer */
struct bd_search_ask { /* borrowed */
    const struct bd_model *m;
    const struct bd_plan *plan;
    const struct bd_bitcfg *cfg; /* the present one */
    const struct bd_cands *cands;
    const struct bd_search_opts *o;
    struct bd_fits *fits;        /* channel only */
    struct bd_bench *bench;      /* kinds that measure */
};
/* Methods and budgets that need no images.  BD_EUNSUPPORTED: no choice fits
 * the budget; the sentence names the smallest possible. */
bd_status bd_search_solve(struct bd_search_result *out,
                          const struct bd_search_ask *a, struct bd_err *err);
bd_status bd_search_channel(struct bd_search_result *out,
                            const struct bd_search_ask *a, struct bd_ctl *ctl,
                            struct bd_err *err);
/* Kinds that measure; posts copies of better results (bd_search_result on the
 * heap) through ctl. */
bd_status bd_search_run(struct bd_search_result *out,
                        const struct bd_search_ask *a, struct bd_ctl *ctl,
                        struct bd_err *err);
/* Average planes of the layers' inputs, spent exactly (planes_spend.c); all
 * tables must be counted.  Microseconds. */
bool bd_search_planes_counted(const struct bd_session *s);
bd_status bd_search_planes(struct bd_search_result *out,
                           const struct bd_session *s,
                           const struct bd_search_opts *o, struct bd_err *err);
enum { BD_MOST_WORDS = 64 };
struct bd_words { /* a copied list of texts; v: NULL-ended */
    const char *v[BD_MOST_WORDS + 1];
    char *text;
};
bd_status bd_words_copy(struct bd_words *to, const char *const *from);
void bd_words_done(struct bd_words *w);
bool bd_search_locked(const struct bd_search_ask *a, size_t layer);
bool bd_search_measures(const struct bd_search_opts *o);
bool bd_search_needs_images(const struct bd_search_opts *o);

/* The problem as the allocators take it. */
struct bd_search_problem {
    struct bd_alloc_problem p;
    struct bd_alloc_layer *layer; /* [n] */
    struct bd_alloc_option *option;
    const struct bd_cand **cand;  /* [options]; NULL = the present choice */
    double offset;                /* cost outside the problem */
    double unit;                  /* of the budget, in the problem's cost */
};
bd_status bd_search_problem_init(struct bd_search_problem *sp,
                                 const struct bd_search_ask *a,
                                 struct bd_err *err);
void bd_search_problem_done(struct bd_search_problem *sp);
/* What the present configuration or any other costs, in budget units. */
double bd_search_cost(const struct bd_cost *c, enum bd_budget b);
/* Fills size, cost, budget, name from r->cfg. */
void bd_search_label(struct bd_search_result *r, const struct bd_search_ask *a);

/* The tool's side, for trade.c. */
const struct bd_cands *bd_search_cands(struct bd_session *s);

#endif
