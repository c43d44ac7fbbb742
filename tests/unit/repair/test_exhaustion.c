/* Every allocation of a repair fails once: a sentence, nothing half done, and
 * the network as it was. */
#include "nets.h"

#include "../exhaust.h"

struct job {
    struct bd_model *m;
    struct bd_bitcfg cfg;
    struct bd_qlayer *q;
    float *w[16];
    const char *what;
    size_t each;
};

static bd_status repair_once(const void *arg, struct bd_err *err)
{
    const struct job *j = arg;
    struct bd_repair_out o = {0};
    struct bd_model *next = NULL;
    struct bd_repair_in in = {
        .m = j->m, .cfg = &j->cfg, .q = j->q, .iterations = 2,
        .images = {fetch, (void *)(uintptr_t)&j->each, 1}};
    bd_status st =
        bd_repair_run(&o, bd_repair_find(j->what, NULL), &in, NULL, err);
    if (st == BD_OK)
        st = bd_repair_model(&next, j->m, &o, err);
    bd_model_free(next);
    bd_repair_out_done(&o);
    return st;
}

static void open_job(struct job *j)
{
    struct bd_err e = {0};
    *j = (struct job){.m = stirred("mobilenet-glyphs", 3), .each = PIXELS};
    j->cfg = all_float(j->m);
    assert_int_equal(bd_config_all(&j->cfg, true, "uniform:4", &e), BD_OK);
    j->q = bd_calloc(j->m->nlayers, sizeof *j->q);
    assert_true(j->q && j->m->nlayers <= 16);
    for (size_t i = 0; i < j->m->nlayers; i++) {
        const struct bd_layer *l = &j->m->layer[i];
        const struct bd_tensor *t = &j->m->value[l->weight].t;
        struct bd_weights w = {.x = t->f, .learned_clip = NAN,
                               .slices = bd_slices_of(t, l->axis)};
        struct bd_qset set;
        j->w[i] = bd_alloc((size_t)bd_tensor_count(t), sizeof(float));
        assert_int_equal(bd_calib_weights(&set, &w, &j->cfg.layer[i].w, NULL,
                                          &e), BD_OK);
        bd_qset_apply(j->w[i], &w, &set);
        bd_qset_done(&set);
        j->q[i] = (struct bd_qlayer){.w = j->w[i], .key = i + 1};
    }
}

static void close_job(struct job *j)
{
    for (size_t i = 0; i < j->m->nlayers; i++)
        bd_free(j->w[i]);
    bd_free(j->q);
    bd_bitcfg_done(&j->cfg);
    bd_model_free(j->m);
}

static void any_moment(void **state)
{
    static const char *const all[] = {"bn-fold", "equalize",
                                      "bias-correction", "bn-tune", NULL};
    struct job j;
    (void)state;
    open_job(&j);
    for (const char *const *w = all; *w; w++) {
        j.what = *w;
        assert_true(exhaust(repair_once, &j, false) > 10);
    }
    close_job(&j);
}

/* One small layer: the images go through the network once per allocation. */
static void while_rounding(void **state)
{
    struct job j;
    (void)state;
    open_job(&j);
    j.what = "adaround";
    for (size_t i = 1; i < j.m->nlayers; i++)
        j.q[i].w = NULL;
    assert_true(exhaust(repair_once, &j, false) > 20);
    close_job(&j);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(any_moment),
        cmocka_unit_test(while_rounding),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
