/* screen_trade.c: accuracy against size; where am I on the front?
 *
 * Points come from the session, with the kind of knowledge each rests on.
 * The vertical axis shows the distance to a little above float on a
 * logarithmic scale, since the last points are where choices are made.  The
 * cursor is a point's number, so it stays when others arrive. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { MOST = 512, TICKS = 40, FOOT_H = 3 };
enum axis { AXIS_BITS, AXIS_SIZE, AXIS_BOPS, AXES };

struct trade {
    int id;              /* of the point under the cursor; 0 = here */
    enum axis axis;
    bool hide_dominated;
};

struct view { /* one drawing */
    struct ui *ui;
    struct trade *st;
    struct bd_trade_point p[MOST];
    size_t n;
    int shown[MOST], nshown; /* those drawn, ascending x */
    double ref;              /* above every accuracy */
};

static double x_of(const struct view *v, const struct bd_trade_point *p)
{
    switch (v->st->axis) {
    case AXIS_SIZE:
        return p->size_bytes / (1024 * 1024);
    case AXIS_BOPS:
        return p->bops / 1e9;
    case AXIS_BITS:
    case AXES:
        break;
    }
    return p->avg_bits;
}

static double top1_of(const struct bd_trade_point *p)
{
    return isnan(p->top1) ? p->guess : p->top1;
}

/* Half a point above the best there is has room for all. */
static double height(const struct view *v, double top1)
{
    double d = v->ref - top1;
    return -log(d > 1e-4 ? d : 1e-4);
}

static bool drawn(const struct view *v, const struct bd_trade_point *p)
{
    if (isnan(top1_of(p)) || p->avg_bits >= 31)
        return false;
    return !(v->st->hide_dominated && p->dominated &&
             p->kind != BD_TRADE_HERE);
}

static void look(struct view *v, struct ui *ui, struct trade *st)
{
    struct bd_net_view net;
    v->ui = ui;
    v->st = st;
    v->n = bd_session_trade(ui->s, v->p, MOST);
    v->n = v->n > MOST ? MOST : v->n;
    bd_session_net(&net, ui->s);
    v->ref = net.float_fresh == BD_ABSENT ? 0 : net.float_acc.top1;
    v->nshown = 0;
    bool found = false;
    for (size_t i = 0; i < v->n; i++) {
        if (!drawn(v, &v->p[i]))
            continue;
        v->shown[v->nshown++] = (int)i;
        v->ref = fmax(v->ref, top1_of(&v->p[i]));
        found = found || v->p[i].id == st->id;
    }
    v->ref += 0.01;
    if (!found)
        st->id = 0;
}

static int at_cursor(const struct view *v)
{
    for (int i = 0; i < v->nshown; i++)
        if (v->p[v->shown[i]].id == v->st->id)
            return i;
    return v->nshown > 0 ? 0 : -1;
}

/* ---------------------------------------------------------------- the plot */

static uint32_t sign(const struct view *v, const struct bd_trade_point *p)
{
    static const uint32_t s[2][4] = {{'.', 'o', 'u', '@'},
                                     {0x25cb, 0x25cf, 0x25a0, '@'}};
    int row = v->ui->glyphs != WG_ASCII;
    if (p->kind == BD_TRADE_BASELINE && isnan(p->top1))
        return row ? 0x25a1 : 'v';
    return s[row][p->kind];
}

static enum wg_role role_of(const struct bd_trade_point *p)
{
    if (p->kind == BD_TRADE_HERE)
        return WG_MARK;
    if (isnan(p->top1))
        return WG_DIM;
    return p->dominated ? WG_DIM : WG_GOOD;
}

/* Points that are measured and that none beats. */
static int front(const struct view *v, struct wg_scatter_point *out)
{
    int n = 0;
    for (int i = 0; i < v->nshown; i++) {
        const struct bd_trade_point *p = &v->p[v->shown[i]];
        if (!isnan(p->top1) && !p->dominated)
            out[n++] = (struct wg_scatter_point){
                x_of(v, p), height(v, p->top1), 0, WG_ACCENT};
    }
    return n;
}

/* Whole per cents first, then their halves and tenths near the top. */
static int ticks(const struct view *v, struct wg_tick *t, double lo)
{
    static const double step[] = {0.1, 0.05, 0.02, 0.01, 0.005};
    int n = 0;
    for (size_t k = 0; k < sizeof step / sizeof *step; k++)
        for (double p = ceil(lo / step[k]) * step[k];
             p < v->ref - 0.004 && n < TICKS; p += step[k]) {
            bool far = true;
            for (int i = 0; i < n; i++)
                far = far && fabs(t[i].at - height(v, p)) > 0.28;
            if (!far)
                continue;
            t[n].at = height(v, p);
            snprintf(t[n++].text, sizeof t[0].text,
                     step[k] >= 0.01 ? "%.0f" : "%.1f", 100 * p);
        }
    return n;
}

static void draw_plot(struct view *v, struct wg_rect r)
{
    static const char *const name[AXES] = {"bits per weight", "MB",
                                           "G bit operations"};
    struct wg_scatter_point p[MOST], line[MOST];
    struct wg_tick t[TICKS];
    struct bd_net_view net;
    char rule[48];
    double lo = 1;
    struct wg_scatter s = {.p = p, .line = line, .n = v->nshown,
                           .cursor = at_cursor(v), .x_lo = INFINITY,
                           .x_hi = -INFINITY, .rule = (double)NAN,
                           .ytick = t, .x_name = name[v->st->axis]};
    for (int i = 0; i < v->nshown; i++) {
        const struct bd_trade_point *q = &v->p[v->shown[i]];
        lo = fmin(lo, top1_of(q));
        p[i] = (struct wg_scatter_point){x_of(v, q), height(v, top1_of(q)),
                                         sign(v, q), role_of(q)};
        s.x_lo = fmin(s.x_lo, p[i].x);
        s.x_hi = fmax(s.x_hi, p[i].x);
    }
    double pad = fmax((s.x_hi - s.x_lo) * 0.03, s.x_hi * 1e-3);
    s.x_lo -= pad;
    s.x_hi += pad;
    s.nline = front(v, line);
    s.nytick = ticks(v, t, lo);
    s.y_lo = height(v, lo) - 0.15;
    s.y_hi = height(v, v->ref - 0.008);
    bd_session_net(&net, v->ui->s);
    if (net.float_fresh != BD_ABSENT) {
        s.rule = height(v, net.float_acc.top1);
        snprintf(rule, sizeof rule, " fp32 %.2f ", 100 * net.float_acc.top1);
        s.rule_text = rule;
    }
    wg_scatter_draw(&v->ui->canvas, r, &s, v->ui->glyphs);
}

/* ---------------------------------------------------------------- the words */

static void draw_legend(const struct view *v, struct wg_rect r)
{
    static const char *const text[2] = {
        "o measured   . estimated   u uniform   @ here",
        "\xe2\x97\x8f measured   \xe2\x97\x8b estimated   \xe2\x96\xa0 "
        "uniform   @ here"};
    int first = 0;
    for (int i = 0; i < v->nshown; i++)
        first += !v->p[v->shown[i]].dominated &&
                 !isnan(v->p[v->shown[i]].top1);
    wg_text(&v->ui->canvas, r, 1, 0, WG_HEADING, "top-1");
    wg_text(&v->ui->canvas, r, 9, 0, WG_DIM,
            text[v->ui->glyphs != WG_ASCII]);
    if (r.w >= 76)
        wg_textf(&v->ui->canvas, r, r.w - 19, 0, WG_DIM, "front: %d point%s",
                 first, first == 1 ? "" : "s");
}

/* Numbers of the point under the cursor. */
static void draw_point(const struct view *v, struct wg_rect r)
{
    int at = at_cursor(v);
    char size[32], acc[64];
    if (at < 0)
        return;
    const struct bd_trade_point *p = &v->p[v->shown[at]];
    if (!isnan(p->top1))
        snprintf(acc, sizeof acc, "%.2f [%.2f, %.2f]", 100 * p->top1,
                 100 * p->ci_lo, 100 * p->ci_hi);
    else
        snprintf(acc, sizeof acc, "about %.1f, not measured", 100 * p->guess);
    bool narrow = r.w < 76;
    const char *gap = narrow ? "  " : "   ";
    int x = 1 + wg_textf(&v->ui->canvas, r, 1, 0, WG_TEXT, "> %s", p->name);
    wg_textf(&v->ui->canvas, r, narrow ? x + 2 : 20, 0, WG_NUMBER,
             "%.3f b%s%s%stop-1 %s%s", p->avg_bits, gap,
             ui_fmt_size(size, sizeof size, p->size_bytes), gap, acc,
             p->dominated && !narrow ? "   dominated" : "");
}

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct view v = {0};
    const char *why = bd_session_why_no_accuracy(ui->s);
    if (why) {
        char cut[600];
        wg_text(&ui->canvas, body, 1, 1, WG_DIM,
                wg_cut(cut, sizeof cut, why, body.w - 2, false));
        return;
    }
    look(&v, ui, state);
    draw_legend(&v, body);
    if (v.nshown == 0)
        wg_text(&ui->canvas, body, 9, 3, WG_DIM,
                "measuring the uniform widths; points appear as they come");
    else
        draw_plot(&v, (struct wg_rect){body.x, body.y + 1, body.w,
                                       body.h - FOOT_H});
    draw_point(&v, (struct wg_rect){body.x, body.y + body.h - 1, body.w, 1});
}

/* --------------------------------------------------------------- actions */

static void step(struct ui *ui, struct trade *st, int by)
{
    struct view v = {0};
    look(&v, ui, st);
    int at = at_cursor(&v) + by;
    if (v.nshown == 0)
        return;
    at = at < 0 ? 0 : at >= v.nshown ? v.nshown - 1 : at;
    st->id = v.p[v.shown[at]].id;
}

static void take(struct ui *ui, struct trade *st)
{
    struct bd_err err = {0};
    if (st->id == 0) {
        ui_say(ui, "this is the present configuration");
        return;
    }
    bd_status s = bd_session_trade_take(ui->s, st->id, &err);
    ui_said(ui, s, &err);
    if (s == BD_OK)
        st->id = 0;
}

static void measure(struct ui *ui, const struct trade *st)
{
    struct bd_err err = {0};
    if (bd_session_trade_measure(ui->s, st->id, &err) != BD_OK)
        ui_refuse(ui, &err);
    else
        ui_say(ui, "its accuracy comes next");
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    struct trade *st = state;
    switch ((int)a) {
    case UI_RIGHT:
    case UI_DOWN:
        return step(ui, st, count), true;
    case UI_LEFT:
    case UI_UP:
        return step(ui, st, -count), true;
    case UI_TOP:
        return step(ui, st, -MOST), true;
    case UI_BOTTOM:
        return step(ui, st, MOST), true;
    case UI_OPEN:
        return take(ui, st), true;
    case UI_MEASURE:
        return measure(ui, st), true;
    case UI_DOMINATED:
        st->hide_dominated = !st->hide_dominated;
        return true;
    case UI_AXIS:
        st->axis = (enum axis)((st->axis + 1) % AXES);
        return true;
    default:
        return false;
    }
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},      {UI_OPEN, "take"},      {UI_RIGHT, "next"},
    {UI_MEASURE, "measure"}, {UI_DOMINATED, "dominated"}, {UI_AXIS, "axis"},
    {UI_UNDO, "undo"},      {UI_BACK, "back"},      {UI_NONE, NULL},
};

const struct ui_screen ui_screen_trade = {
    .key = "4", .name = "Trade-off", .on = ON_TRADE,
    .state_size = sizeof(struct trade), .keys = keys, .draw = draw,
    .action = action,
};
