/* Accuracy on the test set, with running statistics, as the network will be
 * used.  The last chunk is filled up by repeating its first image. */
#include "train_priv.h"

struct test {
    struct bd_trainer *t;
    struct bd_ctl *ctl;
    int64_t n, batch;
    int64_t *right;      /* [chunks] */
    struct bd_shard *at; /* [chunks]: status and sentence only */
};

static bd_status run_chunk(struct test *k, int64_t chunk, struct bd_worker *w,
                           struct bd_err *err)
{
    struct bd_trainer *t = k->t;
    const int64_t first = chunk * k->batch;
    struct bd_exec_run run = {.q = t->q,
                              .override = (const float *const *)t->now};
    int *label = bd_alloc((size_t)k->batch, sizeof *label);
    bd_status s = label ? BD_OK : bd_fail(err, BD_ENOMEM, "out of memory");
    if (s == BD_OK && !w->eval)
        s = bd_exec_new(&w->eval, t->eval, err);
    for (int64_t i = 0; s == BD_OK && i < k->batch; i++)
        s = bd_test_fetch(t, first + i < k->n ? first + i : first,
                          bd_exec_input(w->eval, 0) + i * t->input, &label[i],
                          err);
    if (s == BD_OK)
        s = bd_exec_run(w->eval, &run, err);
    for (int64_t i = 0; s == BD_OK && i < k->batch && first + i < k->n; i++) {
        const float *x = bd_exec_value(w->eval, t->logits)->f + i * t->classes;
        k->right[chunk] += bd_train_argmax(x, t->classes) == label[i];
    }
    bd_free(label);
    return s;
}

static bool chunk_main(void *arg, int64_t index, int worker)
{
    struct test *k = arg;
    struct bd_shard *at = &k->at[index];
    if (bd_ctl_stale(k->ctl))
        return false;
    at->status = run_chunk(k, index, &k->t->worker[worker], &at->err);
    return at->status == BD_OK;
}

static bd_status collect(const struct test *k, int64_t chunks, double *accuracy,
                         struct bd_err *err)
{
    int64_t right = 0;
    if (bd_ctl_stale(k->ctl))
        return bd_fail(err, BD_ECANCELLED, "cancelled");
    for (int64_t i = 0; i < chunks; i++) {
        if (k->at[i].status != BD_OK)
            return bd_fail(err, k->at[i].status, "%s", k->at[i].err.msg);
        right += k->right[i];
    }
    *accuracy = (double)right / (double)k->n;
    return BD_OK;
}

bd_status bd_train_test(struct bd_trainer *t, struct bd_pool *pool,
                        double *accuracy, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    struct test k = {.t = t,
                     .ctl = ctl,
                     .n = bd_data_count(t->test),
                     .batch = bd_plan_batch(t->eval)};
    const int64_t chunks = (k.n + k.batch - 1) / k.batch;
    k.right = bd_calloc((size_t)chunks, sizeof *k.right);
    k.at = bd_calloc((size_t)chunks, sizeof *k.at);
    bd_status s = BD_OK;
    if (!k.right || !k.at) {
        s = bd_fail(err, BD_ENOMEM, "out of memory for the test");
    } else {
        bd_train_each(pool, chunks, chunk_main, &k);
        s = collect(&k, chunks, accuracy, err);
    }
    bd_free(k.right);
    bd_free(k.at);
    return s;
}
