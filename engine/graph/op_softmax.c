/* op_softmax: Softmax, LogSoftmax, Hardmax.  Before opset 13 the axis cut
 * the tensor in two: everything behind it was one row. */
#include "graph/graph_priv.h"

#include <math.h>

enum kind { SOFT, LOGSOFT, HARD };

static bd_status shape_softmax(struct bd_octx *c)
{
    struct bd_slices *p = bd_graph_param(c, sizeof *p);
    bool rows = c->opset < 13;
    int64_t axis = bd_node_int(c->node, "axis", rows ? 1 : -1);
    bd_status s = bd_graph_reals(c, 1, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK && !(rows && axis == c->in[0]->rank))
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    *p = (struct bd_slices){1, 1, 1};
    for (int a = 0; a < x->rank; a++) {
        int64_t *to = a < axis            ? &p->outer
                      : a == axis || rows ? &p->channels
                                          : &p->inner;
        *to *= x->dim[a];
    }
    c->mixes = axis == 0;
    return bd_graph_out_like(c, 0, x);
}

/* One row of n elements, `step` apart. */
static void soft_row(float *y, const float *x, int64_t n, int64_t step,
                     enum kind kind)
{
    float top = -INFINITY;
    int64_t at = 0;
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        if (x[k * step] > top || isnan(x[k * step])) {
            top = x[k * step];
            at = k;
        }
    for (int64_t k = 0; k < n && kind != HARD; k++) {
        y[k * step] = expf(x[k * step] - top);
        sum += (double)y[k * step];
    }
    for (int64_t k = 0; k < n; k++) {
        if (kind == SOFT)
            y[k * step] = (float)((double)y[k * step] / sum);
        else if (kind == HARD)
            y[k * step] = k == at;
        else
            y[k * step] = (float)((double)(x[k * step] - top) - log(sum));
    }
}

static bd_status run_softmax(struct bd_octx *c)
{
    const struct bd_slices *p = c->param;
    enum kind kind = *(const enum kind *)c->op->aux;
    for (int64_t k = 0; k < p->outer * p->inner; k++) {
        int64_t at = k / p->inner * p->channels * p->inner + k % p->inner;
        soft_row(c->out[0]->f + at, c->in[0]->f + at, p->channels, p->inner,
                 kind);
    }
    return BD_OK;
}

static const enum kind soft = SOFT, logsoft = LOGSOFT, hard = HARD;

const struct bd_op bd_graph_ops_softmax[] = {
    {"Softmax", shape_softmax, run_softmax, NULL, 0, &soft},
    {"LogSoftmax", shape_softmax, run_softmax, NULL, 0, &logsoft},
    {"Hardmax", shape_softmax, run_softmax, NULL, 0, &hard},
    {0},
};
