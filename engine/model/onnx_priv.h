/* The parts of the ONNX reader.  Field numbers are those of the ONNX
 * protobuf definition; a message is described by a table of fields
 * (model/pb.h) and read straight from the mapped file. */
#ifndef BD_MODEL_ONNX_PRIV_H
#define BD_MODEL_ONNX_PRIV_H

#include "model/model_priv.h"
#include "model/pb.h"

/* --------------------------------------------------------- onnx_tensor.c */
struct bd_onnx_src {
    struct bd_arena *arena; /* names and conversions go here */
    const char *path;       /* of the model: external data lies beside it;
                               NULL = external data is refused */
    bool borrow;            /* data may point into the bytes given */
};
struct bd_onnx_named {
    const char *name; /* "" when absent; in the arena */
    struct bd_tensor t;
};
bd_status bd_onnx_tensor(struct bd_onnx_named *out,
                         const struct bd_onnx_src *src, const uint8_t *p,
                         size_t n, struct bd_err *err);
/* A stored string as text in the arena; longer than BD_MAX_NAME or holding a
 * NUL is refused. */
bd_status bd_onnx_text(const char **out, struct bd_arena *a,
                       const struct pb_field *f, struct bd_err *err);

/* ------------------------------------------------------- onnx_external.c */
struct bd_onnx_external {
    const char *location;   /* NULL = none given */
    int64_t offset, length; /* -1 = not given */
};
/* One StringStringEntry of TensorProto.external_data. */
bd_status bd_onnx_external_entry(struct bd_onnx_external *x, struct bd_arena *a,
                                 const struct pb_field *f, struct bd_err *err);
/* Exactly `need` bytes of the file named, in the arena. */
bd_status bd_onnx_external_read(const uint8_t **out,
                                const struct bd_onnx_external *x,
                                const struct bd_onnx_src *src, size_t need,
                                struct bd_err *err);

/* --------------------------------------------------------------- onnx.c */
struct bd_onnx_func { /* a FunctionProto, unread until a node calls it */
    const char *domain, *name;
    const uint8_t *p;
    size_t n;
};

/* Names inside a function body mean something else: formal names stand for
 * the caller's values, all others get the call's prefix. */
struct bd_onnx_scope {
    struct bd_map map; /* name in the body -> value */
    const char *prefix;
    const struct bd_attr *attr; /* of the calling node */
    size_t nattr;
    int depth;
};

struct bd_onnx {
    struct bd_builder *b;
    struct bd_onnx_src src;
    const uint8_t *graph;
    size_t ngraph;
    int graphs;
    uint64_t ir;
    struct bd_ints declared; /* graph inputs as listed, weights among them */
    struct bd_onnx_func *func;
    size_t nfunc, capfunc;
    size_t calls;                /* nodes that came out of function bodies */
    size_t walked;               /* bytes of bodies, each time anew */
    struct bd_onnx_scope *scope; /* NULL in the graph itself */
};

/* The value a name stands for here; *v = -1 for the empty name. */
bd_status bd_onnx_value(int *v, struct bd_onnx *o, const struct pb_field *f,
                        struct bd_err *err);

/* ---------------------------------------------------------- onnx_node.c */
bd_status bd_onnx_node(struct bd_onnx *o, const uint8_t *p, size_t n,
                       struct bd_err *err);
bd_status bd_onnx_attr(struct bd_attr *out, const char **ref, struct bd_onnx *o,
                       const struct pb_field *f, struct bd_err *err);
/* Makes `node` the producer of its outputs and appends it. */
bd_status bd_onnx_add(struct bd_onnx *o, const struct bd_node *node,
                      struct bd_err *err);

/* ---------------------------------------------------------- onnx_func.c */
bd_status bd_onnx_func_add(struct bd_onnx *o, const struct pb_field *f,
                           struct bd_err *err);
const struct bd_onnx_func *bd_onnx_func_find(const struct bd_onnx *o,
                                             const char *domain,
                                             const char *name);
/* Puts the function's body in the node's place. */
bd_status bd_onnx_inline(struct bd_onnx *o, const struct bd_onnx_func *fn,
                         const struct bd_node *call, struct bd_err *err);

#endif
