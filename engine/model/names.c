/* Names to numbers.  The table is kept at most half full, so a probe ends
 * after about two looks; nothing is ever removed. */
#include "model/model_priv.h"

#include <string.h>

/* The digest is kept beside the key, so that strangers are told apart without
 * touching their names. */
static size_t slot_of(const struct bd_map *m, const char *key, size_t n,
                      uint64_t digest)
{
    size_t i = (size_t)digest & (m->cap - 1);
    while (m->slot[i].key &&
           (m->slot[i].digest != digest || m->slot[i].n != n ||
            memcmp(m->slot[i].key, key, n) != 0))
        i = (i + 1) & (m->cap - 1);
    return i;
}

int bd_map_get(const struct bd_map *m, const char *key, size_t n)
{
    if (!m->cap)
        return -1;
    uint64_t digest = bd_digest(key, n, 0);
    const struct bd_map_slot *s = &m->slot[slot_of(m, key, n, digest)];
    return s->key ? s->v : -1;
}

static bool make_room(struct bd_map *m)
{
    if (m->used * 2 < m->cap)
        return true;
    struct bd_map big = {.cap = m->cap ? m->cap * 2 : 64, .used = m->used};
    big.slot = bd_calloc(big.cap, sizeof *big.slot);
    if (!big.slot)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        const struct bd_map_slot *s = &m->slot[i];
        if (s->key)
            big.slot[slot_of(&big, s->key, s->n, s->digest)] = *s;
    }
    bd_free(m->slot);
    *m = big;
    return true;
}

bool bd_map_put(struct bd_map *m, const char *key, size_t n, int v)
{
    if (!make_room(m))
        return false;
    uint64_t digest = bd_digest(key, n, 0);
    struct bd_map_slot *s = &m->slot[slot_of(m, key, n, digest)];
    m->used += !s->key;
    *s = (struct bd_map_slot){key, n, digest, v};
    return true;
}

void bd_map_done(struct bd_map *m)
{
    bd_free(m->slot);
    *m = (struct bd_map){0};
}

const char *bd_map_unique(struct bd_map *m, struct bd_arena *a,
                          const char *want)
{
    size_t n = strlen(want);
    int k = bd_map_get(m, want, n);
    if (k < 0)
        return bd_map_put(m, want, n, 1) ? want : NULL;
    /* The number of the last copy is remembered, or a million equal names
     * would take a million times a million looks. */
    const char *made = NULL;
    struct bd_str s = {0};
    do {
        s.n = 0;
        bd_str_printf(&s, "%s_%d", want, ++k);
    } while (!s.failed && bd_map_get(m, s.s, s.n) >= 0);
    if (!s.failed && bd_map_put(m, want, n, k))
        made = bd_arena_strdup(a, s.s, s.n);
    if (made && !bd_map_put(m, made, strlen(made), 1))
        made = NULL;
    bd_str_done(&s);
    return made;
}

bool bd_name_ends(const char *name, const char *const *tails, size_t n)
{
    size_t len = strlen(name);
    for (size_t k = 0; k < n; k++) {
        size_t t = strlen(tails[k]);
        if (len >= t && strcmp(name + len - t, tails[k]) == 0)
            return true;
    }
    return false;
}
