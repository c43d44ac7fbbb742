/* The feature of some images: the front end runs once per image, over the
 * pool, and each channel's values end up side by side, as the searches of
 * the table want them. */
#include "feature/feature.h"

#include <math.h>
#include <stdatomic.h>
#include <pthread.h>
#include <string.h>

struct collect {
    struct bd_feature *f;
    const struct bd_split *s;
    const struct bd_source *src;
    struct bd_feature_work w;
    struct bd_exec **exec; /* [workers] */
    int64_t base;          /* of this slice */
    atomic_llong done;
    pthread_mutex_t lock; /* of the first error */
    bd_status status;
    struct bd_err err;
};

static bd_status store(const struct collect *k, const struct bd_tensor *v,
                       int64_t image, struct bd_err *err)
{
    const struct bd_feature *f = k->f;
    size_t size = (size_t)f->size;

    for (int64_t i = 0; i < f->channels * f->size; i++)
        if (!isfinite(v->f[i]))
            return bd_fail(err, BD_EFORMAT,
                           "image %lld gives values that are not numbers at "
                           "the split",
                           (long long)image);
    for (int64_t c = 0; c < f->channels; c++)
        memcpy(f->x + (size_t)(c * f->images + image) * size,
               v->f + (size_t)c * size, size * sizeof *v->f);
    return BD_OK;
}

static bool one_image(void *arg, int64_t index, int worker)
{
    struct collect *k = arg;
    struct bd_exec *e = k->exec[worker];
    struct bd_err err = {0};
    int64_t i = k->base + index;
    bd_status st = k->src->fetch(k->src->arg, i, 1, bd_exec_input(e, 0), &err);

    if (st == BD_OK)
        st = bd_exec_run_part(e, NULL, 0, k->s->from, &err);
    if (st == BD_OK)
        st = store(k, bd_exec_value(e, k->s->value), i, &err);
    if (st == BD_OK) {
        bd_ctl_progress(k->w.ctl, atomic_fetch_add(&k->done, 1) + 1,
                        k->f->images);
        return true;
    }
    pthread_mutex_lock(&k->lock);
    if (k->status == BD_OK) {
        k->status = st;
        k->err = err;
    }
    pthread_mutex_unlock(&k->lock);
    return false;
}

/* A slice is one image per thread, so that others may have the pool soon. */
static bd_status all_images(struct collect *k, int threads, struct bd_err *err)
{
    for (int64_t n; k->base < k->f->images; k->base += n) {
        n = k->f->images - k->base < threads ? k->f->images - k->base : threads;
        if (bd_ctl_stale(k->w.ctl))
            return bd_fail(err, BD_ECANCELLED, "stopped");
        if (k->w.pool)
            bd_pool_for(k->w.pool, n, one_image, k);
        else
            one_image(k, 0, 0);
        if (k->status != BD_OK) {
            if (err && err->code == BD_OK)
                *err = k->err;
            return k->status;
        }
    }
    return BD_OK;
}

static bd_status room(struct bd_feature *f, const struct bd_split *s,
                      int64_t images, struct bd_err *err)
{
    size_t n;

    *f = (struct bd_feature){s->channels, images, s->size, NULL};
    if (bd_mul(&n, (size_t)(s->channels * s->size), (size_t)images))
        f->x = bd_alloc(n, sizeof *f->x);
    return f->x ? BD_OK
                : bd_fail(err, BD_ENOMEM,
                          "out of memory for the feature of %lld images; "
                          "--limit takes fewer",
                          (long long)images);
}

bd_status bd_feature_collect(struct bd_feature *out, const struct bd_split *s,
                             const struct bd_source *src,
                             struct bd_feature_work w, struct bd_err *err)
{
    int threads = w.pool ? bd_pool_threads(w.pool) : 1;
    struct bd_feature f = {0};
    struct collect k = {.f = &f, .s = s, .src = src, .w = w};
    bd_status st = room(&f, s, src->images, err);

    pthread_mutex_init(&k.lock, NULL);
    k.exec = bd_calloc((size_t)threads, sizeof *k.exec);
    if (st == BD_OK && !k.exec)
        st = bd_fail(err, BD_ENOMEM, "out of memory for the front end");
    for (int i = 0; i < threads && st == BD_OK; i++)
        st = bd_exec_new(&k.exec[i], s->plan, err);
    if (st == BD_OK)
        st = all_images(&k, threads, err);
    for (int i = 0; k.exec && i < threads; i++)
        bd_exec_free(k.exec[i]);
    bd_free(k.exec);
    pthread_mutex_destroy(&k.lock);
    if (st == BD_OK)
        *out = f;
    else
        bd_feature_done(&f);
    return st;
}

void bd_feature_done(struct bd_feature *f)
{
    bd_free(f->x);
    *f = (struct bd_feature){0};
}
