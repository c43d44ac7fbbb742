/* Tables of text on standard output: cells are collected first, so columns
 * are exactly as wide as their widest cell. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A failed allocation is remembered and reported once, at the end. */
static void keep(struct cli_table *t, const char *text)
{
    void *p = t->cell;
    char *copy = bd_strdup(text);

    if (!copy || !bd_grow(&p, &t->cap, t->n + 1, sizeof *t->cell)) {
        bd_free(copy);
        t->failed = true;
        return;
    }
    t->cell = p;
    t->cell[t->n++] = copy;
}

void bd_cli_table_head(struct cli_table *t, const char *const *names)
{
    *t = (struct cli_table){0};
    for (; names[t->columns] && t->columns < 24; t->columns++) {
        const char *name = names[t->columns];

        t->left[t->columns] = name[0] == '<';
        keep(t, name + (name[0] == '<'));
    }
}

void bd_cli_table_put(struct cli_table *t, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    keep(t, text);
}

void bd_cli_table_name(struct cli_table *t, const char *name, size_t cells)
{
    char show[256];

    keep(t, bd_text_show(show, sizeof show, name, cells));
}

/* Infinite means that nothing was lost. */
void bd_cli_db(struct cli_table *t, double db)
{
    if (isnan(db))
        keep(t, "-");
    else if (isinf(db))
        keep(t, db > 0 ? "exact" : "-");
    else
        bd_cli_table_put(t, "%.2f", db);
}

/* Cells on screen: code points, since bd_text_show leaves no combining or
 * wide surprises beyond what names really contain. */
static int cells_of(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* Of each column, over all rows. */
static void widths(int *w, const struct cli_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        int n = cells_of(t->cell[i]), c = (int)(i % (size_t)t->columns);

        w[c] = n > w[c] ? n : w[c];
    }
}

void bd_cli_table_out(struct bd_str *out, struct cli_table *t)
{
    int w[24] = {0};

    widths(w, t);
    for (size_t i = 0; i < t->n; i++) {
        int c = (int)(i % (size_t)t->columns);
        int pad = w[c] - cells_of(t->cell[i]);
        bool last = c == t->columns - 1;

        if (!t->left[c])
            bd_str_printf(out, "%*s", pad, "");
        bd_str_puts(out, t->cell[i]);
        if (t->left[c] && !last)
            bd_str_printf(out, "%*s", pad, "");
        bd_str_puts(out, last ? "\n" : "  ");
    }
    out->failed = out->failed || t->failed;
    for (size_t i = 0; i < t->n; i++)
        bd_free(t->cell[i]);
    bd_free(t->cell);
    *t = (struct cli_table){0};
}
