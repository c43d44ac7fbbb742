/* Decibels and intervals: small formulas with their edge cases. */
#include <math.h>

#include "metrics/metrics.h"

/* No error is infinitely good; error without signal is infinitely bad. */
static double ratio_db(double signal, double noise)
{
    if (!(noise > 0))
        return INFINITY;
    return signal > 0 ? 10 * log10(signal / noise) : -INFINITY;
}

double bd_psnr_db(double peak, double mse)
{
    return ratio_db(peak * peak, mse);
}

double bd_sqnr_db(double power, double mse)
{
    return ratio_db(power, mse);
}

/* Wilson's score interval at 95 %: unlike the normal approximation it stays
 * inside [0,1] and says something at 0 and n right. */
void bd_wilson(double *lo, double *hi, int64_t right, int64_t n)
{
    const double z = 1.959963984540054, z2 = z * z;
    double m = (double)n, p, mid, half;

    if (n <= 0) {
        *lo = 0;
        *hi = 1;
        return;
    }
    p = (double)right / m;
    mid = (p + z2 / (2 * m)) / (1 + z2 / m);
    half = z / (1 + z2 / m) * sqrt(p * (1 - p) / m + z2 / (4 * m * m));
    *lo = fmax(0, mid - half);
    *hi = fmin(1, mid + half);
}
