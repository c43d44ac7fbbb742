/* config_priv: shared by the reader's two files only. */
#ifndef BD_CONFIG_PRIV_H
#define BD_CONFIG_PRIV_H

#include "config/config.h"

/* A reading in progress.  `path` names where in the document we are, so that
 * every refusal starts with it: "layers[3].weights.bits: ...". */
struct bd_cfgread {
    const struct bd_model *m;
    struct bd_str *warn;
    struct bd_err *err;
    char path[160];
};
struct cJSON;

/* Steps into a key or element; leave() with what enter() returned. */
size_t bd_cfgread_enter(struct bd_cfgread *r, const char *fmt, ...)
    BD_PRINTF(2, 3);
void bd_cfgread_leave(struct bd_cfgread *r, size_t mark);
/* "PATH: sentence"; returns BD_EINVALID. */
bd_status bd_cfgread_refuse(struct bd_cfgread *r, const char *fmt, ...)
    BD_PRINTF(2, 3);
void bd_cfgread_warn(struct bd_cfgread *r, const char *fmt, ...)
    BD_PRINTF(2, 3);
/* Warns about keys outside the NULL-ended list. */
void bd_cfgread_extra(struct bd_cfgread *r, const struct cJSON *obj,
                      const char *const *known);

/* Members by name; absent leaves *out alone, the wrong type is refused. */
bd_status bd_cfgread_string(struct bd_cfgread *r, const char **out,
                            const struct cJSON *obj, const char *key);
bd_status bd_cfgread_number(struct bd_cfgread *r, double *out,
                            const struct cJSON *obj, const char *key);
bd_status bd_cfgread_int(struct bd_cfgread *r, int64_t *out,
                         const struct cJSON *obj, const char *key);
bd_status bd_cfgread_bool(struct bd_cfgread *r, bool *out,
                          const struct cJSON *obj, const char *key);

/* The list of layers under a key, all of it; *cfg starts in float. */
bd_status bd_cfgread_layers(struct bd_cfgread *r, struct bd_bitcfg *cfg,
                            const struct cJSON *obj, const char *key);
/* repairs.c: the list of repairs, absent = none. */
bd_status bd_cfgread_repairs(struct bd_cfgread *r, struct bd_repair_notes *out,
                             const struct cJSON *root);
void bd_cfgwrite_repairs(struct bd_json *j, const struct bd_model *m,
                         const struct bd_repair_notes *l);
/* write.c: layers under a key, with the clips recorded in them. */
void bd_cfgwrite_layers(struct bd_json *j, const struct bd_model *m,
                        const char *key, const struct bd_bitcfg *cfg);

/* One element of "layers" into its place in *cfg; seen[layer] holds the
 * element's number + 1 once a layer was read. */
bd_status bd_cfgread_layer(struct bd_cfgread *r, struct bd_bitcfg *cfg,
                           int *seen, const struct cJSON *obj, int number);

#endif
