/* Memory runs out at any moment of a lab's life: a status and a sentence,
 * nothing leaked (the sanitizers look), nothing half made. */
#include "../exhaust.h"

#include "feature/feature.h"

#include <string.h>

struct bed {
    struct bd_model *m;
    struct bd_plan *plan;
};

static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    (void)arg;
    (void)err;
    for (int64_t i = 0; i < n * 48; i++)
        dst[i] = (float)((first * 48 + i) % 17) / 17;
    return BD_OK;
}

static bd_status refine(struct bd_judge *j, const struct bd_qtable *t,
                        struct bd_err *err)
{
    struct bd_refine r = {.runs = 2};
    int8_t bits[16];
    struct bd_allocated a = {bits, 0};
    double s[16 * BD_FEATURE_WIDTHS];
    bd_status st;

    memset(bits, 2, sizeof bits);
    st = bd_judge_refine(&a, j, t, &r, err);
    return st == BD_OK ? bd_judge_sensitivity(s, j, t, err) : st;
}

static bd_status whole_life(const void *arg, struct bd_err *err)
{
    const struct bed *b = arg;
    struct bd_source src = {fetch, NULL, 3};
    struct bd_feature_work w = {0};
    struct bd_split s;
    struct bd_feature f = {0};
    struct bd_qtable t = {0};
    struct bd_backend back = {0};
    struct bd_judge *j = NULL;
    bd_status st = bd_split_find(&s, b->m, b->plan, "fc2", err);

    if (st == BD_OK)
        st = bd_feature_collect(&f, &s, &src, w, err);
    if (st == BD_OK)
        st = bd_qtable_make(&t, &f, BD_FEATURE_UNIFORM, w, err);
    if (st == BD_OK)
        st = bd_backend_open(&back, &s, 3, 1, err);
    if (st == BD_OK)
        st = bd_judge_new(&j, &f, &back, w, err);
    if (st == BD_OK)
        st = refine(j, &t, err);
    bd_judge_free(j);
    bd_backend_done(&back);
    bd_qtable_done(&t);
    bd_feature_done(&f);
    return st;
}

static bd_status table_life(const void *arg, struct bd_err *err)
{
    const struct bed *b = arg;
    float x[32];
    struct bd_feature f = {2, 1, 16, x};
    struct bd_qtable t = {0}, back = {0};
    struct bd_str text = {0};
    bd_status st;

    (void)b;
    for (int i = 0; i < 32; i++)
        x[i] = (float)i / 8;
    st = bd_qtable_make(&t, &f, BD_FEATURE_LOG, (struct bd_feature_work){0},
                        err);
    if (st == BD_OK)
        st = bd_qtable_write(&text, &t, "fc2", err);
    if (st == BD_OK)
        st = bd_save("/tmp/bdtable-exhaustion.csv", text.s, text.n, true, err);
    if (st == BD_OK)
        st = bd_qtable_read(&back, "/tmp/bdtable-exhaustion.csv",
                            (struct bd_qtable_want){BD_FEATURE_LOG, &f}, err);
    bd_str_done(&text);
    bd_qtable_done(&t);
    bd_qtable_done(&back);
    return st;
}

static void test_life(void **state)
{
    static const int64_t dim[3] = {3, 4, 4};
    struct bed b;

    (void)state;
    assert_int_equal(bd_arch_new(&b.m, "mlp:48-16-10", dim, 3, 10, 1, NULL),
                     BD_OK);
    assert_int_equal(bd_plan_new(&b.plan, b.m, NULL, NULL), BD_OK);
    assert_true(exhaust(whole_life, &b, false) > 20);
    assert_true(exhaust(table_life, &b, false) > 5);
    bd_plan_free(b.plan);
    bd_model_free(b.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
