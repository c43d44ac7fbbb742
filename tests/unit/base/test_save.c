/* Writing leaves the old file or the new one; reading refuses what is not a
 * regular file, without waiting for it. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static int enter_folder(void **state)
{
    static const char pattern[] = "/tmp/bitdial-test-XXXXXX";
    char *dir = strdup(pattern);

    if (dir == NULL || mkdtemp(dir) == NULL || chdir(dir) != 0)
        return -1;
    *state = dir;
    return 0;
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

static int leave_folder(void **state)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(cmd) != 0;
}

static void holds(const char *path, const char *want)
{
    char *text = NULL;
    size_t n;

    assert_int_equal(bd_file_read(&text, &n, path, 1000, NULL), BD_OK);
    assert_string_equal(text, want);
    bd_free(text);
}

static void saves_and_overwrites_only_by_force(void **state)
{
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_save("a", "one", 3, false, NULL), BD_OK);
    assert_int_equal(bd_save("a", "two", 3, false, &err), BD_EIO);
    assert_non_null(strstr(err.msg, "--force"));
    assert_string_equal(err.file, "a");
    holds("a", "one");
    assert_int_equal(bd_save("a", "two", 3, true, NULL), BD_OK);
    holds("a", "two");
    assert_int_equal(count_files(), 1);
}

static void keeps_mode_and_link(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(bd_save("target", "x", 1, false, NULL), BD_OK);
    assert_int_equal(chmod("target", 0600), 0);
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(bd_save("link", "y", 1, true, NULL), BD_OK);
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat("target", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    holds("target", "y");
}

static void refuses_special_files(void **state)
{
    struct bd_file f = {0};
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(bd_file_map(&f, "fifo", &err), BD_EFORMAT);
    assert_string_equal(err.msg, "is a named pipe, a file is needed");
    assert_int_equal(bd_file_map(&f, ".", NULL), BD_EFORMAT);
    assert_int_equal(bd_file_map(&f, "/dev/null", NULL), BD_EFORMAT);
    assert_int_equal(bd_file_map(&f, "absent", NULL), BD_EIO);
    assert_int_equal(bd_save("fifo", "x", 1, true, NULL), BD_EIO);
    assert_int_equal(bd_save("no/such/folder", "x", 1, true, NULL), BD_EIO);
}

static void maps_empty_and_full(void **state)
{
    struct bd_file f = {0};

    (void)state;
    assert_int_equal(bd_save("empty", "", 0, false, NULL), BD_OK);
    assert_int_equal(bd_file_map(&f, "empty", NULL), BD_OK);
    assert_int_equal(f.size, 0);
    bd_file_unmap(&f);
    assert_int_equal(bd_save("full", "abc", 3, false, NULL), BD_OK);
    assert_int_equal(bd_file_map(&f, "full", NULL), BD_OK);
    assert_memory_equal(f.data, "abc", 3);
    bd_file_unmap(&f);
    assert_null(f.data);
}

static void limits_what_it_reads(void **state)
{
    char *text = NULL;
    size_t n;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_save("long", "0123456789", 10, false, NULL), BD_OK);
    assert_int_equal(bd_file_read(&text, &n, "long", 9, &err), BD_EFORMAT);
    assert_null(text);
}

static void xdg_folders_follow_the_standard(void **state)
{
    char out[300], want[300];

    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HOME", *state, 1);
    assert_true(bd_xdg_dir(out, sizeof out, "STATE"));
    snprintf(want, sizeof want, "%s/.local/state/bitdial", (char *)*state);
    assert_string_equal(out, want);
    assert_true(bd_is_dir(want));
    setenv("HOME", "", 1);
    assert_false(bd_xdg_dir(out, sizeof out, "STATE"));
}

/* The same answers before the work as after it; nothing is made. */
static void checks_before_the_work(void **state)
{
    struct stat st;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_save_check("new", false, NULL), BD_OK);
    assert_int_equal(bd_save_check("-", false, NULL), BD_OK);
    assert_int_equal(count_files(), 0);
    assert_int_equal(bd_save("new", "1", 1, false, NULL), BD_OK);
    assert_int_equal(bd_save_check("new", false, NULL), BD_EIO);
    assert_int_equal(bd_save_check("new", true, NULL), BD_OK);
    assert_int_equal(bd_save_check(".", true, NULL), BD_EIO);
    assert_int_equal(bd_save_check("new/x", true, NULL), BD_EIO);
    assert_int_equal(bd_save_check("gone/x", true, &err), BD_EIO);
    assert_string_equal(err.msg, "cannot write: no such folder");
    assert_string_equal(err.file, "gone/x");
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_equal(bd_save_check("dangling", true, NULL), BD_EIO);
    assert_int_equal(bd_save("dangling", "1", 1, true, NULL), BD_EIO);
    assert_int_equal(bd_save("loop", "1", 1, true, NULL), BD_EIO);
    assert_int_equal(lstat("loop", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_files(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saves_and_overwrites_only_by_force,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(keeps_mode_and_link, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(refuses_special_files, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(checks_before_the_work, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(maps_empty_and_full, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(limits_what_it_reads, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(xdg_folders_follow_the_standard,
                                        enter_folder, leave_folder)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
