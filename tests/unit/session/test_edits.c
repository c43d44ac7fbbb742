/* The verbs: one undo step each, merged when a key is held, refused without
 * consequences; and undoing everything leads back to the start. */
#include "bed.h"

static const int every[3] = {0, 1, 2};

static const char *last_step(const struct bd_session *s)
{
    size_t now;
    bd_session_history(s, &now);
    return now > 0 ? bd_session_history_at(s, now - 1) : "";
}

static size_t steps(const struct bd_session *s)
{
    size_t now;
    bd_session_history(s, &now);
    return now;
}

static struct bd_session *fresh(const struct bed *b)
{
    struct bd_session_opts o = bed_opts(b);
    o.data = NULL;
    o.weights = "uniform:4";
    return open_session(&o);
}

static void steps_have_names(void **state)
{
    struct bd_session *s = fresh(*state);
    struct bd_sel all = {every, 3}, two = {every, 2};
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 5, NULL), BD_OK);
    assert_string_equal(last_step(s), "5 bits for all layers");
    assert_int_equal(bd_session_set_bits(s, two, BD_PART_A, 8, NULL), BD_OK);
    assert_string_equal(last_step(s), "activations: 8 bits for 2 layers");
    assert_int_equal(bd_session_set_method(s, one(every + 1), BD_PART_W,
                                           bd_quantizer_find("apot"), NULL),
                     BD_OK);
    assert_string_equal(last_step(s), "method apot for fc2");
    assert_int_equal(
        bd_session_set_clip(s, two, BD_PART_W,
                            (struct bd_clip_choice){BD_CLIP_MSE, 0}, NULL),
        BD_OK);
    assert_string_equal(last_step(s), "clip mse for 2 layers");
    assert_int_equal(bd_session_set_grain(
                         s, one(every), BD_PART_W,
                         (struct bd_grain_choice){BD_GRAIN_GROUP, 64}, NULL),
                     BD_OK);
    assert_string_equal(last_step(s), "groups of 64 for fc1");
    assert_int_equal(bd_session_set_channel(s, 1, 2, 7, NULL), BD_OK);
    assert_string_equal(last_step(s), "channel 2: 7 bits for fc2");
    bd_session_set_lock(s, two, true);
    assert_string_equal(last_step(s), "lock for 2 layers");
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 32, NULL), BD_OK);
    assert_string_equal(last_step(s), "float for all layers");
    assert_int_equal(steps(s), 8);
    /* What changes nothing is no step. */
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 32, NULL), BD_OK);
    bd_session_set_lock(s, two, true);
    assert_int_equal(steps(s), 8);
    bd_session_close(s);
}

static void a_held_key_is_one_step(void **state)
{
    struct bd_session *s = fresh(*state);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            bd_session_step_bits(s, one(every), BD_PART_W, 1, NULL), BD_OK);
    assert_int_equal(steps(s), 1);
    assert_string_equal(last_step(s), "7 bits for fc1");
    /* The other way, another layer, another part, or a pause: new steps. */
    bd_session_step_bits(s, one(every), BD_PART_W, -1, NULL);
    assert_int_equal(steps(s), 2);
    bd_session_step_bits(s, one(every + 1), BD_PART_W, -1, NULL);
    assert_int_equal(steps(s), 3);
    bd_session_step_bits(s, one(every + 1), BD_PART_A, -1, NULL);
    assert_int_equal(steps(s), 4);
    usleep(650000);
    bd_session_step_bits(s, one(every + 1), BD_PART_A, -1, NULL);
    assert_int_equal(steps(s), 5);
    /* After an undo the redone step stays whole. */
    assert_true(bd_session_undo(s));
    assert_true(bd_session_redo(s));
    bd_session_step_bits(s, one(every + 1), BD_PART_A, -1, NULL);
    assert_int_equal(steps(s), 6);
    while (bd_session_undo(s)) {
    }
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 4);
    bd_session_close(s);
}

static void stepping_to_the_ends(void **state)
{
    struct bd_session *s = fresh(*state);
    struct bd_err e = {0};
    int apot = bd_quantizer_find("apot");
    const struct bd_quantizer *q = bd_quantizer_at(apot);
    assert_int_equal(
        bd_session_set_method(s, one(every), BD_PART_W, apot, NULL), BD_OK);
    const struct bd_tensorcfg *t = &bd_session_cfg(s)->layer[0].w;
    while (t->bits < q->max_bits)
        assert_int_equal(
            bd_session_step_bits(s, one(every), BD_PART_W, 1, NULL), BD_OK);
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, 1, NULL),
                     BD_OK);
    assert_int_equal(t->bits, 32); /* float lies above the largest */
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, -1, NULL),
                     BD_OK);
    assert_int_equal(t->bits, q->max_bits);
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, -100, &e),
                     BD_EINVALID);
    while (t->bits > q->min_bits)
        assert_int_equal(
            bd_session_step_bits(s, one(every), BD_PART_W, -1, NULL), BD_OK);
    e = (struct bd_err){0};
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, -1, &e),
                     BD_EINVALID);
    assert_non_null(strstr(e.msg, "binary")); /* the way that works */
    assert_int_equal(t->bits, q->min_bits);
    /* With others in the selection the one at its end is left out. */
    assert_int_equal(
        bd_session_step_bits(s, (struct bd_sel){every, 3}, BD_PART_W, -1, NULL),
        BD_OK);
    assert_int_equal(t->bits, q->min_bits);
    assert_int_equal(bd_session_cfg(s)->layer[1].w.bits, 3);
    bd_session_close(s);
}

static void refusals_change_nothing(void **state)
{
    struct bd_session *s = fresh(*state);
    struct bd_bitcfg before;
    struct bd_sel all = {every, 3};
    static const int bad[1] = {3};
    int binary = bd_quantizer_find("binary");
    assert_int_equal(bd_bitcfg_copy(&before, bd_session_cfg(s)), BD_OK);
    struct bd_err e = {0};
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 1, &e),
                     BD_EINVALID);
    assert_non_null(strstr(e.msg, "'binary' takes 1"));
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 0, NULL),
                     BD_EINVALID);
    assert_int_equal(bd_session_set_bits(s, all, BD_PART_W, 17, NULL),
                     BD_EINVALID);
    assert_int_equal(bd_session_set_bits(s, one(bad), BD_PART_W, 4, NULL),
                     BD_EINVALID);
    assert_int_equal(bd_session_set_method(s, all, BD_PART_W, 99, NULL),
                     BD_EINVALID);
    assert_int_equal(
        bd_session_set_clip(s, all, BD_PART_W,
                            (struct bd_clip_choice){BD_CLIP_LEARNED, 0}, NULL),
        BD_EINVALID);
    assert_int_equal(
        bd_session_set_clip(s, all, BD_PART_W,
                            (struct bd_clip_choice){BD_CLIP_MANUAL, 0}, NULL),
        BD_EINVALID);
    assert_int_equal(bd_session_set_grain(
                         s, all, BD_PART_A,
                         (struct bd_grain_choice){BD_GRAIN_GROUP, 128}, NULL),
                     BD_EINVALID);
    assert_int_equal(
        bd_session_set_clip(s, all, BD_PART_W,
                            (struct bd_clip_choice){BD_CLIP_EMA, 0}, &e),
        BD_EINVALID);
    assert_int_equal(
        bd_session_set_grain(s, all, BD_PART_W,
                             (struct bd_grain_choice){BD_GRAIN_GROUP, 0}, NULL),
        BD_EINVALID);
    assert_int_equal(bd_session_set_channel(s, 0, 24, 4, NULL), BD_EINVALID);
    assert_int_equal(bd_session_set_channel(s, 0, 0, 1, NULL), BD_EINVALID);
    assert_int_equal(bd_session_set_channel(s, 9, 0, 4, NULL), BD_EINVALID);
    assert_true(bd_bitcfg_same(&before, bd_session_cfg(s)));
    assert_int_equal(steps(s), 0);
    assert_false(bd_session_undo(s));
    /* A method with its own widths moves them, and says so. */
    assert_int_equal(bd_session_set_method(s, all, BD_PART_W, binary, NULL),
                     BD_OK);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 1);
    assert_true(log_has(s, "'binary' takes"));
    bd_bitcfg_done(&before);
    bd_session_close(s);
}

static int rows(void)
{
    int n = 0;
    while (bd_quantizer_at(n))
        n++;
    return n;
}

/* Once around the table, as `m` does: every method with its own width and
 * grain, and in the end what was there. */
static void methods_keep_the_wish(void **state)
{
    struct bd_session *s = fresh(*state);
    const struct bd_tensorcfg *t = &bd_session_cfg(s)->layer[0].w;
    struct bd_grain_choice channel = {BD_GRAIN_CHANNEL, 0};
    int first = bd_quantizer_find("uniform"), nf4 = bd_quantizer_find("nf4");
    int mx = bd_quantizer_find("mxfp8-e4m3");
    assert_int_equal(
        bd_session_set_grain(s, one(every), BD_PART_W, channel, NULL), BD_OK);
    for (int i = 0; i < rows(); i++) {
        int row = (first + 1 + i) % rows();
        const struct bd_quantizer *q = bd_quantizer_at(row);
        if (!(q->traits & BD_Q_WEIGHTS))
            continue;
        assert_int_equal(
            bd_session_set_method(s, one(every), BD_PART_W, row, NULL), BD_OK);
        if (q->min_bits <= 4 && q->max_bits >= 4)
            assert_int_equal(t->bits, 4);
        if (q->traits & BD_Q_BLOCKS)
            assert_true(t->grain == BD_GRAIN_GROUP && t->group == q->group);
        else
            assert_int_equal(t->grain, BD_GRAIN_CHANNEL);
    }
    assert_int_equal(t->quant, first);
    assert_int_equal(t->bits, 4);
    /* Per tensor, a method made for groups brings and takes them along. */
    channel.grain = BD_GRAIN_TENSOR;
    bd_session_set_grain(s, one(every), BD_PART_W, channel, NULL);
    bd_session_set_method(s, one(every), BD_PART_W, nf4, NULL);
    assert_true(t->grain == BD_GRAIN_GROUP && t->group == 64);
    bd_session_set_method(s, one(every), BD_PART_W, first, NULL);
    assert_int_equal(t->grain, BD_GRAIN_TENSOR);
    /* What is turned in between is the new wish. */
    bd_session_set_method(s, one(every), BD_PART_W, mx, NULL);
    assert_int_equal(t->bits, 8);
    bd_session_set_method(s, one(every), BD_PART_W, first, NULL);
    bd_session_set_bits(s, one(every), BD_PART_W, 6, NULL);
    bd_session_set_method(s, one(every), BD_PART_W, nf4, NULL);
    bd_session_set_method(s, one(every), BD_PART_W, first, NULL);
    assert_int_equal(t->bits, 6);
    bd_session_close(s);
}

/* Fixed widths and blocks name the way that works. */
static void fixed_formats_refuse(void **state)
{
    struct bd_session *s = fresh(*state);
    struct bd_err e = {0};
    int mx = bd_quantizer_find("mxfp4");
    struct bd_grain_choice tensor = {BD_GRAIN_TENSOR, 0};
    assert_int_equal(bd_session_set_method(s, one(every), BD_PART_W, mx, NULL),
                     BD_OK);
    assert_int_equal(bd_session_set_bits(s, one(every), BD_PART_W, 5, &e),
                     BD_EINVALID);
    assert_non_null(strstr(e.msg, "takes only 4; 'uniform' takes 5"));
    e = (struct bd_err){0};
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, -1, &e),
                     BD_EINVALID);
    assert_non_null(strstr(e.msg, "takes only 4"));
    e = (struct bd_err){0};
    assert_int_equal(
        bd_session_set_grain(s, one(every), BD_PART_W, tensor, &e),
        BD_EINVALID);
    assert_non_null(strstr(e.msg, "'group32'; 'fp4-e2m1' takes any"));
    e = (struct bd_err){0};
    assert_int_equal(bd_session_set_channel(s, 0, 0, 4, &e), BD_EINVALID);
    e = (struct bd_err){0};
    assert_int_equal(bd_session_set_method(s, one(every), BD_PART_A, mx, &e),
                     BD_EINVALID);
    assert_non_null(strstr(e.msg, "not activations"));
    bd_session_close(s);
}

static void one_random_edit(struct bd_session *s, struct bd_rng *r)
{
    int layer[3], channels[3] = {24, 16, 10};
    size_t n = 1 + (size_t)bd_rng_below(r, 3);
    for (size_t i = 0; i < n; i++) /* distinct by construction */
        layer[i] = (int)i;
    if (n == 1)
        layer[0] = (int)bd_rng_below(r, 3);
    struct bd_sel sel = {layer, n};
    enum bd_part part = (enum bd_part)bd_rng_below(r, 2);
    switch (bd_rng_below(r, 8)) {
    case 0:
        bd_session_set_bits(s, sel, part, 1 + (int)bd_rng_below(r, 34), NULL);
        break;
    case 1:
        bd_session_step_bits(s, sel, part, (int)bd_rng_below(r, 5) - 2, NULL);
        break;
    case 2:
        bd_session_set_method(s, sel, part, (int)bd_rng_below(r, (uint64_t)rows() + 1),
                              NULL);
        break;
    case 3:
        bd_session_set_clip(
            s, sel, part,
            (struct bd_clip_choice){
                (enum bd_clip_rule)bd_rng_below(r, BD_CLIP_RULES),
                                    (float)bd_rng_unit(r) * 100},
            NULL);
        break;
    case 4:
        bd_session_set_grain(
            s, sel, part,
            (struct bd_grain_choice){(enum bd_grain)bd_rng_below(r, 3),
                                     (int)bd_rng_below(r, 200)},
            NULL);
        break;
    case 5:
        bd_session_set_channel(
            s, layer[0], (int)bd_rng_below(r, (uint64_t)channels[layer[0]]),
            (int)bd_rng_below(r, 10), NULL);
        break;
    case 6:
        bd_session_set_lock(s, sel, bd_rng_below(r, 2) == 0);
        break;
    default:
        if (bd_rng_below(r, 2))
            bd_session_undo(s);
        else
            bd_session_redo(s);
    }
}

/* The property undo stands on, with lanes running and without. */
static void undo_all_is_the_start(void **state)
{
    for (int run = 0; run < 2; run++) {
        struct bd_session *s = fresh(*state);
        struct bd_bitcfg start, end;
        struct bd_rng r = {(uint64_t)run + 11};
        assert_int_equal(bd_bitcfg_copy(&start, bd_session_cfg(s)), BD_OK);
        if (run == 1)
            bd_session_start(s);
        for (int i = 0; i < 900; i++) {
            one_random_edit(s, &r);
            if (run == 1 && i % 7 == 0)
                bd_session_collect(s);
        }
        assert_int_equal(
            bd_config_check(bd_session_cfg(s), bd_session_model(s), NULL),
            BD_OK);
        while (bd_session_redo(s)) {
        }
        assert_int_equal(bd_bitcfg_copy(&end, bd_session_cfg(s)), BD_OK);
        assert_true(steps(s) > 100);
        while (bd_session_undo(s)) {
        }
        assert_true(bd_bitcfg_same(&start, bd_session_cfg(s)));
        while (bd_session_redo(s)) {
        }
        assert_true(bd_bitcfg_same(&end, bd_session_cfg(s)));
        bd_bitcfg_done(&start);
        bd_bitcfg_done(&end);
        bd_session_close(s);
    }
}

static void the_ring_holds_a_thousand(void **state)
{
    struct bd_session *s = fresh(*state);
    for (int i = 0; i < 1500; i++)
        assert_int_equal(
            bd_session_set_bits(s, one(every), BD_PART_W, 2 + i % 7, NULL),
            BD_OK);
    assert_int_equal(steps(s), 1000);
    int undone = 0;
    while (bd_session_undo(s))
        undone++;
    assert_int_equal(undone, 1000);
    assert_int_equal(bd_session_cfg(s)->layer[0].w.bits, 2 + 499 % 7);
    /* An edit now drops all that could have been redone. */
    assert_int_equal(bd_session_set_bits(s, one(every), BD_PART_W, 12, NULL),
                     BD_OK);
    assert_int_equal(bd_session_history(s, NULL), 1);
    assert_false(bd_session_redo(s));
    bd_session_close(s);
}

static void widths_of_channels(void **state)
{
    struct bd_session *s = fresh(*state);
    const struct bd_tensorcfg *t = &bd_session_cfg(s)->layer[0].w;
    assert_int_equal(bd_session_set_channel(s, 0, 0, 0, NULL), BD_OK);
    assert_int_equal(bd_session_set_channel(s, 0, 1, 7, NULL), BD_OK);
    assert_int_equal(t->grain, BD_GRAIN_CHANNEL);
    assert_int_equal(t->channel->bits[0], 0);
    assert_int_equal(t->channel->bits[1], 7);
    assert_int_equal(t->channel->bits[2], 4);
    /* A step keeps the differences and what is sent as zero. */
    assert_int_equal(bd_session_step_bits(s, one(every), BD_PART_W, 1, NULL),
                     BD_OK);
    assert_int_equal(t->channel->bits[0], 0);
    assert_int_equal(t->channel->bits[1], 8);
    assert_int_equal(t->channel->bits[2], 5);
    assert_int_equal(bd_session_set_bits(s, one(every), BD_PART_W, 4, NULL),
                     BD_OK);
    assert_null(t->channel);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(steps_have_names),      CASE(a_held_key_is_one_step),
        CASE(stepping_to_the_ends),  CASE(refusals_change_nothing),
        CASE(undo_all_is_the_start), CASE(the_ring_holds_a_thousand),
        CASE(widths_of_channels),    CASE(methods_keep_the_wish),
        CASE(fixed_formats_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
