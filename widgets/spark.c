/* A histogram in one line of cells, for table rows. */
#include "wg_priv.h"

/* An eighth stays free, or rows would melt into one column. */
enum { TALLEST = 7 };

uint32_t wg_eighth(int n, enum wg_glyphs g)
{
    /* ASCII has four heights: a line, a dot, two dots, full. */
    static const char ascii[] = " __..::##";

    n = n < 0 ? 0 : n > 8 ? 8 : n;
    if (g == WG_ASCII) {
        return (uint32_t)ascii[n];
    }
    return n == 0 ? ' ' : 0x2580u + (uint32_t)n;
}

/* Counts of the bins that fall on cell x, or the one bin the cell lies in
 * when there are fewer bins than cells. */
static double cell_count(const int64_t *bins, int nbins, int x, int w)
{
    int a = (int)((int64_t)x * nbins / w);
    int b = (int)((int64_t)(x + 1) * nbins / w);
    double sum = 0;

    if (b <= a) {
        b = a + 1;
    }
    for (int i = a; i < b && i < nbins; i++) {
        sum += bins[i] > 0 ? (double)bins[i] : 0;
    }
    /* mean, so that an uneven split does not make a comb */
    return sum / (b - a);
}

void wg_spark(struct wg_cell *out, int w, const int64_t *bins, int nbins,
              enum wg_glyphs g)
{
    double most = 0;

    for (int x = 0; x < w && nbins > 0; x++) {
        double v = cell_count(bins, nbins, x, w);
        most = v > most ? v : most;
    }
    for (int x = 0; x < w; x++) {
        double v = nbins > 0 && most > 0 ? cell_count(bins, nbins, x, w) : 0;
        int n = v > 0 ? (int)(v / most * TALLEST + 0.5) : 0;
        n = v > 0 && n == 0 ? 1 : n; /* what exists is seen */
        out[x] = (struct wg_cell){wg_eighth(n, g), 0, WG_SPARK, WG_TEXT};
    }
}
