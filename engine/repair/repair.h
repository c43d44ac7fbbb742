/* repair: ways to make a trained network easier to quantize without training
 * it again.  One file and one table row each; all take a network with its
 * configuration and give new constants for some of its values, or other
 * choices for some of its layers.  Nothing here measures accuracy, keeps a
 * history or writes a file: session/ does. */
#ifndef BD_REPAIR_H
#define BD_REPAIR_H

#include "config/config.h"
#include "graph/graph.h"

enum { /* traits */
    BD_REPAIR_DATA = 1,    /* needs calibration images */
    BD_REPAIR_CHOICES = 2, /* turns choices only; the network stays */
    BD_REPAIR_LONG = 4     /* seconds or more: takes chosen layers only */
};

struct bd_repair_in { /* all borrowed */
    const struct bd_model *m;
    const struct bd_bitcfg *cfg;
    const bool *layer; /* [nlayers] the chosen ones; NULL = all */
    /* ReLU6 and other clips between layers never reach their bound in this
     * network: the caller says so. */
    bool clip_safe;
    /* With BD_REPAIR_DATA: the network as quantized at present (as the
     * executor takes it), the images, and who computes. */
    const struct bd_qlayer *q; /* [nlayers] */
    const struct bd_model *ref; /* the float network to come close to, when m
                                   is rounded already; NULL = m */
    struct bd_source images;
    struct bd_pool *pool;
    int64_t iterations; /* adaround: 0 = 1000 */
    uint64_t seed;
};

struct bd_repair_out { /* zero-initialised; done() frees */
    float **value;   /* [nvalues] new data of constants, NULL = as it was */
    float **bias;    /* [nlayers] biases that did not exist */
    unsigned char *forget; /* [nlayers] learned clips that mean nothing any
                              more, as in struct bd_patches */
    size_t nvalues, nlayers;
    struct bd_bitcfg cfg; /* the choices; n 0 = as they were */
    char what[96];        /* "19 pairs", for the undo list */
};
void bd_repair_out_done(struct bd_repair_out *o);

struct bd_repair { /* const, one per repair */
    const char *name, *title;
    const char *does;  /* one line for menus */
    const char *paper; /* where it comes from */
    unsigned traits;
    /* *out is started by bd_repair_run.  A network with nothing to repair is
     * BD_EINVALID with the reason. */
    bd_status (*apply)(struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_ctl *ctl,
                       struct bd_err *err);
};
const struct bd_repair *const *bd_repairs(void); /* NULL-ended */
/* By name; NULL with a sentence that names the nearest. */
const struct bd_repair *bd_repair_find(const char *name, struct bd_err *err);

/* Deterministic for a seed, whatever the number of threads.  Stale ctl:
 * BD_ECANCELLED within 100 ms, and *out stays empty.  The configuration in
 * *out no longer asks for a learned clip that `forget` names: weights go to
 * `mse`, inputs too. */
bd_status bd_repair_run(struct bd_repair_out *out, const struct bd_repair *r,
                        const struct bd_repair_in *in, struct bd_ctl *ctl,
                        struct bd_err *err);
bool bd_repair_changes_model(const struct bd_repair_out *o);
/* The network with the new constants; borrows m (see bd_model_patched). */
bd_status bd_repair_model(struct bd_model **out, const struct bd_model *m,
                          const struct bd_repair_out *o, struct bd_err *err);

/* Largest magnitude of a layer's output channels over the middle one: how
 * many times finer the middle channel's own grid would be.  1 for layers
 * without weights. */
double bd_repair_range_ratio(const struct bd_model *m, int layer);
#define BD_REPAIR_RATIO 2.0 /* channel-grids turns layers at or above it */

#endif
