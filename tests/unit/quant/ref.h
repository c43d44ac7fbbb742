/* Reading reference vectors (tests/reference) in tests. */
#ifndef TEST_REF_H
#define TEST_REF_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/base.h"

/* The parsed document; the folder comes from BITDIAL_REFERENCE. */
static inline cJSON *ref_load(const char *name)
{
    const char *dir = getenv("BITDIAL_REFERENCE");
    char path[1024], *text = NULL;
    struct bd_err err = {0};
    cJSON *doc = NULL;
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/%s", dir ? dir : "tests/reference", name);
    if (bd_file_read(&text, &n, path, (size_t)64 << 20, &err) != BD_OK)
        fail_msg("%s: %s", path, err.msg);
    if (bd_json_parse(&doc, text, n, &err) != BD_OK)
        fail_msg("%s: %s", path, err.msg);
    bd_free(text);
    return doc;
}

static inline const cJSON *ref_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!v)
        fail_msg("key '%s' is missing", key);
    return v;
}

/* A number; "inf" and "-inf" are written as words. */
static inline double ref_num(const cJSON *v)
{
    if (cJSON_IsString(v))
        return strtod(v->valuestring, NULL);
    return v->valuedouble;
}

static inline double ref_get_num(const cJSON *o, const char *key)
{
    return ref_num(ref_get(o, key));
}

static inline bool ref_get_bool(const cJSON *o, const char *key)
{
    return cJSON_IsTrue(ref_get(o, key));
}

static inline const char *ref_get_str(const cJSON *o, const char *key)
{
    return ref_get(o, key)->valuestring;
}

/* Copies an array of numbers into out[cap]; returns how many. */
static inline size_t ref_array(double *out, size_t cap, const cJSON *a)
{
    const cJSON *v;
    size_t n = 0;

    cJSON_ArrayForEach(v, a)
    {
        if (n == cap)
            fail_msg("more than %zu numbers", cap);
        out[n++] = ref_num(v);
    }
    return n;
}

/* Checks every vector of a block; `count` of them, or the file is not the one
 * the test was written for. */
static inline void ref_each(const char *file, const char *block, int count,
                            void (*check)(const cJSON *vector))
{
    cJSON *doc = ref_load(file);
    const cJSON *v;
    int n = 0;

    cJSON_ArrayForEach(v, ref_get(doc, block))
    {
        check(v);
        n++;
    }
    assert_int_equal(n, count);
    cJSON_Delete(doc);
}

/* Equal within rel of the larger, or absolutely below 1e-300. */
static inline bool ref_close(double a, double b, double rel)
{
    if (a == b)
        return true;
    return fabs(a - b) <= rel * fmax(fabs(a), fabs(b)) + 1e-300;
}

#define REF_CLOSE(a, b, rel)                                                   \
    do {                                                                       \
        double ref_a = (a), ref_b = (b);                                       \
        if (!ref_close(ref_a, ref_b, rel))                                     \
            fail_msg("%s = %.17g, expected %.17g", #a, ref_a, ref_b);          \
    } while (0)

/* Equal within an absolute distance. */
#define REF_NEAR(a, b, far)                                                    \
    do {                                                                       \
        double ref_a = (a), ref_b = (b);                                       \
        if (!(fabs(ref_a - ref_b) <= (far)))                                   \
            fail_msg("%s = %.17g, expected %.17g", #a, ref_a, ref_b);          \
    } while (0)

/* The error figures beside a vector, of what the quantizer gave for x. */
static inline void ref_check_error(const cJSON *m, const double *x,
                                   const double *q, size_t n)
{
    double err2 = 0, power = 0, peak = 0;
    double want = ref_get_num(m, "mse"), db = ref_get_num(m, "psnr_db");

    for (size_t i = 0; i < n; i++) {
        err2 += (x[i] - q[i]) * (x[i] - q[i]) / (double)n;
        power += x[i] * x[i] / (double)n;
        peak = fmax(peak, fabs(x[i]));
    }
    REF_CLOSE(err2, want, 1e-9);
    REF_CLOSE(peak, ref_get_num(m, "peak_maxabs"), 1e-15);
    if (want == 0 || peak == 0)
        return;
    REF_NEAR(10 * log10(peak / err2 * peak), db, 1e-8);
    REF_NEAR(10 * log10(power / err2), ref_get_num(m, "sqnr_db"), 1e-8);
}

#endif
