/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* forkserver._native.Process */

static PyObject *process_type;

struct process {
        PyObject_HEAD
        struct fsrv_process *process;
        PyObject *returncode; /* NULL until it is known */
        struct fsrv_status status;
        PyObject *owner; /* see struct native_owner */
        const PyObject *keeper;
        pid_t maker; /* the process that started it; a forked copy of that is no owner */
};

PyObject *native_process_new(struct fsrv_process *handle, const struct native_owner *owner) {
        allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)process_type, Py_tp_alloc);
        struct process *self = (struct process *)allocate((PyTypeObject *)process_type, 0);

        if (!self) {
                if (owner->owner)
                        fsrv_process_kill(handle, SIGKILL);
                fsrv_process_unref(handle);
                return NULL;
        }
        self->process = handle;
        Py_XINCREF(owner->owner);
        self->owner = owner->owner;
        self->keeper = owner->keeper;
        self->maker = getpid();
        return (PyObject *)self;
}

/* Whether nobody can know of the process, because a signal handler has raised while it was on its way to its owner. An
 * owner that has gone itself left it running on purpose. */
static bool is_lost(const struct process *self) {
        PyObject *owner = self->owner && self->maker == getpid() ? PyWeakref_GetObject(self->owner) : NULL;

        if (!owner || owner == Py_None)
                return false;
        Py_INCREF(owner);
        PyObject *popen = PyObject_GetAttrString(owner, "_popen");
        if (!popen)
                PyErr_Clear();
        bool lost = popen != self->keeper;
        Py_XDECREF(popen);
        Py_DECREF(owner);
        return lost;
}

/* In C, so that no signal handler comes between. */
static void kill_lost(struct process *self) {
        PyObject *type, *value, *traceback;

        PyErr_Fetch(&type, &value, &traceback);
        if (is_lost(self))
                fsrv_process_kill(self->process, SIGKILL);
        PyErr_Restore(type, value, traceback);
}

static void process_dealloc(PyObject *object) {
        struct process *self = (struct process *)object;
        PyTypeObject *type = Py_TYPE(object);
        freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

        kill_lost(self);
        fsrv_process_unref(self->process);
        Py_XDECREF(self->returncode);
        Py_XDECREF(self->owner);
        release(object);
        Py_DECREF(type);
}

static PyObject *process_pid(PyObject *object, void *data) {
        (void)data;
        return PyLong_FromLong(fsrv_process_get_pid(((struct process *)object)->process));
}

static PyObject *process_pidfd(PyObject *object, void *data) {
        int fd = fsrv_process_get_pidfd(((struct process *)object)->process);

        (void)data;
        return fd < 0 ? native_raise_plain(fd, "the kernel has no pidfds") : PyLong_FromLong(fd);
}

static PyObject *process_returncode(PyObject *object, void *data) {
        PyObject *code = ((struct process *)object)->returncode;

        (void)data;
        if (!code)
                code = Py_None;
        Py_INCREF(code);
        return code;
}

static PyObject *process_rusage(PyObject *object, void *data) {
        const struct process *self = (struct process *)object;
        const struct rusage *use = &self->status.rusage;

        (void)data;
        if (!self->returncode || self->status.flags & FSRV_STATUS_NO_RUSAGE)
                Py_RETURN_NONE;
        return Py_BuildValue("(ddllllllllllllll)", (double)use->ru_utime.tv_sec + (double)use->ru_utime.tv_usec / 1e6,
                             (double)use->ru_stime.tv_sec + (double)use->ru_stime.tv_usec / 1e6, use->ru_maxrss,
                             use->ru_ixrss, use->ru_idrss, use->ru_isrss, use->ru_minflt, use->ru_majflt, use->ru_nswap,
                             use->ru_inblock, use->ru_oublock, use->ru_msgsnd, use->ru_msgrcv, use->ru_nsignals,
                             use->ru_nvcsw, use->ru_nivcsw);
}

static PyObject *process_core(PyObject *object, void *data) {
        (void)data;
        return PyBool_FromLong(((struct process *)object)->status.flags & FSRV_STATUS_CORE_DUMPED);
}

static PyObject *process_timed_out(PyObject *object, void *data) {
        (void)data;
        return PyBool_FromLong(((struct process *)object)->status.flags & FSRV_STATUS_TIMED_OUT);
}

/* (how many calls, the name of the first, whether it was killed for that); None: none was refused */
static PyObject *process_refused(PyObject *object, void *data) {
        const struct fsrv_status *status = &((struct process *)object)->status;

        (void)data;
        if (status->refused == 0)
                Py_RETURN_NONE;
        return Py_BuildValue("(IsO)", status->refused, fsrv_syscall_name(status->refused_call),
                             status->flags & FSRV_STATUS_REFUSED ? Py_True : Py_False);
}

static PyObject *process_fileno(PyObject *object, PyObject *ignored) {
        int fd = fsrv_process_get_poll_fd(((struct process *)object)->process);

        (void)ignored;
        return fd < 0 ? native_raise_plain(fd, "an fd to wait for the process with") : PyLong_FromLong(fd);
}

/* One look. 1: it has ended; 0: not yet; -1 with an exception. */
static int look(struct process *self) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r;

        if (self->returncode)
                return 1;
        r = fsrv_process_wait(self->process, 0, &status, &error);
        if (r == -ETIMEDOUT)
                return 0;
        if (r < 0) {
                native_raise(r, &error);
                return -1;
        }
        PyObject *code = PyLong_FromLong(status.signal ? -status.signal : status.exit_code);
        if (!code)
                return -1;
        if (self->returncode) { /* another thread has been here first */
                Py_DECREF(code);
                return 1;
        }
        self->status = status;
        self->returncode = code;
        return 1;
}

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Until something may have changed: 0; -1 with an exception of a signal handler. */
static int wait_readable(int fd, double deadline) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };
        double left = deadline < 0 ? -1 : deadline - now();
        int ms = -1, r;

        if (deadline >= 0 && left > 1e6)
                ms = 1000000000;
        else if (deadline >= 0)
                ms = left > 0 ? (int)(left * 1000) + 1 : 0;

        Py_BEGIN_ALLOW_THREADS
        r = poll(&entry, 1, ms);
        Py_END_ALLOW_THREADS
        return r < 0 ? PyErr_CheckSignals() : 0;
}

/* After the kernel said that it has ended, until its parent has told how: an instant. */
static void wait_a_moment(void) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
        Py_END_ALLOW_THREADS
}

static PyObject *process_wait(PyObject *object, PyObject *args) {
        struct process *self = (struct process *)object;
        PyObject *timeout = Py_None;
        double deadline = -1;

        if (!PyArg_ParseTuple(args, "|O:wait", &timeout))
                return NULL;
        if (timeout != Py_None) {
                double seconds = PyFloat_AsDouble(timeout);
                if (seconds == -1.0 && PyErr_Occurred())
                        return NULL;
                deadline = now() + (seconds > 0 ? seconds : 0);
        }
        for (;;) {
                int ended = look(self), fd;
                if (ended < 0)
                        return NULL;
                if (ended)
                        return process_returncode(object, NULL);
                if (deadline >= 0 && now() >= deadline)
                        Py_RETURN_NONE;
                fd = fsrv_process_get_poll_fd(self->process);
                if (fd < 0)
                        return native_raise_plain(fd, "an fd to wait for the process with");
                struct pollfd entry = { .fd = fd, .events = POLLIN };
                if (poll(&entry, 1, 0) == 1)
                        wait_a_moment(); /* readable, and look() found nothing: not to spin */
                else if (wait_readable(fd, deadline) < 0)
                        return NULL;
        }
}

static PyObject *process_kill(PyObject *object, PyObject *args) {
        int number = SIGKILL, r;

        if (!PyArg_ParseTuple(args, "|i:kill", &number))
                return NULL;
        r = fsrv_process_kill(((struct process *)object)->process, number);
        if (r < 0) {
                errno = -r;
                return PyErr_SetFromErrno(PyExc_OSError);
        }
        Py_RETURN_NONE;
}

/* The process has to have ended. */
static PyObject *process_result(PyObject *object, PyObject *ignored) {
        struct fsrv_result result = { .size = sizeof result };
        struct fsrv_error error = { 0 };
        int r = fsrv_process_get_result(((struct process *)object)->process, &result, &error);

        (void)ignored;
        return r < 0 ? native_raise(r, &error) : native_result_new(&result);
}

/* has_reader(fd): whether anybody would read what is written to this pipe. */
PyObject *native_has_reader(PyObject *module, PyObject *args) {
        struct pollfd entry = { 0 };

        (void)module;
        if (!PyArg_ParseTuple(args, "i:has_reader", &entry.fd))
                return NULL;
        return PyBool_FromLong(poll(&entry, 1, 0) == 0);
}

/* In a worker, which has unpickled it. What a memoryview of it refers to is gone. */
PyObject *native_drop_payload(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        fsrv_worker_drop_payload();
        Py_RETURN_NONE;
}

static PyMethodDef process_methods[] = {
        { "fileno", process_fileno, METH_NOARGS,
          "An fd for select and friends: readable when wait(0) has something to do." },
        { "wait", process_wait, METH_VARARGS,
          "wait(timeout=None) -> the exit code, minus the signal that killed it, or None after `timeout` seconds.\n"
          "Raises forkserver.Error (EOWNERDEAD) when the status was lost together with the server." },
        { "kill", process_kill, METH_VARARGS,
          "kill(signal=SIGKILL): by pidfd, never to another process. ProcessLookupError when it has ended." },
        { "result", process_result, METH_NOARGS,
          "After wait(): what the process has given back, as a buffer; once. forkserver.Error if it gave nothing." },
        { NULL, NULL, 0, NULL },
};

static PyGetSetDef process_members[] = {
        { "pid", process_pid, NULL, NULL, NULL },
        { "pidfd", process_pidfd, NULL, "Borrowed: valid as long as this object.", NULL },
        { "returncode", process_returncode, NULL, "What wait() found, None before.", NULL },
        { "rusage", process_rusage, NULL,
          "The fields of resource.struct_rusage, None before the end or where the server died.", NULL },
        { "core", process_core, NULL, "Whether a core was dumped.", NULL },
        { "timed_out", process_timed_out, NULL, "Whether it was killed for its time limit.", NULL },
        { "refused", process_refused, NULL, "What its sandbox refused: how many calls, the first one's name.", NULL },
        { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot process_slots[] = {
        { Py_tp_dealloc, (void *)process_dealloc },
        { Py_tp_methods, process_methods },
        { Py_tp_getset, process_members },
        { 0, NULL },
};
static PyType_Spec process_spec = { "forkserver._native.Process", sizeof(struct process), 0, Py_TPFLAGS_DEFAULT,
                                    process_slots };

PyObject *native_process_type(void) {
        return process_type = PyType_FromSpec(&process_spec);
}
