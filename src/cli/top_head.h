/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_CLI_TOP_HEAD_H
#define FORKSERVER_CLI_TOP_HEAD_H

/* What is above the table: the server itself. */

#include "ps_view.h"

enum { TOP_HEAD_LINES = 3, TOP_LINE_SIZE = 640 };

/* The line `i` of the head. Only the last one may be empty. */
void top_head_print(const struct ps_view *view, size_t i, char text[TOP_LINE_SIZE]);
int64_t top_now_ms(void);

#endif
