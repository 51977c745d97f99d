/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "client/spawn.h"
#include "wire/inherited.h"

/* The default handle, and the calls of CPython's multiprocessing.forkserver on it. */

/* The handle is made once, without a lock. A thread that comes second frees its own. A fork() in between finds the
 * handle or not, but never a lock. */
static _Atomic(struct fsrv_server *) default_server;

static int make_default(struct fsrv_server **ret_server, struct fsrv_error *error) {
        static const struct fsrv_server_options options = { .size = sizeof options, .flags = FSRV_SERVER_TRACKER };

        if (!fsrv__inherited.is_worker)
                return fsrv_server_new(&options, ret_server, error);
        int r = fsrv_server_inherit(ret_server, error);
        if (r == 0)
                (*ret_server)->wants_tracker = true;
        return r;
}

int fsrv_server_default(struct fsrv_server **ret_server, struct fsrv_error *error) {
        struct fsrv_server *there = atomic_load(&default_server), *made;

        /* A handle that the zygote made before it forked is not the worker's, which has its parent's server. */
        if (!there || (fsrv__inherited.is_worker && there->kind != FSRV_SERVER_INHERITED)) {
                int r = make_default(&made, error);
                if (r < 0)
                        return r;
                if (atomic_compare_exchange_strong(&default_server, &there, made))
                        there = made;
                else
                        fsrv_server_free(made);
        }
        *ret_server = there;
        return 0;
}

int fsrv_ensure_running(struct fsrv_error *error) {
        struct fsrv_server *s;
        int r = fsrv_server_default(&s, error);

        return r < 0 ? r : fsrv_server_ensure_running(s, error);
}

int fsrv_stop(int timeout_ms, struct fsrv_error *error) {
        struct fsrv_server *s;
        int r = fsrv_server_default(&s, error);

        return r < 0 ? r : fsrv_server_stop(s, timeout_ms, error);
}

int fsrv_set_preload(const char *const *modules, size_t n, struct fsrv_error *error) {
        struct fsrv_server *s;
        int r = fsrv_server_default(&s, error);

        if (r < 0)
                return r;
        if (n > 0 && !modules)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the list of %zu modules is NULL", n);
        for (size_t i = 0; i < n; i++)
                if (!modules[i])
                        return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                               "module %zu of the preload list is NULL", i);
        const char **list = calloc(n + 1, sizeof *list);
        if (!list)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "the preload list");
        for (size_t i = 0; i < n; i++)
                list[i] = modules[i];
        r = fsrv_server_set_preload(s, list, FSRV_PRELOAD_WARN, error);
        free(list);
        return r;
}

/* A request for this entry point, with these fds to inherit. */
static int make_request(const char *entry, const int *fds, size_t n, struct fsrv_request **ret_request) {
        struct fsrv_request *request;
        int r = fsrv_request_new(&request);

        if (r < 0)
                return r;
        r = fsrv_request_set_entry(request, entry);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = fsrv_request_add_fd(request, fds[i]);
        if (r < 0)
                fsrv_request_free(request);
        else
                *ret_request = request;
        return r;
}

int fsrv_set_entry(const char *entry, struct fsrv_error *error) {
        struct fsrv_request *valid;
        struct fsrv_server *s;
        int r = fsrv_server_default(&s, error);

        if (r < 0)
                return r;
        r = make_request(entry, NULL, 0, &valid);
        if (r == -EINVAL)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "'%s' is not an entry point \"module:function\"", entry ? entry : "(null)");
        if (r == 0)
                fsrv_request_free(valid);
        char *copy = r < 0 ? NULL : strdup(entry);
        if (!copy)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, ENOMEM, "the entry point");
        pthread_mutex_lock(&s->lock);
        char *before = s->entry;
        s->entry = copy;
        pthread_mutex_unlock(&s->lock);
        free(before);
        return 0;
}

static int request_for(struct fsrv_server *s, const int *fds, size_t n, struct fsrv_request **ret_request,
                       struct fsrv_error *error) {
        if (n > 0 && !fds)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL, "the list of %zu fds is NULL", n);
        pthread_mutex_lock(&s->lock);
        char *entry = s->entry ? strdup(s->entry) : NULL;
        bool is_set = s->entry;
        pthread_mutex_unlock(&s->lock);
        if (!is_set)
                return fsrv__fail_text(error, FSRV_STAGE_ARGUMENT, EINVAL,
                                       "no entry point was set: call fsrv_set_entry() first");
        int r = entry ? make_request(entry, fds, n, ret_request) : -ENOMEM;
        free(entry);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "a request with %zu fds", n) : 0;
}

static int connect_by(struct fsrv_server *s, struct fsrv_request *request, int *ret_status_r, int *ret_data_w,
                      struct fsrv_error *error) {
        struct fsrv__spawn_extra extra = FSRV_SPAWN_EXTRA_NONE;
        struct fsrv_process *process;
        int data[2], status;

        int r = fsrv__pipe(data);
        if (r < 0) {
                fsrv_request_free(request);
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "a pipe for the data");
        }
        extra.data = data[0];
        extra.wants_status = true;
        r = fsrv__spawn_with(s, request, &extra, &process, &status, error);
        fsrv_request_free(request);
        fsrv__fd_close(data[0]);
        if (r < 0) {
                fsrv__fd_close(data[1]);
                return r;
        }
        fsrv_process_unref(process); /* the caller reads the pid and the status from the status fd */
        *ret_status_r = status;
        *ret_data_w = data[1];
        return 0;
}

int fsrv_connect_to_new_process(const int *fds, size_t n, int *ret_status_r, int *ret_data_w,
                                struct fsrv_error *error) {
        struct fsrv_request *request = NULL;
        struct fsrv_server *s;
        int r = fsrv_server_default(&s, error);

        if (r == 0)
                r = request_for(s, fds, n, &request, error);
        return r < 0 ? r : connect_by(s, request, ret_status_r, ret_data_w, error);
}

int fsrv_server_connect_to_new_process(struct fsrv_server *s, const char *entry, const int *fds, size_t n,
                                       int *ret_status_r, int *ret_data_w, struct fsrv_error *error) {
        struct fsrv_request *request;
        int r = n > 0 && !fds ? -EINVAL : make_request(entry, fds, n, &request);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_ARGUMENT, -r, "a request with %zu fds for '%s'", n,
                                  entry ? entry : "(null)");
        return connect_by(s, request, ret_status_r, ret_data_w, error);
}

int fsrv_get_inherited_fds(const int **ret_fds, size_t *ret_n) {
        return fsrv_worker_get_fds(ret_fds, ret_n);
}

int fsrv_read_signed(int fd, int64_t *ret_value) {
        char word[sizeof *ret_value] = { 0 };
        size_t n = 0;

        while (n < sizeof word) {
                ssize_t got = read(fd, word + n, sizeof word - n);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0)
                        return n == 0 ? -ENODATA : -EPROTO;
                n += (size_t)got;
        }
        memcpy(ret_value, word, sizeof word);
        return 0;
}

int fsrv_write_signed(int fd, int64_t value) {
        const char *word = (const char *)&value;

        for (size_t n = 0; n < sizeof value;) {
                ssize_t put = write(fd, word + n, sizeof value - n);
                if (put < 0 && errno != EINTR)
                        return -errno;
                n += put > 0 ? (size_t)put : 0;
        }
        return 0;
}
