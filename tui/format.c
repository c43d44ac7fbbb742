/* format.c: numbers as text.  Widths are part of the promise: a column of
 * numbers keeps its digits aligned whatever the numbers do. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui.h"

/* The one sign that has no ASCII relative of one cell. */
const char *ui_pm(const struct ui *ui)
{
    return ui->glyphs == WG_ASCII ? "+-" : "\xc2\xb1";
}

char *ui_fmt_size(char *out, size_t cap, double bytes)
{
    static const char *const unit[] = {"B", "KB", "MB", "GB", "TB"};
    int u = 0;
    while (bytes >= 1000 && u < 4) { /* 1000: never four digits */
        bytes /= 1024;
        u++;
    }
    int digits = u == 0 ? 0 : bytes < 10 ? 2 : bytes < 100 ? 1 : 0;
    snprintf(out, cap, "%.*f %s", digits, bytes, unit[u]);
    return out;
}

/* Thousands are parted by a blank, as in print. */
char *ui_fmt_count(char *out, size_t cap, int64_t n)
{
    char raw[32];
    int len = snprintf(raw, sizeof raw, "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < cap; i++) {
        if (i > 0 && raw[i - 1] != '-' && (len - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = raw[i];
    }
    if (cap)
        out[at] = 0;
    return out;
}

char *ui_fmt_sci(char *out, size_t cap, double v)
{
    if (isnan(v))
        snprintf(out, cap, "-");
    else if (v == 0)
        snprintf(out, cap, "0");
    else
        snprintf(out, cap, "%.2e", v);
    return out;
}

/* Rounded up: a job that says 1 s left should not take two. */
char *ui_fmt_time(char *out, size_t cap, double seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 99.5)
        snprintf(out, cap, "%.0f s", ceil(seconds));
    else if (seconds < 5400)
        snprintf(out, cap, "%.0f min", ceil(seconds / 60));
    else
        snprintf(out, cap, "%.1f h", seconds / 3600);
    return out;
}

/* Four significant digits, whatever the size: weights live near zero. */
char *ui_fmt_short(char *out, size_t cap, double v)
{
    double a = fabs(v);
    if (isnan(v))
        snprintf(out, cap, "-");
    else if (a != 0 && (a < 1e-3 || a >= 1e5))
        snprintf(out, cap, "%.1e", v);
    else
        snprintf(out, cap, "%.*f", a < 1 ? 4 : a < 10 ? 3 : a < 100 ? 2 : 1,
                 v);
    return out;
}

/* Lossless is infinite; that is worth showing, not hiding. */
char *ui_fmt_db(char *out, size_t cap, enum bd_fresh f, double db)
{
    const char *mark = f == BD_STALE ? "~" : "";
    if (f == BD_ABSENT || isnan(db))
        snprintf(out, cap, "%s", "");
    else if (isinf(db))
        snprintf(out, cap, "%sinf", mark);
    else
        snprintf(out, cap, "%s%.1f", mark, db);
    return out;
}

char *ui_fmt_bits(char *out, size_t cap, const struct bd_tensorcfg *c)
{
    if (c->channel)
        snprintf(out, cap, "mix");
    else if (c->bits >= 32)
        snprintf(out, cap, "fp");
    else
        snprintf(out, cap, "%d", c->bits);
    return out;
}

/* Exact loses the interval, stale gets its tilde, partial shows both the
 * interval and how much of the data it rests on. */
char *ui_fmt_top1(char *out, size_t cap, const struct ui *ui, enum bd_fresh f,
                  const struct bd_net_eval *e)
{
    double pc = 100 * e->top1;
    int digits;
    switch (f) {
    case BD_ABSENT:
        snprintf(out, cap, "...");
        break;
    case BD_STALE:
        snprintf(out, cap, "~%.1f %%", pc);
        break;
    case BD_PARTIAL: /* half the interval; it is nearly symmetric */
        digits = snprintf(NULL, 0, "%lld", (long long)e->total);
        snprintf(out, cap, "%.1f %s%.1f [%*lld/%lld]", pc, ui_pm(ui),
                 50 * (e->ci_hi - e->ci_lo), digits, (long long)e->images,
                 (long long)e->total);
        break;
    case BD_EXACT:
        snprintf(out, cap, "%.1f %%", pc);
        break;
    }
    return out;
}

/* Colour repeats what ~ and the interval say. */
enum wg_role ui_fresh_role(enum bd_fresh f)
{
    switch (f) {
    case BD_STALE:
        return WG_STALE;
    case BD_PARTIAL:
        return WG_PARTIAL;
    case BD_ABSENT:
        return WG_DIM;
    case BD_EXACT:
        break;
    }
    return WG_NUMBER;
}
