/* Private to the bit plane files: the least squares problem, as small as it
 * gets. */
#ifndef BD_QUANT_PLANES_PRIV_H
#define BD_QUANT_PLANES_PRIV_H

#include "quant_priv.h"

struct bd_plane_gram {
    int of;
    bool negative;
    double n, sum, tt;      /* values, sum of t, sum of t^2 */
    double full;            /* squared error of the plain code */
    double G[BD_PLANES][BD_PLANES], g[BD_PLANES];
};
/* L, the largest magnitude code. */
static inline double bd_planes_top(int of)
{
    return (double)((1 << of) - 1);
}
void bd_planes_gram(struct bd_plane_gram *g, const struct bd_codetable *t);
/* Adds the values of one code: their number, sum t and sum t^2; g->full is
 * the caller's. */
void bd_planes_gram_add(struct bd_plane_gram *g, int code,
                        const struct bd_quant_cell *c);
/* Coefficients of least squares on a set; false when it is singular. */
bool bd_planes_least(double alpha[BD_PLANES], const struct bd_plane_gram *g,
                     unsigned mask);
double bd_planes_sse(const struct bd_plane_gram *g,
                     const double alpha[BD_PLANES]);
/* Completes a row whose mask and alpha are set. */
void bd_planes_row(struct bd_plane_row *row, const struct bd_plane_gram *g,
                   double sse);
void bd_planes_best(struct bd_plane_table *out, const struct bd_plane_gram *g);

#endif
