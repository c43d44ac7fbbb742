/* Errors as values.  The first error of a call chain wins, because it is the
 * one nearest to the cause. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

bd_status bd_fail(struct bd_err *err, bd_status code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL || err->code != BD_OK)
        return code;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return code;
}

bd_status bd_err_file(struct bd_err *err, const char *path)
{
    if (err == NULL)
        return BD_EIO;
    if (err->code != BD_OK && err->file[0] == '\0')
        bd_text_show(err->file, sizeof err->file,
                     strcmp(path, "-") == 0 ? "standard input" : path, 120);
    return err->code;
}

const char *bd_status_name(bd_status s)
{
    static const char *const names[] = {
        "ok",          "invalid",   "io",       "format",
        "unsupported", "no-memory", "cancelled"};

    return names[s];
}
