/* A scatter of points over two axes, with a line through some of them.
 *
 *      70 |                 ●····●     ●
 *      69 |          ●·@····
 *      60 |   ■ ···
 *         +--2----------3----------4-- bits
 *
 * Points are one cell each, whatever the tier: they are chosen one at a
 * time, so each must be a place the eye can hold.  The line is drawn in half
 * cells or braille dots where there are any.  Later points cover earlier
 * ones, and the cursor's covers all. */
#include "wg_priv.h"

#include <math.h>

enum { LABEL_W = 7, MOST_ROWS = 512 };

struct plot {
    struct wg_canvas *c;
    const struct wg_scatter *s;
    enum wg_glyphs g;
    struct wg_rect all, area; /* area: without axes */
};

/* ------------------------------------------------------------ coordinates */

/* Where v lies between lo and hi, in n steps; -1 outside. */
static int place(double v, double lo, double hi, int n)
{
    double f = (v - lo) / (hi - lo);

    if (!(hi > lo) || !(f >= 0 && f <= 1)) {
        return -1;
    }
    int i = (int)(f * n);
    return i < n ? i : n - 1;
}

static int column_of(const struct plot *p, double x)
{
    return place(x, p->s->x_lo, p->s->x_hi, p->area.w);
}

static int row_of(const struct plot *p, double y)
{
    int up = place(y, p->s->y_lo, p->s->y_hi, p->area.h);
    return up < 0 ? -1 : p->area.h - 1 - up;
}

/* ------------------------------------------------------------------ line */

/* Height of the line at x, NaN beyond its ends. */
static double line_at(const struct wg_scatter *s, double x)
{
    for (int i = 0; i + 1 < s->nline; i++) {
        const struct wg_scatter_point *a = &s->line[i], *b = a + 1;
        if (x >= a->x && x <= b->x) {
            return b->x > a->x
                       ? a->y + (b->y - a->y) * (x - a->x) / (b->x - a->x)
                       : b->y;
        }
    }
    return (double)NAN;
}

/* Braille has 2 by 4 dots a cell; the bits of a column from the top. */
static uint32_t dot_of(int col, int row)
{
    static const uint32_t bit[2][4] = {{0x01, 0x02, 0x04, 0x40},
                                       {0x08, 0x10, 0x20, 0x80}};
    return bit[col][row];
}

static void draw_braille(const struct plot *p, int x)
{
    int last = -1;
    uint32_t dots = 0;

    for (int k = 0; k < 2; k++) {
        double f = (x + 0.25 + 0.5 * k) / p->area.w;
        double v = line_at(p->s, p->s->x_lo +
                                     f * (p->s->x_hi - p->s->x_lo));
        int up = place(v, p->s->y_lo, p->s->y_hi, p->area.h * 4);
        if (up < 0) {
            continue;
        }
        int from_top = p->area.h * 4 - 1 - up;
        if (last >= 0 && from_top / 4 != last) {
            wg_char(p->c, p->area, x, last, WG_ACCENT, 0x2800 + dots);
            dots = 0;
        }
        last = from_top / 4;
        dots |= dot_of(k, from_top % 4);
    }
    if (last >= 0) {
        wg_char(p->c, p->area, x, last, WG_ACCENT, 0x2800 + dots);
    }
}

static void draw_line(const struct plot *p)
{
    for (int x = 0; x < p->area.w; x++) {
        double f = (x + 0.5) / p->area.w;
        double v = line_at(p->s, p->s->x_lo +
                                     f * (p->s->x_hi - p->s->x_lo));
        int y = row_of(p, v);
        if (p->g == WG_BRAILLE) {
            draw_braille(p, x);
        } else if (y >= 0) {
            wg_char(p->c, p->area, x, y, WG_ACCENT,
                    p->g == WG_ASCII ? '\'' : 0x00b7);
        }
    }
}

/* ---------------------------------------------------------------- points */

static void draw_points(const struct plot *p)
{
    const struct wg_scatter *s = p->s;

    for (int i = 0; i <= s->n; i++) {
        int at = i < s->n ? i : s->cursor; /* the cursor's once more */
        if (at < 0 || at >= s->n) {
            continue;
        }
        int x = column_of(p, s->p[at].x), y = row_of(p, s->p[at].y);
        if (x < 0 || y < 0) {
            continue;
        }
        wg_char(p->c, p->area, x, y, s->p[at].role, s->p[at].ch);
        if (at == s->cursor) {
            wg_tint(p->c, (struct wg_rect){p->area.x + x, p->area.y + y, 1, 1},
                    WG_CURSOR);
        }
    }
}

/* ------------------------------------------------------------------ axes */

static void draw_rule(const struct plot *p)
{
    const struct wg_scatter *s = p->s;
    int y = row_of(p, s->rule);
    int w = s->rule_text ? wg_width(s->rule_text) : 0;

    if (y < 0) {
        return;
    }
    for (int x = 0; x < p->area.w; x++) {
        wg_char(p->c, p->area, x, y, WG_AXIS,
                p->g == WG_ASCII ? '-' : 0x2504);
    }
    if (w > 0 && w + 2 < p->area.w) {
        wg_text(p->c, p->area, 1, y, WG_DIM, s->rule_text);
    }
}

/* Ticks that would share a row with one drawn before are left out: the
 * caller's first are its roundest. */
static void draw_y(const struct plot *p)
{
    bool taken[MOST_ROWS] = {false};

    for (int y = 0; y < p->area.h; y++) {
        wg_char(p->c, p->all, LABEL_W, y, WG_AXIS,
                p->g == WG_ASCII ? '|' : 0x2502);
    }
    for (int i = 0; i < p->s->nytick; i++) {
        int y = row_of(p, p->s->ytick[i].at);
        if (y < 0 || y >= MOST_ROWS || taken[y]) {
            continue;
        }
        taken[y] = true;
        wg_text_right(p->c, wg_span(p->all, 0, y, LABEL_W - 1), 0, WG_AXIS,
                      p->s->ytick[i].text);
    }
}

static void draw_x(const struct plot *p)
{
    const struct wg_scatter *s = p->s;
    double span = s->x_hi - s->x_lo;
    double step = wg_nice_step(span, p->area.w / 10);
    int y = p->area.h, name = s->x_name ? wg_width(s->x_name) + 1 : 0;
    char text[32];

    for (int x = 0; x < p->area.w; x++) {
        wg_char(p->c, p->all, LABEL_W + 1 + x, y, WG_AXIS,
                p->g == WG_ASCII ? '-' : 0x2500);
    }
    wg_char(p->c, p->all, LABEL_W, y, WG_AXIS, p->g == WG_ASCII ? '+' : 0x2514);
    for (int i = 0; span > 0 && i < 50; i++) {
        double v = (ceil(s->x_lo / step - 1e-9) + i) * step;
        int x = column_of(p, v);
        int w = wg_width(wg_tidy_number(text, sizeof text, v, step));
        if (x < 0 || x + w + name > p->area.w) {
            break;
        }
        wg_text(p->c, p->all, LABEL_W + 1 + x, y, WG_AXIS, text);
    }
    if (name > 0) {
        wg_text_right(p->c, wg_span(p->all, 0, y, p->all.w), 0, WG_AXIS,
                      s->x_name);
    }
}

void wg_scatter_draw(struct wg_canvas *c, struct wg_rect r,
                     const struct wg_scatter *s, enum wg_glyphs g)
{
    struct wg_rect area = {r.x + LABEL_W + 1, r.y, r.w - LABEL_W - 1, r.h - 1};
    struct plot p = {c, s, g, r, area};

    if (area.w < 8 || area.h < 2) {
        return;
    }
    draw_rule(&p);
    draw_y(&p);
    draw_x(&p);
    draw_line(&p);
    draw_points(&p);
}
