/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "client/launch.h"
#include "client/start.h"
#include "wire/messages.h"

/* Opens this very program for a zygote, by fd: its file may have been replaced since it was started. */
static int open_program(struct fsrv_error *error) {
        if (!fsrv__program_argv)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "'%s' is in the preload list, but this program has not called "
                                       "fsrv_zygote_enter()",
                                       FSRV_PRELOAD_MAIN);
        int fd = fsrv__open("/proc/self/exe", O_PATH);
        return fd < 0 ? fsrv__fail(error, FSRV_STAGE_START, -fd, "the program's own file, /proc/self/exe") : fd;
}

static int open_zygote(const char *path, struct fsrv_error *error) {
        int fd = fsrv__open(path, O_PATH);

        return fd < 0 ? fsrv__fail(error, FSRV_STAGE_START, -fd, "the zygote program '%s'", path) : fd;
}

static int put_config(int admin, struct fsrv__config *config, const int slots[FSRV_SLOTS]) {
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int fds[FSRV_SLOTS], r = bytes ? fsrv__config_encode(config, bytes) : -ENOMEM;

        if (r > 0) {
                size_t n_fds = fsrv__message_pack(FSRV_TABLE_NEW_SERVER, bytes, slots, NULL, fds);
                r = fsrv__channel_send(admin, bytes, (size_t)r, fds, n_fds, MSG_DONTWAIT);
        }
        free(bytes);
        return r;
}

/* The first message on the admin connection. 0; 1: there is no room for it now; -errno. */
static int send_config(const struct fsrv_server *s, int admin, struct fsrv_error *error) {
        struct fsrv__config config = s->config;
        FSRV_CLEANUP_FD int program = -1;
        FSRV_CLEANUP_FD int data = -1;

        if (config.argv || fsrv__config_has_program(&config)) {
                program = config.argv ? open_zygote(config.argv[0], error) : open_program(error);
                if (program < 0)
                        return fsrv__fd_steal(&program);
                config.argv = config.argv ? config.argv : fsrv__program_argv;
        }
        if (s->data) {
                data = fsrv__sealed_memfd("forkserver zygote data", s->data, s->data_size);
                if (data < 0)
                        return fsrv__fail(error, FSRV_STAGE_START, -fsrv__fd_steal(&data), "the data for the zygote");
                config.head.has_data = 1;
        }
        config.head.has_output = config.head.has_output && fsrv__fd_is_open(STDOUT_FILENO) == 1;
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;
        slots[FSRV_SLOT_PROGRAM] = program;
        slots[FSRV_SLOT_DATA] = data;
        slots[FSRV_SLOT_OUTPUT] = STDOUT_FILENO;
        int r = put_config(admin, &config, slots);
        if (fsrv__channel_is_short(r))
                return 1;
        if (r == -E2BIG) /* the preload list alone was checked when it was set */
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, E2BIG,
                                       "the program's arguments and its preload list together have more than %d bytes",
                                       FSRV_WIRE_PRELOAD_MAX);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_START, -r, "the server's configuration") : 0;
}

enum { ADMIN, DOORBELL, TRACKER, REPORT, REPORT_END }; /* of `theirs` */

static int prepare_tracker(struct fsrv__launch *launch, struct fsrv_error *error) {
        int ends[2], r = fsrv__pipe(ends);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "a pipe to the resource tracker");
        launch->theirs[TRACKER] = ends[0];
        launch->tracker = ends[1];
        return 0;
}

static int prepare_server(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        int doorbell[2] = { -1, -1 }, admin[2] = { -1, -1 }, on = 1, r;

        if ((r = fsrv__socketpair(doorbell)) < 0 || (r = fsrv__socketpair(admin)) < 0 ||
            (launch->in_tree && (r = fsrv__pipe(launch->theirs + REPORT)) < 0))
                r = fsrv__fail(error, FSRV_STAGE_START, -r, "a socket pair");
        else if (setsockopt(doorbell[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                r = fsrv__fail(error, FSRV_STAGE_START, errno, "SO_PASSCRED");
        launch->theirs[DOORBELL] = doorbell[0];
        launch->doorbell = doorbell[1];
        launch->theirs[ADMIN] = admin[0];
        launch->admin = admin[1];
        return r == 0 ? send_config(s, admin[1], error) : r;
}

int fsrv__launch_prepare(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        int r = 0;

        if (launch->brings & FSRV_NEEDS_TRACKER && !launch->has_tracker)
                r = prepare_tracker(launch, error);
        if (r == 0 && launch->brings & FSRV_NEEDS_SERVER && s->kind == FSRV_SERVER_PRIVATE)
                r = prepare_server(s, launch, error);
        return r;
}

static int start_tracker(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        char title[FSRV_TITLE_SIZE], word[] = "again", *argv[] = { title, launch->is_again ? word : NULL, NULL };
        char *program = fsrv__helper_path(s->helper_directory, "forkserver-tracker");

        if (!program)
                return fsrv__fail(error, FSRV_STAGE_TRACKER, ENOMEM, "the path of the resource tracker");
        fsrv__title_argument(title, "forkserver: resource tracker");
        int r = fsrv__start_orphan(program, argv, &launch->theirs[TRACKER], 1);
        if (r < 0)
                fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "starting the resource tracker '%s'", program);
        free(program);
        return r;
}

/* 0 or -errno. */
static int start_by(struct fsrv__launch *launch, char **argv) {
        if (!launch->in_tree)
                return fsrv__start_orphan(launch->program, argv, launch->theirs, 2);
        fsrv__anchors_reap(0, 0);
        pid_t anchor = fsrv__start_in_tree(launch->program, argv, launch->theirs, 2, launch->theirs + REPORT);
        if (anchor <= 0)
                return anchor;
        fsrv__anchors_add(anchor);
        launch->anchor = anchor;
        return 0;
}

static int start_server(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        char title[FSRV_TITLE_SIZE], *argv[] = { title, NULL };

        if (!launch->program)
                launch->program = fsrv__helper_path(s->helper_directory, "forkserver-server");
        if (!launch->program)
                return fsrv__fail(error, FSRV_STAGE_START, ENOMEM, "the path of the server program");
        fsrv__title_argument(title, "forkserver: server");
        int r = start_by(launch, argv);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_START, -r, "starting the server program '%s'", launch->program) : 0;
}

int fsrv__launch_start(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        int r = launch->theirs[TRACKER] >= 0 ? start_tracker(s, launch, error) : 0;

        return r == 0 && launch->theirs[ADMIN] >= 0 ? start_server(s, launch, error) : r;
}

/* A loader that fails and a program of another version show here, after execve has succeeded. */
int fsrv__launch_answer(struct fsrv__launch *launch, struct fsrv_error *error) {
        const char *program = launch->program;
        struct fsrv__wire_reply reply;
        struct fsrv__message message;
        int none[FSRV_SLOTS];
        int r = fsrv__channel_receive(launch->admin, &reply, sizeof reply, MSG_DONTWAIT, &message);

        if (r == -EAGAIN)
                return 1;
        if (r == 0)
                return fsrv__fail_text(error, FSRV_STAGE_START, ECONNRESET, "the server program '%s' ended at once",
                                       program);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_START, -r, "the answer of the server program '%s'", program);
        if (fsrv__reply_unpack(FSRV_WIRE_ADMIN_CONFIG, &reply, &message, none) < 0)
                return fsrv__fail_text(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                       "the server program '%s' is of another version than the library", program);
        if (reply.err)
                return fsrv__fail_text(error, reply.stage, reply.err > 0 ? reply.err : EPROTO, "%.*s",
                                       (int)sizeof reply.text - 1, reply.text);
        return 0;
}
