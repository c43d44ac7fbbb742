/* Sensitivities from anywhere, of three kinds: points that name a layer, a
 * legal width and what is known, or a sentence; what was read can be written
 * and read again. */
#include "fuzz.h"
#include "session/session.h"

#include <assert.h>
#include <math.h>

static struct bd_model *net(void)
{
    static const int64_t dim[1] = {8};
    struct bd_model *m = NULL;
    bd_arch_new(&m, "mlp:8-6-5-4", dim, 1, 4, 1, NULL);
    return m;
}

static void sound(const struct bd_sens_table *t, const struct bd_model *m)
{
    assert(t->n > 0);
    for (size_t i = 0; i < t->n; i++) {
        const struct bd_sens_point *p = &t->point[i];
        assert(p->layer >= 0 && (size_t)p->layer < m->nlayers);
        assert(p->what >= BD_SENS_W && p->what <= BD_SENS_WA);
        assert((p->w.bits >= 1 && p->w.bits <= 16) || p->w.bits == 32);
        assert((p->a.bits >= 1 && p->a.bits <= 16) || p->a.bits == 32);
        for (int k = 0; k < BD_SENS_METRICS; k++)
            assert(!isinf(p->value[k]));
    }
}

static void again(const struct bd_sens_table *t, const struct bd_model *m)
{
    struct bd_str s = {0};
    struct bd_sens_table back = {0};
    struct bd_err err = {0};
    if (bd_sens_write(&s, m, t, BD_SENS_JSON, &err) == BD_OK) {
        bd_status st = bd_sens_read(&back, m, (struct bd_text){s.s, s.n},
                                    NULL, &err);
        assert(st == BD_OK && back.n == t->n);
        bd_sens_done(&back);
    }
    bd_str_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bd_model *m = net();
    struct bd_sens_table t = {0};
    struct bd_str warn = {0};
    struct bd_err err = {0};
    if (!m)
        return 0;
    bd_status st = bd_sens_read(
        &t, m, (struct bd_text){(const char *)data, size}, &warn, &err);
    assert((st == BD_OK) == (err.msg[0] == 0));
    if (st == BD_OK) {
        sound(&t, m);
        again(&t, m);
        bd_sens_done(&t);
    }
    bd_str_done(&warn);
    bd_model_free(m);
    return 0;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static const char *const seed[] = {
        "{\"schema\":\"bitdial.sweep/1\",\"mode\":\"alone-on\",\"metrics\":["
        "\"kl\"],\"images\":8,\"baseline\":{\"images\":8,\"top1\":0.5,"
        "\"loss\":1.25,\"kl\":0},\"layers\":[{\"name\":\"fc1\",\"points\":[{"
        "\"what\":\"w\",\"bits\":2,\"method\":\"uniform\",\"kl\":0.5,"
        "\"kl_ci95\":0.01,\"top1\":0.25,\"loss\":2,\"out_mse\":1e-3,"
        "\"fisher\":null,\"images\":8,\"settled\":true},{\"what\":\"a\","
        "\"bits\":8,\"method\":\"affine\",\"kl\":0.125}]},{\"name\":\"fc3\","
        "\"points\":[{\"what\":\"wa\",\"weights\":\"uniform:4:channel:mse\","
        "\"activations\":\"uniform:8\",\"kl\":1}]}],\"evaluations\":24}",
        "{\"base\":{\"bpw\":2},\"alts\":[{\"bpw\":3},{\"bpw\":4.5}],"
        "\"groups\":[{\"layers\":[\"fc1\",\"fc2.weight\"],\"candidates\":["
        "{\"dkld\":-0.25,\"dbits\":1},{\"dkld\":-0.375,\"dbits\":2}]},"
        "{\"layers\":[\"fc3\"],\"candidates\":[{\"dkld\":-0.01}]}]}",
        "[[\"fc1\",8.0],[\"fc2.weight\",-2.5],[\"lm_head\",1e-3]]"};
    if (k >= sizeof seed / sizeof *seed)
        return false;
    bd_str_puts(out, seed[k]);
    return true;
}
