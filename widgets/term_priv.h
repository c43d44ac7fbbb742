/* The terminal's insides, shared by term.c (screen) and term_in.c (keys). */
#ifndef WG_TERM_PRIV_H
#define WG_TERM_PRIV_H

#include "wg_priv.h"

#include <curses.h>
#include <time.h>

/* Key codes of our own, above all that ncurses hands out. */
enum { CODE_PASTE_BEGIN = KEY_MAX + 100, CODE_PASTE_END, CODE_MOUSE_SGR };

struct wg_term {
    SCREEN *screen;
    WINDOW *keys; /* a pad: reading from it never refreshes the screen */
    int in, out;  /* descriptors */
    struct wg_restore restore;
    const struct wg_theme *theme;
    enum wg_colors colors; /* resolved, never AUTO */
    bool ascii, mouse_on, gone;
    int w, h;

    struct wg_canvas shown, next; /* on screen, about to be */
    bool all;                     /* everything must be sent again */
    int cursor;                   /* visibility last set, -1 unknown */
    int pair[WG_ROLES][WG_ROLES]; /* [fg][bg], -1 = not asked for yet */

    char utf8[8]; /* a character on its way: bytes so far, bytes in all */
    int begun, need;
    struct wg_mouse mouse;
    char *paste; /* NUL-ended, owned */
    size_t paste_len, paste_cap;
    bool pasting;
    struct timespec paste_heard; /* when its last character came */
};

/* Takes over the size of the terminal; true when it changed. */
bool wg_term_sync_size(struct wg_term *t);
void wg_term_define_keys(void);
/* newterm(), with 24-bit colours where asked for or announced. */
SCREEN *wg_term_newterm(enum wg_colors asked);
/* NUL-ended; returns the length. */
size_t wg_base64(char *out, const unsigned char *in, size_t n);
void wg_term_write(int fd, const char *bytes, size_t n);

#endif
