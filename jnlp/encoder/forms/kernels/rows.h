// The row-wise part of a ModernBERT layer: everything between one attention and the next, in one pass over the tokens.
//
// A task is a block of tokens, which stays in a core's cache from its attention output to its next queries, keys and values.
// The residual row, norms and GELU are fp32; what enters a product is in the weights' format, a token's own row at a time.
// Weights lie in panels of 64 outputs, so that a register tile of 6 tokens by 64 outputs reads them one after another.

#pragma once

#include <algorithm>
#include <atomic>

#include "vectors.h"

namespace jnlp {

constexpr int ROWS = 6;    // tokens of a register tile: 6 x 4 accumulators
constexpr int BLOCK = 48;  // tokens of a task
constexpr int PANEL = 64;  // outputs of a register tile

// A linear layer. Sizes are multiples of 64. In bf16 `sums` and `scale` are null.
struct Linear {
    const uint32_t* weight;  // [outputs / 64][inputs / PACK][64] lanes of PACK neighbours along the inputs
    const int32_t* sums;     // [outputs]: -128 times the sum of an output's weights
    const float* scale;      // [outputs]
    int64_t inputs, outputs;
};

// What lies between two attentions; a null pointer leaves a part out.
struct Layer {
    Linear out;             // attention's projection onto the residual row
    const float* mlp_norm;  // [d]
    Linear up, down;        // up: each panel holds 32 inputs of GELU, then their 32 gates
    const float* attn_norm;  // [d] of the next layer; null: none
    Linear qkv;              // of the next layer
    float eps;
};

// LayerNorm without bias of a row, where `weight` is not null; `out` is room for it. Returns the row to go on with, and
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

    Block(void* memory, int64_t d, int64_t inner, int rows) : d_(d), inner_(inner), count_(rows) {
        most_ = static_cast<float*>(memory);
        scale_ = most_ + BLOCK * 16;
        row_ = scale_ + BLOCK;
        values_ = reinterpret_cast<uint32_t*>(row_ + d);
        gated_ = reinterpret_cast<typename F::Gated*>(values_ + BLOCK * std::max(d, inner) / F::PACK);
    }

    // What attention answered (bf16) onto the residual row, then the MLP onto it.
    void finish(const Layer& layer, const uint16_t* attended, float* x) {
        for (int r = 0; r < count_; ++r) {
            for (int64_t i = 0; i < d_; i += 16) _mm512_storeu_ps(row_ + i, Bf16::load(attended + r * d_ + i));
            enter(r, row_, nullptr, 0.0f);
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
        multiply(F::taken(gated_, inner_, count_, most_, values_, scale_), layer.down, add);
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
        const float* row = norm(x, weight, eps, d_, row_, most);
        scale_[r] = F::enter(row, d_, most, values_ + r * d_ / F::PACK);
    }

    // Multiply the block by a layer; `take(row, output, values of 64 outputs from there)` gets each row of each tile.
    template <class Take>
    void multiply(const uint32_t* values, const Linear& layer, Take&& take) const {
        const int64_t steps = layer.inputs / F::PACK;
        for (int64_t n = 0; n < layer.outputs; n += PANEL) {
            const uint32_t* panel = layer.weight + n * steps;
            for (int first = 0; first < count_; first += ROWS) {
                const uint32_t* left = values + first * steps;
                typename F::Sum sums[ROWS][4];
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; ++r)
                    for (int c = 0; c < 4; ++c) sums[r][c] = F::start(layer.sums, n + 16 * c);
                for (int64_t s = 0; s < steps; ++s) {
                    __m512i right[4];
                    for (int c = 0; c < 4; ++c) right[c] = _mm512_loadu_si512(panel + s * PANEL + 16 * c);
#pragma GCC unroll 6
                    for (int r = 0; r < ROWS; ++r)
                        for (int c = 0; c < 4; ++c) sums[r][c] = F::dot(sums[r][c], left[r * steps + s], right[c]);
                }
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; ++r) {
                    __m512 y[4];
                    for (int c = 0; c < 4; ++c) y[c] = F::value(sums[r][c], layer.scale, n + 16 * c, scale_[first + r]);
                    if (first + r < count_) take(first + r, n, y);
                }
            }
        }
    }

    int64_t d_, inner_;
    int count_;
    float *most_, *scale_, *row_;  // [BLOCK][16], [BLOCK], [d]
    uint32_t* values_;             // [BLOCK][inputs / PACK]
    typename F::Gated* gated_;     // [BLOCK][inner]
};

// attended: bf16 [T, d], what the layer's attention answered, or null before the first layer; x: fp32 [T, d], the residual
// row, changed in place; qkv: bf16 [T, 3 d] of the next layer, or null after the last. Returns 1 where memory runs out.
template <class F>
int rows(const Layer& layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens, int64_t d, int threads) {
    const int64_t inner = attended == nullptr ? 0 : layer.down.inputs;
    const int64_t share = (tokens + threads - 1) / threads;
    const int64_t block = std::min<int64_t>(BLOCK, (share + ROWS - 1) / ROWS * ROWS);
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
