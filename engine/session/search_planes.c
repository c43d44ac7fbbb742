/* Bit planes of inputs as an answer of the search, beside the others. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>

/* Noise-to-signal of the inputs, on the calibration images. */
static double input_loss(const struct bd_session *s,
                         const struct bd_bitcfg *cfg)
{
    double sum = 0;
    for (size_t i = 0; i < cfg->n; i++) {
        struct bd_act_error a;
        struct bd_calib_input in = bd_bench_input(s->bench, (int)i);
        if (!bd_session_is_float(&cfg->layer[i].a) && in.all &&
            bd_acts_error(&a, &in, &cfg->layer[i].a, NULL) == BD_OK)
            sum += pow(10, -a.sqnr_db / 10);
    }
    return sum;
}

/* The planes' own exact allocation, as an answer: spent, read, undone. */
bd_status bd_search_planes(struct bd_search_result *out,
                           struct bd_session *s,
                           const struct bd_search_opts *o,
                           struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_search_result r = {.budget = o->target, .optimal = true,
                                 .bound = (double)NAN};
    struct bd_planes_opts planes = {0};
    struct bd_planes_net net;
    int *layer = bd_alloc(s->m->nlayers + 1, sizeof *layer);
    struct bd_sel sel = {layer, 0};
    if (!layer)
        return bd_fail(err, BD_ENOMEM, "out of memory for the search");
    for (size_t i = 0; i < s->m->nlayers; i++)
        if (!s->cfg.layer[i].locked)
            layer[sel.n++] = (int)i;
    bd_status st = bd_session_now_planes(s, BD_PART_A, &planes, ctl, err);
    uint64_t before = s->digest;
    if (st == BD_OK)
        st = bd_session_spend_planes(s, sel, BD_PART_A, o->target, err);
    if (st == BD_OK && bd_bitcfg_copy(&r.cfg, &s->cfg) != BD_OK)
        st = bd_fail(err, BD_ENOMEM, "out of memory for the search");
    if (st == BD_OK) {
        bd_session_planes_net(&net, s, BD_PART_A);
        bd_cost_of(&r.size, s->m, s->plan, &r.cfg);
        r.cost = net.weighted;
        r.loss = input_loss(s, &r.cfg);
        snprintf(r.name, sizeof r.name, "bottleneck %.2f", net.weighted);
        snprintf(r.source, sizeof r.source, "squared error of the inputs");
        *out = r;
    }
    if (s->digest != before)
        bd_session_undo(s);
    bd_free(layer);
    return st;
}
