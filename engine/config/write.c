/* Writing bitdial.config/1: one fixed order of keys, one line per tensor, so
 * that a difference of two documents reads like a list of edits. */
#include "config/config_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* An object on one line. */
static void flat_obj(struct bd_json *j, const char *key)
{
    bd_json_obj(j, key);
    if (j->depth < 64)
        j->inline_mask |= (uint64_t)1 << j->depth;
}

struct values { /* clip values to write beside a rule */
    const double *v;
    int n;
};

/* NaN would become null, which the reader refuses: better no value. */
static bool all_finite(struct values v)
{
    for (int i = 0; i < v.n; i++)
        if (!isfinite(v.v[i]))
            return false;
    return v.n > 0;
}

static void put_clip(struct bd_json *j, const struct bd_tensorcfg *t,
                     struct values v)
{
    char rule[64];
    flat_obj(j, "clip");
    /* The number belongs to the rule's name, as on the command line; 0 = the
     * rule's own default. */
    if (t->clip != BD_CLIP_MANUAL && bd_clip_numbered(t->clip) &&
        t->clip_value > 0)
        snprintf(rule, sizeof rule, "%s%.9g", bd_clip_names[t->clip],
                 (double)t->clip_value);
    else
        snprintf(rule, sizeof rule, "%s", bd_clip_names[t->clip]);
    bd_json_str(j, "rule", rule);
    if (t->clip == BD_CLIP_MANUAL) {
        bd_json_f32(j, "value", t->clip_value);
    } else if (all_finite(v)) {
        if (t->grain == BD_GRAIN_TENSOR && v.n == 1) {
            bd_json_f64(j, "value", v.v[0]);
        } else {
            bd_json_arr_inline(j, "values");
            for (int i = 0; i < v.n; i++)
                bd_json_f64(j, NULL, v.v[i]);
            bd_json_arr_end(j);
        }
    }
    bd_json_obj_end(j);
}

/* "tensor", "channel", "group128"; widths per channel follow their grain. */
static void put_grain(struct bd_json *j, const struct bd_tensorcfg *t)
{
    char group[32];
    if (t->grain == BD_GRAIN_GROUP) {
        snprintf(group, sizeof group, "group%d", t->group);
        bd_json_str(j, "grain", group);
    } else {
        bd_json_str(j, "grain", bd_grain_names[t->grain]);
    }
    if (!t->channel)
        return;
    bd_json_arr_inline(j, "channel_bits");
    for (int c = 0; c < t->channel->n; c++)
        bd_json_int(j, NULL, t->channel->bits[c]);
    bd_json_arr_end(j);
}

/* {"of":8,"mask":248,"alphas_lsb_first":[...]} */
static void put_planes(struct bd_json *j, const struct bd_planecode *c)
{
    flat_obj(j, "planes");
    bd_json_int(j, "of", c->of);
    bd_json_int(j, "mask", (int64_t)c->mask);
    bd_json_arr_inline(j, "alphas_lsb_first");
    for (int k = 0; k < c->of; k++)
        bd_json_f64(j, NULL, c->alpha[k]);
    bd_json_arr_end(j);
    bd_json_obj_end(j);
}

static void put_choice(struct bd_json *j, const struct bd_tensorcfg *t)
{
    bd_json_str(j, "method", bd_quantizer_at(t->quant)->name);
    bd_json_int(j, "bits", t->bits);
    put_grain(j, t);
    if (t->planes)
        put_planes(j, &t->planes->code);
}

/* Fresh clips win over those a document brought along; where nobody computed
 * any, the recorded ones go back out unchanged.  An edit drops them. */
static void put_weights(struct bd_json *j, const struct bd_layercfg *l,
                        const struct bd_clips *c)
{
    struct values v = {0};
    if (c && c->nw > 0)
        v = (struct values){c->w, (int)c->nw};
    else if (!c && l->w_clip)
        v = (struct values){l->w_clip->v, l->w_clip->n};
    flat_obj(j, "weights");
    put_choice(j, &l->w);
    put_clip(j, &l->w, v);
    bd_json_obj_end(j);
}

static void put_acts(struct bd_json *j, const struct bd_layercfg *l,
                     const struct bd_clips *c)
{
    struct values v = {0};
    int is_signed = -1;
    if (c && c->a_known) {
        v = (struct values){&c->a, 1};
        if (c->na > 0)
            v = (struct values){c->av, (int)c->na};
        is_signed = c->a_signed;
    } else if (l->a_clip) { /* nobody calibrated: what was read stands */
        v = (struct values){l->a_clip->v, l->a_clip->n};
        is_signed = l->a_clip->is_signed;
    }
    flat_obj(j, "activations");
    put_choice(j, &l->a);
    if (is_signed >= 0)
        bd_json_bool(j, "signed", is_signed != 0);
    put_clip(j, &l->a, v);
    bd_json_obj_end(j);
}

static void put_layers(struct bd_json *j, const struct bd_model *m,
                       const struct bd_config_doc *doc, const char *key)
{
    bd_json_arr(j, key);
    for (size_t i = 0; i < doc->cfg->n; i++) {
        const struct bd_layercfg *l = &doc->cfg->layer[i];
        const struct bd_clips *c = doc->clips ? &doc->clips[i] : NULL;
        bd_json_obj(j, NULL);
        bd_json_str(j, "name", m->layer[i].name);
        put_weights(j, l, c);
        put_acts(j, l, c);
        if (l->locked)
            bd_json_bool(j, "locked", true);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
}

void bd_cfgwrite_layers(struct bd_json *j, const struct bd_model *m,
                        const char *key, const struct bd_bitcfg *cfg)
{
    put_layers(j, m, &(struct bd_config_doc){.cfg = cfg}, key);
}

/* Only the file's name: folders of one machine mean nothing on another, and
 * an exported document should not tell where someone keeps things. */
static const char *last_part(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

static void put_model(struct bd_json *j, const struct bd_model *m,
                      const char *file)
{
    char digest[32];
    snprintf(digest, sizeof digest, "xxh3:%016llx",
             (unsigned long long)m->digest);
    flat_obj(j, "model");
    bd_json_str(j, "file", file ? file : last_part(m->path));
    bd_json_str(j, "digest", digest);
    bd_json_int(j, "layers", (int64_t)m->nlayers);
    bd_json_obj_end(j);
}

/* What is not known is left out, never written as null or -1. */
static void put_metrics(struct bd_json *j, const struct bd_config_metrics *k)
{
    bool bits = isfinite(k->avg_bits_w) && k->avg_bits_w >= 0;
    bool top1 = isfinite(k->top1) && k->top1 >= 0;
    if (!bits && !top1 && k->size_bytes < 0 && k->images < 0)
        return;
    flat_obj(j, "metrics");
    if (bits)
        bd_json_f64(j, "avg_bits_w", k->avg_bits_w);
    if (k->size_bytes >= 0)
        bd_json_int(j, "size_bytes", k->size_bytes);
    if (top1)
        bd_json_f64(j, "top1", k->top1);
    if (k->images >= 0)
        bd_json_int(j, "images", k->images);
    bd_json_obj_end(j);
}

static void put_provenance(struct bd_json *j, const struct bd_config_doc *doc)
{
    flat_obj(j, "provenance");
    bd_json_str(j, "program",
                doc->program ? doc->program : "bitdial " BD_VERSION);
    if (doc->data)
        bd_json_str(j, "data", doc->data);
    bd_json_int(j, "seed", (int64_t)doc->seed);
    bd_json_obj_end(j);
    if (doc->edits > 0) {
        flat_obj(j, "session");
        bd_json_int(j, "edits", doc->edits);
        bd_json_obj_end(j);
    }
}

bd_status bd_config_write(struct bd_str *out, const struct bd_model *m,
                          const struct bd_config_doc *doc, struct bd_err *err)
{
    if (doc->cfg->n != m->nlayers)
        return bd_fail(err, BD_EINVALID,
                       "a configuration of %zu layers for a model of %zu",
                       doc->cfg->n, m->nlayers);
    struct bd_json j = {.pretty = true};
    bd_json_obj(&j, NULL);
    bd_json_str(&j, "schema", "bitdial.config/1");
    put_model(&j, m, doc->file);
    bd_cfgwrite_repairs(&j, m, doc->repairs);
    put_layers(&j, m, doc, "layers");
    put_metrics(&j, &doc->metrics);
    put_provenance(&j, doc);
    bd_json_obj_end(&j);
    bool failed = j.out.failed;
    if (!failed) {
        bd_str_put(out, j.out.s, j.out.n);
        failed = out->failed;
    }
    bd_json_done(&j);
    return failed ? bd_fail(err, BD_ENOMEM, "out of memory for the document")
                  : BD_OK;
}
