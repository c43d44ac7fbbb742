/* The protobuf wire format, bounded: a message is a stretch of bytes, walked
 * once with a table that says which field has which wire type.  Nothing is
 * allocated and nothing recurses here: a nested message is handed to the
 * table's function as bytes. */
#ifndef BD_MODEL_PB_H
#define BD_MODEL_PB_H

#include "base/base.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint64_t num; /* 0 = end of the message */
    enum pb_wire wire;
    uint64_t v;       /* varint and fixed values */
    const uint8_t *p; /* PB_BYTES */
    size_t n;
};

/* The next field; num 0 at the end.  Groups, field number 0, varints over
 * ten bytes and lengths beyond the message are BD_EFORMAT. */
bd_status pb_next(struct pb_field *f, struct bd_reader *r, struct bd_err *err);

/* `packed` fields may come as bytes holding many, or one at a time. */
struct pb_rule {
    uint32_t num;
    enum pb_wire wire;
    bool packed;
    const char *name;
    bd_status (*take)(void *arg, const struct pb_field *f, struct bd_err *err);
};
struct pb_message {
    const char *name;
    const struct pb_rule *rule;
    size_t n;
};
/* Calls take for each known field in file order; unknown ones are skipped. */
bd_status pb_walk(const struct pb_message *m, const uint8_t *p, size_t n,
                  void *arg, struct bd_err *err);

/* How many numbers a packed-or-not field holds; false when its bytes do not
 * divide into whole numbers. */
bool pb_count(size_t *out, const struct pb_field *f, enum pb_wire wire);
/* Calls put for each of them, after pb_count said they are whole. */
void pb_each(const struct pb_field *f, enum pb_wire wire,
             void (*put)(void *arg, uint64_t v), void *arg);

#endif
