/* bottleneck: which bit planes of every layer's input to keep for a PSNR, or
 * for an average rate; the table behind the choice; and the configuration. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_REAL, "--psnr-min", 0, "DB", "PSNR every layer must reach",
     AT(psnr_min), 0, 0},
    {CLI_REAL, "--psnr-loss", 0, "DB", "or: dB it may lose to the plain code "
     "(16)", AT(psnr_loss), 0, 0},
    {CLI_FLAG, "--nominal", 0, NULL, "the loss counts from 55 dB, as published",
     AT(nominal), 0, 0},
    {CLI_REAL, "--avg-rate", 0, "R", "or: planes per value on average, spent "
     "exactly", AT(avg_rate), 0, 0},
    {CLI_INT, "--planes", 0, "N", "planes of the first code (default 8)",
     AT(planes), 1, BD_PLANES},
    {CLI_TEXT, "--solver", 0, "NAME", "subset (exact, default), lasso, "
     "lasso-refit", AT(solver), 0, 0},
    {CLI_INT, "--k-min", 0, "N", "never fewer planes (default 1)", AT(k_min),
     1, BD_PLANES},
    {CLI_TEXT, "--range", 0, "RULE", "max, percentile99.9, mse, largest3, "
     "outlier", AT(range), 0, 0},
    {CLI_FLAG, "--dither", 0, NULL, "count with dither, seeded by --seed",
     AT(dither), 0, 0},
    {CLI_TEXT, "--what", 0, "w|a", "weights or inputs (default a)", AT(what),
     0, 0},
    {CLI_TEXT, "--layer", 0, "GLOB", "these layers only", AT(layer), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own,           bd_cli_data,   bd_cli_config, bd_cli_model,
    bd_cli_output, bd_cli_common, NULL,
};

struct pick { /* of one layer */
    int layer;
    struct bd_planes_view v;
    struct bd_plane_row row;
    double need, lambda; /* NaN: no threshold, no Lasso */
};

struct bottleneck {
    struct bd_session *s;
    enum bd_part part;
    enum bd_plane_solver solver;
    struct bd_planes_opts o;
    struct bd_tensorcfg clip; /* what --range says; clip rule and value */
    bool by_rule;
    int *layer;
    struct pick *pick; /* [n] */
    size_t n, missed;
    struct bd_planes_net net;
};

/* ------------------------------------------------------------ the request */
static bd_status read_solver(struct bottleneck *b, struct cli *c)
{
    const char *want = c->a.solver ? c->a.solver : "subset", *near;
    char shown[96];

    for (int i = 0; bd_plane_solver_names[i]; i++)
        if (strcmp(want, bd_plane_solver_names[i]) == 0) {
            b->solver = (enum bd_plane_solver)i;
            return BD_OK;
        }
    near = bd_nearest(want, bd_plane_solver_names);
    bd_text_show(shown, sizeof shown, want, 0);
    return bd_fail(&c->err, BD_EINVALID,
                   "--solver '%s': there are subset, lasso and lasso-refit"
                   "%s%s%s",
                   shown, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* "largest3", "outlier", or a clip rule as in METHOD:BITS:GRAIN:CLIP. */
static bd_status read_range(struct bottleneck *b, struct cli *c)
{
    const char *r = c->a.range;
    int64_t k;
    char text[96], shown[96];

    if (!r)
        return BD_OK;
    if (strcmp(r, "outlier") == 0) {
        b->o.outlier = true;
        return BD_OK;
    }
    if (strncmp(r, "largest", 7) == 0 && bd_parse_int(&k, r + 7, 1, 64)) {
        b->o.largest = (int)k;
        return BD_OK;
    }
    b->clip = (struct bd_tensorcfg){.bits = 8};
    snprintf(text, sizeof text, "bottleneck:8:tensor:%s", r);
    if (strlen(r) < 40 && !strchr(r, ':') &&
        bd_tensorcfg_parse(&b->clip, text, NULL) == BD_OK) {
        b->by_rule = true;
        return BD_OK;
    }
    return bd_fail(&c->err, BD_EINVALID,
                   "--range '%s': a clip rule as max or percentile99.9, "
                   "largest1 to largest64, or outlier",
                   bd_text_show(shown, sizeof shown, r, 0));
}

static bd_status read_goal(struct bottleneck *b, struct cli *c)
{
    int goals = (c->a.psnr_min >= 0) + (c->a.psnr_loss >= 0) +
                (c->a.avg_rate >= 0);

    if (goals > 1)
        return bd_fail(&c->err, BD_EINVALID,
                       "--psnr-min, --psnr-loss and --avg-rate: one of them");
    if (c->a.avg_rate >= 0 && b->solver != BD_PLANES_SUBSET)
        return bd_fail(&c->err, BD_EINVALID,
                       "--avg-rate spends exactly: only with --solver subset");
    if (c->a.avg_rate >= 0 && !(c->a.avg_rate >= 1 && c->a.avg_rate <= 8))
        return bd_fail(&c->err, BD_EINVALID,
                       "--avg-rate %g: planes per value, 1 to 8",
                       c->a.avg_rate);
    return BD_OK;
}

static bd_status check(struct bottleneck *b, struct cli *c)
{
    const char *what = c->a.what ? c->a.what : "a";
    char shown[96];
    bd_status st = read_solver(b, c);

    if (st == BD_OK)
        st = read_range(b, c);
    if (st == BD_OK)
        st = read_goal(b, c);
    if (st == BD_OK && strcmp(what, "a") != 0 && strcmp(what, "w") != 0)
        st = bd_fail(&c->err, BD_EINVALID,
                     "--what '%s': w for weights, a for inputs",
                     bd_text_show(shown, sizeof shown, what, 0));
    b->part = what[0] == 'w' ? BD_PART_W : BD_PART_A;
    b->o.of = (int)c->a.planes;
    b->o.dither = c->a.dither ? (uint64_t)c->a.seed + 1 : 0;
    if (st == BD_OK && c->a.output)
        st = bd_cli_save_check(c);
    return st;
}

static bd_status pick_layers(struct bottleneck *b, struct cli *c)
{
    const struct bd_model *m = bd_session_model(b->s);

    b->layer = bd_calloc(m->nlayers + 1, sizeof *b->layer);
    b->pick = bd_calloc(m->nlayers + 1, sizeof *b->pick);
    if (!b->layer || !b->pick)
        return bd_fail(&c->err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->nlayers; i++) {
        /* What is locked takes no part in spending. */
        bool out = c->a.avg_rate >= 0 && bd_session_cfg(b->s)->layer[i].locked;

        if (!out && (!c->a.layer || bd_glob(c->a.layer, m->layer[i].name)))
            b->layer[b->n++] = (int)i;
    }
    if (c->a.layer && bd_config_matches(m, c->a.layer, &c->err) != BD_OK)
        return c->err.code;
    return b->n > 0 ? BD_OK
                    : bd_fail(&c->err, BD_EINVALID,
                              "every layer is locked: a rate is spent on "
                              "those that are not");
}

/* The clip rule asked for becomes the layers' own, so that what is counted
 * and what is written agree. */
static bd_status set_clip(struct bottleneck *b, struct cli *c)
{
    struct bd_clip_choice k = {(enum bd_clip_rule)b->clip.clip,
                               b->clip.clip_value};

    if (!b->by_rule)
        return BD_OK;
    return bd_session_set_clip(b->s, (struct bd_sel){b->layer, b->n}, b->part,
                               k, &c->err);
}

/* ----------------------------------------------------------- the answer */
static struct bd_threshold threshold(const struct cli *c)
{
    struct bd_threshold t = {.loss = c->a.psnr_min < 0,
                             .db = c->a.psnr_min};

    if (t.loss)
        t.db = c->a.psnr_loss >= 0 ? c->a.psnr_loss : 16;
    if (t.loss && c->a.nominal) /* 55 dB, whatever the code really has */
        t = (struct bd_threshold){false, 55 - t.db};
    return t;
}

static void choose(struct bottleneck *b, const struct cli *c, struct pick *p)
{
    struct bd_threshold t = threshold(c);
    int k_min = c->a.k_min > 0 ? (int)c->a.k_min : 1;

    p->need = bd_threshold_need(p->v.table, &t);
    if (b->solver == BD_PLANES_SUBSET)
        p->row = *bd_planes_choose(p->v.table, p->need, k_min);
    else
        bd_planes_lasso(&p->row, &p->lambda, p->v.codes, p->need,
                        b->solver == BD_PLANES_LASSO_REFIT);
    b->missed += p->row.psnr_db < p->need - 1e-9;
}

/* What a layer keeps now, as the row of its table. */
static void read_back(const struct bottleneck *b, struct pick *p)
{
    const struct bd_layercfg *l = &bd_session_cfg(b->s)->layer[p->layer];
    const struct bd_planes *now =
        b->part == BD_PART_W ? l->w.planes : l->a.planes;

    for (int i = 0; now && i < p->v.table->nrow; i++)
        if (p->v.table->row[i].mask == now->code.mask)
            p->row = p->v.table->row[i];
}

static bd_status by_threshold(struct bottleneck *b, struct cli *c)
{
    const struct bd_plane_row **row = bd_calloc(b->n, sizeof *row);
    bd_status st;

    if (!row)
        return bd_fail(&c->err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < b->n; i++) {
        choose(b, c, &b->pick[i]);
        row[i] = &b->pick[i].row;
    }
    st = bd_session_put_planes(b->s, (struct bd_sel){b->layer, b->n}, b->part,
                               row, &c->err);
    bd_free(row);
    return st;
}

static bd_status by_rate(struct bottleneck *b, struct cli *c)
{
    bd_status st =
        bd_session_spend_planes(b->s, (struct bd_sel){b->layer, b->n}, b->part,
                                c->a.avg_rate, &c->err);

    for (size_t i = 0; i < b->n && st == BD_OK; i++) {
        b->pick[i].need = (double)NAN;
        read_back(b, &b->pick[i]);
    }
    return st;
}

static bd_status compute(struct bottleneck *b, struct cli *c)
{
    bd_status st = pick_layers(b, c);

    if (st == BD_OK)
        st = set_clip(b, c);
    if (st != BD_OK)
        return st;
    bd_cli_watch_task(&c->watch, "counting codes");
    st = bd_session_now_planes(b->s, b->part, &b->o, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    for (size_t i = 0; i < b->n && st == BD_OK; i++) {
        b->pick[i].layer = b->layer[i];
        b->pick[i].lambda = (double)NAN;
        bd_session_planes(&b->pick[i].v, b->s, b->layer[i], b->part);
    }
    if (st == BD_OK)
        st = c->a.avg_rate >= 0 ? by_rate(b, c) : by_threshold(b, c);
    if (st == BD_OK)
        bd_session_planes_net(&b->net, b->s, b->part);
    if (st == BD_OK && c->a.output) {
        st = bd_session_export(b->s, c->a.output, c->a.force, &c->err);
        c->status = st == BD_EIO ? 1 : 0;
        if (st != BD_OK)
            bd_err_file(&c->err, c->a.output);
    }
    return st;
}

/* ---------------------------------------------------------------- saying */
static void json_alphas(struct bd_json *j, const char *key, const double *a,
                        int of)
{
    bd_json_arr_inline(j, key);
    for (int k = 0; k < of; k++)
        bd_json_f64(j, NULL, a[k]);
    bd_json_arr_end(j);
}

static void json_table(struct bd_json *j, const struct bd_plane_table *t)
{
    bd_json_arr(j, "table");
    for (int i = 0; i < t->nrow; i++) {
        bd_json_obj(j, NULL);
        bd_json_int(j, "k", t->row[i].k);
        bd_json_int(j, "mask", (int64_t)t->row[i].mask);
        json_alphas(j, "alphas", t->row[i].alpha, t->of);
        bd_json_f64(j, "psnr_db", t->row[i].psnr_db);
        bd_json_f64(j, "sqnr_db", t->row[i].sqnr_db);
        bd_json_f64(j, "mse", t->row[i].mse);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

static void json_layer(struct bd_json *j, const struct bottleneck *b,
                       const struct pick *p)
{
    const struct bd_plane_table *t = p->v.table;

    bd_json_obj(j, NULL);
    bd_json_str(j, "name", bd_session_model(b->s)->layer[p->layer].name);
    bd_json_int(j, "planes_kept", p->row.k);
    bd_json_int(j, "mask", (int64_t)p->row.mask);
    json_alphas(j, "alphas_lsb_first", p->row.alpha, t->of);
    bd_json_f64(j, "psnr_db", p->row.psnr_db);
    bd_json_f64(j, "sqnr_db", p->row.sqnr_db);
    bd_json_int(j, "rate", p->row.k);
    bd_json_bool(j, "signed", t->negative);
    bd_json_f64(j, "entropy_bits", bd_planes_entropy(p->v.codes, p->row.mask));
    bd_json_f64(j, "need_db", p->need);
    bd_json_f64(j, "full_psnr_db", t->full_db);
    bd_json_f64(j, "range", t->range);
    bd_json_int(j, "values", t->n);
    if (b->solver != BD_PLANES_SUBSET)
        bd_json_f64(j, "lambda", p->lambda);
    json_table(j, t);
    bd_json_obj_end(j);
}

static int out_json(struct cli *c, const struct bottleneck *b)
{
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.bottleneck/1");
    bd_json_str(&j, "solver", bd_plane_solver_names[b->solver]);
    bd_json_int(&j, "of", b->pick[0].v.table->of);
    bd_json_arr(&j, "layers");
    for (size_t i = 0; i < b->n; i++)
        json_layer(&j, b, &b->pick[i]);
    bd_json_arr_end(&j);
    bd_json_f64(&j, "rate_mean", b->net.mean);
    bd_json_f64(&j, "rate_weighted", b->net.weighted);
    bd_json_f64(&j, "rate_with_sign", b->net.with_sign);
    bd_json_f64(&j, "entropy_bits", b->net.entropy);
    bd_json_f64(&j, "compression", 32 / b->net.with_sign);
    bd_json_int(&j, "missed", (int64_t)b->missed);
    if (c->a.output)
        bd_json_str(&j, "config", c->a.output);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* The highest plane first, as one writes numbers. */
static void strip(char *out, unsigned mask, int of)
{
    for (int k = 0; k < of; k++)
        out[k] = mask >> (of - 1 - k) & 1 ? '#' : '.';
    out[of] = '\0';
}

static void text_layers(struct bd_str *s, const struct bottleneck *b)
{
    static const char *const head[] = {"<layer", "<planes",  "kept", "sign",
                                       "PSNR",   "SQNR",     "need", "plain",
                                       "entropy", "range",   NULL};
    const struct bd_model *m = bd_session_model(b->s);
    struct cli_table t;
    char planes[16];

    bd_cli_table_head(&t, head);
    for (size_t i = 0; i < b->n; i++) {
        const struct pick *p = &b->pick[i];

        strip(planes, p->row.mask, p->v.table->of);
        bd_cli_table_name(&t, m->layer[p->layer].name, 30);
        bd_cli_table_put(&t, "%s", planes);
        bd_cli_table_put(&t, "%d", p->row.k);
        bd_cli_table_put(&t, "%s", p->v.table->negative ? "+1" : "-");
        bd_cli_db(&t, p->row.psnr_db);
        bd_cli_db(&t, p->row.sqnr_db);
        bd_cli_db(&t, p->need);
        bd_cli_db(&t, p->v.table->full_db);
        bd_cli_table_put(&t, "%.2f",
                         bd_planes_entropy(p->v.codes, p->row.mask));
        bd_cli_table_put(&t, "%.4g", p->v.table->range);
    }
    bd_cli_table_out(s, &t);
}

static int out_text(struct cli *c, const struct bottleneck *b)
{
    struct bd_str s = {0};

    text_layers(&s, b);
    bd_str_printf(&s,
                  "\nrate       %.4g planes on average, %.4g by number of "
                  "values, %.4g with signs (%.3gx below float)\n",
                  b->net.mean, b->net.weighted, b->net.with_sign,
                  32 / b->net.with_sign);
    bd_str_printf(&s,
                  "entropy    %.4g bits per value without signs: no lossless "
                  "coder goes below\n",
                  b->net.entropy);
    return bd_cli_text_out(c, &s);
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct bottleneck b = {0};
    int rc;

    if (check(&b, c) == BD_OK && bd_cli_session(&b.s, c, &o) == BD_OK &&
        compute(&b, c) == BD_OK) {
        rc = c->a.json ? out_json(c, &b) : out_text(c, &b);
        bd_cli_say_log(b.s, SIZE_MAX);
        if (rc == 0 && b.missed > 0) {
            bd_cli_note("%zu of %zu layers do not reach the PSNR they need, "
                        "with every plane there is",
                        b.missed, b.n);
            rc = 1;
        }
    } else {
        rc = bd_cli_fail(c);
    }
    bd_free(b.layer);
    bd_free(b.pick);
    bd_session_close(b.s);
    return rc;
}

const struct cli_verb bd_verb_bottleneck = {
    .name = "bottleneck",
    .summary = "Bit planes to keep per layer for a PSNR or an average rate.",
    .example = "bitdial bottleneck resnet20.onnx --data test.bin "
               "--psnr-loss 16 -o planes.json",
    .usage = "bottleneck MODEL [--psnr-min DB|--psnr-loss DB|--avg-rate R]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
