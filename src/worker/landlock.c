/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/locks.h"
#include "base/syscall_numbers.h"

/* Rights that a file can have which isn't a directory; the kernel refuses others there. */
#define OF_FILES \
        (FSRV_LANDLOCK_EXECUTE | FSRV_LANDLOCK_WRITE_FILE | FSRV_LANDLOCK_READ_FILE | FSRV_LANDLOCK_TRUNCATE | \
         FSRV_LANDLOCK_IOCTL_DEV)
#define OF_MAKING \
        (FSRV_LANDLOCK_REMOVE_DIR | FSRV_LANDLOCK_REMOVE_FILE | FSRV_LANDLOCK_MAKE_DIR | FSRV_LANDLOCK_MAKE_REG | \
         FSRV_LANDLOCK_MAKE_SOCK | FSRV_LANDLOCK_MAKE_FIFO | FSRV_LANDLOCK_MAKE_SYM | FSRV_LANDLOCK_REFER)

enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

struct path_beneath {
        uint64_t access;
        int32_t parent;
} __attribute__((packed));

struct net_port {
        uint64_t access, port;
};

/* What this ABI knows of files. */
static uint64_t files_of(int abi) {
        uint64_t known = (FSRV_LANDLOCK_MAKE_SYM << 1) - 1;

        if (abi >= 2)
                known |= FSRV_LANDLOCK_REFER;
        if (abi >= 3)
                known |= FSRV_LANDLOCK_TRUNCATE;
        if (abi >= 5)
                known |= FSRV_LANDLOCK_IOCTL_DEV;
        return known;
}

/* A ruleset has to handle something. What is handled here for that takes nothing away: to move files to another
 * directory, which is allowed again (each domain forbids it otherwise); on ABI 1, which allows it never, to make block
 * devices, which takes a capability anyway. */
static uint64_t nothing_of(int abi) {
        return abi >= 2 ? FSRV_LANDLOCK_REFER : FSRV_LANDLOCK_MAKE_BLOCK;
}

static struct fsrv__landlock_handled handled_by(int abi, const struct fsrv__sandbox_parts *sandbox) {
        uint32_t flags = sandbox->head.flags;
        struct fsrv__landlock_handled handled = { 0 };

        if (flags & FSRV_LOCK_TCP && abi >= 4)
                handled.net = FSRV_LANDLOCK_BIND_TCP | FSRV_LANDLOCK_CONNECT_TCP;
        if (flags & FSRV_LOCK_SCOPES && abi >= 6)
                handled.scopes = FSRV_LANDLOCK_ABSTRACT_UNIX | FSRV_LANDLOCK_SIGNAL;
        if (flags & FSRV_LOCK_FILES)
                handled.files = files_of(abi);
        else if (flags & (FSRV_LOCK_TCP | FSRV_LOCK_APART | FSRV_LOCK_SCOPES))
                handled.files = nothing_of(abi);
        return handled;
}

static uint64_t rights_of(uint32_t access) {
        uint64_t rights = 0;

        if (access & FSRV_PATH_READ)
                rights |= FSRV_LANDLOCK_READ_FILE | FSRV_LANDLOCK_READ_DIR;
        if (access & FSRV_PATH_EXECUTE)
                rights |= FSRV_LANDLOCK_EXECUTE;
        if (access & FSRV_PATH_WRITE)
                rights |= FSRV_LANDLOCK_WRITE_FILE | FSRV_LANDLOCK_TRUNCATE | FSRV_LANDLOCK_IOCTL_DEV;
        if (access & FSRV_PATH_MAKE)
                rights |= OF_MAKING;
        return rights;
}

static int add_path(int ruleset, const char *path, uint32_t access, uint64_t known, struct fsrv_error *error) {
        FSRV_CLEANUP_FD int fd = fsrv__open(path, O_PATH);
        struct path_beneath rule = { .access = rights_of(access) & known, .parent = fd };
        struct stat st;

        if (fd < 0 && access & FSRV_WIRE_PATH_OPTIONAL)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, fd < 0 ? -fd : errno, "the sandbox's path '%s'", path);
        if (!S_ISDIR(st.st_mode))
                rule.access &= OF_FILES;
        if (rule.access == 0)
                return 0;
        long r = fsrv__call(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
        /* A file of a file system without a place, such as a pipe's, is open to everybody. */
        return r < 0 && r != -EBADFD ? fsrv__fail(error, FSRV_STAGE_SANDBOX, (int)-r, "landlock for '%s'", path) : 0;
}

static int add_port(int ruleset, const struct fsrv__wire_port *port, struct fsrv_error *error) {
        struct net_port rule = { .port = port->port };

        if (port->access & FSRV_PORT_BIND)
                rule.access |= FSRV_LANDLOCK_BIND_TCP;
        if (port->access & FSRV_PORT_CONNECT)
                rule.access |= FSRV_LANDLOCK_CONNECT_TCP;
        long r = fsrv__call(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, (int)-r, "landlock for port %u", port->port) : 0;
}

static int allow_moving(int ruleset) {
        FSRV_CLEANUP_FD int root = fsrv__open("/", O_PATH);
        struct path_beneath rule = { .access = FSRV_LANDLOCK_REFER, .parent = root };

        return root < 0 ? root : (int)fsrv__call(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

static int add_rules(int ruleset, const struct fsrv__landlock_handled *handled,
                     const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error) {
        bool has_files = sandbox->head.flags & FSRV_LOCK_FILES;
        int r = 0;

        if (!has_files && handled->files & FSRV_LANDLOCK_REFER && (r = allow_moving(ruleset)) < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "landlock for '/'");
        for (uint32_t i = 0; i < sandbox->head.n_paths && has_files && r == 0; i++)
                r = add_path(ruleset, sandbox->path_names[i], sandbox->paths[i].access, handled->files, error);
        for (uint32_t i = 0; i < sandbox->head.n_ports && handled->net && r == 0; i++)
                r = add_port(ruleset, &sandbox->ports[i], error);
        return r;
}

int fsrv__landlock_enter(const struct fsrv__sandbox_parts *sandbox, struct fsrv_error *error) {
        int abi = fsrv__landlock_abi();
        struct fsrv__landlock_handled handled = handled_by(abi, sandbox);

        if (abi == 0 || (handled.files | handled.net | handled.scopes) == 0)
                return 0;
        FSRV_CLEANUP_FD int ruleset = fsrv__fd_raise(fsrv__landlock_new(abi, &handled));
        if (ruleset < 0)
                return fsrv__fail(error, FSRV_STAGE_SANDBOX, -ruleset, "a landlock ruleset");
        int r = add_rules(ruleset, &handled, sandbox, error);
        if (r < 0)
                return r;
        r = fsrv__landlock_restrict(ruleset);
        return r < 0 ? fsrv__fail(error, FSRV_STAGE_SANDBOX, -r, "landlock") : 0;
}

int fsrv__landlock_restrict(int ruleset) {
        return (int)fsrv__call(SYS_landlock_restrict_self, ruleset, 0);
}

/* Whether files can be moved at all: else there is nothing that a further domain would have to allow again. */
static bool can_move(const struct fsrv__sandbox_parts *sandbox) {
        for (uint32_t i = 0; i < sandbox->head.n_paths; i++)
                if (sandbox->paths[i].access & FSRV_PATH_MAKE)
                        return true;
        return !(sandbox->head.flags & FSRV_LOCK_FILES);
}

/* As few rules as can be: each standby copies them. */
int fsrv__landlock_apart(const struct fsrv__sandbox_parts *sandbox) {
        int abi = fsrv__landlock_abi();
        bool scopes = sandbox->head.flags & FSRV_LOCK_SCOPES && abi >= 6;
        struct fsrv__landlock_handled handled = { 0 };

        if (abi == 0)
                return -ENOSYS;
        if (scopes)
                handled.scopes = FSRV_LANDLOCK_ABSTRACT_UNIX | FSRV_LANDLOCK_SIGNAL;
        if (!scopes || can_move(sandbox))
                handled.files = nothing_of(abi);
        FSRV_CLEANUP_FD int ruleset = fsrv__fd_raise(fsrv__landlock_new(abi, &handled));
        int r = ruleset;
        if (ruleset >= 0 && handled.files & FSRV_LANDLOCK_REFER)
                r = allow_moving(ruleset);
        return r < 0 ? r : fsrv__fd_steal(&ruleset);
}
