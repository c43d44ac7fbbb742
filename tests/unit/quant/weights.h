/* Real weights for tests, by the name of their layer. */
#ifndef TEST_WEIGHTS_H
#define TEST_WEIGHTS_H

#include "ref.h"

#include "calib/calib.h"

struct net {
    struct bd_file file;
    struct bd_arena arena;
    struct bd_npz_entry *entry;
    size_t n;
};

/* Only where BITDIAL_DATA is set. */
static inline void net_open(struct net *net, const char *name)
{
    const char *dir = getenv("BITDIAL_DATA");
    char path[1024];
    struct bd_err err = {0};

    snprintf(path, sizeof(path), "%s/res20_apot/%s", dir ? dir : ".", name);
    if (bd_file_map(&net->file, path, &err) != BD_OK ||
        bd_npz_load(&net->entry, &net->n, &net->arena, &net->file, &err) !=
            BD_OK)
        fail_msg("%s: %s", path, err.msg);
}

static inline struct bd_weights net_weights(const struct net *net,
                                            const char *tensor)
{
    for (size_t i = 0; i < net->n; i++)
        if (strcmp(net->entry[i].name, tensor) == 0)
            return (struct bd_weights){
                net->entry[i].t.f,
                {1, 1, bd_tensor_count(&net->entry[i].t)},
                NAN,
                NULL};
    fail_msg("no weights '%s'", tensor);
    return (struct bd_weights){0};
}

static inline void net_close(struct net *net)
{
    bd_arena_done(&net->arena);
    bd_file_unmap(&net->file);
}

#endif
