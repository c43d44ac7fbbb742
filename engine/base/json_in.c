/* JSON in.  cJSON keeps one of two equal keys, cuts strings at \u0000 and
 * ignores what follows; documents that carry a user's choices need more.  A
 * strict scan of the bytes comes first, then cJSON builds the tree.
 *
 * Names are bytes, JSON is UTF-8.  The writer spells a byte that is not UTF-8
 * as the lone surrogate \udc80..\udcff; here, and only here, such an escape
 * becomes that byte again, so that every name survives the round trip. */
#include "base/base.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *s;
    size_t n, at;
    struct bd_err *err;
};

static bd_status bad(struct scan *c, const char *what)
{
    return bd_fail(c->err, BD_EFORMAT, "JSON, byte %zu: %s", c->at, what);
}

/* One string, from its opening quote; \u0000, bad escapes and bad UTF-8 are
 * refused. */
static bd_status scan_string(struct scan *c)
{
    for (c->at++; c->at < c->n;) {
        unsigned char ch = (unsigned char)c->s[c->at];
        uint32_t cp;
        size_t used;

        if (ch == '"') {
            c->at++;
            return BD_OK;
        }
        if (ch < 0x20)
            return bad(c, "a control character in a string");
        if (ch == '\\') {
            if (c->n - c->at >= 6 && memcmp(c->s + c->at, "\\u0000", 6) == 0)
                return bad(c, "\\u0000 in a string");
            c->at += 2;
            continue;
        }
        used = bd_utf8_decode(&cp, c->s + c->at, c->n - c->at);
        if (used == 0)
            return bad(c, "not UTF-8");
        c->at += used;
    }
    return bad(c, "a string does not end");
}

/* The grammar of JSON: no plus, no leading zeros, digits on both sides of
 * the point.  strtod, which cJSON uses, is more generous. */
static bool is_json_number(const char *s)
{
    size_t whole, digits;

    s += *s == '-';
    whole = strspn(s, "0123456789");
    if (whole == 0 || (whole > 1 && *s == '0'))
        return false;
    s += whole;
    if (*s == '.') {
        digits = strspn(++s, "0123456789");
        if (digits == 0)
            return false;
        s += digits;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        digits = strspn(s, "0123456789");
        if (digits == 0)
            return false;
        s += digits;
    }
    return *s == '\0';
}

static bd_status scan_number(struct scan *c)
{
    char buf[64];
    size_t n = 0;
    double v;

    while (c->at + n < c->n && n < sizeof buf - 1 &&
           strchr("+-.0123456789eE", c->s[c->at + n]) != NULL &&
           c->s[c->at + n] != '\0') {
        buf[n] = c->s[c->at + n];
        n++;
    }
    buf[n] = '\0';
    if (!is_json_number(buf) || !bd_parse_double(&v, buf))
        return bad(c, "a number out of range or malformed");
    c->at += n;
    return BD_OK;
}

static bd_status scan_all(struct scan *c)
{
    int depth = 0;
    bd_status s = BD_OK;

    while (c->at < c->n && s == BD_OK) {
        char ch = c->s[c->at];

        if (ch == '"') {
            s = scan_string(c);
        } else if (ch == '-' || (ch >= '0' && ch <= '9')) {
            s = scan_number(c);
        } else if (ch == '{' || ch == '[') {
            if (++depth > BD_MAX_NEST)
                s = bad(c, "nested deeper than 100");
            c->at++;
        } else {
            if (ch == '\0')
                return bad(c, "a NUL byte");
            depth -= ch == '}' || ch == ']';
            c->at++;
        }
    }
    return s;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Where we are in the document, as layers[3].weights; cut when too long. */
struct place {
    char s[256];
};

static size_t enter(struct place *p, const cJSON *child, int index)
{
    size_t mark = strlen(p->s);
    char shown[128];

    if (child->string)
        snprintf(p->s + mark, sizeof p->s - mark, "%s%s", mark ? "." : "",
                 bd_text_show(shown, sizeof shown, child->string, 40));
    else
        snprintf(p->s + mark, sizeof p->s - mark, "[%d]", index);
    return mark;
}

/* Refuses doubled keys of one object: sorted names, equal neighbours. */
static bd_status check_object(const cJSON *o, const struct place *p,
                              struct bd_err *err)
{
    size_t n = (size_t)cJSON_GetArraySize(o), i = 0;
    const char **names = bd_alloc(n, sizeof *names);
    const cJSON *e;
    bd_status s = BD_OK;
    char shown[128];

    if (names == NULL)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    cJSON_ArrayForEach(e, o) names[i++] = e->string;
    qsort(names, n, sizeof *names, by_text);
    for (i = 1; i < n && s == BD_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            s = bd_fail(err, BD_EFORMAT, "JSON: %s%s%s stands twice", p->s,
                        p->s[0] ? "." : "",
                        bd_text_show(shown, sizeof shown, names[i], 60));
    bd_free(names);
    return s;
}

/* Depth is bounded by the scan, so recursion is too. */
static bd_status check_tree(const cJSON *node, struct place *p,
                            struct bd_err *err)
{
    const cJSON *e;
    bd_status s = BD_OK;
    int index = 0;

    if (cJSON_IsObject(node))
        s = check_object(node, p, err);
    cJSON_ArrayForEach(e, node)
    {
        if (s == BD_OK && (cJSON_IsObject(e) || cJSON_IsArray(e))) {
            size_t mark = enter(p, e, index);

            s = check_tree(e, p, err);
            p->s[mark] = '\0';
        }
        index++;
    }
    return s;
}

/* -------------------------------------------------------- escaped bytes */
/* The value of "\uXXXX" at s, or -1. */
static int escape_at(const char *s, size_t left)
{
    int v = 0;

    if (left < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = s[i] != '\0' ? strchr(digits, s[i] | 0x20) : NULL;

        if (d == NULL)
            return -1;
        v = v << 4 | (int)(d - digits);
    }
    return v;
}

static bool is_byte(int v)
{
    return v >= 0xDC80 && v <= 0xDCFF;
}

/* Bytes that stay as they are: a surrogate pair, another escape, or one. */
static size_t kept_at(const char *s, size_t left)
{
    int v = escape_at(s, left);

    if (v >= 0xD800 && v <= 0xDBFF && left >= 12 && s[6] == '\\')
        return 12;
    if (s[0] != '\\' || left < 2)
        return 1;
    return v >= 0 ? 6 : 2;
}

/* Copies text with its byte escapes undone until `stop` bytes are written;
 * returns how many bytes of text that took.  out may be NULL; *made is what
 * was written. */
static size_t undo_bytes(char *out, size_t *made, const struct scan *c,
                         size_t stop)
{
    size_t i = 0;

    for (*made = 0; i < c->n && *made < stop;) {
        int v = escape_at(c->s + i, c->n - i);
        size_t used = is_byte(v) ? 6 : kept_at(c->s + i, c->n - i);
        size_t put = is_byte(v) ? 1 : used;

        if (out != NULL && is_byte(v))
            out[*made] = (char)(v - 0xDC00);
        else if (out != NULL)
            memcpy(out + *made, c->s + i, used);
        *made += put;
        i += used;
    }
    return i;
}

/* The tree of text; offsets in sentences are those of the text given. */
static bd_status build_tree(cJSON **out, struct scan *c)
{
    char *text = bd_alloc(c->n + 1, 1);
    const char *end = NULL;
    size_t n, made;

    if (text == NULL)
        return bd_fail(c->err, BD_ENOMEM, "out of memory");
    undo_bytes(text, &n, c, SIZE_MAX);
    *out = cJSON_ParseWithLengthOpts(text, n, &end, false);
    c->at = undo_bytes(NULL, &made, c, end != NULL ? (size_t)(end - text) : 0);
    bd_free(text);
    if (*out == NULL)
        return bad(c, c->n == 0 ? "the document is empty" : "not JSON here");
    return BD_OK;
}

bd_status bd_json_parse(struct cJSON **out, const char *text, size_t n,
                        struct bd_err *err)
{
    struct scan c = {text, n, 0, err};
    cJSON *root = NULL;
    bd_status s = scan_all(&c);

    if (s == BD_OK)
        s = build_tree(&root, &c);
    if (s != BD_OK)
        return s;
    for (size_t i = c.at; i < n && s == BD_OK; i++)
        if (strchr(" \t\r\n", text[i]) == NULL)
            s = bad(&c, "something follows the document");
    if (s == BD_OK)
        s = check_tree(root, &(struct place){""}, err);
    if (s != BD_OK) {
        cJSON_Delete(root);
        return s;
    }
    *out = root;
    return BD_OK;
}
