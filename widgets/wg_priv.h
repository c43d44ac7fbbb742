/* Shared inside widgets only: characters, canvas access, looks of roles. */
#ifndef WG_PRIV_H
#define WG_PRIV_H

#include "wg.h"

/* ------------------------------------------------------------ characters */
/* Takes one code point off *s; bytes that are no UTF-8 give U+FFFD, one each.
 * Never passes the closing NUL. */
uint32_t wg_utf8_next(const char **s);
/* Writes 1 to 4 bytes, no NUL; returns how many. */
int wg_utf8_put(char *out, uint32_t cp);
/* Cells of a code point: 0 combining, 1, or 2.  Controls count 1, since they
 * are drawn as '?'. */
int wg_cp_width(uint32_t cp);
/* Bytes of the first character with its combining marks; *w its cells. */
size_t wg_cluster(const char *s, int *w);
/* What stands for a character where only ASCII can be shown. */
uint32_t wg_ascii_of(uint32_t cp);

/* ---------------------------------------------------------------- canvas */
/* The cell at canvas coordinates, NULL outside. */
struct wg_cell *wg_at(struct wg_canvas *c, int x, int y);
/* A row of r as a rectangle of its own, and a column range of one row. */
struct wg_rect wg_row(struct wg_rect r, int y);
struct wg_rect wg_span(struct wg_rect r, int x, int y, int w);
/* Text ending right before column x + w of r. */
void wg_text_right(struct wg_canvas *c, struct wg_rect r, int y,
                   enum wg_role role, const char *s);
/* One character; keeps the background that is there. */
void wg_char(struct wg_canvas *c, struct wg_rect r, int x, int y,
             enum wg_role role, uint32_t ch);
/* Roles that paint the ground their text stands on. */
bool wg_role_surface(enum wg_role role);

/* ---------------------------------------------------------------- glyphs */
/* n eighths of a cell filled from below (0..8) in the given tier. */
uint32_t wg_eighth(int n, enum wg_glyphs g);

/* ------------------------------------------------------------ scrolling */
/* The first shown row so that cursor is visible among h of n rows. */
int wg_scroll_to(int top, int cursor, int n, int h);
/* Where a key leads from `at` among n rows, h of them seen; -1: not ours. */
int wg_list_key(int key, int at, int n, int h);
/* A thumb at the right edge of r; nothing when all n rows fit. */
void wg_scrollbar(struct wg_canvas *c, struct wg_rect r, int top, int n,
                  enum wg_glyphs g);

/* ------------------------------------------------------------ tidy axes */
/* The 1, 2 or 5 times a power of ten that cuts span into at most n parts. */
double wg_nice_step(double span, int n);
/* "0", ".17", "-.06", "12", "1e-4": short, given the step between labels. */
char *wg_tidy_number(char *out, size_t cap, double v, double step);
/* "950", "4k", "1.2M". */
char *wg_tidy_count(char *out, size_t cap, double v);

/* ----------------------------------------------------------------- theme */
enum wg_attr { WG_A_BOLD = 1, WG_A_DIM = 2, WG_A_UNDER = 4, WG_A_REV = 8 };
struct wg_look {
    int fg, bg;    /* colour number of the tier, -1 = the terminal's own */
    unsigned attr; /* enum wg_attr */
};
struct wg_theme;
const struct wg_theme *wg_theme_find(const char *name); /* NULL: unknown */
/* How a cell looks; colors is a resolved tier, never AUTO.  In the TRUE tier
 * colours are 0xRRGGBB. */
struct wg_look wg_theme_look(const struct wg_theme *th, enum wg_colors colors,
                             const struct wg_cell *cell);
bool wg_theme_is_mono(const struct wg_theme *th);
/* The nearest of the 240 fixed colours of a 256-colour terminal. */
int wg_rgb_to_256(uint32_t rgb);

#endif
