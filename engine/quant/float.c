/* Grids of small floating numbers: FP8 in both forms of the OCP OFP8 standard
 * v1.0 and FP4 of the OCP Microscaling standard v1.0, 2023, scaled so that
 * the largest finite value lies on the clip.  Subnormals are part of the
 * grid, ties go to the even code, and what is beyond the clip stays at it:
 * there are no infinities.
 *
 * A code is the magnitude's place in its format, counted from 0, with the
 * sign of the value: the bits of exponent and mantissa read as one whole
 * number.  It counts on evenly across binades, which is why one rule (even
 * code) settles all ties. */
#include <stdlib.h>

#include "float_priv.h"

enum { LANES = 8 };

/*                                          mbits emin emax   max */
const struct bd_float_format bd_float_e4m3 = {3, -6, 8, 448};
const struct bd_float_format bd_float_e5m2 = {2, -14, 15, 57344};
const struct bd_float_format bd_float_e3m2 = {2, -2, 4, 28};
const struct bd_float_format bd_float_e2m3 = {3, 0, 2, 7.5};
const struct bd_float_format bd_float_e2m1 = {1, 0, 2, 6};
/* Whole numbers of 1/64: subnormals, and one binade of the same step.  The
 * standard allows leaving -2 out, which keeps the grid symmetric. */
const struct bd_float_format bd_float_int8 = {6, 0, 0, 127.0 / 64};

/* ---------------------------------------------------------- projection */
/* yes where the mask is set.  A macro, since vectors this wide have no one
 * way to be passed. */
#define PICK(m, yes, no)                                                       \
    ((bd_quant_d8)(((bd_quant_l8)(yes) & (m)) | ((bd_quant_l8)(no) & ~(m))))

/* Eight values, without a branch.  The exponent bits of |d| are its binade
 * 2^e; adding 2^(52 - mbits) times that leaves only the mantissa bits of the
 * format, rounded half to even by the processor. */
BD_QUANT_CLONES
static void project(double *q, const double *z, size_t n,
                    const struct bd_qparam *p)
{
    const struct bd_float_format *f = p->q->format;
    const int64_t sign = INT64_MIN, exponent = (int64_t)0x7ff << 52;
    const bd_quant_d8 zero = {0};
    const bd_quant_d8 max = zero + f->max, least = zero + ldexp(1, f->emin);
    const double up = ldexp(1, 52 - f->mbits), scale = p->scale;
    const bd_quant_l8 keep = (zero == zero) & (p->is_signed ? -1 : 0);

    for (size_t i = 0; i < n; i += LANES) {
        bd_quant_d8 d, a, b;
        bd_quant_l8 minus;

        memcpy(&d, z + i, sizeof(d));
        d = PICK((d >= 0) | keep, d, zero);
        d = d / scale;
        minus = (bd_quant_l8)d & sign;
        a = (bd_quant_d8)((bd_quant_l8)d & ~sign);
        a = PICK(a > max, max, a);
        b = (bd_quant_d8)((bd_quant_l8)a & exponent);
        b = PICK(b < least, least, b) * up;
        a = ((a + b) - b) * scale;
        minus &= a > 0; /* zero stays plain zero */
        a = (bd_quant_d8)((bd_quant_l8)a | minus);
        memcpy(q + i, &a, sizeof(a));
    }
}

void bd_quant_float_core(double *q, const double *z, size_t n,
                         const struct bd_qparam *p)
{
    size_t whole = n - n % LANES;
    double pad[LANES] = {0};

    project(q, z, whole, p);
    memcpy(pad, z + whole, (n - whole) * sizeof(*pad));
    project(pad, pad, LANES, p);
    memcpy(q + whole, pad, (n - whole) * sizeof(*pad));
}

/* --------------------------------------------------------------- codes */
/* Magnitude of code c >= 0, in units of the scale. */
static double value_of(const struct bd_float_format *f, int32_t c)
{
    int32_t one = 1 << f->mbits, e = c >> f->mbits;

    if (e == 0)
        return ldexp(c, f->emin - f->mbits);
    return ldexp(c % one + one, f->emin + e - 1 - f->mbits);
}

/* Code of a value a >= 0 of the format, or beside it in the last places. */
static int32_t code_of(const struct bd_float_format *f, double a)
{
    int e = a > 0 ? ilogb(a) : f->emin;

    e = e < f->emin ? f->emin : e;
    return ((e - f->emin) << f->mbits) +
           (int32_t)lrint(ldexp(a, f->mbits - e));
}

static int32_t top_of(const struct bd_qparam *p)
{
    return code_of(p->q->format, p->q->format->max);
}

static double level_of(const struct bd_qparam *p, int32_t c)
{
    double v = value_of(p->q->format, abs(c)) * p->scale;

    return c < 0 ? -v : v;
}

size_t bd_quant_float_levels(double *out, size_t cap,
                             const struct bd_qparam *p)
{
    int32_t top = top_of(p), lo = p->is_signed ? -top : 0;
    size_t k = 0;

    for (int32_t c = lo; c <= top; c++)
        bd_quant_emit(out, cap, k++, level_of(p, c));
    return bd_quant_out(out, cap, k, p);
}

/* As for whole steps: an exact half goes to the even code, so the cut moves
 * just below it when that is the upper one. */
size_t bd_quant_float_cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    int32_t top = top_of(p), lo = p->is_signed ? -top : 0;
    size_t k = 0;

    for (int32_t c = lo; c < top; c++) {
        double half = (level_of(p, c) + level_of(p, c + 1)) / 2;

        bd_quant_emit(out, cap, k++, c % 2 ? bd_quant_below(half) : half);
    }
    return bd_quant_out(out, cap, k, p);
}

void bd_quant_float_codes(int32_t *out, const float *x, size_t n,
                          const struct bd_qparam *p)
{
    double unit[BD_QUANT_BLOCK];

    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        for (size_t k = 0; k < m; k++)
            unit[k] = (double)x[i + k];
        bd_quant_project(unit, unit, m, p);
        for (size_t k = 0; k < m; k++) {
            double a = fabs(unit[k]) / p->scale;
            int32_t c = isfinite(a) ? code_of(p->q->format, a) : 0;

            out[i + k] = unit[k] < 0 ? -c : c;
        }
    }
}

/* ---------------------------------------------------------------- rows */
static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    (void)m;
    p->scale = p->clip / p->q->format->max;
    return bd_quant_need_clip(p, err);
}

/* clang-format off */
#define FLOAT(row, NAME, ALIAS, BITS, FORMAT, TITLE, PAPER)                    \
    const struct bd_quantizer row = {                                          \
        .name = NAME,                                                          \
        .title = TITLE,                                                        \
        .paper = PAPER,                                                        \
        .alias = ALIAS,                                                        \
        .min_bits = BITS,                                                      \
        .max_bits = BITS,                                                      \
        .format = &(FORMAT),                                                   \
        .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST |             \
                  BD_Q_WEIGHTS | BD_Q_ACTS | BD_Q_ODD | BD_Q_SIGNED,           \
        .fit = bd_quant_fit,                                                   \
        .refit = refit,                                                        \
        .core = bd_quant_float_core,                                           \
        .levels = bd_quant_float_levels,                                       \
        .cuts = bd_quant_float_cuts,                                           \
        .apply = bd_quant_apply,                                               \
        .grad = bd_quant_grad_rcf,                                             \
        .codes = bd_quant_float_codes,                                         \
        .side_bits = 32, /* scale */                                           \
    }
/* clang-format on */

FLOAT(bd_quant_fp8_e4m3, "fp8-e4m3", "fp8", 8, bd_float_e4m3,
      "FP8 E4M3, largest on the clip",
      "OCP 8-bit Floating Point (OFP8) v1.0, 2023; arXiv 2209.05433");
FLOAT(bd_quant_fp8_e5m2, "fp8-e5m2", NULL, 8, bd_float_e5m2,
      "FP8 E5M2, largest on the clip",
      "OCP 8-bit Floating Point (OFP8) v1.0, 2023; arXiv 2209.05433");
FLOAT(bd_quant_fp4_e2m1, "fp4-e2m1", "fp4", 4, bd_float_e2m1,
      "FP4 E2M1, largest on the clip",
      "OCP Microscaling Formats (MX) v1.0, 2023, element FP4");
