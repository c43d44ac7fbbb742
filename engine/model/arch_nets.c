/* The architectures.
 *
 * ResNet for CIFAR (He et al. 2015, section 4.2): a 3x3 convolution, three
 * stages of n blocks with 16, 32, 64 channels, average, fully connected;
 * 6n + 2 layers.  Where size changes, the shortcut is a 1x1 convolution with
 * BatchNorm ("option B", as the APoT authors use), or takes every second
 * pixel and pads channels with zeros ("option A", which has no weights).
 *
 * MobileNet for the glyphs (after Howard et al. 2017): depthwise 3x3, then
 * pointwise 1x1, each with BatchNorm and ReLU.  Depthwise filters differ
 * widely in range from channel to channel, the case per-channel grids are
 * for.
 *
 * MLP: fully connected layers with ReLU between. */
#include "model/arch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ ResNet */

struct block {
    char name[48]; /* "layer2.0" */
    int64_t in, out, stride;
};

static const char *part(char *out, size_t cap, const struct block *k,
                        const char *tail)
{
    snprintf(out, cap, "%s.%s", k->name, tail);
    return out;
}

/* Option A: every second pixel, zeros for the new channels, half on each
 * side. */
static int shortcut_a(struct bd_arch_ctx *c, int x, const struct block *k)
{
    char name[80];
    int64_t extra = (k->out - k->in) / 2;
    const int64_t from[] = {0, 0}, to[] = {INT32_MAX, INT32_MAX};
    const int64_t axes[] = {2, 3}, step[] = {k->stride, k->stride};
    const int64_t pads[] = {0, extra, 0, 0, 0, extra, 0, 0};
    int in[5] = {x};
    in[1] = bd_arch_ints(c, part(name, sizeof name, k, "starts"), from, 2);
    in[2] = bd_arch_ints(c, part(name, sizeof name, k, "ends"), to, 2);
    in[3] = bd_arch_ints(c, part(name, sizeof name, k, "axes"), axes, 2);
    in[4] = bd_arch_ints(c, part(name, sizeof name, k, "steps"), step, 2);
    int thin[2] = {bd_arch_node(
        c, "Slice", part(name, sizeof name, k, "shortcut.slice"), in, 5)};
    thin[1] = bd_arch_ints(c, part(name, sizeof name, k, "pads"), pads, 8);
    return bd_arch_node(c, "Pad", part(name, sizeof name, k, "shortcut.pad"),
                        thin, 2);
}

static int shortcut(struct bd_arch_ctx *c, int x, const struct block *k)
{
    static const char *const names[] = {"downsample", "shortcut"};
    char name[80];
    if (k->stride == 1 && k->in == k->out)
        return x;
    int which = 0; /* fresh networks get the convolution */
    if (c->mode != BD_ARCH_DRAW)
        while (which < 2 &&
               !bd_arch_has(c, "%s.%s.0.weight", k->name, names[which]))
            which++;
    if (which == 2)
        return shortcut_a(c, x, k);
    struct bd_arch_conv conv = {k->in, k->out, 1, k->stride, 1};
    snprintf(name, sizeof name, "%s.%s.0", k->name, names[which]);
    x = bd_arch_conv(c, x, name, &conv);
    snprintf(name, sizeof name, "%s.%s.1", k->name, names[which]);
    return bd_arch_norm(c, x, name, k->out);
}

static int block(struct bd_arch_ctx *c, int x, const struct block *k)
{
    char name[80];
    struct bd_arch_conv first = {k->in, k->out, 3, k->stride, 1};
    struct bd_arch_conv second = {k->out, k->out, 3, 1, 1};
    int y = bd_arch_conv(c, x, part(name, sizeof name, k, "conv1"), &first);
    y = bd_arch_norm(c, y, part(name, sizeof name, k, "bn1"), k->out);
    y = bd_arch_relu(c, y, part(name, sizeof name, k, "relu1"));
    y = bd_arch_conv(c, y, part(name, sizeof name, k, "conv2"), &second);
    y = bd_arch_norm(c, y, part(name, sizeof name, k, "bn2"), k->out);
    int sum[2] = {y, shortcut(c, x, k)};
    y = bd_arch_node(c, "Add", part(name, sizeof name, k, "add"), sum, 2);
    return bd_arch_relu(c, y, part(name, sizeof name, k, "relu2"));
}

void bd_arch_resnet(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    const struct bd_tensor *w = bd_arch_has(c, "conv1.weight");
    int64_t dim[3] = {c->in[0], c->in[1], c->in[2]};
    if (c->mode != BD_ARCH_DRAW) { /* CIFAR pictures */
        dim[0] = w && w->rank == 4 ? w->dim[1] : 3;
        dim[1] = dim[2] = 32;
    } else if (c->in_rank != 3 || dim[1] < 8 || dim[2] < 8) {
        bd_arch_fail(c, BD_EINVALID,
                     "takes pictures [channels,height,width] of 8x8 or more");
    }
    int x = bd_arch_input(c, dim, 3);
    struct bd_arch_conv stem = {dim[0], 16, 3, 1, 1};
    x = bd_arch_conv(c, x, "conv1", &stem);
    x = bd_arch_norm(c, x, "bn1", 16);
    x = bd_arch_relu(c, x, "relu");
    struct block k = {.in = 16};
    for (int stage = 1; stage <= 3; stage++)
        for (int n = 0; n < a->variant; n++) {
            snprintf(k.name, sizeof k.name, "layer%d.%d", stage, n);
            k.out = (int64_t)8 << stage;
            k.stride = stage > 1 && n == 0 ? 2 : 1;
            x = block(c, x, &k);
            k.in = k.out;
        }
    bool linear =
        !bd_arch_has(c, "fc.weight") && bd_arch_has(c, "linear.weight");
    bd_arch_output(c, bd_arch_head(c, x, linear ? "linear" : "fc", 64));
}

/* --------------------------------------------------------------- MobileNet */

static int separable(struct bd_arch_ctx *c, int x, int n,
                     const struct bd_arch_conv *k)
{
    char name[48];
    struct bd_arch_conv depth = {k->in, k->in, 3, k->stride, k->in};
    struct bd_arch_conv point = {k->in, k->out, 1, 1, 1};
    const char *at = name;
    snprintf(name, sizeof name, "block%d.dw", n);
    x = bd_arch_conv(c, x, at, &depth);
    snprintf(name, sizeof name, "block%d.dw.bn", n);
    x = bd_arch_norm(c, x, at, k->in);
    snprintf(name, sizeof name, "block%d.dw.relu", n);
    x = bd_arch_relu(c, x, at);
    snprintf(name, sizeof name, "block%d.pw", n);
    x = bd_arch_conv(c, x, at, &point);
    snprintf(name, sizeof name, "block%d.pw.bn", n);
    x = bd_arch_norm(c, x, at, k->out);
    snprintf(name, sizeof name, "block%d.pw.relu", n);
    return bd_arch_relu(c, x, at);
}

void bd_arch_mobilenet(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    static const struct bd_arch_conv blocks[] = {
        {.in = 16, .out = 32, .stride = 1},
        {.in = 32, .out = 64, .stride = 2},
        {.in = 64, .out = 64, .stride = 1},
        {.in = 64, .out = 128, .stride = 2},
        {.in = 128, .out = 128, .stride = 1},
        {.in = 128, .out = 128, .stride = 1},
    };
    int64_t dim[3] = {3, 32, 32};
    (void)a;
    if (c->mode == BD_ARCH_DRAW) {
        memcpy(dim, c->in, sizeof dim);
        if (c->in_rank != 3 || dim[1] < 4 || dim[2] < 4)
            bd_arch_fail(c, BD_EINVALID,
                         "takes pictures "
                         "[channels,height,width] of 4x4 or "
                         "more");
    }
    struct bd_arch_conv stem = {dim[0], 16, 3, 1, 1};
    int x = bd_arch_input(c, dim, 3);
    x = bd_arch_conv(c, x, "stem", &stem);
    x = bd_arch_norm(c, x, "stem.bn", 16);
    x = bd_arch_relu(c, x, "stem.relu");
    for (int k = 0; k < (int)(sizeof blocks / sizeof *blocks); k++)
        x = separable(c, x, k + 1, &blocks[k]);
    bd_arch_output(c, bd_arch_head(c, x, "fc", 128));
}

/* --------------------------------------------------------------------- MLP */

enum { MAX_MLP = 64 };

/* "784-256-10" to its numbers; without any, two hidden layers of 256. */
static int mlp_sizes(struct bd_arch_ctx *c, int64_t *size)
{
    int64_t in = 1;
    int n = 0;
    for (int k = 0; k < c->in_rank; k++)
        in *= c->in[k];
    if (!c->param[0]) {
        const int64_t usual[] = {in, 256, 256, c->classes};
        memcpy(size, usual, sizeof usual);
        return 4;
    }
    for (const char *p = c->param; n < MAX_MLP;) {
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end == p || v < 1 || v > 1 << 20 || (*end && *end != '-'))
            break;
        size[n++] = v;
        if (!*end && n >= 2) {
            if (size[0] == in && size[n - 1] == c->classes)
                return n;
            bd_arch_fail(c, BD_EINVALID,
                         "'%s' starts with %lld and ends with %lld; the data "
                         "has %lld inputs and %lld classes",
                         c->param, (long long)size[0], (long long)size[n - 1],
                         (long long)in, (long long)c->classes);
            return 0;
        }
        p = end + (*end != 0);
    }
    bd_arch_fail(c, BD_EINVALID, "sizes are written like mlp:784-256-10");
    return 0;
}

static void draw_mlp(struct bd_arch_ctx *c)
{
    int64_t size[MAX_MLP] = {0};
    char name[32];
    int n = mlp_sizes(c, size);
    int x = bd_arch_input(c, c->in, c->in_rank);
    x = bd_arch_node(c, "Flatten", "flatten", &x, 1);
    for (int k = 1; k < n; k++) {
        snprintf(name, sizeof name, "fc%d", k);
        x = bd_arch_full(c, x, name,
                         &(struct bd_arch_full){size[k - 1], size[k], true});
        snprintf(name, sizeof name, "relu%d", k);
        if (k < n - 1)
            x = bd_arch_relu(c, x, name);
    }
    bd_arch_output(c, x);
}

/* From a file: its matrices [out,in] must form a chain in file order, each
 * "NAME.weight", with or without "NAME.bias". */
static int mlp_chain(struct bd_arch_ctx *c, char name[MAX_MLP][80],
                     int64_t size[MAX_MLP])
{
    int n = 0;
    for (size_t v = 0; v < c->b->nvalues && c->status == BD_OK; v++) {
        const struct bd_value *w = &c->b->value[v];
        size_t len = strlen(w->name);
        if (!w->t.f || w->t.rank != 2)
            continue;
        if (len < 8 || len > 80 || strcmp(w->name + len - 7, ".weight") != 0 ||
            n + 1 >= MAX_MLP || (n && w->t.dim[1] != size[n]))
            bd_arch_fail(c, BD_EUNSUPPORTED,
                         "its matrices do not form a chain");
        if (c->status != BD_OK)
            break;
        memcpy(name[n], w->name, len - 7);
        name[n][len - 7] = 0;
        size[n] = w->t.dim[1];
        size[++n] = w->t.dim[0];
    }
    if (n < 2)
        bd_arch_fail(c, BD_EUNSUPPORTED, "fewer than two matrices");
    return n;
}

void bd_arch_mlp(struct bd_arch_ctx *c, const struct bd_arch *a)
{
    char name[MAX_MLP][80], relu[100];
    int64_t size[MAX_MLP];
    (void)a;
    if (c->mode == BD_ARCH_DRAW) {
        draw_mlp(c);
        return;
    }
    int n = mlp_chain(c, name, size);
    int x = bd_arch_input(c, size, 1);
    for (int k = 0; k < n && c->status == BD_OK; k++) {
        struct bd_arch_full full = {size[k], size[k + 1], false};
        full.bias = bd_arch_has(c, "%s.bias", name[k]) != NULL;
        x = bd_arch_full(c, x, name[k], &full);
        snprintf(relu, sizeof relu, "%.79s.relu", name[k]);
        if (k < n - 1)
            x = bd_arch_relu(c, x, relu);
    }
    bd_arch_output(c, x);
}
