/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "map_options.h"

#include <string.h>

const char map_help[] =
        "Usage: forkserver map [OPTION]... [--] PROGRAM [ARG]... [::: VALUE...]... [:::: FILE...]...\n"
        "   or: forkserver map [OPTION]... --call MODULE:FUNCTION [ARG]... [::: VALUE...]... [:::: FILE...]...\n"
        "Run one process for each item. An item is a line of standard input, a VALUE, or a line of FILE. With\n"
        "several lists there is one process for each combination.\n"
        "\n"
        "The item is added as the last argument, or replaces these places in an ARG:\n"
        "  {}    the item          {.}   without its suffix           {/}  without its directory\n"
        "  {//}  its directory     {/.}  without directory and suffix\n"
        "  {#}   its number        {%}   the number of the slot, from 1 to -j\n"
        "With several lists {2}, {2.}, {2/} and so on is the second value, and an ARG with {} is there once for\n"
        "each value. No shell is involved and nothing is quoted; behind a '$' only {} is replaced.\n"
        "\n"
        "The processes' own standard input is the null device. Their output comes out whole, item by item, when\n"
        "each has ended. It waits in memory, and much of it in TMPDIR. What background processes of an item print\n"
        "after its end comes out line by line, as it comes.\n"
        "\n"
        "  -j, -P, --jobs N       processes at a time (default: 100%, one for each CPU); N may be 50%, +2 or -2\n"
        "                         (more or less than CPUs), or 0 (as many as possible). CPUs are those of the\n"
        "                         affinity mask (taskset), and no more than Slurm has allocated here:\n"
        "                         SLURM_CPUS_PER_TASK, or else SLURM_CPUS_ON_NODE\n"
        "      --max-procs N      the same as --jobs\n"
        "      --call MODULE:FUNCTION\n"
        "                         run this for each item instead of PROGRAM\n"
        "  -0, --null             items end with NUL instead of a newline\n"
        "  -a, --arg-file FILE    read items from FILE; repeated, each is a list of its own\n"
        "  -n, --max-args N       give each process N items\n"
        "  -X, --fill             give each process as many items as it has room for; the last ones are shared\n"
        "                         among the slots\n"
        "      --stdin            the item is its process's standard input, with the newline (or NUL) behind it,\n"
        "                         and no argument\n"
        "      --payload          with --call: the item is the entry point's payload, without a newline, and no\n"
        "                         argument; items of -n are lines\n"
        "      --pipe             blocks of the input are the processes' standard input: whole lines, about 1 MiB\n"
        "                         together\n"
        "      --block SIZE       the size of such a block, as 64k or 10M\n"
        "      --slice K/N        run only items K, K+N, K+2N and so on of the list, where N runs share it: every\n"
        "                         run gets the same list, and a K from 1 to N. {#} is the number in the whole list.\n"
        "                         An item is what one process gets, as -n or combinations make it; with -X slices\n"
        "                         are of values, before they are put together. In a job array of Slurm from 0 on:\n"
        "                         --slice $((SLURM_ARRAY_TASK_ID+1))/$SLURM_ARRAY_TASK_COUNT\n"
        "  -k, --ordered          print outputs in the order of the items, not as they end\n"
        "      --tag              put the item and a TAB before each line of output; a last line without its\n"
        "                         newline gets one\n"
        "      --line-buffer      print output line by line as it comes; with -k, of the item whose turn it is\n"
        "  -u, --ungroup          do not hold output back: it may mix\n"
        "      --tty              lend the terminal to one process at a time, as its input and output; -j and -k\n"
        "                         don't count\n"
        "      --dry-run          print the command lines, run nothing\n"
        "      --timeout TIME     kill a process, with its process group, after this time: seconds, or as in\n"
        "                         500ms, 2m, 1h, 1d\n"
        "      --kill-after TIME  send SIGTERM first, at the time-out and at the second ^C, and kill after this\n"
        "                         time\n"
        "      --retries N        try an item that fails up to N times in all; the last try counts, and is shown\n"
        "      --halt N           start nothing new after N failures; also 'soon,fail=N'. 'now,fail=N' ends what\n"
        "                         runs as well. N may be 20%, of what has ended, from the third failure on\n"
        "      --delay TIME       let so much time pass between starts\n"
        "      --load N           start nothing while the machine's load is N or more, as 4 or 80% (of the CPUs);\n"
        "                         one process always runs\n"
        "  -t, --verbose          print each command line on standard error before it runs\n"
        "      --json FILE        write a report to FILE: for each item, as it ends, also with -k, a line with one\n"
        "                         JSON object. It has item (or items, a list, with -n, -X and combinations), pid,\n"
        "                         status (exit code or null), signal (number or null), start, end, rusage; error\n"
        "                         if it could not be started, no_result if --result has nothing to keep: with a code\n"
        "                         if the entry point says that it has failed; refused, what system calls its\n"
        "                         sandbox has refused: how many, and the first. Bytes that are not UTF-8 are\n"
        "                         written as \\udc80 to \\udcff. If FILE is -, the report goes to standard output, and "
        "the\n"
        "                         processes' own output to standard error\n"
        "      --trace FILE       write a timeline to FILE, as Chrome's trace events, which ui.perfetto.dev shows: a\n"
        "                         track for each slot; each item's wait, spawn and run with exit code and CPU time;\n"
        "                         the server's start. A regular file is valid JSON at any time\n"
        "      --result DIR       with --call: write what an item's entry point gives back to a file of DIR, which is\n"
        "                         made if need be. The file has the item's name, spelled as GNU parallel does: \\_\n"
        "                         for /, \\\\ for \\, \\t for TAB; the same item again is NAME\\.2. It appears, or is\n"
        "                         replaced, when the item has succeeded, and is whole at once. An item fails whose\n"
        "                         result doesn't come or cannot be written\n"
        "      --resume           go on with FILE, which an earlier run has written: items that succeeded there\n"
        "                         are left out, those that failed or are missing run. An item is known by its\n"
        "                         text, not by its number. FILE is one run's at a time, and each slice has its own.\n"
        "                         Lines are only added; every 5 seconds and at the end they are put on the disk\n"
        "                         (fdatasync). What a dead machine left of a line is cut off\n"
        "      --progress         print a summary at the end, also when standard error is no terminal\n"
        "      --quiet            print neither progress nor summary on a terminal\n"
        "      --quick-exit       with --call: don't run exit functions and destructors of preloaded modules\n"
        "      --preload M        load module M once, before all (may be repeated)\n"
        "      --preload-timeout TIME\n"
        "                         limit for loading all modules (default: 60)\n"
        "      --memory MODE      what is done to the loaded memory, so that a process costs the same however\n"
        "                         much it is: auto (default), freeze, collapse, off\n"
        "      --socket PATH      use the server that listens at PATH\n"
        "      --server-uid USER  the user that has to run that server, a name or a number (default: you\n"
        "                         yourself, or root)\n"
        "      --wait TIME        wait so long at most until that server listens\n"
        "      --sandbox PROFILE[,WORD]...\n"
        "                         lock each process in: untrusted, pure-compute, no-network, no-exec, none; WORDs\n"
        "                         add to that, such as read=PATH ('forkserver check --help' has them)\n"
        "      --strict           fail if this system cannot enforce all of the sandbox\n"
        "      --ro-bind PATH[:TARGET], --bind PATH[:TARGET], --tmpfs TARGET, --proc TARGET, --unshare-net,\n"
        "      --unshare-ipc, --unshare-uts, --unshare-user, --unshare-cgroup, --seccomp-filter FILE\n"
        "                         the same as WORDs of the sandbox (default: none)\n"
        "  -h, --help             show this help\n" CLI_ATTRIBUTE_HELP
        "\n"
        "After the first ^C (SIGINT, SIGTERM, SIGHUP) nothing new is started. The second ends all that runs, whole\n"
        "process groups. A process with a session of its own (setsid) isn't reached, and background processes of\n"
        "an item that has ended are left alone. ^Z stops the processes too. A process that stops because it wants\n"
        "the terminal is killed. Deaths by a signal are reported on standard error; non-zero exits are not\n"
        "reported: use --json.\n"
        "\n"
        "A batch system sends SIGTERM before its time limit: what runs may end then, the report is closed, and\n"
        "map dies by SIGTERM (143 in a shell). That is the code for which a job is put back into the queue, and\n"
        "--resume goes on there. The whole job may have got the signal, the items too: those that died of it run\n"
        "again then.\n"
        "\n"
        "Exit code: 0; 123 if an item failed; 125 if forkserver itself did; 126 if PROGRAM cannot be run, 127 if\n"
        "it is not found. After ^C and the like map dies by that signal.\n";

/* ---- other tools' options ---- */

const char *map_hint(const char *option) {
        static const struct {
                const char *option, *hint;
        } hints[] = {
                { "-I", "-I: {} is replaced by the item as it is; leave the option out" },
                { "-i", "-i: {} is replaced by the item as it is; leave the option out" },
                { "--replace", "--replace: {} is replaced by the item as it is; leave the option out" },
                { "-L", "-L: each line is an item; '-n N' gives a process N of them" },
                { "-l", "-l: each line is an item; '-n N' gives a process N of them" },
                { "--max-lines", "--max-lines: each line is an item; '-n N' gives a process N of them" },
                { "-N", "-N: '-n N' gives a process N items" },
                { "--max-replace-args", "--max-replace-args: '-n N' gives a process N items" },
                { "-m", "-m: '-X' gives a process as many items as fit" },
                { "--xargs", "--xargs: '-X' gives a process as many items as fit" },
                { "-s", "-s: '-X' gives a process as many items as fit" },
                { "-x", "-x: an item that doesn't fit fails, and the others run; leave the option out" },
                { "-d", "-d: items are lines, or end with NUL (-0); 'tr' makes lines of others" },
                { "--delimiter", "--delimiter: items are lines, or end with NUL (-0); 'tr' makes lines of others" },
                { "-E", "-E: the input ends where it ends; 'sed' can end it earlier" },
                { "-C", "--colsep: an item is a whole line; ':::' and '-n N' give a process several values" },
                { "--colsep", "--colsep: an item is a whole line; ':::' and '-n N' give a process several values" },
                { "-r", "-r: without items nothing runs; leave the option out" },
                { "--no-run-if-empty", "--no-run-if-empty: without items nothing runs; leave the option out" },
                { "-p", "-p: '--dry-run' shows the command lines beforehand" },
                { "--interactive", "--interactive: '--dry-run' shows the command lines beforehand" },
                { "-o", "-o: it is --tty here" },
                { "--keep-order", "--keep-order: it is -k or --ordered here" },
                { "--joblog", "--joblog: '--json FILE' writes a report of the items" },
                { "--results",
                  "--results: '--result DIR' keeps what --call's function gives back; '--tag' tells whose output is "
                  "whose" },
                { "--resume-failed", "--resume-failed: '--resume' also runs again what had failed" },
                { "--eta", "--eta: a terminal shows it as it is; '--progress' writes a summary elsewhere as well" },
                { "--bar", "--bar: a terminal shows it as it is; '--progress' writes a summary elsewhere as well" },
                { "--recstart", "--recstart: '--pipe' cuts the input at newlines, or behind NUL (-0)" },
                { "--recend", "--recend: '--pipe' cuts the input at newlines, or behind NUL (-0)" },
                { "--pipepart", "--pipepart: '--pipe -a FILE' reads a file as well" },
                { "--nonall", "--nonall: all processes run on this machine; '--slice K/N' shares a list with others" },
                { "-S", "-S: all processes run on this machine; '--slice K/N' shares a list with others" },
                { "--sshlogin",
                  "--sshlogin: all processes run on this machine; '--slice K/N' shares a list with others" },
        };

        size_t n = strcspn(option, "=");
        for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
                if (strlen(hints[i].option) == n && strncmp(hints[i].option, option, n) == 0)
                        return hints[i].hint;
        return NULL;
}
