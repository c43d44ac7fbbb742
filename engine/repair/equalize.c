/* equalize: cross-layer equalization (Nagel et al. 2019).  Between two layers
 * with a positively homogeneous function in the middle, f(sx) = s f(x), the
 * output channel c of the first may be divided by s and the input channel c
 * of the second multiplied by it: in float nothing changes.  With
 *
 *   s = sqrt(r1 / r2),  r1, r2 the channel's largest magnitudes on both sides
 *
 * both ranges become sqrt(r1 r2), and one grid per tensor serves all
 * channels.  Chains (expand, depthwise, project) are swept until the scales
 * settle.
 *
 * A pair is safe only when the second side is all there is: every reader of
 * the value in the middle is a layer whose weights can take the factor. */
#include "repair/repair_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_READERS = 16, SWEEPS = 40 };

struct reader { /* a layer that takes the first one's channels in */
    int layer;
    int64_t span; /* inputs per channel: 1, or the pixels a Flatten unrolled */
};
struct pair {
    int first, norm; /* norm: BatchNormalization between, folded; or -1 */
    size_t n;
    struct reader to[MOST_READERS];
    int64_t channels;
};
struct chains {
    struct bd_work w;
    struct pair *pair;
    size_t n, cap;
    double *r, *s; /* [most channels] scratch */
};

/* ----------------------------------------------------- what lies between */

static bool is_op(const struct bd_node *n, const char *const *ops)
{
    for (; *ops; ops++)
        if (strcmp(n->op, *ops) == 0)
            return true;
    return false;
}

/* Functions that keep channels apart and let a positive factor through. */
static bool lets_through(const struct bd_work *w, const struct bd_node *n)
{
    static const char *const ops[] = {
        "Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool",
        "GlobalMaxPool", "Identity", NULL};
    static const char *const bounded[] = {"Clip", NULL};
    return n->nout >= 1 && (is_op(n, ops) ||
                            (w->in->clip_safe && is_op(n, bounded)));
}

/* ----------------------------------------------------------- second sides */

struct place { /* a value on the way; flat: a matrix, else pictures */
    int v;
    bool flat;
};

/* Does the layer take the first one's channels there, and can its weights be
 * edited? */
static bool takes(struct reader *out, const struct bd_work *w, int node,
                  const struct pair *p, struct place at)
{
    int v = at.v;
    bool flat = at.flat;
    int layer = w->layer_of[node];
    if (layer < 0 || w->m->layer[layer].input != v)
        return false;
    const struct bd_layer *l = &w->m->layer[layer];
    const struct bd_tensor *t = &w->m->value[l->weight].t;
    const struct bd_node *n = &w->m->node[node];
    bool conv = strcmp(n->op, "Conv") == 0;
    if (!bd_work_own(w, l->weight, bd_tensor_count(t)) ||
        layer == p->first || conv == flat || n->in[0] != v ||
        strcmp(n->op, "ConvTranspose") == 0 || bd_node_int(n, "transA", 0))
        return false;
    int64_t in = conv ? t->dim[1] * l->group : t->dim[1 - (l->axis > 0)];
    if ((!conv && t->rank != 2) || p->channels < 1 || in % p->channels ||
        (conv && in != p->channels))
        return false;
    *out = (struct reader){layer, in / p->channels};
    return true;
}

/* Every reader of v, or none. */
static bool all_readers(struct pair *p, const struct bd_work *w,
                        struct place at)
{
    int v = at.v;
    size_t from = w->first[v], to = w->first[v + 1];
    if (w->exposed[v] || to == from || to - from > MOST_READERS)
        return false;
    for (size_t i = from; i < to; i++) {
        if (i > from && w->reader[i] == w->reader[i - 1])
            return false;
        if (!takes(&p->to[p->n++], w, w->reader[i], p, at))
            return false;
    }
    return true;
}

/* Follows the value from the first layer until layers read it. */
static bool find_pair(struct pair *p, const struct bd_work *w, int layer)
{
    const struct bd_node *n = &w->m->node[w->m->layer[layer].node];
    bool flat = strcmp(n->op, "Gemm") == 0;
    int v = n->out[0];
    *p = (struct pair){.first = layer, .norm = bd_work_norm(w, layer),
                       .channels = bd_config_channels(w->m, layer)};
    if (!flat && strcmp(n->op, "Conv") != 0)
        return false;
    if (p->norm >= 0)
        v = w->m->node[p->norm].out[0];
    for (int node; (node = bd_work_only_reader(w, v)) >= 0;) {
        const struct bd_node *next = &w->m->node[node];
        bool flattens = !flat && strcmp(next->op, "Flatten") == 0 &&
                        bd_node_int(next, "axis", 1) == 1;
        if ((!flattens && !lets_through(w, next)) || next->in[0] != v ||
            next->out[0] < 0)
            break;
        flat = flat || flattens;
        v = next->out[0];
    }
    return all_readers(p, w, (struct place){v, flat});
}

/* The scale must sit in the weight for its range to mean anything. */
static bool plain_or_folded(struct bd_work *w, const struct pair *p)
{
    const struct bd_node *bn = p->norm >= 0 ? &w->m->node[p->norm] : NULL;
    if (!bn)
        return true;
    bd_fold_layer(w, p->first); /* false also when folded before */
    const float *mean = bd_work_data(w, bn->in[3]);
    const float *var = bd_work_data(w, bn->in[4]);
    for (int64_t c = 0; c < p->channels; c++)
        if (mean[c] != 0 || var[c] != 1)
            return false;
    return true;
}

static bool chosen(const struct bd_work *w, const struct pair *p)
{
    bool any = bd_work_chosen(w, p->first);
    for (size_t i = 0; i < p->n; i++)
        any = any || bd_work_chosen(w, p->to[i].layer);
    return any;
}

static bd_status find_pairs(struct chains *k, struct bd_err *err)
{
    struct bd_work *w = &k->w;
    int64_t most = 1;
    for (size_t i = 0; i < w->m->nlayers; i++) {
        struct pair p;
        if (w->m->layer[i].node < 0 || !bd_work_foldable(w, (int)i) ||
            !find_pair(&p, w, (int)i) || !chosen(w, &p) ||
            !plain_or_folded(w, &p))
            continue;
        if (!bd_grow((void **)&k->pair, &k->cap, k->n + 1, sizeof p))
            return bd_fail(err, BD_ENOMEM, "out of memory");
        k->pair[k->n++] = p;
        most = p.channels > most ? p.channels : most;
    }
    k->r = bd_alloc((size_t)most, sizeof *k->r);
    k->s = bd_alloc((size_t)most, sizeof *k->s);
    return k->r && k->s && !w->failed
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory");
}

/* ------------------------------------------------------- ranges and scales */

/* Visits the weights of a second layer by input channel: multiplies by f[c]
 * when x is writable, else raises r[c] to the largest magnitude. */
static void each_input(const struct bd_work *w, struct reader to, int64_t n,
                       float *edit, double *r)
{
    const struct bd_layer *l = &w->m->layer[to.layer];
    const struct bd_tensor *t = &w->m->value[l->weight].t;
    const float *x = bd_work_data(w, l->weight);
    bool conv = strcmp(w->m->node[l->node].op, "Conv") == 0;
    /* Filters hold the inputs of their own group, axis 1. */
    struct bd_slices s = bd_slices_of(t, conv ? 1 : l->axis > 0 ? 0 : 1);
    int64_t per = conv ? t->dim[0] / l->group : s.outer;
    for (int64_t o = 0; o < s.outer; o++)
        for (int64_t i = 0; i < s.channels; i++) {
            int64_t c = conv ? o / per * s.channels + i : i / to.span;
            int64_t at = (o * s.channels + i) * s.inner;
            for (int64_t k = 0; c < n && k < s.inner; k++)
                if (edit)
                    edit[at + k] = (float)((double)edit[at + k] * r[c]);
                else if (fabs((double)x[at + k]) > r[c])
                    r[c] = fabs((double)x[at + k]);
        }
}

static void output_ranges(double *r, const struct bd_work *w, int layer)
{
    const struct bd_layer *l = &w->m->layer[layer];
    const struct bd_tensor *t = &w->m->value[l->weight].t;
    const float *x = bd_work_data(w, l->weight);
    struct bd_slices s = bd_slices_of(t, l->axis);
    for (int64_t c = 0; c < s.channels; c++)
        r[c] = 0;
    for (int64_t o = 0; o < s.outer; o++)
        for (int64_t c = 0; c < s.channels; c++)
            for (int64_t k = 0; k < s.inner; k++) {
                int64_t at = (o * s.channels + c) * s.inner + k;
                r[c] = fmax(r[c], fabs((double)x[at]));
            }
}

/* s[c] = sqrt(r1 / r2); a channel that is zero, or not a number, on one side
 * has no scale of its own and stays. */
static double choose_scales(struct chains *k, const struct pair *p)
{
    double moved = 0;
    output_ranges(k->s, &k->w, p->first);
    for (int64_t c = 0; c < p->channels; c++)
        k->r[c] = 0;
    for (size_t i = 0; i < p->n; i++)
        each_input(&k->w, p->to[i], p->channels, NULL, k->r);
    for (int64_t c = 0; c < p->channels; c++) {
        double s = sqrt(k->s[c] / k->r[c]);
        bool good = k->s[c] > 0 && k->r[c] > 0 && isfinite(s) && s > 0;
        k->s[c] = good ? fmin(fmax(s, 1e-8), 1e8) : 1;
        moved = fmax(moved, fabs(log(k->s[c])));
    }
    return moved;
}

static void rescale(struct chains *k, const struct pair *p)
{
    struct bd_work *w = &k->w;
    const struct bd_layer *l = &w->m->layer[p->first];
    const struct bd_tensor *t = &w->m->value[l->weight].t;
    struct bd_slices all = {1, p->channels, 1};
    for (size_t i = 0; i < p->n; i++) {
        int v = w->m->layer[p->to[i].layer].weight;
        float *x = bd_work_edit(w, v);
        if (x)
            each_input(w, p->to[i], p->channels, x, k->s);
        w->out->forget[p->to[i].layer] |= BD_FORGET_W | BD_FORGET_A;
    }
    for (int64_t c = 0; c < p->channels; c++)
        k->r[c] = 1 / k->s[c];
    bd_scale_channels(bd_work_edit(w, l->weight), bd_slices_of(t, l->axis),
                      k->r);
    if (l->bias >= 0)
        bd_scale_channels(bd_work_edit(w, l->bias), all, k->r);
    if (p->norm >= 0)
        bd_scale_channels(bd_work_edit(w, w->m->node[p->norm].in[2]), all,
                          k->r);
    w->out->forget[p->first] |= BD_FORGET_W;
}

static bd_status sweep(struct chains *k, struct bd_ctl *ctl)
{
    double moved = 1;
    for (int it = 0; it < SWEEPS && moved > 1e-3; it++) {
        moved = 0;
        for (size_t i = 0; i < k->n; i++) {
            if (bd_ctl_stale(ctl))
                return BD_ECANCELLED;
            moved = fmax(moved, choose_scales(k, &k->pair[i]));
            rescale(k, &k->pair[i]);
        }
        bd_ctl_progress(ctl, it + 1, SWEEPS);
    }
    return BD_OK;
}

static bd_status apply(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct chains k = {0};
    bd_status st = bd_work_init(&k.w, out, in, err);
    if (st != BD_OK)
        return st;
    st = find_pairs(&k, err);
    if (st == BD_OK && k.n == 0)
        st = bd_fail(err, BD_EINVALID,
                     "no pair of layers with only a ReLU (or pooling) "
                     "between them whose value nothing else reads");
    if (st == BD_OK)
        st = sweep(&k, ctl);
    if (st == BD_OK && k.w.failed)
        st = bd_fail(err, BD_ENOMEM, "out of memory for rescaled weights");
    snprintf(out->what, sizeof out->what, "%zu pair%s", k.n,
             k.n == 1 ? "" : "s");
    bd_work_done(&k.w);
    bd_free(k.pair);
    bd_free(k.r);
    bd_free(k.s);
    return st;
}

const struct bd_repair bd_repair_equalize = {
    .name = "equalize",
    .title = "cross-layer equalization",
    .does = "evens out channel ranges of neighbours",
    .paper = "Nagel et al. 2019, arXiv:1906.04721, section 4.1",
    .apply = apply,
};
