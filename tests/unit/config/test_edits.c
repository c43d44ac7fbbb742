/* The configuration as a value, and the command line's edits of it. */
#include "net.h"

static struct bd_bitcfg fresh(const struct bd_model *m)
{
    struct bd_bitcfg c;
    assert_int_equal(bd_bitcfg_init(&c, m->nlayers), BD_OK);
    return c;
}

static void starts_in_float(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c = fresh(m), d;
    for (size_t i = 0; i < c.n; i++) {
        assert_int_equal(c.layer[i].w.bits, 32);
        assert_int_equal(c.layer[i].a.bits, 32);
        assert_int_equal(c.layer[i].w.quant, row("uniform"));
    }
    assert_int_equal(bd_config_check(&c, m, NULL), BD_OK);
    assert_int_equal(bd_bitcfg_copy(&d, &c), BD_OK);
    assert_true(bd_bitcfg_same(&c, &d));
    assert_true(bd_bitcfg_digest(&c) == bd_bitcfg_digest(&d));
    d.layer[2].w.bits = 4;
    assert_false(bd_bitcfg_same(&c, &d));
    assert_true(bd_bitcfg_digest(&c) != bd_bitcfg_digest(&d));
    d.layer[2].w.bits = 32;
    d.layer[2].locked = true;
    assert_false(bd_bitcfg_same(&c, &d));
    /* A lock changes no result, so cached accuracy stays valid. */
    assert_true(bd_bitcfg_digest(&c) == bd_bitcfg_digest(&d));
    bd_bitcfg_done(&c);
    bd_bitcfg_done(&d);
    bd_model_free(m);
}

static void digests_tell_layers_apart(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg a = fresh(m), b = fresh(m), c = fresh(m);
    a.layer[0].w.bits = 4;
    b.layer[1].w.bits = 4;
    c.layer[0].a.bits = 4;
    assert_true(bd_bitcfg_digest(&a) != bd_bitcfg_digest(&b));
    assert_true(bd_bitcfg_digest(&a) != bd_bitcfg_digest(&c));
    bd_bitcfg_done(&a);
    bd_bitcfg_done(&b);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void shared_parts_are_counted(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c = fresh(m), d;
    static const int8_t w[6] = {4, 4, 5, 5, 6, 0};
    static const double v[2] = {0.5, 0.25};
    struct bd_tensorcfg t = {.bits = 4, .quant = (uint8_t)row("uniform"),
                             .grain = BD_GRAIN_CHANNEL,
                             .channel = bd_chanbits_new(w, 6)};
    assert_true(bd_layercfg_set(&c.layer[0], true, &t));
    bd_chanbits_unref(t.channel);
    c.layer[0].w_clip = bd_recorded_new(v, 2, -1);
    assert_int_equal(bd_bitcfg_copy(&d, &c), BD_OK);
    bd_bitcfg_done(&c);
    assert_int_equal(d.layer[0].w.channel->bits[4], 6);
    assert_true(d.layer[0].w_clip->v[1] == 0.25);
    /* The same choice again keeps the recorded clips, another drops them. */
    struct bd_tensorcfg same = d.layer[0].w;
    assert_false(bd_layercfg_set(&d.layer[0], true, &same));
    assert_non_null(d.layer[0].w_clip);
    same.channel = NULL;
    assert_true(bd_layercfg_set(&d.layer[0], true, &same));
    assert_null(d.layer[0].w_clip);
    bd_bitcfg_done(&d);
    bd_model_free(m);
}

static void all_and_set(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c = fresh(m);
    assert_int_equal(bd_config_all(&c, true, "apot:4:channel:mse", NULL),
                     BD_OK);
    assert_int_equal(bd_config_all(&c, false, "uniform:8", NULL), BD_OK);
    assert_int_equal(bd_config_set(&c, m, "fc[12].w=uniform:5", NULL), BD_OK);
    assert_int_equal(c.layer[0].w.bits, 5);
    assert_int_equal(c.layer[0].w.quant, row("uniform"));
    assert_int_equal(c.layer[0].w.grain, BD_GRAIN_CHANNEL); /* kept */
    assert_int_equal(c.layer[0].w.clip, BD_CLIP_MSE);
    assert_int_equal(c.layer[2].w.bits, 4);
    assert_int_equal(c.layer[2].w.quant, row("apot"));
    assert_int_equal(c.layer[1].a.bits, 8);
    assert_int_equal(bd_config_set(&c, m, "fc3.a=float", NULL), BD_OK);
    assert_int_equal(c.layer[2].a.bits, 32);
    assert_int_equal(bd_config_check(&c, m, NULL), BD_OK);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void refusals_say_what_works(void **state)
{
    (void)state;
    static const struct {
        const char *edit, *says;
    } bad[] = {
        {"fc9.w=apot:4", "did you mean 'fc"},
        {"zzzzzzzzzzzz.w=apot:4", "no layer matches"},
        {"fc1=apot:4", "write LAYER.w="},
        {"fc1.b=apot:4", "write LAYER.w="},
        {".w=apot:4", "write LAYER.w="},
        {"fc1.w=apto:4", "apot"},
        {"fc1.w=uniform:1", "binary"},
        {"fc1.w=uniform:17", "17"},
        {"fc1.w=uniform:4:chanel", "chanel"},
        {"fc1.a=uniform:4:group128", "'channel' or 'tensor' works"},
        {"fc1.a=uniform:4:tensor:ema1.5", "clip rule"},
        {"fc1.a=uniform:4:tensor:kl9", "clip rule"},
        {"fc1.w=", ""},
    };
    struct bd_model *m = net();
    struct bd_bitcfg c = fresh(m), before;
    assert_int_equal(bd_bitcfg_copy(&before, &c), BD_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bd_err e = {0};
        assert_int_equal(bd_config_set(&c, m, bad[i].edit, &e), BD_EINVALID);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].edit, e.msg,
                     bad[i].says);
        assert_true(bd_bitcfg_same(&c, &before));
    }
    bd_bitcfg_done(&c);
    bd_bitcfg_done(&before);
    bd_model_free(m);
}

static void edges_of_a_float_network(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c = fresh(m);
    bd_config_all(&c, true, "apot:4", NULL);
    bd_config_all(&c, false, "apot:4", NULL);
    assert_int_equal(bd_config_edges(&c, m, 8, NULL), BD_OK);
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(c.layer[i].w.quant, row("uniform"));
        assert_int_equal(c.layer[i].w.bits, 8);
        assert_int_equal(c.layer[i].w.clip, BD_CLIP_MAX);
        assert_int_equal(c.layer[i].a.quant, row("uniform"));
        assert_int_equal(c.layer[i].a.bits, 8);
    }
    assert_int_equal(c.layer[1].w.bits, 4);
    assert_int_equal(bd_config_edges(&c, m, 1, NULL), BD_EINVALID);
    assert_int_equal(bd_config_edges(&c, m, 32, NULL), BD_OK);
    assert_int_equal(c.layer[0].w.bits, 32);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

/* apot.md section 6: 8-bit weights by the seed's own rule, inputs of the
 * first and last layer untouched. */
static void edges_of_a_learned_network(void **state)
{
    (void)state;
    struct bd_model *m = net();
    teach(m);
    struct bd_bitcfg c = fresh(m);
    struct bd_err e = {0};
    assert_true(bd_config_learned(m));
    bd_config_all(&c, true, "apot:4:tensor:learned", NULL);
    bd_config_all(&c, false, "apot:4:tensor:learned", NULL);
    /* fc1 and fc3 have no learned clip: refused, with the way out. */
    assert_int_equal(bd_config_check(&c, m, &e), BD_EINVALID);
    assert_non_null(strstr(e.msg, "fc1"));
    assert_non_null(strstr(e.msg, "--keep-edges"));
    assert_int_equal(bd_config_edges(&c, m, 8, NULL), BD_OK);
    assert_int_equal(bd_config_check(&c, m, NULL), BD_OK);
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(c.layer[i].w.quant, row("edge8"));
        assert_int_equal(c.layer[i].a.bits, 32);
    }
    assert_int_equal(c.layer[1].a.clip, BD_CLIP_LEARNED);
    assert_int_equal(bd_config_edges(&c, m, 6, NULL), BD_OK);
    assert_int_equal(c.layer[0].w.quant, row("uniform"));
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

static void the_judge(void **state)
{
    (void)state;
    struct bd_model *m = net();
    static const int8_t six[6] = {4, 4, 32, 5, 6, 0};
    static const int8_t low[6] = {4, 4, 1, 5, 6, 0};
    struct bd_tensorcfg t = {.bits = 4, .quant = (uint8_t)row("uniform"),
                             .grain = BD_GRAIN_CHANNEL};
    t.channel = bd_chanbits_new(six, 6);
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_OK);
    assert_int_equal(bd_config_allows(m, 1, true, &t, NULL), BD_EINVALID);
    /* Its input has eight channels, that of the second layer six. */
    assert_int_equal(bd_config_allows(m, 0, false, &t, NULL), BD_EINVALID);
    assert_int_equal(bd_config_allows(m, 1, false, &t, NULL), BD_OK);
    assert_int_equal(bd_config_inputs(m, 0), 8);
    bd_chanbits_unref(t.channel);
    t.channel = bd_chanbits_new(low, 6);
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_EINVALID);
    bd_chanbits_unref(t.channel);
    t.channel = NULL;
    t.clip = BD_CLIP_EMA; /* of activations */
    assert_int_equal(bd_config_allows(m, 0, false, &t, NULL), BD_OK);
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_EINVALID);
    t.clip_value = 1.5f;
    assert_int_equal(bd_config_allows(m, 0, false, &t, NULL), BD_EINVALID);
    t.clip = BD_CLIP_MANUAL;
    t.clip_value = 0;
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_EINVALID);
    t.clip_value = 0.5f;
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_OK);
    t.grain = BD_GRAIN_GROUP;
    t.group = 0;
    assert_int_equal(bd_config_allows(m, 0, true, &t, NULL), BD_EINVALID);
    assert_int_equal(bd_config_channels(m, 0), 6);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_in_float),
        cmocka_unit_test(digests_tell_layers_apart),
        cmocka_unit_test(shared_parts_are_counted),
        cmocka_unit_test(all_and_set),
        cmocka_unit_test(refusals_say_what_works),
        cmocka_unit_test(edges_of_a_float_network),
        cmocka_unit_test(edges_of_a_learned_network),
        cmocka_unit_test(the_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
