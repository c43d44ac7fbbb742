/* open: only understood here.  The interface itself lives above the engine,
 * so the wishes are handed back to whoever called bd_cli_main. */
#include "cli/cli_priv.h"

#include <stddef.h>
#include <stdio.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--batch", 'b', "SCRIPT", "replay commands without a terminal",
     AT(script), 0, 0},
    {CLI_TEXT, "--size", 0, "WxH", "screen of --batch (default 80x24)",
     AT(size), 0, 0},
    {CLI_TEXT, "--theme", 0, "NAME", "dark, light, high-contrast, mono",
     AT(theme), 0, 0},
    {CLI_TEXT, "--color", 0, "WHEN", "auto, always, never", AT(color), 0, 0},
    {CLI_FLAG, "--ascii", 0, NULL, "draw with ASCII alone", AT(ascii), 0, 0},
    {CLI_FLAG, "--linear", 0, NULL, "plain lines for screen readers",
     AT(linear), 0, 0},
    {CLI_FLAG, "--nomouse", 0, NULL, "leave the mouse to the terminal",
     AT(nomouse), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    bd_cli_model, bd_cli_data, bd_cli_config, own, bd_cli_common, NULL,
};

/* Shared with plot; both draw on a surface of so many columns and rows. */
bool bd_cli_size(int *w, int *h, const char *text, struct bd_err *err)
{
    char tail, show[96];

    if (sscanf(text, "%dx%d%c", w, h, &tail) == 2 && *w > 0 && *h > 0 &&
        *w <= BD_MAX_PICTURE_SIDE && *h <= BD_MAX_PICTURE_SIDE)
        return true;
    bd_fail(err, BD_EINVALID, "--size '%s': width and height as 1200x800",
            bd_text_show(show, sizeof show, text, 0));
    return false;
}

/* Nothing is opened here: the interface shows its own progress. */
static int run(struct cli *c)
{
    const struct cli_args *a = &c->a;
    struct bd_cli_open *o = c->open;

    *o = (struct bd_cli_open){
        .wanted = true,
        .session = bd_cli_session_opts(a),
        .script = a->script,
        .theme = a->theme,
        .color = a->color,
        .ascii = a->ascii,
        .linear = a->linear,
        .nomouse = a->nomouse,
        .width = 80,
        .height = 24,
    };
    /* The list of edits must outlive this call. */
    o->session.set = o->set;
    for (int64_t k = 0; k < a->nset && k < BD_CLI_SETS; k++)
        o->set[k] = a->set[k];
    o->session.no_state = a->script != NULL;
    if (a->size && !bd_cli_size(&o->width, &o->height, a->size, &c->err)) {
        o->wanted = false;
        return bd_cli_fail(c);
    }
    if (a->json && a->script) {
        o->wanted = false;
        bd_fail(&c->err, BD_EINVALID,
                "--batch has no --json; :export and :save-screen write what a "
                "script finds");
        return bd_cli_fail(c);
    }
    if (a->json) {
        o->wanted = false;
        o->session.no_state = true;
        return bd_cli_run(c, bd_verb_analyze.run);
    }
    return 0;
}

const struct cli_verb bd_verb_open = {
    .name = "open",
    .summary = "The interactive screen; without a terminal, the analysis.",
    .example = "bitdial resnet20.onnx --data test.bin",
    .usage = "[open] MODEL [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
