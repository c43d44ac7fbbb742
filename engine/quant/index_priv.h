/* Private to quant/: the inside of the distortion index, for the file that
 * builds it (index.c) and the one that asks it (index_ask.c). */
#ifndef BD_QUANT_INDEX_PRIV_H
#define BD_QUANT_INDEX_PRIV_H

#include "exact.h"
#include "quant_priv.h"

struct sums { /* of all values before a place in the order */
    size_t n;
    struct bd_pair s1, s2;
};

struct bd_index {
    struct bd_moments m;
    size_t nbins;
    float lo, scale;     /* bin = (x - lo) * scale, clamped */
    float *x;            /* [m.n], bin after bin */
    size_t *first;       /* [nbins + 1], where each bin begins */
    struct sums *before; /* [nbins + 1] */
};

/* Number of the bin x belongs to. */
static inline size_t bd_index_bin(const struct bd_index *ix, float x)
{
    float v = (x - ix->lo) * ix->scale, top = (float)(ix->nbins - 1);

    v = v > 0 ? v : 0; /* also when not a number */
    v = v < top ? v : top;
    return (size_t)(int32_t)v;
}

/* Largest float <= t: comparing floats with it is comparing with t. */
static inline float bd_index_floor(double t)
{
    float f = (float)t;

    return (double)f > t ? nextafterf(f, -INFINITY) : f;
}

/* Sums of all values <= t. */
struct sums bd_index_upto(const struct bd_index *ix, double t);
/* Squared error of the values between two prefixes against level q. */
double bd_index_between(const struct sums *a, const struct sums *b, double q);

#endif
