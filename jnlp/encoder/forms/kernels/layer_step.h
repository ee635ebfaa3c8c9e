// The token-wise step of a ModernBERT layer: everything between one attention and the next, in one pass over the tokens.
//
// A task is a block of tokens, which stays in a core's cache from its attention output to its next queries, keys and values.
// The residual stream, norms and GELU are fp32. Inputs of products are in the weights' format, converted token by token.
// Weights are stored in panels of 64 outputs, so that a register tile of 6 tokens by 64 outputs reads them sequentially.

#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>

#include "formats.h"
#include "parallel.h"

namespace jnlp {

constexpr int BLOCK = 48;  // tokens of a task
constexpr int PANEL = 64;  // outputs of a register tile
constexpr int APART = 64;  // bytes added to a token's row, so that the rows of a tile do not fall into one set of the cache

// A linear layer. Sizes are multiples of 64. `sums` and `scale` are null, except in int8.
struct Linear {
    const uint32_t* weight;  // [outputs / 64][inputs / PACK][64] lanes of PACK neighbours along the inputs
    const int32_t* sums;     // [outputs]: -INT8_OFFSET times the sum of an output's weights
    const float* scale;      // [outputs]
    int64_t inputs, outputs;
};

// The parameters between two attentions; a null pointer skips a part.
struct Layer {
    Linear out;             // attention's projection onto the residual stream
    const float* mlp_norm;  // [d]
    Linear up, down;        // up: each panel holds 32 inputs of GELU, then their 32 gates
    const float* attn_norm;  // [d] of the next layer; null: none
    Linear qkv;              // of the next layer
    float eps;
};

// LayerNorm without bias of a token's vector into `out`, if `weight` is not null. Returns the vector to use next, and
// raises `most` to its largest magnitudes.
inline const float* norm(const float* x, const float* weight, float eps, int64_t width, float* out, V& most) {
    if (weight == nullptr) {
        for (int64_t i = 0; i < width; i += 16) most = max(most, abs(load(x + i)));
        return x;
    }
    V sum = zero(), squares = zero();
    for (int64_t i = 0; i < width; i += 16) sum = add(sum, load(x + i));
    const V mean = all(total(sum) / width);
    for (int64_t i = 0; i < width; i += 16) {
        const V apart = sub(load(x + i), mean);
        squares = fma(apart, apart, squares);
    }
    const V share = all(1.0f / std::sqrt(total(squares) / width + eps));
    for (int64_t i = 0; i < width; i += 16) {
        const V y = mul(mul(sub(load(x + i), mean), share), load(weight + i));
        most = max(most, abs(y));
        store(out + i, y);
    }
    return out;
}

// GELU(x) = x * (1/2 + x * P(x^2)), P fitted on [-4, 4] to the normal distribution: largest error 2e-4.
inline V gelu(V x) {
    const V c = max(min(x, all(4.0f)), all(-4.0f));
    const V t = mul(c, c);
    V p = all(-1.2763557654624354e-09f);
    p = fma(p, t, all(1.0434762032218714e-07f));
    p = fma(p, t, all(-3.707408950504032e-06f));
    p = fma(p, t, all(7.616428047185764e-05f));
    p = fma(p, t, all(-0.001020883908495307f));
    p = fma(p, t, all(0.009580874815583229f));
    p = fma(p, t, all(-0.06606338173151016f));
    p = fma(p, t, all(0.39880526065826416f));
    return mul(x, fma(c, p, all(0.5f)));
}

// GELU by the error function, whose largest error is 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
inline V exact_gelu(V x) {
    const V z = mul(abs(x), all(0.70710678f));
    const V t = div(all(1.0f), fma(all(0.3275911f), z, all(1.0f)));
    V p = all(1.061405429f);
    p = fma(p, t, all(-1.453152027f));
    p = fma(p, t, all(1.421413741f));
    p = fma(p, t, all(-0.284496736f));
    p = fma(p, t, all(0.254829592f));
    const V tail = mul(mul(all(0.5f), mul(p, t)), exp2<5>(mul(mul(z, z), all(-1.44269504f))));  // of the normal distribution
    return mul(x, choose(above(x, zero()), sub(all(1.0f), tail), tail));
}

// Products in fp32.
struct Fp32Products {
    using Sum = V;
    using Gated = float;
    static constexpr int PACK = 1;

    static Sum start(const int32_t*, int64_t) { return zero(); }
    static Sum dot(Sum sum, uint32_t left, I right) { return Fp32::dot(sum, left, right); }
    static V value(Sum sum, const float*, int64_t, float) { return sum; }

    static float enter(const float* x, int64_t width, V, uint32_t* out) {
        std::memcpy(out, x, sizeof(float) * width);
        return 1.0f;
    }
    static V activate(V x) { return exact_gelu(x); }
    static void keep(const V (&products)[2], Gated* at, float*) {
        store(at, products[0]);
        store(at + 16, products[1]);
    }
    static const uint32_t* enter_gated(const Gated* gated, int64_t, int64_t, int, const float*, uint32_t*, int64_t, float*) {
        return reinterpret_cast<const uint32_t*>(gated);
    }
};

#ifdef JNLP_BF16
// Products in bf16, with sums in fp32.
struct Bf16Products {
    using Sum = V;
    using Gated = uint16_t;
    static constexpr int PACK = 2;

    static Sum start(const int32_t*, int64_t) { return zero(); }
    static Sum dot(Sum sum, uint32_t left, I right) { return Bf16::dot(sum, left, right); }
    static V value(Sum sum, const float*, int64_t, float) { return sum; }

    static float enter(const float* x, int64_t width, V, uint32_t* out) {
        for (int64_t i = 0; i < width; i += 16) store_bf16(reinterpret_cast<uint16_t*>(out) + i, load(x + i));
        return 1.0f;
    }
    static V activate(V x) { return gelu(x); }
    static void keep(const V (&products)[2], Gated* at, float*) {
        store_bf16(at, products[0]);
        store_bf16(at + 16, products[1]);
    }
    static const uint32_t* enter_gated(const Gated* gated, int64_t, int64_t, int, const float*, uint32_t*, int64_t, float*) {
        return reinterpret_cast<const uint32_t*>(gated);
    }
};
#endif

// Products in int8: weights have a scale for each output, activations one for each token, both symmetric around 0. Where the
// processor multiplies unsigned by signed bytes, INT8_OFFSET is added to an activation, and that many times the sum of the
// weights subtracted.
struct Int8Products {
    using Sum = I;
    using Gated = float;
    static constexpr int PACK = 4;

    static Sum start(const int32_t* sums, int64_t n) { return load_bits(sums + n); }
    static Sum dot(Sum sum, uint32_t left, I right) { return dot_bytes(sum, left, right); }
    static V value(Sum sum, const float* scale, int64_t n, float token_scale) {
        return mul(to_floats(sum), mul(load(scale + n), all(token_scale)));
    }

    // Quantise a token's vector; return the value of 1.
    static float enter(const float* x, int64_t width, V most, uint32_t* out) {
        const float top = std::max(largest(most), 1e-20f);
        const V up = all(INT8_LEVELS / top);
        for (int64_t i = 0; i < width; i += 16) store_bytes(reinterpret_cast<uint8_t*>(out) + i, mul(load(x + i), up));
        return top / INT8_LEVELS;
    }
    static V activate(V x) { return gelu(x); }
    // The gated products stay in fp32 until the largest of a token is known.
    static void keep(const V (&products)[2], Gated* at, float* most) {
        V top = load(most);
        for (int c = 0; c < 2; ++c) {
            top = max(top, abs(products[c]));
            store(at + 16 * c, products[c]);
        }
        store(most, top);
    }
    static const uint32_t* enter_gated(const Gated* gated, int64_t inner, int64_t gated_row, int tokens, const float* most,
                                       uint32_t* values, int64_t value_row, float* scale) {
        for (int r = 0; r < tokens; ++r) scale[r] = enter(gated + r * gated_row, inner, load(most + 16 * r), values + r * value_row);
        return values;
    }
};

// One block of tokens on its way through a layer: products in format F, the input and output of attention in format S.
template <class F, class S>
class Block {
   public:
    // Lanes from one token's values to the next; numbers from one token's gated products to the next.
    static int64_t value_row(int64_t inputs) { return (inputs / F::PACK) + APART / 4; }
    static int64_t gated_row(int64_t inner) { return inner + APART / static_cast<int64_t>(sizeof(typename F::Gated)); }

    static size_t bytes(int64_t d, int64_t inner) {
        return sizeof(float) * (d + BLOCK * (1 + 16)) +
               BLOCK * (sizeof(uint32_t) * value_row(std::max(d, inner)) + sizeof(typename F::Gated) * gated_row(inner));
    }

    Block(void* memory, int64_t d, int64_t inner, int count) : d_(d), inner_(inner), count_(count) {
        most_ = static_cast<float*>(memory);
        scale_ = most_ + BLOCK * 16;
        token_ = scale_ + BLOCK;
        values_ = reinterpret_cast<uint32_t*>(token_ + d);
        gated_ = reinterpret_cast<typename F::Gated*>(values_ + BLOCK * value_row(std::max(d, inner)));
    }

    // Add the attention's output to the residual stream, then the MLP's.
    void finish(const Layer& layer, const typename S::Element* attended, float* x) {
        for (int r = 0; r < count_; ++r) {
            for (int64_t i = 0; i < d_; i += 16) store(token_ + i, S::load(attended + r * d_ + i));
            enter(r, token_, nullptr, 0.0f);
        }
        const auto accumulate = [&](int r, int64_t n, const V(&y)[4]) {
            for (int c = 0; c < 4; ++c) {
                float* at = x + r * d_ + n + 16 * c;
                store(at, add(load(at), y[c]));
            }
        };
        multiply(values_, layer.out, accumulate);
        for (int r = 0; r < count_; ++r) enter(r, x + r * d_, layer.mlp_norm, layer.eps);
        for (int r = 0; r < count_; ++r) store(most_ + 16 * r, zero());
        multiply(values_, layer.up, [&](int r, int64_t n, const V(&y)[4]) {
            const V products[2] = {mul(F::activate(y[0]), y[2]), mul(F::activate(y[1]), y[3])};
            F::keep(products, gated_ + r * gated_row(inner_) + n / 2, most_ + 16 * r);
        });
        multiply(F::enter_gated(gated_, inner_, gated_row(inner_), count_, most_, values_, value_row(inner_), scale_), layer.down, accumulate);
    }

    // The next layer's queries, keys and values.
    void project(const Layer& layer, const float* x, typename S::Element* out) {
        for (int r = 0; r < count_; ++r) enter(r, x + r * d_, layer.attn_norm, layer.eps);
        multiply(values_, layer.qkv, [&](int r, int64_t n, const V(&y)[4]) {
            for (int c = 0; c < 4; ++c) S::store(out + r * layer.qkv.outputs + n + 16 * c, y[c]);
        });
    }

   private:
    void enter(int r, const float* x, const float* weight, float eps) {
        V most = zero();
        const float* vector = norm(x, weight, eps, d_, token_, most);
        scale_[r] = F::enter(vector, d_, most, values_ + r * value_row(d_));
    }

    // Multiply the block by a layer; `take(token, output, values of 64 outputs from there)` gets each token of each tile.
    template <class Take>
    void multiply(const uint32_t* values, const Linear& layer, Take&& take) const {
        const int64_t steps = layer.inputs / F::PACK, row = value_row(layer.inputs);
        for (int64_t n = 0; n < layer.outputs; n += PANEL) {
            const uint32_t* panel = layer.weight + n * steps;
            for (int first = 0; first < count_; first += TILE) {
                const uint32_t* left = values + first * row;
                alignas(64) float products[PANEL_VECTORS == 4 ? 1 : TILE * PANEL];
#pragma GCC unroll 1
                for (int c0 = 0; c0 < 4; c0 += PANEL_VECTORS) {
                    typename F::Sum sums[TILE][PANEL_VECTORS];
#pragma GCC unroll 12
                    for (int r = 0; r < TILE; ++r)
                        for (int c = 0; c < PANEL_VECTORS; ++c) sums[r][c] = F::start(layer.sums, n + 16 * (c0 + c));
                    for (int64_t s = 0; s < steps; ++s) {
                        I right[PANEL_VECTORS];
                        for (int c = 0; c < PANEL_VECTORS; ++c) right[c] = load_bits(panel + s * PANEL + 16 * (c0 + c));
#pragma GCC unroll 12
                        for (int r = 0; r < TILE; ++r)
                            for (int c = 0; c < PANEL_VECTORS; ++c) sums[r][c] = F::dot(sums[r][c], left[r * row + s], right[c]);
                    }
#pragma GCC unroll 12
                    for (int r = 0; r < TILE; ++r) {
                        V y[PANEL_VECTORS];
                        for (int c = 0; c < PANEL_VECTORS; ++c)
                            y[c] = F::value(sums[r][c], layer.scale, n + 16 * (c0 + c), scale_[first + r]);
                        if constexpr (PANEL_VECTORS == 4) {
                            if (first + r < count_) take(first + r, n, y);
                        } else {
                            for (int c = 0; c < PANEL_VECTORS; ++c) store(products + r * PANEL + 16 * (c0 + c), y[c]);
                        }
                    }
                }
                if constexpr (PANEL_VECTORS < 4) {
                    for (int r = 0; r < std::min(TILE, count_ - first); ++r) {
                        const float* at = products + r * PANEL;
                        const V y[4] = {load(at), load(at + 16), load(at + 32), load(at + 48)};
                        take(first + r, n, y);
                    }
                }
            }
        }
    }

    int64_t d_, inner_;
    int count_;
    float *most_, *scale_, *token_;  // [BLOCK][16], [BLOCK], [d]
    uint32_t* values_;             // [BLOCK][value_row of the inputs]
    typename F::Gated* gated_;     // [BLOCK][gated_row]
};

// All tokens, in blocks; the arguments are those of jnlp_layer_step_fp32. Returns 1 if memory runs out.
template <class F, class S>
int layer_step(const Layer& layer, const typename S::Element* attended, float* x, typename S::Element* qkv, int64_t tokens,
               int64_t d, int threads) {
    const int64_t inner = attended == nullptr ? 0 : layer.down.inputs;
    const int64_t share = (tokens + threads - 1) / threads;
    const int64_t block = std::min<int64_t>(BLOCK, (share + TILE - 1) / TILE * TILE);
    const int64_t tasks = (tokens + block - 1) / block;
    std::atomic<int> failed{0};
    parallel(tasks, threads, [&](int64_t n) {
        static thread_local Scratch scratch;
        void* memory = scratch.room(Block<F, S>::bytes(d, inner));
        if (memory == nullptr) {
            failed = 1;
            return;
        }
        const int64_t first = n * block;
        Block<F, S> tokens_here(memory, d, inner, static_cast<int>(std::min(block, tokens - first)));
        if (attended != nullptr) tokens_here.finish(layer, attended + first * d, x + first * d);
        if (qkv != nullptr) tokens_here.project(layer, x + first * d, qkv + first * layer.qkv.outputs);
    });
    return failed;
}

}  // namespace jnlp
