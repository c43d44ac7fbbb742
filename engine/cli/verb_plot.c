/* plot: pictures as PNG.  Of one layer: its histogram with the grid under it
 * or the grid's staircase, drawn here.  Channels, sensitivities and the
 * trade-off are the session's pictures; what they need is measured first
 * (plot_known.c). */
#include "cli/cli_priv.h"
#include "plot/plot.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

enum { PLOT_BINS = 128 };

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--what", 0, "KIND", "histogram grid channels sensitivity "
     "tradeoff front", AT(what), 0, 0},
    {CLI_TEXT, "--layer", 'l', "NAME", "which layer (default: the first)",
     AT(layer), 0, 0},
    {CLI_TEXT, "--size", 0, "WxH", "in pixels (default 1200x800)", AT(size),
     0, 0},
    {CLI_TEXT, "--theme", 0, "NAME", "light (default) or dark", AT(theme),
     0, 0},
    {CLI_FLAG, "--log", 0, NULL, "counts on a log scale", AT(log_counts), 0,
     0},
    {CLI_TEXT, "--sweep", 0, "FILE", "sensitivities of an earlier sweep",
     AT(sensitivity), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own,           bd_cli_data,   bd_cli_config, bd_cli_model,
    bd_cli_output, bd_cli_common, NULL,
};

struct plot {
    struct cli *c;
    struct bd_session *s;
    const struct bd_layer *l;
    struct bd_tensorcfg cfg; /* of its weights; bits 32 = no grid */
    struct bd_weights w;
    struct bd_index *index;
    struct bd_qset q;
    double *levels, *cuts;
    size_t nlevels;
    struct bd_error_stats e;
    char title[256], subtitle[256];
    const struct bd_plot_theme *theme;
};

/* ------------------------------------------------------------- gathering */

/* By name; the first thousand names are searched for a near one. */
static bd_status pick_layer(struct plot *p, struct bd_err *err)
{
    const struct bd_model *m = bd_session_model(p->s);
    const char *name = p->c->a.layer, *names[1024] = {NULL}, *near;
    char show[96];
    int k = name ? bd_model_find_layer(m, name) : 0;

    if (m->nlayers == 0)
        return bd_fail(err, BD_EINVALID,
                       "no layers whose weights can be quantized");
    for (size_t i = 0; k < 0 && i < m->nlayers && i < 1023; i++)
        names[i] = m->layer[i].name;
    if (k < 0) {
        near = bd_nearest(name, names);
        bd_text_show(show, sizeof show, name, 0);
        return near ? bd_fail(err, BD_EINVALID,
                              "no layer '%s'; did you mean '%s'?", show, near)
                    : bd_fail(err, BD_EINVALID,
                              "no layer '%s'; bitdial info lists them", show);
    }
    p->l = &m->layer[k];
    p->cfg = bd_session_cfg(p->s)->layer[k].w;
    return BD_OK;
}

static bd_status index_weights(struct plot *p, struct bd_err *err)
{
    const struct bd_model *m = bd_session_model(p->s);
    const struct bd_tensor *t = &m->value[p->l->weight].t;

    p->w.x = t->f;
    p->w.slices = bd_slices_of(t, p->l->axis);
    p->w.learned_clip = p->l->learned_w;
    if (!t->f || bd_tensor_count(t) <= 0)
        return bd_fail(err, BD_EINVALID, "layer '%s' has no weights",
                       p->l->name);
    bd_status st =
        bd_index_new(&p->index, t->f, (size_t)bd_tensor_count(t), err);
    p->w.index = p->index;
    return st;
}

/* The grid of the first parameter set: all of it per tensor, channel 0
 * otherwise.  A channel of no bits or in float has none. */
static bd_status fit_grid(struct plot *p, struct bd_err *err)
{
    const struct bd_qparam *q;
    bd_status st;

    if (p->cfg.bits == 32 && !p->cfg.channel)
        return BD_OK;
    st = bd_calib_weights(&p->q, &p->w, &p->cfg, NULL, err);
    if (st == BD_OK)
        st = bd_error_of(&p->e, &p->w, &p->q, err);
    if (st != BD_OK)
        return st;
    q = &p->q.p[0];
    if (q->bits == 0 || q->bits == 32)
        return BD_OK;
    p->nlevels = q->q->levels(NULL, 0, q);
    p->levels = bd_alloc(p->nlevels, sizeof *p->levels);
    p->cuts = bd_alloc(p->nlevels, sizeof *p->cuts);
    if (!p->levels || !p->cuts)
        return bd_fail(err, BD_ENOMEM, "out of memory for the grid");
    q->q->levels(p->levels, p->nlevels, q);
    if (q->q->cuts)
        q->q->cuts(p->cuts, p->nlevels, q);
    for (size_t i = 0; !q->q->cuts && i + 1 < p->nlevels; i++)
        p->cuts[i] = 0.5 * (p->levels[i] + p->levels[i + 1]);
    return BD_OK;
}

/* Names come from the file, so they pass through bd_text_show. */
static void write_titles(struct plot *p)
{
    const struct bd_model *m = bd_session_model(p->s);
    char shape[128], cfg[96];

    bd_text_show(p->title, sizeof p->title, p->l->name, 0);
    bd_shape_text(shape, sizeof shape, &m->value[p->l->weight].t);
    bd_tensorcfg_text(cfg, sizeof cfg, &p->cfg);
    if (p->cfg.bits == 32)
        snprintf(p->subtitle, sizeof p->subtitle, "%s   %zu weights   float",
                 shape, bd_index_count(p->index));
    else
        snprintf(p->subtitle, sizeof p->subtitle,
                 "%s   %zu weights   %s   PSNR %.2f dB%s", shape,
                 bd_index_count(p->index), cfg, p->e.psnr_db,
                 p->q.n > 1 ? "   (grid of channel 0)" : "");
}

/* --------------------------------------------------------------- drawing */

/* Symmetric around zero, so that skew is seen as skew. */
static bd_status draw_histogram(struct bd_canvas *canvas, struct plot *p,
                                struct bd_err *err)
{
    int64_t bins[PLOT_BINS];
    double top = bd_index_absmax(p->index);
    bool clips =
        p->nlevels > 1 && p->q.n == 1 && !(p->q.p[0].q->traits & BD_Q_NO_CLIP);
    struct bd_plot_hist h = {
        .title = p->title,
        .subtitle = p->subtitle,
        .xlabel = "weight",
        .bins = bins,
        .nbins = PLOT_BINS,
        .levels = p->levels,
        .nlevels = p->nlevels,
        .log_counts = p->c->a.log_counts,
    };

    top = top > 0.0 ? top : 1.0;
    h.nlevels = bd_quant_distinct(p->levels, p->nlevels);
    if (clips) { /* what lies beyond the outermost levels is clipped */
        h.clip_lo = p->levels[0];
        h.clip_hi = p->levels[h.nlevels - 1];
    }
    h.lo = -1.02 * top;
    h.hi = 1.02 * top;
    bd_index_histogram(p->index, h.lo, h.hi, bins, PLOT_BINS);
    return bd_plot_histogram(canvas, &h, p->theme, err);
}

/* A little beyond the outer levels, to show the clipping. */
static bd_status draw_grid(struct bd_canvas *canvas, struct plot *p,
                           struct bd_err *err)
{
    double lo, hi, pad;
    struct bd_plot_grid g = {
        .title = p->title,
        .subtitle = p->subtitle,
        .levels = p->levels,
        .cuts = p->cuts,
        .nlevels = p->nlevels,
    };

    if (p->nlevels == 0 && p->q.n > 1)
        return bd_fail(err, BD_EINVALID,
                       "layer '%s': channel 0, whose grid would be shown, has "
                       "none",
                       p->title);
    if (p->nlevels == 0)
        return bd_fail(err, BD_EINVALID,
                       "layer '%s' is float and has no grid; --weights "
                       "apot:4 gives it one",
                       p->title);
    lo = p->levels[0];
    hi = p->levels[p->nlevels - 1];
    pad = hi > lo ? 0.12 * (hi - lo) : 1.0;
    g.lo = lo - pad;
    g.hi = hi + pad;
    return bd_plot_staircase(canvas, &g, p->theme, err);
}

struct kind {
    const char *name;
    bd_status (*draw)(struct bd_canvas *canvas, struct plot *p,
                      struct bd_err *err); /* NULL: the session's */
    enum bd_picture_what known;
};

static const struct kind kinds[] = {
    {"histogram", draw_histogram, BD_PICTURE_HISTOGRAM},
    {"grid", draw_grid, BD_PICTURE_HISTOGRAM},
    {"channels", NULL, BD_PICTURE_CHANNELS},
    {"sensitivity", NULL, BD_PICTURE_SENSITIVITY},
    {"tradeoff", NULL, BD_PICTURE_TRADEOFF},
    {"front", NULL, BD_PICTURE_TRADEOFF}, /* its estimates measured, too */
};
enum { NKINDS = sizeof kinds / sizeof *kinds };

static const struct kind *find_kind(const char *name, struct bd_err *err)
{
    const char *names[NKINDS + 1] = {NULL}, *near;
    char show[96];

    for (size_t k = 0; k < NKINDS; k++) {
        if (strcmp(kinds[k].name, name) == 0)
            return &kinds[k];
        names[k] = kinds[k].name;
    }
    near = bd_nearest(name, names);
    bd_text_show(show, sizeof show, name, 0);
    bd_fail(err, BD_EINVALID, "--what '%s': there is %s", show,
            near ? near : "histogram and grid");
    return NULL;
}

/* Everything of the command line that can be wrong, before any work. */
static const struct kind *check(struct plot *p, int *w, int *h)
{
    const struct cli_args *a = &p->c->a;
    struct bd_err *err = &p->c->err;
    const char *theme = a->theme ? a->theme : "light";

    p->theme = bd_plot_theme_find(theme);
    if (!p->theme) {
        bd_fail(err, BD_EINVALID, "--theme '%s': there is light and dark",
                theme);
        return NULL;
    }
    if (a->size && !bd_cli_size(w, h, a->size, err))
        return NULL;
    if (!a->output || strcmp(a->output, "-") == 0) {
        bd_fail(err, BD_EINVALID, "-o FILE.png is needed");
        return NULL;
    }
    if (bd_cli_save_check(p->c) != BD_OK)
        return NULL;
    return find_kind(a->what ? a->what : "histogram", err);
}

static bd_status draw_known(struct plot *p, const struct kind *k, int w,
                            int h)
{
    struct bd_session_opts o = bd_cli_session_opts(&p->c->a);
    const char *theme = p->c->a.theme;
    struct bd_plot_ask ask = {.what = k->known, .path = p->c->a.output,
                              .force = p->c->a.force, .w = w, .h = h,
                              .theme = theme ? theme : "light"};
    bd_status st;

    o.no_state = true;
    st = bd_cli_session(&p->s, p->c, &o);
    if (st == BD_OK && k->known == BD_PICTURE_CHANNELS) {
        st = pick_layer(p, &p->c->err);
        if (st == BD_OK)
            ask.layer = (int)(p->l - bd_session_model(p->s)->layer);
    }
    bool measure = strcmp(k->name, "front") == 0;
    return st == BD_OK ? bd_cli_plot_known(p->c, p->s, &ask, measure) : st;
}

static bd_status draw(struct plot *p, const struct kind *k, int w, int h)
{
    struct bd_session_opts o = bd_cli_session_opts(&p->c->a);
    struct bd_err *err = &p->c->err;
    struct bd_canvas canvas = {0};
    bd_status st = bd_cli_session(&p->s, p->c, &o);

    if (st == BD_OK)
        st = pick_layer(p, err);
    if (st == BD_OK)
        st = index_weights(p, err);
    if (st == BD_OK)
        st = fit_grid(p, err);
    if (st == BD_OK)
        st = bd_canvas_init(&canvas, w, h, err);
    if (st == BD_OK) {
        write_titles(p);
        st = k->draw(&canvas, p, err);
    }
    if (st == BD_OK) {
        st = bd_png_write(p->c->a.output, &canvas, p->c->a.force, err);
        p->c->status = st == BD_OK ? 0 : 1;
    }
    bd_canvas_done(&canvas);
    return st;
}

static int say(struct cli *c)
{
    struct bd_json j;

    if (!c->a.json) {
        bd_cli_note("wrote %s", c->a.output);
        return 0;
    }
    bd_cli_schema(&j, "bitdial.plot/1");
    bd_json_str(&j, "what", c->a.what ? c->a.what : "histogram");
    bd_json_str(&j, "path", c->a.output);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

static int run(struct cli *c)
{
    struct plot p = {.c = c};
    int w = 1200, h = 800;
    const struct kind *k = check(&p, &w, &h);
    bd_status st = !k         ? BD_EINVALID
                   : !k->draw ? draw_known(&p, k, w, h)
                              : draw(&p, k, w, h);

    bd_free(p.levels);
    bd_free(p.cuts);
    bd_qset_done(&p.q);
    bd_index_free(p.index);
    bd_session_close(p.s);
    return st == BD_OK ? say(c) : bd_cli_fail(c);
}

const struct cli_verb bd_verb_plot = {
    .name = "plot",
    .summary = "A picture: a layer's weights or channels, sensitivity, "
               "trade-off.",
    .example = "bitdial plot resnet20.onnx --layer conv1 --weights apot:4 "
               "-o conv1.png",
    .usage = "plot MODEL --what KIND -o FILE.png [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
