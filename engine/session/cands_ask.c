/* What a table of candidates is gathered for. */
#include "session/search_priv.h"

#include <stdio.h>
#include <string.h>

void bd_cands_ask_done(struct bd_cands_ask *a)
{
    bd_bitcfg_done(&a->cfg);
    bd_sens_done(&a->sens);
}

bd_status bd_cands_ask_init(struct bd_cands_ask *a, struct bd_session *s,
                            const struct bd_search_opts *o)
{
    const struct bd_sens_table *sens = o->sens ? o->sens : bd_session_sens(s);
    *a = (struct bd_cands_ask){.m = s->m, .fits = s->fits, .pool = s->pool,
                               .nbits = o->nbits};
    for (int k = 0; k < o->nbits && k < 16; k++)
        a->bits[k] = o->bits[k];
    if (a->nbits <= 0)
        for (a->nbits = 0; a->nbits < 7; a->nbits++)
            a->bits[a->nbits] = a->nbits + 2;
    a->bench = s->bench;
    a->inputs = (o->what & BD_SENS_A) && s->bench;
    if (o->methods)
        snprintf(a->methods, sizeof a->methods, "%s", o->methods);
    bd_status st = bd_bitcfg_copy(&a->cfg, &s->cfg);
    if (st == BD_OK && sens)
        st = bd_sens_copy(&a->sens, sens);
    return st;
}

static uint64_t form_digest(uint64_t d, const struct bd_tensorcfg *of)
{
    struct bd_tensorcfg t = *of;
    t.channel = NULL;
    t.planes = NULL;
    t.bits = t.bits == 32 ? 32 : 8;
    uint64_t v[2] = {d, bd_tensorcfg_digest(&t)};
    return bd_digest(v, sizeof v, 0);
}

/* Of all that determines a table: the forms depend on what layers have, but
 * not on their widths.  salt: of the network, which a repair changes. */
uint64_t bd_cands_ask_digest(const struct bd_cands_ask *a, uint64_t salt)
{
    uint64_t d = bd_digest(a->bits, sizeof a->bits, (uint64_t)a->nbits);
    d = bd_digest(a->methods, strlen(a->methods), d);
    for (size_t i = 0; i < a->cfg.n && !a->methods[0]; i++)
        d = form_digest(d, &a->cfg.layer[i].w);
    for (size_t i = 0; i < a->cfg.n && a->inputs; i++)
        d = form_digest(d, &a->cfg.layer[i].a);
    uint64_t v[3] = {d + salt + a->inputs, a->sens.n,
                     (uint64_t)a->sens.evaluations};
    for (size_t i = 0; i < a->sens.n; i++)
        v[2] = bd_digest(a->sens.point[i].value,
                         sizeof a->sens.point[i].value, v[2]);
    return bd_digest(v, sizeof v, 0) | 1;
}
