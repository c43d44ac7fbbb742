/* op_quantize: the operators of networks that are stored quantized.  y =
 * saturate(round(x / scale) + zero) and back; scales are single, per channel
 * of one axis, or per block along it.  Products of whole numbers are exact. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

/* Which scale an element takes: its place in the scale's tensor. */
struct scales {
    struct bd_slices x;
    int64_t block; /* elements of the axis sharing one; 0 = single scale */
    int64_t n;     /* scales along the axis */
    bool blocked;  /* the scale has the input's other axes as well */
};

static int64_t which(const struct scales *p, int64_t k)
{
    if (p->block == 0)
        return 0;
    int64_t in = k % p->x.inner, ch = k / p->x.inner % p->x.channels;
    int64_t o = k / p->x.inner / p->x.channels;
    if (!p->blocked)
        return ch;
    return (o * p->n + ch / p->block) * p->x.inner + in;
}

static bd_status read_scales(const struct bd_octx *c, struct scales *p)
{
    const struct bd_tensor *x = c->in[0], *s = c->in[1];
    int64_t axis = bd_node_int(c->node, "axis", 1), n = bd_tensor_count(s);
    if (bd_graph_has_in(c, 2) && bd_tensor_count(c->in[2]) != n)
        return BD_BAD(c, "scales and zero points differ in number");
    if (n == 1)
        return BD_OK;
    bd_status st = bd_graph_axis(c, &axis, x->rank);
    if (st != BD_OK)
        return st;
    p->x = bd_slices_of(x, (int)axis);
    p->blocked = s->rank == x->rank && s->rank > 1;
    p->n = p->blocked ? s->dim[axis] : n;
    p->block = 1;
    if (p->blocked && p->n > 0)
        p->block = (p->x.channels + p->n - 1) / p->n;
    if (p->blocked ? n != p->x.outer * p->n * p->x.inner : n != p->x.channels)
        return BD_BAD(c, "%lld scales do not fit its input", (long long)n);
    return BD_OK;
}

/* Limits of a whole-number type. */
static void limits(enum bd_dtype t, double *lo, double *hi)
{
    int bits = 8 * (int)bd_dtype_size(t);
    bool u = t == BD_U8 || t == BD_U16 || t == BD_U32 || t == BD_U64;
    *lo = u ? 0 : -ldexp(1, bits - 1);
    *hi = ldexp(1, u ? bits : bits - 1) - 1;
}

static int64_t quantized(double v, int64_t zero, enum bd_dtype type)
{
    double lo, hi;
    limits(type, &lo, &hi);
    v = rint(v) + (double)zero;
    return bd_graph_to_int(v < lo ? lo : v > hi ? hi : v, type);
}

static int64_t zero_at(const struct bd_octx *c, int k, int64_t i)
{
    return bd_graph_has_in(c, k) ? c->in[k]->i[i] : 0;
}

/* (a - az) * (b - bz), wrapping: only absurd codes get that far. */
static uint64_t product_of(int64_t a, int64_t az, int64_t b, int64_t bz)
{
    return ((uint64_t)a - (uint64_t)az) * ((uint64_t)b - (uint64_t)bz);
}

/* ------------------------------------------------ QuantizeLinear and back */
static bd_status shape_scaled(struct bd_octx *c)
{
    struct scales *p = bd_graph_param(c, sizeof *p);
    bool back = c->op->aux != NULL;
    bd_status s = bd_graph_need(c, 2);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_need_real(c, 1);
    if (s == BD_OK && !back)
        s = bd_graph_need_real(c, 0);
    if (s == BD_OK)
        s = read_scales(c, p);
    if (s != BD_OK)
        return s;
    bool zero = bd_graph_has_in(c, 2);
    if ((back && bd_dtype_is_real(c->in[0]->type)) ||
        (zero && bd_dtype_is_real(c->in[2]->type)))
        return bd_graph_fail(c, BD_EUNSUPPORTED, "codes that are not whole");
    int64_t to = bd_node_int(c->node, "output_dtype", 0);
    enum bd_dtype type = back   ? c->in[1]->type
                         : zero ? c->in[2]->type
                         : to   ? (enum bd_dtype)to
                                : BD_U8;
    return bd_graph_out(c, 0, type, c->in[0]->dim, c->in[0]->rank);
}

static bd_status run_quantize(struct bd_octx *c)
{
    const struct scales *p = c->param;
    int64_t n = bd_tensor_count(c->in[0]);
    for (int64_t k = 0; k < n; k++) {
        int64_t at = which(p, k);
        /* The quotient is rounded to float first, as references do. */
        float v = c->in[0]->f[k] / c->in[1]->f[at];
        c->out[0]->i[k] =
            quantized((double)v, zero_at(c, 2, at), c->out[0]->type);
    }
    return BD_OK;
}

static bd_status run_dequantize(struct bd_octx *c)
{
    const struct scales *p = c->param;
    int64_t n = bd_tensor_count(c->in[0]);
    for (int64_t k = 0; k < n; k++) {
        int64_t at = which(p, k);
        int64_t zero = zero_at(c, 2, at);
        uint64_t code = product_of(c->in[0]->i[k], zero, 1, 0);
        c->out[0]->f[k] = (float)(int64_t)code * c->in[1]->f[at];
    }
    return BD_OK;
}

/* -------------------------------------------------- DynamicQuantizeLinear */
static bd_status shape_dynamic(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, 1);
    if (s == BD_OK)
        s = bd_graph_need_real(c, 0);
    c->mixes = true; /* the range is that of the whole tensor */
    if (s == BD_OK)
        s = bd_graph_out(c, 0, BD_U8, c->in[0]->dim, c->in[0]->rank);
    if (s == BD_OK)
        s = bd_graph_out(c, 1, BD_F32, NULL, 0);
    return s == BD_OK ? bd_graph_out(c, 2, BD_U8, NULL, 0) : s;
}

static bd_status run_dynamic(struct bd_octx *c)
{
    int64_t n = bd_tensor_count(c->in[0]);
    float lo = 0, hi = 0; /* zero is always within */
    for (int64_t k = 0; k < n; k++) {
        float v = c->in[0]->f[k];
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
    }
    float scale = (hi - lo) / 255;
    int64_t zero = scale > 0 ? quantized((double)(-lo / scale), 0, BD_U8) : 0;
    for (int64_t k = 0; c->out[0] && k < n; k++)
        c->out[0]->i[k] =
            scale > 0 ? quantized((double)(c->in[0]->f[k] / scale), zero, BD_U8)
                      : 0;
    if (c->nout > 1 && c->out[1])
        c->out[1]->f[0] = scale;
    if (c->nout > 2 && c->out[2])
        c->out[2]->i[0] = zero;
    return BD_OK;
}

/* ------------------------------------------------- products of codes */
/* QLinearMatMul: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero.
 * MatMulInteger: a, b, a_zero, b_zero.  Which inputs are which: */
struct roles {
    int b, az, bz; /* the second factor, the zero points */
    bool scaled;
};

struct product {
    int64_t batch, m, n, k;
    struct bd_walk a, b; /* first matrix of each product */
};

static bd_status whole_inputs(const struct bd_octx *c, const struct roles *r)
{
    const int k[4] = {0, r->b, r->az, r->bz};
    for (int i = 0; i < 4; i++)
        if (bd_graph_has_in(c, k[i]) && bd_dtype_is_real(c->in[k[i]]->type))
            return BD_BAD(c, "input %d is not codes", k[i]);
    for (int i = 2; i < 4; i++)
        if (bd_graph_has_in(c, k[i]) && bd_tensor_count(c->in[k[i]]) != 1)
            return bd_graph_fail(c, BD_EUNSUPPORTED,
                                 "several zero points in one factor");
    return BD_OK;
}

static void batches(struct bd_walk *w, const struct bd_tensor *t,
                    const struct bd_tensor *lead)
{
    struct bd_tensor l = *t;
    l.rank -= 2;
    w->rank = lead->rank;
    memcpy(w->dim, lead->dim, sizeof w->dim);
    bd_graph_strides(w->stride, &l, lead->rank);
    for (int a = 0; a < w->rank; a++)
        w->stride[a] *= t->dim[t->rank - 1] * t->dim[t->rank - 2];
}

static bd_status shape_codes(struct bd_octx *c)
{
    const struct roles *r = c->op->aux;
    struct product *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, r->scaled ? 8 : 2);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = whole_inputs(c, r);
    for (int k = 1; s == BD_OK && r->scaled && k < 7; k += k == 1 ? 3 : 2)
        if (!bd_dtype_is_real(c->in[k]->type) || bd_tensor_count(c->in[k]) != 1)
            s = bd_graph_fail(c, BD_EUNSUPPORTED, "several scales");
    if (s == BD_OK && r->scaled &&
        (bd_dtype_is_real(c->in[7]->type) || bd_tensor_count(c->in[7]) != 1))
        s = BD_BAD(c, "its last zero point is not one whole number");
    if (s != BD_OK)
        return s;
    struct bd_tensor a = *c->in[0], b = *c->in[r->b], lead;
    if (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2])
        return BD_BAD(c, "its factors do not fit");
    p->m = a.dim[a.rank - 2];
    p->k = a.dim[a.rank - 1];
    p->n = b.dim[b.rank - 1];
    struct bd_tensor la = a, lb = b;
    la.rank -= 2;
    lb.rank -= 2;
    s = bd_graph_broadcast(c, &lead, &la, &lb);
    if (s != BD_OK)
        return s;
    p->batch = bd_tensor_count(&lead);
    batches(&p->a, &a, &lead);
    batches(&p->b, &b, &lead);
    lead.dim[lead.rank] = p->m;
    lead.dim[lead.rank + 1] = p->n;
    return bd_graph_out(c, 0, r->scaled ? c->in[7]->type : BD_I32, lead.dim,
                        lead.rank + 2);
}

static int64_t start_of(const struct bd_walk *w, int64_t i)
{
    int64_t at = 0;
    for (int a = w->rank - 1; a >= 0; a--) {
        at += i % w->dim[a] * w->stride[a];
        i /= w->dim[a];
    }
    return at;
}

static bd_status run_codes(struct bd_octx *c)
{
    const struct roles *r = c->op->aux;
    const struct product *p = c->param;
    int64_t az = zero_at(c, r->az, 0), bz = zero_at(c, r->bz, 0);
    double scale = !r->scaled
                       ? 1
                       : (double)c->in[1]->f[0] * (double)c->in[4]->f[0] /
                             (double)c->in[6]->f[0];
    struct bd_tensor *y = c->out[0];
    for (int64_t i = 0; i < p->batch * p->m * p->n; i++) {
        int64_t each = p->m * p->n, row = i % each / p->n, col = i % p->n;
        const int64_t *a = c->in[0]->i + start_of(&p->a, i / each);
        const int64_t *b = c->in[r->b]->i + start_of(&p->b, i / each);
        uint64_t bits = 0;
        for (int64_t k = 0; k < p->k; k++)
            bits += product_of(a[row * p->k + k], az, b[k * p->n + col], bz);
        int64_t sum = (int64_t)bits;
        y->i[i] = r->scaled
                      ? quantized((double)sum * scale, c->in[7]->i[0], y->type)
                      : bd_graph_wrap(sum, y->type);
    }
    return BD_OK;
}

/* ------------------------------------------------------------ ConvInteger */
/* x, w, x_zero, w_zero; two spatial axes; the sum runs over pixels inside. */
struct convint {
    struct bd_window w;
    int64_t n, cin, cout, group;
};

static bd_status shape_convint(struct bd_octx *c)
{
    static const struct roles r = {.b = 1, .az = 2, .bz = 3};
    struct convint *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 2);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = whole_inputs(c, &r);
    if (s != BD_OK)
        return s;
    const struct bd_tensor *x = c->in[0], *w = c->in[1];
    p->group = bd_node_int(c->node, "group", 1);
    if (x->rank != 4 || w->rank != 4 || p->group < 1 || x->dim[1] % p->group ||
        w->dim[0] % p->group || w->dim[1] != x->dim[1] / p->group)
        return BD_BAD(c, "its weights do not fit its input");
    p->n = x->dim[0];
    p->cin = x->dim[1];
    p->cout = w->dim[0];
    s = bd_graph_window(c, &p->w, x, w->dim + 2);
    if (s != BD_OK)
        return s;
    int64_t dim[4] = {p->n, p->cout, p->w.out[0], p->w.out[1]};
    return bd_graph_out(c, 0, BD_I32, dim, 4);
}

/* Output (oy, ox) of one output channel: x is its group's first plane. */
static int64_t taps(const struct bd_octx *c, const int64_t *x, const int64_t *w,
                    int64_t o)
{
    const struct convint *p = c->param;
    const struct bd_window *a = &p->w;
    int64_t xz = zero_at(c, 2, 0), wz = zero_at(c, 3, 0);
    uint64_t sum = 0;
    int64_t oy = o / a->out[1], ox = o % a->out[1], size = a->k[0] * a->k[1];
    for (int64_t t = 0; t < p->cin / p->group * size; t++) {
        int64_t y = oy * a->s[0] - a->lo[0] + t % size / a->k[1] * a->d[0];
        int64_t z = ox * a->s[1] - a->lo[1] + t % a->k[1] * a->d[1];
        if (y < 0 || y >= a->in[0] || z < 0 || z >= a->in[1])
            continue;
        int64_t v = x[(t / size * a->in[0] + y) * a->in[1] + z];
        sum += product_of(v, xz, w[t], wz);
    }
    return (int64_t)sum;
}

static bd_status run_convint(struct bd_octx *c)
{
    const struct convint *p = c->param;
    int64_t pix = p->w.out[0] * p->w.out[1], cg = p->cin / p->group;
    int64_t og = p->cout / p->group, plane = p->w.in[0] * p->w.in[1];
    int64_t size = cg * p->w.k[0] * p->w.k[1];
    for (int64_t k = 0; k < p->n * p->cout * pix; k++) {
        int64_t o = k / pix % p->cout, n = k / pix / p->cout;
        const int64_t *x = c->in[0]->i + (n * p->cin + o / og * cg) * plane;
        c->out[0]->i[k] =
            bd_graph_wrap(taps(c, x, c->in[1]->i + o * size, k % pix), BD_I32);
    }
    return BD_OK;
}

static const bool back = true; /* marks the second of a pair of rows */
static const struct roles qlinear = {.b = 3, .az = 2, .bz = 5, .scaled = true};
static const struct roles integer = {.b = 1, .az = 2, .bz = 3};

const struct bd_op bd_graph_ops_quantize[] = {
    {"QuantizeLinear", shape_scaled, run_quantize, NULL, 0, NULL},
    {"DequantizeLinear", shape_scaled, run_dequantize, NULL, 0, &back},
    {"DynamicQuantizeLinear", shape_dynamic, run_dynamic, NULL, 0, NULL},
    {"QLinearMatMul", shape_codes, run_codes, NULL, 0, &qlinear},
    {"MatMulInteger", shape_codes, run_codes, NULL, 0, &integer},
    {"ConvInteger", shape_convint, run_convint, NULL, 0, NULL},
    {0},
};
