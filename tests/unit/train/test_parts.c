/* The parts of training that need no network: loss, schedules, the update. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/train_priv.h"

static void loss_by_hand(void **state)
{
    (void)state;
    const float x[] = {0.0f, 0.0f};
    float g[2];
    assert_true(fabs(bd_train_loss(g, x, 2, 1, 0.5) - log(2.0)) < 1e-15);
    assert_true(g[0] == 0.25f && g[1] == -0.25f);
    /* Logits beyond exp()'s range are no different. */
    const float big[] = {1e4f, -1e4f, 1e4f};
    assert_true(fabs(bd_train_loss(NULL, big, 3, 0, 1) - log(2.0)) < 1e-12);
    assert_true(fabs(bd_train_loss(NULL, big, 3, 1, 1) - 2e4 - log(2.0)) <
                1e-8);
}

/* The gradient is the slope of the loss. */
static void loss_gradient(void **state)
{
    (void)state;
    struct bd_rng r = {5};
    float x[7], g[7];
    for (int i = 0; i < 7; i++)
        x[i] = 3.0f * (float)bd_rng_normal(&r);
    bd_train_loss(g, x, 7, 4, 1.0);
    for (int i = 0; i < 7; i++) {
        const float old = x[i], h = 1.0f / 256;
        x[i] = old + h;
        double up = bd_train_loss(NULL, x, 7, 4, 1.0);
        x[i] = old - h;
        double down = bd_train_loss(NULL, x, 7, 4, 1.0);
        x[i] = old;
        assert_true(fabs((up - down) / (2 * (double)h) - (double)g[i]) < 1e-5);
    }
}

static void argmax_takes_the_first(void **state)
{
    (void)state;
    assert_int_equal(bd_train_argmax((float[]){1, 3, 3, 2}, 4), 1);
    assert_int_equal(bd_train_argmax((float[]){-1}, 1), 0);
}

/* Every row starts at the full rate and never leaves [0,1]; the names listed
 * are the names found. */
static void schedules(void **state)
{
    (void)state;
    const char *const *name = bd_train_schedule_names();
    int n = 0;
    for (; name[n]; n++) {
        const struct bd_schedule *s = bd_train_schedule(name[n]);
        assert_non_null(s);
        assert_true(s->rate(0) == 1.0);
        for (int i = 0; i < 100; i++)
            assert_true(s->rate(i / 100.0) >= s->rate((i + 1) / 100.0) &&
                        s->rate((i + 1) / 100.0) >= 0);
    }
    assert_int_equal(n, 3);
    assert_true(fabs(bd_train_schedule("cosine")->rate(0.5) - 0.5) < 1e-12);
    assert_true(bd_train_schedule("step")->rate(0.8) == 0.01);
    assert_null(bd_train_schedule("cosin"));
}

static void recipes(void **state)
{
    (void)state;
    const char *const *name = bd_train_recipe_names();
    for (int i = 0; name[i]; i++) {
        assert_non_null(bd_train_recipe(name[i]));
        assert_non_null(bd_train_recipe(name[i])->title);
    }
    assert_string_equal(name[0], "float");
    assert_null(bd_train_recipe("fl"));
}

/* Two updates by hand, with and without decay. */
static void update(void **state)
{
    (void)state;
    float w[2] = {1, 1}, speed[2] = {0, 0}, grad[2] = {0.5f, 0.5f};
    struct bd_param p[2] = {
        {.decay = true, .n = 1, .w = w, .speed = speed, .grad = grad},
        {.n = 1, .w = w + 1, .speed = speed + 1, .grad = grad + 1}};
    struct bd_trainer t = {
        .o = {.momentum = 0.5, .decay = 0.25}, .nparams = 2, .param = p};
    bd_train_update(&t, 0.5);
    assert_true(speed[0] == 0.75f && w[0] == 0.625f);
    assert_true(speed[1] == 0.5f && w[1] == 0.75f);
    bd_train_update(&t, 0.5);
    assert_true(speed[0] == 1.03125f && w[0] == 0.109375f);
    assert_true(speed[1] == 0.75f && w[1] == 0.375f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_by_hand),
        cmocka_unit_test(loss_gradient),
        cmocka_unit_test(argmax_takes_the_first),
        cmocka_unit_test(schedules),
        cmocka_unit_test(recipes),
        cmocka_unit_test(update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
