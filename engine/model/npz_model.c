/* Tensors without a graph (.npz, .npy).  Every array becomes a constant; then
 * the architecture named, or the one whose names and shapes fit exactly,
 * puts a graph around them.  If none fits, the weights alone are a model too:
 * everything but accuracy can be had. */
#include "model/arch.h"

#include <string.h>

bool bd_npz_probe(const struct bd_file *f)
{
    return (f->size >= 6 && memcmp(f->data, "\x93NUMPY", 6) == 0) ||
           (f->size >= 4 && (memcmp(f->data, "PK\3\4", 4) == 0 ||
                             memcmp(f->data, "PK\5\6", 4) == 0));
}

/* Saved from data-parallel training, every name begins with "module.". */
static size_t common_prefix(const struct bd_npz_entry *e, size_t n)
{
    static const char module[] = "module.";
    for (size_t k = 0; k < n; k++)
        if (strncmp(e[k].name, module, sizeof module - 1) != 0)
            return 0;
    return n ? sizeof module - 1 : 0;
}

static bd_status add_tensors(struct bd_builder *b, struct bd_err *err)
{
    struct bd_npz_entry *e;
    size_t n;
    bd_status s = bd_npz_load(&e, &n, &b->arena, &b->map, err);
    if (s != BD_OK)
        return s;
    size_t skip = common_prefix(e, n);
    for (size_t k = 0; k < n; k++)
        if (bd_build_const(b, e[k].name + skip, &e[k].t) < 0)
            return bd_draft_nomem(err);
    return BD_OK;
}

/* ------------------------------------------------------------- recognising */

/* What checkpoints carry beside the weights of a network. */
static bool bystander(const char *name)
{
    static const char *const tails[] = {"num_batches_tracked", "act_alpha",
                                        "wgt_alpha", "weight_alpha"};
    return bd_name_ends(name, tails, sizeof tails / sizeof *tails);
}

/* Tensors the architecture has no place for; the first is named. */
static size_t leftovers(const struct bd_builder *b, const bool *used, size_t n,
                        struct bd_shown *first)
{
    size_t count = 0;
    for (size_t v = 0; v < n; v++)
        if (!used[v] && !bystander(b->value[v].name) && count++ == 0)
            bd_shown(first, b->value[v].name);
    return count;
}

struct attempt {
    struct bd_builder *b;
    bool *used;
    size_t n; /* tensors of the file */
};

static bd_status run(struct attempt *t, const struct bd_arch *a,
                     enum bd_arch_mode mode, struct bd_err *err)
{
    struct bd_arch_ctx c = {
        .b = t->b, .mode = mode, .param = "", .used = t->used};
    memset(t->used, 0, t->n * sizeof *t->used);
    a->build(&c, a);
    if (c.status != BD_OK)
        return bd_fail(err, c.status, "not a %s: %s", a->name, c.err.msg);
    return t->b->failed ? bd_draft_nomem(err) : BD_OK;
}

static bd_status load_named(struct attempt *t, const char *arch,
                            struct bd_err *err)
{
    const struct bd_arch *a;
    const char *param;
    struct bd_shown first;
    bd_status s = bd_arch_find(&a, &param, arch, err);
    if (s == BD_OK)
        s = run(t, a, BD_ARCH_CHECK, err);
    if (s != BD_OK)
        return s;
    size_t over = leftovers(t->b, t->used, t->n, &first);
    if (over)
        bd_draft_warn(t->b, "%zu tensors have no place in %s, the first '%s'",
                      over, a->name, first.s);
    t->b->arch = a->name;
    return run(t, a, BD_ARCH_LOAD, err);
}

static bd_status recognise(struct attempt *t, struct bd_err *err)
{
    struct bd_shown first;
    for (const struct bd_arch *a = bd_archs; a->name; a++) {
        if (run(t, a, BD_ARCH_CHECK, NULL) != BD_OK ||
            leftovers(t->b, t->used, t->n, &first))
            continue;
        t->b->arch = a->name;
        if (strcmp(a->name, "mlp") == 0)
            bd_draft_warn(t->b, "taken as a multilayer perceptron with ReLU "
                                "between its layers");
        return run(t, a, BD_ARCH_LOAD, err);
    }
    bd_draft_warn(t->b, "the file holds weights but no network, and no known "
                        "architecture fits them exactly; --arch NAME names "
                        "one");
    return BD_OK;
}

bd_status bd_npz_model(struct bd_builder *b, const char *arch,
                       struct bd_err *err)
{
    b->format = b->map.data[0] == 'P' ? "npz" : "npy";
    bd_status s = add_tensors(b, err);
    if (s != BD_OK)
        return s;
    struct attempt t = {b, NULL, b->nvalues};
    t.used = bd_calloc(t.n, sizeof *t.used);
    if (!t.used)
        return bd_draft_nomem(err);
    s = arch ? load_named(&t, arch, err) : recognise(&t, err);
    bd_free(t.used);
    return s;
}
