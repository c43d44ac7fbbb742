/* export: the configuration as a document.  One format so far, our own; each
 * further one is a row here. */
#include "cli/cli_priv.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--format", 0, "NAME", "json (bitdial.config/1, loses nothing)",
     AT(format), 0, 0},
    {CLI_FLAG, "--strict", 0, NULL, "refuse what a format cannot hold "
     "(default)", AT(strict), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    bd_cli_config, own,           bd_cli_data, bd_cli_model,
    bd_cli_output, bd_cli_common, NULL,
};

static int say(struct cli *c, const char *path)
{
    struct bd_json j;

    if (!c->a.json) {
        bd_cli_note("wrote %s", path);
        return 0;
    }
    bd_cli_schema(&j, "bitdial.export/1");
    bd_json_str(&j, "format", "json");
    bd_json_str(&j, "path", path);
    bd_json_arr_inline(&j, "lost");
    bd_json_arr_end(&j);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

/* What can be refused without opening the model. */
static bd_status check(struct cli *c)
{
    static const char *const formats[] = {"json", NULL};
    const char *f = c->a.format ? c->a.format : "json", *near;
    char show[96];

    if (strcmp(f, "json") != 0) {
        near = bd_nearest(f, formats);
        bd_text_show(show, sizeof show, f, 0);
        return bd_fail(&c->err, BD_EINVALID,
                       near ? "--format '%s' is not known; did you mean "
                              "'json'?"
                            : "--format '%s' is not known; there is 'json'",
                       show);
    }
    if (c->a.json && (!c->a.output || strcmp(c->a.output, "-") == 0))
        return bd_fail(&c->err, BD_EINVALID,
                       "--json needs -o FILE: standard output holds one "
                       "document");
    return bd_cli_save_check(c);
}

static int run(struct cli *c)
{
    struct bd_session_opts o = bd_cli_session_opts(&c->a);
    const char *path = c->a.output ? c->a.output : "-";
    struct bd_session *s = NULL;
    bd_status st = check(c);
    const char *line;
    size_t said = 0;
    int rc = 0;

    if (st == BD_OK)
        st = bd_cli_session(&s, c, &o);
    if (st == BD_OK) {
        said = bd_session_log(s, 0, &line);
        st = bd_session_export(s, path, c->a.force, &c->err);
        if (st == BD_EIO)
            c->status = 1;
        if (st != BD_OK)
            bd_err_file(&c->err, c->a.output ? path : c->a.file[0]);
    }
    if (st == BD_OK) /* remarks on what was read; not that it was written */
        bd_cli_say_log(s, said);
    if (st != BD_OK)
        rc = bd_cli_fail(c);
    else if (strcmp(path, "-") != 0)
        rc = say(c, path);
    bd_session_close(s);
    return rc;
}

const struct cli_verb bd_verb_export = {
    .name = "export",
    .summary = "Writes the configuration as a document.",
    .example = "bitdial export resnet20.onnx --weights apot:4 -o bits.json",
    .usage = "export MODEL [--config CFG | --weights ...] [-o FILE]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
