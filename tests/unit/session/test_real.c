/* The trained ResNet-20 of the APoT seed on real CIFAR-10 (apot.md section
 * 9): float 959 of 1017, learned clips at 4 bits 940.  Found through
 * BITDIAL_DATA; skipped without it. */
#include "bed.h"

static struct bd_session *open_real(const char *file,
                                    struct bd_session_opts *o)
{
    static const char pictures[] = "cifar10/test_first1017.bin";
    const char *root = getenv("BITDIAL_DATA");
    char model[512], data[512];
    if (!root || !*root) {
        print_message("BITDIAL_DATA is not set: no trained network here\n");
        skip();
    }
    snprintf(model, sizeof model, "%s/res20_apot/%s", root ? root : "", file);
    snprintf(data, sizeof data, "%s/%s", root ? root : "", pictures);
    o->model = model;
    o->data = data;
    o->no_state = true;
    return open_session(o);
}

static void float_network(void **state)
{
    (void)state;
    struct bd_session_opts o = {0};
    struct bd_net_eval e;
    struct bd_session *s = open_real("fp32.npz", &o);
    assert_string_equal(bd_session_model(s)->arch, "resnet20");
    assert_true(log_has(s, "'cifar10-apot'"));
    assert_int_equal(bd_session_now_eval(&e, NULL, NULL, s, NULL, NULL),
                     BD_OK);
    assert_in_range(e.right1, 956, 962);
    assert_int_equal(e.images, 1017);
    bd_session_close(s);
}

static void learned_clips(void **state)
{
    (void)state;
    struct bd_session_opts o = {.weights = "apot:4:tensor:learned",
                                .activations = "apot:4:tensor:learned",
                                .keep_edges = 8};
    struct bd_net_eval e;
    struct bd_session *s = open_real("w4a4.npz", &o);
    assert_int_equal(bd_session_now_eval(&e, NULL, NULL, s, NULL, NULL),
                     BD_OK);
    assert_in_range(e.right1, 930, 950);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_network),
        cmocka_unit_test(learned_clips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
