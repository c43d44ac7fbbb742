/* pictures.c: channels, sensitivities and the trade-off as charts.  Each
 * gathers what the session knows into arrays of the picture's arena; what is
 * not known is left out or, when nothing is left, refused. */
#include "session/picture_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bd_status no_memory(struct bd_err *err)
{
    return bd_fail(err, BD_ENOMEM, "out of memory for a picture");
}

/* The file's name without folders and ending. */
static void model_title(struct bd_picture *p, const struct bd_session *s)
{
    const char *path = s->m->path ? s->m->path : "";
    const char *slash = strrchr(path, '/');
    char *dot;
    bd_text_show(p->title, sizeof p->title, slash ? slash + 1 : path, 0);
    dot = strrchr(p->title, '.');
    if (dot && dot != p->title)
        *dot = '\0';
}

/* --------------------------------------------------------------- channels */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of a copy: sorting moves its values. */
static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return n > 0 ? x[n / 2] : 0;
}

struct channel_arrays {
    double *lo, *hi, *mse, *bits, *sorted;
    bool *accent;
};

/* All live in the picture's arena, so that there is nothing to free one by
 * one when a later array has no memory. */
static bool channel_arrays(struct channel_arrays *a, struct bd_arena *arena,
                           size_t n)
{
    a->lo = bd_arena_alloc(arena, n, sizeof *a->lo);
    a->hi = bd_arena_alloc(arena, n, sizeof *a->hi);
    a->mse = bd_arena_alloc(arena, n, sizeof *a->mse);
    a->bits = bd_arena_alloc(arena, n, sizeof *a->bits);
    a->sorted = bd_arena_alloc(arena, n, sizeof *a->sorted);
    a->accent = bd_arena_alloc(arena, n, sizeof *a->accent);
    return a->lo && a->hi && a->mse && a->bits && a->sorted && a->accent;
}

/* A factor of a hundred between channels is the reason to look at them; on a
 * linear axis most would be flat. */
static bool spans_decades(const double *x, size_t n)
{
    double lo = INFINITY, hi = 0;
    for (size_t i = 0; i < n; i++) {
        lo = x[i] > 0 && x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    return hi > 20 * lo;
}

/* Outliers are coloured by range, not by error: a wide channel is the cause,
 * and the error of all others on the same grid is what it costs. */
bd_status bd_chart_channels(struct bd_picture *p, struct bd_session *s,
                              int layer, struct bd_err *err)
{
    enum bd_fresh fresh;
    int n;
    bd_status st = s->started ? BD_OK : bd_live_channels_now(s, layer, err);
    if (st != BD_OK)
        return st;
    const struct bd_channel_view *c =
        bd_session_channels(s, layer, &n, &fresh);
    if (!c || n == 0 || fresh != BD_EXACT)
        return bd_fail(err, BD_EINVALID,
                       "the channels are not measured yet; in a moment");
    struct channel_arrays a;
    struct bd_plot_strip *strip = bd_arena_alloc(&p->arena, 3, sizeof *strip);
    if (!strip || !channel_arrays(&a, &p->arena, (size_t)n))
        return no_memory(err);
    for (int i = 0; i < n; i++) {
        a.lo[i] = (double)c[i].min;
        a.hi[i] = (double)c[i].max;
        a.sorted[i] = a.hi[i] - a.lo[i];
        a.mse[i] = c[i].mse;
        a.bits[i] = c[i].bits;
    }
    double usual = median(a.sorted, (size_t)n);
    for (int i = 0; i < n; i++)
        a.accent[i] = a.hi[i] - a.lo[i] > 2 * usual;
    strip[0] = (struct bd_plot_strip){"range of the weights", a.lo, a.hi,
                                      false};
    strip[1] = (struct bd_plot_strip){"mean squared error", NULL, a.mse,
                                      spans_decades(a.mse, (size_t)n)};
    strip[2] = (struct bd_plot_strip){"bits", NULL, a.bits, false};
    p->strips = (struct bd_plot_strips){
        .title = p->title, .subtitle = p->subtitle,
        .xlabel = "output channel", .strip = strip, .nstrips = 3,
        .n = (size_t)n, .accent = a.accent,
        .accent_name = "orange: range above twice the median"};
    return BD_OK;
}

/* ------------------------------------------------------------ sensitivities */

static const struct bd_tensorcfg *choice_of(const struct bd_sens_point *p)
{
    return p->what == BD_SENS_A ? &p->a : &p->w;
}

/* A column is a kind of tensor under a choice. */
static bool same_column(const struct bd_sens_point *a,
                        const struct bd_sens_point *b)
{
    const struct bd_tensorcfg *x = choice_of(a), *y = choice_of(b);
    return a->what == b->what && x->quant == y->quant &&
           x->grain == y->grain && x->group == y->group &&
           x->bits == y->bits && x->clip == y->clip;
}

/* Weights before inputs, methods as in the table, then by width. */
static int by_column(const void *pa, const void *pb)
{
    const struct bd_sens_point *a = *(const struct bd_sens_point *const *)pa,
                               *b = *(const struct bd_sens_point *const *)pb;
    const struct bd_tensorcfg *x = choice_of(a), *y = choice_of(b);
    int d = (int)a->what - (int)b->what;
    d = d ? d : x->quant - y->quant;
    d = d ? d : x->grain - y->grain;
    d = d ? d : x->clip - y->clip;
    return d ? d : x->bits - y->bits;
}

struct sens_grid {
    const struct bd_sens_table *t;
    const struct bd_sens_point **col; /* one of each column */
    size_t cols, rows;
    int *layer; /* of each row */
};

/* Layers with a point, in their order, and the columns that occur. */
static bool find_grid(struct sens_grid *g, struct bd_arena *arena, size_t n)
{
    bool *seen = bd_arena_alloc(arena, n, sizeof *seen);
    g->col = bd_arena_alloc(arena, g->t->n + 1, sizeof *g->col);
    g->layer = bd_arena_alloc(arena, n, sizeof *g->layer);
    if (!seen || !g->col || !g->layer)
        return false;
    for (size_t i = 0; i < g->t->n; i++) {
        const struct bd_sens_point *p = &g->t->point[i];
        size_t k = 0;
        if (p->layer < 0 || (size_t)p->layer >= n)
            continue;
        seen[p->layer] = true;
        while (k < g->cols && !same_column(g->col[k], p))
            k++;
        if (k == g->cols)
            g->col[g->cols++] = p;
    }
    qsort(g->col, g->cols, sizeof(const struct bd_sens_point *), by_column);
    for (size_t i = 0; i < n; i++)
        if (seen[i])
            g->layer[g->rows++] = (int)i;
    return true;
}

/* Only what tells columns apart: "4", "W 4", "apot 4". */
static char *column_name(struct bd_arena *arena, const struct sens_grid *g,
                         size_t k)
{
    static const char *const what[] = {"", "W ", "A ", "WA "};
    const struct bd_sens_point *p = g->col[k];
    const struct bd_tensorcfg *c = choice_of(p);
    bool whats = false, methods = false;
    char text[96];
    for (size_t i = 0; i < g->cols; i++) {
        whats = whats || g->col[i]->what != p->what;
        methods = methods || choice_of(g->col[i])->quant != c->quant ||
                  choice_of(g->col[i])->grain != c->grain;
    }
    snprintf(text, sizeof text, "%s%s%s%d", whats ? what[p->what] : "",
             methods ? bd_quantizer_at(c->quant)->name : "",
             methods ? " " : "", c->bits);
    return bd_arena_strdup(arena, text, strlen(text));
}

/* In the words of the axis, with the unit: a colour without one says
 * nothing. */
static const char *metric_text(enum bd_sens_metric m)
{
    static const char *const text[BD_SENS_METRICS] = {
        [BD_SENS_KL] = "KL divergence from float, nats",
        [BD_SENS_TOP1] = "top-1 lost, in points",
        [BD_SENS_LOSS] = "cross-entropy above float's, nats",
        [BD_SENS_OUT_MSE] = "mean squared error of the outputs",
        [BD_SENS_FISHER] = "squared gradient times squared error"};
    return text[m];
}

/* What the numbers rest on stands under the title: a picture travels without
 * the command that made it. */
static void sens_subtitle(struct bd_picture *p, const struct sens_grid *g)
{
    static const char *const mode[] = {
        "each layer alone", "everything but this layer",
        "all layers up to this one"};
    static const char *const what[] = {"", "weights", "inputs",
                                       "weights and inputs"};
    char cfg[96];
    char *colon;
    bd_tensorcfg_text(cfg, sizeof cfg, choice_of(g->col[0]));
    colon = strchr(cfg, ':');
    snprintf(p->subtitle, sizeof p->subtitle,
             "sensitivity: %s   %s by %.*s   %lld images%s", mode[g->t->mode],
             what[g->col[0]->what], (int)(colon ? colon - cfg : 90), cfg,
             (long long)g->t->images,
             g->t->complete ? "" : "   (not complete)");
}

/* Cells that were not measured stay NaN and are drawn empty. */
bd_status bd_chart_sens(struct bd_picture *p, const struct bd_session *s,
                          const struct bd_sens_table *t, struct bd_err *err)
{
    struct sens_grid g = {.t = t};
    if (!t || t->n == 0)
        return bd_fail(err, BD_EINVALID, "nothing was measured yet; a sweep "
                                         "(w on Layers) does");
    if (!find_grid(&g, &p->arena, s->m->nlayers))
        return no_memory(err);
    const char **row = bd_arena_alloc(&p->arena, g.rows + 1, sizeof *row);
    const char **col = bd_arena_alloc(&p->arena, g.cols + 1, sizeof *col);
    double *value =
        bd_arena_alloc(&p->arena, g.rows * g.cols + 1, sizeof *value);
    size_t *at = bd_arena_alloc(&p->arena, s->m->nlayers + 1, sizeof *at);
    if (!row || !col || !value || !at)
        return no_memory(err);
    for (size_t i = 0; i < g.rows; i++) {
        char shown[200];
        bd_text_show(shown, sizeof shown, s->m->layer[g.layer[i]].name, 0);
        row[i] = bd_arena_strdup(&p->arena, shown, strlen(shown));
        at[g.layer[i]] = i;
        if (!row[i])
            return no_memory(err);
    }
    for (size_t k = 0; k < g.cols; k++)
        if (!(col[k] = column_name(&p->arena, &g, k)))
            return no_memory(err);
    for (size_t i = 0; i < g.rows * g.cols; i++)
        value[i] = NAN;
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < g.cols; k++)
            if (t->point[i].layer >= 0 &&
                (size_t)t->point[i].layer < s->m->nlayers &&
                same_column(&t->point[i], g.col[k]))
                value[at[t->point[i].layer] * g.cols + k] =
                    t->point[i].value[t->lead] *
                    (t->lead == BD_SENS_TOP1 ? 100 : 1);
    model_title(p, s);
    sens_subtitle(p, &g);
    p->heat = (struct bd_plot_heat){
        .title = p->title, .subtitle = p->subtitle, .xlabel = "bits",
        .unit = metric_text(t->lead), .rows = g.rows, .cols = g.cols,
        .row = row, .col = col, .value = value};
    return BD_OK;
}

/* --------------------------------------------------------------- trade-off */

enum { T_FRONT, T_GUESSED, T_MEASURED, T_UNIFORM, T_HERE, T_SERIES };

struct trade {
    struct bd_trade_point *all;
    size_t n;
    bool accuracy; /* else losses, smaller is better */
    struct bd_plot_point *p[T_SERIES];
    size_t np[T_SERIES];
};

/* Only what stands alone gets a whisker or a name; the rest would cover each
 * other. */
static void put(struct trade *t, int series, const struct bd_trade_point *q,
                double y)
{
    bool whisker = t->accuracy && (series == T_HERE || series == T_MEASURED) &&
                   !isnan(q->top1);
    t->p[series][t->np[series]++] = (struct bd_plot_point){
        .x = q->avg_bits, .y = y,
        .lo = whisker ? 100 * q->ci_lo : (double)NAN,
        .hi = whisker ? 100 * q->ci_hi : (double)NAN,
        .label = series == T_UNIFORM || series == T_HERE ? q->name : NULL};
}

/* Measured points by their accuracy, the rest by what their loss lets one
 * guess, and told apart by their shape. */
static void sort_points(struct trade *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct bd_trade_point *q = &t->all[i];
        bool measured = !isnan(q->top1);
        double y = !t->accuracy ? q->loss
                   : 100 * (measured ? q->top1 : q->guess);
        int series = q->kind == BD_TRADE_HERE       ? T_HERE
                     : q->kind == BD_TRADE_BASELINE ? T_UNIFORM
                     : measured                     ? T_MEASURED
                                                    : T_GUESSED;
        if (series == T_UNIFORM && t->accuracy && !measured)
            continue; /* a guess must not look like a measurement */
        if (series == T_HERE && t->accuracy && !measured)
            continue;
        if (isfinite(y))
            put(t, series, q, y);
        if (t->accuracy ? measured && !q->dominated
                        : q->kind == BD_TRADE_ESTIMATED)
            put(t, T_FRONT, q, y);
    }
}

/* Twice: the first call says how many there are. */
static bd_status trade_arrays(struct trade *t, struct bd_arena *arena,
                              struct bd_session *s, struct bd_err *err)
{
    size_t need = bd_session_trade(s, NULL, 0);
    t->all = bd_arena_alloc(arena, need + 1, sizeof *t->all);
    if (!t->all)
        return no_memory(err);
    t->n = bd_session_trade(s, t->all, need);
    t->n = t->n < need ? t->n : need;
    for (int k = 0; k < T_SERIES; k++) {
        t->p[k] = bd_arena_alloc(arena, need + 1, sizeof *t->p[k]);
        if (!t->p[k])
            return no_memory(err);
    }
    for (size_t i = 0; i < t->n; i++)
        t->accuracy = t->accuracy || !isnan(t->all[i].top1);
    return BD_OK;
}

/* Without any measurement the losses are drawn instead, and named so. */
bd_status bd_chart_trade(struct bd_picture *p, struct bd_session *s,
                           struct bd_err *err)
{
    static const char *const names[T_SERIES] = {
        "best measured", "estimated", "measured", "uniform", "here"};
    static const enum bd_plot_mark marks[T_SERIES] = {
        BD_MARK_NONE, BD_MARK_RING, BD_MARK_DOT, BD_MARK_DIAMOND,
        BD_MARK_DIAMOND};
    struct trade t = {0};
    struct bd_net_view net;
    struct bd_plot_series *series =
        bd_arena_alloc(&p->arena, T_SERIES, sizeof *series);
    char *level = bd_arena_alloc(&p->arena, 40, 1);
    bd_status st = series && level ? trade_arrays(&t, &p->arena, s, err)
                                   : no_memory(err);
    if (st != BD_OK)
        return st;
    sort_points(&t);
    for (int k = 0; k < T_SERIES; k++)
        series[k] = (struct bd_plot_series){
            .name = k == T_FRONT && !t.accuracy ? "front" : names[k],
            .p = t.p[k], .n = t.np[k], .mark = marks[k], .line = k == T_FRONT,
            .accent = k == T_HERE};
    bd_session_net(&net, s);
    model_title(p, s);
    bool is_float = net.float_fresh == BD_EXACT && t.accuracy;
    snprintf(level, 40, "float %.2f", 100 * net.float_acc.top1);
    if (t.accuracy)
        snprintf(p->subtitle, sizeof p->subtitle,
                 "accuracy against size   %lld images   bars: 95 %% interval",
                 (long long)net.images);
    else
        snprintf(p->subtitle, sizeof p->subtitle,
                 "loss against size: nothing was measured");
    p->scatter = (struct bd_plot_scatter){
        .title = p->title, .subtitle = p->subtitle,
        .xlabel = "stored bits per weight",
        .ylabel = t.accuracy ? "top-1, per cent" : "sum of losses",
        .series = series, .nseries = T_SERIES, .percent = t.accuracy,
        .level_name = level,
        .level = is_float ? 100 * net.float_acc.top1 : (double)NAN};
    return BD_OK;
}
