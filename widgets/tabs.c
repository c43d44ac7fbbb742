/* The tab line on top and the key line at the bottom.
 *
 * Tab widths depend on the names and the room alone, not on which tab is
 * active: nothing moves when the user changes the screen, and the mouse needs
 * nothing but the rectangle. */
#include "wg_priv.h"

#include <string.h>

/* Cells of one tab: a blank, key, name cut to `cap` cells, a blank. */
static int tab_width(const struct wg_tab *tab, int cap)
{
    int name = wg_width(tab->name);

    return 2 + wg_width(tab->key) + (name < cap ? name : cap);
}

static int tabs_total(const struct wg_tab *tab, int n, int cap)
{
    int total = 0;

    for (int i = 0; i < n; i++) {
        total += tab_width(&tab[i], cap);
    }
    return total;
}

/* The longest name length at which all tabs fit w cells; 0: keys only. */
static int name_cap(const struct wg_tab *tab, int n, int w)
{
    int cap = 24;

    while (cap > 0 && tabs_total(tab, n, cap) > w) {
        cap--;
    }
    return cap;
}

static void draw_tab(struct wg_canvas *c, struct wg_rect r,
                     const struct wg_tab *tab, bool active)
{
    char name[128];
    int key = wg_width(tab->key);

    wg_fill(c, r, ' ', active ? WG_TAB_ACTIVE : WG_TAB);
    wg_text(c, r, 1, 0, active ? WG_TAB_ACTIVE : WG_KEY, tab->key);
    wg_cut(name, sizeof name, tab->name, r.w - 2 - key, false);
    wg_text(c, r, 1 + key, 0, active ? WG_TAB_ACTIVE : WG_TAB, name);
}

void wg_tabs_draw(struct wg_canvas *c, struct wg_rect r,
                  const struct wg_tab *tab, int n, int active,
                  const char *right)
{
    int cap = name_cap(tab, n, r.w), x = 0;
    char cut[256];

    for (int i = 0; i < n; i++) {
        int w = tab_width(&tab[i], cap);
        draw_tab(c, wg_span(r, x, 0, w), &tab[i], i == active);
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
    int cap = name_cap(tab, n, r.w), at = r.x;

    for (int i = 0; i < n && x >= at && at < r.x + r.w; i++) {
        at += tab_width(&tab[i], cap);
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
