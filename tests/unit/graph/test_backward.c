/* Gradients against differences: for every trainable operator a small
 * network, a random seed of the loss, and each constant nudged both ways.
 * Also: what the gradients are bit-equal under (threads), and refusals. */
#include "graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 5 };

/* A network under construction; constants get random numbers. */
struct net {
    struct bd_builder *b;
    struct bd_arena mem;
    struct bd_rng rng;
    int x;
};

static void begin(struct net *n, const int64_t *dim, int rank)
{
    int64_t d[4] = {BATCH};
    *n = (struct net){.b = bd_builder_new(), .rng = {77}};
    for (int k = 0; k < rank; k++)
        d[1 + k] = dim[k];
    n->x = bd_build_input(n->b, "x", d, rank + 1);
}

/* A constant of normal numbers of the given spread around `mean`. */
static int weight(struct net *n, const char *name, const int64_t *dim, int rank,
                  float mean)
{
    struct bd_tensor t = {.type = BD_F32, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    int64_t c = bd_tensor_count(&t);
    t.f = bd_arena_alloc(&n->mem, (size_t)c, sizeof *t.f);
    for (int64_t k = 0; k < c; k++)
        t.f[k] = mean + 0.4f * (float)bd_rng_normal(&n->rng);
    return bd_build_const(n->b, name, &t);
}

static struct bd_model *finish(struct net *n, int out)
{
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    bd_build_output(n->b, out);
    if (bd_build_finish(&m, n->b, true, &err) != BD_OK)
        fail_msg("%s", err.msg);
    bd_arena_done(&n->mem);
    return m;
}

struct check {
    bool frozen; /* BatchNorm by its stored statistics */
    struct bd_exec *e;
    struct bd_exec_run run;
    int out;
    int64_t count;
    float *seed;
};

static double loss(struct check *c)
{
    struct bd_err err = {0};
    double s = 0;
    if (bd_exec_run(c->e, &c->run, &err) != BD_OK)
        fail_msg("%s", err.msg);
    const float *y = bd_exec_value(c->e, c->out)->f;
    for (int64_t k = 0; k < c->count; k++)
        s += (double)y[k] * (double)c->seed[k];
    return s;
}

/* Differences of one constant; every element if few, else some. */
static void check_constant(struct check *c, const struct bd_model *m, int v,
                           const float **override)
{
    const struct bd_tensor *t = &m->value[v].t;
    const float *g = bd_exec_grad(c->e, v);
    int64_t n = bd_tensor_count(t);
    float *w = bd_alloc((size_t)n, sizeof *w);
    assert_non_null(w);
    memcpy(w, t->f, (size_t)n * sizeof *w);
    override[v] = w;
    for (int64_t k = 0; k < n; k += 1 + n / 23) {
        const float h = 1.0f / 256;
        w[k] = t->f[k] + h;
        double up = loss(c);
        w[k] = t->f[k] - h;
        double down = loss(c);
        w[k] = t->f[k];
        double want = (up - down) / (2 * (double)h), got = (double)g[k];
        if (fabs(got - want) > 2e-2 * (fabs(want) + 0.5))
            fail_msg("%s[%lld]: gradient %g, difference %g", m->value[v].name,
                     (long long)k, got, want);
    }
    override[v] = NULL;
    bd_free(w);
}

static void open_check(struct check *c, struct bd_plan **p,
                       const struct bd_model *m)
{
    struct bd_err err = {0};
    struct bd_plan_opts o = {
        .batch = BATCH, .train = true, .frozen = c->frozen};
    struct bd_rng rng = {3};
    if (bd_plan_new(p, m, &o, &err) != BD_OK ||
        bd_exec_new(&c->e, *p, &err) != BD_OK)
        fail_msg("%s", err.msg);
    c->out = m->output[0];
    c->count = bd_tensor_count(bd_plan_value(*p, c->out));
    c->seed = bd_alloc((size_t)c->count, sizeof *c->seed);
    assert_non_null(c->seed);
    for (int64_t k = 0; k < c->count; k++)
        c->seed[k] = (float)bd_rng_normal(&rng);
    float *x = bd_exec_input(c->e, 0);
    int64_t n = bd_tensor_count(bd_exec_value(c->e, m->input[0]));
    for (int64_t k = 0; k < n; k++)
        x[k] = (float)bd_rng_normal(&rng);
}

/* skip: a constant whose gradient is no derivative. */
static void gradients_hold(struct bd_model *m, const char *skip, bool frozen)
{
    struct check c = {.frozen = frozen};
    struct bd_plan *p = NULL;
    struct bd_err err = {0};
    const float **override = bd_calloc(m->nvalues, sizeof *override);
    int checked = 0;
    assert_non_null(override);
    open_check(&c, &p, m);
    c.run.override = override;
    loss(&c);
    if (bd_exec_backward(c.e, &c.run, c.out, c.seed, &err) != BD_OK)
        fail_msg("%s", err.msg);
    for (size_t v = 0; v < m->nvalues; v++) {
        if (!m->value[v].t.f || !bd_exec_grad(c.e, (int)v) ||
            (skip && strstr(m->value[v].name, skip)))
            continue;
        check_constant(&c, m, (int)v, override);
        checked++;
    }
    assert_true(checked > 0);
    bd_free(c.seed);
    bd_free(override);
    bd_exec_free(c.e);
    bd_plan_free(p);
}

/* Takes the model. */
static void gradients_match(struct bd_model *m, const char *skip)
{
    gradients_hold(m, skip, false);
    bd_model_free(m);
}

static struct bd_attr ints(const char *name, const int64_t *v, size_t n)
{
    return (struct bd_attr){
        .name = name, .kind = BD_ATTR_INTS, .n = n, .ints = v};
}

static struct bd_attr whole(const char *name, int64_t v)
{
    return (struct bd_attr){.name = name, .kind = BD_ATTR_INT, .i = v};
}

/* Convolution with stride, dilation, groups and uneven padding. */
static void conv(void **state)
{
    struct net n;
    (void)state;
    begin(&n, (int64_t[]){4, 7, 6}, 3);
    int w = weight(&n, "w", (int64_t[]){6, 2, 3, 2}, 4, 0);
    int b = weight(&n, "b", (int64_t[]){6}, 1, 0);
    struct bd_attr a[] = {ints("strides", (int64_t[]){2, 1}, 2),
                          ints("dilations", (int64_t[]){1, 2}, 2),
                          ints("pads", (int64_t[]){1, 0, 2, 1}, 4),
                          whole("group", 2)};
    int y = bd_build_node(n.b, "Conv", "c1", (int[]){n.x, w, b}, 3, a, 4);
    int w2 = weight(&n, "w2", (int64_t[]){3, 6, 3, 3}, 4, 0);
    struct bd_attr same = {
        .name = "auto_pad", .kind = BD_ATTR_STR, .s = "SAME_UPPER"};
    y = bd_build_node(n.b, "Conv", "c2", (int[]){y, w2}, 2, &same, 1);
    gradients_match(finish(&n, y), NULL);
}

static void conv1d(void **state)
{
    struct net n;
    (void)state;
    begin(&n, (int64_t[]){3, 9}, 2);
    int w = weight(&n, "w", (int64_t[]){2, 3, 4}, 3, 0);
    int w2 = weight(&n, "w2", (int64_t[]){2, 2, 1}, 3, 0);
    int y = bd_build_node(n.b, "Conv", "c1", (int[]){n.x, w}, 2, NULL, 0);
    y = bd_build_node(n.b, "Conv", "c2", (int[]){y, w2}, 2, NULL, 0);
    gradients_match(finish(&n, y), NULL);
}

static int batch_norm(struct net *n, int x, int64_t c)
{
    int g = weight(n, "gamma", &c, 1, 1), b = weight(n, "beta", &c, 1, 0);
    int mean = weight(n, "still_mean", &c, 1, 0);
    int var = weight(n, "still_var", &c, 1, 3);
    return bd_build_node(n->b, "BatchNormalization", "bn",
                         (int[]){x, g, b, mean, var}, 5, NULL, 0);
}

/* A residual block: BatchNorm, Relu, a shortcut read three times, pooling,
 * Flatten, Gemm. */
static struct bd_model *residual_block(void)
{
    struct net n;
    begin(&n, (int64_t[]){3, 6, 6}, 3);
    struct bd_attr pad = ints("pads", (int64_t[]){1, 1, 1, 1}, 4);
    int w0 = weight(&n, "w0", (int64_t[]){5, 3, 3, 3}, 4, 0);
    int w1 = weight(&n, "w1", (int64_t[]){5, 5, 3, 3}, 4, 0);
    int h = bd_build_node(n.b, "Conv", "c0", (int[]){n.x, w0}, 2, &pad, 1);
    int y = bd_build_node(n.b, "Conv", "c1", (int[]){h, w1}, 2, &pad, 1);
    y = batch_norm(&n, y, 5);
    y = bd_build_node(n.b, "Add", "a1", (int[]){y, h}, 2, NULL, 0);
    y = bd_build_node(n.b, "Add", "a2", (int[]){h, y}, 2, NULL, 0);
    y = bd_build_node(n.b, "Identity", "id", &y, 1, NULL, 0);
    y = bd_build_node(n.b, "GlobalAveragePool", "gap", &y, 1, NULL, 0);
    y = bd_build_node(n.b, "Flatten", "fl", &y, 1, NULL, 0);
    int w2 = weight(&n, "w2", (int64_t[]){4, 5}, 2, 0);
    int b2 = weight(&n, "b2", (int64_t[]){4}, 1, 0);
    struct bd_attr t = whole("transB", 1);
    y = bd_build_node(n.b, "Gemm", "fc", (int[]){y, w2, b2}, 3, &t, 1);
    return finish(&n, y);
}

static void residual(void **state)
{
    (void)state;
    gradients_match(residual_block(), "still");
}

/* What a layer alone sends back to its input, one number per layer. */
struct told {
    double input[8];
    int weights;
};

static void gradient_told(void *arg, int layer, const float *input,
                          float *weight)
{
    struct told *t = arg;
    t->input[layer] = input ? (double)input[0] : NAN;
    t->weights += weight != NULL;
}

/* Stored statistics: the forward pass is that of users, its gradients are
 * derivatives, and layers tell theirs, down to the image. */
static void frozen_statistics(void **state)
{
    struct bd_model *m = residual_block();
    struct check c = {.frozen = true}, plain = {0};
    struct bd_plan *p = NULL, *q = NULL;
    struct bd_plan_opts o = {.batch = BATCH};
    struct bd_err err = {0};
    struct told told = {.input = {NAN}};
    const float h = 1.0f / 256;
    (void)state;
    gradients_hold(m, "still", true);
    open_check(&c, &p, m);
    assert_int_equal(bd_plan_new(&q, m, &o, &err), BD_OK);
    assert_int_equal(bd_exec_new(&plain.e, q, &err), BD_OK);
    memcpy(bd_exec_input(plain.e, 0), bd_exec_input(c.e, 0),
           BATCH * 108 * sizeof(float));
    plain.out = c.out;
    plain.count = c.count;
    plain.seed = c.seed;
    assert_true(loss(&c) == loss(&plain));
    c.run.gradient = gradient_told;
    c.run.arg = &told;
    assert_int_equal(bd_exec_backward(c.e, &c.run, c.out, c.seed, &err),
                     BD_OK);
    assert_int_equal(told.weights, 3);
    float *x = bd_exec_input(c.e, 0), x0 = x[0];
    x[0] = x0 + h;
    double up = loss(&c);
    x[0] = x0 - h;
    double want = (up - loss(&c)) / (2 * (double)h);
    assert_true(fabs(told.input[0] - want) < 2e-2 * (fabs(want) + 0.5));
    assert_true(told.input[1] != (double)bd_exec_grad(c.e, m->layer[1].input)[0]);
    bd_free(c.seed);
    bd_exec_free(c.e);
    bd_exec_free(plain.e);
    bd_plan_free(p);
    bd_plan_free(q);
    bd_model_free(m);
}

/* Piecewise linear operators.  Differences across a corner are off, so the
 * network is short and the tolerance of gradients_match is wide. */
static void pieces(void **state)
{
    struct net n;
    (void)state;
    begin(&n, (int64_t[]){2, 6, 6}, 3);
    struct bd_attr k[] = {ints("kernel_shape", (int64_t[]){2, 2}, 2),
                          ints("strides", (int64_t[]){2, 2}, 2)};
    int w = weight(&n, "w", (int64_t[]){3, 2, 1, 1}, 4, 0);
    int y = bd_build_node(n.b, "Conv", "c", (int[]){n.x, w}, 2, NULL, 0);
    y = bd_build_node(n.b, "AveragePool", "ap", &y, 1, k, 2);
    int b = weight(&n, "b", (int64_t[]){3, 1, 1}, 3, 4);
    y = bd_build_node(n.b, "Add", "bias", (int[]){y, b}, 2, NULL, 0);
    y = bd_build_node(n.b, "Relu", "r", &y, 1, NULL, 0);
    struct bd_attr c[] = {{.name = "min", .kind = BD_ATTR_FLOAT, .f = -9},
                          {.name = "max", .kind = BD_ATTR_FLOAT, .f = 90}};
    y = bd_build_node(n.b, "Clip", "cl", &y, 1, c, 2);
    gradients_match(finish(&n, y), NULL);
}

static void gemm_all_ways(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct net n;
        begin(&n, (int64_t[]){6}, 1);
        bool ta = way & 1, tb = way & 2;
        /* A hidden product first, so that the gradient of the activation
         * matters; with transA the batch becomes the inner extent. */
        int w0 = weight(&n, "w0", (int64_t[]){6, 3}, 2, 0);
        int h = bd_build_node(n.b, "MatMul", "m", (int[]){n.x, w0}, 2, NULL, 0);
        int64_t k = ta ? BATCH : 3;
        int64_t d[2] = {tb ? 4 : k, tb ? k : 4}, bias = 4;
        int w = weight(&n, "w", d, 2, 0), b = weight(&n, "b", &bias, 1, 0);
        struct bd_attr a[] = {
            whole("transA", ta),
            whole("transB", tb),
            {.name = "alpha", .kind = BD_ATTR_FLOAT, .f = 0.5f},
            {.name = "beta", .kind = BD_ATTR_FLOAT, .f = 2}};
        int y = bd_build_node(n.b, "Gemm", "g", (int[]){h, w, b}, 3, a, 4);
        gradients_match(finish(&n, y), NULL);
    }
}

/* Max pooling by hand: the gradient goes to the largest. */
static void max_pool(void **state)
{
    struct net n;
    struct check c = {0};
    struct bd_plan *p = NULL;
    struct bd_err err = {0};
    (void)state;
    begin(&n, (int64_t[]){1, 2, 2}, 3);
    struct bd_attr k = ints("kernel_shape", (int64_t[]){2, 2}, 2);
    int b = weight(&n, "b", (int64_t[]){1, 2, 2}, 3, 0);
    int y = bd_build_node(n.b, "Add", "a", (int[]){n.x, b}, 2, NULL, 0);
    y = bd_build_node(n.b, "MaxPool", "p", &y, 1, &k, 1);
    struct bd_model *m = finish(&n, y);
    int v = bd_model_find_value(m, "b");
    open_check(&c, &p, m);
    loss(&c);
    assert_int_equal(bd_exec_backward(c.e, &c.run, c.out, c.seed, &err), BD_OK);
    float want[4] = {0};
    const float *x = bd_exec_input(c.e, 0), *bias = m->value[v].t.f;
    for (int i = 0; i < BATCH; i++) {
        int top = 0;
        for (int k2 = 1; k2 < 4; k2++)
            top = x[i * 4 + k2] + bias[k2] > x[i * 4 + top] + bias[top] ? k2
                                                                        : top;
        want[top] += c.seed[i];
    }
    for (int k2 = 0; k2 < 4; k2++)
        assert_float_equal(bd_exec_grad(c.e, v)[k2], want[k2], 1e-6);
    bd_free(c.seed);
    bd_exec_free(c.e);
    bd_plan_free(p);
    bd_model_free(m);
}

/* The same bits alone and on pools of several sizes; constants accumulate. */
static void threads_change_nothing(void **state)
{
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    float *first = NULL;
    int64_t n = 0;
    (void)state;
    assert_int_equal(
        bd_arch_new(&m, "resnet20", (int64_t[]){3, 32, 32}, 3, 10, 1, &err),
        BD_OK);
    for (int threads = 0; threads < 4; threads++) {
        struct check c = {0};
        struct bd_plan *p = NULL;
        struct bd_pool *pool = NULL;
        if (threads)
            assert_int_equal(bd_pool_new(&pool, threads, &err), BD_OK);
        open_check(&c, &p, m);
        c.run.pool = pool;
        loss(&c);
        assert_int_equal(bd_exec_backward(c.e, &c.run, c.out, c.seed, &err),
                         BD_OK);
        const float *g = bd_exec_grad(c.e, m->layer[0].weight);
        n = bd_tensor_count(&m->value[m->layer[0].weight].t);
        if (!first) {
            first = bd_alloc((size_t)n, sizeof *first);
            assert_non_null(first);
            memcpy(first, g, (size_t)n * sizeof *g);
        }
        assert_memory_equal(first, g, (size_t)n * sizeof *g);
        assert_int_equal(bd_exec_backward(c.e, &c.run, c.out, c.seed, &err),
                         BD_OK);
        for (int64_t k = 0; k < n; k++)
            assert_float_equal(g[k], 2 * first[k], 1e-5f * (1 + fabsf(g[k])));
        bd_exec_grad_zero(c.e);
        assert_true(g[0] == 0 && g[n - 1] == 0);
        bd_free(c.seed);
        bd_exec_free(c.e);
        bd_plan_free(p);
        bd_pool_free(pool);
    }
    bd_free(first);
    bd_model_free(m);
}

static void bn_statistics(void **state)
{
    struct net n;
    struct check c = {0};
    struct bd_plan *p = NULL;
    const float *mean, *var;
    int64_t count;
    (void)state;
    begin(&n, (int64_t[]){2, 3, 3}, 3);
    struct bd_model *m = finish(&n, batch_norm(&n, n.x, 2));
    open_check(&c, &p, m);
    loss(&c);
    assert_true(bd_exec_bn_stats(c.e, 0, &mean, &var, &count));
    assert_int_equal(count, BATCH * 9);
    for (int ch = 0; ch < 2; ch++) {
        double s = 0, q = 0;
        const float *x = bd_exec_input(c.e, 0);
        for (int k = 0; k < BATCH * 9; k++)
            s += (double)x[k / 9 * 18 + ch * 9 + k % 9];
        s /= BATCH * 9;
        for (int k = 0; k < BATCH * 9; k++) {
            double d = (double)x[k / 9 * 18 + ch * 9 + k % 9] - s;
            q += d * d;
        }
        assert_float_equal(mean[ch], s, 1e-6);
        assert_float_equal(var[ch], q / (BATCH * 9), 1e-5);
    }
    bd_free(c.seed);
    bd_exec_free(c.e);
    bd_plan_free(p);
    bd_model_free(m);
}

static void refusals(void **state)
{
    struct net n;
    struct check c = {0};
    struct bd_plan *p = NULL;
    struct bd_err err = {0};
    (void)state;
    begin(&n, (int64_t[]){6}, 1);
    int w = weight(&n, "w", (int64_t[]){6, 3}, 2, 0);
    int y = bd_build_node(n.b, "MatMul", "m", (int[]){n.x, w}, 2, NULL, 0);
    y = bd_build_node(n.b, "Tanh", "curve", &y, 1, NULL, 0);
    struct bd_model *m = finish(&n, y);
    open_check(&c, &p, m);
    loss(&c);
    assert_int_equal(bd_exec_backward(c.e, &c.run, c.out, c.seed, &err),
                     BD_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "Tanh"));
    bd_free(c.seed);
    bd_exec_free(c.e);
    bd_plan_free(p);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv),
        cmocka_unit_test(conv1d),
        cmocka_unit_test(residual),
        cmocka_unit_test(frozen_statistics),
        cmocka_unit_test(pieces),
        cmocka_unit_test(gemm_all_ways),
        cmocka_unit_test(max_pool),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(bn_statistics),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
