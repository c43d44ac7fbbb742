/* op_shape: the same numbers under another shape or type, and the shapes
 * themselves as numbers. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------- same numbers, new shape */
static bd_status run_copy(struct bd_octx *c)
{
    const struct bd_tensor *x = c->in[0];
    if (c->out[0])
        memmove(bd_graph_data(c->out[0]), bd_graph_data(x),
                (size_t)bd_tensor_count(x) * bd_graph_esize(x));
    return BD_OK;
}

static bd_status back_copy(struct bd_octx *c)
{
    if (c->din[0])
        memcpy(c->din[0], c->dout[0],
               (size_t)bd_tensor_count(c->in[0]) * sizeof(float));
    return BD_OK;
}

static bd_status shape_same(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 1);
    return s == BD_OK ? bd_graph_out_like(c, 0, c->in[0]) : s;
}

/* Settles the one open extent (-1) so that the counts agree. */
static bd_status fill_open(const struct bd_octx *c, int64_t *dim, int rank,
                           int open)
{
    int64_t have = bd_tensor_count(c->in[0]), rest = 1;
    for (int a = 0; a < rank; a++) {
        if (a == open)
            continue;
        if (dim[a] > 0 && rest > BD_MAX_ELEMENTS / dim[a])
            return BD_BAD(c, "its shape is too large");
        rest *= dim[a];
    }
    if (open >= 0)
        dim[open] = rest > 0 ? have / rest : 0;
    if (open >= 0)
        rest *= dim[open];
    if (rest != have)
        return BD_BAD(c, "%lld elements do not fit its shape", (long long)have);
    return BD_OK;
}

static bd_status shape_reshape(struct bd_octx *c)
{
    const int64_t *want;
    size_t n;
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_ints(c, "shape", 1, &want, &n);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    bool zero = bd_node_int(c->node, "allowzero", 0) != 0;
    int64_t dim[BD_MAX_RANK];
    int open = -1;
    if (n > BD_MAX_RANK)
        return BD_BAD(c, "a shape of %zu dimensions", n);
    for (int a = 0; a < (int)n; a++) {
        dim[a] = want[a];
        if (dim[a] == 0 && !zero) /* 0 keeps the input's extent */
            dim[a] = a < x->rank ? x->dim[a] : -2;
        if (want[a] == -1 && open < 0)
            open = a;
        else if (dim[a] < 0)
            return BD_BAD(c, "%lld is no extent", (long long)want[a]);
    }
    s = fill_open(c, dim, (int)n, open);
    return s == BD_OK ? bd_graph_out(c, 0, x->type, dim, (int)n) : s;
}

static bd_status shape_flatten(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 1);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t axis = bd_node_int(c->node, "axis", 1), dim[2] = {1, 1};
    if (axis != x->rank) /* the end is allowed as well */
        s = bd_graph_axis(c, &axis, x->rank);
    for (int a = 0; s == BD_OK && a < x->rank; a++)
        dim[a >= axis] *= x->dim[a];
    return s == BD_OK ? bd_graph_out(c, 0, x->type, dim, 2) : s;
}

static bd_status shape_squeeze(struct bd_octx *c)
{
    const int64_t *axes;
    size_t n;
    bool mask[BD_MAX_RANK];
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_ints(c, "axes", 1, &axes, &n);
    if (s == BD_OK)
        s = bd_graph_axes(c, axes, n, c->in[0]->rank, mask);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t dim[BD_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < x->rank; a++) {
        bool drop = n ? mask[a] : x->dim[a] == 1;
        if (drop && x->dim[a] != 1)
            return BD_BAD(c, "axis %d has extent %lld, not 1", a,
                          (long long)x->dim[a]);
        if (!drop)
            dim[rank++] = x->dim[a];
    }
    return bd_graph_out(c, 0, x->type, dim, rank);
}

static bd_status shape_unsqueeze(struct bd_octx *c)
{
    const int64_t *axes;
    size_t n;
    bool mask[BD_MAX_RANK];
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_ints(c, "axes", 1, &axes, &n);
    if (s == BD_OK && n + (size_t)c->in[0]->rank > BD_MAX_RANK)
        return BD_BAD(c, "more than %d dimensions", BD_MAX_RANK);
    if (s == BD_OK)
        s = bd_graph_axes(c, axes, n, c->in[0]->rank + (int)n, mask);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t dim[BD_MAX_RANK];
    int rank = x->rank + (int)n, from = 0;
    for (int a = 0; a < rank; a++)
        dim[a] = mask[a] ? 1 : x->dim[from++];
    return bd_graph_out(c, 0, x->type, dim, rank);
}

/* ---------------------------------------------------------------- Dropout */
/* Without training it is the identity, and its mask is all true.  With the
 * training input set, only a ratio of 0 is defined without random numbers. */
static bd_status shape_dropout(struct bd_octx *c)
{
    double ratio, training;
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, 0.5, &ratio);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 2, 0, &training);
    if (s != BD_OK)
        return s;
    if (training != 0 && ratio != 0)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "asks for random dropping");
    const struct bd_tensor *x = c->in[0];
    s = bd_graph_out_like(c, 0, x);
    return s == BD_OK ? bd_graph_out(c, 1, BD_BOOL, x->dim, x->rank) : s;
}

/* An alias is not run when it shares its input's bytes, so the mask takes a
 * node of its own kind: such a Dropout is not an alias (see the table). */
static bd_status run_dropout(struct bd_octx *c)
{
    int64_t n = bd_tensor_count(c->in[0]);
    for (int64_t k = 0; c->nout > 1 && c->out[1] && k < n; k++)
        c->out[1]->i[k] = 1;
    return run_copy(c);
}

/* ------------------------------------------------------------------- Cast */
static float rounded(float v, enum bd_dtype to)
{
    if (to == BD_F16)
        return bd_half_to_float(bd_float_to_half(v));
    if (to == BD_BF16 && isfinite(v)) { /* nearest even on the upper half */
        uint32_t u;
        memcpy(&u, &v, sizeof u);
        u = (u + 0x7fff + ((u >> 16) & 1)) & 0xffff0000u;
        memcpy(&v, &u, sizeof v);
    }
    return v;
}

static bd_status shape_cast(struct bd_octx *c)
{
    bool like = c->op->aux != NULL;
    bd_status s = bd_graph_need(c, like ? 2 : 1);
    if (s != BD_OK)
        return s;
    int64_t to = like ? (int64_t)c->in[1]->type
                      : bd_node_int(c->node, "to", BD_UNDEFINED);
    bool known = (to >= BD_F32 && to <= BD_U64) || to == BD_BF16;
    if (!known || to == BD_STRING)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "casts to type %lld",
                             (long long)to);
    return bd_graph_out(c, 0, (enum bd_dtype)to, c->in[0]->dim, c->in[0]->rank);
}

static bd_status run_cast(struct bd_octx *c)
{
    const struct bd_tensor *x = c->in[0];
    struct bd_tensor *y = c->out[0];
    int64_t n = bd_tensor_count(x);
    for (int64_t k = 0; k < n; k++) {
        if (x->f && y->f)
            y->f[k] = rounded(x->f[k], y->type);
        else if (x->f)
            y->i[k] = bd_graph_to_int((double)x->f[k], y->type);
        else if (y->f)
            y->f[k] = rounded(x->type == BD_U64 ? (float)(uint64_t)x->i[k]
                                                : (float)x->i[k],
                              y->type);
        else
            y->i[k] = bd_graph_wrap(x->i[k], y->type);
    }
    return BD_OK;
}

/* --------------------------------------------------- constants and shapes */
static bd_status run_nothing(struct bd_octx *c)
{
    (void)c;
    return BD_OK;
}

/* Gives out[0] its values while planning: type and shape are set. */
static bd_status give(struct bd_octx *c, const void *data)
{
    struct bd_tensor *y = c->out[0];
    size_t n = (size_t)bd_tensor_count(y), size = bd_graph_esize(y);
    void *d = bd_arena_alloc(c->arena, n ? n : 1, size);
    if (!d)
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    if (n)
        memcpy(d, data, n * size);
    if (bd_dtype_is_real(y->type))
        y->f = d;
    else
        y->i = d;
    return BD_OK;
}

static bd_status give_list(struct bd_octx *c, enum bd_dtype type,
                           const void *data, size_t n, int rank)
{
    int64_t dim = (int64_t)n;
    bd_status s = bd_graph_out(c, 0, type, &dim, rank);
    return s == BD_OK ? give(c, data) : s;
}

static bd_status shape_constant(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 0);
    if (s != BD_OK)
        return s;
    if (c->node->nattr != 1)
        return BD_BAD(c, "%zu attributes where one gives the value",
                      c->node->nattr);
    const struct bd_attr *a = c->node->attr;
    switch (a->kind) {
    case BD_ATTR_TENSOR:
        s = bd_graph_out_like(c, 0, &a->t);
        if (s == BD_OK && !bd_graph_known(&a->t))
            return BD_BAD(c, "its value has no data");
        return s == BD_OK ? give(c, bd_graph_data(&a->t)) : s;
    case BD_ATTR_INT:
        return give_list(c, BD_I64, &a->i, 1, 0);
    case BD_ATTR_FLOAT:
        return give_list(c, BD_F32, &a->f, 1, 0);
    case BD_ATTR_INTS:
        return give_list(c, BD_I64, a->ints, a->n, 1);
    case BD_ATTR_FLOATS:
        return give_list(c, BD_F32, a->floats, a->n, 1);
    case BD_ATTR_STR:
    case BD_ATTR_OTHER:
        break;
    }
    return bd_graph_fail(c, BD_EUNSUPPORTED, "its value is text");
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static bd_status shape_shape(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 1);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t r = x->rank, from = bd_node_int(c->node, "start", 0);
    int64_t to = bd_node_int(c->node, "end", r);
    from = clamp(from < 0 ? from + r : from, 0, r);
    to = clamp(to < 0 ? to + r : to, from, r);
    return give_list(c, BD_I64, x->dim + from, (size_t)(to - from), 1);
}

static bd_status shape_size(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 1);
    if (s != BD_OK)
        return s;
    int64_t n = bd_tensor_count(c->in[0]);
    return give_list(c, BD_I64, &n, 1, 0);
}

/* A value (or 0) repeated to the extents in input 0. */
static bd_status shape_fill(struct bd_octx *c)
{
    const int64_t *dim;
    size_t n;
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_ints(c, NULL, 0, &dim, &n);
    if (s != BD_OK)
        return s;
    const struct bd_attr *a = bd_node_attr(c->node, "value");
    if (a && (a->kind != BD_ATTR_TENSOR || !bd_graph_known(&a->t) ||
              bd_tensor_count(&a->t) < 1))
        return BD_BAD(c, "its value is not a number");
    if (n > BD_MAX_RANK)
        return BD_BAD(c, "a shape of %zu dimensions", n);
    return bd_graph_out(c, 0, a ? a->t.type : BD_F32, dim, (int)n);
}

static bd_status run_fill(struct bd_octx *c)
{
    const struct bd_attr *a = bd_node_attr(c->node, "value");
    struct bd_tensor *y = c->out[0];
    int64_t n = bd_tensor_count(y);
    for (int64_t k = 0; k < n; k++) {
        if (y->f)
            y->f[k] = a ? a->t.f[0] : 0;
        else
            y->i[k] = a->t.i[0];
    }
    return BD_OK;
}

/* start, start + delta, ... before limit; how many depends on the numbers. */
static bd_status shape_range(struct bd_octx *c)
{
    double from, to, step;
    bd_status s = bd_graph_need(c, 3);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 0, 0, &from);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, 0, &to);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 2, 1, &step);
    if (s != BD_OK)
        return s;
    for (int k = 0; k < 3; k++)
        if (c->in[k]->type != c->in[0]->type || bd_tensor_count(c->in[k]) != 1)
            return BD_BAD(c, "input %d is not one number like the first", k);
    double n = ceil((to - from) / step);
    if (!(step != 0) || !(n < (double)BD_MAX_ELEMENTS))
        return BD_BAD(c, "its range never ends");
    int64_t dim = n > 0 ? (int64_t)n : 0;
    return bd_graph_out(c, 0, c->in[0]->type, &dim, 1);
}

static bd_status run_range(struct bd_octx *c)
{
    struct bd_tensor *y = c->out[0];
    for (int64_t k = 0; k < y->dim[0]; k++) {
        if (y->f)
            y->f[k] = (float)((double)c->in[0]->f[0] +
                              (double)k * (double)c->in[2]->f[0]);
        else
            y->i[k] = (int64_t)((uint64_t)c->in[0]->i[0] +
                                (uint64_t)k * (uint64_t)c->in[2]->i[0]);
    }
    return BD_OK;
}

static const bool yes = true; /* marks the second of a pair of rows */
#define ALIAS(name, shape)                                                     \
    {                                                                          \
        name, shape, run_copy, back_copy, BD_OP_ALIAS, NULL                    \
    }

const struct bd_op bd_graph_ops_shape[] = {
    ALIAS("Identity", shape_same),
    ALIAS("Reshape", shape_reshape),
    ALIAS("Flatten", shape_flatten),
    ALIAS("Squeeze", shape_squeeze),
    ALIAS("Unsqueeze", shape_unsqueeze),
    {"Dropout", shape_dropout, run_dropout, back_copy, BD_OP_INPLACE, NULL},
    {"Cast", shape_cast, run_cast, NULL, 0, NULL},
    {"CastLike", shape_cast, run_cast, NULL, 0, &yes},
    {"Constant", shape_constant, run_nothing, NULL, 0, NULL},
    {"Shape", shape_shape, run_nothing, NULL, 0, NULL},
    {"Size", shape_size, run_nothing, NULL, 0, NULL},
    {"ConstantOfShape", shape_fill, run_fill, NULL, 0, NULL},
    {"Range", shape_range, run_range, NULL, 0, NULL},
    {0},
};
