/* SPDX-License-Identifier: MIT */
/* What an entry point finds when it looks for what isn't its own: in all memory that it can read, and in its fds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MARKERS_MAX = 16, MARKER_MAX = 64, PIECE = 1 << 20, LOADED = 4 << 20 };

static char loaded[LOADED]; /* something to freeze */
static char early[4096];    /* the fds at the time when this was loaded */

static void list_fds(char *ret_text, size_t size) {
        DIR *directory = opendir("/proc/self/fd");
        struct dirent *entry;
        size_t n = 0;

        while (directory && (entry = readdir(directory)) && n < size) {
                char name[256] = "";
                int fd = atoi(entry->d_name);
                if (entry->d_name[0] == '.' || fd == dirfd(directory) ||
                    readlinkat(dirfd(directory), entry->d_name, name, sizeof name - 1) < 0)
                        continue;
                n += (size_t)snprintf(ret_text + n, size - n, "%d %s\n", fd, name);
        }
        if (directory)
                closedir(directory);
}

__attribute__((constructor)) static void construct(void) {
        memset(loaded, 'x', sizeof loaded);
        list_fds(early, sizeof early);
}

int nothing(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return 0;
}

int fds(int argc, char **argv) {
        static char text[4096];

        (void)argc;
        (void)argv;
        list_fds(text, sizeof text);
        fputs(text, stdout);
        return 0;
}

int fds_when_loaded(int argc, char **argv) {
        (void)argc;
        (void)argv;
        fputs(early, stdout);
        return 0;
}

/* What can be received on any fd: requests of others, for one. The exit code is how many fds yield something. */
int receive(int argc, char **argv) {
        static char bytes[1 << 16];
        int n = 0;

        (void)argc;
        (void)argv;
        for (int fd = 3; fd < 1024; fd++)
                n += recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0;
        return n;
}

/* ---- memory ---- */

static char markers[MARKERS_MAX][MARKER_MAX]; /* with every bit the other way, so that we don't find ourselves */
static size_t sizes[MARKERS_MAX];
static unsigned found[MARKERS_MAX];

static void read_marker(const char *hex, int i) {
        for (unsigned byte; sizes[i] < MARKER_MAX && sscanf(hex + 2 * sizes[i], "%2x", &byte) == 1;)
                markers[i][sizes[i]++] = (char)~byte;
}

static int is_at(const char *at, int i) {
        for (size_t k = 0; k < sizes[i]; k++)
                if ((char)~at[k] != markers[i][k])
                        return 0;
        return 1;
}

static void search_piece(const char *piece, size_t n, int n_markers) {
        for (int i = 0; i < n_markers; i++)
                for (size_t at = 0; at + sizes[i] <= n; at++)
                        found[i] += is_at(piece + at, i);
}

static void search_mapping(int memory, uint64_t from, uint64_t to, int n_markers) {
        static char piece[PIECE + MARKER_MAX];

        while (from < to) {
                uint64_t wanted = to - from < sizeof piece ? to - from : sizeof piece;
                ssize_t n = pread(memory, piece, wanted, (off_t)from);
                if (n <= 0)
                        return;
                if (from > (uintptr_t)piece || from + (uint64_t)n <= (uintptr_t)piece) /* not what we have just read */
                        search_piece(piece, (size_t)n, n_markers);
                from += (uint64_t)n > PIECE ? PIECE : (uint64_t)n; /* pieces overlap by a marker */
        }
}

/* search HEX… WORD: our pid; then how often each is in this process's memory, in which WORD is as an argument */
int search(int argc, char **argv) {
        FILE *maps = fopen("/proc/self/maps", "re");
        int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), n = argc - 2 < MARKERS_MAX ? argc - 2 : MARKERS_MAX;
        unsigned long long from, to;
        char line[4200], mode;

        for (int i = 0; i < n; i++)
                read_marker(argv[1 + i], i);
        while (maps && fgets(line, sizeof line, maps))
                if (sscanf(line, "%llx-%llx %c", &from, &to, &mode) == 3 && mode == 'r' && !strstr(line, "[v"))
                        search_mapping(memory, from, to, n);
        printf("%d", (int)getpid());
        for (int i = 0; i < n; i++)
                printf(" %u", found[i]);
        puts("");
        return maps == NULL || memory < 0;
}
