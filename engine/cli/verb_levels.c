/* levels: the grid itself, for clip 1, so that two methods can be laid side by
 * side without any network. */
#include "cli/cli_priv.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_FLAG, "--signed", 0, NULL, "levels below zero too, as for weights "
     "(default)", AT(is_signed), 0, 0},
    {CLI_FLAG, "--unsigned", 0, NULL, "from zero up, as behind a ReLU",
     AT(is_unsigned), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {own, bd_cli_common, NULL};

enum { SAMPLE = 4096 };

/* Evenly spaced quantiles of a normal distribution, by bisection. */
static void normal_values(float *x)
{
    for (int i = 0; i < SAMPLE; i++) {
        double q = (i + 0.5) / SAMPLE, lo = -8, hi = 8;

        for (int k = 0; k < 50; k++) {
            double mid = (lo + hi) / 2;

            if (erfc(-mid / sqrt(2)) / 2 < q)
                lo = mid;
            else
                hi = mid;
        }
        x[i] = (float)lo;
    }
}

/* Levels that are learned are shown as learned from normal weights, which
 * trained ones resemble; the largest becomes 1. */
static bd_status learn(struct bd_qparam *p, struct cli *c)
{
    float x[SAMPLE];
    bd_status st;

    normal_values(x);
    st = p->q->fit(p, x, SAMPLE, &c->err);
    for (size_t i = 0; st == BD_OK && i < p->nbook; i++)
        p->book[i] /= p->clip;
    if (st == BD_OK)
        bd_cli_note("'%s' learns its levels: these are for normally "
                    "distributed weights", p->q->name);
    return st;
}

/* The quantizer of METHOD:BITS for clip 1.  Methods that take their scale from
 * the data are shown the two ends of the range; those that subtract a mean
 * and divide by a deviation are shown nothing, which leaves both out. */
static bd_status fit(struct bd_qparam *p, double *book, struct cli *c)
{
    struct bd_tensorcfg cfg = {.bits = 32, .clip = BD_CLIP_MAX};
    bool is_signed = !c->a.is_unsigned;
    const float ends[2] = {is_signed ? -1.0F : 0.0F, 1.0F};
    bd_status st = bd_tensorcfg_parse(&cfg, c->a.file[0], &c->err);

    if (st != BD_OK)
        return st;
    if (cfg.bits == 32)
        return bd_fail(&c->err, BD_EINVALID,
                       "float has no grid; give METHOD:BITS, as apot:4");
    st = bd_quantizer_check(cfg.quant, cfg.bits, is_signed, &c->err);
    if (st != BD_OK)
        return st;
    *p = (struct bd_qparam){
        .q = bd_quantizer_at(cfg.quant),
        .bits = cfg.bits,
        .is_signed = is_signed,
        .weights = is_signed,
        .clip = 1.0,
        .sigma = 1.0,
        .book = book,
    };
    if (p->q->learn)
        return learn(p, c);
    return p->q->fit(
        p, ends, p->q->traits & (BD_Q_NORMALISES | BD_Q_CELLS) ? 0 : 2,
        &c->err);
}

/* One level per line, for plotting programs; or the document. */
static int out(struct cli *c, const double *levels, size_t n,
               const struct bd_qparam *p)
{
    struct bd_json j;
    struct bd_str s = {0};

    if (!c->a.json) {
        for (size_t i = 0; i < n; i++)
            bd_str_printf(&s, "%.10g\n", levels[i]);
        return bd_cli_text_out(c, &s);
    }
    bd_cli_schema(&j, "bitdial.levels/1");
    bd_json_str(&j, "method", p->q->name);
    bd_json_int(&j, "bits", p->bits);
    bd_json_bool(&j, "signed", p->is_signed);
    bd_json_arr_inline(&j, "levels");
    for (size_t i = 0; i < n; i++)
        bd_json_f64(&j, NULL, levels[i]);
    bd_json_arr_end(&j);
    bd_json_obj_end(&j);
    return bd_cli_json_out(c, &j);
}

static int run(struct cli *c)
{
    struct bd_qparam p;
    double book[BD_BOOK_MAX], *levels;
    size_t n;
    int rc;

    if (c->a.is_signed && c->a.is_unsigned)
        bd_fail(&c->err, BD_EINVALID, "--signed and --unsigned: one of them");
    else
        fit(&p, book, c);
    if (c->err.code != BD_OK)
        return bd_cli_fail(c);
    n = p.q->levels(NULL, 0, &p);
    levels = bd_alloc(n, sizeof *levels);
    if (!levels) {
        bd_fail(&c->err, BD_ENOMEM, "out of memory for %zu levels", n);
        return bd_cli_fail(c);
    }
    p.q->levels(levels, n, &p);
    rc = out(c, levels, bd_quant_distinct(levels, n), &p);
    bd_free(levels);
    return rc;
}

const struct cli_verb bd_verb_levels = {
    .name = "levels",
    .summary = "The levels of a method at a width, for clip 1.",
    .example = "bitdial levels apot:4 --unsigned",
    .usage = "levels METHOD:BITS [--signed|--unsigned]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
