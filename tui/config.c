/* config.c: the person's own settings, $XDG_CONFIG_HOME/bitdial/config.
 * Lines are commands of `:` that change the program and not the network:
 *
 *     # keys and colours
 *     set theme light
 *     bind <F5> undo
 *
 * A line that is not understood costs one warning in the log, not the start.
 * Scripts and plain lines do not read it: they must behave alike everywhere. */
#include <stdio.h>
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

void ui_config_load(struct ui *ui)
{
    char folder[900], path[1000];
    struct bd_err err = {0};
    char *text = NULL;
    size_t n;
    if (!bd_xdg_dir(folder, sizeof folder, "CONFIG"))
        return;
    snprintf(path, sizeof path, "%s/config", folder);
    if (!bd_file_exists(path))
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
    ui->note.text[0] = 0;
    ui->failed = false;
}
