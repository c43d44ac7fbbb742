/* The innermost loop of every convolution, written once in vector extensions
 * and compiled once per instruction set (meson.build passes BD_TILE and the
 * flags).
 *
 * A tile keeps rows x vecs accumulators in registers.  For each k it loads
 * `vecs` vectors of pixels and multiplies each by one weight per row, so that
 * 8 x 3 products cost 11 loads: with 32 registers the multipliers, not the
 * memory, set the pace.  Sixteen registers leave room for 4 x 3.
 *
 * Every output is one running sum over k in order, whatever tile it falls
 * in: results depend on the inputs alone, not on how the work was cut. */
#include "kernel_priv.h"

#if defined(__AVX512F__)
#define LANES 16
#define ROWS 8
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 4
#elif defined(__aarch64__)
#define LANES 4
#define ROWS 8
#else
#define LANES 4
#define ROWS 4
#endif
#define VECS 3

/* Loads and stores need no alignment: rows of a padded picture have none. */
typedef float vec
    __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef float reg __attribute__((vector_size(LANES * sizeof(float))));

/* rows and vecs are constants at every call, so that the arrays become
 * registers once the loops are unrolled. */
static inline __attribute__((always_inline)) void
tile(const struct bd_tile_job *j, int64_t p, int rows, int vecs)
{
    reg acc[ROWS][2 * VECS] = {0};
    const float *w = j->w, *x = j->x + p;
    const int64_t ldw = j->ldw, n = j->k;
    const int64_t *off = j->off;
    for (int64_t k = 0; k < n; k++) {
        const float *xk = x + off[k];
        reg v[2 * VECS];
#pragma GCC unroll 8
        for (int i = 0; i < vecs; i++)
            v[i] = *(const vec *)(const void *)(xk + i * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            float b = w[r * ldw + k];
#pragma GCC unroll 8
            for (int i = 0; i < vecs; i++)
                acc[r][i] += b * v[i];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int i = 0; i < vecs; i++)
            *(vec *)(void *)(j->out + r * j->ldo + p + i * LANES) = acc[r][i];
    }
}

/* Full tiles first, then what is left in one smaller one.  Few rows leave
 * registers for more vectors, which hides the latency of the additions. */
static inline __attribute__((always_inline)) void
strip(const struct bd_tile_job *j, int rows, int vecs)
{
    int left = j->vecs;
    int64_t p = 0;
    for (; left >= vecs; left -= vecs, p += vecs * LANES)
        tile(j, p, rows, vecs);
    for (; left >= 3; left -= 3, p += 3 * LANES)
        tile(j, p, rows, 3);
    if (left == 2)
        tile(j, p, rows, 2);
    else if (left == 1)
        tile(j, p, rows, 1);
}

static void run(const struct bd_tile_job *j)
{
    if (j->rows == 1)
        strip(j, 1, 2 * VECS);
    else if (j->rows == 2)
        strip(j, 2, 2 * VECS);
    else if (j->rows == 4)
        strip(j, 4, VECS);
    else
        strip(j, ROWS, VECS);
}

const struct bd_tile BD_TILE = {LANES, ROWS, run};
