/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wire/order.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

int fsrv__order_send(int sock, uint32_t type, int err, int value, const char *text) {
        struct fsrv__wire_order order = { .type = type, .err = err, .value = value };
        size_t size = offsetof(struct fsrv__wire_order, text);

        if (text) {
                snprintf(order.text, sizeof order.text, "%s", text);
                size = sizeof order;
        }
        return fsrv__channel_send(sock, &order, size, NULL, 0, 0);
}

int fsrv__order_receive(int sock, enum fsrv__table table, int64_t deadline, struct fsrv__wire_order *ret_order,
                        int ret_slots[FSRV_SLOTS]) {
        struct fsrv__wire_order order = { 0 };
        struct fsrv__message message;
        int r = fsrv__channel_receive_by(sock, &order, sizeof order, deadline, &message);

        if (r == -EMFILE)
                fsrv__message_close(&message);
        if (r != 1)
                return r;
        r = fsrv__message_unpack(table, &order, &message, ret_slots);
        if (r < 0)
                return r;
        order.text[sizeof order.text - 1] = 0;
        *ret_order = order;
        return 1;
}
