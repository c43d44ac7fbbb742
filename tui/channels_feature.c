/* channels_feature.c: the channels of the feature at a split, the second face
 * of screen Channels.  A map of widths against channels, coloured by the
 * error each would leave, with the present width of every channel on it; and
 * below it the output's error going down as the refinement runs.
 *
 * The session computes on its long lane; here is only what was last asked for
 * (ui->feature), so that + and - have something to step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { LABEL_W = 8, MAX_CELL_W = 4, MAP_H = BD_FEATURE_WIDTHS, PLOT_H = 5,
       PLOT_W = 100, RUNS = 200 };
static const double half_a_bit = 0.5;

/* What one drawing needs; made afresh each time. */
struct view {
    struct bd_feature_view f;
    int n, per_line, cell_w, first; /* of the map */
    int split;                      /* heat rows per line */
    double lo, hi;                  /* errors of the table above 0 */
};

static double wanted(const struct ui *ui)
{
    return ui->feature.avg > 0 ? ui->feature.avg : 4;
}

/* ----------------------------------------------------------- asking for it */
static bool start(struct ui *ui, const char *split)
{
    struct bd_err err = {0};
    struct bd_feature_ask ask = {
        .lab = {.split = split,
                .kind = (enum bd_feature_kind)ui->feature.kind},
        .solve = {.avg_bits = wanted(ui), .p = {0.9, 0.1}},
        .runs = ui->feature.runs > 0 ? ui->feature.runs : RUNS};
    if (bd_session_feature_start(ui->s, &ask, &err) != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    ui->feature.on = true;
    return true;
}

/* The split there is, or the cursor's layer. */
static bool again(struct ui *ui)
{
    struct bd_feature_view f;
    if (bd_session_feature(&f, ui->s))
        return start(ui, f.split);
    return false;
}

static void split_here(struct ui *ui)
{
    const struct bd_model *m = bd_session_model(ui->s);
    if (ui->list.at < 0) {
        ui_warn(ui, "no layer is shown");
        return;
    }
    if (start(ui, m->layer[ui->list.cur].name) && ui->screen != UI_CHANNELS)
        ui_goto(ui, UI_CHANNELS, true);
}

static void turn(struct ui *ui, double by)
{
    double avg = wanted(ui) + by;
    avg = avg < half_a_bit ? half_a_bit : avg;
    ui->feature.avg = avg > BD_FEATURE_MOST ? BD_FEATURE_MOST : avg;
    again(ui);
}

static bool set_average(struct ui *ui, const char *text)
{
    double v;
    char shown[64];
    if (!bd_parse_double(&v, text) || !(v > 0) || v > BD_FEATURE_MOST) {
        ui_warn(ui, "'%s': bits on average are above 0, at most 8",
                bd_text_show(shown, sizeof shown, text, 20));
        return false;
    }
    ui->feature.avg = v;
    return true;
}

static void typed(struct ui *ui, const char *text)
{
    if (*text && set_average(ui, text))
        again(ui);
}

/* :feature [LAYER] [BITS [RUNS]] */
bool ui_feature_command(struct ui *ui, const char *args)
{
    char split[160] = "", bits[32] = "", runs[32] = "", more[8] = "";
    int64_t k = RUNS;
    int n = sscanf(args, "%159s %31s %31s %7s", split, bits, runs, more);
    if (n < 1) {
        split_here(ui);
        return ui->feature.on;
    }
    if (n > 3 || (n > 2 && !bd_parse_int(&k, runs, 0, 1000000))) {
        ui_warn(ui, "takes LAYER BITS RUNS, as in :feature conv2 3 200");
        return false;
    }
    if (n > 1 && !set_average(ui, bits))
        return false;
    ui->feature.runs = k;
    if (!start(ui, split))
        return false;
    if (ui->screen != UI_CHANNELS)
        ui_goto(ui, UI_CHANNELS, true);
    return true;
}

/* ------------------------------------------------------------------ the map */
static void scales(struct view *v)
{
    const struct bd_qtable *t = &v->f.lab->t;
    v->lo = INFINITY;
    for (int64_t c = 0; c < t->channels; c++)
        for (int b = 0; b < BD_FEATURE_WIDTHS; b++) {
            double e = t->c[c].mse[b];
            v->hi = fmax(v->hi, e);
            if (e > 0)
                v->lo = fmin(v->lo, e);
        }
}

static struct view view_of(struct ui *ui, int w)
{
    struct view v = {.split = ui->glyphs == WG_ASCII ? 1 : 2};
    int *cur = &ui->feature.cur;
    bd_session_feature(&v.f, ui->s);
    if (!v.f.lab)
        return v;
    v.n = (int)v.f.lab->t.channels;
    *cur = *cur >= v.n ? v.n - 1 : *cur < 0 ? 0 : *cur;
    int room = w - LABEL_W - 3;
    room = room < 1 ? 1 : room;
    v.cell_w = room / v.n;
    v.cell_w = v.cell_w < 1 ? 1 : v.cell_w > MAX_CELL_W ? MAX_CELL_W : v.cell_w;
    v.per_line = room / v.cell_w < v.n ? room / v.cell_w : v.n;
    v.first = *cur / v.per_line * v.per_line;
    scales(&v);
    return v;
}

/* Rows from 8 bits down to none; the scale is logarithmic, as bits are. */
static double error_at(void *arg, int row, int col)
{
    const struct view *v = arg;
    int c = v->first + col, b = BD_FEATURE_MOST - row / v->split;
    if (c >= v->n)
        return (double)NAN;
    double e = v->f.lab->t.c[c].mse[b];
    if (!(e > 0) || !(v->hi > v->lo))
        return 0;
    return log(e / v->lo) / log(v->hi / v->lo);
}

/* The width in force, as its digit on the map. */
static void put_widths(struct ui *ui, struct wg_rect map, const struct view *v)
{
    for (int i = 0; i < v->per_line && v->first + i < v->n; i++) {
        int c = v->first + i, b = v->f.bits[c];
        struct wg_cell cell = {.ch = (uint32_t)('0' + b)};
        cell.fg = (uint8_t)(v->f.fresh == BD_STALE ? WG_STALE : WG_TEXT);
        if (c == ui->feature.cur)
            cell.fg = cell.bg = WG_CURSOR;
        for (int k = 0; k < (v->cell_w > 1 ? v->cell_w - 1 : 1); k++) {
            wg_put(&ui->canvas, map, i * v->cell_w + k, BD_FEATURE_MOST - b,
                   cell);
            cell.ch = ' ';
        }
    }
}

static void draw_map(struct ui *ui, struct wg_rect r, struct view *v)
{
    struct wg_rect map = {r.x + LABEL_W, r.y, v->per_line * v->cell_w, MAP_H};
    struct wg_heat h = {.rows = MAP_H * v->split, .cols = v->per_line,
                        .cur_row = -1, .cur_col = -1, .value = error_at,
                        .arg = v, .cell_w = v->cell_w};
    map.h = r.h < MAP_H ? r.h : MAP_H;
    for (int b = 0; b <= BD_FEATURE_MOST; b++)
        wg_textf(&ui->canvas, r, 1, BD_FEATURE_MOST - b, WG_DIM, "%d%s", b,
                 b == BD_FEATURE_MOST ? " bits" : "");
    wg_heat_draw(&ui->canvas, map, &h, ui->glyphs);
    if (v->f.bits)
        put_widths(ui, map, v);
}

/* ---------------------------------------------------------------- the words */
static void draw_title(struct ui *ui, struct wg_rect r, const struct view *v)
{
    char name[96], text[3][160];
    const struct bd_lab *l = v->f.lab;
    struct ui_piece p[4];
    bd_text_show(name, sizeof name, v->f.split, 30);
    snprintf(text[0], sizeof text[0], "feature at %s", name);
    p[0] = (struct ui_piece){WG_TITLE, text[0]};
    snprintf(text[1], sizeof text[1], "   %s",
             bd_feature_kind_names[v->f.kind]);
    p[1] = (struct ui_piece){WG_TEXT, text[1]};
    if (l)
        snprintf(text[2], sizeof text[2], "   %lld channels of %lld",
                 (long long)l->f.channels, (long long)l->f.size);
    p[2] = (struct ui_piece){WG_DIM, text[2]};
    int x = ui_pieces(ui, r, 1, p, l ? 3 : 2);
    if (!l)
        return;
    snprintf(text[2], sizeof text[2], "   %lld images",
             (long long)l->f.images);
    ui_pieces(ui, r, x, p + 2, 1);
}

/* "0.0744, 0.63 % of 11.8 with one interval for all". */
static int error_pieces(struct ui_piece *p, char text[3][80],
                        const struct bd_feature_view *f)
{
    enum wg_role role = f->fresh == BD_STALE ? WG_STALE
                        : f->fresh == BD_PARTIAL ? WG_PARTIAL : WG_NUMBER;
    snprintf(text[0], sizeof text[0], "   output MSE ");
    snprintf(text[1], sizeof text[1], "%s%.3g",
             f->fresh == BD_STALE ? "~" : "", f->mse);
    snprintf(text[2], sizeof text[2], "  %.3g at the start, %.3g uniform",
             f->start, f->uniform);
    p[0] = (struct ui_piece){WG_DIM, text[0]};
    p[1] = (struct ui_piece){role, text[1]};
    p[2] = (struct ui_piece){WG_DIM, text[2]};
    return 3;
}

static void draw_numbers(struct ui *ui, struct wg_rect r, const struct view *v)
{
    struct ui_piece p[6];
    char avg[64], text[3][80], runs[64];
    const struct bd_feature_view *f = &v->f;
    int n = 0;
    snprintf(avg, sizeof avg, "%g bits%s", f->avg_bits,
             f->left > 0 ? ", not all spent" : "");
    p[n++] = (struct ui_piece){WG_NUMBER, avg};
    if (!isnan(f->mse) && !isnan(f->uniform))
        n += error_pieces(p + n, text, f);
    snprintf(runs, sizeof runs, "   run %lld/%lld%s", (long long)f->done,
             (long long)f->asked, f->stopped ? ", stopped" : "");
    if (f->lab)
        p[n++] = (struct ui_piece){f->running ? WG_PARTIAL : WG_DIM, runs};
    ui_pieces(ui, r, 1, p, n);
}

static void draw_channel(struct ui *ui, struct wg_rect r, const struct view *v)
{
    int c = ui->feature.cur;
    const struct bd_qchannel *q = &v->f.lab->t.c[c];
    char text[4][64], number[32];
    int b = v->f.bits ? v->f.bits[c] : 0;
    struct ui_piece p[4];
    snprintf(text[0], sizeof text[0], "channel %d   %d bits", c, b);
    snprintf(text[1], sizeof text[1], "   MSE %s",
             ui_fmt_sci(number, sizeof number, q->mse[b]));
    snprintf(text[2], sizeof text[2], "   range %s%s",
             ui_fmt_short(number, sizeof number, q->range),
             q->is_signed ? " signed" : "");
    snprintf(text[3], sizeof text[3], "   interval %s",
             ui_fmt_short(number, sizeof number, q->interval[b]));
    for (int i = 0; i < 4; i++)
        p[i] = (struct ui_piece){WG_TEXT, text[i]};
    ui_pieces(ui, r, 1, p, 4);
}

/* ----------------------------------------------------------------- the plot */
/* "0.17", "2.8e3": ticks have few cells. */
static void tick_text(struct wg_tick *t, double v)
{
    char *e;
    snprintf(t->text, sizeof t->text, "%.2g", v);
    e = strchr(t->text, 'e');
    if (!e)
        return;
    char *digits = e + 2 + strspn(e + 2, "0");
    e += e[1] == '-' ? 2 : 1;
    memmove(e, digits, strlen(digits) + 1);
}

/* The error after each run, against the number of runs; logarithmic, since
 * what counts is the ratio. */
static void draw_plot(struct ui *ui, struct wg_rect r, const struct view *v)
{
    const struct bd_feature_view *f = &v->f;
    struct wg_scatter_point p[PLOT_W + 1];
    int64_t n = f->done;
    int k = 0;
    if (n < 1 || !(f->start > 0) || !(f->mse > 0) || isnan(f->start))
        return;
    p[k++] = (struct wg_scatter_point){0, log10(f->start), '.', WG_BAR};
    for (int i = 1; i <= PLOT_W && i <= n; i++) {
        int64_t at = n <= PLOT_W ? i : n * i / PLOT_W;
        p[k++] = (struct wg_scatter_point){
            (double)at, log10(f->step[at - 1].mse), '.', WG_BAR};
    }
    double lo = p[k - 1].y, hi = p[0].y, pad = (hi - lo) / 8 + 1e-6;
    struct wg_tick tick[2] = {{hi, ""}, {lo, ""}};
    tick_text(&tick[0], f->start);
    tick_text(&tick[1], f->step[n - 1].mse);
    struct wg_scatter s = {.p = p, .n = k, .cursor = -1, .line = p, .nline = k,
                           .x_lo = 0, .x_hi = (double)f->asked,
                           .y_lo = lo - pad, .y_hi = hi + pad, .ytick = tick,
                           .nytick = hi > lo ? 2 : 1, .rule = (double)NAN,
                           .x_name = "runs of the back end"};
    wg_scatter_draw(&ui->canvas, r, &s, ui->glyphs);
}

static void draw_waiting(struct ui *ui, struct wg_rect body,
                         const struct view *v)
{
    char cut[400];
    const char *text = v->f.running
                           ? "running the front end, searching intervals; the "
                             "map appears when they are there"
                       : v->f.why[0] ? v->f.why
                                     : "stopped; Enter starts again";
    wg_text(&ui->canvas, body, 1, 3, v->f.why[0] ? WG_WARN : WG_DIM,
            wg_cut(cut, sizeof cut, text, body.w - 2, false));
}

bool ui_feature_draw(struct ui *ui, struct wg_rect body)
{
    if (!ui->feature.on)
        return false;
    struct view v = view_of(ui, body.w);
    struct wg_rect line = {body.x, body.y, body.w, 1};
    draw_title(ui, line, &v);
    line.y++;
    draw_numbers(ui, line, &v);
    if (!v.f.lab) {
        draw_waiting(ui, body, &v);
        return true;
    }
    draw_map(ui, (struct wg_rect){body.x, body.y + 3, body.w, body.h - 3},
             &v);
    line.y = body.y + 4 + MAP_H;
    if (line.y < body.y + body.h)
        draw_channel(ui, line, &v);
    line.y++;
    line.h = body.y + body.h - line.y;
    if (line.h >= PLOT_H - 1)
        draw_plot(ui, line, &v);
    return true;
}

/* ------------------------------------------------------------------ actions */
static bool move(struct ui *ui, enum ui_action a, int count)
{
    int *cur = &ui->feature.cur;
    switch ((int)a) {
    case UI_DOWN:
    case UI_RIGHT:
        return *cur += count, true;
    case UI_UP:
    case UI_LEFT:
        return *cur -= count, true;
    case UI_PAGE_DOWN:
        return *cur += 16, true;
    case UI_PAGE_UP:
        return *cur -= 16, true;
    case UI_TOP:
        return *cur = count - 1, true;
    case UI_BOTTOM:
        return *cur = 1 << 24, true;
    default:
        return false;
    }
}

/* One level: first the job, then back to the weights. */
static void back(struct ui *ui)
{
    struct bd_feature_view f;
    if (bd_session_feature(&f, ui->s) && f.running)
        bd_session_feature_stop(ui->s);
    else
        ui->feature.on = false;
}

static bool edit(struct ui *ui, enum ui_action a, int count)
{
    switch ((int)a) {
    case UI_BITS_UP:
        return turn(ui, half_a_bit * count), true;
    case UI_BITS_DOWN:
        return turn(ui, -half_a_bit * count), true;
    case UI_BITS:
        ui_prompt_open(ui, &(struct ui_ask){.label = "bits on average: ",
                                            .done = typed});
        return true;
    case UI_METHOD:
        ui->feature.kind = (ui->feature.kind + 1) % BD_FEATURE_KINDS;
        return again(ui), true;
    case UI_METHOD_BACK:
        ui->feature.kind =
            (ui->feature.kind + BD_FEATURE_KINDS - 1) % BD_FEATURE_KINDS;
        return again(ui), true;
    case UI_OPEN:
        return again(ui), true;
    case UI_BACK:
        return back(ui), true;
    default:
        return false;
    }
}

/* Lists of layers split here; on the channels the key goes both ways, and an
 * earlier split of the same layer is only shown again. */
static void toggle(struct ui *ui)
{
    struct bd_feature_view f;
    const struct bd_model *m = bd_session_model(ui->s);
    if (ui->screen == UI_CHANNELS && ui->feature.on) {
        ui->feature.on = false;
        return;
    }
    if (ui->list.at >= 0 && bd_session_feature(&f, ui->s) && f.lab &&
        strcmp(f.split, m->layer[ui->list.cur].name) == 0) {
        ui->feature.on = true;
        if (ui->screen != UI_CHANNELS)
            ui_goto(ui, UI_CHANNELS, true);
        return;
    }
    split_here(ui);
}

bool ui_feature_action(struct ui *ui, enum ui_action a, int count)
{
    if (a == UI_FEATURE)
        return toggle(ui), true;
    if (!ui->feature.on || ui->screen != UI_CHANNELS)
        return false;
    count = count > 1 << 20 ? 1 << 20 : count;
    return move(ui, a, count) || edit(ui, a, count);
}
