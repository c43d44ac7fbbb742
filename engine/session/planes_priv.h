/* planes_priv: between planes.c (state and edits) and planes_count.c (the
 * passes over images). */
#ifndef BD_SESSION_PLANES_PRIV_H
#define BD_SESSION_PLANES_PRIV_H

#include "session/session_priv.h"

struct bd_planes_layer { /* one tensor counted */
    uint64_t key;        /* of what was counted and how; 0 = nothing */
    float clip;          /* range given by hand (largest, outlier), else 0 */
    struct bd_codetable codes;
    struct bd_plane_table table;
};

/* Counts one side of some layers.  layer[i].key != 0: wanted; the choice
 * tells its clip rule. */
struct bd_planes_count {
    enum bd_part part;
    size_t n;
    struct bd_planes_layer *layer;      /* [n] */
    struct bd_tensorcfg *cfg;           /* [n]; clip, shares nothing */
    struct bd_planes_opts o;
    struct bd_fits *fits;
    struct bd_bench *bench; /* NULL: weights only */
};
/* Any thread; the eval lane's turn is taken where images are needed. */
bd_status bd_planes_count(struct bd_planes_count *c, struct bd_ctl *ctl,
                          struct bd_err *err);

/* The input channels of one layer, each over its own range. */
struct bd_planes_channels {
    uint64_t key;
    int layer, n;
    struct bd_plane_table table[];
};
struct bd_channels_ask {
    struct bd_bench *bench;
    int layer;
    uint64_t key;
};
bd_status bd_planes_count_channels(struct bd_planes_channels **out,
                                   const struct bd_channels_ask *a,
                                   struct bd_ctl *ctl, struct bd_err *err);

#endif
