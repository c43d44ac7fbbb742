/* Which kernels to use: asked of the processor each time, so that nothing is
 * stored.  Also the saturating sizes of scratch. */
#include "kernel_priv.h"

#include <stdlib.h>

/* Far beyond any memory, yet callers may still turn it into bytes and round
 * it up without wrapping. */
static const size_t most = SIZE_MAX / 64;

size_t bd_kernel_mul(size_t a, int64_t b)
{
    size_t r;
    return b >= 0 && bd_mul(&r, a, (size_t)b) && r < most ? r : most;
}

size_t bd_kernel_add(size_t a, size_t b)
{
    size_t r;
    return bd_add(&r, a, b) && r < most ? r : most;
}

const struct bd_tile *bd_kernel_tile(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return &bd_kernel_tile_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &bd_kernel_tile_avx2;
#endif
    return &bd_kernel_tile_generic;
}

static size_t best_scratch(const struct bd_conv *c)
{
    return bd_kernel_conv_scratch(bd_kernel_tile(), c);
}

static void best_conv(float *y, const float *x, const float *w, const float *b,
                      const struct bd_conv *c, float *scratch)
{
    struct bd_conv_io io = {y, x, w, b, scratch};
    bd_kernel_conv(bd_kernel_tile(), c, io);
}

const struct bd_kernels *bd_kernels_best(void)
{
    static const struct bd_kernels best = {"tile", bd_kernel_gemm_blas,
                                           best_scratch, best_conv};
    return &best;
}
