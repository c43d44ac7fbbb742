/* im2col and its transpose, for the gradients: cols[k, p] is the input under
 * tap k = (ci, ky, kx) of output pixel p, zero outside the picture. */
#include "kernel_priv.h"

#include <string.h>

size_t bd_kernel_cols(const struct bd_conv *c)
{
    size_t n = bd_kernel_mul((size_t)(c->cin / c->group), c->kh * c->kw);
    n = bd_kernel_mul(bd_kernel_mul(n, c->oh), c->ow);
    return bd_kernel_add(n, 15) / 16 * 16;
}

/* Outputs [first, end) of a row of n whose input o * stride + shift lies in
 * [0, in). */
static void inside(int64_t *first, int64_t *end, int64_t n, int64_t shift,
                   const int64_t stride_in[2])
{
    int64_t stride = stride_in[0], in = stride_in[1];
    *first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    *end = in > shift ? (in - shift + stride - 1) / stride : 0;
    *end = *end > n ? n : *end;
    *first = *first > *end ? *end : *first;
}

/* One tap over the whole picture: row[oh * ow]. */
static void gather(float *row, const float *x, const struct bd_conv *c,
                   int64_t ky, int64_t kx)
{
    const int64_t shift = kx * c->dw - c->pl;
    int64_t first, end;
    inside(&first, &end, c->ow, shift, (int64_t[]){c->sw, c->w});
    memset(row, 0, (size_t)(c->oh * c->ow) * sizeof *row);
    for (int64_t oy = 0; oy < c->oh; oy++, row += c->ow) {
        int64_t iy = oy * c->sh + ky * c->dh - c->pt;
        if (iy < 0 || iy >= c->h || first >= end)
            continue;
        const float *src = x + iy * c->w;
        if (c->sw == 1)
            memcpy(row + first, src + first + shift,
                   (size_t)(end - first) * sizeof *row);
        else
            for (int64_t ox = first; ox < end; ox++)
                row[ox] = src[ox * c->sw + shift];
    }
}

static void scatter(float *dx, const float *row, const struct bd_conv *c,
                    int64_t ky, int64_t kx)
{
    const int64_t shift = kx * c->dw - c->pl;
    int64_t first, end;
    inside(&first, &end, c->ow, shift, (int64_t[]){c->sw, c->w});
    for (int64_t oy = 0; oy < c->oh; oy++, row += c->ow) {
        int64_t iy = oy * c->sh + ky * c->dh - c->pt;
        if (iy < 0 || iy >= c->h)
            continue;
        float *dst = dx + iy * c->w;
        for (int64_t ox = first; ox < end; ox++)
            dst[ox * c->sw + shift] += row[ox];
    }
}

void bd_kernel_im2col(float *cols, const float *x, const struct bd_conv *c)
{
    for (int64_t ci = 0; ci < c->cin / c->group; ci++, x += c->h * c->w)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++, cols += c->oh * c->ow)
                gather(cols, x, c, ky, kx);
}

void bd_kernel_col2im(float *dx, const float *cols, const struct bd_conv *c)
{
    memset(dx, 0, (size_t)(c->cin / c->group * c->h * c->w) * sizeof *dx);
    for (int64_t ci = 0; ci < c->cin / c->group; ci++, dx += c->h * c->w)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++, cols += c->oh * c->ow)
                scatter(dx, cols, c, ky, kx);
}
