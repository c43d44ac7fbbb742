/* keep.c: the present configuration under a name, for comparison.  `C` asks
 * for the name; Enter alone takes the next free one. */
#include <stdio.h>
#include <string.h>

#include "ui.h"

/* The sentence names the key that leads on: keeping is for comparing. */
bool ui_keep(struct ui *ui, const char *name)
{
    struct bd_err err = {0};
    struct bd_kept_view k;
    char shown[96];
    size_t at;
    if (bd_session_keep(&at, ui->s, name && *name ? name : NULL, NULL,
                        &err) != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    if (bd_session_kept_at(&k, ui->s, at))
        ui_say(ui, "kept as '%s'; 7 compares",
               bd_text_show(shown, sizeof shown, k.name, 40));
    return true;
}

static void named(struct ui *ui, const char *text)
{
    ui_keep(ui, text);
}

void ui_ask_keep(struct ui *ui)
{
    ui_prompt_open(ui, &(struct ui_ask){
                           .label = "keep as (Enter: next number): ",
                           .done = named});
}

/* No question asked: what is kept is a copy, and `C` makes another. */
bool ui_forget(struct ui *ui, const char *name)
{
    struct bd_err err = {0};
    if (bd_session_forget(ui->s, name, &err) != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    ui_say(ui, "forgotten");
    return true;
}

/* "A, B", "B" or nothing: names contain blanks, so a comma parts them. */
bool ui_compare(struct ui *ui, const char *args)
{
    char a[64], b[64];
    const char *comma = strchr(args, ',');
    if (!comma)
        return ui_compare_sides(ui, NULL, *args ? args : NULL);
    size_t n = (size_t)(comma - args);
    while (n > 0 && args[n - 1] == ' ')
        n--;
    snprintf(a, sizeof a, "%.*s", (int)(n < 63 ? n : 63), args);
    snprintf(b, sizeof b, "%s", comma + 1 + strspn(comma + 1, " "));
    return ui_compare_sides(ui, a, b);
}
