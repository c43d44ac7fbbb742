/* Runs the built program as a user does and looks at what comes back.  Each
 * test has a folder of its own, which is also the working directory. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct shot {
    char dir[64];
    char *out, *err; /* of the last run */
    int status;      /* exit status, 128 + n for a signal */
};

/* The program is named on the command line; absolute, as we change folder. */
static inline const char *program(const char *set)
{
    static char path[4096];

    if (set)
        assert_non_null(realpath(set, path));
    return path;
}

static inline char *slurp(const char *path)
{
    char *text = NULL;
    size_t n;
    struct bd_err err = {0};

    if (bd_file_read(&text, &n, path, 64 << 20, &err) != BD_OK)
        fail_msg("%s: %s", path, err.msg);
    return text;
}

static inline void shot_open(struct shot *s)
{
    *s = (struct shot){.dir = "/tmp/bd_cli_XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(chdir(s->dir), 0);
}

static inline void shot_close(struct shot *s)
{
    char cmd[128];

    bd_free(s->out);
    bd_free(s->err);
    assert_int_equal(chdir("/"), 0);
    snprintf(cmd, sizeof cmd, "chmod -R u+rwx '%s'; rm -rf '%s'", s->dir,
             s->dir);
    assert_int_equal(system(cmd), 0);
}

/* bitdial with these arguments; a shell splits them. */
static inline int run(struct shot *s, const char *args)
{
    char cmd[8192];
    int rc;

    snprintf(cmd, sizeof cmd,
             "XDG_STATE_HOME=$PWD/xdg XDG_CONFIG_HOME=$PWD/xdg "
             "XDG_CACHE_HOME=$PWD/xdg '%s' %s >.out 2>.err </dev/null",
             program(NULL), args);
    rc = system(cmd);
    bd_free(s->out);
    bd_free(s->err);
    s->out = slurp(".out");
    s->err = slurp(".err");
    s->status = WIFEXITED(rc) ? WEXITSTATUS(rc) : 128 + WTERMSIG(rc);
    return s->status;
}

static inline void run_ok(struct shot *s, const char *args)
{
    if (run(s, args) != 0)
        fail_msg("bitdial %s: status %d\n%s", args, s->status, s->err);
}

/* The last output as one strict document with this schema. */
static inline cJSON *document(const struct shot *s, const char *schema)
{
    struct bd_err err = {0};
    cJSON *j = NULL;

    if (bd_json_parse(&j, s->out, strlen(s->out), &err) != BD_OK)
        fail_msg("no document: %s\n%s", err.msg, s->out);
    assert_string_equal(j->child->string, "schema");
    assert_string_equal(j->child->valuestring, schema);
    return j;
}

/* Every key named, separated by blanks, is there. */
static inline void has_keys(const cJSON *j, const char *keys)
{
    char copy[1024], *save = NULL;

    snprintf(copy, sizeof copy, "%s", keys);
    for (char *k = strtok_r(copy, " ", &save); k;
         k = strtok_r(NULL, " ", &save)) {
        if (!cJSON_HasObjectItem(j, k))
            fail_msg("key '%s' is missing", k);
    }
}

static inline double number(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);

    if (!cJSON_IsNumber(v))
        fail_msg("'%s' is no number", key);
    return v->valuedouble;
}

static inline void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A small perceptron for 3x2x2 pictures, three classes, as m.onnx (or nan.onnx
 * with one weight spoiled). */
static inline void put_model(const char *path, bool spoil)
{
    const int64_t dim[3] = {3, 2, 2};
    struct bd_model *m = NULL;
    struct bd_str onnx = {0};
    struct bd_err err = {0};
    const float **over;
    float *w;
    int v;

    if (bd_arch_new(&m, "mlp:12-8-3", dim, 3, 3, 1, &err) != BD_OK)
        fail_msg("%s", err.msg);
    v = m->layer[0].weight;
    over = calloc(m->nvalues, sizeof *over);
    w = malloc((size_t)bd_tensor_count(&m->value[v].t) * sizeof *w);
    memcpy(w, m->value[v].t.f,
           (size_t)bd_tensor_count(&m->value[v].t) * sizeof *w);
    if (spoil)
        w[5] = NAN;
    over[v] = w;
    if (bd_onnx_write(&onnx, m, over, &err) != BD_OK)
        fail_msg("%s", err.msg);
    put(path, onnx.s, onnx.n);
    bd_str_done(&onnx);
    bd_model_free(m);
    free(over);
    free(w);
}

static inline void put_npy(const char *path, const char *descr,
                           const char *shape, const void *data, size_t n)
{
    char file[4096];
    int len = snprintf(file + 10, 256,
                       "{'descr': '%s', 'fortran_order': False, 'shape': "
                       "%s, }\n",
                       descr, shape);

    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (char)(len & 255);
    file[9] = (char)(len >> 8);
    memcpy(file + 10 + len, data, n);
    put(path, file, 10 + (size_t)len + n);
}

/* x.npy and y.npy: 30 pictures of 3x2x2, three classes. */
static inline void put_data(void)
{
    uint8_t x[30 * 12], y[30];

    for (int i = 0; i < 30 * 12; i++)
        x[i] = (uint8_t)(i * 37 + i / 12 * 11);
    for (int i = 0; i < 30; i++)
        y[i] = (uint8_t)(i % 3);
    put_npy("x.npy", "|u1", "(30, 3, 2, 2)", x, sizeof x);
    put_npy("y.npy", "|u1", "(30,)", y, sizeof y);
}

/* One line on standard error that names `file`, nothing on standard output,
 * and this status. */
static inline void refused(struct shot *s, const char *args, int status,
                           const char *file)
{
    size_t n;

    run(s, args);
    n = strlen(s->err);
    if (s->status != status || s->out[0] || n == 0 || s->err[n - 1] != '\n' ||
        strchr(s->err, '\n') != s->err + n - 1 ||
        strncmp(s->err, "bitdial: ", 9) != 0 || !strstr(s->err, file))
        fail_msg("bitdial %s: status %d, wanted %d and '%s'\nout: %s\n"
                 "err: %s",
                 args, s->status, status, file, s->out, s->err);
}

/* Entries of the working folder, dot files aside. */
static inline int entries(void)
{
    DIR *d = opendir(".");
    int n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.' && strcmp(e->d_name, "xdg") != 0;
    closedir(d);
    return n;
}

#endif
