/* screen_channels.c: which channels deserve more?  One cell per output
 * channel in three strips, range, error and bits, and the exact numbers of
 * the channels around the cursor below.  + - b turn one channel here, the
 * layer elsewhere.
 *
 * Long strips wrap; what does not fit is a page of its own, chosen by the
 * cursor, so the cursor is always on screen. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum strip { S_RANGE, S_MSE, S_BITS, STRIPS };
enum { LABEL_W = 8, MAX_CELL_W = 4, MAX_LINES = 4 };

struct channels {
    int layer;   /* whose channels these are */
    int cur;     /* channel under the cursor */
    int top;     /* first row of the table */
};

/* What one drawing needs; made afresh each time. */
struct view {
    const struct bd_channel_view *c; /* NULL = not yet */
    int n;
    enum bd_fresh fresh;
    double range_hi, mse_lo, mse_hi; /* over all channels */
    int lines, per_line, cell_w, first; /* of a strip */
    enum strip strip;
    int split; /* heat rows per line: 2 with half blocks */
};

/* Smallest and largest over all channels, also those not on this page: the
 * colours keep their meaning while scrolling. */
static void scales(struct view *v)
{
    v->range_hi = 0;
    v->mse_lo = INFINITY;
    v->mse_hi = 0;
    for (int i = 0; i < v->n && v->c; i++) {
        double range = (double)v->c[i].max - (double)v->c[i].min;
        double mse = v->c[i].mse;
        v->range_hi = range > v->range_hi ? range : v->range_hi;
        if (mse > 0 && mse < v->mse_lo)
            v->mse_lo = mse;
        if (mse > v->mse_hi)
            v->mse_hi = mse;
    }
}

/* Known from the shape, before any numbers are. */
static int channel_count(const struct ui *ui)
{
    const struct bd_model *m = bd_session_model(ui->s);
    const struct bd_layer *l = &m->layer[ui->list.cur];
    return (int)m->value[l->weight].t.dim[l->axis];
}

/* The cursor belongs to one layer and lies within its channels. */
static void keep_inside(const struct ui *ui, struct channels *st)
{
    int n = channel_count(ui);
    if (st->layer != ui->list.cur)
        *st = (struct channels){.layer = ui->list.cur};
    if (st->cur >= n)
        st->cur = n - 1;
    if (st->cur < 0)
        st->cur = 0;
}

static struct view view_of(struct ui *ui, struct channels *st, int w, int h)
{
    struct view v = {0};
    v.c = bd_session_channels(ui->s, ui->list.cur, &v.n, &v.fresh);
    if (!v.c)
        v.n = channel_count(ui);
    keep_inside(ui, st);
    scales(&v);
    int room = w - LABEL_W - 3;
    v.cell_w = v.n > 0 ? room / v.n : 1;
    v.cell_w = v.cell_w < 1 ? 1 : v.cell_w;
    v.cell_w = v.cell_w > MAX_CELL_W ? MAX_CELL_W : v.cell_w;
    v.per_line = room / v.cell_w > 0 ? room / v.cell_w : 1;
    int most = (h - 8) / STRIPS; /* leave room for some of the table */
    most = most > MAX_LINES ? MAX_LINES : most < 1 ? 1 : most;
    v.lines = (v.n + v.per_line - 1) / v.per_line;
    v.lines = v.lines > most ? most : v.lines < 1 ? 1 : v.lines;
    int page = v.lines * v.per_line;
    v.first = st->cur / page * page;
    v.split = ui->glyphs == WG_ASCII ? 1 : 2;
    return v;
}

/* ---------------------------------------------------------------- strips */
static double value(void *arg, int row, int col)
{
    const struct view *v = arg;
    int i = v->first + row / v->split * v->per_line + col;
    if (i >= v->n || !v->c)
        return (double)NAN;
    const struct bd_channel_view *c = &v->c[i];
    if (v->strip == S_RANGE)
        return v->range_hi > 0
                   ? ((double)c->max - (double)c->min) / v->range_hi
                   : 0;
    if (v->strip == S_BITS) /* 8 bits and more look alike */
        return c->bits >= 8 ? 1 : c->bits / 8.0;
    if (!(c->mse > 0) || !(v->mse_hi > v->mse_lo))
        return 0;
    return log(c->mse / v->mse_lo) / log(v->mse_hi / v->mse_lo);
}

/* A scale's ends stand behind its name, or the colours would mean nothing. */
static void strip_label(char *out, size_t cap, const struct view *v)
{
    char a[32];
    if (v->strip == S_RANGE)
        snprintf(out, cap, "0 to %s",
                 ui_fmt_short(a, sizeof a, v->range_hi));
    else if (v->strip == S_MSE && v->mse_hi > 0)
        snprintf(out, cap, "%.0e to %.0e, log", v->mse_lo, v->mse_hi);
    else
        snprintf(out, cap, "%s", v->strip == S_BITS ? "0 to 8" : "");
}

/* Half blocks draw two rows per line: both get the same value here, so one
 * line of text is one row of channels. */
static int draw_strip(struct ui *ui, struct wg_rect r, struct view *v,
                      enum strip which, int cur)
{
    static const char *const name[STRIPS] = {"range", "MSE", "bits"};
    char ends[80];
    v->strip = which;
    int at = cur - v->first;
    bool focus = cur >= 0;
    struct wg_heat h = {
        .rows = v->lines * v->split, .cols = v->per_line,
        .cur_row = focus ? at / v->per_line * v->split : -1,
        .cur_col = focus ? at % v->per_line : -1,
        .value = value, .arg = v, .cell_w = v->cell_w};
    wg_text(&ui->canvas, r, 1, 0, WG_HEADING, name[which]);
    strip_label(ends, sizeof ends, v);
    struct wg_rect map = {r.x + LABEL_W, r.y, v->per_line * v->cell_w,
                          v->lines};
    wg_heat_draw(&ui->canvas, map, &h, ui->glyphs);
    if (v->lines > 1)
        return v->lines;
    int used = LABEL_W + (v->n < v->per_line ? v->n : v->per_line) *
                             v->cell_w;
    if (used + 3 + wg_width(ends) < r.w)
        wg_text(&ui->canvas, r, used + 2, 0, WG_DIM, ends);
    return v->lines;
}

/* ----------------------------------------------------------------- table */
enum { T_CH, T_BITS, T_MIN, T_MAX, T_MSE, T_BAR, T_COLUMNS, BAR_W = 24 };
static const struct wg_column columns[T_COLUMNS] = {
    [T_CH] = {"channel", 7, 7, 0, true, false},
    [T_BITS] = {"bits", 4, 4, 0, true, false},
    [T_MIN] = {"min", 8, 8, 0, true, false},
    [T_MAX] = {"max", 8, 8, 0, true, false},
    [T_MSE] = {"MSE", 9, 9, 0, true, false},
    [T_BAR] = {"share of the layer's error", 12, 26, 1, false, false},
};

/* The bar is against the worst channel, the number against the whole layer. */
static void share_cell(struct wg_table_cell *out, const struct ui *ui,
                       const struct view *v, int row)
{
    double sum = 0;
    for (int i = 0; i < v->n; i++)
        sum += v->c[i].mse;
    double f = sum > 0 ? v->c[row].mse / sum : 0;
    int n = v->mse_hi > 0 ? (int)ceil(v->c[row].mse / v->mse_hi * 16) : 0;
    const char *block = ui->glyphs == WG_ASCII ? "#" : "\xe2\x96\xa0";
    snprintf(out->text, sizeof out->text, "%4.1f %% ", 100 * f);
    for (int i = 0; i < n && i < BAR_W; i++)
        strncat(out->text, block, sizeof out->text - strlen(out->text) - 1);
    out->role = v->fresh == BD_STALE ? WG_STALE : WG_BAR;
}

struct table_arg {
    struct ui *ui;
    struct view *v;
};

static void cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    const struct table_arg *t = arg;
    const struct view *v = t->v;
    out->role = ui_fresh_role(v->fresh);
    if (col == T_CH) {
        snprintf(out->text, sizeof out->text, "%d", row);
        out->role = WG_TEXT;
    }
    if (!v->c || col == T_CH)
        return;
    const struct bd_channel_view *c = &v->c[row];
    const char *mark = v->fresh == BD_STALE ? "~" : "";
    if (col == T_BITS)
        snprintf(out->text, sizeof out->text, c->bits >= 32 ? "fp" : "%d",
                 c->bits);
    else if (col == T_MIN)
        ui_fmt_short(out->text, sizeof out->text, (double)c->min);
    else if (col == T_MAX)
        ui_fmt_short(out->text, sizeof out->text, (double)c->max);
    else if (col == T_MSE)
        snprintf(out->text, sizeof out->text, "%s%.2e", mark, c->mse);
    else
        share_cell(out, t->ui, v, row);
}

static void draw_table(struct ui *ui, struct channels *st, struct wg_rect r,
                       struct view *v)
{
    struct table_arg arg = {ui, v};
    struct wg_table t = {.col = columns, .ncol = T_COLUMNS, .nrow = v->n,
                         .top = st->top, .cursor = st->cur, .sort_col = -1,
                         .cell = cell, .arg = &arg};
    if (t.cursor >= 0) /* -1: another screen's pane, without a cursor */
        wg_table_scroll(&t, r.h - 1);
    st->top = t.top;
    wg_table_draw(&ui->canvas, r, &t, ui->glyphs);
}

/* Returns the rows used. */
static int draw_strips(struct ui *ui, struct wg_rect r, struct view *v,
                       int cur)
{
    int y = 0;
    for (int i = 0; i < STRIPS; i++)
        y += draw_strip(ui, (struct wg_rect){r.x, r.y + y, r.w, r.h - y}, v,
                        (enum strip)i, cur);
    return y;
}

/* Another screen may show the strips: there no channel has the cursor. */
void ui_channels_pane(struct ui *ui, struct wg_rect r)
{
    struct channels st = {.layer = ui->list.cur};
    if (r.h < STRIPS || ui->list.at < 0)
        return;
    struct view v = view_of(ui, &st, r.w, r.h);
    int y = draw_strips(ui, r, &v, -1) + 1;
    st.cur = -1;
    if (r.h - y >= 4)
        draw_table(ui, &st, (struct wg_rect){r.x, r.y + y, r.w, r.h - y},
                   &v);
}

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct channels *st = state;
    if (ui_feature_draw(ui, body))
        return;
    if (ui->list.at < 0) {
        wg_text(&ui->canvas, body, 3, 1, WG_DIM, "no layer is shown");
        return;
    }
    struct view v = view_of(ui, st, body.w, body.h);
    ui_detail_title(ui, (struct wg_rect){body.x, body.y, body.w, 2},
                    ui->list.cur);
    int y = 3 + draw_strips(ui, (struct wg_rect){body.x, body.y + 3, body.w,
                                                 body.h - 3}, &v, st->cur);
    y += ui_planes_channels(ui, (struct wg_rect){body.x, body.y + y, body.w,
                                                 body.h - y});
    draw_table(ui, st, (struct wg_rect){body.x, body.y + y + 1, body.w,
                                        body.h - y - 1}, &v);
}

/* --------------------------------------------------------------- actions */
static void set_channel(struct ui *ui, int channel, int bits)
{
    struct bd_err err = {0};
    if (ui->list.cur >= 0)
        ui_said(ui,
                bd_session_set_channel(ui->s, ui->list.cur, channel, bits,
                                       &err),
                &err);
}

/* A layer whose channels agree stores one width. */
static int bits_now(struct ui *ui, int channel)
{
    const struct bd_tensorcfg *w =
        &bd_session_cfg(ui->s)->layer[ui->list.cur].w;
    return w->channel && channel < w->channel->n ? w->channel->bits[channel]
                                                 : w->bits;
}

/* Counts and held keys step by more than one. */
static void step(struct ui *ui, struct channels *st, int by)
{
    int bits = bits_now(ui, st->cur);
    /* Float is above the widest grid. */
    if (bits >= 32)
        bits = by < 0 ? 17 + by : 32;
    else
        bits += by;
    set_channel(ui, st->cur, bits > 16 ? 32 : bits < 0 ? 0 : bits);
}

static void typed(struct ui *ui, const char *text)
{
    struct channels *st = ui->state[UI_CHANNELS];
    int64_t bits;
    if (!*text)
        return;
    if (!bd_parse_int(&bits, text, 0, 32))
        ui_warn(ui, "'%s': bits are 1 to 16, 0 for none, 32 for float",
                text);
    else
        set_channel(ui, st->cur, (int)bits);
}

static void ask(struct ui *ui, const struct channels *st)
{
    char label[64];
    snprintf(label, sizeof label, "bits of channel %d: ", st->cur);
    ui_prompt_open(ui, &(struct ui_ask){.label = label, .done = typed});
}

static bool edit_action(struct ui *ui, struct channels *st, enum ui_action a,
                        int count)
{
    switch ((int)a) {
    case UI_BITS_UP:
        return step(ui, st, count), true;
    case UI_BITS_DOWN:
        return step(ui, st, -count), true;
    case UI_BITS:
        return ask(ui, st), true;
    default:
        return false;
    }
}

/* The channel may lie outside for a moment: keep_inside() follows. */
static bool move(struct ui *ui, struct channels *st, enum ui_action a,
                 int count)
{
    int page = ui->frame.body.h / 2;
    switch ((int)a) {
    case UI_DOWN:
    case UI_RIGHT:
        return st->cur += count, true;
    case UI_UP:
    case UI_LEFT:
        return st->cur -= count, true;
    case UI_PAGE_DOWN:
        return st->cur += page, true;
    case UI_PAGE_UP:
        return st->cur -= page, true;
    case UI_TOP:
        return st->cur = count - 1, true;
    case UI_BOTTOM:
        return st->cur = count > 1 ? count - 1 : 1 << 24, true;
    default:
        return false;
    }
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    struct channels *st = state;
    if (ui_feature_action(ui, a, count))
        return true;
    if (ui->list.at < 0)
        return false;
    keep_inside(ui, st);
    if (move(ui, st, a, count > 1 << 20 ? 1 << 20 : count)) {
        keep_inside(ui, st);
        return true;
    }
    return a == UI_OPEN || edit_action(ui, st, a, count);
}

static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    struct channels *st = state;
    (void)ui;
    (void)body;
    if (m.what == WG_WHEEL_UP)
        st->cur--;
    if (m.what == WG_WHEEL_DOWN)
        st->cur++;
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},     {UI_BACK, "back"},       {UI_BITS_UP, "more"},
    {UI_BITS_DOWN, "less"}, {UI_BITS, "bits"},      {UI_METHOD, "method"},
    {UI_GRAIN, "grain"},   {UI_FEATURE, "feature"}, {UI_UNDO, "undo"},
    {UI_COMMAND, "command"}, {UI_NONE, NULL},
};

const struct ui_screen ui_screen_channels = {
    .key = "3", .name = "Channels", .on = ON_CHANNELS,
    .state_size = sizeof(struct channels), .keys = keys,
    .draw = draw, .action = action, .mouse = mouse,
};
