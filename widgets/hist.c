/* The histogram: bars of eighth blocks, counts to the left, the grid's levels
 * as ticks on the axis below, and tidy numbers under it.
 *
 *      4k       ▂▇█▅
 *      2k    ▁▅█████▆▂
 *       0 ─┬──┬─┬┬┰┬┬─┬──┬─
 *        -.1     0     .1
 *
 * One function maps a value to its column and is used for everything, so a
 * tick always stands under the bar it belongs to.  Levels that share a column
 * merge into a heavier tick.  The overlay shows where quantization puts the
 * weights: the count of each level, spread over the columns that round to it,
 * as a line.  Line and bars then cover equal areas, and comparing heights is
 * fair whatever the number of levels. */
#include "wg_priv.h"

#include <math.h>

struct plot {
    struct wg_canvas *c;
    const struct wg_hist *h;
    enum wg_glyphs g;
    struct wg_rect all;  /* the widget */
    struct wg_rect bars; /* without axis and labels */
    double most;         /* count at the top edge */
    double step;         /* between the counts at the left */
};

/* ------------------------------------------------------------ coordinates */

/* Column of a value, -1 outside the range. */
static int column_of(const struct plot *p, double v)
{
    double span = p->h->hi - p->h->lo;
    double f = (v - p->h->lo) / span;

    if (!(span > 0) || !(f >= 0 && f <= 1)) {
        return -1;
    }
    int x = (int)(f * p->bars.w);
    return x < p->bars.w ? x : p->bars.w - 1;
}

static double center_of(const struct plot *p, int x)
{
    double span = p->h->hi - p->h->lo;
    return p->h->lo + span * (x + 0.5) / p->bars.w;
}

/* Count on column x: the overlap with each bin when bins are finer, the bin
 * under the middle when they are coarser. */
static double count_at(const struct plot *p, const int64_t *bins, int x)
{
    int n = p->h->nbins, w = p->bars.w;
    double a = (double)x * n / w, b = (double)(x + 1) * n / w, sum = 0;

    if (n <= w) {
        int i = (int)((a + b) / 2);
        return bins[i < n ? i : n - 1] > 0 ? (double)bins[i < n ? i : n - 1]
                                           : 0;
    }
    for (int i = (int)a; i < n && i < b; i++) {
        double from = i > a ? i : a, to = i + 1 < b ? i + 1 : b;
        sum += bins[i] > 0 ? (to - from) * (double)bins[i] : 0;
    }
    return sum;
}

/* Height in [0,1] of a count. */
static double height_of(const struct plot *p, double count)
{
    double f =
        p->h->log_counts ? log1p(count) / log1p(p->most) : count / p->most;
    return f < 0 ? 0 : f > 1 ? 1 : f;
}

static double most_of(const struct plot *p)
{
    double most = 0;

    for (int x = 0; x < p->bars.w && p->h->nbins > 0; x++) {
        double v = count_at(p, p->h->bins, x);
        most = v > most ? v : most;
    }
    return most;
}

/* ------------------------------------------------------------------ bars */

static bool clipped(const struct wg_hist *h, double v)
{
    return h->clip_lo < h->clip_hi && (v < h->clip_lo || v > h->clip_hi);
}

/* Eighths of a cell a bar is high; what exists is seen. */
static int eighths(const struct plot *p, double count)
{
    int n = (int)(height_of(p, count) * p->bars.h * 8 + 0.5);
    return n == 0 && count > 0 ? 1 : n;
}

static void draw_bars(const struct plot *p)
{
    for (int x = 0; x < p->bars.w; x++) {
        int n = eighths(p, count_at(p, p->h->bins, x));
        bool out = clipped(p->h, center_of(p, x));
        for (int y = p->bars.h - 1; n > 0; y--, n -= 8) {
            wg_char(p->c, p->bars, x, y, out ? WG_DIM : WG_BAR,
                    wg_eighth(n, p->g));
        }
    }
}

/* --------------------------------------------------------------- overlay */

/* Where level i ends and the next begins. */
static double border(const struct wg_hist *h, size_t i)
{
    return h->cuts ? h->cuts[i] : (h->levels[i] + h->levels[i + 1]) / 2;
}

/* Index of the level of v; ties go up, which no eye can see. */
static size_t nearest_level(const struct wg_hist *h, double v)
{
    size_t lo = 0, hi = h->nlevels - 1;

    while (lo < hi) { /* first level whose upper border is above v */
        size_t mid = lo + (hi - lo) / 2;
        if (v < border(h, mid)) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

/* A line at height f in column x: three positions per cell. */
static void draw_step(const struct plot *p, int x, double f, double bar)
{
    static const uint32_t line[2][3] = {{'_', '-', '-'},
                                        {0x2581, 0x2500, 0x2594}};
    int sub = (int)(f * p->bars.h * 3);
    int top = p->bars.h * 3 - 1;

    sub = sub > top ? top : sub;
    int y = p->bars.h - 1 - sub / 3;
    uint32_t ch = line[p->g != WG_ASCII][sub % 3];
    struct wg_cell cell = {ch, 0, WG_BAR_ALT, WG_TEXT};
    /* over a bar the line keeps the bar's colour as its ground */
    if (p->g != WG_ASCII && bar * p->bars.h >= p->bars.h - y - 0.5) {
        cell.bg = WG_BAR;
    }
    wg_put(p->c, p->bars, x, y, cell);
}

/* Columns wholly outside the clip: no quantized value lies there. */
static bool beyond_clip(const struct plot *p, int x)
{
    const struct wg_hist *h = p->h;
    int a = column_of(p, h->clip_lo), b = column_of(p, h->clip_hi);

    return h->clip_lo < h->clip_hi && ((a >= 0 && x < a) || (b >= 0 && x > b));
}

/* One past the last column that rounds to the same level as column x. */
static int run_end(const struct plot *p, int x)
{
    bool beyond = beyond_clip(p, x);
    int end = x + 1;

    if (p->h->nlevels == 0) {
        return end;
    }
    size_t level = nearest_level(p->h, center_of(p, x));
    while (end < p->bars.w && beyond_clip(p, end) == beyond &&
           nearest_level(p->h, center_of(p, end)) == level) {
        end++;
    }
    return end;
}

static void draw_overlay(const struct plot *p)
{
    for (int x = 0, end; x < p->bars.w; x = end) {
        double sum = 0;
        end = run_end(p, x);
        for (int i = x; i < end; i++) {
            sum += count_at(p, p->h->quant_bins, i);
        }
        double mean = sum / (end - x);
        /* a step too low to see would only thicken the axis */
        bool seen = height_of(p, mean) * p->bars.h * 16 >= 1;
        for (int i = x; i < end && seen; i++) {
            draw_step(p, i, height_of(p, mean),
                      height_of(p, count_at(p, p->h->bins, i)));
        }
    }
}

/* ------------------------------------------------------------------ axes */

static void draw_count(const struct plot *p, double v)
{
    char text[16];
    /* The label's upper edge is at the height it names, as the axis is at
     * that of zero: so distances are even. */
    int up = (int)rint(height_of(p, v) * p->bars.h);
    int y = p->bars.h - (up < 1 ? 1 : up > p->bars.h ? p->bars.h : up);
    int w = p->bars.x - p->all.x - 1;

    wg_text_right(p->c, wg_span(p->all, 0, v > 0 ? y : p->bars.h, w), 0,
                  WG_AXIS, wg_tidy_count(text, sizeof text, v));
}

/* Counts are whole. */
static double count_step(double most, int rows)
{
    double step = wg_nice_step(most, rows / 3 > 1 ? rows / 3 : 1);
    return step < 1 ? 1 : step;
}

/* The count at the top edge: raised, where rounding labels to rows would set
 * them at uneven distances, so that a step is a whole number of rows. */
static double even_top(double most, double step, int rows)
{
    double each = rows * step / most, n = floor(most / step);

    if (fabs(each - rint(each)) * n < 0.5 || floor(each) < 1) {
        return most;
    }
    return rows * step / floor(each);
}

static void draw_counts(const struct plot *p)
{
    if (p->bars.x == p->all.x) {
        return; /* too narrow for numbers */
    }
    draw_count(p, 0);
    if (p->h->log_counts) {
        double v = 1, last = 0;
        for (; v <= p->most; v *= 10) {
            double at = height_of(p, v);
            if ((at - last) * p->bars.h >= 2) {
                draw_count(p, v);
                last = at;
            }
        }
        return;
    }
    for (int i = 1; i * p->step <= p->most * (1 + 1e-9) && i < 100; i++) {
        draw_count(p, i * p->step);
    }
}

static void draw_tick(const struct plot *p, struct wg_rect axis, int x,
                      int count)
{
    static const uint32_t sign[2][2] = {{'|', '#'}, {0x252c, 0x2530}};

    wg_char(p->c, axis, x, 0, WG_GRID, sign[p->g != WG_ASCII][count > 1]);
}

static void draw_levels(const struct plot *p, struct wg_rect axis)
{
    int at = -1, count = 0;

    for (size_t i = 0; i < p->h->nlevels; i++) {
        int x = column_of(p, p->h->levels[i]);
        count = x == at ? count + 1 : 1;
        at = x;
        if (x >= 0) {
            draw_tick(p, axis, x, count);
        }
    }
    if (p->h->level_at >= 0 && (size_t)p->h->level_at < p->h->nlevels) {
        int x = column_of(p, p->h->levels[p->h->level_at]);
        wg_char(p->c, axis, x, 0, WG_ACCENT, p->g == WG_ASCII ? '^' : 0x25b4);
    }
}

/* Where the clip's brace goes: a level often lies on the clip itself, and
 * its tick must be seen, so the brace steps outside when there is room. */
static int brace_of(const struct plot *p, double v, int outside)
{
    int x = column_of(p, v);

    for (size_t i = 0; x >= 0 && i < p->h->nlevels; i++) {
        if (column_of(p, p->h->levels[i]) == x) {
            int out = x + outside;
            return out >= 0 && out < p->bars.w ? out : x;
        }
    }
    return x;
}

static void draw_axis(const struct plot *p)
{
    struct wg_rect axis = p->bars;

    axis.y += p->bars.h;
    axis.h = 1;
    for (int x = 0; x < axis.w; x++) {
        wg_char(p->c, axis, x, 0, WG_AXIS, p->g == WG_ASCII ? '-' : 0x2500);
    }
    draw_levels(p, axis);
    if (p->h->clip_lo < p->h->clip_hi) {
        int a = brace_of(p, p->h->clip_lo, -1);
        int b = brace_of(p, p->h->clip_hi, 1);
        wg_char(p->c, axis, a, 0, WG_WARN, '{');
        wg_char(p->c, axis, b, 0, WG_WARN, '}');
    }
}

/* Draws a number centred under its column; false when it would touch cells
 * before `from` or leave the widget. */
static bool draw_number(const struct plot *p, double v, double step, int *from)
{
    char text[32];
    int shift = p->bars.x - p->all.x;
    int w = wg_width(wg_tidy_number(text, sizeof text, v, step));
    int x = shift + column_of(p, v) - w / 2;

    x = x < 0 ? 0 : x > p->all.w - w ? p->all.w - w : x;
    if (x < *from) {
        return false;
    }
    wg_text(p->c, p->all, x, p->bars.h + 1, WG_AXIS, text);
    *from = x + w + 1;
    return true;
}

static void draw_numbers(const struct plot *p)
{
    const struct wg_hist *h = p->h;
    double span = h->hi - h->lo;
    double step = wg_nice_step(span, p->bars.w / 8);
    int from = 0;

    if (!(span > 0) || !isfinite(span)) {
        return;
    }
    double first = ceil(h->lo / step - 1e-9);
    for (int i = 0; i < 100 && (first + i) * step <= h->hi + step * 1e-9; i++) {
        double v = (first + i) * step;
        v = v < h->lo ? h->lo : v > h->hi ? h->hi : v;
        draw_number(p, v, step, &from);
    }
}

/* ---------------------------------------------------------------- layout */

/* What leaves first when room ends: counts to the left, numbers below, the
 * axis. */
static struct plot lay_out(struct wg_canvas *c, struct wg_rect r,
                           const struct wg_hist *h, enum wg_glyphs g)
{
    struct plot p = {c, h, g, r, r, 0, 0};

    p.bars.h -= (r.h >= 2) + (r.h >= 4);
    if (r.w >= 28 && p.bars.h >= 3) {
        p.bars.x += 6;
        p.bars.w -= 7; /* the last label may hang over by one */
    }
    p.most = most_of(&p);
    if (p.most > 0 && p.bars.x > r.x) {
        p.step = count_step(p.most, p.bars.h);
        p.most = h->log_counts ? p.most
                               : even_top(p.most, p.step, p.bars.h);
    }
    return p;
}

void wg_hist_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_hist *h, enum wg_glyphs g)
{
    if (r.w < 1 || r.h < 1) {
        return;
    }
    struct plot p = lay_out(c, r, h, g);
    if (h->nbins > 0 && p.most > 0) {
        draw_bars(&p);
        if (h->quant_bins) {
            draw_overlay(&p);
        }
        draw_counts(&p);
    }
    if (r.h >= 2) {
        draw_axis(&p);
    }
    if (r.h >= 4) {
        draw_numbers(&p);
    }
}
