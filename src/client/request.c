/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/sandbox.h"
#include "wire/strings.h"

enum { SPAWN_TIMEOUT_MS = 120000 };

uint64_t fsrv__signals_to_bits(const sigset_t *set) {
        uint64_t bits = 0;

        for (int s = 1; s <= 64; s++)
                if (sigismember(set, s) == 1)
                        bits |= UINT64_C(1) << (s - 1);
        return bits;
}

int fsrv_request_new(struct fsrv_request **ret_request) {
        struct fsrv_request *request = calloc(1, sizeof *request);

        if (!request)
                return -ENOMEM;
        request->umask = -1;
        request->payload_fd = -1;
        request->terminal = request->cgroup = request->ruleset = -1;
        request->spawn_timeout_ms = SPAWN_TIMEOUT_MS;
        fsrv_request_clear_actions(request);
        *ret_request = request;
        return 0;
}

struct fsrv_request *fsrv_request_free(struct fsrv_request *request) {
        if (!request)
                return NULL;
        fsrv_request_clear_actions(request);
        fsrv_sandbox_unref(request->sandbox);
        fsrv_request_set_attributes(request, NULL, NULL);
        free(request->directory);
        free(request->environment);
        free(request->argv);
        free(request->name);
        free(request);
        return NULL;
}

/* ---- what to run ---- */

static int set_string(char **target, const char *value) {
        char *copy = value ? strdup(value) : NULL;

        if (value && !copy)
                return -ENOMEM;
        free(*target);
        *target = copy;
        return 0;
}

static int set_name(struct fsrv_request *request, uint32_t kind, const char *name) {
        int r = set_string(&request->name, name);

        if (r == 0)
                request->kind = kind;
        return r;
}

int fsrv_request_set_entry(struct fsrv_request *request, const char *entry) {
        const char *colon = entry ? strrchr(entry, ':') : NULL;

        if (!colon || !colon[1])
                return -EINVAL;
        return set_name(request, FSRV_WIRE_ENTRY, entry);
}

int fsrv_request_set_program(struct fsrv_request *request, const char *program) {
        if (!program || !program[0])
                return -EINVAL;
        return set_name(request, FSRV_WIRE_PROGRAM, program);
}

/* A list and its strings in one block. */
static int set_list(char ***target, const char *const *list) {
        size_t n, size = fsrv__strings_size(list, &n);
        char **copy = malloc((n + 1) * sizeof *copy + size);

        if (!copy)
                return -ENOMEM;
        const char *at = (char *)(copy + n + 1);
        fsrv__strings_put((char *)at, list);
        fsrv__strings_get(&at, at + size, n, copy);
        copy[n] = NULL;
        free(*target);
        *target = copy;
        return 0;
}

int fsrv_request_set_argv(struct fsrv_request *request, const char *const *argv) {
        return !argv || !argv[0] ? -EINVAL : set_list(&request->argv, argv);
}

int fsrv_request_set_environment(struct fsrv_request *request, const char *const *environment) {
        if (environment)
                return set_list(&request->environment, environment);
        free(request->environment);
        request->environment = NULL;
        return 0;
}

/* ---- attributes ---- */

int fsrv_request_set_directory(struct fsrv_request *request, const char *path) {
        return path && !path[0] ? -EINVAL : set_string(&request->directory, path);
}

int fsrv_request_set_umask(struct fsrv_request *request, mode_t mask) {
        request->umask = (int)(mask & 0777);
        return 0;
}

int fsrv_request_set_signal_mask(struct fsrv_request *request, const sigset_t *mask) {
        request->has_mask = mask != NULL;
        if (mask)
                request->mask = fsrv__signals_to_bits(mask);
        return 0;
}

int fsrv_request_set_signals_ignored(struct fsrv_request *request, const sigset_t *ignored) {
        request->has_ignored = ignored != NULL;
        if (ignored)
                request->ignored = fsrv__signals_to_bits(ignored);
        return 0;
}

int fsrv_request_set_process_group(struct fsrv_request *request, pid_t pgid) {
        if (pgid < 0)
                return -EINVAL;
        request->has_group = true;
        request->group = pgid;
        return 0;
}

int fsrv_request_set_session(struct fsrv_request *request) {
        request->new_session = true;
        return 0;
}

int fsrv_request_set_spawn_timeout(struct fsrv_request *request, int timeout_ms) {
        request->spawn_timeout_ms = timeout_ms;
        return 0;
}

int fsrv_request_set_time_limit(struct fsrv_request *request, uint64_t limit_ms, uint64_t grace_ms) {
        request->time_limit_ms = limit_ms;
        request->grace_ms = grace_ms;
        return 0;
}

int fsrv_request_set_sandbox(struct fsrv_request *request, struct fsrv_sandbox *sandbox) {
        size_t size;

        if (sandbox && !fsrv__sandbox_get_bytes(sandbox, false, &size))
                return -EINVAL;
        fsrv_sandbox_unref(request->sandbox);
        request->sandbox = sandbox ? fsrv_sandbox_ref(sandbox) : NULL;
        return 0;
}

int fsrv_request_set_flags(struct fsrv_request *request, uint32_t flags) {
        if (flags & ~(FSRV_SPAWN_KILL_ON_CLOSE | FSRV_SPAWN_TELL_STOPS | FSRV_SPAWN_QUICK_EXIT | FSRV_SPAWN_RESULT |
                      FSRV_SPAWN_STOPPED))
                return -EINVAL;
        request->flags = flags;
        return 0;
}

int fsrv_request_set_payload(struct fsrv_request *request, const void *bytes, size_t n) {
        if (n > 0 && !bytes)
                return -EINVAL;
        if (n > FSRV_WIRE_PAYLOAD_MAX)
                return -E2BIG;
        request->payload = bytes;
        request->payload_size = n;
        request->payload_fd = -1;
        return 0;
}

int fsrv_request_set_payload_fd(struct fsrv_request *request, int fd) {
        if (fd < 0)
                return -EBADF;
        fsrv_request_set_payload(request, NULL, 0);
        request->payload_fd = fd;
        return 0;
}

/* ---- fd actions ---- */

/* The last action so far that says something of the child's fd. */
static const struct fsrv__wire_action *last_action(const struct fsrv_request *request, int fd) {
        for (size_t i = request->n_actions; i-- > 0;)
                if (request->actions[i].type != FSRV_WIRE_HAND && request->actions[i].target == fd)
                        return &request->actions[i];
        return NULL;
}

/* Whether the child has this fd after the actions so far: by its last one, or by default. */
static bool is_made(const struct fsrv_request *request, int fd) {
        const struct fsrv__wire_action *last = last_action(request, fd);

        return last ? last->type != FSRV_WIRE_CLOSE : fd <= 2;
}

static bool is_mapped(const struct fsrv_request *request, int fd) {
        return is_made(request, fd) && !(fd <= 2 && request->inherits[fd]);
}

static int add(struct fsrv_request *request, struct fsrv__wire_action action) {
        if (request->n_actions >= FSRV_WIRE_ACTIONS_MAX - 8) /* room for what a spawn adds */
                return -E2BIG;
        if ((request->n_actions & (request->n_actions - 1)) == 0) { /* full at the powers of two */
                size_t room = request->n_actions ? request->n_actions * 2 : 1;
                void *actions = realloc(request->actions, room * sizeof action);
                if (!actions)
                        return -ENOMEM;
                request->actions = actions;
        }
        request->actions[request->n_actions++] = action;
        if (action.type != FSRV_WIRE_HAND && action.target <= 2)
                request->inherits[action.target] = false;
        return 0;
}

int fsrv_request_add_dup2(struct fsrv_request *request, int fd, int child_fd) {
        if (fd < 0 || child_fd < 0)
                return -EBADF;
        bool ours = fd <= 2 || last_action(request, fd); /* the child's, even if it is closed there by now: EBADF */
        if (is_mapped(request, child_fd))
                return -EINVAL;
        if (ours && fd == child_fd)
                return 0;
        int r = add(request, (struct fsrv__wire_action){ .type = ours ? FSRV_WIRE_DUP : FSRV_WIRE_INSTALL,
                                                         .target = child_fd,
                                                         .source = (uint32_t)fd });
        if (r == 0 && ours && fd <= 2 && request->inherits[fd])
                request->pinned[fd] = true;
        return r;
}

int fsrv_request_add_inherited(struct fsrv_request *request, int fd) {
        size_t n = request->n_actions;
        int r = fsrv_request_add_dup2(request, fd, fd);

        if (r == 0 && request->n_actions > n && request->actions[n].type == FSRV_WIRE_INSTALL)
                request->actions[n].mode = FSRV_WIRE_IF_FREE;
        return r;
}

int fsrv_request_add_open(struct fsrv_request *request, int child_fd, const char *path, int flags, mode_t mode) {
        if (child_fd < 0)
                return -EBADF;
        if (!path || is_mapped(request, child_fd))
                return -EINVAL;
        char **paths = realloc(request->paths, (request->n_paths + 2) * sizeof *paths);
        if (!paths)
                return -ENOMEM;
        request->paths = paths;
        char *copy = strdup(path);
        int r = copy ? add(request, (struct fsrv__wire_action){ .type = FSRV_WIRE_OPEN,
                                                                .target = child_fd,
                                                                .source = (uint32_t)flags,
                                                                .mode = mode })
                     : -ENOMEM;
        if (r < 0) {
                free(copy);
                paths[request->n_paths] = NULL;
                return r;
        }
        paths[request->n_paths++] = copy;
        paths[request->n_paths] = NULL;
        return 0;
}

int fsrv_request_add_close(struct fsrv_request *request, int child_fd) {
        if (child_fd < 0)
                return -EBADF;
        if (!is_made(request, child_fd))
                return 0; /* the child doesn't have it: as closing a closed fd is no error there */
        return add(request, (struct fsrv__wire_action){ .type = FSRV_WIRE_CLOSE, .target = child_fd });
}

int fsrv_request_add_fd(struct fsrv_request *request, int fd) {
        if (fd < 0)
                return -EBADF;
        return add(request, (struct fsrv__wire_action){ .type = FSRV_WIRE_HAND, .source = (uint32_t)fd });
}

void fsrv_request_clear_actions(struct fsrv_request *request) {
        for (size_t i = 0; i < request->n_paths; i++)
                free(request->paths[i]);
        free(request->paths);
        free(request->actions);
        request->paths = NULL;
        request->actions = NULL;
        request->n_paths = request->n_actions = 0;
        for (int i = 0; i < 3; i++) {
                request->inherits[i] = true;
                request->pinned[i] = false;
        }
}
