/* Refinement: one bit moves from a channel that will miss it least to one
 * that gains most, by the table; the back end decides whether it stays.  A
 * pair that was tried is not tried again until one of its channels changes.
 * What is in force is the best seen, so it can be stopped at any moment. */
#include "feature/feature.h"

#include <string.h>

/* A candidate must be better by more than rounding noise: ties go to the
 * first pair. */
#define STRICT 1e-15

struct refine {
    const struct bd_qtable *t;
    int8_t *bits;
    char *tabu;         /* [n][n] receiver, donor */
    struct bd_chanq *q; /* [n] */
    int64_t n;
};

/* What channel c's error falls by with one bit more than b. */
static double gain(const struct refine *r, int64_t c, int b)
{
    return r->t->c[c].mse[b] - r->t->c[c].mse[b + 1];
}

static bool candidate(struct bd_refine_step *s, const struct refine *r)
{
    double best = 0;
    bool found = false;

    for (int64_t i = 0; i < r->n; i++) {
        double gets;

        if (r->bits[i] >= BD_FEATURE_MOST)
            continue;
        gets = gain(r, i, r->bits[i]);
        for (int64_t d = 0; d < r->n; d++) {
            double v;

            if (d == i || r->bits[d] <= 0 || r->tabu[i * r->n + d])
                continue;
            v = gets - gain(r, d, r->bits[d] - 1);
            if (found && !(v > best + STRICT))
                continue;
            best = v;
            found = true;
            s->receiver = (int)i;
            s->donor = (int)d;
        }
    }
    return found;
}

/* Pairs of the two channels are free again, but for the way back. */
static void release(struct refine *r, int64_t i, int64_t d)
{
    memset(r->tabu + i * r->n, 0, (size_t)r->n);
    memset(r->tabu + d * r->n, 0, (size_t)r->n);
    for (int64_t k = 0; k < r->n; k++)
        r->tabu[k * r->n + i] = r->tabu[k * r->n + d] = 0;
    r->tabu[d * r->n + i] = 1;
}

/* Tries one exchange; *mse is what is in force. */
static bd_status attempt(struct bd_refine_step *s, struct refine *r,
                         struct bd_judge *j, double *mse, struct bd_err *err)
{
    int64_t i = s->receiver, d = s->donor;
    double e = 0;
    bd_status st;

    r->bits[i]++;
    r->bits[d]--;
    bd_qtable_use(r->q, r->t, r->bits);
    st = bd_judge_run(&e, j, r->q, err);
    s->kept = st == BD_OK && e < *mse;
    if (!s->kept) {
        r->bits[i]--;
        r->bits[d]++;
    }
    if (st != BD_OK)
        return st;
    r->tabu[i * r->n + d] = 1;
    if (s->kept) {
        *mse = e;
        release(r, i, d);
    }
    s->mse = *mse;
    return BD_OK;
}

bd_status bd_judge_refine(struct bd_allocated *a, struct bd_judge *j,
                          const struct bd_qtable *t, const struct bd_refine *o,
                          struct bd_err *err)
{
    struct refine r = {.t = t, .bits = a->bits, .n = t->channels};
    struct bd_refine_step s = {0};
    size_t n = (size_t)r.n;
    bd_status st = BD_OK;

    r.tabu = bd_calloc(n * n + 1, 1);
    r.q = bd_alloc(n + 1, sizeof *r.q);
    if (!r.tabu || !r.q)
        st = bd_fail(err, BD_ENOMEM, "out of memory for the refinement");
    if (st == BD_OK) {
        bd_qtable_use(r.q, t, a->bits);
        st = bd_judge_run(&a->mse, j, r.q, err);
    }
    for (int64_t k = 0; k < o->runs && st == BD_OK && candidate(&s, &r); k++) {
        st = attempt(&s, &r, j, &a->mse, err);
        if (st == BD_OK && o->step)
            o->step(o->arg, &s, a->bits);
    }
    bd_free(r.tabu);
    bd_free(r.q);
    return st;
}
