/* Networks to repair and what they compute: architectures with stirred
 * BatchNormalizations, pictures from a seed, one image through a model. */
#ifndef TEST_REPAIR_NETS_H
#define TEST_REPAIR_NETS_H

#include "calib/calib.h"
#include "repair/repair.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIXELS = 3072 };

/* Fresh architectures have BatchNormalizations that do nothing.  spread: how
 * far apart their channels' scales are, in natural logarithms. */
static inline void stir(struct bd_model *m, uint64_t seed, double spread)
{
    struct bd_rng r = {seed};
    for (size_t k = 0; k < m->nnodes; k++) {
        const struct bd_node *n = &m->node[k];
        if (strcmp(n->op, "BatchNormalization") != 0)
            continue;
        int64_t c = bd_tensor_count(&m->value[n->in[1]].t);
        for (int64_t i = 0; i < c; i++) {
            m->value[n->in[1]].t.f[i] =
                (float)(exp(spread * bd_rng_normal(&r)));
            m->value[n->in[2]].t.f[i] = (float)(0.3 * bd_rng_normal(&r));
            m->value[n->in[3]].t.f[i] = (float)(0.3 * bd_rng_normal(&r));
            m->value[n->in[4]].t.f[i] = (float)(0.2 + bd_rng_unit(&r));
        }
    }
}

static inline struct bd_model *stirred_by(const char *arch, uint64_t seed,
                                          double spread)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    if (bd_arch_new(&m, arch, dim, 3, 10, seed, &e) != BD_OK)
        fail_msg("%s: %s", arch, e.msg);
    stir(m, seed + 1, spread);
    return m;
}

static inline struct bd_model *stirred(const char *arch, uint64_t seed)
{
    return stirred_by(arch, seed, 1.2);
}

/* Picture i of n values, the same for ever. */
static inline void picture(float *x, size_t n, int64_t i)
{
    struct bd_rng r = bd_rng_fork(77, (uint64_t)i);
    for (size_t k = 0; k < n; k++)
        x[k] = (float)bd_rng_normal(&r);
}

static inline bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                              struct bd_err *err)
{
    const size_t *each = arg;
    (void)err;
    for (int64_t i = 0; i < n; i++)
        picture(dst + (size_t)i * *each, *each, first + i);
    return BD_OK;
}

/* The first output of picture `which`; the caller frees. */
static inline float *forward(int64_t *count, const struct bd_model *m,
                             const struct bd_qlayer *q, int64_t which)
{
    struct bd_plan_opts o = {.batch = 1};
    struct bd_plan *p = NULL;
    struct bd_exec *x = NULL;
    struct bd_err e = {0};
    struct bd_exec_run run = {.q = q};
    if (bd_plan_new(&p, m, &o, &e) != BD_OK ||
        bd_exec_new(&x, p, &e) != BD_OK)
        fail_msg("%s", e.msg);
    size_t n = (size_t)bd_tensor_count(bd_plan_value(p, m->input[0]));
    picture(bd_exec_input(x, 0), n, which);
    if (bd_exec_run(x, &run, &e) != BD_OK)
        fail_msg("%s", e.msg);
    const struct bd_tensor *t = bd_exec_value(x, m->output[0]);
    *count = bd_tensor_count(t);
    float *y = bd_alloc((size_t)*count, sizeof *y);
    assert_non_null(y);
    memcpy(y, t->f, (size_t)*count * sizeof *y);
    bd_exec_free(x);
    bd_plan_free(p);
    return y;
}

/* Largest difference of two networks' outputs over some pictures, relative
 * to the largest output. */
static inline double apart(const struct bd_model *a, const struct bd_model *b)
{
    double most = 0, off = 0;
    for (int64_t i = 0; i < 3; i++) {
        int64_t n, k;
        float *x = forward(&n, a, NULL, i), *y = forward(&k, b, NULL, i);
        assert_int_equal(n, k);
        for (k = 0; k < n; k++) {
            most = fmax(most, fabs((double)x[k]));
            off = fmax(off, fabs((double)x[k] - (double)y[k]));
        }
        bd_free(x);
        bd_free(y);
    }
    assert_true(most > 0);
    return off / most;
}

static inline struct bd_bitcfg all_float(const struct bd_model *m)
{
    struct bd_bitcfg c;
    assert_int_equal(bd_bitcfg_init(&c, m->nlayers), BD_OK);
    return c;
}

/* A repair of the whole network with a float configuration. */
static inline bd_status repair(struct bd_repair_out *out,
                               const struct bd_model *m, const char *name,
                               struct bd_err *err)
{
    struct bd_bitcfg c = all_float(m);
    struct bd_repair_in in = {.m = m, .cfg = &c};
    const struct bd_repair *r = bd_repair_find(name, err);
    assert_non_null(r);
    bd_status st = bd_repair_run(out, r, &in, NULL, err);
    bd_bitcfg_done(&c);
    return st;
}

static inline struct bd_model *repaired(const struct bd_model *m,
                                        const char *name)
{
    struct bd_repair_out o = {0};
    struct bd_model *next = NULL;
    struct bd_err e = {0};
    if (repair(&o, m, name, &e) != BD_OK ||
        bd_repair_model(&next, m, &o, &e) != BD_OK)
        fail_msg("%s: %s", name, e.msg);
    bd_repair_out_done(&o);
    return next;
}

#endif
