/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"

/* --sandbox PROFILE[,WORD]…: each WORD is carried out by the function that its name stands for. */

typedef int word_function(struct cli_sandbox *sandbox, const char *value, uint32_t number);

/* wanted: what a value is that is none of -EINVAL's. */
static int fail_word(const struct cli_sandbox *sandbox, const char *value, int r, const char *wanted) {
        cli_complain("--sandbox: '%s%s': %s", sandbox->word, value, r == -EINVAL ? wanted : strerror(-r));
        return r;
}

/* ---- files, ports, mounts ---- */

static int add_path(struct cli_sandbox *sandbox, const char *path, uint32_t access) {
        int r = fsrv_sandbox_add_path(sandbox->sandbox, path, access);

        return r < 0 ? fail_word(sandbox, path, r, "a path is missing") : 0;
}

static int add_port(struct cli_sandbox *sandbox, const char *text, uint32_t access) {
        unsigned long port;
        int r = cli_parse_number("--sandbox: a port", text, 0, 65535, &port);

        if (r < 0)
                return r;
        r = fsrv_sandbox_add_port(sandbox->sandbox, (uint16_t)port, access);
        return r < 0 ? fail_word(sandbox, text, r, "a port is wanted") : 0;
}

static const char target_is_wanted[] = "the target has to be an absolute path without '..'";

/* SOURCE[:TARGET] */
static int add_bind(struct cli_sandbox *sandbox, const char *value, uint32_t kind) {
        char *source = strdup(value), *colon = source ? strchr(source, ':') : NULL;
        int r = -ENOMEM;

        if (colon)
                *colon = 0;
        if (source)
                r = fsrv_sandbox_add_mount(sandbox->sandbox, kind, source, colon ? colon + 1 : source);
        free(source);
        return r < 0 ? fail_word(sandbox, value, r, target_is_wanted) : 0;
}

static int add_mount(struct cli_sandbox *sandbox, const char *target, uint32_t kind) {
        int r = fsrv_sandbox_add_mount(sandbox->sandbox, kind, NULL, target);

        return r < 0 ? fail_word(sandbox, target, r, target_is_wanted) : 0;
}

static int unshare_one(struct cli_sandbox *sandbox, const char *value, uint32_t number) {
        static const char *const words[] = { "net", "ipc", "uts", "user", "mount", "cgroup", NULL };
        static const int namespaces[] = { CLONE_NEWNET,  CLONE_NEWIPC, CLONE_NEWUTS,
                                          CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWCGROUP };
        uint32_t i;

        (void)number;
        int r = cli_parse_word("--sandbox: unshare", value, words, &i);
        if (r == 0 && (r = fsrv_sandbox_unshare(sandbox->sandbox, namespaces[i])) < 0)
                fail_word(sandbox, value, r, "a namespace is wanted");
        return r;
}

/* ---- system calls ---- */

static int parse_group(const char *value, uint32_t *ret_group) {
        static const char *const words[] = { "exec",     "network", "sockets",    "others", "kernel",
                                             "metadata", "files",   "namespaces", "fork",   NULL };
        uint32_t i;
        int r = cli_parse_word("--sandbox: a group of system calls", value, words, &i);

        if (r == 0)
                *ret_group = 1u << i;
        return r;
}

static int refuse_group(struct cli_sandbox *sandbox, const char *value, uint32_t number) {
        uint32_t group = 0;

        (void)number;
        return parse_group(value, &group) < 0 ? -EINVAL : fsrv_sandbox_refuse(sandbox->sandbox, group);
}

static int allow_group(struct cli_sandbox *sandbox, const char *value, uint32_t number) {
        uint32_t group = 0;

        (void)number;
        return parse_group(value, &group) < 0 ? -EINVAL : fsrv_sandbox_allow(sandbox->sandbox, group);
}

static int set_filter(struct cli_sandbox *sandbox, const char *path, uint32_t number) {
        static char bytes[(4096 + 1) * 8];
        int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
        ssize_t n = 0, size = 0;

        (void)number;
        while (fd >= 0 && (size_t)size < sizeof bytes && (n = read(fd, bytes + size, sizeof bytes - (size_t)size)) > 0)
                size += n;
        if (fd < 0 || n < 0)
                r = -errno;
        else
                r = fsrv_sandbox_set_filter(sandbox->sandbox, bytes, (size_t)size);
        if (fd >= 0)
                close(fd);
        return r < 0 ? fail_word(sandbox, path, r, "not whole instructions of 8 bytes, as bwrap --seccomp has them")
                     : 0;
}

/* ---- limits and flags ---- */

static int set_limit(struct cli_sandbox *sandbox, const char *value, uint32_t number) {
        static const char *const names[] = { "CPU",    "FSIZE", "DATA",  "STACK",      "CORE",     "RSS",     "NPROC",
                                             "NOFILE", "AS",    "LOCKS", "SIGPENDING", "MSGQUEUE", "MEMLOCK", NULL };
        static const int resources[] = { RLIMIT_CPU,        RLIMIT_FSIZE,    RLIMIT_DATA,   RLIMIT_STACK, RLIMIT_CORE,
                                         RLIMIT_RSS,        RLIMIT_NPROC,    RLIMIT_NOFILE, RLIMIT_AS,    RLIMIT_LOCKS,
                                         RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK };
        const char *colon = strchr(value, ':');
        char name[16];
        uint64_t limit;
        uint32_t i;

        (void)number;
        if (!colon || (size_t)(colon - value) >= sizeof name) {
                cli_complain("--sandbox: limit '%s' is not NAME:VALUE", value);
                return -EINVAL;
        }
        memcpy(name, value, (size_t)(colon - value));
        name[colon - value] = 0;
        if (cli_parse_word("--sandbox: limit", name, names, &i) < 0 || cli_parse_size(colon + 1, &limit) < 0)
                return -EINVAL;
        return fsrv_sandbox_limit(sandbox->sandbox, resources[i], limit);
}

static int set_flag(struct cli_sandbox *sandbox, const char *value, uint32_t flag) {
        (void)value;
        sandbox->flags |= flag;
        return fsrv_sandbox_set_flags(sandbox->sandbox, sandbox->flags);
}

/* ---- words ---- */

static const struct word {
        const char *name; /* with '=' if it has a value */
        word_function *function;
        uint32_t number;
} words[] = {
        { "read=", add_path, FSRV_PATH_READ },
        { "exec=", add_path, FSRV_PATH_READ | FSRV_PATH_EXECUTE },
        { "write=", add_path, FSRV_PATH_READ | FSRV_PATH_WRITE },
        { "make=", add_path, FSRV_PATH_READ | FSRV_PATH_WRITE | FSRV_PATH_MAKE },
        { "connect=", add_port, FSRV_PORT_CONNECT },
        { "listen=", add_port, FSRV_PORT_BIND },
        { "refuse=", refuse_group, 0 },
        { "allow=", allow_group, 0 },
        { "filter=", set_filter, 0 },
        { "limit=", set_limit, 0 },
        { "unshare=", unshare_one, 0 },
        { "ro-bind=", add_bind, FSRV_MOUNT_BIND_READ_ONLY },
        { "bind=", add_bind, FSRV_MOUNT_BIND },
        { "tmpfs=", add_mount, FSRV_MOUNT_TMPFS },
        { "proc=", add_mount, FSRV_MOUNT_PROC },
        { "read-only=", add_mount, FSRV_MOUNT_READ_ONLY },
        { "new-root", set_flag, FSRV_SANDBOX_NEW_ROOT },
        { "kill", set_flag, FSRV_SANDBOX_KILL },
        { "spawn", set_flag, FSRV_SANDBOX_SPAWN },
        { "mdwe", set_flag, FSRV_SANDBOX_MDWE },
        { "strict", set_flag, FSRV_SANDBOX_STRICT },
};

static int take_word(struct cli_sandbox *sandbox, const char *text) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                size_t n = strlen(words[i].name);

                if (words[i].name[n - 1] == '=' ? strncmp(text, words[i].name, n) != 0
                                                : strcmp(text, words[i].name) != 0)
                        continue;
                sandbox->word = words[i].name;
                return words[i].function(sandbox, text + n, words[i].number);
        }
        cli_complain(
                "--sandbox: '%s' is none of its words ('forkserver check --help' lists them; '\\,' is a comma in a "
                "path)",
                text);
        return -EINVAL;
}

/* The next word up to a comma, which is cut off; "\," is a comma of the word's own. */
static char *cut_word(char **rest) {
        char *word = *rest, *to = word, *from = word;

        if (!word)
                return NULL;
        while (*from && *from != ',') {
                if (from[0] == '\\' && from[1] == ',')
                        from++;
                *to++ = *from++;
        }
        *rest = *from ? from + 1 : NULL;
        *to = 0;
        return word;
}

/* ---- options that are words ---- */

static const struct {
        int option;
        const char *word; /* with '=' if the option has a value */
} words_of_options[] = {
        { CLI_OPT_RO_BIND, "ro-bind=" },
        { CLI_OPT_BIND, "bind=" },
        { CLI_OPT_TMPFS, "tmpfs=" },
        { CLI_OPT_PROC, "proc=" },
        { CLI_OPT_SECCOMP_FILTER, "filter=" },
        { CLI_OPT_UNSHARE_NET, "unshare=net" },
        { CLI_OPT_UNSHARE_IPC, "unshare=ipc" },
        { CLI_OPT_UNSHARE_UTS, "unshare=uts" },
        { CLI_OPT_UNSHARE_USER, "unshare=user" },
        { CLI_OPT_UNSHARE_CGROUP, "unshare=cgroup" },
};

static int add_word(struct cli_sandbox *sandbox, const char *word, const char *value) {
        char **grown = reallocarray(sandbox->words, sandbox->n_words + 1, sizeof *grown);

        if (grown)
                sandbox->words = grown;
        if (!grown || asprintf(&grown[sandbox->n_words], "%s%s", word, value) < 0) {
                cli_complain("out of memory");
                return -ENOMEM;
        }
        sandbox->n_words++;
        return 0;
}

/* Of two the second would lift what the first one closes. */
int cli_sandbox_take(struct cli_sandbox *sandbox, const char *text) {
        if (sandbox->text) {
                cli_complain("--sandbox is given twice, '%s' and '%s': say all in one, with commas", sandbox->text,
                             text);
                return -EINVAL;
        }
        sandbox->text = text;
        return 0;
}

int cli_sandbox_take_option(struct cli_sandbox *sandbox, int c) {
        for (size_t i = 0; i < sizeof words_of_options / sizeof *words_of_options; i++)
                if (words_of_options[i].option == c)
                        return add_word(sandbox, words_of_options[i].word, optarg ? optarg : "");
        return 1;
}

/* ---- all of it ---- */

static int take_words(struct cli_sandbox *sandbox, char *text) {
        struct fsrv_error error = { 0 };
        char *rest = text;
        const char *word = cut_word(&rest);
        int r = fsrv_sandbox_new(word, &sandbox->sandbox, &error);

        if (r < 0) {
                cli_complain("--sandbox: %s", error.text);
                return r;
        }
        while (r == 0 && (word = cut_word(&rest)))
                r = take_word(sandbox, word);
        for (size_t i = 0; i < sandbox->n_words && r == 0; i++)
                r = take_word(sandbox, sandbox->words[i]);
        return r;
}

int cli_sandbox_make_and_report(struct cli_sandbox *sandbox,
                                void (*report)(const struct fsrv_sandbox_rule *rule, void *data), void *data) {
        struct fsrv_error error = { 0 };
        char *text = strdup(sandbox->text ? sandbox->text : "none");
        int r = text ? take_words(sandbox, text) : -ENOMEM;

        free(text);
        if (r == 0 && sandbox->strict)
                r = set_flag(sandbox, NULL, FSRV_SANDBOX_STRICT);
        if (r == 0 && (r = fsrv_sandbox_seal(sandbox->sandbox, report, data, &error)) < 0)
                cli_complain_error(&error);
        else if (r == -ENOMEM)
                cli_complain("out of memory");
        return r;
}

bool cli_sandbox_is_wanted(const struct cli_sandbox *sandbox) {
        return sandbox->text || sandbox->n_words;
}

int cli_sandbox_make(struct cli_sandbox *sandbox) {
        return cli_sandbox_is_wanted(sandbox) ? cli_sandbox_make_and_report(sandbox, NULL, NULL) : 0;
}

void cli_sandbox_done(struct cli_sandbox *sandbox) {
        sandbox->sandbox = fsrv_sandbox_unref(sandbox->sandbox);
        for (size_t i = 0; i < sandbox->n_words; i++)
                free(sandbox->words[i]);
        free(sandbox->words);
        sandbox->words = NULL;
        sandbox->n_words = 0;
}
