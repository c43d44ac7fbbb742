/* Points in a plane: accuracy against size, and where one is among them.
 *
 * Kinds of points differ by shape before they differ by colour.  Labels are
 * placed last, each at the first of ten places around its point where it
 * covers neither a point nor another label; one that finds no place is left
 * out, for two texts over each other say less than none. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TAKEN = 512 };

struct view {
    struct bd_canvas *c;
    const struct bd_plot_scatter *s;
    const struct bd_plot_theme *t;
    struct plot_axis x, y;
    struct plot_box box;
    bool errors; /* the axis is stretched towards 100 */
    float u;
    int ntaken;
    struct {
        struct plot_box box;
        bool thin; /* a line: a label may cross it before it is left out */
    } taken[MOST_TAKEN]; /* points, lines and labels drawn so far */
};

/* ------------------------------------------------------------------- ranges */

struct range {
    double lo, hi;
};

static void include(struct range *r, double v)
{
    if (!isfinite(v))
        return;
    r->lo = v < r->lo ? v : r->lo;
    r->hi = v > r->hi ? v : r->hi;
}

static bool drawn(const struct bd_plot_point *p)
{
    return isfinite(p->x) && isfinite(p->y);
}

/* False when there is no point; the level alone makes no picture. */
static bool ranges(struct range *x, struct range *y,
                   const struct bd_plot_scatter *s)
{
    *x = *y = (struct range){INFINITY, -INFINITY};
    for (size_t i = 0; i < s->nseries; i++)
        for (size_t k = 0; k < s->series[i].n; k++) {
            const struct bd_plot_point *p = &s->series[i].p[k];

            if (!drawn(p))
                continue;
            include(x, p->x);
            include(y, p->y);
            include(y, p->lo);
            include(y, p->hi);
        }
    if (!(x->lo <= x->hi))
        return false;
    include(y, s->level);
    return isfinite(x->hi - x->lo) && isfinite(y->hi - y->lo);
}

/* ------------------------------------------------------------------- points */

/* Twenty points of accuracy on a plain axis leave nothing of the one point
 * that matters near the top. */
static const double stretch_from = 20;

static float at_y(const struct view *v, double y)
{
    return bd_plot_at(&v->y, v->errors ? bd_plot_error_place(y) : y);
}

/* Beyond the first few hundred nothing is remembered: then labels may cover
 * points, in a crowd where none could be read anyway. */
static void take_place(struct view *v, struct plot_box b, bool thin)
{
    if (v->ntaken == MOST_TAKEN)
        return;
    v->taken[v->ntaken].box = b;
    v->taken[v->ntaken++].thin = thin;
}

/* A rim of the ground's colour keeps points apart that touch. */
static void mark_at(const struct view *v, const struct bd_plot_series *s,
                    float x, float y)
{
    float r = (s->accent ? 9 : 6) * v->u;
    struct plot_rgb k = s->accent ? v->t->mark
                        : s->mark == BD_MARK_DIAMOND ? v->t->dim
                                                     : v->t->fill;

    r = r > 3 ? r : 3;
    if (s->mark == BD_MARK_DIAMOND) {
        bd_plot_diamond(v->c, x, y, r + 1.5F, v->t->ground);
        bd_plot_diamond(v->c, x, y, r, k);
    } else if (s->mark == BD_MARK_DOT || s->mark == BD_MARK_RING) {
        bd_plot_dot(v->c, x, y, r + 1, v->t->ground);
        bd_plot_dot(v->c, x, y, r, k);
        if (s->mark == BD_MARK_RING)
            bd_plot_dot(v->c, x, y, r - (1.8F * v->u > 1 ? 1.8F * v->u : 1),
                        v->t->ground);
    }
}

/* The interval behind the point, with feet. */
static void whisker(struct view *v, const struct bd_plot_series *s,
                    const struct bd_plot_point *p)
{
    float x = bd_plot_at(&v->x, p->x), w = (s->accent ? 2 : 1.2F) * v->u;
    struct plot_rgb k = s->accent ? v->t->mark : v->t->axis;
    const double end[2] = {p->lo, p->hi};

    if (!isfinite(p->lo) || !isfinite(p->hi))
        return;
    w = w > 1 ? w : 1;
    take_place(v, (struct plot_box){x - w, at_y(v, p->hi), x + w,
                                    at_y(v, p->lo)}, true);
    bd_plot_line(v->c, (struct plot_box){x, at_y(v, p->lo), x,
                                         at_y(v, p->hi)}, w, k);
    for (int i = 0; i < 2; i++) {
        float y = at_y(v, end[i]);

        bd_plot_line(v->c, (struct plot_box){x - 5 * v->u, y, x + 5 * v->u,
                                             y}, w, k);
    }
}

/* Neighbours in order, over gaps. */
static void line_through(const struct view *v, const struct bd_plot_series *s)
{
    const struct bd_plot_point *last = NULL;

    for (size_t i = 0; i < s->n; i++) {
        if (!drawn(&s->p[i]))
            continue;
        if (last)
            bd_plot_line(v->c,
                         (struct plot_box){bd_plot_at(&v->x, last->x),
                                           at_y(v, last->y),
                                           bd_plot_at(&v->x, s->p[i].x),
                                           at_y(v, s->p[i].y)},
                         (v->u > 0.5F ? 2 * v->u : 1), v->t->fill);
        last = &s->p[i];
    }
}

/* Line, intervals, points: what is read most precisely lies on top. */
static void draw_series(struct view *v, const struct bd_plot_series *s)
{
    float r = (s->accent ? 9 : 6) * v->u;

    if (s->line)
        line_through(v, s);
    for (size_t i = 0; i < s->n && s->mark; i++)
        if (drawn(&s->p[i]))
            whisker(v, s, &s->p[i]);
    for (size_t i = 0; i < s->n && s->mark; i++) {
        const struct bd_plot_point *p = &s->p[i];
        float x = bd_plot_at(&v->x, p->x), y = at_y(v, p->y);

        if (!drawn(p))
            continue;
        mark_at(v, s, x, y);
        take_place(v, (struct plot_box){x - r, y - r, x + r, y + r}, false);
    }
}

/* ------------------------------------------------------------------- labels */

static bool clear_of(const struct view *v, struct plot_box b, bool thin_too)
{
    if (b.x0 < v->box.x0 || b.x1 > v->box.x1 + 20 * v->u ||
        b.y0 < v->box.y0 || b.y1 > v->box.y1)
        return false;
    for (int i = 0; i < v->ntaken; i++) {
        const struct plot_box *t = &v->taken[i].box;

        if (v->taken[i].thin && !thin_too)
            continue;
        if (b.x0 < t->x1 && b.x1 > t->x0 && b.y0 < t->y1 && b.y1 > t->y0)
            return false;
    }
    return true;
}

/* Right, left, above, below, then the corners, then beyond the ends of the
 * interval. */
static void place_label(struct view *v, const struct bd_plot_series *s,
                        const struct bd_plot_point *p)
{
    float size = bd_plot_size(s->accent ? 14 : 12, v->u);
    float w = bd_plot_text_width(size, p->label), r = 12 * v->u, h = r * 0.6F;
    float x = bd_plot_at(&v->x, p->x), y = at_y(v, p->y);
    float mid = y + size / 2, up = y - h, low = y + h + size;
    float top = isfinite(p->hi) ? at_y(v, p->hi) - h : y - r;
    float end = isfinite(p->lo) ? at_y(v, p->lo) + h : y + r;
    const float at[10][2] = {{x + r, mid},         {x - r - w, mid},
                            {x - w / 2, y - r},   {x - w / 2, y + r + size},
                            {x + h, low},         {x - h - w, up},
                            {x + h, up},          {x - h - w, low},
                            {x - w / 2, top},     {x - w / 2, end + size}};

    for (int i = 0; i < 20; i++) {
        const float *to = at[i % 10];
        struct plot_box b = {to[0] - 2, to[1] - size - 2, to[0] + w + 2,
                             to[1] + 3};
        struct plot_text text = {.x = to[0], .y = to[1], .size = size,
                                 .k = s->accent ? v->t->mark : v->t->dim};

        if (!clear_of(v, b, i < 10))
            continue;
        bd_plot_text(v->c, &text, p->label);
        take_place(v, b, false);
        return;
    }
}

static void labels(struct view *v, bool accent)
{
    for (size_t i = 0; i < v->s->nseries; i++) {
        const struct bd_plot_series *s = &v->s->series[i];

        for (size_t k = 0; k < s->n && s->accent == accent; k++)
            if (s->p[k].label && drawn(&s->p[k]))
                place_label(v, s, &s->p[k]);
    }
}

/* ------------------------------------------------------------------- frame */

/* At the right end of the line above the plot, so that it covers nothing;
 * from the last name to the first, as far as there is room. */
static void legend(const struct view *v)
{
    float size = bd_plot_size(12, v->u), x = v->box.x1;
    float y = v->box.y0 - 12 * v->u;
    float stop = v->box.x0 + 20 * v->u +
                 bd_plot_text_width(bd_plot_size(11, v->u),
                                    v->s->ylabel ? v->s->ylabel : "");

    for (size_t i = v->s->nseries; i-- > 0;) {
        const struct bd_plot_series *s = &v->s->series[i];
        float w = s->name ? bd_plot_text_width(size, s->name) : 0;
        struct plot_text text = {.x = x - w, .y = y, .size = size,
                                 .k = v->t->dim};
        float m = x - w - 14 * v->u;

        if (!s->name || s->n == 0)
            continue;
        if (m - 14 * v->u < stop)
            break;
        bd_plot_text(v->c, &text, s->name);
        if (s->line)
            bd_plot_line(v->c, (struct plot_box){m - 11 * v->u, y - size / 2,
                                                 m + 8 * v->u, y - size / 2},
                         2 * v->u, v->t->fill);
        mark_at(v, s, m, y - size / 2);
        x = m - 34 * v->u;
    }
}

static void axes(const struct view *v)
{
    struct plot_ticks k = {
        .axis = &v->y, .box = v->box, .u = v->u, .vertical = true,
        .errors = v->errors};
    struct plot_text text = {.size = bd_plot_size(13, v->u), .k = v->t->dim};

    k.step = bd_plot_step(&v->y, 7, &k.first);
    bd_plot_ticks(v->c, v->t, &k);
    k.vertical = k.errors = false;
    k.axis = &v->x;
    k.step = bd_plot_step(&v->x, 9, &k.first);
    bd_plot_ticks(v->c, v->t, &k);
    text.x = 0.5F * (v->box.x0 + v->box.x1);
    text.y = v->box.y1 + 60 * v->u;
    text.align = PLOT_CENTRE;
    bd_plot_text(v->c, &text, v->s->xlabel ? v->s->xlabel : "");
}

/* What all points are compared with. */
static void level(struct view *v)
{
    float y = at_y(v, v->s->level);
    float size = bd_plot_size(12, v->u);
    const char *name = v->s->level_name ? v->s->level_name : "";
    struct plot_text text = {.x = v->box.x0 + 8 * v->u, .y = y - 7 * v->u,
                             .size = size, .k = v->t->clip};

    if (!isfinite(v->s->level))
        return;
    bd_plot_dashes(v->c, (struct plot_box){v->box.x0, y, v->box.x1, y}, v->u,
                   v->t->clip);
    bd_plot_text(v->c, &text, name);
    take_place(v, (struct plot_box){text.x, text.y - size,
                                    text.x + bd_plot_text_width(size, name),
                                    y}, false);
    take_place(v, (struct plot_box){v->box.x0, y - 1, v->box.x1, y + 1},
               true);
}

bd_status bd_plot_scatter(struct bd_canvas *c, const struct bd_plot_scatter *s,
                          const struct bd_plot_theme *t, struct bd_err *err)
{
    struct view v = {.c = c, .s = s, .t = t};
    struct range x, y;
    struct plot_frame f;

    if (!ranges(&x, &y, s))
        return bd_fail(err, BD_EINVALID, "no point to draw: nothing was "
                                         "measured or estimated yet");
    v.errors = s->percent && y.lo >= 0 && y.hi <= 100 &&
               y.hi - y.lo > stretch_from;
    if (v.errors)
        y = (struct range){bd_plot_error_place(y.lo),
                           bd_plot_error_place(y.hi)};
    bd_plot_widen(&x.lo, &x.hi, 0.05);
    bd_plot_widen(&y.lo, &y.hi, 0.07);
    f = bd_plot_frame(c, t, s->title, s->subtitle);
    v.u = f.u;
    v.box = f.box;
    v.x = (struct plot_axis){x.lo, x.hi, f.box.x0, f.box.x1};
    v.y = (struct plot_axis){y.lo, y.hi, f.box.y1, f.box.y0};
    axes(&v);
    bd_plot_ylabel(c, t, &f, s->ylabel ? s->ylabel : "");
    level(&v);
    for (int accent = 0; accent < 2; accent++)
        for (size_t i = 0; i < s->nseries; i++)
            if (s->series[i].accent == (accent == 1))
                draw_series(&v, &s->series[i]);
    labels(&v, true); /* the one that matters most chooses first */
    labels(&v, false);
    legend(&v);
    return BD_OK;
}
