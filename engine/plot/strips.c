/* Bars over one index in panels one above the other.  Where there are more
 * bars than pixels, neighbours share one bar that covers them all: an
 * outlier among ten thousand channels is never lost to averaging. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>

struct view {
    struct bd_canvas *c;
    const struct bd_plot_strips *s;
    const struct bd_plot_theme *t;
    struct plot_box box; /* of the panel being drawn */
    struct plot_axis y;
    float u;
    size_t per; /* channels of a bar */
};

/* What a logarithm cannot show is not shown. */
static bool usable(const struct bd_plot_strip *p, double x)
{
    return isfinite(x) && (!p->log || x > 0);
}

static double placed(const struct bd_plot_strip *p, double x)
{
    return p->log ? log10(x) : x;
}

/* Of what is finite; false when that is nothing. */
static bool range_of(struct plot_axis *y, const struct bd_plot_strip *p,
                     size_t n)
{
    double lo = p->lo || p->log ? INFINITY : 0, hi = p->log ? -INFINITY : 0;
    bool any = false;

    if (p->lo)
        hi = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double both[2] = {p->hi[i], p->lo ? p->lo[i] : p->hi[i]};

        for (int k = 0; k < 2; k++) {
            if (!usable(p, both[k]))
                continue;
            lo = placed(p, both[k]) < lo ? placed(p, both[k]) : lo;
            hi = placed(p, both[k]) > hi ? placed(p, both[k]) : hi;
            any = true;
        }
    }
    if (!any || !isfinite(hi - lo))
        return false;
    bool from_zero = !p->lo && !p->log && lo >= 0;
    bd_plot_widen(&lo, &hi, 0.06);
    y->lo = from_zero ? 0 : lo;
    y->hi = hi;
    return true;
}

/* ------------------------------------------------------------------ a panel */

/* As many numbers as stand apart in the panel's height. */
static void panel_axes(const struct view *v, const struct bd_plot_strip *p)
{
    struct plot_ticks k = {.axis = &v->y, .box = v->box, .u = v->u,
                           .vertical = true, .log = p->log};
    struct plot_frame f = {.box = v->box, .u = v->u};
    float room = (v->box.y1 - v->box.y0) / (3 * bd_plot_size(12, v->u));
    int want = room > 6 ? 6 : room < 2 ? 2 : (int)room;

    k.step = bd_plot_step(&v->y, want, &k.first);
    if (p->log && k.step < 1) {
        k.step = 1;
        k.first = ceil(v->y.lo);
    }
    bd_plot_ticks(v->c, v->t, &k);
    f.box.y0 += 4 * v->u;
    bd_plot_ylabel(v->c, v->t, &f, p->name ? p->name : "");
}

/* Smallest and largest of the channels that share bar b. */
static bool bar_range(double out[2], bool *accent, const struct view *v,
                      const struct bd_plot_strip *p, size_t b)
{
    bool any = false;

    *accent = false;
    for (size_t i = b * v->per; i < (b + 1) * v->per && i < v->s->n; i++) {
        if (v->s->accent && v->s->accent[i])
            *accent = true;
        double base = p->log ? v->y.lo : 0;
        double lo = p->lo ? p->lo[i] : 0, hi = p->hi[i];

        if (!usable(p, hi) || (p->lo && !usable(p, lo)))
            continue;
        lo = p->lo ? placed(p, lo) : base;
        hi = placed(p, hi);
        out[0] = !any || lo < out[0] ? lo : out[0];
        out[1] = !any || hi > out[1] ? hi : out[1];
        any = true;
    }
    return any;
}

/* Gaps only where they leave most of the bar. */
static void bars(const struct view *v, const struct bd_plot_strip *p)
{
    size_t n = (v->s->n + v->per - 1) / v->per;
    float each = (v->box.x1 - v->box.x0) / (float)n;
    float gap = each >= 5 ? 0.12F * each : 0;

    for (size_t i = 0; i < n; i++) {
        double r[2] = {0, 0};
        bool accent;

        if (!bar_range(r, &accent, v, p, i))
            continue;
        float a = bd_plot_at(&v->y, r[0]), b = bd_plot_at(&v->y, r[1]);
        struct plot_box box = {v->box.x0 + (float)i * each + gap,
                               a < b ? a : b,
                               v->box.x0 + (float)(i + 1) * each - gap,
                               a < b ? b : a};
        if (gap == 0) { /* whole pixels: thin bars must not pale */
            box.x0 = floorf(box.x0);
            box.x1 = floorf(box.x1 + 0.999F);
        }
        if (box.y1 - box.y0 < 1) /* a range of nothing is still there */
            box.y1 = box.y0 + 1;
        bd_plot_rect(v->c, box, accent ? v->t->mark : v->t->fill, 1.0F);
    }
}

/* Below the last panel, for all of them; numbers stand under the middle of
 * their bar. */
static void index_axis(const struct view *v)
{
    double n = (double)v->s->n;
    struct plot_axis x = {0, n, v->box.x0, v->box.x1};
    float half = 0.5F * (v->box.x1 - v->box.x0) / (float)v->s->n;
    double first, step = bd_plot_step(&x, 12, &first);
    struct plot_text label = {.x = 0.5F * (v->box.x0 + v->box.x1),
                              .y = v->box.y1 + 60 * v->u,
                              .size = bd_plot_size(13, v->u),
                              .align = PLOT_CENTRE, .k = v->t->dim};

    step = step < 1 ? 1 : step;
    for (int i = 0; i < 64 && i * step < n; i++) {
        char text[32];
        struct plot_text t = {.x = bd_plot_at(&x, i * step) + half,
                              .y = v->box.y1 + 26 * v->u,
                              .size = bd_plot_size(12, v->u),
                              .align = PLOT_CENTRE, .k = v->t->dim};

        bd_plot_number(text, sizeof text, i * step, step);
        bd_plot_text(v->c, &t, text);
    }
    bd_plot_text(v->c, &label, v->s->xlabel ? v->s->xlabel : "");
}

/* Only where something is accented. */
static void legend(const struct view *v, float y)
{
    struct plot_text t = {.x = v->box.x1, .y = y,
                          .size = bd_plot_size(12, v->u),
                          .align = PLOT_RIGHT, .k = v->t->mark};

    for (size_t i = 0; v->s->accent && i < v->s->n; i++) {
        if (!v->s->accent[i])
            continue;
        bd_plot_text(v->c, &t, v->s->accent_name ? v->s->accent_name : "");
        return;
    }
}

bd_status bd_plot_strips(struct bd_canvas *c, const struct bd_plot_strips *s,
                         const struct bd_plot_theme *t, struct bd_err *err)
{
    struct view v = {.c = c, .s = s, .t = t, .per = 1};
    struct plot_frame f;
    float each, pixels;

    if (s->n == 0 || s->nstrips == 0)
        return bd_fail(err, BD_EINVALID, "no channels to draw");
    f = bd_plot_frame(c, t, s->title, s->subtitle);
    v.u = f.u;
    pixels = f.box.x1 - f.box.x0;
    if (pixels >= 1 && (float)s->n > pixels)
        v.per = (s->n + (size_t)pixels - 1) / (size_t)pixels;
    each = (f.box.y1 - f.box.y0) / (float)s->nstrips;
    for (size_t i = 0; i < s->nstrips; i++) {
        v.box = f.box;
        v.box.y0 = f.box.y0 + (float)i * each + (i ? 34 * f.u : 0);
        v.box.y1 = f.box.y0 + (float)(i + 1) * each;
        if (!range_of(&v.y, &s->strip[i], s->n))
            continue; /* an empty panel: nothing of it is known */
        v.y.p0 = v.box.y1;
        v.y.p1 = v.box.y0;
        panel_axes(&v, &s->strip[i]);
        bars(&v, &s->strip[i]);
    }
    v.box = f.box;
    index_axis(&v);
    legend(&v, f.box.y0 - 12 * f.u);
    return BD_OK;
}
