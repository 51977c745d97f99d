/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "jails.h"

#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "forkserver.h"

extern char **environ;

struct fsrv_sandbox *make_sandbox(const char *profile, int number) {
        struct fsrv_sandbox *sandbox;
        struct fsrv_error error = { 0 };
        bool has_net = strcmp(profile, "network") == 0;
        int r = fsrv_sandbox_new(has_net ? "untrusted" : profile, &sandbox, &error);

        if (r == 0 && has_net)
                r = fsrv_sandbox_unshare(sandbox, CLONE_NEWNET);
        if (r == 0)
                r = fsrv_sandbox_limit(sandbox, RLIMIT_NOFILE, 256 + (uint64_t)number);
        if (r == 0)
                r = fsrv_sandbox_seal(sandbox, NULL, NULL, &error);
        if (r < 0) {
                fprintf(stderr, "loops: sandbox %s: %s\n", profile, error.text);
                exit(1);
        }
        return sandbox;
}

static const char *const bwrap[] = { "bwrap",         "--ro-bind",
                                     "/usr",          "/usr",
                                     "--symlink",     "usr/lib",
                                     "/lib",          "--symlink",
                                     "usr/lib64",     "/lib64",
                                     "--symlink",     "usr/bin",
                                     "/bin",          "--dev",
                                     "/dev",          "--tmpfs",
                                     "/tmp",          "--unshare-user",
                                     "--unshare-ipc", "--unshare-pid",
                                     "--unshare-net", "--unshare-uts",
                                     "--cap-drop",    "ALL",
                                     "--new-session", "--die-with-parent",
                                     "/bin/true",     NULL };
static const char *const minijail[] = { "minijail0", "-n", "-v", "-p", "-l", "-e", "-r", "-c", "0", "/bin/true", NULL };
static const char *const firejail[] = { "firejail",  "--quiet",      "--noprofile",   "--net=none", "--caps.drop=all",
                                        "--seccomp", "--nonewprivs", "--private-tmp", "/bin/true",  NULL };
static const char *const *const jails[] = { bwrap, minijail, firejail };

pid_t start_jail(const char *name) {
        for (size_t i = 0; i < sizeof jails / sizeof *jails; i++) {
                pid_t pid;
                if (strcmp(jails[i][0], name) == 0)
                        return posix_spawnp(&pid, name, NULL, NULL, (char *const *)jails[i], environ) == 0 ? pid : -1;
        }
        return -1;
}
