/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WIRE_READINESS_H
#define FSRV_WIRE_READINESS_H

/*
 * How a standby shows that its fork handlers have run, without a message.
 *
 * A fork handler of a module may hang in a child, say on a lock that a thread held. Requests would wait for such a
 * standby. On the doorbell they hold its sending end, so the server, too, would wait for ever when its clients have
 * ended. A message for "ready" would wake the server once more for each spawn, and is needed in the rarest case alone.
 * So the sign is one that any process can look at: what the process does with SIGSYS, in /proc/PID/status. The zygote
 * ignores the signal, or catches it where forks are caught by it. A standby inherits that, and sets it to its default
 * when it is ready. Nothing else uses the signal: the zygote undoes what modules have done to it.
 */

#include <sys/types.h>

/* In the zygote, before the first standby: what is forked from now on isn't ready. A handler of SIGSYS does as well. */
void fsrv__readiness_hide(void);

/* In a standby, when all fork handlers have run. */
void fsrv__readiness_show(void);

/* In the server, for a child of the process `parent`. 1: the child is ready, or nothing can be seen (there is no /proc,
 * it is that of another pid namespace, or an emulator catches the signal in all programs); 0: it isn't ready; -errno:
 * look again later. */
int fsrv__readiness_look(pid_t pid, pid_t parent);

#endif
