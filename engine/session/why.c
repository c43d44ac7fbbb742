/* Why does this layer hurt?  In words, every one of them computed: its share
 * of the loss of all layers, what is odd about its weights (channels of very
 * different ranges, outlying ones), and what each change within reach would
 * do, tried on the weights at hand.
 *
 * A change is tried by fitting it: its squared error against the present one.
 * Where the sweep measured the changed choice the loss is that number;
 * elsewhere it is the present loss moved with the squared error, which holds
 * for small errors, and is called an estimate.  Without a sweep the error of
 * the weights against the weights themselves stands for the loss. */
#include "session/sweep_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 12 };

struct bd_why_ask { /* the job's argument, all copied or shared */
    const struct bd_model *m;
    struct bd_fits *fits;
    struct bd_bench *bench; /* or NULL */
    struct bd_bitcfg cfg;
    struct bd_sens_table t; /* n 0 = none */
    double *loss;           /* [nlayers], NaN = not known */
    bool *here;             /* [nlayers] it is of the present choice */
    int *bits;              /* [nlayers] judged at */
    double *input;          /* [nlayers] part of its input, NaN or 0 = none */
    int layer;              /* asked for, -1 = the guiltiest */
};

static void say(struct bd_why *w, bool heading, const char *fmt, ...)
    BD_PRINTF(3, 4);

static void say(struct bd_why *w, bool heading, const char *fmt, ...)
{
    va_list ap;

    if (w->n == BD_WHY_LINES)
        return;
    w->heading[w->n] = heading;
    va_start(ap, fmt);
    vsnprintf(w->line[w->n++], sizeof w->line[0], fmt, ap);
    va_end(ap);
}

static const char *name_of(char *room, size_t cap,
                           const struct bd_why_ask *a, int layer)
{
    return bd_text_show(room, cap, a->m->layer[layer].name, 40);
}

/* -------------------------------------------------------------- the guilty */

struct guilt {
    int first, second; /* layers, -1 = none */
    double all, rest;  /* sum of losses; without the first */
};

static struct guilt find_guilty(const struct bd_why_ask *a)
{
    struct guilt g = {-1, -1, 0, 0};

    for (size_t i = 0; i < a->m->nlayers; i++) {
        double v = a->loss[i];

        if (!(v > 0))
            continue;
        g.all += v;
        if (g.first < 0 || v > a->loss[g.first]) {
            g.second = g.first;
            g.first = (int)i;
        } else if (g.second < 0 || v > a->loss[g.second]) {
            g.second = (int)i;
        }
    }
    return g;
}

static const char *measure_of(const struct bd_why_ask *a)
{
    static const char *const words[BD_SENS_METRICS] = {
        "KL", "top-1", "loss", "logit MSE", "gradient score"};

    return a->t.n ? words[a->t.lead] : "noise";
}

/* The share, and who comes next. */
static void say_share(struct bd_why *w, const struct bd_why_ask *a,
                      const struct guilt *g, int layer)
{
    char name[128], other[128];
    double share = g->all > 0 ? a->loss[layer] / g->all : NAN;
    int next = layer == g->first ? g->second : g->first;

    if (isnan(share)) {
        say(w, true, "%s: nothing is known of its loss yet",
            name_of(name, sizeof name, a, layer));
        return;
    }
    say(w, true, "%s %s %.0f %% of what all layers lose",
        name_of(name, sizeof name, a, layer),
        layer == g->first ? "is guilty of" : "has", 100 * share);
    say(w, false, "%s %.3g%s at %d bits%s", measure_of(a), a->loss[layer],
        a->t.n ? "" : " of the weights' power", a->bits[layer],
        a->here[layer] ? "" : ", were it not in float");
    if (a->input[layer] > 0)
        say(w, false, "of that %.0f %% by quantizing its input to %d bits",
            100 * a->input[layer] / a->loss[layer],
            a->cfg.layer[layer].a.bits);
    if (next >= 0)
        say(w, false, "%s: %s with %.0f %%",
            layer == g->first ? "next" : "most",
            name_of(other, sizeof other, a, next),
            100 * a->loss[next] / g->all);
    if (!a->t.n)
        say(w, false, "by the error of its weights alone: w measures");
}

/* ---------------------------------------------------------- its channels */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct ranges { /* of channels */
    double most, median, least;
    int64_t n, at, outliers; /* channels; the widest; beyond 4 medians */
};

static bool summarize(struct ranges *r, double *range, int64_t n)
{
    double *sorted = bd_alloc((size_t)n + 1, sizeof *sorted);

    if (!sorted || n < 1) {
        bd_free(sorted);
        return false;
    }
    memcpy(sorted, range, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    *r = (struct ranges){.most = sorted[n - 1], .median = sorted[n / 2],
                         .least = sorted[0], .n = n};
    for (int64_t c = 0; c < n; c++) {
        r->outliers += range[c] > 4 * r->median;
        if (range[c] > range[r->at])
            r->at = c;
    }
    bd_free(sorted);
    return true;
}

static bool weight_ranges(struct ranges *r, const struct bd_why_ask *a,
                          int layer)
{
    struct bd_weights w = bd_fits_weights(a->fits, layer);
    const struct bd_slices *s = &w.slices;
    double *range = bd_calloc((size_t)s->channels + 1, sizeof *range);
    bool ok = range != NULL;

    for (int64_t o = 0; ok && o < s->outer; o++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t k = 0; k < s->inner; k++) {
                double x = fabs((double)w.x[(o * s->channels + c) * s->inner +
                                            k]);
                range[c] = x > range[c] ? x : range[c];
            }
    ok = ok && summarize(r, range, s->channels);
    bd_free(range);
    return ok;
}

static bool input_ranges(struct ranges *r, const struct bd_why_ask *a,
                         int layer)
{
    const struct bd_chanstat *s =
        a->bench ? bd_bench_chanstat(a->bench, layer) : NULL;
    int64_t n = s ? bd_chanstat_channels(s) : 0;
    double *range = bd_calloc((size_t)n + 1, sizeof *range);
    bool ok = range && n > 0;

    for (int64_t c = 0; ok && c < n; c++) {
        const struct bd_actstat *k = bd_chanstat_at(s, c);

        ok = k != NULL;
        range[c] = k ? bd_actstat_absmax(k) : 0;
    }
    ok = ok && summarize(r, range, n);
    bd_free(range);
    return ok;
}

static void say_ranges(struct bd_why *w, const char *what,
                       const struct ranges *r)
{
    if (r->n < 2 || r->median <= 0)
        return;
    say(w, false, "%s channels: widest (%lld) reaches %.3g, median %.3g: "
                  "%.1f times",
        what, (long long)r->at, r->most, r->median, r->most / r->median);
    if (r->outliers > 0)
        say(w, false, "  %lld of %lld beyond 4 medians share a grid with the "
                      "rest",
            (long long)r->outliers, (long long)r->n);
}

/* ------------------------------------------------------- what would help */

struct change {
    char what[48];
    struct bd_tensorcfg t;
    double err2, loss; /* ratio of squared errors to now, NaN = of the input;
                          loss of the layer after it */
    double kb;         /* more than now */
    bool measured;
};

struct trials {
    const struct bd_why_ask *a;
    int layer, n;
    struct bd_tensorcfg now;
    double mse, loss; /* of both sides */
    double input;     /* part of its input */
    struct change c[TRIES];
};

static double mse_of(const struct bd_why_ask *a, int layer,
                     const struct bd_tensorcfg *t, struct bd_ctl *ctl)
{
    struct bd_fit_ask ask = {layer, t};
    const struct bd_fit *fit = NULL;
    double mse;

    if (bd_config_allows(a->m, layer, true, t, NULL) != BD_OK ||
        bd_fits_get(&fit, a->fits, ask, ctl, NULL) != BD_OK || !fit)
        return NAN;
    mse = fit->err.mse;
    bd_fits_unref(a->fits, fit);
    return mse;
}

static void try_one(struct trials *s, const struct bd_tensorcfg *t,
                    const char *what, struct bd_ctl *ctl)
{
    struct change *c = &s->c[s->n];
    double mse;

    if (s->n == TRIES || bd_ctl_stale(ctl) || bd_tensorcfg_same(t, &s->now))
        return;
    mse = mse_of(s->a, s->layer, t, ctl);
    if (!(mse >= 0) || !(s->mse > 0))
        return;
    *c = (struct change){.t = *t, .err2 = mse / s->mse};
    snprintf(c->what, sizeof c->what, "%s", what);
    c->kb = (double)(bd_stored_bits(s->a->m, s->layer, t) -
                     bd_stored_bits(s->a->m, s->layer, &s->now)) / 8192;
    const struct bd_sens_point *p =
        s->a->t.n ? bd_sens_find(&s->a->t, s->layer, BD_SENS_W, t) : NULL;
    c->measured = p && isfinite(p->value[s->a->t.lead]);
    c->loss = s->input + (c->measured ? p->value[s->a->t.lead]
                                      : (s->loss - s->input) * c->err2);
    s->n++;
}

/* Wider inputs, where the sweep measured them. */
static void try_input(struct trials *s, int more)
{
    struct change *c = &s->c[s->n];
    struct bd_tensorcfg t = s->a->cfg.layer[s->layer].a;
    const struct bd_sens_point *p;

    if (s->n == TRIES || !(s->input > 0))
        return;
    t.planes = NULL; /* of the present width */
    t.bits = (int8_t)(t.bits + more);
    p = bd_sens_find(&s->a->t, s->layer, BD_SENS_A, &t);
    if (!p || !isfinite(p->value[s->a->t.lead]))
        return;
    *c = (struct change){.t = t, .err2 = NAN, .measured = true};
    snprintf(c->what, sizeof c->what, "input at %d bits", t.bits);
    c->loss = s->loss - s->input + p->value[s->a->t.lead];
    s->n++;
}

static void try_all(struct trials *s, struct bd_ctl *ctl)
{
    static const char *const methods[] = {"uniform", "affine", "apot",
                                          "kmeans",  "nf4",    NULL};
    struct bd_tensorcfg t = s->now;

    t.grain = BD_GRAIN_CHANNEL;
    t.group = 0;
    try_one(s, &t, "one grid per channel", ctl);
    t = s->now;
    t.clip = BD_CLIP_MSE;
    try_one(s, &t, "clip by mse", ctl);
    t = s->now;
    t.bits++;
    try_one(s, &t, "one bit more", ctl);
    t.bits++;
    try_one(s, &t, "two bits more", ctl);
    try_input(s, 1);
    try_input(s, 2);
    for (int k = 0; methods[k]; k++) {
        int row = bd_quantizer_find(methods[k]);
        char what[48];

        if (row < 0 || row == s->now.quant)
            continue;
        t = s->now;
        t.quant = (uint8_t)row;
        snprintf(what, sizeof what, "method %s", methods[k]);
        try_one(s, &t, what, ctl);
    }
}

static int by_loss(const void *a, const void *b)
{
    double x = ((const struct change *)a)->loss;
    double y = ((const struct change *)b)->loss;

    return (x > y) - (x < y);
}

static void say_one(struct bd_why *w, const struct trials *s,
                    const struct change *c)
{
    char error[32] = "";

    if (!isnan(c->err2))
        snprintf(error, sizeof error, "%+5.1f dB error, ",
                 10 * log10(c->err2 > 1e-12 ? c->err2 : 1e-12));
    say(w, false, "%-21s %s%s %.3g%s, %+.1f KB", c->what, error,
        measure_of(s->a), c->loss, c->measured ? "" : " (est.)", c->kb);
}

static void say_trials(struct bd_why *w, struct trials *s)
{
    int said = 0;

    qsort(s->c, (size_t)s->n, sizeof *s->c, by_loss);
    for (int i = 0; i < s->n && said < 5; i++) {
        const struct change *c = &s->c[i];

        if (c->loss >= 0.9 * s->loss)
            continue;
        if (!said++)
            say(w, true, "What would help");
        say_one(w, s, c);
    }
    if (!said)
        say(w, true, "No grid, clip, method or bit within reach would take a "
                     "tenth off");
}

/* Weights in float are judged at the width the table used. */
static struct bd_tensorcfg present(const struct bd_why_ask *a, int layer)
{
    struct bd_tensorcfg t = a->cfg.layer[layer].w;

    if (!bd_session_is_float(&t)) {
        t.channel = NULL;
        t.planes = NULL;
        return t;
    }
    t = (struct bd_tensorcfg){.bits = (int8_t)a->bits[layer],
                              .clip = BD_CLIP_MSE};
    t.quant = (uint8_t)bd_quantizer_find("uniform");
    return t;
}

static void explain(struct bd_why *w, const struct bd_why_ask *a,
                    struct bd_ctl *ctl)
{
    struct guilt g = find_guilty(a);
    struct ranges r;
    int layer = a->layer >= 0 ? a->layer : g.first;

    w->layer = layer;
    if (layer < 0) {
        say(w, true, "No layer is guilty: nothing is quantized, nothing "
                     "measured");
        say(w, false, "w measures what each layer would lose");
        return;
    }
    say_share(w, a, &g, layer);
    if (weight_ranges(&r, a, layer))
        say_ranges(w, "weight", &r);
    if (!bd_session_is_float(&a->cfg.layer[layer].a) &&
        input_ranges(&r, a, layer))
        say_ranges(w, "input", &r);
    struct trials s = {.a = a, .layer = layer, .now = present(a, layer),
                       .loss = a->loss[layer]};
    if (a->input[layer] > 0)
        s.input = a->input[layer];
    s.mse = mse_of(a, layer, &s.now, ctl);
    if (!(s.loss > 0))
        s.loss = 1; /* errors are compared all the same */
    try_all(&s, ctl);
    say_trials(w, &s);
}

/* ----------------------------------------------------------------- the job */

void bd_why_ask_free(void *p)
{
    struct bd_why_ask *a = p;

    if (!a)
        return;
    bd_bitcfg_done(&a->cfg);
    bd_sens_done(&a->t);
    bd_free(a->loss);
    bd_free(a->here);
    bd_free(a->bits);
    bd_free(a->input);
    bd_free(a);
}

bd_status bd_why_run(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err)
{
    struct bd_why *w = bd_calloc(1, sizeof *w);

    if (!w)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    explain(w, arg, ctl);
    *result = w;
    return BD_OK;
}

/* Without a sweep: noise against signal of the weights, as the list has it. */
static void judge_by_noise(struct bd_why_ask *a, const struct bd_session *s)
{
    for (size_t i = 0; i < s->m->nlayers; i++) {
        const struct bd_layer_live *l = &s->live[i];
        const struct bd_tensorcfg *t = &s->cfg.layer[i].w;

        a->here[i] = !bd_session_is_float(t);
        a->bits[i] = a->here[i] ? t->bits : 4;
        a->loss[i] = a->here[i] && l->have_w && isfinite(l->w.sqnr_db)
                         ? pow(10, -l->w.sqnr_db / 10)
                         : NAN;
    }
}

static void judge_by_sweep(struct bd_why_ask *a, const struct bd_session *s)
{
    for (size_t i = 0; i < s->m->nlayers; i++) {
        struct bd_sens_view v;

        bd_session_sens_of(&v, s, (int)i);
        a->loss[i] = v.loss;
        a->here[i] = v.here;
        a->bits[i] = v.bits;
        a->input[i] = v.here ? bd_sweep_side(s, (int)i, BD_SENS_A) : NAN;
    }
}

struct bd_why_ask *bd_why_ask_new(const struct bd_session *s, int layer)
{
    size_t n = s->m->nlayers + 1;
    const struct bd_sens_table *t = bd_session_sens(s);
    struct bd_why_ask *a = bd_calloc(1, sizeof *a);

    if (!a)
        return NULL;
    *a = (struct bd_why_ask){.m = s->m, .fits = s->fits, .bench = s->bench,
                             .layer = layer};
    a->loss = bd_calloc(n, sizeof *a->loss);
    a->here = bd_calloc(n, sizeof *a->here);
    a->bits = bd_calloc(n, sizeof *a->bits);
    a->input = bd_calloc(n, sizeof *a->input);
    if (!a->loss || !a->here || !a->bits || !a->input ||
        bd_bitcfg_copy(&a->cfg, &s->cfg) != BD_OK ||
        (t && bd_sens_copy(&a->t, t) != BD_OK)) {
        bd_why_ask_free(a);
        return NULL;
    }
    if (t)
        judge_by_sweep(a, s);
    else
        judge_by_noise(a, s);
    return a;
}
