/* Running images: calibration once, float logits once, then the accuracy of
 * one configuration after another on a runner that keeps what the last run
 * left in its caches.
 *
 * Order of steps is fixed (calibrate, float, accuracy) and each does nothing
 * when it was done, so a cancelled job loses at most its own step.  Results
 * are written under `turn`, then published by a flag with release order; the
 * readers on other threads look at the flag first. */
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

static const char out_of_memory[] = "out of memory for the evaluation";

/* ---------------------------------------------------------- life and death */

struct part { /* some images of a set, and where their pixels go */
    const struct bd_data *data;
    int64_t first, images;
    struct bd_pixels **pixels;
};

static bd_status open_runner(struct bd_runner **out,
                             const struct bd_bench_opts *o, struct part p,
                             struct bd_err *err)
{
    if (!*p.pixels &&
        bd_pixels_new(p.pixels, o, p.data, p.first, p.images) != BD_OK)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    struct bd_runner_opts opts = {
        .src = {bd_pixels_fetch, *p.pixels, p.images},
        .pool = o->pool, .memory = o->memory};
    return bd_runner_new(out, o->m, &opts, err);
}

static bd_status open_labels(struct bd_bench *b, struct bd_err *err)
{
    b->label = bd_alloc((size_t)b->o.images, sizeof *b->label);
    if (!b->label)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    for (int64_t i = 0; i < b->o.images; i++)
        b->label[i] = bd_data_label(b->o.data, b->o.first + i);
    return BD_OK;
}

static bd_status open_logits(struct bd_bench *b, struct bd_err *err)
{
    size_t n;
    b->outputs = bd_runner_outputs(b->runner);
    if (b->outputs > 0 && bd_mul(&n, (size_t)b->outputs, (size_t)b->o.images)) {
        b->logits = bd_alloc(n, sizeof *b->logits);
        b->float_logits = bd_alloc(n, sizeof *b->float_logits);
    }
    return b->logits && b->float_logits
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, out_of_memory);
}

bd_status bd_bench_new(struct bd_bench **out, const struct bd_bench_opts *o,
                       struct bd_err *err)
{
    struct bd_bench *b = bd_calloc(1, sizeof *b);
    if (!b)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    b->o = *o;
    pthread_mutex_init(&b->turn, NULL);
    atomic_init(&b->calibrated, false);
    atomic_init(&b->float_done, false);
    if (o->reference) { /* the same pictures, decoded once */
        b->pixels = o->reference->pixels;
        b->calib_pixels = o->reference->calib_pixels;
    }
    struct part eval = {o->data, o->first, o->images, &b->pixels};
    struct part calib = {o->calib, 0, o->calib_images, &b->calib_pixels};
    bd_status st = open_runner(&b->runner, o, eval, err);
    if (st == BD_OK && o->calib != o->data)
        st = open_runner(&b->calib, o, calib, err);
    else
        b->calib = b->runner;
    if (st == BD_OK)
        st = bd_inputs_new(&b->inputs, o->m->nlayers, err);
    if (st == BD_OK)
        st = open_labels(b, err);
    if (st == BD_OK)
        st = open_logits(b, err);
    if (st != BD_OK) {
        bd_bench_free(b);
        return st;
    }
    *out = b;
    return BD_OK;
}

void bd_bench_free(struct bd_bench *b)
{
    if (!b)
        return;
    if (b->calib != b->runner)
        bd_runner_free(b->calib);
    bd_runner_free(b->runner);
    if (!b->o.reference) {
        bd_pixels_free(b->pixels);
        bd_pixels_free(b->calib_pixels);
    }
    bd_bench_forget(b);
    bd_inputs_free(b->inputs);
    bd_free(b->label);
    bd_free(b->logits);
    bd_free(b->float_logits);
    pthread_mutex_destroy(&b->turn);
    bd_free(b);
}

const struct bd_runner *bd_bench_runner(const struct bd_bench *b)
{
    return b->runner;
}

/* The plan of the runner that sees the calibration images. */
const struct bd_plan *bd_bench_plan(const struct bd_bench *b)
{
    return bd_runner_plan(b->calib);
}

const struct bd_net_eval *bd_bench_float_eval(const struct bd_bench *b)
{
    return atomic_load_explicit(&b->float_done, memory_order_acquire)
               ? &b->float_eval
               : NULL;
}

/* ------------------------------------------------------------ calibration */

static bd_status need_calibration(struct bd_bench *b, struct bd_ctl *ctl,
                                  struct bd_err *err)
{
    if (atomic_load(&b->calibrated))
        return BD_OK;
    return bd_bench_pass(b, ctl, err);
}

/* Weights alone need no statistics. */
static bool quantizes_acts(const struct bd_bitcfg *cfg)
{
    for (size_t i = 0; i < cfg->n; i++)
        if (!bd_session_is_float(&cfg->layer[i].a))
            return true;
    return false;
}

bd_status bd_bench_prepare(struct bd_bench *b, const struct bd_bitcfg *cfg,
                           struct bd_ctl *ctl, struct bd_err *err)
{
    return quantizes_acts(cfg) ? bd_bench_calibrate(b, ctl, err) : BD_OK;
}

bd_status bd_bench_calibrate(struct bd_bench *b, struct bd_ctl *ctl,
                             struct bd_err *err)
{
    pthread_mutex_lock(&b->turn);
    bd_status st = need_calibration(b, ctl, err);
    pthread_mutex_unlock(&b->turn);
    return st;
}

/* ------------------------------------------------------- partial accuracy */

struct tally { /* what the chunks of a run add up to */
    struct bd_bench *b;
    struct bd_ctl *ctl;
    uint64_t digest;
    struct bd_net_eval sum; /* images, right1, right5 so far */
    double loss;
    int64_t posted_ns;
};

static void post_partial(struct tally *t)
{
    struct bd_acc_answer *a = bd_alloc(1, sizeof *a);
    if (!a)
        return;
    *a = (struct bd_acc_answer){t->digest, t->sum};
    struct bd_net_eval *e = &a->eval;
    double n = (double)e->images;
    e->top1 = (double)e->right1 / n;
    e->top5 = (double)e->right5 / n;
    e->loss = t->loss / n;
    e->kl = e->agreement = NAN;
    bd_wilson(&e->ci_lo, &e->ci_hi, e->right1, e->images);
    if (!bd_ctl_post(t->ctl, a))
        bd_free(a);
}

/* Serialised by the runner.  The partial numbers depend on which chunks came
 * first; the final ones are computed afresh over all images in order. */
static void chunk_done(void *arg, int64_t first, int64_t n, const float *out)
{
    struct tally *t = arg;
    struct bd_net_eval e;
    bd_eval_logits(&e, out, NULL, t->b->label + first, n, t->b->outputs);
    t->sum.images += n;
    t->sum.right1 += e.right1;
    t->sum.right5 += e.right5;
    t->loss += e.loss * (double)n;
    int64_t now = bd_now_ns();
    if (t->sum.images < t->sum.total && now - t->posted_ns > 50000000) {
        t->posted_ns = now;
        post_partial(t);
    }
}

void bd_bench_logits_done(const struct bd_bench *b, float *logits)
{
    size_t n = (size_t)(b->o.images * b->outputs);
    bd_logits_of(logits, n, b->o.m);
}

/* All images of the evaluation set under q, logits in image order. */
static bd_status run_all(struct bd_bench *b, struct tally *t,
                         const struct bd_qlayer *q, float *logits,
                         struct bd_err *err)
{
    struct bd_runner_run run = {.q = q, .chunk = chunk_done, .arg = t};
    t->b = b;
    t->sum.total = b->o.images;
    t->posted_ns = bd_now_ns();
    t->loss = bd_ends_in_softmax(b->o.m) ? NAN : 0; /* of a part: not known */
    bd_status st = bd_runner_run(b->runner, &run, logits, t->ctl, err);
    if (st == BD_OK)
        bd_bench_logits_done(b, logits);
    return st;
}

/* ------------------------------------------------------------------ float */

/* What a repaired network is compared with is the network as it came. */
static bd_status borrow_float(struct bd_bench *b, struct bd_ctl *ctl,
                              struct bd_err *err)
{
    struct bd_bench *ref = b->o.reference;
    bd_status st = bd_bench_float(ref, ctl, err);
    if (st != BD_OK)
        return st;
    memcpy(b->float_logits, ref->float_logits,
           (size_t)(b->o.images * b->outputs) * sizeof *b->logits);
    b->float_eval = ref->float_eval;
    atomic_store_explicit(&b->float_done, true, memory_order_release);
    return BD_OK;
}

/* The float network's logits, kept for agreement and divergence. */
static bd_status need_float(struct bd_bench *b, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    if (atomic_load(&b->float_done))
        return BD_OK;
    if (b->o.reference)
        return borrow_float(b, ctl, err);
    struct tally t = {.ctl = ctl};
    bd_status st = run_all(b, &t, NULL, b->float_logits, err);
    if (st != BD_OK)
        return st;
    bd_eval_logits(&b->float_eval, b->float_logits, b->float_logits, b->label,
                   b->o.images, b->outputs);
    b->float_eval.total = b->o.images;
    atomic_store_explicit(&b->float_done, true, memory_order_release);
    return BD_OK;
}

bd_status bd_bench_float(struct bd_bench *b, struct bd_ctl *ctl,
                         struct bd_err *err)
{
    pthread_mutex_lock(&b->turn);
    bd_status st = need_float(b, ctl, err);
    pthread_mutex_unlock(&b->turn);
    return st;
}

/* --------------------------------------------------------------- accuracy */

/* A configuration without any quantized tensor is the float network: its
 * answer is there already. */
static bd_status run_quantized(struct bd_acc_answer *out, struct bd_bench *b,
                               struct bd_acc_ask ask, struct bd_ctl *ctl,
                               struct bd_err *err)
{
    struct bd_qrun r;
    bd_status st = bd_qrun_init(&r, b, ask.cfg, ctl, err);
    if (st != BD_OK)
        return st;
    bool runs = r.any || b->o.reference;
    if (!runs) {
        out->eval = b->float_eval;
    } else {
        struct tally t = {.ctl = ctl, .digest = out->digest};
        if (b->logits_of != out->digest) { /* asked again: nothing to run */
            b->logits_of = 0;
            st = run_all(b, &t, r.q, b->logits, err);
        }
        if (st == BD_OK)
            b->logits_of = out->digest;
        if (st == BD_OK)
            bd_eval_logits(&out->eval, b->logits, b->float_logits, b->label,
                           b->o.images, b->outputs);
        out->eval.total = b->o.images;
    }
    if (st == BD_OK && ask.answer)
        bd_answers(ask.answer, runs ? b->logits : b->float_logits,
                   b->o.images, b->outputs);
    bd_qrun_done(&r);
    return st;
}

bd_status bd_bench_answers(struct bd_acc_answer *out, struct bd_bench *b,
                           struct bd_acc_ask ask, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_acc_answer a = {
        .digest = bd_stage_digest(b->o.salt, ask.cfg)};
    pthread_mutex_lock(&b->turn);
    bd_status st =
        quantizes_acts(ask.cfg) ? need_calibration(b, ctl, err) : BD_OK;
    if (st == BD_OK)
        st = need_float(b, ctl, err);
    if (st == BD_OK)
        st = run_quantized(&a, b, ask, ctl, err);
    pthread_mutex_unlock(&b->turn);
    if (st == BD_OK)
        *out = a;
    return st;
}

bd_status bd_bench_accuracy(struct bd_acc_answer *out, struct bd_bench *b,
                            const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    return bd_bench_answers(out, b, (struct bd_acc_ask){.cfg = cfg}, ctl, err);
}
