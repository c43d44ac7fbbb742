/* Sensitivities from files of three kinds, told apart by their content: an
 * array is MLX's pairs, an object with `groups` is ExLlamaV3's measurement,
 * one with our schema is ours.  sens_file.c says what they hold.
 *
 * The foreign kinds know differences, not losses; what is read from them is
 * right up to a constant per layer, which no allocation can see. */
#include "session/session_priv.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTHS = 16 };

struct reading {
    const struct bd_model *m;
    struct bd_sens_table t;
    size_t cap;
    int unknown; /* layers that the model lacks */
    struct bd_err *err;
};

static const cJSON *member(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static bd_status bad(struct reading *r, const char *path, const char *want)
{
    return bd_fail(r->err, BD_EFORMAT, "%s: %s is needed", path, want);
}

static struct bd_sens_point *new_point(struct reading *r)
{
    void *p = r->t.point;
    struct bd_sens_point *at;

    if (!bd_grow(&p, &r->cap, r->t.n + 1, sizeof *r->t.point)) {
        bd_fail(r->err, BD_ENOMEM, "out of memory for the sensitivities");
        return NULL;
    }
    r->t.point = p;
    at = &r->t.point[r->t.n++];
    *at = (struct bd_sens_point){.what = BD_SENS_W,
                                 .w = {.bits = 32}, .a = {.bits = 32}};
    for (int k = 0; k < BD_SENS_METRICS; k++)
        at->value[k] = at->half[k] = NAN;
    return at;
}

/* A module's name, or that of its weight. */
static int find_layer(struct reading *r, const char *name)
{
    char module[512];
    size_t n = strlen(name);
    int k = bd_model_find_layer(r->m, name);

    if (k < 0 && n > 7 && n < sizeof module &&
        strcmp(name + n - 7, ".weight") == 0) {
        snprintf(module, sizeof module, "%.*s", (int)n - 7, name);
        k = bd_model_find_layer(r->m, module);
    }
    r->unknown += k < 0;
    return k;
}

/* ------------------------------------------------------------------- ours */

static double number(const cJSON *obj, const char *key)
{
    const cJSON *v = member(obj, key);

    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

/* The same where text or an object would be a mistake: null and absence say
 * that it was not measured. */
static bd_status maybe(struct reading *r, double *out, const cJSON *obj,
                       const char *key, const char *path)
{
    const cJSON *v = member(obj, key);
    char at[128];

    *out = number(obj, key);
    if (!v || cJSON_IsNull(v) || cJSON_IsNumber(v))
        return BD_OK;
    snprintf(at, sizeof at, "%s.%s", path, key);
    return bad(r, at, "a number or null");
}

static bd_status read_side(struct reading *r, struct bd_tensorcfg *t,
                           const cJSON *o, const char *key, const char *path)
{
    const cJSON *text = member(o, key), *name = member(o, "method");
    double bits = number(o, "bits");
    char spec[96];
    struct bd_err e = {0};

    if (cJSON_IsString(text))
        snprintf(spec, sizeof spec, "%s", text->valuestring);
    else if (cJSON_IsString(name) && bits >= 1 && bits <= 32 &&
             bits == floor(bits))
        snprintf(spec, sizeof spec, "%s:%d", name->valuestring, (int)bits);
    else
        return bad(r, path, "'method' and 'bits' (1 to 32)");
    *t = (struct bd_tensorcfg){.bits = 32, .clip = BD_CLIP_MSE};
    if (bd_tensorcfg_parse(t, spec, &e) != BD_OK)
        return bd_fail(r->err, BD_EFORMAT, "%s: %s", path, e.msg);
    return t->channel || t->planes
               ? bad(r, path, "one width for the whole tensor")
               : BD_OK;
}

static int what_of(const cJSON *o)
{
    const cJSON *w = member(o, "what");

    for (int k = BD_SENS_W; k <= BD_SENS_WA; k++)
        if (cJSON_IsString(w) &&
            strcmp(w->valuestring, bd_sens_what_names[k]) == 0)
            return k;
    return -1;
}

static bd_status read_values(struct reading *r, struct bd_sens_point *p,
                             const cJSON *o, const char *path)
{
    static const char *const key[BD_SENS_METRICS] = {
        "kl", "top1_drop", "loss_rise", "out_mse", "fisher"};

    for (int k = 0; k < BD_SENS_METRICS; k++) {
        char ci[32];
        bd_status st = maybe(r, &p->value[k], o, key[k], path);

        snprintf(ci, sizeof ci, "%s_ci95", key[k]);
        if (st == BD_OK)
            st = maybe(r, &p->half[k], o, ci, path);
        if (st != BD_OK)
            return st;
    }
    double images = number(o, "images");
    p->images = images >= 0 && images < 1e15 ? (int64_t)images : 0;
    p->settled = cJSON_IsTrue(member(o, "settled")) != 0;
    return BD_OK;
}

/* Only the values themselves given: from whole numbers to differences. */
static void complete_values(struct bd_sens_point *p, const cJSON *o,
                            const struct bd_net_eval *base)
{
    if (isnan(p->value[BD_SENS_TOP1]))
        p->value[BD_SENS_TOP1] = base->top1 - number(o, "top1");
    if (isnan(p->value[BD_SENS_LOSS]))
        p->value[BD_SENS_LOSS] = number(o, "loss") - base->loss;
}

static bd_status read_point(struct reading *r, const cJSON *o, int layer,
                            const char *path)
{
    struct bd_sens_point *p;
    int what = cJSON_IsObject(o) ? what_of(o) : -1;
    bd_status st = BD_OK;

    if (what < 0)
        return bad(r, path, "an object with 'what' (w, a or wa)");
    p = new_point(r);
    if (!p)
        return BD_ENOMEM;
    p->layer = layer;
    p->what = (enum bd_sens_what)what;
    if (what & BD_SENS_W)
        st = read_side(r, &p->w, o, "weights", path);
    if (st == BD_OK && what & BD_SENS_A)
        st = read_side(r, &p->a, o, "activations", path);
    if (st == BD_OK)
        st = read_values(r, p, o, path);
    if (st != BD_OK)
        return st;
    complete_values(p, o, &r->t.baseline);
    for (int k = 0; k < BD_SENS_METRICS; k++)
        if (isfinite(p->value[k]))
            r->t.metrics |= 1u << k;
    return BD_OK;
}

static bd_status read_layer(struct reading *r, const cJSON *o, int at)
{
    const cJSON *name = member(o, "name"), *points = member(o, "points"), *p;
    char path[64];
    int layer, i = 0;

    snprintf(path, sizeof path, "layers[%d]", at);
    if (!cJSON_IsString(name) || !cJSON_IsArray(points))
        return bad(r, path, "an object with 'name' and 'points'");
    layer = find_layer(r, name->valuestring);
    cJSON_ArrayForEach(p, points)
    {
        bd_status st;

        snprintf(path, sizeof path, "layers[%d].points[%d]", at, i++);
        st = layer < 0 ? BD_OK : read_point(r, p, layer, path);
        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

static void read_head(struct reading *r, const cJSON *root)
{
    const cJSON *mode = member(root, "mode"), *b = member(root, "baseline");
    double images = number(root, "images");

    for (int k = 0; bd_sens_mode_names[k]; k++)
        if (cJSON_IsString(mode) &&
            strcmp(mode->valuestring, bd_sens_mode_names[k]) == 0)
            r->t.mode = (enum bd_sens_mode)k;
    r->t.images = images >= 0 && images < 1e15 ? (int64_t)images : 0;
    r->t.baseline.top1 = number(b, "top1");
    r->t.baseline.loss = number(b, "loss");
    r->t.baseline.images = r->t.baseline.total = r->t.images;
    r->t.complete = !cJSON_IsFalse(member(root, "complete"));
}

static bd_status read_ours(struct reading *r, const cJSON *root)
{
    const cJSON *schema = member(root, "schema");
    const cJSON *layers = member(root, "layers"), *o;
    const cJSON *lead = cJSON_GetArrayItem(member(root, "metrics"), 0);
    int at = 0;

    if (!cJSON_IsString(schema) ||
        strcmp(schema->valuestring, "bitdial.sweep/1") != 0 ||
        !cJSON_IsArray(layers))
        return bd_fail(r->err, BD_EFORMAT,
                       "no sensitivities: a bitdial.sweep/1 document, "
                       "ExLlamaV3's groups or MLX's pairs are understood");
    read_head(r, root);
    cJSON_ArrayForEach(o, layers)
    {
        bd_status st = read_layer(r, o, at++);
        if (st != BD_OK)
            return st;
    }
    for (int k = BD_SENS_METRICS; k-- > 0;) /* the first there is, or named */
        if (r->t.metrics & 1u << k)
            r->t.lead = (enum bd_sens_metric)k;
    for (int k = 0; k < BD_SENS_METRICS; k++)
        if (cJSON_IsString(lead) && r->t.metrics & 1u << k &&
            strcmp(lead->valuestring, bd_sens_metric_names[k]) == 0)
            r->t.lead = (enum bd_sens_metric)k;
    return BD_OK;
}

/* --------------------------------------------------------------- foreign */

/* Weights of one layer at a width; the loss is kl's. */
static bd_status add_kl(struct reading *r, int layer, int bits, double loss)
{
    struct bd_sens_point *p = new_point(r);

    if (!p)
        return BD_ENOMEM;
    p->layer = layer;
    p->w = (struct bd_tensorcfg){.bits = (int8_t)bits, .clip = BD_CLIP_MSE};
    p->w.quant = (uint8_t)bd_quantizer_find("uniform");
    p->value[BD_SENS_KL] = loss;
    r->t.metrics |= 1u << BD_SENS_KL;
    return BD_OK;
}

static bool width_of(int *bits, const cJSON *source)
{
    double bpw = number(source, "bpw");

    if (!(bpw >= 1 && bpw < 16.5))
        return false;
    *bits = (int)rint(bpw);
    return true;
}

struct alts { /* widths, the base first */
    int n, bits[WIDTHS + 1];
};

static bd_status read_alts(struct reading *r, struct alts *a,
                           const cJSON *root)
{
    const cJSON *alts = member(root, "alts"), *o;

    if (!width_of(&a->bits[0], member(root, "base")))
        return bad(r, "base.bpw", "a number from 1 to 16");
    a->n = 1;
    cJSON_ArrayForEach(o, alts)
    {
        if (a->n > WIDTHS)
            return bad(r, "alts", "no more than 16 alternatives");
        if (!width_of(&a->bits[a->n++], o))
            return bad(r, "alts[].bpw", "a number from 1 to 16");
    }
    return BD_OK;
}

/* A group's gain is its layers' together: shared out by their weights. */
static bd_status add_group(struct reading *r, const int *layer, int n,
                           const double *gain, const struct alts *a)
{
    double best = 0, all = 0;

    for (int i = 1; i < a->n; i++)
        best = gain[i] < best ? gain[i] : best;
    for (int k = 0; k < n; k++)
        all += (double)bd_tensor_count(
            &r->m->value[r->m->layer[layer[k]].weight].t);
    for (int k = 0; k < n; k++) {
        double part =
            (double)bd_tensor_count(
                &r->m->value[r->m->layer[layer[k]].weight].t) /
            fmax(all, 1);

        for (int i = 0; i < a->n; i++) {
            bd_status st = isnan(gain[i]) ? BD_OK
                                          : add_kl(r, layer[k], a->bits[i],
                                                   (gain[i] - best) * part);
            if (st != BD_OK)
                return st;
        }
    }
    return BD_OK;
}

static bd_status read_group(struct reading *r, const cJSON *o,
                            const struct alts *a)
{
    enum { MOST = 64 };
    const cJSON *names = member(o, "layers"), *c = member(o, "candidates"), *e;
    double gain[WIDTHS + 1] = {0};
    int layer[MOST], n = 0, i = 1;

    if (!cJSON_IsArray(names) || !cJSON_IsArray(c))
        return bad(r, "groups[]", "an object with 'layers' and 'candidates'");
    cJSON_ArrayForEach(e, names)
    {
        int k = cJSON_IsString(e) ? find_layer(r, e->valuestring) : -1;

        if (k >= 0 && n < MOST)
            layer[n++] = k;
    }
    for (int k = 1; k < a->n; k++)
        gain[k] = NAN;
    cJSON_ArrayForEach(e, c)
    {
        if (i >= a->n)
            return bad(r, "groups[].candidates", "one entry per alternative");
        gain[i++] = number(e, "dkld");
    }
    return add_group(r, layer, n, gain, a);
}

static bd_status read_exl3(struct reading *r, const cJSON *root)
{
    const cJSON *o;
    struct alts a;
    bd_status st = read_alts(r, &a, root);

    cJSON_ArrayForEach(o, member(root, "groups"))
    {
        if (st == BD_OK)
            st = read_group(r, o, &a);
    }
    return st;
}

/* The pairs hold one number per layer, of 4 bits against 5 as MLX asks by
 * default; the other widths follow by 6 dB per bit. */
static bd_status read_mlx(struct reading *r, const cJSON *root)
{
    const cJSON *o;

    cJSON_ArrayForEach(o, root)
    {
        const cJSON *name = cJSON_GetArrayItem(o, 0);
        const cJSON *score = cJSON_GetArrayItem(o, 1);

        if (!cJSON_IsArray(o) || !cJSON_IsString(name) ||
            !cJSON_IsNumber(score))
            return bad(r, "an entry", "a [name, score] pair");
        int layer = find_layer(r, name->valuestring);
        if (layer < 0)
            continue;
        double loss = score->valuedouble / 1e6 *
                      (double)bd_tensor_count(
                          &r->m->value[r->m->layer[layer].weight].t);
        for (int b = 2; b <= 8; b++) {
            bd_status st = add_kl(r, layer, b, loss * pow(4, 4 - b) / 0.75);
            if (st != BD_OK)
                return st;
        }
    }
    return BD_OK;
}

/* ----------------------------------------------------------------- a file */

static int in_order(const void *a, const void *b)
{
    const struct bd_sens_point *p = a, *q = b;

    return p->layer != q->layer ? (p->layer > q->layer ? 1 : -1)
                                : (p->column > q->column) -
                                      (p->column < q->column);
}

/* By layer, in the file's order within one; then the choices get their
 * numbers. */
static void sort_points(struct bd_sens_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->point[i].column = (int)i;
    qsort(t->point, t->n, sizeof *t->point, in_order);
    for (size_t i = 0; i < t->n; i++) {
        struct bd_sens_point *p = &t->point[i];
        const struct bd_tensorcfg *c = p->what == BD_SENS_A ? &p->a : &p->w;

        p->column = ((int)p->what * 256 + c->quant) * 64 + c->bits;
    }
}

/* Sums of losses over layers must stay numbers, whatever a file says. */
static bd_status in_reason(struct reading *r)
{
    for (size_t i = 0; i < r->t.n; i++)
        for (int k = 0; k < BD_SENS_METRICS; k++)
            if (fabs(r->t.point[i].value[k]) > 1e100)
                return bd_fail(r->err, BD_EFORMAT,
                               "a sensitivity of %s is beyond 1e100; no "
                               "measurement gives that",
                               bd_sens_metric_names[k]);
    return BD_OK;
}

static bd_status read_any(struct reading *r, const cJSON *root,
                          struct bd_str *warn)
{
    bd_status st;

    r->t.complete = true;
    if (cJSON_IsArray(root))
        st = read_mlx(r, root);
    else if (member(root, "groups"))
        st = read_exl3(r, root);
    else
        st = read_ours(r, root);
    if (st == BD_OK)
        st = in_reason(r);
    if (st != BD_OK)
        return st;
    if (r->t.n == 0)
        return bd_fail(r->err, BD_EFORMAT,
                       "no sensitivity of any layer of this model (%d names "
                       "it lacks)",
                       r->unknown);
    sort_points(&r->t);
    if (r->unknown && warn)
        bd_str_printf(warn, "%d of its layers are not in this model\n",
                      r->unknown);
    if (cJSON_IsArray(root) && warn)
        bd_str_puts(warn, "one score per layer: widths 2 to 8 follow it by "
                          "6 dB per bit\n");
    return BD_OK;
}

bd_status bd_sens_read(struct bd_sens_table *out, const struct bd_model *m,
                       struct bd_text text, struct bd_str *warn,
                       struct bd_err *err)
{
    struct reading r = {.m = m, .err = err};
    cJSON *root = NULL;
    bd_status st = bd_json_parse(&root, text.s, text.n, err);

    if (st == BD_OK)
        st = read_any(&r, root, warn);
    cJSON_Delete(root);
    if (st == BD_OK)
        *out = r.t;
    else
        bd_sens_done(&r.t);
    return st;
}
