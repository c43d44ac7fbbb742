/* tensor: a view of numbers, its shape, and plain statistics of it.
 * Views never own data.  Quantization lives in quant/, not here. */
#ifndef BD_TENSOR_H
#define BD_TENSOR_H

#include "base/base.h"

/* The element types of ONNX, by its numbers. */
enum bd_dtype {
    BD_UNDEFINED = 0, BD_F32 = 1, BD_U8 = 2, BD_I8 = 3, BD_U16 = 4,
    BD_I16 = 5, BD_I32 = 6, BD_I64 = 7, BD_STRING = 8, BD_BOOL = 9,
    BD_F16 = 10, BD_F64 = 11, BD_U32 = 12, BD_U64 = 13, BD_BF16 = 16
};

/* Real types are held as float, whole-number types and bool as int64_t; the
 * label says what the file declared.  Exactly one of f, i is set when the
 * values are known; both are NULL for a bare shape. */
struct bd_tensor {
    enum bd_dtype type;
    int rank;
    int64_t dim[BD_MAX_RANK]; /* row-major, contiguous; conv weight:
                                 [out,in/group,kh,kw]; -1 = not yet known */
    float *f;
    int64_t *i;
};

bool bd_dtype_is_real(enum bd_dtype t); /* held as float */
const char *bd_dtype_name(enum bd_dtype t); /* "float32", "int64", ... */
size_t bd_dtype_size(enum bd_dtype t); /* bytes in a file, 0 if variable */

/* Product of dims (1 for a scalar, 0 when any is 0, -1 if any is unknown). */
int64_t bd_tensor_count(const struct bd_tensor *t);
/* Refuses negative dims and products beyond BD_MAX_ELEMENTS. */
bd_status bd_shape_check(int64_t *count, const int64_t *dim, int rank,
                         struct bd_err *err);
/* "64x3x7x7", "scalar"; unknown dims as "?".  Returns out. */
char *bd_shape_text(char *out, size_t cap, const struct bd_tensor *t);

/* Converts n stored little-endian (or, with `big`, big-endian) elements at
 * src to our storage: dst is float[n] or int64_t[n] by bd_dtype_is_real. */
void bd_convert(void *dst, const void *src, size_t n, enum bd_dtype type,
                bool big);
float bd_half_to_float(uint16_t h);
uint16_t bd_float_to_half(float f); /* round to nearest even */

/* How a tensor splits into channels along one axis: element (o, c, k) is at
 * (o * channels + c) * inner + k. */
struct bd_slices {
    int64_t outer, channels, inner;
};
struct bd_slices bd_slices_of(const struct bd_tensor *t, int axis);
/* Copies channel c to dst[outer*inner] / back from src. */
void bd_slice_get(float *dst, const float *x, struct bd_slices s, int64_t c);
void bd_slice_put(float *x, const float *src, struct bd_slices s, int64_t c);

/* Non-finite values are counted and left out of everything else. */
struct bd_stats {
    int64_t n, finite, nan, inf, zeros;
    float min, max;
    double mean, std; /* population */
    double absmax, absmean, sumsq;
};
void bd_stats_of(struct bd_stats *out, const float *x, size_t n);

/* Arrays of an .npz or .npy, for models and data sets alike.  Names live in the
 * arena; data is zero-copy where the file allows, else in the arena. */
struct bd_npz_entry {
    const char *name;
    struct bd_tensor t;
};
bd_status bd_npz_load(struct bd_npz_entry **out, size_t *n, struct bd_arena *a,
                      const struct bd_file *f, struct bd_err *err);

#endif
