/* Writing ONNX.  The bytes depend on the network alone, so the same network
 * gives the same file.  Constants are written with raw_data in their declared
 * type; one that folding moved bears the name it had in the file it came
 * from, so that layers keep their names when read back.  What was a Constant
 * node becomes one again, so that it is not taken for a weight. */
#include "model/onnx_priv.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------- wire format */

static void put_varint(struct bd_str *b, uint64_t v)
{
    char c[10];
    size_t n = 0;
    do {
        c[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    bd_str_put(b, c, n);
}

static void put_int(struct bd_str *b, uint32_t field, int64_t v)
{
    put_varint(b, (uint64_t)field << 3 | PB_VARINT);
    put_varint(b, (uint64_t)v);
}

static void put_bytes(struct bd_str *b, uint32_t field, const void *p, size_t n)
{
    put_varint(b, (uint64_t)field << 3 | PB_BYTES);
    put_varint(b, n);
    bd_str_put(b, p, n);
}

static void put_text(struct bd_str *b, uint32_t field, const char *s)
{
    put_bytes(b, field, s, strlen(s));
}

static void put_float(struct bd_str *b, uint32_t field, float f)
{
    uint32_t u;
    char c[4];
    memcpy(&u, &f, sizeof u);
    for (int k = 0; k < 4; k++)
        c[k] = (char)(u >> (8 * k) & 0xff);
    put_varint(b, (uint64_t)field << 3 | PB_FIXED32);
    bd_str_put(b, c, sizeof c);
}

/* Appends the finished child as a nested message and empties it. */
static void put_child(struct bd_str *b, uint32_t field, struct bd_str *child)
{
    put_bytes(b, field, child->s ? child->s : "", child->n);
    b->failed = b->failed || child->failed;
    bd_str_done(child);
    *child = (struct bd_str){0};
}

/* ----------------------------------------------------------------- tensors */

/* One element in its declared type, little-endian; returns its bytes. */
static size_t encode(uint8_t *out, const struct bd_tensor *t, int64_t k)
{
    uint64_t bits = 0;
    uint32_t u = 0;
    if (t->f)
        memcpy(&u, &t->f[k], sizeof u);
    double d = t->f ? (double)t->f[k] : 0.0;
    size_t n = bd_dtype_size(t->type);
    if (t->i)
        bits = (uint64_t)t->i[k];
    else if (t->type == BD_F64)
        memcpy(&bits, &d, sizeof bits);
    else if (t->type == BD_F16)
        bits = bd_float_to_half(t->f[k]);
    else if (t->type == BD_BF16) /* round to nearest even; NaN stays NaN */
        bits = (u & 0x7fffffff) > 0x7f800000
                   ? (u >> 16 | 0x40)
                   : (u + 0x7fff + (u >> 16 & 1)) >> 16;
    else
        bits = u;
    for (size_t b = 0; b < n; b++)
        out[b] = (uint8_t)(bits >> (8 * b) & 0xff);
    return n;
}

static void put_raw(struct bd_str *b, const struct bd_tensor *t)
{
    size_t n = (size_t)bd_tensor_count(t) * bd_dtype_size(t->type);
    uint8_t part[4096];
    size_t at = 0;
    put_varint(b, (uint64_t)9 << 3 | PB_BYTES);
    put_varint(b, n);
    for (int64_t k = 0; k < bd_tensor_count(t); k++) {
        if (at > sizeof part - 8) {
            bd_str_put(b, (const char *)part, at);
            at = 0;
        }
        at += encode(part + at, t, k);
    }
    bd_str_put(b, (const char *)part, at);
}

static void put_tensor(struct bd_str *b, const struct bd_tensor *t,
                       const char *name)
{
    for (int k = 0; k < t->rank; k++)
        put_int(b, 1, t->dim[k]);
    put_int(b, 2, t->type);
    if (name[0])
        put_text(b, 8, name);
    put_raw(b, t);
}

/* ------------------------------------------------------------------- nodes */

static bool put_attr(struct bd_str *b, const struct bd_attr *a)
{
    /* by enum bd_attr_kind: AttributeProto.type */
    static const int type[] = {2, 1, 3, 7, 6, 4};
    struct bd_str t = {0};
    if (a->kind == BD_ATTR_OTHER)
        return false;
    put_text(b, 1, a->name);
    switch (a->kind) {
    case BD_ATTR_INT:
        put_int(b, 3, a->i);
        break;
    case BD_ATTR_FLOAT:
        put_float(b, 2, a->f);
        break;
    case BD_ATTR_STR:
        put_text(b, 4, a->s);
        break;
    case BD_ATTR_INTS:
        for (size_t k = 0; k < a->n; k++)
            put_int(b, 8, a->ints[k]);
        break;
    case BD_ATTR_FLOATS:
        for (size_t k = 0; k < a->n; k++)
            put_float(b, 7, a->floats[k]);
        break;
    case BD_ATTR_TENSOR:
        put_tensor(&t, &a->t, "");
        put_child(b, 5, &t);
        break;
    case BD_ATTR_OTHER:
        break;
    }
    put_int(b, 20, type[a->kind]);
    return true;
}

struct writer {
    const struct bd_model *m;
    const float *const *override;
    const char **name; /* [values] as written, NULL = not written */
    bool *used;        /* [values] read by a node, or an output */
    bool *named;       /* [values] whose name is taken */
};

static void put_edges(struct bd_str *b, const struct writer *w, uint32_t field,
                      const int *v, int n)
{
    for (int k = 0; k < n; k++)
        put_text(b, field, v[k] < 0 ? "" : w->name[v[k]]);
}

static bd_status put_node(struct bd_str *b, const struct writer *w,
                          const struct bd_node *n, struct bd_err *err)
{
    struct bd_str attr = {0};
    struct bd_shown o;
    const char *dot = strrchr(n->op, '.');
    put_edges(b, w, 1, n->in, n->nin);
    put_edges(b, w, 2, n->out, n->nout);
    put_text(b, 3, n->name);
    put_text(b, 4, dot ? dot + 1 : n->op);
    for (size_t k = 0; k < n->nattr; k++) {
        if (!put_attr(&attr, &n->attr[k])) {
            bd_str_done(&attr);
            return bd_fail(err, BD_EUNSUPPORTED,
                           "node '%s' has a subgraph or other attribute that "
                           "cannot be written",
                           bd_shown(&o, n->name));
        }
        put_child(b, 5, &attr);
    }
    if (dot)
        put_bytes(b, 7, n->op, (size_t)(dot - n->op));
    return BD_OK;
}

/* ------------------------------------------------------- inputs and outputs */

static void put_shape(struct bd_str *b, const struct bd_tensor *t)
{
    for (int k = 0; k < t->rank; k++) {
        struct bd_str dim = {0};
        char name[16] = "N";
        if (k > 0)
            snprintf(name, sizeof name, "d%d", k);
        if (t->dim[k] >= 0)
            put_int(&dim, 1, t->dim[k]);
        else
            put_text(&dim, 2, name);
        put_child(b, 1, &dim);
    }
}

/* ValueInfoProto > TypeProto > TypeProto.Tensor > TensorShapeProto */
static void put_info(struct bd_str *b, const struct writer *w, int v)
{
    const struct bd_tensor *t = &w->m->value[v].t;
    struct bd_str shape = {0}, tensor = {0}, type = {0};
    put_int(&tensor, 1, t->type == BD_UNDEFINED ? BD_F32 : t->type);
    if (t->rank >= 0) {
        put_shape(&shape, t);
        put_child(&tensor, 2, &shape);
    }
    put_child(&type, 1, &tensor);
    put_text(b, 1, w->name[v]);
    put_child(b, 2, &type);
}

/* ------------------------------------------------------------------- names */

static void mark_used(struct writer *w)
{
    const struct bd_model *m = w->m;
    for (size_t k = 0; k < m->nnodes; k++)
        for (int i = 0; i < m->node[k].nin; i++)
            if (m->node[k].in[i] >= 0)
                w->used[m->node[k].in[i]] = true;
    for (size_t k = 0; k < m->noutputs; k++)
        w->used[m->output[k]] = true;
    /* Learned clips stand beside their weight, read by no node; bare weights
     * have no node at all. */
    for (size_t v = 0; v < m->nvalues; v++) {
        const struct bd_tensor *t = &m->value[v].t;
        bool clip = t->f && bd_tensor_count(t) == 1 && m->value[v].initializer;
        if ((t->f || t->i) && (clip || m->nnodes == 0))
            w->used[v] = true;
    }
}

/* Own names first; then folded constants take the name of their origin if
 * nothing else bears it. */
static void choose_names(struct writer *w)
{
    const struct bd_model *m = w->m;
    for (size_t v = 0; v < m->nvalues; v++) {
        bool constant = m->value[v].t.f || m->value[v].t.i;
        w->name[v] = m->value[v].name;
        w->named[v] = !constant || w->used[v];
    }
    for (size_t v = 0; v < m->nvalues; v++) {
        int o = m->value[v].origin;
        if (o < 0 || !w->used[v] || w->named[o])
            continue;
        w->name[v] = m->value[o].name;
        w->named[o] = true;
    }
}

/* ------------------------------------------------------------------- model */

static void put_constant_node(struct bd_str *graph, const struct bd_tensor *t,
                              const char *name)
{
    struct bd_str node = {0}, attr = {0}, tensor = {0};
    put_tensor(&tensor, t, "");
    put_text(&attr, 1, "value");
    put_child(&attr, 5, &tensor);
    put_int(&attr, 20, 4);
    put_text(&node, 2, name);
    put_text(&node, 4, "Constant");
    put_child(&node, 5, &attr);
    put_child(graph, 1, &node);
}

/* Weights with `weights`, what Constant nodes made without. */
static void put_constants(struct bd_str *b, const struct writer *w,
                          bool weights)
{
    const struct bd_model *m = w->m;
    struct bd_str part = {0};
    for (size_t v = 0; v < m->nvalues; v++) {
        struct bd_tensor t = m->value[v].t;
        int root = m->value[v].origin >= 0 ? m->value[v].origin : (int)v;
        if (!w->used[v] || (!t.f && !t.i) ||
            m->value[root].initializer != weights)
            continue;
        if (t.f && w->override && w->override[v])
            t.f = (float *)(uintptr_t)w->override[v]; /* only read */
        if (!weights) {
            put_constant_node(b, &t, w->name[v]);
            continue;
        }
        put_tensor(&part, &t, w->name[v]);
        put_child(b, 5, &part);
    }
}

static bd_status put_graph(struct bd_str *b, const struct writer *w,
                           struct bd_err *err)
{
    const struct bd_model *m = w->m;
    struct bd_str part = {0};
    put_constants(b, w, false);
    for (size_t k = 0; k < m->nnodes; k++) {
        bd_status s = put_node(&part, w, &m->node[k], err);
        if (s != BD_OK) {
            bd_str_done(&part);
            return s;
        }
        put_child(b, 1, &part);
    }
    put_text(b, 2, m->arch[0] ? m->arch : "bitdial");
    put_constants(b, w, true);
    for (size_t k = 0; k < m->ninputs; k++) {
        put_info(&part, w, m->input[k]);
        put_child(b, 11, &part);
    }
    for (size_t k = 0; k < m->noutputs; k++) {
        put_info(&part, w, m->output[k]);
        put_child(b, 12, &part);
    }
    return BD_OK;
}

static void put_opset(struct bd_str *b, const char *domain, size_t n,
                      int64_t version)
{
    struct bd_str set = {0};
    put_bytes(&set, 1, domain, n);
    put_int(&set, 2, version);
    put_child(b, 8, &set);
}

/* The main domain, and every other that a node names, once. */
static bool put_opsets(struct bd_str *b, const struct bd_model *m)
{
    struct bd_map seen = {0};
    bool ok = true;
    put_opset(b, "", 0, m->opset);
    for (size_t k = 0; ok && k < m->nnodes; k++) {
        const char *op = m->node[k].op, *dot = strrchr(op, '.');
        size_t n = dot ? (size_t)(dot - op) : 0;
        if (!dot || bd_map_get(&seen, op, n) >= 0)
            continue;
        put_opset(b, op, n, 1);
        ok = bd_map_put(&seen, op, n, 1);
    }
    bd_map_done(&seen);
    return ok;
}

static bd_status write_model(struct bd_str *out, const struct writer *w,
                             struct bd_err *err)
{
    struct bd_str b = {0}, graph = {0};
    /* The IR version that belongs to the operator set. */
    put_int(&b, 1, w->m->opset > 18 ? 10 : 8);
    put_text(&b, 2, "bitdial");
    put_text(&b, 3, BD_VERSION);
    bd_status s = put_graph(&graph, w, err);
    put_child(&b, 7, &graph);
    if (s == BD_OK && (!put_opsets(&b, w->m) || b.failed))
        s = bd_draft_nomem(err);
    if (s == BD_OK)
        *out = b;
    else
        bd_str_done(&b);
    return s;
}

bd_status bd_onnx_write(struct bd_str *out, const struct bd_model *m,
                        const float *const *override, struct bd_err *err)
{
    struct writer w = {.m = m, .override = override};
    bd_status s;
    w.name = bd_calloc(m->nvalues, sizeof *w.name);
    w.used = bd_calloc(m->nvalues, sizeof *w.used);
    w.named = bd_calloc(m->nvalues, sizeof *w.named);
    if (!w.name || !w.used || !w.named) {
        s = bd_draft_nomem(err);
    } else {
        mark_used(&w);
        choose_names(&w);
        s = write_model(out, &w, err);
    }
    bd_free(w.name);
    bd_free(w.used);
    bd_free(w.named);
    return s;
}
