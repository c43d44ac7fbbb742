/* graph: runs a model.  The operator table (one row per operator), the plan
 * (shapes, buffers and order resolved once), the executor (one per thread),
 * and the runner, which streams a set of images through a network, quantizing
 * on the fly and re-running only from the layer that changed. */
#ifndef BD_GRAPH_H
#define BD_GRAPH_H

#include "job/job.h"
#include "kernel/kernel.h"
#include "model/model.h"
#include "quant/quant.h"

/* ---------------------------------------------------------------- the plan
 * Immutable; any number of executors may share it. */
struct bd_plan;
struct bd_bound { /* an input given its values while planning */
    int value;
    struct bd_tensor t;
};
struct bd_plan_opts {
    int64_t batch; /* images per run; replaces an unknown or 1 first
                       dimension of the inputs.  0 = as declared (unknown 1) */
    bool train;    /* keep every activation; BatchNorm uses batch statistics */
    bool keep;     /* keep every activation, so that bd_exec_value gives all */
    bool frozen;   /* with train: gradients of the network as it runs for
                      users, BatchNorm by its stored statistics */
    const struct bd_bound *bound; /* everything these determine is computed
                       at once, so data-dependent shapes work */
    size_t nbound;
    const struct bd_kernels *kernels; /* NULL = best */
};
/* Falls back to batch 1 when the graph's own reshapes forbid the batch; see
 * bd_plan_batch.  Unknown operators: BD_EUNSUPPORTED naming all of them. */
bd_status bd_plan_new(struct bd_plan **out, const struct bd_model *m,
                      const struct bd_plan_opts *o, struct bd_err *err);
void bd_plan_free(struct bd_plan *p);
int64_t bd_plan_batch(const struct bd_plan *p);
/* Shape of a value, with data when known while planning.  Borrowed. */
const struct bd_tensor *bd_plan_value(const struct bd_plan *p, int value);
int64_t bd_plan_macs(const struct bd_plan *p, int node); /* one image */
/* Names of operators the table lacks, space-separated, "" if none. */
void bd_graph_unsupported(struct bd_str *out, const struct bd_model *m);
bool bd_graph_has_op(const char *op);

/* ------------------------------------------- what quantization changes there
 * Per layer, borrowed during the run. */
struct bd_qlayer {
    const float *w;            /* replaces the weight's data, or NULL */
    const struct bd_qparam *a; /* [na] quantize the layer's input, or NULL;
                                  bits 0: sent as zeros, 32: left alone */
    uint64_t key;              /* digest of both, 0 = float */
    int64_t na;                /* input channels with a grid each (see
                                  bd_graph_input_slices); 0 or 1 = one grid */
};
/* The channels of a layer's input x: dimension 1 of convolutions; of matrix
 * products the dimension summed over, the last one as a rule. */
struct bd_slices bd_graph_input_slices(const struct bd_model *m, int layer,
                                       const struct bd_tensor *x);
/* y = the layer's input x under q->a, of which x has one or q->na channels;
 * y may be x. */
void bd_graph_quantize(float *y, const float *x, struct bd_slices s,
                       const struct bd_qlayer *q);

/* ------------------------------------------------------------ the executor */
struct bd_exec;
bd_status bd_exec_new(struct bd_exec **out, const struct bd_plan *p,
                      struct bd_err *err);
void bd_exec_free(struct bd_exec *e);
/* Called after a layer ran, on the executor's thread: its input as it was
 * before quantization and its output.  */
typedef void bd_observe_fn(void *arg, int layer, const struct bd_tensor *in,
                           const struct bd_tensor *out);
/* Called after a layer's backward, on the executor's thread: the gradient of
 * its input as this layer alone reads it (NULL where nothing flows) and that
 * of its weight, summed since the last zeroing; the callback may zero it. */
typedef void bd_gradient_fn(void *arg, int layer, const float *input,
                            float *weight);
struct bd_exec_run {
    const struct bd_qlayer *q;    /* [nlayers] or NULL = float */
    const float *const *override; /* [nvalues] data replacing constants, or
                                     NULL (training, repairs) */
    bd_observe_fn *observe;
    void *arg;
    struct bd_pool *pool; /* train plans: images over the pool, sums in a
                       fixed order; NULL = alone.  The result is the same. */
    bd_gradient_fn *gradient; /* backward only; gets `arg`.  The network's
                       own inputs have gradients too when it was set at the
                       first backward pass */
};
float *bd_exec_input(struct bd_exec *e, int which); /* fill before running */
bd_status bd_exec_run(struct bd_exec *e, const struct bd_exec_run *r,
                      struct bd_err *err);
/* Nodes [from, to) alone, in node order, on what is there: values of earlier
 * nodes come from the run before, or from the caller, who may write into
 * bd_exec_value(...)->f.  Right when all that the part reads is still there:
 * always on a `keep` plan; else from behind a value that every path to the
 * output crosses.  to is cut to the node count. */
bd_status bd_exec_run_part(struct bd_exec *e, const struct bd_exec_run *r,
                           size_t from, size_t to, struct bd_err *err);
const struct bd_tensor *bd_exec_value(const struct bd_exec *e, int value);

/* Training: after a run on a `train` plan, gradients of every value that
 * leads to `loss_value`, given dL/d(loss_value) = seed.  grad_of(v) is NULL
 * for values outside.  Constants' gradients accumulate until zeroed. */
bd_status bd_exec_backward(struct bd_exec *e, const struct bd_exec_run *r,
                           int loss_value, const float *seed,
                           struct bd_err *err);
float *bd_exec_grad(struct bd_exec *e, int value);
void bd_exec_grad_zero(struct bd_exec *e);
/* Batch statistics of BatchNorm nodes seen by the last train run. */
bool bd_exec_bn_stats(const struct bd_exec *e, int node, const float **mean,
                      const float **var, int64_t *count);

/* -------------------------------------------------------------- the runner
 * Images in fixed chunks of the plan's batch, chunks over the pool.  Keeps
 * activations at cut points (where few values cross), so that a run whose
 * first layers are unchanged starts behind them; outputs are bit-identical
 * to a full run and to any thread count. */
struct bd_runner;
struct bd_source { /* pixels already preprocessed, [n, elements of input] */
    bd_status (*fetch)(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err); /* any thread */
    void *arg;
    int64_t images;
};
struct bd_runner_opts {
    struct bd_source src;
    struct bd_pool *pool; /* borrowed; NULL = on the caller's thread */
    size_t memory;        /* bytes for stored activations, 0 = a quarter of
                             the machine's */
};
bd_status bd_runner_new(struct bd_runner **out, const struct bd_model *m,
                        const struct bd_runner_opts *o, struct bd_err *err);
void bd_runner_free(struct bd_runner *r);
const struct bd_plan *bd_runner_plan(const struct bd_runner *r);
int64_t bd_runner_outputs(const struct bd_runner *r); /* floats per image */
struct bd_runner_run {
    const struct bd_qlayer *q; /* NULL = float */
    int64_t first, images;     /* the range; images 0 = all from first */
    /* Called as each chunk finishes, serialised, any thread, any order. */
    void (*chunk)(void *arg, int64_t first, int64_t n, const float *out);
    bd_observe_fn *observe; /* called with worker's own arg[worker] */
    void **observe_arg;
    /* Before a chunk: the images whose layers are observed next, with the
     * worker's own arg.  May be NULL. */
    void (*begin)(void *arg, int64_t first, int64_t n);
    void *arg;
    bool no_cache;
};
/* out: [images, outputs] of the model's first output. */
bd_status bd_runner_run(struct bd_runner *r, const struct bd_runner_run *run,
                        float *out, struct bd_ctl *ctl, struct bd_err *err);
/* For tests and the benchmark: nodes executed by the last run, of all. */
void bd_runner_work(const struct bd_runner *r, int64_t *ran, int64_t *all);

#endif
