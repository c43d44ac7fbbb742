/* op_einsum: Einsum of one or two inputs.  Every letter is an axis of one big
 * loop; letters missing from the result are summed.  No ellipsis. */
#include "graph/graph_priv.h"

#include <string.h>

struct einsum {
    int rank, kept; /* letters in all; the first `kept` are the result's */
    int64_t dim[BD_MAX_RANK];
    int64_t stride[2][BD_MAX_RANK]; /* of each input along each letter */
    char letter[BD_MAX_RANK];
};

static int find(const struct einsum *p, char l)
{
    for (int k = 0; k < p->rank; k++)
        if (p->letter[k] == l)
            return k;
    return -1;
}

static bool is_letter(char l)
{
    return (l >= 'a' && l <= 'z') || (l >= 'A' && l <= 'Z');
}

/* One input's letters: text up to ',' '-' or the end.  Returns how many, -1
 * when they are no letters or too many. */
static int term(const char **text, char *out)
{
    int n = 0;
    for (; **text && **text != ',' && **text != '-'; ++*text) {
        if (**text == ' ')
            continue;
        if (!is_letter(**text) || n == BD_MAX_RANK)
            return -1;
        out[n++] = **text;
    }
    return n;
}

/* Joins input k's letters to the loop: new ones get its extents, known ones
 * must agree.  A letter twice in one input walks its diagonal. */
static bd_status join(struct bd_octx *c, struct einsum *p, int k,
                      const char *letters, int n)
{
    const struct bd_tensor *x = c->in[k];
    int64_t step = 1;
    if (n != x->rank)
        return BD_BAD(c, "%d letters for %d dimensions", n, x->rank);
    for (int a = n - 1; a >= 0; a--) {
        int at = find(p, letters[a]);
        if (at < 0) {
            if (p->rank == BD_MAX_RANK)
                return BD_BAD(c, "more than %d letters", BD_MAX_RANK);
            at = p->rank++;
            p->letter[at] = letters[a];
            p->dim[at] = -1;
        }
        if (p->dim[at] >= 0 && p->dim[at] != x->dim[a])
            return BD_BAD(c, "extents %lld and %lld under one letter",
                          (long long)p->dim[at], (long long)x->dim[a]);
        p->dim[at] = x->dim[a];
        p->stride[k][at] += step;
        step *= x->dim[a];
    }
    return BD_OK;
}

/* Without "->" the result has every letter that occurs once, sorted. */
static int implied(const char *eq, char *out)
{
    int n = 0;
    for (char l = 'A'; l <= 'z'; l++) {
        const char *at = is_letter(l) ? strchr(eq, l) : NULL;
        if (at && !strchr(at + 1, l) && n < BD_MAX_RANK)
            out[n++] = l;
    }
    return n;
}

static bd_status parse(struct bd_octx *c, struct einsum *p)
{
    char in[2][BD_MAX_RANK], out[BD_MAX_RANK];
    const char *eq = bd_node_str(c->node, "equation", ""), *at = eq;
    int n[2] = {0}, kept;
    for (int k = 0; k < c->nin; k++) {
        n[k] = term(&at, in[k]);
        if (n[k] < 0 || (k + 1 < c->nin ? *at++ != ',' : *at == ','))
            return bd_graph_fail(c, BD_EUNSUPPORTED, "such an equation");
    }
    if (!strncmp(at, "->", 2)) {
        at += 2;
        kept = term(&at, out);
    } else {
        kept = implied(eq, out);
    }
    if (kept < 0 || *at)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "such an equation");
    for (int a = 0; a < kept; a++) {
        if (find(p, out[a]) >= 0)
            return BD_BAD(c, "a letter twice in the result");
        p->letter[p->rank] = out[a];
        p->dim[p->rank++] = -1;
    }
    p->kept = kept;
    bd_status s = BD_OK;
    for (int k = 0; s == BD_OK && k < c->nin; k++)
        s = join(c, p, k, in[k], n[k]);
    for (int a = 0; s == BD_OK && a < kept; a++)
        if (p->dim[a] < 0)
            s = BD_BAD(c, "a letter of the result is in no input");
    return s;
}

static bd_status shape_einsum(struct bd_octx *c)
{
    struct einsum *p = bd_graph_param(c, sizeof *p);
    if (!p)
        return BD_ENOMEM;
    if (c->nin < 1 || c->nin > 2)
        return bd_graph_fail(c, BD_EUNSUPPORTED, "%d inputs", c->nin);
    bd_status s = bd_graph_reals(c, c->nin, c->nin);
    if (s == BD_OK)
        s = parse(c, p);
    if (s != BD_OK)
        return s;
    c->mixes = true; /* which letter is the batch is not known */
    return bd_graph_out(c, 0, c->in[0]->type, p->dim, p->kept);
}

/* Sum over the letters beyond the result's, from offsets at[]. */
static double summed(const struct bd_octx *c, const int64_t at[2])
{
    const struct einsum *p = c->param;
    int64_t n = 1;
    double sum = 0;
    for (int a = p->kept; a < p->rank; a++)
        n *= p->dim[a];
    for (int64_t k = 0; k < n; k++) {
        int64_t pos[2] = {at[0], at[1]}, rest = k;
        for (int a = p->rank - 1; a >= p->kept; a--) {
            for (int i = 0; i < 2; i++)
                pos[i] += rest % p->dim[a] * p->stride[i][a];
            rest /= p->dim[a];
        }
        double v = (double)c->in[0]->f[pos[0]];
        sum += c->nin > 1 ? v * (double)c->in[1]->f[pos[1]] : v;
    }
    return sum;
}

static bd_status run_einsum(struct bd_octx *c)
{
    const struct einsum *p = c->param;
    int64_t n = bd_tensor_count(c->out[0]);
    for (int64_t k = 0; k < n; k++) {
        int64_t at[2] = {0, 0}, rest = k;
        for (int a = p->kept - 1; a >= 0; a--) {
            for (int i = 0; i < 2; i++)
                at[i] += rest % p->dim[a] * p->stride[i][a];
            rest /= p->dim[a];
        }
        c->out[0]->f[k] = (float)summed(c, at);
    }
    return BD_OK;
}

const struct bd_op bd_graph_ops_einsum[] = {
    {"Einsum", shape_einsum, run_einsum, NULL, 0, NULL},
    {0},
};
