/* ui: the interactive face.  Holds what is not the session's: which layer
 * the cursor is on, how rows are ordered, which screen and overlay are
 * open.  Everything runs on one thread; nothing here computes or waits.
 *
 *   loop.c      the only place that waits and shows
 *   ui.c        keys to actions, actions to screens; the frame around them
 *   list.c      which layers are shown, in which order; marks; the cursor
 *   filter.c    the filter language
 *   edit.c      actions and commands that change the configuration
 *   keep.c      configurations kept under names
 *   command.c   what `:` and scripts accept
 *   config.c    the person's settings; copy.c: the clipboard
 *   overlay.c   prompt, menu, pager, question: whatever takes keys first
 *   lists.c     help, log, history, sort; palette.c: `:`
 *   detail.c    histogram and numbers of one layer, as a pane
 *   format.c    numbers and names as text
 *   script.c    `--batch`; linear.c: `--linear` */
#ifndef UI_H
#define UI_H

#include "list.h"
#include "screen.h"
#include "session/session.h"
#include "wg.h"

/* Smallest screen that is drawn at all. */
enum { UI_MIN_W = 60, UI_MIN_H = 16, UI_PAST = 50, UI_PALETTE = 128,
       UI_SETTINGS = 64 };

struct ui_note { /* the line that answers the last key */
    char text[600];
    enum wg_role role;
};

/* Whatever takes keys before the screen does.  key: NULL-safe, may replace
 * or close the overlay. */
struct ui_overlay {
    void (*draw)(struct ui *ui);
    void (*key)(struct ui *ui, int key);
    bool on_note_line; /* draws there: the screen stays visible */
    bool takes_text;   /* pasted text may go in */
};

struct ui_prompt {
    struct wg_input in;
    char label[64];
    void (*done)(struct ui *ui, const char *text);
    void (*live)(struct ui *ui, const char *text); /* each change, or NULL */
};

struct ui_frame { /* the rectangles of one size */
    struct wg_rect tabs, head, body, note, progress, keys;
};

struct ui_split { /* how the layers screen divides large terminals */
    int list_w;     /* wanted width of the list, 0 = automatic */
    bool zoomed;    /* list alone */
};

/* A digit switches screens at once; if letters of motion follow in time it
 * was a count, and the switch is taken back. */
struct ui_count {
    int value; /* 0 = none */
    enum ui_screen_id before, came_from;
    int64_t at_ns;
};

struct ui_feature { /* what was last asked of the feature's channels */
    bool on;           /* screen Channels shows them */
    int cur, kind;     /* channel at the cursor; quantizer */
    int64_t runs;      /* of the refinement, 0 = usual */
    double avg;        /* bits, 0 = usual */
};

struct ui {
    struct bd_session *s;  /* borrowed */
    struct wg_term *term;  /* borrowed; NULL without a terminal */
    struct wg_canvas canvas;
    enum wg_glyphs glyphs;
    struct ui_keymap keys;
    struct ui_list list;
    struct ui_frame frame;
    struct ui_split split;
    struct ui_count count;

    enum ui_screen_id screen;
    enum ui_screen_id came_from[UI_SCREENS]; /* where Esc leads */
    void *state[UI_SCREENS];

    const struct ui_overlay *over; /* NULL = the screen has the keys */
    struct ui_prompt prompt;
    struct wg_menu menu;
    struct wg_pager pager;
    int pager_w;                   /* of its widest line */
    void (*chosen)(struct ui *ui, int item); /* of the menu */
    void (*yes)(struct ui *ui);              /* of the question */
    int found[UI_PALETTE];       /* entries of the palette, in menu order */
    char line[256], line2[64];   /* the last line a list was asked for */
    char *past[UI_PAST];      /* commands typed, oldest first */
    int npast;

    char *setting[UI_SETTINGS]; /* of this run, for :set save */
    int nsettings;

    struct ui_note note;
    struct ui_feature feature;
    char find[128];              /* last `/` */
    char path[1024];             /* of the next export */
    char picture[1024];          /* of the last :plot */
    enum bd_picture_what picture_what;
    int level;                   /* grid level looked at, -1 = none */
    uint64_t digest;             /* of the configuration last seen */
    bool overlay_quant, log_counts;
    bool clipboard_ok;           /* the person agreed to it */
    bool dirty, quit;
    bool batch;                  /* no terminal, frozen clock */
    bool failed;                 /* the last command was refused */
    bool waits;                  /* `:wait` was asked for */
    bool suspend, redraw;        /* for the loop */
    unsigned long drawn_state;   /* screens laid out for this size */
};

/* ---------------------------------------------------------------- ui.c */
struct ui_setup {
    struct bd_session *session;
    struct wg_term *term; /* NULL: batch */
    enum wg_glyphs glyphs;
    int w, h;             /* without a terminal */
};
bool ui_init(struct ui *ui, const struct ui_setup *o, char *why, size_t cap);
void ui_done(struct ui *ui);
/* One key, from terminal or script. */
void ui_key(struct ui *ui, int key);
void ui_paste(struct ui *ui, const char *text);
void ui_mouse(struct ui *ui, struct wg_mouse m);
/* One action `count` times, from a key, the palette or a menu. */
void ui_do(struct ui *ui, enum ui_action a, int count);
bool ui_resize(struct ui *ui, int w, int h); /* false: no memory */
void ui_goto(struct ui *ui, enum ui_screen_id id, bool deeper);
/* Where lists find facts about layers. */
struct ui_source ui_source(struct ui *ui);
/* The session changed: numbers may reorder rows. */
void ui_changed(struct ui *ui);
/* The sentence of the note line; say = something done, warn = refused. */
void ui_say(struct ui *ui, const char *fmt, ...) BD_PRINTF(2, 3);
void ui_warn(struct ui *ui, const char *fmt, ...) BD_PRINTF(2, 3);
void ui_refuse(struct ui *ui, const struct bd_err *err);
int64_t ui_now_ns(const struct ui *ui); /* 0 when frozen */
/* Milliseconds until something changes by itself, -1 = never. */
int ui_timeout(struct ui *ui);

/* ---------------------------------------------------------------- draw.c */
void ui_draw(struct ui *ui); /* everything, into the canvas */
void ui_frame_of(struct ui_frame *f, int w, int h);
int ui_tab_at(const struct ui *ui, int x); /* screen, or -1 */
/* Runs of text in different roles on r's first row, left to right; what does
 * not fit whole is left out.  Returns the next x. */
struct ui_piece {
    enum wg_role role;
    const char *text;
};
int ui_pieces(struct ui *ui, struct wg_rect r, int x,
              const struct ui_piece *p, int n);

/* ------------------------------------------------------------- format.c */
char *ui_fmt_size(char *out, size_t cap, double bytes);     /* 6.61 MB */
char *ui_fmt_count(char *out, size_t cap, int64_t n);       /* 36 864 */
char *ui_fmt_sci(char *out, size_t cap, double v);          /* 2.4e-05 */
char *ui_fmt_time(char *out, size_t cap, double seconds);   /* 41 s */
char *ui_fmt_short(char *out, size_t cap, double v);        /* .173 */
/* A level in dB with its freshness: "27.9", "~27.9", "" when absent. */
char *ui_fmt_db(char *out, size_t cap, enum bd_fresh f, double db);
char *ui_fmt_bits(char *out, size_t cap, const struct bd_tensorcfg *c);
/* Accuracy in per cent: "68.9", "~68.9", "68.9 +-2.8 [1024/10000]". */
char *ui_fmt_top1(char *out, size_t cap, const struct ui *ui, enum bd_fresh f,
                  const struct bd_net_eval *e);
enum wg_role ui_fresh_role(enum bd_fresh f);
const char *ui_pm(const struct ui *ui);    /* ± or +- */

/* ------------------------------------------------------------- detail.c */
/* Histogram with its grid and the error numbers, in any rectangle. */
void ui_detail_draw(struct ui *ui, struct wg_rect r, int layer);
/* One line: name, shape, weights, choice. */
void ui_detail_title(struct ui *ui, struct wg_rect r, int layer);

/* ----------------------------------------------------- screen_channels.c */
/* The strips of the cursor's layer, with the table when r is high enough. */
void ui_channels_pane(struct ui *ui, struct wg_rect r);

/* ------------------------------------------------------- screen_search.c */
/* `:search [METHOD] [KIND=N] [take]`; false: refused. */
bool ui_search_command(struct ui *ui, const char *args);
/* Results came: an answer that Enter asked for too early is taken now. */
void ui_search_changed(struct ui *ui);
/* search_found.c: the answer beside the fields and its losses below them;
 * where it begins; a number in the budget's unit. */
void ui_search_found(struct ui *ui, struct wg_rect r,
                     const struct bd_search_view *v);
int ui_search_right(struct wg_rect r);
char *ui_fmt_budget(char *out, size_t cap, const struct bd_search_opts *o,
                    double v);
/* search_layers.c: every layer now and as found (NULL = nothing yet); keeps
 * *top inside. */
void ui_search_layers(struct ui *ui, struct wg_rect r,
                      const struct bd_search_view *v, int *top);

/* ------------------------------------------------------------- repair.c */
void ui_open_repairs(struct ui *ui);
bool ui_repair_command(struct ui *ui, const char *args);

/* ---------------------------------------------------- channels_feature.c */
bool ui_feature_draw(struct ui *ui, struct wg_rect body); /* false: off */
/* Also from other screens, where only the key that splits is known. */
bool ui_feature_action(struct ui *ui, enum ui_action a, int count);
bool ui_feature_command(struct ui *ui, const char *args);

/* --------------------------------------------------------------- edit.c */
/* Marked layers if any, else the cursor's.  Borrowed until the next mark. */
struct bd_sel ui_selection(struct ui *ui);
bool ui_edit(struct ui *ui, enum ui_action a, int count); /* handled? */
void ui_set_bits(struct ui *ui, struct bd_sel sel, enum bd_part part,
                 int bits);
/* Says what the last edit did, naming how many layers. */
void ui_said(struct ui *ui, bd_status st, const struct bd_err *err);

/* ------------------------------------------- keep.c and screen_compare.c */
/* Commands: arguments as typed; false: refused, with a note. */
bool ui_keep(struct ui *ui, const char *name);    /* "" = next number */
bool ui_forget(struct ui *ui, const char *name);
bool ui_compare(struct ui *ui, const char *args); /* "A, B", "B" or "" */
void ui_ask_keep(struct ui *ui);
/* Opens Compare with these sides; NULL = as it was. */
bool ui_compare_sides(struct ui *ui, const char *a, const char *b);

/* ------------------------------------------------------------- planes.c */
/* The PSNR that inputs must reach, `by` dB up or down. */
void ui_planes_step(struct ui *ui, int by);
bool ui_planes_command(struct ui *ui, const char *args);
/* Kept planes, the highest first: "#####..." in the glyphs of this tier. */
char *ui_planes_strip(char *out, size_t cap, const struct ui *ui,
                      const struct bd_planecode *c);
bool ui_planes_used(const struct ui *ui); /* some layer has planes */
enum wg_role ui_planes_cell(char *out, size_t cap, const struct ui *ui,
                            int layer); /* "" where the layer has none */
/* Planes of the input's channels as a map; returns the rows used. */
int ui_planes_channels(struct ui *ui, struct wg_rect r);

/* ------------------------------------------------------------ command.c */
struct ui_command {
    const char *name, *usage, *help;
    bool (*run)(struct ui *ui, const char *args); /* false: refused */
};
extern const struct ui_command ui_commands[]; /* ends with a NULL name */
/* One line without its colon.  false: refused, with a note. */
bool ui_command_run(struct ui *ui, const char *line);
/* Writes the configuration to ui->path; an existing file is asked about, or
 * refused. */
bool ui_export(struct ui *ui, bool ask);
/* Says how the writing of a file went, or that it goes on. */
bool ui_wrote(struct ui *ui, bd_status st, const char *path,
              const struct bd_err *err);
bool ui_plot(struct ui *ui, const char *args); /* picture.c: "[WHAT] FILE" */
const struct ui_command *ui_command_find(const char *word, size_t n);

/* --------------------------------------------------------------- sens.c */
void ui_open_sweep(struct ui *ui);
void ui_open_why(struct ui *ui); /* of the layer that hurts most */
void ui_sens_changed(struct ui *ui); /* the words may have arrived */
bool ui_sweep_command(struct ui *ui, const char *args);
bool ui_why_command(struct ui *ui, const char *args);

/* ------------------------------------------------------------ overlay.c */
void ui_close_overlay(struct ui *ui);
struct ui_ask {
    const char *label, *initial;
    void (*done)(struct ui *ui, const char *text);
    void (*live)(struct ui *ui, const char *text);
};
void ui_prompt_open(struct ui *ui, const struct ui_ask *ask);
void ui_confirm(struct ui *ui, void (*yes)(struct ui *ui), const char *fmt,
                ...) BD_PRINTF(3, 4);
struct ui_choice {
    const char *title;
    int n, at;
    const char *(*item)(void *ui, int i);
    const char *(*right)(void *ui, int i);
    void (*chosen)(struct ui *ui, int i);
};
void ui_menu_open(struct ui *ui, const struct ui_choice *c);
void ui_pager_open(struct ui *ui, const char *title, int n,
                   const char *(*line)(void *ui, int i));
struct wg_rect ui_overlay_rect(const struct ui *ui, int w, int h);
/* Asks Enter or n when an earlier session of this model was found. */
void ui_offer_resume(struct ui *ui);

/* -------------------------------------------------------------- lists.c */
void ui_open_help(struct ui *ui);
void ui_open_palette(struct ui *ui);
void ui_open_log(struct ui *ui);
void ui_open_history(struct ui *ui);
void ui_open_sort(struct ui *ui);
void ui_past_add(struct ui *ui, const char *line);

/* --------------------------------------------------------------- copy.c */
void ui_copy(struct ui *ui, bool row); /* the row, or the layer's name */

/* ------------------------------------------------------------- config.c */
/* Reads the person's settings; mistakes become warnings in the log. */
void ui_config_load(struct ui *ui);
/* Remembers a `set` or `bind` that was obeyed, for `:set save`, which writes
 * them into that file: lines about something else, and comments, stay. */
void ui_config_note(struct ui *ui, const char *fmt, ...) BD_PRINTF(2, 3);
bool ui_config_save(struct ui *ui);
void ui_config_done(struct ui *ui);

/* --------------------------------------------------------------- faces */
struct ui_signals { /* what main.c's handlers leave */
    int fd;            /* readable after a signal; -1 = none */
    int (*take)(void); /* a signal not taken yet, or 0 */
};
int ui_loop(struct ui *ui, const struct ui_signals *sig); /* exit status */
/* Runs a script ("-" = standard input) without a terminal. */
int ui_script_run(struct ui *ui, const char *path);
/* One line of a script.  false: not understood; the sentence is in why. */
bool ui_script_line(struct ui *ui, const char *line, char *why, size_t cap);
/* Plain lines on standard output, lines of a script on standard input. */
int ui_linear_run(struct ui *ui);

#endif
