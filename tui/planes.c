/* planes.c: the slider of bit planes.  ( and ) move the PSNR that layers'
 * inputs must reach by 1 dB; each layer then keeps the fewest planes that do.
 * The strip shows them, highest plane first; screen Channels shows what each
 * input channel alone would keep. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { START_DB = 39, LABEL_W = 8 }; /* about five of eight planes */

/* ------------------------------------------------------------- the strip */
char *ui_planes_strip(char *out, size_t cap, const struct ui *ui,
                      const struct bd_planecode *c)
{
    bool ascii = ui->glyphs == WG_ASCII;
    out[0] = 0;
    for (int k = c->of - 1; k >= 0; k--) {
        bool kept = c->mask >> k & 1;
        const char *sign = ascii ? (kept ? "#" : ".")
                                 : (kept ? "\xe2\x96\xae" : "\xe2\x96\xaf");
        if (strlen(out) + strlen(sign) < cap)
            strcat(out, sign);
    }
    return out;
}

bool ui_planes_used(const struct ui *ui)
{
    struct bd_planes_net a, w;
    bd_session_planes_net(&a, ui->s, BD_PART_A);
    bd_session_planes_net(&w, ui->s, BD_PART_W);
    return a.layers + w.layers > 0;
}

/* Of the input, or of the weights where only they have planes.  Without the
 * planes themselves (fitted on the way) their number is all there is. */
enum wg_role ui_planes_cell(char *out, size_t cap, const struct ui *ui,
                            int layer)
{
    const struct bd_layercfg *l = &bd_session_cfg(ui->s)->layer[layer];
    int row = bd_quantizer_find("bottleneck");
    const struct bd_tensorcfg *t = l->a.quant == row && l->a.bits < 32 ? &l->a
                                                                       : &l->w;
    out[0] = 0;
    if (t->quant != row || t->bits >= 32)
        return WG_DIM;
    if (t->planes)
        ui_planes_strip(out, cap, ui, &t->planes->code);
    else
        snprintf(out, cap, "best %d", t->bits);
    return t == &l->a ? WG_NUMBER : WG_DIM;
}

/* ------------------------------------------------------------ the slider */
/* What came of it, or that it is being counted. */
static bool said(struct ui *ui, bd_status st, enum bd_part part,
                 const struct bd_err *err)
{
    struct bd_planes_net n;
    char th[48], rate[96];
    uint64_t before = ui->digest;
    if (st != BD_OK) {
        ui_refuse(ui, err);
        return false;
    }
    ui_changed(ui);
    bd_session_planes_net(&n, ui->s, part);
    bd_planes_net_goal(th, sizeof th, &n);
    if (n.waiting)
        ui_say(ui, "%s: counting the codes of the calibration images ...", th);
    else
        ui_say(ui, "%s: %s%s", th, bd_planes_net_text(rate, sizeof rate, &n),
               ui->digest == before ? "; no plane more or less" : "");
    return true;
}

void ui_planes_step(struct ui *ui, int by)
{
    struct bd_err err = {0};
    struct bd_planes_net n;
    struct bd_sel sel = ui_selection(ui);
    if (sel.n == 0) {
        ui_warn(ui, "no layer is shown; \\ then Enter clears the filter");
        return;
    }
    bd_session_planes_net(&n, ui->s, BD_PART_A);
    if (!(n.now.db > 0)) /* the first press shows where it stands */
        n.now = (struct bd_threshold){false, START_DB};
    else /* up is more PSNR, so less loss */
        n.now.db += n.now.loss ? -by : by;
    n.now.db = n.now.db < 1 ? 1 : n.now.db > 150 ? 150 : n.now.db;
    said(ui, bd_session_set_planes(ui->s, sel, BD_PART_A, &n.now, &err),
         BD_PART_A, &err);
}

/* "39", "39dB" */
static bool decibels(double *out, const char *text)
{
    char copy[32];
    snprintf(copy, sizeof copy, "%s", text);
    size_t n = strlen(copy);
    if (n > 2 && strcmp(copy + n - 2, "dB") == 0)
        copy[n - 2] = 0;
    return bd_parse_double(out, copy);
}

/* All layers unless a pattern is named: a rate is about the whole network,
 * and so, as a rule, is a threshold that is typed. */
static struct bd_sel layers_of(struct ui *ui, const char *glob)
{
    const struct bd_model *m = bd_session_model(ui->s);
    size_t n = 0;
    for (size_t i = 0; i < m->nlayers; i++)
        if (!*glob || bd_glob(glob, m->layer[i].name))
            ui->list.sel[n++] = (int)i;
    return (struct bd_sel){ui->list.sel, n};
}

static bool usage(struct ui *ui)
{
    ui_warn(ui, "takes [weights] 39dB, loss 16 or rate 4.5, and then a "
                "pattern of layers or nothing");
    return false;
}

bool ui_planes_command(struct ui *ui, const char *args)
{
    char word[3][64] = {"", "", ""};
    enum bd_part part = BD_PART_A;
    struct bd_threshold t = {0};
    struct bd_err err = {0};
    double v;
    if (strncmp(args, "weights ", 8) == 0) {
        part = BD_PART_W;
        args += 8;
    }
    int n = sscanf(args, "%63s %63s %63s", word[0], word[1], word[2]);
    bool loss = strcmp(word[0], "loss") == 0;
    bool rate = strcmp(word[0], "rate") == 0;
    if (n < 1 || !decibels(&v, word[loss || rate ? 1 : 0]) || !(v > 0))
        return usage(ui);
    struct bd_sel sel = layers_of(ui, word[loss || rate ? 2 : 1]);
    if (sel.n == 0) {
        ui_warn(ui, "no layer has such a name; * stands for any letters");
        return false;
    }
    t = (struct bd_threshold){loss, v};
    return said(ui,
                rate ? bd_session_spend_planes(ui->s, sel, part, v, &err)
                     : bd_session_set_planes(ui->s, sel, part, &t, &err),
                part, &err);
}

/* ---------------------------------------------------- channels of the input
 * A column per channel, a row per plane; what the channel alone would need
 * for the threshold in force. */
struct map {
    const struct bd_plane_table *t;
    struct bd_threshold th;
    int n, rows;
};

static double plane_of(void *arg, int row, int col)
{
    const struct map *m = arg;
    if (col >= m->n)
        return (double)NAN;
    const struct bd_plane_table *t = &m->t[col];
    const struct bd_plane_row *r =
        bd_planes_choose(t, bd_threshold_need(t, &m->th), 1);
    int k = BD_PLANES - 1 - row;
    return r->mask >> k & 1 ? 0.35 + 0.65 * (k + 1) / BD_PLANES : 0;
}

static double planes_mean(const struct map *m)
{
    double sum = 0;
    for (int c = 0; c < m->n; c++)
        sum += bd_planes_choose(&m->t[c],
                                bd_threshold_need(&m->t[c], &m->th), 1)->k;
    return m->n > 0 ? sum / m->n : 0;
}

/* More channels than cells: the first ones, and how many there are. */
int ui_planes_channels(struct ui *ui, struct wg_rect r)
{
    const struct bd_tensorcfg *a =
        &bd_session_cfg(ui->s)->layer[ui->list.cur].a;
    struct bd_planes_net net;
    struct map m = {.rows = BD_PLANES};
    int lines = ui->glyphs == WG_ASCII ? BD_PLANES : BD_PLANES / 2;
    char th[48];
    if (a->quant != bd_quantizer_find("bottleneck") || a->bits >= 32 ||
        r.h < lines + 6)
        return 0;
    m.t = bd_session_plane_channels(ui->s, ui->list.cur, &m.n);
    bd_session_planes_net(&net, ui->s, BD_PART_A);
    m.th = net.now.db > 0 ? net.now : (struct bd_threshold){true, 16};
    wg_text(&ui->canvas, r, 1, 0, WG_HEADING, "planes");
    if (!m.t) {
        wg_text(&ui->canvas, r, LABEL_W, 0, WG_DIM,
                "counting the codes of the input's channels ...");
        return lines + 1;
    }
    wg_textf(&ui->canvas, r, LABEL_W, lines, WG_DIM,
             "%d input channels, each over its own range; %s: %.2f on average",
             m.n, bd_threshold_text(th, sizeof th, &m.th), planes_mean(&m));
    int room = r.w - LABEL_W - 2, cols = m.n < room ? m.n : room;
    int wide = cols > 0 && room / cols > 1 ? (room / cols > 4 ? 4
                                                               : room / cols)
                                           : 1;
    struct wg_heat h = {.rows = m.rows, .cols = cols, .cur_row = -1,
                        .cur_col = -1, .value = plane_of, .arg = &m,
                        .cell_w = wide};
    wg_heat_draw(&ui->canvas,
                 (struct wg_rect){r.x + LABEL_W, r.y, cols * wide, lines}, &h,
                 ui->glyphs);
    return lines + 2;
}
