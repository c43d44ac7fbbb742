/* Lanes: nothing lost, nothing stale shown, quick cancel, partial results.
 * Every argument and result is counted, so a leak or a double free fails. */
#include "job/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <time.h>

struct world {
    struct bd_lanes *l;
    atomic_int args, results; /* alive */
    int got, last, partials, cancelled, failed;
    uint64_t newest[8];
    int latest[8]; /* value of the newest submission per key */
};

struct order { /* a job's argument */
    struct world *w;
    int value, ms, partials;
    atomic_bool *hold; /* runs until cleared or stale */
    atomic_bool *begun;
    bool fail;
};
struct answer {
    struct world *w;
    int value;
};

static void nap(int us)
{
    nanosleep(&(struct timespec){0, us * 1000L}, NULL);
}

static struct answer *answer_new(struct world *w, int value)
{
    struct answer *a = bd_alloc(1, sizeof *a);
    assert_non_null(a);
    *a = (struct answer){w, value};
    atomic_fetch_add(&w->results, 1);
    return a;
}

static void answer_free(void *p)
{
    struct answer *a = p;
    atomic_fetch_sub(&a->w->results, 1);
    bd_free(a);
}

static void order_free(void *p)
{
    struct order *o = p;
    atomic_fetch_sub(&o->w->args, 1);
    bd_free(o);
}

static bd_status run(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err)
{
    struct order *o = arg;
    if (o->begun)
        atomic_store(o->begun, true);
    for (int i = 0; i < o->partials; i++)
        assert_true(bd_ctl_post(ctl, answer_new(o->w, 1000 + i)));
    while (o->hold && atomic_load(o->hold) && !bd_ctl_stale(ctl))
        nap(200);
    for (int i = 0; i < o->ms && !bd_ctl_stale(ctl); i++) {
        bd_ctl_progress(ctl, i, o->ms);
        nap(1000);
    }
    if (bd_ctl_stale(ctl))
        return BD_ECANCELLED;
    if (o->fail)
        return bd_fail(err, BD_EIO, "no such luck");
    *result = answer_new(o->w, o->value);
    return BD_OK;
}

static void submit(struct world *w, uint64_t key, enum bd_lane lane,
                   struct order o)
{
    struct order *copy = bd_alloc(1, sizeof *copy);
    assert_non_null(copy);
    *copy = o;
    copy->w = w;
    atomic_fetch_add(&w->args, 1);
    struct bd_job j = {.key = key, .lane = lane, .title = "test",
                       .arg = copy, .run = run, .free_arg = order_free,
                       .free_result = answer_free};
    if (key < 8)
        w->latest[key] = o.value;
    assert_int_equal(bd_lanes_submit(w->l, &j, NULL), BD_OK);
}

static void receive(void *arg, struct bd_done *d)
{
    struct world *w = arg;
    assert_string_equal(d->job->title, "test");
    if (d->status == BD_ECANCELLED) {
        w->cancelled++;
        return;
    }
    if (d->status != BD_OK) {
        assert_string_equal(d->err.msg, "no such luck");
        w->failed++;
        return;
    }
    struct answer *a = d->result;
    if (d->partial) {
        w->partials++;
    } else {
        w->got++;
        /* Stale results are never shown: only the newest value arrives. */
        if (d->key < 8)
            assert_int_equal(a->value, w->latest[d->key]);
    }
    w->last = a->value;
    answer_free(a);
}

static void settle(struct world *w)
{
    while (!bd_lanes_idle(w->l)) {
        bd_lanes_wait(w->l);
        bd_lanes_collect(w->l, receive, w);
    }
}

static int begin(void **state)
{
    struct world *w = bd_calloc(1, sizeof *w);
    *state = w;
    return w && bd_lanes_new(&w->l, NULL) == BD_OK ? 0 : -1;
}

static int end(void **state)
{
    struct world *w = *state;
    bd_lanes_free(w->l);
    int left = w->args + w->results;
    bd_free(w);
    return left;
}

static void one_of_each(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < BD_LANES; i++)
        submit(w, (uint64_t)i, (enum bd_lane)i, (struct order){.value = i});
    settle(w);
    assert_int_equal(w->got, 3);
    submit(w, 5, BD_LANE_FAST, (struct order){.fail = true});
    settle(w);
    assert_int_equal(w->failed, 1);
}

static void fifo_and_raise(void **state)
{
    struct world *w = *state;
    atomic_bool hold = true;
    submit(w, 100, BD_LANE_FAST, (struct order){.hold = &hold});
    for (int i = 1; i <= 3; i++)
        submit(w, 100 + (uint64_t)i, BD_LANE_FAST,
               (struct order){.value = i});
    bd_lanes_raise(w->l, 103);
    struct bd_progress p[8];
    size_t n = bd_lanes_progress(w->l, p, 8);
    assert_int_equal(n, 4);
    /* 100 runs or waits first; 103 overtook. */
    assert_true(p[n - 1].key == 102 && p[n - 2].key == 101);
    atomic_store(&hold, false);
    settle(w);
    assert_int_equal(w->got, 4);
    assert_int_equal(w->last, 2);
}

static void touch_replaces_and_cancels(void **state)
{
    struct world *w = *state;
    atomic_bool hold = true, begun = false;
    submit(w, 3, BD_LANE_EVAL,
           (struct order){.value = 1, .hold = &hold, .begun = &begun});
    while (!atomic_load(&begun))
        nap(100);
    bd_lanes_touch(w->l, 3);
    submit(w, 3, BD_LANE_EVAL, (struct order){.value = 2});
    bd_lanes_touch(w->l, 3);
    submit(w, 3, BD_LANE_EVAL, (struct order){.value = 3});
    settle(w);
    assert_int_equal(w->got, 1);
    assert_int_equal(w->last, 3);
    assert_int_equal(w->cancelled, 0); /* stale ones vanish silently */
}

static void other_keys_live_on(void **state)
{
    struct world *w = *state;
    for (uint64_t k = 0; k < 6; k++)
        submit(w, k, BD_LANE_FAST, (struct order){.value = (int)k});
    bd_lanes_touch(w->l, 2);
    settle(w);
    assert_in_range(w->got, 5, 5);
}

static void cancel_is_quick_and_reported(void **state)
{
    struct world *w = *state;
    atomic_bool begun = false;
    submit(w, 1, BD_LANE_EVAL,
           (struct order){.ms = 60000, .begun = &begun});
    submit(w, 2, BD_LANE_EVAL, (struct order){.ms = 60000});
    while (!atomic_load(&begun))
        nap(100);
    int64_t t0 = bd_now_ns();
    bd_lanes_cancel(w->l, 2);
    bd_lanes_cancel(w->l, 1);
    settle(w);
    assert_true(bd_now_ns() - t0 < 100 * 1000000LL);
    assert_int_equal(w->cancelled, 2);
    assert_int_equal(w->got, 0);
}

static void partials_coalesce(void **state)
{
    struct world *w = *state;
    atomic_bool hold = true, begun = false;
    submit(w, 1, BD_LANE_EVAL, (struct order){.value = 7, .partials = 5,
                                              .hold = &hold});
    while (w->partials == 0) {
        bd_lanes_wait(w->l);
        bd_lanes_collect(w->l, receive, w);
    }
    assert_in_range(w->partials, 1, 5);
    atomic_store(&hold, false);
    settle(w);
    assert_int_equal(w->got, 1);
    assert_int_equal(w->last, 7); /* the final one comes last */
    /* A partial of a touched key is stale too. */
    int before = w->partials;
    atomic_store(&hold, true);
    submit(w, 1, BD_LANE_EVAL,
           (struct order){.partials = 3, .hold = &hold, .begun = &begun});
    while (!atomic_load(&begun))
        nap(100);
    bd_lanes_touch(w->l, 1);
    settle(w);
    assert_int_equal(w->partials, before);
}

static void the_descriptor_wakes(void **state)
{
    struct world *w = *state;
    struct pollfd f = {.fd = bd_lanes_fd(w->l), .events = POLLIN};
    assert_int_equal(poll(&f, 1, 0), 0);
    submit(w, 1, BD_LANE_FAST, (struct order){.value = 1});
    assert_int_equal(poll(&f, 1, 5000), 1);
    settle(w);
    assert_int_equal(poll(&f, 1, 0), 0);
}

/* The bar of robustness.md: random submissions, touches, cancels and
 * collections; in the end nothing is lost and each key's last word, if it
 * was not cancelled, arrived. */
static void ten_thousand_random_steps(void **state)
{
    struct world *w = *state;
    struct bd_rng r = {1};
    for (int i = 0; i < 10000; i++) {
        uint64_t key = bd_rng_below(&r, 8);
        switch (bd_rng_below(&r, 8)) {
        case 0:
            bd_lanes_cancel(w->l, key);
            break;
        case 1:
            bd_lanes_collect(w->l, receive, w);
            break;
        case 2:
            bd_lanes_raise(w->l, key);
            break;
        default:
            bd_lanes_touch(w->l, key);
            submit(w, key, (enum bd_lane)(key % BD_LANES),
                   (struct order){.value = i,
                                  .partials = (int)bd_rng_below(&r, 3)});
        }
    }
    settle(w);
    w->got = 0;
    for (uint64_t k = 0; k < 8; k++) {
        bd_lanes_touch(w->l, k);
        submit(w, k, BD_LANE_FAST, (struct order){.value = (int)k});
    }
    settle(w);
    assert_int_equal(w->got, 8);
    assert_int_equal(w->results, 0);
    assert_int_equal(w->args, 0);
}

static void closing_drops_everything(void **state)
{
    struct world *w = *state;
    for (uint64_t k = 0; k < 6; k++)
        submit(w, k, BD_LANE_EVAL, (struct order){.ms = k ? 1 : 60000});
    int64_t t0 = bd_now_ns();
    bd_lanes_free(w->l);
    w->l = NULL;
    assert_true(bd_now_ns() - t0 < 100 * 1000000LL);
    assert_int_equal(w->args, 0);
}

static void outside_the_lanes(void **state)
{
    (void)state;
    struct bd_ctl *c = bd_ctl_new();
    assert_non_null(c);
    assert_false(bd_ctl_stale(c));
    assert_false(bd_ctl_stale(NULL));
    bd_ctl_progress(c, 3, 9);
    bd_ctl_progress(NULL, 1, 2);
    int64_t done, total;
    bd_ctl_read(c, &done, &total);
    assert_true(done == 3 && total == 9);
    assert_false(bd_ctl_post(c, c));
    bd_ctl_cancel(c);
    assert_true(bd_ctl_stale(c));
    bd_ctl_free(c);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_of_each),
        CASE(fifo_and_raise),
        CASE(touch_replaces_and_cancels),
        CASE(other_keys_live_on),
        CASE(cancel_is_quick_and_reported),
        CASE(partials_coalesce),
        CASE(the_descriptor_wakes),
        CASE(ten_thousand_random_steps),
        CASE(closing_drops_everything),
        cmocka_unit_test(outside_the_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
