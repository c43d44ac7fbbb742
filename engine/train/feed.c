/* Which pictures a step sees.  The order is shuffled once per epoch from
 * (seed, epoch); the augmentation of a picture from (seed, epoch, place in
 * the order), so any thread may fetch any picture. */
#include "train_priv.h"

void bd_train_shuffle(struct bd_trainer *t)
{
    struct bd_rng r = bd_rng_fork(t->o.seed, 2 * (uint64_t)t->epoch);
    for (int64_t i = 0; i < t->images; i++)
        t->order[i] = i;
    for (int64_t i = t->images - 1; i > 0; i--) {
        int64_t j = (int64_t)bd_rng_below(&r, (uint64_t)i + 1);
        int64_t swap = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = swap;
    }
}

static bd_status fetch(const struct bd_trainer *t, const struct bd_data *d,
                       int64_t i, float *dst, struct bd_err *err)
{
    return bd_data_fetch(d, &t->prep, i, dst, (size_t)t->input, err);
}

static bd_status label_of(const struct bd_trainer *t, const struct bd_data *d,
                          int64_t i, int *label, struct bd_err *err)
{
    *label = bd_data_label(d, i);
    if (*label >= 0 && *label < t->classes)
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "picture %lld has label %d, the network tells %lld classes",
                   (long long)i, *label, (long long)t->classes);
}

bd_status bd_train_fetch(const struct bd_trainer *t, int64_t slot, float *dst,
                         int *label, struct bd_err *err)
{
    const int64_t i = t->order[slot];
    bd_status s = label_of(t, t->train, i, label, err);
    if (s == BD_OK)
        s = fetch(t, t->train, i, dst, err);
    if (s == BD_OK && t->o.augment) {
        struct bd_rng e = bd_rng_fork(t->o.seed, 2 * (uint64_t)t->epoch + 1);
        struct bd_rng r = bd_rng_fork(bd_rng_u64(&e), (uint64_t)slot);
        bd_data_augment(dst, t->dim, t->flip, &r);
    }
    return s;
}

bd_status bd_test_fetch(const struct bd_trainer *t, int64_t i, float *dst,
                        int *label, struct bd_err *err)
{
    bd_status s = label_of(t, t->test, i, label, err);
    return s == BD_OK ? fetch(t, t->test, i, dst, err) : s;
}
