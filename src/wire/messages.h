/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_MESSAGES_H
#define FSRV_WIRE_MESSAGES_H

/* Which messages there are (wire/messages.def), as checks that do no I/O: a receiver asks for the table of its end of
 * the socket, and there alone it is decided what is no message. */

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
        FSRV_SLOT_PIDFD,
        FSRV_SLOT_EXEC_PIPE,
        FSRV_SLOT_CLAIMS,
        FSRV_SLOT_ORDERS,
        FSRV_SLOT_PROGRAM, /* another zygote program than ours, O_PATH */
        FSRV_SLOT_DATA,    /* a memfd for the zygote's fd FSRV_ZYGOTE_DATA_FD */
        FSRV_SLOT_OUTPUT,  /* standard output for modules until they have been loaded once */
        FSRV_SLOT_SOCKET,
        FSRV_SLOTS
};
#define FSRV_NO_FDS \
        { [0 ... FSRV_SLOTS - 1] = -1 }

/* 0: it is one of these messages, with a size that it may have. -EPROTONOSUPPORT: it has another version; -EPROTO. */
int fsrv__message_check(enum fsrv__table table, const void *bytes, size_t size);
/* How many fds a checked message brings, the caller's among them. */
size_t fsrv__message_count_fds(enum fsrv__table table, const void *bytes);

/* The fds of a message in their order, from their slots and then from `callers`, which may be NULL where a message has
 * none. How many. A slot that the message announces has to be filled. */
size_t fsrv__message_pack(enum fsrv__table table, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                          int ret_fds[FSRV_WIRE_FDS_MAX]);
/* Checks the bytes of a message that has come, and puts its fds, which are the caller's then, into their slots. What is
 * left in *message are a request's own fds. On failure they are all closed: as fsrv__message_check(), and -EPROTO where
 * there are more or fewer fds than announced. */
int fsrv__message_unpack(enum fsrv__table table, const void *bytes, struct fsrv__message *message,
                         int ret_slots[FSRV_SLOTS]);
/* The same for a reply to this question. (Both in one: a reply that says no has the size of a plain one.) */
int fsrv__reply_unpack(uint32_t question, const void *bytes, struct fsrv__message *message, int ret_slots[FSRV_SLOTS]);

#endif
