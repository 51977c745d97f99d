/* SPDX-License-Identifier: MIT */
#ifndef TESTS_WORDS_H
#define TESTS_WORDS_H

/* The test programs speak lines: a command is words with spaces between, %XX for any byte; an answer is JSON. */

#include <stddef.h>
#include <stdio.h>

/* Cuts the line into at most n-1 words and a NULL, in place; their number. */
int words_split(char *line, char **ret_words, int n);

/* A JSON string with its quotes; a byte over 127 is the character of that number. */
void json_string(FILE *out, const char *bytes, size_t n);

#endif
