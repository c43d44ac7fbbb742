/* config.c: the person's own settings, $XDG_CONFIG_HOME/bitdial/config.
 * Lines are commands of `:` that change the program and not the network:
 *
 *     # keys and colours
 *     set theme light
 *     bind <F5> undo
 *
 * Only `:set save` writes it, and only what was set in this run: the file
 * belongs to the person.
 *
 * A line that is not understood costs one warning in the log, not the start.
 * Scripts and plain lines do not read it: they must behave alike everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { CONFIG_MAX = 64 * 1024 };

/* Nothing here may edit a network: a settings file that quietly changed
 * every model opened would be a trap. */
static bool allowed(const char *line)
{
    return strncmp(line, "set ", 4) == 0 || strncmp(line, "bind ", 5) == 0;
}

/* One line; a mistake is a warning that names it, and the rest goes on. */
static void take_line(struct ui *ui, const char *line, int number)
{
    char shown[128];
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return;
    if (!allowed(line))
        bd_session_say(ui->s, "config, line %d: '%s': set and bind belong "
                       "there", number,
                       bd_text_show(shown, sizeof shown, line, 40));
    else if (!ui_command_run(ui, line)) /* its sentence is in the log */
        bd_session_say(ui->s, "config, line %d is left out", number);
}

static bool config_path(char *out, size_t cap)
{
    char folder[900];
    if (!bd_xdg_dir(folder, sizeof folder, "CONFIG"))
        return false;
    snprintf(out, cap, "%s/config", folder);
    return true;
}

/* What a line is about: "set theme", "set mouse", "bind <F5>".  Two lines
 * about the same thing cannot both hold. */
static void subject(char out[64], const char *line)
{
    char verb[16] = "", what[40] = "";
    sscanf(line, " %15s %39s", verb, what);
    snprintf(out, 64, "%s %s", verb,
             strcmp(what, "nomouse") == 0 ? "mouse" : what);
}

void ui_config_done(struct ui *ui)
{
    while (ui->nsettings > 0)
        free(ui->setting[--ui->nsettings]);
}

void ui_config_note(struct ui *ui, const char *fmt, ...)
{
    char line[300], mine[64], other[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    subject(mine, line);
    int i = 0;
    for (; i < ui->nsettings; i++) {
        subject(other, ui->setting[i]);
        if (strcmp(mine, other) == 0)
            break;
    }
    char *copy = i < UI_SETTINGS ? strdup(line) : NULL;
    if (!copy)
        return;
    if (i < ui->nsettings)
        free(ui->setting[i]);
    else
        ui->nsettings++;
    ui->setting[i] = copy;
}

/* The setting of this run about the same thing as a line of the file, -1. */
static int newer(const struct ui *ui, const char *line)
{
    char mine[64], other[64];
    subject(mine, line);
    for (int i = 0; i < ui->nsettings; i++) {
        subject(other, ui->setting[i]);
        if (strcmp(mine, other) == 0)
            return i;
    }
    return -1;
}

/* The old text with its lines replaced where this run knows better, and the
 * rest of this run below. */
static void merge(struct bd_str *out, const struct ui *ui, const char *old)
{
    bool used[UI_SETTINGS] = {false};
    for (const char *s = old; *s;) {
        char line[300];
        size_t n = strcspn(s, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(n < 299 ? n : 299), s);
        int i = newer(ui, line);
        if (i < 0)
            bd_str_put(out, s, n);
        else if (!used[i])
            bd_str_puts(out, ui->setting[i]);
        if (i < 0 || !used[i])
            bd_str_puts(out, "\n");
        if (i >= 0)
            used[i] = true;
        s += n + (s[n] == '\n');
    }
    for (int i = 0; i < ui->nsettings; i++)
        if (!used[i])
            bd_str_printf(out, "%s\n", ui->setting[i]);
}

/* A short file at the person's request; it is read and replaced whole. */
bool ui_config_save(struct ui *ui)
{
    char path[1000], shown[300], *old = NULL;
    struct bd_err err = {0};
    struct bd_str text = {0};
    size_t n;
    if (!config_path(path, sizeof path)) {
        ui_warn(ui, "there is no folder for settings; "
                    "XDG_CONFIG_HOME names one");
        return false;
    }
    bd_status st = BD_OK;
    if (bd_file_exists(path))
        st = bd_file_read(&old, &n, path, CONFIG_MAX, &err);
    if (st == BD_OK) {
        merge(&text, ui, old ? old : "");
        st = bd_save(path, text.s ? text.s : "", text.n, true, &err);
    }
    bd_free(old);
    bd_str_done(&text);
    if (st != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    ui_say(ui, "settings saved: %s",
           bd_text_show(shown, sizeof shown, path, 80));
    return true;
}

void ui_config_load(struct ui *ui)
{
    char path[1000];
    struct bd_err err = {0};
    char *text = NULL;
    size_t n;
    if (!config_path(path, sizeof path) || !bd_file_exists(path))
        return;
    if (bd_file_read(&text, &n, path, CONFIG_MAX, &err) != BD_OK) {
        bd_session_say(ui->s, "config: %s", err.msg);
        return;
    }
    int number = 0;
    for (char *s = text; *s;) {
        size_t len = strcspn(s, "\n");
        char *next = s + len + (s[len] == '\n');
        s[len] = 0;
        take_line(ui, s, ++number);
        s = next;
    }
    bd_free(text);
    ui_config_done(ui); /* these are in the file already */
    ui->note.text[0] = 0;
    ui->failed = false;
}
