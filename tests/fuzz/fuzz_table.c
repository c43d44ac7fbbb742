/* Interval tables from anywhere, for a feature of three channels: a table
 * whose every number can be used and which survives writing, or a sentence. */
#include "feature/feature.h"
#include "fuzz.h"

#include <assert.h>
#include <math.h>

enum { CHANNELS = 3, VALUES = 8 };

static void usable(const struct bd_qtable *t)
{
    for (int64_t c = 0; c < t->channels; c++)
        for (int b = 0; b < BD_FEATURE_WIDTHS; b++) {
            assert(isfinite(t->c[c].mse[b]) && t->c[c].mse[b] >= 0);
            assert(b == 0 || isfinite(t->c[c].interval[b]));
        }
}

/* Written with all digits; what is read again is the same. */
static void again(const struct bd_qtable *t, struct bd_qtable_want want)
{
    struct bd_str s = {0};
    struct bd_qtable back = {0};
    struct fuzz_file f;
    bd_status st = bd_qtable_write(&s, t, "l", NULL);
    assert(st == BD_OK);
    fuzz_open(&f, (const uint8_t *)s.s, s.n);
    st = bd_qtable_read(&back, f.path, want, NULL);
    fuzz_close(&f);
    assert(st == BD_OK && back.channels == t->channels);
    for (int64_t c = 0; c < t->channels; c++)
        for (int b = 1; b < BD_FEATURE_WIDTHS; b++)
            assert(t->c[c].interval[b] == back.c[c].interval[b]);
    bd_qtable_done(&back);
    bd_str_done(&s);
}

static void fill(float *x)
{
    for (int i = 0; i < CHANNELS * VALUES; i++)
        x[i] = (float)sin(i * 1.7) + (i < VALUES ? 1.0f : 0.0f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float x[CHANNELS * VALUES];
    struct bd_feature feature = {CHANNELS, 1, VALUES, x};
    fill(x);
    for (int k = 0; k < BD_FEATURE_KINDS; k++) {
        struct bd_qtable_want want = {(enum bd_feature_kind)k, &feature};
        struct bd_qtable t = {.channels = -1};
        struct bd_err err = {0};
        struct fuzz_file f;
        fuzz_open(&f, data, size);
        bd_status st = bd_qtable_read(&t, f.path, want, &err);
        fuzz_close(&f);
        assert((st == BD_OK) == (err.msg[0] == 0));
        assert((st == BD_OK) == (t.channels == CHANNELS));
        if (st != BD_OK)
            continue;
        usable(&t);
        again(&t, want);
        bd_qtable_done(&t);
    }
    return 0;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    float x[CHANNELS * VALUES];
    struct bd_feature f = {CHANNELS, 1, VALUES, x};
    struct bd_qtable t;
    fill(x);
    if (k >= BD_FEATURE_KINDS ||
        bd_qtable_make(&t, &f, (enum bd_feature_kind)k,
                       (struct bd_feature_work){NULL, NULL}, NULL) != BD_OK)
        return false;
    bool ok = bd_qtable_write(out, &t, "conv, \"1\"", NULL) == BD_OK;
    bd_qtable_done(&t);
    return ok;
}
