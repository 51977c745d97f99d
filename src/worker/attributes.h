/* SPDX-License-Identifier: MIT */
#ifndef FSRV_WORKER_ATTRIBUTES_H
#define FSRV_WORKER_ATTRIBUTES_H

/* A request's attributes, in the order that doc/attributes.md gives reasons for. Each returns 0, or -errno and *error,
 * which names the attribute. They allocate nothing and make bare system calls: the C library's setresuid(3) and its
 * like signal all threads that it knows of, and the memory may be another process's. */

#include <stdbool.h>

#include "wire/attributes_codec.h"
#include "worker/worker.h"

#define FSRV_ATTRIBUTE_FAILED(error, err, ...) fsrv__fail(error, FSRV_STAGE_ATTRIBUTES, err, __VA_ARGS__)

/* Whether the server is root's and runs this request as the user that the kernel has stamped on it. */
static inline bool fsrv__runs_as_sender(const struct fsrv__wire_config *config, const struct ucred *sender) {
        return config->as_sender && sender->uid != 0;
}

/* Whether the next two have something to do. They aren't where the code lies that each worker runs. */
static inline bool fsrv__attributes_are_there(const struct fsrv__task *task) {
        return task->request.attributes || fsrv__runs_as_sender(task->standby->config, &task->client);
}

/* Before the directory and the fd actions, which are done as the new user: what may need privileges, then the ids. */
int fsrv__attributes_begin(struct fsrv__task *task, struct fsrv_error *error);
/* Last of all: what our own steps would suffer from. */
int fsrv__attributes_end(struct fsrv__task *task, struct fsrv_error *error);

/* identity.c: securebits, the bounding set, groups, ids, capabilities */
int fsrv__identity_set(const struct fsrv__wire_attributes *attributes, struct fsrv_error *error);
int fsrv__identity_become_sender(const struct ucred *sender, struct fsrv_error *error);

/* limits.c: first those that need a privilege are raised, and in the end each gets its value. */
int fsrv__limits_raise(const struct fsrv__wire_attributes *attributes, struct fsrv_error *error);
int fsrv__limits_set(const struct fsrv__wire_attributes *attributes, struct fsrv_error *error);
/* When all fds are sent: the limit of open files, the sandbox's as well. A process may have no more fds in flight than
 * that, with those of all other processes of its user (unix(7), ETOOMANYREFS). */
void fsrv__limits_end(const struct fsrv__task *task);

#endif
