/* window: the sliding windows of convolution and pooling.  One place reads
 * strides, dilations, pads and auto_pad and works out the extents. */
#include "graph/graph_priv.h"

#include <string.h>

bd_status bd_graph_list(const struct bd_octx *c, const char *name,
                        int64_t *dst, int n, int64_t least)
{
    const int64_t *v;
    size_t have;
    bd_status s = bd_graph_ints(c, name, -1, &v, &have);
    if (s != BD_OK || !v)
        return s;
    if (have != (size_t)n)
        return BD_BAD(c, "%s has %zu entries, not %d", name, have, n);
    for (int a = 0; a < n; a++) {
        if (v[a] < least || v[a] > BD_WINDOW_MOST)
            return BD_BAD(c, "%s %lld is out of range", name, (long long)v[a]);
        dst[a] = v[a];
    }
    return BD_OK;
}

/* SAME_*: as many outputs as strides fit, the odd pixel of padding at the
 * end (UPPER) or the beginning (LOWER). */
static void pad_same(struct bd_window *w, int a, bool lower)
{
    int64_t out = (w->in[a] + w->s[a] - 1) / w->s[a];
    int64_t total =
        (out - 1) * w->s[a] + (w->k[a] - 1) * w->d[a] + 1 - w->in[a];
    if (total < 0)
        total = 0;
    w->lo[a] = lower ? (total + 1) / 2 : total / 2;
    w->hi[a] = total - w->lo[a];
}

static bd_status extents(const struct bd_octx *c, struct bd_window *w)
{
    const char *mode = bd_node_str(c->node, "auto_pad", "NOTSET");
    for (int a = 0; a < w->nd; a++) {
        if (!strncmp(mode, "SAME_", 5))
            pad_same(w, a, !strcmp(mode, "SAME_LOWER"));
        else if (!strcmp(mode, "VALID"))
            w->lo[a] = w->hi[a] = 0;
        int64_t span = (w->k[a] - 1) * w->d[a] + 1;
        int64_t room = w->in[a] + w->lo[a] + w->hi[a] - span;
        if (room < 0)
            return BD_BAD(c, "a window of %lld does not fit in %lld",
                          (long long)span,
                          (long long)(w->in[a] + w->lo[a] + w->hi[a]));
        w->out[a] = room / w->s[a] + 1;
        if (!w->ceil || room % w->s[a] == 0)
            continue;
        /* Rounded up, but a window may not begin in the end padding. */
        if (w->out[a] * w->s[a] < w->in[a] + w->lo[a])
            w->out[a]++;
    }
    return BD_OK;
}

bd_status bd_graph_window(const struct bd_octx *c, struct bd_window *w,
                          const struct bd_tensor *x, const int64_t *kernel)
{
    memset(w, 0, sizeof *w);
    w->nd = x->rank - 2;
    if (w->nd < 1 || w->nd > 3)
        return bd_graph_fail(c, BD_EUNSUPPORTED,
                             "an input of %d dimensions; "
                             "1 to 3 spatial ones are supported",
                             x->rank);
    int64_t pads[6] = {0};
    for (int a = 0; a < w->nd; a++) {
        w->in[a] = x->dim[2 + a];
        w->s[a] = w->d[a] = 1;
        w->k[a] = kernel ? kernel[a] : 0;
    }
    w->ceil = bd_node_int(c->node, "ceil_mode", 0) != 0;
    bd_status s = bd_graph_list(c, "kernel_shape", w->k, w->nd, 1);
    if (s == BD_OK)
        s = bd_graph_list(c, "strides", w->s, w->nd, 1);
    if (s == BD_OK)
        s = bd_graph_list(c, "dilations", w->d, w->nd, 1);
    if (s == BD_OK)
        s = bd_graph_list(c, "pads", pads, 2 * w->nd, 0);
    if (s != BD_OK)
        return s;
    for (int a = 0; a < w->nd; a++) {
        if (w->k[a] < 1 || w->k[a] > BD_WINDOW_MOST)
            return BD_BAD(c, "its kernel_shape is missing or empty");
        if (kernel && kernel[a] != w->k[a])
            return BD_BAD(c, "kernel_shape disagrees with its weights");
        w->lo[a] = pads[a];
        w->hi[a] = pads[w->nd + a];
    }
    return extents(c, w);
}
