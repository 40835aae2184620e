# cython: language_level=3, boundscheck=False, wraparound=False
"""The bridge to the C core: buffers in, GIL released, one C call, status to exception.

Its callers (fastgru.ops) have validated every argument. What is tested here again is what memory safety rests
on: that each buffer is large enough and has the layout that the C call expects.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_STRIDED_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastgru._c_core cimport *

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

cdef enum:
    KEPT_BLOCKS = 16
    MOST_KEPT = 1 << 28  # bytes in all
    ALIGNMENT = 64

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
        self.resets_first = resets_first
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
    """Give the shape a schedule if there is a mask, or sizes of packed rows; return what holds it."""
    cdef Py_ssize_t[2] sizes = [shape.batch, shape.steps]
    cdef Py_ssize_t[2] strides
    cdef const unsigned char *start
    cdef const int64_t *counts
    shape.schedule = NULL
    if mask is None and batch_sizes is None:
        return None
    cdef Memory memory = Memory(fastgru_schedule_size(0 if mask is None else shape.batch, shape.steps))
    if mask is None:
        counts = <const int64_t *> contiguous(views, batch_sizes, shape.steps * sizeof(int64_t))
        fastgru_schedule_packed(counts, shape.steps, memory.data, schedule)
    else:
        start = <const unsigned char *> strided(views, mask, sizes, strides, 2, 1)
        if backwards:
            start += (shape.steps - 1) * strides[1]
            strides[1] = -strides[1]
        with nogil:
            fastgru_schedule_mask(start, strides[0], strides[1], shape.batch, shape.steps, memory.data, schedule)
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


cdef class RecurrentCall:
    """The options of a forward pass that are no arrays."""

    cdef bint update_replaces, go_backwards, training, recompute, repeats
    cdef int activation, recurrent_activation

    def __init__(self, int activation, int recurrent_activation, bint update_replaces, bint go_backwards,
                 bint training, bint recompute, bint repeats):
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.update_replaces, self.go_backwards = update_replaces, go_backwards
        self.training, self.recompute, self.repeats = training, recompute, repeats


def recurrent_forward(tuple shape, x, PackedWeights packed not None, bias, h0, c0, mask, batch_sizes, input_dropout,
                      recurrent_dropout, y, h_n, c_n, RecurrentCall options not None):
    """Run a forward pass into y (or None), h_n and an LSTM's c_n; return its cache, or None unless training."""
    cdef Views views
    cdef fastgru_forward call
    cdef fastgru_schedule local
    cdef RecurrentCache cache = None
    cdef Memory schedule_memory, workspace
    cdef const fastgru_kernels *table = packed.table
    cdef Py_ssize_t item = packed.dtype.itemsize
    cdef int gates = GATES[packed.cell], biases = gates
    memset(&call, 0, sizeof(call))
    call.shape.batch, call.shape.steps, call.shape.inputs, call.shape.units = shape[0], shape[1], shape[2], shape[3]
    call.shape.cell, call.shape.reset_after = <fastgru_cell> packed.cell, packed.reset_after
    call.shape.resets_first = packed.resets_first
    call.shape.update_replaces, call.shape.repeats = options.update_replaces, options.repeats
    call.shape.activation = <fastgru_activation> options.activation
    call.shape.recurrent_activation = <fastgru_activation> options.recurrent_activation
    call.shape.input_copies = copies_of(input_dropout, gates)
    call.shape.state_copies = copies_of(recurrent_dropout, gates)
    call.shape.recompute = options.recompute and options.training
    if packed.cell == <int> FASTGRU_GRU and packed.reset_after:
        biases = 2 * gates
    if options.training:
        cache = (GRUCache if gates == 3 else LSTMCache if gates == 4 else SimpleRNNCache)()
    cdef Py_ssize_t state = call.shape.batch * call.shape.units * item
    call.threads, call.packed = _threads, packed.memory.data
    views.count = 0
    try:
        schedule_memory = make_schedule(&views, &call.shape, mask, batch_sizes, options.go_backwards,
                                        &cache.schedule if options.training else &local)
        workspace = Memory(table.forward_workspace(&call.shape, call.threads) * item)
        call.workspace = workspace.data
        if options.training:
            cache.memory = Memory(table.cache_size(&call.shape) * item)
            call.cache = cache.memory.data
        call.x = sequence(&views, x, &call.shape, call.shape.inputs, &call.x_batch, &call.x_step, item)
        call.y = sequence(&views, y, &call.shape, call.shape.units, &call.y_batch, &call.y_step, item,
                          PyBUF_STRIDED_RO | PyBUF_WRITABLE)
        call.bias = contiguous(&views, bias, biases * call.shape.units * item)
        call.h0 = contiguous(&views, h0, state)
        call.c0 = contiguous(&views, c0, state)
        call.input_dropout = contiguous(&views, input_dropout, call.shape.input_copies * call.shape.batch
                                        * call.shape.inputs * item)
        call.state_dropout = contiguous(&views, recurrent_dropout, call.shape.state_copies * state)
        call.h_n = written(&views, h_n, state)
        call.c_n = written(&views, c_n, state)
        if options.go_backwards:
            look_back(&call, item)
        with nogil:
            table.forward(&call)
    finally:
        release(&views)
    if options.training:
        cache.shape, cache.c_shape, cache.table = shape, call.shape, table
        cache.x, cache.kernel, cache.recurrent_kernel, cache.bias = x, packed.kernel, packed.recurrent_kernel, bias
        cache.input_dropout, cache.recurrent_dropout = input_dropout, recurrent_dropout
        cache.has_h0, cache.has_c0, cache.go_backwards = h0 is not None, c0 is not None, options.go_backwards
        cache.rows = None if batch_sizes is None else x.shape[0]
        cache.reset_after, cache.schedule_memory = packed.reset_after, schedule_memory
        cache.packed = packed if options.recompute else None
    return cache


def recurrent_backward(dy, dh_n, dc_n, RecurrentCache cache not None, dx, dkernel, drecurrent_kernel, dbias, dh0, dc0,
                       bint transposed):
    """Run a backward pass into the gradients; dy or dh_n, dc_n, dx, dbias, dh0 and dc0 may be None.

    dkernel and drecurrent_kernel are (K, gates x H) or, where transposed, (gates x H, K).
    """
    cdef Views views
    cdef fastgru_backward call
    cdef fastgru_shape *shape = &call.forward.shape
    cdef const fastgru_kernels *table = cache.table
    cdef Py_ssize_t item = cache.x.dtype.itemsize, units = cache.c_shape.units, inputs = cache.c_shape.inputs
    cdef Py_ssize_t state = cache.c_shape.batch * units * item
    cdef int gates = GATES[<int> cache.c_shape.cell], biases = gates
    memset(&call, 0, sizeof(call))
    shape[0] = cache.c_shape
    shape.transposes_gradients = transposed
    if shape.cell == FASTGRU_GRU and shape.reset_after:
        biases = 2 * gates
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


# ---- dense, embedding, loss, optimizer, elementwise ----------------------------------------------------------

DENSE_ACTIVATIONS = {name: ACTIVATIONS[name] for name in ("linear", "relu", "sigmoid", "tanh")}


def dense(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t units, Py_ssize_t item, int activation, x, kernel, bias,
          y, dy=None, dx=None, dkernel=None, dbias=None):
    """Run a dense layer forward into y, or, with dy, backward into the gradients."""
    cdef Views views
    cdef fastgru_dense call
    cdef const fastgru_kernels *table = kernels_for(item)
    call.rows, call.inputs, call.units = rows, inputs, units
    call.activation = <fastgru_activation> activation
    cdef Memory workspace = Memory(table.dense_workspace(&call) * item)
    call.workspace = workspace.data
    views.count = 0
    try:
        call.x = contiguous(&views, x, rows * inputs * item)
        call.kernel = contiguous(&views, kernel, inputs * units * item)
        if dy is None:
            call.bias = contiguous(&views, bias, units * item)
            call.y = written(&views, y, rows * units * item)
            with nogil:
                table.dense_forward(&call)
            return
        call.y = contiguous(&views, y, rows * units * item)
        call.dy = contiguous(&views, dy, rows * units * item)
        call.dx = written(&views, dx, rows * inputs * item)
        call.dkernel = written(&views, dkernel, inputs * units * item)
        call.dbias = written(&views, dbias, units * item)
        with nogil:
            table.dense_backward(&call)
    finally:
        release(&views)


def embedding(bint forward, ids, Py_ssize_t count, Py_ssize_t vocabulary, Py_ssize_t width, Py_ssize_t item, rows,
              table):
    """Gather rows of table by int64 ids, or sum rows into it; return False if an id is out of range."""
    cdef Views views
    cdef const fastgru_kernels *kernels = kernels_for(item)
    cdef const int64_t *id_data
    cdef void *row_data
    cdef void *table_data
    cdef ptrdiff_t bad = 0
    cdef fastgru_status status
    views.count = 0
    try:
        id_data = <const int64_t *> contiguous(&views, ids, count * sizeof(int64_t))
        row_data = contiguous(&views, rows, count * width * item, PyBUF_WRITABLE if forward else PyBUF_SIMPLE)
        table_data = contiguous(&views, table, vocabulary * width * item, PyBUF_SIMPLE if forward else PyBUF_WRITABLE)
        with nogil:
            if forward:
                status = kernels.embedding_forward(id_data, count, table_data, vocabulary, width, row_data, &bad)
            else:
                status = kernels.embedding_backward(id_data, count, row_data, vocabulary, width, table_data, &bad)
    finally:
        release(&views)
    return status == FASTGRU_OK


def binary_crossentropy(y_true, y_pred, Py_ssize_t count, Py_ssize_t item, bint from_logits, losses, gradients):
    """Write losses and gradients; return False if a label is out of range."""
    cdef Views views
    cdef const fastgru_kernels *table = kernels_for(item)
    cdef ptrdiff_t bad = 0
    cdef fastgru_status status
    cdef void *labels
    cdef void *predictions
    cdef void *loss
    cdef void *gradient
    views.count = 0
    try:
        labels = contiguous(&views, y_true, count * item)
        predictions = contiguous(&views, y_pred, count * item)
        loss = written(&views, losses, count * item)
        gradient = written(&views, gradients, count * item)
        with nogil:
            status = table.binary_crossentropy(labels, predictions, count, from_logits, loss, gradient, &bad)
    finally:
        release(&views)
    return status == FASTGRU_OK


def adam(parameters, gradients, m, v, Py_ssize_t count, Py_ssize_t item, double rate, double beta_1, double beta_2,
         double epsilon):
    """Advance parameters, m and v by one step; rate holds the bias corrections."""
    cdef Views views
    cdef const fastgru_kernels *table = kernels_for(item)
    cdef fastgru_adam settings
    cdef void *p
    cdef void *g
    cdef void *first
    cdef void *second
    settings.rate, settings.beta_1, settings.beta_2, settings.epsilon = rate, beta_1, beta_2, epsilon
    views.count = 0
    try:
        p = written(&views, parameters, count * item)
        g = contiguous(&views, gradients, count * item)
        first = written(&views, m, count * item)
        second = written(&views, v, count * item)
        with nogil:
            table.adam(&settings, count, p, g, first, second)
    finally:
        release(&views)


def elementwise(str name, x, y, Py_ssize_t count, Py_ssize_t item):
    """Write exp, sigmoid or tanh of x into y."""
    cdef Views views
    cdef const fastgru_kernels *table = kernels_for(item)
    cdef void *from_
    cdef void *to
    cdef void (*function)(ptrdiff_t, const void *, void *) noexcept nogil
    function = table.exp if name == "exp" else table.sigmoid if name == "sigmoid" else table.tanh
    views.count = 0
    try:
        from_ = contiguous(&views, x, count * item)
        to = written(&views, y, count * item)
        with nogil:
            function(count, from_, to)
    finally:
        release(&views)


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
