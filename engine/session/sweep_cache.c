/* The journal: what a sweep has added up so far, written as a whole about
 * once a second.  Little-endian words:
 *
 *   "BDSWEEP1"  key  points  bases  flags  images  seconds
 *   per point and base: settled  (and, with float's last) the sums
 *   XXH3 of all that
 *
 * The key is in the file's name and in it.  A file that is cut, altered or of
 * another sweep is left where it is and not used; its words are bounded by
 * the table at hand, so nothing in it is ever an index or a size. */
#include "session/sweep_priv.h"

#include <stdio.h>
#include <string.h>

static const char magic[8] = {'B', 'D', 'S', 'W', 'E', 'E', 'P', '1'};
enum {
    HEAD = 7, /* words before the points */
    WORDS = 6 + 2 * BD_SENS_METRICS /* per row: settled and the sums */
};

/* ----------------------------------------------------------------- writing */

static void put(struct bd_str *s, uint64_t v)
{
    char b[8];

    for (int k = 0; k < 8; k++)
        b[k] = (char)(v >> 8 * k & 0xff);
    bd_str_put(s, b, sizeof b);
}

static void put_f64(struct bd_str *s, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put(s, bits);
}

static void put_row(struct bd_str *s, bool settled,
                    const struct bd_sens_sums *u)
{
    put(s, settled);
    put(s, (uint64_t)u->n);
    put(s, (uint64_t)u->labelled);
    put(s, (uint64_t)u->scored);
    put(s, (uint64_t)u->worse);
    put(s, (uint64_t)u->better);
    for (int k = 0; k < BD_SENS_METRICS; k++) {
        put_f64(s, u->sum[k]);
        put_f64(s, u->square[k]);
    }
}

bd_status bd_journal_write(const struct bd_sens_table *t, const char *path,
                           uint64_t key, struct bd_err *err)
{
    struct bd_str s = {0};
    size_t rows = t->n + t->nbase + 1;
    bd_status st = BD_ENOMEM;

    bd_str_put(&s, magic, sizeof magic);
    put(&s, key);
    put(&s, t->n);
    put(&s, t->nbase);
    put(&s, t->complete);
    put(&s, (uint64_t)t->images);
    put_f64(&s, t->seconds);
    for (size_t i = 0; i < rows; i++)
        put_row(&s, i < t->n && t->point[i].settled, &t->sums[i]);
    if (s.s && !s.failed)
        put(&s, bd_digest(s.s, s.n, key));
    if (s.s && !s.failed)
        st = bd_save(path, s.s, s.n, true, err);
    else
        bd_fail(err, st, "out of memory for the sweep's journal");
    bd_str_done(&s);
    return st;
}

/* ----------------------------------------------------------------- reading */

static uint64_t get(struct bd_reader *r)
{
    uint64_t v = 0;

    bd_take_u64le(r, &v);
    return v;
}

static double get_f64(struct bd_reader *r)
{
    uint64_t bits = get(r);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static bool get_row(bool *settled, struct bd_sens_sums *u,
                    struct bd_reader *r, int64_t images)
{
    uint64_t flag = get(r);
    int64_t *count[] = {&u->n, &u->labelled, &u->scored, &u->worse,
                        &u->better};
    bool fine = flag <= 1;

    *settled = flag == 1;
    for (int k = 0; k < 5; k++) {
        uint64_t v = get(r);

        fine = fine && v <= (uint64_t)images;
        *count[k] = (int64_t)v;
    }
    for (int k = 0; k < BD_SENS_METRICS; k++) {
        u->sum[k] = get_f64(r);
        u->square[k] = get_f64(r);
    }
    return fine && u->labelled <= u->n;
}

static bool same_head(struct bd_reader *r, const struct bd_sens_table *t,
                      uint64_t key)
{
    const uint8_t *m = bd_take(r, sizeof magic);

    return m && memcmp(m, magic, sizeof magic) == 0 && get(r) == key &&
           get(r) == t->n && get(r) == t->nbase;
}

static bool intact(const char *text, size_t n, uint64_t key, size_t rows)
{
    struct bd_reader r = {(const uint8_t *)text, n, 0};

    if (n != 8 * (HEAD + rows * WORDS + 1))
        return false;
    r.pos = n - 8;
    return get(&r) == bd_digest(text, n - 8, key);
}

/* Into copies first: half a journal is none. */
static bool take_rows(struct bd_sens_table *t, struct bd_reader *r)
{
    size_t rows = t->n + t->nbase + 1;
    uint64_t complete = get(r), images = get(r);
    double seconds = get_f64(r);
    struct bd_sens_sums *u = bd_alloc(rows, sizeof *u);
    bool *settled = bd_alloc(rows, sizeof *settled);
    bool fine = u && settled && images == (uint64_t)t->images && complete <= 1;

    for (size_t i = 0; fine && i < rows; i++)
        fine = get_row(&settled[i], &u[i], r, t->images);
    if (fine) {
        memcpy(t->sums, u, rows * sizeof *u);
        for (size_t i = 0; i < t->n; i++)
            t->point[i].settled = settled[i];
        t->complete = complete == 1;
        t->seconds = seconds >= 0 && seconds < 1e12 ? seconds : 0;
    }
    bd_free(u);
    bd_free(settled);
    return fine;
}

bool bd_journal_read(struct bd_sens_table *t, const char *path, uint64_t key,
                     char *note, size_t cap)
{
    size_t rows = t->n + t->nbase + 1, n;
    struct bd_err e = {0};
    char *text, show[400];
    bool fine;

    if (!bd_file_exists(path))
        return false;
    if (bd_file_read(&text, &n, path, 8 * (HEAD + rows * WORDS + 2), &e) !=
        BD_OK) {
        snprintf(note, cap, "sweep: %s: %s; measured afresh",
                 bd_text_show(show, sizeof show, path, 200), e.msg);
        return false;
    }
    struct bd_reader r = {(const uint8_t *)text, n, 0};
    fine = intact(text, n, key, rows) && same_head(&r, t, key) &&
           take_rows(t, &r);
    if (!fine)
        snprintf(note, cap,
                 "sweep: %s is damaged or another's; measured afresh",
                 bd_text_show(show, sizeof show, path, 200));
    bd_free(text);
    return fine;
}
