/* Whatever bytes: a configuration of a small network or a sentence.  What is
 * read must be allowed, and written again it must read back the same. */
#include "config/config.h"
#include "fuzz.h"

#include <assert.h>

#include <cjson/cJSON.h>

static struct bd_model *net(void)
{
    static const int64_t dim[1] = {8};
    struct bd_model *m = NULL;
    bd_arch_new(&m, "mlp:8-6-5-4", dim, 1, 4, 1, NULL);
    return m;
}

static void as_json(const char *text, size_t n)
{
    struct cJSON *j = NULL;
    struct bd_err err = {0};
    bd_status st = bd_json_parse(&j, text, n, &err);
    assert((st == BD_OK) == (j != NULL));
    assert((st == BD_OK) == (err.msg[0] == 0));
    cJSON_Delete(j);
}

/* Writes what was read and reads that. */
static void again(const struct bd_config_full *f, const struct bd_model *m)
{
    struct bd_config_doc doc = {
        .cfg = &f->cfg, .repairs = &f->repairs, .metrics = f->metrics,
        .file = f->file,
        .program = f->program, .data = f->data, .seed = f->seed,
        .edits = f->edits};
    struct bd_str s = {0}, warn = {0};
    struct bd_config_full back;
    struct bd_err err = {0};
    assert(bd_config_write(&s, m, &doc, &err) == BD_OK);
    bd_status st = bd_config_read_full(&back, m, (struct bd_text){s.s, s.n},
                                       &warn, &err);
    assert(st == BD_OK);
    assert(bd_bitcfg_same(&f->cfg, &back.cfg));
    bd_config_full_done(&back);
    bd_str_done(&warn);
    bd_str_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bd_text t = {(const char *)data, size};
    struct bd_config_full f;
    struct bd_str warn = {0};
    struct bd_err err = {0};
    struct bd_model *m = net();
    as_json(t.s, t.n);
    if (!m)
        return 0;
    bd_status st = bd_config_read_full(&f, m, t, &warn, &err);
    assert((st == BD_OK) == (err.msg[0] == 0));
    if (st == BD_OK) {
        assert(bd_config_check(&f.cfg, m, NULL) == BD_OK);
        again(&f, m);
        bd_config_full_done(&f);
    }
    bd_str_done(&warn);
    bd_model_free(m);
    return 0;
}

/* All methods of clipping and grain, recorded values, every other key. */
static bool full(struct bd_str *out)
{
    static const char *const edits[] = {
        "fc1.w=uniform:5:channel:mse", "fc2.w=apot:4:tensor:manual0.173",
        "fc3.w=log:4:group2:percentile99.5", "fc*.a=uniform:8:percentile"};
    static const double clip[6] = {1, 2, 3, 4, 5, 0.1};
    static const int8_t bits[6] = {4, 4, 5, 5, 6, 0};
    struct bd_clips clips[3] = {{.nw = 6, .w = clip},
                                {.a_known = true, .a_signed = true, .a = 0.25},
                                {.a_known = true, .a = 3}};
    struct bd_model *m = net();
    struct bd_bitcfg c = {0};
    struct bd_config_doc doc = {.cfg = &c, .clips = clips,
                                .metrics = {4.5, 0.25, 123, 10},
                                .data = "set \"1\"", .seed = 7, .edits = 3};
    bool ok = m && bd_bitcfg_init(&c, 3) == BD_OK;
    for (size_t i = 0; ok && i < sizeof edits / sizeof *edits; i++)
        ok = bd_config_set(&c, m, edits[i], NULL) == BD_OK;
    if (ok) {
        c.layer[0].w.channel = bd_chanbits_new(bits, 6);
        c.layer[2].locked = true;
        ok = bd_config_write(out, m, &doc, NULL) == BD_OK;
    }
    bd_bitcfg_done(&c);
    bd_model_free(m);
    return ok;
}

/* Explicit planes, and a network that was repaired first. */
static const char repaired[] =
    "{\"schema\":\"bitdial.config/1\",\"model\":{\"layers\":3},\"layers\":["
    "{\"name\":\"fc1\",\"activations\":{\"method\":\"bottleneck\",\"bits\":3,"
    "\"planes\":{\"of\":8,\"mask\":224,\"alphas_lsb_first\":[0,0,0,0,0,33.5,"
    "65.25,129]},\"clip\":{\"rule\":\"max\"}}},{\"name\":\"fc2\",\"weights\":{"
    "\"method\":\"mxfp4\",\"bits\":4}}],\"repairs\":[\"bn-fold\",{\"repair\":"
    "\"equalize\",\"layers\":[\"fc2\",\"fc1\"],\"clip_safe\":true},{\"repair\":"
    "\"adaround\",\"iterations\":500,\"seed\":7,\"images\":64,\"under\":[{"
    "\"name\":\"fc3\",\"weights\":{\"method\":\"apot\",\"bits\":3,\"grain\":"
    "\"channel\",\"channel_bits\":[2,3,4,5]}}]}]}";

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static const char json[] =
        "[{\"a\\u0041\\ud83d\\ude00\":-1.5e-3},[[[],{}]],true,false,null,"
        "\"\xc3\xa9\\n\",1e308,12345678901234567890]";
    if (k == 0)
        return full(out);
    if (k == 1)
        bd_str_put(out, json, sizeof json - 1);
    if (k == 2)
        bd_str_put(out, repaired, sizeof repaired - 1);
    return k < 3 && !out->failed;
}
