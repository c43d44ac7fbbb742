/* Quantizing a layer's input: with one grid, or with one per channel.
 *
 * Channels of small pictures, and those of matrix products, lie in pieces of
 * a few values.  Such pieces of many images are brought together first, so
 * that a quantizer prepares itself once for thousands of values and its own
 * loop stays free of questions. */
#include "graph/graph_priv.h"

#include <string.h>

enum {
    LONG = 1024, /* values in a row worth a call of their own */
    ROOM = 4096  /* values brought together; 16 KB of stack */
};

struct bd_slices bd_graph_input_slices(const struct bd_model *m, int layer,
                                       const struct bd_tensor *x)
{
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_node *n = l->node >= 0 ? &m->node[l->node] : NULL;
    int axis = x->rank - 1;
    const char *op = n ? n->op : "";
    if (strcmp(op, "Conv") == 0 || strcmp(op, "ConvTranspose") == 0)
        axis = 1;
    else if (strcmp(op, "Gemm") == 0 && bd_node_int(n, "transA", 0))
        axis = 0;
    else if (strcmp(op, "MatMul") == 0 && n->in[0] == l->weight)
        axis = x->rank - 2; /* the weight stands to the left */
    return bd_slices_of(x, axis < 0 ? 0 : axis);
}

/* Widths 0 and 32 are not quantizers: nothing is sent, or everything. */
static void apply(float *y, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    if (p->bits == 0)
        memset(y, 0, n * sizeof *y);
    else if (p->bits == 32)
        memmove(y, x, n * sizeof *y);
    else
        p->q->apply(y, x, n, p);
}

/* The pieces of channel c in images o .. o + n, by way of a buffer. */
static void apply_pieces(float *y, const float *x, struct bd_slices s,
                         const int64_t at[3], const struct bd_qparam *p)
{
    float v[ROOM];
    int64_t o = at[0], n = at[1], c = at[2];
    struct bd_slices part = {n, s.channels, s.inner};
    int64_t skip = o * s.channels * s.inner;
    bd_slice_get(v, x + skip, part, c);
    apply(v, v, (size_t)(n * s.inner), p);
    bd_slice_put(y + skip, v, part, c);
}

void bd_graph_quantize(float *y, const float *x, struct bd_slices s,
                       const struct bd_qlayer *q)
{
    size_t all = (size_t)(s.outer * s.channels * s.inner);
    if (q->na <= 1 || q->na != s.channels) {
        apply(y, x, all, q->a);
        return;
    }
    int64_t step = s.inner >= LONG ? 1 : ROOM / (s.inner > 0 ? s.inner : 1);
    for (int64_t o = 0; o < s.outer; o += step) {
        int64_t n = s.outer - o < step ? s.outer - o : step;
        for (int64_t c = 0; c < s.channels; c++) {
            int64_t first = (o * s.channels + c) * s.inner;
            if (n == 1)
                apply(y + first, x + first, (size_t)s.inner, &q->a[c]);
            else
                apply_pieces(y, x, s, (int64_t[]){o, n, c}, &q->a[c]);
        }
    }
}
