/* SPDX-License-Identifier: MIT */
#include "forkserver.h"

#include "forkserver-host.h"

int main(void) {
        struct fsrv_status status = { .size = sizeof status };

        return (int)status.flags;
}
