/* adaround: which neighbour on the grid each weight goes to, chosen for the
 * layer's output and not for the weight (Nagel et al. 2020, section 3).
 *
 * A weight between two levels becomes lower + (upper - lower) h(v) with the
 * rectified sigmoid h(v) = clip(1.2 sigmoid(v) - 0.1, 0, 1), started where
 * the float weight stands.  Adam moves v along the gradient of
 *
 *   |W(v) x - y|^2 + lambda sum(1 - |2h - 1|^beta)
 *
 * where y is the float network's output and x the quantized network's input
 * of the layer (the asymmetric variant); beta falls from 20 to 2 after the
 * first fifth, which drives every h to 0 or 1.
 *
 * The first term is a quadratic form, so the images enter once, as G = X'X
 * and c = X'y: the gradient is exact over all of them and no mini-batch noise
 * is left.  Outputs do not depend on each other: blocks of them are the units
 * of work, and the result is the same for any number of threads.
 *
 * The rounded weights replace the constants and sit on their grid, whose top
 * level is in use, so the clip rule `max` finds the same grid again.  An
 * output keeps nearest rounding where that is the better one. */
#include "repair/repair_priv.h"

#include "calib/calib.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 16, STRIP = 64, CHUNK = 512, ITERATIONS = 1000 };

struct state { /* per weight, output after output, k each */
    float *low, *step; /* the lower level, and how far the upper is */
    float *v, *m, *s;  /* rounding variable and Adam's two moments */
    float *near;       /* nearest rounding */
};

struct rounding {
    const struct bd_repair_in *in;
    struct bd_rows rows;
    struct state st;
    float *gram;    /* [groups][k][k], mean over the rows */
    float *cross;   /* [outputs][k], mean of y x */
    double *before; /* [outputs] error of nearest rounding */
    float *scratch; /* [threads][2][BLOCK][k] */
    int64_t per;    /* outputs of a group */
    int64_t blocks; /* of outputs in a group */
    int64_t from, until, total; /* iterations of the slice under way */
    struct bd_ctl *ctl;
    atomic_llong kept; /* outputs that AdaRound made better */
};

/* ---------------------------------------------------- the quadratic form */

/* A strip of rows of one group's G. */
static bool gram_step(void *arg, int64_t i, int worker)
{
    struct rounding *r = arg;
    const struct bd_kernels *kn = bd_kernels_best();
    int64_t k = r->rows.k, strips = (k + STRIP - 1) / STRIP;
    int64_t group = i / strips, row = i % strips * STRIP;
    int64_t n = k - row < STRIP ? k - row : STRIP, rows = r->rows.rows;
    const float *x = r->rows.x + group * rows * k;
    (void)worker;
    for (int64_t at = 0; at < rows; at += CHUNK) {
        struct bd_gemm g = {
            .ta = true, .m = n, .n = k,
            .k = rows - at < CHUNK ? rows - at : CHUNK,
            .alpha = (float)(1.0 / (double)rows), .beta = at > 0 ? 1.0f : 0.0f,
            .a = x + at * k + row, .b = x + at * k,
            .c = r->gram + (group * k + row) * k,
            .lda = k, .ldb = k, .ldc = k};
        if (bd_ctl_stale(r->ctl))
            return false;
        kn->gemm(&g);
    }
    return true;
}

static int64_t block_of(const struct rounding *r, int64_t i, int64_t *first)
{
    int64_t group = i / r->blocks, at = i % r->blocks * BLOCK;
    *first = group * r->per + at;
    return r->per - at < BLOCK ? r->per - at : BLOCK;
}

static bool cross_step(void *arg, int64_t i, int worker)
{
    struct rounding *r = arg;
    int64_t first, n = block_of(r, i, &first), k = r->rows.k;
    int64_t rows = r->rows.rows, group = first / r->per;
    (void)worker;
    for (int64_t at = 0; at < rows; at += CHUNK) {
        struct bd_gemm g = {
            .m = n, .n = k, .k = rows - at < CHUNK ? rows - at : CHUNK,
            .alpha = (float)(1.0 / (double)rows), .beta = at > 0 ? 1.0f : 0.0f,
            .a = r->rows.y + first * rows + at,
            .b = r->rows.x + (group * rows + at) * k,
            .c = r->cross + first * k, .lda = rows, .ldb = k, .ldc = k};
        if (bd_ctl_stale(r->ctl))
            return false;
        bd_kernels_best()->gemm(&g);
    }
    return true;
}

/* ---------------------------------------------------------- the variables */

/* Where x lies on a grid of n ascending levels. */
static void place(float *low, float *step, const double *level, size_t n,
                  double x)
{
    size_t a = 0, b = n - 1;
    *step = 0;
    *low = (float)(x <= level[0] ? level[0] : level[n - 1]);
    if (x <= level[0] || x >= level[n - 1])
        return; /* at an end: nothing to choose */
    while (b - a > 1) {
        size_t mid = (a + b) / 2;
        *(level[mid] <= x ? &a : &b) = mid;
    }
    *low = (float)level[a];
    *step = (float)(level[b] - level[a]);
}

static float start_of(float x, float low, float step)
{
    double h = step > 0 ? ((double)x - (double)low) / (double)step : 0.5;
    double s = (h + 0.1) / 1.2;
    return (float)log(s / (1 - s));
}

/* One output: its weights in order, each on the grid of its group. */
static bd_status place_output(struct rounding *r, const struct bd_qset *set,
                              int64_t output, const float *x,
                              struct bd_err *err)
{
    int64_t k = r->rows.k, at = output * k;
    const struct bd_qparam *now = NULL;
    double *level = NULL;
    size_t n = 0;
    for (int64_t i = 0; i < k; i++) {
        size_t which = set->n == 1 ? 0 : (size_t)output * set->groups;
        if (set->groups > 1)
            which += (size_t)(i / set->cfg.group);
        const struct bd_qparam *p = &set->p[which];
        if (p != now) {
            bool grid = p->bits > 0 && p->bits < 32;
            n = grid ? p->q->levels(NULL, 0, p) : 0;
            bd_free(level);
            level = bd_alloc(n + 1, sizeof *level);
            if (!level)
                return bd_fail(err, BD_ENOMEM, "out of memory");
            if (n > 0)
                p->q->levels(level, n, p);
            now = p;
        }
        r->st.low[at + i] = r->st.near[at + i];
        r->st.step[at + i] = 0;
        if (n > 1)
            place(&r->st.low[at + i], &r->st.step[at + i], level, n,
                  (double)x[i]);
        r->st.v[at + i] = start_of(x[i], r->st.low[at + i],
                                   r->st.step[at + i]);
    }
    bd_free(level);
    return BD_OK;
}

/* ----------------------------------------------------------- one iteration */

static double soft(double v, double *slope)
{
    double s = 1 / (1 + exp(-v)), h = 1.2 * s - 0.1;
    *slope = h > 0 && h < 1 ? 1.2 * s * (1 - s) : 0;
    return h < 0 ? 0 : h > 1 ? 1 : h;
}

struct schedule { /* of one iteration */
    double lambda, beta, fix1, fix2;
};

static struct schedule schedule_of(const struct rounding *r, int64_t it)
{
    double warm = 0.2 * (double)r->total;
    double t = ((double)it - warm) / ((double)r->total - warm);
    /* The error is in units of nearest rounding's, so a weight's share is
     * about 1/k, and the regularizer is measured by that; 10 is where the
     * error stops falling on the networks tried. */
    return (struct schedule){.lambda = t > 0 ? 10.0 / (double)r->rows.k : 0,
                             .beta = 2 + 18 * (1 - (t > 0 ? t : 0)),
                             .fix1 = 1 - pow(0.9, (double)it + 1),
                             .fix2 = 1 - pow(0.999, (double)it + 1)};
}

/* Adam's step of one output; g is d(error)/dW times half the rows. */
static void adam(struct rounding *r, int64_t output, const float *g,
                 const struct schedule *c)
{
    int64_t k = r->rows.k;
    double unit = r->before[output] > 0 ? 2 / r->before[output] : 0;
    for (int64_t i = 0; i < k; i++) {
        size_t at = (size_t)(output * k + i);
        double slope, h = soft((double)r->st.v[at], &slope);
        double far = fabs(2 * h - 1);
        if (r->st.step[at] <= 0)
            continue;
        double d = unit * (double)g[i] * (double)r->st.step[at];
        d -= c->lambda * c->beta * 2 * pow(far, c->beta - 1) *
             (h > 0.5 ? 1 : -1);
        d *= slope;
        double m = 0.9 * (double)r->st.m[at] + 0.1 * d;
        double s = 0.999 * (double)r->st.s[at] + 0.001 * d * d;
        r->st.m[at] = (float)m;
        r->st.s[at] = (float)s;
        r->st.v[at] = (float)((double)r->st.v[at] -
                              0.01 * (m / c->fix1) /
                                  (sqrt(s / c->fix2) + 1e-12));
    }
}

/* The slice's iterations of one block of outputs: W G - c, then Adam. */
static bool descend(void *arg, int64_t i, int worker)
{
    struct rounding *r = arg;
    int64_t first, n = block_of(r, i, &first), k = r->rows.k;
    float *w = r->scratch + worker * 2 * BLOCK * k, *g = w + BLOCK * k;
    struct bd_gemm mul = {.m = n, .n = k, .k = k, .alpha = 1, .beta = -1,
                          .a = w, .b = r->gram + first / r->per * k * k,
                          .c = g, .lda = k, .ldb = k, .ldc = k};
    for (int64_t it = r->from; it < r->until; it++) {
        struct schedule c = schedule_of(r, it);
        if (bd_ctl_stale(r->ctl))
            return false;
        for (int64_t j = 0; j < n * k; j++) {
            double slope, h;
            size_t at = (size_t)(first * k + j);
            h = soft((double)r->st.v[at], &slope);
            w[j] = (float)((double)r->st.low[at] +
                           (double)r->st.step[at] * h);
        }
        memcpy(g, r->cross + first * k, (size_t)(n * k) * sizeof *g);
        bd_kernels_best()->gemm(&mul);
        for (int64_t o = 0; o < n; o++)
            adam(r, first + o, g + o * k, &c);
    }
    return true;
}

/* -------------------------------------------------------- before and after */

static bool error_step(void *arg, int64_t output, int worker)
{
    struct rounding *r = arg;
    (void)worker;
    r->before[output] = bd_rows_error(&r->rows, output,
                                      r->st.near + output * r->rows.k);
    return !bd_ctl_stale(r->ctl);
}

/* Rounds for good; nearest rounding stays where it is no worse. */
static bool settle_step(void *arg, int64_t output, int worker)
{
    struct rounding *r = arg;
    int64_t k = r->rows.k;
    float *w = r->st.v + output * k; /* the variables have served */
    (void)worker;
    for (int64_t i = 0; i < k; i++) {
        size_t at = (size_t)(output * k + i);
        w[i] = r->st.step[at] > 0 && w[i] >= 0
                   ? (float)((double)r->st.low[at] + (double)r->st.step[at])
                   : r->st.low[at];
    }
    if (bd_rows_error(&r->rows, output, w) < r->before[output]) {
        memcpy(r->st.near + output * k, w, (size_t)k * sizeof *w);
        atomic_fetch_add(&r->kept, 1);
    }
    return !bd_ctl_stale(r->ctl);
}

/* Few iterations at a time, so that progress is seen and others get the
 * pool. */
static bool optimise(struct rounding *r, int64_t done, int64_t layers)
{
    bool go = true;
    enum { SLICE = 10 };
    r->total = r->in->iterations > 0 ? r->in->iterations : ITERATIONS;
    for (r->from = 0; r->from < r->total && go; r->from = r->until) {
        r->until = r->from + SLICE < r->total ? r->from + SLICE : r->total;
        go = bd_pool_slices(r->in->pool, r->rows.groups * r->blocks, descend,
                            r);
        bd_ctl_progress(r->ctl, done * r->total + r->until,
                        layers * r->total);
    }
    return go;
}

/* ------------------------------------------------------------- one layer */

static void free_rounding(struct rounding *r)
{
    bd_rows_done(&r->rows);
    bd_free(r->st.low);
    bd_free(r->st.step);
    bd_free(r->st.v);
    bd_free(r->st.m);
    bd_free(r->st.s);
    bd_free(r->st.near);
    bd_free(r->gram);
    bd_free(r->cross);
    bd_free(r->before);
    bd_free(r->scratch);
}

static bd_status room(struct rounding *r, struct bd_err *err)
{
    size_t k = (size_t)r->rows.k, n = k * (size_t)r->rows.outputs;
    size_t gram, threads = 1;
    if (r->in->pool)
        threads = (size_t)bd_pool_threads(r->in->pool);
    r->per = r->rows.outputs / r->rows.groups;
    r->blocks = (r->per + BLOCK - 1) / BLOCK;
    r->st.low = bd_alloc(n, sizeof(float));
    r->st.step = bd_alloc(n, sizeof(float));
    r->st.v = bd_alloc(n, sizeof(float));
    r->st.m = bd_calloc(n, sizeof(float));
    r->st.s = bd_calloc(n, sizeof(float));
    r->st.near = bd_alloc(n, sizeof(float));
    r->cross = bd_alloc(n, sizeof(float));
    r->before = bd_calloc((size_t)r->rows.outputs, sizeof(double));
    r->scratch = bd_alloc(threads * 2 * BLOCK * k, sizeof(float));
    if (bd_mul(&gram, k, k) && bd_mul(&gram, gram, (size_t)r->rows.groups))
        r->gram = bd_alloc(gram, sizeof(float));
    return r->st.low && r->st.step && r->st.v && r->st.m && r->st.s &&
                   r->st.near && r->cross && r->before && r->scratch &&
                   r->gram
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory for the rounding");
}

static struct bd_weights weights_of(const struct bd_model *m, int layer,
                                    const float *x)
{
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_tensor *t = &m->value[l->weight].t;
    return (struct bd_weights){.x = x ? x : t->f,
                               .slices = bd_slices_of(t, l->axis),
                               .learned_clip = l->learned_w};
}

/* Would the rounded weights, quantized by `max`, stay what they are?  Grids
 * that follow from more than the largest magnitude would not. */
static bd_status check_stays(const struct bd_repair_in *in, int layer,
                             const float *x, struct bd_ctl *ctl,
                             struct bd_err *err)
{
    struct bd_weights w = weights_of(in->m, layer, x);
    struct bd_tensorcfg t = in->cfg->layer[layer].w;
    struct bd_qset set = {0};
    size_t n = (size_t)bd_tensor_count(
        &in->m->value[in->m->layer[layer].weight].t);
    float *y = bd_alloc(n, sizeof *y);
    double most = 0, off = 0;
    t.clip = BD_CLIP_MAX;
    t.clip_value = 0;
    if (!y)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_calib_weights(&set, &w, &t, ctl, err);
    if (st == BD_OK)
        bd_qset_apply(y, &w, &set);
    for (size_t i = 0; st == BD_OK && i < n; i++) {
        most = fmax(most, fabs((double)x[i]));
        off = fmax(off, fabs((double)x[i] - (double)y[i]));
    }
    if (st == BD_OK && !(off <= 1e-5 * most))
        st = bd_fail(err, BD_EUNSUPPORTED,
                     "'%s' does not find its own levels again in rounded "
                     "weights; 'uniform' does",
                     bd_quantizer_at(t.quant)->name);
    bd_qset_done(&set);
    bd_free(y);
    return st;
}

static bd_status start(struct rounding *r, int layer, struct bd_err *err)
{
    const struct bd_repair_in *in = r->in;
    struct bd_weights w = weights_of(in->m, layer, NULL);
    struct bd_qset set = {0};
    float *row = bd_alloc((size_t)r->rows.k, sizeof *row);
    if (!row)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_calib_weights(&set, &w, &in->cfg->layer[layer].w,
                                    r->ctl, err);
    for (int64_t o = 0; o < r->rows.outputs && st == BD_OK; o++) {
        bd_slice_get(r->st.near + o * r->rows.k, in->q[layer].w, w.slices, o);
        bd_slice_get(row, w.x, w.slices, o);
        st = place_output(r, &set, o, row, err);
    }
    bd_qset_done(&set);
    bd_free(row);
    return st;
}

/* The phases of one layer; the pool's steps poll the control themselves. */
static bd_status round_layer(struct rounding *r, int64_t done, int64_t layers)
{
    struct bd_pool *pool = r->in->pool;
    int64_t strips = (r->rows.k + STRIP - 1) / STRIP * r->rows.groups;
    int64_t blocks = r->rows.groups * r->blocks;
    bool go = bd_pool_slices(pool, strips, gram_step, r) &&
              bd_pool_slices(pool, blocks, cross_step, r) &&
              bd_pool_slices(pool, r->rows.outputs, error_step, r) &&
              optimise(r, done, layers) &&
              bd_pool_slices(pool, r->rows.outputs, settle_step, r);
    return go ? BD_OK : BD_ECANCELLED;
}

static bd_status hand_over(struct bd_repair_out *out, struct rounding *r,
                           int layer, struct bd_err *err)
{
    const struct bd_model *m = r->in->m;
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_tensor *t = &m->value[l->weight].t;
    struct bd_slices s = bd_slices_of(t, l->axis);
    float *x = bd_alloc((size_t)bd_tensor_count(t), sizeof *x);
    if (!x)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (int64_t o = 0; o < r->rows.outputs; o++)
        bd_slice_put(x, r->st.near + o * r->rows.k, s, o);
    bd_free(out->value[l->weight]);
    out->value[l->weight] = x;
    return check_stays(r->in, layer, x, r->ctl, err);
}

/* ---------------------------------------------------------- chosen layers */

static bool takes_part(const struct bd_repair_in *in, size_t i)
{
    return (!in->layer || in->layer[i]) && in->q[i].w;
}

static bd_status prepare(struct rounding *r, const struct bd_qlayer *q,
                         int layer, struct bd_err *err)
{
    const struct bd_repair_in *in = r->in;
    struct bd_repair_in now = *in; /* with the layers before it rounded */
    now.q = q;
    bd_status st = bd_rows_new(&r->rows, &now, layer, r->ctl, err);
    if (st == BD_OK)
        st = room(r, err);
    if (st == BD_OK)
        st = start(r, layer, err);
    return st == BD_OK ? check_stays(in, layer, in->q[layer].w, r->ctl, err)
                       : st;
}

/* A constant that another node reads would be rounded for that one too. */
static bd_status check_own(const struct bd_work *w, int layer,
                           struct bd_err *err)
{
    int v = w->m->layer[layer].weight;
    char shown[256];
    if (bd_work_own(w, v, bd_tensor_count(&w->m->value[v].t)))
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "layer '%s': another node reads its weights too; adaround "
                   "needs weights of one layer alone",
                   bd_text_show(shown, sizeof shown,
                                w->m->layer[layer].name, 0));
}

static bd_status check_all(const struct bd_repair_in *in, int64_t *layers,
                           struct bd_err *err)
{
    struct bd_repair_out none = {0};
    struct bd_work w;
    bd_status st = bd_work_init(&w, &none, in, err);
    *layers = 0;
    for (size_t i = 0; i < in->m->nlayers && st == BD_OK; i++)
        if (takes_part(in, i)) {
            st = check_own(&w, (int)i, err);
            ++*layers;
        }
    bd_work_done(&w);
    if (st == BD_OK && *layers == 0)
        st = bd_fail(err, BD_EINVALID,
                     "the weights are in float: choose widths first");
    return st;
}

static bd_status all_layers(struct bd_repair_out *out,
                            const struct bd_repair_in *in,
                            struct bd_qlayer *q, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    int64_t layers = 0, done = 0, outputs = 0, better = 0;
    bd_status st = check_all(in, &layers, err);
    for (size_t i = 0; i < in->m->nlayers && st == BD_OK; i++) {
        struct rounding r = {.in = in, .ctl = ctl};
        if (!takes_part(in, i))
            continue;
        st = prepare(&r, q, (int)i, err);
        if (st == BD_OK)
            st = round_layer(&r, done++, layers);
        if (st == BD_OK)
            st = hand_over(out, &r, (int)i, err);
        q[i].w = out->value[in->m->layer[i].weight]; /* the next layer's
                                                        inputs see it */
        outputs += r.rows.outputs;
        better += atomic_load(&r.kept);
        free_rounding(&r);
    }
    snprintf(out->what, sizeof out->what,
             "%lld layer%s, %lld of %lld outputs closer", (long long)layers,
             layers == 1 ? "" : "s", (long long)better, (long long)outputs);
    return st;
}

static bd_status keep_grids(struct bd_repair_out *out,
                            const struct bd_repair_in *in, struct bd_err *err)
{
    if (bd_bitcfg_copy(&out->cfg, in->cfg) != BD_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < in->m->nlayers; i++) {
        struct bd_tensorcfg t = out->cfg.layer[i].w;
        if (!takes_part(in, i))
            continue;
        t.clip = BD_CLIP_MAX;
        t.clip_value = 0;
        bd_layercfg_set(&out->cfg.layer[i], true, &t);
        out->forget[i] |= BD_FORGET_W;
    }
    return BD_OK;
}

static bd_status apply(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    size_t n = in->m->nlayers;
    struct bd_qlayer *q = bd_alloc(n, sizeof *q);
    if (!q)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    memcpy(q, in->q, n * sizeof *q);
    bd_status st = all_layers(out, in, q, ctl, err);
    if (st == BD_OK)
        st = keep_grids(out, in, err);
    bd_free(q);
    return st;
}

const struct bd_repair bd_repair_adaround = {
    .name = "adaround",
    .title = "adaptive rounding",
    .does = "rounds for the layer's output",
    .paper = "Nagel et al. 2020, arXiv:2004.10568",
    .traits = BD_REPAIR_DATA | BD_REPAIR_LONG,
    .apply = apply,
};
