/* base: what every other folder stands on.  Status and errors, checked
 * arithmetic, memory, growing strings, text made safe to show, random
 * numbers, bounded reading of bytes, files in and out, JSON in and out.
 * Nothing here knows networks, quantizers or terminals. */
#ifndef BD_BASE_H
#define BD_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define BD_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define BD_PRINTF(f, a)
#endif

#define BD_VERSION "0.1.0"

/* ---------------------------------------------------------------- limits
 * One table for every loader; messages quote it. */
enum {
    BD_MAX_RANK = 16,
    BD_MAX_NEST = 100,            /* protobuf, JSON */
    BD_MAX_ITEMS = 1000000,       /* tensors, nodes */
    BD_MAX_NAME = 65536,          /* bytes of a stored name */
    BD_MAX_NPY_HEADER = 65536,
    BD_MAX_PICTURE_SIDE = 16384
};
#define BD_MAX_ELEMENTS ((int64_t)1 << 40)
#define BD_MAX_INFLATED ((size_t)1 << 31)
#define BD_MAX_PIXELS ((int64_t)64 << 20)

/* ---------------------------------------------------------------- errors */
typedef enum bd_status {
    BD_OK,
    BD_EINVALID,     /* wrong usage: an option, a layer, a width */
    BD_EIO,          /* the system refused */
    BD_EFORMAT,      /* the bytes are not what they claim */
    BD_EUNSUPPORTED, /* understood, but not something we do */
    BD_ENOMEM,
    BD_ECANCELLED
} bd_status;

/* A value, not a slot: it crosses threads inside results. */
struct bd_err {
    bd_status code;
    char file[256]; /* the file at fault as shown, or "" */
    char msg[512];  /* one sentence, without the file name */
};

/* Writes the sentence unless err is NULL or already holds an error (first
 * error wins); returns code.  Names from files go through bd_text_show. */
bd_status bd_fail(struct bd_err *err, bd_status code, const char *fmt, ...)
    BD_PRINTF(3, 4);
/* Names the file of an error that has none yet; returns err's code. */
bd_status bd_err_file(struct bd_err *err, const char *path);
/* "format", "io", ... as in the JSON error document. */
const char *bd_status_name(bd_status s);

/* ------------------------------------------------------ checked arithmetic
 * false on overflow, *out untouched then. */
bool bd_mul(size_t *out, size_t a, size_t b);
bool bd_add(size_t *out, size_t a, size_t b);

/* ---------------------------------------------------------------- sums
 * A sum and what rounding took from it (Neumaier 1974): the digits of small
 * terms survive millions of large ones.  Zero-initialised is 0. */
struct bd_sum {
    double s, c;
};

static inline void bd_sum_add(struct bd_sum *a, double v)
{
    double t = a->s + v;
    bool larger = __builtin_fabs(a->s) >= __builtin_fabs(v);

    a->c += larger ? (a->s - t) + v : (v - t) + a->s;
    a->s = t;
}

static inline double bd_sum_get(const struct bd_sum *a)
{
    return a->s + a->c;
}

/* ---------------------------------------------------------------- memory
 * The engine allocates only through these.  NULL on exhaustion or overflow;
 * bd_free(NULL) is fine.  Sizes of zero give a valid pointer. */
void *bd_alloc(size_t count, size_t size);  /* uninitialised, 64-aligned */
void *bd_calloc(size_t count, size_t size); /* zeroed, 64-aligned */
void *bd_realloc(void *p, size_t count, size_t size); /* keeps no alignment
                                     beyond malloc's: never on bd_alloc memory
                                     that needs 64 */
char *bd_strdup(const char *s);
void bd_free(void *p);
/* Grows *p (elements of `size`) so that at least need fit; cap doubles. */
bool bd_grow(void **p, size_t *cap, size_t need, size_t size);

/* Many small allocations with one free. */
struct bd_arena {
    struct bd_arena_block *head;
    size_t total; /* bytes handed out */
};
void *bd_arena_alloc(struct bd_arena *a, size_t count, size_t size); /* zeroed,
                                     64-aligned when larger than 64 bytes */
char *bd_arena_strdup(struct bd_arena *a, const char *s, size_t n);
void bd_arena_done(struct bd_arena *a);

/* ---------------------------------------------------------------- strings */
struct bd_str { /* zero-initialised is empty; s is NUL-terminated or NULL */
    char *s;
    size_t n, cap;
    bool failed; /* an allocation failed; later calls do nothing */
};
void bd_str_put(struct bd_str *b, const char *s, size_t n);
void bd_str_puts(struct bd_str *b, const char *s);
void bd_str_printf(struct bd_str *b, const char *fmt, ...) BD_PRINTF(2, 3);
void bd_str_done(struct bd_str *b);

/* The one way from stored bytes to shown text: escapes controls, invalid
 * UTF-8, bidirectional and zero-width characters, and cuts in the middle
 * beyond `cells` (0 = 80).  out always ends with NUL.  Returns out. */
char *bd_text_show(char *out, size_t cap, const char *s, size_t cells);
/* Decodes one code point at s[0..n); returns bytes used, or 0 if invalid. */
size_t bd_utf8_decode(uint32_t *cp, const char *s, size_t n);
size_t bd_utf8_encode(char out[4], uint32_t cp);
/* Shell-like pattern (* ? [a-z]) against a whole name. */
bool bd_glob(const char *pattern, const char *name);
/* Nearest of a NULL-ended list by edit distance, or NULL if none is near. */
const char *bd_nearest(const char *word, const char *const *list);
/* Strict numbers: whole text must be used, finite, in range. */
bool bd_parse_double(double *out, const char *s);
bool bd_parse_int(int64_t *out, const char *s, int64_t min, int64_t max);

/* ---------------------------------------------------------- random numbers
 * splitmix64: repeatable, one word of state, any seed. */
struct bd_rng {
    uint64_t s;
};
uint64_t bd_rng_u64(struct bd_rng *r);
double bd_rng_unit(struct bd_rng *r);               /* (0,1) */
double bd_rng_normal(struct bd_rng *r);             /* Box-Muller, cosine */
uint64_t bd_rng_below(struct bd_rng *r, uint64_t n); /* u64 % n */
/* An independent stream for part k of a job. */
struct bd_rng bd_rng_fork(uint64_t seed, uint64_t k);

/* XXH3 64-bit digest. */
uint64_t bd_digest(const void *p, size_t n, uint64_t seed);

/* ---------------------------------------------------------- reading bytes
 * The only cursor loaders use: compares with what is left, never overflows. */
struct bd_reader {
    const uint8_t *base;
    size_t size, pos;
};
const uint8_t *bd_take(struct bd_reader *r, size_t n); /* NULL if short */
bool bd_take_u8(struct bd_reader *r, uint8_t *v);
bool bd_take_u16le(struct bd_reader *r, uint16_t *v);
bool bd_take_u32le(struct bd_reader *r, uint32_t *v);
bool bd_take_u64le(struct bd_reader *r, uint64_t *v);
bool bd_take_u32be(struct bd_reader *r, uint32_t *v);

/* ---------------------------------------------------------------- files */
struct bd_file { /* a whole regular file, mapped read-only */
    const uint8_t *data;
    size_t size;
};
/* Directories, FIFOs, devices and absent files are refused with a sentence.
 * An empty file gives size 0. */
bd_status bd_file_map(struct bd_file *f, const char *path, struct bd_err *err);
void bd_file_unmap(struct bd_file *f);
/* Whole input, also from pipes and "-" (stdin), at most max bytes; the
 * caller owns *out (bd_free), which is NUL-terminated beyond *n. */
bd_status bd_file_read(char **out, size_t *n, const char *path, size_t max,
                       struct bd_err *err);
bool bd_file_exists(const char *path);
bool bd_is_dir(const char *path);

/* The only way to write: temporary file in the target's folder, fsync,
 * rename, fsync of the folder.  Without `force` an existing file is kept and
 * BD_EIO returned ("... exists; --force overwrites").  Old bytes stay whole
 * on every failure.  path "-" writes to standard output. */
bd_status bd_save(const char *path, const void *data, size_t n, bool force,
                  struct bd_err *err);
/* The same refusals without writing, for work that takes long: an hour of
 * training should not end at a folder that does not exist. */
bd_status bd_save_check(const char *path, bool force, struct bd_err *err);
/* XDG folders with the standard's fallbacks, created on demand; kind is
 * "STATE", "CONFIG" or "CACHE".  false when there is no usable home. */
bool bd_xdg_dir(char *out, size_t cap, const char *kind);

/* ---------------------------------------------------------------- JSON in
 * Strict: depth, doubled keys, bad UTF-8, \u0000, trailing bytes and
 * non-finite numbers are refused with a sentence naming the offset or key.
 * The caller owns *out (cJSON_Delete). */
struct cJSON;
bd_status bd_json_parse(struct cJSON **out, const char *text, size_t n,
                        struct bd_err *err);

/* ---------------------------------------------------------------- JSON out
 * A streaming writer: fixed key order, shortest text that reads back to the
 * same value, NaN and infinities as null, ASCII escapes for odd bytes. */
struct bd_json {
    struct bd_str out;
    int depth;
    bool comma;      /* something precedes on this level */
    bool pretty;     /* two spaces of indent; small arrays on one line */
    uint64_t inline_mask; /* bit d: level d stays on one line */
};
void bd_json_obj(struct bd_json *j, const char *key); /* key NULL in arrays */
void bd_json_obj_end(struct bd_json *j);
void bd_json_arr(struct bd_json *j, const char *key);
void bd_json_arr_inline(struct bd_json *j, const char *key);
void bd_json_arr_end(struct bd_json *j);
void bd_json_str(struct bd_json *j, const char *key, const char *v);
void bd_json_f64(struct bd_json *j, const char *key, double v); /* 17 digits
                                                     at most */
void bd_json_f32(struct bd_json *j, const char *key, float v); /* 9 digits */
void bd_json_int(struct bd_json *j, const char *key, int64_t v);
void bd_json_bool(struct bd_json *j, const char *key, bool v);
void bd_json_null(struct bd_json *j, const char *key);
/* A value that is JSON already, as another writer left it. */
void bd_json_raw(struct bd_json *j, const char *key, const char *text);
void bd_json_done(struct bd_json *j);

/* ---------------------------------------------------------------- time */
int64_t bd_now_ns(void); /* monotonic */

#endif
