/* The canvas: cells in memory, drawn by widgets, shown by wg_term.
 *
 * Invariant kept by set_cell(), the only writer of characters: a cell with
 * ch == 0 stands right behind a wide character, and every wide character has
 * such a cell behind it.  Overwriting one half blanks the other, so no picture
 * can hold half a character.
 *
 * Text keeps the ground it is written on, unless its role paints a ground of
 * its own (the active tab, the cursor row).  So a row may be tinted before or
 * after its text is written. */
#include "wg_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 4096 };

static struct wg_cell blank_cell(void)
{
    return (struct wg_cell){' ', 0, WG_TEXT, WG_TEXT};
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

bool wg_canvas_resize(struct wg_canvas *c, int w, int h)
{
    w = clamp(w, 0, MAX_SIDE);
    h = clamp(h, 0, MAX_SIDE);
    size_t n = (size_t)w * (size_t)h;
    struct wg_cell *cell = calloc(n ? n : 1, sizeof *cell);

    if (!cell) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        cell[i] = blank_cell();
    }
    free(c->cell);
    *c = (struct wg_canvas){w, h, cell, -1, -1};
    return true;
}

void wg_canvas_done(struct wg_canvas *c)
{
    free(c->cell);
    *c = (struct wg_canvas){.cursor_x = -1, .cursor_y = -1};
}

struct wg_cell *wg_at(struct wg_canvas *c, int x, int y)
{
    if (x < 0 || y < 0 || x >= c->w || y >= c->h) {
        return NULL;
    }
    return &c->cell[(size_t)y * (size_t)c->w + (size_t)x];
}

bool wg_role_surface(enum wg_role role)
{
    return role == WG_TAB || role == WG_TAB_ACTIVE || role == WG_CURSOR ||
           role == WG_STATUS || role == WG_INPUT || role == WG_FRAME;
}

/* ------------------------------------------------------------- one cell */

/* Blanks the other half of a wide character that (x, y) is part of. */
static void break_wide(struct wg_canvas *c, int x, int y)
{
    struct wg_cell *cell = wg_at(c, x, y);
    struct wg_cell *right = wg_at(c, x + 1, y);
    struct wg_cell *left = wg_at(c, x - 1, y);

    if (cell && left && cell->ch == 0) {
        left->ch = ' ';
        left->comb = 0;
    }
    if (right && right->ch == 0) {
        right->ch = ' ';
    }
}

/* x1: first column the cell may not touch (right edge of the rectangle). */
static void set_cell(struct wg_canvas *c, int x, int y, int x1,
                     struct wg_cell cell)
{
    struct wg_cell *at = wg_at(c, x, y);

    if (!at) {
        return;
    }
    if (cell.ch == 0) {
        cell.ch = ' ';
    }
    break_wide(c, x, y);
    if (wg_cp_width(cell.ch) == 2) {
        if (x + 1 >= x1 || x + 1 >= c->w) {
            cell.ch = ' '; /* half a character is worse than none */
            cell.comb = 0;
        } else {
            break_wide(c, x + 1, y);
            at[1] = cell;
            at[1].ch = at[1].comb = 0;
        }
    }
    *at = cell;
}

static bool inside(struct wg_rect r, int x, int y)
{
    return x >= 0 && y >= 0 && x < r.w && y < r.h;
}

void wg_put(struct wg_canvas *c, struct wg_rect r, int x, int y,
            struct wg_cell cell)
{
    if (inside(r, x, y)) {
        set_cell(c, r.x + x, r.y + y, r.x + r.w, cell);
    }
}

void wg_char(struct wg_canvas *c, struct wg_rect r, int x, int y,
             enum wg_role role, uint32_t ch)
{
    struct wg_cell *at = wg_at(c, r.x + x, r.y + y);

    if (at && inside(r, x, y)) {
        struct wg_cell cell = {ch, 0, (uint8_t)role, at->bg};
        if (wg_role_surface(role)) {
            cell.bg = (uint8_t)role;
        }
        set_cell(c, r.x + x, r.y + y, r.x + r.w, cell);
    }
}

/* ------------------------------------------------------------ rectangles */

/* r cut to the canvas. */
static struct wg_rect clip(const struct wg_canvas *c, struct wg_rect r)
{
    int x0 = clamp(r.x, 0, c->w), y0 = clamp(r.y, 0, c->h);
    int x1 = r.w > c->w - r.x ? c->w : r.x + r.w;
    int y1 = r.h > c->h - r.y ? c->h : r.y + r.h;
    return (struct wg_rect){x0, y0, x1 - x0, y1 - y0};
}

struct wg_rect wg_row(struct wg_rect r, int y)
{
    bool in = y >= 0 && y < r.h;
    return (struct wg_rect){r.x, r.y + y, r.w, in ? 1 : 0};
}

struct wg_rect wg_span(struct wg_rect r, int x, int y, int w)
{
    int x0 = clamp(x, 0, r.w < 0 ? 0 : r.w);
    int x1 = clamp(x + w, x0, r.w < x0 ? x0 : r.w);
    bool in = y >= 0 && y < r.h;
    return (struct wg_rect){r.x + x0, r.y + y, x1 - x0, in ? 1 : 0};
}

void wg_fill(struct wg_canvas *c, struct wg_rect r, uint32_t ch,
             enum wg_role role)
{
    struct wg_rect k = clip(c, r);
    struct wg_cell cell = {ch, 0, (uint8_t)role, (uint8_t)role};

    for (int y = 0; y < k.h; y++) {
        for (int x = 0; x < k.w; x++) {
            set_cell(c, k.x + x, k.y + y, k.x + k.w, cell);
        }
    }
}

void wg_tint(struct wg_canvas *c, struct wg_rect r, enum wg_role bg)
{
    struct wg_rect k = clip(c, r);

    for (int y = 0; y < k.h; y++) {
        for (int x = 0; x < k.w; x++) {
            size_t at = (size_t)(k.y + y) * (size_t)c->w + (size_t)(k.x + x);
            c->cell[at].bg = (uint8_t)bg;
        }
    }
}

/* ------------------------------------------------------------------ text */

/* A mark joins the character before it; the first one wins, so a name with a
 * hundred marks cannot pile them up. */
static void add_mark(struct wg_canvas *c, int x, int y, uint32_t mark)
{
    struct wg_cell *at = wg_at(c, x, y);

    if (at && at->ch == 0 && x > 0) {
        at--;
    }
    if (at && at->comb == 0) {
        at->comb = mark;
    }
}

int wg_text(struct wg_canvas *c, struct wg_rect r, int x, int y,
            enum wg_role role, const char *s)
{
    int at = x;

    while (*s) {
        uint32_t cp = wg_utf8_next(&s);
        int w = wg_cp_width(cp);
        if (w == 0) {
            if (at > x && inside(r, at - 1, y)) {
                add_mark(c, r.x + at - 1, r.y + y, cp);
            }
            continue;
        }
        if (at >= r.w) {
            break;
        }
        wg_char(c, r, at, y, role, cp < 32 || cp == 127 ? '?' : cp);
        at += w;
    }
    at = at > r.w ? r.w : at;
    return at > x ? at - x : 0;
}

int wg_textf(struct wg_canvas *c, struct wg_rect r, int x, int y,
             enum wg_role role, const char *fmt, ...)
{
    char buf[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return wg_text(c, r, x, y, role, buf);
}

void wg_text_right(struct wg_canvas *c, struct wg_rect r, int y,
                   enum wg_role role, const char *s)
{
    wg_text(c, r, r.w - wg_width(s), y, role, s);
}

/* ------------------------------------------------------------------ dump */

struct text {
    char *p;
    size_t len;
};

/* A letter per role: capitals in the order of the enum, scales 0-9 a-v. */
static char role_letter(unsigned role)
{
    if (role >= WG_HEAT0) {
        unsigned n = role & 31;
        return (char)(n < 10 ? '0' + n : 'a' + n - 10);
    }
    return role < 26 ? (char)('A' + role) : '*';
}

enum plane { PLANE_TEXT, PLANE_FG, PLANE_BG };

static void dump_cell(struct text *t, const struct wg_cell *cell,
                      enum plane plane)
{
    if (plane == PLANE_BG) {
        t->p[t->len++] = cell->bg == WG_TEXT ? ' ' : role_letter(cell->bg);
    } else if (plane == PLANE_FG) {
        bool plain = cell->fg == WG_TEXT || cell->ch == ' ';
        t->p[t->len++] = plain ? ' ' : role_letter(cell->fg);
    } else if (cell->ch) {
        t->len += (size_t)wg_utf8_put(t->p + t->len, cell->ch);
        if (cell->comb) {
            t->len += (size_t)wg_utf8_put(t->p + t->len, cell->comb);
        }
    }
}

static void dump_plane(struct text *t, const struct wg_canvas *c,
                       enum plane plane)
{
    for (int y = 0; y < c->h; y++) {
        size_t start = t->len;
        for (int x = 0; x < c->w; x++) {
            dump_cell(t, &c->cell[(size_t)y * (size_t)c->w + (size_t)x], plane);
        }
        while (t->len > start && t->p[t->len - 1] == ' ') {
            t->len--;
        }
        t->p[t->len++] = '\n';
    }
}

static void dump_heading(struct text *t, const char *s)
{
    memcpy(t->p + t->len, s, strlen(s));
    t->len += strlen(s);
}

char *wg_canvas_dump(const struct wg_canvas *c, bool roles)
{
    /* 8 bytes of text at most per cell, one letter in each other plane */
    size_t n = (size_t)c->w * (size_t)c->h;
    struct text t = {malloc(n * 10 + (size_t)c->h * 3 + 64), 0};

    if (!t.p) {
        return NULL;
    }
    dump_plane(&t, c, PLANE_TEXT);
    if (roles) {
        dump_heading(&t, "-- roles\n");
        dump_plane(&t, c, PLANE_FG);
        dump_heading(&t, "-- ground\n");
        dump_plane(&t, c, PLANE_BG);
    }
    t.p[t.len] = '\0';
    return t.p;
}
