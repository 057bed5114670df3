// A compiled design as a shared library: its ports by name, and loops that run whole jobs without leaving C++.
//
// ports.inc, made beside the design, has one line PORT(name, bytes) for each port. A port's value is its little-endian
// bytes, as Verilator keeps it in memory on a little-endian machine. Registers start at random, so that a result which
// leans on a value nobody set differs from the model's.
//
// Every loop acts in the middle of a clock cycle: it sees what the design shows in that cycle and sets what the design
// takes at the end of it, as the benches under cocotb do.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#ifdef HWSIM_WAVES
#include "verilated_vcd_c.h"
#endif

namespace {

struct Port {
    const char* name;
    uint8_t* at;
    int64_t bytes;
};

struct Model {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    std::vector<Port> ports;
#ifdef HWSIM_WAVES
    VerilatedVcdC vcd;
#endif

    Model(int seed, const char* wave) {
        context.randReset(2);
        context.randSeed(seed + 1);  // 0 would ask for a seed of its own
        context.traceEverOn(wave != nullptr);
        top = std::make_unique<Vtop>(&context);
#define PORT(name, bytes) ports.push_back({#name, reinterpret_cast<uint8_t*>(&top->name), bytes});
#include "ports.inc"
#undef PORT
        for (const Port& port : ports) std::memset(port.at, 0, port.bytes);
#ifdef HWSIM_WAVES
        if (wave != nullptr) {
            top->trace(&vcd, 99);
            vcd.open(wave);
        }
#endif
    }

    ~Model() {
#ifdef HWSIM_WAVES
        vcd.close();
#endif
        top->final();
    }

    const Port* find(const char* name) const {
        for (const Port& port : ports)
            if (std::strcmp(port.name, name) == 0) return &port;
        return nullptr;
    }

    void settle() {
        top->eval();
#ifdef HWSIM_WAVES
        vcd.dump(context.time());
#endif
        context.timeInc(5);
    }

    void finish_cycle() {
#ifndef HWSIM_NO_CLOCK
        top->clk = 0;
        settle();
        top->clk = 1;
#endif
        settle();
    }

    void reset() {  // one cycle, which by contract is enough
        const Port* rst = find("rst");
        if (rst == nullptr) return;
        *rst->at = 1;
        finish_cycle();
        *rst->at = 0;
    }
};

void put(const Port* port, const uint8_t* value) { std::memcpy(port->at, value, port->bytes); }

}  // namespace

extern "C" {

Model* hwsim_open(int seed, const char* wave) { return new Model(seed, wave); }

void hwsim_close(Model* model) { delete model; }

int64_t hwsim_port_bytes(Model* model, const char* name) {
    const Port* port = model->find(name);
    return port == nullptr ? -1 : port->bytes;
}

// inputs[i]: cycles x bytes of port names_in[i]; outputs[i]: the same, of names_out[i], seen before the inputs are set.
void hwsim_replay(Model* model, int64_t cycles, int64_t n_in, const char* const* names_in, const uint8_t* const* inputs,
                  int64_t n_out, const char* const* names_out, uint8_t* const* outputs) {
    std::vector<const Port*> in, out;
    for (int64_t i = 0; i < n_in; ++i) in.push_back(model->find(names_in[i]));
    for (int64_t i = 0; i < n_out; ++i) out.push_back(model->find(names_out[i]));
    model->reset();
    for (int64_t cycle = 0; cycle < cycles; ++cycle) {
        for (int64_t i = 0; i < n_out; ++i)
            std::memcpy(outputs[i] + cycle * out[i]->bytes, out[i]->at, out[i]->bytes);
        for (int64_t i = 0; i < n_in; ++i) put(in[i], inputs[i] + cycle * in[i]->bytes);
        model->finish_cycle();
    }
}

// A design without a clock: outputs as the inputs of the same case settle.
void hwsim_evaluate(Model* model, int64_t cases, int64_t n_in, const char* const* names_in,
                    const uint8_t* const* inputs, int64_t n_out, const char* const* names_out,
                    uint8_t* const* outputs) {
    std::vector<const Port*> in, out;
    for (int64_t i = 0; i < n_in; ++i) in.push_back(model->find(names_in[i]));
    for (int64_t i = 0; i < n_out; ++i) out.push_back(model->find(names_out[i]));
    for (int64_t each = 0; each < cases; ++each) {
        for (int64_t i = 0; i < n_in; ++i) put(in[i], inputs[i] + each * in[i]->bytes);
        model->settle();
        for (int64_t i = 0; i < n_out; ++i)
            std::memcpy(outputs[i] + each * out[i]->bytes, out[i]->at, out[i]->bytes);
    }
}

// What rtl/tb/tb_array_ws.v does, at C++ speed: chains x folds folds of m rows through a weight-stationary array.
// w: weight rows in the order they are presented; a: activation rows; c: sums that enter the first fold of a chain.
// ws, as: scales that go in beside each row of w and of a; nullptr where the array has none.
// out: rows of the last fold of each chain; began, ended: a cycle for each fold; counts: rows that came, folds done,
// rows that came when none was due, 1 where the job ended within limit cycles.
void hwsim_stream_ws(Model* model, const uint8_t* w, const uint8_t* a, const uint8_t* c, const uint8_t* ws,
                     const uint8_t* as, int64_t load_rows, int64_t chains, int64_t folds, int64_t m, int64_t limit, uint8_t* out, int64_t* began,
                     int64_t* ended, int64_t* counts) {
    const Port *w_valid = model->find("w_valid"), *w_row = model->find("w_row"), *a_valid = model->find("a_valid"),
               *a_row = model->find("a_row"), *psum_in = model->find("psum_in"), *valid = model->find("valid_out"),
               *psum_out = model->find("psum_out");
    const Port *w_scale = model->find("w_scale"), *a_scale = model->find("a_scale");
    const int64_t wide = psum_out->bytes;
    std::vector<uint8_t> partial(m * wide);
    enum { LOAD, STREAM, DRAIN, DONE } state = chains * folds > 0 ? LOAD : DONE;
    int64_t chain = 0, fold = 0, sent = 0, shown = 0, done_folds = 0, came = 0, stray = 0;

    model->reset();
    for (int64_t cycle = 0; cycle < limit && state != DONE; ++cycle) {
        if (*valid->at) {
            if (state != LOAD && shown < m) {
                std::memcpy(partial.data() + shown * wide, psum_out->at, wide);
                if (fold == folds - 1) std::memcpy(out + came++ * wide, psum_out->at, wide);
                ++shown;
            } else {
                ++stray;
            }
        }
        if (state == DRAIN && shown == m) {
            ended[done_folds++] = cycle;
            shown = sent = 0;
            if (++fold == folds) {
                fold = 0;
                ++chain;
            }
            state = chain == chains ? DONE : LOAD;
        }
        *w_valid->at = state == LOAD;
        *a_valid->at = state == STREAM;
        if (state == LOAD) {
            if (sent == 0) began[done_folds] = cycle;
            put(w_row, w);
            w += w_row->bytes;
            if (ws != nullptr) {
                put(w_scale, ws);
                ws += w_scale->bytes;
            }
            if (++sent == load_rows) {
                sent = 0;
                state = STREAM;
            }
        } else if (state == STREAM) {
            put(a_row, a);
            a += a_row->bytes;
            if (as != nullptr) {
                put(a_scale, as);
                as += a_scale->bytes;
            }
            if (fold == 0) {
                put(psum_in, c);
                c += psum_in->bytes;
            } else {
                put(psum_in, partial.data() + sent * wide);
            }
            if (++sent == m) state = DRAIN;
        }
        model->finish_cycle();
    }
    counts[0] = came;
    counts[1] = done_folds;
    counts[2] = stray;
    counts[3] = state == DONE;
}

// aresetn low for so many cycles, nothing offered.
void hwsim_axis_reset(Model* model, int64_t cycles) {
    const Port *clock = model->find("aclk"), *resetn = model->find("aresetn");
    for (const char* name : {"s_axis_w_tvalid", "s_axis_a_tvalid", "m_axis_tready"}) *model->find(name)->at = 0;
    *resetn->at = 0;
    for (int64_t cycle = 0; cycle < cycles; ++cycle) {
        *clock->at = 0;
        model->settle();
        *clock->at = 1;
        model->settle();
    }
    *resetn->at = 1;
}

// Beats into both inputs of a tile engine behind AXI4-Stream, and out of it. pauses: w, a and m, a flag for each of
// limit cycles: no new beat is offered, none taken. Ends after cut cycles; where cut is the limit, 3 after the wanted beats too.
// out: beats; when: the cycle of each; trace: for each cycle w, a and m, valid + 2 ready + 4 last.
// counts: beats, cycles, the cycle of the first weight beat or -1, error.
void hwsim_axis(Model* model, const uint8_t* w, const uint8_t* w_last, int64_t n_w, const uint8_t* a,
                const uint8_t* a_last, const uint8_t* a_user, int64_t n_a, const uint8_t* pauses, int64_t limit,
                int64_t cut, int64_t wanted, uint8_t* out, int64_t* when, uint8_t* trace, int64_t* counts) {
    struct Stream {
        const Port *data, *valid, *ready, *last;
        bool on;
    };
    auto stream = [model](const char* prefix) {
        auto port = [&](const char* part) { return model->find((std::string(prefix) + part).c_str()); };
        return Stream{port("_tdata"), port("_tvalid"), port("_tready"), port("_tlast"), false};
    };
    Stream in[2] = {stream("s_axis_w"), stream("s_axis_a")}, m = stream("m_axis");
    const Port *clock = model->find("aclk"), *user = model->find("s_axis_a_tuser"), *error = model->find("error");
    const uint8_t *beats[2] = {w, a}, *lasts[2] = {w_last, a_last};
    const int64_t sizes[2] = {n_w, n_a};
    int64_t sent[2] = {0, 0}, came = 0, cycle = 0, after = 0;
    counts[2] = -1;
    for (; cycle < limit && cycle < cut && after < 4; ++cycle) {
        for (int i = 0; i < 2; ++i) {
            Stream& s = in[i];
            if (!s.on && sent[i] < sizes[i] && !pauses[i * limit + cycle]) {
                s.on = true;
                std::memcpy(s.data->at, beats[i] + sent[i] * s.data->bytes, s.data->bytes);
                *s.last->at = lasts[i][sent[i]];
                if (i == 1) *user->at = a_user[sent[i]];
            }
            *s.valid->at = s.on;
        }
        *m.ready->at = !pauses[2 * limit + cycle];
        *clock->at = 0;
        model->settle();
        const Stream* all[3] = {&in[0], &in[1], &m};
        for (int i = 0; i < 3; ++i)
            trace[cycle * 3 + i] = *all[i]->valid->at | *all[i]->ready->at << 1 | *all[i]->last->at << 2;
        if (*m.valid->at && *m.ready->at && came < wanted + 8) {
            std::memcpy(out + came * m.data->bytes, m.data->at, m.data->bytes);
            when[came++] = cycle;
        }
        for (int i = 0; i < 2; ++i) {
            if (!in[i].on || !*in[i].ready->at) continue;
            in[i].on = false;
            ++sent[i];
            if (i == 0 && counts[2] < 0) counts[2] = cycle;
        }
        if (came >= wanted && cut == limit) ++after;
        *clock->at = 1;
        model->settle();
    }
    counts[0] = came;
    counts[1] = cycle;
    counts[3] = *error->at;
}

}  // extern "C"
