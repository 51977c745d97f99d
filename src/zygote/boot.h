/* SPDX-License-Identifier: MIT */
#ifndef FSRV_ZYGOTE_BOOT_H
#define FSRV_ZYGOTE_BOOT_H

/* Messages on the boot socket, which is the zygote's only one while it loads modules. All return 0 or -errno. */

#include "wire/config.h"
#include "zygote/mappings.h"

/* *ret_sandbox: a memfd with what the zygote is to lock itself in by; -1. */
int fsrv__boot_receive_config(int boot, struct fsrv__config *ret_config, int *ret_sandbox);
/* What the module did to this process, and why it could not be loaded. `err`, `text`: 0 and "" if it was. */
int fsrv__boot_send_loaded(int boot, const char *module, int err, const char *text);
/* What became of each mapping. */
int fsrv__boot_send_mappings(int boot, const struct fsrv__list *mappings);

#endif
