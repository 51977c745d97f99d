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
#include "wire/messages.h"

enum { ADMIN_FD = 3 };

/* What a flag is on the wire, and the fd that comes with it. */
static const struct {
        uint32_t flag, option;
        enum fsrv__slot slot; /* FSRV_SLOTS: none */
} given[] = {
        { FSRV_LISTEN_AS_SERVER, 0, FSRV_SLOTS },
        { FSRV_LISTEN_ENTRIES_ONLY, 0, FSRV_SLOTS },
        { FSRV_LISTEN_ON_FD, FSRV_WIRE_HAS_LISTENER, FSRV_SLOT_LISTENER },
        { FSRV_LISTEN_READY_FD, FSRV_WIRE_HAS_READY, FSRV_SLOT_READY },
        { FSRV_LISTEN_METRICS, FSRV_WIRE_HAS_METRICS, FSRV_SLOT_METRICS },
        { FSRV_LISTEN_FAIL_FAST, FSRV_WIRE_FAIL_FAST, FSRV_SLOTS },
        { FSRV_LISTEN_AUTO_RELOAD, FSRV_WIRE_AUTO_RELOAD, FSRV_SLOTS },
        { FSRV_LISTEN_JSON_LOG, FSRV_WIRE_JSON_LOG, FSRV_SLOTS },
        { FSRV_LISTEN_TAKEOVER, FSRV_WIRE_TAKEOVER, FSRV_SLOTS },
};

/* False: there is an unknown one. */
static bool take_flags(uint32_t flags, uint32_t *ret_options) {
        *ret_options = 0;
        for (size_t i = 0; i < sizeof given / sizeof *given; i++)
                if (flags & given[i].flag) {
                        *ret_options |= given[i].option;
                        flags &= ~given[i].flag;
                }
        return flags == 0;
}

static int fill_config(struct fsrv__config *config, const struct fsrv_listen_options *options,
                       struct fsrv_error *error) {
        if (options->size != sizeof *options || !options->path || !options->path[0] || options->mode > 0777 ||
            options->n_allow_uids > FSRV_WIRE_UIDS_MAX || !take_flags(options->flags, &config->head.options))
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

/* Those that a supervisor has given us are not close-on-exec. */
static int fill_slots(const struct fsrv_listen_options *options, int sandbox, int ret_slots[FSRV_SLOTS]) {
        int r = 0;

        memset(ret_slots, -1, FSRV_SLOTS * sizeof *ret_slots);
        ret_slots[FSRV_SLOT_BODY] = sandbox;
        ret_slots[FSRV_SLOT_LISTENER] = options->flags & FSRV_LISTEN_ON_FD ? options->listener : -1;
        ret_slots[FSRV_SLOT_READY] = options->flags & FSRV_LISTEN_READY_FD ? options->ready_fd : -1;
        ret_slots[FSRV_SLOT_METRICS] = options->flags & FSRV_LISTEN_METRICS ? options->metrics : -1;
        for (size_t i = 0; r == 0 && i < sizeof given / sizeof *given; i++)
                if (given[i].slot < FSRV_SLOTS && options->flags & given[i].flag)
                        r = fsrv__fd_set_cloexec(ret_slots[given[i].slot], 1);
        return r;
}

/* The new program finds its configuration waiting in a socket at its fd 3. */
static int leave_config(struct fsrv__config *config, const int slots[FSRV_SLOTS], struct fsrv_error *error) {
        char *bytes = malloc(FSRV_WIRE_MESSAGE_MAX);
        int fds[FSRV_SLOTS], pair[2], n = bytes ? fsrv__config_encode(config, bytes) : -ENOMEM;
        int r = n < 0 ? n : fsrv__socketpair(pair);

        if (r < 0) {
                free(bytes);
                return fsrv__fail(error, FSRV_STAGE_START, -r, "the server's configuration");
        }
        size_t n_fds = fsrv__message_pack(FSRV_TABLE_NEW_SERVER, bytes, slots, NULL, fds);
        r = fsrv__channel_send(pair[1], bytes, (size_t)n, fds, n_fds, MSG_DONTWAIT);
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
        int slots[FSRV_SLOTS];
        if (r == 0 && (r = fill_slots(listen, sandbox, slots)) < 0)
                r = fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "an fd for the listener");
        if (r == 0)
                r = leave_config(&config, slots, error);
        if (r == 0) {
                fsrv__title_argument(title, "forkserver: server");
                execve(program, argv, environ);
                r = fsrv__fail(error, FSRV_STAGE_START, errno, "executing the server program '%s'", program);
        }
        free(program);
        fsrv_server_free(s);
        return r;
}
