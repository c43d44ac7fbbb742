/* Protobuf wire format: key = field number * 8 + wire type, then a value.
 * All lengths are compared with what is left before anything is touched. */
#include "model/pb.h"

#include <string.h>

static bool take_varint(struct bd_reader *r, uint64_t *v)
{
    uint64_t x = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        uint8_t c;
        if (!bd_take_u8(r, &c))
            return false;
        /* The tenth byte has room for one bit only. */
        if (shift == 63 && c > 1)
            return false;
        x |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *v = x;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct pb_field *f, struct bd_reader *r)
{
    uint64_t n;
    if (!take_varint(r, &n) || n > r->size - r->pos)
        return false;
    f->n = (size_t)n;
    f->p = bd_take(r, f->n);
    return f->p != NULL;
}

static bool take_value(struct pb_field *f, struct bd_reader *r)
{
    uint32_t w32;
    switch (f->wire) {
    case PB_VARINT:
        return take_varint(r, &f->v);
    case PB_FIXED64:
        return bd_take_u64le(r, &f->v);
    case PB_BYTES:
        return take_bytes(f, r);
    case PB_FIXED32:
        if (!bd_take_u32le(r, &w32))
            return false;
        f->v = w32;
        return true;
    }
    return false;
}

bd_status pb_next(struct pb_field *f, struct bd_reader *r, struct bd_err *err)
{
    memset(f, 0, sizeof *f);
    if (r->pos == r->size)
        return BD_OK;
    size_t at = r->pos;
    uint64_t key;
    if (!take_varint(r, &key))
        return bd_fail(err, BD_EFORMAT,
                       "a field key is cut short (file cut "
                       "short?)");
    f->wire = (enum pb_wire)(key & 7);
    f->num = key >> 3;
    if (f->num == 0 || f->num >= (1u << 29))
        return bd_fail(err, BD_EFORMAT, "field number %llu is not possible",
                       (unsigned long long)f->num);
    /* Groups were dropped from protobuf long before ONNX existed. */
    if (f->wire > PB_FIXED32 || (key & 7) == 3 || (key & 7) == 4)
        return bd_fail(err, BD_EFORMAT, "wire type %d is not used by ONNX",
                       (int)(key & 7));
    if (!take_value(f, r))
        return bd_fail(err, BD_EFORMAT,
                       "field %llu at byte %zu of %zu runs past the end "
                       "(file cut short?)",
                       (unsigned long long)f->num, at, r->size);
    return BD_OK;
}

static const struct pb_rule *rule_of(const struct pb_message *m, uint64_t num)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->rule[i].num == num)
            return &m->rule[i];
    return NULL;
}

bd_status pb_walk(const struct pb_message *m, const uint8_t *p, size_t n,
                  void *arg, struct bd_err *err)
{
    struct bd_reader r = {p, n, 0};
    for (;;) {
        struct pb_field f;
        bd_status s = pb_next(&f, &r, err);
        if (s != BD_OK || f.num == 0)
            return s;
        const struct pb_rule *rule = rule_of(m, f.num);
        if (!rule)
            continue;
        bool ok = f.wire == rule->wire || (rule->packed && f.wire == PB_BYTES);
        if (!ok)
            return bd_fail(err, BD_EFORMAT,
                           "%s.%s has wire type %d, expected %d", m->name,
                           rule->name, (int)f.wire, (int)rule->wire);
        s = rule->take(arg, &f, err);
        if (s != BD_OK)
            return s;
    }
}

static bool count_varints(size_t *out, const uint8_t *p, size_t n)
{
    size_t count = 0, run = 0;
    for (size_t i = 0; i < n; i++) {
        if (++run > 10)
            return false;
        if (p[i] < 0x80) {
            count++;
            run = 0;
        }
    }
    *out = count;
    return run == 0;
}

bool pb_count(size_t *out, const struct pb_field *f, enum pb_wire wire)
{
    *out = 1;
    if (f->wire == wire)
        return true;
    if (wire == PB_VARINT)
        return count_varints(out, f->p, f->n);
    size_t each = wire == PB_FIXED64 ? 8 : 4;
    *out = f->n / each;
    return f->n % each == 0;
}

void pb_each(const struct pb_field *f, enum pb_wire wire,
             void (*put)(void *arg, uint64_t v), void *arg)
{
    if (f->wire == wire) {
        put(arg, f->v);
        return;
    }
    struct bd_reader r = {f->p, f->n, 0};
    struct pb_field one = {.wire = wire};
    while (r.pos < r.size && take_value(&one, &r))
        put(arg, one.v);
}
