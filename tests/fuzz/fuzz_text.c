/* Whatever bytes as text: shown text is clean, decoding never leaves the
 * bytes, and a key's name and its code lead to each other. */
#include "fuzz.h"
#include "wg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Only whole, printable characters may reach a terminal. */
static void check_shown(const char *s, size_t cap)
{
    size_t n = strlen(s);
    assert(n < cap);
    while (n > 0) {
        uint32_t cp = 0;
        size_t used = bd_utf8_decode(&cp, s, n);
        assert(used > 0 && used <= n);
        assert(cp >= 0x20 && (cp < 0x7f || cp > 0x9f));
        assert(cp != 0x200b && !(cp >= 0x202a && cp <= 0x202e));
        s += used;
        n -= used;
    }
}

static void show(const char *text)
{
    static const size_t cells[] = {0, 1, 7, 40, 1000};
    char out[256];
    for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
        for (size_t cap = 1; cap <= sizeof out; cap *= 4)
            check_shown(bd_text_show(out, cap, text, cells[k]), cap);
}

static void decode(const char *s, size_t n)
{
    while (n > 0) {
        char back[4];
        uint32_t cp = 0;
        size_t used = bd_utf8_decode(&cp, s, n);
        assert(used <= 4 && used <= n);
        if (used) {
            assert(bd_utf8_encode(back, cp) == used);
            assert(memcmp(back, s, used) == 0);
        }
        s += used ? used : 1;
        n -= used ? used : 1;
    }
}

static void key(const char *text)
{
    char name[64];
    int k = wg_key_parse(text);
    if (k == WG_KEY_NONE)
        return;
    assert(wg_key_parse(wg_key_name(name, sizeof name, k)) == k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t i;
    double d;
    char *text = malloc(size + 1), *half;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    show(text);
    decode((const char *)data, size);
    key(text);
    bd_parse_int(&i, text, -5, 5);
    bd_parse_double(&d, text);
    /* The first half as a pattern for the whole. */
    half = strndup(text, size / 2);
    if (half)
        bd_glob(half, text);
    free(half);
    free(text);
    return 0;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static const char *const seeds[] = {
        "conv[1-9]*?.w conv1.w", "Ctrl-D", "<Down>", "<S-Tab>", "F12", "x",
        "caf\xc3\xa9 \xe2\x80\xae\xe2\x80\x8b \xf0\x9f\x98\x80 \xcc\x81",
        "\x1b[31m\x7f\xc2\x9b\xed\xa0\x80\xff\xfe", "-12.5e-3"};
    if (k >= sizeof seeds / sizeof *seeds)
        return false;
    bd_str_puts(out, seeds[k]);
    return !out->failed;
}
