/* graph_priv: what the files of graph/ share; nobody else includes it.
 *
 * An operator is one row of a table (struct bd_op) with up to three
 * functions over one context: `shape` runs while planning and settles the
 * outputs' types and extents and the operator's own parameters; `run` computes;
 * `backward` turns gradients of the outputs into gradients of the inputs.
 * Rows live in the op_*.c files; table.c lists the files. */
#ifndef BD_GRAPH_PRIV_H
#define BD_GRAPH_PRIV_H

#include "graph/graph.h"

struct bd_octx;

enum {                  /* flags of a row */
       BD_OP_ALIAS = 1, /* output 0 is input 0's numbers under another shape */
       BD_OP_INPLACE = 2, /* output 0 may overwrite input 0 (same count) */
       BD_OP_NOFOLD = 4   /* never computed while planning */
};

struct bd_op {
    const char *name; /* as ONNX spells it */
    bd_status (*shape)(struct bd_octx *c);
    bd_status (*run)(struct bd_octx *c);
    bd_status (*backward)(struct bd_octx *c); /* NULL: not trainable */
    unsigned flags;
    const void *aux; /* the row's own constants, told to its functions */
};

/* Everything an operator may see.  In `shape`, in[k]->f or ->i is set where
 * the values are known already, and out[k] is never NULL; in `run`, data is
 * set everywhere and out[k] is NULL where nobody asked. */
struct bd_octx {
    const struct bd_node *node;
    const struct bd_op *op;
    int64_t opset;
    int nin, nout;
    const struct bd_tensor **in; /* [nin], NULL = left out */
    struct bd_tensor **out;      /* [nout] */
    void *param;                 /* the operator's own, from the arena */
    const struct bd_kernels *kernels;
    bool train, frozen;
    struct bd_err *err;
    /* Set by shape. */
    struct bd_arena *arena; /* the plan's; NULL outside planning */
    size_t scratch;         /* bytes one worker needs while running */
    size_t back_scratch;    /* the same for backward */
    size_t state;           /* bytes kept from run to backward */
    int64_t macs;           /* multiply-adds, all images */
    bool mixes;             /* couples images along the first dimension */
    /* Set while running. */
    struct bd_pool *pool; /* NULL = alone */
    char *work;           /* scratch, `stride` bytes per worker */
    size_t stride;
    void *kept; /* `state` bytes */
    /* Set for backward: gradients of outputs (NULL = none arrived) and of
     * inputs (NULL = not wanted).  Activations' are overwritten; those of
     * constants accumulate, which acc[k] says. */
    const float **dout;
    float **din;
    const bool *acc;
};

/* ---------------------------------------------------------------- the plan */
struct bd_gnode { /* one node, resolved */
    const struct bd_node *n;
    const struct bd_op *op;
    void *param;
    int layer; /* index or -1 */
    bool skip; /* folded, or leads to no output */
    size_t scratch, back_scratch, state, state_at;
    int64_t macs;
};

enum { BD_NOWHERE = -1 };

struct bd_plan {
    const struct bd_model *m;
    const struct bd_kernels *kernels;
    struct bd_arena arena; /* owns everything below */
    int64_t batch;
    bool train, frozen, keep, mixes;
    struct bd_gnode *node; /* [m->nnodes] */
    struct bd_tensor *val; /* [m->nvalues]; data set = constant */
    int *root;             /* [nvalues] value whose buffer it shares */
    int64_t *offset;       /* [nvalues] bytes into the block, of roots;
                               BD_NOWHERE: constant or never computed */
    int *last;             /* [nvalues] last node reading the root */
    size_t block;          /* bytes of activations */
    size_t scratch, back_scratch, state; /* largest, largest, sum */
    size_t quantized;                    /* floats of the largest layer input */
    int most_in, most_out; /* inputs, outputs of the widest node */
};

/* buffers.c: liveness, aliases, offsets. */
bd_status bd_graph_place(struct bd_plan *p, struct bd_err *err);

/* ---------------------------------------------------------- the executor */
struct bd_exec {
    const struct bd_plan *p;
    char *block, *work, *state;
    int workers; /* that `work` has room for, `stride` each */
    size_t stride;
    float *qinput;         /* a layer's quantized input */
    struct bd_tensor *val; /* [nvalues] with data */
    /* Arguments of the node at hand. */
    const struct bd_tensor **in;
    struct bd_tensor **out, *tmp;
    /* Training. */
    float **grad;  /* [nvalues] or NULL */
    bool *written; /* [nvalues] this backward pass has a value there */
    bool to_inputs; /* the network's inputs have gradients as well */
    float **din;
    const float **dout;
    bool *acc;
    float *spare; /* second consumers' gradients before they are added */
};

/* Runs nodes [from, to). */
bd_status bd_graph_exec_range(struct bd_exec *e, const struct bd_exec_run *r,
                              size_t from, size_t to, struct bd_err *err);
/* Arguments of node i as the run wants them: replaced weights, overrides,
 * quantized input. */
void bd_graph_bind(struct bd_octx *c, struct bd_exec *e,
                   const struct bd_exec_run *r, size_t i);
/* Room for every worker of the pool. */
bd_status bd_graph_workers(struct bd_exec *e, const struct bd_pool *pool,
                           struct bd_err *err);
void bd_graph_grad_free(struct bd_exec *e);

/* ---------------------------------------------------- helpers of operators */
const struct bd_op *bd_graph_op(const char *name); /* NULL: unknown */

/* The error sentence opened by the node's name and operator. */
bd_status bd_graph_fail(const struct bd_octx *c, bd_status code,
                        const char *fmt, ...) BD_PRINTF(3, 4);
#define BD_BAD(c, ...) bd_graph_fail(c, BD_EINVALID, __VA_ARGS__)

bool bd_graph_has_in(const struct bd_octx *c, int k);
bool bd_graph_known(const struct bd_tensor *t);
size_t bd_graph_esize(const struct bd_tensor *t); /* bytes per element */
void *bd_graph_data(const struct bd_tensor *t);
/* Sets type and extents of out[k]; dim may be NULL for a scalar. */
bd_status bd_graph_out(struct bd_octx *c, int k, enum bd_dtype type,
                       const int64_t *dim, int rank);
bd_status bd_graph_out_like(struct bd_octx *c, int k,
                            const struct bd_tensor *t);
/* Refuses nodes with fewer than n inputs. */
bd_status bd_graph_need(const struct bd_octx *c, int nin);
bd_status bd_graph_need_real(const struct bd_octx *c, int k);
/* Both: the first `need` inputs are given, the first `reals` are real. */
bd_status bd_graph_reals(const struct bd_octx *c, int need, int reals);
/* param of `size` zeroed bytes from the arena. */
void *bd_graph_param(struct bd_octx *c, size_t size);
/* axis in [-rank, rank) made non-negative. */
bd_status bd_graph_axis(const struct bd_octx *c, int64_t *axis, int rank);
/* Whole numbers given as attribute or as (known) input k; *v NULL if
 * neither.  Input k < 0: attribute only. */
bd_status bd_graph_ints(const struct bd_octx *c, const char *attr, int k,
                        const int64_t **v, size_t *n);
/* A known scalar input k as double, dflt when left out. */
bd_status bd_graph_scalar(const struct bd_octx *c, int k, double dflt,
                          double *v);
double bd_graph_at(const struct bd_tensor *t, int64_t i);
/* A mask over axes [0, rank); empty list = none set. */
bd_status bd_graph_axes(const struct bd_octx *c, const int64_t *v, size_t n,
                        int rank, bool *mask);
/* Shape both broadcast to. */
bd_status bd_graph_broadcast(const struct bd_octx *c, struct bd_tensor *out,
                             const struct bd_tensor *a,
                             const struct bd_tensor *b);
/* Element strides of t seen in out's shape, 0 where it repeats. */
void bd_graph_strides(int64_t *stride, const struct bd_tensor *t, int rank);
/* y (contiguous, dim[rank]) = x walked by strides; esize 4 or 8. */
struct bd_walk {
    int rank;
    int64_t dim[BD_MAX_RANK], stride[BD_MAX_RANK], base;
    size_t esize;
};
void bd_graph_walk(void *y, const void *x, const struct bd_walk *w);
/* The whole-number value as stored in its declared type (wraps). */
int64_t bd_graph_wrap(int64_t v, enum bd_dtype type);
/* Real value to a whole number of the type, truncated, saturated. */
int64_t bd_graph_to_int(double v, enum bd_dtype type);
/* fn over [0, n), on the pool if there is one; worker's scratch through
 * bd_graph_work. */
void bd_graph_for(const struct bd_octx *c, int64_t n, bd_pool_fn *fn,
                  void *arg);
void *bd_graph_work(const struct bd_octx *c, int worker);
/* Larger steps or pads than this cannot mean a real network, and keep every
 * product of extents within 64 bits. */
#define BD_WINDOW_MOST ((int64_t)1 << 24)
/* Attribute `name` with exactly n entries in [least, BD_WINDOW_MOST]; dst
 * stays as it is when the attribute is absent. */
bd_status bd_graph_list(const struct bd_octx *c, const char *name,
                        int64_t *dst, int n, int64_t least);
/* Sliding windows of convolution and pooling: attributes kernel_shape,
 * strides, dilations, pads, auto_pad, ceil_mode over `nd` spatial axes. */
struct bd_window {
    int nd;
    int64_t in[3], out[3], k[3], s[3], d[3], lo[3], hi[3];
    bool ceil;
};
bd_status bd_graph_window(const struct bd_octx *c, struct bd_window *w,
                          const struct bd_tensor *x, const int64_t *kernel);

/* The rows, file by file; each ends with a NULL name. */
extern const struct bd_op bd_graph_ops_attention[];
extern const struct bd_op bd_graph_ops_binary[];
extern const struct bd_op bd_graph_ops_conv[];
extern const struct bd_op bd_graph_ops_convt[];
extern const struct bd_op bd_graph_ops_einsum[];
extern const struct bd_op bd_graph_ops_index[];
extern const struct bd_op bd_graph_ops_matmul[];
extern const struct bd_op bd_graph_ops_move[];
extern const struct bd_op bd_graph_ops_norm[];
extern const struct bd_op bd_graph_ops_pad[];
extern const struct bd_op bd_graph_ops_pool[];
extern const struct bd_op bd_graph_ops_quantize[];
extern const struct bd_op bd_graph_ops_reduce[];
extern const struct bd_op bd_graph_ops_resize[];
extern const struct bd_op bd_graph_ops_rnn[];
extern const struct bd_op bd_graph_ops_shape[];
extern const struct bd_op bd_graph_ops_softmax[];
extern const struct bd_op bd_graph_ops_unary[];

#endif
