/* Reading bitdial.config/1, strictly: a document is a file written by a
 * stranger, and a width that silently became another one would be a wrong
 * number on the screen.  Every refusal names the path of its key. */
#include "config/config_priv.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------- the path */

size_t bd_cfgread_enter(struct bd_cfgread *r, const char *fmt, ...)
{
    size_t mark = strlen(r->path);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->path + mark, sizeof r->path - mark, fmt, ap);
    va_end(ap);
    return mark;
}

void bd_cfgread_leave(struct bd_cfgread *r, size_t mark)
{
    r->path[mark] = '\0';
}

/* At the root the path is empty; below it starts with a dot to be dropped,
 * which "layers[3]" does not need. */
bd_status bd_cfgread_refuse(struct bd_cfgread *r, const char *fmt, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *path = r->path[0] == '.' ? r->path + 1 : r->path;
    return bd_fail(r->err, BD_EINVALID, "%s%s%s", path, *path ? ": " : "",
                   text);
}

void bd_cfgread_warn(struct bd_cfgread *r, const char *fmt, ...)
{
    if (!r->warn)
        return;
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *path = r->path[0] == '.' ? r->path + 1 : r->path;
    bd_str_printf(r->warn, "%s%s%s\n", path, *path ? ": " : "", text);
}

void bd_cfgread_extra(struct bd_cfgread *r, const cJSON *obj,
                      const char *const *known)
{
    const cJSON *e;
    char shown[256];
    cJSON_ArrayForEach(e, obj)
    {
        size_t k = 0;
        while (known[k] && strcmp(known[k], e->string) != 0)
            k++;
        if (!known[k])
            bd_cfgread_warn(r, "key '%s' is not known here and was left out",
                            bd_text_show(shown, sizeof shown, e->string, 0));
    }
}

/* ----------------------------------------------------------- typed members */

/* Case matters: cJSON's plain lookup would take "Bits" for "bits". */
static const cJSON *member(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

/* Refuses the member `key` of the place we are at. */
static bd_status wrong_type(struct bd_cfgread *r, const char *key,
                            const char *wanted)
{
    size_t mark = bd_cfgread_enter(r, ".%s", key);
    bd_status st = bd_cfgread_refuse(r, "must be %s", wanted);
    bd_cfgread_leave(r, mark);
    return st;
}

bd_status bd_cfgread_string(struct bd_cfgread *r, const char **out,
                            const cJSON *obj, const char *key)
{
    const cJSON *v = member(obj, key);
    if (!v)
        return BD_OK;
    if (!cJSON_IsString(v))
        return wrong_type(r, key, "a text");
    *out = v->valuestring;
    return BD_OK;
}

bd_status bd_cfgread_number(struct bd_cfgread *r, double *out,
                            const cJSON *obj, const char *key)
{
    const cJSON *v = member(obj, key);
    if (!v)
        return BD_OK;
    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        return wrong_type(r, key, "a finite number");
    *out = v->valuedouble;
    return BD_OK;
}

bd_status bd_cfgread_int(struct bd_cfgread *r, int64_t *out, const cJSON *obj,
                         const char *key)
{
    double v = 0;
    if (!member(obj, key))
        return BD_OK;
    bd_status st = bd_cfgread_number(r, &v, obj, key);
    if (st != BD_OK)
        return st;
    /* Beyond 2^53 a double no longer says which whole number was meant. */
    if (v != floor(v) || fabs(v) > 9007199254740992.0)
        return wrong_type(r, key, "a whole number");
    *out = (int64_t)v;
    return BD_OK;
}

bd_status bd_cfgread_bool(struct bd_cfgread *r, bool *out, const cJSON *obj,
                          const char *key)
{
    const cJSON *v = member(obj, key);
    if (!v)
        return BD_OK;
    if (!cJSON_IsBool(v))
        return wrong_type(r, key, "true or false");
    *out = cJSON_IsTrue(v) != 0;
    return BD_OK;
}

/* ----------------------------------------------------- around the layers */

static bd_status keep_string(struct bd_cfgread *r, char **out,
                             const cJSON *obj, const char *key)
{
    const char *s = NULL;
    bd_status st = bd_cfgread_string(r, &s, obj, key);
    if (st != BD_OK || !s)
        return st;
    *out = bd_strdup(s);
    return *out ? BD_OK : bd_fail(r->err, BD_ENOMEM, "out of memory");
}

/* The object under a key, stepped into, or NULL when absent. */
static bd_status section(struct bd_cfgread *r, const cJSON **out,
                         const cJSON *root, const char *key)
{
    *out = member(root, key);
    if (*out && !cJSON_IsObject(*out))
        return wrong_type(r, key, "an object");
    return BD_OK;
}

static bd_status read_model(struct bd_cfgread *r, struct bd_config_full *out,
                            const cJSON *root)
{
    static const char *const known[] = {"file", "digest", "layers", NULL};
    const cJSON *o;
    bd_status st = section(r, &o, root, "model");
    if (st != BD_OK || !o)
        return st;
    size_t mark = bd_cfgread_enter(r, ".model");
    const char *digest = NULL;
    int64_t layers = (int64_t)r->m->nlayers;
    char ours[32];
    snprintf(ours, sizeof ours, "xxh3:%016llx",
             (unsigned long long)r->m->digest);
    st = keep_string(r, &out->file, o, "file");
    if (st == BD_OK)
        st = bd_cfgread_string(r, &digest, o, "digest");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &layers, o, "layers");
    bd_cfgread_extra(r, o, known);
    if (st == BD_OK && digest && strcmp(digest, ours) != 0)
        bd_cfgread_warn(r, "written for another model; the layers' names "
                           "fit and are used");
    else if (st == BD_OK && layers != (int64_t)r->m->nlayers)
        bd_cfgread_warn(r, "says %lld layers, the model has %zu",
                        (long long)layers, r->m->nlayers);
    bd_cfgread_leave(r, mark);
    return st;
}

static bd_status read_metrics(struct bd_cfgread *r,
                              struct bd_config_metrics *out, const cJSON *root)
{
    static const char *const known[] = {"avg_bits_w", "size_bytes", "top1",
                                        "images", NULL};
    const cJSON *o;
    bd_status st = section(r, &o, root, "metrics");
    if (st != BD_OK || !o)
        return st;
    size_t mark = bd_cfgread_enter(r, ".metrics");
    st = bd_cfgread_number(r, &out->avg_bits_w, o, "avg_bits_w");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &out->size_bytes, o, "size_bytes");
    if (st == BD_OK)
        st = bd_cfgread_number(r, &out->top1, o, "top1");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &out->images, o, "images");
    bd_cfgread_extra(r, o, known);
    bd_cfgread_leave(r, mark);
    return st;
}

static bd_status read_provenance(struct bd_cfgread *r,
                                 struct bd_config_full *out, const cJSON *root)
{
    static const char *const known[] = {"program", "data", "seed", NULL};
    const cJSON *o;
    int64_t seed = 0;
    bd_status st = section(r, &o, root, "provenance");
    if (st != BD_OK || !o)
        return st;
    size_t mark = bd_cfgread_enter(r, ".provenance");
    st = keep_string(r, &out->program, o, "program");
    if (st == BD_OK)
        st = keep_string(r, &out->data, o, "data");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &seed, o, "seed");
    if (st == BD_OK && seed < 0)
        st = wrong_type(r, "seed", "0 or more");
    out->seed = (uint64_t)seed;
    bd_cfgread_extra(r, o, known);
    bd_cfgread_leave(r, mark);
    return st;
}

static bd_status read_session(struct bd_cfgread *r, struct bd_config_full *out,
                              const cJSON *root)
{
    static const char *const known[] = {"edits", NULL};
    const cJSON *o;
    bd_status st = section(r, &o, root, "session");
    if (st != BD_OK || !o)
        return st;
    size_t mark = bd_cfgread_enter(r, ".session");
    st = bd_cfgread_int(r, &out->edits, o, "edits");
    bd_cfgread_extra(r, o, known);
    bd_cfgread_leave(r, mark);
    return st;
}

/* -------------------------------------------------------------- the layers */

/* One sentence for all of them, naming the first. */
static void warn_missing(struct bd_cfgread *r, const int *seen)
{
    size_t missing = 0, first = 0;
    char shown[256];
    for (size_t i = r->m->nlayers; i-- > 0;)
        if (!seen[i]) {
            missing++;
            first = i;
        }
    if (missing > 0)
        bd_cfgread_warn(r, "%zu layer%s of the model, '%s' first, not in the "
                           "document and left in float", missing,
                        missing == 1 ? "" : "s",
                        bd_text_show(shown, sizeof shown,
                                     r->m->layer[first].name, 0));
}

/* cfg starts in float, so layers the document leaves out stay there; seen[]
 * finds those and the doubled ones. */
bd_status bd_cfgread_layers(struct bd_cfgread *r, struct bd_bitcfg *cfg,
                            const cJSON *root, const char *key)
{
    const cJSON *list = member(root, key), *e;
    if (!cJSON_IsArray(list))
        return wrong_type(r, key, "a list");
    int *seen = bd_calloc(cfg->n, sizeof *seen);
    if (!seen)
        return bd_fail(r->err, BD_ENOMEM, "out of memory");
    bd_status st = BD_OK;
    int number = 0;
    cJSON_ArrayForEach(e, list)
    {
        size_t mark = bd_cfgread_enter(r, "%s[%d]", key, number);
        st = bd_cfgread_layer(r, cfg, seen, e, number++);
        bd_cfgread_leave(r, mark);
        if (st != BD_OK)
            break;
    }
    if (st == BD_OK)
        warn_missing(r, seen);
    bd_free(seen);
    return st;
}

/* The first question: is this our kind of document at all? */
static bd_status check_schema(struct bd_cfgread *r, const cJSON *root)
{
    const char *schema = NULL;
    char shown[256];
    if (!cJSON_IsObject(root))
        return bd_cfgread_refuse(r, "the document must be an object");
    bd_status st = bd_cfgread_string(r, &schema, root, "schema");
    if (st != BD_OK)
        return st;
    if (!schema)
        return wrong_type(r, "schema", "\"bitdial.config/1\"");
    if (strcmp(schema, "bitdial.config/1") != 0)
        return bd_cfgread_refuse(
            r, "schema: '%s' is not 'bitdial.config/1'",
            bd_text_show(shown, sizeof shown, schema, 0));
    return BD_OK;
}

static bd_status read_root(struct bd_cfgread *r, struct bd_config_full *out,
                           const cJSON *root)
{
    static const char *const known[] = {"schema", "model", "layers",
                                        "metrics", "provenance", "session",
                                        "repairs", NULL};
    bd_status st = check_schema(r, root);
    if (st == BD_OK)
        st = bd_cfgread_layers(r, &out->cfg, root, "layers");
    if (st == BD_OK) /* after the layers: says that their names fit */
        st = read_model(r, out, root);
    if (st == BD_OK)
        st = read_metrics(r, &out->metrics, root);
    if (st == BD_OK)
        st = read_provenance(r, out, root);
    if (st == BD_OK)
        st = read_session(r, out, root);
    if (st == BD_OK)
        st = bd_cfgread_repairs(r, &out->repairs, root);
    if (st == BD_OK)
        bd_cfgread_extra(r, root, known);
    return st;
}

/* Built aside and moved out only when everything was right, so a refusal
 * leaves *out untouched. */
bd_status bd_config_read_full(struct bd_config_full *out,
                              const struct bd_model *m, struct bd_text text,
                              struct bd_str *warn, struct bd_err *err)
{
    struct bd_cfgread r = {.m = m, .warn = warn, .err = err};
    struct bd_config_full f = {.metrics = {NAN, NAN, -1, -1}};
    cJSON *root = NULL;
    bd_status st = bd_json_parse(&root, text.s, text.n, err);
    if (st == BD_OK && bd_bitcfg_init(&f.cfg, m->nlayers) != BD_OK)
        st = bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        st = read_root(&r, &f, root);
    cJSON_Delete(root);
    if (st == BD_OK)
        *out = f;
    else
        bd_config_full_done(&f);
    return st;
}

void bd_config_full_done(struct bd_config_full *f)
{
    bd_bitcfg_done(&f->cfg);
    bd_repair_notes_done(&f->repairs);
    bd_free(f->file);
    bd_free(f->program);
    bd_free(f->data);
    *f = (struct bd_config_full){0};
}

bd_status bd_config_read(struct bd_bitcfg *out, const struct bd_model *m,
                         struct bd_text text, struct bd_str *warn,
                         struct bd_err *err)
{
    struct bd_config_full f;
    bd_status st = bd_config_read_full(&f, m, text, warn, err);
    if (st != BD_OK)
        return st;
    if (warn && f.repairs.n > 0)
        bd_str_printf(warn, "repairs: made for a repaired network; only the "
                            "choices are read here\n");
    *out = f.cfg;
    f.cfg = (struct bd_bitcfg){0};
    bd_config_full_done(&f);
    return BD_OK;
}
