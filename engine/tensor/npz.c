/* .npy and .npz.  An .npz is a zip archive of .npy files.  The central
 * directory at the end is the only truth: sizes in local headers may be
 * absent or lie (NumPy writes 64-bit extra fields there), so they are used
 * only to find where the data begins.  Every stored range must lie before
 * the directory and no two may overlap; checksums are verified.
 *
 * Little-endian float32 and int64 in C order are used where they lie when
 * their address allows; everything else is converted into the arena. */
#include "tensor/npz_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    ZIP_END = 0x06054b50,
    ZIP_END64 = 0x06064b50,
    ZIP_LOC64 = 0x07064b50,
    ZIP_ENTRY = 0x02014b50,
    ZIP_LOCAL = 0x04034b50,
    END_SIZE = 22,
    LOC64_SIZE = 20,
    END64_SIZE = 56,
    ENTRY_SIZE = 46,
    LOCAL_SIZE = 30,
    MAX_COMMENT = 65535
};

struct member {
    const uint8_t *name;
    size_t nname;
    uint64_t packed, plain, local; /* sizes, place of the local header */
    uint32_t crc;
    int method;
    const uint8_t *data;
    size_t end; /* of the data, for the overlap check */
};

struct zip {
    const struct bd_file *f;
    struct bd_arena *a;
    uint64_t count, dir, dir_size; /* the central directory */
    struct member *m;
    size_t inflated; /* bytes unpacked so far */
};

static bd_status broken(struct bd_err *err, const char *what)
{
    return bd_fail(err, BD_EFORMAT, "zip archive: %s", what);
}

static uint64_t le(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int k = n - 1; k >= 0; k--)
        v = v << 8 | p[k];
    return v;
}

/* --------------------------------------------------------------- directory */

/* The end record is the last thing in the file but for a comment whose
 * length it states: nothing may follow, nothing may precede. */
static const uint8_t *find_end(const struct bd_file *f)
{
    if (f->size < END_SIZE)
        return NULL;
    size_t from = f->size - END_SIZE;
    for (size_t back = 0; back <= MAX_COMMENT && back <= from; back++) {
        const uint8_t *p = f->data + from - back;
        if (le(p, 4) == ZIP_END && le(p + 20, 2) == back)
            return p;
    }
    return NULL;
}

/* Large archives put the real numbers into a second record. */
static bool read_end64(struct zip *z, size_t *end)
{
    if (*end < LOC64_SIZE + END64_SIZE)
        return false;
    const uint8_t *loc = z->f->data + *end - LOC64_SIZE;
    if (le(loc, 4) != ZIP_LOC64)
        return false;
    uint64_t at = le(loc + 8, 8);
    if (at > *end - LOC64_SIZE - END64_SIZE)
        return false;
    const uint8_t *p = z->f->data + at;
    if (le(p, 4) != ZIP_END64 || le(p + 4, 8) < END64_SIZE - 12)
        return false;
    z->count = le(p + 32, 8);
    z->dir_size = le(p + 40, 8);
    z->dir = le(p + 48, 8);
    *end = (size_t)at;
    return true;
}

static bd_status find_directory(struct zip *z, struct bd_err *err)
{
    const uint8_t *p = find_end(z->f);
    if (!p)
        return broken(err, "its directory is missing (file cut short?)");
    size_t end = (size_t)(p - z->f->data);
    z->count = le(p + 10, 2);
    z->dir_size = le(p + 12, 4);
    z->dir = le(p + 16, 4);
    bool big =
        z->count == 0xffff || z->dir_size == 0xffffffff || z->dir == 0xffffffff;
    if (big && !read_end64(z, &end))
        return broken(err, "its 64-bit directory is broken");
    if (le(p + 4, 2) || le(p + 6, 2) || le(p + 8, 2) != le(p + 10, 2))
        return broken(err, "it spans several disks");
    if (z->dir > end || z->dir_size != end - z->dir)
        return broken(err, "bytes before or after it do not belong to it");
    if (z->count > z->dir_size / ENTRY_SIZE || z->count > BD_MAX_ITEMS)
        return broken(err, "it claims more files than its directory holds");
    return BD_OK;
}

/* 64-bit sizes hide in an extra field, only those that did not fit. */
static bool read_extra64(struct member *m, const uint8_t *p, size_t n)
{
    uint64_t *want[] = {&m->plain, &m->packed, &m->local};
    while (n >= 4) {
        size_t id = (size_t)le(p, 2), len = (size_t)le(p + 2, 2);
        if (len > n - 4)
            return false;
        const uint8_t *q = p + 4;
        size_t left = len;
        for (int k = 0; id == 1 && k < 3; k++) {
            if (*want[k] != 0xffffffff)
                continue;
            if (left < 8)
                return false;
            *want[k] = le(q, 8);
            q += 8;
            left -= 8;
        }
        p += 4 + len;
        n -= 4 + len;
    }
    return true;
}

static bd_status read_entry(struct zip *z, struct bd_reader *r,
                            struct member *m, struct bd_err *err)
{
    const uint8_t *p = bd_take(r, ENTRY_SIZE);
    if (!p || le(p, 4) != ZIP_ENTRY)
        return broken(err, "its directory is broken");
    size_t extra = (size_t)le(p + 30, 2), note = (size_t)le(p + 32, 2);
    m->method = (int)le(p + 10, 2);
    m->crc = (uint32_t)le(p + 16, 4);
    m->packed = le(p + 20, 4);
    m->plain = le(p + 24, 4);
    m->local = le(p + 42, 4);
    m->nname = (size_t)le(p + 28, 2);
    m->name = bd_take(r, m->nname);
    const uint8_t *x = bd_take(r, extra);
    if (!m->name || !x || !bd_take(r, note) || !read_extra64(m, x, extra))
        return broken(err, "its directory is broken");
    if (le(p + 8, 2) & 1)
        return bd_fail(err, BD_EUNSUPPORTED, "zip archive: it is encrypted");
    if (m->method != 0 && m->method != 8)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "zip archive: packing method %d is not read", m->method);
    if (memchr(m->name, 0, m->nname))
        return broken(err, "a name holds a zero byte");
    (void)z;
    return BD_OK;
}

/* Finds the bytes of a member and checks that they are its own. */
static bd_status locate(struct zip *z, struct member *m, struct bd_err *err)
{
    struct bd_reader r = {z->f->data, (size_t)z->dir, 0};
    if (m->local > r.size)
        return broken(err, "a file lies beyond the directory");
    r.pos = (size_t)m->local;
    const uint8_t *p = bd_take(&r, LOCAL_SIZE);
    if (!p || le(p, 4) != ZIP_LOCAL)
        return broken(err, "a file's own header is missing");
    size_t nname = (size_t)le(p + 26, 2), extra = (size_t)le(p + 28, 2);
    const uint8_t *name = bd_take(&r, nname);
    if (!name || nname != m->nname || memcmp(name, m->name, nname) != 0)
        return broken(err, "a file's own name differs from the directory's");
    if (!bd_take(&r, extra) || m->packed > r.size - r.pos)
        return broken(err, "a file runs into the directory (cut short?)");
    m->data = bd_take(&r, (size_t)m->packed);
    m->end = r.pos;
    /* deflate cannot shrink by more than 1032 to 1 */
    if (m->method == 0 ? m->packed != m->plain
                       : m->plain / 1032 > m->packed + 1)
        return broken(err, "a file's two sizes cannot both be true");
    return BD_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->local > y->local) - (x->local < y->local);
}

static int by_name(const void *a, const void *b)
{
    const struct member *x = *(const struct member *const *)a;
    const struct member *y = *(const struct member *const *)b;
    size_t n = x->nname < y->nname ? x->nname : y->nname;
    int c = n ? memcmp(x->name, y->name, n) : 0;
    return c ? c : (x->nname > y->nname) - (x->nname < y->nname);
}

/* Two files over the same bytes are how small archives become large. */
static bd_status check_apart(const struct zip *z, struct bd_err *err)
{
    size_t n = (size_t)z->count;
    bd_status s = BD_OK;
    struct member *copy = bd_alloc(n, sizeof *copy);
    const struct member **name = bd_alloc(n, sizeof *name);
    if (!copy || !name) {
        s = bd_fail(err, BD_ENOMEM, "not enough memory for the archive");
        goto done;
    }
    if (n)
        memcpy(copy, z->m, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_place);
    for (size_t k = 0; k < n; k++)
        name[k] = &copy[k];
    for (size_t k = 1; s == BD_OK && k < n; k++)
        if (copy[k].local < copy[k - 1].end)
            s = broken(err, "two files share the same bytes");
    qsort(name, n, sizeof *name, by_name);
    for (size_t k = 1; s == BD_OK && k < n; k++)
        if (by_name(&name[k - 1], &name[k]) == 0)
            s = broken(err, "two files have the same name");
done:
    bd_free(copy);
    bd_free(name);
    return s;
}

static bd_status read_directory(struct zip *z, struct bd_err *err)
{
    bd_status s = find_directory(z, err);
    if (s != BD_OK)
        return s;
    struct bd_reader r = {z->f->data + z->dir, (size_t)z->dir_size, 0};
    z->m = bd_calloc((size_t)z->count, sizeof *z->m);
    if (!z->m)
        return bd_fail(err, BD_ENOMEM, "not enough memory for the archive");
    for (size_t k = 0; s == BD_OK && k < z->count; k++) {
        s = read_entry(z, &r, &z->m[k], err);
        if (s == BD_OK)
            s = locate(z, &z->m[k], err);
    }
    if (s == BD_OK && r.pos != r.size)
        s = broken(err, "its directory holds more than it says");
    return s == BD_OK ? check_apart(z, err) : s;
}

/* ----------------------------------------------------------------- members */

/* Unpacks at most n bytes; *whole tells whether that was all, to the byte. */
static bool unpack_some(uint8_t *dst, size_t n, const struct member *m,
                        bool *whole)
{
    z_stream s = {0};
    const uint8_t *src = m->data;
    size_t in = (size_t)m->packed, out = n;
    int rc = Z_OK;
    uint8_t none;
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return false;
    s.next_out = out ? dst : &none;
    while (rc == Z_OK) {
        uInt a = in < (1u << 30) ? (uInt)in : 1u << 30;
        uInt b = out < (1u << 30) ? (uInt)out : 1u << 30;
        s.next_in = (z_const Bytef *)(uintptr_t)src;
        s.avail_in = a;
        s.avail_out = b;
        rc = inflate(&s, Z_NO_FLUSH);
        src += a - s.avail_in;
        in -= a - s.avail_in;
        out -= b - s.avail_out;
    }
    inflateEnd(&s);
    *whole = rc == Z_STREAM_END && in == 0;
    return out == 0;
}

/* The array's own header must agree with the archive on the size before
 * anything of that size is allocated or unpacked. */
static bd_status check_size(const struct member *m, struct bd_err *err)
{
    size_t n = (size_t)m->plain, most = BD_MAX_NPY_HEADER + 12, total = 0;
    bool whole;
    if (n > most)
        n = most;
    uint8_t *head = bd_alloc(n, 1);
    if (!head)
        return bd_fail(err, BD_ENOMEM, "not enough memory to unpack it");
    bd_status s = BD_OK;
    if (!unpack_some(head, n, m, &whole))
        s = bd_fail(err, BD_EFORMAT, "its packed data is damaged");
    if (s == BD_OK)
        s = bd_npy_total(&total, (struct bd_reader){head, n, 0}, err);
    if (s == BD_OK && total != m->plain)
        s = bd_fail(err, BD_EFORMAT,
                    "the archive says %llu bytes, its shape needs %zu",
                    (unsigned long long)m->plain, total);
    bd_free(head);
    return s;
}

static uint32_t crc_of(const uint8_t *p, size_t n)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), p, n);
}

/* The unpacked bytes: in the file, or in *own which the caller frees. */
static bd_status unpack(struct bd_reader *out, uint8_t **own, struct zip *z,
                        const struct member *m, struct bd_err *err)
{
    size_t n = (size_t)m->plain;
    const uint8_t *p = m->data;
    if (m->method == 8) {
        bool whole;
        bd_status s = check_size(m, err);
        if (s != BD_OK)
            return s;
        if (n > BD_MAX_INFLATED - z->inflated)
            return bd_fail(err, BD_EUNSUPPORTED,
                           "it unpacks to more than 2 GiB");
        z->inflated += n;
        *own = bd_alloc(n, 1);
        if (!*own)
            return bd_fail(err, BD_ENOMEM, "not enough memory to unpack it");
        if (!unpack_some(*own, n, m, &whole) || !whole)
            return bd_fail(err, BD_EFORMAT, "its packed data is damaged");
        p = *own;
    }
    if (crc_of(p, n) != m->crc)
        return bd_fail(err, BD_EFORMAT, "its checksum is wrong (damaged?)");
    *out = (struct bd_reader){p, n, 0};
    return BD_OK;
}

static bool is_npy_name(const struct member *m)
{
    return m->nname >= 4 && memcmp(m->name + m->nname - 4, ".npy", 4) == 0;
}

static bd_status read_member(struct bd_npz_entry *e, struct zip *z,
                             const struct member *m, struct bd_err *err)
{
    struct bd_err why = {0};
    struct bd_reader r = {0};
    uint8_t *own = NULL;
    char shown[256];
    e->name = bd_arena_strdup(z->a, (const char *)m->name, m->nname - 4);
    if (!e->name)
        return bd_fail(err, BD_ENOMEM, "not enough memory for the archive");
    bd_status s = unpack(&r, &own, z, m, &why);
    if (s == BD_OK)
        s = bd_npy_read(&e->t, z->a, r, m->method == 0, &why);
    if (s != BD_OK)
        bd_fail(err, s, "array '%s': %s",
                bd_text_show(shown, sizeof shown, e->name, 0), why.msg);
    bd_free(own);
    return s;
}

static bd_status read_zip(struct bd_npz_entry **out, size_t *n, struct zip *z,
                          struct bd_err *err)
{
    bd_status s = read_directory(z, err);
    if (s != BD_OK)
        return s;
    size_t count = 0, made = 0;
    for (size_t k = 0; k < z->count; k++)
        count += is_npy_name(&z->m[k]);
    if (!count)
        return bd_fail(err, BD_EFORMAT, "the zip archive holds no .npy array");
    struct bd_npz_entry *e = bd_arena_alloc(z->a, count, sizeof *e);
    if (!e)
        return bd_fail(err, BD_ENOMEM, "not enough memory for the archive");
    for (size_t k = 0; s == BD_OK && k < z->count; k++)
        if (is_npy_name(&z->m[k]))
            s = read_member(&e[made++], z, &z->m[k], err);
    if (s == BD_OK) {
        *out = e;
        *n = count;
    }
    return s;
}

static bd_status read_single(struct bd_npz_entry **out, size_t *n,
                             struct bd_arena *a, const struct bd_file *f,
                             struct bd_err *err)
{
    struct bd_npz_entry *e = bd_arena_alloc(a, 1, sizeof *e);
    if (!e)
        return bd_fail(err, BD_ENOMEM, "not enough memory for the array");
    e->name = "array";
    struct bd_reader r = {f->data, f->size, 0};
    bd_status s = bd_npy_read(&e->t, a, r, true, err);
    if (s == BD_OK) {
        *out = e;
        *n = 1;
    }
    return s;
}

bd_status bd_npz_load(struct bd_npz_entry **out, size_t *n, struct bd_arena *a,
                      const struct bd_file *f, struct bd_err *err)
{
    if (f->size >= 6 && memcmp(f->data, "\x93NUMPY", 6) == 0)
        return read_single(out, n, a, f, err);
    if (f->size < 4 || memcmp(f->data, "PK", 2) != 0)
        return bd_fail(err, BD_EFORMAT, "neither a .npz nor a .npy file");
    struct zip z = {.f = f, .a = a};
    bd_status s = read_zip(out, n, &z, err);
    bd_free(z.m);
    return s;
}
