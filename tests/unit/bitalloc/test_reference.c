/* Published problems and their optima: HAWQ-V3's nine allocations for
 * ResNet-18, and the channel allocations of the reference. */
#include "bitalloc/bitalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

enum { MOST = 64, WIDTHS = 9 };

static const char *folder;

struct table {
    struct bd_alloc_option option[MOST][WIDTHS];
    struct bd_alloc_layer layer[MOST];
    struct bd_alloc_problem p;
};

static cJSON *load(const char *name)
{
    char path[600], *text = NULL;
    size_t n;
    cJSON *j = NULL;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, NULL), BD_OK);
    assert_int_equal(bd_json_parse(&j, text, n, NULL), BD_OK);
    bd_free(text);
    return j;
}

static double number(const cJSON *o, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(o, key));
}

/* ---------------------------------------------------------------- HAWQ */
static void read_layer(struct table *t, const cJSON *l, size_t i)
{
    const cJSON *o;
    size_t n = 0;

    cJSON_ArrayForEach(o, cJSON_GetObjectItem(l, "options"))
    {
        t->option[i][n++] = (struct bd_alloc_option){
            (int)number(o, "bits"), number(o, "cost"), number(o, "loss")};
    }
    t->layer[i] = (struct bd_alloc_layer){
        cJSON_GetStringValue(cJSON_GetObjectItem(l, "name")), n, t->option[i],
        -1, -1};
}

static void read_ties(struct table *t, const cJSON *tied)
{
    const cJSON *tie, *name;
    int number_of_tie = 0;

    cJSON_ArrayForEach(tie, tied)
    {
        cJSON_ArrayForEach(name, tie)
        {
            for (size_t i = 0; i < t->p.n; i++)
                if (strcmp(t->layer[i].name, cJSON_GetStringValue(name)) == 0)
                    t->layer[i].tie = number_of_tie;
        }
        number_of_tie++;
    }
}

static void solves(const char *name)
{
    cJSON *j = load(name), *want = cJSON_GetObjectItem(j, "optimum"), *l;
    struct table t = {0};
    int pick[MOST];
    struct bd_alloc_result r = {.pick = pick};

    cJSON_ArrayForEach(l, cJSON_GetObjectItem(j, "layers"))
        read_layer(&t, l, t.p.n++);
    t.p.layer = t.layer;
    t.p.budget = number(j, "budget");
    read_ties(&t, cJSON_GetObjectItem(j, "tied"));
    for (const struct bd_allocator *const *a = bd_allocators(); *a; a++) {
        assert_int_equal((*a)->solve(&r, &t.p, NULL), BD_OK);
        assert_true(r.cost <= t.p.budget * (1 + 1e-9));
        assert_true(r.loss >= number(want, "loss") * (1 - 1e-9));
        assert_true(r.bound <= number(want, "loss") * (1 + 1e-9));
    }
    assert_true(r.optimal); /* dp is the last row */
    assert_true(fabs(r.loss - number(want, "loss")) < 1e-9);
    assert_true(fabs(r.cost - number(want, "cost")) < 1e-6);
    for (size_t i = 0; i < t.p.n; i++)
        assert_int_equal(
            t.option[i][pick[i]].bits,
            (int)cJSON_GetNumberValue(cJSON_GetArrayItem(
                cJSON_GetObjectItem(want, "bits"), (int)i)));
    cJSON_Delete(j);
}

static void hawq_problems(void **state)
{
    static const char *const what[] = {"bops", "latency", "size"};
    static const char *const ratio[] = {"0.25", "0.5", "0.75"};
    char name[100];

    (void)state;
    for (int w = 0; w < 3; w++)
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "hawq_resnet18/resnet18_%s_%s.json",
                     what[w], ratio[k]);
            solves(name);
        }
}

/* ------------------------------------------------------------- channels */
static void read_rows(struct table *t, const cJSON *rows)
{
    const cJSON *row;

    *t = (struct table){0};
    cJSON_ArrayForEach(row, rows)
    {
        size_t i = t->p.n++;

        for (int b = 0; b < WIDTHS; b++)
            t->option[i][b] = (struct bd_alloc_option){
                b, b, cJSON_GetNumberValue(cJSON_GetArrayItem(row, b))};
        t->layer[i] =
            (struct bd_alloc_layer){"", WIDTHS, t->option[i], -1, -1};
    }
    t->p.layer = t->layer;
}

static void gives(struct table *t, const char *method, const cJSON *want)
{
    int pick[MOST];
    struct bd_alloc_result r = {.pick = pick};
    double loss = 0;

    assert_int_equal(bd_allocator_find(method)->solve(&r, &t->p, NULL),
                     BD_OK);
    for (size_t i = 0; i < t->p.n; i++) {
        int b = (int)cJSON_GetNumberValue(
            cJSON_GetArrayItem(cJSON_GetObjectItem(want, "bits"), (int)i));

        assert_int_equal(t->option[i][pick[i]].bits, b);
        loss += t->option[i][b].loss;
    }
    assert_true(fabs(r.loss - loss) < 1e-12);
}

static void channel_allocations(void **state)
{
    cJSON *j = load("channel_allocation.json");
    const cJSON *small = cJSON_GetObjectItem(j, "small"), *a;
    struct table feature, output;

    (void)state;
    read_rows(&feature, cJSON_GetObjectItem(small, "interval_mse"));
    read_rows(&output, cJSON_GetObjectItem(small, "output_sensitivity"));
    cJSON_ArrayForEach(a, cJSON_GetObjectItem(small, "allocations"))
    {
        feature.p.budget = output.p.budget = number(a, "budget");
        gives(&feature, "greedy", cJSON_GetObjectItem(a, "greedy_feature"));
        gives(&feature, "dp", cJSON_GetObjectItem(a, "dp_feature"));
        gives(&feature, "lagrange",
              cJSON_GetObjectItem(a, "lagrange_feature"));
        gives(&output, "greedy", cJSON_GetObjectItem(a, "greedy_output"));
        gives(&output, "dp", cJSON_GetObjectItem(a, "dp_output"));
    }
    cJSON_Delete(j);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hawq_problems),
                                       cmocka_unit_test(channel_allocations)};

    if (argc < 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
