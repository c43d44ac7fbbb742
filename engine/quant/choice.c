/* What a user chooses for a tensor: as text ("apot:4:channel:mse"), compared,
 * digested; and the shared widths per channel. */
#include <stdio.h>
#include <stdlib.h>

#include "quant_priv.h"

const char *const bd_clip_names[] = {"max",    "percentile", "mse",
                                     "manual", "learned",    NULL};
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

/* --------------------------------------------------------------- parsing */
static bd_status parse_method(struct bd_tensorcfg *cfg, const char *word,
                              struct bd_err *err)
{
    const char *names[32] = {NULL};
    const struct bd_quantizer *const *q = bd_quantizers();
    const char *near;
    char shown[128];
    int row = bd_quantizer_find(word);

    if (row >= 0) {
        cfg->quant = (uint8_t)row;
        return BD_OK;
    }
    for (int i = 0; q[i] && i < 31; i++)
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

/* "mse", "percentile99.9", "manual0.173" */
static bool parse_clip(struct bd_tensorcfg *cfg, const char *word)
{
    for (int i = 0; bd_clip_names[i]; i++) {
        size_t n = strlen(bd_clip_names[i]);
        bool value = i == BD_CLIP_PERCENTILE || i == BD_CLIP_MANUAL;
        double v = 0;

        if (strncmp(word, bd_clip_names[i], n) != 0)
            continue;
        if (word[n] != '\0' && !(value && bd_parse_double(&v, word + n)))
            return false;
        if (i == BD_CLIP_MANUAL && !((float)v > 0 && isfinite((float)v)))
            return false;
        if (i == BD_CLIP_PERCENTILE && word[n] != '\0' && !(v > 0 && v <= 100))
            return false;
        cfg->clip = (uint8_t)i;
        cfg->clip_value = (float)v;
        return true;
    }
    return false;
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
                                "percentile99.9, manual0.17, learned)",
                   shown);
}

/* Legal for the method in one of its two roles. */
static bd_status check_width(const struct bd_tensorcfg *c, struct bd_err *err)
{
    bool weights = (bd_quantizer_at(c->quant)->traits & BD_Q_WEIGHTS) != 0;

    return bd_quantizer_check(c->quant, c->bits, weights, err);
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
        s = check_width(&c, err);
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
    if (c->clip == BD_CLIP_MANUAL ||
        (c->clip == BD_CLIP_PERCENTILE && c->clip_value > 0))
        put_value(value, sizeof(value), c->clip_value);
    snprintf(out, cap, "%s:%d:%s%s:%s%s", q->name, c->bits,
             bd_grain_names[c->grain <= BD_GRAIN_GROUP ? c->grain : 0], group,
             bd_clip_names[c->clip <= BD_CLIP_LEARNED ? c->clip : 0], value);
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

bool bd_tensorcfg_same(const struct bd_tensorcfg *a,
                       const struct bd_tensorcfg *b)
{
    return a->bits == b->bits && a->quant == b->quant && a->clip == b->clip &&
           a->grain == b->grain && a->group == b->group &&
           float_bits(a->clip_value) == float_bits(b->clip_value) &&
           same_channels(a->channel, b->channel);
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
    return d;
}
