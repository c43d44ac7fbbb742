/* runner: streams a set of images through a plan.
 *
 * Images go in fixed chunks of the plan's batch: image i is always slot
 * i % batch of chunk i / batch, whatever range is asked and however many
 * threads there are, so every number is the same in every run.  Past the end
 * of the set a chunk is filled with zeros.
 *
 * The prefix cache keeps, per chunk, the values alive at some cut points.  A
 * stored cut carries a digest of the keys of all layers before it; it may
 * start a run exactly when the run's digest is the same.  Chunks are
 * independent, so a cancelled or partial run leaves a cache that is right for
 * what it holds.  cuts.c chooses the points. */
#include "graph/graph_priv.h"
#include "graph/runner_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct bd_runner {
    struct bd_plan *plan;
    struct bd_pool *pool;
    struct bd_source src;
    struct bd_exec **exec; /* one per worker */
    int workers;
    int64_t batch, chunks, per_image; /* per_image: output floats */
    struct bd_cuts cuts;
    char **store;  /* [ncuts * chunks] or NULL: not stored yet */
    uint64_t *key; /* [ncuts * chunks] what each holds, 0 = nothing */
    int64_t nodes; /* that a full run executes */
    int64_t ran, all;
};

/* One call of bd_runner_run. */
struct job {
    struct bd_runner *r;
    const struct bd_runner_run *run;
    struct bd_ctl *ctl;
    float *out;
    uint64_t *prefix; /* [ncuts] digest of the layers before each */
    int64_t end;      /* first image beyond the range */
    int64_t total;
    atomic_llong done, ran;
    atomic_bool failed;
    pthread_mutex_t lock; /* of err and of the caller's chunk function */
    struct bd_err err;
    bd_status status;
};

/* ------------------------------------------------------------ construction */
static size_t quarter_of_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages / 4 * (size_t)size
                                 : (size_t)256 << 20;
}

/* Images per chunk: as many as keep the activations within a core's cache.
 * Depends on the network only. */
static bd_status choose_plan(struct bd_runner *r, const struct bd_model *m,
                             struct bd_err *err)
{
    struct bd_plan_opts o = {.batch = 1};
    bd_status s = bd_plan_new(&r->plan, m, &o, err);
    if (s != BD_OK || r->plan->batch != 1)
        return s;
    size_t one = r->plan->block + 1, room = (size_t)1 << 20;
    int64_t batch = 1;
    while (batch < 32 && one * (size_t)(batch * 2) <= room)
        batch *= 2;
    if (batch == 1)
        return BD_OK;
    struct bd_plan *wide = NULL;
    o.batch = batch;
    s = bd_plan_new(&wide, m, &o, err);
    if (s != BD_OK)
        return s;
    bd_plan_free(r->plan);
    r->plan = wide;
    return BD_OK;
}

static bd_status check_ends(struct bd_runner *r, const struct bd_model *m,
                            struct bd_err *err)
{
    if (m->ninputs < 1 || m->noutputs < 1)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "it has no graph to run; name one with --arch");
    if (m->ninputs > 1)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "it has %zu inputs; images fit "
                       "networks with one",
                       m->ninputs);
    const struct bd_tensor *x = &r->plan->val[m->input[0]];
    const struct bd_tensor *y = &r->plan->val[m->output[0]];
    if (!bd_dtype_is_real(x->type) || !bd_dtype_is_real(y->type))
        return bd_fail(err, BD_EUNSUPPORTED,
                       "its input and output are not real numbers");
    r->per_image = bd_tensor_count(y) / r->batch;
    return BD_OK;
}

static bd_status open_workers(struct bd_runner *r, struct bd_err *err)
{
    r->workers = r->pool ? bd_pool_threads(r->pool) : 1;
    r->exec = bd_calloc((size_t)r->workers, sizeof *r->exec);
    if (!r->exec)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (int k = 0; k < r->workers; k++) {
        bd_status s = bd_exec_new(&r->exec[k], r->plan, err);
        if (s != BD_OK)
            return s;
    }
    for (size_t i = 0; i < r->plan->m->nnodes; i++)
        r->nodes += !r->plan->node[i].skip;
    return BD_OK;
}

static bd_status open_cache(struct bd_runner *r, size_t memory,
                            struct bd_err *err)
{
    size_t budget = memory ? memory : quarter_of_memory();
    bd_status s =
        bd_graph_cuts(&r->cuts, r->plan, budget / (size_t)(r->chunks + 1), err);
    if (s != BD_OK)
        return s;
    size_t n = (size_t)r->chunks * r->cuts.n + 1;
    r->store = bd_calloc(n, sizeof *r->store);
    r->key = bd_calloc(n, sizeof *r->key);
    if (!r->store || !r->key)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    return BD_OK;
}

bd_status bd_runner_new(struct bd_runner **out, const struct bd_model *m,
                        const struct bd_runner_opts *o, struct bd_err *err)
{
    struct bd_runner *r = bd_calloc(1, sizeof *r);
    if (!r)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    r->pool = o->pool;
    r->src = o->src;
    bd_status s = choose_plan(r, m, err);
    if (s == BD_OK) {
        r->batch = r->plan->batch;
        r->chunks = (o->src.images + r->batch - 1) / r->batch;
        s = check_ends(r, m, err);
    }
    if (s == BD_OK)
        s = open_workers(r, err);
    if (s == BD_OK)
        s = open_cache(r, o->memory, err);
    if (s != BD_OK) {
        bd_runner_free(r);
        return s;
    }
    *out = r;
    return BD_OK;
}

void bd_runner_free(struct bd_runner *r)
{
    if (!r)
        return;
    for (int k = 0; r->exec && k < r->workers; k++)
        bd_exec_free(r->exec[k]);
    size_t n = (size_t)r->chunks * r->cuts.n;
    for (size_t k = 0; r->store && k < n; k++)
        bd_free(r->store[k]);
    bd_free(r->exec);
    bd_free(r->store);
    bd_free(r->key);
    bd_graph_cuts_done(&r->cuts);
    bd_plan_free(r->plan);
    bd_free(r);
}

const struct bd_plan *bd_runner_plan(const struct bd_runner *r)
{
    return r->plan;
}

int64_t bd_runner_outputs(const struct bd_runner *r)
{
    return r->per_image;
}

void bd_runner_work(const struct bd_runner *r, int64_t *ran, int64_t *all)
{
    *ran = r->ran;
    *all = r->all;
}

/* --------------------------------------------------------------- the cache */
/* Digest of the keys of every layer before each cut; never 0, which marks
 * an empty place. */
static void digest_prefixes(struct job *j)
{
    const struct bd_model *m = j->r->plan->m;
    const struct bd_cuts *cuts = &j->r->cuts;
    uint64_t d = 1;
    size_t layer = 0;
    for (size_t k = 0; k < cuts->n; k++) {
        for (; layer < m->nlayers && m->layer[layer].node < cuts->cut[k].node;
             layer++) {
            uint64_t key = j->run->q ? j->run->q[layer].key : 0;
            d = bd_digest(&key, sizeof key, d);
        }
        j->prefix[k] = d ? d : 1;
    }
}

static size_t place_of(const struct bd_runner *r, size_t cut, int64_t chunk)
{
    return cut * (size_t)r->chunks + (size_t)chunk;
}

/* Deepest cut whose stored values fit; cuts.n if none. */
static size_t deepest(const struct job *j, int64_t chunk)
{
    const struct bd_runner *r = j->r;
    /* Observers want every layer. */
    if (j->run->no_cache || j->run->observe)
        return r->cuts.n;
    for (size_t k = r->cuts.n; k-- > 0;)
        if (r->key[place_of(r, k, chunk)] == j->prefix[k])
            return k;
    return r->cuts.n;
}

static void copy_cut(struct bd_exec *e, const struct bd_cut *cut, char *at,
                     bool keep)
{
    for (size_t k = 0; k < cut->n; k++) {
        const struct bd_tensor *t = bd_exec_value(e, cut->value[k]);
        size_t n = (size_t)bd_tensor_count(t) * bd_graph_esize(t);
        if (keep)
            memcpy(at, bd_graph_data(t), n);
        else
            memcpy(bd_graph_data(t), at, n);
        at += n;
    }
}

/* Exhaustion only means that this place stays empty. */
static void keep_cut(const struct job *j, struct bd_exec *e, size_t k,
                     int64_t chunk)
{
    struct bd_runner *r = j->r;
    size_t at = place_of(r, k, chunk);
    if (j->run->no_cache || r->key[at] == j->prefix[k])
        return;
    if (!r->store[at])
        r->store[at] = bd_alloc(1, r->cuts.cut[k].bytes + 1);
    if (!r->store[at])
        return;
    copy_cut(e, &r->cuts.cut[k], r->store[at], true);
    r->key[at] = j->prefix[k];
}

/* ------------------------------------------------------------- one chunk */
struct chunk { /* and which of its slots count */
    struct job *j;
    int64_t at;          /* index of the chunk */
    int64_t skip, count; /* slots before the range, slots in it */
    int worker;
};

/* The observer sees only images of the range. */
static void observe(void *arg, int layer, const struct bd_tensor *in,
                    const struct bd_tensor *out)
{
    const struct chunk *k = arg;
    const struct bd_runner *r = k->j->r;
    struct bd_tensor t[2] = {*in, *out};
    for (int i = 0; i < 2; i++) {
        int64_t slot = bd_tensor_count(&t[i]) / r->batch;
        if (t[i].rank < 1 || t[i].dim[0] % r->batch)
            continue; /* one image under another layout: batch is 1 */
        t[i].dim[0] = t[i].dim[0] / r->batch * k->count;
        if (t[i].f)
            t[i].f += slot * k->skip;
    }
    k->j->run->observe(k->j->run->observe_arg[k->worker], layer, &t[0], &t[1]);
}

static bd_status fetch(const struct chunk *k, struct bd_exec *e,
                       struct bd_err *err)
{
    const struct bd_runner *r = k->j->r;
    const struct bd_tensor *x = bd_exec_value(e, r->plan->m->input[0]);
    int64_t first = k->at * r->batch, left = r->src.images - first;
    int64_t n = left < r->batch ? left : r->batch;
    int64_t each = bd_tensor_count(x) / r->batch;
    memset(x->f + n * each, 0, (size_t)((r->batch - n) * each) * sizeof *x->f);
    return r->src.fetch(r->src.arg, first, n, x->f, err);
}

/* Runs the chunk from the deepest stored cut, keeping the later ones. */
static bd_status compute(const struct chunk *k, struct bd_exec *e,
                         struct bd_err *err)
{
    struct job *j = k->j;
    const struct bd_cuts *cuts = &j->r->cuts;
    struct bd_exec_run run = {.q = j->run->q};
    size_t start = deepest(j, k->at), from = 0, next = 0;
    bd_status s = BD_OK;
    if (j->run->observe) {
        run.observe = observe;
        memcpy(&run.arg, &k, sizeof run.arg);
    }
    if (j->run->begin)
        j->run->begin(j->run->observe_arg[k->worker],
                      k->at * j->r->batch + k->skip, k->count);
    if (start < cuts->n) {
        const struct bd_cut *c = &cuts->cut[start];
        copy_cut(e, c, j->r->store[place_of(j->r, start, k->at)], false);
        from = (size_t)c->node;
        next = start + 1;
    }
    if (start == cuts->n || cuts->cut[start].input)
        s = fetch(k, e, err);
    atomic_fetch_add(&j->ran, bd_graph_runs(j->r->plan, from));
    for (; s == BD_OK && next < cuts->n; next++) {
        size_t to = (size_t)cuts->cut[next].node;
        s = bd_graph_exec_range(e, &run, from, to, err);
        if (s == BD_OK)
            keep_cut(j, e, next, k->at);
        from = to;
    }
    if (s == BD_OK)
        s = bd_graph_exec_range(e, &run, from, j->r->plan->m->nnodes, err);
    return s;
}

static void deliver(const struct chunk *k, const struct bd_exec *e)
{
    struct job *j = k->j;
    const struct bd_runner *r = j->r;
    const struct bd_tensor *y = bd_exec_value(e, r->plan->m->output[0]);
    int64_t first = k->at * r->batch + k->skip - j->run->first;
    float *dst = j->out + first * r->per_image;
    memcpy(dst, y->f + k->skip * r->per_image,
           (size_t)(k->count * r->per_image) * sizeof *dst);
    int64_t done = atomic_fetch_add(&j->done, k->count) + k->count;
    bd_ctl_progress(j->ctl, done, j->total);
    if (!j->run->chunk)
        return;
    pthread_mutex_lock(&j->lock);
    j->run->chunk(j->run->arg, first + j->run->first, k->count, dst);
    pthread_mutex_unlock(&j->lock);
}

static void give_up(struct job *j, bd_status s, const struct bd_err *err)
{
    pthread_mutex_lock(&j->lock);
    if (j->status == BD_OK) {
        j->status = s;
        j->err = *err;
    }
    pthread_mutex_unlock(&j->lock);
    atomic_store(&j->failed, true);
}

static bool one_chunk(void *arg, int64_t index, int worker)
{
    struct job *j = arg;
    const struct bd_runner *r = j->r;
    int64_t at = j->run->first / r->batch + index;
    int64_t begin = at * r->batch, end = begin + r->batch;
    int64_t from = begin < j->run->first ? j->run->first : begin;
    struct chunk k = {.j = j,
                      .at = at,
                      .skip = from - begin,
                      .count = (end < j->end ? end : j->end) - from,
                      .worker = worker};
    struct bd_err err = {0};
    if (atomic_load(&j->failed))
        return false;
    bd_status s = BD_OK;
    if (bd_ctl_stale(j->ctl))
        s = bd_fail(&err, BD_ECANCELLED, "cancelled");
    if (s == BD_OK)
        s = compute(&k, r->exec[worker], &err);
    if (s != BD_OK) {
        give_up(j, s, &err);
        return false;
    }
    deliver(&k, r->exec[worker]);
    return true;
}

/* ------------------------------------------------------------------ a run */
static bd_status check_range(const struct bd_runner *r,
                             const struct bd_runner_run *run, int64_t *end,
                             struct bd_err *err)
{
    int64_t n = r->src.images;
    if (run->first < 0 || run->images < 0 || run->first > n ||
        run->images > n - run->first)
        return bd_fail(err, BD_EINVALID, "images %lld to %lld of %lld",
                       (long long)run->first,
                       (long long)(run->first + run->images), (long long)n);
    *end = run->images ? run->first + run->images : n;
    return BD_OK;
}

static void for_chunks(struct job *j, int64_t n)
{
    if (j->r->pool) {
        bd_pool_for(j->r->pool, n, one_chunk, j);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        if (!one_chunk(j, k, 0))
            return;
}

bd_status bd_runner_run(struct bd_runner *r, const struct bd_runner_run *run,
                        float *out, struct bd_ctl *ctl, struct bd_err *err)
{
    struct job j = {.r = r, .run = run, .ctl = ctl, .out = out};
    bd_status s = check_range(r, run, &j.end, err);
    if (s != BD_OK)
        return s;
    j.total = j.end - run->first;
    j.prefix = bd_calloc(r->cuts.n + 1, sizeof *j.prefix);
    if (!j.prefix)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    digest_prefixes(&j);
    pthread_mutex_init(&j.lock, NULL);
    int64_t first = run->first / r->batch;
    int64_t last = (j.end + r->batch - 1) / r->batch;
    int64_t n = j.total > 0 ? last - first : 0;
    bd_ctl_progress(ctl, 0, j.total);
    for_chunks(&j, n);
    pthread_mutex_destroy(&j.lock);
    bd_free(j.prefix);
    r->ran = atomic_load(&j.ran);
    r->all = r->nodes * n;
    if (j.status == BD_OK)
        return BD_OK;
    if (err && err->code == BD_OK)
        *err = j.err;
    return j.status;
}
