/* runner_priv: the cut points between the runner and cuts.c. */
#ifndef BD_RUNNER_PRIV_H
#define BD_RUNNER_PRIV_H

#include "graph/graph_priv.h"

struct bd_cut { /* just before a node */
    int node;
    size_t n, bytes; /* values alive there and read later; their bytes */
    const int *value;
    bool input; /* the network's input is read later as well */
};

struct bd_cuts { /* ascending by node */
    size_t n;
    struct bd_cut *cut;
    struct bd_arena arena;
};

/* Chooses the cuts worth `bytes` of one chunk's memory. */
bd_status bd_graph_cuts(struct bd_cuts *out, const struct bd_plan *p,
                        size_t bytes, struct bd_err *err);
void bd_graph_cuts_done(struct bd_cuts *c);
/* Nodes a run from node `from` executes. */
int64_t bd_graph_runs(const struct bd_plan *p, size_t from);

#endif
