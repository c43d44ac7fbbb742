/* picture_priv: between plot.c and pictures.c. */
#ifndef BD_PICTURE_PRIV_H
#define BD_PICTURE_PRIV_H

#include "session/session_priv.h"

#include "plot/plot.h"

struct bd_picture { /* all it shows, copied: any thread may draw it */
    enum bd_picture_what what;
    int w, h;
    const struct bd_plot_theme *theme;
    char title[256], subtitle[256];
    struct bd_arena arena; /* of the arrays below */
    struct bd_plot_hist hist;
    struct bd_plot_strips strips;
    struct bd_plot_heat heat;
    struct bd_plot_scatter scatter;
};

/* pictures.c: each fills its part of p. */
bd_status bd_chart_channels(struct bd_picture *p, struct bd_session *s,
                              int layer, struct bd_err *err);
bd_status bd_chart_sens(struct bd_picture *p, const struct bd_session *s,
                          const struct bd_sens_table *t, struct bd_err *err);
bd_status bd_chart_trade(struct bd_picture *p, struct bd_session *s,
                           struct bd_err *err);

#endif
