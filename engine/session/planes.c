/* Bit planes in a session: tables of layers, thresholds, rates.
 *
 * A table is of one tensor, one clip rule and one network; it carries the
 * digest of these as its key, and is stale when that no longer is the
 * present one's (nothing has to be told of edits).  A threshold for layers
 * whose tables are missing is remembered as a wish, and granted when the
 * counting comes back; the accuracy under way, which the wish will make
 * worthless, is stopped so that counting need not wait for it. */
#include "session/planes_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char no_memory[] = "out of memory for the bit planes";
enum { CHANNELS = 1 << 8, MERGE = 64 };

/* ----------------------------------------------------------------- keys */

static uint64_t key_of(const struct bd_session *s, size_t i, enum bd_part part,
                       const struct bd_planes_opts *o)
{
    const struct bd_tensorcfg *t = bd_planes_choice(&s->cfg, i, part);
    uint32_t clip;
    memcpy(&clip, &t->clip_value, sizeof clip);
    uint64_t d[6] = {s->at->salt, t->clip, clip, (uint64_t)o->of, o->dither,
                     (uint64_t)o->largest << 1 | o->outlier};
    return bd_digest(d, sizeof d, i) | 1;
}

static int of_or_all(int of)
{
    return of > 0 ? of : BD_PLANES;
}

const struct bd_planes_layer *bd_planes_fresh(
    const struct bd_session *s, const struct bd_planes_side *side, int layer,
    enum bd_part part)
{
    const struct bd_planes_layer *l = side->layer ? &side->layer[layer]
                                                  : NULL;
    return l && l->key == key_of(s, (size_t)layer, part, &side->o) ? l : NULL;
}

/* -------------------------------------------------------------- counting */
/* What is to be counted: all layers whose table is missing or stale, and
 * `into` keeps the others. */
static bd_status make_count(struct bd_planes_count *c,
                            const struct bd_session *s,
                            const struct bd_planes_side *side,
                            enum bd_part part, struct bd_err *err)
{
    size_t n = s->m->nlayers;
    *c = (struct bd_planes_count){.part = part, .n = n, .o = side->o,
                                  .fits = s->fits, .bench = s->bench};
    if (part == BD_PART_A && !s->bench)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "planes of inputs need calibration images: %s", s->why);
    c->layer = bd_calloc(n, sizeof *c->layer);
    c->cfg = bd_calloc(n, sizeof *c->cfg);
    if (!c->layer || !c->cfg) {
        bd_free(c->layer);
        bd_free(c->cfg);
        return bd_fail(err, BD_ENOMEM, no_memory);
    }
    for (size_t i = 0; i < n; i++) {
        c->cfg[i] = *bd_planes_choice(&s->cfg, i, part);
        c->cfg[i].channel = NULL;
        c->cfg[i].planes = NULL;
        if (!bd_planes_fresh(s, side, (int)i, part))
            c->layer[i].key = key_of(s, i, part, &side->o);
    }
    return BD_OK;
}

static void free_count(void *p)
{
    struct bd_planes_count *c = p;
    bd_free(c->layer);
    bd_free(c->cfg);
    bd_free(c);
}

/* New tables replace old ones; what was not counted stays. */
static void take_count(struct bd_planes_side *side, struct bd_planes_count *c)
{
    for (size_t i = 0; i < c->n && side->layer; i++)
        if (!c->layer[i].key)
            c->layer[i] = side->layer[i];
    bd_free(side->layer);
    side->layer = c->layer;
    c->layer = NULL;
}

static bd_status count_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_planes_count *c = arg, *r;
    bd_status st = bd_planes_count(c, ctl, err);
    if (st != BD_OK)
        return st;
    r = bd_alloc(1, sizeof *r);
    if (!r)
        return bd_fail(err, BD_ENOMEM, no_memory);
    *r = *c; /* the arrays move */
    c->layer = NULL;
    c->cfg = NULL;
    *result = r;
    return BD_OK;
}

static bool all_fresh(const struct bd_session *s,
                      const struct bd_planes_side *side, struct bd_sel sel,
                      enum bd_part part)
{
    for (size_t i = 0; i < sel.n; i++)
        if (!bd_planes_fresh(s, side, sel.layer[i], part))
            return false;
    return true;
}

bd_status bd_session_planes_ask(struct bd_session *s, enum bd_part part,
                                struct bd_err *err)
{
    struct bd_planes_state *p = bd_tool_state(s, BD_TOOL_PLANES);
    struct bd_planes_count *c;
    if (!p || !(c = bd_calloc(1, sizeof *c)))
        return bd_fail(err, BD_ENOMEM, no_memory);
    struct bd_planes_side *side = &p->side[part];
    uint64_t key = bd_tool_key(BD_TOOL_PLANES, (uint32_t)part);
    side->o.of = of_or_all(side->o.of);
    bd_status st = make_count(c, s, side, part, err);
    if (st != BD_OK) {
        bd_free(c);
        return st;
    }
    bd_lanes_touch(s->lanes, key);
    if (part == BD_PART_A)
        bd_lanes_touch(s->lanes, bd_live_key(BD_LIVE_ACC, 0));
    st = bd_live_submit(s, &(struct bd_job){
        .key = key,
        .lane = part == BD_PART_A ? BD_LANE_EVAL : BD_LANE_FAST,
        .title = "bit planes", .arg = c, .run = count_run,
        .free_arg = free_count, .free_result = free_count});
    if (st == BD_OK)
        bd_lanes_raise(s->lanes, key);
    side->counting = st == BD_OK;
    return st == BD_OK ? st : bd_fail(err, st, no_memory);
}

bd_status bd_session_now_planes(struct bd_session *s, enum bd_part part,
                                const struct bd_planes_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_planes_state *p = bd_tool_state(s, BD_TOOL_PLANES);
    struct bd_planes_count c;
    if (!p)
        return bd_fail(err, BD_ENOMEM, no_memory);
    struct bd_planes_side *side = &p->side[part];
    side->o = *o;
    side->o.of = of_or_all(o->of);
    bd_status st = make_count(&c, s, side, part, err);
    if (st != BD_OK)
        return st;
    st = bd_planes_count(&c, ctl, err);
    if (st == BD_OK)
        take_count(side, &c);
    bd_free(c.layer);
    bd_free(c.cfg);
    return st;
}

/* ---------------------------------------------------------------- looking */
void bd_session_planes(struct bd_planes_view *out, const struct bd_session *s,
                       int layer, enum bd_part part)
{
    const struct bd_planes_state *p = bd_tool_peek(s, BD_TOOL_PLANES);
    const struct bd_planes_side *side = p ? &p->side[part] : NULL;
    *out = (struct bd_planes_view){0};
    if (!side || !side->layer || !side->layer[layer].key)
        return;
    const struct bd_planes_layer *l = &side->layer[layer];
    out->fresh = bd_planes_fresh(s, side, layer, part) ? BD_EXACT : BD_STALE;
    out->table = &l->table;
    out->codes = &l->codes;
    out->clip = l->clip;
}

bool bd_session_planes_counting(const struct bd_session *s, enum bd_part part)
{
    const struct bd_planes_state *p = bd_tool_peek(s, BD_TOOL_PLANES);
    return p && p->side[part].counting;
}

double bd_threshold_need(const struct bd_plane_table *t,
                         const struct bd_threshold *th)
{
    return th->loss ? t->full_db - th->db : th->db;
}

char *bd_threshold_text(char *out, size_t cap, const struct bd_threshold *t)
{
    snprintf(out, cap, "%.4g dB%s", t->db, t->loss ? " loss" : "");
    return out;
}

/* ---------------------------------------------------------------- editing */
/* A layer's new choice from a row of its table. */
static bd_status turn(struct bd_change *c, const struct bd_session *s,
                      const struct bd_planes_layer *l,
                      const struct bd_plane_row *row, enum bd_part part)
{
    struct bd_planecode code = bd_planes_code(&l->table, row);
    struct bd_layercfg *now = &s->cfg.layer[c->layer];
    struct bd_tensorcfg t = part == BD_PART_W ? now->w : now->a;
    struct bd_planes *planes = bd_planes_new(&code);
    if (!planes)
        return BD_ENOMEM;
    t.quant = (uint8_t)bd_quantizer_find("bottleneck");
    t.bits = (int8_t)(row->k > 0 ? row->k : 1);
    t.grain = BD_GRAIN_TENSOR;
    t.group = 0;
    t.channel = NULL;
    t.planes = planes;
    if (l->clip > 0) {
        t.clip = BD_CLIP_MANUAL;
        t.clip_value = l->clip;
    }
    bd_layercfg_copy(&c->before, now);
    bd_layercfg_copy(&c->after, now);
    bd_layercfg_set(&c->after, part == BD_PART_W, &t);
    bd_planes_unref(planes);
    return BD_OK;
}

struct edit { /* rows of the selected layers, and what to call it */
    struct bd_sel sel;
    enum bd_part part;
    const struct bd_plane_row *const *row; /* [sel.n] */
    const char *what;
};

static void name(struct bd_step *step, const struct bd_session *s,
                 const struct edit *e)
{
    const char *side = e->part == BD_PART_W ? "weights" : "inputs";
    char shown[128];
    if (e->sel.n == 1)
        snprintf(step->what, sizeof step->what, "%s: bottleneck %s for %s",
                 side, e->what,
                 bd_text_show(shown, sizeof shown,
                              s->m->layer[e->sel.layer[0]].name, 40));
    else
        snprintf(step->what, sizeof step->what,
                 "%s: bottleneck %s for %zu layers", side, e->what, e->sel.n);
}

/* All selected layers are in the step, also those that stay as they are:
 * steps of a slider join only when they are about the same layers. */
static bd_status commit(struct bd_session *s, const struct bd_planes_state *p,
                        const struct edit *e, struct bd_err *err)
{
    struct bd_step step = {.when_ns = bd_now_ns(),
                           .merge = MERGE + (uint64_t)e->part};
    bool any = false;
    bd_status st = BD_OK;
    step.change = bd_calloc(e->sel.n + 1, sizeof *step.change);
    if (!step.change)
        return bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < e->sel.n && st == BD_OK; i++) {
        struct bd_change *c = &step.change[step.n];
        c->layer = e->sel.layer[i];
        st = turn(c, s, &p->side[e->part].layer[c->layer], e->row[i],
                  e->part);
        if (st != BD_OK)
            break;
        step.n++;
        any = any || !bd_layercfg_same(&c->before, &c->after);
    }
    name(&step, s, e);
    if (st == BD_OK && any)
        st = bd_edit_commit(s, &step, err);
    bd_step_done(&step);
    return st == BD_OK ? st : bd_fail(err, st, no_memory);
}

bd_status bd_session_put_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_plane_row *const *row,
                                struct bd_err *err)
{
    const struct bd_planes_state *p = bd_tool_peek(s, BD_TOOL_PLANES);
    if (!p || !p->side[part].layer)
        return bd_fail(err, BD_EINVALID, "no codes are counted yet");
    return commit(s, p,
                  &(struct edit){.sel = sel, .part = part, .row = row,
                                 .what = "as chosen"},
                  err);
}

/* The hand that holds the slider expects an answer for each layer; tables
 * must be fresh. */
static bd_status by_threshold(struct bd_session *s, struct bd_planes_state *p,
                              const struct bd_planes_wish *w,
                              struct bd_err *err)
{
    char what[48];
    struct bd_planes_side *side = &p->side[w->part];
    const struct bd_plane_row **row = bd_calloc(w->n + 1, sizeof *row);
    struct edit e = {{w->layer, w->n}, w->part, row, what};
    if (!row)
        return bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < w->n; i++) {
        const struct bd_plane_table *t = &side->layer[w->layer[i]].table;
        row[i] = bd_planes_choose(t, bd_threshold_need(t, &w->t), 1);
    }
    bd_threshold_text(what, sizeof what, &w->t);
    side->now = w->t;
    side->rate = 0;
    bd_status st = commit(s, p, &e, err);
    bd_free(row);
    return st;
}

/* ------------------------------------------------------------ the wishes */
static bd_status by_rate(struct bd_session *s, struct bd_planes_state *p,
                         const struct bd_planes_wish *w, struct bd_err *err)
{
    char what[48];
    const struct bd_plane_row **row = bd_calloc(w->n + 1, sizeof *row);
    struct edit e = {{w->layer, w->n}, w->part, row, what};
    if (!row)
        return bd_fail(err, BD_ENOMEM, no_memory);
    bd_status st = bd_planes_spend(row, s, &p->side[w->part], w, err);
    snprintf(what, sizeof what, "rate %.4g", w->rate);
    if (st == BD_OK)
        st = commit(s, p, &e, err);
    if (st == BD_OK)
        p->side[w->part].rate = w->rate;
    bd_free(row);
    return st;
}

bd_status bd_planes_spent(struct bd_bitcfg *out, const struct bd_session *s,
                          const struct bd_planes_wish *w, struct bd_err *err)
{
    const struct bd_planes_state *p = bd_tool_peek(s, BD_TOOL_PLANES);
    const struct bd_planes_side *side = p ? &p->side[w->part] : NULL;
    if (!side || !all_fresh(s, side, (struct bd_sel){w->layer, w->n}, w->part))
        return bd_fail(err, BD_EINVALID, "no codes are counted yet");
    const struct bd_plane_row **row = bd_calloc(w->n + 1, sizeof *row);
    struct bd_bitcfg cfg = {0};
    bd_status st = row ? bd_bitcfg_copy(&cfg, &s->cfg) : BD_ENOMEM;
    st = st == BD_OK ? bd_planes_spend(row, s, side, w, err)
                     : bd_fail(err, st, no_memory);
    for (size_t i = 0; i < w->n && st == BD_OK; i++) {
        struct bd_change c = {.layer = w->layer[i]};
        st = turn(&c, s, &side->layer[c.layer], row[i], w->part);
        if (st != BD_OK)
            bd_fail(err, st, no_memory);
        else
            bd_layercfg_set(&cfg.layer[c.layer], w->part == BD_PART_W,
                            w->part == BD_PART_W ? &c.after.w : &c.after.a);
        bd_layercfg_done(&c.before);
        bd_layercfg_done(&c.after);
    }
    bd_free(row);
    if (st == BD_OK)
        *out = cfg;
    else
        bd_bitcfg_done(&cfg);
    return st;
}

static bd_status grant(struct bd_session *s, struct bd_planes_state *p,
                       const struct bd_planes_wish *w, struct bd_err *err)
{
    return w->rate > 0 ? by_rate(s, p, w, err) : by_threshold(s, p, w, err);
}

static void end_wish(struct bd_planes_state *p)
{
    bd_free(p->wish.layer);
    p->wish = (struct bd_planes_wish){0};
}

/* Now, or when the codes are counted. */
static bd_status want(struct bd_session *s, struct bd_planes_wish w,
                      struct bd_err *err)
{
    struct bd_planes_state *p = bd_tool_state(s, BD_TOOL_PLANES);
    if (!p)
        return bd_fail(err, BD_ENOMEM, no_memory);
    struct bd_planes_side *side = &p->side[w.part];
    side->o.of = of_or_all(side->o.of);
    for (size_t i = 0; i < w.n; i++)
        if (w.layer[i] < 0 || (size_t)w.layer[i] >= s->m->nlayers)
            return bd_fail(err, BD_EINVALID, "layer %d of %zu", w.layer[i],
                           s->m->nlayers);
    end_wish(p);
    if (w.n == 0)
        return BD_OK;
    if (all_fresh(s, side, (struct bd_sel){w.layer, w.n}, w.part))
        return grant(s, p, &w, err);
    int *copy = bd_alloc(w.n, sizeof *copy);
    if (!copy)
        return bd_fail(err, BD_ENOMEM, no_memory);
    memcpy(copy, w.layer, w.n * sizeof *copy);
    p->wish = w;
    p->wish.layer = copy;
    p->wish.on = true;
    side->now = w.rate > 0 ? side->now : w.t;
    side->rate = w.rate;
    bd_status st = side->counting ? BD_OK
                                  : bd_session_planes_ask(s, w.part, err);
    if (st != BD_OK)
        end_wish(p);
    return st;
}

bd_status bd_session_set_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_threshold *t,
                                struct bd_err *err)
{
    struct bd_planes_wish w = {.part = part, .t = *t, .n = sel.n,
                     .layer = (int *)(uintptr_t)sel.layer};
    if (!isfinite(t->db) || t->db < 0 || t->db > 200)
        return bd_fail(err, BD_EINVALID,
                       "%g dB: thresholds from 0 to 200 dB work; 39 dB is "
                       "about five of eight planes", t->db);
    return want(s, w, err);
}

bd_status bd_session_spend_planes(struct bd_session *s, struct bd_sel sel,
                                  enum bd_part part, double rate,
                                  struct bd_err *err)
{
    struct bd_planes_wish w = {.part = part, .rate = rate};
    if (!(rate >= 1 && rate <= BD_PLANES))
        return bd_fail(err, BD_EINVALID,
                       "%g planes per value: 1 to %d work", rate, BD_PLANES);
    w.layer = bd_alloc(sel.n + 1, sizeof *w.layer);
    if (!w.layer)
        return bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < sel.n; i++) {
        int k = sel.layer[i];
        bool locked = k >= 0 && (size_t)k < s->cfg.n && s->cfg.layer[k].locked;
        if (!locked)
            w.layer[w.n++] = k;
    }
    bd_status st = w.n > 0 || sel.n == 0
                       ? want(s, w, err)
                       : bd_fail(err, BD_EINVALID, "all of these layers are "
                                                   "locked: nothing to spend "
                                                   "on");
    bd_free(w.layer);
    return st;
}

/* --------------------------------------------------------------- channels */
static void free_channels(void *p)
{
    bd_free(p);
}

static bd_status channels_run(void **result, void *arg, struct bd_ctl *ctl,
                              struct bd_err *err)
{
    struct bd_planes_channels *r = NULL;
    bd_status st = bd_planes_count_channels(&r, arg, ctl, err);
    *result = r;
    return st;
}

static void ask_channels(struct bd_session *s, struct bd_planes_state *p,
                         int layer, uint64_t key)
{
    struct bd_channels_ask *a = bd_alloc(1, sizeof *a);
    uint64_t job = bd_tool_key(BD_TOOL_PLANES, CHANNELS);
    if (!a)
        return;
    *a = (struct bd_channels_ask){s->bench, layer, key};
    p->chan_asked = key;
    bd_lanes_touch(s->lanes, job);
    bd_live_submit(s, &(struct bd_job){
        .key = job, .lane = BD_LANE_EVAL, .title = "planes of channels",
        .arg = a, .run = channels_run, .free_arg = bd_free,
        .free_result = free_channels});
}

const struct bd_plane_table *bd_session_plane_channels(struct bd_session *s,
                                                       int layer, int *n)
{
    struct bd_planes_state *p = bd_tool_state(s, BD_TOOL_PLANES);
    uint64_t d[2] = {s->at->salt, (uint64_t)layer};
    uint64_t key = bd_digest(d, sizeof d, 1) | 1;
    *n = 0;
    if (!p || !s->bench)
        return NULL;
    if (p->chan && p->chan->key == key) {
        *n = p->chan->n;
        return p->chan->table;
    }
    if (s->started && p->chan_asked != key)
        ask_channels(s, p, layer, key);
    return NULL;
}

/* ------------------------------------------------------------------- tool */
/* What came of a wish that had to wait. */
static void news(struct bd_session *s, enum bd_part part, bool refused,
                 const struct bd_err *err)
{
    struct bd_planes_net n;
    char th[48], rate[96];
    bd_session_planes_net(&n, s, part);
    s->news.have = true;
    s->news.refused = refused;
    if (refused)
        snprintf(s->news.text, sizeof s->news.text, "bit planes: %s",
                 err->msg[0] ? err->msg : "stopped");
    else
        snprintf(s->news.text, sizeof s->news.text, "%s: %s",
                 bd_planes_net_goal(th, sizeof th, &n),
                 bd_planes_net_text(rate, sizeof rate, &n));
}

static void counted(struct bd_session *s, struct bd_planes_state *p,
                    struct bd_done *d, enum bd_part part)
{
    struct bd_planes_wish w = p->wish;
    struct bd_err err = {0};
    struct bd_planes_side *side = &p->side[part];
    side->counting = false;
    if (d->status != BD_OK) {
        news(s, part, true, &d->err);
        bd_session_say(s, "%s", s->news.text);
        end_wish(p);
    } else {
        take_count(side, d->result);
        free_count(d->result);
    }
    if (d->status == BD_OK && w.on && w.part == part) {
        p->wish = (struct bd_planes_wish){0};
        /* A clip turned meanwhile: its wish starts over. */
        bool bad = want(s, w, &err) != BD_OK;
        if (bad || !p->wish.on)
            news(s, part, bad, &err);
        bd_free(w.layer);
    }
    if (s->started && part == BD_PART_A)
        bd_live_accuracy(s); /* it was stopped to make way */
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct bd_planes_state *p = state;
    if (sub < CHANNELS) {
        counted(s, p, d, (enum bd_part)sub);
        return;
    }
    if (d->status != BD_OK) {
        p->chan_asked = 0;
        return;
    }
    bd_free(p->chan);
    p->chan = d->result;
}

static void done(void *state)
{
    struct bd_planes_state *p = state;
    bd_free(p->side[0].layer);
    bd_free(p->side[1].layer);
    bd_free(p->chan);
    end_wish(p);
}

const struct bd_tool bd_planes_tool = {
    .state_size = sizeof(struct bd_planes_state), .accept = accept,
    .done = done};
