/* sweep_priv: between the files of the sweep.
 *
 *   sweep_points.c  from options to the table's points
 *   sweep_run.c     the engine fed from fits and bench; content digests
 *   sweep_cache.c   the journal: sums on disk, and back
 *   sweep.c         the tool: job, partial results, what is asked of them
 *   why.c           the guilty layer in words
 *   sweep_words.c   options as a person types them
 *   sens_file.c     sensitivities as files of several kinds, sens_read.c */
#ifndef BD_SWEEP_PRIV_H
#define BD_SWEEP_PRIV_H

#include "session/session_priv.h"

/* What a sweep needs, copied or shared, so that it outlives every edit. */
struct bd_sweep_ask {
    const struct bd_model *m;
    struct bd_fits *fits;
    struct bd_bench *bench;
    struct bd_pool *pool;
    bool no_early_stop, no_cache;
    char path[1200]; /* of the journal, "" = none; made by the run */
    char note[600];  /* what became of the journal, in words, or "" */
    struct bd_ctl *ctl;
    void (*post)(void *arg, const struct bd_sens_table *t); /* or NULL */
    void *arg;
    int64_t saved_ns;
    uint64_t key;
};

/* The table of what is asked, without results; *out owns nothing yet that
 * bd_sens_done does not free. */
bd_status bd_sweep_points(struct bd_sens_table *out,
                          const struct bd_session *s,
                          const struct bd_sweep_opts *o, struct bd_err *err);
bd_status bd_sweep_run(struct bd_sens_table *t, struct bd_sweep_ask *a,
                       struct bd_ctl *ctl, struct bd_err *err);

/* Everything that is needed to go on.  The reader fills sums and flags of a
 * table that has the points already; false: no such file, or (with a sentence
 * in note) one that is damaged or of another sweep. */
bool bd_journal_read(struct bd_sens_table *t, const char *path, uint64_t key,
                     char *note, size_t cap);
bd_status bd_journal_write(const struct bd_sens_table *t, const char *path,
                           uint64_t key, struct bd_err *err);

/* Loss of one side of a layer as it is now; 0 in float, NaN not known. */
double bd_sweep_side(const struct bd_session *s, int layer,
                     enum bd_sens_what what);

/* why.c: the job of bd_session_ask_why. */
struct bd_why_ask;
struct bd_why_ask *bd_why_ask_new(const struct bd_session *s, int layer);
void bd_why_ask_free(void *p);
bd_status bd_why_run(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err);

#endif
