/* screens.c: the screens that exist, in the order of their tabs. */
#include "screen.h"

static const struct ui_screen *const screens[UI_SCREENS] = {
    [UI_LAYERS] = &ui_screen_layers,
    [UI_LAYER] = &ui_screen_layer,
    [UI_CHANNELS] = &ui_screen_channels,
    [UI_TRADE] = &ui_screen_trade,
    [UI_SEARCH] = &ui_screen_search,
    [UI_COMPARE] = &ui_screen_compare,
    [UI_EXPORT] = &ui_screen_export,
};

const struct ui_screen *ui_screen_at(enum ui_screen_id id)
{
    return screens[id];
}
