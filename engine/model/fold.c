/* Folding: a node that only moves constant data (reshapes it, transposes it,
 * hands it on) becomes a constant itself.  Then the weight of a layer is
 * found at the layer, and bits can be turned on it, although the exporter put
 * a Reshape or Transpose between.  Nodes that compute stay: folding them
 * would change numbers' order of evaluation.
 *
 * One row per operator.  A row that cannot fold says no, and the node stays
 * for graph/, which words the complaint if there is one. */
#include "model/model_priv.h"

#include <string.h>

struct fold {
    struct bd_builder *b;
    const struct bd_node *n;
    struct bd_tensor out; /* starts as a view of input 0 */
    size_t budget;        /* bytes that copies may still take */
};

static const struct bd_tensor *arg(const struct fold *f, int i)
{
    bool there = i < f->n->nin && f->n->in[i] >= 0;
    return there ? &f->b->value[f->n->in[i]].t : NULL;
}

static bool known(const struct bd_tensor *t)
{
    return t->f || t->i;
}

/* Whole numbers from attribute `name`, or from input i (newer opsets). */
static bool numbers(const struct fold *f, const char *name, int i,
                    const int64_t **v, size_t *n)
{
    const struct bd_attr *a = bd_node_attr(f->n, name);
    const struct bd_tensor *t = arg(f, i);
    if (a && a->kind == BD_ATTR_INTS) {
        *v = a->ints;
        *n = a->n;
        return true;
    }
    if (!t || !t->i || t->rank > 1)
        return false;
    *v = t->i;
    *n = (size_t)bd_tensor_count(t);
    return true;
}

/* --------------------------------------------------------------- the rows */

static bool fold_alias(struct fold *f)
{
    /* Dropout at inference; its mask is not ours to make. */
    const struct bd_tensor *training = arg(f, 2);
    return (f->n->nout < 2 || f->n->out[1] < 0) &&
           !(training && training->i && training->i[0]);
}

static bool fold_cast(struct fold *f)
{
    int64_t to = bd_node_int(f->n, "to", 0);
    if (!f->out.f || (to != BD_F32 && to != BD_F64))
        return false;
    f->out.type = to == BD_F32 ? BD_F32 : BD_F64;
    return true;
}

static bool fold_reshape(struct fold *f)
{
    const int64_t *d;
    size_t n;
    if (!numbers(f, "shape", 1, &d, &n) || n > BD_MAX_RANK)
        return false;
    int64_t total = bd_tensor_count(&f->out), rest = 1;
    bool keep = bd_node_int(f->n, "allowzero", 0) == 0;
    struct bd_tensor old = f->out;
    int hole = -1;
    f->out.rank = (int)n;
    for (int k = 0; k < (int)n; k++) {
        int64_t x = d[k];
        if (x == 0 && keep)
            x = k < old.rank ? old.dim[k] : -2;
        if (x < -1 || (x == -1 && hole >= 0))
            return false;
        if (x == -1)
            hole = k;
        else if (__builtin_mul_overflow(rest, x, &rest))
            return false;
        f->out.dim[k] = x;
    }
    if (hole >= 0) {
        if (rest == 0 || total % rest)
            return false;
        f->out.dim[hole] = total / rest;
        rest = total;
    }
    return rest == total;
}

static bool fold_flatten(struct fold *f)
{
    int64_t axis = bd_node_int(f->n, "axis", 1);
    struct bd_tensor *t = &f->out;
    if (axis < 0)
        axis += t->rank;
    if (axis < 0 || axis > t->rank)
        return false;
    int64_t head = 1, tail = 1;
    for (int k = 0; k < t->rank; k++)
        *(k < axis ? &head : &tail) *= t->dim[k];
    t->rank = 2;
    t->dim[0] = head;
    t->dim[1] = tail;
    return true;
}

/* Marks axes of a tensor of `rank` dimensions; false if one is outside. */
static bool mark_axes(bool *mark, const int64_t *v, size_t n, int rank)
{
    for (size_t k = 0; k < n; k++) {
        int64_t a = v[k] < 0 ? v[k] + rank : v[k];
        if (a < 0 || a >= rank || mark[a])
            return false;
        mark[a] = true;
    }
    return true;
}

static bool fold_squeeze(struct fold *f)
{
    bool drop[BD_MAX_RANK] = {false};
    const int64_t *v;
    size_t n;
    struct bd_tensor *t = &f->out;
    if (numbers(f, "axes", 1, &v, &n)) {
        if (!mark_axes(drop, v, n, t->rank))
            return false;
    } else {
        for (int k = 0; k < t->rank; k++)
            drop[k] = t->dim[k] == 1;
    }
    int rank = 0;
    for (int k = 0; k < t->rank; k++) {
        if (drop[k] && t->dim[k] != 1)
            return false;
        if (!drop[k])
            t->dim[rank++] = t->dim[k];
    }
    t->rank = rank;
    return true;
}

static bool fold_unsqueeze(struct fold *f)
{
    bool add[BD_MAX_RANK] = {false};
    const int64_t *v;
    size_t n;
    struct bd_tensor old = f->out;
    if (!numbers(f, "axes", 1, &v, &n) || n > BD_MAX_RANK ||
        old.rank + (int)n > BD_MAX_RANK)
        return false;
    int rank = old.rank + (int)n, from = 0;
    if (!mark_axes(add, v, n, rank))
        return false;
    for (int k = 0; k < rank; k++)
        f->out.dim[k] = add[k] ? 1 : old.dim[from++];
    f->out.rank = rank;
    return true;
}

/* Copies in's data to dst with axes permuted: axis k of out is axis perm[k]
 * of in. */
static void transpose(void *dst, const struct bd_tensor *in,
                      const struct bd_tensor *out, const int *perm)
{
    const void *src = in->f ? (const void *)in->f : in->i;
    size_t size = in->f ? sizeof *in->f : sizeof *in->i;
    int64_t step[BD_MAX_RANK + 1], at[BD_MAX_RANK] = {0};
    step[in->rank] = 1;
    for (int k = in->rank - 1; k >= 0; k--)
        step[k] = step[k + 1] * in->dim[k];
    int64_t n = bd_tensor_count(in), from = 0;
    for (int64_t e = 0; e < n; e++) {
        memcpy((char *)dst + (size_t)e * size,
               (const char *)src + (size_t)from * size, size);
        for (int k = out->rank - 1; k >= 0; k--) {
            from += step[perm[k] + 1];
            if (++at[k] < out->dim[k])
                break;
            from -= at[k] * step[perm[k] + 1];
            at[k] = 0;
        }
    }
}

static bool read_perm(const struct fold *f, int *perm)
{
    const struct bd_attr *a = bd_node_attr(f->n, "perm");
    bool seen[BD_MAX_RANK] = {false};
    int rank = f->out.rank;
    for (int k = 0; k < rank; k++)
        perm[k] = rank - 1 - k;
    if (!a)
        return true;
    if (a->kind != BD_ATTR_INTS || a->n != (size_t)rank ||
        !mark_axes(seen, a->ints, a->n, rank))
        return false;
    for (int k = 0; k < rank; k++)
        perm[k] = (int)(a->ints[k] < 0 ? a->ints[k] + rank : a->ints[k]);
    return true;
}

static bool fold_transpose(struct fold *f)
{
    int perm[BD_MAX_RANK];
    struct bd_tensor in = f->out;
    if (!read_perm(f, perm))
        return false;
    size_t size = in.f ? sizeof *in.f : sizeof *in.i;
    size_t n = (size_t)bd_tensor_count(&in), bytes;
    if (!bd_mul(&bytes, n, size) || bytes > f->budget)
        return false;
    void *p = bd_arena_alloc(&f->b->arena, n ? n : 1, size);
    if (!p) {
        f->b->failed = true;
        return false;
    }
    f->budget -= bytes;
    for (int k = 0; k < in.rank; k++)
        f->out.dim[k] = in.dim[perm[k]];
    transpose(p, &in, &f->out, perm);
    f->out.f = in.f ? p : NULL;
    f->out.i = in.f ? NULL : p;
    return true;
}

/* Constant in its five spellings. */
static bool fold_constant(struct fold *f)
{
    static const struct {
        const char *name;
        enum bd_attr_kind kind;
    } spelling[] = {
        {"value", BD_ATTR_TENSOR},    {"value_float", BD_ATTR_FLOAT},
        {"value_int", BD_ATTR_INT},   {"value_floats", BD_ATTR_FLOATS},
        {"value_ints", BD_ATTR_INTS},
    };
    const struct bd_attr *a = NULL;
    for (size_t k = 0; !a && k < sizeof spelling / sizeof *spelling; k++) {
        a = bd_node_attr(f->n, spelling[k].name);
        if (a && a->kind != spelling[k].kind)
            return false;
    }
    if (!a)
        return false;
    if (a->kind == BD_ATTR_TENSOR) {
        f->out = a->t;
        return true;
    }
    bool real = a->kind == BD_ATTR_FLOAT || a->kind == BD_ATTR_FLOATS;
    bool list = a->kind == BD_ATTR_FLOATS || a->kind == BD_ATTR_INTS;
    size_t n = list ? a->n : 1;
    f->out = (struct bd_tensor){.type = real ? BD_F32 : BD_I64,
                                .rank = list ? 1 : 0,
                                .dim = {(int64_t)n}};
    void *p = bd_arena_alloc(&f->b->arena, n ? n : 1,
                             real ? sizeof(float) : sizeof(int64_t));
    if (!p) {
        f->b->failed = true;
        return false;
    }
    if (real)
        memcpy(f->out.f = p, list ? a->floats : &a->f, n * sizeof(float));
    else
        memcpy(f->out.i = p, list ? a->ints : &a->i, n * sizeof(int64_t));
    return true;
}

static const struct {
    const char *op;
    bool (*fold)(struct fold *f);
} rows[] = {
    {"Constant", fold_constant},   {"Identity", fold_alias},
    {"Dropout", fold_alias},       {"Reshape", fold_reshape},
    {"Flatten", fold_flatten},     {"Squeeze", fold_squeeze},
    {"Unsqueeze", fold_unsqueeze}, {"Transpose", fold_transpose},
    {"Cast", fold_cast},
};

/* ------------------------------------------------------------ the machine */

static bool try_fold(struct fold *f)
{
    size_t r = 0, nrows = sizeof rows / sizeof *rows;
    while (r < nrows && strcmp(rows[r].op, f->n->op) != 0)
        r++;
    bool constant = r == 0;
    const struct bd_tensor *first = constant ? NULL : arg(f, 0);
    if (r == nrows || f->n->nout < 1 || f->n->out[0] < 0 ||
        (!constant && !first))
        return false;
    for (int i = 0; i < f->n->nin; i++)
        if (arg(f, i) && !known(arg(f, i)))
            return false;
    f->out = first ? *first : (struct bd_tensor){0};
    int64_t count;
    return rows[r].fold(f) &&
           bd_shape_check(&count, f->out.dim, f->out.rank, NULL) == BD_OK;
}

static void settle(struct fold *f)
{
    struct bd_value *v = &f->b->value[f->n->out[0]];
    v->t = f->out;
    v->producer = -1;
    if (f->n->nin > 0) {
        const struct bd_value *from = &f->b->value[f->n->in[0]];
        v->origin = from->origin >= 0 ? from->origin : f->n->in[0];
    }
}

bd_status bd_draft_fold(struct bd_builder *b, struct bd_err *err)
{
    /* Graph outputs stay computed: whoever runs the graph expects a node
     * behind each. */
    bool *asked = bd_calloc(b->nvalues, sizeof *asked);
    if (!asked)
        return bd_draft_nomem(err);
    for (size_t o = 0; o < b->output.n; o++)
        asked[b->output.v[o]] = true;
    struct fold f = {.b = b, .budget = ((size_t)64 << 20) + 2 * b->map.size};
    size_t kept = 0;
    for (size_t k = 0; k < b->nnodes; k++) {
        f.n = &b->node[k];
        bool last = f.n->nout > 0 && f.n->out[0] >= 0 && asked[f.n->out[0]];
        if (!last && try_fold(&f))
            settle(&f);
        else
            b->node[kept++] = b->node[k];
    }
    b->nnodes = kept;
    bd_draft_producers(b);
    bd_free(asked);
    return b->failed ? bd_draft_nomem(err) : BD_OK;
}
