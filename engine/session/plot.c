/* plot.c: what the session knows as a picture: taken as a copy at once, drawn
 * and written by whoever has time.  The histogram is here, the others are in
 * pictures.c. */
#include "session/picture_priv.h"

#include <stdio.h>
#include <string.h>

enum { PICTURE_W = 1200, PICTURE_H = 800, PICTURE_BINS = 128 };

const char *const bd_picture_names[] = {"histogram", "channels",
                                        "sensitivity", "tradeoff", NULL};

/* The error belongs into the title only while it is that of this choice. */
static void layer_titles(struct bd_picture *p, const struct bd_session *s,
                         int layer)
{
    const struct bd_model *m = bd_session_model(s);
    const struct bd_tensorcfg *w = &bd_session_cfg(s)->layer[layer].w;
    struct bd_layer_view v;
    char shape[128], cfg[96];
    bd_session_layer(&v, s, layer);
    bd_text_show(p->title, sizeof p->title, m->layer[layer].name, 0);
    bd_shape_text(shape, sizeof shape, &m->value[m->layer[layer].weight].t);
    bd_tensorcfg_text(cfg, sizeof cfg, w);
    if (w->bits < 32 && v.fresh == BD_EXACT)
        snprintf(p->subtitle, sizeof p->subtitle, "%s   %s   PSNR %.2f dB",
                 shape, cfg, v.w.psnr_db);
    else
        snprintf(p->subtitle, sizeof p->subtitle, "%s   %s", shape, cfg);
}

void bd_picture_free(struct bd_picture *p)
{
    if (p)
        bd_arena_done(&p->arena);
    bd_free(p);
}

/* The session's levels are borrowed until the next edit, so they are
 * copied. */
static bool copy_grid(struct bd_picture *p, const struct bd_session *s,
                      int layer)
{
    struct bd_grid_view g;
    bd_session_grid(&g, s, layer, 0);
    if (g.n == 0)
        return true;
    double *levels = bd_arena_alloc(&p->arena, g.n, sizeof *levels);
    if (!levels)
        return false;
    memcpy(levels, g.levels, g.n * sizeof *levels);
    p->hist.levels = levels;
    p->hist.nlevels = bd_quant_distinct(levels, g.n);
    p->hist.clip_lo = g.clip_lo;
    p->hist.clip_hi = g.clip_hi;
    return true;
}

/* Symmetric around zero, so that skew is seen as skew. */
static bd_status histogram(struct bd_picture *p, const struct bd_session *s,
                           int layer, struct bd_err *err)
{
    struct bd_layer_view v;
    int64_t *bins = bd_arena_alloc(&p->arena, PICTURE_BINS, sizeof *bins);
    bd_session_layer(&v, s, layer);
    double top = v.stats && v.stats->absmax > 0 ? v.stats->absmax : 1;
    struct bd_bins b = {-1.02 * top, 1.02 * top, bins, PICTURE_BINS};
    if (bins && (!v.stats || !bd_session_histogram(s, layer, b)))
        return bd_fail(err, BD_EINVALID,
                       "the weights are not counted yet; in a moment");
    p->hist = (struct bd_plot_hist){.title = p->title,
                                    .subtitle = p->subtitle,
                                    .xlabel = "weight", .bins = bins,
                                    .nbins = PICTURE_BINS, .lo = b.lo,
                                    .hi = b.hi};
    if (!bins || !copy_grid(p, s, layer))
        return bd_fail(err, BD_ENOMEM, "out of memory");
    return BD_OK;
}

/* Interface's thread: the only part that touches the session. */
static bd_status gather(struct bd_picture *p, struct bd_session *s,
                        const struct bd_plot_ask *ask, struct bd_err *err)
{
    bool of_layer = ask->what == BD_PICTURE_HISTOGRAM ||
                    ask->what == BD_PICTURE_CHANNELS;
    if (of_layer && (ask->layer < 0 || (size_t)ask->layer >= s->m->nlayers))
        return bd_fail(err, BD_EINVALID, "layer %d of %zu", ask->layer,
                       s->m->nlayers);
    if (of_layer)
        layer_titles(p, s, ask->layer);
    switch (ask->what) {
    case BD_PICTURE_HISTOGRAM:
        return histogram(p, s, ask->layer, err);
    case BD_PICTURE_CHANNELS:
        return bd_chart_channels(p, s, ask->layer, err);
    case BD_PICTURE_SENSITIVITY:
        return bd_chart_sens(p, s,
                               ask->sens ? ask->sens : bd_session_sens(s),
                               err);
    case BD_PICTURE_TRADEOFF:
        return bd_chart_trade(p, s, err);
    case BD_PICTURES:
        break;
    }
    return bd_fail(err, BD_EINVALID, "no such picture");
}

bd_status bd_picture_new(struct bd_picture **out, struct bd_session *s,
                         const struct bd_plot_ask *ask, struct bd_err *err)
{
    struct bd_picture *p = bd_calloc(1, sizeof *p);
    if (!p)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    p->what = ask->what;
    p->w = ask->w > 0 ? ask->w : PICTURE_W;
    p->h = ask->h > 0 ? ask->h : PICTURE_H;
    p->theme = bd_plot_theme_find(ask->theme ? ask->theme : "light");
    bd_status st = p->theme ? gather(p, s, ask, err)
                            : bd_fail(err, BD_EINVALID,
                                      "theme '%s': there is light and dark",
                                      ask->theme);
    if (st == BD_OK)
        *out = p;
    else
        bd_picture_free(p);
    return st;
}

/* Any thread, from the copy alone. */
static bd_status draw(struct bd_canvas *c, const struct bd_picture *p,
                      struct bd_err *err)
{
    switch (p->what) {
    case BD_PICTURE_HISTOGRAM:
        return bd_plot_histogram(c, &p->hist, p->theme, err);
    case BD_PICTURE_CHANNELS:
        return bd_plot_strips(c, &p->strips, p->theme, err);
    case BD_PICTURE_SENSITIVITY:
        return bd_plot_heat(c, &p->heat, p->theme, err);
    case BD_PICTURE_TRADEOFF:
        return bd_plot_scatter(c, &p->scatter, p->theme, err);
    case BD_PICTURES:
        break;
    }
    return BD_EINVALID;
}

bd_status bd_picture_write(const struct bd_picture *p, const char *path,
                           bool force, struct bd_err *err)
{
    struct bd_canvas c = {0};
    bd_status st = bd_canvas_init(&c, p->w, p->h, err);
    if (st == BD_OK)
        st = draw(&c, p, err);
    if (st == BD_OK)
        st = bd_png_write(path, &c, force, err);
    bd_canvas_done(&c);
    return st;
}

bd_status bd_session_plot(struct bd_session *s, const struct bd_plot_ask *ask,
                          struct bd_err *err)
{
    struct bd_picture *p;
    bd_status st = bd_picture_new(&p, s, ask, err);
    if (st != BD_OK)
        return st;
    st = bd_picture_write(p, ask->path, ask->force, err);
    bd_picture_free(p);
    return st;
}
