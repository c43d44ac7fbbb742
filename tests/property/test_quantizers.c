/* Properties every row of the quantizer table must have; the rows' traits say
 * which apply.  A new row is tested by being added. */
#include "../unit/quant/ref.h"

#include "calib/calib.h"

enum { N = 1500, MAX_LEVELS = 70000 };

/* One way to use a row: width, role, sign of the data. */
struct use {
    const struct bd_quantizer *q;
    int bits;
    bool weights, is_signed;
    double *lev, *cut; /* [n], [n - 1] of the fitted grid */
    size_t n;
    float x[N];
    struct bd_qparam p;
    double book[BD_BOOK_MAX]; /* room for methods that learn */
};

/* Values over and beyond the clip, ordinary ones, zeros, ends, and decision
 * points of a few grids. */
static void values(float *x, bool is_signed)
{
    struct bd_rng r = {is_signed ? 21 : 22};

    for (int i = 0; i < N; i++) {
        x[i] = (float)(0.7 * bd_rng_normal(&r));
        if (i % 5 == 0)
            x[i] = (float)((i % 64) - 32) / 32;
        if (i % 11 == 0)
            x[i] *= 30;
        if (i % 97 == 0)
            x[i] = i % 2 ? 0.0f : -0.0f;
        if (!is_signed)
            x[i] = fabsf(x[i]);
    }
}

static void prepare(struct use *u)
{
    struct bd_err err = {0};

    values(u->x, u->is_signed);
    u->p = (struct bd_qparam){.q = u->q,
                              .bits = u->bits,
                              .clip = 1.3,
                              .weights = u->weights,
                              .is_signed = u->is_signed,
                              .sigma = 1,
                              .map_back = true,
                              .book = u->book};
    if (u->weights && (u->q->traits & BD_Q_NORMALISES)) {
        struct bd_moments m;

        bd_moments_of(&m, u->x, N);
        u->p.mu = m.mean;
        u->p.sigma = m.std;
    }
    if (u->q->fit(&u->p, u->x, N, &err) != BD_OK)
        fail_msg("%s at %d bits: %s", u->q->name, u->bits, err.msg);
    u->n = u->q->levels(NULL, 0, &u->p);
    assert_in_range(u->n, 1, MAX_LEVELS);
    assert_int_equal(u->q->levels(u->lev, MAX_LEVELS, &u->p), u->n);
    assert_int_equal(u->q->cuts(u->cut, MAX_LEVELS, &u->p), u->n - 1);
}

static void run(void (*check)(struct use *))
{
    struct use *u = bd_calloc(1, sizeof(*u));
    int uses = 0;

    u->lev = bd_alloc(MAX_LEVELS, sizeof(*u->lev));
    u->cut = bd_alloc(MAX_LEVELS, sizeof(*u->cut));
    for (int row = 0; (u->q = bd_quantizer_at(row)); row++)
        for (u->bits = u->q->min_bits; u->bits <= u->q->max_bits; u->bits++)
            for (int role = 0; role < 3; role++) {
                u->weights = role == 0;
                u->is_signed = role < 2;
                if (bd_quantizer_check(row, u->bits, u->weights, NULL) !=
                        BD_OK ||
                    (role == 1 && !(u->q->traits & BD_Q_SIGNED)))
                    continue;
                prepare(u);
                check(u);
                uses++;
            }
    assert_true(uses > 100); /* the table was really walked */
    bd_free(u->lev);
    bd_free(u->cut);
    bd_free(u);
}

/* Which level x goes to, by the cuts. */
static size_t rank_of(const struct use *u, double x)
{
    size_t lo = 0, hi = u->n - 1;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (x <= u->cut[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Strictly in units of z; mapped back, the tiniest levels of pot may meet at
 * the mean.  A decision point lies between its levels where those map to
 * themselves (pact moves it by a millionth). */
static void levels_ascend(struct use *u)
{
    bool strict = u->p.mu == 0, own = u->q->traits & BD_Q_IDEMPOTENT;

    for (size_t i = 1; i < u->n; i++) {
        double a = u->lev[i - 1], b = u->lev[i], c = u->cut[i - 1];

        if (!(strict ? b > a : b >= a) && !(u->q->traits & BD_Q_CELLS))
            fail_msg("%s:%d level %zu: %.17g, then %.17g", u->q->name, u->bits,
                     i, a, b);
        if (own && !(c >= a - 1e-12 && c <= b + 1e-5))
            fail_msg("%s:%d cut %.17g outside %.17g .. %.17g", u->q->name,
                     u->bits, c, a, b);
        if (i > 1 && !(c > u->cut[i - 2] || (!strict && c == u->cut[i - 2])))
            fail_msg("%s:%d cut %.17g after %.17g", u->q->name, u->bits, c,
                     u->cut[i - 2]);
    }
}

static int by_level(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Cells may repeat a value; a sign kept apart mirrors all but zero. */
static void few_enough(struct use *u)
{
    size_t most = (size_t)1 << u->bits, n = u->n > 0;

    if (u->q->traits & BD_Q_OPEN)
        return;
    if ((u->q->traits & BD_Q_SIGN_APART) && u->is_signed)
        most = 2 * most - 1;
    qsort(u->lev, u->n, sizeof(*u->lev), by_level);
    for (size_t i = 1; i < u->n; i++)
        n += u->lev[i] != u->lev[i - 1];
    assert_true(n <= most);
}

/* apply, project, levels and cuts tell one story.  A value within rounding of
 * a cut may fall on either side. */
static void outputs_in_levels(struct use *u)
{
    float y[N];

    u->q->apply(y, u->x, N, &u->p);
    for (int i = 0; i < N; i++) {
        double v = (double)u->x[i], q;
        size_t k = rank_of(u, v);
        bool near = (k > 0 && fabs(v - u->cut[k - 1]) < 1e-9) ||
                    (k + 1 < u->n && fabs(v - u->cut[k]) < 1e-9);

        bd_quant_project(&q, &v, 1, &u->p);
        assert_true(y[i] == (float)q);
        if (!ref_close(q, u->lev[k], 1e-13) && !near &&
            fabs(q - u->lev[k]) > 1e-15)
            fail_msg("%s:%d Q(%.9g) = %.17g, level %.17g", u->q->name, u->bits,
                     v, q, u->lev[k]);
    }
}

/* NEAREST, but for ties: no level is closer. */
static void nearest(struct use *u)
{
    if (!(u->q->traits & BD_Q_NEAREST))
        return;
    for (int i = 0; i < N; i++) {
        double v = (double)u->x[i];
        size_t k = rank_of(u, v);
        double d = fabs(v - u->lev[k]) - 1e-12;

        assert_true(k == 0 || d <= fabs(v - u->lev[k - 1]));
        assert_true(k + 1 == u->n || d <= fabs(v - u->lev[k + 1]));
    }
}

static void idempotent(struct use *u)
{
    float y[N], z[N];

    if (!(u->q->traits & BD_Q_IDEMPOTENT))
        return;
    u->q->apply(y, u->x, N, &u->p);
    u->q->apply(z, y, N, &u->p);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == z[i]);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void monotone(struct use *u)
{
    float y[N];

    if (!(u->q->traits & BD_Q_MONOTONE))
        return;
    qsort(u->x, N, sizeof(*u->x), by_value);
    u->q->apply(y, u->x, N, &u->p);
    for (int i = 1; i < N; i++)
        assert_true(y[i] >= y[i - 1]);
}

/* Around the centre of normalised data the map is odd, else around 0. */
static void odd(struct use *u)
{
    if (!(u->q->traits & BD_Q_ODD) || !u->is_signed)
        return;
    u->p.mu = 0;
    for (int i = 0; i < N; i++) {
        double v[2] = {(double)u->x[i], -(double)u->x[i]};

        bd_quant_project(v, v, 2, &u->p);
        assert_true(v[0] == -v[1]);
    }
}

/* Where the map goes up and down (BD_Q_CELLS) two codes may share a value and
 * do not ascend: only equal codes mean equal values. */
static void cell_codes_agree(const struct use *u, const int32_t *code,
                             const float *y)
{
    for (int i = 1; i < N; i++)
        for (int k = 0; k < i; k += 7)
            assert_true(code[i] != code[k] || y[i] == y[k]);
    for (int i = 0; i < N; i++)
        assert_true(code[i] >= 0 || u->is_signed);
}

/* Equal codes mean equal values, codes ascend with values, and there are no
 * more of them than levels. */
static void codes_agree(struct use *u)
{
    int32_t code[N];
    float y[N];

    qsort(u->x, N, sizeof(*u->x), by_value);
    u->q->apply(y, u->x, N, &u->p);
    u->q->codes(code, u->x, N, &u->p);
    if (u->q->traits & BD_Q_CELLS) {
        cell_codes_agree(u, code, y);
        return;
    }
    for (int i = 1; i < N; i++) {
        assert_true(code[i] >= code[i - 1]);
        assert_true((code[i] == code[i - 1]) == (y[i] == y[i - 1]) ||
                    u->bits > 12); /* floats may merge fine levels */
    }
    assert_true((size_t)(code[N - 1] - code[0]) <= u->n);
}

static void in_place(struct use *u)
{
    float y[N];

    u->q->apply(y, u->x, N, &u->p);
    u->q->apply(u->x, u->x, N, &u->p);
    assert_memory_equal(y, u->x, sizeof(y));
}

static void same_bits(struct use *u)
{
    float y[N], one;

    u->q->apply(y, u->x, N, &u->p);
    for (int i = 0; i < N; i++) {
        u->q->apply(&one, &u->x[i], 1, &u->p);
        assert_memory_equal(&one, &y[i], sizeof(one));
    }
}

/* Long runs take fast loops, single values the definition: same bits, also
 * on decision points and right beside them, and on exact halves (a clip of
 * as many units as there are steps). */
static void long_and_short_agree(struct use *u)
{
    struct bd_moments m;

    for (size_t i = 0; i + 1 < u->n && i < 300; i++) {
        u->x[3 * i] = (float)u->cut[i];
        u->x[3 * i + 1] = nextafterf((float)u->cut[i], -INFINITY);
        u->x[3 * i + 2] = nextafterf((float)u->cut[i], INFINITY);
    }
    same_bits(u);
    if (!u->q->refit)
        return;
    for (int i = 0; i < N; i++)
        u->x[i] = (float)(i % 301) - 150 + (i % 4 ? 0.5f : 0);
    u->x[0] = NAN;
    u->x[1] = -0.0f;
    u->p.clip = (1 << (u->is_signed ? u->bits - 1 : u->bits)) - 1;
    bd_moments_of(&m, u->x, N);
    if (u->p.clip > 0 && u->q->refit(&u->p, &m, NULL) == BD_OK)
        same_bits(u);
}

/* The index prices a grid as its definition does. */
static void index_is_exact(struct use *u)
{
    struct bd_index *ix;
    long double e = 0;
    double got;

    assert_int_equal(bd_index_new(&ix, u->x, N, NULL), BD_OK);
    got = bd_index_error(ix, u->lev, u->cut, u->n, NULL);
    for (int i = 0; i < N; i++) {
        double v = (double)u->x[i], q;

        bd_quant_project(&q, &v, 1, &u->p);
        e += ((long double)v - q) * ((long double)v - q);
    }
    REF_CLOSE(got, (double)e, 1e-10);
    bd_index_free(ix);
}

/* Infinities meet the ends; what is not a number stays visible. */
static void odd_values(struct use *u)
{
    const float x[] = {INFINITY, -INFINITY, NAN, 3.4e38f, -3.4e38f, 1e-45f};
    float y[6];
    int32_t code[6];

    u->q->apply(y, x, 6, &u->p);
    u->q->codes(code, x, 6, &u->p);
    assert_true(y[0] == (float)u->lev[u->n - 1]);
    assert_true(y[1] == (float)u->lev[0]);
    assert_true(isnan(y[2]));
    assert_true(y[3] == y[0] && y[4] == y[1] && isfinite(y[5]));
    u->q->apply(y, x, 0, &u->p); /* nothing to do is fine */
}

/* Straight-through: inside the clip the gradient is that of the identity,
 * far outside nothing passes (rows without a clip pass all). */
static void gradients(struct use *u)
{
    float dx[N], dy[N];
    double dclip;

    for (int i = 0; i < N; i++)
        dy[i] = (float)((i % 7) - 3);
    dclip = u->q->grad(dx, dy, u->x, N, &u->p);
    assert_true(isfinite(dclip));
    for (int i = 0; i < N; i++) {
        assert_true(isfinite(dx[i]));
        assert_true(dy[i] != 0 || dx[i] == 0);
        if ((u->q->traits & BD_Q_NO_CLIP) ||
            (u->weights && u->bits == 1 && !(u->q->traits & BD_Q_SIGN_APART)))
            assert_true(dx[i] == dy[i]);
        else if (fabsf(u->x[i]) > 20)
            assert_true(dx[i] == 0);
    }
}

/* dL/dclip of the clipped values is what finite differences give: there the
 * output moves with the clip one to one. */
static void clip_gradient(struct use *u)
{
    const float x = 25, one = 1;
    struct bd_qparam up = u->p, down = u->p;
    struct bd_moments m;
    double h = 1e-4, v = 25, a, b;
    float dx;

    if ((u->q->traits & BD_Q_NO_CLIP) || u->bits == 1 ||
        u->q->grad(&dx, &one, &x, 1, &u->p) == 0)
        return; /* no clip, or one that is not learned */
    bd_moments_of(&m, u->x, N);
    up.clip += h;
    down.clip -= h;
    assert_int_equal(u->q->refit(&up, &m, NULL), BD_OK);
    assert_int_equal(u->q->refit(&down, &m, NULL), BD_OK);
    bd_quant_project(&a, &v, 1, &up);
    bd_quant_project(&b, &v, 1, &down);
    REF_CLOSE(u->q->grad(&dx, &one, &x, 1, &u->p), (a - b) / (2 * h), 1e-6);
}

#define PROPERTY(name)                                                         \
    static void test_##name(void **state)                                      \
    {                                                                          \
        (void)state;                                                           \
        run(name);                                                             \
    }
PROPERTY(levels_ascend)
PROPERTY(few_enough)
PROPERTY(outputs_in_levels)
PROPERTY(nearest)
PROPERTY(idempotent)
PROPERTY(monotone)
PROPERTY(odd)
PROPERTY(codes_agree)
PROPERTY(in_place)
PROPERTY(long_and_short_agree)
PROPERTY(index_is_exact)
PROPERTY(odd_values)
PROPERTY(gradients)
PROPERTY(clip_gradient)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_ascend),
        cmocka_unit_test(test_few_enough),
        cmocka_unit_test(test_outputs_in_levels),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_idempotent),
        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_codes_agree),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_long_and_short_agree),
        cmocka_unit_test(test_index_is_exact),
        cmocka_unit_test(test_odd_values),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_clip_gradient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
