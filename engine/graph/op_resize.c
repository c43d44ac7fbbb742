/* op_resize: Resize and Upsample.  Interpolation is separable: each axis has
 * a table of source elements and weights for every output coordinate, made
 * while planning; running is one pass per axis that changes. */
#include "graph/graph_priv.h"

#include <math.h>
#include <string.h>

enum mode { NEAREST, LINEAR, CUBIC };
enum coord { HALF_PIXEL, SYMMETRIC, PYTORCH, ALIGN, ASYMMETRIC, CROP };
enum round { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

struct axis { /* one that changes */
    int at;
    int64_t in, out;
    int taps;
    int64_t *index; /* [out, taps] */
    float *weight;  /* [out, taps] */
    bool *outside;  /* [out] takes the extrapolation value */
};

struct resize {
    int n;
    struct axis axis[BD_MAX_RANK];
    float extrapolation;
    size_t most; /* elements of the largest intermediate */
};

/* What the attributes say, while planning. */
struct wish {
    enum mode mode;
    enum coord coord;
    enum round round;
    bool exclude, antialias;
    double a; /* the cubic's coefficient */
    double scale[BD_MAX_RANK], from[BD_MAX_RANK], to[BD_MAX_RANK];
    int64_t out[BD_MAX_RANK];
    bool touched[BD_MAX_RANK];
};

static bd_status word(const struct bd_octx *c, const char *attr,
                      const char *const *names, int *out)
{
    const char *w = bd_node_str(c->node, attr, names[0]);
    for (*out = 0; names[*out]; ++*out)
        if (!strcmp(w, names[*out]))
            return BD_OK;
    return bd_graph_fail(c, BD_EUNSUPPORTED, "unknown %s", attr);
}

static bd_status read_words(const struct bd_octx *c, struct wish *w)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coords[] = {"half_pixel",
                                         "half_pixel_symmetric",
                                         "pytorch_half_pixel",
                                         "align_corners",
                                         "asymmetric",
                                         "tf_crop_and_resize",
                                         NULL};
    static const char *const rounds[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    int mode, coord, round;
    bd_status s = word(c, "mode", modes, &mode);
    if (s == BD_OK)
        s = word(c, "coordinate_transformation_mode", coords, &coord);
    if (s == BD_OK)
        s = word(c, "nearest_mode", rounds, &round);
    if (s != BD_OK)
        return s;
    w->mode = (enum mode)mode;
    w->coord = (enum coord)coord;
    w->round = (enum round)round;
    if (c->opset < 11 || c->op->aux) { /* before there was a choice */
        w->coord = ASYMMETRIC;
        w->round = FLOOR;
    }
    w->a = (double)bd_node_float(c->node, "cubic_coeff_a", -0.75f);
    w->exclude = bd_node_int(c->node, "exclude_outside", 0) != 0;
    w->antialias = bd_node_int(c->node, "antialias", 0) != 0;
    return BD_OK;
}

/* ------------------------------------------------------------ wanted sizes */
/* Sizes on the named axes under a policy: stretch each, or one common factor
 * so that none gets larger (smaller) than wanted. */
static void sizes_to_scales(const struct bd_octx *c, struct wish *w,
                            const struct bd_tensor *size, const int *axes)
{
    const char *policy =
        bd_node_str(c->node, "keep_aspect_ratio_policy", "stretch");
    const struct bd_tensor *x = c->in[0];
    int64_t n = bd_tensor_count(size);
    bool least = !strcmp(policy, "not_larger");
    double common = least ? INFINITY : 0;
    for (int64_t k = 0; k < n; k++) {
        int a = axes[k];
        w->out[a] = size->i[k];
        w->scale[a] = (double)size->i[k] / (double)x->dim[a];
        w->touched[a] = true;
        common = least ? fmin(common, w->scale[a]) : fmax(common, w->scale[a]);
    }
    for (int64_t k = 0; strcmp(policy, "stretch") && k < n; k++) {
        w->scale[axes[k]] = common;
        w->out[axes[k]] =
            (int64_t)floor(common * (double)x->dim[axes[k]] + 0.5);
    }
}

static void take_scales(const struct bd_octx *c, struct wish *w,
                        const float *scale, int n, const int *axes)
{
    for (int k = 0; k < n; k++) {
        int a = axes[k];
        w->scale[a] = (double)scale[k];
        w->out[a] = (int64_t)floor((double)c->in[0]->dim[a] * w->scale[a]);
        w->touched[a] = w->scale[a] != 1;
    }
}

/* Input k if it is there, known and not empty. */
static bd_status list(const struct bd_octx *c, int k, int want, bool real,
                      const struct bd_tensor **out)
{
    *out = NULL;
    if (!bd_graph_has_in(c, k) || bd_tensor_count(c->in[k]) == 0)
        return BD_OK;
    const struct bd_tensor *t = c->in[k];
    if (!bd_graph_known(t))
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "input %d must be known before running", k);
    if (bd_dtype_is_real(t->type) != real || bd_tensor_count(t) != want)
        return BD_BAD(c, "input %d has the wrong kind or length", k);
    *out = t;
    return BD_OK;
}

static bd_status named_axes(const struct bd_octx *c, int *axes, int *n)
{
    const int64_t *v;
    size_t m;
    bool mask[BD_MAX_RANK];
    int rank = c->in[0]->rank;
    bd_status s = bd_graph_ints(c, "axes", -1, &v, &m);
    if (s == BD_OK)
        s = bd_graph_axes(c, v, m, rank, mask);
    if (s != BD_OK)
        return s;
    *n = v ? (int)m : rank;
    for (int k = 0; k < *n; k++)
        axes[k] = !v ? k : (int)(v[k] < 0 ? v[k] + rank : v[k]);
    return BD_OK;
}

static bd_status read_sizes(const struct bd_octx *c, struct wish *w)
{
    const struct bd_tensor *roi = NULL, *scale = NULL, *size = NULL;
    bool old = c->opset < 11 || c->op->aux;
    int axes[BD_MAX_RANK], n;
    bd_status s = named_axes(c, axes, &n);
    if (s == BD_OK && !old && w->coord == CROP)
        s = list(c, 1, 2 * n, true, &roi);
    if (s == BD_OK)
        s = list(c, old ? 1 : 2, n, true, &scale);
    if (s == BD_OK && !old)
        s = list(c, 3, n, false, &size);
    if (s != BD_OK)
        return s;
    if (!scale == !size)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "needs scales or sizes");
    for (int a = 0; a < c->in[0]->rank; a++) {
        w->out[a] = c->in[0]->dim[a];
        w->scale[a] = w->to[a] = 1;
        if (w->out[a] < 1)
            return BD_BAD(c, "an empty input");
    }
    for (int k = 0; roi && k < n; k++) {
        w->from[axes[k]] = (double)roi->f[k];
        w->to[axes[k]] = (double)roi->f[n + k];
    }
    if (scale)
        take_scales(c, w, scale->f, n, axes);
    else
        sizes_to_scales(c, w, size, axes);
    for (int a = 0; a < c->in[0]->rank; a++)
        if (!(w->scale[a] > 0) || w->out[a] < 0 || w->out[a] > 1 << 24)
            return BD_BAD(c, "a scale of %g", w->scale[a]);
    return BD_OK;
}

/* ------------------------------------------------------------- one axis */
/* Where output coordinate k lies in the input. */
static double original(const struct wish *w, int a, double in, double k)
{
    double s = w->scale[a], out = s * in;
    switch (w->coord) {
    case HALF_PIXEL:
        break;
    case SYMMETRIC:
        return in / 2 * (1 - (double)w->out[a] / out) + (k + 0.5) / s - 0.5;
    case PYTORCH:
        return out == 1 ? -0.5 : (k + 0.5) / s - 0.5;
    case ALIGN:
        return out == 1 ? 0 : k * (in - 1) / (out - 1);
    case ASYMMETRIC:
        return k / s;
    case CROP:
        return w->from[a] * (in - 1) +
               (out == 1 ? (w->to[a] - w->from[a]) * (in - 1) / 2
                         : k * (w->to[a] - w->from[a]) * (in - 1) / (out - 1));
    }
    return (k + 0.5) / s - 0.5;
}

static double cubic(double x, double a)
{
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Weight of the source `off` elements after the one left of the place;
 * ratio in (0,1] is how far the place lies beyond that one. */
static double tap(const struct wish *w, double off, double ratio, double shrink)
{
    double d = (off - ratio) * shrink;
    bool right = w->round == CEIL || ratio == 1 ||
                 (w->round == PREFER_FLOOR && ratio > 0.5) ||
                 (w->round == PREFER_CEIL && ratio >= 0.5);
    switch (w->mode) {
    case NEAREST:
        return (off == 1) == right;
    case LINEAR:
        return fabs(d) < 1 ? 1 - fabs(d) : 0;
    case CUBIC:
        break;
    }
    return cubic(d, w->a);
}

static void fill_place(struct axis *x, const struct wish *w, int64_t k,
                       double shrink)
{
    double at = original(w, x->at, (double)x->in, (double)k);
    double base = ceil(at) - 1, sum = 0;
    x->outside[k] = w->coord == CROP && (at < 0 || at > (double)(x->in - 1));
    for (int t = 0; t < x->taps; t++) {
        double off = t - (x->taps / 2 - 1);
        double from = base + off, wt = tap(w, off, at - base, shrink);
        bool in = from >= 0 && from < (double)x->in;
        if (w->exclude && !in)
            wt = 0;
        sum += wt;
        x->weight[k * x->taps + t] = (float)wt;
        x->index[k * x->taps + t] = in         ? (int64_t)from
                                    : from < 0 ? 0
                                               : x->in - 1;
    }
    for (int t = 0; t < x->taps && sum != 0; t++)
        x->weight[k * x->taps + t] /= (float)sum;
}

static bd_status make_axis(struct bd_octx *c, struct axis *x,
                           const struct wish *w, int a)
{
    double shrink = w->antialias && w->scale[a] < 1 ? w->scale[a] : 1;
    double reach = w->mode == CUBIC ? 2 : 1;
    *x = (struct axis){.at = a, .in = c->in[0]->dim[a], .out = w->out[a]};
    double taps = w->mode == NEAREST ? 2 : 2 * ceil(reach / shrink);
    if (taps > 1 << 20)
        return BD_BAD(c, "a scale of %g", w->scale[a]);
    x->taps = (int)taps;
    size_t n = (size_t)x->out, all = n * (size_t)x->taps;
    x->index = bd_arena_alloc(c->arena, all + 1, sizeof *x->index);
    x->weight = bd_arena_alloc(c->arena, all + 1, sizeof *x->weight);
    x->outside = bd_arena_alloc(c->arena, n + 1, sizeof *x->outside);
    if (!x->index || !x->weight || !x->outside)
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    for (int64_t k = 0; k < x->out; k++)
        fill_place(x, w, k, w->mode == NEAREST ? 1 : shrink);
    return BD_OK;
}

static bd_status shape_resize(struct bd_octx *c)
{
    struct wish w = {0};
    struct resize *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_reals(c, 1, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = read_words(c, &w);
    if (s == BD_OK)
        s = read_sizes(c, &w);
    struct bd_tensor part = *c->in[0];
    p->extrapolation = bd_node_float(c->node, "extrapolation_value", 0);
    for (int a = 0; s == BD_OK && a < part.rank; a++) {
        int64_t count;
        if (!w.touched[a] && w.coord != CROP)
            continue;
        s = make_axis(c, &p->axis[p->n++], &w, a);
        part.dim[a] = w.out[a];
        if (s == BD_OK)
            s = bd_shape_check(&count, part.dim, part.rank, c->err);
        if (s == BD_OK && p->most < (size_t)count)
            p->most = (size_t)count;
    }
    c->scratch = 2 * p->most * sizeof(float);
    return s == BD_OK ? bd_graph_out(c, 0, part.type, w.out, part.rank) : s;
}

/* y = x along one axis; rows of `inner` elements lie behind it. */
static void pass(float *y, const float *x, const struct axis *p,
                 const struct bd_slices *s, float extrapolation)
{
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t k = 0; k < p->out; k++, y += s->inner) {
            const float *w = p->weight + k * p->taps;
            const int64_t *at = p->index + k * p->taps;
            for (int64_t i = 0; i < s->inner; i++)
                y[i] = p->outside[k] ? extrapolation : 0;
            for (int t = 0; t < p->taps && !p->outside[k]; t++) {
                const float *row = x + (o * p->in + at[t]) * s->inner;
                for (int64_t i = 0; w[t] != 0 && i < s->inner; i++)
                    y[i] += w[t] * row[i];
            }
        }
}

static bd_status run_resize(struct bd_octx *c)
{
    const struct resize *p = c->param;
    struct bd_tensor part = *c->in[0];
    float *half[2] = {bd_graph_work(c, 0), NULL};
    half[1] = half[0] + p->most;
    for (int k = 0; k < p->n; k++) {
        const struct axis *x = &p->axis[k];
        struct bd_slices s = bd_slices_of(&part, x->at);
        float *y = k + 1 == p->n ? c->out[0]->f : half[k % 2];
        pass(y, part.f, x, &s, p->extrapolation);
        part.f = y;
        part.dim[x->at] = x->out;
    }
    if (p->n == 0)
        memcpy(c->out[0]->f, part.f,
               (size_t)bd_tensor_count(&part) * sizeof *part.f);
    return BD_OK;
}

static const bool old = true; /* marks Upsample, which never had a choice */

const struct bd_op bd_graph_ops_resize[] = {
    {"Resize", shape_resize, run_resize, NULL, 0, NULL},
    {"Upsample", shape_resize, run_resize, NULL, 0, &old},
    {0},
};
