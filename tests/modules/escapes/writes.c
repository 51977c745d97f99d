/* SPDX-License-Identifier: MIT */
/* Changing files, their names and their attributes, and what devices do. */
#define _GNU_SOURCE
#include "escapes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

/* A new name there, which is removed again. */
static int make_in(const char *directory, int flags) {
        char path[256];
        int fd;

        snprintf(path, sizeof path, "%s/forkserver-escape-%d", directory, (int)getpid());
        fd = open(flags & O_TMPFILE ? directory : path, flags | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        close(fd);
        unlink(path);
        return 0;
}

static int make_in_tmp(void) {
        return make_in("/tmp", O_CREAT | O_EXCL);
}

static int make_in_var_tmp(void) {
        return make_in("/var/tmp", O_CREAT | O_EXCL);
}

static int make_in_shm(void) {
        return make_in("/dev/shm", O_CREAT | O_EXCL);
}

static int make_unnamed_in_tmp(void) {
        return make_in("/tmp", O_TMPFILE);
}

static int make_directory(void) {
        const char *path = "/tmp/forkserver-escape-directory";
        int r = from(mkdir(path, 0700));

        rmdir(path);
        return r;
}

static int make_fifo(void) {
        const char *path = "/tmp/forkserver-escape-fifo";
        int r = from(mkfifo(path, 0600));

        unlink(path);
        return r;
}

/* Also where files may be made: with a device, root reads the kernel's memory or a disk. */
static int make_device(void) {
        const char *path = path_in("ESCAPE_WRITABLE", "device");
        int r;

        if (!path)
                return not_here("the test has not named it");
        r = from(mknod(path, S_IFCHR | 0600, makedev(1, 3)));
        unlink(path);
        return r;
}

static int link_secret(void) {
        const char *from_path = path_in("ESCAPE_SECRET", "secret");
        char *old = from_path ? strdup(from_path) : NULL;
        const char *path = path_in("ESCAPE_WRITABLE", "hard-link");
        int r;

        if (!old || !path)
                r = not_here("the test has not named it");
        else
                r = link(old, path) < 0 && errno != EEXIST ? -errno : open_path(path, O_RDONLY);
        if (path)
                unlink(path);
        free(old);
        return r;
}

/* Into a directory where it may be read. */
static int rename_secret(void) {
        const char *from_path = path_in("ESCAPE_SECRET", "secret");
        char *old = from_path ? strdup(from_path) : NULL;
        const char *path = path_in("ESCAPE_WRITABLE", "renamed");
        int r;

        if (!old || !path)
                r = not_here("the test has not named it");
        else if (rename(old, path) < 0)
                r = -errno;
        else
                r = from(rename(path, old));
        free(old);
        return r;
}

static int exchange_secret(void) {
        const char *from_path = path_in("ESCAPE_SECRET", "secret");
        char *old = from_path ? strdup(from_path) : NULL;
        const char *path = path_in("ESCAPE_READABLE", "file");
        int r;

        if (!old || !path)
                r = not_here("the test has not named it");
        else {
                r = from(renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_EXCHANGE));
                if (r == 0)
                        renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_EXCHANGE);
        }
        free(old);
        return r;
}

static int unlink_readable(void) {
        const char *path = path_in("ESCAPE_READABLE", "spare");

        return path ? from(unlink(path)) : not_here("the test has not named it");
}

static int truncate_secret(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? from(truncate(path, 7)) : not_here("the test has not named it");
}

static int truncate_readable(void) {
        const char *path = path_in("ESCAPE_READABLE", "file");

        return path ? from(truncate(path, 7)) : not_here("the test has not named it");
}

static int write_readable(void) {
        return open_path(path_in("ESCAPE_READABLE", "file"), O_WRONLY);
}

static int write_library(void) {
        return open_path("/usr/lib/os-release", O_WRONLY);
}

/* A file that was handed over for reading, opened again for writing. */
static int write_handed(void) {
        int fd = fd_of("ESCAPE_FILE");
        char path[64];

        if (fd < 0)
                return not_here("no file was handed over");
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open_path(path, O_WRONLY);
}

/* As a container's root overwrote runc (CVE-2019-5736). The kernel says that a running program is busy before it asks
 * the sandbox. So what comes next is a change of its name, to the same one. */
static int write_own_executable(void) {
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 2);

        if (n < 0)
                return -errno;
        path[n] = 0;
        return open_path(path, O_WRONLY) == -EACCES ? -EACCES : from(rename(path, path));
}

static int write_own_memory(void) {
        return open_path("/proc/self/mem", O_RDWR);
}

static int chmod_secret(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? from(chmod(path, 0600)) : not_here("the test has not named it");
}

static int chmod_writable(void) {
        const char *path = setting("ESCAPE_WRITABLE");

        return path ? from(chmod(path, 0777)) : not_here("the test has not named it");
}

static int fchmod_handed(void) {
        int fd = fd_of("ESCAPE_FILE");

        return fd < 0 ? not_here("no file was handed over") : from(fchmod(fd, 0644));
}

static int fchmodat2_secret(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? from(syscall(452, AT_FDCWD, path, 0600, 0)) : not_here("the test has not named it");
}

static int chown_secret(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? from(chown(path, getuid(), (gid_t)-1)) : not_here("the test has not named it");
}

static int fchown_handed(void) {
        int fd = fd_of("ESCAPE_FILE");

        return fd < 0 ? not_here("no file was handed over") : let_through(fchown(fd, (uid_t)-1, (gid_t)-1));
}

static int set_attribute(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? let_through(setxattr(path, "user.x", "y", 1, 0)) : not_here("the test has not named it");
}

static int set_attribute_of_handed(void) {
        int fd = fd_of("ESCAPE_FILE");

        return fd < 0 ? not_here("no file was handed over") : let_through(fsetxattr(fd, "user.x", "y", 1, 0));
}

static int set_times(void) {
        const char *path = path_in("ESCAPE_SECRET", "secret");

        return path ? from(utimensat(AT_FDCWD, path, NULL, 0)) : not_here("the test has not named it");
}

static int write_core_pattern(void) {
        return open_path("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int write_modprobe(void) {
        return open_path("/proc/sys/kernel/modprobe", O_WRONLY);
}

static int write_binfmt(void) {
        return open_path("/proc/sys/fs/binfmt_misc/register", O_WRONLY);
}

static int write_sysrq(void) {
        return open_path("/proc/sysrq-trigger", O_WRONLY);
}

static int write_uevent_helper(void) {
        return open_path("/sys/kernel/uevent_helper", O_WRONLY);
}

static int write_own_oom_score(void) {
        return open_path("/proc/self/oom_score_adj", O_WRONLY);
}

static int make_cgroup(void) {
        const char *path = "/sys/fs/cgroup/unified/forkserver-escape";
        int r = from(mkdir(path, 0700));

        rmdir(path);
        return r;
}

static int open_ptmx(void) {
        return open_path("/dev/ptmx", O_RDWR);
}

static int open_tty(void) {
        int r = open_path("/dev/tty", O_RDWR);

        return r == -ENXIO ? 0 : r;
}

static int open_fuse(void) {
        return open_path("/dev/fuse", O_RDWR);
}

static int open_tun(void) {
        return open_path("/dev/net/tun", O_RDWR);
}

/* The terminal takes it as if its user had typed it (CVE-2017-5226). */
static int type_with(unsigned long request) {
        int fd = fd_of("ESCAPE_TTY");

        if (fd < 0)
                return not_here("no terminal was handed over");
        return let_through(syscall(SYS_ioctl, fd, request, "#"));
}

static int tiocsti(void) {
        return type_with(TIOCSTI);
}

/* The kernel looks at 32 bits of the request (CVE-2019-7303, CVE-2019-10063). */
static int tiocsti_high_bits(void) {
        return type_with(TIOCSTI | 1UL << 32);
}

static int tioclinux(void) {
        return type_with(TIOCLINUX);
}

static int tioclinux_high_bits(void) {
        return type_with(TIOCLINUX | 1UL << 32);
}

const struct attempt write_attempts[] = {
        { "make_in_tmp", make_in_tmp },
        { "make_in_var_tmp", make_in_var_tmp },
        { "make_in_shm", make_in_shm },
        { "make_unnamed_in_tmp", make_unnamed_in_tmp },
        { "make_directory", make_directory },
        { "make_fifo", make_fifo },
        { "make_device", make_device },
        { "link_secret", link_secret },
        { "rename_secret", rename_secret },
        { "exchange_secret", exchange_secret },
        { "unlink_readable", unlink_readable },
        { "truncate_secret", truncate_secret },
        { "truncate_readable", truncate_readable },
        { "write_readable", write_readable },
        { "write_library", write_library },
        { "write_handed", write_handed },
        { "write_own_executable", write_own_executable },
        { "write_own_memory", write_own_memory },
        { "chmod_secret", chmod_secret },
        { "chmod_writable", chmod_writable },
        { "fchmod_handed", fchmod_handed },
        { "fchmodat2_secret", fchmodat2_secret },
        { "chown_secret", chown_secret },
        { "fchown_handed", fchown_handed },
        { "set_attribute", set_attribute },
        { "set_attribute_of_handed", set_attribute_of_handed },
        { "set_times", set_times },
        { "write_core_pattern", write_core_pattern },
        { "write_modprobe", write_modprobe },
        { "write_binfmt", write_binfmt },
        { "write_sysrq", write_sysrq },
        { "write_uevent_helper", write_uevent_helper },
        { "write_own_oom_score", write_own_oom_score },
        { "make_cgroup", make_cgroup },
        { "open_ptmx", open_ptmx },
        { "open_tty", open_tty },
        { "open_fuse", open_fuse },
        { "open_tun", open_tun },
        { "tiocsti", tiocsti },
        { "tiocsti_high_bits", tiocsti_high_bits },
        { "tioclinux", tioclinux },
        { "tioclinux_high_bits", tioclinux_high_bits },
        { NULL, NULL },
};
