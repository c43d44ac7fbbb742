/* list: which layers are shown, in which order, which are marked, and where
 * the cursor is.  The cursor is a layer, not a row: sorting, filtering and
 * fresh numbers move rows under it, never it.  Knows layers only as facts,
 * so it is tested without a session. */
#ifndef UI_LIST_H
#define UI_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------- facts */
struct ui_facts { /* what filters and orders look at; strings borrowed */
    const char *name, *op, *method;
    int wbits, abits;   /* 32 = float */
    double psnr, sqnr;  /* dB, NaN = not yet */
    double sens, sens_bit; /* measured loss; per bit saved; NaN = unknown */
    double kb;
    int64_t params;
    bool marked, failed;
};
struct ui_source { /* pulls the facts of layer i of n */
    int n;
    void (*facts)(void *arg, int layer, struct ui_facts *out);
    void *arg;
};

/* --------------------------------------------------------------- filter */
enum ui_field {
    UI_F_NAME, UI_F_OP, UI_F_METHOD, UI_F_BITS, UI_F_ABITS, UI_F_PSNR,
    UI_F_SQNR, UI_F_KB, UI_F_PARAMS, UI_F_MARKED, UI_F_FAILED,
    UI_F_SENS, UI_FIELDS
};
enum ui_relation { UI_IS, UI_NOT, UI_HAS, UI_LT, UI_LE, UI_GT, UI_GE };
enum { UI_TERMS = 12 };
struct ui_filter { /* all terms must hold; none = everything */
    int n;
    struct ui_term {
        enum ui_field field;
        enum ui_relation rel;
        double num;
        char text[96];
    } term[UI_TERMS];
    char text[256]; /* as typed */
};
/* "op:Conv bits<4 psnr<25 name~down"; a bare word is looked for in the name.
 * false, filter untouched, with the reason. */
bool ui_filter_parse(struct ui_filter *f, const char *text, char *why,
                     size_t cap);
bool ui_filter_match(const struct ui_filter *f, const struct ui_facts *x);

/* ----------------------------------------------------------------- list */
enum ui_order {
    UI_BY_POSITION, UI_BY_NAME, UI_BY_BITS, UI_BY_ABITS, UI_BY_METHOD,
    UI_BY_PSNR, UI_BY_NOISE, UI_BY_SIZE, UI_BY_PARAMS, UI_BY_SENS, UI_ORDERS
};
extern const char *const ui_order_names[UI_ORDERS]; /* "position", ... */

struct ui_list {
    int total, n;    /* layers; rows shown */
    int *row;        /* [total] layer of each row, first n valid */
    bool *marked;    /* [total] */
    int *sel;        /* [total] scratch for selections */
    int nmarked;
    int cur;         /* layer under the cursor; -1 when there are none */
    int at;          /* its row, or the nearest row, -1 when none is shown */
    int top;         /* first row on screen */
    int anchor;      /* layer where a range began, -1 */
    enum ui_order order;
    bool reverse;
    struct ui_filter filter;
};
bool ui_list_init(struct ui_list *l, int total); /* false: no memory */
void ui_list_done(struct ui_list *l);
/* Filters and sorts again; the cursor stays on its layer, or goes to the
 * nearest shown one when the filter hid it. */
void ui_list_refresh(struct ui_list *l, const struct ui_source *src);
void ui_list_move(struct ui_list *l, int rows); /* stops at the ends */
void ui_list_to_row(struct ui_list *l, int row);
void ui_list_to_layer(struct ui_list *l, int layer);
void ui_list_mark(struct ui_list *l, int layer, bool on);
void ui_list_mark_all(struct ui_list *l); /* shown ones; again: none */
void ui_list_mark_range(struct ui_list *l); /* anchor to cursor */
/* Row of the next layer whose name contains text (letters of either case),
 * from the cursor on, wrapping; dir +1 or -1.  *nth and *all tell "match 2 of
 * 8".  -1: none. */
struct ui_match {
    int row, nth, all;
};
struct ui_match ui_list_find(const struct ui_list *l,
                             const struct ui_source *src, const char *text,
                             int dir, bool from_here);
/* Keeps the cursor's row inside h rows of screen. */
void ui_list_scroll(struct ui_list *l, int h);
bool ui_contains(const char *s, const char *part); /* letters of either case */

#endif
