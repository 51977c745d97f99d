/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_STRINGS_H
#define FSRV_WIRE_STRINGS_H

/* Lists of NUL-terminated strings, one after the other. */

#include <stddef.h>

/* Bytes of a NULL-terminated list; *ret_n its length. List NULL: 0. */
size_t fsrv__strings_size(const char *const *list, size_t *ret_n);
/* Writes one string, or a list, and returns where the next goes. */
char *fsrv__string_put(char *at, const char *string);
char *fsrv__strings_put(char *at, const char *const *list);

/* Points ret_strings[0…n-1] into the bytes at *at, and moves *at behind them. 0, or -EPROTO if they do not hold n
 * strings before `end`. */
int fsrv__strings_get(const char **at, const char *end, size_t n, char **ret_strings);

#endif
