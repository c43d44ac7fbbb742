/* A choice as text, the refusals, widths per channel. */
#include "ref.h"

#include "quant/quant.h"

static struct bd_tensorcfg start(void)
{
    struct bd_tensorcfg c = {.bits = 8, .quant = 0, .clip = BD_CLIP_MAX};

    return c;
}

static void test_parse(void **state)
{
    struct bd_tensorcfg c = start();

    (void)state;
    assert_int_equal(bd_tensorcfg_parse(&c, "apot:4:channel:mse", NULL), BD_OK);
    assert_string_equal(bd_quantizer_at(c.quant)->name, "apot");
    assert_int_equal(c.bits, 4);
    assert_int_equal(c.grain, BD_GRAIN_CHANNEL);
    assert_int_equal(c.clip, BD_CLIP_MSE);
    /* Missing parts keep what was. */
    assert_int_equal(bd_tensorcfg_parse(&c, "uniform:6", NULL), BD_OK);
    assert_int_equal(c.bits, 6);
    assert_int_equal(c.grain, BD_GRAIN_CHANNEL);
    assert_int_equal(bd_tensorcfg_parse(&c, "pot", NULL), BD_OK);
    assert_int_equal(c.bits, 6);
    assert_int_equal(
        bd_tensorcfg_parse(&c, "pot:5:group128:percentile99.5", NULL), BD_OK);
    assert_int_equal(c.group, 128);
    assert_true(c.clip_value == 99.5f);
    /* A clip rule may follow the width at once. */
    assert_int_equal(bd_tensorcfg_parse(&c, "uniform:4:manual0.173", NULL),
                     BD_OK);
    assert_int_equal(c.clip, BD_CLIP_MANUAL);
    assert_true(c.clip_value == 0.173f);
    assert_int_equal(bd_tensorcfg_parse(&c, "uniform:4:moving-average", NULL),
                     BD_OK);
    assert_int_equal(c.clip, BD_CLIP_EMA);
    assert_true(c.clip_value == 0);
    assert_int_equal(bd_tensorcfg_parse(&c, "float", NULL), BD_OK);
    assert_int_equal(c.bits, 32);
}

/* Whatever can be chosen reads back from its text. */
static void test_round_trip(void **state)
{
    const char *text[] = {"apot:4:channel:mse",
                          "uniform:16:tensor:max",
                          "affine:8:group128:percentile99.9",
                          "uniform:4:tensor:kl",
                          "uniform:4:channel:aciq",
                          "uniform:4:tensor:ema",
                          "uniform:4:tensor:ema0.1",
                          "log:3:tensor:manual0.173",
                          "binary:1:channel:max",
                          "pact:1:tensor:learned",
                          "kmeans:3:channel:max",
                          "nf4:4:group64:mse",
                          "fp8-e4m3:8:tensor:percentile99.9",
                          "mxfp6-e2m3:6:group32:max",
                          "float"};

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        struct bd_tensorcfg c = start(), d = start();
        char out[64];

        assert_int_equal(bd_tensorcfg_parse(&c, text[i], NULL), BD_OK);
        assert_string_equal(bd_tensorcfg_text(out, sizeof(out), &c), text[i]);
        assert_int_equal(bd_tensorcfg_parse(&d, out, NULL), BD_OK);
        assert_true(bd_tensorcfg_same(&c, &d));
        assert_true(bd_tensorcfg_digest(&c) == bd_tensorcfg_digest(&d));
    }
}

/* Methods made for groups bring them and take them along; those of one width
 * bring that. */
static void test_natural_grain(void **state)
{
    struct bd_tensorcfg c = start();

    (void)state;
    assert_int_equal(bd_tensorcfg_parse(&c, "mxfp4-e2m1:4", NULL), BD_OK);
    assert_true(c.grain == BD_GRAIN_GROUP && c.group == 32);
    assert_int_equal(bd_tensorcfg_parse(&c, "uniform:4", NULL), BD_OK);
    assert_true(c.grain == BD_GRAIN_TENSOR && c.group == 0);
    assert_int_equal(bd_tensorcfg_parse(&c, "nf4", NULL), BD_OK);
    assert_true(c.bits == 4 && c.group == 64);
    assert_int_equal(bd_tensorcfg_parse(&c, "mxint8", NULL), BD_OK);
    assert_true(c.bits == 8 && c.group == 32);
    assert_int_equal(bd_tensorcfg_parse(&c, "nf4:4:channel", NULL), BD_OK);
    assert_int_equal(c.grain, BD_GRAIN_CHANNEL);
    assert_int_equal(bd_tensorcfg_parse(&c, "nf4:4", NULL), BD_OK);
    assert_int_equal(c.grain, BD_GRAIN_CHANNEL); /* somebody's choice */
    assert_int_equal(bd_tensorcfg_parse(&c, "uniform:4:group32", NULL), BD_OK);
    assert_int_equal(bd_tensorcfg_parse(&c, "apot:4", NULL), BD_OK);
    assert_int_equal(c.group, 32); /* not brought by a method, so it stays */
}

/* Short names are understood and never written. */
static void test_alias(void **state)
{
    struct bd_tensorcfg c = start();
    char out[64];

    (void)state;
    assert_int_equal(bd_tensorcfg_parse(&c, "mxfp4:4", NULL), BD_OK);
    assert_string_equal(bd_tensorcfg_text(out, sizeof(out), &c),
                        "mxfp4-e2m1:4:group32:max");
    assert_int_equal(bd_quantizer_find("fp8"), bd_quantizer_find("fp8-e4m3"));
    assert_int_equal(bd_quantizer_find("fp4"), bd_quantizer_find("fp4-e2m1"));
}

static void refused(const char *text, const char *part)
{
    struct bd_tensorcfg c = start(), before = c;
    struct bd_err err = {0};

    assert_int_equal(bd_tensorcfg_parse(&c, text, &err), BD_EINVALID);
    if (!strstr(err.msg, part))
        fail_msg("'%s' gave: %s", text, err.msg);
    assert_true(bd_tensorcfg_same(&c, &before)); /* nothing changed */
}

static void test_refusals(void **state)
{
    (void)state;
    refused("apto:4", "did you mean 'apot'");
    refused("zzzzzz:4", "unknown");
    refused("", "unknown");
    refused("apot:", "width");
    refused("apot:0", "width");
    refused("apot:-3", "width");
    refused("apot:4.5", "width");
    refused("apot:99999999999", "width");
    refused("uniform:17", "1 to 16");
    refused("apot:9", "'apot' takes at most 8; 'uniform' takes 9");
    refused("binary:2", "takes only 1");
    refused("uniform:1", "1 bit: 'uniform' needs 2 or more; 'binary' takes 1");
    refused("nf4:5", "5 bits: 'nf4' takes only 4; 'uniform' takes 5");
    refused("fp8-e5m2:4", "takes only 8");
    refused("kmeans:9", "takes at most 8");
    refused("mxfp4:4:tensor", "only grain 'group32'; 'fp4-e2m1' takes any");
    refused("mxint8:8:group64", "only grain 'group32'; 'uniform' takes any");
    refused("mxfp8:8:channel", "'fp8-e4m3' takes");
    refused("uniform:4:chanel", "neither");
    refused("uniform:4:group0", "neither");
    refused("uniform:4:group99999", "neither");
    refused("uniform:4:manual", "neither");
    refused("uniform:4:manual-1", "neither");
    refused("uniform:4:manualnan", "neither");
    refused("uniform:4:percentile101", "neither");
    refused("uniform:4:tensor:mse:more", "METHOD:BITS");
    refused(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "METHOD:BITS");
}

static void test_roles(void **state)
{
    struct bd_err err = {0};
    int pact = bd_quantizer_find("pact"), bin = bd_quantizer_find("binary");

    (void)state;
    assert_int_equal(bd_quantizer_check(pact, 4, true, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "not weights"));
    err = (struct bd_err){0};
    assert_int_equal(bd_quantizer_check(bin, 1, false, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "not activations"));
    assert_int_equal(bd_quantizer_check(bin, 32, true, NULL), BD_OK);
    assert_int_equal(bd_quantizer_check(-1, 4, true, NULL), BD_EINVALID);
    assert_int_equal(bd_quantizer_check(99, 4, true, NULL), BD_EINVALID);
    assert_null(bd_quantizer_at(-1));
    assert_null(bd_quantizer_at(99));
}

/* Rows are found by name, and names are unique. */
static void test_table(void **state)
{
    const struct bd_quantizer *const *q = bd_quantizers();

    (void)state;
    for (int i = 0; q[i]; i++)
        assert_int_equal(bd_quantizer_find(q[i]->name), i);
    assert_int_equal(bd_quantizer_find("nothing"), -1);
}

static void test_channels(void **state)
{
    const int8_t a[] = {2, 3, 0, 32}, b[] = {2, 3, 0, 16};
    struct bd_chanbits *x = bd_chanbits_new(a, 4), *y = bd_chanbits_new(a, 4);
    struct bd_chanbits *z = bd_chanbits_new(b, 4);
    struct bd_tensorcfg c = start(), d = start();

    (void)state;
    c.channel = x;
    d.channel = y;
    assert_true(bd_tensorcfg_same(&c, &d)); /* by value, not by address */
    assert_true(bd_tensorcfg_digest(&c) == bd_tensorcfg_digest(&d));
    d.channel = z;
    assert_false(bd_tensorcfg_same(&c, &d));
    assert_true(bd_tensorcfg_digest(&c) != bd_tensorcfg_digest(&d));
    d.channel = NULL;
    assert_false(bd_tensorcfg_same(&c, &d));
    assert_true(bd_tensorcfg_digest(&c) != bd_tensorcfg_digest(&d));
    assert_ptr_equal(bd_chanbits_ref(x), x);
    bd_chanbits_unref(x);
    assert_int_equal(x->bits[3], 32); /* still held once */
    bd_chanbits_unref(x);
    bd_chanbits_unref(y);
    bd_chanbits_unref(z);
    bd_chanbits_unref(NULL);
    assert_null(bd_chanbits_ref(NULL));
    assert_null(bd_chanbits_new(a, -1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_roles),
        cmocka_unit_test(test_table),    cmocka_unit_test(test_channels),
        cmocka_unit_test(test_alias),    cmocka_unit_test(test_natural_grain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
