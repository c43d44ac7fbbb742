/* The set made from mathematics: repeatable, balanced, order-free, its two
 * parts different, and not trivially easy. */
#include "data_files.h"

#include <math.h>

enum { EACH = 3 * 32 * 32 };

static void fetch(const struct bd_data *d, int64_t i, float *x)
{
    struct bd_prep raw;
    struct bd_err err = {0};

    assert_int_equal(bd_prep_parse(&raw, "raw255", &err), BD_OK);
    if (bd_data_fetch(d, &raw, i, x, EACH, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

static void shape_and_labels(void **state)
{
    struct bd_data *d = open_ok("synth:glyphs");
    int64_t dim[3], count[10] = {0};

    (void)state;
    bd_data_shape(d, dim);
    assert_true(dim[0] == 3 && dim[1] == 32 && dim[2] == 32);
    assert_int_equal(bd_data_count(d), 2000);
    assert_int_equal(bd_data_classes(d), 10);
    assert_string_equal(bd_data_name(d), "synth:glyphs");
    for (int64_t i = 0; i < 2000; i++)
        count[bd_data_label(d, i)]++;
    for (int k = 0; k < 10; k++)
        assert_int_equal(count[k], 200);
    assert_int_equal(bd_data_label(d, -1), -1);
    assert_int_equal(bd_data_label(d, 2000), -1);
    bd_data_free(d);
}

/* Any order, any number of times: picture i depends on i alone. */
static void repeatable(void **state)
{
    struct bd_data *a = open_ok("synth:glyphs"), *b = open_ok("synth:glyphs");
    static float x[EACH], y[EACH];

    (void)state;
    for (int64_t i = 0; i < 40; i++) {
        fetch(a, i, x);
        fetch(b, 39 - i, y);
        fetch(b, i, y);
        assert_memory_equal(x, y, sizeof x);
    }
    bd_data_free(a);
    bd_data_free(b);
}

static void bytes_with_contrast(void **state)
{
    struct bd_data *d = open_ok("synth:glyphs");
    static float x[EACH];

    (void)state;
    for (int64_t i = 0; i < 200; i++) {
        float lo = 255, hi = 0;

        fetch(d, i, x);
        for (int k = 0; k < EACH; k++) {
            assert_true(x[k] >= 0 && x[k] <= 255 && x[k] == rintf(x[k]));
            lo = x[k] < lo ? x[k] : lo;
            hi = x[k] > hi ? x[k] : hi;
        }
        assert_true(hi - lo > 30); /* something was drawn */
    }
    bd_data_free(d);
}

static void parts_differ(void **state)
{
    struct bd_data *a = open_ok("synth:glyphs");
    struct bd_data *b = open_ok("synth:glyphs/train");
    static float x[EACH], y[EACH];

    (void)state;
    assert_int_equal(bd_data_count(b), 20000);
    fetch(a, 7, x);
    fetch(b, 7, y);
    assert_memory_not_equal(x, y, sizeof x);
    fetch(a, 17, y); /* same class, another picture */
    assert_memory_not_equal(x, y, sizeof x);
    bd_data_free(a);
    bd_data_free(b);
}

/* A classifier of mean colours must stay near chance: colour says nothing. */
static void colour_says_nothing(void **state)
{
    struct bd_data *d = open_ok("synth:glyphs");
    static float x[EACH];
    static double mean[10][3], seen[600][3];
    int right = 0;

    (void)state;
    for (int64_t i = 0; i < 600; i++) {
        fetch(d, i, x);
        for (int c = 0; c < 3; c++) {
            for (int k = 0; k < 1024; k++)
                seen[i][c] += (double)x[c * 1024 + k] / 1024;
            mean[i % 10][c] += seen[i][c] / 60;
        }
    }
    for (int i = 0; i < 600; i++) {
        double best = 1e30;
        int guess = 0;

        for (int k = 0; k < 10; k++) {
            double gap = 0;

            for (int c = 0; c < 3; c++)
                gap += pow(seen[i][c] - mean[k][c], 2);
            if (gap < best) {
                best = gap;
                guess = k;
            }
        }
        right += guess == i % 10;
    }
    assert_true(right < 150); /* of 600; chance is 60 */
    bd_data_free(d);
}

static void augmentation(void **state)
{
    const int64_t dim[3] = {1, 8, 8};
    struct bd_rng r = {5}, same = {5};
    float x[64], y[64], z[64];
    int changed = 0;

    (void)state;
    for (int round = 0; round < 50; round++) {
        float sum = 0;

        for (int k = 0; k < 64; k++)
            x[k] = y[k] = z[k] = (float)k + 1;
        bd_data_augment(y, dim, true, &r);
        bd_data_augment(z, dim, true, &same);
        assert_memory_equal(y, z, sizeof y); /* same stream, same result */
        for (int k = 0; k < 64; k++) {
            sum += y[k];
            assert_true(y[k] >= 0 && y[k] <= 64);
        }
        assert_true(sum <= 65 * 32);
        changed += memcmp(x, y, sizeof x) != 0;
    }
    assert_true(changed > 40);
}

static void unknown(void **state)
{
    (void)state;
    open_refused("synth:glyph", BD_EINVALID, "synth:glyphs");
    open_refused("synth:", BD_EINVALID, "built in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_and_labels),
        cmocka_unit_test(repeatable),
        cmocka_unit_test(bytes_with_contrast),
        cmocka_unit_test(parts_differ),
        cmocka_unit_test(colour_says_nothing),
        cmocka_unit_test(augmentation),
        cmocka_unit_test(unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
