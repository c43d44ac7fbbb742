/* Memory.  Everything is 64-byte aligned so that kernels may use aligned
 * vector loads; every size is checked before it is multiplied. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, BLOCK = 64 * 1024 };

bool bd_mul(size_t *out, size_t a, size_t b)
{
    size_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

bool bd_add(size_t *out, size_t a, size_t b)
{
    size_t r;

    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

void *bd_alloc(size_t count, size_t size)
{
    size_t n;
    void *p = NULL;

    if (!bd_mul(&n, count, size) || n > SIZE_MAX / 2)
        return NULL;
    if (posix_memalign(&p, ALIGN, n > 0 ? n : 1) != 0)
        return NULL;
    return p;
}

void *bd_calloc(size_t count, size_t size)
{
    void *p = bd_alloc(count, size);

    if (p != NULL)
        memset(p, 0, count * size > 0 ? count * size : 1);
    return p;
}

void *bd_realloc(void *p, size_t count, size_t size)
{
    size_t n;

    if (!bd_mul(&n, count, size) || n > SIZE_MAX / 2)
        return NULL;
    return realloc(p, n > 0 ? n : 1);
}

char *bd_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = bd_alloc(n, 1);

    if (p != NULL)
        memcpy(p, s, n);
    return p;
}

void bd_free(void *p)
{
    free(p);
}

bool bd_grow(void **p, size_t *cap, size_t need, size_t size)
{
    size_t c = *cap > 0 ? *cap : 8;
    void *q;

    if (need <= *cap)
        return true;
    while (c < need) {
        if (c > SIZE_MAX / 4)
            return false;
        c *= 2;
    }
    q = bd_realloc(*p, c, size);
    if (q == NULL)
        return false;
    *p = q;
    *cap = c;
    return true;
}

/* ---------------------------------------------------------------- arena
 * A chain of blocks; large requests get a block of their own, so that the
 * waste is bounded by one block. */
struct bd_arena_block {
    struct bd_arena_block *next;
    size_t used, cap; /* of the bytes behind the header */
};
enum { HEADER = 64 };

static struct bd_arena_block *new_block(size_t cap)
{
    struct bd_arena_block *b;
    size_t n;

    if (!bd_add(&n, cap, HEADER))
        return NULL;
    b = bd_alloc(n, 1);
    if (b == NULL)
        return NULL;
    b->next = NULL;
    b->used = 0;
    b->cap = cap;
    return b;
}

static void *take_from(struct bd_arena_block *b, size_t n, size_t align)
{
    size_t at = (b->used + align - 1) / align * align;

    if (at > b->cap || n > b->cap - at)
        return NULL;
    b->used = at + n;
    return (char *)b + HEADER + at;
}

void *bd_arena_alloc(struct bd_arena *a, size_t count, size_t size)
{
    struct bd_arena_block *b = a->head;
    size_t n, align;
    void *p = NULL;

    if (!bd_mul(&n, count, size) || n > SIZE_MAX / 2)
        return NULL;
    align = n > ALIGN ? ALIGN : 16;
    if (b != NULL)
        p = take_from(b, n, align);
    if (p == NULL) {
        b = new_block(n > BLOCK / 2 ? n : BLOCK);
        if (b == NULL)
            return NULL;
        /* A block made for one large request goes behind the head, which
         * still has room for small ones. */
        if (n > BLOCK / 2 && a->head != NULL) {
            b->next = a->head->next;
            a->head->next = b;
        } else {
            b->next = a->head;
            a->head = b;
        }
        p = take_from(b, n, align);
    }
    if (p != NULL) {
        memset(p, 0, n);
        a->total += n;
    }
    return p;
}

char *bd_arena_strdup(struct bd_arena *a, const char *s, size_t n)
{
    char *p = bd_arena_alloc(a, n + 1, 1);

    if (p != NULL)
        memcpy(p, s, n);
    return p;
}

void bd_arena_done(struct bd_arena *a)
{
    struct bd_arena_block *b = a->head;

    while (b != NULL) {
        struct bd_arena_block *next = b->next;

        bd_free(b);
        b = next;
    }
    a->head = NULL;
    a->total = 0;
}
