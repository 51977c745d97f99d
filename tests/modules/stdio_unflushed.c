/* SPDX-License-Identifier: MIT */
#include <stdio.h>

__attribute__((constructor)) static void print(void) {
        setvbuf(stdout, NULL, _IOFBF, 4096);
        printf("left in the buffer ");
        printf("stdin %d ", getchar());
}
