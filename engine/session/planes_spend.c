/* Rates: what the layers with planes take on average; and spending a rate,
 * their tables as options of the exact allocator (bitwise_bottleneck.md
 * section 5). */
#include "session/planes_priv.h"

#include "bitalloc/bitalloc.h"

#include <math.h>
#include <stdio.h>

static const char no_memory[] = "out of memory for the bit planes";

/* ------------------------------------------------------- the present rates */
double bd_planes_values(const struct bd_session *s, int layer,
                        enum bd_part part)
{
    const struct bd_layer *l = &s->m->layer[layer];
    int64_t n = part == BD_PART_W
                    ? bd_tensor_count(&s->m->value[l->weight].t)
                : s->plan && l->input >= 0
                    ? bd_tensor_count(bd_plan_value(s->plan, l->input))
                    : 1;
    return n > 0 ? (double)n : 1;
}

void bd_session_planes_net(struct bd_planes_net *out,
                           const struct bd_session *s, enum bd_part part)
{
    const struct bd_planes_state *p = bd_tool_peek(s, BD_TOOL_PLANES);
    struct bd_planes_net r = {0};
    double values = 0;
    int row = bd_quantizer_find("bottleneck");
    for (size_t i = 0; i < s->m->nlayers; i++) {
        const struct bd_tensorcfg *t = bd_planes_choice(&s->cfg, i, part);
        const struct bd_planes_layer *l =
            p ? bd_planes_fresh(s, &p->side[part], (int)i, part) : NULL;
        double n = bd_planes_values(s, (int)i, part), k = t->bits;
        if (t->quant != row || t->bits == 32)
            continue;
        if (t->planes)
            k = bd_planecode_kept(&t->planes->code);
        r.layers++;
        r.mean += k;
        r.weighted += n * k;
        r.with_sign += n * (k + (!l || l->table.negative));
        r.entropy += l && t->planes ? n * bd_planes_entropy(
                                              &l->codes, t->planes->code.mask)
                                    : (double)NAN;
        values += n;
    }
    if (r.layers > 0) {
        r.mean /= (double)r.layers;
        r.weighted /= values;
        r.with_sign /= values;
        r.entropy /= values;
    }
    if (p) {
        r.waiting = p->wish.on && p->wish.part == part;
        r.now = p->side[part].now;
        r.rate = p->side[part].rate;
    }
    *out = r;
}

char *bd_planes_net_goal(char *out, size_t cap, const struct bd_planes_net *n)
{
    out[0] = 0;
    if (n->rate > 0)
        snprintf(out, cap, "rate %.4g", n->rate);
    else if (n->now.db > 0)
        bd_threshold_text(out, cap, &n->now);
    return out;
}

char *bd_planes_net_text(char *out, size_t cap, const struct bd_planes_net *n)
{
    if (n->layers == 0)
        snprintf(out, cap, "no layer has planes");
    else
        snprintf(out, cap, "%.3g planes on average, %.3g by number of values",
                 n->mean, n->weighted);
    return out;
}

/* ---------------------------------------------------------------- spending */
/* What one unit of a layer's distortion is worth: its number of values; or,
 * where a sweep measured every layer's input alone, what scales its curve to
 * the loss measured at 4 bits. */
static double measured(const struct bd_sens_table *t, int layer)
{
    for (size_t k = 0; k < t->n; k++)
        if (t->point[k].layer == layer && t->point[k].what == BD_SENS_A &&
            t->point[k].a.bits == 4)
            return t->point[k].value[BD_SENS_KL];
    return (double)NAN;
}

static bool sensitivities(double *weight, const struct bd_session *s,
                          const struct bd_planes_side *side,
                          const struct bd_planes_wish *w)
{
    const struct bd_sens_table *sens = bd_session_sens(s);
    if (w->part != BD_PART_A || !sens)
        return false;
    for (size_t i = 0; i < w->n; i++) {
        const struct bd_plane_table *t = &side->layer[w->layer[i]].table;
        const struct bd_plane_row *row =
            &t->row[t->nrow > 4 ? 4 : t->nrow - 1];
        double loss = measured(sens, w->layer[i]);
        if (!(loss >= 0) || !(row->mse > 0))
            return false;
        weight[i] = fmax(loss, 1e-12) / row->mse;
    }
    return true;
}

struct room { /* of one problem */
    struct bd_alloc_layer *layer;   /* [n] */
    struct bd_alloc_option *option; /* [n][planes + 1] */
    double *weight;                 /* [n] */
    int *pick;                      /* [n] */
};

/* No planes at all is for tensors that are all zero. */
static void fill_layer(struct bd_alloc_layer *l, struct bd_alloc_option *o,
                       const struct bd_plane_table *t, double values,
                       double weight)
{
    l->option = o;
    l->tie = l->locked = -1;
    for (int r = 0; r < t->nrow; r++)
        if (t->row[r].k > 0 || t->nrow == 1)
            o[l->n++] = (struct bd_alloc_option){
                t->row[r].k, values * t->row[r].k, weight * t->row[r].mse};
}

static bd_status solve(struct room *m, const struct bd_session *s,
                       const struct bd_planes_side *side,
                       const struct bd_planes_wish *w, struct bd_err *err)
{
    struct bd_alloc_result r = {.pick = m->pick};
    double all = 0;
    bool sens = sensitivities(m->weight, s, side, w);
    for (size_t i = 0; i < w->n; i++) {
        double n = bd_planes_values(s, w->layer[i], w->part);
        all += n;
        m->layer[i].name = s->m->layer[w->layer[i]].name;
        fill_layer(&m->layer[i], m->option + i * (BD_PLANES + 1),
                   &side->layer[w->layer[i]].table, n,
                   sens ? m->weight[i] : n);
    }
    /* Budgets are sums of products: a hair of room for their rounding. */
    struct bd_alloc_problem p = {.n = w->n, .layer = m->layer,
                                 .budget = w->rate * all * (1 + 1e-12)};
    return bd_allocator_find("dp")->solve(&r, &p, err);
}

static const struct bd_plane_row *row_of(const struct bd_plane_table *t,
                                         int planes)
{
    for (int k = 0; k < t->nrow; k++)
        if (t->row[k].k == planes)
            return &t->row[k];
    return &t->row[t->nrow - 1];
}

bd_status bd_planes_spend(const struct bd_plane_row **row,
                          const struct bd_session *s,
                          const struct bd_planes_side *side,
                          const struct bd_planes_wish *w, struct bd_err *err)
{
    struct room m = {bd_calloc(w->n, sizeof *m.layer),
                     bd_calloc(w->n * (BD_PLANES + 1), sizeof *m.option),
                     bd_calloc(w->n, sizeof *m.weight),
                     bd_calloc(w->n, sizeof *m.pick)};
    bd_status st = m.layer && m.option && m.weight && m.pick
                       ? solve(&m, s, side, w, err)
                       : bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < w->n && st == BD_OK; i++)
        row[i] = row_of(&side->layer[w->layer[i]].table,
                        m.layer[i].option[m.pick[i]].bits);
    bd_free(m.layer);
    bd_free(m.option);
    bd_free(m.weight);
    bd_free(m.pick);
    return st;
}
