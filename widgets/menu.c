/* A list to choose from, in a frame over the screen: name to the left, key or
 * value to the right. */
#include "wg_priv.h"

#include <stdio.h>

static void draw_item(struct wg_canvas *c, struct wg_rect line,
                      const struct wg_menu *m, int i)
{
    const char *right = m->right ? m->right(m->arg, i) : NULL;
    struct wg_rect text = wg_span(line, 2, 0, line.w - 4);
    int rw = right ? wg_width(right) : 0;
    char cut[512];

    if (rw > 0 && rw + 2 < text.w) {
        wg_text_right(c, text, 0, WG_KEY, right);
        text.w -= rw + 2; /* the name never touches the key */
    }
    wg_cut(cut, sizeof cut, m->item(m->arg, i), text.w, false);
    wg_text(c, text, 0, 0, WG_TEXT, cut);
}

void wg_menu_draw(struct wg_canvas *c, struct wg_rect r, struct wg_menu *m,
                  enum wg_glyphs g)
{
    struct wg_rect body = {r.x + 1, r.y + 1, r.w - 2, r.h - 2};

    wg_frame(c, r, m->title, g);
    m->shown = body.h > 0 ? body.h : 0;
    if (body.w < 1 || body.h < 1) {
        return;
    }
    m->top = wg_scroll_to(m->top, m->cursor, m->n, body.h);
    if (m->n == 0) {
        wg_text(c, body, 2, 0, WG_DIM, "nothing matches");
    }
    for (int y = 0; y < body.h && m->top + y < m->n; y++) {
        struct wg_rect line = wg_row(body, y);
        draw_item(c, line, m, m->top + y);
        if (m->top + y == m->cursor) {
            wg_char(c, line, 0, 0, WG_ACCENT, g == WG_ASCII ? '>' : 0x258c);
            wg_tint(c, line, WG_CURSOR);
        }
    }
    wg_scrollbar(c, body, m->top, m->n, g);
}

/* Where a key leads from `at` among n rows, h of them seen; -1: not ours.
 * The menu and the pager move alike. */
int wg_list_key(int key, int at, int n, int h)
{
    int page = h > 2 ? h - 1 : 1;

    switch (key) {
    case WG_KEY_UP:
    case 'k':
    case 16: /* Ctrl-P */
        return at > 0 ? at - 1 : 0;
    case WG_KEY_DOWN:
    case 'j':
    case 14: /* Ctrl-N */
        return at < n - 1 ? at + 1 : at;
    case WG_KEY_PGUP:
        return at > page ? at - page : 0;
    case WG_KEY_PGDN:
        at += page;
        break;
    case 21: /* Ctrl-U */
        return at > page / 2 ? at - page / 2 : 0;
    case 4: /* Ctrl-D */
        at += page / 2 > 0 ? page / 2 : 1;
        break;
    case WG_KEY_HOME:
    case 'g':
        return 0;
    case WG_KEY_END:
    case 'G':
        at = n - 1;
        break;
    default:
        return -1;
    }
    return at > n - 1 ? (n > 0 ? n - 1 : 0) : at;
}

bool wg_menu_key(struct wg_menu *m, int key)
{
    int to = wg_list_key(key, m->cursor, m->n, m->shown);

    if (to >= 0) {
        m->cursor = to;
    }
    return to >= 0;
}
