/* SPDX-License-Identifier: MIT */
#include "base/syscalls.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/syscall_numbers.h"
#include "forkserver.h"

enum { FSRV_REFUSE_NONE = 0, FSRV_REFUSE_ANY = INT32_MAX };

/* A name for which the headers have no number stays what it is; so the table needs no #ifdef. Its entries have no
 * pointers: nothing has to be relocated in processes that never look. */
#define TEXT(number)      #number
#define TEXT_OF(number)   TEXT(number)
#define CALL(group, name) { #name, TEXT_OF(__NR_##name), FSRV_REFUSE_##group },

const struct fsrv__syscall fsrv__syscalls[] = {
/* clang-format off */
#include "base/syscalls.def"
        /* clang-format on */
};
const size_t fsrv__n_syscalls = sizeof fsrv__syscalls / sizeof *fsrv__syscalls;

/* "257"; of arm "(0+ 5)"; of mips "(5000 + 5)". */
int fsrv__syscall_number(const struct fsrv__syscall *call) {
        const char *at = call->number;
        int number = 0;

        if (!isdigit((unsigned char)*at) && *at != '(')
                return -1;
        while (*at)
                if (isdigit((unsigned char)*at))
                        number += (int)strtol(at, (char **)&at, 0);
                else if (isalpha((unsigned char)*at) || *at == '_')
                        return -1;
                else
                        at++;
        return number;
}

int fsrv__syscall_find(const char *name) {
        for (size_t i = 0; i < fsrv__n_syscalls; i++)
                if (strcmp(fsrv__syscalls[i].name, name) == 0)
                        return fsrv__syscall_number(&fsrv__syscalls[i]);
        return -1;
}

const char *fsrv__syscall_name(int number) {
        for (size_t i = 0; i < fsrv__n_syscalls; i++)
                if (number >= 0 && fsrv__syscall_number(&fsrv__syscalls[i]) == number)
                        return fsrv__syscalls[i].name;
        return NULL;
}

/* Some of ARM's lie apart, at 0xF0000. */
int fsrv__syscall_last(void) {
        int last = 0;

        for (size_t i = 0; i < fsrv__n_syscalls; i++) {
                int number = fsrv__syscall_number(&fsrv__syscalls[i]);
                if (number > last)
                        last = number;
        }
        return last;
}
