/* SPDX-License-Identifier: MIT */
/* seeds DIRECTORY: writes inputs that are in order, from which the targets start, into DIRECTORY/TARGET/. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/config.h"
#include "wire/loaded.h"
#include "wire/messages.h"
#include "wire/request_codec.h"
#include "wire/sandbox_codec.h"

static const char *directory;

struct seed {
        char bytes[8192];
        size_t n;
};

static void put(struct seed *seed, const void *bytes, size_t n) {
        memcpy(seed->bytes + seed->n, bytes, n);
        seed->n += n;
}

static void put_byte(struct seed *seed, unsigned byte) {
        seed->bytes[seed->n++] = (char)byte;
}

/* As fuzz_message() reads it. */
static void put_message(struct seed *seed, const void *bytes, size_t n) {
        if (n > 250) {
                put_byte(seed, 255);
                put_byte(seed, (unsigned)(n >> 8));
                put_byte(seed, (unsigned)n & 255);
        } else {
                put_byte(seed, (unsigned)n);
        }
        put(seed, bytes, n);
}

static void save(const char *target, const char *name, struct seed *seed) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", directory, target);
        mkdir(directory, 0777);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/%s/%s", directory, target, name);
        FILE *file = fopen(path, "we");
        if (!file || fwrite(seed->bytes, 1, seed->n, file) != seed->n || fclose(file) != 0) {
                perror(path);
                exit(1);
        }
        seed->n = 0;
}

/* ---- requests ---- */

static const struct {
        struct fsrv__wire_attributes head;
        uint64_t processors;
        uint32_t groups[2];
        char title[4];
} attributes = {
        .head = { .mask = FSRV_WIRE_ATTRIBUTES & ~FSRV_ATTRIBUTE_CGROUP,
                  .limits = 1u << 7,
                  .limit = { [7] = { 10, 20 } },
                  .affinity_size = 8,
                  .n_groups = 2,
                  .title_size = 4 },
        .processors = 1,
        .groups = { 1, 2 },
        .title = "abc",
};

static void encode(uint32_t kind, uint32_t flags, uint32_t n_fds, char **ret_bytes, size_t *ret_size) {
        static const struct fsrv__wire_action actions[] = {
                { .type = FSRV_WIRE_INSTALL, .source = 0, .target = 20 },
                { .type = FSRV_WIRE_DUP, .source = 20, .target = 21 },
                { .type = FSRV_WIRE_OPEN, .target = 22 },
                { .type = FSRV_WIRE_CLOSE, .target = 21 },
                { .type = FSRV_WIRE_HAND, .source = 1 },
                { .type = FSRV_WIRE_DATA, .source = 1 },
        };
        char *argv[] = { "a", "", "c c", NULL }, *environment[] = { "A=1", "B=2", NULL }, *paths[] = { "/x", NULL };
        struct fsrv__request_parts parts = {
                .head = { .kind = kind,
                          .flags = flags,
                          .n_fds = n_fds,
                          .n_actions = 6,
                          .umask = 022,
                          .payload_size = 3 },
                .actions = actions,
                .attributes = n_fds & 1 ? &attributes.head : NULL,
                .name = "m:f",
                .search = "/bin",
                .directory = "/",
                .argv = argv,
                .environment = environment,
                .paths = paths,
                .payload = "pay",
        };

        if (fsrv__request_encode(&parts, ret_bytes, ret_size) < 0)
                exit(1);
        ((struct fsrv__wire_request *)*ret_bytes)->n_fds_here = n_fds < 8 ? n_fds : 8;
}

static void save_requests(void) {
        static const uint32_t flags[] = { 0, FSRV_WIRE_BODY_IN_MEMFD, FSRV_WIRE_HAS_STATUS | FSRV_WIRE_HAS_TRACKER,
                                          FSRV_WIRE_KILL_ON_CLOSE };
        struct seed seed = { .n = 0 };

        for (size_t i = 0; i < 16; i++) {
                const size_t head = sizeof(struct fsrv__wire_request);
                uint32_t n_fds = (i & 4 ? 20 : 2) | (i >= 8); /* an odd number: with attributes */
                char *bytes, name[2] = { (char)('a' + i), 0 };
                size_t size;

                encode(1 + i % 2, flags[i % 4], n_fds, &bytes, &size);
                put(&seed, bytes, size);
                save("request", name, &seed);

                bool in_memfd = flags[i % 4] & FSRV_WIRE_BODY_IN_MEMFD;
                put_byte(&seed, 3); /* version and size are put right */
                put_byte(&seed, 255);
                put_message(&seed, bytes, in_memfd ? head : size);
                if (in_memfd)
                        put_message(&seed, bytes + head, size - head);
                if (i & 4) { /* 8 of 20 came at once */
                        put(&seed, "\5\0", 2);
                        put(&seed, "\7\0", 2);
                        if (n_fds & 1)
                                put(&seed, "\1\0", 2);
                }
                save("standby", name, &seed);
                free(bytes);
        }
}

/* ---- control ---- */

static void save_control(void) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        char *modules[] = { "a.so", "__main__", NULL }, *argv[] = { "prog", "x", NULL };
        struct fsrv__config config = { .path = "/s", .argv = argv, .modules = modules };
        struct seed seed = { .n = 0 };
        size_t size;

        put_byte(&seed, 0);
        put(&seed, bytes, (size_t)fsrv__config_encode(&config, bytes));
        save("control", "config", &seed);

        fsrv__loaded_begin(bytes, &size, 0, "");
        fsrv__loaded_add_thread(bytes, &size, "thread");
        fsrv__loaded_add_fd(bytes, &size, 5, "pipe", "pipe:[1]");
        put_byte(&seed, 1);
        put(&seed, bytes, size);
        save("control", "loaded", &seed);
}

/* ---- messages ---- */

static void save_messages(void) {
        struct fsrv__wire_claim claim = { .type = FSRV_WIRE_CLAIM, .flags = FSRV_WIRE_HAS_STATUS };
        struct fsrv__wire_request request = { .version = FSRV_WIRE_VERSION, .kind = FSRV_WIRE_ENTRY, .n_fds_here = 3 };
        struct fsrv__wire_reply reply = { .version = FSRV_WIRE_VERSION };
        struct seed seed = { .n = 0 };

        put_byte(&seed, FSRV_TABLE_CLAIMS);
        put(&seed, "\0\2\0", 3);
        put(&seed, &claim, sizeof claim);
        save("messages", "claim", &seed);
        put_byte(&seed, FSRV_TABLE_DOORBELL);
        put(&seed, "\0\7\1", 3);
        put(&seed, &request, sizeof request);
        save("messages", "request", &seed);
        put_byte(&seed, FSRV_TABLE_REPLIES);
        put(&seed, "\2\1\1", 3);
        put(&seed, &reply, sizeof reply);
        save("messages", "reply", &seed);
}

/* ---- what a server hears: steps of server.c ---- */

enum {
        CLAIM = 0,
        ON_CLAIMS = 1,
        ORDER = 2,
        PEER = 3,
        RING = 4,
        CHILD_DIES = 5,
        HANG_UP = 6,
        ZYGOTE_DIES = 7,
        TIME = 8,
        REFUSE = 11
};

static void step(struct seed *seed, unsigned number, unsigned n_fds, const void *bytes, size_t n) {
        put_byte(seed, number);
        put_byte(seed, n_fds);
        put_message(seed, bytes, n);
}

static void claim(struct seed *seed, uint32_t type, uint32_t flags, uint64_t limit) {
        struct fsrv__wire_claim claim = { .type = type, .flags = flags, .stage = 5, .time_limit_ms = limit };

        step(seed, CLAIM, (unsigned)fsrv__message_count_fds(FSRV_TABLE_CLAIMS, &claim), &claim, sizeof claim);
        put_byte(seed, ON_CLAIMS);
}

static void save_server(void) {
        static char bytes[FSRV_WIRE_MESSAGE_MAX];
        struct seed seed = { .n = 0 };
        char name[16];

        put_byte(&seed, 8); /* a standby is there */
        claim(&seed, FSRV_WIRE_CLAIM, FSRV_WIRE_HAS_STATUS, 100);
        put(&seed, "\5\1\0", 3);
        save("server", "claim", &seed);
        put_byte(&seed, 0);
        claim(&seed, FSRV_WIRE_CLAIM, FSRV_WIRE_KILL_ON_CLOSE, 100);
        claim(&seed, FSRV_WIRE_SETUP_FAILED, 0, 0);
        put(&seed, "\6\0\10\1\1\5\1\0", 8);
        save("server", "stray", &seed);
        for (uint32_t type = FSRV_WIRE_LOADING; type <= FSRV_WIRE_LEFT_OUT; type++) {
                struct fsrv__wire_order order = { .type = type, .err = 5, .value = 77, .text = "text" };
                bool has_text = fsrv__message_check(FSRV_TABLE_FROM_ZYGOTE, &order, sizeof order) == 0;
                put_byte(&seed, type == FSRV_WIRE_FORKED || type == FSRV_WIRE_CANNOT_FORK ? 1 : 3);
                step(&seed, ORDER, 0, &order, has_text ? sizeof order : offsetof(struct fsrv__wire_order, text));
                put(&seed, "\7\1\11", 3);
                snprintf(name, sizeof name, "order%u", type);
                save("server", name, &seed);
        }
        size_t size;
        fsrv__loaded_begin(bytes, &size, 2, "why");
        fsrv__loaded_add_thread(bytes, &size, "thread");
        fsrv__loaded_add_fd(bytes, &size, 5, "pipe", "pipe:[1]");
        put_byte(&seed, 3);
        step(&seed, ORDER, 0, bytes, size);
        save("server", "loaded", &seed);
        struct fsrv__wire_memory memory = { .type = FSRV_WIRE_MEMORY, .why = "why" };
        put_byte(&seed, 3);
        step(&seed, ORDER, 0, &memory, sizeof memory);
        save("server", "memory", &seed);
        for (uint32_t type = 1; type <= FSRV_WIRE_ADMIN_CONNECT; type++) {
                struct fsrv__wire_admin admin = { FSRV_WIRE_VERSION, type };
                put_byte(&seed, 5);
                step(&seed, PEER, type == FSRV_WIRE_ADMIN_CONNECT, &admin, sizeof admin);
                snprintf(name, sizeof name, "admin%u", type);
                save("server", name, &seed);
        }
        put(&seed, "\0\13\377", 3);
        step(&seed, RING, 5, "request", 7);
        save("server", "refusal", &seed);
}

/* ---- what a client hears ---- */

static void say(struct seed *seed, unsigned n_fds, const void *bytes, size_t n) {
        put_byte(seed, n_fds);
        put_message(seed, bytes, n);
}

static void save_client(void) {
        struct fsrv__wire_started started = { .type = FSRV_WIRE_STARTED, .pid = 77, .fds = FSRV_WIRE_HAS_PIDFD };
        struct fsrv__wire_failed failed = { .type = FSRV_WIRE_FAILED, .pid = 77, .stage = 5, .err = 2, .text = "text" };
        struct fsrv__wire_exited exited = { .type = FSRV_WIRE_EXITED, .pid = 77, .code = 1, .status = 3 };
        struct fsrv__wire_reply reply = { .version = FSRV_WIRE_VERSION };
        struct fsrv__wire_stats stats = { .reply = reply };
        struct seed seed = { .n = 0 };

        put_byte(&seed, 4);
        say(&seed, 1, &started, sizeof started);
        say(&seed, 0, &exited, sizeof exited);
        save("client", "entry", &seed);
        started.fds |= FSRV_WIRE_HAS_EXEC_PIPE;
        put_byte(&seed, 6);
        say(&seed, 2, &started, sizeof started);
        save("client", "program", &seed);
        put_byte(&seed, 4);
        say(&seed, 0, &failed, sizeof failed);
        save("client", "failed", &seed);
        put_byte(&seed, 4);
        say(&seed, 0, &exited, sizeof exited);
        save("client", "exited", &seed);
        put_byte(&seed, 3);
        say(&seed, 1, &reply, sizeof reply);
        save("client", "attach", &seed);
        put_byte(&seed, 1);
        say(&seed, 0, &stats, sizeof stats);
        save("client", "stats", &seed);
        reply.err = 13;
        put_byte(&seed, 1);
        say(&seed, 0, &reply, sizeof reply);
        save("client", "refused", &seed);
}

static void save_sandboxes(void) {
        char *const paths[] = { "/usr", "/srv/in" };
        char *const mounts[] = { "/", "/", "", "/tmp" };
        const struct fsrv__wire_path accesses[] = { { FSRV_PATH_READ }, { FSRV_PATH_WRITE } };
        const struct fsrv__wire_mount kinds[] = { { FSRV_MOUNT_BIND_READ_ONLY }, { FSRV_MOUNT_TMPFS } };
        const struct fsrv__wire_port port = { 443, FSRV_PORT_CONNECT };
        const uint64_t filter = 6;
        struct seed seed = { .n = 0 };

        for (uint32_t i = 0; i < 16; i++) {
                struct fsrv__sandbox_parts parts = { .head = { .flags = i * 37 % FSRV_LOCK_FLAGS,
                                                               .refused = i * 71 % 512,
                                                               .limits = i,
                                                               .n_filter = i & 1,
                                                               .n_ports = i >> 1 & 1,
                                                               .n_paths = i & 4 ? 2 : 0,
                                                               .n_mounts = i & 8 ? 2 : 0 },
                                                     .filter = &filter,
                                                     .ports = &port,
                                                     .paths = accesses,
                                                     .mounts = kinds,
                                                     .profile = "untrusted",
                                                     .path_names = paths,
                                                     .mount_names = mounts };
                char *bytes, name[2] = { (char)('a' + i), 0 };
                size_t size;

                if (fsrv__sandbox_encode(&parts, &bytes, &size) < 0)
                        exit(1);
                put(&seed, bytes, size);
                save("sandbox", name, &seed);
                free(bytes);
        }
}

static void save_tracker(void) {
        static const char *const lines[] = {
                "REGISTER:/a:semaphore\nREGISTER:/b:shared_memory\nUNREGISTER:/a:semaphore\n",
                "PROBE:0:noop\n",
                "REGISTER:a:b:dummy\nREGISTER:x:semaphore\n",
                "{\"cmd\":\"REGISTER\",\"rtype\":\"shared_memory\",\"base64_name\":\"L2EKYg==\"}\n",
        };
        struct seed seed = { .n = 0 };

        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                char name[2] = { (char)('a' + i), 0 };
                put_message(&seed, lines[i], strlen(lines[i]));
                save("tracker", name, &seed);
        }
}

int main(int argc, char **argv) {
        if (argc != 2)
                return 2;
        directory = argv[1];
        save_requests();
        save_control();
        save_sandboxes();
        save_messages();
        save_server();
        save_client();
        save_tracker();
        return 0;
}
