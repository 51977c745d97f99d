/* SPDX-License-Identifier: MIT */
#ifndef TESTS_KILLER_H
#define TESTS_KILLER_H

#include <stdbool.h>
#include <sys/types.h>

enum { KILL_ZYGOTE, KILL_STANDBY, KILL_SERVER, KILL_KINDS };

/*
 * Kills one process of that role by SIGKILL. False if there was none at this moment. One that was a standby when it was
 * looked at may be a worker when the signal arrives, and its status would be a true SIGKILL: so it is stopped first,
 * and looked at again.
 */
bool kill_one(pid_t server, int kind);

#endif
