/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/messages.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { FDS_MAX = 12 }; /* named ones of one message, and the caller's */

enum { NO_FD, ALWAYS, IF, UNLESS, ANY };

/* One fd of a message, or all that are the caller's; where it depends on a field, that lies at `offset`. */
struct fd {
        uint8_t kind;
        uint8_t slot;
        uint16_t offset;
        uint32_t mask;
};

struct row {
        uint16_t table;
        uint16_t number;
        uint32_t least, most; /* bytes */
        struct fd fds[FDS_MAX];
};

#define EXACT(type)         sizeof(struct type), sizeof(struct type)
#define LONGER(type, n)     sizeof(struct type) + (n), FSRV_WIRE_MESSAGE_MAX
#define BEFORE(type, field) offsetof(struct type, field), offsetof(struct type, field)
#define REFUSED_OR(type)    sizeof(struct fsrv__wire_reply), sizeof(struct type)

#define FD(slot)                       { ALWAYS, FSRV_SLOT_##slot, 0, 0 },
#define FD_IF(slot, type, field, mask) { IF, FSRV_SLOT_##slot, offsetof(struct type, field), mask },
#define FD_UNLESS(slot, type, field)   { UNLESS, FSRV_SLOT_##slot, offsetof(struct type, field), UINT32_MAX },
#define CALLERS(type, field)           { ANY, 0, offsetof(struct type, field), 0 },
#define UNWRAP(...)                    __VA_ARGS__
#define TABLE(table, ...)
#define MESSAGE(table, name, number, size, fds, sentence) { FSRV_TABLE_##table, name, size, { UNWRAP fds } },
#define AGAIN(table, name, size, fds, sentence)           { FSRV_TABLE_##table, name, size, { UNWRAP fds } },

/* Without pointers, so that no process has to relocate it. */
static const struct row rows[] = {
#include "wire/messages.def"
};

enum head { PLAIN, VERSIONED, REPLY };

static const uint8_t heads[] = {
#define TABLE(table, head, ...) [FSRV_TABLE_##table] = head,
#define MESSAGE(table, ...)
#define AGAIN(table, ...)
#include "wire/messages.def"
};

static uint32_t read_field(const void *bytes, size_t offset) {
        uint32_t value;

        memcpy(&value, (const char *)bytes + offset, sizeof value);
        return value;
}

static const struct row *find_row(enum fsrv__table table, uint32_t number) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                if (rows[i].table == table && rows[i].number == number)
                        return &rows[i];
        return NULL;
}

static size_t number_offset(enum fsrv__table table) {
        return heads[table] == VERSIONED ? sizeof(uint32_t) : 0;
}

static const struct row *find_own_row(enum fsrv__table table, const void *bytes) {
        return find_row(table, read_field(bytes, number_offset(table)));
}

static int check_version(const void *bytes, size_t size) {
        if (size < sizeof(uint32_t))
                return -EPROTO;
        return read_field(bytes, 0) == FSRV_WIRE_VERSION ? 0 : -EPROTONOSUPPORT;
}

int fsrv__message_check(enum fsrv__table table, const void *bytes, size_t size) {
        size_t offset = number_offset(table);
        int r = heads[table] == VERSIONED ? check_version(bytes, size) : 0;

        if (r < 0)
                return r;
        if (size < offset + sizeof(uint32_t))
                return -EPROTO;
        const struct row *row = find_own_row(table, bytes);
        return row && size >= row->least && size <= row->most ? 0 : -EPROTO;
}

/* ---- fds ---- */

static bool is_there(const struct fd *fd, const void *bytes) {
        bool is_set = read_field(bytes, fd->offset) & fd->mask;

        return fd->kind == ALWAYS || (fd->kind == IF && is_set) || (fd->kind == UNLESS && !is_set);
}

static const struct fd *fds_end(const struct row *row) {
        size_t n = 0;

        while (n < FDS_MAX && row->fds[n].kind != NO_FD)
                n++;
        return row->fds + n;
}

static size_t count_fds(const struct row *row, const void *bytes) {
        size_t n = 0;

        for (const struct fd *fd = row->fds, *end = fds_end(row); fd < end; fd++)
                n += fd->kind == ANY ? read_field(bytes, fd->offset) : is_there(fd, bytes);
        return n;
}

size_t fsrv__message_count_fds(enum fsrv__table table, const void *bytes) {
        return count_fds(find_own_row(table, bytes), bytes);
}

static size_t pack_fds(const struct row *row, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                       int *ret_fds) {
        size_t n = 0;

        for (const struct fd *fd = row->fds, *end = fds_end(row); fd < end; fd++)
                if (is_there(fd, bytes))
                        ret_fds[n++] = slots[fd->slot];
                else if (fd->kind == ANY)
                        for (uint32_t i = 0; i < read_field(bytes, fd->offset); i++)
                                ret_fds[n++] = callers[i];
        return n;
}

size_t fsrv__message_pack(enum fsrv__table table, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                          int *ret_fds) {
        return pack_fds(find_own_row(table, bytes), bytes, slots, callers, ret_fds);
}

size_t fsrv__reply_pack(uint32_t question, const void *bytes, const int slots[FSRV_SLOTS], const int *callers,
                        int *ret_fds) {
        return pack_fds(find_row(FSRV_TABLE_REPLIES, question), bytes, slots, callers, ret_fds);
}

static int unpack_fds(const struct row *row, const void *bytes, struct fsrv__message *message, int slots[FSRV_SLOTS]) {
        size_t n = 0;

        if (message->n_fds != count_fds(row, bytes))
                return -EPROTO;
        for (const struct fd *fd = row->fds, *end = fds_end(row); fd < end; fd++)
                if (is_there(fd, bytes))
                        slots[fd->slot] = message->fds[n++];
        message->n_fds -= n;
        memmove(message->fds, message->fds + n, message->n_fds * sizeof *message->fds);
        return 0;
}

static int close_unless(int r, struct fsrv__message *message) {
        if (r < 0)
                fsrv__message_close(message);
        return r;
}

int fsrv__message_unpack(enum fsrv__table table, const void *bytes, struct fsrv__message *message,
                         int ret_slots[FSRV_SLOTS]) {
        int r = fsrv__message_check(table, bytes, message->size);

        memset(ret_slots, -1, FSRV_SLOTS * sizeof *ret_slots);
        if (r == 0)
                r = unpack_fds(find_own_row(table, bytes), bytes, message, ret_slots);
        return close_unless(r, message);
}

static int check_reply(const struct row *row, const void *bytes, size_t size) {
        struct fsrv__wire_reply reply;
        int r = check_version(bytes, size);

        if (r < 0)
                return r;
        if (size < sizeof reply)
                return -EPROTO;
        memcpy(&reply, bytes, sizeof reply);
        return size == (reply.err ? sizeof reply : row->most) ? 0 : -EPROTO;
}

int fsrv__reply_unpack(uint32_t question, const void *bytes, struct fsrv__message *message, int ret_slots[FSRV_SLOTS]) {
        const struct row *row = find_row(FSRV_TABLE_REPLIES, question);
        int r = check_reply(row, bytes, message->size);

        memset(ret_slots, -1, FSRV_SLOTS * sizeof *ret_slots);
        if (r == 0)
                r = unpack_fds(row, bytes, message, ret_slots);
        return close_unless(r, message);
}
