/* SPDX-License-Identifier: MIT */
/* A program that is its own zygote, with the library in itself but not static: its own calls of madvise and mremap lie
 * in the object that has the zygote's code. */
#define _GNU_SOURCE
#include <forkserver.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { SIZE = 8 << 20 };
static char *memory;

static int complain(const char *what) {
        printf("%s\n", what);
        return 1;
}

static int is_frozen(void) {
        FILE *file = fopen("/proc/self/maps", "re");
        char line[512];
        int found = 0;

        while (file && fgets(line, sizeof line, file))
                found |= strstr(line, "/memfd:forkserver-frozen") != NULL;
        if (file)
                fclose(file);
        return found;
}

static int entry(int argc, char **argv) {
        (void)argc;
        (void)argv;
        if (!is_frozen())
                return complain("nothing is frozen");
        memory[0] = 1;
        if (madvise(memory, SIZE / 2, MADV_DONTNEED) < 0 || memory[0] || memory[SIZE / 2 - 1] || memory[SIZE / 2] != 7)
                return complain("MADV_DONTNEED brings back what was frozen");
        char *grown = mremap(memory + SIZE / 2, SIZE / 4, SIZE, MREMAP_MAYMOVE);
        if (grown == MAP_FAILED || grown[0] != 7 || grown[SIZE / 4] || grown[SIZE - 1])
                return complain("mremap does not add zeros");
        return 0;
}

static const struct fsrv_entry entries[] = { { "entry", entry }, { NULL, NULL } };

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options, .memory = FSRV_MEMORY_FREEZE };
        const char *preload[] = { FSRV_PRELOAD_MAIN, NULL };
        struct fsrv_request *request;
        struct fsrv_process *process;
        struct fsrv_server *server;
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error;

        memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
                return 125;
        memset(memory, 7, SIZE);
        if (fsrv_zygote_enter(argc, argv, entries, &error) < 0)
                return complain(error.text);
        options.preload = preload;
        if (fsrv_server_new(&options, &server, &error) < 0)
                return complain(error.text);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, ":entry") < 0)
                return 125;
        if (fsrv_spawn(server, request, &process, &error) < 0 || fsrv_process_wait(process, -1, &status, &error) < 0)
                return complain(error.text);
        fsrv_process_unref(process);
        fsrv_request_free(request);
        fsrv_server_free(server);
        return status.exit_code;
}
