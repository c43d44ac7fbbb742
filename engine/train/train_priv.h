/* Shared inside train/ only: what a trainer is made of.
 *
 * One step: the batch is cut into shards of a fixed size; each shard runs
 * forward and backward alone (BatchNorm sees one shard) and leaves its
 * gradients in a slot of its own; then the slots are added in order and the
 * parameters move.  The cut depends on the options only, so every thread
 * count computes the same bytes. */
#ifndef BD_TRAIN_PRIV_H
#define BD_TRAIN_PRIV_H

#include "train/train.h"

/* A parameter that learns: a copy, its momentum, its summed gradient. */
struct bd_param {
    int value;    /* index in the model */
    bool decay;   /* weights shrink; biases and normalization do not */
    size_t n, at; /* elements; where a shard's gradients hold it */
    float *w, *speed, *grad;
};

/* A BatchNorm's running statistics, updated after each step. */
struct bd_running {
    int node;       /* index in the model */
    int mean, var;  /* value indices */
    size_t n, at;   /* channels; where a shard's statistics hold them:
                          n means, then n unbiased variances */
    float momentum; /* share of the old value, 0.9 */
    float *m, *v;
};

struct bd_shard { /* what one shard of a batch leaves behind */
    float *grad;  /* [ngrad] */
    float *stats; /* [nstats] */
    double loss;  /* summed over images */
    int64_t right;
    bd_status status;
    struct bd_err err;
};

struct bd_worker { /* executors, made when a thread first needs them */
    struct bd_exec *fit, *eval;
    float *seed; /* dL/d(logits) of one shard */
};

/* A way of training.  Every hook may be NULL; `float` needs none.  A
 * quantization-aware recipe keeps its state in t->own (so many bytes, zeroed),
 * fills t->q before each step with what forward shall see, and turns the
 * gradients of those values into gradients of the parameters afterwards. */
struct bd_recipe {
    const char *name, *title;
    size_t own;
    bd_status (*begin)(struct bd_trainer *t, struct bd_err *err);
    bd_status (*before)(struct bd_trainer *t, struct bd_err *err);
    void (*after)(struct bd_trainer *t);
    void (*end)(struct bd_trainer *t);
};
extern const struct bd_recipe bd_recipe_float;
const struct bd_recipe *bd_train_recipe(const char *name); /* NULL: unknown */

/* A learning rate over time: x in [0,1) of the whole training. */
struct bd_schedule {
    const char *name;
    double (*rate)(double x);
};
const struct bd_schedule *bd_train_schedule(const char *name);

struct bd_trainer {
    const struct bd_model *m;           /* borrowed */
    const struct bd_data *train, *test; /* borrowed; test may be NULL */
    struct bd_train_opts o;
    struct bd_prep prep;
    const struct bd_recipe *recipe;
    const struct bd_schedule *schedule;
    int logits;             /* value index the loss reads */
    int64_t classes, input; /* per image: logits, input elements */
    int64_t dim[3];         /* of the input, without the batch */
    bool flip;              /* mirrored pictures keep their class */
    int64_t shard, nshards; /* images per shard, shards per batch */
    int64_t epoch;          /* already done */
    struct bd_plan *fit, *eval;
    size_t nparams, ngrad, nrunning, nstats;
    struct bd_param *param;
    struct bd_running *running;
    struct bd_shard *slot;    /* [nshards] */
    struct bd_worker *worker; /* [nworkers] */
    int nworkers;
    int64_t *order; /* [images] this epoch's shuffle */
    int64_t images;
    float **now;           /* [nvalues] current parameters or NULL */
    struct bd_qlayer *q;   /* [nlayers] or NULL = float */
    void *own;             /* the recipe's */
    struct bd_arena arena; /* everything sized once */
};

/* params.c: finds what learns, copies it. */
bd_status bd_train_params(struct bd_trainer *t, struct bd_err *err);

/* feed.c: image `slot` of this epoch's order, augmented; or test image i. */
void bd_train_shuffle(struct bd_trainer *t);
bd_status bd_train_fetch(const struct bd_trainer *t, int64_t slot, float *dst,
                         int *label, struct bd_err *err);
bd_status bd_test_fetch(const struct bd_trainer *t, int64_t i, float *dst,
                        int *label, struct bd_err *err);

/* loss.c: softmax cross-entropy of one image; grad[n] = (softmax - one-hot)
 * * scale, or NULL.  Adds 1 to *right when the largest logit is the label. */
double bd_train_loss(float *grad, const float *logits, int64_t n, int label,
                     double scale);
int64_t bd_train_argmax(const float *x, int64_t n);

/* sgd.c: one update of every parameter from its gradient. */
void bd_train_update(struct bd_trainer *t, double lr);

/* step.c */
bd_status bd_train_step(struct bd_trainer *t, struct bd_pool *pool,
                        int64_t step, struct bd_epoch *sum, struct bd_err *err);
/* Calls fn over [0, n) on the pool, or alone without one. */
void bd_train_each(struct bd_pool *pool, int64_t n, bd_pool_fn *fn, void *arg);

/* test.c: share of right answers on the test set. */
bd_status bd_train_test(struct bd_trainer *t, struct bd_pool *pool,
                        double *accuracy, struct bd_ctl *ctl,
                        struct bd_err *err);

#endif
