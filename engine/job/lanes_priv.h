/* lanes_priv: the inside of lanes.c and keys.c. */
#ifndef BD_LANES_PRIV_H
#define BD_LANES_PRIV_H

#include "job/job_priv.h"

/* A job from submission until its last callback.  Freed on the owner's
 * thread only, so that nothing a callback reads can vanish under it. */
struct bd_work {
    struct bd_ctl ctl; /* first: ctl.post finds its work by this */
    struct bd_lanes *lanes;
    struct bd_job job;
    struct bd_work *prev, *next; /* in the lane's queue */
    struct bd_work *news;        /* in the list of news */
    int64_t started_ns;
    bool listed;   /* in the list of news */
    bool finished; /* status, err, result hold */
    bd_status status;
    struct bd_err err;
    void *result, *partial;
};

struct bd_keyrow {
    bool used;
    uint64_t key, gen;
    struct bd_work *waiting;
};
struct bd_keys { /* zero-initialised is empty */
    struct bd_keyrow *row;
    size_t n, cap; /* cap: power of two */
};
struct bd_keyrow *bd_keys_find(const struct bd_keys *k, uint64_t key);
struct bd_keyrow *bd_keys_add(struct bd_keys *k, uint64_t key); /* NULL: no
                                                                   memory */
void bd_keys_done(struct bd_keys *k);

#endif
