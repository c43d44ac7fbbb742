/* Problems from files: the nine published ones to their stated optimum, and
 * everything that must be refused. */
#include "bitalloc/bitalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

static const char *folder;

static bd_status parse(struct bd_alloc_file *f, const char *text,
                       struct bd_err *err)
{
    return bd_alloc_file_read(f, text, strlen(text), err);
}

static double number(const cJSON *o, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(o, key));
}

static void solve_file(const char *name)
{
    char path[600], *text = NULL;
    size_t n;
    cJSON *j = NULL;
    struct bd_alloc_file f;
    struct bd_alloc_result r = {0};

    snprintf(path, sizeof path, "%s/hawq_resnet18/%s", folder, name);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, NULL), BD_OK);
    assert_int_equal(bd_alloc_file_read(&f, text, n, NULL), BD_OK);
    assert_int_equal(bd_json_parse(&j, text, n, NULL), BD_OK);
    r.pick = bd_calloc(f.p.n, sizeof *r.pick);
    assert_int_equal(bd_allocator_find("dp")->solve(&r, &f.p, NULL), BD_OK);
    const cJSON *want = cJSON_GetObjectItem(j, "optimum");
    const cJSON *bits = cJSON_GetObjectItem(want, "bits");
    assert_int_equal(cJSON_GetArraySize(bits), (int)f.p.n);
    for (size_t i = 0; i < f.p.n; i++)
        assert_int_equal(
            f.p.layer[i].option[r.pick[i]].bits,
            (int)cJSON_GetNumberValue(cJSON_GetArrayItem(bits, (int)i)));
    assert_true(r.optimal);
    assert_true(fabs(r.loss - number(want, "loss")) < 1e-9);
    assert_true(fabs(r.cost - number(want, "cost")) < 1e-6);
    assert_true(f.title[0] && f.cost_unit[0]);
    bd_free(r.pick);
    bd_free(text);
    cJSON_Delete(j);
    bd_alloc_file_done(&f);
}

static void published(void **state)
{
    static const char *const name[] = {
        "resnet18_bops_0.25.json",    "resnet18_bops_0.5.json",
        "resnet18_bops_0.75.json",    "resnet18_latency_0.25.json",
        "resnet18_latency_0.5.json",  "resnet18_latency_0.75.json",
        "resnet18_size_0.25.json",    "resnet18_size_0.5.json",
        "resnet18_size_0.75.json"};

    (void)state;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        solve_file(name[i]);
}

#define OPTIONS                                                                \
    "\"options\":[{\"bits\":2,\"cost\":2,\"loss\":1},"                         \
    "{\"bits\":4,\"cost\":4,\"loss\":0.5}]"
#define HEAD "{\"schema\":\"bitdial.problem/1\",\"budget\":6,"
#define GOOD                                                                   \
    HEAD "\"layers\":[{\"name\":\"a\"," OPTIONS "},{\"name\":\"b\"," OPTIONS   \
         "}]"

static void locks_and_ties(void **state)
{
    struct bd_alloc_file f;
    struct bd_err err = {0};
    int pick[2];
    struct bd_alloc_result r = {.pick = pick};

    (void)state;
    assert_int_equal(parse(&f, GOOD ",\"tied\":[[\"a\",\"b\"]]}", &err), BD_OK);
    assert_int_equal(bd_allocator_find("dp")->solve(&r, &f.p, &err), BD_OK);
    assert_int_equal(pick[0], 0); /* 4 + 4 exceeds 6, and both are alike */
    assert_int_equal(pick[1], 0);
    bd_alloc_file_done(&f);
    assert_int_equal(
        parse(&f, HEAD "\"layers\":[{\"name\":\"a\",\"locked\":4," OPTIONS
                       "},{\"name\":\"b\"," OPTIONS "}]}", &err), BD_OK);
    assert_int_equal(bd_allocator_find("dp")->solve(&r, &f.p, &err), BD_OK);
    assert_int_equal(pick[0], 1);
    assert_int_equal(pick[1], 0);
    bd_alloc_file_done(&f);
}

static void hostile(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{}", "schema"},
        {"{\"schema\":\"bitdial.problem/2\"}", "schema"},
        {"{\"schema\":7}", "schema"},
        {"{\"schema\":\"bitdial.problem/1\"}", "budget"},
        {"{\"schema\":\"bitdial.problem/1\",\"budget\":\"6\"}", "budget"},
        {"{\"schema\":\"bitdial.problem/1\",\"budget\":-1}", "budget"},
        {"{\"schema\":\"bitdial.problem/1\",\"budget\":1,\"budget\":2}",
         "budget"},
        {HEAD "\"layers\":{}}", "layers"},
        {HEAD "\"layers\":[]}", "layers"},
        {HEAD "\"layers\":[3]}", "layers[0]"},
        {HEAD "\"layers\":[{" OPTIONS "}]}", "layers[0].name"},
        {HEAD "\"layers\":[{\"name\":\"a\"}]}", "layers[0].options"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[]}]}",
         "layers[0].options"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":2.5,"
              "\"cost\":1,\"loss\":1}]}]}", "layers[0].options[0].bits"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":99,"
              "\"cost\":1,\"loss\":1}]}]}", "layers[0].options[0].bits"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":2,"
              "\"cost\":-1,\"loss\":1}]}]}", "layers[0].options[0].cost"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":2,"
              "\"cost\":1}]}]}", "layers[0].options[0].loss"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":2,"
              "\"cost\":1,\"loss\":1e999}]}]}", ""},
        {HEAD "\"layers\":[{\"name\":\"a\",\"options\":[{\"bits\":4,"
              "\"cost\":1,\"loss\":1},{\"bits\":4,\"cost\":2,\"loss\":0}]}]}",
         "layers[0].options[1].bits"},
        {HEAD "\"layers\":[{\"name\":\"a\"," OPTIONS "},{\"name\":\"a\","
              OPTIONS "}]}", "layers[1].name"},
        {HEAD "\"layers\":[{\"name\":\"a\",\"locked\":3," OPTIONS "}]}",
         "layers[0].locked"},
        {GOOD ",\"tied\":\"a\"}", "tied"},
        {GOOD ",\"tied\":[\"a\"]}", "tied[0]"},
        {GOOD ",\"tied\":[[\"a\",\"c\"]]}", "tied[0]"},
        {GOOD ",\"tied\":[[\"a\",\"a\"]]}", "tied[0]"},
        {GOOD ",\"tied\":[[\"a\"],[\"b\",\"a\"]]}", "tied[1]"},
        {GOOD "} x", "JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bd_alloc_file f;
        struct bd_err err = {0};

        if (parse(&f, bad[i].text, &err) == BD_OK)
            fail_msg("accepted: %s", bad[i].text);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s\nsays: %s\nwanted: %s", bad[i].text, err.msg,
                     bad[i].says);
    }
}

/* Costs and losses that defeat both dominance and the bound: the search ends,
 * keeps the budget, and claims no proof it does not have. */
static void endless(void **state)
{
    enum { N = 400, K = 16 };
    static struct bd_alloc_option o[N][K];
    static struct bd_alloc_layer l[N];
    static int pick[N];
    struct bd_alloc_problem p = {N, l, 0};
    struct bd_alloc_result r = {.pick = pick};
    struct bd_rng rng = {1};

    (void)state;
    for (int i = 0; i < N; i++) {
        double cost = 1;
        for (int k = 0; k < K; k++) {
            cost += 1e6 + floor(bd_rng_unit(&rng) * 1e6);
            o[i][k] = (struct bd_alloc_option){
                k + 1, cost, 1e9 - cost + bd_rng_unit(&rng)};
        }
        l[i] = (struct bd_alloc_layer){"", K, o[i], -1, -1};
        p.budget += cost * 0.5;
    }
    assert_int_equal(bd_allocator_find("dp")->solve(&r, &p, NULL), BD_OK);
    assert_true(r.cost <= p.budget * (1 + 1e-9));
    assert_true(r.bound <= r.loss);
    assert_true(!r.optimal || r.bound == r.loss);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published), cmocka_unit_test(locks_and_ties),
        cmocka_unit_test(hostile), cmocka_unit_test(endless)};

    if (argc < 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
