/* train: fits a network.  Forward and backward come from graph/; here are
 * loss, optimizers, schedules and the epoch loop, with room for the
 * quantization-aware recipes. */
#ifndef BD_TRAIN_H
#define BD_TRAIN_H

#include "data/data.h"
#include "graph/graph.h"

struct bd_train_opts {
    const char *recipe;   /* "float" */
    int64_t epochs, batch;
    double lr, momentum, decay; /* 0.9 and 5e-4 as usual */
    const char *schedule; /* "cosine", "step", "constant" */
    int64_t limit;        /* training images, 0 = all */
    bool augment;
    uint64_t seed;
    const struct bd_prep *prep;
};
struct bd_epoch {
    int64_t epoch, epochs;
    double loss, train_acc, test_acc, lr, seconds; /* test_acc NaN if none */
};
struct bd_trainer;
/* Copies the model's parameters; the model itself stays as it is. */
bd_status bd_trainer_new(struct bd_trainer **out, const struct bd_model *m,
                         const struct bd_data *train,
                         const struct bd_data *test, /* NULL = none */
                         const struct bd_train_opts *o, struct bd_err *err);
void bd_trainer_free(struct bd_trainer *t);
/* One epoch; same seed, same bytes, for any thread count. */
bd_status bd_trainer_epoch(struct bd_trainer *t, struct bd_pool *pool,
                           struct bd_epoch *out, struct bd_ctl *ctl,
                           struct bd_err *err);
/* [nvalues] pointers, NULL where the model's own data holds; borrowed. */
const float *const *bd_trainer_params(const struct bd_trainer *t);

#endif
