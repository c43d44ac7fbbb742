/* How the program talks: help, versions, suggestions, error documents. */
#include "cli_run.h"

static const char *const verbs[] = {"open",   "info",      "run",    "analyze",
                                    "levels", "eval",      "export", "plot",
                                    "train",  "completion", "compare",
                                    "sweep",  "search",    "channels",
                                    "repair", "bottleneck"};
enum { NVERBS = sizeof verbs / sizeof *verbs };

/* Starts with an example and fits 80x24. */
static void help_fits_a_screen(void **state)
{
    struct shot s;
    char args[64];

    (void)state;
    shot_open(&s);
    for (int k = 0; k < NVERBS; k++) {
        int lines = 0, wide = 0;

        snprintf(args, sizeof args, "%s --help", verbs[k]);
        run_ok(&s, args);
        assert_memory_equal(s.out, "bitdial ", 8);
        assert_non_null(strstr(s.out, "usage: bitdial "));
        for (char *p = s.out; *p; lines++) {
            int n = (int)strcspn(p, "\n");

            wide = n > wide ? n : wide;
            p += n + 1;
        }
        if (lines > 24 || wide > 80)
            fail_msg("%s --help takes %dx%d", verbs[k], wide, lines);
        assert_string_equal(s.err, "");
    }
    shot_close(&s);
}

static void general(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    run_ok(&s, "--help");
    for (int k = 0; k < NVERBS; k++)
        assert_non_null(strstr(s.out, verbs[k]));
    run_ok(&s, "help eval");
    assert_non_null(strstr(s.out, "--weights"));
    run_ok(&s, "--version");
    assert_string_equal(s.out, "bitdial " BD_VERSION "\n");
    run_ok(&s, "info --version");
    assert_string_equal(s.out, "bitdial " BD_VERSION "\n");
    run_ok(&s, "--version --json");
    cJSON_Delete(document(&s, "bitdial.version/1"));
    assert_int_equal(run(&s, "--help >/dev/full #"), 1);
    assert_int_equal(run(&s, "--version >/dev/full #"), 1);
    assert_int_equal(run(&s, ""), 2);
    assert_string_equal(s.out, "");
    assert_non_null(strstr(s.err, "usage"));
    shot_close(&s);
}

static void suggestions(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    refused(&s, "anlyze m.onnx", 2, "did you mean 'analyze'");
    refused(&s, "info --jason m.onnx", 2, "did you mean '--json'");
    refused(&s, "analyze --bist=3 m.onnx", 2, "did you mean '--bits'");
    refused(&s, "analyze m.onnx --methods unifrom", 2, "uniform");
    refused(&s, "export m.onnx --format jsn", 2, "json");
    refused(&s, "plot m.onnx --what histgram -o p.png", 2, "histogram");
    refused(&s, "wibblewobble", 2, "--help");
    refused(&s, "levels apot", 2, "METHOD:BITS");
    assert_int_equal(run(&s, "open m.onnx --batch s.bd --json"), 2);
    cJSON_Delete(document(&s, "bitdial.error/1"));
    refused(&s, "info m.onnx --arch ''", 2, "--arch '': NAME");
    refused(&s, "info m.onnx \"$(printf 'a\\033[31mb')\"", 2, "'a\\x1b[31mb'");
    shot_close(&s);
}

static void wrong_usage(void **state)
{
    static const char *const bad[] = {
        "info",
        "info a.onnx b.onnx",
        "levels",
        "levels float",
        "levels apot:1",
        "levels apot:4 --signed --unsigned",
        "levels uniform:0",
        "levels uniform:99",
        "run m.onnx --inputs . --rtol -1",
        "analyze m.onnx --bits 0",
        "analyze m.onnx --bits 8-2",
        "analyze m.onnx --bits",
        "analyze m.onnx --threads -1",
        "analyze m.onnx --threads=x",
        "analyze m.onnx --json=1",
        "eval m.onnx --limit 0",
        "analyze m.onnx --methods binary --bits 5",
        "analyze m.onnx --clip sideways",
        "plot m.onnx",
        "run m.onnx",
        "plot m.onnx -o x.png --size 5",
        "plot m.onnx -o x.png --theme red",
        "plot m.onnx -o x.png --what grid",
        "plot m.onnx -o x.png --layer q",
        "export m.onnx --weights uniform:1 -o c.json",
        "export m.onnx --set zzz.w=uniform:4 -o c.json",
        "open m.onnx --size 10"};
    struct shot s;
    int before;

    (void)state;
    shot_open(&s);
    put_model("m.onnx", false);
    before = entries();
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        refused(&s, bad[k], 2, "bitdial: ");
    assert_int_equal(entries(), before); /* nothing was written */
    shot_close(&s);
}

static void error_documents(void **state)
{
    static const char *const bad[] = {
        "info --json absent.onnx", "--json info absent.onnx",
        "levels --json apot:1", "--json", "nonsense --json"};
    struct shot s;

    (void)state;
    shot_open(&s);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        cJSON *j, *e;

        assert_int_equal(run(&s, bad[k]), 2);
        j = document(&s, "bitdial.error/1");
        e = cJSON_GetObjectItem(j, "error");
        has_keys(e, "code message file");
        assert_true(strlen(cJSON_GetObjectItem(e, "message")->valuestring) > 5);
        if (k < 2) {
            assert_string_equal(cJSON_GetObjectItem(e, "code")->valuestring,
                                "io");
            assert_string_equal(cJSON_GetObjectItem(e, "file")->valuestring,
                                "absent.onnx");
        }
        cJSON_Delete(j);
    }
    shot_close(&s);
}

/* `--` ends options; options may stand anywhere; short and long agree. */
static void parsing(void **state)
{
    struct shot s;
    char *first;

    (void)state;
    shot_open(&s);
    put_model("-m.onnx", false);
    refused(&s, "info -m.onnx", 2, "-m.onnx");
    run_ok(&s, "info -- -m.onnx");
    put_model("m.onnx", false);
    run_ok(&s, "analyze m.onnx --methods apot --bits=3,4 --json");
    first = s.out;
    s.out = NULL;
    run_ok(&s, "--json --bits 3-4 analyze -m apot m.onnx");
    assert_string_equal(s.out, first);
    bd_free(first);
    shot_close(&s);
}

/* Names that a file invents are shown, never obeyed. */
static void file_names_are_shown_safely(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    assert_int_equal(run(&s, "info \"$(printf 'a\\033[31m\\nb.onnx')\""), 2);
    assert_null(strchr(s.err, '\033'));
    assert_ptr_equal(strchr(s.err, '\n'), s.err + strlen(s.err) - 1);
    shot_close(&s);
}

/* The script that shells load says what the parser takes. */
static void completion(void **state)
{
    struct shot s;

    (void)state;
    shot_open(&s);
    run_ok(&s, "completion bash");
    put("c.sh", s.out, strlen(s.out));
    static const char script[] =
        ". ./c.sh\n"
        "COMP_WORDS=(bitdial an); COMP_CWORD=1; _bitdial\n"
        "echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(bitdial eval m.onnx --pre); COMP_CWORD=3; _bitdial\n"
        "echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(bitdial sw); COMP_CWORD=1; _bitdial\n"
        "echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(bitdial search m.onnx --bud); COMP_CWORD=3; _bitdial\n"
        "echo ${COMPREPLY[@]}\n";
    put("t.sh", script, sizeof script - 1);
    assert_int_equal(system("bash t.sh > t.txt"), 0);
    bd_free(s.out);
    s.out = slurp("t.txt");
    assert_string_equal(s.out, "analyze\n--preprocess\nsweep\n--budget\n");
    run_ok(&s, "completion fish");
    assert_non_null(strstr(s.out, "-l keep-edges -r"));
    for (const char *p = s.out; *p; p += strcspn(p, "\n") + 1) {
        int open = 0; /* every line closes the quotes it opens */

        for (const char *q = p; *q && *q != '\n'; q++) {
            q += *q == '\\' && q[1];
            open ^= *q == '\'' && q[-1] != '\\';
        }
        assert_int_equal(open, 0);
    }
    refused(&s, "completion tcsh", 2, "bash, zsh and fish");
    shot_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_fits_a_screen),
        cmocka_unit_test(general),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(wrong_usage),
        cmocka_unit_test(error_documents),
        cmocka_unit_test(parsing),
        cmocka_unit_test(file_names_are_shown_safely),
        cmocka_unit_test(completion),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s BITDIAL\n", argv[0]);
        return 2;
    }
    program(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
