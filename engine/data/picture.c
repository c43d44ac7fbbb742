/* Pictures as float planes, and the geometry of preprocessing.  Resizing is
 * the antialiased bilinear filter of the Python picture library: a triangle
 * as wide as the shrink factor, horizontal pass first, and for byte pictures
 * a rounding to whole numbers after each pass.  Models were trained behind
 * exactly that filter, so a plainer one costs accuracy. */
#include "data/data_priv.h"

#include <math.h>
#include <string.h>

bd_status bd_picture_init(struct data_picture *p, int64_t c, int64_t h,
                          int64_t w, struct bd_err *err)
{
    if (h <= 0 || w <= 0 || c <= 0)
        return bd_fail(err, BD_EFORMAT, "a picture of %lldx%lldx%lld",
                       (long long)c, (long long)h, (long long)w);
    if (c * h * w > BD_MAX_PIXELS * 4 || h > INT32_MAX || w > INT32_MAX)
        return bd_fail(err, BD_EFORMAT,
                       "picture of %lldx%lld pixels, the limit is %d a side "
                       "and 64 million",
                       (long long)w, (long long)h, BD_MAX_PICTURE_SIDE);
    *p = (struct data_picture){.c = (int)c, .h = (int)h, .w = (int)w};
    p->bytes = true;
    p->x = bd_alloc((size_t)(c * h * w), sizeof *p->x);
    if (!p->x)
        return bd_fail(err, BD_ENOMEM, "out of memory for a picture");
    return BD_OK;
}

/* Safe on a zeroed picture. */
void bd_picture_done(struct data_picture *p)
{
    bd_free(p->x);
    p->x = NULL;
}

void bd_picture_planes(struct data_picture *p, const uint8_t *src)
{
    size_t n = (size_t)p->c * (size_t)p->h * (size_t)p->w;

    for (size_t i = 0; i < n; i++)
        p->x[i] = (float)src[i];
}

void bd_picture_pixels(struct data_picture *p, const uint8_t *src)
{
    size_t plane = (size_t)p->h * (size_t)p->w;

    for (size_t i = 0; i < plane; i++) {
        for (int k = 0; k < p->c; k++)
            p->x[(size_t)k * plane + i] = (float)*src++;
    }
}

/* -------------------------------------------------------------- resizing */

/* Filter taps of one axis: output o is the sum of weight[o*taps + t] times
 * input first[o] + t. */
struct taps {
    int n, taps;
    int *first, *count;
    double *weight;
};

static void taps_done(struct taps *t)
{
    bd_free(t->first);
    bd_free(t->count);
    bd_free(t->weight);
}

static void taps_of(struct taps *t, int o, int from, double scale)
{
    double reach = scale > 1.0 ? scale : 1.0; /* widen only when shrinking */
    double centre = (o + 0.5) * scale, sum = 0.0;
    int lo = (int)(centre - reach + 0.5), hi = (int)(centre + reach + 0.5);
    double *w = t->weight + (size_t)o * (size_t)t->taps;

    lo = lo < 0 ? 0 : lo;
    hi = hi > from ? from : hi;
    for (int i = lo; i < hi; i++) {
        double d = fabs((i + 0.5 - centre) / reach);

        w[i - lo] = d < 1.0 ? 1.0 - d : 0.0;
        sum += w[i - lo];
    }
    for (int i = 0; i < hi - lo && sum > 0.0; i++)
        w[i] /= sum;
    t->first[o] = lo;
    t->count[o] = hi - lo;
}

/* Weights for every output position of one axis.  Sides are at most 16384,
 * so the products below stay far inside 64 bits. */
static bool taps_init(struct taps *t, int from, int to)
{
    double scale = (double)from / to, reach = scale > 1.0 ? scale : 1.0;
    size_t n;

    *t = (struct taps){.n = to, .taps = (int)ceil(reach) * 2 + 1};
    t->first = bd_alloc((size_t)to, sizeof *t->first);
    t->count = bd_alloc((size_t)to, sizeof *t->count);
    t->weight = bd_mul(&n, (size_t)to, (size_t)t->taps)
                    ? bd_calloc(n, sizeof *t->weight)
                    : NULL;
    if (!t->first || !t->count || !t->weight)
        return false;
    for (int o = 0; o < to; o++)
        taps_of(t, o, from, scale);
    return true;
}

/* Byte pictures go back to whole numbers between the passes. */
static float settle(double v, bool bytes)
{
    if (!bytes)
        return (float)v;
    v = floor(v + 0.5);
    return (float)(v < 0.0 ? 0.0 : v > 255.0 ? 255.0 : v);
}

/* Filters along one axis: `rows` lines, inputs `step` apart, whose outputs
 * are `step` apart too; a line starts `in_line` (`out_line`) after the last. */
struct pass {
    int rows;
    size_t step, in_line, out_line;
    bool bytes;
};

static void run_pass(float *dst, const float *src, const struct taps *t,
                     const struct pass *p)
{
    for (int r = 0; r < p->rows; r++) {
        const float *in = src + (size_t)r * p->in_line;
        float *out = dst + (size_t)r * p->out_line;

        for (int o = 0; o < t->n; o++) {
            const double *w = t->weight + (size_t)o * (size_t)t->taps;
            double sum = 0.0;

            for (int k = 0; k < t->count[o]; k++)
                sum += w[k] * (double)in[(size_t)(t->first[o] + k) * p->step];
            out[(size_t)o * p->step] = settle(sum, p->bytes);
        }
    }
}

/* Across first, then down, each plane by itself.  The intermediate picture
 * has the old height and the new width. */
static bd_status resize_to(struct data_picture *p, int h, int w,
                           struct bd_err *err)
{
    struct data_picture mid = {0}, out = {0};
    struct taps tx = {0}, ty = {0};
    struct pass across = {p->h, 1, (size_t)p->w, (size_t)w, p->bytes};
    struct pass down = {w, (size_t)w, 1, 1, p->bytes};
    bd_status st = bd_picture_init(&mid, p->c, p->h, w, err);

    if (st == BD_OK)
        st = bd_picture_init(&out, p->c, h, w, err);
    if (st == BD_OK && (!taps_init(&tx, p->w, w) || !taps_init(&ty, p->h, h)))
        st = bd_fail(err, BD_ENOMEM, "out of memory for resizing");
    for (int k = 0; st == BD_OK && k < p->c; k++) {
        size_t c = (size_t)k;
        const float *src = p->x + c * (size_t)p->h * (size_t)p->w;
        float *half = mid.x + c * (size_t)p->h * (size_t)w;

        run_pass(half, src, &tx, &across);
        run_pass(out.x + c * (size_t)h * (size_t)w, half, &ty, &down);
    }
    taps_done(&tx);
    taps_done(&ty);
    bd_picture_done(&mid);
    if (st != BD_OK) {
        bd_picture_done(&out);
        return st;
    }
    out.bytes = p->bytes;
    bd_picture_done(p);
    *p = out;
    return BD_OK;
}

bd_status bd_picture_resize(struct data_picture *p, int shortest,
                            struct bd_err *err)
{
    int64_t small = p->h < p->w ? p->h : p->w;

    if (shortest <= 0 || small == shortest)
        return BD_OK;
    /* The longer side is cut off, not rounded: torchvision's rule. */
    return resize_to(p, (int)((int64_t)p->h * shortest / small),
                     (int)((int64_t)p->w * shortest / small), err);
}

bd_status bd_picture_crop(struct data_picture *p, int side, struct bd_err *err)
{
    struct data_picture out;
    int top, left;
    bd_status st;

    if (side <= 0 || (p->h == side && p->w == side))
        return BD_OK;
    if (p->h < side || p->w < side)
        return bd_fail(err, BD_EINVALID,
                       "crop=%d is larger than the picture of %dx%d; "
                       "resize=%d before it would do",
                       side, p->w, p->h, side);
    st = bd_picture_init(&out, p->c, side, side, err);
    if (st != BD_OK)
        return st;
    top = (int)rint((p->h - side) / 2.0); /* half to even, as Python rounds */
    left = (int)rint((p->w - side) / 2.0);
    for (int k = 0; k < p->c; k++) {
        for (int y = 0; y < side; y++)
            memcpy(out.x +
                       ((size_t)k * (size_t)side + (size_t)y) * (size_t)side,
                   p->x +
                       ((size_t)k * (size_t)p->h + (size_t)(top + y)) *
                           (size_t)p->w +
                       (size_t)left,
                   (size_t)side * sizeof *out.x);
    }
    out.bytes = p->bytes;
    bd_picture_done(p);
    *p = out;
    return BD_OK;
}

/* Luma of ITU-R 601 for three planes to one; copies for one to three. */
bd_status bd_picture_channels(struct data_picture *p, int channels,
                              struct bd_err *err)
{
    struct data_picture out;
    size_t plane = (size_t)p->h * (size_t)p->w;
    bd_status st = bd_picture_init(&out, channels, p->h, p->w, err);

    if (st != BD_OK)
        return st;
    out.bytes = p->bytes;
    for (size_t i = 0; channels == 3 && i < plane; i++)
        out.x[i] = out.x[plane + i] = out.x[2 * plane + i] = p->x[i];
    for (size_t i = 0; channels == 1 && i < plane; i++)
        out.x[i] =
            settle(0.299 * (double)p->x[i] + 0.587 * (double)p->x[plane + i] +
                       0.114 * (double)p->x[2 * plane + i],
                   p->bytes);
    bd_picture_done(p);
    *p = out;
    return BD_OK;
}
