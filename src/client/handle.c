/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "client/sandbox.h"
#include "wire/inherited.h"
#include "wire/strings.h"

enum { STANDBYS_DEFAULT = 4, STANDBYS_MAX = 64, PRELOAD_TIMEOUT_MS = 60000 };

/* ---- all handles, for fork(): a child must not find a lock that is held by a thread of its parent ---- */

static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fsrv_server *handles;
static pthread_once_t atfork_once = PTHREAD_ONCE_INIT;

static void before_fork(void) {
        pthread_mutex_lock(&handles_lock);
        for (struct fsrv_server *s = handles; s; s = s->next)
                pthread_mutex_lock(&s->lock);
        fsrv__anchors_lock();
}

static void after_fork(void) {
        fsrv__anchors_unlock();
        for (struct fsrv_server *s = handles; s; s = s->next)
                pthread_mutex_unlock(&s->lock);
        pthread_mutex_unlock(&handles_lock);
}

static void after_fork_in_child(void) {
        for (struct fsrv_server *s = handles; s; s = s->next)
                fsrv__launch_abandon(s);
        after_fork();
}

static void register_atfork(void) {
        pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void enlist_handle(struct fsrv_server *s) {
        pthread_once(&atfork_once, register_atfork);
        pthread_mutex_lock(&handles_lock);
        s->next = handles;
        if (handles)
                handles->previous = s;
        handles = s;
        pthread_mutex_unlock(&handles_lock);
}

static void delist_handle(struct fsrv_server *s) {
        pthread_mutex_lock(&handles_lock);
        if (s->next)
                s->next->previous = s->previous;
        *(s->previous ? &s->previous->next : &handles) = s->next;
        pthread_mutex_unlock(&handles_lock);
}

/* ---- making and freeing ---- */

static struct fsrv_server *new_handle(enum fsrv__server_kind kind) {
        struct fsrv_server *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        s->kind = kind;
        pthread_mutex_init(&s->lock, NULL);
        s->admin = s->tracker = s->lifeline_read = s->lifeline_write = s->proc_status = -1;
        enlist_handle(s);
        return s;
}

static void free_modules(char **modules) {
        for (char **module = modules; module && *module; module++)
                free(*module);
        free(modules);
}

struct fsrv_server *fsrv_server_free(struct fsrv_server *s) {
        if (!s)
                return NULL;
        delist_handle(s);
        fsrv_sandbox_unref(s->sandbox);
        fsrv__server_let_go(s);
        fsrv__fd_close(s->tracker);
        fsrv__fd_close(s->lifeline_read);
        fsrv__fd_close(s->lifeline_write);
        fsrv__fd_close(s->proc_status);
        free_modules(s->config.modules);
        free(s->config.argv);
        free(s->data);
        free(s->entry);
        free(s->helper_directory);
        free(s->path);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
}

/* A relative path counts from the caller's working directory at this moment; the zygote may be started from another. */
static char *make_absolute(const char *module) {
        bool is_relative = module[0] != '/' && strchr(module, '/');
        char *directory = is_relative ? getcwd(NULL, 0) : NULL, *path;

        if (!directory)
                return strdup(module);
        while (strncmp(module, "./", 2) == 0 && module[2])
                module += 2;
        if (asprintf(&path, "%s/%s", directory[1] ? directory : "", module) < 0)
                path = NULL;
        free(directory);
        return path;
}

static int copy_modules(const char *const *modules, char ***ret_copy, struct fsrv_error *error) {
        size_t n = 0;

        while (modules && modules[n]) {
                if (!modules[n][0])
                        return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                               "the preload list has an empty name");
                n++;
        }
        char **copy = calloc(n + 1, sizeof *copy);
        for (size_t i = 0; copy && i < n; i++)
                if (!(copy[i] = make_absolute(modules[i]))) {
                        free_modules(copy);
                        copy = NULL;
                }
        if (!copy)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "the preload list");
        if (fsrv__strings_size((const char *const *)copy, &n) > FSRV_WIRE_PRELOAD_MAX) {
                free_modules(copy);
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, E2BIG, "the preload list has more than %d bytes",
                                       FSRV_WIRE_PRELOAD_MAX);
        }
        *ret_copy = copy;
        return 0;
}

static int copy_zygote(struct fsrv_server *s, const struct fsrv_server_options *options) {
        size_t n, size = fsrv__strings_size(options->zygote_argv, &n);
        char **argv = n ? malloc((n + 1) * sizeof *argv + size) : NULL;

        s->config.argv = argv;
        s->data_size = options->zygote_data_size;
        s->data = s->data_size ? malloc(s->data_size) : NULL;
        if ((n && !argv) || (s->data_size && !s->data))
                return -ENOMEM;
        if (s->data)
                memcpy(s->data, options->zygote_data, s->data_size);
        if (argv) {
                const char *at = (char *)(argv + n + 1);
                fsrv__strings_put((char *)at, options->zygote_argv);
                fsrv__strings_get(&at, at + size, n, argv);
                argv[n] = NULL;
        }
        return 0;
}

enum { FLAGS = FSRV_SERVER_TRACKER | FSRV_SERVER_PRELOAD_OUTPUT | FSRV_SERVER_IN_TREE };

static int configure_handle(struct fsrv_server *s, const struct fsrv_server_options *given, struct fsrv_error *error) {
        static const struct fsrv_server_options none = { .size = sizeof none };
        const struct fsrv_server_options *options = given ? given : &none;
        size_t size;

        if (options->size != sizeof *options || options->flags & ~FLAGS ||
            options->preload_policy > FSRV_PRELOAD_IGNORE || options->thread_policy > FSRV_PRELOAD_IGNORE ||
            options->memory > FSRV_MEMORY_OFF || options->standbys > STANDBYS_MAX || options->preload_timeout_ms < 0)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "an option of the server is out of range");
        if (options->sandbox && !fsrv__sandbox_get_bytes(options->sandbox, false, &size))
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the server's sandbox is not sealed");
        s->sandbox = options->sandbox ? fsrv_sandbox_ref(options->sandbox) : NULL;
        s->wants_tracker = options->flags & FSRV_SERVER_TRACKER;
        s->in_tree = options->flags & FSRV_SERVER_IN_TREE;
        s->config.head.has_output = !!(options->flags & FSRV_SERVER_PRELOAD_OUTPUT);
        s->config.head.policy = options->preload_policy;
        s->config.head.thread_policy = options->thread_policy;
        s->config.head.memory = options->memory;
        s->config.head.standbys = options->standbys ? options->standbys : STANDBYS_DEFAULT;
        s->config.head.preload_timeout_ms =
                options->preload_timeout_ms ? (uint32_t)options->preload_timeout_ms : PRELOAD_TIMEOUT_MS;
        if (copy_zygote(s, options) < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "options");
        if (options->helper_directory && !(s->helper_directory = strdup(options->helper_directory)))
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "options");
        return copy_modules(options->preload, &s->config.modules, error);
}

int fsrv_server_new(const struct fsrv_server_options *options, struct fsrv_server **ret_server,
                    struct fsrv_error *error) {
        struct fsrv_server *s = new_handle(FSRV_SERVER_PRIVATE);

        if (!s)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "a server handle");
        int r = configure_handle(s, options, error);
        if (r < 0) {
                fsrv_server_free(s);
                return r;
        }
        *ret_server = s;
        return 0;
}

int fsrv_server_connect(const char *path, uid_t server_uid, struct fsrv_server **ret_server, struct fsrv_error *error) {
        struct fsrv_server *s = new_handle(FSRV_SERVER_NAMED);
        int r = 0;

        if (!s || !(s->path = strdup(path)))
                r = fsrv__fail(error, FSRV_STAGE_CONNECT, ENOMEM, "a server handle");
        if (r == 0) {
                s->server_uid = server_uid;
                r = fsrv_server_ensure_running(s, error);
        }
        if (r < 0) {
                fsrv_server_free(s);
                return r;
        }
        *ret_server = s;
        return 0;
}

int fsrv_server_inherit(struct fsrv_server **ret_server, struct fsrv_error *error) {
        if (!fsrv__inherited.is_worker)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, ENOENT,
                                       "this process was not made by a fork server");
        struct fsrv_server *s = new_handle(FSRV_SERVER_INHERITED);
        if (s && fsrv__inherited.doorbell < 0) {
                fsrv_server_free(s);
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EPERM, "a process in a sandbox may not spawn");
        }
        int doorbell = s ? fsrv__fd_dup_above(fsrv__inherited.doorbell, 3) : -ENOMEM;
        if (doorbell >= 0)
                s->link = fsrv__link_new(doorbell);
        if (!s || !s->link) {
                fsrv_server_free(s);
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, doorbell < 0 ? -doorbell : ENOMEM, "a server handle");
        }
        int tracker = fsrv__inherited.tracker < 0 ? -1 : fsrv__fd_dup_above(fsrv__inherited.tracker, 3);
        s->tracker = tracker < 0 ? -1 : tracker; /* where no number is free, one is started when it is needed */
        *ret_server = s;
        return 0;
}

void fsrv_server_set_interrupt(struct fsrv_server *s, int (*check)(void *data), void *data) {
        s->interrupt = (struct fsrv__interrupt){ check, data };
}

int fsrv_server_set_preload(struct fsrv_server *s, const char *const *modules, uint32_t policy,
                            struct fsrv_error *error) {
        char **copy = NULL;

        if (s->kind != FSRV_SERVER_PRIVATE)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EPERM,
                                       "only the program that started a fork server may change its preload list");
        if (policy > FSRV_PRELOAD_IGNORE)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "preload policy %u", policy);
        int r = copy_modules(modules, &copy, error);
        if (r < 0)
                return r;
        pthread_mutex_lock(&s->lock);
        free_modules(s->config.modules);
        s->config.modules = copy;
        s->config.head.policy = policy;
        /* The old server ends after its last worker, as each worker holds the old doorbell. */
        s->anchor = fsrv__server_let_go(s);
        pthread_mutex_unlock(&s->lock);
        return 0;
}
