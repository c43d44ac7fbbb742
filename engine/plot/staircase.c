/* The staircase of a grid: what comes out for what goes in.  The diagonal is
 * what float would give; the gap between the two is the error. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>

struct view {
    struct bd_canvas *c;
    const struct bd_plot_grid *g;
    const struct bd_plot_theme *t;
    struct plot_axis x, y;
    struct plot_box box;
    float u;
};

/* Where the step from level i to the next lies. */
static double cut(const struct bd_plot_grid *g, size_t i)
{
    return g->cuts ? g->cuts[i] : 0.5 * (g->levels[i] + g->levels[i + 1]);
}

static void layout(struct view *v, const struct plot_frame *f)
{
    double pad = 0.04 * (v->g->hi - v->g->lo);

    v->u = f->u;
    v->box = f->box;
    v->box.x1 -= 26 * f->u; /* the levels' comb */
    v->x = (struct plot_axis){v->g->lo, v->g->hi, v->box.x0, v->box.x1};
    v->y = (struct plot_axis){v->g->lo - pad, v->g->hi + pad, v->box.y1,
                              v->box.y0};
}

static void axes(const struct view *v)
{
    struct plot_ticks k = {
        .axis = &v->y, .box = v->box, .u = v->u, .vertical = true};
    struct plot_text text = {.size = 13 * v->u, .k = v->t->dim};

    k.step = bd_plot_step(&v->y, 8, &k.first);
    bd_plot_ticks(v->c, v->t, &k);
    k.axis = &v->x;
    k.vertical = false;
    k.step = bd_plot_step(&v->x, 9, &k.first);
    bd_plot_ticks(v->c, v->t, &k);
    text.x = 0.5F * (v->box.x0 + v->box.x1);
    text.y = v->box.y1 + 58 * v->u;
    text.align = PLOT_CENTRE;
    bd_plot_text(v->c, &text, "value before quantization");
}

static void diagonal(const struct view *v)
{
    double lo = v->g->lo, hi = v->g->hi;
    struct plot_box b = {bd_plot_at(&v->x, lo), bd_plot_at(&v->y, lo),
                         bd_plot_at(&v->x, hi), bd_plot_at(&v->y, hi)};

    bd_plot_line(v->c, b, 1.3F * v->u, v->t->axis);
}

static double clamp(const struct view *v, double x)
{
    return x < v->g->lo ? v->g->lo : x > v->g->hi ? v->g->hi : x;
}

/* Treads and risers; what lies outside the range is drawn at its edge. */
static void stairs(const struct view *v)
{
    const struct bd_plot_grid *g = v->g;
    float wide = (g->nlevels > 64 ? 1.6F : 2.6F) * v->u;

    for (size_t i = 0; i < g->nlevels; i++) {
        double from = i ? clamp(v, cut(g, i - 1)) : g->lo;
        double to = i + 1 < g->nlevels ? clamp(v, cut(g, i)) : g->hi;
        float y = bd_plot_at(&v->y, clamp(v, g->levels[i]));
        float x0 = bd_plot_at(&v->x, from), x1 = bd_plot_at(&v->x, to);

        if (to > from)
            bd_plot_line(v->c, (struct plot_box){x0, y, x1, y}, wide,
                         v->t->fill);
        if (i > 0 && from > g->lo && from < g->hi) {
            float below = bd_plot_at(&v->y, clamp(v, g->levels[i - 1]));

            bd_plot_line(v->c, (struct plot_box){x0, below, x0, y}, wide,
                         v->t->fill);
        }
    }
}

/* The levels as a comb beside the right edge, where their spacing shows. */
static void comb(const struct view *v)
{
    float half = (v->g->nlevels > 64 ? 0.5F : 1.0F) * v->u;

    for (size_t i = 0; i < v->g->nlevels; i++) {
        double l = v->g->levels[i];
        float y = bd_plot_at(&v->y, l);
        struct plot_box b = {v->box.x1 + 8 * v->u, y - half,
                             v->box.x1 + 26 * v->u, y + half};

        if (l >= v->y.lo && l <= v->y.hi)
            bd_plot_rect(v->c, b, v->t->mark, 1.0F);
    }
}

static void legend(const struct view *v)
{
    char text[64];
    struct plot_text t = {.x = v->box.x1 + 26 * v->u,
                          .y = 92 * v->u,
                          .size = 13 * v->u,
                          .align = PLOT_RIGHT,
                          .k = v->t->mark};

    snprintf(text, sizeof text, "%zu levels", v->g->nlevels);
    bd_plot_text(v->c, &t, text);
}

bd_status bd_plot_staircase(struct bd_canvas *c, const struct bd_plot_grid *g,
                            const struct bd_plot_theme *t, struct bd_err *err)
{
    struct view v = {.c = c, .g = g, .t = t};
    struct plot_frame f;

    if (g->nlevels < 1 || !(g->hi > g->lo) || !isfinite(g->hi - g->lo))
        return bd_fail(err, BD_EINVALID,
                       "a staircase needs levels and a range, not [%g, %g]",
                       g->lo, g->hi);
    f = bd_plot_frame(c, t, g->title, g->subtitle);
    layout(&v, &f);
    axes(&v);
    bd_plot_ylabel(c, t, &f, "value after quantization");
    diagonal(&v);
    stairs(&v);
    comb(&v);
    legend(&v);
    return BD_OK;
}
