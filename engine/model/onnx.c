/* ONNX: ModelProto and GraphProto.  The file is walked in place; names and
 * small lists go to the arena, weights stay in the mapping when aligned.
 * The order of fields in the file does not matter: values are known by name
 * from their first mention, and what is missing shows at the end. */
#include "model/onnx_priv.h"

#include <string.h>

/* ------------------------------------------------------------------ values */

static bd_status inner_value(int *v, struct bd_onnx *o,
                             const struct pb_field *f, struct bd_err *err)
{
    struct bd_str s = {0};
    bd_str_puts(&s, o->scope->prefix);
    bd_str_put(&s, (const char *)f->p, f->n);
    *v = s.failed ? -1 : bd_draft_value(o->b, s.s, s.n);
    bd_str_done(&s);
    if (*v < 0 || !bd_map_put(&o->scope->map, (const char *)f->p, f->n, *v))
        return bd_draft_nomem(err);
    return BD_OK;
}

bd_status bd_onnx_value(int *v, struct bd_onnx *o, const struct pb_field *f,
                        struct bd_err *err)
{
    *v = -1;
    if (f->n == 0)
        return BD_OK;
    if (f->n > BD_MAX_NAME || memchr(f->p, 0, f->n))
        return bd_fail(err, BD_EFORMAT,
                       f->n > BD_MAX_NAME
                           ? "the name of a value is longer than 64 KiB"
                           : "the name of a value holds a zero byte");
    if (o->scope) {
        int k = bd_map_get(&o->scope->map, (const char *)f->p, f->n);
        if (k == -1)
            return inner_value(v, o, f, err);
        *v = k < 0 ? -1 : k;
        return BD_OK;
    }
    *v = bd_draft_value(o->b, (const char *)f->p, f->n);
    return *v < 0 ? bd_draft_nomem(err) : BD_OK;
}

/* ------------------------------------------------ declared types, shapes */

struct info_reading {
    struct bd_onnx *o;
    int value;
    struct bd_tensor t;
    bool tensor, dim_known;
};

static bd_status dim_value(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct info_reading *r = arg;
    int64_t d = (int64_t)f->v;
    if (d > BD_MAX_ELEMENTS)
        return bd_fail(err, BD_EFORMAT, "a declared dimension is %lld",
                       (long long)d);
    r->t.dim[r->t.rank] = d < 0 ? -1 : d;
    return BD_OK;
}

static const struct pb_rule dim_rule = {1, PB_VARINT, false, "dim_value",
                                        dim_value};
static const struct pb_message dim_message = {"Dimension", &dim_rule, 1};

static bd_status shape_dim(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct info_reading *r = arg;
    if (r->t.rank >= BD_MAX_RANK)
        return bd_fail(err, BD_EFORMAT, "more than %d dimensions declared",
                       BD_MAX_RANK);
    r->t.dim[r->t.rank] = -1; /* symbolic or empty: not yet known */
    bd_status s = pb_walk(&dim_message, f->p, f->n, r, err);
    r->t.rank++;
    return s;
}

static const struct pb_rule shape_rule = {1, PB_BYTES, false, "dim", shape_dim};
static const struct pb_message shape_message = {"TensorShapeProto", &shape_rule,
                                                1};

static bd_status type_elem(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct info_reading *r = arg;
    (void)err;
    /* Types we cannot hold stay undefined; graph/ says so if they matter. */
    r->t.type = f->v <= BD_BF16 ? (enum bd_dtype)f->v : BD_UNDEFINED;
    return BD_OK;
}

static bd_status type_shape(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    struct info_reading *r = arg;
    r->t.rank = 0;
    return pb_walk(&shape_message, f->p, f->n, r, err);
}

static const struct pb_rule tensor_rules[] = {
    {1, PB_VARINT, false, "elem_type", type_elem},
    {2, PB_BYTES, false, "shape", type_shape},
};
static const struct pb_message tensor_message = {
    "TypeProto.Tensor", tensor_rules,
    sizeof tensor_rules / sizeof *tensor_rules};

static bd_status type_tensor(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct info_reading *r = arg;
    r->tensor = true;
    return pb_walk(&tensor_message, f->p, f->n, r, err);
}

static const struct pb_rule type_rule = {1, PB_BYTES, false, "tensor_type",
                                         type_tensor};
static const struct pb_message type_message = {"TypeProto", &type_rule, 1};

static bd_status info_name(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct info_reading *r = arg;
    return bd_onnx_value(&r->value, r->o, f, err);
}

static bd_status info_type(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    return pb_walk(&type_message, f->p, f->n, arg, err);
}

static const struct pb_rule info_rules[] = {
    {1, PB_BYTES, false, "name", info_name},
    {2, PB_BYTES, false, "type", info_type},
};
static const struct pb_message info_message = {
    "ValueInfoProto", info_rules, sizeof info_rules / sizeof *info_rules};

/* ------------------------------------------------------------------- graph */

static bd_status read_info(int *value, struct bd_onnx *o,
                           const struct pb_field *f, struct bd_err *err)
{
    struct info_reading r = {.o = o, .value = -1, .t = {.rank = -1}};
    struct bd_err why = {0};
    struct bd_shown n;
    bd_status s = pb_walk(&info_message, f->p, f->n, &r, &why);
    if (s == BD_OK && r.value < 0)
        s = bd_fail(&why, BD_EFORMAT, "a declared value has no name");
    if (s != BD_OK)
        return r.value < 0
                   ? bd_fail(err, s, "%s", why.msg)
                   : bd_fail(err, s, "value '%s': %s",
                             bd_shown(&n, o->b->value[r.value].name), why.msg);
    struct bd_value *v = &o->b->value[r.value];
    if (r.tensor && !v->t.f && !v->t.i)
        v->t = r.t;
    *value = r.value;
    return BD_OK;
}

static bd_status graph_node(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    return bd_onnx_node(arg, f->p, f->n, err);
}

static bd_status graph_initializer(void *arg, const struct pb_field *f,
                                   struct bd_err *err)
{
    struct bd_onnx *o = arg;
    struct bd_onnx_named n;
    struct bd_shown shown;
    bd_status s = bd_onnx_tensor(&n, &o->src, f->p, f->n, err);
    if (s != BD_OK)
        return s;
    if (!n.name[0])
        return bd_fail(err, BD_EFORMAT, "a weight has no name");
    int k = bd_draft_value(o->b, n.name, strlen(n.name));
    if (k < 0)
        return bd_draft_nomem(err);
    struct bd_value *v = &o->b->value[k];
    if (v->t.f || v->t.i || v->producer >= 0)
        return bd_fail(err, BD_EFORMAT, "tensor '%s' is there twice",
                       bd_shown(&shown, n.name));
    v->t = n.t;
    v->initializer = true;
    return BD_OK;
}

static bd_status graph_input(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct bd_onnx *o = arg;
    int v;
    bd_status s = read_info(&v, o, f, err);
    if (s != BD_OK)
        return s;
    return bd_ints_add(&o->declared, v) ? BD_OK : bd_draft_nomem(err);
}

static bd_status graph_output(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    struct bd_onnx *o = arg;
    int v;
    bd_status s = read_info(&v, o, f, err);
    if (s != BD_OK)
        return s;
    return bd_ints_add(&o->b->output, v) ? BD_OK : bd_draft_nomem(err);
}

static bd_status graph_info(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    int v;
    return read_info(&v, arg, f, err);
}

static bd_status graph_sparse(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    (void)arg;
    (void)f;
    return bd_fail(err, BD_EUNSUPPORTED, "sparse weights are not read");
}

static const struct pb_rule graph_rules[] = {
    {1, PB_BYTES, false, "node", graph_node},
    {5, PB_BYTES, false, "initializer", graph_initializer},
    {11, PB_BYTES, false, "input", graph_input},
    {12, PB_BYTES, false, "output", graph_output},
    {13, PB_BYTES, false, "value_info", graph_info},
    {15, PB_BYTES, false, "sparse_initializer", graph_sparse},
};
static const struct pb_message graph_message = {
    "GraphProto", graph_rules, sizeof graph_rules / sizeof *graph_rules};

/* Old files list weights among the inputs; what has data is no input. */
static bd_status settle_inputs(struct bd_onnx *o, struct bd_err *err)
{
    struct bd_builder *b = o->b;
    struct bd_shown n;
    bool *seen = bd_calloc(b->nvalues, sizeof *seen);
    bd_status s = seen ? BD_OK : bd_draft_nomem(err);
    for (size_t k = 0; s == BD_OK && k < o->declared.n; k++) {
        int v = o->declared.v[k];
        if (seen[v] || b->value[v].producer >= 0)
            s = bd_fail(err, BD_EFORMAT, "input '%s' is made twice",
                        bd_shown(&n, b->value[v].name));
        else if (!b->value[v].t.f && !b->value[v].t.i &&
                 !bd_ints_add(&b->input, v))
            s = bd_draft_nomem(err);
        seen[v] = true;
    }
    bd_free(seen);
    return s;
}

/* ------------------------------------------------------------------- model */

static bd_status model_ir(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    (void)err;
    ((struct bd_onnx *)arg)->ir = f->v;
    return BD_OK;
}

static bd_status model_graph(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct bd_onnx *o = arg;
    if (o->graphs++)
        return bd_fail(err, BD_EFORMAT, "the file holds two graphs");
    o->graph = f->p;
    o->ngraph = f->n;
    return BD_OK;
}

struct opset {
    struct bd_onnx *o;
    const char *domain;
    uint64_t version;
};

static bd_status opset_domain(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    struct opset *s = arg;
    return bd_onnx_text(&s->domain, &s->o->b->arena, f, err);
}

static bd_status opset_version(void *arg, const struct pb_field *f,
                               struct bd_err *err)
{
    (void)err;
    ((struct opset *)arg)->version = f->v;
    return BD_OK;
}

static const struct pb_rule opset_rules[] = {
    {1, PB_BYTES, false, "domain", opset_domain},
    {2, PB_VARINT, false, "version", opset_version},
};
static const struct pb_message opset_message = {
    "OperatorSetIdProto", opset_rules,
    sizeof opset_rules / sizeof *opset_rules};

static bd_status model_opset(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct bd_onnx *o = arg;
    struct opset set = {.o = o, .domain = ""};
    bd_status s = pb_walk(&opset_message, f->p, f->n, &set, err);
    if (s != BD_OK)
        return s;
    if (set.domain[0] && strcmp(set.domain, "ai.onnx") != 0)
        return BD_OK;
    if (set.version < 1 || set.version > 1000)
        return bd_fail(err, BD_EFORMAT, "operator set version %llu",
                       (unsigned long long)set.version);
    o->b->opset = (int64_t)set.version;
    return BD_OK;
}

static bd_status model_function(void *arg, const struct pb_field *f,
                                struct bd_err *err)
{
    return bd_onnx_func_add(arg, f, err);
}

static const struct pb_rule model_rules[] = {
    {1, PB_VARINT, false, "ir_version", model_ir},
    {7, PB_BYTES, false, "graph", model_graph},
    {8, PB_BYTES, false, "opset_import", model_opset},
    {25, PB_BYTES, false, "functions", model_function},
};
static const struct pb_message model_message = {
    "ModelProto", model_rules, sizeof model_rules / sizeof *model_rules};

/* ONNX has no magic number: the first field must be one a ModelProto has,
 * with its wire type. */
bool bd_onnx_probe(const struct bd_file *f)
{
    static const uint8_t number[] = {1, 5};
    static const uint8_t bytes[] = {2, 3, 4, 6, 7, 8};
    struct bd_reader r = {f->data, f->size, 0};
    uint8_t key;
    if (!bd_take_u8(&r, &key))
        return false;
    return ((key & 7) == PB_VARINT && memchr(number, key >> 3, 2)) ||
           ((key & 7) == PB_BYTES && memchr(bytes, key >> 3, 6));
}

static bd_status read_model(struct bd_onnx *o, struct bd_err *err)
{
    const struct bd_file *f = &o->b->map;
    o->b->opset = 0;
    bd_status s = pb_walk(&model_message, f->data, f->size, o, err);
    if (s == BD_OK && !o->graphs)
        s = bd_fail(err, BD_EFORMAT, "the file holds no graph");
    if (s == BD_OK && !o->b->opset) {
        if (o->ir >= 3 || o->ir == 0)
            return bd_fail(err, BD_EFORMAT,
                           "the file does not say which operator set it uses");
        o->b->opset = 1;
    }
    if (s == BD_OK)
        s = pb_walk(&graph_message, o->graph, o->ngraph, o, err);
    return s == BD_OK ? settle_inputs(o, err) : s;
}

bd_status bd_onnx_load(struct bd_builder *b, const char *arch,
                       struct bd_err *err)
{
    (void)arch; /* the file brings its graph */
    struct bd_onnx o = {.b = b};
    o.src = (struct bd_onnx_src){&b->arena, b->path, true};
    b->format = "onnx";
    bd_status s = read_model(&o, err);
    bd_free(o.declared.v);
    bd_free(o.func);
    return s;
}
