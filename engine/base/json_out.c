/* JSON out, streaming.  The writer exists beside cJSON because documents
 * promise fixed key order, shortest numbers that read back equal, and the
 * same bytes for the same input. */
#include "base/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_inline(const struct bd_json *j)
{
    return !j->pretty || (j->inline_mask >> j->depth & 1) != 0;
}

static void line_break(struct bd_json *j)
{
    bd_str_puts(&j->out, "\n");
    for (int i = 0; i < j->depth; i++)
        bd_str_puts(&j->out, "  ");
}

/* Quotes and escapes; odd bytes become \u00XX so that nothing is lost. */
static void put_string(struct bd_json *j, const char *v)
{
    size_t n = strlen(v);

    bd_str_puts(&j->out, "\"");
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t used = bd_utf8_decode(&cp, v + i, n - i);

        if (used == 0) {
            cp = 0xDC00u + (unsigned char)v[i]; /* lone surrogate: a byte */
            used = 1;
        }
        if (cp == '"' || cp == '\\')
            bd_str_printf(&j->out, "\\%c", (char)cp);
        else if (cp >= 0x20 && cp < 0x7F)
            bd_str_put(&j->out, v + i, 1);
        else if (cp < 0x10000)
            bd_str_printf(&j->out, "\\u%04x", (unsigned)cp);
        else
            bd_str_printf(&j->out, "\\u%04x\\u%04x",
                          (unsigned)(0xD800 + ((cp - 0x10000) >> 10)),
                          (unsigned)(0xDC00 + ((cp - 0x10000) & 0x3FF)));
        i += used;
    }
    bd_str_puts(&j->out, "\"");
}

/* Comma, line break and key before a value. */
static void before(struct bd_json *j, const char *key)
{
    if (j->comma)
        bd_str_puts(&j->out, j->pretty && is_inline(j) ? ", " : ",");
    if (j->depth > 0 && !is_inline(j))
        line_break(j);
    if (key != NULL) {
        put_string(j, key);
        bd_str_puts(&j->out, j->pretty ? ": " : ":");
    }
    j->comma = true;
}

static void open_level(struct bd_json *j, const char *key, const char *mark,
                       bool on_line)
{
    bool parent = is_inline(j);

    before(j, key);
    bd_str_puts(&j->out, mark);
    j->depth++;
    if (j->depth < 64) {
        j->inline_mask &= ~(1ull << j->depth);
        if (on_line || (parent && j->depth > 1))
            j->inline_mask |= 1ull << j->depth;
    }
    j->comma = false;
}

static void close_level(struct bd_json *j, const char *mark)
{
    bool was_inline = is_inline(j), had = j->comma;

    j->depth--;
    if (!was_inline && had)
        line_break(j);
    bd_str_puts(&j->out, mark);
    j->comma = true;
    if (j->depth == 0)
        bd_str_puts(&j->out, "\n");
}

void bd_json_obj(struct bd_json *j, const char *key)
{
    open_level(j, key, "{", false);
}

void bd_json_obj_end(struct bd_json *j)
{
    close_level(j, "}");
}

void bd_json_arr(struct bd_json *j, const char *key)
{
    open_level(j, key, "[", false);
}

void bd_json_raw(struct bd_json *j, const char *key, const char *text)
{
    size_t n = strlen(text);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    before(j, key);
    bd_str_put(&j->out, text, n);
}

void bd_json_arr_inline(struct bd_json *j, const char *key)
{
    open_level(j, key, "[", true);
}

void bd_json_arr_end(struct bd_json *j)
{
    close_level(j, "]");
}

void bd_json_str(struct bd_json *j, const char *key, const char *v)
{
    before(j, key);
    put_string(j, v);
}

/* Fewest digits, from `least` up to `most`, that read back to v. */
static void put_number(struct bd_json *j, const char *key, double v, int most)
{
    char buf[40];

    before(j, key);
    if (!isfinite(v)) {
        bd_str_puts(&j->out, "null");
        return;
    }
    for (int digits = 1; digits <= most; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, v);
        if (most > 9 ? strtod(buf, NULL) == v
                     : strtof(buf, NULL) == (float)v)
            break;
    }
    bd_str_puts(&j->out, buf);
}

void bd_json_f64(struct bd_json *j, const char *key, double v)
{
    put_number(j, key, v, 17);
}

void bd_json_f32(struct bd_json *j, const char *key, float v)
{
    put_number(j, key, (double)v, 9);
}

void bd_json_int(struct bd_json *j, const char *key, int64_t v)
{
    before(j, key);
    bd_str_printf(&j->out, "%lld", (long long)v);
}

void bd_json_bool(struct bd_json *j, const char *key, bool v)
{
    before(j, key);
    bd_str_puts(&j->out, v ? "true" : "false");
}

void bd_json_null(struct bd_json *j, const char *key)
{
    before(j, key);
    bd_str_puts(&j->out, "null");
}

void bd_json_done(struct bd_json *j)
{
    bd_str_done(&j->out);
}
