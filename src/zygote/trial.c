/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/trial.h"

#include "base/clock.h"
#include "base/error.h"
#include "wire/order.h"
#include "zygote/measure.h"
#include "zygote/preload.h"

enum { LEAST_PATIENCE_MS = 100 }; /* beside the start of a zygote some milliseconds less would not be felt */

static const struct fsrv__heir *trying; /* this process, while it loads its module; else NULL */

void fsrv_zygote_leave_out(const char *why) {
        if (trying)
                fsrv__heir_give_up(trying, 0, why);
}

/* In the heir: returns only when the module is there and nothing shows. */
static void try_module(const struct fsrv__heir *heir, const struct fsrv_host *host) {
        struct fsrv_error error = { 0 };
        char text[FSRV_WIRE_TEXT_MAX];

        trying = heir;
        int r = host->preload(heir->module, &error);
        trying = NULL;
        if (r < 0)
                fsrv__heir_give_up(heir, error.err, error.text);
        if (!fsrv__measure_has_threads())
                return;
        fsrv__measure_fork_once(host); /* threads that end at a fork do no harm */
        if (!fsrv__measure_has_threads())
                return;
        fsrv__measure_describe_threads(text, sizeof text);
        fsrv__heir_give_up(heir, 0, text);
}

/* In the zygote. A start is not to wait for the heir much longer than it has waited for the zygote. But where its
 * module has to be loaded, nothing can be served before. Returns what fsrv__trial_run() does. */
static int await_heir(struct fsrv__heir *heir, int boot, int64_t started, const struct fsrv__config *config) {
        bool has_to = config->head.policy == FSRV_PRELOAD_FAIL;
        int64_t now = fsrv__now(), took = now - started, patience = took > LEAST_PATIENCE_MS ? took : LEAST_PATIENCE_MS;

        if (fsrv__heir_is_ready(heir, -1, has_to ? FSRV_NEVER : now + patience)) {
                fsrv__heir_hand_over(heir, NULL);
                return 1;
        }
        if (has_to && heir->failure) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, heir->failure, 0, heir->why);
                return -1;
        }
        return 0;
}

int fsrv__trial_run(struct fsrv__heir *heir, int boot, int64_t started, const struct fsrv__config *config,
                    const struct fsrv_host *host) {
        char **module = config->modules;

        while (*module && !fsrv__preload_is_tried(*module, host))
                module++;
        if (!*module)
                return 0;
        fsrv__order_send(boot, FSRV_WIRE_LOADING, 0, 0, *module); /* what the start waits for now */
        int r = fsrv__heir_fork(heir, boot, *module, &config->head, host);
        if (r < 0) {
                fsrv__order_send(boot, FSRV_WIRE_LEFT_OUT, -r, 0, "there is no process to load the main module in");
                return 0;
        }
        if (!heir->is_me)
                return await_heir(heir, boot, started, config);
        try_module(heir, host);
        return 0;
}
