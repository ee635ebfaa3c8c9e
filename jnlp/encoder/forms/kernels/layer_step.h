// The token-wise step of a ModernBERT layer: everything between one attention and the next, in one pass over the tokens.
//
// A task is a block of tokens, which stays in a core's cache from its attention output to its next queries, keys and values.
// The residual stream, norms and GELU are fp32. Inputs of products are in the weights' format, converted token by token.
// Weights are stored in panels of 64 outputs, so that a register tile of 6 tokens by 64 outputs reads them sequentially.

#pragma once

#include <algorithm>
#include <atomic>

#include "vectors.h"

namespace jnlp {

constexpr int TILE = 6;    // tokens of a register tile: 6 x 4 accumulators
constexpr int BLOCK = 48;  // tokens of a task
constexpr int PANEL = 64;  // outputs of a register tile

// A linear layer. Sizes are multiples of 64. In bf16 `sums` and `scale` are null.
struct Linear {
    const uint32_t* weight;  // [outputs / 64][inputs / PACK][64] lanes of PACK neighbours along the inputs
    const int32_t* sums;     // [outputs]: -128 times the sum of an output's weights
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
inline const float* norm(const float* x, const float* weight, float eps, int64_t width, float* out, __m512& most) {
    if (weight == nullptr) {
        for (int64_t i = 0; i < width; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
        return x;
    }
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < width; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + i));
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / width);
    for (int64_t i = 0; i < width; i += 16) {
        const __m512 apart = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
        squares = _mm512_fmadd_ps(apart, apart, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / width;
    const __m512 share = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(_mm512_set1_ps(variance + eps)));
    for (int64_t i = 0; i < width; i += 16) {
        const __m512 apart = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), share);
        const __m512 y = _mm512_mul_ps(apart, _mm512_loadu_ps(weight + i));
        most = _mm512_max_ps(most, _mm512_abs_ps(y));
        _mm512_storeu_ps(out + i, y);
    }
    return out;
}

// GELU(x) = x * (1/2 + x * P(x^2)), P fitted on [-4, 4] to the normal distribution: largest error 2e-4.
inline __m512 gelu(__m512 x) {
    const __m512 c = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(4.0f)), _mm512_set1_ps(-4.0f));
    const __m512 t = _mm512_mul_ps(c, c);
    __m512 p = _mm512_set1_ps(-1.2763557654624354e-09f);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.0434762032218714e-07f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-3.707408950504032e-06f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(7.616428047185764e-05f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.001020883908495307f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.009580874815583229f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.06606338173151016f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.39880526065826416f));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(c, p, _mm512_set1_ps(0.5f)));
}

// One block of tokens on its way through a layer, its products in format F.
template <class F>
class Block {
   public:
    static size_t bytes(int64_t d, int64_t inner) {
        return sizeof(float) * (d + BLOCK * (1 + 16)) + BLOCK * (sizeof(uint32_t) * std::max(d, inner) / F::PACK +
                                                                 sizeof(typename F::Gated) * inner);
    }

    Block(void* memory, int64_t d, int64_t inner, int count) : d_(d), inner_(inner), count_(count) {
        most_ = static_cast<float*>(memory);
        scale_ = most_ + BLOCK * 16;
        token_ = scale_ + BLOCK;
        values_ = reinterpret_cast<uint32_t*>(token_ + d);
        gated_ = reinterpret_cast<typename F::Gated*>(values_ + BLOCK * std::max(d, inner) / F::PACK);
    }

    // Add the attention's output (bf16) to the residual stream, then the MLP's.
    void finish(const Layer& layer, const uint16_t* attended, float* x) {
        for (int r = 0; r < count_; ++r) {
            for (int64_t i = 0; i < d_; i += 16) _mm512_storeu_ps(token_ + i, Bf16::load(attended + r * d_ + i));
            enter(r, token_, nullptr, 0.0f);
        }
        const auto add = [&](int r, int64_t n, const __m512(&y)[4]) {
            for (int c = 0; c < 4; ++c) {
                float* at = x + r * d_ + n + 16 * c;
                _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), y[c]));
            }
        };
        multiply(values_, layer.out, add);
        for (int r = 0; r < count_; ++r) enter(r, x + r * d_, layer.mlp_norm, layer.eps);
        for (int r = 0; r < count_; ++r) _mm512_storeu_ps(most_ + 16 * r, _mm512_setzero_ps());
        multiply(values_, layer.up, [&](int r, int64_t n, const __m512(&y)[4]) {
            const __m512 products[2] = {_mm512_mul_ps(gelu(y[0]), y[2]), _mm512_mul_ps(gelu(y[1]), y[3])};
            F::keep(products, gated_ + r * inner_ + n / 2, most_ + 16 * r);
        });
        multiply(F::enter_gated(gated_, inner_, count_, most_, values_, scale_), layer.down, add);
    }

    // The next layer's queries, keys and values in bf16.
    void project(const Layer& layer, const float* x, uint16_t* out) {
        for (int r = 0; r < count_; ++r) enter(r, x + r * d_, layer.attn_norm, layer.eps);
        multiply(values_, layer.qkv, [&](int r, int64_t n, const __m512(&y)[4]) {
            for (int c = 0; c < 4; ++c) Bf16::store(out + r * layer.qkv.outputs + n + 16 * c, y[c]);
        });
    }

   private:
    void enter(int r, const float* x, const float* weight, float eps) {
        __m512 most = _mm512_setzero_ps();
        const float* vector = norm(x, weight, eps, d_, token_, most);
        scale_[r] = F::enter(vector, d_, most, values_ + r * d_ / F::PACK);
    }

    // Multiply the block by a layer; `take(token, output, values of 64 outputs from there)` gets each token of each tile.
    template <class Take>
    void multiply(const uint32_t* values, const Linear& layer, Take&& take) const {
        const int64_t steps = layer.inputs / F::PACK;
        for (int64_t n = 0; n < layer.outputs; n += PANEL) {
            const uint32_t* panel = layer.weight + n * steps;
            for (int first = 0; first < count_; first += TILE) {
                const uint32_t* left = values + first * steps;
                typename F::Sum sums[TILE][4];
#pragma GCC unroll 6
                for (int r = 0; r < TILE; ++r)
                    for (int c = 0; c < 4; ++c) sums[r][c] = F::start(layer.sums, n + 16 * c);
                for (int64_t s = 0; s < steps; ++s) {
                    __m512i right[4];
                    for (int c = 0; c < 4; ++c) right[c] = _mm512_loadu_si512(panel + s * PANEL + 16 * c);
#pragma GCC unroll 6
                    for (int r = 0; r < TILE; ++r)
                        for (int c = 0; c < 4; ++c) sums[r][c] = F::dot(sums[r][c], left[r * steps + s], right[c]);
                }
#pragma GCC unroll 6
                for (int r = 0; r < TILE; ++r) {
                    __m512 y[4];
                    for (int c = 0; c < 4; ++c) y[c] = F::value(sums[r][c], layer.scale, n + 16 * c, scale_[first + r]);
                    if (first + r < count_) take(first + r, n, y);
                }
            }
        }
    }

    int64_t d_, inner_;
    int count_;
    float *most_, *scale_, *token_;  // [BLOCK][16], [BLOCK], [d]
    uint32_t* values_;             // [BLOCK][inputs / PACK]
    typename F::Gated* gated_;     // [BLOCK][inner]
};

// attended: bf16 [T, d], the output of the layer's attention, or null before the first layer; x: fp32 [T, d], the residual
// stream, changed in place; qkv: bf16 [T, 3 d] of the next layer, or null after the last. Returns 1 if memory runs out.
template <class F>
int layer_step(const Layer& layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens, int64_t d, int threads) {
    const int64_t inner = attended == nullptr ? 0 : layer.down.inputs;
    const int64_t share = (tokens + threads - 1) / threads;
    const int64_t block = std::min<int64_t>(BLOCK, (share + TILE - 1) / TILE * TILE);
    const int64_t tasks = (tokens + block - 1) / block;
    std::atomic<int> failed{0};
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t n = 0; n < tasks; ++n) {
        static thread_local Scratch scratch;
        void* memory = scratch.room(Block<F>::bytes(d, inner));
        if (memory == nullptr) {
            failed = 1;
            continue;
        }
        const int64_t first = n * block;
        Block<F> tokens_here(memory, d, inner, static_cast<int>(std::min(block, tokens - first)));
        if (attended != nullptr) tokens_here.finish(layer, attended + first * d, x + first * d);
        if (qkv != nullptr) tokens_here.project(layer, x + first * d, qkv + first * layer.qkv.outputs);
    }
    return failed;
}

}  // namespace jnlp
