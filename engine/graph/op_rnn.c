/* op_rnn: RNN, LSTM, GRU.  All share one shape of parameters: for each
 * direction G gates of H units, weights W[G*H, in], R[G*H, H], biases
 * B[2*G*H].  A cell turns the gates' sums of one step into the next state.
 * Default activations only. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

enum { X, W, R, B, LENS, H0, C0, PEEP };

struct rnn;
typedef void cell_fn(const struct rnn *p, float *h, float *c, const float *gate,
                     const float *rgate);

struct kind {
    int64_t gates;
    cell_fn *cell;
};

struct rnn {
    const struct kind *kind;
    int64_t steps, batch, in, h, dirs;
    bool batch_first, back, late; /* late: GRU's linear_before_reset */
};

static float logistic(float v)
{
    return 1 / (1 + expf(-v));
}

/* gate: W x + Wb; rgate: R h + Rb, both [G, H]. */
static void rnn_cell(const struct rnn *p, float *h, float *c, const float *gate,
                     const float *rgate)
{
    (void)c;
    for (int64_t k = 0; k < p->h; k++)
        h[k] = tanhf(gate[k] + rgate[k]);
}

/* Gates in the order input, output, forget, cell. */
static void lstm_cell(const struct rnn *p, float *h, float *c,
                      const float *gate, const float *rgate)
{
    for (int64_t k = 0; k < p->h; k++) {
        float v[4];
        for (int g = 0; g < 4; g++)
            v[g] = gate[g * p->h + k] + rgate[g * p->h + k];
        c[k] = logistic(v[2]) * c[k] + logistic(v[0]) * tanhf(v[3]);
        h[k] = logistic(v[1]) * tanhf(c[k]);
    }
}

/* Gates in the order update, reset, hidden; the caller has put the hidden
 * gate's recurrent part into rgate with the reset applied. */
static void gru_cell(const struct rnn *p, float *h, float *c, const float *gate,
                     const float *rgate)
{
    (void)c;
    for (int64_t k = 0; k < p->h; k++) {
        float z = logistic(gate[k] + rgate[k]);
        float n = tanhf(gate[2 * p->h + k] + rgate[2 * p->h + k]);
        h[k] = (1 - z) * n + z * h[k];
    }
}

static const struct kind plain = {1, rnn_cell}, lstm = {4, lstm_cell},
                         gru = {3, gru_cell};

/* Only what changes nothing may be asked for. */
static bd_status check_options(const struct bd_octx *c)
{
    static const char *const refused[] = {"activations",     "activation_alpha",
                                          "activation_beta", "clip",
                                          "input_forget",    NULL};
    for (const char *const *k = refused; *k; k++)
        if (bd_node_attr(c->node, *k))
            return bd_graph_fail(c, BD_EUNSUPPORTED, "%s", *k);
    if (bd_graph_has_in(c, LENS) || bd_graph_has_in(c, PEEP))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "sequence lengths or peepholes");
    return BD_OK;
}

static bool has_shape(const struct bd_octx *c, int k, const int64_t *dim,
                      int rank)
{
    if (!bd_graph_has_in(c, k))
        return true;
    bool ok = c->in[k]->rank == rank && bd_dtype_is_real(c->in[k]->type);
    for (int a = 0; ok && a < rank; a++)
        ok = c->in[k]->dim[a] == dim[a];
    return ok;
}

static bd_status read_extents(struct bd_octx *c, struct rnn *p)
{
    const struct bd_tensor *x = c->in[X], *r = c->in[R];
    const char *way = bd_node_str(c->node, "direction", "forward");
    if (x->rank != 3 || r->rank != 3 || !bd_dtype_is_real(x->type))
        return BD_BAD(c, "its input is not a sequence");
    p->kind = c->op->aux;
    p->batch_first = bd_node_int(c->node, "layout", 0) != 0;
    p->back = !strcmp(way, "reverse");
    p->late = bd_node_int(c->node, "linear_before_reset", 0) != 0;
    p->steps = x->dim[p->batch_first];
    p->batch = x->dim[!p->batch_first];
    p->in = x->dim[2];
    p->dirs = !strcmp(way, "bidirectional") ? 2 : 1;
    p->h = r->dim[2];
    int64_t g = p->kind->gates * p->h;
    int64_t state[3] = {p->dirs, p->batch, p->h};
    if (p->batch_first) {
        state[0] = p->batch;
        state[1] = p->dirs;
    }
    if (!has_shape(c, W, (int64_t[]){p->dirs, g, p->in}, 3) ||
        !has_shape(c, R, (int64_t[]){p->dirs, g, p->h}, 3) ||
        !has_shape(c, B, (int64_t[]){p->dirs, 2 * g}, 2) ||
        !has_shape(c, H0, state, 3) || !has_shape(c, C0, state, 3))
        return BD_BAD(c, "its weights do not fit its input");
    return BD_OK;
}

static bd_status shape_rnn(struct bd_octx *c)
{
    struct rnn *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 3);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = check_options(c);
    if (s == BD_OK)
        s = read_extents(c, p);
    if (s != BD_OK)
        return s;
    int64_t all[4] = {p->steps, p->dirs, p->batch, p->h};
    int64_t last[3] = {p->dirs, p->batch, p->h};
    if (p->batch_first) {
        memcpy(all, (int64_t[]){p->batch, p->steps, p->dirs, p->h}, sizeof all);
        memcpy(last, (int64_t[]){p->batch, p->dirs, p->h}, sizeof last);
    }
    c->mixes = !p->batch_first;
    c->scratch = (size_t)((2 + 2 * p->kind->gates) * p->h) * sizeof(float);
    s = bd_graph_out(c, 0, c->in[X]->type, all, 4);
    for (int k = 1; s == BD_OK && k < 3; k++)
        if (k == 1 || p->kind == &lstm)
            s = bd_graph_out(c, k, c->in[X]->type, last, 3);
    return s;
}

/* y[rows] = m[rows, n] x + bias. */
static void affine(float *y, const float *m, const float *x, const float *bias,
                   const int64_t size[2])
{
    for (int64_t r = 0; r < size[0]; r++) {
        double s = bias ? (double)bias[r] : 0;
        for (int64_t k = 0; k < size[1]; k++)
            s += (double)m[r * size[1] + k] * (double)x[k];
        y[r] = (float)s;
    }
}

/* The hidden gate of GRU sees the state after the reset: either the state is
 * scaled before the product or the product after.  gate is followed by
 * rgate; rw, rb: recurrent weights and biases (NULL = none). */
static void apply_reset(const struct rnn *p, float *gate, const float *h,
                        const float *rw, const float *rb)
{
    float *rgate = gate + 3 * p->h;
    const float *r = gate + p->h, *rr = rgate + p->h;
    for (int64_t k = 0; k < p->h; k++) {
        double s = rb ? (double)rb[2 * p->h + k] : 0;
        for (int64_t j = 0; !p->late && j < p->h; j++)
            s += (double)rw[(2 * p->h + k) * p->h + j] *
                 (double)(h[j] * logistic(r[j] + rr[j]));
        if (p->late)
            rgate[2 * p->h + k] *= logistic(r[k] + rr[k]);
        else
            rgate[2 * p->h + k] = (float)s;
    }
}

/* Places of (batch b, direction d) and of a step in the tensors. */
static int64_t state_at(const struct rnn *p, int64_t b, int64_t d)
{
    return (p->batch_first ? b * p->dirs + d : d * p->batch + b) * p->h;
}

static int64_t all_at(const struct rnn *p, int64_t t, int64_t b, int64_t d)
{
    if (p->batch_first)
        return ((b * p->steps + t) * p->dirs + d) * p->h;
    return ((t * p->dirs + d) * p->batch + b) * p->h;
}

static void one_step(const struct bd_octx *c, const float *x, float *h,
                     int64_t d)
{
    const struct rnn *p = c->param;
    int64_t g = p->kind->gates * p->h;
    float *cell = h + p->h, *gate = cell + p->h, *rgate = gate + g;
    const float *w = c->in[W]->f + d * g * p->in;
    const float *r = c->in[R]->f + d * g * p->h;
    const float *b = bd_graph_has_in(c, B) ? c->in[B]->f + d * 2 * g : NULL;
    affine(gate, w, x, b, (int64_t[]){g, p->in});
    affine(rgate, r, h, b ? b + g : NULL, (int64_t[]){g, p->h});
    if (p->kind == &gru)
        apply_reset(p, gate, h, r, b ? b + g : NULL);
    p->kind->cell(p, h, cell, gate, rgate);
}

static void start_state(const struct bd_octx *c, float *dst, int k, int64_t at)
{
    const struct rnn *p = c->param;
    size_t n = (size_t)p->h * sizeof *dst;
    if (bd_graph_has_in(c, k))
        memcpy(dst, c->in[k]->f + at, n);
    else
        memset(dst, 0, n);
}

static void one_sequence(const struct bd_octx *c, int64_t b, int64_t d)
{
    const struct rnn *p = c->param;
    float *h = bd_graph_work(c, 0);
    size_t n = (size_t)p->h * sizeof *h;
    bool back = d == 1 || p->back;
    start_state(c, h, H0, state_at(p, b, d));
    start_state(c, h + p->h, C0, state_at(p, b, d));
    for (int64_t k = 0; k < p->steps; k++) {
        int64_t t = back ? p->steps - 1 - k : k;
        int64_t x = p->batch_first ? b * p->steps + t : t * p->batch + b;
        one_step(c, c->in[X]->f + x * p->in, h, d);
        if (c->out[0])
            memcpy(c->out[0]->f + all_at(p, t, b, d), h, n);
    }
    for (int k = 1; k < 3; k++)
        if (k < c->nout && c->out[k])
            memcpy(c->out[k]->f + state_at(p, b, d), h + (k - 1) * p->h, n);
}

static bd_status run_rnn(struct bd_octx *c)
{
    const struct rnn *p = c->param;
    for (int64_t k = 0; k < p->batch * p->dirs; k++)
        one_sequence(c, k / p->dirs, k % p->dirs);
    return BD_OK;
}

const struct bd_op bd_graph_ops_rnn[] = {
    {"RNN", shape_rnn, run_rnn, NULL, 0, &plain},
    {"LSTM", shape_rnn, run_rnn, NULL, 0, &lstm},
    {"GRU", shape_rnn, run_rnn, NULL, 0, &gru},
    {0},
};
