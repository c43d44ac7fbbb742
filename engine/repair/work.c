/* The network under repair: who reads what, and which constants have been
 * replaced so far.  A constant may be edited only when one node reads it:
 * exporters like to store equal tensors once. */
#include "repair/repair_priv.h"

#include <string.h>

/* Counts first, then places: the usual two passes of a bucket sort. */
static void list_readers(struct bd_work *w)
{
    const struct bd_model *m = w->m;
    for (size_t k = 0; k < m->nnodes; k++)
        for (int i = 0; i < m->node[k].nin; i++)
            if (m->node[k].in[i] >= 0)
                w->first[m->node[k].in[i] + 1]++;
    for (size_t v = 0; v < m->nvalues; v++)
        w->first[v + 1] += w->first[v];
    for (size_t k = m->nnodes; k-- > 0;)
        for (int i = 0; i < m->node[k].nin; i++)
            if (m->node[k].in[i] >= 0)
                w->reader[--w->first[m->node[k].in[i] + 1]] = (int)k;
    /* Each start has moved down to where its own list begins. */
    memmove(w->first, w->first + 1, m->nvalues * sizeof *w->first);
}

static size_t reads_of_all(const struct bd_model *m)
{
    size_t n = 0;
    for (size_t k = 0; k < m->nnodes; k++)
        for (int i = 0; i < m->node[k].nin; i++)
            n += m->node[k].in[i] >= 0;
    return n;
}

bd_status bd_work_init(struct bd_work *w, struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_err *err)
{
    const struct bd_model *m = in->m;
    size_t reads = reads_of_all(m);
    *w = (struct bd_work){.in = in, .m = m, .out = out};
    w->first = bd_calloc(m->nvalues + 2, sizeof *w->first);
    w->reader = bd_calloc(reads, sizeof *w->reader);
    w->exposed = bd_calloc(m->nvalues, sizeof *w->exposed);
    w->layer_of = bd_alloc(m->nnodes, sizeof *w->layer_of);
    if (!w->first || !w->reader || !w->exposed || !w->layer_of) {
        bd_work_done(w);
        return bd_fail(err, BD_ENOMEM, "out of memory for the repair");
    }
    list_readers(w);
    w->first[m->nvalues] = reads;
    for (size_t i = 0; i < m->noutputs; i++)
        w->exposed[m->output[i]] = true;
    for (size_t k = 0; k < m->nnodes; k++)
        w->layer_of[k] = -1;
    for (size_t i = 0; i < m->nlayers; i++)
        if (m->layer[i].node >= 0)
            w->layer_of[m->layer[i].node] = (int)i;
    return BD_OK;
}

void bd_work_done(struct bd_work *w)
{
    bd_free(w->first);
    bd_free(w->reader);
    bd_free(w->exposed);
    bd_free(w->layer_of);
    *w = (struct bd_work){0};
}

/* --------------------------------------------------------------- questions */

bool bd_work_chosen(const struct bd_work *w, int layer)
{
    return !w->in->layer || w->in->layer[layer];
}

size_t bd_work_reads(const struct bd_work *w, int v)
{
    return w->first[v + 1] - w->first[v] + w->exposed[v];
}

int bd_work_only_reader(const struct bd_work *w, int v)
{
    return bd_work_reads(w, v) == 1 && !w->exposed[v]
               ? w->reader[w->first[v]]
               : -1;
}

bool bd_work_own(const struct bd_work *w, int v, int64_t n)
{
    return v >= 0 && w->m->value[v].t.f && bd_work_reads(w, v) == 1 &&
           bd_tensor_count(&w->m->value[v].t) == n;
}

const float *bd_work_data(const struct bd_work *w, int v)
{
    return w->out->value[v] ? w->out->value[v] : w->m->value[v].t.f;
}

float *bd_work_edit(struct bd_work *w, int v)
{
    const struct bd_tensor *t = &w->m->value[v].t;
    size_t n = (size_t)bd_tensor_count(t);
    if (!w->out->value[v]) {
        float *x = bd_alloc(n, sizeof *x);
        if (x)
            memcpy(x, t->f, n * sizeof *x);
        w->out->value[v] = x;
        w->failed = w->failed || !x;
    }
    return w->out->value[v];
}

void bd_scale_channels(float *x, struct bd_slices s, const double *f)
{
    for (int64_t o = 0; x && o < s.outer; o++)
        for (int64_t c = 0; c < s.channels; c++) {
            float *row = x + (o * s.channels + c) * s.inner;
            for (int64_t k = 0; k < s.inner; k++)
                row[k] = (float)((double)row[k] * f[c]);
        }
}

/* ---------------------------------------------------------- normalisation */

int bd_work_norm(const struct bd_work *w, int layer)
{
    const struct bd_layer *l = &w->m->layer[layer];
    if (l->node < 0)
        return -1;
    const struct bd_node *n = &w->m->node[l->node];
    int64_t channels = bd_config_channels(w->m, layer);
    bool known = strcmp(n->op, "Conv") == 0 || strcmp(n->op, "Gemm") == 0;
    int node = known ? bd_work_only_reader(w, n->out[0]) : -1;
    if (node < 0)
        return -1;
    const struct bd_node *bn = &w->m->node[node];
    if (strcmp(bn->op, "BatchNormalization") != 0 || bn->nin < 5 ||
        bn->in[0] != n->out[0] || bd_node_int(bn, "training_mode", 0))
        return -1;
    for (int i = 1; i < 5; i++)
        if (!bd_work_own(w, bn->in[i], channels))
            return -1;
    return node;
}
