/* Clip rules kl, aciq and ema against their definitions, worked out here the
 * long way. */
#include "../quant/ref.h"

#include "calib/calib.h"

enum { N = 40000, BINS = 2048, STRIDE = 16 };

static struct bd_tensorcfg choice(const char *text)
{
    struct bd_tensorcfg c = {.bits = 8};
    struct bd_err err = {0};

    if (bd_tensorcfg_parse(&c, text, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    return c;
}

static void gauss(float *x, size_t n, uint64_t seed)
{
    struct bd_rng r = {seed};

    for (size_t i = 0; i < n; i++)
        x[i] = (float)bd_rng_normal(&r);
}

static void laplace(float *x, size_t n, uint64_t seed)
{
    struct bd_rng r = {seed};

    for (size_t i = 0; i < n; i++) {
        double u = bd_rng_unit(&r) - 0.5;

        x[i] = (float)(-log(1 - 2 * fabs(u) + 1e-12) * (u < 0 ? -1 : 1));
    }
}

static struct bd_qparam fit_acts(const float *x, size_t n, const char *text)
{
    struct bd_tensorcfg c = choice(text);
    struct bd_actstat *s = bd_actstat_new();
    struct bd_qparam p = {0};
    struct bd_err err = {0};

    bd_actstat_add(s, x, n);
    if (bd_calib_acts(&p, s, NAN, &c, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    bd_actstat_free(s);
    return p;
}

static struct bd_qparam fit_weights(const float *x, size_t n, const char *text)
{
    struct bd_tensorcfg c = choice(text);
    struct bd_weights w = {x, {1, 1, (int64_t)n}, NAN, NULL};
    struct bd_qset set;
    struct bd_err err = {0};
    struct bd_qparam p;

    if (bd_calib_weights(&set, &w, &c, NULL, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    p = set.p[0];
    bd_qset_done(&set);
    return p;
}

/* ------------------------------------------------------------------- kl */
struct bins {
    double h[2 * BINS], lo, w, below, above;
    int n, mid;
};

/* Values as they are, sorted into bins one by one. */
static void count(struct bins *b, const float *x, size_t n,
                  const struct bd_qparam *p, double reach)
{
    int z;

    *b = (struct bins){.n = BINS, .lo = p->is_signed ? -reach : 0};
    b->mid = p->is_signed ? BINS : 0;
    b->n += b->mid;
    b->w = (reach - b->lo) / b->n;
    for (size_t i = 0; i < n; i++) {
        double at = ((double)x[i] - b->lo) / b->w;

        if (at < 0)
            b->below += p->is_signed;
        else if (at >= b->n)
            b->above++;
        else
            b->h[(int)at]++;
    }
    z = (int)((0 - b->lo) / b->w);
    if (z == 0)
        b->h[0] = fmin(b->h[0], b->h[1]);
    else
        b->h[z] = fmin(b->h[z], floor((b->h[z - 1] + b->h[z + 1]) / 2));
}

/* KL(P || Q) with both written out bin by bin. */
static double divergence(const struct bins *b, int half, struct bd_qparam *p)
{
    static double P[2 * BINS], Q[2 * BINS], levels[1024], cuts[1024];
    int from = b->mid ? b->mid - half : 0, to = b->mid + half, cell = from;
    double np = 0, nq = 0, kl = 0;
    size_t nlev;

    assert_int_equal(p->q->refit(p, &(struct bd_moments){0}, NULL), BD_OK);
    nlev = p->q->levels(levels, 1024, p);
    p->q->cuts(cuts, 1024, p);
    for (int i = from; i < to; i++)
        P[i] = b->h[i];
    P[from] += b->mid ? b->below : 0;
    P[to - 1] += b->above;
    for (int i = 0; i < from; i++)
        P[from] += b->h[i];
    for (int i = to; i < b->n; i++)
        P[to - 1] += b->h[i];
    for (size_t k = 0; k < nlev; k++) {
        int end = cell;
        double mass = 0, used = 0;

        while (end < to && (k + 1 == nlev ||
                            b->lo + (end + 0.5) * b->w <= cuts[k]))
            end++;
        for (int i = cell; i < end; i++) {
            mass += b->h[i];
            used += P[i] > 0;
        }
        for (int i = cell; i < end; i++)
            Q[i] = P[i] > 0 ? (mass > 0 ? mass : 1e-4) / used : 0;
        nq += mass;
        cell = end;
    }
    for (int i = from; i < to; i++)
        np += P[i];
    for (int i = from; i < to; i++)
        if (P[i] > 0)
            kl += P[i] / np * log(P[i] / np / (Q[i] / nq));
    return kl;
}

/* The clip of least divergence, largest first. */
static double best_clip(const float *x, size_t n, struct bd_qparam p,
                        double reach, double *least)
{
    static struct bins b;
    size_t nlev = p.q->levels(NULL, 0, &p);
    int side = (int)(p.is_signed ? (nlev + 1) / 2 : nlev), low;
    double clip = reach;

    low = (side + STRIDE - 1) / STRIDE * STRIDE;
    low = low < 64 ? 64 : low;
    *least = INFINITY;
    count(&b, x, n, &p, reach);
    for (int i = BINS; i >= low; i -= STRIDE) {
        double d;

        p.clip = reach * i / BINS;
        d = divergence(&b, i, &p);
        if (d <= *least + 1e-9) { /* as good: the smaller clip */
            *least = fmin(d, *least);
            clip = p.clip;
        }
    }
    return clip;
}

static double absmax(const float *x, size_t n)
{
    double m = 0;

    for (size_t i = 0; i < n; i++)
        m = fmax(m, fabs((double)x[i]));
    return m;
}

static void kl_of_weights(void **state)
{
    static const char *const of[] = {
        "uniform:2:tensor:kl", "uniform:4:tensor:kl", "uniform:8:tensor:kl",
        "pot:4:tensor:kl",     "log:4:tensor:kl",
    };
    float *x = bd_alloc(N, sizeof(*x));

    (void)state;
    for (size_t k = 0; k < sizeof(of) / sizeof(*of); k++) {
        struct bd_qparam p;
        double d, want;

        laplace(x, N, k + 1);
        p = fit_weights(x, N, of[k]);
        if (p.sigma != 1)
            continue;
        want = best_clip(x, N, p, absmax(x, N), &d);
        if (fabs(p.clip - want) > 1e-9 * want)
            fail_msg("%s: clip %.9g, by hand %.9g", of[k], p.clip, want);
        if (k < 2)
            assert_true(p.clip < absmax(x, N)); /* clips, at few bits */
    }
    bd_free(x);
}

/* Buckets stand for the values: the divergence found must be as good. */
static void kl_of_activations(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));

    (void)state;
    for (int bits = 3; bits <= 8; bits++) {
        struct bd_qparam p;
        static struct bins b;
        double least, d;
        char text[64];

        gauss(x, N, (uint64_t)bits);
        for (size_t i = 0; i < N; i++)
            x[i] = bits % 2 || x[i] > 0 ? x[i] : 0; /* ReLU, every other */
        snprintf(text, sizeof(text), "uniform:%d:tensor:kl", bits);
        p = fit_acts(x, N, text);
        assert_true(p.is_signed == (bits % 2 == 1));
        best_clip(x, N, p, absmax(x, N), &least);
        count(&b, x, N, &p, absmax(x, N));
        d = divergence(&b, (int)lrint(p.clip / absmax(x, N) * BINS), &p);
        if (d > least * 1.05)
            fail_msg("%s: divergence %g, least %g", text, d, least);
    }
    bd_free(x);
}

/* Bins stretched by an outlier would all but hide the rest. */
static void kl_beside_an_outlier(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));

    (void)state;
    gauss(x, N, 9);
    x[N / 2] = 1e6f;
    assert_true(fit_weights(x, N, "uniform:4:tensor:kl").clip < 10);
    assert_true(fit_acts(x, N, "uniform:4:tensor:kl").clip < 10);
    bd_free(x);
}

/* ----------------------------------------------------------------- aciq */
/* Expected squared error by Simpson's rule: what lies beyond the clip, and
 * the steps. */
static double expected(double a, double steps, bool lap)
{
    double sum = 0, top = 60, h = (top - a) / 20000;

    for (int i = 0; i <= 20000; i++) {
        double x = a + i * h, w = i == 0 || i == 20000 ? 1 : i % 2 ? 4 : 2;
        double f = lap ? exp(-x) / 2 : exp(-x * x / 2) / sqrt(2 * acos(-1));

        sum += w * (x - a) * (x - a) * f;
    }
    return 2 * sum * h / 3 + a * a / steps;
}

static void aciq_constants(void **state)
{
    /* 2 to 8 bits, as the authors' tables have them. */
    static const double gaussian[] = {1.71063519, 2.15159277, 2.55913646,
                                      2.93620062, 3.28691474, 3.6151146,
                                      3.92403714};
    static const double laplacian[] = {2.83068299, 3.89722946, 5.02864014,
                                       6.20476633, 7.41312622, 8.64561995,
                                       9.89675982};

    (void)state;
    for (int bits = 2; bits <= 8; bits++) {
        double g = gaussian[bits - 2], l = laplacian[bits - 2];

        assert_true(fabs(bd_aciq(bits, false, false) - g) < 5e-6);
        assert_true(fabs(bd_aciq(bits, true, false) - l) < 5e-6);
        assert_true(fabs(bd_aciq(bits - 1, false, true) - g) < 5e-6);
        assert_true(fabs(bd_aciq(bits - 1, true, true) - l) < 5e-6);
    }
    for (int bits = 1; bits <= 16; bits++)
        for (int kind = 0; kind < 2; kind++) {
            double a = bd_aciq(bits, kind, false);
            double steps = 3 * pow(4, bits), e = expected(a, steps, kind);

            assert_true(e <= expected(a * 1.02, steps, kind) * (1 + 1e-9));
            assert_true(e <= expected(a * 0.98, steps, kind) * (1 + 1e-9));
            assert_true(bd_aciq(bits, kind, true) > a);
        }
}

static void aciq_chooses(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));

    (void)state;
    gauss(x, N, 3);
    for (size_t i = 0; i < N; i++)
        x[i] *= 0.25f;
    REF_CLOSE(fit_acts(x, N, "uniform:4:tensor:aciq").clip, 0.25 * 2.5587,
              0.02);
    REF_CLOSE(fit_weights(x, N, "uniform:4:tensor:aciq").clip, 0.25 * 2.5587,
              0.02);
    /* apot normalises: its clip is in units of the deviation. */
    REF_CLOSE(fit_weights(x, N, "apot:4:tensor:aciq").clip, 2.5587, 0.02);
    for (size_t i = 0; i < N; i++)
        x[i] = x[i] > 0 ? x[i] : 0; /* ReLU: half of it, and one bit more */
    REF_CLOSE(fit_acts(x, N, "uniform:3:tensor:aciq").clip, 0.25 * 2.5587,
              0.02);
    laplace(x, N, 4);
    REF_CLOSE(fit_acts(x, N, "uniform:4:tensor:aciq").clip, 5.0286, 0.02);
    REF_CLOSE(fit_weights(x, N, "uniform:4:tensor:aciq").clip, 5.0286, 0.02);
    bd_free(x);
}

/* ------------------------------------------------------------------ ema */
static void moving_average(void **state)
{
    enum { BATCHES = 9, EACH = 50 };
    float x[BATCHES][EACH];
    struct bd_actstat *s = bd_actstat_new();
    struct bd_tensorcfg c = choice("uniform:4:tensor:moving-average0.1");
    struct bd_qparam p;
    double hi = 0, lo = 0;

    (void)state;
    assert_int_equal(c.clip, BD_CLIP_EMA);
    gauss(x[0], BATCHES * EACH, 8);
    assert_true(bd_actstat_batches(s, BATCHES + 1)); /* the last stays empty */
    for (int k = BATCHES - 1; k >= 0; k--) { /* order does not matter */
        bd_actstat_add_batch(s, x[k] + 10, EACH - 10, k);
        bd_actstat_add_batch(s, x[k], 10, k);
    }
    for (int k = 0; k < BATCHES; k++) {
        double top = -1e9, low = 1e9;

        for (int i = 0; i < EACH; i++) {
            top = fmax(top, (double)x[k][i]);
            low = fmin(low, (double)x[k][i]);
        }
        hi = k ? hi + (double)0.1f * (top - hi) : top;
        lo = k ? lo + (double)0.1f * (low - lo) : low;
    }
    assert_int_equal(bd_calib_acts(&p, s, NAN, &c, NULL), BD_OK);
    assert_true(p.clip == fmax(hi, -lo));
    c.clip_value = 0; /* the rule's own weight, 0.01: nearly the first batch */
    assert_int_equal(bd_calib_acts(&p, s, NAN, &c, NULL), BD_OK);
    REF_CLOSE(bd_actstat_average(s, true, 0.01),
              bd_actstat_average(s, true, 0), 0.1);
    assert_true(p.clip == fmax(bd_actstat_average(s, true, 0.01),
                               -bd_actstat_average(s, false, 0.01)));
    bd_actstat_free(s);
}

static void moving_average_of_weights(void **state)
{
    const float x[4] = {1, 2, 3, 4};
    struct bd_weights w = {x, {1, 1, 4}, NAN, NULL};
    struct bd_tensorcfg c = choice("uniform:4:tensor:ema");
    struct bd_qset set;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_calib_weights(&set, &w, &c, NULL, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "'max' or 'mse' works"));
}

/* -------------------------------------------------------------- hostile */
static void hostile(void **state)
{
    static const char *const rule[] = {"kl", "aciq", "ema", "mse",
                                       "percentile"};
    static const float zero[8], one[5] = {3, 3, 3, 3, 3};
    static const float odd[4] = {NAN, INFINITY, -INFINITY, 0};
    static const float huge[4] = {3e38f, -3e38f, 1, 1e-40f};
    static const struct {
        const float *x;
        size_t n;
    } of[] = {{zero, 0}, {zero, 8}, {one, 5}, {one, 1}, {odd, 4}, {huge, 4}};

    (void)state;
    for (size_t r = 0; r < sizeof(rule) / sizeof(*rule); r++)
        for (size_t k = 0; k < sizeof(of) / sizeof(*of); k++)
            for (int bits = 2; bits <= 16; bits += 7) {
                char text[64];
                struct bd_qparam p;

                snprintf(text, sizeof(text), "uniform:%d:tensor:%s", bits,
                         rule[r]);
                p = fit_acts(of[k].x, of[k].n, text);
                assert_true(p.clip > 0 && isfinite(p.clip));
                if (strcmp(rule[r], "ema") == 0 || of[k].x == odd)
                    continue;
                p = fit_weights(of[k].x, of[k].n, text);
                assert_true(p.clip > 0 && isfinite(p.clip));
            }
    assert_true(fit_acts(one, 5, "uniform:4:tensor:ema").clip == 3);
}

/* The same with and without what is not a number. */
static void odd_values_are_left_out(void **state)
{
    static const char *const rule[] = {"kl", "aciq", "mse"};
    float x[1003];

    (void)state;
    gauss(x, 1000, 5);
    x[1000] = NAN;
    x[1001] = INFINITY;
    x[1002] = -INFINITY;
    for (size_t r = 0; r < 3; r++) {
        char text[64];

        snprintf(text, sizeof(text), "uniform:4:tensor:%s", rule[r]);
        assert_true(fit_acts(x, 1003, text).clip ==
                    fit_acts(x, 1000, text).clip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kl_of_weights),
        cmocka_unit_test(kl_of_activations),
        cmocka_unit_test(kl_beside_an_outlier),
        cmocka_unit_test(aciq_constants),
        cmocka_unit_test(aciq_chooses),
        cmocka_unit_test(moving_average),
        cmocka_unit_test(moving_average_of_weights),
        cmocka_unit_test(hostile),
        cmocka_unit_test(odd_values_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
