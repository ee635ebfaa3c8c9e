// The step between two attentions in int8: weights have a scale for each output, activations one for each token. Symmetric around 0.
// Products are u8 x s8 (vpdpbusd): an activation is stored as q + 128, and 128 times the sum of the weights is subtracted.

#include "layer_step.h"

namespace {

struct Int8 {
    using Sum = __v16si;  // not __m512i, which GCC 12 would keep in memory
    using Gated = float;
    static constexpr int PACK = 4;

    static Sum start(const int32_t* sums, int64_t n) { return (Sum)_mm512_loadu_si512(sums + n); }
    static Sum dot(Sum sum, uint32_t left, __m512i right) {
        return (Sum)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(static_cast<int>(left)), right);
    }
    static __m512 value(Sum sum, const float* scale, int64_t n, float token_scale) {
        return _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)sum), _mm512_mul_ps(_mm512_loadu_ps(scale + n), _mm512_set1_ps(token_scale)));
    }

    // Quantise a token's vector; return the value of 1.
    static float enter(const float* x, int64_t width, __m512 most, uint32_t* out) {
        const float largest = std::max(_mm512_reduce_max_ps(most), 1e-20f);
        const __m512 up = _mm512_set1_ps(127.0f / largest);
        for (int64_t i = 0; i < width; i += 16) {
            const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), up));
            const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(q), _mm_set1_epi8(-128));  // + 128
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i / PACK), bytes);
        }
        return largest / 127.0f;
    }

    // The gated products stay in fp32 until the largest of a token is known.
    static void keep(const __m512 (&products)[2], Gated* at, float* most) {
        __m512 largest = _mm512_loadu_ps(most);
        for (int c = 0; c < 2; ++c) {
            largest = _mm512_max_ps(largest, _mm512_abs_ps(products[c]));
            _mm512_storeu_ps(at + 16 * c, products[c]);
        }
        _mm512_storeu_ps(most, largest);
    }
    static const uint32_t* enter_gated(const Gated* gated, int64_t inner, int tokens, const float* most, uint32_t* values,
                                 float* scale) {
        for (int r = 0; r < tokens; ++r)
            scale[r] = enter(gated + r * inner, inner, _mm512_loadu_ps(most + 16 * r), values + r * inner / PACK);
        return values;
    }
};

}  // namespace

extern "C" int jnlp_layer_step_int8(const jnlp::Layer* layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens,
                              int64_t d, int32_t threads) {
    return jnlp::layer_step<Int8>(*layer, attended, x, qkv, tokens, d, threads);
}
