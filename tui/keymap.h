/* keymap: which key does what on which screen.  Built from actions.def,
 * changed by `:bind`; a key that would mean two things is refused with both
 * actions named.  Pure data: no terminal, no session. */
#ifndef UI_KEYMAP_H
#define UI_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>

/* Screens as bits, so that an action can belong to several. */
enum {
    ON_LAYERS = 1,
    ON_LAYER = 2,
    ON_CHANNELS = 4,
    ON_TRADE = 8,
    ON_SEARCH = 16,
    ON_COMPARE = 32,
    ON_EXPORT = 64,
    ON_ALL = 127,
    ON_PLOTS = ON_LAYERS | ON_LAYER,
    ON_GRID = ON_LAYER | ON_CHANNELS,
    ON_LISTS = ON_LAYERS | ON_LAYER | ON_CHANNELS,
    ON_EDIT = ON_LISTS
};

enum ui_action {
    UI_NONE,
#define ACTION(id, name, keys, on, help) UI_##id,
#include "actions.def"
#undef ACTION
    UI_ACTIONS
};

struct ui_action_info {
    const char *name; /* as `:bind` and the palette call it */
    const char *keys; /* defaults, separated by blanks */
    unsigned on;      /* screens */
    const char *help;
};
/* Row of an action; UI_NONE has empty texts. */
const struct ui_action_info *ui_action_info(enum ui_action a);
enum ui_action ui_action_find(const char *name); /* UI_NONE if unknown */

enum { UI_BINDINGS = 256 };
struct ui_keymap {
    int n;
    struct ui_binding {
        int key; /* as wg_term_key gives it */
        enum ui_action action;
    } bind[UI_BINDINGS];
};

/* The defaults.  false, with the reason, when the table itself clashes. */
bool ui_keymap_init(struct ui_keymap *k, char *why, size_t cap);
/* Makes `key` do `a`.  Refused when it already does something else on a
 * screen of `a`; the sentence names both.  The action keeps its other keys. */
bool ui_keymap_bind(struct ui_keymap *k, enum ui_action a, int key, char *why,
                    size_t cap);
/* Takes a key from whatever it did; false if it did nothing. */
bool ui_keymap_unbind(struct ui_keymap *k, int key);
/* What a key does on one screen, UI_NONE if nothing. */
enum ui_action ui_keymap_find(const struct ui_keymap *k, unsigned screen,
                              int key);
/* "j Down": the keys of an action as shown, at most `max` (0 = all); "" when
 * it has none.  Returns out. */
char *ui_keymap_keys(char *out, size_t cap, const struct ui_keymap *k,
                     enum ui_action a, int max);

#endif
