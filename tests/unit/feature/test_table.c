/* Files of interval tables: written and read back to the last digit, and
 * everything that is not exactly such a table refused with its line. */
#include "bed.h"

#include <sys/stat.h>
#include <unistd.h>

enum { C = 3, LEN = 10 };

struct room {
    char dir[64], path[96];
    struct bd_feature f;
    struct bd_qtable t;
    struct bd_str text;
};

static int setup(void **state)
{
    struct room *r = bd_calloc(1, sizeof *r);
    struct bd_rng rng = {7};

    strcpy(r->dir, "/tmp/bdtableXXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof r->path, "%s/t.csv", r->dir);
    r->f = (struct bd_feature){C, 2, LEN / 2, bd_alloc(C * LEN, 4)};
    for (int i = 0; i < C * LEN; i++)
        r->f.x[i] = (float)(bd_rng_unit(&rng) - (i < 2 * LEN ? 0 : 0.5));
    assert_int_equal(bd_qtable_make(&r->t, &r->f, BD_FEATURE_UNIFORM,
                                    (struct bd_feature_work){0}, NULL),
                     BD_OK);
    assert_int_equal(bd_qtable_write(&r->text, &r->t, "conv, \"1\"", NULL),
                     BD_OK);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct room *r = *state;
    char cmd[128];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
    assert_int_equal(system(cmd), 0);
    bd_str_done(&r->text);
    bd_qtable_done(&r->t);
    bd_feature_done(&r->f);
    bd_free(r);
    return 0;
}

static void put(const char *path, const char *text)
{
    assert_int_equal(bd_save(path, text, strlen(text), true, NULL), BD_OK);
}

static struct bd_qtable_want want(const struct room *r)
{
    return (struct bd_qtable_want){BD_FEATURE_UNIFORM, &r->f};
}

static void same(const struct bd_qtable *a, const struct bd_qtable *b)
{
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->count, b->count);
    for (int c = 0; c < C; c++) {
        assert_true(a->c[c].range == b->c[c].range);
        assert_int_equal(a->c[c].is_signed, b->c[c].is_signed);
        for (int k = 1; k < BD_FEATURE_WIDTHS; k++) {
            assert_true(a->c[c].interval[k] == b->c[c].interval[k]);
            assert_true(a->c[c].mse[k] == b->c[c].mse[k]);
        }
        REF_CLOSE(a->c[c].mse[0], b->c[c].mse[0], 1e-14);
    }
}

static void test_round_trip(void **state)
{
    struct room *r = *state;
    struct bd_qtable t = {0};
    struct bd_err err = {0};

    assert_non_null(strstr(r->text.s, "# qtable 1\nlayer,channel,quantizer,"
                                      "bits,interval,range,signed,mse,count\n"
                                      "\"conv, \"\"1\"\"\",0,uniform,1,"));
    put(r->path, r->text.s);
    if (bd_qtable_read(&t, r->path, want(r), &err) != BD_OK)
        fail_msg("%s", err.msg);
    same(&t, &r->t);
    bd_qtable_done(&t);
}

/* Line ends of another system, comments between, rows in another order. */
static void test_tolerant_of_form(void **state)
{
    struct room *r = *state;
    struct bd_str s = {0};
    struct bd_qtable t = {0};
    const char *rows = strstr(r->text.s, "count\n") + 6;
    const char *half = strstr(rows, ",1,uniform,1,");

    while (half[-1] != '\n')
        half--;
    bd_str_printf(&s, "# qtable 1\r\n# why\r\n\r\n%.*s\r\n",
                  (int)(rows - 1 - strstr(r->text.s, "layer")),
                  strstr(r->text.s, "layer"));
    bd_str_puts(&s, half);
    bd_str_puts(&s, "# in between\n");
    bd_str_put(&s, rows, (size_t)(half - rows));
    put(r->path, s.s);
    assert_int_equal(bd_qtable_read(&t, r->path, want(r), NULL), BD_OK);
    same(&t, &r->t);
    bd_qtable_done(&t);
    bd_str_done(&s);
}

/* The good file with `from` replaced once by `to`. */
static void refused(struct room *r, const char *from, const char *to,
                    const char *sentence)
{
    struct bd_str s = {0};
    struct bd_qtable t = {.channels = -1};
    struct bd_err err = {0};
    const char *at = strstr(r->text.s, from);

    assert_non_null(at);
    bd_str_put(&s, r->text.s, (size_t)(at - r->text.s));
    bd_str_puts(&s, to);
    bd_str_puts(&s, at + strlen(from));
    put(r->path, s.s);
    assert_int_equal(bd_qtable_read(&t, r->path, want(r), &err), BD_EFORMAT);
    if (!strstr(err.msg, sentence))
        fail_msg("'%s' lacks '%s'", err.msg, sentence);
    assert_string_equal(err.file, r->path);
    assert_int_equal(t.channels, -1); /* untouched */
    bd_str_done(&s);
}

static void test_refusals(void **state)
{
    struct room *r = *state;

    refused(r, "# qtable 1", "# qtable 2", "line 1: '# qtable 1'");
    refused(r, "layer,channel", "channel,layer", "line 2: the header");
    refused(r, ",0,uniform,3,", ",0,log,3,", "line 5: table of quantizer");
    refused(r, ",0,uniform,3,", ",3,uniform,3,", "line 5: channel '3', the "
            "feature has channels 0 to 2");
    refused(r, ",0,uniform,3,", ",-1,uniform,3,", "line 5: channel");
    refused(r, ",0,uniform,3,", ",0,uniform,9,", "line 5: bits '9'");
    refused(r, ",0,uniform,3,", ",0,uniform,0,", "line 5: bits '0'");
    refused(r, ",0,uniform,3,", ",0,uniform,2,", "line 5: channel 0 has 2 "
            "bits twice");
    refused(r, ",0,uniform,3,", ",0,uniform,3,nan,", "line 5: more than 9");
    refused(r, ",1,uniform,2,0.", ",1,uniform,2,nan#", "line 12: interval "
            "'nan#");
    refused(r, ",1,uniform,2,0.", ",1,uniform,2,-0.", "line 12: interval");
    refused(r, ",1,uniform,2,0.", ",1,uniform,2,1e999", "line 12: interval");
    refused(r, ",1,uniform,2,", ",1,uniform,", "line 12: only 8 fields");
    refused(r, ",1,uniform,2,", ",1,uniform,2\n", "line 12: only 4 fields");
}

/* Cut anywhere, the file is refused or, at the last newline, still whole. */
static void test_cut(void **state)
{
    struct room *r = *state;
    size_t n = r->text.n;

    for (size_t k = 0; k + 1 < n; k += 7) {
        struct bd_qtable t;
        struct bd_err err = {0};
        char *copy = bd_strdup(r->text.s);

        copy[k] = '\0';
        put(r->path, copy);
        bd_status st = bd_qtable_read(&t, r->path, want(r), &err);
        /* The last number of all may be cut short and still be one. */
        if (st == BD_OK) {
            assert_true(k > n - 4);
            bd_qtable_done(&t);
        } else {
            assert_int_equal(st, BD_EFORMAT);
            assert_non_null(strstr(err.msg, "line "));
        }
        bd_free(copy);
    }
}

static void test_missing_row(void **state)
{
    struct room *r = *state;
    const char *at = strstr(r->text.s, ",2,uniform,8,");
    char *copy = bd_strdup(r->text.s);
    struct bd_qtable t;
    struct bd_err err = {0};

    while (at[-1] != '\n')
        at--;
    copy[at - r->text.s] = '\0';
    put(r->path, copy);
    assert_int_equal(bd_qtable_read(&t, r->path, want(r), &err), BD_EFORMAT);
    assert_non_null(strstr(err.msg, "line 25 is the last: channel 2 lacks 8 "
                                    "bits"));
    bd_free(copy);
}

/* A folder of <bits>.csv: intervals as given, the rest from the feature. */
static void test_folder(void **state)
{
    struct room *r = *state;
    char path[200];
    struct bd_qtable t = {0};
    struct bd_err err = {0};

    for (int b = 1; b <= BD_FEATURE_MOST; b++) {
        struct bd_str s = {0};

        bd_str_puts(&s, "channel,interval\n");
        for (int c = 0; c < C; c++)
            bd_str_printf(&s, "%d,%.17g\n", c, r->t.c[c].interval[b]);
        snprintf(path, sizeof path, "%s/%d.csv", r->dir, b);
        put(path, s.s);
        bd_str_done(&s);
    }
    if (bd_qtable_read(&t, r->dir, want(r), &err) != BD_OK)
        fail_msg("%s: %s", err.file, err.msg);
    for (int c = 0; c < C; c++)
        for (int k = 0; k < BD_FEATURE_WIDTHS; k++)
            REF_CLOSE(t.c[c].mse[k], r->t.c[c].mse[k], 1e-12);
    assert_true(t.c[2].is_signed && !t.c[0].is_signed);
    bd_qtable_done(&t);
    put(path, "channel,interval\n0,0.1\n1,inf\n2,0.1\n");
    assert_int_equal(bd_qtable_read(&t, r->dir, want(r), &err), BD_EFORMAT);
    assert_non_null(strstr(err.msg, "line 3: interval 'inf'"));
    assert_non_null(strstr(err.file, "8.csv"));
    err = (struct bd_err){0};
    unlink(path);
    assert_int_equal(bd_qtable_read(&t, r->dir, want(r), &err), BD_EIO);
    assert_non_null(strstr(err.file, "8.csv"));
}

/* Interval 0 is an all-zero channel for every quantizer: never a NaN. */
static void test_zero_interval(void **state)
{
    const float x[3] = {1, 0, -2};
    double y[3];

    (void)state;
    for (int k = 0; k < BD_FEATURE_KINDS; k++) {
        struct bd_chanq q = {(enum bd_feature_kind)k, 4, true, 0, 2};

        bd_chanq_apply(y, x, 3, &q);
        for (int i = 0; i < 3; i++)
            assert_true(y[i] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_tolerant_of_form),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_missing_row), cmocka_unit_test(test_folder),
        cmocka_unit_test(test_zero_interval),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
