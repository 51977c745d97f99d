/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/learn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "wire/channel.h"
#include "worker/filter.h"

#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE 1
#endif

/* A sandbox that closes nothing: its filter asks, and each answer is to go on. Files are seen by the calls that open
 * them. */

struct lesson {
        const struct fsrv__sandbox_parts *sandbox;
        void (*learned)(const char *word, void *data);
        void *data;
        char **words; /* to tell in the end */
        size_t n_words;
        int listener;
};

/* ---- in the child ---- */

static int install_filter(const struct fsrv__sandbox_parts *sandbox) {
        struct fsrv__sandbox_parts asking = *sandbox;
        struct sock_filter *filter = malloc(FSRV_FILTER_ROOM * sizeof *filter);

        asking.head.flags &= ~(uint32_t)(FSRV_LOCK_KILLS | FSRV_LOCK_PROGRAM);
        if (sandbox->head.flags & FSRV_LOCK_FILES)
                asking.head.refused |= FSRV_REFUSE_FILES | FSRV_REFUSE_EXEC;
        int n = filter ? fsrv__filter_write(&asking, true, filter) : -ENOMEM;
        if (n > 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                n = -errno;
        int r = n > 0 ? fsrv__filter_install(filter, (size_t)n, true) : n;
        free(filter);
        return r;
}

/* Says how that went, and hands the listener over; -errno says that there is none, and 0 that there is nothing to ask.
 */
static _Noreturn void run_child(const struct fsrv__sandbox_parts *sandbox, int sock, int (*run)(void *data),
                                void *data) {
        int listener = install_filter(sandbox);

        if (fsrv__channel_send(sock, &listener, sizeof listener, &listener, listener > 0, 0) < 0 || listener < 0)
                _exit(127);
        fsrv__fd_close(sock);
        if (listener > 0)
                fsrv__fd_close(listener);
        exit(run(data));
}

/* ---- in the parent ---- */

static void note_once(struct lesson *lesson, const char *word) {
        if (!word[0])
                return;
        for (size_t i = 0; i < lesson->n_words; i++)
                if (fsrv__word_is_said_by(word, lesson->words[i]))
                        return;
        char **grown = reallocarray(lesson->words, lesson->n_words + 1, sizeof *grown), *copy = strdup(word);
        if (grown)
                lesson->words = grown;
        if (grown && copy)
                lesson->words[lesson->n_words++] = copy;
        else
                free(copy);
}

/* A later word may have said what this one says. Files that the run has removed, as temporary ones, cannot be opened to
 * the next run: the directory that they are made in was noted. */
static bool is_of_use(const struct lesson *lesson, size_t index) {
        const char *word = lesson->words[index], *value = strchr(word, '=') + 1;

        for (size_t i = 0; i < lesson->n_words; i++)
                if (i != index && fsrv__word_is_said_by(word, lesson->words[i]))
                        return false;
        return value[0] != '/' || access(value, F_OK) == 0;
}

static void tell_all(const struct lesson *lesson) {
        for (size_t i = 0; i < lesson->n_words; i++)
                if (is_of_use(lesson, i))
                        lesson->learned(lesson->words[i], lesson->data);
}

/* ENOENT: the caller has been killed meanwhile. What was read then may be another process's. */
static void answer_call(struct lesson *lesson) {
        char words[2][FSRV_WORD_SIZE];
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

        if (ioctl(lesson->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return;
        fsrv__learn_words(lesson->sandbox, &call.data, (pid_t)call.pid, words);
        if (ioctl(lesson->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) == 0)
                for (int i = 0; i < 2; i++)
                        note_once(lesson, words[i]);
        answer.id = call.id;
        ioctl(lesson->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void listen_until_end(struct lesson *lesson, int pidfd) {
        struct pollfd entries[] = { { .fd = pidfd, .events = POLLIN }, { .fd = lesson->listener, .events = POLLIN } };

        while (poll(entries, 2, -1) >= 0 || errno == EINTR) {
                if (entries[1].revents & POLLIN)
                        answer_call(lesson);
                else if (entries[0].revents)
                        return;
                else if (entries[1].revents)
                        entries[1].fd = -1; /* no process has the filter any more */
        }
}

static int teach(struct lesson *lesson, int sock, pid_t pid, int *ret_status, struct fsrv_error *error) {
        FSRV_CLEANUP_FD int pidfd = fsrv__pidfd_open(pid);
        struct fsrv__message message = { .n_fds = 0 };
        int said = -EPROTO, r = fsrv__channel_receive(sock, &said, sizeof said, 0, &message);

        lesson->listener = r == 1 && message.n_fds == 1 ? message.fds[0] : -1;
        if (pidfd >= 0 && said >= 0)
                listen_until_end(lesson, pidfd);
        fsrv__fd_close(lesson->listener);
        while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
                ;
        return said < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, -said, "a filter that asks (Linux 5.5)") : 0;
}

static int learn(struct lesson *lesson, int (*run)(void *data), void *run_data, int *ret_status,
                 struct fsrv_error *error) {
        int pair[2] = { -1, -1 }, r = fsrv__socketpair(pair);
        pid_t pid = r == 0 ? fork() : -1;

        if (pid == 0) {
                fsrv__fd_close(pair[0]);
                run_child(lesson->sandbox, pair[1], run, run_data);
        }
        if (r == 0)
                fsrv__fd_close(pair[1]);
        if (pid > 0)
                r = teach(lesson, pair[0], pid, ret_status, error);
        else
                r = fsrv__fail(error, FSRV_STAGE_SANDBOX, r < 0 ? -r : errno, "a process to learn from");
        if (pair[0] >= 0)
                fsrv__fd_close(pair[0]);
        return r;
}

int fsrv_sandbox_learn(const struct fsrv_sandbox *sandbox, int (*run)(void *data), void *run_data,
                       void (*learned)(const char *word, void *data), void *data, int *ret_status,
                       struct fsrv_error *error) {
        const struct fsrv__sealed *sealed = (const void *)sandbox;
        struct fsrv__sandbox_parts parts;
        struct lesson lesson = { .sandbox = &parts, .learned = learned, .data = data, .listener = -1 };

        if (!sealed->bytes)
                return fsrv__fail_text(error, FSRV_STAGE_SANDBOX, EINVAL, "the sandbox is not sealed");
        int r = fsrv__sandbox_decode(sealed->bytes, sealed->size, &parts);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "the sandbox");
        r = learn(&lesson, run, run_data, ret_status, error);
        tell_all(&lesson);
        for (size_t i = 0; i < lesson.n_words; i++)
                free(lesson.words[i]);
        free(lesson.words);
        fsrv__sandbox_parts_done(&parts);
        return r;
}
