/* Documents come in strictly and go out exactly. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

static void refused(const char *text)
{
    struct cJSON *j = NULL;
    struct bd_err err = {0};

    assert_int_equal(bd_json_parse(&j, text, strlen(text), &err),
                     BD_EFORMAT);
    assert_null(j);
    assert_true(strncmp(err.msg, "JSON", 4) == 0);
}

static void strictness(void **state)
{
    (void)state;
    refused("");
    refused("{");
    refused("{} x");
    refused("{\"a\":1,\"a\":2}");
    refused("{\"b\":{\"a\":1,\"c\":2,\"a\":3}}");
    refused("[\"\\u0000\"]");
    refused("[\"\xFF\"]");
    refused("[1e400]");
    refused("[NaN]");
    refused("[04]");
    refused("[-]");
    refused("[1.]");
    refused("[-.5]");
    refused("[1e+]");
    refused("[1,]");
    refused("[\"a\nb\"]");
    refused("\xEF\xBB\xBF[]x");
}

/* A doubled key is found by people through its path. */
static void doubled_keys_are_named(void **state)
{
    static const char text[] =
        "{\"layers\": [{}, {\"weights\": {\"bits\": 4, \"bits\": 5}}]}";
    struct cJSON *j = NULL;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_json_parse(&j, text, strlen(text), &err), BD_EFORMAT);
    assert_string_equal(err.msg, "JSON: layers[1].weights.bits stands twice");
}

static void depth_is_bounded(void **state)
{
    char text[4096];

    (void)state;
    memset(text, '[', 2000);
    memset(text + 2000, ']', 2000);
    text[4000] = '\0';
    refused(text);
}

static void good_documents_pass(void **state)
{
    static const char text[] =
        " {\"a\": [0, -2.5e-3, \"x\\n\\u00fc\"]} \n";
    struct cJSON *j = NULL;

    (void)state;
    assert_int_equal(bd_json_parse(&j, text, strlen(text), NULL), BD_OK);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "a")), 3);
    cJSON_Delete(j);
}

static void writer_layout(void **state)
{
    struct bd_json j = {.pretty = true};

    (void)state;
    bd_json_obj(&j, NULL);
    bd_json_str(&j, "schema", "x/1");
    bd_json_arr_inline(&j, "bits");
    bd_json_int(&j, NULL, 4);
    bd_json_int(&j, NULL, 5);
    bd_json_arr_end(&j);
    bd_json_arr(&j, "none");
    bd_json_arr_end(&j);
    bd_json_f64(&j, "inf", INFINITY);
    bd_json_str(&j, "odd", "a\"\xC3\xBC\x01");
    bd_json_obj_end(&j);
    assert_string_equal(j.out.s,
                        "{\n  \"schema\": \"x/1\",\n  \"bits\": [4, 5],\n"
                        "  \"none\": [],\n  \"inf\": null,\n"
                        "  \"odd\": \"a\\\"\\u00fc\\u0001\"\n}\n");
    bd_json_done(&j);
}

static void numbers_read_back_equal(void **state)
{
    struct bd_rng r = {1};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct bd_json j = {0};
        uint64_t u = bd_rng_u64(&r);
        double d;
        float f;
        uint32_t h = (uint32_t)u;

        memcpy(&d, &u, sizeof d);
        memcpy(&f, &h, sizeof f);
        if (!isfinite(d) || !isfinite(f))
            continue;
        bd_json_f64(&j, NULL, d);
        assert_true(strtod(j.out.s, NULL) == d);
        j.out.n = 0;
        j.comma = false;
        bd_json_f32(&j, NULL, f);
        assert_true(strtof(j.out.s, NULL) == f);
        assert_true(j.out.n <= 15);
        bd_json_done(&j);
    }
}

/* A name is bytes: what is not UTF-8 comes back as the byte it was. */
static void odd_bytes_come_back(void **state)
{
    static const char name[] = "a\xFF\\udc80\x80\xF0\x9F\x98\x80\xED\xB2\x80z";
    struct bd_json j = {0};
    struct cJSON *back = NULL;

    (void)state;
    bd_json_obj(&j, NULL);
    bd_json_str(&j, name, name);
    bd_json_obj_end(&j);
    assert_non_null(strstr(j.out.s, "\\udcff\\\\udc80\\udc80\\ud83d\\ude00"));
    assert_int_equal(bd_json_parse(&back, j.out.s, j.out.n, NULL), BD_OK);
    assert_string_equal(back->child->string, name);
    assert_string_equal(back->child->valuestring, name);
    cJSON_Delete(back);
    bd_json_done(&j);
}

/* Other lone surrogates stay refused, and so do equal keys spelt apart. */
static void only_odd_bytes_do(void **state)
{
    struct cJSON *j = NULL;
    struct bd_err err = {0};

    (void)state;
    refused("[\"\\udc7f\"]");
    refused("[\"\\udd00\"]");
    refused("[\"\\ud83d\"]");
    refused("[\"\\ud83d\\udc8\"]");
    refused("[\\udc80]");
    refused("[\"\\udc8");
    refused("{\"\\udcff\":1,\"\\uDCFF\":2}");
    assert_int_equal(bd_json_parse(&j, "[\"\\udc80\",?]", 12, &err),
                     BD_EFORMAT);
    assert_string_equal(err.msg, "JSON, byte 10: not JSON here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strictness),
        cmocka_unit_test(doubled_keys_are_named),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(good_documents_pass),
        cmocka_unit_test(odd_bytes_come_back),
        cmocka_unit_test(only_odd_bytes_do),
        cmocka_unit_test(writer_layout),
        cmocka_unit_test(numbers_read_back_equal)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
