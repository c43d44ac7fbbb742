/* How every verb opens its session. */
#include "cli/cli_priv.h"

#include <math.h>

static int64_t nonfinite(const struct bd_tensor *t)
{
    int64_t n = bd_tensor_count(t), bad = 0;

    for (int64_t i = 0; t->f && i < n; i++)
        bad += !isfinite(t->f[i]);
    return bad;
}

static bd_status check_weights(const struct bd_model *m, struct bd_err *err)
{
    char name[96];

    for (size_t k = 0; k < m->nlayers; k++) {
        const struct bd_value *v = &m->value[m->layer[k].weight];
        int64_t bad = nonfinite(&v->t);

        if (bad == 0)
            continue;
        return bd_fail(err, BD_EFORMAT,
                       "tensor '%s': %lld of %lld weights are NaN or "
                       "infinite (bitdial info counts them per layer)",
                       bd_text_show(name, sizeof name, v->name, 0),
                       (long long)bad, (long long)bd_tensor_count(&v->t));
    }
    return BD_OK;
}

/* The interface opens a model whose sidecar is broken and says so in its log;
 * a verb's one answer would silently be that of other defaults. */
static bd_status check_sidecar(const char *model, struct bd_err *err)
{
    struct bd_arena arena = {0};
    struct bd_sidecar side;
    bd_status st = bd_sidecar_load(&side, &arena, model, err);

    bd_arena_done(&arena);
    return st;
}

bd_status bd_cli_session(struct bd_session **out, struct cli *c,
                         const struct bd_session_opts *o)
{
    struct bd_session *s = NULL;
    bd_status st = check_sidecar(o->model, &c->err);

    if (st == BD_OK)
        st = bd_session_open(&s, o, &c->err);
    if (st != BD_OK)
        return st;
    st = check_weights(bd_session_model(s), &c->err);
    if (st != BD_OK) {
        bd_session_close(s);
        return bd_err_file(&c->err, o->model);
    }
    *out = s;
    return BD_OK;
}
