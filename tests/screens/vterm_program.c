/* The whole program on a pseudo-terminal: keys in, the real byte stream
 * through libvterm out.  What is on the screen must be right, whatever the
 * size does meanwhile, and every way of leaving must give the terminal back
 * as it was.
 *
 *   vterm_program BITDIAL MODEL */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>
#include <vterm.h>

enum { W = 80, H = 24, PATIENCE_MS = 60000, TEXT = 64 * 1024 };

struct world {
    const char *bitdial, *model, *data, *limit;
    char home[64]; /* of every run: nothing of the person's own */
    int fd, slave; /* the slave stays open to look at its settings */
    pid_t pid;
    VTerm *vt;
    VTermScreen *screen;
    struct termios before;
    int w, h, cursor, alternate;
};

/* ------------------------------------------------------------ the terminal */
static int on_property(VTermProp prop, VTermValue *v, void *arg)
{
    struct world *m = arg;
    if (prop == VTERM_PROP_CURSORVISIBLE)
        m->cursor = v->boolean;
    if (prop == VTERM_PROP_ALTSCREEN)
        m->alternate = v->boolean;
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_property};

static void child(const struct world *m, int slave)
{
    login_tty(slave);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("HOME", m->home, 1);
    unsetenv("NO_COLOR");
    unsetenv("COLORTERM");
    unsetenv("ESCDELAY");
    unsetenv("LINES");
    unsetenv("COLUMNS");
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_CACHE_HOME");
    execl(m->bitdial, m->bitdial, m->model, "--data", m->data, "--limit",
          m->limit, (char *)NULL);
    _exit(99);
}

static void start(struct world *m)
{
    struct winsize size = {H, W, 0, 0};
    m->w = W;
    m->h = H;
    assert_int_equal(openpty(&m->fd, &m->slave, NULL, NULL, &size), 0);
    tcgetattr(m->slave, &m->before);
    m->vt = vterm_new(H, W);
    vterm_set_utf8(m->vt, 1);
    m->screen = vterm_obtain_screen(m->vt);
    vterm_screen_enable_altscreen(m->screen, 1);
    vterm_screen_set_callbacks(m->screen, &callbacks, m);
    m->cursor = 1;
    m->alternate = 0;
    vterm_screen_reset(m->screen, 1);
    m->pid = fork();
    if (m->pid == 0) {
        close(m->fd);
        child(m, m->slave);
    }
}

/* Takes what is written until it is quiet for `ms`. */
static void pump(struct world *m, int ms)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};
    char buf[8192];
    while (poll(&p, 1, ms) > 0) {
        ssize_t n = read(m->fd, buf, sizeof buf);
        if (n <= 0)
            return;
        vterm_input_write(m->vt, buf, (size_t)n);
    }
}

/* The screen, or one row of it, as text with trailing blanks. */
static void read_rows(struct world *m, char *out, int from, int to)
{
    VTermRect r = {from, to, 0, m->w};
    size_t n = vterm_screen_get_text(m->screen, out, TEXT - 1, r);
    out[n < TEXT ? n : TEXT - 1] = 0;
}

static void await(struct world *m, const char *want)
{
    static const int step = 20;
    char *text = malloc(TEXT);
    assert_non_null(text);
    for (int t = 0; t < PATIENCE_MS; t += step) {
        pump(m, step);
        read_rows(m, text, 0, m->h);
        if (strstr(text, want)) {
            free(text);
            return;
        }
    }
    fail_msg("waited for '%s'; there is:\n%s", want, text);
}

static void await_row(struct world *m, int row, const char *want)
{
    static const int step = 20;
    char *text = malloc(TEXT);
    assert_non_null(text);
    for (int t = 0; t < PATIENCE_MS; t += step) {
        pump(m, step);
        read_rows(m, text, row, row + 1);
        if (strstr(text, want)) {
            free(text);
            return;
        }
    }
    fail_msg("waited for '%s' in row %d; there is: %s", want, row, text);
}

static bool shows(struct world *m, const char *want)
{
    char *text = malloc(TEXT);
    assert_non_null(text);
    read_rows(m, text, 0, m->h);
    bool yes = strstr(text, want) != NULL;
    free(text);
    return yes;
}

static void type(struct world *m, const char *keys)
{
    assert_int_equal(write(m->fd, keys, strlen(keys)), strlen(keys));
}

static void resize(struct world *m, int w, int h)
{
    struct winsize size = {(unsigned short)h, (unsigned short)w, 0, 0};
    m->w = w;
    m->h = h;
    vterm_set_size(m->vt, h, w);
    ioctl(m->fd, TIOCSWINSZ, &size);
}

/* ---------------------------------------------------------------- leaving */
static void same_settings(struct world *m)
{
    struct termios now;
    tcgetattr(m->slave, &now);
    assert_int_equal(now.c_iflag, m->before.c_iflag);
    assert_int_equal(now.c_oflag, m->before.c_oflag);
    assert_int_equal(now.c_cflag, m->before.c_cflag);
    assert_int_equal(now.c_lflag, m->before.c_lflag);
    assert_memory_equal(now.c_cc, m->before.c_cc, sizeof now.c_cc);
}

/* Waits for the end; the terminal must be as it was.  Returns the status. */
static int finish(struct world *m)
{
    int status = 0;
    for (int t = 0; t < PATIENCE_MS; t += 20) {
        pump(m, 20);
        if (waitpid(m->pid, &status, WNOHANG) == m->pid)
            break;
        if (t + 20 >= PATIENCE_MS) {
            kill(m->pid, SIGKILL);
            fail_msg("the program does not end");
        }
    }
    pump(m, 50);
    same_settings(m);
    assert_int_equal(m->alternate, 0);
    assert_int_equal(m->cursor, 1);
    vterm_free(m->vt);
    close(m->fd);
    close(m->slave);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ------------------------------------------------------------------ tests */
static void keys_do_what_the_screen_says(void **state)
{
    struct world *m = *state;
    start(m);
    await(m, "float 1"); /* the float accuracy is there */
    assert_true(shows(m, "1Layers"));
    assert_true(m->alternate);
    type(m, "*b4\r"); /* mark all, four bits */
    await(m, "avg 4.00 b");
    await(m, "27.7"); /* PSNR of a uniform grid */
    type(m, "*jj+");
    await(m, "5 bits for layer1.0.conv2");
    type(m, "\r"); /* into the layer */
    await(m, "W 5 bits uniform per tensor");
    await(m, "levels used");
    type(m, "\033");
    await(m, "weights");
    type(m, "u");
    await(m, "undone: 5 bits for layer1.0.conv2");
    type(m, "?");
    await(m, "Keys of Layers");
    type(m, "q"); /* closes the help, not the program */
    pump(m, 200);
    assert_false(shows(m, "Keys of Layers"));
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* The active tab has a ground of its own; the first row of text has none. */
static void colours_arrive(void **state)
{
    struct world *m = *state;
    VTermScreenCell tab, text;
    start(m);
    await(m, "conv1");
    vterm_screen_get_cell(m->screen, (VTermPos){0, 1}, &tab);
    vterm_screen_get_cell(m->screen, (VTermPos){H - 1, 40}, &text);
    assert_int_equal(tab.chars[0], '1');
    assert_false(VTERM_COLOR_IS_DEFAULT_BG(&tab.bg));
    assert_true(VTERM_COLOR_IS_DEFAULT_BG(&text.bg));
    type(m, "n"); /* an earlier run left a session: start fresh */
    pump(m, 100);
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* Random sizes from 1x1 up with keys in between: alive, and right again when
 * the size is.  The seed is fixed: a failure can be repeated. */
static void any_size_at_any_moment(void **state)
{
    struct world *m = *state;
    static const char *const keys[] = {"j", "k", "+", "-", "m", "c", "2",
                                       "3", "8", "1", "?", "\033", "\r", "o",
                                       "G", "g", "z", "L", "U", "v", " "};
    uint32_t seed = 12345;
    start(m);
    await(m, "conv1");
    type(m, "n");
    for (int i = 0; i < 120; i++) {
        seed = seed * 1664525u + 1013904223u;
        int w = 1 + (int)(seed >> 8) % 220, h = 1 + (int)(seed >> 16) % 70;
        resize(m, i % 9 ? w : 1, i % 9 ? h : 1);
        type(m, keys[(seed >> 4) % (sizeof keys / sizeof keys[0])]);
        pump(m, 5);
        assert_int_equal(waitpid(m->pid, NULL, WNOHANG), 0);
    }
    resize(m, 30, 5);
    await(m, "needs 60x16, has 30x5");
    resize(m, W, H);
    type(m, "\033");
    pump(m, 200);
    type(m, "\033");
    pump(m, 200);
    type(m, "1");
    await(m, "layer  ");
    await(m, "conv1");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* Text that arrives as a paste is never read as keys. */
static void pasted_text_is_not_keys(void **state)
{
    struct world *m = *state;
    start(m);
    await(m, "conv1");
    type(m, "n");
    pump(m, 200);
    type(m, "\033[200~q8:q\r\033[201~");
    pump(m, 400);
    assert_int_equal(waitpid(m->pid, NULL, WNOHANG), 0);
    assert_true(shows(m, "conv1"));
    type(m, "/");
    pump(m, 100);
    type(m, "\033[200~layer3\033[201~");
    await(m, "/layer3");
    type(m, "\r");
    await(m, "match 1/");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

/* Reports in the SGR form, counted from 1: a click chooses a row, the wheel
 * over a W cell turns its bits, a click on a tab changes the screen. */
static void the_mouse_points(void **state)
{
    struct world *m = *state;
    start(m);
    await(m, "float 1");
    type(m, "n");
    pump(m, 300);
    type(m, "*b6\r*");
    await(m, "avg 6.00 b");
    type(m, "\033[<0;8;6M\033[<0;8;6m"); /* third row of the table */
    await(m, "layer1.0.conv2   2 304 weights");
    type(m, "\033[<64;38;6M"); /* wheel up over its W */
    await(m, "7 bits for layer1.0.conv2");
    type(m, "\033[<0;6;3M"); /* the heading of the names: by name, up */
    await_row(m, 4, " fc ");
    type(m, "\033[<0;6;3M"); /* and down */
    await_row(m, 3, " layer3.2.conv1 "); /* the cursor stays in view */
    type(m, "\033[<0;14;1M"); /* the tab Layer */
    await(m, "W 7 bits uniform per tensor");
    type(m, "q");
    assert_int_equal(finish(m), 0);
}

static void every_signal_gives_the_terminal_back(void **state)
{
    struct world *m = *state;
    static const struct {
        int signal, status;
    } ways[] = {
        {SIGTERM, 128 + SIGTERM}, {SIGINT, 128 + SIGINT},
        {SIGHUP, 128 + SIGHUP},   {SIGSEGV, -SIGSEGV},
        {SIGABRT, -SIGABRT},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        start(m);
        await(m, "conv1");
        kill(m->pid, ways[i].signal);
        assert_int_equal(finish(m), ways[i].status);
    }
}

/* Somebody shortens the pictures while they are read: the terminal comes
 * back, with a sentence. */
static void a_file_is_cut_short(void **state)
{
    struct world *m = *state, cut = *m;
    char path[96];
    snprintf(path, sizeof path, "%s/set.bin", m->home);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ftruncate(fd, 10000 * 3073), 0);
    close(fd);
    cut.data = path;
    cut.limit = "10000";
    start(&cut);
    await(&cut, "conv1"); /* the accuracy of so many takes longer */
    assert_int_equal(truncate(path, 0), 0);
    await(&cut, "a file in use was cut short while it was read");
    assert_int_equal(finish(&cut), 2);
}

/* Ctrl-C asks; n stays, y leaves. */
static void leaving_is_asked_for(void **state)
{
    struct world *m = *state;
    start(m);
    await(m, "float 1");
    type(m, "n");
    /* While jobs run, Ctrl-C stops the newest instead. */
    for (int i = 0; i < 50 && !shows(m, "Leave bitdial?"); i++) {
        pump(m, 300);
        if (!shows(m, "Leave bitdial?"))
            type(m, "\003");
        pump(m, 300);
    }
    type(m, "\003"); /* the key that asked does not answer yes */
    pump(m, 200);
    assert_int_equal(waitpid(m->pid, NULL, WNOHANG), 0);
    type(m, "\003");
    await(m, "Leave bitdial?");
    type(m, "y");
    assert_int_equal(finish(m), 0);
}

int main(int argc, char **argv)
{
    struct world m = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: vterm_program BITDIAL MODEL\n");
        return 2;
    }
    m.bitdial = argv[1];
    m.model = argv[2];
    m.data = "synth:glyphs";
    m.limit = "64";
    snprintf(m.home, sizeof m.home, "/tmp/bitdial-vterm-XXXXXX");
    if (!mkdtemp(m.home))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(keys_do_what_the_screen_says, &m),
        cmocka_unit_test_prestate(colours_arrive, &m),
        cmocka_unit_test_prestate(any_size_at_any_moment, &m),
        cmocka_unit_test_prestate(pasted_text_is_not_keys, &m),
        cmocka_unit_test_prestate(the_mouse_points, &m),
        cmocka_unit_test_prestate(every_signal_gives_the_terminal_back, &m),
        cmocka_unit_test_prestate(a_file_is_cut_short, &m),
        cmocka_unit_test_prestate(leaving_is_asked_for, &m),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char clean[96]; /* our own mkdtemp: no odd letters in it */
    snprintf(clean, sizeof clean, "rm -rf %s", m.home);
    return system(clean) != 0 || failed;
}
