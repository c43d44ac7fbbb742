/* Frames of overlays, scroll bars, and the arithmetic of scrolling.  Screens
 * themselves have no boxes: whitespace parts them. */
#include "wg_priv.h"

struct box {
    uint32_t h, v, tl, tr, bl, br;
};

static const struct box round_box = {0x2500, 0x2502, 0x256d,
                                     0x256e, 0x2570, 0x256f};
static const struct box ascii_box = {'-', '|', '+', '+', '+', '+'};

static void frame_lines(struct wg_canvas *c, struct wg_rect r,
                        const struct box *b)
{
    for (int x = 1; x < r.w - 1; x++) {
        wg_char(c, r, x, 0, WG_FRAME, b->h);
        wg_char(c, r, x, r.h - 1, WG_FRAME, b->h);
    }
    for (int y = 1; y < r.h - 1; y++) {
        wg_char(c, r, 0, y, WG_FRAME, b->v);
        wg_char(c, r, r.w - 1, y, WG_FRAME, b->v);
    }
    wg_char(c, r, 0, 0, WG_FRAME, b->tl);
    wg_char(c, r, r.w - 1, 0, WG_FRAME, b->tr);
    wg_char(c, r, 0, r.h - 1, WG_FRAME, b->bl);
    wg_char(c, r, r.w - 1, r.h - 1, WG_FRAME, b->br);
}

void wg_frame(struct wg_canvas *c, struct wg_rect r, const char *title,
              enum wg_glyphs g)
{
    char cut[256];

    wg_fill(c, r, ' ', WG_FRAME);
    if (r.w < 2 || r.h < 2) {
        return;
    }
    frame_lines(c, r, g == WG_ASCII ? &ascii_box : &round_box);
    if (title && *title && r.w > 6) {
        wg_cut(cut, sizeof cut, title, r.w - 6, false);
        int n = wg_textf(c, r, 2, 0, WG_TITLE, " %s", cut);
        wg_text(c, r, 2 + n, 0, WG_TITLE, " ");
    }
}

int wg_scroll_to(int top, int cursor, int n, int h)
{
    h = h < 1 ? 1 : h;
    if (top > n - h) {
        top = n - h;
    }
    if (top > cursor) {
        top = cursor;
    }
    if (top < cursor - h + 1) {
        top = cursor - h + 1;
    }
    return top < 0 ? 0 : top;
}

void wg_scrollbar(struct wg_canvas *c, struct wg_rect r, int top, int n,
                  enum wg_glyphs g)
{
    if (r.h < 2 || r.w < 2 || n <= r.h) {
        return;
    }
    /* The thumb touches the ends exactly when the list does. */
    int size = (int)((int64_t)r.h * r.h / n);
    size = size < 1 ? 1 : size;
    int room = r.h - size, last = n - r.h;
    int at = (int)(((int64_t)top * room + last / 2) / last);
    at = at == 0 && top > 0 && room > 1 ? 1 : at;
    at = at >= room && top < last && room > 1 ? room - 1 : at;
    for (int y = 0; y < size; y++) {
        wg_char(c, r, r.w - 1, at + y, WG_AXIS, g == WG_ASCII ? '|' : 0x2590);
    }
}
