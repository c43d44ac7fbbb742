/* screen_search.c: which bits to turn, under a budget? */
#include "ui.h"

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    (void)state;
    wg_text(&ui->canvas, body, 3, 1, WG_DIM, "nothing measured yet");
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    (void)ui;
    (void)state;
    (void)a;
    (void)count;
    return false;
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},
    {UI_BACK, "back"},
    {UI_NONE, NULL},
};

const struct ui_screen ui_screen_search = {
    .key = "6", .name = "Search", .on = ON_SEARCH, .keys = keys,
    .draw = draw, .action = action,
};
