/* What learns: constants in the places below, copied out of the model.
 * Everything else (shapes, statistics, scalars of an activation) stays. */
#include "train_priv.h"

#include <string.h>

struct place {
    const char *op;
    int input;
    bool decay;
};

static const struct place places[] = {
    {"Conv", 1, true},
    {"Conv", 2, false},
    {"ConvTranspose", 1, true},
    {"ConvTranspose", 2, false},
    {"Gemm", 1, true},
    {"Gemm", 2, false},
    {"MatMul", 0, true},
    {"MatMul", 1, true},
    {"BatchNormalization", 1, false},
    {"BatchNormalization", 2, false},
    {"LayerNormalization", 1, false},
    {"LayerNormalization", 2, false},
    {"PRelu", 1, false},
    {"Add", 0, false}, /* biases of exporters that split them off; single
                          numbers there belong to an activation */
    {"Add", 1, false},
};

static bool learns(const struct bd_trainer *t, const struct place *p, int v)
{
    const struct bd_tensor *x = v < 0 ? NULL : &t->m->value[v].t;
    if (!x || !x->f || t->now[v] || bd_tensor_count(x) < 1)
        return false;
    return strcmp(p->op, "Add") != 0 || bd_tensor_count(x) > 1;
}

static float *copied(struct bd_trainer *t, int v)
{
    const struct bd_tensor *x = &t->m->value[v].t;
    size_t n = (size_t)bd_tensor_count(x);
    float *w = bd_arena_alloc(&t->arena, n, sizeof *w);
    if (w)
        memcpy(w, x->f, n * sizeof *w);
    t->now[v] = w;
    return w;
}

static bool add_param(struct bd_trainer *t, const struct place *p, int v)
{
    struct bd_param *q = &t->param[t->nparams];
    size_t n = (size_t)bd_tensor_count(&t->m->value[v].t);
    *q = (struct bd_param){
        .value = v, .decay = p->decay, .n = n, .at = t->ngrad};
    q->w = copied(t, v);
    q->speed = bd_arena_alloc(&t->arena, n, sizeof *q->speed);
    q->grad = bd_arena_alloc(&t->arena, n, sizeof *q->grad);
    t->nparams++;
    t->ngrad += n;
    return q->w && q->speed && q->grad;
}

static bool add_running(struct bd_trainer *t, int node)
{
    const struct bd_node *d = &t->m->node[node];
    struct bd_running *r = &t->running[t->nrunning];
    if (d->nin < 5 || d->in[3] < 0 || d->in[4] < 0 ||
        !t->m->value[d->in[3]].t.f || !t->m->value[d->in[4]].t.f ||
        t->now[d->in[3]] || t->now[d->in[4]])
        return true; /* computed or shared statistics: left as they are */
    *r = (struct bd_running){
        .node = node,
        .mean = d->in[3],
        .var = d->in[4],
        .at = t->nstats,
        .n = (size_t)bd_tensor_count(&t->m->value[d->in[3]].t),
        .momentum = bd_node_float(d, "momentum", 0.9f),
        .m = copied(t, d->in[3]),
        .v = copied(t, d->in[4])};
    t->nrunning++;
    t->nstats += 2 * r->n;
    return r->m && r->v;
}

static bool add_node(struct bd_trainer *t, int node)
{
    const struct bd_node *d = &t->m->node[node];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const struct place *p = &places[i];
        if (strcmp(p->op, d->op) == 0 && p->input < d->nin &&
            learns(t, p, d->in[p->input]) && !add_param(t, p, d->in[p->input]))
            return false;
    }
    return strcmp(d->op, "BatchNormalization") != 0 || add_running(t, node);
}

bd_status bd_train_params(struct bd_trainer *t, struct bd_err *err)
{
    t->now = bd_arena_alloc(&t->arena, t->m->nvalues + 1, sizeof *t->now);
    t->param = bd_arena_alloc(&t->arena, t->m->nvalues + 1, sizeof *t->param);
    t->running =
        bd_arena_alloc(&t->arena, t->m->nnodes + 1, sizeof *t->running);
    bool ok = t->now && t->param && t->running;
    for (size_t i = 0; ok && i < t->m->nnodes; i++)
        ok = add_node(t, (int)i);
    if (!ok)
        return bd_fail(err, BD_ENOMEM, "out of memory for the parameters");
    if (t->nparams == 0)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "the network has no weights to train");
    return BD_OK;
}
