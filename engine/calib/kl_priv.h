/* Private to calib/, and for its test: pieces of clip rule `kl`. */
#ifndef BD_CALIB_KL_PRIV_H
#define BD_CALIB_KL_PRIV_H

#include "calib_priv.h"

enum { BD_KL_BINS = 2048 };

/* The bin of [lo, lo + n w) that holds zero counts at most the mean of its
 * neighbours. */
void bd_kl_tame_zero(int64_t *h, int n, double lo, double w);
/* From p->clip, the largest there is, to the rule's. */
bd_status bd_calib_kl(struct bd_qparam *p, struct bd_calib_fit *f,
                      struct bd_err *err);

#endif
