/* One command line from argv to exit status.  Every verb is a row of `verbs`;
 * `open` is what a bare model file means. */
#include "cli/cli_priv.h"

#include <stdio.h>
#include <string.h>

static const struct cli_verb *const verbs[] = {
    &bd_verb_open,
    &bd_verb_info,
    &bd_verb_run,
    &bd_verb_analyze,
    &bd_verb_levels,
    &bd_verb_eval,
    &bd_verb_sweep,
    &bd_verb_search,
    &bd_verb_compare,
    &bd_verb_channels,
    &bd_verb_bottleneck,
    &bd_verb_repair,
    &bd_verb_export,
    &bd_verb_plot,
    &bd_verb_train,
    &bd_verb_completion,
    NULL,
};

const struct cli_verb *const *bd_cli_verbs(void)
{
    return verbs;
}

/* --json decides how a mistake in the command line itself is reported, so it
 * is looked for before anything is understood. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

/* "bitdial help eval" reads better to some than "bitdial eval --help". */
static bool is_help(int argc, char **argv)
{
    return argc >= 2 &&
           (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
            strcmp(argv[1], "-h") == 0) &&
           !bd_file_exists(argv[1]);
}

/* The clip rules, from the engine's table. */
static void help_clips(void)
{
    fputs("bitdial eval MODEL --activations uniform:4:tensor:kl\n\n"
          "How the range of a grid is chosen: the CLIP of METHOD:BITS:GRAIN:"
          "CLIP.\n", stdout);
    for (int i = 0; bd_clip_names[i]; i++)
        printf("  %-10s %s\n", bd_clip_names[i], bd_clip_titles[i]);
}

/* Of a verb when one follows. */
static int general_help(struct cli *c, int argc, char **argv)
{
    const struct cli_verb *v = argc > 2 ? bd_cli_verb_find(argv[2]) : NULL;

    if (argc > 2 && strcmp(argv[2], "clips") == 0)
        help_clips();
    else if (v)
        bd_cli_help(v);
    else
        bd_cli_usage(false);
    return bd_cli_flushed(c);
}

static int version(struct cli *c)
{
    struct bd_json j;

    if (!c->a.json) {
        printf("bitdial %s\n", BD_VERSION);
        return bd_cli_flushed(c);
    }
    bd_cli_schema(&j, "bitdial.version/1");
    bd_json_str(&j, "version", BD_VERSION);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* The watch starts before anything opens, since threads made later inherit
 * its blocked signals, and ends before the result is anyone's business. */
int bd_cli_run(struct cli *c, int (*run)(struct cli *c))
{
    int rc;

    if (bd_cli_watch_start(&c->watch, &c->err) != BD_OK)
        return bd_cli_fail(c);
    rc = run(c);
    bd_cli_watch_stop(&c->watch);
    return rc;
}

int bd_cli_main(struct bd_cli_open *open, int argc, char **argv)
{
    /* Only defaults that are not zero. */
    struct cli c = {.open = open,
                    .a = {.rtol = 1e-3,
                          .atol = 1e-7,
                          .psnr_min = -1,
                          .psnr_loss = -1,
                          .avg_rate = -1,
                          .epochs = 20,
                          .lr = 0.1,
                          .momentum = 0.9,
                          .decay = 5e-4,
                          .batch = 128,
                          .alpha = 0.9,
                          .beta = 0.1,
                          .reserve = 10}};

    *open = (struct bd_cli_open){0};
    c.a.json = wants_json(argc, argv);
    if (argc < 2) {
        bd_cli_usage(true);
        return 2;
    }
    if (is_help(argc, argv))
        return general_help(&c, argc, argv);
    if (bd_cli_parse(&c, argc, argv) != BD_OK)
        return bd_cli_fail(&c);
    if (c.a.version)
        return version(&c);
    if (c.a.help) {
        bd_cli_help(c.verb);
        return bd_cli_flushed(&c);
    }
    if (c.verb == &bd_verb_open) /* the interface has its own ways */
        return c.verb->run(&c);
    return bd_cli_run(&c, c.verb->run);
}
