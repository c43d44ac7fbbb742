/* Files of interval tables.
 *
 *   # qtable 1
 *   layer,channel,quantizer,bits,interval,range,signed,mse,count
 *   features.5,0,uniform,2,0.41250000000000003,1.2375,0,0.0123,169
 *
 * One row per channel and width 1..8, in any order.  A folder of older tables
 * holds 1.csv to 8.csv with `channel,interval`; what they do not tell comes
 * from the feature at hand.  Reading is strict: a table for another quantizer
 * or another feature would give plausible nonsense. */
#include "feature/feature.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIELDS = 9, FILE_MOST = 64 << 20 };
static const char header[] =
    "layer,channel,quantizer,bits,interval,range,signed,mse,count";
static const char old_header[] = "channel,interval";

/* ---------------------------------------------------------------- writing */
/* Quoted where commas or quotes would be taken for the file's own. */
static void put_name(struct bd_str *out, const char *name)
{
    if (!strpbrk(name, ",\"\r\n#")) {
        bd_str_puts(out, name);
        return;
    }
    bd_str_puts(out, "\"");
    for (const char *p = name; *p; p++)
        bd_str_printf(out, *p == '"' ? "\"\"" : "%c",
                      *p == '\n' || *p == '\r' ? ' ' : *p);
    bd_str_puts(out, "\"");
}

bd_status bd_qtable_write(struct bd_str *out, const struct bd_qtable *t,
                          const char *layer, struct bd_err *err)
{
    bd_str_printf(out, "# qtable 1\n%s\n", header);
    for (int64_t i = 0; i < t->channels; i++)
        for (int b = 1; b < BD_FEATURE_WIDTHS; b++) {
            const struct bd_qchannel *c = &t->c[i];

            put_name(out, layer);
            bd_str_printf(out, ",%lld,%s,%d,%.17g,%.17g,%d,%.17g,%lld\n",
                          (long long)i, bd_feature_kind_names[t->kind], b,
                          c->interval[b], c->range, c->is_signed, c->mse[b],
                          (long long)t->count);
        }
    return out->failed ? bd_fail(err, BD_ENOMEM, "out of memory for the table")
                       : BD_OK;
}

/* ---------------------------------------------------------------- reading */
struct reader {
    char *at;   /* rest of the text; lines are cut out of it */
    int line;   /* number of the line at hand */
    bool *have; /* [channels][9] */
    struct bd_qtable *t;
    struct bd_qtable_want want;
    int bits;   /* of an old file, 0 = column */
    struct bd_err *err;
};

/* Next line with something on it, or NULL. */
static char *next_line(struct reader *r)
{
    while (*r->at) {
        char *line = r->at;
        size_t n = strcspn(line, "\n");

        r->line++;
        r->at += n + (line[n] == '\n');
        line[n] = '\0';
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            return line;
    }
    return NULL;
}

/* Cuts a line at its commas; quotes go.  Returns the count, beyond `most` if
 * there are more. */
static int fields(char **f, int most, char *line)
{
    char *p = line, *w = line;
    bool quoted = false;
    int n = 0;

    f[n++] = w;
    for (; *p; p++) {
        if (quoted && p[0] == '"' && p[1] == '"')
            *w++ = *p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (*p == ',' && !quoted) {
            *w++ = '\0';
            if (n == most)
                return most + 1;
            f[n++] = w;
        } else
            *w++ = *p;
    }
    *w = '\0';
    return n;
}

static bd_status bad(struct reader *r, const char *what, const char *text,
                     const char *wanted)
{
    char shown[96];

    return bd_fail(r->err, BD_EFORMAT, "line %d: %s '%s', %s", r->line, what,
                   bd_text_show(shown, sizeof shown, text, 40), wanted);
}

/* A number from 0 up; NaN and infinities are none. */
static bd_status number(struct reader *r, double *v, const char *what,
                        const char *text)
{
    if (bd_parse_double(v, text) && *v >= 0)
        return BD_OK;
    return bad(r, what, text, "a number from 0 up is needed");
}

static bd_status channel(struct reader *r, int64_t *c, const char *text)
{
    int64_t n = r->want.f->channels;
    char wanted[80];

    if (bd_parse_int(c, text, 0, n - 1))
        return BD_OK;
    snprintf(wanted, sizeof wanted, "the feature has channels 0 to %lld",
             (long long)(n - 1));
    return bad(r, "channel", text, wanted);
}

static bd_status first_time(struct reader *r, int64_t c, int64_t bits)
{
    bool *have = &r->have[c * BD_FEATURE_WIDTHS + bits];

    if (*have)
        return bd_fail(r->err, BD_EFORMAT,
                       "line %d: channel %lld has %lld bits twice", r->line,
                       (long long)c, (long long)bits);
    *have = true;
    return BD_OK;
}

static bd_status quantizer(struct reader *r, const char *text)
{
    const char *want = bd_feature_kind_names[r->want.kind];
    char hint[96];

    if (strcmp(text, want) == 0)
        return BD_OK;
    snprintf(hint, sizeof hint, "'%s' is asked for; --quantizer names another",
             want);
    return bad(r, "table of quantizer", text, hint);
}

/* All widths of a channel agree on its range and sign. */
static bd_status common(struct reader *r, struct bd_qchannel *c, bool first,
                        char **f)
{
    double range;
    int64_t sign, count;
    bd_status st = number(r, &range, "range", f[5]);

    if (st == BD_OK && !bd_parse_int(&sign, f[6], 0, 1))
        st = bad(r, "signed", f[6], "0 or 1 is needed");
    if (st == BD_OK && !bd_parse_int(&count, f[8], 0, INT64_MAX))
        st = bad(r, "count", f[8], "a whole number from 0 up is needed");
    if (st != BD_OK)
        return st;
    if (!first && (c->range != range || c->is_signed != (sign == 1)))
        return bd_fail(r->err, BD_EFORMAT,
                       "line %d: range or sign of channel %s differ from an "
                       "earlier line",
                       r->line, f[1]);
    c->range = range;
    c->is_signed = sign == 1;
    r->t->count = count;
    return BD_OK;
}

static bool seen(const struct reader *r, int64_t c)
{
    for (int b = 0; b < BD_FEATURE_WIDTHS; b++)
        if (r->have[c * BD_FEATURE_WIDTHS + b])
            return true;
    return false;
}

static bd_status row(struct reader *r, char **f)
{
    int64_t c = 0, bits = 0;
    bd_status st = channel(r, &c, f[1]);
    struct bd_qchannel *q = &r->t->c[c];

    if (st == BD_OK)
        st = quantizer(r, f[2]);
    if (st == BD_OK && !bd_parse_int(&bits, f[3], 1, BD_FEATURE_MOST))
        st = bad(r, "bits", f[3], "1 to 8 are possible");
    if (st == BD_OK)
        st = common(r, q, !seen(r, c), f);
    if (st == BD_OK)
        st = first_time(r, c, bits);
    if (st == BD_OK)
        st = number(r, &q->interval[bits], "interval", f[4]);
    if (st == BD_OK)
        st = number(r, &q->mse[bits], "mse", f[7]);
    return st;
}

static bd_status old_row(struct reader *r, char **f)
{
    int64_t c = 0;
    bd_status st = channel(r, &c, f[0]);

    if (st == BD_OK)
        st = first_time(r, c, r->bits);
    if (st == BD_OK)
        st = number(r, &r->t->c[c].interval[r->bits], "interval", f[1]);
    return st;
}

static bd_status rows(struct reader *r)
{
    const char *head = r->bits ? old_header : header;
    int want = r->bits ? 2 : FIELDS;
    char *f[FIELDS], *line;
    bd_status st = BD_OK;

    if (!r->bits && strncmp(r->at, "# qtable 1", 10) != 0)
        return bd_fail(r->err, BD_EFORMAT,
                       "line 1: '# qtable 1' is expected, the mark of an "
                       "interval table");
    line = next_line(r);
    if (!line || strcmp(line, head) != 0)
        return bd_fail(r->err, BD_EFORMAT, "line %d: the header '%s' is "
                       "expected", r->line, head);
    while (st == BD_OK && (line = next_line(r)) != NULL) {
        int n = fields(f, want, line);

        if (n != want)
            st = bd_fail(r->err, BD_EFORMAT,
                         "line %d: %s %d fields, %d are expected", r->line,
                         n > want ? "more than" : "only", n > want ? want : n,
                         want);
        else
            st = r->bits ? old_row(r, f) : row(r, f);
    }
    return st;
}

static bd_status one_file(struct reader *r, const char *path)
{
    char *text = NULL;
    size_t n;
    bd_status st = bd_file_read(&text, &n, path, FILE_MOST, r->err);

    if (st != BD_OK)
        return st;
    if (strlen(text) != n)
        st = bd_fail(r->err, BD_EFORMAT, "it holds zero bytes: no text");
    r->at = text;
    r->line = 0;
    if (st == BD_OK)
        st = rows(r);
    bd_free(text);
    if (st != BD_OK && r->err)
        bd_err_file(r->err, path);
    return st;
}

static bd_status folder(struct reader *r, const char *path)
{
    char name[1200];
    bd_status st = BD_OK;

    for (r->bits = 1; r->bits < BD_FEATURE_WIDTHS && st == BD_OK; r->bits++) {
        snprintf(name, sizeof name, "%s/%d.csv", path, r->bits);
        st = one_file(r, name);
    }
    return st;
}

static bd_status complete(const struct reader *r)
{
    for (int64_t c = 0; c < r->want.f->channels; c++)
        for (int b = 1; b < BD_FEATURE_WIDTHS; b++)
            if (!r->have[c * BD_FEATURE_WIDTHS + b])
                return bd_fail(r->err, BD_EFORMAT,
                               "line %d is the last: channel %lld lacks %d "
                               "bits; each of %lld channels needs 1 to 8",
                               r->line, (long long)c, b,
                               (long long)r->want.f->channels);
    return BD_OK;
}

/* What the files do not tell. */
static void from_feature(struct reader *r, bool old)
{
    const struct bd_feature *f = r->want.f;
    size_t n = (size_t)(f->images * f->size);

    for (int64_t c = 0; c < f->channels; c++) {
        struct bd_feature one = {1, f->images, f->size, f->x + (size_t)c * n};
        struct bd_qchannel *q = &r->t->c[c];

        for (size_t i = 0; old && i < n; i++) {
            q->range = fmax(q->range, fabs((double)one.x[i]));
            q->is_signed = q->is_signed || one.x[i] < 0;
        }
        for (int b = 0; b < (old ? BD_FEATURE_WIDTHS : 1); b++) {
            struct bd_chanq k = {r->want.kind, b, q->is_signed,
                                 q->interval[b], q->range};

            q->mse[b] = bd_feature_error(&one, &k);
        }
    }
    if (old)
        r->t->count = (int64_t)n;
}

bd_status bd_qtable_read(struct bd_qtable *out, const char *path,
                         struct bd_qtable_want want, struct bd_err *err)
{
    struct bd_qtable t = {want.kind, want.f->channels, 0, NULL};
    struct bd_err own = {0};
    struct reader r = {.t = &t, .want = want, .err = err ? err : &own};
    size_t n = (size_t)want.f->channels;
    bool old = bd_is_dir(path);
    bd_status st = BD_OK;

    t.c = bd_calloc(n + 1, sizeof *t.c);
    r.have = bd_calloc(n * BD_FEATURE_WIDTHS + 1, sizeof *r.have);
    if (!t.c || !r.have)
        st = bd_fail(r.err, BD_ENOMEM, "out of memory for the table");
    if (st == BD_OK)
        st = old ? folder(&r, path) : one_file(&r, path);
    if (st == BD_OK) {
        st = complete(&r);
        if (st != BD_OK)
            bd_err_file(r.err, path);
    }
    if (st == BD_OK)
        from_feature(&r, old);
    bd_free(r.have);
    if (st == BD_OK)
        *out = t;
    else
        bd_qtable_done(&t);
    return st;
}
