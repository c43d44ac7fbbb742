/* A table of numbers as colours: which layer suffers at which width.  The
 * number stands in its cell where there is room, so that colour is never the
 * only way to read it. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>

struct view {
    struct bd_canvas *c;
    const struct bd_plot_heat *h;
    const struct bd_plot_theme *t;
    struct plot_box box;  /* of the cells */
    struct plot_axis scale; /* of the values, up the right side */
    bool log;
    float u, size;
};

/* Above this ratio of largest to smallest a linear scale shows nothing but
 * the largest. */
static const double log_from = 50;

/* Zero and less have no logarithm: they stand at the scale's lower end. */
static double placed(const struct view *v, double x)
{
    double least = v->log ? pow(10.0, v->scale.lo) : 0;

    return v->log ? log10(x > least ? x : least) : x;
}

/* A single value is in the middle of its scale. */
static double share(const struct view *v, double x)
{
    double span = v->scale.hi - v->scale.lo;

    return span > 0 ? (placed(v, x) - v->scale.lo) / span : 0.5;
}

/* False when there is no value at all. */
static bool find_scale(struct view *v)
{
    const struct bd_plot_heat *h = v->h;
    double lo = INFINITY, hi = -INFINITY, above = INFINITY;

    for (size_t i = 0; i < h->rows * h->cols; i++) {
        double x = h->value[i];

        if (!isfinite(x))
            continue;
        lo = x < lo ? x : lo;
        hi = x > hi ? x : hi;
        above = x > 0 && x < above ? x : above;
    }
    if (!(lo <= hi) || !isfinite(hi - lo))
        return false;
    v->log = hi > 0 && hi > log_from * above;
    if (v->log && above < hi * 1e-6)
        above = hi * 1e-6; /* six decades are all an eye can use */
    v->scale.lo = v->log ? log10(above) : lo > 0 ? 0 : lo;
    v->scale.hi = v->log ? log10(hi) : hi;
    return true;
}

/* ------------------------------------------------------------------- cells */

/* Never more than a third of the picture: names can be cut, cells cannot. */
static float names_width(const struct view *v)
{
    float most = 0, room = 0.3F * (float)v->c->w;

    for (size_t i = 0; i < v->h->rows; i++) {
        float w = bd_plot_text_width(v->size, v->h->row[i]);

        most = w > most ? w : most;
    }
    return most < room ? most : room;
}

/* Black or white, whichever the colour behind leaves readable. */
static void put_value(const struct view *v, struct plot_box b, double x,
                      struct plot_rgb ground)
{
    char text[32];
    struct plot_text t = {.x = 0.5F * (b.x0 + b.x1),
                          .y = 0.5F * (b.y0 + b.y1) + 0.45F * v->size,
                          .size = 0.9F * v->size,
                          .align = PLOT_CENTRE};
    struct plot_rgb white = {255, 255, 255}, black = {20, 26, 34};

    snprintf(text, sizeof text, "%.2g", x);
    t.k = bd_plot_is_dark(ground) ? white : black;
    if (b.y1 - b.y0 >= 1.55F * t.size &&
        b.x1 - b.x0 >= bd_plot_text_width(t.size, text) + 6)
        bd_plot_text(v->c, &t, text);
}

/* Unknown is empty, with a dash: no colour of the scale means it. */
static void cell(const struct view *v, size_t row, size_t col)
{
    float w = (v->box.x1 - v->box.x0) / (float)v->h->cols;
    float hgt = (v->box.y1 - v->box.y0) / (float)v->h->rows;
    float gap = w > 12 && hgt > 8 ? 1 : 0;
    double x = v->h->value[row * v->h->cols + col];
    struct plot_box b = {v->box.x0 + (float)col * w,
                         v->box.y0 + (float)row * hgt,
                         v->box.x0 + (float)(col + 1) * w - gap,
                         v->box.y0 + (float)(row + 1) * hgt - gap};
    float mid = 0.5F * (b.y0 + b.y1);
    struct plot_box dash = {b.x0 + 0.4F * w, mid - 0.5F, b.x0 + 0.6F * w,
                            mid + 0.5F};

    if (!isfinite(x)) {
        bd_plot_rect(v->c, dash, v->t->axis, 1.0F);
        return;
    }
    struct plot_rgb k = bd_plot_scale(v->t, share(v, x));
    bd_plot_rect(v->c, b, k, 1.0F);
    put_value(v, b, x, k);
}

/* Every n-th name where all do not fit. */
static void row_names(const struct view *v, float room)
{
    float hgt = (v->box.y1 - v->box.y0) / (float)v->h->rows;
    size_t each = (size_t)ceilf(1.4F * v->size / hgt);

    for (size_t i = 0; i < v->h->rows; i += each ? each : 1) {
        struct plot_text t = {
            .x = v->box.x0 - 10 * v->u,
            .y = v->box.y0 + ((float)i + 0.5F) * hgt + 0.45F * v->size,
            .size = v->size, .align = PLOT_RIGHT, .k = v->t->text};

        /* cut by hand: right-aligned text is measured from its end */
        bd_plot_text_fit(v->c, &t, v->h->row[i], room);
    }
}

/* From the left; one that would touch its neighbour is left out. */
static void col_names(const struct view *v)
{
    float w = (v->box.x1 - v->box.x0) / (float)v->h->cols;
    float end = -1e9F;
    struct plot_text label = {.x = 0.5F * (v->box.x0 + v->box.x1),
                              .y = v->box.y1 + 60 * v->u,
                              .size = bd_plot_size(13, v->u),
                              .align = PLOT_CENTRE, .k = v->t->dim};

    for (size_t i = 0; i < v->h->cols; i++) {
        struct plot_text t = {.x = v->box.x0 + ((float)i + 0.5F) * w,
                              .y = v->box.y1 + 26 * v->u,
                              .size = bd_plot_size(12, v->u),
                              .align = PLOT_CENTRE, .k = v->t->dim};
        float half = 0.5F * bd_plot_text_width(t.size, v->h->col[i]);

        if (t.x - half < end + 4)
            continue; /* would touch the one before */
        bd_plot_text(v->c, &t, v->h->col[i]);
        end = t.x + half;
    }
    bd_plot_text(v->c, &label, v->h->xlabel ? v->h->xlabel : "");
}

/* ------------------------------------------------------------------- scale */

/* The colours as the cells use them, with round numbers beside. */
static void draw_scale(const struct view *v, struct plot_box b)
{
    float end = 1e9F;
    double first, step = bd_plot_step(&v->scale, v->log ? 4 : 5, &first);

    step = v->log && step < 1 ? 1 : step;
    first = v->log ? ceil(v->scale.lo - 1e-9) : first;
    for (int y = (int)b.y0; y < (int)b.y1; y++) {
        double s = 1 - ((double)y + 0.5 - b.y0) / (double)(b.y1 - b.y0);
        struct plot_box line = {b.x0, (float)y, b.x1, (float)(y + 1)};

        bd_plot_rect(v->c, line, bd_plot_scale(v->t, s), 1.0F);
    }
    for (int i = 0; i < 24; i++) {
        double at = first + i * step;
        struct plot_text t = {.x = b.x1 + 7 * v->u, .size = v->size,
                              .k = v->t->dim};
        char text[32];

        if (!(step > 0) || at > v->scale.hi + 1e-9 * step)
            break;
        t.y = bd_plot_at(&v->scale, at) + 0.45F * v->size;
        if (v->log && (at <= -3.5 || at >= 4.5))
            snprintf(text, sizeof text, "1e%.0f", at);
        else if (v->log)
            snprintf(text, sizeof text, "%.4g", pow(10.0, at));
        else
            bd_plot_number(text, sizeof text, at, step);
        if (t.y > end)
            continue;
        bd_plot_text(v->c, &t, text);
        end = t.y - 1.4F * v->size;
    }
}

bd_status bd_plot_heat(struct bd_canvas *c, const struct bd_plot_heat *h,
                       const struct bd_plot_theme *t, struct bd_err *err)
{
    struct view v = {.c = c, .h = h, .t = t};
    struct plot_frame f;

    if (h->rows == 0 || h->cols == 0 || !find_scale(&v))
        return bd_fail(err, BD_EINVALID,
                       "no number to draw: nothing was measured yet");
    f = bd_plot_frame(c, t, h->title, h->subtitle);
    v.u = f.u;
    v.size = bd_plot_size(12, f.u);
    v.box = f.box;
    float names = names_width(&v);
    v.box.x0 = 40 * f.u + names;
    v.box.x1 -= 70 * f.u;
    if (v.box.x1 < v.box.x0 + 1)
        v.box.x1 = v.box.x0 + 1;
    v.scale.p0 = v.box.y1;
    v.scale.p1 = v.box.y0;
    for (size_t i = 0; i < h->rows; i++)
        for (size_t k = 0; k < h->cols; k++)
            cell(&v, i, k);
    row_names(&v, names + 1);
    col_names(&v);
    f.box.x0 = v.box.x0;
    bd_plot_ylabel(c, t, &f, h->unit ? h->unit : "");
    draw_scale(&v, (struct plot_box){v.box.x1 + 18 * f.u, v.box.y0,
                                     v.box.x1 + 32 * f.u, v.box.y1});
    return BD_OK;
}
