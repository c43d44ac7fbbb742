/* From keypress to repaint: what a person waits for.  A network with the
 * weights of ResNet-50 is made, written and opened; one key is pressed on
 * every layer, cold (its weights were never looked at) and warm (its index
 * exists), until the exact PSNR is on the canvas.  Then the time from an edit
 * to the full accuracy over 1,000 images, layer by layer, against the first
 * run that had no cached activations.
 *
 * Usage: bench_edit SAMPLE_MODEL      (BITDIAL_DATA: CIFAR and ResNet-20) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/session.h"
#include "ui.h"

enum { CHAIN = 54, W = 80, H = 24 };

static double us_since(int64_t t)
{
    return (double)(bd_now_ns() - t) * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ------------------------------------------------- a ResNet-50's weights
 * One chain of convolutions with its 53 kernels and the classifier: shapes
 * and sizes are what the keypress depends on. */
struct shape {
    int64_t out, in, k;
};

static int resnet50(struct shape s[CHAIN])
{
    const int blocks[] = {3, 4, 6, 3};
    int n = 0;
    int64_t in = 64;

    s[n++] = (struct shape){64, 3, 7};
    for (int stage = 0; stage < 4; stage++) {
        int64_t mid = (int64_t)64 << stage;

        for (int b = 0; b < blocks[stage]; b++) {
            s[n++] = (struct shape){mid, in, 1};
            s[n++] = (struct shape){mid, mid, 3};
            s[n++] = (struct shape){4 * mid, mid, 1};
            if (b == 0)
                s[n++] = (struct shape){4 * mid, in, 1};
            in = 4 * mid;
        }
    }
    s[n++] = (struct shape){1000, 2048, 1};
    return n;
}

static float *random_weights(size_t n, uint64_t seed)
{
    float *x = bd_alloc(n, sizeof *x);
    struct bd_rng r = {seed};

    for (size_t i = 0; x != NULL && i < n; i++) {
        double v = bd_rng_unit(&r) + bd_rng_unit(&r) + bd_rng_unit(&r) - 1.5;

        x[i] = (float)(0.03 * v * (i % 997 == 0 ? 5 : 1));
    }
    return x;
}

/* Every kernel reads the input through its own path of Concat-free nodes:
 * one convolution each, all of them outputs. */
static bd_status write_model(const char *path, struct bd_err *err)
{
    struct shape s[CHAIN];
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_str bytes = {0};
    float *data[CHAIN] = {0};
    int n = resnet50(s);
    bd_status st;

    for (int i = 0; i < n; i++) {
        char name[64];
        const int64_t dim[] = {1, s[i].in, 7, 7};
        size_t count = (size_t)(s[i].out * s[i].in * s[i].k * s[i].k);
        struct bd_tensor t = {.type = BD_F32,
                              .rank = 4,
                              .dim = {s[i].out, s[i].in, s[i].k, s[i].k}};
        int in[2];

        data[i] = t.f = random_weights(count, (uint64_t)i);
        snprintf(name, sizeof name, "in%d", i);
        in[0] = bd_build_input(b, name, dim, 4);
        snprintf(name, sizeof name, "layer%d.weight", i);
        in[1] = bd_build_const(b, name, &t);
        snprintf(name, sizeof name, "conv%d", i);
        bd_build_output(b, bd_build_node(b, "Conv", name, in, 2, NULL, 0));
    }
    st = bd_build_finish(&m, b, false, err);
    if (st == BD_OK)
        st = bd_onnx_write(&bytes, m, NULL, err);
    if (st == BD_OK)
        st = bd_save(path, bytes.s, bytes.n, true, err);
    bd_str_done(&bytes);
    bd_model_free(m);
    for (int i = 0; i < n; i++)
        bd_free(data[i]);
    return st;
}

/* ---------------------------------------------------------------- pressing */
static void wait_layer(struct bd_session *s, int layer)
{
    struct bd_layer_view v;

    for (;;) {
        bd_session_collect(s);
        bd_session_layer(&v, s, layer);
        if (v.fresh == BD_EXACT || v.failed || bd_session_idle(s))
            return;
        bd_session_wait(s);
    }
}

static void wait_idle(struct bd_session *s)
{
    while (!bd_session_idle(s)) {
        bd_session_wait(s);
        bd_session_collect(s);
    }
}

static double press(struct ui *ui, const char *keys, int layer)
{
    struct bd_layer_view v;
    int64_t t = bd_now_ns();

    for (; *keys != '\0'; keys++)
        ui_key(ui, *keys == '\n' ? 13 : *keys);
    wait_layer(ui->s, layer);
    ui_changed(ui);
    ui_draw(ui);
    double us = us_since(t);

    bd_session_layer(&v, ui->s, layer);
    if (v.fresh != BD_EXACT)
        fprintf(stderr, "bench_edit: layer %d has no exact PSNR\n", layer);
    return us;
}

static void summary(const char *what, double *us, int n)
{
    qsort(us, (size_t)n, sizeof *us, by_value);
    printf("%-34s median %8.0f us   largest %8.0f us\n", what, us[n / 2],
           us[n - 1]);
}

static void say_error(const struct bd_err *err)
{
    fprintf(stderr, "bench_edit: %s: %s\n", err->file, err->msg);
}

static struct bd_session *open_at(struct ui *ui, const char *path, int layer)
{
    struct bd_session_opts o = {.model = path, .no_state = true};
    struct bd_session *s = NULL;
    struct bd_err err = {0};
    char why[200], go[40];

    if (bd_session_open(&s, &o, &err) != BD_OK) {
        say_error(&err);
        return NULL;
    }
    struct ui_setup setup = {s, NULL, WG_BLOCKS, W, H};
    if (!ui_init(ui, &setup, why, sizeof why)) {
        bd_session_close(s);
        return NULL;
    }
    snprintf(go, sizeof go, "goto layer%d", layer);
    ui_command_run(ui, go);
    ui_draw(ui);
    return s;
}

/* Each layer in a program just opened, pressed as soon as the table stands:
 * its weights were never touched and the other layers compete. */
static int bench_press(const char *path)
{
    double cold[CHAIN], warm[CHAIN], row[CHAIN];
    int n = CHAIN;

    for (int i = 0; i < n; i++) {
        struct ui ui;
        struct bd_session *s = open_at(&ui, path, i);

        if (s == NULL)
            return 1;
        bd_session_start(s);
        cold[i] = press(&ui, "b5\n", i);
        wait_idle(s);
        warm[i] = press(&ui, "-", i);
        row[i] = press(&ui, "m", i);
        ui_done(&ui);
        bd_session_close(s);
    }
    printf("keypress to repaint of exact PSNR, %d layers of ResNet-50's "
           "sizes\n", n);
    summary("  cold, first look at the weights", cold, n);
    summary("  warm, one bit fewer", warm, n);
    summary("  warm, another method", row, n);
    return 0;
}

/* ---------------------------------------------------------------- accuracy */
static double wait_accuracy(struct bd_session *s)
{
    struct bd_net_view v;
    int64_t t = bd_now_ns();

    for (;;) {
        bd_session_collect(s);
        bd_session_net(&v, s);
        if (v.fresh == BD_EXACT || bd_session_idle(s))
            return us_since(t) * 1e-3;
        bd_session_wait(s);
    }
}

static int bench_accuracy(const struct bd_session_opts *o)
{
    struct bd_session *s = NULL;
    struct bd_err err = {0};
    struct bd_net_view net;
    double full;
    size_t n;

    if (bd_session_open(&s, o, &err) != BD_OK) {
        say_error(&err);
        return 1;
    }
    bd_session_start(s);
    n = bd_session_model(s)->nlayers;
    wait_accuracy(s);
    wait_idle(s);
    /* Any first edit of all layers can use nothing that is cached. */
    int all[512];
    for (size_t i = 0; i < n && i < 512; i++)
        all[i] = (int)i;
    bd_session_set_bits(s, (struct bd_sel){all, n}, BD_PART_W, 6, NULL);
    full = wait_accuracy(s);
    bd_session_net(&net, s);
    printf("edit to full accuracy, %lld images, %s on %s\n",
           (long long)net.images, o->model,
           bd_data_name(bd_session_data(s)));
    printf("  %-32s %8.1f ms\n", "every layer edited", full);
    for (size_t i = 0; i < n; i += (n > 8 ? (n - 1) / 7 : 1)) {
        int l = (int)i;
        double ms;

        bd_session_set_bits(s, (struct bd_sel){&l, 1}, BD_PART_W, 5, NULL);
        ms = wait_accuracy(s);
        printf("  layer %2d of %-3zu %-18.18s %8.1f ms   %.2f of all\n", l,
               n, bd_session_model(s)->layer[l].name, ms, ms / full);
    }
    bd_session_close(s);
    return 0;
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/bitdial-bench-XXXXXX";
    char path[100], model[600], data[600];
    const char *real = getenv("BITDIAL_DATA");
    struct bd_session_opts o = {.no_state = true, .limit = 1000};
    struct bd_err err = {0};
    int rc;

    if (argc < 2 || mkdtemp(dir) == NULL)
        return 2;
    bd_kernels_single_threaded_blas();
    snprintf(path, sizeof path, "%s/resnet50.onnx", dir);
    if (write_model(path, &err) != BD_OK) {
        say_error(&err);
        return 1;
    }
    rc = bench_press(path);
    unlink(path);
    rmdir(dir);
    o.model = argv[1];
    if (real != NULL) {
        snprintf(model, sizeof model, "%s/res20_apot/fp32.npz", real);
        snprintf(data, sizeof data, "%s/cifar10/test_first1017.bin", real);
        o.model = model;
        o.data = data;
    }
    return rc != 0 ? rc : bench_accuracy(&o);
}
