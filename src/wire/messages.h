/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_MESSAGES_H
#define FSRV_WIRE_MESSAGES_H

/* The checks that wire/messages.def defines. A receiver names the table of its end of the socket. What is no message is
 * decided here alone, without I/O. */

#include <stddef.h>
#include <stdint.h>

#include "wire/channel.h"
#include "wire/protocol.h"

enum fsrv__table {
#define TABLE(table, ...)   FSRV_TABLE_##table,
#define MESSAGE(table, ...) /* protocol.h */
#define AGAIN(table, ...)
#include "wire/messages.def"
};

/* The fds of a message by name. What may be missing is -1. */
enum fsrv__slot {
        FSRV_SLOT_ANSWER,
        FSRV_SLOT_DOORBELL,  /* to a worker the sending end: workers can spawn, and keep a private server alive */
        FSRV_SLOT_LIFELINE,  /* reads end-of-file when the client is gone */
        FSRV_SLOT_DIRECTORY, /* the client's working directory, O_PATH */
        FSRV_SLOT_STATUS,    /* a stream socket, to which the server writes a pid and an exit status */
        FSRV_SLOT_TRACKER,   /* the resource tracker's pipe */
        FSRV_SLOT_BODY,      /* a memfd */
        FSRV_SLOT_RESULT,    /* where the worker puts its result */
        FSRV_SLOT_PAYLOAD,   /* a file, which the worker maps */
        FSRV_SLOT_PIDFD,
        FSRV_SLOT_EXEC_PIPE,
        FSRV_SLOT_CLAIMS,
        FSRV_SLOT_ORDERS,
        FSRV_SLOT_PROGRAM, /* another zygote program than ours, O_PATH */
        FSRV_SLOT_DATA,    /* a memfd for the zygote's fd FSRV_ZYGOTE_DATA_FD */
        FSRV_SLOT_OUTPUT,  /* standard output for modules until they have been loaded once */
        FSRV_SLOT_SOCKET,
        FSRV_SLOT_LISTENER, /* of a zygote's system-call filter; or a named server's socket */
        FSRV_SLOT_READY,    /* of a named server: FSRV_WIRE_HAS_READY */
        FSRV_SLOT_METRICS,  /* the same: FSRV_WIRE_HAS_METRICS */
        FSRV_SLOTS
};
#define FSRV_NO_FDS \
        { [0 ... FSRV_SLOTS - 1] = -1 }

/* 0: it is one of these messages, with a size that it may have. -EPROTONOSUPPORT: it has another version; -EPROTO. */
int fsrv__message_check(enum fsrv__table table, const void *bytes, size_t size);
/* How many fds a checked message brings, the caller's among them. */
size_t fsrv__message_count_fds(enum fsrv__table table, const void *bytes);

/* Puts the fds of a message in their order: those of the slots that the message announces, which have to be filled,
 * then the callers'. `callers` may be NULL where a message has none. ret_fds has room for FSRV_SLOTS and the callers'.
 * Returns how many there are. */
size_t fsrv__message_pack(enum fsrv__table table, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                          int *ret_fds);
/* Checks a message that has come, and moves its named fds into their slots; what stays in *message are the callers'
 * fds. All belong to the caller then. Fails as fsrv__message_check(), and with -EPROTO where more or fewer fds have
 * come than announced; then all are closed. */
int fsrv__message_unpack(enum fsrv__table table, const void *bytes, struct fsrv__message *message,
                         int ret_slots[FSRV_SLOTS]);
/* The same for a reply to this question. A reply that says no has the size of a plain reply. */
int fsrv__reply_unpack(uint32_t question, const void *bytes, struct fsrv__message *message, int ret_slots[FSRV_SLOTS]);

/* As fsrv__message_pack(), for a reply to this question. */
size_t fsrv__reply_pack(uint32_t question, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                        int *ret_fds);

#endif
