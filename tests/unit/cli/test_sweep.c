/* sweep: keys of the contract, the table, files in three kinds, refusals in
 * one line; the same bytes for any thread count, from the cache and from the
 * pieces that kills left. */
#include "cli_run.h"

static const char *const data = "--data x.npy --preprocess raw255";

static void ready(struct shot *s)
{
    shot_open(s);
    put_model("m.onnx", false);
    put_data();
}

static int sweep(struct shot *s, const char *more)
{
    char args[400];

    snprintf(args, sizeof args, "sweep m.onnx %s %s", data, more);
    return run(s, args);
}

static void must_sweep(struct shot *s, const char *more)
{
    if (sweep(s, more) != 0)
        fail_msg("%s: status %d\n%s", more, s->status, s->err);
}

static void keys(void **state)
{
    struct shot s;
    cJSON *j, *l, *p;

    (void)state;
    ready(&s);
    must_sweep(&s, "--json --what w,a --bits 2,4 --no-cache "
                   "--metric kl,top1,loss,out-mse,fisher");
    j = document(&s, "bitdial.sweep/1");
    has_keys(j, "mode metrics images complete baseline layers evaluations "
                "images_per_s");
    has_keys(cJSON_GetObjectItem(j, "baseline"), "images top1 top1_ci95 loss");
    assert_true(number(j, "images") == 30);
    assert_true(number(j, "evaluations") > 0);
    assert_true(number(j, "images_per_s") > 0);
    l = cJSON_GetObjectItem(j, "layers");
    assert_int_equal(cJSON_GetArraySize(l), 2);
    assert_string_equal(cJSON_GetObjectItem(l->child, "name")->valuestring,
                        "fc1");
    l = cJSON_GetObjectItem(l->child, "points");
    assert_int_equal(cJSON_GetArraySize(l), 4);
    cJSON_ArrayForEach(p, l)
    {
        double base = number(cJSON_GetObjectItem(j, "baseline"), "top1");

        has_keys(p, "what bits method kl top1 loss out_mse fisher kl_ci95 "
                    "top1_drop top1_drop_ci95 loss_rise images settled");
        assert_true(number(p, "kl") > -1e-9);
        assert_true(number(p, "fisher") >= 0);
        assert_true(number(p, "out_mse") > 0);
        assert_true(number(p, "top1") >= 0 && number(p, "top1") <= 1);
        assert_true(fabs(base - number(p, "top1") - number(p, "top1_drop")) <
                    1e-12);
    }
    assert_string_equal(cJSON_GetObjectItem(l->child, "what")->valuestring,
                        "w");
    cJSON_Delete(j);
    must_sweep(&s, "--json --mode alone-off --bits 3 --no-cache");
    j = document(&s, "bitdial.sweep/1");
    has_keys(j, "quantized");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "quantized")),
                     1);
    cJSON_Delete(j);
    shot_close(&s);
}

static void table(void **state)
{
    struct shot s;

    (void)state;
    ready(&s);
    must_sweep(&s, "--bits 3-5");
    assert_non_null(strstr(s.out, "layer"));
    assert_non_null(strstr(s.out, "5 bit"));
    assert_non_null(strstr(s.out, "fc2"));
    assert_non_null(strstr(s.out, "KL from float"));
    assert_non_null(strstr(s.out, "6 choices"));
    shot_close(&s);
}

/* The document without the line that tells the speed. */
static char *timeless(const char *text)
{
    char *copy = bd_strdup(text), *at;

    assert_non_null(copy);
    at = strstr(copy, "\"images_per_s\"");
    assert_non_null(at);
    *at = 0;
    return copy;
}

static void same_bytes(void **state)
{
    struct shot s;
    char *one, *other;

    (void)state;
    ready(&s);
    must_sweep(&s, "--json --what w,a --threads 1 --no-cache");
    one = timeless(s.out);
    for (int k = 0; k < 3; k++) {
        static const char *const how[] = {
            "--json --what w,a --threads 3 --no-cache",
            "--json --what w,a --threads 2", /* fills the cache */
            "--json --what w,a -o s.json"};

        must_sweep(&s, how[k]);
        other = timeless(s.out);
        assert_string_equal(one, other);
        bd_free(other);
    }
    char *file = slurp("s.json");
    assert_string_equal(file, s.out); /* from the cache: the speed as well */
    bd_free(file);
    bd_free(one);
    shot_close(&s);
}

static void kinds(void **state)
{
    struct shot s;
    cJSON *j;
    struct bd_err e = {0};

    (void)state;
    ready(&s);
    must_sweep(&s, "--format exl3");
    assert_int_equal(bd_json_parse(&j, s.out, strlen(s.out), &e), BD_OK);
    has_keys(j, "base alts groups base_kld arch_string");
    cJSON_Delete(j);
    must_sweep(&s, "--format mlx -o pairs.json");
    assert_non_null(strstr(s.out, "fc1")); /* the table, for people */
    char *file = slurp("pairs.json");
    assert_int_equal(file[0], '[');
    bd_free(file);
    shot_close(&s);
}

static void refusals(void **state)
{
    static const struct {
        const char *args, *says;
    } bad[] = {
        {"--metric kk", "kl"},
        {"--metric fihser", "fisher"},
        {"--mode alone-offf", "alone-off"},
        {"--mode alone-on,alone-off", "one word"},
        {"--what x", "--what"},
        {"--bits 0-3", "--bits"},
        {"--bits 17", "17"},
        {"--methods nothing", "nothing"},
        {"--format jsonn", "json"},
        {"--metric fisher --mode cumulative", "alone-on"},
        {"--format mlx --bits 4", "two widths"},
        {"--format exl3 --what a", "weights"},
    };
    struct shot s;

    (void)state;
    ready(&s);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        if (sweep(&s, bad[k].args) != 2)
            fail_msg("%s: status %d\n%s", bad[k].args, s.status, s.out);
        if (!strstr(s.err, bad[k].says))
            fail_msg("%s: %s", bad[k].args, s.err);
        assert_string_equal(s.out, "");
    }
    assert_int_equal(sweep(&s, "-o there/s.json"), 1);
    assert_int_equal(sweep(&s, "--json --metric kk"), 2);
    cJSON_Delete(document(&s, "bitdial.error/1"));
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),       cmocka_unit_test(table),
        cmocka_unit_test(same_bytes), cmocka_unit_test(kinds),
        cmocka_unit_test(refusals),
    };

    assert_true(argc > 1);
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
