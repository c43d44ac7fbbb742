/* Floating grids: what the rows scaled by a clip (float.c) and those in
 * blocks with a power of two (mx.c) share.  An element is format value times
 * p->scale. */
#ifndef BD_QUANT_FLOAT_PRIV_H
#define BD_QUANT_FLOAT_PRIV_H

#include "quant_priv.h"

extern const struct bd_float_format bd_float_e4m3, bd_float_e5m2,
    bd_float_e3m2, bd_float_e2m3, bd_float_e2m1, bd_float_int8;

/* Members of the table. */
void bd_quant_float_core(double *q, const double *z, size_t n,
                         const struct bd_qparam *p);
size_t bd_quant_float_levels(double *out, size_t cap,
                             const struct bd_qparam *p);
size_t bd_quant_float_cuts(double *out, size_t cap, const struct bd_qparam *p);
void bd_quant_float_codes(int32_t *out, const float *x, size_t n,
                          const struct bd_qparam *p);

#endif
