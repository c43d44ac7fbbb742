/* Bad input of every kind to every verb that reads it: one line on standard
 * error naming the file, exit status 2, nothing on standard output, nothing
 * written. */
#include "cli_run.h"

/* What stands before and after the model's name. */
static const char *const model_verbs[][2] = {
    {"info", ""},
    {"analyze", ""},
    {"eval", "--data x.npy --preprocess mnist01"},
    {"export", "-o out.json"},
    {"plot", "-o out.png"},
    {"run", "--inputs ."},
    {"", ""}};
enum { NVERBS = sizeof model_verbs / sizeof *model_verbs };

static void try_model(struct shot *s, const char *name)
{
    int before = entries();
    char args[512];

    for (int k = 0; k < NVERBS; k++) {
        snprintf(args, sizeof args, "%s %s %s", model_verbs[k][0], name,
                 model_verbs[k][1]);
        refused(s, args, 2, name);
        assert_int_equal(entries(), before);
    }
}

static void models_not_files(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_data();
    try_model(&s, "absent.onnx");
    put("empty.onnx", "", 0);
    try_model(&s, "empty.onnx");
    put("one.onnx", "x", 1);
    try_model(&s, "one.onnx");
    put("page.onnx", "<!DOCTYPE html><html></html>\n", 29);
    try_model(&s, "page.onnx");
    put("link.onnx", "version https://git-lfs.github.com/spec/v1\n", 43);
    try_model(&s, "link.onnx");
    assert_int_equal(mkdir("folder.onnx", 0700), 0);
    try_model(&s, "folder.onnx");
    assert_int_equal(mkfifo("pipe.onnx", 0600), 0);
    try_model(&s, "pipe.onnx");
    assert_int_equal(symlink("loop.onnx", "loop.onnx"), 0);
    try_model(&s, "loop.onnx");
    shot_close(&s);
}

static void models_cut_short(void **state)
{
    struct shot s;
    char *bytes;
    size_t n;

    (void)state;
    shot_open(&s);
    put_data();
    put_model("m.onnx", false);
    assert_int_equal(bd_file_read(&bytes, &n, "m.onnx", 1 << 20, NULL), BD_OK);
    for (size_t k = 1; k < 8; k++) {
        put("cut.onnx", bytes, n * k / 8);
        refused(&s, "info cut.onnx", 2, "cut.onnx");
        refused(&s, "analyze cut.onnx", 2, "cut.onnx");
    }
    bd_free(bytes);
    shot_close(&s);
}

/* NaN weights are shown by info (test_verbs) and refused where one answer is
 * asked for. */
static void models_nan(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_data();
    put_model("nan.onnx", true);
    refused(&s, "analyze nan.onnx", 2, "nan.onnx");
    assert_non_null(strstr(s.err, "NaN"));
    refused(&s, "eval nan.onnx --data x.npy --preprocess mnist01", 2,
            "nan.onnx");
    refused(&s, "export nan.onnx -o out.json", 2, "nan.onnx");
    refused(&s, "plot nan.onnx -o out.png", 2, "nan.onnx");
    assert_false(bd_file_exists("out.json") || bd_file_exists("out.png"));
    shot_close(&s);
}

static void models_without_permission(void **state)
{
    struct shot s;

    (void)state;
    if (geteuid() == 0) {
        print_message("root may read everything: permission is not tested\n");
        skip();
    }
    shot_open(&s);
    put_data();
    put_model("closed.onnx", false);
    assert_int_equal(chmod("closed.onnx", 0), 0);
    try_model(&s, "closed.onnx");
    shot_close(&s);
}

static void npz(void **state)
{
    static const char head[] = "PK\3\4\24\0\0\0\0\0";
    struct shot s;

    (void)state;
    shot_open(&s);
    put_data();
    put("w.npz", head, sizeof head - 1);
    try_model(&s, "w.npz");
    put("w.npz", "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
    try_model(&s, "w.npz");
    shot_close(&s);
}

static void data_sets(void **state)
{
    static const char *const names[] = {"absent.bin", "empty.bin", "cut.bin",
                                        "folder",     "page.bin",  "nan.npy"};
    const float nan1[2 * 12] = {NAN};
    struct shot s;
    char args[256];
    int before;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    put("empty.bin", "", 0);
    put("cut.bin", "\3", 1);
    put("page.bin", "<html></html>", 13);
    assert_int_equal(mkdir("folder", 0700), 0);
    put_npy("nan.npy", "<f4", "(2, 3, 2, 2)", nan1, sizeof nan1);
    before = entries();
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        snprintf(args, sizeof args, "eval m.onnx --preprocess raw255 --data %s",
                 names[k]);
        refused(&s, args, 2, names[k]);
        snprintf(args, sizeof args, "train mlp:12-4-3 -o t.onnx --data %s",
                 names[k]);
        if (k < 5)
            refused(&s, args, 2, names[k]);
    }
    assert_int_equal(entries(), before);
    shot_close(&s);
}

/* Broken defaults are refused, not replaced by others. */
static void sidecars(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "<html>", "{\"schema\":\"bitdial.model/2\"}",
        "{\"schema\":\"bitdial.model/1\",\"arch\":3}",
        "{\"schema\":\"bitdial.model/1\",\"schema\":1}"};
    static const char file[] = "m.bitdial.json";
    struct shot s;

    (void)state;
    shot_open(&s);
    put_data();
    put_model("m.onnx", false);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        put(file, bad[k], strlen(bad[k]));
        refused(&s, "info m.onnx", 2, file);
        refused(&s, "analyze m.onnx", 2, file);
        refused(&s, "eval m.onnx --data x.npy", 2, file);
        refused(&s, "export m.onnx -o c.json", 2, file);
        refused(&s, "plot m.onnx -o c.png", 2, file);
    }
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    refused(&s, "eval m.onnx --data x.npy", 2, file);
    shot_close(&s);
}

static void configurations(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"schema\":\"bitdial.config/2\",\"layers\":[]}",
        "{\"schema\":\"bitdial.config/1\",\"layers\":[{\"name\":\"nope\"}]}",
        "{\"schema\":\"bitdial.config/1\",\"schema\":1}",
        "\xff\xfe{}",
        "null",
        "{\"schema\":\"bitdial.config/1\",\"layers\":3}"};
    struct shot s;
    char *deep;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        put("bad.json", bad[k], strlen(bad[k]));
        refused(&s, "export m.onnx --config bad.json -o out.json", 2,
                "bad.json");
    }
    deep = malloc(100000);
    memset(deep, '[', 100000);
    put("bad.json", deep, 100000);
    free(deep);
    refused(&s, "export m.onnx --config bad.json -o out.json", 2, "bad.json");
    refused(&s, "export m.onnx --config . -o out.json", 2, ".");
    assert_false(bd_file_exists("out.json"));
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_not_files),
        cmocka_unit_test(models_cut_short),
        cmocka_unit_test(models_nan),
        cmocka_unit_test(models_without_permission),
        cmocka_unit_test(npz),
        cmocka_unit_test(data_sets),
        cmocka_unit_test(sidecars),
        cmocka_unit_test(configurations),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s BITDIAL\n", argv[0]);
        return 2;
    }
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
