/* Two configurations side by side: what they cost, what each does to every
 * layer, and how the network answers the same images under either.
 *
 * Like everything live, results carry the digest of what they belong to and
 * are looked up by it; asking twice finds them again, and an edit needs to
 * mark nothing.  The view is pulled: each look fills in what is known and
 * asks the lanes for what is missing, layer errors on the fast lane, the two
 * accuracies on the eval lane.  An edit takes our accuracies back, so that
 * the person's own number comes first; the next look asks again, behind it.
 *
 * Jobs have the side in their key: sub = side << 22 | layer, or | ACC. */
#include "session/compare_priv.h"

#include <math.h>
#include <string.h>

enum { SIDE = 22, ACC = 1 << 23, LAYERS = 1 << SIDE };

/* ------------------------------------------------------------------ state */

struct bd_compare_state *bd_compare_state(struct bd_session *s)
{
    struct bd_compare_state *c = bd_tool_state(s, BD_TOOL_COMPARE);
    size_t n = s->m->nlayers;
    if (!c || c->known)
        return c;
    c->asked[0] = c->asked[0] ? c->asked[0]
                              : bd_calloc(n, sizeof *c->asked[0]);
    c->asked[1] = c->asked[1] ? c->asked[1]
                              : bd_calloc(n, sizeof *c->asked[1]);
    if (c->asked[0] && c->asked[1])
        c->known = bd_calloc(n, sizeof *c->known);
    c->nlayers = n;
    return c->known ? c : NULL;
}

/* By the digest that the stage's network is part of: the same choice on a
 * repaired network is another entry. */
static struct bd_measured *find_measured(struct bd_compare_state *c,
                                         uint64_t digest)
{
    for (int i = 0; i < BD_MEASURED; i++)
        if (c->measured[i].answer && c->measured[i].digest == digest)
            return &c->measured[i];
    return NULL;
}

/* What is found moves to the front, so that a side looked at again and again
 * is never the one that falls out. */
static const struct bd_layer_known *find_known(struct bd_compare_state *c,
                                               int layer, uint64_t digest)
{
    struct bd_layer_known *k = c->known[layer];
    for (int i = 0; i < BD_LAYER_KNOWN; i++) {
        struct bd_layer_known hit = k[i];
        if (hit.digest != digest)
            continue;
        memmove(k + 1, k, (size_t)i * sizeof *k);
        k[0] = hit;
        return k;
    }
    return NULL;
}

/* The oldest of the ring falls out; six suffice for two sides and a few
 * changes of mind. */
static void remember_layer(struct bd_compare_state *c, int layer,
                           const struct bd_layer_known *known)
{
    struct bd_layer_known *k = c->known[layer];
    memmove(k + 1, k, (BD_LAYER_KNOWN - 1) * sizeof *k);
    k[0] = *known;
}

/* ------------------------------------------------------------------- jobs */

struct order { /* of either kind of job */
    struct bd_errors_ask ask; /* its cfg is `layer` below */
    struct bd_layercfg layer;
    bool ready;               /* statistics of inputs were there */
    uint64_t digest;
    struct bd_bench *bench;
    struct bd_bitcfg cfg;
    int32_t *answer; /* [images] */
};

static void order_free(void *p)
{
    struct order *o = p;
    bd_layercfg_done(&o->layer);
    bd_bitcfg_done(&o->cfg);
    bd_free(o->answer);
    bd_free(o);
}

/* Fast lane, milliseconds each: a hundred layers are a hundred jobs, so that
 * an edit's own numbers never wait for more than one of them. */
static bd_status layer_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    struct bd_layer_errors *e = bd_calloc(1, sizeof *e);
    if (!e)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    o->ask.cfg = &o->layer;
    bd_status st = bd_layer_errors_of(e, &o->ask, ctl, err);
    if (st == BD_OK)
        *result = e;
    else
        bd_free(e);
    return st;
}

/* The answers stay in the order, where accept finds them: partial results
 * are plain bd_acc_answer, and so is the final one. */
static bd_status acc_run(void **result, void *arg, struct bd_ctl *ctl,
                         struct bd_err *err)
{
    struct order *o = arg;
    struct bd_acc_answer *a = bd_calloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    struct bd_acc_ask ask = {.cfg = &o->cfg, .answer = o->answer};
    bd_status st = bd_bench_answers(a, o->bench, ask, ctl, err);
    if (st == BD_OK)
        *result = a;
    else
        bd_free(a);
    return st;
}

/* Touching first: whatever this side asked before is no longer wanted. */
static void submit(struct bd_session *s, uint32_t sub, struct order *o)
{
    bool acc = (sub & ACC) != 0;
    uint64_t key = bd_tool_key(BD_TOOL_COMPARE, sub);
    bd_lanes_touch(s->lanes, key);
    bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = acc ? BD_LANE_EVAL : BD_LANE_FAST,
        .title = acc ? "accuracy to compare" : "errors to compare",
        .arg = o, .run = acc ? acc_run : layer_run, .free_arg = order_free,
        .free_result = bd_free});
}

/* ----------------------------------------------------------------- asking */

/* The same choice errs differently on a repaired network. */
static uint64_t layer_digest(const struct bd_compare_state *c, int side,
                             int layer)
{
    uint64_t d[2] = {
        bd_layercfg_digest(&c->out.side[side].cfg.layer[layer]),
        c->stage[side]->salt};
    return bd_digest(d, sizeof d, 0) | 1; /* 0 means nothing known */
}

static uint64_t side_digest(const struct bd_compare_state *c, int side)
{
    return bd_stage_digest(c->stage[side]->salt, &c->out.side[side].cfg);
}

static struct bd_errors_ask errors_ask(const struct bd_stage *g, int layer,
                                       const struct bd_layercfg *cfg)
{
    struct bd_errors_ask ask = {.layer = layer, .cfg = cfg, .fits = g->fits};
    if (g->bench)
        ask.in = bd_bench_input(g->bench, layer);
    return ask;
}

/* The side's last question is remembered, so that drawing ten times a second
 * asks once. */
static void ask_layer(struct bd_session *s, struct bd_compare_state *c,
                      int side, int layer)
{
    const struct bd_layercfg *l = &c->out.side[side].cfg.layer[layer];
    uint64_t digest = layer_digest(c, side, layer);
    struct bd_errors_ask ask = errors_ask(c->stage[side], layer, l);
    if (!s->started || c->asked[side][layer] == digest || layer >= LAYERS ||
        (c->stage[side]->bench && !ask.in.all && !bd_session_is_float(&l->a)))
        return; /* calibration is under way; a later look asks again */
    struct order *o = bd_calloc(1, sizeof *o);
    if (!o)
        return;
    o->ask = ask;
    o->digest = digest;
    bd_layercfg_copy(&o->layer, l);
    c->asked[side][layer] = digest;
    submit(s, (uint32_t)side << SIDE | (uint32_t)layer, o);
}

/* Equal sides share one run: B leaves it to A. */
static void ask_acc(struct bd_session *s, struct bd_compare_state *c,
                    int side)
{
    const struct bd_bitcfg *cfg = &c->out.side[side].cfg;
    uint64_t digest = side_digest(c, side);
    struct bd_bench *bench = c->stage[side]->bench;
    if (!s->started || !bench || c->asked_acc[side] == digest ||
        (side == 1 && c->asked_acc[0] == digest))
        return;
    struct order *o = bd_calloc(1, sizeof *o);
    if (!o)
        return;
    o->bench = bench;
    o->digest = digest;
    o->answer = bd_alloc((size_t)s->images, sizeof *o->answer);
    if (!o->answer || bd_bitcfg_copy(&o->cfg, cfg) != BD_OK) {
        order_free(o);
        return;
    }
    c->asked_acc[side] = digest;
    c->stopped[side] = 0;
    submit(s, ACC | (uint32_t)side << SIDE, o);
}

/* ---------------------------------------------------------------- results */

/* A failure is known too, as NaN: asking again would fail again.  What a
 * person stopped is not known, and is asked again after another choice. */
static void take_layer(struct bd_session *s, struct bd_compare_state *c,
                       const struct bd_done *d, int layer)
{
    const struct order *o = d->job->arg;
    const struct bd_layer_errors *e = d->result;
    struct bd_layer_known k = {o->digest, NAN, NAN};
    char shown[200];
    if (e) {
        k.w_psnr_db = e->w_psnr_db;
        k.a_psnr_db = e->a_psnr_db;
    } else if (d->status != BD_ECANCELLED) {
        bd_text_show(shown, sizeof shown, s->m->layer[layer].name, 0);
        bd_session_say(s, "comparing '%s': %s", shown, d->err.msg);
    }
    if (e || d->status != BD_ECANCELLED)
        remember_layer(c, layer, &k);
}

/* The final result moves the answers of every image out of the order. */
static void take_acc(struct bd_session *s, struct bd_compare_state *c,
                     const struct bd_done *d, int side)
{
    struct order *o = d->job->arg;
    const struct bd_acc_answer *a = d->result;
    if (!a) {
        c->stopped[side] = o->digest;
        if (d->status != BD_ECANCELLED)
            bd_session_say(s, "%s: %s", d->job->title, d->err.msg);
        return;
    }
    if (d->partial) {
        if (a->digest == o->digest)
            c->partial[side] =
                (struct bd_acc_live){true, true, a->digest, a->eval};
        return;
    }
    struct bd_measured *m = &c->measured[c->measured_next];
    c->measured_next = (c->measured_next + 1) % BD_MEASURED;
    bd_free(m->answer);
    *m = (struct bd_measured){o->digest, a->eval, o->answer};
    o->answer = NULL;
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct bd_compare_state *c = state;
    if (sub & ACC)
        take_acc(s, c, d, (int)(sub >> SIDE & 1));
    else if (c->known)
        take_layer(s, c, d, (int)(sub & (LAYERS - 1)));
    bd_free(d->result);
}

/* The present configuration's accuracy goes first. */
static void edited(struct bd_session *s, void *state)
{
    struct bd_compare_state *c = state;
    for (uint32_t side = 0; side < 2; side++)
        if (c->asked_acc[side]) {
            bd_lanes_touch(s->lanes, bd_tool_key(BD_TOOL_COMPARE,
                                                 ACC | side << SIDE));
            c->asked_acc[side] = 0;
        }
}

static void done(void *state)
{
    struct bd_compare_state *c = state;
    for (size_t i = 0; i < c->nkept; i++)
        bd_bitcfg_done(&c->kept[i].cfg);
    for (int i = 0; i < BD_MEASURED; i++)
        bd_free(c->measured[i].answer);
    bd_free(c->kept);
    bd_free(c->known);
    bd_free(c->asked[0]);
    bd_free(c->asked[1]);
    bd_compare_done(&c->out);
}

const struct bd_tool bd_compare_tool = {
    .state_size = sizeof(struct bd_compare_state), .accept = accept,
    .edited = edited, .done = done};

/* --------------------------------------------------------------- the view */

void bd_compare_done(struct bd_compare *c)
{
    bd_bitcfg_done(&c->side[0].cfg);
    bd_bitcfg_done(&c->side[1].cfg);
    bd_free(c->layer);
    *c = (struct bd_compare){0};
}

/* What needs no measuring.  c owns both configurations already. */
static bd_status fill(struct bd_compare *c, const struct bd_session *s,
                      struct bd_stage *const stage[2], struct bd_err *err)
{
    c->n = s->m->nlayers;
    c->layer = bd_calloc(c->n ? c->n : 1, sizeof *c->layer);
    if (!c->layer)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (int k = 0; k < 2; k++)
        bd_cost_of(&c->side[k].cost, stage[k]->m, s->plan, &c->side[k].cfg);
    for (size_t i = 0; i < c->n; i++) {
        struct bd_compare_layer *l = &c->layer[i];
        const struct bd_layercfg *a = &c->side[0].cfg.layer[i],
                                 *b = &c->side[1].cfg.layer[i];
        l->differs_w = !bd_tensorcfg_same(&a->w, &b->w);
        l->differs_a = !bd_tensorcfg_same(&a->a, &b->a);
        c->differing += l->differs_w || l->differs_a;
        for (int k = 0; k < 2; k++) {
            const struct bd_layercfg *cfg = &c->side[k].cfg.layer[i];
            l->side[k].stored_bits = bd_stored_bits(s->m, (int)i, &cfg->w);
            l->side[k].w_psnr_db =
                bd_session_is_float(&cfg->w) ? (double)INFINITY : (double)NAN;
            l->side[k].a_psnr_db =
                bd_session_is_float(&cfg->a) ? (double)INFINITY : (double)NAN;
        }
    }
    return BD_OK;
}

/* Float keeps the infinity that fill() gave it. */
static void put_errors(struct bd_compare_errors *to,
                       const struct bd_layercfg *cfg, double w, double a)
{
    if (!bd_session_is_float(&cfg->w))
        to->w_psnr_db = w;
    if (!bd_session_is_float(&cfg->a))
        to->a_psnr_db = a;
}

/* Fills in what is known and asks for the rest, A and B of a layer together,
 * so that rows fill from the top. */
static void look_layers(struct bd_session *s, struct bd_compare_state *c)
{
    for (size_t i = 0; i < c->out.n; i++)
        for (int k = 0; k < 2; k++) {
            const struct bd_layercfg *l = &c->out.side[k].cfg.layer[i];
            const struct bd_layer_known *known =
                find_known(c, (int)i, layer_digest(c, k, (int)i));
            if (bd_session_is_float(&l->w) && bd_session_is_float(&l->a))
                continue;
            if (known)
                put_errors(&c->out.layer[i].side[k], l, known->w_psnr_db,
                           known->a_psnr_db);
            else
                ask_layer(s, c, k, (int)i);
        }
}

/* Exact from our own measuring or the session's, else how far it got. */
static void look_acc(struct bd_session *s, struct bd_compare_state *c, int k)
{
    struct bd_compare_side *side = &c->out.side[k];
    uint64_t digest = side_digest(c, k);
    const struct bd_measured *m = find_measured(c, digest);
    const struct bd_stage *g = c->stage[k];
    const struct bd_net_eval *f =
        g->bench && g == &s->base ? bd_bench_float_eval(g->bench) : NULL;
    const struct bd_net_eval *known;
    if (m) {
        side->acc = m->eval;
        side->fresh = BD_EXACT;
        return;
    }
    ask_acc(s, c, k);
    known = bd_live_known(s, digest);
    side->stopped = c->stopped[0] == digest || c->stopped[1] == digest;
    for (int i = 0; i < 2; i++) /* equal sides share one run */
        if (c->partial[i].have && c->partial[i].digest == digest) {
            side->acc = c->partial[i].eval;
            side->fresh = BD_PARTIAL;
        }
    if (known) {
        side->acc = *known;
        side->fresh = BD_EXACT;
    }
    if (f && bd_session_all_float(&side->cfg)) {
        side->acc = *f;
        side->fresh = BD_EXACT;
    }
}

/* The images and labels are those of every stage. */
static void pair(struct bd_compare *c, const struct bd_bench *b,
                 const int32_t *answer_a, const int32_t *answer_b)
{
    c->paired_known = true;
    bd_paired_of(&c->paired, answer_a, answer_b, b->label, b->o.images);
}

/* Made afresh at each look: both configurations may have changed since, and
 * copying a few hundred choices costs less than finding out. */
const struct bd_compare *bd_session_compare(struct bd_session *s,
                                            const char *a, const char *b,
                                            struct bd_err *err)
{
    struct bd_compare_state *c = bd_compare_state(s);
    struct bd_compare next = {0};
    if (!c) {
        bd_fail(err, BD_ENOMEM, "out of memory");
        return NULL;
    }
    const char *name[2] = {a, b};
    struct bd_stage *stage[2] = {NULL, NULL};
    bd_status st = BD_OK;
    for (int k = 0; k < 2 && st == BD_OK; k++) {
        struct bd_named n = {0};
        st = bd_named_find(&n, s, name[k], err);
        next.side[k].cfg = n.cfg;
        stage[k] = n.stage;
    }
    if (st == BD_OK)
        st = fill(&next, s, stage, err);
    if (st != BD_OK) {
        bd_compare_done(&next);
        return NULL;
    }
    bd_compare_done(&c->out);
    c->out = next;
    for (int k = 0; k < 2; k++) {
        c->stage[k] = stage[k];
        c->out.side[k].other_network = stage[k] != s->at;
    }
    look_layers(s, c);
    look_acc(s, c, 0);
    look_acc(s, c, 1);
    const struct bd_measured *ma, *mb;
    ma = find_measured(c, side_digest(c, 0));
    mb = find_measured(c, side_digest(c, 1));
    if (ma && mb)
        pair(&c->out, s->bench, ma->answer, mb->answer);
    return &c->out;
}

/* ----------------------------------------------------------------- at once */

/* Statistics of inputs first, and only if one side quantizes any. */
static bd_status now_layers(struct bd_compare *c, struct bd_session *s,
                            struct bd_ctl *ctl, struct bd_err *err)
{
    bd_status st = BD_OK;
    for (int k = 0; k < 2 && st == BD_OK && s->bench; k++)
        st = bd_bench_prepare(s->bench, &c->side[k].cfg, ctl, err);
    for (size_t i = 0; i < c->n && st == BD_OK; i++)
        for (int k = 0; k < 2 && st == BD_OK; k++) {
            const struct bd_layercfg *l = &c->side[k].cfg.layer[i];
            struct bd_errors_ask ask = errors_ask(s->at, (int)i, l);
            struct bd_layer_errors e;
            st = bd_ctl_stale(ctl) ? BD_ECANCELLED
                                   : bd_layer_errors_of(&e, &ask, ctl, err);
            if (st == BD_OK)
                put_errors(&c->layer[i].side[k], l, e.w_psnr_db, e.a_psnr_db);
        }
    return st;
}

/* One after the other on the same runner, whose cache of prefixes makes the
 * second cheap where the two agree in the first layers. */
static bd_status now_acc(struct bd_compare *c, struct bd_session *s,
                         struct bd_ctl *ctl, struct bd_err *err)
{
    int32_t *answer = bd_alloc(2 * (size_t)s->images, sizeof *answer);
    bd_status st = answer ? BD_OK : bd_fail(err, BD_ENOMEM, "out of memory");
    for (int k = 0; k < 2 && st == BD_OK; k++) {
        struct bd_acc_answer a;
        struct bd_acc_ask ask = {.cfg = &c->side[k].cfg,
                                 .answer = answer + k * s->images};
        st = bd_bench_answers(&a, s->bench, ask, ctl, err);
        if (st != BD_OK)
            break;
        c->side[k].acc = a.eval;
        c->side[k].fresh = BD_EXACT;
    }
    if (st == BD_OK)
        pair(c, s->bench, answer, answer + s->images);
    bd_free(answer);
    return st;
}

bd_status bd_session_now_compare(struct bd_compare *out, struct bd_session *s,
                                 const struct bd_bitcfg *const cfg[2],
                                 struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_compare c = {0};
    bd_status st = BD_OK;
    for (int k = 0; k < 2 && st == BD_OK; k++) {
        st = bd_config_check(cfg[k], s->m, err);
        if (st == BD_OK && bd_bitcfg_copy(&c.side[k].cfg, cfg[k]) != BD_OK)
            st = bd_fail(err, BD_ENOMEM, "out of memory");
    }
    if (st == BD_OK)
        st = fill(&c, s, (struct bd_stage *const[2]){s->at, s->at}, err);
    if (st == BD_OK)
        st = now_layers(&c, s, ctl, err);
    if (st == BD_OK && s->bench)
        st = now_acc(&c, s, ctl, err);
    if (st == BD_OK)
        *out = c;
    else
        bd_compare_done(&c);
    return st;
}
