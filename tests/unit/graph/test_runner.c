/* The runner's promises, on a small residual network: starting from stored
 * activations changes no bit, whatever was edited before; neither do threads,
 * ranges, memory or cancellation. */
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGES = 11, CLASSES = 10, PIXELS = 3 * 32 * 32 };

struct world {
    struct bd_model *m;
    struct bd_source src;
    struct bd_pool *pool;
    float **alt;          /* [nlayers] other weights */
    struct bd_qparam act; /* 3 bits, uniform */
};

static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    (void)arg;
    (void)err;
    for (int64_t i = 0; i < n; i++) {
        struct bd_rng r = bd_rng_fork(7, (uint64_t)(first + i));
        for (int k = 0; k < PIXELS; k++)
            dst[i * PIXELS + k] = (float)bd_rng_normal(&r);
    }
    return BD_OK;
}

static void make_alternatives(struct world *w)
{
    struct bd_rng r = {5};
    w->alt = bd_calloc(w->m->nlayers, sizeof *w->alt);
    assert_non_null(w->alt);
    for (size_t k = 0; k < w->m->nlayers; k++) {
        const struct bd_tensor *t = &w->m->value[w->m->layer[k].weight].t;
        size_t n = (size_t)bd_tensor_count(t);
        w->alt[k] = bd_alloc(n, sizeof **w->alt);
        assert_non_null(w->alt[k]);
        for (size_t i = 0; i < n; i++)
            w->alt[k][i] = t->f[i] * (float)(1 + 0.1 * bd_rng_normal(&r));
    }
}

static int set_up(void **state)
{
    struct world *w = bd_calloc(1, sizeof *w);
    struct bd_err err = {0};
    const int64_t dim[3] = {3, 32, 32};
    *state = w;
    assert_non_null(w);
    if (bd_arch_new(&w->m, "resnet20", dim, 3, CLASSES, 3, &err) != BD_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(bd_pool_new(&w->pool, 3, &err), BD_OK);
    w->src = (struct bd_source){fetch, NULL, IMAGES};
    make_alternatives(w);
    w->act =
        (struct bd_qparam){.q = bd_quantizer_at(bd_quantizer_find("uniform")),
                           .bits = 3,
                           .clip = 2,
                           .sigma = 1};
    assert_int_equal(w->act.q->fit(&w->act, NULL, 0, &err), BD_OK);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (size_t k = 0; k < w->m->nlayers; k++)
        bd_free(w->alt[k]);
    bd_free(w->alt);
    bd_pool_free(w->pool);
    bd_model_free(w->m);
    bd_free(w);
    return 0;
}

static struct bd_runner *open_runner(const struct world *w, bool pool,
                                     size_t memory)
{
    struct bd_runner *r = NULL;
    struct bd_err err = {0};
    struct bd_runner_opts o = {w->src, pool ? w->pool : NULL, memory};
    if (bd_runner_new(&r, w->m, &o, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void must_run(struct bd_runner *r, const struct bd_runner_run *run,
                     float *out)
{
    struct bd_err err = {0};
    if (bd_runner_run(r, run, out, NULL, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

/* Some layer gets, or loses, other weights or a quantized input. */
static void edit(const struct world *w, struct bd_qlayer *q, struct bd_rng *rng)
{
    size_t k = (size_t)bd_rng_below(rng, w->m->nlayers);
    q[k].w = bd_rng_below(rng, 2) ? w->alt[k] : NULL;
    q[k].a = bd_rng_below(rng, 3) ? NULL : &w->act;
    q[k].key = (q[k].w ? 1u : 0u) + (q[k].a ? 2u : 0u);
}

/* Random edits and ranges; the cached runner against a plain one. */
static void edits_are_exact(void **state)
{
    const struct world *w = *state;
    const size_t memory[] = {0, 3u << 20, 1};
    static float a[IMAGES * CLASSES], b[IMAGES * CLASSES];
    struct bd_qlayer *q = bd_calloc(w->m->nlayers, sizeof *q);
    struct bd_runner *plain = open_runner(w, false, 1);
    struct bd_rng rng = {11};
    assert_non_null(q);
    for (int m = 0; m < 3; m++) {
        struct bd_runner *r = open_runner(w, true, memory[m]);
        for (int step = 0; step < 14; step++) {
            struct bd_runner_run run = {.q = q};
            edit(w, q, &rng);
            run.first = (int64_t)bd_rng_below(&rng, IMAGES);
            run.images =
                1 + (int64_t)bd_rng_below(&rng, (uint64_t)(IMAGES - run.first));
            size_t n = (size_t)run.images * CLASSES * sizeof *a;
            must_run(r, &run, a);
            run.no_cache = true;
            must_run(plain, &run, b);
            assert_memory_equal(a, b, n);
        }
        bd_runner_free(r);
    }
    bd_runner_free(plain);
    bd_free(q);
}

/* The last layer alone is cheap, the first one costs everything, and an
 * edit changes the result at all. */
static void work_shrinks(void **state)
{
    const struct world *w = *state;
    static float a[IMAGES * CLASSES], b[IMAGES * CLASSES];
    struct bd_qlayer *q = bd_calloc(w->m->nlayers, sizeof *q);
    struct bd_runner *r = open_runner(w, true, 0);
    size_t last = w->m->nlayers - 1;
    int64_t ran, all, before;
    assert_non_null(q);
    struct bd_runner_run run = {.q = q};
    must_run(r, &run, a);
    bd_runner_work(r, &ran, &all);
    assert_int_equal(ran, all);
    q[last] = (struct bd_qlayer){.w = w->alt[last], .key = 9};
    must_run(r, &run, b);
    bd_runner_work(r, &before, &all);
    assert_true(before * 4 < all);
    assert_memory_not_equal(a, b, sizeof a);
    q[last] = (struct bd_qlayer){0};
    q[0] = (struct bd_qlayer){.w = w->alt[0], .key = 9};
    must_run(r, &run, b);
    bd_runner_work(r, &ran, &all);
    assert_int_equal(ran, all);
    q[0] = (struct bd_qlayer){0};
    must_run(r, &run, b);
    assert_memory_equal(a, b, sizeof a);
    bd_runner_free(r);
    bd_free(q);
}

struct seen {
    int64_t images[64]; /* per layer */
    double sum;         /* of the first layer's inputs */
};

static void observe(void *arg, int layer, const struct bd_tensor *in,
                    const struct bd_tensor *out)
{
    struct seen *s = arg;
    assert_int_equal(in->dim[0], out->dim[0]);
    s->images[layer] += in->dim[0];
    for (int64_t k = 0; layer == 0 && k < bd_tensor_count(in); k++)
        s->sum += (double)in->f[k];
}

/* Observers see each image of the range once, no padding, in every layer,
 * and the input before quantization. */
static void observers_see_the_range(void **state)
{
    const struct world *w = *state;
    static float out[IMAGES * CLASSES], x[PIXELS];
    struct bd_runner *r = open_runner(w, true, 0);
    struct bd_qlayer *q = bd_calloc(w->m->nlayers, sizeof *q);
    struct seen s[3] = {0};
    void *args[3] = {&s[0], &s[1], &s[2]};
    double want = 0, got = 0;
    assert_non_null(q);
    q[0] = (struct bd_qlayer){.a = &w->act, .key = 4};
    struct bd_runner_run run = {.q = q,
                                .first = 3,
                                .images = 7,
                                .observe = observe,
                                .observe_arg = args};
    must_run(r, &run, out);
    must_run(r, &run, out); /* the cache must not hide layers */
    for (size_t k = 0; k < w->m->nlayers; k++)
        assert_int_equal(s[0].images[k] + s[1].images[k] + s[2].images[k], 14);
    for (int64_t i = 3; i < 10; i++) {
        fetch(NULL, i, 1, x, NULL);
        for (int k = 0; k < PIXELS; k++)
            want += 2 * (double)x[k];
    }
    for (int k = 0; k < 3; k++)
        got += s[k].sum;
    assert_true(got - want < 1e-6 && want - got < 1e-6);
    bd_runner_free(r);
    bd_free(q);
}

struct heard {
    bool got[IMAGES];
    int inside;
    const float *out;
    struct bd_ctl *cancel;
};

static void hear(void *arg, int64_t first, int64_t n, const float *out)
{
    struct heard *h = arg;
    assert_int_equal(h->inside++, 0); /* serialised */
    assert_ptr_equal(out, h->out + first * CLASSES);
    for (int64_t k = first; k < first + n; k++) {
        assert_false(h->got[k]);
        h->got[k] = true;
    }
    h->inside--;
    if (h->cancel)
        bd_ctl_cancel(h->cancel);
}

static void chunks_and_progress(void **state)
{
    const struct world *w = *state;
    static float out[IMAGES * CLASSES], again[IMAGES * CLASSES];
    struct bd_runner *r = open_runner(w, true, 0);
    struct bd_ctl *ctl = bd_ctl_new();
    struct heard h = {.out = out};
    struct bd_runner_run run = {.chunk = hear, .arg = &h};
    struct bd_err err = {0};
    int64_t done, total;
    assert_int_equal(bd_runner_run(r, &run, out, ctl, &err), BD_OK);
    bd_ctl_read(ctl, &done, &total);
    assert_int_equal(done, IMAGES);
    assert_int_equal(total, IMAGES);
    for (int k = 0; k < IMAGES; k++)
        assert_true(h.got[k]);
    /* Cancelled after the first chunk: told so, and the cache stays right. */
    bd_runner_free(r);
    r = open_runner(w, false, 0);
    h = (struct heard){.out = again, .cancel = ctl};
    assert_int_equal(bd_runner_run(r, &run, again, ctl, &err), BD_ECANCELLED);
    assert_false(h.got[IMAGES - 1]);
    run.chunk = NULL;
    must_run(r, &run, again);
    assert_memory_equal(out, again, sizeof out);
    bd_ctl_free(ctl);
    bd_runner_free(r);
}

static bd_status broken(void *arg, int64_t first, int64_t n, float *dst,
                        struct bd_err *err)
{
    (void)arg, (void)n, (void)dst;
    return first < 4
               ? BD_OK
               : bd_fail(err, BD_EFORMAT, "picture %d is torn", (int)first);
}

static void mistakes_are_told(void **state)
{
    const struct world *w = *state;
    static float out[IMAGES * CLASSES];
    struct bd_runner *r = open_runner(w, true, 0);
    struct bd_err err = {0};
    struct bd_runner_run run = {.first = 5, .images = 7};
    assert_int_equal(bd_runner_run(r, &run, out, NULL, &err), BD_EINVALID);
    run = (struct bd_runner_run){.first = -1};
    assert_int_equal(bd_runner_run(r, &run, out, NULL, NULL), BD_EINVALID);
    bd_runner_free(r);
    struct bd_runner_opts bad = {{broken, NULL, IMAGES}, w->pool, 0};
    err = (struct bd_err){0};
    assert_int_equal(bd_runner_new(&r, w->m, &bad, &err), BD_OK);
    run = (struct bd_runner_run){0};
    assert_int_equal(bd_runner_run(r, &run, out, NULL, &err), BD_EFORMAT);
    assert_non_null(strstr(err.msg, "is torn"));
    bd_runner_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_are_exact),
        cmocka_unit_test(work_shrinks),
        cmocka_unit_test(observers_see_the_range),
        cmocka_unit_test(chunks_and_progress),
        cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
