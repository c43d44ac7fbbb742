/* Progress in one line: a heavy line for what is done, a thin one for the
 * rest, to half a cell.  Calm, and legible without colour. */
#include "wg_priv.h"

#include <math.h>

void wg_bar(struct wg_canvas *c, struct wg_rect r, double fraction,
            enum wg_glyphs g)
{
    double f = isnan(fraction) || fraction < 0 ? 0
               : fraction > 1                  ? 1
                                               : fraction;
    int half = r.w > 0 ? (int)(f * 2 * r.w) : 0;

    if (g == WG_ASCII && r.w > 2) {
        wg_char(c, r, 0, 0, WG_AXIS, '[');
        wg_char(c, r, r.w - 1, 0, WG_AXIS, ']');
        r = wg_span(r, 1, 0, r.w - 2);
        half = (int)(f * r.w) * 2;
    }
    for (int x = 0; x < r.w; x++) {
        int fill = half - 2 * x; /* halves of this cell that are done */
        if (g == WG_ASCII) {
            wg_char(c, r, x, 0, fill > 0 ? WG_BAR : WG_AXIS,
                    fill > 0 ? '#' : '.');
        } else if (fill > 0) {
            wg_char(c, r, x, 0, WG_BAR, fill > 1 ? 0x2501 : 0x2578);
        } else {
            wg_char(c, r, x, 0, WG_AXIS, 0x2500);
        }
    }
}
