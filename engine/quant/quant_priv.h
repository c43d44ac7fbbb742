/* Private to quant/: what the method files share.
 *
 * Every method works in units of z = (x - mu) / sigma, where mu = 0 and
 * sigma = 1 unless the method normalises.  Levels and cuts are made in z and
 * carried to x by the two bd_quant_out_* helpers, so that no method repeats
 * the mapping. */
#ifndef BD_QUANT_PRIV_H
#define BD_QUANT_PRIV_H

#include <math.h>
#include <string.h>

#include "quant/quant.h"

extern const struct bd_quantizer bd_quant_uniform, bd_quant_affine,
    bd_quant_dorefa, bd_quant_pot, bd_quant_apot, bd_quant_log, bd_quant_binary,
    bd_quant_ternary, bd_quant_pact, bd_quant_edge8, bd_quant_kmeans,
    bd_quant_nf4, bd_quant_fp8_e4m3, bd_quant_fp8_e5m2, bd_quant_fp4_e2m1,
    bd_quant_mxfp8_e4m3, bd_quant_mxfp8_e5m2, bd_quant_mxfp6_e3m2,
    bd_quant_mxfp6_e2m3, bd_quant_mxfp4_e2m1, bd_quant_mxint8,
    bd_quant_bottleneck;

enum {
    BD_QUANT_BLOCK = 256, /* values per step; four such arrays sit in cache */
    BD_QUANT_SMALL = 256, /* most levels of a non-uniform magnitude set */
    BD_QUANT_WORTH = 1024 /* values from which preparing a fast loop pays */
};

/* Round half to even for |v| < 2^51, without a library call: adding 1.5*2^52
 * leaves no fraction bits, and the processor's own rounding decides. */
static inline double bd_quant_rint(double v)
{
    const double magic = 6755399441055744.0;

    return (v + magic) - magic;
}

static inline double bd_quant_clamp(double v, double lo, double hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* Writes v at out[i] when there is room. */
static inline void bd_quant_emit(double *out, size_t cap, size_t i, double v)
{
    if (out && i < cap)
        out[i] = v;
}

/* The value just below v: turns "x <= v" into "x < v". */
static inline double bd_quant_below(double v)
{
    return nextafter(v, -INFINITY);
}

/* Loops worth compiling once per instruction set; the right one is chosen
 * when the program is loaded.  Eight lanes are summed in a fixed order, so
 * all of them give the same bits.  Sanitizers are not ready that early. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&         \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BD_QUANT_CLONES                                                        \
    __attribute__((                                                            \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BD_QUANT_CLONES
#endif
typedef float bd_quant_f8 __attribute__((vector_size(32)));
typedef int32_t bd_quant_i8 __attribute__((vector_size(32)));
typedef double bd_quant_d8 __attribute__((vector_size(64)));
typedef int64_t bd_quant_l8 __attribute__((vector_size(64)));

/* Shared members of the table. */
bd_status bd_quant_fit(struct bd_qparam *p, const float *x, size_t n,
                       struct bd_err *err);
void bd_quant_apply(float *y, const float *x, size_t n,
                    const struct bd_qparam *p);
/* The same by definition, block by block in double. */
void bd_quant_apply_plain(float *y, const float *x, size_t n,
                          const struct bd_qparam *p);
double bd_quant_grad_rcf(float *dx, const float *dy, const float *x, size_t n,
                         const struct bd_qparam *p);
/* Passes every gradient through; no clip to learn. */
double bd_quant_grad_through(float *dx, const float *dy, const float *x,
                             size_t n, const struct bd_qparam *p);

/* Refuses clips that are not positive and finite. */
bd_status bd_quant_need_clip(const struct bd_qparam *p, struct bd_err *err);
/* For rows that the clip alone determines: it is their scale. */
bd_status bd_quant_refit_clip(struct bd_qparam *p, const struct bd_moments *m,
                              struct bd_err *err);
/* z levels or cuts in out[0..n) to the domain of x; returns n. */
size_t bd_quant_out(double *out, size_t cap, size_t n,
                    const struct bd_qparam *p);

/* Magnitude sets: values m[0..n) ascending, with decision points t[0..n-1)
 * of which an exact hit belongs to the lower magnitude.  m[0] is 0, except
 * where two_sided says that it splits by sign (binary): then 0 and above get
 * +m[0] and the rest -m[0].  Grids that differ left and right of zero are
 * `direct`: m is the grid itself, and no sign is mirrored.  Both flags are
 * false when a method is asked. */
struct bd_quant_mags {
    size_t n;
    bool two_sided, direct;
    double m[BD_QUANT_SMALL], t[BD_QUANT_SMALL];
};
/* Members of the table for methods with a magnitude set. */
void bd_quant_mags_codes(int32_t *out, const float *x, size_t n,
                         const struct bd_qparam *p);
size_t bd_quant_mags_levels(double *out, size_t cap, const struct bd_qparam *p);
size_t bd_quant_mags_cuts(double *out, size_t cap, const struct bd_qparam *p);

/* fast.c: code = rint(clamp(x * inv, lo, hi)), y = code * scale. */
struct bd_quant_steps {
    double inv, lo, hi, scale;
};
/* For rows whose levels are code / hi * clip ... */
void bd_quant_apply_steps(float *y, const float *x, size_t n,
                          const struct bd_qparam *p,
                          const struct bd_quant_steps *s);
/* ... and for those that are code * scale by definition. */
void bd_quant_fast_steps(float *y, const float *x, size_t n,
                         const struct bd_qparam *p,
                         const struct bd_quant_steps *s);
/* false: nothing done, take the plain way. */
bool bd_quant_fast_mags(float *y, const float *x, size_t n,
                        const struct bd_qparam *p,
                        const struct bd_quant_mags *g);

/* The additive family at k bits per term (0 = all bits in one term). */
void bd_quant_additive_mags(struct bd_quant_mags *g, const struct bd_qparam *p,
                            int k);

#endif
