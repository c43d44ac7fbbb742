/* CIFAR-10 and CIFAR-100 in the binary version: records of one label byte
 * (CIFAR-100: coarse, then fine) and 3072 bytes, red, green and blue planes of
 * 32x32.  There is no magic number; the size and the label bytes speak. */
#include "data/data_priv.h"

enum { PIXELS = 3072, REC10 = 1 + PIXELS, REC100 = 2 + PIXELS };

/* Number of the first record with a label of `limit` or more, or the count. */
static size_t bad_label(const struct bd_file *f, size_t record, size_t at,
                        unsigned limit)
{
    size_t n = f->size / record;

    for (size_t i = 0; i < n; i++) {
        if (f->data[i * record + at] >= limit)
            return i;
    }
    return n;
}

/* Both label bytes of every record in range: enough to tell the two formats
 * apart when the size fits both. */
static bool is_cifar100(const struct bd_file *f)
{
    return f->size % REC100 == 0 &&
           bad_label(f, REC100, 0, 20) == f->size / REC100 &&
           bad_label(f, REC100, 1, 100) == f->size / REC100;
}

static bool probe(const struct data_input *in)
{
    const struct bd_file *f = &in->file;

    return f->size > 0 && (f->size % REC10 == 0 || f->size % REC100 == 0);
}

static bd_status open_cifar(struct bd_data *d, struct data_input *in,
                            struct bd_err *err)
{
    const struct bd_file *f = &in->file;
    bool fine = is_cifar100(f) && f->size % REC10 != 0;
    size_t record = fine || f->size % REC10 != 0 ? REC100 : REC10;
    int64_t limit = record == REC100 ? 100 : 10;
    bd_status st;

    d->n = (int64_t)(f->size / record);
    d->classes = limit;
    d->dim[0] = 3;
    d->dim[1] = d->dim[2] = 32;
    st = bd_data_alloc_labels(d, err);
    for (int64_t i = 0; i < d->n && st == BD_OK; i++)
        st = bd_data_set_label(
            d, i, f->data[(size_t)(i + 1) * record - PIXELS - 1], limit, err);
    if (st != BD_OK)
        return st;
    d->file = in->file;
    in->file = (struct bd_file){0};
    return BD_OK;
}

static bd_status get_cifar(struct data_picture *p, const struct bd_data *d,
                           int64_t i, struct bd_err *err)
{
    size_t record = d->file.size / (size_t)d->n;
    bd_status st = bd_picture_init(p, 3, 32, 32, err);

    if (st == BD_OK)
        bd_picture_planes(p, d->file.data + (size_t)(i + 1) * record - PIXELS);
    return st;
}

const struct data_kind bd_data_cifar = {
    "cifar", probe, open_cifar, get_cifar, NULL,
};
