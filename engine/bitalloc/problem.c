/* Reading bitdial.problem/1.  A stranger's file: everything is checked before
 * it is used, and refusals begin with the path of the key. */
#include "bitalloc_priv.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char schema[] = "bitdial.problem/1";
static const char out_of_memory[] = "out of memory for the problem";

struct reading {
    struct bd_alloc_file *f;
    struct bd_alloc_layer *layer; /* [f->p.n] */
    struct bd_err *err;
    char path[96];
};

static bd_status refuse(struct reading *r, const char *key, const char *want)
{
    return bd_fail(r->err, BD_EFORMAT, "%s%s%s%s%s", r->path,
                   r->path[0] && key[0] ? "." : "", key,
                   r->path[0] || key[0] ? ": " : "", want);
}

/* ------------------------------------------------------- typed members */

static bd_status read_number(double *out, struct reading *r, const cJSON *o,
                             const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        return refuse(r, key, "must be a finite number");
    *out = v->valuedouble;
    return BD_OK;
}

static bd_status read_cost(double *out, struct reading *r, const cJSON *o,
                           const char *key)
{
    bd_status st = read_number(out, r, o, key);

    return st == BD_OK && *out < 0 ? refuse(r, key, "must be 0 or more") : st;
}

static bd_status read_bits(int *out, struct reading *r, const cJSON *o,
                           const char *key)
{
    double v = 0;
    bd_status st = read_number(&v, r, o, key);

    if (st != BD_OK)
        return st;
    if (v != floor(v) || v < 0 || v > 32)
        return refuse(r, key, "must be a whole number from 0 to 32");
    *out = (int)v;
    return BD_OK;
}

/* Absent is "". */
static bd_status read_text(const char **out, struct reading *r,
                           const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    *out = "";
    if (!v)
        return BD_OK;
    if (!cJSON_IsString(v) || strlen(v->valuestring) > BD_MAX_NAME)
        return refuse(r, key, "must be a text");
    *out = bd_arena_strdup(&r->f->arena, v->valuestring,
                           strlen(v->valuestring));
    return *out ? BD_OK : bd_fail(r->err, BD_ENOMEM, out_of_memory);
}

static bd_status read_array(const cJSON **out, int *n, struct reading *r,
                            const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!cJSON_IsArray(v))
        return refuse(r, key, "must be a list");
    *out = v;
    *n = cJSON_GetArraySize(v);
    return BD_OK;
}

/* -------------------------------------------------------------- layers */

static bd_status read_options(struct bd_alloc_layer *l, struct reading *r,
                              const cJSON *obj)
{
    const cJSON *list, *item;
    struct bd_alloc_option *o;
    size_t mark = strlen(r->path);
    int n = 0;
    bd_status st = read_array(&list, &n, r, obj, "options");

    if (st != BD_OK)
        return st;
    if (n < 1 || n > BD_ALLOC_OPTIONS)
        return refuse(r, "options", "must hold 1 to 64 options");
    o = bd_arena_alloc(&r->f->arena, (size_t)n, sizeof *o);
    if (!o)
        return bd_fail(r->err, BD_ENOMEM, out_of_memory);
    l->option = o;
    cJSON_ArrayForEach(item, list)
    {
        struct bd_alloc_option *to = &o[l->n++];

        snprintf(r->path + mark, sizeof r->path - mark, ".options[%zu]",
                 l->n - 1);
        st = cJSON_IsObject(item) ? read_bits(&to->bits, r, item, "bits")
                                  : refuse(r, "", "must be an object");
        if (st == BD_OK)
            st = read_cost(&to->cost, r, item, "cost");
        if (st == BD_OK)
            st = read_number(&to->loss, r, item, "loss");
        if (st == BD_OK && to > o && to->bits <= to[-1].bits)
            st = refuse(r, "bits", "must rise from option to option");
        if (st != BD_OK)
            return st;
    }
    r->path[mark] = '\0';
    return BD_OK;
}

/* "locked": the only width allowed. */
static bd_status read_lock(struct bd_alloc_layer *l, struct reading *r,
                           const cJSON *obj)
{
    int bits;
    bd_status st;

    l->locked = -1;
    if (!cJSON_GetObjectItemCaseSensitive(obj, "locked"))
        return BD_OK;
    st = read_bits(&bits, r, obj, "locked");
    for (size_t k = 0; st == BD_OK && k < l->n; k++)
        if (l->option[k].bits == bits)
            l->locked = (int)k;
    if (st == BD_OK && l->locked < 0)
        st = refuse(r, "locked", "must be the width of an option");
    return st;
}

static int find_layer(const struct reading *r, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(r->layer[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bd_status read_layer(struct reading *r, size_t i, const cJSON *obj)
{
    struct bd_alloc_layer *l = &r->layer[i];
    bd_status st;

    snprintf(r->path, sizeof r->path, "layers[%zu]", i);
    if (!cJSON_IsObject(obj))
        return refuse(r, "", "must be an object");
    st = read_text(&l->name, r, obj, "name");
    if (st == BD_OK && !l->name[0])
        return refuse(r, "name", "must be a text");
    if (st == BD_OK && find_layer(r, i, l->name) >= 0)
        return refuse(r, "name", "is taken by a layer before");
    l->tie = -1;
    if (st == BD_OK)
        st = read_options(l, r, obj);
    if (st == BD_OK)
        st = read_lock(l, r, obj);
    r->path[0] = '\0';
    return st;
}

static bd_status read_layers(struct reading *r, const cJSON *root)
{
    const cJSON *list, *item;
    int n = 0;
    size_t i = 0;
    bd_status st = read_array(&list, &n, r, root, "layers");

    if (st != BD_OK)
        return st;
    if (n < 1 || n > BD_ALLOC_LAYERS)
        return refuse(r, "layers", "must hold 1 to 4096 layers");
    r->layer = bd_arena_alloc(&r->f->arena, (size_t)n, sizeof *r->layer);
    if (!r->layer)
        return bd_fail(r->err, BD_ENOMEM, out_of_memory);
    cJSON_ArrayForEach(item, list)
        if ((st = read_layer(r, i++, item)) != BD_OK)
            return st;
    r->f->p.layer = r->layer;
    r->f->p.n = (size_t)n;
    return BD_OK;
}

/* ---------------------------------------------------------------- ties */

static bd_status read_tie(struct reading *r, const cJSON *list, int tie)
{
    const cJSON *name;
    int k;

    snprintf(r->path, sizeof r->path, "tied[%d]", tie);
    if (!cJSON_IsArray(list))
        return refuse(r, "", "must be a list of names");
    cJSON_ArrayForEach(name, list)
    {
        if (!cJSON_IsString(name))
            return refuse(r, "", "must be a list of names");
        k = find_layer(r, r->f->p.n, name->valuestring);
        if (k < 0)
            return refuse(r, "", "names a layer that is not there");
        if (r->layer[k].tie >= 0)
            return refuse(r, "", "names a layer that is tied already");
        r->layer[k].tie = tie;
    }
    r->path[0] = '\0';
    return BD_OK;
}

static bd_status read_root(struct reading *r, const cJSON *root)
{
    const cJSON *tied, *item;
    const char *is;
    int tie = 0;
    bd_status st;

    if (!cJSON_IsObject(root))
        return refuse(r, "", "the document must be an object");
    st = read_text(&is, r, root, "schema");
    if (st == BD_OK && strcmp(is, schema) != 0)
        st = refuse(r, "schema", "must be bitdial.problem/1");
    if (st == BD_OK)
        st = read_text(&r->f->title, r, root, "title");
    if (st == BD_OK)
        st = read_text(&r->f->cost_unit, r, root, "cost_unit");
    if (st == BD_OK)
        st = read_cost(&r->f->p.budget, r, root, "budget");
    if (st == BD_OK)
        st = read_layers(r, root);
    tied = cJSON_GetObjectItemCaseSensitive(root, "tied");
    if (st == BD_OK && tied && !cJSON_IsArray(tied))
        st = refuse(r, "tied", "must be a list");
    cJSON_ArrayForEach(item, tied)
        if (st == BD_OK)
            st = read_tie(r, item, tie++);
    return st;
}

bd_status bd_alloc_file_read(struct bd_alloc_file *out, const char *text,
                             size_t n, struct bd_err *err)
{
    struct bd_alloc_file f = {.title = "", .cost_unit = ""};
    struct reading r = {.f = &f, .err = err};
    cJSON *root = NULL;
    bd_status st = bd_json_parse(&root, text, n, err);

    if (st == BD_OK)
        st = read_root(&r, root);
    cJSON_Delete(root);
    if (st == BD_OK)
        *out = f;
    else
        bd_arena_done(&f.arena);
    return st;
}

void bd_alloc_file_done(struct bd_alloc_file *f)
{
    bd_arena_done(&f->arena);
    *f = (struct bd_alloc_file){0};
}
