/* Opening a model: the content decides which loader reads it.  A new format
 * is one file with a probe and a load function, and one row here. */
#include "model/model_priv.h"

#include <string.h>
#include <strings.h>

static bool starts(const struct bd_file *f, const char *magic, size_t n)
{
    return f->size >= n && memcmp(f->data, magic, n) == 0;
}

/* ------------------------------------------------ formats and lookalikes */

static const struct bd_format formats[] = {
    {"npz", bd_npz_probe, bd_npz_model},
    {"onnx", bd_onnx_probe, bd_onnx_load}, /* no magic number: last */
};

static bool is_torch_zip(const struct bd_file *f)
{
    return starts(f, "PK\3\4", 4) &&
           memmem(f->data, f->size < 4096 ? f->size : 4096, "data.pkl", 8);
}

static bool is_pickle(const struct bd_file *f)
{
    return f->size > 2 && f->data[0] == 0x80 && f->data[1] >= 2 &&
           f->data[1] <= 5;
}

/* Eight bytes of header length, then JSON. */
static bool is_safetensors(const struct bd_file *f)
{
    struct bd_reader r = {f->data, f->size, 0};
    uint64_t n;
    return bd_take_u64le(&r, &n) && n >= 2 && n <= f->size - 8 &&
           f->data[8] == '{';
}

static bool is_gguf(const struct bd_file *f)
{
    return starts(f, "GGUF", 4);
}

static bool is_lfs(const struct bd_file *f)
{
    return starts(f, "version https://git-lfs", 23);
}

static bool is_html(const struct bd_file *f)
{
    size_t k = 0;
    while (k < f->size && strchr(" \t\r\n", f->data[k]) && f->data[k])
        k++;
    const char *p = (const char *)f->data + k;
    return (f->size - k >= 9 && strncasecmp(p, "<!doctype", 9) == 0) ||
           (f->size - k >= 5 && strncasecmp(p, "<html", 5) == 0);
}

static bool is_gzip(const struct bd_file *f)
{
    return starts(f, "\x1f\x8b", 2);
}

/* Known, but not read: better told than guessed. */
static const struct {
    bool (*probe)(const struct bd_file *f);
    bd_status status;
    const char *sentence;
} lookalikes[] = {
    {is_lfs, BD_EFORMAT,
     "this is a Git LFS pointer, not the model itself; 'git lfs pull' fetches "
     "it"},
    {is_html, BD_EFORMAT,
     "this is a web page, not a model (did a download need a login?)"},
    {is_torch_zip, BD_EUNSUPPORTED,
     "PyTorch files are not read yet; export the network to ONNX or its "
     "tensors to .npz"},
    {is_pickle, BD_EUNSUPPORTED,
     "pickled PyTorch files are not read yet; export the network to ONNX or "
     "its tensors to .npz"},
    {is_safetensors, BD_EUNSUPPORTED,
     "safetensors files are not read yet; export the network to ONNX or its "
     "tensors to .npz"},
    {is_gguf, BD_EUNSUPPORTED,
     "GGUF files are not read yet; export the network to ONNX or its tensors "
     "to .npz"},
    {is_gzip, BD_EUNSUPPORTED, "this is gzip-compressed; unpack it first"},
};

static bd_status refuse_lookalike(const struct bd_file *f, struct bd_err *err)
{
    if (f->size == 0)
        return bd_fail(err, BD_EFORMAT, "the file is empty");
    for (size_t k = 0; k < sizeof lookalikes / sizeof *lookalikes; k++)
        if (lookalikes[k].probe(f))
            return bd_fail(err, lookalikes[k].status, "%s",
                           lookalikes[k].sentence);
    return BD_OK;
}

static bd_status read_file(struct bd_builder *b, const char *arch,
                           struct bd_err *err)
{
    bd_status s = refuse_lookalike(&b->map, err);
    if (s != BD_OK)
        return s;
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++)
        if (formats[k].probe(&b->map))
            return formats[k].load(b, arch, err);
    return bd_fail(err, BD_EFORMAT,
                   "not a model: neither ONNX nor a NumPy .npz or .npy file");
}

bd_status bd_model_load(struct bd_model **out, const char *path,
                        const char *arch, struct bd_err *err)
{
    struct bd_builder *b = bd_builder_new();
    if (!b)
        return bd_draft_nomem(err);
    b->path = path;
    bd_status s = bd_file_map(&b->map, path, err);
    if (s == BD_OK)
        s = read_file(b, arch, err);
    if (s == BD_OK)
        s = bd_draft_finish(out, b, err);
    if (s != BD_OK)
        bd_err_file(err, path);
    bd_builder_free(b);
    return s;
}

void bd_model_free(struct bd_model *m)
{
    if (!m)
        return;
    bd_file_unmap(&m->map);
    bd_arena_done(&m->arena);
    bd_free(m);
}

/* --------------------------------------------------------------- questions */

const struct bd_attr *bd_node_attr(const struct bd_node *n, const char *name)
{
    for (size_t k = 0; k < n->nattr; k++)
        if (strcmp(n->attr[k].name, name) == 0)
            return &n->attr[k];
    return NULL;
}

int64_t bd_node_int(const struct bd_node *n, const char *name, int64_t dflt)
{
    const struct bd_attr *a = bd_node_attr(n, name);
    return a && a->kind == BD_ATTR_INT ? a->i : dflt;
}

float bd_node_float(const struct bd_node *n, const char *name, float dflt)
{
    const struct bd_attr *a = bd_node_attr(n, name);
    return a && a->kind == BD_ATTR_FLOAT ? a->f : dflt;
}

const char *bd_node_str(const struct bd_node *n, const char *name,
                        const char *dflt)
{
    const struct bd_attr *a = bd_node_attr(n, name);
    return a && a->kind == BD_ATTR_STR ? a->s : dflt;
}

int bd_model_find_layer(const struct bd_model *m, const char *name)
{
    for (size_t k = 0; k < m->nlayers; k++)
        if (strcmp(m->layer[k].name, name) == 0)
            return (int)k;
    return -1;
}

int bd_model_find_value(const struct bd_model *m, const char *name)
{
    for (size_t k = 0; k < m->nvalues; k++)
        if (strcmp(m->value[k].name, name) == 0)
            return (int)k;
    return -1;
}
