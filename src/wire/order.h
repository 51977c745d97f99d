/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_ORDER_H
#define FSRV_WIRE_ORDER_H

/* The short messages between server, zygote and heir. */

#include "wire/channel.h"

/* `text` NULL: a message without one. Waits for room. 0 or -errno. */
int fsrv__order_send(int sock, uint32_t type, int err, int value, const char *text);
/* Waits for it until the deadline. 1: an order, whose text ends with a NUL, and its fds in *ret_message, which are the
 * caller's; 0: end of file; -errno. */
int fsrv__order_receive(int sock, int64_t deadline, struct fsrv__wire_order *ret_order,
                        struct fsrv__message *ret_message);

#endif
