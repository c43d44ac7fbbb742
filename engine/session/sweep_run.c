/* The engine of engine/sens fed with this session's weights, images and
 * calibration; and the digest of everything a result depends on.
 *
 * The digest is of contents: the weights as they are now (a repair changes
 * them), the preprocessed pixels and labels of the range, the calibration
 * statistics where inputs are quantized, every point, every option, the
 * program's version.  Two sweeps with the same digest give the same bytes. */
#include "session/sweep_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char no_memory[] = "out of memory for the sweep";
/* Of quantized weights at a time; the cut into passes depends on it, so it is
 * no option. */
static const size_t weight_bytes = (size_t)256 << 20;
static const int64_t journal_ns = 1000000000;

/* ---------------------------------------------------------------- digests */

static uint64_t mix(uint64_t d, uint64_t v)
{
    return bd_digest(&v, sizeof v, d);
}

static uint64_t digest_model(const struct bd_model *m)
{
    uint64_t d = m->digest;

    for (size_t v = 0; v < m->nvalues; v++) {
        const struct bd_tensor *t = &m->value[v].t;

        if (t->f && t->rank >= 0)
            d = bd_digest(t->f, (size_t)bd_tensor_count(t) * sizeof *t->f, d);
    }
    return d;
}

static uint64_t digest_point(uint64_t d, const struct bd_sens_point *p)
{
    d = mix(d, (uint64_t)(uint32_t)p->layer << 32 | (uint32_t)p->column);
    d = mix(d, (uint64_t)p->what);
    d = mix(d, bd_tensorcfg_digest(&p->w));
    return mix(d, bd_tensorcfg_digest(&p->a));
}

static uint64_t digest_stat(uint64_t d, const struct bd_actstat *s)
{
    const double v[4] = {bd_actstat_min(s), bd_actstat_max(s),
                         bd_actstat_sumsq(s), bd_actstat_absmean(s)};

    return bd_digest(v, sizeof v, mix(d, (uint64_t)bd_actstat_count(s)));
}

struct pictures { /* hashed over the pool, one number each */
    struct bd_bench *b;
    struct bd_ctl *ctl;
    uint64_t *hash;
    float *room; /* [threads, elements] */
    struct bd_err err;
    pthread_mutex_t lock;
    bd_status st;
    int64_t first;
};

static bool hash_picture(void *arg, int64_t i, int worker)
{
    struct pictures *p = arg;
    struct bd_err e = {0};
    size_t n = p->b->o.elements;
    float *x = p->room + (size_t)worker * n;
    int64_t at = p->first + i;
    bd_status st = bd_ctl_stale(p->ctl)
                       ? BD_ECANCELLED
                       : bd_pixels_fetch(p->b->pixels, at, 1, x, &e);

    if (st == BD_OK) {
        p->hash[at] = bd_digest(x, n * sizeof *x, 0);
        return true;
    }
    pthread_mutex_lock(&p->lock);
    if (p->st == BD_OK) {
        p->st = st;
        p->err = e;
    }
    pthread_mutex_unlock(&p->lock);
    return false;
}

/* A few at a time: the pool belongs to others as well. */
static bd_status digest_pictures(uint64_t *d, const struct bd_sweep_ask *a,
                                 int64_t images, struct bd_err *err)
{
    enum { STEP = 16 };
    struct pictures p = {.b = a->bench, .ctl = a->ctl};
    size_t workers = (size_t)bd_pool_threads(a->pool);

    p.hash = bd_calloc((size_t)images + 1, sizeof *p.hash);
    p.room = bd_alloc(workers * a->bench->o.elements + 1, sizeof *p.room);
    if (!p.hash || !p.room)
        p.st = bd_fail(&p.err, BD_ENOMEM, no_memory);
    pthread_mutex_init(&p.lock, NULL);
    for (; p.st == BD_OK && p.first < images; p.first += STEP)
        bd_pool_for(a->pool,
                    images - p.first < STEP ? images - p.first : STEP,
                    hash_picture, &p);
    pthread_mutex_destroy(&p.lock);
    if (p.st == BD_OK) {
        *d = bd_digest(p.hash, (size_t)images * sizeof *p.hash, *d);
        *d = bd_digest(a->bench->label,
                       (size_t)images * sizeof *a->bench->label, *d);
    } else if (err && !err->msg[0]) {
        *err = p.err;
    }
    bd_free(p.hash);
    bd_free(p.room);
    return p.st;
}

static bool needs_inputs(const struct bd_sens_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->point[i].what & BD_SENS_A)
            return true;
    return false;
}

static bd_status make_key(struct bd_sweep_ask *a,
                          const struct bd_sens_table *t, struct bd_err *err)
{
    const int64_t batch = bd_plan_batch(bd_runner_plan(a->bench->runner));
    uint64_t d = digest_model(a->m);
    bd_status st;

    d = bd_digest(BD_VERSION, sizeof BD_VERSION, d);
    d = mix(d, (uint64_t)t->mode << 32 | (uint64_t)t->lead << 16 | t->metrics);
    d = mix(d, (uint64_t)t->images << 1 | a->no_early_stop);
    d = mix(d, (uint64_t)batch);
    for (size_t i = 0; i < t->n; i++)
        d = digest_point(d, &t->point[i]);
    for (size_t i = 0; needs_inputs(t) && i < a->m->nlayers; i++)
        if (bd_bench_stat(a->bench, (int)i))
            d = digest_stat(d, bd_bench_stat(a->bench, (int)i));
    st = digest_pictures(&d, a, t->images, err);
    a->key = d;
    return st;
}

/* ------------------------------------------------------ quantized layers */

/* One layer by a choice, as the accuracy of a configuration would have it. */
static bd_status take(struct bd_qlayer *out, void **held, void *arg,
                      const struct bd_sens_point *p, struct bd_err *err)
{
    struct bd_sweep_ask *a = arg;
    const int layer = p->layer;
    struct bd_qrun *r = bd_calloc(1, sizeof *r);
    struct bd_bitcfg cfg = {0};
    bd_status st = BD_ENOMEM;

    if (r)
        st = bd_bitcfg_init(&cfg, a->m->nlayers);
    if (st != BD_OK) {
        bd_free(r);
        return bd_fail(err, BD_ENOMEM, no_memory);
    }
    bd_layercfg_set(&cfg.layer[layer], true, &p->w);
    bd_layercfg_set(&cfg.layer[layer], false, &p->a);
    st = bd_qrun_init(r, a->bench, &cfg, a->ctl, err);
    bd_bitcfg_done(&cfg);
    if (st != BD_OK) {
        bd_free(r);
        return st;
    }
    *out = r->q[layer];
    *held = r;
    return BD_OK;
}

static void give(void *arg, void *held)
{
    (void)arg;
    bd_qrun_done(held);
    bd_free(held);
}

/* ------------------------------------------------------------- a whole run */

static void save(struct bd_sweep_ask *a, const struct bd_sens_table *t)
{
    struct bd_err e = {0};

    if (!a->path[0] || bd_journal_write(t, a->path, a->key, &e) == BD_OK)
        return;
    snprintf(a->note, sizeof a->note, "sweep: not kept in the cache: %s",
             e.msg);
    a->path[0] = 0; /* once is enough */
}

static void step(void *arg, const struct bd_sens_table *t)
{
    struct bd_sweep_ask *a = arg;
    int64_t now = bd_now_ns();

    if (a->post)
        a->post(a->arg, t);
    if (now - a->saved_ns < journal_ns)
        return;
    a->saved_ns = now;
    save(a, t);
}

static void name_journal(struct bd_sweep_ask *a)
{
    char dir[1024];

    a->path[0] = 0;
    if (!a->no_cache && bd_xdg_dir(dir, sizeof dir, "CACHE"))
        snprintf(a->path, sizeof a->path, "%s/sweep-%016llx.bin", dir,
                 (unsigned long long)a->key);
}

/* Statistics of inputs first: they belong to the key. */
static bd_status prepare(struct bd_sens_table *t, struct bd_sweep_ask *a,
                         struct bd_err *err)
{
    bd_status st = BD_OK;

    if (needs_inputs(t))
        st = bd_bench_calibrate(a->bench, a->ctl, err);
    if (st == BD_OK && !a->no_cache)
        st = make_key(a, t, err);
    if (st != BD_OK)
        return st;
    name_journal(a);
    t->sums = bd_calloc(t->n + t->nbase + 1, sizeof *t->sums);
    if (!t->sums)
        return bd_fail(err, BD_ENOMEM, no_memory);
    if (a->path[0] &&
        bd_journal_read(t, a->path, a->key, a->note, sizeof a->note))
        bd_sens_refresh(t);
    return BD_OK;
}

bd_status bd_sweep_run(struct bd_sens_table *t, struct bd_sweep_ask *a,
                       struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_bench *b = a->bench;
    struct bd_sens_ask ask = {
        .m = a->m,
        .src = {bd_pixels_fetch, b->pixels, b->o.images},
        .label = b->label,
        .pool = a->pool,
        .batch = bd_plan_batch(bd_runner_plan(b->runner)),
        .memory = weight_bytes,
        .no_early_stop = a->no_early_stop,
        .take = take, .give = give, .step = step, .arg = a};

    a->ctl = ctl;
    a->saved_ns = bd_now_ns();
    bd_status st = prepare(t, a, err);
    if (st == BD_OK && t->complete)
        return BD_OK; /* all of it was in the cache */
    if (st == BD_OK) {
        st = bd_sens_run(t, &ask, ctl, err);
        if (t->evaluations > 0)
            save(a, t);
    }
    return st;
}
