/* train: epochs as lines, a model that opens without options, nothing written
 * when stopped. */
#include "cli_run.h"

#include <signal.h>
#include <time.h>

static void trains(void **state)
{
    struct shot s;
    int lines = 0;

    (void)state;
    shot_open(&s);
    run_ok(&s, "train mlp:3072-16-10 --epochs 2 --limit 256 --lr 0.01 "
               "-o t.onnx --json");
    for (char *p = strtok(s.out, "\n"); p; p = strtok(NULL, "\n"), lines++) {
        cJSON *j = cJSON_Parse(p);

        assert_non_null(j);
        has_keys(j, "schema epoch epochs loss train_acc test_acc lr seconds");
        assert_string_equal(j->child->valuestring, "bitdial.epoch/1");
        cJSON_Delete(j);
    }
    assert_int_equal(lines, 2);
    assert_true(bd_file_exists("t.bitdial.json"));
    run_ok(&s, "eval t.onnx --limit 50 --json"); /* data from the sidecar */
    cJSON_Delete(document(&s, "bitdial.eval/1"));
    assert_int_equal(mkdir("d.onnx", 0700), 0);
    run_ok(&s,
           "train t.onnx --epochs 1 --limit 64 --lr 0.01 -o d.onnx/u.v.onnx "
           "--preprocess scale=1/255,mean=.5,std=.25");
    run_ok(&s, "eval d.onnx/u.v.onnx --limit 20");
    assert_true(bd_file_exists("d.onnx/u.v.bitdial.json"));
    assert_int_equal(entries(), 3);
    shot_close(&s);
}

static void same_seed_same_bytes(void **state)
{
    static const char cmd[] = "train mlp:3072-8-10 --epochs 1 --limit 128 "
                              "--lr 0.01 --seed 3 -o ";
    struct shot s;
    char args[256], *a, *b;
    size_t na, nb;

    (void)state;
    shot_open(&s);
    snprintf(args, sizeof args, "%sa.onnx --threads 1", cmd);
    run_ok(&s, args);
    snprintf(args, sizeof args, "%sb.onnx --threads 3", cmd);
    run_ok(&s, args);
    assert_int_equal(bd_file_read(&a, &na, "a.onnx", 1 << 20, NULL), BD_OK);
    assert_int_equal(bd_file_read(&b, &nb, "b.onnx", 1 << 20, NULL), BD_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    bd_free(a);
    bd_free(b);
    shot_close(&s);
}

/* Refused before the work begins, not after it. */
static void refusals(void **state)
{
    struct shot s;
    int before;

    (void)state;
    shot_open(&s);
    put("t.onnx", "mine", 4);
    put_model("m.onnx", false);
    before = entries();
    refused(&s, "train mlp:3072-8-10 -o t.onnx", 1, "t.onnx");
    refused(&s, "train mlp:3072-8-10 -o nowhere/u.onnx", 1, "nowhere/u.onnx");
    refused(&s, "train mlp:3072-8-10 -o -", 2, "sidecar");
    put("u.bitdial.json", "mine", 4); /* of another file of that stem */
    refused(&s, "train mlp:3072-8-10 -o u.onnx", 1, "u.bitdial.json");
    assert_int_equal(unlink("u.bitdial.json"), 0);
    refused(&s, "train resnet21 -o u.onnx", 2, "resnet20");
    refused(&s, "train mlp:3072-8-10 -o u.onnx --data absent.bin", 2,
            "absent.bin");
    refused(&s, "train m.onnx", 2, "-o FILE");
    refused(&s, "train mlp:3072-8-10 -o u.onnx --recipe flot", 2, "recipe");
    refused(&s, "train mlp:3072-8-10 -o u.onnx --schedule cosin", 2,
            "schedule");
    assert_int_equal(entries(), before);
    shot_close(&s);
}

static void interrupted(int sig, int status)
{
    const struct timespec moment = {1, 0};
    struct shot s;
    int rc;
    pid_t pid;

    shot_open(&s);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen("out.txt", "w", stdout) ||
            !freopen("err.txt", "w", stderr))
            _exit(99);
        signal(sig, SIG_DFL); /* a background shell would ignore SIGINT */
        execl(program(NULL), "bitdial", "train", "mlp:3072-64-10", "--epochs",
              "100000", "--lr", "0.01", "--limit", "512", "-o", "t.onnx",
              (char *)NULL);
        _exit(99);
    }
    nanosleep(&moment, NULL);
    assert_int_equal(kill(pid, sig), 0);
    assert_int_equal(waitpid(pid, &rc, 0), pid);
    assert_true(WIFEXITED(rc)); /* by its own will, tidied up */
    assert_int_equal(WEXITSTATUS(rc), status);
    assert_int_equal(entries(), 2); /* the two logs: no model, no remains */
    shot_close(&s);
}

static void interrupt(void **state)
{
    (void)state;
    interrupted(SIGINT, 130);
}

static void terminate(void **state)
{
    (void)state;
    interrupted(SIGTERM, 143);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains),    cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(refusals),  cmocka_unit_test(interrupt),
        cmocka_unit_test(terminate),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s BITDIAL\n", argv[0]);
        return 2;
    }
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
