/* The list of repairs in a document: the same bytes again, and refusals that
 * name the place. */
#include "net.h"

#include <stdio.h>

static const char layers[] =
    "\"layers\": [{\"name\": \"fc1\", \"weights\": {\"method\": \"uniform\", "
    "\"bits\": 4}}]";

static bd_status read_repairs(struct bd_config_full *f,
                              const struct bd_model *m, const char *list,
                              struct bd_err *err)
{
    struct bd_str s = {0};
    struct bd_str warn = {0};
    bd_str_printf(&s, "{\"schema\": \"bitdial.config/1\", %s, "
                      "\"repairs\": %s}", layers, list);
    bd_status st = bd_config_read_full(f, m, (struct bd_text){s.s, s.n},
                                       &warn, err);
    bd_str_done(&s);
    bd_str_done(&warn);
    return st;
}

static void write_full(struct bd_str *out, const struct bd_model *m,
                       const struct bd_config_full *f)
{
    struct bd_err e = {0};
    struct bd_config_doc doc = {
        .cfg = &f->cfg, .metrics = f->metrics, .file = f->file,
        .program = f->program, .data = f->data, .seed = f->seed,
        .edits = f->edits, .repairs = &f->repairs};
    if (bd_config_write(out, m, &doc, &e) != BD_OK)
        fail_msg("%s", e.msg);
}

static void written_again_they_are_the_same(void **state)
{
    static const char list[] =
        "[\"bn-fold\", {\"repair\": \"equalize\", \"layers\": [\"fc2\", "
        "\"fc1\"], \"clip_safe\": true}, {\"repair\": \"adaround\", "
        "\"iterations\": 500, \"seed\": 7, \"images\": 64, \"under\": "
        "[{\"name\": \"fc3\", \"weights\": {\"method\": \"apot\", \"bits\": "
        "3, \"grain\": \"channel\", \"channel_bits\": [2, 3, 4, 5]}}]}]";
    struct bd_model *m = net();
    struct bd_config_full f, g;
    struct bd_err e = {0};
    struct bd_str a = {0}, b = {0}, warn = {0};
    (void)state;
    if (read_repairs(&f, m, list, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(f.repairs.n, 3);
    assert_string_equal(f.repairs.note[0].name, "bn-fold");
    assert_int_equal(f.repairs.note[1].nlayers, 2);
    assert_int_equal(f.repairs.note[1].layer[0], 1);
    assert_true(f.repairs.note[1].clip_safe);
    assert_int_equal(f.repairs.note[2].iterations, 500);
    assert_int_equal(f.repairs.note[2].seed, 7);
    assert_int_equal(f.repairs.note[2].under.layer[2].w.channel->bits[3], 5);
    write_full(&a, m, &f);
    if (bd_config_read_full(&g, m, (struct bd_text){a.s, a.n}, &warn, &e) !=
        BD_OK)
        fail_msg("%s in\n%s", e.msg, a.s);
    assert_int_equal(warn.n, 0);
    write_full(&b, m, &g);
    assert_string_equal(a.s, b.s);
    bd_str_done(&a);
    bd_str_done(&b);
    bd_str_done(&warn);
    bd_config_full_done(&f);
    bd_config_full_done(&g);
    bd_model_free(m);
}

static const struct {
    const char *list, *path; /* "" = it reads */
} cases[] = {
    {"[]", ""},
    {"[\"a-later-repair\"]", ""}, /* who makes them knows the names */
    {"\"bn-fold\"", "repairs:"},
    {"{}", "repairs:"},
    {"[7]", "repairs[0]:"},
    {"[\"\"]", "repairs[0]:"},
    {"[\"x\", null]", "repairs[1]:"},
    {"[{}]", "repairs[0]:"},
    {"[{\"repair\": 3}]", "repairs[0].repair:"},
    {"[{\"repair\": \"x\", \"layers\": []}]", "repairs[0]:"},
    {"[{\"repair\": \"x\", \"layers\": [\"fc9\"]}]", "repairs[0]: layers"},
    {"[{\"repair\": \"x\", \"layers\": [1]}]", "repairs[0]: layers"},
    {"[{\"repair\": \"x\", \"seed\": -1}]", "repairs[0]:"},
    {"[{\"repair\": \"x\", \"images\": 1.5}]", "repairs[0].images:"},
    {"[{\"repair\": \"x\", \"iterations\": \"9\"}]",
     "repairs[0].iterations:"},
    {"[{\"repair\": \"x\", \"iterations\": 2000000}]",
     "repairs[0]: 2000000 iterations"},
    {"[{\"repair\": \"x\", \"clip_safe\": 1}]", "repairs[0].clip_safe:"},
    {"[{\"repair\": \"x\", \"under\": 1}]", "repairs[0].under:"},
    {"[{\"repair\": \"x\", \"under\": [{\"name\": \"fc1\", \"weights\": "
     "{\"method\": \"uniform\", \"bits\": 99}}]}]", "repairs[0]"},
};

static void wrong_ones_are_refused_by_place(void **state)
{
    struct bd_model *m = net();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bd_config_full f;
        struct bd_err e = {0};
        bd_status st = read_repairs(&f, m, cases[i].list, &e);
        bool good = !cases[i].path[0];
        if ((st == BD_OK) != good ||
            (!good && strncmp(e.msg, cases[i].path, strlen(cases[i].path))))
            fail_msg("%s: %d '%s', expected '%s'", cases[i].list, st, e.msg,
                     cases[i].path);
        if (st == BD_OK)
            bd_config_full_done(&f);
    }
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_again_they_are_the_same),
        cmocka_unit_test(wrong_ones_are_refused_by_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
