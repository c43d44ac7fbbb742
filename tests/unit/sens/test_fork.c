/* Forking against running everything: the same bits, layer after layer, on
 * chains, residual blocks, concatenations and attention; and a whole sweep
 * against one full run per choice, for any number of threads and with any
 * interruption. */
#include "sens/sens.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGES = 70, CLASSES = 10 }; /* no multiple of any batch */

/* ----------------------------------------------------------- executor level */

struct qnet { /* every layer at 3 bits, weights and input */
    const struct bd_model *m;
    float **w;           /* [nlayers] */
    struct bd_qparam *a; /* [nlayers] */
    struct bd_qlayer *q; /* [nlayers] */
};

static void quantize(struct bd_qparam *p, const float *x, size_t n,
                     bool weights)
{
    struct bd_moments mo;
    struct bd_err err = {0};

    bd_moments_of(&mo, x, n);
    *p = (struct bd_qparam){.q = bd_quantizer_at(bd_quantizer_find("uniform")),
                            .bits = 3, .is_signed = true, .weights = weights,
                            .clip = mo.absmax > 0 ? mo.absmax : 1,
                            .sigma = 1, .map_back = true};
    if (p->q->fit(p, x, n, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

static void open_qnet(struct qnet *n, const struct bd_model *m)
{
    static const float range[2] = {-3, 3};

    *n = (struct qnet){.m = m};
    n->w = bd_calloc(m->nlayers, sizeof *n->w);
    n->a = bd_calloc(m->nlayers, sizeof *n->a);
    n->q = bd_calloc(m->nlayers, sizeof *n->q);
    assert_true(n->w && n->a && n->q);
    for (size_t k = 0; k < m->nlayers; k++) {
        const struct bd_tensor *t = &m->value[m->layer[k].weight].t;
        size_t count = (size_t)bd_tensor_count(t);
        struct bd_qparam p;

        quantize(&p, t->f, count, true);
        quantize(&n->a[k], range, 2, false);
        n->w[k] = bd_alloc(count, sizeof *n->w[k]);
        assert_non_null(n->w[k]);
        p.q->apply(n->w[k], t->f, count, &p);
        n->q[k] = (struct bd_qlayer){.w = n->w[k], .a = &n->a[k], .key = k + 1};
    }
}

static void close_qnet(struct qnet *n)
{
    for (size_t k = 0; k < n->m->nlayers; k++)
        bd_free(n->w[k]);
    bd_free(n->w);
    bd_free(n->a);
    bd_free(n->q);
}

static struct bd_exec *open_exec(struct bd_plan **p, const struct bd_model *m,
                                 bool keep)
{
    struct bd_plan_opts o = {.batch = 2, .keep = keep};
    struct bd_exec *e = NULL;
    struct bd_err err = {0};
    struct bd_rng rng = {5};

    if (bd_plan_new(p, m, &o, &err) != BD_OK ||
        bd_exec_new(&e, *p, &err) != BD_OK)
        fail_msg("%s", err.msg);
    int64_t n = bd_tensor_count(bd_exec_value(e, m->input[0]));
    for (int64_t k = 0; k < n; k++)
        bd_exec_input(e, 0)[k] = (float)bd_rng_normal(&rng);
    return e;
}

static void must_run(struct bd_exec *e, const struct bd_qlayer *q, size_t from)
{
    struct bd_exec_run r = {.q = q};
    struct bd_err err = {0};

    if (bd_exec_run_part(e, &r, from, SIZE_MAX, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

static void same_answer(const struct bd_model *m, struct bd_exec *e,
                        struct bd_exec *full, size_t layer)
{
    const struct bd_tensor *x = bd_exec_value(e, m->output[0]);
    const struct bd_tensor *y = bd_exec_value(full, m->output[0]);

    if (memcmp(x->f, y->f, (size_t)bd_tensor_count(x) * sizeof *x->f) != 0)
        fail_msg("layer %zu '%s': a fork differs from the full run", layer,
                 m->layer[layer].name);
}

/* Last to first, nothing restored in between; then adding up, first to
 * last. */
static void forks_are_full_runs(const struct bd_model *m)
{
    struct bd_plan *p, *p2;
    struct bd_exec *e = open_exec(&p, m, true), *full = open_exec(&p2, m, false);
    struct bd_qlayer *q = bd_calloc(m->nlayers, sizeof *q);
    struct qnet n;

    open_qnet(&n, m);
    assert_non_null(q);
    must_run(e, q, 0);
    for (size_t k = m->nlayers; k-- > 0;) {
        q[k] = n.q[k];
        must_run(e, q, (size_t)m->layer[k].node);
        must_run(full, q, 0);
        same_answer(m, e, full, k);
        q[k] = (struct bd_qlayer){0};
    }
    must_run(e, q, 0);
    for (size_t k = 0; k < m->nlayers; k++) {
        q[k] = n.q[k];
        must_run(e, q, (size_t)m->layer[k].node);
        must_run(full, q, 0);
        same_answer(m, e, full, k);
    }
    close_qnet(&n);
    bd_free(q);
    bd_exec_free(e);
    bd_exec_free(full);
    bd_plan_free(p);
    bd_plan_free(p2);
}

static struct bd_model *arch(const char *name)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m = NULL;
    struct bd_err err = {0};

    if (bd_arch_new(&m, name, dim, 3, CLASSES, 7, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void drawn_networks(void **state)
{
    static const char *const names[] = {"mlp:3072-16-16-10", "resnet20",
                                        "mobilenet-glyphs"};

    (void)state;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct bd_model *m = arch(names[k]);

        forks_are_full_runs(m);
        bd_model_free(m);
    }
}

static void real_networks(void **state)
{
    static const char *const names[] = {
        "onnx/squeezenet10_deepcompression.onnx",
        "onnx/cifar10_vit_ibp_3_3_8.onnx", "onnx/mnist_cntk.onnx"};
    const char *root = getenv("BITDIAL_DATA");

    (void)state;
    if (!root || !*root) {
        print_message("BITDIAL_DATA is not set: no real networks here\n");
        skip();
    }
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char path[600];
        struct bd_model *m = NULL;
        struct bd_err err = {0};

        snprintf(path, sizeof path, "%s/%s", root ? root : "", names[k]);
        if (bd_model_load(&m, path, NULL, &err) != BD_OK)
            fail_msg("%s: %s", path, err.msg);
        assert_true(m->nlayers > 1);
        forks_are_full_runs(m);
        bd_model_free(m);
    }
}

/* -------------------------------------------------------------- whole sweeps */

static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    size_t each = *(const size_t *)arg;

    (void)err;
    for (int64_t i = 0; i < n; i++) {
        struct bd_rng r = bd_rng_fork(9, (uint64_t)(first + i));

        for (size_t k = 0; k < each; k++)
            dst[(size_t)i * each + k] = (float)bd_rng_normal(&r);
    }
    return BD_OK;
}

struct bench {
    struct bd_model *m;
    struct qnet q;
    size_t each;
    int label[IMAGES];
    struct bd_ctl *ctl; /* cancelled by step when `steps` runs out */
    int steps, held;
};

/* Column 0 quantizes weights, column 1 inputs. */
static bd_status take(struct bd_qlayer *out, void **held, void *arg,
                      const struct bd_sens_point *p, struct bd_err *err)
{
    struct bench *b = arg;

    (void)err;
    *out = b->q.q[p->layer];
    if (p->column == 0)
        out->a = NULL;
    else
        out->w = NULL;
    *held = b;
    b->held++;
    return BD_OK;
}

static void give(void *arg, void *held)
{
    struct bench *b = arg;

    assert_ptr_equal(held, b);
    b->held--;
}

static void step(void *arg, const struct bd_sens_table *t)
{
    struct bench *b = arg;

    assert_true(t->n > 0);
    if (b->ctl && b->steps-- == 0)
        bd_ctl_cancel(b->ctl);
}

static void open_bench(struct bench *b, const char *name)
{
    *b = (struct bench){.m = arch(name), .each = 3072};
    open_qnet(&b->q, b->m);
    for (int i = 0; i < IMAGES; i++)
        b->label[i] = i % 7 == 6 ? -1 : i % CLASSES; /* some have none */
}

static void close_bench(struct bench *b)
{
    assert_int_equal(b->held, 0);
    close_qnet(&b->q);
    bd_model_free(b->m);
}

static void open_table(struct bd_sens_table *t, const struct bench *b,
                       enum bd_sens_mode mode)
{
    size_t n = b->m->nlayers;

    *t = (struct bd_sens_table){.n = 2 * n, .mode = mode, .images = IMAGES,
                                .metrics = BD_SENS_SAMPLED};
    t->point = bd_calloc(t->n, sizeof *t->point);
    t->base = bd_calloc(2, sizeof *t->base);
    assert_true(t->point && t->base);
    for (size_t i = 0; i < t->n; i++)
        t->point[i] = (struct bd_sens_point){
            .layer = (int)i / 2, .column = (int)i % 2,
            .what = i % 2 ? BD_SENS_A : BD_SENS_W};
    t->nbase = mode == BD_SENS_ALONE_OFF ? 2 : 0;
    for (int c = 0; c < 2; c++)
        t->base[c] = (struct bd_sens_point){.layer = -1, .column = c};
}

struct run {
    enum bd_sens_mode mode;
    int threads; /* 0 = no pool */
    int steps;   /* before it is cancelled, -1 = never */
    bool early;
};

static bd_status sweep(struct bd_sens_table *t, struct bench *b, struct run r)
{
    struct bd_pool *pool = NULL;
    struct bd_err err = {0};

    if (r.threads > 0)
        assert_int_equal(bd_pool_new(&pool, r.threads, &err), BD_OK);
    struct bd_sens_ask ask = {
        .m = b->m, .src = {fetch, &b->each, IMAGES}, .label = b->label,
        .pool = pool, .batch = 8, .memory = 1 << 20,
        .no_early_stop = !r.early, .take = take, .give = give, .step = step,
        .arg = b};
    b->ctl = bd_ctl_new();
    b->steps = r.steps;
    bd_status st = bd_sens_run(t, &ask, b->ctl, &err);
    if (st != BD_OK && st != BD_ECANCELLED)
        fail_msg("%s", err.msg);
    bd_ctl_free(b->ctl);
    b->ctl = NULL;
    bd_pool_free(pool);
    assert_int_equal(b->held, 0);
    return st;
}

static bool same_sums(const struct bd_sens_table *a,
                      const struct bd_sens_table *b)
{
    size_t n = (a->n + a->nbase + 1) * sizeof *a->sums;
    bool settled = true;

    for (size_t i = 0; i < a->n; i++)
        settled = settled && a->point[i].settled == b->point[i].settled;
    return settled && memcmp(a->sums, b->sums, n) == 0;
}

/* What a choice is, layer by layer, under a mode. */
static void choose(struct bd_qlayer *q, const struct bench *b,
                   enum bd_sens_mode mode, const struct bd_sens_point *p)
{
    for (size_t k = 0; k < b->m->nlayers; k++) {
        bool on = mode == BD_SENS_ALONE_ON    ? (int)k == p->layer
                  : mode == BD_SENS_ALONE_OFF ? (int)k != p->layer
                                              : (int)k <= p->layer;

        q[k] = (struct bd_qlayer){0};
        if (on && p->column == 0)
            q[k].w = b->q.q[k].w;
        if (on && p->column == 1)
            q[k].a = b->q.q[k].a;
    }
}

struct brute { /* one executor, one image batch at a time, all from zero */
    struct bd_plan *p;
    struct bd_exec *e;
    float *f, *z; /* [IMAGES, CLASSES] */
};

static void all_images(float *to, struct brute *u, struct bench *b,
                       const struct bd_qlayer *q)
{
    for (int64_t i = 0; i < IMAGES; i += 8) {
        int64_t n = IMAGES - i < 8 ? IMAGES - i : 8;
        float *x = bd_exec_input(u->e, 0);

        memset(x, 0, 8 * b->each * sizeof *x);
        fetch(&b->each, i, n, x, NULL);
        must_run(u->e, q, 0);
        memcpy(to + i * CLASSES, bd_exec_value(u->e, b->m->output[0])->f,
               (size_t)(n * CLASSES) * sizeof *to);
    }
}

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 + 1e-12 * fabs(want)))
        fail_msg("%.17g, brute force has %.17g", got, want);
}

static void compare_point(const struct bd_sens_point *p, const struct brute *u,
                          const struct bench *b)
{
    struct bd_net_eval f, z;
    double mse = 0;

    bd_eval_logits(&f, u->f, NULL, b->label, IMAGES, CLASSES);
    bd_eval_logits(&z, u->z, u->f, b->label, IMAGES, CLASSES);
    for (int k = 0; k < IMAGES * CLASSES; k++)
        mse += ((double)u->z[k] - (double)u->f[k]) *
               ((double)u->z[k] - (double)u->f[k]);
    assert_int_equal(p->images, IMAGES);
    close_to(p->value[BD_SENS_KL], z.kl);
    close_to(p->value[BD_SENS_OUT_MSE], mse / (IMAGES * CLASSES));
    close_to(p->value[BD_SENS_TOP1], f.top1 - z.top1);
    close_to(p->value[BD_SENS_LOSS], z.loss - f.loss);
    assert_true(isnan(p->value[BD_SENS_FISHER]));
}

static void against_brute_force(struct bench *b, enum bd_sens_mode mode)
{
    struct bd_plan_opts o = {.batch = 8};
    struct bd_sens_table t;
    struct brute u = {0};
    struct bd_err err = {0};
    struct bd_qlayer *q = bd_calloc(b->m->nlayers, sizeof *q);

    open_table(&t, b, mode);
    assert_int_equal(sweep(&t, b, (struct run){mode, 3, -1, false}), BD_OK);
    assert_true(t.complete);
    assert_int_equal(bd_plan_new(&u.p, b->m, &o, &err), BD_OK);
    assert_int_equal(bd_exec_new(&u.e, u.p, &err), BD_OK);
    u.f = bd_calloc(IMAGES * CLASSES, sizeof *u.f);
    u.z = bd_calloc(IMAGES * CLASSES, sizeof *u.z);
    assert_true(q && u.f && u.z);
    all_images(u.f, &u, b, q);
    for (size_t i = 0; i < t.n + t.nbase; i++) {
        const struct bd_sens_point *p =
            i < t.n ? &t.point[i] : &t.base[i - t.n];

        choose(q, b, mode, p);
        all_images(u.z, &u, b, q);
        compare_point(p, &u, b);
    }
    bd_free(q);
    bd_free(u.f);
    bd_free(u.z);
    bd_exec_free(u.e);
    bd_plan_free(u.p);
    bd_sens_done(&t);
}

static void every_mode(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, "mlp:3072-16-16-10");
    for (int mode = BD_SENS_ALONE_ON; mode <= BD_SENS_CUMULATIVE; mode++)
        against_brute_force(&b, (enum bd_sens_mode)mode);
    close_bench(&b);
    open_bench(&b, "resnet20");
    against_brute_force(&b, BD_SENS_ALONE_OFF);
    close_bench(&b);
}

static void threads_and_stops_do_not_show(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, "mlp:3072-64-64-10");
    for (int mode = BD_SENS_ALONE_ON; mode <= BD_SENS_CUMULATIVE; mode++) {
        struct run r = {(enum bd_sens_mode)mode, 0, -1, true};
        struct bd_sens_table t, u;
        int stops = 0;

        open_table(&t, &b, r.mode);
        t.metrics |= mode == BD_SENS_ALONE_ON ? 1u << BD_SENS_FISHER : 0;
        assert_int_equal(sweep(&t, &b, r), BD_OK);
        for (r.threads = 1; r.threads <= 5; r.threads++) {
            open_table(&u, &b, r.mode);
            u.metrics = t.metrics;
            assert_int_equal(sweep(&u, &b, r), BD_OK);
            assert_true(same_sums(&t, &u));
            bd_sens_done(&u);
        }
        open_table(&u, &b, r.mode); /* stopped as soon as it may be */
        u.metrics = t.metrics;
        r.threads = 2;
        for (r.steps = 0; sweep(&u, &b, r) == BD_ECANCELLED; stops++)
            assert_false(u.complete);
        assert_true(same_sums(&t, &u));
        assert_true(u.complete);
        print_message("%s: %d stops\n", bd_sens_mode_names[mode], stops);
        bd_sens_done(&u);
        bd_sens_done(&t);
    }
    close_bench(&b);
}

/* The score against its definition, one image and one weight at a time. */
static void scores(void **state)
{
    struct bench b;
    struct bd_sens_table t;
    struct bd_plan *p;
    struct bd_exec *e;
    struct bd_err err = {0};
    struct bd_plan_opts o = {.batch = 1};
    double sum = 0;

    (void)state;
    open_bench(&b, "mlp:3072-4-10");
    open_table(&t, &b, BD_SENS_ALONE_ON);
    t.metrics = 1u << BD_SENS_FISHER;
    t.lead = BD_SENS_FISHER;
    t.images = 6;
    b.label[3] = 2;
    assert_int_equal(
        sweep(&t, &b, (struct run){BD_SENS_ALONE_ON, 2, -1, false}), BD_OK);
    assert_int_equal(bd_plan_new(&p, b.m, &o, &err), BD_OK);
    assert_int_equal(bd_exec_new(&e, p, &err), BD_OK);
    /* The last layer's gradient by differences: 40 weights. */
    const struct bd_layer *l = &b.m->layer[1];
    const struct bd_tensor *w = &b.m->value[l->weight].t;
    float *v = bd_alloc((size_t)bd_tensor_count(w), sizeof *v);
    struct bd_qlayer q[2] = {{0}, {.w = v}};
    assert_non_null(v);
    for (int64_t i = 0; i < 6; i++) {
        fetch(&b.each, i, 1, bd_exec_input(e, 0), NULL);
        for (int64_t k = 0; k < bd_tensor_count(w); k++) {
            struct bd_net_eval hi, lo;
            const float *z = bd_exec_value(e, b.m->output[0])->f;

            memcpy(v, w->f, (size_t)bd_tensor_count(w) * sizeof *v);
            v[k] += 0.01f;
            must_run(e, q, 0);
            bd_eval_logits(&hi, z, NULL, &b.label[i], 1, CLASSES);
            v[k] -= 0.02f;
            must_run(e, q, 0);
            bd_eval_logits(&lo, z, NULL, &b.label[i], 1, CLASSES);
            double g = (hi.loss - lo.loss) / 0.02;
            double d = (double)w->f[k] - (double)b.q.w[1][k];
            sum += g * g * d * d / 6;
        }
    }
    assert_true(sum > 0);
    if (fabs(t.point[2].value[BD_SENS_FISHER] - sum) > 0.01 * sum)
        fail_msg("%g, by differences %g",
                 t.point[2].value[BD_SENS_FISHER], sum);
    assert_true(t.point[1].value[BD_SENS_FISHER] > 0); /* also the picture */
    assert_int_equal(t.baseline.images, 6);
    bd_free(v);
    bd_exec_free(e);
    bd_plan_free(p);
    bd_sens_done(&t);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_networks),
        cmocka_unit_test(real_networks),
        cmocka_unit_test(every_mode),
        cmocka_unit_test(threads_and_stops_do_not_show),
        cmocka_unit_test(scores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
