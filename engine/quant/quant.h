/* quant: the quantizers, one file and one table row each; what a user
 * chooses for a tensor (bd_tensorcfg); and the distortion index, which knows
 * the exact error of any scalar grid without touching the weights again.
 * Clip rules are in calib/, documents in config/. */
#ifndef BD_QUANT_H
#define BD_QUANT_H

#include "tensor/tensor.h"

struct bd_quantizer;
struct bd_index;
struct bd_quant_mags; /* private: magnitudes and their decision points */

/* ------------------------------------------------------------- the choice */
enum bd_grain { BD_GRAIN_TENSOR, BD_GRAIN_CHANNEL, BD_GRAIN_GROUP };
enum bd_clip_rule {
    BD_CLIP_MAX, BD_CLIP_PERCENTILE, BD_CLIP_MSE, BD_CLIP_MANUAL,
    BD_CLIP_LEARNED,
    BD_CLIP_KL,   /* least divergence of histograms (Migacz 2017) */
    BD_CLIP_ACIQ, /* least error under Laplace or Gauss (Banner et al. 2019) */
    BD_CLIP_EMA   /* moving average over batches; of activations */
};
enum { BD_CLIP_RULES = BD_CLIP_EMA + 1 };
/* Widths per channel: immutable, shared, counted (bd_chanbits_ref/unref). */
struct bd_chanbits {
    int refs; /* atomic */
    int n;
    int8_t bits[]; /* 1..16, 0 = channel sent as zero, 32 = float */
};
struct bd_chanbits *bd_chanbits_new(const int8_t *bits, int n);
const struct bd_chanbits *bd_chanbits_ref(const struct bd_chanbits *c);
void bd_chanbits_unref(const struct bd_chanbits *c);

/* The code of a bit plane bottleneck (bitwise_bottleneck.md section 1): the
 * value of a magnitude 0 .. 2^of - 1 is the sum of the coefficients of its
 * set bits, clipped to that range again; of planes outside the mask nothing
 * is stored. */
enum { BD_PLANES = 8 };
struct bd_planecode {
    int of;                  /* planes of the first quantization, 1..8 */
    unsigned mask;           /* those kept; bit k = plane k, the lowest 0 */
    double alpha[BD_PLANES]; /* > 0 where kept, 0 elsewhere; code units */
};
/* The same as part of a choice: immutable, shared, counted. */
struct bd_planes {
    int refs; /* atomic */
    struct bd_planecode code;
};
struct bd_planes *bd_planes_new(const struct bd_planecode *c); /* NULL: no
                                                                 memory */
const struct bd_planes *bd_planes_ref(const struct bd_planes *p);
void bd_planes_unref(const struct bd_planes *p); /* NULL is fine */
/* of in 1..8, mask within it, coefficients finite, >= 0, and 0 exactly where
 * nothing is kept; else the sentence. */
bd_status bd_planecode_check(const struct bd_planecode *c,
                             struct bd_err *err);
bool bd_planecode_same(const struct bd_planecode *a,
                       const struct bd_planecode *b); /* bit for bit */
int bd_planecode_kept(const struct bd_planecode *c); /* planes in the mask */

struct bd_tensorcfg {  /* weights or activations of one layer */
    int8_t bits;       /* 1..16; 32 = leave in float */
    uint8_t quant;     /* row of the quantizer table */
    uint8_t clip;      /* enum bd_clip_rule */
    uint8_t grain;     /* enum bd_grain */
    int16_t group;     /* elements per group, 0 = none */
    float clip_value;  /* manual: the clip; percentile: 99.9; ema: weight of
                          the newest batch; 0 = the rule's own default */
    const struct bd_chanbits *channel; /* NULL or widths per channel */
    const struct bd_planes *planes; /* NULL, or what method 'bottleneck' is
                                       to use instead of fitting; then bits
                                       is the number of planes in its mask */
};

/* ---------------------------------------------------- one fitted quantizer */
struct bd_qparam {
    const struct bd_quantizer *q;
    int bits;
    bool is_signed; /* sign bit included in bits */
    bool weights;   /* role: some methods differ (dorefa, binary, apot) */
    double clip;    /* alpha > 0, in units of z when normalised */
    double mu, sigma;     /* z = (x - mu) / sigma; 0 and 1 when off */
    bool map_back;        /* y = sigma*Q(z) + mu, else Q(z) (a network trained
                             with quantization, apot.md section 4) */
    double scale, zero;   /* step and zero point (affine, uniform) */
    double extra;         /* method's own: log e0, twn delta, ... */
    double *book;         /* borrowed codebook of `nbook` levels, or NULL;
                             methods that learn fill it (bd_quantizer_room) */
    size_t nbook;
    bool calibrated;      /* gradient passes through beyond the clip (apot.md
                             section 5); the clip's own gradient is the same */
    struct bd_planecode planes; /* bottleneck; of 0 = not fitted yet */
};

/* What fitting needs to know of the data: finite values only, n of them.
 * std is unbiased (n - 1), 0 for n < 2.  Sums in double, same bits for the
 * same values in the same order. */
struct bd_moments {
    size_t n;
    double min, max, absmax, mean, std, absmean, sumsq;
};
void bd_moments_of(struct bd_moments *out, const float *x, size_t n);

enum { /* traits */
    BD_Q_IDEMPOTENT = 1,  /* Q(Q(x)) = Q(x) */
    BD_Q_MONOTONE = 2,    /* x <= y implies Q(x) <= Q(y) */
    BD_Q_NEAREST = 4,     /* output is the nearest level */
    BD_Q_WEIGHTS = 8,     /* usable on weights */
    BD_Q_ACTS = 16,       /* usable on activations */
    BD_Q_NO_CLIP = 32,    /* has no clip to choose (binary, ternary) */
    BD_Q_ODD = 64,        /* signed data: Q(-x) = -Q(x) */
    BD_Q_NORMALISES = 128, /* apot family on weights: z = (w-mu)/sigma */
    BD_Q_SIGNED = 256,     /* serves signed activations (weights always) */
    BD_Q_OPEN = 512,       /* codes may leave the range of `bits` (edge8) */
    BD_Q_CELLS = 1024,     /* levels[] is the value of each cell between cuts,
                              neither ascending nor distinct (bottleneck) */
    BD_Q_SIGN_APART = 2048, /* signed data takes one bit more than `bits` */
    BD_Q_BLOCKS = 4096     /* exists only in groups of `group` values */
};

/* Data seen through one question, by which a method adapts itself to
 * an index of weights or from statistics of activations alike. */
struct bd_quant_cell {
    double n, s1, s2; /* count, sums of x and x^2 */
};
struct bd_quant_data {
    const void *data;
    /* out[ncuts + 1]; cuts ascend, x <= cuts[i] belongs to cell i or lower.
     * false: no memory. */
    bool (*cells)(struct bd_quant_cell *out, const void *data,
                  const double *cuts, size_t ncuts);
};

/* Elements of floating grids: sign, exponent, `mbits` of mantissa, with
 * subnormals below 2^emin (OCP OFP8 and Microscaling, both v1.0, 2023). */
struct bd_float_format {
    int mbits, emin, emax; /* smallest and largest normal exponent */
    double max;            /* largest finite value */
};

/* const, one per method.  All functions: any thread, no allocation; only
 * methods that learn their levels need room of their own while they do. */
struct bd_quantizer {
    const char *name, *title, *paper;
    const char *alias; /* a shorter name that is also understood, or NULL */
    int min_bits, max_bits;
    int group; /* the grain it was made for: groups of so many; 0 = any */
    const struct bd_float_format *format; /* of floating grids, else NULL */
    unsigned traits;
    /* Completes *p from p->bits, is_signed, weights, clip and the data (clip
     * <= 0 where BD_Q_NO_CLIP).  n may be 0. */
    bd_status (*fit)(struct bd_qparam *p, const float *x, size_t n,
                     struct bd_err *err);
    /* The same from moments alone; NULL where the data itself is needed
     * (ternary).  Clip search calls it again for each clip. */
    bd_status (*refit)(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err);
    /* What fit does once the values are indexed; NULL for fixed levels. */
    bd_status (*learn)(struct bd_qparam *p, const struct bd_index *ix,
                       struct bd_err *err);
    /* What follows from how the values are spread under the clip just set:
     * called after each refit (bottleneck's planes).  NULL: nothing. */
    bd_status (*adapt)(struct bd_qparam *p, const struct bd_quant_data *d,
                       struct bd_err *err);
    /* How z is mapped, in double: uniform kinds give the function (q may be
     * z), the others their magnitude set.  Exactly one is set; all that maps
     * values goes through it. */
    void (*core)(double *q, const double *z, size_t n,
                 const struct bd_qparam *p);
    void (*mags)(struct bd_quant_mags *g, const struct bd_qparam *p);
    /* Ascending representable values in the domain of x (mapped back);
     * returns the count needed, which may exceed cap (out may be NULL). */
    size_t (*levels)(double *out, size_t cap, const struct bd_qparam *p);
    /* Decision points: x <= cuts[i] goes to levels[i] or lower (ties that go
     * up are nudged down by one unit in the last place).  Count is
     * levels - 1. */
    size_t (*cuts)(double *out, size_t cap, const struct bd_qparam *p);
    void (*apply)(float *y, const float *x, size_t n,
                  const struct bd_qparam *p); /* y may be x */
    /* Straight-through: dx from dy; returns dL/dclip (0 if none). */
    double (*grad)(float *dx, const float *dy, const float *x, size_t n,
                   const struct bd_qparam *p);
    /* Whole-number code of each value for entropy and export. */
    void (*codes)(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p);
    /* Bits of side information per fitted parameter set (scales, zero
     * points), beside a learned codebook: bd_quantizer_side_bits. */
    int side_bits;
    int side_per_bit; /* and so many more for each bit of width */
    /* p->extra is searched over i * extra_unit, i = extra_steps .. 1, least
     * error first found (log's e0); 0 = nothing to search. */
    int extra_steps;
    double extra_unit;
};

/* The distinct values among levels[n], ascending, in place; returns how many.
 * Changes nothing where levels ascend (all rows without BD_Q_CELLS). */
size_t bd_quant_distinct(double *levels, size_t n);
/* y = Q(x) in double and in the domain of x, mapped back whatever
 * p->map_back says: the tensor that error figures compare with.  y may be
 * x. */
void bd_quant_project(double *y, const double *x, size_t n,
                      const struct bd_qparam *p);
/* The part of dL/dclip that comes from clipped values alone, as PACT has it
 * (apot.md section 5, for contrast). */
double bd_quant_grad_clipped(const float *dy, const float *x, size_t n,
                             const struct bd_qparam *p);

/* NULL-ended table; the row index is what bd_tensorcfg.quant holds.  Rows:
 * uniform affine dorefa pot apot log binary ternary pact edge8 (the APoT
 * seed's 8-bit rule for first and last layers, signed maximum) kmeans nf4
 * fp8-e4m3 fp8-e5m2 fp4-e2m1, the blocks mxfp8-e4m3 mxfp8-e5m2 mxfp6-e3m2
 * mxfp6-e2m3 mxfp4-e2m1 mxint8, and bottleneck. */
const struct bd_quantizer *const *bd_quantizers(void);
const struct bd_quantizer *bd_quantizer_at(int row);
int bd_quantizer_find(const char *name); /* row or -1; or by alias */
/* Refuses widths and roles the method lacks with the sentence naming the one
 * that works ("1 bit: 'uniform' needs 2 or more; 'binary' takes 1"). */
bd_status bd_quantizer_check(int row, int bits, bool weights,
                             struct bd_err *err);
/* Levels p->book must have room for before fit or learn of n values; 0 where
 * levels are fixed.  Never above BD_BOOK_MAX. */
enum { BD_BOOK_MAX = 256 };
size_t bd_quantizer_room(const struct bd_quantizer *q, int bits, size_t n);
/* Side information of one parameter set: learned levels count as float32. */
int64_t bd_quantizer_side_bits(const struct bd_quantizer *q, int bits);

/* Takes up a method (a legal row).  Its natural grain comes along, and goes
 * again with the next method; methods of any grain leave a grain somebody
 * chose alone.  The width stays. */
void bd_tensorcfg_pick(struct bd_tensorcfg *cfg, int row);
/* Refuses grains the method does not exist in. */
bd_status bd_tensorcfg_check_grain(const struct bd_tensorcfg *cfg,
                                   struct bd_err *err);
/* "apot:4:channel:mse", "uniform:8", "float".  Missing parts keep *cfg, but a
 * method named without its grain or its only width brings them. */
bd_status bd_tensorcfg_parse(struct bd_tensorcfg *cfg, const char *text,
                             struct bd_err *err);
char *bd_tensorcfg_text(char *out, size_t cap, const struct bd_tensorcfg *c);
bool bd_tensorcfg_same(const struct bd_tensorcfg *a,
                       const struct bd_tensorcfg *b);
uint64_t bd_tensorcfg_digest(const struct bd_tensorcfg *c);
extern const char *const bd_clip_names[]; /* by enum, NULL-ended */
extern const char *const bd_clip_titles[]; /* each rule in a line */
/* "mse", "percentile99.9", "manual0.173", "ema0.1"; "moving-average" is ema.
 * The number is optional but for `manual`, and 0 when left out.  False:
 * no such rule, or a number out of its range; outputs untouched. */
bool bd_clip_parse(enum bd_clip_rule *rule, float *value, const char *word);
/* The rule takes a number behind its name. */
bool bd_clip_numbered(int rule);
extern const char *const bd_grain_names[];

/* The additive rule itself (Li et al. 2020; apot.md section 2): magnitude
 * levels of B bits with k bits per term, ascending in [0,1]; k = 1 uniform,
 * k = 2 APoT (odd B included), k = B PoT.  Returns the count, 2^B, or 0 when
 * the combination does not exist. */
size_t bd_additive_levels(double *out, size_t cap, int B, int k);

/* Hysteresis of 1-bit training, binary_pact.md section 2. */
struct bd_hysteresis {
    double lr, momentum, decay, threshold;
    bool seed_code; /* else hold */
};
/* What training carries from step to step, all [n], owned by the caller. */
struct bd_hysteresis_net {
    size_t n;
    double *w;     /* latent weights, which SGD moves */
    double *v;     /* momentum */
    double *state; /* unit value per weight, -1 or +1 (raw for one step in
                      seed_code) */
    double *p;     /* visible weights: state times scale */
};
/* One step from gradient g[n], in place; first = the first step, when v and
 * state are made from w.  Returns the scale. */
double bd_hysteresis_step(struct bd_hysteresis_net *net, const double *g,
                          const struct bd_hysteresis *h, bool first);

/* PACT's pieces where the table's common form is not enough
 * (binary_pact.md section 3). */
double bd_pact_surrogate(double x, double clip, int bits, double a);
float bd_pact_fixed(float x, int bits);
double bd_pact_exponential(double x, double alpha, int bits, bool clamp);

/* Feature maps channel by channel (channel_bit_allocation.md sections 2, 3):
 * y[n] = d * code, codes 0 .. 2^bits-1, or two's complement when is_signed;
 * bits 0 or d <= 0 send zeros. */
struct bd_feature_uniform {
    double d;
    int bits;
    bool is_signed;
};
void bd_feature_uniform(double *y, const float *x, size_t n,
                        const struct bd_feature_uniform *p);
/* Logarithmic levels a * 2^(-e0*e), code 0 = zero. */
struct bd_feature_log {
    double a, e0;
    int bits;
    bool is_signed;
};
void bd_feature_log(double *y, const float *x, size_t n,
                    const struct bd_feature_log *p);
/* c/L * floor(clip(x,0,c)/c * L + 1/2), L = 2^bits - 1. */
void bd_feature_dorefa(double *y, const float *x, size_t n, double c,
                       int bits);
/* Smallest interval without clipping, and the best of its 100 fractions from
 * the largest down; *mse gets the mean squared error.  Channels with a value
 * below zero count as signed (-0.0 does not). */
double bd_feature_full_interval(const float *x, size_t n, int bits);
double bd_feature_best_interval(double *mse, const float *x, size_t n,
                                int bits);
/* Best e0 = i/20, i = 60 .. 1, with a = max|x|. */
double bd_feature_best_log(double *mse, const float *x, size_t n, int bits);

/* ------------------------------------------------------------ bit planes
 * Bitwise Bottleneck (Zhou et al., AAAI 2021; bitwise_bottleneck.md): which
 * bit planes of a tensor to keep, with free coefficients. */
enum { BD_PLANE_CODES = 1 << BD_PLANES };
/* All that finding the planes needs: of each code m its count, and the sums
 * of r = t - m and r^2, where t = min(|x| / range * L, L), L = 2^of - 1,
 * m = floor(t + 1/2).  Sums are whole numbers (of 2^-34; r^2 has a finer part
 * of 2^-64), so any order of values gives the same bits; up to 2^29 values
 * per code. */
struct bd_codetable {
    int of;        /* 1..8 */
    double range;  /* M > 0; 0: every value counts as code 0 */
    bool negative; /* a value below 0 was seen */
    uint64_t dither; /* seed of a dither one code wide, 0 = none.  It depends
                        on the value and the seed alone. */
    int64_t n[BD_PLANE_CODES], r[BD_PLANE_CODES];
    int64_t r2[BD_PLANE_CODES], r2_fine[BD_PLANE_CODES];
};
void bd_codetable_init(struct bd_codetable *t, int of, double range);
void bd_codetable_add(struct bd_codetable *t, const float *x, size_t n);
void bd_codetable_merge(struct bd_codetable *t, const struct bd_codetable *o);
int64_t bd_codetable_count(const struct bd_codetable *t);

struct bd_plane_row { /* the best code with so many planes */
    int k;
    unsigned mask;
    double alpha[BD_PLANES]; /* LSB first */
    double mse;     /* against t, in code units; beyond 130 dB: 0 */
    double psnr_db; /* peak L; INFINITY where exact */
    double sqnr_db;
};
struct bd_plane_table {
    int of, nrow;           /* sizes that exist, ascending k */
    int64_t n;              /* values */
    bool negative;
    double range;           /* M: mse * (M/L)^2 is in the data's units */
    double full_db;         /* PSNR of the plain code, all planes 2^k */
    struct bd_plane_row row[BD_PLANES + 1];
};
/* Best subset of every size, exactly: all 2^of supports by least squares on
 * the Gram matrix (section 3.3).  Microseconds.  Any thread. */
void bd_planes_solve(struct bd_plane_table *out, const struct bd_codetable *t);
/* Fewest planes, at least k_min, whose PSNR reaches need dB; the last row
 * where none does. */
const struct bd_plane_row *bd_planes_choose(const struct bd_plane_table *t,
                                            double need_db, int k_min);
struct bd_planecode bd_planes_code(const struct bd_plane_table *t,
                                   const struct bd_plane_row *row);
/* Entropy of the kept code m & mask in bits per value: what no lossless
 * coder goes below. */
double bd_planes_entropy(const struct bd_codetable *t, unsigned mask);

enum bd_plane_solver {
    BD_PLANES_SUBSET, BD_PLANES_LASSO, BD_PLANES_LASSO_REFIT
};
extern const char *const bd_plane_solver_names[]; /* "subset", ... */
/* The published search (section 3.1), with the intercept fitted and dropped
 * as there: the largest penalty that still reaches need dB, then the smallest
 * that keeps as many planes.  lambda may be NULL; refit: least squares on the
 * planes found. */
void bd_planes_lasso(struct bd_plane_row *out, double *lambda,
                     const struct bd_codetable *t, double need_db, bool refit);

/* ------------------------------------------------------- distortion index
 * Values grouped by order-preserving key with prefix sums of x and x^2, so
 * the squared error of any scalar grid costs time proportional to its
 * levels.  Immutable once built; any thread may read. */
struct bd_index;
bd_status bd_index_new(struct bd_index **out, const float *x, size_t n,
                       struct bd_err *err);
void bd_index_free(struct bd_index *ix);
size_t bd_index_count(const struct bd_index *ix);
double bd_index_absmax(const struct bd_index *ix);
double bd_index_min(const struct bd_index *ix);
double bd_index_max(const struct bd_index *ix);
double bd_index_mean(const struct bd_index *ix);
double bd_index_std(const struct bd_index *ix); /* unbiased (n - 1) */
double bd_index_sumsq(const struct bd_index *ix);
/* Value below which the fraction q in [0,1] of |x| lies. */
double bd_index_quantile_abs(const struct bd_index *ix, double q);
/* The same of |x - center|. */
double bd_index_quantile_about(const struct bd_index *ix, double center,
                               double q);
const struct bd_moments *bd_index_moments(const struct bd_index *ix);
/* Sum of (x - Q(x))^2 for levels[nlev] with cuts[nlev-1], ascending (NULL =
 * midpoints); x <= cuts[i] belongs to levels[i] or lower; occupancy[nlev]
 * counts may be NULL. */
double bd_index_error(const struct bd_index *ix, const double *levels,
                      const double *cuts, size_t nlev, int64_t *occupancy);
/* The answer of an index to struct bd_quant_data. */
bool bd_index_cells(struct bd_quant_cell *out, const void *index,
                    const double *cuts, size_t ncuts);
/* Squared error of the values outside [lo, hi] against its nearer end: what
 * no grid between lo and hi can avoid. */
double bd_index_beyond(const struct bd_index *ix, double lo, double hi);
/* Everything else that follows from a grid: sums of x*q and q*q, the largest
 * error, values beyond the end levels, and how many sit on each level. */
struct bd_index_price {
    double err2, xq, qq, max_err;
    int64_t clipped;
    int64_t *occupancy; /* [nlev], the caller's; set before the call */
};
void bd_index_price(struct bd_index_price *out, const struct bd_index *ix,
                    const double *levels, const double *cuts, size_t nlev);
/* Counts in nbins equal bins over [lo, hi]; values outside are left out. */
void bd_index_histogram(const struct bd_index *ix, double lo, double hi,
                        int64_t *bins, int nbins);

#endif
