/* The two loops that run over every activation of every image, without
 * division and without search.
 *
 * Both give the same bits as the plain definitions (common.c and the method
 * files), which remain the oracle in the tests:
 *
 * - Steps: x * (1/step) differs from x / clip * steps in the last places
 *   only, which matters only near a half.  A block in which any value comes
 *   that near is handed back to the definition.
 * - Magnitudes: comparing a float with the largest float below a threshold is
 *   comparing it with the threshold. */
#include "quant_priv.h"

enum {
    LANES = 8,
    MOST = 64 /* magnitudes worth comparing one after another */
};
/* How far a value may lie from its code.  Rounding errors of x * inv against
 * the definition stay below 1e-10. */
static const double sure = 0.5 - 1e-9;

/* One block; false when some value is too near a half to be sure.  n is a
 * multiple of LANES. */
BD_QUANT_CLONES
static bool step_block(float *y, const float *x, size_t n,
                       const struct bd_quant_steps *s)
{
    const double magic = 6755399441055744.0;
    const bd_quant_d8 zero = {0};
    bd_quant_d8 lo = zero + s->lo, hi = zero + s->hi;
    bd_quant_d8 far = {0}; /* largest squared distance from a code */
    double worst = 0;

    for (size_t i = 0; i < n; i += LANES) {
        bd_quant_f8 f;
        bd_quant_d8 v, r, d;
        bd_quant_l8 m;

        memcpy(&f, x + i, sizeof(f));
        v = __builtin_convertvector(f, bd_quant_d8) * s->inv;
        m = v < lo;
        v = (bd_quant_d8)(((bd_quant_l8)v & ~m) | ((bd_quant_l8)lo & m));
        m = v > hi;
        v = (bd_quant_d8)(((bd_quant_l8)v & ~m) | ((bd_quant_l8)hi & m));
        r = (v + magic) - magic;
        d = (v - r) * (v - r);
        m = d > far;
        far = (bd_quant_d8)(((bd_quant_l8)far & ~m) | ((bd_quant_l8)d & m));
        f = __builtin_convertvector(r * s->scale, bd_quant_f8);
        memcpy(y + i, &f, sizeof(f));
    }
    for (int k = 0; k < LANES; k++)
        worst = far[k] > worst ? far[k] : worst;
    return worst < sure * sure;
}

/* y may be x, so a block that fails must not have been written: it goes to a
 * buffer first. */
void bd_quant_fast_steps(float *y, const float *x, size_t n,
                         const struct bd_qparam *p,
                         const struct bd_quant_steps *s)
{
    float out[BD_QUANT_BLOCK];
    size_t i = 0;

    for (; i + BD_QUANT_BLOCK <= n; i += BD_QUANT_BLOCK)
        if (step_block(out, x + i, BD_QUANT_BLOCK, s))
            memcpy(y + i, out, sizeof(out));
        else
            bd_quant_apply_plain(y + i, x + i, BD_QUANT_BLOCK, p);
    bd_quant_apply_plain(y + i, x + i, n - i, p);
}

/* code * scale rounds to the same float as code / top * clip for every code:
 * nearly always, and cheap to make sure of. */
static bool same_levels(double top, double clip, double scale)
{
    for (double c = 0; c <= top; c++)
        if ((float)(c * scale) != (float)(c / top * clip))
            return false;
    return true;
}

void bd_quant_apply_steps(float *y, const float *x, size_t n,
                          const struct bd_qparam *p,
                          const struct bd_quant_steps *s)
{
    bool fast = n >= BD_QUANT_WORTH && p->mu == 0 && p->sigma == 1 &&
                s->hi <= 255 && same_levels(s->hi, p->clip, s->scale);

    if (fast)
        bd_quant_fast_steps(y, x, n, p, s);
    else
        bd_quant_apply_plain(y, x, n, p);
}

/* --------------------------------------------------------- magnitudes */
struct table { /* as floats */
    size_t n;
    bool is_signed;
    float m[MOST], t[MOST];
};

/* The largest magnitude whose threshold is passed, the first one if none;
 * thresholds ascend, so the last one passed decides.  Negative values get
 * their sign back, zero stays plain zero, and what is not a number stays what
 * it is. */
BD_QUANT_CLONES
static void mag_block(float *y, const float *x, size_t n, const struct table *g)
{
    const int32_t sign = INT32_MIN;

    for (size_t i = 0; i < n; i += LANES) {
        bd_quant_f8 v, q = (bd_quant_f8){0} + g->m[0];
        bd_quant_i8 minus = {0}, a, m;

        memcpy(&v, x + i, sizeof(v));
        a = (bd_quant_i8)v;
        if (g->is_signed) {
            minus = a & sign;
            a &= ~sign;
        }
        for (size_t k = 1; k < g->n; k++) {
            m = (bd_quant_f8)a > g->t[k - 1];
            q = (bd_quant_f8)(((bd_quant_i8)q & ~m) |
                              ((bd_quant_i8)((bd_quant_f8){0} + g->m[k]) & m));
        }
        m = q > 0;
        a = (bd_quant_i8)q | (minus & m);
        m = v == v;
        a = (a & m) | ((bd_quant_i8)v & ~m);
        memcpy(y + i, &a, sizeof(a));
    }
}

/* Fills *f if the set has few enough members, and a zero unless it is the
 * grid itself. */
static bool as_floats(struct table *f, const struct bd_quant_mags *g,
                      bool is_signed)
{
    if (g->n > MOST || g->two_sided || (g->m[0] != 0 && !g->direct))
        return false;
    f->n = g->n;
    f->is_signed = is_signed && !g->direct;
    for (size_t i = 0; i < g->n; i++)
        f->m[i] = (float)g->m[i];
    for (size_t i = 0; i + 1 < g->n; i++) {
        f->t[i] = (float)g->t[i];
        if ((double)f->t[i] > g->t[i])
            f->t[i] = nextafterf(f->t[i], -INFINITY);
    }
    return true;
}

bool bd_quant_fast_mags(float *y, const float *x, size_t n,
                        const struct bd_qparam *p,
                        const struct bd_quant_mags *g)
{
    struct table f;
    size_t whole = n - n % LANES;
    float pad[LANES] = {0};

    if (n < BD_QUANT_WORTH || p->mu != 0 || p->sigma != 1 ||
        !as_floats(&f, g, p->is_signed))
        return false;
    mag_block(y, x, whole, &f);
    memcpy(pad, x + whole, (n - whole) * sizeof(*pad));
    mag_block(pad, pad, LANES, &f);
    memcpy(y + whole, pad, (n - whole) * sizeof(*pad));
    return true;
}
