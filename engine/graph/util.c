/* util: what operators share when they settle shapes.  Everything a file
 * claims about axes, lists and extents is checked here once, so that the run
 * functions can trust their parameters. */
#include "graph/graph_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bd_status bd_graph_fail(const struct bd_octx *c, bd_status code,
                        const char *fmt, ...)
{
    char what[320], name[128], op[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    bd_text_show(name, sizeof name, c->node->name ? c->node->name : "", 40);
    bd_text_show(op, sizeof op, c->node->op, 30);
    return bd_fail(c->err, code, "node '%s' (%s): %s", name, op, what);
}

bool bd_graph_has_in(const struct bd_octx *c, int k)
{
    return k < c->nin && c->in[k];
}

bool bd_graph_known(const struct bd_tensor *t)
{
    return t->f || t->i;
}

size_t bd_graph_esize(const struct bd_tensor *t)
{
    return bd_dtype_is_real(t->type) ? sizeof(float) : sizeof(int64_t);
}

void *bd_graph_data(const struct bd_tensor *t)
{
    return bd_dtype_is_real(t->type) ? (void *)t->f : (void *)t->i;
}

double bd_graph_at(const struct bd_tensor *t, int64_t i)
{
    return t->f ? (double)t->f[i] : (double)t->i[i];
}

bd_status bd_graph_out(struct bd_octx *c, int k, enum bd_dtype type,
                       const int64_t *dim, int rank)
{
    if (k >= c->nout)
        return BD_OK;
    int64_t count;
    if (rank > BD_MAX_RANK)
        return BD_BAD(c, "its result has %d dimensions; %d is the limit", rank,
                      BD_MAX_RANK);
    for (int a = 0; a < rank; a++)
        if (dim[a] < 0)
            return BD_BAD(c, "dimension %d of its result would be negative", a);
    if (bd_shape_check(&count, dim, rank, NULL) != BD_OK)
        return BD_BAD(c, "its result is too large");
    struct bd_tensor *t = c->out[k];
    t->type = type;
    t->rank = rank;
    if (rank > 0)
        memmove(t->dim, dim, (size_t)rank * sizeof *dim);
    return BD_OK;
}

bd_status bd_graph_out_like(struct bd_octx *c, int k, const struct bd_tensor *t)
{
    return bd_graph_out(c, k, t->type, t->dim, t->rank);
}

bd_status bd_graph_need(const struct bd_octx *c, int nin)
{
    for (int k = 0; k < nin; k++)
        if (!bd_graph_has_in(c, k))
            return BD_BAD(c, "input %d is missing", k);
    if (c->nout < 1)
        return BD_BAD(c, "it has no output");
    return BD_OK;
}

bd_status bd_graph_need_real(const struct bd_octx *c, int k)
{
    if (bd_graph_has_in(c, k) && !bd_dtype_is_real(c->in[k]->type))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "input %d is %s; it takes real numbers", k,
                             bd_dtype_name(c->in[k]->type));
    return BD_OK;
}

bd_status bd_graph_reals(const struct bd_octx *c, int need, int reals)
{
    bd_status s = bd_graph_need(c, need);
    for (int k = 0; s == BD_OK && k < reals; k++)
        s = bd_graph_need_real(c, k);
    return s;
}

void *bd_graph_param(struct bd_octx *c, size_t size)
{
    c->param = bd_arena_alloc(c->arena, 1, size);
    if (!c->param)
        bd_fail(c->err, BD_ENOMEM, "out of memory");
    return c->param;
}

bd_status bd_graph_axis(const struct bd_octx *c, int64_t *axis, int rank)
{
    if (*axis < -(int64_t)rank || *axis >= rank)
        return BD_BAD(c, "axis %lld is outside a tensor of %d dimensions",
                      (long long)*axis, rank);
    if (*axis < 0)
        *axis += rank;
    return BD_OK;
}

bd_status bd_graph_ints(const struct bd_octx *c, const char *attr, int k,
                        const int64_t **v, size_t *n)
{
    *v = NULL;
    *n = 0;
    if (k >= 0 && bd_graph_has_in(c, k)) {
        const struct bd_tensor *t = c->in[k];
        if (!t->i)
            return bd_graph_fail(c, BD_EUNSUPPORTED,
                                 "input %d must be known "
                                 "before running, whole numbers",
                                 k);
        *v = t->i;
        *n = (size_t)bd_tensor_count(t);
        return BD_OK;
    }
    const struct bd_attr *a = attr ? bd_node_attr(c->node, attr) : NULL;
    if (!a)
        return BD_OK;
    if (a->kind == BD_ATTR_INT) {
        *v = &a->i;
        *n = 1;
    } else if (a->kind == BD_ATTR_INTS && a->n > 0) {
        *v = a->ints;
        *n = a->n;
    }
    return BD_OK;
}

bd_status bd_graph_scalar(const struct bd_octx *c, int k, double dflt,
                          double *v)
{
    *v = dflt;
    if (!bd_graph_has_in(c, k))
        return BD_OK;
    const struct bd_tensor *t = c->in[k];
    if (!bd_graph_known(t))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "input %d must be known before running", k);
    if (bd_tensor_count(t) > 0)
        *v = bd_graph_at(t, 0);
    return BD_OK;
}

bd_status bd_graph_axes(const struct bd_octx *c, const int64_t *v, size_t n,
                        int rank, bool *mask)
{
    memset(mask, 0, BD_MAX_RANK * sizeof *mask);
    for (size_t k = 0; k < n; k++) {
        int64_t axis = v[k];
        bd_status s = bd_graph_axis(c, &axis, rank);
        if (s != BD_OK)
            return s;
        if (mask[axis])
            return BD_BAD(c, "axis %lld is named twice", (long long)axis);
        mask[axis] = true;
    }
    return BD_OK;
}

bd_status bd_graph_broadcast(const struct bd_octx *c, struct bd_tensor *out,
                             const struct bd_tensor *a,
                             const struct bd_tensor *b)
{
    struct bd_tensor r = {.type = a->type};
    r.rank = a->rank > b->rank ? a->rank : b->rank;
    for (int k = 1; k <= r.rank; k++) { /* from the last axis forward */
        int64_t da = k <= a->rank ? a->dim[a->rank - k] : 1;
        int64_t db = k <= b->rank ? b->dim[b->rank - k] : 1;
        if (da != db && da != 1 && db != 1) {
            char ta[96], tb[96];
            return BD_BAD(c, "shapes %s and %s do not broadcast",
                          bd_shape_text(ta, sizeof ta, a),
                          bd_shape_text(tb, sizeof tb, b));
        }
        r.dim[r.rank - k] = da == 1 ? db : da;
    }
    out->type = r.type;
    out->rank = r.rank;
    memcpy(out->dim, r.dim, sizeof r.dim);
    return BD_OK;
}

void bd_graph_strides(int64_t *stride, const struct bd_tensor *t, int rank)
{
    int64_t step = 1;
    memset(stride, 0, (size_t)rank * sizeof *stride);
    for (int a = t->rank - 1; a >= 0; a--) {
        int at = a + rank - t->rank;
        if (at >= 0)
            stride[at] = t->dim[a] == 1 ? 0 : step;
        step *= t->dim[a];
    }
}

/* One row of the last axis. */
static void walk_row(char *y, const char *x, const struct bd_walk *w)
{
    int64_t n = w->rank ? w->dim[w->rank - 1] : 1;
    int64_t step = w->rank ? w->stride[w->rank - 1] : 0;
    if (step == 1) {
        memcpy(y, x, (size_t)n * w->esize);
    } else if (w->esize == sizeof(float)) {
        float *d = (float *)(void *)y;
        const float *s = (const float *)(const void *)x;
        for (int64_t k = 0; k < n; k++)
            d[k] = s[k * step];
    } else {
        int64_t *d = (int64_t *)(void *)y;
        const int64_t *s = (const int64_t *)(const void *)x;
        for (int64_t k = 0; k < n; k++)
            d[k] = s[k * step];
    }
}

void bd_graph_walk(void *y, const void *x, const struct bd_walk *w)
{
    int64_t at[BD_MAX_RANK] = {0}, pos = w->base;
    for (int a = 0; a < w->rank; a++)
        if (w->dim[a] == 0)
            return;
    int64_t row = w->rank ? w->dim[w->rank - 1] : 1;
    char *d = y;
    for (;;) {
        walk_row(d, (const char *)x + pos * (int64_t)w->esize, w);
        d += (size_t)row * w->esize;
        int a = w->rank - 2;
        for (; a >= 0; a--) {
            pos += w->stride[a];
            if (++at[a] < w->dim[a])
                break;
            pos -= w->stride[a] * w->dim[a];
            at[a] = 0;
        }
        if (a < 0)
            return;
    }
}

int64_t bd_graph_wrap(int64_t v, enum bd_dtype type)
{
    switch (type) {
    case BD_U8:
        return (uint8_t)v;
    case BD_I8:
        return (int8_t)v;
    case BD_U16:
        return (uint16_t)v;
    case BD_I16:
        return (int16_t)v;
    case BD_I32:
        return (int32_t)v;
    case BD_U32:
        return (uint32_t)v;
    case BD_BOOL:
        return v != 0;
    case BD_UNDEFINED:
    case BD_F32:
    case BD_I64:
    case BD_STRING:
    case BD_F16:
    case BD_F64:
    case BD_U64:
    case BD_BF16:
        break;
    }
    return v;
}

int64_t bd_graph_to_int(double v, enum bd_dtype type)
{
    if (isnan(v))
        return type == BD_BOOL;
    if (type == BD_BOOL)
        return v != 0;
    if (type == BD_U64 && v >= 0x1p63)
        return v >= 0x1p64 ? -1 : (int64_t)(uint64_t)v;
    if (v >= 0x1p63)
        return bd_graph_wrap(INT64_MAX, type);
    if (v < -0x1p63)
        return bd_graph_wrap(INT64_MIN, type);
    return bd_graph_wrap((int64_t)v, type);
}

void *bd_graph_work(const struct bd_octx *c, int worker)
{
    return c->work + (size_t)worker * c->stride;
}

void bd_graph_for(const struct bd_octx *c, int64_t n, bd_pool_fn *fn, void *arg)
{
    if (c->pool && n > 1) {
        bd_pool_for(c->pool, n, fn, arg);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        fn(arg, k, 0);
}
