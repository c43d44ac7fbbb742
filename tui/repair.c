/* repair.c: the menu of repairs (R) and `:repair`.  A repair of seconds means
 * the marked layers, or all; one of minutes the marked layers, or the
 * cursor's.  It runs on a lane; what came of it follows as news. */
#include <stdio.h>
#include <string.h>

#include "ui.h"

/* Marked layers; without marks all (n 0), or the cursor's for long ones. */
static struct bd_sel layers_for(struct ui *ui, const struct bd_repair *r)
{
    struct bd_sel all = {NULL, 0};
    if (ui->list.nmarked > 0 || (r->traits & BD_REPAIR_LONG))
        return ui_selection(ui);
    return all;
}

static bool start(struct ui *ui, const struct bd_repair *r, struct bd_sel sel)
{
    struct bd_err err = {0};
    struct bd_repair_ask ask = {.name = r->name, .sel = sel};
    char shown[128];
    if (sel.n == 0 && (r->traits & BD_REPAIR_LONG)) {
        ui_warn(ui, "no layer is shown; \\ then Enter clears the filter");
        return false;
    }
    if (bd_session_repair(ui->s, &ask, &err) != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    if (sel.n == 1)
        ui_say(ui, "%s on %s ...", r->name,
               bd_text_show(shown, sizeof shown,
                            bd_session_model(ui->s)->layer[sel.layer[0]].name,
                            40));
    else if (sel.n > 1)
        ui_say(ui, "%s on %zu layers ...", r->name, sel.n);
    else
        ui_say(ui, "%s ...", r->name);
    return true;
}

/* ---------------------------------------------------------------- the menu */

static const char *item(void *ui, int i)
{
    (void)ui;
    return bd_repairs()[i]->name;
}

static const char *right(void *arg, int i)
{
    struct ui *ui = arg;
    const struct bd_repair *r = bd_repairs()[i];
    bool data = (r->traits & BD_REPAIR_DATA) != 0;
    if (data && bd_session_why_no_accuracy(ui->s))
        snprintf(ui->line, sizeof ui->line, "needs images: --data");
    else
        snprintf(ui->line, sizeof ui->line, "%s%s", r->does,
                 data ? ", by images" : "");
    return ui->line;
}

static void chosen(struct ui *ui, int i)
{
    const struct bd_repair *r = bd_repairs()[i];
    start(ui, r, layers_for(ui, r));
}

void ui_open_repairs(struct ui *ui)
{
    char *title = ui->line2; /* the menu keeps the pointer */
    int n = 0;
    while (bd_repairs()[n])
        n++;
    if (ui->list.nmarked > 0)
        snprintf(title, sizeof ui->line2, "Repair %d marked layers",
                 ui->list.nmarked);
    else
        snprintf(title, sizeof ui->line2,
                 "Repair all layers (adaround: this one)");
    ui_menu_open(ui, &(struct ui_choice){.title = title, .n = n,
                                         .item = item, .right = right,
                                         .chosen = chosen});
}

/* ------------------------------------------------------------- the command */

static bool by_glob(struct ui *ui, const char *glob, struct bd_sel *sel)
{
    const struct bd_model *m = bd_session_model(ui->s);
    char shown[128];
    *sel = (struct bd_sel){ui->list.sel, 0};
    for (size_t i = 0; i < m->nlayers; i++)
        if (bd_glob(glob, m->layer[i].name))
            ui->list.sel[sel->n++] = (int)i;
    if (sel->n == 0)
        ui_warn(ui, "no layer is called '%s'; * stands for any letters",
                bd_text_show(shown, sizeof shown, glob, 40));
    return sel->n > 0;
}

/* `:repair NAME [LAYERS]`; without a name, the menu. */
bool ui_repair_command(struct ui *ui, const char *args)
{
    char name[64];
    struct bd_err err = {0};
    size_t n = strcspn(args, " \t");
    const char *glob = args + n + strspn(args + n, " \t");
    if (n == 0) {
        ui_open_repairs(ui);
        return true;
    }
    snprintf(name, sizeof name, "%.*s", (int)n, args);
    const struct bd_repair *r = bd_repair_find(name, &err);
    if (!r) {
        ui_refuse(ui, &err);
        return false;
    }
    struct bd_sel sel = layers_for(ui, r);
    return (!*glob || by_glob(ui, glob, &sel)) && start(ui, r, sel);
}
