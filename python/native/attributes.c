/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <stdlib.h>
#include <sys/types.h>

/* A request's attributes, as _attributes.py has made them: a dict with some of these names. */

struct lists {
        struct fsrv_limit *limits;
        gid_t *groups;
};

static int take_limits(PyObject *list, struct fsrv_attributes *attributes, struct lists *lists) {
        Py_ssize_t n = PyList_Size(list);

        lists->limits = n > 0 ? calloc((size_t)n, sizeof *lists->limits) : NULL;
        if (!lists->limits)
                return PyErr_NoMemory(), -1;
        for (Py_ssize_t i = 0; i < n; i++) {
                unsigned long long soft, hard;

                if (!PyArg_ParseTuple(PyList_GetItem(list, i), "iKK", &lists->limits[i].resource, &soft, &hard))
                        return -1;
                lists->limits[i].soft = soft;
                lists->limits[i].hard = hard;
        }
        attributes->limits = lists->limits;
        attributes->n_limits = (size_t)n;
        attributes->mask |= FSRV_ATTRIBUTE_LIMITS;
        return 0;
}

static int take_groups(PyObject *list, struct fsrv_attributes *attributes, struct lists *lists) {
        Py_ssize_t n = PyList_Size(list);

        lists->groups = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *lists->groups);
        if (!lists->groups)
                return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
        for (Py_ssize_t i = 0; i < n; i++)
                lists->groups[i] = (gid_t)PyLong_AsUnsignedLong(PyList_GetItem(list, i));
        attributes->groups = lists->groups;
        attributes->n_groups = (size_t)n;
        attributes->mask |= FSRV_ATTRIBUTE_GROUPS;
        return PyErr_Occurred() ? -1 : 0;
}

static int take_number(PyObject *number, int *ret_number, struct fsrv_attributes *attributes, uint64_t bit) {
        if (!number)
                return 0;
        *ret_number = (int)PyLong_AsLong(number);
        attributes->mask |= bit;
        return PyErr_Occurred() ? -1 : 0;
}

static int take_id(PyObject *number, unsigned *ret_id, struct fsrv_attributes *attributes, uint64_t bit) {
        if (!number)
                return 0;
        *ret_id = (unsigned)PyLong_AsUnsignedLong(number);
        attributes->mask |= bit;
        return PyErr_Occurred() ? -1 : 0;
}

static int set_all(struct fsrv_request *request, PyObject *keywords, struct lists *lists) {
        static char *names[] = { "limits", "nice", "affinity", "uid", "gid", "groups", "umask", "cgroup", NULL };
        struct fsrv_attributes attributes = { .size = sizeof attributes };
        PyObject *none = PyTuple_New(0), *limits = NULL, *nice = NULL, *uid = NULL, *gid = NULL, *groups = NULL;
        PyObject *umask = NULL;
        const char *affinity = NULL;
        Py_ssize_t affinity_size = 0;
        struct fsrv_error error = { 0 };
        int mask = -1;

        int is_read = none && PyArg_ParseTupleAndKeywords(none, keywords, "|O!Oy#OOO!Oz:attributes", names,
                                                          &PyList_Type, &limits, &nice, &affinity, &affinity_size, &uid,
                                                          &gid, &PyList_Type, &groups, &umask, &attributes.cgroup);
        Py_XDECREF(none);
        if (!is_read || (limits && take_limits(limits, &attributes, lists) < 0) ||
            (groups && take_groups(groups, &attributes, lists) < 0) ||
            take_number(nice, &attributes.nice, &attributes, FSRV_ATTRIBUTE_NICE) < 0 ||
            take_id(uid, &attributes.uid, &attributes, FSRV_ATTRIBUTE_UID) < 0 ||
            take_id(gid, &attributes.gid, &attributes, FSRV_ATTRIBUTE_GID) < 0 ||
            take_number(umask, &mask, &attributes, 0) < 0)
                return -1;
        if (affinity)
                attributes.mask |= FSRV_ATTRIBUTE_AFFINITY;
        attributes.affinity = affinity;
        attributes.affinity_size = (size_t)affinity_size;
        if (attributes.cgroup)
                attributes.mask |= FSRV_ATTRIBUTE_CGROUP;
        if (umask)
                fsrv_request_set_umask(request, (mode_t)mask);
        int r = fsrv_request_set_attributes(request, &attributes, &error);
        if (r < 0)
                native_raise(r, &error);
        return r < 0 ? -1 : 0;
}

int native_set_attributes(struct fsrv_request *request, PyObject *attributes) {
        struct lists lists = { 0 };

        if (!attributes || attributes == Py_None)
                return 0;
        int r = set_all(request, attributes, &lists);
        free(lists.limits);
        free(lists.groups);
        return r;
}
