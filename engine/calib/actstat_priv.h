/* Private to calib/: what fitting reads of the statistics. */
#ifndef BD_CALIB_ACTSTAT_PRIV_H
#define BD_CALIB_ACTSTAT_PRIV_H

#include "calib/calib.h"

bool bd_actstat_failed(const struct bd_actstat *s);
void bd_actstat_moments(struct bd_moments *m, const struct bd_actstat *s);

#endif
