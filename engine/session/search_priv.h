/* search_priv: between the files of the search.
 *
 *   ties.c            ties that the graph asks for
 *   cands.c           what each layer may take, its cost and its loss
 *   cands_ask.c       what they are gathered for
 *   cands_form.c      ways to quantize, without a width
 *   cands_loss.c      losses between those that were measured
 *   search.c          one request answered from candidates: microseconds to
 *                     milliseconds, no images
 *   search_words.c    locks and ties of a request
 *   search_joint.c    weights and inputs chosen together
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

struct bd_cand { /* one choice for the weights of one layer, or its input */
    struct bd_tensorcfg t; /* no widths per channel */
    int key;               /* form and width: the same for every layer */
    int64_t stored;        /* bits; of an input its width */
    double err2;           /* of the weights; of an input noise to signal */
    double psnr_db;
    double loss;
};
struct bd_cands { /* immutable once built, shared, counted */
    atomic_int refs;
    size_t n;              /* layers */
    size_t *first;         /* [n+1] into c */
    struct bd_cand *c;     /* per layer by rising cost */
    size_t *first_in;      /* [n+1] into in; both NULL = not asked for */
    struct bd_cand *in;    /* inputs, per layer by rising width */
    double *power;         /* [n] sum of squared weights */
    bool partial;          /* more are being gathered */
    bool measured;         /* losses come from a sweep */
    char source[80], source_in[80]; /* of the losses */
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
    struct bd_bench *bench;         /* of inputs */
    bool inputs;                    /* their choices as well */
};
/* BD_ENOMEM without a sentence. */
bd_status bd_cands_ask_init(struct bd_cands_ask *a, struct bd_session *s,
                            const struct bd_search_opts *o);
void bd_cands_ask_done(struct bd_cands_ask *a);
/* Of all that determines a table; not 0. */
uint64_t bd_cands_ask_digest(const struct bd_cands_ask *a, uint64_t salt);
/* Posts what is there after the quick part through ctl, where it can be
 * heard: a counted struct bd_cands. */
bd_status bd_cands_build(struct bd_cands **out, const struct bd_cands_ask *a,
                         struct bd_ctl *ctl, struct bd_err *err);
struct bd_forms {
    int n;
    struct bd_tensorcfg t[BD_CAND_FORMS]; /* bits not meant */
};
/* Of a layer's weights, and of its input: there the own forms of all layers
 * tied to it, so that they know each other's.  tie: as bd_session_ties. */
bd_status bd_cands_forms(struct bd_forms *f, const struct bd_cands_ask *a,
                         size_t layer, struct bd_err *err);
void bd_cands_forms_in(struct bd_forms *f, const struct bd_cands_ask *a,
                       size_t layer, const int *tie);
struct bd_loss_pair { /* what was measured of one side of one layer */
    double err2, loss;
};
/* Sorts; leaves positive errors whose losses never fall; the count left. */
size_t bd_loss_tidy(struct bd_loss_pair *p, size_t n);
/* Between tidied pairs, and beyond them; n at least 1. */
double bd_loss_at(const struct bd_loss_pair *p, size_t n, double err2);
/* The metric to use of those a sweep measured, or -1. */
int bd_loss_metric(const struct bd_sens_table *t);
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
bd_status bd_search_locks(const struct bd_search_ask *a,
                          struct bd_err *err); /* that all match something */
bool bd_search_measures(const struct bd_search_opts *o);
bool bd_search_needs_images(const struct bd_search_opts *o);
/* Refuses ties, for ways to search that cannot keep them. */
bd_status bd_search_no_ties(const struct bd_search_opts *o,
                            struct bd_err *err);
/* Ties of the request: group numbers of layers, -1 = free. */
bd_status bd_search_ties(int *tie, const struct bd_search_ask *a, bool inputs,
                         struct bd_err *err);
/* Of a layer under a choice of both sides, as the budget counts. */
double bd_search_layer_cost(const struct bd_search_ask *a, size_t layer,
                            const struct bd_tensorcfg *w,
                            const struct bd_tensorcfg *in);
static inline bool bd_search_floors(const struct bd_search_opts *o)
{
    return o->budget == BD_BUDGET_PSNR_MIN || o->budget == BD_BUDGET_PSNR_LOSS;
}
/* The lowest PSNR a floor leaves, of n candidates. */
double bd_search_floor(const struct bd_search_opts *o,
                       const struct bd_cand *c, size_t n);

/* The problem as the allocators take it.  Its layers are those of the model,
 * or, where inputs are chosen too, groups of them (search_joint.c). */
struct bd_joint;
struct bd_search_problem {
    struct bd_alloc_problem p;
    struct bd_alloc_layer *layer; /* [p.n] */
    struct bd_alloc_option *option;
    const struct bd_cand **cand;  /* [options]; NULL = the present choice */
    struct bd_joint *joint;       /* NULL: weights alone */
    double offset;                /* cost outside the problem */
    double unit;                  /* of the budget, in the problem's cost */
};
bd_status bd_search_problem_init(struct bd_search_problem *sp,
                                 const struct bd_search_ask *a,
                                 struct bd_err *err);
void bd_search_problem_done(struct bd_search_problem *sp);
/* Refuses a budget nothing fits, naming the least there is: `least`, in the
 * problem's cost, infinite where no choice suits at all. */
bd_status bd_search_too_small(const struct bd_search_problem *sp,
                              double least, const struct bd_search_ask *a,
                              struct bd_err *err);
/* Fills layer, option and joint; p's n and layer. */
bd_status bd_joint_init(struct bd_search_problem *sp,
                        const struct bd_search_ask *a, struct bd_err *err);
void bd_joint_free(struct bd_joint *j); /* NULL is fine */
/* One choice for all, the best that fits; false: none, *least as above. */
bool bd_joint_uniform(struct bd_alloc_result *r, double *least,
                      const struct bd_search_problem *sp);
/* Picks of groups, or of the last bd_joint_uniform (pick NULL), into a
 * configuration; the sum of their losses. */
double bd_joint_set(struct bd_bitcfg *cfg, const struct bd_search_problem *sp,
                    const int *pick);
/* Where choices had to be left out: no proof, and the bound of the problem
 * without ties. */
bd_status bd_joint_bound(struct bd_alloc_result *r,
                         const struct bd_search_problem *sp);
/* What the present configuration or any other costs, in budget units. */
double bd_search_cost(const struct bd_cost *c,
                      const struct bd_search_opts *o);
/* Fills size, cost, budget, name from r->cfg. */
void bd_search_label(struct bd_search_result *r, const struct bd_search_ask *a);

/* The tool's side, for trade.c. */
const struct bd_cands *bd_search_cands(struct bd_session *s);

#endif
