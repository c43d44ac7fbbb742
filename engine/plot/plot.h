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

#endif
