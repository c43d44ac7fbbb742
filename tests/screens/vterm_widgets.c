/* The real byte stream: a program on a pseudo-terminal draws through wg_term,
 * libvterm plays the terminal, and what appears there must be the canvas.
 * Keys go the other way; leaving, dying, stopping and hanging up are looked at
 * from outside.
 *
 * The program under test is this file too: run_child(), started through a
 * small "shell" process, so that job control has someone to return to. */
#include "wg.h"
#include "wg_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>
#include <vterm.h>

enum { W = 60, H = 12, GONE = 9, STOPPED = 100, PATIENCE_MS = 5000 };

/* --------------------------------------------------- the program on the pty */

static struct wg_restore restore_bytes; /* what a handler may use */

static void on_crash(int sig)
{
    wg_restore_now(&restore_bytes);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void draw(struct wg_canvas *c, int w, int h, const char *message)
{
    struct wg_rect all = {0, 0, w, h};

    if (!wg_canvas_resize(c, w, h)) {
        _exit(50);
    }
    wg_text(c, all, 0, 0, WG_TITLE, message);
    wg_text(c, all, 0, 1, WG_BAD, "bad");
    wg_text(c, all, 6, 1, WG_GRID, "grid \u00e9\u5c64e\u0301");
    wg_text(c, all, 0, 2, WG_TEXT, "cursor row");
    wg_tint(c, wg_row(all, 2), WG_CURSOR);
    for (int x = 0; x < 32; x++) {
        struct wg_cell cell = {0x2580, 0, (uint8_t)(WG_HEAT0 + x),
                               (uint8_t)(WG_DIV0 + x)};
        wg_put(c, all, x, 3, cell);
    }
    wg_bar(c, wg_span(all, 0, 4, 20), 0.6, WG_BLOCKS);
    wg_text(c, all, w - 3, h - 1, WG_TEXT, "end"); /* the last cell */
    c->cursor_x = 2;
    c->cursor_y = 5;
}

static void describe(struct wg_term *t, int key, char *out, size_t cap)
{
    char name[32];
    struct wg_mouse m = wg_term_last_mouse(t);
    int w, h;

    wg_term_size(t, &w, &h);
    if (key == WG_KEY_PASTE) {
        snprintf(out, cap, "[paste %.40s]", wg_term_paste(t));
    } else if (key == WG_KEY_MOUSE) {
        snprintf(out, cap, "[mouse %d %d %d]", (int)m.what, m.x, m.y);
    } else if (key == WG_KEY_RESIZE) {
        snprintf(out, cap, "[size %dx%d]", w, h);
    } else {
        snprintf(out, cap, "[key %s]", wg_key_name(name, sizeof name, key));
    }
}

/* What some keys do; the rest are only described. */
static void obey(struct wg_term *t, int key)
{
    switch (key) {
    case 'q':
        wg_term_close(t);
        _exit(0);
    case 'X':
        raise(SIGSEGV);
        break;
    case 'A':
        abort();
    case 26:
        wg_term_suspend(t);
        break;
    case 'L':
        wg_term_theme(t, "light");
        break;
    case 'R':
        wg_term_redraw(t);
        break;
    case 'C':
        wg_term_copy(t, "copied");
        break;
    default:
        break;
    }
}

static void run_child(const struct wg_term_opts *o)
{
    struct wg_canvas c = {0};
    char why[256], message[64] = "[ready]";
    struct wg_term *t = wg_term_open(o, why, sizeof why);
    int w, h, key;

    if (!t) {
        fprintf(stderr, "%s\n", why);
        _exit(2);
    }
    wg_term_restore(t, &restore_bytes);
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGHUP, SIG_IGN);
    while (!wg_term_gone(t)) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        wg_term_size(t, &w, &h);
        draw(&c, w, h, message);
        wg_term_show(t, &c);
        poll(&p, 1, 1200);
        while ((key = wg_term_key(t)) != WG_KEY_NONE) {
            describe(t, key, message, sizeof message);
            obey(t, key);
        }
    }
    _exit(GONE);
}

/* A shell in miniature: starts the program as a job of its own, continues it
 * when it stops, and passes on how it ended. */
static void run_shell(const struct wg_term_opts *o)
{
    int status, stopped = 0;
    pid_t job = fork();

    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    setpgid(job, job);
    tcsetpgrp(0, job ? job : getpid());
    if (job == 0) {
        signal(SIGTTOU, SIG_DFL);
        run_child(o);
    }
    while (waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status)) {
        stopped = STOPPED;
        tcsetpgrp(0, job);
        kill(-job, SIGCONT);
    }
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                              : WEXITSTATUS(status) + stopped);
}

/* ------------------------------------------------------------ the terminal */

struct terminal {
    int fd;
    pid_t pid;
    VTerm *vt;
    VTermScreen *screen;
    struct termios before;
    int cursor_visible, alternate, mouse;
    char *raw; /* all bytes since the last mark */
    size_t len, cap;
};

static int on_property(VTermProp prop, VTermValue *v, void *arg)
{
    struct terminal *m = arg;

    if (prop == VTERM_PROP_CURSORVISIBLE) {
        m->cursor_visible = v->boolean;
    } else if (prop == VTERM_PROP_ALTSCREEN) {
        m->alternate = v->boolean;
    } else if (prop == VTERM_PROP_MOUSE) {
        m->mouse = v->number;
    }
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_property};

/* Environment of the program: name, value pairs; "" unsets. */
static void set_environment(const char *const *env)
{
    unsetenv("NO_COLOR");
    unsetenv("COLORTERM");
    unsetenv("SSH_CONNECTION");
    unsetenv("TERMINFO");
    unsetenv("ESCDELAY");
    unsetenv("LINES");
    unsetenv("COLUMNS");
    setenv("TERM", "xterm-256color", 1);
    for (; env && *env; env += 2) {
        setenv(env[0], env[1], 1);
    }
}

static struct terminal *start(const char *const *env,
                              const struct wg_term_opts *o)
{
    struct terminal *m = calloc(1, sizeof *m);
    struct winsize size = {H, W, 0, 0};
    int slave;

    assert_non_null(m);
    assert_int_equal(openpty(&m->fd, &slave, NULL, NULL, &size), 0);
    tcgetattr(slave, &m->before);
    m->vt = vterm_new(H, W);
    vterm_set_utf8(m->vt, 1);
    m->screen = vterm_obtain_screen(m->vt);
    vterm_screen_enable_altscreen(m->screen, 1);
    vterm_screen_set_callbacks(m->screen, &callbacks, m);
    m->cursor_visible = 1;
    vterm_screen_reset(m->screen, 1);
    m->pid = fork();
    if (m->pid == 0) {
        close(m->fd);
        login_tty(slave);
        set_environment(env);
        run_shell(o);
    }
    close(slave);
    return m;
}

static void keep(struct terminal *m, const char *bytes, size_t n)
{
    if (m->len + n + 1 > m->cap) {
        m->cap = (m->cap + n) * 2 + 4096;
        m->raw = realloc(m->raw, m->cap);
        assert_non_null(m->raw);
    }
    memcpy(m->raw + m->len, bytes, n);
    m->len += n;
    m->raw[m->len] = '\0';
}

/* Takes what the program writes until it is quiet for `ms`; false at its end. */
static bool pump(struct terminal *m, int ms)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};
    char buf[4096];

    while (poll(&p, 1, ms) > 0) {
        ssize_t n = read(m->fd, buf, sizeof buf);
        if (n <= 0) {
            return false;
        }
        keep(m, buf, (size_t)n);
        vterm_input_write(m->vt, buf, (size_t)n);
    }
    return true;
}

static void type(struct terminal *m, const char *bytes)
{
    assert_int_equal(write(m->fd, bytes, strlen(bytes)), strlen(bytes));
}

static void row_text(struct terminal *m, int row, char *out, size_t cap)
{
    VTermRect r = {row, row + 1, 0, W};
    size_t n = vterm_screen_get_text(m->screen, out, cap - 1, r);

    out[n < cap ? n : cap - 1] = '\0';
}

/* Waits until the first row begins with `want`. */
static void await(struct terminal *m, const char *want)
{
    char text[512] = "";

    for (int i = 0; i < PATIENCE_MS / 20; i++) {
        pump(m, 20);
        row_text(m, 0, text, sizeof text);
        if (strncmp(text, want, strlen(want)) == 0) {
            pump(m, 40);
            return;
        }
    }
    fail_msg("waited for '%s', there is '%s'", want, text);
}

static int finish(struct terminal *m)
{
    int status = 0;

    pump(m, PATIENCE_MS);
    waitpid(m->pid, &status, 0);
    vterm_free(m->vt);
    close(m->fd);
    free(m->raw);
    free(m);
    return WEXITSTATUS(status);
}

/* ------------------------------------------------------------- comparisons */

static bool color_is(const VTermColor *got, int want, enum wg_colors tier,
                     bool fg)
{
    if (want < 0) {
        return fg ? VTERM_COLOR_IS_DEFAULT_FG(got)
                  : VTERM_COLOR_IS_DEFAULT_BG(got);
    }
    if (tier == WG_COLORS_TRUE) {
        return VTERM_COLOR_IS_RGB(got) && got->rgb.red == (want >> 16 & 255) &&
               got->rgb.green == (want >> 8 & 255) &&
               got->rgb.blue == (want & 255);
    }
    return VTERM_COLOR_IS_INDEXED(got) && got->indexed.idx == want;
}

static void same_cell(struct terminal *m, const struct wg_cell *cell, int x,
                      int y, const struct wg_look *look, enum wg_colors tier)
{
    VTermScreenCell got = {0};

    vterm_screen_get_cell(m->screen, (VTermPos){y, x}, &got);
    uint32_t ch = got.chars[0] ? got.chars[0] : ' ';
    if (ch != cell->ch || got.chars[1] != cell->comb) {
        fail_msg("U+%04X at %d,%d instead of U+%04X", ch, x, y, cell->ch);
    }
    bool rev = look->attr & WG_A_REV;
    bool blank = ch == ' ' && !rev; /* ink of a blank is nobody's business */
    if ((!blank && !color_is(&got.fg, look->fg, tier, true)) ||
        !color_is(&got.bg, look->bg, tier, false)) {
        fail_msg("colours at %d,%d (role %d on %d)", x, y, cell->fg, cell->bg);
    }
    if (!blank && (got.attrs.bold != !!(look->attr & WG_A_BOLD) ||
                   got.attrs.reverse != rev)) {
        fail_msg("attributes at %d,%d", x, y);
    }
}

/* The whole screen against the same canvas drawn here. */
static void same_picture(struct terminal *m, const char *theme,
                         enum wg_colors tier, const char *message)
{
    struct wg_canvas c = {0};
    const struct wg_theme *th = wg_theme_find(theme);
    bool mono = tier == WG_COLORS_NONE || wg_theme_is_mono(th);

    draw(&c, W, H, message);
    wg_canvas_fold(&c, false, mono);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            const struct wg_cell *cell = &c.cell[y * W + x];
            struct wg_look look = wg_theme_look(th, tier, cell);
            if (cell->ch != 0) {
                same_cell(m, cell, x, y, &look, tier);
            }
        }
    }
    wg_canvas_done(&c);
}

static void same_settings(struct terminal *m)
{
    struct termios now;

    assert_int_equal(tcgetattr(m->fd, &now), 0);
    assert_int_equal(now.c_iflag, m->before.c_iflag);
    assert_int_equal(now.c_oflag, m->before.c_oflag);
    assert_int_equal(now.c_cflag, m->before.c_cflag);
    assert_int_equal(now.c_lflag, m->before.c_lflag);
    assert_memory_equal(now.c_cc, m->before.c_cc, sizeof now.c_cc);
}

/* The last of "on" and "off" in the bytes is "off". */
static bool switched_off(const struct terminal *m, const char *on,
                         const char *off)
{
    const char *last_on = NULL, *last_off = NULL;

    for (const char *p = m->raw; (p = strstr(p, on)); p++) {
        last_on = p;
    }
    for (const char *p = m->raw; (p = strstr(p, off)); p++) {
        last_off = p;
    }
    return last_on && last_off && last_off > last_on;
}

static void is_restored(struct terminal *m)
{
    assert_false(m->alternate);
    assert_true(m->cursor_visible);
    assert_int_equal(m->mouse, 0);
    assert_true(switched_off(m, "\033[?2004h", "\033[?2004l"));
    same_settings(m);
}

/* ------------------------------------------------------------------ tests */

static const struct wg_term_opts dark = {.theme = "dark", .mouse = true};

static void colours_by_tier(void **state)
{
    static const struct {
        const char *env[5];
        struct wg_term_opts o;
        enum wg_colors tier;
    } table[] = {
        {{NULL}, {.theme = "dark"}, WG_COLORS_256},
        {{NULL}, {.theme = "light"}, WG_COLORS_256},
        {{"COLORTERM", "truecolor", NULL}, {.theme = "dark"}, WG_COLORS_TRUE},
        {{NULL}, {.theme = "light", .colors = WG_COLORS_TRUE}, WG_COLORS_TRUE},
        {{"TERM", "xterm", NULL}, {.theme = "dark"}, WG_COLORS_8},
        {{NULL}, {.theme = "dark", .colors = WG_COLORS_16}, WG_COLORS_16},
        {{"NO_COLOR", "1", NULL}, {.theme = "dark"}, WG_COLORS_NONE},
        {{NULL}, {.theme = "mono"}, WG_COLORS_256},
        {{NULL}, {.theme = "high-contrast"}, WG_COLORS_256},
        {{"TERM", "tmux-256color", "COLORTERM", "24bit", NULL},
         {.theme = "dark"},
         WG_COLORS_TRUE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct terminal *m = start(table[i].env, &table[i].o);
        await(m, "[ready]");
        same_picture(m, table[i].o.theme, table[i].tier, "[ready]");
        type(m, "q");
        pump(m, PATIENCE_MS);
        is_restored(m);
        assert_int_equal(finish(m), 0);
    }
}

static void keys_arrive(void **state)
{
    static const struct {
        const char *bytes, *shown;
    } table[] = {
        {"\033[A", "[key <Up>]"},
        {"\033OB", "[key <Down>]"},
        {"\033[5~", "[key <PgUp>]"},
        {"\033[H", "[key <Home>]"},
        {"\033[4~", "[key <End>]"},
        {"\033[Z", "[key <S-Tab>]"},
        {"\033OP", "[key F1]"},
        {"\033[21~", "[key F10]"},
        {"\033[3~", "[key <Del>]"},
        {"\033", "[key <Esc>]"},
        {"\r", "[key <Enter>]"},
        {"\t", "[key <Tab>]"},
        {"\004", "[key Ctrl-D]"},
        {"\003", "[key Ctrl-C]"},
        {"\023", "[key Ctrl-S]"},
        {"\177", "[key <Backspace>]"},
        {"\u00e9", "[key \u00e9]"},
        {" ", "[key <Space>]"},
        {"\033[<0;5;3M", "[mouse 0 4 2]"},
        {"\033[<16;6;4M", "[mouse 1 5 3]"},
        {"\033[<64;1;1M", "[mouse 2 0 0]"},
        {"\033[<65;60;12M", "[mouse 3 59 11]"},
        {"\033[200~q qq\033[Ax\033[201~", "[paste q qqx]"},
        {"\033[200~\u5c64\033[201~", "[paste \u5c64]"},
        {"\377\200\303z", "[key z]"}, /* bytes that make no character */
        {"\360\237\230\200", "[key \U0001f600]"},
    };
    struct terminal *m = start(NULL, &dark);

    (void)state;
    await(m, "[ready]");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        type(m, table[i].bytes);
        await(m, table[i].shown);
    }
    type(m, "\345"); /* in pieces */
    pump(m, 60);
    type(m, "\261\244");
    await(m, "[key \u5c64]");
    /* nothing of ours: a release, a far click, an unknown sequence */
    type(m, "\033[<0;5;3m\033[<0;500;3M\033[99~");
    type(m, "z");
    await(m, "[key z]");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* The closing bracket is lost: a second later keys are keys again. */
static void lost_paste_bracket_locks_nobody_out(void **state)
{
    struct terminal *m = start(NULL, &dark);

    (void)state;
    await(m, "[ready]");
    type(m, "\033[200~lost");
    await(m, "[paste lost]");
    type(m, "z");
    await(m, "[key z]");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* Any bytes at all, those that have a meaning here left out: afterwards the
 * program lives and reads keys. */
static void noise_does_no_harm(void **state)
{
    static const char *const piece[] = {
        "\033[", "\033[<", "\033[200~", "\033[201~", "\033O", "1;5", "\033[M"};
    struct terminal *m = start(NULL, &dark);
    unsigned r = 1;

    (void)state;
    await(m, "[ready]");
    for (int i = 0; i < 4000; i++) {
        char byte[2] = {0};
        r = r * 1664525u + 1013904223u;
        byte[0] = (char)(r >> 24);
        bool meant = byte[0] == 26 || strchr("qXALRC", byte[0]);
        type(m, r >> 16 & 7 ? (meant ? "." : byte) : piece[(r >> 8) % 7]);
        pump(m, 0);
    }
    type(m, "\033[201~\033[201~");
    pump(m, 300);
    type(m, "z");
    await(m, "[key z]");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

static void only_changes_are_sent(void **state)
{
    struct terminal *m = start(NULL, &dark);

    (void)state;
    await(m, "[ready]");
    type(m, "a");
    await(m, "[key a]");
    m->len = 0;
    type(m, "b");
    await(m, "[key b]");
    assert_in_range(m->len, 1, 60);
    m->len = 0;
    type(m, "b"); /* the same picture again */
    pump(m, 200);
    assert_int_equal(m->len, 0);
    type(m, "R"); /* asked for: everything */
    await(m, "[key R]");
    assert_true(m->len > 400);
    same_picture(m, "dark", WG_COLORS_256, "[key R]");
    type(m, "L");
    await(m, "[key L]");
    same_picture(m, "light", WG_COLORS_256, "[key L]");
    m->len = 0;
    type(m, "C");
    await(m, "[key C]");
    assert_non_null(strstr(m->raw, "\033]52;c;Y29waWVk\a"));
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

static void any_size_at_any_moment(void **state)
{
    static const int sizes[][2] = {{1, 1}, {2, 1},      {1, 40},  {200, 60},
                                   {7, 3}, {1000, 500}, {80, 24}, {W, H}};
    struct terminal *m = start(NULL, &dark);

    (void)state;
    await(m, "[ready]");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct winsize ws = {(unsigned short)sizes[i][1],
                             (unsigned short)sizes[i][0], 0, 0};
        vterm_set_size(m->vt, ws.ws_row, ws.ws_col);
        ioctl(m->fd, TIOCSWINSZ, &ws);
        pump(m, 200);
    }
    await(m, "[size 60x12]");
    same_picture(m, "dark", WG_COLORS_256, "[size 60x12]");
    type(m, "q");
    pump(m, PATIENCE_MS);
    is_restored(m);
    assert_int_equal(finish(m), 0);
}

static void ends_with(const char *key, int code)
{
    struct terminal *m = start(NULL, &dark);

    await(m, "[ready]");
    assert_true(m->alternate);
    type(m, key);
    pump(m, PATIENCE_MS);
    is_restored(m);
    assert_int_equal(finish(m), code);
}

static void every_way_out_restores(void **state)
{
    (void)state;
    ends_with("q", 0);
    ends_with("X", 128 + SIGSEGV);
    ends_with("A", 128 + SIGABRT);
}

static void stopping_gives_the_terminal_back(void **state)
{
    struct terminal *m = start(NULL, &dark);

    (void)state;
    await(m, "[ready]");
    m->len = 0;
    type(m, "\032");
    await(m, "[key Ctrl-Z]");
    assert_non_null(strstr(m->raw, "\033[?1049l"));
    assert_non_null(strstr(m->raw, "\033[?1049h"));
    assert_true(m->alternate);
    same_picture(m, "dark", WG_COLORS_256, "[key Ctrl-Z]");
    type(m, "q");
    pump(m, PATIENCE_MS);
    is_restored(m);
    assert_int_equal(finish(m), STOPPED); /* it did stop, then ended well */
}

static void hanging_up_ends_the_program(void **state)
{
    struct terminal *m = start(NULL, &dark);
    int status = 0;

    (void)state;
    await(m, "[ready]");
    close(m->fd);
    for (int i = 0; i < 300 && waitpid(m->pid, &status, WNOHANG) == 0; i++) {
        usleep(20000);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), GONE);
    vterm_free(m->vt);
    free(m->raw);
    free(m);
}

static void refuses(const char *const *env, const struct wg_term_opts *o,
                    const char *reason)
{
    struct terminal *m = start(env, o);

    pump(m, PATIENCE_MS);
    assert_non_null(m->raw);
    if (!strstr(m->raw, reason)) {
        fail_msg("'%s' instead of '%s'", m->raw, reason);
    }
    same_settings(m);
    assert_int_equal(finish(m), 2);
}

static void poor_terminals_get_a_reason(void **state)
{
    static const char *const dumb[] = {"TERM", "dumb", NULL};
    static const char *const unknown[] = {"TERM", "no-such", NULL};
    static const struct wg_term_opts pink = {.theme = "pink"};

    (void)state;
    refuses(dumb, &dark, "cannot place its cursor");
    refuses(unknown, &dark, "'no-such' (TERM) is not known here");
    refuses(NULL, &pink, "no such theme");
}

static int setup(void **state)
{
    (void)state;
    return setlocale(LC_ALL, "C.UTF-8") ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_by_tier),
        cmocka_unit_test(keys_arrive),
        cmocka_unit_test(lost_paste_bracket_locks_nobody_out),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(only_changes_are_sent),
        cmocka_unit_test(any_size_at_any_moment),
        cmocka_unit_test(every_way_out_restores),
        cmocka_unit_test(stopping_gives_the_terminal_back),
        cmocka_unit_test(hanging_up_ends_the_program),
        cmocka_unit_test(poor_terminals_get_a_reason),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
