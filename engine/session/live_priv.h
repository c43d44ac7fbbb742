/* live_priv: between live.c and live_layer.c. */
#ifndef BD_LIVE_PRIV_H
#define BD_LIVE_PRIV_H

#include "session/session_priv.h"

struct bd_live_order { /* argument of every kind of job */
    struct bd_fits *fits;
    struct bd_bench *bench;
    int layer;
    struct bd_tensorcfg t; /* of a layer's job */
    struct bd_bitcfg cfg;  /* of the accuracy job */
};
void bd_live_order_free(void *p);
/* t: copied, NULL for jobs of the whole network.  NULL: said in the log. */
struct bd_live_order *bd_live_order_new(struct bd_session *s, int layer,
                                        const struct bd_tensorcfg *t);

/* Touches the layer's key and submits what is missing; weights are answered
 * from caches, and until the given time from the index, without a job. */
void bd_live_ask_w(struct bd_session *s, int layer, int64_t until_ns);
void bd_live_ask_a(struct bd_session *s, int layer);
/* Move a result into the session. */
void bd_live_accept_w(struct bd_session *s, struct bd_done *d, int layer);
void bd_live_accept_a(struct bd_session *s, struct bd_done *d, int layer);
void bd_live_accept_c(struct bd_session *s, struct bd_done *d, int layer);

#endif
