/* table: the operator table, one row per ONNX operator, kept in the op_*.c
 * files.  A new operator is one row there. */
#include "graph/graph_priv.h"

#include <string.h>

static const struct bd_op *const files[] = {
    bd_graph_ops_attention, bd_graph_ops_binary,  bd_graph_ops_conv,
    bd_graph_ops_convt,     bd_graph_ops_einsum,  bd_graph_ops_index,
    bd_graph_ops_matmul,    bd_graph_ops_move,    bd_graph_ops_norm,
    bd_graph_ops_pad,       bd_graph_ops_pool,    bd_graph_ops_quantize,
    bd_graph_ops_reduce,    bd_graph_ops_resize,  bd_graph_ops_rnn,
    bd_graph_ops_shape,     bd_graph_ops_softmax, bd_graph_ops_unary,
};

const struct bd_op *bd_graph_op(const char *name)
{
    for (size_t k = 0; k < sizeof files / sizeof *files; k++)
        for (const struct bd_op *op = files[k]; op->name; op++)
            if (!strcmp(op->name, name))
                return op;
    return NULL;
}

bool bd_graph_has_op(const char *op)
{
    return bd_graph_op(op) != NULL;
}

/* Has an earlier node of the model the same operator? */
static bool seen(const struct bd_model *m, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(m->node[k].op, m->node[i].op))
            return true;
    return false;
}

void bd_graph_unsupported(struct bd_str *out, const struct bd_model *m)
{
    int listed = 0;
    bd_str_puts(out, "");
    for (size_t i = 0; i < m->nnodes && listed < 20; i++) {
        if (bd_graph_op(m->node[i].op) || seen(m, i))
            continue;
        char show[128];
        bd_text_show(show, sizeof show, m->node[i].op, 40);
        bd_str_printf(out, listed++ ? " %s" : "%s", show);
    }
}
