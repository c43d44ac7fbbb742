/* The generations of keys: an open-addressed table that only grows.  A key
 * enters at its first submission and stays; its row also finds the one job
 * of that key which still waits, so replacing it takes no search. */
#include "job/lanes_priv.h"

static size_t slot_of(const struct bd_keys *k, uint64_t key)
{
    /* Keys are small structured numbers; the multiplication spreads them. */
    size_t i = (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (k->cap - 1);
    while (k->row[i].used && k->row[i].key != key)
        i = (i + 1) & (k->cap - 1);
    return i;
}

struct bd_keyrow *bd_keys_find(const struct bd_keys *k, uint64_t key)
{
    if (k->cap == 0)
        return NULL;
    struct bd_keyrow *r = &k->row[slot_of(k, key)];
    return r->used ? r : NULL;
}

static bool grow(struct bd_keys *k)
{
    struct bd_keys next = {.cap = k->cap ? 2 * k->cap : 64, .n = k->n};
    next.row = bd_calloc(next.cap, sizeof *next.row);
    if (!next.row)
        return false;
    for (size_t i = 0; i < k->cap; i++)
        if (k->row[i].used)
            next.row[slot_of(&next, k->row[i].key)] = k->row[i];
    bd_free(k->row);
    *k = next;
    return true;
}

struct bd_keyrow *bd_keys_add(struct bd_keys *k, uint64_t key)
{
    struct bd_keyrow *r = bd_keys_find(k, key);
    if (r)
        return r;
    /* Half empty at least, so that probing stays short. */
    if (2 * (k->n + 1) > k->cap && !grow(k))
        return NULL;
    r = &k->row[slot_of(k, key)];
    *r = (struct bd_keyrow){.used = true, .key = key};
    k->n++;
    return r;
}

void bd_keys_done(struct bd_keys *k)
{
    bd_free(k->row);
    *k = (struct bd_keys){0};
}
