/* Files in and out.  Reading refuses anything that is not a regular file
 * before it could block; writing goes through a temporary file in the same
 * folder, so that a reader sees the old bytes or the new ones, never a
 * mixture. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a named pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    return S_ISREG(mode) ? "a file" : "a device";
}

static bd_status refuse_errno(struct bd_err *err, const char *path,
                              const char *verb)
{
    bd_fail(err, errno == ENOMEM ? BD_ENOMEM : BD_EIO, "%s: %s", verb,
            errno != ENOENT                     ? strerror(errno)
            : strcmp(verb, "cannot write") == 0 ? "no such folder"
                                                : "no such file");
    bd_err_file(err, path);
    return errno == ENOMEM ? BD_ENOMEM : BD_EIO;
}

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
static bd_status open_regular(int *fd, struct stat *st, const char *path,
                              struct bd_err *err)
{
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (*fd < 0)
        return refuse_errno(err, path, "cannot open");
    if (fstat(*fd, st) != 0) {
        refuse_errno(err, path, "cannot open");
        close(*fd);
        return BD_EIO;
    }
    if (!S_ISREG(st->st_mode)) {
        close(*fd);
        bd_fail(err, BD_EFORMAT, "is %s, a file is needed",
                kind_of(st->st_mode));
        bd_err_file(err, path);
        return BD_EFORMAT;
    }
    return BD_OK;
}

bd_status bd_file_map(struct bd_file *f, const char *path, struct bd_err *err)
{
    struct stat st;
    void *p = NULL;
    int fd;
    bd_status s = open_regular(&fd, &st, path, err);

    if (s != BD_OK)
        return s;
    if (st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            refuse_errno(err, path, "cannot map");
            close(fd);
            return BD_EIO;
        }
    }
    close(fd);
    f->data = p;
    f->size = (size_t)st.st_size;
    return BD_OK;
}

void bd_file_unmap(struct bd_file *f)
{
    union { /* munmap takes a pointer to non-const */
        const uint8_t *c;
        void *v;
    } u = {f->data};

    if (f->data != NULL)
        munmap(u.v, f->size);
    *f = (struct bd_file){0};
}

static bd_status read_all(struct bd_str *b, int fd, size_t max,
                          struct bd_err *err)
{
    char buf[65536];

    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);

        if (n == 0)
            return b->failed ? bd_fail(err, BD_ENOMEM, "out of memory") : BD_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bd_fail(err, BD_EIO, "cannot read: %s", strerror(errno));
        bd_str_put(b, buf, (size_t)n);
        if (b->n > max)
            return bd_fail(err, BD_EFORMAT, "more than %zu bytes", max);
        if (b->failed)
            return bd_fail(err, BD_ENOMEM, "out of memory");
    }
}

bd_status bd_file_read(char **out, size_t *n, const char *path, size_t max,
                       struct bd_err *err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    struct bd_str b = {0};
    struct stat st;
    int fd = STDIN_FILENO;
    bd_status s;

    if (!from_stdin) {
        s = open_regular(&fd, &st, path, err);
        if (s != BD_OK)
            return s;
    }
    bd_str_put(&b, "", 0); /* an empty input is an empty string, not NULL */
    s = read_all(&b, fd, max, err);
    if (!from_stdin)
        close(fd);
    if (s != BD_OK) {
        bd_err_file(err, from_stdin ? "standard input" : path);
        bd_str_done(&b);
        return s;
    }
    *out = b.s;
    *n = b.n;
    return BD_OK;
}

bool bd_file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool bd_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---------------------------------------------------------------- writing */
static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static bool sync_all(int fd)
{
    int rc;

    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

static void split_folder(char *dir, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        snprintf(dir, PATH_MAX, ".");
    else
        snprintf(dir, PATH_MAX, "%.*s", (int)(slash - path + (slash == path)),
                 path);
}

static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* The temporary file keeps the old file's mode, or takes the umask's. */
static int open_temporary(char *tmp, const char *dir, const struct stat *old)
{
    mode_t mode = old != NULL ? (old->st_mode & 0777) : 0666;
    struct bd_rng r = {(uint64_t)bd_now_ns() ^ (uint64_t)getpid() << 32};

    for (int i = 0; i < 100; i++) {
        int fd;

        snprintf(tmp, PATH_MAX, "%s/.bitdial-%08x.tmp", dir,
                 (unsigned)(bd_rng_u64(&r) >> 32));
        fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  mode);
        if (fd >= 0 && old != NULL)
            (void)!fchmod(fd, mode); /* the umask may have cut it */
        if (fd >= 0 || (errno != EEXIST && errno != EINTR))
            return fd;
    }
    return -1;
}

static bd_status replace_file(const char *path, const struct stat *old,
                              const void *data, size_t n)
{
    char dir[PATH_MAX], tmp[PATH_MAX];
    int fd, saved;
    bool ok;

    split_folder(dir, path);
    if (strlen(dir) + 32 > PATH_MAX) {
        errno = ENAMETOOLONG;
        return BD_EIO;
    }
    fd = open_temporary(tmp, dir, old);
    if (fd < 0)
        return BD_EIO;
    ok = write_all(fd, data, n) && sync_all(fd);
    saved = errno;
    /* An interrupted close has closed; the bytes are on the disk by then. */
    if (close(fd) != 0 && errno != EINTR && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && rename(tmp, path) != 0) {
        ok = false;
        saved = errno;
    }
    if (!ok) {
        unlink(tmp);
        errno = saved;
        return BD_EIO;
    }
    sync_folder(dir);
    return BD_OK;
}

/* Writing to a pipe or a terminal goes straight through. */
static bd_status save_stdout(const void *data, size_t n, struct bd_err *err)
{
    if (!write_all(STDOUT_FILENO, data, n))
        bd_fail(err, BD_EIO, "cannot write: %s", strerror(errno));
    else
        return BD_OK;
    bd_err_file(err, "standard output");
    return BD_EIO;
}

/* What stands at path, and whether it may be replaced.  A link that leads
 * nowhere is refused: replacing it would destroy it, following it would create
 * a file in a place nobody named. */
static bd_status judge_target(struct stat *st, bool *exists, const char *path,
                              bool force, struct bd_err *err)
{
    struct stat link;

    *exists = stat(path, st) == 0;
    if (!*exists && errno != ENOENT)
        return refuse_errno(err, path, "cannot write");
    if (!*exists && lstat(path, &link) == 0)
        bd_fail(err, BD_EIO, "is a link that leads nowhere, not overwritten");
    else if (*exists && !S_ISREG(st->st_mode))
        bd_fail(err, BD_EIO, "is %s, not overwritten", kind_of(st->st_mode));
    else if (*exists && !force)
        bd_fail(err, BD_EIO, "exists already (--force overwrites)");
    else
        return BD_OK;
    bd_err_file(err, path);
    return BD_EIO;
}

bd_status bd_save_check(const char *path, bool force, struct bd_err *err)
{
    char dir[PATH_MAX];
    struct stat st;
    bool exists;
    bd_status s;

    if (strcmp(path, "-") == 0)
        return BD_OK;
    s = judge_target(&st, &exists, path, force, err);
    if (s != BD_OK)
        return s;
    split_folder(dir, path);
    if (access(dir, W_OK | X_OK) != 0)
        return refuse_errno(err, path, "cannot write");
    return BD_OK;
}

bd_status bd_save(const char *path, const void *data, size_t n, bool force,
                  struct bd_err *err)
{
    char real[PATH_MAX];
    struct stat st;
    bool exists;
    bd_status s;

    if (strcmp(path, "-") == 0)
        return save_stdout(data, n, err);
    s = judge_target(&st, &exists, path, force, err);
    if (s != BD_OK)
        return s;
    /* A link keeps being a link: its target is what is replaced. */
    if (!exists || realpath(path, real) == NULL)
        snprintf(real, sizeof real, "%s", path);
    if (replace_file(real, exists ? &st : NULL, data, n) != BD_OK)
        return refuse_errno(err, path, "cannot write");
    return BD_OK;
}

/* ---------------------------------------------------------------- folders */
static bool make_folders(char *path)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

bool bd_xdg_dir(char *out, size_t cap, const char *kind)
{
    static const char *const table[][2] = {{"STATE", ".local/state"},
                                           {"CONFIG", ".config"},
                                           {"CACHE", ".cache"}};
    char var[32];
    const char *v, *home;
    int n = -1;

    snprintf(var, sizeof var, "XDG_%s_HOME", kind);
    v = getenv(var);
    home = getenv("HOME");
    if (v != NULL && v[0] == '/') { /* relative paths are to be ignored */
        n = snprintf(out, cap, "%s/bitdial", v);
    } else if (home != NULL && home[0] == '/') {
        for (size_t i = 0; i < 3; i++)
            if (strcmp(kind, table[i][0]) == 0)
                n = snprintf(out, cap, "%s/%s/bitdial", home, table[i][1]);
    }
    return n > 0 && (size_t)n < cap && make_folders(out);
}
