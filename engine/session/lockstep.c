/* The error at every layer's output when the whole network is quantized: one
 * image goes through a float and a quantized executor, and the outputs of
 * each layer are compared.  Images are spread over the pool; their sums are
 * kept per image and added in image order, so the answer does not depend on
 * the number of threads. */
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

struct sums { /* of one layer over one image */
    double power, err2;
};

struct bench_pair { /* one worker's two executors */
    struct bd_exec *ref, *q;
    float **out;    /* [nlayers] float outputs of the present image */
    size_t *cap;    /* [nlayers] */
    struct sums *sums; /* of the present image */
    bool failed;
};

struct lockstep {
    struct bd_bench *b;
    const struct bd_qrun *run;
    struct bench_pair *pair; /* [threads] */
    struct sums *sums;       /* [images][nlayers] */
    struct bd_ctl *ctl;
    struct bd_err *err; /* guarded by `lock`: first error wins */
    pthread_mutex_t lock;
    atomic_int status;
    atomic_llong done;
};

static void keep_output(void *arg, int layer, const struct bd_tensor *in,
                        const struct bd_tensor *out)
{
    struct bench_pair *p = arg;
    size_t n = (size_t)bd_tensor_count(out);
    (void)in;
    if (n > p->cap[layer]) {
        bd_free(p->out[layer]);
        p->out[layer] = bd_alloc(n, sizeof(float));
        p->cap[layer] = p->out[layer] ? n : 0;
    }
    if (p->out[layer])
        memcpy(p->out[layer], out->f, n * sizeof(float));
    else
        p->failed = true;
}

static void compare_output(void *arg, int layer, const struct bd_tensor *in,
                           const struct bd_tensor *out)
{
    struct bench_pair *p = arg;
    size_t n = (size_t)bd_tensor_count(out);
    struct sums s = {0, 0};
    (void)in;
    if (!p->out[layer] || n > p->cap[layer])
        return;
    for (size_t i = 0; i < n; i++) {
        double x = (double)p->out[layer][i], d = x - (double)out->f[i];
        s.power += x * x;
        s.err2 += d * d;
    }
    p->sums[layer] = s;
}

static bd_status one_image(struct lockstep *l, struct bench_pair *p, int64_t i,
                           struct bd_err *err)
{
    struct bd_bench *b = l->b;
    struct bd_pixels *px = b->calib == b->runner ? b->pixels : b->calib_pixels;
    struct bd_exec_run ref = {.observe = keep_output, .arg = p};
    struct bd_exec_run q = {.q = l->run->q, .observe = compare_output,
                            .arg = p};
    p->sums = l->sums + (size_t)i * l->run->n;
    float *x = bd_exec_input(p->ref, 0);
    bd_status st = bd_pixels_fetch(px, i, 1, x, err);
    if (st == BD_OK) {
        memcpy(bd_exec_input(p->q, 0), x, b->o.elements * sizeof *x);
        st = bd_exec_run(p->ref, &ref, err);
    }
    if (st == BD_OK && p->failed)
        st = bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        st = bd_exec_run(p->q, &q, err);
    return st;
}

static bool step(void *arg, int64_t i, int worker)
{
    struct lockstep *l = arg;
    struct bd_err err = {0};
    bd_status st = bd_ctl_stale(l->ctl)
                       ? BD_ECANCELLED
                       : one_image(l, &l->pair[worker], i, &err);
    if (st == BD_OK) {
        bd_ctl_progress(l->ctl, atomic_fetch_add(&l->done, 1) + 1,
                        l->b->o.calib_images);
        return true;
    }
    pthread_mutex_lock(&l->lock);
    if (atomic_load(&l->status) == BD_OK) {
        atomic_store(&l->status, st);
        if (l->err && err.msg[0])
            *l->err = err;
    }
    pthread_mutex_unlock(&l->lock);
    return false;
}

/* ------------------------------------------------------------- the workers */

static bd_status open_pair(struct bench_pair *p, const struct bd_plan *ref,
                           const struct bd_plan *plan, size_t layers,
                           struct bd_err *err)
{
    p->out = bd_calloc(layers, sizeof *p->out);
    p->cap = bd_calloc(layers, sizeof *p->cap);
    if (!p->out || !p->cap)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_exec_new(&p->ref, ref, err);
    return st == BD_OK ? bd_exec_new(&p->q, plan, err) : st;
}

static void close_pair(struct bench_pair *p, size_t layers)
{
    for (size_t i = 0; p->out && i < layers; i++)
        bd_free(p->out[i]);
    bd_free(p->out);
    bd_free(p->cap);
    bd_exec_free(p->ref);
    bd_exec_free(p->q);
}

static void add_up(double *db, const struct lockstep *l)
{
    size_t n = l->run->n;
    for (size_t k = 0; k < n; k++) {
        double power = 0, err2 = 0;
        for (int64_t i = 0; i < l->b->o.calib_images; i++) {
            power += l->sums[(size_t)i * n + k].power;
            err2 += l->sums[(size_t)i * n + k].err2;
        }
        db[k] = bd_sqnr_db(power, err2);
    }
}

/* Under the bench's turn. */
static bd_status run_pairs(double *db, struct lockstep *l,
                           const struct bd_plan *ref,
                           const struct bd_plan *plan)
{
    size_t layers = l->run->n;
    int threads = bd_pool_threads(l->b->o.pool);
    l->pair = bd_calloc((size_t)threads, sizeof *l->pair);
    l->sums = bd_calloc((size_t)l->b->o.calib_images * layers,
                        sizeof *l->sums);
    bd_status st = l->pair && l->sums
                       ? BD_OK
                       : bd_fail(l->err, BD_ENOMEM, "out of memory");
    for (int w = 0; w < threads && st == BD_OK; w++)
        st = open_pair(&l->pair[w], ref, plan, layers, l->err);
    if (st == BD_OK) {
        bd_pool_for(l->b->o.pool, l->b->o.calib_images, step, l);
        st = (bd_status)atomic_load(&l->status);
    }
    if (st == BD_OK)
        add_up(db, l);
    for (int w = 0; l->pair && w < threads; w++)
        close_pair(&l->pair[w], layers);
    bd_free(l->pair);
    bd_free(l->sums);
    return st;
}

bd_status bd_bench_lockstep(double *db, struct bd_bench *b,
                            const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    struct bd_plan *plan = NULL, *ref = NULL;
    struct bd_plan_opts opts = {.batch = 1};
    struct bd_qrun run = {0};
    bd_status st = bd_bench_prepare(b, cfg, ctl, err);
    if (st != BD_OK)
        return st;
    pthread_mutex_lock(&b->turn);
    st = bd_plan_new(&plan, b->o.m, &opts, err);
    if (st == BD_OK && b->o.ref)
        st = bd_plan_new(&ref, b->o.ref, &opts, err);
    if (st == BD_OK)
        st = bd_qrun_init(&run, b, cfg, ctl, err);
    if (st == BD_OK) {
        struct lockstep l = {.b = b, .run = &run, .ctl = ctl, .err = err,
                             .status = BD_OK};
        pthread_mutex_init(&l.lock, NULL);
        st = run_pairs(db, &l, ref ? ref : plan, plan);
        pthread_mutex_destroy(&l.lock);
        bd_qrun_done(&run);
    }
    bd_plan_free(plan);
    bd_plan_free(ref);
    pthread_mutex_unlock(&b->turn);
    return st;
}
