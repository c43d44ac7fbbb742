/* Writes the model the golden screens are made from: a named architecture
 * with weights from a seed.  Made, not stored, so that no binary lies in the
 * repository; every machine makes the same bytes.
 *
 *   make_model ARCH SEED OUT.onnx [SIDE CLASSES]      (32 and 10) */
#include <stdio.h>

#include "model/model.h"

static int complain(const struct bd_err *err)
{
    fprintf(stderr, "make_model: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    int64_t picture[3] = {3, 32, 32}, classes = 10;
    struct bd_err err = {0};
    struct bd_model *m = NULL;
    struct bd_str bytes = {0};
    int64_t seed;
    if ((argc != 4 && argc != 6) ||
        !bd_parse_int(&seed, argv[2], 0, 1 << 30) ||
        (argc == 6 && (!bd_parse_int(&picture[1], argv[4], 1, 4096) ||
                       !bd_parse_int(&classes, argv[5], 1, 100000)))) {
        fprintf(stderr,
                "usage: make_model ARCH SEED OUT.onnx [SIDE CLASSES]\n");
        return 2;
    }
    picture[2] = picture[1];
    if (bd_arch_new(&m, argv[1], picture, 3, classes, (uint64_t)seed, &err) !=
        BD_OK)
        return complain(&err);
    bd_status st = bd_onnx_write(&bytes, m, NULL, &err);
    if (st == BD_OK)
        st = bd_save(argv[3], bytes.s, bytes.n, true, &err);
    bd_str_done(&bytes);
    bd_model_free(m);
    return st == BD_OK ? 0 : complain(&err);
}
