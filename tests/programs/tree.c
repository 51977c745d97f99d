/* SPDX-License-Identifier: MIT */
/* tree MODULE [refused]: a server below this program in the tree of processes: what sees it, and what is left of it.
 * refused: where no copy of the program can be made. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <forkserver.h>

static volatile sig_atomic_t n_signals;

static void on_child(int number) {
        (void)number;
        n_signals++;
}

/* clone(2) with CLONE_PARENT and no exit signal fails: the copy's. */
static void refuse_copies(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_PARENT, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                exit(77);
}

static pid_t parent_of(pid_t pid) {
        char path[64], line[512];
        pid_t parent = -1;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
                if (strncmp(line, "PPid:", 5) == 0)
                        parent = atoi(line + 5);
        if (file)
                fclose(file);
        return parent;
}

static void fail(const char *what, int r, const struct fsrv_error *error) {
        fprintf(stderr, "tree: %s: %d: %s\n", what, r, error->text);
        exit(1);
}

static void spawn_and_wait(struct fsrv_server *server, const char *module) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        struct fsrv_process *process;
        struct fsrv_request *request;
        char entry[4096];

        snprintf(entry, sizeof entry, "%s:exit_with", module);
        if (fsrv_request_new(&request) < 0 || fsrv_request_set_entry(request, entry) < 0 ||
            fsrv_request_set_argv(request, (const char *const[]){ entry, "3", NULL }) < 0)
                exit(1);
        int r = fsrv_spawn(server, request, &process, &error);
        if (r == 0)
                r = fsrv_process_wait(process, -1, &status, &error);
        if (r < 0 || status.exit_code != 3)
                fail("a process", r, &error);
        fsrv_process_unref(process);
        fsrv_request_free(request);
}

/* "seen": by an ordinary wait; "there": by one that sees all; "none". */
static const char *look(void) {
        siginfo_t info;

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
                return "seen";
        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ? "there" : "none";
}

static void print_place(struct fsrv_server *server) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_error error = { 0 };
        int r = fsrv_server_get_stats(server, &stats, &error);

        if (r < 0)
                fail("statistics", r, &error);
        bool is_below = parent_of(parent_of(stats.server_pid)) == getpid();
        printf("\"below\": %s, \"running\": \"%s\", ", is_below ? "true" : "false", look());
}

int main(int argc, char **argv) {
        struct fsrv_server_options options = { .size = sizeof options, .flags = FSRV_SERVER_IN_TREE };
        struct sigaction action = { .sa_handler = on_child };
        struct fsrv_error error = { 0 };
        struct fsrv_server *server;

        if (argc < 2 || fsrv_server_new(&options, &server, &error) < 0)
                return 1;
        sigaction(SIGCHLD, &action, NULL);
        if (argc == 3)
                refuse_copies();
        char *block = mmap(NULL, 80 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(block, 1, 80 << 20);
        spawn_and_wait(server, argv[1]);
        printf("{");
        print_place(server);
        int r = fsrv_server_stop(server, 20000, &error);
        if (r < 0)
                fail("stopping", r, &error);
        printf("\"stopped\": \"%s\", ", look());
        spawn_and_wait(server, argv[1]);
        r = fsrv_server_end(server, 20000);
        printf("\"end\": %d, \"ended\": \"%s\", ", r, look());
        memset(block, 2, 80 << 20);
        spawn_and_wait(server, argv[1]);
        pid_t pid = fork(); /* all of it is there, though the anchor had none of it */
        if (pid == 0)
                _exit(block[0] == 2 && block[(80 << 20) - 1] == 2 ? 0 : 1);
        int status;
        waitpid(pid, &status, 0);
        printf("\"forked\": %d, \"signals\": %d}\n", status, (int)n_signals - 1);
        fsrv_server_end(server, 20000);
        fsrv_server_free(server);
        return 0;
}
