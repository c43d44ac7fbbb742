/* train: fits a network.  Forward and backward come from graph/; here are
 * loss, optimizers, schedules and the epoch loop, with room for the
 * quantization-aware recipes. */
#ifndef BD_TRAIN_H
#define BD_TRAIN_H

#include "data/data.h"
#include "graph/graph.h"

struct bd_train_opts {
    const char *recipe;         /* "float"; NULL = that */
    int64_t epochs, batch;      /* batch: down to a multiple of 16 */
    double lr, momentum, decay; /* 0.9 and 5e-4 as usual */
    const char *schedule;       /* "cosine" (NULL), "step", "constant" */
    int64_t limit;              /* training images, 0 = all */
    bool augment; /* random crops; mirrored too unless made-up data */
    uint64_t seed;
    const struct bd_prep *prep;
    const struct bd_data *test; /* measured after each epoch; NULL = none */
};
struct bd_epoch {
    int64_t epoch, epochs;
    double loss, train_acc, test_acc, lr, seconds; /* test_acc NaN if none */
};
/* What the options take, NULL-ended. */
const char *const *bd_train_recipe_names(void);
const char *const *bd_train_schedule_names(void);

struct bd_trainer;
/* Borrows model and data sets until freed; copies the parameters, so the model
 * stays as it is. */
bd_status bd_trainer_new(struct bd_trainer **out, const struct bd_model *m,
                         const struct bd_data *train,
                         const struct bd_train_opts *o, struct bd_err *err);
void bd_trainer_free(struct bd_trainer *t);
/* One epoch; same seed, same bytes, for any thread count.  pool NULL = this
 * thread.  Progress counts steps of the whole training.  After a failure or
 * cancellation the parameters are those of the last whole step. */
bd_status bd_trainer_epoch(struct bd_trainer *t, struct bd_pool *pool,
                           struct bd_epoch *out, struct bd_ctl *ctl,
                           struct bd_err *err);
/* [nvalues] pointers, NULL where the model's own data holds; borrowed. */
const float *const *bd_trainer_params(const struct bd_trainer *t);

#endif
