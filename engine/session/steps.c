/* The undo list inside the session file, so that what was undone yesterday
 * can still be undone tomorrow.
 *
 *   "history": {"now": 2,
 *     "start": [[LAYER, CHOICE], ...],
 *     "steps": [["5 bits for fc", LAYER, CHOICE, ...], ...]}
 *
 * A step holds only what it led to; what was there before follows from
 * `start` and the steps in front of it, so the chain cannot be broken.  A
 * CHOICE is one text, weights, input and lock:
 *   "uniform:5:0:0:0:0 uniform:32:0:0:0:0 -"
 *   METHOD:BITS:GRAIN:GROUP:CLIP:VALUE[:WIDTHS], a character per width, or
 *   ...:VALUE:/OF/MASK/A0/.../A7, the planes of a bottleneck.
 * The key is the last of the document and is cut off before the rest is read:
 * whatever happened to the history, the configuration is still good. */
#include "session/session_priv.h"

#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const char mark[] = ",\n  \"history\": ";
enum { MOST_CHANGES = 50000 }; /* written: some megabytes */

/* ---------------------------------------------------------------- writing */

static void put_tensor(struct bd_str *s, const struct bd_tensorcfg *t)
{
    bd_str_printf(s, "%s:%d:%d:%d:%d:%.9g", bd_quantizer_at(t->quant)->name,
                  t->bits, t->grain, t->group, t->clip,
                  (double)t->clip_value);
    if (t->planes) {
        const struct bd_planecode *c = &t->planes->code;
        bd_str_printf(s, ":/%d/%u", c->of, c->mask);
        for (int k = 0; k < BD_PLANES; k++)
            bd_str_printf(s, "/%.17g", c->alpha[k]);
    }
    if (!t->channel)
        return;
    bd_str_puts(s, ":");
    for (int i = 0; i < t->channel->n; i++) {
        char c = (char)('0' + t->channel->bits[i]); /* 0..16: 0..@, 32: P */
        bd_str_put(s, &c, 1);
    }
}

void bd_choice_write(struct bd_json *j, const struct bd_layercfg *l)
{
    struct bd_str s = {0};
    put_tensor(&s, &l->w);
    bd_str_puts(&s, " ");
    put_tensor(&s, &l->a);
    bd_str_puts(&s, l->locked ? " lock" : " -");
    bd_json_str(j, NULL, s.failed ? "" : s.s);
    j->out.failed = j->out.failed || s.failed;
    bd_str_done(&s);
}

static void put_choice(struct bd_json *j, int layer,
                       const struct bd_layercfg *l)
{
    bd_json_int(j, NULL, layer);
    bd_choice_write(j, l);
}

/* Where the steps of the present network end: a repair made the next one,
 * and its network is not in the file. */
static size_t end_written(const struct bd_history *h)
{
    size_t to = h->now;
    while (to < h->n && !h->step[to].to)
        to++;
    return to;
}

/* The oldest step written: all of the present network, unless they are very
 * many. */
static size_t first_written(const struct bd_history *h)
{
    size_t from = end_written(h), changes = 0;
    while (from > 0 && changes + h->step[from - 1].n <= MOST_CHANGES &&
           !h->step[from - 1].to)
        changes += h->step[--from].n;
    return from;
}

/* Each layer as it was before the first step that touches it. */
static void put_start(struct bd_json *j, const struct bd_history *h,
                      size_t from, bool *seen)
{
    bd_json_arr(j, "start");
    for (size_t i = from; i < end_written(h); i++)
        for (size_t k = 0; k < h->step[i].n; k++) {
            const struct bd_change *c = &h->step[i].change[k];
            if (seen[c->layer])
                continue;
            seen[c->layer] = true;
            bd_json_arr(j, NULL);
            put_choice(j, c->layer, &c->before);
            bd_json_arr_end(j);
        }
    bd_json_arr_end(j);
}

static void put_steps(struct bd_json *j, const struct bd_history *h,
                      size_t from)
{
    bd_json_arr(j, "steps");
    for (size_t i = from; i < end_written(h); i++) {
        const struct bd_step *step = &h->step[i];
        bd_json_arr(j, NULL);
        bd_json_str(j, NULL, step->what);
        for (size_t k = 0; k < step->n; k++)
            put_choice(j, step->change[k].layer, &step->change[k].after);
        bd_json_arr_end(j);
    }
    bd_json_arr_end(j);
}

/* Adds the history to a document; without memory the document stays as it
 * was, which is still a good session. */
void bd_steps_write(struct bd_str *doc, const struct bd_session *s)
{
    const struct bd_history *h = &s->history;
    size_t from = first_written(h), n = doc->n;
    bool *seen = bd_calloc(s->m->nlayers, sizeof *seen);
    struct bd_json j = {0};
    while (n > 0 && doc->s[n - 1] != '}')
        n--;
    if (seen && end_written(h) > from && h->now >= from && n > 2 &&
        doc->s[n - 2] == '\n') {
        bd_json_obj(&j, NULL);
        bd_json_int(&j, "now", (int64_t)(h->now - from));
        put_start(&j, h, from, seen);
        put_steps(&j, h, from);
        bd_json_obj_end(&j);
    }
    struct bd_str all = {0};
    if (j.out.n > 0 && !j.out.failed) {
        bd_str_put(&all, doc->s, n - 2);
        bd_str_puts(&all, mark);
        bd_str_put(&all, j.out.s, j.out.n);
        bd_str_puts(&all, "\n}\n");
    }
    if (all.n > 0 && !all.failed) {
        bd_str_done(doc);
        *doc = all;
    } else {
        bd_str_done(&all);
    }
    bd_json_done(&j);
    bd_free(seen);
}

/* ---------------------------------------------------------------- reading */

struct reading {
    const struct bd_model *m;
    struct bd_layercfg *cur; /* [nlayers], where known */
    size_t *known;           /* [nlayers]; 1 = from the start, 2 + step */
    struct bd_err *err;
};

static bd_status bad(struct reading *r, const char *what)
{
    return bd_fail(r->err, BD_EFORMAT, "%s", what);
}

/* Cuts the next field off, "" at the end. */
static char *field(char **at, char sep)
{
    char *start = *at, *end = strchr(start, sep);
    *at = end ? end + 1 : start + strlen(start);
    if (end)
        *end = '\0';
    return start;
}

static bool read_int(int64_t *out, char **at, int64_t min, int64_t max)
{
    return bd_parse_int(out, field(at, ':'), min, max);
}

static const struct bd_chanbits *read_widths(const char *s)
{
    size_t n = strlen(s);
    int8_t *bits = n <= INT32_MAX ? bd_alloc(n, 1) : NULL;
    bool good = bits;
    for (size_t i = 0; i < n && good; i++) {
        bits[i] = (int8_t)(s[i] - '0');
        good = (bits[i] >= 0 && bits[i] <= 16) || bits[i] == 32;
    }
    const struct bd_chanbits *c = good ? bd_chanbits_new(bits, (int)n) : NULL;
    bd_free(bits);
    return c;
}

static const struct bd_planes *read_planes(char *text)
{
    struct bd_planecode c = {0};
    int64_t of, mask;
    bool good;
    field(&text, '/');
    good = bd_parse_int(&of, field(&text, '/'), 1, BD_PLANES) &&
           bd_parse_int(&mask, field(&text, '/'), 0, BD_PLANE_CODES - 1);
    for (int k = 0; k < BD_PLANES && good; k++)
        good = bd_parse_double(&c.alpha[k], field(&text, '/'));
    if (!good)
        return NULL;
    c.of = (int)of;
    c.mask = (unsigned)mask;
    return bd_planes_new(&c); /* judged with the rest of the choice */
}

static bool read_tensor(struct bd_tensorcfg *t, char *text)
{
    int quant = bd_quantizer_find(field(&text, ':'));
    int64_t bits, grain, group, clip;
    double value;
    if (quant < 0 || !read_int(&bits, &text, 1, 32) ||
        (bits > 16 && bits != 32) ||
        !read_int(&grain, &text, 0, BD_GRAIN_GROUP) ||
        !read_int(&group, &text, grain == BD_GRAIN_GROUP, INT16_MAX) ||
        !read_int(&clip, &text, 0, BD_CLIP_RULES - 1) ||
        !bd_parse_double(&value, field(&text, ':')) || fabs(value) > FLT_MAX)
        return false;
    *t = (struct bd_tensorcfg){
        .quant = (uint8_t)quant, .bits = (int8_t)bits,
        .grain = (uint8_t)grain, .group = (int16_t)group,
        .clip = (uint8_t)clip, .clip_value = (float)value};
    if (*text == '\0')
        return true;
    if (*text == '/') {
        t->planes = read_planes(text);
        return t->planes != NULL;
    }
    t->channel = read_widths(text);
    return t->channel != NULL;
}

/* As legal as if it had been typed. */
bd_status bd_choice_read(struct bd_layercfg *out, const struct bd_model *m,
                         int layer, const char *text, struct bd_err *err)
{
    char *copy = text ? bd_strdup(text) : NULL, *at = copy;
    if (!copy)
        return bd_fail(err, BD_EFORMAT, "a choice is no text");
    char *w = field(&at, ' '), *a = field(&at, ' ');
    struct bd_layercfg l = {0};
    bool good = read_tensor(&l.w, w) && read_tensor(&l.a, a) &&
                (strcmp(at, "-") == 0 || strcmp(at, "lock") == 0);
    l.locked = *at == 'l';
    bd_status st = good ? BD_OK
                        : bd_fail(err, BD_EFORMAT,
                                  "a choice that cannot be read");
    if (st == BD_OK)
        st = bd_config_allows(m, layer, true, &l.w, err);
    if (st == BD_OK)
        st = bd_config_allows(m, layer, false, &l.a, err);
    bd_free(copy);
    if (st == BD_OK)
        *out = l;
    else
        bd_layercfg_done(&l);
    return st;
}

static bd_status read_choice(struct reading *r, struct bd_layercfg *out,
                             int layer, const cJSON *item)
{
    return bd_choice_read(out, r->m, layer, cJSON_GetStringValue(item),
                          r->err);
}

static bool whole(int *out, const cJSON *item, size_t below)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble >= (double)below ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out = (int)item->valuedouble;
    return true;
}

static bd_status read_start(struct reading *r, const cJSON *list)
{
    const cJSON *item;
    bd_status st = cJSON_IsArray(list) ? BD_OK : bad(r, "no start");
    cJSON_ArrayForEach(item, list) {
        int layer;
        if (cJSON_GetArraySize(item) != 2 ||
            !whole(&layer, item->child, r->m->nlayers) || r->known[layer])
            return bad(r, "a start that cannot be read");
        st = read_choice(r, &r->cur[layer], layer, item->child->next);
        if (st != BD_OK)
            return st;
        r->known[layer] = 1;
    }
    return st;
}

static bd_status read_changes(struct reading *r, struct bd_step *step,
                              const cJSON *at, size_t number)
{
    for (; at; at = at->next->next) {
        struct bd_change *c = &step->change[step->n];
        if (!whole(&c->layer, at, r->m->nlayers) || !r->known[c->layer] ||
            r->known[c->layer] == number + 2)
            return bad(r, "a step at a layer that has no start");
        bd_status st = read_choice(r, &c->after, c->layer, at->next);
        if (st != BD_OK)
            return st;
        c->before = r->cur[c->layer]; /* moves; a copy takes its place */
        bd_layercfg_copy(&r->cur[c->layer], &c->after);
        r->known[c->layer] = number + 2;
        step->n++;
    }
    return BD_OK;
}

static bd_status read_step(struct reading *r, struct bd_history *h,
                           const cJSON *item)
{
    struct bd_step step = {0};
    int n = cJSON_GetArraySize(item);
    if (!cJSON_IsArray(item) || n < 3 || n % 2 == 0 ||
        !cJSON_IsString(item->child) || h->n == BD_UNDO_DEPTH ||
        strlen(item->child->valuestring) >= sizeof step.what)
        return bad(r, "a step that cannot be read");
    strcpy(step.what, item->child->valuestring);
    step.change = bd_calloc((size_t)n / 2, sizeof *step.change);
    bd_status st = step.change
                       ? read_changes(r, &step, item->child->next, h->n)
                       : bd_fail(r->err, BD_ENOMEM, "out of memory");
    if (st == BD_OK && !bd_history_push(h, &step))
        st = bd_fail(r->err, BD_ENOMEM, "out of memory");
    bd_step_done(&step);
    return st;
}

static bool agrees(const struct bd_layercfg *a, const struct bd_layercfg *b)
{
    return a->locked == b->locked &&
           bd_layercfg_digest(a) == bd_layercfg_digest(b);
}

/* The steps in force must lead to the configuration they were saved with. */
static bd_status check_end(struct reading *r, const struct bd_history *h,
                           const struct bd_bitcfg *saved)
{
    for (size_t i = h->n; i-- > 0;) {
        for (size_t k = 0; k < h->step[i].n; k++) {
            const struct bd_change *c = &h->step[i].change[k];
            struct bd_layercfg *cur = &r->cur[c->layer];
            if (i < h->now)
                continue;
            bd_layercfg_done(cur);
            bd_layercfg_copy(cur, &c->before);
        }
    }
    for (size_t i = 0; i < saved->n; i++)
        if (r->known[i] && !agrees(&r->cur[i], &saved->layer[i]))
            return bad(r, "its steps lead to another configuration");
    return BD_OK;
}

static bd_status read_all(struct reading *r, struct bd_history *h,
                          const cJSON *root, const struct bd_bitcfg *saved)
{
    const cJSON *item, *steps = cJSON_GetObjectItem(root, "steps");
    int now;
    bd_status st = read_start(r, cJSON_GetObjectItem(root, "start"));
    if (st == BD_OK && !cJSON_IsArray(steps))
        st = bad(r, "no steps");
    if (st != BD_OK)
        return st;
    cJSON_ArrayForEach(item, steps)
        if ((st = read_step(r, h, item)) != BD_OK)
            return st;
    if (!whole(&now, cJSON_GetObjectItem(root, "now"), h->n + 1))
        return bad(r, "no place among its steps");
    h->now = (size_t)now;
    return check_end(r, h, saved);
}

size_t bd_steps_find(const char *text, size_t n)
{
    size_t len = sizeof mark - 1;
    for (size_t i = 0; i + len <= n; i++)
        if (text[i] == ',' && memcmp(text + i, mark, len) == 0)
            return i;
    return n;
}

bd_status bd_steps_read(struct bd_history *out, const struct bd_model *m,
                        const struct bd_bitcfg *saved, struct bd_text text,
                        struct bd_err *err)
{
    size_t n = m->nlayers, skip = sizeof mark - 1;
    struct reading r = {.m = m, .err = err};
    cJSON *root = NULL;
    r.cur = bd_calloc(n, sizeof *r.cur);
    r.known = bd_calloc(n, sizeof *r.known);
    bd_status st = r.cur && r.known
                       ? BD_OK
                       : bd_fail(err, BD_ENOMEM, "out of memory");
    if (st == BD_OK && (text.n < skip + 3 ||
                        memcmp(text.s + text.n - 3, "\n}\n", 3) != 0))
        st = bad(&r, "it ends too early");
    if (st == BD_OK)
        st = bd_json_parse(&root, text.s + skip, text.n - skip - 3, err);
    if (st == BD_OK)
        st = read_all(&r, out, root, saved);
    if (st != BD_OK)
        bd_history_done(out);
    for (size_t i = 0; r.cur && i < n; i++)
        bd_layercfg_done(&r.cur[i]);
    bd_free(r.cur);
    bd_free(r.known);
    cJSON_Delete(root);
    return st;
}
