/* A trainer from options to epochs.  What it borrows (model, data sets) must
 * outlive it; everything else is its own. */
#include "train_priv.h"

#include <math.h>
#include <string.h>

enum { SHARD = 16 }; /* images BatchNorm averages over; fixed, see below */

const float *const *bd_trainer_params(const struct bd_trainer *t)
{
    return (const float *const *)t->now;
}

static bd_status check(const struct bd_trainer *t, struct bd_err *err)
{
    const struct bd_train_opts *o = &t->o;
    char show[90];
    if (!t->recipe)
        return bd_fail(err, BD_EINVALID, "no recipe '%s'; there is 'float'",
                       bd_text_show(show, sizeof show, o->recipe, 0));
    if (!t->schedule)
        return bd_fail(err, BD_EINVALID,
                       "no schedule '%s'; there are 'cosine', 'step' and "
                       "'constant'",
                       bd_text_show(show, sizeof show, o->schedule, 0));
    if (o->epochs < 1 || o->batch < 1 || o->limit < 0)
        return bd_fail(err, BD_EINVALID,
                       "epochs and batch must be 1 or more, the limit 0 or "
                       "more");
    if (!(o->lr > 0) || !isfinite(o->lr) || !(o->momentum >= 0) ||
        !(o->momentum < 1) || !(o->decay >= 0) || !isfinite(o->decay))
        return bd_fail(err, BD_EINVALID,
                       "learning rate must be above 0, momentum in [0,1), "
                       "weight decay 0 or more");
    if (t->m->ninputs != 1 || t->m->noutputs < 1 || t->m->nnodes == 0)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "training needs a network with one input and an "
                       "output; this has %zu and %zu",
                       t->m->ninputs, t->m->noutputs);
    return BD_OK;
}

/* The loss has its own softmax; one at the end of the network is bypassed,
 * which changes nothing but the precision. */
static int logits_of(const struct bd_model *m)
{
    int v = m->output[0], p = m->value[v].producer;
    while (p >= 0 && (strcmp(m->node[p].op, "Softmax") == 0 ||
                      strcmp(m->node[p].op, "LogSoftmax") == 0)) {
        v = m->node[p].in[0];
        p = m->value[v].producer;
    }
    return v;
}

/* The batch is cut into shards of SHARD images (or one smaller shard); a
 * batch that is no multiple of SHARD is rounded down to one. */
static bd_status cut(struct bd_trainer *t, struct bd_err *err)
{
    int64_t n = bd_data_count(t->train), batch = t->o.batch;
    t->images = t->o.limit && t->o.limit < n ? t->o.limit : n;
    if (t->images < 1)
        return bd_fail(err, BD_EINVALID, "the training set is empty");
    batch = batch < t->images ? batch : t->images;
    t->shard = batch < SHARD ? batch : SHARD;
    t->nshards = batch / t->shard;
    t->order = bd_arena_alloc(&t->arena, (size_t)t->images, sizeof *t->order);
    t->slot = bd_arena_alloc(&t->arena, (size_t)t->nshards, sizeof *t->slot);
    return t->order && t->slot ? BD_OK
                               : bd_fail(err, BD_ENOMEM, "out of memory");
}

static bd_status plans(struct bd_trainer *t, struct bd_err *err)
{
    struct bd_plan_opts fit = {.batch = t->shard, .train = true};
    struct bd_plan_opts eval = {.batch = SHARD};
    bd_status s = bd_plan_new(&t->fit, t->m, &fit, err);
    if (s == BD_OK)
        s = bd_plan_new(&t->eval, t->m, &eval, err);
    if (s != BD_OK)
        return s;
    if (bd_plan_batch(t->fit) != t->shard)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "the network fixes its batch to %lld; training needs "
                       "%lld",
                       (long long)bd_plan_batch(t->fit), (long long)t->shard);
    return BD_OK;
}

static bd_status measure(struct bd_trainer *t, struct bd_err *err)
{
    const struct bd_tensor *x = bd_plan_value(t->fit, t->m->input[0]);
    const struct bd_tensor *y = bd_plan_value(t->fit, t->logits);
    t->input = bd_tensor_count(x) / t->shard;
    t->classes = bd_tensor_count(y) / t->shard;
    if (t->classes < 1 || y->dim[0] != t->shard)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "the network's output is not one row per image");
    if (t->o.augment && x->rank != 4)
        t->o.augment = false; /* vectors have no edges to crop */
    for (int i = 0; t->o.augment && i < 3; i++)
        t->dim[i] = x->dim[i + 1];
    /* A mirrored glyph may be another glyph. */
    t->flip = strncmp(bd_data_name(t->train), "synth:", 6) != 0;
    return BD_OK;
}

static bd_status slots(struct bd_trainer *t, struct bd_err *err)
{
    for (int64_t i = 0; i < t->nshards; i++) {
        struct bd_shard *s = &t->slot[i];
        s->grad = bd_arena_alloc(&t->arena, t->ngrad, sizeof *s->grad);
        s->stats = bd_arena_alloc(&t->arena, t->nstats + 1, sizeof *s->stats);
        if (!s->grad || !s->stats)
            return bd_fail(err, BD_ENOMEM, "out of memory for gradients");
    }
    return BD_OK;
}

static bd_status begin(struct bd_trainer *t, struct bd_err *err)
{
    t->own = bd_arena_alloc(&t->arena, t->recipe->own + 1, 1);
    if (!t->own)
        return bd_fail(err, BD_ENOMEM, "out of memory for the recipe");
    return t->recipe->begin ? t->recipe->begin(t, err) : BD_OK;
}

static bd_status prepare(struct bd_trainer *t, struct bd_err *err)
{
    bd_status s = check(t, err);
    if (s == BD_OK) {
        t->logits = logits_of(t->m);
        s = cut(t, err);
    }
    if (s == BD_OK)
        s = plans(t, err);
    if (s == BD_OK)
        s = measure(t, err);
    if (s == BD_OK)
        s = bd_train_params(t, err);
    if (s == BD_OK)
        s = slots(t, err);
    return s == BD_OK ? begin(t, err) : s;
}

bd_status bd_trainer_new(struct bd_trainer **out, const struct bd_model *m,
                         const struct bd_data *train,
                         const struct bd_train_opts *o, struct bd_err *err)
{
    struct bd_trainer *t = bd_calloc(1, sizeof *t);
    if (!t)
        return bd_fail(err, BD_ENOMEM, "out of memory for training");
    /* BLAS threads would fight ours, and change the order of sums. */
    bd_kernels_single_threaded_blas();
    t->m = m;
    t->train = train;
    t->test = o->test && bd_data_count(o->test) > 0 ? o->test : NULL;
    t->o = *o;
    t->prep = *o->prep;
    t->recipe = bd_train_recipe(o->recipe ? o->recipe : "float");
    t->schedule = bd_train_schedule(o->schedule ? o->schedule : "cosine");
    bd_status s = prepare(t, err);
    if (s != BD_OK) {
        bd_trainer_free(t);
        return s;
    }
    *out = t;
    return BD_OK;
}

void bd_trainer_free(struct bd_trainer *t)
{
    if (!t)
        return;
    if (t->own && t->recipe->end)
        t->recipe->end(t);
    for (int i = 0; i < t->nworkers; i++) {
        bd_exec_free(t->worker[i].fit);
        bd_exec_free(t->worker[i].eval);
        bd_free(t->worker[i].seed);
    }
    bd_free(t->worker);
    bd_plan_free(t->fit);
    bd_plan_free(t->eval);
    bd_arena_done(&t->arena);
    bd_free(t);
}

/* A seat for every thread of the pool; what they need is made on first use. */
static bd_status seats(struct bd_trainer *t, const struct bd_pool *pool,
                       struct bd_err *err)
{
    int n = pool ? bd_pool_threads(pool) : 1;
    if (n <= t->nworkers)
        return BD_OK;
    struct bd_worker *w = bd_calloc((size_t)n, sizeof *w);
    if (!w)
        return bd_fail(err, BD_ENOMEM, "out of memory for training");
    if (t->nworkers)
        memcpy(w, t->worker, (size_t)t->nworkers * sizeof *w);
    bd_free(t->worker);
    t->worker = w;
    t->nworkers = n;
    return BD_OK;
}

static bd_status steps(struct bd_trainer *t, struct bd_pool *pool,
                       struct bd_epoch *sum, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    const int64_t batch = t->shard * t->nshards, n = t->images / batch;
    const double all = (double)(n * t->o.epochs);
    bd_status s = BD_OK;
    bd_train_shuffle(t);
    for (int64_t i = 0; s == BD_OK && i < n; i++) {
        if (bd_ctl_stale(ctl))
            return bd_fail(err, BD_ECANCELLED, "cancelled");
        bd_ctl_progress(ctl, t->epoch * n + i, t->o.epochs * n);
        sum->lr = t->o.lr * t->schedule->rate((double)(t->epoch * n + i) / all);
        s = bd_train_step(t, pool, i, sum, err);
    }
    sum->loss /= (double)(n * batch);
    sum->train_acc /= (double)(n * batch);
    if (s == BD_OK && !isfinite(sum->loss))
        s = bd_fail(err, BD_EINVALID,
                    "the loss left the numbers at learning rate %g; try a "
                    "smaller one",
                    t->o.lr);
    return s;
}

bd_status bd_trainer_epoch(struct bd_trainer *t, struct bd_pool *pool,
                           struct bd_epoch *out, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_epoch e = {.epochs = t->o.epochs, .test_acc = (double)NAN};
    const int64_t start = bd_now_ns();
    if (t->epoch >= t->o.epochs)
        return bd_fail(err, BD_EINVALID, "all %lld epochs are done",
                       (long long)t->o.epochs);
    bd_status s = seats(t, pool, err);
    if (s == BD_OK)
        s = steps(t, pool, &e, ctl, err);
    if (s == BD_OK && t->test)
        s = bd_train_test(t, pool, &e.test_acc, ctl, err);
    if (s != BD_OK)
        return s;
    e.epoch = ++t->epoch;
    e.seconds = (double)(bd_now_ns() - start) / 1e9;
    *out = e;
    return BD_OK;
}
