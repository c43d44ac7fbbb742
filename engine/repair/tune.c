/* bn-tune: BatchNorm statistics estimated again.  A trained network stores
 * the mean and variance its float activations had; rounding moves both, and
 * from then on every normalisation divides by the wrong number.  Here each
 * one gets those of its input as the quantized network produces it,
 *
 *   mean[c] = E x,   var[c] = E (x - mean[c])^2   (the population's)
 *
 * over the calibration images, one normalisation after the other in their
 * order, each with those before it in force: what reaches the last one has
 * been through all the others as they will be.
 *
 * A normalisation folded into its layer keeps a scale of 1 and means nothing
 * any more; it stays as it is.  Corrected biases would be corrected twice:
 * bias-correction comes after this one, not before.
 *
 * An image leaves its own mean and sum of squares per channel; they are put
 * together in image order, so the result does not depend on the number of
 * threads:  var = mean of the images' variances + variance of their means. */
#include "repair/repair_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct tuning {
    struct bd_work w;
    int *node; /* [n] the normalisations, in order */
    size_t n, folded;
    int64_t most, images; /* channels of the widest */
    double *seen;         /* [images][2][most] mean and variance */
    const float **override;
};

/* ------------------------------------------------------ the normalisations */

/* What bn-fold leaves behind; a fresh network's has gamma 1. */
static bool folded(const struct bd_work *w, const struct bd_node *bn)
{
    const float *gamma = w->m->value[bn->in[1]].t.f;
    const float *mean = w->m->value[bn->in[3]].t.f;
    const float *var = w->m->value[bn->in[4]].t.f;
    int64_t n = bd_tensor_count(&w->m->value[bn->in[3]].t);
    double eps = (double)bd_node_float(bn, "epsilon", 1e-5f);
    if (!gamma || bd_tensor_count(&w->m->value[bn->in[1]].t) != n)
        return false;
    for (int64_t c = 0; c < n; c++)
        if (gamma[c] != (float)sqrt(1 + eps) || mean[c] != 0 || var[c] != 1)
            return false;
    return true;
}

/* With chosen layers, only what stands right behind one of them. */
static bool chosen(const struct bd_work *w, const struct bd_node *bn)
{
    if (!w->in->layer)
        return true;
    for (size_t i = 0; i < w->m->nlayers; i++) {
        int node = w->m->layer[i].node;
        if (node >= 0 && w->m->node[node].out[0] == bn->in[0])
            return w->in->layer[i];
    }
    return false;
}

static bool stored(const struct bd_work *w, const struct bd_node *bn)
{
    if (strcmp(bn->op, "BatchNormalization") != 0 || bn->nin < 5 ||
        bn->in[0] < 0 || bn->in[1] < 0 || bn->in[3] < 0 ||
        bd_node_int(bn, "training_mode", 0))
        return false;
    int64_t n = bd_tensor_count(&w->m->value[bn->in[3]].t);
    return n > 0 && bd_work_own(w, bn->in[3], n) &&
           bd_work_own(w, bn->in[4], n);
}

static bd_status find_all(struct tuning *k, struct bd_err *err)
{
    const struct bd_model *m = k->w.m;
    for (size_t i = 0; i < m->nnodes; i++) {
        const struct bd_node *bn = &m->node[i];
        if (!stored(&k->w, bn) || !chosen(&k->w, bn))
            continue;
        if (folded(&k->w, bn)) {
            k->folded++;
            continue;
        }
        int64_t n = bd_tensor_count(&m->value[bn->in[3]].t);
        k->most = n > k->most ? n : k->most;
        k->node[k->n++] = (int)i;
    }
    if (k->n > 0)
        return BD_OK;
    return bd_fail(err, BD_EINVALID, "%s; bias-correction puts means back",
                   k->folded > 0
                       ? "every BatchNormalization is folded into its weights"
                       : "no BatchNormalization with statistics to tune");
}

/* ---------------------------------------------------------- the statistics */

/* Sum over channel c of x - from, or of its square. */
static double moment(const struct bd_tensor *t, struct bd_slices s, int64_t c,
                     double from, bool squared)
{
    double sum = 0;
    for (int64_t o = 0; o < s.outer; o++)
        for (int64_t i = 0; i < s.inner; i++) {
            double d = (double)t->f[(o * s.channels + c) * s.inner + i] - from;
            sum += squared ? d * d : d;
        }
    return sum;
}

static void see(void *arg, int64_t image, int layer,
                const struct bd_tensor *in, const struct bd_tensor *out)
{
    struct tuning *k = arg;
    struct bd_slices s = bd_slices_of(in, 1);
    double *mean = k->seen + image * 2 * k->most, *var = mean + k->most;
    double each = (double)(s.outer * s.inner); /* 0: NaN, and left alone */
    (void)layer;
    (void)out;
    for (int64_t c = 0; c < s.channels && c < k->most; c++) {
        mean[c] = moment(in, s, c, 0, false) / each;
        var[c] = moment(in, s, c, mean[c], true) / each;
    }
}

/* A channel whose input is not finite keeps what it had. */
static void replace(struct tuning *k, float *mean, float *var, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        double m = 0, v = 0;
        for (int64_t i = 0; i < k->images; i++)
            m += k->seen[i * 2 * k->most + c] / (double)k->images;
        for (int64_t i = 0; i < k->images; i++) {
            const double *at = k->seen + i * 2 * k->most + c;
            v += (at[k->most] + (at[0] - m) * (at[0] - m)) /
                 (double)k->images;
        }
        if (isfinite((float)m) && isfinite((float)v)) {
            mean[c] = (float)m;
            var[c] = (float)v;
        }
    }
}

static bd_status tune_all(struct tuning *k, struct bd_ctl *ctl,
                          struct bd_err *err)
{
    const struct bd_repair_in *in = k->w.in;
    struct bd_probe *p = NULL;
    bd_status st = bd_probe_new(&p, in->m, in, err);
    for (size_t i = 0; st == BD_OK && i < k->n; i++) {
        const struct bd_node *bn = &in->m->node[k->node[i]];
        struct bd_probe_pass pass = {
            .q = in->q, .override = k->override, .before = bn, .see = see,
            .arg = k, .done = (int64_t)i * k->images,
            .total = (int64_t)k->n * k->images};
        st = bd_probe_run(p, &pass, ctl, err);
        float *mean = bd_work_edit(&k->w, bn->in[3]);
        float *var = bd_work_edit(&k->w, bn->in[4]);
        if (st == BD_OK && k->w.failed)
            st = bd_fail(err, BD_ENOMEM, "out of memory for statistics");
        if (st != BD_OK)
            break;
        replace(k, mean, var, bd_tensor_count(&in->m->value[bn->in[3]].t));
        k->override[bn->in[3]] = mean;
        k->override[bn->in[4]] = var;
    }
    bd_probe_free(p);
    return st;
}

/* ---------------------------------------------------------------- together */

static bd_status room(struct tuning *k, struct bd_err *err)
{
    size_t n;
    k->images = k->w.in->images.images;
    k->override = bd_calloc(k->w.m->nvalues, sizeof *k->override);
    if (bd_mul(&n, (size_t)k->most * 2, (size_t)k->images))
        k->seen = bd_calloc(n, sizeof *k->seen);
    return k->override && k->seen ? BD_OK
                                  : bd_fail(err, BD_ENOMEM, "out of memory");
}

static bd_status apply(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct tuning k = {0};
    bd_status st = bd_work_init(&k.w, out, in, err);
    if (st != BD_OK)
        return st;
    k.node = bd_alloc(in->m->nnodes, sizeof *k.node);
    st = k.node ? find_all(&k, err)
                : bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        st = room(&k, err);
    if (st == BD_OK)
        st = tune_all(&k, ctl, err);
    snprintf(out->what, sizeof out->what, "%zu BatchNorm%s", k.n,
             k.n == 1 ? "" : "s");
    bd_free(k.node);
    bd_free(k.override);
    bd_free(k.seen);
    bd_work_done(&k.w);
    return st;
}

const struct bd_repair bd_repair_tune = {
    .name = "bn-tune",
    .title = "BatchNorm statistics",
    .does = "measures BatchNorms anew",
    .paper = "Li et al. 2016 (AdaBN), arXiv:1603.04779; for quantized "
             "networks Sun et al. 2019 (HFP8), NeurIPS",
    .traits = BD_REPAIR_DATA,
    .apply = apply,
};
