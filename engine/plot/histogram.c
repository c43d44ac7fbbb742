/* The histogram of a layer's weights with the quantizer's levels as a comb
 * below the axis: one sees at a glance where levels are spent and where the
 * weights are. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>

struct view {
    struct bd_canvas *c;
    const struct bd_plot_hist *h;
    const struct bd_plot_theme *t;
    struct plot_axis x, y;
    struct plot_box box;  /* of the bars */
    struct plot_box comb; /* of the levels */
    float u;
};

/* 1 + n on the log scale, so that a single weight is still visible. */
static double height(const struct bd_plot_hist *h, int64_t n)
{
    return h->log_counts ? log10(1.0 + (double)n) : (double)n;
}

/* At least 1: an empty histogram has an axis too. */
static double tallest(const struct bd_plot_hist *h)
{
    double top = 1.0;

    for (int i = 0; i < h->nbins; i++) {
        double v = height(h, h->bins[i]);

        top = v > top ? v : top;
    }
    return top;
}

/* The comb takes its strip from the bottom of the bars. */
static void layout(struct view *v, const struct plot_frame *f)
{
    float comb = v->h->nlevels ? 64 * f->u : 0.0F;

    v->u = f->u;
    v->box = f->box;
    v->box.y1 -= comb;
    v->comb = (struct plot_box){f->box.x0, v->box.y1 + 10 * f->u, f->box.x1,
                                v->box.y1 + 44 * f->u};
    v->x = (struct plot_axis){v->h->lo, v->h->hi, v->box.x0, v->box.x1};
    v->y = (struct plot_axis){0.0, tallest(v->h) * 1.04, v->box.y1, v->box.y0};
}

static void axes(const struct view *v)
{
    struct plot_ticks k = {
        .axis = &v->y, .box = v->box, .u = v->u, .vertical = true};
    struct plot_text text = {.size = 13 * v->u, .k = v->t->dim};

    k.step = bd_plot_step(&v->y, 6, &k.first);
    if (v->h->log_counts) {
        k.powers = true;
        k.step = 1.0;
        k.first = 1.0;
    }
    bd_plot_ticks(v->c, v->t, &k);
    k = (struct plot_ticks){.axis = &v->x, .box = v->box, .u = v->u};
    k.box.y1 = v->h->nlevels ? v->comb.y1 : v->box.y1;
    k.step = bd_plot_step(&v->x, 9, &k.first);
    bd_plot_ticks(v->c, v->t, &k);
    text.x = 0.5F * (v->box.x0 + v->box.x1);
    text.y = k.box.y1 + 58 * v->u;
    text.align = PLOT_CENTRE;
    bd_plot_text(v->c, &text, v->h->xlabel ? v->h->xlabel : "");
}

/* A thin gap between bars only where it leaves a bar to be seen. */
static void bars(const struct view *v)
{
    float each = (v->box.x1 - v->box.x0) / (float)v->h->nbins;
    float gap = each >= 5.0F ? 0.5F : 0.0F;

    for (int i = 0; i < v->h->nbins; i++) {
        float x = v->box.x0 + (float)i * each;
        struct plot_box b = {x + gap,
                             bd_plot_at(&v->y, height(v->h, v->h->bins[i])),
                             x + each - gap, v->box.y1};

        bd_plot_rect(v->c, b, v->t->fill, 1.0F);
    }
}

static bool inside(const struct view *v, double x)
{
    return x >= v->h->lo && x <= v->h->hi;
}

/* One tooth per level; where teeth would merge they fade into a tint, which
 * is what a fine grid looks like from afar. */
static void comb(const struct view *v)
{
    float room = (v->box.x1 - v->box.x0) / (float)(v->h->nlevels + 1);
    float half = room > 8.0F ? 1.1F * v->u : 0.5F * v->u;
    float alpha = room > 3.0F ? 1.0F : 0.35F;
    struct plot_box base = {v->comb.x0, v->box.y1, v->comb.x1,
                            v->box.y1 + v->u};

    for (size_t i = 0; i < v->h->nlevels; i++) {
        float x = bd_plot_at(&v->x, v->h->levels[i]);
        struct plot_box tooth = {x - half, v->comb.y0, x + half, v->comb.y1};

        if (inside(v, v->h->levels[i]))
            bd_plot_rect(v->c, tooth, v->t->mark, alpha);
    }
    bd_plot_rect(v->c, base, v->t->axis, 1.0F);
}

/* A dashed line where clipping sets in, its name beside it. */
static void clip_line(const struct view *v, double at, bool left)
{
    float x = bd_plot_at(&v->x, at);
    struct plot_text text = {.size = 12 * v->u, .k = v->t->clip};

    if (!inside(v, at))
        return;
    for (float y = v->box.y0; y < v->box.y1; y += 9 * v->u) {
        struct plot_box dash = {x - 0.7F * v->u, y, x + 0.7F * v->u,
                                y + 5 * v->u};

        bd_plot_rect(v->c, dash, v->t->clip, 1.0F);
    }
    text.x = x + (left ? 8 : -8) * v->u;
    text.y = v->box.y0 + 12 * v->u;
    text.align = left ? PLOT_LEFT : PLOT_RIGHT;
    bd_plot_text(v->c, &text, "clip");
}

static void legend(const struct view *v)
{
    char text[64];
    struct plot_text t = {.x = v->box.x1,
                          .y = 92 * v->u,
                          .size = 13 * v->u,
                          .align = PLOT_RIGHT,
                          .k = v->t->mark};

    if (v->h->nlevels == 0)
        return;
    snprintf(text, sizeof text, "%zu level%s", v->h->nlevels,
             v->h->nlevels == 1 ? "" : "s");
    bd_plot_text(v->c, &t, text);
}

bd_status bd_plot_histogram(struct bd_canvas *c, const struct bd_plot_hist *h,
                            const struct bd_plot_theme *t, struct bd_err *err)
{
    struct view v = {.c = c, .h = h, .t = t};
    struct plot_frame f;

    if (h->nbins < 1 || !(h->hi > h->lo) || !isfinite(h->hi - h->lo))
        return bd_fail(err, BD_EINVALID,
                       "a histogram needs bins and a range, not [%g, %g]",
                       h->lo, h->hi);
    f = bd_plot_frame(c, t, h->title, h->subtitle);
    layout(&v, &f);
    axes(&v);
    bd_plot_ylabel(c, t, &f,
                   h->log_counts ? "weights per bar, log scale"
                                 : "weights per bar");
    bars(&v);
    comb(&v);
    if (h->clip_hi > h->clip_lo) {
        clip_line(&v, h->clip_lo, true);
        clip_line(&v, h->clip_hi, false);
    }
    legend(&v);
    return BD_OK;
}
