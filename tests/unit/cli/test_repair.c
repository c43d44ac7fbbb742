/* repair: numbers before and after, the repaired network as a file, the same
 * bytes for any thread count, refusals before any work. */
#include "cli_run.h"

#define DATA "--data x.npy --preprocess raw255"

static void says_before_and_after(void **state)
{
    struct shot s;
    cJSON *j, *l;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    run_ok(&s, "repair m.onnx " DATA " -w uniform:3 --what equalize,"
               "bias-correction -o r.onnx --json");
    j = document(&s, "bitdial.repair/1");
    has_keys(j, "repairs before after layers path");
    l = cJSON_GetObjectItem(j, "repairs");
    assert_int_equal(cJSON_GetArraySize(l), 2);
    assert_string_equal(l->child->valuestring, "equalize: 1 pair");
    has_keys(cJSON_GetObjectItem(j, "before"),
             "top1 top1_ci95 loss kl images");
    has_keys(cJSON_GetObjectItem(j, "layers")->child,
             "name w_sqnr_db_before w_sqnr_db out_sqnr_db_before "
             "out_sqnr_db");
    double loss = number(cJSON_GetObjectItem(j, "after"), "loss");
    assert_true(loss != number(cJSON_GetObjectItem(j, "before"), "loss"));
    cJSON_Delete(j);

    /* The file is that network. */
    run_ok(&s, "eval r.onnx " DATA " -w uniform:3 --json");
    j = document(&s, "bitdial.eval/1");
    assert_true(fabs(number(j, "loss") - loss) < 1e-6);
    cJSON_Delete(j);

    /* An existing file is kept, and told before the work. */
    assert_int_equal(run(&s, "repair m.onnx --what equalize -o r.onnx"), 1);
    assert_non_null(strstr(s.err, "exists"));
    shot_close(&s);
}

static void threads_change_nothing(void **state)
{
    struct shot s;
    char *one, *three;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    run_ok(&s, "repair m.onnx " DATA " -w uniform:3 --what adaround,"
               "bias-correction --iterations 40 -j 1 -o a.onnx");
    run_ok(&s, "repair m.onnx " DATA " -w uniform:3 --what adaround,"
               "bias-correction --iterations 40 -j 3 -o b.onnx");
    one = slurp("a.onnx");
    three = slurp("b.onnx");
    struct stat a, b;
    assert_int_equal(stat("a.onnx", &a), 0);
    assert_int_equal(stat("b.onnx", &b), 0);
    assert_int_equal(a.st_size, b.st_size);
    assert_memory_equal(one, three, (size_t)a.st_size);
    bd_free(one);
    bd_free(three);
    shot_close(&s);
}

static void needs_no_data_where_none_is_looked_at(void **state)
{
    struct shot s;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "repair m.onnx --what equalize --json");
    j = document(&s, "bitdial.repair/1");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "before")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "path")));
    cJSON_Delete(j);
    shot_close(&s);
}

static void refusals(void **state)
{
    static const struct {
        const char *args, *words;
    } cases[] = {
        {"repair m.onnx", "--what names repairs"},
        {"repair m.onnx --what equalise", "did you mean 'equalize'?"},
        {"repair m.onnx --what equalize,", "no repair ''"},
        {"repair m.onnx --what bn-fold", "BatchNormalization"},
        {"repair m.onnx --what bias-correction", "--data"},
        {"repair m.onnx --what bn-tune", "--data"},
        {"repair m.onnx " DATA " --what bn-tune",
         "bias-correction puts means back"},
        {"repair m.onnx --what equalize --layer nothing*", "--layer"},
        {"repair m.onnx --what mse-clip", "nothing quantized"},
    };
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = run(&s, cases[i].args);
        if (rc != 2 || !strstr(s.err, cases[i].words))
            fail_msg("%s: status %d, %s", cases[i].args, rc, s.err);
        assert_string_equal(s.out, "");
    }
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_before_and_after),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(needs_no_data_where_none_is_looked_at),
        cmocka_unit_test(refusals),
    };

    program(argc > 1 ? argv[1] : "bitdial");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
