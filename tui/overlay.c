/* overlay.c: what takes keys before the screen does.  One at a time, so Esc
 * always has one meaning; each is a const pair of functions.  Prompt and
 * question live on the note line and leave the screen visible. */
#include <stdio.h>
#include <string.h>

#include "ui.h"

enum { KEY_ENTER = 13, KEY_ESC = 27, KEY_CTRL_C = 3 };

void ui_close_overlay(struct ui *ui)
{
    ui->over = NULL;
    ui->dirty = true;
}

/* Leaves room around an overlay of wanted size; the tabs stay visible. */
struct wg_rect ui_overlay_rect(const struct ui *ui, int w, int h)
{
    const struct wg_rect b = ui->frame.body;
    int room_w = b.w - 4 > 10 ? b.w - 4 : b.w;
    int room_h = b.h > 2 ? b.h : ui->canvas.h;
    if (w > room_w)
        w = room_w;
    if (h > room_h)
        h = room_h;
    return (struct wg_rect){b.x + (b.w - w) / 2, b.y + (room_h - h) / 3, w,
                            h};
}

/* Keys that mean no everywhere. */
static bool leaves(int key)
{
    return key == KEY_ESC || key == KEY_CTRL_C || key == WG_KEY_F10;
}

/* ---------------------------------------------------------------- prompt */
static void prompt_draw(struct ui *ui)
{
    wg_input_draw(&ui->canvas, ui->frame.note, &ui->prompt.in,
                  ui->prompt.label);
}

/* The text is copied before the prompt closes: what is asked next may open
 * another one. */
static void prompt_key(struct ui *ui, int key)
{
    struct ui_prompt *p = &ui->prompt;
    if (leaves(key)) {
        ui_close_overlay(ui);
        return;
    }
    if (key == KEY_ENTER) {
        char text[sizeof p->in.text];
        memcpy(text, p->in.text, sizeof text);
        ui_close_overlay(ui);
        p->done(ui, text);
        return;
    }
    if (wg_input_key(&p->in, key) && p->live)
        p->live(ui, p->in.text);
}

static const struct ui_overlay prompt_overlay = {prompt_draw, prompt_key, true,
                                                 true};

void ui_prompt_open(struct ui *ui, const struct ui_ask *ask)
{
    struct ui_prompt *p = &ui->prompt;
    memset(p, 0, sizeof *p);
    snprintf(p->label, sizeof p->label, "%s", ask->label);
    snprintf(p->in.text, sizeof p->in.text, "%s",
             ask->initial ? ask->initial : "");
    p->in.len = (int)strlen(p->in.text);
    p->in.cursor = p->in.len;
    p->done = ask->done;
    p->live = ask->live;
    ui->over = &prompt_overlay;
}

/* -------------------------------------------------------------- question */
static void confirm_draw(struct ui *ui)
{
    struct wg_rect r = ui->frame.note;
    int x = wg_text(&ui->canvas, r, 1, 0, WG_WARN, ui->note.text);
    wg_text(&ui->canvas, r, x + 2, 0, WG_KEY, "y/n");
}

/* Only y is yes; only n, Esc and the like are no; other keys do nothing, so
 * that neither a doubled key nor typing ahead answers by accident. */
static void confirm_key(struct ui *ui, int key)
{
    if (key == 'y' || key == 'Y') {
        void (*yes)(struct ui *) = ui->yes;
        ui->note.text[0] = 0;
        ui_close_overlay(ui);
        yes(ui);
    } else if (key == 'n' || key == 'N' || leaves(key)) {
        ui->note.text[0] = 0;
        ui_close_overlay(ui);
    }
}

static const struct ui_overlay confirm_overlay = {confirm_draw, confirm_key,
                                                  true, false};

void ui_confirm(struct ui *ui, void (*yes)(struct ui *ui), const char *fmt,
                ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ui->note.text, sizeof ui->note.text, fmt, ap);
    va_end(ap);
    ui->note.role = WG_WARN;
    ui->yes = yes;
    ui->over = &confirm_overlay;
}

/* ------------------------------------------------------------------ menu */
static void menu_draw(struct ui *ui)
{
    struct wg_menu *m = &ui->menu;
    int w = m->title ? wg_width(m->title) : 0;
    for (int i = 0; i < m->n; i++) {
        int row = wg_width(m->item(m->arg, i)) + 2 +
                  (m->right ? wg_width(m->right(m->arg, i)) : 0);
        w = row > w ? row : w;
    }
    wg_menu_draw(&ui->canvas, ui_overlay_rect(ui, w + 6, m->n + 2), m,
                 ui->glyphs);
}

/* Enter closes before it acts, for the same reason. */
static void menu_key(struct ui *ui, int key)
{
    if (leaves(key) || key == 'q') {
        ui_close_overlay(ui);
    } else if (key == KEY_ENTER) {
        int at = ui->menu.cursor;
        ui_close_overlay(ui);
        if (at >= 0 && at < ui->menu.n)
            ui->chosen(ui, at);
    } else {
        wg_menu_key(&ui->menu, key);
    }
}

static const struct ui_overlay menu_overlay = {menu_draw, menu_key, false,
                                               false};

/* Items are pulled on each drawing: a menu never shows what was true before. */
void ui_menu_open(struct ui *ui, const struct ui_choice *c)
{
    ui->menu = (struct wg_menu){.title = c->title, .n = c->n,
                                .cursor = c->at, .item = c->item,
                                .right = c->right, .arg = ui};
    ui->chosen = c->chosen;
    ui->over = &menu_overlay;
}

/* ----------------------------------------------------------------- pager */
static void pager_draw(struct ui *ui)
{
    struct wg_pager *p = &ui->pager;
    wg_pager_draw(&ui->canvas,
                  ui_overlay_rect(ui, ui->pager_w + 4, p->n + 2), p,
                  ui->glyphs);
}

static void pager_key(struct ui *ui, int key)
{
    if (leaves(key) || key == KEY_ENTER || key == 'q')
        ui_close_overlay(ui);
    else if (!wg_pager_key(&ui->pager, key)) {
        /* Not a key of the pager: close it and let the key do its work, so
         * that help can be read and obeyed in one move. */
        ui_close_overlay(ui);
        if (key != '?' && key != WG_KEY_F1)
            ui_key(ui, key);
    }
}

static const struct ui_overlay pager_overlay = {pager_draw, pager_key, false,
                                                false};

void ui_pager_open(struct ui *ui, const char *title, int n,
                   const char *(*line)(void *ui, int i))
{
    ui->pager = (struct wg_pager){.title = title, .n = n, .line = line,
                                  .arg = ui};
    ui->pager_w = wg_width(title); /* once: a log may be long */
    for (int i = 0; i < n && i < 200; i++) {
        int w = wg_width(line(ui, i));
        ui->pager_w = w > ui->pager_w ? w : ui->pager_w;
    }
    ui->over = &pager_overlay;
}

/* ---------------------------------------------------------------- resume
 * Asked once at the start.  Enter or n, as the line says; other keys wait,
 * since the first edit would replace the earlier session. */
static void resume_draw(struct ui *ui)
{
    int64_t age = 0;
    size_t edits = 0;
    char ago[32];
    struct wg_rect r = ui->frame.note;
    bd_session_resumable(ui->s, &age, &edits);
    int x = 1 + wg_textf(&ui->canvas, r, 1, 0, WG_TEXT,
                         "An earlier session, %zu change%s, %s ago.  ",
                         edits, edits == 1 ? "" : "s",
                         ui_fmt_time(ago, sizeof ago, (double)age));
    x += wg_text(&ui->canvas, r, x, 0, WG_KEY, "Enter ");
    x += wg_text(&ui->canvas, r, x, 0, WG_KEY_TEXT, "resumes  ");
    x += wg_text(&ui->canvas, r, x, 0, WG_KEY, "n ");
    wg_text(&ui->canvas, r, x, 0, WG_KEY_TEXT, "starts fresh");
}

static void resume_key(struct ui *ui, int key)
{
    struct bd_err err = {0};
    if (key == 'n' || key == 'N' || leaves(key)) {
        ui_close_overlay(ui);
    } else if (key == 'q') {
        ui->quit = true;
    } else if (key == KEY_ENTER) {
        ui_close_overlay(ui);
        if (bd_session_resume(ui->s, &err) != BD_OK)
            ui_refuse(ui, &err);
        ui_changed(ui);
    }
}

static const struct ui_overlay resume_overlay = {resume_draw, resume_key,
                                                 true, false};

void ui_offer_resume(struct ui *ui)
{
    int64_t age;
    size_t edits;
    if (bd_session_resumable(ui->s, &age, &edits) && edits > 0)
        ui->over = &resume_overlay;
}
