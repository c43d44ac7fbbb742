/* Undo as a list of steps; a step holds the layers it touched, before and
 * after, so a thousand steps of a large network stay small.
 *
 * Invariant: applying the `after` of step[0..now) to the configuration the
 * session opened with gives the present one; undo applies a `before`. */
#include "session/session_priv.h"

#include <stdio.h>
#include <string.h>

void bd_step_done(struct bd_step *s)
{
    for (size_t i = 0; i < s->n; i++) {
        bd_layercfg_done(&s->change[i].before);
        bd_layercfg_done(&s->change[i].after);
    }
    bd_free(s->change);
    *s = (struct bd_step){0};
}

static void forget_undone(struct bd_history *h)
{
    while (h->n > h->now)
        bd_step_done(&h->step[--h->n]);
}

bool bd_history_push(struct bd_history *h, struct bd_step *s)
{
    if (h->now == BD_UNDO_DEPTH) {
        forget_undone(h);
        bd_step_done(&h->step[0]);
        memmove(h->step, h->step + 1, (h->n - 1) * sizeof *h->step);
        h->n--;
        h->now--;
    }
    if (!bd_grow((void **)&h->step, &h->cap, h->now + 1, sizeof *h->step))
        return false;
    forget_undone(h);
    h->step[h->n++] = *s;
    h->now = h->n;
    *s = (struct bd_step){0};
    return true;
}

void bd_history_done(struct bd_history *h)
{
    h->now = 0;
    forget_undone(h);
    bd_free(h->step);
    *h = (struct bd_history){0};
}

/* ------------------------------------------------------------- the verbs */

static void set_layer(struct bd_session *s, const struct bd_change *c,
                      bool after)
{
    struct bd_layercfg *l = &s->cfg.layer[c->layer];
    struct bd_layercfg next;
    bd_layercfg_copy(&next, after ? &c->after : &c->before);
    bd_layercfg_done(l);
    *l = next;
}

static void apply(struct bd_session *s, const struct bd_step *step, bool after)
{
    bool moved = bd_stage_enter(s, after ? step->to : step->from);
    for (size_t i = 0; i < step->n; i++)
        set_layer(s, &step->change[i], after);
    s->digest = bd_session_digest(s, &s->cfg);
    bd_persist_edited(s);
    if (moved)
        bd_live_network(s);
    else
        bd_live_follow(s, step);
}

bool bd_session_undo(struct bd_session *s)
{
    struct bd_history *h = &s->history;
    if (h->now == 0)
        return false;
    h->now--;
    h->step[h->now].merge = 0; /* redone, it stays a step of its own */
    apply(s, &h->step[h->now], false);
    return true;
}

bool bd_session_redo(struct bd_session *s)
{
    struct bd_history *h = &s->history;
    if (h->now == h->n)
        return false;
    h->now++;
    apply(s, &h->step[h->now - 1], true);
    return true;
}

size_t bd_session_history(const struct bd_session *s, size_t *now)
{
    if (now)
        *now = s->history.now;
    return s->history.n;
}

const char *bd_session_history_at(const struct bd_session *s, size_t i)
{
    return i < s->history.n ? s->history.step[i].what : "";
}

/* ------------------------------------------------------------ new steps */

/* A held key: the same verb on the same layers within 600 ms is one
 * intention, so its changes join the step before. */
static bool joins(const struct bd_history *h, const struct bd_step *s)
{
    if (h->now == 0 || h->now != h->n || s->merge == 0)
        return false;
    const struct bd_step *last = &h->step[h->now - 1];
    if (last->merge != s->merge || last->n != s->n ||
        s->when_ns - last->when_ns > 600 * 1000000LL)
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (last->change[i].layer != s->change[i].layer)
            return false;
    return true;
}

static void join(struct bd_step *last, const struct bd_step *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct bd_layercfg next;
        bd_layercfg_copy(&next, &s->change[i].after);
        bd_layercfg_done(&last->change[i].after);
        last->change[i].after = next;
    }
    last->when_ns = s->when_ns;
    memcpy(last->what, s->what, sizeof last->what);
}

bd_status bd_edit_commit(struct bd_session *s, struct bd_step *step,
                         struct bd_err *err)
{
    struct bd_history *h = &s->history;
    struct bd_step *in = step;
    if (joins(h, step)) {
        join(&h->step[h->now - 1], step);
    } else {
        if (!bd_history_push(h, step))
            return bd_fail(err, BD_ENOMEM, "out of memory for an undo step");
        in = &h->step[h->now - 1];
    }
    apply(s, in, true);
    return BD_OK;
}

/* --------------------------------------------------------------- resuming */

/* A step from one configuration to another; of layers that differ. */
static bd_status between(struct bd_step *step, const struct bd_bitcfg *from,
                         const struct bd_bitcfg *to, struct bd_err *err)
{
    *step = (struct bd_step){0};
    step->change = bd_calloc(from->n ? from->n : 1, sizeof *step->change);
    if (!step->change)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < from->n; i++) {
        struct bd_change *c = &step->change[step->n];
        if (bd_layercfg_same(&from->layer[i], &to->layer[i]))
            continue;
        c->layer = (int)i;
        bd_layercfg_copy(&c->before, &from->layer[i]);
        bd_layercfg_copy(&c->after, &to->layer[i]);
        step->n++;
    }
    return BD_OK;
}

bd_status bd_history_take(struct bd_session *s, struct bd_stage *stage,
                          const struct bd_bitcfg *cfg, const char *what,
                          struct bd_err *err)
{
    struct bd_step step;
    if (stage == s->at)
        return bd_session_set_all(s, cfg, what, err);
    bd_status st = bd_config_check(cfg, stage->m, err);
    if (st == BD_OK)
        st = between(&step, &s->cfg, cfg, err);
    if (st != BD_OK)
        return st;
    snprintf(step.what, sizeof step.what, "%s", what);
    step.from = s->at;
    step.to = stage;
    st = bd_edit_commit(s, &step, err);
    bd_step_done(&step);
    return st;
}

bd_status bd_history_beginning(struct bd_bitcfg *out,
                               const struct bd_bitcfg *saved,
                               const struct bd_history *steps)
{
    bd_status st = bd_bitcfg_copy(out, saved);
    for (size_t i = steps->now; st == BD_OK && i-- > 0;)
        for (size_t k = 0; k < steps->step[i].n; k++) {
            const struct bd_change *c = &steps->step[i].change[k];
            bd_layercfg_done(&out->layer[c->layer]);
            bd_layercfg_copy(&out->layer[c->layer], &c->before);
        }
    return st;
}

/* All that can fail comes first; then the lists join and one step leads from
 * the present to the saved configuration without being listed itself. */
bd_status bd_history_resume(struct bd_session *s, struct bd_stage *stage,
                            const struct bd_bitcfg *saved,
                            struct bd_history *steps, struct bd_err *err)
{
    struct bd_bitcfg start = {0};
    struct bd_step first = {0}, whole = {0};
    struct bd_history *h = &s->history;
    bd_status st = bd_history_beginning(&start, saved, steps);
    if (st == BD_OK)
        st = between(&first, &s->cfg, &start, err);
    if (st == BD_OK)
        st = between(&whole, &s->cfg, saved, err);
    if (st == BD_OK &&
        !bd_grow((void **)&h->step, &h->cap, h->now + steps->n + 1,
                 sizeof *h->step))
        st = bd_fail(err, BD_ENOMEM, "out of memory for the undo list");
    if (st == BD_OK) {
        memcpy(first.what, "earlier session", sizeof "earlier session");
        first.from = whole.from = s->at;
        first.to = whole.to = stage;
        if (first.n > 0 || stage != s->at)
            bd_history_push(h, &first);
        size_t undone = steps->n - steps->now;
        for (size_t i = 0; i < steps->n; i++)
            bd_history_push(h, &steps->step[i]);
        steps->n = steps->now = 0;
        h->now = h->n > undone ? h->n - undone : 0;
        apply(s, &whole, true);
    }
    bd_step_done(&first);
    bd_step_done(&whole);
    bd_bitcfg_done(&start);
    return st;
}
