/* completion: what a shell needs to complete verbs and options, written from
 * the same rows that parse them, so that the two cannot drift apart.  File
 * names are left to the shell. */
#include "cli/cli_priv.h"

#include <string.h>

static const struct cli_option *const options[] = {bd_cli_common, NULL};

static void put_options(struct bd_str *s, const struct cli_verb *v)
{
    for (int g = 0; v->options[g]; g++) {
        for (const struct cli_option *o = v->options[g]; o->type; o++)
            bd_str_printf(s, " %s", o->name);
    }
}

/* One function: the first word that is a verb picks the list of options.  A
 * word that starts with no dash after the verb is a file. */
static void bash(struct bd_str *s)
{
    bd_str_puts(s, "_bitdial() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} w verb=open\n"
                   "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                   "        case $w in\n        ");
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++)
        bd_str_printf(s, "%s%s", v == bd_cli_verbs() ? "" : "|", (*v)->name);
    bd_str_puts(s, ") verb=$w; break;;\n        esac\n    done\n"
                   "    case $cur in\n    -*) case $verb in\n");
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++) {
        bd_str_printf(s, "        %s) w='", (*v)->name);
        put_options(s, *v);
        bd_str_puts(s, "';;\n");
    }
    bd_str_puts(s, "        esac;;\n    *) w=;\n"
                   "        [ \"$COMP_CWORD\" = 1 ] && w='");
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++)
        bd_str_printf(s, " %s", (*v)->name);
    bd_str_puts(s, "';;\n    esac\n"
                   "    COMPREPLY=($(compgen -W \"$w\" -- \"$cur\"))\n"
                   "}\ncomplete -o default -F _bitdial bitdial\n");
}

/* zsh reads bash's script through its own bridge. */
static void zsh(struct bd_str *s)
{
    bd_str_puts(s, "autoload -U +X bashcompinit && bashcompinit\n");
    bash(s);
}

/* Within single quotes fish reads \' as one. */
static void fish_words(struct bd_str *s, const char *text)
{
    for (; *text; text++)
        bd_str_printf(s, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void fish(struct bd_str *s)
{
    for (const struct cli_verb *const *v = bd_cli_verbs(); *v; v++) {
        bd_str_printf(s,
                      "complete -c bitdial -n __fish_use_subcommand -a %s "
                      "-d '",
                      (*v)->name);
        fish_words(s, (*v)->summary);
        bd_str_puts(s, "'\n");
        for (int g = 0; (*v)->options[g]; g++) {
            for (const struct cli_option *o = (*v)->options[g]; o->type; o++)
                bd_str_printf(s,
                              "complete -c bitdial -n "
                              "'__fish_seen_subcommand_from %s' -l %s%s\n",
                              (*v)->name, o->name + 2, o->arg ? " -r" : "");
        }
    }
}

struct shell {
    const char *name;
    void (*write)(struct bd_str *s);
};

static const struct shell shells[] = {
    {"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static int run(struct cli *c)
{
    struct bd_str s = {0};
    char show[96];

    for (size_t k = 0; k < sizeof shells / sizeof *shells; k++) {
        if (strcmp(shells[k].name, c->a.file[0]) != 0)
            continue;
        shells[k].write(&s);
        return bd_cli_text_out(c, &s);
    }
    bd_fail(&c->err, BD_EINVALID, "shell '%s': there is bash, zsh and fish",
            bd_text_show(show, sizeof show, c->a.file[0], 0));
    return bd_cli_fail(c);
}

const struct cli_verb bd_verb_completion = {
    .name = "completion",
    .summary = "Completion for bash, zsh or fish.",
    .example = "bitdial completion bash > ~/.local/share/bash-completion/"
               "completions/bitdial",
    .usage = "completion bash|zsh|fish",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
