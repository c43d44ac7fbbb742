/* repair: makes a network easier to quantize, says what that did under the
 * configuration, and writes the repaired network as ONNX.  Several repairs go
 * one after the other, as named. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--what", 0, "LIST", "bn-fold,equalize,bias-correction,"
     "adaround,...", AT(what), 0, 0},
    {CLI_TEXT, "--layer", 'l', "GLOB", "these layers only", AT(layer), 0, 0},
    {CLI_INT, "--iterations", 0, "N", "of adaround (default 1000)",
     AT(iterations), 1, 1000000},
    {CLI_FLAG, "--clip-safe", 0, NULL, "equalize across ReLU6 too: its bound "
     "is never reached", AT(clip_safe), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own,           bd_cli_data,  bd_cli_config, bd_cli_model,
    bd_cli_output, bd_cli_common, NULL,
};

struct side { /* before or after */
    struct bd_net_eval acc; /* images 0: not measured */
    struct bd_layer_errors *layers; /* [nlayers] */
    double *sqnr; /* [nlayers] of the weights; NaN in float */
};
struct repair {
    struct bd_session *s;
    struct bd_net_eval fp;
    struct side before, after;
    struct bd_str did; /* one line per repair */
    size_t made;
};

/* ------------------------------------------------------------- what to do */

/* Also of eval --repair.  An empty selection of a glob is refused. */
static bd_status choose(struct bd_sel *sel, int *layer, struct cli *c,
                        const struct bd_session *s)
{
    const struct bd_model *m = bd_session_model(s);
    char shown[128];

    *sel = (struct bd_sel){layer, 0};
    if (!c->a.layer)
        return BD_OK;
    for (size_t i = 0; i < m->nlayers; i++) {
        if (bd_glob(c->a.layer, m->layer[i].name))
            layer[sel->n++] = (int)i;
    }
    if (sel->n > 0)
        return BD_OK;
    return bd_fail(&c->err, BD_EINVALID,
                   "--layer: no layer is called '%s'; info lists them",
                   bd_text_show(shown, sizeof shown, c->a.layer, 40));
}

static bd_status one(struct bd_str *did, struct cli *c, struct bd_session *s,
                     struct bd_repair_ask ask)
{
    char what[112];
    bd_status st;

    bd_cli_watch_task(&c->watch, ask.name);
    st = bd_session_now_repair(what, s, &ask, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_OK)
        bd_str_printf(did, "%s\n", what);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    return st;
}

bd_status bd_cli_repair(struct bd_str *did, struct cli *c,
                        struct bd_session *s, const char *list)
{
    int *layer = bd_calloc(bd_session_model(s)->nlayers, sizeof *layer);
    char *names = bd_strdup(list), *at = names, *name;
    struct bd_sel sel = {0};
    bd_status st = layer && names
                       ? choose(&sel, layer, c, s)
                       : bd_fail(&c->err, BD_ENOMEM, "out of memory");

    /* All names first: half a list is worse than none. */
    for (const char *p = list; st == BD_OK && *p;) {
        size_t n = strcspn(p, ",");
        char word[64];

        snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (!bd_repair_find(word, &c->err))
            st = BD_EINVALID;
        p += n + (p[n] == ',');
    }
    while (st == BD_OK && (name = strsep(&at, ",")))
        st = one(did, c, s,
                 (struct bd_repair_ask){.name = name, .sel = sel,
                                        .clip_safe = c->a.clip_safe,
                                        .iterations = c->a.iterations});
    bd_free(layer);
    bd_free(names);
    return st;
}

/* ------------------------------------------------------------- measuring */

static bd_status weights_of(struct side *d, struct repair *r, struct cli *c)
{
    const struct bd_bitcfg *cfg = bd_session_cfg(r->s);
    bd_status st = BD_OK;

    for (size_t i = 0; i < cfg->n && st == BD_OK; i++) {
        struct bd_error_stats e = {.sqnr_db = NAN};

        if (cfg->layer[i].w.bits != 32)
            st = bd_session_now_layer(&e, r->s, (int)i, &cfg->layer[i].w,
                                      &c->err);
        d->sqnr[i] = e.sqnr_db;
    }
    return st;
}

static bd_status measure(struct side *d, struct repair *r, struct cli *c,
                         const char *task)
{
    size_t n = bd_session_model(r->s)->nlayers;
    bd_status st;

    d->layers = bd_calloc(n, sizeof *d->layers);
    d->sqnr = bd_calloc(n, sizeof *d->sqnr);
    if (!d->layers || !d->sqnr)
        return bd_fail(&c->err, BD_ENOMEM, "out of memory");
    st = weights_of(d, r, c);
    if (st != BD_OK || bd_session_why_no_accuracy(r->s))
        return st;
    bd_cli_watch_task(&c->watch, task);
    st = bd_session_now_eval(&d->acc, &r->fp, d->layers, r->s, c->watch.ctl,
                             &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    return st;
}

static bd_status compute(struct repair *r, struct cli *c)
{
    bd_status st;

    if (!c->a.what)
        return bd_fail(&c->err, BD_EINVALID,
                       "--what names repairs: bn-fold, equalize, "
                       "bias-correction, bn-tune, adaround, mse-clip, "
                       "last-layer-no-clip, channel-grids");
    st = bd_cli_save_check(c);
    if (st == BD_OK)
        st = measure(&r->before, r, c, "accuracy before");
    if (st == BD_OK)
        st = bd_cli_repair(&r->did, c, r->s, c->a.what);
    return st == BD_OK ? measure(&r->after, r, c, "accuracy after") : st;
}

/* ---------------------------------------------------------------- saying */

static void json_side(struct bd_json *j, const char *key,
                      const struct side *d)
{
    const struct bd_net_eval *e = &d->acc;

    if (e->total == 0) {
        bd_json_null(j, key);
        return;
    }
    bd_json_obj(j, key);
    bd_json_f64(j, "top1", e->top1);
    bd_json_arr_inline(j, "top1_ci95");
    bd_json_f64(j, NULL, e->ci_lo);
    bd_json_f64(j, NULL, e->ci_hi);
    bd_json_arr_end(j);
    bd_json_f64(j, "loss", e->loss);
    bd_json_f64(j, "kl", e->kl);
    bd_json_int(j, "images", e->images);
    bd_json_obj_end(j);
}

static double out_sqnr(const struct side *d, size_t i)
{
    return d->acc.total > 0 ? d->layers[i].out_sqnr_db : NAN;
}

static int out_json(struct cli *c, const struct repair *r)
{
    const struct bd_model *m = bd_session_model(r->s);
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.repair/1");
    bd_json_arr(&j, "repairs");
    for (char *at = r->did.s, *line; at && *at && (line = strsep(&at, "\n"));)
        bd_json_str(&j, NULL, line);
    bd_json_arr_end(&j);
    json_side(&j, "before", &r->before);
    json_side(&j, "after", &r->after);
    bd_json_arr(&j, "layers");
    for (size_t i = 0; i < m->nlayers; i++) {
        bd_json_obj(&j, NULL);
        bd_json_str(&j, "name", m->layer[i].name);
        bd_json_f64(&j, "w_sqnr_db_before", r->before.sqnr[i]);
        bd_json_f64(&j, "w_sqnr_db", r->after.sqnr[i]);
        bd_json_f64(&j, "out_sqnr_db_before", out_sqnr(&r->before, i));
        bd_json_f64(&j, "out_sqnr_db", out_sqnr(&r->after, i));
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    if (c->a.output)
        bd_json_str(&j, "path", c->a.output);
    else
        bd_json_null(&j, "path");
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

static void text_layers(struct bd_str *s, const struct repair *r)
{
    static const char *const head[] = {"<layer",  "w SQNR",   "after",
                                       "out SQNR", "after", NULL};
    const struct bd_model *m = bd_session_model(r->s);
    struct cli_table t;

    bd_cli_table_head(&t, head);
    for (size_t i = 0; i < m->nlayers; i++) {
        bd_cli_table_name(&t, m->layer[i].name, 34);
        bd_cli_db(&t, r->before.sqnr[i]);
        bd_cli_db(&t, r->after.sqnr[i]);
        bd_cli_db(&t, out_sqnr(&r->before, i));
        bd_cli_db(&t, out_sqnr(&r->after, i));
    }
    bd_cli_table_out(s, &t);
}

static void text_side(struct bd_str *s, const char *name,
                      const struct bd_net_eval *e)
{
    if (e->total > 0)
        bd_str_printf(s,
                      "%-10s top-1 %.2f %%  (95 %% interval %.2f to %.2f), "
                      "loss %.4f\n",
                      name, 100.0 * e->top1, 100.0 * e->ci_lo,
                      100.0 * e->ci_hi, e->loss);
}

static int out(struct cli *c, const struct repair *r)
{
    struct bd_str s = {0};

    if (c->a.json)
        return out_json(c, r);
    text_layers(&s, r);
    bd_str_printf(&s, "\n%s", r->did.s ? r->did.s : "");
    text_side(&s, "before", &r->before.acc);
    text_side(&s, "after", &r->after.acc);
    if (r->after.acc.total > 0)
        bd_str_printf(&s, "%-10s top-1 %.2f %%, loss %.4f\n", "float",
                      100.0 * r->fp.top1, r->fp.loss);
    return bd_cli_text_out(c, &s);
}

static bd_status save(struct cli *c, const struct repair *r)
{
    struct bd_str onnx = {0};
    bd_status st;

    if (!c->a.output)
        return BD_OK;
    st = bd_onnx_write(&onnx, bd_session_model(r->s), NULL, &c->err);
    if (st == BD_OK)
        st = bd_cli_save(c, onnx.s, onnx.n);
    bd_str_done(&onnx);
    if (st == BD_OK && strcmp(c->a.output, "-") != 0)
        bd_cli_note("wrote %s", c->a.output);
    return st;
}

static void side_done(struct side *d)
{
    bd_free(d->layers);
    bd_free(d->sqnr);
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct repair r = {0};
    int rc;

    if (bd_cli_session(&r.s, c, &o) == BD_OK && compute(&r, c) == BD_OK &&
        save(c, &r) == BD_OK) {
        rc = out(c, &r);
        bd_cli_say_log(r.s, SIZE_MAX);
    } else {
        rc = bd_cli_fail(c);
    }
    side_done(&r.before);
    side_done(&r.after);
    bd_str_done(&r.did);
    bd_session_close(r.s);
    return rc;
}

const struct cli_verb bd_verb_repair = {
    .name = "repair",
    .summary = "Folds, equalizes, corrects, rounds; writes the network.",
    .example = "bitdial repair net.onnx -d val/ -w uniform:4 --what equalize "
               "-o new.onnx",
    .usage = "repair MODEL --what LIST [--data SPEC] [-o NEW.onnx] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
