/* What all charts share: themes, frame, axes. */
#include "plot/plot_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Blue for data, orange for the grid: told apart in any kind of sight, and by
 * place as well, since the grid is drawn below the axis. */
static const struct bd_plot_theme themes[] = {
    {"light", .ground = {255, 255, 255}, .text = {31, 41, 51},
     .dim = {98, 110, 123}, .line = {230, 234, 238}, .axis = {154, 165, 177},
     .fill = {76, 120, 168}, .mark = {217, 95, 14}, .clip = {150, 60, 20},
     .scale = {{237, 243, 249}, {186, 210, 232}, {116, 162, 204},
               {45, 105, 165}, {9, 47, 100}}},
    {"dark", .ground = {21, 25, 31}, .text = {230, 233, 237},
     .dim = {148, 160, 173}, .line = {39, 46, 55}, .axis = {92, 103, 115},
     .fill = {104, 160, 214}, .mark = {242, 146, 72}, .clip = {250, 190, 140},
     .scale = {{32, 41, 53}, {35, 72, 112}, {52, 116, 172},
               {112, 170, 220}, {214, 233, 250}}},
};

const struct bd_plot_theme *bd_plot_theme_find(const char *name)
{
    for (size_t k = 0; k < sizeof themes / sizeof *themes; k++) {
        if (strcmp(themes[k].name, name) == 0)
            return &themes[k];
    }
    return NULL;
}

/* The middle when the axis has no length. */
float bd_plot_at(const struct plot_axis *a, double v)
{
    double t = a->hi > a->lo ? (v - a->lo) / (a->hi - a->lo) : 0.5;

    return a->p0 + (float)t * (a->p1 - a->p0);
}

/* The smallest of 1, 2, 5, 10 times a power of ten that needs no more than
 * `want` steps. */
double bd_plot_step(const struct plot_axis *a, int want, double *first)
{
    double span = a->hi - a->lo, raw = span / (want > 0 ? want : 1);
    double ten = pow(10.0, floor(log10(raw > 0.0 ? raw : 1.0)));
    double m = raw / ten, step = (m > 5.0   ? 10.0
                                  : m > 2.0 ? 5.0
                                  : m > 1.0 ? 2.0
                                            : 1.0) *
                                 ten;

    *first = ceil(a->lo / step - 1e-9) * step;
    return step;
}

/* 12000 -> "12k", 0.25 -> "0.25", 1e-7 -> "1e-07". */
void bd_plot_number(char *out, size_t cap, double v, double step)
{
    int digits = step < 1.0 ? (int)ceil(-log10(step) - 1e-9) : 0;

    if (fabs(v) < step * 1e-6)
        v = 0.0;
    if (step >= 1e6)
        snprintf(out, cap, "%.4gM", v / 1e6);
    else if (step >= 1e3)
        snprintf(out, cap, "%.4gk", v / 1e3);
    else if (digits > 6 || fabs(v) >= 1e7)
        snprintf(out, cap, "%.2g", v);
    else
        snprintf(out, cap, "%.*f", digits, v);
    if (v == 0.0)
        snprintf(out, cap, "0");
}

float bd_plot_size(float size, float u)
{
    static const float least = 7.0F; /* pixels of a capital */
    float s = size * u;

    return s > least ? s : size < least ? size : least;
}

/* A scale that is even in lightness between its five anchors. */
struct plot_rgb bd_plot_scale(const struct bd_plot_theme *t, double share)
{
    double at = (share > 0 ? share < 1 ? share : 1 : 0) * 4;
    int k = at < 4 ? (int)at : 3;
    const struct plot_rgb *a = &t->scale[k], *b = a + 1;
    double f = at - k;

    return (struct plot_rgb){
        (uint8_t)lrint(a->r + f * (b->r - a->r)),
        (uint8_t)lrint(a->g + f * (b->g - a->g)),
        (uint8_t)lrint(a->b + f * (b->b - a->b))};
}

/* By relative luminance, roughly. */
bool bd_plot_is_dark(struct plot_rgb k)
{
    return 0.3 * k.r + 0.59 * k.g + 0.11 * k.b < 140;
}

void bd_plot_widen(double *lo, double *hi, double share)
{
    double span = *hi - *lo, pad = share * span;

    if (!(span > 0)) /* one value: a range around it */
        pad = *lo != 0 ? 0.1 * fabs(*lo) : 1;
    *lo -= pad;
    *hi += pad;
}

void bd_plot_dashes(struct bd_canvas *c, struct plot_box b, float u,
                    struct plot_rgb k)
{
    float y = floorf(b.y0), thick = u > 1 ? 1.4F * u : 1; /* whole pixels */

    for (float x = b.x0; x < b.x1; x += 11 * u) {
        float end = x + 6 * u < b.x1 ? x + 6 * u : b.x1;
        struct plot_box dash = {x, y, end, y + thick};

        bd_plot_rect(c, dash, k, 1.0F);
        if (!(u > 0.0F))
            break;
    }
}

struct plot_frame bd_plot_frame(struct bd_canvas *c,
                                const struct bd_plot_theme *t,
                                const char *title, const char *subtitle)
{
    float ux = (float)c->w / 1200.0F, uy = (float)c->h / 800.0F;
    float u = ux < uy ? ux : uy;
    struct plot_text text = {.x = 96 * u,
                             .y = 58 * u,
                             .size = 22 * u,
                             .weight = 0.15F,
                             .k = t->text};

    bd_plot_fill(c, t->ground);
    bd_plot_text_fit(c, &text, title ? title : "", (float)c->w - 140 * u);
    text = (struct plot_text){.x = 96 * u,
                              .y = 92 * u,
                              .size = bd_plot_size(13, u),
                              .k = t->dim};
    bd_plot_text_fit(c, &text, subtitle ? subtitle : "",
                     (float)c->w - 140 * u);
    return (struct plot_frame){
        .box = {96 * u, 142 * u, (float)c->w - 44 * u, (float)c->h - 84 * u},
        .u = u,
    };
}

/* Powers of ten are written out while short. */
static void tick_label(char *out, size_t cap, const struct plot_ticks *k,
                       double v)
{
    if (k->log && v > -3.5 && v < 4.5)
        snprintf(out, cap, "%.4g", pow(10.0, v));
    else if (k->log)
        snprintf(out, cap, "1e%.0f", v);
    else if (k->errors)
        snprintf(out, cap, "%.4g", v);
    else if (!k->powers)
        bd_plot_number(out, cap, v, k->step);
    else if (v < 4.5)
        snprintf(out, cap, "%.0f", pow(10.0, v));
    else
        snprintf(out, cap, "1e%.0f", v);
}

double bd_plot_error_place(double percent)
{
    double missing = 100 - percent;

    return -log10(missing > 0.1 ? missing : 0.1);
}

/* One faint line across the box and its number beside or below it. */
static void tick_at(struct bd_canvas *c, const struct bd_plot_theme *t,
                    const struct plot_ticks *k, double v)
{
    /* Counts on a log scale stand at log10(1 + n), so that 0 has a place. */
    double place = k->powers   ? log10(1.0 + pow(10.0, v))
                   : k->errors ? bd_plot_error_place(v)
                               : v;
    float p = bd_plot_at(k->axis, place), half = 0.5F * k->u;
    const struct plot_box *b = &k->box;
    struct plot_text text = {.size = bd_plot_size(12, k->u), .k = t->dim};
    struct plot_box line = {b->x0, p - half, b->x1, p + half};
    char label[32];

    if (!k->vertical)
        line = (struct plot_box){p - half, b->y0, p + half, b->y1};
    bd_plot_rect(c, line, t->line, 1.0F);
    tick_label(label, sizeof label, k, v);
    text.x = k->vertical ? b->x0 - 12 * k->u : p;
    text.y = k->vertical ? p + 6 * k->u : b->y1 + 26 * k->u;
    text.align = k->vertical ? PLOT_RIGHT : PLOT_CENTRE;
    bd_plot_text(c, &text, label);
}

void bd_plot_ticks(struct bd_canvas *c, const struct bd_plot_theme *t,
                   const struct plot_ticks *k)
{
    static const double percent[] = {0,  20, 40, 60, 70, 80,   85,
                                     90, 95, 98, 99, 99.5, 99.8};
    double end = k->axis->hi + 1e-9 * (k->axis->hi - k->axis->lo);

    for (size_t i = 0; k->errors && i < sizeof percent / sizeof *percent; i++)
        if (bd_plot_error_place(percent[i]) >= k->axis->lo &&
            bd_plot_error_place(percent[i]) <= k->axis->hi)
            tick_at(c, t, k, percent[i]);
    if (k->errors)
        return;

    if (!(k->step > 0.0))
        return;
    /* Counted, so that no step too small to add can loop for ever. */
    for (int n = 0; n < 64 && k->first + n * k->step <= end; n++)
        tick_at(c, t, k, k->first + n * k->step);
}

void bd_plot_ylabel(struct bd_canvas *c, const struct bd_plot_theme *t,
                    const struct plot_frame *f, const char *text)
{
    struct plot_text label = {.x = f->box.x0,
                              .y = f->box.y0 - 14 * f->u,
                              .size = bd_plot_size(11, f->u),
                              .k = t->dim};

    bd_plot_text(c, &label, text);
}
