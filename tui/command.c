/* command.c: what `:` and scripts accept.  One row per command; the palette
 * and the help overlay read the same table.  Commands that edit layers take
 * a pattern first; without one they mean the selection, as keys do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { WORDS = 4 };
struct words { /* arguments, split at blanks; the last keeps the rest */
    int n;
    char w[WORDS][300];
};

/* Words of a command line.  A fourth word takes all that is left, so that a
 * file name with blanks at the end of a command stays whole. */
static void split(struct words *out, const char *s)
{
    memset(out, 0, sizeof *out);
    s += strspn(s, " \t");
    while (*s && out->n < WORDS) {
        size_t n = out->n == WORDS - 1 ? strlen(s) : strcspn(s, " \t");
        snprintf(out->w[out->n++], sizeof out->w[0], "%.*s", (int)n, s);
        s += n;
        s += strspn(s, " \t");
    }
}

/* -------------------------------------------------------- which layers
 * The pattern of a command, or the selection when it has none. */
static bool layers_of(struct ui *ui, const char *glob, struct bd_sel *out)
{
    const struct bd_model *m = bd_session_model(ui->s);
    if (!glob) {
        *out = ui_selection(ui);
        if (out->n == 0)
            ui_warn(ui, "no layer is shown");
        return out->n > 0;
    }
    size_t n = 0;
    for (size_t i = 0; i < m->nlayers; i++)
        if (bd_glob(glob, m->layer[i].name))
            ui->list.sel[n++] = (int)i;
    *out = (struct bd_sel){ui->list.sel, n};
    if (n == 0) {
        char shown[128];
        ui_warn(ui, "no layer is called '%s'; * stands for any letters",
                bd_text_show(shown, sizeof shown, glob, 40));
    }
    return n > 0;
}

/* "[GLOB] VALUE": finds both. */
static bool glob_value(struct ui *ui, const char *args, struct bd_sel *sel,
                       struct words *w)
{
    split(w, args);
    if (w->n < 1 || w->n > 2) {
        ui_warn(ui, "takes [LAYERS] VALUE, as in layer1.* 4");
        return false;
    }
    if (w->n == 1) /* the value moves where two words would have it */
        memcpy(w->w[1], w->w[0], sizeof w->w[1]);
    return layers_of(ui, w->n == 2 ? w->w[0] : NULL, sel);
}

/* The common end of every edit: say it, and tell a script how it went. */
static bool finish(struct ui *ui, bd_status st, const struct bd_err *err)
{
    ui_said(ui, st, err);
    return st == BD_OK;
}

/* Bits of weights or inputs: the same words, two commands. */
static bool set_bits(struct ui *ui, const char *args, enum bd_part part)
{
    struct bd_sel sel;
    struct words w;
    struct bd_err err = {0};
    int64_t bits = 32;
    if (!glob_value(ui, args, &sel, &w))
        return false;
    if (strcmp(w.w[1], "float") != 0 &&
        !bd_parse_int(&bits, w.w[1], 1, 32)) {
        ui_warn(ui, "'%s': bits are 1 to 16, or 32 for float", w.w[1]);
        return false;
    }
    return finish(ui, bd_session_set_bits(ui->s, sel, part, (int)bits, &err),
                  &err);
}

static bool run_bits(struct ui *ui, const char *args)
{
    return set_bits(ui, args, BD_PART_W);
}

static bool run_abits(struct ui *ui, const char *args)
{
    return set_bits(ui, args, BD_PART_A);
}

/* By name, from the engine's table: a new quantizer needs no line here. */
static bool set_method(struct ui *ui, const char *args, enum bd_part part)
{
    struct bd_sel sel;
    struct words w;
    struct bd_err err = {0};
    if (!glob_value(ui, args, &sel, &w))
        return false;
    int row = bd_quantizer_find(w.w[1]);
    if (row < 0) {
        ui_warn(ui, "no method '%s'; m goes through all of them", w.w[1]);
        return false;
    }
    return finish(ui, bd_session_set_method(ui->s, sel, part, row, &err),
                  &err);
}

static bool run_method(struct ui *ui, const char *args)
{
    return set_method(ui, args, BD_PART_W);
}

static bool run_amethod(struct ui *ui, const char *args)
{
    return set_method(ui, args, BD_PART_A);
}

/* Row of a NULL-ended list of names, with an optional number behind it:
 * "group128". */
static int named(const char *const *names, const char *text, double *num)
{
    for (int i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(text, names[i], n) != 0)
            continue;
        if (!text[n] || bd_parse_double(num, text + n))
            return i;
    }
    return -1;
}

/* The number of a rule is part of its word, as in configuration files:
 * percentile99.9, manual0.17, ema0.1. */
static bool set_clip(struct ui *ui, const char *args, enum bd_part part)
{
    struct bd_sel sel;
    struct words w;
    struct bd_err err = {0};
    struct bd_clip_choice clip;
    if (!glob_value(ui, args, &sel, &w))
        return false;
    if (!bd_clip_parse(&clip.rule, &clip.value, w.w[1])) {
        ui_warn(ui, "no clip rule '%s'; there are max percentile99.9 mse kl "
                    "aciq ema manual0.17 learned", w.w[1]);
        return false;
    }
    if (clip.rule == BD_CLIP_PERCENTILE && clip.value == 0)
        clip.value = 99.9f;
    return finish(ui, bd_session_set_clip(ui->s, sel, part, clip, &err), &err);
}

static bool run_clip(struct ui *ui, const char *args)
{
    return set_clip(ui, args, BD_PART_W);
}

static bool run_aclip(struct ui *ui, const char *args)
{
    return set_clip(ui, args, BD_PART_A);
}

/* group alone means groups of 128, the size most formats share. */
static bool set_grain(struct ui *ui, const char *args, enum bd_part part)
{
    struct bd_sel sel;
    struct words w;
    struct bd_err err = {0};
    double group = 0;
    if (!glob_value(ui, args, &sel, &w))
        return false;
    int grain = named(bd_grain_names, w.w[1], &group);
    if (grain < 0 || group < 0 || group > 32767) {
        ui_warn(ui, "no grain '%s'; there are tensor channel group128",
                w.w[1]);
        return false;
    }
    if (grain == BD_GRAIN_GROUP && group == 0)
        group = 128;
    struct bd_grain_choice g = {(enum bd_grain)grain, (int)group};
    return finish(ui, bd_session_set_grain(ui->s, sel, part, g, &err), &err);
}

static bool run_grain(struct ui *ui, const char *args)
{
    return set_grain(ui, args, BD_PART_W);
}

static bool run_agrain(struct ui *ui, const char *args)
{
    return set_grain(ui, args, BD_PART_A);
}

/* ------------------------------------------------------------- going about */
static bool run_goto(struct ui *ui, const char *args)
{
    const struct bd_model *m = bd_session_model(ui->s);
    struct words w;
    split(&w, args);
    int layer = w.n ? bd_model_find_layer(m, w.w[0]) : -1;
    for (size_t i = 0; layer < 0 && w.n && i < m->nlayers; i++)
        if (bd_glob(w.w[0], m->layer[i].name) ||
            ui_contains(m->layer[i].name, w.w[0]))
            layer = (int)i;
    if (layer < 0) {
        ui_warn(ui, "no layer '%s'", w.n ? w.w[0] : "");
        return false;
    }
    ui_list_to_layer(&ui->list, layer);
    if (ui->list.cur != layer) {
        ui_warn(ui, "the filter hides '%s'; \\ then Enter clears it",
                w.w[0]);
        return false;
    }
    ui->level = -1;
    return true;
}

/* An empty filter clears, which is how the filter prompt clears too. */
static bool run_filter(struct ui *ui, const char *args)
{
    char why[300];
    if (!ui_filter_parse(&ui->list.filter, args, why, sizeof why)) {
        ui_warn(ui, "%s", why);
        return false;
    }
    ui_changed(ui);
    if (ui->list.filter.n)
        ui_say(ui, "%d of %d layers", ui->list.n, ui->list.total);
    else
        ui_say(ui, "all %d layers", ui->list.total);
    return true;
}

/* Names are those of the sort menu; `down` turns the order round. */
static bool run_sort(struct ui *ui, const char *args)
{
    struct words w;
    split(&w, args);
    for (int i = 0; i < UI_ORDERS; i++)
        if (w.n && strcmp(w.w[0], ui_order_names[i]) == 0) {
            ui->list.order = (enum ui_order)i;
            ui->list.reverse = w.n > 1 && strcmp(w.w[1], "down") == 0;
            ui_changed(ui);
            return true;
        }
    ui_warn(ui, "sort by position name bits abits method psnr noise size "
                "params or sens");
    return false;
}

/* Adds to what is marked: several patterns can be gathered. */
static bool run_mark(struct ui *ui, const char *args)
{
    struct words w;
    const struct bd_model *m = bd_session_model(ui->s);
    split(&w, args);
    int n = 0;
    for (size_t i = 0; w.n && i < m->nlayers; i++)
        if (bd_glob(w.w[0], m->layer[i].name)) {
            ui_list_mark(&ui->list, (int)i, true);
            n++;
        }
    if (n == 0) {
        ui_warn(ui, "no layer matches '%s'; try *%s*", w.n ? w.w[0] : "",
                w.n ? w.w[0] : "");
        return false;
    }
    ui_say(ui, "%d marked", ui->list.nmarked);
    return true;
}

/* Without a pattern all marks go. */
static bool run_unmark(struct ui *ui, const char *args)
{
    struct words w;
    const struct bd_model *m = bd_session_model(ui->s);
    split(&w, args);
    for (size_t i = 0; i < m->nlayers; i++)
        if (w.n == 0 || bd_glob(w.w[0], m->layer[i].name))
            ui_list_mark(&ui->list, (int)i, false);
    ui_say(ui, "%d marked", ui->list.nmarked);
    return true;
}

/* ---------------------------------------------------------------- files */
/* The screen never waits for a disk: there the outcome follows as news
 * (ui_changed), within moments.  A script has nothing to keep alive and goes
 * on when the file is there. */
bool ui_wrote(struct ui *ui, bd_status st, const char *path,
              const struct bd_err *err)
{
    char shown[300];
    if (st != BD_OK) {
        ui_refuse(ui, err);
        return false;
    }
    ui_say(ui, "%s: %s", ui->batch ? "written" : "writing",
           bd_text_show(shown, sizeof shown, path, 80));
    return true;
}

static bool export_to(struct ui *ui, const char *path, bool force)
{
    struct bd_err err = {0};
    bd_status st =
        ui->batch ? bd_session_export(ui->s, path, force, &err)
                  : bd_session_export_soon(ui->s, path, force, &err);
    return ui_wrote(ui, st, path, &err);
}

/* The y of the question. */
static void overwrite(struct ui *ui)
{
    export_to(ui, ui->path, true);
}

/* The file is looked at once more by the session when it writes: between our
 * question and the writing another program may have been quicker. */
bool ui_export(struct ui *ui, bool ask)
{
    char shown[300];
    if (!ui->path[0]) {
        ui_warn(ui, "no file name; as in :export bits.json");
        return false;
    }
    if (bd_file_exists(ui->path) && !ask) {
        ui_warn(ui, "%s exists; :export! overwrites",
                bd_text_show(shown, sizeof shown, ui->path, 60));
        return false;
    }
    if (bd_file_exists(ui->path)) {
        ui_confirm(ui, overwrite, "%s exists. Overwrite it?",
                   bd_text_show(shown, sizeof shown, ui->path, 60));
        return true;
    }
    return export_to(ui, ui->path, false);
}

static bool run_export(struct ui *ui, const char *args)
{
    if (*args)
        snprintf(ui->path, sizeof ui->path, "%s", args);
    return ui_export(ui, !ui->batch); /* a script cannot be asked */
}

static bool run_export_force(struct ui *ui, const char *args)
{
    if (*args)
        snprintf(ui->path, sizeof ui->path, "%s", args);
    return export_to(ui, ui->path, true);
}

/* What is saved is the picture a terminal without colour would show, so the
 * file reads the same everywhere. */
static bool run_save_screen(struct ui *ui, const char *args)
{
    struct bd_err err = {0};
    if (!*args) {
        ui_warn(ui, "takes a file name, as in :save-screen layers.txt");
        return false;
    }
    ui_draw(ui);
    /* As a terminal without colour would show it: scales become shades. */
    wg_canvas_fold(&ui->canvas, ui->glyphs == WG_ASCII, true);
    char *text = wg_canvas_dump(&ui->canvas, false);
    bd_status st = text ? bd_save(args, text, strlen(text), true, &err)
                        : bd_fail(&err, BD_ENOMEM, "no memory left");
    free(text);
    ui->dirty = true; /* the canvas lost its colours */
    if (st != BD_OK) {
        ui_refuse(ui, &err);
        return false;
    }
    if (!ui->batch)
        ui_say(ui, "screen saved: %s", args);
    return true;
}

/* ------------------------------------------------------------- settings */
static bool set_theme(struct ui *ui, const char *name)
{
    for (int i = 0; wg_theme_names[i]; i++) {
        if (strcmp(wg_theme_names[i], name) != 0)
            continue;
        /* Without a terminal there is nothing to colour. */
        if (ui->term && !wg_term_theme(ui->term, name))
            return false;
        ui_config_note(ui, "set theme %s", name);
        return true;
    }
    ui_warn(ui, "no theme '%s'; there are dark light high-contrast mono",
            name);
    return false;
}

static bool run_set(struct ui *ui, const char *args)
{
    struct words w;
    split(&w, args);
    if (w.n == 2 && strcmp(w.w[0], "theme") == 0)
        return set_theme(ui, w.w[1]);
    bool mouse = w.n == 1 && strcmp(w.w[0], "mouse") == 0;
    if (mouse || (w.n == 1 && strcmp(w.w[0], "nomouse") == 0)) {
        if (ui->term)
            wg_term_mouse(ui->term, mouse);
        ui_config_note(ui, "set %s", w.w[0]);
        return true;
    }
    if (w.n == 1 && strcmp(w.w[0], "save") == 0)
        return ui_config_save(ui);
    ui_warn(ui, "takes theme NAME, mouse, nomouse or save");
    return false;
}

/* `none` frees a key, which is how a clash is resolved: free it, then bind. */
static bool run_bind(struct ui *ui, const char *args)
{
    struct words w;
    char why[200];
    split(&w, args);
    int key = w.n == 2 ? wg_key_parse(w.w[0]) : WG_KEY_NONE;
    if (key == WG_KEY_NONE) {
        ui_warn(ui, "takes KEY ACTION, as in :bind <F5> undo");
        return false;
    }
    if (strcmp(w.w[1], "none") == 0) {
        ui_config_note(ui, "bind %s none", w.w[0]);
        return ui_keymap_unbind(&ui->keys, key);
    }
    enum ui_action a = ui_action_find(w.w[1]);
    if (a == UI_NONE) {
        ui_warn(ui, "no action '%s'; : lists them", w.w[1]);
        return false;
    }
    if (!ui_keymap_bind(&ui->keys, a, key, why, sizeof why)) {
        ui_warn(ui, "%s", why);
        return false;
    }
    ui_config_note(ui, "bind %s %s", w.w[0], w.w[1]);
    return true;
}

/* Only where no terminal has a say. */
static bool run_resize(struct ui *ui, const char *args)
{
    int w, h;
    char end;
    if (sscanf(args, "%dx%d%c", &w, &h, &end) != 2 || w < 1 || h < 1 ||
        w > 1000 || h > 500) {
        ui_warn(ui, "takes WxH up to 1000x500, as in :resize 120x40");
        return false;
    }
    if (!ui->batch) {
        ui_warn(ui, "a real terminal has the size it has");
        return false;
    }
    return ui_resize(ui, w, h);
}

/* Sets a wish; script.c waits.  Commands themselves never do. */
static bool run_wait(struct ui *ui, const char *args)
{
    (void)args;
    ui->waits = ui->batch; /* a screen never waits: scripts do */
    return true;
}

/* ------------------------------------- commands that are actions as well */
static bool run_undo(struct ui *ui, const char *args)
{
    (void)args;
    return ui_do(ui, UI_UNDO, 1), true;
}

static bool run_redo(struct ui *ui, const char *args)
{
    (void)args;
    return ui_do(ui, UI_REDO, 1), true;
}

static bool run_quit(struct ui *ui, const char *args)
{
    (void)args;
    return ui_do(ui, UI_QUIT, 1), true;
}

const struct ui_command ui_commands[] = {
    {"bits", "bits [LAYERS] N", "weight bits; 32 = float", run_bits},
    {"abits", "abits [LAYERS] N", "bits of layer inputs", run_abits},
    {"method", "method [LAYERS] NAME", "quantizer of weights", run_method},
    {"clip", "clip [LAYERS] RULE", "max percentile99.9 mse kl aciq manual0.1",
     run_clip},
    {"grain", "grain [LAYERS] NAME", "tensor channel group128", run_grain},
    {"amethod", "amethod [LAYERS] NAME", "quantizer of layer inputs",
     run_amethod},
    {"aclip", "aclip [LAYERS] RULE", "of inputs; also ema, a moving average",
     run_aclip},
    {"agrain", "agrain [LAYERS] NAME", "of inputs: tensor or channel",
     run_agrain},
    {"bottleneck", "bottleneck 39dB", "planes of inputs; loss 16, rate 4.5",
     ui_planes_command},
    {"goto", "goto LAYER", "move the cursor to a layer", run_goto},
    {"mark", "mark PATTERN", "mark layers, as in *conv1", run_mark},
    {"unmark", "unmark [PATTERN]", "take marks off", run_unmark},
    {"filter", "filter [WORDS]", "op:Conv bits<4 psnr<25 name~down",
     run_filter},
    {"sort", "sort ORDER [down]", "position name bits psnr noise size",
     run_sort},
    {"export", "export [FILE]", "write the configuration", run_export},
    {"export!", "export! [FILE]", "write it, overwriting",
     run_export_force},
    {"plot", "plot [WHAT] FILE.png", "histogram channels sensitivity tradeoff",
     ui_plot},
    {"keep", "keep [NAME]", "this configuration, to compare", ui_keep},
    {"forget", "forget NAME", "what was kept under it", ui_forget},
    {"compare", "compare [A,] B", "two of them side by side", ui_compare},
    {"search", "search [METHOD] [KIND=N] [take]",
     "widths under a budget: dp avg-bits=4.5", ui_search_command},
    {"repair", "repair [NAME [LAYERS]]",
     "equalize, bias-correction, adaround, ...", ui_repair_command},
    {"feature", "feature [LAYER [BITS [RUNS]]]",
     "bits per channel at a split", ui_feature_command},
    {"sweep", "sweep [kl top1 ...] [2-8] [w,a]",
     "measure what each layer costs; :sweep stop", ui_sweep_command},
    {"why", "why [LAYER]", "why it hurts, and what would help",
     ui_why_command},
    {"save-screen", "save-screen FILE", "this screen as text",
     run_save_screen},
    {"set", "set theme NAME", "theme, mouse, nomouse; save keeps them",
     run_set},
    {"bind", "bind KEY ACTION", "give an action a key", run_bind},
    {"undo", "undo", "undo the last change", run_undo},
    {"redo", "redo", "redo what was undone", run_redo},
    {"wait", "wait", "scripts: until all is computed", run_wait},
    {"resize", "resize WxH", "scripts: another screen size", run_resize},
    {"q", "q", "leave", run_quit},
    {NULL, NULL, NULL, NULL},
};

/* Commands are few: a walk is as quick as anything cleverer. */
const struct ui_command *ui_command_find(const char *word, size_t n)
{
    for (const struct ui_command *c = ui_commands; c->name; c++)
        if (strlen(c->name) == n && strncmp(c->name, word, n) == 0)
            return c;
    return NULL;
}

/* An unknown command gets the nearest known one named.  Colons in front are
 * ignored: people paste them. */
bool ui_command_run(struct ui *ui, const char *line)
{
    line += strspn(line, " \t:");
    size_t n = strcspn(line, " \t");
    if (n == 0)
        return true;
    ui->dirty = true;
    const struct ui_command *c = ui_command_find(line, n);
    if (!c) {
        char word[64], shown[128];
        const char *names[64] = {NULL};
        for (int i = 0; ui_commands[i].name && i < 63; i++)
            names[i] = ui_commands[i].name;
        snprintf(word, sizeof word, "%.*s", (int)n, line);
        const char *near = bd_nearest(word, names);
        bd_text_show(shown, sizeof shown, word, 30);
        if (near)
            ui_warn(ui, "no command '%s'; perhaps '%s'", shown, near);
        else
            ui_warn(ui, "no command '%s'; : lists them", shown);
        ui->failed = true;
        return false;
    }
    const char *args = line + n;
    bool ok = c->run(ui, args + strspn(args, " \t"));
    ui->failed = !ok;
    return ok;
}
