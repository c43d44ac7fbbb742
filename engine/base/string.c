/* Growing strings and strict numbers. */
#include "base/base.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bd_str_put(struct bd_str *b, const char *s, size_t n)
{
    void *p = b->s;
    size_t need;

    if (b->failed)
        return;
    if (!bd_add(&need, b->n, n) || !bd_add(&need, need, 1) ||
        !bd_grow(&p, &b->cap, need, 1)) {
        b->failed = true;
        return;
    }
    b->s = p;
    if (n > 0)
        memcpy(b->s + b->n, s, n);
    b->n += n;
    b->s[b->n] = '\0';
}

void bd_str_puts(struct bd_str *b, const char *s)
{
    bd_str_put(b, s, strlen(s));
}

void bd_str_printf(struct bd_str *b, const char *fmt, ...)
{
    char small[256];
    char *big;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n < sizeof small) {
        bd_str_put(b, small, (size_t)n);
        return;
    }
    big = bd_alloc((size_t)n + 1, 1);
    if (big == NULL) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(big, (size_t)n + 1, fmt, ap);
    va_end(ap);
    bd_str_put(b, big, (size_t)n);
    bd_free(big);
}

void bd_str_done(struct bd_str *b)
{
    bd_free(b->s);
    *b = (struct bd_str){0};
}

bool bd_glob(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, 0) == 0;
}

/* Edit distance with two rows; words here are short, longer ones are cut. */
static int edit_distance(const char *a, const char *b)
{
    enum { CAP = 64 };
    int row[CAP + 1];
    size_t na = strnlen(a, CAP), nb = strnlen(b, CAP);

    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diag = row[0];

        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int sub = diag + (a[i - 1] != b[j - 1]);
            int best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diag = row[j];
            row[j] = sub < best ? sub : best;
        }
    }
    return row[nb];
}

const char *bd_nearest(const char *word, const char *const *list)
{
    int limit = (int)strnlen(word, 64) / 3 + 1;
    const char *best = NULL;

    for (; *list != NULL; list++) {
        int d = edit_distance(word, *list);

        if (d <= limit) {
            limit = d - 1;
            best = *list;
        }
    }
    return best;
}

bool bd_parse_double(double *out, const char *s)
{
    char *end;
    double v;

    /* strtod also takes blanks, hexadecimal, "inf" and "nan". */
    if (*s == '\0' || strspn(s, "+-.0123456789eE") != strlen(s))
        return false;
    v = strtod(s, &end);
    if (*end != '\0' || end == s || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool bd_parse_int(int64_t *out, const char *s, int64_t min, int64_t max)
{
    char *end;
    long long v;

    if (*s == '\0' || strspn(s, "+-0123456789") != strlen(s))
        return false;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno != 0 || *end != '\0' || end == s || v < min || v > max)
        return false;
    *out = v;
    return true;
}
