/* op_convt: ConvTranspose.  Each input pixel spreads its value over a window
 * of the output; up to three spatial axes. */
#include "graph/graph_priv.h"

#include <string.h>

struct convt {
    int nd;
    int64_t n, cin, cout, group;
    int64_t in[3], out[3], k[3], s[3], d[3], lo[3];
    int64_t xs, ys, ks; /* elements of a plane in and out, of a window */
};

/* The output's extent: from pads, or pads from a wanted extent. */
static bd_status extents(const struct bd_octx *c, struct convt *p)
{
    const char *mode = bd_node_str(c->node, "auto_pad", "NOTSET");
    bool same = !strncmp(mode, "SAME_", 5), lower = !strcmp(mode, "SAME_LOWER");
    int64_t pads[6] = {0}, extra[3] = {0}, want[3] = {0};
    bd_status s = bd_graph_list(c, "pads", pads, 2 * p->nd, 0);
    if (s == BD_OK)
        s = bd_graph_list(c, "output_padding", extra, p->nd, 0);
    if (s == BD_OK)
        s = bd_graph_list(c, "output_shape", want, p->nd, 1);
    for (int a = 0; s == BD_OK && a < p->nd; a++) {
        int64_t full =
            (p->in[a] - 1) * p->s[a] + extra[a] + (p->k[a] - 1) * p->d[a] + 1;
        if (same && !want[a])
            want[a] = p->in[a] * p->s[a];
        int64_t total = want[a] ? full - want[a] : pads[a] + pads[p->nd + a];
        p->out[a] = full - total;
        p->lo[a] = !want[a] ? pads[a] : lower ? total - total / 2 : total / 2;
        if (p->out[a] < 1)
            return BD_BAD(c, "nothing is left of axis %d", a);
    }
    return s;
}

static bd_status read_window(const struct bd_octx *c, struct convt *p)
{
    const struct bd_tensor *x = c->in[0], *w = c->in[1];
    for (int a = 0; a < 3; a++) {
        p->in[a] = p->out[a] = p->k[a] = p->s[a] = p->d[a] = 1;
        if (a < p->nd) {
            p->in[a] = x->dim[2 + a];
            p->k[a] = w->dim[2 + a];
        }
    }
    bd_status s = bd_graph_list(c, "strides", p->s, p->nd, 1);
    if (s == BD_OK)
        s = bd_graph_list(c, "dilations", p->d, p->nd, 1);
    for (int a = 0; s == BD_OK && a < p->nd; a++)
        if (p->k[a] < 1 || p->k[a] > BD_WINDOW_MOST)
            s = BD_BAD(c, "a window of %lld", (long long)p->k[a]);
    return s == BD_OK ? extents(c, p) : s;
}

static bd_status shape_convt(struct bd_octx *c)
{
    struct convt *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 2, 3);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *x = c->in[0], *w = c->in[1];
    p->nd = x->rank - 2;
    p->group = bd_node_int(c->node, "group", 1);
    if (p->nd < 1 || p->nd > 3 || w->rank != x->rank || p->group < 1 ||
        p->group > BD_MAX_ITEMS || x->dim[1] != w->dim[0] ||
        w->dim[0] % p->group)
        return BD_BAD(c, "its weights do not fit its input");
    p->n = x->dim[0];
    p->cin = x->dim[1];
    p->cout = w->dim[1] * p->group;
    if (bd_graph_has_in(c, 2) && bd_tensor_count(c->in[2]) != p->cout)
        return BD_BAD(c, "its bias does not have %lld elements",
                      (long long)p->cout);
    s = read_window(c, p);
    if (s != BD_OK)
        return s;
    int64_t dim[5] = {p->n, p->cout};
    memcpy(dim + 2, p->out, sizeof p->out);
    s = bd_graph_out(c, 0, x->type, dim, x->rank);
    p->xs = p->in[0] * p->in[1] * p->in[2];
    p->ys = p->out[0] * p->out[1] * p->out[2];
    p->ks = p->k[0] * p->k[1] * p->k[2];
    c->macs = p->n * p->cin * (p->cout / p->group) * p->xs * p->ks;
    return s;
}

/* Output offset of tap t of input pixel i, -1 outside. */
static int64_t target(const struct convt *p, int64_t i, int64_t t)
{
    int64_t at[3] = {i / (p->in[1] * p->in[2]), i / p->in[2] % p->in[1],
                     i % p->in[2]};
    int64_t tap[3] = {t / (p->k[1] * p->k[2]), t / p->k[2] % p->k[1],
                      t % p->k[2]};
    int64_t pos = 0;
    for (int a = 0; a < 3; a++) {
        int64_t q = at[a] * p->s[a] + tap[a] * p->d[a] - p->lo[a];
        if (q < 0 || q >= p->out[a])
            return -1;
        pos = pos * p->out[a] + q;
    }
    return pos;
}

/* One input plane into all output planes of its group. */
static void spread(float *y, const float *x, const float *w,
                   const struct convt *p)
{
    int64_t og = p->cout / p->group;
    for (int64_t i = 0; i < p->xs; i++)
        for (int64_t t = 0; t < p->ks; t++) {
            int64_t at = target(p, i, t);
            for (int64_t o = 0; at >= 0 && o < og; o++)
                y[o * p->ys + at] += x[i] * w[o * p->ks + t];
        }
}

static bd_status run_convt(struct bd_octx *c)
{
    const struct convt *p = c->param;
    int64_t cg = p->cin / p->group, og = p->cout / p->group;
    for (int64_t n = 0; n < p->n; n++) {
        float *y = c->out[0]->f + n * p->cout * p->ys;
        const float *x = c->in[0]->f + n * p->cin * p->xs;
        for (int64_t k = 0; k < p->cout * p->ys; k++)
            y[k] = bd_graph_has_in(c, 2) ? c->in[2]->f[k / p->ys] : 0;
        for (int64_t k = 0; k < p->cin; k++)
            spread(y + k / cg * og * p->ys, x + k * p->xs,
                   c->in[1]->f + k * og * p->ks, p);
    }
    return BD_OK;
}

const struct bd_op bd_graph_ops_convt[] = {
    {"ConvTranspose", shape_convt, run_convt, NULL, 0, NULL},
    {0},
};
