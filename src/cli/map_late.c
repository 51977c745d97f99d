/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_late.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void map_late_add(struct map_late *late, struct map_outputs *outputs) {
        if (late->n >= MAP_LATE_MAX)
                map_late_hand_over(late);
        for (int i = 0; i < 2; i++)
                map_store_clear(&outputs->of[i].store);
        outputs->own_tag = outputs->tag ? strdup(outputs->tag) : NULL;
        outputs->tag = outputs->own_tag;
        outputs->live = true;
        outputs->next = late->first;
        late->first = outputs;
        late->n++;
}

void map_late_remove(struct map_late *late, struct map_outputs *outputs) {
        struct map_outputs **at = &late->first;

        while (*at && *at != outputs)
                at = &(*at)->next;
        if (!*at)
                return;
        *at = outputs->next;
        late->n--;
        map_outputs_free(outputs);
}

/* ---- the process of its own ---- */

/* Neither the server nor a lock or pipe of our caller's has to wait for us. The fd that tells that all is closed is
 * closed last. */
static void close_all_else(const struct map_late *late, int told) {
        static const int deaf_to[] = { SIGINT, SIGQUIT, SIGHUP, SIGTTOU };
        int kept[3 + 2 * MAP_LATE_MAX] = { STDOUT_FILENO, STDERR_FILENO, told };
        size_t n = 3;

        for (size_t i = 0; i < sizeof deaf_to / sizeof *deaf_to; i++)
                signal(deaf_to[i], SIG_IGN); /* the writers decide when they end */
        signal(SIGTERM, SIG_DFL);
        signal(SIGTSTP, SIG_DFL);
        for (const struct map_outputs *outputs = late->first; outputs; outputs = outputs->next)
                for (int i = 0; i < 2; i++)
                        kept[n++] = outputs->of[i].ends[0];
        cli_close_all_but(kept, n);
        (void)!chdir("/");
        close(told);
}

static size_t collect(const struct map_late *late, struct pollfd *polled, struct map_output **of) {
        size_t n = 0;

        for (struct map_outputs *outputs = late->first; outputs; outputs = outputs->next)
                for (int i = 0; i < 2; i++)
                        if (outputs->of[i].ends[0] >= 0) {
                                polled[n] = (struct pollfd){ .fd = outputs->of[i].ends[0], .events = POLLIN };
                                of[n++] = &outputs->of[i];
                        }
        return n;
}

_Noreturn static void read_to_the_end(struct map_late *late, int told) {
        struct pollfd polled[2 * MAP_LATE_MAX];
        struct map_output *of[2 * MAP_LATE_MAX];

        close_all_else(late, told);
        for (size_t n; (n = collect(late, polled, of)) > 0;) {
                poll(polled, n, -1);
                for (size_t i = 0; i < n; i++)
                        if (polled[i].revents)
                                map_output_read(of[i]); /* the complaint is all there is to do */
        }
        _exit(0);
}

/* Returns when the process has let go of all that isn't its own: what it has of ours would keep events coming from fds
 * that we have closed (epoll(7)). */
static int start_reader(struct map_late *late) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = fork();
        int err = errno;
        if (pid == 0)
                read_to_the_end(late, ends[1]);
        close(ends[1]);
        if (pid > 0)
                while (read(ends[0], &(char){ 0 }, 1) < 0 && errno == EINTR)
                        ;
        close(ends[0]);
        return pid < 0 ? -err : 0;
}

void map_late_hand_over(struct map_late *late) {
        if (!late->first)
                return;
        int r = start_reader(late);
        if (r < 0)
                cli_complain("map: what background processes still print is lost: %s", strerror(-r));
        while (late->first)
                map_late_remove(late, late->first);
}
