/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_CHANNEL_H
#define FSRV_WIRE_CHANNEL_H

/* Messages that carry fds, on SEQPACKET sockets. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/wait.h"
#include "wire/protocol.h"

/* Sends one message with up to FSRV_WIRE_FDS_MAX fds, without SIGPIPE. 0 or -errno; with `flags` MSG_DONTWAIT also
 * -EAGAIN. The fds stay the caller's. */
int fsrv__channel_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags);
int fsrv__channel_sendv(int sock, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags);

/* Whether a send that failed for this reason, a -errno, may pass in a moment: there was no room, no memory, or too many
 * fds of this uid were in flight (ETOOMANYREFS, unix(7)). */
bool fsrv__channel_is_short(int err);
/* patient_send.c: sends, and tries again while that is so, until the deadline. 0; else the last -errno. It allocates
 * nothing and leaves errno alone. */
int fsrv__channel_send_patiently(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int64_t deadline);

struct fsrv__message {
        size_t size;
        size_t n_fds;
        struct ucred sender;        /* if SO_PASSCRED is on, else pid 0, uid -1 */
        int fds[FSRV_WIRE_FDS_MAX]; /* close-on-exec; they are the receiver's to close */
};

/*
 * One recvmsg into `buffer`. 1: a message; 0: end of file; -errno, of which:
 *  -EMSGSIZE: the message was longer than the buffer; its fds are closed;
 *  -EMFILE: its fds did not all fit into this process (MSG_CTRUNC). The first of them are in *ret_message, so that the
 *  sender can be told; close them.
 * Both have taken the message from the queue. On other failures there are no fds to close.
 */
int fsrv__channel_receive(int sock, void *buffer, size_t size, int flags, struct fsrv__message *ret_message);

void fsrv__message_close(struct fsrv__message *message);

/* Waits until there is something, then does as fsrv__channel_receive(). -ETIMEDOUT: the deadline has passed. */
int fsrv__channel_receive_by(int sock, void *buffer, size_t size, int64_t deadline, struct fsrv__message *ret_message);
/* The same, and -EINTR when `interrupt` ends the wait. */
int fsrv__channel_receive_unless(int sock, void *buffer, size_t size, int64_t deadline,
                                 const struct fsrv__interrupt *interrupt, struct fsrv__message *ret_message);

#endif
