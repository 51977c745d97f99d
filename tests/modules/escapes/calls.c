/* SPDX-License-Identifier: MIT */
/* The same calls on other ways into the kernel, and by other threads and processes. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
enum { X32 = 0x40000000 };

static sigjmp_buf after_fault;

static void fault(int number) {
        (void)number;
        siglongjmp(after_fault, 1);
}

/* The 32-bit calls' numbers are others', so a filter for 64 bits takes them for other calls. */
static long int80(long number, long a, long b, long c) {
        struct sigaction old, action = { .sa_handler = fault };
        volatile long result = -ENXIO;

        sigaction(SIGSEGV, &action, &old);
        if (sigsetjmp(after_fault, 1) == 0) {
                long r;
                __asm__ volatile("int $0x80"
                                 : "=a"(r)
                                 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(0)
                                 : "memory", "r8", "r9", "r10", "r11");
                result = (int)r;
        }
        sigaction(SIGSEGV, &old, NULL);
        return result;
}

/* At an address of 32 bits. */
static char *low_string(const char *text) {
        char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

        return at == MAP_FAILED ? NULL : strcpy(at, text);
}

static int result_of_int80(long result) {
        if (result == -ENXIO)
                return not_here("this kernel has no 32-bit calls");
        return (int)result;
}

static int int80_open(void) {
        char *path = low_string("/etc/passwd");

        return path ? result_of_int80(int80(5, (long)path, O_RDONLY, 0)) : -errno;
}

static int int80_getpid(void) {
        return result_of_int80(int80(20, 0, 0, 0));
}

static int int80_exec_now(void) {
        char *path = low_string("/bin/true");

        return path ? result_of_int80(int80(11, (long)path, 0, 0)) : -errno;
}

static int int80_exec(void) {
        return in_child(int80_exec_now);
}

static int int80_socket(void) {
        return result_of_int80(int80(359, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0));
}

static int int80_ptrace(void) {
        return result_of_int80(int80(26, 0x4206 /* PTRACE_SEIZE */, target(), 0));
}

static int int80_kill(void) {
        return result_of_int80(int80(37, target(), 0, 0));
}

/* Numbers of x32 have a bit more; with the same architecture in what a filter sees. */
static int x32_open(void) {
        return from(syscall(SYS_open | X32, "/etc/passwd", O_RDONLY));
}

static int x32_socket(void) {
        return from(syscall(SYS_socket | X32, 1, 1, 0));
}

static int x32_exec_now(void) {
        return let_through(syscall(520 | X32, "/bin/true", NULL, NULL));
}

static int x32_exec(void) {
        return in_child(x32_exec_now);
}

static int x32_kill(void) {
        return from(syscall(SYS_kill | X32, target(), 0));
}

/* The kernel takes 32 bits of the number. */
static int high_bits_in_number(void) {
        return from(syscall(SYS_openat | 1L << 32, AT_FDCWD, "/etc/passwd", O_RDONLY));
}

static int socket_with_high_bits_in_number(void) {
        return from(syscall(SYS_socket | 1L << 32, 1, 1, 0));
}

/* By an instruction that is in no library. */
static int call_from_own_code(void) {
        static const unsigned char code[] = {
                0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3
        }; /* number, three arguments; syscall; ret */
        void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED)
                return -errno;
        memcpy(at, code, sizeof code);
        if (mprotect(at, 4096, PROT_READ | PROT_EXEC) < 0)
                return -errno;
        long (*call)(int, const char *, long, long) = NULL;
        memcpy(&call, &at, sizeof call);
        return (int)call(SYS_open, "/etc/passwd", O_RDONLY, 0);
}

#endif

static int old_open(void) {
#ifdef SYS_open
        return from(syscall(SYS_open, "/etc/passwd", O_RDONLY));
#else
        return not_here("this architecture has no open(2)");
#endif
}

static int old_creat(void) {
#ifdef SYS_creat
        return from(syscall(SYS_creat, "/tmp/forkserver-escape-creat", 0600));
#else
        return not_here("this architecture has no creat(2)");
#endif
}

static int open_in_thread(void) {
        return in_thread(open_secret);
}

static int open_in_child(void) {
        return in_child(open_secret);
}

static int open_in_grandchild_now(void) {
        return in_child(open_secret);
}

static int open_in_grandchild(void) {
        return in_child(open_in_grandchild_now);
}

static int open_in_session_now(void) {
        setsid();
        return open_secret();
}

static int open_in_session(void) {
        return in_child(open_in_session_now);
}

static int make_socket_in_thread_now(void) {
        return from(syscall(SYS_socket, 1, 1, 0));
}

static int make_socket_in_thread(void) {
        return in_thread(make_socket_in_thread_now);
}

static int make_socket_in_child(void) {
        return in_child(make_socket_in_thread_now);
}

static volatile int result_of_handler;

static void open_in_handler(int number) {
        (void)number;
        result_of_handler = open_secret();
}

static int open_in_signal_handler(void) {
        struct sigaction old, action = { .sa_handler = open_in_handler };

        sigaction(SIGUSR2, &action, &old);
        result_of_handler = -ENOSYS;
        raise(SIGUSR2);
        sigaction(SIGUSR2, &old, NULL);
        return result_of_handler;
}

const struct attempt call_attempts[] = {
#ifdef __x86_64__
        { "int80_open", int80_open },
        { "int80_getpid", int80_getpid },
        { "int80_exec", int80_exec },
        { "int80_socket", int80_socket },
        { "int80_ptrace", int80_ptrace },
        { "int80_kill", int80_kill },
        { "x32_open", x32_open },
        { "x32_socket", x32_socket },
        { "x32_exec", x32_exec },
        { "x32_kill", x32_kill },
        { "high_bits_in_number", high_bits_in_number },
        { "socket_with_high_bits_in_number", socket_with_high_bits_in_number },
        { "call_from_own_code", call_from_own_code },
#endif
        { "old_open", old_open },
        { "old_creat", old_creat },
        { "open_in_thread", open_in_thread },
        { "open_in_child", open_in_child },
        { "open_in_grandchild", open_in_grandchild },
        { "open_in_session", open_in_session },
        { "make_socket_in_thread", make_socket_in_thread },
        { "make_socket_in_child", make_socket_in_child },
        { "open_in_signal_handler", open_in_signal_handler },
        { NULL, NULL },
};
