/* Helpers of the model tests: bytes as a file without touching the disk, and
 * protobuf messages written by hand, right or wrong. */
#ifndef TEST_MODEL_SCRATCH_H
#define TEST_MODEL_SCRATCH_H

#include "model/model.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file in memory; path is good for bd_model_load until mem_close. */
struct mem_file {
    int fd;
    char path[40];
};

static inline void mem_open(struct mem_file *m, const void *p, size_t n)
{
    m->fd = memfd_create("model", MFD_CLOEXEC);
    size_t at = 0;
    while (m->fd >= 0 && at < n) {
        ssize_t k = write(m->fd, (const char *)p + at, n - at);
        if (k <= 0)
            break;
        at += (size_t)k;
    }
    snprintf(m->path, sizeof m->path, "/proc/self/fd/%d", m->fd);
}

static inline void mem_close(struct mem_file *m)
{
    close(m->fd);
}

static inline bd_status mem_load(struct bd_model **out, const void *p, size_t n,
                                 struct bd_err *err)
{
    struct mem_file f;
    mem_open(&f, p, n);
    bd_status s = bd_model_load(out, f.path, NULL, err);
    mem_close(&f);
    return s;
}

/* ---------------------------------------------------------------- protobuf */

struct pbuf {
    uint8_t b[8192];
    size_t n;
};

static inline void pb_byte(struct pbuf *m, unsigned v)
{
    if (m->n < sizeof m->b)
        m->b[m->n++] = (uint8_t)v;
}

static inline void pb_vint(struct pbuf *m, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        pb_byte(m, (unsigned)(v & 0x7f) | 0x80);
    pb_byte(m, (unsigned)v);
}

static inline void pb_key(struct pbuf *m, unsigned field, unsigned wire)
{
    pb_vint(m, (uint64_t)field << 3 | wire);
}

static inline void pb_int(struct pbuf *m, unsigned field, int64_t v)
{
    pb_key(m, field, 0);
    pb_vint(m, (uint64_t)v);
}

static inline void pb_raw(struct pbuf *m, unsigned field, const void *p,
                          size_t n)
{
    pb_key(m, field, 2);
    pb_vint(m, n);
    for (size_t k = 0; k < n; k++)
        pb_byte(m, ((const uint8_t *)p)[k]);
}

static inline void pb_str(struct pbuf *m, unsigned field, const char *s)
{
    pb_raw(m, field, s, strlen(s));
}

static inline void pb_msg(struct pbuf *m, unsigned field,
                          const struct pbuf *child)
{
    pb_raw(m, field, child->b, child->n);
}

/* ------------------------------------------------------------- ONNX pieces */

/* NodeProto: op, one or two inputs, one output. */
static inline void onnx_node(struct pbuf *graph, const char *op, const char *a,
                             const char *b, const char *out)
{
    struct pbuf n = {.n = 0};
    pb_str(&n, 1, a);
    if (b)
        pb_str(&n, 1, b);
    pb_str(&n, 2, out);
    pb_str(&n, 4, op);
    pb_msg(graph, 1, &n);
}

/* TensorProto head: shape, type, name. */
static inline void onnx_tensor(struct pbuf *t, const char *name, int type,
                               int rank, const int64_t *dim)
{
    for (int k = 0; k < rank; k++)
        pb_int(t, 1, dim[k]);
    pb_int(t, 2, type);
    pb_str(t, 8, name);
}

/* ValueInfoProto of float32, dimension -1 written as a symbol. */
static inline void onnx_info(struct pbuf *graph, unsigned field,
                             const char *name, int rank, const int64_t *dim)
{
    struct pbuf shape = {.n = 0}, tensor = {.n = 0}, type = {.n = 0},
                info = {.n = 0};
    for (int k = 0; k < rank; k++) {
        struct pbuf d = {.n = 0};
        if (dim[k] < 0)
            pb_str(&d, 2, "N");
        else
            pb_int(&d, 1, dim[k]);
        pb_msg(&shape, 1, &d);
    }
    pb_int(&tensor, 1, 1);
    pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_str(&info, 1, name);
    pb_msg(&info, 2, &type);
    pb_msg(graph, field, &info);
}

/* ModelProto around a graph. */
static inline void onnx_model(struct pbuf *m, const struct pbuf *graph,
                              int64_t opset)
{
    struct pbuf set = {.n = 0};
    pb_str(&set, 1, "");
    pb_int(&set, 2, opset);
    pb_int(m, 1, 8);
    pb_msg(m, 8, &set);
    pb_msg(m, 7, graph);
}

/* x[N,2] x w[2,3] -> y, the network most tests start from. */
static inline void onnx_small(struct pbuf *m)
{
    static const int64_t wd[] = {2, 3}, xd[] = {-1, 2}, yd[] = {-1, 3};
    static const float w[] = {1.0f, -2.0f, 3.0f, 0.5f, 0.25f, -0.125f};
    struct pbuf g = {.n = 0}, t = {.n = 0};
    onnx_node(&g, "MatMul", "x", "w", "y");
    onnx_tensor(&t, "w", 1, 2, wd);
    pb_raw(&t, 9, w, sizeof w);
    pb_msg(&g, 5, &t);
    onnx_info(&g, 11, "x", 2, xd);
    onnx_info(&g, 12, "y", 2, yd);
    onnx_model(m, &g, 13);
}

#endif
