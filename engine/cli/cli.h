/* cli: the verbs.  A thin face of the session: parses options, calls, and
 * prints a table or one JSON document.  The contract is docs of its own:
 * names and keys here never change. */
#ifndef BD_CLI_H
#define BD_CLI_H

#include "session/session.h"

enum { BD_CLI_SETS = 64 };

/* What the interactive screen needs, when that is what was asked for. */
struct bd_cli_open {
    bool wanted; /* run the interface with what follows */
    struct bd_session_opts session;
    const char *script;        /* --batch SCRIPT, NULL = terminal */
    const char *theme, *color; /* NULL = automatic */
    bool ascii, linear, nomouse;
    int width, height;                /* of --batch's screen */
    const char *set[BD_CLI_SETS + 1]; /* what session.set points to: pass the
                                  struct by address, do not copy it */
};
/* Runs one command line; returns the exit status.  When `open` comes back
 * wanted, nothing was done yet: the caller runs the interface, or prints the
 * analysis by bd_cli_analyze_table when there is no terminal.  Strings in
 * *open point into argv. */
int bd_cli_main(struct bd_cli_open *open, int argc, char **argv);
int bd_cli_analyze_table(const struct bd_cli_open *open);

#endif
