/* Which tensors a user can turn the bits of, and what they are called.
 *
 * A layer is a Conv, ConvTranspose, Gemm or MatMul one operand of which is a
 * real constant of two or more dimensions.  Its name is that of its weight,
 * because that is the name which checkpoints, papers and exporters share;
 * names that exporters invented ("onnx::MatMul_12", "193") give way to the
 * node's own. */
#include "model/model_priv.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

struct layer_op {
    const char *op;
    int axis;       /* output channels of the weight; -1 = last */
    bool first_too; /* operand 0 may be the weight */
    bool conv;
};
static const struct layer_op layer_ops[] = {
    {"Conv", 0, false, true},
    {"ConvTranspose", 1, false, true},
    {"Gemm", 1, false, false},
    {"MatMul", -1, true, false},
};

static const struct layer_op *layer_op(const char *op)
{
    for (size_t k = 0; k < sizeof layer_ops / sizeof *layer_ops; k++)
        if (strcmp(layer_ops[k].op, op) == 0)
            return &layer_ops[k];
    return NULL;
}

static const struct bd_tensor *input_of(const struct bd_model *m,
                                        const struct bd_node *n, int i)
{
    return i < n->nin && n->in[i] >= 0 ? &m->value[n->in[i]].t : NULL;
}

static bool weight_like(const struct bd_tensor *t)
{
    return t && t->f && t->rank >= 2;
}

/* Fills operand, axis and group; false when the node is no layer. */
static bool describe(struct bd_layer *l, const struct bd_model *m,
                     const struct bd_node *n, const struct layer_op *op)
{
    int at = 1;
    if (op->first_too && weight_like(input_of(m, n, 0)))
        at = 0;
    const struct bd_tensor *w = input_of(m, n, at);
    const struct bd_tensor *x = input_of(m, n, 1 - at);
    if (!weight_like(w) || !x || x->f || x->i)
        return false;
    l->weight = n->in[at];
    l->input = n->in[1 - at];
    l->axis = op->axis < 0 ? w->rank - 1 : op->axis;
    if (op->first_too && at == 0)
        l->axis = w->rank - 2;
    if (strcmp(op->op, "Gemm") == 0 && bd_node_int(n, "transB", 0))
        l->axis = 0;
    const struct bd_tensor *bias = op->first_too ? NULL : input_of(m, n, 2);
    l->bias = bias && bias->f ? n->in[2] : -1;
    l->group = op->conv ? bd_node_int(n, "group", 1) : 1;
    return true;
}

/* ------------------------------------------------------------------ names */

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n > t && strcmp(s + n - t, tail) == 0;
}

/* Exporters number what they cannot name. */
static bool invented(const char *s)
{
    size_t digits = 0;
    while (isdigit((unsigned char)s[digits]))
        digits++;
    return s[0] == 0 || s[digits] == 0 || strncmp(s, "onnx::", 6) == 0;
}

static const char *layer_name(struct bd_model *m, const struct bd_layer *l)
{
    const struct bd_value *w = &m->value[l->weight];
    if (w->origin >= 0)
        w = &m->value[w->origin];
    if (invented(w->name) && l->node >= 0)
        return m->node[l->node].name;
    size_t n = strlen(w->name);
    if (ends_with(w->name, ".weight"))
        n -= strlen(".weight");
    return bd_arena_strdup(&m->arena, w->name, n);
}

/* ---------------------------------------------------------- learned clips */

/* Value `layer name` + tail, or -1. */
static int companion(struct bd_builder *b, const char *layer, const char *tail)
{
    struct bd_str s = {0};
    bd_str_puts(&s, layer);
    bd_str_puts(&s, tail);
    int v = s.failed ? -1 : bd_draft_find(b, s.s, s.n);
    b->failed = b->failed || s.failed;
    bd_str_done(&s);
    return v;
}

/* Quantization-aware checkpoints keep each clip in a scalar beside the
 * weight; the spellings are those of the APoT and PACT authors. */
static float learned(struct bd_builder *b, const char *layer,
                     const char *const *tail)
{
    for (; *tail; tail++) {
        int v = companion(b, layer, *tail);
        if (v < 0)
            continue;
        const struct bd_tensor *t = &b->value[v].t;
        if (t->f && bd_tensor_count(t) == 1 && isfinite(t->f[0]) &&
            t->f[0] > 0.0f)
            return t->f[0];
    }
    return NAN;
}

static bool finish_layer(struct bd_model *m, struct bd_builder *b,
                         struct bd_layer *l, struct bd_map *names)
{
    static const char *const tail_w[] = {".weight_quant.wgt_alpha",
                                         ".weight_alpha", NULL};
    static const char *const tail_a[] = {".act_alpha", ".act_alq", NULL};
    const char *plain = layer_name(m, l);
    if (!plain)
        return false;
    l->learned_w = learned(b, plain, tail_w);
    l->learned_a = learned(b, plain, tail_a);
    /* Two nodes may share one weight: the second is named by its node. */
    bool taken = bd_map_get(names, plain, strlen(plain)) >= 0;
    if (taken && l->node >= 0)
        plain = m->node[l->node].name;
    l->name = bd_map_unique(names, &m->arena, plain);
    return l->name && !b->failed;
}

/* -------------------------------------------------------------- all layers */

/* What convolutions must satisfy before anyone computes with them. */
static bd_status check_conv(const struct bd_model *m, const struct bd_layer *l,
                            struct bd_err *err)
{
    static const char *const positive[] = {"strides", "dilations", NULL};
    const struct bd_node *n = &m->node[l->node];
    const struct bd_tensor *w = &m->value[l->weight].t;
    struct bd_shown o;
    if (l->group < 1 || w->dim[0] % l->group)
        return bd_fail(err, BD_EFORMAT,
                       "node '%s': group %lld does not divide the %lld "
                       "channels of its weight",
                       bd_shown(&o, n->name), (long long)l->group,
                       (long long)w->dim[0]);
    for (const char *const *p = positive; *p; p++) {
        const struct bd_attr *a = bd_node_attr(n, *p);
        for (size_t k = 0; a && a->kind == BD_ATTR_INTS && k < a->n; k++)
            if (a->ints[k] < 1 || a->ints[k] > INT32_MAX)
                return bd_fail(err, BD_EFORMAT,
                               "node '%s': %s holds %lld, expected 1 or more",
                               bd_shown(&o, n->name), *p,
                               (long long)a->ints[k]);
    }
    return BD_OK;
}

static bd_status graph_layers(struct bd_model *m, struct bd_builder *b,
                              struct bd_layer *out, struct bd_map *names,
                              struct bd_err *err)
{
    for (size_t k = 0; k < m->nnodes; k++) {
        const struct layer_op *op = layer_op(m->node[k].op);
        struct bd_layer *l = &out[m->nlayers];
        l->node = (int)k;
        if (!op || !describe(l, m, &m->node[k], op))
            continue;
        bd_status s = op->conv ? check_conv(m, l, err) : BD_OK;
        if (s != BD_OK)
            return s;
        if (!finish_layer(m, b, l, names))
            return bd_draft_nomem(err);
        m->nlayers++;
    }
    return BD_OK;
}

/* Weights alone: every real matrix or filter bank is a layer. */
static bd_status loose_layers(struct bd_model *m, struct bd_builder *b,
                              struct bd_layer *out, struct bd_map *names,
                              struct bd_err *err)
{
    for (size_t v = 0; v < m->nvalues; v++) {
        if (!weight_like(&m->value[v].t))
            continue;
        struct bd_layer *l = &out[m->nlayers++];
        *l = (struct bd_layer){
            .node = -1, .weight = (int)v, .input = -1, .bias = -1, .group = 1};
        if (!finish_layer(m, b, l, names))
            return bd_draft_nomem(err);
        int bias = companion(b, l->name, ".bias");
        if (bias >= 0 && m->value[bias].t.f)
            l->bias = bias;
    }
    return BD_OK;
}

bd_status bd_draft_layers(struct bd_model *m, struct bd_builder *b,
                          struct bd_err *err)
{
    struct bd_map names = {0};
    size_t most = 1;
    for (size_t k = 0; k < m->nnodes; k++)
        most += layer_op(m->node[k].op) != NULL;
    for (size_t v = 0; m->nnodes == 0 && v < m->nvalues; v++)
        most += weight_like(&m->value[v].t);
    struct bd_layer *out = bd_arena_alloc(&m->arena, most, sizeof *out);
    if (!out)
        return bd_draft_nomem(err);
    m->layer = out;
    bd_status s = m->nnodes ? graph_layers(m, b, out, &names, err)
                            : loose_layers(m, b, out, &names, err);
    bd_map_done(&names);
    return s == BD_OK && b->failed ? bd_draft_nomem(err) : s;
}
