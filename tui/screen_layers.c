/* screen_layers.c: where do the bits and the damage sit?  The table of
 * layers; on large terminals the cursor's layer beside it, and the log
 * below.  The table pulls its cells, so ten thousand layers cost what is on
 * screen. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { WIDE_W = 118, WIDE_H = 30, HUGE_W = 190, HUGE_H = 50, LOG_H = 6,
       DETAIL_H = 27, STRIPS_H = 5, TABLE_H = 14, NOISE_W = 5,
       SPARK_SMALL = 8, SPARK_WIDE = 20, NAME_W = 16, NAME_MAX = 28,
       LIST_W = 66, LIST_HUGE = 104, PANE_W = 46,
       BOTH_W = 88 };

enum column { C_MARK, C_NAME, C_OP, C_SHAPE, C_W, C_A, C_METHOD, C_PSNR,
              C_KB, C_PLANES, C_NOISE, C_SENS, C_SPARK, C_COLUMNS };

/* Columns leave in the order of `leave`; the name never does. */
static const struct wg_column columns[C_COLUMNS] = {
    [C_MARK] = {"", 2, 2, 0, false, false},
    [C_NAME] = {"layer", NAME_W, NAME_MAX, 0, false, true},
    [C_OP] = {"op", 4, 6, 1, false, false},
    [C_SHAPE] = {"shape", 12, 13, 2, false, false},
    [C_W] = {"W", 3, 3, 0, true, false},
    [C_A] = {"A", 3, 3, 0, true, false},
    [C_METHOD] = {"method", 7, 7, 5, false, false},
    [C_PSNR] = {"PSNR", 5, 6, 0, true, false},
    [C_KB] = {"KB", 6, 7, 6, true, false},
    [C_PLANES] = {"planes", 8, 8, 0, false, false},
    [C_NOISE] = {"noise", NOISE_W, NOISE_W, 4, false, false},
    [C_SENS] = {"sens", NOISE_W, NOISE_W, 0, false, false},
    [C_SPARK] = {"weights", SPARK_SMALL + 1, SPARK_SMALL + 1, 3, false,
                 false},
};

struct layers {
    int seen_top, seen_n, seen_h; /* what the session was told last */
    struct wg_cell spark[SPARK_WIDE]; /* of the cell being drawn */
    int spark_w;
    struct wg_column col[C_COLUMNS]; /* `columns` for this width */
    double noisy_sqnr; /* dB; layers below it stand out */
    double sens_most, sens_high; /* largest loss; those above stand out */
};

/* ------------------------------------------------------------ rectangles */
struct panes {
    struct wg_rect list, detail, log; /* w or h 0: not there */
};

/* Cells the longest name asks for, within reason. */
static int name_width(const struct ui *ui)
{
    const struct bd_model *m = bd_session_model(ui->s);
    int most = NAME_W;
    for (size_t i = 0; i < m->nlayers && most < NAME_MAX; i++) {
        char name[96];
        int w = wg_width(bd_text_show(name, sizeof name, m->layer[i].name, 60));
        most = w > most ? w : most;
    }
    return most < NAME_MAX ? most : NAME_MAX;
}

/* The list gets what its columns need before the pane beside it grows: a
 * name cut in the middle may be any of three layers. */
static int list_width(const struct ui *ui, int w)
{
    if (ui->split.list_w)
        return ui->split.list_w;
    if (w >= HUGE_W)
        return LIST_HUGE;
    int list = LIST_W + name_width(ui) - NAME_W;
    return list > w - PANE_W - 2 ? w - PANE_W - 2 : list;
}

/* Rectangles from the size, the names, the person's split and zoom. */
static struct panes panes_of(const struct ui *ui, struct wg_rect b)
{
    struct panes p = {.list = b};
    if (b.w < WIDE_W || b.h < WIDE_H || ui->split.zoomed)
        return p;
    int list = list_width(ui, b.w);
    if (list > b.w - 40)
        list = b.w - 40;
    if (list < 40)
        list = 40;
    bool huge = b.w >= HUGE_W && b.h >= HUGE_H - 6;
    int log = huge ? LOG_H : 0;
    p.list = (struct wg_rect){b.x, b.y, list, b.h - log};
    p.detail = (struct wg_rect){b.x + list + 2, b.y, b.w - list - 2,
                                b.h - log};
    p.log = (struct wg_rect){b.x, b.y + b.h - log, b.w, log};
    return p;
}

/* ----------------------------------------------------------------- cells */
static void text_cell(struct wg_table_cell *out, enum wg_role role,
                      const char *text)
{
    out->role = role;
    snprintf(out->text, sizeof out->text, "%s", text);
}

/* Noise against signal as a bar: 50 dB and better is empty, 5 dB full.  One
 * calm colour, and another for the few that stand out: length is absolute,
 * colour is relative, or eight layers at 3 bits would all be an alarm. */
static void noise_cell(struct wg_table_cell *out, const struct layers *st,
                       const struct ui *ui, const struct bd_layer_view *v)
{
    double f = (50 - v->w.sqnr_db) / 45;
    if (v->fresh == BD_ABSENT || isnan(f) || f <= 0)
        return;
    int n = (int)ceil((f > 1 ? 1 : f) * NOISE_W);
    const char *block = ui->glyphs == WG_ASCII ? "#" : "\xe2\x96\xa0";
    out->text[0] = 0;
    for (int i = 0; i < n; i++)
        strncat(out->text, block, sizeof out->text - strlen(out->text) - 1);
    out->role = v->fresh == BD_STALE           ? WG_STALE
                : v->w.sqnr_db < st->noisy_sqnr ? WG_WARN
                                                : WG_SPARK;
}

/* Measured loss as a bar, against the layer that loses most; dim where the
 * layer is in float and 4 bits are meant, pale while the sweep runs. */
static void sens_cell(struct wg_table_cell *out, const struct layers *st,
                      const struct ui *ui, int layer)
{
    const struct bd_sens_table *t = bd_session_sens(ui->s);
    const char *block = ui->glyphs == WG_ASCII ? "#" : "\xe2\x96\xa0";
    struct bd_sens_view v;
    bd_session_sens_of(&v, ui->s, layer);
    if (!t || !(v.loss > 0) || !(st->sens_most > 0))
        return;
    int n = (int)ceil(v.loss / st->sens_most * NOISE_W - 0.1);
    out->text[0] = 0;
    for (int i = 0; i < n && i < NOISE_W; i++)
        strncat(out->text, block, sizeof out->text - strlen(out->text) - 1);
    out->role = !t->complete && bd_session_sweeping(ui->s) ? WG_STALE
                : v.loss > st->sens_high                   ? WG_WARN
                : !v.here                                  ? WG_DIM
                                                           : WG_SPARK;
}

static void spark_cell(struct wg_table_cell *out, struct layers *st,
                       const struct ui *ui, const struct bd_layer_view *v)
{
    if (!v->bins)
        return;
    /* Only the middle of the range: tails are visible on screen 2. */
    wg_spark(st->spark, st->spark_w, v->bins + 16, BD_VIEW_BINS - 32,
             ui->glyphs);
    out->cells = st->spark;
    out->ncells = st->spark_w;
}

static void bits_cell(struct wg_table_cell *out, const struct bd_tensorcfg *c)
{
    char text[16];
    ui_fmt_bits(text, sizeof text, c);
    text_cell(out, c->bits >= 32 ? WG_DIM : WG_NUMBER, text);
}

/* The short name where the long one would be cut. */
static const char *method_name(const struct ui *ui,
                               const struct bd_tensorcfg *w)
{
    const struct layers *st = ui->state[UI_LAYERS];
    const struct bd_quantizer *q = bd_quantizer_at(w->quant);
    if (w->bits >= 32)
        return "-";
    return q->alias && wg_width(q->name) > st->col[C_METHOD].min ? q->alias
                                                                 : q->name;
}

/* The columns that say which layer this is. */
static void name_cells(const struct ui *ui, int layer, enum column col,
                       const struct bd_layer_view *v,
                       struct wg_table_cell *out)
{
    const struct bd_model *m = bd_session_model(ui->s);
    const struct bd_layer *l = &m->layer[layer];
    char text[96];
    if (col == C_MARK) {
        snprintf(text, sizeof text, "%s%s", v->failed ? "!" : " ",
                 ui->list.marked[layer] ? "*" : " ");
        text_cell(out, v->failed ? WG_BAD : WG_MARK, text);
    } else if (col == C_NAME) {
        bd_text_show(out->text, sizeof out->text, l->name, 60);
        out->role = WG_TEXT; /* the * says it; a hundred amber names shout */
    } else if (col == C_OP) {
        bd_text_show(text, sizeof text,
                     l->node >= 0 ? m->node[l->node].op : "", 8);
        text_cell(out, WG_DIM, text);
    } else {
        bd_shape_text(text, sizeof text, &m->value[l->weight].t);
        text_cell(out, WG_DIM, text);
    }
}

/* One cell on demand.  The view is borrowed and cheap to ask for again. */
static void cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    struct ui *ui = arg;
    struct layers *st = ui->state[UI_LAYERS];
    int layer = ui->list.row[row];
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[layer];
    struct bd_layer_view v;
    char text[32];
    bd_session_layer(&v, ui->s, layer);
    switch ((enum column)col) {
    case C_MARK:
    case C_NAME:
    case C_OP:
    case C_SHAPE:
        name_cells(ui, layer, (enum column)col, &v, out);
        break;
    case C_W:
        bits_cell(out, &c->w);
        break;
    case C_A:
        bits_cell(out, &c->a);
        break;
    case C_METHOD:
        text_cell(out, c->w.bits < 32 ? WG_TEXT : WG_DIM,
                  method_name(ui, &c->w));
        break;
    case C_PSNR:
        ui_fmt_db(text, sizeof text,
                  c->w.bits < 32 ? v.fresh : BD_ABSENT, v.w.psnr_db);
        text_cell(out, ui_fresh_role(v.fresh), text);
        break;
    case C_KB:
        snprintf(text, sizeof text, "%.1f",
                 (double)bd_stored_bits(bd_session_model(ui->s), layer,
                                        &c->w) / 8192);
        text_cell(out, WG_NUMBER, text);
        break;
    case C_PLANES:
        out->role = ui_planes_cell(out->text, sizeof out->text, ui, layer);
        break;
    case C_NOISE:
        if (c->w.bits < 32)
            noise_cell(out, st, ui, &v);
        break;
    case C_SENS:
        sens_cell(out, st, ui, layer);
        break;
    case C_SPARK:
        spark_cell(out, st, ui, &v);
        break;
    case C_COLUMNS:
        break;
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A layer stands out when its noise has twice the amplitude (6 dB) of the
 * median layer's.  Of very many layers a sample tells the median. */
static double noisy_below(const struct ui *ui)
{
    enum { SAMPLE = 512 };
    double db[SAMPLE];
    size_t n = 0;
    int all = ui->list.total, stride = all / SAMPLE + 1;
    for (int i = 0; i < all; i += stride) {
        struct bd_layer_view v;
        bd_session_layer(&v, ui->s, i);
        if (v.fresh != BD_ABSENT && isfinite(v.w.sqnr_db))
            db[n++] = v.w.sqnr_db;
    }
    qsort(db, n, sizeof *db, by_size);
    return n >= 3 ? db[n / 2] - 6 : -INFINITY;
}

/* A layer stands out when it loses twice what the median layer does. */
static void sens_scale(struct layers *st, const struct ui *ui)
{
    enum { SAMPLE = 512 };
    double loss[SAMPLE];
    size_t n = 0;
    st->sens_most = st->sens_high = 0;
    if (!bd_session_sens(ui->s))
        return;
    for (int i = 0; i < ui->list.total; i++) {
        struct bd_sens_view v;
        bd_session_sens_of(&v, ui->s, i);
        if (!(v.loss > 0))
            continue;
        st->sens_most = v.loss > st->sens_most ? v.loss : st->sens_most;
        if (n < SAMPLE)
            loss[n++] = v.loss;
    }
    qsort(loss, n, sizeof *loss, by_size);
    st->sens_high = n >= 3 ? 2 * loss[n / 2] : INFINITY;
}

/* ----------------------------------------------------------------- table */
static int sorted_column(const struct ui *ui)
{
    static const int col[UI_ORDERS] = {
        [UI_BY_POSITION] = -1,     [UI_BY_NAME] = C_NAME,
        [UI_BY_BITS] = C_W,        [UI_BY_ABITS] = C_A,
        [UI_BY_METHOD] = C_METHOD, [UI_BY_PSNR] = C_PSNR,
        [UI_BY_NOISE] = C_NOISE,   [UI_BY_SIZE] = C_KB,
        [UI_BY_PARAMS] = C_SHAPE,  [UI_BY_SENS] = C_SENS,
    };
    return col[ui->list.order];
}

/* Cells the longest name of a method in use asks for. */
static int method_width(const struct ui *ui)
{
    const struct bd_bitcfg *c = bd_session_cfg(ui->s);
    int most = columns[C_METHOD].want;
    for (size_t i = 0; i < c->n; i++) {
        const struct bd_tensorcfg *w = &c->layer[i].w;
        int n = w->bits < 32 ? wg_width(bd_quantizer_at(w->quant)->name) : 0;
        most = n > most ? n : most;
    }
    return most;
}

/* A table is made afresh for each drawing: it holds no rows. */
static struct wg_table table_of(struct ui *ui, int width)
{
    struct layers *st = ui->state[UI_LAYERS];
    st->spark_w = width >= 96 ? SPARK_WIDE : SPARK_SMALL;
    memcpy(st->col, columns, sizeof columns);
    if (width >= 96)
        st->col[C_METHOD].min = st->col[C_METHOD].want = method_width(ui);
    /* Measured losses take the place of noise, once there are any; with room
     * both are shown. */
    if (!ui_planes_used(ui))
        st->col[C_PLANES].min = -1;
    if (!bd_session_sens(ui->s))
        st->col[C_SENS].min = -1;
    else if (width < BOTH_W)
        st->col[C_NOISE].min = -1;
    st->col[C_SPARK].min = st->col[C_SPARK].want = st->spark_w + 1;
    if (width < ui->frame.body.w) { /* op and shape stand in the pane */
        int name = name_width(ui), most = width - 40 + NAME_W;
        st->col[C_NAME].min = name < most ? name : most;
        if (st->col[C_NAME].min < NAME_W)
            st->col[C_NAME].min = NAME_W;
    }
    return (struct wg_table){
        .col = st->col, .ncol = C_COLUMNS, .nrow = ui->list.n,
        .top = ui->list.top, .cursor = ui->list.at,
        .sort_col = sorted_column(ui), .sort_down = ui->list.reverse,
        .cell = cell, .arg = ui};
}

/* Tells the session which layers to compute first, when that changed. */
static void tell_visible(struct ui *ui, struct layers *st, int h)
{
    const struct ui_list *l = &ui->list;
    if (st->seen_top == l->top && st->seen_n == l->n && st->seen_h == h)
        return;
    st->seen_top = l->top;
    st->seen_n = l->n;
    st->seen_h = h;
    int n = l->n - l->top < h ? l->n - l->top : h;
    if (n > 0)
        bd_session_visible(ui->s, l->row + l->top, (size_t)n);
}

/* The cursor is brought into view first, then told to the session, whose
 * lanes take visible rows before others. */
static void draw_table(struct ui *ui, struct layers *st, struct wg_rect r)
{
    ui_list_scroll(&ui->list, r.h - 1);
    st->noisy_sqnr = noisy_below(ui);
    sens_scale(st, ui);
    struct wg_table t = table_of(ui, r.w);
    wg_table_draw(&ui->canvas, r, &t, ui->glyphs);
    tell_visible(ui, st, r.h - 1);
    if (ui->list.n == 0)
        wg_text(&ui->canvas, r, 3, 2, WG_DIM,
                ui->list.total ? "no layer matches the filter"
                               : "no quantizable layers in this file");
}

static void draw_filter(struct ui *ui, struct wg_rect r)
{
    if (!ui->list.filter.n || r.h < 1)
        return;
    char text[300];
    snprintf(text, sizeof text, "filter: %s   %d of %d",
             ui->list.filter.text, ui->list.n, ui->list.total);
    wg_text(&ui->canvas, r, 1, 0, WG_MATCH, text);
}

/* The newest lines: what just happened stands at the bottom. */
static void draw_log(struct ui *ui, struct wg_rect r)
{
    const char *line = NULL;
    size_t n = bd_session_log(ui->s, 0, &line);
    if (r.h < 2)
        return;
    wg_text(&ui->canvas, r, 1, 0, WG_HEADING, "log");
    size_t room = (size_t)r.h - 1, from = n > room ? n - room : 0;
    for (size_t i = from; i < n; i++) {
        bd_session_log(ui->s, i, &line);
        wg_text(&ui->canvas, (struct wg_rect){r.x, r.y, r.w - 1, r.h}, 1,
                (int)(i - from) + 1, WG_DIM, line ? line : "");
    }
}

static void draw_divider(struct ui *ui, struct wg_rect r)
{
    uint32_t ch = ui->glyphs == WG_ASCII ? '|' : 0x2502;
    for (int y = 0; y < r.h; y++)
        wg_put(&ui->canvas, r, 0, y,
               (struct wg_cell){ch, 0, WG_FRAME, WG_TEXT});
}

/* The layer, and below it what its channels look like when there is room:
 * a picture higher than it is wide says no more than a lower one. */
static void draw_detail(struct ui *ui, struct wg_rect r)
{
    int high = r.h;
    if (high > DETAIL_H)
        high = r.h - STRIPS_H > DETAIL_H && r.h < DETAIL_H + TABLE_H
                   ? r.h - STRIPS_H
                   : DETAIL_H;
    ui_detail_draw(ui, (struct wg_rect){r.x, r.y, r.w, high}, ui->list.cur);
    ui_channels_pane(ui, (struct wg_rect){r.x, r.y + high + 1, r.w,
                                          r.h - high - 1});
}

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct panes p = panes_of(ui, body);
    struct wg_rect list = p.list;
    if (ui->list.filter.n) { /* the filter stands where it acts */
        draw_filter(ui, (struct wg_rect){list.x, list.y + list.h - 1,
                                         list.w, 1});
        list.h--;
    }
    draw_table(ui, state, list);
    if (p.detail.w > 0 && ui->list.at >= 0) {
        draw_divider(ui, (struct wg_rect){p.detail.x - 1, p.detail.y, 1,
                                          p.detail.h});
        draw_detail(ui, p.detail);
    }
    if (p.log.h > 0)
        draw_log(ui, p.log);
}

/* --------------------------------------------------------------- actions */
static void resize_split(struct ui *ui, int by)
{
    struct panes p = panes_of(ui, ui->frame.body);
    if (p.detail.w == 0) {
        ui_say(ui, "the list stands alone below %dx%d", WIDE_W + 2, 40);
        return;
    }
    ui->split.list_w = p.list.w + by;
    if (ui->split.list_w < 40)
        ui->split.list_w = 40;
    if (ui->split.list_w > ui->frame.body.w - 40)
        ui->split.list_w = ui->frame.body.w - 40;
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    (void)state;
    (void)count;
    switch ((int)a) {
    case UI_OPEN:
        if (ui->list.at >= 0)
            ui_goto(ui, UI_LAYER, true);
        return true;
    case UI_ZOOM:
        ui->split.zoomed = !ui->split.zoomed;
        return true;
    case UI_NARROWER:
        return resize_split(ui, -4), true;
    case UI_WIDER:
        return resize_split(ui, 4), true;
    default:
        return false;
    }
}

/* A second click on the same heading turns the order round. */
static void sort_by_column(struct ui *ui, int col)
{
    static const int order[C_COLUMNS] = {
        [C_MARK] = UI_BY_POSITION, [C_NAME] = UI_BY_NAME,
        [C_OP] = UI_BY_POSITION,   [C_SHAPE] = UI_BY_PARAMS,
        [C_W] = UI_BY_BITS,        [C_A] = UI_BY_ABITS,
        [C_METHOD] = UI_BY_METHOD, [C_PSNR] = UI_BY_PSNR,
        [C_KB] = UI_BY_SIZE,       [C_NOISE] = UI_BY_NOISE,
        [C_PLANES] = UI_BY_ABITS,
        [C_SENS] = UI_BY_SENS,     [C_SPARK] = UI_BY_POSITION,
    };
    enum ui_order to = (enum ui_order)order[col];
    if (to == ui->list.order)
        ui->list.reverse = !ui->list.reverse;
    else
        ui->list.reverse = false;
    ui->list.order = to;
    ui_changed(ui);
}

/* The wheel over a W cell turns its bits, elsewhere it moves the cursor. */
static void wheel(struct ui *ui, int row, int col, int dir)
{
    if (row >= 0 && col == C_W) {
        ui_list_to_row(&ui->list, row);
        ui_do(ui, dir < 0 ? UI_BITS_UP : UI_BITS_DOWN, 1);
    } else {
        ui_list_move(&ui->list, 3 * dir);
    }
}

/* The first click chooses, the second acts: nothing changes by pointing. */
static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    (void)state;
    struct wg_rect list = panes_of(ui, body).list;
    struct wg_table t = table_of(ui, list.w);
    int col = -1;
    int row = wg_table_hit(&t, list, m.x, m.y, &col);
    if (m.what == WG_WHEEL_UP || m.what == WG_WHEEL_DOWN) {
        wheel(ui, row, col, m.what == WG_WHEEL_UP ? -1 : 1);
    } else if (row == -1 && col >= 0) {
        sort_by_column(ui, col);
    } else if (row >= 0) {
        bool again = row == ui->list.at;
        ui_list_to_row(&ui->list, row);
        if (m.what == WG_CTRL_CLICK)
            ui_list_mark(&ui->list, ui->list.cur,
                         !ui->list.marked[ui->list.cur]);
        else if (again && col == C_METHOD)
            ui_do(ui, UI_METHOD, 1);
        else if (again && col == C_NAME)
            ui_do(ui, UI_OPEN, 1);
    }
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},     {UI_OPEN, "look"},      {UI_BITS_UP, "more"},
    {UI_BITS_DOWN, "less"}, {UI_BITS, "bits"},     {UI_METHOD, "method"},
    {UI_MARK, "mark"},     {UI_SORT, "sort"},      {UI_FIND, "find"},
    {UI_FILTER, "filter"}, {UI_UNDO, "undo"},      {UI_COMMAND, "command"},
    {UI_CLIP, "clip"},     {UI_QUIT, "quit"},      {UI_NONE, NULL},
};

const struct ui_screen ui_screen_layers = {
    .key = "1", .name = "Layers", .on = ON_LAYERS,
    .state_size = sizeof(struct layers), .keys = keys,
    .draw = draw, .action = action, .mouse = mouse,
};
