/* Key names there and back; the one-line editor; lists; fuzzy matching. */
#include "wg_test.h"

static void every_key_has_a_name_that_leads_back(void **state)
{
    char name[32];

    (void)state;
    for (int key = 1; key <= WG_KEY_F12; key++) {
        bool nameless = (key > 26 && key < 32 && key != 27) ||
                        (key >= 0xd800 && key < 0xe000);
        if (nameless || (key > 0x3000 && key < 0x10f000)) {
            continue;
        }
        wg_key_name(name, sizeof name, key);
        if (wg_key_parse(name) != key) {
            fail_msg("%#x is called '%s', which is %#x", (unsigned)key, name,
                     (unsigned)wg_key_parse(name));
        }
    }
}

static void spellings_are_generous(void **state)
{
    static const struct {
        const char *name;
        int key;
    } table[] = {
        {"Ctrl-D", 4},
        {"ctrl-d", 4},
        {"^D", 4},
        {"<C-d>", 4},
        {"<Down>", WG_KEY_DOWN},
        {"down", WG_KEY_DOWN},
        {"F10", WG_KEY_F10},
        {"<f3>", WG_KEY_F3},
        {"<Esc>", 27},
        {"Enter", 13},
        {"<Space>", ' '},
        {"<lt>", '<'},
        {"<", '<'},
        {"+", '+'},
        {"\u00e9", 0xe9},
        {"^", '^'},
        {"F", 'F'},
        {"S-Tab", WG_KEY_BACKTAB},
        {"", WG_KEY_NONE},
        {"F13", WG_KEY_NONE},
        {"<Nope>", WG_KEY_NONE},
        {"Ctrl-1", WG_KEY_NONE},
        {"<>", WG_KEY_NONE},
        {"F1x", WG_KEY_NONE},
        {"\xff", WG_KEY_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (wg_key_parse(table[i].name) != table[i].key) {
            fail_msg("'%s'", table[i].name);
        }
    }
}

/* ----------------------------------------------------------------- input */

static void keys_in(struct wg_input *in, const int *key)
{
    for (; *key; key++) {
        assert_true(wg_input_key(in, *key));
    }
}

static void typing_and_editing(void **state)
{
    struct wg_input in = {0};

    (void)state;
    keys_in(&in, (const int[]){'b', 'i', 't', 's', ' ', 'x', 0});
    assert_string_equal(in.text, "bits x");
    keys_in(&in, (const int[]){23, 0}); /* Ctrl-W */
    assert_string_equal(in.text, "bits ");
    keys_in(&in, (const int[]){WG_KEY_HOME, '>', WG_KEY_END, '4', 127, '5', 0});
    assert_string_equal(in.text, ">bits 5");
    keys_in(&in, (const int[]){1, WG_KEY_DEL, WG_KEY_RIGHT, 11, 0});
    assert_string_equal(in.text, "b");
    keys_in(&in, (const int[]){21, 127, WG_KEY_DEL, WG_KEY_LEFT, 0});
    assert_string_equal(in.text, "");
    assert_false(wg_input_key(&in, 13));
    assert_false(wg_input_key(&in, 27));
    assert_false(wg_input_key(&in, WG_KEY_F1));
}

static void clusters_move_and_vanish_as_one(void **state)
{
    struct wg_input in = {0};

    (void)state;
    wg_input_paste(&in, "ae\u0301\u5c64\nsecond line");
    assert_string_equal(in.text, "ae\u0301\u5c64");
    keys_in(&in, (const int[]){WG_KEY_LEFT, WG_KEY_LEFT, 0});
    assert_int_equal(in.cursor, 1);
    keys_in(&in, (const int[]){WG_KEY_DEL, 0});
    assert_string_equal(in.text, "a\u5c64");
    keys_in(&in, (const int[]){WG_KEY_END, 127, 0});
    assert_string_equal(in.text, "a");
}

static void history_keeps_the_line_being_typed(void **state)
{
    static const char *const past[] = {"oldest", "newest"};
    struct wg_input in = {.history = past, .nhistory = 2};

    (void)state;
    wg_input_set(&in, "draft");
    keys_in(&in, (const int[]){WG_KEY_UP, 0});
    assert_string_equal(in.text, "newest");
    keys_in(&in, (const int[]){WG_KEY_UP, WG_KEY_UP, 0});
    assert_string_equal(in.text, "oldest");
    keys_in(&in, (const int[]){WG_KEY_DOWN, WG_KEY_DOWN, WG_KEY_DOWN, 0});
    assert_string_equal(in.text, "draft");
}

/* Any keys in any order: text ends where len says, cursor inside. */
static void any_keys_keep_the_line_sound(void **state)
{
    static const char *const past[] = {"one", "tw\u00f6"};
    static const int keys[] = {
        'a',        0xe9,        0x301,        0x5c64,
        127,        4,           23,           21,
        11,         WG_KEY_LEFT, WG_KEY_RIGHT, WG_KEY_HOME,
        WG_KEY_END, WG_KEY_UP,   WG_KEY_DOWN,  WG_KEY_DEL};
    struct wg_input in = {.history = past, .nhistory = 2};
    unsigned r = 3;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        unsigned pick = wgt_random(&r) % 64; /* mostly letters: fills up */
        wg_input_key(&in, pick < 16 ? keys[pick] : (int)('a' + pick % 26));
        assert_true(in.len < (int)sizeof in.text);
        assert_int_equal(strlen(in.text), in.len);
        assert_true(in.cursor >= 0 && in.cursor <= in.len);
        assert_true((in.text[in.cursor] & 0xc0) != 0x80);
    }
}

static void long_lines_scroll_with_the_cursor(void **state)
{
    struct wg_canvas c = wgt_canvas(10, 1, '@');
    struct wg_input in = {0};
    struct wg_rect r = {0, 0, 10, 1};

    (void)state;
    wg_input_set(&in, "abcdefghijklm");
    wg_input_draw(&c, r, &in, ":");
    wgt_shows(&c, ":fghijklm\n");
    assert_int_equal(c.cursor_x, 9);
    wg_input_key(&in, WG_KEY_HOME);
    wg_input_draw(&c, r, &in, ":");
    wgt_shows(&c, ":abcdefghi\n");
    assert_int_equal(c.cursor_x, 1);
    wg_canvas_done(&c);
}

/* ------------------------------------------------------- lists and fuzzy */

static void lists_move_and_stop_at_the_ends(void **state)
{
    struct wg_menu m = {.n = 10, .shown = 4};

    (void)state;
    assert_true(wg_menu_key(&m, WG_KEY_UP));
    assert_int_equal(m.cursor, 0);
    wg_menu_key(&m, WG_KEY_PGDN);
    assert_int_equal(m.cursor, 3);
    wg_menu_key(&m, 'G');
    assert_int_equal(m.cursor, 9);
    wg_menu_key(&m, 'j');
    assert_int_equal(m.cursor, 9);
    wg_menu_key(&m, WG_KEY_PGDN);
    assert_int_equal(m.cursor, 9);
    assert_false(wg_menu_key(&m, 'x'));
    m = (struct wg_menu){.n = 0};
    wg_menu_key(&m, WG_KEY_END);
    assert_int_equal(m.cursor, 0);
    wg_menu_key(&m, WG_KEY_DOWN);
    assert_int_equal(m.cursor, 0);
}

static void better(const char *pattern, const char *good, const char *poor)
{
    if (wg_fuzzy(pattern, good) <= wg_fuzzy(pattern, poor)) {
        fail_msg("'%s': '%s' %d should beat '%s' %d", pattern, good,
                 wg_fuzzy(pattern, good), poor, wg_fuzzy(pattern, poor));
    }
}

static void fuzzy_prefers_words_and_runs(void **state)
{
    (void)state;
    assert_int_equal(wg_fuzzy("xyz", "bits up"), -1);
    assert_true(wg_fuzzy("", "anything") >= 0);
    assert_true(wg_fuzzy("BU", "bits up") > 0);
    better("bu", "bits up", "double unit");
    better("bit", "bits up", "abc in total");
    better("exp", "export", "experiment"); /* the shorter one */
    better("cl", "clip rule", "cancel");
    assert_int_equal(wg_fuzzy("aab", "ab"), -1);
}

/* Agrees with trying every placement. */
static int slow_score(const char *p, const char *s, int at, int last)
{
    int best = -1;

    if (!*p) {
        return 0;
    }
    for (int i = at; s[i]; i++) {
        int rest = s[i] == *p ? slow_score(p + 1, s, i + 1, i) : -1;
        int word = i == 0 || s[i - 1] == '.' ? 6 : 0;
        int run = last >= 0 && i == last + 1 ? 8 : 0;
        int here = rest < 0 ? -1 : rest + 1 + word + run;
        best = here > best ? here : best;
    }
    return best;
}

static void fuzzy_finds_the_best_placement(void **state)
{
    unsigned r = 5;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        char s[12] = "", p[5] = "";
        for (unsigned n = wgt_random(&r) % 11, k = 0; k < n; k++) {
            s[k] = "ab."[wgt_random(&r) % 3];
        }
        for (unsigned n = 1 + wgt_random(&r) % 4, k = 0; k < n; k++) {
            p[k] = "ab."[wgt_random(&r) % 3];
        }
        int slow = slow_score(p, s, 0, -1), got = wg_fuzzy(p, s);
        int want = slow < 0 ? -1 : slow * 256 + 256 - (int)strlen(s);
        if (got != want) {
            fail_msg("'%s' in '%s': %d, not %d", p, s, got, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_a_name_that_leads_back),
        cmocka_unit_test(spellings_are_generous),
        cmocka_unit_test(typing_and_editing),
        cmocka_unit_test(clusters_move_and_vanish_as_one),
        cmocka_unit_test(history_keeps_the_line_being_typed),
        cmocka_unit_test(any_keys_keep_the_line_sound),
        cmocka_unit_test(long_lines_scroll_with_the_cursor),
        cmocka_unit_test(lists_move_and_stop_at_the_ends),
        cmocka_unit_test(fuzzy_prefers_words_and_runs),
        cmocka_unit_test(fuzzy_finds_the_best_placement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
