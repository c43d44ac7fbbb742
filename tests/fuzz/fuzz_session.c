/* What a session finds on disk: its own file, with kept configurations and an
 * undo list, and the journal of a sweep.  Whatever is in them, a session
 * opens, edits, takes up what is legal, and closes; a good one in front of a
 * bad one stays.  A journal carries a digest, which is put right here: what
 * is behind it must hold as well. */
#include "fuzz.h"
#include "session/sweep_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t key = 7;

struct room { /* a folder with a model, and where things of it lie */
    char dir[64], model[96], state[160], journal[96];
};

static bool room_open(struct room *r)
{
    static const int64_t dim[1] = {8};
    struct bd_model *m = NULL;
    struct bd_str s = {0};
    bool ok;

    strcpy(r->dir, "/tmp/bitdial-fuzz-XXXXXX");
    if (!mkdtemp(r->dir))
        return false;
    setenv("XDG_STATE_HOME", r->dir, 1);
    snprintf(r->model, sizeof r->model, "%s/net.onnx", r->dir);
    snprintf(r->journal, sizeof r->journal, "%s/journal", r->dir);
    ok = bd_arch_new(&m, "mlp:8-3-2-2", dim, 1, 2, 1, NULL) == BD_OK &&
         bd_onnx_write(&s, m, NULL, NULL) == BD_OK &&
         bd_save(r->model, s.s, s.n, true, NULL) == BD_OK;
    bd_str_done(&s);
    bd_model_free(m);
    return ok;
}

static void room_close(const struct room *r)
{
    char cmd[96];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
    if (system(cmd) != 0)
        perror(r->dir);
}

static struct bd_session *session(const struct room *r, struct bd_err *err)
{
    struct bd_session_opts o = {.model = r->model, .threads = 1};
    struct bd_session *s = NULL;

    bd_session_open(&s, &o, err);
    return s;
}

/* Opening without one makes the folder; the file's name is the model's. */
static bool find_state(struct room *r)
{
    struct bd_session *s = session(r, NULL);

    if (!s)
        return false;
    snprintf(r->state, sizeof r->state, "%s/bitdial/sessions/%016llx.json",
             r->dir, (unsigned long long)bd_session_model(s)->digest);
    bd_session_close(s);
    return true;
}

static void as_session(struct room *r, const uint8_t *data, size_t size)
{
    static const int all[3] = {0, 1, 2};
    struct bd_err err = {0};
    bd_status st = bd_save(r->state, data, size, true, &err);
    struct bd_session *s = session(r, &err);

    assert(st == BD_OK && s);
    if (bd_session_resumable(s, NULL, NULL)) {
        st = bd_session_resume(s, &err);
        assert((st == BD_OK) == (err.msg[0] == 0));
    }
    while (bd_session_undo(s))
        assert(bd_config_check(bd_session_cfg(s), bd_session_model(s), NULL) ==
               BD_OK);
    while (bd_session_redo(s))
        continue;
    assert(bd_config_check(bd_session_cfg(s), bd_session_model(s), NULL) ==
           BD_OK);
    st = bd_session_set_bits(s, (struct bd_sel){all, 3}, BD_PART_W, 8, NULL);
    assert(st == BD_OK || st == BD_EINVALID);
    bd_session_close(s);
}

/* Three points and float, as a sweep of weights would have them. */
static void as_journal(const struct room *r, const uint8_t *data, size_t size)
{
    struct bd_sens_point point[3] = {{0}};
    struct bd_sens_sums sums[4] = {{0}};
    struct bd_sens_table t = {.n = 3, .point = point, .sums = sums,
                              .images = 100};
    uint8_t *copy = malloc(size + 1);
    char note[600] = "";

    assert(copy);
    memcpy(copy, data, size);
    for (size_t k = 0; size >= 8 && k < 8; k++)
        copy[size - 8 + k] =
            (uint8_t)(bd_digest(copy, size - 8, key) >> 8 * k & 0xff);
    bd_status st = bd_save(r->journal, copy, size, true, NULL);
    assert(st == BD_OK);
    bool read = bd_journal_read(&t, r->journal, key, note, sizeof note);
    assert(read == (note[0] == 0));
    for (int i = 0; i < 4; i++)
        assert(sums[i].n >= 0 && sums[i].n <= t.images &&
               sums[i].labelled <= sums[i].n && sums[i].scored <= t.images);
    bd_sens_refresh(&t);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct room r;
    bool ok = room_open(&r) && find_state(&r);

    assert(ok);
    if (size > 0 && data[0] == '{')
        as_session(&r, data, size);
    else
        as_journal(&r, data, size);
    room_close(&r);
    return 0;
}

/* A session of some edits and two names, as it was left. */
static bool left_behind(struct bd_str *out, struct room *r)
{
    static const int all[3] = {0, 1, 2};
    struct bd_sel sel = {all, 3};
    struct bd_session *s = session(r, NULL);
    char *text = NULL;
    size_t n = 0;
    bool ok = s &&
              bd_session_set_bits(s, sel, BD_PART_W, 4, NULL) == BD_OK &&
              bd_session_keep(NULL, s, "four", NULL, NULL) == BD_OK &&
              bd_session_set_channel(s, 0, 1, 3, NULL) == BD_OK &&
              bd_session_keep(NULL, s, "one \"b\"", NULL, NULL) == BD_OK &&
              bd_session_set_bits(s, sel, BD_PART_A, 8, NULL) == BD_OK &&
              bd_session_undo(s);

    bd_session_close(s);
    ok = ok && bd_file_read(&text, &n, r->state, 1 << 20, NULL) == BD_OK;
    bd_str_put(out, text, n);
    bd_free(text);
    return ok;
}

static bool a_journal(struct bd_str *out, const struct room *r)
{
    struct bd_sens_point point[3] = {{.settled = true}};
    struct bd_sens_sums sums[4] = {{.n = 64, .labelled = 64, .worse = 3}};
    struct bd_sens_table t = {.n = 3, .point = point, .sums = sums,
                              .images = 100, .seconds = 1.5};
    char *text = NULL;
    size_t n = 0;
    bool ok = bd_journal_write(&t, r->journal, key, NULL) == BD_OK &&
              bd_file_read(&text, &n, r->journal, 1 << 20, NULL) == BD_OK;

    bd_str_put(out, text, n);
    bd_free(text);
    return ok;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    struct room r;
    bool ok = k < 2 && room_open(&r) && find_state(&r);

    if (ok)
        ok = k == 0 ? left_behind(out, &r) : a_journal(out, &r);
    if (k < 2)
        room_close(&r);
    return ok;
}
