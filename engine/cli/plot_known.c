/* What the session's pictures need, measured on the spot: a sweep, or the
 * points of the trade-off, for which the lanes are started and waited for. */
#include "cli/cli_priv.h"

#include <string.h>

/* Layers the file knows and the model does not are named, not refused. */
bd_status bd_cli_read_sens(struct bd_sens_table *out, struct cli *c,
                           const struct bd_session *s)
{
    struct bd_str warn = {0};
    char *text = NULL;
    size_t n;
    const char *path = c->a.sensitivity;
    bd_status st = bd_file_read(&text, &n, path, (size_t)64 << 20, &c->err);

    if (st == BD_OK)
        st = bd_sens_read(out, bd_session_model(s), (struct bd_text){text, n},
                          &warn, &c->err);
    for (char *line = warn.s; st == BD_OK && line && *line;) {
        char *end = strchr(line, '\n');

        if (end)
            *end = '\0';
        bd_cli_note("%s: %s", path, line);
        line = end ? end + 1 : NULL;
    }
    bd_str_done(&warn);
    bd_free(text);
    return st == BD_OK ? st : bd_err_file(&c->err, path);
}

/* A file spares the sweep, which is minutes on a large network. */
static bd_status sensitivities(struct bd_sens_table *t, struct cli *c,
                               struct bd_session *s)
{
    struct bd_sweep_opts o = {0};
    const char *why = bd_session_why_no_accuracy(s);
    bd_status st;

    if (c->a.sensitivity)
        return bd_cli_read_sens(t, c, s);
    if (why)
        return bd_fail(&c->err, BD_EINVALID,
                       "%s (or --sweep FILE, an earlier sweep's)", why);
    bd_cli_watch_task(&c->watch, "sensitivities");
    st = bd_session_now_sweep(t, s, &o, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    return st;
}

/* Until the lanes have nothing left, or a signal came. */
static bd_status settle(struct cli *c, struct bd_session *s)
{
    struct bd_trade_point p[2];

    while (!bd_ctl_stale(c->watch.ctl)) {
        bd_session_collect(s);
        bd_session_trade(s, p, 2); /* asks for what is missing */
        if (bd_session_idle(s))
            return BD_OK;
        bd_session_wait(s);
    }
    bd_fail(&c->err, BD_ECANCELLED, "stopped");
    return BD_ECANCELLED;
}

/* All are asked for first and run behind each other on their lane. */
static bd_status measure_front(struct cli *c, struct bd_session *s)
{
    size_t n = bd_session_trade(s, NULL, 0), got;
    struct bd_trade_point *p = bd_calloc(n + 1, sizeof *p);
    bd_status st = p ? BD_OK : bd_fail(&c->err, BD_ENOMEM, "out of memory");

    got = p ? bd_session_trade(s, p, n) : 0;
    for (size_t i = 0; i < got && i < n && st == BD_OK; i++)
        if (p[i].kind == BD_TRADE_ESTIMATED)
            st = bd_session_trade_measure(s, p[i].id, &c->err);
    bd_free(p);
    return st == BD_OK ? settle(c, s) : st;
}

/* Without pictures there are losses at least. */
static bd_status trade(struct cli *c, struct bd_session *s, bool measure)
{
    bool can = !bd_session_why_no_accuracy(s);
    bd_status st;

    bd_session_start(s);
    st = settle(c, s);
    if (st == BD_OK && can && measure)
        st = measure_front(c, s);
    if (st == BD_OK && !can)
        bd_cli_note("losses instead of accuracy: %s",
                    bd_session_why_no_accuracy(s));
    return st;
}

bd_status bd_cli_plot_known(struct cli *c, struct bd_session *s,
                            struct bd_plot_ask *ask, bool measure)
{
    struct bd_sens_table t = {0};
    bd_status st = BD_OK;

    if (ask->what == BD_PICTURE_SENSITIVITY) {
        st = sensitivities(&t, c, s);
        ask->sens = &t;
    } else if (ask->what == BD_PICTURE_TRADEOFF) {
        st = trade(c, s, measure);
    }
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    if (st == BD_OK) {
        st = bd_session_plot(s, ask, &c->err);
        c->status = st == BD_EIO ? 1 : 0;
    }
    bd_sens_done(&t);
    return st;
}
