/* Files a person asks for: the exported document and a layer's picture.
 *
 * A disk may be slow or far away, so the interface only takes a snapshot
 * (struct source, struct bd_picture) and a lane does the rest; the outcome
 * comes back as news.  Scripts and the command line call the same functions
 * on their own thread.  Whatever was asked for is written, also when the
 * program is left in the same breath: bd_session_settle() waits for it. */
#include "session/live_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------- documents */

struct source { /* everything a document is made of; cfg borrowed */
    const struct bd_model *m, *base; /* base: as it was opened */
    const struct bd_stage *at;
    struct bd_fits *fits;
    struct bd_bench *bench;
    const struct bd_bitcfg *cfg;
    struct bd_config_metrics metrics;
    const char *data;
    uint64_t seed;
};

struct clip_list { /* per layer, with what it borrows */
    struct bd_clips *c;
    double **w, **a;
    size_t n;
};

static void clips_done(struct clip_list *l)
{
    for (size_t i = 0; l->w && i < l->n; i++)
        bd_free(l->w[i]);
    for (size_t i = 0; l->a && i < l->n; i++)
        bd_free(l->a[i]);
    bd_free(l->w);
    bd_free(l->a);
    bd_free(l->c);
}

static bool clips_init(struct clip_list *l, size_t n)
{
    *l = (struct clip_list){.n = n};
    l->c = bd_calloc(n, sizeof *l->c);
    l->w = bd_calloc(n, sizeof *l->w);
    l->a = bd_calloc(n, sizeof *l->a);
    return l->c && l->w && l->a;
}

/* Clips in the domain of the weights, one per parameter set. */
static bd_status weight_clips(struct clip_list *l, const struct source *s,
                              size_t i, struct bd_err *err)
{
    struct bd_fit_ask ask = {(int)i, &s->cfg->layer[i].w};
    const struct bd_fit *fit;
    if (bd_session_is_float(ask.cfg))
        return BD_OK;
    bd_status st = bd_fits_get(&fit, s->fits, ask, NULL, err);
    if (st != BD_OK)
        return st;
    size_t n = fit->set.n;
    double *v = bd_alloc(n ? n : 1, sizeof *v);
    for (size_t k = 0; v && k < n; k++) {
        const struct bd_qparam *p = &fit->set.p[k];
        v[k] = p->clip * (p->sigma > 0 && p->map_back ? p->sigma : 1);
    }
    bd_fits_unref(s->fits, fit);
    if (!v)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    l->w[i] = v;
    l->c[i].w = v;
    l->c[i].nw = n;
    return BD_OK;
}

/* The same of a layer's input, where it was calibrated. */
static bd_status act_clips(struct clip_list *l, const struct source *s,
                           size_t i, struct bd_err *err)
{
    const struct bd_tensorcfg *t = &s->cfg->layer[i].a;
    struct bd_calib_input in = {0};
    struct bd_actset set;
    if (s->bench)
        in = bd_bench_input(s->bench, (int)i);
    if (bd_session_is_float(t) || !in.all ||
        bd_calib_actset(&set, &in, t, NULL) != BD_OK)
        return BD_OK;
    double *v = bd_alloc(set.n, sizeof *v);
    for (size_t k = 0; v && k < set.n; k++) {
        v[k] = set.p[k].clip;
        l->c[i].a_signed = l->c[i].a_signed || set.p[k].is_signed;
    }
    l->a[i] = v;
    l->c[i].av = v;
    l->c[i].na = t->grain == BD_GRAIN_TENSOR ? 0 : set.n;
    l->c[i].a = set.p[0].clip;
    l->c[i].a_known = true;
    bd_actset_done(&set);
    return v ? BD_OK : bd_fail(err, BD_ENOMEM, "out of memory");
}

/* Partial or stale accuracy does not belong into a file. */
static struct bd_config_metrics exact_metrics(const struct bd_session *s)
{
    struct bd_net_view v;
    struct bd_config_metrics m = {NAN, NAN, -1, -1};
    bd_session_net(&v, s);
    m.avg_bits_w = v.cost.avg_bits_w;
    m.size_bytes = (v.cost.size_bits + 7) / 8;
    /* Measured, though not as the last one. */
    const struct bd_net_eval *known =
        v.fresh == BD_EXACT ? &v.acc : bd_live_known(s, s->digest);
    if (known) {
        m.top1 = known->top1;
        m.images = known->images;
    }
    return m;
}

static struct source source_of(const struct bd_session *s)
{
    return (struct source){
        .m = s->m, .base = s->base.m, .at = s->at, .fits = s->fits,
        .bench = s->bench, .cfg = &s->cfg,
        .metrics = exact_metrics(s), .seed = s->seed,
        .data = s->data ? bd_data_name(s->data) : NULL};
}

static bd_status document(struct bd_str *out, const struct source *s,
                          const struct clip_list *clips, int64_t edits,
                          struct bd_err *err)
{
    struct bd_repair_notes notes = {0};
    if (bd_stage_notes(&notes, s->at) != BD_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    struct bd_config_doc doc = {
        .cfg = s->cfg, .clips = clips ? clips->c : NULL, .repairs = &notes,
        .metrics = s->metrics, .seed = s->seed, .edits = edits,
        .data = s->data};
    bd_status st = bd_config_write(out, s->base, &doc, err);
    bd_free(notes.note);
    return st;
}

bd_status bd_document_plain(struct bd_str *out, const struct bd_session *s,
                            int64_t edits, struct bd_err *err)
{
    struct source from = source_of(s);
    return document(out, &from, NULL, edits, err);
}

/* Any thread: everything it reads is a snapshot, immutable, or guarded. */
static bd_status export_file(const struct source *s, const char *path,
                             bool force, struct bd_err *err)
{
    struct clip_list clips;
    struct bd_str text = {0};
    bd_status st = clips_init(&clips, s->m->nlayers)
                       ? BD_OK
                       : bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < s->m->nlayers && st == BD_OK; i++) {
        st = weight_clips(&clips, s, i, err);
        if (st == BD_OK)
            st = act_clips(&clips, s, i, err);
    }
    if (st == BD_OK)
        st = document(&text, s, &clips, 0, err);
    if (st == BD_OK)
        st = bd_save(path, text.s, text.n, force, err);
    bd_str_done(&text);
    clips_done(&clips);
    return st;
}

bd_status bd_session_export(struct bd_session *s, const char *path,
                            bool force, struct bd_err *err)
{
    bd_status st = BD_OK;
    /* Without lanes nobody else will calibrate. */
    if (!s->started && s->bench)
        st = bd_bench_prepare(s->bench, &s->cfg, NULL, err);
    struct source from = source_of(s);
    if (st == BD_OK)
        st = export_file(&from, path, force, err);
    if (st == BD_OK && strcmp(path, "-") != 0)
        bd_session_say(s, "wrote %s", path);
    return st;
}

/* ------------------------------------------------------------- on a lane */

struct order {
    char path[1024];
    bool force;
    struct bd_bitcfg cfg; /* owned; of a document */
    struct source from;   /* its cfg is the one above */
    struct bd_picture *picture; /* owned; NULL: a document */
};

static void order_free(void *p)
{
    struct order *o = p;
    bd_bitcfg_done(&o->cfg);
    bd_picture_free(o->picture);
    bd_free(o);
}

static bd_status order_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    (void)result;
    (void)ctl; /* a file half wanted is still wanted */
    if (o->picture)
        return bd_picture_write(o->picture, o->path, o->force, err);
    return export_file(&o->from, o->path, o->force, err);
}

/* Each writing has a key of its own: none replaces another. */
static bd_status submit(struct bd_session *s, struct order *o,
                        struct bd_err *err)
{
    uint64_t key = bd_live_key(BD_LIVE_WRITE, (int)(s->writes++ & 0xffff));
    struct bd_job j = {.key = key, .lane = BD_LANE_FAST, .title = "writing",
                       .arg = o, .run = order_run, .free_arg = order_free,
                       .free_result = bd_free};
    bd_status st = bd_lanes_submit(s->lanes, &j, err);
    if (st != BD_OK)
        return st;
    s->writing++;
    bd_lanes_raise(s->lanes, key);
    return BD_OK;
}

static struct order *order_new(const char *path, bool force,
                               struct bd_err *err)
{
    struct order *o = bd_calloc(1, sizeof *o);
    if (!o) {
        bd_fail(err, BD_ENOMEM, "out of memory");
        return NULL;
    }
    snprintf(o->path, sizeof o->path, "%s", path);
    o->force = force;
    return o;
}

bd_status bd_session_export_soon(struct bd_session *s, const char *path,
                                 bool force, struct bd_err *err)
{
    struct order *o = order_new(path, force, err);
    if (!o)
        return BD_ENOMEM;
    o->from = source_of(s);
    if (bd_bitcfg_copy(&o->cfg, &s->cfg) != BD_OK) {
        order_free(o);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    o->from.cfg = &o->cfg;
    return submit(s, o, err);
}

bd_status bd_session_plot_soon(struct bd_session *s,
                               const struct bd_plot_ask *ask,
                               struct bd_err *err)
{
    struct order *o = order_new(ask->path, ask->force, err);
    if (!o)
        return BD_ENOMEM;
    bd_status st = bd_picture_new(&o->picture, s, ask, err);
    if (st != BD_OK) {
        order_free(o);
        return st;
    }
    return submit(s, o, err);
}

void bd_write_done(struct bd_session *s, const struct bd_done *d)
{
    const struct order *o = d->job->arg;
    char shown[400];
    bd_text_show(shown, sizeof shown, o->path, 80);
    s->writing--;
    s->news.have = true;
    s->news.refused = d->status != BD_OK;
    if (d->status == BD_OK) {
        bd_session_say(s, "wrote %s", shown);
        snprintf(s->news.text, sizeof s->news.text, "written: %s", shown);
    } else if (d->status == BD_ECANCELLED) {
        snprintf(s->news.text, sizeof s->news.text, "%s: not written, for "
                 "it was stopped", shown);
    } else {
        snprintf(s->news.text, sizeof s->news.text, "%s: %s",
                 d->err.file[0] ? d->err.file : shown, d->err.msg);
    }
}

bool bd_session_news(struct bd_session *s, char *text, size_t cap,
                     bool *refused)
{
    if (!s->news.have)
        return false;
    s->news.have = false;
    snprintf(text, cap, "%s", s->news.text);
    *refused = s->news.refused;
    return true;
}

void bd_session_settle(struct bd_session *s)
{
    while (s->writing > 0 && !bd_session_idle(s)) {
        bd_session_wait(s);
        bd_session_collect(s);
    }
}
