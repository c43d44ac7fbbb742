/* Allocation problems from anywhere: refused, or solved within the budget. */
#include "bitalloc/bitalloc.h"
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bd_alloc_file f;
    struct bd_alloc_result r = {0};

    if (bd_alloc_file_read(&f, (const char *)data, size, NULL) != BD_OK)
        return 0;
    r.pick = bd_calloc(f.p.n, sizeof *r.pick);
    for (const struct bd_allocator *const *a = bd_allocators(); *a; a++)
        if (r.pick && (*a)->solve(&r, &f.p, NULL) == BD_OK &&
            (!(r.cost <= f.p.budget + 1e-9 * fabs(f.p.budget)) ||
             r.bound > r.loss + 1e-6 * fabs(r.loss)))
            abort();
    bd_free(r.pick);
    bd_alloc_file_done(&f);
    return 0;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static const char *const seed[] = {
        "{\"schema\":\"bitdial.problem/1\",\"title\":\"t\",\"cost_unit\":"
        "\"bits\",\"budget\":9.5,\"layers\":[{\"name\":\"a\",\"options\":["
        "{\"bits\":2,\"cost\":2,\"loss\":1.5},{\"bits\":4,\"cost\":4,\"loss\":"
        "0.25}]},{\"name\":\"b\",\"locked\":4,\"options\":[{\"bits\":2,"
        "\"cost\":3,\"loss\":1},{\"bits\":4,\"cost\":5,\"loss\":0.5}]}],"
        "\"tied\":[[\"a\"]]}",
        "{\"schema\":\"bitdial.problem/1\",\"budget\":100,\"layers\":[{"
        "\"name\":\"x\",\"options\":[{\"bits\":0,\"cost\":0,\"loss\":-3e4}]}],"
        "\"tied\":[]}",
        "{\"schema\":\"bitdial.problem/1\",\"budget\":12,\"layers\":[{"
        "\"name\":\"a\",\"options\":[{\"bits\":2,\"cost\":2,\"loss\":3},{"
        "\"bits\":3,\"cost\":3,\"loss\":2},{\"bits\":4,\"cost\":4,\"loss\":1}]}"
        ",{\"name\":\"b\",\"options\":[{\"bits\":2,\"cost\":2,\"loss\":5},{"
        "\"bits\":4,\"cost\":4,\"loss\":1e-9}]},{\"name\":\"c\",\"options\":[{"
        "\"bits\":2,\"cost\":2,\"loss\":7},{\"bits\":4,\"cost\":4,\"loss\":"
        "1e9}]}],\"tied\":[[\"a\",\"c\"]]}"};

    if (k >= sizeof seed / sizeof *seed)
        return false;
    bd_str_puts(out, seed[k]);
    return true;
}
