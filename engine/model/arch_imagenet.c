/* The architectures of ImageNet, with the tensor names of torchvision.
 *
 * AlexNet in its one-column form (Krizhevsky 2014), VGG A and D (Simonyan and
 * Zisserman 2015), ResNet of basic blocks and, from 50 layers on, bottleneck
 * blocks with the stride in the 3x3 convolution (He et al. 2016, as
 * torchvision has it).  Pictures are 224 x 224, the size at which the adaptive
 * pooling of the originals does nothing. */
#include "model/arch.h"

#include <stdio.h>

enum { SIDE = 224, CLASSES = 1000 };

static int64_t channels_of(const struct bd_tensor *w)
{
    return w && w->rank == 4 ? w->dim[1] : 3;
}

/* The network's input; the first convolution tells its channels. */
static int picture(struct bd_arch_ctx *c, int64_t dim[3], const char *first)
{
    dim[0] = c->mode == BD_ARCH_DRAW
                 ? c->in[0]
                 : channels_of(bd_arch_has(c, "%s.weight", first));
    dim[1] = dim[2] = SIDE;
    if (c->mode == BD_ARCH_DRAW &&
        (c->in_rank != 3 || c->in[1] != SIDE || c->in[2] != SIDE))
        bd_arch_fail(c, BD_EINVALID, "takes pictures [channels,224,224]");
    return bd_arch_input(c, dim, 3);
}

/* Rows of the last matrix, or what drawing asks for. */
static int64_t classes_of(const struct bd_arch_ctx *c, const char *last)
{
    const struct bd_tensor *w = bd_arch_has(c, "%s.weight", last);
    if (w && w->rank == 2)
        return w->dim[0];
    return c->classes > 0 ? c->classes : CLASSES;
}

/* -------------------------------------------------------- AlexNet and VGG */

/* "features.N": convolution with bias, then ReLU as N+1. */
static int conv_relu(struct bd_arch_ctx *c, int x, int at,
                     const struct bd_arch_conv *k, int64_t pad)
{
    char name[32];
    const char *n = name;
    snprintf(name, sizeof name, "features.%d", at);
    x = bd_arch_conv_more(c, x, n, k, (struct bd_arch_more){pad, true});
    snprintf(name, sizeof name, "features.%d", at + 1);
    return bd_arch_relu(c, x, n);
}

static int pool(struct bd_arch_ctx *c, int x, int at, int64_t kernel)
{
    char name[32];
    struct bd_arch_pool k = {kernel, 2, 0};
    snprintf(name, sizeof name, "features.%d", at);
    return bd_arch_max_pool(c, x, name, &k);
}

/* Three matrices with ReLU between; `at`: their places in "classifier". */
static void classifier(struct bd_arch_ctx *c, int x, const int at[3],
                       int64_t in)
{
    int64_t size[4] = {in, 4096, 4096, classes_of(c, "classifier.6")};
    char name[32];
    const char *n = name;
    x = bd_arch_node(c, "Flatten", "flatten", &x, 1);
    for (int k = 0; k < 3; k++) {
        struct bd_arch_full full = {size[k], size[k + 1], true};
        snprintf(name, sizeof name, "classifier.%d", at[k]);
        x = bd_arch_full(c, x, n, &full);
        snprintf(name, sizeof name, "classifier.%d", at[k] + 1);
        if (k < 2)
            x = bd_arch_relu(c, x, n);
    }
    bd_arch_output(c, x);
}

void bd_arch_alexnet(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    static const int at[3] = {1, 4, 6};
    int64_t dim[3];
    int x = picture(c, dim, "features.0");
    (void)a;
    x = conv_relu(c, x, 0, &(struct bd_arch_conv){dim[0], 64, 11, 4, 1}, 2);
    x = pool(c, x, 2, 3);
    x = conv_relu(c, x, 3, &(struct bd_arch_conv){64, 192, 5, 1, 1}, 2);
    x = pool(c, x, 5, 3);
    x = conv_relu(c, x, 6, &(struct bd_arch_conv){192, 384, 3, 1, 1}, 1);
    x = conv_relu(c, x, 8, &(struct bd_arch_conv){384, 256, 3, 1, 1}, 1);
    x = conv_relu(c, x, 10, &(struct bd_arch_conv){256, 256, 3, 1, 1}, 1);
    x = pool(c, x, 12, 3);
    classifier(c, x, at, 256 * 6 * 6);
}

void bd_arch_vgg(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    static const int at[3] = {0, 3, 6};
    static const int64_t width[5] = {64, 128, 256, 512, 512};
    static const int deep[2][5] = {{1, 1, 2, 2, 2}, {2, 2, 3, 3, 3}};
    const int *convs = deep[a->variant == 16];
    int64_t dim[3];
    int n = 0, x = picture(c, dim, "features.0");
    struct bd_arch_conv k = {dim[0], 0, 3, 1, 1};
    for (int stage = 0; stage < 5; stage++) {
        for (int i = 0; i < convs[stage]; i++, n += 2) {
            k.out = width[stage];
            x = conv_relu(c, x, n, &k, 1);
            k.in = k.out;
        }
        x = pool(c, x, n++, 2);
    }
    classifier(c, x, at, 512 * 7 * 7);
}

/* ------------------------------------------------------------------ ResNet */

struct unit { /* one residual block */
    char name[32]; /* "layer2.0" */
    int64_t in, mid, out, stride;
    bool bottleneck;
};

/* Convolution n with its BatchNorm; ReLU unless it is the last. */
static int conv_norm(struct bd_arch_ctx *c, int x, const struct unit *u, int n,
                     const struct bd_arch_conv *k)
{
    char name[64];
    const char *at = name;
    snprintf(name, sizeof name, "%s.conv%d", u->name, n);
    x = bd_arch_conv(c, x, at, k);
    snprintf(name, sizeof name, "%s.bn%d", u->name, n);
    x = bd_arch_norm(c, x, at, k->out);
    snprintf(name, sizeof name, "%s.relu%d", u->name, n);
    return n == (u->bottleneck ? 3 : 2) ? x : bd_arch_relu(c, x, at);
}

static int branch(struct bd_arch_ctx *c, int x, const struct unit *u)
{
    struct bd_arch_conv first = {u->in, u->mid, 3, u->stride, 1};
    struct bd_arch_conv second = {u->mid, u->mid, 3, 1, 1};
    struct bd_arch_conv third = {u->mid, u->out, 1, 1, 1};
    if (u->bottleneck) {
        first.kernel = first.stride = 1;
        second.stride = u->stride;
    }
    x = conv_norm(c, x, u, 1, &first);
    x = conv_norm(c, x, u, 2, &second);
    return u->bottleneck ? conv_norm(c, x, u, 3, &third) : x;
}

static int residual(struct bd_arch_ctx *c, int x, const struct unit *u)
{
    char name[64];
    const char *at = name;
    int sum[2] = {branch(c, x, u), x};
    if (u->stride != 1 || u->in != u->out) {
        struct bd_arch_conv k = {u->in, u->out, 1, u->stride, 1};
        snprintf(name, sizeof name, "%s.downsample.0", u->name);
        sum[1] = bd_arch_conv(c, x, at, &k);
        snprintf(name, sizeof name, "%s.downsample.1", u->name);
        sum[1] = bd_arch_norm(c, sum[1], at, u->out);
    }
    snprintf(name, sizeof name, "%s.add", u->name);
    x = bd_arch_node(c, "Add", at, sum, 2);
    snprintf(name, sizeof name, "%s.relu", u->name);
    return bd_arch_relu(c, x, at);
}

void bd_arch_resnet_deep(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    static const int blocks[2][4] = {{2, 2, 2, 2}, {3, 4, 6, 3}};
    const int *count = blocks[a->variant > 18];
    struct unit u = {.in = 64, .bottleneck = a->variant >= 50};
    int64_t dim[3];
    int x = picture(c, dim, "conv1");
    struct bd_arch_conv stem = {dim[0], 64, 7, 2, 1};
    x = bd_arch_conv(c, x, "conv1", &stem);
    x = bd_arch_norm(c, x, "bn1", 64);
    x = bd_arch_relu(c, x, "relu");
    x = bd_arch_max_pool(c, x, "maxpool", &(struct bd_arch_pool){3, 2, 1});
    for (int stage = 0; stage < 4; stage++)
        for (int k = 0; k < count[stage]; k++) {
            snprintf(u.name, sizeof u.name, "layer%d.%d", stage + 1, k);
            u.mid = (int64_t)64 << stage;
            u.out = u.mid * (u.bottleneck ? 4 : 1);
            u.stride = stage > 0 && k == 0 ? 2 : 1;
            x = residual(c, x, &u);
            u.in = u.out;
        }
    bd_arch_output(c, bd_arch_head(c, x, "fc", u.in));
}
