/* detail.c: one layer, seen: the histogram of its weights with the grid that
 * quantizes them on the same axis, and the numbers that follow.  A pane for
 * any rectangle: beside the list on large terminals, the whole screen 2
 * otherwise. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { MAX_BINS = 512, NUMBERS_W = 27, NUMBERS = 12 };

/* The tensor behind a layer. */
static const struct bd_tensor *weight_of(const struct ui *ui, int layer)
{
    const struct bd_model *m = bd_session_model(ui->s);
    return &m->value[m->layer[layer].weight].t;
}

/* "4 bits apot per channel, mse clip" */
static void choice_text(char *out, size_t cap, const struct bd_tensorcfg *c)
{
    if (c->bits >= 32) {
        snprintf(out, cap, "float");
        return;
    }
    char bits[16], group[16] = "";
    const struct bd_quantizer *q = bd_quantizer_at(c->quant);
    bool clip = !(q->traits & BD_Q_NO_CLIP);
    ui_fmt_bits(bits, sizeof bits, c);
    if (c->grain == BD_GRAIN_GROUP)
        snprintf(group, sizeof group, " of %d", c->group);
    snprintf(out, cap, "%s bit%s %s per %s%s%s%s%s",
             c->channel ? "mixed" : bits, c->bits == 1 ? "" : "s", q->name,
             bd_grain_names[c->grain], group, clip ? ", " : "",
             clip ? bd_clip_names[c->clip] : "", clip ? " clip" : "");
}

/* Two lines: what the tensor is, and what is done to it. */
void ui_detail_title(struct ui *ui, struct wg_rect r, int layer)
{
    const struct bd_layer *l = &bd_session_model(ui->s)->layer[layer];
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[layer];
    struct bd_layer_view v;
    char name[300], shape[128], count[32], w[96];
    bd_session_layer(&v, ui->s, layer);
    bd_shape_text(shape, sizeof shape, weight_of(ui, layer));
    ui_fmt_count(count, sizeof count, v.params);
    choice_text(w, sizeof w, &c->w);
    bd_text_show(name, sizeof name, l->name, (size_t)(r.w > 60 ? 40 : 24));
    struct ui_piece p[] = {{WG_TITLE, name}, {WG_DIM, "  "}, {WG_DIM, shape},
                           {WG_DIM, "  "}, {WG_DIM, count},
                           {WG_DIM, " weights"}};
    ui_pieces(ui, r, 1, p, 6);
    if (r.h > 1) {
        struct ui_piece q[] = {{WG_DIM, "W "}, {WG_TEXT, w}};
        ui_pieces(ui, (struct wg_rect){r.x, r.y + 1, r.w, 1}, 1, q, 2);
    }
}

/* ------------------------------------------------------------- histogram */
/* Range of the picture: all weights, and the clip when it lies beyond. */
static double half_range(const struct bd_layer_view *v,
                         const struct bd_grid_view *g)
{
    double r = v->stats ? v->stats->absmax : v->w.peak;
    if (g->n && fabs(g->levels[0]) > r)
        r = fabs(g->levels[0]);
    if (g->n && fabs(g->levels[g->n - 1]) > r)
        r = fabs(g->levels[g->n - 1]);
    return r > 0 ? r * 1.05 : 1; /* the clip's braces stand outside */
}

/* Whether the layer's method has a clip to choose at all. */
static bool has_clip(const struct ui *ui, int layer)
{
    const struct bd_tensorcfg *w = &bd_session_cfg(ui->s)->layer[layer].w;
    return w->bits < 32 &&
           !(bd_quantizer_at(w->quant)->traits & BD_Q_NO_CLIP);
}

/* The counts at the finest the picture can show, or what the session has
 * ready.  false: nothing yet. */
static bool fill_bins(struct ui *ui, int layer, struct wg_hist *h,
                      int64_t *bins, const struct bd_layer_view *v)
{
    struct bd_bins fine = {h->lo, h->hi, bins, h->nbins};
    if (bd_session_histogram(ui->s, layer, fine)) {
        h->bins = bins;
        return true;
    }
    if (!v->bins || !v->stats)
        return false;
    h->bins = v->bins;
    h->nbins = BD_VIEW_BINS;
    h->lo = -v->stats->absmax;
    h->hi = v->stats->absmax;
    return true;
}

static void draw_histogram(struct ui *ui, struct wg_rect r, int layer,
                           const struct bd_layer_view *v)
{
    int64_t bins[MAX_BINS];
    struct bd_grid_view g;
    bd_session_grid(&g, ui->s, layer, 0);
    double half = half_range(v, &g);
    /* One bin per column of bars (the widget keeps 7 for labels), or per
     * few columns where a bin would hold too few weights to mean much. */
    int n = r.w >= 28 ? r.w - 7 : r.w, wide = 1;
    if (n < 8)
        return;
    while (n / wide > 24 && v->params / (n / wide) < 24)
        wide++;
    r.w -= n % wide;
    n /= wide;
    struct wg_hist h = {.nbins = n < MAX_BINS ? n : MAX_BINS, .lo = -half,
                        .hi = half, .level_at = ui->level,
                        .log_counts = ui->log_counts};
    if (!fill_bins(ui, layer, &h, bins, v)) {
        wg_text(&ui->canvas, r, 2, r.h / 2, WG_DIM,
                "counting the weights ...");
        return;
    }
    if (g.n && bd_session_cfg(ui->s)->layer[layer].w.bits < 32) {
        h.levels = g.levels;
        h.nlevels = g.n;
        h.cuts = g.cuts;
        if (has_clip(ui, layer)) {
            h.clip_lo = g.clip_lo;
            h.clip_hi = g.clip_hi;
        }
        /* The widget gathers what falls to each level: the same counts. */
        h.quant_bins = ui->overlay_quant ? h.bins : NULL;
    }
    wg_hist_draw(&ui->canvas, r, &h, ui->glyphs);
}

/* --------------------------------------------------------------- numbers */
struct number {
    const char *label;
    char text[40];
    enum wg_role role;
};
struct numbers { /* gathered in the order of importance */
    struct number n[NUMBERS];
    int k;
    enum bd_fresh fresh; /* of what is put next */
};

/* The mark of a number that belongs to an earlier configuration. */
static const char *tilde(const struct numbers *n)
{
    return n->fresh == BD_STALE ? "~" : "";
}

/* More numbers than the pane's table holds are dropped, the last first. */
static void put(struct numbers *n, const char *label, const char *text)
{
    if (n->k == NUMBERS)
        return;
    struct number *to = &n->n[n->k++];
    to->label = label;
    to->role = ui_fresh_role(n->fresh);
    snprintf(to->text, sizeof to->text, "%s", text);
}

static void put_db(struct numbers *n, const char *label, double db)
{
    char a[32], b[40];
    ui_fmt_db(a, sizeof a, n->fresh, db);
    snprintf(b, sizeof b, a[0] && isfinite(db) ? "%s dB" : "%s",
             a[0] ? a : "...");
    put(n, label, b);
}

static void put_share(struct numbers *n, const char *label, int64_t part,
                      int64_t all)
{
    char b[40];
    snprintf(b, sizeof b, "%s%.2f %%", tilde(n),
             all > 0 ? 100.0 * (double)part / (double)all : 0.0);
    put(n, label, b);
}

static void put_value(struct numbers *n, const char *label, double v)
{
    char a[32], b[40];
    snprintf(b, sizeof b, "%s%s", tilde(n), ui_fmt_short(a, sizeof a, v));
    put(n, label, b);
}

/* The index answers the first four at once; the others need a pass over the
 * weights and are the old ones until then. */
static void put_errors(struct numbers *n, const struct bd_layer_view *v,
                       bool clip)
{
    const struct bd_error_stats *w = &v->w;
    char a[32], b[40];
    put_db(n, "PSNR", w->psnr_db);
    put_db(n, "SQNR", w->sqnr_db);
    snprintf(b, sizeof b, "%s%s", tilde(n), ui_fmt_sci(a, sizeof a, w->mse));
    put(n, "MSE", b);
    if (clip)
        put_value(n, "clip", w->clip);
    if (!v->w_full)
        n->fresh = BD_STALE;
    put_value(n, "max error", w->max_err);
    if (clip)
        put_share(n, "clipped", w->clipped, w->n);
    snprintf(b, sizeof b, "%s%lld", tilde(n), (long long)w->levels_used);
    put(n, "levels used", b);
    snprintf(b, sizeof b, "%s%.2f b", tilde(n), w->entropy_bits);
    put(n, "code entropy", b);
    put_share(n, "zeros", w->zeros, w->n);
}

/* A float layer has no error; its range is what there is to know. */
static void put_range(struct numbers *n, const struct bd_stats *st)
{
    put_value(n, "smallest", (double)st->min);
    put_value(n, "largest", (double)st->max);
    put_value(n, "mean", st->mean);
    put_value(n, "deviation", st->std);
}

/* The most wanted first: short panes cut from below. */
static void numbers_of(struct numbers *n, const struct ui *ui, int layer,
                       const struct bd_layer_view *v)
{
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[layer];
    char b[40];
    n->k = 0;
    n->fresh = v->fresh;
    if (c->w.bits < 32 && v->fresh != BD_ABSENT)
        put_errors(n, v, has_clip(ui, layer));
    n->fresh = BD_EXACT;
    if (c->w.bits >= 32 && v->stats)
        put_range(n, v->stats);
    n->fresh = v->a_fresh;
    if (c->a.bits < 32)
        put_db(n, "input PSNR", v->a_psnr_db);
    if (c->a.bits < 32 && c->a.quant == bd_quantizer_find("bottleneck"))
        put_db(n, "input SQNR", v->a_sqnr_db); /* PSNR flatters outliers */
    n->fresh = BD_EXACT;
    ui_fmt_size(b, sizeof b,
                (double)bd_stored_bits(bd_session_model(ui->s), layer,
                                       &c->w) / 8);
    put(n, "stored", b);
}

/* Label to the left, number to the right edge: digits of a column line up. */
static void draw_number(struct ui *ui, struct wg_rect r,
                        const struct number *n)
{
    wg_text(&ui->canvas, r, 1, 0, WG_DIM, n->label);
    wg_text(&ui->canvas, r, r.w - 1 - wg_width(n->text), 0, n->role,
            n->text);
}

/* In one column, or two when the pane is low and wide. */
static void draw_numbers(struct ui *ui, struct wg_rect r,
                         const struct numbers *n, int columns)
{
    int rows = (n->k + columns - 1) / columns;
    int gap = columns > 1 ? 2 : 0;
    int w = (r.w - gap) / columns;
    for (int i = 0; i < n->k; i++) {
        int y = i % rows;
        if (y < r.h)
            draw_number(ui, (struct wg_rect){r.x + i / rows * (w + gap),
                                             r.y + y, w, 1}, &n->n[i]);
    }
}

/* What the highlighted level is, on the line of the input's choice. */
static void draw_level(struct ui *ui, struct wg_rect r, int layer)
{
    struct bd_grid_view g;
    char at[32], step[32] = "";
    bd_session_grid(&g, ui->s, layer, 0);
    if (ui->level < 0 || (size_t)ui->level >= g.n)
        return;
    size_t k = (size_t)ui->level;
    ui_fmt_short(at, sizeof at, g.levels[k]);
    if (k + 1 < g.n)
        ui_fmt_short(step, sizeof step, g.levels[k + 1] - g.levels[k]);
    wg_textf(&ui->canvas, r, 1, 0, WG_ACCENT, "level %zu of %zu at %s%s%s",
             k + 1, g.n, at, step[0] ? "   next +" : "", step);
}

/* The highlighted level takes the line of the input's choice while there is
 * one: both describe the axis below. */
static void draw_input_line(struct ui *ui, struct wg_rect r, int layer,
                            const struct bd_layer_view *v)
{
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[layer];
    char a[96], lo[32], hi[32];
    if (ui->level >= 0) {
        draw_level(ui, r, layer);
        return;
    }
    choice_text(a, sizeof a, &c->a);
    struct ui_piece p[6] = {{WG_DIM, "A "}, {WG_TEXT, a}};
    int n = 2;
    char range[96], strip[64];
    if (c->a.planes && c->a.bits < 32) {
        ui_planes_strip(strip, sizeof strip, ui, &c->a.planes->code);
        p[n++] = (struct ui_piece){WG_TEXT, "  "};
        p[n++] = (struct ui_piece){WG_NUMBER, strip};
    }
    if (v->a_fresh != BD_ABSENT && !isnan(v->a_min)) {
        snprintf(range, sizeof range, "   range %s to %s",
                 ui_fmt_short(lo, sizeof lo, v->a_min),
                 ui_fmt_short(hi, sizeof hi, v->a_max));
        p[n++] = (struct ui_piece){WG_DIM, range};
    }
    ui_pieces(ui, r, 1, p, n);
}

/* Numbers beside the picture. */
static void draw_beside(struct ui *ui, struct wg_rect r, int layer,
                        const struct bd_layer_view *v,
                        const struct numbers *n)
{
    int w = r.w - NUMBERS_W - 2;
    draw_histogram(ui, (struct wg_rect){r.x + 1, r.y, w, r.h}, layer, v);
    draw_numbers(ui, (struct wg_rect){r.x + w + 2, r.y, NUMBERS_W, r.h}, n,
                 1);
}

/* Numbers below it, in two columns. */
static void draw_below(struct ui *ui, struct wg_rect r, int layer,
                       const struct bd_layer_view *v,
                       const struct numbers *n)
{
    int h = (n->k + 1) / 2;
    int top = r.h - h - 1;
    draw_histogram(ui, (struct wg_rect){r.x + 1, r.y, r.w - 2, top}, layer,
                   v);
    draw_numbers(ui, (struct wg_rect){r.x, r.y + top + 1, r.w, h}, n, 2);
}

/* Wide panes put the numbers beside the picture, narrow ones below. */
void ui_detail_draw(struct ui *ui, struct wg_rect r, int layer)
{
    struct bd_layer_view v;
    struct numbers num;
    if (layer < 0 || r.w < 20 || r.h < 4)
        return;
    bd_session_layer(&v, ui->s, layer);
    numbers_of(&num, ui, layer, &v);
    ui_detail_title(ui, (struct wg_rect){r.x, r.y, r.w, 2}, layer);
    draw_input_line(ui, (struct wg_rect){r.x, r.y + 2, r.w, 1}, layer, &v);
    struct wg_rect rest = {r.x, r.y + 4, r.w, r.h - 4};
    if (r.w >= 70)
        draw_beside(ui, rest, layer, &v, &num);
    else
        draw_below(ui, rest, layer, &v, &num);
}
