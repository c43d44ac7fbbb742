/* info: what is in the file.  Uses the loader and the planner alone, so it
 * also serves files that no session would accept: weights without a graph,
 * operators we do not have. */
#include "cli/cli_priv.h"

#include <math.h>
#include <string.h>

struct info {
    struct bd_model *m;
    struct bd_plan *plan;  /* NULL: no graph, or it cannot be planned */
    struct bd_err why;     /* then: the sentence */
    struct bd_str missing; /* operators we lack, space-separated */
};

static const struct cli_option *const options[] = {
    bd_cli_model,
    bd_cli_common,
    NULL,
};

/* The architecture named on the command line, else in the sidecar. */
static bd_status load(struct info *f, const struct cli_args *a,
                      struct bd_err *err)
{
    struct bd_arena arena = {0};
    struct bd_sidecar side = {0};
    const char *arch = a->arch;
    bd_status st = BD_OK;

    if (!arch)
        st = bd_sidecar_load(&side, &arena, a->file[0], err);
    if (st == BD_OK)
        st = bd_model_load(&f->m, a->file[0], arch ? arch : side.arch, err);
    bd_arena_done(&arena);
    if (st != BD_OK)
        return bd_err_file(err, a->file[0]);
    bd_graph_unsupported(&f->missing, f->m);
    if (f->m->nnodes > 0)
        (void)bd_plan_new(&f->plan, f->m, &(struct bd_plan_opts){0}, &f->why);
    return BD_OK;
}

/* All of them take NULL. */
static void unload(struct info *f)
{
    bd_str_done(&f->missing);
    bd_plan_free(f->plan);
    bd_model_free(f->m);
}

/* The best known shape: planned if possible, else declared. */
static const struct bd_tensor *shape_of(const struct info *f, int value)
{
    const struct bd_tensor *t = NULL;

    if (f->plan)
        t = bd_plan_value(f->plan, value);
    return t && t->rank >= 0 ? t : &f->m->value[value].t;
}

/* Values between nodes need not declare their type; the plan knows it. */
static const char *dtype_of(const struct info *f, int value)
{
    enum bd_dtype type = f->m->value[value].t.type;

    if (type == BD_UNDEFINED && f->plan)
        type = bd_plan_value(f->plan, value)->type;
    return bd_dtype_name(type);
}

struct row { /* one layer, gathered */
    const struct bd_layer *l;
    const struct bd_node *node; /* NULL without a graph */
    const struct bd_tensor *w;
    const char *op;
    struct bd_stats st;
    int64_t params, macs; /* -1 = not known */
};

/* Statistics leave out what is not finite and count it instead. */
static struct row row_of(const struct info *f, size_t i)
{
    struct row r = {.l = &f->m->layer[i], .macs = -1};
    int64_t bias = 0;

    r.w = &f->m->value[r.l->weight].t;
    if (r.l->node >= 0 && (size_t)r.l->node < f->m->nnodes)
        r.node = &f->m->node[r.l->node];
    r.op = r.node ? r.node->op : "";
    if (r.l->bias >= 0)
        bias = bd_tensor_count(&f->m->value[r.l->bias].t);
    r.params = bd_tensor_count(r.w) + (bias > 0 ? bias : 0);
    bd_stats_of(&r.st, r.w->f, (size_t)bd_tensor_count(r.w));
    if (f->plan && r.node)
        r.macs = bd_plan_macs(f->plan, r.l->node);
    return r;
}

/* -1 when the network cannot be planned. */
static int64_t total_macs(const struct info *f)
{
    int64_t sum = 0;

    for (size_t i = 0; f->plan && i < f->m->nnodes; i++) {
        int64_t n = bd_plan_macs(f->plan, (int)i);

        sum += n > 0 ? n : 0;
    }
    return f->plan ? sum : -1;
}

static double mib(int64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

/* --------------------------------------------------------------- as JSON */

void bd_cli_json_shape(struct bd_json *j, const char *key,
                       const struct bd_tensor *t)
{
    if (!t || t->rank < 0) {
        bd_json_null(j, key);
        return;
    }
    bd_json_arr_inline(j, key);
    for (int k = 0; k < t->rank; k++) {
        if (t->dim[k] < 0)
            bd_json_null(j, NULL);
        else
            bd_json_int(j, NULL, t->dim[k]);
    }
    bd_json_arr_end(j);
}

static void json_int_or_null(struct bd_json *j, const char *key, int64_t v)
{
    if (v < 0)
        bd_json_null(j, key);
    else
        bd_json_int(j, key, v);
}

static void json_value(struct bd_json *j, const struct info *f,
                       const char *keys[2], int value)
{
    if (value < 0) {
        bd_json_null(j, keys[0]);
        bd_json_null(j, keys[1]);
        return;
    }
    bd_cli_json_shape(j, keys[0], shape_of(f, value));
    bd_json_str(j, keys[1], f->m->value[value].name);
}

static void json_layer(struct bd_json *j, const struct info *f, size_t i)
{
    struct row r = row_of(f, i);
    const char *in[] = {"input", "input_name"};
    const char *out[] = {"output", "output_name"};

    bd_json_obj(j, NULL);
    bd_json_str(j, "name", r.l->name);
    bd_json_str(j, "op", r.op);
    bd_json_str(j, "weight", f->m->value[r.l->weight].name);
    bd_cli_json_shape(j, "shape", r.w);
    bd_json_int(j, "params", r.params);
    json_int_or_null(j, "macs", r.macs);
    bd_json_int(j, "channels", r.w->rank > r.l->axis ? r.w->dim[r.l->axis] : 1);
    json_value(j, f, in, r.l->input);
    json_value(j, f, out, r.node && r.node->nout > 0 ? r.node->out[0] : -1);
    bd_json_int(j, "group", r.l->group);
    bd_json_f32(j, "min", r.st.min);
    bd_json_f32(j, "max", r.st.max);
    bd_json_f64(j, "mean", r.st.mean);
    bd_json_f64(j, "std", r.st.std);
    bd_json_int(j, "zeros", r.st.zeros);
    bd_json_int(j, "nonfinite", r.st.nan + r.st.inf);
    bd_json_f32(j, "learned_w", r.l->learned_w); /* null when there is none */
    bd_json_f32(j, "learned_a", r.l->learned_a);
    bd_json_obj_end(j);
}

static void json_values(struct bd_json *j, const struct info *f,
                        const char *key, const int *value, size_t n)
{
    bd_json_arr(j, key);
    for (size_t i = 0; i < n; i++) {
        const struct bd_value *v = &f->m->value[value[i]];

        bd_json_obj(j, NULL);
        bd_json_str(j, "name", v->name);
        bd_json_str(j, "dtype", dtype_of(f, value[i]));
        bd_cli_json_shape(j, "shape",
                          v->t.rank >= 0 ? &v->t : shape_of(f, value[i]));
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

/* Words between blanks as a list of texts. */
static void json_words(struct bd_json *j, const char *key, const char *words)
{
    char word[256];

    bd_json_arr(j, key);
    while (words && *words) {
        size_t n = strcspn(words, " ");

        if (n > 0 && n < sizeof word) {
            memcpy(word, words, n);
            word[n] = '\0';
            bd_json_str(j, NULL, word);
        }
        words += n + (words[n] == ' ');
    }
    bd_json_arr_end(j);
}

static void json_warnings(struct bd_json *j, const struct info *f)
{
    bd_json_arr(j, "warnings");
    for (size_t i = 0; i < f->m->nwarnings; i++)
        bd_json_str(j, NULL, f->m->warning[i]);
    if (f->why.msg[0])
        bd_json_str(j, NULL, f->why.msg);
    bd_json_arr_end(j);
}

static int out_json(struct cli *c, const struct info *f)
{
    const struct bd_model *m = f->m;
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.info/1");
    bd_json_str(&j, "file", m->path ? m->path : c->a.file[0]);
    bd_json_str(&j, "format", m->format);
    bd_json_str(&j, "arch", m->arch ? m->arch : "");
    bd_json_int(&j, "file_size", (int64_t)m->file_size);
    json_int_or_null(&j, "opset", m->opset > 0 ? m->opset : -1);
    bd_json_int(&j, "params", m->params);
    json_int_or_null(&j, "macs", total_macs(f));
    json_values(&j, f, "inputs", m->input, m->ninputs);
    json_values(&j, f, "outputs", m->output, m->noutputs);
    bd_json_arr(&j, "layers");
    for (size_t i = 0; i < m->nlayers; i++)
        json_layer(&j, f, i);
    bd_json_arr_end(&j);
    json_words(&j, "unsupported", f->missing.s);
    json_warnings(&j, f);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* ------------------------------------------------------------ as a table */

static void text_values(struct bd_str *s, const struct info *f,
                        const char *what, const int *value, size_t n)
{
    char name[96], shape[128];

    for (size_t i = 0; i < n; i++) {
        const struct bd_value *v = &f->m->value[value[i]];

        bd_text_show(name, sizeof name, v->name, 40);
        bd_shape_text(shape, sizeof shape, shape_of(f, value[i]));
        bd_str_printf(s, "%-8s %s  %s %s\n", what, name, shape,
                      dtype_of(f, value[i]));
    }
}

/* A dash for layers that learned no clip. */
static void clip_cell(struct cli_table *t, float clip)
{
    if (isnan(clip))
        bd_cli_table_put(t, "-");
    else
        bd_cli_table_put(t, "%.4g", (double)clip);
}

/* The two columns appear only for checkpoints that learned their clips. */
static bool any_learned(const struct bd_model *m)
{
    for (size_t i = 0; i < m->nlayers; i++) {
        if (!isnan(m->layer[i].learned_w) || !isnan(m->layer[i].learned_a))
            return true;
    }
    return false;
}

static void text_layer(struct cli_table *t, const struct info *f, size_t i,
                       bool learned)
{
    struct row r = row_of(f, i);
    char shape[128];

    bd_cli_table_name(t, r.l->name, 40);
    bd_cli_table_put(t, "%s", r.op);
    bd_cli_table_put(t, "%s", bd_shape_text(shape, sizeof shape, r.w));
    bd_cli_table_put(t, "%lld", (long long)r.params);
    if (r.macs >= 0)
        bd_cli_table_put(t, "%.3f", (double)r.macs / 1e6);
    else
        bd_cli_table_put(t, "-");
    bd_cli_table_put(t, "%.4g", (double)r.st.min);
    bd_cli_table_put(t, "%.4g", (double)r.st.max);
    bd_cli_table_put(t, "%.4g", r.st.std);
    bd_cli_table_put(t, "%.1f",
                     r.st.finite > 0
                         ? 100.0 * (double)r.st.zeros / (double)r.st.finite
                         : 0.0);
    if (learned) {
        clip_cell(t, r.l->learned_w);
        clip_cell(t, r.l->learned_a);
    }
}

static void text_layers(struct bd_str *s, const struct info *f)
{
    static const char *const plain[] = {"<layer",  "<op", "<shape", "params",
                                        "MMACs",   "min", "max",    "std",
                                        "zeros %", NULL};
    static const char *const clips[] = {"<layer",  "<op",    "<shape", "params",
                                        "MMACs",   "min",    "max",    "std",
                                        "zeros %", "clip w", "clip a", NULL};
    bool learned = any_learned(f->m);
    struct cli_table t;

    bd_str_puts(s, "\n");
    bd_cli_table_head(&t, learned ? clips : plain);
    for (size_t i = 0; i < f->m->nlayers; i++)
        text_layer(&t, f, i, learned);
    bd_cli_table_out(s, &t);
}

static int out_text(struct cli *c, const struct info *f)
{
    const struct bd_model *m = f->m;
    struct bd_str s = {0};
    int64_t macs = total_macs(f);

    bd_str_printf(&s, "%s%s%s", m->format, m->arch && m->arch[0] ? ", " : "",
                  m->arch ? m->arch : "");
    if (m->opset > 0)
        bd_str_printf(&s, ", opset %lld", (long long)m->opset);
    bd_str_printf(&s, ", %zu layers, %lld parameters, %.2f MiB", m->nlayers,
                  (long long)m->params, mib((int64_t)m->file_size));
    if (macs >= 0)
        bd_str_printf(&s, ", %.2f MMACs per image", (double)macs / 1e6);
    bd_str_puts(&s, "\n");
    text_values(&s, f, "input", m->input, m->ninputs);
    text_values(&s, f, "output", m->output, m->noutputs);
    if (m->nlayers > 0)
        text_layers(&s, f);
    return bd_cli_text_out(c, &s);
}

/* On standard error, after the table: it is talk, not data. */
static void warn(const struct info *f)
{
    for (size_t i = 0; i < f->m->nwarnings; i++)
        bd_cli_note("%s", f->m->warning[i]);
    if (f->why.msg[0])
        bd_cli_note("%s", f->why.msg);
    else if (f->missing.s && f->missing.n > 0)
        bd_cli_note("operators this program does not have: %s", f->missing.s);
}

static int run(struct cli *c)
{
    struct info f = {0};
    int rc;

    if (load(&f, &c->a, &c->err) != BD_OK) {
        unload(&f);
        return bd_cli_fail(c);
    }
    rc = c->a.json ? out_json(c, &f) : out_text(c, &f);
    if (!c->a.json)
        warn(&f);
    unload(&f);
    return rc;
}

const struct cli_verb bd_verb_info = {
    .name = "info",
    .summary = "What is in the file: layers, shapes, ranges, learned clips.",
    .example = "bitdial info resnet20.onnx",
    .usage = "info MODEL [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
