/* The draft of a network: values by name, nodes in the order they came.
 * Used by callers who build architectures and by every loader. */
#include "model/model_priv.h"

#include <stdio.h>
#include <string.h>

bool bd_ints_add(struct bd_ints *l, int x)
{
    void *p = l->v;
    if (!bd_grow(&p, &l->cap, l->n + 1, sizeof *l->v))
        return false;
    l->v = p;
    l->v[l->n++] = x;
    return true;
}

const char *bd_shown(struct bd_shown *o, const char *name)
{
    return bd_text_show(o->s, sizeof o->s, name, 0);
}

bd_status bd_draft_nomem(struct bd_err *err)
{
    return bd_fail(err, BD_ENOMEM, "not enough memory for the model");
}

/* ------------------------------------------------------- names to values */

int bd_draft_find(const struct bd_builder *b, const char *name, size_t n)
{
    return bd_map_get(&b->names, name, n);
}

static int new_value(struct bd_builder *b, const char *name, size_t n)
{
    void *p = b->value;
    if (b->nvalues >= (size_t)4 * BD_MAX_ITEMS ||
        !bd_grow(&p, &b->capvalues, b->nvalues + 1, sizeof *b->value))
        return -1;
    b->value = p;
    char *copy = bd_arena_strdup(&b->arena, name, n);
    if (!copy || !bd_map_put(&b->names, copy, n, (int)b->nvalues))
        return -1;
    struct bd_value *v = &b->value[b->nvalues];
    memset(v, 0, sizeof *v);
    v->name = copy;
    v->t.rank = -1;
    v->producer = -1;
    v->origin = -1;
    return (int)b->nvalues++;
}

int bd_draft_value(struct bd_builder *b, const char *name, size_t n)
{
    int v = bd_draft_find(b, name, n);
    if (v < 0 && !b->failed) {
        v = new_value(b, name, n);
        b->failed = v < 0;
    }
    return v;
}

/* A name nobody has yet: `name`, or name_2, name_3, ... */
static int fresh_value(struct bd_builder *b, const char *name)
{
    struct bd_str s = {0};
    bd_str_puts(&s, name);
    for (int k = 2; !s.failed && bd_draft_find(b, s.s, s.n) >= 0; k++) {
        s.n = 0;
        bd_str_printf(&s, "%s_%d", name, k);
    }
    int v = -1;
    if (s.failed)
        b->failed = true;
    else
        v = bd_draft_value(b, s.s ? s.s : "", s.n);
    bd_str_done(&s);
    return v;
}

/* --------------------------------------------------------------- the rest */

int bd_draft_node(struct bd_builder *b, const struct bd_node *node)
{
    void *p = b->node;
    if (b->failed || b->nnodes >= BD_MAX_ITEMS ||
        !bd_grow(&p, &b->capnodes, b->nnodes + 1, sizeof *b->node)) {
        b->failed = true;
        return -1;
    }
    b->node = p;
    b->node[b->nnodes] = *node;
    return (int)b->nnodes++;
}

void bd_draft_warn(struct bd_builder *b, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    void *p = b->warnings.v;
    char *copy = bd_arena_strdup(&b->arena, text, strlen(text));
    if (!copy || !bd_grow(&p, &b->warnings.cap, b->warnings.n + 1,
                          sizeof *b->warnings.v)) {
        b->failed = true;
        return;
    }
    b->warnings.v = p;
    b->warnings.v[b->warnings.n++] = copy;
}

struct bd_builder *bd_builder_new(void)
{
    struct bd_builder *b = bd_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->path = b->arch = "";
    b->format = "built";
    b->opset = 13;
    return b;
}

void bd_builder_free(struct bd_builder *b)
{
    if (!b)
        return;
    bd_file_unmap(&b->map);
    bd_arena_done(&b->arena);
    bd_free(b->value);
    bd_free(b->node);
    bd_free(b->input.v);
    bd_free(b->output.v);
    bd_map_done(&b->names);
    bd_free(b->warnings.v);
    bd_free(b);
}

int bd_build_input(struct bd_builder *b, const char *name, const int64_t *dim,
                   int rank)
{
    int v = fresh_value(b, name);
    if (v < 0 || rank < 0 || rank > BD_MAX_RANK || !bd_ints_add(&b->input, v)) {
        b->failed = true;
        return -1;
    }
    struct bd_tensor *t = &b->value[v].t;
    t->type = BD_F32;
    t->rank = rank;
    for (int d = 0; d < rank; d++)
        t->dim[d] = dim[d];
    return v;
}

int bd_build_const(struct bd_builder *b, const char *name,
                   const struct bd_tensor *t)
{
    int v = fresh_value(b, name);
    if (v < 0)
        return -1;
    b->value[v].t = *t;
    b->value[v].initializer = true;
    return v;
}

static bool copy_bytes(struct bd_arena *a, const void **p, size_t n,
                       size_t size)
{
    if (!*p)
        return true;
    void *q = bd_arena_alloc(a, n ? n : 1, size);
    if (!q)
        return false;
    if (n)
        memcpy(q, *p, n * size);
    *p = q;
    return true;
}

static bool copy_text(struct bd_arena *a, const char **s)
{
    if (*s)
        *s = bd_arena_strdup(a, *s, strlen(*s));
    return *s != NULL;
}

/* Attributes handed in by callers live on their stack: copied whole. */
static bool copy_attr(struct bd_arena *a, struct bd_attr *t)
{
    const void *ints = t->ints, *floats = t->floats;
    bool ok = copy_text(a, &t->name) && (!t->s || copy_text(a, &t->s)) &&
              copy_bytes(a, &ints, t->n, sizeof *t->ints) &&
              copy_bytes(a, &floats, t->n, sizeof *t->floats);
    t->ints = ints;
    t->floats = floats;
    return ok;
}

static bool copy_node(struct bd_builder *b, struct bd_node *n, int out)
{
    const void *in = n->in, *outs = &out, *attr = n->attr;
    bool ok = copy_text(&b->arena, &n->name) && copy_text(&b->arena, &n->op) &&
              copy_bytes(&b->arena, &in, (size_t)n->nin, sizeof(int)) &&
              copy_bytes(&b->arena, &outs, 1, sizeof(int)) &&
              copy_bytes(&b->arena, &attr, n->nattr, sizeof *n->attr);
    if (!ok)
        return false;
    n->in = in;
    n->out = outs;
    struct bd_attr *own = NULL;
    if (n->nattr) {
        own = bd_arena_alloc(&b->arena, n->nattr, sizeof *own);
        if (!own)
            return false;
        memcpy(own, attr, n->nattr * sizeof *own);
    }
    for (size_t i = 0; i < n->nattr; i++)
        if (!copy_attr(&b->arena, &own[i]))
            return false;
    n->attr = own;
    return true;
}

int bd_build_node(struct bd_builder *b, const char *op, const char *name,
                  const int *in, int nin, const struct bd_attr *attr,
                  size_t nattr)
{
    for (int i = 0; i < nin; i++)
        if (in[i] < -1 || in[i] >= (int)b->nvalues)
            b->failed = true;
    struct bd_str s = {0};
    bd_str_printf(&s, "%s_out", name);
    int out = s.failed || b->failed ? -1 : fresh_value(b, s.s);
    bd_str_done(&s);
    struct bd_node n = {.name = name,
                        .op = op,
                        .nin = nin,
                        .nout = 1,
                        .in = in,
                        .nattr = nattr,
                        .attr = attr};
    if (out < 0 || !copy_node(b, &n, out)) {
        b->failed = true;
        return -1;
    }
    int k = bd_draft_node(b, &n);
    if (k < 0)
        return -1;
    b->value[out].producer = k;
    return out;
}

void bd_build_output(struct bd_builder *b, int value)
{
    if (value < 0 || !bd_ints_add(&b->output, value))
        b->failed = true;
}

static bool copy_constants(struct bd_builder *b)
{
    for (size_t v = 0; v < b->nvalues; v++) {
        struct bd_tensor *t = &b->value[v].t;
        int64_t n = t->f || t->i ? bd_tensor_count(t) : 0;
        const void *f = t->f, *i = t->i;
        if (!copy_bytes(&b->arena, &f, (size_t)n, sizeof *t->f) ||
            !copy_bytes(&b->arena, &i, (size_t)n, sizeof *t->i))
            return false;
        /* The copies are ours; the views in bd_tensor are not const. */
        t->f = f ? (float *)(uintptr_t)f : NULL;
        t->i = i ? (int64_t *)(uintptr_t)i : NULL;
    }
    return true;
}

bd_status bd_build_finish(struct bd_model **out, struct bd_builder *b,
                          bool copy, struct bd_err *err)
{
    bd_status s = BD_ENOMEM;
    if (b->failed || (copy && !copy_constants(b)))
        bd_draft_nomem(err);
    else
        s = bd_draft_finish(out, b, err);
    bd_builder_free(b);
    return s;
}
