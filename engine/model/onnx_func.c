/* Functions a model brings along.  A call is replaced by the body: formal
 * names stand for the caller's values, all other names get a prefix of their
 * own, attribute references take the caller's attribute.  Bodies may call
 * further functions, so depth, nodes made and bytes walked are bounded. */
#include "model/onnx_priv.h"

#include <string.h>

enum {
    MAX_DEPTH = BD_MAX_NEST,
    MAX_INLINED = 100000,
    MAX_WALKED = 256 << 20,
    MAX_ATTRS = 128
};

/* ------------------------------------------------------------ collecting */

struct func_reading {
    struct bd_onnx *o;
    struct bd_onnx_func fn;
};

static bd_status func_name(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct func_reading *r = arg;
    return bd_onnx_text(&r->fn.name, &r->o->b->arena, f, err);
}

static bd_status func_domain(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct func_reading *r = arg;
    return bd_onnx_text(&r->fn.domain, &r->o->b->arena, f, err);
}

static const struct pb_rule head_rules[] = {
    {1, PB_BYTES, false, "name", func_name},
    {10, PB_BYTES, false, "domain", func_domain},
};
static const struct pb_message head_message = {
    "FunctionProto", head_rules, sizeof head_rules / sizeof *head_rules};

bd_status bd_onnx_func_add(struct bd_onnx *o, const struct pb_field *f,
                           struct bd_err *err)
{
    struct func_reading r = {o, {"", "", f->p, f->n}};
    bd_status s = pb_walk(&head_message, f->p, f->n, &r, err);
    void *p = o->func;
    if (s != BD_OK)
        return s;
    /* Nodes search the list one by one, so it must stay short. */
    if (o->nfunc >= 1000)
        return bd_fail(err, BD_EUNSUPPORTED, "more than 1000 functions");
    if (!bd_grow(&p, &o->capfunc, o->nfunc + 1, sizeof *o->func))
        return bd_draft_nomem(err);
    o->func = p;
    o->func[o->nfunc++] = r.fn;
    return BD_OK;
}

const struct bd_onnx_func *
bd_onnx_func_find(const struct bd_onnx *o, const char *domain, const char *name)
{
    for (size_t k = 0; k < o->nfunc; k++)
        if (strcmp(o->func[k].name, name) == 0 &&
            strcmp(o->func[k].domain, domain) == 0)
            return &o->func[k];
    return NULL;
}

/* --------------------------------------------------------------- inlining */

struct call {
    struct bd_onnx *o;
    const struct bd_node *node;
    struct bd_onnx_scope scope;
    int nin, nout;        /* formals met so far */
    struct bd_attr *attr; /* the caller's and the defaults it left out */
};

/* Formal name -> the caller's value; one the caller left out maps to a value
 * nobody makes, which reads as "left out" (-2 says so). */
static bd_status bind(struct call *c, const struct pb_field *f, int v,
                      struct bd_err *err)
{
    return bd_map_put(&c->scope.map, (const char *)f->p, f->n, v < 0 ? -2 : v)
               ? BD_OK
               : bd_draft_nomem(err);
}

static bd_status formal_in(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct call *c = arg;
    int k = c->nin++;
    return bind(c, f, k < c->node->nin ? c->node->in[k] : -1, err);
}

static bd_status formal_out(void *arg, const struct pb_field *f,
                            struct bd_err *err)
{
    struct call *c = arg;
    int k = c->nout++;
    if (k >= c->node->nout || c->node->out[k] < 0)
        return BD_OK; /* nobody asked: an ordinary inner name */
    return bind(c, f, c->node->out[k], err);
}

static bd_status default_attr(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    struct call *c = arg;
    struct bd_attr a;
    const char *ref;
    bd_status s = bd_onnx_attr(&a, &ref, c->o, f, err);
    if (s != BD_OK || bd_node_attr(c->node, a.name))
        return s;
    if (c->scope.nattr >= MAX_ATTRS)
        return bd_fail(err, BD_EFORMAT, "a function has over %d attributes",
                       MAX_ATTRS);
    struct bd_attr *all = bd_alloc(c->scope.nattr + 1, sizeof *all);
    if (!all)
        return bd_draft_nomem(err);
    if (c->scope.nattr)
        memcpy(all, c->scope.attr, c->scope.nattr * sizeof *all);
    all[c->scope.nattr++] = a;
    bd_free(c->attr);
    c->scope.attr = c->attr = all;
    return BD_OK;
}

static bd_status body_node(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct call *c = arg;
    if (++c->o->calls > MAX_INLINED)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "functions unfold to more than %d nodes", MAX_INLINED);
    return bd_onnx_node(c->o, f->p, f->n, err);
}

static const struct pb_rule formal_rules[] = {
    {4, PB_BYTES, false, "input", formal_in},
    {5, PB_BYTES, false, "output", formal_out},
    {11, PB_BYTES, false, "attribute_proto", default_attr},
};
static const struct pb_message formal_message = {
    "FunctionProto", formal_rules, sizeof formal_rules / sizeof *formal_rules};
static const struct pb_rule body_rule = {7, PB_BYTES, false, "node", body_node};
static const struct pb_message body_message = {"FunctionProto", &body_rule, 1};

static const char *prefix_of(struct bd_onnx *o, const struct bd_node *call)
{
    struct bd_str s = {0};
    bd_str_printf(&s, "%s:%zu/", call->name[0] ? call->name : call->op,
                  o->calls);
    const char *p = s.failed ? NULL : bd_arena_strdup(&o->b->arena, s.s, s.n);
    bd_str_done(&s);
    return p;
}

bd_status bd_onnx_inline(struct bd_onnx *o, const struct bd_onnx_func *fn,
                         const struct bd_node *call, struct bd_err *err)
{
    struct bd_onnx_scope *outer = o->scope;
    struct bd_shown name;
    struct call c = {.o = o, .node = call};
    c.scope.attr = call->attr;
    c.scope.nattr = call->nattr;
    c.scope.depth = outer ? outer->depth + 1 : 1;
    if (c.scope.depth > MAX_DEPTH)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "function '%s' calls itself or nests beyond %d",
                       bd_shown(&name, fn->name), MAX_DEPTH);
    o->walked += fn->n;
    if (o->walked > MAX_WALKED)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "functions unfold to more than %d MB", MAX_WALKED >> 20);
    c.scope.prefix = prefix_of(o, call);
    bd_status s = c.scope.prefix ? BD_OK : bd_draft_nomem(err);
    if (s == BD_OK)
        s = pb_walk(&formal_message, fn->p, fn->n, &c, err);
    o->scope = &c.scope;
    if (s == BD_OK)
        s = pb_walk(&body_message, fn->p, fn->n, &c, err);
    o->scope = outer;
    bd_map_done(&c.scope.map);
    bd_free(c.attr);
    return s;
}
