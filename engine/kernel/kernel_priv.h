/* Shared inside kernel/ only: the register tile that each instruction set
 * compiles for itself, the padded picture it reads, and im2col. */
#ifndef BD_KERNEL_PRIV_H
#define BD_KERNEL_PRIV_H

#include "kernel/kernel.h"

/* --------------------------------------------------------- register tiles
 * out[r * ldo + p] = sum over k of w[r * ldw + k] * x[off[k] + p] for r in
 * [0, rows) and p in [0, vecs * lanes): a matrix product whose right side is
 * not stored but read through offsets.  rows is 1, 2, 4 or the tile's rows. */
struct bd_tile_job {
    float *out;
    int64_t ldo;
    const float *w;
    int64_t ldw;
    const float *x;
    const int64_t *off;
    int64_t k;
    int rows, vecs;
};
struct bd_tile {
    int lanes, rows; /* of one vector; rows kept in registers at once */
    void (*run)(const struct bd_tile_job *j);
};
extern const struct bd_tile bd_kernel_tile_generic;
extern const struct bd_tile bd_kernel_tile_avx2;
extern const struct bd_tile bd_kernel_tile_avx512;

/* The best tile this processor can run. */
const struct bd_tile *bd_kernel_tile(void);

/* Convolution over a tile; scratch as bd_kernel_conv_scratch says. */
size_t bd_kernel_conv_scratch(const struct bd_tile *t, const struct bd_conv *c);
struct bd_conv_io {
    float *y;
    const float *x, *w, *b;
    float *scratch; /* 64-aligned */
};
void bd_kernel_conv(const struct bd_tile *t, const struct bd_conv *c,
                    struct bd_conv_io io);

/* ----------------------------------------------------------------- im2col
 * cols[cin/group * kh * kw, oh * ow] of one group of x, and its transpose,
 * which adds columns back into dx. */
size_t bd_kernel_cols(const struct bd_conv *c); /* floats */
void bd_kernel_im2col(float *cols, const float *x, const struct bd_conv *c);
void bd_kernel_col2im(float *dx, const float *cols, const struct bd_conv *c);

/* Saturating sizes: the ceiling survives every later step, so an absurd layer
 * ends in an allocation that fails instead of a short buffer. */
size_t bd_kernel_mul(size_t a, int64_t b);
size_t bd_kernel_add(size_t a, size_t b);

void bd_kernel_gemm_blas(const struct bd_gemm *g);

#endif
