/* copy.c: the cursor's layer into the terminal's clipboard (OSC 52).  That
 * lies outside the program, so it is asked for, once per run. */
#include <math.h>
#include <stdio.h>

#include "ui.h"

static void to_clipboard(struct ui *ui, const char *text)
{
    ui->clipboard_ok = true;
    if (ui->term)
        wg_term_copy(ui->term, text);
}

/* The one cell that is typed elsewhere: in papers, scripts, commands. */
static void copy_name(struct ui *ui)
{
    struct ui_facts f;
    char shown[256];
    if (ui->list.cur < 0)
        return;
    ui_source(ui).facts(ui, ui->list.cur, &f);
    to_clipboard(ui, bd_text_show(shown, sizeof shown, f.name, 200));
    ui_say(ui, "copied: %s", shown);
}

static void copy_row(struct ui *ui)
{
    struct ui_facts f;
    char text[400], shown[256];
    if (ui->list.cur < 0)
        return;
    ui_source(ui).facts(ui, ui->list.cur, &f);
    char psnr[32] = ""; /* an empty column reads as absent, nan as broken */
    if (!isnan(f.psnr))
        snprintf(psnr, sizeof psnr, "%.4f", f.psnr);
    snprintf(text, sizeof text, "%s\t%s\t%s\t%d\t%d\t%s\t%.2f",
             bd_text_show(shown, sizeof shown, f.name, 200), f.op, f.method,
             f.wbits, f.abits, psnr, f.kb);
    to_clipboard(ui, text);
    ui_say(ui, "copied: the row of %s",
           bd_text_show(shown, sizeof shown, f.name, 60));
}

void ui_copy(struct ui *ui, bool row)
{
    void (*what)(struct ui *ui) = row ? copy_row : copy_name;
    if (ui->clipboard_ok)
        what(ui);
    else
        ui_confirm(ui, what, "Let bitdial write to the clipboard?");
}
