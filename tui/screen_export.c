/* screen_export.c: the configuration as a file.  What will be written, where
 * to, and a look at the document before it exists.  Writing is the
 * session's; asking before overwriting is ours. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

struct export {
    struct bd_str text;    /* the document as it would be written */
    uint64_t digest;       /* of the configuration it shows */
    bool made;
    int top;               /* first line shown */
    bool exists;           /* the file did when last looked: drawing must not
                              ask a file system that may be slow */
};

/* The document changes only with the configuration. */
static void refresh(struct ui *ui, struct export *e)
{
    const struct bd_bitcfg *c = bd_session_cfg(ui->s);
    uint64_t digest = bd_bitcfg_digest(c);
    if (e->made && e->digest == digest)
        return;
    struct bd_err err = {0};
    struct bd_config_doc doc = {.cfg = c,
                                .metrics = {(double)NAN, (double)NAN, -1,
                                            -1}};
    bd_str_done(&e->text);
    if (bd_config_write(&e->text, bd_session_model(ui->s), &doc, &err) !=
        BD_OK)
        bd_str_puts(&e->text, err.msg);
    e->digest = digest;
    e->made = true;
}

/* MODEL.bits.json in the folder we are in. */
static void default_path(struct ui *ui)
{
    const char *path = bd_session_model(ui->s)->path;
    const char *slash = path ? strrchr(path, '/') : NULL;
    char name[512];
    snprintf(name, sizeof name, "%s",
             slash ? slash + 1 : path ? path : "model");
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
    snprintf(ui->path, sizeof ui->path, "%s.bits.json", name);
}

static void open(struct ui *ui, void *state)
{
    struct export *e = state;
    if (!ui->path[0])
        default_path(ui);
    e->made = false;
    e->exists = bd_file_exists(ui->path);
    refresh(ui, e);
}

static int count_lines(const struct export *e)
{
    int n = 0;
    for (const char *s = e->text.s; s && *s; s++)
        n += *s == '\n';
    return n;
}

/* The document itself, cut at the right: what is seen is what is written. */
static void draw_preview(struct ui *ui, struct export *e, struct wg_rect r)
{
    const char *s = e->text.s ? e->text.s : "";
    int lines = count_lines(e);
    if (e->top > lines - r.h)
        e->top = lines - r.h;
    if (e->top < 0)
        e->top = 0;
    for (int y = -e->top; *s && y < r.h; y++) {
        size_t n = strcspn(s, "\n");
        if (y >= 0) {
            char line[600], cut[600];
            snprintf(line, sizeof line, "%.*s", (int)(n < 580 ? n : 580), s);
            wg_text(&ui->canvas, r, 0, y, WG_DIM,
                    wg_cut(cut, sizeof cut, line, r.w, false));
        }
        s += n + (s[n] == '\n');
    }
}

static void field(struct ui *ui, struct wg_rect r, int y, const char *label,
                  const char *value)
{
    wg_text(&ui->canvas, r, 1, y, WG_DIM, label);
    wg_text(&ui->canvas, r, 12, y, WG_TEXT, value);
}

/* Format, content and place first; then the document. */
static void draw(struct ui *ui, void *state, struct wg_rect body)
{
    struct export *e = state;
    struct bd_net_view net;
    char path[600], what[128], size[32];
    refresh(ui, e);
    bd_session_net(&net, ui->s);
    bd_text_show(path, sizeof path, ui->path,
                 (size_t)(body.w > 40 ? body.w - 26 : 20));
    ui_fmt_size(size, sizeof size, (double)net.cost.size_bits / 8);
    snprintf(what, sizeof what, "%.2f bits on average, %s of weights",
             net.cost.avg_bits_w, size);
    field(ui, body, 0, "format", "bitdial.config/1 (JSON)");
    field(ui, body, 1, "content", what);
    field(ui, body, 2, "file", path);
    if (e->exists)
        wg_text(&ui->canvas, body, 14 + wg_width(path), 2, WG_WARN,
                "exists");
    wg_text(&ui->canvas, body, 1, 4, WG_HEADING, "preview");
    draw_preview(ui, e, (struct wg_rect){body.x + 1, body.y + 5, body.w - 2,
                                         body.h - 5});
}

static void path_typed(struct ui *ui, const char *text)
{
    if (*text)
        snprintf(ui->path, sizeof ui->path, "%s", text);
    struct export *e = ui->state[UI_EXPORT];
    e->exists = bd_file_exists(ui->path);
}

static bool action(struct ui *ui, void *state, enum ui_action a, int count)
{
    struct export *e = state;
    int page = ui->frame.body.h - 6;
    switch ((int)a) {
    case UI_OPEN:
        ui_export(ui, true);
        e->exists = bd_file_exists(ui->path);
        return true;
    case UI_EDIT_PATH:
        ui_prompt_open(ui, &(struct ui_ask){.label = "file: ",
                                            .initial = ui->path,
                                            .done = path_typed});
        return true;
    case UI_DOWN:
        return e->top += count, true;
    case UI_UP:
        return e->top -= count, true;
    case UI_PAGE_DOWN:
        return e->top += page, true;
    case UI_PAGE_UP:
        return e->top -= page, true;
    case UI_TOP:
        return e->top = 0, true;
    case UI_BOTTOM:
        return e->top = 1 << 24, true;
    default:
        return false;
    }
}

static void mouse(struct ui *ui, void *state, struct wg_rect body,
                  struct wg_mouse m)
{
    struct export *e = state;
    (void)ui;
    (void)body;
    if (m.what == WG_WHEEL_UP)
        e->top -= 3;
    if (m.what == WG_WHEEL_DOWN)
        e->top += 3;
}

static void close(void *state)
{
    struct export *e = state;
    bd_str_done(&e->text);
}

static const struct ui_key_label keys[] = {
    {UI_HELP, "help"},      {UI_OPEN, "write"},  {UI_EDIT_PATH, "file name"},
    {UI_DOWN, "down"},      {UI_UP, "up"},       {UI_BACK, "back"},
    {UI_NONE, NULL},
};

const struct ui_screen ui_screen_export = {
    .key = "8", .name = "Export", .on = ON_EXPORT,
    .state_size = sizeof(struct export), .keys = keys,
    .open = open, .draw = draw, .action = action, .mouse = mouse,
    .close = close,
};
