/* The tool that repairs: makes a stage on the long lane, puts it in force as
 * one undo step, and says what came of it once the new accuracy is known.
 *
 * The network and the choices a repair was made from must still be there when
 * it comes back: another stage entered meanwhile, or a choice it wants to
 * turn already turned, and it is dropped with a sentence. */
#include "session/session_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct numbers { /* of a configuration on a network */
    bool have_top1;
    double top1, half; /* half the interval */
    double sqnr;       /* mean of the quantized weights, dB; NaN = unknown */
};
struct state {
    bool waiting; /* for the accuracy after */
    uint64_t digest;
    char what[112];
    struct numbers before;
    bool running;
};

struct order {
    struct bd_stage_ask ask; /* its parts are below */
    struct bd_bitcfg cfg;
    struct bd_repair_note note;
    struct bd_repair_notes again; /* n 0: the note alone */
};
struct answer {
    struct bd_stage_made made;
    struct bd_stage *last; /* of a replay */
    const struct bd_stage *from;
};

enum { ONE, AGAIN }; /* sub keys */

static const char changed[] =
    "the choices it was made for have changed meanwhile: not applied";

/* ----------------------------------------------------------------- the job */

static void order_free(void *p)
{
    struct order *o = p;
    bd_bitcfg_done(&o->cfg);
    bd_repair_note_done(&o->note);
    bd_repair_notes_done(&o->again);
    bd_free(o);
}

static void answer_free(void *p)
{
    struct answer *a = p;
    if (!a)
        return;
    bd_stage_free_down_to(a->last, a->from);
    bd_stage_made_done(&a->made);
    bd_free(a);
}

static bd_status order_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    struct answer *a = bd_calloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    a->from = o->ask.from;
    bd_status st = o->again.n > 0
                       ? bd_stage_replay(&a->last, &o->ask, &o->again, ctl,
                                         err)
                       : bd_stage_make(&a->made, &o->ask, ctl, err);
    if (st == BD_OK)
        *result = a;
    else
        answer_free(a);
    return st;
}

static struct order *order_new(struct bd_session *s, struct bd_err *err)
{
    struct order *o = bd_calloc(1, sizeof *o);
    if (!o || bd_bitcfg_copy(&o->cfg, &s->cfg) != BD_OK) {
        bd_free(o);
        bd_fail(err, BD_ENOMEM, "out of memory");
        return NULL;
    }
    o->ask = (struct bd_stage_ask){.from = s->at, .cfg = &o->cfg,
                                   .note = &o->note, .pool = s->pool};
    return o;
}

static bd_status note_of(struct bd_repair_note *n, const struct bd_session *s,
                         const struct bd_repair_ask *ask, struct bd_err *err)
{
    struct bd_repair_note asked = {
        .nlayers = ask->sel.n, .clip_safe = ask->clip_safe,
        .iterations = ask->iterations, .seed = s->seed};
    const struct bd_repair *r = bd_repair_find(ask->name, err);
    if (!r)
        return BD_EINVALID;
    if ((r->traits & BD_REPAIR_DATA) && !s->bench)
        return bd_fail(err, BD_EINVALID, "'%s' looks at images: %s", r->name,
                       s->why);
    if (!(r->traits & BD_REPAIR_LONG))
        asked.iterations = 0;
    *n = asked;
    n->name = bd_strdup(r->name);
    n->layer = bd_alloc(ask->sel.n, sizeof *n->layer);
    if (!n->name || !n->layer) {
        bd_repair_note_done(n);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    if (ask->sel.n > 0)
        memcpy(n->layer, ask->sel.layer, ask->sel.n * sizeof *n->layer);
    return BD_OK;
}

static bd_status submit(struct bd_session *s, struct order *o, uint32_t sub,
                        const char *title, struct bd_err *err)
{
    struct state *t = bd_tool_state(s, BD_TOOL_REPAIR);
    uint64_t key = bd_tool_key(BD_TOOL_REPAIR, sub);
    if (!t || t->running) {
        order_free(o);
        return bd_fail(err, BD_EINVALID, "a repair is under way; Esc stops "
                                         "it");
    }
    t->running = true;
    bd_lanes_touch(s->lanes, key);
    bd_status st = bd_lanes_submit(s->lanes, &(struct bd_job){
        .key = key, .lane = BD_LANE_LONG, .title = title, .arg = o,
        .run = order_run, .free_arg = order_free,
        .free_result = answer_free}, err);
    if (st != BD_OK)
        t->running = false;
    return st;
}

bd_status bd_session_repair(struct bd_session *s,
                            const struct bd_repair_ask *ask,
                            struct bd_err *err)
{
    struct order *o = order_new(s, err);
    if (!o)
        return BD_ENOMEM;
    bd_status st = note_of(&o->note, s, ask, err);
    if (st != BD_OK) {
        order_free(o);
        return st;
    }
    return submit(s, o, ONE, bd_repair_find(ask->name, NULL)->title, err);
}

bd_status bd_repair_again(struct bd_session *s,
                          const struct bd_repair_notes *notes,
                          struct bd_err *err)
{
    struct order *o = order_new(s, err);
    if (!o)
        return BD_ENOMEM;
    o->ask.from = &s->base;
    o->again.note = bd_calloc(notes->n, sizeof *o->again.note);
    bool good = o->again.note;
    for (size_t i = 0; good && i < notes->n; i++, o->again.n++)
        good = bd_repair_note_copy(&o->again.note[i], &notes->note[i]) ==
               BD_OK;
    if (!good) {
        order_free(o);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    return submit(s, o, AGAIN, "earlier repairs", err);
}

/* ----------------------------------------------------------- before, after */

static struct numbers numbers_of(const struct bd_session *s)
{
    struct numbers n = {.sqnr = NAN};
    struct bd_net_view v;
    double sum = 0;
    int layers = 0;
    bd_session_net(&v, s);
    n.have_top1 = v.fresh == BD_EXACT;
    n.top1 = v.acc.top1;
    n.half = (v.acc.ci_hi - v.acc.ci_lo) / 2;
    for (size_t i = 0; i < s->m->nlayers; i++) {
        struct bd_layer_view l;
        bd_session_layer(&l, s, (int)i);
        if (bd_session_is_float(&s->cfg.layer[i].w))
            continue;
        if (l.fresh != BD_EXACT || !isfinite(l.w.sqnr_db))
            return n;
        sum += l.w.sqnr_db;
        layers++;
    }
    if (layers > 0)
        n.sqnr = sum / layers;
    return n;
}

/* The status line shows it, and the log keeps it. */
static void tell(struct bd_session *s, bool refused, const char *text)
{
    s->news.have = true;
    s->news.refused = refused;
    snprintf(s->news.text, sizeof s->news.text, "%s", text);
    bd_session_say(s, "%s", text);
}

static void tell_outcome(struct bd_session *s, const struct state *t)
{
    struct numbers n = numbers_of(s);
    char top1[80] = "", sqnr[80] = "", text[400];
    int name = (int)strcspn(t->what, ":");
    if (n.have_top1 && t->before.have_top1)
        snprintf(top1, sizeof top1, "top-1 %.2f -> %.2f %% +-%.2f, ",
                 100 * t->before.top1, 100 * n.top1, 100 * n.half);
    else if (n.have_top1)
        snprintf(top1, sizeof top1, "top-1 %.2f %% +-%.2f, ", 100 * n.top1,
                 100 * n.half);
    if (isfinite(n.sqnr) && isfinite(t->before.sqnr))
        snprintf(sqnr, sizeof sqnr, "SQNR %.1f -> %.1f dB, ",
                 t->before.sqnr, n.sqnr);
    snprintf(text, sizeof text, "%.*s: %s%su undoes; %s", name, t->what,
             top1, sqnr,
             t->what[name] ? t->what + name + 2 : "");
    tell(s, false, text);
}

void bd_repair_measured(struct bd_session *s)
{
    struct state *t = s->tool[BD_TOOL_REPAIR];
    if (!t || !t->waiting)
        return;
    if (t->digest != s->digest) {
        t->waiting = false; /* turned further: the numbers are of that */
        return;
    }
    if (s->acc.have && !s->acc.partial && s->acc.digest == s->digest) {
        t->waiting = false;
        tell_outcome(s, t);
    }
}

/* -------------------------------------------------------- putting in force */

/* Only what the repair turned, and only where it finds what it knew. */
static bd_status step_of(struct bd_step *step, struct bd_session *s,
                         const struct bd_bitcfg *knew,
                         const struct bd_stage_made *made, struct bd_err *err)
{
    size_t n = made->cfg.n;
    *step = (struct bd_step){.when_ns = bd_now_ns()};
    step->change = bd_calloc(n ? n : 1, sizeof *step->change);
    if (!step->change)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct bd_change *c = &step->change[step->n];
        const struct bd_layercfg *now = &s->cfg.layer[i];
        if (bd_layercfg_same(&knew->layer[i], &made->cfg.layer[i]))
            continue;
        if (!bd_layercfg_same(now, &knew->layer[i]))
            return bd_fail(err, BD_EINVALID, "%s", changed);
        c->layer = (int)i;
        bd_layercfg_copy(&c->before, now);
        bd_layercfg_copy(&c->after, &made->cfg.layer[i]);
        step->n++;
    }
    memcpy(step->what, made->what, sizeof step->what);
    return BD_OK;
}

static bd_status put_in_force(struct bd_session *s,
                              const struct bd_bitcfg *knew,
                              struct bd_stage_made *made, struct bd_err *err)
{
    struct bd_step step = {0};
    struct bd_stage *from = made->stage ? made->stage->from : s->at;
    if (from != s->at)
        return bd_fail(err, BD_EINVALID, "the network it was made for is no "
                                         "longer there: not applied");
    /* What looked at the quantized network fits that one only. */
    if (made->stage && made->stage->note.under.n > 0 &&
        bd_bitcfg_digest(knew) != bd_bitcfg_digest(&s->cfg))
        return bd_fail(err, BD_EINVALID, "%s", changed);
    bd_status st = step_of(&step, s, knew, made, err);
    if (st == BD_OK && made->stage) {
        if (!bd_stages_adopt(s, made->stage))
            st = bd_fail(err, BD_ENOMEM, "out of memory");
        step.from = s->at;
        step.to = made->stage;
    }
    if (st == BD_OK) {
        made->stage = NULL; /* the session's */
        st = bd_edit_commit(s, &step, err);
    }
    bd_step_done(&step);
    return st;
}

static void refuse(struct bd_session *s, const char *name,
                   const struct bd_err *e)
{
    char text[700];
    snprintf(text, sizeof text, "%s: %s", name, e->msg);
    tell(s, true, text);
}

static void take_one(struct bd_session *s, struct state *t, struct bd_done *d)
{
    const struct order *o = d->job->arg;
    struct answer *a = d->result;
    struct numbers before = numbers_of(s);
    struct bd_err err = {0};
    memcpy(t->what, a->made.what, sizeof t->what);
    if (put_in_force(s, &o->cfg, &a->made, &err) != BD_OK) {
        refuse(s, o->note.name, &err);
        return;
    }
    t->before = before;
    t->digest = s->digest;
    t->waiting = s->started && s->bench;
    if (!t->waiting)
        tell(s, false, t->what);
    bd_repair_measured(s); /* a cache may know already */
}

/* The saved session goes on where its network is. */
static void take_again(struct bd_session *s, struct answer *a)
{
    struct bd_err err = {0};
    struct bd_stage *last = a->last;
    bd_status st = s->at != &s->base
                       ? bd_fail(&err, BD_EINVALID,
                                 "the network was repaired meanwhile")
                   : bd_stages_adopt(s, last)
                       ? BD_OK
                       : bd_fail(&err, BD_ENOMEM, "out of memory");
    if (st == BD_OK) {
        a->last = NULL;
        st = bd_persist_resume(s, last, &err);
    }
    if (st != BD_OK)
        refuse(s, "earlier session", &err);
    else
        tell(s, false, "the earlier session, its repairs made again");
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct state *t = state;
    const struct order *o = d->job->arg;
    const char *name = sub == AGAIN ? "earlier session" : o->note.name;
    t->running = false;
    if (d->status == BD_ECANCELLED)
        refuse(s, name, &(struct bd_err){.msg = "stopped; nothing changed"});
    else if (d->status != BD_OK)
        refuse(s, name, &d->err);
    else if (sub == AGAIN)
        take_again(s, d->result);
    else
        take_one(s, t, d);
    answer_free(d->result);
}

const struct bd_tool bd_repair_tool = {
    .state_size = sizeof(struct state),
    .accept = accept,
};

/* ------------------------------------------------------------------ at once */

bd_status bd_session_now_repair(char what[112], struct bd_session *s,
                                const struct bd_repair_ask *ask,
                                struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_repair_note note = {0};
    struct bd_stage_made made = {0};
    bd_status st = note_of(&note, s, ask, err);
    struct bd_stage_ask how = {.from = s->at, .cfg = &s->cfg, .note = &note,
                               .pool = s->pool};
    if (st == BD_OK)
        st = bd_stage_make(&made, &how, ctl, err);
    if (st == BD_OK) {
        memcpy(what, made.what, sizeof made.what);
        st = put_in_force(s, &s->cfg, &made, err);
    }
    bd_stage_made_done(&made);
    bd_repair_note_done(&note);
    return st;
}

size_t bd_session_repairs(const struct bd_session *s, const char **name,
                          size_t cap)
{
    size_t n = 0, i;
    for (const struct bd_stage *g = s->at; g->from; g = g->from)
        n++;
    i = n;
    for (const struct bd_stage *g = s->at; g->from; g = g->from)
        if (--i < cap)
            name[i] = g->note.name;
    return n;
}
