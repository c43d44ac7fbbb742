/* Opening: what is refused, what only leaves a sentence, and how options
 * build the first configuration. */
#include "bed.h"

static void refuse(const struct bd_session_opts *o, const char *says)
{
    struct bd_session *s = NULL;
    struct bd_err e = {0};
    assert_int_not_equal(bd_session_open(&s, o, &e), BD_OK);
    assert_null(s);
    if (!strstr(e.msg, says) && !strstr(e.file, says))
        fail_msg("%s: \"%s\" lacks \"%s\"", e.file, e.msg, says);
}

static void what_is_refused(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    o.model = "/nowhere/net.onnx";
    refuse(&o, "/nowhere/net.onnx");
    o = bed_opts(b);
    o.data = "/nowhere/data";
    refuse(&o, "/nowhere/data");
    o = bed_opts(b);
    o.data = b->model; /* a file, but no pictures */
    refuse(&o, "net.onnx");
    o = bed_opts(b);
    o.preprocess = "cifar11";
    refuse(&o, "cifar11");
    o = bed_opts(b);
    o.preprocess = "cifar10,crop=20";
    refuse(&o, "3072");
    o = bed_opts(b);
    o.skip = INT64_MAX;
    refuse(&o, "skipped");
    o = bed_opts(b);
    o.limit = -1;
    refuse(&o, "below 0");
    o = bed_opts(b);
    o.weights = "uniform:1";
    refuse(&o, "binary");
    o = bed_opts(b);
    o.weights = "apot:4:tensor:learned";
    refuse(&o, "learned");
    o = bed_opts(b);
    o.config = "/nowhere/c.json";
    refuse(&o, "/nowhere/c.json");
}

static void fewer_classes_than_the_data(void **state)
{
    const struct bed *b = *state;
    char path[128];
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m;
    struct bd_str t = {0};
    snprintf(path, sizeof path, "%s/five.onnx", b->dir);
    assert_int_equal(bd_arch_new(&m, "mlp:3072-5", dim, 3, 5, 1, NULL),
                     BD_OK);
    assert_int_equal(bd_onnx_write(&t, m, NULL, NULL), BD_OK);
    put_file(path, t.s, t.n);
    bd_str_done(&t);
    bd_model_free(m);
    struct bd_session_opts o = bed_opts(b);
    o.model = path;
    refuse(&o, "5 classes");
}

/* The first dimension of the input is written down and is not 1. */
static void four_pictures_at_a_time(void **state)
{
    const struct bed *b = *state;
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_session_opts o = bed_opts(b);
    struct bd_model *m;
    struct bd_str t = {0};
    assert_int_equal(bd_arch_new(&m, "mlp:3072-10", dim, 3, 10, 1, NULL),
                     BD_OK);
    struct bd_value *in =
        (struct bd_value *)(uintptr_t)&m->value[m->input[0]];
    in->t.dim[0] = 4;
    assert_int_equal(bd_onnx_write(&t, m, NULL, NULL), BD_OK);
    put_file(b->model, t.s, t.n);
    refuse(&o, "takes 4 pictures at a time");
    bd_str_done(&t);
    bd_model_free(m);
}

static void without_data(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_net_eval e;
    struct bd_err err = {0};
    o.data = NULL;
    struct bd_session *s = open_session(&o);
    assert_non_null(strstr(bd_session_why_no_accuracy(s), "--data"));
    assert_null(bd_session_data(s));
    assert_non_null(bd_session_plan(s));
    assert_int_equal(bd_session_now_eval(&e, NULL, NULL, s, NULL, &err),
                     BD_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "--data"));
    bd_session_start(s);
    settle(s);
    assert_int_equal(bd_session_tick(s), -1);
    bd_session_close(s);
    bd_session_close(NULL);
}

static void sidecar(const struct bed *b, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/net.onnx.bitdial.json", b->dir);
    put_file(path, text, strlen(text));
    snprintf(path, sizeof path, "%s/net.bitdial.json", b->dir);
    put_file(path, text, strlen(text));
}

static void a_sidecar_proposes(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = {.model = b->model, .limit = 20,
                                .no_state = true};
    sidecar(b, "{\"schema\": \"bitdial.model/1\", \"data\": "
               "\"synth:glyphs\", \"input\": {\"preset\": \"cifar10\"}}");
    struct bd_session *s = open_session(&o);
    assert_null(bd_session_why_no_accuracy(s));
    assert_string_equal(bd_data_name(bd_session_data(s)), "synth:glyphs");
    bd_session_close(s);
    /* A proposal that fails is a sentence, not a refusal. */
    sidecar(b, "{\"schema\": \"bitdial.model/1\", \"data\": "
               "\"/nowhere/data\"}");
    s = open_session(&o);
    assert_non_null(strstr(bd_session_why_no_accuracy(s), "/nowhere/data"));
    assert_true(log_has(s, "/nowhere/data"));
    bd_session_close(s);
    sidecar(b, "{]");
    s = open_session(&o);
    assert_true(bd_session_log(s, 0, NULL) > 0);
    bd_session_close(s);
}

static void the_guess_is_said(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.preprocess = NULL;
    struct bd_session *s = open_session(&o);
    assert_true(log_has(s, "preprocessing 'cifar10'"));
    assert_true(log_has(s, "first 16 images"));
    bd_session_close(s);
    o.preprocess = "mnist01";
    o.calib = "synth:glyphs/train";
    s = open_session(&o);
    assert_false(log_has(s, "by the shape"));
    assert_false(log_has(s, "first 16 images"));
    bd_session_start(s);
    settle(s);
    struct bd_layer_view v;
    bd_session_layer(&v, s, 0);
    assert_true(v.a_max > 0.9 && v.a_max <= 1); /* of pixels in 0..1 */
    bd_session_close(s);
}

static void options_build_the_start(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    static const char *const set[] = {"fc3.w=uniform:6", "fc1.a=float", NULL};
    o.weights = "apot:4:tensor:mse";
    o.activations = "uniform:5";
    o.keep_edges = 8;
    o.set = set;
    struct bd_session *s = open_session(&o);
    const struct bd_bitcfg *c = bd_session_cfg(s);
    assert_int_equal(c->layer[0].w.bits, 8);
    assert_int_equal(c->layer[0].a.bits, 32);
    assert_int_equal(c->layer[1].w.bits, 4);
    assert_int_equal(c->layer[1].a.bits, 5);
    assert_int_equal(c->layer[2].w.bits, 6); /* the pointed option wins */
    assert_int_equal(c->layer[2].a.bits, 8);
    assert_int_equal(bd_session_history(s, NULL), 0);
    bd_session_close(s);
}

static void the_log_forgets_the_oldest(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.data = NULL;
    struct bd_session *s = open_session(&o);
    const char *line;
    for (int i = 0; i < 1500; i++)
        bd_session_say(s, "line %d", i);
    assert_int_equal(bd_session_log(s, 999, &line), 1000);
    assert_string_equal(line, "line 1499");
    bd_session_log(s, 0, &line);
    assert_string_equal(line, "line 500");
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_refused),         CASE(fewer_classes_than_the_data),
        CASE(without_data),            CASE(a_sidecar_proposes),
        CASE(the_guess_is_said),       CASE(options_build_the_start),
        CASE(the_log_forgets_the_oldest), CASE(four_pictures_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
