/* Configurations under names, two of them side by side: the same numbers on
 * lanes and at once, differences, edits in between, and the session file. */
#include "bed.h"

static struct bd_session *started(const struct bd_session_opts *o)
{
    struct bd_session *s = open_session(o);
    bd_session_start(s);
    settle(s);
    return s;
}

/* Looks until nothing is missing. */
static const struct bd_compare *look(struct bd_session *s, const char *a,
                                     const char *b)
{
    struct bd_err e = {0};
    const struct bd_compare *c = bd_session_compare(s, a, b, &e);
    if (!c)
        fail_msg("%s", e.msg);
    settle(s);
    c = bd_session_compare(s, a, b, &e);
    assert_true(bd_session_idle(s));
    return c;
}

static void same_errors(const struct bd_compare_errors *a,
                        const struct bd_compare_errors *b)
{
    assert_true(a->stored_bits == b->stored_bits);
    assert_true(a->w_psnr_db == b->w_psnr_db);
    assert_true(a->a_psnr_db == b->a_psnr_db);
}

static void lanes_and_at_once_agree(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:3";
    o.activations = "uniform:6";
    struct bd_session *s = started(&o);
    const struct bd_compare *live = look(s, "here", "uniform 4");
    struct bd_compare now;
    struct bd_err e = {0};
    const struct bd_bitcfg *const cfg[2] = {&live->side[0].cfg,
                                            &live->side[1].cfg};
    o.threads = 5;
    struct bd_session *t = open_session(&o);
    if (bd_session_now_compare(&now, t, cfg, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(now.differing, 3);
    assert_int_equal(live->differing, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(live->layer[i].differs_w && !live->layer[i].differs_a);
        for (int k = 0; k < 2; k++)
            same_errors(&live->layer[i].side[k], &now.layer[i].side[k]);
        assert_true(isfinite(now.layer[i].side[0].w_psnr_db));
        assert_true(isfinite(now.layer[i].side[0].a_psnr_db));
    }
    for (int k = 0; k < 2; k++) {
        assert_int_equal(live->side[k].fresh, BD_EXACT);
        assert_true(live->side[k].acc.right1 == now.side[k].acc.right1);
        assert_true(live->side[k].acc.loss == now.side[k].acc.loss);
    }
    assert_true(live->paired_known && now.paired_known);
    assert_memory_equal(&live->paired, &now.paired, sizeof now.paired);
    bd_compare_done(&now);
    bd_session_close(t);
    bd_session_close(s);
}

/* The pairs add up to what each side got right. */
static void pairs_add_up(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:2";
    struct bd_session *s = started(&o);
    const struct bd_compare *c = look(s, "here", "float");
    const struct bd_paired *p = &c->paired;
    assert_true(c->paired_known);
    assert_int_equal(p->images, 100);
    assert_int_equal(p->both + p->only_a + p->only_b + p->neither, 100);
    assert_int_equal(p->both + p->only_a, c->side[0].acc.right1);
    assert_int_equal(p->both + p->only_b, c->side[1].acc.right1);
    assert_true((double)p->same / 100 == c->side[0].acc.agreement);
    assert_true(isinf(c->layer[0].side[1].w_psnr_db));
    assert_true(p->p_mid > 0 && p->p_mid <= p->p_exact);
    c = look(s, "here", "here");
    assert_int_equal(c->differing, 0);
    assert_int_equal(c->paired.same, 100);
    assert_int_equal(c->paired.only_a + c->paired.only_b, 0);
    bd_session_close(s);
}

/* Names follow the session: "here" is what is here, "as opened" is not. */
static void names_follow(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:4";
    struct bd_session *s = started(&o);
    int layer = 1;
    struct bd_bitcfg cfg;
    assert_int_equal(look(s, "here", "as opened")->differing, 0);
    assert_int_equal(bd_session_set_bits(s, one(&layer), BD_PART_W, 7, NULL),
                     BD_OK);
    assert_int_equal(bd_session_set_bits(s, one(&layer), BD_PART_W, 6, NULL),
                     BD_OK);
    const struct bd_compare *c = look(s, "here", "as opened");
    assert_int_equal(c->differing, 1);
    assert_true(c->layer[1].differs_w);
    assert_int_equal(c->side[0].cfg.layer[1].w.bits, 6);
    assert_int_equal(c->side[1].cfg.layer[1].w.bits, 4);
    assert_true(c->layer[1].side[0].w_psnr_db >
                c->layer[1].side[1].w_psnr_db);
    assert_int_equal(c->side[0].fresh, BD_EXACT);
    /* uniform keeps the inputs as they are here */
    assert_int_equal(bd_session_set_bits(s, one(&layer), BD_PART_A, 5, NULL),
                     BD_OK);
    assert_int_equal(bd_session_kept_cfg(&cfg, s, "uniform 4", NULL), BD_OK);
    assert_int_equal(cfg.layer[1].a.bits, 5);
    assert_int_equal(cfg.layer[1].w.bits, 4);
    bd_bitcfg_done(&cfg);
    bd_session_close(s);
}

static void keep_and_forget(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = started(&o);
    struct bd_kept_view v;
    struct bd_err e = {0};
    struct bd_bitcfg cfg;
    size_t at, n = bd_session_kept(s);
    int layer = 0;
    assert_int_equal(bd_session_keep(&at, s, NULL, NULL, NULL), BD_OK);
    assert_int_equal(at, n);
    assert_true(bd_session_kept_at(&v, s, at));
    assert_string_equal(v.name, "kept 1");
    assert_true(v.own && v.avg_bits == 32);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 4, NULL);
    assert_int_equal(bd_session_keep(&at, s, "four", NULL, NULL), BD_OK);
    assert_int_equal(at, n + 1);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 3, NULL);
    assert_int_equal(bd_session_keep(&at, s, "four", NULL, NULL), BD_OK);
    assert_int_equal(at, n + 1); /* replaced */
    assert_int_equal(bd_session_kept_cfg(&cfg, s, "four", NULL), BD_OK);
    assert_int_equal(cfg.layer[0].w.bits, 3);
    bd_bitcfg_done(&cfg);
    assert_int_equal(bd_session_keep(NULL, s, "here", NULL, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "always there"));
    assert_int_equal(bd_session_keep(NULL, s, "", NULL, NULL), BD_EINVALID);
    assert_int_equal(bd_session_keep(NULL, s, "a\nb", NULL, NULL),
                     BD_EINVALID);
    char longer[100] = {0};
    memset(longer, 'x', 99);
    assert_int_equal(bd_session_keep(NULL, s, longer, NULL, NULL),
                     BD_EINVALID);
    assert_int_equal(bd_session_forget(s, "float", NULL), BD_EINVALID);
    e = (struct bd_err){0};
    assert_int_equal(bd_session_forget(s, "foru", &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "four"));
    assert_int_equal(bd_session_forget(s, "kept 1", NULL), BD_OK);
    assert_int_equal(bd_session_kept(s), n + 1);
    assert_true(bd_session_kept_at(&v, s, n));
    assert_string_equal(v.name, "four");
    assert_null(bd_session_compare(s, "kept 1", "here", NULL));
    for (int i = 0; i < 250; i++)
        bd_session_keep(NULL, s, NULL, NULL, NULL);
    assert_int_equal(bd_session_kept(s), n + 200);
    assert_int_equal(bd_session_keep(NULL, s, "four", NULL, NULL), BD_OK);
    bd_session_close(s);
}

/* An edit during the measuring: nothing of before is shown as of now. */
static void edits_in_between(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:4";
    struct bd_session *s = started(&o);
    int layer = 0;
    for (int bits = 2; bits <= 8; bits++) {
        const struct bd_compare *c =
            bd_session_compare(s, "here", "uniform 5", NULL);
        assert_non_null(c);
        bd_session_set_bits(s, one(&layer), BD_PART_W, bits, NULL);
        c = bd_session_compare(s, "here", "uniform 5", NULL);
        assert_int_equal(c->side[0].cfg.layer[0].w.bits, bits);
        if (c->side[0].fresh == BD_ABSENT)
            assert_false(c->paired_known);
    }
    const struct bd_compare *c = look(s, "here", "uniform 5");
    struct bd_net_view net;
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_EXACT);
    assert_int_equal(c->side[0].acc.right1, net.acc.right1);
    assert_true(c->side[0].acc.loss == net.acc.loss);
    bd_session_close(s);
}

/* Stopped by a person: said, and not begun again by itself. */
static void stopped(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:3";
    o.limit = 4000;
    struct bd_session *s = started(&o);
    bd_session_compare(s, "float", "uniform 2", NULL);
    const struct bd_compare *c;
    for (int i = 0; i < 4; i++) /* whatever of it is running or waits */
        bd_session_cancel(s);
    settle(s);
    c = look(s, "float", "uniform 2");
    for (int k = 0; k < 2; k++)
        assert_true(c->side[k].stopped != (c->side[k].fresh == BD_EXACT));
    c = look(s, "float", "here");
    assert_int_equal(c->side[1].fresh, BD_EXACT);
    c = look(s, "here", "uniform 2");
    assert_int_equal(c->side[1].fresh, BD_EXACT);
    bd_session_close(s);
}

static void without_data(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.data = NULL;
    o.weights = "uniform:3";
    o.activations = "uniform:4";
    struct bd_session *s = started(&o);
    const struct bd_compare *c = look(s, "here", "float");
    assert_int_equal(c->side[0].fresh, BD_ABSENT);
    assert_false(c->paired_known);
    assert_true(isfinite(c->layer[0].side[0].w_psnr_db));
    assert_true(isnan(c->layer[0].side[0].a_psnr_db));
    struct bd_compare now;
    const struct bd_bitcfg *const cfg[2] = {&c->side[0].cfg, &c->side[1].cfg};
    assert_int_equal(bd_session_now_compare(&now, s, cfg, NULL, NULL), BD_OK);
    assert_false(now.paired_known);
    bd_compare_done(&now);
    bd_session_close(s);
}

/* Kept configurations outlive the program, resumed or not. */
static void kept_in_the_file(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_bitcfg cfg, was;
    struct bd_kept_view v;
    int layer = 2;
    o.no_state = false;
    o.weights = "apot:4:channel:mse";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    bd_session_set_channel(s, 2, 1, 7, NULL);
    assert_int_equal(bd_session_keep(NULL, s, "one \"q\" \xc3\xa9", NULL,
                                     NULL), BD_OK);
    assert_int_equal(bd_bitcfg_copy(&was, bd_session_cfg(s)), BD_OK);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 3, NULL);
    bd_session_keep(NULL, s, "two", NULL, NULL);
    bd_session_close(s);

    o.weights = NULL;
    s = open_session(&o);
    size_t n = bd_session_kept(s);
    assert_true(bd_session_kept_at(&v, s, n - 1));
    assert_string_equal(v.name, "two");
    assert_int_equal(bd_session_kept_cfg(&cfg, s, "one \"q\" \xc3\xa9", NULL),
                     BD_OK);
    assert_true(bd_bitcfg_same(&cfg, &was));
    bd_bitcfg_done(&cfg);
    assert_true(bd_session_resumable(s, NULL, NULL));
    assert_int_equal(bd_session_resume(s, NULL), BD_OK);
    assert_true(bd_session_undo(s)); /* the undo list is still behind it */
    bd_session_close(s);
    bd_bitcfg_done(&was);
}

/* A damaged list costs the list, not the session. */
static void damaged_list(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    int layer = 0;
    char path[200], *text, *at;
    size_t n;
    o.no_state = false;
    struct bd_session *s = open_session(&o);
    unsigned long long digest =
        (unsigned long long)bd_session_model(s)->digest;
    bd_session_set_bits(s, one(&layer), BD_PART_W, 3, NULL);
    bd_session_keep(NULL, s, "two", NULL, NULL);
    bd_session_close(s);
    snprintf(path, sizeof path, "%s/bitdial/sessions/%016llx.json", b->dir,
             digest);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, NULL), BD_OK);
    at = strstr(text, "\"two\"");
    assert_non_null(at);
    at = strstr(at, "uniform:3:");
    assert_non_null(at);
    memcpy(at, "unifrom:3:", 10);
    put_file(path, text, n);
    bd_free(text);
    s = open_session(&o);
    assert_true(log_has(s, "kept configurations"));
    assert_int_equal(bd_session_kept_find(s, "two", NULL), -1);
    assert_true(bd_session_resumable(s, NULL, NULL));
    bd_session_close(s);
}

static void pictures(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    struct bd_err e = {0};
    char path[200];
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    snprintf(path, sizeof path, "%s/x.png", b->dir);
    struct bd_plot_ask ask = {.what = BD_PICTURE_SENSITIVITY, .path = path,
                              .force = true, .w = 300, .h = 200};
    assert_int_equal(bd_session_plot(s, &ask, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "sweep"));
    ask.what = BD_PICTURE_CHANNELS; /* without lanes: at once */
    assert_int_equal(bd_session_plot(s, &ask, NULL), BD_OK);
    ask.layer = 3;
    assert_int_equal(bd_session_plot(s, &ask, NULL), BD_EINVALID);
    ask.layer = 0;
    ask.theme = "blue";
    assert_int_equal(bd_session_plot(s, &ask, NULL), BD_EINVALID);
    ask.theme = "dark";
    bd_session_start(s);
    settle(s);
    for (int i = 0; i < 3; i++) {
        bd_session_trade(s, NULL, 0);
        settle(s);
    }
    ask.what = BD_PICTURE_TRADEOFF;
    e = (struct bd_err){0};
    if (bd_session_plot(s, &ask, &e) != BD_OK)
        fail_msg("%s", e.msg);
    struct bd_tensorcfg w = {.bits = 4};
    struct bd_sens_point p[3] = {
        {.layer = 0, .what = BD_SENS_W, .w = w, .value = {0.5}},
        {.layer = 2, .what = BD_SENS_A, .a = w, .value = {NAN}},
        {.layer = 77, .what = BD_SENS_W, .w = w, .value = {1}}};
    struct bd_sens_table t = {.n = 3, .point = p};
    ask.what = BD_PICTURE_SENSITIVITY;
    ask.sens = &t;
    assert_int_equal(bd_session_plot(s, &ask, NULL), BD_OK);
    p[0].value[0] = NAN;
    assert_int_equal(bd_session_plot(s, &ask, NULL), BD_EINVALID);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lanes_and_at_once_agree), CASE(pairs_add_up),
        CASE(names_follow),            CASE(keep_and_forget),
        CASE(edits_in_between),        CASE(without_data),
        CASE(stopped),
        CASE(kept_in_the_file),        CASE(damaged_list),
        CASE(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
