/* Every level set of apot_levels.json, through the additive rule itself and
 * through the rows' `levels`. */
#include "ref.h"

#include "quant/quant.h"

static struct bd_qparam param(const char *name, int bits, bool is_signed,
                              double clip)
{
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find(name)),
                          .bits = bits,
                          .is_signed = is_signed,
                          .clip = clip,
                          .sigma = 1,
                          .map_back = true};
    struct bd_moments m = {0};

    assert_int_equal(p.q->refit(&p, &m, NULL), BD_OK);
    return p;
}

static void check_set(const cJSON *set)
{
    int bits = (int)ref_get_num(set, "bits");
    struct bd_qparam p =
        param(ref_get_str(set, "scheme"), bits, ref_get_bool(set, "signed"), 1);
    double want[600], got[600];
    size_t n = ref_array(want, 600, ref_get(set, "levels"));

    assert_int_equal(p.q->levels(NULL, 0, &p), n);
    assert_int_equal(p.q->levels(got, 600, &p), n);
    assert_int_equal(n, ref_get_num(set, "count"));
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == want[i]); /* correctly rounded, so equal */
}

static void test_sets(void **state)
{
    (void)state;
    ref_each("apot_levels.json", "sets", 42, check_set);
}

static void check_general(const cJSON *set)
{
    double want[256], got[256];
    size_t n = ref_array(want, 256, ref_get(set, "levels"));

    assert_int_equal(bd_additive_levels(got, 256,
                                        (int)ref_get_num(set, "bits"),
                                        (int)ref_get_num(set, "k")),
                     n);
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == want[i]);
}

/* Any k that divides B. */
static void test_general(void **state)
{
    (void)state;
    ref_each("apot_levels.json", "general_kn_unsigned", 19, check_general);
}

/* One magnitude bit is {0, 1} in every family; nonsense gives nothing. */
static void test_edges(void **state)
{
    double v[2];

    (void)state;
    for (int k = 1; k <= 2; k++) {
        assert_int_equal(bd_additive_levels(v, 2, 1, k), 2);
        assert_true(v[0] == 0 && v[1] == 1);
    }
    assert_int_equal(bd_additive_levels(v, 2, 0, 1), 0);
    assert_int_equal(bd_additive_levels(v, 2, 9, 1), 0);
    assert_int_equal(bd_additive_levels(v, 2, 4, 0), 0);
    assert_int_equal(bd_additive_levels(v, 2, 4, 3), 0);
    assert_int_equal(bd_additive_levels(v, 2, 4, 5), 0);
    /* A short buffer gets what fits; the count is still told. */
    assert_int_equal(bd_additive_levels(v, 2, 4, 2), 16);
    assert_true(v[0] == 0 && v[1] == 1.0 / 48);
}

static void check_seed_floats(const cJSON *set)
{
    const cJSON *f = cJSON_GetObjectItem(set, "magnitudes_f32_seed");
    double want[64], got[64];
    int B = (int)ref_get_num(set, "bits") - ref_get_bool(set, "signed");
    size_t n;

    if (!f)
        return;
    n = ref_array(want, 64, f);
    assert_int_equal(bd_additive_levels(got, 64, B, 2), n);
    for (size_t i = 0; i < n; i++)
        REF_CLOSE(got[i], want[i], 1.2e-7);
}

/* The seed keeps levels in float32, a unit in the last place away at most. */
static void test_seed_floats(void **state)
{
    (void)state;
    ref_each("apot_levels.json", "sets", 42, check_seed_floats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_general),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_seed_floats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
