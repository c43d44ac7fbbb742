/* `:set save`: what was set in this run goes into the person's file, and
 * what the person wrote there stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui.h"

static void file_path(char *out, size_t cap)
{
    snprintf(out, cap, "%s/bitdial/config", getenv("XDG_CONFIG_HOME"));
}

static void saved_is(const char *want)
{
    char path[200], *text = NULL;
    size_t n;
    file_path(path, sizeof path);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 16, NULL), BD_OK);
    assert_string_equal(text, want);
    bd_free(text);
}

static void a_first_file_is_made(void **state)
{
    struct ui *ui = calloc(1, sizeof *ui); /* only its settings matter */
    (void)state;
    assert_non_null(ui);
    ui_config_note(ui, "set theme dark");
    ui_config_note(ui, "bind <F5> undo");
    ui_config_note(ui, "set theme light"); /* the later one counts */
    assert_true(ui_config_save(ui));
    saved_is("set theme light\nbind <F5> undo\n");
    ui_config_done(ui);
    free(ui);
}

static void comments_and_other_lines_stay(void **state)
{
    static const char old[] = "# mine\nset mouse\n\nbind <F5> undo\n"
                              "set mouse\n# end";
    struct ui *ui = calloc(1, sizeof *ui);
    char path[200];
    (void)state;
    assert_non_null(ui);
    file_path(path, sizeof path);
    assert_int_equal(bd_save(path, old, strlen(old), true, NULL), BD_OK);
    ui_config_note(ui, "set nomouse"); /* about the same as set mouse */
    ui_config_note(ui, "bind <F7> log");
    assert_true(ui_config_save(ui));
    saved_is("# mine\nset nomouse\n\nbind <F5> undo\n# end\n"
             "bind <F7> log\n");
    ui_config_done(ui);
    free(ui);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_file_is_made),
        cmocka_unit_test(comments_and_other_lines_stay),
    };
    char home[] = "/tmp/bitdial-config-XXXXXX";
    if (!mkdtemp(home) || setenv("XDG_CONFIG_HOME", home, 1) != 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
