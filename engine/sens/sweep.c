/* The sweep: rounds of images, and within a round one pass after another.
 *
 * A round ends after 64, 128, 256, ... images; there, and only there, points
 * are settled.  Which points share a pass depends on the table and the memory
 * alone, so a sweep that was interrupted finds every pass where its sums say
 * it stopped, and adds the same numbers in the same order. */
#include "sens_priv.h"

#include <math.h>
#include <string.h>

static const char no_memory[] = "out of memory for the sweep";
static const int64_t tell_ns = 100000000;

struct sweep {
    struct bd_sens_table *t;
    const struct bd_sens_ask *ask;
    struct bd_ctl *ctl;
    struct bd_sens_work work; /* of the forks, then of the scores */
    double *cost;             /* [n] of a point's fork, whole run = 1 */
    size_t *order;            /* [n] points, pass after pass */
    struct bd_sens_list *list; /* [n + 1] */
    size_t nlists;
    int64_t told_ns, began_ns;
    double before; /* seconds of earlier runs */
    bool scoring;
};

static struct bd_sens_sums *float_sums(const struct sweep *s)
{
    return &s->t->sums[s->t->n + s->t->nbase];
}

/* --------------------------------------------------------------- the lists */

static size_t bytes_of(const struct sweep *s, size_t at)
{
    const struct bd_sens_point *p = &s->t->point[at];
    const struct bd_model *m = s->ask->m;
    const struct bd_tensor *w = &m->value[m->layer[p->layer].weight].t;

    return p->what & BD_SENS_W ? (size_t)bd_tensor_count(w) * sizeof(float)
                               : 0;
}

/* Alone on: from the last point to the first, so many as memory holds. */
static void list_alone(struct sweep *s)
{
    size_t n = s->t->n, used = 0;
    struct bd_sens_list *l = NULL;

    for (size_t i = 0; i < n; i++)
        s->order[i] = n - 1 - i;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = bytes_of(s, s->order[i]);

        if (!l || l->n == BD_SENS_MOST ||
            (used > 0 && used + bytes > s->ask->memory)) {
            l = &s->list[s->nlists++];
            *l = (struct bd_sens_list){s->order + i, 0, SIZE_MAX};
            used = 0;
        }
        l->n++;
        used += bytes;
    }
}

/* Column by column: the passes of the other modes. */
static void list_columns(struct sweep *s)
{
    const struct bd_sens_table *t = s->t;
    bool off = t->mode == BD_SENS_ALONE_OFF;
    size_t used = 0;

    for (int c = 0; used < t->n; c++) {
        struct bd_sens_list *l = &s->list[s->nlists];

        *l = (struct bd_sens_list){s->order + used, 0, SIZE_MAX};
        for (size_t i = 0; i < t->n; i++) {
            size_t at = off ? t->n - 1 - i : i;

            if (t->point[at].column != c)
                continue;
            s->order[used++] = at;
            l->n++;
        }
        for (size_t b = 0; off && b < t->nbase; b++)
            if (t->base[b].column == c)
                l->base = b;
        s->nlists += l->n > 0;
    }
}

/* Share of a whole run behind each point's layer, for the time left. */
static void price(struct sweep *s)
{
    const struct bd_model *m = s->ask->m;
    double all = 1e-9;

    for (size_t i = 0; i < m->nnodes; i++)
        all += (double)bd_plan_macs(s->work.plan, (int)i);
    for (size_t i = 0; i < s->t->n; i++) {
        size_t from = (size_t)m->layer[s->t->point[i].layer].node;
        double part = 0;

        for (size_t k = from; k < m->nnodes; k++)
            part += (double)bd_plan_macs(s->work.plan, (int)k);
        s->cost[i] = part / all + 0.01;
    }
}

/* ------------------------------------------------------------- telling */

static void progress(const struct sweep *s)
{
    const struct bd_sens_table *t = s->t;
    double done = 0, total = 0;
    bool forks = t->metrics & BD_SENS_SAMPLED;
    bool scores = t->metrics & 1u << BD_SENS_FISHER;

    for (size_t i = 0; i < t->n; i++) {
        const struct bd_sens_sums *u = &t->sums[i];
        int64_t seen = t->point[i].settled ? t->images : u->n;

        if (forks) {
            done += s->cost[i] * (double)seen;
            total += s->cost[i] * (double)t->images;
        }
        if (scores) { /* a backward pass serves many */
            done += 0.05 * (double)u->scored;
            total += 0.05 * (double)t->images;
        }
    }
    bd_ctl_progress(s->ctl, (int64_t)(done * 100), (int64_t)(total * 100));
}

static void tell(void *arg)
{
    struct sweep *s = arg;
    int64_t now = bd_now_ns();

    progress(s);
    if (now - s->told_ns < tell_ns)
        return;
    s->told_ns = now;
    s->t->seconds = s->before + (double)(now - s->began_ns) / 1e9;
    bd_sens_refresh(s->t);
    if (s->ask->step)
        s->ask->step(s->ask->arg, s->t);
}

/* ------------------------------------------------------------- a pass */

/* Where a list stands: its points that still run have seen the same. */
static int64_t seen_by(const struct sweep *s, const struct bd_sens_list *l,
                       bool counts_float)
{
    int64_t n = counts_float ? float_sums(s)->n : INT64_MAX;

    for (size_t i = 0; i < l->n; i++) {
        const struct bd_sens_sums *u = &s->t->sums[l->point[i]];

        if (s->scoring)
            n = u->scored < n ? u->scored : n;
        else if (!s->t->point[l->point[i]].settled)
            n = u->n < n ? u->n : n;
    }
    if (!s->scoring && l->base != SIZE_MAX) {
        const struct bd_sens_sums *b = &s->t->sums[s->t->n + l->base];

        n = b->n < n ? b->n : n;
    }
    return n;
}

/* Settled points need no room where others do not build on them. */
static void leave_out(struct bd_sens_list *l, size_t *room,
                      const struct sweep *s)
{
    size_t n = 0;

    if (s->t->mode != BD_SENS_ALONE_ON || s->scoring)
        return;
    for (size_t i = 0; i < l->n; i++)
        if (!s->t->point[l->point[i]].settled)
            room[n++] = l->point[i];
    l->point = room;
    l->n = n;
}

static bd_status run_list(struct sweep *s, size_t at, int64_t until,
                          struct bd_err *err)
{
    struct bd_sens_list l = s->list[at];
    struct bd_sens_work *w = &s->work;
    size_t room[BD_SENS_MOST];
    bool counts = at == 0 && !s->scoring;
    int64_t from = seen_by(s, &l, counts);
    struct bd_sens_pass p = {.ask = s->ask, .t = s->t, .counts_float = counts};
    bd_status st;

    if (from >= until)
        return BD_OK;
    leave_out(&l, room, s);
    w->first = from / w->per_unit;
    w->end = (until + w->per_unit - 1) / w->per_unit;
    st = bd_sens_pass_init(&p, &l, err);
    for (size_t i = 0; s->scoring && i < p.n; i++)
        p.v[i].runs = true;
    if (st == BD_OK)
        st = bd_sens_drive(w, &p, tell, s, err);
    bd_sens_pass_done(&p);
    return st;
}

/* ----------------------------------------------------------- the rounds */

/* A decision made before an interruption is not made again on later sums. */
static bool decided(const struct sweep *s, int64_t edge)
{
    for (size_t i = 0; i < s->t->n; i++)
        if (s->t->sums[i].n > edge)
            return true;
    return false;
}

static bd_status rounds(struct sweep *s, struct bd_err *err)
{
    const int64_t unit = s->work.per_unit, all = s->t->images;
    int64_t edge = (BD_SENS_FIRST + unit - 1) / unit * unit;
    bd_status st = BD_OK;

    for (int64_t end = 0; st == BD_OK && end < all; edge *= 2) {
        end = s->ask->no_early_stop || edge > all ? all : edge;
        for (size_t k = 0; k < s->nlists && st == BD_OK; k++)
            st = run_list(s, k, end, err);
        if (st == BD_OK && end < all && !decided(s, end))
            bd_sens_settle(s->t);
    }
    return st;
}

static bd_status open_plan(struct bd_plan **plan, struct sweep *s,
                           const struct bd_plan_opts *o, struct bd_err *err)
{
    bd_status st = bd_plan_new(plan, s->ask->m, o, err);

    s->work = (struct bd_sens_work){.ctl = s->ctl};
    if (st == BD_OK)
        st = bd_sens_work_init(&s->work, s->ask, *plan, err);
    return st;
}

/* The baseline alone takes the first list, even when nothing is forked. */
static bd_status forks(struct sweep *s, struct bd_err *err)
{
    struct bd_plan_opts o = {.batch = s->ask->batch, .keep = true};
    struct bd_plan *plan = NULL;
    bd_status st = open_plan(&plan, s, &o, err);

    s->work.advance = bd_sens_fork;
    if (!(s->t->metrics & BD_SENS_SAMPLED))
        s->list[s->nlists++] = (struct bd_sens_list){s->order, 0, SIZE_MAX};
    else if (s->t->mode == BD_SENS_ALONE_ON)
        list_alone(s);
    else
        list_columns(s);
    if (st == BD_OK) {
        price(s);
        st = rounds(s, err);
    }
    bd_sens_work_done(&s->work);
    bd_plan_free(plan);
    return st;
}

static bd_status scores(struct sweep *s, struct bd_err *err)
{
    const struct bd_model *m = s->ask->m;
    struct bd_plan_opts o = {.batch = 1, .train = true, .frozen = true};
    struct bd_plan *plan = NULL;
    bd_status st = open_plan(&plan, s, &o, err);

    s->scoring = true;
    s->nlists = 0;
    list_alone(s);
    s->work.advance = bd_sens_score;
    if (st == BD_OK && s->work.per_unit != 1)
        st = bd_fail(err, BD_EUNSUPPORTED,
                     "'fisher' takes one image at a time, the network is made "
                     "for %lld; 'kl' works",
                     (long long)s->work.per_unit);
    if (st == BD_OK && bd_ends_in_softmax(m))
        s->work.logits = m->node[m->value[m->output[0]].producer].in[0];
    for (size_t k = 0; k < s->nlists && st == BD_OK; k++)
        st = run_list(s, k, s->t->images, err);
    bd_sens_work_done(&s->work);
    bd_plan_free(plan);
    return st;
}

static bd_status check(const struct bd_sens_table *t, struct bd_err *err)
{
    if (t->metrics & 1u << BD_SENS_FISHER && t->mode != BD_SENS_ALONE_ON)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "'fisher' scores each layer alone; mode 'alone-on' "
                       "has it, for '%s' take 'kl'",
                       bd_sens_mode_names[t->mode]);
    return BD_OK;
}

bd_status bd_sens_run(struct bd_sens_table *t, const struct bd_sens_ask *ask,
                      struct bd_ctl *ctl, struct bd_err *err)
{
    struct sweep s = {.t = t, .ask = ask, .ctl = ctl, .before = t->seconds,
                      .began_ns = bd_now_ns()};
    size_t all = t->n + t->nbase + 1;
    bd_status st = check(t, err);

    if (st != BD_OK)
        return st;
    if (!t->sums)
        t->sums = bd_calloc(all, sizeof *t->sums);
    s.cost = bd_calloc(t->n + 1, sizeof *s.cost);
    s.order = bd_calloc(t->n + 1, sizeof *s.order);
    s.list = bd_calloc(t->n + 1, sizeof *s.list);
    if (!t->sums || !s.cost || !s.order || !s.list)
        st = bd_fail(err, BD_ENOMEM, no_memory);
    if (st == BD_OK)
        st = forks(&s, err);
    if (st == BD_OK && t->metrics & 1u << BD_SENS_FISHER)
        st = scores(&s, err);
    t->complete = st == BD_OK;
    t->seconds = s.before + (double)(bd_now_ns() - s.began_ns) / 1e9;
    if (t->sums)
        bd_sens_refresh(t);
    bd_free(s.cost);
    bd_free(s.order);
    bd_free(s.list);
    return st;
}
