/* The verb channels: keys of the contract, the same bytes for any number of
 * threads, tables out and in, the table of widths, refusals, Ctrl-C. */
#include "cli_run.h"

#include <signal.h>
#include <time.h>

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

/* A network that keeps the program busy for a minute, and Ctrl-C in between.
 * The status. */
static int stopped_after(int seconds)
{
    const struct timespec moment = {seconds, 0};
    int rc = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen("out.txt", "w", stdout) ||
            !freopen("err.txt", "w", stderr))
            _exit(99);
        signal(SIGINT, SIG_DFL); /* a background shell would ignore it */
        execl(program(NULL), "bitdial", "channels", "net.onnx", "--data",
              "synth:glyphs", "--limit", "64", "--split", "layer2.0.conv1",
              "-b", "2-7", "-k", "100000", "--json", (char *)NULL);
        _exit(99);
    }
    nanosleep(&moment, NULL);
    kill(pid, SIGINT);
    assert_int_equal(waitpid(pid, &rc, 0), pid);
    assert_true(WIFEXITED(rc)); /* by its own will, tidied up */
    return WEXITSTATUS(rc);
}

/* Stopped before there is anything to show it says so; later it shows what
 * is reached, and that it was stopped. */
static void stopping_shows_the_best(void **state)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m = NULL;
    struct bd_str onnx = {0};
    struct shot s;
    bool reached = false;

    (void)state;
    shot_open(&s);
    assert_int_equal(bd_arch_new(&m, "resnet20", dim, 3, 10, 1, NULL), BD_OK);
    assert_int_equal(bd_onnx_write(&onnx, m, NULL, NULL), BD_OK);
    put("net.onnx", onnx.s, onnx.n);
    bd_str_done(&onnx);
    bd_model_free(m);
    for (int seconds = 1; !reached && seconds <= 16; seconds *= 2) {
        char *text;
        cJSON *j;

        assert_int_equal(stopped_after(seconds), 130);
        text = slurp("out.txt");
        j = cJSON_Parse(text);
        assert_non_null(j);
        reached = cJSON_IsTrue(cJSON_GetObjectItem(j, "stopped"));
        if (reached)
            assert_true(number(j, "output_mse") <=
                        number(j, "output_mse_start"));
        else
            assert_non_null(cJSON_GetObjectItem(j, "error"));
        cJSON_Delete(j);
        bd_free(text);
    }
    assert_true(reached);
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract), cmocka_unit_test(threads),
        cmocka_unit_test(tables), cmocka_unit_test(for_people),
        cmocka_unit_test(refusals), cmocka_unit_test(stopping_shows_the_best)};

    if (argc < 2)
        return 2;
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
