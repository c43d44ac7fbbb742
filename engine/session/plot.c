/* plot.c: one layer as a picture, from what the session shows of it at this
 * moment; nothing is computed anew, so the screen may ask for it. */
#include "session/session.h"

#include <stdio.h>

#include "plot/plot.h"

enum { PICTURE_W = 1200, PICTURE_H = 800, PICTURE_BINS = 128 };

static void titles(char *title, char *subtitle, size_t cap,
                   const struct bd_session *s, int layer)
{
    const struct bd_model *m = bd_session_model(s);
    const struct bd_tensorcfg *w = &bd_session_cfg(s)->layer[layer].w;
    struct bd_layer_view v;
    char shape[128], cfg[96];
    bd_session_layer(&v, s, layer);
    bd_text_show(title, cap, m->layer[layer].name, 0);
    bd_shape_text(shape, sizeof shape, &m->value[m->layer[layer].weight].t);
    bd_tensorcfg_text(cfg, sizeof cfg, w);
    if (w->bits < 32 && v.fresh == BD_EXACT)
        snprintf(subtitle, cap, "%s   %s   PSNR %.2f dB", shape, cfg,
                 v.w.psnr_db);
    else
        snprintf(subtitle, cap, "%s   %s", shape, cfg);
}

bd_status bd_session_plot(const struct bd_session *s, int layer,
                          const char *path, bool force, struct bd_err *err)
{
    char title[256], subtitle[256];
    int64_t bins[PICTURE_BINS];
    struct bd_layer_view v;
    struct bd_grid_view g;
    struct bd_canvas c = {0};
    bd_session_layer(&v, s, layer);
    bd_session_grid(&g, s, layer, 0);
    double top = v.stats && v.stats->absmax > 0 ? v.stats->absmax : 1;
    struct bd_bins b = {-1.02 * top, 1.02 * top, bins, PICTURE_BINS};
    if (!v.stats || !bd_session_histogram(s, layer, b))
        return bd_fail(err, BD_EINVALID,
                       "the weights are not counted yet; in a moment");
    titles(title, subtitle, sizeof title, s, layer);
    struct bd_plot_hist h = {.title = title, .subtitle = subtitle,
                             .xlabel = "weight", .bins = bins,
                             .nbins = PICTURE_BINS, .lo = b.lo, .hi = b.hi,
                             .levels = g.n ? g.levels : NULL,
                             .nlevels = g.n, .clip_lo = g.clip_lo,
                             .clip_hi = g.clip_hi};
    bd_status st = bd_canvas_init(&c, PICTURE_W, PICTURE_H, err);
    if (st == BD_OK)
        st = bd_plot_histogram(&c, &h, bd_plot_theme_find("light"), err);
    if (st == BD_OK)
        st = bd_png_write(path, &c, force, err);
    bd_canvas_done(&c);
    return st;
}
