/* One pass over the calibration images, in which every layer's input is
 * counted as a whole, channel by channel, and batch by batch.
 *
 * Workers share the statistics of a layer under its lock instead of keeping
 * their own: memory does not grow with threads, and counting in whole numbers
 * makes the order of images irrelevant.  Workers soon spread over the layers,
 * so they rarely wait.
 *
 * Memory: channels with statistics are limited over the network (CHANNELS);
 * layers that do not fit, widest last, have none and one grid only. */
#include "session/session_priv.h"

enum {
    CHANNELS = 65536,  /* with statistics of their own; 1 GB at worst */
    BATCH = 16,        /* images of one batch of the moving average */
    BATCHES = 256      /* at most: larger sets have larger batches */
};

static const char out_of_memory[] = "out of memory for the calibration";

struct watch { /* what all workers share */
    struct bd_bench *b;
    struct bd_actstat **stat;  /* [nlayers] */
    struct bd_chanstat **chan; /* [nlayers], or NULL there */
    pthread_mutex_t *lock;     /* [nlayers] */
    size_t n, locks;
    int64_t per; /* images of a batch */
};

struct worker {
    struct watch *w;
    int64_t first, n; /* images whose values come next */
};

static void free_stats(struct bd_actstat **s, struct bd_chanstat **c, size_t n)
{
    for (size_t i = 0; s && i < n; i++)
        bd_actstat_free(s[i]);
    for (size_t i = 0; c && i < n; i++)
        bd_chanstat_free(c[i]);
    bd_free(s);
    bd_free(c);
}

void bd_bench_forget(struct bd_bench *b)
{
    free_stats(b->stat, b->chan, b->o.m->nlayers);
    b->stat = NULL;
    b->chan = NULL;
}

/* ------------------------------------------------------------- counting */
/* Image by image: the first dimension holds one after the other. */
static void count(const struct worker *me, int layer,
                  const struct bd_tensor *in)
{
    struct watch *w = me->w;
    int64_t n = in->rank > 0 && in->dim[0] % me->n == 0 ? me->n : 1;
    int64_t each = bd_tensor_count(in) / n;
    struct bd_tensor one = *in;
    if (n > 1)
        one.dim[0] /= n;
    struct bd_slices s = bd_graph_input_slices(w->b->o.m, layer, &one);
    for (int64_t i = 0; i < n; i++) {
        int batch = (int)((me->first + i) / w->per);
        const float *x = in->f + i * each;
        bd_actstat_add_batch(w->stat[layer], x, (size_t)each, batch);
        if (w->chan[layer])
            bd_chanstat_add(w->chan[layer], x, s, batch);
    }
}

static void observe(void *arg, int layer, const struct bd_tensor *in,
                    const struct bd_tensor *out)
{
    const struct worker *me = arg;
    (void)out;
    pthread_mutex_lock(&me->w->lock[layer]);
    count(me, layer, in);
    pthread_mutex_unlock(&me->w->lock[layer]);
}

static void begin(void *arg, int64_t first, int64_t n)
{
    struct worker *me = arg;
    me->first = first;
    me->n = n;
}

/* -------------------------------------------------------------- the pass */
static int64_t channels_of(const struct bd_bench *b, size_t layer)
{
    int v = b->o.m->layer[layer].input;
    if (v < 0)
        return 0;
    return bd_graph_input_slices(b->o.m, (int)layer,
                                 bd_plan_value(bd_bench_plan(b), v)).channels;
}

/* Narrow layers first: the widest channel count up to which all fit. */
static int64_t widest(const struct watch *w)
{
    int64_t most = INT64_MAX;
    for (;;) {
        int64_t sum = 0, top = 0;
        for (size_t i = 0; i < w->n; i++) {
            int64_t c = channels_of(w->b, i);
            if (c > most)
                continue;
            sum = sum > CHANNELS ? sum : sum + c;
            top = c > top ? c : top;
        }
        if (sum <= CHANNELS)
            return most;
        most = top - 1;
    }
}

static bool open_layer(struct watch *w, size_t i, int batches, int64_t most)
{
    int64_t c = channels_of(w->b, i);
    w->stat[i] = bd_actstat_new();
    if (!w->stat[i] || !bd_actstat_batches(w->stat[i], batches))
        return false;
    if (c < 1 || c > most)
        return true;
    w->chan[i] = bd_chanstat_new(c, batches);
    return w->chan[i] != NULL;
}

static bool open_watch(struct watch *w)
{
    int64_t images = w->b->o.calib_images;
    w->per = (images + BATCHES - 1) / BATCHES;
    if (w->per < BATCH)
        w->per = BATCH;
    int batches = (int)((images + w->per - 1) / w->per);
    w->stat = bd_calloc(w->n, sizeof *w->stat);
    w->chan = bd_calloc(w->n, sizeof *w->chan);
    w->lock = bd_calloc(w->n, sizeof *w->lock);
    if (!w->stat || !w->chan || !w->lock)
        return false;
    for (; w->locks < w->n; w->locks++)
        pthread_mutex_init(&w->lock[w->locks], NULL);
    int64_t most = widest(w);
    for (size_t i = 0; i < w->n; i++)
        if (!open_layer(w, i, batches, most))
            return false;
    return true;
}

static void close_watch(struct watch *w)
{
    for (size_t i = 0; i < w->locks; i++)
        pthread_mutex_destroy(&w->lock[i]);
    bd_free(w->lock);
    free_stats(w->stat, w->chan, w->n);
}

static bd_status pass(struct watch *w, struct bd_ctl *ctl, struct bd_err *err)
{
    const struct bd_bench *b = w->b;
    size_t workers = (size_t)bd_pool_threads(b->o.pool);
    struct worker *me = bd_calloc(workers, sizeof *me);
    void **arg = bd_calloc(workers, sizeof *arg);
    float *out = bd_alloc((size_t)(b->o.calib_images * b->outputs),
                          sizeof *out);
    bd_status st = me && arg && out ? BD_OK
                                    : bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < workers && st == BD_OK; i++) {
        me[i].w = w;
        arg[i] = &me[i];
    }
    struct bd_runner_run run = {.images = b->o.calib_images,
                                .observe = observe, .observe_arg = arg,
                                .begin = begin, .no_cache = true};
    if (st == BD_OK)
        st = bd_runner_run(b->calib, &run, out, ctl, err);
    bd_free(me);
    bd_free(arg);
    bd_free(out);
    return st;
}

bd_status bd_bench_pass(struct bd_bench *b, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    struct watch w = {.b = b, .n = b->o.m->nlayers};
    bd_status st = open_watch(&w) ? pass(&w, ctl, err)
                                  : bd_fail(err, BD_ENOMEM, out_of_memory);
    if (st == BD_OK) {
        b->stat = w.stat;
        b->chan = w.chan;
        w.stat = NULL;
        w.chan = NULL;
        atomic_store_explicit(&b->calibrated, true, memory_order_release);
    }
    close_watch(&w);
    return st;
}

/* ---------------------------------------------------------------- asking */
const struct bd_actstat *bd_bench_stat(const struct bd_bench *b, int layer)
{
    return atomic_load_explicit(&b->calibrated, memory_order_acquire)
               ? b->stat[layer]
               : NULL;
}

const struct bd_chanstat *bd_bench_chanstat(const struct bd_bench *b,
                                            int layer)
{
    bool done = atomic_load_explicit(&b->calibrated, memory_order_acquire);
    const struct bd_chanstat *c = done ? b->chan[layer] : NULL;
    return c && bd_chanstat_at(c, 0) ? c : NULL;
}

struct bd_calib_input bd_bench_input(const struct bd_bench *b, int layer)
{
    return (struct bd_calib_input){bd_bench_stat(b, layer),
                                   bd_bench_chanstat(b, layer),
                                   b->o.m->layer[layer].learned_a, NULL};
}
