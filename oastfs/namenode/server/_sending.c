/* Sends on a connected socket at once, keeping the interpreter: peer.py says when.
 *
 * os.write would let go of the interpreter at each answer: beside a thread that computes, half as many calls would be answered.
 * A transport of uvloop's keeps it as well, but takes longer over the same system call.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <limits.h>
#include <sys/socket.h>

PyDoc_STRVAR(send_now_doc, "send_now(descriptor, data)\n--\n\nHow many bytes were sent; see _sending.pyi.");

static PyObject *
send_now(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 2 || !PyLong_Check(arguments[0]) || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "bytes are sent on a descriptor");
        return NULL;
    }
    long descriptor = PyLong_AsLong(arguments[0]);
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    if (descriptor < 0 || descriptor > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "no descriptor is negative or longer than an int");
        return NULL;
    }
    ssize_t sent = send((int)descriptor, PyBytes_AS_STRING(arguments[1]), (size_t)PyBytes_GET_SIZE(arguments[1]),
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    return PyLong_FromSsize_t(sent < 0 ? 0 : sent);
}

static PyMethodDef methods[] = {
    {"send_now", (PyCFunction)(void (*)(void))send_now, METH_FASTCALL, send_now_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.namenode.server._sending",
    .m_doc = "Sends on a connected socket at once, keeping the interpreter.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__sending(void)
{
    return PyModuleDef_Init(&definition);
}
