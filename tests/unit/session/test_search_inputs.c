/* Weights and inputs chosen together: the answers of small networks against
 * every possible choice, ties kept, costs those of bd_cost_of, the same for
 * any number of threads. */
#include "bed.h"
#include "session/joint_priv.h"

enum { LAYERS = 6, WIDTHS = 3, COMBOS = 729 /* WIDTHS ^ LAYERS */ };

/* A residual block whose shortcut is a convolution: c1 and ds read one
 * tensor, c2 and ds meet in an Add; c3 reads what the Add gives. */
static void put_block(const char *path)
{
    static float w[8 * 8 * 9];
    int64_t x_dim[4] = {1, 3, 32, 32};
    struct bd_tensor first = {.type = BD_F32, .f = w, .rank = 4, .dim = {4, 3, 3, 3}};
    struct bd_tensor same = {.type = BD_F32, .f = w + 90, .rank = 4, .dim = {4, 4, 1, 1}};
    struct bd_tensor more = {.type = BD_F32, .f = w + 9, .rank = 4, .dim = {5, 4, 3, 3}};
    struct bd_tensor cut = {.type = BD_F32, .f = w + 60, .rank = 4, .dim = {5, 4, 1, 1}};
    struct bd_tensor end = {.type = BD_F32, .f = w + 30, .rank = 4, .dim = {6, 5, 1, 1}};
    struct bd_tensor fc = {.type = BD_F32, .f = w + 200, .rank = 4, .dim = {10, 6, 1, 1}};
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_str s = {0};
    struct bd_err e = {0};
    for (int i = 0; i < 8 * 8 * 9; i++)
        w[i] = (float)sin(i * i * 0.37 + 0.1 * i) * (i % 7 == 0 ? 2 : 0.5f);
    int x = bd_build_input(b, "x", x_dim, 4);
    int w0 = bd_build_const(b, "c0.weight", &first);
    int w1 = bd_build_const(b, "c1.weight", &same);
    int w2 = bd_build_const(b, "c2.weight", &more);
    int wd = bd_build_const(b, "ds.weight", &cut);
    int w3 = bd_build_const(b, "c3.weight", &end);
    int wf = bd_build_const(b, "fc.weight", &fc);
    struct bd_attr stride = {.name = "strides", .kind = BD_ATTR_INTS,
                             .n = 2, .ints = (int64_t[]){4, 4}};
    struct bd_attr pads = {.name = "pads", .kind = BD_ATTR_INTS, .n = 4,
                           .ints = (int64_t[]){1, 1, 1, 1}};
    int c0 = bd_build_node(b, "Conv", "c0", (int[]){x, w0}, 2, &stride, 1);
    int r0 = bd_build_node(b, "Relu", "r0", &c0, 1, NULL, 0);
    int c1 = bd_build_node(b, "Conv", "c1", (int[]){r0, w1}, 2, NULL, 0);
    int r1 = bd_build_node(b, "Relu", "r1", &c1, 1, NULL, 0);
    int c2 = bd_build_node(b, "Conv", "c2", (int[]){r1, w2}, 2, &pads, 1);
    int ds = bd_build_node(b, "Conv", "ds", (int[]){r0, wd}, 2, NULL, 0);
    int sum = bd_build_node(b, "Add", "sum", (int[]){c2, ds}, 2, NULL, 0);
    int r2 = bd_build_node(b, "Relu", "r2", &sum, 1, NULL, 0);
    int c3 = bd_build_node(b, "Conv", "c3", (int[]){r2, w3}, 2, NULL, 0);
    int r3 = bd_build_node(b, "Relu", "r3", &c3, 1, NULL, 0);
    int gap = bd_build_node(b, "GlobalAveragePool", "gap", &r3, 1, NULL, 0);
    int out = bd_build_node(b, "Conv", "fc", (int[]){gap, wf}, 2, NULL, 0);
    int flat = bd_build_node(b, "Flatten", "flat", &out, 1, NULL, 0);
    bd_build_output(b, flat);
    if (bd_build_finish(&m, b, true, &e) != BD_OK ||
        bd_onnx_write(&s, m, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(m->nlayers, LAYERS);
    put_file(path, s.s, s.n);
    bd_str_done(&s);
    bd_model_free(m);
}

static struct bd_session *block(const struct bed *b, int threads)
{
    struct bd_session_opts o = bed_opts(b);
    put_block(b->model);
    o.weights = "uniform:3:tensor:mse";
    o.activations = "uniform:5:tensor:mse";
    o.limit = 20;
    o.threads = threads;
    return open_session(&o);
}

static const struct bd_search_opts few = {
    .budget = BD_BUDGET_BOPS, .what = BD_SENS_WA, .nbits = WIDTHS,
    .bits = {2, 4, 5}, .methods = "uniform:tensor:mse"};

static struct bd_search_result answer(struct bd_session *s,
                                      const struct bd_search_opts *o)
{
    struct bd_search_result r = {0};
    struct bd_err e = {0};
    if (bd_session_now_search(&r, s, o, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void refused(struct bd_session *s, const struct bd_search_opts *o,
                    const char *says)
{
    struct bd_search_result r = {0};
    struct bd_err e = {0};
    assert_int_not_equal(bd_session_now_search(&r, s, o, NULL, &e), BD_OK);
    if (!strstr(e.msg, says))
        fail_msg("says: %s\nwanted: %s", e.msg, says);
}

/* ------------------------------------------------------------- brute force */

struct every { /* choice of all layers, and what is asked of them */
    const struct bd_cands *c;
    const struct bd_cand *cand[2][LAYERS];
    int tie[2][LAYERS];
};

static int digit(int combo, int layer)
{
    while (layer-- > 0)
        combo /= WIDTHS;
    return combo % WIDTHS;
}

static bool tied_alike(const int *tie, int combo)
{
    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < i; k++)
            if (tie[i] >= 0 && tie[i] == tie[k] &&
                digit(combo, i) != digit(combo, k))
                return false;
    return true;
}

/* Candidates are in the order of widths, one form each. */
static void choose(struct every *v, int w, int in)
{
    for (int i = 0; i < LAYERS; i++) {
        assert_int_equal(v->c->first[i + 1] - v->c->first[i], WIDTHS);
        assert_int_equal(v->c->first_in[i + 1] - v->c->first_in[i], WIDTHS);
        v->cand[0][i] = &v->c->c[v->c->first[i] + (size_t)digit(w, i)];
        v->cand[1][i] = &v->c->in[v->c->first_in[i] + (size_t)digit(in, i)];
    }
}

/* The smallest loss within a number of bit operations, by trying all. */
static double best_loss(struct every *v, struct bd_session *s, double budget)
{
    double best = INFINITY;
    struct bd_bitcfg cfg;
    assert_int_equal(bd_bitcfg_copy(&cfg, bd_session_cfg(s)), BD_OK);
    for (int w = 0; w < COMBOS; w++)
        for (int in = 0; in < COMBOS && tied_alike(v->tie[0], w); in++) {
            struct bd_cost cost;
            double loss = 0;
            if (!tied_alike(v->tie[1], in))
                continue;
            choose(v, w, in);
            for (int i = 0; i < LAYERS; i++) {
                loss += v->cand[0][i]->loss + v->cand[1][i]->loss;
                bd_layercfg_set(&cfg.layer[i], true, &v->cand[0][i]->t);
                bd_layercfg_set(&cfg.layer[i], false, &v->cand[1][i]->t);
            }
            bd_cost_of(&cost, bd_session_model(s), bd_session_plan(s), &cfg);
            if (cost.bops <= budget * (1 + 1e-9) && loss < best)
                best = loss;
        }
    bd_bitcfg_done(&cfg);
    return best;
}

static void same_cost(struct bd_session *s, const struct bd_search_result *r,
                      double want)
{
    struct bd_cost c;
    bd_cost_of(&c, bd_session_model(s), bd_session_plan(s), &r->cfg);
    assert_true(r->size.bops == c.bops && r->size.size_bits == c.size_bits);
    assert_true(r->cost == want);
}

static void check(struct bd_session *s, const struct bd_search_opts *as,
                  const int *tie_w, const int *tie_in)
{
    struct bd_search_opts o = *as;
    struct every v = {0};
    struct bd_net_view net;
    bd_session_net(&net, s);
    memcpy(v.tie[0], tie_w, sizeof v.tie[0]);
    memcpy(v.tie[1], tie_in, sizeof v.tie[1]);
    for (int k = 0; k < 3; k++) {
        o.target = rint(net.cost.bops * (0.45 + 0.2 * k));
        struct bd_search_result r = answer(s, &o);
        v.c = bd_search_cands(s);
        double best = best_loss(&v, s, o.target);
        assert_true(r.optimal && r.cost <= o.target);
        assert_true(fabs(r.loss - best) <= 1e-9 * best);
        same_cost(s, &r, r.size.bops);
        for (int i = 0; i < LAYERS; i++)
            for (int j = 0; j < i; j++) {
                if (tie_in[i] >= 0 && tie_in[i] == tie_in[j])
                    assert_true(bd_tensorcfg_same(&r.cfg.layer[i].a,
                                                  &r.cfg.layer[j].a));
                if (tie_w[i] >= 0 && tie_w[i] == tie_w[j])
                    assert_int_equal(r.cfg.layer[i].w.bits,
                                     r.cfg.layer[j].w.bits);
            }
        bd_search_result_done(&r);
    }
}

/* Layers in order: c0 c1 c2 ds c3 fc. */
static const int none[LAYERS] = {-1, -1, -1, -1, -1, -1};
static const int one_tensor[LAYERS] = {-1, 0, -1, 0, -1, -1};

static void no_choice_is_better(void **state)
{
    struct bd_session *s = block(*state, 2);
    const struct bd_model *m = bd_session_model(s);
    int tie[LAYERS];
    assert_string_equal(m->layer[3].name, "ds");
    assert_int_equal(bd_session_ties(tie, m, false, NULL), BD_OK);
    assert_memory_equal(tie, one_tensor, sizeof tie);
    check(s, &few, none, one_tensor);
    bd_session_close(s);
}

/* Ties of weights that link groups of inputs, both from the graph and from
 * words. */
static void nor_under_ties_of_both_sides(void **state)
{
    static const int outputs[LAYERS] = {-1, -1, 1, 1, -1, -1};
    static const int words[LAYERS] = {2, -1, -1, -1, 2, 2};
    static const int words_in[LAYERS] = {2, 0, -1, 0, 2, 2};
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.tie_outputs = true;
    check(s, &o, outputs, one_tensor);
    o.tie_outputs = false;
    o.tie = (const char *const[]){"c0=c3", "c3=fc", NULL};
    check(s, &o, words, words_in);
    bd_session_close(s);
}

/* ------------------------------------------------------------ other budgets */

static void inputs_alone(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.what = BD_SENS_A;
    o.budget = BD_BUDGET_AVG_BITS;
    for (o.target = 2.1; o.target < 5; o.target += 0.4) {
        struct bd_search_result r = answer(s, &o);
        assert_true(r.optimal && r.what == BD_SENS_A);
        same_cost(s, &r, r.size.avg_bits_a);
        assert_true(r.cost <= o.target * (1 + 1e-9) && r.cost >= 2);
        for (int i = 0; i < LAYERS; i++)
            assert_true(bd_tensorcfg_same(&r.cfg.layer[i].w,
                                          &bd_session_cfg(s)->layer[i].w));
        bd_search_result_done(&r);
    }
    o.budget = BD_BUDGET_SIZE;
    refused(s, &o, "counts weights");
    o.budget = BD_BUDGET_AVG_BITS;
    o.target = 1;
    refused(s, &o, "smallest possible is 2.0000");
    o.method = BD_SEARCH_MEASURED;
    refused(s, &o, "moves the widths of weights");
    o.method = BD_SEARCH_CHANNEL;
    refused(s, &o, "channels of weights");
    bd_session_close(s);
}

/* Every input keeps the floor, with the least width that does. */
static void floors_hold_for_inputs(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.budget = BD_BUDGET_PSNR_MIN;
    o.target = 22;
    struct bd_search_result r = answer(s, &o);
    const struct bd_cands *c = bd_search_cands(s);
    double loss = 0;
    for (int i = 0; i < LAYERS; i++) {
        int twin = i == 1 ? 3 : i == 3 ? 1 : i;
        for (int k = 0; k < WIDTHS; k++) {
            const struct bd_cand *w = &c->c[c->first[i] + (size_t)k];
            const struct bd_cand *in = &c->in[c->first_in[i] + (size_t)k];
            const struct bd_cand *on = &c->in[c->first_in[twin] + (size_t)k];
            if (w->t.bits == r.cfg.layer[i].w.bits) {
                assert_true(w->psnr_db >= 22);
                loss += w->loss;
            } else if (w->t.bits < r.cfg.layer[i].w.bits) {
                assert_true(w->psnr_db < 22);
            }
            if (in->t.bits == r.cfg.layer[i].a.bits) {
                assert_true(in->psnr_db >= 22);
                loss += in->loss;
            } else if (in->t.bits < r.cfg.layer[i].a.bits) {
                assert_true(in->psnr_db < 22 || on->psnr_db < 22);
            }
        }
    }
    assert_true(r.optimal && fabs(r.loss - loss) < 1e-12);
    bd_search_result_done(&r);
    o.target = 300;
    refused(s, &o, "dB at most");
    o.what = BD_SENS_A;
    refused(s, &o, "its inputs reach");
    bd_session_close(s);
}

static void a_drop_is_measured_with_inputs(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.budget = BD_BUDGET_MAX_DROP;
    o.target = 100;
    struct bd_search_result r = answer(s, &o);
    assert_true(r.acc.images == 20 && r.what == BD_SENS_WA);
    assert_int_equal(r.cfg.layer[1].a.bits, 2); /* any drop: the cheapest */
    assert_int_equal(r.cfg.layer[1].w.bits, 2);
    bd_search_result_done(&r);
    bd_session_close(s);
}

/* ------------------------------------------------------------------- locks */

static void locked_layers_keep_both(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.lock = (const char *const[]){"c1", "c2", NULL};
    struct bd_search_result r = answer(s, &o);
    for (int i = 1; i < 3; i++) {
        const struct bd_layercfg *was = &bd_session_cfg(s)->layer[i];
        assert_true(bd_tensorcfg_same(&r.cfg.layer[i].w, &was->w));
        assert_true(bd_tensorcfg_same(&r.cfg.layer[i].a, &was->a));
    }
    /* ds shares c1's input and knows its choice: it follows. */
    assert_true(bd_tensorcfg_same(&r.cfg.layer[3].a, &r.cfg.layer[1].a));
    same_cost(s, &r, r.size.bops);
    bd_search_result_done(&r);
    bd_session_close(s);
}

/* --------------------------------------------------------------- the rest */

static void uniform_is_one_choice(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    o.method = BD_SEARCH_UNIFORM;
    struct bd_search_result r = answer(s, &o);
    for (int i = 0; i < LAYERS; i++) {
        assert_int_equal(r.cfg.layer[i].w.bits, r.cfg.layer[0].w.bits);
        assert_int_equal(r.cfg.layer[i].a.bits, r.cfg.layer[0].a.bits);
    }
    /* 3/5 was there: 2/5 and 2/4 fit, and so does 3 by none of the widths. */
    assert_true(r.cfg.layer[0].w.bits * r.cfg.layer[0].a.bits <= 15);
    same_cost(s, &r, r.size.bops);
    double uniform = r.loss;
    bd_search_result_done(&r);
    o.method = BD_SEARCH_DP;
    r = answer(s, &o);
    assert_true(r.loss <= uniform);
    double best = r.loss;
    bd_search_result_done(&r);
    for (int m = BD_SEARCH_GREEDY; m <= BD_SEARCH_LAGRANGE; m++) {
        o.method = (enum bd_search_method)m;
        r = answer(s, &o);
        assert_true(r.loss >= best * (1 - 1e-12) && r.loss >= r.bound);
        bd_search_result_done(&r);
    }
    bd_session_close(s);
}

static void the_same_for_any_threads(void **state)
{
    struct bd_search_result r[2];
    struct bd_search_opts o = {.budget = BD_BUDGET_BOPS}; /* both sides */
    for (int t = 0; t < 2; t++) {
        struct bd_session *s = block(*state, t == 0 ? 1 : 4);
        r[t] = answer(s, &o);
        assert_int_equal(r[t].what, BD_SENS_WA);
        bd_session_close(s);
    }
    assert_true(r[0].loss == r[1].loss && r[0].cost == r[1].cost);
    assert_true(bd_bitcfg_same(&r[0].cfg, &r[1].cfg));
    bd_search_result_done(&r[0]);
    bd_search_result_done(&r[1]);
}

/* Taken as one step, with both sides; then a search of one side leaves the
 * other alone. */
static void taken_with_inputs(void **state)
{
    struct bd_session *s = block(*state, 2);
    struct bd_search_opts o = few;
    struct bd_search_view v;
    struct bd_err e = {0};
    struct bd_bitcfg was;
    struct bd_net_view net;
    bd_session_net(&net, s);
    o.target = rint(0.45 * net.cost.bops);
    bd_session_start(s);
    assert_int_equal(bd_bitcfg_copy(&was, bd_session_cfg(s)), BD_OK);
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    bd_session_search_view(&v, s);
    settle(s);
    bd_session_search_view(&v, s);
    assert_non_null(v.best);
    assert_true(strchr(v.best->name, '/') != NULL);
    assert_int_equal(bd_session_search_take(s, &e), BD_OK);
    bd_session_net(&net, s);
    assert_true(net.cost.bops <= o.target);
    assert_int_equal(bd_session_cfg(s)->layer[1].a.bits,
                     bd_session_cfg(s)->layer[3].a.bits);
    assert_true(bd_session_undo(s));
    assert_true(bd_bitcfg_same(&was, bd_session_cfg(s)));
    o.what = BD_SENS_W;
    o.target *= 2;
    assert_false(bd_tensorcfg_same(&v.best->cfg.layer[1].a,
                                   &was.layer[1].a));
    assert_int_equal(bd_session_search(s, &o, &e), BD_OK);
    bd_session_search_view(&v, s);
    settle(s);
    bd_session_search_view(&v, s);
    assert_int_equal(bd_session_search_take(s, &e), BD_OK);
    for (int i = 0; i < LAYERS; i++)
        assert_true(bd_tensorcfg_same(&bd_session_cfg(s)->layer[i].a,
                                      &was.layer[i].a));
    bd_bitcfg_done(&was);
    bd_session_close(s);
}

/* Sums of a list with itself, whose options all stand on one convex curve:
 * beyond the cap it says so, and keeps order and both ends. */
static void lists_have_a_cap(void **state)
{
    struct bd_sums sums = {.exact = true};
    struct bd_list all = {0};
    (void)state;
    bd_list_push(&sums, &all, (struct bd_item){0, 0, {0, 0, 0}, -1});
    bd_list_settle(&sums, &all);
    for (int bit = 0; bit < 12; bit++) {
        struct bd_list two = {0};
        double step = 1 << bit;
        bd_list_push(&sums, &two, (struct bd_item){step, 0, {0, 1, 0}, -1});
        bd_list_push(&sums, &two, (struct bd_item){0, step, {0, 0, 0}, -1});
        bd_list_push(&sums, &two, (struct bd_item){step, 1, {0, 2, 0}, -1});
        bd_list_settle(&sums, &two);
        assert_int_equal(two.n, 2); /* the third is dominated */
        bd_list_add(&sums, &all, &two);
        assert_true(sums.exact == (bit < 10));
        assert_int_equal(all.n, bit < 10 ? 2 << bit : BD_LIST_MOST);
        for (size_t k = 1; k < all.n; k++) {
            assert_true(all.v[k].cost > all.v[k - 1].cost);
            assert_true(all.v[k].loss < all.v[k - 1].loss);
        }
        assert_true(all.v[0].cost == 0 && all.v[all.n - 1].loss == 0);
    }
    assert_false(sums.no_memory);
    bd_free(all.v);
    bd_free(sums.node);
}

static const char *sample; /* a residual network of 22 layers */

/* Half of what 4 bits everywhere take; every tie of its graph is kept. */
static void a_real_network(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_search_opts o = {.budget = BD_BUDGET_BOPS};
    struct bd_net_view net;
    int tie[64], tied = 0;
    so.model = sample;
    so.preprocess = NULL;
    so.weights = so.activations = "uniform:4:tensor:mse";
    so.limit = 10;
    so.calib_limit = 4;
    struct bd_session *s = open_session(&so);
    const struct bd_model *m = bd_session_model(s);
    bd_session_net(&net, s);
    o.target = net.cost.bops / 2;
    struct bd_search_result r = answer(s, &o);
    assert_true(r.optimal && r.cost <= o.target && r.cost > 0.98 * o.target);
    same_cost(s, &r, r.size.bops);
    assert_int_equal(bd_session_ties(tie, m, false, NULL), BD_OK);
    for (size_t i = 0; i < m->nlayers; i++)
        for (size_t k = 0; k < i; k++)
            if (tie[i] >= 0 && tie[i] == tie[k]) {
                assert_true(bd_tensorcfg_same(&r.cfg.layer[i].a,
                                              &r.cfg.layer[k].a));
                tied++;
            }
    assert_int_equal(tied, 2);
    bd_search_result_done(&r);
    bd_session_close(s);
}

static void no_images_no_inputs(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_search_opts o = few;
    so.data = NULL;
    so.weights = "uniform:4";
    struct bd_session *s = open_session(&so);
    refused(s, &o, "needs images");
    o.what = 0; /* of itself it means the weights then */
    struct bd_search_result r = answer(s, &o);
    assert_int_equal(r.what, BD_SENS_W);
    bd_search_result_done(&r);
    bd_session_close(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(no_choice_is_better),
        CASE(nor_under_ties_of_both_sides),
        CASE(inputs_alone),
        CASE(floors_hold_for_inputs),
        CASE(a_drop_is_measured_with_inputs),
        CASE(locked_layers_keep_both),
        CASE(uniform_is_one_choice),
        CASE(the_same_for_any_threads),
        CASE(taken_with_inputs),
        CASE(lists_have_a_cap),
        CASE(a_real_network),
        CASE(no_images_no_inputs),
    };
    if (argc < 2)
        return 2;
    sample = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
