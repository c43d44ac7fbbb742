/* The verbs that change the configuration.  All of them work alike: for each
 * selected layer take a copy of its choice, turn it, ask the judge
 * (bd_config_allows), and only when every layer passed put the step in force.
 * So a refusal changes nothing. */
#include "session/session_priv.h"

#include <stdio.h>
#include <string.h>

struct turn { /* one verb with its arguments */
    bd_status (*fn)(struct bd_tensorcfg *t, const struct turn *how,
                    struct bd_err *err); /* t owns its widths */
    enum bd_part part;
    int value, group, channel;
    int64_t channels;     /* of the layer being turned */
    struct bd_wish *wish; /* likewise */
    float clip;
    bool merges;
};

/* -------------------------------------------------------------- the turns */

/* Planes were found for the choice that is being turned away from. */
static void drop_planes(struct bd_tensorcfg *t)
{
    bd_planes_unref(t->planes);
    t->planes = NULL;
}

static void drop_widths(struct bd_tensorcfg *t)
{
    if (t->channel)
        bd_chanbits_unref(t->channel);
    t->channel = NULL;
}

static bd_status turn_bits(struct bd_tensorcfg *t, const struct turn *how,
                           struct bd_err *err)
{
    if (how->value != 32 && (how->value < 1 || how->value > 16))
        return bd_fail(err, BD_EINVALID,
                       "%d is no width: 1 to 16, or 32 for float",
                       how->value);
    drop_widths(t);
    t->bits = (int8_t)how->value;
    return BD_OK;
}

/* Widths the method has, with float above the largest. */
static int stepped(const struct bd_quantizer *q, int bits, int step)
{
    for (; step > 0 && bits != 32; step--)
        bits = bits >= q->max_bits ? 32 : bits + 1;
    for (; step < 0 && bits >= q->min_bits; step++)
        bits = bits == 32 ? q->max_bits : bits - 1;
    return bits;
}

static bd_status step_widths(struct bd_tensorcfg *t, int step,
                             struct bd_err *err)
{
    const struct bd_quantizer *q = bd_quantizer_at(t->quant);
    const struct bd_chanbits *old = t->channel;
    int8_t *bits = bd_alloc((size_t)old->n, 1);
    if (!bits)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (int c = 0; c < old->n; c++) {
        int b = old->bits[c] == 0 || old->bits[c] == 32
                    ? old->bits[c]
                    : old->bits[c] + step;
        if (b != 0 && b != 32) /* relations survive until the ends are hit */
            b = b < q->min_bits ? q->min_bits
                                : b > q->max_bits ? q->max_bits : b;
        bits[c] = (int8_t)b;
    }
    const struct bd_chanbits *next = bd_chanbits_new(bits, old->n);
    bd_free(bits);
    if (!next)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    drop_widths(t);
    t->channel = next;
    return BD_OK;
}

static bd_status turn_step(struct bd_tensorcfg *t, const struct turn *how,
                           struct bd_err *err)
{
    const struct bd_quantizer *q = bd_quantizer_at(t->quant);
    int bits = stepped(q, t->bits, how->value);
    if (bits == 32)
        drop_widths(t);
    /* Below the smallest: the judge's sentence names the method that goes
     * further. */
    t->bits = (int8_t)bits;
    return t->channel && bits >= q->min_bits
               ? step_widths(t, how->value, err)
               : BD_OK;
}

static int in_range(const struct bd_quantizer *q, int bits)
{
    if (bits == 32)
        return bits;
    return bits < q->min_bits ? q->min_bits
                              : bits > q->max_bits ? q->max_bits : bits;
}

/* What becomes of a wish under a method. */
static void take_up(struct bd_tensorcfg *t, const struct bd_wish *w, int row)
{
    t->quant = w->quant;
    t->grain = w->grain;
    t->group = w->group;
    bd_tensorcfg_pick(t, row);
    t->bits = (int8_t)in_range(bd_quantizer_at(row), w->bits);
}

/* A wish counts as long as the present choice is what the present method
 * makes of it; whoever turned something else since has a new one. */
static void renew_wish(struct bd_wish *w, const struct bd_tensorcfg *now)
{
    struct bd_tensorcfg t = *now;
    if (w->bits > 0) {
        take_up(&t, w, now->quant);
        if (t.bits == now->bits && t.grain == now->grain &&
            t.group == now->group)
            return;
    }
    *w = (struct bd_wish){.bits = now->bits, .quant = now->quant,
                          .grain = now->grain, .group = now->group};
}

static bd_status turn_method(struct bd_tensorcfg *t, const struct turn *how,
                             struct bd_err *err)
{
    const struct bd_quantizer *q = bd_quantizer_at(how->value);
    if (!q)
        return bd_fail(err, BD_EINVALID, "no method number %d", how->value);
    /* With a width of its own, only the role can be wrong. */
    bd_status st = bd_quantizer_check(how->value, q->min_bits,
                                      how->part == BD_PART_W, err);
    if (st != BD_OK)
        return st;
    renew_wish(how->wish, t);
    take_up(t, how->wish, how->value);
    if (t->grain != BD_GRAIN_CHANNEL || t->bits != 32)
        drop_widths(t);
    return BD_OK;
}

static bd_status turn_clip(struct bd_tensorcfg *t, const struct turn *how,
                           struct bd_err *err)
{
    if (how->value == BD_CLIP_PERCENTILE &&
        !(how->clip >= 0 && how->clip <= 100)) /* 0 = the usual 99.9 */
        return bd_fail(err, BD_EINVALID,
                       "a percentile lies between 0 and 100; 99.9 is usual");
    if (how->value == BD_CLIP_EMA &&
        !(how->clip >= 0 && how->clip <= 1)) /* 0 = the usual 0.01 */
        return bd_fail(err, BD_EINVALID,
                       "the newest batch weighs between 0 and 1 in a moving "
                       "average; 0.01 is usual");
    t->clip = (uint8_t)how->value;
    t->clip_value = bd_clip_numbered(how->value) ? how->clip : 0.0f;
    return BD_OK;
}

static bd_status turn_grain(struct bd_tensorcfg *t, const struct turn *how,
                            struct bd_err *err)
{
    if (how->value == BD_GRAIN_GROUP &&
        (how->group < 1 || how->group > INT16_MAX))
        return bd_fail(err, BD_EINVALID,
                       "groups of %d: 1 to %d elements work", how->group,
                       INT16_MAX);
    if (how->value != BD_GRAIN_CHANNEL)
        drop_widths(t);
    t->grain = (uint8_t)how->value;
    t->group = (int16_t)(how->value == BD_GRAIN_GROUP ? how->group : 0);
    return BD_OK;
}

static bd_status turn_channel(struct bd_tensorcfg *t, const struct turn *how,
                              struct bd_err *err)
{
    int64_t n = how->channels;
    if (how->channel < 0 || how->channel >= n)
        return bd_fail(err, BD_EINVALID, "channel %d of %lld", how->channel,
                       (long long)n);
    if (how->value != 0 && how->value != 32 &&
        (how->value < 1 || how->value > 16))
        return bd_fail(err, BD_EINVALID,
                       "%d is no width: 1 to 16, 0 for a channel sent as "
                       "zero, 32 for float",
                       how->value);
    int8_t *bits = bd_alloc((size_t)n, 1);
    if (!bits)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (int64_t c = 0; c < n; c++)
        bits[c] = t->channel ? t->channel->bits[c] : t->bits;
    bits[how->channel] = (int8_t)how->value;
    const struct bd_chanbits *next = bd_chanbits_new(bits, (int)n);
    bd_free(bits);
    if (!next)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    drop_widths(t);
    t->channel = next;
    t->grain = BD_GRAIN_CHANNEL;
    t->group = 0;
    return BD_OK;
}

/* ---------------------------------------------------------- building a step */

static bd_status turn_layer(struct bd_session *s, struct bd_step *step,
                            struct turn *how, int layer, struct bd_err *err)
{
    struct bd_change *c = &step->change[step->n];
    struct bd_tensorcfg t = {0};
    bool weights = how->part == BD_PART_W;
    struct bd_err why = {0};
    char shown[256];
    if (layer < 0 || (size_t)layer >= s->m->nlayers)
        return bd_fail(err, BD_EINVALID, "layer %d of %zu", layer,
                       s->m->nlayers);
    const struct bd_layercfg *l = &s->cfg.layer[layer];
    bd_tensorcfg_set(&t, weights ? &l->w : &l->a);
    how->channels = weights ? bd_config_channels(s->m, layer)
                            : bd_config_inputs(s->m, layer);
    drop_planes(&t);
    how->wish = &s->wish[layer][weights ? 0 : 1];
    bd_status st = how->fn(&t, how, &why);
    if (st == BD_OK)
        st = bd_config_allows(s->m, layer, weights, &t, &why);
    if (st == BD_OK) {
        c->layer = layer;
        bd_layercfg_copy(&c->before, l);
        bd_layercfg_copy(&c->after, l);
        if (bd_layercfg_set(&c->after, weights, &t)) {
            step->n++;
        } else {
            bd_layercfg_done(&c->before);
            bd_layercfg_done(&c->after);
        }
    } else {
        bd_text_show(shown, sizeof shown, s->m->layer[layer].name, 0);
        bd_fail(err, st, "layer '%s': %s", shown, why.msg);
    }
    bd_tensorcfg_done(&t);
    return st;
}

static void name_step(struct bd_step *step, const struct bd_session *s,
                      const char *did)
{
    char shown[128];
    if (step->n == 1)
        snprintf(step->what, sizeof step->what, "%s for %s", did,
                 bd_text_show(shown, sizeof shown,
                              s->m->layer[step->change[0].layer].name, 40));
    else if (step->n == s->m->nlayers)
        snprintf(step->what, sizeof step->what, "%s for all layers", did);
    else
        snprintf(step->what, sizeof step->what, "%s for %zu layers", did,
                 step->n);
}

static bd_status start_step(struct bd_step *step, size_t n,
                            struct bd_err *err)
{
    *step = (struct bd_step){.when_ns = bd_now_ns()};
    step->change = bd_calloc(n ? n : 1, sizeof *step->change);
    return step->change ? BD_OK
                        : bd_fail(err, BD_ENOMEM, "out of memory");
}

/* Runs a verb over a selection.  A step of bits may leave out the layers
 * that are at the end of their range, unless that is all of them. */
static bd_status run(struct bd_session *s, struct bd_sel sel,
                     struct turn *how, const char *did, struct bd_err *err)
{
    struct bd_step step;
    struct bd_err first = {0};
    size_t refused = 0;
    bd_status st = start_step(&step, sel.n, err);
    for (size_t i = 0; i < sel.n && st == BD_OK; i++) {
        st = turn_layer(s, &step, how, sel.layer[i], &first);
        if (st == BD_EINVALID && how->merges) {
            refused++;
            st = BD_OK;
        }
    }
    if (st == BD_OK && step.n == 0 && refused > 0)
        st = BD_EINVALID;
    if (st != BD_OK) {
        bd_fail(err, st, "%s", first.msg[0] ? first.msg : "out of memory");
    } else if (step.n > 0) {
        char text[64];
        snprintf(text, sizeof text, "%s%s",
                 how->part == BD_PART_A ? "activations: " : "", did);
        if (how->merges && step.n == 1) { /* says where it ended, not how */
            const struct bd_layercfg *l = &step.change[0].after;
            int bits = how->part == BD_PART_W ? l->w.bits : l->a.bits;
            snprintf(text, sizeof text, "%s%d bits",
                     how->part == BD_PART_A ? "activations: " : "", bits);
        }
        name_step(&step, s, text);
        if (how->merges)
            step.merge = 1 + (uint64_t)how->part * 2 + (how->value > 0);
        st = bd_edit_commit(s, &step, err);
    }
    bd_step_done(&step);
    return st;
}

/* ------------------------------------------------------------- the verbs */

bd_status bd_session_set_bits(struct bd_session *s, struct bd_sel sel,
                              enum bd_part part, int bits, struct bd_err *err)
{
    struct turn how = {.fn = turn_bits, .part = part, .value = bits};
    char did[32];
    snprintf(did, sizeof did, bits == 32 ? "float" : "%d bits", bits);
    return run(s, sel, &how, did, err);
}

bd_status bd_session_step_bits(struct bd_session *s, struct bd_sel sel,
                               enum bd_part part, int step,
                               struct bd_err *err)
{
    struct turn how = {.fn = turn_step, .part = part, .value = step,
                       .merges = true};
    if (step == 0)
        return BD_OK;
    return run(s, sel, &how, step > 0 ? "more bits" : "fewer bits", err);
}

/* Says which layers cannot have the width asked for, right after the wishes
 * were renewed. */
static void say_moved(struct bd_session *s, int row, struct bd_sel sel,
                      enum bd_part part)
{
    const struct bd_quantizer *q = bd_quantizer_at(row);
    char range[32], grain[48] = "";
    size_t moved = 0;
    int now = 0;
    for (size_t i = 0; i < sel.n; i++) {
        int bits = s->wish[sel.layer[i]][part == BD_PART_W ? 0 : 1].bits;
        if (in_range(q, bits) != bits) {
            moved++;
            now = in_range(q, bits);
        }
    }
    if (moved == 0)
        return;
    if (q->min_bits == q->max_bits)
        snprintf(range, sizeof range, "only %d", q->max_bits);
    else
        snprintf(range, sizeof range, "%d to %d", q->min_bits, q->max_bits);
    if (q->traits & BD_Q_BLOCKS)
        snprintf(grain, sizeof grain, " in groups of %d", q->group);
    bd_session_say(s, "'%s' takes %s bit%s%s: %zu layer%s moved to %d",
                   q->name, range, q->max_bits == 1 ? "" : "s", grain, moved,
                   moved == 1 ? "" : "s", now);
}

bd_status bd_session_set_method(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part, int row,
                                struct bd_err *err)
{
    struct turn how = {.fn = turn_method, .part = part, .value = row};
    struct bd_step check;
    char did[64];
    /* A trial without consequences: the refusal must come before the remark
     * about moved widths. */
    bd_status st = start_step(&check, sel.n, err);
    for (size_t i = 0; i < sel.n && st == BD_OK; i++)
        st = turn_layer(s, &check, &how, sel.layer[i], err);
    bd_step_done(&check);
    if (st != BD_OK)
        return st;
    if (sel.n == 0)
        return BD_OK;
    say_moved(s, row, sel, part);
    snprintf(did, sizeof did, "method %s", bd_quantizer_at(row)->name);
    return run(s, sel, &how, did, err);
}

bd_status bd_session_set_clip(struct bd_session *s, struct bd_sel sel,
                              enum bd_part part, struct bd_clip_choice clip,
                              struct bd_err *err)
{
    struct turn how = {.fn = turn_clip, .part = part,
                       .value = (int)clip.rule, .clip = clip.value};
    const char *name = bd_clip_names[clip.rule];
    char did[64];
    if (bd_clip_numbered(clip.rule) && clip.value > 0)
        snprintf(did, sizeof did, "clip %s %.4g", name, (double)clip.value);
    else
        snprintf(did, sizeof did, "clip %s", name);
    return run(s, sel, &how, did, err);
}

bd_status bd_session_set_grain(struct bd_session *s, struct bd_sel sel,
                               enum bd_part part, struct bd_grain_choice g,
                               struct bd_err *err)
{
    struct turn how = {.fn = turn_grain, .part = part, .value = (int)g.grain,
                       .group = g.group};
    char did[64];
    if (g.grain == BD_GRAIN_GROUP)
        snprintf(did, sizeof did, "groups of %d", g.group);
    else
        snprintf(did, sizeof did, "one grid per %s", bd_grain_names[g.grain]);
    return run(s, sel, &how, did, err);
}

bd_status bd_session_set_channel(struct bd_session *s, int layer, int channel,
                                 int bits, struct bd_err *err)
{
    struct turn how = {.fn = turn_channel, .part = BD_PART_W, .value = bits,
                       .channel = channel};
    char did[64];
    snprintf(did, sizeof did, "channel %d: %d bits", channel, bits);
    return run(s, (struct bd_sel){&layer, 1}, &how, did, err);
}

static void add_change(struct bd_step *step, const struct bd_session *s,
                       int layer, const struct bd_layercfg *after)
{
    struct bd_change *c = &step->change[step->n++];
    c->layer = layer;
    bd_layercfg_copy(&c->before, &s->cfg.layer[layer]);
    bd_layercfg_copy(&c->after, after);
}

bd_status bd_session_set_all(struct bd_session *s, const struct bd_bitcfg *c,
                             const char *what, struct bd_err *err)
{
    struct bd_step step;
    if (c->n != s->cfg.n)
        return bd_fail(err, BD_EINVALID, "%zu layers for a model of %zu",
                       c->n, s->cfg.n);
    bd_status st = bd_config_check(c, s->m, err);
    if (st == BD_OK)
        st = start_step(&step, c->n, err);
    if (st != BD_OK)
        return st;
    for (size_t i = 0; i < c->n; i++)
        if (!bd_layercfg_same(&s->cfg.layer[i], &c->layer[i]))
            add_change(&step, s, (int)i, &c->layer[i]);
    snprintf(step.what, sizeof step.what, "%s", what);
    if (step.n > 0)
        st = bd_edit_commit(s, &step, err);
    bd_step_done(&step);
    return st;
}

void bd_session_set_lock(struct bd_session *s, struct bd_sel sel, bool lock)
{
    struct bd_step step;
    if (start_step(&step, sel.n, NULL) != BD_OK)
        return;
    for (size_t i = 0; i < sel.n; i++) {
        int k = sel.layer[i];
        if (k < 0 || (size_t)k >= s->cfg.n || s->cfg.layer[k].locked == lock)
            continue;
        struct bd_layercfg after = s->cfg.layer[k]; /* borrowed for a line */
        after.locked = lock;
        add_change(&step, s, k, &after);
    }
    name_step(&step, s, lock ? "lock" : "no lock");
    if (step.n > 0)
        bd_edit_commit(s, &step, NULL);
    bd_step_done(&step);
}
