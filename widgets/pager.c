/* Scrolled text in a frame: help, the log. */
#include "wg_priv.h"

#include <stdio.h>

/* How far down we are, in the lower edge; nothing when all is seen. */
static void draw_position(struct wg_canvas *c, struct wg_rect r,
                          const struct wg_pager *p, int h)
{
    int last = p->n - h;
    char text[32];

    if (last > 0 && r.w > 16) {
        snprintf(text, sizeof text, " %d%% ", p->top * 100 / last);
        wg_text_right(c, wg_span(r, 0, r.h - 1, r.w - 2), 0, WG_DIM, text);
    }
}

void wg_pager_draw(struct wg_canvas *c, struct wg_rect r, struct wg_pager *p,
                   enum wg_glyphs g)
{
    struct wg_rect body = {r.x + 1, r.y + 1, r.w - 2, r.h - 2};
    int h = body.h > 0 ? body.h : 0;

    wg_frame(c, r, p->title, g);
    p->shown = h;
    p->top = wg_scroll_to(p->top, p->top, p->n, h);
    if (h > 0 && p->top > p->n - h) {
        p->top = p->n > h ? p->n - h : 0;
    }
    for (int y = 0; y < h && p->top + y < p->n; y++) {
        int i = p->top + y;
        enum wg_role role = p->role ? p->role(p->arg, i) : WG_TEXT;
        struct wg_rect line = wg_span(body, 1, y, body.w - 2);
        wg_text(c, line, 0, 0, role, p->line(p->arg, i));
    }
    wg_scrollbar(c, body, p->top, p->n, g);
    draw_position(c, r, p, h);
}

bool wg_pager_key(struct wg_pager *p, int key)
{
    int h = p->shown > 0 ? p->shown : 1;
    int rows = p->n - h + 1; /* places `top` can have */

    if (key == ' ') {
        key = WG_KEY_PGDN;
    } else if (key == 'b') {
        key = WG_KEY_PGUP;
    }
    int to = wg_list_key(key, p->top, rows > 1 ? rows : 1, h);
    if (to >= 0) {
        p->top = to;
    }
    return to >= 0;
}
