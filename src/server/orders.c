/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "server/server.h"
#include "wire/loaded.h"
#include "wire/messages.h"

/* What a zygote says comes from a process that runs the user's code. */

/* ---- what is for statistics and the log alone ---- */

static void on_memory(const struct fsrv__server *s, struct fsrv__zygote *z, const char *bytes) {
        struct fsrv__wire_memory *memory = &z->memory;

        memcpy(memory, bytes, sizeof *memory);
        memory->why[sizeof memory->why - 1] = 0;
        fsrv__log(s, FSRV_INFO, "memory: %.1f MiB frozen, %.1f collapsed, %.1f as it was%s%s",
                  (double)memory->frozen / (1 << 20), (double)memory->collapsed / (1 << 20),
                  (double)memory->left / (1 << 20), memory->why[0] ? "; " : "", memory->why);
}

static void list_leftovers(const struct fsrv__loaded *loaded, char *ret_text, size_t size) {
        size_t n = 0;

        for (uint32_t i = 0; i < loaded->head.n_threads && n < size; i++)
                n += (size_t)snprintf(ret_text + n, size - n, ", thread '%s'", loaded->threads[i]);
        for (uint32_t i = 0; i < loaded->head.n_fds && n < size; i++)
                n += (size_t)snprintf(ret_text + n, size - n, ", fd %s (%s)", loaded->fds[i].number,
                                      loaded->fds[i].kind);
}

static bool on_loaded(const struct fsrv__server *s, const struct fsrv__zygote *z, char *bytes, size_t size) {
        struct fsrv__loaded loaded;
        char text[512] = "";

        if (fsrv__loaded_decode(bytes, size, &loaded) < 0)
                return false;
        list_leftovers(&loaded, text, sizeof text);
        fsrv__log(s, loaded.head.err ? FSRV_ERROR : FSRV_INFO, "module '%.120s': %s in %.1f ms%s%.300s", z->loading,
                  loaded.head.err ? "failed" : "loaded", (double)loaded.head.load_us / 1000, text[0] ? "; leaves" : "",
                  text[0] ? text + 1 : "");
        fsrv__loaded_done(&loaded);
        return true;
}

/* ---- what changes its state ---- */

static const enum fsrv__zygote_event events[] = {
        [FSRV_WIRE_LOADING] = FSRV_EVENT_LOADING,
        [FSRV_WIRE_LOAD_FAILED] = FSRV_EVENT_LOAD_FAILED,
        [FSRV_WIRE_FREEZING] = FSRV_EVENT_FREEZING,
        [FSRV_WIRE_PRELOADED] = FSRV_EVENT_PRELOADED,
        [FSRV_WIRE_FORKED] = FSRV_EVENT_FORKED,
        [FSRV_WIRE_CANNOT_FORK] = FSRV_EVENT_CANNOT_FORK,
        [FSRV_WIRE_WANTS_HEIR] = FSRV_EVENT_WANTS_HEIR,
        [FSRV_WIRE_HEIR] = FSRV_EVENT_HEIR,
        [FSRV_WIRE_HAND_OVER] = FSRV_EVENT_HAND_OVER,
        [FSRV_WIRE_LEFT_OUT] = FSRV_EVENT_LEFT_OUT,
        [FSRV_WIRE_BORN] = FSRV_EVENT_BORN,
};

static bool on_order(struct fsrv__server *s, struct fsrv__zygote *z, uint32_t type, const char *bytes, size_t size) {
        struct fsrv__news news = { .event = type < sizeof events / sizeof *events ? events[type] : FSRV_EVENT_NONE };
        struct fsrv__wire_order order = { 0 };

        memcpy(&order, bytes, size < sizeof order ? size : sizeof order);
        order.text[sizeof order.text - 1] = 0;
        news.err = order.err;
        news.value = order.value;
        news.text = order.text;
        return fsrv__zygote_on(s, z, news);
}

static bool on_message(struct fsrv__server *s, struct fsrv__zygote *z, char *bytes, size_t size) {
        uint32_t type;

        memcpy(&type, bytes, sizeof type);
        if (type == FSRV_WIRE_LOADED)
                return on_loaded(s, z, bytes, size);
        if (type != FSRV_WIRE_MEMORY)
                return on_order(s, z, type, bytes, size);
        on_memory(s, z, bytes);
        return true;
}

static bool kills_for_calls(const char *preloaded) {
        int32_t value;

        memcpy(&value, preloaded + offsetof(struct fsrv__wire_order, value), sizeof value);
        return value & 4;
}

void fsrv__orders_receive(struct fsrv__server *s, struct fsrv__zygote *z) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct fsrv__message message;
        int slots[FSRV_SLOTS];

        while (z->orders >= 0) {
                int r = fsrv__channel_receive(z->orders, bytes, sizeof bytes, MSG_DONTWAIT, &message);
                if (r == -EAGAIN)
                        return;
                if (r == -EMFILE)
                        fsrv__message_close(&message);
                if (r != 1) { /* its end; the pidfd tells when it has died */
                        fsrv__unwatch(s, z->orders);
                        fsrv__zygote_on(s, z, (struct fsrv__news){ .event = FSRV_EVENT_CLOSED });
                        return;
                }
                bool is_sound = fsrv__message_unpack(FSRV_TABLE_FROM_ZYGOTE, bytes, &message, slots) == 0;
                if (is_sound && slots[FSRV_SLOT_LISTENER] >= 0)
                        fsrv__refused_listen(s, slots[FSRV_SLOT_LISTENER], kills_for_calls(bytes));
                if (!is_sound || !on_message(s, z, bytes, message.size))
                        s->stats.malformed++;
        }
}
