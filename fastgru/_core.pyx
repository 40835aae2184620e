# cython: language_level=3, boundscheck=False, wraparound=False
"""The bridge to the C core: buffers in, GIL released, one C call.

Its callers are fastgru.ops. Arrays that C can take as they are, right in class, kind, shape and layout, are told
here from their buffers: the operations return None for any others, and only then does the caller check them in
Python, to raise an error with a message or to convert. The recurrent operations' callers ask first; tested again is
what memory safety rests on: that each buffer is large enough and has the layout that the C call expects.
"""

from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBUF_STRIDED_RO, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Clear
from libc.math cimport isfinite, pow, sqrt
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastgru._c_core cimport *

import numpy

# ---- instruction sets ----------------------------------------------------------------------------------------

# Kept, because asking the processor what it can do takes microseconds on a virtual machine.
cdef const fastgru_kernels *_float32
cdef const fastgru_kernels *_float64


cdef void use_isa(int index) noexcept:
    global _float32, _float64
    _float32 = fastgru_kernels_at(index, FASTGRU_FLOAT32)
    _float64 = fastgru_kernels_at(index, FASTGRU_FLOAT64)


use_isa(fastgru_isa_count() - 1)


def isa() -> str:
    """Return the name of the instruction set in use."""
    return _float32.isa.decode()


def available_isas() -> tuple:
    """Return the instruction sets that this build and this machine share, the best last."""
    return tuple(fastgru_kernels_at(i, FASTGRU_FLOAT32).isa.decode() for i in range(fastgru_isa_count()))


def set_isa(name: str) -> None:
    """Choose the instruction set by name; ValueError if this machine or build lacks it."""
    names = available_isas()
    if name not in names:
        raise ValueError(f"isa: expected one of {', '.join(names)}, got {name!r}")
    use_isa(names.index(name))


cdef int _threads = 1


def threads() -> int:
    """Return how many threads a call may use."""
    return _threads


def set_threads(int count) -> None:
    """Let calls use at most so many threads; the caller has seen that it is at least 1."""
    global _threads
    _threads = count


def compiler() -> str:
    """Return the compiler that built the core, with its version."""
    return COMPILER.decode()


cdef const fastgru_kernels *kernels_for(Py_ssize_t itemsize) noexcept:
    return _float32 if itemsize == sizeof(float) else _float64


# ---- memory --------------------------------------------------------------------------------------------------
# Workspaces and caches come and go with every call. Freed blocks are kept for the next one: the system would
# otherwise hand out, and zero, new pages for large ones each time.

cdef extern from *:
    """
    #ifdef __linux__
    #include <stdint.h>
    #include <sys/mman.h>
    static void ask_for_huge_pages(void *start, size_t size) {
        const uintptr_t page = 4096, from = ((uintptr_t)start + page - 1) / page * page;
        madvise((void *)from, (uintptr_t)start + size - from, MADV_HUGEPAGE);
    }
    #else
    #define ask_for_huge_pages(start, size) ((void)0)
    #endif
    """
    void ask_for_huge_pages(void *start, size_t size) noexcept

cdef enum:
    KEPT_BLOCKS = 16
    MOST_KEPT = 1 << 28  # bytes in all
    ALIGNMENT = 64
    LARGE = 1 << 22  # bytes; weights of that size walk through more pages than the processor keeps addresses of

cdef struct Block:
    void *start
    size_t size

cdef Block[KEPT_BLOCKS] _kept


cdef class Memory:
    """An aligned block, returned to the kept ones with its last reference."""

    cdef Block block
    cdef void *data

    def __cinit__(self, size_t size):
        self.block = take_block(size + ALIGNMENT)
        if self.block.start == NULL:
            raise MemoryError(f"cannot allocate {size} bytes")
        self.data = <void *> ((<uintptr_t> self.block.start + ALIGNMENT - 1) & ~<uintptr_t> (ALIGNMENT - 1))

    def __dealloc__(self):
        keep_block(self.block)


cdef Block take_block(size_t size) noexcept:
    """The smallest kept block that is large enough, unless it would waste more than it holds."""
    cdef int i, best = -1
    cdef Block block
    for i in range(KEPT_BLOCKS):
        if size <= _kept[i].size <= 2 * size + 65536 and (best < 0 or _kept[i].size < _kept[best].size):
            best = i
    if best >= 0:
        block = _kept[best]
        _kept[best].start, _kept[best].size = NULL, 0
        return block
    block.start, block.size = malloc(size), size
    if size >= LARGE and block.start != NULL:
        ask_for_huge_pages(block.start, size)
    return block


cdef void keep_block(Block block) noexcept:
    """Keep a block in place of the smallest one, which is freed, unless too much would be kept."""
    cdef int i, least = 0
    cdef size_t total = block.size
    for i in range(KEPT_BLOCKS):
        total += _kept[i].size
        if _kept[i].size < _kept[least].size:
            least = i
    if block.size > _kept[least].size and total <= MOST_KEPT:
        block, _kept[least] = _kept[least], block
    free(block.start)


# ---- buffers -------------------------------------------------------------------------------------------------

cdef enum:
    MOST_VIEWS = 20

cdef struct Views:
    Py_buffer view[MOST_VIEWS]
    int count


cdef void release(Views *views) noexcept:
    while views.count > 0:
        views.count -= 1
        PyBuffer_Release(&views.view[views.count])


cdef void *contiguous(Views *views, array, Py_ssize_t nbytes, int flags=PyBUF_SIMPLE) except? NULL:
    """The address of a C-contiguous array of at least so many bytes; NULL for None."""
    if array is None:
        return NULL
    cdef Py_buffer *view = &views.view[views.count]
    PyObject_GetBuffer(array, view, flags)
    views.count += 1
    if view.len < nbytes:
        raise ValueError(f"buffer: expected {nbytes} bytes, got {view.len}")
    return view.buf


cdef void *written(Views *views, array, Py_ssize_t nbytes) except? NULL:
    return contiguous(views, array, nbytes, PyBUF_WRITABLE)


cdef void *strided(Views *views, array, const Py_ssize_t *shape, Py_ssize_t *strides, int ndim,
                   Py_ssize_t itemsize, int flags=PyBUF_STRIDED_RO) except? NULL:
    """The address of an array of a shape and its strides in elements; NULL for None."""
    if array is None:
        return NULL
    cdef Py_buffer *view = &views.view[views.count]
    PyObject_GetBuffer(array, view, flags)
    views.count += 1
    if view.ndim != ndim or view.itemsize != itemsize:
        raise ValueError(f"buffer: expected {ndim} dimensions of {itemsize} bytes each element")
    for i in range(ndim):
        if view.shape[i] != shape[i]:
            raise ValueError(f"buffer: expected {shape[i]} on axis {i}, got {view.shape[i]}")
        strides[i] = view.strides[i] // itemsize
    return view.buf


cdef void *sequence(Views *views, array, const fastgru_shape *shape, Py_ssize_t features, ptrdiff_t *batch,
                    ptrdiff_t *step, Py_ssize_t itemsize, int flags=PyBUF_STRIDED_RO) except? NULL:
    """An array of sequences whose features are contiguous, and its other strides.

    (B, T, features); the rows of a schedule without places are (N, features), and then batch is 0.
    """
    cdef Py_ssize_t[3] sizes = [shape.batch, shape.steps, features]
    cdef Py_ssize_t[3] strides
    cdef void *data
    if shape.schedule != NULL and shape.schedule.places == NULL:
        sizes[1] = shape.schedule.offset[shape.schedule.steps]
        data = strided(views, array, sizes + 1, strides + 1, 2, itemsize, flags)
        strides[0] = 0
    else:
        data = strided(views, array, sizes, strides, 3, itemsize, flags)
    if data == NULL:
        return NULL
    if strides[2] != 1 and features > 1:
        raise ValueError("buffer: expected contiguous features")
    batch[0], step[0] = strides[0], strides[1]
    return data


cdef fastgru_weights weights(Views *views, array, Py_ssize_t rows, Py_ssize_t units, int gates,
                             bint resets_first, Py_ssize_t itemsize) except *:
    """One of Keras' kernels: (K, gates x H), gates side by side; a GRU's perhaps in the order r, z, n."""
    cdef fastgru_weights w
    cdef Py_ssize_t[2] sizes = [rows, gates * units]
    cdef Py_ssize_t[2] strides
    w.data = strided(views, array, sizes, strides, 2, itemsize)
    w.row, w.column = strides[0], strides[1]
    for g in range(gates):
        w.gate[g] = g * units * strides[1]
    if resets_first:
        w.gate[0], w.gate[1] = w.gate[1], w.gate[0]
    return w


# ---- arrays that C takes as they are --------------------------------------------------------------------------

cdef extern from "Python.h":
    int acquire "PyObject_GetBuffer"(object, Py_buffer *, int)  # cpython.buffer's raises at -1, this one may not
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1

cdef object _ndarray = numpy.ndarray, _empty = numpy.empty
cdef object _real32 = numpy.dtype(numpy.float32), _real64 = numpy.dtype(numpy.float64)
cdef char _int64 = numpy.dtype(numpy.int64).char.encode()[0]


cdef Py_buffer *aligned(Views *views, array, int ndim, char kind=0, bint writes=False) noexcept:
    """An array that is no subclass, aligned, of so many dimensions. NULL for any other.

    The kind of its numbers is the buffer protocol's; 0 stands for float32 or float64, an ndim of -1 for any.
    """
    cdef Py_buffer *view = &views.view[views.count]
    cdef int i
    if type(array) is not _ndarray:
        return NULL
    if acquire(array, view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        return NULL
    views.count += 1
    cdef char got = view.format[0]
    if view.format[1] != 0 or (got != kind if kind else got != c"f" and got != c"d"):
        return NULL
    if (ndim >= 0 and view.ndim != ndim) or (writes and view.readonly):
        return NULL
    if <uintptr_t> view.buf % <size_t> view.itemsize:
        return NULL
    for i in range(view.ndim):
        if view.shape[i] > 1 and view.strides[i] % view.itemsize:
            return NULL
    return view


cdef Py_buffer *plain(Views *views, array, int ndim, char kind=0, bint writes=False) noexcept:
    """Such an array that is C-contiguous, too."""
    cdef Py_buffer *view = aligned(views, array, ndim, kind, writes)
    return view if view != NULL and PyBuffer_IsContiguous(view, c"C") else NULL


cdef bint fits(Views *views, array, char kind, Py_ssize_t rows, Py_ssize_t columns, bint writes=False) noexcept:
    """Whether it is such an array, (rows, columns)."""
    cdef Py_buffer *view = plain(views, array, 2, kind, writes)
    return view != NULL and view.shape[0] == rows and view.shape[1] == columns


cdef bint agree(const Py_buffer *a, const Py_buffer *b, int ndim) noexcept:
    """Whether two arrays have the same sizes on their first axes."""
    cdef int i
    for i in range(ndim):
        if a.shape[i] != b.shape[i]:
            return False
    return True


cdef new(shape, const Py_buffer *like):
    """A new array of the dtype of another."""
    return _empty(shape, _real32 if like.itemsize == sizeof(float) else _real64)


# ---- recurrent cells -----------------------------------------------------------------------------------------

cdef int[3] GATES
GATES[<int> FASTGRU_GRU], GATES[<int> FASTGRU_LSTM], GATES[<int> FASTGRU_SIMPLE_RNN] = 3, 4, 1

ACTIVATIONS = {
    "linear": FASTGRU_LINEAR, "relu": FASTGRU_RELU, "sigmoid": FASTGRU_SIGMOID, "tanh": FASTGRU_TANH,
    "hard_sigmoid": FASTGRU_HARD_SIGMOID, "hard_tanh": FASTGRU_HARD_TANH, "softsign": FASTGRU_SOFTSIGN,
    "relu6": FASTGRU_RELU6, "leaky_relu": FASTGRU_LEAKY_RELU, "elu": FASTGRU_ELU, "selu": FASTGRU_SELU,
    "softplus": FASTGRU_SOFTPLUS, "squareplus": FASTGRU_SQUAREPLUS, "exponential": FASTGRU_EXPONENTIAL,
    "log_sigmoid": FASTGRU_LOG_SIGMOID, "tanh_shrink": FASTGRU_TANH_SHRINK, "gelu": FASTGRU_GELU,
    "silu": FASTGRU_SILU, "hard_silu": FASTGRU_HARD_SILU, "mish": FASTGRU_MISH,
}


cdef class PackedWeights:
    """A cell's kernels, laid out for the kernels of the instruction set that was in use."""

    cdef readonly Py_ssize_t input_size, units
    cdef readonly object dtype, kernel, recurrent_kernel
    cdef readonly bint reset_after, resets_first
    cdef int cell
    cdef Py_ssize_t item
    cdef const fastgru_kernels *table
    cdef Memory memory

    cdef int pack(self, kernel, recurrent_kernel, fastgru_cell cell, bint reset_after=True,
                  bint resets_first=False) except -1:
        cdef Views views
        cdef fastgru_shape shape
        cdef fastgru_weights w, u
        cdef Py_ssize_t itemsize = kernel.dtype.itemsize
        self.input_size, self.units = kernel.shape[0], recurrent_kernel.shape[0]
        self.dtype, self.reset_after, self.cell = kernel.dtype, reset_after, <int> cell
        self.resets_first, self.item = resets_first, itemsize
        self.kernel, self.recurrent_kernel = kernel, recurrent_kernel
        self.table = kernels_for(itemsize)
        memset(&shape, 0, sizeof(shape))
        shape.cell, shape.reset_after = cell, reset_after
        shape.inputs, shape.units = self.input_size, self.units
        self.memory = Memory(self.table.packed_size(&shape) * itemsize)
        views.count = 0
        try:
            w = weights(&views, kernel, self.input_size, self.units, GATES[self.cell], resets_first, itemsize)
            u = weights(&views, recurrent_kernel, self.units, self.units, GATES[self.cell], resets_first, itemsize)
            with nogil:
                self.table.pack(&shape, &w, &u, self.memory.data, _threads)
        finally:
            release(&views)
        return 0


cdef class PackedGRU(PackedWeights):
    """A GRU's."""

    def __init__(self, kernel, recurrent_kernel, bint reset_after, bint resets_first=False):
        self.pack(kernel, recurrent_kernel, FASTGRU_GRU, reset_after, resets_first)


cdef class PackedLSTM(PackedWeights):
    """An LSTM's."""

    def __init__(self, kernel, recurrent_kernel):
        self.pack(kernel, recurrent_kernel, FASTGRU_LSTM)


cdef class PackedSimpleRNN(PackedWeights):
    """A simple RNN's."""

    def __init__(self, kernel, recurrent_kernel):
        self.pack(kernel, recurrent_kernel, FASTGRU_SIMPLE_RNN)


cdef class RecurrentCache:
    """What a forward pass leaves for the backward pass. It borrows what it was given."""

    cdef readonly tuple shape
    cdef readonly object x, kernel, recurrent_kernel, bias, input_dropout, recurrent_dropout
    cdef readonly object rows  # of x, where its rows are packed; else None
    cdef readonly bint has_h0, has_c0, go_backwards, reset_after
    cdef Py_ssize_t item
    cdef fastgru_shape c_shape
    cdef fastgru_schedule schedule
    cdef const fastgru_kernels *table
    cdef PackedWeights packed  # only where the gates are made again
    cdef Memory memory, schedule_memory


cdef class GRUCache(RecurrentCache):
    """A GRU's."""


cdef class LSTMCache(RecurrentCache):
    """An LSTM's."""


cdef class SimpleRNNCache(RecurrentCache):
    """A simple RNN's."""


cdef Memory make_schedule(Views *views, fastgru_shape *shape, mask, batch_sizes, bint backwards,
                          fastgru_schedule *schedule):
    """Give the shape a schedule if there are sizes of packed rows, or a mask that leaves something out; return what holds it."""
    cdef Py_ssize_t[2] sizes = [shape.batch, shape.steps]
    cdef Py_ssize_t[2] strides
    cdef const unsigned char *start
    cdef const int64_t *counts
    shape.schedule = NULL
    if mask is None and batch_sizes is None:
        return None
    cdef Memory memory = Memory(fastgru_schedule_size(0 if mask is None else shape.batch, shape.steps))
    cdef bint leaves_out = True
    if mask is None:
        counts = <const int64_t *> contiguous(views, batch_sizes, shape.steps * sizeof(int64_t))
        fastgru_schedule_packed(counts, shape.steps, memory.data, schedule)
    else:
        start = <const unsigned char *> strided(views, mask, sizes, strides, 2, 1)
        if backwards:
            start += (shape.steps - 1) * strides[1]
            strides[1] = -strides[1]
        with nogil:
            leaves_out = fastgru_schedule_mask(start, strides[0], strides[1], shape.batch, shape.steps, memory.data,
                                               schedule)
    if not leaves_out:
        return None
    shape.schedule = schedule
    return memory


cdef int copies_of(dropout, int gates) except -1:
    """How many factors for each number: none, one, or one for each gate."""
    if dropout is None:
        return 0
    return 1 if dropout.ndim == 2 else gates


cdef int look_back(fastgru_forward *call, Py_ssize_t item) except -1:
    """Let the call walk x from its last step."""
    call.x = <char *> call.x + (call.shape.steps - 1) * call.x_step * item
    call.x_step = -call.x_step
    return 0


def recurrent_shape(int gates, x, kernel, recurrent_kernel, bias, h0, c0, mask, input_dropout, recurrent_dropout,
                    bint reset_after=True, bint resets_first=False):
    """Return (B, T, I, H, dtype) if a forward pass takes its arrays as they are: of the right class, shape and kind."""
    cdef Views views
    cdef PackedWeights packed
    cdef Py_buffer *view
    cdef Py_ssize_t B, T, I, H
    cdef char kind
    views.count = 0
    try:
        view = aligned(&views, x, 3)
        if view == NULL or view.strides[2] != view.itemsize:
            return None
        B, T, I, kind = view.shape[0], view.shape[1], view.shape[2], view.format[0]
        if type(kernel) is PackedGRU or type(kernel) is PackedLSTM or type(kernel) is PackedSimpleRNN:
            packed, H = kernel, (<PackedWeights> kernel).units
            if recurrent_kernel is not None or GATES[packed.cell] != gates or packed.input_size != I:
                return None
            if packed.reset_after != reset_after or packed.resets_first != resets_first or packed.item != view.itemsize:
                return None
        else:
            view = aligned(&views, recurrent_kernel, 2, kind)
            if view == NULL or view.shape[0] == 0 or view.shape[1] != gates * view.shape[0]:
                return None
            H = view.shape[0]
            view = aligned(&views, kernel, 2, kind)
            if view == NULL or view.shape[0] != I or view.shape[1] != gates * H:
                return None
        if T == 0 or I == 0:
            return None
        if not fits_bias(&views, bias, kind, gates, H, gates == 3 and reset_after):
            return None
        if h0 is not None and not fits(&views, h0, kind, B, H) or c0 is not None and not fits(&views, c0, kind, B, H):
            return None
        if not fits_dropout(&views, input_dropout, kind, gates, B, I):
            return None
        if not fits_dropout(&views, recurrent_dropout, kind, gates, B, H):
            return None
        if mask is not None:
            view = aligned(&views, mask, 2, c"?")
            if view == NULL or view.shape[0] != B or view.shape[1] != T:
                return None
    finally:
        release(&views)
    return B, T, I, H, _real32 if kind == c"f" else _real64


cdef bint fits_bias(Views *views, bias, char kind, int gates, Py_ssize_t units, bint two, bint writes=False) noexcept:
    """Whether biases are None or have the right shape."""
    cdef Py_buffer *view
    if bias is None:
        return True
    if two:
        return fits(views, bias, kind, 2, gates * units, writes)
    view = plain(views, bias, 1, kind, writes)
    return view != NULL and view.shape[0] == gates * units


cdef bint fits_dropout(Views *views, factors, char kind, int gates, Py_ssize_t rows, Py_ssize_t columns) noexcept:
    """Whether factors are None or have the right shape: the same for all gates, or one for each of several."""
    cdef Py_buffer *view
    if factors is None:
        return True
    view = plain(views, factors, -1, kind)
    if view == NULL or view.ndim < 2 or view.shape[view.ndim - 2] != rows or view.shape[view.ndim - 1] != columns:
        return False
    return view.ndim == 2 or (view.ndim == 3 and gates > 1 and view.shape[0] == gates)


cdef fastgru_shape shape_of(tuple sizes, PackedWeights packed, tuple options, input_dropout, recurrent_dropout) except *:
    """Return what a pass is like; only its schedule is still to come."""
    cdef fastgru_shape shape
    cdef int activation, recurrent_activation, gates = GATES[packed.cell]
    cdef bint update_replaces, go_backwards, training, recompute, repeats
    activation, recurrent_activation, update_replaces, go_backwards, training, recompute, repeats = options
    memset(&shape, 0, sizeof(shape))
    shape.batch, shape.steps, shape.inputs, shape.units = sizes[0], sizes[1], sizes[2], sizes[3]
    shape.cell, shape.reset_after = <fastgru_cell> packed.cell, packed.reset_after
    shape.resets_first = packed.resets_first
    shape.update_replaces, shape.repeats = update_replaces, repeats
    shape.activation = <fastgru_activation> activation
    shape.recurrent_activation = <fastgru_activation> recurrent_activation
    shape.input_copies = copies_of(input_dropout, gates)
    shape.state_copies = copies_of(recurrent_dropout, gates)
    shape.recompute = recompute and training
    return shape


cdef int biases_of(fastgru_shape *shape) noexcept:
    """How many biases a unit has."""
    cdef int gates = GATES[<int> shape.cell]
    return 2 * gates if shape.cell == FASTGRU_GRU and shape.reset_after else gates


cdef RecurrentCache new_cache(PackedWeights packed, tuple sizes, x, bias, h0, c0, batch_sizes, input_dropout,
                              recurrent_dropout, bint go_backwards, bint recompute):
    """Return a cache of what a pass is given. What it leaves is still to come."""
    cdef int gates = GATES[packed.cell]
    cdef RecurrentCache cache = (GRUCache if gates == 3 else LSTMCache if gates == 4 else SimpleRNNCache)()
    cache.shape, cache.table, cache.item = sizes, packed.table, packed.item
    cache.x, cache.kernel, cache.recurrent_kernel, cache.bias = x, packed.kernel, packed.recurrent_kernel, bias
    cache.input_dropout, cache.recurrent_dropout = input_dropout, recurrent_dropout
    cache.has_h0, cache.has_c0, cache.go_backwards = h0 is not None, c0 is not None, go_backwards
    cache.rows = None if batch_sizes is None else x.shape[0]
    cache.reset_after = packed.reset_after
    cache.packed = packed if recompute else None
    return cache


def recurrent_forward(tuple sizes, x, PackedWeights packed not None, bias, h0, c0, mask, batch_sizes, input_dropout,
                      recurrent_dropout, y, h_n, c_n, tuple options):
    """Run a forward pass into y (or None), h_n and an LSTM's c_n; return its cache, or None unless training."""
    cdef bint go_backwards = options[3], training = options[4], recompute = options[5]
    cdef Views views
    cdef fastgru_forward call
    cdef fastgru_schedule local
    cdef RecurrentCache cache = None
    cdef Memory schedule_memory, workspace
    cdef const fastgru_kernels *table = packed.table
    cdef Py_ssize_t item = packed.item
    cdef fastgru_shape *shape = &call.shape
    memset(&call, 0, sizeof(call))
    call.shape = shape_of(sizes, packed, options, input_dropout, recurrent_dropout)
    cdef Py_ssize_t state = shape.batch * shape.units * item
    call.threads, call.packed = _threads, packed.memory.data
    if training:
        cache = new_cache(packed, sizes, x, bias, h0, c0, batch_sizes, input_dropout, recurrent_dropout, go_backwards,
                          recompute)
    views.count = 0
    try:
        schedule_memory = make_schedule(&views, shape, mask, batch_sizes, go_backwards,
                                        &cache.schedule if training else &local)
        workspace = Memory(table.forward_workspace(shape, call.threads) * item)
        call.workspace = workspace.data
        if training:
            cache.memory, cache.schedule_memory = Memory(table.cache_size(shape) * item), schedule_memory
            cache.c_shape, call.cache = call.shape, cache.memory.data
        call.x = sequence(&views, x, shape, shape.inputs, &call.x_batch, &call.x_step, item)
        call.y = sequence(&views, y, shape, shape.units, &call.y_batch, &call.y_step, item,
                          PyBUF_STRIDED_RO | PyBUF_WRITABLE)
        call.bias = contiguous(&views, bias, biases_of(shape) * shape.units * item)
        call.h0 = contiguous(&views, h0, state)
        call.c0 = contiguous(&views, c0, state)
        call.input_dropout = contiguous(&views, input_dropout, shape.input_copies * shape.batch * shape.inputs * item)
        call.state_dropout = contiguous(&views, recurrent_dropout, shape.state_copies * state)
        call.h_n = written(&views, h_n, state)
        call.c_n = written(&views, c_n, state)
        if go_backwards:
            look_back(&call, item)
        with nogil:
            table.forward(&call)
    finally:
        release(&views)
    return cache


def takes_gradients(RecurrentCache cache not None, dy, dh_n, dc_n, out):
    """Whether a backward pass takes arrays as they are: of the right class, shape and kind."""
    cdef Views views
    cdef Py_buffer *view
    cdef fastgru_shape *shape = &cache.c_shape
    cdef char kind = c"f" if cache.item == sizeof(float) else c"d"
    cdef int gates = GATES[<int> shape.cell]
    if cache.rows is not None or (dy is None and dh_n is None and dc_n is None):
        return False
    views.count = 0
    try:
        if dy is not None:
            view = aligned(&views, dy, 3, kind)
            if view == NULL or view.strides[2] != view.itemsize:
                return False
            if view.shape[0] != shape.batch or view.shape[1] != shape.steps or view.shape[2] != shape.units:
                return False
        if dh_n is not None and not fits(&views, dh_n, kind, shape.batch, shape.units):
            return False
        if dc_n is not None and not fits(&views, dc_n, kind, shape.batch, shape.units):
            return False
        if out is None:
            return True
        if type(out) is not tuple or len(out) != 3 or (out[2] is None) != (cache.bias is None):
            return False
        return (
            fits(&views, out[0], kind, shape.inputs, gates * shape.units, True)
            and fits(&views, out[1], kind, shape.units, gates * shape.units, True)
            and fits_bias(&views, out[2], kind, gates, shape.units, gates == 3 and shape.reset_after, True)
        )
    finally:
        release(&views)


def recurrent_backward(dy, dh_n, dc_n, RecurrentCache cache not None, dx, dkernel, drecurrent_kernel, dbias, dh0, dc0,
                       bint transposed):
    """Run a backward pass into the gradients; dy or dh_n, dc_n, dx, dbias, dh0 and dc0 may be None.

    dkernel and drecurrent_kernel are (K, gates x H) or, where transposed, (gates x H, K).
    """
    cdef Views views
    cdef fastgru_backward call
    cdef fastgru_shape *shape = &call.forward.shape
    cdef const fastgru_kernels *table = cache.table
    cdef Py_ssize_t item = cache.item, units = cache.c_shape.units, inputs = cache.c_shape.inputs
    cdef Py_ssize_t state = cache.c_shape.batch * units * item
    cdef int gates = GATES[<int> cache.c_shape.cell]
    memset(&call, 0, sizeof(call))
    shape[0] = cache.c_shape
    cdef int biases = biases_of(shape)
    shape.transposes_gradients = transposed
    call.threads = _threads
    cdef Memory workspace = Memory(table.backward_workspace(shape, call.threads) * item)
    call.workspace, call.forward.cache = workspace.data, cache.memory.data
    if cache.packed is not None:
        call.forward.packed = cache.packed.memory.data
    views.count = 0
    try:
        call.forward.x = sequence(&views, cache.x, shape, inputs, &call.forward.x_batch, &call.forward.x_step, item)
        call.forward.bias = contiguous(&views, cache.bias, biases * units * item)
        call.forward.input_dropout = contiguous(&views, cache.input_dropout, shape.input_copies * shape.batch
                                                * inputs * item)
        call.forward.state_dropout = contiguous(&views, cache.recurrent_dropout, shape.state_copies * state)
        call.dx = sequence(&views, dx, shape, inputs, &call.dx_batch, &call.dx_step, item,
                           PyBUF_STRIDED_RO | PyBUF_WRITABLE)
        call.dy = sequence(&views, dy, shape, units, &call.dy_batch, &call.dy_step, item)
        call.dh_n = contiguous(&views, dh_n, state)
        call.dc_n = contiguous(&views, dc_n, state)
        call.kernel = weights(&views, cache.kernel, inputs, units, gates, shape.resets_first, item)
        call.recurrent = weights(&views, cache.recurrent_kernel, units, units, gates, shape.resets_first, item)
        call.dkernel = written(&views, dkernel, gates * inputs * units * item)
        call.drecurrent = written(&views, drecurrent_kernel, gates * units * units * item)
        call.dbias = written(&views, dbias, biases * units * item)
        call.dh0 = written(&views, dh0, state)
        call.dc0 = written(&views, dc0, state)
        if cache.go_backwards:
            look_back(&call.forward, item)
            if dx is not None:
                call.dx = <char *> call.dx + (shape.steps - 1) * call.dx_step * item
                call.dx_step = -call.dx_step
        with nogil:
            table.backward(&call)
    finally:
        release(&views)


# ---- dense ---------------------------------------------------------------------------------------------------

DENSE_ACTIVATIONS = {name: ACTIVATIONS[name] for name in ("linear", "relu", "sigmoid", "tanh")}


cdef class DenseCache:
    """What a dense layer's forward pass leaves for the backward pass."""

    cdef readonly object x, kernel
    cdef readonly bint has_bias
    cdef public object y
    cdef public object activation, pre  # one that C does not have, and what it got; else None
    cdef int number


def dense_forward(x, kernel, bias, int activation, bint training):
    """Return y and, if training, a cache."""
    cdef Views views
    cdef fastgru_dense call
    cdef const fastgru_kernels *table
    cdef Py_buffer *inputs
    cdef Py_buffer *weights
    cdef Py_buffer *biases
    cdef Memory workspace
    cdef DenseCache cache = None
    cdef Py_ssize_t item
    views.count = 0
    try:
        inputs = plain(&views, x, -1)
        if inputs == NULL or inputs.ndim == 0:
            return None
        weights = plain(&views, kernel, 2, inputs.format[0])
        if weights == NULL or weights.len == 0 or weights.shape[0] != inputs.shape[inputs.ndim - 1]:
            return None
        item, call.inputs, call.units = inputs.itemsize, weights.shape[0], weights.shape[1]
        call.rows, call.activation = inputs.len // (item * call.inputs), <fastgru_activation> activation
        call.x, call.kernel, call.bias = inputs.buf, weights.buf, NULL
        if bias is not None:
            biases = plain(&views, bias, 1, inputs.format[0])
            if biases == NULL or biases.shape[0] != call.units:
                return None
            call.bias = biases.buf
        y = new((*x.shape[:inputs.ndim - 1], call.units), inputs)
        call.y = written(&views, y, call.rows * call.units * item)
        table = kernels_for(item)
        workspace = Memory(table.dense_workspace(&call) * item)
        call.workspace = workspace.data
        with nogil:
            table.dense_forward(&call)
    finally:
        release(&views)
    if training:
        cache = DenseCache()
        cache.x, cache.kernel, cache.has_bias, cache.y, cache.number = x, kernel, bias is not None, y, activation
    return y, cache


def dense_backward(dy, DenseCache cache not None, out):
    """Return dx, dkernel and dbias; out may be a tuple of the latter two to write into.

    With an activation that C does not have, dy is the gradient before it.
    """
    cdef Views views
    cdef fastgru_dense call
    cdef const fastgru_kernels *table
    cdef Py_buffer *x
    cdef Py_buffer *w
    cdef Py_buffer *d
    cdef Py_buffer *dw
    cdef Py_buffer *db
    cdef Memory workspace
    cdef Py_ssize_t item
    views.count = 0
    try:
        x, w, d = plain(&views, cache.x, -1), plain(&views, cache.kernel, 2), plain(&views, dy, -1)
        if x == NULL or w == NULL or d == NULL or d.format[0] != x.format[0]:
            return None
        item, call.inputs, call.units = x.itemsize, w.shape[0], w.shape[1]
        call.rows, call.activation = x.len // (item * call.inputs), <fastgru_activation> cache.number
        if d.ndim != x.ndim or d.shape[d.ndim - 1] != call.units or not agree(x, d, x.ndim - 1):
            return None
        call.x, call.kernel, call.dy, call.y = x.buf, w.buf, d.buf, NULL
        if cache.number != <int> FASTGRU_LINEAR:
            call.y = contiguous(&views, cache.y, d.len)
        if out is None:
            dkernel, dbias = new((call.inputs, call.units), x), new((call.units,), x) if cache.has_bias else None
        elif type(out) is tuple and len(out) == 2 and (out[1] is not None) == cache.has_bias:
            dkernel, dbias = out
        else:
            return None
        dw = plain(&views, dkernel, 2, x.format[0], True)
        if dw == NULL or not agree(dw, w, 2):
            return None
        call.dkernel, call.dbias = dw.buf, NULL
        if cache.has_bias:
            db = plain(&views, dbias, 1, x.format[0], True)
            if db == NULL or db.shape[0] != call.units:
                return None
            call.dbias = db.buf
        dx = new(cache.x.shape, x)
        call.dx = written(&views, dx, x.len)
        table = kernels_for(item)
        workspace = Memory(table.dense_workspace(&call) * item)
        call.workspace = workspace.data
        with nogil:
            table.dense_backward(&call)
    finally:
        release(&views)
    return dx, dkernel, dbias


# ---- embedding, loss, optimizer, elementwise -----------------------------------------------------------------

def embedding_forward(ids, table):
    """Return rows of a table; None for ids that are out of range, too."""
    cdef Views views
    cdef Py_buffer *i
    cdef Py_buffer *t
    cdef const fastgru_kernels *kernels
    cdef fastgru_status status
    cdef void *rows
    cdef ptrdiff_t bad, count
    views.count = 0
    try:
        i, t = plain(&views, ids, -1, _int64), plain(&views, table, 2)
        if i == NULL or t == NULL or t.len == 0:
            return None
        y = new((*ids.shape, t.shape[1]), t)
        count = i.len // i.itemsize
        rows = written(&views, y, count * t.shape[1] * t.itemsize)
        kernels = kernels_for(t.itemsize)
        with nogil:
            status = kernels.embedding_forward(<const int64_t *> i.buf, count, t.buf, t.shape[0], t.shape[1], rows,
                                               &bad)
    finally:
        release(&views)
    return y if status == FASTGRU_OK else None


def embedding_backward(dy, ids, input_dim, out):
    """Return the sums of rows by ids, written into out if it is not None; None for ids out of range, too."""
    cdef Views views
    cdef Py_buffer *i
    cdef Py_buffer *d
    cdef Py_buffer *t
    cdef const fastgru_kernels *kernels
    cdef fastgru_status status
    cdef ptrdiff_t bad, count, width, vocabulary
    cdef int overflow
    if type(input_dim) is not int:
        return None
    vocabulary = PyLong_AsLongLongAndOverflow(input_dim, &overflow)
    views.count = 0
    try:
        i, d = plain(&views, ids, -1, _int64), plain(&views, dy, -1)
        if i == NULL or d == NULL or d.ndim != i.ndim + 1 or not agree(i, d, i.ndim):
            return None
        count, width = i.len // i.itemsize, d.shape[d.ndim - 1]
        if overflow or vocabulary < 1 or width == 0:
            return None
        table = new((input_dim, width), d) if out is None else out
        t = plain(&views, table, 2, d.format[0], True)
        if t == NULL or t.shape[0] != vocabulary or t.shape[1] != width:
            return None
        kernels = kernels_for(t.itemsize)
        with nogil:
            status = kernels.embedding_backward(<const int64_t *> i.buf, count, d.buf, vocabulary, width, t.buf,
                                                &bad)
    finally:
        release(&views)
    return table if status == FASTGRU_OK else None


def binary_crossentropy(y_true, y_pred, bint from_logits):
    """Return losses and gradients; None for labels that are out of range, too."""
    cdef Views views
    cdef Py_buffer *labels
    cdef Py_buffer *outputs
    cdef const fastgru_kernels *table
    cdef fastgru_status status
    cdef void *loss
    cdef void *gradient
    cdef ptrdiff_t bad, count
    views.count = 0
    try:
        labels, outputs = plain(&views, y_true, -1), plain(&views, y_pred, -1)
        if labels == NULL or outputs == NULL or labels.format[0] != outputs.format[0]:
            return None
        if labels.ndim != outputs.ndim or not agree(labels, outputs, labels.ndim):
            return None
        shape = y_pred.shape
        losses, gradients = new(shape, outputs), new(shape, outputs)
        loss, gradient = written(&views, losses, outputs.len), written(&views, gradients, outputs.len)
        table, count = kernels_for(outputs.itemsize), outputs.len // outputs.itemsize
        with nogil:
            status = table.binary_crossentropy(labels.buf, outputs.buf, count, from_logits, loss, gradient, &bad)
    finally:
        release(&views)
    return (losses, gradients) if status == FASTGRU_OK else None


def adam(parameters, gradients, m, v, step, learning_rate, beta_1, beta_2, epsilon):
    """Advance parameters, m and v by one step, numbered from 1; None if it was not taken, else True."""
    cdef Views views
    cdef Py_buffer *p
    cdef Py_buffer *g
    cdef Py_buffer *first
    cdef Py_buffer *second
    cdef const fastgru_kernels *table
    cdef fastgru_adam settings
    cdef double rate
    cdef long long t
    cdef int overflow
    if type(step) is not int or not (type(learning_rate) is type(beta_1) is type(beta_2) is type(epsilon) is float):
        return None
    t = PyLong_AsLongLongAndOverflow(step, &overflow)
    rate, settings.beta_1, settings.beta_2, settings.epsilon = learning_rate, beta_1, beta_2, epsilon
    if overflow or t < 1 or not isfinite(rate) or not isfinite(settings.epsilon) or not settings.epsilon >= 0:
        return None
    if not 0 <= settings.beta_1 < 1 or not 0 <= settings.beta_2 < 1:
        return None
    settings.rate = rate * sqrt(1 - pow(settings.beta_2, <double> t)) / (1 - pow(settings.beta_1, <double> t))
    views.count = 0
    try:
        p = plain(&views, parameters, 1, 0, True)
        if p == NULL:
            return None
        g = plain(&views, gradients, 1, p.format[0])
        first = plain(&views, m, 1, p.format[0], True)
        second = plain(&views, v, 1, p.format[0], True)
        if g == NULL or first == NULL or second == NULL:
            return None
        if not agree(p, g, 1) or not agree(p, first, 1) or not agree(p, second, 1):
            return None
        table = kernels_for(p.itemsize)
        with nogil:
            table.adam(&settings, p.shape[0], p.buf, g.buf, first.buf, second.buf)
    finally:
        release(&views)
    return True


def elementwise(str name, x):
    """Return exp, sigmoid or tanh of each number."""
    cdef Views views
    cdef Py_buffer *given
    cdef const fastgru_kernels *table
    cdef void *to
    cdef ptrdiff_t count
    cdef void (*function)(ptrdiff_t, const void *, void *) noexcept nogil
    views.count = 0
    try:
        given = plain(&views, x, -1)
        if given == NULL:
            return None
        table, count = kernels_for(given.itemsize), given.len // given.itemsize
        function = table.exp if name == "exp" else table.sigmoid if name == "sigmoid" else table.tanh
        y = new(x.shape, given)
        to = written(&views, y, given.len)
        with nogil:
            function(count, given.buf, to)
    finally:
        release(&views)
    return y


# ---- at import -----------------------------------------------------------------------------------------------

def _choose_isa() -> None:
    import os

    name = os.environ.get("FASTGRU_ISA")
    if name:
        try:
            set_isa(name)
        except ValueError as error:
            raise ImportError(f"environment variable FASTGRU_ISA: {error}") from None


_choose_isa()
