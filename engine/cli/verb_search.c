/* search: which layer gets how many bits, under a budget.  With --problem it
 * solves a written problem instead of a network's. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--budget", 0, "KIND=N", "avg-bits, size, bops, psnr-min, "
     "psnr-loss, max-drop", AT(budget), 0, 0},
    {CLI_TEXT, "--method", 'm', "A,B", "dp greedy lagrange channel measured "
     "bottleneck", AT(method), 0, 0},
    {CLI_TEXT, "--what", 0, "w,a", "w weights, a inputs (avg-bits theirs); "
     "bops: w,a", AT(what), 0, 0},
    {CLI_TEXT, "--bits", 'b', "2-8", "widths to choose from (default 2-8)",
     AT(bits), 0, 0},
    {CLI_TEXT, "--methods", 0, "A,B", "quantizers to choose from, as "
     "own,apot:channel:mse", AT(methods), 0, 0},
    {CLI_REPEAT, "--lock", 0, "GLOB", "layers that keep what they have",
     AT(lock), 0, 0},
    {CLI_REPEAT, "--tie", 0, "A=B", "layers that take the same choice",
     AT(tie), 0, 0},
    {CLI_FLAG, "--tie-outputs", 0, NULL, "tie layers whose outputs are added "
     "or joined", AT(tie_outputs), 0, 0},
    {CLI_TEXT, "--sensitivity", 0, "FILE", "losses from an earlier sweep",
     AT(sensitivity), 0, 0},
    {CLI_INT, "--evaluations", 0, "N", "'measured' stops after N (200)",
     AT(evaluations), 1, 1000000},
    {CLI_TEXT, "--problem", 0, "FILE", "solve a bitdial.problem/1 instead",
     AT(problem), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own, bd_cli_data, bd_cli_config, bd_cli_model, bd_cli_output,
    bd_cli_common, NULL,
};

/* ------------------------------------------------------------- the request */

enum { FRONT = 512 };

struct search {
    struct cli *c;
    struct bd_session *s;
    struct bd_search_opts o;
    struct bd_sens_table sens;
    enum bd_search_method ask[BD_SEARCHES];
    struct bd_search_result r[BD_SEARCHES + 1]; /* last: uniform */
    int n, best;  /* answers asked for; which is the answer */
    bool uniform; /* r[n] is the baseline */
    struct bd_front_point front[FRONT];
    size_t nfront;
};

static int row_of(const char *const *names, const char *word, size_t len)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == len && strncmp(names[i], word, len) == 0)
            return i;
    return -1;
}

static bd_status parse_methods(struct search *s, const char *text,
                               struct bd_err *err)
{
    char word[64], shown[96];

    for (const char *w = text; *w; w += strcspn(w, ",")) {
        w += *w == ',';
        size_t n = strcspn(w, ",");
        int row = row_of(bd_search_names, w, n);
        bool known = false;

        snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), w);
        if (row < 0) {
            const char *near = bd_nearest(word, bd_search_names);
            bd_text_show(shown, sizeof shown, word, 0);
            return bd_fail(err, BD_EINVALID,
                           near ? "--method '%s' is not known; did you mean "
                                  "'%s'?"
                                : "--method '%s' is not known; dp, uniform, "
                                  "greedy, lagrange, channel, measured and "
                                  "bottleneck are",
                           shown, near);
        }
        for (int k = 0; k < s->n; k++)
            known = known || s->ask[k] == (enum bd_search_method)row;
        if (!known)
            s->ask[s->n++] = (enum bd_search_method)row;
    }
    return BD_OK;
}

/* KIND=NUMBER; size=same and nothing at all mean the present size. */
static bd_status parse_budget(struct bd_search_opts *o, const char *text,
                              struct bd_err *err)
{
    const char *eq = text ? strchr(text, '=') : NULL;
    char shown[96];
    int row;

    o->budget = BD_BUDGET_SIZE;
    if (!text)
        return BD_OK;
    row = eq ? row_of(bd_budget_names, text, (size_t)(eq - text)) : -1;
    bd_text_show(shown, sizeof shown, text, 0);
    if (row < 0)
        return bd_fail(err, BD_EINVALID,
                       "--budget '%s': write KIND=NUMBER with one of "
                       "avg-bits, size, bops, psnr-min, psnr-loss, max-drop",
                       shown);
    o->budget = (enum bd_budget)row;
    if (row <= BD_BUDGET_BOPS && strcmp(eq + 1, "same") == 0)
        return BD_OK;
    if (!bd_parse_double(&o->target, eq + 1) || o->target < 0 ||
        (row <= BD_BUDGET_BOPS && o->target <= 0))
        return bd_fail(err, BD_EINVALID,
                       "--budget '%s': a number above 0 is needed%s", shown,
                       row <= BD_BUDGET_BOPS ? ", or 'same'" : "");
    return BD_OK;
}

/* "w", "a", "w,a" in any order. */
static bd_status parse_what(struct bd_search_opts *o, const char *text,
                            struct bd_err *err)
{
    unsigned what = 0;
    char shown[96];

    for (const char *w = text; w && *w;) {
        size_t n = strcspn(w, ",");
        unsigned one = n == 1 && *w == 'w'   ? BD_SENS_W
                       : n == 1 && *w == 'a' ? BD_SENS_A
                                             : 0;
        if (!one || (w[n] == ',' && !w[n + 1]))
            return bd_fail(err, BD_EINVALID,
                           "--what '%s': w (weights), a (inputs) or w,a",
                           bd_text_show(shown, sizeof shown, text, 0));
        what |= one;
        w += n + (w[n] == ',');
    }
    if (text && !what)
        return bd_fail(err, BD_EINVALID, "--what: w, a or w,a");
    o->what = (enum bd_sens_what)what;
    return BD_OK;
}

static bd_status parse(struct search *s, struct cli *c)
{
    struct cli_widths w = {0};
    bd_status st = parse_budget(&s->o, c->a.budget, &c->err);

    if (st == BD_OK)
        st = parse_what(&s->o, c->a.what, &c->err);
    if (st == BD_OK && !c->a.budget && s->o.what == BD_SENS_A)
        s->o.budget = BD_BUDGET_AVG_BITS; /* inputs have no size */
    if (st == BD_OK)
        st = parse_methods(s, c->a.method ? c->a.method : "dp", &c->err);
    if (st == BD_OK && c->a.bits && !bd_cli_widths(&w, c->a.bits, &c->err))
        st = c->err.code;
    if (st != BD_OK)
        return st;
    for (int k = 0; k < w.n; k++) {
        if (w.bits[k] > 16)
            return bd_fail(&c->err, BD_EINVALID,
                           "--bits '%s': a search takes widths from 1 to 16",
                           c->a.bits);
        s->o.bits[s->o.nbits++] = w.bits[k];
    }
    s->o.methods = c->a.methods;
    s->o.lock = c->a.lock[0] ? c->a.lock : NULL;
    s->o.tie = c->a.tie[0] ? c->a.tie : NULL;
    s->o.tie_outputs = c->a.tie_outputs;
    s->o.evaluations = (int)c->a.evaluations;
    for (int k = 0; k < s->n && st == BD_OK; k++) {
        s->o.method = s->ask[k];
        st = bd_search_check(&s->o, &c->err);
    }
    if (st != BD_OK)
        return st;
    return bd_cli_save_check(c);
}

/* ------------------------------------------------------------- the answers */

/* Accuracy of one answer: it becomes the session's configuration for a
 * moment. */
static bd_status measure(struct search *s, struct bd_search_result *r)
{
    struct cli *c = s->c;
    bd_status st = BD_OK;

    if (bd_session_why_no_accuracy(s->s) || r->acc.total > 0)
        return BD_OK;
    bd_cli_watch_task(&c->watch, r->name);
    st = bd_session_set_all(s->s, &r->cfg, r->name, &c->err);
    if (st == BD_OK)
        st = bd_session_now_eval(&r->acc, NULL, NULL, s->s, c->watch.ctl,
                                 &c->err);
    while (bd_session_undo(s->s))
        ;
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    return st;
}

static bd_status answer(struct search *s, struct bd_search_result *r,
                        enum bd_search_method how)
{
    struct cli *c = s->c;
    bd_status st;

    s->o.method = how;
    bd_cli_watch_task(&c->watch, "search");
    st = bd_session_now_search(r, s->s, &s->o, c->watch.ctl, &c->err);
    bd_cli_watch_task(&c->watch, NULL);
    bd_cli_watch_clear(&c->watch);
    if (st == BD_EUNSUPPORTED)
        c->status = 1; /* understood, not achieved */
    return st == BD_OK ? measure(s, r) : st;
}

/* By images answered rightly where that is known, else by loss. */
static bool better(const struct bd_search_result *a,
                   const struct bd_search_result *b)
{
    if (a->acc.total > 0 && a->acc.right1 != b->acc.right1)
        return a->acc.right1 > b->acc.right1;
    if (a->acc.total > 0 && a->acc.loss != b->acc.loss)
        return a->acc.loss < b->acc.loss;
    return a->loss < b->loss;
}

/* Planes are of inputs: sensitivities and baselines of weights are not of
 * their kind. */
static bool only_planes(const struct search *s)
{
    return s->n == 1 && s->ask[0] == BD_SEARCH_BOTTLENECK;
}

/* The baseline may not fit where the answers do; then there is none. */
static void baseline(struct search *s)
{
    struct bd_err err = s->c->err;
    int status = s->c->status;

    for (int k = 0; k < s->n; k++)
        if (s->ask[k] == BD_SEARCH_UNIFORM)
            return;
    if (s->o.budget > BD_BUDGET_BOPS || only_planes(s))
        return;
    s->uniform = answer(s, &s->r[s->n], BD_SEARCH_UNIFORM) == BD_OK;
    s->c->err = err;
    s->c->status = status;
}

/* Losses from a file; else a sweep of our own over some images; else the
 * session falls back to the error of the weights. */
enum { QUICK_IMAGES = 256 };
static bd_status find_losses(struct search *s, struct cli *c)
{
    struct bd_sweep_opts o = {.nbits = 5, .bits = {2, 3, 4, 5, 6},
                              .methods = "uniform:tensor:mse",
                              .images = QUICK_IMAGES};
    bd_status st = BD_OK;

    o.what = s->o.what == BD_SENS_A ? 1u << BD_SENS_A
             : s->o.what == BD_SENS_WA ||
                     (!s->o.what && s->o.budget == BD_BUDGET_BOPS)
                 ? 1u << BD_SENS_W | 1u << BD_SENS_A
                 : 0;
    if (c->a.sensitivity) {
        st = bd_cli_read_sens(&s->sens, c, s->s);
    } else if (!bd_session_why_no_accuracy(s->s) && !only_planes(s)) {
        bd_cli_watch_task(&c->watch, "sensitivities");
        st = bd_session_now_sweep(&s->sens, s->s, &o, c->watch.ctl, &c->err);
        bd_cli_watch_task(&c->watch, NULL);
        bd_cli_watch_clear(&c->watch);
        if (st == BD_OK)
            bd_cli_note("losses from a quick sweep of %lld images; bitdial "
                        "sweep measures more, --sensitivity reads it",
                        (long long)s->sens.images);
    }
    if (s->sens.n > 0)
        s->o.sens = &s->sens;
    return st;
}

/* Names nothing has are refused before anything is measured.  A tie with no
 * '=' is the session's to refuse. */
static bd_status known_layers(const struct search *s, struct cli *c)
{
    const struct bd_model *m = bd_session_model(s->s);
    bd_status st = BD_OK;

    for (const char *const *g = c->a.lock; *g && st == BD_OK; g++)
        st = bd_config_matches(m, *g, &c->err);
    for (const char *const *g = c->a.tie; *g && st == BD_OK; g++) {
        char left[300];
        size_t n = strcspn(*g, "=");

        if (!(*g)[n] || n >= sizeof left)
            continue;
        memcpy(left, *g, n);
        left[n] = '\0';
        st = bd_config_matches(m, left, &c->err);
        if (st == BD_OK)
            st = bd_config_matches(m, *g + n + 1, &c->err);
    }
    return st;
}

static bd_status compute(struct search *s, struct cli *c)
{
    bd_status st = known_layers(s, c);

    if (st == BD_OK)
        st = find_losses(s, c);

    for (int k = 0; k < s->n && st == BD_OK; k++) {
        st = answer(s, &s->r[k], s->ask[k]);
        if (st == BD_OK && k > 0 && better(&s->r[k], &s->r[s->best]))
            s->best = k;
    }
    if (st == BD_ECANCELLED && !c->err.msg[0])
        bd_fail(&c->err, st, "stopped");
    if (st != BD_OK)
        return st;
    baseline(s);
    s->nfront = bd_session_search_front(s->s, s->front, FRONT);
    return bd_session_set_all(s->s, &s->r[s->best].cfg, "search", &c->err);
}

/* ---------------------------------------------------------------- saying */

static const char *const what_names[] = {
    [BD_SENS_W] = "w", [BD_SENS_A] = "a", [BD_SENS_WA] = "w,a"};

static void json_config(struct bd_json *j, const struct search *s,
                        const struct bd_search_result *r)
{
    struct bd_config_doc doc = {
        .cfg = &r->cfg,
        .metrics = {r->size.avg_bits_w, r->acc.total ? r->acc.top1 : NAN,
                    (r->size.size_bits + 7) / 8,
                    r->acc.total ? r->acc.images : -1}};
    struct bd_str text = {0};

    if (bd_config_write(&text, bd_session_model(s->s), &doc, NULL) == BD_OK)
        bd_json_raw(j, "config", text.s);
    bd_str_done(&text);
}

static void json_answer(struct bd_json *j, const struct bd_search_result *r)
{
    bd_json_f64(j, "objective", r->loss);
    bd_json_f64(j, "cost", r->cost);
    bd_json_f64(j, "budget", r->budget);
    bd_json_f64(j, "bound", r->bound);
    bd_json_bool(j, "optimal", r->optimal);
    bd_json_f64(j, "avg_bits_w", r->size.avg_bits_w);
    bd_json_int(j, "size_bytes", (r->size.size_bits + 7) / 8);
    bd_json_f64(j, "avg_bits_a", r->size.avg_bits_a);
    bd_json_f64(j, "bops", r->size.bops);
    if (r->acc.total == 0)
        return;
    bd_json_f64(j, "top1", r->acc.top1);
    bd_json_int(j, "images", r->acc.images);
    if (r->evaluations)
        bd_json_int(j, "evaluations", r->evaluations);
}

static int out_json(struct cli *c, const struct search *s)
{
    const struct bd_search_result *best = &s->r[s->best];
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.search/1");
    json_config(&j, s, best);
    bd_json_str(&j, "method", bd_search_names[s->ask[s->best]]);
    bd_json_str(&j, "budget_kind", bd_budget_names[s->o.budget]);
    bd_json_str(&j, "what", what_names[best->what]);
    bd_json_str(&j, "losses", best->source);
    json_answer(&j, best);
    bd_json_arr(&j, "front");
    for (size_t k = 0; k < s->nfront && k < FRONT; k++) {
        bd_json_obj(&j, NULL);
        bd_json_f64(&j, "cost", s->front[k].cost);
        bd_json_f64(&j, "loss", s->front[k].loss);
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    bd_json_arr(&j, "baselines");
    for (int k = 0; k < s->n + s->uniform; k++) {
        if (k == s->best)
            continue;
        bd_json_obj(&j, NULL);
        bd_json_str(&j, "name", s->r[k].name);
        json_answer(&j, &s->r[k]);
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* Weights, and the input where it is another. */
static void put_after(struct cli_table *t, const struct bd_tensorcfg *was,
                      const struct bd_layercfg *to)
{
    char w[96], a[96] = "";

    if (!bd_tensorcfg_same(was, &to->a))
        bd_tensorcfg_text(a, sizeof a, &to->a);
    bd_cli_table_put(t, "%s%s%s%s", bd_tensorcfg_text(w, sizeof w, &to->w),
                     to->w.channel ? " (per channel)" : "",
                     a[0] ? ", input " : "", a);
}

static void text_layers(struct bd_str *out, const struct search *s)
{
    static const char *const head[] = {"<layer", "weights", "<before",
                                       "<after", NULL};
    const struct bd_model *m = bd_session_model(s->s);
    const struct bd_bitcfg *cfg = &s->r[s->best].cfg;
    struct cli_table t;
    char text[96];

    bd_cli_table_head(&t, head);
    bd_session_undo(s->s); /* what was there before */
    for (size_t k = 0; k < m->nlayers; k++) {
        const struct bd_tensor *w = &m->value[m->layer[k].weight].t;
        const struct bd_layercfg *was = &bd_session_cfg(s->s)->layer[k];

        bd_cli_table_name(&t, m->layer[k].name, 30);
        bd_cli_table_put(&t, "%lld", (long long)bd_tensor_count(w));
        bd_cli_table_put(&t, "%s",
                         bd_tensorcfg_text(text, sizeof text, &was->w));
        put_after(&t, &was->a, &cfg->layer[k]);
    }
    bd_session_redo(s->s);
    bd_cli_table_out(out, &t);
}

static void text_answers(struct bd_str *out, const struct search *s)
{
    static const char *const all[] = {
        "<answer", "b/weight", "bytes", "b/input", "BOPs", "loss", "top-1",
        "<", NULL};
    static const char *const stored[] = {"<answer", "b/weight", "bytes",
                                         "loss", "top-1", "<", NULL};
    bool inputs = s->r[s->best].what & BD_SENS_A ||
                  s->o.budget == BD_BUDGET_BOPS;
    struct cli_table t;

    bd_cli_table_head(&t, inputs ? all : stored);
    for (int k = 0; k < s->n + s->uniform; k++) {
        const struct bd_search_result *r = &s->r[k];

        bd_cli_table_put(&t, "%s", r->name);
        bd_cli_table_put(&t, "%.4f", r->size.avg_bits_w);
        bd_cli_table_put(&t, "%lld", (long long)((r->size.size_bits + 7) / 8));
        if (inputs) {
            bd_cli_table_put(&t, "%.4f", r->size.avg_bits_a);
            bd_cli_table_put(&t, "%.4g", r->size.bops);
        }
        bd_cli_table_put(&t, "%.5g", r->loss);
        if (r->acc.total > 0)
            bd_cli_table_put(&t, "%.2f %%", 100 * r->acc.top1);
        else
            bd_cli_table_put(&t, "-");
        bd_cli_table_put(&t, "%s%s", k == s->best ? "taken" : "",
                         r->optimal ? k == s->best ? ", optimal" : "optimal"
                                    : "");
    }
    bd_cli_table_out(out, &t);
}

static int out_text(struct cli *c, const struct search *s)
{
    const struct bd_search_result *best = &s->r[s->best];
    struct bd_str text = {0};

    text_layers(&text, s);
    bd_str_puts(&text, "\n");
    text_answers(&text, s);
    bool inputs = best->what == BD_SENS_A &&
                  s->o.budget == BD_BUDGET_AVG_BITS;

    bd_str_printf(&text, "\nbudget %s%s %.9g, spent %.9g%s; losses: %s\n",
                  bd_budget_names[s->o.budget], inputs ? " of inputs" : "",
                  best->budget, best->cost,
                  best->what == BD_SENS_WA ? ", chosen: weights and inputs"
                                           : "", best->source);
    return bd_cli_text_out(c, &text);
}

static int finish(struct cli *c, const struct search *s)
{
    bd_status st = BD_OK;

    if (c->a.output) {
        st = bd_session_export(s->s, c->a.output, c->a.force, &c->err);
        if (st == BD_EIO)
            c->status = 1;
        if (st != BD_OK) {
            bd_err_file(&c->err, c->a.output);
            return bd_cli_fail(c);
        }
    }
    return c->a.json ? out_json(c, s) : out_text(c, s);
}

/* A measured search that was stopped has an answer, its best so far, and
 * still says that it was stopped. */
static int answered(struct cli *c, struct search *s)
{
    int rc = finish(c, s), signal = atomic_load(&c->watch.signal);

    bd_cli_say_log(s->s, SIZE_MAX);
    if (rc != 0 || signal == 0)
        return rc;
    bd_cli_note("stopped; this is the best so far");
    return 128 + signal;
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    struct search s = {.c = c};
    int rc;

    if (c->a.problem)
        return bd_cli_search_problem(c);
    if (c->a.nfile == 0) {
        bd_fail(&c->err, BD_EINVALID, "usage: bitdial %s", c->verb->usage);
        return bd_cli_fail(c);
    }
    if (parse(&s, c) == BD_OK && bd_cli_session(&s.s, c, &o) == BD_OK &&
        compute(&s, c) == BD_OK)
        rc = answered(c, &s);
    else
        rc = bd_cli_fail(c);
    for (int k = 0; k <= BD_SEARCHES; k++)
        bd_search_result_done(&s.r[k]);
    bd_sens_done(&s.sens);
    bd_session_close(s.s);
    return rc;
}

const struct cli_verb bd_verb_search = {
    .name = "search",
    .summary = "Which layer gets how many bits, under a budget.",
    .example = "bitdial search resnet20.onnx --budget avg-bits=3.5 "
               "-o bits.json",
    .usage = "search MODEL [--budget KIND=N] [OPTIONS] | search --problem "
             "FILE",
    .options = options,
    .min_files = 0,
    .max_files = 1,
    .run = run,
};
