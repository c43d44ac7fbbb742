/* Characters: UTF-8 in and out, how many cells a text takes, and cutting a
 * text to a width.
 *
 * A *cluster* is a base character with the combining marks behind it; it is
 * never split, neither by cutting nor by moving a cursor.  Widths follow
 * wcwidth(3); where the locale does not know a character (the C locale knows
 * nothing above 127), a short table of wide and combining ranges answers, so
 * that tests give the same picture in every locale. */
#include "wg_priv.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

struct range {
    uint32_t lo, hi;
};

/* clang-format off: tables read better in columns */
static const struct range combining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489},   {0x0591, 0x05bd}, {0x0610, 0x061a},
    {0x064b, 0x065f}, {0x0e31, 0x0e31},   {0x0e34, 0x0e3a}, {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff}, {0x200b, 0x200f},   {0x20d0, 0x20ff}, {0xfe00, 0xfe0f},
    {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
};
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};
/* clang-format on */

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cp >= r[i].lo && cp <= r[i].hi) {
            return true;
        }
    }
    return false;
}

int wg_cp_width(uint32_t cp)
{
    if (cp < 0x300 || (cp >= 0x2190 && cp <= 0x28ff)) {
        return 1; /* Latin; arrows, boxes, blocks, braille: ours are narrow */
    }
    int w = cp <= 0x10ffff ? wcwidth((wchar_t)cp) : 1;
    if (w >= 0) {
        return w > 2 ? 2 : w;
    }
    if (in_ranges(cp, combining, sizeof combining / sizeof combining[0])) {
        return 0;
    }
    return in_ranges(cp, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

/* Bytes announced by a first byte, 0 when it cannot be one. */
static int utf8_length(unsigned char b)
{
    if (b < 0x80) {
        return 1;
    }
    if (b >= 0xc2 && b < 0xe0) {
        return 2;
    }
    if (b >= 0xe0 && b < 0xf0) {
        return 3;
    }
    return b >= 0xf0 && b < 0xf5 ? 4 : 0;
}

uint32_t wg_utf8_next(const char **s)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)*s;
    int n = utf8_length(p[0]);

    if (n <= 1) {
        *s += p[0] != 0;
        return n == 1 ? p[0] : 0xfffd;
    }
    uint32_t cp = p[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) { /* also stops at the closing NUL */
            *s += 1;
            return 0xfffd;
        }
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) {
        *s += 1;
        return 0xfffd;
    }
    *s += n;
    return cp;
}

int wg_utf8_put(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

size_t wg_cluster(const char *s, int *w)
{
    const char *p = s;

    *w = 0;
    if (!*p) {
        return 0;
    }
    *w = wg_cp_width(wg_utf8_next(&p));
    while (*p) {
        const char *mark = p;
        if (wg_cp_width(wg_utf8_next(&mark)) != 0) {
            break;
        }
        p = mark;
    }
    return (size_t)(p - s);
}

int wg_width(const char *s)
{
    int total = 0;

    while (*s) {
        int w;
        s += wg_cluster(s, &w);
        total += w;
    }
    return total;
}

/* Appends whole clusters of s while they fit w cells and the buffer; returns
 * the bytes taken from s. */
static size_t append(char *out, size_t cap, size_t *len, const char *s, int w)
{
    const char *p = s;

    while (*p) {
        int cw;
        size_t n = wg_cluster(p, &cw);
        if (cw > w || *len + n >= cap) {
            break;
        }
        memcpy(out + *len, p, n);
        *len += n;
        p += n;
        w -= cw;
    }
    out[*len] = '\0';
    return (size_t)(p - s);
}

char *wg_cut(char *out, size_t cap, const char *s, int w, bool middle)
{
    size_t len = 0;
    int total = wg_width(s);

    if (cap == 0) {
        return out;
    }
    out[0] = '\0';
    if (total <= w) {
        append(out, cap, &len, s, w);
        return out;
    }
    if (w <= 0) {
        return out;
    }
    int tail = middle ? (w - 1) / 2 : 0;
    s += append(out, cap, &len, s, w - 1 - tail);
    append(out, cap, &len, "\u2026", 1);
    /* Drop clusters from the front until the rest fits the tail. */
    for (int rest = wg_width(s); rest > tail;) {
        int cw;
        s += wg_cluster(s, &cw);
        rest -= cw;
    }
    append(out, cap, &len, s, tail);
    return out;
}

uint32_t wg_ascii_of(uint32_t cp)
{
    static const struct {
        uint32_t cp;
        char as;
    } table[] = {
        /* clang-format off */
        {0x00b1, '+'}, {0x00b7, '.'}, {0x00b5, 'u'}, {0x00d7, 'x'},
        {0x2010, '-'}, {0x2011, '-'}, {0x2013, '-'}, {0x2014, '-'},
        {0x2018, '\''}, {0x2019, '\''}, {0x201c, '"'}, {0x201d, '"'},
        {0x2022, '*'}, {0x2026, '~'}, {0x203a, '>'}, {0x2190, '<'},
        {0x2191, '^'}, {0x2192, '>'}, {0x2193, 'v'}, {0x2212, '-'},
        {0x2248, '~'}, {0x2264, '<'}, {0x2265, '>'}, {0x2500, '-'},
        {0x2501, '='}, {0x2502, '|'}, {0x2503, '|'}, {0x25b4, '^'},
        {0x25b8, '>'}, {0x25be, 'v'}, {0x25cf, '*'}, {0x2713, 'x'},
    }; /* clang-format on */

    if (cp >= 0x20 && cp < 0x7f) {
        return cp;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].cp == cp) {
            return (uint32_t)table[i].as;
        }
    }
    if (cp >= 0x2500 && cp <= 0x259f) {
        return cp < 0x2580 ? '+' : '#';
    }
    return '?';
}
