/* Memory runs out at the n-th allocation, for every n.  The linker sends the
 * engine's two allocators through here (-Wl,--wrap); lanes and pools allocate
 * on threads of their own, so the count is atomic. */
#ifndef TEST_EXHAUST_H
#define TEST_EXHAUST_H

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

int __real_posix_memalign(void **p, size_t align, size_t n);
void *__real_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **p, size_t align, size_t n);
void *__wrap_realloc(void *p, size_t n);

/* Allocations before the one that fails; below 0: it was, or none will. */
static atomic_long before_failure = -1;
static atomic_bool refused;

static inline bool now_fails(void)
{
    if (atomic_load(&before_failure) < 0 ||
        atomic_fetch_sub(&before_failure, 1) != 0)
        return false;
    atomic_store(&refused, true);
    return true;
}

int __wrap_posix_memalign(void **p, size_t align, size_t n)
{
    return now_fails() ? 12 : __real_posix_memalign(p, align, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return now_fails() ? NULL : __real_realloc(p, n);
}

typedef bd_status exhaust_step(const void *arg, struct bd_err *err);

/* The failure of this round is behind us: there is memory from here on. */
static inline bool ran_out(void)
{
    return atomic_load(&refused);
}

/* Runs step with each allocation failing once, then without a failure, which
 * must succeed; returns how many allocations there are.  A step may survive
 * a failure (a cache that stays empty) when `survives`. */
static inline long exhaust(exhaust_step *step, const void *arg, bool survives)
{
    for (long n = 0;; n++) {
        struct bd_err err = {0};
        atomic_store(&refused, false);
        atomic_store(&before_failure, n);
        bd_status s = step(arg, &err);
        bool failed = ran_out();
        atomic_store(&before_failure, -1);
        bool fine = s == BD_OK && (survives || !failed);
        bool told = failed && s == BD_ENOMEM && err.code == BD_ENOMEM &&
                    err.msg[0];
        if (!fine && !told)
            fail_msg("allocation %ld: status %d '%s'", n, (int)s, err.msg);
        if (!failed)
            return n;
        assert_true(n < 100000);
    }
}

#endif
