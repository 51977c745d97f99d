/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/request_codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "wire/messages.h"
#include "wire/strings.h"

enum { FIXED_STRINGS = 3 }; /* name, search, directory */

int fsrv__request_encode(struct fsrv__request_parts *parts, char **ret_bytes, size_t *ret_size) {
        struct fsrv__wire_request *head = &parts->head;
        size_t n_argv, n_env, n_paths, size = 0, actions = head->n_actions * sizeof *parts->actions;
        size_t attributes = parts->attributes ? fsrv__attributes_size(parts->attributes) : 0;

        size += actions + attributes;
        size += strlen(parts->name) + strlen(parts->search) + strlen(parts->directory) + FIXED_STRINGS;
        size += fsrv__strings_size((const char *const *)parts->argv, &n_argv);
        size += fsrv__strings_size((const char *const *)parts->environment, &n_env);
        size += fsrv__strings_size((const char *const *)parts->paths, &n_paths);
        if (size > FSRV_WIRE_BODY_MAX || head->payload_size > FSRV_WIRE_PAYLOAD_MAX)
                return -E2BIG;
        size_t payload = fsrv__request_payload_in_body(head);
        head->body_size = size + payload;
        size += parts->payload ? payload : 0;

        char *bytes = malloc(sizeof *head + size);
        if (!bytes)
                return -ENOMEM;
        head->version = FSRV_WIRE_VERSION;
        head->n_argv = (uint32_t)n_argv;
        head->n_env = (uint32_t)n_env;
        if (attributes)
                head->flags |= FSRV_WIRE_HAS_ATTRIBUTES;
        memcpy(bytes, head, sizeof *head);

        char *at = bytes + sizeof *head;
        if (actions)
                memcpy(at, parts->actions, actions);
        if (attributes)
                memcpy(at + actions, parts->attributes, attributes);
        at = fsrv__string_put(at + actions + attributes, parts->name);
        at = fsrv__string_put(at, parts->search);
        at = fsrv__string_put(at, parts->directory);
        at = fsrv__strings_put(at, (const char *const *)parts->argv);
        at = fsrv__strings_put(at, (const char *const *)parts->environment);
        at = fsrv__strings_put(at, (const char *const *)parts->paths);
        if (parts->payload && payload)
                memcpy(at, parts->payload, payload);
        *ret_bytes = bytes;
        *ret_size = sizeof *head + size;
        return 0;
}

bool fsrv__request_fits(const struct fsrv__wire_request *head, size_t n) {
        return (uint64_t)head->n_argv + head->n_env + head->n_actions + 3 <= n;
}

int fsrv__request_check_head(const struct fsrv__wire_request *head) {
        int r = fsrv__message_check(FSRV_TABLE_DOORBELL, head, sizeof *head);

        if (r < 0)
                return r;
        if (head->flags & ~(uint32_t)FSRV_WIRE_FLAGS)
                return -EPROTO;
        /* only its client would let it go on */
        if (head->flags & FSRV_WIRE_START_STOPPED && !(head->flags & FSRV_WIRE_KILL_ON_CLOSE))
                return -EPROTO;
        if (head->flags & FSRV_WIRE_PAYLOAD_IN_FILE && head->kind != FSRV_WIRE_ENTRY) /* others have no use for it */
                return -EPROTO;
        uint64_t payload = fsrv__request_payload_in_body(head);
        if (head->payload_size > FSRV_WIRE_PAYLOAD_MAX || payload > head->body_size ||
            head->body_size - payload > FSRV_WIRE_BODY_MAX || head->n_actions > FSRV_WIRE_ACTIONS_MAX)
                return -EPROTO;
        if (head->n_fds > FSRV_WIRE_ALL_FDS_MAX || head->n_fds_here > head->n_fds ||
            head->n_fds_here > FSRV_WIRE_FIRST_FDS_MAX)
                return -EPROTO;
        /* Each string has at least its NUL, so memory for a count that cannot fit is never asked for. */
        uint64_t least = (uint64_t)head->n_actions * sizeof(struct fsrv__wire_action) + FIXED_STRINGS +
                         (uint64_t)head->n_argv + head->n_env + payload;
        if (head->flags & FSRV_WIRE_HAS_ATTRIBUTES)
                least += sizeof(struct fsrv__wire_attributes);
        if (head->n_argv == 0 || head->n_argv > INT_MAX || least > head->body_size || head->umask > 0777)
                return -EPROTO;
        return 0;
}

/* 0 and the number of OPEN actions, or -EPROTO. */
static int check_actions(const struct fsrv__wire_request *head, const struct fsrv__wire_action *actions,
                         size_t *ret_n_paths) {
        size_t n_paths = 0;

        for (uint32_t i = 0; i < head->n_actions; i++) {
                const struct fsrv__wire_action *action = &actions[i];

                switch (action->type) {
                case FSRV_WIRE_INSTALL:
                case FSRV_WIRE_HAND:
                case FSRV_WIRE_DATA:
                        if (action->source >= head->n_fds)
                                return -EPROTO;
                        break;
                case FSRV_WIRE_DUP:
                        if (action->source > INT_MAX)
                                return -EPROTO;
                        break;
                case FSRV_WIRE_OPEN:
                        n_paths++;
                        break;
                case FSRV_WIRE_CLOSE:
                        break;
                default:
                        return -EPROTO;
                }
                if (action->target < 0)
                        return -EPROTO;
        }
        *ret_n_paths = n_paths;
        return 0;
}

/* The actions are a multiple of 8 bytes, so the struct is where it may be. */
static int get_attributes(struct fsrv__request_parts *parts, const char **at, const char *end) {
        const struct fsrv__wire_attributes *attributes = (const void *)*at;
        size_t size;

        if (!(parts->head.flags & FSRV_WIRE_HAS_ATTRIBUTES))
                return 0;
        if (fsrv__attributes_check(attributes, (size_t)(end - *at), parts->head.n_fds, &size) < 0)
                return -EPROTO;
        parts->attributes = attributes;
        *at += size;
        return 0;
}

int fsrv__request_decode(const struct fsrv__wire_request *head, const void *body, char **room, size_t n,
                         struct fsrv__request_parts *ret_parts) {
        struct fsrv__request_parts parts = { .head = *head, .actions = body };
        const char *at = (const char *)body + head->n_actions * sizeof(struct fsrv__wire_action);
        const char *end = (const char *)body + head->body_size - fsrv__request_payload_in_body(head);
        char *fixed[FIXED_STRINGS];
        size_t n_paths;
        int r;

        r = check_actions(head, parts.actions, &n_paths);
        if (r == 0)
                r = get_attributes(&parts, &at, end);
        if (r < 0)
                return r;
        size_t needed = head->n_argv + (size_t)head->n_env + n_paths + 3;
        char **memory = needed > n ? malloc(needed * sizeof *memory) : NULL, **lists = memory ? memory : room;
        if (needed > n && !memory)
                return -ENOMEM;
        char **environment = lists, **argv = environment + head->n_env + 1, **paths = argv + head->n_argv + 1;
        if (fsrv__strings_get(&at, end, FIXED_STRINGS, fixed) < 0 ||
            fsrv__strings_get(&at, end, head->n_argv, argv) < 0 ||
            fsrv__strings_get(&at, end, head->n_env, environment) < 0 ||
            fsrv__strings_get(&at, end, n_paths, paths) < 0 || at != end) {
                free(memory);
                return -EPROTO;
        }
        argv[head->n_argv] = environment[head->n_env] = paths[n_paths] = NULL;
        parts.name = fixed[0];
        parts.search = fixed[1];
        parts.directory = fixed[2];
        parts.argv = argv;
        parts.environment = environment;
        parts.paths = paths;
        parts.payload = head->flags & FSRV_WIRE_PAYLOAD_IN_FILE ? NULL : end;
        parts.memory = memory;
        *ret_parts = parts;
        return 0;
}

void fsrv__request_parts_done(struct fsrv__request_parts *parts) {
        free(parts->memory);
        parts->memory = NULL;
}
