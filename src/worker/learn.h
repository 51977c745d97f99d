/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_LEARN_H
#define FSRV_WORKER_LEARN_H

/* What a call would need that a sandbox refuses, as a word of the command's --sandbox. */

#include <linux/seccomp.h>

#include "wire/sandbox_codec.h"

enum { FSRV_WORD_SIZE = 4200 };

/* The words for a call that waits for its answer: up to two, empty where there is none. Reads the caller's memory. */
void fsrv__learn_words(const struct fsrv__sandbox_parts *sandbox, const struct seccomp_data *data, pid_t pid,
                       char ret_words[2][FSRV_WORD_SIZE]);
/* Whether another word has in it what this one says: more access to the same path or to one above. */
bool fsrv__word_is_said_by(const char *word, const char *said);

#endif
