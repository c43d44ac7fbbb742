/* The squared-gradient score: how much the loss should grow when a weight
 * moves by d is, to second order and with the Hessian replaced by the mean of
 * squared gradients (the empirical Fisher matrix, diagonal), half of
 * E[g^2] d^2; the half is left out, as usual (Theis et al. 2018,
 * arXiv:1801.05787; SqueezeLLM, arXiv:2306.07629).
 *
 * One forward and one backward per image serve all variants: while the
 * gradient of a layer is at hand, each variant's sum of g^2 (w - Q(w))^2 is
 * taken, so no squared gradients are stored and every image gives one number
 * per variant, from which the interval follows.  The loss is the
 * cross-entropy of the label, or of the network's own answer where an image
 * has none.  BatchNorm runs with its stored statistics. */
#include "sens_priv.h"

#include <math.h>
#include <string.h>

struct scoring { /* while a backward pass runs */
    const struct bd_sens_work *w;
    struct bd_sens_lane *l;
};

static double score(const float *g, const float *x, const float *q, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double v = (double)g[i] * ((double)x[i] - (double)q[i]);

        s += v * v;
    }
    return s;
}

/* The layer's input, quantized into the spare place of the lane. */
static double score_input(const struct scoring *c, int layer, const float *g,
                          const struct bd_qlayer *q)
{
    const struct bd_model *m = c->w->pass->ask->m;
    const struct bd_tensor *x = bd_exec_value(c->l->e, m->layer[layer].input);

    bd_graph_quantize(c->l->spare, x->f, bd_graph_input_slices(m, layer, x),
                      q);
    return score(g, x->f, c->l->spare, (size_t)bd_tensor_count(x));
}

static void gradient(void *arg, int layer, const float *input, float *weight)
{
    const struct scoring *c = arg;
    const struct bd_sens_pass *p = c->w->pass;
    const struct bd_model *m = p->ask->m;
    const struct bd_tensor *w = &m->value[m->layer[layer].weight].t;
    size_t n = (size_t)bd_tensor_count(w);

    for (size_t i = 0; i < p->n; i++) {
        const struct bd_qlayer *q = &p->v[i].q;
        double *sum = &c->l->score[i];

        if (p->v[i].layer != layer)
            continue;
        if (q->w && weight)
            *sum += score(weight, w->f, q->w, n);
        if (q->a && input)
            *sum += score_input(c, layer, input, q);
    }
    if (weight) /* of this layer alone, also where two share a weight */
        memset(weight, 0, n * sizeof *weight);
}

/* d(-log softmax(z)[label]) / dz */
static void seed(float *d, const float *z, int64_t classes, int label)
{
    double top = -INFINITY, sum = 0;
    int64_t best = 0;

    for (int64_t k = 0; k < classes; k++) {
        best = (double)z[k] > top ? k : best;
        top = fmax(top, (double)z[k]);
    }
    for (int64_t k = 0; k < classes; k++)
        sum += exp((double)z[k] - top);
    for (int64_t k = 0; k < classes; k++)
        d[k] = (float)(exp((double)z[k] - top) / sum);
    d[label >= 0 && label < classes ? label : best] -= 1;
}

bd_status bd_sens_score(struct bd_sens_work *w, struct bd_sens_lane *l,
                        bool *done)
{
    const struct bd_sens_pass *p = w->pass;
    const struct bd_sens_ask *a = p->ask;
    struct scoring c = {w, l};
    struct bd_exec_run run = {.gradient = gradient, .arg = &c};
    bd_status st = a->src.fetch(a->src.arg, l->unit, 1,
                                bd_exec_input(l->e, 0), &l->err);

    *done = true;
    memset(l->score, 0, p->n * sizeof *l->score);
    if (st == BD_OK)
        st = bd_exec_run(l->e, &run, &l->err);
    if (st != BD_OK)
        return st;
    seed(l->z, bd_exec_value(l->e, w->logits)->f, w->classes,
         a->label ? a->label[l->unit] : -1);
    bd_exec_grad_zero(l->e);
    st = bd_exec_backward(l->e, &run, w->logits, l->z, &l->err);
    for (size_t i = 0; i < p->n && st == BD_OK; i++) {
        l->slot[i].scored++;
        l->slot[i].sum[BD_SENS_FISHER] += l->score[i];
        l->slot[i].square[BD_SENS_FISHER] += l->score[i] * l->score[i];
    }
    return st;
}
