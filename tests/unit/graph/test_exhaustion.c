/* Planning, running and streaming while memory runs out at any one moment:
 * "out of memory" in a sentence or, where a cache merely stays empty, the
 * same numbers as ever. */
#include "graph/graph.h"

#include "../exhaust.h"

#include <string.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, IMAGES = 3, CLASSES = 10 };

struct world {
    struct bd_model *m;
    float want[IMAGES * CLASSES];
};

static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    (void)arg;
    (void)err;
    for (int64_t i = 0; i < n * PIXELS; i++)
        dst[i] = (float)((first * PIXELS + i) % 7) * 0.25f;
    return BD_OK;
}

static bd_status run_alone(const void *arg, struct bd_err *err)
{
    const struct world *w = arg;
    struct bd_plan_opts o = {.batch = 1};
    struct bd_exec_run run = {0};
    struct bd_plan *p = NULL;
    struct bd_exec *e = NULL;
    bd_status st = bd_plan_new(&p, w->m, &o, err);
    assert_true((st == BD_OK) == (p != NULL));
    if (st == BD_OK) {
        st = bd_exec_new(&e, p, err);
        assert_true((st == BD_OK) == (e != NULL));
    }
    if (st == BD_OK) {
        fetch(NULL, 0, 1, bd_exec_input(e, 0), NULL);
        st = bd_exec_run(e, &run, err);
    }
    bd_exec_free(e);
    bd_plan_free(p);
    return st;
}

/* Forward and backward on a plan that keeps everything. */
static bd_status train_alone(const void *arg, struct bd_err *err)
{
    const struct world *w = arg;
    const float seed[2 * CLASSES] = {1, -1};
    struct bd_plan_opts o = {.batch = 2, .train = true};
    struct bd_exec_run run = {0};
    struct bd_plan *p = NULL;
    struct bd_exec *e = NULL;
    bd_status st = bd_plan_new(&p, w->m, &o, err);
    if (st == BD_OK)
        st = bd_exec_new(&e, p, err);
    if (st == BD_OK) {
        fetch(NULL, 0, 2, bd_exec_input(e, 0), NULL);
        st = bd_exec_run(e, &run, err);
    }
    if (st == BD_OK)
        st = bd_exec_backward(e, &run, w->m->output[0], seed, err);
    bd_exec_free(e);
    bd_plan_free(p);
    return st;
}

/* Twice, so that the second run starts from what the first kept; after a
 * failure the same runner answers once more. */
static bd_status stream(const void *arg, struct bd_err *err)
{
    const struct world *w = arg;
    float out[IMAGES * CLASSES];
    struct bd_runner_opts o = {.src = {fetch, NULL, IMAGES}};
    struct bd_runner_run run = {0};
    struct bd_pool *pool = NULL;
    struct bd_runner *r = NULL;
    bd_status st = bd_pool_new(&pool, 2, err);
    o.pool = pool;
    if (st == BD_OK)
        st = bd_runner_new(&r, w->m, &o, err);
    for (int k = 0; k < 2 && st == BD_OK; k++) {
        st = bd_runner_run(r, &run, out, NULL, err);
        if (st == BD_OK)
            assert_memory_equal(out, w->want, sizeof out);
    }
    if (r && ran_out()) {
        assert_int_equal(bd_runner_run(r, &run, out, NULL, NULL), BD_OK);
        assert_memory_equal(out, w->want, sizeof out);
    }
    bd_runner_free(r);
    bd_pool_free(pool);
    return st;
}

static void walk_all(const char *arch)
{
    const int64_t dim[3] = {3, SIDE, SIDE};
    struct world w = {0};
    struct bd_runner_opts o = {.src = {fetch, NULL, IMAGES}};
    struct bd_runner_run run = {.no_cache = true};
    struct bd_runner *r = NULL;
    struct bd_err e = {0};
    if (bd_arch_new(&w.m, arch, dim, 3, CLASSES, 1, &e) != BD_OK ||
        bd_runner_new(&r, w.m, &o, &e) != BD_OK ||
        bd_runner_run(r, &run, w.want, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    bd_runner_free(r);
    assert_true(exhaust(run_alone, &w, false) > 5);
    assert_true(exhaust(train_alone, &w, false) > 5);
    assert_true(exhaust(stream, &w, true) > 10);
    bd_model_free(w.m);
}

static void matrices(void **state)
{
    (void)state;
    walk_all("mlp:3072-4-10");
}

static void convolutions(void **state)
{
    (void)state;
    walk_all("mobilenet-glyphs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices),
        cmocka_unit_test(convolutions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
