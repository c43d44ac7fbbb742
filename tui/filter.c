/* filter.c: the filter language.  A filter is words; a word is
 * FIELD RELATION VALUE or a bare part of a name; a layer is shown when all
 * words hold.  A number that is not known yet (NaN) satisfies nothing, so
 * `psnr<25` never shows a layer by accident. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "list.h"

struct field {
    const char *name, *also;
    enum ui_field field;
    bool number;
};
static const struct field fields[] = {
    {"name", "layer", UI_F_NAME, false},
    {"op", "type", UI_F_OP, false},
    {"method", "q", UI_F_METHOD, false},
    {"bits", "w", UI_F_BITS, true},
    {"abits", "a", UI_F_ABITS, true},
    {"psnr", "psnr", UI_F_PSNR, true},
    {"sqnr", "sqnr", UI_F_SQNR, true},
    {"kb", "size", UI_F_KB, true},
    {"params", "n", UI_F_PARAMS, true},
    {"sens", "loss", UI_F_SENS, true},
    {"marked", "mark", UI_F_MARKED, true},
    {"failed", "!", UI_F_FAILED, true},
};
enum { NFIELDS = sizeof fields / sizeof fields[0] };

/* Names are ASCII in practice; other letters compare as they are. */
bool ui_contains(const char *s, const char *part)
{
    size_t n = strlen(part);
    if (n == 0)
        return true;
    for (; *s; s++)
        if (strncasecmp(s, part, n) == 0)
            return true;
    return false;
}

/* Fields have a short name for fast typing: w for bits, a for abits. */
static const struct field *field_named(const char *s, size_t n)
{
    for (int i = 0; i < NFIELDS; i++)
        if ((strlen(fields[i].name) == n &&
             strncasecmp(fields[i].name, s, n) == 0) ||
            (strlen(fields[i].also) == n &&
             strncasecmp(fields[i].also, s, n) == 0))
            return &fields[i];
    return NULL;
}

/* Reads the relation at *s; longer spellings first. */
static enum ui_relation relation(const char **s)
{
    static const struct {
        const char *text;
        enum ui_relation rel;
    } all[] = {
        {"<=", UI_LE}, {">=", UI_GE}, {"!=", UI_NOT}, {"<", UI_LT},
        {">", UI_GT},  {"=", UI_IS},  {":", UI_IS},   {"~", UI_HAS},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t n = strlen(all[i].text);
        if (strncmp(*s, all[i].text, n) == 0) {
            *s += n;
            return all[i].rel;
        }
    }
    return UI_HAS;
}

/* `float` is a number here, since 32 bits is how the engine says it. */
static bool number_term(struct ui_term *t, const char *word, char *why,
                        size_t cap)
{
    if (strcasecmp(t->text, "float") == 0) {
        t->num = 32;
        return true;
    }
    if (t->rel == UI_HAS || !bd_parse_double(&t->num, t->text)) {
        snprintf(why, cap, "'%s': a number belongs behind < <= = != >= >",
                 word);
        return false;
    }
    return true;
}

/* The first sign of relation splits the word, so a name may not contain one;
 * no layer name we met does. */
static bool parse_word(struct ui_term *t, const char *word, char *why,
                       size_t cap)
{
    size_t n = strcspn(word, "<>=!:~");
    const struct field *f = field_named(word, n);
    memset(t, 0, sizeof *t);
    if (!word[n]) { /* no relation: a flag, or part of a name */
        bool flag = f && (f->field == UI_F_MARKED || f->field == UI_F_FAILED);
        t->field = flag ? f->field : UI_F_NAME;
        t->rel = flag ? UI_IS : UI_HAS;
        t->num = 1;
        snprintf(t->text, sizeof t->text, "%s", word);
        return true;
    }
    if (!f) {
        snprintf(why, cap,
                 "no field '%.*s'; try name op method bits abits psnr sqnr "
                 "kb params sens",
                 (int)n, word);
        return false;
    }
    const char *value = word + n;
    t->field = f->field;
    t->rel = relation(&value);
    snprintf(t->text, sizeof t->text, "%s", value);
    if (f->number)
        return number_term(t, word, why, cap);
    if (t->rel != UI_IS && t->rel != UI_NOT && t->rel != UI_HAS) {
        snprintf(why, cap, "'%s': text takes : ~ or !=", word);
        return false;
    }
    return true;
}

/* Parsed into a copy: a mistake leaves the filter in force as it was. */
bool ui_filter_parse(struct ui_filter *f, const char *text, char *why,
                     size_t cap)
{
    struct ui_filter out = {0};
    const char *s = text + strspn(text, " ");
    snprintf(out.text, sizeof out.text, "%s", s);
    while (*s) {
        char word[96];
        size_t n = strcspn(s, " ");
        if (n >= sizeof word || out.n == UI_TERMS) {
            snprintf(why, cap, "a filter takes %d words of at most %zu bytes",
                     UI_TERMS, sizeof word - 1);
            return false;
        }
        memcpy(word, s, n);
        word[n] = 0;
        if (!parse_word(&out.term[out.n], word, why, cap))
            return false;
        out.n++;
        s += n;
        s += strspn(s, " ");
    }
    *f = out;
    return true;
}

/* Text is the same when it is equal or matches as a pattern: op:Conv* works. */
static bool text_holds(const struct ui_term *t, const char *s)
{
    if (t->rel == UI_HAS)
        return ui_contains(s, t->text);
    bool same = strcasecmp(s, t->text) == 0 || bd_glob(t->text, s);
    return same == (t->rel == UI_IS);
}

static bool number_holds(const struct ui_term *t, double v)
{
    if (isnan(v))
        return false;
    double d = v - t->num;
    switch (t->rel) {
    case UI_IS:
        return d == 0;
    case UI_NOT:
        return d != 0;
    case UI_LT:
        return d < 0;
    case UI_LE:
        return d <= 0;
    case UI_GT:
        return d > 0;
    case UI_GE:
        return d >= 0;
    case UI_HAS:
        break;
    }
    return false;
}

static bool term_holds(const struct ui_term *t, const struct ui_facts *x)
{
    switch (t->field) {
    case UI_F_NAME:
        return text_holds(t, x->name);
    case UI_F_OP:
        return text_holds(t, x->op);
    case UI_F_METHOD:
        return text_holds(t, x->method);
    case UI_F_BITS:
        return number_holds(t, x->wbits);
    case UI_F_ABITS:
        return number_holds(t, x->abits);
    case UI_F_PSNR:
        return number_holds(t, x->psnr);
    case UI_F_SQNR:
        return number_holds(t, x->sqnr);
    case UI_F_KB:
        return number_holds(t, x->kb);
    case UI_F_PARAMS:
        return number_holds(t, (double)x->params);
    case UI_F_SENS:
        return number_holds(t, x->sens);
    case UI_F_MARKED:
        return number_holds(t, x->marked);
    case UI_F_FAILED:
        return number_holds(t, x->failed);
    case UI_FIELDS:
        break;
    }
    return true;
}

bool ui_filter_match(const struct ui_filter *f, const struct ui_facts *x)
{
    for (int i = 0; i < f->n; i++)
        if (!term_holds(&f->term[i], x))
            return false;
    return true;
}
