/* Shared by the tests of widgets: comparing pictures, and a rectangle with a
 * guarded surrounding. */
#ifndef WG_TEST_H
#define WG_TEST_H

#include "wg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The picture must be exactly `want`; a difference is printed as a picture. */
static inline void wgt_shows(const struct wg_canvas *c, const char *want)
{
    char *got = wg_canvas_dump(c, false);

    assert_non_null(got);
    if (strcmp(got, want) != 0) {
        print_message("got:\n%s|\nwant:\n%s|\n", got, want);
    }
    assert_string_equal(got, want);
    free(got);
}

/* A canvas of w x h full of '@', to see what a widget leaves alone. */
static inline struct wg_canvas wgt_canvas(int w, int h, uint32_t fill)
{
    struct wg_canvas c = {0};

    assert_true(wg_canvas_resize(&c, w, h));
    wg_fill(&c, (struct wg_rect){0, 0, w, h}, fill, WG_TEXT);
    return c;
}

/* Every wide character has its right half, and no half is alone. */
static inline void wgt_whole(const struct wg_canvas *c)
{
    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++) {
            const struct wg_cell *cell = &c->cell[y * c->w + x];
            bool wide = cell->ch >= 0x4e00 && cell->ch < 0x9fff;
            bool half = x + 1 < c->w && cell[1].ch == 0;
            if (wide != half || (x == 0 && cell->ch == 0)) {
                fail_msg("half a character at %d,%d", x, y);
            }
        }
    }
}

/* Nothing outside r was touched: all '@' still. */
static inline void wgt_untouched(const struct wg_canvas *c, struct wg_rect r)
{
    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++) {
            bool in = x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h;
            if (!in && c->cell[y * c->w + x].ch != '@') {
                fail_msg("drew at %d,%d outside %d,%d %dx%d", x, y, r.x, r.y,
                         r.w, r.h);
            }
        }
    }
}

/* A small generator, so every run sees the same cases. */
static inline unsigned wgt_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
