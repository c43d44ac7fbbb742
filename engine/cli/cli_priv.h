/* Inside cli/ only.  A verb is one row: its words for help, its options as
 * lists of rows, and one function.  Parsing, --help and the suggestions for
 * mistyped words all read the same rows.  A verb's function gets struct cli,
 * which holds the options as plain fields. */
#ifndef BD_CLI_PRIV_H
#define BD_CLI_PRIV_H

#include "cli/cli.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { CLI_FILES = 4, CLI_REPEATS = BD_CLI_SETS };

enum cli_type { CLI_END, CLI_FLAG, CLI_TEXT, CLI_INT, CLI_REAL, CLI_REPEAT };

struct cli_option {
    enum cli_type type;
    const char *name; /* "--data" */
    char brief;       /* 'd' or 0 */
    const char *arg;  /* "SPEC", NULL for flags */
    const char *help; /* fits one line */
    size_t at;        /* of the field in struct cli_args */
    int64_t min, max; /* CLI_INT */
};

/* ---------------------------------------------------------------- watching
 * A thread beside every verb: takes SIGINT, SIGTERM and SIGHUP, cancels the
 * work through ctl (a second signal ends the program at once), and shows
 * progress on standard error when that is a terminal.  Must start before any
 * other thread: those inherit the blocked signals. */
enum { CLI_SIGNALS = 3 };
struct cli_watch {
    struct bd_ctl *ctl; /* for whatever can be cancelled */
    bool shows, running;
    atomic_bool stop;
    atomic_int signal;          /* 0 = none */
    _Atomic(const char *) task; /* what is being done, NULL = no progress */
    atomic_llong started_ns;
    pthread_t thread;
    sigset_t before;
    struct sigaction old[CLI_SIGNALS];
};
bd_status bd_cli_watch_start(struct cli_watch *w, struct bd_err *err);
/* Names the work whose progress follows. */
void bd_cli_watch_task(struct cli_watch *w, const char *task);
void bd_cli_watch_clear(const struct cli_watch *w); /* the progress line */
void bd_cli_watch_stop(struct cli_watch *w);        /* restores signals */

struct cli_args {
    const char *file[CLI_FILES];
    int64_t nfile;
    bool json, help, force, version;
    int64_t threads, seed;
    const char *output;
    /* the model, its data, its configuration */
    const char *arch, *data, *calib, *preprocess, *config, *weights,
        *activations;
    int64_t limit, skip, batch, calib_limit, keep_edges, memory;
    const char *set[CLI_REPEATS + 1]; /* NULL-ended */
    int64_t nset;
    /* of single verbs */
    const char *inputs, *expect, *methods, *bits, *grain, *clip, *format;
    const char *what, *layer, *size, *theme, *color, *script, *test;
    const char *recipe, *schedule, *channel;
    const char *split, *quantizer, *avg_bits, *on, *intervals;
    double alpha, beta;
    int64_t reserve;
    const char *problem, *method, *budget, *sensitivity;
    const char *lock[CLI_REPEATS + 1], *tie[CLI_REPEATS + 1];
    int64_t evaluations;
    const char *repair;
    int64_t iterations;
    bool clip_safe;
    bool tie_outputs;
    const char *metric, *mode; /* sweep */
    bool no_early_stop, no_cache;
    double psnr_min, psnr_loss, avg_rate; /* bottleneck; < 0: not given */
    const char *solver, *range;
    int64_t planes, k_min;
    bool nominal, dither;
    double rtol, atol, lr, momentum, decay, require;
    int64_t epochs;
    bool is_signed, is_unsigned, ascii, linear, nomouse, log_counts;
    bool no_augment, strict, all;
};

struct cli {
    struct cli_args a;
    const struct cli_verb *verb;
    struct bd_cli_open *open;
    struct cli_watch watch;
    struct bd_err err;
    int status; /* exit status if err is set: 1 or 2, 0 = by code */
};

struct cli_verb {
    const char *name, *summary, *example, *usage;
    const struct cli_option *const *options; /* NULL-ended list of lists,
                                                each ended by CLI_END */
    int min_files, max_files;
    int (*run)(struct cli *c); /* exit status */
};

const struct cli_verb *const *bd_cli_verbs(void); /* NULL-ended */
/* A verb's function with the watch beside it. */
int bd_cli_run(struct cli *c, int (*run)(struct cli *c));
extern const struct cli_verb bd_verb_open, bd_verb_info, bd_verb_run,
    bd_verb_analyze, bd_verb_levels, bd_verb_eval, bd_verb_export, bd_verb_plot,
    bd_verb_train, bd_verb_completion, bd_verb_search, bd_verb_sweep,
    bd_verb_compare, bd_verb_channels;

extern const struct cli_verb bd_verb_repair, bd_verb_bottleneck;
/* Repairs of a list one after the other; a line each in `did`. */
bd_status bd_cli_repair(struct bd_str *did, struct cli *c,
                        struct bd_session *s, const char *list);

/* ------------------------------------------------------------------ options */
extern const struct cli_option bd_cli_common[], bd_cli_output[], bd_cli_model[],
    bd_cli_data[], bd_cli_config[];
/* Splits argv into c->verb and c->a.  A sentence in c->err otherwise. */
bd_status bd_cli_parse(struct cli *c, int argc, char **argv);
const struct cli_verb *bd_cli_verb_find(const char *name);
struct bd_session_opts bd_cli_session_opts(const struct cli_args *a);
/* "2-8,12" as a list of widths; false with a sentence. */
struct cli_widths {
    int n;
    int bits[33];
};
bool bd_cli_widths(struct cli_widths *w, const char *text, struct bd_err *err);

/* "1200x800"; false with a sentence. */
bool bd_cli_size(int *w, int *h, const char *text, struct bd_err *err);

/* Opens the session of c->a and refuses weights that are not numbers: the
 * interface can show such a model, but a verb's one answer would be wrong.
 * The error names the model. */
bd_status bd_cli_session(struct bd_session **out, struct cli *c,
                         const struct bd_session_opts *o);

/* The sensitivities of c->a.sensitivity, warnings as notes. */
bd_status bd_cli_read_sens(struct bd_sens_table *out, struct cli *c,
                           const struct bd_session *s);
/* Solves the written problem of c->a.problem; the exit status. */
int bd_cli_search_problem(struct cli *c);
/* Measures what the picture needs and draws it; measure: of a trade-off also
 * the points that are estimates. */
bd_status bd_cli_plot_known(struct cli *c, struct bd_session *s,
                            struct bd_plot_ask *ask, bool measure);

/* ---------------------------------------------------------------- talking */
void bd_cli_help(const struct cli_verb *v);
void bd_cli_usage(bool to_stderr);
/* Prints c->err as one line, or as the error document with --json, and gives
 * the exit status. */
int bd_cli_fail(struct cli *c);
/* One whole document to standard output; also frees it. */
int bd_cli_json_out(struct cli *c, struct bd_json *j);
int bd_cli_text_out(struct cli *c, struct bd_str *s);
/* 0 when everything printed so far has arrived, else a failure. */
int bd_cli_flushed(struct cli *c);
/* bd_save to a.output; a failure means exit status 1. */
bd_status bd_cli_save(struct cli *c, const void *data, size_t n);
/* Before the work: could a.output be written? */
bd_status bd_cli_save_check(struct cli *c);
void bd_cli_note(const char *fmt, ...) BD_PRINTF(1, 2);    /* one line on
                                                           standard error */
void bd_cli_schema(struct bd_json *j, const char *schema); /* opens it */

/* The session's log, line by line, as notes: the first `most` lines. */
void bd_cli_say_log(const struct bd_session *s, size_t most);
/* Shape as an array, unknown sides as null. */
void bd_cli_json_shape(struct bd_json *j, const char *key,
                       const struct bd_tensor *t);

/* A table of text, aligned when printed.  Columns starting with '<' are
 * aligned left, the others right. */
struct cli_table {
    int columns;
    bool left[24];
    size_t n, cap;
    char **cell; /* [n], row after row; owned */
    bool failed;
};
void bd_cli_table_head(struct cli_table *t, const char *const *names);
void bd_cli_table_put(struct cli_table *t, const char *fmt, ...)
    BD_PRINTF(2, 3);
void bd_cli_table_name(struct cli_table *t, const char *name, size_t cells);
void bd_cli_table_out(struct bd_str *out, struct cli_table *t); /* frees */
void bd_cli_db(struct cli_table *t, double db); /* "31.4", "exact", "-" */

#endif
