/* SPDX-License-Identifier: MIT */
/* The request's attributes, as words NAME=VALUE. */
#define _GNU_SOURCE
#include "spawner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 64 };

static struct fsrv_limit limits[MOST];
static gid_t groups[MOST];
static unsigned long processors[MOST];

struct field {
        const char *name;
        uint64_t bit;
        size_t offset;
        size_t size; /* 4, 8: a number; 0: none */
};

#define NUMBER(name, bit, member) \
        { \
                name, FSRV_ATTRIBUTE_##bit, offsetof(struct fsrv_attributes, member), \
                        sizeof(((struct fsrv_attributes *)0)->member) \
        }
#define ALONE(name, bit) \
        { name, FSRV_ATTRIBUTE_##bit, 0, 0 }

static const struct field fields[] = {
        NUMBER("nice", NICE, nice),
        NUMBER("scheduler", SCHEDULER, scheduler),
        NUMBER("priority", SCHEDULER, scheduler_priority),
        NUMBER("io_class", IO_PRIORITY, io_class),
        NUMBER("io_level", IO_PRIORITY, io_level),
        NUMBER("oom", OOM_SCORE_ADJ, oom_score_adj),
        NUMBER("slack", TIMER_SLACK, timer_slack_ns),
        NUMBER("uid", UID, uid),
        NUMBER("gid", GID, gid),
        NUMBER("effective", CAP_EFFECTIVE, cap_effective),
        NUMBER("permitted", CAP_PERMITTED, cap_permitted),
        NUMBER("inheritable", CAP_INHERITABLE, cap_inheritable),
        NUMBER("ambient", CAP_AMBIENT, cap_ambient),
        NUMBER("bounding", CAP_BOUNDING, cap_bounding),
        NUMBER("securebits", SECUREBITS, securebits),
        NUMBER("terminal", TERMINAL, terminal),
        NUMBER("pdeathsig", PDEATHSIG, pdeathsig),
        NUMBER("cgroup_fd", CGROUP_FD, cgroup_fd),
        NUMBER("dumpable", DUMPABLE, dumpable),
        NUMBER("ruleset_fd", RULESET, ruleset_fd),
        NUMBER("affinity_size", AFFINITY, affinity_size),
        ALONE("no_new_privs", NO_NEW_PRIVS),
        ALONE("mdwe", MDWE),
        ALONE("keyring", KEYRING),
};

static void add_limit(struct fsrv_attributes *attributes, const char *value) {
        struct fsrv_limit *limit = &limits[attributes->n_limits++];
        char *end;

        limit->resource = (int)strtol(value, &end, 0);
        limit->soft = limit->hard = FSRV_LIMIT_SAME;
        if (end[1] != ':')
                limit->soft = strtoull(end + 1, &end, 0);
        else
                end++;
        if (end[0] == ':')
                limit->hard = strtoull(end + 1, &end, 0);
        attributes->mask |= FSRV_ATTRIBUTE_LIMITS;
        attributes->limits = limits;
}

/* The fd of a ruleset by which nothing but what is below the path can be read; kept until the next. */
static int make_ruleset(const char *path) {
        enum { READ = 1 << 2 | 1 << 3 };
        static int ruleset = -1;
        const uint64_t handled = READ;
        struct {
                uint64_t access;
                int parent;
        } __attribute__((packed)) rule = { READ, open(path, O_PATH | O_CLOEXEC) };

        close(ruleset);
        ruleset = (int)syscall(444, &handled, sizeof handled, 0); /* landlock_create_ruleset */
        syscall(445, ruleset, 1, &rule, 0);                       /* landlock_add_rule */
        close(rule.parent);
        return ruleset;
}

static void read_list(struct fsrv_attributes *attributes, const char *name, char *value) {
        if (strcmp(name, "affinity") == 0) {
                processors[0] = strtoul(value, NULL, 0);
                attributes->affinity = processors;
                attributes->affinity_size = sizeof processors;
                attributes->mask |= FSRV_ATTRIBUTE_AFFINITY;
                return;
        }
        for (char *word = strtok(value, ","); word; word = strtok(NULL, ","))
                groups[attributes->n_groups++] = (gid_t)atoi(word);
        attributes->groups = groups;
        attributes->mask |= FSRV_ATTRIBUTE_GROUPS;
}

static void read_number(struct fsrv_attributes *attributes, const char *name, const char *value) {
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
                const uint64_t number = strtoull(value, NULL, 0);

                if (strcmp(name, fields[i].name) != 0)
                        continue;
                attributes->mask |= fields[i].bit;
                memcpy((char *)attributes + fields[i].offset, &number, fields[i].size); /* the least byte is first */
                return;
        }
        fprintf(stderr, "spawner: no attribute '%s'\n", name);
        exit(2);
}

/* attributes [NAME=VALUE]… */
void do_attributes(int argc, char **argv) {
        struct fsrv_attributes attributes = { .size = sizeof attributes };

        for (int i = 1; i < argc; i++) {
                char *value = strchr(argv[i], '=');

                if (value)
                        *value++ = 0;
                else
                        value = argv[i] + strlen(argv[i]);
                if (strcmp(argv[i], "size") == 0)
                        attributes.size = (size_t)atoi(value);
                else if (strcmp(argv[i], "mask") == 0)
                        attributes.mask = strtoull(value, NULL, 0);
                else if (strcmp(argv[i], "limit") == 0)
                        add_limit(&attributes, value);
                else if (strcmp(argv[i], "title") == 0) {
                        attributes.title = value;
                        attributes.mask |= FSRV_ATTRIBUTE_TITLE;
                } else if (strcmp(argv[i], "cgroup") == 0) {
                        attributes.cgroup = value;
                        attributes.mask |= FSRV_ATTRIBUTE_CGROUP;
                } else if (strcmp(argv[i], "ruleset") == 0) {
                        attributes.ruleset_fd = make_ruleset(value);
                        attributes.mask |= FSRV_ATTRIBUTE_RULESET;
                } else if (strcmp(argv[i], "affinity") == 0 || strcmp(argv[i], "groups") == 0)
                        read_list(&attributes, argv[i], value);
                else
                        read_number(&attributes, argv[i], value);
        }
        say(fsrv_request_set_attributes(current_request(), &attributes, fresh_error()));
}
