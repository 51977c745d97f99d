/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <sys/mman.h>

#include <forkserver-host.h>

/* forkserver._native.Result: what a process has given back, as a buffer that can be written to. A large one is the
 * memory that the process wrote; it lasts as long as something refers to it, and a page is copied when it is written
 * to.
 *
 * The buffer protocol is in the stable ABI from 3.11 on. 3.9 and 3.10 have the same struct and the same slots, but
 * their limited API does not name them. */
#if Py_LIMITED_API < 0x030b0000
typedef struct {
        void *buf;
        PyObject *obj;
        Py_ssize_t len;
        Py_ssize_t itemsize;
        int readonly;
        int ndim;
        char *format;
        Py_ssize_t *shape;
        Py_ssize_t *strides;
        Py_ssize_t *suboffsets;
        void *internal;
} Py_buffer;
#define Py_bf_getbuffer 1
#define PyBUF_ND        0x0008
#define PyBUF_STRIDES   (0x0010 | PyBUF_ND)
#define PyBUF_FORMAT    0x0004
#define PyBUF_WRITE     0x200
#endif

static PyObject *result_type;

struct result {
        PyObject_HEAD
        struct fsrv_result result;
        Py_ssize_t size;
};

/* Where the memory limit has no room for a copy of all, there is none. */
static int make_writable(const struct fsrv_result *result) {
        return !result->is_mapped || mprotect((void *)result->bytes, result->n, PROT_READ | PROT_WRITE) == 0 ? 0
                                                                                                             : -errno;
}

PyObject *native_result_new(struct fsrv_result *result) {
        allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)result_type, Py_tp_alloc);
        int r = make_writable(result);
        struct result *self = r < 0 ? NULL : (struct result *)allocate((PyTypeObject *)result_type, 0);

        if (!self) {
                fsrv_result_free(result);
                return r < 0 ? native_raise_plain(r, "the memory of a result") : NULL;
        }
        self->result = *result;
        self->size = (Py_ssize_t)result->n;
        return (PyObject *)self;
}

static void result_dealloc(PyObject *object) {
        PyTypeObject *type = Py_TYPE(object);
        freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

        fsrv_result_free(&((struct result *)object)->result);
        release(object);
        Py_DECREF(type);
}

static int result_get_buffer(PyObject *object, Py_buffer *view, int flags) {
        struct result *self = (struct result *)object;

        *view = (Py_buffer){
                .buf = (void *)self->result.bytes, .obj = object, .len = self->size, .itemsize = 1, .ndim = 1
        };
        view->format = flags & PyBUF_FORMAT ? (char *)"B" : NULL;
        view->shape = flags & PyBUF_ND ? &self->size : NULL;
        view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &view->itemsize : NULL;
        Py_INCREF(object);
        return 0;
}

static PyType_Slot result_slots[] = {
        { Py_tp_dealloc, (void *)result_dealloc },
        { Py_bf_getbuffer, (void *)result_get_buffer },
        { 0, NULL },
};
static PyType_Spec result_spec = { "forkserver._native.Result", sizeof(struct result), 0, Py_TPFLAGS_DEFAULT,
                                   result_slots };

PyObject *native_result_type(void) {
        return result_type = PyType_FromSpec(&result_spec);
}

/* ---- in a worker ---- */

/* result_buffer(n) -> n bytes to write the result to. They are not to be used once exit functions run. */
PyObject *native_result_buffer(PyObject *module, PyObject *args) {
        Py_ssize_t n;
        void *bytes;

        (void)module;
        if (!PyArg_ParseTuple(args, "n:result_buffer", &n))
                return NULL;
        int r = n < 0 ? -EINVAL : fsrv_worker_result_buffer((size_t)n, &bytes);
        if (r == -ENOMEM)
                return PyErr_NoMemory();
        if (r < 0)
                return native_raise_plain(r, "room for the result");
        return PyMemoryView_FromMemory(bytes, n, PyBUF_WRITE);
}
