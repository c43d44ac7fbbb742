/* Private to calib/: how statistics of activations are stored, for those who
 * collect (actstat.c, chanstat.c) and those who read (actread.c, fitting). */
#ifndef BD_CALIB_ACTSTAT_PRIV_H
#define BD_CALIB_ACTSTAT_PRIV_H

#include "calib/calib.h"

enum {
    BD_ACT_BLOCKS = 64, /* sign and upper five bits of the exponent */
    BD_ACT_FINE = 7,    /* bits of mantissa a layer's buckets tell apart */
    BD_ACT_COARSE = 3   /* ... and a channel's */
};

struct bd_actbucket {
    int64_t n;
    uint64_t low, low2;
};

/* Where a group of statistics gets its blocks from, and how many. */
struct bd_actpurse {
    size_t spent, most;
    struct bd_arena arena;
};

struct bd_actstat {
    struct bd_actbucket *block[BD_ACT_BLOCKS]; /* [8 << mantissa] or NULL */
    struct bd_actpurse *purse; /* borrowed, owns the blocks and batches; NULL:
                                  they are the statistic's own */
    int mantissa;
    int64_t n, odd; /* finite values; NaN and infinite ones */
    float min, max;
    bool failed; /* out of memory: the fit says so */
    int nbatch;
    float *batch; /* [2 * nbatch] smallest, largest of each */
};

void bd_actstat_init(struct bd_actstat *s, int mantissa);
void bd_actstat_done(struct bd_actstat *s);
bool bd_actstat_failed(const struct bd_actstat *s);
void bd_actstat_moments(struct bd_moments *m, const struct bd_actstat *s);
/* Values above zero: how many, their sum and sum of squares. */
void bd_actstat_positive(double out[3], const struct bd_actstat *s);

/* One bucket as numbers: n values, the border nearer to zero and the other
 * one, sums of (x - base) and of its square. */
struct bd_actview {
    int64_t n;
    double base, end;
    double d1, d2;
};
/* The next bucket that holds values, in ascending order of values, at place
 * i or behind; returns the place after it, -1 at the end.  Begin with 0. */
int bd_actstat_next(struct bd_actview *v, const struct bd_actstat *s, int i);
/* The bucket of one sign at magnitude rank i (0 .. bd_actstat_half - 1). */
bool bd_actstat_magnitude(struct bd_actview *v, const struct bd_actstat *s,
                          int i, bool negative);
int bd_actstat_half(const struct bd_actstat *s);

#endif
