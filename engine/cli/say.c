/* What the command line says: help from the tables, one line or one document
 * per failure, and results as a whole, so that a reader of standard output
 * never sees half of one. */
#include "cli/cli_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ help */

enum { SCREEN = 23, LINE = 79 };

static void help_option(struct bd_str *s, const struct cli_option *o)
{
    char left[64], brief[8] = "";

    if (o->brief)
        snprintf(brief, sizeof brief, "-%c, ", o->brief);
    snprintf(left, sizeof left, "%s%s%s%s", brief, o->name, o->arg ? " " : "",
             o->arg ? o->arg : "");
    bd_str_printf(s, "  %-25s %s\n", left, o->help);
}

/* Where all lines would not fit a screen some options are only named: first
 * plain switches and the options of every verb, then those that `eval`, whose
 * help always has room, explains as well.  A verb's own stay to the end. */
enum fold { FOLD_NONE, FOLD_COMMON, FOLD_CONFIG, FOLD_DATA };

static bool is_folded(const struct cli_option *o,
                      const struct cli_option *group, enum fold fold)
{
    if (group == bd_cli_config && fold >= FOLD_CONFIG)
        return true;
    if (group == bd_cli_data && fold >= FOLD_DATA)
        return true;
    return fold >= FOLD_COMMON &&
           (o->type == CLI_FLAG || group == bd_cli_common);
}

static void help_folded(struct bd_str *s, const struct cli_verb *v,
                        enum fold fold)
{
    const char *comma = " ";
    int used = 6;

    bd_str_puts(s, "  also");
    for (int g = 0; v->options[g]; g++) {
        for (const struct cli_option *o = v->options[g]; o->type; o++) {
            char text[64];
            int n = snprintf(text, sizeof text, "%s%s%s", o->name,
                             o->arg ? " " : "", o->arg ? o->arg : "");

            if (!is_folded(o, v->options[g], fold))
                continue;
            if (used + n + 2 > LINE) {
                comma = ",\n       ";
                used = 5;
            }
            used += n + 2;
            bd_str_printf(s, "%s%s", comma, text);
            comma = ", ";
        }
    }
    bd_str_puts(s, "\n");
    if (fold >= FOLD_CONFIG)
        bd_str_puts(s, "  (what these mean: bitdial eval --help)\n");
}

static int help_text(struct bd_str *s, const struct cli_verb *v,
                     enum fold fold)
{
    int lines = 0;

    bd_str_printf(s, "%s\n\n%s\nusage: bitdial %s\n", v->example, v->summary,
                  v->usage);
    for (int g = 0; v->options[g]; g++) {
        for (const struct cli_option *o = v->options[g]; o->type; o++) {
            if (!is_folded(o, v->options[g], fold))
                help_option(s, o);
        }
    }
    if (fold != FOLD_NONE)
        help_folded(s, v, fold);
    for (size_t i = 0; i < s->n; i++)
        lines += s->s[i] == '\n';
    return lines;
}

void bd_cli_help(const struct cli_verb *v)
{
    struct bd_str s = {0};

    for (int fold = FOLD_NONE; fold <= FOLD_DATA; fold++) {
        bd_str_done(&s);
        s = (struct bd_str){0};
        if (help_text(&s, v, (enum fold)fold) <= SCREEN)
            break;
    }
    if (s.s && !s.failed)
        fputs(s.s, stdout);
    bd_str_done(&s);
}

void bd_cli_usage(bool to_stderr)
{
    FILE *f = to_stderr ? stderr : stdout;

    fputs("bitdial resnet20.onnx --data test.bin\n\n"
          "Turns the bits of each layer of a trained network.\n"
          "usage: bitdial VERB [OPTIONS] FILES\n",
          f);
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++)
        fprintf(f, "  %-10s %s\n", (*v)->name, (*v)->summary);
    fputs("A bare MODEL opens it.  bitdial VERB --help tells more.\n", f);
}

/* --------------------------------------------------------------- failing */

/* 128 + n when a signal asked us to stop, 1 for what was understood but could
 * not be had, 2 for what we refuse. */
static int status_of(struct cli *c)
{
    int sig = atomic_load(&c->watch.signal);

    if (c->err.code == BD_ECANCELLED && sig)
        return 128 + sig;
    if (c->status)
        return c->status;
    return c->err.code == BD_ENOMEM || c->err.code == BD_ECANCELLED ? 1 : 2;
}

void bd_cli_schema(struct bd_json *j, const char *schema)
{
    *j = (struct bd_json){.pretty = true};
    bd_json_obj(j, NULL);
    bd_json_str(j, "schema", schema);
}

/* The same sentence as a document; a file that is not known is null. */
static void fail_json(const struct cli *c)
{
    struct bd_json j;

    bd_cli_schema(&j, "bitdial.error/1");
    bd_json_obj(&j, "error");
    bd_json_str(&j, "code", bd_status_name(c->err.code));
    bd_json_str(&j, "message", c->err.msg);
    if (c->err.file[0])
        bd_json_str(&j, "file", c->err.file);
    else
        bd_json_null(&j, "file");
    bd_json_obj_end(&j);
    bd_json_obj_end(&j);
    if (j.out.s && !j.out.failed)
        fputs(j.out.s, stdout);
    bd_json_done(&j);
}

int bd_cli_fail(struct cli *c)
{
    char show[160];

    if (atomic_load(&c->watch.task)) {
        atomic_store(&c->watch.task, NULL);
        bd_cli_watch_clear(&c->watch);
    }
    if (c->a.json)
        fail_json(c);
    else if (c->err.file[0])
        fprintf(stderr, "bitdial: %s: %s\n",
                bd_text_show(show, sizeof show, c->err.file, 0), c->err.msg);
    else
        fprintf(stderr, "bitdial: %s\n", c->err.msg);
    return status_of(c);
}

void bd_cli_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bitdial: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* --------------------------------------------------------------- results */

/* A full disk behind a redirection must not look like success. */
int bd_cli_flushed(struct cli *c)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    c->status = 1;
    bd_fail(&c->err, BD_EIO, "standard output: %s",
            errno ? strerror(errno) : "write failed");
    c->a.json = false; /* there is no output to put a document on */
    return bd_cli_fail(c);
}

static int put(struct cli *c, const char *s, size_t n)
{
    fwrite(s, 1, n, stdout);
    return bd_cli_flushed(c);
}

int bd_cli_text_out(struct cli *c, struct bd_str *s)
{
    int rc;

    if (s->failed) {
        bd_str_done(s);
        bd_fail(&c->err, BD_ENOMEM, "out of memory for the output");
        return bd_cli_fail(c);
    }
    rc = put(c, s->s ? s->s : "", s->n);
    bd_str_done(s);
    return rc;
}

int bd_cli_json_out(struct cli *c, struct bd_json *j)
{
    struct bd_str s = j->out;

    j->out = (struct bd_str){0};
    bd_json_done(j);
    return bd_cli_text_out(c, &s);
}

bd_status bd_cli_save(struct cli *c, const void *data, size_t n)
{
    bd_status st = bd_save(c->a.output, data, n, c->a.force, &c->err);

    if (st == BD_OK)
        return st;
    c->status = 1;
    return bd_err_file(&c->err, c->a.output);
}

bd_status bd_cli_save_check(struct cli *c)
{
    bd_status st = BD_OK;

    if (c->a.output)
        st = bd_save_check(c->a.output, c->a.force, &c->err);
    if (st != BD_OK)
        c->status = 1;
    return st;
}
