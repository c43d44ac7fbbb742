/* The one-line editor: emacs and arrow keys, history, sideways scrolling.
 * The cursor always stands before a cluster, never inside one. */
#include "wg_priv.h"

#include <string.h>

static size_t cluster_at(const struct wg_input *in, int at)
{
    int w;
    return wg_cluster(in->text + at, &w);
}

/* Start of the cluster before `at`: walks from the beginning, since marks can
 * only be told from in front. */
static int cluster_before(const struct wg_input *in, int at)
{
    int p = 0, last = 0;

    while (p < at) {
        size_t n = cluster_at(in, p);
        if (n == 0) {
            break;
        }
        last = p;
        p += (int)n;
    }
    return last;
}

static void cut_out(struct wg_input *in, int from, int to)
{
    memmove(in->text + from, in->text + to, (size_t)(in->len - to) + 1);
    in->len -= to - from;
    in->cursor = from;
}

static bool insert(struct wg_input *in, const char *bytes, int n)
{
    if (in->len + n >= (int)sizeof in->text) {
        return false;
    }
    memmove(in->text + in->cursor + n, in->text + in->cursor,
            (size_t)(in->len - in->cursor) + 1);
    memcpy(in->text + in->cursor, bytes, (size_t)n);
    in->len += n;
    in->cursor += n;
    return true;
}

void wg_input_set(struct wg_input *in, const char *text)
{
    in->cursor = in->len = 0;
    in->text[0] = '\0';
    wg_input_paste(in, text);
}

void wg_input_paste(struct wg_input *in, const char *text)
{
    while (*text && *text != '\n' && *text != '\r') {
        char bytes[4];
        uint32_t cp = wg_utf8_next(&text);
        if (cp < 32 || cp == 127) {
            cp = ' ';
        }
        if (!insert(in, bytes, wg_utf8_put(bytes, cp))) {
            return;
        }
    }
}

static int word_before(const struct wg_input *in)
{
    int p = in->cursor;

    while (p > 0 && in->text[p - 1] == ' ') {
        p--;
    }
    while (p > 0 && in->text[p - 1] != ' ') {
        p--;
    }
    return p;
}

/* step +1: older, -1: newer.  `at` counts back from the line being typed,
 * which waits in `draft`. */
static void recall(struct wg_input *in, int step)
{
    int to = in->at + step;

    if (to < 0 || to > in->nhistory) {
        return;
    }
    if (in->at == 0) {
        memcpy(in->draft, in->text, sizeof in->draft);
    }
    in->at = to;
    wg_input_set(in, to ? in->history[in->nhistory - to] : in->draft);
}

static bool type(struct wg_input *in, int key)
{
    char bytes[4];

    if (key < 32 || key == 127 || key >= 0x110000) {
        return false;
    }
    insert(in, bytes, wg_utf8_put(bytes, (uint32_t)key));
    return true;
}

static bool edit_key(struct wg_input *in, int key)
{
    switch (key) {
    case 127: /* Backspace */
    case 8:
        cut_out(in, cluster_before(in, in->cursor), in->cursor);
        return true;
    case WG_KEY_DEL:
    case 4: /* Ctrl-D */
        cut_out(in, in->cursor, in->cursor + (int)cluster_at(in, in->cursor));
        return true;
    case 23: /* Ctrl-W */
        cut_out(in, word_before(in), in->cursor);
        return true;
    case 21: /* Ctrl-U */
        cut_out(in, 0, in->cursor);
        return true;
    case 11: /* Ctrl-K */
        cut_out(in, in->cursor, in->len);
        return true;
    default:
        return type(in, key);
    }
}

bool wg_input_key(struct wg_input *in, int key)
{
    switch (key) {
    case WG_KEY_LEFT:
        in->cursor = cluster_before(in, in->cursor);
        return true;
    case WG_KEY_RIGHT:
        in->cursor += (int)cluster_at(in, in->cursor);
        return true;
    case WG_KEY_HOME:
    case 1: /* Ctrl-A, where no tmux keeps it */
        in->cursor = 0;
        return true;
    case WG_KEY_END:
    case 5: /* Ctrl-E */
        in->cursor = in->len;
        return true;
    case WG_KEY_UP:
        recall(in, 1);
        return true;
    case WG_KEY_DOWN:
        recall(in, -1);
        return true;
    default:
        return edit_key(in, key);
    }
}

void wg_input_draw(struct wg_canvas *c, struct wg_rect r,
                   const struct wg_input *in, const char *prompt)
{
    wg_fill(c, r, ' ', WG_INPUT);
    int x = wg_text(c, r, 0, 0, WG_KEY, prompt);
    struct wg_rect at = wg_span(r, x, 0, r.w - x);
    char before[sizeof in->text];
    const char *from = in->text;

    memcpy(before, in->text, (size_t)in->cursor);
    before[in->cursor] = '\0';
    /* Scroll until the cursor stands inside, one cell from the edge. */
    const char *p = before;
    int left = wg_width(before);
    while (left >= at.w && *p) {
        int w;
        size_t n = wg_cluster(p, &w);
        p += n;
        from += n;
        left -= w;
    }
    wg_text(c, at, 0, 0, WG_INPUT, from);
    if (at.w > 0 && at.h > 0) {
        c->cursor_x = at.x + left;
        c->cursor_y = at.y;
    }
}
