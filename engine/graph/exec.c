/* exec: one thread's numbers for a plan.  A node's arguments are bound just
 * before it runs: constants come from the model unless replaced, and a
 * layer's quantized input is written to a buffer of its own, so that other
 * readers of the same activation (an identity shortcut) see it unquantized. */
#include "graph/graph_priv.h"

#include <string.h>

static void place_values(struct bd_exec *e)
{
    const struct bd_plan *p = e->p;
    for (size_t v = 0; v < p->m->nvalues; v++) {
        e->val[v] = p->val[v];
        if (p->offset[v] == BD_NOWHERE)
            continue;
        char *at = e->block + p->offset[v];
        e->val[v].f = NULL;
        e->val[v].i = NULL;
        if (bd_dtype_is_real(p->val[v].type))
            e->val[v].f = (float *)(void *)at;
        else
            e->val[v].i = (int64_t *)(void *)at;
    }
}

bd_status bd_exec_new(struct bd_exec **out, const struct bd_plan *p,
                      struct bd_err *err)
{
    struct bd_exec *e = bd_calloc(1, sizeof *e);
    if (!e)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    size_t nin = (size_t)p->most_in + 1, nout = (size_t)p->most_out + 1;
    e->p = p;
    e->block = bd_calloc(1, p->block + 64);
    e->state = bd_calloc(1, p->state + 64);
    e->qinput = bd_alloc(p->quantized + 16, sizeof *e->qinput);
    e->val = bd_calloc(p->m->nvalues + 1, sizeof *e->val);
    e->in = bd_calloc(nin, sizeof *e->in);
    e->tmp = bd_calloc(nin, sizeof *e->tmp);
    e->out = bd_calloc(nout, sizeof *e->out);
    bd_status s = BD_OK;
    if (!e->block || !e->state || !e->qinput || !e->val || !e->in || !e->tmp ||
        !e->out)
        s = bd_fail(err, BD_ENOMEM, "out of memory");
    if (s == BD_OK)
        s = bd_graph_workers(e, NULL, err);
    if (s != BD_OK) {
        bd_exec_free(e);
        return s;
    }
    place_values(e);
    *out = e;
    return BD_OK;
}

void bd_exec_free(struct bd_exec *e)
{
    if (!e)
        return;
    bd_graph_grad_free(e);
    bd_free(e->block);
    bd_free(e->state);
    bd_free(e->work);
    bd_free(e->qinput);
    bd_free(e->val);
    bd_free(e->in);
    bd_free(e->tmp);
    bd_free(e->out);
    bd_free(e);
}

bd_status bd_graph_workers(struct bd_exec *e, const struct bd_pool *pool,
                           struct bd_err *err)
{
    int n = pool ? bd_pool_threads(pool) : 1;
    size_t most = e->p->scratch;
    if (e->p->train && most < e->p->back_scratch)
        most = e->p->back_scratch;
    if (n <= e->workers)
        return BD_OK;
    bd_free(e->work);
    e->workers = 0;
    e->stride = (most + 63) / 64 * 64 + 64;
    e->work = bd_alloc((size_t)n, e->stride);
    if (!e->work)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    e->workers = n;
    return BD_OK;
}

float *bd_exec_input(struct bd_exec *e, int which)
{
    if (which < 0 || (size_t)which >= e->p->m->ninputs)
        return NULL;
    return e->val[e->p->m->input[which]].f;
}

const struct bd_tensor *bd_exec_value(const struct bd_exec *e, int value)
{
    return &e->val[value];
}

/* Input k of node i with what the run puts in its place. */
static const struct bd_tensor *
bind_input(struct bd_exec *e, const struct bd_exec_run *r, size_t i, int k)
{
    const struct bd_gnode *g = &e->p->node[i];
    int v = g->n->in[k];
    if (v < 0)
        return NULL;
    const struct bd_tensor *t = &e->val[v];
    const float *replace = r->override ? r->override[v] : NULL;
    if (r->q && g->layer >= 0 && v == e->p->m->layer[g->layer].weight &&
        r->q[g->layer].w)
        replace = r->q[g->layer].w;
    if (!replace || !t->f)
        return t;
    e->tmp[k] = *t;
    /* Operators only read their inputs; the view's pointer is not const. */
    memcpy(&e->tmp[k].f, &replace, sizeof replace);
    return &e->tmp[k];
}

/* The layer's quantized input, in place of the activation itself. */
static void bind_quantized(struct bd_octx *c, struct bd_exec *e,
                           const struct bd_exec_run *r, int layer)
{
    int v = e->p->m->layer[layer].input;
    const struct bd_tensor *x = &e->val[v];
    if (v < 0 || !x->f)
        return;
    bd_graph_quantize(e->qinput, x->f,
                      bd_graph_input_slices(e->p->m, layer, x), &r->q[layer]);
    for (int k = 0; k < c->nin; k++) {
        if (c->node->in[k] != v)
            continue;
        e->tmp[k] = *x;
        e->tmp[k].f = e->qinput;
        c->in[k] = &e->tmp[k];
    }
}

void bd_graph_bind(struct bd_octx *c, struct bd_exec *e,
                   const struct bd_exec_run *r, size_t i)
{
    const struct bd_gnode *g = &e->p->node[i];
    *c = (struct bd_octx){.node = g->n,
                          .op = g->op,
                          .opset = e->p->m->opset,
                          .nin = g->n->nin,
                          .nout = g->n->nout,
                          .in = e->in,
                          .out = e->out,
                          .param = g->param,
                          .kernels = e->p->kernels,
                          .train = e->p->train,
                          .pool = r->pool,
                          .work = e->work,
                          .stride = e->stride,
                          .kept = e->state + g->state_at};
    for (int k = 0; k < c->nin; k++)
        e->in[k] = bind_input(e, r, i, k);
    for (int k = 0; k < c->nout; k++)
        e->out[k] = g->n->out[k] >= 0 ? &e->val[g->n->out[k]] : NULL;
    if (r->q && g->layer >= 0 && r->q[g->layer].a)
        bind_quantized(c, e, r, g->layer);
}

static void observe(const struct bd_exec *e, const struct bd_exec_run *r,
                    int layer)
{
    const struct bd_layer *l = &e->p->m->layer[layer];
    const struct bd_node *n = &e->p->m->node[l->node];
    if (l->input >= 0 && n->nout > 0 && n->out[0] >= 0)
        r->observe(r->arg, layer, &e->val[l->input], &e->val[n->out[0]]);
}

bd_status bd_graph_exec_range(struct bd_exec *e, const struct bd_exec_run *r,
                              size_t from, size_t to, struct bd_err *err)
{
    for (size_t i = from; i < to; i++) {
        const struct bd_gnode *g = &e->p->node[i];
        struct bd_octx c;
        if (g->skip)
            continue;
        bd_graph_bind(&c, e, r, i);
        c.err = err;
        bool shared = (g->op->flags & BD_OP_ALIAS) && c.in[0] && c.out[0] &&
                      bd_graph_data(c.in[0]) == bd_graph_data(c.out[0]);
        bd_status s = shared ? BD_OK : g->op->run(&c);
        if (s != BD_OK)
            return s;
        if (r->observe && g->layer >= 0)
            observe(e, r, g->layer);
    }
    return BD_OK;
}

bd_status bd_exec_run_part(struct bd_exec *e, const struct bd_exec_run *r,
                           size_t from, size_t to, struct bd_err *err)
{
    const struct bd_exec_run none = {0};
    if (!r)
        r = &none;
    if (to > e->p->m->nnodes)
        to = e->p->m->nnodes;
    bd_status s = bd_graph_workers(e, r->pool, err);
    if (s == BD_OK)
        s = bd_graph_exec_range(e, r, from, to, err);
    return s;
}

bd_status bd_exec_run(struct bd_exec *e, const struct bd_exec_run *r,
                      struct bd_err *err)
{
    return bd_exec_run_part(e, r, 0, e->p->m->nnodes, err);
}
