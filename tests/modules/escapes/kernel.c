/* SPDX-License-Identifier: MIT */
/* Parts of the kernel that have had many holes, or that belong to an administrator. The arguments are wrong, so nothing
 * happens where the call is let through. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Closes what it opened. */
static int opened(long fd) {
        int r = let_through(fd);

        if (fd >= 0)
                close((int)fd);
        return r;
}

static int load_bpf(void) {
        char attributes[64] = { 0 };

        return opened(syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, attributes, sizeof attributes));
}

static int open_performance_counter(void) {
        char attributes[128] = { 0 };

        return opened(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static int open_userfault(void) {
        return opened(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int open_userfault_device(void) {
        return open_path("/dev/userfaultfd", O_RDWR);
}

static int get_keyring(void) {
        return let_through(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
}

static int add_key(void) {
        return let_through(syscall(SYS_add_key, "user", "forkserver-escape", "x", 1L, 0));
}

static int request_key(void) {
        return let_through(syscall(SYS_request_key, "user", "forkserver-escape", NULL, KEY_SPEC_SESSION_KEYRING));
}

/* It gives the parent our keyring, and took a landlock domain away with it (CVE-2024-42318). */
static int give_keyring_to_parent(void) {
        return let_through(syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT));
}

static int modify_descriptors(void) {
#ifdef SYS_modify_ldt
        return let_through(syscall(SYS_modify_ldt, 1, NULL, 0L));
#else
        return not_here("this architecture has no modify_ldt(2)");
#endif
}

static int raise_io_level(void) {
#ifdef SYS_iopl
        return let_through(syscall(SYS_iopl, 4));
#else
        return not_here("this architecture has no iopl(2)");
#endif
}

static int open_io_ports(void) {
#ifdef SYS_ioperm
        return let_through(syscall(SYS_ioperm, 1UL << 20, 1UL, 1));
#else
        return not_here("this architecture has no ioperm(2)");
#endif
}

static int load_kernel(void) {
        return let_through(syscall(SYS_kexec_load, 0UL, 99UL, NULL, 1UL << 20));
}

static int load_kernel_file(void) {
#ifdef SYS_kexec_file_load
        return let_through(syscall(SYS_kexec_file_load, -1, -1, 0UL, NULL, 1UL << 20));
#else
        return not_here("this architecture has no kexec_file_load(2)");
#endif
}

static int load_module(void) {
        return let_through(syscall(SYS_init_module, NULL, 0UL, ""));
}

static int load_module_file(void) {
        return let_through(syscall(SYS_finit_module, -1, "", 0));
}

static int unload_module(void) {
        return let_through(syscall(SYS_delete_module, "forkserver_escape", O_NONBLOCK));
}

/* The magic numbers are wrong. */
static int reboot_wrongly(void) {
        return let_through(syscall(SYS_reboot, 1, 2, 0, NULL));
}

static int add_swap(void) {
        return let_through(syscall(SYS_swapon, "/nonexistent", 0));
}

static int remove_swap(void) {
        return let_through(syscall(SYS_swapoff, "/nonexistent"));
}

static int start_accounting(void) {
        return let_through(syscall(SYS_acct, "/nonexistent"));
}

static int get_quota(void) {
        unsigned command = (unsigned)Q_GETINFO << SUBCMDSHIFT | USRQUOTA; /* QCMD() shifts an int too far */

        return let_through(syscall(SYS_quotactl, command, "/nonexistent", 0, NULL));
}

static int read_kernel_log(void) {
        return let_through(syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0));
}

static int set_time(void) {
        struct timeval wrong = { .tv_sec = -1, .tv_usec = -1 };

        return let_through(syscall(SYS_settimeofday, &wrong, NULL));
}

static int set_clock(void) {
        struct timespec wrong = { .tv_sec = 0, .tv_nsec = -1 };

        return let_through(syscall(SYS_clock_settime, CLOCK_REALTIME, &wrong));
}

static int adjust_time(void) {
        return let_through(syscall(SYS_adjtimex, NULL));
}

static int adjust_clock(void) {
        return let_through(syscall(SYS_clock_adjtime, CLOCK_REALTIME, NULL));
}

/* Memory that may be read may be executed then. */
static int personality_read_is_execute(void) {
        int old = personality(0xffffffff), r = from(personality(READ_IMPLIES_EXEC));

        if (old >= 0)
                personality((unsigned long)old);
        return r;
}

static int personality_no_randomness(void) {
        int old = personality(0xffffffff), r = from(personality(ADDR_NO_RANDOMIZE));

        if (old >= 0)
                personality((unsigned long)old);
        return r;
}

static int watch_all_files(void) {
        return opened(syscall(SYS_fanotify_init, 0, O_RDONLY));
}

static int set_host_name(void) {
        return let_through(syscall(SYS_sethostname, NULL, -1));
}

static int set_domain_name(void) {
        return let_through(syscall(SYS_setdomainname, NULL, -1));
}

static int io_setup(void) {
        unsigned long context = 0;
        long r = syscall(SYS_io_setup, 1, &context);

        if (r == 0)
                syscall(SYS_io_destroy, context);
        return let_through(r);
}

static int lookup_cookie(void) {
#ifdef SYS_lookup_dcookie
        return let_through(syscall(SYS_lookup_dcookie, 0UL, NULL, 0UL));
#else
        return not_here("this architecture has no lookup_dcookie(2)");
#endif
}

static int list_mounts(void) {
        uint64_t request[4] = { 32, ~0ULL }, found[1];

        return let_through(syscall(458 /* listmount */, request, found, 1UL, 0));
}

const struct attempt kernel_attempts[] = {
        { "load_bpf", load_bpf },
        { "open_performance_counter", open_performance_counter },
        { "open_userfault", open_userfault },
        { "open_userfault_device", open_userfault_device },
        { "get_keyring", get_keyring },
        { "add_key", add_key },
        { "request_key", request_key },
        { "give_keyring_to_parent", give_keyring_to_parent },
        { "modify_descriptors", modify_descriptors },
        { "raise_io_level", raise_io_level },
        { "open_io_ports", open_io_ports },
        { "load_kernel", load_kernel },
        { "load_kernel_file", load_kernel_file },
        { "load_module", load_module },
        { "load_module_file", load_module_file },
        { "unload_module", unload_module },
        { "reboot_wrongly", reboot_wrongly },
        { "add_swap", add_swap },
        { "remove_swap", remove_swap },
        { "start_accounting", start_accounting },
        { "get_quota", get_quota },
        { "read_kernel_log", read_kernel_log },
        { "set_time", set_time },
        { "set_clock", set_clock },
        { "adjust_time", adjust_time },
        { "adjust_clock", adjust_clock },
        { "personality_read_is_execute", personality_read_is_execute },
        { "personality_no_randomness", personality_no_randomness },
        { "watch_all_files", watch_all_files },
        { "set_host_name", set_host_name },
        { "set_domain_name", set_domain_name },
        { "io_setup", io_setup },
        { "lookup_cookie", lookup_cookie },
        { "list_mounts", list_mounts },
        { NULL, NULL },
};
