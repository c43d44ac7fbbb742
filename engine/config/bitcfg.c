/* The configuration as a value: small, copied for every undo step and every
 * job.  What is large (widths per channel, recorded clips) is immutable and
 * shared by count, so a copy of a thousand layers is one block. */
#include "config/config.h"

#include <string.h>

/* ------------------------------------------------------- recorded clips */

struct bd_recorded *bd_recorded_new(const double *v, int n, int is_signed)
{
    size_t bytes;
    if (!bd_mul(&bytes, (size_t)n, sizeof *v) ||
        !bd_add(&bytes, bytes, sizeof(struct bd_recorded)))
        return NULL;
    struct bd_recorded *r = bd_alloc(1, bytes);
    if (!r)
        return NULL;
    atomic_init(&r->refs, 1);
    r->is_signed = is_signed;
    r->n = n;
    if (n > 0)
        memcpy(r->v, v, (size_t)n * sizeof *v);
    return r;
}

/* Counting is the one thing done to a shared, otherwise constant block. */
static struct bd_recorded *counted(const struct bd_recorded *r)
{
    return (struct bd_recorded *)(uintptr_t)r;
}

const struct bd_recorded *bd_recorded_ref(const struct bd_recorded *r)
{
    if (r)
        atomic_fetch_add(&counted(r)->refs, 1);
    return r;
}

void bd_recorded_unref(const struct bd_recorded *r)
{
    if (r && atomic_fetch_sub(&counted(r)->refs, 1) == 1)
        bd_free(counted(r));
}

/* ------------------------------------------------------- the whole network */

static struct bd_tensorcfg in_float(void)
{
    int row = bd_quantizer_find("uniform");
    return (struct bd_tensorcfg){.bits = 32,
                                 .quant = (uint8_t)(row < 0 ? 0 : row),
                                 .clip = BD_CLIP_MAX,
                                 .grain = BD_GRAIN_TENSOR};
}

bd_status bd_bitcfg_init(struct bd_bitcfg *c, size_t n)
{
    struct bd_layercfg *l = bd_calloc(n, sizeof *l);
    if (!l)
        return BD_ENOMEM;
    for (size_t i = 0; i < n; i++)
        l[i].w = l[i].a = in_float();
    *c = (struct bd_bitcfg){n, l};
    return BD_OK;
}

/* What a choice shares: widths per channel, planes of a bottleneck. */
static void tensorcfg_ref(const struct bd_tensorcfg *t)
{
    bd_chanbits_ref(t->channel);
    bd_planes_ref(t->planes);
}

void bd_tensorcfg_done(struct bd_tensorcfg *t)
{
    bd_chanbits_unref(t->channel);
    bd_planes_unref(t->planes);
    t->channel = NULL;
    t->planes = NULL;
}

void bd_layercfg_copy(struct bd_layercfg *to, const struct bd_layercfg *from)
{
    *to = *from;
    tensorcfg_ref(&to->w);
    tensorcfg_ref(&to->a);
    bd_recorded_ref(to->w_clip);
    bd_recorded_ref(to->a_clip);
}

void bd_layercfg_done(struct bd_layercfg *l)
{
    bd_tensorcfg_done(&l->w);
    bd_tensorcfg_done(&l->a);
    bd_recorded_unref(l->w_clip);
    bd_recorded_unref(l->a_clip);
    *l = (struct bd_layercfg){0};
}

bool bd_layercfg_same(const struct bd_layercfg *a, const struct bd_layercfg *b)
{
    return bd_tensorcfg_same(&a->w, &b->w) &&
           bd_tensorcfg_same(&a->a, &b->a) && a->locked == b->locked;
}

bd_status bd_bitcfg_copy(struct bd_bitcfg *to, const struct bd_bitcfg *from)
{
    struct bd_layercfg *l = bd_alloc(from->n, sizeof *l);
    if (!l)
        return BD_ENOMEM;
    for (size_t i = 0; i < from->n; i++)
        bd_layercfg_copy(&l[i], &from->layer[i]);
    *to = (struct bd_bitcfg){from->n, l};
    return BD_OK;
}

void bd_bitcfg_done(struct bd_bitcfg *c)
{
    for (size_t i = 0; i < c->n; i++)
        bd_layercfg_done(&c->layer[i]);
    bd_free(c->layer);
    *c = (struct bd_bitcfg){0};
}

bool bd_bitcfg_same(const struct bd_bitcfg *a, const struct bd_bitcfg *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!bd_layercfg_same(&a->layer[i], &b->layer[i]))
            return false;
    return true;
}

uint64_t bd_layercfg_digest(const struct bd_layercfg *c)
{
    uint64_t d[2] = {bd_tensorcfg_digest(&c->w), bd_tensorcfg_digest(&c->a)};
    return bd_digest(d, sizeof d, 0);
}

uint64_t bd_bitcfg_digest(const struct bd_bitcfg *c)
{
    uint64_t d = c->n;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t l = bd_layercfg_digest(&c->layer[i]);
        d = bd_digest(&l, sizeof l, d);
    }
    return d;
}

void bd_tensorcfg_set(struct bd_tensorcfg *to, const struct bd_tensorcfg *v)
{
    struct bd_tensorcfg old = *to, next = *v; /* v may be *to */
    tensorcfg_ref(&next);
    *to = next;
    bd_tensorcfg_done(&old);
}

bool bd_layercfg_set(struct bd_layercfg *l, bool weights,
                     const struct bd_tensorcfg *v)
{
    struct bd_tensorcfg *t = weights ? &l->w : &l->a;
    const struct bd_recorded **clip = weights ? &l->w_clip : &l->a_clip;
    if (bd_tensorcfg_same(t, v))
        return false;
    bd_tensorcfg_set(t, v);
    bd_recorded_unref(*clip);
    *clip = NULL;
    return true;
}
