/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_MAP_REPORT_LINE_H
#define FORKSERVER_CLI_MAP_REPORT_LINE_H

/* A line of the report, as it is read again. */

#include <stdbool.h>
#include <stddef.h>

struct map_report_line {
        const char *values; /* within the line, each with its NUL */
        size_t size;
        bool succeeded;
        bool lost; /* not all of its output was kept */
};

/* Writes to the line. 0, or -EINVAL if it isn't one of a report. */
int map_report_line_parse(char *line, struct map_report_line *ret_parsed);

#endif
