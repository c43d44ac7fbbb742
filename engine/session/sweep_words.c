/* A sweep in words, as a person types them: "kl 2-8 w,a alone-off
 * images=256 methods=uniform,apot:channel:mse". */
#include "session/session_priv.h"

#include <stdio.h>
#include <string.h>

static int find(const char *const *names, const char *word)
{
    for (int k = 0; names[k]; k++)
        if (names[k][0] && strcmp(names[k], word) == 0)
            return k;
    return -1;
}

/* Comma-separated names, all of one list. */
static bool mask_of(unsigned *mask, const char *const *names, const char *word)
{
    char part[32];
    unsigned m = 0;

    for (const char *s = word; *s;) {
        size_t n = strcspn(s, ",");

        snprintf(part, sizeof part, "%.*s", (int)n, s);
        int at = n < sizeof part ? find(names, part) : -1;
        if (at < 0)
            return false;
        m |= 1u << at;
        s += n + (s[n] == ',');
    }
    *mask |= m;
    return m != 0;
}

/* "4", "2-8", "2,4,8". */
static bool widths_of(struct bd_sweep_opts *o, const char *word)
{
    char part[16];

    o->nbits = 0;
    for (const char *s = word; *s;) {
        size_t n = strcspn(s, ",");
        int lo, hi, used = 0;

        snprintf(part, sizeof part, "%.*s", (int)n, s);
        if (sscanf(part, "%d-%d%n", &lo, &hi, &used) != 2 || part[used]) {
            used = 0;
            if (sscanf(part, "%d%n", &lo, &used) != 1 || part[used])
                return false;
            hi = lo;
        }
        for (; lo <= hi && o->nbits < 16; lo++)
            o->bits[o->nbits++] = lo;
        if (lo <= hi)
            return false;
        s += n + (s[n] == ',');
    }
    return o->nbits > 0;
}

static bool word_of(struct bd_sweep_opts *o, const char *word)
{
    int mode = find(bd_sens_mode_names, word);

    if (mode >= 0)
        o->mode = (enum bd_sens_mode)mode;
    if (mode >= 0 || mask_of(&o->metrics, bd_sens_metric_names, word) ||
        mask_of(&o->what, bd_sens_what_names, word))
        return true;
    if (strcmp(word, "all-images") == 0)
        return o->no_early_stop = true;
    if (strncmp(word, "images=", 7) == 0)
        return bd_parse_int(&o->images, word + 7, 1, INT64_MAX);
    return word[0] >= '0' && word[0] <= '9' && widths_of(o, word);
}

bd_status bd_sweep_words(struct bd_sweep_opts *o, const char *text,
                         struct bd_err *err)
{
    char word[64], show[96];

    *o = (struct bd_sweep_opts){0};
    for (const char *s = text + strspn(text, " "); *s;) {
        size_t n = strcspn(s, " ");

        if (strncmp(s, "methods=", 8) == 0) {
            o->methods = s + 8;
            return BD_OK;
        }
        snprintf(word, sizeof word, "%.*s", (int)n, s);
        if (n >= sizeof word || !word_of(o, word))
            return bd_fail(err, BD_EINVALID,
                           "'%s': a sweep takes kl top1 loss out-mse fisher, "
                           "w a wa, widths as 2-8, alone-on alone-off "
                           "cumulative, images=256, methods=...",
                           bd_text_show(show, sizeof show, word, 0));
        s += n;
        s += strspn(s, " ");
    }
    return BD_OK;
}
