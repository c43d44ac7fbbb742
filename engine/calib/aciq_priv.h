/* Private to calib/: clip rule `aciq`. */
#ifndef BD_CALIB_ACIQ_PRIV_H
#define BD_CALIB_ACIQ_PRIV_H

#include "actstat_priv.h"
#include "calib_priv.h"

/* From p->clip, the largest there is, to the rule's. */
void bd_calib_aciq(struct bd_qparam *p, const struct bd_calib_fit *f);

#endif
