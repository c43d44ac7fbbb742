/* Bit planes: every vector of bitwise_bottleneck.json, the tables of the
 * spec's section 3.4, and what the vectors do not say: merging, dither,
 * entropy, refusals. */
#include "ref.h"

#include "quant/quant.h"

enum { MAX = 20000 };

static void table_of(struct bd_codetable *t, const double *x, size_t n, int B,
                     double range)
{
    bd_codetable_init(t, B, range);
    for (size_t i = 0; i < n; i++) {
        float v = (float)x[i];

        bd_codetable_add(t, &v, 1);
    }
}

/* The reference works on doubles; our tensors are floats, which moves the
 * range itself by 3e-8 and a value here and there over a decision point. */
static void add_doubles(struct bd_codetable *t, const double *x, size_t n,
                        double range)
{
    double top = (1 << t->of) - 1;

    for (size_t i = 0; i < n; i++) {
        double v = range > 0 ? fmin(fabs(x[i]) / range * top, top) : 0;
        int m = (int)fmin(floor(v + 0.5), top);
        double r = v - m, r2 = r * r * 17179869184.0;

        t->n[m]++;
        t->r[m] += llrint(r * 17179869184.0);
        t->r2[m] += (int64_t)floor(r2);
        t->r2_fine[m] += llrint((r2 - floor(r2)) * 1073741824.0);
    }
}

static double absmax(const double *x, size_t n)
{
    double m = 0;

    for (size_t i = 0; i < n; i++)
        m = fmax(m, fabs(x[i]));
    return m;
}

/* Infinite is null in the document. */
static void check_db(double got, const cJSON *want, double far)
{
    if (cJSON_IsNull(want))
        assert_true(isinf(got) && got > 0);
    else
        REF_NEAR(got, want->valuedouble, far);
}

/* tol: relative; coefficients of values near rounding noise are compared
 * against the scale of the code. */
static void check_rows(const struct bd_plane_table *t, const cJSON *rows,
                       double tol)
{
    const cJSON *r;
    int i = 0;

    assert_int_equal(t->nrow, cJSON_GetArraySize(rows));
    cJSON_ArrayForEach(r, rows)
    {
        const struct bd_plane_row *row = &t->row[i++];
        double alpha[BD_PLANES], mse = ref_get_num(r, "mse");
        size_t n = ref_array(alpha, BD_PLANES, ref_get(r, "alphas_lsb_first"));

        assert_int_equal(row->k, (int)ref_get_num(r, "bits"));
        assert_int_equal(row->mask, (int)ref_get_num(r, "mask"));
        for (size_t k = 0; k < n; k++)
            REF_NEAR(row->alpha[k], alpha[k], tol * fmax(alpha[k], 1));
        REF_NEAR(row->mse, mse, tol * mse);
        check_db(row->psnr_db, ref_get(r, "psnr_db"), 1e-6);
    }
}

/* ------------------------------------------------------------ small ones */
static void check_decoded(const struct bd_plane_table *t, const cJSON *want,
                          int k, const double *x, size_t n)
{
    double q[64], y[64];
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("bottleneck")),
                          .bits = k,
                          .is_signed = true,
                          .clip = absmax(x, n),
                          .sigma = 1,
                          .map_back = true};

    for (int i = 0; i < t->nrow; i++)
        if (t->row[i].k == k)
            p.planes = bd_planes_code(t, &t->row[i]);
    assert_int_equal(ref_array(q, 64, want), n);
    if (!(p.clip > 0))
        return; /* nothing is decoded from a range of 0 */
    bd_quant_project(y, x, n, &p);
    for (size_t i = 0; i < n; i++)
        REF_NEAR(y[i], q[i], 1e-9 * p.clip);
}

static void check_small(const cJSON *c)
{
    double x[256], count[BD_PLANES], g[BD_PLANES];
    const cJSON *list = ref_get(c, "x");
    int B = (int)ref_get_num(c, "B");
    struct bd_codetable t;
    struct bd_plane_table rows;
    size_t n = 256;
    bool short_one = cJSON_IsArray(list);

    if (short_one)
        n = ref_array(x, 256, list);
    for (int i = 0; i < 256 && !short_one; i++)
        x[i] = i;
    bd_codetable_init(&t, B, ref_get_num(c, "absmax"));
    add_doubles(&t, x, n, t.range);
    ref_array(count, BD_PLANES, ref_get(c, "plane_counts_lsb_first"));
    ref_array(g, BD_PLANES, ref_get(c, "g_lsb_first"));
    for (int k = 0; k < B; k++) {
        int64_t have = 0;

        for (int m = 0; m < 1 << B; m++)
            have += m >> k & 1 ? t.n[m] : 0;
        assert_int_equal(have, (int64_t)count[k]);
    }
    assert_int_equal(bd_codetable_count(&t), n);
    bd_planes_solve(&rows, &t);
    check_rows(&rows, ref_get(c, "best_by_bits"), 1e-7);
    if (!short_one)
        return;
    check_decoded(&rows, ref_get(c, "decoded_with_largest_row"),
                  rows.row[rows.nrow - 1].k, x, n);
    c = ref_get(c, "decoded_with_middle_row");
    check_decoded(&rows, ref_get(c, "x"), (int)ref_get_num(c, "bits"), x, n);
}

static void small_cases(void **state)
{
    cJSON *doc = ref_load("bitwise_bottleneck.json");
    const cJSON *c;
    int n = 0;

    (void)state;
    cJSON_ArrayForEach(c, ref_get(doc, "small"))
    {
        check_small(c);
        n++;
    }
    assert_int_equal(n, 12);
    cJSON_Delete(doc);
}

/* The codes of the small cases, and the clamp at full scale. */
static void codes_of_small(void **state)
{
    cJSON *doc = ref_load("bitwise_bottleneck.json");
    const cJSON *c;
    double x[64], want[64];

    (void)state;
    cJSON_ArrayForEach(c, ref_get(doc, "small"))
    {
        size_t n = cJSON_IsArray(ref_get(c, "x"))
                       ? ref_array(x, 64, ref_get(c, "x"))
                       : 0;
        int B = (int)ref_get_num(c, "B");

        if (n > 0)
            ref_array(want, 64, ref_get(c, "codes"));
        for (size_t i = 0; i < n; i++) {
            struct bd_codetable t;

            table_of(&t, &x[i], 1, B, ref_get_num(c, "absmax"));
            assert_int_equal(t.n[(int)want[i]], 1);
        }
    }
    cJSON_Delete(doc);
}

static void full_scale(void **state)
{
    cJSON *doc = ref_load("bitwise_bottleneck.json");
    const cJSON *c = ref_get(doc, "full_scale_overflow");
    double u[8], want[8];
    size_t n = ref_array(u, 8, ref_get(c, "u"));
    int q = (int)ref_get_num(c, "q");

    (void)state;
    ref_array(want, 8, ref_get(c, "code_clamped"));
    for (size_t i = 0; i < n; i++) {
        struct bd_codetable t;
        float v = (float)u[i];
        /* Their scale of 64 over [-1/2, 1/2], as ours: L per range. */
        double range = ((1 << q) - 1) / 64.0;

        bd_codetable_init(&t, q, range);
        bd_codetable_add(&t, &v, 1);
        assert_int_equal(t.n[(int)want[i]], 1);
    }
    cJSON_Delete(doc);
}

/* --------------------------------------------------------- distributions */
static double normal(struct bd_rng *r)
{
    double a = sqrt(-2 * log(bd_rng_unit(r)));

    return a * cos(2 * 3.14159265358979323846 * bd_rng_unit(r));
}

static double draw(const char *kind, struct bd_rng *r)
{
    double u;

    if (strcmp(kind, "laplacian") == 0) {
        u = bd_rng_unit(r) - 0.5;
        return -copysign(log(1 - 2 * fabs(u)), u);
    }
    if (strcmp(kind, "half_normal") == 0)
        return fabs(normal(r));
    if (strcmp(kind, "relu_normal") == 0)
        return fmax(0, normal(r));
    if (strcmp(kind, "bimodal") == 0) {
        u = bd_rng_unit(r) < 0.5 ? -1 : 1;
        return u * 3 + 0.5 * normal(r);
    }
    return 2 * bd_rng_unit(r) - 1;
}

static void check_lasso(const struct bd_codetable *t, const cJSON *want,
                        double need)
{
    struct bd_plane_row row;
    double lambda, alpha[BD_PLANES];
    size_t n = ref_array(alpha, BD_PLANES, ref_get(want, "alphas_lsb_first"));

    bd_planes_lasso(&row, &lambda, t, need, false);
    REF_NEAR(lambda, ref_get_num(want, "lambda"), 1e-9);
    assert_int_equal(row.k, (int)ref_get_num(want, "bits"));
    assert_int_equal(row.mask, (int)ref_get_num(want, "mask"));
    REF_NEAR(row.psnr_db, ref_get_num(want, "psnr_db"), 2e-5);
    for (size_t k = 0; k < n; k++)
        REF_NEAR(row.alpha[k], alpha[k], 2e-5);
    bd_planes_lasso(&row, NULL, t, need, true);
    assert_int_equal(row.mask, (int)ref_get_num(want, "mask"));
    REF_NEAR(row.psnr_db, ref_get_num(want, "psnr_after_refit_db"), 1e-5);
}

/* Returns how many thresholds were compared. */
static int check_thresholds(const struct bd_codetable *t,
                            const struct bd_plane_table *rows, const cJSON *c)
{
    const cJSON *e;
    int n = 0;

    cJSON_ArrayForEach(e, ref_get(c, "thresholds"))
    {
        const cJSON *lasso = cJSON_GetObjectItem(e, "lasso");
        double need = rows->full_db - ref_get_num(e, "loss_db");
        const struct bd_plane_row *row = bd_planes_choose(rows, need, 1);

        REF_NEAR(need, ref_get_num(e, "need_db"), 1e-6);
        assert_int_equal(row->k, (int)ref_get_num(e, "l0_bits"));
        assert_int_equal(row->mask, (int)ref_get_num(e, "l0_mask"));
        check_db(row->psnr_db, ref_get(e, "l0_psnr_db"), 1e-6);
        if (lasso)
            check_lasso(t, lasso, need);
        n++;
    }
    return n;
}

static void distributions(void **state)
{
    cJSON *doc = ref_load("bitwise_bottleneck.json");
    double *x = malloc(MAX * sizeof(*x));
    const cJSON *c;
    int n = 0;

    (void)state;
    cJSON_ArrayForEach(c, ref_get(doc, "distributions"))
    {
        struct bd_rng r = {(uint64_t)ref_get_num(c, "seed")};
        double range = ref_get_num(c, "absmax");
        struct bd_codetable t;
        struct bd_plane_table rows;

        for (int i = 0; i < MAX; i++)
            x[i] = draw(ref_get_str(c, "kind"), &r);
        REF_CLOSE(absmax(x, MAX), range, 1e-12);
        bd_codetable_init(&t, (int)ref_get_num(c, "B"), range);
        add_doubles(&t, x, MAX, range);
        bd_planes_solve(&rows, &t);
        REF_NEAR(rows.full_db, ref_get_num(c, "psnr_all_planes_powers_of_two"),
                 1e-6);
        check_rows(&rows, ref_get(c, "best_by_bits"), 1e-7);
        n += check_thresholds(&t, &rows, c);
    }
    assert_int_equal(n, 80);
    free(x);
    cJSON_Delete(doc);
}

/* Section 3.4: PSNR of the best k planes through the engine's own way from
 * floats, to the two digits printed there. */
static void printed_table(void **state)
{
    static const struct {
        const char *kind;
        double db[8];
    } want[] = {
        {"laplacian", {19.35, 23.04, 25.96, 31.63, 38.28, 45.15, 52.17, 58.94}},
        {"half_normal",
         {15.72, 18.56, 25.40, 32.24, 38.89, 45.56, 52.36, 58.92}},
        {"relu_normal",
         {18.14, 21.76, 28.51, 35.30, 41.90, 48.61, 55.37, 61.99}},
        {"bimodal", {14.75, 21.39, 27.81, 34.21, 40.40, 46.71, 52.91, 58.94}},
        {"uniform", {12.81, 19.79, 26.47, 32.98, 39.45, 45.92, 52.48, 58.90}},
    };
    double *x = malloc(MAX * sizeof(*x));

    (void)state;
    for (int d = 0; d < 5; d++) {
        struct bd_rng r = {(uint64_t)(100 + d)};
        struct bd_codetable t;
        struct bd_plane_table rows;

        for (int i = 0; i < MAX; i++)
            x[i] = draw(want[d].kind, &r);
        table_of(&t, x, MAX, 8, (double)(float)absmax(x, MAX));
        bd_planes_solve(&rows, &t);
        for (int k = 1; k <= 8; k++)
            REF_NEAR(rows.row[k].psnr_db, want[d].db[k - 1], 0.00501);
    }
    free(x);
}

/* ------------------------------------------------------------ the table */
static void any_order(void **state)
{
    struct bd_codetable all, part[3];
    struct bd_rng r = {4};
    float x[3000];

    (void)state;
    for (int i = 0; i < 3000; i++)
        x[i] = (float)bd_rng_normal(&r);
    x[7] = NAN;
    x[8] = INFINITY;
    bd_codetable_init(&all, 8, 2.5);
    bd_codetable_add(&all, x, 3000);
    assert_int_equal(bd_codetable_count(&all), 2998);
    assert_true(all.negative);
    for (int i = 0; i < 3; i++) {
        bd_codetable_init(&part[i], 8, 2.5);
        bd_codetable_add(&part[i], x + 1000 * i, 1000);
    }
    bd_codetable_merge(&part[2], &part[0]);
    bd_codetable_merge(&part[2], &part[1]);
    assert_memory_equal(&all, &part[2], sizeof(all));
}

/* Repeatable for a seed, another for another, and about 1/12 more error. */
static void dithered(void **state)
{
    struct bd_codetable t[4];
    struct bd_plane_table rows[4];
    struct bd_rng r = {9};
    float *x = malloc(MAX * sizeof(*x));

    (void)state;
    for (int i = 0; i < MAX; i++)
        x[i] = (float)(2 * bd_rng_unit(&r) - 1);
    for (int i = 0; i < 4; i++) {
        bd_codetable_init(&t[i], 8, 1);
        t[i].dither = i == 0 ? 0 : i == 3 ? 12 : 11;
        bd_codetable_add(&t[i], x, MAX);
        bd_planes_solve(&rows[i], &t[i]);
    }
    assert_memory_equal(&t[1], &t[2], sizeof(t[1]));
    assert_true(memcmp(t[1].n, t[3].n, sizeof(t[1].n)) != 0);
    REF_NEAR(pow(10, -rows[0].full_db / 10) * 255 * 255, 1.0 / 12, 2e-3);
    REF_NEAR(pow(10, -rows[1].full_db / 10) * 255 * 255, 1.0 / 6, 4e-3);
    free(x);
}

static void entropy(void **state)
{
    struct bd_codetable t;
    const float x[8] = {0, 0, 0, 0, 255, 255, 128, 127};

    (void)state;
    bd_codetable_init(&t, 8, 255);
    bd_codetable_add(&t, x, 8);
    /* 4 x 0, 2 x 255, 128, 127 */
    REF_CLOSE(bd_planes_entropy(&t, 255), 1.75, 1e-14);
    /* 0 and 127 become one code, 128 and 255 another. */
    REF_CLOSE(bd_planes_entropy(&t, 128), 0.954434002924965, 1e-12);
    assert_true(bd_planes_entropy(&t, 0) == 0);
}

/* Fewest that reach it, never below k_min, the best there is otherwise; all
 * zero is the only tensor that keeps none. */
static void choosing(void **state)
{
    struct bd_codetable t;
    struct bd_plane_table rows;
    const float zero[4] = {0, 0, 0, 0}, x[4] = {1, 2, 4, 255};

    (void)state;
    bd_codetable_init(&t, 8, 0);
    bd_codetable_add(&t, zero, 4);
    bd_planes_solve(&rows, &t);
    assert_int_equal(rows.nrow, 1);
    assert_int_equal(bd_planes_choose(&rows, 40, 1)->k, 0);
    assert_true(isinf(rows.row[0].psnr_db) && isinf(rows.full_db));
    bd_codetable_init(&t, 8, 255);
    bd_codetable_add(&t, x, 4);
    bd_planes_solve(&rows, &t);
    assert_int_equal(bd_planes_choose(&rows, -100, 1)->k, 1);
    assert_int_equal(bd_planes_choose(&rows, -100, 2)->k, 2);
    assert_int_equal(bd_planes_choose(&rows, 500, 1)->k,
                     rows.row[rows.nrow - 1].k);
}

/* One outlier 3000 times the rest: the peak flatters (section 4). */
static void outlier(void **state)
{
    struct bd_codetable t;
    struct bd_plane_table rows;
    float x[1001];
    struct bd_rng r = {3};

    (void)state;
    for (int i = 0; i < 1000; i++)
        x[i] = (float)(bd_rng_unit(&r));
    x[1000] = 3000;
    bd_codetable_init(&t, 8, 3000);
    bd_codetable_add(&t, x, 1001);
    bd_planes_solve(&rows, &t);
    assert_int_equal(bd_planes_choose(&rows, 70, 1)->k, 1);
    assert_true(rows.row[1].psnr_db > rows.row[1].sqnr_db + 25);
}

static void refusals(void **state)
{
    struct bd_planecode c = {8, 0xf8, {0, 0, 0, 8.7, 17.1, 33.2, 65.3, 129.1}};
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_planecode_check(&c, &err), BD_OK);
    assert_int_equal(bd_planecode_kept(&c), 5);
    c.of = 7; /* the mask has plane 7 */
    assert_int_equal(bd_planecode_check(&c, &err), BD_EINVALID);
    c.of = 9;
    assert_int_equal(bd_planecode_check(&c, NULL), BD_EINVALID);
    c.of = 8;
    c.alpha[0] = 1; /* dropped, but weighs something */
    assert_int_equal(bd_planecode_check(&c, NULL), BD_EINVALID);
    c.alpha[0] = 0;
    c.alpha[3] = 0; /* kept, but weighs nothing */
    assert_int_equal(bd_planecode_check(&c, NULL), BD_EINVALID);
    c.alpha[3] = NAN;
    assert_int_equal(bd_planecode_check(&c, NULL), BD_EINVALID);
    c.alpha[3] = -8;
    assert_int_equal(bd_planecode_check(&c, NULL), BD_EINVALID);
}

/* ---------------------------------------------------------------- the row */
/* A gap in the planes: the map goes up and down, codes share values, and
 * cells, index and definition agree. */
static void cells(void **state)
{
    struct bd_planecode c = {8, 0xa0, {[5] = 40, [7] = 130}};
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("bottleneck")),
                          .bits = 2,
                          .is_signed = true,
                          .clip = 2,
                          .sigma = 1,
                          .map_back = true,
                          .planes = c};
    double lev[600], cut[600], e = 0;
    float x[5000], y[5000];
    struct bd_rng r = {77};
    struct bd_index *ix;
    size_t n = p.q->levels(lev, 600, &p);

    (void)state;
    /* 0 40 0 40 130 170 130 170, both signs, zero shared */
    assert_int_equal(n, 15);
    assert_int_equal(p.q->cuts(cut, 600, &p), 14);
    REF_CLOSE(lev[8], 40.0 / 255 * 2, 1e-15);
    assert_true(lev[9] == 0);
    REF_CLOSE(lev[14], 170.0 / 255 * 2, 1e-15);
    for (int i = 0; i < 5000; i++)
        x[i] = (float)bd_rng_normal(&r);
    p.q->apply(y, x, 5000, &p);
    for (int i = 0; i < 5000; i++) {
        double v = (double)x[i], q;

        bd_quant_project(&q, &v, 1, &p);
        assert_true(y[i] == (float)q);
        e += (v - q) * (v - q);
    }
    assert_int_equal(bd_index_new(&ix, x, 5000, NULL), BD_OK);
    REF_CLOSE(bd_index_error(ix, lev, cut, n, NULL), e, 1e-12);
    bd_index_free(ix);
}

/* Learning through an index finds what the values themselves give, also where
 * the clip cuts and where the data is not signed. */
static void learns_alike(void **state)
{
    float x[4000];
    struct bd_rng r = {5};
    struct bd_index *ix;

    (void)state;
    for (int i = 0; i < 4000; i++)
        x[i] = (float)bd_rng_normal(&r);
    assert_int_equal(bd_index_new(&ix, x, 4000, NULL), BD_OK);
    for (int i = 0; i < 8; i++) {
        struct bd_quant_data d = {ix, bd_index_cells};
        struct bd_qparam p = {
            .q = bd_quantizer_at(bd_quantizer_find("bottleneck")),
            .bits = 3 + i / 4,
            .is_signed = i % 2,
            .clip = i & 2 ? 1.7 : 4.1,
            .sigma = 1,
            .map_back = true};
        struct bd_qparam q = p;

        assert_int_equal(p.q->fit(&p, x, 4000, NULL), BD_OK);
        assert_int_equal(q.q->refit(&q, bd_index_moments(ix), NULL), BD_OK);
        assert_int_equal(q.q->adapt(&q, &d, NULL), BD_OK);
        assert_int_equal(p.planes.mask, q.planes.mask);
        assert_int_equal(__builtin_popcount(q.planes.mask), p.bits);
        for (int k = 0; k < BD_PLANES; k++)
            REF_NEAR(p.planes.alpha[k], q.planes.alpha[k], 1e-6);
    }
    bd_index_free(ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases),   cmocka_unit_test(codes_of_small),
        cmocka_unit_test(full_scale),    cmocka_unit_test(distributions),
        cmocka_unit_test(printed_table), cmocka_unit_test(any_order),
        cmocka_unit_test(dithered),      cmocka_unit_test(entropy),
        cmocka_unit_test(choosing),      cmocka_unit_test(outlier),
        cmocka_unit_test(refusals),      cmocka_unit_test(cells),
        cmocka_unit_test(learns_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
