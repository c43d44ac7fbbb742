/* A session while memory runs out at any one moment: what cannot be done is
 * refused with a sentence, nothing leaks (the sanitizer build sees to that),
 * nobody waits for a lane that gave up, and once there is memory again the
 * same session edits and writes as ever. */
#include "bed.h"

#include "../exhaust.h"

/* Thousands of small files: the disk need not confirm each. */
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

static const int all[2] = {0, 1};

struct trip { /* what a walk repeats */
    struct bd_session_opts o;
    char out[128];
};

static struct trip trip_of(const struct bed *b)
{
    struct trip t = {.o = bed_opts(b)};
    snprintf(t.out, sizeof t.out, "%s/out.json", b->dir);
    t.o.limit = 3;
    t.o.calib_limit = 2;
    t.o.threads = 1;
    t.o.weights = "uniform:6:channel:mse";
    t.o.activations = "uniform:8";
    return t;
}

static int small_net(void **state)
{
    if (bed_begin(state) != 0)
        return -1;
    put_net(((struct bed *)*state)->model, "mlp:3072-2-10", 1);
    return 0;
}

/* A call may fail for want of memory only, and says so. */
static void check(bd_status st, const struct bd_err *e)
{
    if (st != BD_OK && (st != BD_ENOMEM || !e->msg[0]))
        fail_msg("status %d '%s'", (int)st, e->msg);
}

/* One edit and back; a refused edit leaves no step behind. */
static bd_status edit_and_undo(struct bd_session *s, struct bd_err *err)
{
    struct bd_sel both = {all, 2};
    uint64_t before = bd_bitcfg_digest(bd_session_cfg(s));
    bd_status st = bd_session_set_bits(s, both, BD_PART_W, 3, err);
    check(st, err);
    if (st == BD_OK) {
        assert_int_equal(bd_session_cfg(s)->layer[1].w.bits, 3);
        bd_session_undo(s);
    }
    assert_true(st == BD_OK || !bd_session_undo(s));
    assert_int_equal(before, bd_bitcfg_digest(bd_session_cfg(s)));
    return st;
}

/* With memory again, whatever was lost on the way. */
static void lives_on(struct bd_session *s, const char *path)
{
    struct bd_err e = {0};
    if (bd_session_set_bits(s, one(all), BD_PART_W, 5, &e) != BD_OK ||
        bd_session_export(s, path, true, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 5);
}

/* Two configurations at once; what was not compared is empty. */
static bd_status compare_now(struct bd_session *s, struct bd_err *err)
{
    struct bd_bitcfg b = {0};
    struct bd_compare c = {0};
    const struct bd_bitcfg *const cfg[2] = {bd_session_cfg(s), &b};
    bd_status st = bd_session_kept_cfg(&b, s, "uniform 2", err);
    if (st == BD_OK)
        st = bd_session_now_compare(&c, s, cfg, NULL, err);
    assert_true(st == BD_OK || !c.layer);
    bd_compare_done(&c);
    bd_bitcfg_done(&b);
    return st;
}

/* On lanes: whatever is missing is missing, and said to be. */
static void compare_soon(struct bd_session *s)
{
    struct bd_err e = {0};
    bd_status st = bd_session_keep(NULL, s, "k", NULL, &e);
    assert_true(st == BD_OK || (ran_out() && e.msg[0]));
    assert_true(st != BD_OK || bd_session_kept_find(s, "k", NULL) >= 0);
    for (int i = 0; i < 2; i++) {
        const struct bd_compare *c =
            bd_session_compare(s, "here", "uniform 2", NULL);
        assert_true(c || ran_out());
        settle(s);
    }
}

/* The feature's channels: what could not be measured says why, and once there
 * is memory again the same wish is met. */
static void split_soon(struct bd_session *s)
{
    struct bd_feature_ask ask = {.lab = {.split = "fc2", .images = 2},
                                 .solve = {.avg_bits = 3, .p = {0.9, 0.1}},
                                 .runs = 3};
    struct bd_feature_view v = {0};
    struct bd_err e = {0};
    if (bd_session_why_no_accuracy(s))
        return;
    for (int i = 0; i < 2; i++) {
        bd_status st = bd_session_feature_start(s, &ask, &e);
        assert_true(st == BD_OK || (ran_out() && e.msg[0]));
        settle(s);
        bool there = bd_session_feature(&v, s);
        assert_true(!there || !v.running);
        if (there && v.bits && isfinite(v.mse))
            return;
        assert_true(ran_out());
    }
    fail_msg("no channels although there is memory: %s", e.msg);
}

/* As the command line does it: everything on this thread. */
static bd_status at_once(const void *arg, struct bd_err *err)
{
    const struct trip *t = arg;
    struct bd_session *s = NULL;
    struct bd_layer_errors layers[2];
    struct bd_net_eval acc;
    bd_status st = bd_session_open(&s, &t->o, err);
    assert_true((st == BD_OK) == (s != NULL));
    if (st != BD_OK)
        return st;
    /* A network that could not be planned is opened for its weights. */
    bool runs = !bd_session_why_no_accuracy(s);
    assert_true(runs || ran_out());
    st = edit_and_undo(s, err);
    if (st == BD_OK && runs)
        st = bd_session_now_eval(&acc, NULL, layers, s, NULL, err);
    if (st == BD_OK)
        st = compare_now(s, err);
    if (st == BD_OK)
        st = bd_session_plot(s, &(struct bd_plot_ask){
                                    .what = BD_PICTURE_CHANNELS,
                                    .path = t->out, .force = true,
                                    .w = 64, .h = 48}, err);
    if (st == BD_OK)
        st = bd_session_export(s, t->out, true, err);
    check(st, err);
    if (ran_out())
        lives_on(s, t->out);
    bd_session_close(s);
    return st;
}

/* As the interface does it: lanes, pictures, the autosaved state. */
static bd_status on_lanes(const void *arg, struct bd_err *err)
{
    const struct trip *t = arg;
    struct bd_session *s = NULL;
    bd_status st = bd_session_open(&s, &t->o, err);
    assert_true((st == BD_OK) == (s != NULL));
    if (st != BD_OK)
        return st;
    bd_session_start(s);
    st = edit_and_undo(s, err);
    bd_session_channels(s, 0, &(int){0}, &(enum bd_fresh){BD_ABSENT});
    settle(s);
    compare_soon(s);
    split_soon(s);
    if (st == BD_OK)
        st = bd_session_export_soon(s, t->out, true, err);
    if (st == BD_OK)
        st = bd_session_plot_soon(s, &(struct bd_plot_ask){
                                         .path = t->out, .force = true,
                                         .w = 64, .h = 48}, err);
    /* Nothing to draw: the layer's job had no memory. */
    if (st != BD_OK && err->code != BD_ENOMEM)
        assert_true(err->msg[0] && ran_out());
    settle(s);
    if (ran_out())
        lives_on(s, t->out);
    bd_session_close(s);
    return st == BD_OK || err->code == BD_ENOMEM ? st : BD_OK;
}

static void the_command_line(void **state)
{
    struct trip t = trip_of(*state);
    assert_true(exhaust(at_once, &t, true) > 50);
}

static void the_interface(void **state)
{
    struct trip t = trip_of(*state);
    t.o.no_state = false;
    assert_true(exhaust(on_lanes, &t, true) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_command_line, small_net, bed_end),
        cmocka_unit_test_setup_teardown(the_interface, small_net, bed_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
