/* sens.c: measuring sensitivity (w and `:sweep`), and saying in words why a
 * layer hurts (W and `:why`).  Both run on lanes; the menu and the page fill
 * when their answers arrive. */
#include <stdio.h>
#include <string.h>

#include "ui.h"

/* ------------------------------------------------------------- measuring */

/* What the menu offers; any other sweep is typed. */
static const struct {
    const char *words, *what;
} offers[] = {
    {"kl w images=256", "KL, weights at 2 to 8 bits, 256 images"},
    {"kl w,a images=256", "the same of weights and of inputs"},
    {"top1 w", "top-1, weights, all images"},
    {"fisher w,a images=128", "squared-gradient score, 128 images"},
    {"kl w alone-off images=256", "all quantized but one layer"},
    {"kl w cumulative images=256", "layer after layer quantized"},
};
enum { OFFERS = sizeof offers / sizeof *offers };

static bool start(struct ui *ui, const char *words)
{
    struct bd_sweep_opts o;
    struct bd_err err = {0};
    bd_status st = bd_sweep_words(&o, words, &err);
    if (st == BD_OK)
        st = bd_session_sweep(ui->s, &o, &err);
    if (st != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    ui_say(ui, "measuring: %s; Esc stops, what is measured stays",
           words[0] ? words : "kl w");
    return true;
}

bool ui_sweep_command(struct ui *ui, const char *args)
{
    if (strcmp(args, "stop") == 0) {
        bd_session_sweep_stop(ui->s);
        return true;
    }
    return start(ui, args);
}

static const char *item(void *arg, int i)
{
    struct ui *ui = arg;
    if (i == OFFERS)
        return bd_session_sweeping(ui->s) ? "stop" : "other ...";
    return offers[i].words;
}

static const char *right(void *arg, int i)
{
    struct ui *ui = arg;
    if (i == OFFERS)
        return bd_session_sweeping(ui->s) ? "keeps what is measured"
                                          : "typed";
    return offers[i].what;
}

static void typed(struct ui *ui, const char *text)
{
    ui_sweep_command(ui, text);
}

static void chosen(struct ui *ui, int i)
{
    if (i < OFFERS)
        start(ui, offers[i].words);
    else if (bd_session_sweeping(ui->s))
        bd_session_sweep_stop(ui->s);
    else
        ui_prompt_open(ui, &(struct ui_ask){.label = "sweep: ",
                                            .initial = "kl w,a 2-8",
                                            .done = typed});
}

void ui_open_sweep(struct ui *ui)
{
    if (bd_session_why_no_accuracy(ui->s)) {
        ui_warn(ui, "%s", bd_session_why_no_accuracy(ui->s));
        return;
    }
    ui_menu_open(ui, &(struct ui_choice){
                         .title = "Measure what each layer costs",
                         .n = OFFERS + 1,
                         .at = bd_session_sweeping(ui->s) ? OFFERS : 0,
                         .item = item, .right = right, .chosen = chosen});
}

/* ----------------------------------------------------------------- words */

/* Pulled on each drawing: the page is there at once and fills in when the
 * answer comes. */
static const char *why_line(void *arg, int i)
{
    struct ui *ui = arg;
    const struct bd_why *w = bd_session_why(ui->s);
    if (!w)
        return i == 0 ? "looking ..." : "";
    if (i >= w->n)
        return "";
    snprintf(ui->line, sizeof ui->line, "%s%s", w->heading[i] ? "" : "  ",
             w->line[i]);
    return ui->line;
}

static enum wg_role why_role(void *arg, int i)
{
    struct ui *ui = arg;
    const struct bd_why *w = bd_session_why(ui->s);
    return w && i < w->n && w->heading[i] ? WG_HEADING : WG_TEXT;
}

void ui_sens_changed(struct ui *ui)
{
    const struct bd_why *w = bd_session_why(ui->s);
    if (w && ui->over && ui->pager.line == why_line)
        ui->pager.n = w->n;
}

static void open_why(struct ui *ui, int layer)
{
    struct bd_err err = {0};
    if (bd_session_ask_why(ui->s, layer, &err) != BD_OK) {
        ui_refuse(ui, &err);
        return;
    }
    ui_pager_open(ui, "Why", 3, why_line);
    ui->pager.role = why_role;
    ui->pager_w = 76;
}

void ui_open_why(struct ui *ui)
{
    open_why(ui, -1);
}

bool ui_why_command(struct ui *ui, const char *args)
{
    int layer = -1;
    char shown[128];
    if (args[0]) {
        layer = bd_model_find_layer(bd_session_model(ui->s), args);
        if (layer < 0) {
            ui_warn(ui, "no layer '%s'",
                    bd_text_show(shown, sizeof shown, args, 40));
            return false;
        }
    }
    open_why(ui, layer);
    return true;
}
