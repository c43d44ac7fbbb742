/* From stored bytes to shown text.  A name in a file may hold escape
 * sequences, right-to-left overrides or invisible characters; on its way to a
 * screen, a log or a message it passes through here, and only here. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

size_t bd_utf8_decode(uint32_t *cp, const char *str, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)str;
    size_t len;
    uint32_t c;

    if (n == 0)
        return 0;
    if (s[0] < 0x80) {
        *cp = s[0];
        return 1;
    }
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    len = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (len > n)
        return 0;
    c = s[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return 0;
    *cp = c;
    return len;
}

size_t bd_utf8_encode(char out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* Ranges that must never reach a terminal as they are. */
static bool is_hidden(uint32_t c)
{
    static const uint32_t range[][2] = {
        {0, 0x1F},         {0x7F, 0x9F},       {0xAD, 0xAD},
        {0x61C, 0x61C},    {0x115F, 0x1160},   {0x17B4, 0x17B5},
        {0x180B, 0x180F},  {0x200B, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F},  {0x3164, 0x3164},   {0xE000, 0xF8FF},
        {0xFE00, 0xFE0F},  {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
        {0xFFF0, 0xFFFB},  {0xE0000, 0x10FFFF}};

    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (c >= range[i][0] && c <= range[i][1])
            return true;
    return (c & 0xFFFE) == 0xFFFE;
}

static bool is_combining(uint32_t c)
{
    static const uint32_t range[][2] = {
        {0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},
        {0x610, 0x61A},   {0x64B, 0x65F},   {0x1AB0, 0x1AFF},
        {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE20, 0xFE2F}};

    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (c >= range[i][0] && c <= range[i][1])
            return true;
    return false;
}

struct piece { /* one shown unit: a character with its marks, or an escape */
    char s[16];
    size_t bytes, cells;
};

static void piece_escape(struct piece *p, uint32_t cp, bool byte)
{
    unsigned c = (unsigned)cp;
    int n;

    if (byte || cp < 0x100)
        n = snprintf(p->s, sizeof p->s, "\\x%02x", c);
    else if (cp < 0x10000)
        n = snprintf(p->s, sizeof p->s, "\\u%04x", c);
    else
        n = snprintf(p->s, sizeof p->s, "\\U%06x", c);
    p->bytes = p->cells = (size_t)n;
}

/* Width without asking the locale: wide blocks of East Asia and emoji. */
static size_t cells_of(uint32_t c)
{
    bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                (c >= 0xFFE0 && c <= 0xFFE6) ||
                (c >= 0x1F300 && c <= 0x1F64F) ||
                (c >= 0x1F900 && c <= 0x1F9FF) ||
                (c >= 0x20000 && c <= 0x3FFFD);

    return wide ? 2 : 1;
}

/* Next unit at s[0..n); returns bytes of input used. */
static size_t next_piece(struct piece *p, const char *s, size_t n)
{
    uint32_t cp, mark;
    size_t used = bd_utf8_decode(&cp, s, n), m;

    if (used == 0) {
        piece_escape(p, (unsigned char)s[0], true);
        return 1;
    }
    if (is_hidden(cp) || is_combining(cp)) {
        piece_escape(p, cp, false);
        return used;
    }
    p->bytes = bd_utf8_encode(p->s, cp);
    p->cells = cells_of(cp);
    m = bd_utf8_decode(&mark, s + used, n - used);
    if (m > 0 && is_combining(mark)) { /* at most one per cell */
        p->bytes += bd_utf8_encode(p->s + p->bytes, mark);
        used += m;
    }
    return used;
}

static size_t total_cells(const char *s, size_t n)
{
    struct piece p;
    size_t cells = 0;

    for (size_t i = 0; i < n;) {
        i += next_piece(&p, s + i, n - i);
        cells += p.cells;
    }
    return cells;
}

char *bd_text_show(char *out, size_t cap, const char *s, size_t limit)
{
    static const char dots[] = "\xE2\x80\xA6";
    size_t n = strlen(s), cells, head, tail, at = 0, w = 0;
    bool cut, in_gap = false;

    if (cap == 0)
        return out;
    if (limit == 0)
        limit = 80;
    cells = total_cells(s, n);
    cut = cells > limit;
    head = (limit - 1) / 2;
    tail = limit - 1 - head;
    for (size_t i = 0; i < n;) {
        struct piece p;

        i += next_piece(&p, s + i, n - i);
        w += p.cells;
        if (cut && w > head && cells - w + p.cells > tail) {
            if (!in_gap && at + 3 < cap) {
                memcpy(out + at, dots, 3);
                at += 3;
            }
            in_gap = true;
            continue;
        }
        if (at + p.bytes >= cap)
            break;
        memcpy(out + at, p.s, p.bytes);
        at += p.bytes;
    }
    out[at] = '\0';
    return out;
}
