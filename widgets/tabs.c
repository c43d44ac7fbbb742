/* The tab line on top and the key line at the bottom.
 *
 * Tab widths depend on the names and the room alone, not on which tab is
 * active: nothing moves when the user changes the screen, and the mouse needs
 * nothing but the rectangle.  Where room is short blanks go before letters:
 * a whole name says more than air. */
#include "wg_priv.h"

#include <string.h>

struct fit {
    int cap;   /* the longest name, in cells; 0: keys only */
    int blank; /* before the key: one behind the name there always is */
};

static int tab_width(const struct wg_tab *tab, struct fit f)
{
    int name = wg_width(tab->name);

    return f.blank + wg_width(tab->key) + (name < f.cap ? name : f.cap) + 1;
}

static int tabs_total(const struct wg_tab *tab, int n, struct fit f)
{
    int total = 0;

    for (int i = 0; i < n; i++) {
        total += tab_width(&tab[i], f);
    }
    return total;
}

/* How all tabs fit w cells; the last one's blank may fall off. */
static struct fit fit_tabs(const struct wg_tab *tab, int n, int w)
{
    struct fit f = {24, 1};

    if (tabs_total(tab, n, f) <= w) {
        return f;
    }
    f.blank = 0;
    while (f.cap > 0 && tabs_total(tab, n, f) - 1 > w) {
        f.cap--;
    }
    if (f.cap == 1) { /* an ellipsis alone says nothing: keys and air */
        f = (struct fit){0, 1};
        f.blank = tabs_total(tab, n, f) - 1 <= w;
    }
    return f;
}

static void draw_tab(struct wg_canvas *c, struct wg_rect r,
                     const struct wg_tab *tab, struct fit f, bool active)
{
    char name[128];
    int key = wg_width(tab->key), w = wg_width(tab->name);

    wg_fill(c, r, ' ', active ? WG_TAB_ACTIVE : WG_TAB);
    wg_text(c, r, f.blank, 0, active ? WG_TAB_ACTIVE : WG_KEY, tab->key);
    wg_cut(name, sizeof name, tab->name, w < f.cap ? w : f.cap, false);
    wg_text(c, r, f.blank + key, 0, active ? WG_TAB_ACTIVE : WG_TAB, name);
}

void wg_tabs_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_tab *tab, int n, int active,
                  const char *right)
{
    struct fit f = fit_tabs(tab, n, r.w);
    int x = 0;
    char cut[256];

    for (int i = 0; i < n; i++) {
        int w = tab_width(&tab[i], f);
        draw_tab(c, wg_span(r, x, 0, w), &tab[i], f, i == active);
        x += w;
    }
    int room = r.w - x - 3; /* two blanks before, one behind */
    if (right && *right && room >= 4) {
        wg_cut(cut, sizeof cut, right, room, true);
        wg_text_right(c, wg_span(r, 0, 0, r.w - 1), 0, WG_TITLE, cut);
    }
}

int wg_tabs_hit(struct wg_rect r, const struct wg_tab *tab, int n, int x)
{
    struct fit f = fit_tabs(tab, n, r.w);
    int at = r.x;

    for (int i = 0; i < n && x >= at && at < r.x + r.w; i++) {
        at += tab_width(&tab[i], f);
        if (x < at) {
            return i;
        }
    }
    return -1;
}

void wg_keybar_draw(struct wg_canvas *c, struct wg_rect r,
                    const struct wg_tab *key, int n)
{
    int x = 1;

    for (int i = 0; i < n; i++) {
        int need = wg_width(key[i].key) + 1 + wg_width(key[i].name);
        if (x + need > r.w) {
            break; /* half a hint is none */
        }
        x += wg_text(c, r, x, 0, WG_KEY, key[i].key) + 1;
        x += wg_text(c, r, x, 0, WG_KEY_TEXT, key[i].name) + 2;
    }
}
