/* config: what the user turns, for a whole network, and the documents that
 * carry it (bitdial.config/1).  Pure data: no model is run here. */
#ifndef BD_CONFIG_H
#define BD_CONFIG_H

#include "model/model.h"
#include "quant/quant.h"

#include <stdatomic.h>

/* Clip values that a document recorded beside a rule: information about
 * the machine that wrote it, kept so that writing again gives the same
 * bytes, and dropped when the choice changes.  Immutable, shared, counted. */
struct bd_recorded {
    atomic_int refs;
    int is_signed; /* -1 = not said */
    int n;         /* 0 = only the sign was said */
    double v[];    /* one, or one per channel or group */
};
struct bd_recorded *bd_recorded_new(const double *v, int n, int is_signed);
const struct bd_recorded *bd_recorded_ref(const struct bd_recorded *r);
void bd_recorded_unref(const struct bd_recorded *r); /* NULL is fine */

struct bd_layercfg {
    struct bd_tensorcfg w, a;
    const struct bd_recorded *w_clip, *a_clip; /* NULL = none */
    bool locked; /* the allocator leaves it alone */
};

/* A copy that shares, and its end. */
void bd_layercfg_copy(struct bd_layercfg *to, const struct bd_layercfg *from);
void bd_layercfg_done(struct bd_layercfg *l);
bool bd_layercfg_same(const struct bd_layercfg *a,
                      const struct bd_layercfg *b);

struct bd_bitcfg { /* one per layer; copied freely */
    size_t n;
    struct bd_layercfg *layer; /* owned; channel widths are shared */
};
bd_status bd_bitcfg_init(struct bd_bitcfg *c, size_t n); /* all float,
                                                  defaults uniform 32 */
bd_status bd_bitcfg_copy(struct bd_bitcfg *to, const struct bd_bitcfg *from);
void bd_bitcfg_done(struct bd_bitcfg *c);
bool bd_bitcfg_same(const struct bd_bitcfg *a, const struct bd_bitcfg *b);
/* Of what determines results: locks and recorded clips are left out. */
uint64_t bd_bitcfg_digest(const struct bd_bitcfg *c);
uint64_t bd_layercfg_digest(const struct bd_layercfg *c);
/* Gives back what a choice shares; the rest stays. */
void bd_tensorcfg_done(struct bd_tensorcfg *t);
/* Replaces one tensor's choice, keeping the counts of what both share. */
void bd_tensorcfg_set(struct bd_tensorcfg *to, const struct bd_tensorcfg *v);
/* The same for one side of a layer; a changed choice loses its recorded
 * clips.  True if anything changed. */
bool bd_layercfg_set(struct bd_layercfg *l, bool weights,
                     const struct bd_tensorcfg *v);

/* A repair the network went through before (engine/repair knows them by
 * name), with what it takes to make it again. */
struct bd_repair_note {
    char *name;     /* owned */
    int *layer;     /* owned; the chosen layers */
    size_t nlayers; /* 0 = all */
    bool clip_safe;
    int64_t iterations; /* 0 = the repair's own */
    int64_t images;     /* of calibration; 0 = it looked at none */
    uint64_t seed;
    struct bd_bitcfg under; /* the configuration then; n 0 = of no matter */
};
struct bd_repair_notes { /* in the order they were made */
    size_t n;
    struct bd_repair_note *note; /* owned */
};
void bd_repair_note_done(struct bd_repair_note *n);
bd_status bd_repair_note_copy(struct bd_repair_note *to,
                              const struct bd_repair_note *from);
void bd_repair_notes_done(struct bd_repair_notes *l);

/* The clip values a document also records; filled by the session. */
struct bd_clips {
    size_t nw;           /* 0 = not known */
    const double *w;     /* one or per channel */
    bool a_known, a_signed; /* signed: any channel */
    double a;
    size_t na;           /* of grain 'channel': one per input channel */
    const double *av;
};
struct bd_config_metrics { /* NaN or -1 = left out */
    double avg_bits_w, top1;
    int64_t size_bytes, images;
};
struct bd_config_doc {
    const struct bd_bitcfg *cfg;
    const struct bd_clips *clips; /* [n] or NULL: then the recorded ones */
    const struct bd_repair_notes *repairs; /* NULL = none */
    struct bd_config_metrics metrics;
    const char *file;    /* NULL = the model's own name */
    const char *program; /* NULL = this one */
    const char *data;    /* provenance, NULL = none */
    uint64_t seed;
    int64_t edits;       /* of an autosaved session, 0 = left out */
};
/* Fixed key order; same input, same bytes. */
bd_status bd_config_write(struct bd_str *out, const struct bd_model *m,
                          const struct bd_config_doc *doc, struct bd_err *err);
struct bd_text {
    const char *s;
    size_t n;
};
/* Strict (cli.md); warnings, one per line, are appended to `warn`. */
bd_status bd_config_read(struct bd_bitcfg *out, const struct bd_model *m,
                         struct bd_text text, struct bd_str *warn,
                         struct bd_err *err);
/* The same with everything around the layers, so that writing *out back
 * gives the bytes that were read.  warn and err as above. */
struct bd_config_full {
    struct bd_bitcfg cfg;
    struct bd_config_metrics metrics;
    char *file, *program, *data; /* owned; NULL = not said */
    uint64_t seed;
    int64_t edits;
    struct bd_repair_notes repairs;
};
bd_status bd_config_read_full(struct bd_config_full *out,
                              const struct bd_model *m, struct bd_text text,
                              struct bd_str *warn, struct bd_err *err);
void bd_config_full_done(struct bd_config_full *f);

/* --weights / --activations / --set / --keep-edges as edits of *c. */
bd_status bd_config_all(struct bd_bitcfg *c, bool weights, const char *spec,
                        struct bd_err *err);
/* "LAYERGLOB.w=apot:4" */
bd_status bd_config_set(struct bd_bitcfg *c, const struct bd_model *m,
                        const char *edit, struct bd_err *err);
/* That a layer's name matches; else refused with the nearest name. */
bd_status bd_config_matches(const struct bd_model *m, const char *glob,
                            struct bd_err *err);
/* First and last layer: uniform weights of `bits` by the largest magnitude
 * (the seed's edge8 rule where the checkpoint was trained with it) and
 * activations alike, left in float where a checkpoint with learned clips has
 * none (apot.md section 6). */
bd_status bd_config_edges(struct bd_bitcfg *c, const struct bd_model *m,
                          int bits, struct bd_err *err);
/* Whether one side of a layer can have this choice: method, width and role,
 * grain, counts of channel widths, a learned clip that exists. */
bd_status bd_config_allows(const struct bd_model *m, int layer, bool weights,
                           const struct bd_tensorcfg *t, struct bd_err *err);
/* All layers; to be called after a series of edits. */
bd_status bd_config_check(const struct bd_bitcfg *c, const struct bd_model *m,
                          struct bd_err *err);
bool bd_config_learned(const struct bd_model *m); /* any clip came along */
/* Channels of a layer's weight along its output axis. */
int64_t bd_config_channels(const struct bd_model *m, int layer);
/* Channels of its input: dimension 1 of a convolution's, else the one that is
 * summed over. */
int64_t bd_config_inputs(const struct bd_model *m, int layer);

#endif
