/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sanitizer/allocator_interface.h>

#include "base/linux.h"
#include "wire/channel.h"

enum { FDS_SEEN = 600, BLOCKS_MAX = 4096, MAPPINGS_MAX = 64 };

/* ---- inputs ---- */

uint8_t fuzz_byte(struct fuzz_input *input) {
        if (input->left == 0)
                return 0;
        input->left--;
        return *input->at++;
}

size_t fuzz_bytes(struct fuzz_input *input, void *bytes, size_t size) {
        size_t n = size < input->left ? size : input->left;

        if (n > 0)
                memcpy(bytes, input->at, n);
        input->at += n;
        input->left -= n;
        return n;
}

size_t fuzz_message(struct fuzz_input *input, char *bytes, size_t size) {
        size_t wanted = fuzz_byte(input);

        if (wanted > 250)
                wanted = 256 * fuzz_byte(input) + fuzz_byte(input);
        return fuzz_bytes(input, bytes, wanted < size ? wanted : size);
}

/* ---- what is left: fds of ours lie below FUZZ_FIRST_FD, those of an input above ---- */

static __thread bool watching; /* not the threads of the fuzzer itself */
static bool warm;
static unsigned fds_before;
static const volatile void *blocks[BLOCKS_MAX];
static size_t n_blocks;
static struct {
        void *at;
        size_t size;
} mappings[MAPPINGS_MAX];
static size_t n_mappings;

static void on_malloc(const volatile void *block, size_t size) {
        (void)size;
        if (watching && n_blocks < BLOCKS_MAX)
                blocks[n_blocks++] = block;
}

static void on_free(const volatile void *block) {
        for (size_t i = n_blocks; watching && i-- > 0;)
                if (blocks[i] == block) {
                        blocks[i] = blocks[--n_blocks];
                        return;
                }
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
        void *mapping = __real_mmap(at, size, protection, flags, fd, offset);

        if (watching && mapping != MAP_FAILED && n_mappings < MAPPINGS_MAX) {
                mappings[n_mappings].at = mapping;
                mappings[n_mappings++].size = size;
        }
        return mapping;
}

static unsigned count_fds(void) {
        static struct pollfd entries[FDS_SEEN]; /* all in one system call */
        unsigned n = 0;

        for (int fd = 0; fd < FDS_SEEN; fd++)
                entries[fd].fd = fd;
        poll(entries, FDS_SEEN, 0);
        for (int fd = 0; fd < FDS_SEEN; fd++)
                n += !(entries[fd].revents & POLLNVAL);
        return n;
}

void fuzz_begin(void) {
        static bool initialized;

        if (!initialized) {
                initialized = true;
                __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
                for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd < FUZZ_FIRST_FD - 1; fd = dup(fd))
                        ;                                   /* so that what comes lies above */
                fsrv__close_range(FUZZ_FIRST_FD, UINT_MAX); /* who started us may have left something there */
        }
        if (!warm)
                fds_before = count_fds();
        n_blocks = n_mappings = 0;
        watching = warm; /* the first time something may be made that stays: pthread_atfork(3)'s */
        warm = true;
}

void fuzz_check_memory(void) {
        FSRV_FUZZ_CHECK(n_blocks == 0);
}

void fuzz_end(void) {
        watching = false;
        fsrv__close_range(FUZZ_FIRST_FD, UINT_MAX);
        while (n_blocks > 0)
                free((void *)blocks[--n_blocks]);
        while (n_mappings > 0) {
                n_mappings--;
                munmap(mappings[n_mappings].at, mappings[n_mappings].size);
        }
}

void fuzz_check_fds(unsigned expected) {
        unsigned n = count_fds() - fds_before;

        if (n == expected)
                return;
        fprintf(stderr, "%u fds instead of %u:\n", n, expected);
        for (int fd = FUZZ_FIRST_FD; fd < FDS_SEEN; fd++) {
                char path[32], name[128] = "";
                snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                if (readlink(path, name, sizeof name - 1) > 0)
                        fprintf(stderr, "%d: %s\n", fd, name);
        }
        __builtin_trap();
}

void fuzz_send(int sock, const void *bytes, size_t size, size_t n_fds) {
        int fds[FSRV_WIRE_FDS_MAX];

        n_fds = n_fds < FSRV_WIRE_FDS_MAX ? n_fds : FSRV_WIRE_FDS_MAX;
        for (size_t i = 0; i < n_fds; i++)
                fds[i] = FUZZ_FIRST_FD - 1;
        fsrv__channel_send(sock, bytes, size, fds, n_fds, MSG_DONTWAIT);
}
