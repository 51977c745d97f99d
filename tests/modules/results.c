/* SPDX-License-Identifier: MIT */
/* Entry points that give something back, or should have. */
#define _GNU_SOURCE
#include <forkserver.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const void *input;
static size_t input_size;

static void take_input(void) {
        fsrv_worker_get_payload(&input, &input_size);
}

/* The input as it came. */
int echo(int argc, char **argv) {
        (void)argc, (void)argv;
        take_input();
        return fsrv_worker_set_result(input, input_size) < 0;
}

/* As many bytes as the argument says, each 7. */
int fill(int argc, char **argv) {
        size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
        void *bytes;

        if (fsrv_worker_result_buffer(n, &bytes) < 0)
                return 9;
        memset(bytes, 7, n);
        return 0;
}

/* The same, copied. */
int copy(int argc, char **argv) {
        size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
        char *bytes = malloc(n + 1);

        memset(bytes, 7, n);
        return fsrv_worker_set_result(bytes, n) < 0;
}

int nothing(int argc, char **argv) {
        (void)argc, (void)argv;
        return 0;
}

int crash(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("lost", 4);
        abort();
}

int exit_3(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("lost", 4);
        return 3;
}

int print_too(int argc, char **argv) {
        puts("printed");
        return echo(argc, argv);
}

int call_exit(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("last words", 10);
        exit(0);
}

int call_quick_exit(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("lost", 4);
        _exit(0);
}

int fail_by_name(int argc, char **argv) {
        fsrv_worker_set_result("lost", 4);
        fsrv_worker_fail(42, "no \033[31mred\n wine");
        return argc > 1 ? atoi(argv[1]) : 0;
}

/* The last of them counts. */
int twice(int argc, char **argv) {
        void *bytes;

        (void)argc, (void)argv;
        fsrv_worker_fail(1, "forgotten");
        fsrv_worker_set_result("first", 5);
        fsrv_worker_result_buffer(100000, &bytes);
        fsrv_worker_set_result("second", 6);
        return 0;
}

int close_all(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("lost", 4);
        for (int fd = 0; fd < 1024; fd++)
                close(fd);
        return 0;
}

static void write_everywhere(const void *bytes, size_t n) {
        signal(SIGPIPE, SIG_IGN);
        for (int fd = 3; fd < 256; fd++)
                if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
                        (void)!write(fd, bytes, n);
}

int write_noise(int argc, char **argv) {
        static char noise[40000];

        (void)argc, (void)argv;
        memset(noise, 0xA5, sizeof noise);
        write_everywhere(noise, sizeof noise);
        return 0;
}

/* What looks like a result of many bytes, and like one in a memfd that doesn't come. */
int write_lies(int argc, char **argv) {
        const uint32_t small[] = { 1, 0, 1000, 0, 7 }, large[] = { 2, 0, 100000, 0 };

        (void)argv;
        if (argc > 1)
                write_everywhere(large, sizeof large);
        else
                write_everywhere(small, sizeof small);
        return 0;
}

/* A good result, sent by hand, and then a death. */
int answer_and_crash(int argc, char **argv) {
        const uint32_t small[] = { 1, 0, 4, 0, 7 };

        (void)argc, (void)argv;
        write_everywhere(small, sizeof small);
        abort();
}

/* A large result in a memfd that can still shrink. */
int send_unsealed(int argc, char **argv) {
        const uint32_t large[] = { 2, 0, 100000, 0 };
        int memfd = memfd_create("unsealed", MFD_ALLOW_SEALING);
        struct iovec bytes = { (void *)large, sizeof large };
        char room[CMSG_SPACE(sizeof memfd)] = { 0 };
        struct msghdr message = {
                .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room
        };

        (void)argc, (void)argv;
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){ CMSG_LEN(sizeof memfd), SOL_SOCKET, SCM_RIGHTS };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &memfd, sizeof memfd);
        if (ftruncate(memfd, 100000) < 0)
                return 1;
        for (int fd = 3; fd < 256; fd++)
                sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        return 0;
}

int let_a_child_answer(int argc, char **argv) {
        pid_t pid;

        (void)argc, (void)argv;
        fsrv_worker_set_result("parent", 6);
        pid = fork();
        if (pid == 0) {
                fsrv_worker_set_result("child", 5);
                exit(0);
        }
        waitpid(pid, NULL, 0);
        return 0;
}

int hang(int argc, char **argv) {
        (void)argc, (void)argv;
        fsrv_worker_set_result("lost", 4);
        for (;;)
                pause();
}

int say_and_hang(int argc, char **argv) {
        printf("%d\n", (int)getpid());
        fflush(stdout);
        return hang(argc, argv);
}

/* Under a limit of memory; what it is told is the result. */
int with_little_memory(int argc, char **argv) {
        const struct rlimit limit = { 64 << 20, 64 << 20 };
        char text[64];
        void *bytes;

        (void)argc, (void)argv;
        setrlimit(RLIMIT_AS, &limit);
        int n = snprintf(text, sizeof text, "%d", fsrv_worker_result_buffer((size_t)1 << 30, &bytes));
        return fsrv_worker_set_result(text, (size_t)n) < 0;
}

/* The input's size, and its last byte. */
int measure(int argc, char **argv) {
        char text[64];

        (void)argc, (void)argv;
        take_input();
        int n = snprintf(text, sizeof text, "%zu", input_size);
        if (input_size > 0)
                text[n++] = ((const char *)input)[input_size - 1];
        return fsrv_worker_set_result(text, (size_t)n) < 0;
}

/* The input is a file, which is emptied before it is read. */
int empty_first(int argc, char **argv) {
        take_input();
        return argc < 2 || truncate(argv[1], 0) < 0 || measure(argc, argv);
}

/* The input is changed here, and nowhere else. */
int shout(int argc, char **argv) {
        take_input();
        for (size_t i = 0; i < input_size; i++)
                ((char *)input)[i] &= (char)~0x20;
        return echo(argc, argv);
}

/* It dies in half of its processes: those of an odd pid. */
int die_if_odd(int argc, char **argv) {
        if (getpid() % 2)
                abort();
        return echo(argc, argv);
}

int say_outside(int argc, char **argv) {
        (void)argc, (void)argv;
        return fsrv_worker_set_result("x", 1) == -107 /* ENOTCONN: no result is wanted */ ? 0 : 1;
}
