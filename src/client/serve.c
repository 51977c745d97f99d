/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "client/handle.h"
#include "client/sandbox.h"
#include "client/start.h"
#include "wire/channel.h"

enum { ADMIN_FD = 3, FLAGS = FSRV_LISTEN_AS_SERVER | FSRV_LISTEN_ENTRIES_ONLY };

static int fill_config(struct fsrv__config *config, const struct fsrv_listen_options *options,
                       struct fsrv_error *error) {
        if (options->size != sizeof *options || !options->path || !options->path[0] || options->mode > 0777 ||
            options->n_allow_uids > FSRV_WIRE_UIDS_MAX || options->flags & ~(uint32_t)FLAGS)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "an option of the listener is out of range");
        if (strlen(options->path) >= sizeof((struct sockaddr_un *)0)->sun_path)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, ENAMETOOLONG,
                                       "the socket path has %zu bytes, of at most %zu: '%s'", strlen(options->path),
                                       sizeof((struct sockaddr_un *)0)->sun_path - 1, options->path);
        if (options->flags & FSRV_LISTEN_ENTRIES_ONLY && config->argv && !fsrv__config_has_program(config))
                return fsrv__fail_text(
                        error, FSRV_STAGE_ARGUMENT, EINVAL,
                        "another program as the zygote says by itself what an entry point is: the server "
                        "cannot limit it to preloaded ones");
        config->path = options->path;
        config->head.has_output = 0; /* a named server has many clients, so no output is right for all of them */
        config->head.mode = options->mode;
        config->head.as_sender = fsrv__euid() == 0 && !(options->flags & FSRV_LISTEN_AS_SERVER);
        config->head.entries_only = !!(options->flags & FSRV_LISTEN_ENTRIES_ONLY);
        config->head.n_uids = (uint32_t)options->n_allow_uids;
        for (size_t i = 0; i < options->n_allow_uids; i++)
                config->head.uids[i] = options->allow_uids[i];
        return 0;
}

/* A memfd of it; -1: there is none. */
static int make_sandbox(const struct fsrv_sandbox *sandbox, struct fsrv__config *config, struct fsrv_error *error) {
        size_t size;

        if (!sandbox)
                return -1;
        config->head.has_sandbox = 1;
        const void *bytes = fsrv__sandbox_get_bytes(sandbox, !config->head.entries_only, &size);
        int fd = fsrv__sealed_memfd("forkserver sandbox", bytes, size);
        return fd < 0 ? fsrv__fail(error, FSRV_STAGE_START, -fd, "the server's sandbox") : fd;
}

/* The new program finds its configuration waiting in a socket at its fd 3. */
static int leave_config(struct fsrv__config *config, int sandbox, struct fsrv_error *error) {
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int pair[2], n = bytes ? fsrv__config_encode(config, bytes) : -ENOMEM;
        int r = n < 0 ? n : fsrv__socketpair(pair);

        if (r < 0) {
                free(bytes);
                return fsrv__fail(error, FSRV_STAGE_START, -r, "the server's configuration");
        }
        r = fsrv__channel_send(pair[1], bytes, (size_t)n, &sandbox, sandbox >= 0, MSG_DONTWAIT);
        free(bytes);
        if (r == 0 && pair[0] == ADMIN_FD)
                r = fsrv__fd_set_cloexec(ADMIN_FD, 0);
        else if (r == 0)
                r = dup2(pair[0], ADMIN_FD) < 0 ? -errno : 0;
        /* Both ends stay open until execve(2), as the message must outlive its sender; they are close-on-exec. */
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_START, -r, "the server's configuration") : 0;
}

int fsrv_serve(const struct fsrv_listen_options *listen, const struct fsrv_server_options *options,
               struct fsrv_error *error) {
        char title[FSRV_TITLE_SIZE], *argv[] = { title, NULL }, *program = NULL;
        struct fsrv_server *s; /* for its checked copy of the options */
        struct fsrv__config config;

        int r = fsrv_server_new(options, &s, error);
        if (r < 0)
                return r;
        config = s->config;
        r = fill_config(&config, listen, error);
        if (r == 0 && !(program = fsrv__helper_path(s->helper_directory, "forkserver-server")))
                r = fsrv__fail(error, FSRV_STAGE_START, ENOMEM, "the path of the server program");
        FSRV_CLEANUP_FD int sandbox = r == 0 ? make_sandbox(s->sandbox, &config, error) : -1;
        if (sandbox < -1)
                r = sandbox;
        if (r == 0)
                r = leave_config(&config, sandbox, error);
        if (r == 0) {
                fsrv__title_argument(title, "forkserver: server");
                execve(program, argv, environ);
                r = fsrv__fail(error, FSRV_STAGE_START, errno, "executing the server program '%s'", program);
        }
        free(program);
        fsrv_server_free(s);
        return r;
}
