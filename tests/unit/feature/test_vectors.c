/* All of channel_allocation.json that is not a quantizer's: priority, water,
 * sensitivities, allocations with their errors, refinement step by step, and
 * the statistical comparison. */
#include "bed.h"

#include "bitalloc/bitalloc.h"

enum { C = 8, LEN = 16, WIDTHS = BD_FEATURE_WIDTHS, MOST_C = 64 };

struct bed {
    cJSON *doc;
    const cJSON *small;
    struct bd_feature f;
    struct bd_backend back;
    struct bd_qtable t;
    struct bd_judge *j;
};

/* 1e-9 relative, as the file states; zero stays within rounding noise. */
static void near(double got, double want)
{
    if (fabs(got - want) > 1e-9 * fabs(want) + 1e-15)
        fail_msg("%.17g, expected %.17g", got, want);
}

static int setup(void **state)
{
    struct bed *b = bd_calloc(1, sizeof *b);
    double v[LEN];

    b->doc = ref_load("channel_allocation.json");
    b->small = ref_get(b->doc, "small");
    b->f = (struct bd_feature){C, 1, LEN, bd_alloc(C * LEN, sizeof(float))};
    for (int c = 0; c < C; c++) {
        ref_array(v, LEN,
                  cJSON_GetArrayItem(ref_get(b->small, "channels"), c));
        for (int i = 0; i < LEN; i++)
            b->f.x[c * LEN + i] = (float)v[i];
    }
    b->back = two_layers(C * LEN, 12, 5, 5);
    assert_int_equal(bd_qtable_make(&b->t, &b->f, BD_FEATURE_UNIFORM,
                                    (struct bd_feature_work){0}, NULL),
                     BD_OK);
    assert_int_equal(bd_judge_new(&b->j, &b->f, &b->back,
                                  (struct bd_feature_work){0}, NULL),
                     BD_OK);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;

    bd_judge_free(b->j);
    bd_qtable_done(&b->t);
    bd_backend_done(&b->back);
    bd_feature_done(&b->f);
    cJSON_Delete(b->doc);
    bd_free(b);
    return 0;
}

static const cJSON *at(const cJSON *a, int i)
{
    return cJSON_GetArrayItem(a, i);
}

static void test_back_end(void **state)
{
    const struct bed *b = *state;
    double x[C * LEN], y[5], want[5];

    for (int i = 0; i < C * LEN; i++)
        x[i] = (double)b->f.x[i];
    b->back.run(b->back.arg, 0, y, x, NULL);
    ref_array(want, 5, ref_get(b->small, "backend_output"));
    for (int i = 0; i < 5; i++)
        near(y[i], want[i]);
}

static void test_tables(void **state)
{
    const struct bed *b = *state;
    const cJSON *d = ref_get(b->small, "interval_table");
    const cJSON *e = ref_get(b->small, "interval_mse");
    const cJSON *l = ref_get(b->small, "log_table");
    const cJSON *dorefa = ref_get(b->small, "dorefa_mse_clip_0.9");
    struct bd_qtable log = {0}, dor = {0};
    struct bd_feature_work w = {0};

    assert_int_equal(bd_qtable_make(&log, &b->f, BD_FEATURE_LOG, w, NULL),
                     BD_OK);
    assert_int_equal(bd_qtable_make(&dor, &b->f, BD_FEATURE_DOREFA, w, NULL),
                     BD_OK);
    for (int c = 0; c < C; c++)
        for (int k = 0; k < WIDTHS; k++) {
            near(b->t.c[c].interval[k], ref_num(at(at(d, c), k)));
            near(b->t.c[c].mse[k], ref_num(at(at(e, c), k)));
            near(log.c[c].interval[k], ref_num(at(at(at(l, c), k), 0)));
            near(log.c[c].mse[k], ref_num(at(at(at(l, c), k), 1)));
            if (k > 0)
                near(dor.c[c].mse[k], ref_num(at(at(dorefa, c), k - 1)));
        }
    bd_qtable_done(&log);
    bd_qtable_done(&dor);
}

static void test_priority(void **state)
{
    const struct bed *b = *state;
    const cJSON *s = ref_get(b->small, "score");
    struct bd_priority p = {ref_get_num(s, "alpha"), ref_get_num(s, "beta")};
    double score[C], mean[C], dev[C];

    bd_feature_priority(score, mean, dev, &b->f, p);
    for (int c = 0; c < C; c++) {
        near(score[c], ref_num(at(ref_get(s, "score"), c)));
        near(mean[c], ref_num(at(ref_get(s, "mean_abs"), c)));
        near(dev[c], ref_num(at(ref_get(s, "std"), c)));
    }
    for (int c = 1; c < C; c++) {
        int hi = (int)ref_num(at(ref_get(s, "order"), c - 1));
        int lo = (int)ref_num(at(ref_get(s, "order"), c));

        assert_true(score[hi] >= score[lo]);
    }
}

static void test_sensitivity(void **state)
{
    struct bed *b = *state;
    double s[C * WIDTHS];

    assert_int_equal(bd_judge_sensitivity(s, b->j, &b->t, NULL), BD_OK);
    for (int c = 0; c < C; c++)
        for (int k = 0; k < WIDTHS; k++)
            near(s[c * WIDTHS + k],
                 ref_num(at(at(ref_get(b->small, "output_sensitivity"), c),
                            k)));
}

/* ------------------------------------------------------------- allocations */
static void same_bits(const int8_t *bits, const cJSON *want, int n)
{
    for (int c = 0; c < n; c++)
        assert_int_equal(bits[c], (int)ref_num(at(want, c)));
}

static double output_error(struct bd_judge *j, const struct bd_qtable *t,
                           const int8_t *bits)
{
    struct bd_chanq q[MOST_C];
    double mse = -1;

    bd_qtable_use(q, t, bits);
    assert_int_equal(bd_judge_run(&mse, j, q, NULL), BD_OK);
    return mse;
}

/* The generator's allocators of losses are bitalloc/'s rows. */
static void allocate(int8_t *bits, const char *method, const double *loss,
                     int n, double budget)
{
    struct bd_alloc_option o[MOST_C][WIDTHS];
    struct bd_alloc_layer l[MOST_C];
    struct bd_alloc_problem p = {(size_t)n, l, budget};
    int pick[MOST_C];
    struct bd_alloc_result r = {.pick = pick};

    for (int c = 0; c < n; c++) {
        for (int k = 0; k < WIDTHS; k++)
            o[c][k] = (struct bd_alloc_option){k, k, loss[c * WIDTHS + k]};
        l[c] = (struct bd_alloc_layer){"", WIDTHS, o[c], -1, -1};
    }
    assert_int_equal(bd_allocator_find(method)->solve(&r, &p, NULL), BD_OK);
    for (int c = 0; c < n; c++)
        bits[c] = (int8_t)o[c][pick[c]].bits;
}

static void table_losses(double *loss, const struct bd_qtable *t)
{
    for (int64_t c = 0; c < t->channels; c++)
        for (int k = 0; k < WIDTHS; k++)
            loss[c * WIDTHS + k] = t->c[c].mse[k];
}

static void check(struct bed *b, const int8_t *bits, const cJSON *want)
{
    same_bits(bits, ref_get(want, "bits"), C);
    near(bd_qtable_error(&b->t, bits), ref_get_num(want, "feature_mse"));
    near(output_error(b->j, &b->t, bits), ref_get_num(want, "output_mse"));
}

static void test_allocations(void **state)
{
    static const char *const row[][3] = {
        {"greedy_feature", "greedy", ""}, {"dp_feature", "dp", ""},
        {"lagrange_feature", "lagrange", ""}, {"greedy_output", "greedy", "o"},
        {"dp_output", "dp", "o"}};
    struct bed *b = *state;
    double loss[2][C * WIDTHS], score[C];
    const cJSON *a;

    table_losses(loss[0], &b->t);
    assert_int_equal(bd_judge_sensitivity(loss[1], b->j, &b->t, NULL), BD_OK);
    bd_feature_priority(score, NULL, NULL, &b->f,
                        (struct bd_priority){0.9, 0.1});
    cJSON_ArrayForEach(a, ref_get(b->small, "allocations"))
    {
        double budget = ref_get_num(a, "budget");
        int8_t bits[C];

        for (int c = 0; c < C; c++)
            bits[c] = (int8_t)ref_get_num(a, "avg_bits");
        check(b, bits, ref_get(a, "uniform"));
        near(bd_feature_fill(bits, score, NULL, C, budget), budget);
        check(b, bits, ref_get(a, "score"));
        for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
            allocate(bits, row[k][1], loss[row[k][2][0] == 'o'], C, budget);
            check(b, bits, ref_get(a, row[k][0]));
        }
    }
}

/* -------------------------------------------------------------- refinement */
struct follow {
    const cJSON *log;
    int n;
    double last;
};

static void step(void *arg, const struct bd_refine_step *s, const int8_t *bits)
{
    struct follow *f = arg;
    const cJSON *want = at(f->log, f->n++);

    (void)bits;
    assert_true(f->last < 0 || s->mse <= f->last);
    f->last = s->mse;
    if (!want)
        return;
    assert_int_equal(s->receiver, (int)ref_num(at(want, 0)));
    assert_int_equal(s->donor, (int)ref_num(at(want, 1)));
    assert_int_equal(s->kept, (int)ref_num(at(want, 2)));
    near(s->mse, ref_num(at(want, 3)));
}

static void refined(struct bed *b, const cJSON *want, const cJSON *start,
                    int runs)
{
    struct follow f = {ref_get(want, "log"), 0, -1};
    struct bd_refine o = {runs, step, &f};
    int8_t bits[C];
    struct bd_allocated a = {bits, -1};
    int64_t before = bd_judge_runs(b->j);

    for (int c = 0; c < C; c++)
        bits[c] = (int8_t)ref_num(at(ref_get(start, "bits"), c));
    assert_int_equal(bd_judge_refine(&a, b->j, &b->t, &o, NULL), BD_OK);
    same_bits(bits, ref_get(want, "bits"), C);
    near(a.mse, ref_get_num(want, "output_mse"));
    assert_int_equal(f.n, runs);
    assert_int_equal(bd_judge_runs(b->j) - before, runs + 1);
}

static void test_refinement(void **state)
{
    struct bed *b = *state;
    const cJSON *a;

    cJSON_ArrayForEach(a, ref_get(b->small, "allocations"))
    {
        refined(b, ref_get(a, "score_refined_10"), ref_get(a, "score"), 10);
        refined(b, ref_get(a, "score_refined_40"), ref_get(a, "score"), 40);
    }
}

/* ------------------------------------------------------------------- edges */
static void test_edges(void **state)
{
    struct bed *b = *state;
    const cJSON *e = ref_get(b->doc, "edge");
    const cJSON *zero = ref_get(e, "all_zero_feature");
    const double two[2] = {1, 0.5}, three[3] = {1, 1, 1};
    float x[12] = {0};
    struct bd_feature f = {3, 1, 4, x};
    struct bd_qtable t = {0};
    double score[3], loss[C * WIDTHS];
    int8_t bits[C];

    bd_feature_priority(score, NULL, NULL, &f, (struct bd_priority){0.9, 0.1});
    for (int c = 0; c < 3; c++)
        near(score[c], ref_num(at(ref_get(zero, "score"), c)));
    near(bd_feature_fill(bits, score, NULL, 3, 6), 0); /* cannot be spent */
    same_bits(bits, ref_get(zero, "alloc_score_budget_6"), 3);
    assert_int_equal(bd_qtable_make(&t, &f, BD_FEATURE_UNIFORM,
                                    (struct bd_feature_work){0}, NULL),
                     BD_OK);
    table_losses(loss, &t);
    allocate(bits, "greedy", loss, 3, 6);
    same_bits(bits, ref_get(zero, "greedy"), 3);
    allocate(bits, "dp", loss, 3, 6);
    same_bits(bits, ref_get(zero, "dp"), 3);
    bd_qtable_done(&t);
    near(bd_feature_fill(bits, two, NULL, 2, 100), 16);
    same_bits(bits, ref_get(e, "budget_beyond_8_bits"), 2);
    near(bd_feature_fill(bits, three, NULL, 3, 7), 7);
    same_bits(bits, ref_get(e, "equal_scores_tie"), 3);
    table_losses(loss, &b->t);
    allocate(bits, "dp", loss, C, 0);
    same_bits(bits, ref_get(e, "zero_budget_dp"), C);
}

/* -------------------------------------- the comparison of 64 channels x 36
 * The generator's data are doubles, a feature is floats: 6e-8 apart, which
 * shows in the seventh digit of the errors. */
enum { N64 = 36 };

static void near64(double got, double want)
{
    if (fabs(got - want) > 1e-4 * fabs(want))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* Python draws a channel's two numbers before its values. */
static struct bd_feature feature64(int trial)
{
    struct bd_feature f = {MOST_C, 1, N64, NULL};
    struct bd_rng r = {(uint64_t)(1000 + trial)};

    f.x = bd_alloc((size_t)MOST_C * N64, sizeof *f.x);
    for (int c = 0; c < MOST_C; c++) {
        double scale = exp(0.8 * bd_rng_normal(&r));
        double shift = 0.5 * bd_rng_normal(&r);

        for (int i = 0; i < N64; i++)
            f.x[c * N64 + i] =
                (float)fmax(0, scale * (bd_rng_normal(&r) + shift));
    }
    return f;
}

struct trial {
    struct bd_feature f;
    struct bd_backend back;
    struct bd_qtable t;
    struct bd_judge *j;
    double score[MOST_C], feature[MOST_C * WIDTHS], output[MOST_C * WIDTHS];
};

static double custom(struct trial *t, const struct bd_chanq *q)
{
    double mse = -1;

    assert_int_equal(bd_judge_run(&mse, t->j, q, NULL), BD_OK);
    return mse;
}

static double refine64(struct trial *t, const int8_t *from, int runs)
{
    struct bd_refine o = {.runs = runs};
    int8_t bits[MOST_C];
    struct bd_allocated a = {bits, -1};

    memcpy(bits, from, MOST_C);
    assert_int_equal(bd_judge_refine(&a, t->j, &t->t, &o, NULL), BD_OK);
    return a.mse;
}

static void uniform64(struct trial *t, const cJSON *row, int avg)
{
    struct bd_chanq q[MOST_C];
    int8_t bits[MOST_C];

    bd_feature_one_interval(q, &t->f, avg);
    near64(custom(t, q), ref_get_num(row, "uniform_one_interval_for_all"));
    bd_feature_no_clip(q, &t->f, avg);
    near64(custom(t, q), ref_get_num(row, "uniform_per_channel_no_clip"));
    for (int c = 0; c < MOST_C; c++) {
        bits[c] = (int8_t)avg;
        q[c] = (struct bd_chanq){BD_FEATURE_DOREFA, avg, false,
                                 BD_FEATURE_DOREFA_CLIP, 0};
    }
    near64(custom(t, q), ref_get_num(row, "dorefa_clip_0.9"));
    near64(output_error(t->j, &t->t, bits),
           ref_get_num(row, "uniform_per_channel_best"));
    near64(bd_qtable_error(&t->t, bits),
           ref_get_num(ref_get(row, "feature_mse"), "uniform"));
}

static void allocated64(struct trial *t, const cJSON *row, int avg)
{
    const cJSON *fm = ref_get(row, "feature_mse");
    int8_t b[MOST_C];
    double zero, k10, k20, k40;

    bd_feature_fill(b, t->score, NULL, MOST_C, avg * MOST_C);
    zero = output_error(t->j, &t->t, b);
    near64(zero, ref_get_num(row, "score"));
    near64(bd_qtable_error(&t->t, b), ref_get_num(fm, "score"));
    k10 = refine64(t, b, 10);
    k20 = refine64(t, b, 20);
    k40 = refine64(t, b, 40);
    near64(k10, ref_get_num(row, "score_refined_10"));
    near64(k20, ref_get_num(row, "score_refined_20"));
    near64(k40, ref_get_num(row, "score_refined_40"));
    assert_true(k40 <= k20 && k20 <= k10 && k10 <= zero);
    allocate(b, "greedy", t->feature, MOST_C, avg * MOST_C);
    near64(output_error(t->j, &t->t, b), ref_get_num(row, "greedy_feature"));
    near64(bd_qtable_error(&t->t, b), ref_get_num(fm, "greedy"));
    allocate(b, "lagrange", t->feature, MOST_C, avg * MOST_C);
    near64(bd_qtable_error(&t->t, b), ref_get_num(fm, "lagrange"));
    allocate(b, "dp", t->output, MOST_C, avg * MOST_C);
    near64(output_error(t->j, &t->t, b), ref_get_num(row, "dp_output"));
    allocate(b, "dp", t->feature, MOST_C, avg * MOST_C);
    near64(output_error(t->j, &t->t, b), ref_get_num(row, "dp_feature"));
    near64(bd_qtable_error(&t->t, b), ref_get_num(fm, "dp"));
    near64(refine64(t, b, 40), ref_get_num(row, "dp_feature_refined_40"));
}

static void open64(struct trial *t, int trial)
{
    struct bd_feature_work w = {0};

    t->f = feature64(trial);
    t->back = two_layers(MOST_C * N64, 64, 20, (uint64_t)(50 + trial));
    assert_int_equal(bd_qtable_make(&t->t, &t->f, BD_FEATURE_UNIFORM, w, NULL),
                     BD_OK);
    assert_int_equal(bd_judge_new(&t->j, &t->f, &t->back, w, NULL), BD_OK);
    bd_feature_priority(t->score, NULL, NULL, &t->f,
                        (struct bd_priority){0.9, 0.1});
    table_losses(t->feature, &t->t);
    assert_int_equal(bd_judge_sensitivity(t->output, t->j, &t->t, NULL),
                     BD_OK);
}

static void test_comparison(void **state)
{
    struct bed *b = *state;
    struct trial t;
    int now = -1;
    const cJSON *row;

    cJSON_ArrayForEach(row, ref_get(b->doc, "comparison_64_channels"))
    {
        int trial = (int)ref_get_num(row, "trial");

        if (trial != now) {
            if (now >= 0) {
                bd_judge_free(t.j);
                bd_qtable_done(&t.t);
                bd_backend_done(&t.back);
                bd_feature_done(&t.f);
            }
            open64(&t, trial);
            now = trial;
        }
        uniform64(&t, row, (int)ref_get_num(row, "avg_bits"));
        allocated64(&t, row, (int)ref_get_num(row, "avg_bits"));
    }
    assert_int_equal(now, 2);
    bd_judge_free(t.j);
    bd_qtable_done(&t.t);
    bd_backend_done(&t.back);
    bd_feature_done(&t.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_end),   cmocka_unit_test(test_tables),
        cmocka_unit_test(test_priority),   cmocka_unit_test(test_sensitivity),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_refinement),
        cmocka_unit_test(test_edges),      cmocka_unit_test(test_comparison),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
