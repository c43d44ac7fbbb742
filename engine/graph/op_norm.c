/* op_norm: BatchNormalization, and the normalizations over other axes.  All
 * statistics accumulate in double. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------- BatchNormalization */
struct bnorm {
    struct bd_bn b;
    bool batch; /* statistics of the batch instead of the stored ones */
};

static bd_status shape_bn(struct bd_octx *c)
{
    struct bnorm *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 5, 5);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *x = c->in[0];
    p->b.n = x->rank > 0 ? x->dim[0] : 1;
    p->b.c = x->rank > 1 ? x->dim[1] : 1;
    p->b.s = 1;
    for (int a = 2; a < x->rank; a++)
        p->b.s *= x->dim[a];
    p->b.eps = bd_node_float(c->node, "epsilon", 1e-5f);
    p->b.momentum = bd_node_float(c->node, "momentum", 0.9f);
    for (int k = 1; k < 5; k++)
        if (bd_tensor_count(c->in[k]) != p->b.c)
            return BD_BAD(c, "input %d does not have %lld elements", k,
                          (long long)p->b.c);
    p->batch = (c->train && !c->frozen) ||
               bd_node_int(c->node, "training_mode", 0) != 0;
    c->mixes = p->batch;
    c->state = 3 * (size_t)p->b.c * sizeof(float);
    s = bd_graph_out_like(c, 0, x);
    for (int k = 1; s == BD_OK && p->batch && k < 3; k++)
        s = bd_graph_out_like(c, k, c->in[2 + k]);
    return s;
}

/* Running statistics after this batch, if someone asked. */
static void running(struct bd_octx *c, int k, const float *seen,
                    const struct bnorm *p)
{
    if (k >= c->nout || !c->out[k])
        return;
    float m = p->b.momentum;
    for (int64_t j = 0; j < p->b.c; j++)
        c->out[k]->f[j] = c->in[2 + k]->f[j] * m + seen[j] * (1 - m);
}

static struct bd_bn_state state_of(const struct bd_octx *c)
{
    const struct bnorm *p = c->param;
    float *k = c->kept;
    return (struct bd_bn_state){
        .mean = k, .inv = k + p->b.c, .var = k + 2 * p->b.c};
}

/* A few channels at a time, so that a pool can share them. */
enum { CHANNELS = 2 };

/* The extents and statistics of part i; returns its first channel. */
static int64_t bn_part(struct bd_bn *b, struct bd_bn_state *st,
                       const struct bd_octx *c, int64_t i)
{
    const struct bnorm *p = c->param;
    int64_t first = i * CHANNELS, n = p->b.c - first;
    *b = p->b;
    b->stride = b->c * b->s;
    b->c = n < CHANNELS ? n : CHANNELS;
    *st = state_of(c);
    st->mean += first;
    st->inv += first;
    st->var += first;
    return first;
}

static bool bn_channels(void *arg, int64_t i, int worker)
{
    struct bd_octx *c = arg;
    struct bd_bn b;
    struct bd_bn_state st;
    int64_t first = bn_part(&b, &st, c, i);
    (void)worker;
    bd_bn_forward(c->out[0]->f + first * b.s, c->in[0]->f + first * b.s,
                  c->in[1]->f + first, c->in[2]->f + first, &b, st);
    return true;
}

/* With stored statistics every channel is a line y = k * x + t. */
static void apply_stored(struct bd_octx *c, const struct bnorm *p)
{
    const float *x = c->in[0]->f;
    float *y = c->out[0]->f;
    for (int64_t i = 0; i < p->b.n * p->b.c; i++) {
        int64_t ch = i % p->b.c;
        double inv = 1 / sqrt((double)c->in[4]->f[ch] + (double)p->b.eps);
        double slope = (double)c->in[1]->f[ch] * inv;
        float k = (float)slope;
        float t =
            (float)((double)c->in[2]->f[ch] - (double)c->in[3]->f[ch] * slope);
        for (int64_t e = 0; e < p->b.s; e++)
            y[e] = x[e] * k + t;
        x += p->b.s;
        y += p->b.s;
    }
}

static bd_status run_bn(struct bd_octx *c)
{
    const struct bnorm *p = c->param;
    if (!p->batch) {
        apply_stored(c, p);
        return BD_OK;
    }
    struct bd_bn_state st = state_of(c);
    if (p->b.n * p->b.s > 0)
        bd_graph_for(c, (p->b.c + CHANNELS - 1) / CHANNELS, bn_channels, c);
    running(c, 1, st.mean, p);
    running(c, 2, st.var, p);
    return BD_OK;
}

static bool bn_back(void *arg, int64_t i, int worker)
{
    struct bd_octx *c = arg;
    struct bd_bn b;
    struct bd_bn_state st;
    int64_t first = bn_part(&b, &st, c, i);
    (void)worker;
    struct bd_bn_grad g = {.dx = c->din[0] ? c->din[0] + first * b.s : NULL,
                           .dgamma = c->din[1] ? c->din[1] + first : NULL,
                           .dbeta = c->din[2] ? c->din[2] + first : NULL};
    bd_bn_backward(g, c->dout[0] + first * b.s, c->in[0]->f + first * b.s,
                   c->in[1]->f + first, &b, st);
    return true;
}

/* With stored statistics a channel is a line: its slope goes back. */
static bool stored_back(void *arg, int64_t ch, int worker)
{
    struct bd_octx *c = arg;
    const struct bnorm *p = c->param;
    double inv = 1 / sqrt((double)c->in[4]->f[ch] + (double)p->b.eps);
    double mean = (double)c->in[3]->f[ch], sum = 0, sumx = 0;
    float k = (float)((double)c->in[1]->f[ch] * inv);
    (void)worker;
    for (int64_t i = 0; i < p->b.n; i++) {
        int64_t at = (i * p->b.c + ch) * p->b.s;
        const float *dy = c->dout[0] + at, *x = c->in[0]->f + at;
        for (int64_t e = 0; e < p->b.s; e++) {
            sum += (double)dy[e];
            sumx += (double)dy[e] * ((double)x[e] - mean) * inv;
        }
        for (int64_t e = 0; c->din[0] && e < p->b.s; e++)
            c->din[0][at + e] = dy[e] * k;
    }
    if (c->din[1])
        c->din[1][ch] += (float)sumx;
    if (c->din[2])
        c->din[2][ch] += (float)sum;
    return true;
}

static bd_status back_bn(struct bd_octx *c)
{
    const struct bnorm *p = c->param;
    if ((c->din[1] && !c->acc[1]) || (c->din[2] && !c->acc[2]))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "training with computed scales");
    if (!p->batch)
        bd_graph_for(c, p->b.c, stored_back, c);
    else if (p->b.n * p->b.s > 0)
        bd_graph_for(c, (p->b.c + CHANNELS - 1) / CHANNELS, bn_back, c);
    return BD_OK;
}

/* ------------------------------------- normalization over trailing axes */
/* x splits into `rows` of `n` elements; each row is brought to mean 0 and
 * variance 1 (or, RMS, to mean square 1), then scaled. */
struct rows {
    int64_t rows, n;
    double eps;
    bool rms;
    struct bd_walk scale, bias; /* over one row's shape */
    int axis;
};

static bd_status walk_param(struct bd_octx *c, struct bd_walk *w, int k,
                            int axis)
{
    struct bd_tensor tail = *c->in[0], both;
    tail.rank -= axis;
    memmove(tail.dim, tail.dim + axis, (size_t)tail.rank * sizeof *tail.dim);
    bd_status s = bd_graph_need_real(c, k);
    if (s == BD_OK)
        s = bd_graph_broadcast(c, &both, &tail, c->in[k]);
    if (s != BD_OK)
        return s;
    if (bd_tensor_count(&both) != bd_tensor_count(&tail))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "input %d is larger than a row", k);
    w->rank = tail.rank;
    w->esize = sizeof(float);
    memcpy(w->dim, tail.dim, sizeof w->dim);
    bd_graph_strides(w->stride, c->in[k], tail.rank);
    return BD_OK;
}

static bd_status shape_rows(struct bd_octx *c)
{
    struct rows *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 2, 1);
    int64_t axis = bd_node_int(c->node, "axis", -1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    p->rows = p->n = 1;
    p->rms = c->op->aux != NULL;
    p->eps = (double)bd_node_float(c->node, "epsilon", 1e-5f);
    int64_t stat[BD_MAX_RANK];
    for (int a = 0; a < x->rank; a++) {
        stat[a] = a < axis ? x->dim[a] : 1;
        *(a < axis ? &p->rows : &p->n) *= x->dim[a];
    }
    c->mixes = axis == 0;
    c->scratch = 2 * (size_t)p->n * sizeof(float);
    s = walk_param(c, &p->scale, 1, (int)axis);
    if (s == BD_OK && bd_graph_has_in(c, 2))
        s = walk_param(c, &p->bias, 2, (int)axis);
    if (s == BD_OK)
        s = bd_graph_out_like(c, 0, x);
    for (int k = 1; s == BD_OK && k < 3; k++) /* mean, inverse deviation */
        s = bd_graph_out(c, k, BD_F32, stat, x->rank);
    return s;
}

static void one_row(float *y, const float *x, const struct rows *p,
                    double stat[2])
{
    double sum = 0, sq = 0, n = (double)p->n;
    for (int64_t k = 0; k < p->n && !p->rms; k++)
        sum += (double)x[k];
    double mean = sum / n;
    for (int64_t k = 0; k < p->n; k++)
        sq += ((double)x[k] - mean) * ((double)x[k] - mean);
    double inv = 1 / sqrt(sq / n + p->eps);
    for (int64_t k = 0; k < p->n; k++)
        y[k] = (float)(((double)x[k] - mean) * inv);
    stat[0] = mean;
    stat[1] = inv;
}

static bd_status run_rows(struct bd_octx *c)
{
    const struct rows *p = c->param;
    float *scale = bd_graph_work(c, 0), *bias = scale + p->n;
    bool biased = bd_graph_has_in(c, 2);
    if (p->n == 0)
        return BD_OK;
    bd_graph_walk(scale, c->in[1]->f, &p->scale);
    if (biased)
        bd_graph_walk(bias, c->in[2]->f, &p->bias);
    for (int64_t r = 0; r < p->rows; r++) {
        float *y = c->out[0]->f + r * p->n;
        double stat[2];
        one_row(y, c->in[0]->f + r * p->n, p, stat);
        for (int64_t k = 0; k < p->n; k++)
            y[k] = y[k] * scale[k] + (biased ? bias[k] : 0);
        for (int k = 1; k < 3; k++)
            if (k < c->nout && c->out[k])
                c->out[k]->f[r] = (float)stat[k - 1];
    }
    return BD_OK;
}

/* ------------------------- normalization of groups of channels per image */
struct group {
    int64_t n, c, s, groups;
    double eps;
    int64_t per; /* channels that share one scale */
};

/* Instance normalization is a group of one channel. */
static bd_status shape_group(struct bd_octx *c)
{
    struct group *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 3, 3);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *x = c->in[0];
    if (x->rank < 2)
        return BD_BAD(c, "an input of %d dimensions", x->rank);
    p->n = x->dim[0];
    p->c = x->dim[1];
    p->s = 1;
    for (int a = 2; a < x->rank; a++)
        p->s *= x->dim[a];
    p->groups = c->op->aux ? bd_node_int(c->node, "num_groups", 1) : p->c;
    p->eps = (double)bd_node_float(c->node, "epsilon", 1e-5f);
    int64_t have = bd_tensor_count(c->in[1]);
    if (p->groups < 1 || p->c % p->groups ||
        have != bd_tensor_count(c->in[2]) ||
        (have != p->c && have != p->groups))
        return BD_BAD(c, "%lld channels do not fit its groups and scales",
                      (long long)p->c);
    p->per = p->c / have;
    return bd_graph_out_like(c, 0, x);
}

static bd_status run_group(struct bd_octx *c)
{
    const struct group *p = c->param;
    int64_t per = p->c / p->groups;
    struct rows row = {.n = per * p->s, .eps = p->eps};
    for (int64_t g = 0; row.n > 0 && g < p->n * p->groups; g++) {
        float *y = c->out[0]->f + g * row.n;
        double stat[2];
        one_row(y, c->in[0]->f + g * row.n, &row, stat);
        for (int64_t k = 0; k < per; k++, y += p->s) {
            int64_t ch = (g % p->groups * per + k) / p->per;
            float a = c->in[1]->f[ch], b = c->in[2]->f[ch];
            for (int64_t e = 0; e < p->s; e++)
                y[e] = y[e] * a + b;
        }
    }
    return BD_OK;
}

/* -------------------------------------------- LRN, LpNormalization */
struct lrn {
    int64_t n, c, s, size;
    double alpha, beta, bias;
};

static bd_status shape_lrn(struct bd_octx *c)
{
    struct lrn *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 1, 1);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *x = c->in[0];
    p->n = x->rank > 0 ? x->dim[0] : 1;
    p->c = x->rank > 1 ? x->dim[1] : 1;
    p->s = 1;
    for (int a = 2; a < x->rank; a++)
        p->s *= x->dim[a];
    p->size = bd_node_int(c->node, "size", 0);
    p->alpha = (double)bd_node_float(c->node, "alpha", 1e-4f);
    p->beta = (double)bd_node_float(c->node, "beta", 0.75f);
    p->bias = (double)bd_node_float(c->node, "bias", 1);
    if (p->size < 1)
        return BD_BAD(c, "its size is missing");
    return bd_graph_out_like(c, 0, x);
}

static bd_status run_lrn(struct bd_octx *c)
{
    const struct lrn *p = c->param;
    int64_t before = (p->size - 1) / 2, after = p->size - 1 - before;
    for (int64_t i = 0; i < p->n * p->c; i++) {
        int64_t ch = i % p->c;
        int64_t lo = ch < before ? 0 : ch - before;
        int64_t hi = p->c - 1 - ch < after ? p->c - 1 : ch + after;
        const float *x = c->in[0]->f + i * p->s;
        for (int64_t e = 0; e < p->s; e++) {
            double sq = 0;
            for (int64_t k = lo - ch; k <= hi - ch; k++)
                sq += (double)x[k * p->s + e] * (double)x[k * p->s + e];
            double d = p->bias + p->alpha / (double)p->size * sq;
            c->out[0]->f[i * p->s + e] =
                (float)((double)x[e] / pow(d, p->beta));
        }
    }
    return BD_OK;
}

struct lp {
    struct bd_slices s;
    int64_t p;
};

static bd_status shape_lp(struct bd_octx *c)
{
    struct lp *p = bd_graph_param(c, sizeof *p);
    int64_t axis = bd_node_int(c->node, "axis", -1);
    bd_status s = bd_graph_reals(c, 1, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_axis(c, &axis, c->in[0]->rank);
    if (s != BD_OK)
        return s;
    p->p = bd_node_int(c->node, "p", 2);
    p->s = bd_slices_of(c->in[0], (int)axis);
    c->mixes = axis == 0;
    return bd_graph_out_like(c, 0, c->in[0]);
}

static bd_status run_lp(struct bd_octx *c)
{
    const struct lp *p = c->param;
    const struct bd_slices *s = &p->s;
    for (int64_t i = 0; i < s->outer * s->inner; i++) {
        int64_t at = i / s->inner * s->channels * s->inner + i % s->inner;
        const float *x = c->in[0]->f + at;
        float *y = c->out[0]->f + at;
        double sum = 0;
        for (int64_t k = 0; k < s->channels; k++) {
            double v = fabs((double)x[k * s->inner]);
            sum += p->p == 1 ? v : v * v;
        }
        double d = p->p == 1 ? sum : sqrt(sum);
        for (int64_t k = 0; k < s->channels; k++)
            y[k * s->inner] = d != 0 ? (float)((double)x[k * s->inner] / d) : 0;
    }
    return BD_OK;
}

static const bool yes = true; /* marks the second of a pair of rows */

const struct bd_op bd_graph_ops_norm[] = {
    {"BatchNormalization", shape_bn, run_bn, back_bn, BD_OP_INPLACE, NULL},
    {"LayerNormalization", shape_rows, run_rows, NULL, 0, NULL},
    {"RMSNormalization", shape_rows, run_rows, NULL, 0, &yes},
    {"InstanceNormalization", shape_group, run_group, NULL, 0, NULL},
    {"GroupNormalization", shape_group, run_group, NULL, 0, &yes},
    {"LRN", shape_lrn, run_lrn, NULL, 0, NULL},
    {"LpNormalization", shape_lp, run_lp, NULL, 0, NULL},
    {0},
};
