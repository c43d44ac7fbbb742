/* compare: two configurations of one model, differences first.  A and B are
 * documents or words: `float`, `here` (what the options say), or
 * WEIGHTS[/INPUTS] in the spelling of --weights, which replaces that side of
 * every layer and leaves the rest as the options say. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_FLAG, "--all", 0, NULL, "list the layers that are alike, too",
     AT(all), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own, bd_cli_data, bd_cli_config, bd_cli_model, bd_cli_common, NULL,
};

struct compare {
    const struct cli_args *a;
    struct bd_session *s;
    struct bd_bitcfg cfg[2];
    struct bd_compare r;
    struct bd_net_eval fp; /* float; images 0 = not known */
};

/* ------------------------------------------------------------- the sides */

/* Warnings name the file; only the first, since a document of another model
 * has one for every layer. */
static bd_status read_side(struct bd_bitcfg *out, const struct compare *k,
                           const char *path, struct bd_err *err)
{
    struct bd_str warn = {0};
    char *text;
    size_t n;
    bd_status st = bd_file_read(&text, &n, path, (size_t)64 << 20, err);

    if (st != BD_OK)
        return bd_err_file(err, path);
    st = bd_config_read(out, bd_session_model(k->s),
                        (struct bd_text){text, n}, &warn, err);
    bd_free(text);
    if (warn.s && st == BD_OK)
        bd_cli_note("%s: %.*s", path, (int)strcspn(warn.s, "\n"), warn.s);
    bd_str_done(&warn);
    return st == BD_OK ? st : bd_err_file(err, path);
}

/* "apot:4:tensor:mse" or "apot:4/uniform:8", then the options that name
 * single layers, which are more precise. */
static bd_status spell_side(struct bd_bitcfg *out, const struct compare *k,
                            const char *text, struct bd_err *err)
{
    const struct bd_model *m = bd_session_model(k->s);
    char weights[128];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    bd_status st;

    if (n >= sizeof weights)
        return bd_fail(err, BD_EINVALID, "neither a file nor a choice");
    snprintf(weights, sizeof weights, "%.*s", (int)n, text);
    st = bd_config_all(out, true, weights, err);
    if (st == BD_OK && slash)
        st = bd_config_all(out, false, slash + 1, err);
    if (st == BD_OK && k->a->keep_edges > 0)
        st = bd_config_edges(out, m, (int)k->a->keep_edges, err);
    for (const char *const *e = k->a->set; *e && st == BD_OK; e++)
        st = bd_config_set(out, m, *e, err);
    return st == BD_OK ? bd_config_check(out, m, err) : st;
}

/* A file that is missing should be called missing, not a strange method. */
static bool is_json(const char *text)
{
    size_t n = strlen(text);

    return n > 5 && strcmp(text + n - 5, ".json") == 0;
}

/* A file of that name wins over a choice spelled like it. */
static bd_status side(struct bd_bitcfg *out, const struct compare *k,
                      const char *text, struct bd_err *err)
{
    const struct bd_bitcfg *here = bd_session_cfg(k->s);
    struct bd_err why = {0};
    char shown[96];
    bd_status st;

    if (strcmp(text, "-") == 0 || bd_file_exists(text) || is_json(text))
        return read_side(out, k, text, err);
    st = strcmp(text, "float") == 0 ? bd_bitcfg_init(out, here->n)
                                    : bd_bitcfg_copy(out, here);
    if (st != BD_OK)
        return bd_fail(err, st, "out of memory");
    if (strcmp(text, "float") == 0 || strcmp(text, "here") == 0)
        return BD_OK;
    st = spell_side(out, k, text, &why);
    if (st == BD_OK)
        return st;
    bd_bitcfg_done(out);
    *out = (struct bd_bitcfg){0};
    return bd_fail(err, st,
                   "'%s' is no file, and as a choice: %s; a configuration "
                   "file, float, here or apot:4/uniform:8 works",
                   bd_text_show(shown, sizeof shown, text, 60), why.msg);
}

/* Both sides are understood before anything is measured. */
static bd_status compute(struct compare *k, struct cli *c)
{
    const struct bd_bitcfg *const cfg[2] = {&k->cfg[0], &k->cfg[1]};
    struct bd_net_view net;
    bd_status st = BD_OK;

    if (strcmp(c->a.file[1], "-") == 0 && strcmp(c->a.file[2], "-") == 0)
        return bd_fail(&c->err, BD_EINVALID,
                       "standard input can be one of the two, not both");
    for (int i = 0; i < 2 && st == BD_OK; i++)
        st = side(&k->cfg[i], k, c->a.file[i + 1], &c->err);
    if (st != BD_OK)
        return st;
    bd_cli_watch_task(&c->watch, "comparing");
    st = bd_session_now_compare(&k->r, k->s, cfg, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    bd_session_net(&net, k->s);
    if (net.float_fresh == BD_EXACT)
        k->fp = net.float_acc;
    return st;
}

/* Layer of row i: those that differ come first, each group in file order. */
static size_t row_layer(const struct bd_compare *r, size_t i)
{
    size_t like = 0, unlike = 0;

    for (size_t k = 0; k < r->n; k++) {
        bool differs = r->layer[k].differs_w || r->layer[k].differs_a;

        if ((differs ? unlike : r->differing + like) == i)
            return k;
        differs ? unlike++ : like++;
    }
    return 0;
}

/* ------------------------------------------------------------------- JSON */

/* Keys are always there; without data their values are null. */
static void json_accuracy(struct bd_json *j, const struct bd_compare_side *s)
{
    bool known = s->fresh == BD_EXACT;
    const struct bd_net_eval *e = &s->acc;

    bd_json_f64(j, "top1", known ? e->top1 : NAN);
    bd_json_arr_inline(j, "top1_ci95");
    bd_json_f64(j, NULL, known ? e->ci_lo : NAN);
    bd_json_f64(j, NULL, known ? e->ci_hi : NAN);
    bd_json_arr_end(j);
    bd_json_f64(j, "top5", known ? e->top5 : NAN);
    bd_json_f64(j, "loss", known ? e->loss : NAN);
    bd_json_f64(j, "kl", known ? e->kl : NAN);
    bd_json_f64(j, "agreement", known ? e->agreement : NAN);
}

/* `given` repeats the argument, so that a document explains itself. */
static void json_side(struct bd_json *j, const struct compare *k, int i,
                      const char *given)
{
    const struct bd_compare_side *s = &k->r.side[i];

    bd_json_obj(j, i ? "b" : "a");
    bd_json_str(j, "given", given);
    bd_json_f64(j, "avg_bits_w", s->cost.avg_bits_w);
    bd_json_f64(j, "avg_bits_a", s->cost.avg_bits_a);
    bd_json_int(j, "size_bytes", (s->cost.size_bits + 7) / 8);
    bd_json_f64(j, "bops", s->cost.bops);
    json_accuracy(j, s);
    bd_json_obj_end(j);
}

/* Nothing is lost in float: its PSNR is no number, hence null. */
static void json_layer_side(struct bd_json *j, const struct compare *k, int i,
                            size_t layer)
{
    const struct bd_layercfg *l = &k->r.side[i].cfg.layer[layer];
    const struct bd_compare_errors *e = &k->r.layer[layer].side[i];
    char text[96];

    bd_json_obj(j, i ? "b" : "a");
    bd_json_str(j, "weights", bd_tensorcfg_text(text, sizeof text, &l->w));
    bd_json_str(j, "activations",
                bd_tensorcfg_text(text, sizeof text, &l->a));
    bd_json_f64(j, "w_psnr_db", e->w_psnr_db);
    bd_json_f64(j, "a_psnr_db", e->a_psnr_db);
    bd_json_int(j, "stored_bits", e->stored_bits);
    bd_json_obj_end(j);
}

/* Differences first here as well: a reader may stop at the first alike. */
static void json_layers(struct bd_json *j, const struct compare *k)
{
    const struct bd_model *m = bd_session_model(k->s);

    bd_json_arr(j, "layers");
    for (size_t i = 0; i < k->r.n; i++) {
        size_t at = row_layer(&k->r, i);

        bd_json_obj(j, NULL);
        bd_json_str(j, "name", m->layer[at].name);
        bd_json_bool(j, "differs", i < k->r.differing);
        json_layer_side(j, k, 0, at);
        json_layer_side(j, k, 1, at);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

/* Left out, not null, when nothing was measured on the same images. */
static void json_paired(struct bd_json *j, const struct bd_compare *r)
{
    const struct bd_paired *p = &r->paired;

    if (!r->paired_known)
        return;
    bd_json_obj(j, "paired");
    bd_json_int(j, "images", p->images);
    bd_json_int(j, "both_right", p->both);
    bd_json_int(j, "only_a", p->only_a);
    bd_json_int(j, "only_b", p->only_b);
    bd_json_int(j, "both_wrong", p->neither);
    bd_json_f64(j, "agreement",
                p->total > 0 ? (double)p->same / (double)p->total : NAN);
    bd_json_f64(j, "p_mcnemar_exact", p->p_exact);
    bd_json_f64(j, "p_mcnemar_mid", p->p_mid);
    bd_json_obj_end(j);
}

static int out_json(struct cli *c, const struct compare *k)
{
    struct bd_json j;
    bool known = k->fp.images > 0;

    bd_cli_schema(&j, "bitdial.compare/1");
    bd_json_int(&j, "images", k->r.paired_known ? k->r.paired.images : 0);
    json_side(&j, k, 0, c->a.file[1]);
    json_side(&j, k, 1, c->a.file[2]);
    bd_json_obj(&j, "fp32");
    bd_json_f64(&j, "top1", known ? k->fp.top1 : NAN);
    bd_json_f64(&j, "top5", known ? k->fp.top5 : NAN);
    bd_json_f64(&j, "loss", known ? k->fp.loss : NAN);
    bd_json_obj_end(&j);
    bd_json_int(&j, "differing", (int64_t)k->r.differing);
    json_layers(&j, k);
    json_paired(&j, &k->r);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* ------------------------------------------------------------------- text */

/* Better by how much: exact on one side has no difference to name. */
static void put_delta(struct cli_table *t, double a, double b)
{
    if (isfinite(a) && isfinite(b))
        bd_cli_table_put(t, "%+.2f", b - a);
    else
        bd_cli_table_put(t, "%s", isnan(a) || isnan(b) || a == b ? "-"
                                  : b > a                        ? "+inf"
                                                                 : "-inf");
}

static void text_layer(struct cli_table *t, const struct compare *k,
                       size_t at, bool inputs)
{
    const struct bd_compare_layer *l = &k->r.layer[at];
    char text[96];

    bd_cli_table_name(t, bd_session_model(k->s)->layer[at].name, 28);
    for (int w = 1; w >= !inputs; w--)
        for (int i = 0; i < 2; i++) {
            const struct bd_layercfg *cfg = &k->r.side[i].cfg.layer[at];

            bd_cli_table_put(t, "%s",
                             bd_tensorcfg_text(text, sizeof text,
                                               w ? &cfg->w : &cfg->a));
        }
    for (int i = 0; i < 2; i++)
        bd_cli_table_put(t, "%.1f",
                         (double)l->side[i].stored_bits / 8192.0);
    bd_cli_db(t, l->side[0].w_psnr_db);
    bd_cli_db(t, l->side[1].w_psnr_db);
    put_delta(t, l->side[0].w_psnr_db, l->side[1].w_psnr_db);
}

/* Two columns for inputs only where some input differs. */
static void text_layers(struct bd_str *s, const struct compare *k, bool all)
{
    static const char *const wide[] = {
        "<layer", "<A weights", "<B weights", "<A inputs", "<B inputs",
        "A KB",   "B KB",       "A PSNR",     "B PSNR",    "B - A",
        NULL};
    static const char *const narrow[] = {
        "<layer", "<A weights", "<B weights", "A KB",
        "B KB",   "A PSNR",     "B PSNR",     "B - A", NULL};
    size_t rows = all ? k->r.n : k->r.differing, alike;
    struct cli_table t;
    bool inputs = false; /* worth two columns? */

    for (size_t i = 0; i < k->r.n; i++)
        inputs = inputs || k->r.layer[i].differs_a;
    bd_cli_table_head(&t, inputs ? wide : narrow);
    for (size_t i = 0; i < rows; i++)
        text_layer(&t, k, row_layer(&k->r, i), inputs);
    bd_cli_table_out(s, &t);
    alike = k->r.n - k->r.differing;
    if (alike > 0)
        bd_str_printf(s, "%s%zu layer%s alike%s\n", rows ? "" : "all ",
                      alike, alike == 1 ? " is" : "s are",
                      all ? "" : "; --all lists them");
}

/* With its interval: two accuracies within it are no ranking, which is why
 * the paired sentence follows. */
static void text_top1(struct cli_table *t, const struct bd_compare_side *s)
{
    if (s->fresh != BD_EXACT)
        bd_cli_table_put(t, "-");
    else
        bd_cli_table_put(t, "%.2f %% (%.2f to %.2f)", 100 * s->acc.top1,
                         100 * s->acc.ci_lo, 100 * s->acc.ci_hi);
}

/* Counts stay whole numbers as long as they are short. */
static void put_row(struct cli_table *t, const char *what, double a, double b)
{
    bool whole = a == floor(a) && b == floor(b) && a + b < 1e9;

    bd_cli_table_put(t, "%s", what);
    bd_cli_table_put(t, whole ? "%.0f" : "%.5g", a);
    bd_cli_table_put(t, whole ? "%.0f" : "%.5g", b);
    if (a > 0 && b > 0 && a != b)
        bd_cli_table_put(t, "%+.1f %%", 100 * (b / a - 1));
    else
        bd_cli_table_put(t, "%s", a == b ? "same" : "-");
}

static void text_totals(struct bd_str *s, const struct compare *k,
                        const struct cli *c)
{
    const struct bd_compare_side *a = &k->r.side[0], *b = &k->r.side[1];
    const char *head[] = {"<", "<A", "<B", "<B against A", NULL};
    struct cli_table t;

    bd_cli_table_head(&t, head);
    bd_cli_table_put(&t, "given");
    bd_cli_table_name(&t, c->a.file[1], 36);
    bd_cli_table_name(&t, c->a.file[2], 36);
    bd_cli_table_put(&t, "%s", "");
    put_row(&t, "bits per weight", a->cost.avg_bits_w, b->cost.avg_bits_w);
    put_row(&t, "bits per input", a->cost.avg_bits_a, b->cost.avg_bits_a);
    put_row(&t, "bytes", (double)((a->cost.size_bits + 7) / 8),
            (double)((b->cost.size_bits + 7) / 8));
    put_row(&t, "BOPs", a->cost.bops, b->cost.bops);
    if (a->fresh == BD_EXACT && b->fresh == BD_EXACT) {
        bd_cli_table_put(&t, "top-1");
        text_top1(&t, a);
        text_top1(&t, b);
        bd_cli_table_put(&t, "%+.2f points",
                         100 * (b->acc.top1 - a->acc.top1));
        put_row(&t, "loss", a->acc.loss, b->acc.loss);
        put_row(&t, "KL from float", a->acc.kl, b->acc.kl);
    }
    bd_cli_table_out(s, &t);
}

/* The verdict, or why there is none. */
static void text_paired(struct bd_str *s, const struct compare *k)
{
    const struct bd_paired *p = &k->r.paired;
    const char *why = bd_session_why_no_accuracy(k->s);
    char words[200];

    if (k->r.paired_known)
        bd_str_printf(s, "\n%s\n",
                      bd_paired_words(words, sizeof words, p));
    else if (why)
        bd_str_printf(s, "\nno accuracy: %s\n", why);
}

static int out(struct cli *c, const struct compare *k)
{
    struct bd_str s = {0};

    if (c->a.json)
        return out_json(c, k);
    text_layers(&s, k, c->a.all);
    bd_str_puts(&s, "\n");
    text_totals(&s, k, c);
    text_paired(&s, k);
    return bd_cli_text_out(c, &s);
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct compare k = {.a = &c->a};
    int rc;

    if (bd_cli_session(&k.s, c, &o) == BD_OK && compute(&k, c) == BD_OK) {
        rc = out(c, &k);
        bd_cli_say_log(k.s, SIZE_MAX);
    } else {
        rc = bd_cli_fail(c);
    }
    bd_compare_done(&k.r);
    bd_bitcfg_done(&k.cfg[0]);
    bd_bitcfg_done(&k.cfg[1]);
    bd_session_close(k.s);
    return rc;
}

const struct cli_verb bd_verb_compare = {
    .name = "compare",
    .summary = "Two configurations side by side, differences first.",
    .example = "bitdial compare resnet20.onnx mine.json uniform:4:tensor:mse "
               "--data test.bin",
    .usage = "compare MODEL A B [OPTIONS]  A, B: FILE, float, apot:4/uniform:8",
    .options = options,
    .min_files = 3,
    .max_files = 3,
    .run = run,
};
