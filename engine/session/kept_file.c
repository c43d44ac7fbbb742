/* The configurations a person kept, in the session file:
 *
 *   "kept": [["NAME", CHOICE, CHOICE, ...], ...]
 *
 * one CHOICE (steps.c) per layer.  They are names, not edits: they are there
 * again whether the session is resumed or not. */
#include "session/compare_priv.h"

#include <cjson/cJSON.h>
#include <string.h>

enum { MOST_CHOICES = 200000 }; /* written: some ten megabytes */

static void put_one(struct bd_json *j, const struct bd_kept *k)
{
    bd_json_arr(j, NULL);
    bd_json_str(j, NULL, k->name);
    for (size_t i = 0; i < k->cfg.n; i++)
        bd_choice_write(j, &k->cfg.layer[i]);
    bd_json_arr_end(j);
}

/* Without memory the document stays as it was: still a good session. */
void bd_kept_write(struct bd_str *doc, const struct bd_session *s)
{
    const struct bd_compare_state *c = bd_tool_peek(s, BD_TOOL_COMPARE);
    size_t n = doc->n, most = MOST_CHOICES / (s->m->nlayers + 1);
    struct bd_json j = {0};
    struct bd_str all = {0};
    while (n > 0 && doc->s[n - 1] != '}')
        n--;
    if (!c || c->nkept == 0 || n < 2 || doc->s[n - 2] != '\n')
        return;
    bd_json_arr(&j, NULL);
    for (size_t i = c->nkept > most ? c->nkept - most : 0; i < c->nkept; i++)
        if (c->kept[i].stage == &s->base)
            put_one(&j, &c->kept[i]);
    bd_json_arr_end(&j);
    bd_str_put(&all, doc->s, n - 2);
    bd_str_puts(&all, ",\n  \"kept\": ");
    bd_str_put(&all, j.out.s, j.out.n);
    bd_str_puts(&all, "\n}\n");
    if (all.failed || j.out.failed) {
        bd_str_done(&all);
    } else {
        bd_str_done(doc);
        *doc = all;
    }
    bd_json_done(&j);
}

/* As strict as the undo list: a choice that could not have been made here is
 * refused, and with it the whole entry. */
static bd_status read_one(struct bd_session *s, const cJSON *item,
                          struct bd_err *err)
{
    struct bd_bitcfg cfg;
    const cJSON *at = item->child;
    const char *name = at ? cJSON_GetStringValue(at) : NULL;
    if (!cJSON_IsArray(item) || !name ||
        (size_t)cJSON_GetArraySize(item) != s->m->nlayers + 1)
        return bd_fail(err, BD_EFORMAT, "one that cannot be read");
    if (bd_bitcfg_init(&cfg, s->m->nlayers) != BD_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = BD_OK;
    for (size_t i = 0; i < cfg.n && st == BD_OK; i++) {
        at = at->next;
        bd_layercfg_done(&cfg.layer[i]);
        cfg.layer[i] = (struct bd_layercfg){0};
        st = bd_choice_read(&cfg.layer[i], s->m, (int)i,
                            cJSON_GetStringValue(at), err);
    }
    if (st == BD_OK)
        st = bd_session_keep(NULL, s, name, &cfg, err);
    bd_bitcfg_done(&cfg);
    return st;
}

/* Good ones in front of a bad one stay. */
bd_status bd_kept_read(struct bd_session *s, struct bd_text doc,
                       struct bd_err *err)
{
    cJSON *root = NULL;
    const cJSON *item;
    bd_status st = bd_json_parse(&root, doc.s, doc.n, err);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "kept"))
        if (st == BD_OK)
            st = read_one(s, item, err);
    cJSON_Delete(root);
    s->dirty = false; /* nothing new was kept */
    return st;
}
