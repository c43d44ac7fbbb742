/* Convolution of one image without im2col.
 *
 * The picture is copied once into a zero-padded plane of width wp per
 * channel.  Output pixel (oy, ox) is numbered p = oy * wp + ox; then the
 * input under tap (ky, kx) lies at p plus a constant, for every p.  So the
 * whole convolution is a matrix product w[cout, k] * X[k, p] where row k of X
 * is the plane shifted by off[k]: nothing is copied kh*kw times, and a tile
 * runs across row ends.  The price is wp - ow columns of waste per row.
 *
 * A stride splits the plane into sh * sw phases (rows 0, 2, 4... and rows
 * 1, 3, 5... for stride 2); inside a phase neighbours are again neighbours
 * and the same rule holds.  Groups, depthwise included, are a loop. */
#include "kernel_priv.h"

#include <string.h>

enum {
    STRIP = 12,        /* vectors per strip, a multiple of every tile */
    LINE = 16,         /* floats per cache line */
    CHUNK = 256 * 1024 /* floats of input worth keeping in the cache */
};

struct plane {
    int64_t nph, npw, hp, wp; /* phases, rows and width of one phase */
    int64_t cin, cout, k;     /* of one group */
    int64_t pixels;           /* first to last output, waste included */
};

static struct plane plane_of(const struct bd_conv *c)
{
    struct plane p = {.nph = c->kh > 1 ? c->sh : 1,
                      .npw = c->kw > 1 ? c->sw : 1,
                      .hp = c->oh + (c->kh - 1) * c->dh / c->sh,
                      .wp = c->ow + (c->kw - 1) * c->dw / c->sw,
                      .cin = c->cin / c->group,
                      .cout = c->cout / c->group};
    p.k = p.cin * c->kh * c->kw;
    p.pixels = (c->oh - 1) * p.wp + c->ow;
    return p;
}

static size_t round_up(size_t n)
{
    return bd_kernel_add(n, LINE - 1) / LINE * LINE;
}

/* Tiles read up to a strip beyond the last pixel. */
static size_t plane_floats(const struct bd_tile *t, const struct plane *p)
{
    size_t n = bd_kernel_mul((size_t)p->cin, p->nph * p->npw);
    n = bd_kernel_mul(bd_kernel_mul(n, p->hp), p->wp);
    return round_up(bd_kernel_add(n, (size_t)(STRIP * t->lanes)));
}

static size_t offset_floats(const struct plane *p)
{
    return round_up(bd_kernel_mul(sizeof(int64_t) / sizeof(float), p->k));
}

size_t bd_kernel_conv_scratch(const struct bd_tile *t, const struct bd_conv *c)
{
    struct plane p = plane_of(c);
    size_t n = bd_kernel_add(plane_floats(t, &p), offset_floats(&p));
    return bd_kernel_add(n, (size_t)(STRIP * t->lanes * t->rows));
}

/* Columns [lead, end) of a phase row lie over the picture, the first of them
 * over column `from`. */
struct reach {
    int64_t lead, end, from;
};

static struct reach reach_of(int64_t px, int64_t wp, const struct bd_conv *c)
{
    const int64_t first = px - c->pl; /* column under the row's start */
    struct reach r = {.lead = first < 0 ? (c->sw - 1 - first) / c->sw : 0,
                      .end = c->w > first ? (c->w - first + c->sw - 1) / c->sw
                                          : 0};
    r.end = r.end > wp ? wp : r.end;
    r.lead = r.lead > r.end ? r.end : r.lead;
    r.from = first + r.lead * c->sw;
    return r;
}

static float *fill_phase(float *dst, const float *x, int64_t phase,
                         const struct bd_conv *c, const struct plane *p)
{
    const struct reach k = reach_of(phase % p->npw, p->wp, c);
    for (int64_t r = 0; r < p->hp; r++, dst += p->wp) {
        int64_t iy = r * c->sh + phase / p->npw - c->pt;
        if (iy < 0 || iy >= c->h)
            continue;
        const float *src = x + iy * c->w + k.from;
        if (c->sw == 1)
            for (int64_t i = k.lead; i < k.end; i++)
                dst[i] = src[i - k.lead];
        else
            for (int64_t i = k.lead; i < k.end; i++)
                dst[i] = src[(i - k.lead) * c->sw];
    }
    return dst;
}

/* The borders are zero already and stay so from group to group. */
static void fill_planes(float *dst, const float *x, const struct bd_conv *c,
                        const struct plane *p)
{
    for (int64_t ci = 0; ci < p->cin; ci++)
        for (int64_t f = 0; f < p->nph * p->npw; f++)
            dst = fill_phase(dst, x + ci * c->h * c->w, f, c, p);
}

/* The taps of the first channel, then the same one channel further on. */
static void fill_offsets(int64_t *off, const struct bd_conv *c,
                         const struct plane *p)
{
    const int64_t taps = c->kh * c->kw;
    const int64_t channel = p->nph * p->npw * p->hp * p->wp;
    for (int64_t t = 0; t < taps; t++) {
        int64_t y = t / c->kw * c->dh, x = t % c->kw * c->dw;
        int64_t phase = y % c->sh * p->npw + x % c->sw;
        off[t] = (phase * p->hp + y / c->sh) * p->wp + x / c->sw;
    }
    for (int64_t k = taps; k < p->k; k++)
        off[k] = off[k - taps] + channel;
}

struct work {
    const struct bd_tile *t;
    const struct bd_conv *c;
    const struct plane *p;
    struct bd_tile_job job;
    float *y; /* of the group */
    const float *w, *b;
    const float *planes;
    bool direct; /* output pixels are laid out as the tile leaves them */
};

/* Copies the real pixels of row r of a strip at [first, first + n) into
 * channel co, skipping the wp - ow columns between rows. */
static void keep(const struct work *k, int64_t co, int64_t r, int64_t first,
                 int64_t n)
{
    const int64_t wp = k->p->wp, ow = k->c->ow;
    const float *strip = k->job.out + r * k->job.ldo;
    const float bias = k->b ? k->b[co + r] : 0.0f;
    float *y = k->y + (co + r) * k->c->oh * ow;
    int64_t oy = first / wp, ox = first % wp;
    for (int64_t i = 0; i < n;) {
        int64_t run = ox < ow ? ow - ox : 0;
        run = run > n - i ? n - i : run;
        float *dst = y + oy * ow + ox;
        for (int64_t e = 0; e < run; e++)
            dst[e] = strip[i + e] + bias;
        i += run + wp - (ox > ow ? ox : ow);
        ox = 0;
        oy++;
    }
}

/* Without waste and with whole vectors the tile writes in place. */
static void add_bias(const struct work *k, int64_t co, int64_t first, int64_t n)
{
    const struct bd_tile_job *j = &k->job;
    for (int64_t r = 0; k->b && r < j->rows; r++) {
        float *y = k->y + (co + r) * j->ldo + first;
        for (int64_t e = 0; e < n; e++)
            y[e] += k->b[co + r];
    }
}

static int rows_at_once(const struct bd_tile *t, int64_t left)
{
    int rows = t->rows;
    while (rows > left)
        rows /= 2;
    return rows;
}

/* Rows [co, co + rows) of one group over pixels [first, end). */
static void rows_over(struct work *k, int64_t co, int64_t first, int64_t end)
{
    struct bd_tile_job *j = &k->job;
    const int64_t lanes = k->t->lanes, wide = STRIP * lanes;
    j->w = k->w + co * k->p->k;
    for (int64_t at = first; at < end; at += wide) {
        int64_t n = end - at < wide ? end - at : wide;
        j->vecs = (int)((n + lanes - 1) / lanes);
        j->x = k->planes + at;
        if (k->direct)
            j->out = k->y + co * j->ldo + at;
        k->t->run(j);
        if (k->direct)
            add_bias(k, co, at, n);
        for (int64_t r = 0; !k->direct && r < j->rows; r++)
            keep(k, co, r, at, n);
    }
}

/* Pixels are cut so that a chunk's input stays in the cache while all rows
 * of weights pass over it. */
static void group_run(struct work *k)
{
    const int64_t wide = STRIP * k->t->lanes;
    int64_t chunk = CHUNK / (k->p->cin * wide) * wide;
    chunk = chunk < wide ? wide : chunk;
    for (int64_t at = 0; at < k->p->pixels; at += chunk) {
        int64_t end = at + chunk < k->p->pixels ? at + chunk : k->p->pixels;
        for (int64_t co = 0; co < k->p->cout; co += k->job.rows) {
            k->job.rows = rows_at_once(k->t, k->p->cout - co);
            rows_over(k, co, at, end);
        }
    }
}

/* A pointwise layer reads the picture itself, if no tile reads past it. */
static bool in_place(const struct bd_conv *c, const struct plane *p)
{
    return c->kh * c->kw == 1 && c->sh == 1 && c->sw == 1 && c->pt == 0 &&
           c->pl == 0 && p->wp == c->w && p->hp == c->h;
}

static void groups(struct work *k, struct bd_conv_io io)
{
    const struct bd_conv *c = k->c;
    const struct plane *p = k->p;
    const bool whole = p->pixels % k->t->lanes == 0;
    const bool bare = whole && in_place(c, p);
    k->direct = whole && p->wp == c->ow;
    k->job.ldo = k->direct ? c->oh * c->ow : STRIP * k->t->lanes;
    if (!bare)
        memset(io.scratch, 0, plane_floats(k->t, p) * sizeof *io.scratch);
    for (int64_t g = 0; g < c->group; g++) {
        const float *x = io.x + g * p->cin * c->h * c->w;
        k->planes = bare ? x : io.scratch;
        if (!bare)
            fill_planes(io.scratch, x, c, p);
        k->y = io.y + g * p->cout * c->oh * c->ow;
        k->w = io.w + g * p->cout * p->k;
        k->b = io.b ? io.b + g * p->cout : NULL;
        group_run(k);
    }
}

void bd_kernel_conv(const struct bd_tile *t, const struct bd_conv *c,
                    struct bd_conv_io io)
{
    struct plane p = plane_of(c);
    if (c->oh < 1 || c->ow < 1)
        return;
    float *strip = io.scratch + plane_floats(t, &p);
    int64_t *off = (int64_t *)(void *)strip;
    strip += offset_floats(&p);
    fill_offsets(off, c, &p);
    struct work k = {.t = t,
                     .c = c,
                     .p = &p,
                     .job = {.out = strip, .ldw = p.k, .off = off, .k = p.k}};
    groups(&k, io);
}
