/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_PS_TABLE_H
#define FORKSERVER_CLI_PS_TABLE_H

/* A view as a table for people. */

#include "ps_line.h"
#include "ps_view.h"

/* "[[DD-]HH:]MM:SS", as ps(1) has it. */
void ps_duration_print(uint64_t ms, char *text, size_t size);
/* What it runs; "-" if that can't be known. free() it. */
char *ps_what(const struct ps_view *view, const struct ps_row *row);
/* The user's name; its number, if it has none or if the server may have other users than we. */
void ps_user_print(const struct ps_view *view, const struct ps_row *row, char *text, size_t size);

/* A header and the rows: so many lines, each with what ends it before it, but for the first one. top leaves columns out
 * that have no room. */
void ps_table_print(FILE *out, const struct ps_view *view, const struct ps_options *options, struct ps_size size,
                    const char *line_end);

/* ps_json.c: the same as a JSON object on one line. */
void ps_json_print(FILE *out, const struct ps_view *view, const struct ps_options *options);
const char *ps_role_name(uint32_t role);

#endif
