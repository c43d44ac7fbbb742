/* TensorProto.  Its numbers lie in raw_data (little-endian bytes), or in one
 * of five typed fields, or in a file beside the model.  Two walks: the first
 * learns shape and type and counts what is there, the second converts; so
 * nothing is allocated that the file does not fill. */
#include "model/onnx_priv.h"

#include <string.h>

/* The typed fields, and the wire type of one number in each. */
enum store { FLOATS, INT32S, INT64S, DOUBLES, UINT64S, NSTORES };
static const struct {
    uint32_t field;
    enum pb_wire wire;
} stores[NSTORES] = {
    {4, PB_FIXED32},  {5, PB_VARINT},  {7, PB_VARINT},
    {10, PB_FIXED64}, {11, PB_VARINT},
};

struct reading {
    const struct bd_onnx_src *src;
    struct bd_onnx_named *out;
    int64_t rank;
    uint64_t type;
    const uint8_t *raw;
    size_t nraw;
    int raws;
    size_t count[NSTORES]; /* numbers found in each typed field */
    struct bd_onnx_external external;
    bool is_external, strings;
    size_t filled;
};

static enum store store_at(uint64_t field)
{
    int k = 0;
    while (k < NSTORES - 1 && stores[k].field != field)
        k++;
    return (enum store)k;
}

/* Where the specification puts numbers of a type when not in raw_data. */
static enum store store_for(enum bd_dtype t)
{
    if (t == BD_F32)
        return FLOATS;
    if (t == BD_F64)
        return DOUBLES;
    if (t == BD_I64)
        return INT64S;
    return t == BD_U32 || t == BD_U64 ? UINT64S : INT32S;
}

/* -------------------------------------------------------------- first walk */

struct dims {
    struct bd_tensor *t;
    int64_t *rank;
};

static void put_dim(void *arg, uint64_t v)
{
    struct dims *d = arg;
    if (*d->rank < BD_MAX_RANK)
        d->t->dim[*d->rank] = (int64_t)v;
    ++*d->rank;
}

static bd_status take_dims(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct reading *r = arg;
    struct dims d = {&r->out->t, &r->rank};
    size_t n;
    if (!pb_count(&n, f, PB_VARINT))
        return bd_fail(err, BD_EFORMAT, "tensor dimensions are cut short");
    pb_each(f, PB_VARINT, put_dim, &d);
    return BD_OK;
}

static bd_status take_type(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    (void)err;
    ((struct reading *)arg)->type = f->v;
    return BD_OK;
}

static bd_status take_name(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct reading *r = arg;
    return bd_onnx_text(&r->out->name, r->src->arena, f, err);
}

static bd_status take_numbers(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    struct reading *r = arg;
    enum store s = store_at(f->num);
    size_t n;
    if (!pb_count(&n, f, stores[s].wire))
        return bd_fail(err, BD_EFORMAT, "tensor data is cut short");
    r->count[s] += n;
    return BD_OK;
}

static bd_status take_raw(void *arg, const struct pb_field *f,
                          struct bd_err *err)
{
    struct reading *r = arg;
    (void)err;
    r->raw = f->p;
    r->nraw = f->n;
    r->raws++;
    return BD_OK;
}

static bd_status take_strings(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    (void)f;
    (void)err;
    ((struct reading *)arg)->strings = true;
    return BD_OK;
}

static bd_status take_segment(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    (void)arg;
    (void)f;
    return bd_fail(err, BD_EUNSUPPORTED, "tensors in segments are not read");
}

static bd_status take_external(void *arg, const struct pb_field *f,
                               struct bd_err *err)
{
    struct reading *r = arg;
    return bd_onnx_external_entry(&r->external, r->src->arena, f, err);
}

static bd_status take_location(void *arg, const struct pb_field *f,
                               struct bd_err *err)
{
    (void)err;
    ((struct reading *)arg)->is_external = f->v != 0;
    return BD_OK;
}

static const struct pb_rule tensor_rules[] = {
    {1, PB_VARINT, true, "dims", take_dims},
    {2, PB_VARINT, false, "data_type", take_type},
    {3, PB_BYTES, false, "segment", take_segment},
    {4, PB_FIXED32, true, "float_data", take_numbers},
    {5, PB_VARINT, true, "int32_data", take_numbers},
    {6, PB_BYTES, false, "string_data", take_strings},
    {7, PB_VARINT, true, "int64_data", take_numbers},
    {8, PB_BYTES, false, "name", take_name},
    {9, PB_BYTES, false, "raw_data", take_raw},
    {10, PB_FIXED64, true, "double_data", take_numbers},
    {11, PB_VARINT, true, "uint64_data", take_numbers},
    {13, PB_BYTES, false, "external_data", take_external},
    {14, PB_VARINT, false, "data_location", take_location},
};
static const struct pb_message tensor_message = {
    "TensorProto", tensor_rules, sizeof tensor_rules / sizeof *tensor_rules};

/* ------------------------------------------------------------------ checks */

static bd_status check_type(const struct reading *r, struct bd_err *err)
{
    struct bd_shown o;
    bool text = r->type == BD_STRING || r->strings;
    if (text || r->type > BD_BF16 || bd_dtype_size((enum bd_dtype)r->type) == 0)
        return bd_fail(err, text ? BD_EUNSUPPORTED : BD_EFORMAT,
                       "tensor '%s': element type %llu (%s) is not read",
                       bd_shown(&o, r->out->name), (unsigned long long)r->type,
                       text ? "string" : "unknown");
    return BD_OK;
}

static bd_status check_shape(struct reading *r, int64_t *count,
                             struct bd_err *err)
{
    struct bd_shown o;
    struct bd_err why = {0};
    if (r->rank > BD_MAX_RANK)
        return bd_fail(err, BD_EFORMAT,
                       "tensor '%s' has %lld dimensions, at most %d are read",
                       bd_shown(&o, r->out->name), (long long)r->rank,
                       BD_MAX_RANK);
    r->out->t.rank = (int)r->rank;
    bd_status s = bd_shape_check(count, r->out->t.dim, r->out->t.rank, &why);
    if (s != BD_OK)
        return bd_fail(err, s, "tensor '%s': %s", bd_shown(&o, r->out->name),
                       why.msg);
    return BD_OK;
}

static bd_status wrong_size(const struct reading *r, size_t found, size_t need,
                            struct bd_err *err)
{
    struct bd_shown o;
    char shape[160];
    return bd_fail(err, BD_EFORMAT,
                   "tensor '%s': %zu bytes of data, %s %s needs %zu%s",
                   bd_shown(&o, r->out->name), found,
                   bd_shape_text(shape, sizeof shape, &r->out->t),
                   bd_dtype_name(r->out->t.type), need,
                   found < need ? " (file cut short?)" : "");
}

/* Data must be there once: in raw_data or in the one field of its type. */
static bd_status check_once(const struct reading *r, struct bd_err *err)
{
    struct bd_shown o;
    int places = r->raws + (r->is_external ? 1 : 0);
    enum store own = store_for(r->out->t.type);
    for (int s = 0; s < NSTORES; s++) {
        places += r->count[s] > 0;
        if (r->count[s] && (enum store)s != own)
            return bd_fail(err, BD_EFORMAT,
                           "tensor '%s': %s data in a field of another type",
                           bd_shown(&o, r->out->name),
                           bd_dtype_name(r->out->t.type));
    }
    if (places > 1)
        return bd_fail(err, BD_EFORMAT, "tensor '%s' stores its data twice",
                       bd_shown(&o, r->out->name));
    return BD_OK;
}

/* ------------------------------------------------------------- second walk */

static void put_number(void *arg, uint64_t v)
{
    struct reading *r = arg;
    struct bd_tensor *t = &r->out->t;
    size_t k = r->filled++;
    uint32_t w = (uint32_t)v;
    double d;
    uint16_t h = (uint16_t)v;
    switch (store_for(t->type)) {
    case FLOATS:
        memcpy(&t->f[k], &w, sizeof w);
        break;
    case DOUBLES:
        memcpy(&d, &v, sizeof d);
        t->f[k] = (float)d;
        break;
    case INT32S:
        if (t->f) /* half-precision bits travel as whole numbers */
            bd_convert(&t->f[k], &h, 1, t->type, false);
        else
            t->i[k] = t->type == BD_BOOL ? v != 0 : (int32_t)w;
        break;
    case INT64S:
    case UINT64S:
    case NSTORES:
        t->i[k] = (int64_t)v;
        break;
    }
}

static bd_status fill_numbers(void *arg, const struct pb_field *f,
                              struct bd_err *err)
{
    (void)err;
    pb_each(f, stores[store_at(f->num)].wire, put_number, arg);
    return BD_OK;
}

static const struct pb_rule fill_rules[] = {
    {4, PB_FIXED32, true, "float_data", fill_numbers},
    {5, PB_VARINT, true, "int32_data", fill_numbers},
    {7, PB_VARINT, true, "int64_data", fill_numbers},
    {10, PB_FIXED64, true, "double_data", fill_numbers},
    {11, PB_VARINT, true, "uint64_data", fill_numbers},
};
static const struct pb_message fill_message = {
    "TensorProto", fill_rules, sizeof fill_rules / sizeof *fill_rules};

static bool room(struct bd_tensor *t, struct bd_arena *a, size_t n)
{
    bool real = bd_dtype_is_real(t->type);
    void *p = bd_arena_alloc(a, n ? n : 1, real ? sizeof *t->f : sizeof *t->i);
    t->f = real ? p : NULL;
    t->i = real ? NULL : p;
    return p != NULL;
}

/* Little-endian float32 and int64 at a proper address are used where they
 * lie; everything else is converted into the arena. */
static bool borrowable(const struct reading *r, const uint8_t *raw)
{
    static const uint16_t one = 1;
    enum bd_dtype t = r->out->t.type;
    bool little = *(const uint8_t *)&one == 1;
    bool native = t == BD_F32 || t == BD_I64;
    return r->src->borrow && little && native &&
           (uintptr_t)raw % bd_dtype_size(t) == 0;
}

static bd_status from_bytes(struct reading *r, const uint8_t *raw, size_t n,
                            struct bd_err *err)
{
    struct bd_tensor *t = &r->out->t;
    if (n && borrowable(r, raw)) {
        /* A model is immutable; the view is only nominally writable. */
        t->f = t->type == BD_F32 ? (float *)(uintptr_t)raw : NULL;
        t->i = t->type == BD_I64 ? (int64_t *)(uintptr_t)raw : NULL;
        return BD_OK;
    }
    if (!room(t, r->src->arena, n))
        return bd_draft_nomem(err);
    if (n)
        bd_convert(t->f ? (void *)t->f : t->i, raw, n, t->type, false);
    return BD_OK;
}

static bd_status from_fields(struct reading *r, const uint8_t *p, size_t n,
                             size_t count, struct bd_err *err)
{
    struct bd_shown o;
    size_t found = r->count[store_for(r->out->t.type)];
    if (found != count)
        return bd_fail(err, BD_EFORMAT,
                       "tensor '%s' holds %zu numbers, its shape needs %zu "
                       "(file cut short?)",
                       bd_shown(&o, r->out->name), found, count);
    if (!room(&r->out->t, r->src->arena, count))
        return bd_draft_nomem(err);
    return pb_walk(&fill_message, p, n, r, err);
}

static bd_status read_data(struct reading *r, const uint8_t *p, size_t n,
                           size_t count, struct bd_err *err)
{
    size_t need = 0;
    if (!bd_mul(&need, count, bd_dtype_size(r->out->t.type)))
        return bd_draft_nomem(err);
    if (r->is_external) {
        const uint8_t *x = NULL;
        bd_status s =
            bd_onnx_external_read(&x, &r->external, r->src, need, err);
        return s == BD_OK ? from_bytes(r, x, count, err) : s;
    }
    if (r->raws && r->nraw != need)
        return wrong_size(r, r->nraw, need, err);
    return r->raws ? from_bytes(r, r->raw, count, err)
                   : from_fields(r, p, n, count, err);
}

bd_status bd_onnx_tensor(struct bd_onnx_named *out,
                         const struct bd_onnx_src *src, const uint8_t *p,
                         size_t n, struct bd_err *err)
{
    *out = (struct bd_onnx_named){.name = ""};
    struct reading r = {.src = src, .out = out, .external = {NULL, -1, -1}};
    int64_t count = 0;
    bd_status s = pb_walk(&tensor_message, p, n, &r, err);
    if (s == BD_OK)
        s = check_type(&r, err);
    if (s != BD_OK)
        return s;
    out->t.type = (enum bd_dtype)r.type;
    s = check_shape(&r, &count, err);
    if (s == BD_OK)
        s = check_once(&r, err);
    return s == BD_OK ? read_data(&r, p, n, (size_t)count, err) : s;
}

bd_status bd_onnx_text(const char **out, struct bd_arena *a,
                       const struct pb_field *f, struct bd_err *err)
{
    if (f->n > BD_MAX_NAME)
        return bd_fail(err, BD_EFORMAT, "a name is %zu bytes long, at most %d",
                       f->n, BD_MAX_NAME);
    if (f->n && memchr(f->p, 0, f->n))
        return bd_fail(err, BD_EFORMAT, "a name holds a zero byte");
    const char *s = bd_arena_strdup(a, f->n ? (const char *)f->p : "", f->n);
    if (!s)
        return bd_draft_nomem(err);
    *out = s;
    return BD_OK;
}
