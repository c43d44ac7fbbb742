/* sweep: how much the network's answer suffers from each layer at each width.
 * A sweep that is interrupted prints and saves what it has, and goes on from
 * there when it is asked for again. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--bits", 'b', "2-8", "widths", AT(bits), 0, 0},
    {CLI_TEXT, "--what", 0, "w,a,wa", "weights (default), inputs, both",
     AT(what), 0, 0},
    {CLI_TEXT, "--metric", 'm', "M,...", "kl (default), top1, loss, out-mse, "
     "fisher", AT(metric), 0, 0},
    {CLI_TEXT, "--mode", 0, "MODE", "alone-on (default), alone-off, "
     "cumulative", AT(mode), 0, 0},
    {CLI_TEXT, "--methods", 0, "A,B", "as uniform,apot:channel:mse (default: "
     "each layer's)", AT(methods), 0, 0},
    {CLI_TEXT, "--format", 0, "F", "json, or for others: exl3, mlx",
     AT(format), 0, 0},
    {CLI_FLAG, "--no-early-stop", 0, NULL, "all images for every point",
     AT(no_early_stop), 0, 0},
    {CLI_FLAG, "--no-cache", 0, NULL, "neither use nor keep earlier results",
     AT(no_cache), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own,           bd_cli_data,   bd_cli_config, bd_cli_model,
    bd_cli_output, bd_cli_common, NULL,
};

struct sweep {
    struct bd_session *s;
    struct bd_sweep_opts o;
    enum bd_sens_format format;
    struct bd_sens_table t;
};

/* -------------------------------------------------------------- the options */

/* Words of a list, separated by commas, each set as bit first + place. */
static bd_status words(unsigned *mask, struct cli *c, const char *text,
                       const char *option, const char *const *names)
{
    char word[32], show[96];

    *mask = 0;
    for (const char *s = text; s && *s;) {
        size_t n = strcspn(s, ",");
        int at = 0;

        snprintf(word, sizeof word, "%.*s", (int)n, s);
        while (names[at] && strcmp(names[at], word) != 0)
            at++;
        if (!names[at] || n == 0 || n >= sizeof word) {
            const char *near = bd_nearest(word, names);

            bd_text_show(show, sizeof show, text, 0);
            return bd_fail(&c->err, BD_EINVALID,
                           near && near[0]
                               ? "%s '%s': did you mean '%s'?"
                               : "%s '%s': bitdial sweep --help lists them%s",
                           option, show, near && near[0] ? near : "");
        }
        *mask |= 1u << at;
        s += n + (s[n] == ',');
    }
    return BD_OK;
}

static bd_status one_word(int *at, struct cli *c, const char *text,
                          const char *option, const char *const *names)
{
    unsigned mask = 0;
    bd_status st = text ? words(&mask, c, text, option, names) : BD_OK;

    *at = 0;
    if (st != BD_OK || !text)
        return st;
    while (!(mask & 1u << *at))
        (*at)++;
    if (mask != 1u << *at)
        return bd_fail(&c->err, BD_EINVALID, "%s takes one word", option);
    return BD_OK;
}

static bd_status read_widths(struct sweep *w, struct cli *c)
{
    struct cli_widths b;

    if (!c->a.bits)
        return BD_OK;
    if (!bd_cli_widths(&b, c->a.bits, &c->err))
        return c->err.code;
    if (b.n > 16)
        return bd_fail(&c->err, BD_EINVALID, "--bits: at most 16 widths");
    w->o.nbits = b.n;
    for (int k = 0; k < b.n; k++)
        w->o.bits[k] = b.bits[k];
    return BD_OK;
}

static bd_status read_options(struct sweep *w, struct cli *c)
{
    int mode, format;
    bd_status st = read_widths(w, c);

    if (st == BD_OK)
        st = words(&w->o.what, c, c->a.what, "--what", bd_sens_what_names);
    if (st == BD_OK)
        st = words(&w->o.metrics, c, c->a.metric, "--metric",
                   bd_sens_metric_names);
    if (st == BD_OK)
        st = one_word(&mode, c, c->a.mode, "--mode", bd_sens_mode_names);
    if (st == BD_OK)
        st = one_word(&format, c, c->a.format, "--format",
                      bd_sens_format_names);
    if (st != BD_OK)
        return st;
    w->o.mode = (enum bd_sens_mode)mode;
    w->format = (enum bd_sens_format)format;
    w->o.methods = c->a.methods;
    w->o.no_early_stop = c->a.no_early_stop;
    w->o.no_cache = c->a.no_cache;
    return bd_cli_save_check(c);
}

/* --------------------------------------------------------------- the answer */

static const struct bd_sens_point *at_width(const struct sweep *w, size_t from,
                                            const struct bd_sens_point *row,
                                            int bits)
{
    for (size_t i = from; i < w->t.n; i++) {
        const struct bd_sens_point *p = &w->t.point[i];
        const struct bd_tensorcfg *x = p->what == BD_SENS_A ? &p->a : &p->w;
        const struct bd_tensorcfg *y = row->what == BD_SENS_A ? &row->a
                                                              : &row->w;

        if (p->layer != row->layer || p->what != row->what ||
            x->quant != y->quant || x->grain != y->grain ||
            x->clip != y->clip)
            continue;
        if (x->bits == bits)
            return p;
    }
    return NULL;
}

static void put_value(struct cli_table *t, const struct bd_sens_point *p,
                      int metric)
{
    if (!p || isnan(p->value[metric]))
        bd_cli_table_put(t, "-");
    else if (metric == BD_SENS_TOP1)
        bd_cli_table_put(t, "%.2f", 100 * p->value[metric]);
    else
        bd_cli_table_put(t, "%.3g", p->value[metric]);
}

/* Is this the first point of its row of the table? */
static bool begins_row(const struct sweep *w, size_t i)
{
    const struct bd_sens_point *p = &w->t.point[i];
    const struct bd_tensorcfg *c = p->what == BD_SENS_A ? &p->a : &p->w;

    for (size_t k = i; k-- > 0 && w->t.point[k].layer == p->layer;) {
        const struct bd_sens_point *o = &w->t.point[k];
        const struct bd_tensorcfg *d = o->what == BD_SENS_A ? &o->a : &o->w;

        if (o->what == p->what && c->quant == d->quant &&
            c->grain == d->grain && c->clip == d->clip)
            return false;
    }
    return true;
}

/* Widths that occur, ascending; returns the count. */
static int columns(int *bits, const struct sweep *w)
{
    bool there[17] = {false};
    int n = 0;

    for (size_t i = 0; i < w->t.n; i++) {
        const struct bd_sens_point *p = &w->t.point[i];

        there[p->what == BD_SENS_A ? p->a.bits : p->w.bits] = true;
    }
    for (int b = 1; b <= 16; b++)
        if (there[b])
            bits[n++] = b;
    return n;
}

static void text_table(struct bd_str *s, const struct sweep *w)
{
    const struct bd_model *m = bd_session_model(w->s);
    const char *head[21] = {"<layer", "<what", "<method"};
    char name[16][16];
    int bits[16], n = columns(bits, w);
    struct cli_table t;

    for (int k = 0; k < n; k++) {
        snprintf(name[k], sizeof name[k], "%d bit", bits[k]);
        head[3 + k] = name[k];
    }
    bd_cli_table_head(&t, head);
    for (size_t i = 0; i < w->t.n; i++) {
        const struct bd_sens_point *p = &w->t.point[i];
        const struct bd_tensorcfg *c = p->what == BD_SENS_A ? &p->a : &p->w;

        if (!begins_row(w, i))
            continue;
        bd_cli_table_name(&t, m->layer[p->layer].name, 30);
        bd_cli_table_put(&t, "%s", bd_sens_what_names[p->what]);
        bd_cli_table_put(&t, "%s", bd_quantizer_at(c->quant)->name);
        for (int k = 0; k < n; k++)
            put_value(&t, at_width(w, i, p, bits[k]), (int)w->t.lead);
    }
    bd_cli_table_out(s, &t);
}

static const char *unit_of(enum bd_sens_metric k)
{
    switch (k) {
    case BD_SENS_KL:
        return "KL from float, nats";
    case BD_SENS_TOP1:
        return "top-1 lost, points";
    case BD_SENS_LOSS:
        return "cross-entropy above float, nats";
    case BD_SENS_OUT_MSE:
        return "mean squared error of the logits";
    case BD_SENS_FISHER:
        return "squared-gradient score";
    case BD_SENS_METRICS:
        break;
    }
    return "";
}

static void text_foot(struct bd_str *s, const struct sweep *w)
{
    const struct bd_sens_table *t = &w->t;
    size_t settled = 0;

    for (size_t i = 0; i < t->n; i++)
        settled += t->point[i].settled;
    bd_str_printf(s, "\n%s, %s, %lld images; float top-1 %.2f %%\n",
                  unit_of(t->lead), bd_sens_mode_names[t->mode],
                  (long long)t->images, 100 * t->baseline.top1);
    bd_str_printf(s,
                  "%zu choices (%zu settled early), %lld images forked, "
                  "%.0f images/s%s\n",
                  t->n, settled, (long long)t->evaluations,
                  t->seconds > 0 ? (double)t->evaluations / t->seconds : 0,
                  t->complete ? "" : "; not complete: stopped");
}

/* The file and standard output get the same document. */
static int out(struct cli *c, struct sweep *w)
{
    struct bd_str doc = {0}, text = {0};
    bd_status st = bd_sens_write(&doc, bd_session_model(w->s), &w->t,
                                 w->format, &c->err);

    if (st == BD_OK && c->a.output)
        st = bd_cli_save(c, doc.s, doc.n);
    if (st != BD_OK) {
        bd_str_done(&doc);
        return bd_cli_fail(c);
    }
    if (c->a.json || (c->a.format && !c->a.output)) {
        bd_str_puts(&doc, "");
        return bd_cli_text_out(c, &doc);
    }
    bd_str_done(&doc);
    text_table(&text, w);
    text_foot(&text, w);
    return bd_cli_text_out(c, &text);
}

static bd_status compute(struct sweep *w, struct cli *c)
{
    bd_status st;

    bd_cli_watch_task(&c->watch, "sensitivity");
    st = bd_session_now_sweep(&w->t, w->s, &w->o, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st,
                w->t.n ? "stopped; what was measured is kept, and the same "
                         "command goes on from there"
                       : "stopped");
    return st;
}

/* Interrupted: the best so far still goes where it was to go. */
static int stopped(struct cli *c, struct sweep *w)
{
    struct bd_str doc = {0};

    if (w->t.n && c->a.output &&
        bd_sens_write(&doc, bd_session_model(w->s), &w->t, w->format, NULL) ==
            BD_OK)
        bd_save(c->a.output, doc.s, doc.n, c->a.force, NULL);
    bd_str_done(&doc);
    return bd_cli_fail(c);
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct sweep w = {0};
    bd_status st = read_options(&w, c);
    int rc;

    if (st == BD_OK)
        st = bd_cli_session(&w.s, c, &o);
    if (st == BD_OK)
        st = compute(&w, c);
    if (st == BD_OK)
        rc = out(c, &w);
    else
        rc = w.s ? stopped(c, &w) : bd_cli_fail(c);
    if (w.s)
        bd_cli_say_log(w.s, SIZE_MAX);
    bd_sens_done(&w.t);
    bd_session_close(w.s);
    return rc;
}

const struct cli_verb bd_verb_sweep = {
    .name = "sweep",
    .summary = "Sensitivity: what each layer alone costs at each width.",
    .example = "bitdial sweep resnet20.onnx --data test.bin --bits 2-8 "
               "-o sens.json",
    .usage = "sweep MODEL [--data SPEC] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
