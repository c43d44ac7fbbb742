/* From the options of a sweep to its points: every layer, side, method and
 * width that is possible, in that order.  What a layer or method cannot do is
 * left out; only when nothing remains is it refused, with the first reason. */
#include "session/sweep_priv.h"

#include <stdio.h>
#include <string.h>

enum { METHODS = 16 };

struct plan { /* the options, resolved */
    const struct bd_session *s;
    int nwhat, nbits, nmethods;
    enum bd_sens_what what[3];
    int bits[16];
    char method[METHODS][64]; /* as given, or none: each layer's own */
    struct bd_err why;        /* the first refusal */
};

/* "apot:channel:mse" with a width: "apot:4:channel:mse". */
static bd_status parse_method(struct bd_tensorcfg *t, const char *text,
                              int bits, struct bd_err *err)
{
    char full[96], show[96];
    size_t n = strcspn(text, ":");

    if (text[n] == ':' && text[n + 1] >= '0' && text[n + 1] <= '9')
        return bd_fail(err, BD_EINVALID,
                       "method '%s': widths are given by --bits, as in "
                       "--methods apot:channel:mse --bits 2-8",
                       bd_text_show(show, sizeof show, text, 0));
    snprintf(full, sizeof full, "%.*s:%d%s", (int)n, text, bits, text + n);
    *t = (struct bd_tensorcfg){.bits = 32, .clip = BD_CLIP_MSE};
    return bd_tensorcfg_parse(t, full, err);
}

/* A layer's own choice at another width, without what belongs to its present
 * width (widths per channel, explicit planes). */
static struct bd_tensorcfg own_method(const struct bd_tensorcfg *now, int bits)
{
    struct bd_tensorcfg t = {.bits = (int8_t)bits, .quant = now->quant,
                             .clip = now->clip, .grain = now->grain,
                             .group = now->group,
                             .clip_value = now->clip_value};

    if (now->bits == 32 && !now->channel) {
        t = (struct bd_tensorcfg){.bits = (int8_t)bits, .clip = BD_CLIP_MSE};
        t.quant = (uint8_t)bd_quantizer_find("uniform");
    }
    return t;
}

/* One side of a point; false: this layer cannot have it. */
static bool side(struct bd_tensorcfg *t, struct plan *p, int layer,
                 bool weights, const int at[3])
{
    int method = at[1], bits = p->bits[at[2]];
    const struct bd_layercfg *now = &p->s->cfg.layer[layer];
    struct bd_err e = {0};
    bd_status st = BD_OK;

    if (p->nmethods > 0)
        st = parse_method(t, p->method[method], bits, &e);
    else
        *t = own_method(weights ? &now->w : &now->a, bits);
    if (st == BD_OK)
        st = bd_config_allows(p->s->m, layer, weights, t, &e);
    if (st == BD_OK && (t->channel || t->planes))
        st = bd_fail(&e, BD_EINVALID, "a sweep takes whole widths");
    if (st != BD_OK && !p->why.msg[0])
        p->why = e;
    return st == BD_OK;
}

static bool point(struct bd_sens_point *out, struct plan *p, int layer,
                  const int at[3])
{
    enum bd_sens_what what = p->what[at[0]];
    static const struct bd_tensorcfg as_is = {.bits = 32};

    *out = (struct bd_sens_point){.layer = layer, .what = what, .w = as_is,
                                  .a = as_is};
    for (int k = 0; k < 3; k++)
        out->column = out->column * (k == 1   ? p->nmethods ? p->nmethods : 1
                                     : k == 2 ? p->nbits
                                              : p->nwhat) +
                      at[k];
    return (!(what & BD_SENS_W) || side(&out->w, p, layer, true, at)) &&
           (!(what & BD_SENS_A) || side(&out->a, p, layer, false, at));
}

/* ------------------------------------------------------------- the options */

/* Spelling is checked here, at a width the method has; which widths a layer
 * can take is each layer's matter. */
static bd_status check_method(const char *text, struct bd_err *err)
{
    struct bd_tensorcfg t;
    char name[64];

    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    int row = bd_quantizer_find(name);
    return parse_method(&t, text, row < 0 ? 4 : bd_quantizer_at(row)->min_bits,
                        err);
}

static bd_status resolve_methods(struct plan *p, const char *text,
                                 struct bd_err *err)
{
    char show[96];

    for (const char *s = text; s && *s;) {
        size_t n = strcspn(s, ",");

        if (p->nmethods == METHODS || n == 0 || n >= sizeof p->method[0])
            return bd_fail(err, BD_EINVALID,
                           "methods '%s': up to %d, separated by commas, as "
                           "in uniform,apot:channel:mse",
                           bd_text_show(show, sizeof show, text, 0), METHODS);
        memcpy(p->method[p->nmethods], s, n);
        bd_status st = check_method(p->method[p->nmethods], err);
        if (st != BD_OK)
            return st;
        p->nmethods++;
        s += n + (s[n] == ',');
    }
    return BD_OK;
}

static bd_status resolve(struct plan *p, const struct bd_sweep_opts *o,
                         struct bd_err *err)
{
    unsigned what = o->what ? o->what : 1u << BD_SENS_W;

    for (int k = BD_SENS_W; k <= BD_SENS_WA; k++)
        if (what & 1u << k)
            p->what[p->nwhat++] = (enum bd_sens_what)k;
    p->nbits = o->nbits > 16 ? 16 : o->nbits;
    memcpy(p->bits, o->bits, sizeof p->bits);
    p->nbits = p->nbits < 0 ? 0 : p->nbits;
    for (int b = 2; o->nbits <= 0 && b <= 8; b++)
        p->bits[p->nbits++] = b;
    for (int k = 0; k < p->nbits; k++)
        if (p->bits[k] < 1 || p->bits[k] > 16)
            return bd_fail(err, BD_EINVALID,
                           "a sweep takes widths from 1 to 16; %d was given",
                           p->bits[k]);
    return resolve_methods(p, o->methods, err);
}

/* ---------------------------------------------------------------- the table */

static void set_metrics(struct bd_sens_table *t, unsigned asked)
{
    int lead = 0;

    asked = asked ? asked : 1u << BD_SENS_KL;
    while (!(asked & 1u << lead))
        lead++;
    t->lead = (enum bd_sens_metric)lead;
    t->metrics = asked & BD_SENS_SAMPLED ? asked | BD_SENS_SAMPLED : asked;
}

static size_t choices(const struct plan *p)
{
    return (size_t)(p->nwhat * p->nbits * (p->nmethods ? p->nmethods : 1));
}

static void fill(struct bd_sens_table *t, struct plan *p)
{
    int methods = p->nmethods ? p->nmethods : 1;

    for (size_t i = 0; i < p->s->m->nlayers; i++)
        for (int k = 0; k < (int)choices(p); k++) {
            const int at[3] = {k / (methods * p->nbits),
                               k / p->nbits % methods, k % p->nbits};

            if (p->s->m->layer[i].node >= 0)
                t->n += point(&t->point[t->n], p, (int)i, at);
        }
}

/* Alone-off compares with everything quantized, column by column. */
static bd_status fill_bases(struct bd_sens_table *t, struct bd_err *err)
{
    if (t->mode != BD_SENS_ALONE_OFF)
        return BD_OK;
    t->base = bd_calloc(t->n + 1, sizeof *t->base);
    if (!t->base)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    for (size_t i = 0; i < t->n; i++) {
        bool known = false;

        for (size_t k = 0; k < t->nbase; k++)
            known = known || t->base[k].column == t->point[i].column;
        if (known)
            continue;
        t->base[t->nbase] = t->point[i];
        t->base[t->nbase++].layer = -1;
    }
    return BD_OK;
}

bd_status bd_sweep_points(struct bd_sens_table *out,
                          const struct bd_session *s,
                          const struct bd_sweep_opts *o, struct bd_err *err)
{
    struct plan p = {.s = s};
    struct bd_sens_table t = {.mode = o->mode};
    bd_status st = resolve(&p, o, err);

    if (st != BD_OK)
        return st;
    set_metrics(&t, o->metrics);
    t.images = o->images > 0 && o->images < s->images ? o->images : s->images;
    t.point = bd_calloc(s->m->nlayers * choices(&p) + 1, sizeof *t.point);
    if (!t.point)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    fill(&t, &p);
    if (t.n == 0)
        st = bd_fail(err, BD_EINVALID, "%s",
                     p.why.msg[0] ? p.why.msg : "no layer can be swept");
    else
        st = fill_bases(&t, err);
    if (st == BD_OK)
        *out = t;
    else
        bd_sens_done(&t);
    return st;
}
