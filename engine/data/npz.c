/* .npz and .npy: an array of pictures and one of labels.  Pictures are x,
 * images or data (also x_test, ...), as [n,c,h,w], [n,h,w,c], [n,h,w] or
 * [n,values]; labels are y, labels or targets.  A lone x.npy looks for y.npy
 * beside it.  Bytes are pictures of 0..255; floats are taken as stored, so the
 * preprocessing scales them only as far as it says. */
#include "data/data_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct npz_priv {
    struct bd_tensor x;
    bool last; /* channels last */
};

static const char *const x_names[] = {"x", "images", "data", NULL};
static const char *const y_names[] = {"y", "labels", "targets", NULL};

static bool probe(const struct data_input *in)
{
    const struct bd_file *f = &in->file;

    return f->size >= 6 && (memcmp(f->data, "PK\3\4", 4) == 0 ||
                            memcmp(f->data, "\x93NUMPY", 6) == 0);
}

/* "x", "x_test", "images", ... : a known word, then the end or '_'. */
static bool named(const char *name, const char *const *words)
{
    for (; *words; words++) {
        size_t n = strlen(*words);

        if (strncasecmp(name, *words, n) == 0 &&
            (name[n] == '\0' || name[n] == '_'))
            return true;
    }
    return false;
}

/* The first array called by one of the words, or NULL. */
static const struct bd_tensor *pick(const struct bd_npz_entry *e, size_t n,
                                    const char *const *words)
{
    for (size_t k = 0; k < n; k++) {
        if (named(e[k].name, words))
            return &e[k].t;
    }
    return NULL;
}

static bd_status refuse_shape(const struct bd_tensor *t, struct bd_err *err)
{
    char shape[128];

    bd_shape_text(shape, sizeof shape, t);
    return bd_fail(err, BD_EFORMAT,
                   "array of %s; pictures are [n,c,h,w], [n,h,w,c], [n,h,w] "
                   "or [n,values]",
                   shape);
}

/* A plausible number of colour channels. */
static bool few(int64_t c)
{
    return c == 1 || c == 3;
}

/* Settles which side is which.  Channels last only when that alone makes
 * sense: [n,3,32,3] stays channels first. */
static bd_status take_pictures(struct bd_data *d, const struct bd_tensor *x,
                               struct bd_err *err)
{
    struct npz_priv *v = d->priv;
    const int64_t *k = x->dim;

    if (x->rank < 2 || x->rank > 4 || bd_tensor_count(x) <= 0)
        return refuse_shape(x, err);
    v->x = *x;
    v->last = x->rank == 4 && few(k[3]) && !few(k[1]);
    d->n = k[0];
    d->dim[0] = x->rank < 4 ? 1 : v->last ? k[3] : k[1];
    d->dim[1] = x->rank < 3 ? 1 : x->rank == 3 || v->last ? k[1] : k[2];
    d->dim[2] = x->rank < 3 ? k[1] : x->rank == 3 || v->last ? k[2] : k[3];
    return BD_OK;
}

static bd_status take_labels(struct bd_data *d, const struct bd_tensor *y,
                             struct bd_err *err)
{
    bd_status st = BD_OK;

    if (bd_tensor_count(y) != d->n)
        return bd_fail(err, BD_EFORMAT, "%lld labels for %lld pictures",
                       (long long)bd_tensor_count(y), (long long)d->n);
    st = bd_data_alloc_labels(d, err);
    for (int64_t i = 0; i < d->n && st == BD_OK; i++) {
        if (y->f && y->f[i] != rintf(y->f[i]))
            return bd_fail(err, BD_EFORMAT, "label %lld is %g, no whole number",
                           (long long)i, (double)y->f[i]);
        if (y->f && !(fabsf(y->f[i]) < 1e9F))
            return bd_fail(err, BD_EFORMAT, "label %lld is out of range",
                           (long long)i);
        st = bd_data_set_label(d, i, y->f ? (int64_t)y->f[i] : y->i[i], 0, err);
    }
    return st;
}

/* dir/x_test.npy -> dir/y_test.npy; false if the name has no known word or
 * there is no such file. */
static bool sibling(char *out, size_t cap, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    for (int k = 0; x_names[k]; k++) {
        size_t n = strlen(x_names[k]);

        if (strncasecmp(base, x_names[k], n) != 0)
            continue;
        snprintf(out, cap, "%.*s%s%s", (int)(base - path), path, y_names[k],
                 base + n);
        return bd_file_exists(out);
    }
    return false;
}

/* A lone array of pictures is no error: it may serve for calibration. */
static bd_status labels_beside(struct bd_data *d, struct bd_err *err)
{
    char path[sizeof d->path + 8];
    struct bd_file f = {0};
    struct bd_npz_entry *e;
    size_t n;
    bd_status st;

    if (!sibling(path, sizeof path, d->path))
        return BD_OK; /* pictures alone serve as a calibration set */
    st = bd_file_map(&f, path, err);
    if (st == BD_OK)
        st = bd_npz_load(&e, &n, &d->arena, &f, err);
    if (st == BD_OK && n == 1)
        st = take_labels(d, &e[0].t, err);
    bd_file_unmap(&f);
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

static bd_status open_npz(struct bd_data *d, struct data_input *in,
                          struct bd_err *err)
{
    const struct bd_tensor *x, *y = NULL;
    struct bd_npz_entry *e;
    size_t n;
    bool lone;
    bd_status st = bd_npz_load(&e, &n, &d->arena, &in->file, err);

    if (st != BD_OK)
        return st;
    d->file = in->file; /* arrays may point into it */
    in->file = (struct bd_file){0};
    d->priv = bd_calloc(1, sizeof(struct npz_priv));
    if (!d->priv)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    lone = d->file.data[0] != 'P';
    x = lone && n == 1 ? &e[0].t : pick(e, n, x_names);
    if (!lone)
        y = pick(e, n, y_names);
    if (!x)
        return bd_fail(err, BD_EFORMAT,
                       "no array of pictures: it is called x, images or "
                       "data, its labels y, labels or targets");
    st = take_pictures(d, x, err);
    if (st != BD_OK)
        return st;
    return y ? take_labels(d, y, err) : lone ? labels_beside(d, err) : BD_OK;
}

static bd_status get_npz(struct data_picture *p, const struct bd_data *d,
                         int64_t i, struct bd_err *err)
{
    const struct npz_priv *v = d->priv;
    int64_t plane = d->dim[1] * d->dim[2], each = plane * d->dim[0];
    bd_status st = bd_picture_init(p, d->dim[0], d->dim[1], d->dim[2], err);

    if (st != BD_OK)
        return st;
    p->bytes = v->x.type == BD_U8;
    for (int64_t k = 0; k < each; k++) {
        int64_t at = v->last ? k % plane * d->dim[0] + k / plane : k;

        at += i * each;
        p->x[k] = v->x.f ? v->x.f[at] : (float)v->x.i[at];
        if (!isfinite(p->x[k]))
            return bd_fail(err, BD_EFORMAT,
                           "picture %lld holds NaN or an infinity",
                           (long long)i);
    }
    return BD_OK;
}

static void close_npz(struct bd_data *d)
{
    bd_free(d->priv);
}

const struct data_kind bd_data_npz = {
    "npz", probe, open_npz, get_npz, close_npz,
};
