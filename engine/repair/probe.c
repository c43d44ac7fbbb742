/* Images through a network, one executor per worker.  A pass ends early when
 * the control goes stale or an image fails; the first error wins. */
#include "repair/repair_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct bd_probe {
    const struct bd_repair_in *in;
    const struct bd_model *m;
    struct bd_plan *plan;
    struct bd_exec **exec; /* [threads], made when first needed */
    int threads;
    /* of the pass under way */
    const struct bd_probe_pass *pass;
    struct bd_ctl *ctl;
    pthread_mutex_t lock;
    struct bd_err err;
    atomic_int status;
    atomic_llong done;
};

struct seen { /* what an observer must know */
    const struct bd_probe_pass *pass;
    int64_t image;
};

bd_status bd_probe_new(struct bd_probe **out, const struct bd_model *m,
                       const struct bd_repair_in *in, struct bd_err *err)
{
    struct bd_plan_opts o = {.batch = 1};
    struct bd_probe *p = bd_calloc(1, sizeof *p);
    if (!p)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    p->in = in;
    p->m = m;
    p->threads = in->pool ? bd_pool_threads(in->pool) : 1;
    p->exec = bd_calloc((size_t)p->threads, sizeof *p->exec);
    bd_status st = p->exec ? bd_plan_new(&p->plan, m, &o, err)
                           : bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK && bd_plan_batch(p->plan) != 1)
        st = bd_fail(err, BD_EUNSUPPORTED,
                     "the network takes %lld images at once; repairs look "
                     "at one", (long long)bd_plan_batch(p->plan));
    if (st != BD_OK) {
        bd_probe_free(p);
        return st;
    }
    *out = p;
    return BD_OK;
}

void bd_probe_free(struct bd_probe *p)
{
    if (!p)
        return;
    for (int w = 0; p->exec && w < p->threads; w++)
        bd_exec_free(p->exec[w]);
    bd_free(p->exec);
    bd_plan_free(p->plan);
    pthread_mutex_destroy(&p->lock);
    bd_free(p);
}

static void observe(void *arg, int layer, const struct bd_tensor *in,
                    const struct bd_tensor *out)
{
    const struct seen *s = arg;
    if (s->pass->only < 0 || s->pass->only == layer)
        s->pass->see(s->pass->arg, s->image, layer, in, out);
}

/* The first input of the node the pass ends before. */
static bd_status run_before(struct bd_probe *p, struct bd_exec *x,
                            const struct seen *s,
                            const struct bd_exec_run *run, struct bd_err *err)
{
    const struct bd_node *n = s->pass->before;
    bd_status st = bd_exec_run_part(x, run, 0, (size_t)(n - p->m->node), err);
    if (st == BD_OK)
        s->pass->see(s->pass->arg, s->image, -1, bd_exec_value(x, n->in[0]),
                     NULL);
    return st;
}

static bd_status one_image(struct bd_probe *p, int64_t image, int worker,
                           struct bd_err *err)
{
    struct seen seen = {p->pass, image};
    struct bd_exec_run run = {.q = p->pass->q,
                              .override = p->pass->override,
                              .observe = p->pass->before ? NULL : observe,
                              .arg = &seen};
    bd_status st = BD_OK;
    if (!p->exec[worker])
        st = bd_exec_new(&p->exec[worker], p->plan, err);
    if (st == BD_OK)
        st = p->in->images.fetch(p->in->images.arg, image, 1,
                                 bd_exec_input(p->exec[worker], 0), err);
    if (st == BD_OK && p->pass->before)
        return run_before(p, p->exec[worker], &seen, &run, err);
    return st == BD_OK ? bd_exec_run(p->exec[worker], &run, err) : st;
}

static bool step(void *arg, int64_t image, int worker)
{
    struct bd_probe *p = arg;
    struct bd_err err = {0};
    bd_status st = bd_ctl_stale(p->ctl)
                       ? BD_ECANCELLED
                       : one_image(p, image, worker, &err);
    if (st == BD_OK) {
        bd_ctl_progress(p->ctl,
                        p->pass->done + atomic_fetch_add(&p->done, 1) + 1,
                        p->pass->total);
        return true;
    }
    pthread_mutex_lock(&p->lock);
    if (atomic_load(&p->status) == BD_OK) {
        atomic_store(&p->status, st);
        p->err = err;
    }
    pthread_mutex_unlock(&p->lock);
    return false;
}

bd_status bd_probe_run(struct bd_probe *p, const struct bd_probe_pass *pass,
                       struct bd_ctl *ctl, struct bd_err *err)
{
    p->pass = pass;
    p->ctl = ctl;
    atomic_store(&p->done, 0);
    atomic_store(&p->status, BD_OK);
    bd_pool_slices(p->in->pool, p->in->images.images, step, p);
    bd_status st = (bd_status)atomic_load(&p->status);
    if (st != BD_OK && p->err.msg[0])
        bd_fail(err, st, "%s", p->err.msg);
    return st;
}

/* ------------------------------------------------------------------ slices */

struct slice {
    bd_pool_fn *fn;
    void *arg;
    int64_t from;
    atomic_bool stop;
};

static bool slice_step(void *arg, int64_t i, int worker)
{
    struct slice *s = arg;
    bool go = s->fn(s->arg, s->from + i, worker);
    if (!go)
        atomic_store(&s->stop, true);
    return go;
}

/* The size of a slice follows the clock; what is computed does not. */
bool bd_pool_slices(struct bd_pool *pool, int64_t n, bd_pool_fn *fn,
                    void *arg)
{
    struct slice s = {.fn = fn, .arg = arg};
    int64_t size = pool ? bd_pool_threads(pool) : 1;
    const int64_t least = size;
    while (s.from < n && !atomic_load(&s.stop)) {
        int64_t start = bd_now_ns(), now = n - s.from;
        now = now < size ? now : size;
        if (pool)
            bd_pool_for(pool, now, slice_step, &s);
        for (int64_t i = 0; !pool && i < now && slice_step(&s, i, 0); i++)
            ;
        int64_t took = bd_now_ns() - start;
        s.from += now;
        if (took < 20000000)
            size *= 2;
        else if (took > 60000000 && size / 2 >= least)
            size /= 2;
    }
    return !atomic_load(&s.stop);
}
