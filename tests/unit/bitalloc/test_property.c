/* Every allocator against brute force, and the promises of the front. */
#include "bitalloc/bitalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LAYERS = 54, WIDTHS = 7 };

struct net {
    struct bd_alloc_option option[LAYERS][WIDTHS];
    struct bd_alloc_layer layer[LAYERS];
    struct bd_alloc_problem p;
};

/* Sizes over three decades, losses that fall by about 4 a bit but not
 * always: some widths are worse than cheaper ones. */
static void random_net(struct net *t, size_t n, size_t widths,
                       struct bd_rng *r)
{
    double least = 0, most = 0;

    *t = (struct net){.p = {n, t->layer, 0}};
    for (size_t i = 0; i < n; i++) {
        double size = exp(7 * bd_rng_unit(r)), loss = exp(4 * bd_rng_unit(r));

        for (size_t k = 0; k < widths; k++) {
            loss *= 0.1 + bd_rng_unit(r);
            t->option[i][k] = (struct bd_alloc_option){
                (int)k + 2, size * (double)(k + 2), loss};
        }
        t->layer[i] =
            (struct bd_alloc_layer){"layer", widths, t->option[i], -1, -1};
        least += t->option[i][0].cost;
        most += t->option[i][widths - 1].cost;
    }
    t->p.budget = least + (most - least) * bd_rng_unit(r);
}

static bool obeys(const struct net *t, const int *pick)
{
    for (size_t i = 0; i < t->p.n; i++) {
        if (t->layer[i].locked >= 0 && t->layer[i].locked != pick[i])
            return false;
        for (size_t k = 0; k < i; k++)
            if (t->layer[i].tie >= 0 && t->layer[i].tie == t->layer[k].tie &&
                t->option[i][pick[i]].bits != t->option[k][pick[k]].bits)
                return false;
    }
    return true;
}

static double brute_force(const struct net *t, size_t widths)
{
    int pick[LAYERS] = {0};
    double best = INFINITY;
    size_t all = 1;

    for (size_t i = 0; i < t->p.n; i++)
        all *= widths;
    for (size_t code = 0; code < all; code++) {
        double cost = 0, loss = 0;
        size_t c = code;

        for (size_t i = 0; i < t->p.n; i++, c /= widths) {
            pick[i] = (int)(c % widths);
            cost += t->option[i][pick[i]].cost;
            loss += t->option[i][pick[i]].loss;
        }
        if (cost <= t->p.budget && loss < best && obeys(t, pick))
            best = loss;
    }
    return best;
}

static void holds_for_all(const struct net *t, double best)
{
    int pick[LAYERS];

    for (const struct bd_allocator *const *a = bd_allocators(); *a; a++) {
        struct bd_alloc_result r = {.pick = pick};
        struct bd_err err = {0};

        if (isinf(best)) {
            assert_int_equal((*a)->solve(&r, &t->p, &err), BD_EINVALID);
            assert_true(err.msg[0] != '\0');
            continue;
        }
        assert_int_equal((*a)->solve(&r, &t->p, &err), BD_OK);
        assert_true(obeys(t, pick));
        assert_true(r.cost <= t->p.budget * (1 + 1e-9));
        assert_true(r.loss >= best * (1 - 1e-9));
        assert_true(r.bound <= best * (1 + 1e-9));
        if (r.optimal)
            assert_true(fabs(r.loss - best) <= 1e-9 * best);
        if (strcmp((*a)->name, "dp") == 0)
            assert_true(r.optimal);
    }
}

static void small_nets_against_brute_force(void **state)
{
    struct bd_rng r = {1};
    struct net t;

    (void)state;
    for (int trial = 0; trial < 300; trial++) {
        random_net(&t, 5, 4, &r);
        if (trial % 3 == 1)
            t.layer[1].tie = t.layer[4].tie = 7;
        if (trial % 4 == 2)
            t.layer[2].locked = (int)bd_rng_below(&r, 4);
        holds_for_all(&t, brute_force(&t, 4));
    }
}

static void impossible_budgets_and_ties_are_refused(void **state)
{
    struct bd_rng r = {2};
    struct net t;

    (void)state;
    random_net(&t, 3, 2, &r);
    t.p.budget = 0;
    holds_for_all(&t, INFINITY);
    random_net(&t, 3, 2, &r);
    t.layer[0].tie = t.layer[1].tie = 0;
    t.layer[0].locked = 0;
    t.layer[1].locked = 1;
    holds_for_all(&t, INFINITY);
}

/* A network of ResNet-50's size: proven optimum, no worse than any other
 * row, and the same answer twice. */
static void large_nets(void **state)
{
    struct bd_rng r = {3};
    struct net t;
    int a[LAYERS], b[LAYERS];

    (void)state;
    for (int trial = 0; trial < 20; trial++) {
        struct bd_alloc_result x = {.pick = a}, y = {.pick = b};

        random_net(&t, LAYERS, WIDTHS, &r);
        assert_int_equal(bd_allocator_find("dp")->solve(&x, &t.p, NULL),
                         BD_OK);
        assert_int_equal(bd_allocator_find("dp")->solve(&y, &t.p, NULL),
                         BD_OK);
        assert_memory_equal(a, b, sizeof a);
        for (const struct bd_allocator *const *m = bd_allocators(); *m; m++) {
            assert_int_equal((*m)->solve(&y, &t.p, NULL), BD_OK);
            assert_true(x.loss <= y.loss * (1 + 1e-12));
            assert_true(y.bound <= x.loss * (1 + 1e-12));
        }
    }
}

static void the_front_falls_and_bends_upwards(void **state)
{
    struct bd_rng r = {4};
    struct net t;
    struct bd_alloc_point p[LAYERS * WIDTHS + 1];
    size_t n;

    (void)state;
    random_net(&t, LAYERS, WIDTHS, &r);
    n = bd_alloc_front(p, LAYERS * WIDTHS + 1, &t.p);
    assert_true(n > LAYERS && n <= LAYERS * WIDTHS + 1);
    assert_int_equal(bd_alloc_front(NULL, 0, &t.p), n);
    for (size_t i = 1; i < n; i++) {
        assert_true(p[i].cost > p[i - 1].cost);
        assert_true(p[i].loss < p[i - 1].loss);
        if (i > 1)
            assert_true((p[i - 1].loss - p[i].loss) *
                            (p[i - 1].cost - p[i - 2].cost) <=
                        (p[i - 2].loss - p[i - 1].loss) *
                            (p[i].cost - p[i - 1].cost) * (1 + 1e-6));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_nets_against_brute_force),
        cmocka_unit_test(impossible_budgets_and_ties_are_refused),
        cmocka_unit_test(large_nets),
        cmocka_unit_test(the_front_falls_and_bends_upwards)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
