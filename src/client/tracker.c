/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "client/grip.h"
#include "client/tracker_pipe.h"

/* The calls that register resources. */

enum { TRIES = 3, LIMIT_MS = 10000 };

static int check_resource(const char *type, const char *name, struct fsrv_error *error) {
        static const char *const types[] = { FSRV_RESOURCE_SEMAPHORE, FSRV_RESOURCE_SHARED_MEMORY,
                                             FSRV_RESOURCE_DUMMY };
        size_t i = 0;

        while (type && i < sizeof types / sizeof *types && strcmp(types[i], type) != 0)
                i++;
        if (!type || i == sizeof types / sizeof *types)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EINVAL, "the resource tracker knows no type '%s'",
                                       type ? type : "(null)");
        if (!name || !name[0])
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EINVAL, "the name of the %s is %s", type,
                                       name ? "empty" : "NULL");
        if (strlen(name) > FSRV_TRACKER_NAME_MAX)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, ENAMETOOLONG,
                                       "the name of the %s has more than %d bytes: '%.20s...'", type,
                                       FSRV_TRACKER_NAME_MAX, name);
        return 0;
}

/* If the tracker has died since the handle looked, the next one gets the line, a few times. */
static int send_line(struct fsrv_server *s, const char *line, size_t n, struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(LIMIT_MS);
        int r = -EPIPE;

        for (int tries = 0; r == -EPIPE && tries < TRIES; tries++) {
                int fd = fsrv__server_need_tracker(s, deadline, error);
                if (fd < 0)
                        return fd;
                r = fsrv__tracker_write_line(fd, line, n, deadline);
        }
        if (r == -ETIMEDOUT)
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, ETIMEDOUT,
                                       "the resource tracker does not listen: its pipe was full for %d s",
                                       LIMIT_MS / 1000);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "telling the resource tracker") : 0;
}

/* NULL is the default handle. */
static int resolve_handle(struct fsrv_server **s, struct fsrv_error *error) {
        return *s ? 0 : fsrv_server_default(s, error);
}

static int send_command(struct fsrv_server *s, const char *command, const char *type, const char *name,
                        struct fsrv_error *error) {
        char line[FSRV_TRACKER_LINE_MAX];
        int r = check_resource(type, name, error);

        if (r == 0)
                r = resolve_handle(&s, error);
        return r < 0 ? r : send_line(s, line, fsrv__tracker_make_line(command, type, name, line), error);
}

int fsrv_tracker_register(struct fsrv_server *s, const char *type, const char *name, struct fsrv_error *error) {
        return send_command(s, "REGISTER", type, name, error);
}

int fsrv_tracker_unregister(struct fsrv_server *s, const char *type, const char *name, struct fsrv_error *error) {
        return send_command(s, "UNREGISTER", type, name, error);
}

int fsrv_tracker_probe(struct fsrv_server *s, struct fsrv_error *error) {
        static const char line[] = "PROBE:0:noop\n";
        int r = resolve_handle(&s, error);

        return r < 0 ? r : send_line(s, line, sizeof line - 1, error);
}

int fsrv_tracker_get_fd(struct fsrv_server *s, struct fsrv_error *error) {
        int r = resolve_handle(&s, error);

        return r < 0 ? r : fsrv__server_need_tracker(s, FSRV_NEVER, error);
}

int fsrv_tracker_set_fd(struct fsrv_server *s, int fd, struct fsrv_error *error) {
        int r = resolve_handle(&s, error);

        if (r < 0)
                return r;
        int flags = fcntl(fd, F_GETFL), copy = fsrv__fd_dup_above(fd, 3);
        if (copy < 0)
                return fsrv__fail(error, FSRV_STAGE_TRACKER, -copy, "fd %d", fd);
        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
                fsrv__fd_close(copy);
                return fsrv__fail_text(error, FSRV_STAGE_TRACKER, EBADF, "fd %d cannot be written to", fd);
        }
        pthread_mutex_lock(&s->lock);
        r = fsrv__server_install_tracker(s, copy);
        pthread_mutex_unlock(&s->lock);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_TRACKER, -r, "the fd of the resource tracker") : 0;
}
