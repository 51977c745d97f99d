/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "forkserver-host.h"

/* The kernel writes to the thread's number and to rseq(2)'s record in each child, and to the latter in the zygote after
 * each fork. Both are in the C library's record of the thread, which lies at the end of the thread's variables. As one
 * of them is aligned to a page, that end is a page's too, so the record lies on one page instead of two. */
static _Thread_local char page_aligned __attribute__((aligned(4096), used));

int main(int argc, char **argv) {
        /* not exit(3): modules are not told of the end of a process that none of their users is in */
        _exit(fsrv_zygote_main(argc, argv));
}
