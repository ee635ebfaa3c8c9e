// The step between two attentions in bf16, with sums in fp32.

#include "layer_step.h"

namespace {

struct Products {
    using Sum = __m512;
    using Gated = uint16_t;
    static constexpr int PACK = 2;

    static Sum start(const int32_t*, int64_t) { return _mm512_setzero_ps(); }
    static Sum dot(Sum sum, uint32_t left, __m512i right) { return jnlp::Bf16::dot(sum, left, right); }
    static __m512 value(Sum sum, const float*, int64_t, float) { return sum; }

    static float enter(const float* x, int64_t width, __m512, uint32_t* out) {
        for (int64_t i = 0; i < width; i += 32)
            _mm512_storeu_si512(out + i / PACK,
                                (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i)));
        return 1.0f;
    }
    static void keep(const __m512 (&products)[2], Gated* at, float*) {
        _mm512_storeu_si512(at, (__m512i)_mm512_cvtne2ps_pbh(products[1], products[0]));
    }
    static const uint32_t* enter_gated(const Gated* gated, int64_t, int, const float*, uint32_t*, float*) {
        return reinterpret_cast<const uint32_t*>(gated);
    }
};

}  // namespace

extern "C" int jnlp_layer_step_bf16(const jnlp::Layer* layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens,
                              int64_t d, int32_t threads) {
    return jnlp::layer_step<Products>(*layer, attended, x, qkv, tokens, d, threads);
}
