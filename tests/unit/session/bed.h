/* The test bed: a small random network in a temporary folder, and sessions
 * on it with the glyphs as pictures. */
#ifndef TEST_SESSION_BED_H
#define TEST_SESSION_BED_H

#include "session/session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

struct bed {
    char dir[64], model[96];
};

static inline void put_file(const char *path, const char *text, size_t n)
{
    struct bd_err e = {0};
    if (bd_save(path, text, n, true, &e) != BD_OK)
        fail_msg("%s: %s", path, e.msg);
}

/* Writes a network of the given shape and seed as PATH. */
static inline void put_net(const char *path, const char *arch, uint64_t seed)
{
    static const int64_t dim[3] = {3, 32, 32};
    struct bd_model *m;
    struct bd_str s = {0};
    struct bd_err e = {0};
    if (bd_arch_new(&m, arch, dim, 3, 10, seed, &e) != BD_OK ||
        bd_onnx_write(&s, m, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    put_file(path, s.s, s.n);
    bd_str_done(&s);
    bd_model_free(m);
}

static inline int bed_begin(void **state)
{
    struct bed *b = calloc(1, sizeof *b);
    if (!b)
        return -1;
    strcpy(b->dir, "/tmp/bdtestXXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    setenv("XDG_STATE_HOME", b->dir, 1);
    snprintf(b->model, sizeof b->model, "%s/net.onnx", b->dir);
    put_net(b->model, "mlp:3072-24-16-10", 1);
    *state = b;
    return 0;
}

static inline int bed_end(void **state)
{
    struct bed *b = *state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", b->dir);
    int left = system(cmd);
    free(b);
    return left;
}

static inline struct bd_session_opts bed_opts(const struct bed *b)
{
    return (struct bd_session_opts){.model = b->model,
                                    .data = "synth:glyphs",
                                    .preprocess = "cifar10",
                                    .limit = 100, .calib_limit = 16,
                                    .threads = 2, .no_state = true};
}

static inline struct bd_session *open_session(const struct bd_session_opts *o)
{
    struct bd_session *s = NULL;
    struct bd_err e = {0};
    if (bd_session_open(&s, o, &e) != BD_OK)
        fail_msg("%s: %s", e.file, e.msg);
    return s;
}

static inline void settle(struct bd_session *s)
{
    while (!bd_session_idle(s)) {
        bd_session_wait(s);
        bd_session_collect(s);
    }
}

static inline bool log_has(const struct bd_session *s, const char *text)
{
    const char *line;
    for (size_t i = 0; i < bd_session_log(s, 0, NULL); i++) {
        bd_session_log(s, i, &line);
        if (strstr(line, text))
            return true;
    }
    return false;
}

static inline struct bd_sel one(const int *layer)
{
    return (struct bd_sel){layer, 1};
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_begin, bed_end)

#endif
