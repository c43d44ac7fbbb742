/* backward: gradients through a train plan, last node first.
 *
 * An activation read by several nodes gets its gradient from each.  The
 * first to arrive writes it; later ones write to a spare buffer which is
 * added.  Gradients of constants accumulate in the operators themselves, over
 * as many backward passes as the caller likes. */
#include "graph/graph_priv.h"

#include <string.h>

void bd_graph_grad_free(struct bd_exec *e)
{
    for (size_t v = 0; e->grad && v < e->p->m->nvalues; v++)
        bd_free(e->grad[v]);
    bd_free(e->grad);
    bd_free(e->written);
    bd_free(e->din);
    bd_free(e->dout);
    bd_free(e->acc);
    bd_free(e->spare);
    e->grad = NULL;
}

static bool is_constant(const struct bd_plan *p, int v)
{
    return p->offset[v] == BD_NOWHERE;
}

/* Activations that are computed, and constants; the images only on request. */
static bool wants_grad(const struct bd_exec *e, int v)
{
    const struct bd_plan *p = e->p;
    if (!bd_dtype_is_real(p->val[v].type))
        return false;
    return is_constant(p, v) || e->to_inputs || p->m->value[v].producer >= 0;
}

/* Marks the nodes between anything that wants a gradient and the loss. */
static void mark(const struct bd_exec *e, bool *leads, int loss)
{
    const struct bd_plan *p = e->p;
    memset(leads, 0, p->m->nvalues * sizeof *leads);
    leads[loss] = true;
    for (size_t i = p->m->nnodes; i-- > 0;) {
        const struct bd_node *n = p->node[i].n;
        bool used = false;
        for (int k = 0; !p->node[i].skip && k < n->nout; k++)
            used = used || (n->out[k] >= 0 && leads[n->out[k]]);
        for (int k = 0; used && k < n->nin; k++)
            if (n->in[k] >= 0 && wants_grad(e, n->in[k]))
                leads[n->in[k]] = true;
    }
}

/* Buffers once, on the first backward pass. */
static bd_status open_grads(struct bd_exec *e, int loss, struct bd_err *err)
{
    const struct bd_plan *p = e->p;
    size_t nv = p->m->nvalues + 1, most = 0;
    e->grad = bd_calloc(nv, sizeof *e->grad);
    e->written = bd_calloc(nv, sizeof *e->written);
    e->din = bd_calloc((size_t)p->most_in + 1, sizeof *e->din);
    e->acc = bd_calloc((size_t)p->most_in + 1, sizeof *e->acc);
    e->dout = bd_calloc((size_t)p->most_out + 1, sizeof *e->dout);
    if (!e->grad || !e->written || !e->din || !e->acc || !e->dout)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    mark(e, e->written, loss);
    for (size_t v = 0; v + 1 < nv; v++) {
        size_t n = (size_t)bd_tensor_count(&p->val[v]);
        if (!e->written[v])
            continue;
        e->grad[v] = bd_calloc(n ? n : 1, sizeof **e->grad);
        if (!e->grad[v])
            return bd_fail(err, BD_ENOMEM, "out of memory");
        if (!is_constant(p, (int)v) && most < n)
            most = n;
    }
    e->spare = bd_alloc(most + 1, sizeof *e->spare);
    return e->spare ? BD_OK : bd_fail(err, BD_ENOMEM, "out of memory");
}

/* Where each input's gradient goes.  Returns whether any is wanted. */
static bool bind_grads(struct bd_octx *c, struct bd_exec *e)
{
    const struct bd_node *n = c->node;
    bool any = false, spare_used = false;
    for (int k = 0; k < c->nin; k++) {
        int v = n->in[k];
        e->din[k] = v >= 0 ? e->grad[v] : NULL;
        e->acc[k] = v >= 0 && is_constant(e->p, v);
        if (!e->din[k])
            continue;
        any = true;
        if (e->acc[k] || (!e->written[v] && !spare_used))
            continue;
        e->din[k] = e->spare;
        spare_used = true;
    }
    for (int k = 0; k < c->nout; k++) {
        int v = n->out[k];
        e->dout[k] = v >= 0 && e->written[v] ? e->grad[v] : NULL;
    }
    c->din = e->din;
    c->dout = e->dout;
    c->acc = e->acc;
    return any && c->nout > 0 && e->dout[0];
}

struct sum {
    float *y;
    const float *x;
    int64_t n;
};
enum { PIECE = 1 << 16 };

static bool add_piece(void *arg, int64_t i, int worker)
{
    const struct sum *s = arg;
    int64_t end = (i + 1) * PIECE < s->n ? (i + 1) * PIECE : s->n;
    (void)worker;
    for (int64_t k = i * PIECE; k < end; k++)
        s->y[k] += s->x[k];
    return true;
}

/* Before the gradients of several readers become one. */
static void tell(const struct bd_octx *c, struct bd_exec *e,
                 const struct bd_exec_run *r, int layer)
{
    const struct bd_layer *l = &e->p->m->layer[layer];
    const float *input = NULL;
    float *weight = NULL;
    for (int k = 0; k < c->nin; k++) {
        if (c->node->in[k] == l->input)
            input = e->din[k];
        if (c->node->in[k] == l->weight)
            weight = e->din[k];
    }
    r->gradient(r->arg, layer, input, weight);
}

static void settle(const struct bd_octx *c, struct bd_exec *e)
{
    for (int k = 0; k < c->nin; k++) {
        int v = c->node->in[k];
        if (!e->din[k] || e->acc[k])
            continue;
        if (e->din[k] == e->spare) {
            struct sum s = {e->grad[v], e->spare,
                            bd_tensor_count(&e->p->val[v])};
            bd_graph_for(c, (s.n + PIECE - 1) / PIECE, add_piece, &s);
        }
        e->written[v] = true;
    }
}

/* x + x and the like would need two spare buffers. */
static bd_status refuse_doubled(const struct bd_octx *c,
                                const struct bd_exec *e)
{
    int spares = 0;
    for (int k = 0; k < c->nin; k++)
        spares += e->din[k] == e->spare;
    for (int k = 0; k < c->nin; k++)
        for (int j = 0; j < k; j++)
            if (e->din[k] && e->din[k] != e->spare && e->din[j] == e->din[k])
                spares = 2;
    if (spares < 2)
        return BD_OK;
    return bd_graph_fail(c, BD_EUNSUPPORTED, "training with two shared inputs");
}

static bd_status back_node(struct bd_exec *e, const struct bd_exec_run *r,
                           size_t i, struct bd_err *err)
{
    struct bd_octx c;
    bd_graph_bind(&c, e, r, i);
    c.err = err;
    if (!bind_grads(&c, e))
        return BD_OK;
    if (!c.op->backward)
        return bd_graph_fail(&c, BD_EUNSUPPORTED,
                             "it has no gradient for training");
    bd_status s = refuse_doubled(&c, e);
    if (s == BD_OK)
        s = c.op->backward(&c);
    if (s != BD_OK)
        return s;
    if (r->gradient && e->p->node[i].layer >= 0)
        tell(&c, e, r, e->p->node[i].layer);
    settle(&c, e);
    return BD_OK;
}

bd_status bd_exec_backward(struct bd_exec *e, const struct bd_exec_run *r,
                           int loss_value, const float *seed,
                           struct bd_err *err)
{
    const struct bd_exec_run none = {0};
    const struct bd_plan *p = e->p;
    bd_status s = BD_OK;
    if (!r)
        r = &none;
    if (!p->train || is_constant(p, loss_value))
        return bd_fail(err, BD_EINVALID,
                       "gradients need a plan made for training");
    if (!e->grad || !e->spare) {
        e->to_inputs = r->gradient != NULL;
        s = open_grads(e, loss_value, err);
    }
    if (s == BD_OK)
        s = bd_graph_workers(e, r->pool, err);
    if (s != BD_OK)
        return s;
    memset(e->written, 0, p->m->nvalues * sizeof *e->written);
    size_t n = (size_t)bd_tensor_count(&p->val[loss_value]);
    memcpy(e->grad[loss_value], seed, n * sizeof *seed);
    e->written[loss_value] = true;
    for (size_t i = p->m->nnodes; s == BD_OK && i-- > 0;)
        if (!p->node[i].skip)
            s = back_node(e, r, i, err);
    return s;
}

float *bd_exec_grad(struct bd_exec *e, int value)
{
    return e->grad ? e->grad[value] : NULL;
}

void bd_exec_grad_zero(struct bd_exec *e)
{
    for (size_t v = 0; e->grad && v < e->p->m->nvalues; v++)
        if (e->grad[v])
            memset(e->grad[v], 0,
                   (size_t)bd_tensor_count(&e->p->val[v]) * sizeof(float));
}

bool bd_exec_bn_stats(const struct bd_exec *e, int node, const float **mean,
                      const float **var, int64_t *count)
{
    const struct bd_gnode *g = &e->p->node[node];
    if (!e->p->train || e->p->frozen || g->skip ||
        strcmp(g->n->op, "BatchNormalization"))
        return false;
    const struct bd_tensor *x = &e->p->val[g->n->in[0]];
    int64_t channels = x->rank > 1 ? x->dim[1] : 1;
    const float *kept = (const float *)(const void *)(e->state + g->state_at);
    *mean = kept;
    *var = kept + 2 * channels;
    *count = channels ? bd_tensor_count(x) / channels : 0;
    return true;
}
