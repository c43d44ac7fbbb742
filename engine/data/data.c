/* One table, one row per format; content picks the row.  Opening checks all
 * that can be checked without decoding (counts, sizes, label ranges), so that
 * a fetch later fails only for a picture that is itself broken. */
#include "data/data_priv.h"

#include <limits.h>
#include <string.h>

/* Order matters: CIFAR has no magic number, so it is asked last. */
static const struct data_kind *const kinds[] = {
    &bd_data_glyphs, &bd_data_folder, &bd_data_idx,
    &bd_data_npz,    &bd_data_cifar,
};

/* The first row that knows the input by its content. */
static const struct data_kind *find_kind(const struct data_input *in)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (kinds[k]->probe(in))
            return kinds[k];
    }
    return NULL;
}

bd_status bd_data_alloc_labels(struct bd_data *d, struct bd_err *err)
{
    d->label = bd_calloc((size_t)d->n, sizeof *d->label);
    if (!d->label)
        return bd_fail(err, BD_ENOMEM, "out of memory for %lld labels",
                       (long long)d->n);
    return BD_OK;
}

bd_status bd_data_set_label(struct bd_data *d, int64_t i, int64_t label,
                            int64_t limit, struct bd_err *err)
{
    int64_t top = limit > 0 ? limit : BD_MAX_ITEMS;

    if (label < 0 || label >= top)
        return bd_fail(err, BD_EFORMAT,
                       "image %lld: label %lld, labels here are 0 to %lld",
                       (long long)i, (long long)label, (long long)top - 1);
    d->label[i] = (int)label;
    if (label >= d->classes)
        d->classes = label + 1;
    return BD_OK;
}

/* What follows the last slash; a path that ends in one has no such part. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* Slashes at the end of a folder's name are dropped, so that messages and the
 * provenance of exported documents call it by its last part. */
static void remember_name(struct bd_data *d, const char *spec)
{
    size_t n = strlen(spec);

    if (n >= sizeof d->path)
        n = sizeof d->path - 1;
    memcpy(d->path, spec, n);
    while (n > 1 && d->path[n - 1] == '/')
        n--;
    d->path[n] = '\0';
    d->name = base_name(d->path);
}

/* Folders are not mapped and synthetic sets have no file; all others are seen
 * as bytes from here on, whatever they are called. */
static bd_status open_input(struct data_input *in, const char *spec,
                            struct bd_err *err)
{
    *in = (struct data_input){.spec = spec};
    if (strncmp(spec, "synth:", 6) == 0)
        return BD_OK;
    in->dir = bd_is_dir(spec);
    if (in->dir)
        return BD_OK;
    return bd_file_map(&in->file, spec, err);
}

/* Nobody knows these bytes.  The likeliest reason, a CIFAR file cut short, is
 * in the sentence. */
static bd_status refuse(const struct data_input *in, struct bd_err *err)
{
    if (strncmp(in->spec, "synth:", 6) == 0)
        return bd_fail(err, BD_EINVALID,
                       "data set not known; built in are synth:glyphs and "
                       "synth:glyphs/train");
    if (in->file.size == 0)
        return bd_fail(err, BD_EFORMAT, "the file is empty");
    return bd_fail(err, BD_EFORMAT,
                   "%zu bytes that are no IDX, npz or npy file and no whole "
                   "number of CIFAR records of 3073 or 3074 bytes (file cut "
                   "short?)",
                   in->file.size);
}

bd_status bd_data_open(struct bd_data **out, const char *spec,
                       struct bd_err *err)
{
    struct data_input in;
    struct bd_data *d = NULL;
    struct bd_err own = {0};
    bd_status st;

    err = err ? err : &own;
    st = open_input(&in, spec, err);
    if (st != BD_OK)
        goto done;
    d = bd_calloc(1, sizeof *d);
    if (!d) {
        st = bd_fail(err, BD_ENOMEM, "out of memory");
        goto done;
    }
    remember_name(d, spec);
    d->kind = find_kind(&in);
    if (!d->kind) {
        st = refuse(&in, err);
        goto done;
    }
    st = d->kind->open(d, &in, err);
    if (st == BD_OK && d->n <= 0)
        st = bd_fail(err, BD_EFORMAT, "no images in it");
done:
    bd_file_unmap(&in.file); /* zeroed when the set took it over */
    if (st == BD_OK) {
        *out = d;
        return BD_OK;
    }
    bd_data_free(d);
    return bd_err_file(err, spec);
}

void bd_data_free(struct bd_data *d)
{
    if (!d)
        return;
    if (d->kind && d->kind->close)
        d->kind->close(d);
    bd_file_unmap(&d->file);
    bd_free(d->label);
    bd_arena_done(&d->arena);
    bd_free(d);
}

const char *bd_data_name(const struct bd_data *d)
{
    return d->name;
}

int64_t bd_data_count(const struct bd_data *d)
{
    return d->n;
}

int64_t bd_data_classes(const struct bd_data *d)
{
    return d->classes;
}

int bd_data_label(const struct bd_data *d, int64_t i)
{
    if (!d->label || i < 0 || i >= d->n)
        return -1;
    return d->label[i];
}

void bd_data_shape(const struct bd_data *d, int64_t dim[3])
{
    memcpy(dim, d->dim, sizeof d->dim);
}

/* -------------------------------------------------------------- fetching */

/* The side of a square picture with c channels and `want` values, or 0. */
static int square_side(size_t want, int c)
{
    for (int side = 1; side <= BD_MAX_PICTURE_SIDE; side++) {
        size_t n = (size_t)side * (size_t)side * (size_t)c;

        if (n == want)
            return side;
        if (n > want)
            break;
    }
    return 0;
}

/* Resize and crop, in that order, as every training pipeline has it. */
static bd_status fit_size(struct data_picture *p, const struct bd_prep *prep,
                          size_t want, struct bd_err *err)
{
    int crop = prep->crop;
    bd_status st = bd_picture_resize(p, prep->resize, err);

    if (st != BD_OK)
        return st;
    if (crop == DATA_CROP_NET) {
        crop = square_side(want, p->c);
        if (crop == 0) /* the channels are fitted later */
            crop = square_side(want, p->c == 1 ? 3 : 1);
    }
    return bd_picture_crop(p, crop, err);
}

/* Grey for colour networks and colour for grey ones, when that is all that
 * stands between them. */
static bd_status fit_channels(struct data_picture *p, size_t want,
                              struct bd_err *err)
{
    size_t plane = (size_t)p->h * (size_t)p->w;

    if (p->c == 1 && want == 3 * plane)
        return bd_picture_channels(p, 3, err);
    if (p->c == 3 && want == plane)
        return bd_picture_channels(p, 1, err);
    if ((size_t)p->c * plane != want)
        return bd_fail(err, BD_EINVALID,
                       "pictures are %dx%dx%d (%zu values), the network "
                       "takes %zu",
                       p->c, p->h, p->w, (size_t)p->c * plane, want);
    return BD_OK;
}

/* Scale, mean, deviation and order of channels.  In double and rounded once:
 * the same number whatever the compiler makes of the expression. */
static void finish(float *dst, const struct data_picture *p,
                   const struct bd_prep *prep)
{
    size_t plane = (size_t)p->h * (size_t)p->w;

    for (int k = 0; k < p->c; k++) {
        int from = prep->bgr && p->c == 3 ? 2 - k : k;
        int row = p->c == 3 ? k : 0; /* grey uses the first mean */
        double mean = prep->mean[row], std = prep->std[row];
        const float *x = p->x + (size_t)from * plane;

        for (size_t i = 0; i < plane; i++)
            dst[(size_t)k * plane + i] =
                (float)(((double)x[i] * prep->scale - mean) / std);
    }
}

bd_status bd_data_fetch(const struct bd_data *d, const struct bd_prep *prep,
                        int64_t i, float *dst, size_t want, struct bd_err *err)
{
    struct data_picture p = {0};
    struct bd_err own = {0};
    bd_status st;

    err = err ? err : &own;
    if (i < 0 || i >= d->n)
        return bd_fail(err, BD_EINVALID, "image %lld of %lld", (long long)i,
                       (long long)d->n);
    st = d->kind->get(&p, d, i, err);
    if (st == BD_OK)
        st = fit_size(&p, prep, want, err);
    if (st == BD_OK)
        st = fit_channels(&p, want, err);
    if (st == BD_OK)
        finish(dst, &p, prep);
    bd_picture_done(&p);
    return st == BD_OK ? BD_OK : bd_err_file(err, d->path);
}

/* ---------------------------------------------------------- augmentation */

/* One plane moved by (dy, dx) pixels, mirrored first if asked; what comes in
 * from outside is 0, as if the picture had a border of padding. */
static void shift_plane(float *dst, const float *src, const int64_t hw[2],
                        const int64_t move[2], bool mirror)
{
    for (int64_t y = 0; y < hw[0]; y++) {
        for (int64_t x = 0; x < hw[1]; x++) {
            int64_t sy = y + move[0], sx = x + move[1];
            bool in = sy >= 0 && sy < hw[0] && sx >= 0 && sx < hw[1];

            if (mirror)
                sx = hw[1] - 1 - sx;
            dst[y * hw[1] + x] = in ? src[sy * hw[1] + sx] : 0.0F;
        }
    }
}

void bd_data_augment(float *x, const int64_t dim[3], bool flip,
                     struct bd_rng *r)
{
    int64_t move[2] = {(int64_t)bd_rng_below(r, 9) - 4,
                       (int64_t)bd_rng_below(r, 9) - 4};
    bool mirror = flip && (bd_rng_u64(r) & 1) != 0;
    size_t plane = (size_t)(dim[1] * dim[2]);
    float *tmp = bd_alloc(plane, sizeof *tmp);

    if (!tmp)
        return; /* an unaugmented picture is still a valid sample */
    for (int64_t c = 0; c < dim[0]; c++) {
        float *p = x + (size_t)c * plane;

        shift_plane(tmp, p, dim + 1, move, mirror);
        memcpy(p, tmp, plane * sizeof *tmp);
    }
    bd_free(tmp);
}
