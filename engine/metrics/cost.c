/* Sizes and bit operations: arithmetic on shapes, never on values, so they
 * are exact in the frame of the keypress. */
#include <math.h>

#include "metrics/metrics.h"

static const struct bd_tensor *weight_of(const struct bd_model *m, size_t i)
{
    return &m->value[m->layer[i].weight].t;
}

int64_t bd_stored_bits(const struct bd_model *m, int layer,
                       const struct bd_tensorcfg *w)
{
    const struct bd_tensor *t = weight_of(m, (size_t)layer);

    return bd_calib_stored_bits(w, bd_slices_of(t, m->layer[layer].axis));
}

double bd_code_bits(const struct bd_tensorcfg *w)
{
    double sum = 0;

    if (!w->channel || w->channel->n == 0)
        return w->bits;
    for (int c = 0; c < w->channel->n; c++)
        sum += w->channel->bits[c];
    return sum / w->channel->n;
}

double bd_input_size(const struct bd_model *m, const struct bd_plan *plan,
                     int layer)
{
    int in = m->layer[layer].input;
    int64_t n = plan ? bd_tensor_count(bd_plan_value(plan, in)) : 1;

    return n > 0 ? (double)n : 1;
}

/* Parameters outside the quantizable weights (biases, normalisation) stay
 * float and are counted as such, so sizes compare with whole files. */
void bd_cost_of(struct bd_cost *out, const struct bd_model *m,
                const struct bd_plan *plan, const struct bd_bitcfg *c)
{
    int64_t stored = 0, weights = 0;
    double acts = 0, act_bits = 0;

    *out = (struct bd_cost){0};
    for (size_t i = 0; i < m->nlayers && i < c->n; i++) {
        const struct bd_layercfg *l = &c->layer[i];
        double size = bd_input_size(m, plan, (int)i);

        stored += bd_stored_bits(m, (int)i, &l->w);
        weights += bd_tensor_count(weight_of(m, i));
        acts += size;
        act_bits += size * l->a.bits;
        if (plan)
            out->bops += (double)bd_plan_macs(plan, m->layer[i].node) *
                         bd_code_bits(&l->w) * l->a.bits;
    }
    out->size_bits = stored + 32 * (m->params - weights);
    out->float_bits = 32 * m->params;
    out->avg_bits_w = weights > 0 ? (double)stored / (double)weights : 32;
    out->avg_bits_a = acts > 0 ? act_bits / acts : 32;
}
