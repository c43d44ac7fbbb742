/* screen: one of the program's screens, as a const table of functions.  A
 * new screen is one screen_*.c, one row in screens.c and one key in
 * actions.def.  Screens keep their own state; the framework allocates it,
 * zeroed, once, so that scroll and focus survive leaving. */
#ifndef UI_SCREEN_H
#define UI_SCREEN_H

#include "keymap.h"
#include "wg.h"

struct ui;

struct ui_key_label { /* an entry of the key bar */
    enum ui_action action;
    const char *label;
};

struct ui_screen {
    const char *key, *name;  /* of the tab: "1", "Layers" */
    unsigned on;             /* its bit in actions.def */
    size_t state_size;       /* bytes of state, 0 = none */
    const struct ui_key_label *keys; /* ends with UI_NONE; most wanted first */
    /* Coming here, also again.  May be NULL. */
    void (*open)(struct ui *ui, void *state);
    /* New rectangle: the terminal or the split changed.  May be NULL. */
    void (*layout)(struct ui *ui, void *state, struct wg_rect body);
    /* Draws into ui's canvas within body. */
    void (*draw)(struct ui *ui, void *state, struct wg_rect body);
    /* count is 1 unless typed.  false: not mine, the framework decides. */
    bool (*action)(struct ui *ui, void *state, enum ui_action a, int count);
    /* A click or the wheel inside body.  May be NULL. */
    void (*mouse)(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m);
    /* Frees what the state owns; the state itself is the framework's. */
    void (*close)(void *state);
};

/* The screens that exist, in the order of tabs. */
enum ui_screen_id {
    UI_LAYERS, UI_LAYER, UI_CHANNELS, UI_TRADE, UI_SEARCH, UI_COMPARE,
    UI_EXPORT, UI_SCREENS
};
const struct ui_screen *ui_screen_at(enum ui_screen_id id);
extern const struct ui_screen ui_screen_layers, ui_screen_layer,
    ui_screen_channels, ui_screen_trade, ui_screen_search, ui_screen_compare,
    ui_screen_export;

#endif
