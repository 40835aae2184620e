/* oneDNN's lbr_gru, lstm and vanilla_rnn behind six C functions, for onednn_layer.py.
 *
 * Data is time first; weights come as (I, G, H) and (H, G, H), gates in the order z, r, n or i, f,
 * c, o, and as G biases, a GRU's as four. In inference weights are reordered once, in training in
 * each run, for there they would have changed. */
#include <cstring>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

using dnnl::memory;
using tag = memory::format_tag;
using arguments = std::unordered_map<int, memory>;

enum kind { GRU, LSTM, SIMPLE_RNN };

struct layer {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::unordered_map<std::string, memory> plain; /* what the caller reads and writes */
    std::vector<std::pair<dnnl::primitive, arguments>> steps;

    memory &add(const char *name, memory::dims sizes, tag layout) {
        memory::desc description(sizes, memory::data_type::f32, layout);
        return plain[name] = memory(description, engine);
    }
    memory zeros(const memory::desc &description) {
        memory m(description, engine);
        size_t bytes = description.get_size();
        void *mapped = m.map_data();
        std::memset(mapped, 0, bytes);
        m.unmap_data(mapped);
        return m;
    }
    /* The memory in the layout that a primitive wants: itself, or another one, to be copied into. */
    memory as(const memory &given, const memory::desc &wanted) {
        return given.get_desc() == wanted ? given : memory(wanted, engine);
    }
    void copy(const memory &from, const memory &to) {
        if (from.get() != to.get())
            steps.emplace_back(dnnl::reorder(from, to),
                               arguments{{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    }
    void run() {
        for (auto &step : steps) step.first.execute(stream, step.second);
        stream.wait();
    }
};

static thread_local std::string error;

/* The layouts of x, W, U, b, y and of a state; those of the gradients are the same.
 *
 * LSTMs and simple RNNs get initial states, zeros: without, oneDNN 3.13 takes each step's own
 * state for the one before in the gradient of U. */
struct layouts {
    memory::desc x, W, U, b, y, h;
};

/* The C calls, here and below: the C++ ones have no flags, and add to the gradients they find. */
static dnnl::primitive_desc forward(const layer &l, kind k, bool training, const layouts &of) {
    auto what = training ? dnnl_forward_training : dnnl_forward_inference;
    auto way = dnnl_unidirectional_left2right;
    auto x = of.x.get(), W = of.W.get(), U = of.U.get(), b = of.b.get(), y = of.y.get(),
         h = of.h.get();
    auto e = l.engine.get();
    dnnl_primitive_desc_t made = nullptr;
    dnnl_status_t status =
        k == GRU ? dnnl_lbr_gru_forward_primitive_desc_create(&made, e, what, way, x, nullptr, W, U,
                                                              b, y, nullptr, 0, nullptr)
        : k == LSTM
            ? dnnl_lstm_forward_primitive_desc_create(&made, e, what, way, x, h, h, W, U, nullptr,
                                                      nullptr, b, y, nullptr, nullptr, 0, nullptr)
            : dnnl_vanilla_rnn_forward_primitive_desc_create(&made, e, what, dnnl_eltwise_tanh, way,
                                                             x, h, W, U, b, y, nullptr, 0, 0, 0,
                                                             nullptr);
    dnnl::error::wrap_c_api(status, "the forward pass is refused");
    dnnl::primitive_desc description;
    description.reset(made);
    return description;
}

static dnnl::primitive_desc backward(const layer &l, kind k, const dnnl::primitive_desc &hint,
                                     const layouts &of) {
    auto what = dnnl_backward;
    auto way = dnnl_unidirectional_left2right;
    auto flags = dnnl_rnn_flags_diff_weights_overwrite;
    auto x = of.x.get(), W = of.W.get(), U = of.U.get(), b = of.b.get(), y = of.y.get(),
         h = of.h.get();
    auto e = l.engine.get();
    dnnl_primitive_desc_t made = nullptr;
    dnnl_status_t status =
        k == GRU
            ? dnnl_lbr_gru_backward_primitive_desc_create(&made, e, what, way, x, nullptr, W, U, b,
                                                          y, nullptr, x, nullptr, W, U, b, y,
                                                          nullptr, flags, hint.get(), nullptr)
        : k == LSTM
            ? dnnl_lstm_backward_primitive_desc_create(
                  &made, e, what, way, x, h, h, W, U, nullptr, nullptr, b, y, nullptr, nullptr, x,
                  h, h, W, U, nullptr, nullptr, b, y, nullptr, nullptr, flags, hint.get(), nullptr)
            : dnnl_vanilla_rnn_backward_primitive_desc_create(
                  &made, e, what, dnnl_eltwise_tanh, way, x, h, W, U, b, y, nullptr, x, h, W, U, b,
                  y, nullptr, flags, 0, 0, hint.get(), nullptr);
    dnnl::error::wrap_c_api(status, "the backward pass is refused");
    dnnl::primitive_desc description;
    description.reset(made);
    return description;
}

static layer *create(kind k, long B, long T, long I, long H, bool training) {
    auto *l = new layer;
    long G = k == GRU ? 3 : k == LSTM ? 4 : 1, biases = k == GRU ? 4 : G;
    auto any = [](memory::dims sizes) {
        return memory::desc(sizes, memory::data_type::f32, tag::any);
    };
    memory &x = l->add("x", {T, B, I}, tag::tnc), &y = l->add("y", {T, B, H}, tag::tnc);
    memory &W = l->add("kernel", {1, 1, I, G, H}, tag::ldigo);
    memory &U = l->add("recurrent_kernel", {1, 1, H, G, H}, tag::ldigo);
    memory &b = l->add("bias", {1, 1, biases, H}, tag::ldgo);
    layouts of{x.get_desc(), any({1, 1, I, G, H}), any({1, 1, H, G, H}),
               b.get_desc(), y.get_desc(),         {}};
    arguments states, state_gradients;
    if (k != GRU) {
        of.h = memory::desc({1, 1, B, H}, memory::data_type::f32, tag::ldnc);
        states[DNNL_ARG_SRC_ITER] = l->zeros(of.h);
        state_gradients[DNNL_ARG_DIFF_SRC_ITER] = l->zeros(of.h);
    }
    if (k == LSTM) {
        states[DNNL_ARG_SRC_ITER_C] = l->zeros(of.h);
        state_gradients[DNNL_ARG_DIFF_SRC_ITER_C] = l->zeros(of.h);
    }
    auto wanted = [](const dnnl::primitive_desc &p, int argument) {
        return p.query_md(dnnl::query::exec_arg_md, argument);
    };

    dnnl::primitive_desc there = forward(*l, k, training, of);
    memory forward_W = l->as(W, wanted(there, DNNL_ARG_WEIGHTS_LAYER));
    memory forward_U = l->as(U, wanted(there, DNNL_ARG_WEIGHTS_ITER));
    arguments all{{DNNL_ARG_SRC_LAYER, x},
                  {DNNL_ARG_WEIGHTS_LAYER, forward_W},
                  {DNNL_ARG_WEIGHTS_ITER, forward_U},
                  {DNNL_ARG_BIAS, b},
                  {DNNL_ARG_DST_LAYER, y},
                  {DNNL_ARG_WORKSPACE, memory(wanted(there, DNNL_ARG_WORKSPACE), l->engine)}};
    all.insert(states.begin(), states.end());
    l->copy(W, forward_W);
    l->copy(U, forward_U);
    l->steps.emplace_back(dnnl::primitive(there), all);
    if (!training) return l;

    memory &dx = l->add("dx", {T, B, I}, tag::tnc), &dy = l->add("dy", {T, B, H}, tag::tnc);
    memory &dW = l->add("dkernel", {1, 1, I, G, H}, tag::ldigo);
    memory &dU = l->add("drecurrent_kernel", {1, 1, H, G, H}, tag::ldigo);
    memory &db = l->add("dbias", {1, 1, biases, H}, tag::ldgo);
    dnnl::primitive_desc back = backward(*l, k, there, of);
    all[DNNL_ARG_WEIGHTS_LAYER] = l->as(W, wanted(back, DNNL_ARG_WEIGHTS_LAYER));
    all[DNNL_ARG_WEIGHTS_ITER] = l->as(U, wanted(back, DNNL_ARG_WEIGHTS_ITER));
    l->copy(W, all[DNNL_ARG_WEIGHTS_LAYER]);
    l->copy(U, all[DNNL_ARG_WEIGHTS_ITER]);
    memory backward_dW = l->as(dW, wanted(back, DNNL_ARG_DIFF_WEIGHTS_LAYER));
    memory backward_dU = l->as(dU, wanted(back, DNNL_ARG_DIFF_WEIGHTS_ITER));
    all.insert({{DNNL_ARG_DIFF_SRC_LAYER, dx},
                {DNNL_ARG_DIFF_WEIGHTS_LAYER, backward_dW},
                {DNNL_ARG_DIFF_WEIGHTS_ITER, backward_dU},
                {DNNL_ARG_DIFF_BIAS, db},
                {DNNL_ARG_DIFF_DST_LAYER, dy}});
    all.insert(state_gradients.begin(), state_gradients.end());
    l->steps.emplace_back(dnnl::primitive(back), all);
    l->copy(backward_dW, dW);
    l->copy(backward_dU, dU);
    return l;
}

/* Nothing may be thrown into the caller: NULL, or 0, and a message instead. */
template <typename Call> static auto guarded(Call call) -> decltype(call()) {
    try {
        return call();
    } catch (const std::exception &e) {
        error = e.what();
    }
    return {};
}

extern "C" {
const char *layer_error() { return error.c_str(); }

layer *layer_create(int k, long B, long T, long I, long H, int training) {
    return guarded([&] { return create(kind(k), B, T, I, H, training != 0); });
}

/* Copies an array in (write != 0) or out. */
int layer_copy(layer *l, const char *name, float *data, int write) {
    return guarded([&] {
        memory &m = l->plain.at(name);
        size_t bytes = m.get_desc().get_size();
        void *mapped = m.map_data();
        write ? std::memcpy(mapped, data, bytes) : std::memcpy(data, mapped, bytes);
        m.unmap_data(mapped);
        return 1;
    });
}

/* Does all that one run of the job needs. */
int layer_run(layer *l) {
    return guarded([&] { return l->run(), 1; });
}

/* Once weights are in and a run was made: leaves their reordering out of the runs to come. */
int layer_keep_weights(layer *l) {
    return guarded([&] { return l->steps.erase(l->steps.begin(), l->steps.end() - 1), 1; });
}

int layer_version() {
    const dnnl_version_t *v = dnnl_version();
    return 10000 * v->major + 100 * v->minor + v->patch;
}
}
