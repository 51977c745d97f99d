/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "map_write.h"

enum {
        READ_SIZE = 65536,
        READS_MAX = 32, /* what a pipe can hold at a time; a process may fill it without end */
        LINE_MAX_HELD = 1024 * 1024,
};

static void close_end(int *end) {
        if (*end >= 0)
                close(*end);
        *end = -1;
}

/* Closing alone doesn't take it out of the epoll while a forked process of ours still has it (epoll(7)): events would
 * come for what is freed. */
static void close_ours(struct map_output *output) {
        if (output->ends[0] >= 0 && output->both->epoll >= 0)
                epoll_ctl(output->both->epoll, EPOLL_CTL_DEL, output->ends[0], NULL);
        close_end(&output->ends[0]);
}

/* Only our end may be non-blocking: programs expect theirs to wait. */
static int open_pipe(int ends[2]) {
        if (pipe2(ends, O_CLOEXEC) < 0) {
                ends[0] = ends[1] = -1;
                return -errno;
        }
        return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int map_outputs_new(const char *tag, int fd_max, struct map_outputs **ret_outputs) {
        struct map_outputs *outputs = calloc(1, sizeof *outputs);
        int r = outputs ? 0 : -ENOMEM;

        if (outputs)
                outputs->epoll = -1;
        for (int i = 0; outputs && i < 2; i++) {
                struct map_output *output = &outputs->of[i];
                *output = (struct map_output){ MAP_EVENT_OUTPUT, outputs, STDOUT_FILENO + i, .ends = { -1, -1 } };
                if (r == 0)
                        r = open_pipe(output->ends);
                if (r == 0 && output->ends[1] > fd_max)
                        r = -EMFILE;
        }
        if (r < 0) {
                map_outputs_free(outputs);
                return r;
        }
        outputs->tag = tag;
        *ret_outputs = outputs;
        return 0;
}

void map_outputs_free(struct map_outputs *outputs) {
        if (!outputs)
                return;
        for (int i = 0; i < 2; i++) {
                close_ours(&outputs->of[i]);
                close_end(&outputs->of[i].ends[1]);
                map_store_clear(&outputs->of[i].store);
        }
        free(outputs->own_tag);
        free(outputs);
}

bool map_outputs_are_open(const struct map_outputs *outputs) {
        return outputs->of[0].ends[0] >= 0 || outputs->of[1].ends[0] >= 0;
}

bool map_outputs_have_some(const struct map_outputs *outputs) {
        return outputs && map_store_size(&outputs->of[0].store) + map_store_size(&outputs->of[1].store) > 0;
}

/* ---- what came ---- */

static int show_bytes(void *data, const char *bytes, size_t n) {
        struct map_output *output = data;
        const char *tag = output->both->tag;

        return tag ? map_write_tagged(output->to, bytes, n, tag, &output->in_line) : map_write(output->to, bytes, n);
}

static int show_kept(struct map_output *output) {
        int r = map_store_each(&output->store, show_bytes, output);

        map_store_clear(&output->store);
        return r;
}

/* A line that never ends would fill the disk for nothing. */
static bool is_too_long(const struct map_output *output, size_t n) {
        return output->both->live && map_store_size(&output->store) + n > LINE_MAX_HELD;
}

static int keep_bytes(struct map_output *output, const char *bytes, size_t n) {
        if (output->lost)
                return 0;
        int r = is_too_long(output, n) ? -EFBIG : map_store_add(&output->store, bytes, n);
        if (r == 0)
                return 0;
        if (!output->both->live) {
                output->lost = -r; /* the process goes on, as its work may be more than its output */
                return 0;
        }
        r = show_kept(output); /* better a line in two pieces */
        return r < 0 ? r : show_bytes(output, bytes, n);
}

static int take(void *data, const char *bytes, size_t n) {
        struct map_output *output = data;
        const char *newline = output->both->live ? memrchr(bytes, '\n', n) : NULL;

        if (newline) {
                size_t k = (size_t)(newline + 1 - bytes);
                int r = show_kept(output);
                if (r < 0 || (r = show_bytes(output, bytes, k)) < 0)
                        return r;
                bytes += k;
                n -= k;
        }
        return keep_bytes(output, bytes, n);
}

int map_output_read(struct map_output *output) {
        static char bytes[READ_SIZE];
        ssize_t n = output->ends[0] < 0 ? 0 : read(output->ends[0], bytes, sizeof bytes);

        if (n > 0) {
                int r = take(output, bytes, (size_t)n);
                return r < 0 ? r : 1;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        close_ours(output);
        return output->both->live ? map_output_show(output) : 0;
}

int map_outputs_finish(struct map_outputs *outputs) {
        int result = 0;

        for (int i = 0; i < 2; i++) {
                int r = 1;
                close_end(&outputs->of[i].ends[1]);
                for (int reads = 0; r > 0 && reads < READS_MAX; reads++)
                        r = map_output_read(&outputs->of[i]);
                if (r < 0)
                        result = r;
        }
        return result;
}

/* ---- showing ---- */

int map_outputs_set_live(struct map_outputs *outputs) {
        int result = 0;

        outputs->live = true;
        for (int i = 0; i < 2; i++) {
                struct map_store held = outputs->of[i].store;
                outputs->of[i].store = (struct map_store){ 0 };
                int r = map_store_each(&held, take, &outputs->of[i]);
                map_store_clear(&held);
                if (r < 0)
                        result = r;
        }
        return result;
}

/* A last line gets its newline if it has none and a tag, lest it become one with another item's. */
int map_output_show(struct map_output *output) {
        int r = show_kept(output);

        if (r == 0 && output->in_line && output->both->tag)
                r = show_bytes(output, "\n", 1);
        output->both->live = true;
        return r;
}

bool map_output_is_unread(void) {
        struct pollfd entry = { .fd = STDOUT_FILENO };

        return poll(&entry, 1, 0) == 1 && entry.revents & POLLERR;
}
