/* search_found.c: what a search spends, loses and reaches. */
#include <math.h>
#include <stdio.h>

#include "ui.h"

/* Narrow screens leave out what a choice says. */
enum { RIGHT_X = 41, RIGHT_NARROW = 28, WIDE = 72, LOSSES = 5 };

char *ui_fmt_budget(char *out, size_t cap, const struct bd_search_opts *o,
                    double v)
{
    enum bd_budget b = o->budget;
    if (o->method == BD_SEARCH_BOTTLENECK && b == BD_BUDGET_AVG_BITS)
        snprintf(out, cap, "%.2f planes", v);
    else if (b == BD_BUDGET_SIZE)
        ui_fmt_size(out, cap, v);
    else if (b == BD_BUDGET_BOPS)
        snprintf(out, cap, "%.4g", v);
    else
        snprintf(out, cap, b == BD_BUDGET_AVG_BITS ? "%.2f b" : "%.1f%s", v,
                 b == BD_BUDGET_MAX_DROP ? " points" : " dB");
    return out;
}

int ui_search_right(struct wg_rect r)
{
    return r.w < WIDE ? RIGHT_NARROW : RIGHT_X;
}

static void right(struct ui *ui, struct wg_rect r, int y, const char *label,
                  const char *value)
{
    int x = ui_search_right(r);
    char cut[160];
    wg_text(&ui->canvas, r, x, y, WG_DIM, label);
    wg_text(&ui->canvas, r, x + 8, y, WG_TEXT,
            wg_cut(cut, sizeof cut, value, r.w - x - 9, false));
}

/* Once taken, what the whole network's line says. */
static const char *known_top1(char *out, size_t cap, const struct ui *ui,
                              const struct bd_search_result *b)
{
    struct bd_net_view net;
    bd_session_net(&net, ui->s);
    if (bd_session_why_no_accuracy(ui->s))
        return "no data to measure";
    if (!bd_bitcfg_same(&b->cfg, bd_session_cfg(ui->s)) ||
        net.fresh != BD_EXACT)
        return "measured once taken";
    return ui_fmt_top1(out, cap, ui, net.fresh, &net.acc);
}

/* What the best so far spends, loses and reaches. */
static void draw_best(struct ui *ui, struct wg_rect r,
                      const struct bd_search_view *v)
{
    const struct bd_search_result *b = v->best;
    char text[160], one[48], two[48];
    snprintf(text, sizeof text, "%s%s", b->name,
             b->optimal ? ", optimal" : "");
    right(ui, r, 0, "best", text);
    if (v->opts.budget <= BD_BUDGET_BOPS)
        snprintf(text, sizeof text, "%s of %s",
                 ui_fmt_budget(one, sizeof one, &v->opts, b->cost),
                 ui_fmt_budget(two, sizeof two, &v->opts, b->budget));
    else
        snprintf(text, sizeof text, "%.2f b, %s", b->size.avg_bits_w,
                 ui_fmt_size(two, sizeof two,
                             (double)b->size.size_bits / 8));
    right(ui, r, 1, "spends", text);
    if (b->bound > 0 && !b->optimal)
        snprintf(text, sizeof text, "%.4g, at least %.4g", b->loss, b->bound);
    else
        snprintf(text, sizeof text, "%.4g", b->loss);
    right(ui, r, 2, "loss", text);
    if (b->acc.total > 0) {
        ui_fmt_top1(text, sizeof text, ui, BD_EXACT, &b->acc);
        right(ui, r, 3, "top-1", text);
        snprintf(text, sizeof text, "%d evaluation%s, %s", b->evaluations,
                 b->evaluations == 1 ? "" : "s",
                 ui_fmt_time(one, sizeof one, b->seconds));
        if (!ui->batch) /* no clock in scripts */
            right(ui, r, 4, "", text);
    } else {
        right(ui, r, 3, "top-1", known_top1(text, sizeof text, ui, b));
    }
}

static void draw_state(struct ui *ui, struct wg_rect r,
                       const struct bd_search_view *v)
{
    char cut[300], source[220] = "";
    int w = r.w - 2;
    bool planes = v->opts.method == BD_SEARCH_BOTTLENECK;
    if (v->best)
        snprintf(source, sizeof source, "%s%s", v->best->source,
                 v->refining ? ", more choices follow"
                 : planes || bd_session_sens(ui->s) || v->best->acc.total > 0
                     ? ""
                     : "; w on Layers measures");
    if (v->phase == BD_SEARCH_REFUSED)
        wg_text(&ui->canvas, r, 1, LOSSES, WG_ERROR,
                wg_cut(cut, sizeof cut, v->why, w, false));
    else if (v->best)
        wg_textf(&ui->canvas, r, 2, LOSSES, WG_DIM, "losses  %s",
                 wg_cut(cut, sizeof cut, source, w - 9, false));
    else
        wg_text(&ui->canvas, r, 2, LOSSES, WG_DIM,
                planes ? "counting the bit planes of every layer's input"
                       : "pricing the choices of every layer");
}

void ui_search_found(struct ui *ui, struct wg_rect r,
                     const struct bd_search_view *v)
{
    draw_state(ui, r, v);
    if (v->best)
        draw_best(ui, r, v);
}
