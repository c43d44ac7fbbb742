/* Files are read where they are mapped.  One that is cut short meanwhile ends
 * the program with a sentence and status 2, never with a signal. */
#include "cli_run.h"

#include <fcntl.h>
#include <signal.h>

enum { IMAGES = 10000, RECORD = 3073, PATIENCE_MS = 90000 };

/* A network that takes far longer over so many pictures than anybody needs
 * to cut their file. */
static void make_files(void)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m = NULL;
    struct bd_str s = {0};

    assert_int_equal(bd_arch_new(&m, "resnet20", dim, 3, 10, 1, NULL), BD_OK);
    assert_int_equal(bd_onnx_write(&s, m, NULL, NULL), BD_OK);
    assert_int_equal(bd_save("net.onnx", s.s, s.n, true, NULL), BD_OK);
    bd_str_done(&s);
    bd_model_free(m);
}

static void make_pictures(void)
{
    int fd = open("set.bin", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)IMAGES * RECORD), 0);
    close(fd);
}

static pid_t start(char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        int err = open(".err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int out = open("/dev/null", O_RDWR);

        dup2(out, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(program(NULL), argv);
        _exit(99);
    }
    return pid;
}

static bool maps_it(pid_t pid)
{
    char path[64], line[8192];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        found = found || strstr(line, "/set.bin") != NULL;
    if (f)
        fclose(f);
    return found;
}

static void cut_when_mapped(pid_t pid)
{
    for (int t = 0; t < PATIENCE_MS && !maps_it(pid); t++)
        usleep(1000);
    assert_int_equal(truncate("set.bin", 0), 0);
}

static int status_of(pid_t pid)
{
    int status = 0;

    for (int t = 0; t < PATIENCE_MS; t += 20) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status)
                                     : 128 + WTERMSIG(status);
        usleep(20000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    fail_msg("the program does not end");
    return -1;
}

static void cut_during(const char *const *args)
{
    struct shot s;
    char *argv[12] = {strdup("bitdial")};
    int status;

    for (int i = 0; args[i]; i++)
        argv[i + 1] = strdup(args[i]);
    shot_open(&s);
    make_files();
    make_pictures();
    pid_t pid = start(argv);
    cut_when_mapped(pid);
    status = status_of(pid);
    s.err = slurp(".err");
    if (status != 2)
        fail_msg("status %d: %s", status, s.err);
    assert_non_null(strstr(s.err, "bitdial: a file in use was cut short "
                                  "while it was read\n"));
    for (int i = 0; argv[i]; i++)
        free(argv[i]);
    shot_close(&s);
}

static void while_evaluating(void **state)
{
    static const char *const args[] = {"eval", "net.onnx", "--data",
                                       "set.bin", NULL};

    (void)state;
    cut_during(args);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(while_evaluating)};

    if (argc != 2)
        return 2;
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
