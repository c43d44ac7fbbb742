/* One minibatch through a pass: forward once, then each variant from its
 * layer's node to the end.
 *
 * The executor keeps every value in a buffer of its own, so what lies before
 * the changed layer is still there and nothing is copied.  That holds as long
 * as nothing before the node has been computed under another change: `dirty`
 * is the first node that has.  Where a layer becomes again what it was,
 * variants run from the last layer to the first, so each starts at or before
 * what the one before it made dirty; where changes add up, from the first to
 * the last. */
#include "sens_priv.h"

#include <string.h>

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Pixels of the unit; past the last image zeros, as the runner has it. */
static bd_status fetch(const struct bd_sens_work *w, struct bd_sens_lane *l)
{
    const struct bd_sens_ask *a = w->pass->ask;
    const struct bd_tensor *x = bd_exec_value(l->e, a->m->input[0]);
    int64_t first = l->unit * w->per_unit;
    int64_t each = bd_tensor_count(x) / w->per_unit;

    l->images = min64(w->per_unit, w->pass->t->images - first);
    memset(x->f + l->images * each, 0,
           (size_t)((w->per_unit - l->images) * each) * sizeof *x->f);
    return a->src.fetch(a->src.arg, first, l->images, x->f, &l->err);
}

static void keep_logits(const struct bd_sens_work *w, struct bd_sens_lane *l,
                        float *to)
{
    size_t n = (size_t)(l->images * w->classes);

    memcpy(to, bd_exec_value(l->e, w->logits)->f, n * sizeof *to);
    bd_logits_of(to, n, w->pass->ask->m);
}

static void count_float(struct bd_sens_sums *s, const struct bd_net_eval *e)
{
    s->n++;
    if (!e->images)
        return;
    s->labelled++;
    s->worse += e->right1;
    s->better += e->right5;
    s->sum[BD_SENS_LOSS] += e->loss;
}

/* What every variant is compared with. */
static void judge_float(const struct bd_sens_work *w, struct bd_sens_lane *l)
{
    const struct bd_sens_ask *a = w->pass->ask;
    int64_t first = l->unit * w->per_unit;

    keep_logits(w, l, l->f);
    for (int64_t i = 0; i < l->images; i++) {
        struct bd_sens_image *m = &l->image[i];

        m->f = l->f + i * w->classes;
        m->classes = w->classes;
        m->label = a->label ? a->label[first + i] : -1;
        bd_eval_logits(&m->fe, m->f, NULL, &m->label, 1, w->classes);
        if (w->pass->counts_float)
            count_float(&l->slot[w->pass->n + 1], &m->fe);
    }
}

static void judge(const struct bd_sens_work *w, struct bd_sens_lane *l,
                  size_t slot)
{
    keep_logits(w, l, l->z);
    for (int64_t i = 0; i < l->images; i++)
        bd_sens_add_image(&l->slot[slot], l->z + i * w->classes, &l->image[i]);
}

static bd_status run_from(struct bd_sens_lane *l, size_t node)
{
    struct bd_exec_run run = {.q = l->q};

    return bd_exec_run_part(l->e, &run, node, SIZE_MAX, &l->err);
}

static bd_status begin(const struct bd_sens_work *w, struct bd_sens_lane *l)
{
    const struct bd_sens_pass *p = w->pass;
    size_t n = p->ask->m->nlayers;
    bd_status st = fetch(w, l);

    memset(l->q, 0, n * sizeof *l->q);
    if (st == BD_OK)
        st = run_from(l, 0);
    if (st != BD_OK)
        return st;
    judge_float(w, l);
    if (p->base_at != SIZE_MAX) {
        memcpy(l->q, p->base, n * sizeof *l->q);
        st = run_from(l, 0);
        if (st == BD_OK)
            judge(w, l, p->n);
    }
    l->begun = true;
    l->next = 0;
    l->dirty = SIZE_MAX;
    return st;
}

static bd_status run_variant(const struct bd_sens_work *w,
                             struct bd_sens_lane *l, size_t at)
{
    const struct bd_sens_pass *p = w->pass;
    const struct bd_sens_variant *v = &p->v[at];
    bd_status st = BD_OK;

    if (!v->runs && p->back)
        return BD_OK;
    l->q[v->layer] = v->q;
    l->dirty = v->from < l->dirty ? v->from : l->dirty;
    if (v->runs) {
        st = run_from(l, l->dirty);
        l->dirty = SIZE_MAX;
        if (st == BD_OK)
            judge(w, l, at);
    }
    if (p->back) {
        l->q[v->layer] = p->base[v->layer];
        l->dirty = v->from;
    }
    return st;
}

bd_status bd_sens_fork(struct bd_sens_work *w, struct bd_sens_lane *l,
                       bool *done)
{
    if (!l->begun) {
        bd_status st = begin(w, l);

        *done = w->pass->n == 0;
        return st;
    }
    bd_status st = run_variant(w, l, l->next++);

    *done = l->next == w->pass->n;
    return st;
}
