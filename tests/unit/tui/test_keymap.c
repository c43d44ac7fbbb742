/* The keymap: the table is consistent, and rebinding keeps it so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keymap.h"
#include "wg.h"

static void open_keymap(struct ui_keymap *k)
{
    char why[200] = "";
    if (!ui_keymap_init(k, why, sizeof why))
        fail_msg("%s", why);
}

/* No key means two things on one screen, every action can be reached, and
 * names are unique, since `:bind` and the palette go by name. */
static void the_table_is_consistent(void **state)
{
    (void)state;
    struct ui_keymap k;
    char keys[64];
    open_keymap(&k);
    for (int a = UI_NONE + 1; a < UI_ACTIONS; a++) {
        const struct ui_action_info *i = ui_action_info((enum ui_action)a);
        ui_keymap_keys(keys, sizeof keys, &k, (enum ui_action)a, 0);
        assert_true(keys[0] != 0);
        assert_true(i->on != 0 && i->help[0] != 0);
        assert_int_equal(ui_action_find(i->name), a);
    }
    for (unsigned screen = ON_LAYERS; screen <= ON_EXPORT; screen *= 2)
        for (int i = 0; i < k.n; i++) {
            if (!(ui_action_info(k.bind[i].action)->on & screen))
                continue;
            assert_int_equal(ui_keymap_find(&k, screen, k.bind[i].key),
                             k.bind[i].action);
        }
}

/* tmux and screen keep these for themselves. */
static void prefixes_of_multiplexers_are_free(void **state)
{
    (void)state;
    struct ui_keymap k;
    open_keymap(&k);
    assert_int_equal(ui_keymap_find(&k, ON_LAYERS, 1), UI_NONE);
    assert_int_equal(ui_keymap_find(&k, ON_LAYERS, 2), UI_NONE);
}

static void a_clash_names_both_actions(void **state)
{
    (void)state;
    struct ui_keymap k;
    char why[200] = "";
    open_keymap(&k);
    int before = k.n;
    assert_false(ui_keymap_bind(&k, UI_UNDO, '+', why, sizeof why));
    assert_non_null(strstr(why, "bits-up"));
    assert_non_null(strstr(why, "undo"));
    assert_int_equal(k.n, before);
    /* The same key is fine where the screens do not meet. */
    assert_true(ui_keymap_bind(&k, UI_EDIT_PATH, '+', why, sizeof why));
    assert_int_equal(ui_keymap_find(&k, ON_EXPORT, '+'), UI_EDIT_PATH);
    assert_int_equal(ui_keymap_find(&k, ON_LAYERS, '+'), UI_BITS_UP);
}

static void keys_can_be_given_and_taken(void **state)
{
    (void)state;
    struct ui_keymap k;
    char why[200] = "", keys[64];
    open_keymap(&k);
    assert_true(ui_keymap_bind(&k, UI_UNDO, WG_KEY_F5, why, sizeof why));
    assert_int_equal(ui_keymap_find(&k, ON_LAYER, WG_KEY_F5), UI_UNDO);
    ui_keymap_keys(keys, sizeof keys, &k, UI_UNDO, 0);
    assert_non_null(strstr(keys, "F5"));
    assert_true(ui_keymap_unbind(&k, WG_KEY_F5));
    assert_false(ui_keymap_unbind(&k, WG_KEY_F5));
    assert_int_equal(ui_keymap_find(&k, ON_LAYER, WG_KEY_F5), UI_NONE);
    assert_int_equal(ui_keymap_find(&k, ON_LAYER, 'u'), UI_UNDO);
}

static void a_full_table_says_so(void **state)
{
    (void)state;
    struct ui_keymap k;
    char why[200] = "";
    open_keymap(&k);
    int key = 0x400;
    while (k.n < UI_BINDINGS)
        assert_true(ui_keymap_bind(&k, UI_UNDO, key++, why, sizeof why));
    assert_false(ui_keymap_bind(&k, UI_UNDO, key, why, sizeof why));
    assert_non_null(strstr(why, "unbind"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_consistent),
        cmocka_unit_test(prefixes_of_multiplexers_are_free),
        cmocka_unit_test(a_clash_names_both_actions),
        cmocka_unit_test(keys_can_be_given_and_taken),
        cmocka_unit_test(a_full_table_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
