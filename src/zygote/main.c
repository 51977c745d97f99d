/* SPDX-License-Identifier: MIT */
#include "forkserver-host.h"

/* All of it is in the library, so that modules which use the library in a worker meet the worker's own copy. */
int main(int argc, char **argv) {
        return fsrv_zygote_main(argc, argv);
}
