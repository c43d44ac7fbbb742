/* Sensitivities as files: what is written is read back, in all three kinds;
 * hostile ones are refused with the place of the mistake. */
#include "bed.h"

struct table {
    struct bd_session *s;
    struct bd_sens_table t;
};

static void measure(struct table *x, void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_sweep_opts o = {
        .what = 1u << BD_SENS_W | 1u << BD_SENS_A | 1u << BD_SENS_WA,
        .nbits = 3, .bits = {2, 4, 8}, .no_cache = true};
    struct bd_err e = {0};

    *x = (struct table){.s = open_session(&so)};
    if (bd_session_now_sweep(&x->t, x->s, &o, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
}

static void done(struct table *x)
{
    bd_sens_done(&x->t);
    bd_session_close(x->s);
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void ours(void **state)
{
    struct table x;
    struct bd_sens_table t;
    struct bd_str a = {0}, warn = {0};
    struct bd_err e = {0};

    measure(&x, state);
    const struct bd_model *m = bd_session_model(x.s);
    assert_int_equal(bd_sens_write(&a, m, &x.t, BD_SENS_JSON, &e), BD_OK);
    if (bd_sens_read(&t, m, (struct bd_text){a.s, a.n}, &warn, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(t.n, x.t.n);
    assert_int_equal(t.mode, x.t.mode);
    assert_int_equal(t.lead, BD_SENS_KL);
    assert_int_equal(t.metrics, BD_SENS_SAMPLED);
    assert_int_equal(t.images, 100);
    for (size_t i = 0; i < t.n; i++) {
        const struct bd_sens_point *p = &x.t.point[i];
        const struct bd_sens_point *q =
            p->what == BD_SENS_A
                ? bd_sens_find(&t, p->layer, p->what, &p->a)
                : bd_sens_find(&t, p->layer, p->what, &p->w);

        assert_non_null(q);
        for (int k = 0; k < BD_SENS_METRICS; k++)
            assert_true(same(p->value[k], q->value[k]));
        assert_true(same(p->half[BD_SENS_KL], q->half[BD_SENS_KL]));
        assert_int_equal(p->images, q->images);
    }
    assert_null(warn.s);
    bd_sens_done(&t);
    bd_str_done(&a);
    done(&x);
}

static void exl3(void **state)
{
    struct table x;
    struct bd_sens_table t;
    struct bd_str a = {0};
    struct bd_err e = {0};

    measure(&x, state);
    const struct bd_model *m = bd_session_model(x.s);
    assert_int_equal(bd_sens_write(&a, m, &x.t, BD_SENS_EXL3, &e), BD_OK);
    assert_non_null(strstr(a.s, "\"dkld\""));
    assert_non_null(strstr(a.s, "\"base_kld\""));
    assert_int_equal(bd_sens_read(&t, m, (struct bd_text){a.s, a.n}, NULL, &e),
                     BD_OK);
    assert_int_equal(t.n, 9);
    for (int l = 0; l < 3; l++) { /* differences are what it knows */
        const struct bd_sens_point *p = &x.t.point[l * 9], *q = &t.point[l * 3];

        assert_int_equal(q[1].w.bits, 4);
        assert_true(fabs((q[0].value[0] - q[1].value[0]) -
                         (p[0].value[0] - p[1].value[0])) < 1e-12);
        assert_true(q[2].value[0] >= 0);
    }
    bd_sens_done(&t);
    bd_str_done(&a);
    done(&x);
}

static void mlx(void **state)
{
    struct table x;
    struct bd_sens_table t;
    struct bd_str a = {0}, warn = {0};
    struct bd_err e = {0};
    static const char pairs[] = "[[\"fc1\", 8.0], [\"fc3.weight\", 2.5], "
                                "[\"lm_head\", 1]]";

    measure(&x, state);
    const struct bd_model *m = bd_session_model(x.s);
    assert_int_equal(bd_sens_write(&a, m, &x.t, BD_SENS_MLX, &e), BD_OK);
    assert_int_equal(a.s[0], '[');
    assert_int_equal(bd_sens_read(&t, m, (struct bd_text){a.s, a.n}, NULL, &e),
                     BD_OK);
    bd_sens_done(&t);
    assert_int_equal(bd_sens_read(&t, m, (struct bd_text){pairs, strlen(pairs)},
                                  &warn, &e), BD_OK);
    assert_int_equal(t.n, 14);
    assert_int_equal(t.point[7].layer, 2);
    double diff = t.point[2].value[0] - t.point[3].value[0]; /* 4 against 5 */
    assert_true(fabs(diff - 8e-6 * 3072 * 24) < 1e-9);
    assert_non_null(strstr(warn.s, "1 of its layers"));
    assert_non_null(strstr(warn.s, "6 dB"));
    bd_sens_done(&t);
    bd_str_done(&warn);
    bd_str_done(&a);
    done(&x);
}

static void hostile(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "JSON"},
        {"{}", "bitdial.sweep/1"},
        {"[]", "no sensitivity"},
        {"[1]", "pair"},
        {"[[\"fc1\"]]", "pair"},
        {"[[\"other\", 1]]", "no sensitivity"},
        {"{\"groups\":[]}", "base.bpw"},
        {"{\"groups\":[{}],\"base\":{\"bpw\":4}}", "candidates"},
        {"{\"groups\":[{\"layers\":[\"fc1\"],\"candidates\":[{\"dkld\":1}]}],"
         "\"base\":{\"bpw\":4},\"alts\":[]}", "one entry"},
        {"{\"groups\":[],\"base\":{\"bpw\":1e9}}", "1 to 16"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[3]}", "layers[0]"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[{\"name\":\"fc1\","
         "\"points\":[{}]}]}", "layers[0].points[0]"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[{\"name\":\"fc1\","
         "\"points\":[{\"what\":\"w\",\"bits\":99,\"method\":\"uniform\"}]}]}",
         "points[0]"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[{\"name\":\"fc1\","
         "\"points\":[{\"what\":\"w\",\"bits\":4,\"method\":\"magic\"}]}]}",
         "magic"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[{\"name\":\"fc1\","
         "\"points\":[{\"what\":\"w\",\"bits\":4.5,\"method\":\"uniform\"}]}"
         "]}", "points[0]"},
        {"{\"schema\":\"bitdial.sweep/1\",\"layers\":[{\"name\":\"fc1\","
         "\"points\":[{\"what\":\"w\",\"bits\":4,\"method\":\"uniform\","
         "\"kl\":\"0.5\"}]}]}", "points[0].kl: a number or null"},
        {"[[\"fc1\", 1e307]]", "beyond 1e100"},
        {"{\"groups\":[{\"layers\":[\"fc1\"],\"candidates\":[{\"dkld\":"
         "-1e308},{\"dkld\":1e308}]}],\"base\":{\"bpw\":4},\"alts\":[{"
         "\"bpw\":5},{\"bpw\":6}]}", "beyond 1e100"},
    };
    struct bd_session_opts so = bed_opts(*state);
    struct bd_session *s = open_session(&so);

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_sens_table t = {0};
        struct bd_err e = {0};
        struct bd_text text = {bad[k].text, strlen(bad[k].text)};

        if (bd_sens_read(&t, bd_session_model(s), text, NULL, &e) == BD_OK)
            fail_msg("%s: was read", bad[k].text);
        if (!strstr(e.msg, bad[k].says))
            fail_msg("%s: %s", bad[k].text, e.msg);
    }
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(ours), CASE(exl3), CASE(mlx),
                                       CASE(hostile)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
