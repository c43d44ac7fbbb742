/* The repairs that exist, and what all of them have in common. */
#include "repair/repair_priv.h"

#include <math.h>
#include <string.h>

static const struct bd_repair *const rows[] = {
    &bd_repair_fold,   &bd_repair_equalize, &bd_repair_bias,
    &bd_repair_tune,   &bd_repair_adaround, &bd_repair_mse,
    &bd_repair_last,   &bd_repair_channels, NULL,
};

const struct bd_repair *const *bd_repairs(void)
{
    return rows;
}

const struct bd_repair *bd_repair_find(const char *name, struct bd_err *err)
{
    const char *names[sizeof rows / sizeof *rows] = {NULL};
    char shown[128];
    for (size_t i = 0; rows[i]; i++) {
        if (strcmp(rows[i]->name, name) == 0)
            return rows[i];
        names[i] = rows[i]->name;
    }
    const char *near = bd_nearest(name, names);
    bd_fail(err, BD_EINVALID, "no repair '%s'; %s '%s'%s",
            bd_text_show(shown, sizeof shown, name, 40),
            near ? "did you mean" : "there are", near ? near : "bn-fold",
            near ? "?" : ", 'equalize', 'bias-correction' and more");
    return NULL;
}

/* ------------------------------------------------------------- the outcome */

void bd_repair_out_done(struct bd_repair_out *o)
{
    for (size_t i = 0; o->value && i < o->nvalues; i++)
        bd_free(o->value[i]);
    for (size_t i = 0; o->bias && i < o->nlayers; i++)
        bd_free(o->bias[i]);
    bd_free(o->value);
    bd_free(o->bias);
    bd_free(o->forget);
    bd_bitcfg_done(&o->cfg);
    *o = (struct bd_repair_out){0};
}

static bd_status start(struct bd_repair_out *o, const struct bd_model *m,
                       struct bd_err *err)
{
    *o = (struct bd_repair_out){.nvalues = m->nvalues,
                                .nlayers = m->nlayers};
    o->value = bd_calloc(m->nvalues, sizeof *o->value);
    o->bias = bd_calloc(m->nlayers, sizeof *o->bias);
    o->forget = bd_calloc(m->nlayers, 1);
    return o->value && o->bias && o->forget
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory for the repair");
}

static bool asks_learned(const struct bd_tensorcfg *t)
{
    return (t->bits != 32 || t->channel) && t->clip == BD_CLIP_LEARNED;
}

/* A clip learned for weights or inputs of another scale would cut in the
 * wrong place: the choice moves to the rule that looks at the data. */
static bd_status leave_learned(struct bd_repair_out *o,
                               const struct bd_bitcfg *cfg,
                               struct bd_err *err)
{
    for (size_t i = 0; i < o->nlayers; i++) {
        const struct bd_bitcfg *now = o->cfg.n ? &o->cfg : cfg;
        bool w = (o->forget[i] & BD_FORGET_W) && asks_learned(&now->layer[i].w);
        bool a = (o->forget[i] & BD_FORGET_A) && asks_learned(&now->layer[i].a);
        if (!w && !a)
            continue;
        if (!o->cfg.n && bd_bitcfg_copy(&o->cfg, cfg) != BD_OK)
            return bd_fail(err, BD_ENOMEM, "out of memory");
        struct bd_layercfg *l = &o->cfg.layer[i];
        struct bd_tensorcfg tw = l->w, ta = l->a;
        tw.clip = ta.clip = BD_CLIP_MSE;
        tw.planes = ta.planes = NULL; /* found for the clip that was */
        if (w)
            bd_layercfg_set(l, true, &tw);
        if (a)
            bd_layercfg_set(l, false, &ta);
    }
    return BD_OK;
}

bd_status bd_repair_run(struct bd_repair_out *out, const struct bd_repair *r,
                        const struct bd_repair_in *in, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    struct bd_repair_out o;
    if (in->m->nlayers == 0 || in->cfg->n != in->m->nlayers)
        return bd_fail(err, BD_EINVALID, "%zu choices for %zu layers",
                       in->cfg->n, in->m->nlayers);
    if (!(r->traits & BD_REPAIR_CHOICES) && in->m->nnodes == 0)
        return bd_fail(err, BD_EINVALID,
                       "'%s' follows the graph; this file has weights only "
                       "(--arch names one)", r->name);
    if ((r->traits & BD_REPAIR_DATA) && (!in->q || in->images.images < 1))
        return bd_fail(err, BD_EINVALID,
                       "'%s' looks at images; --data names some", r->name);
    bd_status st = start(&o, in->m, err);
    if (st == BD_OK)
        st = r->apply(&o, in, ctl, err);
    if (st == BD_OK)
        st = leave_learned(&o, in->cfg, err);
    if (st == BD_OK)
        *out = o;
    else
        bd_repair_out_done(&o);
    return st;
}

bool bd_repair_changes_model(const struct bd_repair_out *o)
{
    for (size_t i = 0; i < o->nvalues; i++)
        if (o->value[i])
            return true;
    for (size_t i = 0; i < o->nlayers; i++)
        if (o->bias[i])
            return true;
    return false;
}

bd_status bd_repair_model(struct bd_model **out, const struct bd_model *m,
                          const struct bd_repair_out *o, struct bd_err *err)
{
    struct bd_patches p = {.forget = o->forget};
    struct bd_patch *patch = bd_calloc(o->nvalues + o->nlayers,
                                       sizeof *patch);
    if (!patch)
        return bd_fail(err, BD_ENOMEM, "out of memory for the repair");
    for (size_t i = 0; i < o->nvalues; i++)
        if (o->value[i])
            patch[p.n++] = (struct bd_patch){.value = (int)i,
                                             .data = o->value[i]};
    for (size_t i = 0; i < o->nlayers; i++)
        if (o->bias[i])
            patch[p.n++] = (struct bd_patch){.value = -1, .layer = (int)i,
                                             .data = o->bias[i]};
    p.patch = patch;
    bd_status st = bd_model_patched(out, m, &p, err);
    bd_free(patch);
    return st;
}
