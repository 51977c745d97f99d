/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_HOST_H
#define FORKSERVER_HOST_H

/* For who puts a zygote into another runtime. Everybody else: forkserver.h. */

#include "forkserver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The fd on which a zygote finds the socket to its server. */
#define FSRV_ZYGOTE_BOOT_FD 3

/* The whole of the program forkserver-zygote: a zygote for shared objects. Call it first thing in main; what it returns is
 * main's exit code. In a worker it doesn't return: exit(3) runs there. */
FSRV_PUBLIC int fsrv_zygote_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
