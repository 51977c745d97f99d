/* SPDX-License-Identifier: MIT */
#include <unistd.h>

__attribute__((constructor)) static void hang(void) {
        for (;;)
                pause();
}
