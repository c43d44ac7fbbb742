/* Clip rule `kl`: the clip under which the quantized values tell least from
 * the true ones (S. Migacz, "8-bit inference with TensorRT", GTC 2017).
 *
 * Bins     2048 equal ones from the centre to the farthest value; on signed
 *          grids as many again on the other side.
 * P        the counts inside the clip, with all values beyond it in the
 *          outermost bin: what clipping makes of the data.
 * Q        the counts inside the clip, those of each cell of the grid spread
 *          evenly over the bins of the cell that P does not leave empty: what
 *          is known of a value once only its level is.  The cells are those
 *          of the method's own grid, so the rule serves every method, where
 *          the original had equal ones.
 * Smoothing  a cell of Q without any count gets 1e-4 of one.
 * Zero     every grid holds it, and after a ReLU (or pruning) it would drown
 *          everything else: its bin counts no more than its neighbours.
 * Candidates  every 16th bin, from where a grid has a bin per level.  When
 *          the smallest of them wins, an outlier has stretched the bins: the
 *          search is repeated within it.
 *
 * P and Q are constant within a cell up to P log P, so prefix sums give the
 * divergence of a candidate in time proportional to its levels.  Beyond 512
 * levels there is nothing to gain and the clip is the largest value. */
#include "kl_priv.h"

enum {
    BINS = BD_KL_BINS,
    STRIDE = 16,
    MOST_LEVELS = 512,
    ZOOMS = 40
};

static const double tie = 1e-9; /* nats; the smaller clip wins */

/* Prefix sums over the bins b < k: counts, bins in use, sum of h log h. */
struct sums {
    double lo, w; /* bin b is [lo + b w, lo + (b + 1) w) */
    int n, mid;   /* bins; the one at the centre */
    const int64_t *h;
    double c[2 * BINS + 1], used[2 * BINS + 1], log[2 * BINS + 1];
    double below, above; /* values beyond the bins */
    int least;           /* bins of the smallest candidate */
};

static double xlogx(double v)
{
    return v > 0 ? v * log(v) : 0;
}

static void add_up(struct sums *s)
{
    s->c[0] = s->used[0] = s->log[0] = 0;
    for (int b = 0; b < s->n; b++) {
        double v = (double)s->h[b];

        s->c[b + 1] = s->c[b] + v;
        s->used[b + 1] = s->used[b] + (v > 0 ? 1 : 0);
        s->log[b + 1] = s->log[b] + xlogx(v);
    }
}

void bd_kl_tame_zero(int64_t *h, int n, double lo, double w)
{
    double at = (0 - lo) / w;
    int z = at >= 0 && at < n ? (int)at : -1;
    int64_t a, b;

    if (z < 0 || n < 2)
        return;
    a = z > 0 ? h[z - 1] : h[1];
    b = z + 1 < n ? h[z + 1] : h[z - 1];
    if (h[z] > (a + b) / 2)
        h[z] = (a + b) / 2;
}

/* ------------------------------------------------------- one candidate */
struct inside { /* bins [from, to), and what lies beyond them */
    int from, to;
    double below, above;
};

/* P in the bins [a, b): the outermost ones hold what is clipped. */
struct part {
    double p, q, used, log;
};

static struct part part_of(const struct sums *s, const struct inside *in,
                           int a, int b)
{
    struct part t = {.q = s->c[b] - s->c[a],
                     .used = s->used[b] - s->used[a],
                     .log = s->log[b] - s->log[a]};
    double at;

    t.p = t.q;
    if (a == in->from && in->below > 0) {
        at = (double)s->h[a];
        t.p += in->below;
        t.used += at > 0 ? 0 : 1;
        t.log += xlogx(at + in->below) - xlogx(at);
    }
    if (b == in->to && in->above > 0) {
        at = (double)s->h[b - 1] +
             (a == in->from && b - 1 == a ? in->below : 0);
        t.p += in->above;
        t.used += at > 0 ? 0 : 1;
        t.log += xlogx(at + in->above) - xlogx(at);
    }
    return t;
}

/* The bin after the last one whose middle a cut leaves to the lower level. */
static int edge_of(const struct sums *s, const struct inside *in, double cut)
{
    double at = floor((cut - s->lo) / s->w - 0.5) + 1;

    return (int)fmin(fmax(at, in->from), in->to);
}

static double divergence(const struct sums *s, const struct inside *in,
                         const double *cuts, size_t nlev)
{
    double kept = s->c[in->to] - s->c[in->from];
    double n = kept + in->below + in->above, sum = 0;
    int a = in->from;

    if (!(kept > 0))
        return INFINITY;
    for (size_t k = 0; k < nlev; k++) {
        int b = k + 1 < nlev ? edge_of(s, in, cuts[k]) : in->to;
        struct part t;

        if (b <= a)
            continue;
        t = part_of(s, in, a, b);
        a = b;
        if (t.p > 0)
            sum += t.log - t.p * log((t.q > 0 ? t.q : 1e-4) / t.used);
    }
    return sum / n - log(n) + log(kept);
}

/* ------------------------------------------------------------ the search */
static struct inside inside_of(const struct sums *s, int bins)
{
    struct inside in = {s->mid > 0 ? s->mid - bins : 0, s->mid + bins, 0, 0};

    in.below = s->below + s->c[in.from];
    in.above = s->above + s->c[s->n] - s->c[in.to];
    if (s->mid == 0)
        in.below = 0; /* an unsigned grid sends these to 0 in any case */
    return in;
}

/* Counts within reach of the centre, and beyond. */
static void count(struct sums *s, int64_t *h, const struct bd_qparam *p,
                  const struct bd_calib_fit *f)
{
    double reach = p->clip * (p->sigma > 0 ? p->sigma : 1);
    double hi = p->mu + reach, top = f->m.max + s->w, all = 0;
    int64_t more[1] = {0};

    s->mid = p->is_signed ? BINS : 0;
    s->n = BINS + s->mid;
    s->lo = p->is_signed ? p->mu - reach : 0;
    s->w = (hi - s->lo) / s->n;
    f->src.histogram(f->src.data, s->lo, hi, h, s->n);
    top = fmax(f->m.max, hi) + s->w;
    if (top > hi)
        f->src.histogram(f->src.data, hi, top, more, 1);
    for (int b = 0; b < s->n; b++)
        all += (double)h[b];
    s->above = (double)more[0];
    s->below = fmax(0, (double)f->m.n - all - s->above);
    bd_kl_tame_zero(h, s->n, s->lo, s->w);
    s->h = h;
    add_up(s);
}

/* Walks the candidates of the present reach from the largest down; *at gets
 * the bins of the best one, and p->clip its clip. */
static bd_status walk(int *at, struct bd_qparam *p, struct bd_calib_fit *f,
                      const struct sums *s, struct bd_err *err)
{
    double reach = p->clip, best = INFINITY;

    *at = BINS;
    for (int i = BINS; i >= s->least; i -= STRIDE) {
        struct inside in = inside_of(s, i);
        double d;
        size_t n;
        bd_status st;

        if (f->ctl && bd_ctl_stale(f->ctl))
            return BD_ECANCELLED;
        p->clip = reach * i / BINS;
        st = bd_calib_grid(&n, f, p, err);
        if (st != BD_OK)
            return st;
        d = divergence(s, &in, f->cuts, n);
        if (d <= best + tie) {
            best = fmin(d, best);
            *at = i;
        }
    }
    p->clip = reach * *at / BINS;
    return BD_OK;
}

/* A bin per level of one side, and not below a 32nd of the reach. */
static int smallest(size_t nlev, bool is_signed)
{
    int side = (int)(is_signed ? (nlev + 1) / 2 : nlev);
    int bins = (side + STRIDE - 1) / STRIDE * STRIDE;

    return bins < 4 * STRIDE ? 4 * STRIDE : bins;
}

bd_status bd_calib_kl(struct bd_qparam *p, struct bd_calib_fit *f,
                      struct bd_err *err)
{
    size_t nlev;
    bd_status st = bd_calib_grid(&nlev, f, p, err);
    int64_t *h;
    struct sums *s;
    int at = 0;

    if (st != BD_OK || nlev > MOST_LEVELS || !f->src.histogram)
        return st;
    h = bd_alloc(2 * BINS, sizeof(*h));
    s = bd_calloc(1, sizeof(*s));
    if (!h || !s)
        st = bd_fail(err, BD_ENOMEM, "no memory for a histogram");
    else
        s->least = smallest(nlev, p->is_signed);
    for (int k = 0; st == BD_OK && k < ZOOMS; k++) {
        count(s, h, p, f);
        st = walk(&at, p, f, s, err);
        if (at > s->least)
            break;
    }
    bd_free(h);
    bd_free(s);
    return st;
}
