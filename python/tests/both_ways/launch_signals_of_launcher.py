# SPDX-License-Identifier: MIT
"""SIGTERM, SIGPIPE, SIGINT of a program under the launcher: dispositions at its beginning."""
import signal
for number in signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP, signal.SIGXFSZ:
    print(number.name, signal.getsignal(number))
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), open("/proc/self/comm").read().strip())
