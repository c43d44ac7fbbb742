/* The verb bottleneck: keys of the contract, the same bytes for any number of
 * threads, a configuration that evaluates, and refusals. */
#include "cli_run.h"

static const char base[] =
    "bottleneck m.onnx --data x.npy --preprocess mnist01 ";

static void ask(struct shot *s, const char *more)
{
    char args[300];
    snprintf(args, sizeof args, "%s%s", base, more);
    run_ok(s, args);
}

static void document_of_layers(void **state)
{
    struct shot s;
    cJSON *j, *l, *t;
    char *first;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    ask(&s, "--psnr-min 30 --json --threads 1");
    j = document(&s, "bitdial.bottleneck/1");
    has_keys(j, "layers rate_mean rate_weighted rate_with_sign entropy_bits");
    l = cJSON_GetObjectItem(j, "layers");
    assert_int_equal(cJSON_GetArraySize(l), 2);
    cJSON_ArrayForEach(t, l)
    {
        const cJSON *row, *rows = cJSON_GetObjectItem(t, "table");
        int k = (int)number(t, "planes_kept");

        has_keys(t, "name planes_kept mask alphas_lsb_first psnr_db sqnr_db "
                    "rate table");
        assert_true(number(t, "psnr_db") >= 30);
        assert_int_equal(
            cJSON_GetArraySize(cJSON_GetObjectItem(t, "alphas_lsb_first")), 8);
        cJSON_ArrayForEach(row, rows)
        {
            has_keys(row, "k mask alphas psnr_db");
            if (number(row, "k") < k && number(row, "k") >= 1)
                assert_true(number(row, "psnr_db") < 30);
        }
    }
    cJSON_Delete(j);
    first = s.out;
    s.out = NULL;
    ask(&s, "--psnr-min 30 --json --threads 3");
    assert_string_equal(s.out, first);
    bd_free(first);
    shot_close(&s);
}

/* All but where a document came from. */
static void without_origin(char *text)
{
    char *at = strstr(text, "\"provenance\"");

    assert_non_null(at);
    *at = '\0';
}

/* -o writes config/1 with the planes, which reads back the same and runs. */
static void configuration(void **state)
{
    struct shot s;
    char *first;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    ask(&s, "--avg-rate 4 -o c.json");
    bd_free(s.out);
    s.out = slurp("c.json");
    first = bd_strdup(s.out);
    assert_non_null(strstr(first, "\"method\": \"bottleneck\""));
    assert_non_null(strstr(first, "\"planes\": {\"of\": 8, \"mask\": "));
    run_ok(&s, "export m.onnx --config c.json -o d.json");
    bd_free(s.out);
    s.out = slurp("d.json");
    without_origin(first);
    without_origin(s.out);
    assert_string_equal(s.out, first);
    bd_free(first);
    run_ok(&s, "eval m.onnx --data x.npy --preprocess mnist01 --config c.json "
               "--json");
    j = document(&s, "bitdial.eval/1");
    assert_true(number(j, "avg_bits_a") <= 4);
    cJSON_Delete(j);
    assert_int_equal(run(&s, "bottleneck m.onnx --data x.npy --preprocess "
                             "mnist01 -o c.json"),
                     1); /* there already */
    shot_close(&s);
}

/* Fewer planes by the exact way than by the published one. */
static void solvers(void **state)
{
    static const char *const name[3] = {"subset", "lasso", "lasso-refit"};
    double k[3], db[3];
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    for (int i = 0; i < 3; i++) {
        char more[80], args[300];
        cJSON *j, *l;

        snprintf(more, sizeof more, "--psnr-loss 24 --solver %s --json",
                 name[i]);
        /* The Lasso may miss what it was asked for: status 1. */
        snprintf(args, sizeof args, "%s%s", base, more);
        assert_in_range(run(&s, args), 0, i == 0 ? 0 : 1);
        j = document(&s, "bitdial.bottleneck/1");
        /* The second: pixels of 8 bits are exact with 8 planes. */
        l = cJSON_GetObjectItem(j, "layers")->child->next;
        k[i] = number(l, "planes_kept");
        db[i] = number(l, "psnr_db");
        cJSON_Delete(j);
    }
    assert_true(k[0] <= k[1]);
    assert_true(k[1] == k[2]);
    assert_true(db[2] >= db[1]);
    shot_close(&s);
}

/* What five planes of five cannot reach is said, with status 1. */
static void out_of_reach(void **state)
{
    struct shot s;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    assert_int_equal(run(&s, "bottleneck m.onnx --data x.npy --preprocess "
                             "mnist01 --planes 5 --psnr-loss 8 --nominal"),
                     1);
    assert_non_null(strstr(s.err, "do not reach"));
    assert_non_null(strstr(s.out, "#####"));
    run_ok(&s, "bottleneck m.onnx --what w --psnr-min 20 --json");
    j = document(&s, "bitdial.bottleneck/1"); /* weights: no data needed */
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "layers")), 2);
    cJSON_Delete(j);
    ask(&s, "--range largest3 --layer fc1");
    ask(&s, "--range percentile99 --dither --seed 3");
    shot_close(&s);
}

static void refusals(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
#define R(more, text)                                                          \
    refused(&s, "bottleneck m.onnx --data x.npy --preprocess mnist01 " more,   \
            2, text)
    R("--solver laso", "--solver 'laso'");
    R("--range lots", "--range 'lots'");
    R("--range largest0", "--range 'largest0'");
    R("--range max:4", "--range 'max:4'");
    R("--psnr-min 30 --psnr-loss 8", "one of them");
    R("--avg-rate 9", "--avg-rate 9");
    R("--avg-rate 4 --solver lasso", "--solver subset");
    R("--planes 9", "--planes '9'");
    R("--psnr-min -3", "--psnr-min '-3'");
    R("--layer nothing", "no layer matches 'nothing'");
    R("--layer fc11", "did you mean 'fc1'");
    R("--what x", "--what 'x'");
    refused(&s, "bottleneck m.onnx", 2, "calibration images");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document_of_layers),
        cmocka_unit_test(configuration),
        cmocka_unit_test(solvers),
        cmocka_unit_test(out_of_reach),
        cmocka_unit_test(refusals),
    };

    program(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
