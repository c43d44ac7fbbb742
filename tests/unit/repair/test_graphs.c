/* Graphs where a repair must keep its hands off, and what it says then. */
#include "nets.h"

enum { C = 4 };

struct draft { /* input -> ... by hand */
    struct bd_builder *b;
    int x;
    int made;
    float data[8192];
    size_t used;
    struct bd_rng r;
};

static void begin(struct draft *d)
{
    static const int64_t dim[4] = {-1, C, 5, 5};
    *d = (struct draft){.b = bd_builder_new(), .r = {11}};
    assert_non_null(d->b);
    d->x = bd_build_input(d->b, "input", dim, 4);
}

static int constant(struct draft *d, const int64_t *dim, int rank,
                    double about)
{
    char name[32];
    struct bd_tensor t = {.type = BD_F32, .rank = rank};
    int64_t n = 1;
    for (int k = 0; k < rank; k++)
        n *= t.dim[k] = dim[k];
    t.f = d->data + d->used;
    d->used += (size_t)n;
    assert_true(d->used <= sizeof d->data / sizeof *d->data);
    for (int64_t k = 0; k < n; k++)
        t.f[k] = (float)(about + 0.5 * bd_rng_normal(&d->r));
    snprintf(name, sizeof name, "c%d", d->made++);
    return bd_build_const(d->b, name, &t);
}

static int weight(struct draft *d)
{
    return constant(d, (int64_t[]){C, C, 3, 3}, 4, 0);
}

static int node(struct draft *d, const char *op, const int *in, int nin)
{
    static const int64_t pads[4] = {1, 1, 1, 1};
    struct bd_attr a = {.name = "pads", .kind = BD_ATTR_INTS, .n = 4,
                        .ints = pads};
    bool conv = strcmp(op, "Conv") == 0;
    return bd_build_node(d->b, op, "", in, nin, conv ? &a : NULL, conv);
}

static int conv(struct draft *d, int x, int w)
{
    return node(d, "Conv", (int[]){x, w}, 2);
}

static int relu(struct draft *d, int x)
{
    return node(d, "Relu", &x, 1);
}

static int add(struct draft *d, int x, int y)
{
    return node(d, "Add", (int[]){x, y}, 2);
}

/* vars: the variance of all channels. */
static int norm(struct draft *d, int x, float var)
{
    int64_t n = C;
    int in[5] = {x};
    for (int k = 1; k < 5; k++)
        in[k] = constant(d, &n, 1, 1);
    for (int k = 0; k < C; k++)
        d->data[d->used - C + (size_t)k] = var;
    return node(d, "BatchNormalization", in, 5);
}

static struct bd_model *finish(struct draft *d, int out)
{
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    bd_build_output(d->b, out);
    if (bd_build_finish(&m, d->b, true, &e) != BD_OK)
        fail_msg("%s", e.msg);
    return m;
}

static void refuses(struct bd_model *m, const char *what, const char *words)
{
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    assert_int_equal(repair(&o, m, what, &e), BD_EINVALID);
    if (!strstr(e.msg, words))
        fail_msg("'%s' does not say '%s'", e.msg, words);
    bd_model_free(m);
}

static void stays(struct bd_model *m, const char *what)
{
    struct bd_model *f = repaired(m, what);
    double d = apart(m, f);
    if (!(d < 1e-4))
        fail_msg("%s: apart by %g", what, d);
    bd_model_free(f);
    bd_model_free(m);
}

static void no_norm_at_all(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    refuses(finish(&d, relu(&d, conv(&d, d.x, weight(&d)))), "bn-fold",
            "BatchNormalization");
}

static void plain_pair(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    int y = relu(&d, conv(&d, d.x, weight(&d)));
    stays(finish(&d, conv(&d, y, weight(&d))), "equalize");
}

/* One constant, two layers: scaling it for one would break the other. */
static void shared_weight(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    int w = weight(&d);
    int y = relu(&d, conv(&d, d.x, w));
    refuses(finish(&d, conv(&d, y, w)), "equalize", "no pair");
    begin(&d);
    w = weight(&d);
    y = norm(&d, conv(&d, d.x, w), 1);
    refuses(finish(&d, conv(&d, y, w)), "bn-fold", "of its own");
}

/* The residual branch reads the value too. */
static void another_reader(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    int y = relu(&d, conv(&d, d.x, weight(&d)));
    refuses(finish(&d, add(&d, y, conv(&d, y, weight(&d)))), "equalize",
            "nothing else reads");
    begin(&d); /* and an output of the graph is read by whoever asked */
    y = relu(&d, conv(&d, d.x, weight(&d)));
    int z = conv(&d, y, weight(&d));
    bd_build_output(d.b, y);
    refuses(finish(&d, z), "equalize", "nothing else reads");
}

/* Two layers read it, and both can take the factor. */
static void two_layers_read(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    int y = relu(&d, conv(&d, d.x, weight(&d)));
    int a = conv(&d, y, weight(&d)), b = conv(&d, y, weight(&d));
    stays(finish(&d, add(&d, a, b)), "equalize");
}

/* s f(x) is not f(s x) for a clip. */
static void bounded_between(void **state)
{
    struct draft d;
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    struct bd_repair_in in = {.clip_safe = true};
    (void)state;
    begin(&d);
    int lo = constant(&d, NULL, 0, 0), hi = constant(&d, NULL, 0, 50);
    d.data[0] = 0;
    int y = node(&d, "Clip", (int[]){conv(&d, d.x, weight(&d)), lo, hi}, 3);
    struct bd_model *m = finish(&d, conv(&d, y, weight(&d)));
    assert_int_equal(repair(&o, m, "equalize", &e), BD_EINVALID);
    struct bd_bitcfg c = all_float(m);
    in.m = m;
    in.cfg = &c;
    assert_int_equal(bd_repair_run(&o, bd_repair_find("equalize", NULL), &in,
                                   NULL, NULL), BD_OK);
    assert_string_equal(o.what, "1 pair");
    bd_repair_out_done(&o);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

/* A channel without variance is scaled by gamma / sqrt(eps); one below zero
 * has no scale at all. */
static void variance_of_nothing(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    stays(finish(&d, norm(&d, conv(&d, d.x, weight(&d)), 0)), "bn-fold");
    begin(&d);
    refuses(finish(&d, norm(&d, conv(&d, d.x, weight(&d)), -1)), "bn-fold",
            "still to be folded");
}

/* A channel of zeros has no range to even out. */
static void dead_channel(void **state)
{
    struct draft d;
    (void)state;
    begin(&d);
    int w = weight(&d);
    memset(d.data, 0, C * 9 * sizeof *d.data);
    int y = relu(&d, conv(&d, d.x, w));
    stays(finish(&d, conv(&d, y, weight(&d))), "equalize");
}

/* Patches of something that cannot be patched. */
static void patches_are_checked(void **state)
{
    struct draft d;
    struct bd_model *f = NULL;
    static const float data[C * C * 9] = {1, 2, 3};
    (void)state;
    begin(&d);
    struct bd_model *m = finish(&d, conv(&d, d.x, weight(&d)));
    struct bd_patch p = {m->input[0], 0, data};
    struct bd_patches l = {&p, 1, NULL};
    assert_int_equal(bd_model_patched(&f, m, &l, NULL), BD_EINVALID);
    p.value = 1000;
    assert_int_equal(bd_model_patched(&f, m, &l, NULL), BD_EINVALID);
    p.value = -1; /* a bias, which it can have once */
    assert_int_equal(bd_model_patched(&f, m, &l, NULL), BD_OK);
    assert_true(f->layer[0].bias >= 0 && f->node[0].nin == 3);
    assert_string_equal(f->value[f->layer[0].bias].name, "c0.bias");
    assert_int_equal(m->node[0].nin, 2);
    struct bd_model *g = NULL;
    assert_int_equal(bd_model_patched(&g, f, &l, NULL), BD_EINVALID);
    int64_t n;
    float *y = forward(&n, f, NULL, 0), *x = forward(&n, m, NULL, 0);
    for (int k = 0; k < C; k++)
        assert_true(fabs((double)(y[k * 25] - x[k * 25] - data[k])) < 1e-5);
    bd_free(x);
    bd_free(y);
    bd_model_free(f);
    bd_model_free(m);
}

/* A weight of two layers is rounded for neither. */
static void adaround_leaves_shared_weights(void **state)
{
    struct draft d;
    struct bd_err e = {0};
    struct bd_repair_out o = {0};
    size_t each = C * 25;
    struct bd_qlayer q[2] = {{.w = d.data, .key = 1}, {.w = d.data, .key = 1}};
    (void)state;
    begin(&d);
    int w = weight(&d);
    struct bd_model *m = finish(&d, conv(&d, relu(&d, conv(&d, d.x, w)), w));
    struct bd_bitcfg c = all_float(m);
    struct bd_repair_in in = {.m = m, .cfg = &c, .q = q,
                              .images = {fetch, &each, 2}};
    assert_int_equal(bd_config_all(&c, true, "uniform:4", &e), BD_OK);
    assert_int_equal(bd_repair_run(&o, bd_repair_find("adaround", NULL), &in,
                                   NULL, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "another node reads"));
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void names_are_suggested(void **state)
{
    struct bd_err e = {0};
    (void)state;
    assert_null(bd_repair_find("equalise", &e));
    assert_non_null(strstr(e.msg, "'equalize'"));
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(no_norm_at_all),
        cmocka_unit_test(plain_pair),
        cmocka_unit_test(shared_weight),
        cmocka_unit_test(another_reader),
        cmocka_unit_test(two_layers_read),
        cmocka_unit_test(bounded_between),
        cmocka_unit_test(variance_of_nothing),
        cmocka_unit_test(dead_channel),
        cmocka_unit_test(patches_are_checked),
        cmocka_unit_test(adaround_leaves_shared_weights),
        cmocka_unit_test(names_are_suggested),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
