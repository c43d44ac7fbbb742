/* Cutting real graphs: where it is possible, what stands behind, and that the
 * two halves make the whole; numbers that do not depend on threads; stopping. */
#include "bed.h"

enum { IMAGES = 5 };

struct net {
    struct bd_model *m;
    struct bd_plan *plan;
    struct bd_source src;
    int64_t each; /* elements of the input */
};

/* Pictures from their index alone. */
static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    const struct net *t = arg;

    (void)err;
    for (int64_t i = 0; i < n; i++) {
        struct bd_rng r = bd_rng_fork(3, (uint64_t)(first + i));

        for (int64_t k = 0; k < t->each; k++)
            dst[i * t->each + k] = (float)bd_rng_normal(&r);
    }
    return BD_OK;
}

static void open_net(struct net *t, const char *arch, const int64_t dim[3])
{
    struct bd_err err = {0};

    if (bd_arch_new(&t->m, arch, dim, 3, 10, 4, &err) != BD_OK ||
        bd_plan_new(&t->plan, t->m, NULL, &err) != BD_OK)
        fail_msg("%s", err.msg);
    t->each = dim[0] * dim[1] * dim[2];
    t->src = (struct bd_source){fetch, t, IMAGES};
}

static void close_net(struct net *t)
{
    bd_plan_free(t->plan);
    bd_model_free(t->m);
}

static const int64_t small[3] = {3, 16, 16};

static struct bd_split split_at(const struct net *t, const char *name)
{
    struct bd_split s;
    struct bd_err err = {0};

    if (bd_split_find(&s, t->m, t->plan, name, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return s;
}

static void test_where(void **state)
{
    struct net t;
    struct bd_split s;

    (void)state;
    open_net(&t, "resnet20", small);
    s = split_at(&t, "layer2.0.conv1");
    assert_int_equal(s.channels, 16);
    assert_int_equal(s.size, 16 * 16);
    assert_string_equal(t.m->value[s.value].name, "layer1.2.relu2_out");
    s = split_at(&t, "conv1.out");
    assert_int_equal(s.value, t.m->node[t.m->layer[0].node].out[0]);
    s = split_at(&t, "layer1.2.relu2_out"); /* a value's own name */
    assert_int_equal(s.channels, 16);
    s = split_at(&t, "fc"); /* before it was flattened */
    assert_int_equal(bd_plan_value(t.plan, s.value)->rank, 4);
    assert_int_equal(s.channels, 64);
    assert_int_equal(s.params, 640);
    s = split_at(&t, "conv1"); /* the picture itself */
    assert_int_equal(s.channels, 3);
    close_net(&t);
}

static void refused(const struct net *t, const char *name, const char *words)
{
    struct bd_split s = {.value = -7};
    struct bd_err err = {0};

    assert_int_equal(bd_split_find(&s, t->m, t->plan, name, &err),
                     BD_EINVALID);
    if (!strstr(err.msg, words))
        fail_msg("'%s' lacks '%s'", err.msg, words);
    assert_int_equal(s.value, -7);
}

static void test_refusals(void **state)
{
    struct net t;

    (void)state;
    open_net(&t, "resnet20", small);
    refused(&t, "layer2.0.conv2", "split at 'layer2.0.conv1' or 'layer2.");
    refused(&t, "layer1.1.conv2", "a path leads round 'layer1.1.conv2'");
    refused(&t, "layer2.0.downsample.0.out", "split at 'layer2.0.");
    refused(&t, "layer2.0.conv9", "'layer2.0.conv");
    refused(&t, "", "is no layer and no value");
    refused(&t, "conv1.weight", "is no layer and no value");
    refused(&t, t.m->value[t.m->output[0]].name, "nothing of the network");
    close_net(&t);
}

/* ------------------------------------------------------- halves and wholes */
struct lab {
    struct net t;
    struct bd_split s;
    struct bd_feature f;
    struct bd_backend b;
    struct bd_judge *j;
    struct bd_qtable q;
    struct bd_pool *pool;
};

static void open_lab(struct lab *l, const char *arch, const char *split,
                     int threads)
{
    struct bd_err err = {0};
    struct bd_feature_work w = {0};

    open_net(&l->t, arch, small);
    l->s = split_at(&l->t, split);
    assert_int_equal(bd_pool_new(&l->pool, threads, NULL), BD_OK);
    w.pool = l->pool;
    if (bd_feature_collect(&l->f, &l->s, &l->t.src, w, &err) != BD_OK ||
        bd_backend_open(&l->b, &l->s, IMAGES, threads, &err) != BD_OK ||
        bd_judge_new(&l->j, &l->f, &l->b, w, &err) != BD_OK ||
        bd_qtable_make(&l->q, &l->f, BD_FEATURE_UNIFORM, w, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

static void close_lab(struct lab *l)
{
    bd_judge_free(l->j);
    bd_backend_done(&l->b);
    bd_qtable_done(&l->q);
    bd_feature_done(&l->f);
    bd_pool_free(l->pool);
    close_net(&l->t);
}

/* Front then back gives what the whole network gives. */
static void whole(const char *arch, const char *split, double tolerance)
{
    struct lab l;
    struct bd_exec *e;
    double out[80], *x;

    open_lab(&l, arch, split, 2);
    x = bd_calloc((size_t)(l.b.batch * l.f.channels * l.f.size), sizeof *x);
    assert_int_equal(bd_exec_new(&e, l.t.plan, NULL), BD_OK);
    for (int64_t i = 0; i < IMAGES; i++) {
        const float *y;

        for (int64_t c = 0; c < l.f.channels; c++)
            for (int64_t k = 0; k < l.f.size; k++)
                x[c * l.f.size + k] =
                    (double)l.f.x[(c * IMAGES + i) * l.f.size + k];
        assert_int_equal(l.b.run(l.b.arg, 1, out, x, NULL), BD_OK);
        fetch(&l.t, i, 1, bd_exec_input(e, 0), NULL);
        assert_int_equal(bd_exec_run(e, NULL, NULL), BD_OK);
        y = bd_exec_value(e, l.t.m->output[0])->f;
        for (int64_t k = 0; k < l.b.outputs; k++)
            REF_NEAR(out[k], (double)y[k], tolerance);
    }
    bd_exec_free(e);
    bd_free(x);
    close_lab(&l);
}

static void test_halves(void **state)
{
    (void)state;
    whole("resnet20", "layer2.0.conv1", 0);
    whole("resnet20", "layer1.0.conv1", 0);
    whole("resnet20", "fc", 0);
    /* Batches of images are other products of matrices: other roundings. */
    whole("mlp:768-48-32-10", "fc2", 1e-5);
}

struct answer {
    double mse, sens[3];
    int8_t bits[64];
};

static struct answer answer_of(const char *arch, const char *split,
                               int threads)
{
    struct lab l;
    struct answer a;
    struct bd_refine r = {.runs = 30};
    struct bd_allocated at = {a.bits, -1};
    double score[64], *s;

    memset(&a, 0, sizeof a);
    open_lab(&l, arch, split, threads);
    bd_feature_priority(score, NULL, NULL, &l.f,
                        (struct bd_priority){0.9, 0.1});
    bd_feature_fill(a.bits, score, NULL, l.f.channels,
                    (double)l.f.channels * 2);
    assert_int_equal(bd_judge_refine(&at, l.j, &l.q, &r, NULL), BD_OK);
    a.mse = at.mse;
    s = bd_calloc((size_t)l.f.channels * BD_FEATURE_WIDTHS, sizeof *s);
    assert_int_equal(bd_judge_sensitivity(s, l.j, &l.q, NULL), BD_OK);
    memcpy(a.sens, s + BD_FEATURE_WIDTHS, sizeof a.sens);
    bd_free(s);
    close_lab(&l);
    return a;
}

static void test_threads(void **state)
{
    static const char *const net[][2] = {{"resnet20", "layer3.0.conv1"},
                                         {"mlp:768-48-32-10", "fc2"}};

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct answer one = answer_of(net[k][0], net[k][1], 1);
        struct answer two = answer_of(net[k][0], net[k][1], 2);
        struct answer five = answer_of(net[k][0], net[k][1], 5);

        assert_true(one.mse > 0);
        assert_memory_equal(&one, &two, sizeof one);
        assert_memory_equal(&one, &five, sizeof one);
    }
}

/* ---------------------------------------------------------------- stopping */
struct stopper {
    struct bd_ctl *ctl;
    int left;
    double last;
};

static void stop(void *arg, const struct bd_refine_step *s, const int8_t *bits)
{
    struct stopper *p = arg;
    int sum = 0;

    for (int c = 0; c < 32; c++)
        sum += bits[c];
    assert_int_equal(sum, 2 * 32); /* exchanges keep the budget */
    assert_true(s->mse <= p->last);
    p->last = s->mse;
    if (--p->left == 0)
        bd_ctl_cancel(p->ctl);
}

static void test_stopped(void **state)
{
    struct lab l;
    struct stopper p = {bd_ctl_new(), 3, INFINITY};
    struct bd_refine r = {100, stop, &p};
    int8_t bits[64];
    struct bd_allocated a = {bits, -1};
    struct bd_chanq q[64];
    struct bd_err err = {0};
    double again;

    (void)state;
    open_lab(&l, "resnet20", "layer3.0.conv1", 2);
    memset(bits, 2, sizeof bits);
    bd_judge_work(l.j, (struct bd_feature_work){l.pool, p.ctl});
    assert_int_equal(bd_judge_refine(&a, l.j, &l.q, &r, &err), BD_ECANCELLED);
    assert_int_equal(p.left, 0);
    assert_true(a.mse == p.last);
    bd_judge_work(l.j, (struct bd_feature_work){l.pool, NULL});
    bd_qtable_use(q, &l.q, bits); /* what is left is what was measured */
    assert_int_equal(bd_judge_run(&again, l.j, q, NULL), BD_OK);
    assert_true(again == a.mse);
    close_lab(&l);
    bd_ctl_free(p.ctl);
}

/* Unequal sizes: costs are bits times values and never exceed the budget. */
static void test_sizes(void **state)
{
    const double score[4] = {1, 1, 0.5, 0}, size[4] = {1, 4, 2, 3};
    double water[4], sum = 0;
    int8_t bits[4];
    double spent = bd_feature_fill(bits, score, size, 4, 20);

    (void)state;
    assert_true(spent <= 20 && spent > 15);
    assert_true(bits[0] + 4 * bits[1] + 2 * bits[2] == (int)spent);
    assert_int_equal(bits[3], 0);
    assert_true(bits[0] > bits[1]); /* the same gain for less */
    bd_feature_fill(bits, score, NULL, 4, 2); /* not everyone's first bit */
    assert_int_equal(bits[0] + bits[1] + bits[2], 2);
    bd_feature_water(water, score, 4, 2);
    for (int c = 0; c < 4; c++)
        sum += water[c];
    REF_CLOSE(sum, 8, 1e-9);
    REF_CLOSE(water[0] - water[2], 1, 1e-9);
    assert_true(water[3] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_halves),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stopped), cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
