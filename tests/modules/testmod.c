/* SPDX-License-Identifier: MIT */
/* A module for the tests. It knows nothing of fork servers: neither header nor library, as any other shared object. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int constructed;
static pid_t constructed_in;

__attribute__((constructor)) static void construct(void) {
        const char *log = getenv("TESTMOD_LOG");

        constructed++;
        constructed_in = getpid();
        if (!log)
                return;
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd >= 0) {
                dprintf(fd, "%d\n", (int)getpid());
                close(fd);
        }
}

static int copy_file(const char *path) {
        FILE *file = fopen(path, "re");
        int c;

        if (!file)
                return 1;
        while ((c = getc(file)) != EOF)
                putchar(c);
        fclose(file);
        return 0;
}

int exit_with(int argc, char **argv) {
        return argc > 1 ? atoi(argv[1]) : 0;
}

/* die_by SIGNAL [dump] */
int die_by(int argc, char **argv) {
        if (argc == 2)
                setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        raise(argc > 1 ? atoi(argv[1]) : SIGKILL);
        return 99;
}

int echo(int argc, char **argv) {
        for (int i = 1; i < argc; i++)
                puts(argv[i]);
        return 0;
}

int name(int argc, char **argv) {
        printf("%d %s\n", argc, argv[0]);
        return argv[argc] != NULL;
}

int cat(int argc, char **argv) {
        char buffer[65536];
        ssize_t n;

        (void)argc;
        (void)argv;
        while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
                if (write(STDOUT_FILENO, buffer, (size_t)n) != n)
                        return 1;
        return n < 0;
}

int env(int argc, char **argv, char **environment) {
        (void)argc;
        (void)argv;
        if (environment != environ)
                return 1;
        for (char **entry = environ; *entry; entry++)
                puts(*entry);
        return 0;
}

/* getenv NAME: by way of the C library, which has to know of the new environment */
int get(int argc, char **argv) {
        const char *value = argc > 1 ? getenv(argv[1]) : NULL;

        printf("%zu\n", value ? strlen(value) : 0);
        return !value;
}

int where(int argc, char **argv) {
        char directory[4096] = "?";
        mode_t mask = umask(0);

        (void)argc;
        (void)argv;
        (void)!getcwd(directory, sizeof directory);
        printf("%d %d %d %d %s %03o\n", (int)getpid(), (int)getppid(), (int)getpgrp(), (int)getsid(0), directory,
               (unsigned)mask);
        return 0;
}

int fds(int argc, char **argv) {
        DIR *directory = opendir("/proc/self/fd");
        const char *space = "";
        struct dirent *entry;

        (void)argc;
        (void)argv;
        while (directory && (entry = readdir(directory))) {
                if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory))
                        continue;
                printf("%s%s", space, entry->d_name);
                space = " ";
        }
        puts("");
        if (directory)
                closedir(directory);
        return 0;
}

/* inherited: the fds that a program which is executed from here would get */
int inheritable(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (int fd = 0; fd < 4096; fd++) {
                int flags = fcntl(fd, F_GETFD);
                if (flags >= 0 && !(flags & FD_CLOEXEC))
                        printf("%d ", fd);
        }
        puts("");
        return 0;
}

/* read_fd FD…: what each yields, to its end */
int read_fd(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                char buffer[4096];
                ssize_t n;
                while ((n = read(atoi(argv[i]), buffer, sizeof buffer)) > 0)
                        fwrite(buffer, 1, (size_t)n, stdout);
                if (n < 0)
                        return 1;
        }
        return 0;
}

/* write_fd FD TEXT */
int write_fd(int argc, char **argv) {
        /* not dprintf(3): glibc's leaks its buffer when the fd is closed */
        return argc != 3 || write(atoi(argv[1]), argv[2], strlen(argv[2])) < 0;
}

/* append FILE WORD: one line, in one write */
int append(int argc, char **argv) {
        int fd = argc == 3 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;

        return fd < 0 || dprintf(fd, "%s\n", argv[2]) < 0;
}

/* append_and_hang FILE WORD */
int append_and_hang(int argc, char **argv) {
        if (append(argc, argv) != 0)
                return 1;
        for (;;)
                pause();
}

int sleep_for(int argc, char **argv) {
        usleep((useconds_t)(argc > 1 ? atof(argv[1]) * 1e6 : 0));
        return 0;
}

/* `sleep` is the C library's own, so the entry point of that name is an alias. */
int sleep_entry(int argc, char **argv) __asm__("sleep");
int sleep_entry(int argc, char **argv) {
        return sleep_for(argc, argv);
}

int hang(int argc, char **argv) {
        (void)argc;
        (void)argv;
        for (;;)
                pause();
}

int signals(int argc, char **argv) {
        char line[256];
        FILE *file = fopen("/proc/self/status", "re");

        (void)argc;
        (void)argv;
        while (file && fgets(line, sizeof line, file))
                if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0 ||
                    strncmp(line, "SigCgt:", 7) == 0)
                        fputs(line, stdout);
        if (file)
                fclose(file);
        return 0;
}

/* What errno was when this began. */
int error_number(int argc, char **argv) {
        int number = errno;

        (void)argc;
        (void)argv;
        printf("%d\n", number);
        return 0;
}

int limits(int argc, char **argv) {
        struct rlimit limit;

        (void)argc;
        (void)argv;
        getrlimit(RLIMIT_NOFILE, &limit);
        printf("%llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
        return 0;
}

static void print_at_exit(void) {
        printf("at exit\n");
}

int atexit_flush(int argc, char **argv) {
        (void)argc;
        (void)argv;
        atexit(print_at_exit);
        printf("unflushed ");
        return 3;
}

int constructor_count(int argc, char **argv) {
        (void)argc;
        (void)argv;
        printf("%d %d\n", constructed, (int)constructed_in);
        return 0;
}

int maps(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return copy_file("/proc/self/maps");
}

int cmdline(int argc, char **argv) {
        (void)argc;
        (void)argv;
        return copy_file("/proc/self/cmdline");
}

int burn(int argc, char **argv) {
        struct rusage usage;
        long wanted = argc > 1 ? atol(argv[1]) : 20; /* ms of CPU time */

        do
                getrusage(RUSAGE_SELF, &usage);
        while (usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 + usage.ru_stime.tv_sec * 1000 +
                       usage.ru_stime.tv_usec / 1000 <
               wanted);
        return 0;
}

/* become_daemon FILE: leaves a process behind, whose parent is gone; it writes its pid, and hangs */
int become_daemon(int argc, char **argv) {
        if (argc != 2)
                return 1;
        int ends[2];
        char byte;
        if (pipe(ends) < 0)
                return 1;
        if (fork() == 0) {
                char pid[16];
                char *words[] = { argv[0], argv[1], pid, NULL };
                close(ends[0]);
                snprintf(pid, sizeof pid, "%d", (int)getpid());
                append(3, words);
                close(ends[1]);
                for (;;)
                        pause();
        }
        close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        return 0;
}

/* ignore_and_hang FILE: not even SIGTERM ends it */
int ignore_and_hang(int argc, char **argv) {
        signal(SIGTERM, SIG_IGN);
        return append_and_hang(argc, argv);
}

int change_arguments(int argc, char **argv) {
        for (int i = 0; i < argc; i++)
                memset(argv[i], 'x', strlen(argv[i]));
        return argc;
}
