/* job_priv: shared by the files of job/ only. */
#ifndef BD_JOB_PRIV_H
#define BD_JOB_PRIV_H

#include "job/job.h"

#include <pthread.h>
#include <stdatomic.h>

/* Everything two threads touch without a lock.  A control inside a lane's
 * job also knows how to hand over an intermediate result; one made by
 * bd_ctl_new does not. */
struct bd_ctl {
    atomic_bool cancelled;
    atomic_llong done, total;
    void (*post)(struct bd_ctl *c, void *partial); /* NULL outside lanes */
};
void bd_ctl_init(struct bd_ctl *c);

/* Starts a thread that takes no signals but those of its own faults; the
 * others belong to the thread that owns the terminal.  0 or an errno. */
int bd_job_thread(pthread_t *t, void *(*fn)(void *), void *arg);

#endif
