/* Preprocessing as text: a preset, a list of key=value, or a preset with
 * some keys changed ("caffe-bgr,crop=227").  Applying it is data.c's and
 * picture.c's business. */
#include "data/data_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct preset {
    const char *name;
    struct bd_prep p;
};

/* clang-format off */
static const struct preset presets[] = {
    {"imagenet", {256, 224, 1.0 / 255, {.485, .456, .406},
                  {.229, .224, .225}, false}},
    {"cifar10", {0, 0, 1.0 / 255, {.4914, .4822, .4465},
                 {.2471, .2435, .2616}, false}},
    {"cifar10-akamaster", {0, 0, 1.0 / 255, {.485, .456, .406},
                           {.229, .224, .225}, false}},
    {"cifar10-apot", {0, 0, 1.0 / 255, {.491, .482, .447},
                      {.247, .243, .262}, false}},
    {"mnist01", {0, 0, 1.0 / 255, {0, 0, 0}, {1, 1, 1}, false}},
    {"raw255", {0, 0, 1.0, {0, 0, 0}, {1, 1, 1}, false}},
    /* Caffe crops to whatever the network takes, 224 or 227. */
    {"caffe-bgr", {256, DATA_CROP_NET, 1.0, {104, 117, 123}, {1, 1, 1},
                   true}},
};
/* clang-format on */
enum { NPRESETS = sizeof presets / sizeof *presets };

static const char preset_list[] =
    "imagenet, cifar10, cifar10-akamaster, cifar10-apot, mnist01, raw255, "
    "caffe-bgr";

/* NULL when the word is no preset; it may still be key=value. */
static const struct preset *find_preset(const char *name)
{
    for (int k = 0; k < NPRESETS; k++) {
        if (strcmp(presets[k].name, name) == 0)
            return &presets[k];
    }
    return NULL;
}

/* "0.5" or "1/255". */
static bool parse_ratio(double *out, const char *s)
{
    char top[64];
    const char *slash = strchr(s, '/');
    double a, b = 1.0;

    if (!slash)
        return bd_parse_double(out, s);
    if ((size_t)(slash - s) >= sizeof top)
        return false;
    memcpy(top, s, (size_t)(slash - s));
    top[slash - s] = '\0';
    if (!bd_parse_double(&a, top) || !bd_parse_double(&b, slash + 1) ||
        b == 0.0)
        return false;
    *out = a / b;
    return isfinite(*out);
}

/* "a:b:c", or one number for all three. */
static bool parse_triple(double out[3], const char *s)
{
    char part[256];
    int n = 0;

    if (strlen(s) >= sizeof part)
        return false;
    memcpy(part, s, strlen(s) + 1);
    for (char *save = NULL, *t = strtok_r(part, ":", &save); t;
         t = strtok_r(NULL, ":", &save)) {
        if (n == 3 || !parse_ratio(&out[n++], t))
            return false;
    }
    if (n == 1)
        out[1] = out[2] = out[0];
    return n == 1 || n == 3;
}

/* 0 switches the step off. */
static bool set_side(int *out, const char *v)
{
    int64_t n;

    if (!bd_parse_int(&n, v, 0, BD_MAX_PICTURE_SIDE))
        return false;
    *out = (int)n;
    return true;
}

static bool set_crop(struct bd_prep *p, const char *v)
{
    if (strcmp(v, "net") == 0) {
        p->crop = DATA_CROP_NET;
        return true;
    }
    return set_side(&p->crop, v);
}

static bool set_resize(struct bd_prep *p, const char *v)
{
    return set_side(&p->resize, v);
}

static bool set_scale(struct bd_prep *p, const char *v)
{
    return parse_ratio(&p->scale, v);
}

static bool set_mean(struct bd_prep *p, const char *v)
{
    return parse_triple(p->mean, v);
}

/* Divided by, so it must be above zero. */
static bool set_std(struct bd_prep *p, const char *v)
{
    return parse_triple(p->std, v) && p->std[0] > 0.0 && p->std[1] > 0.0 &&
           p->std[2] > 0.0;
}

static bool set_order(struct bd_prep *p, const char *v)
{
    p->bgr = strcmp(v, "bgr") == 0;
    return p->bgr || strcmp(v, "rgb") == 0;
}

struct key {
    const char *name, *takes;
    bool (*set)(struct bd_prep *p, const char *v);
};

static const struct key keys[] = {
    {"resize", "the shortest side in pixels", set_resize},
    {"crop", "a side in pixels, or net", set_crop},
    {"scale", "a number such as 1/255", set_scale},
    {"mean", "three numbers such as .485:.456:.406", set_mean},
    {"std", "three numbers above 0 such as .229:.224:.225", set_std},
    {"order", "rgb or bgr", set_order},
};

/* The nearest preset or key, or the whole list when none is near. */
static bd_status unknown(const char *word, struct bd_err *err)
{
    const char *names[NPRESETS + sizeof keys / sizeof *keys + 1] = {NULL};
    const char *near;
    char show[96];
    size_t n = 0;

    for (int k = 0; k < NPRESETS; k++)
        names[n++] = presets[k].name;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        names[n++] = keys[k].name;
    near = bd_nearest(word, names);
    bd_text_show(show, sizeof show, word, 0);
    if (near)
        return bd_fail(err, BD_EINVALID,
                       "preprocess '%s' is not known; did you mean '%s'?", show,
                       near);
    return bd_fail(err, BD_EINVALID,
                   "preprocess '%s' is not known; presets are %s; keys are "
                   "resize, crop, scale, mean, std, order",
                   show, preset_list);
}

/* `seen` has a bit per key: of two values for one, whichever was meant, the
 * other would silently be ignored. */
static bd_status set_key(struct bd_prep *p, unsigned *seen, char *word,
                         struct bd_err *err)
{
    char *eq = strchr(word, '=');
    char show[96];

    if (!eq)
        return unknown(word, err);
    *eq = '\0';
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        if (strcmp(keys[k].name, word) != 0)
            continue;
        if (*seen & 1u << k)
            return bd_fail(err, BD_EINVALID, "preprocess: %s stands twice",
                           word);
        *seen |= 1u << k;
        if (keys[k].set(p, eq + 1))
            return BD_OK;
        return bd_fail(err, BD_EINVALID, "preprocess %s=%s: %s takes %s", word,
                       bd_text_show(show, sizeof show, eq + 1, 0), word,
                       keys[k].takes);
    }
    return unknown(word, err);
}

bd_status bd_prep_parse(struct bd_prep *out, const char *text,
                        struct bd_err *err)
{
    struct bd_prep p = {.scale = 1.0, .std = {1.0, 1.0, 1.0}};
    char *copy = bd_strdup(text), *save = NULL;
    bd_status st = BD_OK;
    unsigned seen = 0;
    int n = 0;

    if (!copy)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    for (char *t = strtok_r(copy, ",", &save); t && st == BD_OK;
         t = strtok_r(NULL, ",", &save)) {
        const struct preset *known = n++ == 0 ? find_preset(t) : NULL;

        if (known)
            p = known->p;
        else
            st = set_key(&p, &seen, t, err);
    }
    if (st == BD_OK && n == 0)
        st = bd_fail(err, BD_EINVALID, "preprocess is empty; presets are %s",
                     preset_list);
    bd_free(copy);
    if (st == BD_OK)
        *out = p;
    return st;
}

static bool same_triple(const double a[3], const double b[3])
{
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* Exact equality: presets are recognised only when untouched. */
static bool same(const struct bd_prep *a, const struct bd_prep *b)
{
    return a->resize == b->resize && a->crop == b->crop &&
           a->scale == b->scale && a->bgr == b->bgr &&
           same_triple(a->mean, b->mean) && same_triple(a->std, b->std);
}

/* Appends as far as there is room; out always ends with NUL.  No allocation:
 * what is written here goes into files and must not lack a part. */
static void put_text(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out);

    snprintf(out + n, cap - n, "%s", text);
}

/* The shortest text that reads back to the same number. */
static void put_number(char *out, size_t cap, double v)
{
    char text[40];
    double back;

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (bd_parse_double(&back, text) && back == v)
            break;
    }
    put_text(out, cap, text);
}

static void put_triple(char *out, size_t cap, const char *key,
                       const double v[3])
{
    put_text(out, cap, key);
    for (int k = 0; k < 3; k++) {
        put_text(out, cap, k ? ":" : "");
        put_number(out, cap, v[k]);
    }
}

char *bd_prep_text(char *out, size_t cap, const struct bd_prep *p)
{
    for (int k = 0; k < NPRESETS; k++) {
        if (same(&presets[k].p, p)) {
            snprintf(out, cap, "%s", presets[k].name);
            return out;
        }
    }
    if (p->crop == DATA_CROP_NET)
        snprintf(out, cap, "resize=%d,crop=net,scale=", p->resize);
    else
        snprintf(out, cap, "resize=%d,crop=%d,scale=", p->resize, p->crop);
    if (p->scale == 1.0 / 255)
        put_text(out, cap, "1/255");
    else
        put_number(out, cap, p->scale);
    put_triple(out, cap, ",mean=", p->mean);
    put_triple(out, cap, ",std=", p->std);
    put_text(out, cap, p->bgr ? ",order=bgr" : ",order=rgb");
    return out;
}
