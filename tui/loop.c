/* loop.c: the one place that waits.  Three things can wake it: the terminal,
 * the session's lanes, a signal.  Whatever woke it, everything pending is
 * taken first, then the screen is drawn once. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "ui.h"

/* All keys there are.  A storm of resizes is one resize: the last. */
static void drain_keys(struct ui *ui)
{
    bool resized = false;
    int key;
    while (!ui->quit && (key = wg_term_key(ui->term)) != WG_KEY_NONE) {
        if (key == WG_KEY_RESIZE)
            resized = true;
        else if (key == WG_KEY_MOUSE)
            ui_mouse(ui, wg_term_last_mouse(ui->term));
        else if (key == WG_KEY_PASTE)
            ui_paste(ui, wg_term_paste(ui->term));
        else
            ui_key(ui, key);
    }
    if (resized) {
        int w, h;
        wg_term_size(ui->term, &w, &h);
        if (!ui_resize(ui, w, h))
            ui->quit = true; /* no memory for a screen: leave in order */
    }
}

/* Suspending and redrawing touch the terminal, which is the loop's alone;
 * actions only ask for them. */
static void terminal_wishes(struct ui *ui)
{
    if (ui->suspend)
        wg_term_suspend(ui->term);
    if (ui->redraw)
        wg_term_redraw(ui->term);
    ui->dirty = ui->dirty || ui->suspend || ui->redraw;
    ui->suspend = ui->redraw = false;
}

/* Returns the signal that asks us to leave, or 0. */
static int take_signals(struct ui *ui, const struct ui_signals *sig)
{
    int number;
    while ((number = sig->take()) != 0) {
        if (number == SIGTSTP)
            ui->suspend = true;
        else if (number == SIGCONT)
            wg_term_resume(ui->term); /* the shell wrote on the screen */
        else
            return number;
    }
    return 0;
}

int ui_loop(struct ui *ui, const struct ui_signals *sig)
{
    struct pollfd fds[3] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = bd_session_fd(ui->s), .events = POLLIN},
        {.fd = sig->fd, .events = POLLIN}, /* -1 is ignored by poll */
    };
    while (!ui->quit && !wg_term_gone(ui->term)) {
        if (ui->dirty) {
            ui_draw(ui);
            wg_term_show(ui->term, &ui->canvas);
        }
        poll(fds, 3, ui_timeout(ui));
        int number = take_signals(ui, sig);
        if (number)
            return 128 + number;
        if (bd_session_collect(ui->s))
            ui_changed(ui);
        drain_keys(ui);
        terminal_wishes(ui);
        /* A wake-up without a cause of ours is progress: the difference is
         * a few cells. */
        ui->dirty = true;
    }
    return 0;
}
