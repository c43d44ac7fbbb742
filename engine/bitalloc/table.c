/* The allocators. */
#include "bitalloc_priv.h"

#include <string.h>

const struct bd_allocator *const *bd_allocators(void)
{
    static const struct bd_allocator *const rows[] = {
        &bd_alloc_uniform, &bd_alloc_greedy, &bd_alloc_lagrange, &bd_alloc_dp,
        NULL};

    return rows;
}

const struct bd_allocator *bd_allocator_find(const char *name)
{
    const struct bd_allocator *const *row = bd_allocators();

    while (*row != NULL && strcmp((*row)->name, name) != 0)
        row++;
    return *row;
}
