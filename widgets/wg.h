/* widgets: rectangles and cells.  Widgets draw into a canvas of cells that
 * carry a code point and roles; wg_term puts a canvas on the terminal through
 * ncurses, sending only what changed, and turns its keys into codes.  The
 * theme turns roles into colours.  Nothing here knows networks. */
#ifndef WG_H
#define WG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* ---------------------------------------------------------------- roles
 * What a cell means; the theme decides how it looks.  HEAT0..HEAT31 is the
 * sequential scale, DIV0..DIV31 the diverging one. */
enum wg_role {
    WG_TEXT, WG_DIM, WG_TITLE, WG_TAB, WG_TAB_ACTIVE, WG_HEADING, WG_CURSOR,
    WG_MARK, WG_GOOD, WG_WARN, WG_BAD, WG_STALE, WG_PARTIAL, WG_NUMBER,
    WG_BAR, WG_BAR_ALT, WG_GRID, WG_AXIS, WG_KEY, WG_KEY_TEXT, WG_STATUS,
    WG_ERROR, WG_INPUT, WG_FRAME, WG_MATCH, WG_ACCENT, WG_SPARK,
    WG_HEAT0 = 64, WG_DIV0 = 96, WG_ROLES = 128
};

struct wg_rect {
    int x, y, w, h;
};

struct wg_cell {
    uint32_t ch;   /* 0 = right half of a wide character */
    uint32_t comb; /* one combining mark or 0 */
    uint8_t fg;    /* enum wg_role */
    uint8_t bg;    /* enum wg_role whose *background* is used; WG_TEXT = the
                      terminal's own; HEATn/DIVn = that colour */
};

struct wg_canvas {
    int w, h;
    struct wg_cell *cell; /* [h][w], owned */
    int cursor_x, cursor_y; /* -1 = hidden */
};
bool wg_canvas_resize(struct wg_canvas *c, int w, int h); /* false: no memory */
void wg_canvas_done(struct wg_canvas *c);
/* All drawing clips to the rectangle and the canvas; any size is legal. */
void wg_fill(struct wg_canvas *c, struct wg_rect r, uint32_t ch,
             enum wg_role role);
/* UTF-8 text from (x, y) of r; cut at the right edge.  Returns the cells
 * used.  Text must be clean already (bd_text_show). */
int wg_text(struct wg_canvas *c, struct wg_rect r, int x, int y,
            enum wg_role role, const char *s);
int wg_textf(struct wg_canvas *c, struct wg_rect r, int x, int y,
             enum wg_role role, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void wg_put(struct wg_canvas *c, struct wg_rect r, int x, int y,
            struct wg_cell cell);
/* Changes the role of cells already drawn (cursor row, match). */
void wg_tint(struct wg_canvas *c, struct wg_rect r, enum wg_role bg);
int wg_width(const char *s); /* cells */
/* Cut to w cells, in the middle or at the end; out cap bytes. */
char *wg_cut(char *out, size_t cap, const char *s, int w, bool middle);
/* The canvas as text, one line per row, trailing blanks removed; marks: adds
 * a second plane of letters for roles.  For golden screens.  malloc'ed. */
char *wg_canvas_dump(const struct wg_canvas *c, bool roles);

/* What a terminal without UTF-8 (ascii) or without colours (mono) shows of
 * this picture; wg_term_show does it by itself, golden screens may ask. */
void wg_canvas_fold(struct wg_canvas *c, bool ascii, bool mono);

enum wg_glyphs { WG_ASCII, WG_BLOCKS, WG_BRAILLE };

/* ---------------------------------------------------------------- widgets
 * Plain drawing functions with their state in small structs the caller owns.
 * Each returns nothing and keeps nothing. */

struct wg_column {
    const char *title;
    int min, want; /* cells; a column whose turn comes leaves when room ends */
    int leave;     /* order of leaving, 0 = never */
    bool right, stretch; /* alignment; takes what is left */
};
struct wg_table_cell {
    char text[96];
    enum wg_role role;
    const struct wg_cell *cells; /* NULL, or ready-made cells (sparkline) */
    int ncells;
};
struct wg_table {
    const struct wg_column *col;
    int ncol, nrow;
    int top, cursor;   /* rows; wg_table_scroll keeps cursor visible */
    int sort_col;      /* -1 none */
    bool sort_down;
    void (*cell)(void *arg, int row, int col, struct wg_table_cell *out);
    enum wg_role (*row_role)(void *arg, int row); /* NULL = WG_TEXT */
    void *arg;
};
void wg_table_draw(struct wg_canvas *c, struct wg_rect r,
                   const struct wg_table *t, enum wg_glyphs g);
/* Keeps the cursor inside [0,nrow) and visible for `h` body rows. */
void wg_table_scroll(struct wg_table *t, int h);
/* Row at a cell of the drawn table, -1 = heading, -2 = none; *col too. */
int wg_table_hit(const struct wg_table *t, struct wg_rect r, int x, int y,
                 int *col);

struct wg_hist {
    const int64_t *bins; /* already one per cell, or resampled */
    int nbins;
    double lo, hi;
    const double *levels; /* grid under it; NULL none */
    const double *cuts;   /* [nlevels - 1] between them, ascending; NULL:
                             midway (levels ascend) */
    size_t nlevels;
    const int64_t *quant_bins; /* overlay, or NULL */
    double clip_lo, clip_hi;   /* equal: none */
    int level_at;              /* highlighted level, -1 none */
    bool log_counts;
};
void wg_hist_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_hist *h, enum wg_glyphs g);
/* A one-line histogram of w cells. */
void wg_spark(struct wg_cell *out, int w, const int64_t *bins, int nbins,
              enum wg_glyphs g);

struct wg_heat { /* rows x cols of values in [0,1], NaN = empty */
    int rows, cols;
    int top, left, cur_row, cur_col; /* -1 none */
    double (*value)(void *arg, int row, int col);
    void *arg;
    bool diverging;
    int cell_w; /* cells per value, >= 1 */
};
void wg_heat_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_heat *h, enum wg_glyphs g);
/* Moves top and left so that the cursor is inside r. */
void wg_heat_scroll(struct wg_heat *h, struct wg_rect r, enum wg_glyphs g);

struct wg_scatter_point {
    double x, y;
    uint32_t ch;
    enum wg_role role;
};
struct wg_tick {
    double at;
    char text[12];
};
struct wg_scatter {
    const struct wg_scatter_point *p; /* later ones cover earlier ones */
    int n, cursor;                    /* -1 = none */
    const struct wg_scatter_point *line; /* joined, ascending x */
    int nline;
    double x_lo, x_hi, y_lo, y_hi;
    const struct wg_tick *ytick; /* most wanted first */
    int nytick;
    double rule;           /* a level drawn across; NaN none */
    const char *rule_text; /* at its left end; NULL none */
    const char *x_name;
};
void wg_scatter_draw(struct wg_canvas *c, struct wg_rect r,
                     const struct wg_scatter *s, enum wg_glyphs g);

void wg_bar(struct wg_canvas *c, struct wg_rect r, double fraction,
            enum wg_glyphs g); /* progress, one line */
/* "1Layers 2Layer ..." ; returns the tab at x for the mouse via wg_tabs_hit. */
struct wg_tab {
    const char *key, *name;
};
void wg_tabs_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_tab *tab, int n, int active,
                  const char *right);
int wg_tabs_hit(struct wg_rect r, const struct wg_tab *tab, int n, int x);
void wg_keybar_draw(struct wg_canvas *c, struct wg_rect r,
                    const struct wg_tab *key, int n);
void wg_frame(struct wg_canvas *c, struct wg_rect r, const char *title,
              enum wg_glyphs g);

/* One-line editor.  Zero-initialised is empty. */
struct wg_input {
    char text[512];
    int cursor, len; /* bytes */
    const char *const *history; /* oldest first, borrowed */
    int nhistory;
    int at;          /* steps back in history, 0 = the line being typed */
    char draft[512]; /* that line, while at > 0 */
};
/* Replaces the text, cursor at its end; the first line of `text` counts. */
void wg_input_set(struct wg_input *in, const char *text);
/* Inserts the first line of a pasted text; controls become blanks. */
void wg_input_paste(struct wg_input *in, const char *text);
/* true when the key was used.  Enter and Esc are the caller's. */
bool wg_input_key(struct wg_input *in, int key);
void wg_input_draw(struct wg_canvas *c, struct wg_rect r,
                   const struct wg_input *in, const char *prompt);

/* A list to choose from, with fuzzy filter; drawn as an overlay. */
struct wg_menu {
    const char *title;
    int n, cursor, top;
    const char *(*item)(void *arg, int i);
    const char *(*right)(void *arg, int i); /* key or value; may be NULL */
    void *arg;
    int shown; /* rows drawn last, set by wg_menu_draw */
};
void wg_menu_draw(struct wg_canvas *c, struct wg_rect r, struct wg_menu *m,
                  enum wg_glyphs g);
/* Arrows, PgUp/PgDn, Home/End, j k g G, Ctrl-N/P/D/U; where a filter is typed
 * the input comes first. */
bool wg_menu_key(struct wg_menu *m, int key);
/* Subsequence match with a score (higher is better), -1 = no match. */
int wg_fuzzy(const char *pattern, const char *s);

/* Scrolled text (help, log). */
struct wg_pager {
    const char *title;
    int n, top;
    const char *(*line)(void *arg, int i);
    void *arg;
    enum wg_role (*role)(void *arg, int i); /* NULL = WG_TEXT */
    int shown; /* lines drawn last, set by wg_pager_draw */
};
void wg_pager_draw(struct wg_canvas *c, struct wg_rect r, struct wg_pager *p,
                   enum wg_glyphs g);
bool wg_pager_key(struct wg_pager *p, int key);

/* ---------------------------------------------------------------- terminal */
/* Ctrl-C, Ctrl-Z and Ctrl-S arrive as keys like any other. */
enum wg_key { /* above Unicode; printable keys are code points, Ctrl-x is
                 1..26, Esc 27, Enter 13, Backspace 127, Tab 9 */
    WG_KEY_UP = 0x110000, WG_KEY_DOWN, WG_KEY_LEFT, WG_KEY_RIGHT,
    WG_KEY_HOME, WG_KEY_END, WG_KEY_PGUP, WG_KEY_PGDN, WG_KEY_BACKTAB,
    WG_KEY_DEL, WG_KEY_INS, WG_KEY_RESIZE, WG_KEY_MOUSE, WG_KEY_PASTE,
    WG_KEY_F1, WG_KEY_F2, WG_KEY_F3, WG_KEY_F4, WG_KEY_F5, WG_KEY_F6,
    WG_KEY_F7, WG_KEY_F8, WG_KEY_F9, WG_KEY_F10, WG_KEY_F11, WG_KEY_F12,
    WG_KEY_NONE = -1
};
struct wg_mouse {
    int x, y;
    enum { WG_CLICK, WG_CTRL_CLICK, WG_WHEEL_UP, WG_WHEEL_DOWN } what;
};
/* "Ctrl-D", "F1", "<Down>", "x" and back; for scripts, keymaps and help.
 * Reading is generous: case, "^D", "C-d", names with or without brackets. */
int wg_key_parse(const char *name); /* WG_KEY_NONE if unknown */
char *wg_key_name(char *out, size_t cap, int key);

enum wg_colors { WG_COLORS_AUTO, WG_COLORS_NONE, WG_COLORS_8, WG_COLORS_16,
                 WG_COLORS_256, WG_COLORS_TRUE };
struct wg_term_opts {
    const char *theme; /* dark, light, high-contrast, mono */
    enum wg_colors colors;
    bool ascii, mouse;
};
extern const char *const wg_theme_names[]; /* NULL-ended */
struct wg_term;
/* Takes standard input and output, which must be a terminal.  NULL: one clause
 * in why.  Call setlocale before, and call it before other threads start (it
 * touches the environment for a moment).  AUTO colours heed NO_COLOR, terminfo
 * and COLORTERM; more than the terminal has becomes what it has.
 *
 * Signals are the caller's: SIGWINCH needs nothing (wg_term_key notices),
 * SIGTSTP and Ctrl-Z should lead to wg_term_suspend, deadly ones to
 * wg_restore_now with a copy from wg_term_restore. */
struct wg_term *wg_term_open(const struct wg_term_opts *o, char *why,
                             size_t cap);
void wg_term_close(struct wg_term *t); /* restores; NULL is fine */

/* All a signal handler needs to give the terminal back.  The handler's copy
 * is the caller's; wg_restore_now is safe inside a handler and harmless when
 * called twice. */
struct wg_restore {
    int in, out; /* descriptors */
    size_t n;
    char bytes[256];
    struct termios settings;
};
void wg_term_restore(const struct wg_term *t, struct wg_restore *out);
void wg_restore_now(const struct wg_restore *r);

void wg_term_size(const struct wg_term *t, int *w, int *h);
enum wg_glyphs wg_term_glyphs(const struct wg_term *t);
enum wg_colors wg_term_colors(const struct wg_term *t); /* the tier in use */
bool wg_term_theme(struct wg_term *t, const char *name);
void wg_term_mouse(struct wg_term *t, bool on);
/* Next key without waiting, WG_KEY_NONE if none; drain it after each poll.
 * WG_KEY_MOUSE and WG_KEY_PASTE leave their details in the two below, the
 * pasted text lives until the next paste.  Also notices a changed size and a
 * hung-up line. */
int wg_term_key(struct wg_term *t);
struct wg_mouse wg_term_last_mouse(const struct wg_term *t);
const char *wg_term_paste(const struct wg_term *t);
/* Shows the canvas: one doupdate, only changed cells. */
void wg_term_show(struct wg_term *t, const struct wg_canvas *c);
void wg_term_redraw(struct wg_term *t); /* Ctrl-L: everything again */
void wg_term_suspend(struct wg_term *t); /* Ctrl-Z: restore, stop, re-enter */
/* After SIGCONT that no wg_term_suspend was waiting for. */
void wg_term_resume(struct wg_term *t);
bool wg_term_gone(const struct wg_term *t); /* hung up */
/* Sends text to the terminal's clipboard (OSC 52). */
void wg_term_copy(struct wg_term *t, const char *text);

#endif
