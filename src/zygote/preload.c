/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zygote/preload.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "wire/order.h"
#include "zygote/boot.h"
#include "zygote/measure.h"

/* Loads one module and tells the server what it did. 0; 1: the server has gone; -errno of the loading. */
static int load_module(int boot, const char *module, const struct fsrv__config *config, const struct fsrv_host *host,
                       struct fsrv_error *error) {
        bool measure = config->head.measure;

        /* So that the server can name the module if it ends this process or never returns. */
        if (fsrv__order_send(boot, FSRV_WIRE_LOADING, 0, 0, module) < 0)
                return 1;
        error->text[0] = 0;
        fsrv__measure_begin(measure);
        int r = host->preload(module, error);
        if (measure && fsrv__measure_has_threads())
                fsrv__measure_fork_once(host); /* threads that end at a fork do no harm */
        int sent = r < 0 ? fsrv__boot_send_loaded(boot, module, error->err, error->text)
                         : fsrv__boot_send_loaded(boot, module, 0, "");
        return sent < 0 ? 1 : r;
}

bool fsrv__preload_is_tried(const char *module, const struct fsrv_host *host) {
        return host->is_tried && host->is_tried(module);
}

int fsrv__preload(int boot, const struct fsrv__config *config, const struct fsrv_host *host) {
        for (char **module = config->modules; *module; module++) {
                struct fsrv_error error;

                if (fsrv__preload_is_tried(*module, host))
                        continue;
                int r = load_module(boot, *module, config, host, &error);

                if (r == 1)
                        return -1;
                if (r == 0 || config->head.policy == FSRV_PRELOAD_IGNORE)
                        continue;
                if (config->head.policy == FSRV_PRELOAD_FAIL) {
                        fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, error.err, 0, error.text);
                        return -1;
                }
                fsrv__text_tame(error.text);
                dprintf(STDERR_FILENO, "forkserver: preload: %s\n", error.text);
        }
        return 0;
}

/* A child has none of the zygote's threads. If one of them held a lock, it stays locked there. */
int fsrv__preload_check_threads(int boot, const struct fsrv__config *config, const struct fsrv_host *host) {
        char text[FSRV_WIRE_TEXT_MAX];

        if (!fsrv__measure_has_threads())
                return 0;
        fsrv__measure_fork_once(host);
        if (config->head.thread_policy == FSRV_PRELOAD_IGNORE || !fsrv__measure_has_threads())
                return 0;
        fsrv__measure_describe_threads(text, sizeof text);
        fsrv__text_tame(text);
        if (config->head.thread_policy == FSRV_PRELOAD_FAIL) {
                fsrv__order_send(boot, FSRV_WIRE_LOAD_FAILED, EBUSY, 0, text);
                return -1;
        }
        dprintf(STDERR_FILENO, "forkserver: preload: %s\n", text);
        return 0;
}
