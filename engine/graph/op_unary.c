/* op_unary: one number in, one number out.  An operator is one loop over a
 * row with up to two parameters read from attributes when planning. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

typedef void unary_fn(float *y, const float *x, int64_t n, const float *p);

struct unary { /* the row's aux */
    unary_fn *fn;
    struct {
        const char *attr;
        float dflt;
    } p[2];
    int64_t (*whole)(int64_t v); /* NULL: real numbers only */
    bool truth;                  /* the result is a truth value */
};

#define LOOP(name, expr)                                                       \
    static void name(float *y, const float *x, int64_t n, const float *p)      \
    {                                                                          \
        (void)p;                                                               \
        for (int64_t k = 0; k < n; k++) {                                      \
            float v = x[k];                                                    \
            y[k] = expr;                                                       \
        }                                                                      \
    }

static float hard_sigmoid(float v, float a, float b)
{
    float s = a * v + b;
    return s < 0 ? 0 : s > 1 ? 1 : s;
}

static float softplus(float v)
{
    return v > 20 ? v : log1pf(expf(v)); /* beyond 20 they agree */
}

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

static float erf_gelu(float v)
{
    return 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));
}

static float tanh_gelu(float v)
{
    float u = 0.79788456080286536f * (v + 0.044715f * v * v * v);
    return 0.5f * v * (1.0f + tanhf(u));
}

static float shrink(float v, float bias, float lambd)
{
    return v < -lambd ? v + bias : v > lambd ? v - bias : 0;
}

/* clang-format off */
LOOP(relu, v <= 0 ? 0 : v) /* NaN stays; no branch to guess wrong */
LOOP(leaky, v < 0 ? v * p[0] : v)
LOOP(elu, v < 0 ? p[0] * expm1f(v) : v)
LOOP(celu, v < 0 ? p[0] * expm1f(v / p[0]) : v)
LOOP(selu, p[1] * (v < 0 ? p[0] * expm1f(v) : v))
LOOP(thresholded, v > p[0] ? v : 0)
LOOP(hard_sig, hard_sigmoid(v, p[0], p[1]))
LOOP(hard_swish, v * hard_sigmoid(v, 1.0f / 6, 0.5f))
LOOP(sigm, sigmoid(v))
LOOP(swish, v * sigmoid(p[0] * v))
LOOP(mish, v * tanhf(softplus(v)))
LOOP(soft_plus, softplus(v))
LOOP(soft_sign, v / (1.0f + fabsf(v)))
LOOP(shrunk, shrink(v, p[0], p[1]))
LOOP(tanh_, tanhf(v))
LOOP(sqrt_, sqrtf(v))
LOOP(exp_, expf(v))
LOOP(log_, logf(v))
LOOP(neg, -v)
LOOP(abs_, fabsf(v))
LOOP(floor_, floorf(v))
LOOP(ceil_, ceilf(v))
LOOP(round_, rintf(v))
LOOP(sign_, (float)((v > 0) - (v < 0)))
LOOP(recip, 1.0f / v)
LOOP(erf_, erff(v))
LOOP(sin_, sinf(v))
LOOP(cos_, cosf(v))
LOOP(tan_, tanf(v))
LOOP(asin_, asinf(v))
LOOP(acos_, acosf(v))
LOOP(atan_, atanf(v))
LOOP(sinh_, sinhf(v))
LOOP(cosh_, coshf(v))
LOOP(asinh_, asinhf(v))
LOOP(acosh_, acoshf(v))
LOOP(atanh_, atanhf(v))
LOOP(gelu, p[0] != 0 ? tanh_gelu(v) : erf_gelu(v))
LOOP(is_nan, isnan(v) ? 1 : 0)
LOOP(is_inf, isinf(v) && (v < 0 ? p[0] : p[1]) != 0 ? 1 : 0)
/* clang-format on */

static int64_t whole_neg(int64_t v)
{
    return (int64_t)(0 - (uint64_t)v);
}

static int64_t whole_abs(int64_t v)
{
    return v < 0 ? whole_neg(v) : v;
}

static int64_t whole_relu(int64_t v)
{
    return v > 0 ? v : 0;
}

static int64_t whole_sign(int64_t v)
{
    return (v > 0) - (v < 0);
}

static int64_t whole_not(int64_t v)
{
    return !v;
}

static int64_t whole_flip(int64_t v)
{
    return ~v;
}

/* ----------------------------------------------------------- the operator */
static bd_status shape_unary(struct bd_octx *c)
{
    const struct unary *u = c->op->aux;
    float *p = bd_graph_param(c, 2 * sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s != BD_OK)
        return s;
    bool real = bd_dtype_is_real(c->in[0]->type);
    if (real ? !u->fn : !u->whole)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "does not take %s",
                             bd_dtype_name(c->in[0]->type));
    for (int k = 0; k < 2 && u->p[k].attr; k++) {
        const struct bd_attr *a = bd_node_attr(c->node, u->p[k].attr);
        p[k] = u->p[k].dflt;
        if (a)
            p[k] = a->kind == BD_ATTR_INT ? (float)a->i : a->f;
    }
    return bd_graph_out(c, 0, u->truth ? BD_BOOL : c->in[0]->type,
                        c->in[0]->dim, c->in[0]->rank);
}

struct span { /* work in pieces, so that a pool can share it */
    struct bd_octx *c;
    int64_t n, piece;
};

static bool unary_piece(void *arg, int64_t i, int worker)
{
    const struct span *s = arg;
    const struct unary *u = s->c->op->aux;
    int64_t first = i * s->piece;
    int64_t n = s->n - first < s->piece ? s->n - first : s->piece;
    (void)worker;
    u->fn(s->c->out[0]->f + first, s->c->in[0]->f + first, n, s->c->param);
    return true;
}

static void in_pieces(struct bd_octx *c, int64_t n, bd_pool_fn *fn)
{
    struct span s = {c, n, 1 << 16};
    bd_graph_for(c, (n + s.piece - 1) / s.piece, fn, &s);
}

/* Real to truth: computed into scratch-free storage one by one. */
static void run_truth(struct bd_octx *c, const struct unary *u, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        float y;
        u->fn(&y, c->in[0]->f + k, 1, c->param);
        c->out[0]->i[k] = y != 0;
    }
}

static bd_status run_unary(struct bd_octx *c)
{
    const struct unary *u = c->op->aux;
    const struct bd_tensor *x = c->in[0];
    struct bd_tensor *y = c->out[0];
    int64_t n = bd_tensor_count(x);
    if (x->f && u->truth)
        run_truth(c, u, n);
    else if (x->f)
        in_pieces(c, n, unary_piece);
    else
        for (int64_t k = 0; k < n; k++)
            y->i[k] = bd_graph_wrap(u->whole(x->i[k]), y->type);
    return BD_OK;
}

/* Gelu's choice is a word. */
static bd_status shape_gelu(struct bd_octx *c)
{
    bd_status s = shape_unary(c);
    float *p = c->param;
    if (s == BD_OK)
        p[0] = !strcmp(bd_node_str(c->node, "approximate", "none"), "tanh");
    return s;
}

/* ------------------------------------------------------------------- Clip */
struct clip {
    double lo, hi;
};

static bd_status shape_clip(struct bd_octx *c)
{
    struct clip *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_scalar(
            c, 1, (double)bd_node_float(c->node, "min", -INFINITY), &p->lo);
    if (s == BD_OK)
        s = bd_graph_scalar(
            c, 2, (double)bd_node_float(c->node, "max", INFINITY), &p->hi);
    return s == BD_OK ? bd_graph_out_like(c, 0, c->in[0]) : s;
}

static bool clip_piece(void *arg, int64_t i, int worker)
{
    const struct span *s = arg;
    const struct clip *p = s->c->param;
    int64_t first = i * s->piece;
    int64_t n = s->n - first < s->piece ? s->n - first : s->piece;
    const float *x = s->c->in[0]->f + first;
    float *y = s->c->out[0]->f + first, lo = (float)p->lo, hi = (float)p->hi;
    (void)worker;
    for (int64_t k = 0; k < n; k++) { /* max first: hi wins, NaN passes */
        float v = x[k] < lo ? lo : x[k];
        y[k] = v > hi ? hi : v;
    }
    return true;
}

static bd_status run_clip(struct bd_octx *c)
{
    const struct clip *p = c->param;
    int64_t n = bd_tensor_count(c->in[0]);
    if (c->in[0]->f)
        in_pieces(c, n, clip_piece);
    for (int64_t k = 0; c->in[0]->i && k < n; k++) {
        int64_t v = c->in[0]->i[k];
        v = (double)v < p->lo ? (int64_t)p->lo : v;
        c->out[0]->i[k] = (double)v > p->hi ? (int64_t)p->hi : v;
    }
    return BD_OK;
}

static bool back_clip_piece(void *arg, int64_t i, int worker)
{
    const struct span *s = arg;
    const struct clip *p = s->c->param;
    const float *x = s->c->in[0]->f, *dy = s->c->dout[0];
    float *dx = s->c->din[0], lo = (float)p->lo, hi = (float)p->hi;
    int64_t end = (i + 1) * s->piece < s->n ? (i + 1) * s->piece : s->n;
    (void)worker;
    for (int64_t k = i * s->piece; k < end; k++) {
        float d = dy[k]; /* read always, or it is no vector code */
        d = x[k] > lo ? d : 0;
        dx[k] = x[k] < hi ? d : 0;
    }
    return true;
}

static bd_status back_clip(struct bd_octx *c)
{
    if (c->din[0])
        in_pieces(c, bd_tensor_count(c->in[0]), back_clip_piece);
    return BD_OK;
}

static bool back_relu_piece(void *arg, int64_t i, int worker)
{
    const struct span *s = arg;
    const float *x = s->c->in[0]->f, *dy = s->c->dout[0];
    float *dx = s->c->din[0];
    int64_t end = (i + 1) * s->piece < s->n ? (i + 1) * s->piece : s->n;
    (void)worker;
    for (int64_t k = i * s->piece; k < end; k++) {
        float d = dy[k]; /* read always, or it is no vector code */
        dx[k] = x[k] > 0 ? d : 0;
    }
    return true;
}

static bd_status back_relu(struct bd_octx *c)
{
    if (c->din[0])
        in_pieces(c, bd_tensor_count(c->in[0]), back_relu_piece);
    return BD_OK;
}

/* clang-format off */
#define PLAIN(f) &(const struct unary){f, {{NULL, 0}}, NULL, false}
#define WHOLE(f, w) &(const struct unary){f, {{NULL, 0}}, w, false}
#define ONE(f, a, d) &(const struct unary){f, {{a, d}}, NULL, false}
#define TWO(f, a, d, b, e)                                                     \
    &(const struct unary){f, {{a, d}, {b, e}}, NULL, false}
#define TRUTH(f, a, b)                                                         \
    &(const struct unary){f, {{a, 1}, {b, 1}}, NULL, true}
#define ROW(name, aux) {name, shape_unary, run_unary, NULL, BD_OP_INPLACE, aux}
#define ROW_TRUTH(name, aux) {name, shape_unary, run_unary, NULL, 0, aux}
/* clang-format on */

const struct bd_op bd_graph_ops_unary[] = {
    {"Relu", shape_unary, run_unary, back_relu, BD_OP_INPLACE,
     WHOLE(relu, whole_relu)},
    {"Clip", shape_clip, run_clip, back_clip, BD_OP_INPLACE, NULL},
    {"Gelu", shape_gelu, run_unary, NULL, BD_OP_INPLACE, PLAIN(gelu)},
    {"com.microsoft.Gelu", shape_gelu, run_unary, NULL, BD_OP_INPLACE,
     PLAIN(gelu)},
    ROW("LeakyRelu", ONE(leaky, "alpha", 0.01f)),
    ROW("Elu", ONE(elu, "alpha", 1)),
    ROW("Celu", ONE(celu, "alpha", 1)),
    ROW("Selu", TWO(selu, "alpha", 1.67326319217681884765625f, "gamma",
                    1.05070102214813232421875f)),
    ROW("ThresholdedRelu", ONE(thresholded, "alpha", 1)),
    ROW("HardSigmoid", TWO(hard_sig, "alpha", 0.2f, "beta", 0.5f)),
    ROW("HardSwish", PLAIN(hard_swish)),
    ROW("Swish", ONE(swish, "alpha", 1)),
    ROW("Shrink", TWO(shrunk, "bias", 0, "lambd", 0.5f)),
    ROW("Sigmoid", PLAIN(sigm)),
    ROW("Mish", PLAIN(mish)),
    ROW("Softplus", PLAIN(soft_plus)),
    ROW("Softsign", PLAIN(soft_sign)),
    ROW("Tanh", PLAIN(tanh_)),
    ROW("Sqrt", PLAIN(sqrt_)),
    ROW("Exp", PLAIN(exp_)),
    ROW("Log", PLAIN(log_)),
    ROW("Neg", WHOLE(neg, whole_neg)),
    ROW("Abs", WHOLE(abs_, whole_abs)),
    ROW("Floor", PLAIN(floor_)),
    ROW("Ceil", PLAIN(ceil_)),
    ROW("Round", PLAIN(round_)),
    ROW("Sign", WHOLE(sign_, whole_sign)),
    ROW("Reciprocal", PLAIN(recip)),
    ROW("Erf", PLAIN(erf_)),
    ROW("Sin", PLAIN(sin_)),
    ROW("Cos", PLAIN(cos_)),
    ROW("Tan", PLAIN(tan_)),
    ROW("Asin", PLAIN(asin_)),
    ROW("Acos", PLAIN(acos_)),
    ROW("Atan", PLAIN(atan_)),
    ROW("Sinh", PLAIN(sinh_)),
    ROW("Cosh", PLAIN(cosh_)),
    ROW("Asinh", PLAIN(asinh_)),
    ROW("Acosh", PLAIN(acosh_)),
    ROW("Atanh", PLAIN(atanh_)),
    ROW("Not", WHOLE(NULL, whole_not)),
    ROW("BitwiseNot", WHOLE(NULL, whole_flip)),
    ROW_TRUTH("IsNaN", TRUTH(is_nan, NULL, NULL)),
    ROW_TRUTH("IsInf", TRUTH(is_inf, "detect_negative", "detect_positive")),
    {0},
};
