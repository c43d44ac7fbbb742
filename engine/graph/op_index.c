/* op_index: operators that choose elements by number or by truth. */
#include "graph/graph_priv.h"

#include <stdlib.h>
#include <string.h>

/* Copies n elements of either kind. */
static void copy(struct bd_tensor *y, int64_t to, const struct bd_tensor *x,
                 int64_t from, int64_t n)
{
    size_t e = bd_graph_esize(x);
    memcpy((char *)bd_graph_data(y) + (size_t)to * e,
           (const char *)bd_graph_data(x) + (size_t)from * e, (size_t)n * e);
}

/* An index from data, negative from the end; -1 if outside. */
static int64_t place(int64_t i, int64_t n)
{
    i = i < 0 ? i + n : i;
    return i >= 0 && i < n ? i : -1;
}

static bd_status outside(const struct bd_octx *c, int64_t i, int64_t n)
{
    return BD_BAD(c, "index %lld of an axis of %lld", (long long)i,
                  (long long)n);
}

static bd_status need_whole(const struct bd_octx *c, int k)
{
    if (bd_dtype_is_real(c->in[k]->type))
        return BD_BAD(c, "input %d is not whole numbers", k);
    return BD_OK;
}

/* ----------------------------------------------------------------- Gather */
static bd_status axis_param(struct bd_octx *c, struct bd_slices **p,
                            int64_t *axis)
{
    *axis = bd_node_int(c->node, "axis", 0);
    *p = bd_graph_param(c, sizeof **p);
    bd_status s = bd_graph_need(c, 2);
    if (!*p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_axis(c, axis, c->in[0]->rank);
    if (s == BD_OK)
        s = need_whole(c, 1);
    if (s == BD_OK)
        **p = bd_slices_of(c->in[0], (int)*axis);
    return s;
}

static bd_status shape_gather(struct bd_octx *c)
{
    struct bd_slices *p;
    int64_t axis, dim[2 * BD_MAX_RANK];
    bd_status s = axis_param(c, &p, &axis);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0], *i = c->in[1];
    int rank = 0;
    for (int a = 0; a < axis; a++)
        dim[rank++] = x->dim[a];
    for (int a = 0; a < i->rank; a++)
        dim[rank++] = i->dim[a];
    for (int a = (int)axis + 1; a < x->rank; a++)
        dim[rank++] = x->dim[a];
    return bd_graph_out(c, 0, x->type, dim, rank);
}

static bd_status run_gather(struct bd_octx *c)
{
    const struct bd_slices *p = c->param;
    int64_t n = bd_tensor_count(c->in[1]), to = 0;
    for (int64_t o = 0; o < p->outer; o++)
        for (int64_t k = 0; k < n; k++) {
            int64_t i = place(c->in[1]->i[k], p->channels);
            if (i < 0)
                return outside(c, c->in[1]->i[k], p->channels);
            copy(c->out[0], to, c->in[0], (o * p->channels + i) * p->inner,
                 p->inner);
            to += p->inner;
        }
    return BD_OK;
}

/* --------------------------------------------------------- GatherElements */
static bd_status shape_elements(struct bd_octx *c)
{
    struct bd_slices *p;
    int64_t axis;
    bd_status s = axis_param(c, &p, &axis);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0], *i = c->in[1];
    bool fits = x->rank == i->rank;
    for (int a = 0; fits && a < x->rank; a++)
        fits = a == axis || i->dim[a] <= x->dim[a];
    if (!fits)
        return BD_BAD(c, "its indices do not fit its input");
    p->inner = axis; /* all that run needs */
    return bd_graph_out(c, 0, x->type, i->dim, i->rank);
}

static bd_status run_elements(struct bd_octx *c)
{
    const struct bd_tensor *x = c->in[0], *i = c->in[1];
    int64_t axis = ((const struct bd_slices *)c->param)->inner;
    int64_t at[BD_MAX_RANK] = {0}, n = bd_tensor_count(i);
    for (int64_t k = 0; k < n; k++) {
        int64_t from = 0, pick = place(i->i[k], x->dim[axis]);
        if (pick < 0)
            return outside(c, i->i[k], x->dim[axis]);
        for (int a = 0; a < x->rank; a++)
            from = from * x->dim[a] + (a == axis ? pick : at[a]);
        copy(c->out[0], k, x, from, 1);
        for (int a = i->rank - 1; a >= 0 && ++at[a] == i->dim[a]; a--)
            at[a] = 0;
    }
    return BD_OK;
}

/* --------------------------------------------------------------- GatherND */
static bd_status shape_gather_nd(struct bd_octx *c)
{
    int64_t b = bd_node_int(c->node, "batch_dims", 0), dim[2 * BD_MAX_RANK];
    bd_status s = bd_graph_need(c, 2);
    if (s == BD_OK)
        s = need_whole(c, 1);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0], *i = c->in[1];
    int64_t deep = i->rank > 0 ? i->dim[i->rank - 1] : 0;
    if (i->rank < 1 || deep < 1 || deep > x->rank || b != 0)
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "indices of this depth or in batches");
    int rank = 0;
    for (int a = 0; a + 1 < i->rank; a++)
        dim[rank++] = i->dim[a];
    for (int a = (int)deep; a < x->rank; a++)
        dim[rank++] = x->dim[a];
    return bd_graph_out(c, 0, x->type, dim, rank);
}

static bd_status run_gather_nd(struct bd_octx *c)
{
    const struct bd_tensor *x = c->in[0], *i = c->in[1];
    int64_t deep = i->dim[i->rank - 1], n = bd_tensor_count(i) / deep;
    int64_t each = 1;
    for (int a = (int)deep; a < x->rank; a++)
        each *= x->dim[a];
    for (int64_t k = 0; k < n; k++) {
        int64_t at = 0;
        for (int64_t a = 0; a < deep; a++) {
            int64_t pick = place(i->i[k * deep + a], x->dim[a]);
            if (pick < 0)
                return outside(c, i->i[k * deep + a], x->dim[a]);
            at = at * x->dim[a] + pick;
        }
        copy(c->out[0], k * each, x, at * each, each);
    }
    return BD_OK;
}

/* ------------------------------------------------------------------ Where */
static bd_status shape_where(struct bd_octx *c)
{
    struct bd_tensor y;
    struct bd_walk *w = bd_graph_param(c, 3 * sizeof *w);
    bd_status s = bd_graph_need(c, 3);
    if (!w)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = need_whole(c, 0);
    if (s == BD_OK &&
        bd_dtype_is_real(c->in[1]->type) != bd_dtype_is_real(c->in[2]->type))
        return BD_BAD(c, "its choices are of different kinds");
    if (s == BD_OK)
        s = bd_graph_broadcast(c, &y, c->in[1], c->in[2]);
    if (s == BD_OK)
        s = bd_graph_broadcast(c, &y, &y, c->in[0]);
    for (int k = 0; s == BD_OK && k < 3; k++)
        bd_graph_strides(w[k].stride, c->in[k], y.rank);
    return s == BD_OK ? bd_graph_out(c, 0, y.type, y.dim, y.rank) : s;
}

static bd_status run_where(struct bd_octx *c)
{
    const struct bd_walk *w = c->param;
    struct bd_tensor *y = c->out[0];
    int64_t at[BD_MAX_RANK] = {0}, pos[3] = {0}, n = bd_tensor_count(y);
    for (int64_t k = 0; k < n; k++) {
        int pick = c->in[0]->i[pos[0]] ? 1 : 2;
        copy(y, k, c->in[pick], pos[pick], 1);
        for (int a = y->rank - 1; a >= 0; a--) {
            for (int j = 0; j < 3; j++)
                pos[j] += w[j].stride[a];
            if (++at[a] < y->dim[a])
                break;
            for (int j = 0; j < 3; j++)
                pos[j] -= w[j].stride[a] * y->dim[a];
            at[a] = 0;
        }
    }
    return BD_OK;
}

/* ----------------------------------------------------------------- OneHot */
static bd_status shape_onehot(struct bd_octx *c)
{
    double depth;
    int64_t axis = bd_node_int(c->node, "axis", -1), dim[BD_MAX_RANK + 1];
    struct bd_slices *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 3);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, 0, &depth);
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank + 1);
    if (s == BD_OK && bd_tensor_count(c->in[2]) != 2)
        s = BD_BAD(c, "it needs two values");
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int rank = 0;
    *p = (struct bd_slices){1, bd_graph_to_int(depth, BD_I32), 1};
    for (int a = 0; a < x->rank; a++) {
        if (a == axis)
            dim[rank++] = p->channels;
        dim[rank++] = x->dim[a];
        *(a < axis ? &p->outer : &p->inner) *= x->dim[a];
    }
    if (axis == x->rank)
        dim[rank++] = p->channels;
    return bd_graph_out(c, 0, c->in[2]->type, dim, rank);
}

static bd_status run_onehot(struct bd_octx *c)
{
    const struct bd_slices *p = c->param;
    int64_t to = 0;
    for (int64_t o = 0; o < p->outer; o++)
        for (int64_t d = 0; d < p->channels; d++)
            for (int64_t i = 0; i < p->inner; i++) {
                double v = bd_graph_at(c->in[0], o * p->inner + i);
                int64_t at = place(bd_graph_to_int(v, BD_I64), p->channels);
                copy(c->out[0], to++, c->in[2], at == d, 1);
            }
    return BD_OK;
}

/* ------------------------------------------------------------------- TopK */
static bd_status shape_topk(struct bd_octx *c)
{
    double k;
    int64_t axis = bd_node_int(c->node, "axis", -1);
    struct bd_slices *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, (double)bd_node_int(c->node, "k", 1), &k);
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    struct bd_tensor y = *c->in[0];
    int64_t want = bd_graph_to_int(k, BD_I64);
    if (want < 0 || want > y.dim[axis])
        return BD_BAD(c, "%lld of an axis of %lld", (long long)want,
                      (long long)y.dim[axis]);
    *p = bd_slices_of(c->in[0], (int)axis);
    y.dim[axis] = want;
    c->mixes = axis == 0;
    c->scratch = (size_t)p->channels * 4 * sizeof(int64_t);
    s = bd_graph_out(c, 0, y.type, y.dim, y.rank);
    return s == BD_OK ? bd_graph_out(c, 1, BD_I64, y.dim, y.rank) : s;
}

struct ranked {
    double v;
    int64_t key, i; /* key orders whole numbers exactly */
    bool least;
};

/* Better first; of equals the one that came first. */
static int by_rank(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    int d = (a->v > b->v) - (a->v < b->v);
    if (d == 0)
        d = (a->key > b->key) - (a->key < b->key);
    if (d != 0)
        return a->least ? d : -d;
    return (a->i > b->i) - (a->i < b->i);
}

static bd_status run_topk(struct bd_octx *c)
{
    const struct bd_slices *p = c->param;
    const struct bd_tensor *x = c->in[0],
                           *y = c->out[0] ? c->out[0] : c->out[1];
    bool least = bd_node_int(c->node, "largest", 1) == 0;
    bool u64 = x->type == BD_U64;
    struct ranked *r = bd_graph_work(c, 0);
    int64_t keep = p->outer * p->inner > 0
                       ? bd_tensor_count(y) / (p->outer * p->inner)
                       : 0;
    for (int64_t k = 0; k < p->outer * p->inner; k++) {
        int64_t o = k / p->inner, in = k % p->inner;
        int64_t from = o * p->channels * p->inner + in;
        for (int64_t j = 0; j < p->channels; j++) {
            int64_t e = from + j * p->inner, v = x->i ? x->i[e] : 0;
            r[j] = (struct ranked){x->f ? (double)x->f[e] : 0,
                                   u64 ? v ^ INT64_MIN : v, j, least};
        }
        qsort(r, (size_t)p->channels, sizeof *r, by_rank);
        for (int64_t j = 0; j < keep; j++) {
            int64_t to = (o * keep + j) * p->inner + in;
            if (c->out[0])
                copy(c->out[0], to, x, from + r[j].i * p->inner, 1);
            if (c->nout > 1 && c->out[1])
                c->out[1]->i[to] = r[j].i;
        }
    }
    return BD_OK;
}

const struct bd_op bd_graph_ops_index[] = {
    {"Gather", shape_gather, run_gather, NULL, 0, NULL},
    {"GatherElements", shape_elements, run_elements, NULL, 0, NULL},
    {"GatherND", shape_gather_nd, run_gather_nd, NULL, 0, NULL},
    {"Where", shape_where, run_where, NULL, 0, NULL},
    {"OneHot", shape_onehot, run_onehot, NULL, 0, NULL},
    {"TopK", shape_topk, run_topk, NULL, 0, NULL},
    {0},
};
