/* What the loaders share.  Every loader fills one bd_builder, the draft of a
 * network; bd_build_finish turns the draft into an immutable model.  So the
 * checks, the folding and the naming exist once, whatever the format.
 *
 * Invariants of a draft: a value is known by one name; indices stay valid
 * for ever; an allocation that failed sets `failed`, after which every call
 * returns -1 and finish answers BD_ENOMEM, so callers may check late. */
#ifndef BD_MODEL_PRIV_H
#define BD_MODEL_PRIV_H

#include "model/model.h"

/* names.c: open-addressing map from names to numbers.  Names are borrowed and
 * need not end with NUL. */
struct bd_map_slot {
    const char *key; /* NULL = free */
    size_t n;
    uint64_t digest;
    int v;
};
struct bd_map {
    struct bd_map_slot *slot;
    size_t cap, used;
};
int bd_map_get(const struct bd_map *m, const char *key, size_t n); /* -1 */
bool bd_map_put(struct bd_map *m, const char *key, size_t n, int v);
void bd_map_done(struct bd_map *m);
/* `want`, or want_2, want_3, ... so that no two are equal; the text lives in
 * the arena when it had to be made.  NULL on exhaustion. */
const char *bd_map_unique(struct bd_map *m, struct bd_arena *a,
                          const char *want);

/* Does name end in one of n tails? */
bool bd_name_ends(const char *name, const char *const *tails, size_t n);

/* Growable list of value indices. */
struct bd_ints {
    int *v;
    size_t n, cap;
};
bool bd_ints_add(struct bd_ints *l, int x);

/* Complaints of one kind are counted, and only the first is named. */
struct bd_warnings {
    const char **v;
    size_t n, cap;
};

struct bd_builder {
    struct bd_arena arena; /* moves into the model */
    struct bd_value *value;
    size_t nvalues, capvalues;
    struct bd_node *node;
    size_t nnodes, capnodes;
    struct bd_ints input, output;
    struct bd_map names; /* to value indices */
    struct bd_warnings warnings;
    struct bd_file map; /* the model file; whoever ends up with it unmaps */
    const char *path, *format, *arch;
    int64_t opset;
    bool failed;
};

/* ------------------------------------------------------------- build.c */
/* The value of that name, made (rank -1, no producer) if new; -1 on
 * exhaustion. */
int bd_draft_value(struct bd_builder *b, const char *name, size_t n);
int bd_draft_find(const struct bd_builder *b, const char *name, size_t n);
/* Appends a node whose strings and arrays already live in the arena. */
int bd_draft_node(struct bd_builder *b, const struct bd_node *node);
void bd_draft_warn(struct bd_builder *b, const char *fmt, ...) BD_PRINTF(2, 3);
bd_status bd_draft_nomem(struct bd_err *err);
/* A name made safe for a message; lives in the caller's buffer. */
struct bd_shown {
    char s[256];
};
const char *bd_shown(struct bd_shown *o, const char *name);

/* ------------------------------------------------------------ finish.c */
/* The part of finishing that keeps the builder: checks, sorts, folds, makes
 * the model.  file is 0/NULL for networks made in memory. */
bd_status bd_draft_finish(struct bd_model **out, struct bd_builder *b,
                          struct bd_err *err);
/* sort.c: topological order, or the name of a node in a cycle. */
bd_status bd_draft_sort(struct bd_builder *b, struct bd_err *err);
/* Tells every value which node makes it, after nodes moved. */
void bd_draft_producers(struct bd_builder *b);
/* fold.c: replaces nodes that only move constant data by constants. */
bd_status bd_draft_fold(struct bd_builder *b, struct bd_err *err);
/* layers.c: fills m->layer. */
bd_status bd_draft_layers(struct bd_model *m, struct bd_builder *b,
                          struct bd_err *err);

/* ------------------------------------------------------------- loaders */
struct bd_format {
    const char *name;
    /* What is in there is decided by content alone. */
    bool (*probe)(const struct bd_file *f);
    bd_status (*load)(struct bd_builder *b, const char *arch,
                      struct bd_err *err); /* reads b->map */
};
bool bd_onnx_probe(const struct bd_file *f);
bd_status bd_onnx_load(struct bd_builder *b, const char *arch,
                       struct bd_err *err);
bool bd_npz_probe(const struct bd_file *f);
bd_status bd_npz_model(struct bd_builder *b, const char *arch,
                       struct bd_err *err);

#endif
