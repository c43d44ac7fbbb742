/* Configurations under names.
 *
 * Some names are always there and mean something that follows from the
 * session: "here" is the present configuration, "as opened" the one before
 * the first edit, "uniform 4" the same width everywhere.  Those are made
 * when asked for and never stored, so they cannot be out of date.  Behind
 * them come the ones a person kept, oldest first; these are stored whole. */
#include "session/compare_priv.h"

#include <stdio.h>
#include <string.h>

static const int uniform_bits[] = {2, 3, 4, 5, 6, 8};
enum {
    HERE, OPENED, FLOAT, UNIFORM,
    FIXED = UNIFORM + sizeof uniform_bits / sizeof *uniform_bits
};

/* The fixed ones count: a list of names is never empty. */
size_t bd_session_kept(struct bd_session *s)
{
    const struct bd_compare_state *c = bd_compare_state(s);
    return c ? FIXED + c->nkept : 0;
}

/* Names of the made ones are written into the state: the caller borrows them
 * until the next question, as the header says. */
static const char *name_at(struct bd_compare_state *c, size_t i)
{
    static const char *const names[] = {"here", "as opened", "float"};
    if (i >= FIXED)
        return c->kept[i - FIXED].name;
    if (i < UNIFORM)
        return names[i];
    snprintf(c->shown, sizeof c->shown, "uniform %d",
             uniform_bits[i - UNIFORM]);
    return c->shown;
}

/* -1: none.  The last of several equal ones cannot be: keep() replaces. */
static int find(struct bd_compare_state *c, const char *name)
{
    for (size_t i = 0; i < FIXED + c->nkept; i++)
        if (strcmp(name_at(c, i), name) == 0)
            return (int)i;
    return -1;
}

int bd_session_kept_find(struct bd_session *s, const char *name,
                         struct bd_err *err)
{
    struct bd_compare_state *c = bd_compare_state(s);
    const char *names[BD_KEPT_MOST + 4] = {"here", "as opened", "float"};
    char shown[96];
    int at = c ? find(c, name) : -1;
    if (at >= 0)
        return at;
    for (size_t i = 0; c && i < c->nkept; i++)
        names[3 + i] = c->kept[i].name;
    const char *near = bd_nearest(name, names);
    bd_text_show(shown, sizeof shown, name, 40);
    if (near)
        bd_fail(err, BD_EINVALID,
                "no configuration '%s'; did you mean '%s'?", shown, near);
    else
        bd_fail(err, BD_EINVALID,
                "no configuration '%s'; there are here, as opened, float, "
                "uniform 4 and what was kept", shown);
    return -1;
}

/* ----------------------------------------------------------- what they mean */

/* Weights alike everywhere, inputs as they are here: the difference to the
 * present configuration is then in the weights alone. */
static bd_status uniform(struct bd_bitcfg *out, const struct bd_session *s,
                         int bits, struct bd_err *err)
{
    char spec[40];
    snprintf(spec, sizeof spec, "uniform:%d:tensor:mse", bits);
    bd_status st = bd_bitcfg_copy(out, &s->cfg);
    if (st != BD_OK)
        return bd_fail(err, st, "out of memory");
    st = bd_config_all(out, true, spec, err);
    if (st != BD_OK)
        bd_bitcfg_done(out);
    return st;
}

/* Repairs change the network: what was before them stays comparable. */
static bd_status named_at(struct bd_named *out, struct bd_session *s,
                          size_t i, struct bd_err *err)
{
    struct bd_compare_state *c = bd_compare_state(s);
    bd_status st;
    out->stage = i == OPENED || i == FLOAT ? &s->base
                 : i >= FIXED              ? c->kept[i - FIXED].stage
                                           : s->at;
    if (i == HERE)
        st = bd_bitcfg_copy(&out->cfg, &s->cfg);
    else if (i == OPENED)
        st = bd_history_beginning(&out->cfg, &s->cfg, &s->history);
    else if (i == FLOAT)
        st = bd_bitcfg_init(&out->cfg, s->m->nlayers);
    else if (i < FIXED)
        return uniform(&out->cfg, s, uniform_bits[i - UNIFORM], err);
    else
        st = bd_bitcfg_copy(&out->cfg, &c->kept[i - FIXED].cfg);
    return st == BD_OK ? st : bd_fail(err, st, "out of memory");
}

/* Configuration and network together: a name without its network would show
 * numbers nobody measured. */
bd_status bd_named_find(struct bd_named *out, struct bd_session *s,
                        const char *name, struct bd_err *err)
{
    int at;
    if (!bd_compare_state(s))
        return bd_fail(err, BD_ENOMEM, "out of memory");
    at = bd_session_kept_find(s, name, err);
    return at < 0 ? BD_EINVALID : named_at(out, s, (size_t)at, err);
}

bd_status bd_session_kept_cfg(struct bd_bitcfg *out, struct bd_session *s,
                              const char *name, struct bd_err *err)
{
    struct bd_named n;
    bd_status st = bd_named_find(&n, s, name, err);
    if (st == BD_OK)
        *out = n.cfg;
    return st;
}

bool bd_session_kept_at(struct bd_kept_view *out, struct bd_session *s,
                        size_t i)
{
    struct bd_compare_state *c = bd_compare_state(s);
    struct bd_named n;
    struct bd_cost cost;
    if (!c || i >= FIXED + c->nkept || named_at(&n, s, i, NULL) != BD_OK)
        return false;
    bd_cost_of(&cost, n.stage->m, s->plan, &n.cfg);
    bd_bitcfg_done(&n.cfg);
    *out = (struct bd_kept_view){.name = name_at(c, i), .own = i >= FIXED,
                                 .avg_bits = cost.avg_bits_w,
                                 .size_bits = cost.size_bits};
    return true;
}

/* ---------------------------------------------------------- keep and forget */

/* "kept 1", "kept 2": the first that is free. */
static void free_name(char *out, size_t cap, struct bd_compare_state *c)
{
    for (int k = 1; k <= BD_KEPT_MOST + 1; k++) {
        snprintf(out, cap, "kept %d", k);
        if (find(c, out) < 0)
            return;
    }
}

/* A name is shown, typed and stored, so it is short and printable; the ones
 * that are always there cannot be taken, or "here" could come to mean
 * something else. */
static bd_status allow_name(struct bd_compare_state *c, const char *name,
                            struct bd_err *err)
{
    int at = find(c, name);
    if (!*name || strlen(name) >= BD_KEPT_NAME)
        return bd_fail(err, BD_EINVALID,
                       "a name of 1 to %d letters is needed",
                       BD_KEPT_NAME - 1);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            return bd_fail(err, BD_EINVALID,
                           "control characters cannot be part of a name");
    if (at >= 0 && at < FIXED)
        return bd_fail(err, BD_EINVALID,
                       "'%s' is always there and means something else; take "
                       "another name", name);
    if (at < 0 && c->nkept == BD_KEPT_MOST)
        return bd_fail(err, BD_EINVALID,
                       "%d configurations are kept already; :forget NAME "
                       "makes room", BD_KEPT_MOST);
    return BD_OK;
}

/* Everything that can fail comes before anything is changed. */
bd_status bd_session_keep(size_t *index, struct bd_session *s,
                          const char *name, const struct bd_bitcfg *cfg,
                          struct bd_err *err)
{
    struct bd_compare_state *c = bd_compare_state(s);
    char given[BD_KEPT_NAME];
    struct bd_bitcfg copy;
    if (!c)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    if (!name)
        free_name(given, sizeof given, c);
    bd_status st = allow_name(c, name ? name : given, err);
    if (st != BD_OK)
        return st;
    if (bd_bitcfg_copy(&copy, cfg ? cfg : &s->cfg) != BD_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    int at = find(c, name ? name : given);
    size_t k = at >= 0 ? (size_t)at - FIXED : c->nkept;
    if (!bd_grow((void **)&c->kept, &c->kept_cap, k + 1, sizeof *c->kept)) {
        bd_bitcfg_done(&copy);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    if (k < c->nkept)
        bd_bitcfg_done(&c->kept[k].cfg);
    else
        c->nkept++;
    c->kept[k].cfg = copy;
    c->kept[k].stage = s->at;
    snprintf(c->kept[k].name, BD_KEPT_NAME, "%s", name ? name : given);
    bd_persist_edited(s);
    if (index)
        *index = FIXED + k;
    return BD_OK;
}

bd_status bd_session_forget(struct bd_session *s, const char *name,
                            struct bd_err *err)
{
    struct bd_compare_state *c = bd_compare_state(s);
    int at = bd_session_kept_find(s, name, err);
    if (at < 0)
        return BD_EINVALID;
    if (at < FIXED)
        return bd_fail(err, BD_EINVALID,
                       "'%s' is always there; only what was kept can be "
                       "forgotten", name);
    size_t k = (size_t)at - FIXED;
    bd_bitcfg_done(&c->kept[k].cfg);
    c->nkept--;
    memmove(c->kept + k, c->kept + k + 1, (c->nkept - k) * sizeof *c->kept);
    bd_persist_edited(s);
    return BD_OK;
}
