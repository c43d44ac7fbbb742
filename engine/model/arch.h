/* Named architectures.  One description serves three purposes: to see whether
 * a bag of tensors is such a network (checking names and shapes only), to
 * build the graph around those tensors, and to draw fresh weights.  The mode
 * decides what bd_arch_const does; the description does not know. */
#ifndef BD_MODEL_ARCH_H
#define BD_MODEL_ARCH_H

#include "model/model_priv.h"

enum bd_arch_mode {
    BD_ARCH_CHECK, /* nothing is built */
    BD_ARCH_LOAD,  /* tensors come from the builder, by name */
    BD_ARCH_DRAW   /* tensors are drawn from the seed */
};

enum bd_arch_init { BD_INIT_HE, BD_INIT_SPREAD, BD_INIT_ONE, BD_INIT_ZERO };

struct bd_arch_ctx {
    struct bd_builder *b;
    enum bd_arch_mode mode;
    const char *param; /* what follows the colon of "mlp:..." */
    int64_t in[3];     /* channels, height, width; 0 = let tensors tell */
    int in_rank;
    int64_t classes;      /* 0 = let tensors tell */
    uint64_t seed, drawn; /* tensors drawn so far */
    bool *used;           /* [tensors] of the file that found their place */
    bd_status status;     /* of the first complaint */
    struct bd_err err;
};

struct bd_arch {
    const char *name;
    int variant; /* e.g. blocks per stage */
    void (*build)(struct bd_arch_ctx *c, const struct bd_arch *a);
};
extern const struct bd_arch bd_archs[]; /* ends with a NULL name */
/* "mlp:784-10" is row mlp with parameter "784-10". */
bd_status bd_arch_find(const struct bd_arch **out, const char **param,
                       const char *name, struct bd_err *err);

/* Building blocks.  After a complaint all of them do nothing. */
void bd_arch_fail(struct bd_arch_ctx *c, bd_status s, const char *fmt, ...)
    BD_PRINTF(3, 4);
/* Whether a tensor of that name came with the file. */
const struct bd_tensor *bd_arch_has(const struct bd_arch_ctx *c,
                                    const char *fmt, ...) BD_PRINTF(2, 3);
int bd_arch_const(struct bd_arch_ctx *c, const char *name,
                  const struct bd_tensor *shape, enum bd_arch_init init);
int bd_arch_ints(struct bd_arch_ctx *c, const char *name, const int64_t *v,
                 int n);
int bd_arch_input(struct bd_arch_ctx *c, const int64_t *dim, int rank);
void bd_arch_output(struct bd_arch_ctx *c, int x);
int bd_arch_node(struct bd_arch_ctx *c, const char *op, const char *name,
                 const int *in, int nin);

struct bd_arch_conv {
    int64_t in, out, kernel, stride, group;
};
/* "NAME.weight"; padding keeps the size at stride 1. */
int bd_arch_conv(struct bd_arch_ctx *c, int x, const char *name,
                 const struct bd_arch_conv *k);
/* With what few convolutions have: a padding of its own, "NAME.bias". */
struct bd_arch_more {
    int64_t pad;
    bool bias;
};
int bd_arch_conv_more(struct bd_arch_ctx *c, int x, const char *name,
                      const struct bd_arch_conv *k, struct bd_arch_more more);
struct bd_arch_pool {
    int64_t kernel, stride, pad;
};
int bd_arch_max_pool(struct bd_arch_ctx *c, int x, const char *name,
                     const struct bd_arch_pool *k);
int bd_arch_norm(struct bd_arch_ctx *c, int x, const char *name, int64_t n);
int bd_arch_relu(struct bd_arch_ctx *c, int x, const char *name);
/* Gemm with "NAME.weight" [out,in] and, with `bias`, "NAME.bias". */
struct bd_arch_full {
    int64_t in, out;
    bool bias;
};
int bd_arch_full(struct bd_arch_ctx *c, int x, const char *name,
                 const struct bd_arch_full *k);
/* Global average, flatten, fully connected. */
int bd_arch_head(struct bd_arch_ctx *c, int x, const char *name, int64_t in);

void bd_arch_resnet(struct bd_arch_ctx *c, const struct bd_arch *a);
void bd_arch_mobilenet(struct bd_arch_ctx *c, const struct bd_arch *a);
void bd_arch_mlp(struct bd_arch_ctx *c, const struct bd_arch *a);
/* arch_imagenet.c */
void bd_arch_alexnet(struct bd_arch_ctx *c, const struct bd_arch *a);
void bd_arch_vgg(struct bd_arch_ctx *c, const struct bd_arch *a);
void bd_arch_resnet_deep(struct bd_arch_ctx *c, const struct bd_arch *a);

#endif
