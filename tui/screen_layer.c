/* screen_layer.c: what does this grid do to these weights?  The pane of
 * detail.c with the whole screen to itself; up and down go to the
 * neighbouring layers. */
#include "ui.h"

static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    (void)state;
    if (ui->list.at < 0)
        wg_text(&ui->canvas, body, 3, 1, WG_DIM, "no layer is shown");
    else
        ui_detail_draw(ui, body, ui->list.cur);
}

static void open(struct ui *ui, void *state)
{
    (void)state;
    if (ui->list.cur >= 0)
        bd_session_visible(ui->s, &ui->list.cur, 1);
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    (void)state;
    switch ((int)a) {
    case UI_OPEN:
        ui_goto(ui, UI_CHANNELS, true);
        return true;
    case UI_LEFT: /* along the axis: from level to level */
        return ui_edit(ui, UI_LEVEL_PREV, count);
    case UI_RIGHT:
        return ui_edit(ui, UI_LEVEL_NEXT, count);
    default:
        return false;
    }
}

static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    (void)state;
    (void)body;
    if (m.what == WG_WHEEL_UP)
        ui_list_move(&ui->list, -1);
    if (m.what == WG_WHEEL_DOWN)
        ui_list_move(&ui->list, 1);
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},        {UI_BACK, "back"},
    {UI_BITS_UP, "more"},     {UI_BITS_DOWN, "less"},
    {UI_METHOD, "method"},    {UI_CLIP, "clip rule"},
    {UI_CLIP_DOWN, "lower"},  {UI_CLIP_UP, "higher"},
    {UI_LEVEL_NEXT, "level"}, {UI_OVERLAY, "overlay"},
    {UI_OPEN, "channels"},    {UI_UNDO, "undo"},
    {UI_LOG_COUNTS, "log"},   {UI_NONE, NULL},
};

const struct ui_screen ui_screen_layer = {
    .key = "2", .name = "Layer", .on = ON_LAYER, .keys = keys,
    .open = open, .draw = draw, .action = action, .mouse = mouse,
};
