/* Preprocessed pictures for the runner.  Decoding a JPEG costs more than
 * many a network, and every edit runs the same pictures again, so they are
 * kept once decoded while they fit into a fixed budget.
 *
 * A picture's flag is published after its pixels (release), so a reader that
 * sees it (acquire) sees them; two threads decoding the same picture write
 * the same bytes, but to be well-defined only one may: the flag's middle
 * state claims the slot, and the loser decodes into its own buffer. */
#include "session/session_priv.h"

#include <string.h>

enum { EMPTY, BUSY, READY };
static const size_t budget = (size_t)256 << 20;

struct bd_pixels {
    const struct bd_data *data;
    struct bd_prep prep;
    int64_t first, n;
    size_t elements;
    float *kept;        /* [n, elements] or NULL */
    atomic_char *state; /* [n] */
};

bd_status bd_pixels_new(struct bd_pixels **out, const struct bd_bench_opts *o,
                        const struct bd_data *d, int64_t first, int64_t n)
{
    struct bd_pixels *p = bd_calloc(1, sizeof *p);
    size_t all;
    if (!p)
        return BD_ENOMEM;
    *p = (struct bd_pixels){.data = d, .prep = o->prep, .first = first,
                            .n = n, .elements = o->elements};
    if (bd_mul(&all, (size_t)n, o->elements) &&
        bd_mul(&all, all, sizeof(float)) && all <= budget) {
        p->kept = bd_alloc(all, 1);
        p->state = bd_calloc((size_t)n, sizeof *p->state);
        if (!p->kept || !p->state) { /* does without */
            bd_free(p->kept);
            bd_free(p->state);
            p->kept = NULL;
            p->state = NULL;
        }
    }
    *out = p;
    return BD_OK;
}

void bd_pixels_free(struct bd_pixels *p)
{
    if (!p)
        return;
    bd_free(p->kept);
    bd_free(p->state);
    bd_free(p);
}

static bd_status fetch_one(struct bd_pixels *p, int64_t i, float *dst,
                           struct bd_err *err)
{
    size_t bytes = p->elements * sizeof(float);
    char empty = EMPTY;
    if (p->kept && atomic_load_explicit(&p->state[i], memory_order_acquire) ==
                       READY) {
        memcpy(dst, p->kept + (size_t)i * p->elements, bytes);
        return BD_OK;
    }
    bd_status st = bd_data_fetch(p->data, &p->prep, p->first + i, dst,
                                 p->elements, err);
    if (st == BD_OK && p->kept &&
        atomic_compare_exchange_strong(&p->state[i], &empty, BUSY)) {
        memcpy(p->kept + (size_t)i * p->elements, dst, bytes);
        atomic_store_explicit(&p->state[i], READY, memory_order_release);
    }
    return st;
}

bd_status bd_pixels_fetch(void *pixels, int64_t first, int64_t n, float *dst,
                          struct bd_err *err)
{
    struct bd_pixels *p = pixels;
    bd_status st = BD_OK;
    for (int64_t k = 0; k < n && st == BD_OK; k++)
        st = fetch_one(p, first + k, dst + (size_t)k * p->elements, err);
    return st;
}
