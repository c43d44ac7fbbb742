/* channels: the feature at a split, quantized channel by channel.  One width
 * prints the allocation; a list of widths the table of the published results:
 * one interval for all (U), each channel's own (C), DoReFa (D), then the
 * allocation after 0 runs of the back end, a quarter, half and all of them. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--split", 's', "LAYER", "where to cut: LAYER's input, "
     "LAYER.out, or a value", AT(split), 0, 0},
    {CLI_TEXT, "--quantizer", 'q', "NAME", "uniform (default), dorefa, log",
     AT(quantizer), 0, 0},
    {CLI_TEXT, "--avg-bits", 'b', "B", "bits per value (default 4); 2-7: a "
     "table", AT(avg_bits), 0, 0},
    {CLI_REAL, "--alpha", 0, "A", "weight of the mean in the priority (0.9)",
     AT(alpha), 0, 0},
    {CLI_REAL, "--beta", 0, "B", "weight of the deviation (0.1)",
     AT(beta), 0, 0},
    {CLI_INT, "--reserve-interval", 'k', "K", "exchanges tried, one back-end "
     "run each (10)", AT(reserve), 0, 1000000},
    {CLI_TEXT, "--method", 'm', "NAME", "priority (default) uniform greedy "
     "lagrange dp", AT(method), 0, 0},
    {CLI_TEXT, "--on", 0, "WHAT", "losses those spend by: feature (default), "
     "output", AT(on), 0, 0},
    {CLI_TEXT, "--table", 't', "CSV", "intervals, read or written; or a "
     "folder", AT(intervals), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own, bd_cli_data, bd_cli_model, bd_cli_common, NULL,
};

enum { MOST_WIDTHS = 16, STAGES = 4 };

struct result { /* of one average width */
    double avg, left, start, mse, uniform, own, dorefa, feature, ms;
    int8_t *bits;                /* [channels] */
    struct bd_refine_step *step; /* [done] */
    double *when;                /* [done] seconds since the first run */
    int64_t done;
};

struct channels {
    struct bd_session *s;
    struct bd_lab *lab;
    struct cli *c;
    struct bd_lab_ask ask;
    struct result r[MOST_WIDTHS];
    int n;
    double lab_ms;
    bool stopped; /* by a signal: what is reached is shown */
};

/* --------------------------------------------------------- understanding */
/* "2.5", or whole widths as "2-7" or "2,4". */
static bd_status widths(struct channels *k, struct bd_err *err)
{
    const char *text = k->c->a.avg_bits ? k->c->a.avg_bits : "4";
    struct cli_widths w = {0};
    char shown[64];

    if (bd_parse_double(&k->r[0].avg, text) && k->r[0].avg > 0 &&
        k->r[0].avg <= BD_FEATURE_MOST) {
        k->n = 1;
        return BD_OK;
    }
    if (strpbrk(text, "-,") && bd_cli_widths(&w, text, NULL))
        for (; k->n < w.n && k->n < MOST_WIDTHS; k->n++) {
            k->r[k->n].avg = w.bits[k->n];
            if (w.bits[k->n] > BD_FEATURE_MOST)
                w.n = 0;
        }
    if (w.n > 0)
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "--avg-bits '%s': a number above 0 up to 8, or widths as "
                   "2-7 or 2,4",
                   bd_text_show(shown, sizeof shown, text, 0));
}

static bd_status quantizer(struct bd_lab_opts *o, const struct cli_args *a,
                           struct bd_err *err)
{
    int k = bd_feature_kind_find(a->quantizer ? a->quantizer : "uniform");
    char shown[64];

    if (k < 0)
        return bd_fail(err, BD_EINVALID,
                       "--quantizer '%s': one of uniform, dorefa, log",
                       bd_text_show(shown, sizeof shown, a->quantizer, 0));
    o->kind = (enum bd_feature_kind)k;
    return BD_OK;
}

static bd_status losses(struct bd_lab_ask *ask, const struct cli_args *a,
                        struct bd_err *err)
{
    char shown[64];

    ask->method = a->method;
    ask->p = (struct bd_priority){a->alpha, a->beta};
    ask->on_output = a->on && strcmp(a->on, "output") == 0;
    if (!a->on || ask->on_output || strcmp(a->on, "feature") == 0)
        return BD_OK;
    return bd_fail(err, BD_EINVALID, "--on '%s': feature or output",
                   bd_text_show(shown, sizeof shown, a->on, 0));
}

/* ------------------------------------------------------------- computing */
static bd_status save_table(struct channels *k, const char *path)
{
    struct bd_str text = {0};
    struct bd_err *err = &k->c->err;
    bd_status st = bd_qtable_write(&text, &k->lab->t, k->lab->split.name, err);

    if (st == BD_OK)
        st = bd_save(path, text.s, text.n, false, err);
    bd_str_done(&text);
    if (st == BD_OK)
        bd_cli_note("intervals written to %s", path);
    else
        k->c->status = 1;
    return st;
}

static bd_status open_lab(struct channels *k)
{
    struct cli_args *a = &k->c->a;
    struct bd_lab_opts o = {.split = a->split, .images = a->limit};
    bool there = a->intervals &&
                 (bd_file_exists(a->intervals) || bd_is_dir(a->intervals));
    int64_t start = bd_now_ns();
    bd_status st = quantizer(&o, a, &k->c->err);

    if (st != BD_OK)
        return st;
    o.table = there ? a->intervals : NULL;
    bd_cli_watch_task(&k->c->watch, "feature");
    st = bd_lab_open(&k->lab, k->s, &o, k->c->watch.ctl, &k->c->err);
    k->lab_ms = (double)(bd_now_ns() - start) / 1e6;
    if (st == BD_OK && a->intervals && !there)
        st = save_table(k, a->intervals);
    return st;
}

struct following {
    struct result *r;
    int64_t start_ns, runs;
    struct bd_ctl *ctl;
};

static void stepped(void *arg, const struct bd_refine_step *s,
                    const int8_t *bits)
{
    struct following *f = arg;
    struct result *r = f->r;

    (void)bits;
    r->step[r->done] = *s;
    r->when[r->done++] = (double)(bd_now_ns() - f->start_ns) / 1e9;
    bd_ctl_progress(f->ctl, r->done, f->runs);
}

/* Rows C and D: the same width for all channels. */
static bd_status comparators(struct result *r, struct channels *k)
{
    struct bd_lab *l = k->lab;
    size_t n = (size_t)l->f.channels;
    struct bd_chanq *q = bd_alloc(n + 1, sizeof *q);
    int8_t *bits = bd_alloc(n + 1, sizeof *bits);
    bd_status st = BD_OK;

    if (!q || !bits)
        st = bd_fail(&k->c->err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; st == BD_OK && i < n; i++)
        bits[i] = (int8_t)r->avg;
    if (st == BD_OK) {
        bd_qtable_use(q, &l->t, bits);
        st = bd_judge_run(&r->own, l->judge, q, &k->c->err);
    }
    for (size_t i = 0; st == BD_OK && i < n; i++)
        q[i] = (struct bd_chanq){BD_FEATURE_DOREFA, (int)r->avg, false,
                                 BD_FEATURE_DOREFA_CLIP, 0};
    if (st == BD_OK)
        st = bd_judge_run(&r->dorefa, l->judge, q, &k->c->err);
    if (st == BD_OK)
        st = bd_lab_uniform(&r->uniform, l, r->avg, &k->c->err);
    bd_free(q);
    bd_free(bits);
    return st;
}

static bd_status refine(struct result *r, struct channels *k, int64_t start)
{
    struct following f = {r, start, k->c->a.reserve, k->c->watch.ctl};
    struct bd_refine none = {0}, all = {f.runs, stepped, &f};
    struct bd_allocated a = {r->bits, NAN};
    struct bd_err *err = &k->c->err;
    bd_status st = bd_judge_refine(&a, k->lab->judge, &k->lab->t, &none, err);

    r->start = r->mse = a.mse;
    if (st != BD_OK)
        return st;
    st = bd_judge_refine(&a, k->lab->judge, &k->lab->t, &all, err);
    if (r->done > 0)
        r->mse = r->step[r->done - 1].mse;
    if (st != BD_ECANCELLED)
        return st;
    k->stopped = true; /* the best so far is a result */
    *err = (struct bd_err){0};
    return BD_OK;
}

static bd_status one_width(struct result *r, struct channels *k)
{
    size_t n = (size_t)k->lab->f.channels, most = (size_t)k->c->a.reserve;
    int64_t start;
    bd_status st = comparators(r, k);

    if (st != BD_OK)
        return st;
    r->bits = bd_calloc(n + 1, sizeof *r->bits);
    r->step = bd_alloc(most + 1, sizeof *r->step);
    r->when = bd_alloc(most + 1, sizeof *r->when);
    if (!r->bits || !r->step || !r->when)
        return bd_fail(&k->c->err, BD_ENOMEM, "out of memory");
    start = bd_now_ns();
    k->ask.avg_bits = r->avg;
    st = bd_lab_solve(r->bits, &r->left, k->lab, &k->ask, &k->c->err);
    if (st == BD_OK)
        st = refine(r, k, start);
    r->feature = bd_qtable_error(&k->lab->t, r->bits);
    r->ms = (double)(bd_now_ns() - start) / 1e6;
    return st;
}

static bd_status compute(struct channels *k)
{
    struct cli *c = k->c;
    bd_status st;

    if (!c->a.split)
        return bd_fail(&c->err, BD_EINVALID,
                       "--split is needed: the layer whose input is the "
                       "feature; bitdial info lists the layers");
    st = widths(k, &c->err);
    if (st == BD_OK)
        st = losses(&k->ask, &c->a, &c->err);
    if (st == BD_OK)
        st = open_lab(k);
    if (st == BD_OK)
        bd_cli_watch_task(&c->watch, "channels");
    for (int i = 0; st == BD_OK && i < k->n; i++) {
        st = one_width(&k->r[i], k);
        if (k->stopped)
            k->n = i + 1;
        if (st == BD_ECANCELLED && i > 0) { /* the widths before are whole */
            k->stopped = true;
            k->n = i;
            c->err = (struct bd_err){0};
            st = BD_OK;
        }
    }
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    return st;
}

/* ---------------------------------------------------------------- saying */
/* What a receiver needs: widths per image (values 0 to 8: 4 bits). */
static double side_bits(const struct channels *k)
{
    return 4.0 * (double)k->lab->f.channels;
}

static double rate(const struct channels *k, const struct result *r)
{
    double n = (double)k->lab->f.channels, sum = 0;

    for (int64_t c = 0; c < k->lab->f.channels; c++)
        sum += r->bits[c];
    return sum / n + side_bits(k) / (n * (double)k->lab->f.size);
}

static void json_steps(struct bd_json *j, const struct result *r)
{
    bd_json_arr(j, "iterations");
    for (int64_t i = 0; i < r->done; i++) {
        bd_json_obj(j, NULL);
        bd_json_int(j, "receiver", r->step[i].receiver);
        bd_json_int(j, "donor", r->step[i].donor);
        bd_json_bool(j, "kept", r->step[i].kept);
        bd_json_f64(j, "output_mse", r->step[i].mse);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

static void json_result(struct bd_json *j, const struct channels *k,
                        const struct result *r)
{
    bd_json_arr_inline(j, "bits");
    for (int64_t c = 0; c < k->lab->f.channels; c++)
        bd_json_int(j, NULL, r->bits[c]);
    bd_json_arr_end(j);
    bd_json_f64(j, "output_mse", r->mse);
    bd_json_f64(j, "output_mse_uniform", r->uniform);
    json_steps(j, r);
    bd_json_f64(j, "ms", r->ms);
    bd_json_f64(j, "avg_bits", r->avg);
    bd_json_f64(j, "unspent_bits", r->left);
    bd_json_f64(j, "output_mse_start", r->start);
    bd_json_f64(j, "output_mse_per_channel", r->own);
    bd_json_f64(j, "output_mse_dorefa", r->dorefa);
    bd_json_f64(j, "feature_mse", r->feature);
    bd_json_f64(j, "side_bits_per_image", side_bits(k));
    bd_json_f64(j, "bits_per_value", rate(k, r));
}

/* The continuous optimum of the model with each channel's deviation. */
static void json_water(struct bd_json *j, const struct channels *k)
{
    const struct bd_lab *l = k->lab;
    double *b = bd_alloc((size_t)l->f.channels + 1, sizeof *b);

    bd_json_arr_inline(j, "water_bits");
    if (b)
        bd_feature_water(b, l->dev, l->f.channels, k->r[0].avg);
    for (int64_t c = 0; b && c < l->f.channels; c++)
        bd_json_f64(j, NULL, b[c]);
    bd_json_arr_end(j);
    bd_free(b);
}

static int out_json(const struct channels *k)
{
    const struct cli_args *a = &k->c->a;
    const struct bd_lab *l = k->lab;
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.channels/1");
    bd_json_str(&j, "split", l->split.name);
    bd_json_int(&j, "channels", l->f.channels);
    json_result(&j, k, &k->r[0]);
    bd_json_str(&j, "quantizer", bd_feature_kind_names[l->t.kind]);
    bd_json_str(&j, "method", k->ask.method ? k->ask.method : "priority");
    bd_json_f64(&j, "alpha", k->ask.p.alpha);
    bd_json_f64(&j, "beta", k->ask.p.beta);
    bd_json_int(&j, "reserve_interval", a->reserve);
    bd_json_int(&j, "images", l->f.images);
    bd_json_int(&j, "values_per_channel", l->f.size);
    bd_json_int(&j, "back_end_macs", l->split.macs);
    bd_json_f64(&j, "table_ms", k->lab_ms);
    bd_json_bool(&j, "stopped", k->stopped);
    json_water(&j, k);
    bd_json_arr(&j, "results");
    for (int i = 0; k->n > 1 && i < k->n; i++) {
        bd_json_obj(&j, NULL);
        json_result(&j, k, &k->r[i]);
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    bd_json_obj_end(&j);
    return bd_cli_json_out(k->c, &j);
}

/* Error in force after so many runs, and the time until then. */
static double after(const struct result *r, int64_t runs, double *seconds)
{
    int64_t n = runs < r->done ? runs : r->done;

    *seconds += n > 0 ? r->when[n - 1] : 0;
    return n > 0 ? r->step[n - 1].mse : r->start;
}

static void table_row(struct cli_table *t, const struct channels *k,
                      const char *name, size_t at)
{
    bd_cli_table_put(t, "%s", name);
    for (int i = 0; i < k->n; i++) {
        double v;

        memcpy(&v, (const char *)&k->r[i] + at, sizeof v);
        bd_cli_table_put(t, "%.4g", v);
    }
    bd_cli_table_put(t, "-");
}

static void text_table(struct bd_str *s, const struct channels *k)
{
    const char *head[MOST_WIDTHS + 3] = {"<output MSE"};
    char text[MOST_WIDTHS][16];
    struct cli_table t;

    for (int i = 0; i < k->n; i++) {
        snprintf(text[i], sizeof text[i], "%g bit", k->r[i].avg);
        head[i + 1] = text[i];
    }
    head[k->n + 1] = "seconds";
    bd_cli_table_head(&t, head);
    table_row(&t, k, "U: one interval", offsetof(struct result, uniform));
    table_row(&t, k, "C: own intervals", offsetof(struct result, own));
    table_row(&t, k, "D: dorefa", offsetof(struct result, dorefa));
    for (int q = 0; q <= STAGES; q = q ? 2 * q : 1) {
        int64_t runs = k->c->a.reserve * q / STAGES;
        double seconds = 0;

        bd_cli_table_put(&t, "%lld run%s", (long long)runs,
                         runs == 1 ? "" : "s");
        for (int i = 0; i < k->n; i++)
            bd_cli_table_put(&t, "%.4g", after(&k->r[i], runs, &seconds));
        bd_cli_table_put(&t, "%.2f", seconds / k->n);
    }
    bd_cli_table_out(s, &t);
}

static void text_one(struct bd_str *s, const struct channels *k)
{
    const struct result *r = &k->r[0];
    int64_t count[BD_FEATURE_WIDTHS] = {0};

    for (int64_t c = 0; c < k->lab->f.channels; c++)
        count[r->bits[c]]++;
    bd_str_printf(s, "output MSE  %.6g  (%.2f of %.6g with one interval for "
                     "all)\n",
                  r->mse, r->uniform > 0 ? r->mse / r->uniform : 1.0,
                  r->uniform);
    bd_str_printf(s, "            %.6g before %lld exchanges, %.6g with %d "
                     "bits for all\n",
                  r->start, (long long)r->done, r->own, (int)r->avg);
    bd_str_printf(s, "bits        %g on average, %.3f with %g bits of widths "
                     "per image\n", r->avg, rate(k, r), side_bits(k));
    bd_str_puts(s, "channels   ");
    for (int b = 0; b < BD_FEATURE_WIDTHS; b++)
        if (count[b])
            bd_str_printf(s, " %lld at %d;", (long long)count[b], b);
    bd_str_puts(s, "\n");
    for (int64_t c = 0; c < k->lab->f.channels; c++)
        bd_str_printf(s, "%s%d", c % 32 == 0 ? "\n            " : " ",
                      r->bits[c]);
    bd_str_printf(s, "\n\ntime        %.2f s, intervals %.2f s\n", r->ms / 1e3,
                  k->lab_ms / 1e3);
}

static int out(struct channels *k)
{
    const struct bd_lab *l = k->lab;
    struct bd_str s = {0};
    char name[96];
    int rc;

    for (int i = 0; i < k->n; i++)
        if (k->r[i].left > 0)
            bd_cli_note("%g bits: %g bits per position cannot be spent, every "
                        "channel that is not zero has 8",
                        k->r[i].avg, k->r[i].left);
    if (k->c->a.json) {
        rc = out_json(k);
    } else {
        bd_str_printf(&s, "split at '%s': %lld channels of %lld values, %lld "
                          "images, %s\n\n",
                      bd_text_show(name, sizeof name, l->split.name, 40),
                      (long long)l->f.channels, (long long)l->f.size,
                      (long long)l->f.images,
                      bd_feature_kind_names[l->t.kind]);
        if (k->n > 1)
            text_table(&s, k);
        else
            text_one(&s, k);
        rc = bd_cli_text_out(k->c, &s);
    }
    if (rc == 0 && k->stopped) {
        bd_cli_note("stopped; this is the best so far");
        rc = 128 + atomic_load(&k->c->watch.signal);
    }
    return rc;
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct channels *k = bd_calloc(1, sizeof *k);
    int rc;

    if (!k) {
        bd_fail(&c->err, BD_ENOMEM, "out of memory");
        return bd_cli_fail(c);
    }
    k->c = c;
    if (bd_cli_session(&k->s, c, &o) == BD_OK && compute(k) == BD_OK) {
        rc = out(k);
        bd_cli_say_log(k->s, SIZE_MAX);
    } else {
        rc = bd_cli_fail(c);
    }
    for (int i = 0; i < MOST_WIDTHS; i++) {
        bd_free(k->r[i].bits);
        bd_free(k->r[i].step);
        bd_free(k->r[i].when);
    }
    bd_lab_unref(k->lab);
    bd_session_close(k->s);
    bd_free(k);
    return rc;
}

const struct cli_verb bd_verb_channels = {
    .name = "channels",
    .summary = "Bits per channel of the feature at a split.",
    .example = "bitdial channels resnet20.onnx --split layer2.0.conv1 "
               "-b 3 -d val/",
    .usage = "channels MODEL --split LAYER [--data SPEC] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
