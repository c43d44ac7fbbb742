/* op_pad: Pad.  Every output coordinate has one source coordinate per axis,
 * or none (the constant); the map is made once per axis while planning. */
#include "graph/graph_priv.h"

#include <string.h>

struct pad {
    double value;
    int64_t *from[BD_MAX_RANK]; /* [out dim] source coordinate, -1 = constant */
};

enum mode { CONSTANT, EDGE, REFLECT, WRAP };

/* The source of coordinate at (may lie outside) in an axis of n. */
static int64_t source(int64_t at, int64_t n, enum mode mode)
{
    if (at >= 0 && at < n)
        return at;
    switch (mode) {
    case CONSTANT:
        break;
    case EDGE:
        return n > 0 ? (at < 0 ? 0 : n - 1) : -1;
    case WRAP:
        return n > 0 ? (at % n + n) % n : -1;
    case REFLECT: {
        if (n < 2) /* nothing to mirror but itself */
            return n - 1;
        int64_t period = 2 * (n - 1), k = (at % period + period) % period;
        return k < n ? k : period - k;
    }
    }
    return -1;
}

static bd_status map_axis(struct bd_octx *c, struct pad *p, int axis,
                          const int64_t ends[2])
{
    static const char *const names[] = {"constant", "edge", "reflect", "wrap"};
    const char *word = bd_node_str(c->node, "mode", "constant");
    int64_t n = c->in[0]->dim[axis];
    int mode = 0;
    while (mode < 4 && strcmp(word, names[mode]))
        mode++;
    if (mode == 4)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "unknown mode");
    for (int k = 0; k < 2; k++)
        if (ends[k] < -n || ends[k] > (int64_t)1 << 24)
            return BD_BAD(c, "pads %lld", (long long)ends[k]);
    int64_t total = n + ends[0] + ends[1];
    if (total < 0)
        return BD_BAD(c, "it cuts away more than there is");
    p->from[axis] =
        bd_arena_alloc(c->arena, (size_t)total + 1, sizeof **p->from);
    if (!p->from[axis])
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    for (int64_t k = 0; k < total; k++)
        p->from[axis][k] = source(k - ends[0], n, (enum mode)mode);
    c->out[0]->dim[axis] = total;
    return BD_OK;
}

static bd_status map_all(struct bd_octx *c, struct pad *p, const int64_t *pads,
                         const int64_t *axes, int n)
{
    const struct bd_tensor *x = c->in[0];
    int64_t ends[BD_MAX_RANK][2] = {{0}};
    bd_status s = BD_OK;
    for (int k = 0; k < n; k++) {
        int64_t a = axes ? axes[k] : k;
        a = a < 0 ? a + x->rank : a;
        ends[a][0] = pads[k];
        ends[a][1] = pads[n + k];
    }
    *c->out[0] = *x;
    c->out[0]->f = NULL;
    c->out[0]->i = NULL;
    for (int a = 0; s == BD_OK && a < x->rank; a++)
        s = map_axis(c, p, a, ends[a]);
    if (s != BD_OK)
        return s;
    return bd_graph_out(c, 0, x->type, c->out[0]->dim, x->rank);
}

static bd_status shape_pad(struct bd_octx *c)
{
    const int64_t *pads, *axes;
    size_t n, na;
    bool mask[BD_MAX_RANK];
    struct pad *p = bd_graph_param(c, sizeof *p);
    bd_status s = bd_graph_need(c, 1);
    if (!p)
        return BD_ENOMEM;
    if (s == BD_OK)
        s = bd_graph_ints(c, "pads", 1, &pads, &n);
    if (s == BD_OK)
        s = bd_graph_scalar(c, 2, (double)bd_node_float(c->node, "value", 0),
                            &p->value);
    if (s == BD_OK)
        s = bd_graph_ints(c, NULL, 3, &axes, &na);
    if (s == BD_OK)
        s = bd_graph_axes(c, axes, na, c->in[0]->rank, mask);
    if (s != BD_OK)
        return s;
    if (n != 2 * (axes ? na : (size_t)c->in[0]->rank))
        return BD_BAD(c, "%zu pads for %d dimensions", n, c->in[0]->rank);
    return map_all(c, p, pads, axes, (int)(n / 2));
}

/* Offset into the input of output coordinates at[], -1 outside. */
static int64_t offset(const struct pad *p, const struct bd_tensor *x,
                      const int64_t *at)
{
    int64_t pos = 0;
    for (int a = 0; a < x->rank; a++) {
        int64_t k = p->from[a][at[a]];
        if (k < 0)
            return -1;
        pos = pos * x->dim[a] + k;
    }
    return pos;
}

static bd_status run_pad(struct bd_octx *c)
{
    const struct pad *p = c->param;
    const struct bd_tensor *x = c->in[0];
    struct bd_tensor *y = c->out[0];
    int64_t at[BD_MAX_RANK] = {0}, n = bd_tensor_count(y);
    for (int64_t k = 0; k < n; k++) {
        int64_t from = offset(p, x, at);
        if (y->f)
            y->f[k] = from < 0 ? (float)p->value : x->f[from];
        else
            y->i[k] = from < 0 ? (int64_t)p->value : x->i[from];
        for (int a = y->rank - 1; a >= 0 && ++at[a] == y->dim[a]; a--)
            at[a] = 0;
    }
    return BD_OK;
}

const struct bd_op bd_graph_ops_pad[] = {
    {"Pad", shape_pad, run_pad, NULL, 0, NULL},
    {0},
};
