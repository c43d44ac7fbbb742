/* OpenBLAS: matrix products, single-threaded.  Parallelism is over images in
 * the engine's own pool, because a library's threads collapse when a
 * neighbour is busy and would change the order of sums. */
#include "kernel_priv.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

void bd_kernel_gemm_blas(const struct bd_gemm *g)
{
    cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans,
                g->tb ? CblasTrans : CblasNoTrans, (blasint)g->m, (blasint)g->n,
                (blasint)g->k, g->alpha, g->a, (blasint)g->lda, g->b,
                (blasint)g->ldb, g->beta, g->c, (blasint)g->ldc);
}

void bd_kernels_single_threaded_blas(void)
{
    openblas_set_num_threads(1);
}

/* How good a core of OpenBLAS is, by vector width: 0 SSE, 1 AVX, 2 AVX2,
 * 3 AVX-512.  A name we do not know is newer than us: trusted. */
static int core_rank(const char *name)
{
    static const struct {
        const char *name;
        int rank;
    } cores[] = {
        {"Katmai", 0},     {"Coppermine", 0},   {"Northwood", 0},
        {"Prescott", 0},   {"Banias", 0},       {"Core2", 0},
        {"Penryn", 0},     {"Dunnington", 0},   {"Atom", 0},
        {"Nehalem", 0},    {"Nano", 0},         {"Athlon", 0},
        {"Opteron", 0},    {"Opteron_SSE3", 0}, {"Barcelona", 0},
        {"Bobcat", 0},     {"Sandybridge", 1},  {"Bulldozer", 1},
        {"Piledriver", 1}, {"Steamroller", 1},  {"Excavator", 1},
        {"Haswell", 2},    {"Zen", 2},
    };
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (name && strcmp(name, cores[i].name) == 0)
            return cores[i].rank;
    return 3;
}

static const char *wanted_core(int *rank)
{
    *rank = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        *rank = 3;
        return "SkylakeX";
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *rank = 2;
        return "Haswell";
    }
#endif
    return NULL;
}

const char *bd_kernels_coretype(void)
{
    int rank = 0;
    const char *want = wanted_core(&rank);
    /* A choice already made is the user's; a build for one core ignores it. */
    if (!want || getenv("OPENBLAS_CORETYPE") ||
        !strstr(openblas_get_config(), "DYNAMIC_ARCH"))
        return NULL;
    return core_rank(openblas_get_corename()) < rank ? want : NULL;
}
