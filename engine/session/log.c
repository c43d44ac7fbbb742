/* The log: sentences for the person, oldest first.  Text from files was made
 * safe to show by whoever wrote the sentence. */
#include "session/session_priv.h"

#include <stdio.h>
#include <string.h>

static void drop_oldest(struct bd_session *s)
{
    bd_free(s->log[0]);
    s->nlog--;
    memmove(s->log, s->log + 1, s->nlog * sizeof *s->log);
}

void bd_session_say(struct bd_session *s, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    char *copy = bd_strdup(line);
    if (!copy)
        return; /* a lost remark is no reason to stop */
    if (s->nlog == BD_LOG_LINES)
        drop_oldest(s);
    if (!bd_grow((void **)&s->log, &s->log_cap, s->nlog + 1,
                 sizeof *s->log)) {
        bd_free(copy);
        return;
    }
    s->log[s->nlog++] = copy;
    s->shown_changed = true;
}

size_t bd_session_log(const struct bd_session *s, size_t i, const char **line)
{
    if (line && i < s->nlog)
        *line = s->log[i];
    return s->nlog;
}
