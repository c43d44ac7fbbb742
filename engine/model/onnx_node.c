/* NodeProto and AttributeProto. */
#include "model/onnx_priv.h"

#include <string.h>

/* More than any operator has; keeps the search for doubles cheap. */
enum { MAX_ATTRS = 128 };

/* -------------------------------------------------------------- attributes */

struct attr_reading {
    struct bd_onnx *o;
    struct bd_attr *a;
    const char *ref;
    uint64_t type; /* AttributeProto.type, 0 = not given */
    enum bd_attr_kind found;
    bool any; /* a payload was there */
    size_t nints, nfloats, filled;
    int64_t *ints;
    float *floats;
};

static bd_status found(struct attr_reading *r, enum bd_attr_kind kind)
{
    r->found = kind;
    r->any = true;
    return BD_OK;
}

static bd_status attr_name(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct attr_reading *r = arg;
    return bd_onnx_text(&r->a->name, &r->o->b->arena, f, err);
}

static bd_status attr_ref(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    struct attr_reading *r = arg;
    return bd_onnx_text(&r->ref, &r->o->b->arena, f, err);
}

static bd_status attr_float(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    struct attr_reading *r = arg;
    uint32_t bits = (uint32_t)f->v;
    (void)err;
    memcpy(&r->a->f, &bits, sizeof bits);
    return found(r, BD_ATTR_FLOAT);
}

static bd_status attr_int(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    struct attr_reading *r = arg;
    (void)err;
    r->a->i = (int64_t)f->v;
    return found(r, BD_ATTR_INT);
}

static bd_status attr_str(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    struct attr_reading *r = arg;
    const char *s =
        bd_arena_strdup(&r->o->b->arena, f->n ? (const char *)f->p : "", f->n);
    if (!s)
        return bd_draft_nomem(err);
    r->a->s = s;
    return found(r, BD_ATTR_STR);
}

static bd_status attr_tensor(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct attr_reading *r = arg;
    struct bd_onnx_named t;
    struct bd_err why = {0};
    bd_status s = bd_onnx_tensor(&t, &r->o->src, f->p, f->n, &why);
    if (s == BD_EUNSUPPORTED) /* text: harmless unless someone needs it */
        return found(r, BD_ATTR_OTHER);
    if (s != BD_OK)
        return bd_fail(err, s, "%s", why.msg);
    r->a->t = t.t;
    return found(r, BD_ATTR_TENSOR);
}

static bd_status attr_ints(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct attr_reading *r = arg;
    size_t n;
    if (!pb_count(&n, f, PB_VARINT))
        return bd_fail(err, BD_EFORMAT, "a list of integers is cut short");
    r->nints += n;
    return found(r, BD_ATTR_INTS);
}

static bd_status attr_floats(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct attr_reading *r = arg;
    size_t n;
    if (!pb_count(&n, f, PB_FIXED32))
        return bd_fail(err, BD_EFORMAT, "a list of numbers is cut short");
    r->nfloats += n;
    return found(r, BD_ATTR_FLOATS);
}

static bd_status attr_type(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    (void)err;
    ((struct attr_reading *)arg)->type = f->v;
    return BD_OK;
}

static bd_status attr_other(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    (void)f;
    (void)err;
    return found(arg, BD_ATTR_OTHER);
}

static const struct pb_rule attr_rules[] = {
    {1, PB_BYTES, false, "name", attr_name},
    {2, PB_FIXED32, false, "f", attr_float},
    {3, PB_VARINT, false, "i", attr_int},
    {4, PB_BYTES, false, "s", attr_str},
    {5, PB_BYTES, false, "t", attr_tensor},
    {6, PB_BYTES, false, "g", attr_other},
    {7, PB_FIXED32, true, "floats", attr_floats},
    {8, PB_VARINT, true, "ints", attr_ints},
    {9, PB_BYTES, false, "strings", attr_other},
    {10, PB_BYTES, false, "tensors", attr_other},
    {11, PB_BYTES, false, "graphs", attr_other},
    {14, PB_BYTES, false, "tp", attr_other},
    {15, PB_BYTES, false, "type_protos", attr_other},
    {20, PB_VARINT, false, "type", attr_type},
    {21, PB_BYTES, false, "ref_attr_name", attr_ref},
    {22, PB_BYTES, false, "sparse_tensor", attr_other},
    {23, PB_BYTES, false, "sparse_tensors", attr_other},
};
static const struct pb_message attr_message = {
    "AttributeProto", attr_rules, sizeof attr_rules / sizeof *attr_rules};

static void put_int(void *arg, uint64_t v)
{
    struct attr_reading *r = arg;
    r->ints[r->filled++] = (int64_t)v;
}

static void put_float(void *arg, uint64_t v)
{
    struct attr_reading *r = arg;
    uint32_t bits = (uint32_t)v;
    memcpy(&r->floats[r->filled++], &bits, sizeof bits);
}

static bd_status fill_ints(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    (void)err;
    pb_each(f, PB_VARINT, put_int, arg);
    return BD_OK;
}

static bd_status fill_floats(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    (void)err;
    pb_each(f, PB_FIXED32, put_float, arg);
    return BD_OK;
}

/* The list's own rule alone, so that the walk fills one array. */
static bd_status fill_list(struct attr_reading *r, const struct pb_field *f,
                           struct bd_err *err)
{
    static const struct pb_rule ints = {8, PB_VARINT, true, "ints", fill_ints};
    static const struct pb_rule floats = {7, PB_FIXED32, true, "floats",
                                          fill_floats};
    bool real = r->a->kind == BD_ATTR_FLOATS;
    struct pb_message m = {"AttributeProto", real ? &floats : &ints, 1};
    size_t n = real ? r->nfloats : r->nints;
    void *p = bd_arena_alloc(&r->o->b->arena, n ? n : 1,
                             real ? sizeof(float) : sizeof(int64_t));
    if (!p)
        return bd_draft_nomem(err);
    if (real)
        r->a->floats = r->floats = p;
    else
        r->a->ints = r->ints = p;
    r->a->n = n;
    return pb_walk(&m, f->p, f->n, r, err);
}

/* The kinds by AttributeProto.type; a writer may leave out a zero or an empty
 * list, and very old ones leave out the type. */
static enum bd_attr_kind kind_of(const struct attr_reading *r)
{
    static const enum bd_attr_kind by_type[] = {
        BD_ATTR_OTHER,  BD_ATTR_FLOAT, BD_ATTR_INT,    BD_ATTR_STR,
        BD_ATTR_TENSOR, BD_ATTR_OTHER, BD_ATTR_FLOATS, BD_ATTR_INTS,
    };
    if (r->type == 0)
        return r->any ? r->found : BD_ATTR_OTHER;
    if (r->type >= sizeof by_type / sizeof *by_type)
        return BD_ATTR_OTHER;
    enum bd_attr_kind k = by_type[r->type];
    bool held = k != BD_ATTR_TENSOR || (r->any && r->found == BD_ATTR_TENSOR);
    return held ? k : BD_ATTR_OTHER;
}

bd_status bd_onnx_attr(struct bd_attr *out, const char **ref, struct bd_onnx *o,
                       const struct pb_field *f, struct bd_err *err)
{
    *out = (struct bd_attr){.name = "", .s = ""};
    struct attr_reading r = {.o = o, .a = out, .ref = ""};
    bd_status s = pb_walk(&attr_message, f->p, f->n, &r, err);
    if (s != BD_OK)
        return s;
    *ref = r.ref;
    out->kind = kind_of(&r);
    if (!out->name[0])
        return bd_fail(err, BD_EFORMAT, "an attribute has no name");
    bool list = out->kind == BD_ATTR_INTS || out->kind == BD_ATTR_FLOATS;
    return list ? fill_list(&r, f, err) : BD_OK;
}

/* ------------------------------------------------------------------- nodes */

struct node_reading {
    struct bd_onnx *o;
    const char *name, *op, *domain;
    struct bd_ints in, out;
    struct bd_attr *attr;
    size_t nattr, capattr;
};

static bd_status node_edge(struct node_reading *r, struct bd_ints *list,
                           const struct pb_field *f, struct bd_err *err)
{
    int v;
    bd_status s = bd_onnx_value(&v, r->o, f, err);
    if (s != BD_OK)
        return s;
    return bd_ints_add(list, v) ? BD_OK : bd_draft_nomem(err);
}

static bd_status node_in(void *arg, const struct pb_field *f,
                         struct bd_err *err)
{
    struct node_reading *r = arg;
    return node_edge(r, &r->in, f, err);
}

static bd_status node_out(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    struct node_reading *r = arg;
    return node_edge(r, &r->out, f, err);
}

static bd_status node_name(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct node_reading *r = arg;
    return bd_onnx_text(&r->name, &r->o->b->arena, f, err);
}

static bd_status node_op(void *arg, const struct pb_field *f,
                         struct bd_err *err)
{
    struct node_reading *r = arg;
    return bd_onnx_text(&r->op, &r->o->b->arena, f, err);
}

static bd_status node_domain(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct node_reading *r = arg;
    return bd_onnx_text(&r->domain, &r->o->b->arena, f, err);
}

static const struct bd_attr *find_attr(const struct bd_attr *a, size_t n,
                                       const char *name)
{
    for (size_t k = 0; k < n; k++)
        if (strcmp(a[k].name, name) == 0)
            return &a[k];
    return NULL;
}

static bd_status node_attr(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct node_reading *r = arg;
    struct bd_attr a;
    struct bd_shown o;
    const char *ref;
    bd_status s = bd_onnx_attr(&a, &ref, r->o, f, err);
    if (s != BD_OK)
        return s;
    if (r->nattr >= MAX_ATTRS || find_attr(r->attr, r->nattr, a.name))
        return bd_fail(err, BD_EFORMAT, "attribute '%s' is given twice",
                       bd_shown(&o, a.name));
    if (ref[0]) {
        /* Inside a function: the caller's value under our name, if given. */
        const struct bd_onnx_scope *sc = r->o->scope;
        const struct bd_attr *from =
            sc ? find_attr(sc->attr, sc->nattr, ref) : NULL;
        if (!from)
            return BD_OK;
        const char *name = a.name;
        a = *from;
        a.name = name;
    }
    void *p = r->attr;
    if (!bd_grow(&p, &r->capattr, r->nattr + 1, sizeof *r->attr))
        return bd_draft_nomem(err);
    r->attr = p;
    r->attr[r->nattr++] = a;
    return BD_OK;
}

static const struct pb_rule node_rules[] = {
    {1, PB_BYTES, false, "input", node_in},
    {2, PB_BYTES, false, "output", node_out},
    {3, PB_BYTES, false, "name", node_name},
    {4, PB_BYTES, false, "op_type", node_op},
    {5, PB_BYTES, false, "attribute", node_attr},
    {7, PB_BYTES, false, "domain", node_domain},
};
static const struct pb_message node_message = {
    "NodeProto", node_rules, sizeof node_rules / sizeof *node_rules};

static void *keep(struct bd_arena *a, const void *p, size_t n, size_t size)
{
    void *q = n ? bd_arena_alloc(a, n, size) : NULL;
    if (q)
        memcpy(q, p, n * size);
    return q;
}

/* "Conv" in the main domain, "com.microsoft.X" elsewhere; a prefix is put
 * before names inside function bodies. */
static const char *joined(struct bd_arena *a, const char *head,
                          const char *between, const char *tail)
{
    struct bd_str s = {0};
    bd_str_puts(&s, head);
    bd_str_puts(&s, between);
    bd_str_puts(&s, tail);
    const char *t = s.failed ? NULL : bd_arena_strdup(a, s.s ? s.s : "", s.n);
    bd_str_done(&s);
    return t;
}

static bd_status make_node(struct bd_node *n, struct node_reading *r,
                           struct bd_err *err)
{
    struct bd_arena *a = &r->o->b->arena;
    bool main = !r->domain[0] || strcmp(r->domain, "ai.onnx") == 0;
    *n = (struct bd_node){.name = r->name,
                          .op = r->op,
                          .nin = (int)r->in.n,
                          .nout = (int)r->out.n,
                          .nattr = r->nattr};
    n->in = keep(a, r->in.v, r->in.n, sizeof(int));
    n->out = keep(a, r->out.v, r->out.n, sizeof(int));
    n->attr = keep(a, r->attr, r->nattr, sizeof *r->attr);
    if (!main)
        n->op = joined(a, r->domain, ".", r->op);
    if (r->o->scope && r->name[0])
        n->name = joined(a, r->o->scope->prefix, "", r->name);
    bool ok = n->op && n->name && (n->in || !n->nin) && (n->out || !n->nout) &&
              (n->attr || !n->nattr);
    return ok ? BD_OK : bd_draft_nomem(err);
}

bd_status bd_onnx_add(struct bd_onnx *o, const struct bd_node *node,
                      struct bd_err *err)
{
    struct bd_builder *b = o->b;
    struct bd_shown s;
    if (b->nnodes >= BD_MAX_ITEMS)
        return bd_fail(err, BD_EFORMAT, "more than %d nodes", BD_MAX_ITEMS);
    int k = bd_draft_node(b, node);
    if (k < 0)
        return bd_draft_nomem(err);
    for (int i = 0; i < node->nout; i++) {
        if (node->out[i] < 0)
            continue;
        struct bd_value *v = &b->value[node->out[i]];
        if (v->producer >= 0 || v->t.f || v->t.i)
            return bd_fail(err, BD_EFORMAT, "value '%s' is made twice",
                           bd_shown(&s, v->name));
        v->producer = k;
    }
    return BD_OK;
}

static bd_status place(struct node_reading *r, struct bd_err *err)
{
    struct bd_node n;
    bd_status s = make_node(&n, r, err);
    if (s != BD_OK)
        return s;
    const struct bd_onnx_func *fn = bd_onnx_func_find(r->o, r->domain, r->op);
    return fn ? bd_onnx_inline(r->o, fn, &n, err) : bd_onnx_add(r->o, &n, err);
}

bd_status bd_onnx_node(struct bd_onnx *o, const uint8_t *p, size_t n,
                       struct bd_err *err)
{
    struct node_reading r = {.o = o, .name = "", .op = "", .domain = ""};
    struct bd_err why = {0};
    struct bd_shown name;
    bd_status s = pb_walk(&node_message, p, n, &r, &why);
    if (s == BD_OK && !r.op[0])
        s = bd_fail(&why, BD_EFORMAT, "it names no operator");
    /* "domain.op" is split at its last dot, so an operator has none. */
    if (s == BD_OK && strchr(r.op, '.'))
        s = bd_fail(&why, BD_EFORMAT, "the operator's name holds a dot");
    if (s == BD_OK)
        s = place(&r, err);
    else if (r.name[0] || r.op[0])
        bd_fail(err, s, "node '%s': %s",
                bd_shown(&name, r.name[0] ? r.name : r.op), why.msg);
    else
        bd_fail(err, s, "node %zu: %s", o->b->nnodes, why.msg);
    bd_free(r.in.v);
    bd_free(r.out.v);
    bd_free(r.attr);
    return s;
}
