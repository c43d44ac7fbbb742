/* op_conv: Conv.  Two-dimensional convolution goes to the kernels; one
 * dimension is two with a height of 1; three dimensions are plain loops here.
 *
 * Training splits the images over a fixed number of slices, each summing its
 * own weight gradient; slices are added in order, so the result does not
 * depend on the number of threads. */
#include "graph/graph_priv.h"

#include <string.h>

enum { SLICES = 8 };

struct conv {
    struct bd_window win;
    struct bd_conv c; /* 1-D and 2-D */
    int64_t n, cin, cout, group;
    int64_t xs, ys, ws; /* elements of one image in and out, of weights */
    size_t fwd, bwd;    /* scratch of one image, bytes */
};

/* Two trailing axes: a 1-D window gets a height of 1. */
static void flatten(struct conv *p)
{
    const struct bd_window *w = &p->win;
    int one = w->nd == 1, x = w->nd - 1;
    p->c = (struct bd_conv){.cin = p->cin,
                            .cout = p->cout,
                            .group = p->group,
                            .h = one ? 1 : w->in[0],
                            .w = w->in[x],
                            .oh = one ? 1 : w->out[0],
                            .ow = w->out[x],
                            .kh = one ? 1 : w->k[0],
                            .kw = w->k[x],
                            .sh = one ? 1 : w->s[0],
                            .sw = w->s[x],
                            .dh = one ? 1 : w->d[0],
                            .dw = w->d[x],
                            .pt = one ? 0 : w->lo[0],
                            .pl = w->lo[x]};
}

static bd_status check_weights(struct bd_octx *c, struct conv *p)
{
    const struct bd_tensor *x = c->in[0], *w = c->in[1];
    if (x->rank < 3 || w->rank != x->rank)
        return BD_BAD(c, "weights of %d dimensions for an input of %d", w->rank,
                      x->rank);
    p->n = x->dim[0];
    p->cin = x->dim[1];
    p->cout = w->dim[0];
    p->group = bd_node_int(c->node, "group", 1);
    if (p->group < 1 || p->cin % p->group || p->cout % p->group ||
        w->dim[1] != p->cin / p->group)
        return BD_BAD(c,
                      "%lld input channels in %lld groups do not fit "
                      "weights of %lld x %lld",
                      (long long)p->cin, (long long)p->group,
                      (long long)p->cout, (long long)w->dim[1]);
    if (bd_graph_has_in(c, 2) && bd_tensor_count(c->in[2]) != p->cout)
        return BD_BAD(c, "its bias does not have %lld elements",
                      (long long)p->cout);
    return bd_graph_window(c, &p->win, x, w->dim + 2);
}

static void size_up(struct bd_octx *c, struct conv *p)
{
    p->xs = p->cin;
    p->ys = p->cout;
    p->ws = p->cin / p->group * p->cout;
    for (int a = 0; a < p->win.nd; a++) {
        p->xs *= p->win.in[a];
        p->ys *= p->win.out[a];
        p->ws *= p->win.k[a];
    }
    c->macs = p->n * p->ys / (p->cout ? p->cout : 1) * p->ws;
    if (p->win.nd > 2)
        return;
    flatten(p);
    p->fwd = c->kernels->conv_scratch(&p->c) * sizeof(float);
    c->scratch = p->fwd;
    if (c->train) {
        p->bwd = bd_conv_backward_scratch(&p->c) * sizeof(float);
        c->back_scratch = p->bwd;
        c->state = (size_t)(SLICES * (p->ws + p->cout)) * sizeof(float);
    }
}

static bd_status shape_conv(struct bd_octx *c)
{
    struct conv *p = bd_graph_param(c, sizeof *p);
    if (!p)
        return BD_ENOMEM;
    bd_status s = bd_graph_reals(c, 2, 3);
    if (s == BD_OK)
        s = check_weights(c, p);
    if (s != BD_OK)
        return s;
    int64_t dim[5] = {p->n, p->cout};
    memcpy(dim + 2, p->win.out, sizeof p->win.out);
    s = bd_graph_out(c, 0, c->in[0]->type, dim, p->win.nd + 2);
    if (s == BD_OK)
        size_up(c, p);
    return s;
}

/* One output of a 3-D window of one input channel. */
static double taps3(const float *x, const float *w, const struct bd_window *a,
                    const int64_t at[3])
{
    double s = 0;
    for (int64_t i = 0; i < a->k[0]; i++) {
        int64_t z = at[0] * a->s[0] - a->lo[0] + i * a->d[0];
        for (int64_t j = 0; j < a->k[1] && z >= 0 && z < a->in[0]; j++) {
            int64_t y = at[1] * a->s[1] - a->lo[1] + j * a->d[1];
            if (y < 0 || y >= a->in[1])
                continue;
            const float *row = x + (z * a->in[1] + y) * a->in[2];
            const float *t = w + (i * a->k[1] + j) * a->k[2];
            for (int64_t k = 0; k < a->k[2]; k++) {
                int64_t q = at[2] * a->s[2] - a->lo[2] + k * a->d[2];
                if (q >= 0 && q < a->in[2])
                    s += (double)row[q] * (double)t[k];
            }
        }
    }
    return s;
}

/* One output channel of one image in three dimensions. */
static void plane3(float *y, const float *x, const float *w, float bias,
                   const struct conv *p)
{
    const struct bd_window *a = &p->win;
    int64_t cg = p->cin / p->group, xs = p->xs / p->cin;
    int64_t ks = a->k[0] * a->k[1] * a->k[2], at[3];
    for (at[0] = 0; at[0] < a->out[0]; at[0]++)
        for (at[1] = 0; at[1] < a->out[1]; at[1]++)
            for (at[2] = 0; at[2] < a->out[2]; at[2]++) {
                double s = (double)bias;
                for (int64_t ci = 0; ci < cg; ci++)
                    s += taps3(x + ci * xs, w + ci * ks, a, at);
                *y++ = (float)s;
            }
}

static void image3(float *y, const float *x, const float *w, const float *b,
                   const struct conv *p)
{
    int64_t og = p->cout / p->group, xg = p->xs / p->group;
    for (int64_t o = 0; o < p->cout; o++)
        plane3(y + o * (p->ys / p->cout), x + o / og * xg,
               w + o * (p->ws / p->cout), b ? b[o] : 0.0f, p);
}

static bool conv_image(void *arg, int64_t i, int worker)
{
    struct bd_octx *c = arg;
    const struct conv *p = c->param;
    const float *x = c->in[0]->f + i * p->xs, *w = c->in[1]->f;
    const float *b = bd_graph_has_in(c, 2) ? c->in[2]->f : NULL;
    float *y = c->out[0]->f + i * p->ys;
    if (p->win.nd == 3)
        image3(y, x, w, b, p);
    else
        c->kernels->conv(y, x, w, b, &p->c, bd_graph_work(c, worker));
    return true;
}

static bd_status run_conv(struct bd_octx *c)
{
    const struct conv *p = c->param;
    if (p->ys > 0)
        bd_graph_for(c, p->n, conv_image, c);
    return BD_OK;
}

/* Images of one slice; each slice has its own dw and db in `kept`. */
static bool back_slice(void *arg, int64_t slice, int worker)
{
    struct bd_octx *c = arg;
    const struct conv *p = c->param;
    float *dw = (float *)c->kept + slice * (p->ws + p->cout);
    memset(dw, 0, (size_t)(p->ws + p->cout) * sizeof *dw);
    int64_t first = slice * p->n / SLICES, end = (slice + 1) * p->n / SLICES;
    for (int64_t i = first; i < end; i++) {
        struct bd_conv_grad g = {.dx = c->din[0] ? c->din[0] + i * p->xs : NULL,
                                 .dw = c->din[1] ? dw : NULL,
                                 .db = c->nin > 2 && c->din[2] ? dw + p->ws
                                                               : NULL};
        bd_conv_backward(g, c->dout[0] + i * p->ys, c->in[0]->f + i * p->xs,
                         c->in[1]->f, &p->c, bd_graph_work(c, worker));
    }
    return true;
}

static void add_slices(float *d, const float *part, int64_t n, int64_t step)
{
    for (int64_t k = 0; d && k < n; k++) {
        float s = 0;
        for (int64_t j = 0; j < SLICES; j++)
            s += part[j * step + k];
        d[k] += s;
    }
}

static bd_status back_conv(struct bd_octx *c)
{
    const struct conv *p = c->param;
    const float *part = c->kept;
    if (p->win.nd == 3)
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "training in three dimensions");
    if ((c->din[1] && !c->acc[1]) || p->ys == 0)
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "training with computed weights");
    bd_graph_for(c, SLICES, back_slice, c);
    add_slices(c->din[1], part, p->ws, p->ws + p->cout);
    if (c->nin > 2)
        add_slices(c->din[2], part + p->ws, p->cout, p->ws + p->cout);
    return BD_OK;
}

const struct bd_op bd_graph_ops_conv[] = {
    {"Conv", shape_conv, run_conv, back_conv, 0, NULL},
    {0},
};
