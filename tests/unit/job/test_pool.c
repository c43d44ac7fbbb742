/* The pool: every index exactly once, early stop, turns between callers. */
#include "job/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

enum { N = 1000 };

struct tally {
    atomic_int seen[N];
    atomic_int calls, worst_worker;
    int stop_at; /* -1 = never */
};

static bool count(void *arg, int64_t i, int worker)
{
    struct tally *t = arg;
    atomic_fetch_add(&t->seen[i], 1);
    atomic_fetch_add(&t->calls, 1);
    int worst = atomic_load(&t->worst_worker);
    while (worker > worst &&
           !atomic_compare_exchange_weak(&t->worst_worker, &worst, worker)) {
    }
    return i != t->stop_at;
}

static void every_index_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct bd_pool *p;
        assert_int_equal(bd_pool_new(&p, threads, NULL), BD_OK);
        assert_int_equal(bd_pool_threads(p), threads);
        static const int64_t sizes[] = {0, 1, 2, 7, N};
        for (int k = 0; k < 5; k++) {
            struct tally t = {.stop_at = -1};
            bd_pool_for(p, sizes[k], count, &t);
            for (int64_t i = 0; i < N; i++)
                assert_int_equal(t.seen[i], i < sizes[k] ? 1 : 0);
            assert_in_range(t.worst_worker, 0, threads - 1);
        }
        bd_pool_free(p);
    }
}

static void false_stops_the_hand_out(void **state)
{
    (void)state;
    struct bd_pool *p;
    assert_int_equal(bd_pool_new(&p, 1, NULL), BD_OK);
    struct tally t = {.stop_at = 10};
    bd_pool_for(p, N, count, &t);
    assert_int_equal(t.calls, 11);
    bd_pool_free(p);
    assert_int_equal(bd_pool_new(&p, 4, NULL), BD_OK);
    struct tally u = {.stop_at = 10};
    bd_pool_for(p, N, count, &u);
    /* The others may be one index further each, or have been ahead. */
    assert_int_equal(u.seen[10], 1);
    for (int i = 0; i < N; i++)
        assert_in_range(u.seen[i], 0, 1);
    bd_pool_free(p);
}

struct caller {
    struct bd_pool *pool;
    long sum;
};

static bool add(void *arg, int64_t i, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_long *)arg, (long)i);
    return true;
}

static void *call_often(void *arg)
{
    struct caller *c = arg;
    for (int k = 0; k < 200; k++) {
        atomic_long sum = 0;
        bd_pool_for(c->pool, 50, add, &sum);
        c->sum += sum;
    }
    return NULL;
}

static void callers_take_turns(void **state)
{
    (void)state;
    struct bd_pool *p;
    assert_int_equal(bd_pool_new(&p, 3, NULL), BD_OK);
    struct caller c[3] = {{p, 0}, {p, 0}, {p, 0}};
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, call_often, &c[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(c[i].sum, 200L * (49 * 50 / 2));
    bd_pool_free(p);
}

static void zero_means_all_cores(void **state)
{
    (void)state;
    struct bd_pool *p;
    assert_int_equal(bd_pool_new(&p, 0, NULL), BD_OK);
    assert_true(bd_pool_threads(p) >= 1);
    bd_pool_free(p);
    bd_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_once),
        cmocka_unit_test(false_stops_the_hand_out),
        cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(zero_means_all_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
