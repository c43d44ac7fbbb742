/* joint_priv: lists of options of several layers, made pair by pair.
 *
 * Invariant of a settled list: rising cost, strictly falling loss (Pareto).
 * Options remember how they came about, as a tree in one array. */
#ifndef BD_JOINT_PRIV_H
#define BD_JOINT_PRIV_H

#include "session/search_priv.h"

enum { BD_LIST_MOST = 1024 };
struct bd_item_from {
    int layer; /* -1: the options `a` and `b` together, by their nodes */
    int a, b;  /* else choices of weights and of input */
};
struct bd_item { /* an option */
    double cost, loss;
    struct bd_item_from from;
    int node; /* of `from`, once settled; -1 before */
};
struct bd_list { /* v: freed by whoever has it */
    size_t n, cap;
    struct bd_item *v;
};
struct bd_sums { /* what all lists of a problem share */
    struct bd_item_from *node; /* owned */
    size_t n, cap;
    bool exact;     /* no list was cut to BD_LIST_MOST */
    bool no_memory; /* then lists are wrong, and nothing crashes */
};
void bd_list_push(struct bd_sums *s, struct bd_list *l, struct bd_item it);
/* Drops what is dominated, and beyond BD_LIST_MOST keeps evenly picked ones,
 * the cheapest and the best among them. */
void bd_list_settle(struct bd_sums *s, struct bd_list *l);
/* *to becomes all sums of one option of each, settled; `by` is used up. */
void bd_list_add(struct bd_sums *s, struct bd_list *to, struct bd_list *by);
/* The alternatives of both, not settled; `with` is used up. */
void bd_list_join(struct bd_sums *s, struct bd_list *to,
                  struct bd_list *with);

#endif
