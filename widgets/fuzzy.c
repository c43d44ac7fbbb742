/* Fuzzy matching: the letters of the pattern in order, anywhere in the text.
 *
 * Letters at the start of a word and letters in a row are worth more, so "bu"
 * prefers "bits up" to "double".  The best placement is found exactly, by
 * dynamic programming over (letter of the pattern, place in the text); texts
 * are names and commands, a few hundred bytes at most. */
#include "wg_priv.h"

#include <string.h>

enum { LONGEST = 256, NOT_FOUND = -1, RUN = 8, WORD = 6 };

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : (unsigned char)c;
}

static int place_value(const char *s, int i)
{
    return 1 + (i == 0 || strchr(" ._-/:", s[i - 1]) ? WORD : 0);
}

/* best[i]: score when the letters so far are placed and the last one stands
 * at i.  Extends all of them by the letter p. */
static void extend(int best[LONGEST], const char *s, int n, char p)
{
    int before = NOT_FOUND;   /* best of all places left of i - 1 */
    int previous = NOT_FOUND; /* best[i - 1] of the letters so far */

    for (int i = 0; i < n; i++) {
        int in_row = previous == NOT_FOUND ? NOT_FOUND : previous + RUN;
        int from = in_row > before ? in_row : before;
        int old = best[i];
        bool fits = lower(s[i]) == lower(p) && from != NOT_FOUND;
        best[i] = fits ? from + place_value(s, i) : NOT_FOUND;
        before = previous > before ? previous : before;
        previous = old;
    }
}

int wg_fuzzy(const char *pattern, const char *s)
{
    int best[LONGEST];
    int n = (int)strnlen(s, LONGEST), top = NOT_FOUND;

    if (!*pattern) {
        return 0;
    }
    for (int i = 0; i < n; i++) {
        bool fits = lower(s[i]) == lower(pattern[0]);
        best[i] = fits ? place_value(s, i) : NOT_FOUND;
    }
    for (const char *p = pattern + 1; *p; p++) {
        extend(best, s, n, *p);
    }
    for (int i = 0; i < n; i++) {
        top = best[i] > top ? best[i] : top;
    }
    /* among equals the shorter text is the closer one */
    return top == NOT_FOUND ? -1 : top * LONGEST + LONGEST - n;
}
