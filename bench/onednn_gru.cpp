/* oneDNN's lbr_gru behind five C functions, for onednn_gru.py.
 *
 * Data is time first; weights come as (I, 3, H) and (H, 3, H), gates in the order z, r, n, and as
 * four biases. In inference weights are reordered once, in training in each run, for there they
 * would have changed. */
#include <cstring>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

using dnnl::memory;
using prop = dnnl::prop_kind;
using tag = memory::format_tag;
using arguments = std::unordered_map<int, memory>;

struct gru {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::unordered_map<std::string, memory> plain; /* what the caller reads and writes */
    std::vector<std::pair<dnnl::primitive, arguments>> steps;

    memory &add(const char *name, memory::dims sizes, tag layout) {
        memory::desc description(sizes, memory::data_type::f32, layout);
        return plain[name] = memory(description, engine);
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

static gru *create(long B, long T, long I, long H, bool training) {
    auto *g = new gru;
    auto any = [](memory::dims sizes) {
        return memory::desc(sizes, memory::data_type::f32, tag::any);
    };
    memory &x = g->add("x", {T, B, I}, tag::tnc), &y = g->add("y", {T, B, H}, tag::tnc);
    memory &W = g->add("kernel", {1, 1, I, 3, H}, tag::ldigo);
    memory &U = g->add("recurrent_kernel", {1, 1, H, 3, H}, tag::ldigo);
    memory &b = g->add("bias", {1, 1, 4, H}, tag::ldgo);
    memory::desc none, any_W = any({1, 1, I, 3, H}), any_U = any({1, 1, H, 3, H});
    auto one_way = dnnl::rnn_direction::unidirectional_left2right;

    dnnl::lbr_gru_forward::primitive_desc forward(
        g->engine, training ? prop::forward_training : prop::forward_inference, one_way,
        x.get_desc(), none, any_W, any_U, b.get_desc(), y.get_desc(), none);
    memory forward_W = g->as(W, forward.weights_layer_desc());
    memory forward_U = g->as(U, forward.weights_iter_desc());
    memory workspace(forward.workspace_desc(), g->engine);
    arguments all{{DNNL_ARG_SRC_LAYER, x}, {DNNL_ARG_WEIGHTS_LAYER, forward_W},
                  {DNNL_ARG_WEIGHTS_ITER, forward_U}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST_LAYER, y},
                  {DNNL_ARG_WORKSPACE, workspace}};
    g->copy(W, forward_W);
    g->copy(U, forward_U);
    g->steps.emplace_back(dnnl::lbr_gru_forward(forward), all);
    if (!training) return g;

    memory &dx = g->add("dx", {T, B, I}, tag::tnc), &dy = g->add("dy", {T, B, H}, tag::tnc);
    memory &dW = g->add("dkernel", {1, 1, I, 3, H}, tag::ldigo);
    memory &dU = g->add("drecurrent_kernel", {1, 1, H, 3, H}, tag::ldigo);
    memory &db = g->add("dbias", {1, 1, 4, H}, tag::ldgo);
    /* The C call: the C++ one has no flags, and adds to the gradients that it finds. */
    dnnl_primitive_desc_t made = nullptr;
    dnnl::error::wrap_c_api(
        dnnl_lbr_gru_backward_primitive_desc_create(
            &made, g->engine.get(), dnnl_backward, dnnl_unidirectional_left2right,
            x.get_desc().get(), nullptr, any_W.get(), any_U.get(), b.get_desc().get(),
            y.get_desc().get(), nullptr, dx.get_desc().get(), nullptr, any_W.get(), any_U.get(),
            db.get_desc().get(), dy.get_desc().get(), nullptr,
            dnnl_rnn_flags_diff_weights_overwrite, forward.get(), nullptr),
        "the backward pass is refused");
    dnnl::lbr_gru_backward::primitive_desc backward(made);
    all[DNNL_ARG_WEIGHTS_LAYER] = g->as(W, backward.weights_layer_desc());
    all[DNNL_ARG_WEIGHTS_ITER] = g->as(U, backward.weights_iter_desc());
    g->copy(W, all[DNNL_ARG_WEIGHTS_LAYER]);
    g->copy(U, all[DNNL_ARG_WEIGHTS_ITER]);
    memory backward_dW = g->as(dW, backward.diff_weights_layer_desc());
    memory backward_dU = g->as(dU, backward.diff_weights_iter_desc());
    all.insert({{DNNL_ARG_DIFF_SRC_LAYER, dx}, {DNNL_ARG_DIFF_WEIGHTS_LAYER, backward_dW},
                {DNNL_ARG_DIFF_WEIGHTS_ITER, backward_dU}, {DNNL_ARG_DIFF_BIAS, db},
                {DNNL_ARG_DIFF_DST_LAYER, dy}});
    g->steps.emplace_back(dnnl::lbr_gru_backward(backward), all);
    g->copy(backward_dW, dW);
    g->copy(backward_dU, dU);
    return g;
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
const char *gru_error() { return error.c_str(); }

gru *gru_create(long B, long T, long I, long H, int training) {
    return guarded([&] { return create(B, T, I, H, training != 0); });
}

/* Copies an array in (write != 0) or out. */
int gru_copy(gru *g, const char *name, float *data, int write) {
    return guarded([&] {
        memory &m = g->plain.at(name);
        size_t bytes = m.get_desc().get_size();
        void *mapped = m.map_data();
        write ? std::memcpy(mapped, data, bytes) : std::memcpy(data, mapped, bytes);
        m.unmap_data(mapped);
        return 1;
    });
}

/* Does all that one run of the job needs. */
int gru_run(gru *g) { return guarded([&] { return g->run(), 1; }); }

/* Once weights are in and a run was made: leaves their reordering out of the runs to come. */
int gru_keep_weights(gru *g) {
    return guarded([&] { return g->steps.erase(g->steps.begin(), g->steps.end() - 1), 1; });
}

int gru_version() {
    const dnnl_version_t *v = dnnl_version();
    return 10000 * v->major + 100 * v->minor + v->patch;
}
}
