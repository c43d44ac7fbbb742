/* op_pool: windows that keep the largest or the average.  Two-dimensional
 * real max and average go to the kernels; every other case (one and three
 * dimensions, whole numbers, indices of the largest, p-norms) walks the
 * window in double here. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

enum kind { POOL_MAX, POOL_AVERAGE, POOL_LP };

struct pool {
    enum kind kind;
    struct bd_window w;       /* always three axes for the plain way */
    int64_t planes, channels; /* images * channels; channels */
    int64_t xs, ys;           /* elements of one plane in and out */
    bool count_pad, column_major, fast;
    double p;
    struct bd_pool2d k;
};

/* Missing leading axes become axes of one element. */
static void widen(struct bd_window *w)
{
    int missing = 3 - w->nd;
    for (int a = 2; a >= 0; a--) {
        int from = a - missing;
        w->in[a] = from < 0 ? 1 : w->in[from];
        w->out[a] = from < 0 ? 1 : w->out[from];
        w->k[a] = from < 0 ? 1 : w->k[from];
        w->s[a] = from < 0 ? 1 : w->s[from];
        w->d[a] = from < 0 ? 1 : w->d[from];
        w->lo[a] = from < 0 ? 0 : w->lo[from];
        w->hi[a] = from < 0 ? 0 : w->hi[from];
    }
}

/* Windows over the leading axes alone have height 1 in the kernel's eyes. */
static void kernel_form(struct pool *p)
{
    const struct bd_window *w = &p->w;
    p->k = (struct bd_pool2d){.c = p->channels,
                              .h = w->in[1],
                              .w = w->in[2],
                              .oh = w->out[1],
                              .ow = w->out[2],
                              .kh = w->k[1],
                              .kw = w->k[2],
                              .sh = w->s[1],
                              .sw = w->s[2],
                              .dh = w->d[1],
                              .dw = w->d[2],
                              .pt = w->lo[1],
                              .pl = w->lo[2],
                              .pb = w->hi[1],
                              .pr = w->hi[2],
                              .average = p->kind == POOL_AVERAGE,
                              .count_pad = p->count_pad};
}

static bd_status finish_pool(struct bd_octx *c, struct pool *p,
                             const struct bd_window *w)
{
    const struct bd_tensor *x = c->in[0];
    int64_t dim[5] = {x->dim[0], x->dim[1]};
    memcpy(dim + 2, w->out, sizeof w->out);
    p->w = *w;
    p->channels = x->dim[1];
    p->planes = x->dim[0] * x->dim[1];
    p->xs = p->ys = 1;
    for (int a = 0; a < w->nd; a++) {
        p->xs *= w->in[a];
        p->ys *= w->out[a];
    }
    widen(&p->w);
    kernel_form(p);
    bd_status s = bd_graph_out(c, 0, x->type, dim, w->nd + 2);
    if (s == BD_OK && p->kind == POOL_MAX)
        s = bd_graph_out(c, 1, BD_I64, dim, w->nd + 2);
    p->fast = w->nd < 3 && p->kind != POOL_LP && bd_dtype_is_real(x->type) &&
              c->nout < 2;
    return s;
}

static bd_status open_pool(struct bd_octx *c, struct pool **out)
{
    struct pool *p = *out = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s != BD_OK)
        return s;
    p->kind = *(const enum kind *)c->op->aux;
    p->count_pad = bd_node_int(c->node, "count_include_pad", 0) != 0;
    p->column_major = bd_node_int(c->node, "storage_order", 0) != 0;
    p->p = (double)bd_node_int(c->node, "p", 2);
    return p->kind == POOL_MAX ? BD_OK : bd_graph_need_real(c, 0);
}

static bd_status shape_pool(struct bd_octx *c)
{
    struct pool *p;
    struct bd_window w;
    bd_status s = open_pool(c, &p);
    if (s == BD_OK)
        s = bd_graph_window(c, &w, c->in[0], NULL);
    return s == BD_OK ? finish_pool(c, p, &w) : s;
}

/* The whole picture is one window. */
static bd_status shape_global(struct bd_octx *c)
{
    struct pool *p;
    bd_status s = open_pool(c, &p);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0];
    struct bd_window w = {.nd = x->rank - 2};
    if (w.nd < 1 || w.nd > 3)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "an input of %d dimensions",
                             x->rank);
    for (int a = 0; a < w.nd; a++) {
        w.in[a] = w.k[a] = x->dim[2 + a];
        w.out[a] = w.s[a] = w.d[a] = 1;
        if (w.in[a] == 0)
            return BD_BAD(c, "an empty picture");
    }
    return finish_pool(c, p, &w);
}

/* Running summary of one window. */
struct seen {
    double sum, best;
    int64_t at, inside, padded;
};

static void look(struct seen *s, double v, int64_t at, const struct pool *p)
{
    s->inside++;
    s->sum += p->kind == POOL_LP ? pow(fabs(v), p->p) : v;
    if (s->at < 0 || v > s->best || (isnan(v) && !isnan(s->best))) {
        s->best = v;
        s->at = at;
    }
}

/* Every tap of the window at output o of plane `base`. */
static struct seen window(const struct bd_tensor *x, int64_t base,
                          const struct pool *p, const int64_t o[3])
{
    const struct bd_window *w = &p->w;
    struct seen s = {.at = -1};
    int64_t taps = w->k[0] * w->k[1] * w->k[2];
    for (int64_t t = 0; t < taps; t++) {
        int64_t tap[3] = {t / (w->k[1] * w->k[2]), t / w->k[2] % w->k[1],
                          t % w->k[2]},
                at = 0;
        bool in = true, padded = true;
        for (int a = 0; a < 3; a++) {
            int64_t q = o[a] * w->s[a] - w->lo[a] + tap[a] * w->d[a];
            in = in && q >= 0 && q < w->in[a];
            padded = padded && q < w->in[a] + w->hi[a];
            at = at * w->in[a] + q;
        }
        s.padded += padded;
        if (in)
            look(&s, bd_graph_at(x, base + at), at, p);
    }
    return s;
}

static double result(const struct seen *s, const struct pool *p)
{
    double n = (double)(p->count_pad ? s->padded : s->inside);
    if (p->kind == POOL_AVERAGE)
        return n > 0 ? s->sum / n : 0;
    if (p->kind == POOL_LP)
        return pow(s->sum, 1 / p->p);
    return s->at < 0 ? -INFINITY : s->best;
}

/* Index of the largest in the whole input, counted column by column when
 * asked. */
static int64_t index_of(const struct pool *p, int64_t plane, int64_t at)
{
    const int64_t *in = p->w.in;
    if (!p->column_major || at < 0)
        return plane * p->xs + at;
    int64_t z = at / (in[1] * in[2]), y = at / in[2] % in[1], x = at % in[2];
    return plane * p->xs + (x * in[1] + y) * in[0] + z;
}

static void plain_plane(struct bd_octx *c, const struct pool *p, int64_t plane)
{
    const int64_t *n = p->w.out;
    struct bd_tensor *y = c->out[0];
    struct bd_tensor *where = c->nout > 1 ? c->out[1] : NULL;
    for (int64_t k = 0; k < p->ys; k++) {
        int64_t o[3] = {k / (n[1] * n[2]), k / n[2] % n[1], k % n[2]};
        struct seen s = window(c->in[0], plane * p->xs, p, o);
        int64_t at = plane * p->ys + k;
        if (y && y->f)
            y->f[at] = (float)result(&s, p);
        else if (y)
            y->i[at] = s.at < 0 ? 0 : c->in[0]->i[plane * p->xs + s.at];
        if (where)
            where->i[at] = index_of(p, plane, s.at);
    }
}

static bool pool_image(void *arg, int64_t i, int worker)
{
    struct bd_octx *c = arg;
    const struct pool *p = c->param;
    (void)worker;
    bd_pool2d_forward(c->out[0]->f + i * p->channels * p->ys,
                      c->in[0]->f + i * p->channels * p->xs, &p->k);
    return true;
}

static bd_status run_pool(struct bd_octx *c)
{
    const struct pool *p = c->param;
    if (p->fast && p->channels > 0)
        bd_graph_for(c, p->planes / p->channels, pool_image, c);
    else
        for (int64_t k = 0; k < p->planes; k++)
            plain_plane(c, p, k);
    return BD_OK;
}

static bool pool_back(void *arg, int64_t i, int worker)
{
    struct bd_octx *c = arg;
    const struct pool *p = c->param;
    (void)worker;
    bd_pool2d_backward(c->din[0] + i * p->channels * p->xs,
                       c->dout[0] + i * p->channels * p->ys,
                       c->in[0]->f + i * p->channels * p->xs, &p->k);
    return true;
}

static bd_status back_pool(struct bd_octx *c)
{
    const struct pool *p = c->param;
    if (!p->fast)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "training this pooling");
    if (c->din[0] && p->channels > 0)
        bd_graph_for(c, p->planes / p->channels, pool_back, c);
    return BD_OK;
}

static const enum kind max = POOL_MAX, average = POOL_AVERAGE, lp = POOL_LP;

const struct bd_op bd_graph_ops_pool[] = {
    {"MaxPool", shape_pool, run_pool, back_pool, 0, &max},
    {"AveragePool", shape_pool, run_pool, back_pool, 0, &average},
    {"LpPool", shape_pool, run_pool, NULL, 0, &lp},
    {"GlobalMaxPool", shape_global, run_pool, back_pool, 0, &max},
    {"GlobalAveragePool", shape_global, run_pool, back_pool, 0, &average},
    {"GlobalLpPool", shape_global, run_pool, NULL, 0, &lp},
    {0},
};
