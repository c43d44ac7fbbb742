/* A sidecar is read beside a model's name, so it needs a real folder; the
 * same bytes are tried as a single tensor too. */
#include "fuzz.h"
#include "model/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void as_tensor(const uint8_t *data, size_t size)
{
    struct fuzz_file f;
    struct bd_arena a = {0};
    struct bd_err err = {0};
    struct bd_tensor t;
    fuzz_open(&f, data, size);
    bd_status s = bd_tensor_load(&t, &a, f.path, &err);
    fuzz_close(&f);
    assert((s == BD_OK) == (err.msg[0] == 0));
    bd_arena_done(&a);
}

static void as_sidecar(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/bitdial-fuzz-XXXXXX.bitdial.json", model[64];
    struct bd_arena a = {0};
    struct bd_err err = {0};
    struct bd_sidecar c;
    int fd = mkstemps(path, 13);
    if (fd < 0)
        return;
    ssize_t n = write(fd, data, size);
    close(fd);
    snprintf(model, sizeof model, "%.24s", path);
    bd_status s = bd_sidecar_load(&c, &a, model, &err);
    assert((s == BD_OK) == (err.msg[0] == 0));
    assert(n == (ssize_t)size);
    unlink(path);
    bd_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_tensor(data, size);
    as_sidecar(data, size);
    return 0;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static const char json[] =
        "{\"schema\":\"bitdial.model/1\",\"input\":{\"scale\":\"1/"
        "255\",\"mean\""
        ":[0.5,0.25,1e-3]},\"labels\":\"l.txt\",\"data\":\"synth:glyphs\"}";
    static const char proto[] =
        "\x08\x02\x08\x01\x10\x01\x42\x01t\x4a\x08\0\0\x80\x3f\0\0\0\x40";
    if (k == 0)
        bd_str_put(out, json, sizeof json - 1);
    if (k == 1)
        bd_str_put(out, proto, sizeof proto - 1);
    return k < 2 && !out->failed;
}
