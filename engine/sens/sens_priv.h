/* sens_priv: between the files of sens/.
 *
 *   sums.c    sums of images, values and intervals from them, settling
 *   pass.c    what runs together: one base, several variants of it
 *   work.c    lanes and slices: units over the pool, sums in order
 *   fork.c    a pass over minibatches: forward once, then the suffixes
 *   fisher.c  a pass over single images: forward, backward, scores
 *   sweep.c   rounds of images, passes within a round
 *
 * A pass is run by lanes, as many as the pool has threads.  A lane works on
 * one minibatch (`unit`) with an executor of its own and leaves its sums in
 * the unit's slot; the caller's thread adds finished slots in order.  The
 * pool is used in short slices, since it belongs to the accuracy of the
 * present configuration as well: a lane stops anywhere between two runs and
 * goes on in the next slice. */
#ifndef BD_SENS_PRIV_H
#define BD_SENS_PRIV_H

#include "sens/sens.h"

#include <pthread.h>

enum {
    BD_SENS_MOST = 64,  /* variants of a pass where they need not be one:
                           a unit is what an interruption loses */
    BD_SENS_FIRST = 64  /* images before the first decision */
};

/* ----------------------------------------------------------------- sums.c */
void bd_sens_add(struct bd_sens_sums *to, const struct bd_sens_sums *part);
/* One image's logits beside float's; fe: of the float logits alone. */
struct bd_sens_image {
    const float *f;
    struct bd_net_eval fe;
    int label;
    int64_t classes;
};
void bd_sens_add_image(struct bd_sens_sums *s, const float *z,
                       const struct bd_sens_image *image);
/* Marks what is settled now; call at the fixed counts only. */
void bd_sens_settle(struct bd_sens_table *t);

/* ----------------------------------------------------------------- pass.c */
struct bd_sens_variant { /* one change of the base */
    size_t at;           /* of its sums in the table */
    int layer;
    size_t from; /* first node that sees it */
    struct bd_qlayer q; /* what the layer becomes */
    void *held;
    bool runs; /* else only its change counts, for those behind */
};
struct bd_sens_pass {
    const struct bd_sens_ask *ask;
    struct bd_sens_table *t;
    struct bd_qlayer *base; /* [nlayers] */
    void **held;            /* [nlayers] of the base */
    size_t base_at;         /* sums of the base, SIZE_MAX = it is float */
    bool counts_float;      /* this pass measures the baseline */
    bool back;              /* a layer becomes again what it was */
    size_t n;
    struct bd_sens_variant *v; /* [n] */
};
/* Which points run together, in the order of running. */
struct bd_sens_list {
    const size_t *point; /* indices of the table */
    size_t n;
    size_t base; /* index of the table's base, SIZE_MAX = float */
};
bd_status bd_sens_pass_init(struct bd_sens_pass *p,
                            const struct bd_sens_list *l, struct bd_err *err);
void bd_sens_pass_done(struct bd_sens_pass *p);

/* ----------------------------------------------------------------- units */
struct bd_sens_lane {
    struct bd_exec *e;
    struct bd_qlayer *q; /* [nlayers] what runs at this moment */
    float *f, *z;        /* [batch, classes] float's logits, another's */
    struct bd_sens_image *image; /* [batch] */
    float *spare;                /* the largest layer input (scores) */
    double *score;               /* [variants] of one image */
    struct bd_sens_sums *slot;   /* of its unit */
    int64_t unit, images;        /* -1 = none; images in it */
    size_t next;                 /* variant to run */
    size_t dirty;                /* nodes from here on ran something else */
    bool begun;
    bd_status st;
    struct bd_err err;
};
struct bd_sens_work { /* a pass over units [first, end) */
    struct bd_sens_pass *pass;
    /* A bit of the lane's unit; *done when it was the last. */
    bd_status (*advance)(struct bd_sens_work *w, struct bd_sens_lane *l,
                         bool *done);
    struct bd_ctl *ctl;
    struct bd_pool *pool;
    int64_t first, end, per_unit; /* images per unit */
    int64_t classes;
    int logits; /* value index */
    int nlanes;
    struct bd_sens_lane *lane; /* [nlanes] */
    struct bd_sens_sums *slot; /* [nslots][n + 2] variants, base, float */
    bool *full;                /* [nslots] */
    int64_t nslots, added;     /* units added to the table so far */
    int64_t handed;            /* units given to lanes */
    int64_t until_ns;
    pthread_mutex_t lock; /* of `handed` */
    const struct bd_plan *plan;
};
/* work.c: lanes for a plan, and a pass driven to its end. */
bd_status bd_sens_work_init(struct bd_sens_work *w,
                            const struct bd_sens_ask *ask,
                            const struct bd_plan *plan, struct bd_err *err);
void bd_sens_work_done(struct bd_sens_work *w);
/* tell: after every slice. */
bd_status bd_sens_drive(struct bd_sens_work *w, struct bd_sens_pass *p,
                        void (*tell)(void *arg), void *arg,
                        struct bd_err *err);

bd_status bd_sens_fork(struct bd_sens_work *w, struct bd_sens_lane *l,
                       bool *done);
bd_status bd_sens_score(struct bd_sens_work *w, struct bd_sens_lane *l,
                        bool *done);

#endif
