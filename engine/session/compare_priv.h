/* compare_priv: between kept.c and compare.c, which share one tool's state. */
#ifndef BD_COMPARE_PRIV_H
#define BD_COMPARE_PRIV_H

#include "session/session_priv.h"

enum { BD_KEPT_NAME = 48, BD_KEPT_MOST = 200 };
struct bd_kept { /* one that a person kept */
    char name[BD_KEPT_NAME];
    struct bd_bitcfg cfg; /* owned */
    struct bd_stage *stage; /* the network it was kept with; borrowed */
};

/* What a name means now. */
struct bd_named {
    struct bd_bitcfg cfg; /* owned by whoever asked */
    struct bd_stage *stage;
};
bd_status bd_named_find(struct bd_named *out, struct bd_session *s,
                        const char *name, struct bd_err *err);

/* Results by the digest of what was measured, so that a name may come to
 * mean something else (an edit of "here") without anything being marked. */
struct bd_measured { /* accuracy of a whole configuration */
    uint64_t digest;
    struct bd_net_eval eval;
    int32_t *answer; /* [images], owned */
};
struct bd_layer_known { /* errors of one layer under one choice */
    uint64_t digest; /* 0 = empty */
    double w_psnr_db, a_psnr_db;
};

enum { BD_MEASURED = 24, BD_LAYER_KNOWN = 6 };
struct bd_compare_state {
    struct bd_kept *kept; /* [nkept], oldest first; owned */
    size_t nkept, kept_cap;
    char shown[BD_KEPT_NAME]; /* name of the item last asked for */
    struct bd_measured measured[BD_MEASURED]; /* a ring */
    size_t measured_next;
    struct bd_layer_known (*known)[BD_LAYER_KNOWN]; /* [nlayers], newest
                                                       first; NULL = none */
    size_t nlayers;
    /* What was asked of the lanes last, per side: not to be asked again. */
    uint64_t *asked[2];  /* [nlayers] digests */
    uint64_t asked_acc[2], stopped[2];
    struct bd_acc_live partial[2];
    struct bd_stage *stage[2]; /* the networks of both sides */
    struct bd_compare out; /* what bd_session_compare last gave away */
};

struct bd_compare_state *bd_compare_state(struct bd_session *s); /* NULL: no
                                                                    memory */

#endif
