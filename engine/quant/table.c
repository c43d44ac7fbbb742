/* The quantizer table: one row per method, in the order users see.  Row
 * numbers live in configurations of a running session only; documents store
 * names. */
#include <stdio.h>

#include "quant_priv.h"

static const struct bd_quantizer *const rows[] = {&bd_quant_uniform,
                                                  &bd_quant_affine,
                                                  &bd_quant_dorefa,
                                                  &bd_quant_pot,
                                                  &bd_quant_apot,
                                                  &bd_quant_log,
                                                  &bd_quant_binary,
                                                  &bd_quant_ternary,
                                                  &bd_quant_pact,
                                                  &bd_quant_edge8,
                                                  &bd_quant_kmeans,
                                                  &bd_quant_nf4,
                                                  &bd_quant_fp8_e4m3,
                                                  &bd_quant_fp8_e5m2,
                                                  &bd_quant_fp4_e2m1,
                                                  &bd_quant_mxfp8_e4m3,
                                                  &bd_quant_mxfp8_e5m2,
                                                  &bd_quant_mxfp6_e3m2,
                                                  &bd_quant_mxfp6_e2m3,
                                                  &bd_quant_mxfp4_e2m1,
                                                  &bd_quant_mxint8,
                                                  &bd_quant_bottleneck,
                                                  NULL};

enum { ROWS = (int)(sizeof(rows) / sizeof(rows[0])) - 1 };

const struct bd_quantizer *const *bd_quantizers(void)
{
    return rows;
}

const struct bd_quantizer *bd_quantizer_at(int row)
{
    return row >= 0 && row < ROWS ? rows[row] : NULL;
}

int bd_quantizer_find(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i]->name, name) == 0 ||
            (rows[i]->alias && strcmp(rows[i]->alias, name) == 0))
            return i;
    return -1;
}

size_t bd_quantizer_room(const struct bd_quantizer *q, int bits, size_t n)
{
    size_t most = (size_t)1 << bits;

    if (!q->learn)
        return 0;
    return n == 0 ? 1 : n < most ? n : most;
}

int64_t bd_quantizer_side_bits(const struct bd_quantizer *q, int bits)
{
    return q->side_bits + (q->learn ? (int64_t)32 << bits : 0) +
           (int64_t)q->side_per_bit * bits;
}

/* ----------------------------------------------------------- refusals */
static bool serves(const struct bd_quantizer *q, int bits, bool weights)
{
    return (q->traits & (weights ? BD_Q_WEIGHTS : BD_Q_ACTS)) &&
           bits >= q->min_bits && bits <= q->max_bits;
}

/* The method to name instead: a specialist of that width before a general
 * one (1 bit: binary before dorefa). */
static const struct bd_quantizer *other(int bits, bool weights)
{
    const struct bd_quantizer *best = NULL;

    for (int i = 0; i < ROWS; i++) {
        const struct bd_quantizer *q = rows[i];

        if (!serves(q, bits, weights) || q == &bd_quant_edge8)
            continue;
        if (!best || (bits == 1 && q->max_bits < best->max_bits))
            best = q;
    }
    return best;
}

static bd_status refuse_role(const struct bd_quantizer *q, int bits,
                             bool weights, struct bd_err *err)
{
    const struct bd_quantizer *o = other(bits, weights);

    return bd_fail(err, BD_EINVALID,
                   weights ? "'%s' quantizes activations, not weights; "
                             "'%s' takes weights"
                           : "'%s' quantizes weights, not activations; "
                             "'%s' takes activations",
                   q->name, o ? o->name : "uniform");
}

/* "needs 2 or more", "takes only 1" */
static void say_range(char *out, size_t cap, const struct bd_quantizer *q,
                      int bits)
{
    if (q->min_bits == q->max_bits)
        snprintf(out, cap, "takes only %d", q->min_bits);
    else if (bits < q->min_bits)
        snprintf(out, cap, "needs %d or more", q->min_bits);
    else
        snprintf(out, cap, "takes at most %d", q->max_bits);
}

bd_status bd_quantizer_check(int row, int bits, bool weights,
                             struct bd_err *err)
{
    const struct bd_quantizer *q = bd_quantizer_at(row), *o;
    const char *s = bits == 1 ? "" : "s";
    char range[32];

    if (!q)
        return bd_fail(err, BD_EINVALID, "no quantizer number %d", row);
    if (bits == 32)
        return BD_OK;
    if (bits < 1 || bits > 16)
        return bd_fail(err, BD_EINVALID,
                       "%d bit%s: widths are 1 to 16, or 32 for float", bits,
                       s);
    if (serves(q, bits, weights))
        return BD_OK;
    if (!(q->traits & (weights ? BD_Q_WEIGHTS : BD_Q_ACTS)))
        return refuse_role(q, bits, weights, err);
    o = other(bits, weights);
    say_range(range, sizeof(range), q, bits);
    return bd_fail(err, BD_EINVALID, "%d bit%s: '%s' %s; '%s' takes %d", bits,
                   s, q->name, range, o ? o->name : "uniform", bits);
}
