/* Folding: what a picture becomes on a terminal with less.
 *
 * Without UTF-8 every character turns into a relative in ASCII.  Without
 * colour the steps of a scale turn into characters of rising weight: shades
 * (or digits) for the sequential scale, "=-.+#" for the diverging one, so that
 * a heat map says in black and white what it said in colour. */
#include "wg_priv.h"

enum { UPPER_HALF = 0x2580, LOWER_HALF = 0x2584 };

static bool scaled(unsigned role)
{
    return role >= WG_HEAT0 && role < WG_ROLES;
}

static uint32_t scale_char(unsigned role, bool ascii)
{
    static const uint32_t shade[5] = {' ', 0x2591, 0x2592, 0x2593, 0x2588};
    static const char sign[] = "=-.+#";
    unsigned n = role & 31;

    if (role >= WG_DIV0) {
        return (uint32_t)sign[n * 5 / 32];
    }
    return ascii ? '0' + (2 * n + 1) * 10 / 64 : shade[n * 5 / 32];
}

/* A half block shows two values; in one character their mean must do. */
static void fold_scale(struct wg_cell *cell, bool ascii)
{
    bool fg = scaled(cell->fg), bg = scaled(cell->bg);
    bool half = cell->ch == UPPER_HALF || cell->ch == LOWER_HALF;

    if (cell->fg == WG_CURSOR && half) {
        cell->ch = '+'; /* the cursor of a heat map, in a single cell */
    } else if (half) {
        unsigned role = fg && bg ? (cell->fg + cell->bg + 1u) / 2
                        : fg     ? cell->fg
                                 : cell->bg;
        cell->ch = scale_char(role, ascii);
    } else if (bg && cell->ch == ' ') {
        cell->ch = scale_char(cell->bg, ascii);
    }
    cell->fg = fg ? WG_TEXT : cell->fg;
    cell->bg = bg ? WG_TEXT : cell->bg;
}

static void fold_ascii(struct wg_cell *cell)
{
    cell->comb = 0;
    cell->ch = cell->ch == 0 ? ' ' : wg_ascii_of(cell->ch);
}

void wg_canvas_fold(struct wg_canvas *c, bool ascii, bool mono)
{
    size_t n = (size_t)c->w * (size_t)c->h;

    for (size_t i = 0; i < n; i++) {
        struct wg_cell *cell = &c->cell[i];
        if (mono && (scaled(cell->fg) || scaled(cell->bg))) {
            fold_scale(cell, ascii);
        }
        if (ascii && (cell->ch >= 0x7f || cell->ch == 0 || cell->comb)) {
            fold_ascii(cell);
        }
    }
}
