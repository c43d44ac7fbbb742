/* op_move: operators that only move numbers.  Most are a walk: the output in
 * order, the input by strides (bd_graph_walk), for any element type. */
#include "graph/graph_priv.h"

#include <string.h>

/* Row-major strides of t itself. */
static void dense(int64_t *stride, const struct bd_tensor *t)
{
    int64_t step = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        stride[a] = step;
        step *= t->dim[a];
    }
}

static struct bd_walk *new_walk(struct bd_octx *c, size_t n)
{
    struct bd_walk *w = bd_graph_param(c, n * sizeof *w);
    for (size_t k = 0; w && k < n; k++)
        w[k].esize = bd_graph_esize(c->in[0]);
    return w;
}

static bd_status run_walk(struct bd_octx *c)
{
    bd_graph_walk(bd_graph_data(c->out[0]), bd_graph_data(c->in[0]), c->param);
    return BD_OK;
}

/* -------------------------------------------------------------- Transpose */
static bd_status shape_transpose(struct bd_octx *c)
{
    const int64_t *perm;
    size_t n;
    bool mask[BD_MAX_RANK];
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_ints(c, "perm", -1, &perm, &n);
    if (s == BD_OK)
        s = bd_graph_axes(c, perm, n, c->in[0]->rank, mask);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t stride[BD_MAX_RANK];
    struct bd_walk *w = new_walk(c, 1);
    if (!w)
        return BD_ENOMEM;
    if (perm && n != (size_t)x->rank)
        return BD_BAD(c, "perm has %zu entries for %d dimensions", n, x->rank);
    dense(stride, x);
    w->rank = x->rank;
    for (int a = 0; a < x->rank; a++) {
        int64_t from = perm ? perm[a] : x->rank - 1 - a;
        from = from < 0 ? from + x->rank : from;
        w->dim[a] = x->dim[from];
        w->stride[a] = stride[from];
    }
    return bd_graph_out(c, 0, x->type, w->dim, w->rank);
}

/* ----------------------------------------------------------------- Expand */
static bd_status shape_expand(struct bd_octx *c)
{
    const int64_t *want;
    size_t n;
    bd_status s = bd_graph_need(c, 2);
    if (s == BD_OK)
        s = bd_graph_ints(c, NULL, 1, &want, &n);
    if (s != BD_OK)
        return s;
    struct bd_tensor to = {.type = c->in[0]->type, .rank = (int)n}, y;
    if (n > BD_MAX_RANK)
        return BD_BAD(c, "a shape of %zu dimensions", n);
    for (size_t a = 0; a < n; a++)
        to.dim[a] = want[a];
    s = bd_graph_broadcast(c, &y, c->in[0], &to);
    if (s == BD_OK)
        s = bd_graph_out(c, 0, y.type, y.dim, y.rank);
    struct bd_walk *w = s == BD_OK ? new_walk(c, 1) : NULL;
    if (!w)
        return s == BD_OK ? BD_ENOMEM : s;
    w->rank = y.rank;
    memcpy(w->dim, y.dim, sizeof w->dim);
    bd_graph_strides(w->stride, c->in[0], y.rank);
    return BD_OK;
}

/* ------------------------------------------------------------------ Slice */
/* One axis as NumPy cuts it: begin and end clamped, step of either sign. */
static bd_status cut(const struct bd_octx *c, struct bd_walk *w, int axis,
                     const int64_t fes[3])
{
    int64_t n = w->dim[axis], from = fes[0], end = fes[1], step = fes[2];
    if (step == 0 || step < -BD_MAX_ELEMENTS || step > BD_MAX_ELEMENTS)
        return BD_BAD(c, "a step of %lld", (long long)step);
    from = from < 0 ? (from < -n ? -1 : from + n) : from;
    end = end < 0 ? (end < -n ? -1 : end + n) : end;
    int64_t lo = step < 0 ? -1 : 0, hi = step < 0 ? n - 1 : n;
    from = from < (step < 0 ? lo : 0) ? lo : from > hi ? hi : from;
    end = end < lo ? lo : end > hi + (step < 0) ? hi + (step < 0) : end;
    int64_t span = step > 0 ? end - from : from - end;
    int64_t by = step > 0 ? step : -step;
    w->dim[axis] = span > 0 ? (span + by - 1) / by : 0;
    w->base += from * w->stride[axis];
    w->stride[axis] *= step;
    return BD_OK;
}

struct cuts { /* the lists of Slice */
    const int64_t *from, *end, *axes, *steps;
    size_t n;
};

static bd_status read_cuts(const struct bd_octx *c, struct cuts *p)
{
    size_t n[3] = {0};
    bd_status s = bd_graph_ints(c, "starts", 1, &p->from, &p->n);
    if (s == BD_OK)
        s = bd_graph_ints(c, "ends", 2, &p->end, &n[0]);
    if (s == BD_OK)
        s = bd_graph_ints(c, "axes", 3, &p->axes, &n[1]);
    if (s == BD_OK)
        s = bd_graph_ints(c, NULL, 4, &p->steps, &n[2]);
    if (s != BD_OK)
        return s;
    if (n[0] != p->n || (p->axes && n[1] != p->n) ||
        (p->steps && n[2] != p->n) || p->n > (size_t)c->in[0]->rank)
        return BD_BAD(c, "its lists differ in length");
    return BD_OK;
}

static bd_status shape_slice(struct bd_octx *c)
{
    struct cuts p;
    bool mask[BD_MAX_RANK];
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = read_cuts(c, &p);
    if (s == BD_OK && p.axes)
        s = bd_graph_axes(c, p.axes, p.n, c->in[0]->rank, mask);
    struct bd_walk *w = s == BD_OK ? new_walk(c, 1) : NULL;
    if (!w)
        return s == BD_OK ? BD_ENOMEM : s;
    const struct bd_tensor *x = c->in[0];
    w->rank = x->rank;
    memcpy(w->dim, x->dim, sizeof w->dim);
    dense(w->stride, x);
    for (size_t k = 0; s == BD_OK && k < p.n; k++) {
        int64_t a = p.axes ? p.axes[k] : (int64_t)k;
        int64_t fes[3] = {p.from[k], p.end[k], p.steps ? p.steps[k] : 1};
        s = cut(c, w, (int)(a < 0 ? a + x->rank : a), fes);
    }
    return s == BD_OK ? bd_graph_out(c, 0, x->type, w->dim, w->rank) : s;
}

/* ------------------------------------------------------------------ Split */
/* Sizes given, or equal parts with a smaller last one. */
static bd_status part_sizes(const struct bd_octx *c, int64_t *size,
                            int64_t whole)
{
    const int64_t *given;
    size_t n;
    bd_status s = bd_graph_ints(c, "split", 1, &given, &n);
    if (s != BD_OK)
        return s;
    int64_t parts = c->nout, each = (whole + parts - 1) / parts, sum = 0;
    if (given && n != (size_t)parts)
        return BD_BAD(c, "%zu sizes for %lld outputs", n, (long long)parts);
    for (int64_t k = 0; k < parts; k++) {
        size[k] = given ? given[k] : each < whole - sum ? each : whole - sum;
        if (size[k] < 0 || size[k] > whole - sum)
            return BD_BAD(c, "its parts do not add up to %lld",
                          (long long)whole);
        sum += size[k];
    }
    return sum == whole
               ? BD_OK
               : BD_BAD(c, "its parts do not add up to %lld", (long long)whole);
}

static bd_status shape_split(struct bd_octx *c)
{
    int64_t axis = bd_node_int(c->node, "axis", 0), at = 0;
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    int64_t *size = bd_arena_alloc(c->arena, (size_t)c->nout, sizeof *size);
    struct bd_walk *w = new_walk(c, (size_t)c->nout);
    if (!w || !size)
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    s = part_sizes(c, size, x->dim[axis]);
    for (int k = 0; s == BD_OK && k < c->nout; k++) {
        w[k].rank = x->rank;
        memcpy(w[k].dim, x->dim, sizeof x->dim);
        dense(w[k].stride, x);
        w[k].dim[axis] = size[k];
        w[k].base = at * w[k].stride[axis];
        at += size[k];
        s = bd_graph_out(c, k, x->type, w[k].dim, x->rank);
    }
    return s;
}

static bd_status run_split(struct bd_octx *c)
{
    const struct bd_walk *w = c->param;
    for (int k = 0; k < c->nout; k++)
        if (c->out[k])
            bd_graph_walk(bd_graph_data(c->out[k]), bd_graph_data(c->in[0]),
                          &w[k]);
    return BD_OK;
}

/* ----------------------------------------------------------------- Concat */
static bd_status shape_concat(struct bd_octx *c)
{
    int64_t axis = bd_node_int(c->node, "axis", 1), *at;
    bd_status s = bd_graph_need(c, c->nin < 1 ? 1 : c->nin);
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    struct bd_tensor y = *c->in[0];
    at = bd_graph_param(c, sizeof *at);
    if (!at)
        return BD_ENOMEM;
    *at = axis;
    for (int k = 1; k < c->nin; k++) {
        const struct bd_tensor *x = c->in[k];
        bool fits = x->rank == y.rank &&
                    bd_dtype_is_real(x->type) == bd_dtype_is_real(y.type);
        for (int a = 0; fits && a < y.rank; a++)
            fits = a == axis || x->dim[a] == y.dim[a];
        if (!fits)
            return BD_BAD(c, "input %d does not fit the first", k);
        y.dim[axis] += x->dim[axis];
    }
    return bd_graph_out(c, 0, y.type, y.dim, y.rank);
}

static bd_status run_concat(struct bd_octx *c)
{
    int axis = (int)*(const int64_t *)c->param;
    struct bd_slices y = bd_slices_of(c->out[0], axis);
    size_t esize = bd_graph_esize(c->out[0]), at = 0;
    size_t row = (size_t)(y.channels * y.inner) * esize;
    for (int k = 0; k < c->nin; k++) {
        struct bd_slices x = bd_slices_of(c->in[k], axis);
        size_t n = (size_t)(x.channels * x.inner) * esize;
        const char *src = bd_graph_data(c->in[k]);
        char *dst = bd_graph_data(c->out[0]);
        for (int64_t o = 0; o < y.outer && n; o++)
            memcpy(dst + (size_t)o * row + at, src + (size_t)o * n, n);
        at += n;
    }
    return BD_OK;
}

/* ------------------------------------------------------------------- Tile */
/* Every axis is two: how often, and how much. */
static bd_status shape_tile(struct bd_octx *c)
{
    const int64_t *times;
    size_t n;
    bd_status s = bd_graph_need(c, 2);
    if (s == BD_OK)
        s = bd_graph_ints(c, NULL, 1, &times, &n);
    struct bd_walk *w = s == BD_OK ? new_walk(c, 1) : NULL;
    if (!w)
        return s == BD_OK ? BD_ENOMEM : s;
    const struct bd_tensor *x = c->in[0];
    int64_t stride[BD_MAX_RANK], dim[BD_MAX_RANK];
    if (n != (size_t)x->rank || x->rank > BD_MAX_RANK / 2)
        return BD_BAD(c, "%zu repeats for %d dimensions", n, x->rank);
    dense(stride, x);
    w->rank = 2 * x->rank;
    for (int a = 0; a < x->rank; a++) {
        if (times[a] < 0 || times[a] > BD_MAX_ELEMENTS / (x->dim[a] + 1))
            return BD_BAD(c, "it repeats %lld times", (long long)times[a]);
        w->dim[2 * a] = times[a];
        w->dim[2 * a + 1] = x->dim[a];
        w->stride[2 * a + 1] = stride[a];
        dim[a] = times[a] * x->dim[a];
    }
    return bd_graph_out(c, 0, x->type, dim, x->rank);
}

/* ----------------------------------------------- DepthToSpace and back */
/* Both are a transposition of an input seen with six axes. */
static void six(struct bd_walk *w, const int64_t dim[6], const int perm[6])
{
    int64_t stride[6], step = 1;
    for (int a = 5; a >= 0; a--) {
        stride[a] = step;
        step *= dim[a];
    }
    w->rank = 6;
    for (int a = 0; a < 6; a++) {
        w->dim[a] = dim[perm[a]];
        w->stride[a] = stride[perm[a]];
    }
}

static bd_status shape_space(struct bd_octx *c)
{
    static const int dcr[6] = {0, 3, 4, 1, 5, 2}, crd[6] = {0, 1, 4, 2, 5, 3};
    static const int back[6] = {0, 3, 5, 1, 2, 4};
    bool to_depth = c->op->aux != NULL;
    int64_t b = bd_node_int(c->node, "blocksize", 0);
    bd_status s = bd_graph_need(c, 1);
    struct bd_walk *w = s == BD_OK ? new_walk(c, 1) : NULL;
    if (!w)
        return s == BD_OK ? BD_ENOMEM : s;
    const struct bd_tensor *x = c->in[0];
    const int64_t *d = x->dim;
    if (x->rank != 4 || b < 1 || b > 65536 ||
        (to_depth ? d[2] % b || d[3] % b : d[1] % (b * b)))
        return BD_BAD(c, "blocks of %lld do not fit its input", (long long)b);
    if (to_depth) {
        six(w, (int64_t[]){d[0], d[1], d[2] / b, b, d[3] / b, b}, back);
        return bd_graph_out(c, 0, x->type,
                            (int64_t[]){d[0], d[1] * b * b, d[2] / b, d[3] / b},
                            4);
    }
    if (!strcmp(bd_node_str(c->node, "mode", "DCR"), "CRD"))
        six(w, (int64_t[]){d[0], d[1] / b / b, b, b, d[2], d[3]}, crd);
    else
        six(w, (int64_t[]){d[0], b, b, d[1] / b / b, d[2], d[3]}, dcr);
    return bd_graph_out(c, 0, x->type,
                        (int64_t[]){d[0], d[1] / b / b, d[2] * b, d[3] * b}, 4);
}

/* ------------------------------------------------------------------ Trilu */
static bd_status shape_trilu(struct bd_octx *c)
{
    double k;
    int64_t *shift = bd_graph_param(c, sizeof *shift);
    bd_status s = bd_graph_need(c, 1);
    if (!shift)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, 0, &k);
    if (s != BD_OK)
        return s;
    if (c->in[0]->rank < 2)
        return BD_BAD(c, "its input is not a matrix");
    *shift = bd_graph_to_int(k, BD_I32);
    return bd_graph_out_like(c, 0, c->in[0]);
}

static bd_status run_trilu(struct bd_octx *c)
{
    const struct bd_tensor *x = c->in[0];
    bool upper = bd_node_int(c->node, "upper", 1) != 0;
    int64_t shift = *(const int64_t *)c->param, n = bd_tensor_count(x);
    int64_t cols = x->dim[x->rank - 1], rows = x->dim[x->rank - 2];
    for (int64_t k = 0; k < n; k++) {
        int64_t over = k % cols - k / cols % rows - shift;
        bool keep = upper ? over >= 0 : over <= 0;
        if (x->f)
            c->out[0]->f[k] = keep ? x->f[k] : 0;
        else
            c->out[0]->i[k] = keep ? x->i[k] : 0;
    }
    return BD_OK;
}

static const bool yes = true; /* marks the second of a pair of rows */

const struct bd_op bd_graph_ops_move[] = {
    {"Transpose", shape_transpose, run_walk, NULL, 0, NULL},
    {"Expand", shape_expand, run_walk, NULL, 0, NULL},
    {"Slice", shape_slice, run_walk, NULL, 0, NULL},
    {"Tile", shape_tile, run_walk, NULL, 0, NULL},
    {"Split", shape_split, run_split, NULL, 0, NULL},
    {"Concat", shape_concat, run_concat, NULL, 0, NULL},
    {"DepthToSpace", shape_space, run_walk, NULL, 0, NULL},
    {"SpaceToDepth", shape_space, run_walk, NULL, 0, &yes},
    {"Trilu", shape_trilu, run_trilu, NULL, 0, NULL},
    {0},
};
