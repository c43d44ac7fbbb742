/* plan: decides everything that does not depend on the images, once.
 *
 * Nodes are visited in order.  Each settles its outputs' shapes; where all
 * inputs are known it is also computed, so that chains such as
 * Shape-Gather-Concat-Reshape vanish and what follows sees their values.
 * Layers are never folded: quantization must be able to reach them.
 *
 * A batch above one is tried on a copy of the plan.  It is kept only if every
 * value computed per run has the same shape but for a first dimension
 * multiplied by the batch, and the operators agree that images stay apart;
 * otherwise the network is run image by image.  So a reshape that names its
 * extents costs speed, never correctness. */
#include "graph/graph_priv.h"

#include <string.h>

/* More than this is not folded: a constant nobody stored. */
#define FOLD_MOST ((int64_t)1 << 26)

static const struct bd_tensor *bound(const struct bd_plan_opts *o, int value)
{
    for (size_t k = 0; k < o->nbound; k++)
        if (o->bound[k].value == value)
            return &o->bound[k].t;
    return NULL;
}

/* The declared input with its open dimensions settled. */
static bd_status settle_input(struct bd_tensor *t, const struct bd_value *v,
                              bool first, int64_t batch, struct bd_err *err)
{
    char name[128];
    bd_text_show(name, sizeof name, v->name, 40);
    if (t->rank < 0)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "input '%s' does not declare its shape", name);
    if (t->rank > 0 && (t->dim[0] < 0 || (first && t->dim[0] == 1)))
        t->dim[0] = batch > 0 ? batch : 1;
    for (int a = 1; a < t->rank; a++)
        if (t->dim[a] < 0)
            return bd_fail(err, BD_EUNSUPPORTED,
                           "input '%s' leaves dimension %d open", name, a);
    int64_t count;
    return bd_shape_check(&count, t->dim, t->rank, err);
}

static bd_status settle_inputs(struct bd_plan *p, const struct bd_plan_opts *o,
                               struct bd_err *err)
{
    const struct bd_model *m = p->m;
    for (size_t v = 0; v < m->nvalues; v++)
        p->val[v] = m->value[v].t;
    for (size_t k = 0; k < m->ninputs; k++) {
        int v = m->input[k];
        const struct bd_tensor *t = bound(o, v);
        if (t) {
            p->val[v] = *t;
            continue;
        }
        p->val[v].f = NULL;
        p->val[v].i = NULL;
        bd_status s =
            settle_input(&p->val[v], &m->value[v], k == 0, o->batch, err);
        if (s != BD_OK)
            return s;
    }
    return BD_OK;
}

/* Data for the outputs of a node that is computed while planning. */
static bd_status fold_room(struct bd_plan *p, struct bd_octx *c)
{
    for (int k = 0; k < c->nout; k++) {
        struct bd_tensor *t = c->out[k];
        if (c->node->out[k] < 0) { /* several may share the dump */
            c->out[k] = NULL;
            continue;
        }
        int64_t n = bd_tensor_count(t);
        if (n > FOLD_MOST)
            return bd_graph_fail(c, BD_EUNSUPPORTED,
                                 "a constant of %lld elements", (long long)n);
        void *d =
            bd_arena_alloc(&p->arena, n > 0 ? (size_t)n : 1, bd_graph_esize(t));
        if (!d)
            return bd_fail(c->err, BD_ENOMEM, "out of memory");
        if (bd_dtype_is_real(t->type))
            t->f = d;
        else
            t->i = d;
    }
    return BD_OK;
}

static bd_status fold(struct bd_plan *p, struct bd_octx *c)
{
    bd_status s = fold_room(p, c);
    if (s != BD_OK)
        return s;
    c->work = bd_alloc(1, c->scratch);
    c->kept = bd_calloc(1, c->state);
    c->stride = c->scratch;
    if (c->work && c->kept)
        s = c->op->run(c);
    else
        s = bd_fail(c->err, BD_ENOMEM, "out of memory");
    bd_free(c->work);
    bd_free(c->kept);
    return s;
}

/* All inputs known, so the node can be computed now? */
static bool foldable(const struct bd_octx *c, const struct bd_gnode *g)
{
    if (g->layer >= 0 || (c->op->flags & BD_OP_NOFOLD))
        return false;
    for (int k = 0; k < c->nin; k++)
        if (c->in[k] && !bd_graph_known(c->in[k]))
            return false;
    return true;
}

/* Arguments of node n over the plan's values; outputs nobody asked for go
 * to `dump`. */
static bd_status open_node(struct bd_plan *p, struct bd_octx *c,
                           struct bd_tensor *dump)
{
    const struct bd_node *n = c->node;
    c->in = bd_arena_alloc(&p->arena, (size_t)n->nin + 1, sizeof *c->in);
    c->out = bd_arena_alloc(&p->arena, (size_t)n->nout + 1, sizeof *c->out);
    if (!c->in || !c->out)
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    for (int k = 0; k < n->nin; k++)
        c->in[k] = n->in[k] >= 0 ? &p->val[n->in[k]] : NULL;
    for (int k = 0; k < n->nout; k++) {
        c->out[k] = n->out[k] >= 0 ? &p->val[n->out[k]] : dump;
        *c->out[k] = (struct bd_tensor){.type = BD_F32, .rank = -1};
    }
    return BD_OK;
}

static bd_status resolve_node(struct bd_plan *p, size_t i, struct bd_err *err)
{
    struct bd_gnode *g = &p->node[i];
    struct bd_tensor dump;
    struct bd_octx c = {.node = g->n,
                        .op = g->op,
                        .opset = p->m->opset,
                        .nin = g->n->nin,
                        .nout = g->n->nout,
                        .kernels = p->kernels,
                        .train = p->train,
                        .frozen = p->frozen,
                        .err = err,
                        .arena = &p->arena};
    bd_status s = open_node(p, &c, &dump);
    if (s == BD_OK)
        s = g->op->shape(&c);
    if (s != BD_OK)
        return s;
    bool known = c.nout > 0;
    for (int k = 0; k < c.nout; k++) {
        if (c.out[k]->rank < 0)
            return bd_graph_fail(&c, BD_EUNSUPPORTED,
                                 "its output %d is not supported", k);
        known = known && bd_graph_known(c.out[k]);
    }
    g->param = c.param;
    if (!known && foldable(&c, g)) {
        s = fold(p, &c);
        known = true;
    }
    g->skip = known;
    g->scratch = c.scratch;
    g->back_scratch = c.back_scratch;
    g->state = c.state;
    g->macs = c.macs;
    p->mixes = p->mixes || (c.mixes && !known);
    return s;
}

static bool feeds(const struct bd_node *n, const bool *wanted)
{
    for (int k = 0; k < n->nout; k++)
        if (n->out[k] >= 0 && wanted[n->out[k]])
            return true;
    return false;
}

/* Nodes from which no output can be reached are not run. */
static bd_status skip_dead(struct bd_plan *p, struct bd_err *err)
{
    const struct bd_model *m = p->m;
    bool *wanted = bd_calloc(m->nvalues + 1, sizeof *wanted);
    if (!wanted)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t k = 0; k < m->noutputs; k++)
        wanted[m->output[k]] = true;
    for (size_t i = m->nnodes; i-- > 0;) {
        struct bd_gnode *g = &p->node[i];
        g->skip = g->skip || !feeds(g->n, wanted);
        for (int k = 0; !g->skip && k < g->n->nin; k++)
            if (g->n->in[k] >= 0)
                wanted[g->n->in[k]] = true;
    }
    bd_free(wanted);
    return BD_OK;
}

static bd_status open_plan(struct bd_plan *p, struct bd_err *err)
{
    const struct bd_model *m = p->m;
    p->val = bd_arena_alloc(&p->arena, m->nvalues + 1, sizeof *p->val);
    p->node = bd_arena_alloc(&p->arena, m->nnodes + 1, sizeof *p->node);
    if (!p->val || !p->node)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->nnodes; i++) {
        p->node[i].n = &m->node[i];
        p->node[i].op = bd_graph_op(m->node[i].op);
        p->node[i].layer = -1;
        if (p->most_in < m->node[i].nin)
            p->most_in = m->node[i].nin;
        if (p->most_out < m->node[i].nout)
            p->most_out = m->node[i].nout;
    }
    for (size_t k = 0; k < m->nlayers; k++)
        if (m->layer[k].node >= 0)
            p->node[m->layer[k].node].layer = (int)k;
    return BD_OK;
}

static void measure(struct bd_plan *p)
{
    for (size_t i = 0; i < p->m->nnodes; i++) {
        struct bd_gnode *g = &p->node[i];
        if (g->skip)
            continue;
        if (p->scratch < g->scratch)
            p->scratch = g->scratch;
        if (p->back_scratch < g->back_scratch)
            p->back_scratch = g->back_scratch;
        g->state_at = p->state;
        p->state += (g->state + 63) / 64 * 64;
    }
    for (size_t k = 0; k < p->m->nlayers; k++) {
        if (p->m->layer[k].input < 0)
            continue;
        int64_t n = bd_tensor_count(&p->val[p->m->layer[k].input]);
        if (n > 0 && p->quantized < (size_t)n)
            p->quantized = (size_t)n;
    }
}

/* Images per run: the first dimension input and output agree on. */
static int64_t find_batch(const struct bd_plan *p)
{
    if (!p->m->ninputs || !p->m->noutputs)
        return 1;
    const struct bd_tensor *x = &p->val[p->m->input[0]];
    const struct bd_tensor *y = &p->val[p->m->output[0]];
    if (x->rank < 2 || y->rank < 1 || x->dim[0] != y->dim[0])
        return 1;
    return x->dim[0];
}

static bd_status build(struct bd_plan **out, const struct bd_model *m,
                       const struct bd_plan_opts *o, struct bd_err *err)
{
    struct bd_plan *p = bd_calloc(1, sizeof *p);
    if (!p)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    p->m = m;
    p->kernels = o->kernels ? o->kernels : bd_kernels_best();
    p->train = o->train;
    p->frozen = o->frozen;
    p->keep = o->keep || o->train;
    bd_status s = open_plan(p, err);
    if (s == BD_OK)
        s = settle_inputs(p, o, err);
    for (size_t i = 0; s == BD_OK && i < m->nnodes; i++)
        s = resolve_node(p, i, err);
    if (s == BD_OK)
        s = skip_dead(p, err);
    if (s == BD_OK)
        s = bd_graph_place(p, err);
    if (s != BD_OK) {
        bd_plan_free(p);
        return s;
    }
    measure(p);
    p->batch = find_batch(p);
    *out = p;
    return BD_OK;
}

/* Does `wide` do to b images what `one` does to one?  See the top. */
static bool same_but_batch(const struct bd_plan *wide,
                           const struct bd_plan *one, int64_t b)
{
    if (wide->mixes || wide->batch != b)
        return false;
    for (size_t v = 0; v < one->m->nvalues; v++) {
        const struct bd_tensor *s = &one->val[v], *t = &wide->val[v];
        if (one->offset[v] == BD_NOWHERE)
            continue;
        if (s->rank != t->rank || s->rank < 1 || t->dim[0] != s->dim[0] * b)
            return false;
        for (int a = 1; a < s->rank; a++)
            if (s->dim[a] != t->dim[a])
                return false;
    }
    return true;
}

static bd_status refuse_unknown(const struct bd_model *m, struct bd_err *err)
{
    struct bd_str names = {0};
    bd_graph_unsupported(&names, m);
    bd_status s = BD_OK;
    if (names.failed)
        s = bd_fail(err, BD_ENOMEM, "out of memory");
    else if (names.n)
        s = bd_fail(err, BD_EUNSUPPORTED, "operators not supported: %s",
                    names.s);
    bd_str_done(&names);
    return s;
}

bd_status bd_plan_new(struct bd_plan **out, const struct bd_model *m,
                      const struct bd_plan_opts *o, struct bd_err *err)
{
    const struct bd_plan_opts none = {0};
    struct bd_plan_opts opts = o ? *o : none;
    bd_status s = refuse_unknown(m, err);
    if (s != BD_OK)
        return s;
    if (opts.batch <= 1 || opts.train)
        return build(out, m, &opts, err);
    struct bd_plan *wide = NULL, *one = NULL;
    struct bd_err ignored = {0};
    s = build(&wide, m, &opts, &ignored);
    int64_t b = opts.batch;
    opts.batch = 1;
    bd_status s1 = build(&one, m, &opts, err);
    if (s1 == BD_OK && s == BD_OK && same_but_batch(wide, one, b)) {
        *out = wide;
        bd_plan_free(one);
        return BD_OK;
    }
    bd_plan_free(wide);
    if (s1 == BD_OK)
        *out = one;
    return s1;
}

void bd_plan_free(struct bd_plan *p)
{
    if (!p)
        return;
    bd_arena_done(&p->arena);
    bd_free(p);
}

int64_t bd_plan_batch(const struct bd_plan *p)
{
    return p->batch;
}

const struct bd_tensor *bd_plan_value(const struct bd_plan *p, int value)
{
    return &p->val[value];
}

int64_t bd_plan_macs(const struct bd_plan *p, int node)
{
    return p->node[node].macs / p->batch;
}
