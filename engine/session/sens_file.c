/* Sensitivities as files, written; sens_read.c reads them.  Three kinds
 * (export_formats.md, sections 7 and 12):
 *
 *   json  our own: everything, and what the verb `sweep` prints
 *   exl3  per layer, what each wider alternative gains in KL divergence
 *         against a base width (dkld, negative) and costs in bits (dbits)
 *   mlx   [layer, score] pairs: what the narrower of two widths loses against
 *         the wider one, per million weights
 *
 * Layers go by their own names, which are module names where the model came
 * from a framework. */
#include "session/session_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const bd_sens_format_names[] = {"json", "exl3", "mlx", NULL};

/* --------------------------------------------------------------- our own */

static void half(struct bd_json *j, const char *name, double v)
{
    char key[32];

    snprintf(key, sizeof key, "%s_ci95", name);
    bd_json_f64(j, key, v); /* half width; infinite is null */
}

/* A point's accuracy and loss are those of the whole set: float's, moved by
 * the difference measured on the images it has seen. */
static void put_values(struct bd_json *j, const struct bd_sens_table *t,
                       const struct bd_sens_point *p)
{
    bd_json_f64(j, "kl", p->value[BD_SENS_KL]);
    bd_json_f64(j, "top1", t->baseline.top1 - p->value[BD_SENS_TOP1]);
    bd_json_f64(j, "loss", t->baseline.loss + p->value[BD_SENS_LOSS]);
    bd_json_f64(j, "out_mse", p->value[BD_SENS_OUT_MSE]);
    bd_json_f64(j, "fisher", p->value[BD_SENS_FISHER]);
    bd_json_f64(j, "top1_drop", p->value[BD_SENS_TOP1]);
    bd_json_f64(j, "loss_rise", p->value[BD_SENS_LOSS]);
    half(j, "kl", p->half[BD_SENS_KL]);
    half(j, "top1_drop", p->half[BD_SENS_TOP1]);
    half(j, "loss_rise", p->half[BD_SENS_LOSS]);
    half(j, "out_mse", p->half[BD_SENS_OUT_MSE]);
    half(j, "fisher", p->half[BD_SENS_FISHER]);
    bd_json_int(j, "images", p->images);
    bd_json_bool(j, "settled", p->settled);
}

static void put_point(struct bd_json *j, const struct bd_sens_table *t,
                      const struct bd_sens_point *p)
{
    const struct bd_tensorcfg *c = p->what == BD_SENS_A ? &p->a : &p->w;
    char text[96];

    bd_json_obj(j, NULL);
    bd_json_str(j, "what", bd_sens_what_names[p->what]);
    bd_json_int(j, "bits", c->bits);
    bd_json_str(j, "method", bd_quantizer_at(c->quant)->name);
    if (p->what & BD_SENS_W)
        bd_json_str(j, "weights", bd_tensorcfg_text(text, sizeof text, &p->w));
    if (p->what & BD_SENS_A)
        bd_json_str(j, "activations",
                    bd_tensorcfg_text(text, sizeof text, &p->a));
    put_values(j, t, p);
    bd_json_obj_end(j);
}

static void put_baseline(struct bd_json *j, const struct bd_net_eval *e)
{
    bd_json_obj(j, "baseline");
    bd_json_int(j, "images", e->images);
    bd_json_f64(j, "top1", e->top1);
    bd_json_arr_inline(j, "top1_ci95");
    bd_json_f64(j, NULL, e->ci_lo);
    bd_json_f64(j, NULL, e->ci_hi);
    bd_json_arr_end(j);
    bd_json_f64(j, "top5", e->top5);
    bd_json_f64(j, "loss", e->loss);
    bd_json_obj_end(j);
}

static void put_head(struct bd_json *j, const struct bd_sens_table *t)
{
    bd_json_str(j, "mode", bd_sens_mode_names[t->mode]);
    bd_json_arr_inline(j, "metrics");
    bd_json_str(j, NULL, bd_sens_metric_names[t->lead]);
    for (int k = 0; k < BD_SENS_METRICS; k++)
        if (t->metrics & 1u << k && k != (int)t->lead)
            bd_json_str(j, NULL, bd_sens_metric_names[k]);
    bd_json_arr_end(j);
    bd_json_int(j, "images", t->images);
    bd_json_bool(j, "complete", t->complete);
    put_baseline(j, &t->baseline);
    if (t->nbase == 0)
        return;
    bd_json_arr(j, "quantized");
    for (size_t i = 0; i < t->nbase; i++)
        put_point(j, t, &t->base[i]);
    bd_json_arr_end(j);
}

static void write_json(struct bd_json *j, const struct bd_model *m,
                       const struct bd_sens_table *t)
{
    bd_json_obj(j, NULL);
    bd_json_str(j, "schema", "bitdial.sweep/1");
    put_head(j, t);
    bd_json_arr(j, "layers");
    for (size_t k = 0, i = 0; k < m->nlayers; k++) {
        bd_json_obj(j, NULL);
        bd_json_str(j, "name", m->layer[k].name);
        bd_json_arr(j, "points");
        for (; i < t->n && t->point[i].layer == (int)k; i++)
            put_point(j, t, &t->point[i]);
        bd_json_arr_end(j);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
    bd_json_int(j, "evaluations", t->evaluations);
    bd_json_f64(j, "images_per_s",
                t->seconds > 0 ? (double)t->evaluations / t->seconds : NAN);
    bd_json_obj_end(j);
}

/* ----------------------------------------------------- widths of one method */

/* The weight points of each layer's first method: what both foreign kinds can
 * say. */
struct ladder {
    int n, bits[16];
};

static const struct bd_sens_point *step_of(const struct bd_sens_table *t,
                                           int layer, int bits)
{
    const struct bd_sens_point *first = NULL;

    for (size_t i = 0; i < t->n; i++) {
        const struct bd_sens_point *p = &t->point[i];

        if (p->layer != layer || p->what != BD_SENS_W)
            continue;
        first = first ? first : p;
        if (p->w.bits == bits && p->w.quant == first->w.quant &&
            p->w.grain == first->w.grain && p->w.clip == first->w.clip)
            return p;
    }
    return NULL;
}

/* Widths that every layer has, ascending. */
static void find_ladder(struct ladder *l, const struct bd_model *m,
                        const struct bd_sens_table *t)
{
    l->n = 0;
    for (int b = 1; b <= 16; b++) {
        bool all = m->nlayers > 0;

        for (size_t k = 0; k < m->nlayers && all; k++) {
            const struct bd_sens_point *p = step_of(t, (int)k, b);

            all = p && isfinite(p->value[BD_SENS_KL]);
        }
        if (all)
            l->bits[l->n++] = b;
    }
}

static double kl_of(const struct bd_sens_table *t, size_t layer, int bits)
{
    return step_of(t, (int)layer, bits)->value[BD_SENS_KL];
}

/* --------------------------------------------------------------- the others */

static void put_source(struct bd_json *j, const char *key, int bits)
{
    char dir[16];

    snprintf(dir, sizeof dir, "%d-bit", bits);
    bd_json_obj(j, key);
    bd_json_str(j, "dir", dir);
    bd_json_int(j, "bpw", bits);
    bd_json_obj_end(j);
}

static void put_group(struct bd_json *j, const struct bd_model *m,
                      const struct bd_sens_table *t, size_t k,
                      const struct ladder *l)
{
    const struct bd_sens_point *base = step_of(t, (int)k, l->bits[0]);
    int64_t stored = bd_stored_bits(m, (int)k, &base->w);

    bd_json_obj(j, NULL);
    bd_json_int(j, "idx", (int64_t)k);
    bd_json_arr_inline(j, "layers");
    bd_json_str(j, NULL, m->layer[k].name);
    bd_json_arr_end(j);
    bd_json_arr(j, "candidates");
    for (int i = 1; i < l->n; i++) {
        const struct bd_sens_point *p = step_of(t, (int)k, l->bits[i]);

        bd_json_obj(j, NULL);
        bd_json_f64(j, "dkld",
                    p->value[BD_SENS_KL] - base->value[BD_SENS_KL]);
        bd_json_int(j, "dbits", bd_stored_bits(m, (int)k, &p->w) - stored);
        bd_json_obj_end(j);
    }
    bd_json_arr_end(j);
    bd_json_obj_end(j);
}

/* base_kld is the sum over layers: what all narrow ones together should
 * lose if they do not help one another. */
static void write_exl3(struct bd_json *j, const struct bd_model *m,
                       const struct bd_sens_table *t, const struct ladder *l)
{
    double base = 0;

    bd_json_obj(j, NULL);
    put_source(j, "base", l->bits[0]);
    bd_json_arr(j, "alts");
    for (int i = 1; i < l->n; i++)
        put_source(j, NULL, l->bits[i]);
    bd_json_arr_end(j);
    bd_json_arr(j, "groups");
    for (size_t k = 0; k < m->nlayers; k++) {
        base += kl_of(t, k, l->bits[0]);
        put_group(j, m, t, k, l);
    }
    bd_json_arr_end(j);
    bd_json_f64(j, "base_kld", base);
    bd_json_str(j, "arch_string", m->arch ? m->arch : "");
    bd_json_obj_end(j);
}

static void write_mlx(struct bd_json *j, const struct bd_model *m,
                      const struct bd_sens_table *t, const struct ladder *l)
{
    bd_json_arr(j, NULL);
    for (size_t k = 0; k < m->nlayers; k++) {
        const struct bd_tensor *w = &m->value[m->layer[k].weight].t;
        double millions = (double)bd_tensor_count(w) / 1e6;

        bd_json_arr_inline(j, NULL);
        bd_json_str(j, NULL, m->layer[k].name);
        bd_json_f64(j, NULL, (kl_of(t, k, l->bits[0]) -
                              kl_of(t, k, l->bits[l->n - 1])) / millions);
        bd_json_arr_end(j);
    }
    bd_json_arr_end(j);
}

static bd_status finish(struct bd_str *out, struct bd_json *j,
                        struct bd_err *err)
{
    bool failed = j->out.failed || !j->out.s;

    if (!failed)
        bd_str_put(out, j->out.s, j->out.n);
    bd_json_done(j);
    return failed || out->failed
               ? bd_fail(err, BD_ENOMEM, "out of memory for the document")
               : BD_OK;
}

bd_status bd_sens_write(struct bd_str *out, const struct bd_model *m,
                        const struct bd_sens_table *t,
                        enum bd_sens_format format, struct bd_err *err)
{
    struct bd_json j = {.pretty = true};
    struct ladder l;

    if (format == BD_SENS_JSON) {
        write_json(&j, m, t);
        return finish(out, &j, err);
    }
    find_ladder(&l, m, t);
    if (l.n < 2 || t->mode != BD_SENS_ALONE_ON)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "'%s' tells what weights of every layer lose in KL at "
                       "two widths or more; sweep --what w --metric kl "
                       "--mode alone-on measures that",
                       bd_sens_format_names[format]);
    if (format == BD_SENS_EXL3)
        write_exl3(&j, m, t, &l);
    else
        write_mlx(&j, m, t, &l);
    return finish(out, &j, err);
}
