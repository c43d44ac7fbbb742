/* Which repairs a configuration stands on: a list in the document, in the
 * order they were made.
 *
 *   "repairs": ["bn-fold",
 *     {"repair": "adaround", "layers": ["conv1"], "iterations": 1000,
 *      "seed": 0, "images": 64, "under": [...]}]
 *
 * `under` is the configuration at that moment, in the words of "layers": what
 * looked at a quantized network can only be made again with it.  Which
 * repairs exist is for those who make them to know. */
#include "config/config_priv.h"

#include <cjson/cJSON.h>
#include <string.h>

enum { MOST_ITERATIONS = 1000000 };

/* --------------------------------------------------------------- the notes */

void bd_repair_note_done(struct bd_repair_note *n)
{
    bd_free(n->name);
    bd_free(n->layer);
    bd_bitcfg_done(&n->under);
    *n = (struct bd_repair_note){0};
}

bd_status bd_repair_note_copy(struct bd_repair_note *to,
                              const struct bd_repair_note *from)
{
    struct bd_repair_note n = *from;
    n.name = bd_strdup(from->name);
    n.layer = bd_alloc(from->nlayers, sizeof *n.layer);
    n.under = (struct bd_bitcfg){0};
    bool good = n.name && n.layer;
    if (good && from->nlayers > 0)
        memcpy(n.layer, from->layer, from->nlayers * sizeof *n.layer);
    if (good && from->under.n > 0)
        good = bd_bitcfg_copy(&n.under, &from->under) == BD_OK;
    if (!good) {
        bd_repair_note_done(&n);
        return BD_ENOMEM;
    }
    *to = n;
    return BD_OK;
}

void bd_repair_notes_done(struct bd_repair_notes *l)
{
    for (size_t i = 0; i < l->n; i++)
        bd_repair_note_done(&l->note[i]);
    bd_free(l->note);
    *l = (struct bd_repair_notes){0};
}

/* ----------------------------------------------------------------- writing */

static bool plain(const struct bd_repair_note *n)
{
    return n->nlayers == 0 && !n->clip_safe && n->iterations == 0 &&
           n->images == 0 && n->under.n == 0;
}

static void put_note(struct bd_json *j, const struct bd_model *m,
                     const struct bd_repair_note *n)
{
    bd_json_obj(j, NULL);
    bd_json_str(j, "repair", n->name);
    if (n->nlayers > 0) {
        bd_json_arr_inline(j, "layers");
        for (size_t i = 0; i < n->nlayers; i++)
            bd_json_str(j, NULL, m->layer[n->layer[i]].name);
        bd_json_arr_end(j);
    }
    if (n->clip_safe)
        bd_json_bool(j, "clip_safe", true);
    if (n->iterations > 0)
        bd_json_int(j, "iterations", n->iterations);
    if (n->images > 0) {
        bd_json_int(j, "seed", (int64_t)n->seed);
        bd_json_int(j, "images", n->images);
    }
    if (n->under.n > 0)
        bd_cfgwrite_layers(j, m, "under", &n->under);
    bd_json_obj_end(j);
}

void bd_cfgwrite_repairs(struct bd_json *j, const struct bd_model *m,
                         const struct bd_repair_notes *l)
{
    if (!l || l->n == 0)
        return;
    bd_json_arr(j, "repairs");
    for (size_t i = 0; i < l->n; i++)
        if (plain(&l->note[i]))
            bd_json_str(j, NULL, l->note[i].name);
        else
            put_note(j, m, &l->note[i]);
    bd_json_arr_end(j);
}

/* ----------------------------------------------------------------- reading */

static bd_status take_name(struct bd_cfgread *r, struct bd_repair_note *n,
                           const char *name)
{
    if (!name || !*name)
        return bd_cfgread_refuse(r, "must name a repair");
    n->name = bd_strdup(name);
    return n->name ? BD_OK : bd_fail(r->err, BD_ENOMEM, "out of memory");
}

static bd_status read_names(struct bd_cfgread *r, struct bd_repair_note *n,
                            const cJSON *o)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "layers"), *e;
    char shown[256];
    if (!list)
        return BD_OK;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        return bd_cfgread_refuse(r, "layers must be a list of names");
    n->layer = bd_calloc((size_t)cJSON_GetArraySize(list), sizeof *n->layer);
    if (!n->layer)
        return bd_fail(r->err, BD_ENOMEM, "out of memory");
    cJSON_ArrayForEach(e, list)
    {
        const char *name = cJSON_IsString(e) ? e->valuestring : NULL;
        int layer = name ? bd_model_find_layer(r->m, name) : -1;
        if (layer < 0)
            return bd_cfgread_refuse(
                r, "layers: no layer '%s'",
                bd_text_show(shown, sizeof shown, name ? name : "", 0));
        n->layer[n->nlayers++] = layer;
    }
    return BD_OK;
}

static bd_status read_numbers(struct bd_cfgread *r, struct bd_repair_note *n,
                              const cJSON *o)
{
    int64_t seed = 0;
    bd_status st = bd_cfgread_bool(r, &n->clip_safe, o, "clip_safe");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &n->iterations, o, "iterations");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &seed, o, "seed");
    if (st == BD_OK)
        st = bd_cfgread_int(r, &n->images, o, "images");
    if (st == BD_OK && (n->iterations < 0 || seed < 0 || n->images < 0))
        st = bd_cfgread_refuse(r, "iterations, seed and images are 0 or "
                                  "more");
    /* A stranger's document shall not keep the machine busy for years. */
    if (st == BD_OK && n->iterations > MOST_ITERATIONS)
        st = bd_cfgread_refuse(r, "%lld iterations: at most %d",
                               (long long)n->iterations, MOST_ITERATIONS);
    n->seed = (uint64_t)seed;
    return st;
}

static bd_status read_under(struct bd_cfgread *r, struct bd_repair_note *n,
                            const cJSON *o)
{
    if (!cJSON_GetObjectItemCaseSensitive(o, "under"))
        return BD_OK;
    if (bd_bitcfg_init(&n->under, r->m->nlayers) != BD_OK)
        return bd_fail(r->err, BD_ENOMEM, "out of memory");
    return bd_cfgread_layers(r, &n->under, o, "under");
}

static bd_status read_note(struct bd_cfgread *r, struct bd_repair_note *n,
                           const cJSON *e)
{
    static const char *const known[] = {"repair", "layers", "clip_safe",
                                        "iterations", "seed", "images",
                                        "under", NULL};
    const char *name = NULL;
    if (cJSON_IsString(e))
        return take_name(r, n, e->valuestring);
    if (!cJSON_IsObject(e))
        return bd_cfgread_refuse(r, "must be a name or an object");
    bd_status st = bd_cfgread_string(r, &name, e, "repair");
    if (st == BD_OK)
        st = take_name(r, n, name);
    if (st == BD_OK)
        st = read_names(r, n, e);
    if (st == BD_OK)
        st = read_numbers(r, n, e);
    if (st == BD_OK)
        st = read_under(r, n, e);
    if (st == BD_OK)
        bd_cfgread_extra(r, e, known);
    return st;
}

bd_status bd_cfgread_repairs(struct bd_cfgread *r, struct bd_repair_notes *out,
                             const cJSON *root)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "repairs"), *e;
    bd_status st = BD_OK;
    if (!list)
        return BD_OK;
    if (!cJSON_IsArray(list))
        return bd_cfgread_refuse(r, "repairs: must be a list");
    out->note = bd_calloc((size_t)cJSON_GetArraySize(list),
                          sizeof *out->note);
    if (!out->note)
        return bd_fail(r->err, BD_ENOMEM, "out of memory");
    cJSON_ArrayForEach(e, list)
    {
        size_t mark = bd_cfgread_enter(r, "repairs[%zu]", out->n);
        st = read_note(r, &out->note[out->n++], e);
        bd_cfgread_leave(r, mark);
        if (st != BD_OK)
            break;
    }
    return st;
}
