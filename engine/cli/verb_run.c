/* run: one inference on tensors from files, and the comparison with what
 * should come out.  This is what conformance suites need: no data set, no
 * quantization, every dtype as stored.  The inputs are bound while planning,
 * so networks whose shapes depend on input values work too. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--inputs", 'i', "DIR", "folder of input_0.pb or input_0.npy, "
     "...", AT(inputs), 0, 0},
    {CLI_TEXT, "--expect", 'e', "DIR", "compare with output_0.pb or .npy, ...",
     AT(expect), 0, 0},
    {CLI_REAL, "--rtol", 0, "R", "relative tolerance (default 1e-3)",
     AT(rtol), 0, 0},
    {CLI_REAL, "--atol", 0, "A", "absolute tolerance (default 1e-7)",
     AT(atol), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own, bd_cli_model, bd_cli_output, bd_cli_common, NULL,
};

struct verdict {
    double max_abs, max_rel;
    bool compared, equal;
};

struct run {
    struct cli *c;
    struct bd_model *m;
    struct bd_plan *plan;
    struct bd_exec *exec;
    struct bd_arena arena;
    struct bd_bound *bound;
    size_t nbound;
    struct verdict *verdict; /* [noutputs] */
    double rtol, atol, ms;
};

/* DIR/STEM_K.pb or .npy, whichever exists; false if neither. */
static bool find_tensor(char *out, size_t cap, const char *dir,
                        const char *stem, size_t k)
{
    static const char *const ends[] = {"pb", "npy"};

    for (size_t e = 0; e < 2; e++) {
        int n = snprintf(out, cap, "%s/%s_%zu.%s", dir, stem, k, ends[e]);

        if (n > 0 && (size_t)n < cap && bd_file_exists(out))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- inputs */

/* Real against whole numbers; widths within a kind convert without loss. */
static bool same_kind(enum bd_dtype a, enum bd_dtype b)
{
    return bd_dtype_is_real(a) == bd_dtype_is_real(b);
}

/* Open dimensions of the network take any extent. */
static bd_status check_input(const struct bd_value *v,
                             const struct bd_tensor *t, struct bd_err *err)
{
    char name[96], want[128], have[128];
    bool fits = v->t.rank < 0 || v->t.rank == t->rank;

    bd_text_show(name, sizeof name, v->name, 0);
    if (v->t.type != BD_UNDEFINED && !same_kind(v->t.type, t->type))
        return bd_fail(err, BD_EINVALID,
                       "input '%s' takes %s, the file holds %s", name,
                       bd_dtype_name(v->t.type), bd_dtype_name(t->type));
    for (int k = 0; fits && k < v->t.rank; k++)
        fits = v->t.dim[k] < 0 || v->t.dim[k] == t->dim[k];
    if (!fits)
        return bd_fail(err, BD_EINVALID,
                       "input '%s' takes %s, the file holds %s", name,
                       bd_shape_text(want, sizeof want, &v->t),
                       bd_shape_text(have, sizeof have, t));
    return BD_OK;
}

/* Input k of the network from file number k. */
static bd_status bind(struct run *r, size_t k, struct bd_err *err)
{
    const struct bd_value *v = &r->m->value[r->m->input[k]];
    struct bd_bound *b = &r->bound[k];
    char path[1024], name[96];
    bd_status st;

    if (!find_tensor(path, sizeof path, r->c->a.inputs, "input", k)) {
        bd_fail(err, BD_EINVALID, "no input_%zu.pb or input_%zu.npy for '%s'",
                k, k, bd_text_show(name, sizeof name, v->name, 0));
        return bd_err_file(err, r->c->a.inputs);
    }
    b->value = r->m->input[k];
    st = bd_tensor_load(&b->t, &r->arena, path, err);
    if (st == BD_OK)
        st = check_input(v, &b->t, err);
    if (st == BD_OK)
        r->nbound++;
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

/* The names of operators we lack say more than the first failing node. */
static bd_status prepare(struct run *r, struct bd_err *err)
{
    const struct cli_args *a = &r->c->a;
    struct bd_plan_opts o = {0};
    bd_status st;

    st = bd_model_load(&r->m, a->file[0], a->arch, err);
    if (st != BD_OK)
        return bd_err_file(err, a->file[0]);
    if (r->m->nnodes == 0 && r->m->noutputs == 0)
        return bd_fail(err, BD_EINVALID,
                       "weights without a graph cannot be run; --arch NAME "
                       "supplies one");
    r->bound = bd_arena_alloc(&r->arena, r->m->ninputs, sizeof *r->bound);
    r->verdict = bd_arena_alloc(&r->arena, r->m->noutputs, sizeof *r->verdict);
    if (!r->bound || !r->verdict)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t k = 0; k < r->m->ninputs && st == BD_OK; k++)
        st = bind(r, k, err);
    if (st != BD_OK)
        return st;
    o.bound = r->bound;
    o.nbound = r->nbound;
    st = bd_plan_new(&r->plan, r->m, &o, err);
    if (st == BD_OK)
        st = bd_exec_new(&r->exec, r->plan, err);
    return st == BD_OK ? BD_OK : bd_err_file(err, a->file[0]);
}

/* ------------------------------------------------------------- comparing */

/* Output k as the executor left it. */
static const struct bd_tensor *result(const struct run *r, size_t k)
{
    return bd_exec_value(r->exec, r->m->output[k]);
}

static double at(const struct bd_tensor *t, int64_t i)
{
    return t->f ? (double)t->f[i] : (double)t->i[i];
}

static bool same_shape(const struct bd_tensor *a, const struct bd_tensor *b)
{
    if (a->rank != b->rank)
        return false;
    for (int k = 0; k < a->rank; k++) {
        if (a->dim[k] != b->dim[k])
            return false;
    }
    return true;
}

/* |a - b| <= atol + rtol |b|, with equal infinities and NaN to NaN. */
static void compare_one(struct verdict *v, double a, double b,
                        const struct run *r)
{
    double d = fabs(a - b);

    if ((isnan(a) && isnan(b)) || a == b)
        return;
    if (isnan(d) || isinf(d)) {
        v->equal = false;
        v->max_abs = v->max_rel = INFINITY;
        return;
    }
    v->max_abs = d > v->max_abs ? d : v->max_abs;
    if (b != 0.0 && d / fabs(b) > v->max_rel)
        v->max_rel = d / fabs(b);
    if (d > r->atol + r->rtol * fabs(b))
        v->equal = false;
}

/* Shape and type must agree before values are looked at. */
static void compare(struct verdict *v, const struct bd_tensor *got,
                    const struct bd_tensor *want, const struct run *r)
{
    int64_t n = bd_tensor_count(want);

    *v = (struct verdict){.compared = true, .equal = true};
    if (!same_shape(got, want) || got->type != want->type ||
        (n > 0 && (!(got->f || got->i) || !(want->f || want->i)))) {
        v->equal = false;
        v->max_abs = v->max_rel = NAN;
        return;
    }
    for (int64_t i = 0; i < n; i++)
        compare_one(v, at(got, i), at(want, i), r);
}

static bd_status compare_all(struct run *r, struct bd_err *err)
{
    const char *dir = r->c->a.expect;
    char path[1024];
    bd_status st = BD_OK;

    for (size_t k = 0; k < r->m->noutputs && st == BD_OK; k++) {
        struct bd_tensor want;

        if (!find_tensor(path, sizeof path, dir, "output", k)) {
            bd_fail(err, BD_EINVALID, "no output_%zu.pb or output_%zu.npy", k,
                    k);
            return bd_err_file(err, dir);
        }
        st = bd_tensor_load(&want, &r->arena, path, err);
        if (st == BD_OK)
            compare(&r->verdict[k], result(r, k), &want, r);
        else
            bd_err_file(err, path);
    }
    return st;
}

/* --------------------------------------------------------------- writing */

/* Version 1 header, padded so that the values start at a multiple of 64. */
static void npy_header(struct bd_str *s, const struct bd_tensor *t)
{
    char dims[512] = "", head[1024];
    size_t used = 0;
    int n;

    for (int k = 0; k < t->rank; k++)
        used += (size_t)snprintf(dims + used, sizeof dims - used, "%lld,",
                                 (long long)t->dim[k]);
    n = snprintf(head, sizeof head,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                 t->f ? "<f4" : "<i8", dims);
    while ((10 + n + 1) % 64 != 0)
        head[n++] = ' ';
    head[n++] = '\n';
    bd_str_put(s, "\x93NUMPY\1\0", 8);
    bd_str_put(s, (char[]){(char)(n & 0xff), (char)(n >> 8)}, 2);
    bd_str_put(s, head, (size_t)n);
}

/* As .npy: float32 for real results, int64 for whole numbers. */
static bd_status write_one(struct run *r, size_t k, struct bd_err *err)
{
    const struct bd_tensor *t = result(r, k);
    size_t n = (size_t)bd_tensor_count(t);
    struct bd_str s = {0};
    char path[1024];
    bd_status st;

    npy_header(&s, t);
    if (t->f)
        bd_str_put(&s, (const char *)t->f, n * sizeof *t->f);
    else if (t->i)
        bd_str_put(&s, (const char *)t->i, n * sizeof *t->i);
    snprintf(path, sizeof path, "%s/output_%zu.npy", r->c->a.output, k);
    if (s.failed)
        st = bd_fail(err, BD_ENOMEM, "out of memory for an output");
    else
        st = bd_save(path, s.s, s.n, r->c->a.force, err);
    bd_str_done(&s);
    if (st != BD_OK)
        r->c->status = 1;
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

static bd_status write_all(struct run *r, struct bd_err *err)
{
    bd_status st = BD_OK;

    if (!bd_is_dir(r->c->a.output)) {
        bd_fail(err, BD_EINVALID, "is no folder; -o takes one that exists");
        return bd_err_file(err, r->c->a.output);
    }
    for (size_t k = 0; k < r->m->noutputs && st == BD_OK; k++)
        st = write_one(r, k, err);
    return st;
}

/* ---------------------------------------------------------------- saying */

static int out_json(struct run *r)
{
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.run/1");
    bd_json_arr(&j, "outputs");
    for (size_t k = 0; k < r->m->noutputs; k++) {
        const struct verdict *v = &r->verdict[k];

        bd_json_obj(&j, NULL);
        bd_json_str(&j, "name", r->m->value[r->m->output[k]].name);
        bd_json_str(&j, "dtype", bd_dtype_name(result(r, k)->type));
        bd_cli_json_shape(&j, "shape", result(r, k));
        bd_json_f64(&j, "max_abs_err", v->compared ? v->max_abs : NAN);
        bd_json_f64(&j, "max_rel_err", v->compared ? v->max_rel : NAN);
        if (v->compared)
            bd_json_bool(&j, "equal", v->equal);
        else
            bd_json_null(&j, "equal");
        bd_json_obj_end(&j);
    }
    bd_json_arr_end(&j);
    bd_json_f64(&j, "ms", r->ms);
    bd_json_obj_end(&j);
    return bd_cli_json_out(r->c, &j);
}

static int out_text(struct run *r)
{
    static const char *const head[] = {"<output",     "<dtype",      "<shape",
                                       "max abs err", "max rel err", "<verdict",
                                       NULL};
    struct cli_table t;
    struct bd_str s = {0};
    char shape[128];

    bd_cli_table_head(&t, head);
    for (size_t k = 0; k < r->m->noutputs; k++) {
        const struct verdict *v = &r->verdict[k];
        const struct bd_tensor *o = result(r, k);

        bd_cli_table_name(&t, r->m->value[r->m->output[k]].name, 40);
        bd_cli_table_put(&t, "%s", bd_dtype_name(o->type));
        bd_cli_table_put(&t, "%s", bd_shape_text(shape, sizeof shape, o));
        if (v->compared) {
            bd_cli_table_put(&t, "%.3g", v->max_abs);
            bd_cli_table_put(&t, "%.3g", v->max_rel);
        } else {
            bd_cli_table_put(&t, "-");
            bd_cli_table_put(&t, "-");
        }
        bd_cli_table_put(&t, "%s",
                         !v->compared ? "-"
                         : v->equal   ? "equal"
                                      : "different");
    }
    bd_cli_table_out(&s, &t);
    bd_str_printf(&s, "%.2f ms\n", r->ms);
    return bd_cli_text_out(r->c, &s);
}

static bd_status execute(struct run *r)
{
    struct bd_err *err = &r->c->err;
    struct bd_exec_run once = {0};
    bd_status st = prepare(r, err);
    int64_t start = bd_now_ns();

    if (st != BD_OK)
        return st;
    st = bd_exec_run(r->exec, &once, err);
    r->ms = (double)(bd_now_ns() - start) / 1e6;
    if (st != BD_OK)
        return bd_err_file(err, r->c->a.file[0]);
    if (r->c->a.expect)
        st = compare_all(r, err);
    if (st == BD_OK && r->c->a.output)
        st = write_all(r, err);
    return st;
}

/* 1 when anything differs, whatever way the result was printed. */
static int finish(struct run *r)
{
    int rc = r->c->a.json ? out_json(r) : out_text(r);

    for (size_t k = 0; k < r->m->noutputs && rc == 0; k++) {
        if (r->verdict[k].compared && !r->verdict[k].equal)
            rc = 1;
    }
    return rc;
}

static int run(struct cli *c)
{
    struct run r = {.c = c, .rtol = c->a.rtol, .atol = c->a.atol};
    int rc;

    if (!c->a.inputs) {
        bd_fail(&c->err, BD_EINVALID, "usage: bitdial %s", bd_verb_run.usage);
        return bd_cli_fail(c);
    }
    rc = execute(&r) == BD_OK ? finish(&r) : bd_cli_fail(c);
    bd_exec_free(r.exec);
    bd_plan_free(r.plan);
    bd_model_free(r.m);
    bd_arena_done(&r.arena);
    return rc;
}

const struct cli_verb bd_verb_run = {
    .name = "run",
    .summary = "One inference on tensors from files, compared if wanted.",
    .example = "bitdial run m.onnx --inputs test_data_set_0 "
               "--expect test_data_set_0",
    .usage = "run MODEL --inputs DIR [--expect DIR] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
