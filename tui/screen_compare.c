/* screen_compare.c: two configurations side by side, differences first.
 *
 * Two lines name the sides with their totals, a sentence says which answers
 * better and whether that may be chance, and below are the layers that
 * differ; those alike are folded away until `.` asks for them.  Sides are
 * held by name, so that "here" stays the present configuration whatever is
 * edited; the cursor is a layer, so that it survives rows coming and going.
 *
 * Nothing is computed here: each drawing pulls what the session knows, which
 * asks its lanes for the rest. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { C_NAME, C_A, C_B, C_AKB, C_BKB, C_AIN, C_BIN, C_ADB, C_BDB, C_DELTA,
       C_COLUMNS, HEAD_H = 4, NAME_W = 18, NAME_MAX = 22, CHOICE_MAX = 20 };

static const struct wg_column columns[C_COLUMNS] = {
    [C_NAME] = {"layer", 12, 30, 0, false, true},
    [C_A] = {"A", 13, 26, 0, false, false},
    [C_B] = {"B", 13, 26, 0, false, false},
    [C_AKB] = {"A KB", 6, 7, 0, true, false},
    [C_BKB] = {"B KB", 6, 7, 0, true, false},
    [C_AIN] = {"A input", 7, 8, 0, true, false},
    [C_BIN] = {"B input", 7, 8, 0, true, false},
    [C_ADB] = {"A PSNR", 6, 7, 0, true, false},
    [C_BDB] = {"B PSNR", 6, 7, 0, true, false},
    [C_DELTA] = {"B - A", 6, 7, 0, true, false},
};

struct compare {
    char name[2][48]; /* "" = not chosen yet */
    bool chosen;      /* B was, by a person */
    bool all;         /* also the layers that are alike */
    int layer;        /* under the cursor */
    int top;
    int asked;        /* side whose menu is open */
};

struct view { /* one drawing */
    struct wg_column col[C_COLUMNS]; /* those of this drawing */
    struct ui *ui;
    const struct bd_compare *r;
    const struct compare *st;
    int rows, at; /* of the cursor */
};

/* ------------------------------------------------------------------ sides */

/* The uniform width nearest in size: the comparison most asked for. */
static void propose(struct ui *ui, struct compare *st)
{
    struct bd_kept_view k;
    struct bd_net_view net;
    double best = INFINITY;
    bd_session_net(&net, ui->s);
    double want = net.cost.avg_bits_w > 12 ? 4 : net.cost.avg_bits_w;
    for (size_t i = 0; bd_session_kept_at(&k, ui->s, i); i++) {
        double far = fabs(k.avg_bits - want);
        if (strncmp(k.name, "uniform ", 8) == 0 && !k.own && far < best) {
            best = far;
            snprintf(st->name[1], sizeof st->name[1], "%s", k.name);
        }
    }
}

/* A name that was forgotten meanwhile falls back to what is always there. */
static void settle_names(struct ui *ui, struct compare *st)
{
    if (!st->name[0][0] ||
        bd_session_kept_find(ui->s, st->name[0], NULL) < 0)
        snprintf(st->name[0], sizeof st->name[0], "here");
    if (!st->name[1][0] ||
        bd_session_kept_find(ui->s, st->name[1], NULL) < 0) {
        st->chosen = false;
        propose(ui, st);
    }
}

static void opened(struct ui *ui, void *state)
{
    struct compare *st = state;
    if (!st->chosen)
        st->name[1][0] = 0;
    settle_names(ui, st);
    if (ui->list.cur >= 0)
        st->layer = ui->list.cur;
}

/* ------------------------------------------------------------------- rows */

static bool differs(const struct bd_compare_layer *l)
{
    return l->differs_w || l->differs_a;
}

/* Layer of row i: the differing ones, then, if wanted, the others. */
static int row_layer(const struct view *v, int i)
{
    int other = (int)v->r->differing, unlike = 0;
    for (size_t k = 0; k < v->r->n; k++)
        if ((differs(&v->r->layer[k]) ? unlike++ : other++) == i)
            return (int)k;
    return -1;
}

/* Row of the cursor's layer, or of the next differing one behind it, so that
 * taking a layer leads on to the next. */
static int cursor_row(const struct view *v)
{
    int row = -1, unlike = 0, other = (int)v->r->differing;
    for (int k = 0; k < (int)v->r->n; k++) {
        bool d = differs(&v->r->layer[k]);
        int at = d ? unlike++ : other++;
        if (k == v->st->layer && (d || v->st->all))
            return at;
        if (k > v->st->layer && d && row < 0)
            row = at;
    }
    return row >= 0 ? row : (int)v->r->differing - 1;
}

/* Everything a key or a drawing needs to know, as of now. */
static bool look(struct view *v, struct ui *ui, struct compare *st)
{
    settle_names(ui, st);
    *v = (struct view){.ui = ui, .st = st};
    v->r = bd_session_compare(ui->s, st->name[0], st->name[1], NULL);
    if (!v->r)
        return false;
    v->rows = (int)(st->all ? v->r->n : v->r->differing);
    v->at = cursor_row(v);
    return true;
}

/* ------------------------------------------------------------------ cells */

static char *nth_colon(char *s, int n)
{
    for (; *s; s++)
        if (*s == ':' && --n == 0)
            return s;
    return NULL;
}

/* Cuts what both texts have in common behind their n-th colon. */
static void cut_common(char *a, char *b, int n)
{
    char *ta = nth_colon(a, n), *tb = nth_colon(b, n);
    if (ta && tb && strcmp(ta, tb) != 0)
        return;
    if (ta)
        *ta = 0;
    if (tb)
        *tb = 0;
}

/* The grain, between the second and the third colon. */
static void drop_grain(char *s)
{
    char *from = nth_colon(s, 2), *to = nth_colon(s, 3);
    if (from && to)
        memmove(from, to, strlen(to) + 1);
}

/* What the two sides have in common says nothing here: apot:4:tensor:mse
 * against apot:3:tensor:mse becomes apot:4, apot:3. */
static void choice(char *out, size_t cap, const struct bd_tensorcfg *mine,
                   const struct bd_tensorcfg *other)
{
    char a[96], b[96];
    bd_tensorcfg_text(a, sizeof a, mine);
    bd_tensorcfg_text(b, sizeof b, other);
    cut_common(a, b, 3);
    if (!nth_colon(a, 3))
        cut_common(a, b, 2);
    else if (mine->grain == other->grain && mine->group == other->group)
        drop_grain(a);
    snprintf(out, cap, "%s", a);
}

/* Weights, and behind a slash the input where the two differ. */
static void choice_cell(struct wg_table_cell *out, const struct view *v,
                        int layer, int side)
{
    const struct bd_compare_layer *l = &v->r->layer[layer];
    const struct bd_layercfg *mine = &v->r->side[side].cfg.layer[layer],
                             *other = &v->r->side[!side].cfg.layer[layer];
    char w[96], a[96] = "";
    choice(w, sizeof w, &mine->w, &other->w);
    if (l->differs_a)
        choice(a, sizeof a, &mine->a, &other->a);
    snprintf(out->text, sizeof out->text, "%.47s%s%.46s", w, a[0] ? "/" : "",
             a);
}

/* Dots while it is computed, and a word where there is no error at all. */
static void db_cell(struct wg_table_cell *out, double db)
{
    if (isnan(db))
        snprintf(out->text, sizeof out->text, "...");
    else if (isinf(db))
        snprintf(out->text, sizeof out->text, "float");
    else
        snprintf(out->text, sizeof out->text, "%.1f", db);
    out->role = isnan(db) ? WG_DIM : WG_NUMBER;
}

/* dB that B has more than A.  Sign and place say what colour repeats. */
static void delta_cell(struct wg_table_cell *out,
                       const struct bd_compare_layer *l)
{
    double w = l->side[1].w_psnr_db - l->side[0].w_psnr_db;
    double a = l->side[1].a_psnr_db - l->side[0].a_psnr_db;
    double d = l->differs_w ? w : a;
    if (!isfinite(d) || !differs(l))
        return;
    snprintf(out->text, sizeof out->text, "%+.1f", d);
    out->role = d < 0 ? WG_WARN : WG_NUMBER;
}

static void cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    const struct view *v = arg;
    int layer = row_layer(v, row);
    char name[200];
    if (layer < 0)
        return;
    const struct bd_compare_layer *l = &v->r->layer[layer];
    int side = col == C_B || col == C_BKB || col == C_BIN || col == C_BDB;
    out->role = WG_TEXT;
    if (col == C_NAME)
        snprintf(out->text, sizeof out->text, "%s",
                 bd_text_show(name, sizeof name,
                              bd_session_model(v->ui->s)->layer[layer].name,
                              60));
    else if (col == C_A || col == C_B)
        choice_cell(out, v, layer, side);
    else if (col == C_AKB || col == C_BKB)
        snprintf(out->text, sizeof out->text, "%.1f",
                 (double)l->side[side].stored_bits / 8192);
    else if (col == C_DELTA)
        delta_cell(out, l);
    else
        db_cell(out, col == C_AIN || col == C_BIN ? l->side[side].a_psnr_db
                                                  : l->side[side].w_psnr_db);
    if (!differs(l))
        out->role = WG_DIM;
}

/* ---------------------------------------------------------------- drawing */

/* Bits, size, accuracy, loss, operations: as many as fit, in this order. */
static void draw_side(struct view *v, struct wg_rect r, int side)
{
    const struct bd_compare_side *s = &v->r->side[side];
    struct ui *ui = v->ui;
    char size[32], top1[64], loss[32], bits[32], bops[32], name[64], cut[64];
    ui_fmt_size(size, sizeof size, (double)s->cost.size_bits / 8);
    ui_fmt_top1(top1, sizeof top1, ui, s->fresh, &s->acc);
    snprintf(bits, sizeof bits, "%6.2f b  ", s->cost.avg_bits_w);
    snprintf(loss, sizeof loss, "  loss %.4f", s->acc.loss);
    snprintf(bops, sizeof bops, "  %.3g BOPs", s->cost.bops);
    bd_text_show(name, sizeof name, v->st->name[side], 0);
    if (s->other_network) /* repairs lie between the two */
        strncat(name, "*", sizeof name - strlen(name) - 1);
    wg_cut(cut, sizeof cut, name, NAME_W, true);
    int x = 1 + wg_text(&ui->canvas, r, 1, 0, WG_ACCENT, side ? "B " : "A ");
    wg_text(&ui->canvas, r, x, 0, WG_TITLE, cut);
    char padded[48];
    snprintf(padded, sizeof padded, "%-9s", size);
    struct ui_piece p[] = {
        {WG_NUMBER, bits},
        {WG_NUMBER, padded},
        {WG_DIM, "top-1 "},
        {ui_fresh_role(s->fresh), top1},
        {WG_NUMBER, s->fresh == BD_EXACT && !isnan(s->acc.loss) ? loss : ""},
        {WG_DIM, s->cost.bops > 0 ? bops : ""},
    };
    bool can = !bd_session_why_no_accuracy(ui->s);
    ui_pieces(ui, r, x + NAME_W, p, can ? 6 : 2);
}

/* The verdict, or how far it is. */
static void draw_verdict(struct view *v, struct wg_rect r)
{
    char words[200], n[96];
    const char *why = bd_session_why_no_accuracy(v->ui->s);
    if (v->r->paired_known)
        bd_paired_words(words, sizeof words, &v->r->paired);
    else
        snprintf(words, sizeof words, "%s",
                 why ? ""
                 : v->r->side[0].stopped || v->r->side[1].stopped
                     ? "stopped; another choice or an edit asks again"
                     : "answering the same images ...");
    bool repaired = v->r->side[0].other_network || v->r->side[1].other_network;
    snprintf(n, sizeof n, "%zu of %zu layers differ%s%s", v->r->differing,
             v->r->n, v->st->all ? "" : v->r->differing < v->r->n
                                            ? "  (. shows the others)"
                                            : "",
             repaired ? "   * on the network before repairs" : "");
    wg_text(&v->ui->canvas, r, 1, 0, v->r->paired_known ? WG_TEXT : WG_DIM,
            words);
    wg_text(&v->ui->canvas, (struct wg_rect){r.x, r.y + 1, r.w, 1}, 1, 0,
            WG_DIM, n);
}

/* Names as wide as the longest, choices as wide as the widest shown, inputs
 * only where any is quantized: which leaves room for what differs. */
static void lay_columns(struct view *v, int width)
{
    const struct bd_model *m = bd_session_model(v->ui->s);
    struct wg_column *col = v->col;
    bool inputs = false, narrow = width < 78;
    int name_max = narrow ? 16 : NAME_MAX;
    int choice_max = narrow ? 12 : CHOICE_MAX;
    memcpy(col, columns, sizeof columns);
    for (size_t i = 0; i < v->r->n; i++) {
        char name[96];
        int w = wg_width(bd_text_show(name, sizeof name, m->layer[i].name,
                                      60));
        if (w > col[C_NAME].min)
            col[C_NAME].min = w < name_max ? w : name_max;
        for (int k = 0; k < 2; k++) {
            struct wg_table_cell c = {0};
            inputs = inputs || isfinite(v->r->layer[i].side[k].a_psnr_db);
            choice_cell(&c, v, (int)i, k);
            w = wg_width(c.text);
            if (w > col[C_A + k].min && differs(&v->r->layer[i]))
                col[C_A + k].min = w < choice_max ? w : choice_max;
        }
    }
    if (!inputs)
        col[C_AIN].min = col[C_BIN].min = -1;
    /* Pairs leave together: half of one compares nothing. */
    static const int pair[3] = {C_AIN, C_AKB, C_ADB};
    for (int k = 0; k < 3; k++) {
        int sum = 1;
        for (int i = 0; i < C_COLUMNS; i++)
            sum += col[i].min >= 0 ? col[i].min + 1 : 0;
        if (sum > width)
            col[pair[k]].min = col[pair[k] + 1].min = -1;
    }
}

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct compare *st = state;
    struct view v;
    if (!look(&v, ui, st)) {
        wg_text(&ui->canvas, body, 3, 1, WG_DIM, "no memory left to compare");
        return;
    }
    for (int side = 0; side < 2; side++)
        draw_side(&v, (struct wg_rect){body.x, body.y + side, body.w, 1},
                  side);
    draw_verdict(&v, (struct wg_rect){body.x, body.y + 2, body.w, 1});
    struct wg_rect r = {body.x, body.y + HEAD_H, body.w, body.h - HEAD_H};
    lay_columns(&v, r.w);
    struct wg_table t = {.col = v.col, .ncol = C_COLUMNS, .nrow = v.rows,
                         .top = st->top, .cursor = v.at, .sort_col = -1,
                         .cell = cell, .arg = &v};
    if (v.at >= 0)
        wg_table_scroll(&t, r.h - 1);
    st->top = t.top;
    wg_table_draw(&ui->canvas, r, &t, ui->glyphs);
}

/* ---------------------------------------------------------------- choosing */

/* Made on each drawing: a configuration kept meanwhile appears by itself. */
static const char *item(void *arg, int i)
{
    struct ui *ui = arg;
    struct bd_kept_view k;
    if (!bd_session_kept_at(&k, ui->s, (size_t)i))
        return "";
    bd_text_show(ui->line, sizeof ui->line, k.name, 0);
    return ui->line;
}

static const char *item_right(void *arg, int i)
{
    struct ui *ui = arg;
    struct bd_kept_view k;
    if (!bd_session_kept_at(&k, ui->s, (size_t)i))
        return "";
    snprintf(ui->line2, sizeof ui->line2, "%.2f b%s", k.avg_bits,
             k.own ? "  kept" : "");
    return ui->line2;
}

/* Choosing B is a decision that later visits respect; A is "here" until
 * chosen. */
static void side_chosen(struct ui *ui, int i)
{
    struct compare *st = ui->state[UI_COMPARE];
    struct bd_kept_view k;
    if (!bd_session_kept_at(&k, ui->s, (size_t)i))
        return;
    snprintf(st->name[st->asked], sizeof st->name[0], "%s", k.name);
    st->chosen = st->chosen || st->asked == 1;
    st->top = 0;
}

static void ask_side(struct ui *ui, struct compare *st, int side)
{
    int at = bd_session_kept_find(ui->s, st->name[side], NULL);
    st->asked = side;
    ui_menu_open(ui, &(struct ui_choice){
                         .title = side ? "B, to compare with" : "A",
                         .n = (int)bd_session_kept(ui->s),
                         .at = at > 0 ? at : 0, .item = item,
                         .right = item_right, .chosen = side_chosen});
}

bool ui_compare_sides(struct ui *ui, const char *a, const char *b)
{
    struct bd_err err = {0};
    const char *given[2] = {a, b};
    for (int k = 0; k < 2; k++)
        if (given[k] && bd_session_kept_find(ui->s, given[k], &err) < 0) {
            ui_refuse(ui, &err);
            return false;
        }
    ui_goto(ui, UI_COMPARE, false);
    struct compare *st = ui->state[UI_COMPARE];
    for (int k = 0; k < 2 && st; k++)
        if (given[k])
            snprintf(st->name[k], sizeof st->name[0], "%s", given[k]);
    if (st && b)
        st->chosen = true;
    return st != NULL;
}

/* Sides change places, numbers and all: nothing is measured again. */
static void swap(struct compare *st)
{
    char hold[sizeof st->name[0]];
    memcpy(hold, st->name[0], sizeof hold);
    memcpy(st->name[0], st->name[1], sizeof hold);
    memcpy(st->name[1], hold, sizeof hold);
    st->chosen = true;
}

/* ------------------------------------------------------------------ taking */

/* The side that is not the present configuration gives; B if neither is. */
static int giver(const struct compare *st)
{
    return strcmp(st->name[1], "here") == 0 ? 0 : 1;
}

/* One layer (or all, layer -1) as the other side has it: one undo step. */
static void take(struct ui *ui, struct compare *st, int layer)
{
    struct bd_bitcfg other, next;
    struct view v;
    struct bd_err err = {0};
    char what[100];
    const char *from = st->name[giver(st)];
    if (look(&v, ui, st) && v.r->differing == 0) {
        ui_say(ui, v.r->side[giver(st)].other_network
                       ? "the choices are alike; repairs are taken back by u"
                       : "nothing differs");
        return;
    }
    if (bd_session_kept_cfg(&other, ui->s, from, &err) != BD_OK) {
        ui_refuse(ui, &err);
        return;
    }
    bd_status st2 = bd_bitcfg_copy(&next, bd_session_cfg(ui->s));
    if (st2 == BD_OK) {
        for (size_t i = 0; i < next.n; i++) {
            if (layer >= 0 && (size_t)layer != i)
                continue;
            bd_layercfg_done(&next.layer[i]);
            bd_layercfg_copy(&next.layer[i], &other.layer[i]);
        }
        const char *name =
            layer < 0 ? "all layers"
                      : bd_session_model(ui->s)->layer[layer].name;
        char shown[96];
        bd_text_show(shown, sizeof shown, name, 40);
        snprintf(what, sizeof what, "%s as in %s", shown, from);
        ui_said(ui, bd_session_set_all(ui->s, &next, what, &err), &err);
        bd_bitcfg_done(&next);
        if (look(&v, ui, st) && v.at >= 0) /* on to the next difference */
            st->layer = row_layer(&v, v.at);
    } else {
        ui_warn(ui, "no memory left");
    }
    bd_bitcfg_done(&other);
}

/* ----------------------------------------------------------------- actions */

/* By row on screen, remembered as a layer. */
static void move_to(struct ui *ui, struct compare *st, const struct view *v,
                    int row)
{
    row = row >= v->rows ? v->rows - 1 : row < 0 ? 0 : row;
    int layer = row_layer(v, row);
    if (layer < 0)
        return;
    st->layer = layer;
    ui_list_to_layer(&ui->list, layer); /* other screens show it too */
}

/* The usual motions, over rows that exist only while looking. */
static bool move(struct ui *ui, struct compare *st, enum ui_action a,
                 int count)
{
    struct view v;
    int page = ui->frame.body.h / 2;
    if (!look(&v, ui, st))
        return false;
    switch ((int)a) {
    case UI_DOWN:
        return move_to(ui, st, &v, v.at + count), true;
    case UI_UP:
        return move_to(ui, st, &v, v.at - count), true;
    case UI_PAGE_DOWN:
        return move_to(ui, st, &v, v.at + page), true;
    case UI_PAGE_UP:
        return move_to(ui, st, &v, v.at - page), true;
    case UI_TOP:
        return move_to(ui, st, &v, count - 1), true;
    case UI_BOTTOM:
        return move_to(ui, st, &v, count > 1 ? count - 1 : v.rows - 1), true;
    default:
        return false;
    }
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    struct compare *st = state;
    struct view v;
    if (move(ui, st, a, count > 1 << 20 ? 1 << 20 : count))
        return true;
    switch ((int)a) {
    case UI_COMPARE_A:
        return ask_side(ui, st, 0), true;
    case UI_COMPARE_B:
        return ask_side(ui, st, 1), true;
    case UI_COMPARE_SWAP:
        return swap(st), true;
    case UI_COMPARE_ALIKE:
        return st->all = !st->all, true;
    case UI_COMPARE_TAKE_ALL:
        return take(ui, st, -1), true;
    case UI_OPEN:
        if (look(&v, ui, st) && v.at >= 0)
            take(ui, st, row_layer(&v, v.at));
        else
            ui_say(ui, "nothing differs");
        return true;
    default:
        return false;
    }
}

static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    struct compare *st = state;
    struct view v;
    int row = st->top + m.y - body.y - HEAD_H - 1;
    if (!look(&v, ui, st))
        return;
    if (m.what == WG_WHEEL_UP)
        move_to(ui, st, &v, v.at - 1);
    else if (m.what == WG_WHEEL_DOWN)
        move_to(ui, st, &v, v.at + 1);
    else if (m.y < body.y + 2)
        ask_side(ui, st, m.y - body.y);
    else if (m.y > body.y + HEAD_H && row < v.rows)
        move_to(ui, st, &v, row);
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},        {UI_COMPARE_A, "choose A"},
    {UI_COMPARE_B, "choose B"}, {UI_OPEN, "take layer"},
    {UI_COMPARE_TAKE_ALL, "take all"}, {UI_COMPARE_SWAP, "swap"},
    {UI_COMPARE_ALIKE, "alike too"},   {UI_UNDO, "undo"},
    {UI_KEEP, "keep"},        {UI_BACK, "back"},
    {UI_NONE, NULL},
};

const struct ui_screen ui_screen_compare = {
    .key = "7", .name = "Compare", .on = ON_COMPARE,
    .state_size = sizeof(struct compare), .keys = keys, .open = opened,
    .draw = draw, .action = action, .mouse = mouse,
};
