/* One fuzz target per loader.  LLVMFuzzerTestOneInput is what libFuzzer
 * calls (build the target's file with -fsanitize=fuzzer, without main.c);
 * main.c drives the same function with any compiler. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The k-th good input to start from; false after the last. */
bool fuzz_seed(struct bd_str *out, size_t k);

/* Bytes as a file in memory; the path is valid until fuzz_close. */
struct fuzz_file {
    int fd;
    char path[40];
};
void fuzz_open(struct fuzz_file *f, const uint8_t *data, size_t size);
void fuzz_close(struct fuzz_file *f);

#endif
