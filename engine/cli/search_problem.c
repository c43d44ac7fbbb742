/* search --problem: a written problem in place of a network's. */
#include "bitalloc/bitalloc.h"
#include "cli/cli_priv.h"

struct solved {
    struct bd_alloc_file f;
    struct bd_alloc_result r;
};

static void problem_text(struct bd_str *text, const struct solved *s)
{
    const struct bd_alloc_problem *p = &s->f.p;
    char name[128];

    for (size_t i = 0; i < p->n; i++)
        bd_str_printf(text, "%3d  %s\n",
                      p->layer[i].option[s->r.pick[i]].bits,
                      bd_text_show(name, sizeof name, p->layer[i].name, 60));
    bd_str_printf(text, "loss %.9g, cost %.9g of %.9g%s%s%s\n", s->r.loss,
                  s->r.cost, p->budget, s->f.cost_unit[0] ? " " : "",
                  bd_text_show(name, sizeof name, s->f.cost_unit, 20),
                  s->r.optimal ? ", optimal" : "");
    if (!s->r.optimal)
        bd_str_printf(text, "no choice loses less than %.9g\n", s->r.bound);
}

static void problem_json(struct bd_json *j, const struct solved *s)
{
    const struct bd_alloc_problem *p = &s->f.p;

    bd_cli_schema(j, "bitdial.search/1");
    bd_json_arr_inline(j, "bits");
    for (size_t i = 0; i < p->n; i++)
        bd_json_int(j, NULL, p->layer[i].option[s->r.pick[i]].bits);
    bd_json_arr_end(j);
    bd_json_f64(j, "loss", s->r.loss);
    bd_json_f64(j, "cost", s->r.cost);
    bd_json_bool(j, "optimal", s->r.optimal);
    bd_json_f64(j, "budget", p->budget);
    bd_json_f64(j, "bound", s->r.bound);
    bd_json_obj_end(j);
}

/* The file and standard output get the same document. */
static int problem_out(struct cli *c, const struct solved *s)
{
    struct bd_str text = {0};
    struct bd_json j;
    bd_status st = BD_OK;

    problem_json(&j, s);
    if (c->a.output)
        st = j.out.failed ? bd_fail(&c->err, BD_ENOMEM, "out of memory")
                          : bd_cli_save(c, j.out.s, j.out.n);
    if (st == BD_OK && c->a.json)
        return bd_cli_json_out(c, &j);
    bd_json_done(&j);
    if (st != BD_OK)
        return bd_cli_fail(c);
    problem_text(&text, s);
    return bd_cli_text_out(c, &text);
}

/* A budget nothing fits is understood, not achieved: exit status 1. */
static bd_status problem_solve(struct solved *s, struct cli *c)
{
    const struct bd_allocator *a =
        bd_allocator_find(c->a.method ? c->a.method : "dp");
    char *text = NULL;
    size_t n;
    bd_status st;

    if (c->a.nfile > 0)
        return bd_fail(&c->err, BD_EINVALID,
                       "--problem takes the place of a model");
    if (!a)
        return bd_fail(&c->err, BD_EINVALID,
                       "--method for a problem: dp, greedy, lagrange or "
                       "uniform");
    if (bd_cli_save_check(c) != BD_OK)
        return c->err.code;
    st = bd_file_read(&text, &n, c->a.problem, (size_t)64 << 20, &c->err);
    if (st == BD_OK)
        st = bd_alloc_file_read(&s->f, text, n, &c->err);
    bd_free(text);
    if (st == BD_OK) {
        s->r.pick = bd_calloc(s->f.p.n + 1, sizeof *s->r.pick);
        st = s->r.pick ? a->solve(&s->r, &s->f.p, &c->err)
                       : bd_fail(&c->err, BD_ENOMEM, "out of memory");
        if (st == BD_EINVALID)
            c->status = 1;
    }
    return st == BD_OK ? st : bd_err_file(&c->err, c->a.problem);
}

int bd_cli_search_problem(struct cli *c)
{
    struct solved s = {0};
    int rc = problem_solve(&s, c) == BD_OK ? problem_out(c, &s)
                                           : bd_cli_fail(c);

    bd_free(s.r.pick);
    bd_alloc_file_done(&s.f);
    return rc;
}
