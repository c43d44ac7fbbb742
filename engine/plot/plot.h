/* plot: pictures of numbers as PNG.  A raster canvas, a small built-in font,
 * charts; knows floats and labels, nothing of networks. */
#ifndef BD_PLOT_H
#define BD_PLOT_H

#include "base/base.h"

struct bd_canvas {
    int w, h;
    uint8_t *rgb; /* [h][w][3], owned */
};
bd_status bd_canvas_init(struct bd_canvas *c, int w, int h, struct bd_err *err);
void bd_canvas_done(struct bd_canvas *c);
bd_status bd_png_write(const char *path, const struct bd_canvas *c, bool force,
                       struct bd_err *err);

struct bd_plot_theme;
const struct bd_plot_theme *bd_plot_theme_find(const char *name); /* light,
                                                        dark; NULL unknown */
/* Weight histogram with the grid drawn under it; counts may be drawn on a
 * log scale. */
struct bd_plot_hist {
    const char *title, *subtitle, *xlabel;
    const int64_t *bins;
    int nbins;
    double lo, hi;
    const double *levels; /* NULL = none */
    size_t nlevels;
    double clip_lo, clip_hi; /* equal = none */
    bool log_counts;
};
bd_status bd_plot_histogram(struct bd_canvas *c, const struct bd_plot_hist *h,
                            const struct bd_plot_theme *t, struct bd_err *err);
/* Staircase of a grid: output against input over [lo, hi], with the levels
 * as ticks. */
struct bd_plot_grid {
    const char *title, *subtitle;
    const double *levels, *cuts;
    size_t nlevels;
    double lo, hi;
};
bd_status bd_plot_staircase(struct bd_canvas *c, const struct bd_plot_grid *g,
                            const struct bd_plot_theme *t, struct bd_err *err);

/* ------------------------------------------------------------------ scatter
 * Points in a plane with an interval each, lines through them, one level
 * across.  What is not finite is left out; labels go where nothing is. */
enum bd_plot_mark {
    BD_MARK_NONE, BD_MARK_DOT, BD_MARK_RING, BD_MARK_DIAMOND
};
struct bd_plot_point {
    double x, y, lo, hi; /* lo, hi: interval of y, NaN = none */
    const char *label;   /* NULL = none */
};
struct bd_plot_series {
    const char *name; /* in the legend */
    const struct bd_plot_point *p;
    size_t n;
    enum bd_plot_mark mark;
    bool line;   /* through the points, in their order */
    bool accent; /* in the second colour, larger, drawn last */
};
struct bd_plot_scatter {
    const char *title, *subtitle, *xlabel, *ylabel;
    const struct bd_plot_series *series;
    size_t nseries;
    bool percent; /* y is a share of 100: where it spans much, the axis is
                     stretched towards 100, equal steps for equal ratios of
                     what is missing */
    double level; /* a dashed line across; NaN = none */
    const char *level_name;
};
bd_status bd_plot_scatter(struct bd_canvas *c,
                          const struct bd_plot_scatter *s,
                          const struct bd_plot_theme *t, struct bd_err *err);

/* ----------------------------------------------------------------- heat map
 * A cell per row and column, with its number where it fits and the scale
 * beside it; logarithmic when the values span more than a factor of 50. */
struct bd_plot_heat {
    const char *title, *subtitle, *xlabel;
    const char *unit; /* what a cell's number is */
    size_t rows, cols;
    const char *const *row, *const *col; /* [rows], [cols] names */
    const double *value; /* [rows, cols]; not finite = not known */
};
bd_status bd_plot_heat(struct bd_canvas *c, const struct bd_plot_heat *h,
                       const struct bd_plot_theme *t, struct bd_err *err);

/* ------------------------------------------------------------------- strips
 * Bars over the same index in panels one above the other: what belongs to
 * one channel stands in one column. */
struct bd_plot_strip {
    const char *name;
    const double *lo; /* [n]; NULL = bars stand on 0, or on the axis if log */
    const double *hi; /* [n] */
    bool log;
};
struct bd_plot_strips {
    const char *title, *subtitle, *xlabel;
    const struct bd_plot_strip *strip;
    size_t nstrips, n;
    const bool *accent;      /* [n] in the second colour; NULL = none */
    const char *accent_name; /* in the legend */
};
bd_status bd_plot_strips(struct bd_canvas *c, const struct bd_plot_strips *s,
                         const struct bd_plot_theme *t, struct bd_err *err);

#endif
