/* What outlives the session: autosave and resume, and the exported file. */
#include "bed.h"

static const int every[3] = {0, 1, 2};

static struct bd_session_opts kept(const struct bed *b)
{
    struct bd_session_opts o = bed_opts(b);
    o.no_state = false;
    return o;
}

static void closing_saves_and_resuming_restores(void **state)
{
    struct bd_session_opts o = kept(*state);
    struct bd_bitcfg mine;
    int64_t age = -1;
    size_t edits = 0;
    struct bd_session *s = open_session(&o);
    assert_false(bd_session_resumable(s, NULL, NULL));
    assert_int_equal(bd_session_resume(s, NULL), BD_EINVALID);
    bd_session_set_bits(s, (struct bd_sel){every, 3}, BD_PART_W, 5, NULL);
    bd_session_set_channel(s, 1, 3, 7, NULL);
    bd_session_set_lock(s, one(every), true);
    assert_int_equal(bd_bitcfg_copy(&mine, bd_session_cfg(s)), BD_OK);
    bd_session_close(s);
    s = open_session(&o);
    assert_true(bd_session_resumable(s, &age, &edits));
    assert_in_range(age, 0, 60);
    assert_int_equal(edits, 3);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 32);
    assert_int_equal(bd_session_resume(s, NULL), BD_OK);
    assert_true(bd_bitcfg_same(&mine, bd_session_cfg(s)));
    assert_false(bd_session_resumable(s, NULL, NULL));
    for (int i = 0; i < 3; i++) /* what was done before is undone now */
        assert_true(bd_session_undo(s));
    assert_false(bd_session_undo(s));
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 32);
    bd_session_close(s);
    bd_bitcfg_done(&mine);
}

static void state_path(char *out, size_t cap, const struct bed *b,
                       const struct bd_session *s)
{
    snprintf(out, cap, "%s/bitdial/sessions/%016llx.json", b->dir,
             (unsigned long long)bd_session_model(s)->digest);
}

/* Edits of every kind, the last two taken back. */
static void turn_much(struct bd_session *s)
{
    struct bd_sel all = {every, 3};
    struct bd_clip_choice clip = {BD_CLIP_MANUAL, 0.1f};
    struct bd_grain_choice grain = {BD_GRAIN_GROUP, 8};
    bd_session_set_bits(s, all, BD_PART_W, 5, NULL);
    bd_session_set_method(s, one(every + 2), BD_PART_W,
                          bd_quantizer_find("apot"), NULL);
    bd_session_set_channel(s, 1, 3, 7, NULL);
    bd_session_set_channel(s, 1, 4, 0, NULL);
    bd_session_set_clip(s, one(every), BD_PART_W, clip, NULL);
    bd_session_set_bits(s, all, BD_PART_A, 8, NULL);
    bd_session_set_lock(s, one(every), true);
    bd_session_set_grain(s, one(every + 2), BD_PART_W, grain, NULL);
    assert_true(bd_session_undo(s) && bd_session_undo(s));
}

static void undo_outlives_the_program(void **state)
{
    struct bd_session_opts o = kept(*state);
    struct bd_bitcfg at[9]; /* after so many steps */
    char name[9][112];
    size_t now, n;
    struct bd_session *s = open_session(&o);
    turn_much(s);
    n = bd_session_history(s, &now);
    assert_int_equal(n, 8);
    assert_int_equal(now, 6);
    bd_session_close(s);
    /* Twice: what was resumed is saved again. */
    for (int round = 0; round < 2; round++) {
        s = open_session(&o);
        assert_int_equal(bd_session_resume(s, NULL), BD_OK);
        assert_int_equal(bd_session_history(s, &now), 8);
        assert_int_equal(now, 6);
        while (bd_session_redo(s))
            ;
        for (int i = 8; i >= 0; i--) {
            if (round == 0) {
                bd_bitcfg_copy(&at[i], bd_session_cfg(s));
                strcpy(name[i], bd_session_history_at(s, (size_t)i));
            }
            assert_true(bd_bitcfg_same(&at[i], bd_session_cfg(s)));
            assert_string_equal(name[i],
                                bd_session_history_at(s, (size_t)i));
            assert_true(bd_session_undo(s) == (i > 0));
        }
        for (int i = 0; i < 6; i++)
            assert_true(bd_session_redo(s));
        bd_session_close(s);
    }
    s = open_session(&o); /* never turned: where it all began */
    assert_true(bd_bitcfg_same(&at[0], bd_session_cfg(s)));
    assert_int_equal(at[8].layer[2].w.group, 8);
    assert_int_equal(at[4].layer[1].w.channel->bits[4], 0);
    bd_session_close(s);
    for (int i = 0; i < 9; i++)
        bd_bitcfg_done(&at[i]);
}

/* Another start, with --weights: that one is kept as the first step. */
static void resuming_from_another_start(void **state)
{
    struct bd_session_opts o = kept(*state);
    size_t now;
    struct bd_session *s = open_session(&o);
    turn_much(s);
    bd_session_close(s);
    o.weights = "uniform:3";
    s = open_session(&o);
    assert_int_equal(bd_session_resume(s, NULL), BD_OK);
    assert_int_equal(bd_session_history(s, &now), 9);
    assert_int_equal(now, 7);
    assert_string_equal(bd_session_history_at(s, 0), "earlier session");
    while (bd_session_undo(s))
        ;
    assert_int_equal(bd_session_cfg(s)->layer[1].w.bits, 3);
    bd_session_close(s);
}

/* The session with another history: its configuration is good all the
 * same, and the log says what was left out. */
static void survives(const struct bd_session_opts *o, const char *path,
                     const char *text, const struct bd_bitcfg *mine)
{
    size_t now;
    put_file(path, text, strlen(text));
    struct bd_session *s = open_session(o);
    if (!log_has(s, "undo list"))
        fail_msg("taken: %s", strstr(text, "\"history\""));
    assert_int_equal(bd_session_resume(s, NULL), BD_OK);
    assert_true(bd_bitcfg_same(mine, bd_session_cfg(s)));
    assert_int_equal(bd_session_history(s, &now), 1);
    assert_true(bd_session_undo(s));
    bd_session_close(s);
}

static void a_hostile_history(void **state)
{
    static const char *const swap[][2] = {
        {"\"now\":6", "\"now\":7"},       {"\"now\":6", "\"now\":-1"},
        {"\"now\":6", "\"now\":99"},      {"\"now\":6", "\"now\":1.5"},
        {"\"now\":6", "\"now\":\"6\""}, {"\"now\":6", "\"then\":6"},
        {"\"start\":[[0,", "\"start\":[[3,"},
        {"\"start\":[[0,", "\"start\":[[1,"},
        {"\"start\":[[0,", "\"start\":[[1e99,"},
        {"\"steps\":[[", "\"steps\":[[]],\"x\":[["},
        {"\"steps\":[[", "\"steps\":3,\"x\":[["},
        {"\"steps\":[[\"", "\"steps\":[[\"lone\"],[\""},
        {"\"steps\":[[\"", "\"steps\":[[1,2,3],[\""},
        {"uniform:5:", "uniform:55:"},        {"uniform:5:", "uniform::"},
        {"uniform:5:", "unicorn:5:"},         {"uniform:5:", "binary:5:"},
        {" lock", " luck"},                   {" lock", ""},
        {":3:0.1", ":3:nan"},                 {"apot:5:0:0", "apot:5:2:0"},
        {":55570", ":5557"},                  {":55570", ":5557Q"},
    };
    const struct bed *b = *state;
    struct bd_session_opts o = kept(b);
    struct bd_bitcfg mine;
    char path[256], *text, *bent;
    size_t n;
    struct bd_session *s = open_session(&o);
    state_path(path, sizeof path, b, s);
    turn_much(s);
    assert_int_equal(bd_bitcfg_copy(&mine, bd_session_cfg(s)), BD_OK);
    bd_session_close(s);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, NULL), BD_OK);
    bent = calloc(n + 100, 1);
    assert_non_null(bent);
    size_t from = (size_t)(strstr(text, ",\n  \"history\"") - text);
    for (size_t i = 0; i < sizeof swap / sizeof swap[0]; i++) {
        const char *at = strstr(text + from, swap[i][0]);
        assert_non_null(at);
        sprintf(bent, "%.*s%s%s", (int)(at - text), text, swap[i][1],
                at + strlen(swap[i][0]));
        survives(&o, path, bent, &mine);
    }
    for (size_t cut = from + 15; cut < n; cut += 1 + (n - from) / 50) {
        sprintf(bent, "%.*s", (int)cut, text);
        survives(&o, path, bent, &mine);
    }
    free(bent);
    bd_free(text);
    bd_bitcfg_done(&mine);
}

static void a_second_after_the_last_edit(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = kept(b);
    char path[256];
    struct bd_session *s = open_session(&o);
    snprintf(path, sizeof path, "%s/bitdial/sessions/%016llx.json", b->dir,
             (unsigned long long)bd_session_model(s)->digest);
    assert_int_equal(bd_session_tick(s), -1);
    bd_session_set_bits(s, one(every), BD_PART_W, 5, NULL);
    int ms = bd_session_tick(s);
    assert_in_range(ms, 1, 1001);
    assert_false(bd_file_exists(path));
    usleep(1050000);
    assert_int_equal(bd_session_tick(s), -1);
    settle(s);
    assert_true(bd_file_exists(path));
    /* Nobody edited since: closing has nothing to write. */
    assert_int_equal(unlink(path), 0);
    bd_session_close(s);
    assert_false(bd_file_exists(path));
}

static void a_second_program_keeps_its_hands_off(void **state)
{
    struct bd_session_opts o = kept(*state);
    struct bd_session *s = open_session(&o), *t = open_session(&o);
    assert_true(log_has(t, "another bitdial"));
    bd_session_set_bits(t, one(every), BD_PART_W, 3, NULL);
    bd_session_close(t);
    bd_session_close(s);
    s = open_session(&o);
    assert_false(bd_session_resumable(s, NULL, NULL));
    bd_session_close(s);
}

static void broken_state_is_a_sentence(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = kept(b);
    char path[256];
    struct bd_session *s = open_session(&o);
    snprintf(path, sizeof path, "%s/bitdial/sessions/%016llx.json", b->dir,
             (unsigned long long)bd_session_model(s)->digest);
    bd_session_close(s);
    put_file(path, "{\"schema\": 3}", 13);
    s = open_session(&o);
    assert_false(bd_session_resumable(s, NULL, NULL));
    assert_true(log_has(s, "not usable"));
    bd_session_close(s);
}

static void without_a_home(void **state)
{
    struct bd_session_opts o = kept(*state);
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    setenv("XDG_STATE_HOME", "/proc/nowhere", 1);
    struct bd_session *s = open_session(&o);
    assert_true(log_has(s, "not saved"));
    bd_session_set_bits(s, one(every), BD_PART_W, 3, NULL);
    assert_int_equal(bd_session_tick(s), -1);
    bd_session_close(s);
    free(home);
}

static void export_and_open_again(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    char path[128], *text, *text2;
    size_t n, n2;
    struct bd_err e = {0};
    snprintf(path, sizeof path, "%s/out.json", b->dir);
    o.weights = "uniform:4:channel:mse";
    o.activations = "uniform:8";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    settle(s);
    assert_int_equal(bd_session_export(s, path, false, &e), BD_OK);
    assert_true(log_has(s, path));
    assert_int_equal(bd_session_export(s, path, false, &e), BD_EIO);
    assert_int_equal(bd_session_export(s, path, true, NULL), BD_OK);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, NULL), BD_OK);
    assert_non_null(strstr(text, "\"values\": ["));
    assert_non_null(strstr(text, "\"top1\": "));
    assert_non_null(strstr(text, "\"images\": 100"));
    assert_non_null(strstr(text, "\"signed\": "));
    assert_null(strstr(text, "null"));
    struct bd_session_opts p = bed_opts(b);
    p.config = path;
    struct bd_session *t = open_session(&p);
    assert_true(bd_bitcfg_same(bd_session_cfg(s), bd_session_cfg(t)));
    assert_false(log_has(t, "out.json"));
    /* The same from the command line's side, which starts no lanes. */
    snprintf(path, sizeof path, "%s/again.json", b->dir);
    assert_int_equal(bd_session_now_eval(NULL, NULL, NULL, t, NULL, NULL),
                     BD_OK);
    assert_int_equal(bd_session_export(t, path, false, NULL), BD_OK);
    assert_int_equal(bd_file_read(&text2, &n2, path, 1 << 20, NULL), BD_OK);
    assert_string_equal(text, text2);
    bd_free(text);
    bd_free(text2);
    bd_session_close(s);
    bd_session_close(t);
}

static void an_export_that_cannot_be_written(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_err e = {0};
    struct bd_session *s = open_session(&o);
    assert_int_equal(bd_session_export(s, "/nowhere/out.json", true, &e),
                     BD_EIO);
    assert_non_null(strstr(e.file, "/nowhere"));
    assert_int_equal(bd_session_set_bits(s, one(every), BD_PART_W, 4, NULL),
                     BD_OK); /* the session lives on */
    bd_session_close(s);
}

/* News come once each; a refusal names the file; a picture is a PNG. */
static void a_lane_writes_and_reports(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    char path[128], picture[128], text[300], *bytes;
    bool refused = true;
    size_t n;
    snprintf(path, sizeof path, "%s/lane.json", b->dir);
    snprintf(picture, sizeof picture, "%s/lane.png", b->dir);
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    settle(s);
    assert_false(bd_session_news(s, text, sizeof text, &refused));
    assert_int_equal(bd_session_export_soon(s, path, false, NULL), BD_OK);
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_false(refused);
    assert_non_null(strstr(text, "lane.json"));
    assert_false(bd_session_news(s, text, sizeof text, &refused));
    assert_int_equal(bd_session_export_soon(s, path, false, NULL), BD_OK);
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_true(refused);
    assert_non_null(strstr(text, "lane.json"));
    assert_int_equal(bd_session_plot_soon(s, &(struct bd_plot_ask){.path = picture},
                                          NULL),
                     BD_OK);
    settle(s);
    assert_true(bd_session_news(s, text, sizeof text, &refused));
    assert_false(refused);
    assert_int_equal(bd_file_read(&bytes, &n, picture, 1 << 22, NULL),
                     BD_OK);
    assert_memory_equal(bytes, "\x89PNG", 4);
    bd_free(bytes);
    bd_session_close(s);
}

/* The document is of the moment it was asked for, not of a later edit. */
static void leaving_waits_for_what_was_asked(void **state)
{
    const struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b), p = bed_opts(b);
    char path[128];
    snprintf(path, sizeof path, "%s/last.json", b->dir);
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    assert_int_equal(bd_session_export_soon(s, path, false, NULL), BD_OK);
    bd_session_set_bits(s, one(every), BD_PART_W, 7, NULL);
    bd_session_close(s);
    p.config = path;
    s = open_session(&p);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 4);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(closing_saves_and_resuming_restores),
        CASE(undo_outlives_the_program),
        CASE(resuming_from_another_start),
        CASE(a_hostile_history),
        CASE(a_second_after_the_last_edit),
        CASE(a_second_program_keeps_its_hands_off),
        CASE(broken_state_is_a_sentence),
        CASE(without_a_home),
        CASE(export_and_open_again),
        CASE(an_export_that_cannot_be_written),
        CASE(a_lane_writes_and_reports),
        CASE(leaving_waits_for_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
