/* The verb channels: keys of the contract, the same bytes for any number of
 * threads, tables out and in, the table of widths, refusals. */
#include "cli_run.h"

#define BASE "channels m.onnx --data x.npy --preprocess raw255 --split fc2 "

static void begin(struct shot *s)
{
    shot_open(s);
    put_model("m.onnx", false);
    put_data();
}

/* Times differ; everything else may not. */
static char *without_times(const char *json)
{
    char *copy = strdup(json);

    for (char *p = copy; (p = strstr(p, "ms\":")) != NULL; p++)
        for (p += 4; *p == ' ' || *p == '.' || *p == '-' || *p == 'e' ||
                     *p == '+' || (*p >= '0' && *p <= '9');
             p++)
            *p = '_';
    return copy;
}

/* Without the digits of the times, which may differ in count. */
static void squeeze(char *s)
{
    char *w = s;

    for (; *s; s++)
        if (*s != '_')
            *w++ = *s;
    *w = '\0';
}

static void contract(void **state)
{
    struct shot s;
    cJSON *j;
    const cJSON *i, *b;
    double last;
    int sum = 0, n = 0;

    (void)state;
    begin(&s);
    run_ok(&s, BASE "--quantizer uniform --avg-bits 3 --alpha .9 --beta .1 "
                    "--reserve-interval 12 --json");
    j = document(&s, "bitdial.channels/1");
    has_keys(j, "split channels bits output_mse output_mse_uniform iterations "
                "ms");
    assert_string_equal(cJSON_GetObjectItem(j, "split")->valuestring, "fc2");
    assert_true(number(j, "channels") == 8);
    cJSON_ArrayForEach(b, cJSON_GetObjectItem(j, "bits"))
    {
        sum += (int)b->valuedouble;
        n++;
    }
    assert_int_equal(n, 8);
    assert_true(sum + (int)number(j, "unspent_bits") == 24);
    last = number(j, "output_mse_start");
    cJSON_ArrayForEach(i, cJSON_GetObjectItem(j, "iterations"))
    {
        assert_true(number(i, "output_mse") <= last);
        last = number(i, "output_mse");
    }
    assert_true(last == number(j, "output_mse"));
    assert_int_equal(
        cJSON_GetArraySize(cJSON_GetObjectItem(j, "iterations")), 12);
    cJSON_Delete(j);
    shot_close(&s);
}

static void threads(void **state)
{
    struct shot s;
    char *first, *second;

    (void)state;
    begin(&s);
    run_ok(&s, BASE "--avg-bits 2-4 --json --threads 1");
    first = without_times(s.out);
    run_ok(&s, BASE "--avg-bits 2-4 --json --threads 3");
    second = without_times(s.out);
    squeeze(first);
    squeeze(second);
    assert_string_equal(first, second);
    free(first);
    free(second);
    shot_close(&s);
}

static void tables(void **state)
{
    struct shot s;
    cJSON *a, *b;

    (void)state;
    begin(&s);
    run_ok(&s, BASE "--table t.csv --json");
    assert_non_null(strstr(s.err, "intervals written to t.csv"));
    a = document(&s, "bitdial.channels/1");
    run_ok(&s, BASE "--table t.csv --json");
    assert_null(strstr(s.err, "written"));
    b = document(&s, "bitdial.channels/1");
    assert_true(number(a, "output_mse") == number(b, "output_mse"));
    cJSON_Delete(a);
    cJSON_Delete(b);
    refused(&s, BASE "--table t.csv --quantizer log", 2, "t.csv: line 3: table "
            "of quantizer 'uniform', 'log' is asked for");
    refused(&s, BASE "--table nowhere/t.csv", 1, "nowhere");
    shot_close(&s);
}

static void for_people(void **state)
{
    struct shot s;

    (void)state;
    begin(&s);
    run_ok(&s, BASE "--avg-bits 2.5 --method dp --on output");
    assert_non_null(strstr(s.out, "split at 'fc2': 8 channels of 1 values, "
                                  "16 images, uniform"));
    assert_non_null(strstr(s.out, "output MSE"));
    run_ok(&s, BASE "--avg-bits 2-7 -k 8 --limit 5");
    assert_non_null(strstr(s.out, "5 images"));
    assert_non_null(strstr(s.out, "U: one interval"));
    assert_non_null(strstr(s.out, "\n0 runs"));
    assert_non_null(strstr(s.out, "\n8 runs"));
    run_ok(&s, BASE "-q log -k 0");
    run_ok(&s, BASE "-q dorefa -b 8");
    shot_close(&s);
}

static void refusals(void **state)
{
    struct shot s;

    (void)state;
    begin(&s);
    refused(&s, "channels m.onnx --data x.npy --preprocess raw255", 2,
            "--split is needed");
    refused(&s, "channels m.onnx --data x.npy --preprocess raw255 --split fc9",
            2, "'fc9' is no layer");
    refused(&s, BASE "-b 9", 2, "--avg-bits '9'");
    refused(&s, BASE "-b 2-9", 2, "--avg-bits '2-9'");
    refused(&s, BASE "-b nan", 2, "--avg-bits 'nan'");
    refused(&s, BASE "-b 0", 2, "--avg-bits '0'");
    refused(&s, BASE "-q pact", 2, "--quantizer 'pact'");
    refused(&s, BASE "--method best", 2, "no method 'best'");
    refused(&s, BASE "--on weights", 2, "--on 'weights'");
    refused(&s, BASE "--alpha -1", 2, "--alpha");
    refused(&s, "channels m.onnx --split fc2", 2, "data");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract), cmocka_unit_test(threads),
        cmocka_unit_test(tables), cmocka_unit_test(for_people),
        cmocka_unit_test(refusals)};

    if (argc < 2)
        return 2;
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
