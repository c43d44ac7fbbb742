/* Names of keys, as written in scripts, keymaps and help: "x", "Ctrl-D",
 * "F1", "<Down>".  Reading is generous (case, with or without brackets,
 * "^D", "C-d"), writing has one form, and writing then reading gives the key
 * back. */
#include "wg_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* clang-format off */
static const struct {
    int key;
    const char *name;
} names[] = { /* the first name of a key is the one written */
    {13, "Enter"},          {13, "Return"},       {13, "CR"},
    {27, "Esc"},            {27, "Escape"},       {9, "Tab"},
    {' ', "Space"},         {127, "Backspace"},   {127, "BS"},
    {WG_KEY_UP, "Up"},      {WG_KEY_DOWN, "Down"}, {WG_KEY_LEFT, "Left"},
    {WG_KEY_RIGHT, "Right"}, {WG_KEY_HOME, "Home"}, {WG_KEY_END, "End"},
    {WG_KEY_PGUP, "PgUp"},  {WG_KEY_PGUP, "PageUp"},
    {WG_KEY_PGDN, "PgDn"},  {WG_KEY_PGDN, "PageDown"},
    {WG_KEY_BACKTAB, "S-Tab"}, {WG_KEY_BACKTAB, "Shift-Tab"},
    {WG_KEY_BACKTAB, "BackTab"}, {WG_KEY_DEL, "Del"},
    {WG_KEY_DEL, "Delete"}, {WG_KEY_INS, "Ins"},  {WG_KEY_INS, "Insert"},
    {WG_KEY_RESIZE, "Resize"}, {WG_KEY_MOUSE, "Mouse"},
    {WG_KEY_PASTE, "Paste"}, {'<', "lt"},
};
/* clang-format on */
enum { NNAMES = sizeof names / sizeof names[0] };

static int parse_ctrl(const char *s)
{
    static const char *const prefix[] = {"Ctrl-", "C-", "^"};

    for (int i = 0; i < 3; i++) {
        size_t n = strlen(prefix[i]);
        if (strncasecmp(s, prefix[i], n) == 0 && s[n] && !s[n + 1]) {
            int c = s[n] | 0x20;
            return c >= 'a' && c <= 'z' ? c - 'a' + 1 : WG_KEY_NONE;
        }
    }
    return WG_KEY_NONE;
}

static int parse_function(const char *s)
{
    char *end;

    if ((s[0] != 'F' && s[0] != 'f') || s[1] < '1' || s[1] > '9') {
        return WG_KEY_NONE;
    }
    long n = strtol(s + 1, &end, 10);
    return *end || n > 12 ? WG_KEY_NONE : WG_KEY_F1 + (int)n - 1;
}

static int parse_name(const char *s)
{
    for (int i = 0; i < NNAMES; i++) {
        if (strcasecmp(s, names[i].name) == 0) {
            return names[i].key;
        }
    }
    int key = parse_ctrl(s);
    return key != WG_KEY_NONE ? key : parse_function(s);
}

int wg_key_parse(const char *name)
{
    char inner[32];
    size_t n = strlen(name);
    const char *p = name;

    if (n == 0) {
        return WG_KEY_NONE;
    }
    uint32_t cp = wg_utf8_next(&p);
    if (!*p) { /* one character is itself */
        return cp < 32 || cp == 0xfffd ? WG_KEY_NONE : (int)cp;
    }
    if (n > 2 && n < sizeof inner + 2 && name[0] == '<' && name[n - 1] == '>') {
        memcpy(inner, name + 1, n - 2);
        inner[n - 2] = '\0';
        return parse_name(inner);
    }
    return parse_name(name);
}

char *wg_key_name(char *out, size_t cap, int key)
{
    for (int i = 0; i < NNAMES; i++) {
        if (names[i].key == key && key != '<') {
            snprintf(out, cap, "<%s>", names[i].name);
            return out;
        }
    }
    if (key >= WG_KEY_F1 && key <= WG_KEY_F12) {
        snprintf(out, cap, "F%d", key - WG_KEY_F1 + 1);
    } else if (key >= 1 && key <= 26) {
        snprintf(out, cap, "Ctrl-%c", 'A' + key - 1);
    } else if (key > 32 && key < 0x110000) {
        char bytes[5];
        bytes[wg_utf8_put(bytes, (uint32_t)key)] = '\0';
        snprintf(out, cap, "%s", bytes);
    } else {
        snprintf(out, cap, "?");
    }
    return out;
}
