/* The table: a heading, rows pulled through a callback, columns that leave
 * when room ends.
 *
 * Layout of a line: one cell for the cursor sign, the columns with `gap` cells
 * between them, one cell kept for the scroll bar.  Columns leave in their
 * declared order until the least widths fit; what remains widens each column
 * from `min` towards `want`, and stretch columns take the rest.  Widths depend
 * on the rectangle alone, so nothing jumps while numbers change. */
#include "wg_priv.h"

#include <string.h>

enum { MAX_COLUMNS = 32 };

struct layout {
    int gap, n;
    int x[MAX_COLUMNS];
    int w[MAX_COLUMNS]; /* 0: the column has left */
};

/* ---------------------------------------------------------------- layout */

static bool shown(const struct layout *lay, const struct wg_table *t, int i)
{
    return lay->w[i] >= 0 && t->col[i].min >= 0;
}

static int least_width(const struct layout *lay, const struct wg_table *t)
{
    int total = 0;

    for (int i = 0; i < lay->n; i++) {
        if (shown(lay, t, i)) {
            total += t->col[i].min + (total > 0 ? lay->gap : 0);
        }
    }
    return total;
}

/* The column whose turn to leave comes first, -1 when all others stay. */
static int next_to_leave(const struct layout *lay, const struct wg_table *t)
{
    int best = -1;

    for (int i = 0; i < lay->n; i++) {
        int order = t->col[i].leave;
        if (shown(lay, t, i) && order > 0 &&
            (best < 0 || order < t->col[best].leave)) {
            best = i;
        }
    }
    return best;
}

static void drop_columns(struct layout *lay, const struct wg_table *t, int room)
{
    while (least_width(lay, t) > room) {
        /* a narrow gap is cheaper than a column */
        if (lay->gap > 1) {
            lay->gap = 1;
            continue;
        }
        int i = next_to_leave(lay, t);
        if (i < 0) {
            return;
        }
        lay->w[i] = -1;
        lay->gap = 2;
    }
}

/* Hands out what is left: first up to `want`, then to stretch columns. */
static void widen(struct layout *lay, const struct wg_table *t, int left)
{
    int stretch = 0;

    for (int i = 0; i < lay->n; i++) {
        if (!shown(lay, t, i)) {
            continue;
        }
        int more = t->col[i].want - t->col[i].min;
        more = more < 0 ? 0 : more > left ? left : more;
        lay->w[i] = t->col[i].min + more;
        left -= more;
        stretch += t->col[i].stretch;
    }
    for (int i = 0; i < lay->n && stretch > 0; i++) {
        if (shown(lay, t, i) && t->col[i].stretch) {
            int share = left / stretch--;
            lay->w[i] += share;
            left -= share;
        }
    }
}

static struct layout lay_out(const struct wg_table *t, int w)
{
    struct layout lay = {.gap = 2};
    int room = w - 2, x = 1; /* cursor sign, scroll bar */

    lay.n = t->ncol < MAX_COLUMNS ? t->ncol : MAX_COLUMNS;
    drop_columns(&lay, t, room);
    int left = room - least_width(&lay, t);
    widen(&lay, t, left > 0 ? left : 0);
    for (int i = 0; i < lay.n; i++) {
        lay.x[i] = x;
        if (lay.w[i] > 0) {
            /* the last one may not fit even at its least: cut it */
            int end = w - 1 - x;
            lay.w[i] = lay.w[i] > end ? end : lay.w[i];
            lay.w[i] = lay.w[i] < 0 ? 0 : lay.w[i];
            x += lay.w[i] + lay.gap;
        } else {
            lay.w[i] = 0;
        }
    }
    return lay;
}

/* --------------------------------------------------------------- drawing */

static void draw_aligned(struct wg_canvas *c, struct wg_rect r,
                         const struct wg_column *col,
                         const struct wg_table_cell *cell)
{
    char cut[sizeof cell->text];

    /* words differ at their ends as often as at their beginnings */
    wg_cut(cut, sizeof cut, cell->text, r.w, !col->right);
    if (col->right) {
        wg_text_right(c, r, 0, cell->role, cut);
    } else {
        wg_text(c, r, 0, 0, cell->role, cut);
    }
}

/* The sort sign stands in the gap on the ragged side of the title, so titles
 * stay over their numbers. */
static void draw_heading(struct wg_canvas *c, struct wg_rect r,
                         const struct wg_table *t, const struct layout *lay,
                         enum wg_glyphs g)
{
    static const uint32_t sign[2][2] = {{'^', 'v'}, {0x25b4, 0x25be}};

    for (int i = 0; i < lay->n; i++) {
        struct wg_table_cell cell = {.role = WG_HEADING};
        const struct wg_column *col = &t->col[i];
        strncpy(cell.text, col->title, sizeof cell.text - 1);
        draw_aligned(c, wg_span(r, lay->x[i], 0, lay->w[i]), col, &cell);
        if (i == t->sort_col && lay->w[i] > 0) {
            int tw = wg_width(cell.text);
            tw = tw > lay->w[i] ? lay->w[i] : tw;
            int x = lay->x[i] + (col->right ? lay->w[i] - tw - 1 : tw);
            wg_char(c, r, x, 0, WG_ACCENT, sign[g != WG_ASCII][t->sort_down]);
        }
    }
}

static void draw_cells(struct wg_canvas *c, struct wg_rect r,
                       const struct wg_table_cell *cell)
{
    for (int x = 0; x < cell->ncells && x < r.w; x++) {
        wg_put(c, r, x, 0, cell->cells[x]);
    }
}

static void draw_row(struct wg_canvas *c, struct wg_rect r,
                     const struct wg_table *t, const struct layout *lay,
                     int row)
{
    enum wg_role base = t->row_role ? t->row_role(t->arg, row) : WG_TEXT;

    for (int i = 0; i < lay->n; i++) {
        if (lay->w[i] <= 0) {
            continue;
        }
        struct wg_table_cell cell = {.role = WG_TEXT};
        struct wg_rect at = wg_span(r, lay->x[i], 0, lay->w[i]);
        t->cell(t->arg, row, i, &cell);
        cell.role = cell.role == WG_TEXT ? base : cell.role;
        if (cell.cells) {
            draw_cells(c, at, &cell);
        } else {
            draw_aligned(c, at, &t->col[i], &cell);
        }
    }
}

void wg_table_draw(struct wg_canvas *c, struct wg_rect r,
                   const struct wg_table *t, enum wg_glyphs g)
{
    struct layout lay = lay_out(t, r.w);
    struct wg_rect body = {r.x, r.y + 1, r.w, r.h - 1};

    if (r.h < 1 || r.w < 1) {
        return;
    }
    draw_heading(c, wg_row(r, 0), t, &lay, g);
    for (int y = 0; y < body.h && t->top + y < t->nrow; y++) {
        int row = t->top + y;
        struct wg_rect line = wg_row(body, y);
        draw_row(c, line, t, &lay, row);
        if (row == t->cursor) {
            wg_char(c, line, 0, 0, WG_ACCENT, g == WG_ASCII ? '>' : 0x258c);
            wg_tint(c, wg_span(line, 0, 0, r.w - 1), WG_CURSOR);
        }
    }
    wg_scrollbar(c, body, t->top, t->nrow, g);
}

void wg_table_scroll(struct wg_table *t, int h)
{
    if (t->cursor >= t->nrow) {
        t->cursor = t->nrow - 1;
    }
    if (t->cursor < 0) {
        t->cursor = 0;
    }
    t->top = wg_scroll_to(t->top, t->cursor, t->nrow, h);
}

int wg_table_hit(const struct wg_table *t, struct wg_rect r, int x, int y,
                 int *col)
{
    struct layout lay = lay_out(t, r.w);
    int row = t->top + y - r.y - 1;

    *col = -1;
    if (x < r.x || y < r.y || x >= r.x + r.w || y >= r.y + r.h) {
        return -2;
    }
    for (int i = 0; i < lay.n; i++) {
        int from = lay.x[i] - 1; /* half the gap belongs to its column */
        if (lay.w[i] > 0 && x - r.x >= from && x - r.x < lay.x[i] + lay.w[i]) {
            *col = i;
        }
    }
    if (y == r.y) {
        return -1;
    }
    return row < t->nrow ? row : -2;
}
