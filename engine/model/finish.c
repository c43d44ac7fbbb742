/* From draft to model.  What passes here is immutable and needs no further
 * checks: every value a node reads exists, names are unique, nodes are in
 * topological order, constants are found at the node that uses them. */
#include "model/model_priv.h"

#include <string.h>

static bool known(const struct bd_tensor *t)
{
    return t->f || t->i;
}

/* ------------------------------------------------------------------ checks */

static bd_status check_sources(const struct bd_builder *b, struct bd_err *err)
{
    struct bd_shown o, p;
    bool *given = bd_calloc(b->nvalues, sizeof *given);
    bd_status s = BD_OK;
    if (!given)
        return bd_draft_nomem(err);
    for (size_t i = 0; i < b->input.n; i++)
        given[b->input.v[i]] = true;
    for (size_t v = 0; v < b->nvalues; v++)
        given[v] =
            given[v] || known(&b->value[v].t) || b->value[v].producer >= 0;
    for (size_t k = 0; s == BD_OK && k < b->nnodes; k++)
        for (int i = 0; s == BD_OK && i < b->node[k].nin; i++) {
            int v = b->node[k].in[i];
            if (v >= 0 && !given[v])
                s = bd_fail(err, BD_EFORMAT,
                            "node '%s' reads '%s', which no node makes and "
                            "the file does not hold",
                            bd_shown(&o, b->node[k].name),
                            bd_shown(&p, b->value[v].name));
        }
    for (size_t k = 0; s == BD_OK && k < b->output.n; k++)
        if (!given[b->output.v[k]])
            s = bd_fail(err, BD_EFORMAT, "output '%s' is made by no node",
                        bd_shown(&o, b->value[b->output.v[k]].name));
    bd_free(given);
    return s;
}

/* Nodes without a name get one from operator and position. */
static bd_status name_nodes(struct bd_builder *b, struct bd_err *err)
{
    struct bd_map names = {0};
    size_t doubled = 0;
    struct bd_shown first = {""};
    for (size_t k = 0; !b->failed && k < b->nnodes; k++) {
        struct bd_node *n = &b->node[k];
        struct bd_str s = {0};
        const char *want = n->name;
        if (!want[0]) {
            bd_str_printf(&s, "%s_%zu", n->op, k);
            want = s.failed ? NULL : bd_arena_strdup(&b->arena, s.s, s.n);
            bd_str_done(&s);
        }
        const char *got = want ? bd_map_unique(&names, &b->arena, want) : NULL;
        if (got && n->name[0] && got != want && doubled++ == 0)
            bd_shown(&first, n->name);
        n->name = got;
        b->failed = !got;
    }
    bd_map_done(&names);
    if (doubled)
        bd_draft_warn(b,
                      "%zu nodes bear a name that another has too, the "
                      "first '%s'; they were numbered",
                      doubled, first.s);
    return b->failed ? bd_draft_nomem(err) : BD_OK;
}

/* ------------------------------------------------------------------ counts */

static bool finite_all(const float *x, int64_t n)
{
    uint32_t bad = 0;
    for (int64_t k = 0; k < n; k++) {
        uint32_t bits;
        memcpy(&bits, &x[k], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

/* NaN and infinities are data: counted, shown, left out of ranges. */
static void warn_nonfinite(struct bd_builder *b)
{
    size_t count = 0;
    struct bd_shown first = {""};
    for (size_t v = 0; v < b->nvalues; v++) {
        const struct bd_tensor *t = &b->value[v].t;
        if (t->f && !finite_all(t->f, bd_tensor_count(t)) && count++ == 0)
            bd_shown(&first, b->value[v].name);
    }
    if (count)
        bd_draft_warn(b, "tensor '%s'%s NaN or infinite values", first.s,
                      count == 1 ? " holds" : " and others hold");
}

static bool statistic(const char *name)
{
    static const char *const tails[] = {"running_mean", "running_var",
                                        "num_batches_tracked", "_alpha"};
    return bd_name_ends(name, tails, sizeof tails / sizeof *tails);
}

static void mark_used(const struct bd_builder *b, bool *used)
{
    for (size_t k = 0; k < b->nnodes; k++) {
        const struct bd_node *n = &b->node[k];
        bool norm = strcmp(n->op, "BatchNormalization") == 0;
        for (int i = 0; i < n->nin; i++)
            if (n->in[i] >= 0 && !(norm && i >= 3))
                used[n->in[i]] = true;
    }
    for (size_t v = 0; b->nnodes == 0 && v < b->nvalues; v++)
        used[v] = !statistic(b->value[v].name);
}

/* Before folding, when the file's own tensors are still what nodes read. */
static bd_status count_params(int64_t *out, const struct bd_builder *b,
                              struct bd_err *err)
{
    bool *used = bd_calloc(b->nvalues, sizeof *used);
    if (!used)
        return bd_draft_nomem(err);
    mark_used(b, used);
    *out = 0;
    for (size_t v = 0; v < b->nvalues; v++)
        if (used[v] && b->value[v].initializer && b->value[v].t.f)
            *out += bd_tensor_count(&b->value[v].t);
    bd_free(used);
    return BD_OK;
}

/* --------------------------------------------------------------- the model */

static void *keep(struct bd_arena *a, const void *p, size_t n, size_t size,
                  bool *ok)
{
    void *q = bd_arena_alloc(a, n ? n : 1, size);
    if (!q)
        *ok = false;
    else if (n)
        memcpy(q, p, n * size);
    return q;
}

static bool fill(struct bd_model *m, struct bd_builder *b)
{
    bool ok = true;
    struct bd_arena *a = &b->arena;
    m->node = keep(a, b->node, b->nnodes, sizeof *b->node, &ok);
    m->value = keep(a, b->value, b->nvalues, sizeof *b->value, &ok);
    m->input = keep(a, b->input.v, b->input.n, sizeof(int), &ok);
    m->output = keep(a, b->output.v, b->output.n, sizeof(int), &ok);
    m->warning = keep(a, b->warnings.v, b->warnings.n, sizeof(char *), &ok);
    m->path = bd_arena_strdup(a, b->path, strlen(b->path));
    m->format = bd_arena_strdup(a, b->format, strlen(b->format));
    m->arch = bd_arena_strdup(a, b->arch, strlen(b->arch));
    m->nnodes = b->nnodes;
    m->nvalues = b->nvalues;
    m->ninputs = b->input.n;
    m->noutputs = b->output.n;
    m->nwarnings = b->warnings.n;
    m->opset = b->opset;
    m->file_size = b->map.size;
    m->digest =
        bd_digest(b->map.data ? (const void *)b->map.data : "", b->map.size, 0);
    return ok && m->path && m->format && m->arch;
}

static bd_status assemble(struct bd_model **out, struct bd_builder *b,
                          int64_t params, struct bd_err *err)
{
    struct bd_model *m = bd_calloc(1, sizeof *m);
    if (!m)
        return bd_draft_nomem(err);
    m->params = params;
    if (!fill(m, b)) {
        bd_free(m);
        return bd_draft_nomem(err);
    }
    m->arena = b->arena;
    m->map = b->map;
    b->arena = (struct bd_arena){0};
    b->map = (struct bd_file){0};
    bd_status s = bd_draft_layers(m, b, err);
    if (s != BD_OK) {
        bd_model_free(m);
        return s;
    }
    *out = m;
    return BD_OK;
}

bd_status bd_draft_finish(struct bd_model **out, struct bd_builder *b,
                          struct bd_err *err)
{
    int64_t params = 0;
    bd_status s = b->failed ? bd_draft_nomem(err) : BD_OK;
    if (s == BD_OK)
        s = name_nodes(b, err);
    if (s == BD_OK)
        s = check_sources(b, err);
    if (s == BD_OK)
        s = bd_draft_sort(b, err);
    if (s == BD_OK)
        s = count_params(&params, b, err);
    if (s == BD_OK) {
        warn_nonfinite(b);
        s = bd_draft_fold(b, err);
    }
    return s == BD_OK ? assemble(out, b, params, err) : s;
}
