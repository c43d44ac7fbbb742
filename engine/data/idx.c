/* IDX, the format of MNIST: big-endian header 00 00 TYPE RANK, RANK extents,
 * then the values.  Pictures and labels come as two files whose names differ
 * in "images"/"labels" and "idx3"/"idx1"; either may be gzipped.  A gzipped
 * file is inflated to exactly the size its own header asks for, never more. */
#include "data/data_priv.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { IDX_U8 = 0x08, HEADER_MAX = 16 };

struct idx {
    int rank;
    int64_t dim[3]; /* 1 beyond rank */
    const uint8_t *data;
    size_t bytes;
};

struct idx_priv {
    struct idx images;
    uint8_t *inflated; /* owned, NULL when the file was plain */
};

/* The shortest gzip file has 18 bytes around its data. */
static bool is_gzip(const struct bd_file *f)
{
    return f->size > 18 && f->data[0] == 0x1f && f->data[1] == 0x8b;
}

/* The magic number: two zeros, a known type, a sensible rank. */
static bool is_idx(const uint8_t *p, size_t n)
{
    return n >= 8 && p[0] == 0 && p[1] == 0 && p[2] >= IDX_U8 && p[2] <= 0x0e &&
           p[3] >= 1 && p[3] <= 4;
}

struct inflated {
    size_t got;
    bool ended; /* reached the stream's end, and its checksum is right */
};

/* Inflates the first `want` bytes; got may be less when the stream ends. */
static bd_status inflate_to(uint8_t *dst, size_t want, struct inflated *in,
                            const struct bd_file *f, struct bd_err *err)
{
    z_stream z = {0};
    int rc;

    *in = (struct inflated){0};
    if (f->size > UINT32_MAX || want > UINT32_MAX)
        return bd_fail(err, BD_EUNSUPPORTED, "gzip data beyond 4 GiB");
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory for inflating");
    z.next_in = (z_const Bytef *)(uintptr_t)f->data; /* zlib only reads it */
    z.avail_in = (uInt)f->size;
    z.next_out = dst;
    z.avail_out = (uInt)want;
    rc = inflate(&z, Z_SYNC_FLUSH);
    in->got = want - z.avail_out;
    in->ended = rc == Z_STREAM_END;
    inflateEnd(&z);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return bd_fail(err, BD_EFORMAT, "damaged gzip data after %zu bytes",
                       in->got);
    return BD_OK;
}

/* Header of an IDX file at p[0..n); x->bytes is what the values need. */
static bd_status parse_header(struct idx *x, const uint8_t *p, size_t n,
                              struct bd_err *err)
{
    struct bd_reader r = {p, n, 4};
    int64_t count;
    bd_status st;

    *x = (struct idx){.dim = {1, 1, 1}};
    if (!is_idx(p, n))
        return bd_fail(err, BD_EFORMAT, "no IDX header");
    if (p[2] != IDX_U8)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "IDX type 0x%02x; only bytes (0x08) are read", p[2]);
    x->rank = p[3];
    if (x->rank > 3)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "IDX of %d dimensions; 1 (labels) and 3 (pictures) "
                       "are read",
                       x->rank);
    for (int k = 0; k < x->rank; k++) {
        uint32_t v;

        if (!bd_take_u32be(&r, &v))
            return bd_fail(err, BD_EFORMAT, "IDX header cut short");
        x->dim[k] = v;
    }
    st = bd_shape_check(&count, x->dim, x->rank, err);
    x->bytes = (size_t)count;
    return st;
}

static bd_status short_data(size_t have, size_t need, struct bd_err *err)
{
    return bd_fail(err, BD_EFORMAT,
                   "%zu bytes of values, the IDX header needs %zu (file cut "
                   "short?)",
                   have, need);
}

/* The whole of a gzipped file into `need` bytes.  Room for one more tells
 * whether more would come, and lets zlib see the end and its checksum. */
static bd_status inflate_whole(uint8_t **owned, size_t need, size_t start,
                               const struct bd_file *f, struct bd_err *err)
{
    struct inflated in;
    bd_status st;

    *owned = bd_alloc(need + 1, 1);
    if (!*owned)
        return bd_fail(err, BD_ENOMEM, "out of memory for %zu bytes", need);
    st = inflate_to(*owned, need + 1, &in, f, err);
    if (st == BD_OK && in.got > need)
        return bd_fail(err, BD_EFORMAT,
                       "more than the %zu bytes of values that the IDX "
                       "header announces",
                       need - start);
    if (st == BD_OK && in.got < need)
        return short_data(in.got > start ? in.got - start : 0, need - start,
                          err);
    if (st == BD_OK && !in.ended)
        return bd_fail(err, BD_EFORMAT,
                       "gzip data without its end (file cut short?)");
    return st;
}

/* Values of a plain or gzipped IDX file.  *owned is set when they had to be
 * inflated; otherwise x->data points into f. */
static bd_status read_idx(struct idx *x, uint8_t **owned,
                          const struct bd_file *f, struct bd_err *err)
{
    uint8_t head[HEADER_MAX];
    size_t start, need;
    struct inflated in = {.got = f->size < HEADER_MAX ? f->size : HEADER_MAX};
    bd_status st = BD_OK;

    *owned = NULL;
    if (is_gzip(f))
        st = inflate_to(head, HEADER_MAX, &in, f, err);
    else
        memcpy(head, f->data, in.got);
    if (st == BD_OK)
        st = parse_header(x, head, in.got, err);
    if (st != BD_OK)
        return st;
    start = 4 + 4 * (size_t)x->rank;
    need = start + x->bytes;
    if (!is_gzip(f)) {
        if (f->size != need)
            return short_data(f->size - start, x->bytes, err);
        x->data = f->data + start;
        return BD_OK;
    }
    /* Deflate cannot shrink more than 1032 to 1: a header that asks for more
     * than that lies, and nothing is allocated for it. */
    if (need > BD_MAX_INFLATED || need / 1040 > f->size)
        return short_data(f->size, x->bytes, err);
    st = inflate_whole(owned, need, start, f, err);
    if (st == BD_OK)
        x->data = *owned + start;
    return st;
}

/* ---------------------------------------------------------------- labels */

/* Replaces a word within the last part of a path; s holds cap bytes. */
static void replace(char *s, size_t cap, const char *from, const char *to)
{
    char *slash = strrchr(s, '/'), *at = strstr(slash ? slash : s, from);
    char tail[512];

    if (!at)
        return;
    snprintf(tail, sizeof tail, "%s", at + strlen(from));
    snprintf(at, cap - (size_t)(at - s), "%s%s", to, tail);
}

/* Turns the name of the pictures into that of the labels, with or without
 * .gz, whichever exists.  false: no such file. */
static bool labels_path(char *out, size_t cap, const char *images)
{
    size_t n;

    if (strlen(images) + 8 > cap)
        return false;
    snprintf(out, cap, "%s", images);
    replace(out, cap, "images", "labels");
    replace(out, cap, "idx3", "idx1");
    if (strcmp(out, images) == 0)
        return false;
    if (bd_file_exists(out))
        return true;
    n = strlen(out);
    if (n > 3 && strcmp(out + n - 3, ".gz") == 0)
        out[n - 3] = '\0';
    else
        memcpy(out + n, ".gz", 4);
    return bd_file_exists(out);
}

/* One byte each; the range is checked where all labels are. */
static bd_status take_labels(struct bd_data *d, const struct idx *y,
                             struct bd_err *err)
{
    bd_status st;

    if (y->rank != 1)
        return bd_fail(err, BD_EFORMAT, "%d dimensions, labels have one",
                       y->rank);
    if (y->dim[0] != d->n)
        return bd_fail(err, BD_EFORMAT, "%lld labels for %lld pictures",
                       (long long)y->dim[0], (long long)d->n);
    st = bd_data_alloc_labels(d, err);
    for (int64_t i = 0; i < d->n && st == BD_OK; i++)
        st = bd_data_set_label(d, i, y->data[i], 256, err);
    return st;
}

static bd_status read_labels(struct bd_data *d, struct bd_err *err)
{
    char path[sizeof d->path + 8];
    struct bd_file f = {0};
    uint8_t *owned = NULL;
    struct idx y;
    bd_status st;

    if (!labels_path(path, sizeof path, d->path))
        return bd_fail(err, BD_EFORMAT,
                       "no labels beside it: the name of a pair differs in "
                       "images-idx3/labels-idx1");
    st = bd_file_map(&f, path, err);
    if (st == BD_OK)
        st = read_idx(&y, &owned, &f, err);
    if (st == BD_OK)
        st = take_labels(d, &y, err);
    bd_free(owned);
    bd_file_unmap(&f);
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

/* ---------------------------------------------------------- the data set */

static bool probe(const struct data_input *in)
{
    uint8_t head[8];
    struct inflated got;

    if (is_gzip(&in->file))
        return inflate_to(head, sizeof head, &got, &in->file, NULL) == BD_OK &&
               is_idx(head, got.got);
    return in->file.size >= 8 && is_idx(in->file.data, in->file.size);
}

static bd_status open_idx(struct bd_data *d, struct data_input *in,
                          struct bd_err *err)
{
    struct idx_priv *v = bd_calloc(1, sizeof *v);
    bd_status st;

    if (!v)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    d->priv = v;
    st = read_idx(&v->images, &v->inflated, &in->file, err);
    if (st != BD_OK)
        return st;
    if (v->images.rank != 3)
        return bd_fail(err, BD_EFORMAT,
                       "labels or a plain list, not pictures; name the "
                       "images-idx3 file");
    if (!v->inflated) {
        d->file = in->file;
        in->file = (struct bd_file){0};
    }
    d->n = v->images.dim[0];
    d->dim[0] = 1;
    d->dim[1] = v->images.dim[1];
    d->dim[2] = v->images.dim[2];
    return read_labels(d, err);
}

static bd_status get_idx(struct data_picture *p, const struct bd_data *d,
                         int64_t i, struct bd_err *err)
{
    const struct idx_priv *v = d->priv;
    bd_status st = bd_picture_init(p, 1, d->dim[1], d->dim[2], err);

    if (st == BD_OK)
        bd_picture_planes(p, v->images.data + i * d->dim[1] * d->dim[2]);
    return st;
}

/* The mapped file itself belongs to the set and goes with it. */
static void close_idx(struct bd_data *d)
{
    struct idx_priv *v = d->priv;

    if (v)
        bd_free(v->inflated);
    bd_free(v);
}

const struct data_kind bd_data_idx = {
    "idx", probe, open_idx, get_idx, close_idx,
};
