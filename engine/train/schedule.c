/* Learning rates over time, one row each. */
#include "train_priv.h"

#include <math.h>
#include <string.h>

/* Half a wave from 1 to 0 (Loshchilov and Hutter 2017, without restarts). */
static double cosine(double x)
{
    return 0.5 * (1.0 + cos(3.14159265358979323846 * x));
}

/* A tenth at half time, a hundredth in the last quarter (He et al. 2016). */
static double step(double x)
{
    return x < 0.5 ? 1.0 : x < 0.75 ? 0.1 : 0.01;
}

static double constant(double x)
{
    (void)x;
    return 1.0;
}

static const struct bd_schedule schedules[] = {
    {"cosine", cosine},
    {"step", step},
    {"constant", constant},
};

const struct bd_schedule *bd_train_schedule(const char *name)
{
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        if (strcmp(schedules[i].name, name) == 0)
            return &schedules[i];
    return NULL;
}

const char *const *bd_train_schedule_names(void)
{
    static const char *const names[] = {"cosine", "step", "constant", NULL};
    return names;
}
