/* palette.c: `:`.  One list of every command and every action, each with its
 * key, narrowed as letters are typed, so that the palette teaches the keys.
 * A line that begins with a command's name is that command; anything else
 * picks the highlighted entry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { KEY_TAB = 9, KEY_ENTER = 13, KEY_ESC = 27, KEY_CTRL_C = 3 };
/* Entries: commands are numbered from 0, actions from here. */
enum { ACTION_BASE = 1000 };

static const char *entry_name(int e)
{
    return e >= ACTION_BASE
               ? ui_action_info((enum ui_action)(e - ACTION_BASE))->name
               : ui_commands[e].name;
}

static const char *entry_help(int e)
{
    return e >= ACTION_BASE
               ? ui_action_info((enum ui_action)(e - ACTION_BASE))->help
               : ui_commands[e].help;
}

static const char *item(void *arg, int i)
{
    struct ui *ui = arg;
    int e = ui->found[i];
    snprintf(ui->line, sizeof ui->line, "%-26s %s",
             e >= ACTION_BASE ? entry_name(e) : ui_commands[e].usage,
             entry_help(e));
    return ui->line;
}

static const char *right(void *arg, int i)
{
    struct ui *ui = arg;
    int e = ui->found[i];
    if (e < ACTION_BASE)
        return ":";
    return ui_keymap_keys(ui->line2, sizeof ui->line2, &ui->keys,
                          (enum ui_action)(e - ACTION_BASE), 2);
}

/* Score of an entry for what was typed: its name counts more than its
 * help. */
static int score(int e, const char *word)
{
    if (!*word)
        return 0;
    int name = wg_fuzzy(word, entry_name(e));
    if (name >= 0)
        return 1000 + name;
    return ui_contains(entry_help(e), word) ? 1 : -1;
}

/* Keeps entries in descending score, equal ones in table order. */
static void insert(struct ui *ui, int *scores, int e, int sc)
{
    int at = ui->menu.n++;
    while (at > 0 && scores[at - 1] < sc) {
        scores[at] = scores[at - 1];
        ui->found[at] = ui->found[at - 1];
        at--;
    }
    scores[at] = sc;
    ui->found[at] = e;
}

/* Typed words after the first are arguments and do not narrow. */
static void narrow(struct ui *ui)
{
    int scores[UI_PALETTE];
    char word[64];
    snprintf(word, sizeof word, "%.*s",
             (int)strcspn(ui->prompt.in.text, " "), ui->prompt.in.text);
    ui->menu.n = 0;
    ui->menu.cursor = 0;
    ui->menu.top = 0;
    for (int c = 0; ui_commands[c].name && ui->menu.n < UI_PALETTE; c++)
        if (score(c, word) >= 0)
            insert(ui, scores, c, score(c, word));
    for (int a = UI_NONE + 1; a < UI_ACTIONS && ui->menu.n < UI_PALETTE;
         a++)
        if (score(ACTION_BASE + a, word) >= 0)
            insert(ui, scores, ACTION_BASE + a,
                   score(ACTION_BASE + a, word));
}

/* The list stands above the line, so the eye stays at the cursor. */
static void draw(struct ui *ui)
{
    if (ui->menu.n > 0)
        wg_menu_draw(&ui->canvas, ui_overlay_rect(ui, 78, ui->menu.n + 2),
                     &ui->menu, ui->glyphs);
    wg_input_draw(&ui->canvas, ui->frame.note, &ui->prompt.in, ":");
}

static void set_text(struct ui *ui, const char *text)
{
    struct wg_input *in = &ui->prompt.in;
    snprintf(in->text, sizeof in->text, "%s", text);
    in->len = (int)strlen(in->text);
    in->cursor = in->len;
    narrow(ui);
}

/* Up on the first entry, or in an empty line, recalls older commands. */
static bool recall(struct ui *ui, int key)
{
    int at = ui->prompt.in.at; /* how far back we are */
    if (key == WG_KEY_UP && at < ui->npast && ui->menu.cursor == 0 &&
        (at > 0 || ui->prompt.in.len == 0)) {
        set_text(ui, ui->past[ui->npast - 1 - at]);
        ui->prompt.in.at = at + 1;
        return true;
    }
    if (key == WG_KEY_DOWN && at > 0) {
        set_text(ui, at > 1 ? ui->past[ui->npast + 1 - at] : "");
        ui->prompt.in.at = at - 1;
        return true;
    }
    return false;
}

/* A usage of one word needs none. */
static bool takes_arguments(const struct ui_command *c)
{
    return strchr(c->usage, ' ') != NULL;
}

/* Enter on a line that is no command: the highlighted entry. */
static void pick(struct ui *ui)
{
    if (ui->menu.n == 0) {
        char text[512];
        snprintf(text, sizeof text, "%s", ui->prompt.in.text);
        ui_close_overlay(ui);
        ui_command_run(ui, text); /* says what it does not know */
        return;
    }
    int e = ui->found[ui->menu.cursor];
    if (e >= ACTION_BASE) {
        ui_close_overlay(ui);
        ui_do(ui, (enum ui_action)(e - ACTION_BASE), 1);
    } else if (takes_arguments(&ui_commands[e])) {
        char text[64];
        snprintf(text, sizeof text, "%s ", ui_commands[e].name);
        set_text(ui, text);
    } else {
        ui_close_overlay(ui);
        ui_past_add(ui, ui_commands[e].name);
        ui_command_run(ui, ui_commands[e].name);
    }
}

/* The line is copied: running it may open the palette again. */
static void enter(struct ui *ui)
{
    const char *text = ui->prompt.in.text;
    size_t n = strcspn(text, " ");
    /* An entry chosen with the arrows wins over what is typed. */
    if (ui->menu.cursor > 0 || !ui_command_find(text, n)) {
        pick(ui);
        return;
    }
    char line[512];
    snprintf(line, sizeof line, "%s", text);
    ui_close_overlay(ui);
    ui_past_add(ui, line);
    ui_command_run(ui, line);
}

/* Tab completes to the highlighted command and leaves room for arguments. */
static void key(struct ui *ui, int k)
{
    if (k == KEY_ESC || k == KEY_CTRL_C || k == WG_KEY_F10) {
        ui_close_overlay(ui);
    } else if (k == 127 && ui->prompt.in.len == 0) {
        ui_close_overlay(ui); /* Backspace on an empty line leaves */
    } else if (k == KEY_ENTER) {
        enter(ui);
    } else if (k == KEY_TAB) {
        if (ui->menu.n > 0 && ui->found[ui->menu.cursor] < ACTION_BASE) {
            char text[64];
            snprintf(text, sizeof text, "%s ",
                     entry_name(ui->found[ui->menu.cursor]));
            set_text(ui, text);
        }
    } else if (k == WG_KEY_UP || k == WG_KEY_DOWN || k == WG_KEY_PGUP ||
               k == WG_KEY_PGDN) {
        if (!recall(ui, k))
            wg_menu_key(&ui->menu, k);
    } else if (wg_input_key(&ui->prompt.in, k)) {
        narrow(ui);
    }
}

static const struct ui_overlay palette_overlay = {draw, key, false, true};

/* Opens empty: the last command is one Up away, not in the way. */
void ui_open_palette(struct ui *ui)
{
    memset(&ui->prompt, 0, sizeof ui->prompt);
    ui->menu = (struct wg_menu){.title = "Commands", .item = item,
                                .right = right, .arg = ui};
    narrow(ui);
    ui->over = &palette_overlay;
}

/* The same command twice in a row is kept once. */
void ui_past_add(struct ui *ui, const char *line)
{
    if (!*line ||
        (ui->npast && strcmp(ui->past[ui->npast - 1], line) == 0))
        return;
    char *copy = strdup(line);
    if (!copy)
        return; /* a command not recalled is no loss */
    if (ui->npast == UI_PAST) {
        free(ui->past[0]);
        memmove(ui->past, ui->past + 1, (UI_PAST - 1) * sizeof *ui->past);
        ui->npast--;
    }
    ui->past[ui->npast++] = copy;
}
