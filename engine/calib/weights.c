/* Fitting weights: one parameter set per tensor, channel or group.
 *
 * Every set is fitted through an index of its values, made for it unless the
 * caller already has that of the whole tensor: searching a hundred clips on
 * an index costs less than one pass over the values per clip.  Moments come
 * from the same function on both ways, so having an index or not changes no
 * bit of the result. */
#include "calib_priv.h"

static double index_error(const void *data, const double *levels,
                          const double *cuts, size_t nlev)
{
    return bd_index_error(data, levels, cuts, nlev, NULL);
}

static double index_quantile(const void *data, double center, double q)
{
    return bd_index_quantile_about(data, center, q);
}

static double index_beyond(const void *data, double lo, double hi)
{
    return bd_index_beyond(data, lo, hi);
}

/* Without the value at the end itself, as rules expect of a last bin. */
static void index_histogram(const void *data, double lo, double hi,
                            int64_t *bins, int nbins)
{
    bd_index_histogram(data, lo, nextafter(hi, -INFINITY), bins, nbins);
}

/* Sum of |x - center|, from the sums on its two sides. */
static double index_absdev(const void *data, double center)
{
    struct bd_quant_cell c[2];
    double n = (double)bd_index_count(data);

    if (!(n > 0) || !bd_index_cells(c, data, &center, 1))
        return 0;
    return (c[1].s1 - c[1].n * center - (c[0].s1 - c[0].n * center)) / n;
}

void bd_qset_done(struct bd_qset *s)
{
    bd_free(s->p);
    bd_free(s->books);
    *s = (struct bd_qset){0};
}

/* --------------------------------------------------------------- sizes */
/* Groups run over a channel's values in their stored order; the last one may be
 * shorter. */
static int64_t groups_of(const struct bd_tensorcfg *cfg, struct bd_slices s)
{
    int64_t len = s.outer * s.inner;

    if (cfg->grain != BD_GRAIN_GROUP || cfg->group < 1)
        return 1;
    return len > 0 ? (len + cfg->group - 1) / cfg->group : 1;
}

/* Widths per channel mean parameters per channel, whatever the grain says. */
static bool per_channel(const struct bd_tensorcfg *cfg)
{
    return cfg->grain != BD_GRAIN_TENSOR || cfg->channel;
}

static int width_of(const struct bd_tensorcfg *cfg, int64_t c)
{
    return cfg->channel ? cfg->channel->bits[c] : cfg->bits;
}

/* Bits one weight takes: some methods store its sign beside the width. */
static int code_bits(const struct bd_quantizer *q, int bits)
{
    bool apart = q && (q->traits & BD_Q_SIGN_APART) != 0;

    return apart && bits > 0 && bits < 32 ? bits + 1 : bits;
}

/* A width of 0 to 16 or 32 fits 5 bits. */
int64_t bd_calib_stored_bits(const struct bd_tensorcfg *cfg, struct bd_slices s)
{
    const struct bd_quantizer *q = bd_quantizer_at(cfg->quant);
    int64_t len = s.outer * s.inner, total = 0;

    if (!per_channel(cfg))
        return cfg->bits == 32 || !q
                   ? 32 * len * s.channels
                   : code_bits(q, cfg->bits) * len * s.channels +
                         bd_quantizer_side_bits(q, cfg->bits);
    for (int64_t c = 0; c < s.channels; c++) {
        int bits =
            cfg->channel && c >= cfg->channel->n ? cfg->bits : width_of(cfg, c);

        total += code_bits(q, bits) * len;
        if (bits > 0 && bits < 32 && q)
            total += bd_quantizer_side_bits(q, bits) * groups_of(cfg, s);
    }
    return cfg->channel ? total + 5 * s.channels : total;
}

/* ------------------------------------------------------------- fitting */
struct values { /* of one set; index of exactly these, or NULL */
    const float *x;
    size_t n;
    const struct bd_index *index;
};

/* Room for the learned levels of n values, taken from what calib set aside
 * for the whole tensor. */
static void take_room(struct bd_qparam *p, struct bd_calib_fit *f, size_t n)
{
    if (!p->q->learn || p->bits <= 0 || p->bits >= 32)
        return;
    p->book = f->room;
    f->room += bd_quantizer_room(p->q, p->bits, n);
}

/* A search asks about all values many times over; only that is worth an
 * index of its own. */
static bool wants_index(const struct bd_qparam *p,
                        const struct bd_tensorcfg *cfg)
{
    return cfg->clip == BD_CLIP_MSE || cfg->clip == BD_CLIP_PERCENTILE ||
           cfg->clip == BD_CLIP_KL || cfg->clip == BD_CLIP_ACIQ ||
           p->q->extra_steps > 0 || p->q->adapt;
}

static bd_status fit_values(struct bd_qparam *p, struct bd_calib_fit *f,
                            const struct values *v, struct bd_err *err)
{
    struct bd_index *own = NULL;
    bd_status st;

    if (p->q->learn && v->index)
        return p->q->learn(p, v->index, err);
    /* One bit is sign and scale in every method: nothing to clip. */
    if ((p->q->traits & BD_Q_NO_CLIP) ||
        (p->bits == 1 && !(p->q->traits & BD_Q_SIGN_APART)))
        return p->q->fit(p, v->x, v->n, err);
    if (!v->index && wants_index(p, f->cfg)) {
        st = bd_index_new(&own, v->x, v->n, err);
        if (st != BD_OK)
            return st;
    }
    f->src.data = own ? own : v->index;
    if (f->src.data)
        f->m = *bd_index_moments(f->src.data);
    else
        bd_moments_of(&f->m, v->x, v->n);
    st = bd_calib_choose(p, f, err);
    bd_index_free(own);
    return st;
}

/* Weights are always signed; z is x until the clip rule decides otherwise. */
static struct bd_qparam blank(const struct bd_tensorcfg *cfg, int bits)
{
    return (struct bd_qparam){.q = bd_quantizer_at(cfg->quant),
                              .bits = bits,
                              .is_signed = true,
                              .weights = true,
                              .sigma = 1,
                              .map_back = true};
}

/* All groups of channel c, from its gathered values. */
static bd_status fit_channel(struct bd_qset *out, struct bd_calib_fit *f,
                             int64_t c, const struct values *v,
                             struct bd_err *err)
{
    size_t step = out->groups > 1 ? (size_t)f->cfg->group : v->n;
    int bits = width_of(f->cfg, c);

    for (size_t g = 0; g < out->groups; g++) {
        struct bd_qparam *p = &out->p[(size_t)c * out->groups + g];
        size_t at = g * step, left = v->n - at;
        struct values part = {v->x + at, left < step ? left : step, NULL};
        bd_status st = BD_OK;

        *p = blank(f->cfg, bits);
        take_room(p, f, part.n);
        if (f->ctl && bd_ctl_stale(f->ctl))
            return BD_ECANCELLED;
        if (bits > 0 && bits < 32)
            st = fit_values(p, f, &part, err);
        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

/* Channels may be strided (a Gemm's [in,out]), so each is gathered first. */
static bd_status fit_channels(struct bd_qset *out, struct bd_calib_fit *f,
                              const struct bd_weights *w, struct bd_err *err)
{
    size_t n = (size_t)(w->slices.outer * w->slices.inner);
    float *x = bd_alloc(n, sizeof(*x));
    struct values v = {x, n, NULL};
    bd_status st = BD_OK;

    if (!x)
        return bd_fail(err, BD_ENOMEM, "no memory for one channel's weights");
    for (int64_t c = 0; st == BD_OK && c < w->slices.channels; c++) {
        bd_slice_get(x, w->x, w->slices, c);
        st = fit_channel(out, f, c, &v, err);
    }
    bd_free(x);
    return st;
}

static bd_status fit_tensor(struct bd_qparam *p, struct bd_calib_fit *f,
                            const struct bd_weights *w, struct bd_err *err)
{
    struct values v = {
        w->x, (size_t)(w->slices.outer * w->slices.channels * w->slices.inner),
        w->index};

    *p = blank(f->cfg, f->cfg->bits);
    take_room(p, f, v.n);
    return fit_values(p, f, &v, err);
}

static struct bd_calib_fit fit_of(const struct bd_weights *w,
                                  const struct bd_tensorcfg *cfg,
                                  struct bd_ctl *ctl)
{
    return (struct bd_calib_fit){
        .cfg = cfg,
        .learned = w->learned_clip,
        .ctl = ctl,
        .src = {.error = index_error,
                .quantile = index_quantile,
                .cells = bd_index_cells,
                .beyond = index_beyond,
                .histogram = index_histogram,
                .absdev = index_absdev}};
}

/* Widths, rows and counts that a caller could have got wrong. */
static bd_status check(const struct bd_weights *w,
                       const struct bd_tensorcfg *cfg, struct bd_err *err)
{
    bd_status st;

    if (!cfg->channel) {
        if (cfg->bits == 32)
            return bd_fail(err, BD_EINVALID,
                           "32 bits leave the weights in float: nothing to "
                           "fit");
        return bd_quantizer_check(cfg->quant, cfg->bits, true, err);
    }
    if (cfg->channel->n != w->slices.channels)
        return bd_fail(err, BD_EINVALID,
                       "%d widths for %lld channels: one each is needed",
                       cfg->channel->n, (long long)w->slices.channels);
    for (int c = 0; c < cfg->channel->n; c++) {
        int bits = cfg->channel->bits[c];

        st =
            bits == 0 ? BD_OK : bd_quantizer_check(cfg->quant, bits, true, err);
        if (st != BD_OK)
            return st;
    }
    return BD_OK;
}

/* Levels all sets together may learn. */
static size_t room_of(const struct bd_tensorcfg *cfg, struct bd_slices s)
{
    const struct bd_quantizer *q = bd_quantizer_at(cfg->quant);
    size_t len = (size_t)(s.outer * s.inner), total = 0;
    size_t groups = (size_t)groups_of(cfg, s);

    if (!q->learn)
        return 0;
    if (!per_channel(cfg))
        return bd_quantizer_room(q, cfg->bits, len * (size_t)s.channels);
    for (int64_t c = 0; c < s.channels; c++) {
        int bits = width_of(cfg, c);
        size_t n = groups > 1 ? (size_t)cfg->group : len;

        if (bits > 0 && bits < 32)
            total += groups * bd_quantizer_room(q, bits, n);
    }
    return total;
}

/* Parameters and levels of all sets. */
static bd_status make_sets(struct bd_qset *s, struct bd_slices slices,
                           struct bd_err *err)
{
    size_t room = room_of(&s->cfg, slices);

    s->p = bd_calloc(s->n, sizeof(*s->p));
    if (room > 0)
        s->books = bd_alloc(room, sizeof(*s->books));
    if (s->p && (s->books || room == 0))
        return BD_OK;
    return bd_fail(err, BD_ENOMEM, "no memory for %zu sets of parameters",
                   s->n);
}

bd_status bd_calib_weights(struct bd_qset *out, const struct bd_weights *w,
                           const struct bd_tensorcfg *cfg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_qset set = {.cfg = *cfg, .groups = 1};
    struct bd_calib_fit f = fit_of(w, cfg, ctl);
    bd_status st = check(w, cfg, err);

    if (st != BD_OK)
        return st;
    set.groups = (size_t)groups_of(cfg, w->slices);
    set.n = per_channel(cfg) ? (size_t)w->slices.channels * set.groups : 1;
    set.stored_bits = bd_calib_stored_bits(cfg, w->slices);
    st = make_sets(&set, w->slices, err);
    f.room = set.books;
    if (st == BD_OK)
        st = per_channel(cfg) ? fit_channels(&set, &f, w, err)
                              : fit_tensor(set.p, &f, w, err);
    bd_calib_fit_done(&f);
    if (st == BD_OK)
        *out = set;
    else
        bd_qset_done(&set);
    return st;
}

bool bd_calib_index_error(double *err2, double *clip,
                          const struct bd_weights *w,
                          const struct bd_tensorcfg *cfg)
{
    struct bd_calib_fit f = fit_of(w, cfg, NULL);
    double book[BD_BOOK_MAX];
    struct bd_qparam p;
    bool ok;

    if (!w->index || per_channel(cfg) || check(w, cfg, NULL) != BD_OK)
        return false;
    f.room = book;
    ok = fit_tensor(&p, &f, w, NULL) == BD_OK;
    f.src.data = w->index;
    ok = ok && bd_calib_error(err2, &f, &p, NULL) == BD_OK;
    if (ok && clip)
        *clip = p.clip * (p.sigma > 0 ? p.sigma : 1);
    bd_calib_fit_done(&f);
    return ok;
}
