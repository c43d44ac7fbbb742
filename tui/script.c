/* script.c: `--batch`.  A script is what a person would type: words are
 * keys, a word that begins with `:` is a command up to the end of its line.
 *
 *     # two layers down, one bit more, then the screen as text
 *     <Down> <Down> + :wait
 *     :save-screen layers.txt
 *
 * No terminal is needed: screens are drawn on a canvas.  The clock stands
 * still and results are taken in at :wait alone, so the same script gives
 * the same screens, byte for byte, on any machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

enum { SCRIPT_MAX = 1 << 20 };

/* Drawing asks for what is on screen, so it comes before waiting. */
static void wait_idle(struct ui *ui)
{
    do {
        while (!bd_session_idle(ui->s)) {
            bd_session_wait(ui->s);
            bd_session_collect(ui->s);
        }
        ui_changed(ui);
        ui_draw(ui);
    } while (!bd_session_idle(ui->s));
}

/* The next key of a word: "<Down>", or one character.  Returns the bytes
 * used, 0 when it is none. */
static size_t next_key(int *key, const char *s, size_t n)
{
    char name[32];
    const char *end = s[0] == '<' ? memchr(s, '>', n) : NULL;
    const char *next = end ? memchr(s + 1, '<', n - 1) : NULL;
    /* "<3<Enter>" begins with a plain '<': no name holds another one. */
    if (end && end > s + 1 && !(next && next < end)) {
        size_t len = (size_t)(end - s) + 1;
        snprintf(name, sizeof name, "%.*s", (int)len, s);
        *key = wg_key_parse(name);
        return *key == WG_KEY_NONE ? 0 : len;
    }
    uint32_t cp;
    size_t used = bd_utf8_decode(&cp, s, n);
    *key = (int)cp;
    return used;
}

static bool type_word(struct ui *ui, const char *s, size_t n, char *why,
                      size_t cap)
{
    char name[32], shown[128];
    snprintf(name, sizeof name, "%.*s", (int)n, s);
    /* Names such as Ctrl-D or F1 are one key; two letters are two. */
    int key = n > 1 && n < sizeof name ? wg_key_parse(name) : WG_KEY_NONE;
    ui->count.value = 0;
    if (key != WG_KEY_NONE) {
        ui_key(ui, key);
        return true;
    }
    while (n > 0) {
        size_t used = next_key(&key, s, n);
        if (used == 0) {
            snprintf(why, cap, "'%s' is no key; as in <Down> Ctrl-D x",
                     bd_text_show(shown, sizeof shown, s, 20));
            return false;
        }
        ui_key(ui, key);
        s += used;
        n -= used;
    }
    return true;
}

/* A command takes the rest of its line, so file names may hold blanks. */
bool ui_script_line(struct ui *ui, const char *line, char *why, size_t cap)
{
    const char *s = line + strspn(line, " \t");
    if (*s == '#')
        return true;
    while (*s && !ui->quit) {
        size_t n = strcspn(s, " \t");
        if (*s == ':' && n > 1) {
            if (!ui_command_run(ui, s + 1)) {
                snprintf(why, cap, "%s", ui->note.text);
                return false;
            }
            if (ui->waits) {
                ui_draw(ui);
                wait_idle(ui);
            }
            ui->waits = false;
            return true;
        }
        if (!type_word(ui, s, n, why, cap))
            return false;
        s += n;
        s += strspn(s, " \t");
    }
    return true;
}

/* Lines one after the other; the first that is not understood ends it. */
static int run_text(struct ui *ui, char *text, const char *path)
{
    char why[700], shown[300];
    int number = 0;
    for (char *s = text; *s && !ui->quit;) {
        size_t n = strcspn(s, "\n");
        char *next = s + n + (s[n] == '\n');
        s[n] = 0;
        if (n > 0 && s[n - 1] == '\r')
            s[n - 1] = 0;
        number++;
        if (!ui_script_line(ui, s, why, sizeof why)) {
            fprintf(stderr, "bitdial: %s: line %d: %s\n",
                    bd_text_show(shown, sizeof shown, path, 80), number,
                    why);
            return 1;
        }
        s = next;
    }
    return 0;
}

int ui_script_run(struct ui *ui, const char *path)
{
    struct bd_err err = {0};
    char *text = NULL, shown[300];
    size_t n;
    if (bd_file_read(&text, &n, path, SCRIPT_MAX, &err) != BD_OK) {
        fprintf(stderr, "bitdial: %s: %s\n",
                bd_text_show(shown, sizeof shown, path, 80), err.msg);
        return 2;
    }
    int status = run_text(ui, text, path);
    bd_free(text);
    return status;
}
