/* config: what the user turns, for a whole network, and the documents that
 * carry it (bitdial.config/1).  Pure data: no model is run here. */
#ifndef BD_CONFIG_H
#define BD_CONFIG_H

#include "model/model.h"
#include "quant/quant.h"

struct bd_layercfg {
    struct bd_tensorcfg w, a;
    bool locked; /* the allocator leaves it alone */
};

struct bd_bitcfg { /* one per layer; copied freely */
    size_t n;
    struct bd_layercfg *layer; /* owned; channel widths are shared */
};
bd_status bd_bitcfg_init(struct bd_bitcfg *c, size_t n); /* all float,
                                                  defaults uniform 32 */
bd_status bd_bitcfg_copy(struct bd_bitcfg *to, const struct bd_bitcfg *from);
void bd_bitcfg_done(struct bd_bitcfg *c);
bool bd_bitcfg_same(const struct bd_bitcfg *a, const struct bd_bitcfg *b);
uint64_t bd_bitcfg_digest(const struct bd_bitcfg *c);
uint64_t bd_layercfg_digest(const struct bd_layercfg *c);
/* Replaces one tensor's choice, keeping the counts of channel widths. */
void bd_tensorcfg_set(struct bd_tensorcfg *to, const struct bd_tensorcfg *v);

/* The clip values a document also records; filled by the session. */
struct bd_clips {
    size_t nw;           /* 0 = not known */
    const double *w;     /* one or per channel */
    bool a_known, a_signed;
    double a;
};
struct bd_config_metrics { /* NaN or -1 = left out */
    double avg_bits_w, top1;
    int64_t size_bytes, images;
};
struct bd_config_doc {
    const struct bd_bitcfg *cfg;
    const struct bd_clips *clips; /* [n] or NULL */
    struct bd_config_metrics metrics;
    const char *data; /* provenance, NULL = none */
    uint64_t seed;
};
/* Fixed key order; same input, same bytes. */
bd_status bd_config_write(struct bd_str *out, const struct bd_model *m,
                          const struct bd_config_doc *doc, struct bd_err *err);
/* Strict (cli.md); warnings, one per line, are appended to `warn`. */
bd_status bd_config_read(struct bd_bitcfg *out, const struct bd_model *m,
                         const char *text, size_t n, struct bd_str *warn,
                         struct bd_err *err);
/* --weights / --activations / --set / --keep-edges as edits of *c. */
bd_status bd_config_all(struct bd_bitcfg *c, bool weights, const char *spec,
                        struct bd_err *err);
/* "LAYERGLOB.w=apot:4" */
bd_status bd_config_set(struct bd_bitcfg *c, const struct bd_model *m,
                        const char *edit, struct bd_err *err);
bd_status bd_config_edges(struct bd_bitcfg *c, const struct bd_model *m,
                          int bits, struct bd_err *err);

#endif
