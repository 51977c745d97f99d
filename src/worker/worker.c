/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/worker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "base/title.h"
#include "forkserver-host.h"
#include "wire/inherited.h"
#include "wire/messages.h"
#include "worker/attributes.h"

/* The caller's fds that did not fit into the first message. */
static int receive_more_fds(struct fsrv__task *task, const struct fsrv__wire_request *head, struct fsrv_error *error) {
        int64_t deadline = fsrv__deadline(FSRV_WIRE_MORE_TIMEOUT_MS);
        int *fds = malloc(head->n_fds * sizeof *fds);
        uint32_t n = head->n_fds_here;

        if (!fds)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, ENOMEM, "%u fds", head->n_fds);
        memcpy(fds, task->fds, n * sizeof *fds);
        while (n < head->n_fds) {
                struct fsrv__message message;
                struct fsrv__wire_more more;
                int none[FSRV_SLOTS];
                int r = fsrv__channel_receive_by(task->answer, &more, sizeof more, deadline, &message);

                if (r == 0)
                        _exit(1); /* the client has gone */
                if (r < 0)
                        return fsrv__fail(error, FSRV_STAGE_REQUEST, -r, "%u of the request's %u fds arrived", n,
                                          head->n_fds);
                r = fsrv__message_unpack(FSRV_TABLE_MORE, &more, &message, none);
                if (r < 0 || more.type != FSRV_WIRE_MORE_FDS || more.n_fds == 0 || more.n_fds > head->n_fds - n)
                        return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "fds that the request did not announce");
                memcpy(fds + n, message.fds, message.n_fds * sizeof *fds);
                n += (uint32_t)message.n_fds;
        }
        task->fds = fds;
        return 0;
}

static void *map_body(int memfd, uint64_t offset, uint64_t size) {
        /* Private and writable: main may change its arguments. A payload is seldom changed. */
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, memfd, (off_t)offset);

        return bytes == MAP_FAILED ? NULL : bytes;
}

/* The parts of a request besides a large payload are copied, so that the memfd is let go of with the payload. */
static const void *map_payload_apart(int memfd, const struct fsrv__wire_request *head, const void **ret_payload) {
        uint64_t rest = head->body_size - fsrv__request_payload_in_body(head), page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t offset = rest / page * page;
        char *mapped = map_body(memfd, offset, head->body_size - offset);
        uint64_t n = 0;

        if (!mapped)
                return NULL;
        char *copy = malloc(rest);
        if (!copy)
                return NULL;
        while (n < rest) {
                ssize_t got = pread(memfd, copy + n, rest - n, (off_t)n);
                if (got <= 0)
                        break;
                n += (uint64_t)got;
        }
        if (n < rest) { /* the end of this process */
                free(copy);
                return NULL;
        }
        *ret_payload = mapped + (rest - offset);
        return copy;
}

static bool has_large_payload(const struct fsrv__wire_request *head) {
        return fsrv__request_payload_in_body(head) > FSRV_WIRE_MESSAGE_MAX;
}

static int read_body(struct fsrv__task *task, const struct fsrv__wire_request *head, const void *body,
                     struct fsrv_error *error) {
        const void *payload = NULL;

        if (head->flags & FSRV_WIRE_BODY_IN_MEMFD) {
                if (fsrv__check_sealed(task->memfd, head->body_size) < 0)
                        return fsrv__fail(error, FSRV_STAGE_REQUEST, EPROTO, "the request's body is not sealed");
                body = has_large_payload(head) ? map_payload_apart(task->memfd, head, &payload)
                                               : map_body(task->memfd, 0, head->body_size);
                if (!body)
                        return fsrv__fail(error, FSRV_STAGE_REQUEST, errno, "a request of %llu bytes",
                                          (unsigned long long)head->body_size);
                task->memfd = fsrv__fd_close(task->memfd);
        }
        int r = fsrv__request_decode(head, body, task->lists, sizeof task->lists / sizeof *task->lists, &task->request);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, -r, "the request is malformed");
        if (payload)
                task->request.payload = payload;
        return 0;
}

/* The file stays the client's. If it shrinks from now on, the kernel kills this process by SIGBUS where it reads there.
 */
static int map_file(struct fsrv__task *task, const struct fsrv__wire_request *head, struct fsrv_error *error) {
        struct stat st;
        const void *payload = NULL;

        if (fstat(task->file, &st) < 0)
                return fsrv__fail(error, FSRV_STAGE_REQUEST, errno, "the payload's file");
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < head->payload_size)
                return fsrv__fail_text(error, FSRV_STAGE_REQUEST, EIO,
                                       "the payload's file has %llu bytes now, where it had %llu",
                                       (unsigned long long)st.st_size, (unsigned long long)head->payload_size);
        if (head->payload_size > 0 && !(payload = map_body(task->file, 0, head->payload_size)))
                return fsrv__fail(error, FSRV_STAGE_REQUEST, errno, "mapping the payload's file");
        task->request.payload = payload;
        task->file = fsrv__fd_close(task->file);
        return 0;
}

static void set_title(const struct fsrv__request_parts *request) {
        char words[FSRV_TITLE_SIZE];
        size_t n = 0;

        if (request->attributes && request->attributes->title_size) {
                fsrv__title_set(fsrv__attributes_title(request->attributes), NULL);
                return;
        }
        for (char *const *arg = request->argv; *arg && n < sizeof words - 1; arg++) {
                words[n++] = ' ';
                for (const char *c = *arg; *c && n < sizeof words - 1; c++)
                        words[n++] = *c;
        }
        words[n] = 0;
        fsrv__title_set("forkserver: worker", words);
}

/* The server has raised the limit for itself alone. */
static void restore_nofile(rlim_t soft) {
        struct rlimit64 limit;

        if (fsrv__call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0 && limit.rlim_cur != soft) {
                limit.rlim_cur = soft;
                fsrv__call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
        }
}

/* The standby has refused programs. A relative name is known when the directory is. */
static int check_entry(const struct fsrv__task *task, struct fsrv_error *error) {
        const struct fsrv_host *host = task->standby->host;

        if (task->standby->config->entries_only && host->loads && host->loads(task->request.name))
                return fsrv__fail_text(error, FSRV_STAGE_CREDENTIALS, EPERM,
                                       "entry point '%s': this fork server runs preloaded ones alone",
                                       task->request.name);
        return 0;
}

static int check_paths(const struct fsrv__task *task, struct fsrv_error *error) {
        if (task->standby->config->entries_only && task->request.paths[0])
                return fsrv__fail_text(error, FSRV_STAGE_CREDENTIALS, EPERM,
                                       "this fork server opens no files for its clients: pass an fd instead of '%s'",
                                       task->request.paths[0]);
        return 0;
}

static int set_worker_up(struct fsrv__task *task, const struct fsrv__wire_request *head, const void *body,
                         struct fsrv_error *error) {
        int r = 0;

        fsrv__setup_watchdog(head->setup_limit_ms);
        if (head->n_fds > head->n_fds_here)
                r = receive_more_fds(task, head, error);
        if (r == 0)
                r = read_body(task, head, body, error);
        if (r == 0 && head->flags & FSRV_WIRE_PAYLOAD_IN_FILE)
                r = map_file(task, head, error);
        if (r == 0)
                r = check_paths(task, error);
        if (r < 0)
                return r;
        set_title(&task->request);
        if (head->kind == FSRV_WIRE_PROGRAM) /* as root, whose file it is once the ids have changed */
                fsrv__core_filter_restore(task->standby);
        if ((r = fsrv__setup_signals(head, error)) < 0 || (r = fsrv__setup_group(head, error)) < 0)
                return r;
        if (fsrv__attributes_are_there(task) && (r = fsrv__attributes_begin(task, error)) < 0)
                return r;
        if ((r = fsrv__setup_directory(task, error)) < 0 || (r = check_entry(task, error)) < 0 ||
            (r = fsrv__actions_run(task, error)) < 0)
                return r;
        restore_nofile(task->standby->config->nofile);
        return 0;
}

_Noreturn void fsrv__worker_main(struct fsrv__task *task, const struct fsrv__wire_request *head, const void *body) {
        struct fsrv_error error;

        if (set_worker_up(task, head, body, &error) < 0)
                fsrv__task_fail(task, task->answer, &error);
        if (head->kind == FSRV_WIRE_PROGRAM)
                fsrv__run_program(task);
        fsrv__run_entry(task);
}

/* ---- the public calls of a module ---- */

int fsrv_worker_get_fds(const int **ret_fds, size_t *ret_n_fds) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        *ret_fds = fsrv__inherited.fds;
        *ret_n_fds = fsrv__inherited.n_fds;
        return 0;
}

int fsrv_worker_get_lifeline(void) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        return fsrv__inherited.lifeline >= 0 ? fsrv__inherited.lifeline : -EPERM; /* a sandbox has taken it away */
}

int fsrv_worker_get_data(void) {
        return fsrv__inherited.data >= 0 ? fsrv__inherited.data : -ENOENT;
}

int fsrv_worker_get_payload(const void **ret_bytes, size_t *ret_n) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        *ret_bytes = fsrv__inherited.payload;
        *ret_n = fsrv__inherited.payload_size;
        return 0;
}

int fsrv_worker_drop_payload(void) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)fsrv__inherited.payload;
        size_t size = fsrv__inherited.payload_size;

        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        fsrv__inherited.payload = NULL;
        fsrv__inherited.payload_size = 0;
        if (size > FSRV_WIRE_MESSAGE_MAX) /* it has mappings of its own, whose first page it begins in */
                munmap((void *)(at / page * page), at % page + size);
        return 0;
}

int fsrv_worker_get_client(pid_t *ret_pid, uid_t *ret_uid) {
        if (!fsrv__inherited.is_worker)
                return -ENOENT;
        *ret_pid = fsrv__inherited.client_pid;
        *ret_uid = fsrv__inherited.client_uid;
        return 0;
}

uint64_t fsrv_worker_signals_ignored(void) {
        return fsrv__task.request.head.signals_ignored;
}
