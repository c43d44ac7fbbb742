/* usage: fuzz_TARGET [RUNS [SEED [FILE...]]]
 * Replays every seed (the files given, else the target's own), then RUNS
 * mutations of them.  A finding is a crash or a sanitizer report; the input
 * of the run that was on is then in fuzz-last.bin when FUZZ_KEEP is set. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seeds {
    struct bd_str *v;
    size_t n, cap;
};

static bool add_seed(struct seeds *s, const struct bd_str *one)
{
    void *p = s->v;
    if (!bd_grow(&p, &s->cap, s->n + 1, sizeof *s->v))
        return false;
    s->v = p;
    s->v[s->n++] = *one;
    return true;
}

static bool read_seed(struct seeds *s, const char *path)
{
    char *text;
    size_t n;
    struct bd_str one = {0};
    struct bd_err err = {0};
    if (bd_file_read(&text, &n, path, (size_t)1 << 24, &err) != BD_OK) {
        fprintf(stderr, "%s: %s\n", path, err.msg);
        return false;
    }
    bd_str_put(&one, text, n);
    bd_free(text);
    return add_seed(s, &one);
}

/* -------------------------------------------------------------- mutations */

static void set_extreme(uint8_t *p, size_t left, struct bd_rng *r)
{
    static const uint64_t values[] = {0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      UINT64_MAX};
    uint64_t v = values[bd_rng_below(r, sizeof values / sizeof *values)];
    size_t n = (size_t)1 << bd_rng_below(r, 4);
    for (size_t k = 0; k < n && k < left; k++)
        p[k] = (uint8_t)(v >> (8 * k));
}

/* Moves or copies a stretch of the input over another place. */
static void copy_stretch(uint8_t *p, size_t n, struct bd_rng *r)
{
    size_t from = bd_rng_below(r, n), to = bd_rng_below(r, n);
    size_t len = 1 + bd_rng_below(r, 32), room = n - (from > to ? from : to);
    memmove(p + to, p + from, len < room ? len : room);
}

/* Cuts a stretch out; returns the new length. */
static size_t cut_stretch(uint8_t *p, size_t n, struct bd_rng *r)
{
    size_t from = bd_rng_below(r, n), len = 1 + bd_rng_below(r, 16);
    if (len > n - from)
        len = n - from;
    memmove(p + from, p + from + len, n - from - len);
    return n - len;
}

static size_t mutate(uint8_t *p, size_t n, struct bd_rng *r)
{
    for (uint64_t k = bd_rng_below(r, 6); n > 0 && k < 6; k++) {
        size_t at = bd_rng_below(r, n);
        switch (bd_rng_below(r, 6)) {
        case 0:
            p[at] ^= (uint8_t)(1u << bd_rng_below(r, 8));
            break;
        case 1:
            p[at] = (uint8_t)bd_rng_below(r, 256);
            break;
        case 2:
            set_extreme(p + at, n - at, r);
            break;
        case 3:
            copy_stretch(p, n, r);
            break;
        case 4:
            n = cut_stretch(p, n, r);
            break;
        default:
            if (bd_rng_below(r, 8) == 0)
                n = at;
            break;
        }
    }
    return n;
}

static void keep(const uint8_t *p, size_t n)
{
    FILE *f = getenv("FUZZ_KEEP") ? fopen("fuzz-last.bin", "wb") : NULL;
    if (!f)
        return;
    fwrite(p, 1, n, f);
    fclose(f);
}

static bool run(const struct seeds *s, uint64_t runs, uint64_t seed)
{
    for (size_t k = 0; k < s->n; k++)
        LLVMFuzzerTestOneInput((const uint8_t *)s->v[k].s, s->v[k].n);
    for (uint64_t k = 0; k < runs; k++) {
        struct bd_rng r = bd_rng_fork(seed, k);
        const struct bd_str *one = &s->v[bd_rng_below(&r, s->n)];
        /* An exact copy, so that a step too far is seen. */
        uint8_t *p = malloc(one->n + 1);
        if (!p)
            return false;
        memcpy(p, one->s, one->n);
        size_t n = mutate(p, one->n, &r);
        keep(p, n);
        LLVMFuzzerTestOneInput(p, n);
        free(p);
    }
    return true;
}

int main(int argc, char **argv)
{
    int64_t runs = 5000, seed = 0;
    struct seeds s = {0};
    struct bd_str one = {0};
    bool ok = (argc < 2 || bd_parse_int(&runs, argv[1], 0, INT64_MAX)) &&
              (argc < 3 || bd_parse_int(&seed, argv[2], 0, INT64_MAX));
    for (int k = 3; ok && k < argc; k++)
        ok = read_seed(&s, argv[k]);
    for (size_t k = 0; ok && argc < 4 && fuzz_seed(&one, k); k++) {
        ok = add_seed(&s, &one);
        one = (struct bd_str){0};
    }
    ok = ok && s.n && run(&s, (uint64_t)runs, (uint64_t)seed);
    for (size_t k = 0; k < s.n; k++)
        bd_str_done(&s.v[k]);
    bd_free(s.v);
    if (ok)
        printf("%lld mutations, no finding\n", (long long)runs);
    return ok ? 0 : 2;
}
