/* Options of several layers together: sums and alternatives. */
#include "session/joint_priv.h"

#include <stdlib.h>

void bd_list_push(struct bd_sums *s, struct bd_list *l, struct bd_item it)
{
    if (!bd_grow((void **)&l->v, &l->cap, l->n + 1, sizeof *l->v))
        s->no_memory = true;
    else
        l->v[l->n++] = it;
}

/* Equal ones by how they came about, so that the order is one. */
static int by_cost(const void *a, const void *b)
{
    const struct bd_item *x = a, *y = b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    if (x->from.a != y->from.a)
        return x->from.a < y->from.a ? -1 : 1;
    return (x->from.b > y->from.b) - (x->from.b < y->from.b);
}

static void cut(struct bd_sums *s, struct bd_list *l)
{
    if (l->n <= BD_LIST_MOST)
        return;
    for (size_t k = 0; k < BD_LIST_MOST; k++)
        l->v[k] = l->v[k * (l->n - 1) / (BD_LIST_MOST - 1)];
    l->n = BD_LIST_MOST;
    s->exact = false;
}

void bd_list_settle(struct bd_sums *s, struct bd_list *l)
{
    size_t kept = 0;
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, by_cost);
    for (size_t k = 0; k < l->n; k++)
        if (kept == 0 || l->v[k].loss < l->v[kept - 1].loss)
            l->v[kept++] = l->v[k];
    l->n = kept;
    cut(s, l);
    for (size_t k = 0; k < l->n && !s->no_memory; k++) {
        if (l->v[k].node >= 0)
            continue;
        if (!bd_grow((void **)&s->node, &s->cap, s->n + 1, sizeof *s->node)) {
            s->no_memory = true;
            return;
        }
        s->node[s->n] = l->v[k].from;
        l->v[k].node = (int)s->n++;
    }
}

void bd_list_add(struct bd_sums *s, struct bd_list *to, struct bd_list *by)
{
    struct bd_list sum = {0};
    for (size_t x = 0; x < to->n; x++)
        for (size_t y = 0; y < by->n && !s->no_memory; y++)
            bd_list_push(s, &sum, (struct bd_item){
                to->v[x].cost + by->v[y].cost, to->v[x].loss + by->v[y].loss,
                {-1, to->v[x].node, by->v[y].node}, -1});
    bd_list_settle(s, &sum);
    bd_free(to->v);
    bd_free(by->v);
    *by = (struct bd_list){0};
    *to = sum;
}

void bd_list_join(struct bd_sums *s, struct bd_list *to, struct bd_list *with)
{
    for (size_t k = 0; k < with->n && !s->no_memory; k++)
        bd_list_push(s, to, with->v[k]);
    bd_free(with->v);
    *with = (struct bd_list){0};
}
