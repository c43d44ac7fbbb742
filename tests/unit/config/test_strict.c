/* Strict reading: the JSON row of the table of attack classes.  Each case is
 * a good document with one thing wrong; the refusal must name its path. */
#include "net.h"

#include <stdio.h>

/* %s: the layers. */
static const char frame[] =
    "{\"schema\": \"bitdial.config/1\", \"layers\": [%s]}";

static bd_status read_layers(const struct bd_model *m, const char *layers,
                             struct bd_str *warn, struct bd_err *err)
{
    struct bd_str s = {0};
    struct bd_bitcfg c;
    bd_str_printf(&s, frame, layers);
    bd_status st = bd_config_read(&c, m, (struct bd_text){s.s, s.n}, warn, err);
    if (st == BD_OK)
        bd_bitcfg_done(&c);
    bd_str_done(&s);
    return st;
}

#define W(x) "{\"name\": \"fc1\", \"weights\": {" x "}}"
#define A(x) "{\"name\": \"fc1\", \"activations\": {" x "}}"
#define U4 "\"method\": \"uniform\", \"bits\": 4"
#define B2 "\"method\": \"bottleneck\", \"bits\": 2, \"planes\": "

static const struct {
    const char *layers, *path; /* path "" = it reads */
} cases[] = {
    {W(U4), ""},
    {W("\"method\": \"uniform\", \"bits\": 4.0"), ""},
    {W("\"method\": \"uniform\", \"bits\": 0"), "layers[0].weights.bits"},
    {W(U4 ", \"clip\": {\"rule\": \"mx\"}"), "layers[0].weights.clip.rule"},
    {W("\"method\": \"pact\", \"bits\": 4"), "layers[0].weights.method"},
    {A("\"method\": \"binary\", \"bits\": 1"), "layers[0].activations.method"},
    {W("\"method\": \"uniform\", \"bits\": -1"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": 33"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": 17"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": 1e9"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": 4.5"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": 1"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": \"4\""), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": null"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": [4]"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\", \"bits\": true"), "layers[0].weights.bits"},
    {W("\"method\": \"uniform\""), "layers[0].weights.bits"},
    {W("\"bits\": 4"), "layers[0].weights.method"},
    {W("\"method\": \"unifrom\", \"bits\": 4"), "layers[0].weights.method"},
    {W("\"method\": 3, \"bits\": 4"), "layers[0].weights.method"},
    {A("\"method\": \"vector\", \"bits\": 5"),
     "layers[0].activations.method"},
    {A(B2 "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [0, 2, 4]}"), ""},
    {W(B2 "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [0, 2, 4]}"), ""},
    {A(B2 "{}"), "layers[0].activations.planes.of"},
    {A(B2 "7"), "layers[0].activations.planes"},
    {A(B2 "{\"of\": 9, \"mask\": 6, \"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].activations.planes.of"},
    {A(B2 "{\"of\": 0, \"mask\": 0, \"alphas_lsb_first\": []}"),
     "layers[0].activations.planes"},
    {A(B2 "{\"of\": 3, \"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].activations.planes.mask"},
    {A(B2 "{\"of\": 3, \"mask\": 2.5, \"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].activations.planes.mask"},
    {A(B2 "{\"of\": 3, \"mask\": 14, \"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].activations.planes"},
    {A(B2 "{\"of\": 3, \"mask\": 6}"),
     "layers[0].activations.planes.alphas_lsb_first"},
    {A(B2 "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [2, 4]}"),
     "layers[0].activations.planes.alphas_lsb_first"},
    {A(B2 "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [0, \"2\", 4]}"),
     "layers[0].activations.planes.alphas_lsb_first[1]"},
    {A(B2 "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [0, -2, 4]}"),
     "layers[0].activations.planes"},
    {A(B2 "{\"of\": 3, \"mask\": 7, \"alphas_lsb_first\": [1, 2, 4]}"),
     "layers[0].activations"}, /* three planes in two bits */
    {A("\"method\": \"uniform\", \"bits\": 2, \"planes\": "
       "{\"of\": 3, \"mask\": 6, \"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].activations"},
    {W("\"method\": \"bottleneck\", \"bits\": 2, \"grain\": \"channel\", "
       "\"planes\": {\"of\": 3, \"mask\": 6, "
       "\"alphas_lsb_first\": [0, 2, 4]}"),
     "layers[0].weights"},
    {A("\"method\": \"ternary\", \"bits\": 2"),
     "layers[0].activations.method"},
    {W(U4 ", \"grain\": \"chanel\""), "layers[0].weights.grain"},
    {W(U4 ", \"grain\": \"group0\""), "layers[0].weights.grain"},
    {W(U4 ", \"grain\": \"group99999\""), "layers[0].weights.grain"},
    {W(U4 ", \"grain\": \"group-4\""), "layers[0].weights.grain"},
    {W(U4 ", \"grain\": 1"), "layers[0].weights.grain"},
    {A(U4 ", \"grain\": \"group128\""), "layers[0].activations.grain"},
    {W(U4 ", \"channel_bits\": [4,4,4,4,4,4]"),
     "layers[0].weights.channel_bits"},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": [4,4,4,4,4,0]"), ""},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": [4,4,4,4,4]"),
     "layers[0].weights.channel_bits"},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": [4,4,4,4,4,4,4]"),
     "layers[0].weights.channel_bits"},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": [4,4,4,1,4,4]"),
     "layers[0].weights.channel_bits[3]"},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": [4,4,\"4\",4,4,4]"),
     "layers[0].weights.channel_bits[2]"},
    {W(U4 ", \"grain\": \"channel\", \"channel_bits\": {}"),
     "layers[0].weights.channel_bits"},
    {W(U4 ", \"clip\": \"max\""), "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"maximum\"}"), "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"percentile0\"}"),
     "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"percentile101\"}"),
     "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"mse\", \"value\": -1}"),
     "layers[0].weights.clip.value"},
    {W(U4 ", \"clip\": {\"rule\": \"mse\", \"value\": \"x\"}"),
     "layers[0].weights.clip.value"},
    {W(U4 ", \"clip\": {\"rule\": \"mse\", \"value\": null}"),
     "layers[0].weights.clip.value"},
    {W(U4 ", \"clip\": {\"rule\": \"mse\", \"values\": [1, 2]}"),
     "layers[0].weights.clip.values"},
    {W(U4 ", \"clip\": {\"rule\": \"mse\", \"value\": 1, \"values\": [1]}"),
     "layers[0].weights.clip.values"},
    {W(U4 ", \"grain\": \"channel\", \"clip\": {\"rule\": \"mse\", "
       "\"values\": [1,2,3,4,5,-6]}"),
     "layers[0].weights.clip.values[5]"},
    {W(U4 ", \"clip\": {\"rule\": \"manual\"}"), "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"manual\", \"value\": 0}"),
     "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"manual\", \"value\": 1e300}"),
     "layers[0].weights.clip"},
    {W(U4 ", \"clip\": {\"rule\": \"learned\"}"), "layers[0].weights"},
    {A(U4 ", \"signed\": 1"), "layers[0].activations.signed"},
    {"{\"name\": \"fc1\", \"weights\": []}", "layers[0].weights"},
    {"{\"name\": \"fc1\", \"activations\": 4}", "layers[0].activations"},
    {"{\"name\": \"fc1\", \"locked\": 1}", "layers[0].locked"},
    {"{\"name\": \"fc9\"}", "layers[0].name"},
    {"{\"name\": \"fc1\"}, {\"name\": \"fc1\"}", "layers[1].name"},
    {"{\"name\": 7}", "layers[0].name"},
    {"{}", "layers[0].name"},
    {"7", "layers[0]"},
    {"{\"name\": \"fc1\"}, null", "layers[1]"},
};

static void refused_with_the_path(void **state)
{
    (void)state;
    struct bd_model *m = net();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bd_err e = {0};
        bd_status st = read_layers(m, cases[i].layers, NULL, &e);
        if ((st == BD_OK) != (cases[i].path[0] == '\0'))
            fail_msg("%s: %s", cases[i].layers, e.msg);
        if (st != BD_OK &&
            strncmp(e.msg, cases[i].path, strlen(cases[i].path)) != 0)
            fail_msg("%s: \"%s\" does not start with %s", cases[i].layers,
                     e.msg, cases[i].path);
    }
    bd_model_free(m);
}

static const struct {
    const char *text, *says;
} whole[] = {
    {"", "empty"},
    {"[]", "object"},
    {"{}", "schema"},
    {"{\"schema\": 1}", "schema"},
    {"{\"schema\": \"bitdial.config/2\", \"layers\": []}", "schema"},
    {"{\"schema\": \"bitdial.config/1\"}", "layers"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": {}}", "layers"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [], \"layers\": []}",
     "layers"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": []} x", "follows"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [], \"model\": 3}",
     "model"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [], "
     "\"model\": {\"layers\": 1.5}}", "model.layers"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [], "
     "\"metrics\": {\"top1\": \"high\"}}", "metrics.top1"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [], "
     "\"provenance\": {\"seed\": -1}}", "provenance.seed"},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [NaN]}", ""},
    {"{\"schema\": \"bitdial.config/1\", \"layers\": [1e400]}", ""},
    {"\xff\xfe{\0}\0", ""},
};

static void whole_documents(void **state)
{
    (void)state;
    struct bd_model *m = net();
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct bd_err e = {0};
        struct bd_bitcfg c;
        struct bd_text t = {whole[i].text, strlen(whole[i].text)};
        bd_status st = bd_config_read(&c, m, t, NULL, &e);
        if (st == BD_OK || !strstr(e.msg, whole[i].says))
            fail_msg("%s: %d \"%s\" lacks %s", whole[i].text, (int)st, e.msg,
                     whole[i].says);
    }
    bd_model_free(m);
}

/* Cut anywhere, a document is refused, never half read. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    struct bd_str s = {0};
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    struct bd_config_doc doc = {.cfg = &c, .metrics = {4, 0.5, 10, 3}};
    assert_int_equal(bd_config_write(&s, m, &doc, NULL), BD_OK);
    bd_bitcfg_done(&c);
    size_t brace = s.n;
    while (s.s[brace - 1] != '}')
        brace--;
    for (size_t n = 0; n < brace; n++)
        assert_int_not_equal(
            bd_config_read(&c, m, (struct bd_text){s.s, n}, NULL, NULL),
            BD_OK);
    bd_str_done(&s);
    bd_model_free(m);
}

static void noise_never_crashes(void **state)
{
    (void)state;
    struct bd_model *m = net();
    struct bd_bitcfg c;
    struct bd_str s = {0};
    struct bd_rng r = {9};
    assert_int_equal(bd_bitcfg_init(&c, 3), BD_OK);
    struct bd_config_doc doc = {.cfg = &c, .metrics = {4, 0.5, 10, 3}};
    assert_int_equal(bd_config_write(&s, m, &doc, NULL), BD_OK);
    bd_bitcfg_done(&c);
    for (int k = 0; k < 20000; k++) {
        size_t at = (size_t)bd_rng_below(&r, s.n);
        char old = s.s[at];
        s.s[at] ^= (char)(1 << bd_rng_below(&r, 8));
        struct bd_text t = {s.s, s.n};
        if (bd_config_read(&c, m, t, NULL, NULL) == BD_OK)
            bd_bitcfg_done(&c);
        s.s[at] = old;
    }
    bd_str_done(&s);
    bd_model_free(m);
}

static void warnings(void **state)
{
    (void)state;
    struct bd_model *m = net();
    static const char text[] =
        "{\"schema\": \"bitdial.config/1\", \"colour\": 1,"
        " \"model\": {\"digest\": \"xxh3:0123456789abcdef\"},"
        " \"layers\": [{\"name\": \"fc2\", \"weights\": {" U4
        ", \"mood\": \"good\"}}]}";
    struct bd_bitcfg c;
    struct bd_str warn = {0};
    struct bd_text t = {text, sizeof text - 1};
    assert_int_equal(bd_config_read(&c, m, t, &warn, NULL), BD_OK);
    assert_int_equal(c.layer[1].w.bits, 4);
    assert_int_equal(c.layer[0].w.bits, 32);
    assert_non_null(strstr(warn.s, "'colour'"));
    assert_non_null(strstr(warn.s, "layers[0].weights: key 'mood'"));
    assert_non_null(strstr(warn.s, "model: written for another model"));
    assert_non_null(strstr(warn.s, "2 layers of the model, 'fc1' first"));
    bd_str_done(&warn);
    bd_bitcfg_done(&c);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_with_the_path),
        cmocka_unit_test(whole_documents),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(noise_never_crashes),
        cmocka_unit_test(warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
