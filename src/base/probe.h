/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_PROBE_H
#define FSRV_BASE_PROBE_H

/* Static tracepoints (USDT) forkserver:NAME, for bpftrace, perf and gdb: a nop each, and a note that says where it is.
 * Without <sys/sdt.h> (systemtap-sdt-dev) there are none. The names and arguments are in doc/debugging.md. An argument
 * is to be at hand already: it is computed even where nobody looks. */

#if defined __has_include
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define FSRV_PROBE(name, a, b) DTRACE_PROBE2(forkserver, name, a, b)
#endif
#endif

#ifndef FSRV_PROBE
#define FSRV_PROBE(name, a, b) ((void)sizeof(a), (void)sizeof(b))
#endif

#endif
