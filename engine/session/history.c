/* Undo as a list of steps; a step holds the layers it touched, before and
 * after, so a thousand steps of a large network stay small.
 *
 * Invariant: applying the `after` of step[0..now) to the configuration the
 * session opened with gives the present one; undo applies a `before`. */
#include "session/session_priv.h"

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
    for (size_t i = 0; i < step->n; i++)
        set_layer(s, &step->change[i], after);
    s->digest = bd_bitcfg_digest(&s->cfg);
    bd_persist_edited(s);
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
