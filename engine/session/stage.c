/* Stages: the network before and after each repair, each with what is fitted
 * to it and what runs it (see session_priv.h).
 *
 * Made on any thread, entered on the interface's.  A stage is immutable once
 * made; it borrows from the one it came from, so they are freed newest
 * first. */
#include "session/session_priv.h"

#include <stdio.h>

static const size_t cached_bytes = (size_t)512 << 20; /* of one stage's runs;
                                           the first has a machine's quarter */

uint64_t bd_stage_digest(uint64_t salt, const struct bd_bitcfg *c)
{
    uint64_t d = bd_bitcfg_digest(c);
    return salt ? bd_digest(&d, sizeof d, salt) : d;
}

uint64_t bd_session_digest(const struct bd_session *s,
                           const struct bd_bitcfg *c)
{
    return bd_stage_digest(s->at->salt, c);
}

bool bd_session_is_original(const struct bd_session *s)
{
    return s->at == &s->base && bd_session_all_float(&s->cfg);
}

/* ---------------------------------------------------------- making a stage */

struct making {
    const struct bd_stage_ask *ask;
    const struct bd_repair *row;
    const struct bd_bitcfg *cfg;
    struct bd_repair_in in;
    struct bd_qrun run; /* where the repair looks at images */
    bool *layer;
};

static bd_status choose_layers(struct making *k, struct bd_err *err)
{
    const struct bd_repair_note *n = k->ask->note;
    size_t layers = k->ask->from->m->nlayers;
    if (n->nlayers == 0)
        return BD_OK;
    k->layer = bd_calloc(layers, sizeof *k->layer);
    if (!k->layer)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < n->nlayers; i++) {
        if (n->layer[i] < 0 || (size_t)n->layer[i] >= layers)
            return bd_fail(err, BD_EINVALID, "layer %d of %zu", n->layer[i],
                           layers);
        k->layer[n->layer[i]] = true;
    }
    k->in.layer = k->layer;
    return BD_OK;
}

/* The network as it is quantized at that moment, and the pictures. */
static bd_status look_at_images(struct making *k, struct bd_ctl *ctl,
                                struct bd_err *err)
{
    struct bd_bench *b = k->ask->from->bench;
    int64_t want = k->ask->note->images;
    if (!b)
        return bd_fail(err, BD_EINVALID, "'%s' looks at images; --data names "
                                         "some", k->row->name);
    if (want > b->o.calib_images)
        return bd_fail(err, BD_EINVALID,
                       "'%s' was made with %lld calibration images, here are "
                       "%lld; --calib-limit %lld takes as many",
                       k->row->name, (long long)want,
                       (long long)b->o.calib_images, (long long)want);
    bd_status st = bd_bench_prepare(b, k->cfg, ctl, err);
    if (st == BD_OK)
        st = bd_qrun_init(&k->run, b, k->cfg, ctl, err);
    struct bd_pixels *px = b->calib == b->runner ? b->pixels
                                                 : b->calib_pixels;
    k->in.q = k->run.q;
    k->in.ref = k->ask->from->ref;
    k->in.images = (struct bd_source){
        bd_pixels_fetch, px, want > 0 ? want : b->o.calib_images};
    return st;
}

/* What a document needs to make it again. */
static bd_status note_of(struct bd_repair_note *out, const struct making *k)
{
    const struct bd_repair_note *asked = k->ask->note;
    struct bd_repair_note n = *asked;
    bool data = (k->row->traits & BD_REPAIR_DATA) != 0;
    if (asked->under.n == 0 && data)
        n.under = *k->cfg; /* borrowed while it is copied */
    if (data)
        n.images = k->in.images.images;
    return bd_repair_note_copy(out, &n);
}

static bd_status open_stage_bench(struct bd_stage *g, struct bd_err *err)
{
    const struct bd_stage *from = g->from;
    if (!from->bench)
        return BD_OK;
    struct bd_bench_opts o = from->bench->o;
    o.m = g->m;
    o.fits = g->fits;
    o.reference = o.reference ? o.reference : from->bench;
    o.ref = g->ref;
    o.salt = g->salt;
    o.memory = o.memory > 0 && o.memory < cached_bytes ? o.memory
                                                       : cached_bytes;
    return bd_bench_new(&g->bench, &o, err);
}

/* A repair that leaves the float network what it was is measured against
 * itself; one that does not, against what came before it. */
static bd_status open_stage(struct bd_stage **out, const struct making *k,
                            const struct bd_repair_out *o, struct bd_err *err)
{
    struct bd_stage *g = bd_calloc(1, sizeof *g);
    if (!g)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    g->from = k->ask->from;
    bd_status st = bd_repair_model(&g->m, g->from->m, o, err);
    if (st == BD_OK) {
        g->salt = g->m->digest | 1;
        if (k->row->traits & BD_REPAIR_DATA)
            g->ref = g->from->ref ? g->from->ref : g->from->m;
        st = bd_fits_after(&g->fits, g->m, g->from->fits, g->ref, err);
    }
    if (st == BD_OK)
        st = open_stage_bench(g, err);
    if (st == BD_OK && note_of(&g->note, k) != BD_OK)
        st = bd_fail(err, BD_ENOMEM, "out of memory");
    if (st != BD_OK)
        bd_stage_free(g);
    else
        *out = g;
    return st;
}

static bd_status repair(struct bd_stage_made *out, struct making *k,
                        struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_repair_out o = {0};
    bd_status st = bd_repair_run(&o, k->row, &k->in, ctl, err);
    if (st == BD_OK && bd_repair_changes_model(&o))
        st = open_stage(&out->stage, k, &o, err);
    if (st == BD_OK) {
        out->cfg = o.cfg;
        o.cfg = (struct bd_bitcfg){0};
        snprintf(out->what, sizeof out->what, "%s: %s", k->row->name, o.what);
    }
    bd_repair_out_done(&o);
    return st;
}

bd_status bd_stage_make(struct bd_stage_made *out,
                        const struct bd_stage_ask *a, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    struct making k = {.ask = a, .row = bd_repair_find(a->note->name, err)};
    bd_status st = k.row ? BD_OK : BD_EINVALID;
    *out = (struct bd_stage_made){0};
    k.cfg = a->note->under.n > 0 ? &a->note->under : a->cfg;
    k.in = (struct bd_repair_in){
        .m = a->from->m, .cfg = k.cfg, .clip_safe = a->note->clip_safe,
        .pool = a->pool, .iterations = a->note->iterations,
        .seed = a->note->seed};
    if (st == BD_OK)
        st = choose_layers(&k, err);
    if (st == BD_OK && (k.row->traits & BD_REPAIR_DATA))
        st = look_at_images(&k, ctl, err);
    if (st == BD_OK)
        st = repair(out, &k, ctl, err);
    bd_qrun_done(&k.run);
    bd_free(k.layer);
    return st;
}

void bd_stage_made_done(struct bd_stage_made *m)
{
    bd_stage_free(m->stage);
    bd_bitcfg_done(&m->cfg);
    *m = (struct bd_stage_made){0};
}

bd_status bd_stage_replay(struct bd_stage **out, const struct bd_stage_ask *a,
                          const struct bd_repair_notes *notes,
                          struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_stage_ask ask = *a;
    bd_status st = BD_OK;
    for (size_t i = 0; i < notes->n && st == BD_OK; i++) {
        struct bd_stage_made made;
        ask.note = &notes->note[i];
        st = bd_stage_make(&made, &ask, ctl, err);
        if (st == BD_OK && made.stage) {
            ask.from = made.stage;
            made.stage = NULL;
        }
        if (st == BD_OK)
            bd_stage_made_done(&made);
    }
    if (st == BD_OK)
        *out = ask.from;
    else
        bd_stage_free_down_to(ask.from, a->from);
    return st;
}

/* ---------------------------------------------------------------- the ends */

void bd_stage_free(struct bd_stage *g)
{
    if (!g)
        return;
    bd_bench_free(g->bench);
    bd_fits_free(g->fits);
    bd_model_free(g->m);
    bd_repair_note_done(&g->note);
    bd_free(g);
}

void bd_stage_free_down_to(struct bd_stage *g, const struct bd_stage *from)
{
    while (g && g != from) {
        struct bd_stage *next = g->from;
        bd_stage_free(g);
        g = next;
    }
}

void bd_stages_start(struct bd_session *s)
{
    s->base = (struct bd_stage){.m = s->m, .fits = s->fits,
                                .bench = s->bench};
    s->at = &s->base;
}

/* Oldest first into the list, which is freed from its end. */
bool bd_stages_adopt(struct bd_session *s, struct bd_stage *g)
{
    size_t n = 0;
    for (struct bd_stage *k = g; k != s->at && k->from; k = k->from)
        n++;
    if (!bd_grow((void **)&s->stage, &s->stage_cap, s->nstages + n,
                 sizeof(struct bd_stage *)))
        return false;
    s->nstages += n;
    for (size_t i = s->nstages; n > 0; n--, g = g->from)
        s->stage[--i] = g;
    return true;
}

void bd_stages_done(struct bd_session *s)
{
    if (!s->at)
        return;
    while (s->nstages > 0)
        bd_stage_free(s->stage[--s->nstages]);
    bd_free(s->stage);
    s->m = s->base.m;
    s->fits = s->base.fits;
    s->bench = s->base.bench;
}

/* ---------------------------------------------------------------- entering */

bool bd_stage_enter(struct bd_session *s, struct bd_stage *g)
{
    if (!g || g == s->at)
        return false;
    bd_live_leave(s);
    s->at = g;
    s->m = g->m;
    s->fits = g->fits;
    s->bench = g->bench;
    s->digest = bd_session_digest(s, &s->cfg);
    return true;
}

bd_status bd_stage_notes(struct bd_repair_notes *out,
                         const struct bd_stage *at)
{
    size_t n = 0;
    for (const struct bd_stage *g = at; g->from; g = g->from)
        n++;
    *out = (struct bd_repair_notes){0};
    out->note = bd_calloc(n, sizeof *out->note);
    if (!out->note)
        return BD_ENOMEM;
    out->n = n;
    for (const struct bd_stage *g = at; g->from; g = g->from)
        out->note[--n] = g->note;
    return BD_OK;
}
