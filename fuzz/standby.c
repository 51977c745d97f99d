/* SPDX-License-Identifier: MIT */
/*
 * The doorbell: a standby receives whatever comes, and what it takes becomes a worker's task, up to the point where
 * that would change the process. standby.c and worker.c are the real ones; what they call next is here, and goes back.
 *
 * An input: how many fds come with the message (255: as many as it says), what to put right (bits), the message, then
 * the memfd's bytes if it has one, then further messages with fds for the answer socket.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/linux.h"
#include "wire/messages.h"
#include "worker/attributes.h"
#include "worker/worker.h"

enum { RIGHT_VERSION = 1, RIGHT_SIZE = 2, NO_SEALS = 4 };

static jmp_buf back;
static bool claimed;

/* ---- what comes after it ---- */

static volatile size_t seen;

static void read_strings(char *const *list) {
        for (; *list; list++)
                seen += strlen(*list);
}

static _Noreturn void read_task(struct fsrv__task *task) {
        read_strings(task->request.argv);
        read_strings(task->request.environment);
        read_strings(task->request.paths);
        for (uint64_t i = 0; i < task->request.head.payload_size; i++)
                seen += ((const uint8_t *)task->request.payload)[i];
        for (uint32_t i = 0; i < task->request.head.n_fds; i++)
                FSRV_FUZZ_CHECK(fsrv__fd_is_open(task->fds[i]) == 1); /* each has come */
        longjmp(back, 1);
}

_Noreturn void fsrv__run_program(struct fsrv__task *task) {
        read_task(task);
}

_Noreturn void fsrv__run_entry(struct fsrv__task *task) {
        read_task(task);
}

_Noreturn void fsrv__task_fail(struct fsrv__task *task, int sock, const struct fsrv_error *error) {
        (void)sock;
        FSRV_FUZZ_CHECK(error->err > 0 && error->text[0] && memchr(error->text, 0, sizeof error->text));
        FSRV_FUZZ_CHECK(task->answer >= 0);
        longjmp(back, 1);
}

/* As in the child. */
int fsrv__loan_make(const struct fsrv__standby *standby, void (*borrower)(const struct fsrv__standby *standby),
                    struct fsrv__message *message) {
        const struct fsrv__wire_request *head = (void *)fsrv__task_bytes;

        FSRV_FUZZ_CHECK(head->kind == FSRV_WIRE_PROGRAM && message == &fsrv__task_message);
        borrower(standby);
        return 0;
}

void fsrv__core_filter_restore(const struct fsrv__standby *standby) {
        (void)standby;
}

/* All that the lists have is there. */
int fsrv__attributes_begin(struct fsrv__task *task, struct fsrv_error *error) {
        const struct fsrv__wire_attributes *a = task->request.attributes;

        (void)error;
        for (size_t i = 0; a && i < fsrv__attributes_size(a); i++)
                seen += ((const uint8_t *)a)[i];
        if (a && a->title_size)
                seen += strlen(fsrv__attributes_title(a));
        FSRV_FUZZ_CHECK(!a || fsrv__attributes_count_fds(a) <= task->request.head.n_fds);
        return 0;
}

void fsrv__core_filter_widen(const struct fsrv__standby *standby) {
        (void)standby;
}

void fsrv__setup_watchdog(uint32_t limit_ms) {
        (void)limit_ms;
}

int fsrv__setup_signals(const struct fsrv__wire_request *head, struct fsrv_error *error) {
        (void)head;
        (void)error;
        return 0;
}

int fsrv__setup_group(const struct fsrv__wire_request *head, struct fsrv_error *error) {
        (void)head;
        (void)error;
        return 0;
}

int fsrv__setup_directory(const struct fsrv__task *task, struct fsrv_error *error) {
        (void)error;
        seen += strlen(task->request.directory);
        return 0;
}

int fsrv__actions_run(struct fsrv__task *task, struct fsrv_error *error) {
        size_t paths = 0;

        (void)error;
        for (uint32_t i = 0; i < task->request.head.n_actions; i++)
                paths += task->request.actions[i].type == FSRV_WIRE_OPEN;
        FSRV_FUZZ_CHECK(task->request.paths[paths] == NULL);
        return 0;
}

void __wrap__exit(int code) __attribute__((noreturn));
void __wrap__exit(int code) {
        (void)code;
        longjmp(back, 1);
}

/* What comes after the claim is a worker. */
int __real_fsrv__channel_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags);
int __wrap_fsrv__channel_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags);
int __wrap_fsrv__channel_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags) {
        claimed |= n == sizeof(struct fsrv__wire_claim);
        return __real_fsrv__channel_send(sock, bytes, n, fds, n_fds, flags);
}

/* ---- what comes before it ---- */

static int make_memfd(struct fuzz_input *input, uint8_t mend, struct fsrv__wire_request *head) {
        static char body[4096];
        size_t n = fuzz_message(input, body, sizeof body);

        if (mend & RIGHT_SIZE)
                head->body_size = n;
        return mend & NO_SEALS ? memfd_create("fuzz", MFD_CLOEXEC) : fsrv__sealed_memfd("fuzz", body, n);
}

static void ring(struct fuzz_input *input, int doorbell, int answer, uint8_t mend) {
        static union {
                struct fsrv__wire_request head;
                char bytes[FSRV_WIRE_MESSAGE_MAX + 100];
        } message;
        size_t n_fds = fuzz_byte(input), n = fuzz_message(input, message.bytes, sizeof message);
        struct fsrv__wire_request *head = &message.head;
        bool whole = n >= sizeof *head;
        int fds[FSRV_WIRE_FDS_MAX], memfd = -1;

        if (whole && mend & RIGHT_VERSION)
                head->version = FSRV_WIRE_VERSION;
        if (whole && head->flags & FSRV_WIRE_BODY_IN_MEMFD)
                memfd = make_memfd(input, mend, head);
        else if (whole && mend & RIGHT_SIZE)
                head->body_size = n - sizeof *head;
        bool is_request = fsrv__message_check(FSRV_TABLE_DOORBELL, head, n) == 0;
        size_t all = is_request ? fsrv__message_count_fds(FSRV_TABLE_DOORBELL, head) : 0;
        size_t own = is_request ? all - head->n_fds_here : 0;
        if (n_fds == 255)
                n_fds = all;
        if (n_fds > FSRV_WIRE_FDS_MAX)
                n_fds = FSRV_WIRE_FDS_MAX;
        for (size_t i = 0; i < n_fds; i++)
                fds[i] = doorbell;
        if (n_fds > 0)
                fds[0] = answer;
        if (memfd >= 0 && own > 0 && n_fds >= own)
                fds[own - 1] = memfd;
        fsrv__channel_send(doorbell, message.bytes, n, fds, n_fds, MSG_DONTWAIT);
        fsrv__fd_close(memfd);
}

static void send_more(struct fuzz_input *input, int answer) {
        while (input->left > 0) {
                uint8_t n_fds = fuzz_byte(input), wrong = fuzz_byte(input);
                struct fsrv__wire_more more = { .type = wrong & 4 ? wrong : FSRV_WIRE_MORE_FDS,
                                                .n_fds = wrong & 1 ? wrong : n_fds };

                fuzz_send(answer, &more, sizeof more - (wrong & 2 ? 1 : 0), n_fds);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct fuzz_input input = { data, size };
        static struct fsrv__wire_config config;
        static struct fsrv_host host;
        struct rlimit limit;
        int doorbell[2], claims[2], answer[2], on = 1;

        uint8_t mend = fuzz_byte(&input);
        fuzz_begin();
        getrlimit(RLIMIT_NOFILE, &limit);
        config = (struct fsrv__wire_config){ .server = getppid(), .nofile = limit.rlim_cur, .loans = 1 };
        if (fsrv__socketpair(doorbell) == 0 && fsrv__socketpair(claims) == 0 && fsrv__socketpair(answer) == 0) {
                struct fsrv__standby standby = {
                        .doorbell = doorbell[0], .claims = claims[1], .config = &config, .host = &host
                };
                setsockopt(doorbell[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
                ring(&input, doorbell[1], answer[1], mend);
                send_more(&input, answer[0]);
                close(answer[0]);
                close(answer[1]);
                close(doorbell[1]);
                claimed = false;
                if (setjmp(back) == 0)
                        fsrv__standby_run(&standby);
                if (!claimed)
                        fuzz_check_fds(4); /* doorbell, both ends of claims, and a pidfd */
        }
        fuzz_end();
        return 0;
}
