/* job: work off the interface's thread.  Cancellation and progress
 * (bd_ctl), a pool for splitting one job over cores, and lanes: one worker
 * and one queue each, results collected on the owner's thread. */
#ifndef BD_JOB_H
#define BD_JOB_H

#include "base/base.h"

/* ------------------------------------------------- control of running work
 * Passed down to anything long.  NULL means: never cancelled, nobody
 * watches.  Any thread. */
struct bd_ctl;
bool bd_ctl_stale(const struct bd_ctl *c); /* stop, return BD_ECANCELLED */
void bd_ctl_progress(struct bd_ctl *c, int64_t done, int64_t total);
/* A control outside the lanes, for the command line: cancel() from a signal
 * handler is safe (atomics only). */
struct bd_ctl *bd_ctl_new(void);
void bd_ctl_cancel(struct bd_ctl *c);
void bd_ctl_free(struct bd_ctl *c);
void bd_ctl_read(const struct bd_ctl *c, int64_t *done, int64_t *total);
/* Hands an intermediate result to the lanes' owner, who frees it like a
 * final one; one not yet collected is replaced.  false: nobody listens (not
 * a lane's control) and the caller keeps it. */
bool bd_ctl_post(struct bd_ctl *c, void *partial);

/* ---------------------------------------------------------------- the pool
 * threads 0 = all cores; 1 runs on the caller.  One user at a time; calls
 * from several threads take turns. */
struct bd_pool;
bd_status bd_pool_new(struct bd_pool **out, int threads, struct bd_err *err);
void bd_pool_free(struct bd_pool *p);
int bd_pool_threads(const struct bd_pool *p);
/* Calls fn(arg, index, worker) for every index in [0, n), each once, in any
 * order over workers [0, threads); returns when all are done.  A fn that
 * returns false stops the hand-out of further indices.  Never called from
 * inside a fn of the same pool. */
typedef bool bd_pool_fn(void *arg, int64_t index, int worker);
void bd_pool_for(struct bd_pool *p, int64_t n, bd_pool_fn *fn, void *arg);

/* ---------------------------------------------------------------- lanes */
enum bd_lane { BD_LANE_FAST, BD_LANE_EVAL, BD_LANE_LONG, BD_LANES };

/* What a job is: run() on the lane's thread fills *result (moves to the
 * owner); drop() frees a result or argument nobody wants. */
struct bd_job {
    uint64_t key;      /* identity, e.g. "metrics of layer 3" */
    uint64_t gen;      /* of the key when submitted */
    enum bd_lane lane;
    const char *title; /* static or owned by arg: "accuracy" */
    void *arg;         /* moved in; freed by free_arg */
    bd_status (*run)(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err);
    void (*free_arg)(void *arg);
    void (*free_result)(void *result);
};

/* A finished job as handed to the owner. */
struct bd_done {
    uint64_t key, gen;
    bd_status status;
    struct bd_err err;
    bool partial; /* an intermediate result (bd_ctl_post): more will come */
    void *result; /* moves to the receiver; NULL unless BD_OK */
    const struct bd_job *job; /* valid during the callback */
};

struct bd_progress { /* one waiting or running job, for display */
    uint64_t key;
    enum bd_lane lane;
    bool running;
    const char *title;
    int64_t done, total, started_ns;
};

struct bd_lanes;
bd_status bd_lanes_new(struct bd_lanes **out, struct bd_err *err);
void bd_lanes_free(struct bd_lanes *l); /* cancels, drains, joins */
int bd_lanes_fd(const struct bd_lanes *l); /* readable when jobs finished */
/* Advances the key's generation: a waiting job of the key is replaced and a
 * running one becomes stale.  Returns the new generation. */
uint64_t bd_lanes_touch(struct bd_lanes *l, uint64_t key);
/* Queues a job (copied) under its key's current generation.  On failure arg
 * is freed. */
bd_status bd_lanes_submit(struct bd_lanes *l, const struct bd_job *j,
                          struct bd_err *err);
/* Owner's thread: hands over every finished job whose generation is still
 * its key's newest; stale ones are freed silently. */
void bd_lanes_collect(struct bd_lanes *l,
                      void (*fn)(void *arg, struct bd_done *d), void *arg);
bool bd_lanes_idle(const struct bd_lanes *l); /* nothing waiting, running or
                                                 uncollected */
void bd_lanes_wait(struct bd_lanes *l); /* until a job finished or idle */
size_t bd_lanes_progress(const struct bd_lanes *l, struct bd_progress *out,
                         size_t cap);
/* Stops a key's jobs; the owner receives them as BD_ECANCELLED. */
void bd_lanes_cancel(struct bd_lanes *l, uint64_t key);
/* A waiting job of this key becomes the next of its lane. */
void bd_lanes_raise(struct bd_lanes *l, uint64_t key);

#endif
