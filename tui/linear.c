/* linear.c: `--linear`, for screen readers and terminals that cannot draw.
 * Standard input takes lines of a script (script.c), standard output gets
 * plain sentences: the layer chosen, what was done, each result once when it
 * is exact.  Nothing is drawn, nothing is repeated. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ui.h"

struct spoken { /* what was said last, so that nothing is said twice */
    int layer;
    char text[512];
    double psnr, top1;
    size_t log;
};

/* The layer in one sentence, when it changed; its error when it is exact. */
static void say_layer(struct ui *ui, struct spoken *was)
{
    char name[300], w[64], a[64], shape[128], db[32];
    int cur = ui->list.cur;
    if (cur < 0)
        return;
    const struct bd_model *m = bd_session_model(ui->s);
    const struct bd_layer *l = &m->layer[cur];
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[cur];
    struct bd_layer_view v;
    bd_session_layer(&v, ui->s, cur);
    bd_tensorcfg_text(w, sizeof w, &c->w);
    bd_tensorcfg_text(a, sizeof a, &c->a);
    bd_shape_text(shape, sizeof shape, &m->value[l->weight].t);
    char text[512];
    snprintf(text, sizeof text, "layer %d of %d, %s, shape %s, weights %s, "
             "input %s", ui->list.at + 1, ui->list.n,
             bd_text_show(name, sizeof name, l->name, 120), shape, w, a);
    if (strcmp(text, was->text) != 0)
        printf("%s\n", text);
    memcpy(was->text, text, sizeof text);
    if (c->w.bits < 32 && v.fresh == BD_EXACT &&
        (v.w.psnr_db != was->psnr || was->layer != cur)) {
        printf("PSNR %s dB\n",
               ui_fmt_db(db, sizeof db, v.fresh, v.w.psnr_db));
        was->psnr = v.w.psnr_db;
        was->layer = cur;
    }
}

/* Accuracy is said once it is exact: a reader must not hear fifty numbers on
 * the way there. */
static void say_net(struct ui *ui, struct spoken *was)
{
    struct bd_net_view v;
    char size[32];
    bd_session_net(&v, ui->s);
    if (v.fresh != BD_EXACT || v.acc.top1 == was->top1)
        return;
    was->top1 = v.acc.top1;
    printf("top-1 %.1f percent on %lld images, %.2f bits on average, %s\n",
           100 * v.acc.top1, (long long)v.acc.images, v.cost.avg_bits_w,
           ui_fmt_size(size, sizeof size, (double)v.cost.size_bits / 8));
}

/* The log first, since it may explain what follows. */
static void say_all(struct ui *ui, struct spoken *was)
{
    const char *line = NULL;
    size_t n = bd_session_log(ui->s, 0, &line);
    for (; was->log < n; was->log++) {
        bd_session_log(ui->s, was->log, &line);
        printf("%s\n", line ? line : "");
    }
    say_layer(ui, was);
    say_net(ui, was);
    fflush(stdout);
}

/* One line from the person. */
static void answer(struct ui *ui, const char *line)
{
    char why[700] = "";
    ui->note.text[0] = 0;
    bool ok = ui_script_line(ui, line, why, sizeof why);
    if (!ok && strcmp(why, ui->note.text) != 0)
        printf("%s\n", why);
    else if (ui->note.text[0] && ui->note.role != WG_ERROR)
        printf("%s\n", ui->note.text); /* refusals come with the log */
}

/* Cuts what arrived into lines; the rest stays for the next time. */
static void take_lines(struct ui *ui, char *buf, size_t *n)
{
    char *end;
    while (!ui->quit && (end = memchr(buf, '\n', *n)) != NULL) {
        *end = 0;
        answer(ui, buf);
        size_t used = (size_t)(end - buf) + 1;
        memmove(buf, buf + used, *n - used);
        *n -= used;
    }
}

/* The same events as the screen's loop: input, results, time. */
int ui_linear_run(struct ui *ui)
{
    char buf[4096];
    size_t n = 0;
    struct spoken was = {.layer = -1, .psnr = -1, .top1 = -1};
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = bd_session_fd(ui->s), .events = POLLIN}};
    printf("bitdial, plain lines.  Keys or commands, then Enter; "
           "q leaves.\n");
    while (!ui->quit) {
        say_all(ui, &was);
        poll(fds, 2, bd_session_tick(ui->s));
        if (bd_session_collect(ui->s))
            ui_changed(ui);
        if (!(fds[0].revents & (POLLIN | POLLHUP)))
            continue;
        if (n == sizeof buf)
            n = 0; /* a line this long is a mistake */
        ssize_t k = read(STDIN_FILENO, buf + n, sizeof buf - n);
        if (k <= 0)
            break;
        n += (size_t)k;
        take_lines(ui, buf, &n);
    }
    return 0;
}
