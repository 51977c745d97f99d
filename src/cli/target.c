/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

int cli_target_add_preload(struct cli_target *target, const char *module) {
        const char **grown = realloc(target->preload, (target->n_preload + 2) * sizeof *grown);

        if (!grown) {
                cli_complain("out of memory");
                return -ENOMEM;
        }
        grown[target->n_preload++] = module;
        grown[target->n_preload] = NULL;
        target->preload = grown;
        return 0;
}

void cli_target_done(struct cli_target *target) {
        free(target->preload);
        target->preload = NULL;
        target->n_preload = 0;
        cli_sandbox_done(&target->sandbox);
}

static int64_t now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One that is about to listen isn't there yet, or its socket is a dead one's. */
int cli_connect(const char *path, uid_t server_uid, double seconds, struct fsrv_server **ret_server,
                struct fsrv_error *error) {
        const struct timespec moment = { .tv_nsec = 10000000 };
        int64_t deadline = now_ms() + (int64_t)cli_milliseconds(seconds);
        int r;

        while ((r = fsrv_server_connect(path, server_uid, ret_server, error)) < 0 &&
               (r == -ENOENT || r == -ECONNREFUSED) && now_ms() < deadline)
                nanosleep(&moment, NULL);
        return r;
}

int cli_target_open(const struct cli_target *target, struct fsrv_server **ret_server) {
        const struct fsrv_server_options options = {
                .size = sizeof options,
                .preload = target->preload,
                .preload_policy = FSRV_PRELOAD_FAIL,
                .preload_timeout_ms = target->preload_timeout_ms,
                .memory = target->memory,
        };
        struct fsrv_error error = { 0 };
        int r;

        if (target->socket_path && (target->n_preload || target->preload_timeout_ms)) {
                cli_complain("%s is for a private server; the one at --socket %s has its own modules",
                             target->n_preload ? "--preload" : "--preload-timeout", target->socket_path);
                return -EINVAL;
        }
        if (target->wait > 0 && !target->socket_path) {
                cli_complain("--wait is for the server at --socket; a private one is started");
                return -EINVAL;
        }
        if (target->socket_path)
                r = cli_connect(target->socket_path, target->server_uid, target->wait, ret_server, &error);
        else
                r = fsrv_server_new(&options, ret_server, &error);
        if (r < 0)
                cli_complain_error(&error);
        return r;
}

int cli_target_take_option(struct cli_target *target, int c) {
        int r = cli_sandbox_take_option(&target->sandbox, c);

        if (r != 1)
                return r;
        switch (c) {
        case CLI_OPT_CALL:
                target->entry = optarg;
                return 0;
        case CLI_OPT_PRELOAD:
                return cli_target_add_preload(target, optarg);
        case CLI_OPT_PRELOAD_TIMEOUT:
                return cli_parse_preload_timeout(optarg, &target->preload_timeout_ms);
        case CLI_OPT_MEMORY:
                return cli_parse_memory(optarg, &target->memory);
        case CLI_OPT_SOCKET:
                return cli_parse_socket(optarg, &target->socket_path);
        case CLI_OPT_SERVER_UID:
                return cli_parse_uid("--server-uid", optarg, &target->server_uid);
        case CLI_OPT_WAIT:
                return cli_parse_seconds(optarg, &target->wait);
        case CLI_OPT_TIMEOUT:
                return cli_parse_seconds(optarg, &target->timeout);
        case CLI_OPT_KILL_AFTER:
                return cli_parse_seconds(optarg, &target->kill_after);
        case CLI_OPT_SANDBOX:
                return cli_sandbox_take(&target->sandbox, optarg);
        case CLI_OPT_SANDBOX_LEARN:
                target->sandbox.learns = true;
                return 0;
        case CLI_OPT_STRICT:
                target->sandbox.strict = true;
                return 0;
        case CLI_OPT_TRACE:
                target->trace = optarg;
                return 0;
        case CLI_OPT_QUICK_EXIT:
                target->quick_exit = true;
                return 0;
        default:
                return cli_attributes_take_option(&target->attributes, c);
        }
}

bool cli_is_entry(const char *text) {
        const char *colon = strrchr(text, ':');

        return colon && colon > text && colon[1];
}
