/* The heat map: two rows of values per line of cells through half blocks,
 * digits where there are only letters.
 *
 * A value picks one of 32 steps, so neighbours that differ little look alike
 * and merge.  The cursor stands in brackets on the value's own colour, in
 * black or white, whichever stands out.  Where a value has a single cell, it
 * keeps its half and the other half turns black or white, which also says
 * which of the two rows is meant. */
#include "wg_priv.h"

#include <math.h>

enum { UPPER = 0x2580, LOWER = 0x2584 };

/* The role of a value; WG_TEXT for "no value here". */
static enum wg_role role_at(const struct wg_heat *h, int row, int col)
{
    if (row < 0 || col < 0 || row >= h->rows || col >= h->cols) {
        return WG_TEXT;
    }
    double v = h->value(h->arg, row, col);
    if (isnan(v)) {
        return WG_TEXT;
    }
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    int step = v >= 1 ? 31 : (int)(v * 32);
    return (enum wg_role)((h->diverging ? WG_DIV0 : WG_HEAT0) + step);
}

static struct wg_cell half_cell(enum wg_role up, enum wg_role down)
{
    struct wg_cell cell = {UPPER, 0, (uint8_t)up, (uint8_t)down};

    if (up == WG_TEXT) { /* only the lower half has a value, or neither */
        cell.ch = down == WG_TEXT ? ' ' : LOWER;
        cell.fg = (uint8_t)down;
        cell.bg = WG_TEXT;
    } else if (up == down) {
        cell.ch = ' '; /* one colour needs no glyph */
        cell.fg = WG_TEXT;
    }
    return cell;
}

/* Brackets around the cells of one value; 0 inside them and where there is
 * no room. */
static uint32_t bracket(int x, int cw)
{
    if (cw < 2 || (x > 0 && x < cw - 1)) {
        return 0;
    }
    return x == 0 ? '[' : ']';
}

/* Cell x of the value under the cursor.  The theme picks a legible ink for any
 * plain role on a step of a scale. */
static struct wg_cell cursor_cell(const struct wg_heat *h, int col, int x)
{
    enum wg_role value = role_at(h, h->cur_row, col);
    enum wg_role other = role_at(h, h->cur_row ^ 1, col);
    uint32_t ch = bracket(x, h->cell_w);

    if (ch == 0) {
        ch = h->cell_w > 1 ? ' ' : h->cur_row & 1 ? UPPER : LOWER;
    }
    if (h->cell_w <= 1 && value == other) {
        ch = '+'; /* half of one colour would look like a fault */
    }
    return (struct wg_cell){ch, 0, WG_CURSOR, (uint8_t)value};
}

/* A digit on its own colour: legible with and without it.  The diverging
 * scale writes signs, since a digit would hide the middle. */
static struct wg_cell digit_of(const struct wg_heat *h, int row, int col)
{
    static const char sign[] = "=-.+#";
    enum wg_role role = role_at(h, row, col);
    unsigned step = (unsigned)role & 31;
    struct wg_cell cell = {' ', 0, WG_TEXT, (uint8_t)role};

    if (role != WG_TEXT) {
        cell.ch = h->diverging ? (uint32_t)sign[step * 5 / 32]
                               : '0' + (2 * step + 1) * 10 / 64;
    }
    return cell;
}

static void draw_ascii(struct wg_canvas *c, struct wg_rect r,
                       const struct wg_heat *h)
{
    for (int y = 0; y < r.h && h->top + y < h->rows; y++) {
        for (int x = 0; x < r.w; x++) {
            int row = h->top + y, col = h->left + x / h->cell_w;
            struct wg_cell cell = digit_of(h, row, col);
            if (row == h->cur_row && col == h->cur_col) {
                uint32_t ch = bracket(x % h->cell_w, h->cell_w);
                cell.bg = WG_CURSOR; /* reverse: the digit stays legible */
                cell.fg = WG_ACCENT;
                cell.ch = ch && h->cell_w > 2 ? ch : cell.ch;
            }
            wg_put(c, r, x, y, cell);
        }
    }
}

static void draw_halves(struct wg_canvas *c, struct wg_rect r,
                        const struct wg_heat *h)
{
    for (int y = 0; y < r.h && h->top + 2 * y < h->rows; y++) {
        int row = h->top + 2 * y; /* even: cursor rows pair as row ^ 1 */
        bool here = h->cur_row == row || h->cur_row == row + 1;
        for (int x = 0; x < r.w && h->left + x / h->cell_w < h->cols; x++) {
            int col = h->left + x / h->cell_w;
            bool cursor = here && col == h->cur_col;
            wg_put(c, r, x, y,
                   cursor ? cursor_cell(h, col, x % h->cell_w)
                          : half_cell(role_at(h, row, col),
                                      role_at(h, row + 1, col)));
        }
    }
}

void wg_heat_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_heat *h, enum wg_glyphs g)
{
    struct wg_heat k = *h;

    k.cell_w = h->cell_w < 1 ? 1 : h->cell_w;
    if (g == WG_ASCII) {
        draw_ascii(c, r, &k);
    } else {
        k.top -= k.top & 1; /* pairs of rows stay pairs */
        draw_halves(c, r, &k);
    }
}

void wg_heat_scroll(struct wg_heat *h, struct wg_rect r, enum wg_glyphs g)
{
    int cw = h->cell_w < 1 ? 1 : h->cell_w;
    int rows = g == WG_ASCII ? r.h : 2 * r.h;

    h->top = wg_scroll_to(h->top, h->cur_row, h->rows, rows);
    h->left = wg_scroll_to(h->left, h->cur_col, h->cols, r.w / cw);
    if (g != WG_ASCII && h->top % 2 == 1) { /* pairs of rows stay pairs */
        h->top += h->cur_row - (h->top - 1) < rows ? -1 : 1;
    }
}
