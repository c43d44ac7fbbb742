/* session_priv: shared by the files of session/ only.
 *
 *   open.c     model, data, preprocessing, first configuration; the end
 *   fits.c     fitted quantizers of weights, built once, shared, immutable
 *   bench.c    calibration, float logits, accuracy: one runner, one user
 *   calibrate.c  the pass over the calibration images
 *   acts.c     the error of quantizing one layer's input
 *   inputs.c   fitted quantizers of inputs, kept from run to run
 *   lockstep.c float and quantized side by side, for errors at the outputs
 *   live.c     what runs on lanes, what comes back, how fresh it is
 *   live_layer.c  the jobs of one layer
 *   view.c     the same as the screen asks for it
 *   edit.c     the verbs that change the configuration
 *   history.c  undo
 *   persist.c  autosave, resume
 *   steps.c    the undo list in the session file
 *   write.c    export and pictures, on a lane; plot.c and pictures.c: what
 *              they show
 *   kept.c     configurations kept under names; compare.c: two of them
 *   tools.c    the table of tools: sweep, search, ..., each with its own
 *              state and jobs, so that nothing above has to know them
 *   lab.c      channel allocation at a split; feature.c: the same as a tool
 *   planes.c   bit planes: thresholds; planes_count.c: counting codes
 *   log.c      the log
 *
 * Who owns what: the session (interface's thread) owns the configuration,
 * history and live results.  fits and bench are shared with the lanes and
 * guard themselves; everything they hand out is immutable. */
#ifndef BD_SESSION_PRIV_H
#define BD_SESSION_PRIV_H

#include "session/session.h"

#include <pthread.h>
#include <stdatomic.h>

/* A tensor left as it is. */
bool bd_session_is_float(const struct bd_tensorcfg *t);
bool bd_session_all_float(const struct bd_bitcfg *c);

/* ------------------------------------------------------------------- fits
 * Any thread; the peeks never wait for a computation. */
struct bd_basic { /* of a layer's weights, whatever the configuration */
    struct bd_stats stats;
    int64_t bins[BD_VIEW_BINS];
    struct bd_index *index; /* NULL: not indexable, slower paths are used */
};
struct bd_fit { /* weights of one layer under one choice; immutable */
    atomic_int refs;
    int layer;
    uint64_t digest; /* of the choice */
    struct bd_tensorcfg cfg;
    struct bd_qset set;
    struct bd_error_stats err;
    float *values; /* quantized weights; NULL until asked for */
};
struct bd_fits;
bd_status bd_fits_new(struct bd_fits **out, const struct bd_model *m,
                      struct bd_err *err);
/* Of a repaired network: shares what the repair left alone with `before`,
 * which must outlive it.  ref: errors are measured against its weights, NULL
 * = m's own. */
bd_status bd_fits_after(struct bd_fits **out, const struct bd_model *m,
                        struct bd_fits *before, const struct bd_model *ref,
                        struct bd_err *err);
/* The weights a layer's error is measured against when they are not those
 * that are quantized; else NULL. */
const float *bd_fits_reference(struct bd_fits *f, int layer);
void bd_fits_free(struct bd_fits *f);
struct bd_weights bd_fits_weights(const struct bd_fits *f, int layer);
const struct bd_basic *bd_fits_peek_basic(struct bd_fits *f, int layer);
bd_status bd_fits_basic(const struct bd_basic **out, struct bd_fits *f,
                        int layer, struct bd_ctl *ctl, struct bd_err *err);
/* Both return a counted reference, to be given back by unref. */
const struct bd_fit *bd_fits_peek(struct bd_fits *f, int layer,
                                  const struct bd_tensorcfg *cfg);
struct bd_fit_ask {
    int layer;
    const struct bd_tensorcfg *cfg; /* not float */
};
bd_status bd_fits_get(const struct bd_fit **out, struct bd_fits *f,
                      struct bd_fit_ask ask, struct bd_ctl *ctl,
                      struct bd_err *err);
void bd_fits_unref(struct bd_fits *f, const struct bd_fit *fit);
/* The quantized weights; valid while the reference is held. */
bd_status bd_fits_values(const float **out, struct bd_fits *f,
                         const struct bd_fit *fit, struct bd_err *err);

/* ------------------------------------------------------------- activations */
struct bd_act_error {
    uint64_t digest; /* of the choice */
    struct bd_qparam p; /* of several, that with the largest clip */
    double psnr_db, sqnr_db;
};
bd_status bd_acts_error(struct bd_act_error *out,
                        const struct bd_calib_input *in,
                        const struct bd_tensorcfg *cfg, struct bd_err *err);

/* ------------------------------------------------------------------ bench
 * Everything that runs images.  One user at a time (the eval lane, or the
 * command line); calls from several threads take turns. */
struct bd_bench_opts {
    const struct bd_model *m;
    const struct bd_data *data, *calib; /* borrowed; may be the same */
    struct bd_prep prep;
    int64_t first, images; /* of data */
    int64_t calib_images;
    size_t elements; /* the network's input, one image */
    size_t memory;
    struct bd_pool *pool;
    struct bd_fits *fits;
    /* Of a repaired network; all NULL and 0 for the network as it came. */
    struct bd_bench *reference; /* whose float outputs and pictures count */
    const struct bd_model *ref; /* whose layers' outputs count, NULL = m */
    uint64_t salt;              /* part of the digest of every answer */
};
struct bd_bench;
bd_status bd_bench_new(struct bd_bench **out, const struct bd_bench_opts *o,
                       struct bd_err *err);
void bd_bench_free(struct bd_bench *b);
const struct bd_runner *bd_bench_runner(const struct bd_bench *b);
/* Results of steps already done, or NULL; any thread, never wait. */
const struct bd_actstat *bd_bench_stat(const struct bd_bench *b, int layer);
/* Channel by channel (bd_graph_input_slices); also NULL for a layer with more
 * channels than the memory for them allows. */
const struct bd_chanstat *bd_bench_chanstat(const struct bd_bench *b,
                                            int layer);
/* Both, and the clip that came with the layer: what fitting asks for. */
struct bd_calib_input bd_bench_input(const struct bd_bench *b, int layer);
const struct bd_net_eval *bd_bench_float_eval(const struct bd_bench *b);
/* Steps: each does nothing when already done. */
bd_status bd_bench_calibrate(struct bd_bench *b, struct bd_ctl *ctl,
                             struct bd_err *err);
/* Calibrates if this configuration quantizes activations. */
bd_status bd_bench_prepare(struct bd_bench *b, const struct bd_bitcfg *cfg,
                           struct bd_ctl *ctl, struct bd_err *err);
bd_status bd_bench_float(struct bd_bench *b, struct bd_ctl *ctl,
                         struct bd_err *err);
/* Accuracy of a configuration, with both steps before it where needed.
 * Posts partial results (struct bd_acc_answer) through ctl. */
struct bd_acc_answer {
    uint64_t digest; /* bd_stage_digest of the configuration; 0 = a partial
                        float run */
    struct bd_net_eval eval;
};
bd_status bd_bench_accuracy(struct bd_acc_answer *out, struct bd_bench *b,
                            const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                            struct bd_err *err);
/* The same with the class answered for each image, for paired statistics. */
struct bd_acc_ask {
    const struct bd_bitcfg *cfg;
    int32_t *answer; /* [images], filled; NULL = not wanted */
};
bd_status bd_bench_answers(struct bd_acc_answer *out, struct bd_bench *b,
                           struct bd_acc_ask ask, struct bd_ctl *ctl,
                           struct bd_err *err);
/* Signal-to-noise ratio of each layer's output under cfg, all layers
 * quantized together, over the calibration images; db: [nlayers]. */
bd_status bd_bench_lockstep(double *db, struct bd_bench *b,
                            const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                            struct bd_err *err);

/* After a run over all images: outputs of a network that ends in Softmax
 * become logits; others are left alone.  logits: [images, outputs]. */
void bd_bench_logits_done(const struct bd_bench *b, float *logits);

/* Fits of inputs, kept per layer and choice (inputs.c).  Any thread. */
struct bd_input_fit { /* immutable, counted */
    atomic_int refs;
    struct bd_tensorcfg cfg;
    struct bd_actset set;
};
struct bd_input_ask {
    const struct bd_tensorcfg *cfg;
    struct bd_calib_input in;
};
struct bd_inputs;
bd_status bd_inputs_new(struct bd_inputs **out, size_t layers,
                        struct bd_err *err);
void bd_inputs_free(struct bd_inputs *c); /* NULL is fine */
/* *out is a counted reference, to be given back by unref. */
bd_status bd_inputs_get(const struct bd_input_fit **out, struct bd_inputs *c,
                        size_t layer, const struct bd_input_ask *ask,
                        struct bd_err *err);
void bd_inputs_unref(const struct bd_input_fit *fit); /* NULL is fine */

/* What a run needs per layer, built from a configuration. */
struct bd_qrun {
    size_t n;
    struct bd_qlayer *q;      /* [n] */
    const struct bd_fit **fit; /* [n], NULL where float */
    const struct bd_input_fit **act; /* [n], NULL where float */
    bool any;                 /* something is quantized */
    const struct bd_bench *bench;
    struct bd_fits *fits;
};
bd_status bd_qrun_init(struct bd_qrun *r, struct bd_bench *b,
                       const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                       struct bd_err *err);
void bd_qrun_done(struct bd_qrun *r);

/* Inside bench.c and its neighbours. */
struct bd_bench {
    struct bd_bench_opts o;
    pthread_mutex_t turn;
    struct bd_runner *runner, *calib; /* calib == runner for shared data */
    struct bd_pixels *pixels, *calib_pixels;
    int *label; /* [o.images] */
    int64_t outputs;
    float *float_logits, *logits; /* [images, outputs] */
    uint64_t logits_of; /* digest of the answers in `logits`; 0 = none */
    struct bd_net_eval float_eval;
    /* Published once, with release order; immutable from then on. */
    struct bd_actstat **stat;  /* [nlayers] */
    struct bd_chanstat **chan; /* [nlayers], NULL where too wide */
    struct bd_inputs *inputs;
    atomic_bool calibrated, float_done;
};

/* calibrate.c: the pass, under `turn`; and freeing what it left. */
bd_status bd_bench_pass(struct bd_bench *b, struct bd_ctl *ctl,
                        struct bd_err *err);
void bd_bench_forget(struct bd_bench *b);
const struct bd_plan *bd_bench_plan(const struct bd_bench *b);

/* Preprocessed pictures, decoded once when they fit into the budget. */
struct bd_pixels;
bd_status bd_pixels_new(struct bd_pixels **out, const struct bd_bench_opts *o,
                        const struct bd_data *d, int64_t first, int64_t n);
void bd_pixels_free(struct bd_pixels *p);
bd_status bd_pixels_fetch(void *pixels, int64_t first, int64_t n, float *dst,
                          struct bd_err *err); /* a bd_source fetch */

/* ---------------------------------------------------------------- history */
struct bd_change {
    int layer;
    struct bd_layercfg before, after;
};
struct bd_stage;
struct bd_step { /* one undo step */
    char what[112];
    struct bd_stage *from, *to; /* of a repair; NULL = the network stays */
    uint64_t merge; /* equal and recent: joins the step before; 0 = never */
    int64_t when_ns;
    size_t n;
    struct bd_change *change; /* [n]; owned */
};
enum { BD_UNDO_DEPTH = 1000 };
struct bd_history { /* zero-initialised is empty */
    struct bd_step *step;
    size_t n, cap, now; /* step[0..now) are in force */
};
void bd_step_done(struct bd_step *s);
/* Moves *s in, dropping what could have been redone.  False: no memory. */
bool bd_history_push(struct bd_history *h, struct bd_step *s);
void bd_history_done(struct bd_history *h);

/* ----------------------------------------------------------------- stages
 * A repair changes the network: its weights, what is fitted to them, what
 * runs images.  These go together as a stage.  The session points into the
 * present one; all stages live until it closes, since lanes may use them and
 * undo returns to them with all they know. */
struct bd_stage {
    struct bd_model *m;
    struct bd_fits *fits;
    struct bd_bench *bench; /* NULL: no accuracy */
    struct bd_stage *from;  /* NULL: the network as it was opened */
    const struct bd_model *ref; /* what errors are measured against */
    struct bd_repair_note note; /* what led here */
    uint64_t salt;              /* of digests; 0 for the first */
};
/* Digest of a configuration of a stage's network. */
uint64_t bd_stage_digest(uint64_t salt, const struct bd_bitcfg *c);
uint64_t bd_session_digest(const struct bd_session *s,
                           const struct bd_bitcfg *c);
/* The network as it came, with nothing quantized. */
bool bd_session_is_original(const struct bd_session *s);

struct bd_stage_ask { /* what making a stage takes; any thread */
    struct bd_stage *from;
    const struct bd_bitcfg *cfg; /* n 0 in the note's `under`: this one */
    const struct bd_repair_note *note;
    struct bd_pool *pool;
};
struct bd_stage_made {
    struct bd_stage *stage; /* NULL: the network stays */
    struct bd_bitcfg cfg;   /* n 0: the choices stay */
    char what[112];         /* "equalize: 19 pairs" */
};
bd_status bd_stage_make(struct bd_stage_made *out,
                        const struct bd_stage_ask *a, struct bd_ctl *ctl,
                        struct bd_err *err);
void bd_stage_made_done(struct bd_stage_made *m); /* stages too */
void bd_stage_free(struct bd_stage *g);
/* One after the other; *out is the last, its predecessors hang on it down to
 * `from`. */
bd_status bd_stage_replay(struct bd_stage **out, const struct bd_stage_ask *a,
                          const struct bd_repair_notes *notes,
                          struct bd_ctl *ctl, struct bd_err *err);
void bd_stage_free_down_to(struct bd_stage *g, const struct bd_stage *from);
/* Interface's thread.  adopt: the session owns it, and those it came from,
 * from now on; false: no memory. */
void bd_stages_start(struct bd_session *s);
bool bd_stages_adopt(struct bd_session *s, struct bd_stage *g);
void bd_stages_done(struct bd_session *s);
/* Makes a stage the present one; false: it is, or NULL. */
bool bd_stage_enter(struct bd_session *s, struct bd_stage *g);
/* What led to the present stage, oldest first; the array is the caller's, the
 * notes are not. */
bd_status bd_stage_notes(struct bd_repair_notes *out,
                         const struct bd_stage *at);
/* repair.c: the repairs of an earlier session once more, on a lane; then
 * bd_persist_resume. */
bd_status bd_repair_again(struct bd_session *s,
                          const struct bd_repair_notes *notes,
                          struct bd_err *err);
/* A finished answer came in: a repair may have waited for it. */
void bd_repair_measured(struct bd_session *s);

/* ------------------------------------------------------------------ tools
 * A capability beside the live numbers is one file and one row in tools.c.
 * Its state lives in the session, zeroed, made when first asked for; its
 * jobs have keys of their own and come back to `accept`. */
enum bd_tool_id {
    BD_TOOL_SWEEP, BD_TOOL_SEARCH, BD_TOOL_TRADE, BD_TOOL_PLANES,
    BD_TOOL_REPAIR, BD_TOOL_FEATURE, BD_TOOL_COMPARE, BD_TOOLS
};
struct bd_tool {
    size_t state_size;
    /* A job's outcome, whatever it is (also failed and cancelled); takes
     * d->result.  sub: as given to bd_tool_key. */
    void (*accept)(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub);
    /* The configuration changed.  May be NULL. */
    void (*edited)(struct bd_session *s, void *state);
    /* Frees what the state owns; the lanes have ended. */
    void (*done)(void *state);
};
extern const struct bd_tool bd_compare_tool;
extern const struct bd_tool bd_feature_tool;
extern const struct bd_tool bd_sweep_tool;  /* sweep.c */
extern const struct bd_tool bd_search_tool, bd_trade_tool;
extern const struct bd_tool bd_repair_tool;
extern const struct bd_tool bd_planes_tool; /* planes.c */
const struct bd_tool *bd_tool_at(enum bd_tool_id id); /* NULL: no such row */
struct bd_session;
void *bd_tool_state(struct bd_session *s, enum bd_tool_id id); /* NULL: no
                                                                  memory */
const void *bd_tool_peek(const struct bd_session *s,
                         enum bd_tool_id id); /* NULL: never used */
uint64_t bd_tool_key(enum bd_tool_id id, uint32_t sub); /* sub < 2^24 */
void bd_tools_accept(struct bd_session *s, struct bd_done *d, uint32_t low);
void bd_tools_edited(struct bd_session *s);
void bd_tools_done(struct bd_session *s);

/* lab.c: what a lab is made from, as it is now; any thread.  The network and
 * bench of a stage outlive the lanes. */
struct bd_lab_site {
    const struct bd_model *m;
    struct bd_bench *bench;
    struct bd_pool *pool;
};
struct bd_lab_site bd_lab_site_of(const struct bd_session *s);
bd_status bd_lab_make(struct bd_lab **out, const struct bd_lab_site *site,
                      const struct bd_lab_opts *o, struct bd_ctl *ctl,
                      struct bd_err *err);

/* ------------------------------------------------------------ the session */
enum bd_live_kind {
    BD_LIVE_W = 1, BD_LIVE_A, BD_LIVE_CHANNELS, BD_LIVE_CALIB, BD_LIVE_FLOAT,
    BD_LIVE_ACC, BD_LIVE_SAVE, BD_LIVE_WRITE, BD_LIVE_TOOL
};

struct bd_chan_answer {
    uint64_t digest;
    int n;
    struct bd_channel_view c[];
};

struct bd_layer_live { /* newest results of one layer */
    bool have_w, w_full, have_a, failed;
    uint64_t w_digest;
    struct bd_error_stats w;
    const struct bd_fit *fit; /* counted, of the newest full answer */
    struct bd_act_error a;
    struct bd_chan_answer *chan;
    uint64_t chan_asked; /* digest under way or done, 0 = none */
};

/* The width and grain somebody asked for, before methods of fewer moved them:
 * going through the methods ends where it began. */
struct bd_wish {
    int8_t bits; /* 0 = none kept */
    uint8_t quant, grain;
    int16_t group;
};

struct bd_acc_live {
    bool have, partial;
    uint64_t digest;
    struct bd_net_eval eval;
};

struct bd_grid_cache { /* of the last grid asked for */
    const struct bd_fit *fit; /* counted */
    int channel;
    size_t n;
    double *levels, *cuts;
};

enum { BD_ACC_CACHE = 256, BD_LOG_LINES = 1000 };
struct bd_session {
    struct bd_arena arena; /* strings of the opening */
    struct bd_model *m;
    struct bd_data *data, *calib; /* calib NULL: the first images of data */
    struct bd_prep prep;
    struct bd_plan *plan;
    struct bd_pool *pool;
    struct bd_lanes *lanes;
    struct bd_fits *fits;
    struct bd_bench *bench; /* NULL: no accuracy, `why` says why */
    struct bd_stage base, *at; /* m, fits and bench are at's */
    struct bd_stage **stage;   /* the others, owned */
    size_t nstages, stage_cap;
    char why[800];
    int64_t images;
    uint64_t seed;
    bool started, shown_changed;

    struct bd_bitcfg cfg;
    uint64_t digest; /* of cfg */
    struct bd_history history;

    struct bd_layer_live *live; /* [nlayers] */
    struct bd_wish (*wish)[2];  /* [nlayers], weights and activations */
    struct bd_grid_cache *grid;
    struct bd_acc_live acc, float_acc; /* float_acc: partial ones only */
    struct bd_acc_answer *acc_cache; /* ring of exact answers */
    size_t acc_n, acc_next;
    int *visible;
    size_t nvisible, visible_cap;

    char **log;
    size_t nlog, log_cap;

    char state[600]; /* file of the autosave, "" = none */
    int lock_fd;
    void *tool[BD_TOOLS]; /* state of each; NULL = not used yet */
    bool dirty, saving;
    int writing;     /* files asked for and not yet reported */
    unsigned writes; /* asked for so far */
    struct {
        bool have, refused;
        char text[900];
    } news; /* of the newest one reported */
    int64_t edited_ns;
    struct bd_config_full saved; /* of an earlier run; cfg.n 0 = none */
    struct bd_history saved_steps; /* its undo list, empty = none */
    int64_t saved_at;            /* seconds since 1970 */
    int64_t edits_before;
};

/* live.c: after another stage was entered; the choices are in force. */
void bd_live_network(struct bd_session *s);
/* Forgets what belongs to the stage that is left. */
void bd_live_leave(struct bd_session *s);
/* live.c: after a step went in or out; at the start; cheap queries. */
void bd_live_start(struct bd_session *s);
void bd_live_accuracy(struct bd_session *s); /* asks for it, if unknown */
void bd_live_follow(struct bd_session *s, const struct bd_step *step);
void bd_live_done(struct bd_session *s);
/* Keeps an exact accuracy for when its configuration comes back. */
void bd_live_remember(struct bd_session *s, const struct bd_acc_answer *a);
/* Accuracy of any configuration on the eval lane; its bd_acc_answer comes
 * back under `key`.  false: not asked. */
bool bd_live_measure(struct bd_session *s, uint64_t key, const char *title,
                     struct bd_bench *bench, const struct bd_bitcfg *cfg);
/* Borrowed until the next one is remembered; NULL if never measured. */
const struct bd_net_eval *bd_live_known(const struct bd_session *s,
                                        uint64_t digest);
void bd_trade_seen(struct bd_session *s, const struct bd_acc_answer *a);
bd_status bd_live_submit(struct bd_session *s, const struct bd_job *j);
uint64_t bd_live_key(enum bd_live_kind kind, int layer);
void bd_live_channels(struct bd_session *s, int layer);

/* persist.c */
void bd_persist_open(struct bd_session *s);
void bd_persist_edited(struct bd_session *s);
void bd_persist_close(struct bd_session *s);

/* history.c: `saved` in force with its undo list, which moves in; what is
 * there now becomes the step before it. */
bd_status bd_history_resume(struct bd_session *s, struct bd_stage *stage,
                            const struct bd_bitcfg *saved,
                            struct bd_history *steps, struct bd_err *err);
/* A configuration of a stage as one step: the network comes with it. */
bd_status bd_history_take(struct bd_session *s, struct bd_stage *stage,
                          const struct bd_bitcfg *cfg, const char *what,
                          struct bd_err *err);
/* persist.c: the saved configuration, once its network is there. */
bd_status bd_persist_resume(struct bd_session *s, struct bd_stage *stage,
                            struct bd_err *err);

/* A configuration with every step in force taken back: how it began. */
bd_status bd_history_beginning(struct bd_bitcfg *out,
                               const struct bd_bitcfg *saved,
                               const struct bd_history *steps);

/* steps.c.  Adds the undo list to the text of a session file; where it
 * begins in one, n = there is none; reads it from there, with the
 * configuration it came with.  A failed read leaves *out empty. */
void bd_steps_write(struct bd_str *doc, const struct bd_session *s);
size_t bd_steps_find(const char *text, size_t n);
/* A CHOICE of that list: one layer's weights, input and lock as one text. */
void bd_choice_write(struct bd_json *j, const struct bd_layercfg *l);
bd_status bd_choice_read(struct bd_layercfg *out, const struct bd_model *m,
                         int layer, const char *text, struct bd_err *err);
bd_status bd_steps_read(struct bd_history *out, const struct bd_model *m,
                        const struct bd_bitcfg *saved, struct bd_text text,
                        struct bd_err *err);

/* kept_file.c: the kept configurations as a key of the session file, in
 * front of the undo list; and back.  Those of a repaired network are left
 * out, for their network is not in the file. */
void bd_kept_write(struct bd_str *doc, const struct bd_session *s);
bd_status bd_kept_read(struct bd_session *s, struct bd_text doc,
                       struct bd_err *err);

/* write.c: the document without clips measured here; and the outcome of a
 * lane's writing. */
bd_status bd_document_plain(struct bd_str *out, const struct bd_session *s,
                            int64_t edits, struct bd_err *err);
void bd_write_done(struct bd_session *s, const struct bd_done *d);

/* plot.c: a copy of what a picture shows, drawn and written by any thread. */
struct bd_picture;
bd_status bd_picture_new(struct bd_picture **out, struct bd_session *s,
                         const struct bd_plot_ask *ask, struct bd_err *err);
bd_status bd_picture_write(const struct bd_picture *p, const char *path,
                           bool force, struct bd_err *err);
void bd_picture_free(struct bd_picture *p); /* NULL is fine */
/* live_layer.c: on the caller's thread, for when there are no lanes. */
bd_status bd_live_channels_now(struct bd_session *s, int layer,
                               struct bd_err *err);

/* edit.c: puts a finished step in force, or frees it; needs all its layers
 * to be legal. */
bd_status bd_edit_commit(struct bd_session *s, struct bd_step *step,
                         struct bd_err *err);

/* now.c: weight and input errors of one layer under a choice; any thread.
 * stat NULL: that of the input stays NaN. */
struct bd_errors_ask {
    int layer;
    const struct bd_layercfg *cfg;
    struct bd_fits *fits;
    struct bd_calib_input in; /* in.all NULL: not calibrated yet */
};
struct bd_errors_ask bd_errors_ask_of(const struct bd_session *s, int layer,
                                      const struct bd_layercfg *cfg);
bd_status bd_layer_errors_of(struct bd_layer_errors *out,
                             const struct bd_errors_ask *ask,
                             struct bd_ctl *ctl, struct bd_err *err);

/* prep.c of opening: chooses the preprocessing and says so. */
bd_status bd_session_choose_prep(struct bd_session *s, const char *asked,
                                 const char *sidecar, const int64_t dim[4],
                                 struct bd_err *err);

#endif
