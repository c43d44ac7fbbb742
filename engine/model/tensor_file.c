/* One tensor in a file of its own: TensorProto, as the conformance tests of
 * ONNX keep theirs, or .npy. */
#include "model/onnx_priv.h"

#include <string.h>

/* What points into the mapped file moves to the arena. */
static bool own(struct bd_tensor *t, struct bd_arena *a)
{
    size_t n = (size_t)bd_tensor_count(t);
    size_t size = t->f ? sizeof *t->f : sizeof *t->i;
    void *p = bd_arena_alloc(a, n ? n : 1, size);
    if (!p)
        return false;
    if (n)
        memcpy(p, t->f ? (const void *)t->f : t->i, n * size);
    if (t->f)
        t->f = p;
    else
        t->i = p;
    return true;
}

static bd_status load_npy(struct bd_tensor *out, struct bd_arena *a,
                          const struct bd_file *f, struct bd_err *err)
{
    struct bd_npz_entry *e;
    size_t n;
    bd_status s = bd_npz_load(&e, &n, a, f, err);
    if (s != BD_OK)
        return s;
    struct bd_tensor t = e->t;
    if (!own(&t, a))
        return bd_draft_nomem(err);
    *out = t;
    return BD_OK;
}

static bd_status load_proto(struct bd_tensor *out, struct bd_arena *a,
                            const struct bd_file *f, struct bd_err *err)
{
    struct bd_onnx_src src = {.arena = a};
    struct bd_onnx_named t;
    if (f->size == 0)
        return bd_fail(err, BD_EFORMAT, "the file is empty");
    bd_status s = bd_onnx_tensor(&t, &src, f->data, f->size, err);
    if (s == BD_OK)
        *out = t.t;
    return s;
}

bd_status bd_tensor_load(struct bd_tensor *out, struct bd_arena *a,
                         const char *path, struct bd_err *err)
{
    struct bd_file f = {0};
    bd_status s = bd_file_map(&f, path, err);
    if (s == BD_OK) {
        bool npy = f.size >= 6 && memcmp(f.data, "\x93NUMPY", 6) == 0;
        s = npy ? load_npy(out, a, &f, err) : load_proto(out, a, &f, err);
        bd_file_unmap(&f);
    }
    if (s != BD_OK)
        bd_err_file(err, path);
    return s;
}
