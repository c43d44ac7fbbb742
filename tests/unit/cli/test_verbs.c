/* Every verb on a small network: the keys of the contract, equal bytes for
 * any thread count, files written whole and never over others. */
#include "cli_run.h"

static void info(void **state)
{
    struct shot s;
    cJSON *j, *l;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "info m.onnx --json");
    j = document(&s, "bitdial.info/1");
    has_keys(j, "format layers inputs outputs params macs opset unsupported "
                "warnings");
    l = cJSON_GetObjectItem(j, "layers");
    assert_int_equal(cJSON_GetArraySize(l), 2);
    has_keys(l->child, "name op weight shape params macs channels input "
                       "output group min max mean std zeros nonfinite "
                       "learned_w learned_a");
    assert_true(number(l->child, "macs") == 96);
    assert_true(number(l->child, "channels") == 8);
    assert_true(number(j, "params") == 12 * 8 + 8 + 8 * 3 + 3);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(l->child, "learned_w")));
    l = cJSON_GetObjectItem(j, "outputs")->child;
    assert_string_equal(cJSON_GetObjectItem(l, "dtype")->valuestring,
                        "float32");
    cJSON_Delete(j);
    run_ok(&s, "info m.onnx");
    assert_non_null(strstr(s.out, "8x12"));
    shot_close(&s);
}

static void info_counts_nan(void **state)
{
    struct shot s;
    cJSON *j, *l;

    (void)state;
    shot_open(&s);
    put_model("nan.onnx", true);
    run_ok(&s, "info nan.onnx --json");
    j = document(&s, "bitdial.info/1");
    l = cJSON_GetObjectItem(j, "layers")->child;
    assert_true(number(l, "nonfinite") == 1);
    assert_true(isfinite(number(l, "max")));
    cJSON_Delete(j);
    shot_close(&s);
}

static void levels(void **state)
{
    static const double want[] = {-1, -0.5, -0.25, 0, 0.25, 0.5, 1};
    struct shot s;
    cJSON *j, *l;

    (void)state;
    shot_open(&s);
    run_ok(&s, "levels apot:3 --json");
    j = document(&s, "bitdial.levels/1");
    l = cJSON_GetObjectItem(j, "levels");
    assert_int_equal(cJSON_GetArraySize(l), 7);
    for (int k = 0; k < 7; k++)
        assert_true(cJSON_GetArrayItem(l, k)->valuedouble == want[k]);
    cJSON_Delete(j);
    run_ok(&s, "levels uniform:2 --unsigned");
    assert_string_equal(s.out, "0\n0.3333333333\n0.6666666667\n1\n");
    run_ok(&s, "levels binary:1");
    assert_string_equal(s.out, "-1\n1\n");
    run_ok(&s, "levels ternary:2");
    assert_string_equal(s.out, "-1\n0\n1\n");
    shot_close(&s);
}

/* Methods that learn show what they learn from normal weights: two bits give
 * Max's quantizer, whose inner level is 0.4528 / 1.510 of the outer. */
static void levels_learned(void **state)
{
    struct shot s;
    cJSON *j, *l;

    (void)state;
    shot_open(&s);
    run_ok(&s, "levels kmeans:2 --json");
    assert_non_null(strstr(s.err, "normally distributed"));
    j = document(&s, "bitdial.levels/1");
    l = cJSON_GetObjectItem(j, "levels");
    assert_int_equal(cJSON_GetArraySize(l), 4);
    assert_true(cJSON_GetArrayItem(l, 3)->valuedouble == 1);
    assert_true(fabs(cJSON_GetArrayItem(l, 2)->valuedouble - 0.2998) < 1e-3);
    cJSON_Delete(j);
    run_ok(&s, "levels fp4 --unsigned"); /* a short name, its only width */
    assert_string_equal(s.out, "0\n0.08333333333\n0.1666666667\n0.25\n"
                               "0.3333333333\n0.5\n0.6666666667\n1\n");
    shot_close(&s);
}

/* Without a grain each method has its own; blocks keep theirs in any case. */
static void analyze_grains(void **state)
{
    const char *want[] = {"tensor", "group64", "group32", "channel", "channel",
                          "group32"};
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    for (int k = 0; k < 2; k++) {
        cJSON *j, *r;
        int i = 3 * k;

        run_ok(&s, k ? "analyze m.onnx --methods uniform,nf4,mxfp4 --bits 4 "
                       "--grain channel --json"
                     : "analyze m.onnx --methods uniform,nf4,mxfp4 --bits 4 "
                       "--json");
        j = document(&s, "bitdial.analyze/1");
        cJSON_ArrayForEach(r, cJSON_GetObjectItem(
                                  cJSON_GetObjectItem(j, "layers")->child,
                                  "results"))
            assert_string_equal(
                cJSON_GetObjectItem(r, "grain")->valuestring, want[i++]);
        assert_int_equal(i, 3 * k + 3);
        cJSON_Delete(j);
    }
    shot_close(&s);
}

/* Learned levels, floats and blocks in a document, read back and written
 * again: the same bytes. */
static void documents_of_formats(void **state)
{
    const char *const choice[] = {
        "weights kmeans:3:channel", "weights nf4", "weights fp8-e5m2",
        "weights mxfp6-e3m2", "weights mxint8", "activations fp8-e4m3",
        "activations fp4-e2m1:4:tensor:mse"};
    char line[256];
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    for (size_t i = 0; i < sizeof choice / sizeof *choice; i++) {
        char *a = NULL, *b = NULL;
        size_t na, nb;

        snprintf(line, sizeof line, "export m.onnx --force -o a.json --%s",
                 choice[i]);
        run_ok(&s, line);
        run_ok(&s, "export m.onnx --config a.json --force -o b.json");
        assert_int_equal(bd_file_read(&a, &na, "a.json", 1 << 20, NULL),
                         BD_OK);
        assert_int_equal(bd_file_read(&b, &nb, "b.json", 1 << 20, NULL),
                         BD_OK);
        assert_true(na == nb && memcmp(a, b, na) == 0);
        bd_free(a);
        bd_free(b);
    }
    shot_close(&s);
}

static void analyze(void **state)
{
    struct shot s;
    cJSON *j, *r;
    char *first;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "analyze m.onnx --methods uniform,binary --bits 1-3 "
               "--grain channel --clip max --json --threads 1");
    j = document(&s, "bitdial.analyze/1");
    r = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "layers")->child, "results");
    assert_int_equal(cJSON_GetArraySize(r), 3); /* uniform 2, 3; binary 1 */
    has_keys(r->child, "method bits grain clip clip_value mse psnr_db "
                       "sqnr_db cosine max_err levels_used zeros "
                       "entropy_bits stored_bits");
    assert_true(number(cJSON_GetArrayItem(r, 1), "psnr_db") >
                number(cJSON_GetArrayItem(r, 0), "psnr_db"));
    cJSON_Delete(j);
    first = s.out;
    s.out = NULL;
    run_ok(&s, "analyze m.onnx --methods uniform,binary --bits 1-3 "
               "--grain channel --clip max --json --threads 3");
    assert_string_equal(s.out, first);
    bd_free(first);
    run_ok(&s, "analyze m.onnx");
    assert_non_null(strstr(s.out, "4 bits"));
    shot_close(&s);
}

/* Without a terminal, opening prints the analysis and says so. */
static void open_without_terminal(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "m.onnx");
    assert_non_null(strstr(s.out, "PSNR in dB"));
    assert_non_null(strstr(s.err, "terminal"));
    run_ok(&s, "open m.onnx --json");
    cJSON_Delete(document(&s, "bitdial.analyze/1"));
    shot_close(&s);
}

static void cut_at(char *text, const char *word)
{
    char *p = strstr(text, word);

    assert_non_null(p);
    *p = '\0';
}

/* The document but for its last number, which is a speed. */
static void forget_speed(char *text)
{
    cut_at(text, "\"images_per_s\"");
}

static void eval(void **state)
{
    static const char cmd[] =
        "eval m.onnx --data x.npy --preprocess mnist01 --weights apot:3 "
        "--activations uniform:4 --json --threads ";
    struct shot s;
    char args[256], *first;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    snprintf(args, sizeof args, "%s1", cmd);
    run_ok(&s, args);
    j = document(&s, "bitdial.eval/1");
    has_keys(j, "images top1 top1_ci95 top5 loss kl agreement fp32 "
                "avg_bits_w avg_bits_a size_bytes bops layers "
                "images_per_s");
    assert_true(number(j, "images") == 30);
    assert_true(number(j, "top1") >= 0 && number(j, "top1") <= 1);
    assert_true(number(j, "avg_bits_a") == 4);
    has_keys(cJSON_GetObjectItem(j, "fp32"), "top1 top5 loss");
    has_keys(cJSON_GetObjectItem(j, "layers")->child,
             "name w_psnr_db a_psnr_db out_sqnr_db");
    cJSON_Delete(j);
    first = s.out;
    s.out = NULL;
    forget_speed(first);
    snprintf(args, sizeof args, "%s3", cmd);
    run_ok(&s, args);
    forget_speed(s.out);
    assert_string_equal(s.out, first);
    bd_free(first);
    assert_int_equal(run(&s, "eval m.onnx --data x.npy --preprocess mnist01 "
                             "--require 1.5"),
                     1);
    refused(&s, "eval m.onnx", 2, "bitdial: ");
    refused(&s, "eval m.onnx --data x.npy --preprocess mnist01 --skip 30", 2,
            "bitdial: x.npy: 30 images");
    shot_close(&s);
}

static void export_config(void **state)
{
    struct shot s;
    char *first;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "export m.onnx --weights apot:4:tensor:mse -o c.json --json");
    j = document(&s, "bitdial.export/1");
    has_keys(j, "format path lost");
    cJSON_Delete(j);
    first = slurp("c.json");
    refused(&s, "export m.onnx --weights uniform:2 -o c.json", 1, "c.json");
    run_ok(&s, "export m.onnx --config c.json -o d.json");
    bd_free(s.out);
    s.out = slurp("d.json");
    assert_string_equal(s.out, first); /* read and written back: the same */
    run_ok(&s, "export m.onnx --config c.json");
    assert_string_equal(s.out, first);
    run_ok(&s, "export m.onnx --weights uniform:2 -o c.json --force");
    bd_free(s.out);
    s.out = slurp("c.json");
    assert_string_not_equal(s.out, first);
    /* The # hides the redirections that usually end the line. */
    run_ok(&s, "export m.onnx -c - <d.json >.out 2>.err #");
    bd_free(first);
    first = slurp("d.json");
    assert_string_equal(s.out, first);
    bd_free(first);
    refused(&s, "export m.onnx -o nowhere/c.json", 1, "nowhere/c.json");
    refused(&s, "export m.onnx --config absent.json", 2, "absent.json");
    shot_close(&s);
}

/* Clips of activations come from data; a document that has them keeps them
 * when it passes through without. */
static void activation_clips_survive(void **state)
{
    struct shot s;
    char *first;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    run_ok(&s, "export m.onnx --activations uniform:4:tensor:mse --data x.npy "
               "--preprocess mnist01 -o c.json");
    bd_free(s.out);
    s.out = slurp("c.json");
    first = bd_strdup(s.out);
    assert_non_null(strstr(first, "\"signed\": false, \"clip\": {\"rule\": "
                                  "\"mse\", \"value\": "));
    run_ok(&s, "export m.onnx --config c.json -o d.json");
    bd_free(s.out);
    s.out = slurp("d.json");
    /* All but where they came from. */
    cut_at(first, "\"provenance\"");
    cut_at(s.out, "\"provenance\"");
    assert_string_equal(s.out, first);
    bd_free(first);
    shot_close(&s);
}

/* What is odd in a document is said by every verb that reads one. */
static void export_warns(void **state)
{
    static const char text[] =
        "{\"schema\": \"bitdial.config/1\", \"extra\": 1, \"layers\": []}";
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put("c.json", text, sizeof text - 1);
    run_ok(&s, "export m.onnx --config c.json");
    assert_non_null(strstr(s.err, "'extra'"));
    shot_close(&s);
}

static void plot(void **state)
{
    static const char bits[] =
        "{\"schema\": \"bitdial.config/1\", \"layers\": [{\"name\": \"fc1\", "
        "\"weights\": {\"method\": \"uniform\", \"bits\": 4, \"grain\": "
        "\"channel\", \"channel_bits\": [0, 4, 5, 32, 4, 4, 4, 4]}}]}";
    struct shot s;
    char *png;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "plot m.onnx --weights apot:4 -o h.png --size 300x200 --log");
    run_ok(&s, "plot m.onnx --weights uniform:3:channel --what grid "
               "--theme dark -o g.png --json");
    cJSON_Delete(document(&s, "bitdial.plot/1"));
    png = slurp("h.png");
    assert_memory_equal(png, "\x89PNG", 4);
    assert_int_equal((uint8_t)png[18] * 256 + (uint8_t)png[19], 300);
    bd_free(png);
    refused(&s, "plot m.onnx -o h.png", 1, "h.png");
    /* A first channel without bits has no grid to draw. */
    put("c.json", bits, sizeof bits - 1);
    run_ok(&s, "plot m.onnx --config c.json -o c.png");
    refused(&s, "plot m.onnx --config c.json --what grid -o d.png", 2,
            "channel 0");
    shot_close(&s);
}

static void run_and_compare(void **state)
{
    const float x[12] = {0.1F, -0.2F, 0.3F, 0.4F};
    struct shot s;
    cJSON *j, *o;
    char *y;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    assert_int_equal(mkdir("in", 0700) | mkdir("out", 0700), 0);
    put_npy("in/input_0.npy", "<f4", "(1, 3, 2, 2)", x, sizeof x);
    run_ok(&s, "run m.onnx --inputs in -o out");
    run_ok(&s, "run m.onnx --inputs in --expect out --json");
    j = document(&s, "bitdial.run/1");
    o = cJSON_GetObjectItem(j, "outputs")->child;
    has_keys(o, "name dtype shape max_abs_err max_rel_err equal");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "equal")));
    has_keys(j, "ms");
    cJSON_Delete(j);
    y = slurp("out/output_0.npy");
    y[128 + 3] ^= 0x40; /* exponent of the first value */
    put("out/output_0.npy", y, 128 + 12);
    bd_free(y);
    assert_int_equal(run(&s, "run m.onnx --inputs in --expect out"), 1);
    assert_non_null(strstr(s.out, "different"));
    put_npy("in/input_0.npy", "<f4", "(3, 2, 2)", x, sizeof x);
    refused(&s, "run m.onnx --inputs in", 2, "input_0.npy");
    put_npy("in/input_0.npy", "|u1", "(1, 3, 2, 2)", x, 12);
    refused(&s, "run m.onnx --inputs in", 2, "input_0.npy");
    refused(&s, "run m.onnx --inputs out", 2, "out");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info),
        cmocka_unit_test(info_counts_nan),
        cmocka_unit_test(levels),
        cmocka_unit_test(levels_learned),
        cmocka_unit_test(analyze_grains),
        cmocka_unit_test(documents_of_formats),
        cmocka_unit_test(analyze),
        cmocka_unit_test(open_without_terminal),
        cmocka_unit_test(eval),
        cmocka_unit_test(export_config),
        cmocka_unit_test(activation_clips_survive),
        cmocka_unit_test(export_warns),
        cmocka_unit_test(plot),
        cmocka_unit_test(run_and_compare),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s BITDIAL\n", argv[0]);
        return 2;
    }
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
