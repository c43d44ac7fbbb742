/* analyze: the weight error of every layer for methods times widths.  Needs
 * no data.  Also what `open` prints without a terminal. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

enum { METHODS_MAX = 32 };

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--methods", 'm', "A,B", "methods (default uniform,apot)",
     AT(methods), 0, 0},
    {CLI_TEXT, "--bits", 'b', "2-8", "widths (default 2-8)", AT(bits), 0, 0},
    {CLI_TEXT, "--grain", 'g', "GRAIN", "tensor, channel, group128 (default: "
     "the method's)", AT(grain), 0, 0},
    {CLI_TEXT, "--clip", 0, "RULE", "max, mse (default), percentile99.9, "
     "learned, ...", AT(clip), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own,
    bd_cli_model,
    bd_cli_common,
    NULL,
};

struct plan { /* what is asked of every layer */
    struct bd_tensorcfg base;
    bool grain_said; /* else methods bring the grain they were made for */
    int method[METHODS_MAX], nmethods;
    struct cli_widths widths;
};

struct point {
    struct bd_tensorcfg cfg;
    struct bd_error_stats e;
    bool failed; /* the layer has no such grid; e is not set */
};

struct analysis {
    struct bd_session *s;
    size_t layers, points; /* per layer */
    struct point *at;      /* [layers][points] */
    /* While computing.  Every layer writes its own points alone, so the
     * result does not depend on who computes which. */
    const struct plan *plan;
    struct cli *c;
    atomic_llong done;
    atomic_bool no_memory;
};

/* ---------------------------------------------------------------- asking */

static bd_status add_method(struct plan *p, const char *name,
                            struct bd_err *err)
{
    struct bd_tensorcfg cfg = p->base;
    int row = bd_quantizer_find(name);

    if (row < 0) /* the parser knows the sentence and the nearest name */
        return bd_tensorcfg_parse(&cfg, name, err) == BD_OK
                   ? bd_fail(err, BD_EINVALID, "--methods takes names alone")
                   : BD_EINVALID;
    if (!(bd_quantizer_at(row)->traits & BD_Q_WEIGHTS))
        return bd_fail(err, BD_EINVALID,
                       "method '%s' is for activations; weights take uniform "
                       "or apot",
                       name);
    if (p->nmethods == METHODS_MAX)
        return bd_fail(err, BD_EINVALID, "more than %d methods", METHODS_MAX);
    p->method[p->nmethods++] = row;
    return BD_OK;
}

static bd_status parse_methods(struct plan *p, const char *text,
                               struct bd_err *err)
{
    char copy[512], *save = NULL;
    bd_status st = BD_OK;

    if (strlen(text) >= sizeof copy)
        return bd_fail(err, BD_EINVALID, "--methods: list too long");
    memcpy(copy, text, strlen(text) + 1);
    for (char *t = strtok_r(copy, ",", &save); t && st == BD_OK;
         t = strtok_r(NULL, ",", &save))
        st = add_method(p, t, err);
    if (st == BD_OK && p->nmethods == 0)
        return bd_fail(err, BD_EINVALID, "--methods is empty");
    return st;
}

/* Grain and clip are parsed by the same code as everywhere: as the tail of
 * METHOD:BITS:GRAIN:CLIP. */
static bd_status parse_plan(struct plan *p, const struct cli_args *a,
                            struct bd_err *err)
{
    char text[256];
    bd_status st;

    *p = (struct plan){0};
    snprintf(text, sizeof text, "uniform:8:%s:%s",
             a->grain ? a->grain : "tensor", a->clip ? a->clip : "mse");
    p->grain_said = a->grain != NULL;
    st = bd_tensorcfg_parse(&p->base, text, err);
    if (st == BD_OK &&
        !bd_cli_widths(&p->widths, a->bits ? a->bits : "2-8", err))
        st = BD_EINVALID;
    if (st == BD_OK)
        st = parse_methods(p, a->methods ? a->methods : "uniform,apot", err);
    return st;
}

/* A width outside a method's range is left out, not refused: lists of widths
 * are meant for several methods. */
static bool legal(int method, int bits)
{
    const struct bd_quantizer *q = bd_quantizer_at(method);

    return bits >= q->min_bits && bits <= q->max_bits;
}

/* Per layer; the same for all. */
static size_t count_points(const struct plan *p)
{
    size_t n = 0;

    for (int m = 0; m < p->nmethods; m++) {
        for (int b = 0; b < p->widths.n; b++)
            n += legal(p->method[m], p->widths.bits[b]);
    }
    return n;
}

/* ------------------------------------------------------------- computing */

/* One point to measure.  Blocks have only one grain, whatever was said. */
static struct bd_tensorcfg choice_of(const struct plan *p, int method, int bits)
{
    struct bd_tensorcfg c = p->base;

    if (p->grain_said && !(bd_quantizer_at(method)->traits & BD_Q_BLOCKS))
        c.quant = (uint8_t)method;
    else
        bd_tensorcfg_pick(&c, method);
    c.bits = (int8_t)bits;
    return c;
}

/* The session shares one index per layer among all points of it. */
static bool analyze_layer(struct analysis *an, int layer)
{
    const struct plan *p = an->plan;
    struct point *pt = an->at + (size_t)layer * an->points;

    for (int m = 0; m < p->nmethods; m++) {
        for (int b = 0; b < p->widths.n; b++) {
            struct bd_err why = {0};

            if (bd_ctl_stale(an->c->watch.ctl))
                return false;
            if (!legal(p->method[m], p->widths.bits[b]))
                continue;
            pt->cfg = choice_of(p, p->method[m], p->widths.bits[b]);
            if (bd_session_now_layer(&pt->e, an->s, layer, &pt->cfg, &why) !=
                BD_OK) {
                pt->failed = true;
                if (why.code == BD_ENOMEM)
                    atomic_store(&an->no_memory, true);
            }
            pt++;
        }
    }
    return !atomic_load(&an->no_memory);
}

static bool one_layer(void *arg, int64_t k, int worker)
{
    struct analysis *an = arg;
    bool ok = analyze_layer(an, (int)k);

    (void)worker;
    bd_ctl_progress(an->c->watch.ctl, atomic_fetch_add(&an->done, 1) + 1,
                    (int64_t)an->layers);
    return ok;
}

static bd_status compute(struct analysis *an, const struct plan *p,
                         struct cli *c)
{
    struct bd_pool *pool;

    an->layers = bd_session_model(an->s)->nlayers;
    an->points = count_points(p);
    if (an->points == 0)
        return bd_fail(&c->err, BD_EINVALID,
                       "none of these methods has one of these widths");
    an->at = bd_calloc(an->layers * an->points, sizeof *an->at);
    if (!an->at)
        return bd_fail(&c->err, BD_ENOMEM, "out of memory for the table");
    if (bd_pool_new(&pool, (int)c->a.threads, &c->err) != BD_OK)
        return c->err.code;
    an->plan = p;
    an->c = c;
    bd_cli_watch_task(&c->watch, "layers");
    bd_pool_for(pool, (int64_t)an->layers, one_layer, an);
    bd_pool_free(pool);
    if (atomic_load(&an->no_memory))
        return bd_fail(&c->err, BD_ENOMEM, "out of memory for the analysis");
    if (bd_ctl_stale(c->watch.ctl))
        return bd_fail(&c->err, BD_ECANCELLED, "stopped");
    return BD_OK;
}

/* ---------------------------------------------------------------- saying */

static char *grain_of(char *out, size_t cap, const struct bd_tensorcfg *c)
{
    if (c->grain == BD_GRAIN_GROUP)
        snprintf(out, cap, "group%d", c->group);
    else
        snprintf(out, cap, "%s", bd_grain_names[c->grain]);
    return out;
}

static void json_point(struct bd_json *j, const struct point *p)
{
    const struct bd_error_stats *e = &p->e;
    char grain[32];

    bd_json_obj(j, NULL);
    bd_json_str(j, "method", bd_quantizer_at(p->cfg.quant)->name);
    bd_json_int(j, "bits", p->cfg.bits);
    bd_json_str(j, "grain", grain_of(grain, sizeof grain, &p->cfg));
    bd_json_str(j, "clip", bd_clip_names[p->cfg.clip]);
    bd_json_f64(j, "clip_value", e->clip);
    bd_json_f64(j, "mse", e->mse);
    bd_json_f64(j, "psnr_db", e->psnr_db);
    bd_json_f64(j, "sqnr_db", e->sqnr_db);
    bd_json_f64(j, "cosine", e->cosine);
    bd_json_f64(j, "max_err", e->max_err);
    bd_json_int(j, "levels_used", e->levels_used);
    bd_json_int(j, "zeros", e->zeros);
    bd_json_f64(j, "entropy_bits", e->entropy_bits);
    bd_json_int(j, "stored_bits", e->stored_bits);
    bd_json_obj_end(j);
}

static int out_json(struct cli *c, const struct analysis *an)
{
    const struct bd_model *m = bd_session_model(an->s);
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.analyze/1");
    bd_json_arr(&j, "layers");
    for (size_t k = 0; k < an->layers; k++) {
        bd_json_obj(&j, NULL);
        bd_json_str(&j, "name", m->layer[k].name);
        bd_json_arr(&j, "results");
        for (size_t i = 0; i < an->points; i++) {
            const struct point *p = &an->at[k * an->points + i];

            if (!p->failed)
                json_point(&j, p);
        }
        bd_json_arr_end(&j);
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* One block per method: layers down, widths across, PSNR in the cells. */
static void text_block(struct bd_str *s, const struct analysis *an, size_t from,
                       size_t to)
{
    const struct bd_model *m = bd_session_model(an->s);
    const struct point *first = &an->at[from];
    const char *head[24] = {"<layer", "<shape"};
    const struct bd_quantizer *q = bd_quantizer_at(first->cfg.quant);
    bool clip = !(q->traits & BD_Q_NO_CLIP);
    char widths[22][16], shape[128], grain[32];
    struct cli_table t;

    to = to - from > 20 ? from + 20 : to;
    for (size_t i = from; i < to; i++) {
        snprintf(widths[i - from], sizeof widths[0], "%d bit%s",
                 an->at[i].cfg.bits, an->at[i].cfg.bits == 1 ? "" : "s");
        head[2 + i - from] = widths[i - from];
    }
    bd_str_printf(s, "PSNR in dB of the weights, %s per %s%s%s\n", q->title,
                  grain_of(grain, sizeof grain, &first->cfg),
                  clip ? ", clip " : "",
                  clip ? bd_clip_names[first->cfg.clip] : "");
    bd_cli_table_head(&t, head);
    for (size_t k = 0; k < an->layers; k++) {
        const struct bd_layer *l = &m->layer[k];

        bd_cli_table_name(&t, l->name, 30);
        bd_cli_table_put(
            &t, "%s",
            bd_shape_text(shape, sizeof shape, &m->value[l->weight].t));
        for (size_t i = from; i < to; i++) {
            const struct point *p = &an->at[k * an->points + i];

            bd_cli_db(&t, p->failed ? NAN : p->e.psnr_db);
        }
    }
    bd_cli_table_out(s, &t);
}

/* Blocks are runs of points that share a method. */
static int out_text(struct cli *c, const struct analysis *an)
{
    struct bd_str s = {0};

    if (an->layers == 0)
        bd_str_puts(&s, "no layers whose weights can be quantized\n");
    for (size_t i = 0; an->layers && i < an->points;) {
        size_t end = i + 1;

        while (end < an->points && an->at[end].cfg.quant == an->at[i].cfg.quant)
            end++;
        bd_str_puts(&s, i ? "\n" : "");
        text_block(&s, an, i, end);
        i = end;
    }
    return bd_cli_text_out(c, &s);
}

static int run(struct cli *c)
{
    struct bd_session_opts opts = bd_cli_session_opts(&c->a);
    /* From the interface's options when it stands in for `open`. */
    const struct bd_session_opts *o =
        c->open->session.model ? &c->open->session : &opts;
    struct analysis an = {0};
    struct plan p;
    int rc;

    if (parse_plan(&p, &c->a, &c->err) == BD_OK &&
        bd_cli_session(&an.s, c, o) == BD_OK && compute(&an, &p, c) == BD_OK)
        rc = c->a.json ? out_json(c, &an) : out_text(c, &an);
    else
        rc = bd_cli_fail(c);
    bd_free(an.at);
    bd_session_close(an.s);
    return rc;
}

int bd_cli_analyze_table(const struct bd_cli_open *open)
{
    struct bd_cli_open own_open = *open;
    struct cli c = {.verb = &bd_verb_analyze, .open = &own_open};
    int rc;

    own_open.session.no_state = true;
    rc = bd_cli_run(&c, run);
    if (rc == 0)
        bd_cli_note("no terminal, so this is the analysis; in a terminal "
                    "'bitdial %s' opens the interactive screen",
                    open->session.model);
    return rc;
}

const struct cli_verb bd_verb_analyze = {
    .name = "analyze",
    .summary = "Weight error of every layer for methods and widths; no data.",
    .example = "bitdial analyze resnet20.onnx --methods uniform,apot "
               "--bits 2-8",
    .usage = "analyze MODEL [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
