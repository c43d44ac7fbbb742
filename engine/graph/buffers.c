/* buffers: gives every value that exists only while running a place in one
 * block.  Values whose lives do not overlap share bytes.
 *
 * A root is a value with bytes of its own; values that are another's numbers
 * under a new shape (Reshape) or that overwrite them (Relu after the last
 * other use) point to their root.  A root lives from its producer to the last
 * reader of any value pointing to it.  Inputs keep their bytes throughout, so
 * an executor may be run again without filling them; outputs live on after
 * the last node. */
#include "graph/graph_priv.h"

#include <string.h>
#include <unistd.h>

enum { ALIGN = 64 };

static bool is_output(const struct bd_model *m, int v)
{
    for (size_t k = 0; k < m->noutputs; k++)
        if (m->output[k] == v)
            return true;
    return false;
}

static bool is_input(const struct bd_model *m, int v)
{
    for (size_t k = 0; k < m->ninputs; k++)
        if (m->input[k] == v)
            return true;
    return false;
}

static size_t bytes_of(const struct bd_tensor *t)
{
    size_t n = (size_t)bd_tensor_count(t) * bd_graph_esize(t);
    return (n + ALIGN - 1) / ALIGN * ALIGN + ALIGN;
}

/* Last reader of each single value; outputs are read after the end. */
static void last_uses(struct bd_plan *p)
{
    const struct bd_model *m = p->m;
    for (size_t v = 0; v < m->nvalues; v++)
        p->last[v] = -1;
    for (size_t i = 0; i < m->nnodes; i++)
        for (int k = 0; !p->node[i].skip && k < m->node[i].nin; k++)
            if (m->node[i].in[k] >= 0)
                p->last[m->node[i].in[k]] = (int)i;
    for (size_t k = 0; k < m->noutputs; k++)
        p->last[m->output[k]] = (int)m->nnodes;
}

static bool may_overwrite(const struct bd_plan *p, int x, int y, int i)
{
    int r = p->root[x];
    return !p->keep && p->last[r] == i && !is_input(p->m, r) &&
           bd_graph_esize(&p->val[x]) == bd_graph_esize(&p->val[y]) &&
           bd_tensor_count(&p->val[x]) == bd_tensor_count(&p->val[y]);
}

/* Points output 0 of node i to its input's bytes where allowed.  Roots'
 * `last` grows with every value that joins, in node order. */
static void join(struct bd_plan *p, size_t i)
{
    const struct bd_gnode *g = &p->node[i];
    const struct bd_node *n = g->n;
    if (n->nin < 1 || n->nout < 1 || n->in[0] < 0 || n->out[0] < 0)
        return;
    int x = n->in[0], y = n->out[0], r = p->root[x];
    if (bd_graph_known(&p->val[x]))
        return;
    bool alias = g->op->flags & BD_OP_ALIAS;
    bool inplace =
        (g->op->flags & BD_OP_INPLACE) && may_overwrite(p, x, y, (int)i);
    for (int k = 1; inplace && k < n->nin; k++)
        inplace = n->in[k] < 0 || p->root[n->in[k]] != r;
    if (!alias && !inplace)
        return;
    p->root[y] = r;
    if (p->last[r] < p->last[y])
        p->last[r] = p->last[y];
}

/* Aliases first: an overwrite is only allowed when no other name of the
 * bytes is read later, which takes the aliases' readers to know. */
static void join_all(struct bd_plan *p)
{
    const struct bd_model *m = p->m;
    for (size_t v = 0; v < m->nvalues; v++)
        p->root[v] = (int)v;
    for (size_t i = m->nnodes; i-- > 0;) { /* readers of aliases, backwards */
        const struct bd_gnode *g = &p->node[i];
        if (g->skip || !(g->op->flags & BD_OP_ALIAS))
            continue;
        int x = g->n->in[0], y = g->n->out[0];
        if (x >= 0 && y >= 0 && p->last[x] < p->last[y])
            p->last[x] = p->last[y];
    }
    for (size_t i = 0; i < m->nnodes; i++)
        if (!p->node[i].skip)
            join(p, i);
}

struct live { /* bytes in use, ascending by offset */
    size_t at, size;
    int until;
};

/* First gap that fits; drops what died before node i on the way. */
static size_t place(struct live *l, size_t *n, size_t size, int i, int until)
{
    size_t kept = 0, at = 0, slot;
    for (size_t k = 0; k < *n; k++)
        if (l[k].until >= i)
            l[kept++] = l[k];
    for (slot = 0; slot < kept; slot++) {
        if (l[slot].at - at >= size)
            break;
        at = l[slot].at + l[slot].size;
    }
    memmove(&l[slot + 1], &l[slot], (kept - slot) * sizeof *l);
    l[slot] = (struct live){at, size, until};
    *n = kept + 1;
    return at;
}

static bd_status too_big(const struct bd_plan *p, struct bd_err *err)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0 || p->block / (size_t)page <= (size_t)pages)
        return BD_OK;
    return bd_fail(err, BD_ENOMEM,
                   "its activations take %zu MB, more than "
                   "this machine's memory",
                   p->block >> 20);
}

static void place_value(struct bd_plan *p, struct live *l, size_t *n, int v,
                        int i)
{
    if (p->root[v] != v) {
        p->offset[v] = p->offset[p->root[v]];
        return;
    }
    int until = p->last[v] < i ? i : p->last[v];
    if (p->keep || is_input(p->m, v) || is_output(p->m, v))
        until = (int)p->m->nnodes;
    p->last[v] = until;
    size_t size = bytes_of(&p->val[v]);
    size_t at = place(l, n, size, i, until);
    p->offset[v] = (int64_t)at;
    if (p->block < at + size)
        p->block = at + size;
}

bd_status bd_graph_place(struct bd_plan *p, struct bd_err *err)
{
    const struct bd_model *m = p->m;
    size_t nv = m->nvalues, n = 0;
    p->root = bd_arena_alloc(&p->arena, nv + 1, sizeof *p->root);
    p->offset = bd_arena_alloc(&p->arena, nv + 1, sizeof *p->offset);
    p->last = bd_arena_alloc(&p->arena, nv + 1, sizeof *p->last);
    struct live *l = bd_alloc(nv + 2, sizeof *l);
    if (!p->root || !p->offset || !p->last || !l) {
        bd_free(l);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    last_uses(p);
    join_all(p);
    for (size_t v = 0; v < nv; v++)
        p->offset[v] = BD_NOWHERE;
    for (size_t k = 0; k < m->ninputs; k++)
        if (!bd_graph_known(&p->val[m->input[k]]))
            place_value(p, l, &n, m->input[k], 0);
    for (size_t i = 0; i < m->nnodes; i++)
        for (int k = 0; !p->node[i].skip && k < m->node[i].nout; k++)
            if (m->node[i].out[k] >= 0)
                place_value(p, l, &n, m->node[i].out[k], (int)i);
    bd_free(l);
    return too_big(p, err);
}
