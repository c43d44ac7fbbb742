/* The terminal through ncurses: entering, showing, leaving.
 *
 * Showing compares the new canvas with the one on screen and hands ncurses
 * only the cells that differ; ncurses then finds the shortest way to draw
 * them, and one doupdate() sends it.  clear() is never called.
 *
 * Leaving must work from anywhere, a crash included.  So on entering we note
 * the terminal's settings and put together one string that undoes everything
 * (struct wg_restore); a signal handler needs nothing but write() and
 * tcsetattr() to use it. */
#include "term_priv.h"

#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"
#define MOUSE_ON "\033[?1000h\033[?1006h"
#define MOUSE_OFF "\033[?1006l\033[?1000l"

/* ------------------------------------------------------------- leaving */

void wg_term_write(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return; /* the terminal is gone; wg_term_gone() will tell */
        }
        bytes += k;
        n -= (size_t)k;
    }
}

void wg_restore_now(const struct wg_restore *r)
{
    wg_term_write(r->out, r->bytes, r->n);
    tcsetattr(r->in, TCSANOW, &r->settings);
}

/* Adds a terminfo string without its "$<5>" delays. */
static void add_bytes(struct wg_restore *r, const char *s)
{
    if (!s || s == (const char *)-1) {
        return;
    }
    while (*s && r->n < sizeof r->bytes) {
        if (s[0] == '$' && s[1] == '<' && strchr(s, '>')) {
            s = strchr(s, '>') + 1;
            continue;
        }
        r->bytes[r->n++] = *s++;
    }
}

static const char *capability(const char *name)
{
    char copy[16]; /* tigetstr takes a mutable name */

    snprintf(copy, sizeof copy, "%s", name);
    const char *s = tigetstr(copy);
    return s == (const char *)-1 ? NULL : s;
}

static void prepare_restore(struct wg_restore *r)
{
    add_bytes(r, MOUSE_OFF PASTE_OFF);
    add_bytes(r, capability("rmkx"));
    add_bytes(r, capability("sgr0"));
    add_bytes(r, capability("op"));
    add_bytes(r, capability("cnorm"));
    const char *leave = capability("rmcup");
    add_bytes(r, leave ? leave : "\r\n");
}

void wg_term_restore(const struct wg_term *t, struct wg_restore *out)
{
    *out = t->restore;
}

/* ------------------------------------------------------------ entering */

static bool env_set(const char *name)
{
    const char *v = getenv(name);
    return v && *v;
}

/* The best tier the terminal offers. */
static enum wg_colors offered_colors(void)
{
    if (COLORS >= 1 << 24) {
        return WG_COLORS_TRUE;
    }
    return COLORS >= 256  ? WG_COLORS_256
           : COLORS >= 16 ? WG_COLORS_16
           : COLORS >= 8  ? WG_COLORS_8
                          : WG_COLORS_NONE;
}

/* NO_COLOR speaks for those who did not ask on the command line. */
static enum wg_colors asked_colors(const struct wg_term_opts *o)
{
    bool none = o->colors == WG_COLORS_AUTO && env_set("NO_COLOR");
    return none ? WG_COLORS_NONE : o->colors;
}

static enum wg_colors resolve_colors(enum wg_colors asked)
{
    if (asked == WG_COLORS_NONE || !has_colors()) {
        return WG_COLORS_NONE;
    }
    start_color();
    use_default_colors();
    enum wg_colors best = offered_colors();
    return asked == WG_COLORS_AUTO || asked > best ? best : asked;
}

/* Esc alone must feel instant, but over a network its followers may lag. */
static int escape_delay(void)
{
    const char *v = getenv("ESCDELAY");

    if (v && *v) {
        int ms = atoi(v);
        return ms < 1 ? 1 : ms > 5000 ? 5000 : ms;
    }
    return env_set("SSH_CONNECTION") ? 100 : 25;
}

static bool plain_terminal(void)
{
    const char *term = getenv("TERM");

    return strcmp(nl_langinfo(CODESET), "UTF-8") != 0 ||
           (term && strcmp(term, "linux") == 0);
}

static void modes_on(const struct wg_term *t)
{
    wg_term_write(t->out, PASTE_ON, strlen(PASTE_ON));
    if (t->mouse_on) {
        wg_term_write(t->out, MOUSE_ON, strlen(MOUSE_ON));
    }
}

static void modes_off(const struct wg_term *t)
{
    wg_term_write(t->out, MOUSE_OFF PASTE_OFF, strlen(MOUSE_OFF PASTE_OFF));
}

static void forget_pairs(struct wg_term *t)
{
    for (int f = 0; f < WG_ROLES; f++) {
        for (int b = 0; b < WG_ROLES; b++) {
            t->pair[f][b] = -1;
        }
    }
}

static bool start_curses(struct wg_term *t, enum wg_colors asked, char *why,
                         size_t cap)
{
    const char *term = getenv("TERM");

    t->screen = wg_term_newterm(asked);
    if (!t->screen) {
        snprintf(why, cap,
                 "the terminal type '%.40s' (TERM) is not known here; "
                 "try TERM=xterm",
                 term ? term : "");
        return false;
    }
    if (!capability("cup")) {
        endwin();
        snprintf(why, cap,
                 "a terminal of type '%.40s' cannot place its cursor; "
                 "try TERM=xterm, or 'bitdial analyze'",
                 term ? term : "");
        return false;
    }
    return true;
}

static bool prepare_curses(struct wg_term *t)
{
    raw(); /* Ctrl-C, Ctrl-Z, Ctrl-S are keys like others */
    noecho();
    nonl(); /* Enter is 13 */
    set_escdelay(escape_delay());
    t->keys = newpad(1, 1);
    if (!t->keys) {
        return false;
    }
    keypad(t->keys, TRUE);
    nodelay(t->keys, TRUE);
    meta(t->keys, TRUE);
    wg_term_define_keys();
    leaveok(stdscr, FALSE);
    scrollok(stdscr, FALSE);
    return true;
}

static struct wg_term *fail(struct wg_term *t, char *why, size_t cap,
                            const char *msg)
{
    if (msg) {
        snprintf(why, cap, "%s", msg);
    }
    if (t && t->screen) {
        endwin();
        delscreen(t->screen);
    }
    free(t);
    return NULL;
}

struct wg_term *wg_term_open(const struct wg_term_opts *o, char *why,
                             size_t cap)
{
    struct wg_term *t = calloc(1, sizeof *t);

    if (!t) {
        return fail(t, why, cap, "no memory for the screen");
    }
    t->in = t->restore.in = STDIN_FILENO;
    t->out = t->restore.out = STDOUT_FILENO;
    t->theme = wg_theme_find(o->theme ? o->theme : "dark");
    if (!t->theme) {
        return fail(t, why, cap,
                    "no such theme; there are dark, light, high-contrast "
                    "and mono");
    }
    if (!isatty(t->in) || !isatty(t->out) ||
        tcgetattr(t->in, &t->restore.settings) != 0) {
        return fail(t, why, cap,
                    "standard input and output must be a terminal");
    }
    if (!start_curses(t, asked_colors(o), why, cap)) {
        return fail(t, why, cap, NULL);
    }
    if (!prepare_curses(t)) {
        return fail(t, why, cap, "no memory for the screen");
    }
    t->colors = resolve_colors(asked_colors(o));
    t->ascii = o->ascii || plain_terminal();
    t->mouse_on = o->mouse;
    t->cursor = -1;
    t->all = true;
    forget_pairs(t);
    prepare_restore(&t->restore);
    wg_term_sync_size(t);
    modes_on(t);
    return t;
}

void wg_term_close(struct wg_term *t)
{
    if (!t) {
        return;
    }
    modes_off(t);
    delwin(t->keys);
    endwin();
    tcsetattr(t->in, TCSANOW, &t->restore.settings);
    delscreen(t->screen);
    wg_canvas_done(&t->shown);
    wg_canvas_done(&t->next);
    free(t->paste);
    free(t);
}

/* -------------------------------------------------------- size and mood */

bool wg_term_sync_size(struct wg_term *t)
{
    struct winsize ws;
    int w = COLS, h = LINES;

    if (ioctl(t->out, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
        w = ws.ws_col;
        h = ws.ws_row;
    }
    if (w != COLS || h != LINES) {
        resizeterm(h, w);
    }
    bool changed = w != t->w || h != t->h;
    t->w = w;
    t->h = h;
    t->all = t->all || changed;
    return changed;
}

void wg_term_size(const struct wg_term *t, int *w, int *h)
{
    *w = t->w;
    *h = t->h;
}

enum wg_glyphs wg_term_glyphs(const struct wg_term *t)
{
    return t->ascii ? WG_ASCII : WG_BLOCKS;
}

enum wg_colors wg_term_colors(const struct wg_term *t)
{
    return wg_theme_is_mono(t->theme) ? WG_COLORS_NONE : t->colors;
}

bool wg_term_theme(struct wg_term *t, const char *name)
{
    const struct wg_theme *th = wg_theme_find(name);

    if (!th) {
        return false;
    }
    t->theme = th;
    t->all = true;
    forget_pairs(t);
    return true;
}

void wg_term_mouse(struct wg_term *t, bool on)
{
    const char *s = on ? MOUSE_ON : MOUSE_OFF;

    t->mouse_on = on;
    wg_term_write(t->out, s, strlen(s));
}

/* ------------------------------------------------------------- showing */

static int pair_of(struct wg_term *t, const struct wg_cell *cell,
                   const struct wg_look *look)
{
    int *pair = &t->pair[cell->fg % WG_ROLES][cell->bg % WG_ROLES];

    if (*pair < 0) {
        bool own = look->fg < 0 && look->bg < 0;
        *pair = own ? 0 : alloc_pair(look->fg, look->bg);
        *pair = *pair < 0 ? 0 : *pair;
    }
    return *pair;
}

static attr_t attributes(unsigned attr)
{
    return (attr & WG_A_BOLD ? A_BOLD : 0) | (attr & WG_A_DIM ? A_DIM : 0) |
           (attr & WG_A_UNDER ? A_UNDERLINE : 0) |
           (attr & WG_A_REV ? A_REVERSE : 0);
}

static void send_cell(struct wg_term *t, int x, int y,
                      const struct wg_cell *cell)
{
    struct wg_look look = wg_theme_look(t->theme, t->colors, cell);
    wchar_t text[3] = {(wchar_t)cell->ch, (wchar_t)cell->comb, 0};
    bool colors = wg_term_colors(t) != WG_COLORS_NONE;
    int pair = colors ? pair_of(t, cell, &look) : 0;
    cchar_t cc;

    if (setcchar(&cc, text, attributes(look.attr), 0, &pair) == OK) {
        /* unlike add_wch this neither moves nor scrolls at the last cell */
        mvwadd_wchnstr(stdscr, y, x, &cc, 1);
    }
}

static bool same(const struct wg_cell *a, const struct wg_cell *b)
{
    return a->ch == b->ch && a->comb == b->comb && a->fg == b->fg &&
           a->bg == b->bg;
}

static bool same_size(const struct wg_canvas *a, const struct wg_canvas *b)
{
    return a->w == b->w && a->h == b->h;
}

/* Brings t->next to c, folded to what the terminal can show. */
static bool prepare_next(struct wg_term *t, const struct wg_canvas *c)
{
    if (!same_size(&t->shown, c)) {
        t->all = true;
        if (!wg_canvas_resize(&t->shown, c->w, c->h)) {
            return false;
        }
    }
    if (!same_size(&t->next, c) && !wg_canvas_resize(&t->next, c->w, c->h)) {
        return false;
    }
    memcpy(t->next.cell, c->cell,
           (size_t)c->w * (size_t)c->h * sizeof *c->cell);
    wg_canvas_fold(&t->next, t->ascii, wg_term_colors(t) == WG_COLORS_NONE);
    return true;
}

static void send_changes(struct wg_term *t)
{
    int w = t->next.w < COLS ? t->next.w : COLS;
    int h = t->next.h < LINES ? t->next.h : LINES;

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            size_t at = (size_t)y * (size_t)t->next.w + (size_t)x;
            struct wg_cell *now = &t->next.cell[at];
            struct wg_cell *old = &t->shown.cell[at];
            if (now->ch != 0 && (t->all || !same(now, old))) {
                send_cell(t, x, y, now);
            }
            *old = *now;
        }
    }
}

static void place_cursor(struct wg_term *t, const struct wg_canvas *c)
{
    bool on = c->cursor_x >= 0 && c->cursor_y >= 0 && c->cursor_x < COLS &&
              c->cursor_y < LINES;

    if (on) {
        move(c->cursor_y, c->cursor_x);
    }
    if (t->cursor != on) {
        curs_set(on);
        t->cursor = on;
    }
}

void wg_term_show(struct wg_term *t, const struct wg_canvas *c)
{
    if (!prepare_next(t, c)) {
        t->all = true; /* no memory: the old picture stays until there is */
        return;
    }
    if (t->all) {
        erase(); /* in memory only: cells beyond the canvas */
    }
    send_changes(t);
    t->all = false;
    place_cursor(t, c);
    wnoutrefresh(stdscr);
    doupdate();
}

void wg_term_redraw(struct wg_term *t)
{
    t->all = true;
    clearok(curscr, TRUE); /* what is on the glass is unknown */
}

/* ----------------------------------------------------- stop and go, copy */

void wg_term_resume(struct wg_term *t)
{
    reset_prog_mode();
    clearok(curscr, TRUE);
    doupdate(); /* re-enters the alternate screen */
    t->cursor = -1;
    t->all = true;
    modes_on(t);
}

void wg_term_suspend(struct wg_term *t)
{
    struct sigaction def = {.sa_handler = SIG_DFL}, old;
    sigset_t stop, mask;

    modes_off(t);
    endwin();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigemptyset(&def.sa_mask);
    sigaction(SIGTSTP, &def, &old);
    sigprocmask(SIG_UNBLOCK, &stop, &mask);
    kill(0, SIGTSTP); /* the whole job, as the terminal would have done */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &old, NULL);
    wg_term_resume(t);
}

size_t wg_base64(char *out, const unsigned char *in, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = out;

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < n ? in[i + k] : 0u);
        }
        *p++ = digit[v >> 18];
        *p++ = digit[v >> 12 & 63];
        *p++ = i + 1 < n ? digit[v >> 6 & 63] : '=';
        *p++ = i + 2 < n ? digit[v & 63] : '=';
    }
    *p = '\0';
    return (size_t)(p - out);
}

void wg_term_copy(struct wg_term *t, const char *text)
{
    size_t n = strnlen(text, 74000); /* terminals refuse more */
    char *out = malloc(n / 3 * 4 + 32);

    if (!out) {
        return;
    }
    size_t len = (size_t)sprintf(out, "\033]52;c;");
    len += wg_base64(out + len, (const unsigned char *)text, n);
    out[len++] = '\a';
    wg_term_write(t->out, out, len);
    free(out);
}
