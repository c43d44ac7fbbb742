/* A lab: everything about one split that is measured once.  Widths, budgets
 * and methods are then questions of microseconds, and of one back-end run
 * where the output's error is asked for. */
#include "session/session_priv.h"

#include "bitalloc/bitalloc.h"

#include <math.h>
#include <string.h>

static const char out_of_memory[] = "out of memory for the feature";

struct bd_lab *bd_lab_ref(struct bd_lab *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void bd_lab_unref(struct bd_lab *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    bd_judge_free(l->judge);
    bd_backend_done(&l->back);
    bd_plan_free(l->plan);
    bd_qtable_done(&l->t);
    bd_feature_done(&l->f);
    bd_free(l->mean);
    bd_free(l->dev);
    bd_free(l->sens);
    bd_free(l);
}

/* ---------------------------------------------------------------- opening */
static bd_status open_table(struct bd_lab *l, const struct bd_lab_opts *o,
                            struct bd_feature_work w, struct bd_err *err)
{
    struct bd_qtable_want want = {o->kind, &l->f};

    return o->table ? bd_qtable_read(&l->t, o->table, want, err)
                    : bd_qtable_make(&l->t, &l->f, o->kind, w, err);
}

/* The priority of alpha 1, beta 0 needs mean and deviation anyway. */
static bd_status measure(struct bd_lab *l, struct bd_err *err)
{
    size_t n = (size_t)l->f.channels + 1;

    l->mean = bd_calloc(n, sizeof *l->mean);
    l->dev = bd_calloc(n, sizeof *l->dev);
    double *score = bd_alloc(n, sizeof *score);
    if (!l->mean || !l->dev || !score) {
        bd_free(score);
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    bd_feature_priority(score, l->mean, l->dev, &l->f,
                        (struct bd_priority){1, 0});
    bd_free(score);
    return BD_OK;
}

static bd_status fill(struct bd_lab *l, const struct bd_lab_site *s,
                      const struct bd_lab_opts *o, struct bd_feature_work w,
                      struct bd_err *err)
{
    int64_t most = s->bench->o.images;
    int64_t n = o->images > 0 ? o->images : BD_LAB_IMAGES;
    struct bd_source src = {bd_pixels_fetch, s->bench->pixels,
                            n < most ? n : most};
    struct bd_plan_opts one = {.batch = 1};
    bd_status st = bd_plan_new(&l->plan, s->m, &one, err);

    if (st == BD_OK)
        st = bd_split_find(&l->split, s->m, l->plan, o->split, err);
    if (st == BD_OK)
        st = bd_feature_collect(&l->f, &l->split, &src, w, err);
    if (st == BD_OK)
        st = open_table(l, o, w, err);
    if (st == BD_OK)
        st = measure(l, err);
    if (st == BD_OK)
        st = bd_backend_open(&l->back, &l->split, l->f.images,
                             w.pool ? bd_pool_threads(w.pool) : 1, err);
    if (st == BD_OK)
        st = bd_judge_new(&l->judge, &l->f, &l->back, w, err);
    return st;
}

struct bd_lab_site bd_lab_site_of(const struct bd_session *s)
{
    return (struct bd_lab_site){s->m, s->bench, s->pool};
}

bd_status bd_lab_open(struct bd_lab **out, const struct bd_session *s,
                      const struct bd_lab_opts *o, struct bd_ctl *ctl,
                      struct bd_err *err)
{
    struct bd_lab_site site = bd_lab_site_of(s);

    if (!s->bench)
        return bd_fail(err, BD_EINVALID, "%s", s->why);
    return bd_lab_make(out, &site, o, ctl, err);
}

bd_status bd_lab_make(struct bd_lab **out, const struct bd_lab_site *site,
                      const struct bd_lab_opts *o, struct bd_ctl *ctl,
                      struct bd_err *err)
{
    struct bd_lab *l = bd_calloc(1, sizeof *l);
    bd_status st;

    if (!l)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    atomic_init(&l->refs, 1);
    st = fill(l, site, o, (struct bd_feature_work){site->pool, ctl}, err);
    if (st == BD_OK)
        *out = l;
    else
        bd_lab_unref(l);
    return st;
}

/* ---------------------------------------------------------------- solving */
static bd_status by_priority(int8_t *bits, double *left, struct bd_lab *l,
                             const struct bd_lab_ask *a, double budget)
{
    int64_t n = l->f.channels;
    double *score = bd_alloc((size_t)n + 1, sizeof *score), m = 0, s = 0;
    double spent;

    if (!score)
        return BD_ENOMEM;
    for (int64_t c = 0; c < n; c++) {
        m = fmax(m, l->mean[c]);
        s = fmax(s, l->dev[c]);
    }
    for (int64_t c = 0; c < n; c++)
        score[c] = (m > 0 ? a->p.alpha * (l->mean[c] / m) : 0) +
                   (s > 0 ? a->p.beta * (l->dev[c] / s) : 0);
    spent = bd_feature_fill(bits, score, NULL, n, budget);
    bd_free(score);
    *left = budget - spent;
    return spent < 0 ? BD_ENOMEM : BD_OK;
}

struct problem { /* of the allocators */
    struct bd_alloc_option *option; /* [n][9] */
    struct bd_alloc_layer *layer;   /* [n] */
    int *pick;
};

struct spend {
    const struct bd_allocator *row;
    const double *sens; /* [channels][9] losses; NULL = the table's */
    double budget;
};

static bd_status by_allocator(int8_t *bits, double *left,
                              const struct bd_lab *l, const struct spend *a)
{
    size_t n = (size_t)l->f.channels;
    struct problem p = {
        bd_alloc(n * BD_FEATURE_WIDTHS + 1, sizeof *p.option),
        bd_alloc(n + 1, sizeof *p.layer), bd_alloc(n + 1, sizeof *p.pick)};
    bool ok = p.option && p.layer && p.pick;
    struct bd_alloc_result r = {.pick = p.pick};
    bd_status st = BD_ENOMEM;

    for (size_t c = 0; ok && c < n; c++) {
        struct bd_alloc_option *o = p.option + c * BD_FEATURE_WIDTHS;

        for (int b = 0; b < BD_FEATURE_WIDTHS; b++)
            o[b] = (struct bd_alloc_option){
                b, b,
                a->sens ? a->sens[c * BD_FEATURE_WIDTHS + (size_t)b]
                        : l->t.c[c].mse[b]};
        p.layer[c] = (struct bd_alloc_layer){"", BD_FEATURE_WIDTHS, o, -1, -1};
    }
    if (ok)
        st = a->row->solve(
            &r, &(struct bd_alloc_problem){n, p.layer, a->budget}, NULL);
    for (size_t c = 0; st == BD_OK && c < n; c++)
        bits[c] = (int8_t)p.option[c * BD_FEATURE_WIDTHS +
                                   (size_t)p.pick[c]].bits;
    *left = st == BD_OK ? a->budget - r.cost : 0;
    bd_free(p.option);
    bd_free(p.layer);
    bd_free(p.pick);
    return st;
}

static bd_status need_sens(struct bd_lab *l, struct bd_err *err)
{
    size_t n = (size_t)l->f.channels * BD_FEATURE_WIDTHS;
    bd_status st;

    if (l->sens)
        return BD_OK;
    double *s = bd_alloc(n + 1, sizeof *s);
    if (!s)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    st = bd_judge_sensitivity(s, l->judge, &l->t, err);
    if (st == BD_OK)
        l->sens = s;
    else
        bd_free(s);
    return st;
}

static bd_status unknown(const char *method, struct bd_err *err)
{
    char shown[64];

    return bd_fail(err, BD_EINVALID,
                   "no method '%s'; there are priority, uniform, greedy, "
                   "lagrange and dp",
                   bd_text_show(shown, sizeof shown, method, 20));
}

bd_status bd_lab_solve(int8_t *bits, double *left, struct bd_lab *l,
                       const struct bd_lab_ask *a, struct bd_err *err)
{
    const char *method = a->method ? a->method : "priority";
    double budget = floor((double)l->f.channels * a->avg_bits + 0.5);
    const struct bd_allocator *row = bd_allocator_find(method);
    bool priority = strcmp(method, "priority") == 0;
    bd_status st = BD_OK;

    if (!row && !priority)
        return unknown(method, err);
    if (!(a->avg_bits >= 0) || a->avg_bits > BD_FEATURE_MOST)
        return bd_fail(err, BD_EINVALID,
                       "%g bits on average: 0 to 8 are possible", a->avg_bits);
    if (priority)
        st = by_priority(bits, left, l, a, budget);
    else if (a->on_output)
        st = need_sens(l, err);
    if (st == BD_OK && !priority)
        st = by_allocator(bits, left, l,
                          &(struct spend){row, a->on_output ? l->sens : NULL,
                                          budget});
    return st == BD_ENOMEM ? bd_fail(err, st, out_of_memory) : st;
}

bd_status bd_lab_uniform(double *mse, struct bd_lab *l, double avg_bits,
                         struct bd_err *err)
{
    struct bd_chanq *q = bd_alloc((size_t)l->f.channels + 1, sizeof *q);
    bd_status st;

    if (!q)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    bd_feature_one_interval(q, &l->f, (int)avg_bits);
    st = bd_judge_run(mse, l->judge, q, err);
    bd_free(q);
    return st;
}
