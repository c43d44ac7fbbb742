/* A folder of PNG and JPEG files.  With labels.csv (file,class_index, further
 * columns ignored, a header line allowed) that list is the set, in its order;
 * its names may leave out one sub-folder that holds all the pictures.
 * Otherwise each sub-folder is a class, numbered in the order of names; a
 * folder of pictures alone is a set without labels.  Pictures are decoded when
 * fetched; that they exist is checked at once. */
#include "data/data_priv.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_MAX = 256 << 20 };

struct folder {
    char **file; /* paths below the folder; text in the set's arena */
    size_t n, cap;
    int *label; /* -1 = none */
    size_t label_cap;
};

/* Appends one picture.  The two arrays grow apart, so each keeps its own
 * capacity; on failure what was there stays. */
static bd_status add(struct bd_data *d, const char *file, int label,
                     struct bd_err *err)
{
    struct folder *v = d->priv;
    char *copy = bd_arena_strdup(&d->arena, file, strlen(file));
    void *files = v->file, *labels = v->label;
    bool ok;

    if (v->n >= BD_MAX_ITEMS)
        return bd_fail(err, BD_EFORMAT, "more than %d pictures", BD_MAX_ITEMS);
    ok = copy && bd_grow(&files, &v->cap, v->n + 1, sizeof *v->file);
    v->file = files;
    ok = ok && bd_grow(&labels, &v->label_cap, v->n + 1, sizeof *v->label);
    v->label = labels;
    if (!ok)
        return bd_fail(err, BD_ENOMEM, "out of memory for the list of files");
    v->file[v->n] = copy;
    v->label[v->n++] = label;
    return BD_OK;
}

/* ------------------------------------------------------------ labels.csv */

/* A name that stays inside the folder: no leading slash, no "..". */
static bool stays_inside(const char *name)
{
    const char *p = name;

    if (*name == '/' || *name == '\0')
        return false;
    while ((p = strstr(p, "..")) != NULL) {
        if ((p == name || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return false;
        p += 2;
    }
    return true;
}

/* One line "name,label[,...]", cut at its end.  A first line whose second
 * column is no number is the header. */
static bd_status csv_line(struct bd_data *d, char *line, int64_t number,
                          struct bd_err *err)
{
    char *comma = strchr(line, ','), *rest, show[96];
    int64_t label;

    if (!comma)
        return bd_fail(err, BD_EFORMAT,
                       "line %lld has no comma; each is file,class_index",
                       (long long)number);
    *comma++ = '\0';
    rest = strchr(comma, ',');
    if (rest)
        *rest = '\0';
    if (!bd_parse_int(&label, comma, 0, BD_MAX_ITEMS - 1)) {
        if (number == 1)
            return BD_OK;
        return bd_fail(err, BD_EFORMAT,
                       "line %lld: class '%s' is no whole number from 0 up",
                       (long long)number,
                       bd_text_show(show, sizeof show, comma, 0));
    }
    if (!stays_inside(line))
        return bd_fail(
            err, BD_EFORMAT, "line %lld: '%s' lies outside the folder",
            (long long)number, bd_text_show(show, sizeof show, line, 0));
    return add(d, line, (int)label, err);
}

/* The whole list at once; blank lines and CR LF are fine. */
static bd_status read_csv(struct bd_data *d, const char *path,
                          struct bd_err *err)
{
    char *text = NULL, *line, *next;
    size_t n;
    int64_t number = 0;
    bd_status st = bd_file_read(&text, &n, path, CSV_MAX, err);

    if (st == BD_OK && memchr(text, '\0', n))
        st = bd_fail(err, BD_EFORMAT, "not a text file");
    for (line = text; st == BD_OK && line && *line; line = next) {
        char *end = strchr(line, '\n');

        next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        line[strcspn(line, "\r")] = '\0';
        number++;
        if (*line != '\0')
            st = csv_line(d, line, number, err);
    }
    bd_free(text);
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

/* ----------------------------------------------------------- sub-folders */

/* The name only chooses what to list; content decides how to decode. */
static bool is_picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && name[0] != '.' &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
            strcasecmp(dot, ".jpeg") == 0);
}

struct names { /* sorted entries of one folder, from scandir */
    struct dirent **e;
    int n;
};

static void names_done(struct names *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->e[i]); /* scandir allocates by malloc */
    free(l->e);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bd_status list(struct names *l, const char *path, struct bd_err *err)
{
    *l = (struct names){0};
    l->n = scandir(path, &l->e, NULL, by_bytes);
    if (l->n >= 0)
        return BD_OK;
    l->n = 0;
    bd_fail(err, BD_EIO, "the folder cannot be read");
    return bd_err_file(err, path);
}

/* false when the path does not fit: such a name is refused, never cut. */
static bool join(char *out, size_t cap, const char *a, const char *b)
{
    int n = snprintf(out, cap, "%s/%s", a, b);

    return n > 0 && (size_t)n < cap;
}

/* The pictures of one sub-folder ("" = the folder itself). */
static bd_status scan_class(struct bd_data *d, const char *sub, int label,
                            struct bd_err *err)
{
    char path[1024], rel[1024];
    struct names l;
    bd_status st;

    if (!join(path, sizeof path, d->path, sub))
        return bd_fail(err, BD_EINVALID, "a path longer than 1 KiB");
    st = list(&l, path, err);
    for (int i = 0; i < l.n && st == BD_OK; i++) {
        const char *name = l.e[i]->d_name;

        if (!is_picture_name(name))
            continue;
        if (!join(rel, sizeof rel, sub, name))
            st = bd_fail(err, BD_EINVALID, "a path longer than 1 KiB");
        else
            st = add(d, *sub ? rel : name, label, err);
    }
    names_done(&l);
    return st;
}

/* Classes are numbered in the order of their names, as torchvision does. */
static bd_status scan_classes(struct bd_data *d, struct bd_err *err)
{
    struct names l;
    char path[1024];
    int label = 0;
    bd_status st = list(&l, d->path, err);

    for (int i = 0; i < l.n && st == BD_OK; i++) {
        const char *name = l.e[i]->d_name;

        if (name[0] != '.' && join(path, sizeof path, d->path, name) &&
            bd_is_dir(path))
            st = scan_class(d, name, label++, err);
    }
    names_done(&l);
    if (st == BD_OK && label == 0)
        st = scan_class(d, "", -1, err);
    return st;
}

/* A sub-folder in which the list's first picture lies, when it does not lie
 * in the folder itself; "" if neither. */
static bd_status find_home(char *home, size_t cap, const struct bd_data *d,
                           struct bd_err *err)
{
    const struct folder *v = d->priv;
    char path[2048], rel[1024];
    struct names l;
    bd_status st;

    home[0] = '\0';
    if (v->n == 0 ||
        (join(path, sizeof path, d->path, v->file[0]) && bd_file_exists(path)))
        return BD_OK;
    st = list(&l, d->path, err);
    for (int i = 0; i < l.n && st == BD_OK && !home[0]; i++) {
        const char *name = l.e[i]->d_name;

        if (name[0] != '.' && join(rel, sizeof rel, name, v->file[0]) &&
            join(path, sizeof path, d->path, rel) && bd_file_exists(path))
            snprintf(home, cap, "%s", name);
    }
    names_done(&l);
    return st;
}

/* Puts that sub-folder in front of every name of the list. */
static bd_status move_home(struct bd_data *d, struct bd_err *err)
{
    struct folder *v = d->priv;
    char home[512], rel[1024];
    bd_status st = find_home(home, sizeof home, d, err);

    for (size_t i = 0; i < v->n && st == BD_OK && home[0]; i++) {
        if (!join(rel, sizeof rel, home, v->file[i]))
            return bd_fail(err, BD_EINVALID, "a path longer than 1 KiB");
        v->file[i] = bd_arena_strdup(&d->arena, rel, strlen(rel));
        if (!v->file[i])
            return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    return st;
}

/* ---------------------------------------------------------- the data set */

static bool probe(const struct data_input *in)
{
    return in->dir;
}

/* Labels from the list of files; none at all when there are no classes. */
static bd_status take_labels(struct bd_data *d, struct bd_err *err)
{
    const struct folder *v = d->priv;
    bd_status st = BD_OK;

    d->n = (int64_t)v->n;
    if (v->n == 0)
        return bd_fail(err, BD_EFORMAT,
                       "no pictures: a folder holds PNG or JPEG files with "
                       "labels.csv, or one sub-folder per class");
    if (v->label[0] < 0)
        return BD_OK;
    st = bd_data_alloc_labels(d, err);
    for (int64_t i = 0; i < d->n && st == BD_OK; i++)
        st = bd_data_set_label(d, i, v->label[i], 0, err);
    return st;
}

/* Existence now, content when fetched: a list with a gap is found at once. */
static bd_status check_files(const struct bd_data *d, struct bd_err *err)
{
    const struct folder *v = d->priv;
    char path[2048], show[96];

    for (size_t i = 0; i < v->n; i++) {
        if (join(path, sizeof path, d->path, v->file[i]) &&
            bd_file_exists(path))
            continue;
        return bd_fail(err, BD_EFORMAT, "picture '%s' does not exist",
                       bd_text_show(show, sizeof show, v->file[i], 0));
    }
    return BD_OK;
}

static bd_status load(struct data_picture *p, const struct bd_data *d,
                      int64_t i, struct bd_err *err)
{
    const struct folder *v = d->priv;
    struct bd_file f = {0};
    char path[2048];
    bd_status st;

    if (!join(path, sizeof path, d->path, v->file[i]))
        return bd_fail(err, BD_EINVALID, "a path longer than 2 KiB");
    st = bd_file_map(&f, path, err);
    if (st == BD_OK && bd_png_is(&f))
        st = bd_png_decode(p, &f, err);
    else if (st == BD_OK && bd_jpeg_is(&f))
        st = bd_jpeg_decode(p, &f, err);
    else if (st == BD_OK)
        st = bd_fail(err, BD_EFORMAT, "neither PNG nor JPEG inside");
    bd_file_unmap(&f);
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}

/* The first picture tells the size; the others are seen when fetched. */
static bd_status peek(struct bd_data *d, struct bd_err *err)
{
    struct data_picture p = {0};
    bd_status st = load(&p, d, 0, err);

    if (st != BD_OK)
        return st;
    d->dim[0] = p.c;
    d->dim[1] = p.h;
    d->dim[2] = p.w;
    bd_picture_done(&p);
    return BD_OK;
}

static bd_status open_folder(struct bd_data *d, struct data_input *in,
                             struct bd_err *err)
{
    char csv[1024];
    bd_status st;

    (void)in;
    d->priv = bd_calloc(1, sizeof(struct folder));
    if (!d->priv)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    if (!join(csv, sizeof csv, d->path, "labels.csv"))
        return bd_fail(err, BD_EINVALID, "a path longer than 1 KiB");
    st = bd_file_exists(csv) ? read_csv(d, csv, err) : scan_classes(d, err);
    if (st == BD_OK)
        st = move_home(d, err);
    if (st == BD_OK)
        st = take_labels(d, err);
    if (st == BD_OK)
        st = check_files(d, err);
    return st == BD_OK ? peek(d, err) : st;
}

static void close_folder(struct bd_data *d)
{
    struct folder *v = d->priv;

    if (v) {
        bd_free(v->file);
        bd_free(v->label);
    }
    bd_free(v);
}

const struct data_kind bd_data_folder = {
    "folder", probe, open_folder, load, close_folder,
};
