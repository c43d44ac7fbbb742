/* splitmix64 (Steele, Lea, Flood 2014) and digests. */
#define XXH_INLINE_ALL
#include "base/base.h"

#include <math.h>
#include <time.h>
#include <xxhash.h>

uint64_t bd_rng_u64(struct bd_rng *r)
{
    uint64_t z = r->s += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

double bd_rng_unit(struct bd_rng *r)
{
    return ((double)(bd_rng_u64(r) >> 11) + 0.5) / 9007199254740992.0;
}

double bd_rng_normal(struct bd_rng *r)
{
    double radius = sqrt(-2 * log(bd_rng_unit(r)));

    return radius * cos(6.283185307179586 * bd_rng_unit(r));
}

uint64_t bd_rng_below(struct bd_rng *r, uint64_t n)
{
    return bd_rng_u64(r) % n;
}

struct bd_rng bd_rng_fork(uint64_t seed, uint64_t k)
{
    struct bd_rng a = {seed};
    struct bd_rng b = {bd_rng_u64(&a) ^ (k * 0xD1B54A32D192ED03u)};

    return (struct bd_rng){bd_rng_u64(&b)};
}

uint64_t bd_digest(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

int64_t bd_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
