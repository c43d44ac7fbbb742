/* Small files of every format, made on the spot in a folder of their own. */
#ifndef DATA_FILES_H
#define DATA_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct box { /* a folder that vanishes with its content */
    char dir[64];
    char path[256]; /* of the file named last */
};

static inline void box_open(struct box *b)
{
    strcpy(b->dir, "/tmp/bd_data_XXXXXX");
    assert_non_null(mkdtemp(b->dir));
}

static inline const char *box_path(struct box *b, const char *name)
{
    snprintf(b->path, sizeof b->path, "%s/%s", b->dir, name);
    return b->path;
}

static inline void box_put(struct box *b, const char *name, const void *data,
                           size_t n)
{
    FILE *f = fopen(box_path(b, name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void box_put_gz(struct box *b, const char *name, const void *data,
                              size_t n)
{
    gzFile f = gzopen(box_path(b, name), "wb");

    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, (unsigned)n), (int)n);
    assert_int_equal(gzclose(f), Z_OK);
}

static inline void box_mkdir(struct box *b, const char *name)
{
    assert_int_equal(mkdir(box_path(b, name), 0700), 0);
}

static inline void box_close(struct box *b)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", b->dir);
    assert_int_equal(system(cmd), 0);
}

/* n records of CIFAR-10 whose pixel k of image i is (i + k) mod 256. */
static inline uint8_t *cifar_bytes(size_t n)
{
    uint8_t *p = malloc(n * 3073);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        p[i * 3073] = (uint8_t)(i % 10);
        for (size_t k = 0; k < 3072; k++)
            p[i * 3073 + 1 + k] = (uint8_t)((i + k) & 255);
    }
    return p;
}

/* An IDX header and its values; dims big-endian. */
static inline size_t idx_bytes(uint8_t *out, int rank, const uint32_t *dim,
                               uint8_t first)
{
    size_t n = 4, count = 1;

    memcpy(out, (uint8_t[]){0, 0, 8, (uint8_t)rank}, 4);
    for (int k = 0; k < rank; k++) {
        for (int s = 24; s >= 0; s -= 8)
            out[n++] = (uint8_t)(dim[k] >> s);
        count *= dim[k];
    }
    for (size_t i = 0; i < count; i++)
        out[n++] = (uint8_t)(first + i % 10);
    return n;
}

/* A version-1 .npy file. */
static inline size_t npy_bytes(uint8_t *out, const char *descr,
                               const char *shape, const void *data, size_t n)
{
    char head[256];
    int len = snprintf(head, sizeof head,
                       "{'descr': '%s', 'fortran_order': False, 'shape': "
                       "%s, }\n",
                       descr, shape);

    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (uint8_t)(len & 255);
    out[9] = (uint8_t)(len >> 8);
    memcpy(out + 10, head, (size_t)len);
    memcpy(out + 10 + len, data, n);
    return 10 + (size_t)len + n;
}

static inline struct bd_data *open_ok(const char *spec)
{
    struct bd_err err = {0};
    struct bd_data *d = NULL;

    if (bd_data_open(&d, spec, &err) != BD_OK)
        fail_msg("%s: %s", err.file, err.msg);
    return d;
}

/* Refused, with the file named and these words in the sentence. */
static inline void open_refused(const char *spec, bd_status code,
                                const char *words)
{
    struct bd_err err = {0};
    struct bd_data *d = (struct bd_data *)(uintptr_t)1;
    bd_status st = bd_data_open(&d, spec, &err);

    if (st != code || !strstr(err.msg, words) || !err.file[0])
        fail_msg("%s: status %d, '%s' (file '%s'), wanted '%s'", spec, (int)st,
                 err.msg, err.file, words);
    assert_ptr_equal(d, (void *)1); /* outputs untouched */
}

#endif
