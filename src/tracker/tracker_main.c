/* SPDX-License-Identifier: MIT */
/*
 * forkserver-tracker: knows which named semaphores and shared-memory segments a family of processes has made, and
 * removes what is left when the last of them has gone. They hold the writing end of a pipe, and it the reading end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/title.h"
#include "tracker/complaint.h"
#include "tracker/resources.h"

enum { PIPE_FD = 3, SHOWN_MAX = 200 };

/* What the terminal and "killall" send is meant for the processes whose resources we know. */
static void set_signals(void) {
        static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
        sigset_t none;

        for (int number = 1; number < NSIG; number++)
                signal(number, SIG_DFL); /* SIGKILL and the C library's own keep theirs */
        for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
                signal(ignored[i], SIG_IGN);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static void complain_of_line(const char *wrong, const char *bytes, size_t n) {
        char shown[SHOWN_MAX];

        fsrv__tracker_escape(bytes, n, shown, sizeof shown);
        fsrv__tracker_say("skipped a line: %s: '%s'", wrong, shown);
}

/* Whether it was a good line; what is wrong has been said. */
static bool obey_line(struct fsrv__resource **set, const char *bytes, size_t n) {
        struct fsrv__tracker_line line;
        const char *wrong = fsrv__tracker_line_parse(bytes, n, &line);

        if (!wrong && line.command == FSRV_TRACKER_REGISTER && !fsrv__resources_add(set, line.type, line.name))
                wrong = "out of memory";
        if (wrong) {
                complain_of_line(wrong, bytes, n);
                return false;
        }
        if (line.command != FSRV_TRACKER_UNREGISTER || fsrv__resources_remove(set, line.type, line.name))
                return true;
        char shown[FSRV_TRACKER_LINE_MAX];
        fsrv__tracker_escape(line.name, strlen(line.name), shown, sizeof shown);
        fsrv__tracker_say("a name was unregistered, but never registered: %s %s", fsrv__tracker_type_name(line.type),
                          shown);
        return false;
}

/* Whether all the lines in these bytes were good ones. */
static bool take_bytes(struct fsrv__resource **set, struct fsrv__tracker_cutter *cutter, const char *bytes, size_t n) {
        bool good = true;

        while (n > 0) {
                size_t taken = fsrv__tracker_cutter_take(cutter, bytes, n);

                bytes += taken;
                n -= taken;
                if (cutter->whole && cutter->overlong)
                        complain_of_line("more than 512 bytes", cutter->bytes, cutter->n);
                if (cutter->whole && (cutter->overlong || !obey_line(set, cutter->bytes, cutter->n)))
                        good = false;
        }
        return good;
}

/* Until the last process that could tell us something has gone. Whether all lines were good ones. */
static bool read_all_lines(struct fsrv__resource **set) {
        static struct fsrv__tracker_cutter cutter;
        static char bytes[65536];
        bool good = true;

        for (;;) {
                ssize_t n = read(PIPE_FD, bytes, sizeof bytes);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                if (!take_bytes(set, &cutter, bytes, (size_t)n))
                        good = false;
        }
        if (cutter.n > 0 && !cutter.whole) {
                complain_of_line("it has no end", cutter.bytes, cutter.n); /* half a name may be another name */
                good = false;
        }
        return good;
}

int main(int argc, char **argv) {
        struct fsrv__resource *set = NULL;

        if (fsrv__fd_set_cloexec(PIPE_FD, 1) < 0) {
                fsrv__tracker_say("libforkserver starts this program; it is not for use by hand");
                return 125;
        }
        set_signals();
        fsrv__title_init(argv);
        fsrv__title_set("forkserver: resource tracker", NULL);
        chdir("/"); /* a file system that is in use could not be unmounted */
        if (argc > 1) {
                memset(argv[1], 0, strlen(argv[1])); /* not for ps */
                fsrv__tracker_say("the tracker before this one died; the names that it knew may be left behind");
        }
        bool good = read_all_lines(&set);
        int outcome = fsrv__resources_clean_up(&set);
        if (outcome == FSRV_TRACKER_CLEAN && !good)
                outcome = FSRV_TRACKER_BAD_LINE;
        return outcome;
}
