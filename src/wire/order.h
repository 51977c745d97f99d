/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_ORDER_H
#define FSRV_WIRE_ORDER_H

/* The short messages between server, zygote and heir. */

#include "wire/messages.h"

/* Sends an order. `text` is NULL for a message without one. Waits for room. 0 or -errno. */
int fsrv__order_send(int sock, uint32_t type, int err, int value, const char *text);
/* Waits until the deadline for an order of this table. Its text ends with a NUL; its fds are in ret_slots, and are the
 * caller's. 1; 0: end of file; -EPROTO: it was no order of this table; another -errno. */
int fsrv__order_receive(int sock, enum fsrv__table table, int64_t deadline, struct fsrv__wire_order *ret_order,
                        int ret_slots[FSRV_SLOTS]);

#endif
