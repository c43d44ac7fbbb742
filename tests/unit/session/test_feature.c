/* Channels of a feature through the session: widths at once, errors as they
 * come, budgets turned live, stopping keeps what is there. */
#include "bed.h"

static struct bd_feature_ask ask_of(const char *split, double avg)
{
    return (struct bd_feature_ask){.lab = {.split = split},
                                   .solve = {.avg_bits = avg,
                                             .p = {0.9, 0.1}},
                                   .runs = 25};
}

static int sum_of(const struct bd_feature_view *v)
{
    int sum = 0;
    for (int64_t c = 0; c < v->lab->f.channels; c++)
        sum += v->bits[c];
    return sum;
}

static void runs_to_the_end(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_feature_view v;
    struct bd_feature_ask ask = ask_of("fc2", 3);
    double mse;
    assert_false(bd_session_feature(&v, s));
    assert_int_equal(bd_session_feature_start(s, &ask, NULL), BD_OK);
    assert_true(bd_session_feature(&v, s) && v.running && !v.bits);
    settle(s);
    assert_true(bd_session_feature(&v, s) && !v.running && !v.stopped);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_int_equal(v.lab->f.channels, 24);
    assert_int_equal(v.lab->f.images, BD_LAB_IMAGES);
    assert_int_equal(sum_of(&v), 72);
    assert_int_equal(v.done, 25);
    assert_true(v.mse <= v.start && v.start < v.uniform);
    assert_true(v.step[24].mse == v.mse);
    mse = v.mse;
    /* Again: the same lab, the same answer. */
    const struct bd_lab *lab = v.lab;
    assert_int_equal(bd_session_feature_start(s, &ask, NULL), BD_OK);
    settle(s);
    assert_true(bd_session_feature(&v, s) && v.lab == lab && v.mse == mse);
    bd_session_close(s);
}

static void budget_answers_at_once(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_feature_view v;
    struct bd_feature_ask ask = ask_of("fc2", 3);
    bd_session_feature_start(s, &ask, NULL);
    settle(s);
    bd_session_feature(&v, s);
    double mse = v.mse;
    ask.solve.avg_bits = 4;
    assert_int_equal(bd_session_feature_start(s, &ask, NULL), BD_OK);
    bd_session_feature(&v, s); /* nothing was collected in between */
    assert_int_equal(sum_of(&v), 96);
    assert_int_equal(v.fresh, BD_STALE);
    assert_true(v.mse == mse && v.avg_bits == 4);
    settle(s);
    bd_session_feature(&v, s);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_true(v.mse < mse);
    bd_session_close(s);
}

/* Turned while the front end still runs: what is measured is kept, and the
 * last wish is what comes out. */
static void budget_turned_early(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_feature_view v;
    struct bd_feature_ask ask = ask_of("fc2", 3);
    bd_session_feature_start(s, &ask, NULL);
    ask.solve.avg_bits = 5;
    ask.runs = 7;
    bd_session_feature_start(s, &ask, NULL);
    settle(s);
    assert_true(bd_session_feature(&v, s) && !v.running);
    assert_int_equal(sum_of(&v), 5 * 24);
    assert_int_equal(v.done, 7);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_true(v.mse <= v.start);
    bd_session_close(s);
}

static void refusals_change_nothing(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_feature_view v;
    struct bd_err e = {0};
    struct bd_feature_ask ask = ask_of("nosuch", 3);
    assert_int_equal(bd_session_feature_start(s, &ask, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "nosuch"));
    assert_false(bd_session_feature(&v, s));
    bd_session_close(s);
    o.data = NULL; /* no pictures: the session's own sentence */
    s = open_session(&o);
    e = (struct bd_err){0};
    ask.lab.split = "fc2";
    assert_int_equal(bd_session_feature_start(s, &ask, &e), BD_EINVALID);
    assert_string_equal(e.msg, bd_session_why_no_accuracy(s));
    bd_session_close(s);
}

static void stopping_keeps(void **state)
{
    const struct bed *bed = *state;
    struct bd_session_opts o = bed_opts(bed);
    put_net(bed->model, "resnet20", 3); /* not done before it is stopped */
    struct bd_session *s = open_session(&o);
    struct bd_feature_view v = {0};
    struct bd_feature_ask ask = ask_of("layer3.0.conv1", 3);
    ask.runs = 1000000;
    bd_session_feature_start(s, &ask, NULL);
    do { /* until the refinement is under way */
        bd_session_wait(s);
        bd_session_collect(s);
        bd_session_feature(&v, s);
    } while (v.running && v.done == 0);
    bd_session_feature_stop(s);
    settle(s);
    assert_true(bd_session_feature(&v, s) && !v.running && v.stopped);
    assert_true(v.done > 0 && v.mse <= v.start);
    assert_int_equal(sum_of(&v), 3 * 32);
    bd_session_close(s);
}

/* All methods on both losses spend the budget; exact is best on its own. */
static void methods(void **state)
{
    static const char *const name[] = {"dp", "priority", "uniform",
                                       "greedy", "lagrange"};
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_lab *l = NULL;
    struct bd_lab_opts opts = {.split = "fc3", .images = 7};
    double loss[5], left;
    int8_t bits[64];
    struct bd_err e = {0};
    assert_int_equal(bd_lab_open(&l, s, &opts, NULL, NULL), BD_OK);
    assert_int_equal(l->f.images, 7);
    for (int out = 0; out < 2; out++) {
        for (int k = 0; k < 5; k++) {
            struct bd_lab_ask a = {name[k], 2.5, {0.9, 0.1}, out == 1};
            assert_int_equal(bd_lab_solve(bits, &left, l, &a, NULL), BD_OK);
            double sum = left;
            loss[k] = 0;
            for (int c = 0; c < 16; c++) {
                sum += bits[c];
                loss[k] += out ? l->sens[c * BD_FEATURE_WIDTHS + bits[c]]
                               : l->t.c[c].mse[bits[c]];
            }
            assert_true(sum == 40);
        }
        for (int k = 1; k < 5; k++)
            assert_true(loss[0] <= loss[k] * (1 + 1e-12));
    }
    struct bd_lab_ask bad = {"magic", 2, {1, 0}, false};
    assert_int_equal(bd_lab_solve(bits, &left, l, &bad, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "priority, uniform, greedy"));
    bad = (struct bd_lab_ask){"dp", 9, {1, 0}, false};
    assert_int_equal(bd_lab_solve(bits, &left, l, &bad, NULL), BD_EINVALID);
    bd_lab_unref(l);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(runs_to_the_end), CASE(budget_answers_at_once),
        CASE(budget_turned_early),
        CASE(refusals_change_nothing), CASE(stopping_keeps), CASE(methods)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
