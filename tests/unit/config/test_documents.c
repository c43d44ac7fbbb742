/* Documents: what is written reads back as the same configuration, and
 * writing that gives the same bytes, recorded clips included. */
#include "net.h"

static void write_doc(struct bd_str *out, const struct bd_model *m,
                      const struct bd_config_doc *doc)
{
    struct bd_err e = {0};
    if (bd_config_write(out, m, doc, &e) != BD_OK)
        fail_msg("%s", e.msg);
}

/* Reads text and writes it again with everything that was read. */
static void again(struct bd_str *out, const struct bd_model *m,
                  const struct bd_str *text)
{
    struct bd_config_full f;
    struct bd_str warn = {0};
    struct bd_err e = {0};
    struct bd_text t = {text->s, text->n};
    if (bd_config_read_full(&f, m, t, &warn, &e) != BD_OK)
        fail_msg("%s in\n%s", e.msg, text->s);
    if (warn.n > 0)
        fail_msg("warned: %s", warn.s);
    struct bd_config_doc doc = {
        .cfg = &f.cfg, .metrics = f.metrics, .file = f.file,
        .program = f.program, .data = f.data, .seed = f.seed,
        .edits = f.edits};
    write_doc(out, m, &doc);
    bd_config_full_done(&f);
    bd_str_done(&warn);
}

static void assert_round_trip(const struct bd_model *m,
                              const struct bd_config_doc *doc)
{
    struct bd_str a = {0}, b = {0};
    write_doc(&a, m, doc);
    again(&b, m, &a);
    assert_string_equal(a.s, b.s);
    assert_int_equal(a.n, b.n);
    bd_str_done(&a);
    bd_str_done(&b);
}

static struct bd_config_doc plain(const struct bd_bitcfg *c)
{
    return (struct bd_config_doc){.cfg = c,
                                  .metrics = {NAN, NAN, -1, -1}};
}

static void a_float_network(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    struct bd_config_doc doc = plain(&c);
    assert_round_trip(m, &doc);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void everything_at_once(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    static const int8_t w[6] = {4, 4, 5, 5, 6, 0};
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    struct bd_tensorcfg t = {.bits = 5, .quant = (uint8_t)row("uniform"),
                             .grain = BD_GRAIN_CHANNEL,
                             .clip = BD_CLIP_MSE,
                             .channel = bd_chanbits_new(w, 6)};
    bd_layercfg_set(&c.layer[0], true, &t);
    bd_chanbits_unref(t.channel);
    /* The planes of cli.md's example. */
    struct bd_planecode code = {8, 248, {0, 0, 0, 8.7, 17.1, 33.2, 65.3,
                                         129.0 + 1.0 / 3}};
    struct bd_tensorcfg b = {.bits = 5, .quant = (uint8_t)row("bottleneck"),
                             .clip = BD_CLIP_MAX,
                             .planes = bd_planes_new(&code)};
    bd_layercfg_set(&c.layer[1], false, &b);
    bd_planes_unref(b.planes);
    assert_int_equal(bd_config_set(&c, m, "fc2.w=apot:4:tensor:manual0.173",
                                   NULL), BD_OK);
    assert_int_equal(bd_config_set(&c, m, "fc3.w=log:4:group2:"
                                          "percentile99.5", NULL), BD_OK);
    assert_int_equal(bd_config_set(&c, m, "fc[13].a=uniform:8", NULL), BD_OK);
    c.layer[2].locked = true;
    double per_channel[6] = {0.1, 1.0 / 3, 1e-300, 2.5, 0, 7};
    double groups[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0.1 + 0.2};
    struct bd_clips clips[3] = {
        {.nw = 6, .w = per_channel, .a_known = true, .a = 6.1},
        {.a_known = true, .a_signed = true, .a = 0.017},
        {.nw = 12, .w = groups}};
    struct bd_config_doc doc = {
        .cfg = &c, .clips = clips, .metrics = {4.51, 0.912, 152000, 1017},
        .file = "odd \"name\".onnx", .data = "test_first1017.bin",
        .seed = 7, .edits = 12};
    assert_round_trip(m, &doc);
    /* Values that are not finite are left out, never null. */
    per_channel[2] = NAN;
    assert_round_trip(m, &doc);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void turn_at_random(struct bd_bitcfg *c, const struct bd_model *m,
                           struct bd_rng *r)
{
    size_t rows = 0;
    while (bd_quantizers()[rows])
        rows++;
    for (size_t i = 0; i < c->n; i++)
        for (int side = 0; side < 2; side++) {
            struct bd_tensorcfg t = {0};
            t.quant = (uint8_t)bd_rng_below(r, rows);
            t.bits = (int8_t)(1 + bd_rng_below(r, 32));
            t.clip = (uint8_t)bd_rng_below(r, BD_CLIP_RULES);
            t.grain = (uint8_t)bd_rng_below(r, 3);
            if (t.grain == BD_GRAIN_GROUP)
                t.group = (int16_t)(1 + bd_rng_below(r, 200));
            if (bd_clip_numbered(t.clip))
                t.clip_value = (float)(t.clip == BD_CLIP_EMA
                                           ? bd_rng_unit(r)
                                           : 100 * bd_rng_unit(r));
            if (bd_config_allows(m, (int)i, side == 0, &t, NULL) == BD_OK)
                bd_layercfg_set(&c->layer[i], side == 0, &t);
        }
}

static void a_thousand_random_ones(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_rng r = {3};
    for (int k = 0; k < 1000; k++) {
        struct bd_bitcfg c, back;
        struct bd_str text = {0};
        assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
        turn_at_random(&c, m, &r);
        struct bd_config_doc doc = plain(&c);
        assert_round_trip(m, &doc);
        write_doc(&text, m, &doc);
        struct bd_text t = {text.s, text.n};
        assert_int_equal(bd_config_read(&back, m, t, NULL, NULL), BD_OK);
        assert_true(bd_bitcfg_same(&c, &back));
        assert_true(bd_bitcfg_digest(&c) == bd_bitcfg_digest(&back));
        bd_str_done(&text);
        bd_bitcfg_done(&c);
        bd_bitcfg_done(&back);
    }
    bd_model_free(m);
}

/* The contract's own keys, in its order. */
static void the_shape_of_the_contract(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    struct bd_str s = {0};
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    assert_int_equal(bd_config_all(&c, true, "apot:4:tensor:mse", NULL),
                     BD_OK);
    double v = 0.1734;
    struct bd_clips clips[3] = {{.nw = 1, .w = &v}};
    struct bd_config_doc doc = plain(&c);
    doc.clips = clips;
    write_doc(&s, m, &doc);
    static const char *const order[] = {
        "{\n  \"schema\": \"bitdial.config/1\"", "\"model\": {\"file\": ",
        "\"digest\": \"xxh3:", "\"layers\": 3", "\"layers\": [",
        "\"name\": \"fc1\"",
        "\"weights\": {\"method\": \"apot\", \"bits\": 4, \"grain\": "
        "\"tensor\", \"clip\": {\"rule\": \"mse\", \"value\": 0.1734}}",
        "\"activations\": {\"method\": \"uniform\", \"bits\": 32",
        "\"provenance\": {\"program\": \"bitdial "};
    const char *at = s.s;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("no %s in\n%s", order[i], s.s);
    }
    bd_str_done(&s);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

/* Names of layers and of the file are bytes of strangers. */
static void names_that_are_not_text(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_layer *l = (struct bd_layer *)(uintptr_t)&m->layer[1];
    struct bd_bitcfg c, back;
    struct bd_str s = {0}, warn = {0};
    struct bd_err e = {0};
    l->name = "fc\xFF\x80\\udc80\"\x1b[2J\xE2\x80\xAE";
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    assert_int_equal(bd_config_set(&c, m, "fc*.w=apot:4", NULL), BD_OK);
    struct bd_config_doc doc = plain(&c);
    doc.file = "\xC0\xAF.onnx";
    assert_round_trip(m, &doc);
    write_doc(&s, m, &doc);
    for (size_t i = 0; i < s.n; i++) /* nothing a terminal would act on */
        assert_true(s.s[i] == '\n' || (s.s[i] >= 0x20 && s.s[i] < 0x7F));
    struct bd_text t = {s.s, s.n};
    if (bd_config_read(&back, m, t, &warn, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_true(bd_bitcfg_same(&c, &back));
    bd_bitcfg_done(&back);
    bd_bitcfg_done(&c);
    bd_str_done(&s);
    bd_str_done(&warn);
    bd_model_free(m);
}

static void one_layer_too_few(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    struct bd_str s = {0};
    assert_int_equal(bd_bitcfg_init(&c, 2), BD_OK);
    struct bd_config_doc doc = plain(&c);
    assert_int_equal(bd_config_write(&s, m, &doc, NULL), BD_EINVALID);
    assert_int_equal(s.n, 0);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_float_network),
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(a_thousand_random_ones),
        cmocka_unit_test(the_shape_of_the_contract),
        cmocka_unit_test(names_that_are_not_text),
        cmocka_unit_test(one_layer_too_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
