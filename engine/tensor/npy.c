/* One NumPy array: magic, version, a Python dictionary as header, data.  The
 * dictionary is read by a grammar of exactly the three keys NumPy writes;
 * anything that would need evaluating is refused. */
#include "tensor/npz_priv.h"

#include <string.h>

struct header {
    struct bd_reader r; /* the dictionary's text */
    char descr[16];
    bool fortran, big;
    bool seen[3]; /* descr, fortran_order, shape */
    struct bd_tensor t;
};

static bd_status odd(struct bd_err *err, const char *what)
{
    return bd_fail(err, BD_EFORMAT, "npy header: %s", what);
}

/* ------------------------------------------------------------- the grammar */

static int peek(struct header *h)
{
    while (h->r.pos < h->r.size && memchr(" \t\r\n", h->r.base[h->r.pos], 4))
        h->r.pos++;
    return h->r.pos < h->r.size ? h->r.base[h->r.pos] : 0;
}

static bool accept(struct header *h, char c)
{
    if (peek(h) != c)
        return false;
    h->r.pos++;
    return true;
}

static bool word(struct header *h, const char *w)
{
    size_t n = strlen(w);
    peek(h);
    if (h->r.size - h->r.pos < n || memcmp(h->r.base + h->r.pos, w, n) != 0)
        return false;
    h->r.pos += n;
    return true;
}

/* A quoted text without escapes, at most cap - 1 bytes. */
static bool quoted(struct header *h, char *out, size_t cap)
{
    int q = peek(h);
    if (q != '\'' && q != '"')
        return false;
    h->r.pos++;
    size_t n = 0;
    for (; h->r.pos < h->r.size; h->r.pos++) {
        char c = (char)h->r.base[h->r.pos];
        if (c == (char)q) {
            h->r.pos++;
            out[n] = 0;
            return true;
        }
        if (n + 1 >= cap || c < ' ' || c > '~' || c == '\\')
            return false;
        out[n++] = c;
    }
    return false;
}

static bool digits(struct header *h, int64_t *v)
{
    int64_t x = 0;
    int c = peek(h);
    if (c < '0' || c > '9')
        return false;
    while (h->r.pos < h->r.size) {
        c = h->r.base[h->r.pos];
        if (c < '0' || c > '9')
            break;
        x = x * 10 + (c - '0');
        if (x > BD_MAX_ELEMENTS)
            return false;
        h->r.pos++;
    }
    *v = x;
    return true;
}

/* (), (3,), (3, 4) */
static bool tuple(struct header *h)
{
    if (!accept(h, '('))
        return false;
    while (!accept(h, ')')) {
        if (h->t.rank >= BD_MAX_RANK || !digits(h, &h->t.dim[h->t.rank]))
            return false;
        h->t.rank++;
        bool comma = accept(h, ',');
        if (!comma && (peek(h) != ')' || h->t.rank == 1))
            return false;
    }
    return true;
}

static bd_status read_value(struct header *h, int key, struct bd_err *err)
{
    switch (key) {
    case 0:
        if (peek(h) == '[')
            return bd_fail(err, BD_EUNSUPPORTED,
                           "arrays of records are not read");
        return quoted(h, h->descr, sizeof h->descr)
                   ? BD_OK
                   : odd(err, "the element type is not a plain text");
    case 1:
        h->fortran = word(h, "True");
        return h->fortran || word(h, "False")
                   ? BD_OK
                   : odd(err, "fortran_order is neither True nor False");
    default:
        return tuple(h) ? BD_OK
                        : odd(err, "the shape is not a tuple of up to 16 "
                                   "whole numbers from 0 to 2^40");
    }
}

static bd_status read_pair(struct header *h, struct bd_err *err)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char name[32];
    int key = 0;
    if (!quoted(h, name, sizeof name) || !accept(h, ':'))
        return odd(err, "it is not a plain dictionary");
    while (key < 3 && strcmp(keys[key], name) != 0)
        key++;
    if (key == 3 || h->seen[key])
        return odd(err, "a key is unknown or there twice");
    h->seen[key] = true;
    return read_value(h, key, err);
}

static bd_status read_dict(struct header *h, struct bd_err *err)
{
    if (!accept(h, '{'))
        return odd(err, "it is not a plain dictionary");
    while (!accept(h, '}')) {
        bd_status s = read_pair(h, err);
        if (s != BD_OK)
            return s;
        if (!accept(h, ',') && peek(h) != '}')
            return odd(err, "it is not a plain dictionary");
    }
    if (peek(h) != 0 || h->r.pos != h->r.size)
        return odd(err, "something follows the dictionary");
    if (!h->seen[0] || !h->seen[1] || !h->seen[2])
        return odd(err, "descr, fortran_order or shape is missing");
    return BD_OK;
}

/* ---------------------------------------------------------------- the type */

static const struct {
    const char *code;
    enum bd_dtype type;
} codes[] = {
    {"f4", BD_F32}, {"f8", BD_F64}, {"f2", BD_F16}, {"i8", BD_I64},
    {"i4", BD_I32}, {"i2", BD_I16}, {"i1", BD_I8},  {"u8", BD_U64},
    {"u4", BD_U32}, {"u2", BD_U16}, {"u1", BD_U8},  {"b1", BD_BOOL},
};

static bd_status read_type(struct header *h, struct bd_err *err)
{
    const char *d = h->descr;
    char shown[64];
    bool order = d[0] && strchr("<>|=", d[0]);
    h->big = d[0] == '>';
    for (size_t k = 0; order && k < sizeof codes / sizeof *codes; k++)
        if (strcmp(codes[k].code, d + 1) == 0) {
            h->t.type = codes[k].type;
            /* '|' says byte order does not matter: only true for one byte */
            if (d[0] == '|' && bd_dtype_size(h->t.type) > 1)
                return odd(err, "the byte order is missing");
            return BD_OK;
        }
    return bd_fail(err, BD_EUNSUPPORTED,
                   strchr(d, 'O') ? "it holds Python objects ('%s'), which "
                                    "are never read"
                                  : "element type '%s' is not read",
                   bd_text_show(shown, sizeof shown, d, 0));
}

static bd_status read_header(struct header *h, struct bd_reader *r,
                             struct bd_err *err)
{
    const uint8_t *magic = bd_take(r, 8);
    uint16_t n16 = 0;
    uint32_t n = 0;
    if (!magic || memcmp(magic, "\x93NUMPY", 6) != 0)
        return bd_fail(err, BD_EFORMAT, "not a .npy array");
    if (magic[6] < 1 || magic[6] > 3)
        return bd_fail(err, BD_EUNSUPPORTED, "npy version %d is not read",
                       magic[6]);
    bool ok = magic[6] == 1 ? bd_take_u16le(r, &n16) : bd_take_u32le(r, &n);
    n += n16;
    if (ok && n > BD_MAX_NPY_HEADER)
        return bd_fail(err, BD_EFORMAT,
                       "npy header of %u bytes, at most %d are read", n,
                       BD_MAX_NPY_HEADER);
    h->r = (struct bd_reader){ok ? bd_take(r, n) : NULL, n, 0};
    if (!h->r.base)
        return odd(err, "it is cut short");
    bd_status s = read_dict(h, err);
    return s == BD_OK ? read_type(h, err) : s;
}

/* ---------------------------------------------------------------- the data */

/* First index fastest (Fortran) to last index fastest, in place of dst. */
static void to_rows(void *dst, const void *src, size_t size,
                    const struct bd_tensor *t)
{
    int64_t step[BD_MAX_RANK], at[BD_MAX_RANK] = {0};
    int64_t n = 1, from = 0;
    for (int k = 0; k < t->rank; k++) {
        step[k] = n;
        n *= t->dim[k];
    }
    for (int64_t e = 0; e < n; e++) {
        memcpy((char *)dst + (size_t)e * size,
               (const char *)src + (size_t)from * size, size);
        for (int k = t->rank - 1; k >= 0; k--) {
            from += step[k];
            if (++at[k] < t->dim[k])
                break;
            from -= at[k] * step[k];
            at[k] = 0;
        }
    }
}

static bool native(const struct header *h, const uint8_t *p)
{
    static const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;
    bool plain = h->t.type == BD_F32 || h->t.type == BD_I64;
    return little && plain && !h->big && !h->fortran &&
           (uintptr_t)p % bd_dtype_size(h->t.type) == 0;
}

static bd_status convert(struct header *h, struct bd_arena *a, const uint8_t *p,
                         size_t n, struct bd_err *err)
{
    bool real = bd_dtype_is_real(h->t.type);
    size_t size = real ? sizeof(float) : sizeof(int64_t);
    void *dst = bd_arena_alloc(a, n ? n : 1, size), *tmp = NULL;
    bool rows = h->fortran && h->t.rank > 1 && n;
    if (rows)
        tmp = bd_alloc(n, size);
    if (!dst || (rows && !tmp)) {
        bd_free(tmp);
        return bd_fail(err, BD_ENOMEM, "not enough memory for the array");
    }
    if (n)
        bd_convert(rows ? tmp : dst, p, n, h->t.type, h->big);
    if (rows)
        to_rows(dst, tmp, size, &h->t);
    bd_free(tmp);
    h->t.f = real ? dst : NULL;
    h->t.i = real ? NULL : dst;
    return BD_OK;
}

/* Header, and the bytes of data its shape needs. */
static bd_status open_array(struct header *h, struct bd_reader *r, size_t *need,
                            struct bd_err *err)
{
    int64_t count = 0;
    bd_status s = read_header(h, r, err);
    if (s == BD_OK)
        s = bd_shape_check(&count, h->t.dim, h->t.rank, err);
    if (s == BD_OK && !bd_mul(need, (size_t)count, bd_dtype_size(h->t.type)))
        s = odd(err, "the shape is too large");
    return s;
}

bd_status bd_npy_total(size_t *total, struct bd_reader r, struct bd_err *err)
{
    struct header h = {0};
    size_t need = 0;
    bd_status s = open_array(&h, &r, &need, err);
    if (s == BD_OK && !bd_add(total, r.pos, need))
        s = odd(err, "the shape is too large");
    return s;
}

bd_status bd_npy_read(struct bd_tensor *out, struct bd_arena *a,
                      struct bd_reader r, bool borrow, struct bd_err *err)
{
    struct header h = {0};
    size_t need = 0;
    char shape[160];
    bd_status s = open_array(&h, &r, &need, err);
    if (s != BD_OK)
        return s;
    size_t left = r.size - r.pos;
    if (need != left)
        return bd_fail(err, BD_EFORMAT, "%zu bytes of data, %s %s needs %zu%s",
                       left, bd_shape_text(shape, sizeof shape, &h.t),
                       bd_dtype_name(h.t.type), need,
                       left < need ? " (file cut short?)" : "");
    const uint8_t *p = r.base + r.pos;
    if (borrow && need && native(&h, p)) {
        /* Views are nominally writable; nobody writes to a mapped file. */
        h.t.f = h.t.type == BD_F32 ? (float *)(uintptr_t)p : NULL;
        h.t.i = h.t.type == BD_I64 ? (int64_t *)(uintptr_t)p : NULL;
    } else {
        s = convert(&h, a, p, need / bd_dtype_size(h.t.type), err);
    }
    if (s == BD_OK)
        *out = h.t;
    return s;
}
