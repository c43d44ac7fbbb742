/* Weights in a file beside the model.  The model is a stranger's; the file it
 * names must be a plain one inside the model's own folder: the path is opened
 * one component at a time from the folder's descriptor, links are never
 * followed, and what was opened is checked afterwards to be a regular file
 * with a single name.  Everything else is refused. */
#include "model/onnx_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------- entries */

struct entry {
    struct bd_arena *arena;
    const char *key, *value;
};

static bd_status entry_key(void *arg, const struct pb_field *f,
                           struct bd_err *err)
{
    struct entry *e = arg;
    return bd_onnx_text(&e->key, e->arena, f, err);
}

static bd_status entry_value(void *arg, const struct pb_field *f,
                             struct bd_err *err)
{
    struct entry *e = arg;
    return bd_onnx_text(&e->value, e->arena, f, err);
}

static const struct pb_rule entry_rules[] = {
    {1, PB_BYTES, false, "key", entry_key},
    {2, PB_BYTES, false, "value", entry_value},
};
static const struct pb_message entry_message = {
    "StringStringEntryProto", entry_rules,
    sizeof entry_rules / sizeof *entry_rules};

static bd_status number(int64_t *out, const struct entry *e, struct bd_err *err)
{
    struct bd_shown o;
    if (*out >= 0)
        return bd_fail(err, BD_EFORMAT, "external data: %s is given twice",
                       e->key);
    if (!bd_parse_int(out, e->value, 0, INT64_MAX))
        return bd_fail(err, BD_EFORMAT, "external data: %s is '%s'", e->key,
                       bd_shown(&o, e->value));
    return BD_OK;
}

bd_status bd_onnx_external_entry(struct bd_onnx_external *x, struct bd_arena *a,
                                 const struct pb_field *f, struct bd_err *err)
{
    struct entry e = {a, "", ""};
    bd_status s = pb_walk(&entry_message, f->p, f->n, &e, err);
    if (s != BD_OK)
        return s;
    if (strcmp(e.key, "offset") == 0)
        return number(&x->offset, &e, err);
    if (strcmp(e.key, "length") == 0)
        return number(&x->length, &e, err);
    if (strcmp(e.key, "location") != 0)
        return BD_OK; /* checksum and the like */
    if (x->location)
        return bd_fail(err, BD_EFORMAT,
                       "external data: location is given twice");
    x->location = e.value;
    return BD_OK;
}

/* ----------------------------------------------------------------- opening */

static int open_folder(const char *model)
{
    const char *slash = strrchr(model, '/');
    struct bd_str s = {0};
    bd_str_put(&s, model, slash ? (size_t)(slash - model) + 1 : 0);
    int fd = -1;
    if (!s.failed)
        fd = open(s.n ? s.s : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bd_str_done(&s);
    return fd;
}

/* Opens the next component; the parent's descriptor is used up. */
static int step(int dir, const char *name, size_t n, bool last)
{
    char part[256];
    int fd = -1;
    bool up = n == 2 && name[0] == '.' && name[1] == '.';
    if (n > 0 && n < sizeof part && !up) {
        memcpy(part, name, n);
        part[n] = 0;
        fd = openat(dir, part,
                    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
                        (last ? 0 : O_DIRECTORY));
    }
    close(dir);
    return fd;
}

/* A descriptor, or -1 with a reason. */
static int open_beside(const char *model, const char *where, const char **why)
{
    *why = "it is not a plain relative path inside the model's folder";
    if (!where[0] || where[0] == '/' || strchr(where, '\\') ||
        strstr(where, ".."))
        return -1;
    *why = "it cannot be opened as a plain file in the model's folder (links "
           "are not followed)";
    int fd = open_folder(model);
    while (fd >= 0) {
        size_t n = strcspn(where, "/");
        bool last = where[n] == 0;
        fd = step(fd, where, n, last);
        if (last)
            break;
        where += n + 1;
    }
    struct stat st;
    if (fd >= 0 &&
        (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)) {
        *why = "it is not a regular file with one name only";
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool read_all(int fd, uint8_t *p, size_t n, int64_t offset)
{
    while (n) {
        ssize_t k = pread(fd, p, n, (off_t)offset);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
        offset += k;
    }
    return true;
}

/* Fills p with `need` bytes from the offset on. */
static bd_status read_range(uint8_t *p, int fd,
                            const struct bd_onnx_external *x, size_t need,
                            struct bd_err *err)
{
    struct bd_shown o;
    struct stat st;
    uint64_t offset = x->offset < 0 ? 0 : (uint64_t)x->offset;
    if (fstat(fd, &st) != 0)
        return bd_fail(err, BD_EIO, "external data: %s", strerror(errno));
    uint64_t size = (uint64_t)st.st_size;
    if (offset > size || need > size - offset)
        return bd_fail(err, BD_EFORMAT,
                       "external data '%s': %zu bytes from %llu on, but it "
                       "holds %llu (file cut short?)",
                       bd_shown(&o, x->location), need,
                       (unsigned long long)offset, (unsigned long long)size);
    if (!read_all(fd, p, need, (int64_t)offset))
        return bd_fail(err, BD_EIO, "external data '%s' cannot be read",
                       bd_shown(&o, x->location));
    return BD_OK;
}

bd_status bd_onnx_external_read(const uint8_t **out,
                                const struct bd_onnx_external *x,
                                const struct bd_onnx_src *src, size_t need,
                                struct bd_err *err)
{
    struct bd_shown o;
    const char *why = "";
    if (!x->location || !src->path)
        return bd_fail(err, BD_EFORMAT,
                       "external data without a location we may read");
    if (x->length >= 0 && (uint64_t)x->length != need)
        return bd_fail(err, BD_EFORMAT,
                       "external data '%s' has length %lld, its shape needs "
                       "%zu",
                       bd_shown(&o, x->location), (long long)x->length, need);
    int fd = open_beside(src->path, x->location, &why);
    if (fd < 0)
        return bd_fail(err, BD_EUNSUPPORTED, "external data '%s': %s",
                       bd_shown(&o, x->location), why);
    struct stat st;
    bd_status s = BD_OK;
    /* Evidence first: nothing is allocated for a file that is too short. */
    bool enough = fstat(fd, &st) == 0 && need <= (uint64_t)st.st_size;
    uint8_t *p = bd_arena_alloc(src->arena, enough && need ? need : 1, 1);
    if (!p)
        s = bd_draft_nomem(err);
    else
        s = read_range(p, fd, x, need, err);
    close(fd);
    if (s == BD_OK)
        *out = p;
    return s;
}
