/* SPDX-License-Identifier: MIT */
/* Entry points for processes that the classic calls create. What they have to say goes to the first inherited fd. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <forkserver.h>

static const int *fds;
static size_t n_fds;

static int out(void) {
        return fsrv_get_inherited_fds(&fds, &n_fds) == 0 && n_fds > 0 ? fds[0] : -1;
}

/* Copies its data to the first fd; exits with the number of fds. */
int copy(int argc, char **argv) {
        int to = out(), from = fsrv_worker_get_data();
        char bytes[65536];
        ssize_t n;

        (void)argc;
        (void)argv;
        while ((n = read(from, bytes, sizeof bytes)) > 0)
                if (write(to, bytes, (size_t)n) != n)
                        return 100;
        return n < 0 ? 101 : (int)(n_fds % 256);
}

/* Obeys one word of its data: an exit code, or minus a signal. */
int obey(int argc, char **argv) {
        int64_t word;

        (void)argc;
        (void)argv;
        if (fsrv_read_signed(fsrv_worker_get_data(), &word) < 0)
                return 102;
        if (word < 0)
                raise((int)-word);
        return (int)word;
}

/* fds: how many there are, and what the file position of each says */
int list(int argc, char **argv) {
        int to = out();

        (void)argc;
        (void)argv;
        dprintf(to, "%zu", n_fds);
        for (size_t i = 1; i < n_fds; i++)
                dprintf(to, " %ld", (long)lseek(fds[i], 0, SEEK_CUR));
        return 0;
}

/* none: what the calls say of a list without any */
int none(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return fsrv_get_inherited_fds(&fds, &n_fds) == 0 && n_fds == 0 ? 7 : 8;
}

/* The sentinel: silent while its client lives. */
int sentinel(int argc, char **argv) {
        struct pollfd entry = { .fd = fsrv_worker_get_lifeline(), .events = POLLIN };
        char byte;

        (void)argc;
        (void)argv;
        dprintf(out(), poll(&entry, 1, 0) == 0 ? "silent" : "wrong");
        if (poll(&entry, 1, 60000) != 1 || read(entry.fd, &byte, 1) != 0)
                return 103;
        dprintf(out(), " gone");
        return 0;
}

/* Waits for the end of its data without reading on. */
int idle(int argc, char **argv) {
        struct pollfd entry = { .fd = fsrv_worker_get_data(), .events = 0 };

        (void)argc;
        (void)argv;
        return poll(&entry, 1, 120000) == 1 ? 5 : 104;
}

/* A child of its own by the same calls: its data is how deep to go; tells "parent pid" of each. */
int nest(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        int64_t depth, code;
        int status, data, to = out();

        (void)argc;
        if (fsrv_read_signed(fsrv_worker_get_data(), &depth) < 0)
                return 105;
        dprintf(to, "%d ", (int)getppid());
        if (depth == 0)
                return 0;
        if (fsrv_ensure_running(&error) < 0 || fsrv_set_entry(argv[0], &error) < 0 ||
            fsrv_connect_to_new_process(fds, 1, &status, &data, &error) < 0) {
                dprintf(to, "%s: %s", fsrv_stage_name(error.stage), error.text);
                return 106;
        }
        if (fsrv_write_signed(data, depth - 1) < 0 || fsrv_read_signed(status, &code) < 0 ||
            fsrv_read_signed(status, &code) < 0)
                return 107;
        return (int)code + 1;
}

/* What only the program that started the server may do */
int inherited_handle(int argc, char **argv) {
        struct fsrv_error error = { 0 };
        int to = out(), stop = fsrv_stop(0, &error), preload = fsrv_set_preload(NULL, 0, &error);

        (void)argc;
        (void)argv;
        dprintf(to, "%d %d %s", stop == -EOPNOTSUPP, preload == -EPERM, error.text);
        return 0;
}
