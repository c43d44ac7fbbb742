/* bias-correction, the empirical kind (Nagel et al. 2019, section 4.2):
 * quantized weights move the mean of a layer's outputs, and a constant per
 * channel moves it back.
 *
 *   shift[c] += mean(float output c) - mean(quantized output c)
 *
 * over the calibration images, layer after layer in their order, each with
 * the corrections before it in force.  The shift goes where the network has
 * one already: the BatchNormalization behind, the bias, an Add behind a
 * MatMul; else the layer gets a bias.
 *
 * Sums are kept per image and added in image order, so the result does not
 * depend on the number of threads. */
#include "repair/repair_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum target_kind { NOWHERE, AT_VALUE, NEW_BIAS };
struct target { /* where a layer's shift goes */
    enum target_kind kind;
    int value;     /* AT_VALUE */
    int norm;      /* its scale stands between, or -1 */
    int64_t n;     /* channels */
    size_t at;     /* of the sums of one image */
    double factor; /* what the node multiplies its bias by */
};
struct correcting {
    struct bd_work w; /* of the network as it came */
    struct bd_model *m; /* with the new biases, zero */
    struct target *to;  /* [nlayers] */
    size_t channels;    /* of all layers */
    double *want, *sum; /* [channels], [images][channels] */
    float **shift;      /* [nvalues of m] what is being corrected */
    const float **override;
    int64_t images, passes, pass;
};

/* ------------------------------------------------------------- the targets */

/* The constant of an Add behind a MatMul. */
static int added_constant(const struct bd_work *w, int v, int64_t n)
{
    int node = bd_work_only_reader(w, v);
    if (node < 0 || strcmp(w->m->node[node].op, "Add") != 0)
        return -1;
    const struct bd_node *add = &w->m->node[node];
    int c = add->in[0] == v ? add->in[1] : add->in[0];
    const struct bd_tensor *t = c >= 0 ? &w->m->value[c].t : NULL;
    return t && t->rank > 0 && t->dim[t->rank - 1] == n &&
                   bd_work_own(w, c, n)
               ? c
               : -1;
}

static struct target target_of(const struct bd_work *w, int layer)
{
    const struct bd_layer *l = &w->m->layer[layer];
    struct target t = {.norm = -1, .value = -1, .factor = 1,
                       .n = bd_config_channels(w->m, layer)};
    if (l->node < 0)
        return t;
    const struct bd_node *n = &w->m->node[l->node];
    bool gemm = strcmp(n->op, "Gemm") == 0;
    bool conv = strcmp(n->op, "Conv") == 0;
    t.norm = bd_work_norm(w, layer);
    if (t.norm >= 0)
        t.value = w->m->node[t.norm].in[2];
    else if ((gemm || conv) && bd_work_own(w, l->bias, t.n))
        t.value = l->bias;
    else if (!gemm && !conv)
        t.value = added_constant(w, n->out[0], t.n);
    t.factor = gemm && t.norm < 0 ? (double)bd_node_float(n, "beta", 1) : 1;
    bool bare = n->nin < 3 || n->in[2] < 0;
    if (t.value >= 0 && t.factor != 0)
        t.kind = AT_VALUE;
    else if ((gemm || conv) && bare && t.norm < 0 && t.factor != 0)
        t.kind = NEW_BIAS;
    return t;
}

static bd_status find_targets(struct correcting *k, struct bd_err *err)
{
    size_t some = 0;
    for (size_t i = 0; i < k->w.m->nlayers; i++) {
        struct target *t = &k->to[i];
        *t = target_of(&k->w, (int)i);
        if (!bd_work_chosen(&k->w, (int)i))
            t->kind = NOWHERE;
        t->at = k->channels;
        k->channels += t->kind == NOWHERE ? 0 : (size_t)t->n;
        some += t->kind != NOWHERE;
    }
    k->passes = (int64_t)some + 1;
    return some > 0 ? BD_OK
                    : bd_fail(err, BD_EINVALID,
                              "none of the layers has a place for a "
                              "corrected bias");
}

/* The network with zero biases where there were none, so that they can be
 * overridden like the others. */
static bd_status with_biases(struct correcting *k, struct bd_err *err)
{
    const struct bd_model *m = k->w.m;
    struct bd_patches p = {0};
    struct bd_patch *patch = bd_calloc(m->nlayers, sizeof *patch);
    float *zero = bd_calloc(k->channels, sizeof *zero);
    bd_status st = patch && zero ? BD_OK
                                 : bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; st == BD_OK && i < m->nlayers; i++)
        if (k->to[i].kind == NEW_BIAS)
            patch[p.n++] = (struct bd_patch){-1, (int)i, zero};
    p.patch = patch;
    if (st == BD_OK)
        st = bd_model_patched(&k->m, m, &p, err);
    for (size_t i = 0; st == BD_OK && i < m->nlayers; i++)
        if (k->to[i].kind == NEW_BIAS)
            k->to[i].value = k->m->layer[i].bias;
    bd_free(patch);
    bd_free(zero);
    return st;
}

/* Every shift as it stands, to be corrected in place. */
static bd_status copy_shifts(struct correcting *k, struct bd_err *err)
{
    k->shift = bd_calloc(k->m->nvalues, sizeof *k->shift);
    k->override = bd_calloc(k->m->nvalues, sizeof *k->override);
    if (!k->shift || !k->override)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < k->m->nlayers; i++) {
        const struct target *t = &k->to[i];
        if (t->kind == NOWHERE)
            continue;
        float *x = bd_alloc((size_t)t->n, sizeof *x);
        if (!x)
            return bd_fail(err, BD_ENOMEM, "out of memory");
        memcpy(x, k->m->value[t->value].t.f, (size_t)t->n * sizeof *x);
        k->shift[t->value] = x;
        k->override[t->value] = x;
    }
    return BD_OK;
}

/* ---------------------------------------------------------------- the sums */

/* Convolutions give [1, channel, ...], products [..., channel]. */
static void see(void *arg, int64_t image, int layer,
                const struct bd_tensor *in, const struct bd_tensor *out)
{
    struct correcting *k = arg;
    const struct target *t = &k->to[layer];
    const struct bd_node *n = &k->m->node[k->m->layer[layer].node];
    int axis = strncmp(n->op, "Conv", 4) == 0 ? 1 : out->rank - 1;
    struct bd_slices s = bd_slices_of(out, axis);
    double *sum = k->sum + (size_t)image * k->channels + t->at;
    (void)in;
    if (t->kind == NOWHERE || s.channels != t->n)
        return;
    for (int64_t c = 0; c < s.channels; c++) {
        double total = 0;
        for (int64_t o = 0; o < s.outer; o++)
            for (int64_t i = 0; i < s.inner; i++)
                total += (double)out->f[(o * s.channels + c) * s.inner + i];
        int64_t each = s.outer * s.inner;
        sum[c] = each > 0 ? total / (double)each : 0;
    }
}

static double mean_of(const struct correcting *k, size_t at)
{
    double total = 0;
    for (int64_t i = 0; i < k->images; i++)
        total += k->sum[(size_t)i * k->channels + at];
    return total / (double)k->images;
}

static bd_status pass(struct correcting *k, struct bd_probe *p, int only,
                      struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_probe_pass pass = {
        .q = only >= 0 ? k->w.in->q : NULL,
        .override = only >= 0 ? k->override : NULL,
        .only = only, .see = see, .arg = k,
        .done = k->pass * k->images, .total = k->passes * k->images};
    k->pass++;
    return bd_probe_run(p, &pass, ctl, err);
}

/* What the normalisation makes of x in channel c. */
static double normalised(const struct bd_model *m, int node, int64_t c,
                         double x)
{
    const struct bd_node *bn = &m->node[node];
    double eps = (double)bd_node_float(bn, "epsilon", 1e-5f);
    double v[5];
    for (int i = 1; i < 5; i++)
        v[i] = (double)m->value[bn->in[i]].t.f[c];
    return (x - v[3]) * v[1] / sqrt(v[4] + eps) + v[2];
}

/* Through a normalisation the means behind it count: the float network's has
 * other statistics when bn-tune has been here. */
static void correct(struct correcting *k, int layer)
{
    const struct target *t = &k->to[layer];
    const struct bd_repair_in *in = k->w.in;
    for (int64_t c = 0; c < t->n; c++) {
        size_t at = t->at + (size_t)c;
        double want = k->want[at], is = mean_of(k, at);
        if (t->norm >= 0) {
            want = normalised(in->ref ? in->ref : in->m, t->norm, c, want);
            is = normalised(k->m, t->norm, c, is);
        }
        double d = (want - is) / t->factor;
        if (isfinite(d))
            k->shift[t->value][c] =
                (float)((double)k->shift[t->value][c] + d);
    }
}

/* What the float network gives, whose constants nobody overrides. */
static bd_status wanted(struct correcting *k, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    const struct bd_repair_in *in = k->w.in;
    struct bd_probe *p = NULL;
    bd_status st = bd_probe_new(&p, in->ref ? in->ref : in->m, in, err);
    if (st == BD_OK)
        st = pass(k, p, -1, ctl, err);
    for (size_t c = 0; st == BD_OK && c < k->channels; c++)
        k->want[c] = mean_of(k, c);
    bd_probe_free(p);
    return st;
}

static bd_status correct_all(struct correcting *k, struct bd_ctl *ctl,
                             struct bd_err *err)
{
    struct bd_probe *p = NULL;
    bd_status st = wanted(k, ctl, err);
    if (st == BD_OK)
        st = bd_probe_new(&p, k->m, k->w.in, err);
    for (size_t i = 0; st == BD_OK && i < k->m->nlayers; i++) {
        if (k->to[i].kind == NOWHERE)
            continue;
        st = pass(k, p, (int)i, ctl, err);
        if (st == BD_OK)
            correct(k, (int)i);
    }
    bd_probe_free(p);
    return st;
}

/* ----------------------------------------------------------------- the ends */

static void hand_over(struct correcting *k)
{
    struct bd_repair_out *out = k->w.out;
    for (size_t i = 0; i < k->m->nlayers; i++) {
        const struct target *t = &k->to[i];
        if (t->kind == NOWHERE)
            continue;
        if (t->kind == NEW_BIAS)
            out->bias[i] = k->shift[t->value];
        else
            out->value[t->value] = k->shift[t->value];
        k->shift[t->value] = NULL;
    }
    snprintf(out->what, sizeof out->what, "%lld layer%s",
             (long long)k->passes - 1, k->passes == 2 ? "" : "s");
}

static void free_all(struct correcting *k)
{
    for (size_t v = 0; k->shift && v < k->m->nvalues; v++)
        bd_free(k->shift[v]);
    bd_free(k->shift);
    bd_free(k->override);
    bd_free(k->to);
    bd_free(k->want);
    bd_free(k->sum);
    bd_model_free(k->m);
    bd_work_done(&k->w);
}

static bd_status room(struct correcting *k, struct bd_err *err)
{
    size_t n;
    k->images = k->w.in->images.images;
    if (bd_mul(&n, k->channels, (size_t)k->images)) {
        k->want = bd_calloc(k->channels, sizeof *k->want);
        k->sum = bd_calloc(n, sizeof *k->sum);
    }
    return k->want && k->sum ? BD_OK
                             : bd_fail(err, BD_ENOMEM, "out of memory");
}

static bool any_quantized(const struct bd_repair_in *in)
{
    for (size_t i = 0; i < in->m->nlayers; i++)
        if (in->q[i].w || in->q[i].a)
            return true;
    return false;
}

static bd_status apply(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct correcting k = {0};
    if (!any_quantized(in))
        return bd_fail(err, BD_EINVALID,
                       "everything is in float: no error to correct; choose "
                       "widths first");
    bd_status st = bd_work_init(&k.w, out, in, err);
    if (st != BD_OK)
        return st;
    k.to = bd_calloc(in->m->nlayers, sizeof *k.to);
    st = k.to ? find_targets(&k, err)
              : bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        st = room(&k, err);
    if (st == BD_OK)
        st = with_biases(&k, err);
    if (st == BD_OK)
        st = copy_shifts(&k, err);
    if (st == BD_OK)
        st = correct_all(&k, ctl, err);
    if (st == BD_OK)
        hand_over(&k);
    free_all(&k);
    return st;
}

const struct bd_repair bd_repair_bias = {
    .name = "bias-correction",
    .title = "bias correction",
    .does = "puts channel means back",
    .paper = "Nagel et al. 2019, arXiv:1906.04721, section 4.2",
    .traits = BD_REPAIR_DATA,
    .apply = apply,
};
