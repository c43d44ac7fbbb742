/* Documents and edits while memory runs out at any one moment: refused with
 * a sentence, or done as if nothing had been; never a document that lacks a
 * word, never a configuration half read. */
#include "net.h"

#include "../exhaust.h"

static const char *const edits[] = {
    "fc1.w=uniform:5:channel:mse", "fc2.w=apot:4:tensor:manual0.173",
    "fc3.w=log:4:group2:percentile99.5", "fc*.a=uniform:8:percentile99.9"};

static void ok(bd_status st, const struct bd_err *e)
{
    if (st != BD_OK)
        fail_msg("%s", e->msg);
}

struct paper { /* a document and what it is written from */
    struct bd_model *m;
    struct bd_bitcfg c;
    struct bd_str text;
};

static bd_status put(struct bd_str *out, const struct paper *p,
                     struct bd_err *err)
{
    static const double clip[6] = {1, 2, 3, 4, 5, 0.1};
    struct bd_clips clips[3] = {{.nw = 6, .w = clip},
                                {.a_known = true, .a = 0.25},
                                {0}};
    struct bd_config_doc doc = {.cfg = &p->c, .clips = clips,
                                .metrics = {4.5, NAN, 123, -1},
                                .data = "a \"set\" of pictures", .edits = 3};
    return bd_config_write(out, p->m, &doc, err);
}

static int begin(void **state)
{
    static const int8_t w[6] = {4, 4, 5, 5, 6, 0};
    struct paper *p = bd_calloc(1, sizeof *p);
    struct bd_err e = {0};
    if (!p)
        return -1;
    p->m = net();
    ok(bd_bitcfg_init(&p->c, 3), &e);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        ok(bd_config_set(&p->c, p->m, edits[i], &e), &e);
    p->c.layer[0].w.channel = bd_chanbits_new(w, 6);
    ok(put(&p->text, p, &e), &e);
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct paper *p = *state;
    bd_str_done(&p->text);
    bd_bitcfg_done(&p->c);
    bd_model_free(p->m);
    bd_free(p);
    return 0;
}

static bd_status write_once(const void *arg, struct bd_err *err)
{
    const struct paper *p = arg;
    struct bd_str s = {0};
    bd_status st = put(&s, p, err);
    if (st == BD_OK) {
        assert_int_equal(s.n, p->text.n);
        assert_memory_equal(s.s, p->text.s, s.n);
    }
    bd_str_done(&s);
    return st;
}

static bd_status read_once(const void *arg, struct bd_err *err)
{
    const struct paper *p = arg;
    struct bd_config_full f;
    struct bd_str warn = {0};
    struct bd_text t = {p->text.s, p->text.n};
    bd_status st = bd_config_read_full(&f, p->m, t, &warn, err);
    if (st == BD_OK) {
        assert_true(bd_bitcfg_same(&f.cfg, &p->c));
        bd_config_full_done(&f);
    }
    bd_str_done(&warn);
    return st;
}

static bd_status edit_once(const void *arg, struct bd_err *err)
{
    const struct paper *p = arg;
    struct bd_bitcfg c;
    bd_status st = bd_bitcfg_copy(&c, &p->c);
    if (st != BD_OK)
        return bd_fail(err, st, "no sentence is promised here");
    for (size_t i = 0; i < sizeof edits / sizeof *edits && st == BD_OK; i++)
        st = bd_config_set(&c, p->m, edits[i], err);
    if (st == BD_OK)
        st = bd_config_all(&c, true, "apot:4:tensor:mse", err);
    if (st == BD_OK)
        st = bd_config_edges(&c, p->m, 8, err);
    if (st == BD_OK)
        st = bd_config_check(&c, p->m, err);
    bd_bitcfg_done(&c);
    return st;
}

static void writing(void **state)
{
    assert_true(exhaust(write_once, *state, true) > 3);
}

static void reading(void **state)
{
    assert_true(exhaust(read_once, *state, true) > 3);
}

static void editing(void **state)
{
    assert_true(exhaust(edit_once, *state, true) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writing, begin, end),
        cmocka_unit_test_setup_teardown(reading, begin, end),
        cmocka_unit_test_setup_teardown(editing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
