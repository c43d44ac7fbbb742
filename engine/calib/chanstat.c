/* The statistics of a layer's input, channel by channel.
 *
 * Each channel has a statistic of its own with coarser buckets: at most 98 KB,
 * typically 4 KB.  What a hostile network could make of that is bounded by a
 * purse the channels of a layer share: on average each may make ten blocks
 * of eight octaves (15 KB).  A layer that needs more loses the statistics of
 * all its channels; the blocks it needs do not depend on the order of images,
 * so neither does that. */
#include "actstat_priv.h"
#include "calib_priv.h"

enum {
    BLOCKS_EACH = 10
};

struct bd_chanstat {
    int64_t n;
    struct bd_actpurse purse;
    struct bd_actstat *c; /* [n], in the purse's arena; NULL once given up */
};

static void give_up(struct bd_chanstat *s)
{
    bd_arena_done(&s->purse.arena);
    s->c = NULL;
}

static bool open_channels(struct bd_chanstat *s, int batches)
{
    s->c = bd_arena_alloc(&s->purse.arena, (size_t)s->n, sizeof(*s->c));
    for (int64_t i = 0; s->c && i < s->n; i++) {
        bd_actstat_init(&s->c[i], BD_ACT_COARSE);
        s->c[i].purse = &s->purse;
        if (!bd_actstat_batches(&s->c[i], batches))
            return false;
    }
    return s->c != NULL;
}

struct bd_chanstat *bd_chanstat_new(int64_t channels, int batches)
{
    struct bd_chanstat *s = channels > 0 ? bd_calloc(1, sizeof(*s)) : NULL;

    if (!s)
        return NULL;
    s->n = channels;
    s->purse.most = (size_t)channels * BLOCKS_EACH;
    if (open_channels(s, batches))
        return s;
    bd_chanstat_free(s);
    return NULL;
}

void bd_chanstat_free(struct bd_chanstat *s)
{
    if (!s)
        return;
    give_up(s);
    bd_free(s);
}

void bd_chanstat_add(struct bd_chanstat *s, const float *x,
                     struct bd_slices sl, int batch)
{
    if (!s->c || sl.channels != s->n)
        return;
    for (int64_t o = 0; o < sl.outer; o++)
        for (int64_t c = 0; c < sl.channels; c++, x += sl.inner)
            bd_actstat_add_batch(&s->c[c], x, (size_t)sl.inner, batch);
    if (s->purse.spent > s->purse.most)
        give_up(s);
}

int64_t bd_chanstat_channels(const struct bd_chanstat *s)
{
    return s->n;
}

const struct bd_actstat *bd_chanstat_at(const struct bd_chanstat *s, int64_t c)
{
    return s->c && c >= 0 && c < s->n ? &s->c[c] : NULL;
}
