/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

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

static PyOS_sighandler_t handler; /* the interpreter's own, which isn't exported */

void native_remember_handler(void) {
        handler = PyOS_getsig(SIGINT);
}

/* ---- what has changed since the zygote was ready ---- */

static struct {
        /* that os.environ is of, in memory of our own: environ itself is the request's; NULL: none is */
        char **environment;
        int handled[NSIG];  /* signals with a handler in Python, then 0 */
        int defaults[NSIG]; /* others that Python holds for not ignored, then 0 */
        int line_buffered;  /* standard output; -1: it isn't a text file */
} known = { .line_buffered = -1 };

/* In one block: what a child compares is to lie on few pages. */
static int copy_environment(void) {
        size_t n = 0, size = sizeof *known.environment;

        for (; environ && environ[n]; n++)
                size += sizeof *known.environment + strlen(environ[n]) + 1;
        known.environment = malloc(size);
        if (!known.environment)
                return -1;
        char *word = (char *)(known.environment + n + 1);
        for (size_t i = 0; i < n; i++) {
                known.environment[i] = word;
                word = stpcpy(word, environ[i]) + 1;
        }
        known.environment[n] = NULL;
        return 0;
}

static void copy_signals(PyObject *tuple, int numbers[NSIG]) {
        Py_ssize_t n = PyTuple_Size(tuple) < NSIG - 1 ? PyTuple_Size(tuple) : NSIG - 1;

        for (Py_ssize_t i = 0; i < n; i++)
                numbers[i] = (int)PyLong_AsLong(PyTuple_GetItem(tuple, i));
}

PyObject *native_remember(PyObject *module, PyObject *args) {
        PyObject *handled, *defaults, *line_buffered;
        int environment;

        (void)module;
        if (!PyArg_ParseTuple(args, "pO!O!O:remember", &environment, &PyTuple_Type, &handled, &PyTuple_Type, &defaults,
                              &line_buffered))
                return NULL;
        copy_signals(handled, known.handled);
        copy_signals(defaults, known.defaults);
        known.line_buffered = line_buffered == Py_None ? -1 : PyObject_IsTrue(line_buffered);
        if (PyErr_Occurred() || (environment && copy_environment() < 0))
                return PyErr_Occurred() ? NULL : PyErr_NoMemory();
        Py_RETURN_NONE;
}

static bool environment_is_new(void) {
        size_t i = 0;

        if (!known.environment || !environ)
                return true;
        while (known.environment[i] && environ[i] && strcmp(known.environment[i], environ[i]) == 0)
                i++;
        return known.environment[i] || environ[i];
}

/* In the kernel all signals are at their default, or ignored as the client does. Has it call the interpreter's handler
 * for those with one in Python; not by signal.signal(), whose enumerations write to a hundred pages. Finds those that
 * are ignored instead. */
static size_t take_signals(int ignored[2 * NSIG]) {
        size_t n = 0;

        for (const int *number = known.handled; *number; number++)
                if (PyOS_getsig(*number) != SIG_IGN)
                        PyOS_setsig(*number, handler);
                else
                        ignored[n++] = *number;
        for (const int *number = known.defaults; *number; number++)
                if (PyOS_getsig(*number) == SIG_IGN)
                        ignored[n++] = *number;
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
        int ignored[2 * NSIG], closed[3];
        size_t n_ignored = take_signals(ignored), n_closed = take_streams(closed);
        bool environment = environment_is_new(),
             buffering = known.line_buffered >= 0 && isatty(1) != known.line_buffered;

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
        if (r == -ENOENT)
                Py_RETURN_NONE;
        return PyLong_FromLong(r);
}

PyObject *native_worker_arguments(void) {
        PyObject *news = take_news(); /* before anything is opened */

        return news ? Py_BuildValue("(NNNNN)", native_inherited_fds(NULL, NULL), payload(),
                                    number(fsrv_worker_get_data()), number(fsrv_worker_get_lifeline()), news)
                    : NULL;
}
