/* Bit planes in a session: exact tables, thresholds as undo steps, wishes
 * that wait for the counting, rates that are spent exactly. */
#include "bed.h"

/* A small convolutional network: inputs after ReLUs, and one that is
 * signed. */
static struct bd_session *open_net(const struct bed *b, int threads)
{
    struct bd_session_opts o = bed_opts(b);
    o.threads = threads;
    return open_session(&o);
}

static struct bd_sel all(struct bd_session *s, int *layer)
{
    size_t n = bd_session_model(s)->nlayers;
    for (size_t i = 0; i < n; i++)
        layer[i] = (int)i;
    return (struct bd_sel){layer, n};
}

static const struct bd_tensorcfg *input(struct bd_session *s, int layer)
{
    return &bd_session_cfg(s)->layer[layer].a;
}

static int planes_of(struct bd_session *s, int layer)
{
    const struct bd_tensorcfg *a = input(s, layer);
    assert_string_equal(bd_quantizer_at(a->quant)->name, "bottleneck");
    assert_non_null(a->planes);
    assert_int_equal(bd_planecode_kept(&a->planes->code), a->bits);
    return a->bits;
}

/* The same numbers for any number of threads, and the table's PSNR is what
 * the quantizer does to the images' own values. */
static void counted_exactly(void **state)
{
    struct bd_planes_view v[2];
    struct bd_session *s[2];
    struct bd_err e = {0};
    for (int i = 0; i < 2; i++) {
        s[i] = open_net(*state, i ? 3 : 1);
        if (bd_session_now_planes(s[i], BD_PART_A,
                                  &(struct bd_planes_opts){0}, NULL,
                                  &e) != BD_OK)
            fail_msg("%s", e.msg);
    }
    for (int layer = 0; layer < 3; layer++) {
        for (int i = 0; i < 2; i++) {
            bd_session_planes(&v[i], s[i], layer, BD_PART_A);
            assert_int_equal(v[i].fresh, BD_EXACT);
        }
        assert_memory_equal(v[0].codes, v[1].codes, sizeof *v[0].codes);
        assert_int_equal(v[0].table->nrow, 9);
        /* 16 images through a layer of 3072, 24 or 16 inputs. */
        assert_int_equal(v[0].table->n, 16 * (layer == 0   ? 3072
                                              : layer == 1 ? 24
                                                           : 16));
        assert_int_equal(v[0].table->negative, layer == 0);
        for (int k = 1; k <= 8; k++)
            assert_true(v[0].table->row[k].psnr_db >
                        v[0].table->row[k - 1].psnr_db);
        assert_true(v[0].table->row[8].psnr_db >= v[0].table->full_db);
        assert_true(v[0].table->row[0].sqnr_db == 0);
    }
    bd_session_close(s[0]);
    bd_session_close(s[1]);
}

/* The fewest planes, one step of undo for all layers; the method's own error
 * agrees with the table's. */
static void a_threshold(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    int layer[3];
    struct bd_sel sel = all(s, layer);
    struct bd_threshold t = {false, 40};
    struct bd_err e = {0};
    size_t now;
    bd_session_now_planes(s, BD_PART_A, &(struct bd_planes_opts){0}, NULL, &e);
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e), BD_OK);
    bd_session_history(s, &now);
    assert_int_equal(now, 1);
    assert_string_equal(bd_session_history_at(s, 0),
                        "inputs: bottleneck 40 dB for 3 layers");
    for (int i = 0; i < 3; i++) {
        struct bd_planes_view v;
        bd_session_planes(&v, s, i, BD_PART_A);
        int k = planes_of(s, i);
        assert_true(v.table->row[k].psnr_db >= 40);
        assert_true(v.table->row[k - 1].psnr_db < 40);
        assert_int_equal(v.fresh, BD_EXACT); /* the planes are not the clip */
    }
    assert_true(bd_session_undo(s));
    assert_int_equal(input(s, 1)->bits, 32);
    assert_true(bd_session_redo(s));
    planes_of(s, 1);
    /* Another width is another choice: its planes are fitted again. */
    assert_int_equal(bd_session_set_bits(s, sel, BD_PART_A, 3, &e), BD_OK);
    assert_null(input(s, 0)->planes);
    bd_session_close(s);
}

/* A held slider is one step; a loss counts from the plain code. */
static void a_slider(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    int layer[3];
    struct bd_sel sel = all(s, layer);
    struct bd_err e = {0};
    size_t now;
    bd_session_now_planes(s, BD_PART_A, &(struct bd_planes_opts){0}, NULL, &e);
    for (int db = 30; db <= 50; db += 10) {
        struct bd_threshold t = {false, db};
        assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e),
                         BD_OK);
    }
    bd_session_history(s, &now);
    assert_int_equal(now, 1);
    assert_string_equal(bd_session_history_at(s, 0),
                        "inputs: bottleneck 50 dB for 3 layers");
    struct bd_threshold t = {true, 16};
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e), BD_OK);
    for (int i = 0; i < 3; i++) {
        struct bd_planes_view v;
        bd_session_planes(&v, s, i, BD_PART_A);
        assert_true(v.table->row[planes_of(s, i)].psnr_db >=
                    v.table->full_db - 16 - 1e-9);
    }
    assert_true(bd_session_undo(s));
    assert_int_equal(input(s, 0)->bits, 32); /* all of it */
    t.db = NAN;
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e),
                     BD_EINVALID);
    bd_session_close(s);
}

/* Asked before anything is counted: granted when it is, with news; and the
 * accuracy comes after all. */
static void a_wish(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    int layer[3];
    struct bd_sel sel = all(s, layer);
    struct bd_threshold t = {false, 35};
    struct bd_planes_net n;
    struct bd_net_view net;
    struct bd_err e = {0};
    char text[200];
    bool refused;
    bd_session_start(s);
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e), BD_OK);
    bd_session_planes_net(&n, s, BD_PART_A);
    assert_true(n.waiting);
    assert_int_equal(n.layers, 0);
    settle(s);
    bd_session_planes_net(&n, s, BD_PART_A);
    assert_false(n.waiting);
    assert_int_equal(n.layers, 3);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_false(refused);
    assert_non_null(strstr(text, "35 dB: "));
    double mean = 0, weighted = 0;
    for (int i = 0; i < 3; i++) {
        mean += planes_of(s, i) / 3.0;
        weighted += planes_of(s, i) * (i == 0 ? 3072 : i == 1 ? 24 : 16);
    }
    assert_true(fabs(n.mean - mean) < 1e-12);
    assert_true(fabs(n.weighted - weighted / 3112) < 1e-12);
    /* Only the first input has signs. */
    assert_true(fabs(n.with_sign - (weighted + 3072) / 3112) < 1e-12);
    assert_true(n.entropy > 0 && n.entropy < n.weighted);
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_EXACT);
    bd_session_close(s);
}

/* A turned clip is another range: the table is stale, and the next threshold
 * counts anew. */
static void another_clip(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    int layer[3];
    struct bd_sel sel = all(s, layer);
    struct bd_threshold t = {false, 35};
    struct bd_planes_view v;
    struct bd_err e = {0};
    bd_session_start(s);
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e), BD_OK);
    settle(s);
    bd_session_planes(&v, s, 1, BD_PART_A);
    double range = v.table->range;
    assert_int_equal(bd_session_set_clip(s, one(&layer[1]), BD_PART_A,
                                         (struct bd_clip_choice){
                                             BD_CLIP_PERCENTILE, 90},
                                         &e),
                     BD_OK);
    assert_null(input(s, 1)->planes);
    bd_session_planes(&v, s, 1, BD_PART_A);
    assert_int_equal(v.fresh, BD_STALE);
    bd_session_planes(&v, s, 2, BD_PART_A);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_int_equal(bd_session_set_planes(s, sel, BD_PART_A, &t, &e), BD_OK);
    settle(s);
    bd_session_planes(&v, s, 1, BD_PART_A);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_true(v.table->range < range);
    assert_int_equal(input(s, 1)->clip, BD_CLIP_PERCENTILE);
    bd_session_close(s);
}

/* All choices tried: none within the rate has a smaller error. */
static void a_rate(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    static const double values[3] = {3072, 24, 16};
    int layer[3], k[3];
    struct bd_sel sel = all(s, layer);
    const struct bd_plane_table *t[3];
    struct bd_err e = {0};
    double best = INFINITY, got = 0, cost = 0;
    bd_session_now_planes(s, BD_PART_A, &(struct bd_planes_opts){0}, NULL, &e);
    assert_int_equal(bd_session_spend_planes(s, sel, BD_PART_A, 3.01, &e),
                     BD_OK);
    for (int i = 0; i < 3; i++) {
        struct bd_planes_view v;
        bd_session_planes(&v, s, i, BD_PART_A);
        t[i] = v.table;
        got += values[i] * t[i]->row[planes_of(s, i)].mse;
        cost += values[i] * planes_of(s, i);
    }
    assert_true(cost <= 3.01 * 3112);
    for (k[0] = 1; k[0] <= 8; k[0]++)
        for (k[1] = 1; k[1] <= 8; k[1]++)
            for (k[2] = 1; k[2] <= 8; k[2]++) {
                double loss = 0, sum = 0;
                for (int i = 0; i < 3; i++) {
                    loss += values[i] * t[i]->row[k[i]].mse;
                    sum += values[i] * k[i];
                }
                if (sum <= 3.01 * 3112 && loss < best)
                    best = loss;
            }
    assert_true(fabs(got - best) <= 1e-9 * best);
    assert_int_equal(bd_session_spend_planes(s, sel, BD_PART_A, 0.5, &e),
                     BD_EINVALID);
    /* A locked layer keeps what it has. */
    bd_session_set_lock(s, one(&layer[1]), true);
    int before = planes_of(s, 1);
    assert_int_equal(bd_session_spend_planes(s, sel, BD_PART_A, 8, &e), BD_OK);
    assert_int_equal(planes_of(s, 0), 8);
    assert_int_equal(planes_of(s, 1), before);
    assert_int_equal(bd_session_spend_planes(s, one(&layer[1]), BD_PART_A, 8,
                                             &e),
                     BD_EINVALID);
    bd_session_close(s);
}

/* Weights need no images; channels have ranges of their own. */
static void weights_and_channels(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    struct bd_threshold t = {false, 30};
    struct bd_planes_view v;
    struct bd_err e = {0};
    int layer = 1, n;
    bd_session_start(s);
    assert_int_equal(bd_session_set_planes(s, one(&layer), BD_PART_W, &t, &e),
                     BD_OK);
    assert_null(bd_session_plane_channels(s, 1, &n));
    settle(s);
    const struct bd_tensorcfg *w = &bd_session_cfg(s)->layer[1].w;
    assert_non_null(w->planes);
    bd_session_planes(&v, s, 1, BD_PART_W);
    assert_int_equal(v.table->n, 24 * 16);
    assert_true(v.table->row[w->bits].psnr_db >= 30);
    /* The weights' PSNR is that of the table, or a little better: values
     * beyond the range's end are clipped when decoded. */
    struct bd_layer_view l;
    bd_session_layer(&l, s, 1);
    assert_int_equal(l.fresh, BD_EXACT);
    double more = l.w.psnr_db - v.table->row[w->bits].psnr_db;
    assert_true(more > -1e-6 && more < 0.5);
    const struct bd_plane_table *c = bd_session_plane_channels(s, 1, &n);
    assert_non_null(c);
    assert_int_equal(n, 24);
    for (int i = 0; i < n; i++)
        assert_int_equal(c[i].n, 16);
    bd_session_close(s);
}

/* Ranges by hand: the k-th largest, and the published rule for outliers. */
static void ranges(void **state)
{
    struct bd_session *s = open_net(*state, 2);
    struct bd_planes_view v;
    struct bd_err e = {0};
    double range[4];
    static const struct bd_planes_opts o[4] = {
        {0}, {.largest = 1}, {.largest = 5}, {.outlier = true}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            bd_session_now_planes(s, BD_PART_A, &o[i], NULL, &e), BD_OK);
        bd_session_planes(&v, s, 1, BD_PART_A);
        range[i] = v.table->range;
        assert_true((v.clip > 0) == (i > 0));
    }
    assert_true(range[1] == range[0]);
    assert_true(range[2] < range[0]);
    assert_true(range[3] <= range[0]);
    bd_session_close(s);
}

/* Without pictures the refusal says why; weights still work. */
static void without_data(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = {.model = b->model, .no_state = true};
    struct bd_session *s = open_session(&o);
    struct bd_threshold t = {false, 30};
    struct bd_err e = {0};
    int layer = 0;
    assert_int_equal(bd_session_set_planes(s, one(&layer), BD_PART_A, &t, &e),
                     BD_EUNSUPPORTED);
    assert_non_null(strstr(e.msg, "calibration images"));
    e = (struct bd_err){0};
    assert_int_equal(bd_session_now_planes(s, BD_PART_W,
                                           &(struct bd_planes_opts){0}, NULL,
                                           &e),
                     BD_OK);
    assert_int_equal(bd_session_set_planes(s, one(&layer), BD_PART_W, &t, &e),
                     BD_OK);
    bd_session_close(s);
}

/* The undo list with planes in it survives the end of the program. */
static void kept_for_tomorrow(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    struct bd_threshold t = {false, 42};
    struct bd_planecode code;
    struct bd_err e = {0};
    int layer = 1;
    o.no_state = false;
    struct bd_session *s = open_session(&o);
    bd_session_now_planes(s, BD_PART_A, &(struct bd_planes_opts){0}, NULL, &e);
    bd_session_set_planes(s, one(&layer), BD_PART_A, &t, &e);
    planes_of(s, 1);
    code = input(s, 1)->planes->code;
    bd_session_set_bits(s, one(&layer), BD_PART_A, 2, &e);
    bd_session_close(s);
    s = open_session(&o);
    assert_int_equal(bd_session_resume(s, &e), BD_OK);
    settle(s);
    assert_int_equal(input(s, 1)->bits, 2);
    assert_true(bd_session_undo(s));
    planes_of(s, 1);
    assert_true(bd_planecode_same(&input(s, 1)->planes->code, &code));
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(counted_exactly), CASE(a_threshold),
        CASE(a_slider),        CASE(a_wish),
        CASE(another_clip),    CASE(a_rate),
        CASE(ranges),          CASE(weights_and_channels),
        CASE(without_data),    CASE(kept_for_tomorrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
