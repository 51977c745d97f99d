/* SPDX-License-Identifier: MIT */
/* For LD_PRELOAD: a library that stands in for a call of the C library's, and has large memory that it looks at then.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 64 << 20 };

static volatile char *memory;

__attribute__((constructor)) static void take(void) {
        memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory[SIZE / 2] = 1;
}

int fcntl(int fd, int command, ...) {
        va_list args;

        va_start(args, command);
        long argument = va_arg(args, long);
        va_end(args);
        return (int)syscall(SYS_fcntl, fd, command, argument + memory[SIZE / 2] - 1);
}
