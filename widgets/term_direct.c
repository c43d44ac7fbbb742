/* 24-bit colour through ncurses, where the terminal can do it but its terminfo
 * entry does not say so (nearly everywhere: xterm-256color, tmux-256color).
 *
 * ncurses speaks 24 bits when an entry has the flag RGB and strings that take
 * a colour as one number.  The "-direct" entries have that but are rarely
 * installed, and changing the palette would leave the user's colours changed
 * should we die.  So we copy the entry that TERM names, with those strings
 * put in, into the compiled form of term(5), and hand it to ncurses through
 * TERMINFO=b64:..., which it reads instead of a file.  The variable is put
 * back right after. */
#include "term_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <term.h>

enum { MAGIC_32BIT = 01036, CAP = 24 << 10 };

/* The compiled entry while it is written; `bad` when it did not fit. */
struct entry {
    unsigned char *p;
    size_t n;
    bool bad;
};

static void put(struct entry *e, unsigned v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        if (e->n >= CAP) {
            e->bad = true;
            return;
        }
        e->p[e->n++] = (unsigned char)(v >> (8 * i));
    }
}

static void put_text(struct entry *e, const char *s)
{
    do {
        put(e, (unsigned char)*s, 1);
    } while (*s++);
}

/* Numbers stand at even places. */
static void align(struct entry *e)
{
    if (e->n & 1) {
        put(e, 0, 1);
    }
}

/* The semicolon form is the one every 24-bit terminal knows; colours below 8
 * stay the user's own. */
#define DIRECT(base)                                                           \
    "\033[%?%p1%{8}%<%t" base "%p1%d%e" base "8;2;%p1%{65536}%/%d;"            \
    "%p1%{256}%/%{255}%&%d;%p1%{255}%&%d%;m"

static const char *string_value(const char *name)
{
    char copy[16]; /* tigetstr takes a mutable name */

    if (strcmp(name, "setaf") == 0) {
        return DIRECT("3");
    }
    if (strcmp(name, "setab") == 0) {
        return DIRECT("4");
    }
    if (strcmp(name, "initc") == 0 || strcmp(name, "oc") == 0) {
        return NULL; /* the palette is not ours */
    }
    snprintf(copy, sizeof copy, "%s", name);
    const char *s = tigetstr(copy);
    return s == (const char *)-1 ? NULL : s;
}

static int flag_value(const char *name)
{
    char copy[16];

    snprintf(copy, sizeof copy, "%s", name);
    return strcmp(name, "ccc") != 0 && tigetflag(copy) > 0;
}

static int number_value(const char *name)
{
    char copy[16];

    if (strcmp(name, "colors") == 0) {
        return 1 << 24;
    }
    if (strcmp(name, "pairs") == 0) {
        return 1 << 16;
    }
    snprintf(copy, sizeof copy, "%s", name);
    int v = tigetnum(copy);
    return v < 0 ? -1 : v;
}

static size_t strings_size(void)
{
    size_t n = 0;

    for (int i = 0; i < STRWRITE; i++) {
        const char *s = string_value(strnames[i]);
        n += s ? strlen(s) + 1 : 0;
    }
    return n;
}

/* One extended flag: header, value, where its name is, the name. */
static void put_rgb_flag(struct entry *e)
{
    static const unsigned head[5] = {1, 0, 0, 1, 4};

    align(e);
    for (int i = 0; i < 5; i++) {
        put(e, head[i], 2);
    }
    put(e, 1, 1);
    align(e);
    put(e, 0, 2);
    put_text(e, "RGB");
}

static void compile(struct entry *e, const char *term)
{
    unsigned at = 0;

    put(e, MAGIC_32BIT, 2);
    put(e, (unsigned)strlen(term) + 1, 2);
    put(e, BOOLWRITE, 2);
    put(e, NUMWRITE, 2);
    put(e, STRWRITE, 2);
    put(e, (unsigned)strings_size(), 2);
    put_text(e, term);
    for (int i = 0; i < BOOLWRITE; i++) {
        put(e, (unsigned)flag_value(boolnames[i]), 1);
    }
    align(e);
    for (int i = 0; i < NUMWRITE; i++) {
        put(e, (unsigned)number_value(numnames[i]), 4);
    }
    for (int i = 0; i < STRWRITE; i++) {
        const char *s = string_value(strnames[i]);
        put(e, s ? at : 0xffff, 2);
        at += s ? (unsigned)strlen(s) + 1 : 0;
    }
    for (int i = 0; i < STRWRITE; i++) {
        const char *s = string_value(strnames[i]);
        if (s) {
            put_text(e, s);
        }
    }
    put_rgb_flag(e);
    e->bad = e->bad || at > 0x7fff;
}

/* "b64:..." of the 24-bit entry for TERM; NULL when it cannot be had.
 * malloc'ed. */
static char *direct_entry(const char *term)
{
    struct entry e = {malloc(CAP), 0, false};
    char *out = NULL;
    int err;

    if (!e.p || setupterm(term, 1, &err) != OK) {
        free(e.p);
        return NULL;
    }
    if (tigetnum("colors") >= 256) {
        compile(&e, term);
        out = e.bad ? NULL : malloc(e.n / 3 * 4 + 16);
    }
    if (out) {
        memcpy(out, "b64:", 4);
        wg_base64(out + 4, e.p, e.n);
    }
    del_curterm(cur_term);
    free(e.p);
    return out;
}

/* GNU screen hands on COLORTERM without being able to do it. */
static bool says_24bit(const char *term)
{
    const char *c = getenv("COLORTERM");
    bool screen = strncmp(term, "screen", 6) == 0 && !getenv("TMUX");

    return c && !screen &&
           (strcasecmp(c, "truecolor") == 0 || strcasecmp(c, "24bit") == 0);
}

SCREEN *wg_term_newterm(enum wg_colors asked)
{
    const char *term = getenv("TERM"), *old = getenv("TERMINFO");
    bool want = term && (asked == WG_COLORS_TRUE ||
                         (asked == WG_COLORS_AUTO && says_24bit(term)));
    char *entry = want ? direct_entry(term) : NULL;
    char *keep = old ? strdup(old) : NULL;
    SCREEN *s = NULL;

    if (entry && (!old || keep)) {
        setenv("TERMINFO", entry, 1);
        s = newterm(NULL, stdout, stdin);
        if (keep) {
            setenv("TERMINFO", keep, 1);
        } else {
            unsetenv("TERMINFO");
        }
    }
    free(entry);
    free(keep);
    return s ? s : newterm(NULL, stdout, stdin);
}
