/* Whole training runs on a handful of made pictures: repeatable to the byte
 * for any number of threads, learning, stoppable, and plain about mistakes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/train.h"

struct bench { /* what every test needs */
    struct bd_data *train, *test;
    struct bd_prep prep;
};

static int open_bench(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct bd_err e = {0};
    assert_non_null(b);
    bd_kernels_single_threaded_blas();
    assert_int_equal(bd_data_open(&b->train, "synth:glyphs/train", &e), BD_OK);
    assert_int_equal(bd_data_open(&b->test, "synth:glyphs", &e), BD_OK);
    assert_int_equal(bd_prep_parse(&b->prep, "cifar10", &e), BD_OK);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    bd_data_free(b->train);
    bd_data_free(b->test);
    free(b);
    return 0;
}

static struct bd_model *net_for(const char *arch, int64_t side, int64_t classes)
{
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    const int64_t dim[3] = {3, side, side};
    if (bd_arch_new(&m, arch, dim, 3, classes, 1, &e) != BD_OK)
        fail_msg("%s: %s", arch, e.msg);
    return m;
}

static struct bd_model *net(const char *arch)
{
    return net_for(arch, 32, 10);
}

static struct bd_train_opts opts(const struct bench *b)
{
    return (struct bd_train_opts){.epochs = 2,
                                  .batch = 64,
                                  .lr = 0.05,
                                  .momentum = 0.9,
                                  .decay = 5e-4,
                                  .limit = 128,
                                  .augment = true,
                                  .seed = 3,
                                  .prep = &b->prep};
}

static uint64_t digest(const struct bd_trainer *t, const struct bd_model *m)
{
    const float *const *p = bd_trainer_params(t);
    uint64_t h = 0;
    for (size_t v = 0; v < m->nvalues; v++)
        if (p[v])
            h = bd_digest(
                p[v], (size_t)bd_tensor_count(&m->value[v].t) * sizeof **p, h);
    return h;
}

/* Trains for all epochs and returns a digest of every parameter. */
static uint64_t train(const struct bench *b, const char *arch, int threads,
                      const struct bd_train_opts *o, struct bd_epoch *last)
{
    struct bd_model *m = net(arch);
    struct bd_trainer *t = NULL;
    struct bd_pool *pool = NULL;
    struct bd_err e = {0};
    if (threads)
        assert_int_equal(bd_pool_new(&pool, threads, &e), BD_OK);
    if (bd_trainer_new(&t, m, b->train, o, &e) != BD_OK)
        fail_msg("%s: %s", arch, e.msg);
    for (int64_t i = 0; i < o->epochs; i++)
        if (bd_trainer_epoch(t, pool, last, NULL, &e) != BD_OK)
            fail_msg("%s: %s", arch, e.msg);
    uint64_t h = digest(t, m);
    bd_trainer_free(t);
    bd_pool_free(pool);
    bd_model_free(m);
    return h;
}

static void threads_change_nothing(void **state)
{
    const struct bench *b = *state;
    const char *const archs[] = {"resnet20", "mobilenet-glyphs",
                                 "mlp:3072-24-10"};
    for (size_t i = 0; i < 3; i++) {
        struct bd_train_opts o = opts(b);
        struct bd_epoch one, many;
        o.epochs = i == 2 ? 2 : 1;
        uint64_t h = train(b, archs[i], 0, &o, &one);
        assert_true(h == train(b, archs[i], 3, &o, &many));
        assert_memory_equal(&one.loss, &many.loss, sizeof one.loss);
        assert_true(isnan(one.test_acc));
        o.seed++;
        assert_true(h != train(b, archs[i], 2, &o, &many));
    }
}

/* Few pictures, many epochs: the network must learn them by heart. */
static void it_learns(void **state)
{
    const struct bench *b = *state;
    struct bd_train_opts o = opts(b);
    struct bd_epoch e;
    o.limit = 64;
    o.batch = 32;
    o.epochs = 30;
    o.augment = false;
    train(b, "mlp:3072-48-10", 2, &o, &e);
    assert_int_equal(e.epoch, 30);
    assert_true(e.loss < 0.2 && e.train_acc > 0.95);
}

/* The statistics BatchNorm will use have moved off 0 and 1, and the test
 * accuracy of a trained network is above chance. */
static void running_statistics_move(void **state)
{
    const struct bench *b = *state;
    struct bd_train_opts o = opts(b);
    struct bd_model *m = net("resnet20");
    struct bd_trainer *t = NULL;
    struct bd_epoch ep;
    struct bd_err e = {0};
    int seen = 0;
    assert_int_equal(bd_trainer_new(&t, m, b->train, &o, &e), BD_OK);
    assert_int_equal(bd_trainer_epoch(t, NULL, &ep, NULL, &e), BD_OK);
    for (size_t i = 0; i < m->nnodes; i++) {
        const struct bd_node *n = &m->node[i];
        if (strcmp(n->op, "BatchNormalization") != 0)
            continue;
        const float *mean = bd_trainer_params(t)[n->in[3]];
        const float *var = bd_trainer_params(t)[n->in[4]];
        assert_non_null(mean);
        assert_true(mean[0] != 0.0f && var[0] != 1.0f && var[0] > 0.0f);
        seen++;
    }
    assert_true(seen >= 19);
    bd_trainer_free(t);
    bd_model_free(m);
}

static void cancelled_at_once(void **state)
{
    const struct bench *b = *state;
    struct bd_train_opts o = opts(b);
    struct bd_model *m = net("mlp:3072-24-10");
    struct bd_ctl *ctl = bd_ctl_new();
    struct bd_trainer *t = NULL;
    struct bd_epoch ep = {.epoch = 77};
    struct bd_err e = {0};
    o.test = b->test;
    assert_int_equal(bd_trainer_new(&t, m, b->train, &o, &e), BD_OK);
    uint64_t before = digest(t, m);
    bd_ctl_cancel(ctl);
    assert_int_equal(bd_trainer_epoch(t, NULL, &ep, ctl, &e), BD_ECANCELLED);
    assert_int_equal(ep.epoch, 77);
    assert_true(before == digest(t, m));
    bd_trainer_free(t);
    bd_ctl_free(ctl);
    bd_model_free(m);
}

/* Takes the model. */
static void refused(const struct bench *b, struct bd_train_opts o,
                    struct bd_model *m, const char *part)
{
    struct bd_trainer *t = NULL;
    struct bd_epoch ep;
    struct bd_err e = {0};
    bd_status s = bd_trainer_new(&t, m, b->train, &o, &e);
    if (s == BD_OK)
        s = bd_trainer_epoch(t, NULL, &ep, NULL, &e);
    assert_int_not_equal(s, BD_OK);
    if (!strstr(e.msg, part))
        fail_msg("'%s' does not say '%s'", e.msg, part);
    bd_trainer_free(t);
    bd_model_free(m);
}

static void mistakes_are_told(void **state)
{
    const struct bench *b = *state;
    const char *mlp = "mlp:3072-24-10";
    struct bd_train_opts o = opts(b);
    o.recipe = "flaot";
    refused(b, o, net(mlp), "no recipe 'flaot'");
    o = opts(b);
    o.schedule = "cosin";
    refused(b, o, net(mlp), "no schedule 'cosin'");
    o = opts(b);
    o.lr = (double)NAN;
    refused(b, o, net(mlp), "learning rate");
    o = opts(b);
    o.epochs = 0;
    refused(b, o, net(mlp), "epochs");
    o = opts(b);
    o.lr = 1e30;
    refused(b, o, net(mlp), "smaller");
    refused(b, opts(b), net_for("mlp:3072-24-4", 32, 4), "4 classes");
    /* Pictures of 3x32x32 do not fit a network for 3x16x16. */
    refused(b, opts(b), net_for("mlp:768-24-10", 16, 10), "768");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(running_statistics_move),
        cmocka_unit_test(cancelled_at_once),
        cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
