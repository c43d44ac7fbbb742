/* MODEL.bitdial.json: the options a model wants when none are given.  Its
 * "input" object has the keys of a --preprocess list and is handed on as such
 * a list, so that one parser (data/) knows their meaning. */
#include "model/model_priv.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDECAR = 1 << 20 };

/* "resnet.onnx" -> "resnet.onnx.bitdial.json", or with `bare`
 * "resnet.bitdial.json". */
static bool sidecar_path(struct bd_str *out, const char *model, bool bare)
{
    const char *slash = strrchr(model, '/'), *dot = strrchr(model, '.');
    size_t n = strlen(model);
    if (bare && dot && (!slash || dot > slash + 1))
        n = (size_t)(dot - model);
    out->n = 0;
    bd_str_put(out, model, n);
    bd_str_puts(out, ".bitdial.json");
    return !out->failed;
}

/* ----------------------------------------------------------- preprocessing */

/* The shortest text that reads back to the same number. */
static void put_number(struct bd_str *b, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    bd_str_puts(b, text);
}

/* A number, a text like "1/255", or a list of either joined by colons. */
static bool put_value(struct bd_str *b, const cJSON *v)
{
    if (cJSON_IsNumber(v)) {
        put_number(b, v->valuedouble);
        return true;
    }
    if (cJSON_IsString(v)) {
        bd_str_puts(b, v->valuestring);
        return strpbrk(v->valuestring, ",=") == NULL;
    }
    if (!cJSON_IsArray(v) || !v->child)
        return false;
    for (const cJSON *e = v->child; e; e = e->next) {
        if (!cJSON_IsNumber(e) && !cJSON_IsString(e))
            return false;
        if (e != v->child)
            bd_str_puts(b, ":");
        if (!put_value(b, e))
            return false;
    }
    return true;
}

static bd_status read_input(const char **out, struct bd_arena *a,
                            const cJSON *input, struct bd_err *err)
{
    struct bd_str b = {0};
    struct bd_shown o;
    bd_status s = BD_OK;
    if (!cJSON_IsObject(input))
        return bd_fail(err, BD_EFORMAT, "input is not an object");
    const cJSON *preset = cJSON_GetObjectItemCaseSensitive(input, "preset");
    for (const cJSON *k = input->child; s == BD_OK && k; k = k->next) {
        bool only = preset && k->next == NULL && input->child == k;
        if (preset && !only)
            s = bd_fail(err, BD_EFORMAT,
                        "input.preset stands alone or not at all");
        if (!preset) {
            bd_str_puts(&b, b.n ? "," : "");
            bd_str_puts(&b, k->string);
            bd_str_puts(&b, "=");
        }
        if (s == BD_OK && !put_value(&b, k))
            s = bd_fail(err, BD_EFORMAT,
                        "input.%s is neither a number, a text nor a list",
                        bd_shown(&o, k->string));
    }
    if (s == BD_OK && b.n) {
        *out = b.failed ? NULL : bd_arena_strdup(a, b.s, b.n);
        s = *out ? BD_OK : bd_draft_nomem(err);
    }
    bd_str_done(&b);
    return s;
}

/* -------------------------------------------------------------------- texts */

/* Paths are relative to the model's folder; "synth:..." is no path. */
static const char *beside(struct bd_arena *a, const char *model,
                          const char *text)
{
    const char *slash = strrchr(model, '/');
    bool plain = text[0] == '/' || strncmp(text, "synth:", 6) == 0 || !slash;
    struct bd_str b = {0};
    bd_str_put(&b, model, plain ? 0 : (size_t)(slash - model) + 1);
    bd_str_puts(&b, text);
    const char *p = b.failed ? NULL : bd_arena_strdup(a, b.s ? b.s : "", b.n);
    bd_str_done(&b);
    return p;
}

static bd_status read_text(const char **out, struct bd_arena *a,
                           const cJSON *root, const char *key,
                           struct bd_err *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!v)
        return BD_OK;
    if (!cJSON_IsString(v) || !v->valuestring[0])
        return bd_fail(err, BD_EFORMAT, "%s is not a text", key);
    *out = bd_arena_strdup(a, v->valuestring, strlen(v->valuestring));
    return *out ? BD_OK : bd_draft_nomem(err);
}

static bd_status read_path(const char **out, struct bd_arena *a,
                           const char *model, struct bd_err *err)
{
    if (!*out)
        return BD_OK;
    *out = beside(a, model, *out);
    return *out ? BD_OK : bd_draft_nomem(err);
}

static bd_status read_root(struct bd_sidecar *out, struct bd_arena *a,
                           const char *model, const cJSON *root,
                           struct bd_err *err)
{
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(root, "schema");
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(root, "input");
    if (!cJSON_IsObject(root) || !cJSON_IsString(schema) ||
        strcmp(schema->valuestring, "bitdial.model/1") != 0)
        return bd_fail(err, BD_EFORMAT,
                       "its schema is not \"bitdial.model/1\"");
    bd_status s = input ? read_input(&out->preprocess, a, input, err) : BD_OK;
    if (s == BD_OK)
        s = read_text(&out->labels, a, root, "labels", err);
    if (s == BD_OK)
        s = read_text(&out->arch, a, root, "arch", err);
    if (s == BD_OK)
        s = read_text(&out->data, a, root, "data", err);
    if (s == BD_OK)
        s = read_path(&out->labels, a, model, err);
    return s == BD_OK ? read_path(&out->data, a, model, err) : s;
}

static bd_status read_file(struct bd_sidecar *out, struct bd_arena *a,
                           const char *model, const char *path,
                           struct bd_err *err)
{
    char *text = NULL;
    size_t n = 0;
    cJSON *root = NULL;
    struct bd_sidecar got = {0};
    bd_status s = bd_file_read(&text, &n, path, MAX_SIDECAR, err);
    if (s == BD_OK)
        s = bd_json_parse(&root, text, n, err);
    if (s == BD_OK)
        s = read_root(&got, a, model, root, err);
    if (s == BD_OK)
        *out = got;
    else
        bd_err_file(err, path);
    cJSON_Delete(root);
    bd_free(text);
    return s;
}

bd_status bd_sidecar_load(struct bd_sidecar *out, struct bd_arena *a,
                          const char *model_path, struct bd_err *err)
{
    struct bd_str path = {0};
    bd_status s = BD_OK;
    *out = (struct bd_sidecar){0};
    for (int bare = 0; bare < 2; bare++) {
        if (!sidecar_path(&path, model_path, bare)) {
            s = bd_draft_nomem(err);
            break;
        }
        if (bd_file_exists(path.s)) {
            s = read_file(out, a, model_path, path.s, err);
            break;
        }
    }
    bd_str_done(&path);
    return s;
}
