/* picture.c: `:plot`, pictures for papers and colleagues.  Drawn on a lane
 * from a copy of what is known now; an existing file is asked about. */
#include <stdio.h>
#include <string.h>

#include "ui.h"

static bool plot_to(struct ui *ui, bool force)
{
    struct bd_err err = {0};
    struct bd_plot_ask ask = {.what = ui->picture_what,
                              .layer = ui->list.cur, .path = ui->picture,
                              .force = force};
    bd_status st = ui->batch ? bd_session_plot(ui->s, &ask, &err)
                             : bd_session_plot_soon(ui->s, &ask, &err);
    return ui_wrote(ui, st, ui->picture, &err);
}

static void overwrite(struct ui *ui)
{
    plot_to(ui, true);
}

/* The kind named by the first word, -1 = it names none. */
static int kind_of(const char *word, size_t n)
{
    for (int i = 0; bd_picture_names[i]; i++)
        if (strlen(bd_picture_names[i]) == n &&
            strncmp(bd_picture_names[i], word, n) == 0)
            return i;
    return -1;
}

/* "[WHAT] FILE": without a kind it is the histogram.  A kind alone gets a
 * file of its name.  A bare word that is no kind was meant as one: files have
 * a dot or a slash. */
bool ui_plot(struct ui *ui, const char *args)
{
    char shown[300];
    size_t n = strcspn(args, " ");
    int kind = kind_of(args, n);
    const char *file = kind < 0 ? args : args + n + strspn(args + n, " ");
    if (kind < 0 && n > 0 && strcspn(args, "./") >= n) {
        char word[48];
        snprintf(word, sizeof word, "%.*s", (int)(n < 40 ? n : 40), args);
        ui_warn(ui, "'%s' is no picture; there are histogram, channels, "
                    "tradeoff and sensitivity",
                bd_text_show(shown, sizeof shown, word, 40));
        return false;
    }
    ui->picture_what = kind < 0 ? BD_PICTURE_HISTOGRAM
                                : (enum bd_picture_what)kind;
    if (kind >= 0 && !*file)
        snprintf(ui->picture, sizeof ui->picture, "%s.png",
                 bd_picture_names[kind]);
    else
        snprintf(ui->picture, sizeof ui->picture, "%s", file);
    if (!*args || ui->list.at < 0) {
        ui_warn(ui, "takes [WHAT] FILE, as in :plot conv1.png or "
                    ":plot tradeoff all.png");
        return false;
    }
    bd_text_show(shown, sizeof shown, ui->picture, 60);
    if (!bd_file_exists(ui->picture))
        return plot_to(ui, false);
    if (ui->batch) {
        ui_warn(ui, "%s exists; take another name", shown);
        return false;
    }
    ui_confirm(ui, overwrite, "%s exists. Overwrite it?", shown);
    return true;
}
