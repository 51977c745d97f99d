/* SPDX-License-Identifier: MIT */
#ifndef FSRV_FUZZ_H
#define FSRV_FUZZ_H

/* What the targets share. Each is a file with LLVMFuzzerTestOneInput(); an input is a list of small decisions and
 * bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FSRV_FUZZ_CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

enum { FUZZ_FIRST_FD = 100 }; /* the lowest that an input gets: below all are taken */

struct fuzz_input {
        const uint8_t *at;
        size_t left;
};

uint8_t fuzz_byte(struct fuzz_input *input); /* 0 when there is none left */
/* Up to `size` bytes. How many there were. */
size_t fuzz_bytes(struct fuzz_input *input, void *bytes, size_t size);
/* A length (one byte, or two), then so many bytes. */
size_t fuzz_message(struct fuzz_input *input, char *bytes, size_t size);

/* Between these two calls every fd and every block of memory is watched; the second one takes back what a process that
 * ends leaves to the system. */
void fuzz_begin(void);
void fuzz_end(void);
/* There are as many fds more than at fuzz_begin(). */
void fuzz_check_fds(unsigned expected);
/* All memory has been freed again. */
void fuzz_check_memory(void);

/* Sends the bytes with n fds that are always readable, as far as the socket takes them. */
void fuzz_send(int sock, const void *bytes, size_t size, size_t n_fds);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
