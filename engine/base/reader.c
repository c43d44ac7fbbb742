/* The cursor every loader reads through.  The comparison is always with what
 * is left (n > size - pos), so no length in a file can wrap it. */
#include "base/base.h"

#include <string.h>

const uint8_t *bd_take(struct bd_reader *r, size_t n)
{
    const uint8_t *p;

    if (r->pos > r->size || n > r->size - r->pos)
        return NULL;
    p = r->base + r->pos;
    r->pos += n;
    return p;
}

static bool take_le(struct bd_reader *r, uint64_t *v, size_t n)
{
    const uint8_t *p = bd_take(r, n);
    uint64_t x = 0;

    if (p == NULL)
        return false;
    for (size_t i = n; i-- > 0;)
        x = x << 8 | p[i];
    *v = x;
    return true;
}

bool bd_take_u8(struct bd_reader *r, uint8_t *v)
{
    uint64_t x;

    if (!take_le(r, &x, 1))
        return false;
    *v = (uint8_t)x;
    return true;
}

bool bd_take_u16le(struct bd_reader *r, uint16_t *v)
{
    uint64_t x;

    if (!take_le(r, &x, 2))
        return false;
    *v = (uint16_t)x;
    return true;
}

bool bd_take_u32le(struct bd_reader *r, uint32_t *v)
{
    uint64_t x;

    if (!take_le(r, &x, 4))
        return false;
    *v = (uint32_t)x;
    return true;
}

bool bd_take_u64le(struct bd_reader *r, uint64_t *v)
{
    return take_le(r, v, 8);
}

bool bd_take_u32be(struct bd_reader *r, uint32_t *v)
{
    uint32_t x;

    if (!bd_take_u32le(r, &x))
        return false;
    *v = __builtin_bswap32(x);
    return true;
}
