/* The half of a staged transaction that every operation calls a dozen times: what ``PythonStage`` of staged.py does
 * in Python. Tests run both on the same random calls; without a C compiler OastFS is installed without this.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "keys.h"

typedef struct {
    PyObject_HEAD
    PyObject *base, *get, *known, *writes, *memo;
    char locking, overlapped, unsettles;
} Stage;

/* What the module was begun with, of Python. */
static PyObject *misuse, *no_lock, *ended, *ended_get;
static PyObject *value_name, *remembered_name, *get_name;

/* --- arguments ------------------------------------------------------------------------------------------- */

#define ARGUMENTS_MAX 4

/* The arguments of a call, by position or by name, into `found`; the first `needed` have to be there. */
static int
take(const char *const *names, Py_ssize_t needed, Py_ssize_t most, PyObject *const *arguments, Py_ssize_t count,
     PyObject *keywords, PyObject **found)
{
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    if (count + named > most)
        goto wrong;
    for (Py_ssize_t i = 0; i < most; i++)
        found[i] = i < count ? arguments[i] : NULL;
    for (Py_ssize_t i = 0; i < named; i++) {
        Py_ssize_t at = count;
        while (at < most && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), names[at]) != 0)
            at++;
        if (at == most)
            goto wrong;
        found[at] = arguments[count + i];
    }
    for (Py_ssize_t i = 0; i < needed; i++) {
        if (found[i] == NULL)
            goto wrong;
    }
    return 0;
wrong:
    PyErr_Format(PyExc_TypeError, "the arguments are not those of a transaction's method");
    return -1;
}

static const char *const row_names[ARGUMENTS_MAX] = {"table", "key", "value", NULL};
static const char *const get_names[ARGUMENTS_MAX] = {"table", "key", "lock", NULL};

/* --- keys ------------------------------------------------------------------------------------------------ */

/* A key was not to be looked up: say what is wrong with it, or else what went wrong. */
static void
explain(PyObject *table, PyObject *key)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return;
    PyErr_Fetch(&type, &value, &traceback);
    if (check(table, key) == 0) {
        PyErr_Restore(type, value, traceback);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* --- reading --------------------------------------------------------------------------------------------- */

/* The dict of a table's rows in a dict of them, made if there is none. A borrowed reference. */
static PyObject *
rows_of(PyObject *tables, PyObject *table)
{
    PyObject *rows = PyDict_GetItemWithError(tables, table);
    if (rows != NULL || PyErr_Occurred())
        return rows;
    rows = PyDict_New();
    if (rows == NULL || PyDict_SetItem(tables, table, rows) < 0) {
        Py_XDECREF(rows);
        return NULL;
    }
    Py_DECREF(rows);
    return rows;
}

static PyObject *
get_row(Stage *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *found[ARGUMENTS_MAX];
    if (take(get_names, 2, 3, arguments, count, keywords, found) < 0)
        return NULL;
    PyObject *table = found[0], *key = found[1], *lock = found[2] == NULL ? no_lock : found[2];
    PyObject *known = rows_of(self->known, table);
    if (known == NULL)
        return NULL;
    PyObject *value = PyDict_GetItemWithError(known, key);
    if (value == NULL && PyErr_Occurred()) {
        explain(table, key);
        return NULL;
    }
    if (PyDict_GET_SIZE(self->writes) > 0) {
        PyObject *rows = PyDict_GetItemWithError(self->writes, table);
        PyObject *written = rows == NULL ? NULL : PyDict_GetItemWithError(rows, key);
        if (written != NULL)
            return Py_NewRef(written);
        if (PyErr_Occurred())
            return NULL;
    }
    if (value != NULL && (lock == no_lock || !self->locking))
        return Py_NewRef(value);
    PyObject *all[] = {table, key, lock};
    PyObject *get = Py_NewRef(self->get);
    Py_INCREF(known);
    value = PyObject_Vectorcall(get, all, 3, NULL);
    Py_DECREF(get);
    if (value != NULL && PyDict_SetItem(known, key, value) < 0)
        Py_CLEAR(value);
    Py_DECREF(known);
    return value;
}

/* --- writing --------------------------------------------------------------------------------------------- */

static int
is_remembered(PyObject *remembered, PyObject *row)
{
    PyObject *answer = PyObject_CallOneArg(remembered, row);
    if (answer == NULL)
        return -1;
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

static int
renew_memo(Stage *self)
{
    PyObject *memo = PyDict_New();
    if (memo == NULL)
        return -1;
    Py_XSETREF(self->memo, memo);
    return 0;
}

/* What memos rest upon may change: see ``PythonStage``. */
static int
settle_memo(Stage *self, PyObject *remembered, PyObject *table, PyObject *key, PyObject *value)
{
    PyObject *known = PyDict_GetItemWithError(self->known, table);
    PyObject *before = known == NULL ? NULL : PyDict_GetItemWithError(known, key);
    if (before == NULL && PyErr_Occurred())
        return -1;
    int unsettles = before == NULL;
    if (before != NULL && before != Py_None) {
        Py_INCREF(before);
        unsettles = is_remembered(remembered, before);
        Py_DECREF(before);
    }
    if (unsettles < 0)
        return -1;
    if (unsettles) {
        self->unsettles = 1;
        return renew_memo(self);
    }
    if (value == Py_None)
        return 0;
    int is_new = is_remembered(remembered, value);
    return is_new > 0 ? renew_memo(self) : is_new;
}

static PyObject *
stage(Stage *self, PyObject *table, PyObject *key, PyObject *value)
{
    if (self->base == ended) {
        PyErr_SetString(misuse, "the transaction has ended");
        return NULL;
    }
    PyObject *remembered = PyObject_GetAttr(table, remembered_name);
    if (remembered == NULL)
        return NULL;
    int failure = remembered == Py_None ? 0 : settle_memo(self, remembered, table, key, value);
    Py_DECREF(remembered);
    if (failure < 0)
        return NULL;
    PyObject *rows = rows_of(self->writes, table);
    if (rows == NULL || PyDict_SetItem(rows, key, value) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
put_row(Stage *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *found[ARGUMENTS_MAX];
    if (take(row_names, 3, 3, arguments, count, keywords, found) < 0)
        return NULL;
    PyObject *table = found[0], *key = found[1], *value = found[2];
    if (check(table, key) < 0)
        return NULL;
    PyObject *kind = PyObject_GetAttr(table, value_name);
    if (kind == NULL)
        return NULL;
    int fits = (PyObject *)Py_TYPE(value) == kind;
    if (!fits) {
        PyObject *name = PyObject_GetAttrString(table, "name");
        PyObject *kind_name = name == NULL ? NULL : PyObject_GetAttrString(kind, "__name__");
        if (kind_name != NULL)
            PyErr_Format(misuse, "table %S holds %S, not %R", name, kind_name, value);
        Py_XDECREF(name);
        Py_XDECREF(kind_name);
    }
    Py_DECREF(kind);
    return fits ? stage(self, table, key, value) : NULL;
}

static PyObject *
delete_row(Stage *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *found[ARGUMENTS_MAX];
    if (take(row_names, 2, 2, arguments, count, keywords, found) < 0 || check(found[0], found[1]) < 0)
        return NULL;
    return stage(self, found[0], found[1], Py_None);
}

/* --- beginning and ending -------------------------------------------------------------------------------- */

static PyObject *
finish(Stage *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *known = PyDict_New(), *none = PyDict_New();
    if (known == NULL || none == NULL) {
        Py_XDECREF(known);
        Py_XDECREF(none);
        return NULL;
    }
    PyObject *writes = self->writes;
    self->writes = none;
    Py_SETREF(self->known, known);
    Py_SETREF(self->base, Py_NewRef(ended));
    Py_SETREF(self->get, Py_NewRef(ended_get));
    return writes;
}

static PyObject *
make(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Stage *self = (Stage *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->known = PyDict_New();
    self->writes = PyDict_New();
    self->base = Py_NewRef(ended);
    self->get = Py_NewRef(ended_get);
    if (self->known == NULL || self->writes == NULL || renew_memo(self) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int
begin(Stage *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"base", "rows", "memo", "locking", NULL};
    PyObject *base, *rows = Py_None, *memo = Py_None;
    int locking = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|OO$p", names, &base, &rows, &memo, &locking))
        return -1;
    PyObject *get = PyObject_GetAttr(base, get_name);
    if (get == NULL)
        return -1;
    Py_SETREF(self->get, get);
    Py_SETREF(self->base, Py_NewRef(base));
    if (rows != Py_None) {
        PyObject *known = PyDict_Copy(rows);
        if (known == NULL)
            return -1;
        Py_SETREF(self->known, known);
    }
    if (memo != Py_None)
        Py_XSETREF(self->memo, Py_NewRef(memo));
    self->locking = self->overlapped = (char)locking;
    return 0;
}

static int
traverse(Stage *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->base);
    Py_VISIT(self->get);
    Py_VISIT(self->known);
    Py_VISIT(self->writes);
    Py_VISIT(self->memo);
    return 0;
}

static int
clear(Stage *self)
{
    Py_CLEAR(self->base);
    Py_CLEAR(self->get);
    Py_CLEAR(self->known);
    Py_CLEAR(self->writes);
    Py_CLEAR(self->memo);
    return 0;
}

static void
forget(Stage *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef stage_methods[] = {
    {"get", (PyCFunction)(void (*)(void))get_row, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"put", (PyCFunction)(void (*)(void))put_row, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"delete", (PyCFunction)(void (*)(void))delete_row, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"finish", (PyCFunction)(void (*)(void))finish, METH_NOARGS,
     "End the transaction and give its writes. Every later call on it raises TransactionMisuse."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef stage_members[] = {
    {"_base", T_OBJECT_EX, offsetof(Stage, base), READONLY, NULL},
    {"_known", T_OBJECT_EX, offsetof(Stage, known), 0, NULL},
    {"_writes", T_OBJECT_EX, offsetof(Stage, writes), READONLY, NULL},
    {"memo", T_OBJECT_EX, offsetof(Stage, memo), 0, NULL},
    {"overlapped", T_BOOL, offsetof(Stage, overlapped), 0, NULL},
    {"unsettles", T_BOOL, offsetof(Stage, unsettles), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot stage_slots[] = {
    {Py_tp_doc, (void *)"Rows that were read, and those that are to be written."},
    {Py_tp_new, make},
    {Py_tp_init, begin},
    {Py_tp_dealloc, forget},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, stage_methods},
    {Py_tp_members, stage_members},
    {0, NULL},
};

static PyType_Spec stage_spec = {
    .name = "oastfs.store._staged.Stage",
    .basicsize = sizeof(Stage),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stage_slots,
};

/* --- the module ------------------------------------------------------------------------------------------ */

static int
fill(PyObject *module)
{
    if (begin_keys() < 0)
        return -1;
    misuse = import("oastfs.core.errors", "TransactionMisuse", NULL);
    no_lock = import("oastfs.store.table", "Lock", "NONE");
    ended = import("oastfs.store.transaction", "ENDED", NULL);
    ended_get = import("oastfs.store.transaction", "ENDED", "get");
    value_name = PyUnicode_InternFromString("value");
    remembered_name = PyUnicode_InternFromString("remembered");
    get_name = PyUnicode_InternFromString("get");
    if (PyErr_Occurred())
        return -1;
    PyObject *type = PyType_FromSpec(&stage_spec);
    if (type == NULL)
        return -1;
    int failure = PyModule_AddObjectRef(module, "Stage", type);
    Py_DECREF(type);
    return failure;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.store._staged",
    .m_doc = "Writes of one operation, kept aside.",
    .m_size = 0,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__staged(void)
{
    return PyModuleDef_Init(&definition);
}
