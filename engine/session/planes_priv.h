/* planes_priv: between planes.c (state and edits) and planes_count.c (the
 * passes over images). */
#ifndef BD_SESSION_PLANES_PRIV_H
#define BD_SESSION_PLANES_PRIV_H

#include "session/session_priv.h"

static inline const struct bd_tensorcfg *
bd_planes_choice(const struct bd_bitcfg *c, size_t i, enum bd_part part)
{
    return part == BD_PART_W ? &c->layer[i].w : &c->layer[i].a;
}

struct bd_planes_layer { /* one tensor counted */
    uint64_t key;        /* of what was counted and how; 0 = nothing */
    float clip;          /* range given by hand (largest, outlier), else 0 */
    struct bd_codetable codes;
    struct bd_plane_table table;
};

struct bd_planes_side { /* weights or inputs */
    struct bd_planes_layer *layer; /* [nlayers], owned; NULL =
                                       never counted */
    struct bd_planes_opts o;
    struct bd_threshold now; /* db 0: none was set */
    double rate;             /* set after it; 0: none */
    bool counting;
};

struct bd_planes_wish {
    bool on;
    enum bd_part part;
    struct bd_threshold t;
    double rate; /* above 0: this, not t */
    int *layer;  /* [n]; owned */
    size_t n;
};

struct bd_planes_state {
    struct bd_planes_side side[2];
    struct bd_planes_wish wish;
    struct bd_planes_channels *chan; /* of one layer; NULL = none */
    uint64_t chan_asked;
};

/* The table of a layer if it is of the present clip rule and network. */
const struct bd_planes_layer *bd_planes_fresh(
    const struct bd_session *s, const struct bd_planes_side *side, int layer,
    enum bd_part part);
/* Values of one image's input, or weights. */
double bd_planes_values(const struct bd_session *s, int layer,
                        enum bd_part part);
/* planes_spend.c: the rows of w's layers (row: [w->n]) with the least error
 * whose planes cost w->rate per value on average. */
bd_status bd_planes_spend(const struct bd_plane_row **row,
                          const struct bd_session *s,
                          const struct bd_planes_side *side,
                          const struct bd_planes_wish *w, struct bd_err *err);

/* planes.c: the configuration those rows make; the session stays as it is.
 * Tables must be fresh.  out: owned by the caller. */
bd_status bd_planes_spent(struct bd_bitcfg *out, const struct bd_session *s,
                          const struct bd_planes_wish *w, struct bd_err *err);

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
