/* Where a network can be cut.
 *
 * A value cuts when every path from the inputs to the output leads through
 * it.  Node order then puts all of the front end before its producer and all
 * of the back end behind, so the back end is a range of nodes.  The test
 * walks once: whatever depends on the inputs other than through the value is
 * tainted; a tainted output means a way round. */
#include "feature/feature.h"

#include <string.h>

/* Fixed while planning, such as shapes read from the input. */
static bool known(const struct bd_plan *p, int v)
{
    const struct bd_tensor *t = bd_plan_value(p, v);

    return t->f != NULL || t->i != NULL;
}

static bool reads_tainted(const struct bd_node *n, const bool *taint)
{
    for (int k = 0; k < n->nin; k++)
        if (n->in[k] >= 0 && taint[n->in[k]])
            return true;
    return false;
}

/* taint: [nvalues] scratch. */
static bool cuts(const struct bd_split *s, int value, bool *taint)
{
    const struct bd_model *m = s->m;

    memset(taint, 0, m->nvalues * sizeof *taint);
    for (size_t k = 0; k < m->ninputs; k++)
        taint[m->input[k]] = m->input[k] != value;
    for (size_t i = 0; i < m->nnodes; i++) {
        const struct bd_node *n = &m->node[i];
        bool dirty = reads_tainted(n, taint);

        for (int k = 0; dirty && k < n->nout; k++)
            if (n->out[k] >= 0 && n->out[k] != value &&
                !known(s->plan, n->out[k]))
                taint[n->out[k]] = true;
    }
    return !taint[s->output];
}

/* ------------------------------------------------------------ what is meant */
static bool flattens(const char *op)
{
    return strcmp(op, "Flatten") == 0 || strcmp(op, "Reshape") == 0 ||
           strcmp(op, "Squeeze") == 0 || strcmp(op, "Dropout") == 0 ||
           strcmp(op, "Identity") == 0;
}

/* The input of a fully connected layer is a flattened picture: the channels
 * are one step before. */
static int unflattened(const struct bd_split *s, int v)
{
    const struct bd_model *m = s->m;
    int at = v;

    while (at >= 0 && bd_plan_value(s->plan, at)->rank < 3) {
        int p = m->value[at].producer;

        if (p < 0 || !flattens(m->node[p].op))
            return v;
        at = m->node[p].in[0];
    }
    return at >= 0 ? at : v;
}

static int layer_input(const struct bd_split *s, int layer)
{
    int v = s->m->layer[layer].input;

    return v < 0 ? v : unflattened(s, v);
}

/* "conv1" its input, "conv1.out" its output, else any value's name. */
static int meant(const struct bd_split *s, const char *name)
{
    const struct bd_model *m = s->m;
    char stem[160];
    size_t n = strlen(name);
    int k = bd_model_find_layer(m, name);

    if (k >= 0)
        return layer_input(s, k);
    if (n > 4 && n < sizeof stem && strcmp(name + n - 4, ".out") == 0) {
        memcpy(stem, name, n - 4);
        stem[n - 4] = '\0';
        k = bd_model_find_layer(m, stem);
        if (k >= 0 && m->layer[k].node >= 0)
            return m->node[m->layer[k].node].out[0];
    }
    return bd_model_find_value(m, name);
}

/* ------------------------------------------------------------ the sentences */
/* Nearest layer before (step -1) or behind (+1) whose input cuts, or -1. */
static int nearest(const struct bd_split *s, bool *taint, int step)
{
    const struct bd_model *m = s->m;
    int at = m->value[s->value].producer, n = (int)m->nlayers;

    for (int i = 0; i < n; i++) {
        int k = step > 0 ? i : n - 1 - i, v = layer_input(s, k);

        if (v < 0 || m->value[v].producer < 0 || v == s->value ||
            (m->layer[k].node > at) != (step > 0))
            continue;
        if (cuts(s, v, taint))
            return k;
    }
    return -1;
}

static bd_status goes_round(const struct bd_split *s, bool *taint,
                            struct bd_err *err)
{
    const struct bd_model *m = s->m;
    int k[2] = {nearest(s, taint, -1), nearest(s, taint, 1)};
    char name[96], other[2][96];

    bd_text_show(name, sizeof name, s->name, 40);
    for (int i = 0; i < 2; i++)
        bd_text_show(other[i], sizeof other[i],
                     k[i] >= 0 ? m->layer[k[i]].name : "", 40);
    if (k[0] >= 0 && k[1] >= 0)
        return bd_fail(err, BD_EINVALID,
                       "a path leads round '%s'; split at '%s' or '%s'",
                       name, other[0], other[1]);
    if (k[0] >= 0 || k[1] >= 0)
        return bd_fail(err, BD_EINVALID,
                       "a path leads round '%s'; split at '%s'", name,
                       other[k[0] < 0]);
    return bd_fail(err, BD_EINVALID,
                   "a path leads round '%s', and round every other layer",
                   name);
}

static bd_status unknown(const struct bd_split *s, struct bd_err *err)
{
    const struct bd_model *m = s->m;
    char shown[96], other[96];
    const char **names = bd_calloc(m->nlayers + 1, sizeof *names);
    const char *near;

    if (!names)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->nlayers; i++)
        names[i] = m->layer[i].name;
    near = bd_nearest(s->name, names);
    if (!near && m->nlayers > 1)
        near = m->layer[1].name;
    bd_free(names);
    bd_text_show(shown, sizeof shown, s->name, 40);
    return bd_fail(err, BD_EINVALID,
                   "'%s' is no layer and no value of the network; a split is "
                   "named as '%s' (its input) or '%s.out'",
                   shown, bd_text_show(other, sizeof other, near ? near : "",
                                       40), other);
}

/* ---------------------------------------------------------------- the split */
/* Logits when the network ends in Softmax. */
static int compared(const struct bd_model *m)
{
    int v = m->output[0], p = m->value[v].producer;
    bool soft = p >= 0 && (strcmp(m->node[p].op, "Softmax") == 0 ||
                           strcmp(m->node[p].op, "LogSoftmax") == 0);

    return soft ? m->node[p].in[0] : v;
}

static bd_status measure(struct bd_split *s, struct bd_err *err)
{
    const struct bd_tensor *t = bd_plan_value(s->plan, s->value);
    char name[96], shape[96];

    bd_text_show(name, sizeof name, s->name, 40);
    if (t->rank < 2 || t->dim[0] != 1 || !bd_dtype_is_real(t->type) ||
        t->dim[1] < 1 || bd_tensor_count(t) < 1)
        return bd_fail(err, BD_EINVALID,
                       "'%s' is %s; a feature [1,channels,...] is needed",
                       name, bd_shape_text(shape, sizeof shape, t));
    s->channels = t->dim[1];
    s->size = bd_tensor_count(t) / s->channels;
    if (s->channels > BD_FEATURE_CHANNELS)
        return bd_fail(err, BD_EINVALID,
                       "'%s' has %lld channels, at most %d are possible",
                       name, (long long)s->channels, BD_FEATURE_CHANNELS);
    return BD_OK;
}

/* Nodes behind the value up to the output, and what they cost. */
static void range(struct bd_split *s)
{
    const struct bd_model *m = s->m;

    s->from = (size_t)(m->value[s->value].producer + 1);
    s->to = (size_t)(m->value[s->output].producer + 1);
    for (size_t i = s->from; i < s->to; i++)
        s->macs += bd_plan_macs(s->plan, (int)i);
    for (size_t k = 0; k < m->nlayers; k++)
        if (m->layer[k].node >= (int)s->from)
            s->params += bd_tensor_count(&m->value[m->layer[k].weight].t);
}

bd_status bd_split_find(struct bd_split *out, const struct bd_model *m,
                        const struct bd_plan *plan, const char *name,
                        struct bd_err *err)
{
    struct bd_split s = {.plan = plan, .m = m};
    bool *taint;
    bd_status st;

    if (!plan || m->noutputs < 1 || m->ninputs < 1)
        return bd_fail(err, BD_EUNSUPPORTED,
                       "it has no graph to split; --arch names one");
    strncpy(s.name, name, sizeof s.name - 1);
    s.output = compared(m);
    s.value = meant(&s, name);
    if (s.value < 0 || known(plan, s.value))
        return unknown(&s, err);
    taint = bd_calloc(m->nvalues + 1, sizeof *taint);
    if (!taint)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    st = cuts(&s, s.value, taint) ? measure(&s, err)
                                  : goes_round(&s, taint, err);
    bd_free(taint);
    if (st != BD_OK)
        return st;
    range(&s);
    if (s.from >= s.to)
        return bd_fail(err, BD_EINVALID,
                       "nothing of the network is behind its output");
    *out = s;
    return BD_OK;
}
