/* What a user chooses for a tensor: as text ("apot:4:channel:mse"), compared,
 * digested; and the shared widths per channel. */
#include <stdio.h>
#include <stdlib.h>

#include "quant_priv.h"

const char *const bd_grain_names[] = {"tensor", "channel", "group", NULL};

/* ------------------------------------------------- widths per channel */
struct bd_chanbits *bd_chanbits_new(const int8_t *bits, int n)
{
    struct bd_chanbits *c;

    if (n < 0)
        return NULL;
    c = bd_alloc(1, sizeof(*c) + (size_t)n);
    if (!c)
        return NULL;
    c->refs = 1;
    c->n = n;
    memcpy(c->bits, bits, (size_t)n);
    return c;
}

/* Only the count changes behind the const: the widths never do. */
static struct bd_chanbits *writable(const struct bd_chanbits *c)
{
    return (struct bd_chanbits *)(uintptr_t)c;
}

const struct bd_chanbits *bd_chanbits_ref(const struct bd_chanbits *c)
{
    if (c)
        __atomic_add_fetch(&writable(c)->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void bd_chanbits_unref(const struct bd_chanbits *c)
{
    if (c && __atomic_sub_fetch(&writable(c)->refs, 1, __ATOMIC_ACQ_REL) == 0)
        bd_free(writable(c));
}

/* ------------------------------------------------- planes of a bottleneck */
struct bd_planes *bd_planes_new(const struct bd_planecode *c)
{
    struct bd_planes *p = bd_alloc(1, sizeof(*p));

    if (p) {
        p->refs = 1;
        p->code = *c;
    }
    return p;
}

static struct bd_planes *counted(const struct bd_planes *p)
{
    return (struct bd_planes *)(uintptr_t)p;
}

const struct bd_planes *bd_planes_ref(const struct bd_planes *p)
{
    if (p)
        __atomic_add_fetch(&counted(p)->refs, 1, __ATOMIC_RELAXED);
    return p;
}

void bd_planes_unref(const struct bd_planes *p)
{
    if (p && __atomic_sub_fetch(&counted(p)->refs, 1, __ATOMIC_ACQ_REL) == 0)
        bd_free(counted(p));
}

int bd_planecode_kept(const struct bd_planecode *c)
{
    return __builtin_popcount(c->mask);
}

bd_status bd_planecode_check(const struct bd_planecode *c, struct bd_err *err)
{
    if (c->of < 1 || c->of > BD_PLANES)
        return bd_fail(err, BD_EINVALID, "%d planes: 1 to %d work", c->of,
                       BD_PLANES);
    if (c->mask >> c->of != 0)
        return bd_fail(err, BD_EINVALID,
                       "mask %u keeps planes beyond the %d there are", c->mask,
                       c->of);
    for (int k = 0; k < BD_PLANES; k++) {
        double a = c->alpha[k];

        if (!isfinite(a) || a < 0)
            return bd_fail(err, BD_EINVALID,
                           "the coefficient of plane %d is %g; it must be "
                           "finite and not below 0",
                           k, a);
        if ((a > 0) != (c->mask >> k & 1))
            return bd_fail(err, BD_EINVALID,
                           "the coefficient of plane %d is %g, but mask %u "
                           "%s it",
                           k, a, c->mask, a > 0 ? "drops" : "keeps");
    }
    return BD_OK;
}

/* ------------------------------------------------------ method and grain */
static bool in_groups_of(const struct bd_tensorcfg *c, int n)
{
    return n > 0 && c->grain == BD_GRAIN_GROUP && c->group == n;
}

void bd_tensorcfg_pick(struct bd_tensorcfg *cfg, int row)
{
    const struct bd_quantizer *q = bd_quantizer_at(row);
    const struct bd_quantizer *old = bd_quantizer_at(cfg->quant);

    cfg->quant = (uint8_t)row;
    if (old && in_groups_of(cfg, old->group)) {
        cfg->grain = BD_GRAIN_TENSOR;
        cfg->group = 0;
    }
    if (q->group > 0 &&
        (cfg->grain == BD_GRAIN_TENSOR || (q->traits & BD_Q_BLOCKS))) {
        cfg->grain = BD_GRAIN_GROUP;
        cfg->group = (int16_t)q->group;
    }
}

/* The same elements with a scale of any grain: the name without its "mx". */
static const char *without_blocks(const struct bd_quantizer *q)
{
    int row = strncmp(q->name, "mx", 2) == 0 ? bd_quantizer_find(q->name + 2)
                                             : -1;

    return row >= 0 ? bd_quantizer_at(row)->name : "uniform";
}

bd_status bd_tensorcfg_check_grain(const struct bd_tensorcfg *cfg,
                                   struct bd_err *err)
{
    const struct bd_quantizer *q = bd_quantizer_at(cfg->quant);

    if (!q || !(q->traits & BD_Q_BLOCKS) ||
        (in_groups_of(cfg, q->group) && !cfg->channel))
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "'%s' takes only grain 'group%d'; '%s' takes any",
                   q->name, q->group, without_blocks(q));
}

/* --------------------------------------------------------------- parsing */
static bd_status parse_method(struct bd_tensorcfg *cfg, const char *word,
                              struct bd_err *err)
{
    const char *names[64] = {NULL};
    const struct bd_quantizer *const *q = bd_quantizers();
    const char *near;
    char shown[128];
    int row = bd_quantizer_find(word);

    if (row >= 0) {
        bd_tensorcfg_pick(cfg, row);
        if (q[row]->min_bits == q[row]->max_bits)
            cfg->bits = (int8_t)q[row]->min_bits; /* nothing to guess */
        return BD_OK;
    }
    for (int i = 0; q[i] && i < 63; i++)
        names[i] = q[i]->name;
    near = bd_nearest(word, names);
    bd_text_show(shown, sizeof(shown), word, 40);
    return near ? bd_fail(err, BD_EINVALID,
                          "method '%s' is unknown; did you mean '%s'?", shown,
                          near)
                : bd_fail(err, BD_EINVALID,
                          "method '%s' is unknown; try 'uniform' or 'apot'",
                          shown);
}

/* "channel", "group128" */
static bool parse_grain(struct bd_tensorcfg *cfg, const char *word)
{
    int64_t group;

    for (int i = 0; i < BD_GRAIN_GROUP; i++)
        if (strcmp(word, bd_grain_names[i]) == 0) {
            cfg->grain = (uint8_t)i;
            cfg->group = 0;
            return true;
        }
    if (strncmp(word, "group", 5) != 0 ||
        !bd_parse_int(&group, word + 5, 2, INT16_MAX))
        return false;
    cfg->grain = BD_GRAIN_GROUP;
    cfg->group = (int16_t)group;
    return true;
}

static bool parse_clip(struct bd_tensorcfg *cfg, const char *word)
{
    enum bd_clip_rule rule;

    if (!bd_clip_parse(&rule, &cfg->clip_value, word))
        return false;
    cfg->clip = (uint8_t)rule;
    return true;
}

static bd_status parse_word(struct bd_tensorcfg *cfg, const char *word,
                            int place, struct bd_err *err)
{
    int64_t bits;
    char shown[128];

    if (place == 0)
        return parse_method(cfg, word, err);
    if (place == 1 && bd_parse_int(&bits, word, 1, 32)) {
        cfg->bits = (int8_t)bits;
        return BD_OK;
    }
    if (place > 1 && (parse_grain(cfg, word) || parse_clip(cfg, word)))
        return BD_OK;
    bd_text_show(shown, sizeof(shown), word, 40);
    return bd_fail(err, BD_EINVALID,
                   place == 1 ? "'%s' is not a width; 1 to 16, or 32 for float"
                              : "'%s' is neither a grain (tensor, channel, "
                                "group128) nor a clip rule (max, mse, "
                                "percentile99.9, kl, aciq, ema, "
                                "manual0.17, learned)",
                   shown);
}

/* Legal for the method in one of its two roles. */
static bd_status check_choice(const struct bd_tensorcfg *c, struct bd_err *err)
{
    bool weights = (bd_quantizer_at(c->quant)->traits & BD_Q_WEIGHTS) != 0;
    bd_status s = bd_quantizer_check(c->quant, c->bits, weights, err);

    return s == BD_OK && c->bits != 32 ? bd_tensorcfg_check_grain(c, err) : s;
}

bd_status bd_tensorcfg_parse(struct bd_tensorcfg *cfg, const char *text,
                             struct bd_err *err)
{
    struct bd_tensorcfg c = *cfg;
    char word[64];
    bd_status s = BD_OK;

    if (strcmp(text, "float") == 0) {
        cfg->bits = 32;
        return BD_OK;
    }
    for (int place = 0; s == BD_OK && text; place++) {
        size_t n = strcspn(text, ":");

        if (n >= sizeof(word) || place > 3)
            return bd_fail(err, BD_EINVALID,
                           "a choice reads METHOD:BITS:GRAIN:CLIP, as in "
                           "apot:4:channel:mse");
        memcpy(word, text, n);
        word[n] = '\0';
        s = parse_word(&c, word, place, err);
        text = text[n] == ':' ? text + n + 1 : NULL;
    }
    if (s == BD_OK)
        s = check_choice(&c, err);
    if (s == BD_OK)
        *cfg = c;
    return s;
}

/* --------------------------------------------------------------- writing */
/* Shortest digits that read back to the same float. */
static void put_value(char *out, size_t cap, float v)
{
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(out, cap, "%.*g", digits, (double)v);
        if (strtof(out, NULL) == v)
            return;
    }
}

char *bd_tensorcfg_text(char *out, size_t cap, const struct bd_tensorcfg *c)
{
    const struct bd_quantizer *q = bd_quantizer_at(c->quant);
    char group[16] = "", value[32] = "";

    if (c->bits == 32 || !q) {
        snprintf(out, cap, "float");
        return out;
    }
    if (c->grain == BD_GRAIN_GROUP)
        snprintf(group, sizeof(group), "%d", c->group);
    if (bd_clip_numbered(c->clip) && c->clip_value > 0)
        put_value(value, sizeof(value), c->clip_value);
    snprintf(out, cap, "%s:%d:%s%s:%s%s", q->name, c->bits,
             bd_grain_names[c->grain <= BD_GRAIN_GROUP ? c->grain : 0], group,
             bd_clip_names[c->clip < BD_CLIP_RULES ? c->clip : 0], value);
    return out;
}

/* ------------------------------------------------------------ comparing */
static bool same_channels(const struct bd_chanbits *a,
                          const struct bd_chanbits *b)
{
    if (!a || !b)
        return a == b;
    return a == b ||
           (a->n == b->n && memcmp(a->bits, b->bits, (size_t)a->n) == 0);
}

/* NaN never equals itself, but a choice always does: compare the bits. */
static uint32_t float_bits(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

bool bd_planecode_same(const struct bd_planecode *a,
                       const struct bd_planecode *b)
{
    return a->of == b->of && a->mask == b->mask &&
           memcmp(a->alpha, b->alpha, sizeof(a->alpha)) == 0;
}

static bool same_planes(const struct bd_planes *a, const struct bd_planes *b)
{
    if (!a || !b)
        return a == b;
    return a == b || bd_planecode_same(&a->code, &b->code);
}

bool bd_tensorcfg_same(const struct bd_tensorcfg *a,
                       const struct bd_tensorcfg *b)
{
    return a->bits == b->bits && a->quant == b->quant && a->clip == b->clip &&
           a->grain == b->grain && a->group == b->group &&
           float_bits(a->clip_value) == float_bits(b->clip_value) &&
           same_channels(a->channel, b->channel) &&
           same_planes(a->planes, b->planes);
}

/* Equal choices have equal digests; all that leave a tensor in float share
 * one, whatever method they remember. */
uint64_t bd_tensorcfg_digest(const struct bd_tensorcfg *c)
{
    int32_t v[7] = {c->bits, c->quant, c->clip, c->grain, c->group, 0, 0};
    uint32_t value = float_bits(c->clip_value);
    uint64_t d;

    if (c->bits == 32 && !c->channel)
        return bd_digest("float", 5, 0);
    memcpy(&v[5], &value, sizeof(value));
    v[6] = c->channel ? c->channel->n : -1;
    d = bd_digest(v, sizeof(v), 1);
    if (c->channel)
        d = bd_digest(c->channel->bits, (size_t)c->channel->n, d);
    if (c->planes) {
        int32_t head[2] = {c->planes->code.of, (int32_t)c->planes->code.mask};

        d = bd_digest(head, sizeof(head), d);
        d = bd_digest(c->planes->code.alpha, sizeof(c->planes->code.alpha), d);
    }
    return d;
}
