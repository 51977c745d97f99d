/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/boot.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "wire/messages.h"
#include "zygote/measure.h"

/* For a message. The stack may be too small for it, and static memory would stay. NULL: no memory. */
static char *map_buffer(void) {
        void *bytes = mmap(NULL, FSRV_WIRE_MESSAGE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return bytes == MAP_FAILED ? NULL : bytes;
}

int fsrv__boot_receive_config(int boot, struct fsrv__config *ret_config, int *ret_sandbox) {
        char *bytes = map_buffer();
        struct fsrv__message message;
        int slots[FSRV_SLOTS] = FSRV_NO_FDS;

        if (!bytes)
                return -ENOMEM;
        int r = fsrv__channel_receive(boot, bytes, FSRV_WIRE_MESSAGE_MAX, 0, &message);
        if (r == 0)
                r = -EPROTO;
        if (r == 1)
                r = fsrv__message_unpack(FSRV_TABLE_NEW_ZYGOTE, bytes, &message, slots);
        if (r == 0)
                r = fsrv__config_decode(bytes, message.size, ret_config);
        munmap(bytes, FSRV_WIRE_MESSAGE_MAX);
        *ret_sandbox = slots[FSRV_SLOT_BODY];
        return r;
}

int fsrv__boot_send_loaded(int boot, const char *module, int err, const char *text) {
        char *bytes = map_buffer();
        int r = -ENOMEM;

        if (bytes) {
                size_t size = fsrv__measure_end(module, err, text, bytes);
                r = fsrv__channel_send(boot, bytes, size, NULL, 0, 0);
                munmap(bytes, FSRV_WIRE_MESSAGE_MAX);
        }
        return r;
}

int fsrv__boot_send_mappings(int boot, const struct fsrv__list *mappings) {
        const struct fsrv__mapping *mapping = mappings->items;
        int r = 0;

        for (size_t i = 0; r == 0 && i < mappings->n; i++) {
                struct fsrv__wire_mapping told = { .type = FSRV_WIRE_MAPPING,
                                                   .start = mapping[i].start,
                                                   .end = mapping[i].end,
                                                   .frozen = mapping[i].frozen,
                                                   .collapsed = mapping[i].collapsed,
                                                   .left = mapping[i].left };
                snprintf(told.what, sizeof told.what, "%s", mapping[i].name);
                snprintf(told.why, sizeof told.why, "%s", mapping[i].why ? mapping[i].why : "");
                r = fsrv__channel_send(boot, &told, sizeof told, NULL, 0, 0);
        }
        return r;
}
