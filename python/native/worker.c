/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <forkserver-host.h>

PyObject *native_c_environment(PyObject *module, PyObject *ignored) {
        PyObject *list = PyList_New(0);

        (void)module;
        (void)ignored;
        for (char **word = environ; list && word && *word; word++) {
                PyObject *bytes = PyBytes_FromString(*word);
                if (!bytes || PyList_Append(list, bytes) < 0) {
                        Py_XDECREF(bytes);
                        Py_DECREF(list);
                        return NULL;
                }
                Py_DECREF(bytes);
        }
        return list;
}

/* ---- what has changed since the zygote was ready ---- */

static struct {
        char **environment;             /* the zygote's when it began: memory of our own; NULL: there was none */
        char **changed;                 /* the same with what modules have changed; NULL: nothing */
        unsigned long shown, shown_end; /* the memory that /proc/self/environ shows */
        int line_buffered;              /* standard output; -1: it isn't a text file */
        /* signals with a disposition of their own, whatever the client does: of the interpreter, or a module */
        struct disposition {
                int number; /* 0: the last */
                struct sigaction action;
        } own[NSIG];
        uint64_t usual; /* the others, which the client may ignore: bit n-1 is signal n */
        struct sigaction interrupt;
} known = { .line_buffered = -1 };

static struct sigaction began_with[NSIG];

/* In one block: what a child compares is to lie on few pages. NULL: out of memory. */
static char **copy_environment(void) {
        size_t n = 0, size = sizeof *environ;

        for (; environ && environ[n]; n++)
                size += sizeof *environ + strlen(environ[n]) + 1;
        char **copy = malloc(size);
        if (!copy)
                return NULL;
        char *word = (char *)(copy + n + 1);
        for (size_t i = 0; i < n; i++) {
                copy[i] = word;
                word = stpcpy(word, environ[i]) + 1;
        }
        copy[n] = NULL;
        return copy;
}

/* proc(5): fields 50 and 51 of /proc/PID/stat, env_start and env_end. Left at 0 where they cannot be had. */
static void find_initial_environment(void) {
        char text[2048];
        FILE *file = fopen("/proc/self/stat", "re");
        size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

        if (file)
                fclose(file);
        text[n] = 0;
        char *at = strrchr(text, ')'); /* the end of field 2, which may hold anything */
        for (int field = 2; at && field < 50; field++)
                at = strchr(at + 1, ' ');
        if (at && sscanf(at, "%lu %lu", &known.shown, &known.shown_end) != 2)
                known.shown = known.shown_end = 0;
}

static bool has(const char *word) {
        for (char **own = environ; own && *own; own++)
                if (strcmp(*own, word) == 0)
                        return true;
        return false;
}

/* What /proc/PID/environ shows is what the zygote was started with: nothing is to be left there that the program has
 * taken out of its environment since, a password say. */
static void hide_what_is_gone(void) {
        char *word = (char *)known.shown, *end = (char *)known.shown_end;

        while (word < end) {
                size_t n = strnlen(word, (size_t)(end - word));
                if (n > 0 && !has(word))
                        memset(word, 0, n);
                word += n + 1;
        }
}

PyObject *native_remember_begin(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        for (int s = 1; s < NSIG; s++)
                sigaction(s, NULL, &began_with[s]); /* fails for those that the C library keeps to itself */
        known.interrupt = began_with[SIGINT];
        find_initial_environment();
        known.environment = copy_environment();
        if (!known.environment)
                return PyErr_NoMemory();
        Py_RETURN_NONE;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b) {
        return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags &&
               memcmp(&a->sa_mask, &b->sa_mask, _NSIG / 8) == 0;
}

/* An interpreter that starts has its own disposition of some signals, C code's (faulthandler's) among them, and modules
 * change others: these stay. For the rest the client counts, as it would for an interpreter that it executes. */
static void remember_signals(void) {
        size_t n = 0;

        for (int s = 1; s < NSIG; s++) {
                struct sigaction now;

                if (s == SIGKILL || s == SIGSTOP || sigaction(s, NULL, &now) < 0)
                        continue;
                bool is_usual = began_with[s].sa_handler == SIG_DFL || s == SIGINT;
                if (is_usual && is_same(&now, &began_with[s]))
                        known.usual |= UINT64_C(1) << (s - 1);
                else
                        known.own[n++] = (struct disposition){ s, now };
        }
}

PyObject *native_remember(PyObject *module, PyObject *args) {
        PyObject *line_buffered;
        int changed;

        (void)module;
        if (!PyArg_ParseTuple(args, "pO:remember", &changed, &line_buffered))
                return NULL;
        known.line_buffered = line_buffered == Py_None ? -1 : PyObject_IsTrue(line_buffered);
        remember_signals();
        known.changed = changed ? copy_environment() : NULL;
        if (changed && !known.changed)
                return PyErr_NoMemory();
        Py_RETURN_NONE;
}

/* False: the client's environment is what the zygote began with, so that os.environ is right; and now so is environ. */
static bool environment_is_new(void) {
        size_t i = 0;

        if (!known.environment || !environ)
                return true;
        while (known.environment[i] && environ[i] && strcmp(known.environment[i], environ[i]) == 0)
                i++;
        if (known.environment[i] || environ[i])
                return true;
        if (known.changed)
                environ = known.changed;
        return false;
}

/* In the kernel all signals are at their default, or ignored as the client does. Puts back those of the zygote, not by
 * signal.signal(), whose enumerations write to a hundred pages; the `signal` module knows of them. Finds those that are
 * ignored instead. */
static size_t take_signals(int ignored[NSIG]) {
        uint64_t by_client = fsrv_worker_signals_ignored() & known.usual;
        size_t n = 0;

        for (const struct disposition *own = known.own; own->number; own++)
                sigaction(own->number, &own->action, NULL);
        if (known.usual & ~by_client & UINT64_C(1) << (SIGINT - 1))
                sigaction(SIGINT, &known.interrupt, NULL);
        for (int s = 1; s < NSIG && by_client >> (s - 1); s++)
                if (by_client >> (s - 1) & 1)
                        ignored[n++] = s;
        return n;
}

/* Puts /dev/null where the client has no standard stream, before a file of the program's takes the number. */
static size_t take_streams(int closed[3]) {
        size_t n = 0;

        for (int fd = 0; fd < 3; fd++)
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) == fd) /* the lowest number that is free */
                        closed[n++] = fd;
        return n;
}

static PyObject *list_of(const int *numbers, size_t n) {
        PyObject *list = PyList_New((Py_ssize_t)n);

        for (size_t i = 0; list && i < n; i++)
                PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLong(numbers[i]));
        return list;
}

/* Carries out what needs no Python. The rest is for _catch_up() in _zygote.py: its arguments, or None. */
static PyObject *take_news(void) {
        int ignored[NSIG], closed[3];
        size_t n_ignored = take_signals(ignored), n_closed = take_streams(closed);
        bool environment = environment_is_new(),
             buffering = known.line_buffered >= 0 && isatty(1) != known.line_buffered;

        if (environment)
                hide_what_is_gone();
        if (!environment && !buffering && n_ignored == 0 && n_closed == 0)
                Py_RETURN_NONE;
        return Py_BuildValue("(NNNN)", PyBool_FromLong(environment), list_of(ignored, n_ignored),
                             list_of(closed, n_closed), PyBool_FromLong(buffering));
}

/* struct mt19937_state of numpy/random/src/mt19937/mt19937.h, which state_address is documented to lead to. */
struct twister {
        uint32_t key[624];
        int position;
};

/* reseed(address): other numbers for each child, at the price of one page; numpy.random.seed() writes to more than a
 * hundred. */
PyObject *native_reseed(PyObject *module, PyObject *args) {
        unsigned long long address;

        (void)module;
        if (!PyArg_ParseTuple(args, "K:reseed", &address))
                return NULL;
        struct twister *twister = (struct twister *)(uintptr_t)address;
        char *at = (char *)twister->key, *end = at + sizeof twister->key;
        while (at < end) {
                /* up to 256 bytes come whole */
                ssize_t n = getrandom(at, (size_t)(end - at < 256 ? end - at : 256), 0);
                if (n < 0)
                        return PyErr_SetFromErrno(PyExc_OSError);
                at += n;
        }
        twister->key[0] |= 0x80000000u; /* all zeros is the one state that it never leaves */
        twister->position = 624;        /* all used up: the next draw makes new ones of these */
        Py_RETURN_NONE;
}

/* ---- what a worker knows of its request ---- */

PyObject *native_inherited_fds(PyObject *module, PyObject *ignored) {
        const int *fds;
        size_t n;

        (void)module;
        (void)ignored;
        if (fsrv_get_inherited_fds(&fds, &n) < 0)
                Py_RETURN_NONE;
        return list_of(fds, n);
}

static PyObject *payload(void) {
        const void *bytes;
        size_t n;

        if (fsrv_worker_get_payload(&bytes, &n) < 0 || n == 0) /* it has come by the data fd */
                Py_RETURN_NONE;
        return PyMemoryView_FromMemory((char *)bytes, (Py_ssize_t)n,
                                       0x100 /* PyBUF_READ, which the limited API names from 3.11 on */);
}

static PyObject *number(int r) {
        if (r == -ENOENT || r == -EPERM) /* it has none, or its sandbox has taken it away */
                Py_RETURN_NONE;
        return PyLong_FromLong(r);
}

PyObject *native_worker_arguments(void) {
        PyObject *news = take_news(); /* before anything is opened */

        return news ? Py_BuildValue("(NNNNN)", native_inherited_fds(NULL, NULL), payload(),
                                    number(fsrv_worker_get_data()), number(fsrv_worker_get_lifeline()), news)
                    : NULL;
}
