/* The session's side of the search.
 *
 * Two kinds of job.  "Candidates" runs when the request
 * wants other choices than those at hand, or when a sweep brought losses; its
 * table is shared and immutable.  "Search" runs for methods that measure or
 * take seconds.  Everything else is solved when somebody looks: the request
 * and what it depends on have a version, and the answer carries the version
 * it is for. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_CANDS = 0, KEY_RUN = 1 };
static const char out_of_memory[] = "out of memory for the search";

struct tool {
    struct bd_search_opts o;
    struct bd_words lock, tie;
    char methods[256];
    bool asked;
    uint64_t version;        /* of the request and what it depends on */

    struct bd_cands *cands;  /* newest, or NULL */
    uint64_t cands_for;      /* digest of what they were gathered for */
    uint64_t cands_asked;    /* ... of the job under way, 0 = none */
    uint64_t cands_version;  /* version when last looked at */
    bool gathering, made_way; /* made_way: the accuracy did, for it */

    uint64_t solved;         /* version of `best` or `why` */
    struct bd_search_result best;
    bool have, refused, running;
    bool counting;           /* bit planes were asked for */
    char why[512];
};

static struct tool *tool_of(struct bd_session *s)
{
    return bd_tool_state(s, BD_TOOL_SEARCH);
}

static struct bd_search_ask ask_of(const struct bd_session *s,
                                   const struct tool *t)
{
    return (struct bd_search_ask){.m = s->m, .plan = s->plan, .cfg = &s->cfg,
                                  .cands = t->cands, .o = &t->o,
                                  .fits = s->fits, .bench = s->bench};
}

/* --------------------------------------------------------- the candidates */

static bd_status cands_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    return bd_cands_build((struct bd_cands **)result, arg, ctl, err);
}

static void free_ask(void *p)
{
    bd_cands_ask_done(p);
    bd_free(p);
}

static void free_cands(void *p)
{
    bd_cands_unref(p);
}

/* Gathering takes moments and somebody looks on.  A sweep may hold the long
 * lane for minutes; then the accuracy makes way, and starts over. */
static enum bd_lane quick_lane(struct bd_session *s, struct tool *t)
{
    struct bd_progress p[32];
    size_t n = bd_lanes_progress(s->lanes, p, 32);
    bool busy = false;
    for (size_t i = 0; i < n && i < 32; i++)
        busy = busy || p[i].lane == BD_LANE_LONG;
    if (!busy)
        return BD_LANE_LONG;
    bd_lanes_touch(s->lanes, bd_live_key(BD_LIVE_ACC, 0));
    t->made_way = true;
    return BD_LANE_EVAL;
}

/* Starts gathering unless that is done or under way.  A sweep that is on
 * brings news every moment: what it says counts when it has ended. */
static void want_cands(struct bd_session *s, struct tool *t)
{
    struct bd_cands_ask *a;
    if (t->cands && !t->cands->partial && bd_session_sweeping(s) &&
        t->cands_version == t->version)
        return;
    a = bd_calloc(1, sizeof *a);
    if (!a)
        return;
    t->cands_version = t->version;
    if (bd_cands_ask_init(a, s, &t->o) != BD_OK) {
        free_ask(a);
        return;
    }
    uint64_t d = bd_cands_ask_digest(a, s->at->salt);
    if (t->cands_asked == d || (t->cands && t->cands_for == d &&
                                !t->cands->partial && !t->gathering)) {
        free_ask(a);
        return;
    }
    uint64_t key = bd_tool_key(BD_TOOL_SEARCH, KEY_CANDS);
    bd_lanes_touch(s->lanes, key);
    t->cands_asked = d;
    t->gathering = true;
    if (bd_live_submit(s, &(struct bd_job){
            .key = key, .lane = quick_lane(s, t),
            .title = "search: choices", .arg = a, .run = cands_run,
            .free_arg = free_ask, .free_result = free_cands}) != BD_OK)
        t->gathering = false;
    bd_lanes_raise(s->lanes, key);
}

const struct bd_cands *bd_search_cands(struct bd_session *s)
{
    struct tool *t = tool_of(s);
    if (!t)
        return NULL;
    want_cands(s, t);
    return t->cands && !t->cands->partial && t->cands->n == s->m->nlayers
               ? t->cands
               : NULL;
}

/* --------------------------------------------------------- jobs that search */

struct order { /* everything a search needs, copied or counted */
    struct bd_search_ask a;
    struct bd_bitcfg cfg;
    struct bd_search_opts o;
    struct bd_words lock, tie;
    struct bd_cands *cands;
};

static void free_order(void *p)
{
    struct order *o = p;
    bd_bitcfg_done(&o->cfg);
    bd_cands_unref(o->cands);
    bd_words_done(&o->lock);
    bd_words_done(&o->tie);
    bd_free(o);
}

static void free_result(void *p)
{
    bd_search_result_done(p);
    bd_free(p);
}

static bd_status dispatch(struct bd_search_result *out,
                          const struct bd_search_ask *a, struct bd_ctl *ctl,
                          struct bd_err *err)
{
    if (bd_search_measures(a->o))
        return bd_search_run(out, a, ctl, err);
    if (a->o->method == BD_SEARCH_CHANNEL)
        return bd_search_channel(out, a, ctl, err);
    return bd_search_solve(out, a, err);
}

static bd_status order_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    struct bd_search_result *r = bd_calloc(1, sizeof *r);
    if (!r)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    bd_status st = dispatch(r, &o->a, ctl, err);
    if (st == BD_OK)
        *result = r;
    else
        bd_free(r);
    return st;
}

static struct order *order_new(const struct bd_session *s,
                               const struct tool *t)
{
    struct order *o = bd_calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->a = ask_of(s, t);
    o->o = t->o;
    o->o.sens = NULL; /* the candidates have what it said */
    o->cands = bd_cands_ref(t->cands);
    if (bd_bitcfg_copy(&o->cfg, &s->cfg) != BD_OK ||
        bd_words_copy(&o->lock, t->o.lock) != BD_OK ||
        bd_words_copy(&o->tie, t->o.tie) != BD_OK) {
        free_order(o);
        return NULL;
    }
    o->o.lock = t->o.lock ? o->lock.v : NULL;
    o->o.tie = t->o.tie ? o->tie.v : NULL;
    o->a.o = &o->o;
    o->a.cfg = &o->cfg;
    o->a.cands = o->cands;
    return o;
}

static bool takes_long(const struct bd_search_opts *o)
{
    return bd_search_measures(o) || o->method == BD_SEARCH_CHANNEL;
}

static void start_run(struct bd_session *s, struct tool *t)
{
    struct order *o = order_new(s, t);
    uint64_t key = bd_tool_key(BD_TOOL_SEARCH, KEY_RUN);
    bd_lanes_touch(s->lanes, key);
    t->solved = t->version;
    t->have = t->refused = false;
    if (!o) {
        bd_session_say(s, "%s", out_of_memory);
        return;
    }
    t->running = bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_LONG, .title = "search",
        .arg = o, .run = order_run, .free_arg = free_order,
        .free_result = free_result}) == BD_OK;
}

static void stop_run(struct bd_session *s, struct tool *t)
{
    if (t->running)
        bd_lanes_touch(s->lanes, bd_tool_key(BD_TOOL_SEARCH, KEY_RUN));
    t->running = false;
}

/* ---------------------------------------------------------------- answers */

static void refuse(struct tool *t, const char *why)
{
    t->refused = true;
    snprintf(t->why, sizeof t->why, "%s", why);
}

static void accept_cands(struct bd_session *s, struct tool *t,
                         struct bd_done *d)
{
    struct bd_cands *c = d->result;
    if (!d->partial) {
        t->gathering = false;
        if (t->made_way && s->started)
            bd_live_accuracy(s);
        t->made_way = false;
        if (d->status != BD_OK) {
            refuse(t, d->status == BD_ECANCELLED
                          ? "gathering the choices was stopped"
                          : d->err.msg);
            t->solved = t->version;
            if (d->status != BD_ECANCELLED)
                bd_session_say(s, "search: %s", d->err.msg);
        }
    }
    if (!c)
        return;
    bd_cands_unref(t->cands);
    t->cands = c;
    t->cands_for = t->cands_asked;
    t->version++;
}

/* A stopped run keeps the best it posted. */
static void accept_run(struct bd_session *s, struct tool *t, struct bd_done *d)
{
    struct bd_search_result *r = d->result;
    if (!d->partial)
        t->running = false;
    if (r) {
        bd_search_result_done(&t->best);
        t->best = *r;
        bd_free(r);
        t->have = true;
    } else if (!d->partial && !t->have) {
        refuse(t, d->status == BD_ECANCELLED ? "stopped before the first "
                                               "answer"
                                             : d->err.msg);
        if (d->status != BD_ECANCELLED)
            bd_session_say(s, "search: %s", d->err.msg);
    }
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    if (sub == KEY_CANDS)
        accept_cands(s, state, d);
    else
        accept_run(s, state, d);
}

/* The present size may be the budget, locks and methods the choices.  A run
 * that measures started from what was there then, and goes on. */
static void edited(struct bd_session *s, void *state)
{
    struct tool *t = state;
    (void)s;
    if (!t->running)
        t->version++;
}

static void done(void *state)
{
    struct tool *t = state;
    bd_cands_unref(t->cands);
    bd_search_result_done(&t->best);
    bd_words_done(&t->lock);
    bd_words_done(&t->tie);
}

const struct bd_tool bd_search_tool = {sizeof(struct tool), accept, edited,
                                       done};

/* ------------------------------------------------------- for everybody */

/* What a request leaves open. */
static enum bd_sens_what what_of(const struct bd_session *s,
                                 const struct bd_search_opts *o)
{
    bool both = o->budget == BD_BUDGET_BOPS && s->bench && s->plan &&
                o->method != BD_SEARCH_CHANNEL &&
                o->method != BD_SEARCH_MEASURED;
    return o->what ? o->what : both ? BD_SENS_WA : BD_SENS_W;
}

/* The request with copies of its texts. */
static bd_status remember(struct tool *t, const struct bd_session *s,
                          const struct bd_search_opts *o, struct bd_err *err)
{
    struct bd_words lock, tie = {0};
    enum bd_sens_what what = what_of(s, o);
    if (what & BD_SENS_A && !s->bench)
        return bd_fail(err, BD_EINVALID, "choosing inputs needs images: %s",
                       s->why);
    if (bd_words_copy(&lock, o->lock) != BD_OK ||
        bd_words_copy(&tie, o->tie) != BD_OK) {
        bd_words_done(&lock);
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    if (o->methods != t->methods)
        snprintf(t->methods, sizeof t->methods, "%s",
                 o->methods ? o->methods : "");
    t->o = *o;
    t->o.methods = o->methods && t->methods[0] ? t->methods : NULL;
    bd_words_done(&t->lock);
    bd_words_done(&t->tie);
    t->lock = lock;
    t->tie = tie;
    t->o.lock = o->lock ? t->lock.v : NULL;
    t->o.tie = o->tie ? t->tie.v : NULL;
    t->o.sens = NULL;
    t->o.what = what;
    t->asked = true;
    t->version++;
    return BD_OK;
}

bd_status bd_session_search(struct bd_session *s,
                            const struct bd_search_opts *o,
                            struct bd_err *err)
{
    struct tool *t = tool_of(s);
    if (!t)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    bd_status st = bd_search_check(o, err);
    if (st != BD_OK)
        return st;
    if (bd_search_needs_images(o) && !s->bench)
        return bd_fail(err, BD_EINVALID, "%s", s->why);
    stop_run(s, t);
    t->counting = false;
    /* what is shown meanwhile must be in the request's unit */
    t->have = t->have && o->budget == t->o.budget &&
              what_of(s, o) == t->o.what &&
              (o->method == BD_SEARCH_BOTTLENECK) ==
                  (t->o.method == BD_SEARCH_BOTTLENECK);
    st = remember(t, s, o, err);
    if (st == BD_OK)
        want_cands(s, t);
    return st;
}

static void solve_now(struct bd_session *s, struct tool *t)
{
    struct bd_search_ask a = ask_of(s, t);
    struct bd_err err = {0};
    struct bd_search_result r;
    bool planes = t->o.method == BD_SEARCH_BOTTLENECK;
    t->solved = t->version;
    t->refused = t->counting = false;
    if ((planes ? bd_search_planes(&r, s, &t->o, &err)
                : bd_search_solve(&r, &a, &err)) != BD_OK) {
        refuse(t, err.msg);
        t->have = false;
        return;
    }
    bd_search_result_done(&t->best);
    t->best = r;
    t->have = true;
}

/* Planes of inputs are answered from counted codes: these are asked for once,
 * so that who stops the counting is not overruled. */
static void solve_planes(struct bd_session *s, struct tool *t)
{
    struct bd_err err = {0};
    if (bd_search_planes_counted(s)) {
        solve_now(s, t);
    } else if (!t->counting) {
        t->have = t->refused = false;
        t->counting = bd_session_planes_ask(s, BD_PART_A, &err) == BD_OK;
        if (!t->counting) {
            refuse(t, err.msg);
            t->solved = t->version;
        }
    } else if (!bd_session_planes_counting(s, BD_PART_A)) {
        refuse(t, "counting the bit planes was stopped; + or - starts anew");
        t->counting = false;
        t->solved = t->version;
    }
}

/* Candidates at hand, of all that the request chooses. */
static bool has_choices(const struct bd_session *s, const struct tool *t)
{
    return t->cands && t->cands->n == s->m->nlayers &&
           (!(t->o.what & BD_SENS_A) || t->cands->in);
}

void bd_session_search_view(struct bd_search_view *out, struct bd_session *s)
{
    struct tool *t = tool_of(s);
    *out = (struct bd_search_view){.why = out_of_memory,
                                   .phase = BD_SEARCH_REFUSED};
    if (!t)
        return;
    bool planes = t->o.method == BD_SEARCH_BOTTLENECK;
    if (!t->running && !planes)
        want_cands(s, t);
    bool fits = has_choices(s, t);
    if (planes && t->solved != t->version) {
        solve_planes(s, t);
    } else if (fits && t->solved != t->version && !t->running) {
        if (!takes_long(&t->o))
            solve_now(s, t);
        else if (!t->gathering && t->asked)
            start_run(s, t);
    }
    out->opts = t->o;
    out->best = t->have ? &t->best : NULL;
    out->why = t->refused ? t->why : "";
    out->refining = t->gathering && !planes;
    out->phase = t->running                  ? BD_SEARCH_IMPROVING
                 : t->refused                ? BD_SEARCH_REFUSED
                 : t->have && (t->cands || planes) ? BD_SEARCH_DONE
                                             : BD_SEARCH_GATHERING;
}

bd_status bd_session_search_take(struct bd_session *s, struct bd_err *err)
{
    struct tool *t = tool_of(s);
    struct bd_bitcfg cfg;
    char what[80];
    if (!t || !t->have || t->best.cfg.n != s->cfg.n)
        return bd_fail(err, BD_EINVALID, "%s",
                       t && t->refused ? t->why
                                       : "nothing to take yet: the choices "
                                         "are being gathered");
    if (bd_bitcfg_copy(&cfg, &t->best.cfg) != BD_OK)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    /* A side that was not searched, and locks, stay as they are now. */
    for (size_t i = 0; i < cfg.n; i++) {
        const struct bd_layercfg *now = &s->cfg.layer[i];
        if (!(t->best.what & BD_SENS_W))
            bd_layercfg_set(&cfg.layer[i], true, &now->w);
        if (!(t->best.what & BD_SENS_A))
            bd_layercfg_set(&cfg.layer[i], false, &now->a);
        cfg.layer[i].locked = s->cfg.layer[i].locked;
    }
    stop_run(s, t);
    snprintf(what, sizeof what, "search %s", t->best.name);
    bd_status st = bd_session_set_all(s, &cfg, what, err);
    bd_bitcfg_done(&cfg);
    return st;
}

bool bd_session_search_stop(struct bd_session *s)
{
    struct tool *t = tool_of(s);
    bool was = t && t->running;
    if (was)
        bd_lanes_cancel(s->lanes, bd_tool_key(BD_TOOL_SEARCH, KEY_RUN));
    return was;
}

size_t bd_session_search_front(struct bd_session *s,
                               struct bd_front_point *out, size_t cap)
{
    struct tool *t = tool_of(s);
    struct bd_search_problem sp;
    if (!t || !has_choices(s, t))
        return 0;
    struct bd_search_ask a = ask_of(s, t);
    struct bd_search_opts o = t->o;
    if (o.budget > BD_BUDGET_BOPS)
        o.budget = o.what == BD_SENS_WA && s->plan ? BD_BUDGET_BOPS
                                                   : BD_BUDGET_AVG_BITS;
    o.target = 0;
    a.o = &o;
    if (bd_search_problem_init(&sp, &a, NULL) != BD_OK)
        return 0;
    size_t n = bd_alloc_front(NULL, 0, &sp.p);
    struct bd_alloc_point *p = bd_alloc(n + 1, sizeof *p);
    if (p)
        bd_alloc_front(p, n, &sp.p);
    for (size_t i = 0; p && i < n && i < cap; i++)
        out[i] = (struct bd_front_point){(p[i].cost + sp.offset) / sp.unit,
                                         p[i].loss};
    bd_search_problem_done(&sp);
    bd_free(p);
    return p ? n : 0;
}

/* ------------------------------------------------- the command line's way */

/* The candidates stay with the tool: several methods share them. */
static bd_status now_cands(struct bd_session *s, struct tool *t,
                           const struct bd_search_opts *o, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_cands_ask ca;
    struct bd_cands *c = NULL;
    bd_status st = bd_cands_ask_init(&ca, s, o);
    if (st != BD_OK)
        bd_fail(err, st, out_of_memory);
    uint64_t d = st == BD_OK ? bd_cands_ask_digest(&ca, s->at->salt) : 0;
    if (st == BD_OK && !(t->cands && t->cands_for == d))
        st = bd_cands_build(&c, &ca, ctl, err);
    bd_cands_ask_done(&ca);
    if (c) {
        bd_cands_unref(t->cands);
        t->cands = c;
        t->cands_for = t->cands_asked = d;
    }
    return st;
}

bd_status bd_session_now_search(struct bd_search_result *out,
                                struct bd_session *s,
                                const struct bd_search_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err)
{
    struct tool *t = tool_of(s);
    bd_status st = bd_search_check(o, err);
    if (st != BD_OK)
        return st;
    if (!t)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    if (bd_search_needs_images(o) && !s->bench)
        return bd_fail(err, BD_EINVALID, "%s", s->why);
    if (o->method == BD_SEARCH_BOTTLENECK) {
        struct bd_planes_opts planes = {0};
        st = bd_session_now_planes(s, BD_PART_A, &planes, ctl, err);
        return st == BD_OK ? bd_search_planes(out, s, o, err) : st;
    }
    st = remember(t, s, o, err);
    struct bd_search_opts full = *o;
    full.what = t->o.what;
    if (st == BD_OK)
        st = now_cands(s, t, &full, ctl, err);
    if (st != BD_OK)
        return st;
    struct bd_search_ask a = ask_of(s, t);
    st = dispatch(out, &a, ctl, err);
    if (st == BD_OK && out->acc.total > 0) { /* a document may say it */
        struct bd_acc_answer known = {bd_session_digest(s, &out->cfg),
                                      out->acc};
        bd_live_remember(s, &known);
    }
    return st;
}
