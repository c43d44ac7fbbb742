/* bn-fold: what the quantizer sees is the weight times the normalisation's
 * scale, as every deployed network has it.
 *
 *   BN(Wx + b) = (sW)x + sb + (B - s mean),  s = gamma / sqrt(var + eps)
 *
 * The graph stays: the weight takes the scale, and the normalisation keeps
 * the shift with scale 1.  In float the outputs are the same up to rounding;
 * the ranges of the weight's channels are not, which is the point. */
#include "repair/repair_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool bd_work_foldable(const struct bd_work *w, int layer)
{
    const struct bd_layer *l = &w->m->layer[layer];
    int64_t n = bd_tensor_count(&w->m->value[l->weight].t);
    return l->node >= 0 && bd_work_own(w, l->weight, n) &&
           (l->bias < 0 ||
            bd_work_own(w, l->bias, bd_config_channels(w->m, layer)));
}

/* False when a channel has no finite scale (a variance below -eps, NaN), or
 * when all are 1 already. */
static bool scales(double *s, const struct bd_work *w,
                   const struct bd_node *bn, int64_t n)
{
    const float *gamma = bd_work_data(w, bn->in[1]);
    const float *var = bd_work_data(w, bn->in[4]);
    double eps = (double)bd_node_float(bn, "epsilon", 1e-5f);
    bool some = false;
    for (int64_t c = 0; c < n; c++) {
        s[c] = (double)gamma[c] / sqrt((double)var[c] + eps);
        if (!isfinite(s[c]))
            return false;
        some = some || fabs(s[c] - 1) > 1e-6;
    }
    return some;
}

static bool finite_all(const float *x, int64_t n)
{
    for (int64_t c = 0; c < n; c++)
        if (!isfinite(x[c]))
            return false;
    return true;
}

/* The normalisation becomes x + shift: gamma cancels sqrt(1 + eps). */
static void plain_norm(struct bd_work *w, const struct bd_node *bn,
                       const double *s, int64_t n)
{
    float *gamma = bd_work_edit(w, bn->in[1]);
    float *shift = bd_work_edit(w, bn->in[2]);
    float *mean = bd_work_edit(w, bn->in[3]);
    float *var = bd_work_edit(w, bn->in[4]);
    double eps = (double)bd_node_float(bn, "epsilon", 1e-5f);
    if (w->failed)
        return;
    for (int64_t c = 0; c < n; c++) {
        shift[c] = (float)((double)shift[c] - s[c] * (double)mean[c]);
        gamma[c] = (float)sqrt(1 + eps);
        mean[c] = 0;
        var[c] = 1;
    }
}

bool bd_fold_layer(struct bd_work *w, int layer)
{
    const struct bd_layer *l = &w->m->layer[layer];
    const struct bd_tensor *t = &w->m->value[l->weight].t;
    int64_t n = bd_config_channels(w->m, layer);
    int node = bd_work_foldable(w, layer) ? bd_work_norm(w, layer) : -1;
    if (node < 0)
        return false;
    const struct bd_node *bn = &w->m->node[node];
    double *s = bd_alloc((size_t)n, sizeof *s);
    w->failed = w->failed || !s;
    bool go = s && scales(s, w, bn, n) &&
              finite_all(bd_work_data(w, bn->in[3]), n);
    if (go) {
        struct bd_slices all = {1, n, 1};
        bd_scale_channels(bd_work_edit(w, l->weight),
                          bd_slices_of(t, l->axis), s);
        if (l->bias >= 0)
            bd_scale_channels(bd_work_edit(w, l->bias), all, s);
        plain_norm(w, bn, s, n);
        w->out->forget[layer] |= BD_FORGET_W;
    }
    bd_free(s);
    return go;
}

static bd_status apply(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct bd_work w;
    size_t folded = 0;
    bd_status st = bd_work_init(&w, out, in, err);
    if (st != BD_OK)
        return st;
    for (size_t i = 0; i < in->m->nlayers && st == BD_OK; i++) {
        if (bd_work_chosen(&w, (int)i))
            folded += bd_fold_layer(&w, (int)i);
        if (bd_ctl_stale(ctl))
            st = BD_ECANCELLED;
    }
    if (st == BD_OK && w.failed)
        st = bd_fail(err, BD_ENOMEM, "out of memory for folded weights");
    if (st == BD_OK && folded == 0)
        st = bd_fail(err, BD_EINVALID,
                     "no layer is followed by a BatchNormalization of its "
                     "own whose scale is still to be folded");
    snprintf(out->what, sizeof out->what, "%zu layer%s", folded,
             folded == 1 ? "" : "s");
    bd_work_done(&w);
    return st;
}

const struct bd_repair bd_repair_fold = {
    .name = "bn-fold",
    .title = "BatchNorm folding",
    .does = "weights take the BatchNorm's scale",
    .paper = "Jacob et al. 2018, arXiv:1712.05877, section 3.2",
    .apply = apply,
};
