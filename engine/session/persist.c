/* What outlives the program: the session's own file, written a second after
 * the last edit and at the end, and the document a person exports.  Both are
 * bitdial.config/1; writing goes through bd_save, so an old file stays whole
 * whatever happens.
 *
 * One program per model owns the session file, by a lock beside it; a second
 * one says so and keeps its hands off. */
#include "session/session_priv.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const int64_t quiet_ns = 1000000000; /* after the last edit */
enum { MAX_STATE = 64 << 20 };

/* --------------------------------------------------------------- documents */

struct clip_list { /* per layer, with what it borrows */
    struct bd_clips *c;
    double **w;
    size_t n;
};

static void clips_done(struct clip_list *l)
{
    for (size_t i = 0; l->w && i < l->n; i++)
        bd_free(l->w[i]);
    bd_free(l->w);
    bd_free(l->c);
}

static bool clips_init(struct clip_list *l, size_t n)
{
    *l = (struct clip_list){.n = n};
    l->c = bd_calloc(n, sizeof *l->c);
    l->w = bd_calloc(n, sizeof *l->w);
    return l->c && l->w;
}

/* Clips in the domain of the weights, one per parameter set. */
static bd_status weight_clips(struct clip_list *l, struct bd_session *s,
                              size_t i, struct bd_err *err)
{
    struct bd_fit_ask ask = {(int)i, &s->cfg.layer[i].w};
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

static void act_clip(struct clip_list *l, struct bd_session *s, size_t i)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[i].a;
    const struct bd_actstat *st =
        s->bench ? bd_bench_stat(s->bench, (int)i) : NULL;
    struct bd_qparam p;
    if (bd_session_is_float(t) || !st ||
        bd_calib_acts(&p, st, s->m->layer[i].learned_a, t, NULL) != BD_OK)
        return;
    l->c[i].a_known = true;
    l->c[i].a_signed = p.is_signed;
    l->c[i].a = p.clip;
}

/* Partial or stale accuracy does not belong into a file. */
static struct bd_config_metrics exact_metrics(const struct bd_session *s)
{
    struct bd_net_view v;
    struct bd_config_metrics m = {NAN, NAN, -1, -1};
    bd_session_net(&v, s);
    m.avg_bits_w = v.cost.avg_bits_w;
    m.size_bytes = (v.cost.size_bits + 7) / 8;
    if (v.fresh == BD_EXACT) {
        m.top1 = v.acc.top1;
        m.images = v.acc.images;
    }
    return m;
}

static bd_status document(struct bd_str *out, struct bd_session *s,
                          const struct clip_list *clips, int64_t edits,
                          struct bd_err *err)
{
    struct bd_config_doc doc = {
        .cfg = &s->cfg, .clips = clips ? clips->c : NULL,
        .metrics = exact_metrics(s), .seed = s->seed, .edits = edits,
        .data = s->data ? bd_data_name(s->data) : NULL};
    return bd_config_write(out, s->m, &doc, err);
}

bd_status bd_session_export(struct bd_session *s, const char *path,
                            bool force, struct bd_err *err)
{
    struct clip_list clips;
    struct bd_str text = {0};
    bd_status st = clips_init(&clips, s->m->nlayers)
                       ? BD_OK
                       : bd_fail(err, BD_ENOMEM, "out of memory");
    /* Without lanes nobody else will calibrate. */
    if (st == BD_OK && !s->started && s->bench)
        st = bd_bench_prepare(s->bench, &s->cfg, NULL, err);
    for (size_t i = 0; i < s->m->nlayers && st == BD_OK; i++) {
        st = weight_clips(&clips, s, i, err);
        act_clip(&clips, s, i);
    }
    if (st == BD_OK)
        st = document(&text, s, &clips, 0, err);
    if (st == BD_OK)
        st = bd_save(path, text.s, text.n, force, err);
    if (st == BD_OK && strcmp(path, "-") != 0)
        bd_session_say(s, "wrote %s", path);
    bd_str_done(&text);
    clips_done(&clips);
    return st;
}

/* ----------------------------------------------------------- the own file */

static bool take_lock(struct bd_session *s, const char *dir)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%016llx.lock", dir,
             (unsigned long long)s->m->digest);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return false;
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    close(s->lock_fd);
    s->lock_fd = -1;
    bd_session_say(s, "another bitdial has this model open; edits here are "
                      "not saved by themselves");
    return false;
}

/* Read now, offered by resumable(): the file is overwritten by the first
 * autosave of this run. */
static void look_for_saved(struct bd_session *s)
{
    struct stat st;
    struct bd_str warn = {0};
    struct bd_err err = {0};
    char *text;
    size_t n;
    if (stat(s->state, &st) != 0 ||
        bd_file_read(&text, &n, s->state, MAX_STATE, &err) != BD_OK)
        return;
    if (bd_config_read_full(&s->saved, s->m, (struct bd_text){text, n}, &warn,
                            &err) == BD_OK)
        s->saved_at = (int64_t)st.st_mtime;
    else
        bd_session_say(s, "the saved session is not usable: %s", err.msg);
    bd_free(text);
    bd_str_done(&warn);
}

void bd_persist_open(struct bd_session *s)
{
    char dir[512];
    if (!bd_xdg_dir(dir, sizeof dir - 16, "STATE")) {
        bd_session_say(s, "no folder for the session's state; edits are not "
                          "saved by themselves");
        return;
    }
    strcat(dir, "/sessions");
    if (mkdir(dir, 0700) != 0 && !bd_is_dir(dir)) {
        bd_session_say(s, "%s cannot be made; edits are not saved by "
                          "themselves", dir);
        return;
    }
    if (!take_lock(s, dir))
        return;
    snprintf(s->state, sizeof s->state, "%s/%016llx.json", dir,
             (unsigned long long)s->m->digest);
    look_for_saved(s);
}

void bd_persist_edited(struct bd_session *s)
{
    s->dirty = true;
    s->edited_ns = bd_now_ns();
}

struct save_order {
    char path[600];
    struct bd_str text;
};

static void save_free(void *p)
{
    struct save_order *o = p;
    bd_str_done(&o->text);
    bd_free(o);
}

/* On a lane: a disk may take its time. */
static bd_status save_run(void **result, void *arg, struct bd_ctl *ctl,
                          struct bd_err *err)
{
    struct save_order *o = arg;
    (void)result;
    (void)ctl;
    return bd_save(o->path, o->text.s, o->text.n, true, err);
}

/* Steps in force, with those of the session that was resumed. */
static int64_t edits_of(const struct bd_session *s)
{
    return s->edits_before + (int64_t)s->history.now;
}

static void save_soon(struct bd_session *s)
{
    struct save_order *o = bd_calloc(1, sizeof *o);
    if (!o)
        return;
    memcpy(o->path, s->state, sizeof o->path);
    if (document(&o->text, s, NULL, edits_of(s), NULL) != BD_OK) {
        save_free(o);
        return;
    }
    struct bd_job j = {.key = bd_live_key(BD_LIVE_SAVE, 0),
                       .lane = BD_LANE_FAST, .title = "saving the session",
                       .arg = o, .run = save_run, .free_arg = save_free,
                       .free_result = bd_free};
    s->dirty = false;
    s->saving = bd_live_submit(s, &j) == BD_OK;
}

int bd_session_tick(struct bd_session *s)
{
    if (!s->dirty || s->state[0] == '\0')
        return -1;
    int64_t left = s->edited_ns + quiet_ns - bd_now_ns();
    if (left > 0)
        return (int)(left / 1000000) + 1;
    save_soon(s);
    return -1;
}

/* After the lanes are gone: whatever they did not finish, at once. */
void bd_persist_close(struct bd_session *s)
{
    struct bd_str text = {0};
    if (s->state[0] && (s->dirty || s->saving) &&
        document(&text, s, NULL, edits_of(s), NULL) == BD_OK)
        bd_save(s->state, text.s, text.n, true, NULL);
    bd_str_done(&text);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    bd_config_full_done(&s->saved);
}

/* ------------------------------------------------------------------ resume */

bool bd_session_resumable(const struct bd_session *s, int64_t *age_s,
                          size_t *edits)
{
    if (s->saved.cfg.n == 0 || bd_bitcfg_same(&s->saved.cfg, &s->cfg))
        return false;
    int64_t age = (int64_t)time(NULL) - s->saved_at;
    if (age_s)
        *age_s = age > 0 ? age : 0;
    if (edits)
        *edits = s->saved.edits > 0 ? (size_t)s->saved.edits : 0;
    return true;
}

bd_status bd_session_resume(struct bd_session *s, struct bd_err *err)
{
    if (s->saved.cfg.n == 0)
        return bd_fail(err, BD_EINVALID, "no earlier session of this model");
    bd_status st = bd_session_set_all(s, &s->saved.cfg, "earlier session",
                                      err);
    if (st == BD_OK)
        s->edits_before = s->saved.edits;
    return st;
}
