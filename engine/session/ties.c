/* Ties that deployment asks for, read from the graph.
 *
 * Integer hardware adds two tensors only when they share a scale, and joins
 * them (Concat) only then without requantizing; so their quantizers are one.
 * A quantizer here is that of a layer's input.  Two inputs are tied when they
 * are the same tensor, when both are operands of one Add or Concat, or when
 * one is the result of a Concat of the other; operators that merely move or
 * pick values (Reshape, MaxPool, Pad, ...) keep the scale.  The result of an
 * Add is requantized: it starts a group of its own.
 *
 * Weights have scales of their own everywhere.  Some integer libraries still
 * want one width for all layers that feed an Add (HAWQ-V3, Yao et al. 2021,
 * ties the downsampling convolution to the one it is added to); that is the
 * second kind, for those who ask.
 *
 * Groups are a union-find forest over the values of the graph. */
#include "session/session_priv.h"

#include <string.h>

static const char *const movers[] = {
    "Identity", "Dropout", "MaxPool", "Flatten", "Reshape", "Squeeze",
    "Unsqueeze", "Transpose", "Slice", "Pad", "Gather", "Split", "Expand",
    "DepthToSpace", "SpaceToDepth", "Tile", NULL};
/* Between a layer and the Add its output enters. */
static const char *const shapers[] = {"BatchNormalization", "Relu", "Clip",
                                      "LeakyRelu", "PRelu", NULL};

static bool listed(const char *const *list, const char *op)
{
    while (*list && strcmp(*list, op) != 0)
        list++;
    return *list != NULL;
}

static int root_of(int *parent, int v)
{
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

static void join(int *parent, int a, int b)
{
    a = root_of(parent, a);
    b = root_of(parent, b);
    parent[a > b ? a : b] = a > b ? b : a;
}

static bool constant(const struct bd_model *m, int v)
{
    return v < 0 || m->value[v].t.f != NULL || m->value[v].initializer;
}

/* A meeting of at least two tensors; a bias is none. */
static bool meets(const struct bd_model *m, const struct bd_node *n)
{
    int operands = 0;
    if (strcmp(n->op, "Add") != 0 && strcmp(n->op, "Sum") != 0 &&
        strcmp(n->op, "Concat") != 0)
        return false;
    for (int i = 0; i < n->nin; i++)
        operands += !constant(m, n->in[i]);
    return operands >= 2;
}

/* The layer whose output reaches v through shapers and movers, or -1. */
static int layer_behind(const struct bd_model *m, const int *layer_of, int v)
{
    while (v >= 0 && m->value[v].producer >= 0) {
        int node = m->value[v].producer;
        const struct bd_node *n = &m->node[node];
        if (layer_of[node] >= 0)
            return layer_of[node];
        if (n->nin < 1 || (!listed(movers, n->op) && !listed(shapers, n->op)))
            return -1;
        v = n->in[0];
    }
    return -1;
}

struct forest {
    int *parent;   /* over values (inputs) or layers (outputs) */
    int *layer_of; /* [nnodes] */
};

static void join_inputs(struct forest *f, const struct bd_model *m)
{
    for (size_t k = 0; k < m->nnodes; k++) {
        const struct bd_node *n = &m->node[k];
        bool concat = strcmp(n->op, "Concat") == 0;
        int first = -1;
        if (n->nout > 0 && n->nin > 0 && n->in[0] >= 0 &&
            listed(movers, n->op))
            for (int o = 0; o < n->nout; o++)
                if (n->out[o] >= 0)
                    join(f->parent, n->in[0], n->out[o]);
        for (int i = 0; meets(m, n) && i < n->nin; i++) {
            if (constant(m, n->in[i]))
                continue;
            if (first >= 0)
                join(f->parent, first, n->in[i]);
            first = n->in[i];
        }
        if (concat && first >= 0 && n->out[0] >= 0)
            join(f->parent, first, n->out[0]);
    }
}

static void join_outputs(struct forest *f, const struct bd_model *m)
{
    for (size_t k = 0; k < m->nnodes; k++) {
        const struct bd_node *n = &m->node[k];
        int first = -1;
        for (int i = 0; meets(m, n) && i < n->nin; i++) {
            int l = layer_behind(m, f->layer_of, n->in[i]);
            if (l >= 0 && first >= 0)
                join(f->parent, first, l);
            first = l >= 0 ? l : first;
        }
    }
}

/* Numbers from 0 for groups of two and more, in the order of layers. */
static void number(int *tie, struct forest *f, const struct bd_model *m,
                   bool outputs)
{
    int next = 0;
    for (size_t i = 0; i < m->nlayers; i++)
        tie[i] = -1;
    for (size_t i = 0; i < m->nlayers; i++) {
        int at = outputs ? (int)i : m->layer[i].input;
        bool used = false;
        if (tie[i] >= 0 || at < 0)
            continue;
        for (size_t k = i + 1; k < m->nlayers; k++) {
            int to = outputs ? (int)k : m->layer[k].input;
            if (to >= 0 && root_of(f->parent, at) == root_of(f->parent, to)) {
                tie[i] = tie[k] = next;
                used = true;
            }
        }
        next += used;
    }
}

bd_status bd_session_ties(int *tie, const struct bd_model *m, bool outputs,
                          struct bd_err *err)
{
    size_t n = outputs ? m->nlayers : m->nvalues;
    struct forest f = {bd_alloc(n + 1, sizeof *f.parent),
                       bd_alloc(m->nnodes + 1, sizeof *f.layer_of)};
    bd_status st = f.parent && f.layer_of
                       ? BD_OK
                       : bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; st == BD_OK && i < n; i++)
        f.parent[i] = (int)i;
    for (size_t k = 0; st == BD_OK && k < m->nnodes; k++)
        f.layer_of[k] = -1;
    for (size_t i = 0; st == BD_OK && i < m->nlayers; i++)
        if (m->layer[i].node >= 0)
            f.layer_of[m->layer[i].node] = (int)i;
    if (st == BD_OK && outputs)
        join_outputs(&f, m);
    else if (st == BD_OK)
        join_inputs(&f, m);
    if (st == BD_OK)
        number(tie, &f, m, outputs);
    bd_free(f.parent);
    bd_free(f.layer_of);
    return st;
}
