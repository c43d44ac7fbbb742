/* plot.c: one layer as a picture, from what the session shows of it at this
 * moment: taken as a copy at once, drawn and written by whoever has time. */
#include "session/session_priv.h"

#include <stdio.h>
#include <string.h>

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

struct bd_picture { /* all it shows, copied: any thread may draw it */
    char title[256], subtitle[256];
    int64_t bins[PICTURE_BINS];
    double *levels; /* owned; NULL = no grid */
    struct bd_plot_hist h;
};

void bd_picture_free(struct bd_picture *p)
{
    if (p)
        bd_free(p->levels);
    bd_free(p);
}

static bool copy_grid(struct bd_picture *p, const struct bd_session *s,
                      int layer)
{
    struct bd_grid_view g;
    bd_session_grid(&g, s, layer, 0);
    if (g.n == 0)
        return true;
    p->levels = bd_alloc(g.n, sizeof *p->levels);
    if (!p->levels)
        return false;
    memcpy(p->levels, g.levels, g.n * sizeof *p->levels);
    p->h.levels = p->levels;
    p->h.nlevels = g.n;
    p->h.clip_lo = g.clip_lo;
    p->h.clip_hi = g.clip_hi;
    return true;
}

bd_status bd_picture_new(struct bd_picture **out, const struct bd_session *s,
                         int layer, struct bd_err *err)
{
    struct bd_layer_view v;
    bd_session_layer(&v, s, layer);
    double top = v.stats && v.stats->absmax > 0 ? v.stats->absmax : 1;
    struct bd_picture *p = bd_calloc(1, sizeof *p);
    if (!p)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    struct bd_bins b = {-1.02 * top, 1.02 * top, p->bins, PICTURE_BINS};
    if (!v.stats || !bd_session_histogram(s, layer, b)) {
        bd_picture_free(p);
        return bd_fail(err, BD_EINVALID,
                       "the weights are not counted yet; in a moment");
    }
    titles(p->title, p->subtitle, sizeof p->title, s, layer);
    p->h = (struct bd_plot_hist){.title = p->title, .subtitle = p->subtitle,
                                 .xlabel = "weight", .bins = p->bins,
                                 .nbins = PICTURE_BINS, .lo = b.lo,
                                 .hi = b.hi};
    if (!copy_grid(p, s, layer)) {
        bd_picture_free(p);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    *out = p;
    return BD_OK;
}

bd_status bd_picture_write(const struct bd_picture *p, const char *path,
                           bool force, struct bd_err *err)
{
    struct bd_canvas c = {0};
    bd_status st = bd_canvas_init(&c, PICTURE_W, PICTURE_H, err);
    if (st == BD_OK)
        st = bd_plot_histogram(&c, &p->h, bd_plot_theme_find("light"), err);
    if (st == BD_OK)
        st = bd_png_write(path, &c, force, err);
    bd_canvas_done(&c);
    return st;
}

bd_status bd_session_plot(const struct bd_session *s, int layer,
                          const char *path, bool force, struct bd_err *err)
{
    struct bd_picture *p;
    bd_status st = bd_picture_new(&p, s, layer, err);
    if (st != BD_OK)
        return st;
    st = bd_picture_write(p, path, force, err);
    bd_picture_free(p);
    return st;
}
