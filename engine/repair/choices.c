/* The repairs that turn choices only: the network stays as it is, and the
 * step undoes like any other edit. */
#include "repair/repair_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct choosing {
    struct bd_repair_out *out;
    const struct bd_repair_in *in;
    size_t turned;
};

static bool quantized(const struct bd_tensorcfg *t)
{
    return t->bits != 32 || t->channel;
}

/* Turns one side of a layer when the judge agrees. */
static void turn(struct choosing *k, int layer, bool weights,
                 const struct bd_tensorcfg *t)
{
    struct bd_layercfg *l = &k->out->cfg.layer[layer];
    if (bd_config_allows(k->in->m, layer, weights, t, NULL) == BD_OK &&
        bd_layercfg_set(l, weights, t))
        k->turned++;
}

static void turn_clip(struct choosing *k, int layer, enum bd_clip_rule rule)
{
    for (int weights = 0; weights < 2; weights++) {
        const struct bd_layercfg *l = &k->out->cfg.layer[layer];
        struct bd_tensorcfg t = weights ? l->w : l->a;
        if (!quantized(&t) ||
            bd_quantizer_at(t.quant)->traits & BD_Q_NO_CLIP)
            continue;
        t.clip = (uint8_t)rule;
        t.clip_value = 0;
        t.planes = NULL; /* found for the clip that was */
        turn(k, layer, weights != 0, &t);
    }
}

static bd_status start(struct choosing *k, struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_err *err)
{
    *k = (struct choosing){.out = out, .in = in};
    return bd_bitcfg_copy(&out->cfg, in->cfg) == BD_OK
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory");
}

static bd_status finish(const struct choosing *k, const char *refusal,
                        struct bd_err *err)
{
    snprintf(k->out->what, sizeof k->out->what, "%zu choice%s", k->turned,
             k->turned == 1 ? "" : "s");
    return k->turned > 0 ? BD_OK : bd_fail(err, BD_EINVALID, "%s", refusal);
}

/* --------------------------------------------------------------- mse-clip */

static bd_status mse_apply(struct bd_repair_out *out,
                           const struct bd_repair_in *in, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct choosing k;
    bd_status st = start(&k, out, in, err);
    (void)ctl;
    for (size_t i = 0; i < in->m->nlayers && st == BD_OK; i++)
        if (!in->layer || in->layer[i])
            turn_clip(&k, (int)i, BD_CLIP_MSE);
    return st != BD_OK ? st
                       : finish(&k, "nothing quantized there that does not "
                                    "clip by least error already", err);
}

const struct bd_repair bd_repair_mse = {
    .name = "mse-clip",
    .title = "clip of least squared error",
    .does = "clips where the squared error is least",
    .paper = "Sung et al. 2015, arXiv:1511.06488; "
             "Banner et al. 2019, arXiv:1810.05723",
    .traits = BD_REPAIR_CHOICES,
    .apply = mse_apply,
};

/* ----------------------------------------------------- last-layer-no-clip */

/* Its outputs are compared with each other, so the largest weights and inputs
 * are the ones that decide. */
static bd_status last_apply(struct bd_repair_out *out,
                            const struct bd_repair_in *in, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    struct choosing k;
    bd_status st = start(&k, out, in, err);
    (void)ctl;
    if (st == BD_OK && in->m->nlayers > 0)
        turn_clip(&k, (int)in->m->nlayers - 1, BD_CLIP_MAX);
    return st != BD_OK ? st
                       : finish(&k, "the last layer is in float or clips "
                                    "nothing already", err);
}

const struct bd_repair bd_repair_last = {
    .name = "last-layer-no-clip",
    .title = "last layer without clip",
    .does = "keeps the largest values",
    .paper = "Banner et al. 2019, arXiv:1810.05723, section 5",
    .traits = BD_REPAIR_CHOICES,
    .apply = last_apply,
};

/* ---------------------------------------------------------- channel-grids */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Largest over middle of n magnitudes, of those above zero. */
static double ratio_of(double *r, int64_t n)
{
    int64_t from = 0;
    qsort(r, (size_t)n, sizeof *r, by_size);
    while (from < n && !(r[from] > 0))
        from++;
    return from < n ? r[n - 1] / r[from + (n - from) / 2] : 1;
}

double bd_repair_range_ratio(const struct bd_model *m, int layer)
{
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_tensor *t = &m->value[l->weight].t;
    struct bd_slices s = bd_slices_of(t, l->axis);
    double *r = bd_calloc((size_t)s.channels, sizeof *r);
    for (int64_t o = 0; r && o < s.outer; o++)
        for (int64_t c = 0; c < s.channels; c++)
            for (int64_t k = 0; k < s.inner; k++) {
                double x = fabs((double)t->f[(o * s.channels + c) * s.inner +
                                             k]);
                if (isfinite(x) && x > r[c])
                    r[c] = x;
            }
    double ratio = r ? ratio_of(r, s.channels) : 1;
    bd_free(r);
    return ratio;
}

static bd_status channels_apply(struct bd_repair_out *out,
                                const struct bd_repair_in *in,
                                struct bd_ctl *ctl, struct bd_err *err)
{
    struct choosing k;
    bd_status st = start(&k, out, in, err);
    for (size_t i = 0; i < in->m->nlayers && st == BD_OK; i++) {
        struct bd_tensorcfg t = out->cfg.layer[i].w;
        if (bd_ctl_stale(ctl))
            st = BD_ECANCELLED;
        if ((in->layer && !in->layer[i]) || !quantized(&t) ||
            t.grain != BD_GRAIN_TENSOR ||
            bd_repair_range_ratio(in->m, (int)i) < BD_REPAIR_RATIO)
            continue;
        t.grain = BD_GRAIN_CHANNEL;
        t.planes = NULL;
        if (t.clip == BD_CLIP_MANUAL || t.clip == BD_CLIP_LEARNED)
            t.clip = BD_CLIP_MSE; /* those name one clip for the tensor */
        turn(&k, (int)i, true, &t);
    }
    return st != BD_OK
               ? st
               : finish(&k, "no quantized layer with one grid per tensor has "
                            "a channel twice as wide as the middle one", err);
}

const struct bd_repair bd_repair_channels = {
    .name = "channel-grids",
    .title = "grids per channel where needed",
    .does = "where the widest is 2x the middle one",
    .paper = "Krishnamoorthi 2018, arXiv:1806.08342, section 3",
    .traits = BD_REPAIR_CHOICES,
    .apply = channels_apply,
};
