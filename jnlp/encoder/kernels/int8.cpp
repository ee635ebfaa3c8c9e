// The row-wise part of a ModernBERT layer in int8: everything between one attention and the next, in one pass.
//
// Weights are int8 with a scale for each output; activations are quantised token by token, symmetric around 0, after the
// norm, the attention or the gated product. A task is a block of tokens, which stays in a core's cache from its attention
// output to its next queries, keys and values. The residual row is fp32. Products are u8 x s8 (vpdpbusd): an activation
// is stored as q + 128, and 128 times the sum of the weights is taken off again.

#include <algorithm>
#include <atomic>

#include "vectors.h"

using namespace jnlp;

namespace {

constexpr int ROWS = 6;     // tokens of a register tile: 6 x 4 accumulators
constexpr int BLOCK = 48;   // tokens of a task
constexpr int PANEL = 64;   // outputs of a register tile

}  // namespace

// A linear layer. Sizes are multiples of 64.
struct Int8Linear {
    const int8_t* weight;  // [outputs / 64][inputs / 4][64][4]
    const int32_t* sums;   // [outputs]: -128 times the sum of an output's weights
    const float* scale;    // [outputs]
    int64_t inputs, outputs;
};

// What lies between two attentions; a null pointer leaves a part out.
struct Int8Layer {
    Int8Linear out;          // attention's projection onto the residual row
    const float* mlp_norm;   // [d]
    Int8Linear up, down;     // up: each panel holds 32 inputs of GELU, then their 32 gates
    const float* attn_norm;  // [d] of the next layer; null: none
    Int8Linear qkv;          // of the next layer
    float eps;
};

namespace {

// One block of activations as the products read them.
struct Rows {
    uint8_t* values;  // [BLOCK][inputs]
    float* scale;     // [BLOCK]
};

inline float quantise(const float* x, int64_t width, __m512 most, uint8_t* out) {
    const float largest = std::max(_mm512_reduce_max_ps(most), 1e-20f);
    const __m512 up = _mm512_set1_ps(127.0f / largest);
    for (int64_t i = 0; i < width; i += 16) {
        const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), up));
        const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(q), _mm_set1_epi8(-128));  // + 128
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), bytes);
    }
    return largest / 127.0f;
}

// LayerNorm without bias (weight null: none), then quantised. `row` is room for the row.
inline float norm(const float* x, const float* weight, float eps, int64_t width, float* row, uint8_t* out) {
    __m512 most = _mm512_setzero_ps();
    if (weight == nullptr) {
        for (int64_t i = 0; i < width; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
        return quantise(x, width, most, out);
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
        _mm512_storeu_ps(row + i, y);
    }
    return quantise(row, width, most, out);
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

// Multiply a block by a layer; `take(row, output, values of 64 outputs from there)` gets each row of each tile.
template <class Take>
inline void multiply(const Rows& a, int rows, const Int8Linear& layer, Take&& take) {
    const int64_t steps = layer.inputs / 4;
    for (int64_t n = 0; n < layer.outputs; n += PANEL) {
        const int8_t* panel = layer.weight + n * layer.inputs;
        __m512 scale[4];
        for (int c = 0; c < 4; ++c) scale[c] = _mm512_loadu_ps(layer.scale + n + 16 * c);
        for (int first = 0; first < rows; first += ROWS) {
            const auto* left = reinterpret_cast<const int32_t*>(a.values + first * layer.inputs);
            __m512i sums[ROWS][4];
            for (int c = 0; c < 4; ++c) {
                const __m512i start = _mm512_loadu_si512(layer.sums + n + 16 * c);
                for (auto& row : sums) row[c] = start;
            }
            for (int64_t s = 0; s < steps; ++s) {
                __m512i right[4];
                for (int c = 0; c < 4; ++c) right[c] = _mm512_loadu_si512(panel + s * 4 * PANEL + 64 * c);
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; ++r) {
                    const __m512i value = _mm512_set1_epi32(left[r * steps + s]);
                    for (int c = 0; c < 4; ++c) sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], value, right[c]);
                }
            }
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; ++r) {
                const __m512 share = _mm512_set1_ps(a.scale[first + r]);
                __m512 y[4];
                for (int c = 0; c < 4; ++c)
                    y[c] = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][c]), _mm512_mul_ps(scale[c], share));
                if (first + r < rows) take(first + r, n, y);
            }
        }
    }
}

// A thread's room for one block.
struct Room {
    Rows rows;
    float *row, *gated, *most;  // [widest], [BLOCK][inner], [BLOCK][16]

    static size_t bytes(int64_t widest, int64_t inner) {
        return BLOCK * widest + sizeof(float) * (BLOCK + widest + BLOCK * inner + BLOCK * 16);
    }
    Room(char* memory, int64_t widest, int64_t inner) {
        row = reinterpret_cast<float*>(memory);
        gated = row + widest;
        most = gated + BLOCK * inner;
        rows.scale = most + BLOCK * 16;
        rows.values = reinterpret_cast<uint8_t*>(rows.scale + BLOCK);
    }
};

// What `attention` answered (bf16) onto the residual row, then the MLP onto it.
void finish(const Int8Layer& layer, const uint16_t* attended, int rows, float* x, const Room& room) {
    const int64_t d = layer.out.outputs, inner = layer.down.inputs;
    for (int r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < d; i += 16) _mm512_storeu_ps(room.row + i, Bf16::load(attended + r * d + i));
        room.rows.scale[r] = norm(room.row, nullptr, 0.0f, d, nullptr, room.rows.values + r * d);
    }
    const auto add = [&](int r, int64_t n, const __m512(&y)[4]) {
        for (int c = 0; c < 4; ++c) {
            float* at = x + r * d + n + 16 * c;
            _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), y[c]));
        }
    };
    multiply(room.rows, rows, layer.out, add);
    for (int r = 0; r < rows; ++r) {
        room.rows.scale[r] = norm(x + r * d, layer.mlp_norm, layer.eps, d, room.row, room.rows.values + r * d);
        _mm512_storeu_ps(room.most + 16 * r, _mm512_setzero_ps());
    }
    multiply(room.rows, rows, layer.up, [&](int r, int64_t n, const __m512(&y)[4]) {
        __m512 most = _mm512_loadu_ps(room.most + 16 * r);
        for (int c = 0; c < 2; ++c) {
            const __m512 product = _mm512_mul_ps(gelu(y[c]), y[c + 2]);
            most = _mm512_max_ps(most, _mm512_abs_ps(product));
            _mm512_storeu_ps(room.gated + r * inner + n / 2 + 16 * c, product);
        }
        _mm512_storeu_ps(room.most + 16 * r, most);
    });
    for (int r = 0; r < rows; ++r)
        room.rows.scale[r] =
            quantise(room.gated + r * inner, inner, _mm512_loadu_ps(room.most + 16 * r), room.rows.values + r * inner);
    multiply(room.rows, rows, layer.down, add);
}

// The next layer's queries, keys and values in bf16.
void project(const Int8Layer& layer, const float* x, int rows, uint16_t* out, const Room& room) {
    const int64_t d = layer.qkv.inputs, width = layer.qkv.outputs;
    for (int r = 0; r < rows; ++r)
        room.rows.scale[r] = norm(x + r * d, layer.attn_norm, layer.eps, d, room.row, room.rows.values + r * d);
    multiply(room.rows, rows, layer.qkv, [&](int r, int64_t n, const __m512(&y)[4]) {
        for (int c = 0; c < 4; ++c) Bf16::store(out + r * width + n + 16 * c, y[c]);
    });
}

}  // namespace

// attended: bf16 [T, d], what the layer's attention answered, or null before the first layer; x: fp32 [T, d], the residual
// row, changed in place; qkv: bf16 [T, 3 d] of the next layer, or null after the last. Returns 1 where memory runs out.
extern "C" int jnlp_int8_layer(const Int8Layer* layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens,
                               int64_t d, int32_t threads) {
    const int64_t inner = attended == nullptr ? 0 : layer->down.inputs;
    const int64_t widest = std::max(d, inner);
    const int64_t share = (tokens + threads - 1) / threads;
    const int64_t block = std::min<int64_t>(BLOCK, (share + ROWS - 1) / ROWS * ROWS);
    const int64_t tasks = (tokens + block - 1) / block;
    std::atomic<int> failed{0};
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t n = 0; n < tasks; ++n) {
        static thread_local Scratch scratch;
        auto* memory = static_cast<char*>(scratch.room(Room::bytes(widest, inner)));
        if (memory == nullptr) {
            failed = 1;
            continue;
        }
        const Room room(memory, widest, inner);
        const int64_t first = n * block;
        const int rows = static_cast<int>(std::min(block, tokens - first));
        if (attended != nullptr) finish(*layer, attended + first * d, rows, x + first * d, room);
        if (qkv != nullptr) project(*layer, x + first * d, rows, qkv + first * layer->qkv.outputs, room);
    }
    return failed;
}
