/* Clip rule `aciq`: the clip of least squared error if the values follow a
 * Laplace or a Gauss distribution (Banner, Nahshan, Soudry 2019, "Post
 * training 4-bit quantization of convolutional networks for rapid
 * deployment", section 3).
 *
 * Which one: the mean magnitude over the root mean square is sqrt(2/pi) =
 * 0.798 for Gauss and 1/sqrt(2) = 0.707 for Laplace; the nearer wins.
 *
 * Unsigned activations are the upper half of such a distribution (a ReLU cut
 * the rest off), so their shape is measured on the values above zero; the
 * steps then cover one side instead of two, which is worth one bit. */
#include "aciq_priv.h"

#define SQRT_2_PI 0.79788456080286536 /* sqrt(2 / pi) */
#define SQRT_1_2 0.70710678118654752

/* Derivative of the expected squared error by the clip a, for scale 1, up to
 * a positive factor: below zero while clipping costs more than steps.  The
 * steps' error is a^2 / (3 * 4^bits). */
static double slope(double a, double steps, bool laplace)
{
    if (laplace)
        return a / steps - exp(-a);
    return a / steps + a * erfc(a * SQRT_1_2) -
           SQRT_2_PI * exp(-a * a / 2);
}

double bd_aciq(int bits, bool laplace, bool half)
{
    double steps = 3 * ldexp(1, 2 * (bits + (half ? 1 : 0)));
    double lo = 0, hi = 64;

    for (int i = 0; i < 100; i++) {
        double a = (lo + hi) / 2;

        if (slope(a, steps, laplace) < 0)
            lo = a;
        else
            hi = a;
    }
    return (lo + hi) / 2;
}

void bd_calib_aciq(struct bd_qparam *p, const struct bd_calib_fit *f)
{
    double n = (double)f->m.n, mean = 0, rms = 0, a;
    double half[3];
    bool laplace;

    if (p->is_signed) {
        double mid[1] = {p->mu};

        mean = f->src.absdev(f->src.data, p->mu);
        rms = sqrt(f->src.error(f->src.data, mid, NULL, 1) / n);
    } else if (f->stat) {
        bd_actstat_positive(half, f->stat);
        if (half[0] > 0) {
            mean = half[1] / half[0];
            rms = sqrt(half[2] / half[0]);
        }
    }
    if (!(mean > 0) || !(rms > 0))
        return; /* nothing there, or one value only: the largest serves */
    laplace = mean / rms < (SQRT_2_PI + SQRT_1_2) / 2;
    a = bd_aciq(p->bits, laplace, !p->is_signed) * (laplace ? mean : rms);
    p->clip = fmin(p->clip, a / (p->sigma > 0 ? p->sigma : 1));
}
