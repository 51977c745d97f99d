/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "client/server.h"
#include "client/start.h"
#include "wire/channel.h"

/* This very program, for a zygote: by fd, since its file may have been replaced since it was started. */
static int open_program(struct fsrv_error *error) {
        if (!fsrv_program_argv)
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                      "'%s' is in the preload list, but this program has not called "
                                      "fsrv_zygote_enter()",
                                      FSRV_PRELOAD_MAIN);
        int fd = fsrv_open("/proc/self/exe", O_PATH);
        return fd < 0 ? fsrv_fail(error, FSRV_STAGE_START, -fd, "the program's own file, /proc/self/exe") : fd;
}

static int open_zygote(const char *path, struct fsrv_error *error) {
        int fd = fsrv_open(path, O_PATH);

        return fd < 0 ? fsrv_fail(error, FSRV_STAGE_START, -fd, "the zygote program '%s'", path) : fd;
}

static int send_config(const struct fsrv_server *s, int admin, struct fsrv_error *error) {
        struct fsrv_config config = s->config;
        FSRV_CLEANUP_FD int program = -1;
        FSRV_CLEANUP_FD int data = -1;

        if (config.argv || fsrv_config_has_program(&config)) {
                program = config.argv ? open_zygote(config.argv[0], error) : open_program(error);
                if (program < 0)
                        return fsrv_fd_steal(&program);
                config.argv = config.argv ? config.argv : fsrv_program_argv;
        }
        if (s->data) {
                data = fsrv_sealed_memfd("forkserver zygote data", s->data, s->data_size);
                if (data < 0)
                        return fsrv_fail(error, FSRV_STAGE_START, -fsrv_fd_steal(&data), "the data for the zygote");
                config.head.has_data = 1;
        }
        config.head.has_output = config.head.has_output && fsrv_fd_is_open(STDOUT_FILENO) == 1;
        int fds[] = { program, data, config.head.has_output ? STDOUT_FILENO : -1 };
        size_t n_fds = 0;
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
                if (fds[i] >= 0)
                        fds[n_fds++] = fds[i];
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int n = bytes ? fsrv_config_encode(&config, bytes) : -ENOMEM;
        if (n > 0)
                n = fsrv_channel_send(admin, bytes, (size_t)n, fds, n_fds, MSG_DONTWAIT);
        free(bytes);
        if (n == -E2BIG) /* the preload list by itself was looked at when it was set */
                return fsrv_fail_text(error, FSRV_STAGE_ARGUMENT, E2BIG,
                                      "the program's arguments and its preload list together have more than %d bytes",
                                      FSRV_WIRE_PRELOAD_MAX);
        return n < 0 ? fsrv_fail(error, FSRV_STAGE_START, -n, "the server's configuration") : 0;
}

/* A failing loader, another version in its place: all that shows after execve succeeded. */
static int wait_until_ready(const struct fsrv_server *s, int admin, const char *program, struct fsrv_error *error) {
        struct fsrv_wire_reply reply;
        struct fsrv_message message;
        int64_t deadline = fsrv_deadline(FSRV_WIRE_ADMIN_TIMEOUT_MS);
        int r = fsrv_channel_receive_unless(admin, &reply, sizeof reply, deadline, &s->interrupt, &message);

        if (r == -EINTR)
                return fsrv_interrupted(error, FSRV_STAGE_START);
        if (r == 0)
                return fsrv_fail_text(error, FSRV_STAGE_START, ECONNRESET, "the server program '%s' ended at once",
                                      program);
        if (r < 0)
                return fsrv_fail(error, FSRV_STAGE_START, -r, "the server program '%s' did not answer", program);
        fsrv_message_close(&message);
        if (message.size != sizeof reply || reply.version != FSRV_WIRE_VERSION)
                return fsrv_fail_text(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                      "the server program '%s' is of another version than the library", program);
        if (reply.err)
                return fsrv_fail_text(error, reply.stage, reply.err, "%.*s", (int)sizeof reply.text - 1, reply.text);
        return 0;
}

/* 0 or -errno. */
static int start_server(bool in_tree, const char *program, char **argv, const int *fds, int n_fds, pid_t *ret_anchor) {
        *ret_anchor = 0;
        if (!in_tree)
                return fsrv_start_orphan(program, argv, fds, n_fds);
        fsrv_anchors_reap(0, 0);
        pid_t anchor = fsrv_start_in_tree(program, argv, fds, n_fds);
        if (anchor <= 0)
                return anchor;
        fsrv_anchors_add(anchor);
        *ret_anchor = anchor;
        return 0;
}

static int launch(const struct fsrv_server *s, bool in_tree, int *ret_doorbell, int *ret_admin, pid_t *ret_anchor,
                  struct fsrv_error *error) {
        char program[4096], title[FSRV_TITLE_SIZE], *argv[] = { title, NULL };
        int doorbell[2] = { -1, -1 }, admin[2] = { -1, -1 }, on = 1, r;

        if (fsrv_helper_path(s->helper_directory, "forkserver-server", program) < 0)
                return fsrv_fail(error, FSRV_STAGE_START, ENAMETOOLONG, "the path of the server program");
        fsrv_title_argument(title, "forkserver: server");
        if ((r = fsrv_socketpair(doorbell)) < 0 || (r = fsrv_socketpair(admin)) < 0)
                r = fsrv_fail(error, FSRV_STAGE_START, -r, "a socket pair");
        else if (setsockopt(doorbell[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                r = fsrv_fail(error, FSRV_STAGE_START, errno, "SO_PASSCRED");
        if (r == 0)
                r = send_config(s, admin[1], error);
        if (r == 0) {
                int fds[] = { admin[0], doorbell[0] };
                r = start_server(in_tree, program, argv, fds, 2, ret_anchor);
                if (r < 0)
                        r = fsrv_fail(error, FSRV_STAGE_START, -r, "starting the server program '%s'", program);
        }
        doorbell[0] = fsrv_fd_close(doorbell[0]);
        admin[0] = fsrv_fd_close(admin[0]);
        if (r == 0)
                r = wait_until_ready(s, admin[1], program, error);
        if (r < 0) {
                fsrv_fd_close(doorbell[1]);
                fsrv_fd_close(admin[1]);
                return r;
        }
        *ret_doorbell = doorbell[1];
        *ret_admin = admin[1];
        return 0;
}

/* An anchor that has died, or what was to become its server, may have lacked memory that it was spared, as of a library
 * that stands in for the C library's calls (fakeroot and its kind). What has been started ends with the sockets. */
int fsrv_launch(const struct fsrv_server *s, int *ret_doorbell, int *ret_admin, pid_t *ret_anchor,
                struct fsrv_error *error) {
        int r = launch(s, s->in_tree, ret_doorbell, ret_admin, ret_anchor, error);

        bool has_died = r == -ECHILD || r == -ECONNRESET;

        return has_died && s->in_tree ? launch(s, false, ret_doorbell, ret_admin, ret_anchor, error) : r;
}
