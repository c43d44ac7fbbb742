/* Private to calib/: one clip search for weights and activations alike. */
#ifndef BD_CALIB_PRIV_H
#define BD_CALIB_PRIV_H

#include <math.h>
#include <string.h>

#include "calib/calib.h"

/* Where the values are, seen through the two questions a search asks. */
struct bd_calib_source {
    const void *data;
    double (*error)(const void *data, const double *levels, const double *cuts,
                    size_t nlev);
    double (*quantile)(const void *data, double center, double q);
    /* Count and sums between cuts, for methods that adapt. */
    bool (*cells)(struct bd_quant_cell *out, const void *data,
                  const double *cuts, size_t ncuts);
    /* Error no grid within [lo, hi] can avoid; NULL: not known. */
    double (*beyond)(const void *data, double lo, double hi);
    /* Counts in nbins equal bins of [lo, hi). */
    void (*histogram)(const void *data, double lo, double hi, int64_t *bins,
                      int nbins);
    /* Mean of |x - center|. */
    double (*absdev)(const void *data, double center);
};

/* One fit: what is asked, of which values; and room for one grid, kept across
 * the fits of a tensor. */
struct bd_calib_fit {
    const struct bd_tensorcfg *cfg;
    float learned;
    struct bd_ctl *ctl;
    struct bd_moments m;
    struct bd_calib_source src;
    double *levels, *cuts; /* [cap] */
    size_t cap;
    const struct bd_actstat *stat; /* activations; NULL: weights */
    double *room; /* where the next set's learned levels go; borrowed */
};
void bd_calib_fit_done(struct bd_calib_fit *f);

/* Completes p (q, bits, is_signed, weights set) by cfg's clip rule. */
bd_status bd_calib_choose(struct bd_qparam *p, struct bd_calib_fit *f,
                          struct bd_err *err);
/* Refits p to its clip; its levels and cuts into f. */
bd_status bd_calib_grid(size_t *nlev, struct bd_calib_fit *f,
                        struct bd_qparam *p, struct bd_err *err);
/* Squared error of p's grid. */
bd_status bd_calib_error(double *e, struct bd_calib_fit *f,
                         const struct bd_qparam *p, struct bd_err *err);

#endif
