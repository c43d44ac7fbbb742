/* eval: accuracy of the configuration beside that of the float network, on
 * the same images. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_INT, "--batch", 'b', "N", "accepted; steps are sized to fit the "
     "caches", AT(batch), 1, 1 << 20},
    {CLI_REAL, "--require", 0, "TOP1", "exit status 1 below this share "
     "(0.9 = 90 %)", AT(require), 0, 0},
    {CLI_TEXT, "--repair", 0, "LIST", "repairs first, as of verb repair: "
     "equalize,...", AT(repair), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    bd_cli_data, bd_cli_config, own, bd_cli_model, bd_cli_common, NULL,
};

struct eval {
    struct bd_session *s;
    struct bd_net_eval q, fp; /* with the configuration, and float */
    struct bd_layer_errors *layers;
    struct bd_net_view net;
    double seconds;
};

/* The session says itself why accuracy cannot be had, when it cannot. */
static bd_status compute(struct eval *e, struct cli *c)
{
    size_t n = bd_session_model(e->s)->nlayers;
    const char *why = bd_session_why_no_accuracy(e->s);
    int64_t start;
    bd_status st;

    if (why)
        return bd_fail(&c->err, BD_EINVALID, "%s", why);
    e->layers = bd_calloc(n, sizeof *e->layers);
    if (!e->layers)
        return bd_fail(&c->err, BD_ENOMEM, "out of memory");
    bd_cli_watch_task(&c->watch, "accuracy");
    start = bd_now_ns();
    st = bd_session_now_eval(&e->q, &e->fp, e->layers, e->s, c->watch.ctl,
                             &c->err);
    e->seconds = (double)(bd_now_ns() - start) / 1e9;
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    bd_session_net(&e->net, e->s);
    return st;
}

/* ---------------------------------------------------------------- saying */

static void json_layers(struct bd_json *j, const struct eval *e)
{
    const struct bd_model *m = bd_session_model(e->s);

    bd_json_arr(j, "layers");
    for (size_t k = 0; k < m->nlayers; k++) {
        bd_json_obj(j, NULL);
        bd_json_str(j, "name", m->layer[k].name);
        bd_json_f64(j, "w_psnr_db", e->layers[k].w_psnr_db);
        bd_json_f64(j, "a_psnr_db", e->layers[k].a_psnr_db);
        bd_json_f64(j, "out_sqnr_db", e->layers[k].out_sqnr_db);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

/* Both networks, calibration and layer errors included: what one waits for. */
static double rate(const struct eval *e)
{
    return e->seconds > 0.0 ? (double)e->q.images / e->seconds : NAN;
}

static int out_json(struct cli *c, const struct eval *e)
{
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.eval/1");
    bd_json_int(&j, "images", e->q.images);
    bd_json_f64(&j, "top1", e->q.top1);
    bd_json_arr_inline(&j, "top1_ci95");
    bd_json_f64(&j, NULL, e->q.ci_lo);
    bd_json_f64(&j, NULL, e->q.ci_hi);
    bd_json_arr_end(&j);
    bd_json_f64(&j, "top5", e->q.top5);
    bd_json_f64(&j, "loss", e->q.loss);
    bd_json_f64(&j, "kl", e->q.kl);
    bd_json_f64(&j, "agreement", e->q.agreement);
    bd_json_obj(&j, "fp32");
    bd_json_f64(&j, "top1", e->fp.top1);
    bd_json_f64(&j, "top5", e->fp.top5);
    bd_json_f64(&j, "loss", e->fp.loss);
    bd_json_obj_end(&j);
    bd_json_f64(&j, "avg_bits_w", e->net.cost.avg_bits_w);
    bd_json_f64(&j, "avg_bits_a", e->net.cost.avg_bits_a);
    bd_json_int(&j, "size_bytes", (e->net.cost.size_bits + 7) / 8);
    bd_json_f64(&j, "bops", e->net.cost.bops);
    json_layers(&j, e);
    bd_json_int(&j, "right1", e->q.right1);
    bd_json_int(&j, "right5", e->q.right5);
    bd_json_f64(&j, "images_per_s", rate(e));
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

static void text_net(struct bd_str *s, const struct eval *e)
{
    const struct bd_cost *k = &e->net.cost;

    bd_str_printf(s,
                  "top-1      %.2f %%  (%lld of %lld; 95 %% interval "
                  "%.2f to %.2f)\n",
                  100.0 * e->q.top1, (long long)e->q.right1,
                  (long long)e->q.images, 100.0 * e->q.ci_lo,
                  100.0 * e->q.ci_hi);
    bd_str_printf(s, "top-5      %.2f %%\n", 100.0 * e->q.top5);
    bd_str_printf(s, "loss       %.4f\n", e->q.loss);
    bd_str_printf(s, "float      top-1 %.2f %%, top-5 %.2f %%, loss %.4f\n",
                  100.0 * e->fp.top1, 100.0 * e->fp.top5, e->fp.loss);
    if (isfinite(e->q.kl))
        bd_str_printf(s, "against    KL %.3g, same answer on %.2f %%\n",
                      e->q.kl, 100.0 * e->q.agreement);
    bd_str_printf(s, "bits       weights %.2f, activations %.2f\n",
                  k->avg_bits_w, k->avg_bits_a);
    bd_str_printf(
        s, "size       %lld bytes (%.1fx smaller), %.4g BOPs\n",
        (long long)((k->size_bits + 7) / 8),
        k->size_bits > 0 ? (double)k->float_bits / (double)k->size_bits : 1.0,
        k->bops);
    bd_str_printf(s, "speed      %.0f images/s\n", rate(e));
}

static void text_layers(struct bd_str *s, const struct eval *e)
{
    static const char *const head[] = {"<layer", "<weights", "<activations",
                                       "w PSNR", "a PSNR",   "out SQNR",
                                       NULL};
    const struct bd_model *m = bd_session_model(e->s);
    const struct bd_bitcfg *cfg = bd_session_cfg(e->s);
    struct cli_table t;
    char text[96];

    bd_cli_table_head(&t, head);
    for (size_t k = 0; k < m->nlayers; k++) {
        bd_cli_table_name(&t, m->layer[k].name, 30);
        bd_cli_table_put(
            &t, "%s", bd_tensorcfg_text(text, sizeof text, &cfg->layer[k].w));
        bd_cli_table_put(
            &t, "%s", bd_tensorcfg_text(text, sizeof text, &cfg->layer[k].a));
        bd_cli_db(&t, e->layers[k].w_psnr_db);
        bd_cli_db(&t, e->layers[k].a_psnr_db);
        bd_cli_db(&t, e->layers[k].out_sqnr_db);
    }
    bd_cli_table_out(s, &t);
}

/* --require speaks after the result, so that the number is seen. */
static int out(struct cli *c, const struct eval *e)
{
    struct bd_str s = {0};
    int rc;

    if (c->a.json) {
        rc = out_json(c, e);
    } else {
        text_layers(&s, e);
        bd_str_puts(&s, "\n");
        text_net(&s, e);
        rc = bd_cli_text_out(c, &s);
    }
    if (rc != 0 || c->a.require <= 0.0 || e->q.top1 >= c->a.require)
        return rc;
    bd_cli_note("top-1 is %.4f, below --require %.4f", e->q.top1, c->a.require);
    return 1;
}

/* The session's own remarks: a guessed preprocessing, a calibration set taken
 * from the evaluation data. */
void bd_cli_say_log(const struct bd_session *s, size_t most)
{
    const char *line;
    size_t n = bd_session_log(s, 0, &line);

    for (size_t i = 0; i < n && i < most; i++) {
        bd_session_log(s, i, &line);
        bd_cli_note("%s", line);
    }
}

/* Says what was repaired among the notes: the result stays what it is. */
static bd_status repair_first(struct cli *c, struct bd_session *s)
{
    struct bd_str did = {0};
    bd_status st = BD_OK;

    if (c->a.repair)
        st = bd_cli_repair(&did, c, s, c->a.repair);
    for (char *at = did.s, *line; at && *at && (line = strsep(&at, "\n"));)
        bd_cli_note("%s", line);
    bd_str_done(&did);
    return st;
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct eval e = {0};
    int rc;

    if (bd_cli_session(&e.s, c, &o) == BD_OK &&
        repair_first(c, e.s) == BD_OK && compute(&e, c) == BD_OK) {
        rc = out(c, &e);
        bd_cli_say_log(e.s, SIZE_MAX);
    } else {
        rc = bd_cli_fail(c);
    }
    bd_free(e.layers);
    bd_session_close(e.s);
    return rc;
}

const struct cli_verb bd_verb_eval = {
    .name = "eval",
    .summary = "Accuracy with the configuration, beside float.",
    .example = "bitdial eval resnet20.onnx --data test.bin "
               "--weights apot:4:tensor:mse",
    .usage = "eval MODEL [--data SPEC] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
