/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What a worker knows of its request. */

PyObject *native_inherited_fds(PyObject *module, PyObject *ignored) {
        const int *fds;
        size_t n;

        (void)module;
        (void)ignored;
        if (fsrv_get_inherited_fds(&fds, &n) < 0)
                Py_RETURN_NONE;
        PyObject *list = PyList_New((Py_ssize_t)n);
        for (size_t i = 0; list && i < n; i++)
                PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLong(fds[i]));
        return list;
}

PyObject *native_payload(PyObject *module, PyObject *ignored) {
        const void *bytes;
        size_t n;

        (void)module;
        (void)ignored;
        if (fsrv_worker_get_payload(&bytes, &n) < 0)
                Py_RETURN_NONE;
        return PyMemoryView_FromMemory((char *)bytes, (Py_ssize_t)n, 0x100 /* PyBUF_READ, which the limited API names from 3.11 on */);
}

static PyObject *number(int r) {
        if (r == -ENOENT)
                Py_RETURN_NONE;
        return PyLong_FromLong(r);
}

PyObject *native_lifeline(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_lifeline());
}

PyObject *native_data_fd(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_data());
}

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

/* The environment that os.environ is of, in memory of our own: environ itself is the request's. */
static char **remembered;

PyObject *native_remember_environment(PyObject *module, PyObject *ignored) {
        size_t n = 0;

        (void)module;
        (void)ignored;
        while (environ && environ[n])
                n++;
        remembered = calloc(n + 1, sizeof *remembered);
        for (size_t i = 0; remembered && i < n; i++)
                if (!(remembered[i] = strdup(environ[i])))
                        return PyErr_NoMemory();
        if (!remembered)
                return PyErr_NoMemory();
        Py_RETURN_NONE;
}

PyObject *native_environment_is_new(PyObject *module, PyObject *ignored) {
        size_t i = 0;

        (void)module;
        (void)ignored;
        if (!remembered || !environ)
                Py_RETURN_TRUE;
        while (remembered[i] && environ[i] && strcmp(remembered[i], environ[i]) == 0)
                i++;
        return PyBool_FromLong(remembered[i] || environ[i]);
}

/* fill_streams(): puts /dev/null where the client has no standard stream, before a file of the program's takes the number. Those
 * numbers. */
PyObject *native_fill_streams(PyObject *module, PyObject *ignored) {
        PyObject *closed = PyList_New(0);

        (void)module;
        (void)ignored;
        for (int fd = 0; closed && fd < 3; fd++) {
                if (fcntl(fd, F_GETFD) >= 0 || open("/dev/null", O_RDWR) != fd) /* the lowest number that is free */
                        continue;
                PyObject *number = PyLong_FromLong(fd);
                if (!number || PyList_Append(closed, number) < 0) {
                        Py_XDECREF(number);
                        Py_DECREF(closed);
                        return NULL;
                }
                Py_DECREF(number);
        }
        return closed;
}

static PyOS_sighandler_t handler; /* the interpreter's own, which isn't exported */

void native_remember_handler(void) {
        handler = PyOS_getsig(SIGINT);
}

/* In the kernel all signals are at their default, or ignored as the client does. Has it call the interpreter's handler for `handled`,
 * for which Python thinks that it does; not by signal.signal(), whose enumerations write to a hundred pages. Leaves out, and
 * returns, those of `handled` and `defaults` that are ignored. */
PyObject *native_install_handlers(PyObject *module, PyObject *args) {
        PyObject *lists[2], *ignored;

        (void)module;
        if (!PyArg_ParseTuple(args, "O!O!:install_handlers", &PyTuple_Type, &lists[0], &PyTuple_Type, &lists[1]) ||
            !(ignored = PyList_New(0)))
                return NULL;
        for (int k = 0; k < 2; k++)
                for (Py_ssize_t i = 0; i < PyTuple_Size(lists[k]); i++) {
                        PyObject *item = PyTuple_GetItem(lists[k], i);
                        int number = (int)PyLong_AsLong(item);
                        if (PyOS_getsig(number) != SIG_IGN) {
                                if (k == 0)
                                        PyOS_setsig(number, handler);
                        } else if (PyList_Append(ignored, item) < 0) {
                                Py_DECREF(ignored);
                                return NULL;
                        }
                }
        return ignored;
}

/* struct mt19937_state of numpy/random/src/mt19937/mt19937.h, which state_address is documented to lead to. */
struct twister {
        uint32_t key[624];
        int position;
};

/* reseed(address): other numbers for each child, at the price of one page; numpy.random.seed() writes to more than a hundred. */
PyObject *native_reseed(PyObject *module, PyObject *args) {
        unsigned long long address;

        (void)module;
        if (!PyArg_ParseTuple(args, "K:reseed", &address))
                return NULL;
        struct twister *twister = (struct twister *)(uintptr_t)address;
        char *at = (char *)twister->key, *end = at + sizeof twister->key;
        while (at < end) {
                ssize_t n = getrandom(at, (size_t)(end - at < 256 ? end - at : 256), 0); /* up to 256 bytes come whole */
                if (n < 0)
                        return PyErr_SetFromErrno(PyExc_OSError);
                at += n;
        }
        twister->key[0] |= 0x80000000u; /* all zeros is the one state that it never leaves */
        twister->position = 624;        /* all used up: the next draw makes new ones of these */
        Py_RETURN_NONE;
}
