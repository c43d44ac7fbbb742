/* ui.c: from keys to actions to whoever performs them.
 *
 * A key goes to the overlay if one is open, else through the keymap to an
 * action; the screen may take the action, else the framework does.  Nothing
 * on this path computes or waits: an edit is a call of the session, which
 * queues the work and returns. */
#include "ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- facts */
static void facts(void *arg, int layer, struct ui_facts *f)
{
    struct ui *ui = arg;
    const struct bd_model *m = bd_session_model(ui->s);
    const struct bd_layercfg *c = &bd_session_cfg(ui->s)->layer[layer];
    const struct bd_layer *l = &m->layer[layer];
    struct bd_layer_view v;
    struct bd_sens_view sens;
    bd_session_layer(&v, ui->s, layer);
    bd_session_sens_of(&sens, ui->s, layer);
    bool known = v.fresh != BD_ABSENT && c->w.bits < 32;
    *f = (struct ui_facts){
        .name = l->name,
        .op = l->node >= 0 ? m->node[l->node].op : "",
        .method = c->w.bits < 32 ? bd_quantizer_at(c->w.quant)->name
                                 : "float",
        .wbits = c->w.bits,
        .abits = c->a.bits,
        .psnr = known ? v.w.psnr_db : (double)NAN,
        .sqnr = known ? v.w.sqnr_db : (double)NAN,
        .kb = (double)bd_stored_bits(m, layer, &c->w) / 8192,
        .params = v.params,
        .sens = sens.loss,
        .sens_bit = sens.per_bit,
        .failed = v.failed};
}

struct ui_source ui_source(struct ui *ui)
{
    return (struct ui_source){ui->list.total, facts, ui};
}

/* A file was written or refused.  The export screen looks again whether its
 * file exists. */
static void take_news(struct ui *ui)
{
    const struct ui_screen *s = ui_screen_at(ui->screen);
    char text[600];
    bool refused;
    if (!bd_session_news(ui->s, text, sizeof text, &refused))
        return;
    if (refused)
        ui_warn(ui, "%s", text);
    else
        ui_say(ui, "%s", text);
    if (ui->screen == UI_EXPORT && s->open)
        s->open(ui, ui->state[UI_EXPORT]);
}

/* Fresh numbers may move rows; the cursor's layer stays under it. */
void ui_changed(struct ui *ui)
{
    struct ui_source src = ui_source(ui);
    ui->dirty = true;
    take_news(ui);
    ui_sens_changed(ui);
    ui_search_changed(ui);
    ui->digest = bd_bitcfg_digest(bd_session_cfg(ui->s));
    ui_list_refresh(&ui->list, &src);
}

/* ---------------------------------------------------------------- notes */
static void note(struct ui *ui, enum wg_role role, const char *fmt,
                 va_list ap)
{
    vsnprintf(ui->note.text, sizeof ui->note.text, fmt, ap);
    ui->note.role = role;
    ui->dirty = true;
}

void ui_say(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(ui, WG_STATUS, fmt, ap);
    va_end(ap);
}

/* A refusal also goes to the log, where it can be read again. */
void ui_warn(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(ui, WG_ERROR, fmt, ap);
    va_end(ap);
    ui->failed = true;
    bd_session_say(ui->s, "%s", ui->note.text);
}

void ui_refuse(struct ui *ui, const struct bd_err *err)
{
    if (err->file[0])
        ui_warn(ui, "%s: %s", err->file, err->msg);
    else
        ui_warn(ui, "%s", err->msg);
}

/* Scripts have no time: their clock stands still. */
int64_t ui_now_ns(const struct ui *ui)
{
    return ui->batch ? 0 : bd_now_ns();
}

/* -------------------------------------------------------------- screens */
static void *state_of(struct ui *ui, enum ui_screen_id id)
{
    size_t n = ui_screen_at(id)->state_size;
    if (!ui->state[id] && n)
        ui->state[id] = calloc(1, n);
    return ui->state[id];
}

/* A digit or a tab comes from nowhere: Esc then leads to the list.  Enter
 * remembers the screen it came from. */
void ui_goto(struct ui *ui, enum ui_screen_id id, bool deeper)
{
    const struct ui_screen *s = ui_screen_at(id);
    void *state = state_of(ui, id);
    if (s->state_size && !state) {
        ui_warn(ui, "no memory left for this screen");
        return;
    }
    ui->came_from[id] = deeper ? ui->screen : UI_LAYERS;
    ui->screen = id;
    ui->dirty = true;
    if (s->open)
        s->open(ui, state);
    if (s->layout)
        s->layout(ui, state, ui->frame.body);
}

/* Only the open screen lays out; the others do when they are opened. */
bool ui_resize(struct ui *ui, int w, int h)
{
    const struct ui_screen *s = ui_screen_at(ui->screen);
    if (!wg_canvas_resize(&ui->canvas, w, h))
        return false;
    ui_frame_of(&ui->frame, w, h);
    if (s->layout)
        s->layout(ui, ui->state[ui->screen], ui->frame.body);
    ui->dirty = true;
    return true;
}

bool ui_init(struct ui *ui, const struct ui_setup *o, char *why, size_t cap)
{
    memset(ui, 0, sizeof *ui);
    ui->s = o->session;
    ui->term = o->term;
    ui->glyphs = o->glyphs;
    ui->batch = !o->term;
    ui->level = -1;
    if (!ui_keymap_init(&ui->keys, why, cap))
        return false;
    int layers = (int)bd_session_model(ui->s)->nlayers;
    if (!ui_list_init(&ui->list, layers) ||
        !ui_resize(ui, o->w > 0 ? o->w : 80, o->h > 0 ? o->h : 24)) {
        snprintf(why, cap, "no memory left for the screen");
        return false;
    }
    ui_changed(ui);
    ui_goto(ui, UI_LAYERS, false);
    return true;
}

void ui_done(struct ui *ui)
{
    for (int i = 0; i < UI_SCREENS; i++) {
        const struct ui_screen *s = ui_screen_at((enum ui_screen_id)i);
        if (ui->state[i] && s->close)
            s->close(ui->state[i]);
        free(ui->state[i]);
    }
    for (int i = 0; i < ui->npast; i++)
        free(ui->past[i]);
    ui_config_done(ui);
    ui_list_done(&ui->list);
    wg_canvas_done(&ui->canvas);
}

/* --------------------------------------------------------------- leaving */
static void leave(struct ui *ui)
{
    ui->quit = true;
}

/* Whether anything runs that a person could stop. */
static bool jobs(struct ui *ui)
{
    struct bd_progress p;
    return bd_session_progress(ui->s, &p, 1) > 0;
}

/* Ctrl-C first stops work, and only then offers to leave: a second press by
 * habit must not end the program. */
static void cancel(struct ui *ui)
{
    if (jobs(ui)) {
        bd_session_cancel(ui->s);
        ui_say(ui, "stopped; what was computed stays");
    } else {
        ui_confirm(ui, leave, "Leave bitdial?");
    }
}

/* One level back: a deeper screen, else the newest job. */
static void back(struct ui *ui)
{
    if (ui->screen != UI_LAYERS) {
        enum ui_screen_id to = ui->came_from[ui->screen];
        enum ui_screen_id from = ui->came_from[to];
        ui_goto(ui, to, false);
        ui->came_from[to] = from;
    } else if (jobs(ui)) {
        cancel(ui);
    }
}

static void next_screen(struct ui *ui, int dir)
{
    int to = ((int)ui->screen + dir + UI_SCREENS) % UI_SCREENS;
    ui_goto(ui, (enum ui_screen_id)to, false);
}

/* ------------------------------------------------------------ find, filter */
static void find(struct ui *ui, int dir, bool from_here)
{
    struct ui_source src = ui_source(ui);
    if (!ui->find[0]) {
        ui_say(ui, "nothing to find yet; / asks");
        return;
    }
    struct ui_match m =
        ui_list_find(&ui->list, &src, ui->find, dir, from_here);
    char shown[140];
    bd_text_show(shown, sizeof shown, ui->find, 40);
    if (m.row < 0) {
        ui_warn(ui, "no shown layer has '%s' in its name", shown);
        return;
    }
    ui_list_to_row(&ui->list, m.row);
    ui->level = -1;
    ui_say(ui, "/%s   match %d/%d   n N", shown, m.nth, m.all);
}

/* An empty line repeats the last search. */
static void find_typed(struct ui *ui, const char *text)
{
    if (*text)
        snprintf(ui->find, sizeof ui->find, "%s", text);
    find(ui, 1, true);
}

static void filter_typed(struct ui *ui, const char *text)
{
    char line[540];
    snprintf(line, sizeof line, "filter %s", text);
    ui_command_run(ui, line);
}

static void mark_typed(struct ui *ui, const char *text)
{
    char line[540];
    snprintf(line, sizeof line, "mark %s", text);
    if (*text)
        ui_command_run(ui, line);
}

/* --------------------------------------------------------------- actions */
static void mark(struct ui *ui, int count)
{
    struct ui_list *l = &ui->list;
    for (int i = 0; i < count && l->cur >= 0; i++) {
        ui_list_mark(l, l->cur, !l->marked[l->cur]);
        if (l->at == l->n - 1)
            break;
        ui_list_move(l, 1);
    }
}

/* v twice: once where it starts, once where it ends. */
static void mark_range(struct ui *ui)
{
    if (ui->list.anchor < 0) {
        ui->list.anchor = ui->list.cur;
        ui_say(ui, "range starts here; move, then v again");
        return;
    }
    ui_list_mark_range(&ui->list);
    ui_say(ui, "%d marked", ui->list.nmarked);
}

/* Actions about the list of layers, the same on every screen. */
static bool list_action(struct ui *ui, enum ui_action a, int count)
{
    struct ui_list *l = &ui->list;
    int page = ui->frame.body.h > 4 ? ui->frame.body.h - 3 : 1;
    switch ((int)a) {
    case UI_DOWN:
        return ui_list_move(l, count), true;
    case UI_UP:
        return ui_list_move(l, -count), true;
    case UI_PAGE_DOWN:
        return ui_list_move(l, page), true;
    case UI_PAGE_UP:
        return ui_list_move(l, -page), true;
    case UI_TOP:
        return ui_list_to_row(l, count > 1 ? count - 1 : 0), true;
    case UI_BOTTOM:
        return ui_list_to_row(l, count > 1 ? count - 1 : l->n - 1), true;
    case UI_MARK:
        return mark(ui, count), true;
    case UI_MARK_RANGE:
        return mark_range(ui), true;
    case UI_MARK_ALL:
        ui_list_mark_all(l);
        return ui_say(ui, "%d marked", l->nmarked), true;
    case UI_SORT_REVERSE:
        l->reverse = !l->reverse;
        return ui_changed(ui), true;
    default:
        return false;
    }
}

/* Actions that need a word from the person. */
static bool ask_action(struct ui *ui, enum ui_action a)
{
    switch ((int)a) {
    case UI_FIND:
        ui_prompt_open(ui, &(struct ui_ask){.label = "/",
                                            .done = find_typed});
        return true;
    case UI_FIND_NEXT:
        return find(ui, 1, false), true;
    case UI_FIND_PREV:
        return find(ui, -1, false), true;
    case UI_FILTER:
        ui_prompt_open(ui, &(struct ui_ask){.label = "filter: ",
                                            .initial = ui->list.filter.text,
                                            .done = filter_typed});
        return true;
    case UI_MARK_GLOB:
        ui_prompt_open(ui, &(struct ui_ask){.label = "mark names like: ",
                                            .initial = "*",
                                            .done = mark_typed});
        return true;
    case UI_COPY:
        return ui_copy(ui, true), true;
    case UI_COPY_CELL:
        return ui_copy(ui, false), true;
    default:
        return false;
    }
}

/* Actions that open something. */
static bool open_action(struct ui *ui, enum ui_action a)
{
    switch ((int)a) {
    case UI_SCREEN_1:
        return ui_goto(ui, UI_LAYERS, false), true;
    case UI_SCREEN_2:
        return ui_goto(ui, UI_LAYER, false), true;
    case UI_SCREEN_3:
        return ui_goto(ui, UI_CHANNELS, false), true;
    case UI_SCREEN_4:
        return ui_goto(ui, UI_TRADE, false), true;
    case UI_SCREEN_6:
        return ui_goto(ui, UI_SEARCH, false), true;
    case UI_SCREEN_7:
        return ui_goto(ui, UI_COMPARE, false), true;
    case UI_SCREEN_8:
        return ui_goto(ui, UI_EXPORT, false), true;
    case UI_NEXT_SCREEN:
        return next_screen(ui, 1), true;
    case UI_PREV_SCREEN:
        return next_screen(ui, -1), true;
    case UI_HELP:
        return ui_open_help(ui), true;
    case UI_COMMAND:
        return ui_open_palette(ui), true;
    case UI_LOG:
        return ui_open_log(ui), true;
    case UI_KEEP:
        return ui_ask_keep(ui), true;
    case UI_HISTORY:
        return ui_open_history(ui), true;
    case UI_REPAIR:
        return ui_open_repairs(ui), true;
    case UI_SWEEP:
        return ui_open_sweep(ui), true;
    case UI_WHY:
        return ui_open_why(ui), true;
    case UI_SORT:
        return ui_open_sort(ui), true;
    default:
        return false;
    }
}

/* What is left belongs to the program as a whole. */
static void program_action(struct ui *ui, enum ui_action a)
{
    switch ((int)a) {
    case UI_OVERLAY:
        ui->overlay_quant = !ui->overlay_quant;
        break;
    case UI_LOG_COUNTS:
        ui->log_counts = !ui->log_counts;
        break;
    case UI_REDRAW:
        ui->redraw = true;
        break;
    case UI_SUSPEND:
        ui->suspend = true;
        break;
    case UI_BACK:
        back(ui);
        break;
    case UI_CANCEL:
        cancel(ui);
        break;
    case UI_QUIT:
        leave(ui);
        break;
    default:
        break;
    }
}

/* The screen may take an action; then the list, the prompts, the overlays,
 * the editor and the program are asked in turn.  Each knows its own. */
void ui_do(struct ui *ui, enum ui_action a, int count)
{
    const struct ui_screen *s = ui_screen_at(ui->screen);
    int was = ui->list.cur;
    ui->dirty = true;
    if (!(s->action && s->action(ui, ui->state[ui->screen], a, count)) &&
        !ui_feature_action(ui, a, count) &&
        !list_action(ui, a, count) && !ask_action(ui, a) &&
        !open_action(ui, a) && !ui_edit(ui, a, count))
        program_action(ui, a);
    if (ui->list.cur != was)
        ui->level = -1; /* a level belongs to the grid of one layer */
}

/* ------------------------------------------------------- digits: 5j, 12G
 * A digit switches screens at once.  Followed by a letter of motion within
 * the time it takes to type, it was a count: the screen before comes back
 * and the motion happens there.  Scripts have no time: there each word is a
 * sequence of its own (script.c clears the count between words). */
#define COUNT_NS 250000000LL

static bool is_motion(int key)
{
    return key > 0 && key < 128 && strchr("hjklgG()", key) != NULL;
}

static bool count_in_time(const struct ui *ui)
{
    return ui->count.value > 0 &&
           ui_now_ns(ui) - ui->count.at_ns <= COUNT_NS;
}

static void take_back_switch(struct ui *ui)
{
    if (ui->screen != ui->count.before)
        ui_goto(ui, ui->count.before, false);
    ui->came_from[ui->count.before] = ui->count.came_from;
}

/* true when the digit only continues a count. */
static bool count_digit(struct ui *ui, int key)
{
    bool more = count_in_time(ui);
    if (more)
        take_back_switch(ui);
    else
        ui->count = (struct ui_count){0, ui->screen,
                                      ui->came_from[ui->screen], 0};
    if (ui->count.value < 100000)
        ui->count.value = ui->count.value * 10 + (key - '0');
    ui->count.at_ns = ui_now_ns(ui);
    return more;
}

/* An answer stands until the next key, as promised in the note line. */
void ui_key(struct ui *ui, int key)
{
    ui->dirty = true;
    if (ui->over) {
        ui->over->key(ui, key);
        return;
    }
    ui->note.text[0] = 0;
    int count = 1;
    bool digit = key >= '0' && key <= '9';
    if (digit) {
        if (count_digit(ui, key))
            return;
    } else {
        if (is_motion(key) && count_in_time(ui)) {
            take_back_switch(ui);
            count = ui->count.value;
        }
        ui->count.value = 0;
    }
    enum ui_action a =
        ui_keymap_find(&ui->keys, ui_screen_at(ui->screen)->on, key);
    if (a != UI_NONE) {
        ui_do(ui, a, count);
    } else if (!digit) {
        char name[32];
        ui_say(ui, "%s does nothing here; ? lists the keys",
               wg_key_name(name, sizeof name, key));
    }
}

/* Pasted text is text: it goes into an open line and is never read as
 * keys. */
void ui_paste(struct ui *ui, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (!ui->over || !ui->over->takes_text)
        return;
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        size_t used = bd_utf8_decode(&cp, text + at, n - at);
        if (used == 0)
            at++;
        else
            at += used;
        if (used && cp >= 32 && cp != 127)
            ui->over->key(ui, (int)cp);
    }
    ui->dirty = true;
}

/* Overlays are for the keyboard; a click beside one must not act below it. */
void ui_mouse(struct ui *ui, struct wg_mouse m)
{
    const struct ui_screen *s = ui_screen_at(ui->screen);
    ui->dirty = true;
    if (ui->over)
        return;
    ui->note.text[0] = 0;
    if (m.y == ui->frame.tabs.y && m.what == WG_CLICK) {
        int tab = ui_tab_at(ui, m.x);
        if (tab >= 0)
            ui_goto(ui, (enum ui_screen_id)tab, false);
    } else if (s->mouse) {
        s->mouse(ui, ui->state[ui->screen], ui->frame.body, m);
    }
}

/* A job shows itself 200 ms after its start, then ten times a second. */
int ui_timeout(struct ui *ui)
{
    int t = bd_session_tick(ui->s);
    struct bd_progress p;
    if (bd_session_progress(ui->s, &p, 1) > 0 && (t < 0 || t > 100))
        t = 100;
    return t;
}
