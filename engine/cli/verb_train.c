/* train: fits a float network and writes it as ONNX with its sidecar, so that
 * the result opens without options.  MODEL names an architecture or a file to
 * go on from.  One line per epoch, JSON with --json; nothing is written unless
 * training reached its end. */
#include "cli/cli_priv.h"
#include "train/train.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct cli_args, field)

/* clang-format off */
static const struct cli_option own[] = {
    {CLI_TEXT, "--recipe", 'r', "NAME", "float", AT(recipe), 0, 0},
    {CLI_INT, "--epochs", 'e', "N", "passes over the data (default 20)",
     AT(epochs), 1, 100000},
    {CLI_REAL, "--lr", 0, "RATE", "first learning rate (default 0.1)",
     AT(lr), 0, 0},
    {CLI_REAL, "--momentum", 0, "M", "of SGD (default 0.9)", AT(momentum),
     0, 0},
    {CLI_REAL, "--decay", 0, "D", "weight decay (default 5e-4)", AT(decay),
     0, 0},
    {CLI_INT, "--batch", 'b', "N", "images per step (default 128)",
     AT(batch), 1, 65536},
    {CLI_TEXT, "--schedule", 0, "NAME", "cosine (default), step, constant",
     AT(schedule), 0, 0},
    {CLI_TEXT, "--data", 'd', "SPEC", "training set (default synth:glyphs)",
     AT(data), 0, 0},
    {CLI_TEXT, "--test", 't', "SPEC", "set to measure on after each epoch",
     AT(test), 0, 0},
    {CLI_INT, "--limit", 'n', "N", "at most N training images", AT(limit), 1,
     INT64_MAX},
    {CLI_TEXT, "--preprocess", 'p', "PRESET", "as for eval", AT(preprocess),
     0, 0},
    {CLI_FLAG, "--no-augment", 0, NULL, "pictures as they are",
     AT(no_augment), 0, 0},
    {.type = CLI_END},
};
/* clang-format on */
static const struct cli_option *const options[] = {
    own, bd_cli_model, bd_cli_output, bd_cli_common, NULL,
};

struct train {
    struct cli *c;
    struct bd_data *data, *test;
    struct bd_prep prep;
    struct bd_model *m;
    struct bd_pool *pool;
    struct bd_trainer *trainer;
    const char *data_spec, *test_spec; /* what was opened */
    char path[512], side[600];         /* of the ONNX file, its sidecar */
};

/* ------------------------------------------------------------- preparing */

/* synth:glyphs stands for its own two parts; other sets are taken as named. */
static bd_status open_data(struct train *t, struct bd_err *err)
{
    const struct cli_args *a = &t->c->a;
    const char *spec = a->data ? a->data : "synth:glyphs";
    bd_status st;

    t->test_spec = a->test;
    t->data_spec = spec;
    if (strcmp(spec, "synth:glyphs") == 0) {
        t->data_spec = "synth:glyphs/train";
        t->test_spec = a->test ? a->test : spec;
    }
    st = bd_data_open(&t->data, t->data_spec, err);
    if (st == BD_OK && t->test_spec)
        st = bd_data_open(&t->test, t->test_spec, err);
    if (st == BD_OK && bd_data_label(t->data, 0) < 0) {
        bd_fail(err, BD_EINVALID, "has no labels to learn from");
        return bd_err_file(err, t->data_spec);
    }
    return st;
}

/* What the pictures' shape suggests; the sidecar records what was used. */
static const char *usual_prep(const int64_t dim[3])
{
    if (dim[0] == 1)
        return "mnist01";
    return dim[1] == 32 && dim[2] == 32 ? "cifar10" : "imagenet";
}

/* An existing file is a network to go on from, any other word a name. */
static bd_status make_model(struct train *t, struct bd_err *err)
{
    const struct cli_args *a = &t->c->a;
    int64_t dim[3];
    bd_status st;

    bd_data_shape(t->data, dim);
    st = bd_prep_parse(&t->prep,
                       a->preprocess ? a->preprocess : usual_prep(dim), err);
    if (st != BD_OK)
        return st;
    if (t->prep.crop > 0)
        dim[1] = dim[2] = t->prep.crop;
    if (bd_file_exists(a->file[0])) {
        st = bd_model_load(&t->m, a->file[0], a->arch, err);
        return st == BD_OK ? BD_OK : bd_err_file(err, a->file[0]);
    }
    return bd_arch_new(&t->m, a->file[0], dim, 3, bd_data_classes(t->data),
                       (uint64_t)a->seed, err);
}

/* Length of the path without its last ending: where the sidecar's begins. */
static int stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    bool ends = dot && dot != path && (!slash || dot > slash + 1);

    return (int)(ends ? (size_t)(dot - path) : strlen(path));
}

/* Where the result goes; refused now rather than after an hour. */
static bd_status choose_path(struct train *t, struct bd_err *err)
{
    const struct cli_args *a = &t->c->a;
    bd_status st;
    int n;

    if (!a->output && bd_file_exists(a->file[0]))
        return bd_fail(err, BD_EINVALID,
                       "-o FILE is needed when training goes on from a file");
    n = a->output ? snprintf(t->path, sizeof t->path, "%s", a->output)
                  : snprintf(t->path, sizeof t->path, "%s", a->file[0]);
    if (n < 0 || (size_t)n >= sizeof t->path - 16)
        return bd_fail(err, BD_EINVALID, "-o: a path longer than 500 bytes");
    if (!a->output) { /* mlp:784-10 becomes mlp.onnx */
        t->path[strcspn(t->path, ":/")] = '\0';
        strcat(t->path, ".onnx"); /* room for it was checked */
    }
    if (strcmp(t->path, "-") == 0)
        return bd_fail(err, BD_EINVALID,
                       "-o -: a network and its sidecar are two files; name "
                       "one");
    snprintf(t->side, sizeof t->side, "%.*s.bitdial.json", stem(t->path),
             t->path);
    t->c->a.output = t->path;
    st = bd_cli_save_check(t->c);
    t->c->a.output = t->side; /* may describe some other file of that stem */
    if (st == BD_OK)
        st = bd_cli_save_check(t->c);
    t->c->a.output = t->path;
    return st;
}

static bd_status make_trainer(struct train *t, struct bd_err *err)
{
    const struct cli_args *a = &t->c->a;
    struct bd_train_opts o = {
        .recipe = a->recipe ? a->recipe : "float",
        .epochs = a->epochs,
        .batch = a->batch,
        .lr = a->lr,
        .momentum = a->momentum,
        .decay = a->decay,
        .schedule = a->schedule ? a->schedule : "cosine",
        .limit = a->limit,
        .augment = !a->no_augment,
        .seed = (uint64_t)a->seed,
        .prep = &t->prep,
        .test = t->test,
    };
    bd_status st = bd_pool_new(&t->pool, (int)a->threads, err);

    if (st == BD_OK)
        st = bd_trainer_new(&t->trainer, t->m, t->data, &o, err);
    return st;
}

/* ---------------------------------------------------------------- epochs */

/* At once, not at the end: training takes minutes and is watched. */
static bd_status say_epoch(struct train *t, const struct bd_epoch *e)
{
    struct bd_json j = {0}; /* one line */
    bd_status st = BD_OK;

    if (!t->c->a.json) {
        printf("epoch %lld/%lld  loss %.4f  train %.2f %%", (long long)e->epoch,
               (long long)e->epochs, e->loss, 100.0 * e->train_acc);
        if (isfinite(e->test_acc))
            printf("  test %.2f %%", 100.0 * e->test_acc);
        printf("  lr %.4f  %.1f s\n", e->lr, e->seconds);
        fflush(stdout);
        return BD_OK;
    }
    bd_json_obj(&j, NULL);
    bd_json_str(&j, "schema", "bitdial.epoch/1");
    bd_json_int(&j, "epoch", e->epoch);
    bd_json_int(&j, "epochs", e->epochs);
    bd_json_f64(&j, "loss", e->loss);
    bd_json_f64(&j, "train_acc", e->train_acc);
    bd_json_f64(&j, "test_acc", e->test_acc);
    bd_json_f64(&j, "lr", e->lr);
    bd_json_f64(&j, "seconds", e->seconds);
    bd_json_obj_end(&j);
    if (bd_cli_json_out(t->c, &j) != 0)
        st = t->c->err.code;
    return st;
}

static bd_status epochs(struct train *t, struct bd_err *err)
{
    struct cli_watch *w = &t->c->watch;
    bd_status st = BD_OK;

    for (int64_t e = 0; e < t->c->a.epochs && st == BD_OK; e++) {
        struct bd_epoch report = {0};

        bd_cli_watch_task(w, "epoch");
        st = bd_trainer_epoch(t->trainer, t->pool, &report, w->ctl, err);
        bd_cli_watch_clear(w);
        if (st == BD_OK)
            st = say_epoch(t, &report);
    }
    atomic_store(&w->task, NULL);
    if (st == BD_ECANCELLED && !err->msg[0])
        bd_fail(err, st, "stopped; nothing was written");
    return st;
}

/* --------------------------------------------------------------- writing */

static void json_triple(struct bd_json *j, const char *key, const double v[3])
{
    bd_json_arr_inline(j, key);
    for (int k = 0; k < 3; k++)
        bd_json_f64(j, NULL, v[k]);
    bd_json_arr_end(j);
}

/* Preprocessing that is no preset, key by key. */
static void prep_keys(struct bd_json *j, const struct bd_prep *p)
{
    bd_json_int(j, "resize", p->resize);
    if (p->crop < 0)
        bd_json_str(j, "crop", "net");
    else
        bd_json_int(j, "crop", p->crop);
    bd_json_f64(j, "scale", p->scale);
    json_triple(j, "mean", p->mean);
    json_triple(j, "std", p->std);
    bd_json_str(j, "order", p->bgr ? "bgr" : "rgb");
}

/* The test part is named as the data: what the file is opened with is what
 * it should be measured on. */
static void sidecar(struct bd_json *j, const struct train *t)
{
    bool glyphs = strcmp(t->data_spec, "synth:glyphs/train") == 0;
    char preset[256];

    bd_prep_text(preset, sizeof preset, &t->prep);
    bd_cli_schema(j, "bitdial.model/1");
    bd_json_obj(j, "input");
    if (!strchr(preset, '='))
        bd_json_str(j, "preset", preset);
    else
        prep_keys(j, &t->prep);
    bd_json_obj_end(j);
    if (t->m->arch && t->m->arch[0])
        bd_json_str(j, "arch", t->m->arch);
    if (glyphs || t->test_spec)
        bd_json_str(j, "data", glyphs ? "synth:glyphs" : t->test_spec);
    bd_json_obj_end(j);
}

/* Network first.  Should the sidecar fail, the network is whole and opens with
 * options. */
static bd_status write_model(struct train *t, struct bd_err *err)
{
    struct bd_str onnx = {0};
    struct bd_json j;
    bd_status st =
        bd_onnx_write(&onnx, t->m, bd_trainer_params(t->trainer), err);

    if (st == BD_OK)
        st = bd_cli_save(t->c, onnx.s, onnx.n);
    bd_str_done(&onnx);
    if (st != BD_OK)
        return st;
    sidecar(&j, t);
    t->c->a.output = t->side;
    st = j.out.failed ? bd_fail(err, BD_ENOMEM, "out of memory")
                      : bd_cli_save(t->c, j.out.s, j.out.n);
    t->c->a.output = t->path;
    bd_json_done(&j);
    return st;
}

static int run(struct cli *c)
{
    struct train t = {.c = c};
    bd_status st = open_data(&t, &c->err);

    if (st == BD_OK)
        st = choose_path(&t, &c->err);
    if (st == BD_OK)
        st = make_model(&t, &c->err);
    if (st == BD_OK)
        st = make_trainer(&t, &c->err);
    if (st == BD_OK)
        st = epochs(&t, &c->err);
    if (st == BD_OK)
        st = write_model(&t, &c->err);
    if (st == BD_OK)
        bd_cli_note("wrote %s and its sidecar", t.path);
    bd_trainer_free(t.trainer);
    bd_pool_free(t.pool);
    bd_model_free(t.m);
    bd_data_free(t.test);
    bd_data_free(t.data);
    return st == BD_OK ? 0 : bd_cli_fail(c);
}

const struct cli_verb bd_verb_train = {
    .name = "train",
    .summary = "Trains a float network; writes ONNX and its sidecar.",
    .example = "bitdial train resnet20 --data synth:glyphs -e 3 --lr 0.02 "
               "-b 32 -o glyphs.onnx",
    .usage = "train ARCH|MODEL [--data SPEC] [-o FILE] [OPTIONS]",
    .options = options,
    .min_files = 1,
    .max_files = 1,
    .run = run,
};
