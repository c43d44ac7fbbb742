/* list.c: rows, marks and the cursor.
 *
 * Invariant: `cur` is a layer and stays one through every refresh; `at` is
 * where that layer is now.  Only moving changes `cur`, or a filter that
 * hides its layer, which then yields to the nearest shown one in file
 * order. */
#include "list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ui_order_names[UI_ORDERS] = {
    "position", "name", "bits", "abits", "method",
    "psnr",     "noise", "size", "params",
    "sens",
};

bool ui_list_init(struct ui_list *l, int total)
{
    size_t n = (size_t)(total > 0 ? total : 1);
    memset(l, 0, sizeof *l);
    l->total = total;
    l->row = calloc(n, sizeof *l->row);
    l->sel = calloc(n, sizeof *l->sel);
    l->marked = calloc(n, sizeof *l->marked);
    l->cur = total > 0 ? 0 : -1;
    l->at = -1;
    l->anchor = -1;
    return l->row && l->sel && l->marked;
}

void ui_list_done(struct ui_list *l)
{
    free(l->row);
    free(l->sel);
    free(l->marked);
    memset(l, 0, sizeof *l);
}

/* ------------------------------------------------------------- the order */
struct keyed { /* one row with what it is sorted by */
    double num;
    const char *text;
    int layer;
    bool unknown;
};

/* Numbers sort upwards; where the largest matters most the sign turns. */
static void key_of(struct keyed *k, enum ui_order by,
                   const struct ui_facts *f)
{
    k->text = NULL;
    switch (by) {
    case UI_BY_NAME:
        k->text = f->name;
        break;
    case UI_BY_METHOD:
        k->text = f->method;
        break;
    case UI_BY_BITS:
        k->num = f->wbits;
        break;
    case UI_BY_ABITS:
        k->num = f->abits;
        break;
    case UI_BY_PSNR:
        k->num = f->psnr;
        break;
    case UI_BY_NOISE: /* most noise first */
        k->num = f->sqnr;
        break;
    case UI_BY_SIZE: /* largest first */
        k->num = -f->kb;
        break;
    case UI_BY_PARAMS:
        k->num = -(double)f->params;
        break;
    case UI_BY_SENS: /* most loss per bit saved first */
        k->num = -f->sens_bit;
        break;
    case UI_BY_POSITION:
    case UI_ORDERS:
        k->num = k->layer;
        break;
    }
    k->unknown = !k->text && isnan(k->num);
}

/* Ties and unknown numbers keep file order, so nothing jumps. */
static int compare(const void *pa, const void *pb)
{
    const struct keyed *a = pa, *b = pb;
    if (a->unknown != b->unknown)
        return a->unknown ? 1 : -1;
    if (!a->unknown) {
        int c = a->text ? strcmp(a->text, b->text)
                        : (a->num > b->num) - (a->num < b->num);
        if (c)
            return c;
    }
    return a->layer - b->layer;
}

static void reverse(int *row, int n)
{
    for (int i = 0; i < n / 2; i++) {
        int t = row[i];
        row[i] = row[n - 1 - i];
        row[n - 1 - i] = t;
    }
}

/* By value and then by place in the file: qsort alone is not stable. */
static void sort_rows(struct ui_list *l, struct keyed *k)
{
    qsort(k, (size_t)l->n, sizeof *k, compare);
    for (int i = 0; i < l->n; i++)
        l->row[i] = k[i].layer;
}

/* The shown row whose layer is nearest to the cursor's, in file order. */
static int nearest_row(const struct ui_list *l)
{
    int best = -1, dist = 0;
    for (int i = 0; i < l->n; i++) {
        int d = abs(l->row[i] - l->cur);
        if (best < 0 || d < dist) {
            best = i;
            dist = d;
        }
    }
    return best;
}

/* Facts are pulled only when a filter or an order needs them: the plain list
 * of ten thousand layers costs nothing. */
void ui_list_refresh(struct ui_list *l, const struct ui_source *src)
{
    bool plain = l->order == UI_BY_POSITION;
    struct keyed *k =
        plain ? NULL : calloc((size_t)l->total + 1, sizeof *k);
    l->n = 0;
    for (int i = 0; i < l->total; i++) {
        struct ui_facts f = {.name = "", .op = "", .method = ""};
        if (l->filter.n || k) {
            src->facts(src->arg, i, &f);
            f.marked = l->marked[i];
        }
        if (!ui_filter_match(&l->filter, &f))
            continue;
        if (k) {
            k[l->n].layer = i;
            key_of(&k[l->n], l->order, &f);
        }
        l->row[l->n++] = i;
    }
    if (k) /* without memory the rows stay in file order */
        sort_rows(l, k);
    free(k);
    if (l->reverse)
        reverse(l->row, l->n);
    l->at = nearest_row(l);
    if (l->at >= 0)
        l->cur = l->row[l->at];
}

/* ------------------------------------------------------------ the cursor */
void ui_list_to_row(struct ui_list *l, int row)
{
    if (l->n == 0)
        return;
    l->at = row < 0 ? 0 : row >= l->n ? l->n - 1 : row;
    l->cur = l->row[l->at];
}

void ui_list_move(struct ui_list *l, int rows)
{
    /* Counts are typed by people: 999999999j must not overflow. */
    if (rows > l->n)
        rows = l->n;
    if (rows < -l->n)
        rows = -l->n;
    ui_list_to_row(l, l->at + rows);
}

/* A layer the filter hides is left alone: the caller says so. */
void ui_list_to_layer(struct ui_list *l, int layer)
{
    for (int i = 0; i < l->n; i++)
        if (l->row[i] == layer) {
            ui_list_to_row(l, i);
            return;
        }
}

/* Scrolls by the least that shows the cursor. */
void ui_list_scroll(struct ui_list *l, int h)
{
    if (h < 1)
        h = 1;
    if (l->at < l->top)
        l->top = l->at;
    if (l->at >= l->top + h)
        l->top = l->at - h + 1;
    if (l->top > l->n - h)
        l->top = l->n - h;
    if (l->top < 0)
        l->top = 0;
}

/* ---------------------------------------------------------------- marks */
void ui_list_mark(struct ui_list *l, int layer, bool on)
{
    if (layer < 0 || layer >= l->total || l->marked[layer] == on)
        return;
    l->marked[layer] = on;
    l->nmarked += on ? 1 : -1;
}

void ui_list_mark_all(struct ui_list *l)
{
    bool on = false; /* all marked already: take the marks off */
    for (int i = 0; i < l->n; i++)
        on = on || !l->marked[l->row[i]];
    for (int i = 0; i < l->n; i++)
        ui_list_mark(l, l->row[i], on);
}

void ui_list_mark_range(struct ui_list *l)
{
    int from = -1;
    for (int i = 0; i < l->n; i++)
        if (l->row[i] == l->anchor)
            from = i;
    if (from < 0 || l->at < 0)
        return;
    int lo = from < l->at ? from : l->at, hi = from < l->at ? l->at : from;
    for (int i = lo; i <= hi; i++)
        ui_list_mark(l, l->row[i], true);
    l->anchor = -1;
}

/* ----------------------------------------------------------------- find */
struct ui_match ui_list_find(const struct ui_list *l,
                             const struct ui_source *src, const char *text,
                             int dir, bool from_here)
{
    struct ui_match m = {-1, 0, 0};
    for (int i = 0; i < l->n; i++) {
        /* Rows in the order the search meets them, the cursor's own first
         * or last. */
        int step = from_here ? i : i + 1;
        int r = ((l->at + dir * step) % l->n + l->n) % l->n;
        struct ui_facts f = {.name = ""};
        src->facts(src->arg, l->row[r], &f);
        if (ui_contains(f.name, text)) {
            m.all++;
            if (m.row < 0)
                m.row = r;
        }
    }
    for (int i = 0; i <= m.row; i++) {
        struct ui_facts f = {.name = ""};
        src->facts(src->arg, l->row[i], &f);
        m.nth += ui_contains(f.name, text);
    }
    return m;
}
