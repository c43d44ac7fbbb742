/* op_matmul: Gemm and MatMul on the matrix kernel.  A MatMul of many rows
 * with one matrix is a single product; otherwise one per pair of broadcast
 * matrices. */
#include "graph/graph_priv.h"

#include <string.h>

struct product {
    bool ta, tb;
    int64_t m, n, k;
    float alpha, beta;
    /* MatMul: */
    int64_t batch;       /* products */
    struct bd_walk a, b; /* first matrix of each, in elements */
};

/* ------------------------------------------------------------------ Gemm */
static bd_status shape_gemm(struct bd_octx *c)
{
    struct product *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 2, 3);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *a = c->in[0], *b = c->in[1];
    if (a->rank != 2 || b->rank != 2)
        return BD_BAD(c, "its inputs are not matrices");
    p->ta = bd_node_int(c->node, "transA", 0) != 0;
    p->tb = bd_node_int(c->node, "transB", 0) != 0;
    p->alpha = bd_node_float(c->node, "alpha", 1);
    p->beta = bd_node_float(c->node, "beta", 1);
    p->m = a->dim[p->ta];
    p->k = a->dim[!p->ta];
    p->n = b->dim[!p->tb];
    if (b->dim[p->tb] != p->k)
        return BD_BAD(c, "inner extents %lld and %lld differ", (long long)p->k,
                      (long long)b->dim[p->tb]);
    c->macs = p->m * p->n * p->k;
    s = bd_graph_out(c, 0, a->type, (int64_t[]){p->m, p->n}, 2);
    if (s != BD_OK || !bd_graph_has_in(c, 2))
        return s;
    struct bd_tensor both;
    s = bd_graph_broadcast(c, &both, c->out[0], c->in[2]);
    if (s == BD_OK && bd_tensor_count(&both) != p->m * p->n)
        return BD_BAD(c, "its third input is larger than its result");
    return s;
}

/* y = beta * C, repeated as broadcasting says. */
static void start_gemm(struct bd_octx *c, const struct product *p)
{
    struct bd_tensor *y = c->out[0];
    struct bd_walk w = {.rank = 2, .dim = {p->m, p->n}, .esize = sizeof(float)};
    bd_graph_strides(w.stride, c->in[2], 2);
    bd_graph_walk(y->f, c->in[2]->f, &w);
    for (int64_t i = 0; p->beta != 1 && i < p->m * p->n; i++)
        y->f[i] *= p->beta;
}

static bd_status run_gemm(struct bd_octx *c)
{
    const struct product *p = c->param;
    bool bias = bd_graph_has_in(c, 2) && p->beta != 0;
    struct bd_gemm g = {.ta = p->ta,
                        .tb = p->tb,
                        .m = p->m,
                        .n = p->n,
                        .k = p->k,
                        .alpha = p->alpha,
                        .beta = bias,
                        .a = c->in[0]->f,
                        .b = c->in[1]->f,
                        .c = c->out[0]->f,
                        .lda = p->ta ? p->m : p->k,
                        .ldb = p->tb ? p->k : p->n,
                        .ldc = p->n};
    if (p->m == 0 || p->n == 0)
        return BD_OK;
    if (bias)
        start_gemm(c, p);
    else
        memset(c->out[0]->f, 0, (size_t)(p->m * p->n) * sizeof(float));
    if (p->k > 0)
        c->kernels->gemm(&g);
    return BD_OK;
}

/* dX = op of two matrices, into rows x cols. */
struct pair {
    const float *a, *b;
    bool ta, tb;
    int64_t lda, ldb;
};

static void grad_product(struct bd_octx *c, int k, const struct pair *q,
                         const int64_t mnk[3])
{
    const struct product *p = c->param;
    struct bd_gemm g = {.ta = q->ta,
                        .tb = q->tb,
                        .m = mnk[0],
                        .n = mnk[1],
                        .k = mnk[2],
                        .alpha = p->alpha,
                        .beta = c->acc[k] ? 1.0f : 0.0f,
                        .a = q->a,
                        .b = q->b,
                        .c = c->din[k],
                        .lda = q->lda,
                        .ldb = q->ldb,
                        .ldc = mnk[1]};
    c->kernels->gemm(&g);
}

/* Y = A' B':  dA' = dY B'^T,  dB' = A'^T dY; with a transposed operand the
 * product is written the other way round. */
static void grad_a(struct bd_octx *c, const struct product *p)
{
    const float *dy = c->dout[0], *b = c->in[1]->f;
    int64_t ldb = p->tb ? p->k : p->n;
    struct pair plain = {dy, b, false, !p->tb, p->n, ldb};
    struct pair turned = {b, dy, p->tb, true, ldb, p->n};
    if (p->ta)
        grad_product(c, 0, &turned, (int64_t[]){p->k, p->m, p->n});
    else
        grad_product(c, 0, &plain, (int64_t[]){p->m, p->k, p->n});
}

static void grad_b(struct bd_octx *c, const struct product *p)
{
    const float *dy = c->dout[0], *a = c->in[0]->f;
    int64_t lda = p->ta ? p->m : p->k;
    struct pair plain = {a, dy, !p->ta, false, lda, p->n};
    struct pair turned = {dy, a, true, p->ta, p->n, lda};
    if (p->tb)
        grad_product(c, 1, &turned, (int64_t[]){p->n, p->k, p->m});
    else
        grad_product(c, 1, &plain, (int64_t[]){p->k, p->n, p->m});
}

/* Column sums for a bias of n or 1 x n elements. */
static bd_status grad_c(struct bd_octx *c, const struct product *p)
{
    float *d = c->din[2];
    if (bd_tensor_count(c->in[2]) != p->n || !c->acc[2])
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "training with such a third input");
    for (int64_t j = 0; j < p->n; j++) {
        double s = 0;
        for (int64_t i = 0; i < p->m; i++)
            s += (double)c->dout[0][i * p->n + j];
        d[j] += (float)(s * (double)p->beta);
    }
    return BD_OK;
}

static bd_status back_gemm(struct bd_octx *c)
{
    const struct product *p = c->param;
    if (p->m == 0 || p->n == 0 || p->k == 0)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "training an empty product");
    if (c->din[0])
        grad_a(c, p);
    if (c->din[1])
        grad_b(c, p);
    if (c->nin > 2 && c->din[2])
        return grad_c(c, p);
    return BD_OK;
}

/* ---------------------------------------------------------------- MatMul */
/* Vectors are matrices of one row or column, dropped from the result. */
static struct bd_tensor as_matrix(const struct bd_tensor *t, bool left)
{
    struct bd_tensor r = *t;
    if (t->rank != 1)
        return r;
    r.rank = 2;
    r.dim[0] = left ? 1 : t->dim[0];
    r.dim[1] = left ? t->dim[0] : 1;
    return r;
}

/* Where each product's matrices begin. */
static void walk_batches(struct bd_walk *w, const struct bd_tensor *t,
                         const struct bd_tensor *over)
{
    struct bd_tensor lead = *t;
    lead.rank -= 2;
    w->rank = over->rank;
    memcpy(w->dim, over->dim, sizeof w->dim);
    bd_graph_strides(w->stride, &lead, over->rank);
    for (int a = 0; a < w->rank; a++)
        w->stride[a] *= t->dim[t->rank - 1] * t->dim[t->rank - 2];
}

/* Rows of all batches in one product when the right side is one matrix. */
static void merge_rows(struct product *p, const struct bd_tensor *b)
{
    if (bd_tensor_count(b) != p->k * p->n || p->batch < 2)
        return;
    for (int a = 0; a < p->a.rank; a++)
        if (p->a.dim[a] > 1 && p->a.stride[a] == 0)
            return;
    p->m *= p->batch;
    p->batch = 1;
}

static bd_status shape_product(struct bd_octx *c, struct product *p,
                               enum bd_dtype type, int second)
{
    struct bd_tensor a = as_matrix(c->in[0], true);
    struct bd_tensor b = as_matrix(c->in[second], false), lead, la, lb;
    if (a.rank < 2 || b.rank < 2)
        return BD_BAD(c, "an input is a single number");
    p->m = a.dim[a.rank - 2];
    p->k = a.dim[a.rank - 1];
    p->n = b.dim[b.rank - 1];
    if (b.dim[b.rank - 2] != p->k)
        return BD_BAD(c, "inner extents %lld and %lld differ", (long long)p->k,
                      (long long)b.dim[b.rank - 2]);
    la = a;
    lb = b;
    la.rank -= 2;
    lb.rank -= 2;
    bd_status s = bd_graph_broadcast(c, &lead, &la, &lb);
    if (s != BD_OK)
        return s;
    walk_batches(&p->a, &a, &lead);
    walk_batches(&p->b, &b, &lead);
    p->batch = bd_tensor_count(&lead);
    int r = lead.rank;
    if (c->in[0]->rank > 1)
        lead.dim[r++] = p->m;
    if (c->in[second]->rank > 1)
        lead.dim[r++] = p->n;
    c->macs = p->batch * p->m * p->n * p->k;
    merge_rows(p, &b);
    return bd_graph_out(c, 0, type, lead.dim, r);
}

static bd_status shape_matmul(struct bd_octx *c)
{
    struct product *p = bd_graph_param(c, sizeof *p);
    if (!p)
        return BD_ENOMEM;
    p->alpha = 1;
    bd_status s = bd_graph_need(c, 2);
    if (s != BD_OK)
        return s;
    if (c->in[0]->rank > BD_MAX_RANK - 2 || c->in[1]->rank > BD_MAX_RANK - 2)
        return BD_BAD(c, "too many dimensions");
    if (bd_dtype_is_real(c->in[0]->type) != bd_dtype_is_real(c->in[1]->type))
        return BD_BAD(c, "one input is real, the other whole");
    return shape_product(c, p, c->in[0]->type, 1);
}

/* Element offset of batch i. */
static int64_t start_of(const struct bd_walk *w, int64_t i)
{
    int64_t at = 0;
    for (int a = w->rank - 1; a >= 0; a--) {
        at += i % w->dim[a] * w->stride[a];
        i /= w->dim[a];
    }
    return at;
}

static void whole_product(int64_t *y, const int64_t *a, const int64_t *b,
                          const struct product *p)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            uint64_t s = 0; /* wraps, as the type does */
            for (int64_t k = 0; k < p->k; k++)
                s += (uint64_t)a[i * p->k + k] * (uint64_t)b[k * p->n + j];
            y[i * p->n + j] = (int64_t)s;
        }
}

static bd_status run_matmul(struct bd_octx *c)
{
    const struct product *p = c->param;
    struct bd_tensor *y = c->out[0];
    int64_t one = p->m * p->n;
    for (int64_t i = 0; i < p->batch && one > 0; i++) {
        int64_t a = start_of(&p->a, i), b = start_of(&p->b, i);
        if (!y->f) {
            whole_product(y->i + i * one, c->in[0]->i + a, c->in[1]->i + b, p);
            continue;
        }
        struct bd_gemm g = {.m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .alpha = 1,
                            .a = c->in[0]->f + a,
                            .b = c->in[1]->f + b,
                            .c = y->f + i * one,
                            .lda = p->k ? p->k : 1,
                            .ldb = p->n,
                            .ldc = p->n};
        if (p->k > 0)
            c->kernels->gemm(&g);
        else
            memset(g.c, 0, (size_t)one * sizeof(float));
    }
    for (int64_t i = 0; y->i && i < p->batch * one; i++)
        y->i[i] = bd_graph_wrap(y->i[i], y->type);
    return BD_OK;
}

static bd_status back_matmul(struct bd_octx *c)
{
    const struct product *p = c->param;
    if (p->batch != 1 || !c->in[0]->f)
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "training a batch of products");
    return back_gemm(c);
}

const struct bd_op bd_graph_ops_matmul[] = {
    {"Gemm", shape_gemm, run_gemm, back_gemm, 0, NULL},
    {"MatMul", shape_matmul, run_matmul, back_matmul, 0, NULL},
    {0},
};
