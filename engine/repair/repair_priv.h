/* repair_priv: shared by the files of repair/ only.
 *
 *   table.c    the rows, and what all of them have in common
 *   work.c     the network being repaired: who reads what, constants edited
 *   fold.c     bn-fold          equalize.c  equalize
 *   choices.c  the repairs that only turn choices
 *   probe.c    float and quantized network side by side, image by image
 *   bias.c     bias-correction
 *   tune.c     bn-tune
 *   rows.c     a layer's inputs and float outputs as matrices
 *   adaround.c adaround */
#ifndef BD_REPAIR_PRIV_H
#define BD_REPAIR_PRIV_H

#include "repair/repair.h"

extern const struct bd_repair bd_repair_fold, bd_repair_equalize,
    bd_repair_bias, bd_repair_tune, bd_repair_adaround, bd_repair_mse,
    bd_repair_last, bd_repair_channels;

/* ----------------------------------------------------------------- work.c
 * Readers of every value as one list of nodes, so that questions about the
 * graph cost what they touch. */
struct bd_work {
    const struct bd_repair_in *in;
    const struct bd_model *m;
    struct bd_repair_out *out;
    size_t *first;  /* [nvalues + 1] into reader */
    int *reader;    /* node of each read, ascending per value */
    bool *exposed;  /* [nvalues] an output of the graph */
    int *layer_of;  /* [nnodes] or -1 */
    bool failed;    /* no memory */
};
bd_status bd_work_init(struct bd_work *w, struct bd_repair_out *out,
                       const struct bd_repair_in *in, struct bd_err *err);
void bd_work_done(struct bd_work *w);
bool bd_work_chosen(const struct bd_work *w, int layer);
/* How many times nodes read v (an output of the graph counts). */
size_t bd_work_reads(const struct bd_work *w, int v);
/* The one node that reads v; -1 when there are several or none. */
int bd_work_only_reader(const struct bd_work *w, int v);
/* A real constant of n elements that one node alone reads. */
bool bd_work_own(const struct bd_work *w, int v, int64_t n);
/* Its data as repaired so far. */
const float *bd_work_data(const struct bd_work *w, int v);
/* The same to write to, copied on first use; NULL: no memory (w->failed). */
float *bd_work_edit(struct bd_work *w, int v);

/* The BatchNormalization behind a layer, when nothing else reads the layer's
 * output and its constants are its own; -1 = none. */
int bd_work_norm(const struct bd_work *w, int layer);
/* Multiplies channel c along `axis` by f[c]; NULL data: nothing. */
void bd_scale_channels(float *x, struct bd_slices s, const double *f);

/* fold.c: moves the scale of the BatchNormalization behind the layer into
 * its weight.  False: nothing to fold there, or nothing left to fold. */
bool bd_fold_layer(struct bd_work *w, int layer);
/* Can everything a rescaled output channel touches be edited? */
bool bd_work_foldable(const struct bd_work *w, int layer);

/* ---------------------------------------------------------------- probe.c
 * Images through one network, float or quantized, spread over the pool in
 * slices of some tens of milliseconds.  `see` is called for every layer (or
 * one) of every image on a worker's thread; what it writes must belong to
 * that image and layer alone. */
struct bd_probe;
typedef void bd_probe_fn(void *arg, int64_t image, int layer,
                         const struct bd_tensor *in,
                         const struct bd_tensor *out);
bd_status bd_probe_new(struct bd_probe **out, const struct bd_model *m,
                       const struct bd_repair_in *in, struct bd_err *err);
void bd_probe_free(struct bd_probe *p);
struct bd_probe_pass {
    const struct bd_qlayer *q;    /* NULL = float */
    const float *const *override; /* [nvalues], or NULL */
    int only;                     /* a layer, -1 = all */
    const struct bd_node *before; /* not NULL: only the nodes before this one
                                     run, and its first input is seen, as
                                     `in` of layer -1 */
    bd_probe_fn *see;
    void *arg;
    int64_t done, total; /* progress: images before this pass, of all */
};
bd_status bd_probe_run(struct bd_probe *p, const struct bd_probe_pass *pass,
                       struct bd_ctl *ctl, struct bd_err *err);

/* ----------------------------------------------------------------- rows.c
 * A layer as a linear map: rows of inputs (unrolled windows, as the
 * quantized network feeds them), and what the float network gives for each
 * row, its bias taken off.  Grouped convolutions have a matrix per group. */
struct bd_rows {
    int layer;
    int64_t groups, k, outputs; /* k inputs per row; outputs of all groups */
    int64_t rows, per_image, images;
    float *x; /* [groups][rows][k] */
    float *y; /* [outputs][rows] */
};
bd_status bd_rows_new(struct bd_rows *r, const struct bd_repair_in *in,
                      int layer, struct bd_ctl *ctl, struct bd_err *err);
void bd_rows_done(struct bd_rows *r);
/* Mean squared error of one output's weights w[k] over the rows. */
double bd_rows_error(const struct bd_rows *r, int64_t output, const float *w);

/* Runs fn over [0, n) on the pool in slices of some tens of milliseconds, so
 * that others get their turn; fn returns false to stop everything. */
bool bd_pool_slices(struct bd_pool *pool, int64_t n, bd_pool_fn *fn,
                    void *arg);

#endif
