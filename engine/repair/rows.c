/* A layer as a linear map, for adaround: which positions of which images are
 * looked at depends on the seed alone; the float network gives the outputs to
 * reach, the quantized one the inputs the layer will really see. */
#include "repair/repair_priv.h"

#include <stdatomic.h>
#include <string.h>

#define MOST_BYTES ((int64_t)96 << 20) /* of unrolled inputs */

struct window { /* a 2-D convolution's, or 1x1 of a matrix product */
    int64_t kh, kw, sh, sw, dh, dw, pt, pl;
    int64_t cin, h, w, oh, ow;
    bool channels_last; /* a product's rows: [.., k] */
};

struct gather {
    struct bd_rows *r;
    const struct bd_repair_in *in;
    struct window win;
    const float *bias; /* [outputs] or NULL */
    double beta;
    atomic_bool failed;
};

/* ------------------------------------------------------------------ shapes */

static void pair_of(int64_t out[2], const struct bd_node *n, const char *name,
                    int64_t dflt)
{
    const struct bd_attr *a = bd_node_attr(n, name);
    for (int i = 0; i < 2; i++)
        out[i] = a && a->kind == BD_ATTR_INTS && a->n > (size_t)i
                     ? a->ints[i]
                     : dflt;
}

/* Padding before the first pixel; SAME_ follows from the output's size. */
static void pads_of(struct window *w, const struct bd_node *n)
{
    const char *mode = bd_node_str(n, "auto_pad", "NOTSET");
    int64_t pad[2];
    pair_of(pad, n, "pads", 0);
    if (strncmp(mode, "SAME_", 5) == 0) {
        int64_t y = (w->oh - 1) * w->sh + (w->kh - 1) * w->dh + 1 - w->h;
        int64_t x = (w->ow - 1) * w->sw + (w->kw - 1) * w->dw + 1 - w->w;
        int64_t up = strcmp(mode, "SAME_LOWER") == 0;
        pad[0] = y > 0 ? (y + up) / 2 : 0;
        pad[1] = x > 0 ? (x + up) / 2 : 0;
    } else if (strcmp(mode, "VALID") == 0) {
        pad[0] = pad[1] = 0;
    }
    w->pt = pad[0];
    w->pl = pad[1];
}

static void conv_window(struct window *w, const struct bd_node *n,
                        const struct bd_tensor *weight,
                        const struct bd_tensor *x, const struct bd_tensor *y)
{
    int64_t s[2], d[2];
    pair_of(s, n, "strides", 1);
    pair_of(d, n, "dilations", 1);
    *w = (struct window){.kh = weight->dim[2], .kw = weight->dim[3],
                         .sh = s[0], .sw = s[1], .dh = d[0], .dw = d[1],
                         .cin = x->dim[1], .h = x->dim[2], .w = x->dim[3],
                         .oh = y->dim[2], .ow = y->dim[3]};
    pads_of(w, n);
}

/* Positions per image and their shapes, from one planned run. */
static bd_status shape(struct gather *g, int layer, struct bd_err *err)
{
    const struct bd_model *m = g->in->m;
    const struct bd_layer *l = &m->layer[layer];
    const struct bd_node *n = &m->node[l->node];
    const struct bd_tensor *weight = &m->value[l->weight].t;
    struct bd_plan_opts o = {.batch = 1};
    struct bd_plan *plan = NULL;
    bd_status st = bd_plan_new(&plan, m, &o, err);
    if (st != BD_OK)
        return st;
    const struct bd_tensor *x = bd_plan_value(plan, l->input);
    const struct bd_tensor *y = bd_plan_value(plan, n->out[0]);
    struct bd_rows *r = g->r;
    bool conv = strcmp(n->op, "Conv") == 0;
    if (conv && weight->rank == 4 && x->rank == 4) {
        conv_window(&g->win, n, weight, x, y);
        r->per_image = g->win.oh * g->win.ow;
        r->k = weight->dim[1] * g->win.kh * g->win.kw;
        r->outputs = weight->dim[0];
        r->groups = l->group;
    } else if (!conv && weight->rank == 2 && n->in[0] == l->input &&
               strcmp(n->op, "ConvTranspose") != 0 &&
               !bd_node_int(n, "transA", 0)) {
        r->k = weight->dim[l->axis > 0 ? 0 : 1];
        r->outputs = weight->dim[l->axis];
        r->groups = 1;
        r->per_image = r->k > 0 ? bd_tensor_count(x) / r->k : 0;
        g->win.channels_last = true;
    } else {
        st = bd_fail(err, BD_EUNSUPPORTED,
                     "adaround takes 2-D Conv, Gemm and MatMul; this layer "
                     "is a %s of %d dimensions", n->op, weight->rank);
    }
    bd_plan_free(plan);
    return st;
}

static bd_status room(struct gather *g, struct bd_err *err)
{
    struct bd_rows *r = g->r;
    int64_t each = r->groups * r->k * (int64_t)sizeof(float);
    int64_t most = each > 0 ? MOST_BYTES / each / r->images : 0;
    size_t nx, ny;
    if (r->per_image > most)
        r->per_image = most > 1 ? most : 1;
    r->rows = r->per_image * r->images;
    if (r->rows > 0 && bd_mul(&nx, (size_t)r->rows, (size_t)r->k) &&
        bd_mul(&nx, nx, (size_t)r->groups) &&
        bd_mul(&ny, (size_t)r->rows, (size_t)r->outputs)) {
        r->x = bd_alloc(nx, sizeof *r->x);
        r->y = bd_alloc(ny, sizeof *r->y);
    }
    return r->x && r->y ? BD_OK
                        : bd_fail(err, BD_ENOMEM,
                                  "out of memory for the layer's inputs");
}

/* --------------------------------------------------------------- positions */

/* One position out of each equal stretch of the picture, drawn by the seed;
 * all of them when there is room. */
static int64_t position(const struct gather *g, struct bd_rng *rng, int64_t i,
                        int64_t of)
{
    int64_t n = g->r->per_image, from = i * of / n, to = (i + 1) * of / n;
    return n == of ? i
                   : from + (int64_t)bd_rng_below(rng, (uint64_t)(to - from));
}

static void unroll(float *row, const struct window *w, const float *x,
                   int64_t at)
{
    int64_t oy = at / w->ow, ox = at % w->ow;
    for (int64_t i = 0; i < w->kh; i++)
        for (int64_t j = 0; j < w->kw; j++) {
            int64_t y = oy * w->sh - w->pt + i * w->dh;
            int64_t z = ox * w->sw - w->pl + j * w->dw;
            bool in = y >= 0 && y < w->h && z >= 0 && z < w->w;
            row[i * w->kw + j] = in ? x[y * w->w + z] : 0;
        }
}

static void see_inputs(void *arg, int64_t image, int layer,
                       const struct bd_tensor *in,
                       const struct bd_tensor *out)
{
    struct gather *g = arg;
    struct bd_rows *r = g->r;
    size_t n = (size_t)bd_tensor_count(in);
    struct bd_rng rng = bd_rng_fork(g->in->seed, (uint64_t)image);
    int64_t all = g->win.channels_last ? (int64_t)n / r->k
                                       : g->win.oh * g->win.ow;
    float *copy = bd_alloc(n, sizeof *copy);
    int64_t taps = g->win.kh * g->win.kw;
    (void)out;
    if (!copy) {
        atomic_store(&g->failed, true);
        return;
    }
    if (g->in->q[layer].a)
        bd_graph_quantize(copy, in->f,
                          bd_graph_input_slices(g->in->m, layer, in),
                          &g->in->q[layer]);
    else
        memcpy(copy, in->f, n * sizeof *copy);
    for (int64_t i = 0; i < r->per_image; i++) {
        int64_t at = position(g, &rng, i, all), row = image * r->per_image + i;
        if (g->win.channels_last) {
            memcpy(r->x + row * r->k, copy + at * r->k,
                   (size_t)r->k * sizeof *copy);
            continue;
        }
        for (int64_t c = 0; c < g->win.cin; c++) {
            int64_t per = g->win.cin / r->groups, group = c / per;
            unroll(r->x + (group * r->rows + row) * r->k + c % per * taps,
                   &g->win, copy + c * g->win.h * g->win.w, at);
        }
    }
    bd_free(copy);
}

static void see_outputs(void *arg, int64_t image, int layer,
                        const struct bd_tensor *in,
                        const struct bd_tensor *out)
{
    struct gather *g = arg;
    struct bd_rows *r = g->r;
    struct bd_rng rng = bd_rng_fork(g->in->seed, (uint64_t)image);
    int64_t all = bd_tensor_count(out) / r->outputs;
    bool last = g->win.channels_last;
    (void)in;
    (void)layer;
    for (int64_t i = 0; i < r->per_image; i++) {
        int64_t at = position(g, &rng, i, all), row = image * r->per_image + i;
        for (int64_t o = 0; o < r->outputs; o++) {
            float y = out->f[last ? at * r->outputs + o : o * all + at];
            double b = g->bias ? g->beta * (double)g->bias[o] : 0;
            r->y[o * r->rows + row] = (float)((double)y - b);
        }
    }
}

/* ---------------------------------------------------------------- together */

static bd_status gather(struct gather *g, int layer, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    const struct bd_model *ref = g->in->ref ? g->in->ref : g->in->m;
    struct bd_probe *f = NULL, *p = NULL;
    struct bd_probe_pass pass = {.only = layer, .see = see_outputs, .arg = g};
    bd_status st = bd_probe_new(&f, ref, g->in, err);
    if (st == BD_OK)
        st = bd_probe_new(&p, g->in->m, g->in, err);
    if (st == BD_OK)
        st = bd_probe_run(f, &pass, ctl, err);
    pass.q = g->in->q;
    pass.see = see_inputs;
    if (st == BD_OK)
        st = bd_probe_run(p, &pass, ctl, err);
    bd_probe_free(f);
    if (st == BD_OK && atomic_load(&g->failed))
        st = bd_fail(err, BD_ENOMEM, "out of memory");
    bd_probe_free(p);
    return st;
}

bd_status bd_rows_new(struct bd_rows *r, const struct bd_repair_in *in,
                      int layer, struct bd_ctl *ctl, struct bd_err *err)
{
    const struct bd_layer *l = &in->m->layer[layer];
    struct gather g = {.r = r, .in = in, .beta = 1};
    *r = (struct bd_rows){.layer = layer, .images = in->images.images};
    bd_status st = shape(&g, layer, err);
    if (st == BD_OK)
        st = room(&g, err);
    const struct bd_node *n = &in->m->node[l->node];
    int bias = n->nin > 2 ? n->in[2] : -1;
    if (bias >= 0 && in->m->value[bias].t.f &&
        bd_tensor_count(&in->m->value[bias].t) == r->outputs)
        g.bias = in->m->value[bias].t.f;
    else if (st == BD_OK && bias >= 0)
        st = bd_fail(err, BD_EUNSUPPORTED,
                     "the bias of this layer is not one constant per output");
    if (strcmp(n->op, "Gemm") == 0)
        g.beta = (double)bd_node_float(n, "beta", 1);
    if (st == BD_OK)
        st = gather(&g, layer, ctl, err);
    if (st != BD_OK)
        bd_rows_done(r);
    return st;
}

void bd_rows_done(struct bd_rows *r)
{
    bd_free(r->x);
    bd_free(r->y);
    *r = (struct bd_rows){0};
}

double bd_rows_error(const struct bd_rows *r, int64_t output, const float *w)
{
    const float *y = r->y + output * r->rows;
    int64_t group = output / (r->outputs / r->groups);
    const float *x = r->x + group * r->rows * r->k;
    double err2 = 0;
    for (int64_t i = 0; i < r->rows; i++) {
        double d = -(double)y[i];
        for (int64_t k = 0; k < r->k; k++)
            d += (double)w[k] * (double)x[i * r->k + k];
        err2 += d * d;
    }
    return err2 / (double)r->rows;
}
