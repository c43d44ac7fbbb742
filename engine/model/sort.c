/* Topological order.  Files are nearly always sorted already and then keep
 * their order, so that layers appear as their author wrote them. */
#include "model/model_priv.h"

#include <string.h>

struct sorter {
    struct bd_builder *b;
    int *need;  /* [nodes] inputs not yet computed */
    int *first; /* [values + 1] start of a value's readers in `reader` */
    int *reader;
    int *order; /* [nodes] doubles as the queue */
    int done;
};

static bool sorted(const struct bd_builder *b)
{
    for (size_t k = 0; k < b->nnodes; k++)
        for (int i = 0; i < b->node[k].nin; i++) {
            int v = b->node[k].in[i];
            if (v >= 0 && b->value[v].producer >= (int)k)
                return false;
        }
    return true;
}

/* Readers of every value, as one array with offsets. */
static bool list_readers(struct sorter *s)
{
    const struct bd_builder *b = s->b;
    size_t total = 0;
    for (size_t k = 0; k < b->nnodes; k++)
        total += (size_t)b->node[k].nin;
    s->need = bd_calloc(b->nnodes, sizeof *s->need);
    s->order = bd_calloc(b->nnodes, sizeof *s->order);
    s->first = bd_calloc(b->nvalues + 2, sizeof *s->first);
    s->reader = bd_calloc(total, sizeof *s->reader);
    if (!s->need || !s->order || !s->first || !s->reader)
        return false;
    for (size_t k = 0; k < b->nnodes; k++)
        for (int i = 0; i < b->node[k].nin; i++) {
            int v = b->node[k].in[i];
            if (v < 0 || b->value[v].producer < 0)
                continue;
            s->need[k]++;
            s->first[v + 2]++;
        }
    for (size_t v = 0; v < b->nvalues; v++)
        s->first[v + 2] += s->first[v + 1];
    /* first[v + 1] is the place to fill next; afterwards, the end of v. */
    for (size_t k = 0; k < b->nnodes; k++)
        for (int i = 0; i < b->node[k].nin; i++) {
            int v = b->node[k].in[i];
            if (v >= 0 && b->value[v].producer >= 0)
                s->reader[s->first[v + 1]++] = (int)k;
        }
    return true;
}

static void peel(struct sorter *s)
{
    const struct bd_builder *b = s->b;
    int end = 0;
    for (size_t k = 0; k < b->nnodes; k++)
        if (s->need[k] == 0)
            s->order[end++] = (int)k;
    for (; s->done < end; s->done++) {
        const struct bd_node *n = &b->node[s->order[s->done]];
        for (int o = 0; o < n->nout; o++) {
            int v = n->out[o];
            if (v < 0)
                continue;
            for (int r = s->first[v]; r < s->first[v + 1]; r++)
                if (--s->need[s->reader[r]] == 0)
                    s->order[end++] = s->reader[r];
        }
    }
}

/* A node that waits for node k and was never ready itself, or -1. */
static int waits_for(const struct sorter *s, int k)
{
    const struct bd_node *n = &s->b->node[k];
    for (int i = 0; i < n->nin; i++) {
        int p = n->in[i] < 0 ? -1 : s->b->value[n->in[i]].producer;
        if (p >= 0 && s->need[p] != 0)
            return p;
    }
    return -1;
}

/* Going back from any node that never became ready ends in the cycle: the
 * first node met twice is part of it. */
static bd_status blame_cycle(const struct sorter *s, struct bd_err *err)
{
    int k = 0;
    while (s->need[k] == 0)
        k++;
    while (k >= 0 && s->need[k] > 0) {
        s->need[k] = -1;
        k = waits_for(s, k);
    }
    struct bd_shown o;
    return bd_fail(err, BD_EFORMAT,
                   "node '%s' needs its own output: the graph has a cycle",
                   bd_shown(&o, s->b->node[k < 0 ? 0 : k].name));
}

static bool reorder(struct sorter *s)
{
    struct bd_builder *b = s->b;
    struct bd_node *node = bd_alloc(b->nnodes, sizeof *node);
    if (!node)
        return false;
    for (size_t k = 0; k < b->nnodes; k++)
        node[k] = b->node[s->order[k]];
    memcpy(b->node, node, b->nnodes * sizeof *node);
    bd_free(node);
    bd_draft_producers(b);
    return true;
}

void bd_draft_producers(struct bd_builder *b)
{
    for (size_t k = 0; k < b->nnodes; k++)
        for (int o = 0; o < b->node[k].nout; o++)
            if (b->node[k].out[o] >= 0)
                b->value[b->node[k].out[o]].producer = (int)k;
}

bd_status bd_draft_sort(struct bd_builder *b, struct bd_err *err)
{
    if (sorted(b))
        return BD_OK;
    struct sorter s = {.b = b};
    bd_status st = BD_OK;
    if (!list_readers(&s)) {
        st = bd_draft_nomem(err);
        goto done;
    }
    peel(&s);
    if (s.done < (int)b->nnodes)
        st = blame_cycle(&s, err);
    else if (!reorder(&s))
        st = bd_draft_nomem(err);
done:
    bd_free(s.need);
    bd_free(s.first);
    bd_free(s.reader);
    bd_free(s.order);
    return st;
}
