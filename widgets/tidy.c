/* Tidy axes: steps of 1, 2 or 5 times a power of ten, and numbers written as
 * short as they can be ("-.17", "0", "4k"). */
#include "wg_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double wg_nice_step(double span, int n)
{
    if (!(span > 0) || !isfinite(span)) {
        return 1;
    }
    double raw = span / (n < 1 ? 1 : n);
    double unit = pow(10, floor(log10(raw)));
    double m = raw / unit;
    /* a hair of slack: 0.3 / 3 is not exactly 0.1 */
    double nice = m <= 1.0001 ? 1 : m <= 2.0001 ? 2 : m <= 5.0001 ? 5 : 10;

    return unit > 0 ? nice * unit : raw;
}

/* Digits behind the point so that neighbours one step apart differ. */
static int decimals(double step)
{
    double d = -floor(log10(step) + 1e-9);
    return d < 0 ? 0 : d > 9 ? 9 : (int)d;
}

char *wg_tidy_number(char *out, size_t cap, double v, double step)
{
    char buf[64];
    char *p = buf;
    double a = fabs(v);

    if (!isfinite(v)) {
        snprintf(out, cap, "%s", isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return out;
    }
    if (!(step > 0)) {
        step = a > 0 ? a : 1;
    }
    if (a < step * 1e-6) {
        snprintf(out, cap, "0");
        return out;
    }
    if (a >= 1e5 || step < 1e-4) {
        snprintf(out, cap, "%.3g", v);
        return out;
    }
    snprintf(buf, sizeof buf, "%.*f", decimals(step), v);
    /* ".17" says the same as "0.17" in less room */
    if (a < 1 && buf[0] == '0' && buf[1] == '.') {
        p = buf + 1;
    } else if (a < 1 && strncmp(buf, "-0.", 3) == 0) {
        buf[1] = '-';
        p = buf + 1;
    }
    snprintf(out, cap, "%s", p);
    return out;
}

char *wg_tidy_count(char *out, size_t cap, double v)
{
    static const struct {
        double unit;
        const char *name;
    } table[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};
    size_t i = 0;

    while (i < 4 && v < table[i].unit * 0.9995) {
        i++;
    }
    double q = v / table[i].unit;
    bool whole = fabs(q - rint(q)) < 0.05 || q >= 9.95;
    snprintf(out, cap, "%.*f%s", whole ? 0 : 1, q, table[i].name);
    return out;
}
