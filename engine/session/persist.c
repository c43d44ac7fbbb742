/* What outlives the program: the session's own file, written a second after
 * the last edit and at the end.  It is a bitdial.config/1 (write.c makes it)
 * with the undo list as its last key (steps.c);
 * writing goes through bd_save, so an old file stays whole whatever happens.
 *
 * One program per model owns the session file, by a lock beside it; a second
 * one says so and keeps its hands off. */
#include "session/session_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const int64_t quiet_ns = 1000000000; /* after the last edit */
enum { MAX_STATE = 64 << 20 };

/* ----------------------------------------------------------- the own file */

static bool take_lock(struct bd_session *s, const char *dir)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%016llx.lock", dir,
             (unsigned long long)s->base.m->digest);
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
    size_t at = bd_steps_find(text, n);
    struct bd_str plain = {0}; /* the document without the undo list */
    bd_str_put(&plain, text, at);
    if (at < n)
        bd_str_puts(&plain, "\n}\n");
    if (plain.failed ||
        bd_config_read_full(&s->saved, s->base.m,
                            (struct bd_text){plain.s, plain.n}, &warn,
                            &err) != BD_OK) {
        bd_session_say(s, "the saved session is not usable: %s",
                       plain.failed ? "out of memory" : err.msg);
    } else {
        s->saved_at = (int64_t)st.st_mtime;
        if (bd_kept_read(s, (struct bd_text){plain.s, plain.n}, &err) != BD_OK)
            bd_session_say(s, "kept configurations of the saved session are "
                              "not usable and left out: %s", err.msg);
        err = (struct bd_err){0};
        if (at < n && bd_steps_read(&s->saved_steps, s->base.m, &s->saved.cfg,
                                    (struct bd_text){text + at, n - at},
                                    &err) != BD_OK)
            bd_session_say(s, "the saved session's undo list is not usable "
                              "and left out: %s", err.msg);
    }
    bd_str_done(&plain);
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
             (unsigned long long)s->base.m->digest);
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

static bd_status session_text(struct bd_str *out, const struct bd_session *s)
{
    bd_status st = bd_document_plain(out, s, edits_of(s), NULL);
    if (st == BD_OK) {
        bd_kept_write(out, s);
        bd_steps_write(out, s);
    }
    return st;
}

static void save_soon(struct bd_session *s)
{
    struct save_order *o = bd_calloc(1, sizeof *o);
    if (!o)
        return;
    memcpy(o->path, s->state, sizeof o->path);
    if (session_text(&o->text, s) != BD_OK) {
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
        session_text(&text, s) == BD_OK)
        bd_save(s->state, text.s, text.n, true, NULL);
    bd_str_done(&text);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    bd_config_full_done(&s->saved);
    bd_history_done(&s->saved_steps);
}

/* ------------------------------------------------------------------ resume */

bool bd_session_resumable(const struct bd_session *s, int64_t *age_s,
                          size_t *edits)
{
    if (s->saved.cfg.n == 0 ||
        (s->saved.repairs.n == 0 && bd_bitcfg_same(&s->saved.cfg, &s->cfg)))
        return false;
    int64_t age = (int64_t)time(NULL) - s->saved_at;
    if (age_s)
        *age_s = age > 0 ? age : 0;
    if (edits)
        *edits = s->saved.edits > 0 ? (size_t)s->saved.edits : 0;
    return true;
}

bd_status bd_persist_resume(struct bd_session *s, struct bd_stage *stage,
                            struct bd_err *err)
{
    bd_status st = bd_config_check(&s->saved.cfg, stage->m, err);
    if (st == BD_OK && (s->saved_steps.n > 0 || stage != s->at)) {
        st = bd_history_resume(s, stage, &s->saved.cfg, &s->saved_steps, err);
        if (st == BD_OK) /* the list is among the edits now */
            s->edits_before = s->saved.edits - (int64_t)s->history.now;
    } else if (st == BD_OK) {
        st = bd_session_set_all(s, &s->saved.cfg, "earlier session", err);
        if (st == BD_OK)
            s->edits_before = s->saved.edits;
    }
    if (s->edits_before < 0)
        s->edits_before = 0;
    return st;
}

bd_status bd_session_resume(struct bd_session *s, struct bd_err *err)
{
    if (s->saved.cfg.n == 0)
        return bd_fail(err, BD_EINVALID, "no earlier session of this model");
    return s->saved.repairs.n > 0
               ? bd_repair_again(s, &s->saved.repairs, err)
               : bd_persist_resume(s, &s->base, err);
}
