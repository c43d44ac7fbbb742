/* The command line's edits of a configuration, and the one judge of what a
 * layer may be given, which the interface and the reader of documents ask
 * too. */
#include "config/config.h"

#include <math.h>
#include <string.h>

int64_t bd_config_channels(const struct bd_model *m, int layer)
{
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_tensor *t = &m->value[l->weight].t;
    return bd_slices_of(t, l->axis).channels;
}

/* Of a convolution the weight's own input channels are those of one group. */
int64_t bd_config_inputs(const struct bd_model *m, int layer)
{
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_tensor *t = &m->value[l->weight].t;
    const char *op = l->node >= 0 ? m->node[l->node].op : "";
    if (t->rank < 2)
        return 1;
    if (strcmp(op, "Conv") == 0 || (!*op && t->rank > 2))
        return t->dim[1] * l->group;
    if (strcmp(op, "ConvTranspose") == 0)
        return t->dim[0];
    return t->dim[l->axis == t->rank - 1 ? t->rank - 2 : t->rank - 1];
}

bool bd_config_learned(const struct bd_model *m)
{
    for (size_t i = 0; i < m->nlayers; i++)
        if (!isnan(m->layer[i].learned_w) || !isnan(m->layer[i].learned_a))
            return true;
    return false;
}

/* ------------------------------------------------------------- the judge */

static bd_status allow_channels(int64_t have, bool weights,
                                const struct bd_tensorcfg *t,
                                struct bd_err *err)
{
    if (t->channel->n != have)
        return bd_fail(err, BD_EINVALID,
                       "%d widths for %lld channels", t->channel->n,
                       (long long)have);
    for (int c = 0; c < t->channel->n; c++) {
        int bits = t->channel->bits[c];
        if (bits == 0 || bits == 32)
            continue;
        bd_status st = bd_quantizer_check(t->quant, bits, weights, err);
        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

/* What a bottleneck is told to use instead of fitting. */
static bd_status allow_planes(const struct bd_tensorcfg *t,
                              struct bd_err *err)
{
    const struct bd_planecode *c = &t->planes->code;
    const struct bd_quantizer *q = bd_quantizer_at(t->quant);
    if (!q || strcmp(q->name, "bottleneck") != 0)
        return bd_fail(err, BD_EINVALID,
                       "'%s' has no planes; method 'bottleneck' has",
                       q ? q->name : "?");
    if (t->grain != BD_GRAIN_TENSOR || t->channel)
        return bd_fail(err, BD_EINVALID,
                       "planes are of a whole tensor: grain 'tensor' works, "
                       "or leave them out to have them fitted");
    bd_status st = bd_planecode_check(c, err);
    if (st == BD_OK && bd_planecode_kept(c) > t->bits)
        st = bd_fail(err, BD_EINVALID, "mask %u keeps %d planes, more than "
                                       "the %d bits",
                     c->mask, bd_planecode_kept(c), t->bits);
    return st;
}

static bd_status allow_grain(bool weights, const struct bd_tensorcfg *t,
                             struct bd_err *err)
{
    if (!weights && t->grain == BD_GRAIN_GROUP)
        return bd_fail(err, BD_EINVALID,
                       "activations come without groups: grain 'channel' or "
                       "'tensor' works");
    if (t->channel && t->grain != BD_GRAIN_CHANNEL)
        return bd_fail(err, BD_EINVALID,
                       "widths per channel need grain 'channel'");
    if (t->grain == BD_GRAIN_GROUP && t->group <= 0)
        return bd_fail(err, BD_EINVALID,
                       "a group needs a size: 'group128' works");
    return t->bits != 32 ? bd_tensorcfg_check_grain(t, err) : BD_OK;
}

/* The number a clip rule carries; 0 = the rule's own default. */
static bool number_fits(const struct bd_tensorcfg *t)
{
    float most = t->clip == BD_CLIP_PERCENTILE ? 100.0f : 1.0f;
    if (t->clip != BD_CLIP_PERCENTILE && t->clip != BD_CLIP_EMA)
        return t->clip < BD_CLIP_RULES;
    return t->clip_value >= 0 && t->clip_value <= most;
}

bd_status bd_config_allows(const struct bd_model *m, int layer, bool weights,
                           const struct bd_tensorcfg *t, struct bd_err *err)
{
    /* The wrong method first: its groups are not what is wrong. */
    bd_status st = t->bits != 32
                       ? bd_quantizer_check(t->quant, t->bits, weights, err)
                       : BD_OK;
    /* What a document could not carry is refused in float as well. */
    if (st == BD_OK)
        st = allow_grain(weights, t, err);
    if (st == BD_OK && t->clip == BD_CLIP_MANUAL &&
        !(isfinite(t->clip_value) && t->clip_value > 0))
        st = bd_fail(err, BD_EINVALID, "a manual clip must be above 0");
    if (st == BD_OK && !number_fits(t))
        st = bd_fail(err, BD_EINVALID,
                     "clip '%s%g': a percentile is above 0 and up to 100, the "
                     "weight of a newest batch above 0 and up to 1",
                     bd_clip_names[t->clip], (double)t->clip_value);
    if (st == BD_OK && t->clip == BD_CLIP_EMA && weights)
        st = bd_fail(err, BD_EINVALID,
                     "weights have no batches to average over: clip 'ema' "
                     "is of activations; 'max' or 'mse' works");
    if (st == BD_OK && t->channel)
        st = allow_channels(weights ? bd_config_channels(m, layer)
                                    : bd_config_inputs(m, layer),
                            weights, t, err);
    if (st == BD_OK && t->planes)
        st = allow_planes(t, err);
    if (st != BD_OK || (t->bits == 32 && !t->channel))
        return st;
    const struct bd_layer *l = &m->layer[layer];
    if (t->clip == BD_CLIP_LEARNED &&
        isnan(weights ? l->learned_w : l->learned_a))
        return bd_fail(err, BD_EINVALID,
                       "the checkpoint has no learned clip for these %s; "
                       "'max' or 'mse' works%s",
                       weights ? "weights" : "activations",
                       layer == 0 || (size_t)layer + 1 == m->nlayers
                           ? ", and so does --keep-edges 8"
                           : "");
    return BD_OK;
}

static bd_status check_side(const struct bd_model *m, int layer, bool weights,
                            const struct bd_tensorcfg *t, struct bd_err *err)
{
    struct bd_err why = {0};
    char shown[256];
    bd_status st = bd_config_allows(m, layer, weights, t, &why);
    if (st != BD_OK)
        bd_fail(err, st, "layer '%s': %s",
                bd_text_show(shown, sizeof shown, m->layer[layer].name, 0),
                why.msg);
    return st;
}

bd_status bd_config_check(const struct bd_bitcfg *c, const struct bd_model *m,
                          struct bd_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        bd_status st = check_side(m, (int)i, true, &c->layer[i].w, err);
        if (st == BD_OK)
            st = check_side(m, (int)i, false, &c->layer[i].a, err);
        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

/* -------------------------------------------------------------- the edits */

/* Parses spec over what one side of a layer has now; widths per channel go,
 * since the spec names one width for all. */
static bd_status apply_spec(struct bd_layercfg *l, bool weights,
                            const char *spec, struct bd_err *err)
{
    struct bd_tensorcfg t = weights ? l->w : l->a;
    t.channel = NULL;
    t.planes = NULL; /* found for another choice */
    bd_status st = bd_tensorcfg_parse(&t, spec, err);
    if (st == BD_OK && t.bits != 32)
        st = bd_quantizer_check(t.quant, t.bits, weights, err);
    if (st == BD_OK && t.bits != 32)
        st = allow_grain(weights, &t, err);
    if (st == BD_OK)
        bd_layercfg_set(l, weights, &t);
    return st;
}

bd_status bd_config_all(struct bd_bitcfg *c, bool weights, const char *spec,
                        struct bd_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        bd_status st = apply_spec(&c->layer[i], weights, spec, err);
        if (st != BD_OK)
            return st; /* the first layer already shows every fault */
    }
    return BD_OK;
}

static bd_status no_match(const struct bd_model *m, const char *glob,
                          struct bd_err *err)
{
    char a[256], b[256];
    const char **name = bd_calloc(m->nlayers + 1, sizeof *name);
    const char *near = NULL;
    if (name) {
        for (size_t i = 0; i < m->nlayers; i++)
            name[i] = m->layer[i].name;
        near = bd_nearest(glob, name);
    }
    bd_text_show(a, sizeof a, glob, 0);
    bd_fail(err, BD_EINVALID, near ? "no layer '%s'; did you mean '%s'?"
                                   : "no layer matches '%s'%s",
            a, near ? bd_text_show(b, sizeof b, near, 0) : "");
    bd_free(name);
    return BD_EINVALID;
}

bd_status bd_config_matches(const struct bd_model *m, const char *glob,
                            struct bd_err *err)
{
    for (size_t i = 0; i < m->nlayers; i++)
        if (bd_glob(glob, m->layer[i].name))
            return BD_OK;
    return no_match(m, glob, err);
}

struct edit { /* "LAYERGLOB.w=SPEC" taken apart */
    const char *glob, *spec;
    bool weights;
};

static bd_status set_matching(struct bd_bitcfg *c, const struct bd_model *m,
                              const struct edit *e, struct bd_err *err)
{
    size_t hits = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!bd_glob(e->glob, m->layer[i].name))
            continue;
        hits++;
        bd_status st = apply_spec(&c->layer[i], e->weights, e->spec, err);
        if (st != BD_OK)
            return st;
    }
    return hits > 0 ? BD_OK : no_match(m, e->glob, err);
}

/* The last ".w=" or ".a=": a specification contains no '=', a layer's name
 * may contain anything. */
static const char *find_side(const char *edit)
{
    const char *at = NULL;
    for (const char *p = edit; *p; p++)
        if (p[0] == '.' && (p[1] == 'w' || p[1] == 'a') && p[2] == '=')
            at = p;
    return at;
}

bd_status bd_config_set(struct bd_bitcfg *c, const struct bd_model *m,
                        const char *edit, struct bd_err *err)
{
    const char *side = find_side(edit);
    char shown[256];
    if (!side || side == edit)
        return bd_fail(err, BD_EINVALID,
                       "'%s': write LAYER.w=METHOD:BITS or LAYER.a=...",
                       bd_text_show(shown, sizeof shown, edit, 0));
    char *glob = bd_strdup(edit);
    if (!glob)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    glob[side - edit] = '\0';
    struct edit e = {glob, side + 3, side[1] == 'w'};
    bd_status st = set_matching(c, m, &e, err);
    bd_free(glob);
    return st;
}

static bd_status set_edge(struct bd_layercfg *l, const struct bd_layer *of,
                          int bits, bool learned, struct bd_err *err)
{
    struct bd_tensorcfg t = {.bits = (int8_t)bits, .clip = BD_CLIP_MAX,
                             .grain = BD_GRAIN_TENSOR};
    struct bd_tensorcfg w = t, a = t;
    int row = bd_quantizer_find("uniform"), edge = bd_quantizer_find("edge8");
    if (row < 0)
        return bd_fail(err, BD_EUNSUPPORTED, "no quantizer 'uniform'");
    w.quant = a.quant = (uint8_t)row;
    /* The seed's checkpoints were trained with its own 8-bit rule. */
    if (learned && bits == 8 && edge >= 0)
        w.quant = (uint8_t)edge;
    /* ... and with untouched inputs of these two layers. */
    if (learned && isnan(of->learned_a))
        a.bits = 32;
    bd_layercfg_set(l, true, &w);
    bd_layercfg_set(l, false, &a);
    return BD_OK;
}

bd_status bd_config_edges(struct bd_bitcfg *c, const struct bd_model *m,
                          int bits, struct bd_err *err)
{
    int row = bd_quantizer_find("uniform");
    if (c->n == 0)
        return BD_OK;
    if (bits != 32) {
        bd_status st = bd_quantizer_check(row, bits, true, err);
        if (st != BD_OK)
            return st;
    }
    bool learned = bd_config_learned(m);
    size_t last = c->n - 1;
    bd_status st = set_edge(&c->layer[0], &m->layer[0], bits, learned, err);
    if (st == BD_OK && last > 0)
        st = set_edge(&c->layer[last], &m->layer[last], bits, learned, err);
    return st;
}
