/* What npz.c (the archive) needs of npy.c (one array). */
#ifndef BD_TENSOR_NPZ_PRIV_H
#define BD_TENSOR_NPZ_PRIV_H

#include "tensor/tensor.h"

/* One whole .npy file.  With `borrow` the tensor may point into r's bytes,
 * otherwise all data is in the arena. */
bd_status bd_npy_read(struct bd_tensor *out, struct bd_arena *a,
                      struct bd_reader r, bool borrow, struct bd_err *err);

/* How long the file must be whose first bytes are r's. */
bd_status bd_npy_total(size_t *total, struct bd_reader r, struct bd_err *err);

#endif
