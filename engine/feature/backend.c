/* The network behind a split as a function of the feature.
 *
 * Images go in batches whose size depends on the network and the number of
 * images only, never on threads: a fully connected back end reads each weight
 * once per batch, which is what its time goes into; a convolutional one gains
 * nothing and runs image by image, so that more threads find work. */
#include "feature/feature.h"

#include <string.h>

enum { WIDEST = 8, REUSE = 32 }; /* uses of a weight per image */

struct behind {
    const struct bd_split *s;
    struct bd_plan *plan;
    struct bd_exec **exec; /* [workers] */
    int workers;
    int64_t batch, outputs;
};

static bd_status run(void *arg, int worker, double *out, const double *x,
                     struct bd_err *err)
{
    struct behind *b = arg;
    struct bd_exec *e = b->exec[worker];
    const struct bd_tensor *v = bd_exec_value(e, b->s->value);
    const struct bd_tensor *y = bd_exec_value(e, b->s->output);
    int64_t n = bd_tensor_count(v), m = b->batch * b->outputs;

    for (int64_t i = 0; i < n; i++)
        v->f[i] = (float)x[i];
    bd_status st = bd_exec_run_part(e, NULL, b->s->from, b->s->to, err);
    for (int64_t i = 0; st == BD_OK && i < m; i++)
        out[i] = (double)y->f[i];
    return st;
}

static void done(void *arg)
{
    struct behind *b = arg;

    for (int w = 0; b->exec && w < b->workers; w++)
        bd_exec_free(b->exec[w]);
    bd_free(b->exec);
    bd_plan_free(b->plan);
    bd_free(b);
}

static int64_t batch_for(const struct bd_split *s, int64_t images)
{
    int64_t b = images / 2; /* two batches at least, for two threads */

    if (s->macs > REUSE * s->params || b < 1)
        return 1;
    return b < WIDEST ? b : WIDEST;
}

static bd_status open_workers(struct behind *b, struct bd_err *err)
{
    b->exec = bd_calloc((size_t)b->workers, sizeof *b->exec);
    if (!b->exec)
        return bd_fail(err, BD_ENOMEM, "out of memory for the back end");
    for (int w = 0; w < b->workers; w++) {
        bd_status st = bd_exec_new(&b->exec[w], b->plan, err);

        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

bd_status bd_backend_open(struct bd_backend *out, const struct bd_split *s,
                          int64_t images, int workers, struct bd_err *err)
{
    struct behind *b = bd_calloc(1, sizeof *b);
    struct bd_plan_opts o = {.batch = batch_for(s, images)};
    bd_status st;

    if (!b)
        return bd_fail(err, BD_ENOMEM, "out of memory for the back end");
    b->s = s;
    b->workers = workers;
    st = bd_plan_new(&b->plan, s->m, &o, err);
    if (st == BD_OK)
        st = open_workers(b, err);
    if (st != BD_OK) {
        done(b);
        return st;
    }
    b->batch = bd_plan_batch(b->plan);
    b->outputs =
        bd_tensor_count(bd_plan_value(b->plan, s->output)) / b->batch;
    *out = (struct bd_backend){b->outputs, b->batch, run, done, b};
    return BD_OK;
}

void bd_backend_done(struct bd_backend *b)
{
    if (b->done)
        b->done(b->arg);
    *b = (struct bd_backend){0};
}
