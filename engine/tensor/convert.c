/* Stored elements to ours: real types to float, the rest to int64_t. */
#include "tensor/tensor.h"

#include <string.h>

float bd_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t e = h >> 10 & 31, m = h & 1023, u;
    float f;

    if (e == 31) {
        u = sign | 0x7F800000u | m << 13;
    } else if (e > 0) {
        u = sign | (e + 112) << 23 | m << 13;
    } else { /* subnormal: m * 2^-24, exact in float */
        f = (float)m * 0x1p-24f;
        return sign != 0 ? -f : f;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

uint16_t bd_float_to_half(float f)
{
    uint32_t u, sign, mag, half, rest;
    int shift;

    memcpy(&u, &f, sizeof u);
    sign = u >> 16 & 0x8000;
    mag = u & 0x7FFFFFFF;
    if (mag > 0x7F800000)
        return (uint16_t)(sign | 0x7E00);
    if (mag >= 0x47800000) /* 65536 and up, and infinity */
        return (uint16_t)(sign | 0x7C00);
    if (mag >= 0x38800000) { /* normal: rebias, round the 13 lost bits */
        half = (mag - 0x38000000) >> 13;
        rest = mag & 0x1FFF;
        half += rest > 0x1000 || (rest == 0x1000 && (half & 1) != 0);
        return (uint16_t)(sign | half);
    }
    if (mag < 0x33000000)
        return (uint16_t)sign;
    shift = 126 - (int)(mag >> 23);
    mag = (mag & 0x7FFFFF) | 0x800000;
    half = mag >> shift;
    rest = mag & ((1u << shift) - 1);
    half += rest > 1u << (shift - 1) ||
            (rest == 1u << (shift - 1) && (half & 1) != 0);
    return (uint16_t)(sign | half);
}

/* One element as the bits of its type, in native order. */
static uint64_t load(const uint8_t *p, size_t size, bool big)
{
    uint64_t v = 0;

    for (size_t i = 0; i < size; i++)
        v = v << 8 | p[big ? i : size - 1 - i];
    return v;
}

static float real_of(uint64_t v, enum bd_dtype type)
{
    uint32_t u = (uint32_t)v;
    float f;
    double d;

    if (type == BD_F16)
        return bd_half_to_float((uint16_t)v);
    if (type == BD_F64) {
        memcpy(&d, &v, sizeof d);
        return (float)d;
    }
    if (type == BD_BF16)
        u <<= 16;
    memcpy(&f, &u, sizeof f);
    return f;
}

static bool is_signed_int(enum bd_dtype t)
{
    return t == BD_I8 || t == BD_I16 || t == BD_I32 || t == BD_I64;
}

static int64_t whole_of(uint64_t v, enum bd_dtype type, size_t size)
{
    int drop = (int)(64 - 8 * size);

    if (type == BD_BOOL)
        return v != 0;
    if (is_signed_int(type))
        return (int64_t)(v << drop) >> drop;
    return (int64_t)v;
}

void bd_convert(void *dst, const void *src, size_t n, enum bd_dtype type,
                bool big)
{
    size_t size = bd_dtype_size(type);
    const uint8_t *p = src;

    if (type == BD_F32 && !big) {
        memcpy(dst, src, n * sizeof(float));
        return;
    }
    if (bd_dtype_is_real(type)) {
        float *f = dst;

        for (size_t i = 0; i < n; i++)
            f[i] = real_of(load(p + i * size, size, big), type);
    } else {
        int64_t *w = dst;

        for (size_t i = 0; i < n; i++)
            w[i] = whole_of(load(p + i * size, size, big), type, size);
    }
}
