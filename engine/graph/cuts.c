/* cuts: where it pays to keep activations.
 *
 * A candidate lies just before each layer.  What must be kept there is every
 * value already computed and read later; at the boundary of a residual block
 * that is a single one, inside a block two.  Candidates are taken greedily by
 * work saved per byte, assuming that each layer is as likely to be edited as
 * any other: an edit of layer k costs the work from the last cut before k.
 * So boundaries win while memory is short, and the rest follows while it is
 * not. */
#include "graph/runner_priv.h"

#include <string.h>

enum { MOST = 256 }; /* candidates; longer networks are sampled */

struct spot {
    int node;
    size_t bytes;
    double before; /* work done before it, in multiply-adds */
    int layers;    /* that come before it */
    bool taken;
};

/* Is v's storage holding something at node i that i or a later node reads?
 * Each root holds one value at a time: the last written. */
static bool alive(const struct bd_plan *p, int v, int i)
{
    return p->root[v] == v && p->offset[v] != BD_NOWHERE &&
           p->m->value[v].producer >= 0 && p->m->value[v].producer < i &&
           p->last[v] >= i;
}

static bool input_read(const struct bd_plan *p, int i)
{
    const struct bd_model *m = p->m;
    for (size_t j = (size_t)i; j < m->nnodes; j++)
        for (int k = 0; !p->node[j].skip && k < m->node[j].nin; k++)
            if (m->node[j].in[k] >= 0 &&
                p->root[m->node[j].in[k]] == m->input[0])
                return true;
    return false;
}

static size_t bytes_at(const struct bd_plan *p, int i)
{
    size_t n = 0;
    for (size_t v = 0; v < p->m->nvalues; v++)
        if (alive(p, (int)v, i))
            n += (size_t)bd_tensor_count(&p->val[v]) *
                 bd_graph_esize(&p->val[v]);
    return n;
}

/* Work of a node: products where it has them, else its output's size. */
static double work_of(const struct bd_plan *p, size_t i)
{
    const struct bd_node *n = p->node[i].n;
    if (p->node[i].skip || n->nout < 1 || n->out[0] < 0)
        return 0;
    if (p->node[i].macs > 0)
        return (double)p->node[i].macs;
    return (double)bd_tensor_count(&p->val[n->out[0]]);
}

static int candidates(struct spot *s, const struct bd_plan *p)
{
    const struct bd_model *m = p->m;
    int n = 0;
    size_t step = m->nlayers / MOST + 1, i = 0;
    double work = 0;
    for (size_t k = 1; k < m->nlayers; k++) {
        int node = m->layer[k].node;
        for (; node >= 0 && i < (size_t)node; i++)
            work += work_of(p, i);
        if (node < 0 || k % step || p->node[node].skip)
            continue;
        s[n++] = (struct spot){.node = node,
                               .bytes = bytes_at(p, node),
                               .before = work,
                               .layers = (int)k};
    }
    return n;
}

/* Work saved over all layers by adding spot k to those taken: layers from it
 * up to the next one need not start at the one before. */
static double gain(const struct spot *s, int n, int k, int layers)
{
    double base = 0;
    int until = layers;
    for (int j = 0; j < k; j++)
        if (s[j].taken)
            base = s[j].before;
    for (int j = n - 1; j > k; j--)
        if (s[j].taken)
            until = s[j].layers;
    return (s[k].before - base) * (double)(until - s[k].layers);
}

/* The best untaken spot that fits, or -1. */
static int best(const struct spot *s, int n, int layers, size_t room,
                double least)
{
    int pick = -1;
    double most = 0;
    for (int k = 0; k < n; k++) {
        double g = gain(s, n, k, layers);
        if (s[k].taken || s[k].bytes > room || g <= least)
            continue;
        double rate = g / ((double)s[k].bytes + 1);
        if (rate > most) {
            most = rate;
            pick = k;
        }
    }
    return pick;
}

/* Nothing is taken that saves less than a hundredth of the work of running
 * everything for every layer. */
static int choose(struct spot *s, int n, const struct bd_plan *p, size_t bytes)
{
    int layers = (int)p->m->nlayers, taken = 0;
    double total = 0;
    for (size_t i = 0; i < p->m->nnodes; i++)
        total += work_of(p, i);
    for (;;) {
        int k = best(s, n, layers, bytes, total * layers * 1e-2);
        if (k < 0)
            return taken;
        s[k].taken = true;
        bytes -= s[k].bytes;
        taken++;
    }
}

static bool fill(struct bd_cut *cut, struct bd_arena *a,
                 const struct bd_plan *p, const struct spot *s)
{
    size_t n = 0;
    for (size_t v = 0; v < p->m->nvalues; v++)
        n += alive(p, (int)v, s->node);
    int *value = bd_arena_alloc(a, n + 1, sizeof *value);
    if (!value)
        return false;
    *cut = (struct bd_cut){.node = s->node,
                           .n = n,
                           .bytes = s->bytes,
                           .value = value,
                           .input = input_read(p, s->node)};
    n = 0;
    for (size_t v = 0; v < p->m->nvalues; v++)
        if (alive(p, (int)v, s->node))
            value[n++] = (int)v;
    return true;
}

bd_status bd_graph_cuts(struct bd_cuts *out, const struct bd_plan *p,
                        size_t bytes, struct bd_err *err)
{
    memset(out, 0, sizeof *out);
    struct spot *s = bd_alloc(p->m->nlayers + 1, sizeof *s);
    if (!s)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    int n = candidates(s, p), taken = choose(s, n, p, bytes);
    bool ok = true;
    out->cut = bd_arena_alloc(&out->arena, (size_t)taken + 1, sizeof *out->cut);
    for (int k = 0; out->cut && ok && k < n; k++) {
        if (!s[k].taken)
            continue;
        ok = fill(&out->cut[out->n], &out->arena, p, &s[k]);
        out->n += ok;
    }
    bd_free(s);
    if (!out->cut || !ok) {
        bd_graph_cuts_done(out);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    return BD_OK;
}

void bd_graph_cuts_done(struct bd_cuts *c)
{
    bd_arena_done(&c->arena);
    memset(c, 0, sizeof *c);
}

int64_t bd_graph_runs(const struct bd_plan *p, size_t from)
{
    int64_t n = 0;
    for (size_t i = from; i < p->m->nnodes; i++)
        n += !p->node[i].skip;
    return n;
}
