#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_open(struct fuzz_file *f, const uint8_t *data, size_t size)
{
    size_t at = 0;
    f->fd = memfd_create("fuzz", MFD_CLOEXEC);
    while (f->fd >= 0 && at < size) {
        ssize_t n = write(f->fd, data + at, size - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
}

void fuzz_close(struct fuzz_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
}
