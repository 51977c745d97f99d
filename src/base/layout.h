/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_LAYOUT_H
#define FSRV_BASE_LAYOUT_H

/*
 * Where variables lie in memory, by what they are for. A page that a worker writes to is copied for it, at the price of
 * a page fault, so all that each worker writes is to lie on one page, and what it receives on the next ones.
 * src/zygote/layout.ld places these sections (and the code that a worker runs, by its files); tests/layout.py checks
 * the outcome. In a program that is linked statically, a linker keeps a section with such a name together by itself.
 */

/* A variable that workers write to, or the zygote at each fork. */
#define FSRV__WORKER_VARIABLE __attribute__((section("fsrv_worker")))

/* The buffers that a request is received into, and that a result is sent from. Each begins a page. Nothing else lies on
 * their pages. */
#define FSRV__WORKER_BUFFER __attribute__((section(".bss.fsrv_buffer"), aligned(4096)))

#endif
