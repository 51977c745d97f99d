/* SPDX-License-Identifier: MIT */
/* Which edges of the program ran, whatever becomes of the process: the runtime of clang's
 * -fsanitize-coverage=trace-pc-guard. Each object has a shared file with a byte for each of its edges, so a SIGKILL
 * loses nothing, and a fork goes on in the same file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/tmp/forkserver-coverage" /* of a test run that is alone; who reads it makes it */
#define OURS      __attribute__((visibility("hidden"), no_sanitize("coverage")))

void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop);
void __sanitizer_cov_trace_pc_guard(uint32_t *guard);

static unsigned char *edges;

/* A program's name for dladdr(3) is what it was called by. */
OURS static const char *find_name(char *program, size_t size) {
        Dl_info info;
        const char *path = program;

        if (dladdr(&edges, &info) && info.dli_fname && strstr(info.dli_fname, ".so")) {
                path = info.dli_fname;
        } else {
                ssize_t n = readlink("/proc/self/exe", program, size - 1);
                program[n > 0 ? n : 0] = 0;
        }
        return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

OURS static unsigned char *map_file(size_t size) {
        char path[PATH_MAX], program[PATH_MAX];

        snprintf(path, sizeof path, DIRECTORY "/%.200s", find_name(program, sizeof program));
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
                return NULL;
        fchmod(fd, 0666); /* some tests change their uid */
        void *mapped = ftruncate(fd, (off_t)size) < 0 ? MAP_FAILED
                                                      : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return mapped == MAP_FAILED ? NULL : mapped;
}

OURS void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
        if (start == stop || *start)
                return;
        for (uint32_t *guard = start; guard < stop; guard++)
                *guard = (uint32_t)(guard - start) + 1;
        edges = map_file((size_t)(stop - start) + 1);
}

OURS void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
        if (edges)
                edges[*guard] = 1;
}
