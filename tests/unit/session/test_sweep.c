/* The sweep of a session: every point against a full evaluation, the same
 * for any number of threads; the journal: complete, interrupted by a kill,
 * damaged, another's; on a lane: partial results, stopping. */
#include "bed.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static int sweep_begin(void **state)
{
    int rc = bed_begin(state);
    struct bed *b = *state;

    if (rc == 0)
        setenv("XDG_CACHE_HOME", b->dir, 1);
    return rc;
}

#define SWEEP(f) cmocka_unit_test_setup_teardown(f, sweep_begin, bed_end)

static void sweep(struct bd_sens_table *t, struct bd_session *s,
                  const struct bd_sweep_opts *o)
{
    struct bd_err e = {0};

    *t = (struct bd_sens_table){0};
    if (bd_session_now_sweep(t, s, o, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_true(t->complete);
}

static bool same_sums(const struct bd_sens_table *a,
                      const struct bd_sens_table *b)
{
    return a->n == b->n && a->nbase == b->nbase &&
           memcmp(a->sums, b->sums,
                  (a->n + a->nbase + 1) * sizeof *a->sums) == 0;
}

/* ------------------------------------------------------------ brute force */

static void set_layer(struct bd_bitcfg *c, const struct bd_sens_point *p,
                      int layer)
{
    bd_layercfg_set(&c->layer[layer], true, &p->w);
    bd_layercfg_set(&c->layer[layer], false, &p->a);
}

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 + 1e-10 * fabs(want)))
        fail_msg("%.17g, a full evaluation has %.17g", got, want);
}

static void every_point_is_a_full_evaluation(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_session *s = open_session(&so);
    struct bd_sweep_opts o = {
        .what = 1u << BD_SENS_W | 1u << BD_SENS_A | 1u << BD_SENS_WA,
        .nbits = 2, .bits = {2, 5}, .methods = "uniform:channel,apot",
        .no_early_stop = true, .no_cache = true};
    struct bd_sens_table t;
    struct bd_net_eval e, f;
    struct bd_err err = {0};

    sweep(&t, s, &o);
    assert_int_equal(t.n, 3 * 3 * 2 * 2);
    for (size_t i = 0; i < t.n; i++) {
        const struct bd_sens_point *p = &t.point[i];
        struct bd_bitcfg c;

        assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
        set_layer(&c, p, p->layer);
        assert_int_equal(bd_session_set_all(s, &c, "test", &err), BD_OK);
        bd_bitcfg_done(&c);
        assert_int_equal(bd_session_now_eval(&e, &f, NULL, s, NULL, &err),
                         BD_OK);
        close_to(p->value[BD_SENS_KL], e.kl);
        close_to(p->value[BD_SENS_TOP1], f.top1 - e.top1);
        close_to(p->value[BD_SENS_LOSS], e.loss - f.loss);
        assert_int_equal(p->images, 100);
    }
    close_to(t.baseline.top1, f.top1);
    close_to(t.baseline.loss, f.loss);
    assert_int_equal(t.baseline.right5, f.right5);
    bd_sens_done(&t);
    bd_session_close(s);
}

static void threads_do_not_matter(void **state)
{
    struct bd_sweep_opts o = {.what = 1u << BD_SENS_WA, .no_cache = true};
    struct bd_sens_table t = {0};

    for (int n = 1; n <= 4; n++) {
        struct bd_session_opts so = bed_opts(*state);
        struct bd_sens_table u;

        so.threads = n;
        struct bd_session *s = open_session(&so);
        sweep(n == 1 ? &t : &u, s, &o);
        bd_session_close(s);
        if (n == 1)
            continue;
        assert_true(same_sums(&t, &u));
        bd_sens_done(&u);
    }
    bd_sens_done(&t);
}

/* ---------------------------------------------------------------- options */

static void refusals(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_session *s = open_session(&so);
    static const struct {
        struct bd_sweep_opts o;
        const char *says;
    } bad[] = {
        {{.methods = "unifrom"}, "unifrom"},
        {{.methods = "apot:4"}, "--bits"},
        {{.methods = "binary", .nbits = 1, .bits = {5}}, "1"},
        {{.nbits = 1, .bits = {17}}, "17"},
        {{.metrics = 1u << BD_SENS_FISHER, .mode = BD_SENS_CUMULATIVE},
         "alone-on"},
    };

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_sens_table t = {0};
        struct bd_err e = {0};

        if (bd_session_now_sweep(&t, s, &bad[k].o, NULL, &e) == BD_OK)
            fail_msg("%zu: not refused", k);
        if (!strstr(e.msg, bad[k].says))
            fail_msg("%zu: %s", k, e.msg);
        bd_sens_done(&t);
    }
    bd_session_close(s);
}

static void words(void **state)
{
    struct bd_sweep_opts o;
    struct bd_err e = {0};

    (void)state;
    assert_int_equal(bd_sweep_words(&o, " kl,top1 2-4,8  w,wa cumulative "
                                        "images=99 methods=apot,pot", &e),
                     BD_OK);
    assert_int_equal(o.metrics, 1u << BD_SENS_KL | 1u << BD_SENS_TOP1);
    assert_int_equal(o.what, 1u << BD_SENS_W | 1u << BD_SENS_WA);
    assert_int_equal(o.nbits, 4);
    assert_int_equal(o.bits[3], 8);
    assert_int_equal(o.mode, BD_SENS_CUMULATIVE);
    assert_int_equal(o.images, 99);
    assert_string_equal(o.methods, "apot,pot");
    static const char *const bad[] = {"kk", "2-", "2-99", "w,,a", "images=0",
                                      "1-2-3", "images=", "kl;"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        e = (struct bd_err){0};
        if (bd_sweep_words(&o, bad[k], &e) == BD_OK)
            fail_msg("'%s' was understood", bad[k]);
        assert_non_null(strstr(e.msg, "alone-on"));
    }
}

/* ---------------------------------------------------------------- journal */

/* The only journal of the test's cache; false: none yet. */
static bool journal_of(char *path, size_t cap, const struct bed *b)
{
    char dir[128];
    bool found = false;

    snprintf(dir, sizeof dir, "%s/bitdial", b->dir);
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (strncmp(e->d_name, "sweep-", 6) == 0 &&
            strcmp(e->d_name + strlen(e->d_name) - 4, ".bin") == 0) {
            assert_false(found);
            found = true;
            snprintf(path, cap, "%s/%s", dir, e->d_name);
        }
    if (d)
        closedir(d);
    return found;
}

static void complete_ones_are_read_back(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_session *s = open_session(&so);
    struct bd_sweep_opts o = {.mode = BD_SENS_ALONE_OFF};
    struct bd_sens_table t, u;
    char path[400];

    assert_false(journal_of(path, sizeof path, *state));
    sweep(&t, s, &o);
    assert_true(journal_of(path, sizeof path, *state));
    sweep(&u, s, &o);
    assert_true(same_sums(&t, &u));
    assert_true(t.seconds == u.seconds); /* of the run that measured */
    assert_true(memcmp(t.point[0].value, u.point[0].value,
                       sizeof t.point[0].value) == 0);
    bd_sens_done(&u);
    bd_sens_done(&t);
    bd_session_close(s);
}

/* Cut anywhere, one bit turned anywhere, another sweep's words under this
 * name: a sentence, and the right numbers. */
static void damaged_ones_are_left(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    struct bd_session *s = open_session(&so);
    struct bd_sweep_opts o = {.nbits = 2, .bits = {3, 4}};
    struct bd_sens_table t, u;
    struct bd_err e = {0};
    char path[400], *text;
    size_t n;

    sweep(&t, s, &o);
    assert_true(journal_of(path, sizeof path, *state));
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, &e), BD_OK);
    for (size_t k = 0; k < n + 40; k += 13) {
        char *copy = bd_alloc(n + 8, 1);

        assert_non_null(copy);
        memcpy(copy, text, n);
        if (k < n)
            copy[k] ^= (char)(1 << k % 8);
        put_file(path, copy, k < n ? n : k * 29 % n);
        bd_free(copy);
        sweep(&u, s, &o);
        assert_true(same_sums(&t, &u));
        bd_sens_done(&u);
    }
    assert_true(log_has(s, "measured afresh"));
    bd_free(text);
    bd_sens_done(&t);
    bd_session_close(s);
}

/* In a child, which dies on the way; returns once a journal is there. */
static void die_sweeping(const struct bed *b, const struct bd_session_opts *so,
                         const struct bd_sweep_opts *o)
{
    const struct timespec tick = {0, 20000000};
    char path[400];
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct bd_session *s = NULL;
        struct bd_sens_table t = {0};

        if (bd_session_open(&s, so, NULL) == BD_OK)
            bd_session_now_sweep(&t, s, o, NULL, NULL);
        _exit(0);
    }
    while (!journal_of(path, sizeof path, b) &&
           waitpid(child, NULL, WNOHANG) == 0)
        nanosleep(&tick, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(journal_of(path, sizeof path, b));
}

static void killed_ones_go_on(void **state)
{
    struct bed *b = *state;
    struct bd_session_opts so = bed_opts(b);
    struct bd_sweep_opts o = {.nbits = 3, .bits = {2, 3, 4},
                              .no_early_stop = true};
    struct bd_sweep_opts fresh = o;
    struct bd_sens_table t, u;
    struct bd_str x = {0}, y = {0};

    put_net(b->model, "resnet20", 3);
    so.threads = 1;
    die_sweeping(b, &so, &o);
    struct bd_session *s = open_session(&so);
    int64_t start = bd_now_ns();
    sweep(&t, s, &o);
    print_message("went on for %.1f s of %.1f s\n",
                  (double)(bd_now_ns() - start) / 1e9, t.seconds);
    assert_true((double)(bd_now_ns() - start) / 1e9 < t.seconds - 0.5);
    fresh.no_cache = true;
    sweep(&u, s, &fresh);
    assert_true(same_sums(&t, &u));
    t.seconds = u.seconds = 1; /* all that may differ */
    assert_int_equal(bd_sens_write(&x, bd_session_model(s), &t, BD_SENS_JSON,
                                   NULL), BD_OK);
    assert_int_equal(bd_sens_write(&y, bd_session_model(s), &u, BD_SENS_JSON,
                                   NULL), BD_OK);
    assert_string_equal(x.s, y.s);
    bd_str_done(&x);
    bd_str_done(&y);
    bd_sens_done(&t);
    bd_sens_done(&u);
    bd_session_close(s);
}

/* ---------------------------------------------------------------- the lane */

static void on_a_lane(void **state)
{
    struct bed *b = *state;
    struct bd_session_opts so = bed_opts(b);
    struct bd_sweep_opts o = {.no_early_stop = true, .no_cache = true};
    struct bd_err e = {0};
    int64_t seen = 0;

    put_net(b->model, "resnet20", 3);
    struct bd_session *s = open_session(&so);
    assert_null(bd_session_sens(s));
    assert_true(isnan(bd_session_layer_sens(s, 0)));
    assert_int_equal(bd_session_sweep(s, &o, &e), BD_OK);
    assert_true(bd_session_sweeping(s));
    while (seen == 0 && !bd_session_idle(s)) {
        bd_session_wait(s);
        bd_session_collect(s);
        seen = bd_session_sens(s) ? bd_session_sens(s)->evaluations : 0;
    }
    assert_true(seen > 0 && !bd_session_sens(s)->complete);
    bd_session_sweep_stop(s);
    settle(s);
    assert_false(bd_session_sweeping(s));
    const struct bd_sens_table *t = bd_session_sens(s);
    assert_true(t->evaluations >= seen && !t->complete);
    assert_true(log_has(s, "what was measured is kept"));
    bd_session_close(s);
}

/* What the column shows: measured widths, those between, wider ones. */
static void layers_are_judged(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    so.weights = "uniform:4";
    struct bd_session *s = open_session(&so);
    struct bd_sweep_opts o = {.nbits = 3, .bits = {2, 4, 6},
                              .no_cache = true};
    struct bd_sens_view v;
    struct bd_err e = {0};
    int l = 1;

    assert_int_equal(bd_session_sweep(s, &o, &e), BD_OK);
    settle(s);
    const struct bd_sens_table *t = bd_session_sens(s);
    assert_true(t && t->complete);
    const struct bd_sens_point *p = &t->point[3]; /* layer 1: 2, 4, 6 bits */
    assert_true(bd_session_layer_sens(s, l) == p[1].value[BD_SENS_KL]);
    assert_int_equal(bd_session_set_bits(s, one(&l), BD_PART_W, 5, &e), BD_OK);
    double mid = bd_session_layer_sens(s, l);
    assert_true(fabs(log(mid) - (log(p[1].value[0]) + log(p[2].value[0])) / 2) <
                1e-9);
    assert_int_equal(bd_session_set_bits(s, one(&l), BD_PART_W, 8, &e), BD_OK);
    assert_true(bd_session_layer_sens(s, l) == p[2].value[0] / 16);
    bd_session_sens_of(&v, s, l);
    assert_true(v.here && v.bits == 8 && v.per_bit > 0);
    assert_int_equal(bd_session_set_bits(s, one(&l), BD_PART_W, 32, &e), BD_OK);
    assert_true(bd_session_layer_sens(s, l) == 0);
    bd_session_sens_of(&v, s, l); /* in float: what 4 bits would do */
    assert_true(!v.here && v.bits == 4 && v.loss == p[1].value[0]);
    bd_session_close(s);
}

static bool why_has(const struct bd_why *w, const char *text)
{
    for (int k = 0; k < w->n; k++)
        if (strstr(w->line[k], text))
            return true;
    return false;
}

static void guilt_in_words(void **state)
{
    struct bd_session_opts so = bed_opts(*state);
    so.weights = "uniform:2:tensor:max";
    struct bd_session *s = open_session(&so);
    struct bd_sweep_opts o = {.no_cache = true};
    struct bd_err e = {0};

    assert_int_equal(bd_session_sweep(s, &o, &e), BD_OK);
    settle(s);
    assert_int_equal(bd_session_ask_why(s, -1, &e), BD_OK);
    settle(s);
    const struct bd_why *w = bd_session_why(s);
    assert_non_null(w);
    int worst = 0;
    for (int k = 1; k < 3; k++)
        if (bd_session_layer_sens(s, k) > bd_session_layer_sens(s, worst))
            worst = k;
    assert_int_equal(w->layer, worst);
    assert_true(why_has(w, "is guilty of"));
    assert_true(why_has(w, "What would help"));
    assert_true(why_has(w, "one bit more"));
    assert_true(why_has(w, "times"));
    assert_int_equal(bd_session_ask_why(s, (worst + 1) % 3, &e), BD_OK);
    settle(s);
    assert_true(why_has(bd_session_why(s), " has "));
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWEEP(every_point_is_a_full_evaluation),
        SWEEP(threads_do_not_matter),
        SWEEP(refusals),
        SWEEP(words),
        SWEEP(complete_ones_are_read_back),
        SWEEP(damaged_ones_are_left),
        SWEEP(killed_ones_go_on),
        SWEEP(on_a_lane),
        SWEEP(layers_are_judged),
        SWEEP(guilt_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
