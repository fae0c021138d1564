/* The canary's compiled extension module `_voice`, for any Python from 3.9 on (PEP 384's stable ABI).
 *
 * scripts/canary-extension builds it without anybody's headers, so what it takes from Python and from the C library is
 * declared here. LIBC is "glibc" or "musl".
 */

typedef struct { long references; void *type; } PyObject;
typedef struct { const char *name; PyObject *(*call)(PyObject *, PyObject *); int flags; const char *doc; } PyMethodDef;
typedef struct {
  PyObject head;
  PyObject *(*init)(void);
  long index;
  PyObject *copy;
  const char *name;
  const char *doc;
  long size;
  PyMethodDef *methods;
  void *slots, *traverse, *clear, *free;
} PyModuleDef;

enum { STABLE_ABI = 3, TAKES_ONE = 0x0008 };

extern PyObject *PyModule_Create2(PyModuleDef *, int);
extern PyObject *PyUnicode_AsUTF8String(PyObject *);
extern char *PyBytes_AsString(PyObject *);
extern PyObject *PyUnicode_FromFormat(const char *, ...);
extern void Py_DecRef(PyObject *);

extern unsigned long strlen(const char *);
#ifdef GLIBC
extern const char *gnu_get_libc_version(void);
#endif

/* Counted by the C library: without the right one this module cannot even be loaded. */
static PyObject *sing(PyObject *module, PyObject *song) {
  PyObject *encoded = PyUnicode_AsUTF8String(song);
  if (!encoded)
    return 0;
  unsigned long notes = strlen(PyBytes_AsString(encoded));
  Py_DecRef(encoded);
#ifdef GLIBC
  if (!*gnu_get_libc_version())
    notes = 0;
#endif
  return PyUnicode_FromFormat("%lu notes in %s", notes, LIBC);
}

static PyMethodDef methods[] = {{"sing", sing, TAKES_ONE, "Say how many bytes a song has, and by which C library."}, {0}};

static PyModuleDef definition = {.head = {1, 0}, .name = "_voice", .size = -1, .methods = methods};

__attribute__((visibility("default"))) PyObject *PyInit__voice(void) {
  return PyModule_Create2(&definition, STABLE_ABI);
}
