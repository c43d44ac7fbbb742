/* The option lists that verbs share, and the parser that reads them.  An
 * option is accepted as --name VALUE, --name=VALUE, -n VALUE; `--` ends
 * options; a lone "-" is a file name.  Options may stand before the verb. */
#include "cli/cli_priv.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
const struct cli_option bd_cli_common[] = {
    {CLI_FLAG, "--json", 0, NULL, "one JSON document on standard output",
     AT(json), 0, 0},
    {CLI_INT, "--threads", 'j', "N", "threads (default: all cores)",
     AT(threads), 0, 1024},
    {CLI_INT, "--seed", 0, "N", "seed of everything random (default 0)",
     AT(seed), 0, INT64_MAX},
    {CLI_FLAG, "--help", 'h', NULL, "this text", AT(help), 0, 0},
    {CLI_FLAG, "--version", 'V', NULL, "the version", AT(version), 0, 0},
    {.type = CLI_END},
};
const struct cli_option bd_cli_output[] = {
    {CLI_TEXT, "--output", 'o', "FILE", "where to write", AT(output), 0, 0},
    {CLI_FLAG, "--force", 'f', NULL, "overwrite what is there", AT(force),
     0, 0},
    {.type = CLI_END},
};
const struct cli_option bd_cli_model[] = {
    {CLI_TEXT, "--arch", 0, "NAME", "network of a file without a graph",
     AT(arch), 0, 0},
    {.type = CLI_END},
};
const struct cli_option bd_cli_data[] = {
    {CLI_TEXT, "--data", 'd', "SPEC", "file, folder or synth:glyphs",
     AT(data), 0, 0},
    {CLI_INT, "--limit", 'n', "N", "at most N images", AT(limit), 1,
     INT64_MAX},
    {CLI_INT, "--skip", 0, "N", "leave out the first N", AT(skip), 0,
     INT64_MAX},
    {CLI_TEXT, "--preprocess", 'p', "PRESET", "imagenet, cifar10, mnist01, "
     "... or key=value,...", AT(preprocess), 0, 0},
    {CLI_TEXT, "--calib", 0, "SPEC", "set that activation ranges come from",
     AT(calib), 0, 0},
    {CLI_INT, "--calib-limit", 0, "N", "images of it (default 64)",
     AT(calib_limit), 1, INT64_MAX},
    {.type = CLI_END},
};
const struct cli_option bd_cli_config[] = {
    {CLI_TEXT, "--config", 'c', "CFG", "a bitdial.config/1 file, - = stdin",
     AT(config), 0, 0},
    {CLI_TEXT, "--weights", 'w', "SPEC", "METHOD:BITS[:GRAIN[:CLIP]], as "
     "apot:4:tensor:mse", AT(weights), 0, 0},
    {CLI_TEXT, "--activations", 'a', "SPEC", "the same for layer inputs; see "
     "'help clips'", AT(activations), 0, 0},
    {CLI_REPEAT, "--set", 's', "GLOB.w=SPEC", "some layers' weights (.a: "
     "inputs); repeatable", AT(set), 0, 0},
    {CLI_INT, "--keep-edges", 0, "BITS", "width of first and last layer",
     AT(keep_edges), 1, 32},
    {CLI_INT, "--memory", 0, "MB", "for cached activations (default: a "
     "quarter)", AT(memory), 1, 1 << 30},
    {.type = CLI_END},
};
/* clang-format on */

/* ------------------------------------------------------------ looking up */

/* word[0..n) as --name or -n. */
static bool matches(const struct cli_option *o, const char *word, size_t n)
{
    if (word[1] != '-')
        return n == 2 && o->brief == word[1];
    return strlen(o->name) == n && memcmp(o->name, word, n) == 0;
}

static const struct cli_option *find(const struct cli_verb *v, const char *word,
                                     size_t n)
{
    for (int g = 0; v->options[g]; g++) {
        for (const struct cli_option *o = v->options[g]; o->type; o++) {
            if (matches(o, word, n))
                return o;
        }
    }
    return NULL;
}

/* The part before '=' of --name=value. */
static size_t name_length(const char *word)
{
    const char *eq = word[1] == '-' ? strchr(word, '=') : NULL;

    return eq ? (size_t)(eq - word) : strlen(word);
}

/* A lone "-" is standard input, not an option. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* Does the option, of whatever verb, take the next word?  Needed before the
 * verb is known; all verbs agree on the shape of an option. */
static bool takes_next(const char *word)
{
    const struct cli_verb *const *v = bd_cli_verbs();
    size_t n = name_length(word);

    for (; *v && word[n] == '\0'; v++) {
        const struct cli_option *o = find(*v, word, n);

        if (o)
            return o->type != CLI_FLAG;
    }
    return false;
}

const struct cli_verb *bd_cli_verb_find(const char *name)
{
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++) {
        if (strcmp((*v)->name, name) == 0)
            return *v;
    }
    return NULL;
}

/* Index in argv of the first word that is no option, or argc. */
static int first_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return argc; /* what follows are files */
        if (!is_option(argv[i]))
            return i;
        if (takes_next(argv[i]))
            i++;
    }
    return argc;
}

/* A first word that is no verb: a mistyped verb or a model?  A dot, a slash
 * or existence speak for a model. */
static bool looks_like_file(const char *word)
{
    return strchr(word, '.') || strchr(word, '/') || bd_file_exists(word) ||
           bd_is_dir(word);
}

static bd_status unknown_verb(struct cli *c, const char *word)
{
    const char *names[32] = {NULL}, *near;
    char show[96];
    int n = 0;

    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++)
        names[n++] = (*v)->name;
    near = bd_nearest(word, names);
    bd_text_show(show, sizeof show, word, 0);
    if (near)
        return bd_fail(&c->err, BD_EINVALID,
                       "'%s' is no verb and no file; did you mean '%s'?", show,
                       near);
    return bd_fail(&c->err, BD_EINVALID,
                   "'%s' is no verb and no file; bitdial --help lists the "
                   "verbs",
                   show);
}

static bd_status unknown_option(struct cli *c, const char *word)
{
    const char *names[64] = {NULL}, *near;
    char name[64], show[96];
    size_t n = name_length(word), k = 0;

    for (int g = 0; c->verb->options[g]; g++) {
        for (const struct cli_option *o = c->verb->options[g]; o->type; o++) {
            if (k < 63)
                names[k++] = o->name;
        }
    }
    n = n < sizeof name ? n : sizeof name - 1;
    memcpy(name, word, n);
    name[n] = '\0';
    near = bd_nearest(name, names);
    bd_text_show(show, sizeof show, name, 0);
    if (near)
        return bd_fail(&c->err, BD_EINVALID,
                       "%s has no option '%s'; did you mean '%s'?",
                       c->verb->name, show, near);
    return bd_fail(&c->err, BD_EINVALID,
                   "%s has no option '%s'; bitdial %s --help lists them",
                   c->verb->name, show, c->verb->name);
}

/* --------------------------------------------------------------- storing */

/* What was given, and what would do. */
static bd_status bad_value(struct cli *c, const struct cli_option *o,
                           const char *value)
{
    char show[96];

    bd_text_show(show, sizeof show, value, 0);
    if (o->type == CLI_REAL)
        return bd_fail(&c->err, BD_EINVALID,
                       "%s '%s': a number from 0 up is needed", o->name, show);
    if (o->max == INT64_MAX)
        return bd_fail(&c->err, BD_EINVALID,
                       "%s '%s': a whole number from %lld up is needed",
                       o->name, show, (long long)o->min);
    return bd_fail(&c->err, BD_EINVALID,
                   "%s '%s': a whole number from %lld to %lld is needed",
                   o->name, show, (long long)o->min, (long long)o->max);
}

static void *field(struct cli *c, const struct cli_option *o)
{
    return (char *)&c->a + o->at;
}

/* Lists end with NULL and were zeroed. */
static bd_status repeat(struct cli *c, const struct cli_option *o,
                        const char *value)
{
    const char **list = field(c, o);
    int n = 0;

    while (list[n])
        n++;
    if (n == CLI_REPEATS)
        return bd_fail(&c->err, BD_EINVALID, "more than %d times %s",
                       CLI_REPEATS, o->name);
    list[n] = value;
    if (list == c->a.set)
        c->a.nset = n + 1;
    return BD_OK;
}

/* Texts are borrowed from argv, which outlives everything here. */
static bd_status store(struct cli *c, const struct cli_option *o,
                       const char *value)
{
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)field(c, o) = true;
        return BD_OK;
    case CLI_TEXT:
        *(const char **)field(c, o) = value;
        return BD_OK;
    case CLI_INT:
        if (!bd_parse_int(field(c, o), value, o->min, o->max))
            return bad_value(c, o, value);
        return BD_OK;
    case CLI_REAL: /* rates, shares and tolerances: none goes below 0 */
        if (!bd_parse_double(field(c, o), value) ||
            *(const double *)field(c, o) < 0.0)
            return bad_value(c, o, value);
        return BD_OK;
    case CLI_REPEAT:
        return repeat(c, o, value);
    case CLI_END:
        break;
    }
    return BD_OK;
}

/* One option at argv[*i]; advances over its value. */
static bd_status take_option(struct cli *c, int *i, int argc, char **argv)
{
    const char *word = argv[*i], *value = NULL;
    size_t n = name_length(word);
    const struct cli_option *o = find(c->verb, word, n);

    if (!o)
        return unknown_option(c, word);
    if (word[n] == '=')
        value = word + n + 1;
    if (o->type == CLI_FLAG && value)
        return bd_fail(&c->err, BD_EINVALID, "%s takes no value", o->name);
    if (o->type != CLI_FLAG && !value) {
        if (*i + 1 >= argc)
            return bd_fail(&c->err, BD_EINVALID, "%s needs %s", o->name,
                           o->arg);
        value = argv[++*i];
    }
    if (value && value[0] == '\0') /* an unset variable in a script */
        return bd_fail(&c->err, BD_EINVALID, "%s '': %s is needed", o->name,
                       o->arg);
    return store(c, o, value);
}

static bd_status take_file(struct cli *c, const char *word)
{
    const struct cli_verb *v = c->verb;
    char show[96];

    if (c->a.nfile >= v->max_files)
        return bd_fail(&c->err, BD_EINVALID,
                       "one '%s' too many; usage: bitdial %s",
                       bd_text_show(show, sizeof show, word, 0), v->usage);
    c->a.file[c->a.nfile++] = word;
    return BD_OK;
}

/* The verb and where it stands; a file alone means `open`. */
static bd_status pick_verb(struct cli *c, int *at, int argc, char **argv)
{
    int first = first_word(argc, argv);

    *at = argc;
    c->verb = &bd_verb_open;
    if (first == argc)
        return BD_OK;
    if (bd_cli_verb_find(argv[first])) {
        c->verb = bd_cli_verb_find(argv[first]);
        *at = first;
        return BD_OK;
    }
    if (!looks_like_file(argv[first]))
        return unknown_verb(c, argv[first]);
    return BD_OK;
}

bd_status bd_cli_parse(struct cli *c, int argc, char **argv)
{
    bool only_files = false;
    int verb_at;
    bd_status st = pick_verb(c, &verb_at, argc, argv);

    for (int i = 1; i < argc && st == BD_OK; i++) {
        if (i == verb_at)
            continue;
        if (!only_files && strcmp(argv[i], "--") == 0)
            only_files = true;
        else if (!only_files && is_option(argv[i]))
            st = take_option(c, &i, argc, argv);
        else
            st = take_file(c, argv[i]);
    }
    if (st == BD_OK && !c->a.help && !c->a.version &&
        c->a.nfile < c->verb->min_files)
        st = bd_fail(&c->err, BD_EINVALID, "usage: bitdial %s", c->verb->usage);
    return st;
}

/* -------------------------------------------------------- derived values */

struct bd_session_opts bd_cli_session_opts(const struct cli_args *a)
{
    return (struct bd_session_opts){
        .model = a->file[0],
        .arch = a->arch,
        .data = a->data,
        .calib = a->calib,
        .preprocess = a->preprocess,
        .limit = a->limit,
        .skip = a->skip,
        .calib_limit = a->calib_limit,
        .memory = (size_t)a->memory << 20,
        .threads = (int)a->threads,
        .seed = (uint64_t)a->seed,
        .config = a->config,
        .weights = a->weights,
        .activations = a->activations,
        .set = a->set,
        .keep_edges = (int)a->keep_edges,
        .no_state = true,
    };
}

/* "4" or "2-8"; widths named twice count once. */
static bool add_range(struct cli_widths *w, char *part)
{
    char *dash = strchr(part, '-');
    int64_t lo, hi;

    if (dash)
        *dash = '\0';
    if (!bd_parse_int(&lo, part, 1, 32) ||
        !bd_parse_int(&hi, dash ? dash + 1 : part, 1, 32) || lo > hi)
        return false;
    for (; lo <= hi; lo++) {
        bool known = false;

        for (int k = 0; k < w->n; k++)
            known = known || w->bits[k] == lo;
        if (!known)
            w->bits[w->n++] = (int)lo;
    }
    return true;
}

bool bd_cli_widths(struct cli_widths *w, const char *text, struct bd_err *err)
{
    char copy[256], show[96], *save = NULL;
    bool ok = strlen(text) < sizeof copy;

    w->n = 0;
    if (ok)
        memcpy(copy, text, strlen(text) + 1);
    for (char *t = ok ? strtok_r(copy, ",", &save) : NULL; t && ok;
         t = strtok_r(NULL, ",", &save))
        ok = add_range(w, t);
    if (ok && w->n > 0)
        return true;
    bd_fail(err, BD_EINVALID,
            "--bits '%s': widths are given as 2-8 or 2,4,8, from 1 to 32",
            bd_text_show(show, sizeof show, text, 0));
    return false;
}
