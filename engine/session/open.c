/* Opening: model, plan, data, bench, first configuration; and the end.
 *
 * What stops the opening: a model that cannot be read, data or options that
 * were asked for and cannot be used.  What only leaves a sentence: a network
 * that cannot be run, data that a sidecar proposed. */
#include "session/session_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------- the sentence */

static void set_why(struct bd_session *s, const char *text)
{
    snprintf(s->why, sizeof s->why, "%s", text);
}

static void set_why_err(struct bd_session *s, const struct bd_err *e)
{
    snprintf(s->why, sizeof s->why, "%s%s%s", e->file, e->file[0] ? ": " : "",
             e->msg);
}

/* ------------------------------------------------------------ the model */

static bd_status open_model(struct bd_session *s, struct bd_sidecar *side,
                            const struct bd_session_opts *o,
                            struct bd_err *err)
{
    struct bd_err odd = {0};
    if (bd_sidecar_load(side, &s->arena, o->model, &odd) != BD_OK) {
        *side = (struct bd_sidecar){0};
        bd_session_say(s, "%s%s%s", odd.file, odd.file[0] ? ": " : "",
                       odd.msg);
    }
    const char *arch = o->arch ? o->arch : side->arch;
    bd_status st = bd_model_load(&s->m, o->model, arch, err);
    if (st != BD_OK)
        return st;
    for (size_t i = 0; i < s->m->nwarnings; i++)
        bd_session_say(s, "%s", s->m->warning[i]);
    if (bd_config_learned(s->m) && !o->weights && !o->config)
        bd_session_say(s, "learned clips came with this checkpoint: --weights "
                          "apot:4:tensor:learned --activations "
                          "apot:4:tensor:learned --keep-edges 8 uses them");
    return BD_OK;
}

/* Shapes and costs of one image; a network that cannot be planned can still
 * have its weights analysed. */
static void open_plan(struct bd_session *s)
{
    struct bd_plan_opts o = {.batch = 1};
    struct bd_err e = {0};
    if (s->m->nnodes == 0 || s->m->ninputs == 0) {
        set_why(s, "the file has weights only, no graph to run; --arch names "
                   "one");
        return;
    }
    if (bd_plan_new(&s->plan, s->m, &o, &e) != BD_OK)
        set_why_err(s, &e);
}

/* ------------------------------------------------------------- the data */

/* Batch-1 input as [n, c, h, w]; absent dimensions 1. */
static void input_dims(const struct bd_session *s, int64_t dim[4])
{
    const struct bd_tensor *t = bd_plan_value(s->plan, s->m->input[0]);
    for (int i = 0; i < 4; i++)
        dim[i] = i < t->rank ? t->dim[i] : 1;
}

static bd_status check_range(struct bd_session *s,
                             const struct bd_session_opts *o,
                             struct bd_err *err)
{
    int64_t n = bd_data_count(s->data);
    if (o->skip < 0 || o->limit < 0 || o->calib_limit < 0)
        return bd_fail(err, BD_EINVALID,
                       "numbers of images cannot be below 0");
    if (o->skip >= n) {
        bd_fail(err, BD_EINVALID, "%lld images; all would be skipped",
                (long long)n);
        return bd_err_file(err, bd_data_name(s->data));
    }
    s->images = n - o->skip;
    if (o->limit > 0 && o->limit < s->images)
        s->images = o->limit;
    return BD_OK;
}

/* One picture through the preprocessing tells whether shapes fit. */
static bd_status try_picture(struct bd_session *s, size_t want,
                             const struct bd_data *d, int64_t i,
                             struct bd_err *err)
{
    float *x = bd_alloc(want, sizeof *x);
    if (!x)
        return bd_fail(err, BD_ENOMEM, "out of memory for one picture");
    bd_status st = bd_data_fetch(d, &s->prep, i, x, want, err);
    bd_free(x);
    return st;
}

/* A label beyond the outputs could never be right: the wrong data set. */
static bd_status check_classes(const struct bd_session *s, struct bd_err *err)
{
    const struct bd_tensor *t = bd_plan_value(s->plan, s->m->output[0]);
    int64_t outputs = bd_tensor_count(t), classes = bd_data_classes(s->data);
    if (outputs < 2)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "the network gives %lld number per image; accuracy "
                       "needs one per class", (long long)outputs);
    for (int64_t i = 0; classes > outputs && i < bd_data_count(s->data); i++)
        if (bd_data_label(s->data, i) >= outputs) {
            bd_fail(err, BD_EINVALID,
                    "image %lld: class %d, the network has only %lld classes",
                    (long long)i, bd_data_label(s->data, i),
                    (long long)outputs);
            return bd_err_file(err, bd_data_name(s->data));
        }
    return BD_OK;
}

/* A first dimension that is written down: pictures go in one at a time. */
static bd_status check_batch(const struct bd_session *s, struct bd_err *err)
{
    int64_t n = bd_plan_batch(s->plan);
    if (n == 1)
        return BD_OK;
    return bd_fail(err, BD_EUNSUPPORTED,
                   "the network takes %lld pictures at a time, neither more "
                   "nor less; export it with a free first dimension, or 1",
                   (long long)n);
}

static bd_status open_bench(struct bd_session *s,
                            const struct bd_session_opts *o,
                            const char *preprocess, struct bd_err *err)
{
    int64_t dim[4], calib = o->calib_limit > 0 ? o->calib_limit : 64;
    input_dims(s, dim);
    struct bd_bench_opts b = {
        .m = s->m, .data = s->data, .calib = s->calib ? s->calib : s->data,
        .first = o->skip, .images = s->images, .memory = o->memory,
        .pool = s->pool, .fits = s->fits,
        .elements = (size_t)bd_tensor_count(
            bd_plan_value(s->plan, s->m->input[0]))};
    bd_status st = check_batch(s, err);
    if (st == BD_OK)
        st = bd_session_choose_prep(s, o->preprocess, preprocess, dim, err);
    if (st == BD_OK)
        st = try_picture(s, b.elements, s->data, o->skip, err);
    if (st == BD_OK && s->calib)
        st = try_picture(s, b.elements, s->calib, 0, err);
    if (st == BD_OK)
        st = check_classes(s, err);
    if (st != BD_OK)
        return st;
    int64_t have = s->calib ? bd_data_count(s->calib) : s->images;
    b.calib_images = calib < have ? calib : have;
    b.prep = s->prep;
    if (!s->calib)
        bd_session_say(s, "calibration on the first %lld images of '%s'; "
                          "--calib names others", (long long)b.calib_images,
                       bd_data_name(s->data));
    return bd_bench_new(&s->bench, &b, err);
}

static bd_status load_data(struct bd_session *s, const char *spec,
                           const struct bd_session_opts *o,
                           struct bd_err *err)
{
    bd_status st = bd_data_open(&s->data, spec, err);
    if (st == BD_OK)
        st = check_range(s, o, err);
    if (st == BD_OK && o->calib)
        st = bd_data_open(&s->calib, o->calib, err);
    return st;
}

static bd_status open_data(struct bd_session *s,
                           const struct bd_session_opts *o,
                           const struct bd_sidecar *side, struct bd_err *err)
{
    const char *spec = o->data ? o->data : side->data;
    struct bd_err e = {0};
    bool can_run = s->plan != NULL;
    if (!spec) {
        if (can_run)
            set_why(s, "no pictures to evaluate; --data names some");
        return BD_OK;
    }
    bd_status st = load_data(s, spec, o, &e);
    if (st == BD_OK && can_run)
        st = open_bench(s, o, side->preprocess, &e);
    else if (st == BD_OK)
        return BD_OK; /* `why` already says why the network cannot run */
    if (st == BD_OK)
        return BD_OK;
    /* Asked for: a refusal.  Proposed by the sidecar: a sentence. */
    if (o->data || st == BD_ENOMEM) {
        if (err && err->code == BD_OK)
            *err = e;
        return st;
    }
    set_why_err(s, &e);
    bd_session_say(s, "no accuracy: %s", s->why);
    return BD_OK;
}

/* -------------------------------------------------------- the configuration */

/* The network a document was made for, from the one that was opened. */
static bd_status repair_again(struct bd_session *s,
                              const struct bd_config_full *f,
                              struct bd_err *err)
{
    struct bd_stage_ask ask = {.from = s->at, .cfg = &f->cfg,
                               .pool = s->pool};
    struct bd_stage *last = NULL;
    if (f->repairs.n == 0)
        return BD_OK;
    bd_status st = bd_stage_replay(&last, &ask, &f->repairs, NULL, err);
    if (st == BD_OK && !bd_stages_adopt(s, last)) {
        bd_stage_free_down_to(last, s->at);
        st = bd_fail(err, BD_ENOMEM, "out of memory");
    }
    if (st == BD_OK)
        bd_stage_enter(s, last);
    return st;
}

/* Replaces the configuration by a document's; its warnings go to the log. */
static bd_status read_config(struct bd_session *s, const char *path,
                             struct bd_err *err)
{
    struct bd_config_full f = {0};
    struct bd_str warn = {0};
    char *text;
    size_t n;
    bd_status st = bd_file_read(&text, &n, path, (size_t)64 << 20, err);
    if (st != BD_OK)
        return st;
    st = bd_config_read_full(&f, s->m, (struct bd_text){text, n}, &warn, err);
    bd_free(text);
    for (char *line = warn.s; st == BD_OK && line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        bd_session_say(s, "%s: %s", path, line);
        line = end ? end + 1 : NULL;
    }
    bd_str_done(&warn);
    if (st == BD_OK)
        st = repair_again(s, &f, err);
    if (st == BD_OK) {
        bd_bitcfg_done(&s->cfg);
        s->cfg = f.cfg;
        f.cfg = (struct bd_bitcfg){0};
    }
    bd_config_full_done(&f);
    return st == BD_OK ? st : bd_err_file(err, path);
}

/* In the order of growing precision: document, all layers, edges, single
 * layers; judged once at the end, because --keep-edges may mend what
 * --weights alone would not allow (learned clips). */
static bd_status open_cfg(struct bd_session *s,
                          const struct bd_session_opts *o, struct bd_err *err)
{
    bd_status st = bd_bitcfg_init(&s->cfg, s->m->nlayers);
    if (st != BD_OK)
        return bd_fail(err, st, "out of memory");
    if (o->config)
        st = read_config(s, o->config, err);
    if (st == BD_OK && o->weights)
        st = bd_config_all(&s->cfg, true, o->weights, err);
    if (st == BD_OK && o->activations)
        st = bd_config_all(&s->cfg, false, o->activations, err);
    /* The broad option before the pointed one. */
    if (st == BD_OK && o->keep_edges > 0)
        st = bd_config_edges(&s->cfg, s->m, o->keep_edges, err);
    for (const char *const *e = o->set; st == BD_OK && e && *e; e++)
        st = bd_config_set(&s->cfg, s->m, *e, err);
    if (st == BD_OK)
        st = bd_config_check(&s->cfg, s->m, err);
    s->digest = bd_session_digest(s, &s->cfg);
    return st;
}

/* ------------------------------------------------------- open and close */

static bd_status open_machinery(struct bd_session *s, int threads,
                                struct bd_err *err)
{
    bd_kernels_single_threaded_blas();
    bd_status st = bd_pool_new(&s->pool, threads, err);
    if (st == BD_OK)
        st = bd_lanes_new(&s->lanes, err);
    if (st == BD_OK)
        st = bd_fits_new(&s->fits, s->m, err);
    if (st != BD_OK)
        return st;
    s->live = bd_calloc(s->m->nlayers, sizeof *s->live);
    s->wish = bd_calloc(s->m->nlayers, sizeof *s->wish);
    s->grid = bd_calloc(1, sizeof *s->grid);
    s->acc_cache = bd_calloc(BD_ACC_CACHE, sizeof *s->acc_cache);
    return s->live && s->wish && s->grid && s->acc_cache
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory");
}

bd_status bd_session_open(struct bd_session **out,
                          const struct bd_session_opts *o, struct bd_err *err)
{
    struct bd_sidecar side = {0};
    struct bd_session *s = bd_calloc(1, sizeof *s);
    if (!s)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    s->lock_fd = -1;
    s->seed = o->seed;
    bd_status st = open_model(s, &side, o, err);
    if (st == BD_OK)
        st = open_machinery(s, o->threads, err);
    if (st == BD_OK) {
        open_plan(s);
        st = open_data(s, o, &side, err);
    }
    if (st == BD_OK) {
        bd_stages_start(s);
        st = open_cfg(s, o, err);
    }
    if (st != BD_OK) {
        bd_session_close(s);
        return st;
    }
    if (!o->no_state)
        bd_persist_open(s);
    *out = s;
    return BD_OK;
}

void bd_session_start(struct bd_session *s)
{
    if (!s->started)
        bd_live_start(s);
}

/* Lanes first: their jobs use everything else. */
void bd_session_close(struct bd_session *s)
{
    if (!s)
        return;
    bd_session_settle(s);
    bd_lanes_free(s->lanes);
    bd_persist_close(s);
    bd_live_done(s);
    bd_stages_done(s);
    bd_bench_free(s->bench);
    bd_fits_free(s->fits);
    bd_pool_free(s->pool);
    bd_plan_free(s->plan);
    bd_data_free(s->data);
    bd_data_free(s->calib);
    bd_history_done(&s->history);
    bd_bitcfg_done(&s->cfg);
    bd_free(s->wish);
    for (size_t i = 0; i < s->nlog; i++)
        bd_free(s->log[i]);
    bd_free(s->log);
    bd_model_free(s->m);
    bd_arena_done(&s->arena);
    bd_free(s);
}
