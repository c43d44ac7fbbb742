/* Inside plot/ only: drawing primitives with anti-aliasing by coverage, text,
 * and axes.  Coordinates are pixels, y downwards, and may be fractions; all
 * drawing is clipped to the canvas. */
#ifndef BD_PLOT_PRIV_H
#define BD_PLOT_PRIV_H

#include "plot/plot.h"

struct plot_rgb {
    uint8_t r, g, b;
};

struct bd_plot_theme {
    const char *name;
    struct plot_rgb ground, text, dim, line, axis, fill, mark, clip;
    struct plot_rgb scale[5]; /* of heat maps, from least to most */
};

struct plot_box { /* left, top, right, bottom */
    float x0, y0, x1, y1;
};

void bd_plot_fill(struct bd_canvas *c, struct plot_rgb k); /* everything */
void bd_plot_rect(struct bd_canvas *c, struct plot_box b, struct plot_rgb k,
                  float alpha);
/* b's corners are the ends; round caps; width in pixels. */
void bd_plot_line(struct bd_canvas *c, struct plot_box b, float width,
                  struct plot_rgb k);
/* Centre, half of the diameter; a square standing on its corner; a ring as
 * wide as `width`. */
void bd_plot_dot(struct bd_canvas *c, float x, float y, float r,
                 struct plot_rgb k);
void bd_plot_diamond(struct bd_canvas *c, float x, float y, float r,
                     struct plot_rgb k);
/* A line across at y, dashed, from x0 to x1 of b. */
void bd_plot_dashes(struct bd_canvas *c, struct plot_box b, float u,
                    struct plot_rgb k);
/* The colour of a share of the scale, 0 to 1. */
struct plot_rgb bd_plot_scale(const struct bd_plot_theme *t, double share);
bool bd_plot_is_dark(struct plot_rgb k); /* white text reads better on it */
/* What a range needs around it to be drawn; equal ends are parted. */
void bd_plot_widen(double *lo, double *hi, double share);
void bd_plot_blend(struct bd_canvas *c, int x, int y, struct plot_rgb k,
                   float alpha);

enum plot_align { PLOT_LEFT, PLOT_CENTRE, PLOT_RIGHT };
struct plot_text {
    float x, y;   /* of the baseline */
    float size;   /* height of a capital */
    float weight; /* of the pen, share of size; 0 = usual */
    enum plot_align align;
    struct plot_rgb k;
};
void bd_plot_text(struct bd_canvas *c, const struct plot_text *t,
                  const char *s);
float bd_plot_text_width(float size, const char *s);
/* The same cut in its middle to `room` pixels: names differ at their ends. */
void bd_plot_text_fit(struct bd_canvas *c, const struct plot_text *t,
                      const char *s, float room);
/* `size` in a picture of scale u: never too small to read. */
float bd_plot_size(float size, float u);
const char *bd_plot_glyph(char ch); /* strokes, see font.c */

/* A range of numbers on a stretch of pixels. */
struct plot_axis {
    double lo, hi;
    float p0, p1; /* where lo and hi lie */
};
float bd_plot_at(const struct plot_axis *a, double v);
/* Round numbers 1, 2, 5 x 10^k apart, about `want` of them; *first is the
 * smallest inside. */
double bd_plot_step(const struct plot_axis *a, int want, double *first);
/* Tick text without needless zeros for numbers `step` apart. */
void bd_plot_number(char *out, size_t cap, double v, double step);

/* Ground, title, subtitle; returns the box left for the chart and the scale
 * of everything (1 at 1200x800). */
struct plot_frame {
    struct plot_box box;
    float u;
};
struct plot_frame bd_plot_frame(struct bd_canvas *c,
                                const struct bd_plot_theme *t,
                                const char *title, const char *subtitle);
/* Grid line and label at every step of a horizontal or vertical axis. */
struct plot_ticks {
    const struct plot_axis *axis;
    struct plot_box box;
    float u;
    bool vertical; /* axis runs up the left side */
    double step, first;
    bool powers; /* labels are 10^v */
    bool log;    /* the axis holds log10 of what its labels say */
    bool errors; /* it holds bd_plot_error_place of percentages */
};
/* What the heights mean, above the axis where it is read first. */
void bd_plot_ylabel(struct bd_canvas *c, const struct bd_plot_theme *t,
                    const struct plot_frame *f, const char *text);
/* Where a percentage stands on an axis of errors: equal steps are equal
 * ratios of what is missing to 100, so that 99 and 98 are as far apart as 90
 * and 80.  Nothing is nearer to 100 than 0.1. */
double bd_plot_error_place(double percent);
void bd_plot_ticks(struct bd_canvas *c, const struct bd_plot_theme *t,
                   const struct plot_ticks *k);

#endif
