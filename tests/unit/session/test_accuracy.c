/* Accuracy: the same for any number of threads, on lanes and at once, with
 * the prefix cache and without; cancelled within a tenth of a second. */
#include "bed.h"

struct answer {
    struct bd_net_eval q, f;
    struct bd_layer_errors layer[3];
};

static void evaluate(struct answer *a, const struct bd_session_opts *o)
{
    struct bd_session *s = open_session(o);
    struct bd_err e = {0};
    memset(a, 0, sizeof *a);
    if (bd_session_now_eval(&a->q, &a->f, a->layer, s, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    bd_session_close(s);
}

static bool same_eval(const struct bd_net_eval *a, const struct bd_net_eval *b)
{
    return a->images == b->images && a->right1 == b->right1 &&
           a->right5 == b->right5 && a->loss == b->loss && a->kl == b->kl &&
           a->agreement == b->agreement && a->top1 == b->top1;
}

static bool same_double(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void threads_do_not_matter(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct answer a, b;
    o.weights = "uniform:3:channel:mse";
    o.activations = "uniform:4:tensor:mse";
    o.threads = 1;
    evaluate(&a, &o);
    assert_int_equal(a.q.images, 100);
    assert_true(a.q.loss > 0 && a.q.kl > 0);
    for (int t = 2; t <= 5; t++) {
        o.threads = t;
        evaluate(&b, &o);
        assert_true(same_eval(&a.q, &b.q));
        assert_true(same_eval(&a.f, &b.f));
        for (int i = 0; i < 3; i++) {
            assert_true(a.layer[i].w_psnr_db == b.layer[i].w_psnr_db);
            assert_true(a.layer[i].a_psnr_db == b.layer[i].a_psnr_db);
            assert_true(a.layer[i].out_sqnr_db == b.layer[i].out_sqnr_db);
        }
    }
}

static void layer_errors_make_sense(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct answer a;
    static const char *const set[] = {"fc2.w=float", "fc2.a=float", NULL};
    o.weights = "uniform:8";
    o.activations = "uniform:8";
    o.set = set;
    evaluate(&a, &o);
    assert_true(isnan(a.layer[1].w_psnr_db) && isnan(a.layer[1].a_psnr_db));
    assert_true(a.layer[0].w_psnr_db > 30 && a.layer[0].a_psnr_db > 30);
    for (int i = 0; i < 3; i++) /* fc2 inherits the error of fc1 */
        assert_true(a.layer[i].out_sqnr_db > 10 &&
                    a.layer[i].out_sqnr_db < 80);
    o.set = NULL;
    o.weights = o.activations = NULL;
    evaluate(&a, &o);
    for (int i = 0; i < 3; i++)
        assert_true(same_double(a.layer[i].out_sqnr_db, NAN));
    assert_true(same_eval(&a.q, &a.f));
}

/* One session through twenty configurations against a fresh one for each:
 * what the caches keep never shows. */
static void caches_never_show(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_rng r = {2};
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    for (int k = 0; k < 20; k++) {
        int layer = (int)bd_rng_below(&r, 3);
        char edits[3][64];
        const char *set[7] = {NULL};
        enum bd_part part = (enum bd_part)bd_rng_below(&r, 2);
        assert_int_equal(bd_session_set_bits(s, one(&layer), part,
                                             2 + (int)bd_rng_below(&r, 7),
                                             NULL), BD_OK);
        settle(s);
        char acts[3][64];
        for (int i = 0; i < 3; i++) {
            const struct bd_layercfg *l = &bd_session_cfg(s)->layer[i];
            snprintf(edits[i], 64, "fc%d.w=uniform:%d", i + 1, l->w.bits);
            snprintf(acts[i], 64, "fc%d.a=uniform:%d", i + 1, l->a.bits);
            set[2 * i] = edits[i];
            set[2 * i + 1] = acts[i];
        }
        struct bd_net_view v;
        struct answer a;
        struct bd_session_opts p = bed_opts(*state);
        p.set = set;
        p.threads = 1;
        evaluate(&a, &p);
        bd_session_net(&v, s);
        assert_int_equal(v.fresh, BD_EXACT);
        assert_true(same_eval(&v.acc, &a.q));
    }
    bd_session_close(s);
}

/* Never blank: the float network is what was there before the first edit. */
static void the_first_edit_keeps_the_old_number(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    static const int layer = 1;
    struct bd_net_view a, b;
    struct bd_session *s = open_session(&o);
    bd_session_net(&a, s);
    assert_int_equal(a.fresh, BD_ABSENT);
    bd_session_start(s);
    settle(s);
    bd_session_net(&a, s);
    assert_int_equal(a.fresh, BD_EXACT);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 2, NULL);
    bd_session_net(&b, s);
    assert_int_equal(b.fresh, BD_STALE);
    assert_true(same_eval(&a.acc, &b.acc));
    bd_session_close(s);
}

static void undo_answers_from_memory(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    static const int layer = 1;
    struct bd_net_view a, b;
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    settle(s);
    bd_session_net(&a, s);
    bd_session_set_bits(s, one(&layer), BD_PART_W, 2, NULL);
    bd_session_net(&b, s);
    assert_int_equal(b.fresh, BD_STALE);
    assert_true(same_eval(&a.acc, &b.acc)); /* the old one, marked */
    settle(s);
    assert_true(bd_session_undo(s));
    bd_session_net(&b, s);
    assert_int_equal(b.fresh, BD_EXACT);
    assert_true(same_eval(&a.acc, &b.acc));
    assert_true(bd_session_redo(s));
    bd_session_net(&b, s);
    assert_int_equal(b.fresh, BD_EXACT);
    bd_session_close(s);
}

/* Partial results count up, belong to the configuration, and carry an
 * interval around the value. */
static void partial_then_exact(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_net_view v;
    o.limit = 6000;
    o.data = "synth:glyphs/train";
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    int64_t last = 0;
    int partial = 0;
    bd_session_start(s);
    while (!bd_session_idle(s)) {
        bd_session_wait(s);
        bd_session_collect(s);
        bd_session_net(&v, s);
        if (v.fresh == BD_PARTIAL) {
            partial++;
            assert_true(v.acc.images > last && v.acc.images < 6000);
            assert_int_equal(v.acc.total, 6000);
            assert_true(v.acc.ci_lo <= v.acc.top1 &&
                        v.acc.top1 <= v.acc.ci_hi);
            last = v.acc.images;
        }
        if (v.float_fresh == BD_PARTIAL)
            partial++;
    }
    assert_true(partial > 0);
    bd_session_net(&v, s);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_int_equal(v.acc.images, 6000);
    bd_session_close(s);
}

static void wait_for_title(struct bd_session *s, const char *title)
{
    for (int i = 0; i < 20000; i++) {
        struct bd_progress p[8];
        size_t n = bd_session_progress(s, p, 8);
        for (size_t k = 0; k < n; k++)
            if (p[k].running && strcmp(p[k].title, title) == 0)
                return;
        bd_session_collect(s);
        usleep(200);
    }
    fail_msg("'%s' never ran", title);
}

static void cancel_is_quick(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_net_view v;
    o.limit = 20000; /* far more than a tenth of a second's work */
    o.weights = "uniform:4";
    o.data = "synth:glyphs/train";
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    wait_for_title(s, "float accuracy");
    int64_t t0 = bd_now_ns();
    bd_session_cancel(s);
    /* The accuracy job is next, and does the float run itself; it can be
     * stopped as well, and so can the whole session. */
    wait_for_title(s, "accuracy");
    assert_true(bd_now_ns() - t0 < 100000000);
    t0 = bd_now_ns();
    bd_session_cancel(s);
    settle(s);
    assert_true(bd_now_ns() - t0 < 100000000);
    bd_session_net(&v, s);
    assert_int_not_equal(v.fresh, BD_EXACT);
    /* An edit asks again. */
    static const int layer = 0;
    bd_session_set_bits(s, one(&layer), BD_PART_W, 5, NULL);
    wait_for_title(s, "accuracy");
    t0 = bd_now_ns();
    bd_session_close(s);
    assert_true(bd_now_ns() - t0 < 200000000);
}

static void cancelled_by_its_control(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_ctl *c = bd_ctl_new();
    struct bd_net_eval e;
    assert_non_null(c);
    bd_ctl_cancel(c);
    assert_int_equal(bd_session_now_eval(&e, NULL, NULL, s, c, NULL),
                     BD_ECANCELLED);
    bd_ctl_free(c);
    assert_int_equal(bd_session_now_eval(&e, NULL, NULL, s, NULL, NULL),
                     BD_OK);
    assert_int_equal(e.images, 100);
    bd_session_close(s);
}

static void a_range_of_images(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct answer all, part[2];
    evaluate(&all, &o);
    o.limit = 60;
    evaluate(&part[0], &o);
    o.limit = 40;
    o.skip = 60;
    evaluate(&part[1], &o);
    assert_int_equal(all.q.right1, part[0].q.right1 + part[1].q.right1);
    assert_int_equal(all.q.right5, part[0].q.right5 + part[1].q.right5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(threads_do_not_matter), CASE(layer_errors_make_sense),
        CASE(caches_never_show),     CASE(undo_answers_from_memory),
        CASE(the_first_edit_keeps_the_old_number),
        CASE(partial_then_exact),    CASE(cancel_is_quick),
        CASE(cancelled_by_its_control), CASE(a_range_of_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
