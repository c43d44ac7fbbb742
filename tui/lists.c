/* lists.c: the overlays that are lists.  Help and palette are made from
 * actions.def and the command table, so they cannot disagree with the keys.
 * Lines are made on demand into ui->line, which lives until the next one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

/* The bit of the screen that help is asked on. */
static unsigned here(const struct ui *ui)
{
    return ui_screen_at(ui->screen)->on;
}

/* ------------------------------------------------------------------ help
 * Lines: actions that few screens share, then the ones known everywhere,
 * then commands.  Negative entries are headings. */
enum { HEAD_HERE = -1, HEAD_ALL = -2, HEAD_COMMANDS = -3, BLANK = -4 };
enum { COMMAND_BASE = 1000, HEAD_SIGNS = -5, SIGN_BASE = 2000 };

/* What no key's help can say. */
static const char *const signs[] = {
    "  W A            bits of weights and of the layer's input; fp = float",
    "  PSNR           dB between the largest weight and the rounding error",
    "  noise          rounding error against the weights themselves: no bar",
    "                 from 50 dB on, full at 5; amber = twice the median's",
    "  sens           measured by w: the loss, against the worst layer's;",
    "                 dim = at 4 bits, since the layer is in float",
    "  planes         bits kept of the input's 8-bit code, largest first",
    "  ~27.9          of an earlier configuration; the new one is on its way",
    "  94.5 +-1.3     so far, with its 95 % interval, over [images/all]",
    "  *  !           marked; failed, L says why",
};
enum { NSIGNS = sizeof signs / sizeof *signs };

static bool everywhere(enum ui_action a)
{
    return ui_action_info(a)->on == ON_ALL;
}

/* What keys do on one screen, where that is not what actions.def says of them
 * in general. */
static const struct {
    enum ui_screen_id on;
    enum ui_action action;
    const char *says;
} meanings[] = {
    {UI_TRADE, UI_LEFT, "point before"},
    {UI_TRADE, UI_RIGHT, "next point"},
    {UI_TRADE, UI_OPEN, "take this configuration"},
    {UI_SEARCH, UI_LEFT, "previous choice of the field; a smaller target"},
    {UI_SEARCH, UI_RIGHT, "next choice of the field; a larger target"},
    {UI_SEARCH, UI_OPEN, "take what was found; on another field: its choices"},
    {UI_SEARCH, UI_BACK, "stop measuring, the best so far stays; else back"},
    {UI_SEARCH, UI_BITS_UP, "a larger target"},
    {UI_SEARCH, UI_BITS_DOWN, "a smaller target"},
    {UI_SEARCH, UI_BITS, "target, typed: 4.5, or with its kind: size=80000"},
    {UI_COMPARE, UI_OPEN, "take this layer's choices from the other side"},
    {UI_EXPORT, UI_OPEN, "write the file; asks before overwriting"},
};

/* NULL: nothing special on the screen that help is asked on. */
static const char *meaning(const struct ui *ui, enum ui_action a)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].on == ui->screen && meanings[i].action == a)
            return meanings[i].says;
    return NULL;
}

/* What line i of the help is. */
static int help_entry(const struct ui *ui, int i)
{
    int at = 0;
    if (i == at++)
        return HEAD_HERE;
    for (int pass = 0; pass < 2; pass++) {
        for (int a = UI_NONE + 1; a < UI_ACTIONS; a++) {
            enum ui_action act = (enum ui_action)a;
            bool shared = everywhere(act) && !meaning(ui, act);
            if ((ui_action_info(act)->on & here(ui)) == 0 ||
                shared != (pass == 1))
                continue;
            if (i == at++)
                return a;
        }
        if (i == at++)
            return BLANK;
        if (i == at++)
            return pass ? HEAD_COMMANDS : HEAD_ALL;
    }
    int c = i - at, commands = 0;
    while (ui_commands[commands].name)
        commands++;
    if (c < commands)
        return COMMAND_BASE + c;
    c -= commands + 2; /* a blank line and a heading */
    return c == -1 ? HEAD_SIGNS : c >= 0 && c < NSIGNS ? SIGN_BASE + c : BLANK;
}

/* Counts by walking: the list is short and made of two tables. */
static int help_count(const struct ui *ui)
{
    int n = 0;
    while (help_entry(ui, n) != SIGN_BASE + NSIGNS - 1)
        n++;
    return n + 1;
}

static const char *help_line(void *arg, int i)
{
    struct ui *ui = arg;
    char keys[64];
    int e = help_entry(ui, i);
    if (e == BLANK)
        return "";
    if (e == HEAD_HERE)
        snprintf(ui->line, sizeof ui->line, "Keys of %s",
                 ui_screen_at(ui->screen)->name);
    else if (e == HEAD_ALL)
        return "Keys everywhere";
    else if (e == HEAD_COMMANDS)
        return "Commands (after : and in scripts)";
    else if (e == HEAD_SIGNS)
        return "Columns and signs";
    else if (e >= SIGN_BASE)
        return signs[e - SIGN_BASE];
    else if (e >= COMMAND_BASE)
        snprintf(ui->line, sizeof ui->line, "  %-26s %s",
                 ui_commands[e - COMMAND_BASE].usage,
                 ui_commands[e - COMMAND_BASE].help);
    else {
        const char *says = meaning(ui, (enum ui_action)e);
        snprintf(ui->line, sizeof ui->line, "  %-14s %s",
                 ui_keymap_keys(keys, sizeof keys, &ui->keys,
                                (enum ui_action)e, 0),
                 says ? says : ui_action_info((enum ui_action)e)->help);
    }
    return ui->line;
}

static enum wg_role help_role(void *arg, int i)
{
    int e = help_entry(arg, i);
    return e < 0 && e != BLANK ? WG_HEADING : WG_TEXT;
}

/* Keys of this screen first, then those known everywhere, then commands. */
void ui_open_help(struct ui *ui)
{
    ui_pager_open(ui, "Help", help_count(ui), help_line);
    ui->pager.role = help_role;
}

/* ------------------------------------------------------------ log, undo */
/* Bytes of s that fit w cells, cut behind a blank where there is one. */
static size_t fits(const char *s, int w)
{
    size_t at = 0, blank = 0;
    for (int x = 0; s[at] && x < w; x++) {
        if (s[at] == ' ')
            blank = at + 1;
        at++;
        while (((unsigned char)s[at] & 0xc0) == 0x80)
            at++;
    }
    return s[at] && blank ? blank : at;
}

/* Finds piece `want` of the wrapped log, or counts all pieces (want -1).
 * Later pieces of a sentence are set in by two. */
static int log_piece(struct ui *ui, int want)
{
    const char *line = NULL;
    int room = ui->canvas.w - 14, seen = 0;
    size_t n = bd_session_log(ui->s, 0, &line);
    for (size_t i = 0; i < n; i++) {
        bd_session_log(ui->s, i, &line);
        const char *s = line ? line : "", *indent = "";
        do {
            size_t k = fits(s, room > 20 ? room : 20);
            if (seen++ == want)
                snprintf(ui->line, sizeof ui->line, "%s%.*s", indent, (int)k,
                         s);
            s += k;
            indent = "  ";
        } while (*s);
    }
    return seen;
}

static const char *log_line(void *arg, int i)
{
    struct ui *ui = arg;
    ui->line[0] = 0;
    log_piece(ui, i);
    return ui->line;
}

void ui_open_log(struct ui *ui)
{
    int n = log_piece(ui, -1);
    if (n == 0) {
        ui_say(ui, "nothing in the log");
        return;
    }
    ui_pager_open(ui, "Log", n, log_line);
    ui->pager.top = n; /* the newest; the pager pulls this into range */
}

/* Item 0 is the state before the first change. */
static const char *history_item(void *arg, int i)
{
    struct ui *ui = arg;
    if (i == 0)
        return "as opened";
    return bd_session_history_at(ui->s, (size_t)i - 1);
}

static const char *history_right(void *arg, int i)
{
    struct ui *ui = arg;
    size_t now;
    bd_session_history(ui->s, &now);
    return (size_t)i == now ? "now" : (size_t)i > now ? "undone" : "";
}

/* Goes to a step by undoing or redoing up to it. */
static void history_chosen(struct ui *ui, int item)
{
    size_t now;
    bd_session_history(ui->s, &now);
    bool ok = true;
    while (ok && now > (size_t)item) {
        ok = bd_session_undo(ui->s);
        bd_session_history(ui->s, &now);
    }
    while (ok && now < (size_t)item) {
        ok = bd_session_redo(ui->s);
        bd_session_history(ui->s, &now);
    }
    ui_changed(ui);
    ui_say(ui, "at: %s", history_item(ui, (int)now));
}

/* The cursor starts at the state in force. */
void ui_open_history(struct ui *ui)
{
    size_t now, n = bd_session_history(ui->s, &now);
    if (n == 0) {
        ui_say(ui, "no changes yet");
        return;
    }
    ui_menu_open(ui, &(struct ui_choice){
                         .title = "Changes", .n = (int)n + 1, .at = (int)now,
                         .item = history_item, .right = history_right,
                         .chosen = history_chosen});
}

/* ------------------------------------------------------------------ sort */
static const char *sort_item(void *arg, int i)
{
    (void)arg;
    return ui_order_names[i];
}

static const char *sort_right(void *arg, int i)
{
    const struct ui *ui = arg;
    static const char *const what[UI_ORDERS] = {
        "as in the file", "a to z",       "fewest first",
        "fewest first",   "a to z",       "worst first",
        "noisiest first", "largest first", "largest first",
        "most loss per bit saved first"};
    return (int)ui->list.order == i ? "now" : what[i];
}

/* A new order starts upright: the reversal belonged to the old one. */
static void sort_chosen(struct ui *ui, int i)
{
    ui->list.order = (enum ui_order)i;
    ui->list.reverse = false;
    ui_changed(ui);
    ui_say(ui, "sorted by %s, %s", ui_order_names[i], "S turns it round");
}

void ui_open_sort(struct ui *ui)
{
    ui_menu_open(ui, &(struct ui_choice){
                         .title = "Sort by", .n = UI_ORDERS,
                         .at = (int)ui->list.order, .item = sort_item,
                         .right = sort_right, .chosen = sort_chosen});
}
