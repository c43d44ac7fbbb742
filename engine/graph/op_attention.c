/* op_attention: Attention and RotaryEmbedding as ONNX 23 defines them.
 *
 * Inputs are seen as [batch, heads, sequence, size]; rank 3 inputs have their
 * heads side by side in the last axis.  Keys and values may be shared by
 * several query heads, and may follow cached ones.  Scores of one query row:
 *
 *   s = scale * q.k  ->  capped  ->  + mask, -inf where forbidden  ->  softmax
 *
 * A row with everything forbidden gives zeros, not NaN. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };

struct attention {
    int64_t b, hq, hk, sq, sk, past, size, vsize; /* sk includes the past */
    bool packed;                                  /* rank 3 */
    bool causal;
    float scale, cap;
    int stage;           /* of the scores shown in output 3 */
    struct bd_walk mask; /* strides over [b, hq, sq, sk] */
    int64_t mask_cols;   /* keys beyond are forbidden */
};

static bd_status read_shapes(struct bd_octx *c, struct attention *p)
{
    const struct bd_tensor *q = c->in[Q], *k = c->in[K], *v = c->in[V];
    p->packed = q->rank == 3;
    if ((q->rank != 3 && q->rank != 4) || k->rank != q->rank ||
        v->rank != q->rank)
        return BD_BAD(c, "its inputs do not have three or four dimensions");
    p->b = q->dim[0];
    p->hq = p->packed ? bd_node_int(c->node, "q_num_heads", 0) : q->dim[1];
    p->hk = p->packed ? bd_node_int(c->node, "kv_num_heads", 0) : k->dim[1];
    int s = p->packed ? 1 : 2;
    p->sq = q->dim[s];
    p->sk = k->dim[s];
    int64_t hq = p->packed ? p->hq : 1, hk = p->packed ? p->hk : 1;
    if (p->hq < 1 || p->hk < 1 || p->hq % p->hk || q->dim[s + 1] % hq ||
        k->dim[s + 1] % hk || v->dim[s + 1] % hk)
        return BD_BAD(c, "its heads do not divide its inputs");
    p->size = q->dim[s + 1] / hq;
    p->vsize = v->dim[s + 1] / hk;
    if (k->dim[s + 1] / hk != p->size || v->dim[s] != p->sk ||
        k->dim[0] != p->b || v->dim[0] != p->b ||
        (!p->packed && v->dim[1] != p->hk))
        return BD_BAD(c, "keys and values do not fit the queries");
    return BD_OK;
}

static bd_status read_past(struct bd_octx *c, struct attention *p)
{
    if (!bd_graph_has_in(c, PAST_K) != !bd_graph_has_in(c, PAST_V))
        return BD_BAD(c, "a past of keys or values alone");
    if (!bd_graph_has_in(c, PAST_K))
        return BD_OK;
    const struct bd_tensor *k = c->in[PAST_K], *v = c->in[PAST_V];
    if (k->rank != 4 || v->rank != 4 || k->dim[0] != p->b ||
        v->dim[0] != p->b || k->dim[1] != p->hk || v->dim[1] != p->hk ||
        k->dim[2] != v->dim[2] || k->dim[3] != p->size || v->dim[3] != p->vsize)
        return BD_BAD(c, "its past does not fit");
    p->past = k->dim[2];
    p->sk += p->past;
    return BD_OK;
}

/* A mask may be shorter than the keys: the rest is forbidden. */
static bd_status read_mask(struct bd_octx *c, struct attention *p)
{
    p->mask_cols = p->sk;
    if (bd_graph_has_in(c, LENGTHS) &&
        (bd_dtype_is_real(c->in[LENGTHS]->type) ||
         bd_tensor_count(c->in[LENGTHS]) != p->b))
        return BD_BAD(c, "its lengths are not one per batch");
    if (!bd_graph_has_in(c, MASK))
        return BD_OK;
    struct bd_tensor m = *c->in[MASK], both;
    if (m.rank < 2)
        return BD_BAD(c, "its mask is not a matrix");
    if (m.dim[m.rank - 1] > 1 && m.dim[m.rank - 1] < p->sk)
        p->mask_cols = m.dim[m.rank - 1];
    struct bd_tensor s = {
        .type = BD_F32, .rank = 4, .dim = {p->b, p->hq, p->sq, p->mask_cols}};
    bd_status st = bd_graph_broadcast(c, &both, &s, &m);
    if (st == BD_OK && bd_tensor_count(&both) != bd_tensor_count(&s))
        return BD_BAD(c, "its mask is larger than its scores");
    bd_graph_strides(p->mask.stride, &m, 4);
    return st;
}

static bd_status shape_outputs(struct bd_octx *c, const struct attention *p)
{
    enum bd_dtype t = c->in[Q]->type;
    int64_t wide[3] = {p->b, p->sq, p->hq * p->vsize};
    int64_t full[4] = {p->b, p->hq, p->sq, p->vsize};
    int64_t key[4] = {p->b, p->hk, p->sk, p->size};
    int64_t value[4] = {p->b, p->hk, p->sk, p->vsize};
    int64_t score[4] = {p->b, p->hq, p->sq, p->sk};
    bd_status s = p->packed ? bd_graph_out(c, 0, t, wide, 3)
                            : bd_graph_out(c, 0, t, full, 4);
    if (s == BD_OK)
        s = bd_graph_out(c, 1, t, key, 4);
    if (s == BD_OK)
        s = bd_graph_out(c, 2, t, value, 4);
    return s == BD_OK ? bd_graph_out(c, 3, t, score, 4) : s;
}

static bd_status shape_attention(struct bd_octx *c)
{
    struct attention *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 3, 3);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = read_shapes(c, p);
    if (s == BD_OK)
        s = read_past(c, p);
    if (s == BD_OK)
        s = read_mask(c, p);
    if (s != BD_OK)
        return s;
    p->causal = bd_node_int(c->node, "is_causal", 0) != 0;
    p->cap = bd_node_float(c->node, "softcap", 0);
    p->stage = (int)bd_node_int(c->node, "qk_matmul_output_mode", 0);
    p->scale = bd_node_float(c->node, "scale", 0);
    if (p->scale == 0)
        p->scale = (float)(1 / sqrt((double)p->size));
    /* All keys and values in one piece each, and a row of scores. */
    int64_t kv = p->b * p->hk * p->sk * (p->size + p->vsize);
    c->scratch = (size_t)(kv + p->sk) * sizeof(float);
    c->macs = p->b * p->hq * p->sq * p->sk * (p->size + p->vsize);
    return shape_outputs(c, p);
}

/* Offset of row s of head h of batch b in a tensor of `n` heads. */
static int64_t row_of(const struct attention *p, const int64_t bhs[3],
                      const int64_t nss[3])
{
    int64_t n = nss[0], seq = nss[1], size = nss[2];
    if (p->packed)
        return ((bhs[0] * seq + bhs[2]) * n + bhs[1]) * size;
    return ((bhs[0] * n + bhs[1]) * seq + bhs[2]) * size;
}

/* dst[b, hk, sk, size] = past followed by present. */
static void join(float *dst, const struct bd_octx *c, int now, int64_t size)
{
    const struct attention *p = c->param;
    const float *past = p->past ? c->in[now + PAST_K - K]->f : NULL;
    int64_t fresh = p->sk - p->past;
    for (int64_t k = 0; k < p->b * p->hk; k++) {
        if (past)
            memcpy(dst, past + k * p->past * size,
                   (size_t)(p->past * size) * sizeof *dst);
        dst += p->past * size;
        for (int64_t s = 0; s < fresh; s++, dst += size)
            memcpy(dst,
                   c->in[now]->f + row_of(p,
                                          (int64_t[]){k / p->hk, k % p->hk, s},
                                          (int64_t[]){p->hk, fresh, size}),
                   (size_t)size * sizeof *dst);
    }
}

/* What the mask adds to a score; -inf forbids. */
static float allowance(const struct bd_octx *c, const int64_t at[3],
                       int64_t key)
{
    const struct attention *p = c->param;
    int64_t behind = p->past; /* queries begin after the past */
    if (bd_graph_has_in(c, LENGTHS)) {
        int64_t len = c->in[LENGTHS]->i[at[0]];
        if (key >= len)
            return -INFINITY;
        behind = len - p->sq;
    }
    if (key >= p->mask_cols || (p->causal && key > at[2] + behind))
        return -INFINITY;
    if (!bd_graph_has_in(c, MASK))
        return 0;
    const struct bd_tensor *m = c->in[MASK];
    const int64_t *st = p->mask.stride;
    int64_t i = at[0] * st[0] + at[1] * st[1] + at[2] * st[2] + key * st[3];
    if (m->f)
        return m->f[i];
    return m->i[i] ? 0 : -INFINITY;
}

static void show(const struct bd_octx *c, int stage, const float *s,
                 int64_t row)
{
    const struct attention *p = c->param;
    if (c->nout > 3 && c->out[3] && p->stage == stage)
        memcpy(c->out[3]->f + row * p->sk, s, (size_t)p->sk * sizeof *s);
}

static void soften(float *s, int64_t n)
{
    float top = -INFINITY;
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        top = s[k] > top ? s[k] : top;
    for (int64_t k = 0; k < n; k++) {
        s[k] = s[k] == -INFINITY ? 0 : expf(s[k] - top);
        sum += (double)s[k];
    }
    for (int64_t k = 0; k < n && sum > 0; k++)
        s[k] = (float)((double)s[k] / sum);
}

/* Scores of one query row, through the stages. */
static void score_row(const struct bd_octx *c, float *s, const float *q,
                      const float *keys, const int64_t at[3])
{
    const struct attention *p = c->param;
    int64_t row = (at[0] * p->hq + at[1]) * p->sq + at[2];
    for (int64_t k = 0; k < p->sk; k++) {
        double sum = 0;
        for (int64_t e = 0; e < p->size; e++)
            sum += (double)q[e] * (double)keys[k * p->size + e];
        s[k] = (float)(sum * (double)p->scale);
    }
    show(c, 0, s, row);
    for (int64_t k = 0; p->cap > 0 && k < p->sk; k++)
        s[k] = p->cap * tanhf(s[k] / p->cap);
    show(c, 1, s, row);
    for (int64_t k = 0; k < p->sk; k++) {
        float add = allowance(c, at, k);
        s[k] = add == -INFINITY ? -INFINITY : s[k] + add;
    }
    show(c, 2, s, row);
    soften(s, p->sk);
    show(c, 3, s, row);
}

static void value_row(float *y, const float *s, const float *values,
                      const struct attention *p)
{
    for (int64_t e = 0; e < p->vsize; e++) {
        double sum = 0;
        for (int64_t k = 0; k < p->sk; k++)
            if (s[k] != 0) /* forbidden values may be anything */
                sum += (double)s[k] * (double)values[k * p->vsize + e];
        y[e] = (float)sum;
    }
}

static bd_status run_attention(struct bd_octx *c)
{
    const struct attention *p = c->param;
    float *keys = bd_graph_work(c, 0);
    float *values = keys + p->b * p->hk * p->sk * p->size;
    float *scores = values + p->b * p->hk * p->sk * p->vsize;
    join(keys, c, K, p->size);
    join(values, c, V, p->vsize);
    for (int64_t r = 0; r < p->b * p->hq * p->sq; r++) {
        int64_t at[3] = {r / p->sq / p->hq, r / p->sq % p->hq, r % p->sq};
        int64_t head = at[0] * p->hk + at[1] / (p->hq / p->hk);
        const int64_t in[3] = {p->hq, p->sq, p->size};
        const int64_t out[3] = {p->hq, p->sq, p->vsize};
        score_row(c, scores, c->in[Q]->f + row_of(p, at, in),
                  keys + head * p->sk * p->size, at);
        if (c->out[0])
            value_row(c->out[0]->f + row_of(p, at, out), scores,
                      values + head * p->sk * p->vsize, p);
    }
    if (c->nout > 1 && c->out[1])
        memcpy(c->out[1]->f, keys, (size_t)(values - keys) * sizeof *keys);
    if (c->nout > 2 && c->out[2])
        memcpy(c->out[2]->f, values,
               (size_t)(scores - values) * sizeof *values);
    return BD_OK;
}

/* -------------------------------------------------------- RotaryEmbedding */
/* Pairs of elements of every head are turned by an angle that depends on the
 * position: x, cos, sin, optional positions. */
struct rotary {
    int64_t b, heads, seq, size, turned;
    bool packed, interleaved;
};

static bd_status shape_rotary(struct bd_octx *c)
{
    struct rotary *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 3, 3);
    if (!p || s != BD_OK)
        return p ? s : BD_ENOMEM;
    const struct bd_tensor *x = c->in[0], *co = c->in[1];
    p->packed = x->rank == 3;
    p->interleaved = bd_node_int(c->node, "interleaved", 0) != 0;
    p->heads = p->packed      ? bd_node_int(c->node, "num_heads", 0)
               : x->rank == 4 ? x->dim[1]
                              : 0;
    if (p->heads < 1 || x->dim[x->rank - 1] % (p->packed ? p->heads : 1))
        return BD_BAD(c, "its heads do not divide its input");
    p->b = x->dim[0];
    p->seq = x->dim[x->rank - 2];
    p->size = x->dim[x->rank - 1] / (p->packed ? p->heads : 1);
    p->turned = bd_node_int(c->node, "rotary_embedding_dim", 0);
    p->turned = p->turned ? p->turned : p->size;
    bool pos = bd_graph_has_in(c, 3);
    if (p->turned < 0 || p->turned > p->size || p->turned % 2 || co->rank < 1 ||
        co->dim[co->rank - 1] != p->turned / 2 ||
        bd_tensor_count(co) != bd_tensor_count(c->in[2]) ||
        (pos ? !c->in[3]->type || bd_dtype_is_real(c->in[3]->type) ||
                   bd_tensor_count(c->in[3]) != p->b * p->seq
             : bd_tensor_count(co) != p->b * p->seq * p->turned / 2))
        return BD_BAD(c, "its angles do not fit its input");
    return bd_graph_out_like(c, 0, x);
}

static void turn(float *y, const float *x, const float *co, const float *si,
                 const struct rotary *p)
{
    int64_t half = p->turned / 2;
    for (int64_t k = 0; k < half; k++) {
        int64_t a = p->interleaved ? 2 * k : k;
        int64_t b = p->interleaved ? 2 * k + 1 : half + k;
        y[a] = co[k] * x[a] - si[k] * x[b];
        y[b] = si[k] * x[a] + co[k] * x[b];
    }
    memcpy(y + p->turned, x + p->turned,
           (size_t)(p->size - p->turned) * sizeof *y);
}

static bd_status run_rotary(struct bd_octx *c)
{
    const struct rotary *p = c->param;
    int64_t half = p->turned / 2;
    int64_t rows = half ? bd_tensor_count(c->in[1]) / half : 0;
    for (int64_t k = 0; k < p->b * p->heads * p->seq; k++) {
        int64_t b = k / p->heads / p->seq;
        int64_t s = p->packed ? k / p->heads % p->seq : k % p->seq;
        int64_t at = b * p->seq + s;
        if (bd_graph_has_in(c, 3))
            at = c->in[3]->i[at];
        if (half && (at < 0 || at >= rows))
            return BD_BAD(c, "position %lld of %lld", (long long)at,
                          (long long)rows);
        turn(c->out[0]->f + k * p->size, c->in[0]->f + k * p->size,
             c->in[1]->f + at * half, c->in[2]->f + at * half, p);
    }
    return BD_OK;
}

const struct bd_op bd_graph_ops_attention[] = {
    {"Attention", shape_attention, run_attention, NULL, 0, NULL},
    {"RotaryEmbedding", shape_rotary, run_rotary, NULL, 0, NULL},
    {0},
};
