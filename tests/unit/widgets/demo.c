/* A gallery of the widgets, to look at: not a test, not installed.
 *   widgets_demo [theme] [ascii] [mono|8|16|256|true]
 * Digits choose a scene, t the next theme, arrows move, q leaves. */
#include "wg.h"

#include <locale.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NBINS = 256, ROWS = 40 };

struct demo {
    struct wg_term *t;
    struct wg_canvas c;
    struct wg_table table;
    struct wg_heat heat;
    struct wg_menu menu;
    struct wg_pager pager;
    struct wg_input input;
    int64_t bins[NBINS], quant[NBINS];
    double level[31];
    struct wg_cell spark[12];
    int scene, theme;
};

static const struct wg_tab tabs[] = {
    {"1", "Layers"},
    {"2", "Layer"},
    {"3", "Channels"},
    {"8", "Export"},
};
static const struct wg_tab keys[] = {
    {"F1", "Help"},    {"/", "Find"},   {"+ -", "bits"},
    {"b", "set"},      {"m", "method"}, {"c", "clip"},
    {"Space", "mark"}, {"u", "undo"},   {":", "command"},
};
static const struct wg_column columns[] = {
    {"", 1, 1, 0, false, false},          {"layer", 12, 20, 0, false, true},
    {"op", 4, 5, 3, false, false},        {"shape", 11, 12, 4, false, false},
    {"W", 2, 2, 0, true, false},          {"A", 2, 2, 0, true, false},
    {"method", 6, 7, 5, false, false},    {"PSNR", 5, 6, 0, true, false},
    {"KB", 6, 7, 2, true, false},         {"SQNR", 5, 6, 1, true, false},
    {"weights", 12, 12, 6, false, false},
};

static void cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    struct demo *d = arg;
    static const char *const op[] = {"Conv", "Gemm"};
    double psnr = 20 + 13 * fabs(sin(row * 1.7));

    switch (col) {
    case 0:
        snprintf(out->text, sizeof out->text, "%s",
                 row % 7 == 4   ? "!"
                 : row % 5 == 2 ? "*"
                                : "");
        out->role = row % 7 == 4 ? WG_BAD : WG_MARK;
        break;
    case 1:
        snprintf(out->text, sizeof out->text, "layer%d.%d.conv%d", row / 4 + 1,
                 row / 2 % 2, row % 2 + 1);
        break;
    case 2:
        snprintf(out->text, sizeof out->text, "%s", op[row == ROWS - 1]);
        out->role = WG_DIM;
        break;
    case 3:
        snprintf(out->text, sizeof out->text, "%dx%dx3x3", 16 << row / 14,
                 16 << row / 14);
        out->role = WG_DIM;
        break;
    case 4:
        snprintf(out->text, sizeof out->text, "%d", row ? 4 + row % 2 : 8);
        break;
    case 5:
        snprintf(out->text, sizeof out->text, "%d", 8);
        break;
    case 6:
        snprintf(out->text, sizeof out->text, "apot");
        out->role = WG_DIM;
        break;
    case 7:
        snprintf(out->text, sizeof out->text, row == 3 ? "~%.1f" : "%.1f",
                 psnr);
        out->role = row == 3 ? WG_STALE : psnr < 22 ? WG_WARN : WG_TEXT;
        break;
    case 8:
        snprintf(out->text, sizeof out->text, "%.1f", 2.25 * (1 << row / 14));
        break;
    case 9:
        snprintf(out->text, sizeof out->text, "%.1f", psnr - 9);
        break;
    default:
        wg_spark(d->spark, 12, d->bins, NBINS, wg_term_glyphs(d->t));
        out->cells = d->spark;
        out->ncells = 12;
    }
}

static double heat(void *arg, int row, int col)
{
    (void)arg;
    return 0.5 + 0.5 * sin(row * 0.4) * cos(col * 0.21);
}

static const char *item(void *arg, int i)
{
    static const char *const name[] = {"bits up", "bits down", "method",
                                       "clip rule", "export"};
    (void)arg;
    return name[i % 5];
}

static const char *key(void *arg, int i)
{
    static const char *const name[] = {"+", "-", "m", "c", "8"};
    (void)arg;
    return name[i % 5];
}

static const char *line(void *arg, int i)
{
    static const char *const text[] = {"+        one more bit for this layer",
                                       "-        one bit fewer",
                                       "b        set the bits"};
    (void)arg;
    return text[i % 3];
}

static void fill_data(struct demo *d)
{
    for (int i = 0; i < 31; i++) {
        double x = (i - 15) / 15.0;
        d->level[i] = 0.173 * x * fabs(x);
    }
    for (int i = 0; i < NBINS; i++) {
        double v = (i + 0.5) / NBINS * 0.5 - 0.25, z = v / 0.055;
        d->bins[i] = (int64_t)(900 * exp(-z * z / 2) + 3 * exp(-z * z / 9));
        int best = 0;
        for (int k = 1; k < 31; k++) {
            if (fabs(d->level[k] - v) < fabs(d->level[best] - v)) {
                best = k;
            }
        }
        d->quant[(int)((d->level[best] + 0.25) / 0.5 * NBINS)] += d->bins[i];
    }
}

static void draw_list(struct demo *d, struct wg_rect r)
{
    wg_table_scroll(&d->table, r.h - 1);
    wg_table_draw(&d->c, r, &d->table, wg_term_glyphs(d->t));
}

static void draw_layer(struct demo *d, struct wg_rect r, bool overlay)
{
    struct wg_hist h = {
        d->bins, NBINS, -0.25, 0.25, d->level, 31, overlay ? d->quant : NULL,
        -0.173,  0.173, 20,    false};
    static const char *const name[] = {"PSNR", "SQNR", "MSE", "clipped",
                                       "levels"};
    static const char *const value[] = {"31.02 dB", "22.61 dB", "2.41e-05",
                                        "0.11 %", "31 of 31"};
    struct wg_rect side = {r.x + r.w - 22, r.y + 1, 22, r.h - 1};

    wg_text(&d->c, r, 1, 0, WG_TITLE, "layer1.0.conv2");
    wg_text(&d->c, r, 17, 0, WG_DIM,
            "64x64x3x3   36 864 weights   5 bits apot");
    for (int i = 0; i < 5; i++) {
        wg_text(&d->c, side, 0, i + 1, WG_DIM, name[i]);
        wg_text(&d->c, side, 9, i + 1, WG_TEXT, value[i]);
    }
    wg_hist_draw(&d->c, (struct wg_rect){r.x, r.y + 2, r.w - 24, r.h - 2}, &h,
                 wg_term_glyphs(d->t));
}

static void draw_heat(struct demo *d, struct wg_rect r)
{
    struct wg_heat *h = &d->heat;

    wg_heat_scroll(h, r, wg_term_glyphs(d->t));
    wg_heat_draw(&d->c, r, h, wg_term_glyphs(d->t));
}

static void draw_scene(struct demo *d, struct wg_rect r)
{
    switch (d->scene) {
    case 0:
        if (r.w >= 120) {
            draw_list(d, (struct wg_rect){r.x, r.y, 66, r.h});
            draw_layer(d, (struct wg_rect){68, r.y, r.w - 68, r.h / 2}, false);
        } else {
            draw_list(d, r);
        }
        break;
    case 1:
    case 2:
        draw_layer(d, r, d->scene == 2);
        break;
    case 3:
    case 4:
        d->heat.diverging = d->scene == 4;
        draw_heat(d, r);
        break;
    default:
        draw_list(d, r);
        wg_menu_draw(&d->c, (struct wg_rect){8, 5, 34, 9}, &d->menu,
                     wg_term_glyphs(d->t));
        wg_pager_draw(&d->c, (struct wg_rect){40, 8, 36, 10}, &d->pager,
                      wg_term_glyphs(d->t));
        wg_input_draw(&d->c, (struct wg_rect){1, r.y + r.h - 1, r.w - 2, 1},
                      &d->input, ":");
    }
}

static void draw(struct demo *d)
{
    int w, h;

    wg_term_size(d->t, &w, &h);
    if (!wg_canvas_resize(&d->c, w, h)) {
        exit(1);
    }
    wg_tabs_draw(&d->c, (struct wg_rect){0, 0, w, 1}, tabs, 4, d->scene ? 1 : 0,
                 "glyphs_resnet20.onnx");
    struct wg_rect status = {1, 1, w - 2, 1};
    int x = wg_text(&d->c, status, 0, 0, WG_TEXT, "avg 4.52 b");
    x += wg_text(&d->c, status, x, 0, WG_DIM, " of 4.50   ");
    x += wg_text(&d->c, status, x, 0, WG_TEXT, "6.61 MB");
    x += wg_text(&d->c, status, x, 0, WG_DIM, " 7.1x   top-1 ");
    x += wg_text(&d->c, status, x, 0, WG_PARTIAL, "68.9 \u00b12.8");
    wg_text(&d->c, status, x, 0, WG_DIM, " 1024/10000");
    draw_scene(d, (struct wg_rect){0, 3, w, h - 6});
    x = wg_text(&d->c, (struct wg_rect){1, h - 2, w - 2, 1}, 0, 0, WG_DIM,
                "accuracy ");
    wg_bar(&d->c, (struct wg_rect){1 + x, h - 2, 24, 1}, 0.43,
           wg_term_glyphs(d->t));
    wg_text(&d->c, (struct wg_rect){28 + x, h - 2, w - 28, 1}, 0, 0, WG_DIM,
            "43%  41 s left  Esc cancels");
    wg_keybar_draw(&d->c, (struct wg_rect){0, h - 1, w, 1}, keys, 9);
    wg_term_show(d->t, &d->c);
}

static bool step(struct demo *d, int k)
{
    if (k == 'q') {
        return false;
    }
    if (k >= '1' && k <= '6') {
        d->scene = k - '1';
    } else if (k == 't') {
        d->theme = (d->theme + 1) % 4;
        wg_term_theme(d->t, wg_theme_names[d->theme]);
    } else if (k == 26) {
        wg_term_suspend(d->t);
    } else if (k == 12) {
        wg_term_redraw(d->t);
    } else if (k == WG_KEY_DOWN || k == WG_KEY_UP) {
        d->table.cursor += k == WG_KEY_DOWN ? 1 : -1;
        d->heat.cur_row += k == WG_KEY_DOWN ? 1 : -1;
        wg_menu_key(&d->menu, k);
        wg_pager_key(&d->pager, k);
    } else {
        wg_input_key(&d->input, k);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const char *const tier[] = {"auto", "mono", "8",
                                       "16",   "256",  "true"};
    static struct demo d;
    struct wg_term_opts o = {.theme = "dark", .mouse = true};
    char why[256];
    bool on = true;

    setlocale(LC_ALL, "");
    for (int i = 1; i < argc; i++) {
        o.ascii = o.ascii || strcmp(argv[i], "ascii") == 0;
        for (int k = 0; wg_theme_names[k]; k++) {
            if (strcmp(argv[i], wg_theme_names[k]) == 0) {
                o.theme = wg_theme_names[d.theme = k];
            }
        }
        for (int k = 1; k < 6; k++) {
            o.colors =
                strcmp(argv[i], tier[k]) == 0 ? (enum wg_colors)k : o.colors;
        }
    }
    fill_data(&d);
    d.table =
        (struct wg_table){columns, 11, ROWS, 0, 3, 7, true, cell, NULL, &d};
    d.heat = (struct wg_heat){64, 200, 0, 0, 5, 9, heat, &d, false, 1};
    d.menu = (struct wg_menu){
        .title = "Commands", .n = 12, .item = item, .right = key};
    d.pager = (struct wg_pager){.title = "Help", .n = 30, .line = line};
    wg_input_set(&d.input, "bits layer1.* 4");
    d.t = wg_term_open(&o, why, sizeof why);
    if (!d.t) {
        fprintf(stderr, "%s\n", why);
        return 2;
    }
    while (on && !wg_term_gone(d.t)) {
        struct pollfd p = {.fd = 0, .events = POLLIN};
        draw(&d);
        poll(&p, 1, 1000);
        for (int k; on && (k = wg_term_key(d.t)) != WG_KEY_NONE;) {
            on = step(&d, k);
        }
    }
    wg_term_close(d.t);
    wg_canvas_done(&d.c);
    return 0;
}
