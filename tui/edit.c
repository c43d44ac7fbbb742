/* edit.c: turning the dial.  Every change is one call of the session on
 * "the marked layers if there are any, else the cursor's"; the note line
 * then says which and how many, in the words of the undo list, so that what
 * was said and what `u` takes back are the same thing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

/* In file order, also those the filter hides: the header counts them, and
 * the note says how many were meant. */
struct bd_sel ui_selection(struct ui *ui)
{
    struct ui_list *l = &ui->list;
    size_t n = 0;
    for (int i = 0; i < l->total && l->nmarked > 0; i++)
        if (l->marked[i])
            l->sel[n++] = i;
    if (n == 0 && l->cur >= 0 && l->n > 0)
        l->sel[n++] = l->cur;
    return (struct bd_sel){l->sel, n};
}

/* The note is the undo list's newest name, so what is said is what u undoes. */
void ui_said(struct ui *ui, bd_status st, const struct bd_err *err)
{
    if (st != BD_OK) {
        ui_refuse(ui, err);
        return;
    }
    size_t now;
    uint64_t before = ui->digest;
    bd_session_history(ui->s, &now);
    ui_changed(ui);
    if (ui->digest == before) /* the last step is not about this key */
        ui_say(ui, "nothing to change: it is so already");
    else if (now > 0)
        ui_say(ui, "%s", bd_session_history_at(ui->s, now - 1));
}

void ui_set_bits(struct ui *ui, struct bd_sel sel, enum bd_part part,
                 int bits)
{
    struct bd_err err = {0};
    ui_said(ui, bd_session_set_bits(ui->s, sel, part, bits, &err), &err);
}

/* A filter can leave nothing to act on; say how to get the layers back. */
static bool nothing(struct ui *ui, struct bd_sel sel)
{
    if (sel.n == 0)
        ui_warn(ui, "no layer is shown; \\ then Enter clears the filter");
    return sel.n == 0;
}

static void step(struct ui *ui, int by)
{
    struct bd_err err = {0};
    struct bd_sel sel = ui_selection(ui);
    if (nothing(ui, sel))
        return;
    ui_said(ui, bd_session_step_bits(ui->s, sel, BD_PART_W, by, &err), &err);
}

/* ------------------------------------------------------------ typed bits */
static void typed(struct ui *ui, const char *text, enum bd_part part)
{
    int64_t bits;
    if (!*text)
        return;
    if (strcmp(text, "float") == 0 || strcmp(text, "fp") == 0)
        bits = 32;
    else if (!bd_parse_int(&bits, text, 1, 32)) {
        ui_warn(ui, "'%s': bits are 1 to 16, or 32 for float", text);
        return;
    }
    ui_set_bits(ui, ui_selection(ui), part, (int)bits);
}

static void typed_w(struct ui *ui, const char *text)
{
    typed(ui, text, BD_PART_W);
}

static void typed_a(struct ui *ui, const char *text)
{
    typed(ui, text, BD_PART_A);
}

/* Asks with the number of layers in the question: the answer is for all. */
static void ask_bits(struct ui *ui, enum bd_part part)
{
    char label[64];
    struct bd_sel sel = ui_selection(ui);
    if (nothing(ui, sel))
        return;
    const char *what = part == BD_PART_W ? "weight" : "input";
    if (ui->list.nmarked)
        snprintf(label, sizeof label, "%s bits for %zu marked layers: ",
                 what, sel.n);
    else
        snprintf(label, sizeof label, "%s bits: ", what);
    ui_prompt_open(ui, &(struct ui_ask){
                           .label = label,
                           .done = part == BD_PART_W ? typed_w : typed_a});
}

/* --------------------------------------------------------------- cycles */
/* The next row of the quantizer table that weights may use. */
static void cycle_method(struct ui *ui, int dir)
{
    const struct bd_quantizer *const *q = bd_quantizers();
    struct bd_err err = {0};
    struct bd_sel sel = ui_selection(ui);
    int n = 0;
    if (nothing(ui, sel))
        return;
    while (q[n])
        n++;
    int row = bd_session_cfg(ui->s)->layer[sel.layer[0]].w.quant;
    for (int i = 0; i < n; i++) {
        row = (row + dir + n) % n;
        if (q[row]->traits & BD_Q_WEIGHTS)
            break;
    }
    ui_said(ui, bd_session_set_method(ui->s, sel, BD_PART_W, row, &err),
            &err);
}

/* `manual` is reached by { and }, `learned` only where a clip came along, and
 * moving averages are of activations (:aclip). */
static enum bd_clip_rule next_clip(enum bd_clip_rule now, bool learned)
{
    switch (now) {
    case BD_CLIP_MAX:
        return BD_CLIP_PERCENTILE;
    case BD_CLIP_PERCENTILE:
        return BD_CLIP_MSE;
    case BD_CLIP_MSE:
        return BD_CLIP_KL;
    case BD_CLIP_KL:
        return BD_CLIP_ACIQ;
    case BD_CLIP_ACIQ:
        return learned ? BD_CLIP_LEARNED : BD_CLIP_MAX;
    case BD_CLIP_EMA:
    case BD_CLIP_MANUAL:
    case BD_CLIP_LEARNED:
        break;
    }
    return BD_CLIP_MAX;
}

/* The first layer of the selection leads; the others follow it, so that a
 * mixed selection becomes one. */
static void cycle_clip(struct ui *ui)
{
    struct bd_err err = {0};
    struct bd_sel sel = ui_selection(ui);
    if (nothing(ui, sel))
        return;
    const struct bd_layer *l = &bd_session_model(ui->s)->layer[sel.layer[0]];
    const struct bd_tensorcfg *w =
        &bd_session_cfg(ui->s)->layer[sel.layer[0]].w;
    const struct bd_quantizer *q = bd_quantizer_at(w->quant);
    if (w->bits < 32 && (q->traits & BD_Q_NO_CLIP)) {
        ui_warn(ui, "'%s' takes its scale from the weights: no clip to "
                    "choose; m changes the method", q->name);
        return;
    }
    enum bd_clip_rule rule =
        next_clip((enum bd_clip_rule)w->clip, !isnan(l->learned_w));
    float value = rule == BD_CLIP_PERCENTILE ? 99.9f : 0;
    ui_said(ui,
            bd_session_set_clip(ui->s, sel, BD_PART_W,
                                (struct bd_clip_choice){rule, value}, &err),
            &err);
}

/* tensor, channel, groups (of the method's own size, or 128), and round
 * again. */
static void cycle_grain(struct ui *ui)
{
    struct bd_err err = {0};
    struct bd_sel sel = ui_selection(ui);
    if (nothing(ui, sel))
        return;
    const struct bd_tensorcfg *w =
        &bd_session_cfg(ui->s)->layer[sel.layer[0]].w;
    enum bd_grain grain = (enum bd_grain)((w->grain + 1) % 3);
    int own = bd_quantizer_at(w->quant)->group;
    int group = grain == BD_GRAIN_GROUP ? (own > 0 ? own : 128) : 0;
    ui_said(ui,
            bd_session_set_grain(ui->s, sel, BD_PART_W,
                                 (struct bd_grain_choice){grain, group}, &err),
            &err);
}

/* The clip by hand: from whatever it is now, a little up or down. */
static void nudge_clip(struct ui *ui, double factor)
{
    struct bd_err err = {0};
    int cur = ui->list.cur;
    if (cur < 0)
        return;
    struct bd_layer_view v;
    bd_session_layer(&v, ui->s, cur);
    const struct bd_tensorcfg *w = &bd_session_cfg(ui->s)->layer[cur].w;
    /* A held key outruns the lane: then the last value typed counts. */
    double now = w->clip == BD_CLIP_MANUAL ? (double)w->clip_value
                 : v.fresh == BD_EXACT     ? v.w.clip
                                           : 0;
    if (!(now > 0)) {
        ui_warn(ui, w->bits >= 32 ? "a float layer has no clip; b sets bits"
                                  : "the clip is not known yet");
        return;
    }
    ui_said(ui,
            bd_session_set_clip(ui->s, (struct bd_sel){&cur, 1}, BD_PART_W,
                                (struct bd_clip_choice){
                                    BD_CLIP_MANUAL, (float)(now * factor)},
                                &err),
            &err);
}

/* Names what was undone; redo names what is back. */
static void undo(struct ui *ui, bool redo)
{
    size_t before, after;
    bd_session_history(ui->s, &before);
    bool ok = redo ? bd_session_redo(ui->s) : bd_session_undo(ui->s);
    if (!ok) {
        ui_say(ui, redo ? "nothing to redo" : "nothing to undo");
        return;
    }
    bd_session_history(ui->s, &after);
    ui_changed(ui);
    size_t which = redo ? after : before;
    ui_say(ui, "%s: %s", redo ? "again" : "undone",
           which ? bd_session_history_at(ui->s, which - 1) : "");
}

/* The first press starts in the middle, where the weights are. */
static void move_level(struct ui *ui, int by)
{
    struct bd_grid_view g;
    bd_session_grid(&g, ui->s, ui->list.cur, 0);
    if (ui->list.cur < 0 || g.n == 0) {
        ui_warn(ui, "this layer has no grid yet");
        return;
    }
    int n = (int)g.n;
    if (ui->level < 0)
        ui->level = by > 0 ? n / 2 - 1 : n / 2 + 1;
    ui->level += by;
    if (ui->level < 0)
        ui->level = 0;
    if (ui->level >= n)
        ui->level = n - 1;
}

/* Flat dispatch: one call per action. */
bool ui_edit(struct ui *ui, enum ui_action a, int count)
{
    switch ((int)a) {
    case UI_BITS_UP:
        return step(ui, count), true;
    case UI_BITS_DOWN:
        return step(ui, -count), true;
    case UI_BITS:
        return ask_bits(ui, BD_PART_W), true;
    case UI_ABITS:
        return ask_bits(ui, BD_PART_A), true;
    case UI_METHOD:
        return cycle_method(ui, 1), true;
    case UI_METHOD_BACK:
        return cycle_method(ui, -1), true;
    case UI_CLIP:
        return cycle_clip(ui), true;
    case UI_GRAIN:
        return cycle_grain(ui), true;
    case UI_CLIP_UP:
        return nudge_clip(ui, 1.02), true;
    case UI_CLIP_DOWN:
        return nudge_clip(ui, 1 / 1.02), true;
    case UI_LEVEL_NEXT:
        return move_level(ui, count), true;
    case UI_LEVEL_PREV:
        return move_level(ui, -count), true;
    case UI_PSNR_DOWN:
        return ui_planes_step(ui, -count), true;
    case UI_PSNR_UP:
        return ui_planes_step(ui, count), true;
    case UI_UNDO:
        return undo(ui, false), true;
    case UI_REDO:
        return undo(ui, true), true;
    default:
        return false;
    }
}
