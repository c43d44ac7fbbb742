/* model: a network as it was read, immutable after load.  Loaders (onnx,
 * npz, ...) decide by content; finish.c sorts the graph, folds constants
 * that only move data, and names the quantizable layers.  Running it is
 * graph/'s business. */
#ifndef BD_MODEL_H
#define BD_MODEL_H

#include "tensor/tensor.h"

/* ------------------------------------------------------------ attributes */
enum bd_attr_kind {
    BD_ATTR_INT, BD_ATTR_FLOAT, BD_ATTR_STR, BD_ATTR_INTS, BD_ATTR_FLOATS,
    BD_ATTR_TENSOR,
    BD_ATTR_OTHER /* a subgraph, strings, ...: there, but not held */
};
struct bd_attr {
    const char *name;
    enum bd_attr_kind kind;
    int64_t i;
    float f;
    const char *s;
    size_t n; /* of ints or floats */
    const int64_t *ints;
    const float *floats;
    struct bd_tensor t;
};

struct bd_node {
    const char *name; /* unique; made from the op and position if absent */
    const char *op;   /* "Conv"; "com.microsoft.X" outside the main domain */
    int nin, nout;
    const int *in;  /* value indices, -1 = optional input left out */
    const int *out; /* value indices, -1 = output nobody asked for */
    size_t nattr;
    const struct bd_attr *attr;
};

struct bd_value {
    const char *name;
    struct bd_tensor t; /* data set for constants only; rank -1 = shape
                           not declared */
    int producer;       /* node index, -1 for inputs and constants */
    int origin;         /* constant of the file that folding moved here, -1 =
                           not folded: exporters name that one */
    bool initializer;   /* a constant that the file itself held */
};

/* A layer whose weights and input a user can quantize: Conv, ConvTranspose,
 * Gemm or MatMul with constant weights. */
struct bd_layer {
    const char *name;   /* unique: the weight's name without ".weight", or
                           the node's */
    int node;           /* index into nodes, -1 without a graph */
    int weight;         /* value index, data known */
    int bias;           /* value index or -1 */
    int input;          /* value index of the activation that enters, -1
                           without a graph */
    int axis;           /* output-channel axis of the weight */
    int64_t group;      /* of a convolution, else 1 */
    /* Clips that came with a quantization-aware checkpoint, NaN if none. */
    float learned_w, learned_a;
};

struct bd_model {
    const char *path, *format; /* "onnx", "npz" */
    const char *arch;          /* "resnet20" when recognised or given, or "" */
    uint64_t digest;           /* XXH3 of the file's bytes */
    int64_t opset;
    size_t nnodes, nvalues, nlayers;
    const struct bd_node *node;   /* topological order */
    const struct bd_value *value;
    const struct bd_layer *layer; /* in node order */
    size_t ninputs, noutputs;
    const int *input, *output;    /* value indices; inputs exclude
                                     initializers */
    int64_t params;               /* elements of all floating weights that
                                     nodes use; running statistics of
                                     BatchNormalization left out */
    size_t nwarnings;
    const char *const *warning;
    size_t file_size;
    struct bd_arena arena;        /* owns everything above */
    struct bd_file map;           /* zero-copy tensors point in here */
};

/* Opens any supported file by its content.  arch names the network for
 * files without a graph, NULL = recognise.  Weights without any graph give a
 * model with values and layers but no nodes (ninputs 0). */
bd_status bd_model_load(struct bd_model **out, const char *path,
                        const char *arch, struct bd_err *err);
void bd_model_free(struct bd_model *m);

const struct bd_attr *bd_node_attr(const struct bd_node *n, const char *name);
int64_t bd_node_int(const struct bd_node *n, const char *name, int64_t dflt);
float bd_node_float(const struct bd_node *n, const char *name, float dflt);
const char *bd_node_str(const struct bd_node *n, const char *name,
                        const char *dflt);
int bd_model_find_layer(const struct bd_model *m, const char *name); /* -1 */
int bd_model_find_value(const struct bd_model *m, const char *name); /* -1 */

/* The defaults a sidecar names: MODEL.onnx.bitdial.json or, if that is absent,
 * MODEL.bitdial.json.  Strings live in the arena given; labels and data are
 * already joined with the model's folder.  Absent file: everything NULL and
 * BD_OK. */
struct bd_sidecar {
    const char *preprocess; /* preset or list as --preprocess takes it */
    const char *labels, *arch, *data;
};
bd_status bd_sidecar_load(struct bd_sidecar *out, struct bd_arena *a,
                          const char *model_path, struct bd_err *err);

/* ---------------------------------------------------------------- building
 * For architectures made in memory (npz + arch, training from scratch) and
 * for writing.  Names are copied; data is borrowed unless said. */
struct bd_builder;
struct bd_builder *bd_builder_new(void);
void bd_builder_free(struct bd_builder *b);
int bd_build_input(struct bd_builder *b, const char *name,
                   const int64_t *dim, int rank); /* value index; dim 0 may be
                                                     -1 (batch) */
int bd_build_const(struct bd_builder *b, const char *name,
                   const struct bd_tensor *t); /* borrows t's data */
/* One node with one output; returns the output's value index.  in: nin value
 * indices.  -1 on exhaustion. */
int bd_build_node(struct bd_builder *b, const char *op, const char *name,
                  const int *in, int nin, const struct bd_attr *attr,
                  size_t nattr);
void bd_build_output(struct bd_builder *b, int value);
/* Sorts, folds, names layers; the builder is used up (freed) either way.
 * The arena of the model keeps copies of all constants if copy is set. */
bd_status bd_build_finish(struct bd_model **out, struct bd_builder *b,
                          bool copy, struct bd_err *err);
/* A named architecture with weights drawn from seed (He initialisation,
 * BatchNorm 1/0/0/1): "resnet20", "mobilenet-glyphs", "mlp:784-256-256-10".
 * input_dim: [3,32,32] or so, without the batch. */
bd_status bd_arch_new(struct bd_model **out, const char *arch,
                      const int64_t *input_dim, int rank, int64_t classes,
                      uint64_t seed, struct bd_err *err);
/* NULL-ended list of names --arch takes. */
const char *const *bd_arch_names(void);

/* The model as ONNX bytes; override[v] (may be NULL, or NULL entries)
 * replaces the data of value v.  Deterministic.  Caller owns *out. */
bd_status bd_onnx_write(struct bd_str *out, const struct bd_model *m,
                        const float *const *override, struct bd_err *err);

/* ---------------------------------------------------------------- patching
 * A model with some constants replaced, as repairs do. */
struct bd_patch {
    int value; /* the constant; -1 = a new bias of `layer`, which has none */
    int layer;
    const float *data; /* as many as the constant, or the layer's outputs,
                          hold; copied */
};
enum { BD_FORGET_W = 1, BD_FORGET_A = 2 }; /* a learned clip */
struct bd_patches {
    const struct bd_patch *patch;
    size_t n;
    const unsigned char *forget; /* [nlayers] of the above, or NULL */
};
/* Borrows the base for all that stays, so the base must outlive it; the
 * caller frees.  Its digest follows from the base's and the patches. */
bd_status bd_model_patched(struct bd_model **out, const struct bd_model *base,
                           const struct bd_patches *c, struct bd_err *err);

/* One TensorProto (input_0.pb of conformance tests) or .npy file, copied
 * into the arena. */
bd_status bd_tensor_load(struct bd_tensor *out, struct bd_arena *a,
                         const char *path, struct bd_err *err);

#endif
