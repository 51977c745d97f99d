/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_HEIR_H
#define FSRV_ZYGOTE_HEIR_H

/*
 * The heir: a child of the zygote that loads a module whose loading may show in the processes to come, or take long. If
 * nothing shows, the heir takes the zygote's place. Else it ends, and nothing of it is left. Meanwhile the zygote
 * serves without that module.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "forkserver-host.h"
#include "wire/order.h"

/* What the zygote knows of its heir, and the heir of itself. */
struct fsrv__heir {
        bool is_me;
        int sock;         /* between zygote and heir; -1: there is none, or none any more */
        int server;       /* in the zygote: where the server listens */
        int pidfd;        /* in the zygote */
        int64_t deadline; /* in the zygote: when the heir is killed */
        int limit_ms;     /* the time that it had then */
        bool has_taken_over;
        const char *module;
        int failure; /* in the zygote: the errno of a module that could not be loaded */
        char why[FSRV_WIRE_TEXT_MAX];
};
#define FSRV_HEIR_NONE \
        { .sock = -1, .server = -1, .pidfd = -1 }

/* Returns twice, as fork(2): in the heir with is_me. 0, or -errno when there can be none. */
int fsrv__heir_fork(struct fsrv__heir *heir, int boot, const char *module, const struct fsrv__wire_config *config,
                    const struct fsrv_host *host);

/* ---- in the zygote ---- */

/* Waits until `until`, or until there is an order at `orders` (-1: none can come). True: the heir is ready. If it never
 * will be, the server has been told. */
bool fsrv__heir_is_ready(struct fsrv__heir *heir, int orders, int64_t until);
/* Makes the heir the zygote; the caller is to end. slots: doorbell, claims, orders; NULL: it asks the server for
 * them, as the zygote would have done. */
void fsrv__heir_hand_over(struct fsrv__heir *heir, const int slots[FSRV_SLOTS]);

/* ---- in the heir ---- */

/* Says that the module cannot be preloaded, and why. err: 0, or the errno of its loading. */
_Noreturn void fsrv__heir_give_up(const struct fsrv__heir *heir, int err, const char *why);
/* Waits until the zygote has handed over. 1: ret_slots has doorbell, claims, orders; 0: the server has to be asked for
 * them; -errno: the zygote has gone. */
int fsrv__heir_succeed(struct fsrv__heir *heir, int ret_slots[FSRV_SLOTS]);

#endif
