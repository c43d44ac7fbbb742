/* A model with some constants replaced, for repairs.  The new model shares
 * everything else with its base: nodes, names, and the data nobody touched.
 * So it costs what was replaced, and the base has to outlive it.
 *
 * The digest follows from the base's digest and the new bytes: the same
 * repair of the same file gives the same digest, anything else another. */
#include "model/model_priv.h"

#include <math.h>
#include <string.h>

struct patching {
    struct bd_model *m;
    struct bd_value *value;
    struct bd_node *node;   /* NULL until a node gets a bias */
    struct bd_layer *layer;
    struct bd_err *err;
};

static void *copy_of(struct patching *p, const void *from, size_t n,
                     size_t room, size_t size)
{
    void *to = bd_arena_alloc(&p->m->arena, room ? room : 1, size);
    if (to && n > 0)
        memcpy(to, from, n * size);
    return to;
}

static float *own_data(struct patching *p, const float *from, int64_t n)
{
    return copy_of(p, from, (size_t)n, (size_t)n, sizeof *from);
}

/* Output channels; a ConvTranspose holds them per group. */
static int64_t outputs_of(const struct bd_model *m, int layer)
{
    const struct bd_layer *l = &m->layer[layer];
    int64_t n = m->value[l->weight].t.dim[l->axis];
    bool groups = l->node >= 0 &&
                  strcmp(m->node[l->node].op, "ConvTranspose") == 0;
    return groups ? n * l->group : n;
}

static bd_status replace(struct patching *p, const struct bd_patch *c)
{
    struct bd_shown o;
    if ((size_t)c->value >= p->m->nvalues || !p->value[c->value].t.f)
        return bd_fail(p->err, BD_EINVALID,
                       "value %d holds no real constant to replace",
                       c->value);
    struct bd_tensor *t = &p->value[c->value].t;
    t->f = own_data(p, c->data, bd_tensor_count(t));
    if (!t->f)
        return bd_fail(p->err, BD_ENOMEM, "out of memory for '%s'",
                       bd_shown(&o, p->value[c->value].name));
    p->m->digest = bd_digest(&c->value, sizeof c->value, p->m->digest);
    p->m->digest = bd_digest(
        t->f, (size_t)bd_tensor_count(t) * sizeof *t->f, p->m->digest);
    return BD_OK;
}

/* "conv1.bias", or with a number where the file has that already. */
static const char *bias_name(struct patching *p, int layer)
{
    for (int k = 1;; k++) {
        struct bd_str s = {0};
        bd_str_printf(&s, "%s.bias", p->layer[layer].name);
        if (k > 1)
            bd_str_printf(&s, "_%d", k);
        bool free_name = s.failed || bd_model_find_value(p->m, s.s) < 0;
        const char *name = free_name && !s.failed
                               ? bd_arena_strdup(&p->m->arena, s.s, s.n)
                               : NULL;
        bd_str_done(&s);
        if (free_name)
            return name;
    }
}

/* The node gets a third input; all its other edges stay. */
static bool attach(struct patching *p, int node, int value)
{
    if (!p->node)
        p->node = copy_of(p, p->m->node, p->m->nnodes, p->m->nnodes,
                          sizeof *p->node);
    struct bd_node *n = p->node ? &p->node[node] : NULL;
    int *in = n ? copy_of(p, n->in, 2, 3, sizeof *in) : NULL;
    if (!in)
        return false;
    in[2] = value;
    n->in = in;
    n->nin = 3;
    p->m->node = p->node;
    return true;
}

static bd_status add_bias(struct patching *p, const struct bd_patch *c)
{
    struct bd_layer *l = &p->layer[c->layer];
    int64_t n = outputs_of(p->m, c->layer);
    int v = (int)p->m->nvalues;
    struct bd_shown o;
    const char *op = l->node >= 0 ? p->m->node[l->node].op : "";
    if (l->bias >= 0 || l->node < 0 || strcmp(op, "MatMul") == 0 ||
        p->m->node[l->node].nin > 3)
        return bd_fail(p->err, BD_EINVALID,
                       "layer '%s' takes no new bias",
                       bd_shown(&o, l->name));
    struct bd_value *x = &p->value[v];
    *x = (struct bd_value){.name = bias_name(p, c->layer),
                           .producer = -1, .origin = -1,
                           .initializer = true};
    x->t = (struct bd_tensor){.rank = 1, .dim = {n}, .type = BD_F32};
    x->t.f = own_data(p, c->data, n);
    if (!x->name || !x->t.f || !attach(p, l->node, v))
        return bd_fail(p->err, BD_ENOMEM, "out of memory for a bias");
    l->bias = v;
    p->m->nvalues++;
    p->m->params += n;
    p->m->digest = bd_digest(&c->layer, sizeof c->layer, p->m->digest + 1);
    p->m->digest = bd_digest(x->t.f, (size_t)n * sizeof *x->t.f,
                             p->m->digest);
    return BD_OK;
}

/* Clips learned with weights that are no longer those weights. */
static void forget(struct patching *p, const unsigned char *what)
{
    for (size_t i = 0; what && i < p->m->nlayers; i++) {
        if (what[i] & BD_FORGET_W)
            p->layer[i].learned_w = NAN;
        if (what[i] & BD_FORGET_A)
            p->layer[i].learned_a = NAN;
    }
}

static bd_status start(struct patching *p, const struct bd_model *base,
                       size_t patches)
{
    p->m = bd_calloc(1, sizeof *p->m);
    if (!p->m)
        return bd_draft_nomem(p->err);
    *p->m = *base;
    p->m->arena = (struct bd_arena){0};
    p->m->map = (struct bd_file){0};
    p->value = copy_of(p, base->value, base->nvalues,
                       base->nvalues + patches, sizeof *p->value);
    p->layer = copy_of(p, base->layer, base->nlayers, base->nlayers,
                       sizeof *p->layer);
    if (!p->value || !p->layer)
        return bd_draft_nomem(p->err);
    p->m->value = p->value;
    p->m->layer = p->layer;
    return BD_OK;
}

bd_status bd_model_patched(struct bd_model **out, const struct bd_model *base,
                           const struct bd_patches *c, struct bd_err *err)
{
    struct patching p = {.err = err};
    bd_status st = start(&p, base, c->n);
    for (size_t i = 0; st == BD_OK && i < c->n; i++)
        st = c->patch[i].value >= 0 ? replace(&p, &c->patch[i])
                                    : add_bias(&p, &c->patch[i]);
    if (st != BD_OK) {
        bd_model_free(p.m);
        return st;
    }
    forget(&p, c->forget);
    *out = p.m;
    return BD_OK;
}
