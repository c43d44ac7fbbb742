/* Shapes, element types and channels. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

bool bd_dtype_is_real(enum bd_dtype t)
{
    return t == BD_F32 || t == BD_F16 || t == BD_F64 || t == BD_BF16;
}

const char *bd_dtype_name(enum bd_dtype t)
{
    static const char *const names[] = {
        "undefined", "float32", "uint8",   "int8",    "uint16", "int16",
        "int32",     "int64",   "string",  "bool",    "float16", "float64",
        "uint32",    "uint64",  "unknown", "unknown", "bfloat16"};

    return (unsigned)t <= BD_BF16 ? names[t] : "unknown";
}

size_t bd_dtype_size(enum bd_dtype t)
{
    static const uint8_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0,
                                    1, 2, 8, 4, 8, 0, 0, 2};

    return (unsigned)t <= BD_BF16 ? sizes[t] : 0;
}

int64_t bd_tensor_count(const struct bd_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0)
            return -1;
        n *= t->dim[i];
    }
    return n;
}

bd_status bd_shape_check(int64_t *count, const int64_t *dim, int rank,
                         struct bd_err *err)
{
    int64_t n = 1;
    bool empty = false;

    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0)
            return bd_fail(err, BD_EFORMAT, "dimension %d is %lld", i,
                           (long long)dim[i]);
        if (dim[i] == 0)
            empty = true;
        else if (dim[i] > BD_MAX_ELEMENTS / n)
            return bd_fail(err, BD_EFORMAT,
                           "the dimensions multiply to more than 2^40");
        else
            n *= dim[i];
    }
    *count = empty ? 0 : n;
    return BD_OK;
}

char *bd_shape_text(char *out, size_t cap, const struct bd_tensor *t)
{
    size_t at = 0;

    if (t->rank <= 0) {
        snprintf(out, cap, t->rank == 0 ? "scalar" : "?");
        return out;
    }
    for (int i = 0; i < t->rank && at < cap; i++) {
        char num[24] = "?";

        if (t->dim[i] >= 0)
            snprintf(num, sizeof num, "%lld", (long long)t->dim[i]);
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i > 0 ? "x" : "",
                               num);
    }
    return out;
}

struct bd_slices bd_slices_of(const struct bd_tensor *t, int axis)
{
    struct bd_slices s = {1, 1, 1};

    for (int i = 0; i < t->rank; i++) {
        if (i < axis)
            s.outer *= t->dim[i];
        else if (i == axis)
            s.channels = t->dim[i];
        else
            s.inner *= t->dim[i];
    }
    return s;
}

void bd_slice_get(float *dst, const float *x, struct bd_slices s, int64_t c)
{
    for (int64_t o = 0; o < s.outer; o++)
        memcpy(dst + o * s.inner, x + (o * s.channels + c) * s.inner,
               (size_t)s.inner * sizeof *dst);
}

void bd_slice_put(float *x, const float *src, struct bd_slices s, int64_t c)
{
    for (int64_t o = 0; o < s.outer; o++)
        memcpy(x + (o * s.channels + c) * s.inner, src + o * s.inner,
               (size_t)s.inner * sizeof *x);
}
