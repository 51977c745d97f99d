/* SPDX-License-Identifier: MIT */
#ifndef FSRV_BASE_CALL_H
#define FSRV_BASE_CALL_H

/* System calls without the C library's wrappers, for what each worker does. The wrappers lie all over libc. For each 64
 * KiB of code that a worker runs, it pays a page fault and 16 entries of a page table. */

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define FSRV_IS_SANITIZED
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define FSRV_IS_SANITIZED
#endif
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FSRV_CALLS_ARE_WATCHED
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__clang_analyzer__)
#define FSRV_CALLS_ARE_WATCHED
#endif

#if defined(__x86_64__) && defined(__LP64__) && !defined(FSRV_CALLS_ARE_WATCHED)
#define FSRV_CALLS_ARE_BARE
static inline long fsrv__call_6(long number, long a, long b, long c, long d, long e, long f) {
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        register long r9 __asm__("r9") = f;
        long result;

        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return result;
}
#elif defined(__aarch64__) && !defined(FSRV_CALLS_ARE_WATCHED)
#define FSRV_CALLS_ARE_BARE
static inline long fsrv__call_6(long number, long a, long b, long c, long d, long e, long f) {
        register long x8 __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;
        register long x3 __asm__("x3") = d;
        register long x4 __asm__("x4") = e;
        register long x5 __asm__("x5") = f;

        __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
        return x0;
}
#else
/* Sanitizers and the analyzer know what those wrappers do. They know nothing of bare system calls. */
static inline long fsrv__call_6(long number, long a, long b, long c, long d, long e, long f) {
        int saved = errno;
        long result;

        switch (number) {
        case SYS_close:
                result = close((int)a);
                break;
        case SYS_sendmsg:
                result = sendmsg((int)a, (const struct msghdr *)b, (int)c);
                break;
        case SYS_recvmsg:
                result = recvmsg((int)a, (struct msghdr *)b, (int)c);
                break;
        default:
                result = syscall(number, a, b, c, d, e, f);
        }
        if (result < 0)
                result = -errno;
        errno = saved;
        return result;
}
#endif
#define FSRV_CALL_PADDED(number, a, b, c, d, e, f, ...) \
        fsrv__call_6((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* fsrv__call(SYS_close, fd) returns what the kernel answers, or -errno. It leaves errno alone, and is no cancellation
 * point. */
#define fsrv__call(...) FSRV_CALL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
