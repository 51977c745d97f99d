/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "forkserver-host.h"

/* The kernel writes to the thread's number and to rseq(2)'s record in each child, and to the latter in the zygote after
 * each fork. Both are in glibc's struct pthread, behind the thread's variables: with so many of those it begins a page,
 * and one page is copied instead of two. (So it is in glibc 2.36. In another nothing may be gained.) */
static _Thread_local char push_to_next_page[0x8c0] __attribute__((used));

int main(int argc, char **argv) {
        /* not exit(3): modules are not told of the end of a process that none of their users is in */
        _exit(fsrv_zygote_main(argc, argv));
}
