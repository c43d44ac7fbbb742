/* Searching: ties read from graphs, answers that keep their budget to the
 * bit, the same for any number of threads, taken as one step; accuracy in
 * the loop; and configurations as points. */
#include "bed.h"

static struct bd_search_result answer(struct bd_session *s,
                                      const struct bd_search_opts *o)
{
    struct bd_search_result r = {0};
    struct bd_err e = {0};
    if (bd_session_now_search(&r, s, o, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void refused_as(struct bd_session *s, const struct bd_search_opts *o,
                       bd_status st, const char *says)
{
    struct bd_search_result r = {0};
    struct bd_err e = {0};
    assert_int_equal(bd_session_now_search(&r, s, o, NULL, &e), st);
    if (!strstr(e.msg, says))
        fail_msg("says: %s\nwanted: %s", e.msg, says);
}

static void refused(struct bd_session *s, const struct bd_search_opts *o,
                    const char *says)
{
    refused_as(s, o, BD_EINVALID, says);
}

/* Understood, and not possible. */
static void unmet(struct bd_session *s, const struct bd_search_opts *o,
                  const char *says)
{
    refused_as(s, o, BD_EUNSUPPORTED, says);
}

static struct bd_session *three_bits(const struct bed *b, int threads)
{
    struct bd_session_opts o = bed_opts(b);
    o.weights = "uniform:3";
    o.threads = threads;
    return open_session(&o);
}

/* ------------------------------------------------------------------- ties */

/* convA and convB read x; their outputs meet in an Add that convC reads; its
 * output and the Add's meet in a Concat that convD reads. */
static struct bd_model *knot(void)
{
    static float w[16 * 8];
    int64_t x_dim[4] = {1, 4, 5, 5};
    struct bd_tensor narrow = {.f = w, .rank = 4, .dim = {4, 4, 1, 1}};
    struct bd_tensor wide = {.f = w, .rank = 4, .dim = {4, 8, 1, 1}};
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    for (int i = 0; i < 128; i++)
        w[i] = (float)i;
    int x = bd_build_input(b, "x", x_dim, 4);
    int wa = bd_build_const(b, "a.weight", &narrow);
    int wb = bd_build_const(b, "b.weight", &narrow);
    int wc = bd_build_const(b, "c.weight", &narrow);
    int wd = bd_build_const(b, "d.weight", &wide);
    int a = bd_build_node(b, "Conv", "a", (int[]){x, wa}, 2, NULL, 0);
    int bb = bd_build_node(b, "Conv", "b", (int[]){x, wb}, 2, NULL, 0);
    int ar = bd_build_node(b, "Relu", "ar", &a, 1, NULL, 0);
    int sum = bd_build_node(b, "Add", "sum", (int[]){ar, bb}, 2, NULL, 0);
    int c = bd_build_node(b, "Conv", "c", (int[]){sum, wc}, 2, NULL, 0);
    struct bd_attr axis = {.name = "axis", .kind = BD_ATTR_INT, .i = 1};
    int cat = bd_build_node(b, "Concat", "cat", (int[]){c, sum}, 2, &axis, 1);
    int d = bd_build_node(b, "Conv", "d", (int[]){cat, wd}, 2, NULL, 0);
    bd_build_output(b, d);
    if (bd_build_finish(&m, b, true, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(m->nlayers, 4);
    return m;
}

static void ties_of_a_knot(void **state)
{
    struct bd_model *m = knot();
    int tie[4];
    (void)state;
    assert_int_equal(bd_session_ties(tie, m, false, NULL), BD_OK);
    /* a and b read x; c reads the sum, which the Concat joins into d's
     * input; the Add's result is no operand of the Add. */
    assert_true(tie[0] >= 0 && tie[0] == tie[1]);
    assert_true(tie[2] >= 0 && tie[2] == tie[3]);
    assert_true(tie[0] != tie[2]);
    assert_int_equal(bd_session_ties(tie, m, true, NULL), BD_OK);
    assert_true(tie[0] >= 0 && tie[0] == tie[1]);
    assert_int_equal(tie[2], -1); /* what it meets is no layer's output */
    assert_int_equal(tie[3], -1);
    bd_model_free(m);
}

/* Every block's first convolution reads what the shortcut carries; where
 * a convolution shortens it, both read one tensor and feed one Add. */
static void ties_of_resnet20(void **state)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m;
    struct bd_err e = {0};
    int tie[64], groups = 0, same = 0;
    (void)state;
    if (bd_arch_new(&m, "resnet20", dim, 3, 10, 1, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(bd_session_ties(tie, m, true, NULL), BD_OK);
    for (size_t i = 0; i < m->nlayers; i++)
        groups = tie[i] >= groups ? tie[i] + 1 : groups;
    /* conv1 and the ends of the first stage's blocks, then each stage with
     * its downsampling: an Add joins two, a chain of Adds only neighbours
     * whose operands are layers' outputs. */
    for (size_t i = 0; i < m->nlayers; i++)
        if (strstr(m->layer[i].name, "downsample")) {
            int k = bd_model_find_layer(m, i < 12 ? "layer2.0.conv2"
                                                  : "layer3.0.conv2");
            assert_true(k >= 0 && tie[i] >= 0);
            assert_int_equal(tie[i], tie[k]);
            same++;
        }
    assert_true(groups >= same);
    assert_int_equal(bd_session_ties(tie, m, false, NULL), BD_OK);
    for (size_t i = 0; i < m->nlayers; i++)
        if (strstr(m->layer[i].name, "downsample")) {
            int k = bd_model_find_layer(m, i < 12 ? "layer2.0.conv1"
                                                  : "layer3.0.conv1");
            assert_true(tie[i] >= 0);
            assert_int_equal(tie[i], tie[k]);
        }
    bd_model_free(m);
}

/* A fire module: two convolutions expand one squeezed tensor, and what they
 * give is joined. */
static void ties_of_squeezenet(void **state)
{
    const char *data = getenv("BITDIAL_DATA");
    struct bd_model *m;
    struct bd_err e = {0};
    char path[600];
    int tie[64], pairs = 0;
    (void)state;
    if (!data) {
        print_message("BITDIAL_DATA is not set: no squeezenet\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/onnx/squeezenet10_deepcompression.onnx",
             data);
    if (bd_model_load(&m, path, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_true(m->nlayers >= 26 && m->nlayers < 64);
    assert_int_equal(bd_session_ties(tie, m, false, NULL), BD_OK);
    for (size_t i = 0; i + 1 < m->nlayers; i++)
        pairs += m->layer[i].input == m->layer[i + 1].input &&
                 tie[i] >= 0 && tie[i] == tie[i + 1];
    assert_int_equal(pairs, 8); /* eight fire modules */
    assert_int_equal(bd_session_ties(tie, m, true, NULL), BD_OK);
    pairs = 0;
    for (size_t i = 0; i + 1 < m->nlayers; i++)
        pairs += tie[i] >= 0 && tie[i] == tie[i + 1];
    assert_int_equal(pairs, 8);
    bd_model_free(m);
}

/* ---------------------------------------------------------------- answers */

static void budgets_are_kept_to_the_bit(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_net_view net;
    bd_session_net(&net, s);
    for (double avg = 2.1; avg < 8; avg += 0.37) {
        double dp = 0;
        for (int m = BD_SEARCH_DP; m <= BD_SEARCH_LAGRANGE; m++) {
            struct bd_search_opts o = {.budget = BD_BUDGET_AVG_BITS,
                                       .target = avg,
                                       .method = (enum bd_search_method)m};
            struct bd_search_result r = answer(s, &o);
            struct bd_cost c;
            bd_cost_of(&c, bd_session_model(s), bd_session_plan(s), &r.cfg);
            assert_true(r.cost == c.avg_bits_w); /* exactly */
            assert_true(r.cost <= avg * (1 + 1e-9));
            assert_true(r.size.size_bits == c.size_bits);
            if (m == BD_SEARCH_DP) {
                assert_true(r.optimal && r.bound == r.loss);
                dp = r.loss;
            }
            assert_true(r.loss >= dp * (1 - 1e-12));
            bd_search_result_done(&r);
        }
    }
    struct bd_search_opts same = {.budget = BD_BUDGET_SIZE};
    struct bd_search_result r = answer(s, &same);
    assert_true(r.size.size_bits <= net.cost.size_bits);
    bd_search_result_done(&r);
    bd_session_close(s);
}

static void other_budgets(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_net_view net;
    bd_session_net(&net, s);
    struct bd_search_opts o = {.budget = BD_BUDGET_BOPS};
    struct bd_search_result r = answer(s, &o);
    assert_true(r.size.bops <= net.cost.bops * (1 + 1e-9));
    assert_true(r.cost == r.size.bops);
    bd_search_result_done(&r);
    o = (struct bd_search_opts){.budget = BD_BUDGET_PSNR_MIN, .target = 30};
    r = answer(s, &o);
    for (size_t i = 0; i < r.cfg.n; i++) {
        struct bd_error_stats e;
        struct bd_tensorcfg less = r.cfg.layer[i].w;
        assert_int_equal(bd_session_now_layer(&e, s, (int)i, &less, NULL),
                         BD_OK);
        assert_true(e.psnr_db >= 30);
        less.bits--;
        assert_int_equal(bd_session_now_layer(&e, s, (int)i, &less, NULL),
                         BD_OK);
        assert_true(e.psnr_db < 30); /* no cheaper width would do */
    }
    bd_search_result_done(&r);
    unmet(s, &(struct bd_search_opts){.budget = BD_BUDGET_PSNR_MIN,
                                        .target = 200}, "at most");
    unmet(s, &(struct bd_search_opts){.target = 1.5}, "smallest possible");
    unmet(s, &(struct bd_search_opts){.budget = BD_BUDGET_SIZE,
                                        .target = 10}, "smallest possible");
    unmet(s, &(struct bd_search_opts){.target = 1.5,
                                        .method = BD_SEARCH_UNIFORM},
            "one choice for all");
    bd_session_close(s);
}

/* What the sentence names is possible. */
static void the_smallest_named_fits(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.budget = BD_BUDGET_SIZE, .target = 10};
    struct bd_search_result r;
    struct bd_err e = {0};
    assert_int_equal(bd_session_now_search(&r, s, &o, NULL, &e),
                     BD_EUNSUPPORTED);
    const char *number = strrchr(e.msg, ' ');
    assert_non_null(number);
    o.target = atof(number);
    r = answer(s, &o);
    assert_true(r.cost <= o.target);
    bd_search_result_done(&r);
    bd_session_close(s);
}

static void locks_ties_and_choices(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    const char *first = bd_session_model(s)->layer[0].name;
    const char *last = bd_session_model(s)->layer[2].name;
    const char *second = bd_session_model(s)->layer[1].name;
    const char *lock[] = {first, NULL};
    char both[200];
    snprintf(both, sizeof both, "%s=%s", second, last);
    const char *tie[] = {both, NULL};
    struct bd_search_opts o = {.target = 4, .lock = lock, .tie = tie,
                               .methods = "uniform:tensor:mse"};
    struct bd_search_result r = answer(s, &o);
    assert_true(bd_tensorcfg_same(&r.cfg.layer[0].w,
                                  &bd_session_cfg(s)->layer[0].w));
    assert_int_equal(r.cfg.layer[1].w.bits, r.cfg.layer[2].w.bits);
    assert_int_equal(r.cfg.layer[1].w.clip, BD_CLIP_MSE);
    bd_search_result_done(&r);
    lock[0] = "nothing*";
    refused(s, &o, "no layer matches");
    lock[0] = first;
    tie[0] = "a=b";
    refused(s, &o, "no layer");
    tie[0] = "ab";
    refused(s, &o, "LAYER=LAYER");
    refused(s, &(struct bd_search_opts){.methods = "unifrom"}, "did you mean");
    refused(s, &(struct bd_search_opts){.methods = "pact"}, "weights");
    bd_session_close(s);
}

/* Widths per channel: cost to the bit, no worse than the layers' answer in
 * its own terms. */
static void channels(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 3.6, .method = BD_SEARCH_CHANNEL};
    struct bd_search_result r = answer(s, &o);
    struct bd_cost c;
    bool mixed = false;
    bd_cost_of(&c, bd_session_model(s), bd_session_plan(s), &r.cfg);
    assert_true(r.cost == c.avg_bits_w && r.cost <= 3.6);
    for (size_t i = 0; i < r.cfg.n; i++)
        mixed = mixed || r.cfg.layer[i].w.channel;
    assert_true(mixed);
    bd_search_result_done(&r);
    bd_session_close(s);
}

static void any_number_of_threads(void **state)
{
    uint64_t digest[3][2];
    static const int threads[3] = {1, 2, 4};
    for (int k = 0; k < 3; k++) {
        struct bd_session *s = three_bits(*state, threads[k]);
        struct bd_search_opts o = {.target = 3.3};
        struct bd_search_result r = answer(s, &o);
        digest[k][0] = bd_bitcfg_digest(&r.cfg);
        bd_search_result_done(&r);
        o.method = BD_SEARCH_MEASURED;
        o.evaluations = 12;
        r = answer(s, &o);
        digest[k][1] = bd_bitcfg_digest(&r.cfg);
        bd_search_result_done(&r);
        bd_session_close(s);
    }
    for (int k = 1; k < 3; k++)
        assert_memory_equal(digest[k], digest[0], sizeof digest[0]);
}

/* ---------------------------------------------------------------- measuring */

static void measured_never_worse(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 3, .evaluations = 15};
    struct bd_search_result dp = answer(s, &o), m;
    struct bd_net_eval e;
    o.method = BD_SEARCH_MEASURED;
    m = answer(s, &o);
    assert_true(m.cost <= 3 * (1 + 1e-9));
    assert_true(m.evaluations >= 1 && m.evaluations <= 15);
    assert_int_equal(m.acc.total, 100);
    bd_session_set_all(s, &dp.cfg, "dp", NULL);
    bd_session_now_eval(&e, NULL, NULL, s, NULL, NULL);
    assert_true(m.acc.right1 >= e.right1);
    bd_session_set_all(s, &m.cfg, "measured", NULL);
    bd_session_now_eval(&e, NULL, NULL, s, NULL, NULL);
    assert_int_equal(m.acc.right1, e.right1); /* slices give the same */
    assert_true(m.acc.loss == e.loss && m.acc.kl == e.kl);
    bd_search_result_done(&dp);
    bd_search_result_done(&m);
    bd_session_close(s);
}

static void drops_are_kept(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.budget = BD_BUDGET_MAX_DROP, .target = 5};
    struct bd_search_result r = answer(s, &o);
    struct bd_net_eval e, f;
    bd_session_set_all(s, &r.cfg, "found", NULL);
    bd_session_now_eval(&e, &f, NULL, s, NULL, NULL);
    assert_true((f.top1 - e.top1) * 100 <= 5 + 1e-9);
    assert_true(fabs(r.cost - (f.top1 - e.top1) * 100) < 1e-9);
    bd_search_result_done(&r);
    bd_session_close(s);
}

/* ------------------------------------------------------- in the interface */

static struct bd_search_view view_of(struct bd_session *s)
{
    struct bd_search_view v;
    do {
        settle(s);
        bd_session_search_view(&v, s);
    } while (!bd_session_idle(s));
    return v;
}

static void asked_solved_taken(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 4.5};
    struct bd_err e = {0};
    size_t now;
    bd_session_start(s);
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    struct bd_search_view v = view_of(s);
    assert_int_equal(v.phase, BD_SEARCH_DONE);
    assert_non_null(v.best);
    double loss = v.best->loss;
    uint64_t digest = bd_bitcfg_digest(&v.best->cfg);
    o.target = 6; /* no job: the answer is there when one looks */
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    bd_session_search_view(&v, s);
    assert_true(v.best->loss < loss && v.best->budget == 6);
    o.target = 4.5;
    bd_session_search(s, &o, &e);
    bd_session_search_view(&v, s);
    assert_int_equal(bd_session_search_take(s, &e), BD_OK);
    assert_true(bd_bitcfg_digest(bd_session_cfg(s)) == digest);
    assert_int_equal(bd_session_history(s, &now), 1);
    assert_non_null(strstr(bd_session_history_at(s, 0), "search dp 4."));
    assert_true(bd_session_undo(s));
    assert_int_equal(bd_session_cfg(s)->layer[1].w.bits, 3);
    o.target = 0.5;
    bd_session_search(s, &o, &e);
    bd_session_search_view(&v, s);
    assert_int_equal(v.phase, BD_SEARCH_REFUSED);
    assert_non_null(strstr(v.why, "smallest possible"));
    assert_int_equal(bd_session_search_take(s, &e), BD_EINVALID);
    bd_session_close(s);
}

/* Stopped in the middle, the best so far is there to take. */
static void stopped_keeps_the_best(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 3, .method = BD_SEARCH_MEASURED,
                               .evaluations = 100000};
    struct bd_search_view v;
    struct bd_err e = {0};
    bd_session_start(s);
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    do {
        bd_session_wait(s);
        bd_session_collect(s);
        bd_session_search_view(&v, s);
    } while (!v.best && v.phase != BD_SEARCH_REFUSED);
    assert_non_null(v.best);
    bd_session_search_stop(s);
    v = view_of(s);
    assert_int_equal(v.phase, BD_SEARCH_DONE);
    assert_true(v.best->acc.total == 100 && v.best->cost <= 3.0001);
    assert_int_equal(bd_session_search_take(s, &e), BD_OK);
    bd_session_close(s);
}

/* Planes of inputs: codes are counted on a lane, then any rate is there at
 * once; taking one leaves weights and what could be redone alone, and asking
 * leaves everything alone. */
static void planes_asked_solved_taken(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 4.5, .method = BD_SEARCH_BOTTLENECK};
    struct bd_err e = {0};
    struct bd_planes_net net;
    int first = 0;
    size_t now;
    bd_session_start(s);
    assert_int_equal(bd_session_set_bits(s, (struct bd_sel){&first, 1},
                                         BD_PART_W, 5, &e), BD_OK);
    assert_true(bd_session_undo(s));
    uint64_t before = bd_bitcfg_digest(bd_session_cfg(s));
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    struct bd_search_view v = view_of(s);
    assert_int_equal(v.phase, BD_SEARCH_DONE);
    assert_true(v.best->cost <= 4.5 * (1 + 1e-9) && v.best->cost > 4);
    struct bd_search_result r = answer(s, &o);
    assert_true(bd_bitcfg_same(&r.cfg, &v.best->cfg));
    assert_true(bd_bitcfg_digest(bd_session_cfg(s)) == before);
    assert_true(bd_session_redo(s)); /* nothing was edited in between */
    assert_true(bd_session_undo(s));
    double loss = v.best->loss;
    o.target = 6;
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    bd_session_search_view(&v, s);
    assert_true(v.phase == BD_SEARCH_DONE && v.best->loss < loss);
    assert_int_equal(bd_session_search_take(s, &e), BD_OK);
    assert_int_equal(bd_session_history(s, &now), 1);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 3);
    bd_session_planes_net(&net, s, BD_PART_A);
    assert_true(net.layers == bd_session_model(s)->nlayers);
    assert_true(net.weighted > 5 && net.weighted <= 6 * (1 + 1e-9));
    o.budget = BD_BUDGET_SIZE;
    bd_session_search(s, &o, &e);
    bd_session_search_view(&v, s);
    assert_int_equal(v.phase, BD_SEARCH_REFUSED);
    assert_non_null(strstr(v.why, "spends avg-bits"));
    bd_search_result_done(&r);
    bd_session_close(s);
}

static void the_front_bends(void **state)
{
    struct bd_session *s = three_bits(*state, 2);
    struct bd_search_opts o = {.target = 3};
    struct bd_front_point p[400];
    struct bd_search_result r = answer(s, &o);
    size_t n = bd_session_search_front(s, p, 400);
    assert_true(n > 5 && n <= 400);
    for (size_t i = 1; i < n; i++) {
        assert_true(p[i].cost > p[i - 1].cost);
        assert_true(p[i].loss < p[i - 1].loss);
    }
    bd_search_result_done(&r);
    bd_session_close(s);
}

/* ------------------------------------------------------------------ points */

static const struct bd_trade_point *named(const struct bd_trade_point *p,
                                          size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(p[i].name, name) == 0)
            return &p[i];
    fail_msg("no point '%s'", name);
    return p;
}

static void points(void **state)
{
    static struct bd_trade_point p[512];
    struct bd_session *s = three_bits(*state, 2);
    struct bd_err e = {0};
    size_t n = 0;
    bd_session_start(s);
    do {
        n = bd_session_trade(s, p, 512);
        settle(s);
        n = bd_session_trade(s, p, 512);
    } while (!bd_session_idle(s));
    int measured = 0, estimated = 0;
    for (size_t i = 0; i < n; i++) {
        measured += p[i].kind == BD_TRADE_BASELINE && !isnan(p[i].top1);
        estimated += p[i].kind == BD_TRADE_ESTIMATED;
        assert_true(i == 0 || p[i].avg_bits >= p[i - 1].avg_bits);
        assert_true(p[i].kind != BD_TRADE_ESTIMATED || isnan(p[i].top1));
    }
    assert_int_equal(measured, 7);
    assert_true(estimated >= 5);
    const struct bd_trade_point *u4 = named(p, n, "uniform 4");
    struct bd_trade_point was = *u4;
    assert_int_equal(bd_session_trade_take(s, was.id, &e), BD_OK);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 4);
    settle(s);
    n = bd_session_trade(s, p, 512);
    const struct bd_trade_point *here = named(p, n, "here");
    assert_true(here->top1 == was.top1 && here->avg_bits == was.avg_bits);
    /* An estimated one is measured on request. */
    for (size_t i = 0; i < n; i++)
        if (p[i].kind == BD_TRADE_ESTIMATED) {
            was = p[i];
            break;
        }
    assert_int_equal(bd_session_trade_measure(s, was.id, &e), BD_OK);
    settle(s);
    n = bd_session_trade(s, p, 512);
    for (size_t i = 0; i < n; i++)
        if (p[i].id == was.id)
            assert_true(p[i].kind == BD_TRADE_EVALUATED && p[i].top1 >= 0);
    assert_int_equal(bd_session_trade_take(s, 99999, &e), BD_EINVALID);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ties_of_a_knot),     CASE(ties_of_resnet20),
        CASE(ties_of_squeezenet), CASE(budgets_are_kept_to_the_bit),
        CASE(other_budgets),      CASE(the_smallest_named_fits),
        CASE(locks_ties_and_choices), CASE(channels),
        CASE(any_number_of_threads),  CASE(measured_never_worse),
        CASE(drops_are_kept),     CASE(asked_solved_taken),
        CASE(stopped_keeps_the_best), CASE(planes_asked_solved_taken),
        CASE(the_front_bends),
        CASE(points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
