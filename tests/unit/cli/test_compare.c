/* compare and the pictures that need measuring: keys of the contract, equal
 * bytes for any thread count, refusals in one line. */
#include "cli_run.h"

static const char *const data = "--data x.npy --preprocess raw255";

static void ready(struct shot *s)
{
    shot_open(s);
    put_model("m.onnx", false);
    put_data();
}

static void keys(void **state)
{
    struct shot s;
    char args[300];
    cJSON *j, *l, *p;

    (void)state;
    ready(&s);
    snprintf(args, sizeof args,
             "compare m.onnx uniform:3/uniform:4 uniform:3 %s --json "
             "--set 'fc1.w=uniform:5'", data);
    run_ok(&s, args);
    j = document(&s, "bitdial.compare/1");
    has_keys(j, "images a b fp32 differing layers paired");
    has_keys(cJSON_GetObjectItem(j, "a"),
             "given avg_bits_w avg_bits_a size_bytes bops top1 top1_ci95 "
             "top5 loss kl agreement");
    assert_true(number(j, "differing") == 2);
    assert_true(number(j, "images") == 30);
    l = cJSON_GetObjectItem(j, "layers")->child;
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(l, "differs")));
    has_keys(l, "name differs a b");
    l = cJSON_GetObjectItem(l, "b");
    has_keys(l, "weights activations w_psnr_db a_psnr_db stored_bits");
    assert_string_equal(cJSON_GetObjectItem(l, "activations")->valuestring,
                        "float");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(l, "a_psnr_db")));
    p = cJSON_GetObjectItem(j, "paired");
    has_keys(p, "images both_right only_a only_b both_wrong agreement "
                "p_mcnemar_exact p_mcnemar_mid");
    assert_true(number(p, "both_right") + number(p, "only_a") +
                    number(p, "only_b") + number(p, "both_wrong") == 30);
    assert_true(30 * number(cJSON_GetObjectItem(j, "a"), "top1") ==
                number(p, "both_right") + number(p, "only_a"));
    cJSON_Delete(j);
    shot_close(&s);
}

/* Differences first, whatever the place in the file; alike ones on demand. */
static void differences_first(void **state)
{
    struct shot s;
    char args[300];
    const char *alike, *first;

    (void)state;
    ready(&s);
    run_ok(&s, "export m.onnx --weights uniform:4 -o a.json");
    run_ok(&s, "export m.onnx --weights uniform:4 --set 'fc2.w=uniform:6' "
               "-o b.json");
    snprintf(args, sizeof args, "compare m.onnx a.json b.json %s", data);
    run_ok(&s, args);
    assert_null(strstr(s.out, "fc1"));
    assert_non_null(strstr(s.out, "fc2"));
    assert_non_null(strstr(s.out, "1 layer is alike"));
    assert_non_null(strstr(s.out, "images"));
    strcat(args, " --all");
    run_ok(&s, args);
    first = strstr(s.out, "fc2");
    alike = strstr(s.out, "fc1");
    assert_true(first && alike && first < alike);
    run_ok(&s, "compare m.onnx a.json a.json");
    assert_non_null(strstr(s.out, "all 2 layers are alike"));
    assert_non_null(strstr(s.out, "no accuracy"));
    shot_close(&s);
}

static void any_thread_count(void **state)
{
    struct shot s;
    char args[300], *one;

    (void)state;
    ready(&s);
    snprintf(args, sizeof args, "compare m.onnx apot:3/uniform:4 float %s "
             "--json --threads 1", data);
    run_ok(&s, args);
    one = bd_strdup(s.out);
    args[strlen(args) - 1] = '3';
    run_ok(&s, args);
    assert_string_equal(one, s.out);
    bd_free(one);
    shot_close(&s);
}

static void refusals(void **state)
{
    struct shot s;

    (void)state;
    ready(&s);
    refused(&s, "compare m.onnx uniform:3", 2, "compare MODEL A B");
    refused(&s, "compare m.onnx unifrm:3 float", 2, "uniform");
    refused(&s, "compare m.onnx uniform:33 float", 2, "uniform:33");
    refused(&s, "compare m.onnx no.json float", 2, "no.json");
    refused(&s, "compare m.onnx - -", 2, "not both");
    refused(&s, "compare m.onnx uniform:3/ float", 2, "uniform:3/");
    put("bad.json", "{\"schema\": 3}", 13);
    refused(&s, "compare m.onnx bad.json float", 2, "bad.json");
    refused(&s, "compare no.onnx float float", 2, "no.onnx");
    shot_close(&s);
}

static void is_png(const char *path)
{
    char *text = NULL;
    size_t n;

    assert_int_equal(bd_file_read(&text, &n, path, 1 << 24, NULL), BD_OK);
    assert_true(n > 1000 && memcmp(text, "\x89PNG", 4) == 0);
    bd_free(text);
}

static void pictures(void **state)
{
    static const char *const what[] = {"channels", "sensitivity",
                                       "tradeoff", "front"};
    struct shot s;
    char args[400];

    (void)state;
    ready(&s);
    for (int i = 0; i < 4; i++) {
        snprintf(args, sizeof args,
                 "plot m.onnx --what %s %s --weights uniform:4 -o %s.png "
                 "--size 320x240 --theme %s", what[i], data, what[i],
                 i == 1 ? "dark" : "light");
        run_ok(&s, args);
        snprintf(args, sizeof args, "%s.png", what[i]);
        is_png(args);
    }
    snprintf(args, sizeof args,
             "sweep m.onnx --bits 2,4 %s -o sweep.json", data);
    run_ok(&s, args);
    run_ok(&s, "plot m.onnx --what sensitivity --sweep sweep.json -o f.png");
    is_png("f.png");
    refused(&s, "plot m.onnx --what sensitivity -o g.png", 2, "--sweep");
    refused(&s, "plot m.onnx --what sensitivity --sweep no.json -o g.png", 2,
            "no.json");
    refused(&s, "plot m.onnx --what channels --layer fc9 -o g.png", 2,
            "fc1");
    refused(&s, "plot m.onnx --what chanels -o g.png", 2, "channels");
    refused(&s, "plot m.onnx --what channels -o f.png", 1, "f.png");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(differences_first),
        cmocka_unit_test(any_thread_count),
        cmocka_unit_test(refusals),
        cmocka_unit_test(pictures),
    };

    program(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
