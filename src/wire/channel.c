/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/call.h"
#include "base/fd.h"

int fsrv__channel_sendv(int sock, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int) * FSRV_WIRE_FDS_MAX)];
        } control;
        struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts };
        long sent;

        if (n_fds > FSRV_WIRE_FDS_MAX)
                return -EINVAL;
        if (n_fds > 0) {
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                struct cmsghdr *header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
                if (n_fds % 2) /* padding */
                        ((int *)CMSG_DATA(header))[n_fds] = 0;
        }
        do
                sent = fsrv__call(SYS_sendmsg, sock, &message, MSG_NOSIGNAL | flags);
        while (sent == -EINTR);
        return sent < 0 ? (int)sent : 0; /* SEQPACKET: whole or not at all */
}

int fsrv__channel_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags) {
        struct iovec part = { (void *)bytes, n };

        return fsrv__channel_sendv(sock, &part, 1, fds, n_fds, flags);
}

static void take_control(struct msghdr *header, struct fsrv__message *message) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS)
                        memcpy(&message->sender, CMSG_DATA(c), sizeof message->sender);
                if (c->cmsg_type == SCM_RIGHTS) {
                        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                        memcpy(message->fds + message->n_fds, CMSG_DATA(c), n * sizeof(int));
                        message->n_fds += n;
                }
        }
}

static bool raise_fds(struct fsrv__message *message) {
        size_t n = 0;

        for (size_t i = 0; i < message->n_fds; i++) {
                int fd = fsrv__fd_raise(message->fds[i]);
                if (fd >= 0)
                        message->fds[n++] = fd;
        }
        bool all = n == message->n_fds;
        message->n_fds = n;
        return all;
}

/* A sanitizer does not see what a bare call writes, so the room for it counts as written before. */
static void show_room(void *buffer, size_t size) {
#ifdef FSRV_IS_SANITIZED
        memset(buffer, 0, size);
#else
        (void)buffer, (void)size;
#endif
}

static ssize_t receive_once(int sock, struct msghdr *header, int flags) {
        ssize_t n;

        do
                n = fsrv__call(SYS_recvmsg, sock, header, flags);
        while (n == -EINTR);
        return n;
}

/*
 * Two things overtake a message that the other end sent before it closed, each once:
 *  - ECONNRESET, when something was unread at that end;
 *  - end-of-file: unix_dgram_recvmsg() looks into the queue, finds nothing, then looks whether the other end has
 *    closed. What was sent and closed in between is in the queue when this returns 0 (seen on Linux 6.18: an exit
 *    status in 500,000).
 */
static ssize_t receive_truly(int sock, struct msghdr *header, int flags) {
        struct msghdr before = *header;
        ssize_t n = receive_once(sock, header, flags);

        if (n == -ECONNRESET) {
                *header = before;
                n = receive_once(sock, header, flags);
        }
        if (n == 0 && header->msg_controllen == 0) {
                *header = before;
                n = receive_once(sock, header, flags | MSG_DONTWAIT);
                if (n == -EAGAIN) {                 /* it was an empty message */
                        header->msg_controllen = 0; /* nobody has written there */
                        n = 0;
                }
        }
        return n;
}

int fsrv__channel_receive(int sock, void *buffer, size_t size, int flags, struct fsrv__message *ret_message) {
        union {
                struct cmsghdr align; /* room for one full set of fds: the kernel puts all fds of a message in one */
                char bytes[CMSG_SPACE(sizeof(int) * FSRV_WIRE_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
        } control;
        struct iovec part = { buffer, size };
        struct msghdr header = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
        };
        ssize_t n;

        show_room(buffer, size);
        n = receive_truly(sock, &header, MSG_CMSG_CLOEXEC | flags);
        if (n < 0)
                return (int)n;

        ret_message->size = (size_t)n;
        ret_message->n_fds = 0;
        ret_message->sender = (struct ucred){ .pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        take_control(&header, ret_message);
        /* A process at its fd limit gets the message with some of its fds or none, and only this flag tells so
         * (unix(7)). To go on would put the wrong file in the wrong place. */
        bool raised = raise_fds(ret_message);
        if (!raised || header.msg_flags & MSG_CTRUNC)
                return -EMFILE;
        if (header.msg_flags & MSG_TRUNC) {
                fsrv__message_close(ret_message);
                return -EMSGSIZE;
        }
        /* An empty message looks like the end of file, unless it has credentials. */
        return n > 0 || ret_message->n_fds > 0 || ret_message->sender.pid > 0;
}

void fsrv__message_close(struct fsrv__message *message) {
        fsrv__fds_close(message->fds, message->n_fds);
        message->n_fds = 0;
}

int fsrv__channel_receive_unless(int sock, void *buffer, size_t size, int64_t deadline,
                                 const struct fsrv__interrupt *interrupt, struct fsrv__message *ret_message) {
        for (;;) {
                struct pollfd entry = { .fd = sock, .events = POLLIN };
                int r = fsrv__poll(&entry, deadline, interrupt);

                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                r = fsrv__channel_receive(sock, buffer, size, MSG_DONTWAIT, ret_message);
                if (r != -EAGAIN)
                        return r;
        }
}

int fsrv__channel_receive_by(int sock, void *buffer, size_t size, int64_t deadline, struct fsrv__message *ret_message) {
        return fsrv__channel_receive_unless(sock, buffer, size, deadline, NULL, ret_message);
}
