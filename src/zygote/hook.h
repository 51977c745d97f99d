/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_HOOK_H
#define FSRV_ZYGOTE_HOOK_H

/* A function of struct fsrv_host, which may have nothing to do. */
static inline void fsrv__hook_run(void (*hook)(void)) {
        if (hook)
                hook();
}

#endif
