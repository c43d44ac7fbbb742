/* session: the façade both faces use.  One model, its data, a configuration
 * with undo, and the results that follow from them, computed on lanes and
 * collected here.  All calls belong to one thread (the interface's); none of
 * them waits unless its name says so. */
#ifndef BD_SESSION_H
#define BD_SESSION_H

#include "data/data.h"
#include "feature/feature.h"
#include "metrics/metrics.h"
#include "repair/repair.h"
#include "sens/sens.h"

#include <stdatomic.h>

/* ---------------------------------------------------------------- opening */
struct bd_session_opts { /* zero-initialised: defaults */
    const char *model, *arch;
    const char *data;       /* NULL: the sidecar's, or none */
    const char *calib;      /* NULL: the evaluation data's first images */
    const char *preprocess; /* NULL: the sidecar's, or guessed and said */
    int64_t limit, skip, calib_limit /* 0 = 64 */;
    size_t memory;          /* for cached activations, 0 = a quarter */
    int threads;            /* 0 = all */
    uint64_t seed;
    const char *config;     /* bitdial.config/1 file, "-" = stdin */
    const char *weights, *activations; /* METHOD:BITS... for all layers */
    const char *const *set; /* NULL-ended LAYERGLOB.w=... */
    int keep_edges;         /* bits, 0 = leave */
    bool no_state;          /* neither read nor write the session file */
};
struct bd_session;
/* Loads the model and opens the data at once; statistics follow on lanes
 * (after bd_session_start).  Data that cannot be used with this model is a
 * warning in the log, not an error, unless `data` was given. */
bd_status bd_session_open(struct bd_session **out,
                          const struct bd_session_opts *o, struct bd_err *err);
void bd_session_close(struct bd_session *s); /* cancels, drains, saves */
/* Starts the lanes' first work: metrics of all layers, calibration, float
 * and current accuracy.  The command line may skip it. */
void bd_session_start(struct bd_session *s);

const struct bd_model *bd_session_model(const struct bd_session *s);
const struct bd_bitcfg *bd_session_cfg(const struct bd_session *s);
const struct bd_data *bd_session_data(const struct bd_session *s); /* or NULL */
const struct bd_plan *bd_session_plan(const struct bd_session *s); /* batch-1
                                        shapes and MACs; NULL = no graph */
const char *bd_session_why_no_accuracy(const struct bd_session *s); /* a
                                        sentence, or NULL when it can be had */
struct bd_pool *bd_session_pool(struct bd_session *s);

/* ---------------------------------------------------------- live results */
enum bd_fresh {
    BD_ABSENT,  /* never computed */
    BD_STALE,   /* of an earlier configuration: shown with ~ */
    BD_PARTIAL, /* of this one, over part of the images: shown with +- */
    BD_EXACT
};

enum { BD_VIEW_BINS = 128 };
struct bd_layer_view { /* borrowed until the next collect or edit */
    enum bd_fresh fresh;           /* of `w` */
    bool w_full;                   /* else only mse, psnr_db, sqnr_db, peak,
                                      clip and n of `w` are of the present
                                      configuration (answered by the index);
                                      the rest follows within moments */
    struct bd_error_stats w;       /* weight error under the configuration */
    const struct bd_stats *stats;  /* of the weights; NULL = not yet */
    const int64_t *bins;           /* [BD_VIEW_BINS] over [-absmax, absmax] */
    enum bd_fresh a_fresh;
    double a_psnr_db, a_sqnr_db;   /* of the layer's input on calibration */
    double a_min, a_max, a_clip;
    bool failed;                   /* a `!` row; why is in the log */
    int64_t params, macs;
};
void bd_session_layer(struct bd_layer_view *out, const struct bd_session *s,
                      int layer);
/* The fitted grid of a layer's weights (per channel: of channel c).  Empty
 * until fitted; pointers borrowed until the next collect or edit. */
struct bd_grid_view {
    size_t n;
    const double *levels, *cuts;
    double clip_lo, clip_hi;
};
void bd_session_grid(struct bd_grid_view *out, const struct bd_session *s,
                     int layer, int channel);
/* Histogram of a layer's weights in any range, at once when its index
 * exists (else false). */
struct bd_bins {
    double lo, hi;
    int64_t *count; /* [n]; filled */
    int n;
};
bool bd_session_histogram(const struct bd_session *s, int layer,
                          struct bd_bins b);
/* Per output channel, computed on the fast lane; NULL until then. */
struct bd_channel_view {
    float min, max;
    double mse;
    int bits;
};
const struct bd_channel_view *bd_session_channels(struct bd_session *s,
                                                  int layer, int *n,
                                                  enum bd_fresh *fresh);

struct bd_net_view {
    struct bd_cost cost;          /* always exact */
    enum bd_fresh fresh;          /* of `acc` */
    struct bd_net_eval acc;
    enum bd_fresh float_fresh;
    struct bd_net_eval float_acc;
    int64_t images;               /* in the evaluation set */
};
void bd_session_net(struct bd_net_view *out, const struct bd_session *s);

/* Hints which layers are on screen, so that they are computed first. */
void bd_session_visible(struct bd_session *s, const int *layers, size_t n);

/* ---------------------------------------------------------------- lanes */
int bd_session_fd(const struct bd_session *s);
/* Takes finished results; true if anything shown changed. */
bool bd_session_collect(struct bd_session *s);
bool bd_session_idle(const struct bd_session *s);
void bd_session_wait(struct bd_session *s); /* until something finished; the
                                     command line and scripts only */
size_t bd_session_progress(const struct bd_session *s,
                           struct bd_progress *out, size_t cap);
void bd_session_cancel(struct bd_session *s); /* the newest job */
/* Time-driven duties (autosave a second after the last edit). Milliseconds
 * until it wants to be called again, -1 = never. */
int bd_session_tick(struct bd_session *s);

/* The log: warnings, failures, paths written; oldest first, at most 1000. */
size_t bd_session_log(const struct bd_session *s, size_t i, const char **line);
void bd_session_say(struct bd_session *s, const char *fmt, ...)
    BD_PRINTF(2, 3);

/* ---------------------------------------------------------------- editing
 * Each call is one undo step named by what it did ("5 bits for 2 layers");
 * equal consecutive bit steps on the same layers within 600 ms merge.
 * Refusals change nothing and say the way that works. */
enum bd_part { BD_PART_W, BD_PART_A };
struct bd_sel { /* which layers */
    const int *layer;
    size_t n;
};
bd_status bd_session_set_bits(struct bd_session *s, struct bd_sel sel,
                              enum bd_part part, int bits, struct bd_err *err);
/* Up or down by one legal width of the method; 32 (float) is above the
 * largest. */
bd_status bd_session_step_bits(struct bd_session *s, struct bd_sel sel,
                               enum bd_part part, int step,
                               struct bd_err *err);
bd_status bd_session_set_method(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part, int row,
                                struct bd_err *err); /* width is moved into
                                                  the method's range, said */
struct bd_clip_choice {
    enum bd_clip_rule rule;
    float value; /* manual: the clip; percentile: 99.9, 0 = that */
};
bd_status bd_session_set_clip(struct bd_session *s, struct bd_sel sel,
                              enum bd_part part, struct bd_clip_choice clip,
                              struct bd_err *err);
struct bd_grain_choice {
    enum bd_grain grain;
    int group; /* elements, for groups */
};
bd_status bd_session_set_grain(struct bd_session *s, struct bd_sel sel,
                               enum bd_part part, struct bd_grain_choice g,
                               struct bd_err *err);
bd_status bd_session_set_channel(struct bd_session *s, int layer, int channel,
                                 int bits, struct bd_err *err);
bd_status bd_session_set_all(struct bd_session *s, const struct bd_bitcfg *c,
                             const char *what, struct bd_err *err);
void bd_session_set_lock(struct bd_session *s, struct bd_sel sel, bool lock);

bool bd_session_undo(struct bd_session *s); /* false: nothing to undo */
bool bd_session_redo(struct bd_session *s);
/* Steps oldest first; returns the count; *now = how many are in force. */
size_t bd_session_history(const struct bd_session *s, size_t *now);
const char *bd_session_history_at(const struct bd_session *s, size_t i);

/* ------------------------------------------------------------- persistence */
bool bd_session_resumable(const struct bd_session *s, int64_t *age_s,
                          size_t *edits); /* an earlier session was found */
bd_status bd_session_resume(struct bd_session *s, struct bd_err *err);
bd_status bd_session_export(struct bd_session *s, const char *path,
                            bool force, struct bd_err *err); /* config/1 with
                             clip values and whatever metrics are exact */

/* Pictures as PNG, from what is known at this moment: tens of milliseconds.
 * What was not measured is refused with a sentence that says how to. */
enum bd_picture_what {
    BD_PICTURE_HISTOGRAM,   /* of a layer's weights, with its grid */
    BD_PICTURE_CHANNELS,    /* of a layer: range, error and bits of each */
    BD_PICTURE_SENSITIVITY, /* layers by widths, of a sweep */
    BD_PICTURE_TRADEOFF,    /* accuracy against size */
    BD_PICTURES
};
extern const char *const bd_picture_names[]; /* "histogram", ... NULL-ended */
struct bd_plot_ask { /* zero-initialised: a histogram, 1200x800, light */
    enum bd_picture_what what;
    int layer;
    const char *path;
    bool force;
    int w, h;
    const char *theme; /* "light", "dark" */
    const struct bd_sens_table *sens; /* NULL = the newest sweep */
};
bd_status bd_session_plot(struct bd_session *s, const struct bd_plot_ask *ask,
                          struct bd_err *err);

/* The same two on a lane, for the interface: both return at once, and the
 * outcome comes later as news, a sentence each.  Refusals before that (no
 * memory, nothing to draw yet) are returned. */
bd_status bd_session_export_soon(struct bd_session *s, const char *path,
                                 bool force, struct bd_err *err);
bd_status bd_session_plot_soon(struct bd_session *s,
                               const struct bd_plot_ask *ask,
                               struct bd_err *err);
bool bd_session_news(struct bd_session *s, char *text, size_t cap,
                     bool *refused); /* false: none since the last call */
void bd_session_settle(struct bd_session *s); /* waits for files asked for */

/* ------------------------------------------------------------ sensitivity
 * A sweep runs on the long lane; its results so far are shown at any moment,
 * kept when it is cancelled, cached by content and resumed. */
struct bd_sweep_opts { /* zero-initialised: defaults */
    unsigned what;          /* enum bd_sens_what; several: 1 << what each;
                               0 = weights */
    enum bd_sens_mode mode;
    unsigned metrics;       /* 1 << enum bd_sens_metric; 0 = kl */
    int nbits;
    int bits[16];           /* nbits 0 = 2 to 8 */
    const char *methods;    /* "uniform,apot:channel:mse"; NULL = each layer's
                               own method, uniform by mse where float */
    int64_t images;         /* 0 = all of the evaluation set */
    bool no_early_stop, no_cache;
};
bd_status bd_session_sweep(struct bd_session *s, const struct bd_sweep_opts *o,
                           struct bd_err *err);
/* The newest results, also partial or cancelled ones; NULL = none yet.
 * Borrowed until the next collect. */
const struct bd_sens_table *bd_session_sens(const struct bd_session *s);
/* Loss of one layer under its present choice (weights and input), by the
 * newest sweep, interpolated between widths; NaN = not known. */
double bd_session_layer_sens(const struct bd_session *s, int layer);
/* The same for a list of layers: a layer left in float is judged by what 4
 * bits, or the measured width nearest to it, would do. */
struct bd_sens_view {
    enum bd_sens_metric metric;
    double loss, half; /* NaN = not known */
    int bits;          /* the width meant */
    bool here;         /* it is the present one */
    double per_bit;    /* loss per bit of storage saved against float */
};
void bd_session_sens_of(struct bd_sens_view *out, const struct bd_session *s,
                        int layer);
bool bd_session_sweeping(const struct bd_session *s);
void bd_session_sweep_stop(struct bd_session *s); /* keeps what is there */
/* "kl 2-8 w,a images=256" as options; methods= comes last and is borrowed. */
bd_status bd_sweep_words(struct bd_sweep_opts *o, const char *text,
                         struct bd_err *err);
/* Why a layer hurts, in words; layer -1 = the one that hurts most.  Asked
 * for on the fast lane, the answer follows (NULL until then; borrowed until
 * the next collect). */
enum { BD_WHY_LINES = 16 };
struct bd_why {
    int layer, n; /* -1: none is guilty */
    bool heading[BD_WHY_LINES];
    char line[BD_WHY_LINES][120];
};
bd_status bd_session_ask_why(struct bd_session *s, int layer,
                             struct bd_err *err);
const struct bd_why *bd_session_why(const struct bd_session *s);

/* Sensitivities as files: our own (what the verb prints), the measurements of
 * ExLlamaV3 ({dkld, dbits} per layer and alternative), MLX's pairs of layer
 * and score.  Writing is deterministic but for images_per_s. */
enum bd_sens_format { BD_SENS_JSON, BD_SENS_EXL3, BD_SENS_MLX,
                      BD_SENS_FORMATS };
extern const char *const bd_sens_format_names[]; /* "json", ... NULL-ended */
bd_status bd_sens_write(struct bd_str *out, const struct bd_model *m,
                        const struct bd_sens_table *t,
                        enum bd_sens_format format, struct bd_err *err);
/* Any of the three, decided by content.  Layers the model lacks are counted
 * in a warning (one per line in warn); a file that names none of its layers
 * is refused.  Nothing in *out is borrowed from the text. */
bd_status bd_sens_read(struct bd_sens_table *out, const struct bd_model *m,
                       struct bd_text text, struct bd_str *warn,
                       struct bd_err *err);

/* -------------------------------------------------------------- bit planes
 * Bitwise Bottleneck of layers' inputs, and of weights: which planes of an
 * 8-bit code to keep (bitwise_bottleneck.md).  Codes are counted exactly, in
 * one more pass over the calibration images when first asked for; after that
 * any threshold is answered at once. */
struct bd_planes_opts { /* zero-initialised: defaults */
    int of;          /* planes of the code, 1..8; 0 = 8 */
    uint64_t dither; /* seed, 0 = none */
    int largest;     /* range = k-th largest magnitude, 1..64; 0 = by the
                        layer's clip rule */
    bool outlier;    /* range = the second largest where the largest is more
                        than 10 code units above it (the published rule) */
};
struct bd_threshold {
    bool loss; /* db is below what the plain code was measured at, else the
                  PSNR itself */
    double db;
};
/* The PSNR a tensor needs; INFINITY - loss is INFINITY. */
double bd_threshold_need(const struct bd_plane_table *t,
                         const struct bd_threshold *th);
/* "39 dB", "16 dB loss" */
char *bd_threshold_text(char *out, size_t cap, const struct bd_threshold *t);

struct bd_planes_view { /* borrowed until the next collect */
    enum bd_fresh fresh; /* BD_STALE: of another clip rule or network */
    const struct bd_plane_table *table; /* NULL = not counted */
    const struct bd_codetable *codes;
    float clip;          /* range chosen by hand, 0 = by the rule */
};
void bd_session_planes(struct bd_planes_view *out, const struct bd_session *s,
                       int layer, enum bd_part part);
bool bd_session_planes_counting(const struct bd_session *s, enum bd_part part);
/* Counts again where needed: on a lane, or on the caller's thread. */
bd_status bd_session_planes_ask(struct bd_session *s, enum bd_part part,
                                struct bd_err *err);
bd_status bd_session_now_planes(struct bd_session *s, enum bd_part part,
                                const struct bd_planes_opts *o,
                                struct bd_ctl *ctl, struct bd_err *err);
/* Method 'bottleneck' with the fewest planes that reach the threshold, as one
 * undo step; steps of a held slider join.  Where codes are not counted yet
 * this happens as soon as they are. */
bd_status bd_session_set_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_threshold *t,
                                struct bd_err *err);
/* The same for an average of `rate` planes per value: exactly the allocation
 * of least squared error (in code units, each layer weighed by its number of
 * values, or by measured sensitivities where a sweep knows all of them).
 * Locked layers stay as they are and take no part. */
bd_status bd_session_spend_planes(struct bd_session *s, struct bd_sel sel,
                                  enum bd_part part, double rate,
                                  struct bd_err *err);
/* The same with rows chosen by the caller, one per selected layer; codes must
 * have been counted. */
bd_status bd_session_put_planes(struct bd_session *s, struct bd_sel sel,
                                enum bd_part part,
                                const struct bd_plane_row *const *row,
                                struct bd_err *err);
struct bd_planes_net { /* of the layers that have method 'bottleneck' now */
    size_t layers;
    double mean;      /* planes kept, each layer once: "average code rate" */
    double weighted;  /* each layer by its number of values */
    double with_sign; /* ... and one bit more where a tensor is signed */
    double entropy;   /* bits per value a lossless coder needs at least, by
                         number of values; NaN: not all counted */
    bool waiting;     /* a threshold is to be set when codes are counted */
    struct bd_threshold now; /* set last; db 0: none yet */
    double rate;      /* spent last, after any threshold; 0: none */
};
/* What was set last: "39 dB", "rate 4.5", "" for neither. */
char *bd_planes_net_goal(char *out, size_t cap,
                         const struct bd_planes_net *n);
void bd_session_planes_net(struct bd_planes_net *out,
                           const struct bd_session *s, enum bd_part part);
/* "4.64 planes on average, 4.5 by number of values" */
char *bd_planes_net_text(char *out, size_t cap,
                         const struct bd_planes_net *n);
/* The input channels of a layer, each over a range of its own; counted on a
 * lane.  NULL until then; borrowed until the next collect. */
const struct bd_plane_table *bd_session_plane_channels(struct bd_session *s,
                                                       int layer, int *n);

/* ----------------------------------------------------------------- repairs
 * bd_repairs() lists them.  Each is one undo step ("equalize: 19 pairs");
 * what changes the network also changes bd_session_model. */
struct bd_repair_ask {
    const char *name;   /* "equalize" */
    struct bd_sel sel;  /* chosen layers; n 0 = all */
    bool clip_safe;     /* ReLU6 between layers never reaches its bound */
    int64_t iterations; /* adaround: 0 = 1000 */
};
/* On the long lane; the outcome comes as news, with accuracy before and after
 * once that is known.  One at a time. */
bd_status bd_session_repair(struct bd_session *s,
                            const struct bd_repair_ask *ask,
                            struct bd_err *err);
/* The same on the caller's thread; `what` gets the step's name. */
bd_status bd_session_now_repair(char what[112], struct bd_session *s,
                                const struct bd_repair_ask *ask,
                                struct bd_ctl *ctl, struct bd_err *err);
/* Names of the repairs the present network went through, oldest first;
 * returns the count, which may exceed cap. */
size_t bd_session_repairs(const struct bd_session *s, const char **name,
                          size_t cap);

/* Searching for widths under a budget, and the trade-off. */
#include "session/search.h"

/* --------------------------------------------------------------- comparing
 * Configurations have names: those a person kept, and a few that are always
 * there ("here", "as opened", "float", "uniform 4", ...; the uniform ones
 * leave inputs as they are here).  Two of them are compared layer by layer
 * and on the same images. */
struct bd_kept_view {
    const char *name; /* borrowed until the next keep or forget */
    bool own;         /* kept by a person: can be forgotten */
    double avg_bits;
    int64_t size_bits;
};
size_t bd_session_kept(struct bd_session *s); /* how many; 0 = no memory */
bool bd_session_kept_at(struct bd_kept_view *out, struct bd_session *s,
                        size_t i); /* false: no such i */
/* Keeps a configuration (NULL = the present one) under a name; NULL = the
 * next free "kept 1".  An own one of that name is replaced.  *index: where it
 * is now, may be NULL. */
bd_status bd_session_keep(size_t *index, struct bd_session *s,
                          const char *name, const struct bd_bitcfg *cfg,
                          struct bd_err *err);
bd_status bd_session_forget(struct bd_session *s, const char *name,
                            struct bd_err *err);
/* Index of a name; -1 = none, with the nearest one in the sentence. */
int bd_session_kept_find(struct bd_session *s, const char *name,
                         struct bd_err *err);
/* A copy of the configuration of that name, the caller's. */
bd_status bd_session_kept_cfg(struct bd_bitcfg *out, struct bd_session *s,
                              const char *name, struct bd_err *err);

struct bd_compare_errors { /* of one side of one layer; NaN = not known yet or
                              cannot be, INFINITY = float */
    double w_psnr_db, a_psnr_db;
    int64_t stored_bits;
};
struct bd_compare_layer {
    bool differs_w, differs_a;
    struct bd_compare_errors side[2];
};
struct bd_compare_side {
    struct bd_bitcfg cfg;
    bool other_network;     /* not the present one: repairs lie between */
    struct bd_cost cost;    /* always exact */
    enum bd_fresh fresh;    /* of acc */
    bool stopped;           /* by a person; another choice asks again */
    struct bd_net_eval acc;
};
struct bd_compare {
    struct bd_compare_side side[2];
    bool paired_known;
    struct bd_paired paired;
    size_t n, differing;            /* layers */
    struct bd_compare_layer *layer; /* [n] */
};
void bd_compare_done(struct bd_compare *c);
/* What is known now of two named configurations; asks the lanes for the
 * rest.  Borrowed until the next call.  NULL: no such name, or no memory. */
const struct bd_compare *bd_session_compare(struct bd_session *s,
                                            const char *a, const char *b,
                                            struct bd_err *err);
/* The same at once, on the caller's thread, for any two configurations.
 * Without data that can be run the accuracies stay absent. */
bd_status bd_session_now_compare(struct bd_compare *out, struct bd_session *s,
                                 const struct bd_bitcfg *const cfg[2],
                                 struct bd_ctl *ctl, struct bd_err *err);

/* ------------------------------------------------- channels of a feature
 * The network split at a layer, the feature there quantized channel by
 * channel (channel_bit_allocation.md; engine/feature).  The float network
 * runs; the configuration plays no part. */
enum { BD_LAB_IMAGES = 16 };
struct bd_lab_opts { /* zero-initialised: defaults */
    const char *split;    /* as bd_split_find takes it */
    enum bd_feature_kind kind;
    int64_t images;       /* 0 = the first 16 */
    const char *table;    /* intervals from this file, NULL = searched */
};
struct bd_lab { /* what is measured once; read-only but for the judge */
    atomic_int refs;
    struct bd_plan *plan; /* of the network as it was then; the split's */
    struct bd_split split;
    struct bd_feature f;
    struct bd_qtable t;
    struct bd_backend back;
    struct bd_judge *judge; /* one user at a time */
    double *mean, *dev;     /* [channels] of each channel */
    double *sens;           /* [channels][9] output errors, NULL = not yet */
};
/* Runs the front end, searches the intervals, runs the back end once. */
bd_status bd_lab_open(struct bd_lab **out, const struct bd_session *s,
                      const struct bd_lab_opts *o, struct bd_ctl *ctl,
                      struct bd_err *err);
struct bd_lab *bd_lab_ref(struct bd_lab *l);
void bd_lab_unref(struct bd_lab *l); /* NULL is fine */
struct bd_lab_ask {
    const char *method; /* priority, uniform, or a row of bd_allocators();
                           NULL = priority; borrowed */
    double avg_bits;    /* 0 to 8 */
    struct bd_priority p;
    bool on_output;     /* losses: of the output instead of the feature */
};
/* bits[channels]; *left: bits per position that could not be spent.  Needs
 * the judge for output losses, else any thread. */
bd_status bd_lab_solve(int8_t *bits, double *left, struct bd_lab *l,
                       const struct bd_lab_ask *ask, struct bd_err *err);
/* Output error of section 2's baseline: the whole width within avg_bits, one
 * interval for all channels. */
bd_status bd_lab_uniform(double *mse, struct bd_lab *l, double avg_bits,
                         struct bd_err *err);

/* The same on the long lane, for the screen.  Asking again with the same
 * split and quantizer only solves again; what was running is replaced. */
struct bd_feature_ask {
    struct bd_lab_opts lab;
    struct bd_lab_ask solve;
    int64_t runs; /* of the refinement */
};
bd_status bd_session_feature_start(struct bd_session *s,
                                   const struct bd_feature_ask *ask,
                                   struct bd_err *err);
void bd_session_feature_stop(struct bd_session *s); /* keeps the best */
struct bd_feature_view { /* borrowed until the next collect or start */
    bool running, stopped;
    char split[160], why[300]; /* why: nothing came, a sentence */
    enum bd_feature_kind kind;
    double avg_bits, left;
    const struct bd_lab *lab; /* NULL = not measured yet */
    const int8_t *bits;       /* [channels] or NULL */
    enum bd_fresh fresh;      /* of the errors: of these bits? */
    double mse, start, uniform; /* of the output; NaN = not yet */
    int64_t asked, done;        /* runs of the refinement */
    const struct bd_refine_step *step; /* [done] */
};
/* false: never started. */
bool bd_session_feature(struct bd_feature_view *out,
                        const struct bd_session *s);

/* -------------------------------------------------- at once, for the cli
 * The same computations as the lanes run, on the caller's thread. */
bd_status bd_session_now_layer(struct bd_error_stats *out,
                               struct bd_session *s, int layer,
                               const struct bd_tensorcfg *cfg,
                               struct bd_err *err);
struct bd_layer_errors { /* per layer of a full evaluation */
    double w_psnr_db, a_psnr_db, out_sqnr_db; /* NaN where not quantized */
};
bd_status bd_session_now_sweep(struct bd_sens_table *out,
                               struct bd_session *s,
                               const struct bd_sweep_opts *o,
                               struct bd_ctl *ctl, struct bd_err *err);
/* Accuracy of the current configuration and of float; layers: [nlayers] or
 * NULL.  ctl may be NULL; progress and cancellation go through it. */
bd_status bd_session_now_eval(struct bd_net_eval *out,
                              struct bd_net_eval *float_out,
                              struct bd_layer_errors *layers,
                              struct bd_session *s, struct bd_ctl *ctl,
                              struct bd_err *err); /* six: two results */


#endif
