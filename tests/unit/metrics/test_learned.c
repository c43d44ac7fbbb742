/* The seed's 4-bit checkpoint with its learned clips, and its 8-bit edges,
 * against apot_res20_facts.json: every level's count exactly, errors
 * closely.  Needs the real weights. */
#include "../quant/weights.h"

#include "metrics/metrics.h"

/* Counts per signed index into the magnitudes; fifteen levels at 4 bits. */
static void check_counts(const struct bd_weights *w, const struct bd_qparam *p,
                         const cJSON *c)
{
    size_t n = (size_t)w->slices.inner;
    int32_t *code = bd_alloc(n, sizeof(*code));
    double want[15], got[15] = {0};

    assert_int_equal(ref_array(want, 15, ref_get(c, "level_counts")), 15);
    p->q->codes(code, w->x, n, p);
    for (size_t i = 0; i < n; i++)
        got[code[i] + 7]++;
    for (int i = 0; i < 15; i++)
        assert_true(got[i] == want[i]);
    bd_free(code);
}

static void check_layer(const struct net *net, const cJSON *c)
{
    struct bd_tensorcfg cfg = {.bits = 4, .clip = BD_CLIP_LEARNED};
    struct bd_error_stats e;
    struct bd_weights w, alpha;
    struct bd_qset s;
    char name[256];

    snprintf(name, sizeof(name), "%s.weight", c->string);
    w = net_weights(net, name);
    snprintf(name, sizeof(name), "%s.weight_quant.wgt_alpha", c->string);
    alpha = net_weights(net, name);
    if (!alpha.x) {
        fail_msg("'%s' holds no number", name);
        return;
    }
    w.learned_clip = alpha.x[0];
    REF_CLOSE((double)w.learned_clip, ref_get_num(c, "weight_alpha"), 1e-12);
    cfg.quant = (uint8_t)bd_quantizer_find("apot");
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_OK);
    REF_CLOSE(s.p[0].mu, ref_get_num(c, "weight_mean"), 1e-5);
    REF_CLOSE(s.p[0].sigma, ref_get_num(c, "weight_std_unbiased"), 1e-6);
    assert_false(s.p[0].map_back);
    check_counts(&w, &s.p[0], c);
    assert_int_equal(bd_error_of(&e, &w, &s, NULL), BD_OK);
    REF_CLOSE(e.mse, ref_get_num(c, "mse_original"), 1e-5);
    REF_NEAR(e.psnr_db, ref_get_num(c, "psnr_original_db"), 1e-4);
    REF_CLOSE((double)e.clipped / (double)e.n,
              ref_get_num(c, "clipped_fraction"), 1e-9);
    assert_int_equal(e.levels_used, 15);
    bd_qset_done(&s);
}

static void check_edges(const struct net *net, const cJSON *edges)
{
    const cJSON *c;

    cJSON_ArrayForEach(c, edges)
    {
        struct bd_tensorcfg cfg = {.bits = 8};
        struct bd_weights w = net_weights(net, c->string);
        struct bd_error_stats e;
        struct bd_qset s;
        int32_t code, low = 0, high = 0;

        cfg.quant = (uint8_t)bd_quantizer_find("edge8");
        assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_OK);
        assert_int_equal(bd_error_of(&e, &w, &s, NULL), BD_OK);
        for (int64_t i = 0; i < w.slices.inner; i++) {
            s.p[0].q->codes(&code, w.x + i, 1, &s.p[0]);
            low = code < low ? code : low;
            high = code > high ? code : high;
        }
        assert_int_equal(low, ref_get_num(c, "code_min"));
        assert_int_equal(high, ref_get_num(c, "code_max"));
        REF_CLOSE(e.clip, ref_get_num(c, "max"), 1e-12);
        REF_CLOSE(e.mse, ref_get_num(c, "mse"), 1e-6);
        bd_qset_done(&s);
    }
}

static void test_learned(void **state)
{
    cJSON *doc = ref_load("apot_res20_facts.json");
    const cJSON *facts = ref_get(doc, "w4a4"), *c;
    struct net net = {0};
    int layers = 0;

    (void)state;
    net_open(&net, "w4a4.npz");
    cJSON_ArrayForEach(c, ref_get(facts, "layers"))
    {
        check_layer(&net, c);
        layers++;
    }
    assert_int_equal(layers, 20);
    check_edges(&net, ref_get(facts, "edge_8bit"));
    net_close(&net);
    cJSON_Delete(doc);
}

static void test_float_edges(void **state)
{
    cJSON *doc = ref_load("apot_res20_facts.json");
    struct net net = {0};

    (void)state;
    net_open(&net, "fp32.npz");
    check_edges(&net, ref_get(ref_get(doc, "fp32"), "edge_8bit"));
    net_close(&net);
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learned),
        cmocka_unit_test(test_float_edges),
    };

    if (!getenv("BITDIAL_DATA")) {
        puts("BITDIAL_DATA is not set: real weights not checked");
        return 77; /* skipped, as meson counts it */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
