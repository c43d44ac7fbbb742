/* What a request says: parts that do not go together, layers that are locked,
 * layers that are tied. */
#include "session/search_priv.h"

#include <stdio.h>
#include <string.h>

bd_status bd_search_check(const struct bd_search_opts *o, struct bd_err *err)
{
    if (o->methods && strlen(o->methods) >= 250)
        return bd_fail(err, BD_EINVALID, "the list of methods is too long");
    if (!(o->what & BD_SENS_A))
        return BD_OK;
    if (o->method == BD_SEARCH_CHANNEL || o->method == BD_SEARCH_MEASURED)
        return bd_fail(err, BD_EINVALID,
                       "'%s' %s; dp chooses inputs too",
                       bd_search_names[o->method],
                       o->method == BD_SEARCH_CHANNEL
                           ? "gives widths to channels of weights"
                           : "moves the widths of weights");
    if (o->budget == BD_BUDGET_SIZE && o->what == BD_SENS_A)
        return bd_fail(err, BD_EINVALID,
                       "'size' counts weights, and inputs alone are to be "
                       "chosen; avg-bits (of inputs) or bops works");
    return BD_OK;
}

bool bd_search_locked(const struct bd_search_ask *a, size_t layer)
{
    const char *const *g = a->o->lock;
    if (a->cfg->layer[layer].locked)
        return true;
    for (; g && *g; g++)
        if (bd_glob(*g, a->m->layer[layer].name))
            return true;
    return false;
}

bd_status bd_search_locks(const struct bd_search_ask *a, struct bd_err *err)
{
    char shown[128];
    for (const char *const *g = a->o->lock; g && *g; g++) {
        size_t i = 0;
        while (i < a->m->nlayers && !bd_glob(*g, a->m->layer[i].name))
            i++;
        if (i == a->m->nlayers)
            return bd_fail(err, BD_EINVALID, "lock '%s': no layer matches",
                           bd_text_show(shown, sizeof shown, *g, 40));
    }
    return BD_OK;
}

bd_status bd_search_no_ties(const struct bd_search_opts *o,
                            struct bd_err *err)
{
    if (!o->tie && !o->tie_outputs)
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "'%s' moves layers one by one: dp keeps ties",
                   bd_search_names[o->method]);
}

/* A locked layer's form may be one its partners cannot take, so a tie that
 * was asked for in words is kept whole or refused, never half. */
static bd_status tie_unlocked(const struct bd_search_ask *a, const char *left,
                              const char *right, struct bd_err *err)
{
    size_t locked = a->m->nlayers, open = locked;
    char shown[96], other[96];
    for (size_t i = 0; i < a->m->nlayers; i++) {
        const char *name = a->m->layer[i].name;
        if (!bd_glob(left, name) && !bd_glob(right, name))
            continue;
        if (bd_search_locked(a, i))
            locked = i;
        else
            open = i;
    }
    if (locked == a->m->nlayers || open == a->m->nlayers)
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "tied layer '%s' is locked, '%s' is not; lock both or "
                   "leave the tie out",
                   bd_text_show(shown, sizeof shown, a->m->layer[locked].name,
                                40),
                   bd_text_show(other, sizeof other, a->m->layer[open].name,
                                40));
}

/* All layers of either side of "A=B" are one group. */
static bd_status tie_words(int *tie, const struct bd_search_ask *a,
                           const char *word, struct bd_err *err)
{
    const char *eq = strchr(word, '=');
    char left[300], shown[128];
    int group = (int)a->m->nlayers, hits[2] = {0, 0};
    bd_text_show(shown, sizeof shown, word, 40);
    if (!eq || (size_t)(eq - word) >= sizeof left)
        return bd_fail(err, BD_EINVALID, "tie '%s': write LAYER=LAYER", shown);
    snprintf(left, sizeof left, "%.*s", (int)(eq - word), word);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < a->m->nlayers; i++) {
            const char *name = a->m->layer[i].name;
            bool l = bd_glob(left, name), r = bd_glob(eq + 1, name);
            if (!l && !r)
                continue;
            hits[0] += l;
            hits[1] += r;
            if (pass == 0 && tie[i] >= 0 && tie[i] < group)
                group = tie[i];
            int old = tie[i];
            tie[i] = pass == 1 ? group : tie[i];
            for (size_t k = 0; pass == 1 && old >= 0 && k < a->m->nlayers; k++)
                if (tie[k] == old)
                    tie[k] = group;
        }
    if (!hits[0] || !hits[1])
        return bd_fail(err, BD_EINVALID, "tie '%s': no layer has %s name",
                       shown, hits[0] ? "the second" : "the first");
    if (group == (int)a->m->nlayers) { /* a new one */
        int next = 0;
        for (size_t i = 0; i < a->m->nlayers; i++)
            next = tie[i] >= next && tie[i] < group ? tie[i] + 1 : next;
        for (size_t i = 0; i < a->m->nlayers; i++)
            tie[i] = tie[i] == group ? next : tie[i];
    }
    return tie_unlocked(a, left, eq + 1, err);
}

bd_status bd_search_ties(int *tie, const struct bd_search_ask *a, bool inputs,
                         struct bd_err *err)
{
    bd_status st = BD_OK;
    for (size_t i = 0; i < a->m->nlayers; i++)
        tie[i] = -1;
    if (inputs || a->o->tie_outputs)
        st = bd_session_ties(tie, a->m, !inputs, err);
    for (const char *const *t = a->o->tie; st == BD_OK && t && *t; t++)
        st = tie_words(tie, a, *t, err);
    return st;
}
