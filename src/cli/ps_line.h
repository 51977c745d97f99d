/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_PS_LINE_H
#define FORKSERVER_CLI_PS_LINE_H

/* Lines of a table, which may hold any bytes, on a terminal of any size. */

#include <stddef.h>
#include <stdio.h>

enum { PS_WHOLE = 0 };

struct ps_size {
        size_t columns, lines; /* PS_WHOLE: it is no terminal */
};

/* Of standard output. */
struct ps_size ps_size_now(void);
/* As many columns of the line as there are; PS_WHOLE: all. Control characters and bytes that aren't UTF-8 become '?',
 * newlines and TABs blanks. There is no newline at the end. */
void ps_line_put(FILE *out, const char *line, size_t columns);

#endif
