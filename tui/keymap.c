/* keymap.c: the table of bindings.
 *
 * Invariant: for one key, the screen masks of its bindings do not overlap.
 * So a lookup finds at most one action, and the order of rows is free. */
#include "keymap.h"

#include <stdio.h>
#include <string.h>

#include "wg.h"

static const struct ui_action_info actions[UI_ACTIONS] = {
    {"", "", 0, ""},
#define ACTION(id, name, keys, on, help) {name, keys, on, help},
#include "actions.def"
#undef ACTION
};

const struct ui_action_info *ui_action_info(enum ui_action a)
{
    return &actions[a > UI_NONE && a < UI_ACTIONS ? a : UI_NONE];
}

enum ui_action ui_action_find(const char *name)
{
    for (int a = UI_NONE + 1; a < UI_ACTIONS; a++)
        if (strcmp(actions[a].name, name) == 0)
            return (enum ui_action)a;
    return UI_NONE;
}

/* The action a new binding would collide with, UI_NONE if none. */
static enum ui_action clash(const struct ui_keymap *k, enum ui_action a,
                            int key)
{
    for (int i = 0; i < k->n; i++) {
        const struct ui_binding *b = &k->bind[i];
        if (b->key == key && b->action != a &&
            (actions[b->action].on & actions[a].on))
            return b->action;
    }
    return UI_NONE;
}

static bool bound(const struct ui_keymap *k, enum ui_action a, int key)
{
    for (int i = 0; i < k->n; i++)
        if (k->bind[i].key == key && k->bind[i].action == a)
            return true;
    return false;
}

/* Checks before it changes: a refused binding leaves the table as it was. */
bool ui_keymap_bind(struct ui_keymap *k, enum ui_action a, int key, char *why,
                    size_t cap)
{
    char name[32];
    enum ui_action other = clash(k, a, key);
    if (other != UI_NONE) {
        snprintf(why, cap, "%s means '%s' already; '%s' needs another key",
                 wg_key_name(name, sizeof name, key), actions[other].name,
                 actions[a].name);
        return false;
    }
    if (bound(k, a, key))
        return true;
    if (k->n == UI_BINDINGS) {
        snprintf(why, cap, "%d keys are bound; unbind one first",
                 UI_BINDINGS);
        return false;
    }
    k->bind[k->n++] = (struct ui_binding){key, a};
    return true;
}

bool ui_keymap_unbind(struct ui_keymap *k, int key)
{
    int kept = 0;
    for (int i = 0; i < k->n; i++)
        if (k->bind[i].key != key)
            k->bind[kept++] = k->bind[i];
    bool any = kept < k->n;
    k->n = kept;
    return any;
}

/* Binds every blank-separated key of one row. */
static bool bind_row(struct ui_keymap *k, enum ui_action a, char *why,
                     size_t cap)
{
    const char *s = actions[a].keys;
    while (*s) {
        char word[32];
        size_t n = strcspn(s, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, s);
        int key = wg_key_parse(word);
        if (key == WG_KEY_NONE) {
            snprintf(why, cap, "'%s' of action '%s' is no key", word,
                     actions[a].name);
            return false;
        }
        if (!ui_keymap_bind(k, a, key, why, cap))
            return false;
        s += n;
        s += strspn(s, " ");
    }
    return true;
}

/* The table of defaults goes through the same check as the person's own
 * keys, and a test walks it. */
bool ui_keymap_init(struct ui_keymap *k, char *why, size_t cap)
{
    memset(k, 0, sizeof *k);
    for (int a = UI_NONE + 1; a < UI_ACTIONS; a++)
        if (!bind_row(k, (enum ui_action)a, why, cap))
            return false;
    return true;
}

enum ui_action ui_keymap_find(const struct ui_keymap *k, unsigned screen,
                              int key)
{
    for (int i = 0; i < k->n; i++)
        if (k->bind[i].key == key &&
            (actions[k->bind[i].action].on & screen))
            return k->bind[i].action;
    return UI_NONE;
}

/* In the order they were bound: the letter first, then the F-key. */
char *ui_keymap_keys(char *out, size_t cap, const struct ui_keymap *k,
                     enum ui_action a, int max)
{
    size_t at = 0;
    int n = 0;
    if (cap)
        out[0] = 0;
    for (int i = 0; i < k->n && (max == 0 || n < max); i++) {
        if (k->bind[i].action != a)
            continue;
        char raw[32];
        wg_key_name(raw, sizeof raw, k->bind[i].key);
        /* "<Down>" reads better as "Down" beside plain letters. */
        char *s = raw;
        size_t len = strlen(s);
        if (len > 2 && s[0] == '<' && s[len - 1] == '>') {
            s[len - 1] = 0;
            s++;
        }
        int w = snprintf(out + at, cap - at, "%s%s", n ? " " : "", s);
        if (w < 0 || (size_t)w >= cap - at)
            break;
        at += (size_t)w;
        n++;
    }
    return out;
}
