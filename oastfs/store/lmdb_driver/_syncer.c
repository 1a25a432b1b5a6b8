/* A thread that syncs files while the interpreter goes on: what syncer.py does in Python. And what
 * writeout.py says; writing a file back piece by piece has no twin: in Python the interpreter's lock would be handed
 * to and fro for each.
 *
 * It never takes the interpreter's lock, so who waits for a sync is told with one write to an eventfd, which an
 * event loop watches, and nobody runs more slowly meanwhile. Without a C compiler OastFS is installed without this.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (1 << 20)
#define PIECES_MAX 4096

typedef struct {
    PyObject_HEAD
    pthread_mutex_t syncing; /* held during each sync: none may miss the error of another */
    pthread_mutex_t lock;    /* of everything below */
    pthread_cond_t asked, idle;
    pthread_t thread;
    pid_t owner; /* a forked child has a copy of this without the thread */
    int started, stopping;
    int descriptor; /* the eventfd; -1 once closed */
    int file;
    uint64_t wanted, reached;
    int error; /* of the first sync that failed: none succeeds after it */
    double seconds;
} Syncer;

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int
sync_file(Syncer *self, int file)
{
    pthread_mutex_lock(&self->syncing);
    double started = now();
    if (self->error == 0 && fdatasync(file) != 0)
        self->error = errno;
    self->seconds += (now() - started - self->seconds) / 8;
    int error = self->error;
    pthread_mutex_unlock(&self->syncing);
    return error;
}

static void *
serve(void *argument)
{
    Syncer *self = argument;
    const uint64_t one = 1;
    pthread_mutex_lock(&self->lock);
    while (1) {
        while (self->reached == self->wanted && !self->stopping)
            pthread_cond_wait(&self->asked, &self->lock);
        if (self->reached == self->wanted)
            break;
        uint64_t number = self->wanted;
        int file = self->file;
        pthread_mutex_unlock(&self->lock);
        sync_file(self, file);
        pthread_mutex_lock(&self->lock);
        self->reached = number;
        pthread_cond_broadcast(&self->idle);
        if (write(self->descriptor, &one, sizeof one) < 0) {
            /* It is full: then it is readable, which is all that matters. */
        }
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* With all signals blocked: they are for Python's threads. Called with the lock held. */
static int
start(Syncer *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&self->thread, NULL, serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = failure == 0;
    return failure;
}

static PyObject *
raise_error(int error)
{
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyDoc_STRVAR(request_doc, "request(file, number): have a file synced soon; ``reached`` is the number, or more, then.");

static PyObject *
request(Syncer *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "request takes a file and a number");
        return NULL;
    }
    long file = PyLong_AsLong(arguments[0]);
    uint64_t number = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    int failure = 0;
    pthread_mutex_lock(&self->lock);
    if (self->stopping || self->descriptor < 0)
        failure = EBADF;
    else if (!self->started)
        failure = start(self);
    if (failure == 0 && number > self->wanted) {
        self->file = (int)file;
        self->wanted = number;
        pthread_cond_signal(&self->asked);
    }
    pthread_mutex_unlock(&self->lock);
    if (failure != 0)
        return raise_error(failure);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(reached_doc, "reached(): the number up to which requests were carried out. Raises OSError if one failed.");

static PyObject *
reached(Syncer *self, PyObject *Py_UNUSED(ignored))
{
    uint64_t value;
    pthread_mutex_lock(&self->lock);
    uint64_t number = self->reached;
    if (self->descriptor >= 0 && read(self->descriptor, &value, sizeof value) < 0) {
        /* Nothing was told since: not an error. */
    }
    pthread_mutex_unlock(&self->lock);
    int error = __atomic_load_n(&self->error, __ATOMIC_ACQUIRE);
    return error == 0 ? PyLong_FromUnsignedLongLong(number) : raise_error(error);
}

PyDoc_STRVAR(sync_doc, "sync(file): sync a file on this thread. Raises OSError, and from then on always.");

static PyObject *
sync_here(Syncer *self, PyObject *argument)
{
    long file = PyLong_AsLong(argument);
    if (file == -1 && PyErr_Occurred())
        return NULL;
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = sync_file(self, (int)file);
    Py_END_ALLOW_THREADS
    if (error != 0)
        return raise_error(error);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(wait_doc, "wait(): return when no request is under way.");

static PyObject *
wait_idle(Syncer *self, PyObject *Py_UNUSED(ignored))
{
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    while (self->reached != self->wanted && self->started)
        pthread_cond_wait(&self->idle, &self->lock);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

PyDoc_STRVAR(seconds_doc, "seconds(): what a sync takes at present: an average in which each counts for an eighth.");

static PyObject *
seconds_of(Syncer *self, PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble(self->seconds);
}

PyDoc_STRVAR(fileno_doc, "fileno(): a descriptor that is readable once there may be more that ``reached`` tells.");

static PyObject *
descriptor_of(Syncer *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(self->descriptor);
}

PyDoc_STRVAR(close_doc, "close(): end the thread, after what was requested.");

static PyObject *
end(Syncer *self, PyObject *Py_UNUSED(ignored))
{
    if (self->owner == getpid()) {
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        int join = self->started && !self->stopping;
        self->stopping = 1;
        pthread_cond_signal(&self->asked);
        pthread_mutex_unlock(&self->lock);
        if (join)
            pthread_join(self->thread, NULL);
        Py_END_ALLOW_THREADS
    }
    if (self->descriptor >= 0) {
        close(self->descriptor);
        self->descriptor = -1;
    }
    Py_RETURN_NONE;
}

static PyObject *
make(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Syncer *self = (Syncer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    pthread_mutex_init(&self->syncing, NULL);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->asked, NULL);
    pthread_cond_init(&self->idle, NULL);
    self->owner = getpid();
    self->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->descriptor < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
forget(Syncer *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(end(self, NULL));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef syncer_methods[] = {
    {"request", (PyCFunction)(void (*)(void))request, METH_FASTCALL, request_doc},
    {"reached", (PyCFunction)(void (*)(void))reached, METH_NOARGS, reached_doc},
    {"sync", (PyCFunction)(void (*)(void))sync_here, METH_O, sync_doc},
    {"wait", (PyCFunction)(void (*)(void))wait_idle, METH_NOARGS, wait_doc},
    {"seconds", (PyCFunction)(void (*)(void))seconds_of, METH_NOARGS, seconds_doc},
    {"fileno", (PyCFunction)(void (*)(void))descriptor_of, METH_NOARGS, fileno_doc},
    {"close", (PyCFunction)(void (*)(void))end, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot syncer_slots[] = {
    {Py_tp_doc, (void *)"Syncs files on a thread of its own."},
    {Py_tp_new, make},
    {Py_tp_dealloc, forget},
    {Py_tp_methods, syncer_methods},
    {0, NULL},
};

static PyType_Spec syncer_spec = {
    .name = "oastfs.store.lmdb_driver._syncer.Syncer",
    .basicsize = sizeof(Syncer),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = syncer_slots,
};

static int
fill(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&syncer_spec);
    if (type == NULL)
        return -1;
    int failure = PyModule_AddObjectRef(module, "Syncer", type);
    Py_DECREF(type);
    return failure;
}

/* A large file is looked through in larger pieces: of most of them nothing is to be written. */
static off_t
piece_of(off_t bytes)
{
    off_t part = bytes / PIECES_MAX;
    return part < PIECE_BYTES ? PIECE_BYTES : part - part % PIECE_BYTES + PIECE_BYTES;
}

/* Some sandboxes and filesystems have no such call. */
static int
is_refused(int error)
{
    return error == ENOSYS || error == EINVAL || error == EPERM || error == EOPNOTSUPP;
}

/* Each piece is written before the next is begun with: whoever syncs something else meanwhile waits for one. */
static int
write_back_in_pieces(int file)
{
    const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    struct stat status;
    if (fstat(file, &status) != 0)
        return errno;
    off_t piece = piece_of(status.st_size);
    for (off_t at = 0; at < status.st_size; at += piece) {
        if (sync_file_range(file, at, piece, flags) != 0)
            return is_refused(errno) ? 0 : errno;
    }
    return 0;
}

PyDoc_STRVAR(write_back_doc, "write_back(file): see writeout.py.");

static PyObject *
write_back(PyObject *module, PyObject *argument)
{
    (void)module;
    long file = PyLong_AsLong(argument);
    if (file == -1 && PyErr_Occurred())
        return NULL;
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = write_back_in_pieces((int)file);
    Py_END_ALLOW_THREADS
    if (error != 0)
        return raise_error(error);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(begin_write_out_doc, "begin_write_out(file, offset, length): see writeout.py.");

static PyObject *
begin_write_out(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "begin_write_out takes a file, an offset and a length");
        return NULL;
    }
    long file = PyLong_AsLong(arguments[0]);
    long long offset = PyLong_AsLongLong(arguments[1]), length = PyLong_AsLongLong(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    (void)sync_file_range((int)file, offset, length, SYNC_FILE_RANGE_WRITE);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"begin_write_out", (PyCFunction)(void (*)(void))begin_write_out, METH_FASTCALL, begin_write_out_doc},
    {"write_back", write_back, METH_O, write_back_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.store.lmdb_driver._syncer",
    .m_doc = "A thread that syncs files while the interpreter goes on.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__syncer(void)
{
    return PyModuleDef_Init(&definition);
}
