/* Ways to quantize, without a width.
 *
 * Weights take their own method with better clips and finer grains, or the
 * methods asked for.  Inputs take their own method, as it is and with the
 * clip of least error; in float, one uniform grid per tensor with that clip
 * or none. */
#include "session/search_priv.h"

#include <stdio.h>
#include <string.h>

static bool same_form(const struct bd_tensorcfg *a,
                      const struct bd_tensorcfg *b)
{
    struct bd_tensorcfg x = *a, y = *b;
    x.bits = y.bits = 8;
    return bd_tensorcfg_same(&x, &y);
}

static void add_form(struct bd_forms *f, struct bd_tensorcfg t)
{
    t.channel = NULL;
    t.planes = NULL;
    if (f->n == BD_CAND_FORMS)
        return;
    for (int i = 0; i < f->n; i++)
        if (same_form(&f->t[i], &t))
            return;
    f->t[f->n++] = t;
}

/* The layer's own method with better clips and finer grains: what any target
 * of that method can run.  A clip learned in training belongs to its grid and
 * stays alone. */
static void own_forms(struct bd_forms *f, const struct bd_tensorcfg *own)
{
    struct bd_tensorcfg t = *own;
    if (bd_session_is_float(own))
        t = (struct bd_tensorcfg){
            .bits = 8, .quant = (uint8_t)bd_quantizer_find("uniform")};
    if (t.clip == BD_CLIP_LEARNED) {
        add_form(f, t);
        return;
    }
    struct bd_tensorcfg present = t;
    t.clip = BD_CLIP_MSE;
    t.clip_value = 0;
    t.grain = BD_GRAIN_TENSOR;
    t.group = 0;
    add_form(f, t);
    t.grain = BD_GRAIN_CHANNEL;
    add_form(f, t);
    add_form(f, present);
    present.clip = BD_CLIP_MSE;
    present.clip_value = 0;
    add_form(f, present);
}

/* One word of the list: METHOD[:GRAIN[:CLIP]]; a method alone takes both
 * grains with the clip by mse. */
static bd_status word_forms(struct bd_forms *f, const char *word,
                            struct bd_err *err)
{
    char spec[160], name[64];
    size_t len = strcspn(word, ":");
    if (strcmp(word, "own") == 0)
        return BD_OK; /* the caller's */
    snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), word);
    int row = bd_quantizer_find(name);
    int bits = row >= 0 ? bd_quantizer_at(row)->max_bits : 8;
    struct bd_tensorcfg t = {.bits = 32, .clip = BD_CLIP_MSE};
    snprintf(spec, sizeof spec, "%s:%d%s", name, bits, word + len);
    bd_status st = bd_tensorcfg_parse(&t, spec, err);
    if (st != BD_OK)
        return st;
    if (!(bd_quantizer_at(t.quant)->traits & BD_Q_WEIGHTS))
        return bd_fail(err, BD_EINVALID, "'%s' does not quantize weights",
                       name);
    add_form(f, t);
    if (!word[len]) {
        t.grain = BD_GRAIN_CHANNEL;
        add_form(f, t);
    }
    return BD_OK;
}

bd_status bd_cands_forms(struct bd_forms *f, const struct bd_cands_ask *a,
                         size_t layer, struct bd_err *err)
{
    char copy[sizeof a->methods], *save = NULL;
    bd_status st = BD_OK;
    f->n = 0;
    memcpy(copy, a->methods, sizeof copy);
    for (char *w = strtok_r(copy, ",", &save); w && st == BD_OK;
         w = strtok_r(NULL, ",", &save)) {
        if (strcmp(w, "own") == 0)
            own_forms(f, &a->cfg.layer[layer].w);
        st = word_forms(f, w, err);
    }
    if (!a->methods[0])
        own_forms(f, &a->cfg.layer[layer].w);
    return st;
}

static void own_forms_in(struct bd_forms *f, const struct bd_tensorcfg *own)
{
    struct bd_tensorcfg t = *own;
    if (bd_session_is_float(own))
        t = (struct bd_tensorcfg){
            .bits = 8, .clip = BD_CLIP_MAX,
            .quant = (uint8_t)bd_quantizer_find("uniform")};
    struct bd_tensorcfg mse = t;
    mse.clip = BD_CLIP_MSE;
    mse.clip_value = 0;
    if (t.clip != BD_CLIP_LEARNED)
        add_form(f, mse);
    add_form(f, t);
}

/* In the order of layers, so that all of a group number them alike. */
void bd_cands_forms_in(struct bd_forms *f, const struct bd_cands_ask *a,
                       size_t layer, const int *tie)
{
    f->n = 0;
    for (size_t i = 0; i < a->m->nlayers; i++)
        if (i == layer || (tie[layer] >= 0 && tie[i] == tie[layer]))
            own_forms_in(f, &a->cfg.layer[i].a);
}
