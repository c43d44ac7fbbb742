/* search_layers.c: what a search would give every layer, beside what it has.
 * A sign says more or fewer bits, colour repeats where the choice differs.
 * Shown is the side that was searched: weights, inputs, or both in short. */
#include <stdio.h>

#include "ui.h"

enum { C_NAME, C_NOW, C_ARROW, C_FOUND, C_BYTES, C_COLUMNS };
static const struct wg_column columns[C_COLUMNS] = {
    [C_NAME] = {"layer", 12, 22, 0, false, true},
    [C_NOW] = {"now", 20, 22, 1, false, false},
    [C_ARROW] = {"", 4, 4, 2, true, false},
    [C_FOUND] = {"found", 21, 27, 0, false, false},
    [C_BYTES] = {"bytes", 7, 9, 3, true, false},
};

struct rows {
    struct ui *ui;
    const struct bd_search_result *best; /* NULL = none yet */
    enum bd_sens_what what;
};

static const struct bd_tensorcfg *side(const struct rows *r,
                                       const struct bd_layercfg *l)
{
    return r->what == BD_SENS_A ? &l->a : &l->w;
}

/* Of both sides: "uniform:4/uniform:5". */
static const char *in_short(char *out, size_t cap,
                            const struct bd_tensorcfg *t)
{
    if (t->bits == 32)
        return "float";
    snprintf(out, cap, "%s:%d", bd_quantizer_at(t->quant)->name, t->bits);
    return out;
}

static void choice_text(char *out, size_t cap, const struct rows *r,
                        const struct bd_layercfg *l)
{
    const struct bd_tensorcfg *t = side(r, l);
    char text[96], in[48];
    if (r->what == BD_SENS_WA) {
        snprintf(out, cap, "%s/%s", in_short(text, 48, &l->w),
                 in_short(in, sizeof in, &l->a));
        return;
    }
    bd_tensorcfg_text(text, sizeof text, t);
    snprintf(out, cap, "%s%s", text, t->channel ? " mixed" : "");
}

static bool changed(const struct rows *r, const struct bd_layercfg *a,
                    const struct bd_layercfg *b)
{
    return !bd_tensorcfg_same(side(r, a), side(r, b)) ||
           (r->what == BD_SENS_WA && !bd_tensorcfg_same(&a->a, &b->a));
}

/* Stored bytes more or fewer: a plain sign says what the arrow shows. */
static void bytes_cell(struct wg_table_cell *out, const struct rows *r,
                       int row)
{
    const struct bd_model *m = bd_session_model(r->ui->s);
    const struct bd_layercfg *now = &bd_session_cfg(r->ui->s)->layer[row];
    if (r->what == BD_SENS_A) /* which are not stored */
        return;
    int64_t a = bd_stored_bits(m, row, &now->w) / 8;
    int64_t b = bd_stored_bits(m, row, &r->best->cfg.layer[row].w) / 8;
    if (a != b)
        snprintf(out->text, sizeof out->text, "%+lld", (long long)(b - a));
    out->role = WG_NUMBER;
}

static void cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    const struct rows *r = arg;
    const struct bd_model *m = bd_session_model(r->ui->s);
    const struct bd_layercfg *now = &bd_session_cfg(r->ui->s)->layer[row];
    out->role = WG_TEXT;
    if (col == C_NAME)
        bd_text_show(out->text, sizeof out->text, m->layer[row].name, 60);
    else if (col == C_NOW)
        choice_text(out->text, sizeof out->text, r, now);
    if (!r->best || col <= C_NOW)
        return;
    const struct bd_layercfg *to = &r->best->cfg.layer[row];
    int d = (int)side(r, to)->bits - side(r, now)->bits;
    if (col == C_FOUND) {
        choice_text(out->text, sizeof out->text, r, to);
        if (changed(r, to, now))
            out->role = WG_ACCENT;
    } else if (col == C_ARROW) {
        if (now->locked)
            snprintf(out->text, sizeof out->text, "lock");
        else if (d != 0 && r->what != BD_SENS_WA)
            snprintf(out->text, sizeof out->text, "%+d", d);
    } else {
        bytes_cell(out, r, row);
    }
}

void ui_search_layers(struct ui *ui, struct wg_rect r,
                      const struct bd_search_view *v, int *top)
{
    struct rows rows = {ui, v->best,
                        v->best ? v->best->what : BD_SENS_W};
    int n = (int)bd_session_model(ui->s)->nlayers;
    int most = n - (r.h - 1);
    *top = *top > most ? most : *top;
    *top = *top < 0 ? 0 : *top;
    struct wg_table t = {.col = columns, .ncol = C_COLUMNS, .nrow = n,
                         .top = *top, .cursor = -1, .sort_col = -1,
                         .cell = cell, .arg = &rows};
    wg_table_draw(&ui->canvas, r, &t, ui->glyphs);
}
