/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_TEXT_H
#define FORKSERVER_CLI_TEXT_H

/* Text from outside: items, paths, names of programs, what modules said. All of it that people see comes through here,
 * so that their terminal obeys none of it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The length of the valid UTF-8 sequence at `text`, 0 if there is none (RFC 3629: no surrogates, nothing overlong). */
size_t cli_utf8_length(const char *text);
/* A control character begins at `text`: C0, DEL, or C1 in UTF-8. */
bool cli_is_control(const char *text);
/* Copies the text with a '?' for each control character and each byte that isn't UTF-8 (a blank for newlines and TABs).
 * What has no room is left out by whole characters; the copy ends in "..." then. size: at least 8. Returns the copy's
 * length. */
size_t cli_harmless(char *out, size_t size, const char *text);
/* The same to a stream. */
void cli_put_harmless(FILE *out, const char *text);

#endif
