/* One element of "layers": its name, two choices, and the clips recorded
 * beside them. */
#include "config/config_priv.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ the choice */

/* By name in the quantizer table, with the nearest name when there is none.
 * A method of a later version is an unknown method here. */
static bd_status read_method(struct bd_cfgread *r, struct bd_tensorcfg *t,
                             const cJSON *o, bool weights)
{
    const struct bd_quantizer *q;
    const cJSON *bits = cJSON_GetObjectItemCaseSensitive(o, "bits");
    bool is_float = cJSON_IsNumber(bits) && bits->valuedouble == 32;
    struct bd_err why = {0};
    const char *name = NULL, *near;
    const char *list[64];
    char shown[256];
    bd_status st = bd_cfgread_string(r, &name, o, "method");
    if (st != BD_OK)
        return st;
    size_t mark = bd_cfgread_enter(r, ".method");
    int row = name ? bd_quantizer_find(name) : -1;
    if (row >= 0) {
        t->quant = (uint8_t)row;
        q = bd_quantizer_at(row);
        /* With a width of its own, only the role can be wrong; in float the
         * method is a memory of an earlier choice. */
        if (!is_float &&
            bd_quantizer_check(row, q->min_bits, weights, &why) != BD_OK)
            st = bd_cfgread_refuse(r, "%s", why.msg);
        bd_cfgread_leave(r, mark);
        return st;
    }
    size_t n = 0;
    for (const struct bd_quantizer *const *k = bd_quantizers(); *k && n < 63;
         k++)
        list[n++] = (*k)->name;
    list[n] = NULL;
    near = name ? bd_nearest(name, list) : NULL;
    if (!name)
        st = bd_cfgread_refuse(r, "is missing");
    else
        st = bd_cfgread_refuse(r, "no method '%s'%s%s%s",
                               bd_text_show(shown, sizeof shown, name, 0),
                               near ? "; did you mean '" : "",
                               near ? near : "", near ? "'?" : "");
    bd_cfgread_leave(r, mark);
    return st;
}

/* A width from a document, against the method's range. */
static bd_status take_bits(struct bd_cfgread *r, int8_t *out, double v,
                           const struct bd_tensorcfg *t, bool weights)
{
    struct bd_err why = {0};
    if (v == 32) {
        *out = 32;
        return BD_OK;
    }
    if (v != floor(v) || v < 1 || v > 16)
        return bd_cfgread_refuse(r, "%.9g is no width: 1 to 16, or 32 for "
                                    "float", v);
    if (bd_quantizer_check(t->quant, (int)v, weights, &why) != BD_OK)
        return bd_cfgread_refuse(r, "%s", why.msg);
    *out = (int8_t)v;
    return BD_OK;
}

/* The width is required: a default would be a guess about someone's work. */
static bd_status read_bits(struct bd_cfgread *r, struct bd_tensorcfg *t,
                           const cJSON *o, bool weights)
{
    double v = NAN;
    bd_status st = bd_cfgread_number(r, &v, o, "bits");
    if (st != BD_OK)
        return st;
    size_t mark = bd_cfgread_enter(r, ".bits");
    st = isnan(v) ? bd_cfgread_refuse(r, "is missing")
                  : take_bits(r, &t->bits, v, t, weights);
    bd_cfgread_leave(r, mark);
    return st;
}

static bd_status read_grain(struct bd_cfgread *r, struct bd_tensorcfg *t,
                            const cJSON *o, bool weights)
{
    const char *g = "tensor";
    char shown[256];
    int64_t group = 0;
    bd_status st = bd_cfgread_string(r, &g, o, "grain");
    if (st != BD_OK)
        return st;
    size_t mark = bd_cfgread_enter(r, ".grain");
    t->group = 0;
    if (strcmp(g, "tensor") == 0) {
        t->grain = BD_GRAIN_TENSOR;
    } else if (strcmp(g, "channel") == 0) {
        t->grain = BD_GRAIN_CHANNEL;
    } else if (strncmp(g, "group", 5) == 0 &&
               bd_parse_int(&group, g + 5, 1, INT16_MAX)) {
        t->grain = BD_GRAIN_GROUP;
        t->group = (int16_t)group;
    } else {
        st = bd_cfgread_refuse(r, "no grain '%s'; 'tensor', 'channel' and "
                                  "'group128' exist",
                               bd_text_show(shown, sizeof shown, g, 0));
    }
    if (st == BD_OK && !weights && t->grain == BD_GRAIN_GROUP)
        st = bd_cfgread_refuse(r, "activations come without groups: "
                                  "'channel' or 'tensor' works");
    bd_cfgread_leave(r, mark);
    return st;
}

/* One whole number per output channel, each legal for the method. */
static bd_status read_widths(struct bd_cfgread *r, struct bd_tensorcfg *t,
                             const cJSON *list, int layer, bool weights)
{
    int64_t channels = weights ? bd_config_channels(r->m, layer)
                               : bd_config_inputs(r->m, layer);
    int n = cJSON_GetArraySize(list), i = 0;
    if (!cJSON_IsArray(list))
        return bd_cfgread_refuse(r, "must be a list");
    if (t->grain != BD_GRAIN_CHANNEL)
        return bd_cfgread_refuse(r, "needs grain 'channel'");
    if (n != channels)
        return bd_cfgread_refuse(r, "%d widths for %lld channels", n,
                                 (long long)channels);
    int8_t *bits = bd_calloc((size_t)n, sizeof *bits);
    if (!bits)
        return bd_fail(r->err, BD_ENOMEM, "out of memory");
    bd_status st = BD_OK;
    const cJSON *e;
    cJSON_ArrayForEach(e, list)
    {
        size_t mark = bd_cfgread_enter(r, "[%d]", i);
        if (!cJSON_IsNumber(e))
            st = bd_cfgread_refuse(r, "must be a number");
        else if (e->valuedouble != 0) /* 0: the channel is sent as zero */
            st = take_bits(r, &bits[i], e->valuedouble, t, weights);
        i++;
        bd_cfgread_leave(r, mark);
        if (st != BD_OK)
            break;
    }
    if (st == BD_OK && !(t->channel = bd_chanbits_new(bits, n)))
        st = bd_fail(r->err, BD_ENOMEM, "out of memory");
    bd_free(bits);
    return st;
}

/* ------------------------------------------------ planes of a bottleneck */
static bd_status read_alphas(struct bd_cfgread *r, struct bd_planecode *c,
                             const cJSON *list)
{
    int n = cJSON_GetArraySize(list), k = 0;
    size_t mark = bd_cfgread_enter(r, ".alphas_lsb_first");
    bd_status st = BD_OK;
    if (!cJSON_IsArray(list))
        st = bd_cfgread_refuse(r, list ? "must be a list" : "is missing");
    else if (n != c->of)
        st = bd_cfgread_refuse(r, "%d coefficients for %d planes", n, c->of);
    for (const cJSON *e = st == BD_OK ? list->child : NULL; e && st == BD_OK;
         e = e->next) {
        size_t at = bd_cfgread_enter(r, "[%d]", k);
        if (!cJSON_IsNumber(e))
            st = bd_cfgread_refuse(r, "must be a number");
        else
            c->alpha[k++] = e->valuedouble;
        bd_cfgread_leave(r, at);
    }
    bd_cfgread_leave(r, mark);
    return st;
}

/* A whole number that must be there, with its own path. */
static bd_status need_int(struct bd_cfgread *r, int64_t *out, const cJSON *o,
                          const char *key, int64_t max)
{
    int64_t v = -1;
    bd_status st = bd_cfgread_int(r, &v, o, key);
    size_t mark = bd_cfgread_enter(r, ".%s", key);
    if (st == BD_OK && !cJSON_GetObjectItemCaseSensitive(o, key))
        st = bd_cfgread_refuse(r, "is missing");
    else if (st == BD_OK && (v < 0 || v > max))
        st = bd_cfgread_refuse(r, "%lld: 0 to %lld work", (long long)v,
                               (long long)max);
    bd_cfgread_leave(r, mark);
    *out = v;
    return st;
}

static bd_status read_planes(struct bd_cfgread *r, struct bd_tensorcfg *t,
                             const cJSON *o)
{
    static const char *const known[] = {"of", "mask", "alphas_lsb_first",
                                        NULL};
    struct bd_planecode c = {0};
    struct bd_err why = {0};
    int64_t of = 0, mask = 0;
    if (!cJSON_IsObject(o))
        return bd_cfgread_refuse(r, "must be an object");
    bd_status st = need_int(r, &of, o, "of", BD_PLANES);
    if (st == BD_OK)
        st = need_int(r, &mask, o, "mask", BD_PLANE_CODES - 1);
    c.of = (int)of;
    c.mask = (unsigned)mask;
    if (st == BD_OK)
        st = read_alphas(r, &c,
                         cJSON_GetObjectItemCaseSensitive(o,
                                                          known[2]));
    if (st == BD_OK && bd_planecode_check(&c, &why) != BD_OK)
        st = bd_cfgread_refuse(r, "%s", why.msg);
    if (st == BD_OK && !(t->planes = bd_planes_new(&c)))
        st = bd_fail(r->err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        bd_cfgread_extra(r, o, known);
    return st;
}

/* -------------------------------------------------------------- the clip */

/* "max", "percentile99.9", "manual": the number of a percentile is part of
 * the rule's name, as on the command line. */
static bool parse_rule(struct bd_tensorcfg *t, const char *rule)
{
    enum bd_clip_rule found = BD_CLIP_MANUAL;
    /* Of a manual clip the number stands beside the name. */
    bool good = strcmp(rule, bd_clip_names[BD_CLIP_MANUAL]) == 0 ||
                (bd_clip_parse(&found, &t->clip_value, rule) &&
                 found != BD_CLIP_MANUAL);
    if (good)
        t->clip = (uint8_t)found;
    return good;
}

/* How many clips belong to a choice: one per fitted parameter set. */
static int64_t clip_count(const struct bd_cfgread *r, int layer, bool weights,
                          const struct bd_tensorcfg *t)
{
    const struct bd_layer *l = &r->m->layer[layer];
    struct bd_slices s = bd_slices_of(&r->m->value[l->weight].t, l->axis);
    int64_t per = s.outer * s.inner;
    if (t->grain == BD_GRAIN_TENSOR)
        return 1;
    if (!weights)
        return bd_config_inputs(r->m, layer);
    if (t->grain == BD_GRAIN_CHANNEL || t->group <= 0)
        return s.channels;
    return s.channels * ((per + t->group - 1) / t->group);
}

struct found { /* values on their way into a bd_recorded */
    double *v;
    int n;
};

static bd_status take_value(struct bd_cfgread *r, double *out, const cJSON *e)
{
    if (!cJSON_IsNumber(e) || !isfinite(e->valuedouble))
        return bd_cfgread_refuse(r, "must be a finite number");
    if (e->valuedouble < 0)
        return bd_cfgread_refuse(r, "a clip cannot be below 0");
    *out = e->valuedouble;
    return BD_OK;
}

/* "value" or "values", into f->v; absent is fine (n = 0). */
static bd_status read_values(struct bd_cfgread *r, struct found *f,
                             const cJSON *o, int64_t want)
{
    const cJSON *one = cJSON_GetObjectItemCaseSensitive(o, "value");
    const cJSON *many = cJSON_GetObjectItemCaseSensitive(o, "values");
    size_t mark = bd_cfgread_enter(r, ".%s", many ? "values" : "value");
    int have = many ? cJSON_GetArraySize(many) : one ? 1 : 0, i = 0;
    bd_status st = BD_OK;
    if (many && one)
        st = bd_cfgread_refuse(r, "and 'value' exclude each other");
    else if (many && !cJSON_IsArray(many))
        st = bd_cfgread_refuse(r, "must be a list");
    else if (have > 0 && have != want)
        st = bd_cfgread_refuse(r, "%d value%s where %lld belong", have,
                               have == 1 ? "" : "s", (long long)want);
    else if (have > 0 && !(f->v = bd_alloc((size_t)have, sizeof *f->v)))
        st = bd_fail(r->err, BD_ENOMEM, "out of memory");
    if (st == BD_OK && one)
        st = take_value(r, &f->v[0], one);
    for (const cJSON *e = many ? many->child : NULL; e && st == BD_OK;
         e = e->next) {
        size_t at = bd_cfgread_enter(r, "[%d]", i);
        st = take_value(r, &f->v[i++], e);
        bd_cfgread_leave(r, at);
    }
    f->n = have;
    bd_cfgread_leave(r, mark);
    return st;
}

static bd_status read_clip(struct bd_cfgread *r, struct bd_tensorcfg *t,
                           struct found *f, const cJSON *o, int64_t want)
{
    static const char *const known[] = {"rule", "value", "values", NULL};
    const char *rule = "max";
    char shown[256];
    if (!cJSON_IsObject(o))
        return bd_cfgread_refuse(r, "must be an object");
    bd_status st = bd_cfgread_string(r, &rule, o, "rule");
    if (st == BD_OK && !parse_rule(t, rule)) {
        size_t mark = bd_cfgread_enter(r, ".rule");
        st = bd_cfgread_refuse(r, "no rule '%s'",
                               bd_text_show(shown, sizeof shown, rule, 0));
        bd_cfgread_leave(r, mark);
    }
    if (st == BD_OK)
        st = read_values(r, f, o, t->clip == BD_CLIP_MANUAL ? 1 : want);
    if (st == BD_OK && t->clip == BD_CLIP_MANUAL) {
        /* Here the value is the choice itself, not a record of it. */
        if (f->n != 1 || !((float)f->v[0] > 0) || !isfinite((float)f->v[0]))
            st = bd_cfgread_refuse(r, "rule 'manual' needs a value above 0");
        else
            t->clip_value = (float)f->v[0];
        f->n = 0;
    }
    bd_cfgread_extra(r, o, known);
    return st;
}

/* ------------------------------------------------------------- one tensor */

struct side { /* what one of the two objects of a layer says */
    struct bd_tensorcfg t;
    struct found clip;
    bool sign_said, is_signed, weights;
};

static bd_status read_side(struct bd_cfgread *r, struct side *s,
                           const cJSON *o, int layer)
{
    static const char *const known[] = {"method", "bits", "grain",
                                        "channel_bits", "planes", "signed",
                                        "clip", NULL};
    const cJSON *planes = cJSON_GetObjectItemCaseSensitive(o, "planes");
    const cJSON *widths = cJSON_GetObjectItemCaseSensitive(o, "channel_bits");
    const cJSON *clip = cJSON_GetObjectItemCaseSensitive(o, "clip");
    if (!cJSON_IsObject(o))
        return bd_cfgread_refuse(r, "must be an object");
    bd_status st = read_method(r, &s->t, o, s->weights);
    if (st == BD_OK)
        st = read_bits(r, &s->t, o, s->weights);
    if (st == BD_OK)
        st = read_grain(r, &s->t, o, s->weights);
    if (st == BD_OK && widths) {
        size_t mark = bd_cfgread_enter(r, ".channel_bits");
        st = read_widths(r, &s->t, widths, layer, s->weights);
        bd_cfgread_leave(r, mark);
    }
    if (st == BD_OK && planes) {
        size_t mark = bd_cfgread_enter(r, ".planes");
        st = read_planes(r, &s->t, planes);
        bd_cfgread_leave(r, mark);
    }
    s->sign_said = cJSON_GetObjectItemCaseSensitive(o, "signed") != NULL;
    if (st == BD_OK)
        st = bd_cfgread_bool(r, &s->is_signed, o, "signed");
    if (st == BD_OK && clip) {
        size_t mark = bd_cfgread_enter(r, ".clip");
        st = read_clip(r, &s->t, &s->clip, clip,
                       clip_count(r, layer, s->weights, &s->t));
        bd_cfgread_leave(r, mark);
    }
    if (st == BD_OK)
        bd_cfgread_extra(r, o, known);
    return st;
}

/* What no single key can be blamed for, such as a learned clip the checkpoint
 * lacks, is refused with the path of the whole object. */
static bd_status judge(struct bd_cfgread *r, const struct side *s, int layer)
{
    struct bd_err why = {0};
    bd_status st = bd_config_allows(r->m, layer, s->weights, &s->t, &why);
    return st == BD_OK ? BD_OK : bd_cfgread_refuse(r, "%s", why.msg);
}

static bd_status take_side(struct bd_cfgread *r, struct bd_layercfg *l,
                           const cJSON *o, int layer, bool weights)
{
    struct side s = {.t = weights ? l->w : l->a, .weights = weights};
    const struct bd_recorded *rec = NULL;
    size_t mark =
        bd_cfgread_enter(r, weights ? ".weights" : ".activations");
    bd_status st = read_side(r, &s, o, layer);
    if (st == BD_OK)
        st = judge(r, &s, layer);
    if (st == BD_OK && (s.clip.n > 0 || s.sign_said)) {
        rec = bd_recorded_new(s.clip.v, s.clip.n,
                              s.sign_said ? s.is_signed : -1);
        if (!rec)
            st = bd_fail(r->err, BD_ENOMEM, "out of memory");
    }
    if (st == BD_OK) {
        bd_layercfg_set(l, weights, &s.t);
        *(weights ? &l->w_clip : &l->a_clip) = rec;
    }
    bd_tensorcfg_done(&s.t);
    bd_free(s.clip.v);
    bd_cfgread_leave(r, mark);
    return st;
}

/* ------------------------------------------------------------- one layer */

/* Names, not positions, connect a document with a model, so that it survives
 * a change of order. */
static bd_status find_layer(struct bd_cfgread *r, int *layer, const int *seen,
                            const cJSON *o)
{
    const char *name = NULL;
    char shown[256];
    bd_status st = bd_cfgread_string(r, &name, o, "name");
    if (st != BD_OK)
        return st;
    size_t mark = bd_cfgread_enter(r, ".name");
    if (!name) {
        st = bd_cfgread_refuse(r, "is missing");
    } else {
        bd_text_show(shown, sizeof shown, name, 0);
        *layer = bd_model_find_layer(r->m, name);
        if (*layer < 0)
            st = bd_cfgread_refuse(r, "the model has no layer '%s'", shown);
        else if (seen[*layer])
            st = bd_cfgread_refuse(r, "'%s' was already given by layers[%d]",
                                   shown, seen[*layer] - 1);
    }
    bd_cfgread_leave(r, mark);
    return st;
}

bd_status bd_cfgread_layer(struct bd_cfgread *r, struct bd_bitcfg *cfg,
                           int *seen, const cJSON *obj, int number)
{
    static const char *const known[] = {"name", "weights", "activations",
                                        "locked", NULL};
    int layer = -1;
    if (!cJSON_IsObject(obj))
        return bd_cfgread_refuse(r, "must be an object");
    bd_status st = find_layer(r, &layer, seen, obj);
    if (st != BD_OK)
        return st;
    seen[layer] = number + 1;
    struct bd_layercfg *l = &cfg->layer[layer];
    const cJSON *w = cJSON_GetObjectItemCaseSensitive(obj, "weights");
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(obj, "activations");
    if (w)
        st = take_side(r, l, w, layer, true);
    if (st == BD_OK && a)
        st = take_side(r, l, a, layer, false);
    if (st == BD_OK)
        st = bd_cfgread_bool(r, &l->locked, obj, "locked");
    if (st == BD_OK)
        bd_cfgread_extra(r, obj, known);
    return st;
}
