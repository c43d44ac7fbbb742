/* The building blocks of named architectures, and drawing fresh ones. */
#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct bd_arch bd_archs[] = {
    {"resnet20", 3, bd_arch_resnet},
    {"resnet32", 5, bd_arch_resnet},
    {"resnet44", 7, bd_arch_resnet},
    {"resnet56", 9, bd_arch_resnet},
    {"resnet110", 18, bd_arch_resnet},
    {"mobilenet-glyphs", 0, bd_arch_mobilenet},
    {"alexnet", 0, bd_arch_alexnet},
    {"vgg11", 11, bd_arch_vgg},
    {"vgg16", 16, bd_arch_vgg},
    {"resnet18", 18, bd_arch_resnet_deep},
    {"resnet34", 34, bd_arch_resnet_deep},
    {"resnet50", 50, bd_arch_resnet_deep},
    {"mlp", 0, bd_arch_mlp},
    {NULL, 0, NULL},
};

const char *const *bd_arch_names(void)
{
    static const char *const names[] = {
        "resnet20",  "resnet32",         "resnet44", "resnet56",
        "resnet110", "mobilenet-glyphs", "alexnet",  "vgg11",
        "vgg16",     "resnet18",         "resnet34", "resnet50",
        "mlp",       NULL};
    return names;
}

/* ------------------------------------------------------------------ errors */

void bd_arch_fail(struct bd_arch_ctx *c, bd_status s, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    if (c->status != BD_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->status = bd_fail(&c->err, s, "%s", text);
}

static int built(struct bd_arch_ctx *c, int v)
{
    if (v < 0)
        bd_arch_fail(c, BD_ENOMEM, "not enough memory for the network");
    return v;
}

static bool idle(const struct bd_arch_ctx *c)
{
    return c->status != BD_OK || c->mode == BD_ARCH_CHECK;
}

/* ----------------------------------------------------------------- tensors */

const struct bd_tensor *bd_arch_has(const struct bd_arch_ctx *c,
                                    const char *fmt, ...)
{
    char name[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (c->mode == BD_ARCH_DRAW)
        return NULL;
    int v = bd_draft_find(c->b, name, strlen(name));
    return v < 0 ? NULL : &c->b->value[v].t;
}

static bool same_shape(const struct bd_tensor *a, const struct bd_tensor *b)
{
    bool same = a->rank == b->rank;
    for (int k = 0; same && k < a->rank; k++)
        same = a->dim[k] == b->dim[k];
    return same;
}

static int find_const(struct bd_arch_ctx *c, const char *name,
                      const struct bd_tensor *shape)
{
    char found[160], want[160];
    int v = bd_draft_find(c->b, name, strlen(name));
    if (v < 0 || !c->b->value[v].t.f) {
        bd_arch_fail(c, BD_EUNSUPPORTED, "tensor '%s' is missing", name);
        return -1;
    }
    const struct bd_tensor *t = &c->b->value[v].t;
    if (!same_shape(t, shape)) {
        bd_arch_fail(c, BD_EUNSUPPORTED, "tensor '%s' is %s, expected %s", name,
                     bd_shape_text(found, sizeof found, t),
                     bd_shape_text(want, sizeof want, shape));
        return -1;
    }
    if (c->used)
        c->used[v] = true;
    return v;
}

/* He initialisation keeps the variance of a ReLU network from layer to
 * layer: normal numbers of variance 2 / (inputs of one output).  SPREAD then
 * scales each output channel by a factor of its own between 1/8 and 8.  The
 * BatchNorm behind makes that harmless, and training keeps much of it: the
 * wide differences between depthwise filters that real networks have. */
static void draw(struct bd_tensor *t, enum bd_arch_init init, struct bd_rng rng)
{
    int64_t n = bd_tensor_count(t);
    double fan = t->rank ? (double)n / (double)t->dim[0] : 1.0, scale = 1.0;
    double std = sqrt(2.0 / fan);
    for (int64_t k = 0; k < n; k++) {
        if (init == BD_INIT_SPREAD && k % (int64_t)fan == 0)
            scale = exp2(6.0 * bd_rng_unit(&rng) - 3.0);
        t->f[k] = init == BD_INIT_ONE ? 1.0f
                  : init == BD_INIT_ZERO
                      ? 0.0f
                      : (float)(scale * std * bd_rng_normal(&rng));
    }
}

static int draw_const(struct bd_arch_ctx *c, const char *name,
                      const struct bd_tensor *shape, enum bd_arch_init init)
{
    struct bd_tensor t = *shape;
    int64_t n = bd_tensor_count(&t);
    t.type = BD_F32;
    t.f = bd_arena_alloc(&c->b->arena, (size_t)n, sizeof *t.f);
    if (!t.f)
        return built(c, -1);
    draw(&t, init, bd_rng_fork(c->seed, c->drawn++));
    return built(c, bd_build_const(c->b, name, &t));
}

int bd_arch_const(struct bd_arch_ctx *c, const char *name,
                  const struct bd_tensor *shape, enum bd_arch_init init)
{
    if (c->status != BD_OK)
        return -1;
    return c->mode == BD_ARCH_DRAW ? draw_const(c, name, shape, init)
                                   : find_const(c, name, shape);
}

int bd_arch_ints(struct bd_arch_ctx *c, const char *name, const int64_t *v,
                 int n)
{
    if (idle(c))
        return -1;
    struct bd_tensor t = {.type = BD_I64, .rank = 1, .dim = {n}};
    t.i = bd_arena_alloc(&c->b->arena, (size_t)n, sizeof *t.i);
    if (!t.i)
        return built(c, -1);
    memcpy(t.i, v, (size_t)n * sizeof *v);
    return built(c, bd_build_const(c->b, name, &t));
}

/* ------------------------------------------------------------------- nodes */

int bd_arch_input(struct bd_arch_ctx *c, const int64_t *dim, int rank)
{
    int64_t d[BD_MAX_RANK] = {-1};
    if (idle(c))
        return -1;
    for (int k = 0; k < rank; k++)
        d[k + 1] = dim[k];
    return built(c, bd_build_input(c->b, "input", d, rank + 1));
}

void bd_arch_output(struct bd_arch_ctx *c, int x)
{
    if (!idle(c))
        bd_build_output(c->b, x);
}

static int node(struct bd_arch_ctx *c, const struct bd_node *n)
{
    if (idle(c))
        return -1;
    return built(c, bd_build_node(c->b, n->op, n->name, n->in, n->nin, n->attr,
                                  n->nattr));
}

int bd_arch_node(struct bd_arch_ctx *c, const char *op, const char *name,
                 const int *in, int nin)
{
    struct bd_node n = {.op = op, .name = name, .in = in, .nin = nin};
    return node(c, &n);
}

int bd_arch_conv(struct bd_arch_ctx *c, int x, const char *name,
                 const struct bd_arch_conv *k)
{
    return bd_arch_conv_more(c, x, name, k,
                             (struct bd_arch_more){k->kernel / 2, false});
}

/* "NAME.bias" or nothing. */
static int bias_of(struct bd_arch_ctx *c, const char *name, int64_t n,
                   bool wanted)
{
    char full[160];
    struct bd_tensor shape = {.rank = 1, .dim = {n}};
    snprintf(full, sizeof full, "%s.bias", name);
    return wanted ? bd_arch_const(c, full, &shape, BD_INIT_ZERO) : -1;
}

int bd_arch_conv_more(struct bd_arch_ctx *c, int x, const char *name,
                      const struct bd_arch_conv *k, struct bd_arch_more more)
{
    char weight[160];
    snprintf(weight, sizeof weight, "%s.weight", name);
    struct bd_tensor shape = {
        .rank = 4, .dim = {k->out, k->in / k->group, k->kernel, k->kernel}};
    int64_t p = more.pad, kernel[] = {k->kernel, k->kernel};
    int64_t pads[] = {p, p, p, p}, strides[] = {k->stride, k->stride};
    int64_t dilations[] = {1, 1};
    struct bd_attr attr[] = {
        {.name = "dilations", .kind = BD_ATTR_INTS, .n = 2, .ints = dilations},
        {.name = "group", .kind = BD_ATTR_INT, .i = k->group},
        {.name = "kernel_shape", .kind = BD_ATTR_INTS, .n = 2, .ints = kernel},
        {.name = "pads", .kind = BD_ATTR_INTS, .n = 4, .ints = pads},
        {.name = "strides", .kind = BD_ATTR_INTS, .n = 2, .ints = strides},
    };
    bool depthwise = k->group > 1 && k->group == k->in;
    int in[3] = {x};
    in[1] = bd_arch_const(c, weight, &shape,
                          depthwise ? BD_INIT_SPREAD : BD_INIT_HE);
    in[2] = bias_of(c, name, k->out, more.bias);
    struct bd_node n = {.op = "Conv",
                        .name = name,
                        .in = in,
                        .nin = more.bias ? 3 : 2,
                        .attr = attr,
                        .nattr = sizeof attr / sizeof *attr};
    return node(c, &n);
}

int bd_arch_max_pool(struct bd_arch_ctx *c, int x, const char *name,
                     const struct bd_arch_pool *k)
{
    int64_t p = k->pad, kernel[] = {k->kernel, k->kernel};
    int64_t pads[] = {p, p, p, p}, strides[] = {k->stride, k->stride};
    struct bd_attr attr[] = {
        {.name = "kernel_shape", .kind = BD_ATTR_INTS, .n = 2, .ints = kernel},
        {.name = "pads", .kind = BD_ATTR_INTS, .n = 4, .ints = pads},
        {.name = "strides", .kind = BD_ATTR_INTS, .n = 2, .ints = strides},
    };
    struct bd_node n = {.op = "MaxPool",
                        .name = name,
                        .in = &x,
                        .nin = 1,
                        .attr = attr,
                        .nattr = sizeof attr / sizeof *attr};
    return node(c, &n);
}

int bd_arch_norm(struct bd_arch_ctx *c, int x, const char *name, int64_t n)
{
    static const struct {
        const char *tail;
        enum bd_arch_init init;
    } part[] = {{"weight", BD_INIT_ONE},
                {"bias", BD_INIT_ZERO},
                {"running_mean", BD_INIT_ZERO},
                {"running_var", BD_INIT_ONE}};
    struct bd_tensor shape = {.rank = 1, .dim = {n}};
    struct bd_attr eps = {.name = "epsilon", .kind = BD_ATTR_FLOAT, .f = 1e-5f};
    int in[5] = {x};
    for (int k = 0; k < 4; k++) {
        char full[160];
        snprintf(full, sizeof full, "%s.%s", name, part[k].tail);
        in[k + 1] = bd_arch_const(c, full, &shape, part[k].init);
    }
    struct bd_node bn = {.op = "BatchNormalization",
                         .name = name,
                         .in = in,
                         .nin = 5,
                         .attr = &eps,
                         .nattr = 1};
    return node(c, &bn);
}

int bd_arch_relu(struct bd_arch_ctx *c, int x, const char *name)
{
    return bd_arch_node(c, "Relu", name, &x, 1);
}

int bd_arch_full(struct bd_arch_ctx *c, int x, const char *name,
                 const struct bd_arch_full *k)
{
    char full[160];
    struct bd_tensor w = {.rank = 2, .dim = {k->out, k->in}};
    struct bd_tensor b = {.rank = 1, .dim = {k->out}};
    struct bd_attr trans = {.name = "transB", .kind = BD_ATTR_INT, .i = 1};
    int from[3] = {x, -1, -1};
    snprintf(full, sizeof full, "%s.weight", name);
    from[1] = bd_arch_const(c, full, &w, BD_INIT_HE);
    snprintf(full, sizeof full, "%s.bias", name);
    if (k->bias)
        from[2] = bd_arch_const(c, full, &b, BD_INIT_ZERO);
    struct bd_node n = {.op = "Gemm",
                        .name = name,
                        .in = from,
                        .nin = k->bias ? 3 : 2,
                        .attr = &trans,
                        .nattr = 1};
    return node(c, &n);
}

int bd_arch_head(struct bd_arch_ctx *c, int x, const char *name, int64_t in)
{
    const struct bd_tensor *w = bd_arch_has(c, "%s.weight", name);
    struct bd_arch_full full = {in, c->classes, true};
    if (w && w->rank == 2)
        full.out = w->dim[0];
    x = bd_arch_node(c, "GlobalAveragePool", "pool", &x, 1);
    x = bd_arch_node(c, "Flatten", "flatten", &x, 1);
    return bd_arch_full(c, x, name, &full);
}

/* ----------------------------------------------------------------- drawing */

static const struct bd_arch *find_arch(const char *name, const char **param)
{
    size_t n = strcspn(name, ":");
    *param = name[n] ? name + n + 1 : "";
    for (const struct bd_arch *a = bd_archs; a->name; a++)
        if (strlen(a->name) == n && memcmp(a->name, name, n) == 0)
            return a;
    return NULL;
}

bd_status bd_arch_find(const struct bd_arch **out, const char **param,
                       const char *name, struct bd_err *err)
{
    char shown[128];
    *out = find_arch(name, param);
    if (*out)
        return BD_OK;
    const char *near = bd_nearest(name, bd_arch_names());
    bd_text_show(shown, sizeof shown, name, 0);
    if (near)
        return bd_fail(err, BD_EINVALID,
                       "no architecture '%s'; did you mean '%s'?", shown, near);
    return bd_fail(err, BD_EINVALID,
                   "no architecture '%s'; there are resnet20/32/44/56/110, "
                   "resnet18/34/50, alexnet, vgg11/16, mobilenet-glyphs and "
                   "mlp:A-B-C",
                   shown);
}

bd_status bd_arch_new(struct bd_model **out, const char *arch,
                      const int64_t *input_dim, int rank, int64_t classes,
                      uint64_t seed, struct bd_err *err)
{
    struct bd_arch_ctx c = {.mode = BD_ARCH_DRAW,
                            .in_rank = rank,
                            .classes = classes,
                            .seed = seed};
    const struct bd_arch *a;
    bd_status s = bd_arch_find(&a, &c.param, arch, err);
    if (s != BD_OK)
        return s;
    if (rank < 1 || rank > 3 || classes < 1 || classes > 100000)
        return bd_fail(err, BD_EINVALID,
                       "an input of 1 to 3 dimensions and 1 to 100000 "
                       "classes are needed");
    for (int k = 0; k < rank; k++) {
        if (input_dim[k] < 1 || input_dim[k] > 65536)
            return bd_fail(err, BD_EINVALID,
                           "input dimension %lld, 1 to 65536 are possible",
                           (long long)input_dim[k]);
        c.in[k] = input_dim[k];
    }
    c.b = bd_builder_new();
    if (!c.b)
        return bd_draft_nomem(err);
    c.b->arch = a->name;
    a->build(&c, a);
    if (c.status == BD_OK)
        return bd_build_finish(out, c.b, false, err);
    bd_builder_free(c.b);
    return bd_fail(err, c.status, "%s: %s", a->name, c.err.msg);
}
