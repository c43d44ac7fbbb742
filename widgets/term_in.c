/* Keys: what ncurses decodes becomes the codes of wg.h.
 *
 * ncurses knows the terminal's function keys and the wait after Esc.  UTF-8 we
 * put together ourselves from bytes: get_wch() swallows keys behind a stray
 * byte and loses characters that arrive in two pieces.  We also add what many
 * terminfo entries lack: other spellings of Home and End, the brackets around
 * pasted text, and mouse reports in the SGR form (whose numbers we read
 * ourselves, so wide screens work).  Pasted text is gathered until its closing
 * bracket and reported as one WG_KEY_PASTE; it is never read as keys.  Should
 * the closing bracket get lost, a second of silence ends it, so that the
 * keyboard cannot be locked out. */
#include "term_priv.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PASTE_MAX = 1 << 20, PASTE_SILENCE_MS = 1000, MOUSE_WAIT_MS = 50 };

/* clang-format off: tables read better in columns */
static const struct {
    const char *bytes;
    int code;
} spellings[] = {
    {"\033[200~", CODE_PASTE_BEGIN},
    {"\033[201~", CODE_PASTE_END},
    {"\033[<", CODE_MOUSE_SGR},
    {"\033[H", KEY_HOME},
    {"\033[F", KEY_END},
    {"\033OH", KEY_HOME},
    {"\033OF", KEY_END},
    {"\033[1~", KEY_HOME},
    {"\033[4~", KEY_END},
    {"\033[7~", KEY_HOME},
    {"\033[8~", KEY_END},
    {"\033[Z", KEY_BTAB},
    {"\033[A", KEY_UP},
    {"\033[B", KEY_DOWN},
    {"\033[C", KEY_RIGHT},
    {"\033[D", KEY_LEFT},
    {"\033OA", KEY_UP},
    {"\033OB", KEY_DOWN},
    {"\033OC", KEY_RIGHT},
    {"\033OD", KEY_LEFT},
    {"\033[2~", KEY_IC},
    {"\033[3~", KEY_DC},
    {"\033[5~", KEY_PPAGE},
    {"\033[6~", KEY_NPAGE},
    {"\033[11~", KEY_F(1)},
    {"\033[12~", KEY_F(2)},
    {"\033[13~", KEY_F(3)},
    {"\033[14~", KEY_F(4)},
    {"\033OP", KEY_F(1)},
    {"\033OQ", KEY_F(2)},
    {"\033OR", KEY_F(3)},
    {"\033OS", KEY_F(4)},
};
/* clang-format on */

void wg_term_define_keys(void)
{
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        if (spellings[i].code > KEY_MAX ||
            key_defined(spellings[i].bytes) <= 0) {
            define_key(spellings[i].bytes, spellings[i].code);
        }
    }
}

static int map_code(int code)
{
    static const struct {
        int code, key;
    } table[] = {
        /* clang-format off */
        {KEY_UP, WG_KEY_UP},         {KEY_DOWN, WG_KEY_DOWN},
        {KEY_LEFT, WG_KEY_LEFT},     {KEY_RIGHT, WG_KEY_RIGHT},
        {KEY_HOME, WG_KEY_HOME},     {KEY_END, WG_KEY_END},
        {KEY_FIND, WG_KEY_HOME},     {KEY_SELECT, WG_KEY_END},
        {KEY_PPAGE, WG_KEY_PGUP},    {KEY_NPAGE, WG_KEY_PGDN},
        {KEY_BTAB, WG_KEY_BACKTAB},  {KEY_DC, WG_KEY_DEL},
        {KEY_IC, WG_KEY_INS},        {KEY_ENTER, 13},
        {KEY_BACKSPACE, 127},        {KEY_A1, WG_KEY_HOME},
        {KEY_A3, WG_KEY_PGUP},       {KEY_C1, WG_KEY_END},
        {KEY_C3, WG_KEY_PGDN},
    }; /* clang-format on */

    if (code >= KEY_F(1) && code <= KEY_F(12)) {
        return WG_KEY_F1 + code - KEY_F(1);
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].code == code) {
            return table[i].key;
        }
    }
    return WG_KEY_NONE;
}

/* ----------------------------------------------------------------- paste */

static void paste_begin(struct wg_term *t)
{
    t->pasting = true;
    t->paste_len = 0;
    clock_gettime(CLOCK_MONOTONIC, &t->paste_heard);
}

/* Characters beyond the limit, or for which there is no memory, are lost:
 * a paste that long is a mistake. */
static void paste_add(struct wg_term *t, uint32_t cp)
{
    clock_gettime(CLOCK_MONOTONIC, &t->paste_heard);
    if (t->paste_len + 8 > t->paste_cap) {
        size_t cap = t->paste_cap ? t->paste_cap * 2 : 256;
        char *more = cap <= PASTE_MAX ? realloc(t->paste, cap) : NULL;
        if (!more) {
            return;
        }
        t->paste = more;
        t->paste_cap = cap;
    }
    if (cp != 0) {
        t->paste_len += (size_t)wg_utf8_put(t->paste + t->paste_len, cp);
    }
}

static int paste_end(struct wg_term *t)
{
    t->pasting = false;
    if (!t->paste) {
        return WG_KEY_NONE; /* empty */
    }
    t->paste[t->paste_len] = '\0';
    return WG_KEY_PASTE;
}

static bool paste_silent(const struct wg_term *t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (int64_t)(now.tv_sec - t->paste_heard.tv_sec) * 1000 +
                 (now.tv_nsec - t->paste_heard.tv_nsec) / 1000000;
    return ms > PASTE_SILENCE_MS;
}

const char *wg_term_paste(const struct wg_term *t)
{
    return t->paste ? t->paste : "";
}

/* ----------------------------------------------------------------- mouse */

/* The next byte of a report, -1 when none came in time. */
static int next_char(struct wg_term *t)
{
    int c = wgetch(t->keys);

    return c >= 0 && c < 256 ? c : -1;
}

/* Button code of X10 and SGR reports: 0 left, +16 Ctrl, 64 and 65 wheel. */
static bool mouse_event(struct wg_term *t, int button, int x, int y)
{
    switch (button & ~(4 | 8)) { /* without Shift and Alt */
    case 0:
        t->mouse.what = WG_CLICK;
        break;
    case 16:
        t->mouse.what = WG_CTRL_CLICK;
        break;
    case 64:
        t->mouse.what = WG_WHEEL_UP;
        break;
    case 65:
        t->mouse.what = WG_WHEEL_DOWN;
        break;
    default:
        return false;
    }
    t->mouse.x = x - 1;
    t->mouse.y = y - 1;
    return x >= 1 && y >= 1 && x <= t->w && y <= t->h;
}

/* "0;12;5M", the part behind "\033[<"; 'm' is a release. */
static bool read_sgr_mouse(struct wg_term *t)
{
    int v[3] = {0, 0, 0}, n = 0, c;

    while ((c = next_char(t)) >= 0 && c != 'M' && c != 'm') {
        if (c == ';') {
            n = n < 2 ? n + 1 : 2;
        } else if (c >= '0' && c <= '9' && v[n] < 10000) {
            v[n] = v[n] * 10 + c - '0';
        } else {
            return false;
        }
    }
    return c == 'M' && n == 2 && mouse_event(t, v[0], v[1], v[2]);
}

/* Three bytes, each with 32 added: terminals without the SGR form. */
static bool read_x10_mouse(struct wg_term *t)
{
    int b = next_char(t), x = next_char(t), y = next_char(t);

    return b >= 32 && x > 32 && y > 32 &&
           mouse_event(t, b - 32, x - 32, y - 32);
}

static bool read_mouse(struct wg_term *t, int code)
{
    wtimeout(t->keys, MOUSE_WAIT_MS); /* the rest is on its way */
    bool used = code == KEY_MOUSE ? read_x10_mouse(t) : read_sgr_mouse(t);
    nodelay(t->keys, TRUE);
    return used && t->mouse_on;
}

struct wg_mouse wg_term_last_mouse(const struct wg_term *t)
{
    return t->mouse;
}

/* ------------------------------------------------------------------ keys */

/* Hung up: the line says so, or promises input and has none. */
static bool hung_up(const struct wg_term *t)
{
    struct pollfd p = {.fd = t->in, .events = POLLIN};
    int waiting = 0;

    if (poll(&p, 1, 0) <= 0) {
        return false;
    }
    if (p.revents & (POLLHUP | POLLERR | POLLNVAL)) {
        return true;
    }
    return ioctl(t->in, FIONREAD, &waiting) != 0;
}

static int nothing_typed(struct wg_term *t)
{
    if (t->pasting && paste_silent(t)) {
        return paste_end(t);
    }
    /* also catches a change of size whose signal went to someone else */
    if (wg_term_sync_size(t)) {
        return WG_KEY_RESIZE;
    }
    t->gone = t->gone || hung_up(t);
    return WG_KEY_NONE;
}

/* A function key; WG_KEY_NONE when it means nothing to us. */
static int special(struct wg_term *t, int code)
{
    switch (code) {
    case CODE_PASTE_BEGIN:
        paste_begin(t);
        return WG_KEY_NONE;
    case CODE_MOUSE_SGR:
    case KEY_MOUSE:
        return read_mouse(t, code) ? WG_KEY_MOUSE : WG_KEY_NONE;
    case KEY_RESIZE:
        wg_term_sync_size(t);
        return WG_KEY_RESIZE;
    default:
        return map_code(code);
    }
}

/* One more byte of a character; the character when it is complete.  Bytes that
 * make none are dropped, what follows them counts. */
static int next_of_utf8(struct wg_term *t, int byte)
{
    if ((byte & 0xc0) != 0x80) { /* a first byte: forget what was begun */
        t->begun = 0;
        t->need = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    } else if (t->begun == 0) {
        return WG_KEY_NONE;
    }
    t->utf8[t->begun++] = (char)byte;
    if (t->begun < t->need) {
        return WG_KEY_NONE;
    }
    const char *p = t->utf8;
    t->utf8[t->begun] = '\0';
    t->begun = 0;
    uint32_t cp = wg_utf8_next(&p);
    return cp == 0xfffd ? WG_KEY_NONE : (int)cp;
}

static int pasted(struct wg_term *t, int code)
{
    if (code == CODE_PASTE_END) {
        return paste_end(t);
    }
    int cp = code < 256 ? next_of_utf8(t, code) : WG_KEY_NONE;
    if (cp != WG_KEY_NONE) {
        paste_add(t, cp == '\r' ? '\n' : (uint32_t)cp);
    }
    return WG_KEY_NONE;
}

int wg_term_key(struct wg_term *t)
{
    for (;;) {
        int key;
        int code = wgetch(t->keys);
        if (code == ERR) {
            return nothing_typed(t);
        }
        if (t->pasting) {
            key = pasted(t, code);
        } else if (code >= 256) {
            key = special(t, code);
        } else {
            key = code == 0 ? WG_KEY_NONE : next_of_utf8(t, code);
        }
        if (key != WG_KEY_NONE) {
            return key;
        }
    }
}

bool wg_term_gone(const struct wg_term *t)
{
    return t->gone;
}
