/* Every allocation of fitting and judging a tensor fails once: the answer is
 * "no memory" in one sentence, nothing leaks (the sanitizer build sees to
 * that), and outputs stay untouched. */
#include "../quant/ref.h"

#include "metrics/metrics.h"

/* The linker sends the engine's allocations here (-Wl,--wrap). */
void *__real_bd_alloc(size_t count, size_t size);
void *__real_bd_calloc(size_t count, size_t size);
void *__wrap_bd_alloc(size_t count, size_t size);
void *__wrap_bd_calloc(size_t count, size_t size);

static int countdown = -1; /* fails when it reaches 0; below 0: never */

static bool now_fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__wrap_bd_alloc(size_t count, size_t size)
{
    return now_fails() ? NULL : __real_bd_alloc(count, size);
}

void *__wrap_bd_calloc(size_t count, size_t size)
{
    return now_fails() ? NULL : __real_bd_calloc(count, size);
}

/* Index, fit and figures of a tensor, as a session does them. */
static bd_status work(const float *x, const struct bd_tensorcfg *cfg,
                      bool with_index, struct bd_err *err)
{
    struct bd_weights w = {x, {1, 8, 50}, NAN, NULL};
    struct bd_index *ix = NULL;
    struct bd_qset set = {0};
    struct bd_error_stats e;
    bd_status st = BD_OK;

    if (with_index)
        st = bd_index_new(&ix, x, 400, err);
    w.index = ix;
    if (st == BD_OK)
        st = bd_calib_weights(&set, &w, cfg, NULL, err);
    if (st == BD_OK)
        st = bd_error_of(&e, &w, &set, err);
    else
        assert_null(set.p);
    bd_qset_done(&set);
    bd_index_free(ix);
    return st;
}

static void test_weights(void **state)
{
    const char *names[] = {"apot:4:tensor:mse", "uniform:8:channel:mse",
                           "log:4:group16:max", "binary:1:channel"};
    struct bd_rng r = {9};
    float x[400];

    (void)state;
    for (int i = 0; i < 400; i++)
        x[i] = (float)bd_rng_normal(&r);
    x[17] = NAN; /* the index needs a copy without it */
    for (size_t k = 0; k < 4; k++)
        for (int with_index = 0; with_index < 2; with_index++) {
            struct bd_tensorcfg cfg = {.bits = 8};
            bd_status st = BD_ENOMEM;
            int n = 0;

            assert_int_equal(bd_tensorcfg_parse(&cfg, names[k], NULL), BD_OK);
            for (; st != BD_OK; n++) {
                struct bd_err err = {0};

                countdown = n;
                st = work(x, &cfg, with_index, &err);
                countdown = -1;
                if (st == BD_OK)
                    break;
                assert_int_equal(st, BD_ENOMEM);
                assert_int_equal(err.code, BD_ENOMEM);
                assert_true(strlen(err.msg) > 10);
            }
            assert_true(n > 1); /* something really failed on the way */
        }
}

/* Statistics of activations that missed a page say so when asked to fit. */
static void test_acts(void **state)
{
    const float x[] = {1, 2, 1e-3f, 1e3f};
    struct bd_tensorcfg cfg = {.bits = 4, .clip = BD_CLIP_MSE};
    bd_status st = BD_ENOMEM;
    int n = 0;

    (void)state;
    for (; st != BD_OK; n++) {
        struct bd_actstat *s, *t;
        struct bd_qparam p;
        struct bd_err err = {0};

        countdown = n;
        s = bd_actstat_new();
        t = s ? bd_actstat_new() : NULL;
        if (t) {
            bd_actstat_add(s, x, 4);
            bd_actstat_merge(t, s);
            st = bd_calib_acts(&p, t, NAN, &cfg, &err);
            assert_true(st == BD_OK || err.code == BD_ENOMEM);
        }
        countdown = -1;
        bd_actstat_free(s);
        bd_actstat_free(t);
    }
    assert_true(n > 4);
}

/* The same channel by channel, under every rule that fits inputs. */
static void test_channels(void **state)
{
    float x[3 * 4 * 50];
    struct bd_slices all = {3, 4, 50};
    struct bd_rng r = {6};

    (void)state;
    for (size_t i = 0; i < sizeof(x) / sizeof(*x); i++)
        x[i] = (float)(bd_rng_normal(&r) * pow(2, (double)(i % 12) - 6));
    for (int rule = 0; rule < BD_CLIP_RULES; rule++) {
        struct bd_tensorcfg cfg = {.bits = 4, .clip = (uint8_t)rule,
                                   .grain = BD_GRAIN_CHANNEL,
                                   .clip_value = 1};
        bd_status st = BD_ENOMEM;
        int n = 0;

        for (; st != BD_OK; n++) {
            struct bd_chanstat *s;
            struct bd_actset set = {0};
            struct bd_err err = {0};

            countdown = n;
            s = bd_chanstat_new(4, 2);
            if (s) {
                struct bd_calib_input in = {NULL, s, 1, NULL};

                bd_chanstat_add(s, x, all, 1);
                st = bd_calib_actset(&set, &in, &cfg, &err);
                assert_true(st == BD_OK || err.code == BD_ENOMEM);
            }
            countdown = -1;
            bd_chanstat_free(s);
            bd_actset_done(&set);
        }
        assert_true(n > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_acts),
        cmocka_unit_test(test_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
