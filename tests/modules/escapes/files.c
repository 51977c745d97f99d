/* SPDX-License-Identifier: MIT */
/* Reading what is not on the list. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif

/* Opened and read: some files can be opened by all and read by few. Other errors are of what can't be read at all. */
static int use(int fd) {
        char byte;

        if (fd < 0)
                return -errno;
        ssize_t n = read(fd, &byte, 1);
        int r = n < 0 && (errno == EPERM || errno == EACCES) ? -errno : 0;
        close(fd);
        return r;
}

int open_path(const char *path, int flags) {
        if (!path)
                return not_here("the test has not named it");
        int r = use(open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (r == -ENOENT &&
            (strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/sys/", 5) == 0))
                return not_here("this system has no such file");
        return r;
}

int open_secret(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return open_path(path ? path : "/etc/passwd", O_RDONLY);
}

static int open_below_proc(pid_t pid, const char *name, int flags) {
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        return open_path(path, flags);
}

/* Where reading is what is forbidden, such a file is empty. */
static int read_below_proc(pid_t pid, const char *name) {
        char path[64], byte;
        int fd, r;

        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = read(fd, &byte, 1) == 1 ? 0 : -EACCES;
        close(fd);
        return r;
}

static int open_shadow(void) {
        return open_path("/etc/shadow", O_RDONLY);
}

static int open_passwd(void) {
        return open_path("/etc/passwd", O_RDONLY);
}

static int list_etc(void) {
        return open_path("/etc", O_RDONLY | O_DIRECTORY);
}

static int list_root(void) {
        return open_path("/", O_RDONLY | O_DIRECTORY);
}

static int list_home_of_root(void) {
        return open_path("/root", O_RDONLY | O_DIRECTORY);
}

static int list_home(void) {
        return open_path("/home", O_RDONLY | O_DIRECTORY);
}

static int list_var(void) {
        return open_path("/var", O_RDONLY | O_DIRECTORY);
}

static int list_tmp(void) {
        return open_path("/tmp", O_RDONLY | O_DIRECTORY);
}

static int list_run(void) {
        return open_path("/run", O_RDONLY | O_DIRECTORY);
}

static int open_relative(void) {
        return use(openat(AT_FDCWD, "../../../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int open_through_usr(void) {
        return open_path("/usr/lib/../../etc/passwd", O_RDONLY);
}

static int open_by_creat_flags(void) {
        return open_path(path_in("ESCAPE_SECRET", "secret"), O_RDONLY | O_CREAT);
}

static int open_openat2(void) {
        struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };

        return use((int)syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how));
}

/* With the root somewhere else, absolute paths mean something else. */
static int open_openat2_in_root(void) {
        struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
        int root = open("/", O_PATH | O_CLOEXEC);
        int r = root < 0 ? -errno : use((int)syscall(SYS_openat2, root, "etc/passwd", &how, sizeof how));

        if (root >= 0)
                close(root);
        return r;
}

/* Landlock lets O_PATH through: what comes after it counts. */
static int open_opath_again(void) {
        int fd = open("/etc/passwd", O_PATH | O_CLOEXEC), r;
        char path[64];

        if (fd < 0)
                return -errno;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        r = open_path(path, O_RDONLY);
        close(fd);
        return r;
}

static int open_below_opath(void) {
        int directory = open("/etc", O_PATH | O_CLOEXEC), r;

        if (directory < 0)
                return -errno;
        r = use(openat(directory, "passwd", O_RDONLY | O_CLOEXEC));
        close(directory);
        return r;
}

static int open_below_open_tree(void) {
        int directory = (int)syscall(SYS_open_tree, AT_FDCWD, "/etc", O_CLOEXEC), r;

        if (directory < 0)
                return -errno;
        r = use(openat(directory, "passwd", O_RDONLY | O_CLOEXEC));
        close(directory);
        return r;
}

static int open_by_handle(void) {
        union {
                struct file_handle handle;
                char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
        } room = { .handle.handle_bytes = MAX_HANDLE_SZ };
        int mount, id, r;

        if (name_to_handle_at(AT_FDCWD, "/etc/passwd", &room.handle, &id, 0) < 0)
                return errno == EOPNOTSUPP ? not_here("this file system has no handles") : -errno;
        mount = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = use(open_by_handle_at(mount, &room.handle, O_RDONLY));
        if (mount >= 0)
                close(mount);
        return r;
}

/* A handle needs no path: one of a file system's root is the same everywhere. The mount is named by a directory that
 * was handed over. */
static int open_by_guessed_handle(void) {
        struct {
                unsigned int size;
                int type;
                unsigned int numbers[2];
        } root = { .size = 8, .type = 1, .numbers = { 2, 0 } };
        int directory = fd_of("ESCAPE_DIRECTORY");

        if (directory < 0)
                return not_here("no directory was handed over");
        return let_through(syscall(SYS_open_by_handle_at, directory, &root, O_RDONLY));
}

static int open_above_handed(void) {
        int directory = fd_of("ESCAPE_DIRECTORY");

        if (directory < 0)
                return not_here("no directory was handed over");
        return use(openat(directory, "../secret/secret", O_RDONLY | O_CLOEXEC));
}

/* Both ways out of a chroot with a directory of outside: to make it the working directory, and "..". */
static int open_after_fchdir(void) {
        int directory = fd_of("ESCAPE_DIRECTORY");

        if (directory < 0)
                return not_here("no directory was handed over");
        if (fchdir(directory) < 0)
                return -errno;
        return open_path("../secret/secret", O_RDONLY);
}

static int open_link_out(void) {
        return open_path(path_in("ESCAPE_READABLE", "link"), O_RDONLY);
}

static int open_directory_link_out(void) {
        return open_path(path_in("ESCAPE_READABLE", "up/secret"), O_RDONLY);
}

static int open_link_of_own(void) {
        const char *link = path_in("ESCAPE_WRITABLE", "own-link");

        if (!link)
                return not_here("the test has not named it");
        if (symlink("/etc/passwd", link) < 0 && errno != EEXIST)
                return -errno;
        return open_path(link, O_RDONLY);
}

static int map_secret(void) {
        int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        void *at;

        if (fd < 0)
                return -errno;
        at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        return at == MAP_FAILED ? -errno : *(volatile char *)at & 0;
}

static int read_own_maps(void) {
        return open_path("/proc/self/maps", O_RDONLY);
}

static int read_environment_of_parent(void) {
        return read_below_proc(target(), "environ");
}

static int read_maps_of_parent(void) {
        return read_below_proc(target(), "maps");
}

static int open_memory_of_parent(void) {
        return open_below_proc(target(), "mem", O_RDWR);
}

static int list_fds_of_parent(void) {
        return open_below_proc(target(), "fd", O_RDONLY | O_DIRECTORY);
}

static int open_fd_of_parent(void) {
        return open_below_proc(target(), "fd/0", O_RDONLY);
}

static int open_root_of_parent(void) {
        return open_below_proc(target(), "root/etc/passwd", O_RDONLY);
}

static int read_environment_of_init(void) {
        return read_below_proc(1, "environ");
}

static int open_own_root(void) {
        return open_path("/proc/self/root/etc/passwd", O_RDONLY);
}

static int open_task_root(void) {
        return open_path("/proc/thread-self/root/etc/passwd", O_RDONLY);
}

static int list_processes(void) {
        return open_path("/proc", O_RDONLY | O_DIRECTORY);
}

static int list_map_files(void) {
        return open_path("/proc/self/map_files", O_RDONLY | O_DIRECTORY);
}

static int read_kallsyms(void) {
        return open_path("/proc/kallsyms", O_RDONLY);
}

static int read_kernel_memory(void) {
        return open_path("/proc/kcore", O_RDONLY);
}

static int open_device_memory(void) {
        return open_path("/dev/mem", O_RDONLY);
}

static int open_kernel_log(void) {
        return open_path("/dev/kmsg", O_RDONLY);
}

static int list_devices(void) {
        return open_path("/dev", O_RDONLY | O_DIRECTORY);
}

static int list_terminals(void) {
        return open_path("/dev/pts", O_RDONLY | O_DIRECTORY);
}

static int list_sys(void) {
        return open_path("/sys", O_RDONLY | O_DIRECTORY);
}

const struct attempt file_attempts[] = {
        { "open_shadow", open_shadow },
        { "open_passwd", open_passwd },
        { "list_etc", list_etc },
        { "list_root", list_root },
        { "list_home_of_root", list_home_of_root },
        { "list_home", list_home },
        { "list_var", list_var },
        { "list_tmp", list_tmp },
        { "list_run", list_run },
        { "open_secret", open_secret },
        { "open_relative", open_relative },
        { "open_through_usr", open_through_usr },
        { "open_by_creat_flags", open_by_creat_flags },
        { "open_openat2", open_openat2 },
        { "open_openat2_in_root", open_openat2_in_root },
        { "open_opath_again", open_opath_again },
        { "open_below_opath", open_below_opath },
        { "open_below_open_tree", open_below_open_tree },
        { "open_by_handle", open_by_handle },
        { "open_by_guessed_handle", open_by_guessed_handle },
        { "open_above_handed", open_above_handed },
        { "open_after_fchdir", open_after_fchdir },
        { "open_link_out", open_link_out },
        { "open_directory_link_out", open_directory_link_out },
        { "open_link_of_own", open_link_of_own },
        { "map_secret", map_secret },
        { "read_own_maps", read_own_maps },
        { "read_environment_of_parent", read_environment_of_parent },
        { "read_maps_of_parent", read_maps_of_parent },
        { "open_memory_of_parent", open_memory_of_parent },
        { "list_fds_of_parent", list_fds_of_parent },
        { "open_fd_of_parent", open_fd_of_parent },
        { "open_root_of_parent", open_root_of_parent },
        { "read_environment_of_init", read_environment_of_init },
        { "open_own_root", open_own_root },
        { "open_task_root", open_task_root },
        { "list_processes", list_processes },
        { "list_map_files", list_map_files },
        { "read_kallsyms", read_kallsyms },
        { "read_kernel_memory", read_kernel_memory },
        { "open_device_memory", open_device_memory },
        { "open_kernel_log", open_kernel_log },
        { "list_devices", list_devices },
        { "list_terminals", list_terminals },
        { "list_sys", list_sys },
        { NULL, NULL },
};
