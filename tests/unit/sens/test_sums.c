/* Sums to values and intervals, and when a point's place is settled. */
#include "sens_priv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct bd_sens_sums sums_of(const double *kl, int n)
{
    struct bd_sens_sums s = {0};

    for (int i = 0; i < n; i++) {
        s.n++;
        s.sum[BD_SENS_KL] += kl[i];
        s.square[BD_SENS_KL] += kl[i] * kl[i];
    }
    return s;
}

struct small { /* a table on the stack */
    struct bd_sens_table t;
    struct bd_sens_point p[3];
    struct bd_sens_sums s[4];
};

static void open_small(struct small *m)
{
    memset(m, 0, sizeof *m);
    m->t = (struct bd_sens_table){.n = 3, .point = m->p, .sums = m->s,
                                  .metrics = BD_SENS_SAMPLED, .images = 100};
    for (int k = 0; k < 3; k++)
        m->p[k].layer = k;
}

static void intervals(void **state)
{
    static const double kl[4] = {1, 2, 3, 6};
    struct small m;

    (void)state;
    open_small(&m);
    m.s[0] = sums_of(kl, 4);
    m.s[1] = sums_of(kl, 1);
    bd_sens_refresh(&m.t);
    assert_true(fabs(m.p[0].value[BD_SENS_KL] - 3) < 1e-15);
    /* variance 14/3, half 1.96 sqrt(14/12) */
    assert_true(fabs(m.p[0].half[BD_SENS_KL] -
                     1.959963984540054 * sqrt(14.0 / 12)) < 1e-12);
    assert_true(isinf(m.p[1].half[BD_SENS_KL]));
    assert_true(isnan(m.p[2].value[BD_SENS_KL]));
    assert_int_equal(m.t.evaluations, 5);
}

/* Bonett and Price: never of no width, covers what it is centred on. */
static void drops(void **state)
{
    struct small m;

    (void)state;
    open_small(&m);
    m.s[0] = (struct bd_sens_sums){.n = 100, .labelled = 100};
    m.s[1] = (struct bd_sens_sums){.n = 100, .labelled = 100, .worse = 10,
                                   .better = 2};
    bd_sens_refresh(&m.t);
    assert_true(m.p[0].value[BD_SENS_TOP1] == 0);
    assert_true(m.p[0].half[BD_SENS_TOP1] > 0.01 &&
                m.p[0].half[BD_SENS_TOP1] < 0.04);
    assert_true(fabs(m.p[1].value[BD_SENS_TOP1] - 0.08) < 1e-15);
    double p = 11 / 102.0, q = 3 / 102.0;
    double half = 1.959963984540054 * sqrt((p + q - (p - q) * (p - q)) / 102);
    assert_true(fabs(m.p[1].half[BD_SENS_TOP1] - half -
                     fabs(p - q - 0.08)) < 1e-12);
}

static void settling(void **state)
{
    static const double low[4] = {1, 1.2, 0.8, 1}, high[4] = {3, 3.5, 2.5, 3};
    static const double tiny[4] = {0, 3e-4, 0, 3e-4}, sure[4] = {1, 1, 1, 1.01};
    static const double wide[4] = {0, 20, 0, 20};
    struct small m;

    (void)state;
    open_small(&m);
    m.s[0] = sums_of(low, 4);
    m.s[1] = sums_of(high, 4);
    m.p[2].column = 1; /* of another choice: no rival */
    m.s[2] = sums_of(wide, 4);
    bd_sens_settle(&m.t);
    assert_true(m.p[0].settled && m.p[1].settled);
    assert_false(m.p[2].settled); /* too wide itself */
    open_small(&m);
    m.s[0] = sums_of(low, 4);
    m.s[1] = sums_of(high, 4);
    m.s[2] = sums_of(wide, 4); /* a rival that may be either side */
    bd_sens_settle(&m.t);
    assert_false(m.p[0].settled || m.p[1].settled || m.p[2].settled);
    open_small(&m); /* twins are never apart */
    for (int k = 0; k < 3; k++)
        m.s[k] = sums_of(low, 4);
    bd_sens_settle(&m.t);
    assert_false(m.p[0].settled || m.p[1].settled || m.p[2].settled);
    open_small(&m);
    m.s[0] = sums_of(sure, 4); /* known well enough, whoever stands near */
    m.s[1] = sums_of(low, 4);
    m.s[2] = sums_of(tiny, 4); /* nobody's choice turns on it */
    bd_sens_settle(&m.t);
    assert_true(m.p[0].settled && m.p[2].settled);
    assert_false(m.p[1].settled);
}

static void copies(void **state)
{
    struct small m;
    struct bd_sens_table t;

    (void)state;
    open_small(&m);
    m.s[3].labelled = 7;
    m.p[1].w.bits = 4;
    assert_int_equal(bd_sens_copy(&t, &m.t), BD_OK);
    assert_ptr_not_equal(t.point, m.p);
    assert_int_equal(t.sums[3].labelled, 7);
    assert_int_equal(t.point[1].w.bits, 4);
    bd_sens_done(&t);
    m.t.sums = NULL; /* as read from a file */
    assert_int_equal(bd_sens_copy(&t, &m.t), BD_OK);
    assert_null(t.sums);
    bd_sens_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals),
        cmocka_unit_test(drops),
        cmocka_unit_test(settling),
        cmocka_unit_test(copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
