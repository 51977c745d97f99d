/* SPDX-License-Identifier: MIT */
/* What a lock closes, tried from inside: each attempt is made in a child that has locked itself in, and fails as it is
 * to fail; and in a child that has not, where it doesn't fail so. */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/call.h"
#include "base/locks.h"
#include "base/syscall_numbers.h"
#include "client/sandbox.h"
#include "wire/sandbox_codec.h"
#include "worker/lock.h"

enum { OTHER_USER = 65534, CANNOT_LOCK = 200, KILLED = 201, NOT_READY = 202 };

static pid_t victim;
static char directory[64];
static int datagrams = -1; /* a UDP socket from before the lock */
static int pair[2], pty = -1, tmp_fd = -1;

/* ---- attempts: 0, or errno ---- */

static int outcome(long r) {
        return r < 0 ? errno : 0;
}

static int open_passwd(void) {
        return outcome(open("/etc/passwd", O_RDONLY));
}

static int open_library(void) {
        return outcome(open("/usr/bin/env", O_RDONLY));
}

static int open_null(void) {
        return outcome(open("/dev/null", O_RDWR));
}

static int list_root(void) {
        return outcome(open("/", O_RDONLY | O_DIRECTORY));
}

static int open_proc(void) {
        return outcome(open("/proc/self/environ", O_RDONLY));
}

static const char *in_directory(const char *name) {
        static char path[128];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

static int make_file(void) {
        return outcome(open(in_directory("new"), O_CREAT | O_WRONLY, 0600));
}

static int write_to_file(void) {
        return outcome(open(in_directory("there"), O_WRONLY));
}

static int cut_file(void) {
        return outcome(truncate(in_directory("there"), 0));
}

static int make_directory(void) {
        return outcome(mkdir(in_directory("d"), 0700));
}

static int make_link(void) {
        return outcome(symlink("/etc/passwd", in_directory("l")));
}

static int make_fifo(void) {
        return outcome(mkfifo(in_directory("f"), 0600));
}

static int make_set_id_file(void) {
        return outcome(open(in_directory("new"), O_CREAT | O_WRONLY, 04700));
}

static int make_set_id_directory(void) {
        return outcome(mkdir(in_directory("d"), 02700));
}

static int watch_directory(void) {
        return outcome(inotify_add_watch(inotify_init(), "/tmp", IN_CREATE));
}

static int remove_file(void) {
        return outcome(unlink(in_directory("there")));
}

static int move_file(void) {
        char to[160];

        snprintf(to, sizeof to, "%s/sub/there", directory);
        return outcome(rename(in_directory("there"), to));
}

static int change_mode(void) {
        return outcome(chmod(in_directory("there"), 0644));
}

static int change_open_mode(void) {
        return outcome(fchmod(tmp_fd, 0644));
}

static int change_owner(void) {
        return outcome(chown(in_directory("there"), (uid_t)-1, (gid_t)-1));
}

static int change_times(void) {
        return outcome(utimensat(AT_FDCWD, in_directory("there"), NULL, 0));
}

static int change_attribute(void) {
        return outcome(setxattr(in_directory("there"), "user.x", "x", 1, 0));
}

static int make_socket(void) {
        return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int make_unix_socket(void) {
        return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int make_netlink(void) {
        return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int make_pair(void) {
        int fds[2];

        return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static int make_datagram_pair(void) {
        int fds[2];

        return outcome(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
}

static int make_foreign_pair(void) {
        int fds[2];

        return outcome(socketpair(AF_TIPC, SOCK_STREAM, 0, fds));
}

static int connect_old_socket(void) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(0x7f000001) } };

        return outcome(connect(datagrams, (void *)&to, sizeof to));
}

static int send_to_address(void) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(0x7f000001) } };

        return outcome(sendto(datagrams, "x", 1, 0, (void *)&to, sizeof to));
}

/* An address of which a filter sees two halves: the lower one is 0. */
static int send_to_high_address(void) {
        struct sockaddr_in *to = mmap((void *)(uintptr_t)(UINT64_C(1) << 32), 4096, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

        if ((uintptr_t)to != UINT64_C(1) << 32)
                return EPERM; /* it can't be had; or the machine has 32 bits */
        *to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(0x7f000001) } };
        return outcome(sendto(datagrams, "x", 1, 0, (void *)to, sizeof *to));
}

static int use_old_pair(void) {
        char byte;

        return outcome(send(pair[0], "x", 1, 0) == 1 ? recv(pair[1], &byte, 1, 0) : -1);
}

static int wait_for(pid_t pid) {
        int status;

        if (pid < 0)
                return errno;
        if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
                return ECHILD;
        return WEXITSTATUS(status);
}

static int execute(void) {
        pid_t pid = vfork();

        if (pid == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(errno);
        }
        return wait_for(pid);
}

static int execute_memfd(void) {
        char *const arguments[] = { (char *)"true", NULL };
        char bytes[4096];
        ssize_t n;
        int from = open("/bin/true", O_RDONLY), to = memfd_create("true", MFD_CLOEXEC);

        if (to < 0)
                return errno;
        while ((n = read(from, bytes, sizeof bytes)) > 0)
                (void)!write(to, bytes, (size_t)n);
        pid_t pid = vfork();
        if (pid == 0) {
                fexecve(to, arguments, environ);
                _exit(errno);
        }
        return wait_for(pid);
}

static int make_process(void) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        return wait_for(pid);
}

static int make_process_fast(void) {
        pid_t pid = vfork();

        if (pid == 0)
                _exit(0);
        return wait_for(pid);
}

static void *run_thread(void *data) {
        return data;
}

static int make_thread(void) {
        pthread_t thread;
        int r = pthread_create(&thread, NULL, run_thread, NULL);

        return r ? r : pthread_join(thread, NULL);
}

static int trace(void) {
        return outcome(ptrace(PTRACE_SEIZE, victim, NULL, NULL));
}

static int read_memory(void) {
        char byte;
        struct iovec own = { &byte, 1 }, its = { directory, 1 };

        return outcome(process_vm_readv(victim, &own, 1, &its, 1, 0));
}

static int open_memory(void) {
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/mem", (int)victim);
        return outcome(open(path, O_RDONLY));
}

static int take_fd(void) {
        int pidfd = (int)syscall(SYS_pidfd_open, victim, 0);

        return pidfd < 0 ? ESRCH : outcome(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int send_kill(void) {
        return outcome(kill(victim, 0));
}

static int send_tgkill(void) {
        return outcome(syscall(SYS_tgkill, victim, victim, 0));
}

static int send_by_pidfd(void) {
        int pidfd = (int)syscall(SYS_pidfd_open, victim, 0);

        return pidfd < 0 ? ESRCH : outcome(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

static int send_to_group(void) {
        return outcome(kill(0, 0));
}

static int signal_child(void) {
        int ends[2];
        char byte;

        if (pipe(ends) < 0)
                return errno;
        pid_t pid = fork();
        if (pid == 0) {
                close(ends[1]);
                _exit((int)read(ends[0], &byte, 1)); /* until the parent closes it, if the signal doesn't come */
        }
        int r = outcome(kill(pid, SIGKILL));
        close(ends[1]);
        waitpid(pid, NULL, 0);
        return r;
}

static int limit_other(void) {
        struct rlimit limit;

        return outcome(prlimit(victim, RLIMIT_CORE, NULL, &limit));
}

static int slow_other(void) {
        return outcome(setpriority(PRIO_PROCESS, (id_t)victim, 10));
}

static int pin_other(void) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(0, &set);
        return outcome(sched_setaffinity(victim, sizeof set, &set));
}

static int compare(void) {
        return outcome(syscall(SYS_kcmp, victim, victim, 0, 0, 0));
}

static int share_memory(void) {
        int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

        if (id < 0)
                return errno;
        shmctl(id, IPC_RMID, NULL);
        return 0;
}

static int open_queue(void) {
        return outcome(syscall(SYS_mq_open, "no-such-queue", O_RDONLY, 0, NULL));
}

static int own_descriptor(void) {
        return outcome(fcntl(pair[0], F_SETOWN, victim));
}

static int type_for_terminal(void) {
        return outcome(ioctl(pty, TIOCSTI, "x"));
}

static int make_ring(void) {
        char parameters[120] = { 0 };

        return outcome(syscall(SYS_io_uring_setup, 1, parameters));
}

static int load_bpf(void) {
        return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int add_key(void) {
        return outcome(syscall(SYS_keyctl, 0, -3, 0));
}

static int measure_performance(void) {
        return outcome(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int mount_something(void) {
        return outcome(mount("none", "/nowhere", "tmpfs", 0, NULL));
}

static int change_root(void) {
        return outcome(chroot("/nowhere"));
}

static int name_handle(void) {
        return outcome(syscall(SYS_name_to_handle_at, AT_FDCWD, "/nowhere", NULL, NULL, 0));
}

static int change_personality(void) {
        return outcome(personality(ADDR_NO_RANDOMIZE));
}

static int ask_personality(void) {
        return outcome(personality(0xffffffff));
}

static int unshare_user(void) {
        return outcome(unshare(CLONE_NEWUSER));
}

static int clone_user(void) {
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return wait_for(pid);
}

static int call_clone3(void) {
        return outcome(syscall(SYS_clone3, NULL, 0));
}

static int enter_namespace(void) {
        return outcome(setns(-1, 0));
}

static int gain_code(void) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

#ifdef __x86_64__
static int call_of_32_bits(void) {
        int result;

        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory", "r8", "r9", "r10", "r11");
        return result < 0 ? -result : 0;
}
#endif

/* ---- what has to work ---- */

static volatile sig_atomic_t heard;

static void hear(int signal) {
        heard = signal;
}

static int raise_signal(void) {
        signal(SIGUSR1, hear);
        raise(SIGUSR1);
        return heard == SIGUSR1 ? 0 : EINVAL;
}

static int abort_child(void) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                abort();
        return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : EINVAL;
}

static int limit_self(void) {
        struct rlimit limit = { 0, 0 };

        return outcome(setrlimit(RLIMIT_CORE, &limit));
}

static int slow_self(void) {
        return outcome(setpriority(PRIO_PROCESS, 0, 19));
}

static int make_sealed_memfd(void) {
        int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        return fd < 0 || ftruncate(fd, 65536) < 0 ? errno : outcome(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
}

static int make_code(void) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return page == MAP_FAILED ? errno : 0;
}

/* What a zygote and a worker do after they are locked in. */
static int be_zygote(void) {
        int fds[2];
        struct rlimit limit;

        if (pipe2(fds, O_CLOEXEC) < 0 || setpgid(0, 0) < 0 || chdir("/") < 0 || prctl(PR_SET_NAME, "x") < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prlimit(0, RLIMIT_NOFILE, NULL, &limit) < 0)
                return errno;
        fsrv__call(SYS_close_range, 1000, ~0U, 0);
        pid_t child = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (child == 0)
                _exit(setsid() < 0);
        umask(022);
        return child < 0 ? errno : 0;
}

static int lock_again(void) {
        struct fsrv_sandbox *sandbox;

        if (fsrv_sandbox_new("no-exec", &sandbox, NULL) < 0 || fsrv_sandbox_seal(sandbox, NULL, NULL, NULL) < 0)
                return EINVAL;
        return -fsrv_worker_lock(sandbox, NULL);
}

/* ---- trying ---- */

typedef void change_fn(struct fsrv_sandbox *sandbox);
typedef int attempt_fn(void);

static bool as_other_user; /* tries are made as an ordinary user */

static void lock_or_exit(const char *profile, change_fn *change) {
        struct fsrv_sandbox *sandbox;
        struct fsrv_error error;

        if (fsrv_sandbox_new(profile, &sandbox, &error) < 0)
                _exit(NOT_READY);
        if (change)
                change(sandbox);
        if (fsrv_sandbox_seal(sandbox, NULL, NULL, &error) < 0)
                _exit(NOT_READY);
        if (fsrv_worker_lock(sandbox, &error) < 0) {
                fprintf(stderr, "fsrv_worker_lock: %s\n", error.text);
                _exit(CANNOT_LOCK);
        }
}

/* A process that changes its ids cannot be traced, until it executes a program or says otherwise. */
static int become_other_user(void) {
        return setgid(OTHER_USER) < 0 || setuid(OTHER_USER) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ? -1 : 0;
}

/* The outcome of the attempt in a child; profile NULL: not locked in. */
static int try_it(const char *profile, change_fn *change, attempt_fn *attempt) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (as_other_user && become_other_user() < 0)
                        _exit(NOT_READY);
                if (profile)
                        lock_or_exit(profile, change);
                _exit(attempt());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

/* A directory with a file, of the user that tries. */
static void make_things(void) {
        snprintf(directory, sizeof directory, "/tmp/test_lock.XXXXXX");
        assert_non_null(mkdtemp(directory));
        tmp_fd = open(in_directory("there"), O_CREAT | O_RDWR, 0600);
        assert_int_equal(write(tmp_fd, "text", 4), 4);
        assert_int_equal(mkdir(in_directory("sub"), 0700), 0);
        if (as_other_user)
                assert_true(chown(directory, OTHER_USER, OTHER_USER) == 0 &&
                            chown(in_directory("sub"), OTHER_USER, OTHER_USER) == 0 &&
                            fchown(tmp_fd, OTHER_USER, OTHER_USER) == 0);
}

static void remove_things(void) {
        static const char *const names[] = { "new", "l", "f", "there", "sub/there" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                unlink(in_directory(names[i]));
        rmdir(in_directory("d"));
        rmdir(in_directory("sub"));
        rmdir(directory);
        close(tmp_fd);
}

static int in_fresh_things(const char *profile, change_fn *change, attempt_fn *attempt) {
        make_things();
        int r = try_it(profile, change, attempt);
        remove_things();
        return r;
}

struct trial {
        const char *name;
        attempt_fn *attempt;
        int err; /* what it says in the sandbox */
};
#define TRIAL(attempt, err) \
        { #attempt, attempt, err }

static const struct trial closed_to_untrusted[] = {
        TRIAL(open_passwd, EACCES),
        TRIAL(list_root, EACCES),
        TRIAL(open_proc, EACCES),
        TRIAL(make_file, EACCES),
        TRIAL(write_to_file, EACCES),
        TRIAL(cut_file, EACCES),
        TRIAL(make_directory, EACCES),
        TRIAL(make_link, EACCES),
        TRIAL(make_fifo, EACCES),
        TRIAL(remove_file, EACCES),
        TRIAL(move_file, EACCES),
        TRIAL(change_mode, EPERM),
        TRIAL(change_open_mode, EPERM),
        TRIAL(change_owner, EPERM),
        TRIAL(change_times, EPERM),
        TRIAL(change_attribute, EPERM),
        TRIAL(make_socket, EPERM),
        TRIAL(make_unix_socket, EPERM),
        TRIAL(make_netlink, EPERM),
        TRIAL(make_pair, EPERM),
        TRIAL(connect_old_socket, EPERM),
        TRIAL(send_to_address, EPERM),
        TRIAL(execute, EPERM),
        TRIAL(execute_memfd, EPERM),
        TRIAL(trace, EPERM),
        TRIAL(read_memory, EPERM),
        TRIAL(open_memory, EACCES),
        TRIAL(take_fd, EPERM),
        TRIAL(send_kill, EPERM),
        TRIAL(send_tgkill, EPERM),
        TRIAL(send_by_pidfd, EPERM),
        TRIAL(limit_other, EPERM),
        TRIAL(slow_other, EPERM),
        TRIAL(pin_other, EPERM),
        TRIAL(compare, EPERM),
        TRIAL(share_memory, EPERM),
        TRIAL(open_queue, EPERM),
        TRIAL(own_descriptor, EPERM),
        TRIAL(type_for_terminal, EPERM),
        TRIAL(make_ring, EPERM),
        TRIAL(load_bpf, EPERM),
        TRIAL(add_key, EPERM),
        TRIAL(measure_performance, EPERM),
        TRIAL(mount_something, EPERM),
        TRIAL(change_root, EPERM),
        TRIAL(name_handle, EPERM),
        TRIAL(change_personality, EPERM),
        TRIAL(unshare_user, EPERM),
        TRIAL(clone_user, EPERM),
        TRIAL(call_clone3, ENOSYS),
        TRIAL(enter_namespace, EPERM),
        TRIAL(watch_directory, EPERM),
#ifdef __x86_64__
        TRIAL(call_of_32_bits, ENOSYS),
#endif
};

static const struct trial open_to_untrusted[] = {
        TRIAL(open_library, 0),      TRIAL(open_null, 0),   TRIAL(use_old_pair, 0), TRIAL(make_process, 0),
        TRIAL(make_process_fast, 0), TRIAL(make_thread, 0), TRIAL(raise_signal, 0), TRIAL(abort_child, 0),
        TRIAL(limit_self, 0),        TRIAL(slow_self, 0),   TRIAL(make_code, 0),    TRIAL(make_sealed_memfd, 0),
        TRIAL(ask_personality, 0),   TRIAL(be_zygote, 0),   TRIAL(lock_again, 0),
};

static const struct trial closed_to_pure_compute[] = {
        TRIAL(open_library, EPERM), TRIAL(open_null, EPERM),         TRIAL(make_file, EPERM), TRIAL(remove_file, EPERM),
        TRIAL(make_process, EPERM), TRIAL(make_process_fast, EPERM), TRIAL(execute, EPERM),   TRIAL(make_socket, EPERM),
};

static const struct trial open_to_pure_compute[] = {
        TRIAL(make_thread, 0),
        TRIAL(raise_signal, 0),
        TRIAL(make_sealed_memfd, 0),
        TRIAL(use_old_pair, 0),
};

static const struct trial closed_without_network[] = {
        TRIAL(make_socket, EPERM),
        TRIAL(make_unix_socket, EPERM),
        TRIAL(make_netlink, EPERM),
        TRIAL(connect_old_socket, EPERM),
        TRIAL(send_to_address, EPERM),
        TRIAL(make_ring, EPERM),
        TRIAL(trace, EPERM),
        TRIAL(read_memory, EPERM),
        TRIAL(open_memory, EACCES),
        TRIAL(take_fd, EPERM),
        TRIAL(make_datagram_pair, EPERM),
        TRIAL(make_foreign_pair, EPERM),
};

static const struct trial open_without_network[] = {
        TRIAL(make_pair, 0), TRIAL(execute, 0),     TRIAL(make_file, 0),
        TRIAL(send_kill, 0), TRIAL(open_passwd, 0), TRIAL(move_file, 0),
};

static const struct trial closed_without_exec[] = {
        TRIAL(execute, EPERM),
        TRIAL(execute_memfd, EPERM),
        TRIAL(trace, EPERM),
        TRIAL(open_memory, EACCES),
};

static const struct trial open_without_exec[] = {
        TRIAL(make_socket, 0), TRIAL(make_process, 0), TRIAL(make_file, 0), TRIAL(send_kill, 0), TRIAL(open_passwd, 0),
};

static int count_wrong(const char *profile, const struct trial *trials, size_t n, bool with_control) {
        int wrong = 0;

        for (size_t i = 0; i < n; i++) {
                int inside = in_fresh_things(profile, NULL, trials[i].attempt);
                int outside = with_control ? in_fresh_things(NULL, NULL, trials[i].attempt) : -1;

                if (trials[i].attempt == type_for_terminal &&
                    (as_other_user || geteuid() != 0)) /* it is not this user's in any case */
                        outside = -1;
                if (inside == trials[i].err && outside != trials[i].err)
                        continue;
                fprintf(stderr, "%s in '%s': %s instead of %s; without it %s\n", trials[i].name, profile,
                        strerrorname_np(inside), strerrorname_np(trials[i].err),
                        outside < 0 ? "not tried" : strerrorname_np(outside));
                wrong++;
        }
        return wrong;
}
#define CLOSED(profile, list) assert_int_equal(count_wrong(profile, list, sizeof list / sizeof *list, true), 0)
#define OPEN(profile, list)   assert_int_equal(count_wrong(profile, list, sizeof list / sizeof *list, false), 0)

static void try_profiles(void) {
        CLOSED("untrusted", closed_to_untrusted);
        OPEN("untrusted", open_to_untrusted);
        CLOSED("pure-compute", closed_to_pure_compute);
        OPEN("pure-compute", open_to_pure_compute);
        CLOSED("no-network", closed_without_network);
        OPEN("no-network", open_without_network);
        CLOSED("no-exec", closed_without_exec);
        OPEN("no-exec", open_without_exec);
}

static void profiles_close_what_they_say(void **state) {
        (void)state;
        try_profiles();
}

static void profiles_need_no_privileges(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        kill(victim, SIGKILL); /* another one, of that user */
        waitpid(victim, NULL, 0);
        victim = fork();
        if (victim == 0) {
                if (become_other_user() < 0)
                        _exit(1);
                for (;;)
                        pause();
        }
        as_other_user = true;
        try_profiles();
        as_other_user = false;
}

/* ---- additions ---- */

static void add_directory(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_path(sandbox, directory, FSRV_PATH_READ);
}

static void add_directory_to_write(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_path(sandbox, directory, FSRV_PATH_READ | FSRV_PATH_WRITE | FSRV_PATH_MAKE);
}

static void add_missing(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_path(sandbox, "/no/such/path", FSRV_PATH_READ);
}

static int read_file(void) {
        return outcome(open(in_directory("there"), O_RDONLY));
}

static int do_nothing(void) {
        return 0;
}

static void paths_are_added(void **state) {
        (void)state;
        assert_int_equal(in_fresh_things("untrusted", NULL, read_file), EACCES);
        assert_int_equal(in_fresh_things("untrusted", add_directory, read_file), 0);
        assert_int_equal(in_fresh_things("untrusted", add_directory, write_to_file), EACCES);
        assert_int_equal(in_fresh_things("untrusted", add_directory, cut_file), EACCES);
        assert_int_equal(in_fresh_things("untrusted", add_directory, make_file), EACCES);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, write_to_file), 0);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, make_file), 0);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, make_set_id_file), EPERM);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, make_set_id_directory), EPERM);
        assert_int_equal(in_fresh_things(NULL, NULL, make_set_id_file), 0);
        assert_int_equal(in_fresh_things(NULL, NULL, make_set_id_directory), 0);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, remove_file), 0);
        assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, move_file), 0);
        assert_int_equal(in_fresh_things("untrusted", add_missing, do_nothing), CANNOT_LOCK);
        assert_int_equal(in_fresh_things("none", add_directory, read_file), 0);
        assert_int_equal(in_fresh_things("none", add_directory, open_passwd), EACCES);
}

static void allow_sockets(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_allow(sandbox, FSRV_REFUSE_SOCKETS);
}

static void refuse_metadata(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_refuse(sandbox, FSRV_REFUSE_METADATA);
}

static void kill_at_refusal(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_KILL);
}

static void forbid_gained_code(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_MDWE);
}

static void let_spawn(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_SPAWN);
}

static void add_filter(struct fsrv_sandbox *sandbox) {
        const struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };

        fsrv_sandbox_set_filter(sandbox, filter, sizeof filter);
}

static int change_directory(void) {
        return outcome(chdir("/"));
}

static void groups_flags_and_filters_are_added(void **state) {
        (void)state;
        assert_int_equal(in_fresh_things("untrusted", allow_sockets, make_pair), 0);
        assert_int_equal(in_fresh_things("untrusted", allow_sockets, make_socket), EPERM);
        assert_int_equal(in_fresh_things("none", refuse_metadata, change_mode), EPERM);
        assert_int_equal(in_fresh_things("untrusted", kill_at_refusal, make_socket), KILLED);
        assert_int_equal(in_fresh_things("untrusted", kill_at_refusal, make_thread), 0);
        assert_int_equal(in_fresh_things("untrusted", let_spawn, make_pair), 0);
        assert_int_equal(in_fresh_things("none", add_filter, change_directory), ENOTTY);
        assert_int_equal(in_fresh_things("untrusted", add_filter, make_socket), EPERM);
        if (prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0) >= 0) {
                assert_int_equal(in_fresh_things("none", NULL, gain_code), 0);
                assert_int_equal(in_fresh_things("none", forbid_gained_code, gain_code), EACCES);
        }
}

static int bind_port(uint16_t port) {
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(0x7f000001) } };
        int sock = socket(AF_INET, SOCK_STREAM, 0);

        return outcome(bind(sock, (void *)&at, sizeof at));
}

static int bind_any(void) {
        return bind_port(0);
}

static int bind_other(void) {
        return bind_port(45999);
}

static void add_any_port(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_port(sandbox, 0, FSRV_PORT_BIND);
}

static void both_halves_of_an_address_count(void **state) {
        (void)state;
        assert_int_equal(try_it("no-network", NULL, send_to_high_address), EPERM);
}

static void ports_are_added(void **state) {
        (void)state;
        if (fsrv__landlock_abi() < 4)
                skip();
        assert_int_equal(try_it("none", add_any_port, bind_any), 0);
        assert_int_equal(try_it("none", add_any_port, bind_other), EACCES);
}

static void limit_memory(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_limit(sandbox, RLIMIT_AS, 64 << 20);
}

static void lift_limits(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_limit(sandbox, RLIMIT_AS, RLIM_INFINITY);
        fsrv_sandbox_limit(sandbox, RLIMIT_NOFILE, 100000000);
}

static int map_memory(size_t size) {
        return mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ? errno
                                                                                                             : 0;
}

static int map_little(void) {
        return map_memory(32 << 20);
}

static int map_much(void) {
        return map_memory((size_t)3 << 30);
}

static int map_very_much(void) {
        return map_memory((size_t)5 << 30);
}

static int check_limits(void) {
        struct rlimit cpu, size, files, core;

        getrlimit(RLIMIT_CPU, &cpu);
        getrlimit(RLIMIT_FSIZE, &size);
        getrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_CORE, &core);
        if (cpu.rlim_cur != 60 || cpu.rlim_max != 61) /* SIGXCPU, and then SIGKILL */
                return ERANGE;
        return size.rlim_max == 1 << 30 && files.rlim_max == 256 && core.rlim_max == 0 ? 0 : EINVAL;
}

static void limits_hold(void **state) {
        (void)state;
        assert_int_equal(try_it("untrusted", NULL, check_limits), 0);
        assert_int_equal(try_it("untrusted", NULL, map_much), 0);
        assert_int_equal(try_it("untrusted", NULL, map_very_much), ENOMEM);
        assert_int_equal(try_it("untrusted", limit_memory, map_little), 0);
        assert_int_equal(try_it("untrusted", limit_memory, map_much), ENOMEM);
        assert_int_equal(try_it("untrusted", lift_limits, map_very_much), 0);
}

static int lock_parts(bool listens, struct fsrv__lock *lock, uint32_t flags) {
        struct fsrv__sandbox_parts parts;
        struct fsrv_sandbox *sandbox;
        struct fsrv_error error;
        size_t size;

        if (fsrv_sandbox_new("untrusted", &sandbox, &error) < 0 || fsrv_sandbox_seal(sandbox, NULL, NULL, &error) < 0)
                return -EINVAL;
        const void *bytes = fsrv__sandbox_get_bytes(sandbox, false, &size);
        int r = fsrv__sandbox_decode(bytes, size, &parts);
        parts.head.flags |= flags;
        return r < 0 ? r : fsrv__lock_in(&parts, listens, lock, &error);
}

/* ---- capabilities ---- */

/* Bit mask of those in effect. */
static uint64_t capabilities(void) {
        uint64_t mask = 0;

        for (int i = 0; i <= CAP_LAST_CAP; i++)
                mask |= (uint64_t)fsrv__has_capability(i) << i;
        return mask;
}

static int have_no_capability(void) {
        return capabilities() == 0 && setuid(OTHER_USER) < 0 ? 0 : EEXIST;
}

static int keep_those_of_ids(void) {
        const uint64_t ids = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_SETPCAP;
        struct fsrv__lock lock;

        if (lock_parts(false, &lock, 0) < 0)
                return EINVAL;
        if (capabilities() & ~ids || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) != 0 || setuid(OTHER_USER) < 0)
                return EEXIST;
        return 0;
}

static void capabilities_are_dropped(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        assert_int_equal(try_it("untrusted", NULL, have_no_capability), 0);
        assert_int_equal(try_it("no-exec", NULL, have_no_capability), EEXIST);
        assert_int_equal(try_it(NULL, NULL, keep_those_of_ids), 0);
}

/* ---- mounts and namespaces ---- */

static void hide_tmp(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, "/tmp");
}

/* bwrap --ro-bind / / --tmpfs /tmp --unshare-net */
static void be_like_bwrap(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND_READ_ONLY, "/", "/");
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, "/tmp");
        fsrv_sandbox_unshare(sandbox, CLONE_NEWNET);
        fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_NEW_ROOT);
}

static void bind_few(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND_READ_ONLY, "/usr", "/usr");
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, directory, "/deep/below/here");
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND_READ_ONLY, "/etc/passwd", "/etc/passwd");
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_PROC, NULL, "/proc");
        fsrv_sandbox_set_flags(sandbox, FSRV_SANDBOX_NEW_ROOT);
}

static void protect_directory(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_READ_ONLY, NULL, directory);
}

static void bind_missing(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, "/no/such/path", "/tmp");
}

static void mount_at_missing(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, in_directory("made"));
}

static void bind_in_own_tmpfs(struct fsrv_sandbox *sandbox) {
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_TMPFS, NULL, "/tmp");
        fsrv_sandbox_add_mount(sandbox, FSRV_MOUNT_BIND, directory, "/tmp/below/here");
}

static int see_below(void) {
        return outcome(access("/tmp/below/here/there", R_OK));
}

static int use_hidden_tmp(void) {
        if (access(in_directory("there"), F_OK) == 0)
                return EEXIST;
        return outcome(open("/tmp/own", O_CREAT | O_WRONLY, 0600));
}

static int write_below_root(void) {
        int fd = open("/usr/test_lock", O_CREAT | O_WRONLY, 0600);
        int r = outcome(fd);

        if (fd >= 0)
                unlink("/usr/test_lock");
        return r == EACCES ? EROFS : r; /* of an ordinary user */
}

static int see_loopback_alone(void) {
        struct ifreq request = { .ifr_name = "lo" };
        int sock = socket(AF_INET, SOCK_DGRAM, 0);
        struct if_nameindex *all = if_nameindex();

        if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
                return errno;
        if (!(request.ifr_flags & IFF_UP))
                return ENETDOWN;
        if (!all)
                return ENODATA;
        for (int i = 0; all[i].if_index; i++) /* tunnels of the kernel's own are down */
                if (strcmp(all[i].if_name, "lo") != 0) {
                        strcpy(request.ifr_name, all[i].if_name);
                        if (ioctl(sock, SIOCGIFFLAGS, &request) < 0 || request.ifr_flags & IFF_UP)
                                return EEXIST;
                }
        return 0;
}

static int see_few(void) {
        if (access("/usr/bin", F_OK) < 0 || access("/etc/passwd", R_OK) < 0 || access("/proc/self/stat", R_OK) < 0 ||
            access("/deep/below/here/there", R_OK) < 0)
                return errno;
        if (access("/tmp", F_OK) == 0 || access("/etc/group", F_OK) == 0)
                return EEXIST;
        if (open("/deep/below/here/new", O_CREAT | O_WRONLY, 0600) < 0)
                return errno;
        if (open("/new", O_CREAT | O_WRONLY, 0600) >= 0)
                return EEXIST;
        return chdir("/..") < 0 || access("tmp", F_OK) == 0 ? EINVAL : 0;
}

/* What bind mounts and read-only ones would be worth little without. */
static int unmount_tmp(void) {
        return outcome(umount2("/tmp", MNT_DETACH));
}

/* The files of such a process in /proc belong to root. */
static int lock_undumpable(void) {
        prctl(PR_SET_DUMPABLE, 0);
        lock_or_exit("none", hide_tmp);
        return prctl(PR_GET_DUMPABLE) == 0 ? 0 : EINVAL;
}

static bool has_namespaces(void) {
        bool user;
        int r = 0;
        pid_t pid = as_other_user ? fork() : -1;

        if (pid == 0)
                _exit(become_other_user() < 0 || fsrv__namespaces_check(0, &user) < 0);
        if (pid < 0)
                return fsrv__namespaces_check(0, &user) == 0;
        return waitpid(pid, &r, 0) == pid && r == 0;
}

static void try_mounts(void) {
        assert_int_equal(in_fresh_things("none", hide_tmp, use_hidden_tmp), 0);
        assert_int_equal(in_fresh_things("none", be_like_bwrap, use_hidden_tmp), 0);
        assert_int_equal(in_fresh_things("none", be_like_bwrap, write_below_root), EROFS);
        assert_int_equal(in_fresh_things("none", be_like_bwrap, see_loopback_alone), 0);
        assert_int_equal(in_fresh_things("none", be_like_bwrap, execute), 0);
        assert_int_equal(in_fresh_things("none", bind_few, see_few), 0);
        assert_int_equal(in_fresh_things("none", protect_directory, write_to_file), EROFS);
        assert_int_equal(in_fresh_things("none", protect_directory, read_file), 0);
        assert_int_equal(in_fresh_things("none", bind_missing, do_nothing), CANNOT_LOCK);
        assert_int_equal(in_fresh_things("none", mount_at_missing, do_nothing), CANNOT_LOCK);
        assert_int_equal(in_fresh_things("none", bind_in_own_tmpfs, see_below), 0);
        assert_int_equal(in_fresh_things("untrusted", be_like_bwrap, open_library), 0);
        assert_int_equal(in_fresh_things("untrusted", be_like_bwrap, open_passwd), EACCES);
}

static void mounts_are_made(void **state) {
        (void)state;
        if (!has_namespaces())
                skip();
        try_mounts();
}

static void mounts_are_made_without_privileges(void **state) {
        (void)state;
        as_other_user = geteuid() == 0;
        if (has_namespaces()) {
                try_mounts();
                assert_int_equal(try_it("none", hide_tmp, unmount_tmp), EPERM);
                assert_int_equal(try_it(NULL, NULL, lock_undumpable), 0);
        }
        as_other_user = false;
}

/* A locked zygote forks two: one waits, and the other reaches for it. */
static int reach_sibling(void) {
        struct fsrv__lock lock;

        if (lock_parts(false, &lock, 0) < 0)
                return EINVAL;
        pid_t sibling = fork();
        if (sibling == 0) {
                fsrv__lock_apart(&lock);
                for (;;)
                        pause();
        }
        pid_t other = fork();
        if (other == 0) {
                if (fsrv__lock_apart(&lock) < 0 || fsrv__lock_finish(&lock) < 0)
                        _exit(EINVAL);
                victim = sibling;
                _exit(send_tgkill());
        }
        int r = wait_for(other);
        fsrv__call(SYS_tgkill, sibling, sibling, SIGKILL);
        waitpid(sibling, NULL, 0);
        return r;
}

static int signal_as_program(void) {
        struct fsrv__lock lock;

        if (lock_parts(false, &lock, FSRV_LOCK_PROGRAM) < 0 || fsrv__lock_apart(&lock) < 0)
                return EINVAL;
        return send_tgkill();
}

/* ---- what older kernels lack ---- */

static struct {
        int rules, gaps;
        char first[64];
} told;

static void count_rule(const struct fsrv_sandbox_rule *rule, void *data) {
        (void)data;
        told.rules++;
        if (rule->state == FSRV_RULE_ENFORCED) {
                assert_string_equal(rule->why, "");
                return;
        }
        assert_true(rule->why[0]);
        if (told.gaps++ == 0)
                snprintf(told.first, sizeof told.first, "%s", rule->what);
}

static int seal(const char *profile, uint32_t flags, change_fn *change, struct fsrv_error *error) {
        struct fsrv_sandbox *sandbox;

        memset(&told, 0, sizeof told);
        assert_int_equal(fsrv_sandbox_new(profile, &sandbox, error), 0);
        if (change)
                change(sandbox);
        assert_int_equal(fsrv_sandbox_set_flags(sandbox, flags), 0);
        int r = fsrv_sandbox_seal(sandbox, count_rule, NULL, error);
        fsrv_sandbox_unref(sandbox);
        return r;
}

static void check_gap(const char *profile, change_fn *change, const char *first) {
        struct fsrv_error error = { 0 };

        assert_int_equal(seal(profile, 0, change, &error), 0);
        assert_true(told.gaps > 0);
        assert_int_equal(seal(profile, FSRV_SANDBOX_STRICT, change, &error), -EOPNOTSUPP);
        assert_int_equal(error.stage, FSRV_STAGE_SANDBOX);
        assert_string_equal(told.first, first);
        assert_non_null(strstr(error.text, first));
}

/* Each older landlock closes what it can, and the report says what it can't. */
static void older_landlocks_are_reported(void **state) {
        static const char files[] = "no files but those of the list", ports[] = "no TCP ports but those of the list",
                          signals[] = "no signals and abstract sockets to processes outside";
        int newest = fsrv__landlock_abi();

        (void)state;
        for (int abi = 0; abi <= 6 && abi <= newest; abi++) {
                fsrv__landlock_abi_most = abi;
                if (abi < 6)
                        check_gap("untrusted", NULL, abi < 5 ? files : signals);
                if (abi < 4)
                        check_gap("none", add_any_port, ports);
                assert_int_equal(in_fresh_things("untrusted", NULL, open_passwd), abi == 0 ? 0 : EACCES);
                assert_int_equal(in_fresh_things("untrusted", add_directory, write_to_file), abi == 0 ? 0 : EACCES);
                assert_int_equal(in_fresh_things("untrusted", add_directory_to_write, move_file), abi == 1 ? EXDEV : 0);
                assert_int_equal(in_fresh_things("untrusted", NULL, send_tgkill), EPERM);
                assert_int_equal(in_fresh_things("untrusted", NULL, raise_signal), 0);
                assert_int_equal(in_fresh_things("untrusted", NULL, send_kill), EPERM);
                assert_int_equal(in_fresh_things("untrusted", NULL, signal_child), abi < 6 ? EPERM : 0);
                assert_int_equal(in_fresh_things("untrusted", NULL, send_to_group), abi < 6 ? EPERM : 0);
                assert_int_equal(try_it(NULL, NULL, signal_as_program), abi < 6 ? 0 : EPERM);
                assert_int_equal(try_it(NULL, NULL, reach_sibling), EPERM);
                assert_int_equal(in_fresh_things("untrusted", NULL, make_socket), EPERM);
                assert_int_equal(try_it("none", add_any_port, bind_other), abi < 4 ? 0 : EACCES);
        }
        fsrv__landlock_abi_most = -1;
}

static void missing_filters_are_reported(void **state) {
        (void)state;
        fsrv__seccomp_is_missing = true;
        check_gap("no-network", NULL, "no network");
        assert_int_equal(in_fresh_things("no-network", NULL, make_socket), 0);
        assert_int_equal(in_fresh_things("untrusted", NULL, open_passwd), EACCES);
        fsrv__seccomp_is_missing = false;
}

static int strict_seal_fails(void) {
        struct fsrv_error error;

        return seal("none", FSRV_SANDBOX_STRICT, hide_tmp, &error) == -EOPNOTSUPP ? 0 : EINVAL;
}

static int lax_seal_tells(void) {
        struct fsrv_error error;

        return seal("none", 0, hide_tmp, &error) == 0 && told.gaps == 1 ? 0 : EINVAL;
}

static void forbidden_namespaces_are_reported(void **state) {
        (void)state;
        as_other_user = geteuid() == 0;
        fsrv__namespaces_are_forbidden = true;
        assert_int_equal(try_it(NULL, NULL, strict_seal_fails), 0);
        assert_int_equal(try_it(NULL, NULL, lax_seal_tells), 0);
        assert_int_equal(try_it("none", hide_tmp, do_nothing), CANNOT_LOCK); /* never left out */
        fsrv__namespaces_are_forbidden = false;
        as_other_user = false;
}

static void everything_is_enforced_here(void **state) {
        struct fsrv_error error;

        (void)state;
        if (fsrv__landlock_abi() < 6)
                skip();
        assert_int_equal(seal("untrusted", FSRV_SANDBOX_STRICT, NULL, &error), 0);
        assert_true(told.rules > 10);
        assert_int_equal(told.gaps, 0);
}

/* ---- siblings, and the listener ---- */

static void siblings_are_apart(void **state) {
        (void)state;
        assert_int_equal(try_it(NULL, NULL, reach_sibling), EPERM);
}

/* A call that is refused comes to the listener, which gives the answer. */
static int ask_listener(void) {
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp answer = { .error = -ENOTTY };
        struct fsrv__lock lock;

        if (lock_parts(true, &lock, 0) < 0 || lock.listener < 0)
                return EINVAL;
        pid_t child = fork();
        if (child == 0)
                _exit(make_socket());
        if (ioctl(lock.listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return errno;
        answer.id = call.id;
        if (call.data.nr != SYS_socket || (pid_t)call.pid != child)
                return EPROTO;
        if (ioctl(lock.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
                return errno;
        return wait_for(child) == ENOTTY ? 0 : EINVAL;
}

static void *wait_for_ever(void *data) {
        pause();
        return data;
}

static int lock_with_thread(void) {
        struct fsrv_error error = { 0 };
        struct fsrv_sandbox *sandbox;
        pthread_t thread;

        if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 || fsrv_sandbox_new("none", &sandbox, &error) < 0 ||
            fsrv_sandbox_seal(sandbox, NULL, NULL, &error) < 0)
                return EPROTO;
        int r = fsrv_worker_lock(sandbox, &error);
        return r == -EINVAL && strstr(error.text, "threads") ? 0 : EINVAL;
}

static int lock_unsealed(void) {
        struct fsrv_error error = { 0 };
        struct fsrv_sandbox *sandbox;

        if (fsrv_sandbox_new("none", &sandbox, &error) < 0)
                return EPROTO;
        return fsrv_worker_lock(sandbox, &error) == -EINVAL && strstr(error.text, "sealed") ? 0 : EINVAL;
}

static void not_every_process_can_be_locked_in(void **state) {
        (void)state;
        assert_int_equal(try_it(NULL, NULL, lock_with_thread), 0);
        assert_int_equal(try_it(NULL, NULL, lock_unsealed), 0);
}

static int execute_as_program(void) {
        struct fsrv__lock lock;

        return lock_parts(false, &lock, FSRV_LOCK_PROGRAM) < 0 ? EINVAL : execute();
}

static int execute_memfd_as_program(void) {
        struct fsrv__lock lock;

        return lock_parts(false, &lock, FSRV_LOCK_PROGRAM) < 0 ? EINVAL : execute_memfd();
}

static void a_listener_answers(void **state) {
        (void)state;
        assert_int_equal(try_it(NULL, NULL, ask_listener), 0);
}

static void programs_are_executed_by_path_alone(void **state) {
        (void)state;
        assert_int_equal(try_it(NULL, NULL, execute_as_program), 0);
        assert_int_equal(try_it(NULL, NULL, execute_memfd_as_program), EPERM);
}

static int set_up(void **state) {
        (void)state;
        map_memory((size_t)256 << 20); /* a limit comes on top of it */
        datagrams = socket(AF_INET, SOCK_DGRAM, 0);
        pty = posix_openpt(O_RDWR | O_NOCTTY);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                return -1;
        victim = fork();
        if (victim == 0)
                for (;;)
                        pause();
        return victim < 0 ? -1 : 0;
}

static int tear_down(void **state) {
        (void)state;
        kill(victim, SIGKILL);
        waitpid(victim, NULL, 0);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(profiles_close_what_they_say),
                cmocka_unit_test(paths_are_added),
                cmocka_unit_test(groups_flags_and_filters_are_added),
                cmocka_unit_test(both_halves_of_an_address_count),
                cmocka_unit_test(ports_are_added),
                cmocka_unit_test(limits_hold),
                cmocka_unit_test(capabilities_are_dropped),
                cmocka_unit_test(mounts_are_made),
                cmocka_unit_test(mounts_are_made_without_privileges),
                cmocka_unit_test(older_landlocks_are_reported),
                cmocka_unit_test(missing_filters_are_reported),
                cmocka_unit_test(forbidden_namespaces_are_reported),
                cmocka_unit_test(everything_is_enforced_here),
                cmocka_unit_test(siblings_are_apart),
                cmocka_unit_test(a_listener_answers),
                cmocka_unit_test(programs_are_executed_by_path_alone),
                cmocka_unit_test(not_every_process_can_be_locked_in),
                cmocka_unit_test(profiles_need_no_privileges),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
