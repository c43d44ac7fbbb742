/* op_binary: everything that combines elements of broadcast inputs: sums,
 * products, powers, comparisons, logic, extremes.
 *
 * An operator is a pair of row functions, one for real and one for whole
 * numbers, over a last axis whose operands step by 0 or 1; everything about
 * shapes is common.  Operators of many inputs (Sum, Max...) fold from the
 * left. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

/* One row: y[k] = f(a[k * sa], b[k * sb]). */
struct row {
    int64_t n, sa, sb;
    bool u64; /* unsigned 64-bit order */
};
typedef void real_row(float *y, const float *a, const float *b,
                      const struct row *r);
typedef void test_row(int64_t *y, const float *a, const float *b,
                      const struct row *r);
typedef void whole_row(int64_t *y, const int64_t *a, const int64_t *b,
                       const struct row *r);

struct binary {       /* the row's aux */
    real_row *real;   /* real to real */
    test_row *test;   /* real to truth */
    whole_row *whole; /* whole to whole or truth */
    bool truth;       /* the result is a truth value */
};

/* One row of results from two rows of operands, by their types. */
#define ROW(name, out, in, expr)                                               \
    static void name(out *y, const in *a, const in *b, const struct row *r)    \
    {                                                                          \
        for (int64_t k = 0; k < r->n; k++) {                                   \
            in p = a[k * r->sa], q = b[k * r->sb];                             \
            y[k] = expr;                                                       \
        }                                                                      \
    }
#define REAL_ROW(name, expr) ROW(name, float, float, expr)
#define TEST_ROW(name, expr) ROW(name, int64_t, float, expr)
#define WHOLE_ROW(name, expr) ROW(name, int64_t, int64_t, expr)

/* The common case, both operands dense, is a loop of its own so that it
 * becomes vector code. */
#define FAST_ROW(name, expr)                                                   \
    REAL_ROW(name##_any, expr)                                                 \
    static void name(float *y, const float *a, const float *b,                 \
                     const struct row *r)                                      \
    {                                                                          \
        if (r->sa != 1 || r->sb != 1) {                                        \
            name##_any(y, a, b, r);                                            \
            return;                                                            \
        }                                                                      \
        for (int64_t k = 0; k < r->n; k++) {                                   \
            float p = a[k], q = b[k];                                          \
            y[k] = expr;                                                       \
        }                                                                      \
    }

/* Signed order of unsigned numbers: flip the top bit. */
static int64_t key_of(int64_t v, bool u64)
{
    return u64 ? (int64_t)((uint64_t)v ^ ((uint64_t)1 << 63)) : v;
}

static bool below(int64_t p, int64_t q, const struct row *r)
{
    return key_of(p, r->u64) < key_of(q, r->u64);
}

/* Division by zero gives 0 rather than a trap; the file asked for it. */
static int64_t whole_div(int64_t p, int64_t q, bool u64)
{
    if (q == 0)
        return 0;
    if (u64)
        return (int64_t)((uint64_t)p / (uint64_t)q);
    return q == -1 ? (int64_t)(0 - (uint64_t)p) : p / q;
}

static int64_t whole_rem(int64_t p, int64_t q, bool u64)
{
    if (q == 0 || q == -1)
        return q == 0 || !u64 ? 0 : (int64_t)((uint64_t)p % (uint64_t)q);
    return u64 ? (int64_t)((uint64_t)p % (uint64_t)q) : p % q;
}

/* The sign follows the divisor. */
static int64_t whole_mod(int64_t p, int64_t q, bool u64)
{
    int64_t m = whole_rem(p, q, u64);
    return !u64 && m != 0 && (m < 0) != (q < 0) ? m + q : m;
}

static float real_mod(float p, float q)
{
    float m = fmodf(p, q);
    return m != 0 && (m < 0) != (q < 0) ? m + q : m;
}

static int64_t whole_pow(int64_t p, int64_t q)
{
    uint64_t v = 1, base = (uint64_t)p;
    if (q < 0)
        return p == 1 ? 1 : p == -1 ? (q % 2 ? -1 : 1) : 0;
    for (; q > 0; q >>= 1, base *= base)
        if (q & 1)
            v *= base;
    return (int64_t)v;
}

static float real_max(float p, float q)
{
    return isnan(p) || p > q ? p : q;
}

static float real_min(float p, float q)
{
    return isnan(p) || p < q ? p : q;
}

/* clang-format off */
FAST_ROW(add_real, p + q)
FAST_ROW(sub_real, p - q)
FAST_ROW(mul_real, p * q)
FAST_ROW(div_real, p / q)
REAL_ROW(pow_real, powf(p, q))
REAL_ROW(max_real, real_max(p, q))
REAL_ROW(min_real, real_min(p, q))
REAL_ROW(prelu_real, p < 0 ? p * q : p)
REAL_ROW(fmod_real, fmodf(p, q))
REAL_ROW(mod_real, real_mod(p, q))
WHOLE_ROW(add_whole, (int64_t)((uint64_t)p + (uint64_t)q))
WHOLE_ROW(sub_whole, (int64_t)((uint64_t)p - (uint64_t)q))
WHOLE_ROW(mul_whole, (int64_t)((uint64_t)p * (uint64_t)q))
WHOLE_ROW(div_whole, whole_div(p, q, r->u64))
WHOLE_ROW(pow_whole, whole_pow(p, q))
WHOLE_ROW(max_whole, below(p, q, r) ? q : p)
WHOLE_ROW(min_whole, below(q, p, r) ? q : p)
WHOLE_ROW(prelu_whole, p < 0 ? (int64_t)((uint64_t)p * (uint64_t)q) : p)
WHOLE_ROW(fmod_whole, whole_rem(p, q, r->u64))
WHOLE_ROW(mod_whole, whole_mod(p, q, r->u64))
TEST_ROW(equal_real, p == q)
TEST_ROW(less_real, p < q)
TEST_ROW(greater_real, p > q)
TEST_ROW(less_equal_real, p <= q)
TEST_ROW(greater_equal_real, p >= q)
WHOLE_ROW(equal_whole, p == q)
WHOLE_ROW(less_whole, below(p, q, r))
WHOLE_ROW(greater_whole, below(q, p, r))
WHOLE_ROW(less_equal_whole, !below(q, p, r))
WHOLE_ROW(greater_equal_whole, !below(p, q, r))
WHOLE_ROW(and_whole, p && q)
WHOLE_ROW(or_whole, p || q)
WHOLE_ROW(xor_whole, !p != !q)
WHOLE_ROW(bit_and_whole, p & q)
WHOLE_ROW(bit_or_whole, p | q)
WHOLE_ROW(bit_xor_whole, p ^ q)
/* clang-format on */

/* --------------------------------------------------------------- shapes */
/* Axes that both operands walk without a break are merged, so that the last
 * axis is as long as it can be. */
struct pairing {
    int rank;
    int64_t dim[BD_MAX_RANK], sa[BD_MAX_RANK], sb[BD_MAX_RANK];
};

static void pair_up(struct pairing *p, const struct bd_tensor *y,
                    const struct bd_tensor *a, const struct bd_tensor *b)
{
    int64_t sa[BD_MAX_RANK], sb[BD_MAX_RANK];
    bd_graph_strides(sa, a, y->rank);
    bd_graph_strides(sb, b, y->rank);
    p->rank = 0;
    for (int k = 0; k < y->rank; k++) {
        int64_t n = y->dim[k];
        int last = p->rank - 1;
        if (n == 1)
            continue;
        if (last >= 0 && p->sa[last] == sa[k] * n && p->sb[last] == sb[k] * n) {
            p->dim[last] *= n;
            p->sa[last] = sa[k];
            p->sb[last] = sb[k];
            continue;
        }
        p->dim[p->rank] = n;
        p->sa[p->rank] = sa[k];
        p->sb[p->rank++] = sb[k];
    }
    if (p->rank == 0) { /* single numbers */
        p->rank = 1;
        p->dim[0] = 1;
        p->sa[0] = p->sb[0] = 0;
    }
}

struct combination {
    struct bd_tensor *y;
    const struct bd_tensor *a, *b;
    const struct binary *f;
    struct row row;
    int64_t at[3]; /* where the row begins in y, a and b */
};

static void one_row(const struct combination *c)
{
    const struct bd_tensor *a = c->a, *b = c->b;
    const int64_t *at = c->at;
    if (a->i)
        c->f->whole(c->y->i + at[0], a->i + at[1], b->i + at[2], &c->row);
    else if (c->f->truth)
        c->f->test(c->y->i + at[0], a->f + at[1], b->f + at[2], &c->row);
    else
        c->f->real(c->y->f + at[0], a->f + at[1], b->f + at[2], &c->row);
}

static void combine(struct bd_tensor *y, const struct bd_tensor *a,
                    const struct bd_tensor *b, const struct binary *f)
{
    struct pairing p;
    int64_t step[BD_MAX_RANK] = {0}, total = bd_tensor_count(y);
    pair_up(&p, y, a, b);
    int last = p.rank - 1;
    struct combination c = {.y = y, .a = a, .b = b, .f = f};
    c.row = (struct row){.n = p.dim[last],
                         .sa = p.sa[last],
                         .sb = p.sb[last],
                         .u64 = a->type == BD_U64};
    for (; c.at[0] < total; c.at[0] += c.row.n) {
        one_row(&c);
        for (int k = last - 1; k >= 0; k--) {
            c.at[1] += p.sa[k];
            c.at[2] += p.sb[k];
            if (++step[k] < p.dim[k])
                break;
            c.at[1] -= p.sa[k] * p.dim[k];
            c.at[2] -= p.sb[k] * p.dim[k];
            step[k] = 0;
        }
    }
    for (int64_t k = 0; y->i && !f->truth && k < total; k++)
        y->i[k] = bd_graph_wrap(y->i[k], y->type);
}

static bd_status check_types(const struct bd_octx *c, const struct binary *f)
{
    bool real = bd_dtype_is_real(c->in[0]->type);
    for (int k = 1; k < c->nin; k++)
        if (bd_dtype_is_real(c->in[k]->type) != real)
            return bd_graph_fail(c, BD_EUNSUPPORTED,
                                 "mixes real and whole numbers");
    if (real ? !(f->truth ? f->test != NULL : f->real != NULL) : !f->whole)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "does not take %s",
                             bd_dtype_name(c->in[0]->type));
    return BD_OK;
}

static bd_status shape_binary(struct bd_octx *c)
{
    const struct binary *f = c->op->aux;
    bd_status s = bd_graph_need(c, c->nin < 2 ? 2 : c->nin);
    if (s == BD_OK)
        s = check_types(c, f);
    if (s != BD_OK)
        return s;
    struct bd_tensor y;
    s = bd_graph_broadcast(c, &y, c->in[0], c->in[1]);
    if (s != BD_OK)
        return s;
    return bd_graph_out(c, 0, f->truth ? BD_BOOL : y.type, y.dim, y.rank);
}

static bd_status run_binary(struct bd_octx *c)
{
    combine(c->out[0], c->in[0], c->in[1], c->op->aux);
    return BD_OK;
}

/* PRelu's slope broadcasts to the input only. */
static bd_status shape_prelu(struct bd_octx *c)
{
    bd_status s = shape_binary(c);
    if (s == BD_OK && bd_tensor_count(c->out[0]) != bd_tensor_count(c->in[0]))
        return BD_BAD(c, "its slopes have more elements than its input");
    return s;
}

static const struct binary fmod_f = {fmod_real, NULL, fmod_whole, false};
static const struct binary mod_f = {mod_real, NULL, mod_whole, false};

static bd_status run_mod(struct bd_octx *c)
{
    bool c_like = bd_node_int(c->node, "fmod", 0) != 0;
    combine(c->out[0], c->in[0], c->in[1], c_like ? &fmod_f : &mod_f);
    return BD_OK;
}

/* ----------------------------------------------------------- Pow, shifts */
/* The exponent may be of another kind than the base: it is read as real. */
static bd_status shape_pow(struct bd_octx *c)
{
    struct bd_tensor y;
    bd_status s = bd_graph_need(c, 2);
    if (s == BD_OK)
        s = bd_graph_broadcast(c, &y, c->in[0], c->in[1]);
    if (s != BD_OK)
        return s;
    c->scratch = (size_t)bd_tensor_count(c->in[1]) * sizeof(int64_t);
    return bd_graph_out(c, 0, c->in[0]->type, y.dim, y.rank);
}

static bd_status run_pow(struct bd_octx *c)
{
    const struct bd_tensor *b = c->in[1];
    struct bd_tensor q = *b;
    int64_t n = bd_tensor_count(b);
    void *room = bd_graph_work(c, 0);
    if (c->in[0]->f && b->i) {
        q.f = room;
        q.i = NULL;
        for (int64_t k = 0; k < n; k++)
            q.f[k] =
                b->type == BD_U64 ? (float)(uint64_t)b->i[k] : (float)b->i[k];
    } else if (c->in[0]->i && b->f) {
        q.i = room;
        q.f = NULL;
        for (int64_t k = 0; k < n; k++)
            q.i[k] = bd_graph_to_int((double)b->f[k], BD_I64);
    }
    combine(c->out[0], c->in[0], &q, c->op->aux);
    return BD_OK;
}

static bd_status run_shift(struct bd_octx *c)
{
    const char *way = bd_node_str(c->node, "direction", "LEFT");
    struct bd_tensor *y = c->out[0];
    const struct bd_tensor *a = c->in[0], *b = c->in[1];
    int64_t n = bd_tensor_count(y), na = bd_tensor_count(a);
    int64_t nb = bd_tensor_count(b);
    for (int64_t k = 0; k < n; k++) {
        uint64_t v = (uint64_t)a->i[k % na], by = (uint64_t)b->i[k % nb];
        v = by > 63 ? 0 : *way == 'R' ? v >> by : v << by;
        y->i[k] = bd_graph_wrap((int64_t)v, y->type);
    }
    return BD_OK;
}

static bd_status shape_shift(struct bd_octx *c)
{
    bd_status s = shape_binary(c);
    int64_t n = s == BD_OK ? bd_tensor_count(c->out[0]) : 0;
    for (int k = 0; s == BD_OK && k < 2; k++)
        if (bd_tensor_count(c->in[k]) != n && bd_tensor_count(c->in[k]) != 1)
            s = bd_graph_fail(c, BD_EUNSUPPORTED, "broadcasts its inputs");
    return s;
}

/* ------------------------------------------------------------ many inputs */
static bd_status shape_many(struct bd_octx *c)
{
    bd_status s = bd_graph_need(c, c->nin < 1 ? 1 : c->nin);
    if (s == BD_OK)
        s = check_types(c, c->op->aux);
    if (s != BD_OK)
        return s;
    struct bd_tensor y = *c->in[0];
    for (int k = 1; s == BD_OK && k < c->nin; k++)
        s = bd_graph_broadcast(c, &y, &y, c->in[k]);
    if (s != BD_OK)
        return s;
    s = bd_graph_out(c, 0, y.type, y.dim, y.rank);
    /* Partial results on the way: combine never reads what it has written
     * only when shapes agree, so they go to scratch. */
    c->scratch = (size_t)bd_tensor_count(&y) * bd_graph_esize(&y);
    return s;
}

static bd_status run_many(struct bd_octx *c)
{
    struct bd_tensor *y = c->out[0], part = *y, first = *c->in[0];
    void *room = bd_graph_work(c, 0);
    size_t bytes = (size_t)bd_tensor_count(y) * bd_graph_esize(y);
    struct bd_walk w = {.rank = y->rank, .esize = bd_graph_esize(y)};
    memcpy(w.dim, y->dim, sizeof w.dim);
    bd_graph_strides(w.stride, &first, y->rank);
    bd_graph_walk(bd_graph_data(y), bd_graph_data(&first), &w);
    if (part.f)
        part.f = room;
    else
        part.i = room;
    for (int k = 1; k < c->nin; k++) {
        memcpy(room, bd_graph_data(y), bytes);
        combine(y, &part, c->in[k], c->op->aux);
    }
    return BD_OK;
}

static bd_status run_mean(struct bd_octx *c)
{
    bd_status s = run_many(c);
    int64_t n = bd_tensor_count(c->out[0]);
    for (int64_t k = 0; c->out[0]->f && k < n; k++)
        c->out[0]->f[k] /= (float)c->nin;
    return s;
}

/* --------------------------------------------------------------- training */
/* Sums dy over the axes along which input k was repeated. */
static void reduce_to(float *d, bool add, const float *dy,
                      const struct bd_tensor *x, const struct bd_tensor *y)
{
    int64_t stride[BD_MAX_RANK], at[BD_MAX_RANK] = {0}, pos = 0;
    int64_t n = bd_tensor_count(y), nx = bd_tensor_count(x);
    bd_graph_strides(stride, x, y->rank);
    if (!add)
        memset(d, 0, (size_t)nx * sizeof *d);
    for (int64_t k = 0; k < n; k++) {
        d[pos] += dy[k];
        for (int a = y->rank - 1; a >= 0; a--) {
            pos += stride[a];
            if (++at[a] < y->dim[a])
                break;
            pos -= stride[a] * y->dim[a];
            at[a] = 0;
        }
    }
}

static bd_status back_add(struct bd_octx *c)
{
    int64_t n = bd_tensor_count(c->out[0]);
    for (int k = 0; k < 2; k++) {
        if (!c->din[k])
            continue;
        if (bd_tensor_count(c->in[k]) != n || c->acc[k])
            reduce_to(c->din[k], c->acc[k], c->dout[0], c->in[k], c->out[0]);
        else
            memcpy(c->din[k], c->dout[0], (size_t)n * sizeof(float));
    }
    return BD_OK;
}

/* clang-format off */
#define REAL(f) &(const struct binary){f##_real, NULL, f##_whole, false}
#define TEST(f) &(const struct binary){NULL, f##_real, f##_whole, true}
#define BITS(f) &(const struct binary){NULL, NULL, f##_whole, false}
#define LOGIC(f) &(const struct binary){NULL, NULL, f##_whole, true}
/* clang-format on */

const struct bd_op bd_graph_ops_binary[] = {
    {"Add", shape_binary, run_binary, back_add, BD_OP_INPLACE, REAL(add)},
    {"Sub", shape_binary, run_binary, NULL, 0, REAL(sub)},
    {"Mul", shape_binary, run_binary, NULL, 0, REAL(mul)},
    {"Div", shape_binary, run_binary, NULL, 0, REAL(div)},
    {"Pow", shape_pow, run_pow, NULL, 0, REAL(pow)},
    {"PRelu", shape_prelu, run_binary, NULL, 0, REAL(prelu)},
    {"Mod", shape_binary, run_mod, NULL, 0, &mod_f},
    {"Sum", shape_many, run_many, NULL, 0, REAL(add)},
    {"Max", shape_many, run_many, NULL, 0, REAL(max)},
    {"Min", shape_many, run_many, NULL, 0, REAL(min)},
    {"Mean", shape_many, run_mean, NULL, 0, REAL(add)},
    {"Equal", shape_binary, run_binary, NULL, 0, TEST(equal)},
    {"Less", shape_binary, run_binary, NULL, 0, TEST(less)},
    {"Greater", shape_binary, run_binary, NULL, 0, TEST(greater)},
    {"LessOrEqual", shape_binary, run_binary, NULL, 0, TEST(less_equal)},
    {"GreaterOrEqual", shape_binary, run_binary, NULL, 0, TEST(greater_equal)},
    {"And", shape_binary, run_binary, NULL, 0, LOGIC(and)},
    {"Or", shape_binary, run_binary, NULL, 0, LOGIC(or)},
    {"Xor", shape_binary, run_binary, NULL, 0, LOGIC(xor)},
    {"BitwiseAnd", shape_binary, run_binary, NULL, 0, BITS(bit_and)},
    {"BitwiseOr", shape_binary, run_binary, NULL, 0, BITS(bit_or)},
    {"BitwiseXor", shape_binary, run_binary, NULL, 0, BITS(bit_xor)},
    {"BitShift", shape_shift, run_shift, NULL, 0, BITS(bit_and)},
    {0},
};
