/* The verb search, as a user runs it: written problems, a network under
 * budgets, what cannot be done, and what it prints. */
#include "cli_run.h"

#define REF "%s/hawq_resnet18/resnet18_%s.json"

static const char *folder; /* of the reference problems */

static cJSON *solve(struct shot *s, const char *name, const char *more)
{
    char args[1200];

    snprintf(args, sizeof args, "search --json %s --problem '" REF "'", more,
             folder, name);
    run_ok(s, args);
    return document(s, "bitdial.search/1");
}

static void problems(void **state)
{
    static const char *const name[] = {"size_0.5", "bops_0.25",
                                       "latency_0.75"};
    struct shot s;

    (void)state;
    shot_open(&s);
    for (int k = 0; k < 3; k++) {
        char path[1000];
        struct bd_err err = {0};
        cJSON *got = solve(&s, name[k], ""), *file = NULL;
        const cJSON *want;
        char *text;

        snprintf(path, sizeof path, REF, folder, name[k]);
        text = slurp(path);
        assert_int_equal(bd_json_parse(&file, text, strlen(text), &err), 0);
        want = cJSON_GetObjectItem(file, "optimum");
        assert_true(cJSON_Compare(cJSON_GetObjectItem(got, "bits"),
                                  cJSON_GetObjectItem(want, "bits"), true));
        assert_true(fabs(number(got, "loss") - number(want, "loss")) < 1e-9);
        assert_true(fabs(number(got, "cost") - number(want, "cost")) < 1e-6);
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(got, "optimal")));
        cJSON_Delete(got);
        cJSON_Delete(file);
        bd_free(text);
        got = solve(&s, name[k], "--method greedy -f -o greedy.json");
        text = slurp("greedy.json"); /* as standard output */
        assert_string_equal(text, s.out);
        bd_free(text);
        assert_true(number(got, "bound") <= number(got, "loss"));
        cJSON_Delete(got);
    }
    shot_close(&s);
}

static void refused_problems(void **state)
{
    static const char small[] =
        "{\"schema\":\"bitdial.problem/1\",\"budget\":1,\"layers\":[{\"name\":"
        "\"a\",\"options\":[{\"bits\":2,\"cost\":2,\"loss\":1}]}]}";
    struct shot s;

    (void)state;
    shot_open(&s);
    put("small.json", small, strlen(small));
    put("cut.json", small, strlen(small) - 3);
    refused(&s, "search --problem small.json", 1, "below 2");
    refused(&s, "search --problem cut.json", 2, "cut.json");
    refused(&s, "search --problem nothing.json", 2, "nothing.json");
    refused(&s, "search --problem small.json m.onnx", 2, "place of a model");
    refused(&s, "search --problem small.json --method measured", 2, "--method");
    refused(&s, "search", 2, "usage");
    put("list.json", "[]", 2);
    refused(&s, "search --problem list.json", 2, "list.json: the document");
    run(&s, "search --json --problem small.json");
    assert_int_equal(s.status, 1);
    cJSON_Delete(document(&s, "bitdial.error/1"));
    shot_close(&s);
}

static void a_network(void **state)
{
    struct shot s;
    cJSON *j, *again;
    double avg;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    run_ok(&s, "search m.onnx --weights uniform:3 --budget avg-bits=6 --json "
               "--method dp,greedy -o bits.json");
    j = document(&s, "bitdial.search/1");
    has_keys(j, "config objective cost budget bound optimal front baselines");
    has_keys(cJSON_GetObjectItem(j, "config"), "schema model layers metrics");
    avg = number(j, "cost");
    assert_true(avg <= 6 && number(j, "budget") == 6);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(j, "baselines")) == 2);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(j, "front")) > 2);
    /* The file holds the same, and counting it again gives the same. */
    run_ok(&s, "export m.onnx --config bits.json");
    assert_non_null(strstr(s.out, "bitdial.config/1"));
    run_ok(&s, "search m.onnx --weights uniform:3 --budget avg-bits=6 --json "
               "--method dp,greedy --threads 1");
    again = document(&s, "bitdial.search/1");
    assert_true(cJSON_Compare(j, again, true));
    cJSON_Delete(j);
    cJSON_Delete(again);
    run_ok(&s, "search m.onnx --weights uniform:6 --budget size=same");
    assert_non_null(strstr(s.out, "optimal"));
    shot_close(&s);
}

/* The document that was written says what was measured of its choice, also
 * when a baseline was measured after it. */
static void check_file(const cJSON *said, const char *path)
{
    struct bd_err err = {0};
    char *text = slurp(path);
    const cJSON *m;
    cJSON *file = NULL;

    assert_int_equal(bd_json_parse(&file, text, strlen(text), &err), 0);
    m = cJSON_GetObjectItem(file, "metrics");
    has_keys(m, "avg_bits_w size_bytes top1 images");
    assert_true(number(m, "top1") == number(said, "top1"));
    assert_true(number(m, "images") == number(said, "images"));
    assert_true(number(m, "size_bytes") == number(said, "size_bytes"));
    assert_true(number(m, "avg_bits_w") == number(said, "avg_bits_w"));
    cJSON_Delete(file);
    bd_free(text);
}

static void with_images(void **state)
{
    struct shot s;
    cJSON *j;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    run_ok(&s, "search m.onnx --data x.npy --preprocess raw255 --weights "
               "uniform:4 --budget avg-bits=6 --json --method dp,measured "
               "--evaluations 5 -o bits.json");
    j = document(&s, "bitdial.search/1");
    has_keys(j, "top1 images");
    assert_int_equal((int)number(j, "images"), 30);
    check_file(j, "bits.json");
    assert_non_null(strstr(cJSON_GetStringValue(
                               cJSON_GetObjectItem(j, "losses")), "kl of"));
    cJSON_Delete(j);
    run_ok(&s, "search m.onnx --data x.npy --preprocess raw255 --budget "
               "max-drop=100 --json -f -o bits.json");
    j = document(&s, "bitdial.search/1");
    check_file(j, "bits.json");
    cJSON_Delete(j);
    /* What a sweep wrote is read back. */
    run_ok(&s, "sweep m.onnx --data x.npy --preprocess raw255 --json "
               "-o sens.json --bits 3,5");
    run_ok(&s, "search m.onnx --weights uniform:4 --sensitivity sens.json "
               "--budget avg-bits=6 --json");
    j = document(&s, "bitdial.search/1");
    assert_non_null(strstr(cJSON_GetStringValue(
                               cJSON_GetObjectItem(j, "losses")), "kl of"));
    cJSON_Delete(j);
    /* Another program's does not say of how many images it was made. */
    run_ok(&s, "sweep m.onnx --data x.npy --preprocess raw255 --format exl3 "
               "-o exl3.json --bits 3,5");
    run_ok(&s, "search m.onnx --weights uniform:4 --sensitivity exl3.json "
               "--budget avg-bits=6 --json");
    j = document(&s, "bitdial.search/1");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(j, "losses")),
                        "kl from a file");
    cJSON_Delete(j);
    shot_close(&s);
}

/* Under bit operations the inputs are chosen too; a file of the choice costs
 * what was said. */
static void with_inputs(void **state)
{
    static const char *const data = "--data x.npy --preprocess raw255 ";
    struct shot s;
    char args[200];
    cJSON *j, *eval;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    snprintf(args, sizeof args, "search m.onnx %s--weights uniform:4 "
             "--activations uniform:4 --budget bops=same --json -o bits.json",
             data);
    run_ok(&s, args);
    j = document(&s, "bitdial.search/1");
    has_keys(j, "what avg_bits_a bops");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(j, "what")),
                        "w,a");
    assert_null(strstr(cJSON_GetStringValue(
                           cJSON_GetObjectItem(j, "losses")), "ratio"));
    assert_true(number(j, "cost") <= number(j, "budget"));
    snprintf(args, sizeof args, "eval m.onnx %s--config bits.json --json",
             data);
    run_ok(&s, args);
    eval = document(&s, "bitdial.eval/1");
    assert_true(number(eval, "bops") == number(j, "cost"));
    assert_true(number(eval, "avg_bits_a") == number(j, "avg_bits_a"));
    cJSON_Delete(eval);
    cJSON_Delete(j);
    snprintf(args, sizeof args, "search m.onnx %s--what a --budget "
             "avg-bits=3.5", data);
    run_ok(&s, args);
    assert_non_null(strstr(s.out, "avg-bits of inputs 3.5"));
    snprintf(args, sizeof args, "search m.onnx %s--what a --budget size=900",
             data);
    refused(&s, args, 2, "counts weights");
    refused(&s, "search m.onnx --what a --budget bops=same", 2, "images");
    refused(&s, "search m.onnx --what b", 2, "--what 'b'");
    refused(&s, "search m.onnx --what w,", 2, "--what 'w,'");
    shot_close(&s);
}

/* Layers that are locked keep what they have, whatever searches; ties are
 * kept or refused. */
static void locks_and_ties(void **state)
{
#define ASK                                                                   \
    "search m.onnx --data x.npy --preprocess raw255 -w uniform:5 -a "         \
    "uniform:7 --budget avg-bits=6 --json "
    static const char *const how[] = {"dp",      "greedy",   "lagrange",
                                      "channel", "measured", "bottleneck"};
    struct shot s;
    char args[300];

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put_data();
    for (size_t k = 0; k < sizeof how / sizeof *how; k++) {
        const cJSON *l;
        cJSON *j;

        snprintf(args, sizeof args, ASK "--lock fc2 --method %s", how[k]);
        run_ok(&s, args);
        j = document(&s, "bitdial.search/1");
        l = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "config"), "layers");
        l = cJSON_GetArrayItem(l, 1);
        assert_true(number(cJSON_GetObjectItem(l, "weights"), "bits") == 5);
        assert_true(number(cJSON_GetObjectItem(l, "activations"), "bits") ==
                    7);
        cJSON_Delete(j);
        if (k < 3)
            continue;
        snprintf(args, sizeof args, ASK "--tie fc1=fc2 --method %s", how[k]);
        assert_int_equal(run(&s, args), 2);
        assert_non_null(strstr(s.out, "dp keeps ties"));
    }
    assert_int_equal(run(&s, ASK "--tie fc1=fc2 --lock fc1"), 2);
    assert_non_null(strstr(s.out, "tied layer 'fc1' is locked, 'fc2' is not"));
    run_ok(&s, ASK "--tie fc1=fc2 --lock 'fc*'");
    shot_close(&s);
#undef ASK
}

static void refused_requests(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    refused(&s, "search m.onnx --budget avg-bits=0.1", 1, "smallest possible");
    refused(&s, "search m.onnx --budget size=3", 1, "smallest possible");
    refused(&s, "search m.onnx --budget avg-bits=4 --lock fc2 -w uniform:5 "
                "--method channel", 1, "avg-bits=4: the smallest possible");
    refused(&s, "search m.onnx --budget bits=3", 2, "avg-bits");
    refused(&s, "search m.onnx --budget avg-bits", 2, "KIND=NUMBER");
    refused(&s, "search m.onnx --budget avg-bits=x", 2, "number");
    refused(&s, "search m.onnx --method dq", 2, "did you mean 'dp'");
    refused(&s, "search m.onnx --methods unifrm --budget avg-bits=5", 2,
            "did you mean 'uniform'");
    refused(&s, "search m.onnx --lock zz --budget avg-bits=5", 2, "zz");
    refused(&s, "search m.onnx --lock fc11", 2, "did you mean 'fc1'");
    refused(&s, "search m.onnx --tie zz --budget avg-bits=5", 2, "zz");
    refused(&s, "search m.onnx --tie fc1=fc22", 2, "did you mean 'fc2'");
    refused(&s, "search m.onnx --tie fc11=fc2", 2, "did you mean 'fc1'");
    refused(&s, "search m.onnx --bits 2-17", 2, "1 to 16");
    refused(&s, "search m.onnx --budget max-drop=1", 2, "data");
    refused(&s, "search m.onnx --sensitivity none.json", 2, "none.json");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems), cmocka_unit_test(refused_problems),
        cmocka_unit_test(a_network), cmocka_unit_test(with_images),
        cmocka_unit_test(locks_and_ties),
        cmocka_unit_test(with_inputs), cmocka_unit_test(refused_requests)};

    if (argc < 3)
        return 2;
    program(argv[1]);
    folder = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
