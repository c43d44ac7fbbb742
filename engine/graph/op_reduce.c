/* op_reduce: sums, extremes and norms over axes; positions of extremes;
 * running sums.  A reduction walks the kept axes outside and the reduced ones
 * inside, accumulating in double (whole numbers in 64 bits). */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

enum kind {
    RED_SUM,
    RED_MEAN,
    RED_MAX,
    RED_MIN,
    RED_PROD,
    RED_L1,
    RED_L2,
    RED_LOGSUM,
    RED_LOGSUMEXP,
    RED_SUMSQUARE
};

struct reduce {
    struct bd_walk outer, inner; /* offsets into the input */
};

/* Splits x's axes into those kept and those reduced. */
static void split_axes(struct reduce *p, const struct bd_tensor *x,
                       const bool *mask)
{
    int64_t step = 1;
    for (int a = 0; a < x->rank; a++)
        (mask[a] ? &p->inner : &p->outer)->rank++;
    int in = p->inner.rank, out = p->outer.rank;
    for (int a = x->rank - 1; a >= 0; a--) {
        struct bd_walk *w = mask[a] ? &p->inner : &p->outer;
        int at = mask[a] ? --in : --out;
        w->dim[at] = x->dim[a];
        w->stride[at] = step;
        step *= x->dim[a];
    }
}

static bd_status out_reduced(struct bd_octx *c, enum bd_dtype type,
                             const bool *mask, bool keep)
{
    const struct bd_tensor *x = c->in[0];
    int64_t dim[BD_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < x->rank; a++) {
        if (!mask[a])
            dim[rank++] = x->dim[a];
        else if (keep)
            dim[rank++] = 1;
    }
    c->mixes = x->rank > 0 && mask[0];
    return bd_graph_out(c, 0, type, dim, rank);
}

static bd_status shape_reduce(struct bd_octx *c)
{
    const int64_t *axes;
    size_t n;
    bool mask[BD_MAX_RANK];
    struct reduce *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_ints(c, "axes", 1, &axes, &n);
    if (s == BD_OK)
        s = bd_graph_axes(c, axes, n, c->in[0]->rank, mask);
    if (s != BD_OK)
        return s;
    /* No axes named: all of them, or, when asked, none. */
    bool none = bd_node_int(c->node, "noop_with_empty_axes", 0) != 0;
    for (int a = 0; n == 0 && !none && a < c->in[0]->rank; a++)
        mask[a] = true;
    split_axes(p, c->in[0], mask);
    return out_reduced(c, c->in[0]->type, mask,
                       bd_node_int(c->node, "keepdims", 1) != 0);
}

/* Element offset of place k in the walk's order. */
static int64_t nth(const struct bd_walk *w, int64_t k)
{
    int64_t at = 0;
    for (int a = w->rank - 1; a >= 0; a--) {
        at += k % w->dim[a] * w->stride[a];
        k /= w->dim[a];
    }
    return at;
}

static int64_t places(const struct bd_walk *w)
{
    int64_t n = 1;
    for (int a = 0; a < w->rank; a++)
        n *= w->dim[a];
    return n;
}

static double start_of(enum kind kind)
{
    switch (kind) {
    case RED_MAX:
    case RED_LOGSUMEXP:
        return -INFINITY;
    case RED_MIN:
        return INFINITY;
    case RED_PROD:
        return 1;
    case RED_SUM:
    case RED_MEAN:
    case RED_L1:
    case RED_L2:
    case RED_LOGSUM:
    case RED_SUMSQUARE:
        break;
    }
    return 0;
}

static double add_real(double acc, double v, enum kind kind)
{
    switch (kind) {
    case RED_SUM:
    case RED_MEAN:
    case RED_LOGSUM:
        return acc + v;
    case RED_MAX:
    case RED_LOGSUMEXP: /* the latter: its first pass */
        return v > acc || isnan(v) ? v : acc;
    case RED_MIN:
        return v < acc || isnan(v) ? v : acc;
    case RED_PROD:
        return acc * v;
    case RED_L1:
        return acc + fabs(v);
    case RED_L2:
    case RED_SUMSQUARE:
        return acc + v * v;
    }
    return acc;
}

static double end_of(double acc, double n, enum kind kind)
{
    switch (kind) {
    case RED_MEAN:
        return acc / n;
    case RED_L2:
        return sqrt(acc);
    case RED_LOGSUM:
        return log(acc);
    case RED_SUM:
    case RED_MAX:
    case RED_MIN:
    case RED_PROD:
    case RED_L1:
    case RED_LOGSUMEXP:
    case RED_SUMSQUARE:
        break;
    }
    return acc;
}

/* log of the sum of exp: shifted by the largest so that nothing overflows. */
static double shifted(const float *x, const struct bd_walk *w, double top,
                      int64_t n)
{
    double sum = 0;
    if (!isfinite(top))
        return top;
    for (int64_t k = 0; k < n; k++)
        sum += exp((double)x[nth(w, k)] - top);
    return top + log(sum);
}

static float reduce_real(const float *x, const struct bd_walk *w,
                         enum kind kind)
{
    int64_t n = places(w), last = w->rank ? w->dim[w->rank - 1] : 1;
    int64_t step = w->rank ? w->stride[w->rank - 1] : 0;
    double acc = start_of(kind);
    for (int64_t k = 0; k < n; k += last) {
        const float *row = x + nth(w, k);
        for (int64_t j = 0; j < last; j++)
            acc = add_real(acc, (double)row[j * step], kind);
    }
    if (kind == RED_LOGSUMEXP)
        return (float)shifted(x, w, acc, n);
    return (float)end_of(acc, (double)n, kind);
}

static int64_t add_whole(int64_t acc, int64_t v, enum kind kind)
{
    uint64_t a = (uint64_t)acc, b = (uint64_t)v;
    switch (kind) {
    case RED_MAX:
        return v > acc ? v : acc;
    case RED_MIN:
        return v < acc ? v : acc;
    case RED_PROD:
        return (int64_t)(a * b);
    case RED_L1:
        return (int64_t)(a + (v < 0 ? 0 - b : b));
    case RED_SUMSQUARE:
    case RED_L2:
        return (int64_t)(a + b * b);
    case RED_SUM:
    case RED_MEAN:
    case RED_LOGSUM:
    case RED_LOGSUMEXP:
        break;
    }
    return (int64_t)(a + b);
}

static int64_t reduce_whole(const int64_t *x, const struct bd_walk *w,
                            enum kind kind)
{
    int64_t n = places(w);
    int64_t acc = kind == RED_PROD;
    if ((kind == RED_MAX || kind == RED_MIN) && n > 0)
        acc = x[nth(w, 0)];
    for (int64_t k = 0; k < n; k++)
        acc = add_whole(acc, x[nth(w, k)], kind);
    if (kind == RED_MEAN)
        return n ? acc / n : 0;
    if (kind == RED_L2 || kind == RED_LOGSUM)
        return (int64_t)end_of((double)acc, (double)n, kind);
    return acc;
}

static bd_status run_reduce(struct bd_octx *c)
{
    const struct reduce *p = c->param;
    enum kind kind = *(const enum kind *)c->op->aux;
    struct bd_tensor *y = c->out[0];
    int64_t n = bd_tensor_count(y);
    for (int64_t k = 0; k < n; k++) {
        int64_t at = nth(&p->outer, k);
        if (y->f)
            y->f[k] = reduce_real(c->in[0]->f + at, &p->inner, kind);
        else
            y->i[k] = bd_graph_wrap(
                reduce_whole(c->in[0]->i + at, &p->inner, kind), y->type);
    }
    return BD_OK;
}

/* ------------------------------------------------------- ArgMax, ArgMin */
static bd_status shape_arg(struct bd_octx *c)
{
    int64_t axis = bd_node_int(c->node, "axis", 0);
    bool mask[BD_MAX_RANK] = {false};
    struct reduce *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    mask[axis] = true;
    split_axes(p, c->in[0], mask);
    return out_reduced(c, BD_I64, mask,
                       bd_node_int(c->node, "keepdims", 1) != 0);
}

static bd_status run_arg(struct bd_octx *c)
{
    const struct reduce *p = c->param;
    bool least = *(const enum kind *)c->op->aux == RED_MIN;
    bool last = bd_node_int(c->node, "select_last_index", 0) != 0;
    int64_t n = bd_tensor_count(c->out[0]), m = places(&p->inner);
    for (int64_t k = 0; k < n; k++) {
        int64_t base = nth(&p->outer, k), pick = 0;
        for (int64_t j = 1; j < m; j++) {
            double v = bd_graph_at(c->in[0], base + nth(&p->inner, j));
            double b = bd_graph_at(c->in[0], base + nth(&p->inner, pick));
            if ((least ? v < b : v > b) || (last && v == b))
                pick = j;
        }
        c->out[0]->i[k] = pick;
    }
    return BD_OK;
}

/* ----------------------------------------------------------------- CumSum */
static bd_status shape_cumsum(struct bd_octx *c)
{
    double axis;
    struct bd_slices *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 2);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_scalar(c, 1, 0, &axis);
    int64_t a = s == BD_OK ? bd_graph_to_int(axis, BD_I32) : 0;
    if (s == BD_OK)
        s = bd_graph_axis(c, &a, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    *p = bd_slices_of(c->in[0], (int)a);
    c->mixes = a == 0;
    return bd_graph_out_like(c, 0, c->in[0]);
}

static bd_status run_cumsum(struct bd_octx *c)
{
    const struct bd_slices *p = c->param;
    const struct bd_tensor *x = c->in[0];
    struct bd_tensor *y = c->out[0];
    bool back = bd_node_int(c->node, "reverse", 0) != 0;
    bool exclusive = bd_node_int(c->node, "exclusive", 0) != 0;
    for (int64_t k = 0; k < p->outer * p->inner; k++) {
        int64_t at = k / p->inner * p->channels * p->inner + k % p->inner;
        double sum = 0;
        uint64_t whole = 0;
        for (int64_t j = 0; j < p->channels; j++) {
            int64_t e = at + (back ? p->channels - 1 - j : j) * p->inner;
            double before = sum;
            uint64_t whole_before = whole;
            if (x->f)
                sum += (double)x->f[e];
            else
                whole += (uint64_t)x->i[e];
            if (y->f)
                y->f[e] = (float)(exclusive ? before : sum);
            else
                y->i[e] = bd_graph_wrap(
                    (int64_t)(exclusive ? whole_before : whole), y->type);
        }
    }
    return BD_OK;
}

/* clang-format off */
#define KIND(k) &(const enum kind){k}
#define REDUCE(name, k) {name, shape_reduce, run_reduce, NULL, 0, KIND(k)}
/* clang-format on */

const struct bd_op bd_graph_ops_reduce[] = {
    REDUCE("ReduceSum", RED_SUM),
    REDUCE("ReduceMean", RED_MEAN),
    REDUCE("ReduceMax", RED_MAX),
    REDUCE("ReduceMin", RED_MIN),
    REDUCE("ReduceProd", RED_PROD),
    REDUCE("ReduceL1", RED_L1),
    REDUCE("ReduceL2", RED_L2),
    REDUCE("ReduceLogSum", RED_LOGSUM),
    REDUCE("ReduceLogSumExp", RED_LOGSUMEXP),
    REDUCE("ReduceSumSquare", RED_SUMSQUARE),
    {"ArgMax", shape_arg, run_arg, NULL, 0, KIND(RED_MAX)},
    {"ArgMin", shape_arg, run_arg, NULL, 0, KIND(RED_MIN)},
    {"CumSum", shape_cumsum, run_cumsum, NULL, 0, NULL},
    {0},
};
