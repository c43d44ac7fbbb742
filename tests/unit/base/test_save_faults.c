/* Saving when the system refuses: every call that writes a file fails in turn
 * with every plausible error, or the program is killed right before it.  The
 * old bytes or the new ones are there, whole, and no temporary file stays
 * unless we were killed.  The linker sends the calls through here first. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int __real_open64(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);

enum call { OPEN, WRITE, FSYNC, CLOSE, RENAME, CALLS, NONE };

/* What goes wrong next; the wrappers have no argument to find it through. */
static struct {
    enum call call;
    int error;   /* 0 = only the first bytes are written */
    bool always; /* from then on, not once */
    int kill_at; /* calls left until the end of the process, -1 = never */
} plan = {.call = NONE, .kill_at = -1};

static bool fails(enum call c)
{
    if (plan.kill_at >= 0 && plan.kill_at-- == 0)
        _exit(9); /* as kill -9: nothing is cleaned up */
    if (plan.call != c)
        return false;
    if (!plan.always)
        plan.call = NONE;
    errno = plan.error;
    return true;
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(ap, int) : 0;
    va_end(ap);
    /* Folders and readers are left alone. */
    if ((flags & O_CREAT) != 0 && fails(OPEN))
        return -1;
    return __real_open64(path, flags, mode);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (!fails(WRITE))
        return __real_write(fd, p, n);
    return plan.error ? -1 : __real_write(fd, p, n > 3 ? 3 : n);
}

int __wrap_fsync(int fd)
{
    return fails(FSYNC) ? -1 : __real_fsync(fd);
}

/* Like Linux: the descriptor is gone even when closing reports an error. */
int __wrap_close(int fd)
{
    bool bad = fails(CLOSE);
    int rc = __real_close(fd);

    if (bad)
        errno = plan.error;
    return bad ? -1 : rc;
}

int __wrap_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : __real_rename(from, to);
}

/* ------------------------------------------------------------------ tests */
static const char old[] = "the old bytes", fresh[] = "new bytes, more of them";

static int enter_folder(void **state)
{
    char *dir = strdup("/tmp/bitdial-test-XXXXXX");

    *state = dir;
    return dir == NULL || mkdtemp(dir) == NULL || chdir(dir) != 0;
}

static int leave_folder(void **state)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(cmd) != 0;
}

static int count_files(void)
{
    DIR *d = opendir(".");
    int n = 0;

    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static bool holds(const char *want)
{
    char *text = NULL;
    size_t n;

    assert_int_equal(bd_file_read(&text, &n, "a", 1000, NULL), BD_OK);
    bool same = strcmp(text, want) == 0;
    bd_free(text);
    return same;
}

static void begin(void)
{
    assert_int_equal(bd_save("a", old, sizeof old - 1, true, NULL), BD_OK);
}

static void one_refusal(enum call call, int error, bool always)
{
    struct bd_err err = {0};
    char want[200];

    begin();
    plan.call = call;
    plan.error = error;
    plan.always = always;
    bd_status s = bd_save("a", fresh, sizeof fresh - 1, true, &err);
    plan.call = NONE;
    snprintf(want, sizeof want, "cannot write: %s", strerror(error));
    if (s != BD_EIO || strcmp(err.msg, want) != 0)
        fail_msg("call %d, error %d: status %d '%s'", (int)call, error, s,
                 err.msg);
    assert_string_equal(err.file, "a");
    assert_true(holds(old));
    assert_int_equal(count_files(), 1);
}

static void every_refusal_keeps_the_old(void **state)
{
    static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS, EACCES, EFBIG};

    (void)state;
    for (int c = 0; c < CALLS; c++)
        for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
            one_refusal((enum call)c, errors[e], false);
            one_refusal((enum call)c, errors[e], true);
        }
}

/* Interrupted and short writes are carried on with. */
static void writes_are_carried_on(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        begin();
        plan.call = WRITE;
        plan.error = k == 0 ? EINTR : 0;
        plan.always = k == 2;
        assert_int_equal(bd_save("a", fresh, sizeof fresh - 1, true, NULL),
                         BD_OK);
        plan.call = NONE;
        assert_true(holds(fresh));
        assert_int_equal(count_files(), 1);
    }
}

/* A call interrupted by a signal is no refusal either. */
static void interrupted_calls(void **state)
{
    static const enum call calls[] = {OPEN, FSYNC, CLOSE};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        begin();
        plan.call = calls[k];
        plan.error = EINTR;
        plan.always = false;
        assert_int_equal(bd_save("a", fresh, sizeof fresh - 1, true, NULL),
                         BD_OK);
        plan.call = NONE;
        assert_true(holds(fresh));
        assert_int_equal(count_files(), 1);
    }
}

/* Killed before the n-th call, for every n. */
static void killed_at_every_call(void **state)
{
    bool finished = false;
    int n = 0;

    (void)state;
    for (; !finished; n++) {
        int status = 0;

        begin();
        pid_t pid = fork();
        if (pid == 0) {
            plan.kill_at = n;
            _exit(bd_save("a", fresh, sizeof fresh - 1, true, NULL) != BD_OK);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        assert_true(finished || WEXITSTATUS(status) == 9);
        assert_true(finished ? holds(fresh) : holds(old) || holds(fresh));
        assert_true(n < 100);
    }
    assert_true(n > CALLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_refusal_keeps_the_old,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(writes_are_carried_on, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(interrupted_calls, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(killed_at_every_call, enter_folder,
                                        leave_folder)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
