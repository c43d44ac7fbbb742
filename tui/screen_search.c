/* screen_search.c: which layer gets how many bits, under a budget?
 *
 * Five fields above, the layers below.  The answer is the session's and is
 * solved anew whenever it is drawn after a change, so the target moves like
 * a slider.  Enter takes the answer; on a field that is a choice it opens
 * the choices instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum field { F_METHOD, F_BUDGET, F_TARGET, F_CHOICES, F_WHAT, FIELDS };
enum { HEAD_H = 6, WIDE = 72, METHODS = BD_SEARCHES };

struct search {
    struct bd_search_opts o;
    int field;      /* under the cursor */
    int choices;    /* row of choice_names */
    int top;        /* first layer shown */
    bool started;
    bool take_later; /* Enter came before the answer */
};

static const char *const method_says[METHODS] = {
    [BD_SEARCH_DP] = "exact, proven",
    [BD_SEARCH_UNIFORM] = "one choice for all",
    [BD_SEARCH_GREEDY] = "best step at a time",
    [BD_SEARCH_LAGRANGE] = "one price for all",
    [BD_SEARCH_CHANNEL] = "a width per channel",
    [BD_SEARCH_MEASURED] = "accuracy decides",
    [BD_SEARCH_BOTTLENECK] = "planes of inputs"};
static const char *const budget_says[BD_BUDGETS] = {
    [BD_BUDGET_AVG_BITS] = "bits per weight",
    [BD_BUDGET_SIZE] = "all parameters",
    [BD_BUDGET_BOPS] = "bit operations",
    [BD_BUDGET_PSNR_MIN] = "every layer keeps",
    [BD_BUDGET_PSNR_LOSS] = "a layer may lose",
    [BD_BUDGET_MAX_DROP] = "top-1, measured"};
static const struct {
    const char *name, *methods;
} choices[] = {
    {"own method, clips, grains", NULL},
    {"own method and apot", "own,apot"},
    {"own, apot and k-means", "own,apot,kmeans"},
    {"uniform", "uniform"},
    {"uniform per tensor", "uniform:tensor:mse"},
};
enum { CHOICES = (int)(sizeof choices / sizeof *choices) };
static const char *const what_says[] = {
    [0] = "as the budget asks", [BD_SENS_W] = "weights",
    [BD_SENS_A] = "inputs", [BD_SENS_WA] = "weights and inputs"};
enum { WHATS = (int)(sizeof what_says / sizeof *what_says) };

/* ------------------------------------------------------------ the request */

static void ask(struct ui *ui, struct search *st)
{
    struct bd_err err = {0};
    st->take_later = false;
    st->o.methods = choices[st->choices].methods;
    if (bd_session_search(ui->s, &st->o, &err) != BD_OK)
        ui_refuse(ui, &err);
    ui->dirty = true;
}

/* The present stored size; a network still in float starts at four bits. */
static void start(struct ui *ui, struct search *st)
{
    struct bd_net_view net;
    bd_session_net(&net, ui->s);
    st->o = (struct bd_search_opts){.budget = BD_BUDGET_AVG_BITS};
    if (net.cost.avg_bits_w > 16)
        st->o.target = 4;
    st->field = F_TARGET;
    st->started = true;
    ask(ui, st);
}

static void open(struct ui *ui, void *state)
{
    struct search *st = state;
    if (!st->started)
        start(ui, st);
}

static bool of_planes(const struct search *st)
{
    return st->o.method == BD_SEARCH_BOTTLENECK;
}

static double present_planes(const struct ui *ui)
{
    struct bd_planes_net n;
    bd_session_planes_net(&n, ui->s, BD_PART_A);
    return n.layers > 0 ? n.weighted : 8;
}

/* What the budget's kind costs now, where it is a cost. */
static double present(const struct ui *ui, const struct search *st)
{
    struct bd_net_view net;
    bd_session_net(&net, ui->s);
    switch (st->o.budget) {
    case BD_BUDGET_AVG_BITS:
        return of_planes(st)               ? present_planes(ui)
               : st->o.what == BD_SENS_A ? net.cost.avg_bits_a
                                           : net.cost.avg_bits_w;
    case BD_BUDGET_SIZE:
        return (double)((net.cost.size_bits + 7) / 8);
    case BD_BUDGET_BOPS:
        return net.cost.bops;
    case BD_BUDGET_PSNR_MIN:
    case BD_BUDGET_PSNR_LOSS:
    case BD_BUDGET_MAX_DROP:
    case BD_BUDGETS:
        break;
    }
    return 0;
}

static double first_target(const struct ui *ui, const struct search *st)
{
    static const double dflt[BD_BUDGETS] = {[BD_BUDGET_AVG_BITS] = 4,
                                            [BD_BUDGET_PSNR_MIN] = 30,
                                            [BD_BUDGET_PSNR_LOSS] = 16,
                                            [BD_BUDGET_MAX_DROP] = 1};
    enum bd_budget b = st->o.budget;
    struct bd_net_view net;
    bd_session_net(&net, ui->s);
    if (b > BD_BUDGET_BOPS || of_planes(st))
        return dflt[b];
    if ((b == BD_BUDGET_AVG_BITS ? present(ui, st) : net.cost.avg_bits_w) <=
        16)
        return 0; /* as it is */
    return b == BD_BUDGET_AVG_BITS ? 4 : present(ui, st) / 8;
}

static void step_target(struct ui *ui, struct search *st, int by)
{
    static const double unit[BD_BUDGETS] = {[BD_BUDGET_AVG_BITS] = 0.1,
                                            [BD_BUDGET_PSNR_MIN] = 1,
                                            [BD_BUDGET_PSNR_LOSS] = 1,
                                            [BD_BUDGET_MAX_DROP] = 0.1};
    enum bd_budget b = st->o.budget;
    double now = st->o.target > 0 ? st->o.target : present(ui, st);
    if (unit[b] > 0) /* onto whole steps, so that + and - undo each other */
        now = (rint(now / unit[b]) + by) * unit[b];
    else
        now = rint(now * pow(1.02, by));
    if (now > 0) {
        st->o.target = now;
        ask(ui, st);
    }
}

static void back_to_target(struct ui *ui)
{
    struct search *st = ui->state[UI_SEARCH];
    st->field = F_TARGET;
}

static void set_method(struct ui *ui, int row)
{
    struct search *st = ui->state[UI_SEARCH];
    bool planes = of_planes(st);
    st->o.method = (enum bd_search_method)row;
    if (of_planes(st) != planes) { /* another thing is counted */
        st->o.budget = BD_BUDGET_AVG_BITS;
        st->o.target = first_target(ui, st);
    }
    ask(ui, st);
}

static void set_budget(struct ui *ui, int row)
{
    struct search *st = ui->state[UI_SEARCH];
    st->o.budget = (enum bd_budget)row;
    st->o.target = first_target(ui, st);
    ask(ui, st);
}

static void set_what(struct ui *ui, int row)
{
    struct search *st = ui->state[UI_SEARCH];
    st->o.what = (enum bd_sens_what)row;
    if (st->o.budget == BD_BUDGET_AVG_BITS) /* now of the other side */
        st->o.target = first_target(ui, st);
    ask(ui, st);
}

static void set_choices(struct ui *ui, int row)
{
    struct search *st = ui->state[UI_SEARCH];
    st->choices = row;
    ask(ui, st);
}

/* Chosen from the menu of a field: what follows is Enter, to take. */
static void chose(struct ui *ui, int row)
{
    struct search *st = ui->state[UI_SEARCH];
    if (st->field == F_METHOD)
        set_method(ui, row);
    else if (st->field == F_BUDGET)
        set_budget(ui, row);
    else if (st->field == F_WHAT)
        set_what(ui, row);
    else
        set_choices(ui, row);
    back_to_target(ui);
}

/* ------------------------------------------------------------------ words */

static int word_row(const char *const *names, const char *w, size_t n)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == n && strncmp(names[i], w, n) == 0)
            return i;
    return -1;
}

/* One word of a request: a method, KIND=NUMBER, a number, a side, `take`. */
static bool word(struct ui *ui, struct search *st, const char *w, size_t n)
{
    char text[64], shown[128];
    const char *eq = memchr(w, '=', n);
    size_t head = eq ? (size_t)(eq - w) : n;
    int method = eq ? -1 : word_row(bd_search_names, w, n);
    int budget = eq ? word_row(bd_budget_names, w, head) : -1;
    double v = 0;
    snprintf(text, sizeof text, "%.*s", (int)(n < 63 ? n : 63), w);
    const char *number = eq ? text + head + 1 : text;
    bool same = eq && strcmp(number, "same") == 0;
    int what = word_row(bd_sens_what_names, w, n);
    if (n == 3 && (memcmp(w, "w,a", 3) == 0 || memcmp(w, "a,w", 3) == 0))
        what = BD_SENS_WA;
    if (what > 0) {
        st->o.what = (enum bd_sens_what)what;
        return true;
    }
    if (method >= 0 && method < METHODS) {
        st->o.method = (enum bd_search_method)method;
        return true;
    }
    if ((!eq || budget >= 0) &&
        (same || (bd_parse_double(&v, number) && v > 0))) {
        st->o.budget = budget >= 0 ? (enum bd_budget)budget : st->o.budget;
        st->o.target = v;
        return true;
    }
    ui_warn(ui, "'%s': as in dp avg-bits=4.5; kinds are avg-bits size bops "
                "psnr-min psnr-loss max-drop",
            bd_text_show(shown, sizeof shown, text, 30));
    return false;
}

/* An impatient Enter is remembered: who types the target and Enter twice
 * means the answer, whenever it is there. */
static void take(struct ui *ui)
{
    struct search *st = ui->state[UI_SEARCH];
    struct bd_search_view v;
    struct bd_err err = {0};
    bd_session_search_view(&v, ui->s);
    st->take_later = v.phase == BD_SEARCH_GATHERING && !v.best;
    if (st->take_later)
        ui_say(ui, "taken as soon as it is found; Esc forgets that");
    else
        ui_said(ui, bd_session_search_take(ui->s, &err), &err);
}

void ui_search_changed(struct ui *ui)
{
    struct search *st = ui->state[UI_SEARCH];
    struct bd_search_view v;
    if (!st || !st->take_later)
        return;
    st->take_later = ui->screen == UI_SEARCH; /* leaving forgets */
    if (!st->take_later)
        return;
    bd_session_search_view(&v, ui->s);
    if (v.phase != BD_SEARCH_GATHERING)
        take(ui);
}

/* `:search [METHOD] [KIND=N] [w|a|w,a] [take]` */
bool ui_search_command(struct ui *ui, const char *args)
{
    bool takes = false, changed = false;
    ui_goto(ui, UI_SEARCH, false);
    struct search *st = ui->state[UI_SEARCH];
    if (!st)
        return false;
    struct bd_search_opts before = st->o;
    for (const char *w = args; *w;) {
        size_t n = strcspn(w, " \t");
        bool last = n == 4 && strncmp(w, "take", 4) == 0;
        takes = takes || last;
        changed = changed || !last;
        if (!last && !word(ui, st, w, n)) {
            st->o = before;
            return false;
        }
        w += n + strspn(w + n, " \t");
    }
    st->field = F_TARGET;
    if (changed)
        ask(ui, st);
    if (takes)
        take(ui);
    return !ui->failed || !takes;
}

static void typed(struct ui *ui, const char *text)
{
    struct search *st = ui->state[UI_SEARCH];
    if (*text && word(ui, st, text, strlen(text)))
        ask(ui, st);
}

/* ---------------------------------------------------------------- drawing */

/* What is chosen, where the budget decides it as well. */
static const char *what_text(const struct ui *ui, const struct search *st)
{
    bool both = st->o.budget == BD_BUDGET_BOPS &&
                !bd_session_why_no_accuracy(ui->s) &&
                st->o.method != BD_SEARCH_CHANNEL &&
                st->o.method != BD_SEARCH_MEASURED;
    return what_says[of_planes(st) ? BD_SENS_A
                     : st->o.what  ? st->o.what
                     : both        ? BD_SENS_WA
                                   : BD_SENS_W];
}

static void draw_field(struct ui *ui, struct wg_rect r, const struct search *st,
                       enum field f)
{
    static const char *const label[FIELDS] = {"method", "budget", "target",
                                              "choices", "of"};
    enum bd_budget b = st->o.budget;
    char value[96], now[48] = "", says[64] = "";
    struct wg_rect line = {r.x, r.y + (int)f, r.w, 1};
    if (f == F_METHOD) {
        snprintf(value, sizeof value, "%s", bd_search_names[st->o.method]);
        snprintf(says, sizeof says, "%s", method_says[st->o.method]);
    } else if (f == F_BUDGET) {
        snprintf(value, sizeof value, "%s", bd_budget_names[b]);
        snprintf(says, sizeof says, "%s",
                 of_planes(st) && b == BD_BUDGET_AVG_BITS
                     ? "planes per value"
                 : st->o.what == BD_SENS_A && b == BD_BUDGET_AVG_BITS
                     ? "bits per input"
                     : budget_says[b]);
    } else if (f == F_TARGET) {
        double v = st->o.target > 0 ? st->o.target : present(ui, st);
        ui_fmt_budget(value, sizeof value, &st->o, v);
        if (b <= BD_BUDGET_BOPS)
            snprintf(says, sizeof says, "now %s",
                     ui_fmt_budget(now, sizeof now, &st->o, present(ui, st)));
    } else if (f == F_WHAT) {
        snprintf(value, sizeof value, "%s", what_text(ui, st));
    } else {
        snprintf(value, sizeof value, "%s",
                 of_planes(st) ? "planes of an 8-bit code"
                               : choices[st->choices].name);
    }
    if (st->field == (int)f)
        wg_tint(&ui->canvas,
                (struct wg_rect){r.x + 1, line.y, ui_search_right(r) - 3, 1},
                WG_CURSOR);
    wg_text(&ui->canvas, line, 0, 0, WG_ACCENT,
            st->field == (int)f ? ">" : " ");
    wg_text(&ui->canvas, line, 2, 0, WG_DIM, label[f]);
    char cut[96];
    wg_cut(cut, sizeof cut, value, ui_search_right(r) - 11, true);
    int x = 10 + wg_text(&ui->canvas, line, 10, 0, WG_TEXT, cut);
    x = x < 19 ? 19 : x + 1;
    if (x < ui_search_right(r) - 3 && r.w >= WIDE)
        wg_text(&ui->canvas, line, x, 0, WG_DIM,
                wg_cut(cut, sizeof cut, says, ui_search_right(r) - 2 - x,
                       false));
}

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct search *st = state;
    struct bd_search_view v;
    bd_session_search_view(&v, ui->s);
    for (int f = 0; f < FIELDS; f++)
        draw_field(ui, body, st, (enum field)f);
    ui_search_found(ui, body, &v);
    ui_search_layers(ui,
                     (struct wg_rect){body.x, body.y + HEAD_H, body.w,
                                      body.h - HEAD_H},
                     &v, &st->top);
}

/* --------------------------------------------------------------- actions */

static const char *method_item(void *ui, int i)
{
    (void)ui;
    return bd_search_names[i];
}

static const char *method_right(void *ui, int i)
{
    (void)ui;
    return method_says[i];
}

static const char *budget_item(void *ui, int i)
{
    (void)ui;
    return bd_budget_names[i];
}

static const char *budget_right(void *ui, int i)
{
    (void)ui;
    return budget_says[i];
}

static const char *choice_item(void *ui, int i)
{
    (void)ui;
    return choices[i].name;
}

static const char *what_item(void *ui, int i)
{
    (void)ui;
    return what_says[i];
}

static void menu(struct ui *ui, const struct search *st)
{
    if (st->field == F_METHOD)
        ui_menu_open(ui, &(struct ui_choice){
            "method", METHODS, (int)st->o.method, method_item,
            method_right, chose});
    else if (st->field == F_BUDGET)
        ui_menu_open(ui, &(struct ui_choice){
            "budget", BD_BUDGETS, (int)st->o.budget, budget_item,
            budget_right, chose});
    else if (st->field == F_WHAT)
        ui_menu_open(ui, &(struct ui_choice){
            "whose bits", WHATS, (int)st->o.what, what_item, NULL,
            chose});
    else
        ui_menu_open(ui, &(struct ui_choice){
            "what layers may take", CHOICES, st->choices, choice_item, NULL,
            chose});
}

/* The neighbour of the present choice; a target moves by steps. */
static void turn(struct ui *ui, struct search *st, int by)
{
    if (st->field == F_METHOD)
        set_method(ui, ((int)st->o.method + by % METHODS + METHODS) %
                           METHODS);
    else if (st->field == F_BUDGET)
        set_budget(ui, ((int)st->o.budget + by % BD_BUDGETS + BD_BUDGETS) %
                           BD_BUDGETS);
    else if (st->field == F_WHAT)
        set_what(ui, ((int)st->o.what + by % WHATS + WHATS) % WHATS);
    else if (st->field == F_CHOICES)
        set_choices(ui, (st->choices + by % CHOICES + CHOICES) % CHOICES);
    else
        step_target(ui, st, by);
}

static bool stop(struct ui *ui)
{
    struct search *st = ui->state[UI_SEARCH];
    if (st->take_later) {
        st->take_later = false;
        ui_say(ui, "nothing will be taken");
        return true;
    }
    if (!bd_session_search_stop(ui->s))
        return false;
    back_to_target(ui);
    ui_say(ui, "stopped; the best so far stays, Enter takes it");
    return true;
}

static void move(struct search *st, int by)
{
    int to = st->field + by;
    if (to >= FIELDS)
        st->top += to - FIELDS + 1;
    else if (by < 0 && st->top > 0)
        st->top = st->top + by > 0 ? st->top + by : 0;
    else
        st->field = to < 0 ? 0 : to;
    if (to >= FIELDS)
        st->field = FIELDS - 1;
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    struct search *st = state;
    int page = ui->frame.body.h - HEAD_H - 2;
    switch ((int)a) {
    case UI_DOWN:
        return move(st, count), true;
    case UI_UP:
        return move(st, -count), true;
    case UI_LEFT:
        return turn(ui, st, -count), true;
    case UI_RIGHT:
        return turn(ui, st, count), true;
    case UI_BITS_UP:
        return step_target(ui, st, count), true;
    case UI_BITS_DOWN:
        return step_target(ui, st, -count), true;
    case UI_BITS:
        ui_prompt_open(ui, &(struct ui_ask){.label = "target: ",
                                            .done = typed});
        return true;
    case UI_PAGE_DOWN:
        return st->top += page, true;
    case UI_PAGE_UP:
        return st->top -= page, true;
    case UI_TOP:
        return st->top = 0, true;
    case UI_BOTTOM:
        return st->top = 1 << 24, true;
    case UI_OPEN:
        if (st->field == F_TARGET)
            take(ui);
        else
            menu(ui, st);
        return true;
    case UI_BACK:
        return stop(ui);
    default:
        return false;
    }
}

static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    struct search *st = state;
    int row = m.y - body.y;
    (void)ui;
    if (m.what == WG_WHEEL_UP)
        st->top -= 3;
    else if (m.what == WG_WHEEL_DOWN)
        st->top += 3;
    else if (row >= 0 && row < FIELDS)
        st->field = row;
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},     {UI_OPEN, "take"},   {UI_BITS_UP, "more"},
    {UI_BITS_DOWN, "less"}, {UI_BITS, "target"}, {UI_RIGHT, "change"},
    {UI_BACK, "stop, back"}, {UI_UNDO, "undo"},  {UI_NONE, NULL},
};

const struct ui_screen ui_screen_search = {
    .key = "6", .name = "Search", .on = ON_SEARCH,
    .state_size = sizeof(struct search), .keys = keys, .open = open,
    .draw = draw, .action = action, .mouse = mouse,
};
