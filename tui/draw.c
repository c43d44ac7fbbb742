/* draw.c: the frame around every screen: tabs, the line about the whole
 * network, the note line, the progress line, the key bar.
 *
 * Lines never appear or vanish with their content: an empty note line is a
 * blank line, so nothing jumps when a job starts or a sentence goes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { ROOMY_H = 20, AIRY_H = 36, FLOAT_W = 12 };

/* The frame depends on the size alone, never on content. */
void ui_frame_of(struct ui_frame *f, int w, int h)
{
    int air = h >= AIRY_H ? 1 : 0;       /* a blank line above the body */
    int bottom = h >= ROOMY_H ? 3 : 2;   /* small: progress on note's line */
    f->tabs = (struct wg_rect){0, 0, w, 1};
    f->head = (struct wg_rect){0, 1, w, 1};
    f->body = (struct wg_rect){0, 2 + air, w, h - 2 - air - bottom};
    f->note = (struct wg_rect){0, h - bottom, w, 1};
    f->progress = (struct wg_rect){0, h - 2, w, 1};
    f->keys = (struct wg_rect){0, h - 1, w, 1};
}

/* The last column stays free: text against the edge reads badly. */
int ui_pieces(struct ui *ui, struct wg_rect r, int x,
              const struct ui_piece *p, int n)
{
    for (int i = 0; i < n; i++) {
        int w = wg_width(p[i].text);
        if (x + w > r.w - 1)
            break; /* half a number would be a wrong one */
        x += wg_text(&ui->canvas, r, x, 0, p[i].role, p[i].text);
    }
    return x;
}

/* ------------------------------------------------------------------ tabs */
static void tab_row(struct wg_tab tab[UI_SCREENS])
{
    for (int i = 0; i < UI_SCREENS; i++) {
        const struct ui_screen *s = ui_screen_at((enum ui_screen_id)i);
        tab[i] = (struct wg_tab){s->key, s->name};
    }
}

int ui_tab_at(const struct ui *ui, int x)
{
    struct wg_tab tab[UI_SCREENS];
    tab_row(tab);
    return wg_tabs_hit(ui->frame.tabs, tab, UI_SCREENS, x);
}

/* The file's name without folders and ending. */
static void model_name(char *out, size_t cap, const struct ui *ui)
{
    const char *path = bd_session_model(ui->s)->path;
    const char *slash = path ? strrchr(path, '/') : NULL;
    char name[256];
    snprintf(name, sizeof name, "%s",
             slash ? slash + 1 : path ? path : "");
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
    bd_text_show(out, cap, name, 40);
}

/* Only screens that exist have a tab. */
static void draw_tabs(struct ui *ui)
{
    struct wg_tab tab[UI_SCREENS];
    char name[200];
    tab_row(tab);
    model_name(name, sizeof name, ui);
    wg_tabs_draw(&ui->canvas, ui->frame.tabs, tab, UI_SCREENS,
                 (int)ui->screen, name);
}

/* ------------------------------------------------- the whole network's line
 * Groups in order of weight: each is drawn whole or not at all. */
struct group {
    struct ui_piece p[6];
    int n;
};

/* Groups are parted by three blanks; one that does not fit leaves its place
 * to the next, smaller one. */
static int draw_group(struct ui *ui, const struct group *g, int x)
{
    int w = 0;
    for (int i = 0; i < g->n; i++)
        w += wg_width(g->p[i].text);
    if (w == 0 || x + w > ui->frame.head.w - 1)
        return x;
    return ui_pieces(ui, ui->frame.head, x, g->p, g->n) + 3;
}

/* Cells that the accuracy ever takes: while it is counted, with interval. */
static int top1_width(const struct ui *ui, const struct bd_net_view *v)
{
    char text[64];
    struct bd_net_eval e = {.top1 = 0.999, .ci_hi = 0.19,
                            .images = v->images, .total = v->images};
    ui_fmt_top1(text, sizeof text, ui, BD_PARTIAL, &e);
    return 6 + wg_width(text);
}

static int draw_accuracy(struct ui *ui, const struct bd_net_view *v, int x)
{
    char now[64], was[64];
    const char *why = bd_session_why_no_accuracy(ui->s);
    if (why) {
        char text[400], cut[400];
        snprintf(text, sizeof text, "no accuracy: %s", why);
        wg_cut(cut, sizeof cut, text, ui->frame.head.w - 2 - x, false);
        struct group g = {{{WG_DIM, cut}}, 1};
        return draw_group(ui, &g, x);
    }
    ui_fmt_top1(now, sizeof now, ui, v->fresh, &v->acc);
    ui_fmt_top1(was, sizeof was, ui, v->float_fresh, &v->float_acc);
    struct group g = {{{WG_DIM, "top-1 "},
                       {ui_fresh_role(v->fresh), now}}, 2};
    int end = draw_group(ui, &g, x), widest = top1_width(ui, v);
    if (end > x && x + widest + 3 + FLOAT_W < ui->frame.head.w)
        end = x + widest + 3; /* what follows keeps its place */
    x = end;
    struct group f = {{{WG_DIM, "float "},
                       {ui_fresh_role(v->float_fresh), was}}, 2};
    if (x + 6 + wg_width(was) > ui->frame.head.w - 1) {
        /* Beside a long interval there is room for the value alone. */
        char *cut = strchr(was, ' ');
        if (cut)
            *cut = 0;
    }
    return draw_group(ui, &f, x);
}

/* Bit planes of inputs, where there are any and room is left. */
static int draw_planes(struct ui *ui, int x)
{
    struct bd_planes_net n;
    char goal[48], rate[32];
    bd_session_planes_net(&n, ui->s, BD_PART_A);
    if (n.layers == 0)
        return x;
    snprintf(rate, sizeof rate, "%.2f", n.mean);
    bd_planes_net_goal(goal, sizeof goal, &n);
    struct group g = {{{WG_DIM, "planes "}, {WG_TITLE, rate},
                       {WG_DIM, goal[0] ? " for " : ""}, {WG_DIM, goal}}, 4};
    return draw_group(ui, &g, x);
}

/* Bits and size first: they are exact at once, whatever else is running.
 * Each number has a field of its own, so that none pushes another about. */
static void draw_head(struct ui *ui)
{
    struct bd_net_view v;
    char avg[32], text[32], size[40], ratio[40], marked[48];
    bd_session_net(&v, ui->s);
    snprintf(avg, sizeof avg, "%.2f", v.cost.avg_bits_w);
    ui_fmt_size(text, sizeof text, (double)v.cost.size_bits / 8);
    snprintf(size, sizeof size, "%-7s", text);
    snprintf(text, sizeof text, " (%.1fx)",
             v.cost.size_bits > 0 ? (double)v.cost.float_bits /
                                        (double)v.cost.size_bits
                                  : 1.0);
    /* Wider terminals have room for what follows from the average too. */
    snprintf(ratio, sizeof ratio, "%*s", ui->canvas.w >= 90 ? -8 : 0,
             ui->canvas.w >= 90 ? text : "");
    snprintf(marked, sizeof marked, "%d marked", ui->list.nmarked);
    struct group bits = {{{WG_DIM, "avg "}, {WG_TITLE, avg},
                          {WG_DIM, avg[4] ? " b" : " b "}}, 3};
    struct group bytes = {{{WG_TITLE, size}, {WG_DIM, ratio}}, 2};
    struct group marks = {{{WG_MARK, marked}}, 1};
    int x = draw_group(ui, &bits, 1);
    x = draw_group(ui, &bytes, x);
    x = draw_accuracy(ui, &v, x);
    x = draw_planes(ui, x);
    int right = ui->frame.head.w - 1 - wg_width(marked);
    if (ui->list.nmarked && x - 2 <= right)
        draw_group(ui, &marks, right);
}

/* ------------------------------------------------------------- progress
 * Nothing before 200 ms; then what, how far, how long still. */
static const struct bd_progress *shown_job(const struct ui *ui,
                                           struct bd_progress *all, int cap)
{
    size_t n = bd_session_progress(ui->s, all, (size_t)cap);
    int64_t now = bd_now_ns();
    const struct bd_progress *best = NULL;
    for (size_t i = 0; i < n && i < (size_t)cap; i++) {
        const struct bd_progress *p = &all[i];
        if (!p->running || p->total <= 0 || ui->batch ||
            now - p->started_ns < 200000000)
            continue;
        if (!best || p->started_ns > best->started_ns)
            best = p;
    }
    return best;
}

/* The time left is measured, not promised: it appears once 2 % are done. */
static bool draw_progress(struct ui *ui)
{
    struct bd_progress all[16];
    const struct bd_progress *p = shown_job(ui, all, 16);
    struct wg_rect r = ui->frame.progress;
    if (!p)
        return false;
    double f = (double)p->done / (double)p->total;
    double spent = (double)(bd_now_ns() - p->started_ns) * 1e-9;
    char left[32] = "", title[128];
    if (f > 0.02)
        ui_fmt_time(left, sizeof left, spent * (1 - f) / f);
    int x = 1 + wg_text(&ui->canvas, r, 1, 0, WG_TEXT,
                        bd_text_show(title, sizeof title, p->title, 30));
    int bar = r.w >= 100 ? 30 : r.w >= 72 ? 18 : 8;
    wg_bar(&ui->canvas, (struct wg_rect){r.x + x + 1, r.y, bar, 1}, f,
           ui->glyphs);
    x += bar + 2;
    x += wg_textf(&ui->canvas, r, x, 0, WG_NUMBER, "%3.0f%%",
                  floor(100 * f)) + 2;
    if (left[0])
        x += wg_textf(&ui->canvas, r, x, 0, WG_DIM, "%s left", left) + 3;
    bool esc = ui->screen == UI_LAYERS && !ui->over;
    x += wg_text(&ui->canvas, r, x, 0, WG_KEY, esc ? "Esc" : "Ctrl-C") + 1;
    wg_text(&ui->canvas, r, x, 0, WG_KEY_TEXT, "stops");
    return true;
}

/* ----------------------------------------------------------------- notes */
/* With nothing to say, the line tells the cursor's layer in full: the table
 * may have cut its name. */
static void draw_idle_note(struct ui *ui)
{
    char name[300], count[32], cfg[64], shape[128];
    int cur = ui->list.cur;
    if (cur < 0 || ui->list.at < 0)
        return;
    const struct bd_model *m = bd_session_model(ui->s);
    const struct bd_layer *l = &m->layer[cur];
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[cur];
    struct bd_layer_view v;
    bd_session_layer(&v, ui->s, cur);
    bd_shape_text(shape, sizeof shape, &m->value[l->weight].t);
    ui_fmt_count(count, sizeof count, v.params);
    bd_tensorcfg_text(cfg, sizeof cfg, &c->w);
    bd_text_show(name, sizeof name, l->name, 60);
    struct ui_piece p[] = {{WG_DIM, name},  {WG_DIM, "   "}, {WG_DIM, count},
                           {WG_DIM, " weights   "}, {WG_DIM, cfg}};
    ui_pieces(ui, ui->frame.note, 1, p, 5);
}

/* A prompt or question has the line to itself; else the answer to the last
 * key; else the layer under the cursor. */
static void draw_note(struct ui *ui)
{
    struct wg_rect r = ui->frame.note;
    char cut[700];
    if (ui->over && ui->over->on_note_line)
        return;
    if (ui->note.text[0])
        wg_text(&ui->canvas, r, 1, 0, ui->note.role,
                wg_cut(cut, sizeof cut, ui->note.text, r.w - 2, false));
    else if (ui->screen == UI_LAYERS)
        draw_idle_note(ui);
}

/* Labels are the screen's, keys the keymap's: a rebound key shows at once. */
static void draw_keys(struct ui *ui)
{
    const struct ui_key_label *k = ui_screen_at(ui->screen)->keys;
    struct wg_tab tab[16];
    char name[16][24];
    int n = 0;
    for (; k[n].action != UI_NONE && n < 16; n++) {
        ui_keymap_keys(name[n], sizeof name[n], &ui->keys, k[n].action, 1);
        tab[n] = (struct wg_tab){name[n], k[n].label};
    }
    wg_keybar_draw(&ui->canvas, ui->frame.keys, tab, n);
}

/* ------------------------------------------------------------ everything */
static void draw_too_small(struct ui *ui)
{
    char text[64];
    snprintf(text, sizeof text, "needs %dx%d, has %dx%d", UI_MIN_W, UI_MIN_H,
             ui->canvas.w, ui->canvas.h);
    wg_text(&ui->canvas, (struct wg_rect){0, 0, ui->canvas.w, ui->canvas.h},
            0, 0, WG_TEXT, text);
}

/* Draws everything each time.  The terminal gets only the cells that differ,
 * so this is simple and still cheap. */
void ui_draw(struct ui *ui)
{
    struct wg_canvas *c = &ui->canvas;
    const struct ui_screen *s = ui_screen_at(ui->screen);
    c->cursor_x = c->cursor_y = -1;
    wg_fill(c, (struct wg_rect){0, 0, c->w, c->h}, ' ', WG_TEXT);
    ui->dirty = false;
    if (c->w < UI_MIN_W || c->h < UI_MIN_H) {
        draw_too_small(ui);
        return;
    }
    draw_tabs(ui);
    draw_head(ui);
    s->draw(ui, ui->state[ui->screen], ui->frame.body);
    bool busy = draw_progress(ui);
    /* On small screens both share a line: a sentence or question wins. */
    bool shared = ui->frame.progress.y == ui->frame.note.y;
    if (shared && busy && (ui->note.text[0] || ui->over))
        wg_fill(c, ui->frame.note, ' ', WG_TEXT);
    if (!shared || !busy || ui->note.text[0])
        draw_note(ui);
    draw_keys(ui);
    if (ui->over)
        ui->over->draw(ui);
}
