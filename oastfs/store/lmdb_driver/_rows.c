/* Rows from and to LMDB's bytes: what ``PythonReader`` of transaction.py and the functions of codec.py and
 * changes.py that end in ``in_python`` do in Python. Where anything goes wrong those are called, which say what. Tests compare both; without
 * a C compiler OastFS is installed without this.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>

#include "../keys.h"

#define COLUMNS_MAX 8
#define ID_BYTES 8

/* What the module was begun with, of Python. */
static PyObject *empty_bytes;
static PyObject *name_name, *database_name, *encode_key_name, *encode_value_name, *decode_value_name,
    *indexes_name, *encode_table_key_name, *get_in_python_name;

/* --- keys ------------------------------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Py_ssize_t count;
    char is_text[COLUMNS_MAX];
} KeyEncoder;

/* NUL ends a text, but at the end of a key of several columns. */
static int
has_end(KeyEncoder *self, Py_ssize_t column)
{
    return self->is_text[column] && (column < self->count - 1 || self->count == 1);
}

/* Where the values of a key are, as bytes: an ID in `ids`, a text in its str. */
typedef struct {
    const char *at[COLUMNS_MAX];
    Py_ssize_t length[COLUMNS_MAX];
    char ids[COLUMNS_MAX][ID_BYTES];
} Parts;

static int
find_id(PyObject *value, char *into)
{
    uint64_t number = PyLong_AsUnsignedLongLong(value);
    if (number == (uint64_t)-1 && PyErr_Occurred())
        return -1;
    for (int i = ID_BYTES - 1; i >= 0; i--) {
        into[i] = (char)(number & 0xff);
        number >>= 8;
    }
    return 0;
}

static Py_ssize_t
find_parts(KeyEncoder *self, PyObject *const *values, Parts *parts)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        if (self->is_text[i]) {
            parts->at[i] = PyUnicode_AsUTF8AndSize(values[i], &parts->length[i]);
            if (parts->at[i] == NULL)
                return -1;
            total += parts->length[i] + has_end(self, i);
        } else {
            if (find_id(values[i], parts->ids[i]) < 0)
                return -1;
            parts->at[i] = parts->ids[i];
            parts->length[i] = ID_BYTES;
            total += ID_BYTES;
        }
    }
    return total;
}

static PyObject *
encode_key(PyObject *callable, PyObject *const *arguments, size_t flags, PyObject *keywords)
{
    KeyEncoder *self = (KeyEncoder *)callable;
    Parts parts;
    if (PyVectorcall_NARGS(flags) != 1 || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "a key is one argument");
        return NULL;
    }
    PyObject *key = arguments[0];
    if ((!PyTuple_Check(key) && !PyList_Check(key)) || PySequence_Fast_GET_SIZE(key) != self->count) {
        PyErr_SetString(PyExc_TypeError, "a key has a value for each column");
        return NULL;
    }
    Py_ssize_t total = find_parts(self, PySequence_Fast_ITEMS(key), &parts);
    PyObject *result = total < 0 ? NULL : PyBytes_FromStringAndSize(NULL, total);
    if (result == NULL)
        return NULL;
    char *at = PyBytes_AS_STRING(result);
    for (Py_ssize_t i = 0; i < self->count; i++) {
        memcpy(at, parts.at[i], (size_t)parts.length[i]);
        at += parts.length[i];
        if (has_end(self, i))
            *at++ = 0;
    }
    return result;
}

static PyObject *
make_encoder(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"shape", NULL};
    PyObject *shape;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!", names, &PyTuple_Type, &shape))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(shape);
    if (count == 0 || count > COLUMNS_MAX)
        return PyErr_Format(PyExc_ValueError, "keys have one to %d columns", COLUMNS_MAX);
    KeyEncoder *self = (KeyEncoder *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = encode_key;
    self->count = count;
    for (Py_ssize_t i = 0; i < count; i++)
        self->is_text[i] = PyTuple_GET_ITEM(shape, i) != id_column;
    return (PyObject *)self;
}

static void
forget_encoder(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef encoder_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(KeyEncoder, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, (void *)"The bytes of whole keys, whose columns have the types of a shape."},
    {Py_tp_new, make_encoder},
    {Py_tp_dealloc, forget_encoder},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, encoder_members},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "oastfs.store.lmdb_driver._rows.KeyEncoder",
    .basicsize = sizeof(KeyEncoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = encoder_slots,
};

/* --- reading --------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *tables, *txn, *get, *memo;
} Reader;

/* The bytes of a row, or None. */
static PyObject *
find_raw(Reader *self, PyObject *opened, PyObject *key)
{
    PyObject *raw = NULL, *raw_key = NULL;
    PyObject *encode = PyObject_GetAttr(opened, encode_key_name);
    PyObject *database = encode == NULL ? NULL : PyObject_GetAttr(opened, database_name);
    if (database != NULL)
        raw_key = PyObject_CallOneArg(encode, key);
    if (raw_key != NULL) {
        PyObject *arguments[] = {raw_key, Py_None, database};
        PyObject *get = Py_NewRef(self->get);
        raw = PyObject_Vectorcall(get, arguments, 3, NULL);
        Py_DECREF(get);
    }
    Py_XDECREF(raw_key);
    Py_XDECREF(database);
    Py_XDECREF(encode);
    return raw;
}

/* A row, or None; NULL, with an error set or not, if Python is to look. */
static PyObject *
find_row(Reader *self, PyObject *table, PyObject *key)
{
    PyObject *opened = PyDict_GetItemWithError(self->tables, table);
    PyObject *raw = opened == NULL ? NULL : find_raw(self, opened, key);
    if (raw == NULL || raw == Py_None) {
        /* What is not a proper key is never found, so checking can wait until here. */
        if (raw != NULL && check(table, key) < 0)
            Py_CLEAR(raw);
        return raw;
    }
    PyObject *decode = PyObject_GetAttr(opened, decode_value_name);
    PyObject *row = decode == NULL ? NULL : PyObject_CallOneArg(decode, raw);
    Py_XDECREF(decode);
    Py_DECREF(raw);
    return row;
}

static PyObject *
get_row(Reader *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    if (count >= 2 && count <= 3 && keywords == NULL) {
        PyObject *row = find_row(self, arguments[0], arguments[1]);
        if (row != NULL)
            return row;
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    PyObject *python = PyObject_GetAttr((PyObject *)self, get_in_python_name);
    if (python == NULL)
        return NULL;
    PyObject *row = PyObject_Vectorcall(python, arguments, (size_t)count, keywords);
    Py_DECREF(python);
    return row;
}

static PyObject *
make_reader(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->tables = PyDict_New();
    self->txn = Py_NewRef(Py_None);
    self->get = Py_NewRef(Py_None);
    self->memo = Py_NewRef(Py_None);
    if (self->tables == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int
begin(Reader *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"tables", "txn", "memo", NULL};
    PyObject *tables, *txn, *memo = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!O|O", names, &PyDict_Type, &tables, &txn, &memo))
        return -1;
    PyObject *get = PyObject_GetAttrString(txn, "get");
    memo = memo == Py_None ? PyDict_New() : Py_NewRef(memo);
    if (get == NULL || memo == NULL) {
        Py_XDECREF(get);
        Py_XDECREF(memo);
        return -1;
    }
    Py_SETREF(self->tables, Py_NewRef(tables));
    Py_SETREF(self->txn, Py_NewRef(txn));
    Py_SETREF(self->get, get);
    Py_SETREF(self->memo, memo);
    return 0;
}

static int
traverse(Reader *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->tables);
    Py_VISIT(self->txn);
    Py_VISIT(self->get);
    Py_VISIT(self->memo);
    return 0;
}

static int
clear(Reader *self)
{
    Py_CLEAR(self->tables);
    Py_CLEAR(self->txn);
    Py_CLEAR(self->get);
    Py_CLEAR(self->memo);
    return 0;
}

static void
forget_reader(Reader *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef reader_methods[] = {
    {"get", (PyCFunction)(void (*)(void))get_row, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef reader_members[] = {
    {"_tables", T_OBJECT_EX, offsetof(Reader, tables), READONLY, NULL},
    {"_txn", T_OBJECT_EX, offsetof(Reader, txn), 0, NULL},
    {"_get", T_OBJECT_EX, offsetof(Reader, get), 0, NULL},
    {"memo", T_OBJECT_EX, offsetof(Reader, memo), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, (void *)"Reads rows in an LMDB transaction."},
    {Py_tp_new, make_reader},
    {Py_tp_init, begin},
    {Py_tp_dealloc, forget_reader},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_methods, reader_methods},
    {Py_tp_members, reader_members},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "oastfs.store.lmdb_driver._rows.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = reader_slots,
};

/* --- writing --------------------------------------------------------------------------------------------- */

/* Add (name, database, key, value) to a list. Takes over the references to `key` and `value`. */
static int
add_change(PyObject *changes, PyObject *opened, PyObject *key, PyObject *value)
{
    PyObject *change = NULL;
    PyObject *name = PyObject_GetAttr(opened, name_name);
    PyObject *database = name == NULL ? NULL : PyObject_GetAttr(opened, database_name);
    if (key != NULL && value != NULL && database != NULL)
        change = PyTuple_Pack(4, name, database, key, value);
    Py_XDECREF(name);
    Py_XDECREF(database);
    Py_XDECREF(key);
    Py_XDECREF(value);
    int failure = change == NULL ? -1 : PyList_Append(changes, change);
    Py_XDECREF(change);
    return failure;
}

static int
add_indexed(PyObject *changes, PyObject *indexes, PyObject *key, PyObject *value)
{
    PyObject *index;
    Py_ssize_t at = 0;
    while (PyDict_Next(indexes, &at, NULL, &index)) {
        PyObject *encode = PyObject_GetAttr(index, encode_table_key_name);
        PyObject *raw_key = encode == NULL ? NULL : PyObject_CallOneArg(encode, key);
        Py_XDECREF(encode);
        if (add_change(changes, index, raw_key, Py_NewRef(value == Py_None ? Py_None : empty_bytes)) < 0)
            return -1;
    }
    return 0;
}

/* How the rows of one table are encoded. */
typedef struct {
    PyObject *encode_key, *encode_value, *indexes;
} Codec;

static int
add_rows(PyObject *changes, PyObject *opened, Codec *codec, PyObject *rows)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(rows, &at, &key, &value)) {
        PyObject *raw_key = PyObject_CallOneArg(codec->encode_key, key);
        PyObject *raw_value = NULL;
        if (raw_key != NULL)
            raw_value = value == Py_None ? Py_NewRef(Py_None) : PyObject_CallOneArg(codec->encode_value, value);
        if (add_change(changes, opened, raw_key, raw_value) < 0)
            return -1;
        if (PyDict_GET_SIZE(codec->indexes) > 0 && add_indexed(changes, codec->indexes, key, value) < 0)
            return -1;
    }
    return 0;
}

static int
add_table(PyObject *changes, PyObject *opened, PyObject *rows)
{
    Codec codec = {
        .encode_key = PyObject_GetAttr(opened, encode_key_name),
        .encode_value = PyObject_GetAttr(opened, encode_value_name),
        .indexes = PyObject_GetAttr(opened, indexes_name),
    };
    int failure = -1;
    if (codec.encode_key != NULL && codec.encode_value != NULL && codec.indexes != NULL) {
        if (PyDict_Check(codec.indexes) && PyDict_Check(rows))
            failure = add_rows(changes, opened, &codec, rows);
        else
            PyErr_SetString(PyExc_TypeError, "rows and indexes are dicts");
    }
    Py_XDECREF(codec.encode_key);
    Py_XDECREF(codec.encode_value);
    Py_XDECREF(codec.indexes);
    return failure;
}

PyDoc_STRVAR(encode_doc, "encode_writes(tables, writes): see ``encode_writes_in_python``.");

static PyObject *
encode_writes(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyDict_Check(arguments[0]) || !PyDict_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "encode_writes takes two dicts");
        return NULL;
    }
    PyObject *changes = PyList_New(0), *table, *rows;
    Py_ssize_t at = 0;
    while (changes != NULL && PyDict_Next(arguments[1], &at, &table, &rows)) {
        PyObject *opened = PyDict_GetItemWithError(arguments[0], table);
        if (opened == NULL && !PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, table);
        if (opened == NULL || add_table(changes, opened, rows) < 0)
            Py_CLEAR(changes);
    }
    return changes;
}

/* Note what a row was changed to; a later change of the row takes the place of an earlier one. */
static int
note(PyObject *logged, PyObject *change)
{
    PyObject *name = PyTuple_GET_ITEM(change, 0);
    PyObject *rows = PyDict_GetItemWithError(logged, name);
    if (rows == NULL) {
        if (PyErr_Occurred())
            return -1;
        rows = PyDict_New();
        int failure = rows == NULL ? -1 : PyDict_SetItem(logged, name, rows);
        Py_XDECREF(rows);
        if (failure < 0)
            return -1;
    }
    return PyDict_SetItem(rows, PyTuple_GET_ITEM(change, 2), PyTuple_GET_ITEM(change, 3));
}

static int
apply_change(PyObject *put, PyObject *delete, PyObject *change)
{
    PyObject *database = PyTuple_GET_ITEM(change, 1);
    PyObject *key = PyTuple_GET_ITEM(change, 2), *value = PyTuple_GET_ITEM(change, 3);
    PyObject *result;
    if (value == Py_None) {
        PyObject *all[] = {key, empty_bytes, database};
        result = PyObject_Vectorcall(delete, all, 3, NULL);
    } else {
        PyObject *all[] = {key, value, Py_True, Py_True, Py_False, database};
        result = PyObject_Vectorcall(put, all, 6, NULL);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* A change of a list, held; NULL with an error set if it is none. */
static PyObject *
change_at(PyObject *changes, Py_ssize_t at)
{
    PyObject *change = PyList_GET_ITEM(changes, at);
    if (PyTuple_CheckExact(change) && PyTuple_GET_SIZE(change) == 4)
        return Py_NewRef(change);
    PyErr_SetString(PyExc_TypeError, "a change is a tuple of four");
    return NULL;
}

PyDoc_STRVAR(apply_doc, "apply_changes(txn, changes): see ``apply_changes_in_python``.");

static PyObject *
apply_changes(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyList_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "apply_changes takes a transaction and a list");
        return NULL;
    }
    PyObject *changes = arguments[1];
    PyObject *put = PyObject_GetAttrString(arguments[0], "put");
    PyObject *delete = put == NULL ? NULL : PyObject_GetAttrString(arguments[0], "delete");
    int failure = delete == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; failure == 0 && i < PyList_GET_SIZE(changes); i++) {
        PyObject *change = change_at(changes, i);
        failure = change == NULL ? -1 : apply_change(put, delete, change);
        Py_XDECREF(change);
    }
    Py_XDECREF(put);
    Py_XDECREF(delete);
    if (failure < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(note_doc, "note_changes(changes, logged): see ``note_changes_in_python``.");

static PyObject *
note_changes(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyList_CheckExact(arguments[0]) || !PyDict_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "note_changes takes a list and a dict");
        return NULL;
    }
    int failure = 0;
    for (Py_ssize_t i = 0; failure == 0 && i < PyList_GET_SIZE(arguments[0]); i++) {
        PyObject *change = change_at(arguments[0], i);
        failure = change == NULL ? -1 : note(arguments[1], change);
        Py_XDECREF(change);
    }
    if (failure < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* --- the module ------------------------------------------------------------------------------------------ */

static int
add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL)
        return -1;
    int failure = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return failure;
}

static int
fill(PyObject *module)
{
    if (begin_keys() < 0)
        return -1;
    empty_bytes = PyBytes_FromStringAndSize(NULL, 0);
    name_name = PyUnicode_InternFromString("name");
    database_name = PyUnicode_InternFromString("database");
    encode_key_name = PyUnicode_InternFromString("encode_key");
    encode_value_name = PyUnicode_InternFromString("encode_value");
    decode_value_name = PyUnicode_InternFromString("decode_value");
    indexes_name = PyUnicode_InternFromString("indexes");
    encode_table_key_name = PyUnicode_InternFromString("encode_table_key");
    get_in_python_name = PyUnicode_InternFromString("get_in_python");
    if (PyErr_Occurred() || add_type(module, &encoder_spec, "KeyEncoder") < 0)
        return -1;
    return add_type(module, &reader_spec, "Reader");
}

static PyMethodDef methods[] = {
    {"encode_writes", (PyCFunction)(void (*)(void))encode_writes, METH_FASTCALL, encode_doc},
    {"apply_changes", (PyCFunction)(void (*)(void))apply_changes, METH_FASTCALL, apply_doc},
    {"note_changes", (PyCFunction)(void (*)(void))note_changes, METH_FASTCALL, note_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.store.lmdb_driver._rows",
    .m_doc = "Rows from and to LMDB's bytes.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__rows(void)
{
    return PyModuleDef_Init(&definition);
}
