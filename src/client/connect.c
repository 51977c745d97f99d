/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/linux.h"
#include "client/launch.h"
#include "wire/messages.h"

enum { BACKLOG_MS = 5 };

static int connect_now(int sock, const struct sockaddr_un *address) {
        int r;

        do
                r = connect(sock, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
        while (r == -EINTR);
        return r;
}

static int check_uid(int sock, const char *path, uid_t wanted, struct fsrv_error *error) {
        struct ucred cred;
        socklen_t size = sizeof cred;

        if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return fsrv__fail(error, FSRV_STAGE_CREDENTIALS, errno, "finding the user that serves '%s'", path);
        if (wanted == FSRV_UID_OWN ? cred.uid == fsrv__euid() || cred.uid == 0 : cred.uid == wanted)
                return 0;
        return fsrv__fail(error, FSRV_STAGE_CREDENTIALS, EPERM, "'%s' is served by uid %u", path, (unsigned)cred.uid);
}

/* The fd; -EAGAIN: a full backlog (unix(7)). */
static int try_connect(const struct fsrv_server *s, struct fsrv_error *error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = s->path;

        if (strlen(path) >= sizeof address.sun_path)
                return fsrv__fail_text(error, FSRV_STAGE_CONNECT, ENAMETOOLONG,
                                       "the socket path has %zu bytes, of at most %zu: '%s'", strlen(path),
                                       sizeof address.sun_path - 1, path);
        strcpy(address.sun_path, path);
        FSRV_CLEANUP_FD int sock = fsrv__fd_raise(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (sock < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, errno, "a socket");
        int r = connect_now(sock, &address);
        if (r == -EPROTOTYPE) /* a socket of another type lies there */
                return fsrv__fail_text(error, FSRV_STAGE_CONNECT, EPROTO, "'%s' is not the socket of a fork server",
                                       path);
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, -r, "connecting to '%s'", path);
        r = check_uid(sock, path, s->server_uid, error);
        return r < 0 ? r : fsrv__fd_steal(&sock);
}

int fsrv__connect(const struct fsrv_server *s, int64_t deadline, struct fsrv_error *error) {
        for (;;) {
                int sock = try_connect(s, error);
                if (sock != -EAGAIN)
                        return sock;
                if (fsrv__now() >= deadline)
                        return fsrv__fail(error, FSRV_STAGE_CONNECT, ETIMEDOUT, "connecting to '%s'", s->path);
                if (fsrv__poll(NULL, fsrv__deadline(BACKLOG_MS), &s->interrupt) == -EINTR)
                        return fsrv__interrupted(error, FSRV_STAGE_CONNECT);
        }
}

/* Says what is wrong with a message that is no reply to this question. */
static int name_bad_reply(uint32_t question, const struct fsrv__message *message, const struct fsrv__wire_reply *reply,
                          const char *name, struct fsrv_error *error) {
        if (message->size >= sizeof reply->version && reply->version != FSRV_WIRE_VERSION &&
            reply->version >> 16 == FSRV_WIRE_VERSION >> 16)
                return fsrv__fail_text(error, FSRV_STAGE_VERSION, EPROTONOSUPPORT,
                                       "%s speaks protocol %#x, this library %#x", name, reply->version,
                                       FSRV_WIRE_VERSION);
        if (message->size < sizeof *reply || reply->version != FSRV_WIRE_VERSION)
                return fsrv__fail_text(error, FSRV_STAGE_CONNECT, EPROTO, "%s is not a fork server", name);
        if (question == FSRV_WIRE_ADMIN_ATTACH && message->size == sizeof *reply)
                return fsrv__fail_text(error, FSRV_STAGE_CONNECT, EPROTO, "the answer of %s came without its doorbell",
                                       name);
        return fsrv__fail_text(error, FSRV_STAGE_CONNECT, EPROTO, "an answer of %zu bytes from %s", message->size,
                               name);
}

int fsrv__interrupted(struct fsrv_error *error, uint32_t stage) {
        return fsrv__fail_text(error, stage, EINTR, "the caller's interrupt function ended the call");
}

/* A server that turns us away answers and closes before it reads. Its answer is there all the same. */
static int send_question(int admin, uint32_t type, int64_t deadline) {
        struct fsrv__wire_admin question = { .version = FSRV_WIRE_VERSION, .type = type };
        int r = fsrv__channel_send_patiently(admin, &question, sizeof question, NULL, 0, deadline);

        return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* `received` is what receiving the message came to. *ret_fd, if wanted, is the caller's: the doorbell, or a file. */
static int check_reply(int received, uint32_t question, struct fsrv__message *message,
                       const struct fsrv__wire_reply *reply, const char *name, int *ret_fd, struct fsrv_error *error) {
        int slots[FSRV_SLOTS];

        if (received == -EINTR)
                return fsrv__interrupted(error, FSRV_STAGE_CONNECT);
        if (received == 0)
                return fsrv__fail_text(error, FSRV_STAGE_CONNECT, ECONNRESET, "%s closed the connection", name);
        if (received == -EMFILE)
                fsrv__message_close(message);
        if (received < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, -received, "the answer of %s", name);
        if (fsrv__reply_unpack(question, reply, message, slots) < 0)
                return name_bad_reply(question, message, reply, name, error);
        if (reply->err)
                return fsrv__fail_text(error, reply->stage, reply->err > 0 ? reply->err : EPROTO, "%.*s",
                                       (int)sizeof reply->text - 1, reply->text);
        if (ret_fd)
                *ret_fd = slots[question == FSRV_WIRE_ADMIN_ATTACH ? FSRV_SLOT_DOORBELL : FSRV_SLOT_BODY];
        return 0;
}

int fsrv__ask(int admin, const struct fsrv__question *question, struct fsrv__wire_reply *reply, size_t size,
              struct fsrv_error *error) {
        struct fsrv__message message;
        int r = send_question(admin, question->type, question->deadline);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, -r, "asking %s", question->name);
        r = fsrv__channel_receive_unless(admin, reply, size, question->deadline, question->interrupt, &message);
        return check_reply(r, question->type, &message, reply, question->name, NULL, error);
}

int fsrv__ask_file(int admin, const struct fsrv__question *question, int *ret_file, struct fsrv_error *error) {
        struct fsrv__wire_reply reply;
        struct fsrv__message message;
        int r = send_question(admin, question->type, question->deadline);

        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, -r, "asking %s", question->name);
        r = fsrv__channel_receive_unless(admin, &reply, sizeof reply, question->deadline, question->interrupt,
                                         &message);
        return check_reply(r, question->type, &message, &reply, question->name, ret_file, error);
}

int fsrv__attach_start(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        FSRV_CLEANUP_FD int sock = try_connect(s, error);

        if (sock < 0)
                return sock == -EAGAIN ? 1 : sock;
        int r = send_question(sock, FSRV_WIRE_ADMIN_ATTACH, 0);
        if (fsrv__channel_is_short(r))
                return 1;
        if (r < 0)
                return fsrv__fail(error, FSRV_STAGE_CONNECT, -r, "asking %s", s->path);
        launch->admin = fsrv__fd_steal(&sock);
        return 0;
}

int fsrv__attach_answer(const struct fsrv_server *s, struct fsrv__launch *launch, struct fsrv_error *error) {
        struct fsrv__wire_reply reply;
        struct fsrv__message message;
        int r = fsrv__channel_receive(launch->admin, &reply, sizeof reply, MSG_DONTWAIT, &message);

        if (r == -EAGAIN)
                return 1;
        r = check_reply(r, FSRV_WIRE_ADMIN_ATTACH, &message, &reply, s->path, &launch->doorbell, error);
        launch->admin = fsrv__fd_close(launch->admin); /* each later question has a connection of its own */
        return r;
}
