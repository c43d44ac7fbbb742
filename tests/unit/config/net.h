/* A network of three small matrices, fc1 (8 to 6), fc2 (6 to 5), fc3 (5 to
 * 4), for the tests of this folder. */
#ifndef TEST_CONFIG_NET_H
#define TEST_CONFIG_NET_H

#include "config/config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static inline struct bd_model *net(void)
{
    struct bd_model *m = NULL;
    int64_t dim[1] = {8};
    struct bd_err e = {0};
    if (bd_arch_new(&m, "mlp:8-6-5-4", dim, 1, 4, 1, &e) != BD_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(m->nlayers, 3);
    return m;
}

/* Pretends that the checkpoint brought clips for its middle layer. */
static inline void teach(struct bd_model *m)
{
    struct bd_layer *l = (struct bd_layer *)(uintptr_t)&m->layer[1];
    l->learned_w = 2.5f;
    l->learned_a = 6.25f;
}

static inline int row(const char *name)
{
    int r = bd_quantizer_find(name);
    assert_true(r >= 0);
    return r;
}

#endif
