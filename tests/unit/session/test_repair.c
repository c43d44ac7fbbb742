/* Repairs in a session: one undo step that brings everything back, results
 * that never mix, documents and sessions that make them again. */
#include "bed.h"

/* A network with BatchNormalizations to fold and ranges to even out. */
static void put_mobilenet(const struct bed *b)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m;
    struct bd_str s = {0};
    struct bd_rng r = {5};
    struct bd_err e = {0};
    if (bd_arch_new(&m, "mobilenet-glyphs", dim, 3, 10, 3, &e) != BD_OK)
        fail_msg("%s", e.msg);
    for (size_t k = 0; k < m->nnodes; k++) {
        const struct bd_node *n = &m->node[k];
        if (strcmp(n->op, "BatchNormalization") != 0)
            continue;
        int64_t c = bd_tensor_count(&m->value[n->in[1]].t);
        for (int64_t i = 0; i < c; i++)
            m->value[n->in[1]].t.f[i] = (float)exp(bd_rng_normal(&r));
    }
    assert_int_equal(bd_onnx_write(&s, m, NULL, &e), BD_OK);
    put_file(b->model, s.s, s.n);
    bd_str_done(&s);
    bd_model_free(m);
}

static struct bd_session *open_four(const struct bed *b, bool kept)
{
    struct bd_session_opts o = bed_opts(b);
    put_mobilenet(b);
    o.weights = "uniform:4:tensor:max";
    o.limit = 40;
    o.no_state = !kept;
    return open_session(&o);
}

static void now(struct bd_session *s, const char *name, const char *want)
{
    char what[112];
    struct bd_err e = {0};
    struct bd_repair_ask ask = {.name = name, .iterations = 50};
    if (bd_session_now_repair(what, s, &ask, NULL, &e) != BD_OK)
        fail_msg("%s: %s", name, e.msg);
    if (want && strcmp(what, want) != 0)
        fail_msg("'%s', expected '%s'", what, want);
}

static struct bd_net_eval measured(struct bd_session *s)
{
    struct bd_net_eval e;
    struct bd_err err = {0};
    if (bd_session_now_eval(&e, NULL, NULL, s, NULL, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return e;
}

static char *exported(struct bd_session *s, const struct bed *b)
{
    char path[128], *text;
    size_t n;
    struct bd_err e = {0};
    snprintf(path, sizeof path, "%s/out.json", b->dir);
    if (bd_session_export(s, path, true, &e) != BD_OK ||
        bd_file_read(&text, &n, path, 1 << 24, &e) != BD_OK)
        fail_msg("%s", e.msg);
    return text;
}

/* Before, after, and before again: the same bytes. */
static void undo_brings_everything_back(void **state)
{
    struct bd_session *s = open_four(*state, false);
    uint64_t digest = bd_session_model(s)->digest;
    struct bd_net_eval before = measured(s), after, again;
    char *one = exported(s, *state);
    now(s, "equalize", "equalize: 13 pairs");
    assert_true(bd_session_model(s)->digest != digest);
    after = measured(s);
    assert_true(after.loss != before.loss);
    char *two = exported(s, *state);
    assert_non_null(strstr(two, "\"repairs\": ["));
    assert_true(bd_session_undo(s));
    assert_true(bd_session_model(s)->digest == digest);
    again = measured(s);
    assert_memory_equal(&again, &before, sizeof before);
    char *three = exported(s, *state);
    assert_string_equal(one, three);
    assert_true(bd_session_redo(s));
    again = measured(s);
    assert_memory_equal(&again, &after, sizeof after);
    char *four = exported(s, *state);
    assert_string_equal(two, four);
    bd_free(one);
    bd_free(two);
    bd_free(three);
    bd_free(four);
    bd_session_close(s);
}

/* On lanes: the news says before and after; undo answers from caches. */
static void lanes_tell_before_and_after(void **state)
{
    struct bd_session *s = open_four(*state, false);
    struct bd_repair_ask ask = {.name = "equalize"};
    struct bd_net_view before, after;
    char text[400];
    bool refused = true;
    bd_session_start(s);
    settle(s);
    bd_session_net(&before, s);
    assert_int_equal(before.fresh, BD_EXACT);
    assert_int_equal(bd_session_repair(s, &ask, NULL), BD_OK);
    struct bd_err e = {0};
    assert_int_equal(bd_session_repair(s, &ask, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "under way"));
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_false(refused);
    if (!strstr(text, "equalize: top-1 ") || !strstr(text, " -> ") ||
        !strstr(text, "13 pairs"))
        fail_msg("%s", text);
    bd_session_net(&after, s);
    assert_int_equal(after.fresh, BD_EXACT);
    assert_true(after.acc.loss != before.acc.loss);
    assert_true(bd_session_undo(s));
    bd_session_net(&after, s); /* at once, from the cache */
    assert_int_equal(after.fresh, BD_EXACT);
    assert_true(after.acc.loss == before.acc.loss);
    assert_string_equal(bd_session_history_at(s, 0), "equalize: 13 pairs");
    settle(s);
    bd_session_close(s);
}

/* The layer's numbers belong to the network that is shown. */
static void layers_follow_the_network(void **state)
{
    struct bd_session *s = open_four(*state, false);
    struct bd_layer_view was, is;
    bd_session_start(s);
    settle(s);
    bd_session_layer(&was, s, 1);
    now(s, "bn-fold", "bn-fold: 13 layers");
    bd_session_layer(&is, s, 1);
    settle(s);
    bd_session_layer(&is, s, 1);
    assert_int_equal(is.fresh, BD_EXACT);
    assert_true(is.w.mse != was.w.mse);
    assert_true(is.stats->absmax != was.stats->absmax);
    bd_session_layer(&was, s, 13); /* nothing behind it: left alone */
    assert_true(bd_session_undo(s));
    bd_session_layer(&is, s, 13);
    assert_int_equal(is.fresh, BD_EXACT);
    assert_ptr_equal(is.stats, was.stats);
    settle(s);
    bd_session_close(s);
}

/* Rounded weights are judged by the weights they came from. */
static void rounding_is_not_called_exact(void **state)
{
    struct bd_session *s = open_four(*state, false);
    int layer = 2;
    struct bd_error_stats was, is;
    struct bd_repair_ask ask = {.name = "adaround", .sel = one(&layer),
                                .iterations = 60};
    char what[112];
    struct bd_err e = {0};
    bd_session_now_layer(&was, s, layer, &bd_session_cfg(s)->layer[2].w, &e);
    if (bd_session_now_repair(what, s, &ask, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(bd_session_cfg(s)->layer[2].w.clip, BD_CLIP_MAX);
    bd_session_now_layer(&is, s, layer, &bd_session_cfg(s)->layer[2].w, &e);
    assert_true(isfinite(is.sqnr_db) && is.sqnr_db < was.sqnr_db);
    assert_true(is.sqnr_db > was.sqnr_db - 8);
    /* And means are put back to the float network's, not the rounded one's:
     * with everything rounded there would be nothing left to correct. */
    now(s, "adaround", NULL);
    struct bd_net_eval before = measured(s);
    now(s, "bias-correction", NULL);
    struct bd_net_eval after = measured(s);
    assert_true(fabs(after.loss - before.loss) > 1e-6);
    bd_session_close(s);
}

/* What a document says is made again, whatever the repairs looked at. */
static void documents_make_them_again(void **state)
{
    struct bd_session *s = open_four(*state, false);
    char path[128];
    now(s, "bn-tune", "bn-tune: 13 BatchNorms");
    now(s, "equalize", NULL);
    now(s, "adaround", NULL);
    now(s, "bias-correction", NULL);
    now(s, "mse-clip", NULL);
    struct bd_net_eval want = measured(s), got;
    uint64_t digest = bd_session_model(s)->digest;
    char *one = exported(s, *state);
    bd_session_close(s);
    struct bd_session_opts o = bed_opts(*state);
    snprintf(path, sizeof path, "%s/out.json", ((struct bed *)*state)->dir);
    o.config = path;
    o.limit = 40;
    o.threads = 3;
    s = open_session(&o);
    const char *name[4];
    assert_int_equal(bd_session_repairs(s, name, 4), 4);
    assert_string_equal(name[0], "bn-tune");
    assert_string_equal(name[3], "bias-correction");
    assert_true(bd_session_model(s)->digest == digest);
    got = measured(s);
    assert_memory_equal(&got, &want, sizeof want);
    char *two = exported(s, *state);
    assert_string_equal(one, two);
    bd_free(one);
    bd_free(two);
    bd_session_close(s);
    o.calib_limit = 8; /* fewer than it was made with */
    struct bd_err e = {0};
    assert_int_equal(bd_session_open(&s, &o, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "--calib-limit 16"));
}

static void resuming_makes_them_again(void **state)
{
    struct bd_session *s = open_four(*state, true);
    int layer = 3;
    now(s, "equalize", NULL);
    now(s, "bias-correction", NULL);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 6, NULL);
    struct bd_net_eval want = measured(s), got;
    bd_session_close(s);
    struct bd_session_opts o = bed_opts(*state);
    o.no_state = false;
    o.limit = 40;
    s = open_session(&o);
    bd_session_start(s);
    assert_true(bd_session_resumable(s, NULL, NULL));
    assert_int_equal(bd_session_resume(s, NULL), BD_OK);
    settle(s);
    assert_int_equal(bd_session_cfg(s)->layer[3].w.bits, 6);
    assert_int_equal(bd_session_repairs(s, NULL, 0), 2);
    got = measured(s);
    assert_memory_equal(&got, &want, sizeof want);
    assert_true(bd_session_undo(s)); /* the edit after the repairs */
    assert_int_equal(bd_session_cfg(s)->layer[3].w.bits, 4);
    assert_true(bd_session_undo(s)); /* and the session as a whole */
    assert_int_equal(bd_session_repairs(s, NULL, 0), 0);
    assert_int_equal(bd_session_cfg(s)->layer[3].w.bits, 32);
    settle(s);
    bd_session_close(s);
}

/* Stopped, it leaves no trace. */
static void stopping_changes_nothing(void **state)
{
    struct bd_session *s = open_four(*state, false);
    struct bd_repair_ask ask = {.name = "adaround", .iterations = 1000000};
    uint64_t digest = bd_session_model(s)->digest;
    struct bd_progress p[8];
    char text[400];
    bool refused = false, runs = false;
    assert_int_equal(bd_session_repair(s, &ask, NULL), BD_OK);
    while (!runs) {
        size_t n = bd_session_progress(s, p, 8);
        assert_true(n > 0);
        runs = p[0].running && p[0].total > 0;
        usleep(2000);
    }
    bd_session_cancel(s);
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_true(refused);
    assert_non_null(strstr(text, "nothing changed"));
    assert_true(bd_session_model(s)->digest == digest);
    size_t steps;
    assert_int_equal(bd_session_history(s, &steps), 0);
    assert_int_equal(bd_session_repair(s, &ask, NULL), BD_OK); /* and anew */
    bd_session_close(s);
}

/* Edited meanwhile: choices it wants to turn must be those it knew. */
static void edits_meanwhile_win(void **state)
{
    struct bd_session *s = open_four(*state, false);
    struct bd_repair_ask ask = {.name = "adaround", .iterations = 20};
    int layer = 0;
    char text[400];
    bool refused = false;
    assert_int_equal(bd_session_repair(s, &ask, NULL), BD_OK);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 8, NULL);
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_true(refused);
    assert_non_null(strstr(text, "changed meanwhile"));
    assert_int_equal(bd_session_repairs(s, NULL, 0), 0);
    bd_session_close(s);
}

/* Without pictures some cannot, and say so; others can. */
static void without_data(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    struct bd_err e = {0};
    struct bd_repair_ask ask = {.name = "bias-correction"};
    char what[112];
    put_mobilenet(b);
    o.data = NULL;
    o.preprocess = NULL;
    struct bd_session *s = open_session(&o);
    assert_int_equal(bd_session_repair(s, &ask, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "--data"));
    ask.name = "bn-fold";
    assert_int_equal(bd_session_now_repair(what, s, &ask, NULL, &e), BD_OK);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(undo_brings_everything_back),
        CASE(lanes_tell_before_and_after),
        CASE(layers_follow_the_network),
        CASE(rounding_is_not_called_exact),
        CASE(documents_make_them_again),
        CASE(resuming_makes_them_again),
        CASE(stopping_changes_nothing),
        CASE(edits_meanwhile_win),
        CASE(without_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
