/* The feature tool: channel allocation of a split on the long lane.
 *
 * A job measures the lab when there is none yet, solves, and refines with the
 * back end in the loop.  What is known is posted as it comes: first the
 * widths, then each exchange, so the screen shows the error going down and a
 * stopped job leaves the best so far.  The lab outlives jobs by counting; only
 * the job that runs touches its judge, and the lane runs one at a time. */
#include "session/session_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct outcome { /* posted and final results alike */
    struct bd_lab *lab; /* counted */
    int8_t *bits;       /* [channels] */
    double avg_bits, left, mse, start, uniform;
    int64_t runs, done; /* asked for, done */
    struct bd_refine_step *step; /* [done] */
};

struct state {
    bool running, stopped;
    char split[160], why[300];
    struct bd_lab_site site;   /* the network that was split */
    struct bd_feature_ask ask; /* the newest; its split is the one above */
    struct outcome *now;       /* NULL = nothing yet */
};

struct order { /* a job's argument */
    struct bd_lab_site site;
    struct bd_lab *lab; /* counted; NULL: to be measured */
    char split[160], title[200];
    struct bd_feature_ask ask;  /* lab.split points to `split` */
    struct outcome best;        /* what is posted; step has `cap` places */
    struct bd_ctl *ctl;
    int64_t posted_ns;
};

static void outcome_free(void *p)
{
    struct outcome *o = p;

    if (!o)
        return;
    bd_lab_unref(o->lab);
    bd_free(o->bits);
    bd_free(o->step);
    bd_free(o);
}

static struct outcome *outcome_copy(const struct outcome *from)
{
    struct outcome *o = bd_calloc(1, sizeof *o);
    size_t n = (size_t)from->lab->f.channels, k = (size_t)from->done;

    if (!o)
        return NULL;
    *o = *from;
    o->lab = bd_lab_ref(from->lab);
    o->bits = bd_alloc(n + 1, sizeof *o->bits);
    o->step = bd_alloc(k + 1, sizeof *o->step);
    if (!o->bits || !o->step) {
        outcome_free(o);
        return NULL;
    }
    memcpy(o->bits, from->bits, n * sizeof *o->bits);
    memcpy(o->step, from->step, k * sizeof *o->step);
    return o;
}

/* ----------------------------------------------------------------- the job */
static void order_free(void *p)
{
    struct order *o = p;

    bd_lab_unref(o->lab);
    bd_free(o->best.bits);
    bd_free(o->best.step);
    bd_free(o);
}

/* Too many would only be drawn over: twenty a second, and the last. */
static void post(struct order *o, bool now)
{
    int64_t t = bd_now_ns();
    struct outcome *c;

    if (!now && t - o->posted_ns < 50000000)
        return;
    o->posted_ns = t;
    c = outcome_copy(&o->best);
    if (c && !bd_ctl_post(o->ctl, c))
        outcome_free(c);
}

static void stepped(void *arg, const struct bd_refine_step *s,
                    const int8_t *bits)
{
    struct order *o = arg;

    (void)bits; /* the same array */
    o->best.mse = s->mse;
    o->best.step[o->best.done++] = *s;
    bd_ctl_progress(o->ctl, o->best.done, o->ask.runs);
    post(o, false);
}

static bd_status prepare(struct order *o, struct bd_err *err)
{
    struct outcome *b = &o->best;
    bd_status st = BD_OK;

    if (!o->lab)
        st = bd_lab_make(&o->lab, &o->site, &o->ask.lab, o->ctl, err);
    if (st != BD_OK)
        return st;
    bd_judge_work(o->lab->judge,
                  (struct bd_feature_work){o->site.pool, o->ctl});
    b->lab = o->lab;
    b->bits = bd_calloc((size_t)o->lab->f.channels + 1, sizeof *b->bits);
    b->step = bd_alloc((size_t)o->ask.runs + 1, sizeof *b->step);
    if (!b->bits || !b->step)
        return bd_fail(err, BD_ENOMEM, "out of memory for the channels");
    b->avg_bits = o->ask.solve.avg_bits;
    b->runs = o->ask.runs;
    b->mse = b->start = b->uniform = NAN;
    st = bd_lab_solve(b->bits, &b->left, o->lab, &o->ask.solve, err);
    if (st == BD_OK)
        post(o, true);
    return st;
}

/* The error before any exchange is known before the first one starts. */
static bd_status measure(struct order *o, struct bd_err *err)
{
    struct outcome *b = &o->best;
    struct bd_allocated a = {b->bits, NAN};
    struct bd_refine none = {0}, r = {o->ask.runs, stepped, o};
    bd_status st = bd_judge_refine(&a, o->lab->judge, &o->lab->t, &none, err);

    if (st != BD_OK)
        return st;
    b->mse = b->start = a.mse;
    st = bd_lab_uniform(&b->uniform, o->lab, b->avg_bits, err);
    if (st != BD_OK)
        return st;
    post(o, true);
    st = bd_judge_refine(&a, o->lab->judge, &o->lab->t, &r, err);
    post(o, true); /* also when stopped */
    return st;
}

static bd_status run(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err)
{
    struct order *o = arg;
    bd_status st;

    o->ctl = ctl;
    st = prepare(o, err);
    if (st == BD_OK)
        st = measure(o, err);
    if (st == BD_OK) {
        *result = outcome_copy(&o->best);
        if (!*result)
            st = bd_fail(err, BD_ENOMEM, "out of memory for the channels");
    }
    return st;
}

/* ---------------------------------------------------------------- the state */
/* New widths whose errors are not known yet keep the old ones, as old. */
static void keep_old(struct outcome *o, const struct outcome *old)
{
    if (!old || old->lab != o->lab || !isnan(o->mse))
        return;
    o->mse = old->mse;
    o->start = old->start;
    o->uniform = old->uniform;
    o->avg_bits = old->avg_bits; /* what those belong to */
}

static bd_status submit(struct bd_session *s, struct state *t,
                        struct bd_err *err);

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct state *t = state;
    struct outcome *o = d->result;
    bool old = o && (o->avg_bits != t->ask.solve.avg_bits ||
                     o->runs != t->ask.runs);

    (void)sub;
    if (o) {
        keep_old(o, t->now);
        outcome_free(t->now);
        t->now = o;
    }
    /* The budget was turned while the lab was measured: on with it. */
    if (old && submit(s, t, NULL) == BD_OK)
        return;
    if (d->partial)
        return;
    t->running = false;
    t->stopped = d->status == BD_ECANCELLED;
    if (d->status == BD_OK || t->stopped)
        return;
    snprintf(t->why, sizeof t->why, "%s%s%s", d->err.file,
             d->err.file[0] ? ": " : "", d->err.msg);
    bd_session_say(s, "%s: %s", d->job->title, t->why);
}

static void done(void *state)
{
    struct state *t = state;

    outcome_free(t->now);
}

const struct bd_tool bd_feature_tool = {sizeof(struct state), accept, NULL,
                                        done};

/* What is measured, or being measured, serves when network, split, quantizer
 * and images are the same. */
static bool same_lab(const struct bd_session *s, const struct state *t,
                     const struct bd_lab_opts *o)
{
    return t->site.m == s->m && t->ask.lab.kind == o->kind &&
           t->ask.lab.images == o->images && strcmp(t->split, o->split) == 0;
}

static struct order *order_new(const struct state *t)
{
    struct order *o = bd_calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->site = t->site;
    o->lab = t->now ? bd_lab_ref(t->now->lab) : NULL;
    o->ask = t->ask;
    snprintf(o->split, sizeof o->split, "%s", t->split);
    snprintf(o->title, sizeof o->title, "channels of %.60s", o->split);
    o->ask.lab.split = o->split;
    o->ask.lab.table = NULL; /* files are the command line's */
    return o;
}

static bd_status submit(struct bd_session *s, struct state *t,
                        struct bd_err *err)
{
    uint64_t key = bd_tool_key(BD_TOOL_FEATURE, 0);
    struct order *o = order_new(t);
    bd_status st;

    if (!o)
        return bd_fail(err, BD_ENOMEM, "out of memory for the channels");
    bd_lanes_touch(s->lanes, key);
    st = bd_lanes_submit(s->lanes, &(struct bd_job){
        .key = key, .lane = BD_LANE_LONG, .title = o->title, .arg = o,
        .run = run, .free_arg = order_free, .free_result = outcome_free}, err);
    t->running = st == BD_OK;
    return st;
}

/* New widths at once, where they need no back end: its errors follow. */
static void solve_now(struct state *t)
{
    struct outcome *o = t->now;
    const char *method = t->ask.solve.method;

    if (o && (!method || strcmp(method, "priority") == 0))
        bd_lab_solve(o->bits, &o->left, o->lab, &t->ask.solve, NULL);
}

/* Refusals come at once, not as a job's. */
static bd_status check(const struct bd_session *s, const char *name,
                       struct bd_err *err)
{
    struct bd_plan_opts one = {.batch = 1};
    struct bd_split split;
    struct bd_plan *plan = NULL;
    bd_status st = bd_plan_new(&plan, s->m, &one, err);

    if (st == BD_OK)
        st = bd_split_find(&split, s->m, plan, name, err);
    bd_plan_free(plan);
    return st;
}

bd_status bd_session_feature_start(struct bd_session *s,
                                   const struct bd_feature_ask *ask,
                                   struct bd_err *err)
{
    struct state *t = bd_tool_state(s, BD_TOOL_FEATURE);
    bool same;

    if (!s->bench)
        return bd_fail(err, BD_EINVALID, "%s", s->why);
    if (!t)
        return bd_fail(err, BD_ENOMEM, "out of memory for the channels");
    same = same_lab(s, t, &ask->lab);
    if (!same) {
        bd_status st = check(s, ask->lab.split, err);

        if (st != BD_OK)
            return st;
        outcome_free(t->now);
        t->now = NULL;
        if (ask->lab.split != t->split)
            snprintf(t->split, sizeof t->split, "%s", ask->lab.split);
        t->site = bd_lab_site_of(s);
    }
    t->ask = *ask;
    t->ask.lab.split = t->split;
    t->stopped = false;
    t->why[0] = '\0';
    solve_now(t);
    if (same && t->running && !t->now)
        return BD_OK; /* accept() goes on with the new wishes */
    return submit(s, t, err);
}

void bd_session_feature_stop(struct bd_session *s)
{
    bd_lanes_cancel(s->lanes, bd_tool_key(BD_TOOL_FEATURE, 0));
}

bool bd_session_feature(struct bd_feature_view *out,
                        const struct bd_session *s)
{
    const struct state *t = bd_tool_peek(s, BD_TOOL_FEATURE);
    const struct outcome *o = t ? t->now : NULL;

    *out = (struct bd_feature_view){.mse = NAN, .start = NAN, .uniform = NAN};
    if (!t || !t->split[0])
        return false;
    out->running = t->running;
    out->stopped = t->stopped;
    out->kind = t->ask.lab.kind;
    out->avg_bits = t->ask.solve.avg_bits;
    out->asked = t->ask.runs;
    memcpy(out->split, t->split, sizeof out->split);
    memcpy(out->why, t->why, sizeof out->why);
    if (!o)
        return true;
    out->lab = o->lab;
    out->bits = o->bits;
    out->left = o->left;
    out->mse = o->mse;
    out->start = o->start;
    out->uniform = o->uniform;
    out->done = o->done;
    out->step = o->step;
    out->fresh = o->avg_bits != t->ask.solve.avg_bits ? BD_STALE
                 : isnan(o->mse)            ? BD_ABSENT
                 : t->running               ? BD_PARTIAL
                                            : BD_EXACT;
    return true;
}
